#ifndef BULKHEAD_HOOKD_WORKER_H
#define BULKHEAD_HOOKD_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "common/loop.h"
#include "common/title.h"
#include "hookd/worker_end.h"
#include "hookd/worker_frame.h"
#include "proto/bulkhead.pb-c.h"

/*
 * Processes that are forked for one job each and may do anything: hang, crash, flood, start others. Each has
 * a deadline and limits, and it is reported exactly once what has become of it, unless it is dropped before.
 */
struct workers;
struct worker;

/* What has become of a worker. All of it belongs to the worker: it is valid during the call only. */
struct worker_outcome {
    bool success;
    unsigned status;  /* a probe's HTTP status, 0 when none */
    const char *text; /* harmless: valid UTF-8, no control characters */
    Bulkhead__Variable **variables;
    size_t variable_count;
};

struct worker_plan {
    /* Runs in the worker; the worker ends when it returns. It tells how it went through end. */
    void (*run)(void *arg, struct worker_end *end);
    void *arg;

    const char *title;
    enum worker_frame_type
        last_word;         /* WORKER_HOOK_DONE or WORKER_PROBED; only with the former may it say others */
    rlim_t memory;         /* RLIMIT_DATA, bytes */
    rlim_t open_files;     /* RLIMIT_NOFILE */
    int64_t deadline;      /* killed then; LOOP_NEVER for none */
    const char *late_text; /* what is said of it then: copied */

    /* Called in hookd. record: with a key that is NUL-terminated; the worker waits until
     * worker_take_record(). */
    void (*record)(void *self, const char *key, Bulkhead__HookRecord__State state);
    void (*ended)(void *self, const struct worker_outcome *outcome);
    void *self;
};

/* Makes this process a child subreaper. Returns 0 or -ENOMEM. SIGCHLD must be blocked and lead to
 * workers_reap(). */
int workers_new(struct loop *loop, const struct process_title *title, struct workers **ret_workers);

/* Kills every worker with all that it has started, and reaps them, for two seconds at most. NULL is accepted.
 */
void workers_free(struct workers *workers);

/* Returns 0, or a negative errno when no process can be had. ended is not called before this returns. */
int workers_start(struct workers *workers, const struct worker_plan *plan, struct worker **ret_worker);

/* Takes the exits that have come, and kills what dead workers have left behind. */
void workers_reap(struct workers *workers);

/* The supervisor has the worker's record: it may go on. */
void worker_take_record(struct worker *worker);

/* Kills it with all that it has started; its plan's functions are not called any more. */
void worker_drop(struct worker *worker);

#endif
