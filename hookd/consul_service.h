#ifndef BULKHEAD_HOOKD_CONSUL_SERVICE_H
#define BULKHEAD_HOOKD_CONSUL_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "proto/bulkhead.pb-c.h"

/*
 * What a task is in Consul: the services that its labels and ports ask for, as marathon-consul names them.
 * Everything here is pure: no network, no clock.
 */
enum {
    CONSUL_ID_MAX = 3072, /* a longer id is refused: a key has to fit into what a worker may say */
    CONSUL_KEY_MAX = 3 * 255 + CONSUL_ID_MAX + 16, /* a record's key, its NUL included */
};

struct consul_service {
    char *id;
    char *name;
    uint32_t port;
    char **tags; /* in Consul's order, placeholders filled in */
    size_t tag_count;
};

struct consul_services {
    struct consul_service *items;
    size_t count;
    const char *skipped; /* why there are none, in words; NULL when there are some */
};

/*
 * The services of a task that has the label "consul". Returns 0, perhaps with none at all and the reason;
 * -EINVAL when an id would be longer than CONSUL_ID_MAX; -ENOMEM. To be cleared in the first case.
 */
int consul_services_make(const struct config *config, const Bulkhead__Task *task,
                         struct consul_services *ret_services);
void consul_services_clear(struct consul_services *services);

/*
 * The service's name where the label is "true" or "": the task's id without blanks and slashes around it, '_'
 * as '.' and '/' as '-', and without what follows its last dot. malloc'd; NULL without memory.
 */
char *consul_name_from_task_id(const char *task_id);

/*
 * Changes an id that Consul (1.8.7) would register but never find again in a path: a leading '/' and the
 * second of two become
 * '_', so do the dots of a segment '.' or '..', control characters and bytes that are no UTF-8. Returns
 * whether it was changed.
 */
bool consul_id_mend(char *id);

/*
 * The key of a service's record: "1 ns=NAMESPACE ID", the namespace escaped as in a path, nothing where there
 * is none. Returns 0, or -ENAMETOOLONG.
 */
int consul_key_write(const char *name_space, const char *id, char key[CONSUL_KEY_MAX]);

/*
 * Takes a key apart. escaped_namespace is as it goes into a query, "" for none; id points into key. Returns
 * 0, or -EINVAL for a key that consul_key_write() has not made.
 */
int consul_key_read(const char *key, char escaped_namespace[3 * 255 + 1], const char **ret_id);

#endif
