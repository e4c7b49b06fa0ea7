/*
 * The JSON that registers a service in Consul; see consul_registration.h.
 *
 * Consul gets the task's own health check for the port of the service. A COMMAND check has no form that
 * Consul could run, and a TTL check that nobody refreshes would take the service out: such a task is
 * registered without one.
 */
#include "hookd/consul_registration.h"

#include "common/duration.h"
#include "hookd/address.h"
#include "hookd/json_build.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add_duration(struct json_object *object, const char *key, int64_t duration)
{
    char text[DURATION_TEXT_SIZE];
    return json_build_add_text(object, key, duration_format(duration, text, sizeof(text)));
}

/* What may stand in a URL stays as it is, query and escapes included; blanks, controls and what is no ASCII
 * is escaped. */
static char *make_path(const char *path)
{
    char *made = malloc(3 * strlen(path) + 2);
    char *out = made;
    if (made == NULL)
        return NULL;
    if (path[0] != '/' && path[0] != '\0')
        *out++ = '/';
    for (; *path != '\0'; path++) {
        if (*path > ' ' && *path < 0x7f)
            *out++ = *path;
        else
            out += snprintf(out, 4, "%%%02X", (unsigned char)*path);
    }
    *out = '\0';
    return made;
}

/* Where both the agent's HTTP and its TCP checks go: the address that is registered, or this machine's own.
 */
static void make_target(const struct config *config, const Bulkhead__Check *check, uint32_t port,
                        char target[ADDRESS_SIZE + 16])
{
    char host[ADDRESS_SIZE];
    if (!address_public(config, host))
        snprintf(host, sizeof(host), "%s", check->ipv6 ? "::1" : "127.0.0.1");
    bool brackets = strchr(host, ':') != NULL;
    snprintf(target, ADDRESS_SIZE + 16, "%s%s%s:%u", brackets ? "[" : "", host, brackets ? "]" : "",
             (unsigned)port);
}

static bool add_http(struct json_object *object, const Bulkhead__Check *check, const char *target)
{
    bool https = check->scheme != NULL && strcmp(check->scheme, "https") == 0;
    char *path = make_path(check->path != NULL ? check->path : "");
    char *url = NULL;
    if (path != NULL && asprintf(&url, "%s://%s%s", https ? "https" : "http", target, path) < 0)
        url = NULL;
    bool good = url != NULL && json_build_add_text(object, "HTTP", url);
    /* As Mesos' own check: a task shows a certificate that nobody else knows. */
    good = good && (!https || json_build_add(object, "TLSSkipVerify", json_object_new_boolean(1)));
    free(url);
    free(path);
    return good;
}

/* Consul takes no interval below one second, and 0 not at all; a check without a timeout gets Consul's own.
 */
static bool fill_in(struct json_object *object, const struct config *config, const Bulkhead__Check *check,
                    uint32_t port)
{
    char target[ADDRESS_SIZE + 16];
    make_target(config, check, port, target);
    bool good = check->type == BULKHEAD__CHECK__TYPE__HTTP ? add_http(object, check, target)
                                                           : json_build_add_text(object, "TCP", target);
    int64_t interval = check->interval > DURATION_SECOND ? check->interval : DURATION_SECOND;
    good = good && add_duration(object, "Interval", interval);
    if (check->timeout > 0)
        good = good && add_duration(object, "Timeout", check->timeout);
    good = good &&
           json_build_add_text(object, "Status", config_string(config, CONFIG_INITIAL_HEALTH_CHECK_STATUS));
    if (config_is_set(config, CONFIG_CONSUL_DEREGISTER_CRITICAL_SERVICE_AFTER) &&
        config_duration(config, CONFIG_CONSUL_DEREGISTER_CRITICAL_SERVICE_AFTER) > 0)
        good = good && add_duration(object, "DeregisterCriticalServiceAfter",
                                    config_duration(config, CONFIG_CONSUL_DEREGISTER_CRITICAL_SERVICE_AFTER));
    return good;
}

static bool add_check(struct json_object *object, const struct config *config, const Bulkhead__Check *check,
                      uint32_t port)
{
    if (check == NULL ||
        (check->type != BULKHEAD__CHECK__TYPE__HTTP && check->type != BULKHEAD__CHECK__TYPE__TCP))
        return true;
    struct json_object *made = json_object_new_object();
    return json_build_add(object, "Check", json_build_checked(made, fill_in(made, config, check, port)));
}

static bool add_tags(struct json_object *object, const struct consul_service *service)
{
    struct json_object *tags = json_object_new_array();
    bool good = tags != NULL;
    for (size_t i = 0; good && i < service->tag_count; i++)
        good = json_build_append(tags, json_object_new_string(service->tags[i]));
    return json_build_add(object, "Tags", json_build_checked(tags, good));
}

static bool fill_in_service(struct json_object *object, const struct config *config,
                            const Bulkhead__Task *task, const struct consul_service *service)
{
    char address[ADDRESS_SIZE];
    bool good = json_build_add_text(object, "ID", service->id) &&
                json_build_add_text(object, "Name", service->name) && add_tags(object, service) &&
                json_build_add(object, "Port", json_object_new_int64((int64_t)service->port));
    if (good && address_public(config, address)) /* without one, Consul's own machine is meant */
        good = json_build_add_text(object, "Address", address);
    return good && json_build_add(object, "EnableTagOverride", json_object_new_boolean(0)) &&
           add_check(object, config, task->health_check, service->port);
}

int consul_registration_make(const struct config *config, const Bulkhead__Task *task,
                             const struct consul_service *service, char **ret_json)
{
    struct json_object *object = json_object_new_object();
    char *json = json_build_text(json_build_checked(object, fill_in_service(object, config, task, service)));
    if (json == NULL)
        return -ENOMEM;
    *ret_json = json;
    return 0;
}
