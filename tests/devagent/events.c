/* What the caller tells the agent to send: launches, kills and the other events, with the agent's books about
 * tasks. Each event becomes one record of the stream. */
#include "tests/devagent/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Fields that no version has: a varint, a string and a message, numbered 1000 to 1002. */
static const uint8_t unknown_fields[] = {0xc0, 0x3e, 0x2a, 0xca, 0x3e, 0x03, 'n',
                                         'e',  'w',  0xd2, 0x3e, 0x02, 0x08, 0x01};

/* ---- tasks ---- */

struct task *task_find(const struct devagent *agent, const char *id)
{
    for (size_t i = 0; i < agent->tasks.count; i++) {
        struct task *task = agent->tasks.items[i];
        if (strcmp(task->id, id) == 0)
            return task;
    }
    return NULL;
}

struct task *task_add(struct devagent *agent, const char *id, bool launched)
{
    struct task *task = agent_alloc(sizeof(*task));
    task->id = agent_copy(id);
    task->launched = launched;
    task->states = agent_copy("");
    list_add(&agent->tasks, task);
    return task;
}

void task_free(void *arg)
{
    struct task *task = arg;
    free(task->id);
    free(task->bytes);
    free(task->states);
    free(task);
}

void event_free(void *arg)
{
    struct event *event = arg;
    free((void *)(uintptr_t)event->public.task_id);
    free(event);
}

void queued_launch_free(void *arg)
{
    struct queued_launch *launch = arg;
    list_clear(&launch->tasks, NULL);
    free(launch->record);
    free(launch);
}

/* ---- sending ---- */

static const char *type_name(int type)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&mesos__v1__executor__event__type__descriptor, type);
    return value ? value->name : type < 0 ? "BYTES" : "?";
}

static struct event *event_add(struct devagent *agent, int type, const char *task_id, size_t len)
{
    struct event *event = agent_alloc(sizeof(*event));
    event->public = (struct devagent_event){
        .number = agent->events.count,
        .type = type,
        .name = type_name(type),
        .task_id = agent_copy(task_id),
        .grace_ms = -1,
        .queued_ns = devagent_now_ns(),
        .len = len,
    };
    list_add(&agent->events, event);
    return event;
}

/* One record: its length in decimal, a newline, its bytes. */
static void write_record(struct stream *stream, const uint8_t *data, size_t len, struct event *event)
{
    char *head = agent_format("%zu\n", len);
    size_t head_len = strlen(head);
    uint8_t *record = agent_alloc(head_len + len);
    memcpy(record, head, head_len);
    if (len > 0)
        memcpy(record + head_len, data, len);
    stream_write(stream, record, head_len + len, event);
    free(record);
    free(head);
}

static const Mesos__V1__TaskID *task_id_of(const Mesos__V1__Executor__Event *event)
{
    if (event->kill)
        return event->kill->task_id;
    return event->acknowledged ? event->acknowledged->task_id : NULL;
}

static void note_details(struct event *record, const Mesos__V1__Executor__Event *event)
{
    if (event->kill && event->kill->kill_policy && event->kill->kill_policy->grace_period)
        record->public.grace_ms = event->kill->kill_policy->grace_period->nanoseconds / 1000000;
    if (event->acknowledged && event->acknowledged->uuid.len == sizeof(record->public.uuid))
        memcpy(record->public.uuid, event->acknowledged->uuid.data, sizeof(record->public.uuid));
}

static uint8_t *pack_event(const struct devagent *agent, const Mesos__V1__Executor__Event *event,
                           size_t *ret_len)
{
    size_t len = mesos__v1__executor__event__get_packed_size(event);
    uint8_t *bytes = agent_alloc(len + sizeof(unknown_fields));
    mesos__v1__executor__event__pack(event, bytes);
    if (agent->unknown_fields) {
        memcpy(bytes + len, unknown_fields, sizeof(unknown_fields));
        len += sizeof(unknown_fields);
    }
    *ret_len = len;
    return bytes;
}

