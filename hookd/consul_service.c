/*
 * A task's services in Consul: names, ids, ports and tags; see consul_service.h.
 *
 * marathon-consul and the tools around it know instances by exactly these ids and tags: neither their form
 * nor their order may change. Nothing here talks to Consul.
 */
#include "hookd/consul_service.h"

#include "common/hooks.h"
#include "hookd/http_client.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char tag_value[] = "tag";
static const char namespace_characters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%";

enum { NAMESPACE_MAX = 3 * 255 };

/* --- ids --- */

/* How many bytes the UTF-8 character at text has (RFC 3629); 0 when what stands there is none. */
static size_t character_length(const unsigned char *text)
{
    static const struct {
        unsigned char first, last, low, high; /* of the lead byte and of the one after it */
        size_t length;
    } forms[] = {
        {0x01, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (text[0] < forms[i].first || text[0] > forms[i].last)
            continue;
        if (forms[i].length > 1 && (text[1] < forms[i].low || text[1] > forms[i].high))
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((text[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

static bool mend_characters(char *id)
{
    bool changed = false;
    for (char *c = id; *c != '\0';) {
        size_t length = character_length((const unsigned char *)c);
        bool bad =
            length == 0 || (unsigned char)*c < ' ' || *c == 0x7f || (*c == '/' && (c == id || c[-1] == '/'));
        if (bad)
            *c = '_';
        changed = changed || bad;
        c += bad ? 1 : length;
    }
    return changed;
}

static bool mend_dots(char *segment, size_t length)
{
    if (length == 0 || length > 2 || strspn(segment, ".") < length)
        return false;
    memset(segment, '_', length);
    return true;
}

bool consul_id_mend(char *id)
{
    bool changed = mend_characters(id);
    for (char *segment = id;;) {
        size_t length = strcspn(segment, "/");
        changed = mend_dots(segment, length) || changed;
        if (segment[length] == '\0')
            return changed;
        segment += length + 1;
    }
}

static int make_id(const char *task_id, const char *name, uint32_t port, char **ret_id)
{
    char *id = NULL;
    int length = asprintf(&id, "%s_%s_%u", task_id, name, (unsigned)port);
    if (length < 0)
        return -ENOMEM;
    if (length > CONSUL_ID_MAX) {
        free(id);
        return -EINVAL;
    }
    consul_id_mend(id);
    *ret_id = id;
    return 0;
}

char *consul_name_from_task_id(const char *task_id)
{
    size_t length = strlen(task_id);
    for (; length > 0 && isspace((unsigned char)task_id[0]); task_id++)
        length--;
    while (length > 0 && isspace((unsigned char)task_id[length - 1]))
        length--;
    for (; length > 0 && task_id[0] == '/'; task_id++)
        length--;
    while (length > 0 && task_id[length - 1] == '/')
        length--;
    char *name = strndup(task_id, length);
    for (char *c = name; name != NULL && *c != '\0'; c++) {
        if (*c == '_')
            *c = '.';
        else if (*c == '/')
            *c = '-';
    }
    char *dot = name != NULL ? strrchr(name, '.') : NULL;
    if (dot != NULL)
        *dot = '\0';
    return name;
}

/* --- tags --- */

/* The named port whose placeholder stands at text, of several with one name the last; NULL for none. */
static const Bulkhead__Port *find_placeholder(const Bulkhead__Task *task, const char *text,
                                              size_t *ret_length)
{
    static const char opening[] = "{port:";
    const Bulkhead__Port *found = NULL;
    if (strncmp(text, opening, sizeof(opening) - 1) != 0)
        return NULL;
    const char *name = text + sizeof(opening) - 1;
    for (size_t i = 0; i < task->n_ports; i++) {
        const Bulkhead__Port *port = task->ports[i];
        size_t length = port->name != NULL ? strlen(port->name) : 0;
        if (length == 0 || strncmp(name, port->name, length) != 0 || name[length] != '}')
            continue;
        found = port;
        *ret_length = sizeof(opening) - 1 + length + 1;
    }
    return found;
}

/* A placeholder, "{port:" and a name of a byte at least, is eight bytes long or more; a number has ten digits
 * at most. */
static char *fill_in(const Bulkhead__Task *task, const char *text)
{
    char *filled = malloc(2 * strlen(text) + 16);
    char *out = filled;
    while (filled != NULL && *text != '\0') {
        size_t length = 0;
        const Bulkhead__Port *port = find_placeholder(task, text, &length);
        if (port == NULL) {
            *out++ = *text++;
            continue;
        }
        out += snprintf(out, 11, "%u", (unsigned)port->number);
        text += length;
    }
    if (filled != NULL)
        *out = '\0';
    return filled;
}

static int add_tag(const Bulkhead__Task *task, struct consul_service *service, const char *tag)
{
    char **longer = realloc(service->tags, (service->tag_count + 1) * sizeof(*longer));
    if (longer == NULL)
        return -ENOMEM;
    service->tags = longer;
    longer[service->tag_count] = fill_in(task, tag);
    if (longer[service->tag_count] == NULL)
        return -ENOMEM;
    service->tag_count++;
    return 0;
}

/* "tag" is for every service of a port, "tag:NAME" for that one alone; what follows a second colon does not
 * count. */
static bool selects(const char *value, const char *name)
{
    size_t length = strcspn(value, ":");
    if (length != sizeof(tag_value) - 1 || strncmp(value, tag_value, length) != 0)
        return false;
    if (value[length] == '\0')
        return true;
    const char *selector = value + length + 1;
    return strcspn(selector, ":") == strlen(name) && strncmp(selector, name, strlen(name)) == 0;
}

static const char *text_or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static int add_port_tags(const Bulkhead__Task *task, const Bulkhead__Port *port,
                         struct consul_service *service)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < port->n_labels; i++)
        if (selects(text_or_empty(port->labels[i]->value), service->name))
            r = add_tag(task, service, text_or_empty(port->labels[i]->key));
    return r;
}

/* The order: the port's tags, the task's, the one for all, and the one that marathon-consul finds tasks by.
 */
static int add_common_tags(const struct config *config, const Bulkhead__Task *task,
                           struct consul_service *service)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < task->n_labels; i++)
        if (strcmp(text_or_empty(task->labels[i]->value), tag_value) == 0)
            r = add_tag(task, service, text_or_empty(task->labels[i]->key));
    const char *global = config_string(config, CONFIG_CONSUL_GLOBAL_TAG);
    if (r == 0 && global != NULL)
        r = add_tag(task, service, global);
    char *marathon = NULL;
    if (r == 0 && asprintf(&marathon, "marathon-task:%s", text_or_empty(task->task_id)) < 0)
        return -ENOMEM;
    if (r == 0)
        r = add_tag(task, service, marathon);
    free(marathon);
    return r;
}

/* --- services --- */

static void clear_service(struct consul_service *service)
{
    for (size_t i = 0; i < service->tag_count; i++)
        free(service->tags[i]);
    free((void *)service->tags);
    free(service->id);
    free(service->name);
}

void consul_services_clear(struct consul_services *services)
{
    if (services == NULL)
        return;
    for (size_t i = 0; i < services->count; i++)
        clear_service(&services->items[i]);
    free(services->items);
    *services = (struct consul_services){0};
}

/* port_tags: the port's own labels count. name is copied. */
static int add_service(const struct config *config, const Bulkhead__Task *task, const Bulkhead__Port *port,
                       const char *name, bool port_tags, struct consul_services *services)
{
    struct consul_service *longer = realloc(services->items, (services->count + 1) * sizeof(*longer));
    if (longer == NULL)
        return -ENOMEM;
    services->items = longer;
    struct consul_service service = {.port = port->number, .name = strdup(name)};
    int r = service.name != NULL ? 0 : -ENOMEM;
    if (r == 0)
        r = make_id(text_or_empty(task->task_id), name, port->number, &service.id);
    if (r == 0 && port_tags)
        r = add_port_tags(task, port, &service);
    if (r == 0)
        r = add_common_tags(config, task, &service);
    if (r < 0) {
        clear_service(&service);
        return r;
    }
    longer[services->count++] = service;
    return 0;
}

static const char *port_label(const Bulkhead__Port *port, const char *key)
{
    for (size_t i = 0; i < port->n_labels; i++)
        if (strcmp(text_or_empty(port->labels[i]->key), key) == 0)
            return text_or_empty(port->labels[i]->value);
    return NULL;
}

/* One service for each name of a port's label "consul". Consul takes no service without a name: an empty one
 * is passed over. */
static int add_labelled_port(const struct config *config, const Bulkhead__Task *task,
                             const Bulkhead__Port *port, struct consul_services *services)
{
    const char *label = port_label(port, "consul");
    int r = 0;
    while (r == 0 && label != NULL) {
        size_t length = strcspn(label, ",");
        char *name = strndup(label, length);
        if (name == NULL)
            return -ENOMEM;
        if (length > 0)
            r = add_service(config, task, port, name, true, services);
        free(name);
        label = label[length] == ',' ? label + length + 1 : NULL;
    }
    return r;
}

/* Where no port is labelled, the first one has the service that the task's own label names. */
static int add_first_port(const struct config *config, const Bulkhead__Task *task,
                          struct consul_services *services)
{
    const char *label = text_or_empty(task_label(task, "consul"));
    bool derived = label[0] == '\0' || strcmp(label, "true") == 0;
    char *name = derived ? consul_name_from_task_id(text_or_empty(task->task_id)) : strdup(label);
    if (name == NULL)
        return -ENOMEM;
    int r = 0;
    if (name[0] == '\0')
        services->skipped = "no service name can be made of the task's id";
    else
        r = add_service(config, task, task->ports[0], name, false, services);
    free(name);
    return r;
}

int consul_services_make(const struct config *config, const Bulkhead__Task *task,
                         struct consul_services *ret_services)
{
    struct consul_services services = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < task->n_ports; i++)
        r = add_labelled_port(config, task, task->ports[i], &services);
    if (r == 0 && services.count == 0 && task->n_ports == 0)
        services.skipped = "the task has no ports";
    else if (r == 0 && services.count == 0)
        r = add_first_port(config, task, &services);
    if (r < 0) {
        consul_services_clear(&services);
        return r;
    }
    *ret_services = services;
    return 0;
}

/* --- keys of records --- */

int consul_key_write(const char *name_space, const char *id, char key[CONSUL_KEY_MAX])
{
    char *escaped = http_client_escape(text_or_empty(name_space));
    if (escaped == NULL)
        return -ENOMEM;
    int length = -1;
    if (strlen(escaped) <= NAMESPACE_MAX && strlen(id) <= CONSUL_ID_MAX)
        length = snprintf(key, CONSUL_KEY_MAX, "1 ns=%s %s", escaped, id);
    free(escaped);
    return length >= 0 && length < CONSUL_KEY_MAX ? 0 : -ENAMETOOLONG;
}

int consul_key_read(const char *key, char escaped_namespace[NAMESPACE_MAX + 1], const char **ret_id)
{
    static const char opening[] = "1 ns=";
    if (strnlen(key, CONSUL_KEY_MAX) >= CONSUL_KEY_MAX || strncmp(key, opening, sizeof(opening) - 1) != 0)
        return -EINVAL;
    const char *name_space = key + sizeof(opening) - 1;
    size_t length = strspn(name_space, namespace_characters);
    if (length > NAMESPACE_MAX || name_space[length] != ' ' || name_space[length + 1] == '\0')
        return -EINVAL;
    memcpy(escaped_namespace, name_space, length);
    escaped_namespace[length] = '\0';
    *ret_id = name_space + length + 1;
    return 0;
}
