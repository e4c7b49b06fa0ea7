/*
 * When a task is probed; see schedule.h.
 */
#include "supervisor/schedule.h"

static int64_t after(int64_t now, int64_t span)
{
    return span > INT64_MAX - now ? INT64_MAX : now + span;
}

struct schedule schedule_begin(int64_t delay, int64_t interval, int64_t now)
{
    return (struct schedule){.interval = interval, .next_at = after(now, delay)};
}

bool schedule_take_due(struct schedule *schedule, int64_t now)
{
    if (schedule->stopped || schedule->probing || schedule->next_at > now)
        return false;
    schedule->probing = true;
    schedule->next_at = 0;
    return true;
}

bool schedule_finish(struct schedule *schedule, int64_t now)
{
    schedule->probing = false;
    if (schedule->stopped)
        return false;
    schedule->next_at = after(now, schedule->interval);
    return true;
}

void schedule_stop(struct schedule *schedule)
{
    schedule->stopped = true;
    schedule->next_at = 0;
}
