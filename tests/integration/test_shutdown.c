/*
 * The executor is told to end: SHUTDOWN inside the agent's grace, SIGTERM, SIGINT, and an agent that is not
 * there to hear of it.
 */
#include <signal.h>
#include <stdio.h>

#include "tests/integration/stage.h"

/* A task that hears SIGTERM, stays, and would have a minute of grace in a kill. */
static struct devagent *agent_begin_stubborn(int64_t shutdown_grace_ms)
{
    struct devagent_options options = agent_options();
    options.shutdown_grace_ms = shutdown_grace_ms;
    struct devagent *agent = agent_begin(&options);
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'command': {'value': 'exec %s me ignore'}, "
                "'kill_policy': {'grace_period': {'nanoseconds': 60000000000}}}",
                HELPER("hear"));
    expect_state(agent, "t", RUNNING);
    expect_pid(agent, "me ready");
    return agent;
}

static void expect_killed(struct devagent *agent, const char *words)
{
    expect_message(agent, expect_state(agent, "t", KILLED), words);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
}

static void signal_executor(struct devagent *agent, int number)
{
    cr_assert_eq(send_signal(devagent_executor_pid(agent), number), 0);
}

/* ---- SHUTDOWN ---- */

Test(shutdown, inside_the_usual_grace)
{
    struct devagent *agent = agent_begin_stubborn(5000);
    int64_t before = devagent_now_ns();
    devagent_shutdown(agent);
    expect_killed(agent, "signal 9");
    const struct devagent_update *update = devagent_last_update(agent, "t");
    cr_assert_geq(milliseconds(update->received_ns - before), 1000, "it had next to no grace");
    agent_end_in_time(agent, 0);
}

Test(shutdown, inside_a_short_grace)
{
    struct devagent *agent = agent_begin_stubborn(2000);
    devagent_shutdown(agent);
    expect_killed(agent, "signal 9");
    cr_assert(output_has(agent, "me heard TERM"));
    agent_end_in_time(agent, 0);
}

Test(shutdown, a_willing_task_is_not_waited_for)
{
    struct devagent_options options = agent_options();
    options.shutdown_grace_ms = 60000;
    struct devagent *agent = agent_begin(&options);
    devagent_launch_command(agent, "t", "exec " HELPER("hear") " me");
    expect_pid(agent, "me ready");
    devagent_shutdown(agent);
    expect_killed(agent, "code 0");
    agent_end_in_time(agent, 0);
}

Test(shutdown, many_tasks)
{
    struct devagent *agent = agent_begin_stubborn(3000);
    devagent_launch_command(agent, "daemons", "exec " HELPER("daemonise") " ghost 3 stay");
    devagent_launch_command(agent, "storm", "exec " HELPER("fork_storm") " 2");
    devagent_launch_command(agent, "over", "exit 3");
    expect_pid(agent, "ghost ready");
    expect_pid(agent, "storm ready");
    expect_state(agent, "over", FAILED);
    devagent_shutdown(agent);
    expect_killed(agent, "signal 9");
    expect_state(agent, "daemons", KILLED);
    expect_state(agent, "storm", KILLED);
    expect_states(agent, "over", "STARTING RUNNING FAILED");
    agent_end_in_time(agent, 0);
}

Test(shutdown, during_a_kill)
{
    struct devagent *agent = agent_begin_stubborn(2000);
    devagent_kill(agent, "t", 60000);
    expect_file(agent, "stdout", "me heard TERM");
    devagent_shutdown(agent);
    expect_killed(agent, "signal 9");
    agent_end_in_time(agent, 0);
}

/* A kill policy does not lengthen it. */
Test(shutdown, a_kill_during_it)
{
    struct devagent *agent = agent_begin_stubborn(2000);
    devagent_shutdown(agent);
    expect_file(agent, "stdout", "me heard TERM");
    devagent_kill(agent, "t", 60000);
    expect_killed(agent, "signal 9");
    agent_end_in_time(agent, 0);
}

/* But it may shorten. */
Test(shutdown, a_shorter_kill_during_it)
{
    struct devagent *agent = agent_begin_stubborn(120000);
    devagent_shutdown(agent);
    expect_file(agent, "stdout", "me heard TERM");
    devagent_kill(agent, "t", 0);
    expect_killed(agent, "signal 9");
    agent_end_in_time(agent, 0);
}

Test(shutdown, with_TASK_KILLING)
{
    struct devagent_options options = agent_options();
    options.task_killing_state = true;
    struct devagent *agent = agent_begin_task(&options, "t", "exec sleep 100");
    devagent_shutdown(agent);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLING KILLED");
    agent_end_in_time(agent, 0);
}

/* No acknowledgement comes: it leaves all the same, before the container is destroyed, and says so. */
Test(shutdown, without_an_acknowledgement)
{
    struct devagent *agent = agent_begin_stubborn(2000);
    devagent_set_ack(agent, DEVAGENT_ACK_WITHHOLD_TERMINAL, 0);
    devagent_shutdown(agent);
    expect_killed(agent, "signal 9");
    agent_end_in_time(agent, 1);
}

/* ---- signals ---- */

static void ends_by(int number)
{
    struct devagent *agent = agent_begin_stubborn(2000);
    signal_executor(agent, number);
    expect_killed(agent, "signal");
    cr_assert(output_has(agent, "me heard TERM"));
    agent_end(agent, 0);
}

Test(shutdown, by_SIGTERM)
{
    ends_by(SIGTERM);
}

Test(shutdown, by_SIGINT)
{
    ends_by(SIGINT);
}

/* A second signal changes nothing: the end is fixed. */
Test(shutdown, by_signals_over_and_over)
{
    struct devagent *agent = agent_begin_stubborn(2000);
    for (int i = 0; i < 5; i++) {
        signal_executor(agent, i % 2 == 0 ? SIGTERM : SIGINT);
        devagent_run_for(agent, 50);
    }
    expect_killed(agent, "signal 9");
    agent_end(agent, 0);
}

Test(shutdown, by_SIGTERM_without_a_task)
{
    struct devagent *agent = agent_begin(NULL);
    cr_assert_eq(devagent_wait_subscribed(agent, DEADLINE_MS), 0);
    signal_executor(agent, SIGTERM);
    agent_end(agent, 0);
}

/* Nobody takes the update: it still ends the task and leaves, and the exit code tells. */
Test(shutdown, by_SIGTERM_while_the_agent_is_down)
{
    struct devagent *agent = agent_begin_stubborn(2000);
    devagent_stop(agent);
    signal_executor(agent, SIGTERM);
    agent_end(agent, 1);
}

Test(shutdown, by_SIGTERM_while_no_agent_was_ever_up)
{
    struct devagent_options options = agent_options();
    options.not_listening = true;
    struct devagent *agent = agent_begin(&options);
    wait_child(agent, "agent-client");
    signal_executor(agent, SIGTERM);
    if (devagent_wait_exit(agent, DEADLINE_MS) < 0)
        fail_with_story(agent, "the executor did not leave");
    agent_end(agent, devagent_exit_code(agent));
}
