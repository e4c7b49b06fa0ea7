/*
 * The conversation with an agent that is well: connections, records of every cut and size, events of every
 * kind, malformed ones, acknowledgements in every turn, SHUTDOWN and KILL at odd moments.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/checks.h"

TestSuite(conversation, .timeout = 120);

#define EVENT(name) MESOS__V1__EXECUTOR__EVENT__TYPE__##name

enum { MEGABYTE = 1024 * 1024 };

/* ---- connections ---- */

static size_t connection_of(const struct devagent *agent, int type, size_t index)
{
    for (size_t i = 0; i < devagent_call_count(agent); i++) {
        const struct devagent_call *call = devagent_call_at(agent, i);
        if (call->type == type && index-- == 0)
            return call->connection;
    }
    return 0;
}

Test(conversation, events_and_calls_have_a_connection_each)
{
    struct devagent *agent = agent_begin_task(NULL, "t", "exec sleep 100");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    size_t events = connection_of(agent, DEVAGENT_CALL_SUBSCRIBE, 0);
    size_t calls = connection_of(agent, DEVAGENT_CALL_UPDATE, 0);
    if (events == calls)
        fail_with_story(agent, "SUBSCRIBE and UPDATE share a connection");
    for (size_t i = 0; i < 3; i++)
        if (connection_of(agent, DEVAGENT_CALL_UPDATE, i) != calls)
            fail_with_story(agent, "an UPDATE did not use the connection that there was");
    cr_assert_eq(count_calls(agent, 0, 200), 1);
    cr_assert_eq(count_calls(agent, DEVAGENT_CALL_UPDATE, 202), 3);
    conversation_end(agent, 0);
}

Test(conversation, an_idle_connection_that_the_agent_closes_costs_no_subscription)
{
    struct devagent *agent = agent_begin_task(NULL, "t", UNTIL_GO(0));
    await_all_acknowledged(agent);
    cr_assert_eq(devagent_drop_calls(agent), 1);
    make_file(agent, "go");
    expect_state(agent, "t", FINISHED);
    cr_assert_eq(devagent_subscribe_count(agent), 1);
    conversation_end(agent, 0);
}

/* ---- records ---- */

static void tell_a_story_cut(size_t bytes)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_set_split(agent, bytes);
    devagent_set_unknown_fields(agent, true);
    devagent_launch_command(agent, "first", UNTIL_GO(0));
    devagent_launch_command(agent, "second", "exec sleep 100");
    expect_state(agent, "first", RUNNING);
    expect_state(agent, "second", RUNNING);
    cr_assert_eq(devagent_send_heartbeat(agent), 0);
    devagent_kill(agent, "second", 100);
    expect_state(agent, "second", KILLED);
    make_file(agent, "go");
    expect_state(agent, "first", FINISHED);
    expect_states(agent, "first", "STARTING RUNNING FINISHED");
    expect_states(agent, "second", "STARTING RUNNING KILLED");
    cr_assert_eq(devagent_subscribe_count(agent), 1);
    conversation_end(agent, 0);
}

Test(conversation, events_come_byte_by_byte)
{
    tell_a_story_cut(1);
}

Test(conversation, events_come_in_sevens)
{
    tell_a_story_cut(7);
}

Test(conversation, events_come_whole_with_unknown_fields)
{
    tell_a_story_cut(0);
}

static void launch_with_data(struct devagent *agent, const char *id, const char *command, size_t size)
{
    Mesos__V1__TaskInfo task = MESOS__V1__TASK_INFO__INIT;
    Mesos__V1__TaskID task_id = MESOS__V1__TASK_ID__INIT;
    Mesos__V1__CommandInfo info = MESOS__V1__COMMAND_INFO__INIT;
    task_id.value = (char *)(uintptr_t)id;
    info.value = (char *)(uintptr_t)command;
    task.task_id = &task_id;
    task.command = &info;
    task.has_data = true;
    task.data.len = size;
    task.data.data = malloc(size);
    cr_assert_not_null(task.data.data);
    for (size_t i = 0; i < size; i++)
        task.data.data[i] = (uint8_t)(i * 31 + i / 251);
    cr_assert_eq(devagent_launch(agent, &task), 0);
    free(task.data.data);
}

