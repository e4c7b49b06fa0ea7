/*
 * The real agent-client between devagent and a scripted supervisor: the conversation with the agent in every
 * turn that it can take, and what the supervisor is told of it.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/frame.h"
#include "common/loop.h"
#include "tests/integration/script.h"
#include "tests/send_signal.h"

#define CAUSE(name) BULKHEAD__DISCONNECTED__CAUSE__##name
#define STATE(name) MESOS__V1__TASK_STATE__TASK_##name
#define EVENT(name) MESOS__V1__EXECUTOR__EVENT__TYPE__##name

TestSuite(agent_client, .timeout = 60);

enum { WAIT_MS = 15000 };

static struct devagent_options defaults(void)
{
    struct devagent_options options;
    devagent_options_init(&options);
    options.checkpoint = true;
    options.never_destroy = true;
    return options;
}

static struct script *start(void)
{
    struct devagent_options options = defaults();
    return script_start(&options, NULL);
}

static struct script *start_subscribed(void)
{
    struct script *script = start();
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    return script;
}

/* Like a supervisor, lists the task from now on: one that is not listed is lost to the agent. */
static const Bulkhead__Launch *take_launch(struct script *script)
{
    const Bulkhead__Launch *body =
        (const Bulkhead__Launch *)script_expect(script, MESSAGE_AGENT_LAUNCH)->body;
    for (size_t i = 0; i < body->n_tasks; i++)
        script->tasks[script->task_count++] = body->tasks[i]->raw;
    return body;
}

/* Launches a task at the agent and waits until the supervisor has it. */
static const Bulkhead__Launch *launch(struct script *script, const char *task_id)
{
    cr_assert_eq(devagent_launch_command(script->agent, task_id, "true"), 0);
    return take_launch(script);
}

static void expect_acknowledged(struct script *script, const Bulkhead__Update *update)
{
    const struct script_message *message = script_expect(script, MESSAGE_AGENT_ACKNOWLEDGED);
    const Bulkhead__Acknowledged *body = (const Bulkhead__Acknowledged *)message->body;
    cr_assert_eq(body->uuid.len, 16);
    cr_assert_eq(memcmp(body->uuid.data, update->uuid.data, 16), 0, "the acknowledgement of another update");
}

/* The same where that of others may come first. */
static void await_acknowledged(struct script *script, const Bulkhead__Update *update)
{
    const Bulkhead__Acknowledged *body;
    do
        body = (const Bulkhead__Acknowledged *)script_expect(script, MESSAGE_AGENT_ACKNOWLEDGED)->body;
    while (memcmp(body->uuid.data, update->uuid.data, 16) != 0);
}

/* ---- subscribing ---- */

Test(agent_client, subscribes_and_goes_when_the_supervisor_goes)
{
    struct devagent_options options = defaults();
    options.task_killing_state = true;
    struct script *script = script_start(&options, NULL);
    const struct script_message *message = script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    const Bulkhead__Subscribed *body = (const Bulkhead__Subscribed *)message->body;
    cr_assert_str_eq(body->agent_id, devagent_agent_id(script->agent));
    cr_assert(body->task_killing_state);
    const struct devagent_subscribe *subscribe = devagent_subscribe_at(script->agent, 0);
    cr_assert_eq(subscribe->task_count, 0);
    cr_assert_eq(subscribe->update_count, 0);
    script_end(script);
}

static void read_title(const struct script *script, char *title, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)script->pid);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    size_t length = fread(title, 1, size - 1, file);
    title[length] = '\0';
    fclose(file);
}

Test(agent_client, its_title_says_how_it_stands)
{
    struct devagent_options options = defaults();
    options.not_listening = true;
    struct script *script = script_start(&options, NULL);
    script_expect_disconnect(script, CAUSE(REFUSED));
    script->hold = true;
    script_expect(script, MESSAGE_AGENT_ATTEMPT);
    char title[256];
    read_title(script, title, sizeof(title));
    cr_assert_str_eq(title, "agent-client: asking");
    devagent_listen(script->agent, 0);
    script->hold = false;
    Bulkhead__Subscribe subscribe = BULKHEAD__SUBSCRIBE__INIT;
    if (script->attempts > 1)
        script_send(script, MESSAGE_AGENT_SUBSCRIBE, 0, &subscribe.base);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    read_title(script, title, sizeof(title));
    cr_assert_str_eq(title, "agent-client: subscribed");
    script_end(script);
}

Test(agent_client, says_when_kills_are_not_announced)
{
    struct script *script = start();
    const struct script_message *message = script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    cr_assert_not(((const Bulkhead__Subscribed *)message->body)->task_killing_state);
    script_end(script);
}

