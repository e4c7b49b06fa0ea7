/*
 * Short forms for the integration tests; see support.h.
 */
#include "tests/integration/support.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct devagent_options agent_options(void)
{
    static const char *const argv[] = {TEST_BIN_DIR "/supervisor", NULL};
    struct devagent_options options;
    devagent_options_init(&options);
    options.executor_argv = argv;
    options.checkpoint = true;
    return options;
}

struct devagent *agent_begin(const struct devagent_options *options)
{
    struct devagent_options defaults = agent_options();
    struct devagent *agent;
    cr_assert_eq(devagent_create(options != NULL ? options : &defaults, &agent), 0,
                 "the agent cannot be made");
    cr_assert_eq(devagent_start_executor(agent), 0, "the executor cannot be started");
    return agent;
}

struct devagent *agent_begin_task(const struct devagent_options *options, const char *task_id,
                                  const char *command)
{
    struct devagent *agent = agent_begin(options);
    cr_assert_eq(devagent_launch_command(agent, task_id, command), 0);
    expect_state(agent, task_id, RUNNING);
    return agent;
}

_Noreturn void fail_with_story(struct devagent *agent, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    devagent_dump(agent, stderr);
    devagent_destroy(agent);
    cr_assert_fail("%s", text);
    abort(); /* cr_assert_fail does not return, which its declaration does not say */
}

const struct devagent_update *expect_state(struct devagent *agent, const char *task_id,
                                           Mesos__V1__TaskState state)
{
    const struct devagent_update *update = devagent_wait_state(agent, task_id, state, DEADLINE_MS);
    if (update == NULL)
        fail_with_story(agent, "%s of %s did not come; there was: %s", devagent_state_name(state), task_id,
                        devagent_states(agent, task_id));
    return update;
}

void expect_states(struct devagent *agent, const char *task_id, const char *states)
{
    if (strcmp(devagent_states(agent, task_id), states) != 0)
        fail_with_story(agent, "states of %s: %s, not %s", task_id, devagent_states(agent, task_id), states);
}

void expect_message(struct devagent *agent, const struct devagent_update *update, const char *text)
{
    if (update->message == NULL || strstr(update->message, text) == NULL)
        fail_with_story(agent, "message '%s' does not contain '%s'",
                        update->message ? update->message : "(none)", text);
}

void expect_file(struct devagent *agent, const char *name, const char *text)
{
    if (devagent_wait_file(agent, name, text, DEADLINE_MS) < 0)
        fail_with_story(agent, "'%s' did not come in the file %s", text, name);
}

bool wait_until(struct devagent *agent, devagent_predicate *predicate, void *arg)
{
    int64_t end = devagent_now_ns() + DEADLINE_MS * INT64_C(1000000);
    while (!predicate(agent, arg)) {
        if (devagent_now_ns() > end)
            return false;
        devagent_pump(agent, 5);
    }
    return true;
}

static bool nothing_left(struct devagent *agent, void *arg)
{
    (void)arg;
    return devagent_left_behind(agent) == 0;
}

void agent_end(struct devagent *agent, int exit_code)
{
    if (devagent_wait_exit(agent, DEADLINE_MS) < 0)
        fail_with_story(agent, "the executor did not leave");
    if (devagent_exit_code(agent) != exit_code)
        fail_with_story(agent, "exit code %d, not %d", devagent_exit_code(agent), exit_code);
    if (devagent_mistake_count(agent) > 0)
        fail_with_story(agent, "mistake: %s", devagent_mistake_at(agent, 0));
    if (exit_code == 0 && devagent_unacked_terminal(agent) > 0)
        fail_with_story(agent, "%zu terminal updates not acknowledged", devagent_unacked_terminal(agent));
    if (!wait_until(agent, nothing_left, NULL))
        fail_with_story(agent, "%zu processes left behind", devagent_left_behind(agent));
    devagent_destroy(agent);
}

void agent_drop(struct devagent *agent)
{
    devagent_destroy(agent);
}

struct wanted_child {
    const char *title;
    pid_t pid;
};

static bool has_title(pid_t pid, const char *title)
{
    char path[64];
    char text[256];
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = '\0';
    return strncmp(text, title, strlen(title)) == 0;
}

static bool find_child(struct devagent *agent, void *arg)
{
    struct wanted_child *wanted = arg;
    pid_t pids[256];
    size_t count = devagent_processes(agent, pids, 256);
    for (size_t i = 0; i < count && i < 256; i++) {
        if (!has_title(pids[i], wanted->title))
            continue;
        wanted->pid = pids[i];
        return true;
    }
    return false;
}

pid_t wait_child(struct devagent *agent, const char *title)
{
    struct wanted_child wanted = {.title = title};
    if (!wait_until(agent, find_child, &wanted))
        fail_with_story(agent, "no process '%s' came", title);
    return wanted.pid;
}
