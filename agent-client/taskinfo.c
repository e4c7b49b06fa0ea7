/*
 * From Mesos' TaskInfo to the Task that the supervisor knows.
 *
 * Only what the supervisor needs is taken over; the whole TaskInfo goes along as bytes that nobody reads, for
 * the next SUBSCRIBE. It must never put a SECRET variable into the task's environment: its value is none.
 */
#include "agent-client/taskinfo.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "agent-client/taskcheck.h"
#include "proto/mesos_v1.pb-c.h"

/* A command and the variables that it points to. */
struct command {
    Bulkhead__Command message;
    Bulkhead__Variable *variables;
    Bulkhead__Variable **pointers;
};

/* A check and the command that it may have. */
struct check {
    Bulkhead__Check message;
    struct command command;
};

/* Labels in our form. */
struct labels {
    Bulkhead__Label *messages;
    Bulkhead__Label **pointers;
    size_t count;
};

/* Ports in our form, each with its labels. */
struct ports {
    Bulkhead__Port *messages;
    Bulkhead__Port **pointers;
    struct labels *labels;
    size_t count;
};

struct taskinfo {
    Bulkhead__Task message;
    Mesos__V1__TaskInfo *info;
    struct command command;
    struct command executor_command;
    struct labels labels;
    struct ports ports;
    struct check health_check;
    struct check check;
    size_t secrets;
};

static char empty_text[1];

/* Mesos: a variable is a VALUE unless it says otherwise (mesos.proto, Environment.Variable.type). */
static bool is_value(const Mesos__V1__Environment__Variable *variable)
{
    return variable->name != NULL && variable->type == MESOS__V1__ENVIRONMENT__VARIABLE__TYPE__VALUE;
}

static int read_environment(struct command *command, const Mesos__V1__Environment *environment,
                            size_t *secrets)
{
    size_t count = environment != NULL ? environment->n_variables : 0;
    if (count == 0)
        return 0;
    command->variables = calloc(count, sizeof(*command->variables));
    command->pointers = calloc(count, sizeof(*command->pointers));
    if (command->variables == NULL || command->pointers == NULL)
        return -ENOMEM;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const Mesos__V1__Environment__Variable *variable = environment->variables[i];
        if (!is_value(variable)) {
            (*secrets)++;
            continue;
        }
        bulkhead__variable__init(&command->variables[kept]);
        command->variables[kept].name = variable->name;
        command->variables[kept].value = variable->value != NULL ? variable->value : empty_text;
        command->pointers[kept] = &command->variables[kept];
        kept++;
    }
    command->message.n_environment = kept;
    command->message.environment = command->pointers;
    return 0;
}

static int read_command(struct command *command, const Mesos__V1__CommandInfo *info,
                        Bulkhead__Command **ret_message, size_t *secrets)
{
    if (info == NULL)
        return 0;
    bulkhead__command__init(&command->message);
    command->message.value = info->value;
    command->message.has_shell = 1;
    command->message.shell = info->shell;
    command->message.n_arguments = info->n_arguments;
    command->message.arguments = info->arguments;
    command->message.user = info->user;
    int r = read_environment(command, info->environment, secrets);
    if (r == 0)
        *ret_message = &command->message;
    return r;
}

static int read_labels(struct labels *labels, const Mesos__V1__Labels *from)
{
    size_t count = from != NULL ? from->n_labels : 0;
    if (count == 0)
        return 0;
    labels->messages = calloc(count, sizeof(*labels->messages));
    labels->pointers = calloc(count, sizeof(*labels->pointers));
    if (labels->messages == NULL || labels->pointers == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        bulkhead__label__init(&labels->messages[i]);
        labels->messages[i].key = from->labels[i]->key;
        labels->messages[i].value = from->labels[i]->value;
        labels->pointers[i] = &labels->messages[i];
    }
    labels->count = count;
    return 0;
}

static int read_port(struct ports *ports, size_t index, const Mesos__V1__Port *from)
{
    Bulkhead__Port *port = &ports->messages[index];
    bulkhead__port__init(port);
    port->has_number = from->has_number;
    port->number = from->number;
    port->name = from->name;
    port->protocol = from->protocol;
    ports->pointers[index] = port;
    int r = read_labels(&ports->labels[index], from->labels);
    port->n_labels = ports->labels[index].count;
    port->labels = ports->labels[index].pointers;
    return r;
}

