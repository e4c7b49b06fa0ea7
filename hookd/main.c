/*
 * hookd: the compartment that runs hooks and network probes.
 *
 * Each job is done by a worker, a fork with a deadline and limits, so that whatever hangs, crashes, floods or
 * is taken over is killed and reported while the rest goes on. hookd itself only keeps the table of jobs, and
 * answers the supervisor at once. It may be killed between any two bytes: its workers die with it, and what
 * hooks have done is known to the supervisor. It must never wait for a worker, nor read what came from a
 * network.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/config.h"
#include "common/confine.h"
#include "common/helper.h"
#include "common/helper_link.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/title.h"
#include "hookd/jobs.h"
#include "hookd/privileges.h"
#include "hookd/worker.h"
#include "proto/bulkhead.pb-c.h"

/* A few tasks of the largest size; a supervisor that lets more lie than this is not alive. */
enum { HIGH_WATER = 256 * 1024 * 1024 };

struct daemon {
    int argc;
    char **argv;
    struct process_title title;
    uint32_t generation;
    pid_t supervisor;
    struct confine_result confinement;
    struct loop *loop;
    struct helper_link *link;
    struct config *config; /* NULL until CONFIGURE has come */
    int signals;           /* -1 before */
    struct workers *workers;
    struct jobs *jobs;
};

/* ---- what the supervisor says ---- */

static int add_setting(struct config *config, const Bulkhead__Setting *setting)
{
    if (setting->name == NULL || setting->value == NULL)
        return -EPROTO;
    int r = config_set_text(config, setting->name, setting->value, NULL);
    explicit_bzero(setting->value, strlen(setting->value)); /* some are secrets */
    return r;
}

/* A job may lie right behind CONFIGURE and be taken in the same turn: what it needs has to be there by then.
 */
static int begin_service(struct daemon *daemon)
{
    log_set_level(config_bool(daemon->config, CONFIG_DEBUG) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    if (privileges_drop_in_daemon(daemon->config, daemon->supervisor) < 0)
        return -EPIPE; /* the supervisor is gone */
    helper_link_set_running(daemon->link);
    return jobs_new(daemon->config, daemon->loop, daemon->link, daemon->workers, &daemon->jobs);
}

static int handle_configure(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct daemon *daemon = self;
    const Bulkhead__Configure *configure = (const Bulkhead__Configure *)body;
    if (daemon->config != NULL)
        return -EPROTO;
    int r = config_new(&daemon->config);
    for (size_t i = 0; r == 0 && i < configure->n_settings; i++)
        r = add_setting(daemon->config, configure->settings[i]);
    return r == 0 ? begin_service(daemon) : r;
}

static int handle_ping(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)body;
    (void)descriptor;
    struct daemon *daemon = self;
    helper_link_send(daemon->link, MESSAGE_PONG, id, NULL);
    return 0;
}

static int handle_hook_run(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct daemon *daemon = self;
    return jobs_take_run(daemon->jobs, (const Bulkhead__HookRun *)body);
}

static int handle_probe(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct daemon *daemon = self;
    return jobs_take_probe(daemon->jobs, (const Bulkhead__Probe *)body);
}

static int handle_job_cancel(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct daemon *daemon = self;
    return jobs_take_cancel(daemon->jobs, (const Bulkhead__JobCancel *)body);
}

static int handle_record_taken(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct daemon *daemon = self;
    return jobs_take_record_taken(daemon->jobs, (const Bulkhead__HookRecordTaken *)body);
}

static const struct message_handler handlers[] = {
    {MESSAGE_CONFIGURE, handle_configure},
    {MESSAGE_PING, handle_ping},
    {MESSAGE_HOOK_RUN, handle_hook_run},
    {MESSAGE_JOB_CANCEL, handle_job_cancel},
    {MESSAGE_HOOK_RECORD_TAKEN, handle_record_taken},
    {MESSAGE_PROBE, handle_probe},
    {0, NULL},
};

/* ---- the steps ---- */

enum { EXIT_USAGE = 2, STEP_DONE = -1 }; /* a step returns STEP_DONE, or the process's exit code */

static int check_start(struct daemon *daemon)
{
    if (helper_argument_parse(daemon->argc, daemon->argv, &daemon->generation) == 0) {
        daemon->title = process_title_init(daemon->argc, daemon->argv);
        process_title_set(&daemon->title, "hookd: starting");
        return STEP_DONE;
    }
    fputs("hookd is a part of Bulkhead's executor: supervisor starts it. There is nothing to run by hand.\n",
          stderr);
    return EXIT_USAGE;
}

static int open_log(struct daemon *daemon)
{
    (void)daemon;
    log_open("hookd", STDERR_FILENO, LOG_LEVEL_INFO);
    return STEP_DONE;
}