static void expect_task_listed(struct devagent *agent, size_t subscribe_index, size_t updates)
{
    await_subscribed(agent, subscribe_index + 1);
    const struct devagent_subscribe *subscribe = devagent_subscribe_at(agent, subscribe_index);
    if (subscribe->task_count != 1 || !subscribe->tasks_same[0])
        fail_with_story(agent, "SUBSCRIBE %zu names %zu tasks, or not byte for byte", subscribe_index,
                        subscribe->task_count);
    if (subscribe->update_count != updates)
        fail_with_story(agent, "SUBSCRIBE %zu has %zu updates, not %zu", subscribe_index,
                        subscribe->update_count, updates);
}

Test(conversation, a_task_of_megabytes_is_handed_back_until_its_first_acknowledgement)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_set_ack(agent, DEVAGENT_ACK_WITHHOLD, 0);
    launch_with_data(agent, "big", "exec sleep 100", 5 * MEGABYTE);
    expect_state(agent, "big", RUNNING);
    for (size_t i = 1; i <= 2; i++) {
        devagent_drop_stream(agent, i == 1 ? DEVAGENT_DROP_END : DEVAGENT_DROP_RESET);
        expect_task_listed(agent, i, 2);
    }
    devagent_set_ack(agent, DEVAGENT_ACK_NOW, 0);
    devagent_drop_stream(agent, DEVAGENT_DROP_CUT);
    expect_task_listed(agent, 3, 2);
    size_t settled = settle(agent);
    await_all_acknowledged(agent);
    devagent_drop_stream(agent, DEVAGENT_DROP_END);
    await_subscribed(agent, 5);
    const struct devagent_subscribe *last = devagent_subscribe_at(agent, 4);
    for (size_t i = 0; i < last->task_count; i++)
        cr_assert_str_neq(last->task_ids[i], "big");
    expect_never_again(agent, settled);
    devagent_kill(agent, "big", -1);
    expect_state(agent, "big", KILLED);
    expect_states(agent, "big", "STARTING RUNNING KILLED");
    conversation_end(agent, 0);
}

Test(conversation, several_tasks_of_megabytes_at_once_and_byte_counts_that_match_nothing)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_set_split(agent, 65521);
    devagent_set_ack(agent, DEVAGENT_ACK_WITHHOLD, 0);
    static const char *const ids[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++)
        launch_with_data(agent, ids[i], "exec sleep 100", (i + 1) * MEGABYTE + i);
    for (size_t i = 0; i < 3; i++)
        expect_state(agent, ids[i], RUNNING);
    devagent_drop_stream(agent, DEVAGENT_DROP_RESET);
    await_subscribed(agent, 2);
    const struct devagent_subscribe *subscribe = devagent_subscribe_at(agent, 1);
    cr_assert_eq(subscribe->task_count, 3);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_str_eq(subscribe->task_ids[i], ids[i], "the tasks are not in the order of their launch");
        cr_assert(subscribe->tasks_same[i]);
    }
    devagent_release_acks(agent, false);
    devagent_set_ack(agent, DEVAGENT_ACK_NOW, 0);
    for (size_t i = 0; i < 3; i++)
        devagent_kill(agent, ids[i], 0);
    for (size_t i = 0; i < 3; i++)
        expect_state(agent, ids[i], KILLED);
    conversation_end(agent, 0);
}

Test(conversation, unacknowledged_updates_are_listed_in_order)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_set_ack(agent, DEVAGENT_ACK_WITHHOLD, 0);
    devagent_launch_command(agent, "t", "exec sleep 100");
    expect_state(agent, "t", RUNNING);
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    devagent_drop_stream(agent, DEVAGENT_DROP_END);
    expect_task_listed(agent, 1, 3);
    static const Mesos__V1__TaskState states[] = {STARTING, RUNNING, KILLED};
    for (size_t i = 0; i < 3; i++) {
        const struct devagent_update *update = devagent_subscribe_at(agent, 1)->updates[i];
        cr_assert_eq(update->state, states[i]);
        cr_assert_eq(update->fate, DEVAGENT_FATE_DUPLICATE);
    }
    cr_assert_not(devagent_has_exited(agent), "it left with its updates unacknowledged");
    devagent_release_acks(agent, false);
    conversation_end(agent, 0);
}

