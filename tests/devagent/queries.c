/* Answers to the caller's questions. Changes nothing, except for the two functions that end something on
 * request. */
#include "tests/devagent/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

bool devagent_is_subscribed(const struct devagent *agent)
{
    return agent->stream && agent->subscribed;
}

static void *at(const struct list *list, size_t index)
{
    return index < list->count ? list->items[index] : NULL;
}

size_t devagent_subscribe_count(const struct devagent *agent)
{
    return agent->subscribes.count;
}

const struct devagent_subscribe *devagent_subscribe_at(const struct devagent *agent, size_t index)
{
    const struct subscribe *subscribe = at(&agent->subscribes, index);
    return subscribe ? &subscribe->public : NULL;
}

size_t devagent_update_count(const struct devagent *agent)
{
    return agent->updates.count;
}

const struct devagent_update *devagent_update_at(const struct devagent *agent, size_t index)
{
    const struct update *update = at(&agent->updates, index);
    return update ? &update->public : NULL;
}

const char *devagent_states(const struct devagent *agent, const char *task_id)
{
    const struct task *task = task_find(agent, task_id);
    return task ? task->states : "";
}

static bool counts(const struct devagent_update *update)
{
    return update->fate == DEVAGENT_FATE_STORED || update->fate == DEVAGENT_FATE_UNKNOWN;
}

const struct devagent_update *devagent_last_update(const struct devagent *agent, const char *task_id)
{
    for (size_t i = agent->updates.count; i-- > 0;) {
        const struct devagent_update *update = devagent_update_at(agent, i);
        if (counts(update) && strcmp(update->task_id, task_id) == 0)
            return update;
    }
    return NULL;
}

size_t devagent_unacked_terminal(const struct devagent *agent)
{
    size_t count = 0;
    for (size_t i = 0; i < agent->updates.count; i++) {
        const struct update *update = agent->updates.items[i];
        count += update->terminal && counts(&update->public) && update->public.acked_ns == 0;
    }
    return count;
}

size_t devagent_event_count(const struct devagent *agent)
{
    return agent->events.count;
}

const struct devagent_event *devagent_event_at(const struct devagent *agent, size_t index)
{
    const struct event *event = at(&agent->events, index);
    return event ? &event->public : NULL;
}

const struct devagent_event *devagent_last_event(const struct devagent *agent, int type)
{
    for (size_t i = agent->events.count; i-- > 0;) {
        const struct devagent_event *event = devagent_event_at(agent, i);
        if (event->type == type && event->sent_ns != 0)
            return event;
    }
    return NULL;
}

size_t devagent_call_count(const struct devagent *agent)
{
    return agent->calls.count;
}

const struct devagent_call *devagent_call_at(const struct devagent *agent, size_t index)
{
    return at(&agent->calls, index);
}

size_t devagent_mistake_count(const struct devagent *agent)
{
    return agent->mistakes.count;
}

const char *devagent_mistake_at(const struct devagent *agent, size_t index)
{
    return at(&agent->mistakes, index);
}

bool devagent_task_lost(const struct devagent *agent, const char *task_id)
{
    const struct task *task = task_find(agent, task_id);
    return task && task->lost;
}

size_t devagent_message_count(const struct devagent *agent)
{
    return agent->messages.count;
}

const ProtobufCBinaryData *devagent_message_at(const struct devagent *agent, size_t index)
{
    return at(&agent->messages, index);
}

/* ---- the executor ---- */

pid_t devagent_executor_pid(const struct devagent *agent)
{
    return agent->container.executor;
}

int64_t devagent_started_ns(const struct devagent *agent)
{
    return agent->container.started_ns;
}

bool devagent_has_exited(const struct devagent *agent)
{
    return agent->container.wait_status != -1;
}

int devagent_wait_status(const struct devagent *agent)
{
    return agent->container.wait_status;
}

