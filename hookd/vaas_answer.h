#ifndef BULKHEAD_HOOKD_VAAS_ANSWER_H
#define BULKHEAD_HOOKD_VAAS_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "hookd/vaas_backend.h"

/*
 * What VaaS (tastypie's REST) answers, read as what a stranger sent: depth bounded, every type checked.
 * Everything here is pure. Lists come in pages; *ret_next is the path of the next one, from VAAS_API on,
 * malloc'd, or NULL at the end. It is given only where it was not found yet.
 */
enum { VAAS_IDS_MAX = 16, VAAS_WORDS_MAX = 160 };

struct vaas_ids {
    int64_t ids[VAAS_IDS_MAX]; /* more than that are left for another look */
    size_t count;
};

enum vaas_task_state {
    VAAS_TASK_RUNNING,
    VAAS_TASK_DONE,
    VAAS_TASK_FAILED,
};

/*
 * One page of the data centres, and the one with this symbol. Returns 1 when it is there, 0 when not on this
 * page, -EBADMSG when this is no such page, -ENOMEM. ret_dc is to be cleared after 1.
 */
int vaas_answer_dc(const char *body, size_t size, const char *symbol, struct vaas_dc *ret_dc,
                   char **ret_next);

/* The same for the directors and the one with this name. */
int vaas_answer_director(const char *body, size_t size, const char *name, int64_t *ret_id, char **ret_next);

/* Adds the ids of the backends with the address, port and director of wanted. Returns 0, -EBADMSG or -ENOMEM.
 */
int vaas_answer_backends(const char *body, size_t size, const struct vaas_backend *wanted,
                         struct vaas_ids *ids, char **ret_next);

/* The id of the backend that was made; 0 when the body does not say it. */
int64_t vaas_answer_created(const char *body, size_t size);

/* The state of a task in Celery's words; words: what VaaS says to it, perhaps nothing. Returns 0 or -EBADMSG.
 */
int vaas_answer_task(const char *body, size_t size, enum vaas_task_state *ret_state,
                     char words[VAAS_WORDS_MAX]);

/* The part of a Location, or of a path, from VAAS_API on: points into it; NULL when it has none that can be
 * asked for. */
const char *vaas_answer_path(const char *location);

/* The id in VAAS_API "KIND/ID/"; 0 when path is none. */
int64_t vaas_answer_path_id(const char *path, const char *kind);

#endif
