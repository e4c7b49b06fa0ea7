/*
 * Reading VaaS's answers; see vaas_answer.h.
 *
 * A path that an answer names is taken from VAAS_API on and asked for at VaaS's own address: an answer must
 * never be able to send the credentials elsewhere.
 */
#include "hookd/vaas_answer.h"

#include "hookd/phrase.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 32, PATH_LENGTH_MAX = 2048 };

/* The whole body as one JSON value, blanks around it allowed; NULL when it is none. */
static struct json_object *parse(const char *body, size_t size)
{
    struct json_tokener *tokener = size <= INT_MAX ? json_tokener_new_ex(DEPTH_MAX) : NULL;
    if (tokener == NULL)
        return NULL;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *object = json_tokener_parse_ex(tokener, body, (int)size);
    json_tokener_free(tokener);
    return object;
}

static struct json_object *member(struct json_object *object, const char *key, enum json_type type)
{
    struct json_object *value = NULL;
    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, key, &value) ||
        !json_object_is_type(value, type))
        return NULL;
    return value;
}

/* NULL when there is none, or one with a NUL in it. */
static const char *text_member(struct json_object *object, const char *key)
{
    struct json_object *value = member(object, key, json_type_string);
    const char *text = value != NULL ? json_object_get_string(value) : NULL;
    return text != NULL && strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

/* 0 when there is none: VaaS counts from one. */
static int64_t number_member(struct json_object *object, const char *key)
{
    struct json_object *value = member(object, key, json_type_int);
    int64_t number = value != NULL ? json_object_get_int64(value) : 0;
    return number > 0 ? number : 0;
}

/* --- paths --- */

const char *vaas_answer_path(const char *location)
{
    const char *path = location != NULL ? strstr(location, VAAS_API) : NULL;
    if (path == NULL || strlen(path) > PATH_LENGTH_MAX || strstr(path, "/..") != NULL)
        return NULL;
    for (const char *c = path; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~' || *c == '#')
            return NULL;
    return path;
}

int64_t vaas_answer_path_id(const char *path, const char *kind)
{
    static const char api[] = VAAS_API;
    size_t length = strlen(kind);
    if (strncmp(path, api, sizeof(api) - 1) != 0 || strncmp(path + sizeof(api) - 1, kind, length) != 0 ||
        path[sizeof(api) - 1 + length] != '/')
        return 0;
    const char *digits = path + sizeof(api) + length;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 18 || strcmp(digits + count, "/") != 0)
        return 0;
    return strtoll(digits, NULL, 10);
}

/* --- lists --- */

struct page {
    struct json_object *root;
    struct json_object *objects;
    size_t count;
};

static int open_page(const char *body, size_t size, struct page *page)
{
    *page = (struct page){.root = parse(body, size)};
    page->objects = member(page->root, "objects", json_type_array);
    if (page->objects == NULL) {
        json_object_put(page->root);
        return -EBADMSG;
    }
    page->count = json_object_array_length(page->objects);
    return 0;
}

static int64_t object_id(struct json_object *object)
{
    return number_member(object, "id");
}

static struct json_object *page_object(const struct page *page, size_t index)
{
    return json_object_array_get_idx(page->objects, index);
}

/* Closes the page. Returns 0 or a negative errno. */
static int take_next(struct page *page, char **ret_next)
{
    const char *next = text_member(member(page->root, "meta", json_type_object), "next");
    const char *path = vaas_answer_path(next);
    int r = next != NULL && path == NULL ? -EBADMSG : 0;
    char *copy = path != NULL ? strdup(path) : NULL;
    if (path != NULL && copy == NULL)
        r = -ENOMEM;
    json_object_put(page->root);
    if (r == 0)
        *ret_next = copy;
    return r;
}

/* The first object whose text is this one and that has an id; NULL for none. */
static struct json_object *find(const struct page *page, const char *key, const char *text)
{
    for (size_t i = 0; i < page->count; i++) {
        struct json_object *object = page_object(page, i);
        const char *value = text_member(object, key);
        if (value != NULL && strcmp(value, text) == 0 && object_id(object) > 0)
            return object;
    }
    return NULL;
}

static char *copy_member(struct json_object *object, const char *key, bool *good)
{
    const char *text = text_member(object, key);
    char *copy = text != NULL ? strdup(text) : NULL;
    *good = *good && (text == NULL || copy != NULL);
    return copy;
}

int vaas_answer_dc(const char *body, size_t size, const char *symbol, struct vaas_dc *ret_dc, char **ret_next)
{
    struct page page;
    int r = open_page(body, size, &page);
    struct json_object *object = r == 0 ? find(&page, "symbol", symbol) : NULL;
    if (r < 0)
        return r;
    if (object == NULL)
        return take_next(&page, ret_next);
    bool good = true;
    struct vaas_dc dc = {.id = object_id(object)};
    dc.name = copy_member(object, "name", &good);
    dc.symbol = copy_member(object, "symbol", &good);
    dc.resource_uri = copy_member(object, "resource_uri", &good);
    json_object_put(page.root);
    if (!good) {
        vaas_dc_clear(&dc);
        return -ENOMEM;
    }
    *ret_dc = dc;
    return 1;
}

int vaas_answer_director(const char *body, size_t size, const char *name, int64_t *ret_id, char **ret_next)
{
    struct page page;
    int r = open_page(body, size, &page);
    struct json_object *object = r == 0 ? find(&page, "name", name) : NULL;
    if (r < 0)
        return r;
    if (object == NULL)
        return take_next(&page, ret_next);
    *ret_id = object_id(object);
    json_object_put(page.root);
    return 1;
}

static bool is_wanted(struct json_object *object, const struct vaas_backend *wanted)
{
    const char *address = text_member(object, "address");
    const char *director = vaas_answer_path(text_member(object, "director"));
    return object_id(object) > 0 && address != NULL && director != NULL &&
           strcmp(address, wanted->address) == 0 && number_member(object, "port") == (int64_t)wanted->port &&
           vaas_answer_path_id(director, "director") == wanted->director_id;
}

int vaas_answer_backends(const char *body, size_t size, const struct vaas_backend *wanted,
                         struct vaas_ids *ids, char **ret_next)
{
    struct page page;
    int r = open_page(body, size, &page);
    if (r < 0)
        return r;
    for (size_t i = 0; i < page.count && ids->count < VAAS_IDS_MAX; i++)
        if (is_wanted(page_object(&page, i), wanted))
            ids->ids[ids->count++] = object_id(page_object(&page, i));
    return take_next(&page, ret_next);
}

/* --- one object --- */

/* A body that calls itself something else than a backend (a task) has an id of its own kind. */
int64_t vaas_answer_created(const char *body, size_t size)
{
    struct json_object *root = parse(body, size);
    int64_t id = number_member(root, "id");
    const char *uri = text_member(root, "resource_uri");
    const char *path = vaas_answer_path(uri);
    if (uri != NULL && (path == NULL || vaas_answer_path_id(path, "backend") != id))
        id = 0;
    json_object_put(root);
    return id;
}

int vaas_answer_task(const char *body, size_t size, enum vaas_task_state *ret_state,
                     char words[VAAS_WORDS_MAX])
{
    struct json_object *root = parse(body, size);
    const char *status = text_member(root, "status");
    const char *info = text_member(root, "info");
    words[0] = '\0';
    if (status != NULL) {
        bool failed = strcmp(status, "FAILURE") == 0 || strcmp(status, "REVOKED") == 0;
        *ret_state = failed ? VAAS_TASK_FAILED : VAAS_TASK_RUNNING;
        if (strcmp(status, "SUCCESS") == 0)
            *ret_state = VAAS_TASK_DONE;
        if (info != NULL)
            phrase_add_excerpt(words, VAAS_WORDS_MAX, info, strlen(info), NULL);
    }
    json_object_put(root);
    return status != NULL ? 0 : -EBADMSG;
}
