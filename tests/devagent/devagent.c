/* The agent's beginning and end, its loop, its timers, and the waits that tests are made of. One thread;
 * everything happens inside devagent_pump(). */
#include "tests/devagent/agent.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum { NS_PER_MS = 1000000 };

int64_t devagent_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* ---- notices ---- */

void agent_notice(struct devagent *agent, struct devagent_notice notice)
{
    agent->notice_count++;
    if (agent->options.notice)
        agent->options.notice(&notice, agent->options.notice_arg);
}

static void notice_words(struct devagent *agent, enum devagent_notice_kind kind, const char *text)
{
    agent_notice(agent, (struct devagent_notice){.kind = kind, .time_ns = devagent_now_ns(), .text = text});
}

void agent_say(struct devagent *agent, const char *format, ...)
{
    va_list args;
    char *text;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    notice_words(agent, DEVAGENT_NOTICE_AGENT, text);
    free(text);
}

void agent_mistake(struct devagent *agent, const char *format, ...)
{
    va_list args;
    char *text;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    list_add(&agent->mistakes, text);
    notice_words(agent, DEVAGENT_NOTICE_MISTAKE, text);
}

/* ---- timers ---- */

void agent_after(struct devagent *agent, int64_t span_ms, void (*run)(struct devagent *agent, void *arg),
                 void *arg)
{
    struct timer *timer = agent_alloc(sizeof(*timer));
    *timer = (struct timer){.due_ns = devagent_now_ns() + span_ms * NS_PER_MS, .run = run, .arg = arg};
    list_add(&agent->timers, timer);
}

/* Runs the first timer that is due, in the order of their moments. Returns false when none is. */
static bool run_timer(struct devagent *agent)
{
    size_t first = 0;
    for (size_t i = 1; i < agent->timers.count; i++) {
        if (((struct timer *)agent->timers.items[i])->due_ns <
            ((struct timer *)agent->timers.items[first])->due_ns)
            first = i;
    }
    struct timer *timer = agent->timers.count > 0 ? agent->timers.items[first] : NULL;
    if (!timer || timer->due_ns > devagent_now_ns())
        return false;
    list_remove(&agent->timers, first);
    timer->run(agent, timer->arg);
    free(timer);
    return true;
}

static int64_t next_due(const struct devagent *agent, int64_t limit)
{
    for (size_t i = 0; i < agent->timers.count; i++) {
        int64_t due = ((struct timer *)agent->timers.items[i])->due_ns;
        limit = due < limit ? due : limit;
    }
    return limit;
}

/* ---- create, destroy ---- */

void devagent_options_init(struct devagent_options *options)
{
    *options = (struct devagent_options){
        .recovery_timeout_ms = 15 * 60 * 1000,
        .reregistration_timeout_ms = 2000,
        .registration_timeout_ms = 60 * 1000,
        .shutdown_grace_ms = 5000,
    };
}

