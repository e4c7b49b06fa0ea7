/*
 * A task's health check and its check, carried out.
 *
 * When a probe is due and what its result means is decided in schedule.c and health.c, which are pure. Here
 * probes are begun and ended: HTTP and TCP by hookd, so that a hostile task can attack nothing that matters;
 * COMMAND below a keeper of its own, as the task's user and with its environment, so that its whole tree dies
 * at the timeout. Nothing is waited for.
 */
#include "supervisor/checks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/duration.h"
#include "common/log.h"
#include "supervisor/command.h"
#include "supervisor/environment.h"
#include "supervisor/health.h"
#include "supervisor/keeper.h"
#include "supervisor/schedule.h"

enum {
    KEEPERS = 4, /* of one check: the running one, and those that cannot be killed */
    TEXT_SIZE = 320,
    LAST_PORT = 65535,
};

/* The health check or the check of a task. */
struct prober {
    struct checks *checks;
    const Bulkhead__Check *check; /* NULL: the task has none of this kind */
    void (*take)(struct prober *prober, bool success, struct check_value value, const char *text);
    struct schedule schedule;
    struct loop_timer timer;   /* the next probe */
    struct loop_timer timeout; /* of a COMMAND check */
    uint32_t job;              /* of a probe in hookd, 0 for none */
    struct keeper keepers[KEEPERS];
    struct keeper *running; /* one of these, NULL when its result is known */
    struct command command;
    char **environment;
};

struct checks {
    const struct checks_context *context;
    struct checks_listener listener;
    const Bulkhead__Task *task;
    char *user;
    struct health health;
    struct check_value value;
    struct prober probers[2]; /* the health check, the check */
};

/* --- results
 * ----------------------------------------------------------------------------------------------------------
 */

static void arm_next(struct prober *prober)
{
    if (prober->schedule.next_at != 0)
        loop_timer_arm(prober->checks->context->loop, &prober->timer, prober->schedule.next_at);
}

/* The listener comes last: he may end everything. */
static void finish_probe(struct prober *prober, bool success, struct check_value value, const char *text)
{
    if (!schedule_finish(&prober->schedule, loop_now()))
        return;
    arm_next(prober);
    prober->take(prober, success, value, text);
}

static void take_health(struct prober *prober, bool success, struct check_value value, const char *text)
{
    (void)value;
    struct checks *checks = prober->checks;
    unsigned actions = health_take(&checks->health, success, loop_now());
    log_debug("health check", LOG_STR("task", checks->task->task_id), LOG_BOOL("success", success),
              LOG_STR("text", text), LOG_UINT("failures", checks->health.failures));
    if (actions == 0)
        return;
    char counted[TEXT_SIZE + 64];
    if (success)
        snprintf(counted, sizeof(counted), "%s", text);
    else
        snprintf(counted, sizeof(counted), "%s, %u of %u", text, (unsigned)checks->health.failures,
                 (unsigned)checks->health.allowed);
    checks->listener.health(checks->listener.arg, success, (actions & HEALTH_KILL) != 0, counted);
}

static void take_value(struct prober *prober, bool success, struct check_value value, const char *text)
{
    (void)success;
    struct checks *checks = prober->checks;
    log_debug("check", LOG_STR("task", checks->task->task_id), LOG_BOOL("known", value.known),
              LOG_INT("value", value.value), LOG_STR("text", text));
    if (value.known == checks->value.known && (!value.known || value.value == checks->value.value))
        return;
    checks->value = value;
    checks->listener.value(checks->listener.arg, value);
}

static struct check_value nothing_seen(const struct prober *prober)
{
    return (struct check_value){.type = (int)prober->check->type};
}

static struct check_value seen(const struct prober *prober, int64_t value)
{
    return (struct check_value){.type = (int)prober->check->type, .known = true, .value = value};
}

/* --- HTTP and TCP
 * ----------------------------------------------------------------------------------------------------- */

/* Nothing was learned of the task, which must not suffer for it. */
static void skip_probe(struct prober *prober, const char *text)
{
    log_warning("a probe had no result; it does not count", LOG_STR("task", prober->checks->task->task_id),
                LOG_STR("text", text));
    if (schedule_finish(&prober->schedule, loop_now()))
        arm_next(prober);
}

