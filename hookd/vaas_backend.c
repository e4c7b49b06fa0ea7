/*
 * A task's backend in VaaS: where it is, what it weighs, how it is written down; see vaas_backend.h.
 *
 * Nothing here talks to VaaS. Labels are the user's: a number is taken as a whole or not at all.
 */
#include "hookd/vaas_backend.h"

#include "common/hooks.h"
#include "hookd/http_client.h"
#include "hookd/json_build.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vaas_dc_clear(struct vaas_dc *dc)
{
    if (dc == NULL)
        return;
    free(dc->name);
    free(dc->symbol);
    free(dc->resource_uri);
    *dc = (struct vaas_dc){0};
}

/* --- from the task --- */

static bool has_label(const Bulkhead__Port *port, const char *key)
{
    for (size_t i = 0; i < port->n_labels; i++)
        if (port->labels[i]->key != NULL && strcmp(port->labels[i]->key, key) == 0)
            return true;
    return false;
}

static const Bulkhead__Port *choose_port(const Bulkhead__Task *task, const char *director)
{
    char key[VAAS_NAME_MAX + 32];
    snprintf(key, sizeof(key), "frontend-sync:%s", director);
    for (size_t i = 0; i < task->n_ports; i++)
        if (has_label(task->ports[i], key))
            return task->ports[i];
    return task->n_ports > 0 ? task->ports[0] : NULL;
}

int vaas_backend_make(const struct config *config, const Bulkhead__Task *task,
                      struct vaas_backend *ret_backend, const char **ret_problem)
{
    struct vaas_backend backend = {0};
    const char *director = task_label(task, "director");
    if (director == NULL || director[0] == '\0' || strlen(director) > VAAS_NAME_MAX) {
        *ret_problem = "the label director is empty or too long";
        return -EINVAL;
    }
    memcpy(backend.director, director, strlen(director) + 1);
    const Bulkhead__Port *port = choose_port(task, director);
    if (port == NULL) {
        *ret_problem = "the task has no ports";
        return -EINVAL;
    }
    backend.port = port->number;
    if (!address_public(config, backend.address)) {
        *ret_problem = "CLOUD_PUBLIC_IP is no address: VaaS cannot be told where the task is";
        return -EINVAL;
    }
    *ret_backend = backend;
    return 0;
}

/* A decimal number with an optional sign, nothing before or after it. */
static bool read_number(const char *text, int64_t lowest, int64_t highest, int64_t *ret_number)
{
    char *end = NULL;
    const char *digits = text[0] == '-' || text[0] == '+' ? text + 1 : text;
    if (digits[0] < '0' || digits[0] > '9')
        return false;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || number < lowest || number > highest)
        return false;
    *ret_number = number;
    return true;
}

/* Only the first such label counts, whether it is a number or not. */
static bool weight_of_labels(const Bulkhead__Task *task, int64_t *ret_weight)
{
    static const char prefix[] = "weight:";
    for (size_t i = 0; i < task->n_labels; i++) {
        const Bulkhead__Label *label = task->labels[i];
        if (label->key != NULL && label->value != NULL && strcmp(label->value, "tag") == 0 &&
            strncmp(label->key, prefix, sizeof(prefix) - 1) == 0)
            return read_number(label->key + sizeof(prefix) - 1, INT32_MIN, INT32_MAX, ret_weight);
    }
    return false;
}

/* A task without a command of its own is run by its executor's, whose variables it then has. */
static bool weight_of_environment(const Bulkhead__Task *task, int64_t *ret_weight)
{
    const Bulkhead__Command *command = task->command != NULL ? task->command : task->executor_command;
    for (size_t i = 0; command != NULL && i < command->n_environment; i++) {
        const Bulkhead__Variable *variable = command->environment[i];
        if (variable->name != NULL && variable->value != NULL &&
            strcmp(variable->name, "VAAS_INITIAL_WEIGHT") == 0)
            return read_number(variable->value, INT32_MIN, INT32_MAX, ret_weight);
    }
    return false;
}

struct vaas_traits vaas_traits_make(const Bulkhead__Task *task)
{
    const char *canary = task_label(task, "canary");
    struct vaas_traits traits = {.canary = canary != NULL && canary[0] != '\0'};
    traits.has_weight = weight_of_environment(task, &traits.weight) || weight_of_labels(task, &traits.weight);
    return traits;
}

/* --- as JSON --- */

static struct json_object *make_dc(const struct vaas_dc *dc)
{
    struct json_object *made = json_object_new_object();
    return json_build_checked(made, json_build_add(made, "id", json_object_new_int64(dc->id)) &&
                                        json_build_add_text(made, "name", dc->name) &&
                                        json_build_add_text(made, "resource_uri", dc->resource_uri) &&
                                        json_build_add_text(made, "symbol", dc->symbol));
}

