#ifndef BULKHEAD_TESTS_INTEGRATION_SUPPORT_H
#define BULKHEAD_TESTS_INTEGRATION_SUPPORT_H

#include <criterion/criterion.h>

#include "tests/devagent/devagent.h"
#include "tests/send_signal.h"

/*
 * What the integration tests share: an agent with the real supervisor under it, short forms of what nearly
 * every test does, and the check that every test ends with. All waits have the one deadline below: far beyond
 * anything that is measured, so that a loaded machine fails no test.
 */
enum { DEADLINE_MS = 20000 };

/* The states as devagent names them, short. */
#define STARTING MESOS__V1__TASK_STATE__TASK_STARTING
#define RUNNING MESOS__V1__TASK_STATE__TASK_RUNNING
#define KILLING MESOS__V1__TASK_STATE__TASK_KILLING
#define KILLED MESOS__V1__TASK_STATE__TASK_KILLED
#define FAILED MESOS__V1__TASK_STATE__TASK_FAILED
#define FINISHED MESOS__V1__TASK_STATE__TASK_FINISHED

/* Path of a program of tests/helpers/. */
#define HELPER(name) TEST_HELPER_DIR "/" name

/* Options with the supervisor as the executor; to be changed before agent_begin(). */
struct devagent_options agent_options(void);

/* An agent with these options (NULL for agent_options()) and the executor started, if it listens or not. */
struct devagent *agent_begin(const struct devagent_options *options);

/* The same, with a task of this shell command launched and RUNNING. */
struct devagent *agent_begin_task(const struct devagent_options *options, const char *task_id,
                                  const char *command);

/*
 * Waits for something that no event of the agent's announces (a process, a file of /proc): looks every few
 * milliseconds. Returns false when it did not come.
 */
bool wait_until(struct devagent *agent, devagent_predicate *predicate, void *arg);

/* Waits for a state and fails the test, with everything that happened, when it does not come. */
const struct devagent_update *expect_state(struct devagent *agent, const char *task_id,
                                           Mesos__V1__TaskState state);

/* The task's states so far are exactly these: "STARTING RUNNING KILLED". */
void expect_states(struct devagent *agent, const char *task_id, const char *states);

/* The update's message contains text. */
void expect_message(struct devagent *agent, const struct devagent_update *update, const char *text);

/* Waits until the sandbox's file has the text. */
void expect_file(struct devagent *agent, const char *name, const char *text);

/*
 * Waits for the executor to leave with this code, then checks what must hold after every test: no mistake in
 * the conversation, no process left behind, every terminal update acknowledged when the code is 0. Destroys
 * the agent.
 */
void agent_end(struct devagent *agent, int exit_code);

/* Destroys the agent, for tests that end otherwise. */
void agent_drop(struct devagent *agent);

/* Fails the test after printing everything that the agent saw. */
_Noreturn void fail_with_story(struct devagent *agent, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The pid of the executor's child whose title begins so ("agent-client", "keeper: t"), waited for; fails the
 * test when none comes. */
pid_t wait_child(struct devagent *agent, const char *title);

#endif
