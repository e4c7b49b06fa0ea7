/*
 * JSON to a protobuf-c message by its descriptor, so that no field has to be named twice. Reads what Mesos'
 * v1 JSON reads: fields by their names in the .proto, enums by name, 64-bit numbers as numbers or strings,
 * bytes as base64. Every error names the place and what is accepted there. Nesting is bounded by the .proto
 * files, where no message contains itself.
 */
#include "tests/devagent/agent.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where in the text we are: "TaskInfo.command.value". */
struct place {
    const struct place *outer;
    const char *name;
    long index; /* of a repeated field's element; negative: none */
};

static void print_place(FILE *out, const struct place *place)
{
    if (place->outer) {
        print_place(out, place->outer);
        fputc('.', out);
    }
    fputs(place->name, out);
    if (place->index >= 0)
        fprintf(out, "[%ld]", place->index);
}

struct reader {
    char *error; /* the first one */
};

static FILE *error_open(struct reader *reader, const struct place *place, size_t *len)
{
    FILE *out = open_memstream(&reader->error, len);
    if (!out)
        abort();
    print_place(out, place);
    fputs(": ", out);
    return out;
}

static int fail(struct reader *reader, const struct place *place, struct json_object *value,
                const char *accepted)
{
    size_t len;
    FILE *out = error_open(reader, place, &len);
    fprintf(out, "%s is not accepted here; it takes %s", json_object_to_json_string(value), accepted);
    fclose(out);
    return -EINVAL;
}

static int fail_field(struct reader *reader, const struct place *place, const char *name,
                      const ProtobufCMessageDescriptor *kind)
{
    size_t len;
    FILE *out = error_open(reader, place, &len);
    fprintf(out, "there is no field \"%s\"; it takes", name);
    for (unsigned i = 0; i < kind->n_fields; i++)
        fprintf(out, "%s %s", i ? "," : "", kind->fields[i].name);
    fclose(out);
    return -EINVAL;
}

/* ---- plain values ---- */

static int read_enum(struct reader *reader, const struct place *place, struct json_object *value,
                     const ProtobufCEnumDescriptor *kind, int *ret_number)
{
    const char *name = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value_by_name(kind, name);
    if (found) {
        *ret_number = found->value;
        return 0;
    }
    char *accepted;
    size_t len;
    FILE *out = open_memstream(&accepted, &len);
    if (!out)
        abort();
    for (unsigned i = 0; i < kind->n_values; i++)
        fprintf(out, "%s\"%s\"", i ? ", " : "one of ", kind->values[i].name);
    fclose(out);
    int r = fail(reader, place, value, accepted);
    free(accepted);
    return r;
}

static int read_bytes(struct reader *reader, const struct place *place, struct json_object *value,
                      ProtobufCBinaryData *ret)
{
    const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
    if (!text || base64_decode(text, &ret->data, &ret->len) < 0)
        return fail(reader, place, value, "base64 in a string");
    return 0;
}

static int read_integer(struct reader *reader, const struct place *place, struct json_object *value,
                        int64_t min, int64_t max, const char *accepted, int64_t *ret_number)
{
    int64_t number = 0;
    bool good = json_object_is_type(value, json_type_int);
    if (good) {
        number = json_object_get_int64(value);
    } else if (json_object_is_type(value, json_type_string)) {
        const char *text = json_object_get_string(value);
        char *end;
        errno = 0;
        number = strtoll(text, &end, 10);
        good = *text && !*end && errno == 0;
    }
    if (!good || number < min || number > max)
        return fail(reader, place, value, accepted);
    *ret_number = number;
    return 0;
}

static int read_number(struct reader *reader, const struct place *place, struct json_object *value,
                       ProtobufCType type, void *member)
{
    int64_t number = 0;
    int r;
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        r = read_integer(reader, place, value, INT32_MIN, INT32_MAX, "a whole number of 32 bits", &number);
        if (r >= 0)
            *(int32_t *)member = (int32_t)number;
        return r;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        r = read_integer(reader, place, value, 0, UINT32_MAX,
                         "a whole number of 32 bits that is not negative", &number);
        if (r >= 0)
            *(uint32_t *)member = (uint32_t)number;
        return r;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        r = read_integer(reader, place, value, 0, INT64_MAX, "a whole number that is not negative", &number);
        if (r >= 0)
            *(uint64_t *)member = (uint64_t)number;
        return r;
    default:
        r = read_integer(reader, place, value, INT64_MIN, INT64_MAX, "a whole number of 64 bits", &number);
        if (r >= 0)
            *(int64_t *)member = number;
        return r;
    }
}

static int read_real(struct reader *reader, const struct place *place, struct json_object *value,
                     double *ret_number)
{
    if (!json_object_is_type(value, json_type_double) && !json_object_is_type(value, json_type_int))
        return fail(reader, place, value, "a number");
    *ret_number = json_object_get_double(value);
    return 0;
}

/* ---- messages and fields ---- */

static int read_message(struct reader *reader, const struct place *place, struct json_object *object,
                        const ProtobufCMessageDescriptor *kind, ProtobufCMessage **ret_message);

