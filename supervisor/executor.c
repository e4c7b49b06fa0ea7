/*
 * The executor: the table of tasks, the standing with the agent, and the signals, joined.
 *
 * What is decided is decided elsewhere, in pure functions: life.c for a task, session.c for the executor.
 * This file carries the events to them and their actions to whoever performs them. It never waits: everything
 * comes from the one loop.
 */
#include "supervisor/executor.h"

#include <errno.h>
#include <signal.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bsd/unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "supervisor/agent.h"
#include "supervisor/ledger.h"
#include "supervisor/session.h"
#include "supervisor/strays.h"
#include "supervisor/task.h"

/* For a helper that was killed when the executor leaves. */
#define LAST_WAIT (100 * (int64_t)LOOP_MS)
#define STRAYS_INTERVAL (50 * (int64_t)LOOP_MS)

struct entry {
    struct entry *next;
    struct task *task;
};

struct executor {
    const struct executor_options *options;
    struct loop *loop;
    int signals;
    struct session session;
    struct loop_timer session_timer;
    struct ledger ledger;
    struct agent *agent;
    struct hooks *hooks;
    struct checks_context checks;
    struct task_context context;
    char **excluded;     /* copies: a keeper, which reads them, has let go of the configuration */
    struct entry *tasks; /* in the order of their arrival; also those that are over: their ids stay known */
    unsigned last_group;
    bool ends_group; /* a member's end is being carried to the others of its group */
    bool unclean;
    bool strays_possible;
    struct loop_timer strays_timer;
    const char *end_cause; /* a clause, once the tasks were told to end */
};

/* --- the standing with the agent
 * -------------------------------------------------------------------------------------- */

static void end_tasks(struct executor *self)
{
    struct task_kill kill_terms = {.cause = CAUSE_KILLED,
                                   .why = self->end_cause,
                                   .grace = -1,
                                   .end = self->session.end,
                                   .give_up_by = self->session.give_up_by};
    for (struct entry *entry = self->tasks; entry != NULL; entry = entry->next)
        task_kill(entry->task, &kill_terms);
}

static void arm_session_timer(struct executor *self)
{
    enum session_timer timer;
    int64_t at = session_next_deadline(&self->session, &timer);
    if (at != 0)
        loop_timer_arm(self->loop, &self->session_timer, at);
    else
        loop_timer_disarm(self->loop, &self->session_timer);
}

static void session_event(struct executor *self, struct session_event event)
{
    enum session_state before = self->session.state;
    event.now = loop_now();
    unsigned actions = session_step(&self->session, &event);
    if (before != self->session.state)
        log_info("executor changes state", LOG_STR("from", session_state_name(before)),
                 LOG_STR("to", session_state_name(self->session.state)),
                 LOG_STR("event", session_event_name(event.type)));
    arm_session_timer(self);
    if ((actions & SESSION_DO_END_TASKS) != 0) {
        log_write(self->session.forsaken ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "ending all tasks",
                  LOG_STR("cause", self->end_cause));
        end_tasks(self);
    }
    if ((actions & SESSION_DO_LEAVE) != 0)
        loop_stop(self->loop);
}

static void name_end(struct executor *self, const char *cause)
{
    if (self->end_cause == NULL)
        self->end_cause = cause;
}

static void name_end_by_deadline(struct executor *self, enum session_timer timer)
{
    switch (timer) {
    case SESSION_TIMER_REGISTER:
        name_end(self, "Killed: no agent has taken the executor's subscription");
        return;
    case SESSION_TIMER_RECOVERY:
        name_end(self, "Killed: the agent did not come back within the recovery timeout");
        return;
    case SESSION_TIMER_SUCCESSOR:
        name_end(self, "Killed: the agent could not be reached again, and the framework does not checkpoint");
        return;
    case SESSION_TIMER_FIRST_TASK:
    case SESSION_TIMER_ACKNOWLEDGE:
    case SESSION_TIMER_LEAVE:
        return;
    }
}

