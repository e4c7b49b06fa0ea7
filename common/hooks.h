#ifndef BULKHEAD_COMMON_HOOKS_H
#define BULKHEAD_COMMON_HOOKS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"
#include "proto/bulkhead.pb-c.h"

/*
 * Which hooks apply to a task: known to the supervisor, which starts hookd only when one does, and to hookd,
 * which runs them. The order here is the order in which they run.
 */
enum hook_id { HOOK_VAAS, HOOK_CONSUL, HOOK_EXECUTABLES, HOOK_COUNT };

/* "vaas", "consul", "executables": what results and records carry. Pure. */
const char *hook_name(enum hook_id id);

/* Whether the hook is configured, applies to the task and takes part in the event. Pure. */
bool hook_applies(enum hook_id id, const struct config *config, const Bulkhead__Task *task,
                  Bulkhead__HookRun__Event event);

/* Whether any hook does. Pure. */
bool hooks_apply(const struct config *config, const Bulkhead__Task *task, Bulkhead__HookRun__Event event);

/* The value of a task's label, or NULL when it has none of this name; a label without a value counts as "".
 * Pure. */
const char *task_label(const Bulkhead__Task *task, const char *key);

#endif