int event_send(struct devagent *agent, const Mesos__V1__Executor__Event *event, struct update *acknowledges)
{
    if (!agent->stream)
        return -ENOTCONN;
    size_t len;
    uint8_t *bytes = pack_event(agent, event, &len);
    const Mesos__V1__TaskID *id = task_id_of(event);
    struct event *record =
        event_add(agent, event->has_type ? (int)event->type : 0, id ? id->value : NULL, len);
    note_details(record, event);
    record->acknowledges = acknowledges;
    write_record(agent->stream, bytes, len, record);
    free(bytes);
    return 0;
}

int devagent_send_event(struct devagent *agent, const Mesos__V1__Executor__Event *event)
{
    return event_send(agent, event, NULL);
}

static int send_type(struct devagent *agent, int type)
{
    Mesos__V1__Executor__Event event = MESOS__V1__EXECUTOR__EVENT__INIT;
    event.has_type = true;
    event.type = (Mesos__V1__Executor__Event__Type)type;
    return event_send(agent, &event, NULL);
}

int devagent_send_heartbeat(struct devagent *agent)
{
    return send_type(agent, MESOS__V1__EXECUTOR__EVENT__TYPE__HEARTBEAT);
}

int devagent_send_unknown(struct devagent *agent)
{
    return send_type(agent, 4711);
}

int devagent_send_message(struct devagent *agent, const void *data, size_t len)
{
    Mesos__V1__Executor__Event event = MESOS__V1__EXECUTOR__EVENT__INIT;
    Mesos__V1__Executor__Event__Message message = MESOS__V1__EXECUTOR__EVENT__MESSAGE__INIT;
    event.has_type = message.has_data = true;
    event.type = MESOS__V1__EXECUTOR__EVENT__TYPE__MESSAGE;
    event.message = &message;
    message.data = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
    return event_send(agent, &event, NULL);
}

int devagent_send_error(struct devagent *agent, const char *words)
{
    Mesos__V1__Executor__Event event = MESOS__V1__EXECUTOR__EVENT__INIT;
    Mesos__V1__Executor__Event__Error error = MESOS__V1__EXECUTOR__EVENT__ERROR__INIT;
    event.has_type = true;
    event.type = MESOS__V1__EXECUTOR__EVENT__TYPE__ERROR;
    event.error = &error;
    error.message = (char *)(uintptr_t)words;
    return event_send(agent, &event, NULL);
}

int devagent_send_ack(struct devagent *agent, const char *task_id, const uint8_t *uuid)
{
    static const uint8_t unused[16] = {0xde, 0xad, 0xbe, 0xef, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1};
    Mesos__V1__Executor__Event event = MESOS__V1__EXECUTOR__EVENT__INIT;
    Mesos__V1__Executor__Event__Acknowledged body = MESOS__V1__EXECUTOR__EVENT__ACKNOWLEDGED__INIT;
    Mesos__V1__TaskID id = MESOS__V1__TASK_ID__INIT;
    id.value = (char *)(uintptr_t)task_id;
    body.task_id = &id;
    body.has_uuid = event.has_type = true;
    body.uuid = (ProtobufCBinaryData){.len = 16, .data = (uint8_t *)(uintptr_t)(uuid ? uuid : unused)};
    event.type = MESOS__V1__EXECUTOR__EVENT__TYPE__ACKNOWLEDGED;
    event.acknowledged = &body;
    return event_send(agent, &event, NULL);
}

int devagent_send_record(struct devagent *agent, const void *data, size_t len)
{
    if (!agent->stream)
        return -ENOTCONN;
    write_record(agent->stream, data, len, event_add(agent, -1, NULL, len));
    return 0;
}

int devagent_send_bytes(struct devagent *agent, const void *data, size_t len)
{
    if (!agent->stream)
        return -ENOTCONN;
    stream_write(agent->stream, data, len, event_add(agent, -1, NULL, len));
    return 0;
}

void devagent_set_unknown_fields(struct devagent *agent, bool on)
{
    agent->unknown_fields = on;
}

void devagent_set_split(struct devagent *agent, size_t bytes)
{
    agent->split = bytes;
}

int devagent_drop_stream(struct devagent *agent, enum devagent_drop how)
{
    if (!agent->stream)
        return -ENOTCONN;
    agent_say(agent, "the agent drops the event stream");
    stream_end(agent, how);
    return 0;
}

/* ---- subscribed ---- */

