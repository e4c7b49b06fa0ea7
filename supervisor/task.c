/*
 * A task: carries out what its life (life.c) decides and feeds it what happens.
 *
 * The rules are in life.c, the processes in keeper.c, the updates in ledger.c; here they are joined.
 * perform() is the table from actions to functions, step() the only place that moves the life and logs each
 * change.
 */
#include "supervisor/task.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "proto/mesos_v1.pb-c.h"
#include "supervisor/environment.h"
#include "supervisor/keeper.h"
#include "supervisor/service.h"

#define START_TIMEOUT (30 * LOOP_SECOND)

#define LONGEST_FAREWELL (200 * (int64_t)LOOP_MS)

enum { MESSAGE_SIZE = 1536 };

struct task {
    const struct task_context *context;
    char *id;
    unsigned group;
    ProtobufCBinaryData raw;
    bool acknowledged; /* at least one update is */
    struct life life;
    struct loop_timer timer;
    struct command command;
    char *user;
    char **environment;
    char *allocation_role;
    struct service *service; /* NULL for a task without hooks and checks */
    bool ran;                /* its first RUNNING was made */
    bool early_health;       /* results that came before it: they are told after it */
    bool early_check;
    char early_text[256];
    int healthy; /* as told last: 0, 1, -1 for never */
    struct check_value check;
    struct keeper keeper;
    bool keeper_lost;
    bool main_exited;
    int wait_status;
    bool unclean;
    uint32_t remaining; /* as the keeper said last */
    char remaining_text[KEEPER_TEXT_SIZE];
    char why[512]; /* a clause for the terminal update */
};

static void step(struct task *task, struct life_event event);

/* --- what it has to say
 * ----------------------------------------------------------------------------------------------- */

static void add_update(struct task *task, const struct update_content *content)
{
    struct update *update;
    int r = ledger_add(task->context->ledger, content, &update);
    if (r < 0)
        log_error("an update could not be made and is lost", LOG_STR("task", task->id), LOG_ERRNO(r));
    else
        task->context->updated(task->context->arg);
}

static void say(struct task *task, int state, const char *message)
{
    add_update(task, &(struct update_content){.task_id = task->id,
                                              .state = state,
                                              .reason = -1,
                                              .healthy = task->healthy,
                                              .check = task->check,
                                              .message = message});
}

static void describe_exit(const struct task *task, char *text, size_t size)
{
    int wait_status = task->wait_status;
    if (!task->main_exited)
        text[0] = '\0';
    else if (WIFSIGNALED(wait_status))
        snprintf(text, size, "ended by signal %d (%s)%s", WTERMSIG(wait_status),
                 strsignal(WTERMSIG(wait_status)), WCOREDUMP(wait_status) ? ", core dumped" : "");
    else
        snprintf(text, size, "exited with code %d", WEXITSTATUS(wait_status));
}

static void describe_end(const struct task *task, char *text, size_t size)
{
    char exit_text[96];
    describe_exit(task, exit_text, sizeof(exit_text));
    enum life_cause cause = task->life.cause;
    int n;
    if (cause == CAUSE_EXIT_SUCCESS || cause == CAUSE_EXIT_FAILURE)
        n = snprintf(text, size, "The task %s", exit_text);
    else if (exit_text[0] != '\0')
        n = snprintf(text, size, "%s; the task %s", task->why, exit_text);
    else
        n = snprintf(text, size, "%s", task->why);
    if (task->life.tree != LIFE_TREE_ABANDONED || n < 0 || (size_t)n >= size)
        return;
    if (task->remaining > 0)
        snprintf(text + n, size - (size_t)n, "; %u process%s could not be killed: %s",
                 (unsigned)task->remaining, task->remaining == 1 ? "" : "es", task->remaining_text);
    else
        snprintf(text + n, size - (size_t)n, "; what it has left behind could not be killed in time");
}

/* --- the actions
 * ------------------------------------------------------------------------------------------------------ */

static void send_starting(struct task *task)
{
    say(task, MESOS__V1__TASK_STATE__TASK_STARTING, NULL);
}

/* Health and checks are told as further RUNNING updates, each with all that is known. */
static void say_checked(struct task *task, int reason, const char *message)
{
    add_update(task, &(struct update_content){.task_id = task->id,
                                              .state = MESOS__V1__TASK_STATE__TASK_RUNNING,
                                              .reason = reason,
                                              .healthy = task->healthy,
                                              .check = task->check,
                                              .message = message,
                                              .mergeable = true});
}

