/*
 * Calls to VaaS; see vaas_api.h.
 *
 * The user's key goes into a header and nowhere else: not into an address, which servers log, and not into a
 * text. Paths end with a slash, as VaaS wants them: it answers others with a redirect, which is not followed.
 */
#include "hookd/vaas_api.h"

#include "common/loop.h"
#include "hookd/phrase.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGES_MAX = 200 };

static const int64_t lookup_limit = 10 * LOOP_SECOND;

enum vaas_outcome vaas_classify(long status)
{
    if (status >= 200 && status < 300)
        return VAAS_OK;
    if (status == 404 || status == 410)
        return VAAS_MISSING;
    if (status == 401 || status == 403)
        return VAAS_DENIED;
    if (status == 408 || status == 425 || status == 429 || status >= 500)
        return VAAS_AGAIN;
    return VAAS_REFUSED;
}

/* --- settings --- */

static bool is_one_line(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

int vaas_api_open(const struct config *config, struct vaas_api *api, char *text, size_t size)
{
    const char *user = config_string(config, CONFIG_VAAS_USERNAME);
    *api = (struct vaas_api){.host = config_string(config, CONFIG_VAAS_HOST),
                             .key = config_string(config, CONFIG_VAAS_TOKEN)};
    if (api->host == NULL || (strncmp(api->host, "http://", strlen("http://")) != 0 &&
                              strncmp(api->host, "https://", strlen("https://")) != 0)) {
        phrase_set(text, size, "VAAS_HOST is no http:// or https:// address");
        return -EINVAL;
    }
    if (user == NULL && api->key == NULL)
        return 0;
    if (user == NULL || api->key == NULL || !is_one_line(user) || !is_one_line(api->key)) {
        phrase_set(text, size,
                   "VAAS_USERNAME and VAAS_TOKEN are to be given together, without control characters");
        return -EINVAL;
    }
    if (asprintf(&api->authorization, "Authorization: ApiKey %s:%s", user, api->key) < 0) {
        api->authorization = NULL;
        phrase_set(text, size, "out of memory");
        return -ENOMEM;
    }
    return 0;
}

void vaas_api_close(struct vaas_api *api)
{
    if (api->authorization != NULL)
        explicit_bzero(api->authorization, strlen(api->authorization));
    free(api->authorization);
    *api = (struct vaas_api){0};
}

/* --- one request --- */

static char *make_url(const struct vaas_api *api, const char *path)
{
    size_t length = strlen(api->host);
    char *url = NULL;
    while (length > 0 && api->host[length - 1] == '/')
        length--;
    return asprintf(&url, "%.*s%s", (int)length, api->host, path) >= 0 ? url : NULL;
}

static void tell(const struct vaas_api *api, const struct http_client_answer *answer, const char *method,
                 char *text, size_t size)
{
    phrase_set(text, size, "VaaS answers %ld to %s", answer->status, method);
    phrase_add_excerpt(text, size, answer->body, answer->body_size, api->key);
    if (answer->status == 401 || answer->status == 403)
        phrase_add(text, size, " (%s)",
                   api->authorization != NULL ? "user or key are not accepted" : "no user is set");
    if (answer->status >= 300 && answer->status < 400)
        phrase_add(text, size, " (a redirect, which is not followed)");
}

enum vaas_outcome vaas_api_call(const struct vaas_api *api, const char *method, const char *path,
                                const char *body, int64_t limit, int64_t deadline,
                                struct http_client_answer *answer, char *text, size_t size)
{
    /* What asks for a change asks not to be held up until Varnish has been loaded anew. */
    const char *const headers[] = {"Accept: application/json", "Content-Type: application/json",
                                   "Prefer: respond-async", api->authorization, NULL};
    int64_t now = loop_now();
    char *url = make_url(api, path);
    struct http_client_request request = {
        .method = method,
        .url = url,
        .headers = headers,
        .body = body,
        .body_size = body != NULL ? strlen(body) : 0,
        .deadline = limit < deadline - now ? now + limit : deadline,
    };
    *answer = (struct http_client_answer){0};
    if (url == NULL) {
        phrase_set(text, size, "out of memory");
        return VAAS_AGAIN;
    }
    int r = http_client_perform(&request, answer);
    free(url);
    if (r < 0) {
        phrase_set(text, size, "VaaS: %s", answer->error);
        return r == -EINVAL ? VAAS_REFUSED : VAAS_AGAIN;
    }
    enum vaas_outcome outcome = vaas_classify(answer->status);
    if (outcome != VAAS_OK)
        tell(api, answer, method, text, size);
    return outcome;
}

/* --- look-ups --- */

/* Reads one page: 1 when nothing more is to be looked for, 0 to go on with *ret_next, or a negative errno. */
typedef int (*page_fn)(void *arg, const char *body, size_t size, char **ret_next);

static enum vaas_outcome read_page(const struct vaas_api *api, const char *path, page_fn page, void *arg,
                                   int64_t deadline, bool *ret_found, char **ret_next, char *text,
                                   size_t size)
{
    struct http_client_answer answer;
    enum vaas_outcome outcome =
        vaas_api_call(api, "GET", path, NULL, lookup_limit, deadline, &answer, text, size);
    if (outcome == VAAS_OK) {
        int r = page(arg, answer.body, answer.body_size, ret_next);
        *ret_found = r > 0;
        if (r < 0) {
            phrase_set(text, size, "VaaS answers with what is no list");
            outcome = VAAS_AGAIN;
        }
    } else if (outcome == VAAS_MISSING) {
        outcome = VAAS_REFUSED; /* the list itself: this is no VaaS */
    }
    http_client_answer_clear(&answer);
    return outcome;
}

/* Takes path. A list that never ends is a fault of the other side. */
static enum vaas_outcome walk(const struct vaas_api *api, char *path, page_fn page, void *arg,
                              int64_t deadline, char *text, size_t size)
{
    enum vaas_outcome outcome = path != NULL ? VAAS_OK : VAAS_AGAIN;
    bool found = false;
    if (path == NULL)
        phrase_set(text, size, "out of memory");
    for (int pages = 0; outcome == VAAS_OK && !found && path != NULL && pages < PAGES_MAX; pages++) {
        char *next = NULL;
        outcome = read_page(api, path, page, arg, deadline, &found, &next, text, size);
        free(path);
        path = next;
    }
    free(path);
    return outcome == VAAS_OK && !found ? VAAS_MISSING : outcome;
}

struct dc_search {
    const char *symbol;
    struct vaas_dc dc;
};

static int dc_page(void *arg, const char *body, size_t size, char **ret_next)
{
    struct dc_search *search = arg;
    return vaas_answer_dc(body, size, search->symbol, &search->dc, ret_next);
}

enum vaas_outcome vaas_api_find_dc(const struct vaas_api *api, const char *symbol, int64_t deadline,
                                   struct vaas_dc *ret_dc, char *text, size_t size)
{
    struct dc_search search = {.symbol = symbol};
    enum vaas_outcome outcome = walk(api, strdup(VAAS_API "dc/"), dc_page, &search, deadline, text, size);
    if (outcome == VAAS_OK)
        *ret_dc = search.dc;
    else if (outcome == VAAS_MISSING)
        phrase_set(text, size, "VaaS has no data centre %s", symbol);
    return outcome;
}

struct director_search {
    const char *name;
    int64_t id;
};

static int director_page(void *arg, const char *body, size_t size, char **ret_next)
{
    struct director_search *search = arg;
    return vaas_answer_director(body, size, search->name, &search->id, ret_next);
}

enum vaas_outcome vaas_api_find_director(const struct vaas_api *api, const char *name, int64_t deadline,
                                         int64_t *ret_id, char *text, size_t size)
{
    struct director_search search = {.name = name};
    char *escaped = http_client_escape(name);
    char *path = NULL;
    if (escaped == NULL || asprintf(&path, VAAS_API "director/?name=%s", escaped) < 0)
        path = NULL;
    free(escaped);
    enum vaas_outcome outcome = walk(api, path, director_page, &search, deadline, text, size);
    if (outcome == VAAS_OK)
        *ret_id = search.id;
    else if (outcome == VAAS_MISSING)
        phrase_set(text, size, "VaaS has no director %s", name);
    return outcome;
}

struct backend_search {
    const struct vaas_backend *wanted;
    struct vaas_ids ids;
};

static int backend_page(void *arg, const char *body, size_t size, char **ret_next)
{
    struct backend_search *search = arg;
    return vaas_answer_backends(body, size, search->wanted, &search->ids, ret_next);
}

enum vaas_outcome vaas_api_find_backends(const struct vaas_api *api, const struct vaas_backend *wanted,
                                         int64_t deadline, struct vaas_ids *ret_ids, char *text, size_t size)
{
    struct backend_search search = {.wanted = wanted};
    char *address = http_client_escape(wanted->address);
    char *director = http_client_escape(wanted->director);
    char *path = NULL;
    if (address == NULL || director == NULL ||
        asprintf(&path, VAAS_API "backend/?address=%s&port=%" PRIu32 "&director__name=%s", address,
                 wanted->port, director) < 0)
        path = NULL;
    free(address);
    free(director);
    enum vaas_outcome outcome = walk(api, path, backend_page, &search, deadline, text, size);
    if (outcome != VAAS_MISSING) /* it goes through all pages, so that this is the usual end */
        return outcome;
    *ret_ids = search.ids;
    return VAAS_OK;
}

enum vaas_outcome vaas_api_delete(const struct vaas_api *api, int64_t id, int64_t deadline, char *text,
                                  size_t size)
{
    char path[64];
    struct http_client_answer answer;
    snprintf(path, sizeof(path), VAAS_API "backend/%" PRId64 "/", id);
    enum vaas_outcome outcome =
        vaas_api_call(api, "DELETE", path, NULL, lookup_limit, deadline, &answer, text, size);
    http_client_answer_clear(&answer);
    return outcome == VAAS_MISSING ? VAAS_OK : outcome;
}
