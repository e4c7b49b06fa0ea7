#ifndef BULKHEAD_SUPERVISOR_SERVICE_H
#define BULKHEAD_SUPERVISOR_SERVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/checks.h"
#include "supervisor/hooks.h"
#include "supervisor/ledger.h"
#include "supervisor/life.h"

/* What makes a task a service: its hooks at each event of its life, its health check and its check. */
struct service;

/* Who is told; the task. text is for a person. */
struct service_listener {
    void *arg;
    void (*start_hooks_done)(void *arg, bool success, const char *text, Bulkhead__Variable *const *variables,
                             size_t variable_count);
    void (*end_hooks_done)(void *arg, bool success);
    void (*health)(void *arg, bool healthy, const char *text);       /* an update is due */
    void (*check)(void *arg, struct check_value value);              /* an update is due */
    void (*end)(void *arg, enum life_cause cause, const char *text); /* the task is to be ended */
};

/*
 * The service of a task, or NULL when nothing applies to it, or when there is no memory (which is logged).
 * checks, with the hooks and the settings in it, must outlive it; the description is copied.
 */
struct service *service_new(const struct checks_context *checks, const struct service_listener *listener,
                            const Bulkhead__Task *description);

/* Ends every job without a word. NULL is accepted here and below. */
void service_free(struct service *service);

/* Whether hooks apply to the event. */
bool service_has_hooks(const struct service *service, Bulkhead__HookRun__Event event);

/* Begins the hooks of an event; the listener is told at the end. timeout, in nanoseconds, is for all of them
 * together. */
void service_run_start_hooks(struct service *service, int64_t timeout);
void service_run_end_hooks(struct service *service, int64_t timeout);

/* Ends the hooks that were begun with these two. */
void service_cancel_hooks(struct service *service);

/* The task's program is about to be started, as this user (NULL for ours), with this environment: the checks
 * begin. */
void service_begin_checks(struct service *service, char *const *environment, const char *user);

/* The program runs: AfterTaskStart, and AfterTaskHealthy where a task without a health check counts as
 * healthy. */
void service_running(struct service *service);

/* The task ends: no more probes, and what AfterTaskStart and AfterTaskHealthy still do is cut off. */
void service_stop(struct service *service);

/* A child of ours was reaped: whether it belonged to a check. */
bool service_take_reaped(struct service *service, pid_t pid);
bool service_owns(const struct service *service, pid_t pid);

#endif
