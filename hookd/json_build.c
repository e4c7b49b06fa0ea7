/*
 * Building JSON; see json_build.h.
 *
 * Nothing that is half made may leave: a value that is missing in a request would be a request for something
 * else.
 */
#include "hookd/json_build.h"

#include <stddef.h>
#include <string.h>

bool json_build_add(struct json_object *object, const char *key, struct json_object *value)
{
    if (object != NULL && value != NULL && json_object_object_add(object, key, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

bool json_build_append(struct json_object *array, struct json_object *value)
{
    if (array != NULL && value != NULL && json_object_array_add(array, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

bool json_build_add_text(struct json_object *object, const char *key, const char *text)
{
    return text == NULL || json_build_add(object, key, json_object_new_string(text));
}

struct json_object *json_build_checked(struct json_object *object, bool is_whole)
{
    if (is_whole)
        return object;
    json_object_put(object);
    return NULL;
}

char *json_build_text(struct json_object *object)
{
    static const int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
    const char *text = object != NULL ? json_object_to_json_string_ext(object, flags) : NULL;
    char *copy = text != NULL ? strdup(text) : NULL;
    json_object_put(object);
    return copy;
}
