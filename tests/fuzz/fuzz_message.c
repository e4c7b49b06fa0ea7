/*
 * The body of each message, and its way to a handler. The first byte is the message's number, the rest its
 * body. Beyond not crashing: what decodes is encoded and decoded again and stays the same, each descriptor is
 * closed or handed on, and a handler is called exactly for what decodes and is its receiver's. The tables
 * come from the message list, so a new message needs no line here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWER = 7, MOST = 256 };

struct handled {
    int calls;
    int descriptor;
    uint64_t sum; /* of everything that was in it */
};

/* --- a handler that reads every field, as one that believes its message does --- */

static uint64_t touch_bytes(const void *bytes, size_t length)
{
    uint64_t sum = length;
    for (size_t i = 0; i < length; i++)
        sum = sum * 31 + ((const uint8_t *)bytes)[i];
    return sum;
}

static uint64_t touch_message(const ProtobufCMessage *message);

static size_t size_of_number(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(uint32_t);
    default:
        return sizeof(uint64_t);
    }
}

static size_t size_of_value(ProtobufCType type)
{
    if (type == PROTOBUF_C_TYPE_BYTES)
        return sizeof(ProtobufCBinaryData);
    if (type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_MESSAGE)
        return sizeof(void *);
    return size_of_number(type);
}

static uint64_t touch_value(ProtobufCType type, const void *value)
{
    if (type == PROTOBUF_C_TYPE_STRING) {
        const char *const *text = value;
        return *text != NULL ? touch_bytes(*text, strlen(*text)) : 1;
    }
    if (type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *bytes = value;
        return touch_bytes(bytes->data, bytes->len);
    }
    if (type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *const *message = value;
        return *message != NULL ? touch_message(*message) : 1;
    }
    return touch_bytes(value, size_of_number(type));
}

static uint64_t touch_field(const char *base, const ProtobufCFieldDescriptor *field)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return touch_value(field->type, base + field->offset);
    const size_t *count = (const void *)(base + field->quantifier_offset);
    const char *const *values = (const void *)(base + field->offset);
    uint64_t sum = *count;
    for (size_t i = 0; i < *count; i++)
        sum = sum * 31 + touch_value(field->type, *values + i * size_of_value(field->type));
    return sum;
}

static uint64_t touch_message(const ProtobufCMessage *message)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        sum = sum * 31 + touch_field((const char *)message, &message->descriptor->fields[i]);
    return sum;
}

static int handle(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    struct handled *handled = self;
    handled->calls++;
    handled->sum = id + touch_message(body);
    handled->descriptor = descriptor;
    return ANSWER;
}

/* Of every message that the role may get, or, turned round, of every other. */
static void make_table(enum message_role role, bool turned_round, struct message_handler table[MOST + 1])
{
    size_t count = 0;
    for (size_t i = 0; message_at(i) != NULL && count < MOST; i++)
        if (((message_at(i)->receivers & role) != 0) != turned_round)
            table[count++] = (struct message_handler){message_at(i)->type, handle};
    table[count] = (struct message_handler){0};
}

/* --- what must hold --- */

/* Every descriptor given away is either the handler's or closed. */
static int dispatch(const struct message_handler *table, uint16_t type, bool has_descriptor,
                    const uint8_t *body, size_t length, struct handled *handled)
{
    int descriptor = has_descriptor ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    *handled = (struct handled){.descriptor = -1};
    int r = message_dispatch(table, handled, type, 5, body, length, descriptor);
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
static void check_way_back(const struct message_handler *table, uint16_t type,
                           const ProtobufCMessage *message, uint64_t sum)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(length + 1);
    uint8_t *again = malloc(length + 1);
    ProtobufCMessage *copy;
    struct handled handled;
    if (protobuf_c_message_pack(message, bytes) != length || message_decode(type, bytes, length, &copy) < 0)
        abort();
    if (protobuf_c_message_get_packed_size(copy) != length ||
        protobuf_c_message_pack(copy, again) != length || memcmp(bytes, again, length) != 0)
        abort();
    protobuf_c_message_free_unpacked(copy, NULL);
    if (dispatch(table, type, false, bytes, length, &handled) != ANSWER || handled.sum != sum)
        abort();
    free(again);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct message_handler receivers[MOST + 1], others[MOST + 1];
    uint16_t type = data[0];
    const struct message_definition *definition = message_find(type);
    enum message_role role =
        definition == NULL || definition->receivers == ROLE_SUPERVISOR ? ROLE_SUPERVISOR : ROLE_HELPER;
    make_table(role, false, receivers);
    make_table(role, true, others);

    ProtobufCMessage *message = NULL;
    struct handled handled;
    bool decodes = message_decode(type, data + 1, size - 1, &message) == 0;
    if (decodes != (message != NULL) || (definition == NULL && decodes))
        abort();
    if ((dispatch(receivers, type, true, data + 1, size - 1, &handled) == ANSWER) != decodes)
        abort();
    if (decodes) {
        check_way_back(receivers, type, message, handled.sum);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    dispatch(others, type, true, data + 1, size - 1, &handled);
    if (handled.calls != 0)
        abort();
    return 0;
}
