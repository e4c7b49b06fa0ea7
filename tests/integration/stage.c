/*
 * Tasks, files and processes for tests of a task's life; see stage.h.
 */
#include "tests/integration/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int64_t milliseconds(int64_t nanoseconds)
{
    return nanoseconds / 1000000;
}

/* --- tasks --- */

__attribute__((format(printf, 1, 0))) static Mesos__V1__TaskInfo *parse(const char *format, va_list arguments)
    __attribute__((format(printf, 1, 0)));

__attribute__((format(printf, 1, 0))) static Mesos__V1__TaskInfo *parse(const char *format, va_list arguments)
{
    char *json;
    cr_assert_geq(vasprintf(&json, format, arguments), 0);
    for (char *c = json; *c != '\0'; c++)
        if (*c == '\'')
            *c = '"';
    Mesos__V1__TaskInfo *task = NULL;
    char *error = NULL;
    int r = devagent_parse_task(json, &task, &error);
    cr_assert_eq(r, 0, "%s in %s", error != NULL ? error : strerror(-r), json);
    free(json);
    return task;
}

Mesos__V1__TaskInfo *parse_task(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    Mesos__V1__TaskInfo *task = parse(format, arguments);
    va_end(arguments);
    return task;
}

void launch_json(struct devagent *agent, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    Mesos__V1__TaskInfo *task = parse(format, arguments);
    va_end(arguments);
    cr_assert_eq(devagent_launch(agent, task), 0);
    mesos__v1__task_info__free_unpacked(task, NULL);
}

void launch_executor_line(struct devagent *agent, const char *task_id, const char *line)
{
    Mesos__V1__TaskInfo task = MESOS__V1__TASK_INFO__INIT;
    Mesos__V1__TaskID id = MESOS__V1__TASK_ID__INIT;
    Mesos__V1__ExecutorInfo executor = MESOS__V1__EXECUTOR_INFO__INIT;
    Mesos__V1__ExecutorID executor_id = MESOS__V1__EXECUTOR_ID__INIT;
    Mesos__V1__CommandInfo command = MESOS__V1__COMMAND_INFO__INIT;
    id.value = (char *)(uintptr_t)task_id;
    executor_id.value = (char *)(uintptr_t)devagent_executor_id(agent);
    command.value = (char *)(uintptr_t)line;
    executor.executor_id = &executor_id;
    executor.command = &command;
    task.task_id = &id;
    task.executor = &executor;
    cr_assert_eq(devagent_launch(agent, &task), 0);
}

struct devagent *agent_begin_line(const struct devagent_options *options, const char *task_id,
                                  const char *line)
{
    struct devagent_options own = options != NULL ? *options : agent_options();
    own.executor_argv = NULL;
    own.executor_command = line;
    struct devagent *agent = agent_begin(&own);
    launch_executor_line(agent, task_id, line);
    return agent;
}

/* --- output --- */

bool output_has(struct devagent *agent, const char *text)
{
    char *output = devagent_read_file(agent, "stdout");
    bool found = strstr(output, text) != NULL;
    free(output);
    return found;
}

void expect_order(struct devagent *agent, const char *first, const char *second)
{
    char *output = devagent_read_file(agent, "stdout");
    const char *at = strstr(output, first);
    bool ordered = at != NULL && strstr(at, second) != NULL;
    if (!ordered)
        fail_with_story(agent, "'%s' and then '%s' is not in the output: %s", first, second, output);
    free(output);
}

struct wanted_pid {
    const char *words;
    int pid;
};

static bool find_pid(struct devagent *agent, void *arg)
{
    struct wanted_pid *wanted = arg;
    char *output = devagent_read_file(agent, "stdout");
    const char *at = strstr(output, wanted->words);
    int end = 0;
    if (at != NULL && sscanf(at + strlen(wanted->words), " %d%*1[\n]%n", &wanted->pid, &end) == 1 && end == 0)
        wanted->pid = 0; /* the line is not complete */
    free(output);
    return wanted->pid > 0;
}

pid_t expect_pid(struct devagent *agent, const char *words)
{
    struct wanted_pid wanted = {.words = words};
    if (!wait_until(agent, find_pid, &wanted))
        fail_with_story(agent, "'%s' and a pid did not come", words);
    return wanted.pid;
}

/* --- processes --- */

/* The state letter and comm; 'X' when there is no such process. */
static char read_state(pid_t pid, char comm[32])
{
    char path[64], line[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    size_t n = file != NULL ? fread(line, 1, sizeof(line) - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    line[n] = '\0';
    char *begin = strchr(line, '('), *end = strrchr(line, ')');
    if (begin == NULL || end == NULL || end[1] == '\0')
        return 'X';
    snprintf(comm, 32, "%.*s", (int)(end - begin - 1), begin + 1);
    return end[2];
}

size_t count_named(struct devagent *agent, const char *comm)
{
    static pid_t pids[4096];
    size_t total = devagent_processes(agent, pids, 4096), named = 0;
    for (size_t i = 0; i < total && i < 4096; i++) {
        char name[32] = "";
        char state = read_state(pids[i], name);
        named += state != 'X' && state != 'Z' && strcmp(name, comm) == 0;
    }
    return named;
}

struct wanted_count {
    const char *comm;
    size_t count;
};

static bool are_so_many(struct devagent *agent, void *arg)
{
    const struct wanted_count *wanted = arg;
    return count_named(agent, wanted->comm) == wanted->count;
}

void expect_named(struct devagent *agent, const char *comm, size_t count)
{
    struct wanted_count wanted = {.comm = comm, .count = count};
    if (!wait_until(agent, are_so_many, &wanted))
        fail_with_story(agent, "%zu processes called %s, not %zu", count_named(agent, comm), comm, count);
}

static bool is_dead(struct devagent *agent, void *arg)
{
    (void)agent;
    const pid_t *pid = arg;
    char name[32];
    char state = read_state(*pid, name);
    return state == 'X' || state == 'Z';
}

void expect_dead(struct devagent *agent, pid_t pid)
{
    if (!wait_until(agent, is_dead, &pid))
        fail_with_story(agent, "process %d lives", (int)pid);
}

/* --- the sandbox --- */

void stage_file(struct devagent *agent, const char *from, const char *name, mode_t mode)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", devagent_sandbox(agent), name);
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert(in >= 0 && out >= 0, "cannot copy %s to %s: %s", from, path, strerror(errno));
    static char bytes[1 << 16];
    ssize_t n;
    while ((n = read(in, bytes, sizeof(bytes))) > 0)
        cr_assert_eq(write(out, bytes, (size_t)n), n);
    cr_assert_eq(n, 0);
    cr_assert_eq(fchmod(out, mode), 0);
    close(in);
    cr_assert_eq(close(out), 0);
}

void stage_link(struct devagent *agent, const char *to, const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", devagent_sandbox(agent), name);
    cr_assert_eq(symlink(to, path), 0);
}

void agent_end_in_time(struct devagent *agent, int exit_code)
{
    if (devagent_wait_exit(agent, DEADLINE_MS) < 0)
        fail_with_story(agent, "the executor did not leave");
    if (devagent_destroyed(agent) != NULL)
        fail_with_story(agent, "the agent destroyed the container: %s", devagent_destroyed(agent));
    agent_end(agent, exit_code);
}
