/*
 * What the results of a health check mean; see health.h.
 */
#include "supervisor/health.h"

struct health health_begin(int64_t grace, uint32_t consecutive_failures, int64_t now)
{
    int64_t end = grace > INT64_MAX - now ? INT64_MAX : now + grace;
    return (struct health){.grace_ends_at = grace > 0 ? end : 0,
                           .allowed = consecutive_failures > 0 ? consecutive_failures : 1};
}

static unsigned take_success(struct health *health)
{
    bool is_news = !health->was_healthy || health->failures > 0;
    health->was_healthy = true;
    health->failures = 0;
    return is_news ? HEALTH_TELL : 0;
}

static unsigned take_failure(struct health *health, int64_t now)
{
    if (!health->was_healthy && now <= health->grace_ends_at)
        return 0;
    if (health->failures < UINT32_MAX)
        health->failures++;
    return health->failures >= health->allowed ? HEALTH_TELL | HEALTH_KILL : HEALTH_TELL;
}

unsigned health_take(struct health *health, bool success, int64_t now)
{
    return success ? take_success(health) : take_failure(health, now);
}