void event_send_subscribed(struct devagent *agent)
{
    Mesos__V1__Executor__Event event = MESOS__V1__EXECUTOR__EVENT__INIT;
    Mesos__V1__Executor__Event__Subscribed body = MESOS__V1__EXECUTOR__EVENT__SUBSCRIBED__INIT;
    Mesos__V1__ExecutorInfo executor = MESOS__V1__EXECUTOR_INFO__INIT;
    Mesos__V1__ExecutorID executor_id = MESOS__V1__EXECUTOR_ID__INIT;
    Mesos__V1__CommandInfo command = MESOS__V1__COMMAND_INFO__INIT;
    Mesos__V1__FrameworkInfo framework = MESOS__V1__FRAMEWORK_INFO__INIT;
    Mesos__V1__FrameworkID framework_id = MESOS__V1__FRAMEWORK_ID__INIT;
    Mesos__V1__FrameworkInfo__Capability capability = MESOS__V1__FRAMEWORK_INFO__CAPABILITY__INIT;
    Mesos__V1__FrameworkInfo__Capability *capabilities[] = {&capability};
    Mesos__V1__AgentInfo info = MESOS__V1__AGENT_INFO__INIT;
    Mesos__V1__AgentID agent_id = MESOS__V1__AGENT_ID__INIT;
    Mesos__V1__ContainerID container = MESOS__V1__CONTAINER_ID__INIT;

    executor_id.value = (char *)(uintptr_t)agent->executor_id;
    framework_id.value = (char *)(uintptr_t)agent->framework_id;
    agent_id.value = (char *)(uintptr_t)agent->agent_id;
    container.value = (char *)(uintptr_t)agent->container_id;
    command.value =
        (char *)(uintptr_t)(agent->options.executor_command ? agent->options.executor_command : "");
    executor.executor_id = &executor_id;
    executor.framework_id = &framework_id;
    executor.command = &command;
    executor.has_type = true;
    executor.type = MESOS__V1__EXECUTOR_INFO__TYPE__CUSTOM;
    framework.id = &framework_id;
    framework.name = framework.user = (char *)(uintptr_t) "devagent";
    framework.has_checkpoint = true;
    framework.checkpoint = agent->options.checkpoint;
    capability.has_type = true;
    capability.type = MESOS__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__TASK_KILLING_STATE;
    framework.capabilities = capabilities;
    framework.n_capabilities = agent->options.task_killing_state ? 1 : 0;
    info.hostname = (char *)(uintptr_t) "localhost";
    info.id = &agent_id;
    info.has_port = true;
    info.port = agent->port;
    body = (Mesos__V1__Executor__Event__Subscribed){.base = body.base,
                                                    .executor_info = &executor,
                                                    .framework_info = &framework,
                                                    .agent_info = &info,
                                                    .container_id = &container};
    event.has_type = true;
    event.type = MESOS__V1__EXECUTOR__EVENT__TYPE__SUBSCRIBED;
    event.subscribed = &body;
    (void)event_send(agent, &event, NULL);
}

/* ---- launches ---- */

static void deliver(struct devagent *agent, struct queued_launch *launch)
{
    const struct task *first = launch->tasks.count > 0 ? launch->tasks.items[0] : NULL;
    struct event *event = event_add(agent, launch->type, first ? first->id : NULL, launch->len);
    write_record(agent->stream, launch->record, launch->len, event);
    for (size_t i = 0; i < launch->tasks.count; i++)
        ((struct task *)launch->tasks.items[i])->delivered = true;
}

void event_send_queue(struct devagent *agent)
{
    struct list queue = agent->queue;
    agent->queue = (struct list){0};
    for (size_t i = 0; i < queue.count; i++)
        deliver(agent, queue.items[i]);
    list_clear(&queue, queued_launch_free);
}

static int send_or_queue(struct devagent *agent, const Mesos__V1__Executor__Event *event, struct list *tasks)
{
    if (agent->ever_registered && !agent->stream) {
        list_clear(tasks, NULL);
        return -ENOTCONN;
    }
    struct queued_launch *launch = agent_alloc(sizeof(*launch));
    launch->record = pack_event(agent, event, &launch->len);
    launch->type = (int)event->type;
    launch->tasks = *tasks;
    list_add(&agent->queue, launch);
    if (agent->stream)
        event_send_queue(agent);
    return 0;
}

