/*
 * KILL on its clock: who hears SIGTERM, when SIGKILL comes, which grace counts, what later kills change, and
 * processes that are left until last.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stage.h"

#define MINUTE_NS "60000000000"

static const char *const minute_of_grace[] = {"ALLEGRO_EXECUTOR_KILL_POLICY_GRACE_PERIOD=60s", NULL};

/* An agent whose executor has a grace of a minute unless the task or the kill says otherwise. */
static struct devagent *agent_begin_patient(void)
{
    struct devagent_options options = agent_options();
    options.environment = minute_of_grace;
    return agent_begin(&options);
}

/* A task that hears SIGTERM and stays. */
static struct devagent *agent_begin_deaf(struct devagent *agent, const char *more_of_task)
{
    launch_json(agent, "{'task_id': {'value': 't'}, 'command': {'value': 'exec %s me ignore'}%s}",
                HELPER("hear"), more_of_task);
    expect_state(agent, "t", RUNNING);
    expect_pid(agent, "me ready");
    return agent;
}

/* The kill took at least so long, counted from a moment before it was sent. */
static void expect_grace(struct devagent *agent, int64_t before, int64_t grace_ms)
{
    const struct devagent_update *update = expect_state(agent, "t", KILLED);
    int64_t took = milliseconds(update->received_ns - before);
    if (took < grace_ms)
        fail_with_story(agent, "the grace was %lld ms, not %lld", (long long)took, (long long)grace_ms);
    expect_message(agent, update, "signal 9");
    expect_states(agent, "t", "STARTING RUNNING KILLED");
}

/* ---- SIGTERM ---- */

/* The grace is a minute; who waited for it would be found out by the deadline. */
Test(kill, a_task_that_dies_at_once_is_not_waited_for)
{
    struct devagent *agent = agent_begin_patient();
    devagent_launch_command(agent, "t", "exec " HELPER("hear") " me");
    expect_pid(agent, "me ready");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_file(agent, "stdout", "me heard TERM");
    agent_end(agent, 0);
}

Test(kill, a_task_has_its_grace_to_end)
{
    struct devagent *agent = agent_begin_patient();
    devagent_launch_command(agent, "t", "exec " HELPER("hear") " me later");
    expect_pid(agent, "me ready");
    devagent_kill(agent, "t", -1);
    expect_message(agent, expect_state(agent, "t", KILLED), "code 0");
    expect_file(agent, "stdout", "me says goodbye");
    agent_end(agent, 0);
}

/* The shell keeps the signal to itself until its child is dead; the child is signalled too. */
Test(kill, a_shell_that_swallows_SIGTERM)
{
    struct devagent *agent = agent_begin_patient();
    devagent_launch_command(agent, "t", "trap 'echo swallowed' TERM; " HELPER("hear") " child; echo after");
    expect_pid(agent, "child ready");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_file(agent, "stdout", "child heard TERM");
    agent_end(agent, 0);
}

Test(kill, a_shell_that_waits_for_its_child)
{
    struct devagent *agent = agent_begin_patient();
    devagent_launch_command(agent, "t", HELPER("hear") " child; true");
    expect_pid(agent, "child ready");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_file(agent, "stdout", "child heard TERM");
    agent_end(agent, 0);
}

Test(kill, a_stopped_task_hears_SIGTERM)
{
    struct devagent *agent = agent_begin_patient();
    devagent_launch_command(agent, "t", "exec " HELPER("hear") " me stop");
    expect_pid(agent, "me ready");
    devagent_kill(agent, "t", -1);
    expect_message(agent, expect_state(agent, "t", KILLED), "code 0");
    expect_file(agent, "stdout", "me heard TERM");
    agent_end(agent, 0);
}

Test(kill, a_stopped_child_hears_SIGTERM)
{
    struct devagent *agent = agent_begin_patient();
    devagent_launch_command(agent, "t", HELPER("hear") " child stop & exec " HELPER("hear") " me");
    expect_pid(agent, "child ready");
    expect_pid(agent, "me ready");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_file(agent, "stdout", "child heard TERM");
    agent_end(agent, 0);
}

/* Nothing is stopped, continued or killed before SIGTERM: the first that a task sees of a kill is that. */
Test(kill, children_of_a_dead_root_keep_their_grace)
{
    struct devagent *agent = agent_begin_patient();
    devagent_launch_command(agent, "t", HELPER("hear") " child later & exec " HELPER("hear") " root");
    expect_pid(agent, "child ready");
    expect_pid(agent, "root ready");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_order(agent, "root heard TERM", "child says goodbye");
    agent_end(agent, 0);
}

/* ---- which grace ---- */

Test(kill, the_grace_of_the_setting)
{
    static const char *const environment[] = {"ALLEGRO_EXECUTOR_KILL_POLICY_GRACE_PERIOD=300ms", NULL};
    struct devagent_options options = agent_options();
    options.environment = environment;
    struct devagent *agent = agent_begin_deaf(agent_begin(&options), "");
    int64_t before = devagent_now_ns();
    devagent_kill(agent, "t", -1);
    expect_grace(agent, before, 300);
    agent_end(agent, 0);
}