Test(agent_client, hands_the_lists_over_in_order_and_byte_for_byte)
{
    struct script *script = start_subscribed();
    launch(script, "task-1");
    launch(script, "task-2");
    const int states[] = {STATE(STARTING), STATE(RUNNING), STATE(KILLING), STATE(KILLED)};
    for (unsigned i = 0; i < 4; i++)
        script->updates[script->update_count++] = script_update(script, "task-1", states[i], i);
    for (unsigned i = 0; i < 4; i++)
        script->updates[script->update_count++] = script_update(script, "task-2", states[i], 10 + i);

    devagent_drop_stream(script->agent, DEVAGENT_DROP_END);
    script_expect_disconnect(script, CAUSE(CLOSED));
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    const struct devagent_subscribe *subscribe = devagent_subscribe_at(script->agent, 1);
    cr_assert_eq(subscribe->task_count, 2);
    cr_assert(subscribe->tasks_same[0]);
    cr_assert(subscribe->tasks_same[1]);
    cr_assert_str_eq(subscribe->task_ids[0], "task-1");
    cr_assert_str_eq(subscribe->task_ids[1], "task-2");
    cr_assert_eq(subscribe->update_count, 8);
    for (size_t i = 0; i < 8; i++) {
        cr_assert_str_eq(subscribe->updates[i]->task_id, script->updates[i].task_id);
        cr_assert_eq((int)subscribe->updates[i]->state, script->updates[i].state);
        cr_assert_eq(memcmp(subscribe->updates[i]->uuid, script->updates[i].uuid.data, 16), 0);
        cr_assert_eq(subscribe->updates[i]->timestamp, script->updates[i].timestamp);
    }
    script_end(script);
}

Test(agent_client, acknowledgements_may_come_before_subscribed)
{
    struct devagent_options options = defaults();
    options.ack_before_subscribed = true;
    struct script *script = script_start(&options, NULL);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    launch(script, "task-1");
    script->updates[0] = script_update(script, "task-1", STATE(STARTING), 1);
    script->update_count = 1;
    devagent_drop_stream(script->agent, DEVAGENT_DROP_CUT);
    script_expect_disconnect(script, CAUSE(CLOSED));
    expect_acknowledged(script, &script->updates[0]);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    script_end(script);
}

Test(agent_client, keeps_asking_an_agent_that_is_not_up)
{
    struct devagent_options options = defaults();
    options.not_listening = true;
    struct script *script = script_start(&options, NULL);
    int64_t begin = loop_now();
    for (int i = 0; i < 4; i++)
        script_expect_disconnect(script, CAUSE(REFUSED));
    cr_assert_geq(loop_now() - begin, 100 * LOOP_MS, "four attempts without a pause");
    cr_assert_eq(devagent_listen(script->agent, 2500),
                 0); /* longer than the longest wait, so that it is met */
    script_expect_disconnect(script, CAUSE(UNAVAILABLE));
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    char *log = script_log(script);
    const char *warning = strstr(log, "REFUSED");
    cr_assert_not_null(warning);
    cr_assert_null(strstr(warning + 1, "cause=REFUSED"), "the same trouble is one line, not one an attempt");
    free(log);
    script_end(script);
}

Test(agent_client, waits_for_the_supervisors_list)
{
    struct devagent_options options = defaults();
    struct script *script = script_start(&options, NULL);
    script->hold = true;
    script_expect(script, MESSAGE_AGENT_ATTEMPT);
    Bulkhead__Subscribe subscribe = BULKHEAD__SUBSCRIBE__INIT;
    if (script->attempts == 1 && devagent_call_count(script->agent) == 0)
        script_send(script, MESSAGE_AGENT_SUBSCRIBE, 0, &subscribe.base);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    script_end(script);
}

struct status_row {
    unsigned status;
    const char *body;
    Bulkhead__Disconnected__Cause cause; /* 0: rejected */
};

Test(agent_client, answers_to_subscribe)
{
    static const struct status_row rows[] = {
        {503, "Agent has not finished recovery", CAUSE(UNAVAILABLE)},
        {404, NULL, CAUSE(UNAVAILABLE)},
        {500, NULL, CAUSE(UNAVAILABLE)},
        {401, NULL, CAUSE(UNAUTHORIZED)},
        {403, NULL, CAUSE(UNAUTHORIZED)},
        {400, "Framework cannot be found", CAUSE(UNKNOWN_ID)},
        {400, "Executor cannot be found", CAUSE(UNKNOWN_ID)},
        {400, "Failed to validate Executor::Call: odd", CAUSE(REJECTED)},
        {405, NULL, CAUSE(REJECTED)},
        {415, NULL, CAUSE(REJECTED)},
        {501, NULL, CAUSE(REJECTED)},
        {307, NULL, CAUSE(REJECTED)},
        {202, NULL, CAUSE(BROKEN)},
    };
    struct script *script = start_subscribed();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct devagent_fault fault = {.kind = DEVAGENT_FAULT_STATUS,
                                             .calls = DEVAGENT_CALL_SUBSCRIBE,
                                             .status = rows[i].status,
                                             .body = rows[i].body};
        cr_assert_eq(devagent_add_fault(script->agent, &fault), 0);
        devagent_drop_stream(script->agent, DEVAGENT_DROP_END);
        script_expect_disconnect(script, CAUSE(CLOSED));
        const char *text = script_expect_disconnect(script, rows[i].cause);
        char number[8];
        snprintf(number, sizeof(number), "%u", rows[i].status);
        cr_assert_not_null(strstr(text, number), "%s", text);
        if (rows[i].body != NULL)
            cr_assert_not_null(strstr(text, rows[i].body), "%s", text);
        script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    }
    script_end(script);
}

struct fault_row {
    enum devagent_fault_kind kind;
    Bulkhead__Disconnected__Cause cause;
};

