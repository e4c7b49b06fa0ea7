#ifndef BULKHEAD_HOOKD_RETRY_H
#define BULKHEAD_HOOKD_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/* The waits between attempts, in nanoseconds: each twice the one before, up to the longest. */
struct retry {
    int64_t next;
    int64_t longest;
};

void retry_init(struct retry *retry, int64_t first, int64_t longest);

/* The next wait: between half of its length and all of it, by a random number. Pure but for retry. */
int64_t retry_next(struct retry *retry, uint32_t random);

/*
 * Waits for retry_next(), but at least for shortest, and returns true; returns false at once where that would
 * pass the deadline (on loop_now()'s clock): there is no time for another attempt. Blocks.
 */
bool retry_wait(struct retry *retry, int64_t shortest, int64_t deadline);

/* Sleeps for so many nanoseconds, signals or not. Blocks. */
void retry_sleep(int64_t duration);

#endif
