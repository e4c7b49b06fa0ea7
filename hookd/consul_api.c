/*
 * Calls to Consul's agent; see consul_api.h.
 *
 * Whoever listens at Consul's address is a stranger: an answer decides whether to ask again and gives a few
 * words for people, and that is all. The token must never be in those words.
 */
#include "hookd/consul_api.h"

#include "common/loop.h"
#include "hookd/http_client.h"
#include "hookd/phrase.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOKEN_FILE_MAX = 64 * 1024 };

static const int64_t longest_attempt =
    5 * LOOP_SECOND; /* an agent answers in a millisecond: one that hangs is dead */

/* --- what an answer means --- */

/* With ACLs on, 1.8.7 says of an id that is not there (any more): 500, "Unknown service". */
static bool is_unknown_service(const char *body, size_t body_size)
{
    static const char words[] = "Unknown service";
    return body_size >= sizeof(words) - 1 && memcmp(body, words, sizeof(words) - 1) == 0;
}

enum consul_outcome consul_classify(enum consul_call call, long status, const char *body, size_t body_size)
{
    if (status == 200)
        return CONSUL_DONE;
    if (call == CONSUL_DEREGISTER &&
        (status == 404 || (status == 500 && is_unknown_service(body, body_size))))
        return CONSUL_DONE;
    if (status == 401 || status == 403)
        return CONSUL_DENIED;
    if (status == 408 || status == 429 || status >= 500)
        return CONSUL_AGAIN;
    return CONSUL_REFUSED;
}

/* --- settings --- */

static bool takes(const char **text, const char *prefix)
{
    size_t length = strlen(prefix);
    if (strncmp(*text, prefix, length) != 0)
        return false;
    *text += length;
    return true;
}

int consul_address_read(const char *address, bool tls, char **ret_base, char **ret_unix_socket)
{
    char *base = NULL;
    char *socket_path = NULL;
    const char *rest = address;
    bool is_unix = takes(&rest, "unix://");
    bool https = !is_unix && takes(&rest, "https://");
    if (!is_unix && !https)
        takes(&rest, "http://");
    size_t length = strlen(rest);
    while (!is_unix && length > 0 && rest[length - 1] == '/')
        length--;
    if (length == 0 || (!is_unix && strstr(rest, "://") != NULL))
        return -EINVAL;
    if (asprintf(&base, "%s://%.*s", https || tls ? "https" : "http", is_unix ? INT_MAX : (int)length,
                 is_unix ? "localhost" : rest) < 0)
        return -ENOMEM;
    if (is_unix && (socket_path = strdup(rest)) == NULL) {
        free(base);
        return -ENOMEM;
    }
    *ret_base = base;
    *ret_unix_socket = socket_path;
    return 0;
}

/* The file's text without the blanks around it; NULL with errno, or when there is none in it. */
static char *read_token_file(const char *path)
{
    char buffer[TOKEN_FILE_MAX];
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    ssize_t n = file >= 0 ? read(file, buffer, sizeof(buffer)) : -1;
    if (file >= 0)
        close(file);
    if (n < 0)
        return NULL;
    size_t start = 0;
    size_t end = (size_t)n;
    while (start < end && isspace((unsigned char)buffer[start]))
        start++;
    while (end > start && isspace((unsigned char)buffer[end - 1]))
        end--;
    char *token = strndup(buffer + start, end - start);
    explicit_bzero(buffer, sizeof(buffer));
    return token;
}

/* A file with nothing in it leaves the choice to the next setting, as Consul's clients have it. */
static int choose_token(const struct config *config, char **ret_token, char *text, size_t size)
{
    const char *token = config_string(config, CONFIG_CONSUL_TOKEN);
    const char *file = config_string(config, CONFIG_CONSUL_HTTP_TOKEN_FILE);
    if (token == NULL && file != NULL) {
        char *read = read_token_file(file);
        if (read == NULL) {
            phrase_set(text, size, "the token file %s cannot be read: %s", file, strerror(errno));
            return -EACCES;
        }
        if (read[0] != '\0') {
            *ret_token = read;
            return 0;
        }
        free(read);
    }
    if (token == NULL)
        token = config_string(config, CONFIG_CONSUL_HTTP_TOKEN);
    *ret_token = token != NULL ? strdup(token) : NULL;
    return token == NULL || *ret_token != NULL ? 0 : -ENOMEM;
}