/* ---- events that ask nothing, and events that are none ---- */

Test(conversation, message_heartbeat_error_and_unknown_events_change_nothing)
{
    struct devagent *agent = agent_begin_task(NULL, "t", "exec sleep 100");
    cr_assert_eq(devagent_send_message(agent, "hello\nlevel=error forged\033[31m", 29), 0);
    cr_assert_eq(devagent_send_message(agent, "", 0), 0);
    cr_assert_eq(devagent_send_error(agent, "words\nof \"the\" agent\r\033[0m\x9b"), 0);
    cr_assert_eq(devagent_send_error(agent, ""), 0);
    cr_assert_eq(devagent_send_heartbeat(agent), 0);
    cr_assert_eq(devagent_send_unknown(agent), 0);
    cr_assert_eq(devagent_send_record(agent, "", 0), 0);
    settle(agent);
    cr_assert_eq(devagent_subscribe_count(agent), 1);
    cr_assert_eq(count_log(agent, "\nlevel="), 0);
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    conversation_end(agent, 0);
}

/* Bytes that end the stream, and nothing else. */
static void ends_the_connection_alone(const void *bytes, size_t size, bool as_record, bool checkpoint)
{
    struct devagent_options options = agent_options();
    options.checkpoint = checkpoint;
    struct devagent *agent = agent_begin_task(&options, "t", "echo started >> starts; " UNTIL_GO(0));
    settle(agent);
    await_all_acknowledged(agent);
    cr_assert_eq(
        as_record ? devagent_send_record(agent, bytes, size) : devagent_send_bytes(agent, bytes, size), 0);
    await_subscribed(agent, 2);
    size_t settled = settle(agent);
    make_file(agent, "go");
    expect_state(agent, "t", FINISHED);
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    char *starts = devagent_read_file(agent, "starts");
    cr_assert_str_eq(starts, "started\n");
    free(starts);
    expect_never_again(agent, settled);
    conversation_end(agent, 0);
}

Test(conversation, a_length_that_is_no_number_ends_the_connection)
{
    ends_the_connection_alone("nonsense\n", 9, false, true);
}

Test(conversation, a_negative_length_ends_the_connection)
{
    ends_the_connection_alone("-5\nabcde", 8, false, true);
}

Test(conversation, a_length_beyond_64_bits_ends_the_connection)
{
    ends_the_connection_alone("18446744073709551617\nx", 22, false, true);
}

Test(conversation, a_length_that_no_record_has_ends_the_connection)
{
    ends_the_connection_alone("99999999999\nx", 13, false, true);
}

Test(conversation, a_length_without_end_ends_the_connection)
{
    static char zeros[4096];
    memset(zeros, '0', sizeof(zeros));
    ends_the_connection_alone(zeros, sizeof(zeros), false, true);
}

Test(conversation, a_record_that_is_no_event_ends_the_connection)
{
    ends_the_connection_alone("\xff\xff\xff\xff\xff\xff", 6, true, true);
}

Test(conversation, garbage_is_not_the_agent_leaving)
{
    ends_the_connection_alone("nonsense\n", 9, false, false);
}

/* Type LAUNCH with a task of one broken byte. */
Test(conversation, a_launch_of_what_is_no_task_ends_the_connection)
{
    ends_the_connection_alone("\x08\x02\x22\x03\x0a\x01\xff", 7, true, true);
}

/* Events without the message that belongs to their type. */
Test(conversation, events_without_a_body_are_skipped_or_end_the_connection)
{
    struct devagent *agent = agent_begin_task(NULL, "t", UNTIL_GO(0));
    for (int type = EVENT(SUBSCRIBED); type <= EVENT(HEARTBEAT); type++) {
        const unsigned char bytes[] = {0x08, (unsigned char)type};
        if (type == EVENT(SHUTDOWN))
            continue;
        await_subscribed(agent, 1);
        cr_assert_eq(devagent_send_record(agent, bytes, sizeof(bytes)), 0);
        devagent_run_for(agent, 20);
    }
    await_subscribed(agent, 1);
    make_file(agent, "go");
    expect_state(agent, "t", FINISHED);
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    conversation_end(agent, 0);
}