Test(agent_client, faults_of_subscribe)
{
    static const struct fault_row rows[] = {
        {DEVAGENT_FAULT_CLOSE_BEFORE_BODY, CAUSE(UNAVAILABLE)},
        {DEVAGENT_FAULT_CLOSE_AFTER_BODY, CAUSE(UNAVAILABLE)},
        {DEVAGENT_FAULT_WRONG_TYPE, CAUSE(BROKEN)},
        {DEVAGENT_FAULT_END_AFTER_HEAD, CAUSE(CLOSED)},
        {DEVAGENT_FAULT_NO_ANSWER, CAUSE(TIMEOUT)},
    };
    const char *const extra[] = {"ALLEGRO_EXECUTOR_HTTP_TIMEOUT=400ms", NULL};
    struct devagent_options options = defaults();
    struct script *script = script_start(&options, extra);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct devagent_fault fault = {.kind = rows[i].kind};
        cr_assert_eq(devagent_add_fault(script->agent, &fault), 0);
        devagent_drop_stream(script->agent, DEVAGENT_DROP_END);
        script_expect_disconnect(script, CAUSE(CLOSED));
        script_expect_disconnect(script, rows[i].cause);
        script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    }
    script_end(script);
}

Test(agent_client, a_stream_without_events_has_no_timeout)
{
    const char *const extra[] = {"ALLEGRO_EXECUTOR_HTTP_TIMEOUT=200ms", NULL};
    struct devagent_options options = defaults();
    struct script *script = script_start(&options, extra);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    devagent_run_for(script->agent, 700);
    cr_assert_not(script_has(script, MESSAGE_AGENT_DISCONNECTED));
    devagent_send_heartbeat(script->agent);
    devagent_kill(script->agent, "nobody", -1);
    script_expect(script, MESSAGE_AGENT_KILL);
    script_end(script);
}

/* ---- events ---- */

Test(agent_client, passes_events_on)
{
    struct script *script = start_subscribed();
    const Bulkhead__Launch *body = launch(script, "task-1");
    cr_assert_eq(body->n_tasks, 1);
    cr_assert_not(body->group);
    cr_assert_str_eq(body->tasks[0]->task_id, "task-1");
    cr_assert_str_eq(body->tasks[0]->command->value, "true");

    devagent_kill(script->agent, "task-1", 1500);
    const Bulkhead__Kill *kill = (const Bulkhead__Kill *)script_expect(script, MESSAGE_AGENT_KILL)->body;
    cr_assert_str_eq(kill->task_id, "task-1");
    cr_assert_eq(kill->grace, INT64_C(1500000000));
    devagent_kill(script->agent, "task-1", -1);
    kill = (const Bulkhead__Kill *)script_expect(script, MESSAGE_AGENT_KILL)->body;
    cr_assert_not(kill->has_grace);

    devagent_shutdown(script->agent);
    script_expect(script, MESSAGE_AGENT_SHUTDOWN);
    script_end(script);
}

Test(agent_client, passes_a_group_on_as_one)
{
    struct script *script = start_subscribed();
    char ids[2][8] = {"one", "two"}, command[] = "true";
    Mesos__V1__TaskID task_ids[2] = {MESOS__V1__TASK_ID__INIT, MESOS__V1__TASK_ID__INIT};
    Mesos__V1__CommandInfo command_info = MESOS__V1__COMMAND_INFO__INIT;
    command_info.value = command;
    Mesos__V1__TaskInfo tasks[2] = {MESOS__V1__TASK_INFO__INIT, MESOS__V1__TASK_INFO__INIT};
    for (int i = 0; i < 2; i++) {
        task_ids[i].value = ids[i];
        tasks[i].task_id = &task_ids[i];
        tasks[i].command = &command_info;
    }
    const Mesos__V1__TaskInfo *const pointers[] = {&tasks[0], &tasks[1]};
    cr_assert_eq(devagent_launch_group(script->agent, pointers, 2), 0);
    const Bulkhead__Launch *body =
        (const Bulkhead__Launch *)script_expect(script, MESSAGE_AGENT_LAUNCH)->body;
    cr_assert(body->group);
    cr_assert_eq(body->n_tasks, 2);
    cr_assert_str_eq(body->tasks[0]->task_id, "one");
    cr_assert_str_eq(body->tasks[1]->task_id, "two");
    script_end(script);
}

Test(agent_client, goes_on_after_events_that_ask_nothing_or_are_not_known)
{
    struct script *script = start_subscribed();
    devagent_send_message(script->agent, "words", 5);
    devagent_send_heartbeat(script->agent);
    devagent_send_error(script->agent, "something is wrong here");
    devagent_send_unknown(script->agent);
    devagent_send_record(script->agent, "", 0);
    Mesos__V1__Executor__Event empty = MESOS__V1__EXECUTOR__EVENT__INIT;
    empty.has_type = 1;
    for (int type = 0; type <= 9; type++) {
        if (type == EVENT(SHUTDOWN))
            continue; /* needs nothing */
        empty.type = (Mesos__V1__Executor__Event__Type)type;
        devagent_send_event(script->agent, &empty);
    }
    devagent_set_unknown_fields(script->agent, true);
    devagent_kill(script->agent, "task-1", -1);
    script_expect(script, MESSAGE_AGENT_KILL);
    cr_assert_eq(devagent_subscribe_count(script->agent), 1, "none of it is a reason to subscribe again");
    script_expect_log(script, "something is wrong here");
    script_end(script);
}

