/*
 * The body of each message, and its way to a handler. The first byte chooses the message by its place in the
 * list, the rest is the body. Beyond not crashing: what is decoded is encoded and decoded again and stays the
 * same, each descriptor is closed or handed on, and a handler is called exactly for what decodes and is its
 * receiver's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/message.h"
#include "proto/bulkhead.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWER = 7 };

struct handled {
    int calls;
    int descriptor;
    uint64_t sum; /* of everything that was in it */
};

/* --- handlers that read every field, as one that believes its message does --- */

static uint64_t touch_bytes(const uint8_t *bytes, size_t length)
{
    uint64_t sum = length;
    for (size_t i = 0; i < length; i++)
        sum = sum * 31 + bytes[i];
    return sum;
}

static uint64_t touch_text(const char *text)
{
    return text != NULL ? touch_bytes((const uint8_t *)text, strlen(text)) : 1;
}

static uint64_t touch_data(protobuf_c_boolean has, const ProtobufCBinaryData *data)
{
    return has ? touch_bytes(data->data, data->len) : 1;
}

static uint64_t touch_command(const Bulkhead__Command *command)
{
    if (command == NULL)
        return 1;
    uint64_t sum = touch_text(command->value) + touch_text(command->user) + (unsigned)command->shell;
    for (size_t i = 0; i < command->n_arguments; i++)
        sum += touch_text(command->arguments[i]);
    for (size_t i = 0; i < command->n_environment; i++)
        sum += touch_text(command->environment[i]->name) + touch_text(command->environment[i]->value);
    return sum;
}

static uint64_t touch_task(const Bulkhead__Task *task)
{
    return touch_text(task->task_id) + touch_data(task->has_raw, &task->raw) + touch_command(task->command) +
           touch_command(task->executor_command) + (uint64_t)task->kill_grace +
           (uint64_t)task->max_completion_time + touch_text(task->allocation_role);
}

static int handle(void *self, uint64_t sum, int descriptor)
{
    struct handled *handled = self;
    handled->calls++;
    handled->sum = sum;
    handled->descriptor = descriptor;
    return ANSWER;
}

static int on_hello(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    const Bulkhead__Hello *hello = (const void *)body;
    return handle(self, id + hello->protocol + touch_text(hello->version), descriptor);
}

static int on_configure(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    const Bulkhead__Configure *configure = (const void *)body;
    uint64_t sum = id;
    for (size_t i = 0; i < configure->n_settings; i++)
        sum += touch_text(configure->settings[i]->name) + touch_text(configure->settings[i]->value);
    return handle(self, sum, descriptor);
}

static int on_empty(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    if (body->descriptor != &bulkhead__empty__descriptor)
        abort();
    return handle(self, id, descriptor);
}

static int on_list_task(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    const Bulkhead__ListTask *list = (const void *)body;
    return handle(self, id + touch_data(list->has_raw, &list->raw), descriptor);
}

static int on_update(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    const Bulkhead__Update *update = (const void *)body;
    uint64_t sum = touch_data(update->has_uuid, &update->uuid) + touch_text(update->task_id) +
                   (uint64_t)update->state + (uint64_t)update->reason + touch_text(update->message) +
                   (update->timestamp > 0) + (unsigned)update->healthy;
    return handle(self, id + sum, descriptor);
}

static int on_subscribe(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    const Bulkhead__Subscribe *subscribe = (const void *)body;
    return handle(self, (uint64_t)id + subscribe->tasks + subscribe->updates, descriptor);
}

static int on_subscribed(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    const Bulkhead__Subscribed *subscribed = (const void *)body;
    return handle(self, id + touch_text(subscribed->agent_id) + (unsigned)subscribed->task_killing_state,
                  descriptor);
}

static int on_disconnected(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    const Bulkhead__Disconnected *disconnected = (const void *)body;
    return handle(self, id + (unsigned)disconnected->cause + touch_text(disconnected->text), descriptor);
}

static int on_launch(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    const Bulkhead__Launch *launch = (const void *)body;
    uint64_t sum = id + (unsigned)launch->group;
    for (size_t i = 0; i < launch->n_tasks; i++)
        sum += touch_task(launch->tasks[i]);
    return handle(self, sum, descriptor);
}

static int on_launch_refused(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    const Bulkhead__LaunchRefused *refused = (const void *)body;
    return handle(self, id + touch_text(refused->task_id) + touch_text(refused->reason), descriptor);
}

static int on_kill(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    const Bulkhead__Kill *kill_message = (const void *)body;
    return handle(self, id + touch_text(kill_message->task_id) + (uint64_t)kill_message->grace, descriptor);
}

