/*
 * Everything that a task ever forked belongs to it: daemons, orphans, storms of forks, hundreds of processes.
 * It ends with its task, with no other task, and what cannot be ended is named.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/integration/stage.h"

static const char *const minute_of_grace[] = {"ALLEGRO_EXECUTOR_KILL_POLICY_GRACE_PERIOD=60s", NULL};

/* ---- what a task leaves behind ---- */

Test(descendants, children_left_behind_have_no_grace)
{
    struct devagent_options options = agent_options();
    options.environment = minute_of_grace;
    struct devagent *agent = agent_begin(&options);
    devagent_launch_command(agent, "t",
                            HELPER("hear") " child ignore & until grep -q ready stdout; do :; done; exit 0");
    expect_state(agent, "t", FINISHED);
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    cr_assert(output_has(agent, "child ready"));
    cr_assert_not(output_has(agent, "child heard"));
    cr_assert_eq(count_named(agent, "hear"), 0, "the update came before the child was gone");
    agent_end(agent, 0);
}

Test(descendants, daemons_left_behind)
{
    struct devagent *agent = agent_begin_task(NULL, "other", "exec sleep 100");
    devagent_launch_command(agent, "t", "exec " HELPER("daemonise") " ghost 5 exit");
    expect_state(agent, "t", FINISHED);
    cr_assert(output_has(agent, "ghost ready"));
    cr_assert_eq(count_named(agent, "ghost"), 0, "the update came before the daemons were gone");
    expect_states(agent, "other", "STARTING RUNNING");
    devagent_kill(agent, "other", -1);
    expect_state(agent, "other", KILLED);
    agent_end(agent, 0);
}

Test(descendants, daemons_left_behind_by_a_failure)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", HELPER("daemonise") " ghost 3 exit; exit 4");
    expect_message(agent, expect_state(agent, "t", FAILED), "code 4");
    cr_assert_eq(count_named(agent, "ghost"), 0);
    agent_end(agent, 0);
}

/* ---- killed trees ---- */

Test(descendants, daemons_of_a_killed_task)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "exec " HELPER("daemonise") " ghost 5 stay");
    expect_pid(agent, "ghost ready");
    devagent_kill(agent, "t", 300);
    expect_state(agent, "t", KILLED);
    cr_assert_eq(count_named(agent, "ghost"), 0, "the update came before the daemons were gone");
    agent_end(agent, 0);
}

Test(descendants, daemons_of_another_task_are_untouched)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "one", "exec " HELPER("daemonise") " ghost-one 3 stay");
    devagent_launch_command(agent, "two", "exec " HELPER("daemonise") " ghost-two 3 stay");
    expect_state(agent, "two", RUNNING);
    expect_pid(agent, "ghost-one ready");
    expect_pid(agent, "ghost-two ready");
    devagent_kill(agent, "one", 0);
    expect_state(agent, "one", KILLED);
    cr_assert_eq(count_named(agent, "ghost-one"), 0);
    cr_assert_eq(count_named(agent, "ghost-two"), 3);
    expect_states(agent, "two", "STARTING RUNNING");
    devagent_kill(agent, "two", 0);
    expect_state(agent, "two", KILLED);
    cr_assert_eq(count_named(agent, "ghost-two"), 0);
    agent_end(agent, 0);
}

Test(descendants, a_fork_storm_is_killed)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "exec " HELPER("fork_storm") " 4");
    expect_pid(agent, "storm ready");
    devagent_kill(agent, "t", 100);
    expect_state(agent, "t", KILLED);
    cr_assert_eq(count_named(agent, "fork_storm"), 0, "the update came before the storm was over");
    agent_end(agent, 0);
}

Test(descendants, a_fork_storm_is_left_behind)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t",
                            HELPER("fork_storm") " 4 & until grep -q ready stdout; do :; done; exit 0");
    expect_state(agent, "t", FINISHED);
    cr_assert_eq(count_named(agent, "fork_storm"), 0);
    agent_end(agent, 0);
}

