/*
 * The table of hooks, and in which order they run.
 *
 * A new hook is a file with a run function and a row here; common/hooks.c says to which tasks and events it
 * belongs. Nothing in here may look at what a hook has done.
 */
#include "hookd/hooks.h"

static const struct hook *const table[HOOK_COUNT] = {
    [HOOK_VAAS] = &hook_vaas,
    [HOOK_CONSUL] = &hook_consul,
    [HOOK_EXECUTABLES] = &hook_executables,
};

const struct hook *hooks_find(enum hook_id id)
{
    return table[id];
}

enum hook_id hooks_next(enum hook_id id, const struct config *config, const Bulkhead__Task *task,
                        Bulkhead__HookRun__Event event)
{
    while (id < HOOK_COUNT && !hook_applies(id, config, task, event))
        id++;
    return id;
}

bool hooks_go_on_after_failure(Bulkhead__HookRun__Event event)
{
    return event == BULKHEAD__HOOK_RUN__EVENT__BEFORE_TERMINATE;
}

const char *hooks_event_name(Bulkhead__HookRun__Event event)
{
    static const char *const names[] = {
        [BULKHEAD__HOOK_RUN__EVENT__BEFORE_TASK_START] = "BeforeTaskStart",
        [BULKHEAD__HOOK_RUN__EVENT__AFTER_TASK_START] = "AfterTaskStart",
        [BULKHEAD__HOOK_RUN__EVENT__AFTER_TASK_HEALTHY] = "AfterTaskHealthy",
        [BULKHEAD__HOOK_RUN__EVENT__BEFORE_TERMINATE] = "BeforeTerminate",
    };
    size_t index = (size_t)event;
    return index < sizeof(names) / sizeof(names[0]) && names[index] != NULL ? names[index] : "unknown";
}