/* Before there is a secret to be read out of this process's memory or core. */
static int close_memory(struct daemon *daemon)
{
    struct confine_gap gap;
    daemon->supervisor = getppid();
    confine_begin(&daemon->confinement);
    for (size_t cursor = 0; confine_missing(&daemon->confinement, &cursor, &gap);)
        log_write(gap.is_not_offered ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
                  "a step of this process's confinement cannot be taken; going on without",
                  LOG_STR("step", gap.step), LOG_STR("leaves", gap.leaves), LOG_ERRNO(gap.error));
    return STEP_DONE;
}

static int no_memory(void)
{
    log_error("no memory; leaving");
    return EXIT_FAILURE;
}

static int open_channel(struct daemon *daemon)
{
    if (loop_new(&daemon->loop) < 0)
        return no_memory();
    const struct helper_link_options options = {
        .role = ROLE_HOOKD,
        .socket = HELPER_SOCKET,
        .generation = daemon->generation,
        .high_water = HIGH_WATER,
        .handlers = handlers,
        .self = daemon,
    };
    return helper_link_new(daemon->loop, &options, &daemon->link) == 0 ? STEP_DONE : no_memory();
}

static int greet(struct daemon *daemon)
{
    char version[] = BULKHEAD_VERSION;
    Bulkhead__Hello hello = BULKHEAD__HELLO__INIT;
    hello.has_protocol = 1;
    hello.protocol = MESSAGE_PROTOCOL;
    hello.version = version;
    helper_link_send(daemon->link, MESSAGE_HELLO, 0, &hello.base);
    return STEP_DONE;
}

/* How the conversation with the supervisor ended, or STEP_DONE while it has not. */
static int judge_link(const struct daemon *daemon)
{
    switch (helper_link_end(daemon->link)) {
    case HELPER_LINK_OPEN:
        return STEP_DONE;
    case HELPER_LINK_CLOSED:
        return EXIT_SUCCESS;
    case HELPER_LINK_BROKEN:
        break;
    }
    log_error("the conversation with the supervisor broke; leaving",
              LOG_STR("message", message_name(helper_link_error_message(daemon->link))),
              LOG_ERRNO(helper_link_error(daemon->link)));
    return EXIT_FAILURE;
}

static int prepare_workers(struct daemon *daemon)
{
    if (workers_new(daemon->loop, &daemon->title, &daemon->workers) < 0)
        return no_memory();
    return STEP_DONE;
}

static void on_children(void *arg, int descriptor, short events)
{
    (void)events;
    struct daemon *daemon = arg;
    struct signalfd_siginfo info;
    while (read(descriptor, &info, sizeof(info)) == (ssize_t)sizeof(info))
        continue;
    workers_reap(daemon->workers);
}

static int hear_of_children(struct daemon *daemon)
{
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored, no exit could be waited for */
    sigprocmask(SIG_BLOCK, &children, NULL);
    daemon->signals = signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
    if (daemon->signals < 0) {
        log_error("cannot hear of the end of workers; leaving", LOG_ERRNO(errno));
        return EXIT_FAILURE;
    }
    return loop_watch(daemon->loop, daemon->signals, POLLIN, on_children, daemon) == 0 ? STEP_DONE
                                                                                       : no_memory();
}

static int await_configuration(struct daemon *daemon)
{
    while (helper_link_end(daemon->link) == HELPER_LINK_OPEN && daemon->jobs == NULL)
        if (loop_once(daemon->loop) < 0)
            return no_memory();
    return judge_link(daemon);
}

static int serve(struct daemon *daemon)
{
    process_title_set(&daemon->title, "hookd");
    int r = helper_link_end(daemon->link) == HELPER_LINK_OPEN ? loop_run(daemon->loop) : 0;
    if (r < 0) {
        log_error("cannot wait for events; leaving", LOG_ERRNO(r));
        return EXIT_FAILURE;
    }
    return judge_link(daemon);
}

static int (*const steps[])(struct daemon *daemon) = {
    check_start,     open_log,         close_memory,        open_channel, greet,
    prepare_workers, hear_of_children, await_configuration, serve,
};

/* The workers first: nothing that they have started may outlive this process. */
static void clean_up(struct daemon *daemon)
{
    workers_free(daemon->workers);
    jobs_free(daemon->jobs);
    if (daemon->signals >= 0)
        close(daemon->signals);
    helper_link_free(daemon->link);
    loop_free(daemon->loop);
    config_free(daemon->config);
}

int main(int argc, char **argv)
{
    struct daemon daemon = {.argc = argc, .argv = argv, .signals = -1};
    int result = STEP_DONE;
    for (size_t i = 0; result == STEP_DONE && i < sizeof(steps) / sizeof(steps[0]); i++)
        result = steps[i](&daemon);
    clean_up(&daemon);
    return result == STEP_DONE ? EXIT_FAILURE : result;
}
