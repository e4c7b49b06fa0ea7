#ifndef BULKHEAD_TESTS_INTEGRATION_STAGE_H
#define BULKHEAD_TESTS_INTEGRATION_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tests/integration/support.h"

/*
 * Tasks, files and processes for tests of a task's life: short forms over devagent for what is written into
 * the sandbox before the executor starts, for tasks in Mesos' JSON, and for the processes that are there.
 */

/* Launches a task in Mesos' v1 JSON, written with ' for " so that C can hold it. */
void launch_json(struct devagent *agent, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same as a message, for devagent_launch_group(); freed by mesos__v1__task_info__free_unpacked(). */
Mesos__V1__TaskInfo *parse_task(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Launches a task without a command of its own and with this executor's command, as Marathon does. The same
 * line starts the executor: options->executor_command.
 */
void launch_executor_line(struct devagent *agent, const char *task_id, const char *line);

/* An executor started with this command line, which the task's TaskInfo.executor.command has too. */
struct devagent *agent_begin_line(const struct devagent_options *options, const char *task_id,
                                  const char *line);

/* Waits until the sandbox's stdout has "<words> <number>" and returns the number. */
pid_t expect_pid(struct devagent *agent, const char *words);

/* The sandbox's stdout has the text. It does not wait. */
bool output_has(struct devagent *agent, const char *text);

/* Both texts are in the sandbox's stdout, the first one first; fails the test when not. It does not wait. */
void expect_order(struct devagent *agent, const char *first, const char *second);

/* Live processes of the executor's container with this comm. */
size_t count_named(struct devagent *agent, const char *comm);

/* Waits until there are so many. */
void expect_named(struct devagent *agent, const char *comm, size_t count);

/* Waits until the process is dead (a zombie counts as dead). */
void expect_dead(struct devagent *agent, pid_t pid);

/* Copies a file into the sandbox, with this mode; fails the test when it cannot. */
void stage_file(struct devagent *agent, const char *from, const char *name, mode_t mode);

/* A symbolic link in the sandbox. */
void stage_link(struct devagent *agent, const char *to, const char *name);

/* Waits for the exit, then checks that the agent did not have to destroy the container, and agent_end(). */
void agent_end_in_time(struct devagent *agent, int exit_code);

int64_t milliseconds(int64_t nanoseconds);

#endif