/* What a probe without a delay has seen before the program ran is told after the first RUNNING, as everything
 * later is. */
static void send_running(struct task *task)
{
    int healthy = task->healthy;
    struct check_value check = task->check;
    task->healthy = -1;
    task->check = (struct check_value){.type = check.type};
    say(task, MESOS__V1__TASK_STATE__TASK_RUNNING, NULL);
    task->ran = true;
    if (task->early_health) {
        task->healthy = healthy;
        say_checked(task, MESOS__V1__TASK_STATUS__REASON__REASON_TASK_HEALTH_CHECK_STATUS_UPDATED,
                    task->early_text);
    }
    if (task->early_check) {
        task->check = check;
        say_checked(task, MESOS__V1__TASK_STATUS__REASON__REASON_TASK_CHECK_STATUS_UPDATED, NULL);
    }
    service_running(task->service);
}

static void send_killing(struct task *task)
{
    say(task, MESOS__V1__TASK_STATE__TASK_KILLING, task->why);
}

static void send_terminal(struct task *task)
{
    char message[MESSAGE_SIZE];
    describe_end(task, message, sizeof(message));
    struct life_verdict verdict = life_verdict(task->life.cause);
    task->unclean = task->life.tree == LIFE_TREE_ABANDONED;
    add_update(task,
               &(struct update_content){.task_id = task->id,
                                        .state = verdict.state,
                                        .reason = verdict.reason,
                                        .healthy = verdict.healthy >= 0 ? verdict.healthy : task->healthy,
                                        .check = task->check,
                                        .message = message,
                                        .terminal = true});
    if (task->unclean)
        log_error("processes of the task could not be killed; leaving them", LOG_STR("task", task->id),
                  LOG_STR("left", task->remaining_text));
}

static void end_group(struct task *task)
{
    if (task->group != 0)
        task->context->end_group(task->context->arg, task->group, task);
}

static void order(struct task *task, enum keeper_order what)
{
    if (task->keeper.pid == 0)
        return;
    int r = keeper_order(&task->keeper, what);
    if (r < 0) /* its death is about to be reaped, and handled there */
        log_debug("the keeper takes no order", LOG_STR("task", task->id), LOG_ERRNO(r));
}

static void terminate(struct task *task)
{
    order(task, KEEPER_TERMINATE);
}

static void sweep(struct task *task)
{
    if (task->keeper.pid != 0)
        order(task, KEEPER_KILL);
    else
        task->context->sweep_strays(task->context->arg);
}

/* The keeper has its own copy of these from the fork on. */
static void drop_launch(struct task *task)
{
    command_clear(&task->command);
    environment_free(task->environment);
    task->environment = NULL;
    free(task->user);
    task->user = NULL;
    free(task->allocation_role);
    task->allocation_role = NULL;
}

/* --- the hooks that the life waits for --- */

static void start_hooks(struct task *task)
{
    service_run_start_hooks(task->service, task->life.terms.start_hooks_timeout);
}

/*
 * The life's own deadline is the one that counts: under a SHUTDOWN it is nearer than the setting. hookd gets
 * a little less, so that it can say which hook was too slow before nobody listens any more.
 */
static void end_hooks(struct task *task)
{
    int64_t left = task->life.deadlines[LIFE_TIMER_HOOKS] - loop_now();
    int64_t early = left / 10 < LONGEST_FAREWELL ? left / 10 : LONGEST_FAREWELL;
    service_run_end_hooks(task->service, left - early > LOOP_MS ? left - early : LOOP_MS);
}

static void cancel_hooks(struct task *task)
{
    service_cancel_hooks(task->service);
}

static void drop_raw(struct task *task)
{
    free(task->raw.data);
    task->raw = (ProtobufCBinaryData){.data = NULL};
}

