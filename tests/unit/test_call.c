/* What we say to the agent: the calls, read back with the same schema, and the listing that feeds SUBSCRIBE.
 */
#include "agent-client/call.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent-client/listing.h"
#include "proto/mesos_v1_executor.pb-c.h"

static const struct call_identity identity = {"framework-1", "executor-1"};
static uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 0};

static Bulkhead__Update full_update(char *task_id, char *message)
{
    Bulkhead__Update update = BULKHEAD__UPDATE__INIT;
    update.has_uuid = 1;
    update.uuid = (ProtobufCBinaryData){.len = sizeof(uuid), .data = uuid};
    update.task_id = task_id;
    update.has_state = 1;
    update.state = MESOS__V1__TASK_STATE__TASK_FAILED;
    update.has_reason = 1;
    update.reason = MESOS__V1__TASK_STATUS__REASON__REASON_MAX_COMPLETION_TIME_REACHED;
    update.message = message;
    update.has_timestamp = 1;
    update.timestamp = 1700000000.25;
    update.has_healthy = 1;
    update.healthy = 0;
    return update;
}

static Mesos__V1__Executor__Call *read_back(const struct call *call)
{
    Mesos__V1__Executor__Call *message = mesos__v1__executor__call__unpack(NULL, call->size, call->data);
    cr_assert_not_null(message);
    cr_assert_str_eq(message->framework_id->value, "framework-1");
    cr_assert_str_eq(message->executor_id->value, "executor-1");
    return message;
}

static void assert_full_status(const Mesos__V1__TaskStatus *status, const char *task_id)
{
    cr_assert_str_eq(status->task_id->value, task_id);
    cr_assert_eq(status->state, MESOS__V1__TASK_STATE__TASK_FAILED);
    cr_assert_str_eq(status->executor_id->value, "executor-1");
    cr_assert_null(status->agent_id, "an agent drops an update with an agent_id that is not its own");
    cr_assert_eq(status->source, MESOS__V1__TASK_STATUS__SOURCE__SOURCE_EXECUTOR);
    cr_assert(status->has_source);
    cr_assert(status->has_reason);
    cr_assert_eq(status->reason, MESOS__V1__TASK_STATUS__REASON__REASON_MAX_COMPLETION_TIME_REACHED);
    cr_assert(status->has_healthy);
    cr_assert_not(status->healthy);
    cr_assert_eq(status->timestamp, 1700000000.25);
    cr_assert_eq(status->uuid.len, sizeof(uuid));
    cr_assert_eq(memcmp(status->uuid.data, uuid, sizeof(uuid)), 0);
}

Test(call, update_carries_everything)
{
    char task_id[] = "task-1", text[] = "the task ran too long";
    Bulkhead__Update update = full_update(task_id, text);
    struct call call;
    cr_assert_eq(call_make_update(&identity, &update, &call), 0);
    Mesos__V1__Executor__Call *message = read_back(&call);
    cr_assert_eq(message->type, MESOS__V1__EXECUTOR__CALL__TYPE__UPDATE);
    assert_full_status(message->update->status, "task-1");
    cr_assert_str_eq(message->update->status->message, "the task ran too long");
    mesos__v1__executor__call__free_unpacked(message, NULL);
    call_clear(&call);
    cr_assert_null(call.data);
    call_clear(NULL);
}

Test(call, what_is_not_set_stays_unset)
{
    char task_id[] = "task-1";
    Bulkhead__Update update = BULKHEAD__UPDATE__INIT;
    update.task_id = task_id;
    update.has_state = 1;
    update.state = MESOS__V1__TASK_STATE__TASK_STARTING; /* 0: must be on the wire all the same */
    struct call call;
    cr_assert_eq(call_make_update(&identity, &update, &call), 0);
    Mesos__V1__Executor__Call *message = read_back(&call);
    const Mesos__V1__TaskStatus *status = message->update->status;
    cr_assert(status->has_state);
    cr_assert_not(status->has_reason);
    cr_assert_not(status->has_healthy);
    cr_assert_not(status->has_timestamp);
    cr_assert_not(status->has_uuid);
    cr_assert_null(status->message);
    mesos__v1__executor__call__free_unpacked(message, NULL);
    call_clear(&call);
}