Test(agent_client, shutdown_may_come_alone)
{
    struct devagent_options options = defaults();
    options.not_listening = true;
    struct script *script = script_start(&options, NULL);
    const struct devagent_fault fault = {.kind = DEVAGENT_FAULT_SHUTDOWN};
    devagent_add_fault(script->agent, &fault);
    devagent_listen(script->agent, 0);
    script_expect(script, MESSAGE_AGENT_SHUTDOWN);
    script_expect_disconnect(script, CAUSE(CLOSED));
    script_expect(script, MESSAGE_AGENT_SHUTDOWN); /* and again, for as long as we come */
    cr_assert_not(script_has(script, MESSAGE_AGENT_SUBSCRIBED));
    script_end(script);
}

Test(agent_client, takes_the_stream_byte_by_byte)
{
    struct devagent_options options = defaults();
    options.not_listening = true;
    struct script *script = script_start(&options, NULL);
    devagent_set_split(script->agent, 1);
    devagent_listen(script->agent, 0);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    for (int i = 0; i < 5; i++) {
        char id[32];
        snprintf(id, sizeof(id), "task-%d", i);
        const Bulkhead__Launch *body = launch(script, id);
        cr_assert_str_eq(body->tasks[0]->task_id, id);
    }
    script_end(script);
}

static const uint8_t *big_task(const char *id, size_t data, size_t *ret_size)
{
    Mesos__V1__TaskID task_id = MESOS__V1__TASK_ID__INIT;
    task_id.value = (char *)(uintptr_t)id;
    Mesos__V1__AgentID agent_id = MESOS__V1__AGENT_ID__INIT;
    agent_id.value = task_id.value;
    Mesos__V1__TaskInfo task = MESOS__V1__TASK_INFO__INIT;
    task.name = task_id.value;
    task.agent_id = &agent_id;
    task.task_id = &task_id;
    task.has_data = 1;
    task.data.len = data;
    task.data.data = malloc(data);
    for (size_t i = 0; i < data; i++)
        task.data.data[i] = (uint8_t)(i * 7 + (i >> 12));
    *ret_size = mesos__v1__task_info__get_packed_size(&task);
    uint8_t *bytes = malloc(*ret_size);
    mesos__v1__task_info__pack(&task, bytes);
    free(task.data.data);
    return bytes;
}

static void launch_big(struct script *script, const char *id, size_t data)
{
    size_t size;
    const uint8_t *bytes = big_task(id, data, &size);
    cr_assert_eq(devagent_launch_bytes(script->agent, id, bytes, size), 0);
    const Bulkhead__Launch *body = take_launch(script);
    cr_assert_eq(body->tasks[0]->raw.len, size);
    cr_assert_eq(memcmp(body->tasks[0]->raw.data, bytes, size), 0);
    free((void *)(uintptr_t)bytes);
}

static long resident_kilobytes(pid_t pid)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    long kilobytes = -1;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        sscanf(line, "VmRSS: %ld", &kilobytes);
    if (file != NULL)
        fclose(file);
    return kilobytes;
}

Test(agent_client, takes_large_tasks_and_gives_their_memory_back)
{
    struct script *script = start_subscribed();
    launch(script, "small");
    long before = resident_kilobytes(script->pid);
    launch_big(script, "big", 9 << 20);
    devagent_set_split(script->agent, 3001);
    launch_big(script, "split", 5 << 20);

    devagent_drop_stream(script->agent, DEVAGENT_DROP_END);
    script_expect_disconnect(script, CAUSE(CLOSED));
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    const struct devagent_subscribe *subscribe = devagent_subscribe_at(script->agent, 1);
    cr_assert_eq(subscribe->task_count, 3);
    cr_assert(subscribe->tasks_same[1] && subscribe->tasks_same[2]);
#ifndef BULKHEAD_SANITIZE /* whose memory is kept on purpose */
    int64_t deadline = loop_now() + 10 * LOOP_SECOND;
    while (resident_kilobytes(script->pid) > before + 2048 && loop_now() < deadline)
        script_pump(script, 50);
    cr_assert_leq(resident_kilobytes(script->pid), before + 2048);
#else
    (void)before;
#endif
    script_end(script);
}

Test(agent_client, refuses_a_task_above_the_limit_and_goes_on)
{
    struct script *script = start_subscribed();
    size_t size;
    const uint8_t *bytes = big_task("huge", 64 << 20, &size);
    cr_assert_eq(devagent_launch_bytes(script->agent, "huge", bytes, size), 0);
    const struct script_message *message = script_expect(script, MESSAGE_AGENT_LAUNCH_REFUSED);
    const Bulkhead__LaunchRefused *body = (const Bulkhead__LaunchRefused *)message->body;
    cr_assert_str_eq(body->task_id, "huge");
    cr_assert_not_null(strstr(body->reason, "67108864"));
    free((void *)(uintptr_t)bytes);
    launch(script, "small");
    script_end(script);
}

/* ---- streams that end or go wrong ---- */

