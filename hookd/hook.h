#ifndef BULKHEAD_HOOKD_HOOK_H
#define BULKHEAD_HOOKD_HOOK_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/hooks.h"
#include "proto/bulkhead.pb-c.h"

/*
 * What a hook is: a function that runs in a process of its own, a worker, forked for this one call. It may
 * block, leak and crash: the worker is killed at the deadline, with all that it has started. It must only say
 * what it is about to do before it does it.
 */
struct hook_call {
    const struct config *config;
    const Bulkhead__Task *task;
    Bulkhead__HookRun__Event event;
    const Bulkhead__HookRecord *const
        *records; /* of this hook and this task, from before; not the UNDONE ones */
    size_t record_count;
    int64_t deadline; /* on loop_now()'s clock: a retry that would pass it is not begun */
    char *text;       /* what happened, for a person: filled in by the hook, empty at first */
    size_t text_size;
    void *worker; /* for the functions below */
};

/*
 * One hook. run returns 0, or a negative errno with text saying what went wrong and, for BEFORE_TERMINATE,
 * which ids are left behind.
 */
struct hook {
    enum hook_id id;
    int (*run)(struct hook_call *call);
    int64_t (*timeout)(
        const struct hook_call *call); /* nanoseconds for this call; NULL for ALLEGRO_EXECUTOR_HOOK_TIMEOUT */
};

/* hookd/consul.c, hookd/vaas.c, hookd/executables.c; the table that lists them is in hookd/hooks.c. */
extern const struct hook hook_consul;
extern const struct hook hook_vaas;
extern const struct hook hook_executables;

/*
 * Tells the supervisor of a record and waits until it is kept there: INTENDED before the request leaves, DONE
 * or UNDONE after its answer. Returns 0, or a negative errno when the supervisor cannot be told: then the
 * request must not be made. Blocks, at most until the worker is killed.
 */
int hook_record(struct hook_call *call, const char *key, Bulkhead__HookRecord__State state);

/* Adds a variable to the task's environment. BEFORE_TASK_START only. Returns 0 or -ENOBUFS when there are too
 * many. */
int hook_add_variable(struct hook_call *call, const char *name, const char *value);

#endif