static void on_session_deadline(void *arg)
{
    struct executor *self = arg;
    enum session_timer timer;
    int64_t at = session_next_deadline(&self->session, &timer);
    if (at == 0 || at > loop_now()) {
        arm_session_timer(self);
        return;
    }
    log_warning("a deadline of the executor is over", LOG_STR("deadline", session_timer_name(timer)),
                LOG_UINT("unacknowledged", self->ledger.count));
    name_end_by_deadline(self, timer);
    session_event(self, (struct session_event){.type = SESSION_DUE, .timer = timer});
}

/* --- the tasks
 * -------------------------------------------------------------------------------------------------------- */

static struct task *find_task(const struct executor *self, const char *id)
{
    for (const struct entry *entry = self->tasks; entry != NULL; entry = entry->next)
        if (strcmp(task_id(entry->task), id) == 0)
            return entry->task;
    return NULL;
}

static struct task *add_task(struct executor *self, const char *id, unsigned group)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    struct task *task = entry != NULL ? task_new(&self->context, id, group) : NULL;
    if (task == NULL) {
        log_error("no memory for a task; it is lost", LOG_STR("task", id));
        free(entry);
        return NULL;
    }
    entry->task = task;
    struct entry **link = &self->tasks;
    while (*link != NULL)
        link = &(*link)->next;
    *link = entry;
    return task;
}

/* What ps shows: the one task and its state, or how many there are. */
static void show_title(const struct executor *self)
{
    const struct task *shown = NULL;
    unsigned living = 0;
    for (const struct entry *entry = self->tasks; entry != NULL; entry = entry->next) {
        if (shown == NULL || !life_is_over(task_life(entry->task)))
            shown = entry->task;
        living += !life_is_over(task_life(entry->task));
    }
    if (living > 1)
        setproctitle("-supervisor: %u tasks", living);
    else if (shown != NULL)
        setproctitle("-supervisor: %.80s %s", task_id(shown), life_state_name(task_life(shown)->state));
}

static void on_changed(void *arg)
{
    struct executor *self = arg;
    struct session_event event = {.type = SESSION_TASKS, .unclean = self->unclean};
    for (const struct entry *entry = self->tasks; entry != NULL; entry = entry->next) {
        enum life_state state = task_life(entry->task)->state;
        event.living += state < LIFE_ENDED;
        event.unacknowledged += state == LIFE_ENDED;
        event.unclean |= task_is_unclean(entry->task);
    }
    show_title(self);
    session_event(self, event);
}

static void on_updated(void *arg)
{
    struct executor *self = arg;
    if (self->agent != NULL)
        agent_send_updates(self->agent);
}

static void on_end_group(void *arg, unsigned group, const struct task *first)
{
    struct executor *self = arg;
    if (self->ends_group)
        return; /* it is one of those that are being killed: the first one is the cause */
    self->ends_group = true;
    char why[256];
    snprintf(why, sizeof(why), "Killed with its group: task %.150s did not finish", task_id(first));
    struct task_kill kill_terms = {.cause = CAUSE_KILLED, .why = why, .grace = -1};
    for (struct entry *entry = self->tasks; entry != NULL; entry = entry->next)
        if (entry->task != first && task_group(entry->task) == group &&
            task_life(entry->task)->cause == CAUSE_NONE)
            task_kill(entry->task, &kill_terms);
    self->ends_group = false;
}

static void on_forget_secrets(void *arg)
{
    struct executor *self = arg;
    config_free(self->options->config);
}

/* --- strays
 * -----------------------------------------------------------------------------------------------------------
 */

static bool is_known_child(void *arg, pid_t pid)
{
    const struct executor *self = arg;
    if ((self->agent != NULL && agent_pid(self->agent) == pid) || hooks_pid(self->hooks) == pid)
        return true;
    for (const struct entry *entry = self->tasks; entry != NULL; entry = entry->next)
        if (task_owns(entry->task, pid))
            return true;
    return false;
}

static void look_for_strays(void *arg)
{
    struct executor *self = arg;
    int left = strays_kill(is_known_child, self);
    if (left != 0) {
        loop_timer_arm(self->loop, &self->strays_timer, loop_now() + STRAYS_INTERVAL);
        return;
    }
    self->strays_possible = false;
    for (struct entry *entry = self->tasks; entry != NULL; entry = entry->next)
        task_strays_gone(entry->task);
}