static void on_probed(void *arg, enum hooks_probe_end end, uint32_t status_code, const char *text)
{
    struct prober *prober = arg;
    bool success = end == HOOKS_PROBE_ANSWERED;
    prober->job = 0;
    if (end == HOOKS_PROBE_UNKNOWN) {
        skip_probe(prober, text);
        return;
    }
    if (prober->check->type == BULKHEAD__CHECK__TYPE__TCP) {
        finish_probe(prober, success, seen(prober, success), text);
        return;
    }
    if (!success || status_code == 0) {
        finish_probe(prober, false, nothing_seen(prober), text);
        return;
    }
    bool good = status_code >= 200 && status_code < 400;
    finish_probe(prober, good, seen(prober, status_code), text);
}

/* The machine's public address where it is known, as the predecessor did it; else the loopback of the check's
 * family. */
static const char *target_host(const struct prober *prober)
{
    const char *public_address = config_string(prober->checks->context->config, CONFIG_CLOUD_PUBLIC_IP);
    unsigned char address[sizeof(struct in6_addr)];
    bool ipv6 = prober->check->ipv6 != 0;
    if (public_address != NULL && inet_pton(ipv6 ? AF_INET6 : AF_INET, public_address, address) == 1)
        return public_address;
    return ipv6 ? "::1" : "127.0.0.1";
}

static void begin_network_probe(struct prober *prober)
{
    const Bulkhead__Check *check = prober->check;
    Bulkhead__Probe probe = BULKHEAD__PROBE__INIT;
    probe.has_type = probe.has_port = probe.has_timeout = 1;
    probe.type = check->type;
    probe.host = (char *)(uintptr_t)target_host(prober);
    probe.port = check->port;
    probe.path = check->path;
    probe.scheme = (char *)(uintptr_t)(check->scheme != NULL ? check->scheme : "http");
    probe.timeout = check->timeout;
    prober->job = hooks_probe(prober->checks->context->hooks, &probe, on_probed, prober);
    if (prober->job == 0)
        skip_probe(prober, "no memory");
}

/* --- COMMAND
 * ----------------------------------------------------------------------------------------------------------
 */

/* Its result is known or not wanted any more; what it has started goes. It is closed when it is reaped. */
static void dismiss(struct prober *prober)
{
    struct loop *loop = prober->checks->context->loop;
    loop_timer_disarm(loop, &prober->timeout);
    if (prober->running == NULL)
        return;
    if (prober->running->pid != 0) {
        loop_unwatch(loop, prober->running->socket);
        keeper_order(prober->running, KEEPER_KILL); /* one that is gone has nothing left to kill */
    }
    prober->running = NULL;
}

static void describe_exit(int wait_status, char *text, size_t size)
{
    if (WIFSIGNALED(wait_status))
        snprintf(text, size, "the command was killed by signal %d (%s)", WTERMSIG(wait_status),
                 strsignal(WTERMSIG(wait_status)));
    else
        snprintf(text, size, "the command exited with code %d", WEXITSTATUS(wait_status));
}

static void take_command_exit(struct prober *prober, int wait_status)
{
    char text[TEXT_SIZE];
    describe_exit(wait_status, text, sizeof(text));
    dismiss(prober);
    if (WIFEXITED(wait_status))
        finish_probe(prober, wait_status == 0, seen(prober, WEXITSTATUS(wait_status)), text);
    else
        finish_probe(prober, false, nothing_seen(prober), text);
}

static void fail_command(struct prober *prober, const char *text)
{
    dismiss(prober);
    finish_probe(prober, false, nothing_seen(prober), text);
}

/* After the first news that ends a probe its keeper is no longer listened to. */
static void on_keeper_ready(void *arg, int socket, short events)
{
    (void)socket;
    (void)events;
    struct prober *prober = arg;
    struct keeper_report news;
    int r = 0;
    while (prober->running != NULL && (r = keeper_receive(prober->running, &news)) > 0) {
        if (news.news == KEEPER_MAIN_EXITED)
            take_command_exit(prober, news.wait_status);
        else if (news.news == KEEPER_START_FAILED)
            fail_command(prober, news.text);
        else if (news.news == KEEPER_TREE_EMPTY)
            fail_command(prober, "the command is gone, and how it ended is not known");
    }
    if (prober->running != NULL && r != -EAGAIN)
        fail_command(prober, "the process that ran the command is gone");
}

static void describe_timeout(const struct prober *prober, char *text, size_t size)
{
    char span[DURATION_TEXT_SIZE];
    duration_format(prober->check->timeout, span, sizeof(span));
    snprintf(text, size, "no answer in %s", span);
}

static void on_timeout(void *arg)
{
    struct prober *prober = arg;
    char text[TEXT_SIZE];
    describe_timeout(prober, text, sizeof(text));
    fail_command(prober, text);
}

static struct keeper *free_keeper(struct prober *prober)
{
    for (size_t i = 0; i < KEEPERS; i++)
        if (prober->keepers[i].pid == 0)
            return &prober->keepers[i];
    return NULL;
}

