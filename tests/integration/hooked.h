#ifndef BULKHEAD_TESTS_INTEGRATION_HOOKED_H
#define BULKHEAD_TESTS_INTEGRATION_HOOKED_H

#include "tests/integration/stage.h"

/*
 * An executor with a folder of executable hooks. One per test (each runs in a process of its own): the
 * folder's name and the settings are kept here.
 *
 * The hooks run with the sandbox as their working directory and tell what happens in its file "journal", to
 * which the tasks write as well: one file, so that its order is the order of what happened.
 */

/* What a hook begins with to be in the journal: "AfterTaskStart t 4711", the last its pid. */
#define NOTE "echo \"$1 $BULKHEAD_TASK_ID $$\" >>journal\n"

/* A folder for hooks, empty, and ALLEGRO_EXECUTOR_HOOKS_DIR set to it. */
void hooked_begin(void);

/* A setting, "NAME=value"; the text is borrowed. */
void hooked_set(const char *setting);

/* A hook: a shell script with this text. */
void hooked_add(const char *name, const char *script);

/* The same with other permissions than 0755. */
void hooked_add_with_mode(const char *name, const char *script, mode_t mode);

/* Options with the settings so far as the executor's environment. */
struct devagent_options hooked_options(void);

/* An agent with these options, its executor started. */
struct devagent *hooked_agent(void);

/* A task that hears SIGTERM, its lines in the journal: "t ready PID", "t heard TERM". way is hear's. */
void hooked_launch(struct devagent *agent, const char *task_id, const char *way);

/* Removes the folder; for TestSuite(.fini). */
void hooked_end(void);

/* Waits until the journal has all of these texts in this order; the list ends with NULL. */
void expect_journal(struct devagent *agent, const char *first, ...) __attribute__((sentinel));

/* How often the text is in the journal; does not wait. */
size_t journal_count(struct devagent *agent, const char *text);

/* Waits until the journal has "<words> PID" and returns the pid. */
pid_t journal_pid(struct devagent *agent, const char *words);

/* Whether a text is in a file of the sandbox; does not wait. */
bool file_has(struct devagent *agent, const char *name, const char *text);

/* Waits until there is no process any more whose title begins so. */
void expect_no_child(struct devagent *agent, const char *title);

/* Milliseconds from the agent's last event of a type to an update. */
int64_t since_event(struct devagent *agent, int type, const struct devagent_update *update);
#define SINCE_KILL(agent, update) since_event(agent, MESOS__V1__EXECUTOR__EVENT__TYPE__KILL, update)

#endif
