/*
 * The event loop that every process runs: one poll, timers in a list, no threads.
 *
 * A process here has a handful of descriptors and timers, so plain arrays and lists are smaller and as fast
 * as anything cleverer. Idle, it sleeps until the next timer and not a moment less: an executor must cost its
 * host nothing while its task runs.
 */
#include "common/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

struct watch {
    loop_descriptor_fn ready;
    void *arg;
};

/* polls and watches run in parallel; a slot whose descriptor is -1 was given up and is closed before the next
 * poll. */
struct loop {
    struct pollfd *polls;
    struct watch *watches;
    size_t count;
    size_t capacity;
    struct loop_timer *timers;
    int64_t round; /* when timers were last looked at: none is armed for an earlier time */
    bool stopped;
};

int64_t loop_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * LOOP_SECOND + now.tv_nsec;
}

int loop_new(struct loop **ret_loop)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return -ENOMEM;
    *ret_loop = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    free(loop->polls);
    free(loop->watches);
    free(loop);
}

static size_t find_watch(const struct loop *loop, int descriptor)
{
    size_t i = 0;
    while (i < loop->count && loop->polls[i].fd != descriptor)
        i++;
    return i;
}

static int make_room(struct loop *loop)
{
    if (loop->count < loop->capacity)
        return 0;
    size_t capacity = loop->capacity + 8;
    struct pollfd *polls = reallocarray(loop->polls, capacity, sizeof(*polls));
    if (polls == NULL)
        return -ENOMEM;
    loop->polls = polls;
    struct watch *watches = reallocarray(loop->watches, capacity, sizeof(*watches));
    if (watches == NULL)
        return -ENOMEM;
    loop->watches = watches;
    loop->capacity = capacity;
    return 0;
}

int loop_watch(struct loop *loop, int descriptor, short events, loop_descriptor_fn ready, void *arg)
{
    size_t i = find_watch(loop, descriptor);
    if (i == loop->count) {
        int r = make_room(loop);
        if (r < 0)
            return r;
        loop->polls[loop->count++] = (struct pollfd){.fd = descriptor};
    }
    loop->polls[i].events = events;
    loop->watches[i] = (struct watch){.ready = ready, .arg = arg};
    return 0;
}

void loop_unwatch(struct loop *loop, int descriptor)
{
    size_t i = find_watch(loop, descriptor);
    if (i < loop->count)
        loop->polls[i].fd = -1;
}

static void close_gaps(struct loop *loop)
{
    size_t kept = 0;
    for (size_t i = 0; i < loop->count; i++) {
        if (loop->polls[i].fd < 0)
            continue;
        loop->polls[kept] = loop->polls[i];
        loop->watches[kept] = loop->watches[i];
        kept++;
    }
    loop->count = kept;
}

void loop_timer_init(struct loop_timer *timer, loop_timer_fn fire, void *arg)
{
    *timer = (struct loop_timer){.at = LOOP_NEVER, .fire = fire, .arg = arg};
}

void loop_timer_disarm(struct loop *loop, struct loop_timer *timer)
{
    if (timer->at == LOOP_NEVER)
        return;
    timer->at = LOOP_NEVER;
    struct loop_timer **link = &loop->timers;
    while (*link != NULL && *link != timer)
        link = &(*link)->next;
    if (*link != NULL)
        *link = timer->next;
}

void loop_timer_arm(struct loop *loop, struct loop_timer *timer, int64_t at)
{
    loop_timer_disarm(loop, timer);
    int64_t earliest = loop->round > LOOP_NEVER ? loop->round : LOOP_NEVER + 1;
    timer->at = at > earliest ? at : earliest;
    struct loop_timer **link = &loop->timers;
    while (*link != NULL && (*link)->at <= timer->at)
        link = &(*link)->next;
    timer->next = *link;
    *link = timer;
}

static size_t count_due_timers(const struct loop *loop)
{
    size_t count = 0;
    for (const struct loop_timer *timer = loop->timers; timer != NULL && timer->at <= loop->round;
         timer = timer->next)
        count++;
    return count;
}

/*
 * The timers are in order. Each is disarmed before it fires, so that it may be armed again or freed from
 * within. One that is armed again for now is behind those that are due already, and waits for the next
 * round: it must not keep descriptors from their turn.
 */
static void fire_due_timers(struct loop *loop)
{
    loop->round = loop_now();
    for (size_t due = count_due_timers(loop); due > 0; due--) {
        struct loop_timer *timer = loop->timers;
        if (loop->stopped || timer == NULL || timer->at > loop->round)
            return;
        loop_timer_disarm(loop, timer);
        timer->fire(timer->arg);
    }
}

static const struct timespec *time_to_next_timer(const struct loop *loop, struct timespec *storage)
{
    if (loop->timers == NULL)
        return NULL;
    int64_t left = loop->timers->at - loop_now();
    if (left < 0)
        left = 0;
    storage->tv_sec = left / LOOP_SECOND;
    storage->tv_nsec = left % LOOP_SECOND;
    return storage;
}

static void call_ready_watches(struct loop *loop)
{
    /* What is watched from within a call has no events yet: it is not called before the next poll. */
    size_t count = loop->count;
    for (size_t i = 0; i < count && !loop->stopped; i++) {
        struct pollfd ready = loop->polls[i];
        if (ready.fd < 0 || ready.revents == 0)
            continue;
        loop->polls[i].revents = 0;
        loop->watches[i].ready(loop->watches[i].arg, ready.fd, ready.revents);
    }
}

int loop_once(struct loop *loop)
{
    struct timespec storage;
    close_gaps(loop);
    int n = ppoll(loop->polls, (nfds_t)loop->count, time_to_next_timer(loop, &storage), NULL);
    if (n < 0 && errno != EINTR)
        return -errno;
    if (n > 0)
        call_ready_watches(loop);
    fire_due_timers(loop);
    return 0;
}

int loop_run(struct loop *loop)
{
    loop->stopped = false;
    while (!loop->stopped) {
        int r = loop_once(loop);
        if (r < 0)
            return r;
    }
    return 0;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}
