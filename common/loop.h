#ifndef BULKHEAD_COMMON_LOOP_H
#define BULKHEAD_COMMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/* The one poll() of a process: descriptors and timers, each with a function that is called when it is their
 * turn. */
struct loop;

enum { LOOP_MS = 1000000, LOOP_NEVER = 0 };
#define LOOP_SECOND INT64_C(1000000000)

/* Nanoseconds on CLOCK_MONOTONIC, always above zero. */
int64_t loop_now(void);

/* Called with the poll(2) events that have come. It may watch, unwatch, arm and stop whatever it likes. */
typedef void (*loop_descriptor_fn)(void *arg, int descriptor, short events);
typedef void (*loop_timer_fn)(void *arg);

/*
 * A timer is the owner's memory: it must be disarmed before that is freed. at is absolute, on loop_now()'s
 * clock, LOOP_NEVER while not armed. Set by loop_timer_arm() alone.
 */
struct loop_timer {
    int64_t at;
    loop_timer_fn fire;
    void *arg;
    struct loop_timer *next;
};

/* Returns 0, or -ENOMEM. */
int loop_new(struct loop **ret_loop);

/* Closes no descriptor and frees no timer. NULL is accepted. */
void loop_free(struct loop *loop);

/*
 * Watches a descriptor for events (POLLIN, POLLOUT), or changes the events and the function of one that is
 * watched. POLLHUP and POLLERR are always reported. Events 0 keeps the watch and waits for those two alone.
 * Returns 0 or -ENOMEM.
 */
int loop_watch(struct loop *loop, int descriptor, short events, loop_descriptor_fn ready, void *arg);

/* Ends the watch; the descriptor stays open. One that is not watched is ignored. */
void loop_unwatch(struct loop *loop, int descriptor);

void loop_timer_init(struct loop_timer *timer, loop_timer_fn fire, void *arg);

/* Fires once at the given time, at once when it has passed; a timer that is armed already is moved. */
void loop_timer_arm(struct loop *loop, struct loop_timer *timer, int64_t at);

/* A timer that is not armed is left alone. */
void loop_timer_disarm(struct loop *loop, struct loop_timer *timer);

/*
 * Waits for the next descriptor or timer and calls what is due. Blocks until there is something. Returns 0,
 * or a negative errno of poll(2) that is not EINTR.
 */
int loop_once(struct loop *loop);

/* Runs until loop_stop(). Returns 0, or as loop_once(). */
int loop_run(struct loop *loop);

/* loop_run() returns after the call that is going on. */
void loop_stop(struct loop *loop);

#endif