int devagent_exit_code(const struct devagent *agent)
{
    int status = agent->container.wait_status;
    if (status == -1)
        return -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int64_t devagent_exited_ns(const struct devagent *agent)
{
    return agent->container.exited_ns;
}

const char *devagent_destroyed(const struct devagent *agent)
{
    return agent->destroyed;
}

size_t devagent_processes(const struct devagent *agent, pid_t *pids, size_t max)
{
    return container_processes(&agent->container, pids, max);
}

size_t devagent_left_behind(const struct devagent *agent)
{
    pid_t pids[1024];
    size_t total = container_processes(&agent->container, pids, sizeof(pids) / sizeof(pids[0]));
    for (size_t i = 0; i < total && i < sizeof(pids) / sizeof(pids[0]); i++) {
        if (pids[i] == agent->container.executor)
            return total - 1;
    }
    return total;
}

static bool is_swept(struct devagent *agent, void *arg)
{
    (void)arg;
    return agent->container.swept || agent->container.fd < 0;
}

size_t devagent_kill_processes(struct devagent *agent)
{
    if (agent->container.fd < 0)
        return 0;
    container_sweep(&agent->container);
    (void)devagent_run_until(agent, is_swept, NULL, 60000);
    return agent->container.swept_count;
}

size_t devagent_drop_calls(struct devagent *agent)
{
    size_t count = 0;
    for (size_t i = 0; i < agent->connections.count; i++) {
        struct connection *connection = agent->connections.items[i];
        if (connection->stream)
            continue;
        connection->gone = true;
        shutdown(connection->fd, SHUT_RDWR);
        connection_resume(connection);
        count++;
    }
    return count;
}

/* ---- names ---- */

uint16_t devagent_port(const struct devagent *agent)
{
    return agent->port;
}

const char *devagent_socket_path(const struct devagent *agent)
{
    return agent->socket_path;
}

const char *devagent_token(const struct devagent *agent)
{
    return agent->token;
}

const char *devagent_agent_id(const struct devagent *agent)
{
    return agent->agent_id;
}

const char *devagent_framework_id(const struct devagent *agent)
{
    return agent->framework_id;
}

const char *devagent_executor_id(const struct devagent *agent)
{
    return agent->executor_id;
}

const char *devagent_sandbox(const struct devagent *agent)
{
    return agent->sandbox;
}

const char *devagent_state_name(Mesos__V1__TaskState state)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&mesos__v1__task_state__descriptor, (int)state);
    return value ? value->name : "?";
}

const char *devagent_reason_name(Mesos__V1__TaskStatus__Reason reason)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&mesos__v1__task_status__reason__descriptor, (int)reason);
    return value ? value->name : "?";
}

bool devagent_state_is_terminal(Mesos__V1__TaskState state)
{
    switch (state) {
    case MESOS__V1__TASK_STATE__TASK_FINISHED:
    case MESOS__V1__TASK_STATE__TASK_FAILED:
    case MESOS__V1__TASK_STATE__TASK_KILLED:
    case MESOS__V1__TASK_STATE__TASK_ERROR:
    case MESOS__V1__TASK_STATE__TASK_LOST:
    case MESOS__V1__TASK_STATE__TASK_DROPPED:
    case MESOS__V1__TASK_STATE__TASK_GONE:
        return true;
    default:
        return false;
    }
}

char *devagent_read_file(const struct devagent *agent, const char *name)
{
    char *path = agent_format("%s/%s", agent->sandbox, name), *text = NULL, block[4096];
    FILE *file = fopen(path, "re");
    size_t len = 0, n;
    free(path);
    while (file && (n = fread(block, 1, sizeof(block), file)) > 0) {
        text = realloc(text, len + n + 1);
        if (!text)
            abort();
        memcpy(text + len, block, n);
        len += n;
        text[len] = '\0';
    }
    if (file)
        fclose(file);
    return text ? text : agent_copy("");
}