static void take_report(struct task *task, const struct keeper_report *news)
{
    switch (news->news) {
    case KEEPER_STARTED:
        log_info("the task's program runs", LOG_STR("task", task->id), LOG_INT("task_pid", news->pid));
        step(task, (struct life_event){.type = LIFE_STARTED});
        return;
    case KEEPER_START_FAILED:
        if (task->life.cause == CAUSE_NONE)
            snprintf(task->why, sizeof(task->why), "%s", news->text);
        step(task,
             (struct life_event){.type = LIFE_START_FAILED, .valid = news->failure.stage != LAUNCH_NO_USER});
        return;
    case KEEPER_MAIN_EXITED:
        task->main_exited = true;
        task->wait_status = news->wait_status;
        step(task, (struct life_event){.type = LIFE_MAIN_EXITED, .success = news->wait_status == 0});
        return;
    case KEEPER_REMAINING:
        task->remaining = news->count;
        memcpy(task->remaining_text, news->text, sizeof(task->remaining_text));
        return;
    case KEEPER_TREE_EMPTY:
        if (task->life.cause == CAUSE_NONE)
            snprintf(task->why, sizeof(task->why), "The task is gone, and how it ended is not known");
        step(task, (struct life_event){.type = LIFE_TREE_EMPTY});
        return;
    }
}

/* Everything that has been said; returns whether the keeper can say more. */
static bool read_reports(struct task *task)
{
    struct keeper_report news;
    int r;
    while ((r = keeper_receive(&task->keeper, &news)) > 0)
        take_report(task, &news);
    return r == -EAGAIN;
}

static void close_keeper_socket(struct task *task)
{
    if (task->keeper.socket < 0)
        return;
    loop_unwatch(task->context->loop, task->keeper.socket);
    close(task->keeper.socket);
    task->keeper.socket = -1;
}

/* The end of what a keeper says is not its end: that is when it is reaped. */
static void on_keeper_ready(void *arg, int socket, short events)
{
    (void)socket;
    (void)events;
    struct task *task = arg;
    if (!read_reports(task))
        close_keeper_socket(task);
}

static void start(struct task *task)
{
    struct launch launch = {.file = task->command.file,
                            .argv = task->command.argv,
                            .envp = task->environment,
                            .user = task->user,
                            .core_limit = task->context->core_limit,
                            .core_maximum = task->context->core_maximum};
    struct keeper_terms terms = {.task_id = task->id,
                                 .launch = &launch,
                                 .excluded = task->context->excluded,
                                 .excluded_count = task->context->excluded_count,
                                 .forget_secrets = task->context->forget_secrets,
                                 .arg = task->context->arg};
    service_begin_checks(task->service, task->environment, task->user);
    int r = keeper_start(&terms, &task->keeper);
    drop_launch(task);
    if (r == 0)
        r = loop_watch(task->context->loop, task->keeper.socket, POLLIN, on_keeper_ready, task);
    if (r == 0)
        return;
    snprintf(task->why, sizeof(task->why), "Cannot start a process for the task: %s", strerror(-r));
    step(task, (struct life_event){.type = LIFE_START_FAILED, .valid = true});
    if (task->keeper.pid == 0)
        step(task, (struct life_event){.type = LIFE_TREE_EMPTY});
}