Test(agent_client, subscribes_again_soon_when_the_stream_ends)
{
    static const enum devagent_drop drops[] = {DEVAGENT_DROP_END, DEVAGENT_DROP_CUT, DEVAGENT_DROP_RESET};
    struct script *script = start_subscribed();
    for (size_t i = 0; i < 3; i++) {
        launch(script, i == 0 ? "a" : i == 1 ? "b" : "c");
        devagent_run_for(script->agent,
                         1100); /* longer than a subscription must last to count as one that held */
        devagent_drop_stream(script->agent, drops[i]);
        script_expect_disconnect(script, CAUSE(CLOSED));
        int64_t ended = loop_now();
        const struct script_message *attempt = script_expect(script, MESSAGE_AGENT_ATTEMPT);
        cr_assert_geq(attempt->time - ended, 20 * LOOP_MS, "no pause");
        cr_assert_leq(attempt->time - ended, 1000 * LOOP_MS);
        script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    }
    script_end(script);
}

static void assert_broken_by(const char *bytes, size_t size, const char *words)
{
    struct script *script = start_subscribed();
    devagent_send_bytes(script->agent, bytes, size);
    const char *text = script_expect_disconnect(script, CAUSE(BROKEN));
    cr_assert_not_null(strstr(text, words), "%s", text);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    launch(script, "after");
    script_end(script);
}

Test(agent_client, a_length_that_is_no_number_ends_the_stream)
{
    assert_broken_by("x", 1, "not a number");
}

Test(agent_client, a_length_above_the_limit_ends_the_stream)
{
    assert_broken_by("134217729\n", 10, "128 MiB");
}

Test(agent_client, a_record_that_is_no_event_ends_the_stream)
{
    assert_broken_by("4\n\xFF\xFF\xFF\xFF", 6, "does not decode");
}

Test(agent_client, a_task_that_is_no_task_ends_the_stream)
{
    assert_broken_by("8\n\x08\x02\x22\x04\x0A\x02\x12\x7F", 10, "does not decode");
}

Test(agent_client, what_came_before_garbage_counts)
{
    struct script *script = start_subscribed();
    devagent_kill(script->agent, "task-1", -1);
    devagent_send_bytes(script->agent, "garbage", 7);
    script_expect(script, MESSAGE_AGENT_KILL);
    script_expect_disconnect(script, CAUSE(BROKEN));
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    script_end(script);
}

Test(agent_client, survives_the_restart_of_an_agent)
{
    struct script *script = start_subscribed();
    launch(script, "task-1");
    for (int i = 0; i < 3; i++) {
        devagent_restart(script->agent, 200, 200);
        script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    }
    script_end(script);
}

/* ---- updates ---- */

Test(agent_client, sends_updates_in_order_and_one_at_a_time)
{
    enum { COUNT = 60 };
    struct script *script = start_subscribed();
    launch(script, "task-1");
    Bulkhead__Update updates[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        updates[i] = script_update(script, "task-1", i == 0 ? STATE(STARTING) : STATE(RUNNING), i);
        script_send_update(script, &updates[i]);
    }
    for (unsigned i = 0; i < COUNT; i++)
        expect_acknowledged(script, &updates[i]);
    cr_assert_eq(devagent_update_count(script->agent), COUNT);
    size_t connection = 0;
    for (size_t i = 0; i < devagent_call_count(script->agent); i++) {
        const struct devagent_call *call = devagent_call_at(script->agent, i);
        if (call->type != DEVAGENT_CALL_UPDATE)
            continue;
        cr_assert(connection == 0 || call->connection == connection, "updates share one connection");
        connection = call->connection;
    }
    cr_assert_neq(connection, devagent_call_at(script->agent, 0)->connection, "and it is not the stream's");
    script_end(script);
}

Test(agent_client, an_update_says_all_that_the_supervisor_said)
{
    struct script *script = start_subscribed();
    launch(script, "task-1");
    Bulkhead__Update update = script_update(script, "task-1", STATE(FAILED), 1);
    char text[] = "exited with code 3";
    update.message = text;
    update.has_reason = 1;
    update.reason = MESOS__V1__TASK_STATUS__REASON__REASON_TASK_HEALTH_CHECK_STATUS_UPDATED;
    update.has_healthy = 1;
    script_send_update(script, &update);
    expect_acknowledged(script, &update);
    const struct devagent_update *received = devagent_last_update(script->agent, "task-1");
    cr_assert_eq((int)received->state, (int)STATE(FAILED));
    cr_assert_str_eq(received->message, "exited with code 3");
    cr_assert_eq((int)received->reason, update.reason);
    cr_assert(received->has_healthy);
    cr_assert_not(received->healthy);
    cr_assert_eq(received->timestamp, update.timestamp);
    cr_assert_eq(memcmp(received->uuid, update.uuid.data, 16), 0);
    cr_assert_null(received->status->agent_id);
    cr_assert_str_eq(received->status->executor_id->value, devagent_executor_id(script->agent));
    script_end(script);
}