/* ---- acknowledgements ---- */

static void tell_a_story_acknowledged(enum devagent_ack policy, int64_t delay_ms)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_set_ack(agent, policy, delay_ms);
    devagent_launch_command(agent, "t", "exec sleep 100");
    expect_state(agent, "t", RUNNING);
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    cr_assert_eq(count_calls(agent, DEVAGENT_CALL_UPDATE, 0), 3, "an update was sent more than once");
    conversation_end(agent, 0);
}

Test(conversation, acknowledgements_may_be_late)
{
    tell_a_story_acknowledged(DEVAGENT_ACK_DELAY, 150);
}

Test(conversation, acknowledgements_may_come_twice)
{
    tell_a_story_acknowledged(DEVAGENT_ACK_TWICE, 0);
}

Test(conversation, acknowledgements_may_come_in_any_order)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_set_ack(agent, DEVAGENT_ACK_WITHHOLD, 0);
    devagent_launch_command(agent, "t", "exit 7");
    expect_message(agent, expect_state(agent, "t", FAILED), "7");
    cr_assert_eq(devagent_withheld_acks(agent), 3);
    devagent_run_for(agent, 100);
    cr_assert_not(devagent_has_exited(agent));
    devagent_release_acks(agent, true);
    conversation_end(agent, 0);
}

Test(conversation, the_executor_waits_for_the_terminal_acknowledgement_and_then_no_longer)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_set_ack(agent, DEVAGENT_ACK_WITHHOLD_TERMINAL, 0);
    devagent_launch_command(agent, "t", "exit 0");
    expect_state(agent, "t", FINISHED);
    devagent_run_for(agent, 300);
    cr_assert_not(devagent_has_exited(agent));
    cr_assert_eq(count_calls(agent, DEVAGENT_CALL_UPDATE, 0), 3, "an update was sent more than once");
    devagent_release_acks(agent, false);
    conversation_end(agent, 0);
}

Test(conversation, an_acknowledgement_of_nothing_is_ignored)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_set_ack(agent, DEVAGENT_ACK_WITHHOLD_TERMINAL, 0);
    devagent_launch_command(agent, "t", "exit 0");
    const struct devagent_update *update = expect_state(agent, "t", FINISHED);
    cr_assert_eq(devagent_send_ack(agent, "t", NULL), 0);
    cr_assert_eq(devagent_send_ack(agent, "another", update->uuid), 0);
    cr_assert_eq(devagent_send_ack(agent, "", NULL), 0);
    expect_log(agent, "not known");
    devagent_run_for(agent, 100);
    cr_assert_not(devagent_has_exited(agent),
                  "an acknowledgement of something else was taken for the right one");
    devagent_release_acks(agent, false);
    conversation_end(agent, 0);
}

Test(conversation, acknowledgements_may_come_before_subscribed)
{
    struct devagent_options options = agent_options();
    options.ack_before_subscribed = true;
    struct devagent *agent = agent_begin(&options);
    devagent_set_ack(agent, DEVAGENT_ACK_WITHHOLD, 0);
    devagent_launch_command(agent, "t", "exit 0");
    expect_state(agent, "t", FINISHED);
    devagent_set_ack(agent, DEVAGENT_ACK_NOW, 0);
    devagent_drop_stream(agent, DEVAGENT_DROP_END);
    conversation_end(agent, 0);
}

Test(conversation, an_agent_that_never_acknowledges_is_waited_for_as_long_as_set)
{
    static const char *const environment[] = {"ALLEGRO_EXECUTOR_STATE_UPDATE_WAIT_TIMEOUT=1s", NULL};
    struct devagent_options options = agent_options();
    options.environment = environment;
    struct devagent *agent = agent_begin(&options);
    devagent_set_ack(agent, DEVAGENT_ACK_WITHHOLD_TERMINAL, 0);
    devagent_launch_command(agent, "t", "exit 0");
    const struct devagent_update *update = expect_state(agent, "t", FINISHED);
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
    cr_assert_geq(devagent_exited_ns(agent) - update->received_ns, INT64_C(900000000), "it did not wait");
    conversation_end(agent, 1);
}

/* ---- SHUTDOWN and KILL at odd moments ---- */