/* Not at once: the caller is in the middle of the change that makes them possible. */
static void on_sweep_strays(void *arg)
{
    struct executor *self = arg;
    self->strays_possible = true;
    loop_timer_arm(self->loop, &self->strays_timer, loop_now());
}

/* --- what the agent says
 * ---------------------------------------------------------------------------------------------- */

static void on_subscribed(void *arg, bool task_killing_state)
{
    struct executor *self = arg;
    self->context.killing_update = task_killing_state;
    session_event(self, (struct session_event){.type = SESSION_TAKEN});
}

static void on_disconnected(void *arg, enum agent_loss loss)
{
    struct executor *self = arg;
    static const enum session_event_type events[] = {
        [AGENT_LOST] = SESSION_AGENT_LOST,
        [AGENT_FORGOTTEN] = SESSION_UNKNOWN_ID,
        [AGENT_CLIENT_LOST] = SESSION_CLIENT_LOST,
    };
    /* Only some losses end the tasks; the cause is named for those. */
    const char *named_before = self->end_cause;
    name_end(self, loss == AGENT_FORGOTTEN
                       ? "Killed: the agent does not know this executor any more"
                       : "Killed: the agent is gone, and the framework does not checkpoint");
    session_event(self, (struct session_event){.type = events[loss]});
    if (!self->session.ending)
        self->end_cause = named_before;
}

/*
 * A launch that comes while the executor ends its tasks, or after its group has failed, is answered and not
 * started. task_launch() then only keeps the agent's description, which SUBSCRIBE has to list.
 */
static void launch_one(struct executor *self, const Bulkhead__Task *description)
{
    struct task *task = find_task(self, description->task_id);
    if (task == NULL)
        return;
    if (self->session.ending && task_life(task)->state == LIFE_NEW)
        task_kill(task, &(struct task_kill){.cause = CAUSE_KILLED, .why = self->end_cause, .grace = -1});
    task_launch(task, description);
}

static void on_launch(void *arg, const Bulkhead__Launch *launch)
{
    struct executor *self = arg;
    unsigned group = launch->group ? ++self->last_group : 0;
    /* All are known before the first is launched: one that fails at once has the others killed. */
    for (size_t i = 0; i < launch->n_tasks; i++)
        if (find_task(self, launch->tasks[i]->task_id) == NULL)
            add_task(self, launch->tasks[i]->task_id, group);
    for (size_t i = 0; i < launch->n_tasks; i++)
        launch_one(self, launch->tasks[i]);
}

static void on_launch_refused(void *arg, const char *id, const char *reason)
{
    struct executor *self = arg;
    struct task *task = find_task(self, id) == NULL ? add_task(self, id, 0) : NULL;
    if (task != NULL)
        task_refuse(task, reason);
}

static void on_kill(void *arg, const char *id, int64_t grace)
{
    struct executor *self = arg;
    log_info("kill", LOG_STR("task", id), LOG_INT("grace_ns", grace));
    struct task *task = find_task(self, id);
    if (task == NULL)
        task = add_task(self, id, 0);
    if (task != NULL)
        task_kill(task, &(struct task_kill){.cause = CAUSE_KILLED,
                                            .why = "Killed at the framework's request",
                                            .grace = grace});
}

static void on_acknowledged(void *arg, const char *id, bool terminal, bool rejected)
{
    struct executor *self = arg;
    self->unclean |= rejected && terminal;
    struct task *task = find_task(self, id);
    if (task != NULL)
        task_acknowledge(task, terminal);
}

static void begin_shutdown(struct executor *self, const char *cause)
{
    name_end(self, cause);
    session_event(self, (struct session_event){.type = SESSION_SHUTDOWN});
}

static void on_shutdown(void *arg)
{
    begin_shutdown(arg, "Killed: the agent has shut the executor down");
}

static const ProtobufCBinaryData *unacknowledged_task(void *arg, size_t index)
{
    const struct executor *self = arg;
    for (const struct entry *entry = self->tasks; entry != NULL; entry = entry->next) {
        const ProtobufCBinaryData *raw = task_unacknowledged(entry->task);
        if (raw != NULL && index-- == 0)
            return raw;
    }
    return NULL;
}

/* --- signals
 * ----------------------------------------------------------------------------------------------------------
 */

