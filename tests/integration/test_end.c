/*
 * How a task's end is told: by itself, by its time limit, while it is killed. Which states come, and in which
 * words.
 */
#include "tests/integration/stage.h"

static struct devagent *agent_begin_with_killing(void)
{
    struct devagent_options options = agent_options();
    options.task_killing_state = true;
    return agent_begin(&options);
}

/* ---- by itself ---- */

Test(end, code_0_is_finished_and_not_killing)
{
    struct devagent *agent = agent_begin_with_killing();
    devagent_launch_command(agent, "t", "exit 0");
    const struct devagent_update *update = expect_state(agent, "t", FINISHED);
    expect_message(agent, update, "code 0");
    cr_assert_not(update->has_reason);
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    agent_end(agent, 0);
}

Test(end, another_code_is_failed_and_not_killing)
{
    struct devagent *agent = agent_begin_with_killing();
    devagent_launch_command(agent, "t", "exit 255");
    const struct devagent_update *update = expect_state(agent, "t", FAILED);
    expect_message(agent, update, "code 255");
    cr_assert_not(update->has_reason);
    expect_states(agent, "t", "STARTING RUNNING FAILED");
    agent_end(agent, 0);
}

Test(end, a_signal_is_named)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "kill -SEGV $$");
    const struct devagent_update *update = expect_state(agent, "t", FAILED);
    expect_message(agent, update, "signal 11");
    expect_message(agent, update, "Segmentation fault");
    agent_end(agent, 0);
}

/* A signal from elsewhere is no kill of ours. */
Test(end, SIGTERM_from_elsewhere_is_a_failure)
{
    struct devagent *agent = agent_begin_with_killing();
    devagent_launch_command(agent, "t", "kill -TERM $$");
    expect_message(agent, expect_state(agent, "t", FAILED), "signal 15");
    expect_states(agent, "t", "STARTING RUNNING FAILED");
    agent_end(agent, 0);
}

Test(end, SIGKILL_from_elsewhere_is_a_failure)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "kill -KILL $$");
    expect_message(agent, expect_state(agent, "t", FAILED), "signal 9");
    agent_end(agent, 0);
}

/* The exit is what the reaper saw, not an end of file. */
Test(end, output_held_open_by_another)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "exec " HELPER("daemonise") " holder 1 exit");
    expect_state(agent, "t", FINISHED);
    agent_end(agent, 0);
}

/* ---- killed ---- */

Test(end, TASK_KILLING_for_who_knows_it)
{
    struct devagent *agent = agent_begin_with_killing();
    devagent_launch_command(agent, "t", HELPER("hear") " me");
    expect_state(agent, "t", RUNNING);
    expect_pid(agent, "me ready");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLING KILLED");
    agent_end(agent, 0);
}

Test(end, no_TASK_KILLING_for_others)
{
    struct devagent *agent = agent_begin_task(NULL, "t", HELPER("hear") " me");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    agent_end(agent, 0);
}

Test(end, TASK_KILLING_comes_once)
{
    struct devagent *agent = agent_begin_with_killing();
    devagent_launch_command(agent, "t", HELPER("hear") " me ignore");
    expect_state(agent, "t", RUNNING);
    expect_pid(agent, "me ready");
    devagent_kill(agent, "t", 60000);
    devagent_kill(agent, "t", 50000);
    expect_state(agent, "t", KILLING);
    devagent_kill(agent, "t", 0);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLING KILLED");
    agent_end(agent, 0);
}

Test(end, code_0_during_a_kill_is_killed)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "exec " HELPER("hear") " me");
    expect_state(agent, "t", RUNNING);
    expect_pid(agent, "me ready");
    devagent_kill(agent, "t", -1);
    expect_message(agent, expect_state(agent, "t", KILLED), "code 0");
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    agent_end(agent, 0);
}

Test(end, another_code_during_a_kill_is_killed)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done");
    expect_state(agent, "t", RUNNING);
    expect_file(agent, "stdout", "ready");
    devagent_kill(agent, "t", -1);
    expect_message(agent, expect_state(agent, "t", KILLED), "code 9");
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    agent_end(agent, 0);
}