/* One value into a member of the message's structure (or an element of its array). */
static int read_value(struct reader *reader, const struct place *place, struct json_object *value,
                      const ProtobufCFieldDescriptor *field, void *member)
{
    double real;
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return read_message(reader, place, value, field->descriptor, member);
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(reader, place, value, field->descriptor, member);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(reader, place, value, member);
    case PROTOBUF_C_TYPE_STRING:
        if (!json_object_is_type(value, json_type_string))
            return fail(reader, place, value, "a string");
        *(char **)member = agent_copy(json_object_get_string(value));
        return 0;
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_object_is_type(value, json_type_boolean))
            return fail(reader, place, value, "true or false");
        *(protobuf_c_boolean *)member = json_object_get_boolean(value);
        return 0;
    case PROTOBUF_C_TYPE_DOUBLE:
        return read_real(reader, place, value, member);
    case PROTOBUF_C_TYPE_FLOAT:
        if (read_real(reader, place, value, &real) < 0)
            return -EINVAL;
        *(float *)member = (float)real;
        return 0;
    default:
        return read_number(reader, place, value, field->type, member);
    }
}

static size_t element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    default:
        return 8;
    }
}

static int read_repeated(struct reader *reader, struct place *place, struct json_object *value,
                         const ProtobufCFieldDescriptor *field, uint8_t *message)
{
    if (!json_object_is_type(value, json_type_array))
        return fail(reader, place, value, "a list: [ ... ]");
    size_t count = json_object_array_length(value), size = element_size(field->type);
    size_t *filled = (size_t *)(void *)(message + field->quantifier_offset);
    uint8_t *items = count ? agent_alloc(count * size) : NULL;
    *(void **)(void *)(message + field->offset) = items;
    for (size_t i = 0; i < count; i++) {
        place->index = (long)i;
        if (read_value(reader, place, json_object_array_get_idx(value, i), field, items + i * size) < 0)
            return -EINVAL;
        *filled = i + 1; /* so that a message that is given up half-way can be freed */
    }
    return 0;
}

static int read_field(struct reader *reader, const struct place *outer, struct json_object *value,
                      const ProtobufCFieldDescriptor *field, uint8_t *message)
{
    struct place place = {.outer = outer, .name = field->name, .index = -1};
    if (json_object_is_type(value, json_type_null))
        return 0;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return read_repeated(reader, &place, value, field, message);
    bool pointer = field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING;
    int r = read_value(reader, &place, value, field, message + field->offset);
    if (r >= 0 && !pointer && field->label == PROTOBUF_C_LABEL_OPTIONAL)
        *(protobuf_c_boolean *)(message + field->quantifier_offset) = true;
    return r;
}

static int read_message(struct reader *reader, const struct place *place, struct json_object *object,
                        const ProtobufCMessageDescriptor *kind, ProtobufCMessage **ret_message)
{
    if (!json_object_is_type(object, json_type_object))
        return fail(reader, place, object, "an object: { ... }");
    ProtobufCMessage *message = agent_alloc(kind->sizeof_message);
    protobuf_c_message_init(kind, message);
    json_object_object_foreach(object, name, value)
    {
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(kind, name);
        int r = field ? read_field(reader, place, value, field, (uint8_t *)message)
                      : fail_field(reader, place, name, kind);
        if (r < 0) {
            protobuf_c_message_free_unpacked(message, NULL);
            return r;
        }
    }
    *ret_message = message;
    return 0;
}

/* The line that an offset is on, from 1. */
static unsigned line_of(const char *text, size_t offset)
{
    unsigned line = 1;
    for (size_t i = 0; i < offset && text[i]; i++)
        line += text[i] == '\n';
    return line;
}

int json_message_parse(const ProtobufCMessageDescriptor *kind, const char *text,
                       ProtobufCMessage **ret_message, char **ret_error)
{
    struct json_tokener *tokener = json_tokener_new();
    struct reader reader = {0};
    struct place place = {.name = kind->short_name, .index = -1};
    if (!tokener)
        abort();
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    struct json_object *object = json_tokener_parse_ex(tokener, text, (int)strlen(text) + 1);
    int r = -EINVAL;
    if (json_tokener_get_error(tokener) != json_tokener_success)
        reader.error = agent_format("line %u: %s", line_of(text, json_tokener_get_parse_end(tokener)),
                                    json_tokener_error_desc(json_tokener_get_error(tokener)));
    else
        r = read_message(&reader, &place, object, kind, ret_message);
    json_object_put(object);
    json_tokener_free(tokener);
    if (r < 0)
        *ret_error = reader.error;
    return r;
}

int devagent_parse_task(const char *json, Mesos__V1__TaskInfo **ret_task, char **ret_error)
{
    ProtobufCMessage *message;
    char *error = NULL;
    int r = json_message_parse(&mesos__v1__task_info__descriptor, json, &message, &error);
    if (r >= 0)
        *ret_task = (Mesos__V1__TaskInfo *)message;
    else if (ret_error)
        *ret_error = error;
    else
        free(error);
    return r;
}