Test(descendants, three_hundred_processes)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t",
                            "trap '' TERM; i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i+1)); done; echo "
                            "all there; wait");
    expect_file(agent, "stdout", "all there");
    expect_named(agent, "sleep", 300);
    devagent_kill(agent, "t", 100);
    expect_state(agent, "t", KILLED);
    cr_assert_eq(count_named(agent, "sleep"), 0);
    agent_end(agent, 0);
}

/* Names may hold what a reader of /proc/PID/stat stumbles over. */
Test(descendants, a_name_with_brackets_and_blanks)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "exec " HELPER("daemonise") " ') Z 1 (' 2 stay");
    expect_pid(agent, ") Z 1 ( ready");
    devagent_kill(agent, "t", 100);
    expect_state(agent, "t", KILLED);
    agent_end(agent, 0);
}

/* ---- what cannot be killed ---- */

/*
 * An executor without privileges, and a task that becomes root altogether by a setuid file: nobody but this
 * test can end it. The programs are copied, since a build folder need not be open to everybody.
 */
static struct devagent *agent_begin_immortal(struct devagent_options options, pid_t *ret_pid)
{
    options.user = "nobody";
    options.executor_argv = NULL;
    options.executor_command = "exec ./supervisor";
    struct devagent *agent;
    cr_assert_eq(devagent_create(&options, &agent), 0);
    struct statvfs mount;
    if (geteuid() != 0 || statvfs(devagent_sandbox(agent), &mount) < 0 || (mount.f_flag & ST_NOSUID) != 0) {
        devagent_destroy(agent);
        cr_skip_test("needs root and a temporary folder where setuid counts: nothing was tested");
    }
    stage_file(agent, TEST_BIN_DIR "/supervisor", "supervisor", 0755);
    stage_file(agent, TEST_BIN_DIR "/agent-client", "agent-client", 0755);
    stage_file(agent, HELPER("become_root"), "become_root", 04755);
    cr_assert_eq(devagent_start_executor(agent), 0);
    devagent_launch_command(agent, "t", "./become_root & wait");
    *ret_pid = expect_pid(agent, "root ready");
    return agent;
}

static void expect_named_in_update(struct devagent *agent, pid_t pid)
{
    const struct devagent_update *update = expect_state(agent, "t", KILLED);
    char text[64];
    snprintf(text, sizeof(text), "1 process could not be killed: %d (become_root)", (int)pid);
    expect_message(agent, update, text);
    expect_message(agent, update, "not permitted");
}

Test(descendants, what_cannot_be_killed_is_named)
{
    pid_t pid = 0;
    struct devagent *agent = agent_begin_immortal(agent_options(), &pid);
    devagent_kill(agent, "t", 0);
    expect_named_in_update(agent, pid);
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0, "the executor did not leave");
    cr_assert_eq(send_signal(pid, SIGKILL), 0);
    agent_end(agent, 1);
}

Test(descendants, what_cannot_be_killed_does_not_hold_up_a_shutdown)
{
    struct devagent_options options = agent_options();
    options.shutdown_grace_ms = 3000;
    pid_t pid = 0;
    struct devagent *agent = agent_begin_immortal(options, &pid);
    devagent_shutdown(agent);
    expect_named_in_update(agent, pid);
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0, "the executor did not leave");
    cr_assert_null(devagent_destroyed(agent), "%s", devagent_destroyed(agent));
    cr_assert_eq(send_signal(pid, SIGKILL), 0);
    agent_end(agent, 1);
}

/* The others of the same tree are killed all the same. */
Test(descendants, what_cannot_be_killed_does_not_protect_others)
{
    pid_t pid = 0;
    struct devagent *agent = agent_begin_immortal(agent_options(), &pid);
    devagent_launch_command(agent, "two", "exec sleep 100");
    expect_state(agent, "two", RUNNING);
    devagent_kill(agent, "t", 0);
    expect_named_in_update(agent, pid);
    expect_states(agent, "two", "STARTING RUNNING");
    devagent_kill(agent, "two", -1);
    expect_state(agent, "two", KILLED);
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0, "the executor did not leave");
    cr_assert_eq(send_signal(pid, SIGKILL), 0);
    agent_end(agent, 1);
}