/* In a header a line's end would begin another one. */
static bool is_one_line(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

int consul_api_open(const struct config *config, struct consul_api *api, char *text, size_t size)
{
    *api = (struct consul_api){.config = config};
    const char *address = config_string(config, CONFIG_CONSUL_HTTP_ADDR);
    int r = consul_address_read(address, config_bool(config, CONFIG_CONSUL_HTTP_SSL), &api->base,
                                &api->unix_socket);
    if (r == -EINVAL)
        phrase_set(text, size, "CONSUL_HTTP_ADDR is no address of Consul's");
    if (r == 0)
        r = choose_token(config, &api->token, text, size);
    if (r == 0 && api->token != NULL && !is_one_line(api->token)) {
        phrase_set(text, size, "Consul's token has characters that no token has");
        r = -EINVAL;
    }
    const char *namespace = config_string(config, CONFIG_CONSUL_NAMESPACE);
    if (r == 0 && (api->namespace = http_client_escape(namespace != NULL ? namespace : "")) == NULL)
        r = -ENOMEM;
    if (r == -ENOMEM)
        phrase_set(text, size, "out of memory");
    return r;
}

void consul_api_close(struct consul_api *api)
{
    if (api->token != NULL)
        explicit_bzero(api->token, strlen(api->token));
    free(api->token);
    free(api->base);
    free(api->unix_socket);
    free(api->namespace);
    *api = (struct consul_api){0};
}

/* --- calls --- */

static struct http_client_request make_request(const struct consul_api *api, const char *url,
                                               int64_t deadline)
{
    const struct config *config = api->config;
    int64_t limit = loop_now() + longest_attempt;
    return (struct http_client_request){
        .method = "PUT",
        .url = url,
        .unix_socket = api->unix_socket,
        .deadline = limit < deadline ? limit : deadline,
        .ca_file = config_string(config, CONFIG_CONSUL_CACERT),
        .ca_path = config_string(config, CONFIG_CONSUL_CAPATH),
        .client_cert = config_string(config, CONFIG_CONSUL_CLIENT_CERT),
        .client_key = config_string(config, CONFIG_CONSUL_CLIENT_KEY),
        .tls_server_name = config_string(config, CONFIG_CONSUL_TLS_SERVER_NAME),
        .insecure = !config_bool(config, CONFIG_CONSUL_HTTP_SSL_VERIFY),
        .user_password = config_string(config, CONFIG_CONSUL_HTTP_AUTH),
    };
}

static void tell(const struct consul_api *api, enum consul_outcome outcome,
                 const struct http_client_answer *answer, char *text, size_t size)
{
    phrase_set(text, size, "Consul answers %ld", answer->status);
    phrase_add_excerpt(text, size, answer->body, answer->body_size, api->token);
    if (outcome == CONSUL_DENIED)
        phrase_add(text, size, " (%s)", api->token != NULL ? "the token is not accepted" : "no token is set");
    if (answer->status >= 300 && answer->status < 400)
        phrase_add(text, size, " (a redirect, which is not followed)");
}

static enum consul_outcome perform(const struct consul_api *api, enum consul_call call,
                                   const struct http_client_request *request, char *text, size_t size)
{
    struct http_client_answer answer;
    enum consul_outcome outcome = CONSUL_AGAIN;
    int r = http_client_perform(request, &answer);
    if (r < 0) {
        phrase_set(text, size, "Consul: %s", answer.error);
        outcome = r == -EINVAL ? CONSUL_REFUSED : CONSUL_AGAIN;
    } else {
        outcome = consul_classify(call, answer.status, answer.body, answer.body_size);
        if (outcome != CONSUL_DONE)
            tell(api, outcome, &answer, text, size);
    }
    http_client_answer_clear(&answer);
    return outcome;
}

/* body NULL: none. The last header is the token's, if there is one. */
static enum consul_outcome put(const struct consul_api *api, enum consul_call call, const char *url,
                               const char *body, int64_t deadline, char *text, size_t size)
{
    char *token = NULL;
    if (api->token != NULL && asprintf(&token, "X-Consul-Token: %s", api->token) < 0) {
        phrase_set(text, size, "out of memory");
        return CONSUL_AGAIN;
    }
    const char *const headers[] = {"Content-Type: application/json", token, NULL};
    struct http_client_request request = make_request(api, url, deadline);
    request.headers = headers;
    request.body = body != NULL ? body : "";
    request.body_size = strlen(request.body);
    enum consul_outcome outcome = perform(api, call, &request, text, size);
    if (token != NULL)
        explicit_bzero(token, strlen(token));
    free(token);
    return outcome;
}

enum consul_outcome consul_api_register(const struct consul_api *api, const char *json, int64_t deadline,
                                        char *text, size_t size)
{
    char *url = NULL;
    if (asprintf(&url, "%s/v1/agent/service/register%s%s", api->base, api->namespace[0] != '\0' ? "?ns=" : "",
                 api->namespace) < 0) {
        phrase_set(text, size, "out of memory");
        return CONSUL_AGAIN;
    }
    enum consul_outcome outcome = put(api, CONSUL_REGISTER, url, json, deadline, text, size);
    free(url);
    return outcome;
}

enum consul_outcome consul_api_deregister(const struct consul_api *api, const char *escaped_namespace,
                                          const char *id, int64_t deadline, char *text, size_t size)
{
    char *escaped = http_client_escape(id);
    char *url = NULL;
    enum consul_outcome outcome = CONSUL_AGAIN;
    if (escaped == NULL || asprintf(&url, "%s/v1/agent/service/deregister/%s%s%s", api->base, escaped,
                                    escaped_namespace[0] != '\0' ? "?ns=" : "", escaped_namespace) < 0) {
        phrase_set(text, size, "out of memory");
        url = NULL;
    } else {
        outcome = put(api, CONSUL_DEREGISTER, url, NULL, deadline, text, size);
    }
    free(url);
    free(escaped);
    return outcome;
}