static const char *const *keep_strings(struct devagent *agent, const char *const *strings)
{
    size_t count = 0;
    while (strings && strings[count])
        count++;
    const char **copy = agent_alloc((count + 1) * sizeof(*copy));
    list_add(&agent->strings, copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = agent_keep(agent, agent_copy(strings[i]));
    return copy;
}

/* The caller's strings may go away after devagent_create(). */
static void keep_options(struct devagent *agent)
{
    struct devagent_options *options = &agent->options;
    const char **single[] = {&options->executor_command, &options->user, &options->tls_cert_pem,
                             &options->tls_key_pem};
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
        *single[i] = agent_keep(agent, agent_copy(*single[i]));
    options->environment = keep_strings(agent, options->environment);
    options->command_environment = keep_strings(agent, options->command_environment);
    if (!options->executor_command && options->executor_argv)
        options->executor_command = agent_keep(agent, launch_line(options->executor_argv));
    options->executor_argv = NULL;
    const char *framework =
        options->framework_id ? options->framework_id : "5c0ed1a9-6b0e-4f6c-9d0a-devagent-0000";
    const char *executor = options->executor_id ? options->executor_id : "devagent-executor";
    agent->framework_id = agent_keep(agent, agent_copy(framework));
    agent->executor_id = agent_keep(agent, agent_copy(executor));
    agent->agent_id = "5c0ed1a9-6b0e-4f6c-9d0a-devagent-S0";
    agent->container_id = "a2ad6b1c-5f5e-4c56-8f52-3f6d9d1b7c21";
}

int devagent_create(const struct devagent_options *options, struct devagent **ret_agent)
{
    struct devagent *agent = agent_alloc(sizeof(*agent));
    if (options)
        agent->options = *options;
    else
        devagent_options_init(&agent->options);
    agent->holder_fd = agent->tcp_fd = agent->unix_fd = agent->watch_fd = agent->container.fd = -1;
    agent->container.wait_status = -1;
    keep_options(agent);
    int r = launch_prepare(agent);
    if (r >= 0 && !agent->options.not_listening)
        r = devagent_listen(agent, 0);
    if (r < 0) {
        devagent_destroy(agent);
        return r;
    }
    *ret_agent = agent;
    return 0;
}

static void free_message(void *arg)
{
    ProtobufCBinaryData *message = arg;
    free(message->data);
    free(message);
}

static void free_books(struct devagent *agent)
{
    list_clear(&agent->queue, queued_launch_free);
    list_clear(&agent->pending_acks, NULL);
    list_clear(&agent->held_acks, NULL);
    list_clear(&agent->events, event_free);
    list_clear(&agent->updates, update_free);
    list_clear(&agent->calls, free);
    list_clear(&agent->mistakes, free);
    list_clear(&agent->tasks, task_free);
    list_clear(&agent->subscribes, subscribe_free);
    list_clear(&agent->messages, free_message);
    list_clear(&agent->faults, fault_free);
    list_clear(&agent->timers, free);
    list_clear(&agent->strings, free);
}

void devagent_destroy(struct devagent *agent)
{
    if (!agent)
        return;
    agent->options.notice = NULL;
    container_end(&agent->container);
    agent_unbind(agent);
    launch_clean(agent);
    free_books(agent);
    free(agent);
}

/* ---- loop ---- */

/* What the loop polls: a few descriptors of its own, then the connections that the HTTP server does not look
 * at. */
enum { POLL_TCP, POLL_UNIX, POLL_PLAIN, POLL_SECURE, POLL_CONTAINER, POLL_WATCH, POLL_FIXED };

static int server_fd(struct MHD_Daemon *daemon)
{
    const union MHD_DaemonInfo *info = daemon ? MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    return info ? info->epoll_fd : -1;
}

static size_t fill_polls(const struct devagent *agent, struct pollfd *polls)
{
    size_t count = POLL_FIXED;
    polls[POLL_TCP] = (struct pollfd){.fd = agent->tcp_fd, .events = POLLIN};
    polls[POLL_UNIX] = (struct pollfd){.fd = agent->unix_fd, .events = POLLIN};
    polls[POLL_PLAIN] = (struct pollfd){.fd = server_fd(agent->plain), .events = POLLIN};
    polls[POLL_SECURE] = (struct pollfd){.fd = server_fd(agent->secure), .events = POLLIN};
    polls[POLL_CONTAINER] = (struct pollfd){.fd = agent->container.fd, .events = POLLIN};
    polls[POLL_WATCH] = (struct pollfd){.fd = agent->watch_fd, .events = POLLIN};
    for (size_t i = 0; i < agent->connections.count; i++) {
        const struct connection *connection = agent->connections.items[i];
        if (connection->suspended)
            polls[count++] = (struct pollfd){.fd = connection->fd, .events = POLLRDHUP};
    }
    return count;
}

static void end_hung_up(struct devagent *agent, const struct pollfd *polls, size_t count)
{
    for (size_t i = 0; i < agent->connections.count; i++) {
        struct connection *connection = agent->connections.items[i];
        for (size_t k = POLL_FIXED; connection->suspended && k < count; k++) {
            if (polls[k].fd == connection->fd && polls[k].revents) {
                connection->gone = true;
                connection_resume(connection);
            }
        }
    }
}

static void read_container(struct devagent *agent)
{
    bool had_exited = devagent_has_exited(agent);
    container_read(&agent->container);
    if (had_exited || !devagent_has_exited(agent))
        return;
    int status = agent->container.wait_status;
    if (WIFSIGNALED(status))
        agent_say(agent, "the executor was ended by signal %d (%s)", WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    else
        agent_say(agent, "the executor left with exit code %d", WEXITSTATUS(status));
}

static void handle_polls(struct devagent *agent, const struct pollfd *polls, size_t count)
{
    end_hung_up(agent, polls, count);
    if (polls[POLL_TCP].revents)
        agent_accept(agent, agent->tcp_fd);
    if (polls[POLL_UNIX].revents)
        agent_accept(agent, agent->unix_fd);
    if (polls[POLL_CONTAINER].revents)
        read_container(agent);
    if (polls[POLL_WATCH].revents && agent->watch)
        agent->watch(agent, agent->watch_arg);
}

int devagent_pump(struct devagent *agent, int64_t timeout_ms)
{
    int64_t now = devagent_now_ns(), until = timeout_ms < 0 ? INT64_MAX : now + timeout_ms * NS_PER_MS;
    size_t noticed = agent->notice_count;
    while (run_timer(agent))
        ;
    int64_t server = agent_run_server(agent);
    /* something has happened already: the caller may have waited for just that */
    if (agent->notice_count != noticed)
        until = now;
    if (server >= 0 && now + server * NS_PER_MS < until)
        until = now + server * NS_PER_MS;
    until = next_due(agent, until);

    struct pollfd *polls = agent_alloc((POLL_FIXED + agent->connections.count) * sizeof(*polls));
    size_t count = fill_polls(agent, polls);
    int64_t left = until - devagent_now_ns();
    left = left < 0 ? 0 : left;
    struct timespec span = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    int r = ppoll(polls, count, until == INT64_MAX ? NULL : &span, NULL);
    if (r > 0)
        handle_polls(agent, polls, count);
    free(polls);
    (void)agent_run_server(agent);
    return r < 0 && errno != EINTR ? -errno : 0;
}

void devagent_watch(struct devagent *agent, int fd, void (*callback)(struct devagent *agent, void *arg),
                    void *arg)
{
    agent->watch_fd = fd;
    agent->watch = callback;
    agent->watch_arg = arg;
}

/* ---- waits ---- */

int devagent_run_until(struct devagent *agent, devagent_predicate *predicate, void *arg, int64_t timeout_ms)
{
    int64_t deadline = devagent_now_ns() + timeout_ms * NS_PER_MS;
    while (!predicate(agent, arg)) {
        int64_t left = deadline - devagent_now_ns();
        if (left <= 0)
            return -ETIMEDOUT;
        int r = devagent_pump(agent, left / NS_PER_MS + 1);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool never(struct devagent *agent, void *arg)
{
    (void)agent, (void)arg;
    return false;
}

void devagent_run_for(struct devagent *agent, int64_t span_ms)
{
    (void)devagent_run_until(agent, never, NULL, span_ms);
}

struct wanted_count {
    size_t (*count)(const struct devagent *agent);
    size_t wanted;
};

static bool has_count(struct devagent *agent, void *arg)
{
    const struct wanted_count *wanted = arg;
    return wanted->count(agent) >= wanted->wanted;
}

static int wait_count(struct devagent *agent, size_t (*count)(const struct devagent *agent), size_t wanted,
                      int64_t timeout_ms)
{
    struct wanted_count arg = {.count = count, .wanted = wanted};
    return devagent_run_until(agent, has_count, &arg, timeout_ms);
}

int devagent_wait_subscribes(struct devagent *agent, size_t count, int64_t timeout_ms)
{
    return wait_count(agent, devagent_subscribe_count, count, timeout_ms);
}

int devagent_wait_updates(struct devagent *agent, size_t count, int64_t timeout_ms)
{
    return wait_count(agent, devagent_update_count, count, timeout_ms);
}

int devagent_wait_calls(struct devagent *agent, size_t count, int64_t timeout_ms)
{
    return wait_count(agent, devagent_call_count, count, timeout_ms);
}

static bool is_subscribed(struct devagent *agent, void *arg)
{
    (void)arg;
    return devagent_is_subscribed(agent);
}

int devagent_wait_subscribed(struct devagent *agent, int64_t timeout_ms)
{
    return devagent_run_until(agent, is_subscribed, NULL, timeout_ms);
}

static bool has_exited(struct devagent *agent, void *arg)
{
    (void)arg;
    return devagent_has_exited(agent);
}

int devagent_wait_exit(struct devagent *agent, int64_t timeout_ms)
{
    return devagent_run_until(agent, has_exited, NULL, timeout_ms);
}

struct wanted_text {
    const char *file, *text;
};

static bool file_has_text(const struct devagent *agent, const struct wanted_text *wanted)
{
    char *content = devagent_read_file(agent, wanted->file);
    bool found = strstr(content, wanted->text) != NULL;
    free(content);
    return found;
}

/* A file does not wake the loop: it is looked at every few milliseconds. */
int devagent_wait_file(struct devagent *agent, const char *name, const char *text, int64_t timeout_ms)
{
    struct wanted_text wanted = {.file = name, .text = text};
    int64_t deadline = devagent_now_ns() + timeout_ms * NS_PER_MS;
    while (!file_has_text(agent, &wanted)) {
        if (devagent_now_ns() >= deadline)
            return -ETIMEDOUT;
        (void)devagent_pump(agent, 5);
    }
    return 0;
}

struct wanted_state {
    const char *task_id;
    Mesos__V1__TaskState state;
    const struct devagent_update *found;
};

static bool has_state(struct devagent *agent, void *arg)
{
    struct wanted_state *wanted = arg;
    for (size_t i = 0; !wanted->found && i < agent->updates.count; i++) {
        const struct devagent_update *update = devagent_update_at(agent, i);
        bool counts = update->fate == DEVAGENT_FATE_STORED || update->fate == DEVAGENT_FATE_UNKNOWN;
        if (counts && update->state == wanted->state && strcmp(update->task_id, wanted->task_id) == 0)
            wanted->found = update;
    }
    return wanted->found != NULL;
}

const struct devagent_update *devagent_wait_state(struct devagent *agent, const char *task_id,
                                                  Mesos__V1__TaskState state, int64_t timeout_ms)
{
    struct wanted_state wanted = {.task_id = task_id, .state = state};
    (void)devagent_run_until(agent, has_state, &wanted, timeout_ms);
    return wanted.found;
}
