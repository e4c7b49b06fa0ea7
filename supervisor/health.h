#ifndef BULKHEAD_SUPERVISOR_HEALTH_H
#define BULKHEAD_SUPERVISOR_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What the results of a health check mean: pure. The rules are Mesos' (src/checks/health_checker.cpp): a
 * failure within the grace period does not count while the task was never healthy; each counted one is told;
 * so many in a row end the task; the first success is told, and the first after a counted failure.
 */
struct health {
    int64_t grace_ends_at; /* its last moment, 0 for no grace */
    uint32_t allowed;      /* counted failures in a row that end the task; 0 is as 1 */
    uint32_t failures;     /* counted, in a row */
    bool was_healthy;      /* at least once */
};

enum health_action {
    HEALTH_TELL = 1 << 0, /* an update with the result is due */
    HEALTH_KILL = 1 << 1, /* the task is to be ended as unhealthy */
};

/* grace in nanoseconds from now, the launch; 0 for none. Pure. */
struct health health_begin(int64_t grace, uint32_t consecutive_failures, int64_t now);

/* Takes a result; returns an or of enum health_action. Pure but for *health. */
unsigned health_take(struct health *health, bool success, int64_t now);

#endif
