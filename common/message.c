/*
 * The message list as tables: what proto/messages.def says, in a form that code can ask.
 *
 * Every process checks what it sends and what it receives against the same rows, so that "not allowed" has
 * one meaning.
 */
#include "common/message.h"

#include <errno.h>
#include <unistd.h>

#include "proto/bulkhead.pb-c.h"

#define KIB 1024u
#define MIB (1024u * 1024u)

/* protoc-c's names of the descriptors, by the names that messages.def uses. */
#define BODY_Hello bulkhead__hello__descriptor
#define BODY_Configure bulkhead__configure__descriptor
#define BODY_Empty bulkhead__empty__descriptor
#define BODY_ListTask bulkhead__list_task__descriptor
#define BODY_Update bulkhead__update__descriptor
#define BODY_Subscribe bulkhead__subscribe__descriptor
#define BODY_Subscribed bulkhead__subscribed__descriptor
#define BODY_Disconnected bulkhead__disconnected__descriptor
#define BODY_Launch bulkhead__launch__descriptor
#define BODY_LaunchRefused bulkhead__launch_refused__descriptor
#define BODY_Kill bulkhead__kill__descriptor
#define BODY_Acknowledged bulkhead__acknowledged__descriptor
#define BODY_Rejected bulkhead__rejected__descriptor
#define BODY_HookRun bulkhead__hook_run__descriptor
#define BODY_JobCancel bulkhead__job_cancel__descriptor
#define BODY_HookRecorded bulkhead__hook_recorded__descriptor
#define BODY_HookRecordTaken bulkhead__hook_record_taken__descriptor
#define BODY_HookResult bulkhead__hook_result__descriptor
#define BODY_HookDone bulkhead__hook_done__descriptor
#define BODY_Probe bulkhead__probe__descriptor
#define BODY_ProbeResult bulkhead__probe_result__descriptor

static const struct message_definition definitions[] = {
#define MESSAGE(row_name, number, row_sender, row_receiver, row_phases, row_largest, row_descriptors,        \
                row_body, row_purpose)                                                                       \
    {                                                                                                        \
        .name = #row_name,                                                                                   \
        .type = MESSAGE_##row_name,                                                                          \
        .senders = ROLE_##row_sender,                                                                        \
        .receivers = ROLE_##row_receiver,                                                                    \
        .phases = (row_phases),                                                                              \
        .largest = (row_largest),                                                                            \
        .has_descriptor = (row_descriptors) != 0,                                                            \
        .body = &BODY_##row_body,                                                                            \
        .purpose = (row_purpose),                                                                            \
    },
#include "proto/messages.def"
#undef MESSAGE
};

enum { DEFINITIONS = sizeof(definitions) / sizeof(definitions[0]) };

const struct message_definition *message_at(size_t index)
{
    return index < DEFINITIONS ? &definitions[index] : NULL;
}

const struct message_definition *message_find(uint16_t type)
{
    for (size_t i = 0; i < DEFINITIONS; i++)
        if (definitions[i].type == type)
            return &definitions[i];
    return NULL;
}

const char *message_name(uint16_t type)
{
    const struct message_definition *definition = message_find(type);
    return definition != NULL ? definition->name : "unknown";
}

const char *message_role_name(enum message_role role)
{
    switch (role) {
    case ROLE_SUPERVISOR:
        return "supervisor";
    case ROLE_AGENT_CLIENT:
        return "agent-client";
    case ROLE_HOOKD:
        return "hookd";
    case ROLE_LOGSHIPPER:
        return "logshipper";
    case ROLE_HELPER:
        break;
    }
    return "helper";
}

int message_check(uint16_t type, enum message_role sender, enum message_role receiver,
                  enum message_phase phase, size_t length, bool has_descriptor)
{
    const struct message_definition *definition = message_find(type);
    if (definition == NULL || (definition->senders & sender) == 0 ||
        (definition->receivers & receiver) == 0 || (definition->phases & phase) == 0 ||
        length > definition->largest || has_descriptor != definition->has_descriptor)
        return -EPROTO;
    return 0;
}

static bool has_unknown_fields(const ProtobufCMessage *message);

static bool submessage_has_unknown_fields(const ProtobufCMessage *message,
                                          const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)message;
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        const ProtobufCMessage *const *one = (const void *)(base + field->offset);
        return *one != NULL && has_unknown_fields(*one);
    }
    const size_t *count = (const void *)(base + field->quantifier_offset);
    const ProtobufCMessage *const *const *all = (const void *)(base + field->offset);
    for (size_t i = 0; i < *count; i++)
        if (has_unknown_fields((*all)[i]))
            return true;
    return false;
}

/* No message of bulkhead.proto contains itself, so the depth is bounded by that file. */
static bool has_unknown_fields(const ProtobufCMessage *message)
{
    if (message->n_unknown_fields > 0)
        return true;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->type == PROTOBUF_C_TYPE_MESSAGE && submessage_has_unknown_fields(message, field))
            return true;
    }
    return false;
}

int message_decode(uint16_t type, const unsigned char *body, size_t length, ProtobufCMessage **ret_message)
{
    const struct message_definition *definition = message_find(type);
    if (definition == NULL)
        return -EPROTO;
    ProtobufCMessage *message = protobuf_c_message_unpack(definition->body, NULL, length, body);
    if (message == NULL)
        return -EPROTO;
    if (has_unknown_fields(message)) {
        protobuf_c_message_free_unpacked(message, NULL);
        return -EPROTO;
    }
    *ret_message = message;
    return 0;
}

static const struct message_handler *find_handler(const struct message_handler *table, uint16_t type)
{
    for (; table->handle != NULL; table++)
        if (table->type == type)
            return table;
    return NULL;
}

int message_dispatch(const struct message_handler *table, void *self, uint16_t type, uint32_t id,
                     const unsigned char *body, size_t length, int descriptor)
{
    ProtobufCMessage *message = NULL;
    const struct message_handler *handler = find_handler(table, type);
    if (handler == NULL || message_decode(type, body, length, &message) < 0) {
        if (descriptor >= 0)
            close(descriptor);
        return -EPROTO;
    }
    int r = handler->handle(self, id, message, descriptor);
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}
