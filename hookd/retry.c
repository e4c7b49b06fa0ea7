/*
 * When to ask again; see retry.h.
 *
 * The executors of a machine all lose their Consul in the same moment and must not come back in step: chance
 * spreads them. A wait never ends beyond the deadline, so that a worker has time to say how it went.
 */
#include "hookd/retry.h"

#include "common/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

void retry_init(struct retry *retry, int64_t first, int64_t longest)
{
    *retry = (struct retry){.next = first, .longest = longest};
}

int64_t retry_next(struct retry *retry, uint32_t random)
{
    int64_t wait = retry->next;
    retry->next = wait > retry->longest / 2 ? retry->longest : 2 * wait;
    int64_t half = wait / 2;
    return half + (int64_t)((double)(wait - half) * ((double)random / (double)UINT32_MAX));
}

void retry_sleep(int64_t duration)
{
    struct timespec left = {.tv_sec = duration / LOOP_SECOND, .tv_nsec = duration % LOOP_SECOND};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

bool retry_wait(struct retry *retry, int64_t shortest, int64_t deadline)
{
    int64_t wait = retry_next(retry, arc4random());
    if (wait < shortest)
        wait = shortest;
    if (deadline - loop_now() <= wait)
        return false;
    retry_sleep(wait);
    return true;
}