Test(agent_client, answers_to_update)
{
    static const struct status_row rows[] = {
        {400, "Failed to validate Executor::Call: odd", 0},
        {405, NULL, 0},
        {406, NULL, 0},
        {415, NULL, 0},
        {501, NULL, 0},
        {400, "Framework cannot be found", CAUSE(RESUBSCRIBE)},
        {400, "Executor cannot be found", CAUSE(RESUBSCRIBE)},
        {401, NULL, CAUSE(RESUBSCRIBE)},
        {403, "Executor is not subscribed", CAUSE(RESUBSCRIBE)},
        {404, NULL, CAUSE(RESUBSCRIBE)},
        {500, NULL, CAUSE(RESUBSCRIBE)},
        {503, NULL, CAUSE(RESUBSCRIBE)},
        {307, NULL, CAUSE(RESUBSCRIBE)},
    };
    struct script *script = start_subscribed();
    launch(script, "task-1");
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct devagent_fault fault = {.kind = DEVAGENT_FAULT_STATUS,
                                             .calls = DEVAGENT_CALL_UPDATE,
                                             .status = rows[i].status,
                                             .body = rows[i].body};
        cr_assert_eq(devagent_add_fault(script->agent, &fault), 0);
        Bulkhead__Update update = script_update(script, "task-1", STATE(RUNNING), 2 * i);
        Bulkhead__Update next = script_update(script, "task-1", STATE(RUNNING), 2 * i + 1);
        script_send_update(script, &update);
        script_send_update(script, &next);
        if (rows[i].cause == 0) {
            const struct script_message *message = script_expect(script, MESSAGE_AGENT_REJECTED);
            const Bulkhead__Rejected *body = (const Bulkhead__Rejected *)message->body;
            cr_assert_eq(memcmp(body->uuid.data, update.uuid.data, 16), 0);
            expect_acknowledged(script, &next);
            continue;
        }
        size_t updates = devagent_update_count(script->agent);
        script->updates[0] = update;
        script->updates[1] = next;
        script->update_count = 2;
        script_expect_disconnect(script, rows[i].cause);
        script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
        script->update_count = 0;
        const struct devagent_subscribe *subscribe =
            devagent_subscribe_at(script->agent, devagent_subscribe_count(script->agent) - 1);
        cr_assert_eq(subscribe->update_count, 2);
        cr_assert_eq(devagent_update_count(script->agent), updates + 2,
                     "what was queued went with the list alone");
    }
    script_end(script);
}

Test(agent_client, faults_of_update)
{
    static const struct fault_row rows[] = {
        {DEVAGENT_FAULT_CLOSE_BEFORE_BODY, CAUSE(RESUBSCRIBE)},
        {DEVAGENT_FAULT_CLOSE_AFTER_BODY, CAUSE(RESUBSCRIBE)},
        {DEVAGENT_FAULT_CLOSE_HANDLED, CAUSE(RESUBSCRIBE)},
        {DEVAGENT_FAULT_NO_ANSWER, CAUSE(TIMEOUT)},
    };
    const char *const extra[] = {"ALLEGRO_EXECUTOR_HTTP_TIMEOUT=500ms", NULL};
    struct devagent_options options = defaults();
    struct script *script = script_start(&options, extra);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    launch(script, "task-1");
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Bulkhead__Update first = script_update(script, "task-1", STATE(RUNNING), 10 * i + 1);
        script_send_update(script, &first);
        await_acknowledged(script, &first); /* the connection is there, and kept */
        const struct devagent_fault fault = {
            .kind = rows[i].kind,
            .calls =
                rows[i].kind == DEVAGENT_FAULT_CLOSE_BEFORE_BODY ? DEVAGENT_CALL_ANY : DEVAGENT_CALL_UPDATE,
            .count = 2}; /* libcurl may try once more on a connection that had been kept */
        cr_assert_eq(devagent_add_fault(script->agent, &fault), 0);
        script->updates[0] = script_update(script, "task-1", STATE(RUNNING), 10 * i + 2);
        script->update_count = 1;
        script_send_update(script, &script->updates[0]);
        script_expect_disconnect(script, rows[i].cause);
        devagent_clear_faults(script->agent);
        script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
        script->update_count = 0;
    }
    script_end(script);
}

Test(agent_client, a_kept_connection_that_the_agent_closed_is_replaced)
{
    struct script *script = start_subscribed();
    launch(script, "task-1");
    for (unsigned i = 0; i < 5; i++) {
        Bulkhead__Update update = script_update(script, "task-1", STATE(RUNNING), i);
        script_send_update(script, &update);
        expect_acknowledged(script, &update);
        devagent_drop_calls(script->agent);
    }
    cr_assert_eq(devagent_subscribe_count(script->agent), 1);
    script_end(script);
}

Test(agent_client, updates_without_a_subscription_are_left_to_the_list)
{
    struct script *script = start_subscribed();
    launch(script, "task-1");
    script->hold = true;
    devagent_drop_stream(script->agent, DEVAGENT_DROP_END);
    script_expect_disconnect(script, CAUSE(CLOSED));
    Bulkhead__Update update = script_update(script, "task-1", STATE(RUNNING), 1);
    script_send_update(script, &update);
    script_expect(script, MESSAGE_AGENT_ATTEMPT);
    script_send_update(script, &update);
    Bulkhead__Subscribe subscribe = BULKHEAD__SUBSCRIBE__INIT;
    Bulkhead__ListTask task = BULKHEAD__LIST_TASK__INIT;
    task.has_raw = 1;
    task.raw = script->tasks[0];
    script_send(script, MESSAGE_AGENT_LIST_TASK, 0, &task.base);
    subscribe.has_tasks = 1;
    subscribe.tasks = 1;
    script_send(script, MESSAGE_AGENT_SUBSCRIBE, 0, &subscribe.base);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    Bulkhead__Update next = script_update(script, "task-1", STATE(RUNNING), 2);
    script_send_update(script, &next);
    expect_acknowledged(script, &next);
    cr_assert_eq(devagent_update_count(script->agent), 1);
    script_end(script);
}