/* Somebody has stopped a process that must not rest: a keeper has orders to carry out. */
static void wake_stopped(struct executor *self, pid_t pid)
{
    for (struct entry *entry = self->tasks; entry != NULL; entry = entry->next) {
        if (task_keeper_pid(entry->task) != pid)
            continue;
        log_warning("a keeper was stopped; continuing it", LOG_STR("task", task_id(entry->task)),
                    LOG_INT("keeper_pid", pid));
        kill(pid, SIGCONT);
    }
}

static void take_child(struct executor *self, pid_t pid, int wait_status)
{
    bool ended = !WIFSTOPPED(wait_status) && !WIFCONTINUED(wait_status);
    if (agent_take_reaped(self->agent, pid, wait_status) ||
        hooks_take_reaped(self->hooks, pid, wait_status)) {
        if (ended)
            on_sweep_strays(self);
        return;
    }
    if (!ended) {
        wake_stopped(self, pid);
        return;
    }
    for (struct entry *entry = self->tasks; entry != NULL; entry = entry->next)
        if (task_take_reaped(entry->task, pid, wait_status))
            return;
}

static void reap(struct executor *self)
{
    for (;;) {
        int wait_status;
        pid_t pid = waitpid(-1, &wait_status, WNOHANG | WUNTRACED | WCONTINUED);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid <= 0)
            break;
        take_child(self, pid, wait_status);
    }
    if (self->strays_possible)
        loop_timer_arm(self->loop, &self->strays_timer, loop_now());
}

static void on_signal(void *arg, int descriptor, short events)
{
    (void)events;
    struct executor *self = arg;
    struct signalfd_siginfo info;
    bool children = false;
    while (read(descriptor, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            children = true;
        else
            begin_shutdown(self, "Killed: the executor was told to end by a signal");
    }
    if (children)
        reap(self);
}

/* --- the run
 * ----------------------------------------------------------------------------------------------------------
 */

static int open_signals(struct executor *self)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -errno;
    /* Whoever has started us may ignore SIGCHLD, and an exec keeps that: then no exit could be waited for
     * (wait(2)), neither here nor in a keeper. */
    if (signal(SIGCHLD, SIG_DFL) == SIG_ERR)
        return -errno;
    self->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (self->signals < 0)
        return -errno;
    return loop_watch(self->loop, self->signals, POLLIN, on_signal, self);
}

static int read_excluded(struct executor *self)
{
    const struct config *config = self->options->config;
    size_t count = config_list_count(config, CONFIG_SIGTERM_EXCLUDE_PROCESSES);
    self->excluded = calloc(count + 1, sizeof(*self->excluded));
    if (self->excluded == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        self->excluded[i] = strdup(config_list_item(config, CONFIG_SIGTERM_EXCLUDE_PROCESSES, i));
        if (self->excluded[i] == NULL)
            return -ENOMEM;
    }
    self->context.excluded = (const char *const *)self->excluded;
    self->context.excluded_count = count;
    return 0;
}

static void set_context(struct executor *self)
{
    const struct executor_options *options = self->options;
    self->context = (struct task_context){
        .loop = self->loop,
        .config = options->config,
        .ledger = &self->ledger,
        .environment = options->environment,
        .core_limit = options->core_limit,
        .core_maximum = options->core_maximum,
        .is_self = options->is_self,
        .checks = &self->checks,
        .arg = self,
        .forget_secrets = on_forget_secrets,
        .updated = on_updated,
        .changed = on_changed,
        .sweep_strays = on_sweep_strays,
        .end_group = on_end_group,
    };
}

/* hookd itself is started by the first job that there is for it. */
static int prepare_hooks(struct executor *self)
{
    struct hooks_options options = {.loop = self->loop,
                                    .config = self->options->config,
                                    .program = self->options->hookd,
                                    .environment = self->options->helper_environment};
    self->hooks = hooks_new(&options);
    self->checks = (struct checks_context){.loop = self->loop,
                                           .config = self->options->config,
                                           .hooks = self->hooks,
                                           .core_limit = self->options->core_limit,
                                           .core_maximum = self->options->core_maximum,
                                           .forget_secrets = on_forget_secrets,
                                           .arg = self};
    return self->hooks != NULL ? 0 : -ENOMEM;
}

