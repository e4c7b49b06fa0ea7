/*
 * The environment that a task gets, and what is kept from it.
 */
#include "supervisor/environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

struct block {
    char **entries;
    size_t count;
    size_t capacity;
};

void environment_free(char **environment)
{
    if (environment == NULL)
        return;
    for (char **entry = environment; *entry != NULL; entry++)
        free(*entry);
    free(environment);
}

static bool is_ours(const char *entry, size_t name_length)
{
    static const char *const names[] = {"CONSUL_TOKEN", "VAAS_HOST", "VAAS_USERNAME", "VAAS_TOKEN",
                                        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN"};
    static const char prefix[] = "ALLEGRO_EXECUTOR_";
    if (strncmp(entry, prefix, sizeof(prefix) - 1) == 0)
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == name_length && strncmp(entry, names[i], name_length) == 0)
            return true;
    return false;
}

/* Takes the entry over: it replaces the one of the same name or goes to the end, and is freed when there is
 * no memory. */
static bool put(struct block *block, char *entry)
{
    if (entry == NULL)
        return false;
    size_t name_length = strcspn(entry, "=") + 1;
    for (size_t i = 0; i < block->count; i++) {
        if (strncmp(block->entries[i], entry, name_length) != 0)
            continue;
        free(block->entries[i]);
        block->entries[i] = entry;
        return true;
    }
    if (block->count + 1 >= block->capacity) {
        size_t capacity = block->capacity * 2 + 32;
        char **entries = reallocarray(block->entries, capacity, sizeof(*entries));
        if (entries == NULL) {
            free(entry);
            return false;
        }
        block->entries = entries;
        block->capacity = capacity;
    }
    block->entries[block->count++] = entry;
    block->entries[block->count] = NULL;
    return true;
}

static bool put_pair(struct block *block, const char *name, const char *value)
{
    char *entry;
    return asprintf(&entry, "%s=%s", name, value != NULL ? value : "") >= 0 && put(block, entry);
}

static bool put_own(struct block *block, char *const *own)
{
    for (; *own != NULL; own++) {
        size_t name_length = strcspn(*own, "=");
        if ((*own)[name_length] == '=' && !is_ours(*own, name_length) && !put(block, strdup(*own)))
            return false;
    }
    return true;
}

static bool put_command(struct block *block, const Bulkhead__Command *command)
{
    for (size_t i = 0; command != NULL && i < command->n_environment; i++)
        if (!put_pair(block, command->environment[i]->name, command->environment[i]->value))
            return false;
    return true;
}

char **environment_for_task(char *const *own, const Bulkhead__Command *command, const char *role)
{
    struct block block = {.capacity = 32};
    block.entries = calloc(block.capacity, sizeof(*block.entries));
    if (block.entries == NULL)
        return NULL;
    if (put_own(&block, own) && put_command(&block, command) &&
        (role == NULL || put_pair(&block, "MESOS_ALLOCATION_ROLE", role)))
        return block.entries;
    environment_free(block.entries);
    return NULL;
}

char **environment_add(char **environment, Bulkhead__Variable *const *variables, size_t count,
                       const char *role)
{
    struct block block = {.entries = environment};
    while (environment[block.count] != NULL)
        block.count++;
    block.capacity = block.count + 1;
    bool good = true;
    for (size_t i = 0; good && i < count; i++)
        good = put_pair(&block, variables[i]->name, variables[i]->value);
    if (good && (role == NULL || put_pair(&block, "MESOS_ALLOCATION_ROLE", role)))
        return block.entries;
    environment_free(block.entries);
    return NULL;
}