/* ---- token, TLS, domain socket ---- */

Test(agent_client, shows_its_token_and_nobody_else_sees_it)
{
    struct devagent_options options = defaults();
    options.jwt = DEVAGENT_JWT_REQUIRED;
    const char *const extra[] = {"ALLEGRO_EXECUTOR_DEBUG=true", NULL};
    struct script *script = script_start(&options, extra);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    launch(script, "task-1");
    Bulkhead__Update update = script_update(script, "task-1", STATE(RUNNING), 1);
    script_send_update(script, &update);
    expect_acknowledged(script, &update);
    char *log = script_log(script);
    cr_assert_not_null(strstr(log, "level=debug"));
    cr_assert_null(strstr(log, devagent_token(script->agent)), "the token is in the log");
    free(log);
    script_end(script);
}

Test(agent_client, a_wrong_token_is_unauthorized)
{
    struct devagent_options options = defaults();
    options.jwt = DEVAGENT_JWT_REQUIRED;
    const char *const extra[] = {"MESOS_EXECUTOR_AUTHENTICATION_TOKEN=wrong.words.here", NULL};
    struct script *script = script_start(&options, extra);
    script_expect_disconnect(script, CAUSE(UNAUTHORIZED));
    script_expect_disconnect(script, CAUSE(UNAUTHORIZED));
    char *log = script_log(script);
    cr_assert_null(strstr(log, "wrong.words.here"), "the token is in the log");
    free(log);
    cr_assert_eq(send_signal(script->pid, SIGTERM), 0);
    script_end_failed(script);
}

Test(agent_client, works_over_the_domain_socket)
{
    struct devagent_options options = defaults();
    options.domain_socket = true;
    options.jwt = DEVAGENT_JWT_REQUIRED;
    struct script *script = script_start(&options, NULL);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    launch(script, "task-1");
    for (unsigned i = 0; i < 3; i++) {
        Bulkhead__Update update = script_update(script, "task-1", STATE(RUNNING), i);
        script_send_update(script, &update);
        expect_acknowledged(script, &update);
    }
    for (size_t i = 0; i < devagent_call_count(script->agent); i++)
        cr_assert(devagent_call_at(script->agent, i)->by_domain_socket);

    /* There is no third connection: a lost one means to subscribe again. */
    devagent_drop_calls(script->agent);
    script->updates[0] = script_update(script, "task-1", STATE(RUNNING), 7);
    script->update_count = 1;
    script_send_update(script, &script->updates[0]);
    script_expect_disconnect(script, CAUSE(RESUBSCRIBE));
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    cr_assert_eq(devagent_subscribe_at(script->agent, 1)->update_count, 1);
    script_end(script);
}

Test(agent_client, a_domain_socket_without_connections_is_refused)
{
    struct devagent_options options = defaults();
    options.domain_socket = true;
    options.not_listening = true;
    struct script *script = script_start(&options, NULL);
    script->socket_count = 0;
    script_expect_disconnect(script, CAUSE(REFUSED));
    devagent_listen(script->agent, 0);
    script->socket_count = 2;
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    script_end(script);
}

Test(agent_client, speaks_tls)
{
    struct devagent_options options = defaults();
    options.tls = true;
    options.jwt = DEVAGENT_JWT_REQUIRED;
    struct script *script = script_start(&options, NULL);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    launch(script, "task-1");
    Bulkhead__Update update = script_update(script, "task-1", STATE(RUNNING), 1);
    script_send_update(script, &update);
    expect_acknowledged(script, &update);
    devagent_drop_stream(script->agent, DEVAGENT_DROP_RESET);
    script_expect_disconnect(script, CAUSE(CLOSED));
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    launch_big(script, "big", 3 << 20);
    script_end(script);
}

Test(agent_client, a_certificate_that_no_authority_gave_is_refused)
{
    struct devagent_options options = defaults();
    options.tls = true;
    const char *const extra[] = {"LIBPROCESS_SSL_CA_FILE=/etc/ssl/certs/ca-certificates.crt", NULL};
    struct script *script = script_start(&options, extra);
    script_expect_disconnect(script, CAUSE(REFUSED));
    cr_assert_eq(devagent_call_count(script->agent), 0);
    cr_assert_eq(send_signal(script->pid, SIGTERM), 0);
    script_end_failed(script);
}

Test(agent_client, without_verification_any_certificate_will_do)
{
    struct devagent_options options = defaults();
    options.tls = true;
    const char *const extra[] = {"LIBPROCESS_SSL_CA_FILE=/etc/ssl/certs/ca-certificates.crt",
                                 "LIBPROCESS_SSL_VERIFY_SERVER_CERT=false", NULL};
    struct script *script = script_start(&options, extra);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    script_end(script);
}