static int connect_agent(struct executor *self)
{
    struct agent_options options = {
        .loop = self->loop,
        .config = self->options->config,
        .program = self->options->agent_client,
        .environment = self->options->helper_environment,
        .ledger = &self->ledger,
        .listener =
            {
                .arg = self,
                .subscribed = on_subscribed,
                .disconnected = on_disconnected,
                .launch = on_launch,
                .launch_refused = on_launch_refused,
                .kill = on_kill,
                .acknowledged = on_acknowledged,
                .shutdown = on_shutdown,
                .unacknowledged_task = unacknowledged_task,
            },
    };
    return agent_start(&options, &self->agent);
}

static int set_up(struct executor *self)
{
    int r = loop_new(&self->loop);
    if (r < 0)
        return r;
    const struct config *config = self->options->config;
    loop_timer_init(&self->session_timer, on_session_deadline, self);
    loop_timer_init(&self->strays_timer, look_for_strays, self);
    ledger_init(&self->ledger);
    set_context(self);
    self->session = session_begin(&(struct session_terms){
        .checkpoint = config_bool(config, CONFIG_CHECKPOINT),
        .recovery_timeout = config_duration(config, CONFIG_RECOVERY_TIMEOUT),
        .shutdown_grace = config_duration(config, CONFIG_EXECUTOR_SHUTDOWN_GRACE_PERIOD),
        .acknowledge_timeout = config_duration(config, CONFIG_STATE_UPDATE_WAIT_TIMEOUT),
    });
    r = read_excluded(self);
    if (r == 0)
        r = open_signals(self);
    if (r == 0)
        r = prepare_hooks(self);
    if (r == 0)
        r = connect_agent(self);
    return r;
}

/* It was sent SIGKILL: it is gone in a moment, and nothing of ours should be seen after us. */
static void await_helper(const struct executor *self, pid_t pid)
{
    int64_t end = loop_now() + LAST_WAIT;
    struct pollfd signals = {.fd = self->signals, .events = POLLIN};
    struct signalfd_siginfo info;
    while (pid != 0 && waitpid(pid, NULL, WNOHANG) == 0 && loop_now() < end)
        if (poll(&signals, 1, (int)(LAST_WAIT / LOOP_MS)) > 0)
            while (read(self->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
                continue;
}

static bool nobody_is_known(void *arg, pid_t pid)
{
    (void)arg;
    (void)pid;
    return false;
}

/* What helpers have left to us would be nobody's after us. A helper that forks without end is dead by now. */
static void kill_strays(void)
{
    int64_t end = loop_now() + LAST_WAIT;
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        if (strays_kill(nobody_is_known, NULL) <= 0 || loop_now() >= end)
            return;
        nanosleep(&(struct timespec){.tv_nsec = LOOP_MS}, NULL);
    }
}

static void tear_down(struct executor *self)
{
    if (self->loop == NULL)
        return;
    pid_t agent_client = self->agent != NULL ? agent_pid(self->agent) : 0;
    pid_t hookd = self->hooks != NULL ? hooks_pid(self->hooks) : 0;
    agent_free(self->agent);
    while (self->tasks != NULL) {
        struct entry *entry = self->tasks;
        self->tasks = entry->next;
        task_free(entry->task);
        free(entry);
    }
    hooks_free(self->hooks);
    await_helper(self, agent_client);
    await_helper(self, hookd);
    kill_strays();
    ledger_clear(&self->ledger);
    if (self->signals >= 0)
        close(self->signals);
    for (char **name = self->excluded; name != NULL && *name != NULL; name++)
        free(*name);
    free(self->excluded);
    loop_free(self->loop);
}

int executor_run(const struct executor_options *options)
{
    struct executor self = {.options = options, .signals = -1};
    int r = set_up(&self);
    if (r == 0) {
        session_event(&self, (struct session_event){.type = SESSION_BEGIN});
        r = loop_run(self.loop);
    }
    if (r < 0)
        log_error("cannot go on; leaving", LOG_ERRNO(r));
    int exit_code = r < 0 ? 1 : self.session.exit_code;
    log_info("leaving", LOG_INT("exit_code", exit_code), LOG_UINT("unacknowledged", self.ledger.count));
    tear_down(&self);
    return exit_code;
}
