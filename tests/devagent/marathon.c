/* A task in Marathon's clothes: what its TaskBuilder makes of an app with a custom executor. Only rewrites
 * messages; starts nothing. */
#include "tests/devagent/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct marathon {
    struct devagent_marathon public;
    struct list environment;
};

static Mesos__V1__TaskInfo *copy_task(const Mesos__V1__TaskInfo *task)
{
    size_t len = mesos__v1__task_info__get_packed_size(task);
    uint8_t *bytes = agent_alloc(len);
    mesos__v1__task_info__pack(task, bytes);
    Mesos__V1__TaskInfo *copy = mesos__v1__task_info__unpack(NULL, len, bytes);
    free(bytes);
    if (!copy)
        abort();
    return copy;
}

/* The app's cmd, or its args joined by spaces as they are: Marathon does not quote them. */
static char *own_command(const Mesos__V1__CommandInfo *command)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        abort();
    for (size_t i = 0; i < command->n_arguments; i++)
        fprintf(out, "%s%s", i ? " " : "", command->arguments[i]);
    if (command->n_arguments == 0)
        fputs(command->value ? command->value : "", out);
    fclose(out);
    return text;
}

static void add_variable(Mesos__V1__CommandInfo *command, const char *name, const char *value)
{
    if (!command->environment) {
        command->environment = agent_alloc(sizeof(*command->environment));
        mesos__v1__environment__init(command->environment);
    }
    Mesos__V1__Environment *environment = command->environment;
    environment->variables =
        reallocarray(environment->variables, environment->n_variables + 1, sizeof(void *));
    if (!environment->variables)
        abort();
    Mesos__V1__Environment__Variable *variable = agent_alloc(sizeof(*variable));
    mesos__v1__environment__variable__init(variable);
    variable->name = agent_copy(name);
    variable->value = agent_copy(value);
    environment->variables[environment->n_variables++] = variable;
}

static void dress(struct marathon *marathon, Mesos__V1__TaskInfo *task, const char *path)
{
    Mesos__V1__ExecutorInfo *executor = agent_alloc(sizeof(*executor));
    mesos__v1__executor_info__init(executor);
    executor->executor_id = agent_alloc(sizeof(*executor->executor_id));
    mesos__v1__executor_id__init(executor->executor_id);
    executor->executor_id->value = agent_format("marathon-%s", task->task_id->value);
    char *own = own_command(task->command);
    Mesos__V1__CommandInfo *command = executor->command = task->command;
    free(command->value);
    command->value = agent_format("chmod ug+rx '%s' && exec '%s' %s", path, path, own);
    free(own);
    for (size_t i = 0; i < command->n_arguments; i++)
        free(command->arguments[i]);
    free(command->arguments);
    command->arguments = NULL;
    command->n_arguments = 0;
    command->has_shell = false;
    command->shell = true;
    add_variable(command, "MESOS_TASK_ID", task->task_id->value);
    add_variable(command, "MARATHON_APP_ID", "/devagent");
    if (task->executor)
        mesos__v1__executor_info__free_unpacked(task->executor, NULL);
    task->executor = executor;
    task->command = NULL;
    marathon->public = (struct devagent_marathon){
        .task = task, .command = command->value, .executor_id = executor->executor_id->value};
}

static void list_environment(struct marathon *marathon, const Mesos__V1__Environment *environment)
{
    for (size_t i = 0; i < environment->n_variables; i++) {
        const Mesos__V1__Environment__Variable *variable = environment->variables[i];
        char *entry = agent_format("%s=%s", variable->name ? variable->name : "",
                                   variable->value ? variable->value : "");
        list_add(&marathon->environment, entry);
    }
    list_add(&marathon->environment, NULL);
    marathon->public.environment = (const char *const *)marathon->environment.items;
}

int devagent_marathon_new(const Mesos__V1__TaskInfo *given, const char *executor_path,
                          struct devagent_marathon **ret_marathon)
{
    if (!given->task_id || !given->task_id->value || !given->command)
        return -EINVAL;
    struct marathon *marathon = agent_alloc(sizeof(*marathon));
    Mesos__V1__TaskInfo *task = copy_task(given);
    dress(marathon, task, executor_path);
    list_environment(marathon, task->executor->command->environment);
    *ret_marathon = &marathon->public;
    return 0;
}

void devagent_marathon_free(struct devagent_marathon *public)
{
    struct marathon *marathon = (struct marathon *)public; /* its first member */
    if (!marathon)
        return;
    mesos__v1__task_info__free_unpacked(marathon->public.task, NULL);
    list_clear(&marathon->environment, free);
    free(marathon);
}
