#ifndef BULKHEAD_HOOKD_TASK_JSON_H
#define BULKHEAD_HOOKD_TASK_JSON_H

#include <stddef.h>

#include "proto/bulkhead.pb-c.h"

/*
 * A task as executable hooks read it, on one line with a newline at its end:
 *
 *     {"id": "web.1", "name": "web", "role": "prod",
 *      "command": {"value": "./run", "shell": true, "arguments": [], "user": "www", "environment": {"A":
 * "1"}}, "labels": {"consul": "true"}, "ports": [{"number": 31000, "name": "http", "protocol": "tcp",
 * "labels": {}}], "health_check": {"type": "HTTP", "port": 31000, "path": "/ping", "scheme": "http"}}
 *
 * What the framework left out is left out, lists and objects excepted. Of labels and variables with one name
 * the first counts. Bytes that are no UTF-8 are replaced by '?'. The caller frees the text; NULL without
 * memory.
 */
char *task_json_make(const Bulkhead__Task *task, size_t *ret_length);

#endif
