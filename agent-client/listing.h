#ifndef BULKHEAD_AGENT_CLIENT_LISTING_H
#define BULKHEAD_AGENT_CLIENT_LISTING_H

#include <stddef.h>

#include "agent-client/call.h"

/* The unacknowledged tasks and updates, as the supervisor dictates them for one SUBSCRIBE. All zero is an
 * empty one. */
struct listing {
    ProtobufCBinaryData *tasks;
    size_t task_count;
    size_t task_room;
    Bulkhead__Update **updates;
    size_t update_count;
    size_t update_room;
};

/* Both copy what they are given and return 0 or -ENOMEM. */
int listing_add_task(struct listing *listing, const ProtobufCBinaryData *raw);
int listing_add_update(struct listing *listing, const Bulkhead__Update *update);

/* The listing as call_make_subscribe() takes it; valid until the listing changes. */
struct call_list listing_view(const struct listing *listing);

/* Frees what is held; the listing is empty and usable. NULL is accepted. */
void listing_clear(struct listing *listing);

#endif
