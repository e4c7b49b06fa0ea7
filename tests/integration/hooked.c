/*
 * An executor with executable hooks, and the journal of what they and the tasks do; see hooked.h.
 */
#include "tests/integration/hooked.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SETTINGS_MAX = 16 };

static char folder[64];
static char folder_setting[128];
static const char *settings[SETTINGS_MAX + 1];
static size_t setting_count;

void hooked_begin(void)
{
    strcpy(folder, "/tmp/bulkhead-hooks-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chmod(folder, 0755), 0);
    snprintf(folder_setting, sizeof(folder_setting), "ALLEGRO_EXECUTOR_HOOKS_DIR=%s", folder);
    hooked_set(folder_setting);
}

void hooked_set(const char *setting)
{
    cr_assert_lt(setting_count, SETTINGS_MAX);
    settings[setting_count++] = setting;
}

void hooked_add(const char *name, const char *script)
{
    hooked_add_with_mode(name, script, 0755);
}

/* Written under another name first: it may be in use. */
void hooked_add_with_mode(const char *name, const char *script, mode_t mode)
{
    char path[128], draft[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    snprintf(draft, sizeof(draft), "%s/.draft", folder);
    FILE *file = fopen(draft, "we");
    cr_assert_not_null(file);
    fprintf(file, "#!/bin/sh\n%s", script);
    cr_assert_eq(fchmod(fileno(file), mode), 0);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(rename(draft, path), 0);
}

struct devagent_options hooked_options(void)
{
    struct devagent_options options = agent_options();
    options.environment = settings;
    return options;
}

struct devagent *hooked_agent(void)
{
    struct devagent_options options = hooked_options();
    return agent_begin(&options);
}

void hooked_launch(struct devagent *agent, const char *task_id, const char *way)
{
    char command[512];
    snprintf(command, sizeof(command), "exec %s %s %s >>journal", HELPER("hear"), task_id, way);
    cr_assert_eq(devagent_launch_command(agent, task_id, command), 0);
}

void hooked_end(void)
{
    if (folder[0] == '\0')
        return;
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;)
        unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries != NULL)
        closedir(entries);
    rmdir(folder);
    folder[0] = '\0';
}

/* --- the journal --- */

bool file_has(struct devagent *agent, const char *name, const char *text)
{
    char *content = devagent_read_file(agent, name);
    bool found = strstr(content, text) != NULL;
    free(content);
    return found;
}

struct wanted_order {
    const char *texts[16];
    size_t count;
};

static bool has_order(struct devagent *agent, void *arg)
{
    const struct wanted_order *wanted = arg;
    char *journal = devagent_read_file(agent, "journal");
    const char *at = journal;
    for (size_t i = 0; i < wanted->count && at != NULL; i++) {
        at = strstr(at, wanted->texts[i]);
        if (at != NULL)
            at += strlen(wanted->texts[i]);
    }
    free(journal);
    return at != NULL;
}

void expect_journal(struct devagent *agent, const char *first, ...)
{
    struct wanted_order wanted = {.count = 0};
    va_list arguments;
    va_start(arguments, first);
    for (const char *text = first; text != NULL; text = va_arg(arguments, const char *))
        wanted.texts[wanted.count++] = text;
    va_end(arguments);
    if (!wait_until(agent, has_order, &wanted))
        fail_with_story(agent, "the journal is not as it should be, from '%s' on: %s", first,
                        devagent_read_file(agent, "journal"));
}

size_t journal_count(struct devagent *agent, const char *text)
{
    char *journal = devagent_read_file(agent, "journal");
    size_t count = 0;
    for (const char *at = journal; (at = strstr(at, text)) != NULL; at += strlen(text))
        count++;
    free(journal);
    return count;
}

struct wanted_line {
    const char *words;
    int pid;
};

static bool find_line(struct devagent *agent, void *arg)
{
    struct wanted_line *wanted = arg;
    char *journal = devagent_read_file(agent, "journal");
    const char *at = strstr(journal, wanted->words);
    const char *end = at != NULL ? strchr(at, '\n') : NULL;
    if (end != NULL)
        wanted->pid = atoi(at + strlen(wanted->words));
    free(journal);
    return wanted->pid > 1;
}

pid_t journal_pid(struct devagent *agent, const char *words)
{
    struct wanted_line wanted = {.words = words};
    if (!wait_until(agent, find_line, &wanted))
        fail_with_story(agent, "'%s' and a pid are not in the journal", words);
    return wanted.pid;
}

/* --- processes --- */

static bool no_child(struct devagent *agent, void *arg)
{
    const char *title = arg;
    pid_t pids[256];
    size_t count = devagent_processes(agent, pids, 256);
    for (size_t i = 0; i < count && i < 256; i++) {
        char path[64], text[256];
        snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pids[i]);
        FILE *file = fopen(path, "re");
        size_t n = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;
        if (file != NULL)
            fclose(file);
        text[n] = '\0';
        if (n > 0 && strncmp(text, title, strlen(title)) == 0)
            return false;
    }
    return true;
}

void expect_no_child(struct devagent *agent, const char *title)
{
    if (!wait_until(agent, no_child, (void *)(uintptr_t)title))
        fail_with_story(agent, "there is still a process '%s'", title);
}

int64_t since_event(struct devagent *agent, int type, const struct devagent_update *update)
{
    const struct devagent_event *event = devagent_last_event(agent, type);
    cr_assert_not_null(event);
    return milliseconds(update->received_ns - event->sent_ns);
}