static int read_ports(struct ports *ports, const Mesos__V1__DiscoveryInfo *discovery)
{
    size_t count = discovery != NULL && discovery->ports != NULL ? discovery->ports->n_ports : 0;
    if (count == 0)
        return 0;
    ports->messages = calloc(count, sizeof(*ports->messages));
    ports->pointers = calloc(count, sizeof(*ports->pointers));
    ports->labels = calloc(count, sizeof(*ports->labels));
    if (ports->messages == NULL || ports->pointers == NULL || ports->labels == NULL)
        return -ENOMEM;
    ports->count = count;
    for (size_t i = 0; i < count; i++) {
        int r = read_port(ports, i, discovery->ports->ports[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_health_check(struct taskinfo *task, const Mesos__V1__HealthCheck *from)
{
    if (from == NULL)
        return 0;
    const Mesos__V1__CommandInfo *command;
    taskcheck_read_health(from, &task->health_check.message, &command);
    task->message.health_check = &task->health_check.message;
    return read_command(&task->health_check.command, command, &task->health_check.message.command,
                        &task->secrets);
}

static int read_check(struct taskinfo *task, const Mesos__V1__CheckInfo *from)
{
    if (from == NULL)
        return 0;
    const Mesos__V1__CommandInfo *command;
    taskcheck_read(from, &task->check.message, &command);
    task->message.check = &task->check.message;
    return read_command(&task->check.command, command, &task->check.message.command, &task->secrets);
}

static void read_duration(const Mesos__V1__DurationInfo *duration, protobuf_c_boolean *ret_has,
                          int64_t *ret_value)
{
    *ret_has = duration != NULL && duration->has_nanoseconds;
    if (*ret_has)
        *ret_value = duration->nanoseconds;
}

/* All resources of a task are allocated to one role; Mesos too looks at the first (executor environment). */
static char *allocation_role(const Mesos__V1__TaskInfo *info)
{
    if (info->n_resources == 0 || info->resources[0]->allocation_info == NULL)
        return NULL;
    return info->resources[0]->allocation_info->role;
}

static int read_fields(struct taskinfo *task)
{
    const Mesos__V1__TaskInfo *info = task->info;
    Bulkhead__Task *message = &task->message;
    if (info->task_id == NULL || info->task_id->value == NULL || info->task_id->value[0] == '\0')
        return -ENODATA;
    message->task_id = info->task_id->value;
    message->allocation_role = allocation_role(info);
    read_duration(info->max_completion_time, &message->has_max_completion_time,
                  &message->max_completion_time);
    read_duration(info->kill_policy != NULL ? info->kill_policy->grace_period : NULL,
                  &message->has_kill_grace, &message->kill_grace);
    message->name = info->name;
    int r = read_labels(&task->labels, info->labels);
    message->n_labels = task->labels.count;
    message->labels = task->labels.pointers;
    if (r == 0)
        r = read_ports(&task->ports, info->discovery);
    message->n_ports = task->ports.count;
    message->ports = task->ports.pointers;
    if (r == 0)
        r = read_health_check(task, info->health_check);
    if (r == 0)
        r = read_check(task, info->check);
    if (r == 0)
        r = read_command(&task->command, info->command, &message->command, &task->secrets);
    if (r < 0 || info->executor == NULL)
        return r;
    return read_command(&task->executor_command, info->executor->command, &message->executor_command,
                        &task->secrets);
}

int taskinfo_read(const unsigned char *raw, size_t size, struct taskinfo **ret_task)
{
    struct taskinfo *task = calloc(1, sizeof(*task));
    if (task == NULL)
        return -ENOMEM;
    bulkhead__task__init(&task->message);
    task->message.has_raw = 1;
    task->message.raw = (ProtobufCBinaryData){.len = size, .data = (uint8_t *)(uintptr_t)raw};
    int r = -EBADMSG;
    task->info = mesos__v1__task_info__unpack(NULL, size, raw);
    if (task->info != NULL)
        r = read_fields(task);
    if (r < 0) {
        taskinfo_free(task);
        return r;
    }
    *ret_task = task;
    return 0;
}

static void free_command(struct command *command)
{
    free(command->variables);
    free(command->pointers);
}

static void free_labels(struct labels *labels)
{
    free(labels->messages);
    free(labels->pointers);
}

static void free_ports(struct ports *ports)
{
    for (size_t i = 0; i < ports->count; i++)
        free_labels(&ports->labels[i]);
    free(ports->labels);
    free(ports->messages);
    free(ports->pointers);
}

void taskinfo_free(struct taskinfo *task)
{
    if (task == NULL)
        return;
    free_command(&task->command);
    free_command(&task->executor_command);
    free_command(&task->health_check.command);
    free_command(&task->check.command);
    free_labels(&task->labels);
    free_ports(&task->ports);
    if (task->info != NULL)
        mesos__v1__task_info__free_unpacked(task->info, NULL);
    free(task);
}

Bulkhead__Task *taskinfo_message(struct taskinfo *task)
{
    return &task->message;
}

size_t taskinfo_secret_count(const struct taskinfo *task)
{
    return task->secrets;
}
