#ifndef BULKHEAD_SUPERVISOR_SCHEDULE_H
#define BULKHEAD_SUPERVISOR_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * When a task is probed: pure. The first probe begins a delay after the launch, each later one an interval
 * after the one before it has finished (Mesos: checker_process.cpp), so that probes of one check never
 * overlap.
 */
struct schedule {
    int64_t interval;
    int64_t next_at; /* 0 while a probe runs, and after the end */
    bool probing;
    bool stopped;
};

/* Nanoseconds. Pure. */
struct schedule schedule_begin(int64_t delay, int64_t interval, int64_t now);

/* Whether a probe is to begin now; it then counts as running. Pure but for *schedule. */
bool schedule_take_due(struct schedule *schedule, int64_t now);

/* The probe has finished: returns whether its result counts, which it does not after the end. Pure but for
 * *schedule. */
bool schedule_finish(struct schedule *schedule, int64_t now);

/* No more probes. */
void schedule_stop(struct schedule *schedule);

#endif
