#ifndef BULKHEAD_SUPERVISOR_CHECKS_H
#define BULKHEAD_SUPERVISOR_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/loop.h"
#include "proto/bulkhead.pb-c.h"
#include "supervisor/hooks.h"
#include "supervisor/ledger.h"

/* A task's health check and its check: probes at their times, and what they mean (schedule.h, health.h). */
struct checks;

/* What the checks of all tasks share; it must outlive them. */
struct checks_context {
    struct loop *loop;
    const struct config *config;
    struct hooks *hooks; /* HTTP and TCP probes run in hookd; COMMAND checks in the task's own context */
    uint64_t core_limit;
    uint64_t core_maximum;
    void (*forget_secrets)(void *arg);
    void *arg;
};

struct checks_listener {
    void *arg;
    /* The health has news; kill: the task is to be ended. text is for a person. */
    void (*health)(void *arg, bool healthy, bool kill, const char *text);
    /* The check sees something else than before. */
    void (*value)(void *arg, struct check_value value);
};

/* Judges the checks of a task. Returns 0, or -EINVAL with a sentence in why that says what to mend. Pure. */
int checks_validate(const Bulkhead__Task *task, char *why, size_t why_size);

/*
 * Begins the schedules of a task that is launched now and has been validated. environment is the task's, user
 * the one it runs as or NULL: both are copied, the task is borrowed and must outlive the checks. Returns NULL
 * when the task has no checks, or when there is no memory.
 */
struct checks *checks_begin(const struct checks_context *context, const struct checks_listener *listener,
                            const Bulkhead__Task *task, char *const *environment, const char *user);

/* No more probes, no more news. What runs is ended. */
void checks_stop(struct checks *checks);

/* Stops; a keeper that is still there is left to be reaped by whoever reaps. NULL is accepted. */
void checks_free(struct checks *checks);

/* A child of ours was reaped: whether it was the keeper of a COMMAND check. NULL is accepted. */
bool checks_take_reaped(struct checks *checks, pid_t pid);

/* Whether the process is such a keeper. NULL is accepted. */
bool checks_own(const struct checks *checks, pid_t pid);

/* What a task's updates carry before anything was seen: the check's type without a value. Pure. */
struct check_value checks_initial_value(const Bulkhead__Task *task);

#endif