/* A launch of a task whose id was used before replaces the agent's book of it. */
static struct task *book_task(struct devagent *agent, const char *id, const ProtobufCBinaryData *bytes)
{
    struct task *task = task_find(agent, id);
    if (!task)
        task = task_add(agent, id, true);
    task->launched = true;
    task->ended = task->delivered = task->lost = false;
    free(task->bytes);
    task->bytes = agent_copy_bytes(bytes->data, bytes->len);
    task->len = bytes->len;
    return task;
}

static bool may_launch(const struct devagent *agent)
{
    return agent->stream || !agent->ever_registered;
}

int devagent_launch_bytes(struct devagent *agent, const char *task_id, const uint8_t *bytes, size_t len)
{
    Mesos__V1__Executor__Event event = MESOS__V1__EXECUTOR__EVENT__INIT;
    Mesos__V1__Executor__Event__Launch body = MESOS__V1__EXECUTOR__EVENT__LAUNCH__INIT;
    struct list tasks = {0};
    if (!may_launch(agent))
        return -ENOTCONN;
    event.has_type = body.has_task = true;
    event.type = MESOS__V1__EXECUTOR__EVENT__TYPE__LAUNCH;
    event.launch = &body;
    body.task = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)bytes};
    if (task_id)
        list_add(&tasks, book_task(agent, task_id, &body.task));
    return send_or_queue(agent, &event, &tasks);
}

/* The task with what a master would have filled in, packed. *ret_id is the caller's to free. */
static ProtobufCBinaryData complete_task(struct devagent *agent, const Mesos__V1__TaskInfo *given,
                                         char **ret_id)
{
    Mesos__V1__TaskInfo task = *given;
    Mesos__V1__TaskID id = MESOS__V1__TASK_ID__INIT;
    Mesos__V1__AgentID agent_id = MESOS__V1__AGENT_ID__INIT;
    Mesos__V1__Resource cpus = MESOS__V1__RESOURCE__INIT, mem = MESOS__V1__RESOURCE__INIT;
    Mesos__V1__Value__Scalar cpus_value = MESOS__V1__VALUE__SCALAR__INIT,
                             mem_value = MESOS__V1__VALUE__SCALAR__INIT;
    Mesos__V1__Resource *resources[] = {&cpus, &mem};

    char *name = given->task_id && given->task_id->value ? agent_copy(given->task_id->value)
                                                         : agent_format("task-%zu", ++agent->next_task);
    id.value = name;
    agent_id.value = (char *)(uintptr_t)agent->agent_id;
    cpus.name = (char *)(uintptr_t) "cpus";
    mem.name = (char *)(uintptr_t) "mem";
    cpus.has_type = mem.has_type = cpus_value.has_value = mem_value.has_value = true;
    cpus_value.value = 0.1;
    mem_value.value = 32;
    cpus.scalar = &cpus_value;
    mem.scalar = &mem_value;
    task.task_id = &id;
    task.name = given->name ? given->name : name;
    task.agent_id = given->agent_id ? given->agent_id : &agent_id;
    if (given->n_resources == 0) {
        task.resources = resources;
        task.n_resources = 2;
    }
    ProtobufCBinaryData bytes = {.len = mesos__v1__task_info__get_packed_size(&task)};
    bytes.data = agent_alloc(bytes.len);
    mesos__v1__task_info__pack(&task, bytes.data);
    *ret_id = name;
    return bytes;
}

int devagent_launch(struct devagent *agent, const Mesos__V1__TaskInfo *task)
{
    char *id;
    ProtobufCBinaryData bytes = complete_task(agent, task, &id);
    int r = devagent_launch_bytes(agent, id, bytes.data, bytes.len);
    free(bytes.data);
    free(id);
    return r;
}

int devagent_launch_command(struct devagent *agent, const char *task_id, const char *shell_command)
{
    Mesos__V1__TaskInfo task = MESOS__V1__TASK_INFO__INIT;
    Mesos__V1__TaskID id = MESOS__V1__TASK_ID__INIT;
    Mesos__V1__CommandInfo command = MESOS__V1__COMMAND_INFO__INIT;
    id.value = (char *)(uintptr_t)task_id;
    command.value = (char *)(uintptr_t)shell_command;
    task.task_id = &id;
    task.command = &command;
    return devagent_launch(agent, &task);
}

