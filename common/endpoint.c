/*
 * From the agent's environment to the URL of its executor API.
 *
 * The texts come from an agent and end in a URL that carries the token: only characters that an address, a
 * host name or an agent's name can have may pass, so that none of them can point the token somewhere else
 * ('@', '/', '#', spaces). It must not look anything up.
 */
#include "common/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
#define NAME_CHARACTERS HOST_CHARACTERS "()"
#define PATH_CHARACTERS HOST_CHARACTERS "()/~+:,;=!$&'*%"

struct address {
    char host[ENDPOINT_HOST_MAX];
    unsigned port;
    bool ipv6;
    bool numeric;
};

static bool copy_part(char *out, size_t size, const char *begin, size_t length)
{
    if (length == 0 || length >= size)
        return false;
    memcpy(out, begin, length);
    out[length] = '\0';
    return true;
}

static bool consists_of(const char *text, const char *characters)
{
    return text[strspn(text, characters)] == '\0';
}

static bool parse_port(const char *text, unsigned *ret_port)
{
    unsigned port = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    for (size_t i = 0; i < digits; i++)
        port = port * 10 + (unsigned)(text[i] - '0');
    if (port == 0 || port > 65535)
        return false;
    *ret_port = port;
    return true;
}

static bool judge_host(struct address *address)
{
    unsigned char binary[sizeof(struct in6_addr)];
    address->ipv6 = inet_pton(AF_INET6, address->host, binary) == 1;
    address->numeric = address->ipv6 || inet_pton(AF_INET, address->host, binary) == 1;
    return address->numeric || consists_of(address->host, HOST_CHARACTERS);
}

static bool parse_address(const char *text, struct address *ret_address)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !parse_port(colon + 1, &ret_address->port))
        return false;
    const char *begin = text;
    const char *end = colon;
    bool brackets = end - begin > 2 && *begin == '[' && end[-1] == ']';
    if (brackets) {
        begin++;
        end--;
    }
    if (!copy_part(ret_address->host, sizeof(ret_address->host), begin, (size_t)(end - begin)))
        return false;
    return judge_host(ret_address) && (!brackets || ret_address->ipv6);
}

static int fail(const char *problem, const char **ret_problem)
{
    *ret_problem = problem;
    return -EINVAL;
}

static void write_url(struct endpoint *endpoint, const struct address *address, const char *name,
                      const char *path)
{
    snprintf(endpoint->url, sizeof(endpoint->url), "%s://%s%s%s:%u%s%s%s", endpoint->tls ? "https" : "http",
             address->ipv6 ? "[" : "", address->host, address->ipv6 ? "]" : "", address->port,
             *name != '\0' ? "/" : "", name, path);
}

static int make_domain_socket(const struct endpoint_source *source, struct endpoint *ret_endpoint,
                              const char **ret_problem)
{
    /* Nothing is ever connected to this address: the connections are made by the supervisor. */
    static const struct address nowhere = {.host = "127.0.0.1", .port = 80, .numeric = true};
    char name[ENDPOINT_HOST_MAX];
    const char *at = source->agent_pid != NULL ? strchr(source->agent_pid, '@') : NULL;
    if (at == NULL || !copy_part(name, sizeof(name), source->agent_pid, (size_t)(at - source->agent_pid)) ||
        !consists_of(name, NAME_CHARACTERS))
        return fail("MESOS_SLAVE_PID does not name the agent as in slave(1)@10.0.0.1:5051, which a domain "
                    "socket needs",
                    ret_problem);
    struct endpoint endpoint = {.domain_socket = true, .numeric_host = true};
    write_url(&endpoint, &nowhere, name, source->api_path);
    *ret_endpoint = endpoint;
    return 0;
}

static int make_tcp(const struct endpoint_source *source, struct endpoint *ret_endpoint,
                    const char **ret_problem)
{
    struct address address;
    if (source->agent_endpoint != NULL) {
        if (!parse_address(source->agent_endpoint, &address))
            return fail("MESOS_AGENT_ENDPOINT is not a host and a port, as in 10.0.0.1:5051", ret_problem);
    } else {
        const char *at = source->agent_pid != NULL ? strchr(source->agent_pid, '@') : NULL;
        if (at == NULL)
            return fail("neither MESOS_AGENT_ENDPOINT nor MESOS_SLAVE_PID says where the agent listens",
                        ret_problem);
        if (!parse_address(at + 1, &address))
            return fail("MESOS_SLAVE_PID does not end in a host and a port, as in slave(1)@10.0.0.1:5051",
                        ret_problem);
    }
    struct endpoint endpoint = {.tls = source->tls, .numeric_host = address.numeric};
    write_url(&endpoint, &address, "", source->api_path);
    *ret_endpoint = endpoint;
    return 0;
}

int endpoint_make(const struct endpoint_source *source, struct endpoint *ret_endpoint,
                  const char **ret_problem)
{
    const char *path = source->api_path;
    if (path == NULL || *path != '/' || strlen(path) >= ENDPOINT_PATH_MAX - ENDPOINT_HOST_MAX ||
        !consists_of(path, PATH_CHARACTERS))
        return fail(
            "ALLEGRO_EXECUTOR_API_PATH (or ALLEGRO_EXECUTOR_APIP_ATH) is not a path that begins with a slash",
            ret_problem);
    if (source->domain_socket)
        return make_domain_socket(source, ret_endpoint, ret_problem);
    return make_tcp(source, ret_endpoint, ret_problem);
}

/*
 * The token becomes a header: a line break in it would begin another. RFC 6750 allows less still, but that is
 * the agent's affair.
 */
static bool is_header_value(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < '!' || *text > '~')
            return false;
    return true;
}

int endpoint_from_config(const struct config *config, struct endpoint *ret_endpoint, const char **ret_problem)
{
    const char *token = config_string(config, CONFIG_EXECUTOR_AUTHENTICATION_TOKEN);
    if (token != NULL && !is_header_value(token)) {
        *ret_problem =
            "MESOS_EXECUTOR_AUTHENTICATION_TOKEN has characters that no token has; printable ASCII without "
            "blanks is accepted";
        return -EINVAL;
    }
    const struct endpoint_source source = {
        .agent_endpoint = config_string(config, CONFIG_AGENT_ENDPOINT),
        .agent_pid = config_string(config, CONFIG_SLAVE_PID),
        .api_path = config_string(config, CONFIG_API_PATH),
        .domain_socket = config_is_set(config, CONFIG_DOMAIN_SOCKET),
        .tls = config_bool(config, CONFIG_SSL_ENABLED),
    };
    return endpoint_make(&source, ret_endpoint, ret_problem);
}
