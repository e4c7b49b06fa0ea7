/*
 * Which hooks apply to a task, by its labels and the settings; see hooks.h.
 */
#include "common/hooks.h"

#include <string.h>

#define EVENT(name) (1u << BULKHEAD__HOOK_RUN__EVENT__##name)

static bool consul_is_enabled(const struct config *config)
{
    return config_bool(config, CONFIG_CONSUL_HOOK_ENABLED);
}

static bool vaas_is_enabled(const struct config *config)
{
    return config_bool(config, CONFIG_VAAS_HOOK_ENABLED) && config_is_set(config, CONFIG_VAAS_HOST);
}

static bool executables_are_enabled(const struct config *config)
{
    return config_is_set(config, CONFIG_HOOKS_DIR);
}

/* A hook without a label is for every task. */
static const struct row {
    const char *name;
    bool (*is_enabled)(const struct config *config);
    const char *label;
    unsigned events;
} rows[HOOK_COUNT] = {
    [HOOK_VAAS] = {"vaas", vaas_is_enabled, "director", EVENT(AFTER_TASK_HEALTHY) | EVENT(BEFORE_TERMINATE)},
    [HOOK_CONSUL] = {"consul", consul_is_enabled, "consul",
                     EVENT(AFTER_TASK_HEALTHY) | EVENT(BEFORE_TERMINATE)},
    [HOOK_EXECUTABLES] = {"executables", executables_are_enabled, NULL,
                          EVENT(BEFORE_TASK_START) | EVENT(AFTER_TASK_START) | EVENT(AFTER_TASK_HEALTHY) |
                              EVENT(BEFORE_TERMINATE)},
};

const char *hook_name(enum hook_id id)
{
    return rows[id].name;
}

const char *task_label(const Bulkhead__Task *task, const char *key)
{
    for (size_t i = 0; i < task->n_labels; i++)
        if (task->labels[i]->key != NULL && strcmp(task->labels[i]->key, key) == 0)
            return task->labels[i]->value != NULL ? task->labels[i]->value : "";
    return NULL;
}

bool hook_applies(enum hook_id id, const struct config *config, const Bulkhead__Task *task,
                  Bulkhead__HookRun__Event event)
{
    const struct row *row = &rows[id];
    return (row->events & (1u << event)) != 0 && row->is_enabled(config) &&
           (row->label == NULL || task_label(task, row->label) != NULL);
}

bool hooks_apply(const struct config *config, const Bulkhead__Task *task, Bulkhead__HookRun__Event event)
{
    for (int id = 0; id < HOOK_COUNT; id++)
        if (hook_applies((enum hook_id)id, config, task, event))
            return true;
    return false;
}
