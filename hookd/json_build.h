#ifndef BULKHEAD_HOOKD_JSON_BUILD_H
#define BULKHEAD_HOOKD_JSON_BUILD_H

#include <json-c/json.h>
#include <stdbool.h>

/*
 * Building JSON with json-c where memory may run out at each step: every function takes what it is given,
 * returns whether it is in, and is content with a value that could not be made.
 */
bool json_build_add(struct json_object *object, const char *key, struct json_object *value);
bool json_build_append(struct json_object *array, struct json_object *value);

/* A copy of text; one that is NULL is left out. */
bool json_build_add_text(struct json_object *object, const char *key, const char *text);

/* The object when it is whole, else NULL and it is freed. NULL is accepted. */
struct json_object *json_build_checked(struct json_object *object, bool is_whole);

/* The object as text on one line, malloc'd; NULL when there is none or no memory. Frees the object. */
char *json_build_text(struct json_object *object);

#endif