/* ---- max_completion_time ---- */

/* No grace and no TASK_KILLING, whatever the kill policy says. */
Test(end, the_time_limit)
{
    struct devagent *agent = agent_begin_with_killing();
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'command': {'value': '%s me ignore'}, "
                "'max_completion_time': {'nanoseconds': 1500000000}, "
                "'kill_policy': {'grace_period': {'nanoseconds': 60000000000}}}",
                HELPER("hear"));
    const struct devagent_update *update = expect_state(agent, "t", FAILED);
    expect_message(agent, update, "max_completion_time");
    cr_assert(update->has_reason);
    cr_assert_eq((int)update->reason, 33);
    expect_states(agent, "t", "STARTING RUNNING FAILED");
    agent_end(agent, 0);
}

Test(end, the_time_limit_counts_from_the_start)
{
    struct devagent *agent = agent_begin(NULL);
    int64_t before = devagent_now_ns();
    launch_json(agent, "{'task_id': {'value': 't'}, 'command': {'value': 'exec sleep 100'}, "
                       "'max_completion_time': {'nanoseconds': 300000000}}");
    const struct devagent_update *update = expect_state(agent, "t", FAILED);
    cr_assert_geq(milliseconds(update->received_ns - before), 300);
    agent_end(agent, 0);
}

Test(end, finished_before_the_time_limit)
{
    struct devagent *agent = agent_begin_task(NULL, "other", "exec sleep 100");
    launch_json(agent, "{'task_id': {'value': 't'}, 'command': {'value': 'true'}, "
                       "'max_completion_time': {'nanoseconds': 1500000000}}");
    expect_state(agent, "t", FINISHED);
    devagent_run_for(agent, 1600); /* nothing comes after it */
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    devagent_kill(agent, "other", 0);
    expect_state(agent, "other", KILLED);
    agent_end(agent, 0);
}

Test(end, killed_before_the_time_limit)
{
    struct devagent *agent = agent_begin(NULL);
    launch_json(agent, "{'task_id': {'value': 't'}, 'command': {'value': 'exec sleep 100'}, "
                       "'max_completion_time': {'nanoseconds': 60000000000}}");
    expect_state(agent, "t", RUNNING);
    devagent_kill(agent, "t", -1);
    const struct devagent_update *update = expect_state(agent, "t", KILLED);
    cr_assert_not(update->has_reason);
    agent_end(agent, 0);
}

/* A kill that has begun is not overtaken by the limit: the first cause decides. */
Test(end, the_time_limit_during_a_kill)
{
    struct devagent *agent = agent_begin(NULL);
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'command': {'value': 'exec %s me ignore'}, "
                "'max_completion_time': {'nanoseconds': 2000000000}}",
                HELPER("hear"));
    expect_pid(agent, "me ready");
    devagent_kill(agent, "t", 2500);
    const struct devagent_update *update = expect_state(agent, "t", KILLED);
    cr_assert_not(update->has_reason);
    agent_end(agent, 0);
}

Test(end, a_time_limit_of_nothing)
{
    struct devagent *agent = agent_begin(NULL);
    launch_json(agent, "{'task_id': {'value': 't'}, 'command': {'value': 'exec sleep 100'}, "
                       "'max_completion_time': {'nanoseconds': 0}}");
    const struct devagent_update *update = expect_state(agent, "t", FAILED);
    cr_assert_eq((int)update->reason, 33);
    agent_end(agent, 0);
}

/* ---- the executor's own end ---- */

/* With TASK_KILLING or without, after any mix: the executor leaves when nothing is owed any more. */
Test(end, the_executor_stays_until_acknowledged)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_set_ack(agent, DEVAGENT_ACK_WITHHOLD_TERMINAL, 0);
    devagent_launch_command(agent, "t", "exit 0");
    expect_state(agent, "t", FINISHED);
    devagent_run_for(agent, 250);
    cr_assert_not(devagent_has_exited(agent));
    devagent_release_acks(agent, false);
    agent_end(agent, 0);
}
