#ifndef BULKHEAD_AGENT_CLIENT_CALL_H
#define BULKHEAD_AGENT_CLIENT_CALL_H

#include <stddef.h>

#include "proto/bulkhead.pb-c.h"

/* Who calls. */
struct call_identity {
    const char *framework_id;
    const char *executor_id;
};

/* What SUBSCRIBE hands back to the agent: TaskInfo messages as they came, and updates in the order they were
 * made. */
struct call_list {
    const ProtobufCBinaryData *tasks;
    size_t task_count;
    Bulkhead__Update *const *updates;
    size_t update_count;
};

/* A call as it goes on the wire; freed by call_clear(). */
struct call {
    unsigned char *data;
    size_t size;
};

/* Both return 0 or -ENOMEM. Nothing of the arguments is kept. */
int call_make_subscribe(const struct call_identity *identity, const struct call_list *list,
                        struct call *ret_call);
int call_make_update(const struct call_identity *identity, const Bulkhead__Update *update,
                     struct call *ret_call);

/* NULL is accepted. */
void call_clear(struct call *call);

#endif