static int on_acknowledged(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    const Bulkhead__Acknowledged *acknowledged = (const void *)body;
    uint64_t sum =
        touch_text(acknowledged->task_id) + touch_data(acknowledged->has_uuid, &acknowledged->uuid);
    return handle(self, id + sum, descriptor);
}

static int on_rejected(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    const Bulkhead__Rejected *rejected = (const void *)body;
    return handle(self, id + touch_data(rejected->has_uuid, &rejected->uuid) + touch_text(rejected->text),
                  descriptor);
}

static const struct message_handler supervisors[] = {
    {MESSAGE_HELLO, on_hello},
    {MESSAGE_PONG, on_empty},
    {MESSAGE_AGENT_ATTEMPT, on_empty},
    {MESSAGE_AGENT_SUBSCRIBED, on_subscribed},
    {MESSAGE_AGENT_DISCONNECTED, on_disconnected},
    {MESSAGE_AGENT_LAUNCH, on_launch},
    {MESSAGE_AGENT_LAUNCH_REFUSED, on_launch_refused},
    {MESSAGE_AGENT_KILL, on_kill},
    {MESSAGE_AGENT_ACKNOWLEDGED, on_acknowledged},
    {MESSAGE_AGENT_SHUTDOWN, on_empty},
    {MESSAGE_AGENT_REJECTED, on_rejected},
    {0},
};

static const struct message_handler agent_clients[] = {
    {MESSAGE_CONFIGURE, on_configure},       {MESSAGE_PING, on_empty},
    {MESSAGE_AGENT_LIST_TASK, on_list_task}, {MESSAGE_AGENT_LIST_UPDATE, on_update},
    {MESSAGE_AGENT_SUBSCRIBE, on_subscribe}, {MESSAGE_AGENT_SOCKET, on_empty},
    {MESSAGE_AGENT_UPDATE, on_update},       {0},
};

static const struct message_handler nobody[] = {{0}};

/* --- what must hold --- */

static const struct message_definition *choose_definition(uint8_t choice)
{
    size_t count = 0;
    while (message_at(count) != NULL)
        count++;
    return message_at(choice % count);
}

/* Every descriptor given away is either the handler's or closed. */
static int dispatch(const struct message_handler *table, const struct message_definition *definition,
                    const uint8_t *body, size_t length, struct handled *handled)
{
    int descriptor = definition->has_descriptor ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    *handled = (struct handled){.descriptor = -1};
    int r = message_dispatch(table, handled, (uint16_t)definition->type, 5, body, length, descriptor);
    if (handled->descriptor >= 0) {
        if (handled->descriptor != descriptor)
            abort();
        close(handled->descriptor);
    }
    if (descriptor >= 0 && fcntl(descriptor, F_GETFD) >= 0)
        abort();
    if (r != (handled->calls > 0 ? ANSWER : -EPROTO) || handled->calls > 1)
        abort();
    return r;
}

/* What decodes, encodes; and what was encoded says the same, to a handler and in bytes. */
static void check_way_back(const struct message_handler *table, const struct message_definition *definition,
                           const ProtobufCMessage *message, uint64_t sum)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(length + 1);
    uint8_t *again = malloc(length + 1);
    ProtobufCMessage *copy;
    struct handled handled;
    if (protobuf_c_message_pack(message, bytes) != length ||
        message_decode((uint16_t)definition->type, bytes, length, &copy) < 0)
        abort();
    if (protobuf_c_message_get_packed_size(copy) != length ||
        protobuf_c_message_pack(copy, again) != length || memcmp(bytes, again, length) != 0)
        abort();
    protobuf_c_message_free_unpacked(copy, NULL);
    if (dispatch(table, definition, bytes, length, &handled) != ANSWER || handled.sum != sum)
        abort();
    free(again);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const struct message_definition *definition = choose_definition(data[0]);
    bool to_supervisor = definition->receivers == ROLE_SUPERVISOR;
    const struct message_handler *table = to_supervisor ? supervisors : agent_clients;
    ProtobufCMessage *message = NULL;
    struct handled handled;
    data++;
    size--;

    bool decodes = message_decode((uint16_t)definition->type, data, size, &message) == 0;
    if (decodes != (message != NULL))
        abort();
    if ((dispatch(table, definition, data, size, &handled) == ANSWER) != decodes)
        abort();
    if (decodes)
        check_way_back(table, definition, message, handled.sum);
    if (message != NULL)
        protobuf_c_message_free_unpacked(message, NULL);
    dispatch(to_supervisor ? agent_clients : supervisors, definition, data, size, &handled);
    if (handled.calls != 0)
        abort();
    dispatch(nobody, definition, data, size, &handled);
    if (handled.calls != 0)
        abort();
    return 0;
}
