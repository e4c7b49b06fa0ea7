/*
 * Updates and everything that can happen to one on its way: refused, not answered, cut off before, within and
 * after the call, kept through an outage, carried over restarts. Each arrives once, in order, and never again
 * once it is acknowledged.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/checks.h"

TestSuite(updates, .timeout = 120);

/* Waits that only a fault makes long. */
static const char *const short_timeout[] = {"ALLEGRO_EXECUTOR_HTTP_TIMEOUT=400ms", NULL};

static struct devagent_options update_options(bool checkpoint)
{
    struct devagent_options options = agent_options();
    options.checkpoint = checkpoint;
    options.environment = short_timeout;
    return options;
}

/*
 * The terminal update of a task meets the fault, and arrives all the same: once, in order. What the agent had
 * acknowledged before does not come again.
 */
static void arrives_in_spite_of(const struct devagent_fault *fault, bool checkpoint)
{
    struct devagent_options options = update_options(checkpoint);
    struct devagent *agent = agent_begin_task(&options, "t", UNTIL_GO(3));
    size_t settled = settle(agent);
    await_all_acknowledged(agent);
    devagent_add_fault(agent, fault);
    make_file(agent, "go");
    expect_state(agent, "t", FAILED);
    cr_assert_eq(devagent_faults_left(agent), 0, "the fault did not happen");
    await_all_acknowledged(agent);
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
    expect_states(agent, "t", "STARTING RUNNING FAILED");
    expect_never_again(agent, settled);
    conversation_end(agent, 0);
}

static void arrives_in_spite_of_answer(unsigned status, const char *body, bool checkpoint)
{
    const struct devagent_fault fault = {.kind = DEVAGENT_FAULT_STATUS,
                                         .calls = DEVAGENT_CALL_UPDATE,
                                         .status = status,
                                         .body = body,
                                         .count = 1};
    arrives_in_spite_of(&fault, checkpoint);
}

static void arrives_in_spite_of_kind(enum devagent_fault_kind kind, bool checkpoint)
{
    const struct devagent_fault fault = {.kind = kind, .calls = DEVAGENT_CALL_UPDATE};
    arrives_in_spite_of(&fault, checkpoint);
}

/* ---- answers ---- */

