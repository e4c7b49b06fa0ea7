/*
 * The executor's own processes are killed or stopped: the supervisor, a keeper. The task and all it ever
 * forked go with them, or the kill still works, and no other task notices. Also what ps shows of them.
 */
#include <signal.h>
#include <stdio.h>

#include "tests/integration/stage.h"

static void kill_supervisor(struct devagent *agent)
{
    cr_assert_eq(send_signal(devagent_executor_pid(agent), SIGKILL), 0);
}

Test(crash, titles_say_role_and_state)
{
    struct devagent *agent = agent_begin_task(NULL, "web.1", "exec sleep 100");
    wait_child(agent, "supervisor: web.1 RUNNING");
    wait_child(agent, "keeper: web.1");
    wait_child(agent, "agent-client");
    devagent_launch_command(agent, "web.2", "exec sleep 100");
    expect_state(agent, "web.2", RUNNING);
    wait_child(agent, "supervisor: 2 tasks");
    devagent_kill(agent, "web.2", -1);
    expect_state(agent, "web.2", KILLED);
    wait_child(agent, "supervisor: web.1 RUNNING");
    devagent_kill(agent, "web.1", -1);
    agent_end(agent, 0);
}

/* ---- the supervisor ---- */

Test(crash, a_killed_supervisor_takes_its_task_along)
{
    struct devagent *agent =
        agent_begin_task(NULL, "t", "trap '' TERM HUP; " HELPER("hear") " me ignore; true");
    pid_t task = expect_pid(agent, "me ready"), keeper = wait_child(agent, "keeper: t");
    pid_t client = wait_child(agent, "agent-client");
    kill_supervisor(agent);
    expect_dead(agent, task);
    expect_dead(agent, keeper);
    expect_dead(agent, client);
    agent_end(agent, 128 + SIGKILL);
}

Test(crash, a_killed_supervisor_takes_daemons_along)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "one", "exec " HELPER("daemonise") " ghost-one 5 stay");
    devagent_launch_command(agent, "two", "exec " HELPER("daemonise") " ghost-two 5 stay");
    expect_pid(agent, "ghost-one ready");
    expect_pid(agent, "ghost-two ready");
    kill_supervisor(agent);
    agent_end(agent, 128 + SIGKILL);
}

Test(crash, a_killed_supervisor_takes_a_fork_storm_along)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "exec " HELPER("fork_storm") " 4");
    expect_pid(agent, "storm ready");
    kill_supervisor(agent);
    agent_end(agent, 128 + SIGKILL);
}

Test(crash, a_killed_supervisor_in_the_middle_of_a_kill)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "exec " HELPER("daemonise") " ghost 5 stay");
    expect_pid(agent, "ghost ready");
    devagent_kill(agent, "t", 60000);
    expect_named(agent, "daemonise", 0); /* it heard SIGTERM, the daemons did not */
    cr_assert_eq(count_named(agent, "ghost"), 5);
    kill_supervisor(agent);
    agent_end(agent, 128 + SIGKILL);
}

/* At whatever moment of a launch: a task whose supervisor is gone does not start, or ends. */
Test(crash, a_killed_supervisor_at_any_moment_of_a_launch)
{
    for (int i = 0; i < 10; i++) {
        struct devagent *agent = agent_begin(NULL);
        cr_assert_eq(devagent_wait_subscribed(agent, DEADLINE_MS), 0);
        devagent_launch_command(agent, "t", HELPER("daemonise") " ghost 2 stay");
        for (int round = 0; round <= i; round++)
            devagent_pump(agent, 1);
        kill_supervisor(agent);
        agent_end(agent, 128 + SIGKILL);
    }
}

/* ---- a keeper ---- */

Test(crash, a_killed_keeper_ends_its_task)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "one", "exec " HELPER("daemonise") " ghost-one 5 stay");
    devagent_launch_command(agent, "two", "exec " HELPER("daemonise") " ghost-two 5 stay");
    expect_state(agent, "two", RUNNING);
    expect_pid(agent, "ghost-one ready");
    expect_pid(agent, "ghost-two ready");
    cr_assert_eq(send_signal(wait_child(agent, "keeper: one"), SIGKILL), 0);
    expect_message(agent, expect_state(agent, "one", FAILED), "keeper was killed by signal 9");
    cr_assert_eq(count_named(agent, "ghost-one"), 0, "the update came before the daemons were gone");
    cr_assert_eq(count_named(agent, "ghost-two"), 5);
    expect_states(agent, "two", "STARTING RUNNING");
    devagent_kill(agent, "two", 0);
    expect_state(agent, "two", KILLED);
    agent_end(agent, 0);
}

Test(crash, a_killed_keeper_of_a_fork_storm)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "exec " HELPER("fork_storm") " 4");
    expect_pid(agent, "storm ready");
    cr_assert_eq(send_signal(wait_child(agent, "keeper: t"), SIGKILL), 0);
    expect_message(agent, expect_state(agent, "t", FAILED), "keeper");
    cr_assert_eq(count_named(agent, "fork_storm"), 0);
    agent_end(agent, 0);
}

/* The kill was first, and it stays the cause. */
Test(crash, a_killed_keeper_in_the_middle_of_a_kill)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "exec " HELPER("hear") " me ignore");
    expect_state(agent, "t", RUNNING);
    expect_pid(agent, "me ready");
    devagent_kill(agent, "t", 60000);
    expect_file(agent, "stdout", "me heard TERM");
    cr_assert_eq(send_signal(wait_child(agent, "keeper: t"), SIGKILL), 0);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    agent_end(agent, 0);
}

/* Signals that would end another process do not end a keeper. */
Test(crash, a_keeper_does_not_mind_SIGTERM)
{
    struct devagent *agent = agent_begin_task(NULL, "t", "exec sleep 100");
    pid_t keeper = wait_child(agent, "keeper: t");
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGALRM, SIGPIPE};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        cr_assert_eq(send_signal(keeper, numbers[i]), 0);
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    agent_end(agent, 0);
}

Test(crash, a_stopped_keeper_still_kills)
{
    struct devagent *agent = agent_begin_task(NULL, "t", "exec sleep 100");
    cr_assert_eq(send_signal(wait_child(agent, "keeper: t"), SIGSTOP), 0);
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    agent_end(agent, 0);
}

Test(crash, a_keeper_stopped_over_and_over_tells_of_the_exit)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "mkfifo go; echo waits; read line <go; exit 3");
    expect_file(agent, "stdout", "waits");
    pid_t keeper = wait_child(agent, "keeper: t");
    devagent_launch_command(agent, "push", "echo >go");
    for (int i = 0; i < 10; i++) {
        send_signal(keeper, SIGSTOP);
        devagent_pump(agent, 2);
    }
    expect_message(agent, expect_state(agent, "t", FAILED), "code 3");
    expect_state(agent, "push", FINISHED);
    agent_end(agent, 0);
}
