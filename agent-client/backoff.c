/*
 * The waits between attempts to subscribe.
 *
 * Two dangers stand against each other: an agent that comes back gives its executors two seconds by default
 * before it destroys them, and a host full of executors must not hammer an agent that is still on its knees.
 * So the first wait is short, the later ones grow, none exceeds half of the agent's window, and chance
 * spreads them. It must never wait nothing: an agent that refuses at once would otherwise be asked without
 * pause.
 */
#include "agent-client/backoff.h"

enum { MILLISECOND = 1000000 };

static const int64_t first_cap = INT64_C(100) * MILLISECOND;
static const int64_t lowest_cap = INT64_C(40) * MILLISECOND; /* a quarter of it is the shortest wait: 10 ms */

void backoff_init(struct backoff *backoff, int64_t window)
{
    backoff->ceiling = window / 2 > lowest_cap ? window / 2 : lowest_cap;
    backoff_reset(backoff);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->cap = first_cap < backoff->ceiling ? first_cap : backoff->ceiling;
}

int64_t backoff_next(struct backoff *backoff, uint32_t random)
{
    int64_t cap = backoff->cap;
    int64_t shortest = cap / 4;
    backoff->cap = cap > backoff->ceiling / 2 ? backoff->ceiling : cap * 2;
    return shortest + (int64_t)((double)(cap - shortest) * ((double)random / (double)UINT32_MAX));
}
