/*
 * A task as JSON, for executables. Pure but for memory.
 *
 * Must never make JSON that a strict reader refuses, whatever the framework has put into the task's texts.
 */
#include "hookd/task_json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

/* How long the character is that begins with this byte, 0 when none does. */
static size_t length_by_first(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef)
        return 3;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* The length of the UTF-8 character (RFC 3629) that begins here, 0 when there is none. A NUL ends it like any
 * wrong byte. */
static size_t character_length(const unsigned char *text)
{
    unsigned char first = text[0];
    size_t length = length_by_first(first);
    if (length == 1)
        return 1;
    unsigned char lowest = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char highest = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (length == 0 || text[1] < lowest || text[1] > highest)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

static char *make_valid(const char *text)
{
    char *copy = strdup(text);
    for (unsigned char *c = (unsigned char *)copy; c != NULL && *c != '\0';) {
        size_t length = character_length(c);
        if (length == 0)
            *c = '?';
        c += length > 0 ? length : 1;
    }
    return copy;
}

/* Takes value, which may be NULL for want of memory. Returns whether it is in. */
static bool add(struct json_object *object, const char *key, struct json_object *value)
{
    if (value == NULL)
        return false;
    if (json_object_object_add(object, key, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

static struct json_object *make_text(const char *text)
{
    char *valid = make_valid(text);
    struct json_object *made = valid != NULL ? json_object_new_string(valid) : NULL;
    free(valid);
    return made;
}

static bool add_text(struct json_object *object, const char *key, const char *text)
{
    return text == NULL || add(object, key, make_text(text));
}

/* An entry of an object whose keys are the framework's: the first of its name counts. */
static bool add_entry(struct json_object *object, const char *key, const char *value)
{
    char *valid = key != NULL ? make_valid(key) : strdup("");
    bool done = valid != NULL && (json_object_object_get_ex(object, valid, NULL) ||
                                  add(object, valid, make_text(value != NULL ? value : "")));
    free(valid);
    return done;
}

/* The functions below return what they have made, or NULL; what was half made is freed. */
static struct json_object *checked(struct json_object *made, bool is_whole)
{
    if (is_whole)
        return made;
    json_object_put(made);
    return NULL;
}

static struct json_object *make_labels(Bulkhead__Label *const *labels, size_t count)
{
    struct json_object *made = json_object_new_object();
    bool is_whole = made != NULL;
    for (size_t i = 0; is_whole && i < count; i++)
        is_whole = add_entry(made, labels[i]->key, labels[i]->value);
    return checked(made, is_whole);
}

static struct json_object *make_environment(const Bulkhead__Command *command)
{
    struct json_object *made = json_object_new_object();
    bool is_whole = made != NULL;
    for (size_t i = 0; is_whole && i < command->n_environment; i++)
        is_whole = add_entry(made, command->environment[i]->name, command->environment[i]->value);
    return checked(made, is_whole);
}

static struct json_object *make_arguments(const Bulkhead__Command *command)
{
    struct json_object *made = json_object_new_array();
    bool is_whole = made != NULL;
    for (size_t i = 0; is_whole && i < command->n_arguments; i++) {
        struct json_object *argument = make_text(command->arguments[i]);
        is_whole = argument != NULL && json_object_array_add(made, argument) == 0;
    }
    return checked(made, is_whole);
}

static struct json_object *make_command(const Bulkhead__Command *command)
{
    struct json_object *made = json_object_new_object();
    bool is_whole = made != NULL && add_text(made, "value", command->value) &&
                    add(made, "shell", json_object_new_boolean(command->shell)) &&
                    add(made, "arguments", make_arguments(command)) &&
                    add_text(made, "user", command->user) &&
                    add(made, "environment", make_environment(command));
    return checked(made, is_whole);
}

static struct json_object *make_port(const Bulkhead__Port *port)
{
    struct json_object *made = json_object_new_object();
    bool is_whole = made != NULL && add(made, "number", json_object_new_int64(port->number)) &&
                    add_text(made, "name", port->name) && add_text(made, "protocol", port->protocol) &&
                    add(made, "labels", make_labels(port->labels, port->n_labels));
    return checked(made, is_whole);
}

static struct json_object *make_ports(const Bulkhead__Task *task)
{
    struct json_object *made = json_object_new_array();
    bool is_whole = made != NULL;
    for (size_t i = 0; is_whole && i < task->n_ports; i++) {
        struct json_object *port = make_port(task->ports[i]);
        is_whole = port != NULL && json_object_array_add(made, port) == 0;
    }
    return checked(made, is_whole);
}

static const char *type_of(const Bulkhead__Check *check)
{
    switch (check->type) {
    case BULKHEAD__CHECK__TYPE__COMMAND:
        return "COMMAND";
    case BULKHEAD__CHECK__TYPE__HTTP:
        return "HTTP";
    case BULKHEAD__CHECK__TYPE__TCP:
        return "TCP";
    default:
        return NULL;
    }
}

static struct json_object *make_check(const Bulkhead__Check *check)
{
    struct json_object *made = json_object_new_object();
    bool is_whole = made != NULL && add_text(made, "type", type_of(check)) &&
                    (!check->has_port || add(made, "port", json_object_new_int64(check->port))) &&
                    add_text(made, "path", check->path) && add_text(made, "scheme", check->scheme);
    return checked(made, is_whole);
}

static struct json_object *make_task(const Bulkhead__Task *task)
{
    struct json_object *made = json_object_new_object();
    bool is_whole = made != NULL && add_text(made, "id", task->task_id) &&
                    add_text(made, "name", task->name) && add_text(made, "role", task->allocation_role) &&
                    (task->command == NULL || add(made, "command", make_command(task->command))) &&
                    add(made, "labels", make_labels(task->labels, task->n_labels)) &&
                    add(made, "ports", make_ports(task)) &&
                    (task->health_check == NULL || add(made, "health_check", make_check(task->health_check)));
    return checked(made, is_whole);
}

char *task_json_make(const Bulkhead__Task *task, size_t *ret_length)
{
    struct json_object *made = make_task(task);
    const char *text = made != NULL ? json_object_to_json_string_ext(made, JSON_C_TO_STRING_PLAIN) : NULL;
    char *copy = NULL;
    if (text != NULL) {
        size_t length = strlen(text);
        copy = malloc(length + 2);
        if (copy != NULL) {
            memcpy(copy, text, length);
            memcpy(copy + length, "\n", 2);
            *ret_length = length + 1;
        }
    }
    json_object_put(made);
    return copy;
}
