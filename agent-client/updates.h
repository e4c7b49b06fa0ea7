#ifndef BULKHEAD_AGENT_CLIENT_UPDATES_H
#define BULKHEAD_AGENT_CLIENT_UPDATES_H

#include "agent-client/call.h"
#include "agent-client/http.h"
#include "proto/bulkhead.pb-c.h"

/* The updates of one subscription on their way to the agent: one at a time, in order. */
struct updates;

struct updates_listener {
    void *arg;
    /* The agent finds this update wrong; the next one follows. Nothing is freed from here. */
    void (*rejected)(void *arg, const ProtobufCBinaryData *uuid, const char *text);
    /* No update can be sent any more, and why. The listener may free the updates and the struct http. */
    void (*ended)(void *arg, Bulkhead__Disconnected__Cause cause, const char *text);
};

/* Borrows identity and http. Returns 0 or -ENOMEM. */
int updates_new(const struct call_identity *identity, struct http *http,
                const struct updates_listener *listener, struct updates **ret_updates);

/* Forgets what has not been sent. http_free() comes first: it may be reading the bytes of an update. NULL is
 * accepted. */
void updates_free(struct updates *updates);

/* Sends an update when those before it have been answered. Returns 0 or -ENOMEM. */
int updates_add(struct updates *updates, const Bulkhead__Update *update);

#endif
