/*
 * What happens to a status update that was answered with 202 or came with SUBSCRIBE: stored, swallowed,
 * dropped, and when it is acknowledged. The rules are those of Slave::statusUpdate and
 * Executor::updateTaskState (src/slave/slave.cpp).
 */
#include "tests/devagent/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- acknowledging ---- */

/* Like an agent's, an acknowledgement goes to the stream of the moment and is lost without one. */
static void send_ack(struct devagent *agent, struct update *update)
{
    Mesos__V1__Executor__Event event = MESOS__V1__EXECUTOR__EVENT__INIT;
    Mesos__V1__Executor__Event__Acknowledged body = MESOS__V1__EXECUTOR__EVENT__ACKNOWLEDGED__INIT;
    Mesos__V1__TaskID id = MESOS__V1__TASK_ID__INIT;
    id.value = (char *)(uintptr_t)update->public.task_id;
    body.task_id = &id;
    body.has_uuid = true;
    body.uuid = (ProtobufCBinaryData){.len = sizeof(update->public.uuid), .data = update->public.uuid};
    event.has_type = true;
    event.type = MESOS__V1__EXECUTOR__EVENT__TYPE__ACKNOWLEDGED;
    event.acknowledged = &body;
    (void)event_send(agent, &event, update);
}

static bool take_pending(struct devagent *agent, const struct update *update)
{
    for (size_t i = 0; i < agent->pending_acks.count; i++) {
        if (agent->pending_acks.items[i] == update) {
            list_remove(&agent->pending_acks, i);
            return true;
        }
    }
    return false;
}

static void ack_due(struct devagent *agent, void *arg)
{
    if (take_pending(agent, arg))
        send_ack(agent, arg);
}

/* An update that is sent again while its acknowledgement waits is acknowledged once. */
static void ack_later(struct devagent *agent, struct update *update)
{
    (void)take_pending(agent, update);
    list_add(&agent->pending_acks, update);
}

static void ack_now(struct devagent *agent, struct update *update)
{
    if (agent->hold_acks)
        list_add(&agent->held_acks, update);
    else
        send_ack(agent, update);
}

static void acknowledge(struct devagent *agent, struct update *update)
{
    switch (agent->ack) {
    case DEVAGENT_ACK_TWICE:
        ack_now(agent, update);
        ack_now(agent, update);
        break;
    case DEVAGENT_ACK_NOW:
        ack_now(agent, update);
        break;
    case DEVAGENT_ACK_DELAY:
        ack_later(agent, update);
        agent_after(agent, agent->ack_delay_ms, ack_due, update);
        break;
    case DEVAGENT_ACK_WITHHOLD:
        ack_later(agent, update);
        break;
    case DEVAGENT_ACK_WITHHOLD_TERMINAL:
        if (update->terminal)
            ack_later(agent, update);
        else
            ack_now(agent, update);
        break;
    }
}

void update_flush_held_acks(struct devagent *agent)
{
    struct list held = agent->held_acks;
    agent->held_acks = (struct list){0};
    for (size_t i = 0; i < held.count; i++)
        send_ack(agent, held.items[i]);
    list_clear(&held, NULL);
}

void devagent_set_ack(struct devagent *agent, enum devagent_ack policy, int64_t delay_ms)
{
    agent->ack = policy;
    agent->ack_delay_ms = delay_ms;
}

size_t devagent_withheld_acks(const struct devagent *agent)
{
    return agent->pending_acks.count;
}

size_t devagent_release_acks(struct devagent *agent, bool newest_first)
{
    struct list waiting = agent->pending_acks;
    size_t count = waiting.count;
    agent->pending_acks = (struct list){0};
    for (size_t i = 0; i < count; i++)
        send_ack(agent, waiting.items[newest_first ? count - 1 - i : i]);
    list_clear(&waiting, NULL);
    return count;
}

/* ---- the books ---- */

void update_free(void *arg)
{
    struct update *update = arg;
    Mesos__V1__TaskStatus *status = (Mesos__V1__TaskStatus *)(uintptr_t)update->public.status;
    mesos__v1__task_status__free_unpacked(status, NULL);
    free(update);
}