static struct json_object *make_canary_tags(void)
{
    struct json_object *tags = json_object_new_array();
    return json_build_checked(tags, json_build_append(tags, json_object_new_string("canary")));
}

static bool fill_in(struct json_object *object, const struct vaas_backend *backend,
                    const struct vaas_traits *traits, const struct vaas_dc *dc)
{
    char director[64];
    snprintf(director, sizeof(director), VAAS_API "director/%" PRId64 "/", backend->director_id);
    return json_build_add_text(object, "address", backend->address) &&
           json_build_add_text(object, "director", director) && json_build_add(object, "dc", make_dc(dc)) &&
           json_build_add(object, "port", json_object_new_int64((int64_t)backend->port)) &&
           json_build_add(object, "inherit_time_profile", json_object_new_boolean(1)) &&
           (!traits->has_weight || json_build_add(object, "weight", json_object_new_int64(traits->weight))) &&
           (!traits->canary || json_build_add(object, "tags", make_canary_tags()));
}

int vaas_backend_json(const struct vaas_backend *backend, const struct vaas_traits *traits,
                      const struct vaas_dc *dc, char **ret_json)
{
    struct json_object *object = json_object_new_object();
    char *json = json_build_text(json_build_checked(object, fill_in(object, backend, traits, dc)));
    if (json == NULL)
        return -ENOMEM;
    *ret_json = json;
    return 0;
}

/* --- as a record's key --- */

int vaas_key_write(const struct vaas_backend *backend, char key[VAAS_KEY_MAX])
{
    char *name = http_client_escape(backend->director);
    if (name == NULL)
        return -ENOMEM;
    snprintf(key, VAAS_KEY_MAX,
             "1 backend=%" PRId64 " director=%" PRId64 " port=%" PRIu32 " address=%s name=%s", backend->id,
             backend->director_id, backend->port, backend->address, name);
    free(name);
    return 0;
}

/* Takes "NAME=" and the word behind it, up to a blank or the end, into word. */
static bool take_word(const char **text, const char *name, char *word, size_t size)
{
    size_t length = strlen(name);
    if (strncmp(*text, name, length) != 0)
        return false;
    const char *start = *text + length;
    length = strcspn(start, " ");
    if (length == 0 || length >= size)
        return false;
    memcpy(word, start, length);
    word[length] = '\0';
    *text = start + length + (start[length] == ' ');
    return true;
}

static bool take_number(const char **text, const char *name, int64_t lowest, int64_t highest,
                        int64_t *ret_number)
{
    char word[32];
    return take_word(text, name, word, sizeof(word)) && read_number(word, lowest, highest, ret_number);
}

static bool take_address(const char **text, char address[ADDRESS_SIZE])
{
    struct in6_addr binary;
    return take_word(text, "address=", address, ADDRESS_SIZE) &&
           (inet_pton(AF_INET, address, &binary) == 1 || inet_pton(AF_INET6, address, &binary) == 1);
}

static int hexadecimal(char c)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *found = c != '\0' ? strchr(digits, c) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

/* Undoes http_client_escape(). */
static bool unescape(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        int high = text[0] == '%' ? hexadecimal(text[1]) : 0;
        int low = text[0] == '%' && high >= 0 ? hexadecimal(text[2]) : 0;
        int byte = text[0] == '%' ? high * 16 + low : (unsigned char)text[0];
        if (high < 0 || low < 0 || byte == 0 || n + 1 >= size)
            return false;
        out[n++] = (char)byte;
        text += text[0] == '%' ? 2 : 0;
    }
    out[n] = '\0';
    return n > 0;
}

int vaas_key_read(const char *key, struct vaas_backend *ret_backend)
{
    struct vaas_backend backend = {0};
    char name[3 * VAAS_NAME_MAX + 1];
    int64_t port = 0;
    if (strnlen(key, VAAS_KEY_MAX) >= VAAS_KEY_MAX || strncmp(key, "1 ", 2) != 0)
        return -EINVAL;
    const char *rest = key + 2;
    if (!take_number(&rest, "backend=", 0, INT64_MAX, &backend.id) ||
        !take_number(&rest, "director=", 1, INT64_MAX, &backend.director_id) ||
        !take_number(&rest, "port=", 0, UINT32_MAX, &port) || !take_address(&rest, backend.address) ||
        !take_word(&rest, "name=", name, sizeof(name)) || *rest != '\0' ||
        !unescape(name, backend.director, sizeof(backend.director)))
        return -EINVAL;
    backend.port = (uint32_t)port;
    *ret_backend = backend;
    return 0;
}
