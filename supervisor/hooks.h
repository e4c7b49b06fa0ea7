#ifndef BULKHEAD_SUPERVISOR_HOOKS_H
#define BULKHEAD_SUPERVISOR_HOOKS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/loop.h"
#include "proto/bulkhead.pb-c.h"

/* The supervisor's side of the dialogue with hookd: jobs given to it, and what comes of them. */
struct hooks;

struct hooks_options {
    struct loop *loop;
    const struct config *config;
    const char *program; /* hookd's path */
    const char *const *environment;
};

/* Starts nothing: hookd is started by the first job. Returns NULL when there is no memory. options are
 * copied. */
struct hooks *hooks_new(const struct hooks_options *options);
void hooks_free(struct hooks *hooks);

/*
 * What the hooks of one task have done and what is to be undone at its end. It is kept here, by the
 * supervisor, so that a new hookd can undo what an old one did.
 */
struct hook_records {
    Bulkhead__HookRecord **items;
    size_t count;
};
void hook_records_clear(struct hook_records *records);

/* A job of hooks has ended. text is what went wrong, or "". variables are those of BEFORE_TASK_START. */
typedef void (*hooks_done_fn)(void *arg, bool success, const char *text, Bulkhead__Variable *const *variables,
                              size_t variable_count);

enum hooks_probe_end {
    HOOKS_PROBE_FAILED,
    HOOKS_PROBE_ANSWERED, /* HTTP: whatever the status; TCP: connected */
    HOOKS_PROBE_UNKNOWN,  /* hookd's fault: it says nothing of what was probed */
};

/* A probe has ended. status_code is 0 where there is none. */
typedef void (*hooks_probed_fn)(void *arg, enum hooks_probe_end end, uint32_t status_code, const char *text);

/*
 * Runs the hooks of an event. task is borrowed until done is called or the job is cancelled, and so are the
 * records, to which is added what the hooks do. timeout is for all of them together: done is called by then,
 * whatever hookd does. Returns the job's number, never 0, or 0 when there is no memory. Does not block and
 * does not call done itself.
 */
uint32_t hooks_run(struct hooks *hooks, Bulkhead__HookRun__Event event, const Bulkhead__Task *task,
                   struct hook_records *records, int64_t timeout, hooks_done_fn done, void *arg);

/*
 * Begins a probe, which is copied; its job is filled in. As hooks_run(), but the timeout is the probe's, 0
 * for none, and counts from when hookd has it: a probe waits for as long as there is no hookd.
 */
uint32_t hooks_probe(struct hooks *hooks, const Bulkhead__Probe *probe, hooks_probed_fn probed, void *arg);

/* Nothing more is said of the job. What it has recorded stays recorded. 0 is ignored. */
void hooks_cancel(struct hooks *hooks, uint32_t job);

bool hooks_take_reaped(struct hooks *hooks, pid_t pid, int wait_status);
pid_t hooks_pid(const struct hooks *hooks);

#endif