static Mesos__V1__TaskStatus *copy_status(const Mesos__V1__TaskStatus *status)
{
    size_t len = mesos__v1__task_status__get_packed_size(status);
    uint8_t *bytes = agent_alloc(len);
    mesos__v1__task_status__pack(status, bytes);
    Mesos__V1__TaskStatus *copy = mesos__v1__task_status__unpack(NULL, len, bytes);
    free(bytes);
    if (!copy)
        abort();
    return copy;
}

static struct update *record(struct devagent *agent, const Mesos__V1__TaskStatus *given, bool by_subscribe)
{
    Mesos__V1__TaskStatus *status = copy_status(given);
    struct update *update = agent_alloc(sizeof(*update));
    update->terminal = devagent_state_is_terminal(status->state);
    update->public = (struct devagent_update){
        .number = agent->updates.count,
        .task_id = status->task_id->value,
        .state = status->state,
        .message = status->message,
        .has_reason = status->has_reason,
        .reason = status->reason,
        .has_healthy = status->has_healthy,
        .healthy = status->healthy,
        .timestamp = status->timestamp,
        .by_subscribe = by_subscribe,
        .subscription = agent->subscribes.count,
        .received_ns = devagent_now_ns(),
        .status = status,
    };
    if (status->has_uuid && status->uuid.len == sizeof(update->public.uuid))
        memcpy(update->public.uuid, status->uuid.data, sizeof(update->public.uuid));
    return update;
}

/* The first update with this id that was acknowledged or is to be. */
static struct update *find_by_uuid(const struct devagent *agent, const struct update *update)
{
    for (size_t i = agent->updates.count; i-- > 0;) {
        struct update *other = agent->updates.items[i];
        bool taken =
            other->public.fate != DEVAGENT_FATE_DROPPED && other->public.fate != DEVAGENT_FATE_DUPLICATE;
        if (taken && memcmp(other->public.uuid, update->public.uuid, sizeof(update->public.uuid)) == 0)
            return other;
    }
    return NULL;
}

static void note_state(struct task *task, const struct update *update)
{
    const char *name = devagent_state_name(update->public.state);
    if (strncmp(name, "TASK_", 5) == 0)
        name += 5;
    char *states = agent_format("%s%s%s", task->states, task->states[0] ? " " : "", name);
    free(task->states);
    task->states = states;
}

static enum devagent_fate decide_for_task(struct devagent *agent, const struct update *update)
{
    struct task *task = task_find(agent, update->public.task_id);
    if (!task)
        task = task_add(agent, update->public.task_id, false);
    if (task->ended) {
        agent_mistake(agent, "task %s: %s after its end: swallowed", task->id,
                      devagent_state_name(update->public.state));
        return DEVAGENT_FATE_SWALLOWED;
    }
    task->ended = update->terminal;
    note_state(task, update);
    return task->launched ? DEVAGENT_FATE_STORED : DEVAGENT_FATE_UNKNOWN;
}

static bool is_of_this_agent(const struct devagent *agent, const Mesos__V1__TaskStatus *status)
{
    return !status->agent_id || strcmp(status->agent_id->value, agent->agent_id) == 0;
}

struct update *update_handle(struct devagent *agent, const Mesos__V1__TaskStatus *status, bool by_subscribe)
{
    struct update *update = record(agent, status, by_subscribe), *first = find_by_uuid(agent, update);
    if (!is_of_this_agent(agent, status)) {
        agent_mistake(agent, "task %s: an update with the agent id %s, which is not this agent's: dropped",
                      update->public.task_id, status->agent_id->value);
        update->public.fate = DEVAGENT_FATE_DROPPED;
    } else {
        update->public.fate = first ? DEVAGENT_FATE_DUPLICATE : decide_for_task(agent, update);
    }
    list_add(&agent->updates, update);
    agent_notice(agent, (struct devagent_notice){.kind = DEVAGENT_NOTICE_UPDATE,
                                                 .time_ns = update->public.received_ns,
                                                 .update = &update->public});
    if (update->public.fate != DEVAGENT_FATE_DROPPED)
        acknowledge(agent, first ? first : update);
    return update;
}