Test(agent_client, a_missing_key_is_named_and_ends_it)
{
    struct devagent_options options = defaults();
    options.tls = true;
    const char *const extra[] = {"LIBPROCESS_SSL_KEY_FILE=/nowhere/key.pem", NULL};
    struct script *script = script_start(&options, extra);
    script_expect_log(script, "LIBPROCESS_SSL_KEY_FILE");
    cr_assert_eq(script_end_failed(script), 2);
}

/* ---- the supervisor's side ---- */

Test(agent_client, answers_pings_with_their_id)
{
    struct script *script = start_subscribed();
    for (uint32_t id = 1; id < 100; id += 7) {
        script_send(script, MESSAGE_PING, id, NULL);
        cr_assert_eq(script_expect(script, MESSAGE_PONG)->id, id);
    }
    script_end(script);
}

Test(agent_client, answers_pings_while_it_waits)
{
    struct devagent_options options = defaults();
    options.not_listening = true;
    struct script *script = script_start(&options, NULL);
    for (uint32_t id = 1; id < 20; id++) {
        script_send(script, MESSAGE_PING, id, NULL);
        cr_assert_eq(script_expect(script, MESSAGE_PONG)->id, id);
    }
    script_end(script);
}

Test(agent_client, bytes_that_are_no_frame_end_it)
{
    struct script *script = start_subscribed();
    static const char garbage[64] = "this is no frame at all";
    script_send_bytes(script, garbage, sizeof(garbage));
    cr_assert_eq(script_end_failed(script), 1);
}

Test(agent_client, a_list_out_of_time_ends_it)
{
    struct script *script = start_subscribed();
    Bulkhead__ListTask task = BULKHEAD__LIST_TASK__INIT;
    task.has_raw = 1;
    script_send(script, MESSAGE_AGENT_LIST_TASK, 0, &task.base);
    script_expect_log(script, "AGENT_LIST_TASK");
    cr_assert_eq(script_end_failed(script), 1);
}

Test(agent_client, a_list_that_does_not_add_up_ends_it)
{
    struct devagent_options options = defaults();
    options.not_listening = true;
    struct script *script = script_start(&options, NULL);
    script_expect(script, MESSAGE_AGENT_ATTEMPT);
    script->hold = true;
    script_expect(script, MESSAGE_AGENT_ATTEMPT);
    if (script->attempts > 1) {
        Bulkhead__Subscribe subscribe = BULKHEAD__SUBSCRIBE__INIT;
        subscribe.has_updates = 1;
        subscribe.updates = 1;
        script_send(script, MESSAGE_AGENT_SUBSCRIBE, 0, &subscribe.base);
    }
    cr_assert_eq(script_end_failed(script), 1);
}

Test(agent_client, a_wrong_setting_is_named_and_ends_it)
{
    struct devagent_options options = defaults();
    const char *const extra[] = {"MESOS_AGENT_ENDPOINT=no port here", NULL};
    struct script *script = script_start(&options, extra);
    script_expect_log(script, "MESOS_AGENT_ENDPOINT");
    cr_assert_eq(script_end_failed(script), 2);
}

/* ---- what it costs ---- */

/* Root's to see: agent-client lets nobody else look into it. 0 when we may not. */
static size_t open_descriptors(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    cr_assert(folder != NULL || geteuid() != 0);
    if (folder == NULL)
        return 0;
    size_t count = 0;
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void assert_no_descriptor_is_lost(bool domain_socket)
{
    struct devagent_options options = defaults();
    options.domain_socket = domain_socket;
    const char *const extra[] = {"MESOS_SUBSCRIPTION_BACKOFF_MAX=10ms", NULL};
    struct script *script = script_start(&options, extra);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    launch(script, "task-1");
    size_t before = 0;
    for (unsigned i = 0; i < 20; i++) {
        Bulkhead__Update update = script_update(script, "task-1", STATE(RUNNING), i);
        script_send_update(script, &update);
        expect_acknowledged(script, &update);
        if (i == 0)
            before = open_descriptors(script->pid);
        cr_assert_eq(open_descriptors(script->pid), before, "after %u subscriptions", i);
        devagent_drop_stream(script->agent, i % 2 == 0 ? DEVAGENT_DROP_RESET : DEVAGENT_DROP_END);
        script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    }
    script_end(script);
}

Test(agent_client, no_descriptor_is_lost_over_tcp)
{
    assert_no_descriptor_is_lost(false);
}

Test(agent_client, no_descriptor_is_lost_over_the_domain_socket)
{
    assert_no_descriptor_is_lost(true);
}

static long context_switches(pid_t pid)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    long switches = -1;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        sscanf(line, "voluntary_ctxt_switches: %ld", &switches);
    if (file != NULL)
        fclose(file);
    return switches;
}

Test(agent_client, an_idle_one_does_not_wake)
{
    struct script *script = start_subscribed();
    launch(script, "task-1");
    Bulkhead__Update update = script_update(script, "task-1", STATE(RUNNING), 1);
    script_send_update(script, &update);
    expect_acknowledged(script, &update);
    devagent_run_for(script->agent, 2500); /* it tidies up once, and libcurl may have a timer left */
    long before = context_switches(script->pid);
    devagent_run_for(script->agent, 2500);
    cr_assert_eq(context_switches(script->pid), before);
    script_end(script);
}