Test(kill, the_tasks_grace_wins_over_the_setting)
{
    struct devagent *agent = agent_begin_deaf(
        agent_begin_patient(), ", 'kill_policy': {'grace_period': {'nanoseconds': 300000000}}");
    int64_t before = devagent_now_ns();
    devagent_kill(agent, "t", -1);
    expect_grace(agent, before, 300);
    agent_end(agent, 0);
}

Test(kill, the_kills_grace_wins_over_the_tasks)
{
    struct devagent *agent = agent_begin_deaf(
        agent_begin_patient(), ", 'kill_policy': {'grace_period': {'nanoseconds': " MINUTE_NS "}}");
    int64_t before = devagent_now_ns();
    devagent_kill(agent, "t", 300);
    expect_grace(agent, before, 300);
    agent_end(agent, 0);
}

/* Also when it is the longer one. */
Test(kill, the_kills_grace_may_be_longer_than_the_tasks)
{
    struct devagent *agent = agent_begin(NULL);
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'command': {'value': 'exec %s me later'}, "
                "'kill_policy': {'grace_period': {'nanoseconds': 0}}}",
                HELPER("hear"));
    expect_pid(agent, "me ready");
    devagent_kill(agent, "t", 60000);
    expect_message(agent, expect_state(agent, "t", KILLED), "code 0");
    expect_file(agent, "stdout", "me says goodbye");
    agent_end(agent, 0);
}

Test(kill, no_grace_at_all)
{
    struct devagent *agent = agent_begin_deaf(agent_begin_patient(), "");
    devagent_kill(agent, "t", 0);
    expect_message(agent, expect_state(agent, "t", KILLED), "signal 9");
    agent_end(agent, 0);
}

Test(kill, no_grace_in_the_task)
{
    struct devagent *agent =
        agent_begin_deaf(agent_begin_patient(), ", 'kill_policy': {'grace_period': {'nanoseconds': 0}}");
    devagent_kill(agent, "t", -1);
    expect_message(agent, expect_state(agent, "t", KILLED), "signal 9");
    agent_end(agent, 0);
}

/* Centuries do not overflow into the past. */
Test(kill, a_grace_without_end)
{
    struct devagent *agent = agent_begin_deaf(
        agent_begin_patient(), ", 'kill_policy': {'grace_period': {'nanoseconds': 9223372036854775807}}");
    devagent_kill(agent, "t", -1);
    expect_file(agent, "stdout", "me heard TERM");
    devagent_run_for(agent, 200);
    expect_states(agent, "t", "STARTING RUNNING");
    devagent_kill(agent, "t", 0);
    expect_state(agent, "t", KILLED);
    agent_end(agent, 0);
}

/* ---- later kills ---- */

Test(kill, a_later_kill_shortens)
{
    struct devagent *agent = agent_begin_deaf(agent_begin_patient(), "");
    int64_t before = devagent_now_ns();
    devagent_kill(agent, "t", -1);
    expect_file(agent, "stdout", "me heard TERM");
    devagent_kill(agent, "t", 300);
    expect_grace(agent, before, 300);
    agent_end(agent, 0);
}

/* A grace that is over already when it is asked for is SIGKILL now: it counts from the first kill. */
Test(kill, a_later_kill_whose_grace_is_over)
{
    struct devagent *agent = agent_begin_deaf(agent_begin_patient(), "");
    devagent_kill(agent, "t", -1);
    expect_file(agent, "stdout", "me heard TERM");
    devagent_run_for(agent, 100);
    devagent_kill(agent, "t", 1);
    expect_message(agent, expect_state(agent, "t", KILLED), "signal 9");
    agent_end(agent, 0);
}

Test(kill, a_later_kill_cannot_lengthen)
{
    struct devagent *agent = agent_begin_deaf(agent_begin_patient(), "");
    int64_t before = devagent_now_ns();
    devagent_kill(agent, "t", 300);
    devagent_kill(agent, "t", 60000);
    devagent_kill(agent, "t", -1);
    expect_grace(agent, before, 300);
    agent_end(agent, 0);
}

/* SIGTERM is sent once: a second one makes many programs leave without tidying up. */
Test(kill, SIGTERM_comes_once)
{
    struct devagent *agent = agent_begin_deaf(agent_begin_patient(), "");
    devagent_kill(agent, "t", -1);
    expect_file(agent, "stdout", "me heard TERM");
    devagent_kill(agent, "t", 30000);
    devagent_launch_command(agent, "after", "true");
    expect_state(agent, "after", FINISHED); /* so the second kill was seen */
    char *output = devagent_read_file(agent, "stdout");
    cr_assert_str_eq(strstr(output, "me heard TERM"), "me heard TERM\n");
    free(output);
    devagent_kill(agent, "t", 0);
    expect_state(agent, "t", KILLED);
    agent_end(agent, 0);
}

/* ---- odd kills ---- */