int devagent_launch_json(struct devagent *agent, const char *json, char **ret_error)
{
    Mesos__V1__TaskInfo *task;
    int r = devagent_parse_task(json, &task, ret_error);
    if (r < 0)
        return r;
    r = devagent_launch(agent, task);
    mesos__v1__task_info__free_unpacked(task, NULL);
    return r;
}

int devagent_launch_group(struct devagent *agent, const Mesos__V1__TaskInfo *const *tasks, size_t count)
{
    Mesos__V1__Executor__Event event = MESOS__V1__EXECUTOR__EVENT__INIT;
    Mesos__V1__Executor__Event__LaunchGroup body = MESOS__V1__EXECUTOR__EVENT__LAUNCH_GROUP__INIT;
    Mesos__V1__TaskGroupInfo group = MESOS__V1__TASK_GROUP_INFO__INIT;
    struct list booked = {0};
    if (!may_launch(agent))
        return -ENOTCONN;
    event.has_type = true;
    event.type = MESOS__V1__EXECUTOR__EVENT__TYPE__LAUNCH_GROUP;
    event.launch_group = &body;
    body.task_group = &group;
    group.n_tasks = count;
    group.tasks = agent_alloc(count * sizeof(*group.tasks));
    for (size_t i = 0; i < count; i++) {
        char *id;
        group.tasks[i] = complete_task(agent, tasks[i], &id);
        list_add(&booked, book_task(agent, id, &group.tasks[i]));
        free(id);
    }
    int r = send_or_queue(agent, &event, &booked);
    for (size_t i = 0; i < count; i++)
        free(group.tasks[i].data);
    free(group.tasks);
    return r;
}

/* ---- kill, shutdown ---- */

static bool launch_has(const struct queued_launch *launch, const char *task_id)
{
    for (size_t i = 0; i < launch->tasks.count; i++) {
        if (strcmp(((struct task *)launch->tasks.items[i])->id, task_id) == 0)
            return true;
    }
    return false;
}

/* Takes a waiting task, and with it its group, out of the queue. Returns false when it does not wait. */
static bool unqueue(struct devagent *agent, const char *task_id)
{
    for (size_t i = 0; i < agent->queue.count; i++) {
        struct queued_launch *launch = agent->queue.items[i];
        if (!launch_has(launch, task_id))
            continue;
        for (size_t k = 0; k < launch->tasks.count; k++)
            ((struct task *)launch->tasks.items[k])->ended = true;
        list_remove(&agent->queue, i);
        queued_launch_free(launch);
        agent_say(agent, "task %s is killed before it was delivered", task_id);
        return true;
    }
    return false;
}

int devagent_kill(struct devagent *agent, const char *task_id, int64_t grace_ms)
{
    Mesos__V1__Executor__Event event = MESOS__V1__EXECUTOR__EVENT__INIT;
    Mesos__V1__Executor__Event__Kill body = MESOS__V1__EXECUTOR__EVENT__KILL__INIT;
    Mesos__V1__TaskID id = MESOS__V1__TASK_ID__INIT;
    Mesos__V1__KillPolicy policy = MESOS__V1__KILL_POLICY__INIT;
    Mesos__V1__DurationInfo grace = MESOS__V1__DURATION_INFO__INIT;
    if (unqueue(agent, task_id))
        return 0;
    id.value = (char *)(uintptr_t)task_id;
    body.task_id = &id;
    if (grace_ms >= 0) {
        grace.has_nanoseconds = true;
        grace.nanoseconds = grace_ms * 1000000;
        policy.grace_period = &grace;
        body.kill_policy = &policy;
    }
    event.has_type = true;
    event.type = MESOS__V1__EXECUTOR__EVENT__TYPE__KILL;
    event.kill = &body;
    return event_send(agent, &event, NULL);
}

static void shutdown_over(struct devagent *agent, void *arg)
{
    (void)arg;
    launch_destroy_container(agent, "it had not left when its shutdown grace period was over");
}

int devagent_shutdown(struct devagent *agent)
{
    if (!agent->terminating)
        agent_after(agent, agent->options.shutdown_grace_ms, shutdown_over, NULL);
    agent->terminating = true;
    (void)send_type(agent, MESOS__V1__EXECUTOR__EVENT__TYPE__SHUTDOWN);
    return 0;
}