Test(conversation, shutdown_instead_of_subscribed)
{
    struct devagent *agent;
    struct devagent_options options = agent_options();
    cr_assert_eq(devagent_create(&options, &agent), 0);
    devagent_add_fault(agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_SHUTDOWN});
    cr_assert_eq(devagent_start_executor(agent), 0);
    conversation_end(agent, 0);
}

Test(conversation, every_task_was_killed_before_the_executor_came)
{
    struct devagent *agent;
    struct devagent_options options = agent_options();
    cr_assert_eq(devagent_create(&options, &agent), 0);
    devagent_launch_command(agent, "t", "touch ran");
    devagent_kill(agent, "t", -1);
    cr_assert_eq(devagent_start_executor(agent), 0);
    conversation_end(agent, 0);
}

Test(conversation, shutdown_without_a_task)
{
    struct devagent *agent = agent_begin(NULL);
    cr_assert_eq(devagent_wait_subscribed(agent, DEADLINE_MS), 0);
    devagent_shutdown(agent);
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
    cr_assert_null(devagent_destroyed(agent));
    cr_assert_eq(devagent_update_count(agent), 0);
    conversation_end(agent, 0);
}

Test(conversation, shutdown_that_came_while_there_was_no_stream)
{
    struct devagent_options options = agent_options();
    options.never_destroy = true;
    options.shutdown_grace_ms = 1000;
    struct devagent *agent = agent_begin_task(&options, "t", "exec sleep 100");
    await_all_acknowledged(agent);
    devagent_drop_stream(agent, DEVAGENT_DROP_RESET);
    devagent_shutdown(agent); /* from here on nothing is acknowledged: the grace period ends it */
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
    cr_assert_eq(devagent_left_behind(agent), 0);
    expect_logfmt(agent);
    agent_drop(agent);
}

Test(conversation, shutdown_and_its_answer)
{
    struct devagent *agent = agent_begin_task(NULL, "t", "exec sleep 100");
    devagent_shutdown(agent);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
    cr_assert_null(devagent_destroyed(agent));
    conversation_end(agent, 0);
}

Test(conversation, a_kill_that_overtakes_its_launch)
{
    struct devagent *agent = agent_begin_task(NULL, "other", "exec sleep 100");
    devagent_kill(agent, "late", -1);
    expect_state(agent, "late", KILLED);
    devagent_launch_command(agent, "late", "touch ran");
    settle(agent);
    devagent_run_for(agent, 100);
    expect_states(agent, "late", "KILLED");
    char *ran = devagent_read_file(agent, "ran");
    cr_assert_str_empty(ran);
    free(ran);
    devagent_kill(agent, "other", -1);
    conversation_end(agent, 0);
}

Test(conversation, a_kill_of_what_was_never_launched_ends_an_executor_without_tasks)
{
    struct devagent *agent = agent_begin(NULL);
    cr_assert_eq(devagent_wait_subscribed(agent, DEADLINE_MS), 0);
    devagent_kill(agent, "nobody", 500);
    expect_state(agent, "nobody", KILLED);
    expect_states(agent, "nobody", "KILLED");
    conversation_end(agent, 0);
}

Test(conversation, a_kill_of_what_has_ended_says_nothing)
{
    struct devagent *agent = agent_begin_task(NULL, "other", "exec sleep 100");
    devagent_launch_command(agent, "t", "exit 5");
    expect_state(agent, "t", FAILED);
    await_all_acknowledged(agent);
    devagent_kill(agent, "t", -1);
    devagent_kill(agent, "t", 0);
    settle(agent);
    expect_states(agent, "t", "STARTING RUNNING FAILED");
    devagent_kill(agent, "other", -1);
    conversation_end(agent, 0);
}

/* An agent that lost the answer sends the task again: it must not run twice. */
Test(conversation, a_launch_that_comes_twice_runs_once)
{
    struct devagent *agent = agent_begin_task(NULL, "t", "echo started >> starts; exec sleep 100");
    devagent_launch_command(agent, "t", "echo started >> starts; exec sleep 100");
    settle(agent);
    devagent_run_for(agent, 100);
    char *starts = devagent_read_file(agent, "starts");
    cr_assert_str_eq(starts, "started\n");
    free(starts);
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    conversation_end(agent, 0);
}
