/*
 * What happens at a SUBSCRIBE that is accepted, in an agent's order: the repeated updates are worked off,
 * tasks that the executor does not know are given up, then SUBSCRIBED and the launches that have waited
 * (Slave::subscribe in src/slave/slave.cpp).
 */
#include "tests/devagent/agent.h"

#include <stdlib.h>
#include <string.h>

void subscribe_free(void *arg)
{
    struct subscribe *subscribe = arg;
    for (size_t i = 0; i < subscribe->public.task_count; i++) {
        free(subscribe->public.tasks[i].data);
        free((void *)(uintptr_t)subscribe->public.task_ids[i]);
    }
    free((void *)(uintptr_t)subscribe->public.tasks);
    free((void *)(uintptr_t)subscribe->public.task_ids);
    free((void *)(uintptr_t)subscribe->public.tasks_same);
    free((void *)(uintptr_t)subscribe->public.updates);
    free(subscribe);
}

static char *task_id_of(const ProtobufCBinaryData *bytes)
{
    Mesos__V1__TaskInfo *task = mesos__v1__task_info__unpack(NULL, bytes->len, bytes->data);
    char *id = task && task->task_id ? agent_copy(task->task_id->value) : NULL;
    mesos__v1__task_info__free_unpacked(task, NULL);
    return id;
}

static void record_tasks(struct devagent *agent, struct devagent_subscribe *record,
                         const Mesos__V1__Executor__Call__Subscribe *call)
{
    size_t count = call->n_unacknowledged_tasks;
    ProtobufCBinaryData *tasks = agent_alloc(count * sizeof(*tasks));
    const char **ids = agent_alloc(count * sizeof(*ids));
    bool *same = agent_alloc(count * sizeof(*same));
    for (size_t i = 0; i < count; i++) {
        const ProtobufCBinaryData *bytes = &call->unacknowledged_tasks[i];
        tasks[i] =
            (ProtobufCBinaryData){.len = bytes->len, .data = agent_copy_bytes(bytes->data, bytes->len)};
        ids[i] = task_id_of(bytes);
        const struct task *task = ids[i] ? task_find(agent, ids[i]) : NULL;
        same[i] = task && task->len == bytes->len &&
                  (task->len == 0 || memcmp(task->bytes, bytes->data, task->len) == 0);
    }
    record->task_count = count;
    record->tasks = tasks;
    record->task_ids = ids;
    record->tasks_same = same;
}

static void handle_updates(struct devagent *agent, struct devagent_subscribe *record,
                           const Mesos__V1__Executor__Call__Subscribe *call)
{
    const struct devagent_update **updates =
        agent_alloc(call->n_unacknowledged_updates * sizeof(struct devagent_update *));
    for (size_t i = 0; i < call->n_unacknowledged_updates; i++)
        updates[i] = &update_handle(agent, call->unacknowledged_updates[i]->status, true)->public;
    record->updates = updates;
    record->update_count = call->n_unacknowledged_updates;
}

static bool names(const struct devagent_subscribe *record, const char *task_id)
{
    for (size_t i = 0; i < record->task_count; i++) {
        if (record->task_ids[i] && strcmp(record->task_ids[i], task_id) == 0)
            return true;
    }
    return false;
}

/* A task that was delivered, of which no update has come, and that the executor does not name: it never
 * arrived. */
static void give_up_lost(struct devagent *agent, const struct devagent_subscribe *record)
{
    for (size_t i = 0; i < agent->tasks.count; i++) {
        struct task *task = agent->tasks.items[i];
        if (!task->launched || !task->delivered || task->ended || task->states[0] || names(record, task->id))
            continue;
        task->lost = task->ended = true;
        agent_say(agent, "task %s is given up as TASK_LOST: SUBSCRIBE did not name it", task->id);
    }
}

/* Tasks had been launched and every one of them was killed while it waited: the executor is not needed. */
static bool is_superfluous(const struct devagent *agent)
{
    for (size_t i = 0; i < agent->tasks.count; i++) {
        const struct task *task = agent->tasks.items[i];
        if (!task->launched || task->delivered || !task->ended)
            return false;
    }
    return agent->tasks.count > 0;
}

void subscribe_handle(struct devagent *agent, const Mesos__V1__Executor__Call__Subscribe *call)
{
    struct subscribe *subscribe = agent_alloc(sizeof(*subscribe));
    struct devagent_subscribe *record = &subscribe->public;
    record->received_ns = devagent_now_ns();
    bool first = !agent->ever_registered;
    list_add(&agent->subscribes, subscribe);
    agent->registered = agent->ever_registered = true;
    record_tasks(agent, record, call);
    agent->hold_acks = !agent->options.ack_before_subscribed;
    handle_updates(agent, record, call);
    agent->hold_acks = false;
    give_up_lost(agent, record);
    if (agent->terminating || (first && is_superfluous(agent))) {
        (void)devagent_shutdown(agent);
        if (agent->stream)
            stream_end(agent, DEVAGENT_DROP_END);
        list_clear(&agent->held_acks, NULL);
        return;
    }
    event_send_subscribed(agent);
    update_flush_held_acks(agent);
    event_send_queue(agent);
}