static void perform(struct task *task, unsigned actions)
{
    /* In the order of the bits. */
    static const struct {
        enum life_action action;
        void (*perform)(struct task *);
    } table[] = {
        {LIFE_DO_SEND_STARTING, send_starting}, {LIFE_DO_CANCEL_HOOKS, cancel_hooks},
        {LIFE_DO_START_HOOKS, start_hooks},     {LIFE_DO_START, start},
        {LIFE_DO_SEND_RUNNING, send_running},   {LIFE_DO_SEND_KILLING, send_killing},
        {LIFE_DO_END_GROUP, end_group},         {LIFE_DO_END_HOOKS, end_hooks},
        {LIFE_DO_TERMINATE, terminate},         {LIFE_DO_SWEEP, sweep},
        {LIFE_DO_SEND_TERMINAL, send_terminal}, {LIFE_DO_FORGET, drop_raw},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if ((actions & table[i].action) != 0)
            table[i].perform(task);
}

/* --- the life
 * ---------------------------------------------------------------------------------------------------------
 */

static void arm_timer(struct task *task)
{
    enum life_timer timer;
    int64_t at = life_next_deadline(&task->life, &timer);
    if (at != 0)
        loop_timer_arm(task->context->loop, &task->timer, at);
    else
        loop_timer_disarm(task->context->loop, &task->timer);
}

static void log_step(const struct task *task, enum life_state before, enum life_event_type event)
{
    if (before == task->life.state)
        return;
    log_info("task changes state", LOG_STR("task", task->id), LOG_STR("from", life_state_name(before)),
             LOG_STR("to", life_state_name(task->life.state)), LOG_STR("event", life_event_name(event)),
             LOG_STR("cause", life_cause_name(task->life.cause)));
}

static void step(struct task *task, struct life_event event)
{
    enum life_state before = task->life.state;
    event.now = loop_now();
    unsigned actions = life_step(&task->life, &event);
    log_step(task, before, event.type);
    arm_timer(task);
    if (before < LIFE_DEREGISTERING && task->life.state >= LIFE_DEREGISTERING)
        service_stop(task->service);
    perform(task, actions);
    if (before != task->life.state)
        task->context->changed(task->context->arg);
}

static void name_cause_of_deadline(struct task *task, enum life_timer timer)
{
    if (timer == LIFE_TIMER_COMPLETION)
        snprintf(task->why, sizeof(task->why), "The task's max_completion_time is over");
    else if (timer == LIFE_TIMER_HOOKS)
        snprintf(task->why, sizeof(task->why), "The BeforeTaskStart hooks did not end in time");
    else if (timer == LIFE_TIMER_START)
        snprintf(task->why, sizeof(task->why), "The task's program was not executed within %d s",
                 (int)(START_TIMEOUT / LOOP_SECOND));
}

static void on_deadline(void *arg)
{
    struct task *task = arg;
    enum life_timer timer;
    int64_t at = life_next_deadline(&task->life, &timer);
    if (at == 0 || at > loop_now()) {
        arm_timer(task);
        return;
    }
    if (task->life.cause == CAUSE_NONE)
        name_cause_of_deadline(task, timer);
    log_debug("deadline", LOG_STR("task", task->id), LOG_STR("timer", life_timer_name(timer)));
    step(task, (struct life_event){.type = LIFE_DUE, .timer = timer});
}

/* --- from outside
 * ----------------------------------------------------------------------------------------------------- */

struct task *task_new(const struct task_context *context, const char *id, unsigned group)
{
    struct task *task = calloc(1, sizeof(*task));
    if (task == NULL)
        return NULL;
    task->context = context;
    task->group = group;
    task->healthy = -1;
    task->keeper.socket = -1;
    task->id = strdup(id);
    if (task->id == NULL) {
        free(task);
        return NULL;
    }
    loop_timer_init(&task->timer, on_deadline, task);
    task->life = life_begin(&(struct life_terms){
        .grace = config_duration(context->config, CONFIG_KILL_POLICY_GRACE_PERIOD),
        .start_hooks_timeout = config_duration(context->config, CONFIG_HOOK_TIMEOUT),
        .hooks_timeout = config_duration(context->config, CONFIG_TERMINATE_HOOKS_TIMEOUT),
        .drain_delay = config_duration(context->config, CONFIG_DRAIN_DELAY),
        .start_timeout = START_TIMEOUT,
        .max_completion_time = -1,
    });
    return task;
}

void task_free(struct task *task)
{
    if (task == NULL)
        return;
    loop_timer_disarm(task->context->loop, &task->timer);
    close_keeper_socket(task);
    service_free(task->service);
    drop_launch(task);
    drop_raw(task);
    free(task->id);
    free(task);
}

static int refuse_negative(struct task *task, const char *field, int64_t nanoseconds)
{
    snprintf(task->why, sizeof(task->why), "The task's %s is negative (%lld ns): set it to 0 or more", field,
             (long long)nanoseconds);
    return -EINVAL;
}

static int check_environment(struct task *task, const Bulkhead__Command *command)
{
    for (size_t i = 0; i < command->n_environment; i++) {
        const char *name = command->environment[i]->name;
        if (name != NULL && name[0] != '\0' && strchr(name, '=') == NULL)
            continue;
        snprintf(
            task->why, sizeof(task->why),
            "A variable of the task's command has the name '%.100s': a name must not be empty or contain '='",
            name != NULL ? name : "");
        return -EINVAL;
    }
    return 0;
}

/* A user can be changed by root alone; without root, the agent has started us as the user that it chose. */
static int take_user(struct task *task)
{
    const char *user = task->command.source->user;
    if (user == NULL || user[0] == '\0')
        return 0;
    if (geteuid() != 0) {
        log_debug("not root; the task runs as the executor's user", LOG_STR("task", task->id),
                  LOG_STR("user", user));
        return 0;
    }
    task->user = strdup(user);
    return task->user != NULL ? 0 : -ENOMEM;
}

static int prepare(struct task *task, const Bulkhead__Task *description)
{
    if (description->has_kill_grace && description->kill_grace < 0)
        return refuse_negative(task, "kill_policy.grace_period", description->kill_grace);
    if (description->has_max_completion_time && description->max_completion_time < 0)
        return refuse_negative(task, "max_completion_time", description->max_completion_time);
    int r = checks_validate(description, task->why, sizeof(task->why));
    if (r < 0)
        return r;
    r = command_resolve(description, task->context->is_self, NULL, &task->command, task->why,
                        sizeof(task->why));
    if (r < 0)
        return r;
    /* The executor's own variables are in its environment already: the agent put them there. */
    const Bulkhead__Command *variables = description->command;
    r = variables != NULL ? check_environment(task, variables) : 0;
    if (r < 0)
        return r;
    task->environment =
        environment_for_task(task->context->environment, variables, description->allocation_role);
    if (description->allocation_role != NULL)
        task->allocation_role = strdup(description->allocation_role);
    if (task->environment == NULL || (description->allocation_role != NULL && task->allocation_role == NULL))
        return -ENOMEM;
    return take_user(task);
}

static void take_terms(struct task *task, const Bulkhead__Task *description)
{
    struct life_terms terms = task->life.terms;
    terms.killing_update = task->context->killing_update;
    if (description->has_kill_grace && description->kill_grace >= 0)
        terms.grace = description->kill_grace;
    if (description->has_max_completion_time && description->max_completion_time >= 0)
        terms.max_completion_time = description->max_completion_time;
    task->life = life_begin(&terms);
}

/* --- what the service says --- */

static void on_start_hooks_done(void *arg, bool success, const char *text,
                                Bulkhead__Variable *const *variables, size_t variable_count)
{
    struct task *task = arg;
    if (success && variable_count > 0) {
        task->environment =
            environment_add(task->environment, variables, variable_count, task->allocation_role);
        success = task->environment != NULL;
    }
    if (!success && task->life.cause == CAUSE_NONE)
        snprintf(task->why, sizeof(task->why), "The BeforeTaskStart hooks have failed: %s", text);
    step(task, (struct life_event){.type = success ? LIFE_HOOKS_DONE : LIFE_HOOKS_FAILED});
}

static void on_end_hooks_done(void *arg, bool success)
{
    struct task *task = arg;
    step(task, (struct life_event){.type = success ? LIFE_HOOKS_DONE : LIFE_HOOKS_FAILED, .at_end = true});
}

static void on_health(void *arg, bool healthy, const char *text)
{
    struct task *task = arg;
    task->healthy = healthy;
    if (!task->ran) {
        task->early_health = true;
        snprintf(task->early_text, sizeof(task->early_text), "%s", text);
    } else if (!life_is_over(&task->life)) {
        say_checked(task, MESOS__V1__TASK_STATUS__REASON__REASON_TASK_HEALTH_CHECK_STATUS_UPDATED, text);
    }
}

static void on_check(void *arg, struct check_value value)
{
    struct task *task = arg;
    task->check = value;
    if (!task->ran)
        task->early_check = true;
    else if (!life_is_over(&task->life))
        say_checked(task, MESOS__V1__TASK_STATUS__REASON__REASON_TASK_CHECK_STATUS_UPDATED, NULL);
}

static void on_service_end(void *arg, enum life_cause cause, const char *text)
{
    task_kill(arg, &(struct task_kill){.cause = cause, .why = text, .grace = -1});
}

static void begin_service(struct task *task, const Bulkhead__Task *description)
{
    struct service_listener listener = {
        .arg = task,
        .start_hooks_done = on_start_hooks_done,
        .end_hooks_done = on_end_hooks_done,
        .health = on_health,
        .check = on_check,
        .end = on_service_end,
    };
    task->check = checks_initial_value(description);
    task->service = service_new(task->context->checks, &listener, description);
    task->life.terms.start_hooks =
        service_has_hooks(task->service, BULKHEAD__HOOK_RUN__EVENT__BEFORE_TASK_START);
    task->life.terms.end_hooks =
        service_has_hooks(task->service, BULKHEAD__HOOK_RUN__EVENT__BEFORE_TERMINATE);
}

static void keep_raw(struct task *task, const Bulkhead__Task *description)
{
    if (!description->has_raw)
        return;
    task->raw.data = malloc(description->raw.len > 0 ? description->raw.len : 1);
    if (task->raw.data == NULL) {
        log_error("no memory to remember the task for the agent", LOG_STR("task", task->id));
        return;
    }
    memcpy(task->raw.data, description->raw.data, description->raw.len);
    task->raw.len = description->raw.len;
}

void task_launch(struct task *task, const Bulkhead__Task *description)
{
    if (task->life.state != LIFE_NEW) {
        /* Killed before it was launched: the agent still wants to be reminded of it. */
        if (task->life.state == LIFE_ENDED && !task->acknowledged && task->raw.data == NULL)
            keep_raw(task, description);
        log_warning("a task with this id is known; ignoring the launch", LOG_STR("task", task->id),
                    LOG_STR("state", life_state_name(task->life.state)));
        return;
    }
    take_terms(task, description);
    begin_service(task, description);
    keep_raw(task, description);
    int r = prepare(task, description);
    task->command.source = NULL; /* description is the caller's */
    if (r == -ENOMEM)
        snprintf(task->why, sizeof(task->why), "No memory to launch the task");
    step(task, (struct life_event){.type = LIFE_LAUNCH, .valid = r == 0});
}

void task_refuse(struct task *task, const char *reason)
{
    snprintf(task->why, sizeof(task->why), "%s", reason);
    step(task, (struct life_event){.type = LIFE_LAUNCH, .valid = false});
}

void task_kill(struct task *task, const struct task_kill *kill)
{
    if (task->life.cause == CAUSE_NONE)
        snprintf(task->why, sizeof(task->why), "%s", kill->why);
    step(task, (struct life_event){.type = LIFE_KILL,
                                   .cause = kill->cause,
                                   .grace = kill->grace,
                                   .end = kill->end,
                                   .give_up_by = kill->give_up_by});
}

void task_acknowledge(struct task *task, bool terminal)
{
    task->acknowledged = true;
    drop_raw(task);
    if (terminal)
        step(task, (struct life_event){.type = LIFE_ACKNOWLEDGED});
}

bool task_take_reaped(struct task *task, pid_t pid, int wait_status)
{
    if (service_take_reaped(task->service, pid))
        return true;
    if (task->keeper.pid != pid)
        return false;
    if (task->keeper.socket >= 0)
        read_reports(task);
    close_keeper_socket(task);
    task->keeper.pid = 0;
    if (task->life.tree != LIFE_TREE_ALIVE)
        return true;

    task->keeper_lost = true;
    if (task->life.cause == CAUSE_NONE)
        snprintf(task->why, sizeof(task->why),
                 WIFSIGNALED(wait_status)
                     ? "The task's keeper was killed by signal %d; how the task ended is not known"
                     : "The task's keeper exited with code %d; how the task ended is not known",
                 WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
    log_error("the task's keeper is gone; killing what it has left", LOG_STR("task", task->id),
              LOG_INT("wait_status", wait_status));
    step(task, (struct life_event){.type = LIFE_KEEPER_GONE});
    return true;
}

void task_strays_gone(struct task *task)
{
    if (task->keeper_lost && task->life.tree == LIFE_TREE_ALIVE)
        step(task, (struct life_event){.type = LIFE_TREE_EMPTY});
}

const char *task_id(const struct task *task)
{
    return task->id;
}

const struct life *task_life(const struct task *task)
{
    return &task->life;
}

unsigned task_group(const struct task *task)
{
    return task->group;
}

pid_t task_keeper_pid(const struct task *task)
{
    return task->keeper.pid;
}

bool task_owns(const struct task *task, pid_t pid)
{
    return task->keeper.pid == pid || service_owns(task->service, pid);
}

bool task_is_unclean(const struct task *task)
{
    return task->unclean;
}

const ProtobufCBinaryData *task_unacknowledged(const struct task *task)
{
    return task->raw.data != NULL && !task->acknowledged ? &task->raw : NULL;
}
