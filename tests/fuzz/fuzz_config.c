/*
 * A whole environment block: the input's lines are its entries. Beyond not crashing: problems are one
 * printable line each, what is accepted survives the way to a helper, and no secret's value is left in the
 * block.
 */
#include "common/config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ENTRIES_MAX 256

static void check_problems(const struct config_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const unsigned char *text = (const unsigned char *)problems->items[i].text;
        if (*text == '\0')
            abort();
        for (; *text != '\0'; text++) {
            if (*text < ' ' || *text == 0x7f)
                abort();
        }
    }
}

static void read_lists(const struct config *config)
{
    static const enum config_id lists[] = {CONFIG_SIGTERM_EXCLUDE_PROCESSES, CONFIG_SERVICELOG_IGNORE_KEYS};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        size_t count = config_list_count(config, lists[i]);
        for (size_t j = 0; j < count; j++) {
            const char *item = config_list_item(config, lists[i], j);
            if (item == NULL || *item == '\0' || strchr(item, ',') != NULL)
                abort();
        }
        if (config_list_item(config, lists[i], count) != NULL)
            abort();
    }
}

/* As a helper does it: every pair that it is sent is set in a configuration of its own, and comes out the
 * same. */
static void send_on(const struct config *config, unsigned receivers)
{
    struct config *copy;
    const char *name, *text, *copy_name, *copy_text;
    size_t cursor = 0, copy_cursor = 0;

    if (config_new(&copy) < 0)
        return;
    while (config_next_for(config, receivers, &cursor, &name, &text)) {
        if (config_set_text(copy, name, text, NULL) != 0)
            abort();
    }
    cursor = 0;
    while (config_next_for(config, receivers, &cursor, &name, &text)) {
        if (!config_next_for(copy, CONFIG_FOR_ALL, &copy_cursor, &copy_name, &copy_text))
            abort();
        if (strcmp(name, copy_name) != 0 || strcmp(text, copy_text) != 0)
            abort();
    }
    config_free(copy);
}

static void check_wiped(char **envp)
{
    config_wipe_environment(envp);
    for (; *envp != NULL; envp++) {
        size_t cursor = 0;
        const char *name;
        while (config_next_secret_name(&cursor, &name)) {
            size_t length = strlen(name);
            if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=' && (*envp)[length + 1] != '\0')
                abort();
        }
    }
}

static void check_environment(char **envp)
{
    struct config *config = NULL;
    struct config_problems problems = {0};
    int r = config_load(envp, &config, &problems);

    check_problems(&problems);
    if (r == 0) {
        read_lists(config);
        for (unsigned receiver = 1; receiver < CONFIG_FOR_ALL; receiver <<= 1)
            send_on(config, receiver);
    } else if (config != NULL || problems.count == 0) {
        abort();
    }
    config_problems_clear(&problems);
    config_free(config);
    check_wiped(envp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *block = malloc(size + 1), *rest = block, *entry;
    char *envp[ENTRIES_MAX + 1];
    size_t count = 0;

    if (block == NULL)
        return 0;
    memcpy(block, data, size);
    block[size] = '\0';
    while (count < ENTRIES_MAX && (entry = strsep(&rest, "\n")) != NULL)
        envp[count++] = entry;
    envp[count] = NULL;
    check_environment(envp);
    free(block);
    return 0;
}