Test(call, message_is_made_utf8)
{
    char task_id[] = "task-1", text[] = "cannot run \xFF\xC3\xBC";
    Bulkhead__Update update = full_update(task_id, text);
    struct call call;
    cr_assert_eq(call_make_update(&identity, &update, &call), 0);
    Mesos__V1__Executor__Call *message = read_back(&call);
    cr_assert_str_eq(message->update->status->message, "cannot run ?\xC3\xBC");
    mesos__v1__executor__call__free_unpacked(message, NULL);
    call_clear(&call);
}

Test(call, empty_subscribe)
{
    struct listing listing = {0};
    struct call_list list = listing_view(&listing);
    struct call call;
    cr_assert_eq(call_make_subscribe(&identity, &list, &call), 0);
    Mesos__V1__Executor__Call *message = read_back(&call);
    cr_assert_eq(message->type, MESOS__V1__EXECUTOR__CALL__TYPE__SUBSCRIBE);
    cr_assert_not_null(message->subscribe, "the agent wants the sub-message, even an empty one");
    cr_assert_eq(message->subscribe->n_unacknowledged_tasks, 0);
    cr_assert_eq(message->subscribe->n_unacknowledged_updates, 0);
    mesos__v1__executor__call__free_unpacked(message, NULL);
    call_clear(&call);
}

Test(call, subscribe_keeps_the_order_and_every_byte)
{
    enum { COUNT = 37 };
    struct listing listing = {0};
    for (int i = 0; i < COUNT; i++) {
        uint8_t bytes[] = {(uint8_t)i, 0, 0xFF, '\n'};
        const ProtobufCBinaryData raw = {.len = i == 5 ? 0 : sizeof(bytes), .data = i == 5 ? NULL : bytes};
        cr_assert_eq(listing_add_task(&listing, &raw), 0);
        char task_id[24], text[] = "a\xFF";
        snprintf(task_id, sizeof(task_id), "task-%d", i);
        Bulkhead__Update update = full_update(task_id, i % 2 == 0 ? text : NULL);
        cr_assert_eq(listing_add_update(&listing, &update), 0);
        memset(bytes, 'x', sizeof(bytes));
        memset(task_id, 'x', sizeof(task_id)); /* what was added is a copy */
    }
    struct call_list list = listing_view(&listing);
    struct call call;
    cr_assert_eq(call_make_subscribe(&identity, &list, &call), 0);
    listing_clear(&listing);
    Mesos__V1__Executor__Call *message = read_back(&call);
    cr_assert_eq(message->subscribe->n_unacknowledged_tasks, COUNT);
    cr_assert_eq(message->subscribe->n_unacknowledged_updates, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const uint8_t bytes[] = {(uint8_t)i, 0, 0xFF, '\n'};
        const ProtobufCBinaryData *raw = &message->subscribe->unacknowledged_tasks[i];
        cr_assert_eq(raw->len, i == 5 ? 0 : sizeof(bytes));
        if (i != 5)
            cr_assert_eq(memcmp(raw->data, bytes, sizeof(bytes)), 0);
        char task_id[24];
        snprintf(task_id, sizeof(task_id), "task-%d", i);
        const Mesos__V1__TaskStatus *status = message->subscribe->unacknowledged_updates[i]->status;
        assert_full_status(status, task_id);
        if (i % 2 == 0)
            cr_assert_str_eq(status->message, "a?");
        else
            cr_assert_null(status->message);
    }
    mesos__v1__executor__call__free_unpacked(message, NULL);
    call_clear(&call);
}

Test(listing, clear_leaves_it_usable)
{
    struct listing listing = {0};
    const ProtobufCBinaryData raw = {.len = 2, .data = uuid};
    cr_assert_eq(listing_add_task(&listing, &raw), 0);
    listing_clear(&listing);
    cr_assert_eq(listing_view(&listing).task_count, 0);
    cr_assert_eq(listing_add_task(&listing, &raw), 0);
    cr_assert_eq(listing_view(&listing).task_count, 1);
    listing_clear(&listing);
    listing_clear(NULL);
}