static int start_command(struct prober *prober, struct keeper *keeper)
{
    const struct checks_context *context = prober->checks->context;
    struct launch launch = {.file = prober->command.file,
                            .argv = prober->command.argv,
                            .envp = prober->environment,
                            .output_to_errors = true,
                            .user = prober->checks->user,
                            .core_limit = context->core_limit,
                            .core_maximum = context->core_maximum};
    struct keeper_terms terms = {.task_id = prober->checks->task->task_id,
                                 .launch = &launch,
                                 .forget_secrets = context->forget_secrets,
                                 .arg = context->arg};
    int r = keeper_start(&terms, keeper);
    if (r < 0)
        *keeper = (struct keeper){.socket = -1};
    return r < 0 ? r : loop_watch(context->loop, keeper->socket, POLLIN, on_keeper_ready, prober);
}

static void begin_command(struct prober *prober)
{
    struct keeper *keeper = free_keeper(prober);
    if (keeper == NULL) {
        finish_probe(prober, false, nothing_seen(prober), "earlier commands of this check cannot be killed");
        return;
    }
    prober->running = keeper;
    int r = start_command(prober, keeper);
    if (r < 0) {
        fail_command(prober, strerror(-r));
        return;
    }
    if (prober->check->timeout > 0)
        loop_timer_arm(prober->checks->context->loop, &prober->timeout, loop_now() + prober->check->timeout);
}

/* --- the schedule
 * ----------------------------------------------------------------------------------------------------- */

static void on_due(void *arg)
{
    struct prober *prober = arg;
    if (!schedule_take_due(&prober->schedule, loop_now())) {
        arm_next(prober);
        return;
    }
    if (prober->check->type == BULKHEAD__CHECK__TYPE__COMMAND)
        begin_command(prober);
    else
        begin_network_probe(prober);
}

/* --- what a framework may ask for
 * ------------------------------------------------------------------------------------- */

static int refuse(char *why, size_t size, const char *field, const char *mend)
{
    snprintf(why, size, "The task's %s %s", field, mend);
    return -EINVAL;
}

static bool has_bad_character(const char *path)
{
    for (; *path != '\0'; path++)
        if ((unsigned char)*path <= ' ' || *path == 0x7f)
            return true;
    return false;
}

static int validate_http(const Bulkhead__Check *check, const char *field, char *why, size_t size)
{
    if (check->scheme != NULL && strcmp(check->scheme, "http") != 0 && strcmp(check->scheme, "https") != 0)
        return refuse(why, size, field, "has a scheme that is neither http nor https");
    if (check->path != NULL && check->path[0] != '\0' && check->path[0] != '/')
        return refuse(why, size, field, "has a path that does not begin with a slash");
    if (check->path != NULL && has_bad_character(check->path))
        return refuse(why, size, field,
                      "has a path with a blank or a control character: escape it as %20 and the like");
    return 0;
}

static int validate_one(const Bulkhead__Check *check, const char *field, char *why, size_t size)
{
    if (check == NULL)
        return 0;
    if (check->delay < 0 || check->interval < 0 || check->timeout < 0 || check->grace < 0)
        return refuse(why, size, field,
                      "has a negative delay, interval, timeout or grace period: set it to 0 or more");
    switch (check->type) {
    case BULKHEAD__CHECK__TYPE__COMMAND:
        if (check->command == NULL || check->command->value == NULL || check->command->value[0] == '\0')
            return refuse(why, size, field, "is of type COMMAND and has no command");
        return 0;
    case BULKHEAD__CHECK__TYPE__HTTP:
    case BULKHEAD__CHECK__TYPE__TCP:
        if (!check->has_port || check->port == 0 || check->port > LAST_PORT)
            return refuse(why, size, field, "has no port from 1 to 65535");
        return check->type == BULKHEAD__CHECK__TYPE__HTTP ? validate_http(check, field, why, size) : 0;
    default:
        return refuse(why, size, field, "has no type: set it to COMMAND, HTTP or TCP");
    }
}

int checks_validate(const Bulkhead__Task *task, char *why, size_t why_size)
{
    int r = validate_one(task->health_check, "health_check", why, why_size);
    return r < 0 ? r : validate_one(task->check, "check", why, why_size);
}

struct check_value checks_initial_value(const Bulkhead__Task *task)
{
    return (struct check_value){.type = task->check != NULL ? (int)task->check->type : 0};
}

/* --- life
 * -------------------------------------------------------------------------------------------------------------
 */

