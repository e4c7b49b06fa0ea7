#ifndef BULKHEAD_AGENT_CLIENT_BACKOFF_H
#define BULKHEAD_AGENT_CLIENT_BACKOFF_H

#include <stdint.h>

/* How long to wait before the next attempt to subscribe. Pure: the caller brings the random number. */
struct backoff {
    int64_t ceiling; /* nanoseconds */
    int64_t cap;     /* nanoseconds: the longest that the next wait may be */
};

/*
 * window is MESOS_SUBSCRIPTION_BACKOFF_MAX in nanoseconds: the time within which an agent that was started
 * again expects its executors back. No wait is longer than half of it, so that one failed attempt still
 * leaves room for another. A window too small to share (0 included) does not make us spin: waits are never
 * below 10 ms.
 */
void backoff_init(struct backoff *backoff, int64_t window);

/*
 * The next wait in nanoseconds, uniform between a quarter of the cap and the cap: the executors of one agent
 * must not come back in step. Each call doubles the cap, up to the ceiling; it begins at 100 ms.
 */
int64_t backoff_next(struct backoff *backoff, uint32_t random);

/* After a subscription that held: the next wait is a short one again. */
void backoff_reset(struct backoff *backoff);

#endif