#define ANSWERED(name, status, body)                                                                         \
    Test(updates, answered_with_##name)                                                                      \
    {                                                                                                        \
        arrives_in_spite_of_answer(status, body, true);                                                      \
    }                                                                                                        \
    Test(updates, answered_with_##name##_without_checkpoint)                                                 \
    {                                                                                                        \
        arrives_in_spite_of_answer(status, body, false);                                                     \
    }

ANSWERED(503, 503, NULL)
ANSWERED(500, 500, NULL)
ANSWERED(404, 404, NULL)
ANSWERED(401, 401, NULL)
ANSWERED(403, 403, "Executor is not subscribed")
ANSWERED(307, 307, NULL)

/* An agent that does not know us for a moment is not one that has forgotten us. */
Test(updates, answered_with_executor_cannot_be_found_once)
{
    arrives_in_spite_of_answer(400, "Executor cannot be found", true);
}

/* One update that the agent calls invalid: said once, not repeated, and the others come. */
static struct devagent *reject(int skip, const char *task_id, const char *command)
{
    struct devagent *agent;
    struct devagent_options options = agent_options();
    cr_assert_eq(devagent_create(&options, &agent), 0);
    devagent_add_fault(
        agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_STATUS,
                                        .calls = DEVAGENT_CALL_UPDATE,
                                        .skip = skip,
                                        .status = 400,
                                        .body = "Failed to validate Executor::Call:\n\"words\" \033[31m"});
    devagent_launch_command(agent, task_id, command);
    cr_assert_eq(devagent_start_executor(agent), 0);
    return agent;
}

static void expect_reported_once(struct devagent *agent)
{
    expect_log(agent, "not sent again");
    cr_assert_eq(count_calls(agent, DEVAGENT_CALL_UPDATE, 400), 1, "the same bytes were sent again");
    if (count_log(agent, "level=error") != 1)
        fail_with_story(agent, "%zu errors in the log, not one", count_log(agent, "level=error"));
    cr_assert_eq(devagent_subscribe_count(agent), 1);
}

Test(updates, one_that_is_rejected_is_reported_and_not_repeated)
{
    struct devagent *agent = reject(1, "t", UNTIL_GO(0));
    await_calls(agent, DEVAGENT_CALL_UPDATE, 400, 1);
    make_file(agent, "go");
    expect_state(agent, "t", FINISHED);
    expect_states(agent, "t", "STARTING FINISHED");
    expect_reported_once(agent);
    conversation_end(agent, 0);
}

/* Not even in the list of a later SUBSCRIBE. */
Test(updates, one_that_is_rejected_is_forgotten)
{
    struct devagent *agent = reject(1, "t", UNTIL_GO(0));
    await_calls(agent, DEVAGENT_CALL_UPDATE, 400, 1);
    expect_log(agent, "not sent again");
    settle(agent);
    await_all_acknowledged(agent);
    devagent_drop_stream(agent, DEVAGENT_DROP_END);
    await_subscribed(agent, 2);
    make_file(agent, "go");
    expect_state(agent, "t", FINISHED);
    expect_states(agent, "t", "STARTING FINISHED");
    conversation_end(agent, 0);
}

Test(updates, a_terminal_one_that_is_rejected_makes_the_exit_code)
{
    struct devagent *agent = reject(2, "t", "exit 0");
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
    expect_states(agent, "t", "STARTING RUNNING");
    expect_reported_once(agent);
    conversation_end(agent, 1);
}

/* ---- cut off and not answered ---- */

#define MET_BY(name, kind)                                                                                   \
    Test(updates, name)                                                                                      \
    {                                                                                                        \
        arrives_in_spite_of_kind(kind, true);                                                                \
    }                                                                                                        \
    Test(updates, name##_without_checkpoint)                                                                 \
    {                                                                                                        \
        arrives_in_spite_of_kind(kind, false);                                                               \
    }

MET_BY(cut_off_when_it_was_read, DEVAGENT_FAULT_CLOSE_AFTER_BODY)
MET_BY(cut_off_when_it_was_stored, DEVAGENT_FAULT_CLOSE_HANDLED)
MET_BY(not_answered, DEVAGENT_FAULT_NO_ANSWER)

/* The head was read, the body was not; the next call of any type is met, and that is the update. */
static void cut_off_in_the_middle(bool checkpoint)
{
    const struct devagent_fault fault = {.kind = DEVAGENT_FAULT_CLOSE_BEFORE_BODY};
    arrives_in_spite_of(&fault, checkpoint);
}

Test(updates, cut_off_in_the_middle)
{
    cut_off_in_the_middle(true);
}

Test(updates, cut_off_in_the_middle_without_checkpoint)
{
    cut_off_in_the_middle(false);
}

/* Every one of a task's updates is stored, and none is answered. */
Test(updates, never_answered_but_always_stored)
{
    struct devagent *agent;
    struct devagent_options options = update_options(true);
    cr_assert_eq(devagent_create(&options, &agent), 0);
    devagent_add_fault(agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_CLOSE_HANDLED,
                                                       .calls = DEVAGENT_CALL_UPDATE,
                                                       .count = -1});
    devagent_launch_command(agent, "t", "exit 0");
    cr_assert_eq(devagent_start_executor(agent), 0);
    expect_state(agent, "t", FINISHED);
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    conversation_end(agent, 0);
}

/* None is ever taken as a call: the list of SUBSCRIBE brings them. */
Test(updates, always_refused_and_brought_by_subscribe)
{
    struct devagent *agent;
    struct devagent_options options = update_options(true);
    cr_assert_eq(devagent_create(&options, &agent), 0);
    devagent_add_fault(
        agent, &(struct devagent_fault){
                   .kind = DEVAGENT_FAULT_STATUS, .calls = DEVAGENT_CALL_UPDATE, .status = 503, .count = -1});
    devagent_launch_command(agent, "t", "exit 4");
    cr_assert_eq(devagent_start_executor(agent), 0);
    expect_state(agent, "t", FAILED);
    expect_states(agent, "t", "STARTING RUNNING FAILED");
    cr_assert_leq(count_calls(agent, DEVAGENT_CALL_UPDATE, 503), 3, "an update was sent again as a call");
    conversation_end(agent, 0);
}

Test(updates, an_answer_that_is_slow_holds_the_next_one_back)
{
    struct devagent *agent;
    struct devagent_options options = agent_options();
    cr_assert_eq(devagent_create(&options, &agent), 0);
    devagent_add_fault(
        agent, &(struct devagent_fault){
                   .kind = DEVAGENT_FAULT_SLOW, .calls = DEVAGENT_CALL_UPDATE, .count = -1, .delay_ms = 100});
    devagent_launch_command(agent, "t", "exit 0");
    cr_assert_eq(devagent_start_executor(agent), 0);
    expect_state(agent, "t", FINISHED);
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    for (size_t i = 1; i < 3; i++) {
        int64_t apart =
            devagent_update_at(agent, i)->received_ns - devagent_update_at(agent, i - 1)->received_ns;
        cr_assert_geq(apart, INT64_C(90000000), "an update was sent before the answer to the one before");
    }
    cr_assert_eq(devagent_subscribe_count(agent), 1);
    conversation_end(agent, 0);
}

/* ---- outages ---- */

enum { MANY = 12 };

static const char *nth_id(size_t i)
{
    static char id[24];
    snprintf(id, sizeof(id), "task-%zu", i);
    return id;
}

static struct devagent *begin_many(const struct devagent_options *options)
{
    struct devagent *agent = agent_begin(options);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(devagent_launch_command(agent, nth_id(i), UNTIL_GO(0)), 0);
    for (size_t i = 0; i < MANY; i++)
        expect_state(agent, nth_id(i), RUNNING);
    return agent;
}

/* The supervisor and agent-client are all that there is. */
static bool tasks_are_gone(struct devagent *agent, void *arg)
{
    (void)arg;
    return devagent_processes(agent, NULL, 0) <= 2;
}

Test(updates, an_outage_in_which_everything_ends)
{
    struct devagent *agent = begin_many(NULL);
    size_t settled = settle(agent);
    await_all_acknowledged(agent);
    devagent_stop(agent);
    make_file(agent, "go");
    cr_assert(wait_until(agent, tasks_are_gone, NULL));
    cr_assert_eq(devagent_listen(agent, 0), 0);
    for (size_t i = 0; i < MANY; i++) {
        expect_state(agent, nth_id(i), FINISHED);
        expect_states(agent, nth_id(i), "STARTING RUNNING FINISHED");
    }
    for (size_t i = 0; i < MANY; i++)
        if (!devagent_last_update(agent, nth_id(i))->by_subscribe)
            fail_with_story(agent, "not all came with the first SUBSCRIBE");
    cr_assert_eq(devagent_subscribe_count(agent), 2);
    expect_never_again(agent, settled);
    conversation_end(agent, 0);
}

/* Nothing was acknowledged before the outage either. */
Test(updates, an_outage_after_silence)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_set_ack(agent, DEVAGENT_ACK_WITHHOLD, 0);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(devagent_launch_command(agent, nth_id(i), UNTIL_GO(0)), 0);
    for (size_t i = 0; i < MANY; i++)
        expect_state(agent, nth_id(i), RUNNING);
    devagent_stop(agent);
    make_file(agent, "go");
    cr_assert(wait_until(agent, tasks_are_gone, NULL));
    devagent_set_ack(agent, DEVAGENT_ACK_NOW, 0);
    cr_assert_eq(devagent_listen(agent, 0), 0);
    await_subscribed(agent, 2);
    const struct devagent_subscribe *subscribe = devagent_subscribe_at(agent, 1);
    cr_assert_eq(subscribe->update_count, 3 * MANY);
    cr_assert_eq(subscribe->task_count, MANY);
    for (size_t i = 0; i < MANY; i++)
        expect_states(agent, nth_id(i), "STARTING RUNNING FINISHED");
    conversation_end(agent, 0);
}

/* The agent restarts again and again while tasks end, one in each outage. */
Test(updates, restarts_again_and_again)
{
    struct devagent *agent = agent_begin(NULL);
    char command[80];
    for (size_t i = 0; i < 5; i++) {
        snprintf(command, sizeof(command), "while [ ! -e go-%zu ]; do sleep 0.01; done", i);
        cr_assert_eq(devagent_launch_command(agent, nth_id(i), command), 0);
        expect_state(agent, nth_id(i), RUNNING);
    }
    for (size_t i = 0; i < 5; i++) {
        size_t settled = settle(agent);
        await_all_acknowledged(agent);
        snprintf(command, sizeof(command), "go-%zu", i);
        devagent_restart(agent, i % 2 == 0 ? 100 : 0, i % 2 == 0 ? 0 : 200);
        make_file(agent, command);
        await_subscribed(agent, i + 2);
        expect_state(agent, nth_id(i), FINISHED);
        expect_states(agent, nth_id(i), "STARTING RUNNING FINISHED");
        expect_never_again(agent, settled);
    }
    cr_assert_null(devagent_destroyed(agent));
    conversation_end(agent, 0);
}