static int prepare_command(struct prober *prober, char *const *environment)
{
    Bulkhead__Task task = BULKHEAD__TASK__INIT;
    task.command = prober->check->command;
    char why[TEXT_SIZE];
    int r = command_resolve(&task, NULL, NULL, &prober->command, why, sizeof(why));
    if (r < 0) {
        log_warning("a check's command cannot be used", LOG_STR("task", prober->checks->task->task_id),
                    LOG_STR("why", why));
        return r;
    }
    prober->environment = environment_for_task(environment, prober->check->command, NULL);
    return prober->environment != NULL ? 0 : -ENOMEM;
}

static int begin_prober(struct checks *checks, struct prober *prober, const Bulkhead__Check *check,
                        char *const *environment)
{
    prober->checks = checks;
    prober->check = check;
    for (size_t i = 0; i < KEEPERS; i++)
        prober->keepers[i].socket = -1;
    loop_timer_init(&prober->timer, on_due, prober);
    loop_timer_init(&prober->timeout, on_timeout, prober);
    if (check == NULL)
        return 0;
    int r = check->type == BULKHEAD__CHECK__TYPE__COMMAND ? prepare_command(prober, environment) : 0;
    if (r < 0)
        return r;
    prober->schedule = schedule_begin(check->delay, check->interval, loop_now());
    arm_next(prober);
    return 0;
}

struct checks *checks_begin(const struct checks_context *context, const struct checks_listener *listener,
                            const Bulkhead__Task *task, char *const *environment, const char *user)
{
    if (task->health_check == NULL && task->check == NULL)
        return NULL;
    struct checks *checks = calloc(1, sizeof(*checks));
    if (checks == NULL)
        return NULL;
    checks->context = context;
    checks->listener = *listener;
    checks->task = task;
    checks->value = checks_initial_value(task);
    checks->probers[0].take = take_health;
    checks->probers[1].take = take_value;
    if (task->health_check != NULL)
        checks->health =
            health_begin(task->health_check->grace, task->health_check->consecutive_failures, loop_now());
    int r = 0;
    if (user != NULL && (checks->user = strdup(user)) == NULL)
        r = -ENOMEM;
    /* Both in any case: what is freed must have been begun. */
    int health = begin_prober(checks, &checks->probers[0], task->health_check, environment);
    int check = begin_prober(checks, &checks->probers[1], task->check, environment);
    if (r < 0 || health < 0 || check < 0) {
        log_error("no memory for the task's checks; it runs without them", LOG_STR("task", task->task_id));
        checks_free(checks);
        return NULL;
    }
    return checks;
}

void checks_stop(struct checks *checks)
{
    for (size_t i = 0; i < 2; i++) {
        struct prober *prober = &checks->probers[i];
        schedule_stop(&prober->schedule);
        loop_timer_disarm(checks->context->loop, &prober->timer);
        hooks_cancel(checks->context->hooks, prober->job);
        prober->job = 0;
        dismiss(prober);
    }
}

void checks_free(struct checks *checks)
{
    if (checks == NULL)
        return;
    checks_stop(checks);
    for (size_t i = 0; i < 2; i++) {
        command_clear(&checks->probers[i].command);
        environment_free(checks->probers[i].environment);
        for (size_t k = 0; k < KEEPERS; k++)
            if (checks->probers[i].keepers[k].socket >= 0)
                close(checks->probers[i].keepers[k].socket);
    }
    free(checks->user);
    free(checks);
}

static struct keeper *find_keeper(const struct checks *checks, pid_t pid, const struct prober **ret_prober)
{
    for (size_t i = 0; checks != NULL && pid > 0 && i < 2; i++)
        for (size_t k = 0; k < KEEPERS; k++)
            if (checks->probers[i].keepers[k].pid == pid) {
                *ret_prober = &checks->probers[i];
                return (struct keeper *)(uintptr_t)&checks->probers[i].keepers[k];
            }
    return NULL;
}

bool checks_take_reaped(struct checks *checks, pid_t pid)
{
    const struct prober *found;
    struct keeper *keeper = find_keeper(checks, pid, &found);
    if (keeper == NULL)
        return false;
    struct prober *prober = (struct prober *)(uintptr_t)found;
    /* Its last words may still wait to be read. */
    if (prober->running == keeper)
        on_keeper_ready(prober, keeper->socket, POLLIN);
    if (prober->running == keeper)
        fail_command(prober, "the process that ran the command is gone");
    close(keeper->socket);
    *keeper = (struct keeper){.socket = -1};
    return true;
}

bool checks_own(const struct checks *checks, pid_t pid)
{
    const struct prober *found;
    return find_keeper(checks, pid, &found) != NULL;
}