Test(kill, an_ended_task)
{
    struct devagent *agent = agent_begin_task(NULL, "other", "exec sleep 100");
    devagent_launch_command(agent, "t", "true");
    expect_state(agent, "t", FINISHED);
    devagent_kill(agent, "t", 0);
    devagent_kill(agent, "other", -1);
    expect_state(agent, "other", KILLED);
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    agent_end(agent, 0);
}

Test(kill, a_task_that_is_just_being_launched)
{
    struct devagent *agent = agent_begin(NULL);
    cr_assert_eq(devagent_wait_subscribed(agent, DEADLINE_MS), 0);
    devagent_launch_command(agent, "t", "exec sleep 100");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    agent_end(agent, 0);
}

/* ---- excluded names ---- */

static const char *const excluding[] = {"ALLEGRO_EXECUTOR_KILL_POLICY_GRACE_PERIOD=60s",
                                        "ALLEGRO_EXECUTOR_SIGTERM_EXCLUDE_PROCESSES=other,Side-CAR,"
                                        "a-sidecar-with-a-long-name",
                                        NULL};

/* An agent that excludes these names, with a program of each name that is asked for in its sandbox. */
static struct devagent *agent_begin_excluding(const char *name)
{
    struct devagent_options options = agent_options();
    options.environment = excluding;
    struct devagent *agent;
    cr_assert_eq(devagent_create(&options, &agent), 0);
    stage_link(agent, HELPER("hear"), name);
    cr_assert_eq(devagent_start_executor(agent), 0);
    return agent;
}

static void launch_beside(struct devagent *agent, const char *sidecar, const char *main_way)
{
    char command[512];
    snprintf(command, sizeof(command), "%s & exec %s main %s", sidecar, HELPER("hear"), main_way);
    devagent_launch_command(agent, "t", command);
    expect_pid(agent, "side ready");
    expect_pid(agent, "main ready");
}

Test(kill, an_excluded_process_is_left_until_last)
{
    struct devagent *agent = agent_begin_excluding("side-car");
    launch_beside(agent, "./side-car side", "later");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_order(agent, "main says goodbye", "side heard TERM");
    agent_end(agent, 0);
}

Test(kill, an_excluded_name_in_another_case)
{
    struct devagent *agent = agent_begin_excluding("SIDE-car");
    launch_beside(agent, "./SIDE-car side", "later");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_order(agent, "main says goodbye", "side heard TERM");
    agent_end(agent, 0);
}

/* The kernel keeps 15 characters of a name; the rest is read from argv[0]. */
Test(kill, an_excluded_name_that_is_long)
{
    struct devagent *agent = agent_begin_excluding("a-sidecar-with-a-long-name");
    launch_beside(agent, "./a-sidecar-with-a-long-name side", "later");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_order(agent, "main says goodbye", "side heard TERM");
    agent_end(agent, 0);
}

/* The same first 15 characters are not the same name. */
Test(kill, a_long_name_that_is_not_excluded)
{
    struct devagent *agent = agent_begin_excluding("a-sidecar-with-another-name");
    launch_beside(agent, "./a-sidecar-with-another-name side", "later");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_order(agent, "side heard TERM", "main says goodbye");
    agent_end(agent, 0);
}

/* A part of a name is not the name. */
Test(kill, a_name_that_begins_like_an_excluded_one)
{
    struct devagent *agent = agent_begin_excluding("side-car2");
    launch_beside(agent, "./side-car2 side", "later");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_order(agent, "side heard TERM", "main says goodbye");
    agent_end(agent, 0);
}

/* Left alone it has a second after its SIGTERM, not the minute of grace. */
Test(kill, an_excluded_process_that_ignores_SIGTERM)
{
    struct devagent *agent = agent_begin_excluding("side-car");
    launch_beside(agent, "./side-car side ignore", "");
    int64_t before = devagent_now_ns();
    devagent_kill(agent, "t", -1);
    const struct devagent_update *update = expect_state(agent, "t", KILLED);
    cr_assert_geq(milliseconds(update->received_ns - before), 1000);
    expect_order(agent, "main heard TERM", "side heard TERM");
    agent_end(agent, 0);
}

/* The end of the grace is the end for all: what is still waited for then is not told any more. */
Test(kill, an_excluded_process_at_the_end_of_the_grace)
{
    struct devagent *agent = agent_begin_excluding("side-car");
    launch_beside(agent, "./side-car side ignore", "ignore");
    devagent_kill(agent, "t", 300);
    expect_state(agent, "t", KILLED);
    cr_assert_not(output_has(agent, "side heard"));
    agent_end(agent, 0);
}

/* A task that is nothing but an excluded process is told at once. */
Test(kill, only_an_excluded_process)
{
    struct devagent *agent = agent_begin_excluding("side-car");
    devagent_launch_command(agent, "t", "exec ./side-car side");
    expect_pid(agent, "side ready");
    devagent_kill(agent, "t", -1);
    expect_message(agent, expect_state(agent, "t", KILLED), "code 0");
    expect_file(agent, "stdout", "side heard TERM");
    agent_end(agent, 0);
}
