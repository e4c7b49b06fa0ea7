#ifndef BULKHEAD_HOOKD_HOOKS_H
#define BULKHEAD_HOOKD_HOOKS_H

#include <stdbool.h>

#include "hookd/hook.h"

/* The hooks in the order in which they run, and the rules of that order. All pure. */

/* The row of a hook. */
const struct hook *hooks_find(enum hook_id id);

/* The first hook from id on that applies to the task and takes part in the event; HOOK_COUNT when there is
 * none. */
enum hook_id hooks_next(enum hook_id id, const struct config *config, const Bulkhead__Task *task,
                        Bulkhead__HookRun__Event event);

/* Whether the hooks after one that has failed still run: those that take a task out of service do. */
bool hooks_go_on_after_failure(Bulkhead__HookRun__Event event);

/* "BeforeTaskStart", "AfterTaskStart", "AfterTaskHealthy", "BeforeTerminate"; "unknown" for anything else. */
const char *hooks_event_name(Bulkhead__HookRun__Event event);

#endif
