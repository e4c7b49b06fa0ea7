/*
 * What we say to the agent: SUBSCRIBE and UPDATE in Mesos' protobuf.
 *
 * An update is the supervisor's work, uuid and time included; here it only changes its form. It must not be
 * given an agent_id: the agent fills in its own, and drops an update that carries another without a word
 * (Mesos: slave.cpp, Slave::statusUpdate). executor_id and source are the two that the agent checks
 * (validation.cpp).
 */
#include "agent-client/call.h"

#include <errno.h>
#include <stdlib.h>

#include "agent-client/text.h"
#include "proto/mesos_v1_executor.pb-c.h"

/* A status and the messages that it points to. */
struct status {
    Mesos__V1__TaskStatus status;
    Mesos__V1__TaskID task_id;
    Mesos__V1__ExecutorID executor_id;
    Mesos__V1__Executor__Call__Update update;
    Mesos__V1__CheckStatusInfo check_status;
    Mesos__V1__CheckStatusInfo__Command check_command;
    Mesos__V1__CheckStatusInfo__Http check_http;
    Mesos__V1__CheckStatusInfo__Tcp check_tcp;
    char *text;
};

/* protoc-c's strings are not const, but packing does not change them. */
static char *borrow(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void set_scalars(Mesos__V1__TaskStatus *status, const Bulkhead__Update *from)
{
    status->has_state = from->has_state;
    status->state = (Mesos__V1__TaskState)from->state;
    status->has_reason = from->has_reason;
    status->reason = (Mesos__V1__TaskStatus__Reason)from->reason;
    status->has_timestamp = from->has_timestamp;
    status->timestamp = from->timestamp;
    status->has_healthy = from->has_healthy;
    status->healthy = from->healthy;
    status->has_uuid = from->has_uuid;
    status->uuid = from->uuid;
    status->has_source = 1;
    status->source = MESOS__V1__TASK_STATUS__SOURCE__SOURCE_EXECUTOR;
}

/* A message may quote what a task or the system said, in any bytes; Mesos prints it as JSON, which must be
 * UTF-8. */
static int set_message(struct status *out, const char *message)
{
    if (message == NULL)
        return 0;
    if (text_is_utf8(message)) {
        out->status.message = borrow(message);
        return 0;
    }
    out->text = text_to_utf8(message);
    if (out->text == NULL)
        return -ENOMEM;
    out->status.message = out->text;
    return 0;
}

/* Type and sub-message always come together: an agent refuses one without the other (validation.cpp). */
static void set_check_status(struct status *out, const Bulkhead__CheckStatus *from)
{
    if (from == NULL || !from->has_type)
        return;
    mesos__v1__check_status_info__init(&out->check_status);
    mesos__v1__check_status_info__command__init(&out->check_command);
    mesos__v1__check_status_info__http__init(&out->check_http);
    mesos__v1__check_status_info__tcp__init(&out->check_tcp);
    out->check_status.has_type = 1;
    switch (from->type) {
    case BULKHEAD__CHECK__TYPE__COMMAND:
        out->check_status.type = MESOS__V1__CHECK_INFO__TYPE__COMMAND;
        out->check_status.command = &out->check_command;
        out->check_command.has_exit_code = from->has_value;
        out->check_command.exit_code = (int32_t)from->value;
        break;
    case BULKHEAD__CHECK__TYPE__HTTP:
        out->check_status.type = MESOS__V1__CHECK_INFO__TYPE__HTTP;
        out->check_status.http = &out->check_http;
        out->check_http.has_status_code = from->has_value;
        out->check_http.status_code = (uint32_t)from->value;
        break;
    case BULKHEAD__CHECK__TYPE__TCP:
        out->check_status.type = MESOS__V1__CHECK_INFO__TYPE__TCP;
        out->check_status.tcp = &out->check_tcp;
        out->check_tcp.has_succeeded = from->has_value;
        out->check_tcp.succeeded = from->value != 0;
        break;
    default:
        return;
    }
    out->status.check_status = &out->check_status;
}

static int fill_status(struct status *out, const struct call_identity *identity, const Bulkhead__Update *from)
{
    mesos__v1__task_status__init(&out->status);
    mesos__v1__task_id__init(&out->task_id);
    mesos__v1__executor_id__init(&out->executor_id);
    mesos__v1__executor__call__update__init(&out->update);
    out->text = NULL;
    set_scalars(&out->status, from);
    set_check_status(out, from->check_status);
    out->task_id.value = from->task_id;
    out->status.task_id = &out->task_id;
    out->executor_id.value = borrow(identity->executor_id);
    out->status.executor_id = &out->executor_id;
    out->update.status = &out->status;
    return set_message(out, from->message);
}

static int pack(const Mesos__V1__Executor__Call *message, struct call *ret_call)
{
    struct call call = {.size = mesos__v1__executor__call__get_packed_size(message)};
    call.data = malloc(call.size);
    if (call.data == NULL)
        return -ENOMEM;
    mesos__v1__executor__call__pack(message, call.data);
    *ret_call = call;
    return 0;
}

/* Packs a copy with our names in it. */
static int pack_with_identity(const Mesos__V1__Executor__Call *message, Mesos__V1__Executor__Call__Type type,
                              const struct call_identity *identity, struct call *ret_call)
{
    Mesos__V1__FrameworkID framework_id = MESOS__V1__FRAMEWORK_ID__INIT;
    Mesos__V1__ExecutorID executor_id = MESOS__V1__EXECUTOR_ID__INIT;
    framework_id.value = borrow(identity->framework_id);
    executor_id.value = borrow(identity->executor_id);
    Mesos__V1__Executor__Call complete = *message;
    complete.framework_id = &framework_id;
    complete.executor_id = &executor_id;
    complete.has_type = 1;
    complete.type = type;
    return pack(&complete, ret_call);
}

int call_make_update(const struct call_identity *identity, const Bulkhead__Update *update,
                     struct call *ret_call)
{
    struct status status;
    int r = fill_status(&status, identity, update);
    if (r == 0) {
        Mesos__V1__Executor__Call message = MESOS__V1__EXECUTOR__CALL__INIT;
        message.update = &status.update;
        r = pack_with_identity(&message, MESOS__V1__EXECUTOR__CALL__TYPE__UPDATE, identity, ret_call);
    }
    free(status.text);
    return r;
}

static int pack_subscribe(const struct call_identity *identity, const struct call_list *list,
                          struct status *statuses, Mesos__V1__Executor__Call__Update **updates,
                          struct call *ret_call)
{
    Mesos__V1__Executor__Call__Subscribe subscribe = MESOS__V1__EXECUTOR__CALL__SUBSCRIBE__INIT;
    subscribe.n_unacknowledged_tasks = list->task_count;
    subscribe.unacknowledged_tasks = (ProtobufCBinaryData *)(uintptr_t)list->tasks;
    subscribe.n_unacknowledged_updates = list->update_count;
    subscribe.unacknowledged_updates = updates;
    for (size_t i = 0; i < list->update_count; i++) {
        int r = fill_status(&statuses[i], identity, list->updates[i]);
        if (r < 0)
            return r;
        updates[i] = &statuses[i].update;
    }
    Mesos__V1__Executor__Call message = MESOS__V1__EXECUTOR__CALL__INIT;
    message.subscribe = &subscribe;
    return pack_with_identity(&message, MESOS__V1__EXECUTOR__CALL__TYPE__SUBSCRIBE, identity, ret_call);
}

int call_make_subscribe(const struct call_identity *identity, const struct call_list *list,
                        struct call *ret_call)
{
    struct status *statuses = calloc(list->update_count + 1, sizeof(*statuses));
    Mesos__V1__Executor__Call__Update **updates =
        calloc(list->update_count + 1, sizeof(Mesos__V1__Executor__Call__Update *));
    int r = -ENOMEM;
    if (statuses != NULL && updates != NULL)
        r = pack_subscribe(identity, list, statuses, updates, ret_call);
    for (size_t i = 0; statuses != NULL && i < list->update_count; i++)
        free(statuses[i].text);
    free(updates);
    free(statuses);
    return r;
}

void call_clear(struct call *call)
{
    if (call == NULL)
        return;
    free(call->data);
    *call = (struct call){0};
}
