/*
 * A helper's life, seen from the supervisor.
 *
 * A helper is never waited for and never trusted: it has a deadline to greet, a deadline for each sign of
 * life, and what it says is judged by the message list. Whatever it does wrong has one consequence: it is
 * killed and replaced. One that has been useful is replaced at once, one that dies before that is throttled.
 */
#include "supervisor/compartment.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bsd/unistd.h>

#include "common/channel.h"
#include "common/helper.h"
#include "common/log.h"
#include "proto/bulkhead.pb-c.h"

/* Half of the time that session.c gives a new agent-client to be subscribed: one that hangs at its birth must
 * leave another the time. */
#define GREETING_TIMEOUT (5 * LOOP_SECOND)
#define PING_INTERVAL (10 * LOOP_SECOND) /* when idle */
#define IDLE_TIMEOUT (10 * LOOP_SECOND)  /* for the answer to such a ping */
#define REQUEST_TIMEOUT (3 * LOOP_SECOND)
#define STOPPED_TIMEOUT LOOP_SECOND
/* A process that SIGKILL has not ended by then is in the kernel's hands: its successor does not wait for it.
 */
#define REAP_TIMEOUT (2 * LOOP_SECOND)
#define SHORTEST_DELAY (100 * (int64_t)LOOP_MS)
#define LONGEST_DELAY (5 * LOOP_SECOND)

enum { FILLS_A_TURN = 32 }; /* a flood must not keep the loop from its timers */

enum life { DOWN, GREETING, READY, DYING };

struct compartment {
    struct loop *loop;
    const struct compartment_definition *definition;
    enum life life;
    pid_t pid;
    uint32_t generation;
    struct channel *channel;
    bool useful;
    bool stopped;  /* by a signal: what it still says it said before */
    int64_t delay; /* before the next start */
    uint32_t ping; /* id of the one that is not answered, 0 for none */
    uint32_t last_ping;
    struct loop_timer
        timer; /* to greet, to be asked or to answer, to be reaped, to be started: one at a time */
};

static const char *name_of(const struct compartment *self)
{
    return message_role_name(self->definition->role);
}

static void arm(struct compartment *self, int64_t span)
{
    loop_timer_arm(self->loop, &self->timer, loop_now() + span);
}

/* --- the end of one
 * --------------------------------------------------------------------------------------------------- */

static void close_channel(struct compartment *self)
{
    if (self->channel == NULL)
        return;
    loop_unwatch(self->loop, channel_socket(self->channel));
    channel_free(self->channel);
    self->channel = NULL;
}

static int64_t next_delay(struct compartment *self)
{
    if (self->useful) {
        self->delay = 0;
        return 0;
    }
    int64_t delay = self->delay == 0 ? SHORTEST_DELAY : self->delay * 2;
    self->delay = delay < LONGEST_DELAY ? delay : LONGEST_DELAY;
    return self->delay;
}

static void end(struct compartment *self)
{
    bool was_alive = self->life == GREETING || self->life == READY;
    close_channel(self);
    self->ping = 0;
    self->life = DYING;
    arm(self, REAP_TIMEOUT);
    if (was_alive && self->definition->lost != NULL)
        self->definition->lost(self->definition->self);
}

/* The process is an unreaped child: its pid is its own. */
static void give_up(struct compartment *self, const char *why, int error)
{
    if (self->life != GREETING && self->life != READY)
        return;
    log_error("giving a helper up; a new one takes its place", LOG_STR("helper", name_of(self)),
              LOG_INT("helper_pid", self->pid), LOG_STR("why", why), LOG_ERRNO(error));
    kill(self->pid, SIGKILL);
    end(self);
}

/* --- signs of life
 * ---------------------------------------------------------------------------------------------------- */

static int ask(struct compartment *self, int64_t timeout)
{
    if (self->ping == 0) {
        if (++self->last_ping == 0)
            self->last_ping = 1;
        int r = channel_send(self->channel, MESSAGE_PING, self->last_ping, NULL, -1);
        if (r < 0)
            return r;
        self->ping = self->last_ping;
        arm(self, timeout);
    } else if (self->timer.at > loop_now() + timeout) {
        arm(self, timeout); /* an earlier deadline stands */
    }
    return 0;
}

static int take_pong(struct compartment *self, uint32_t id)
{
    if (self->ping == 0 || id != self->ping)
        return -EPROTO;
    self->ping = 0;
    if (self->stopped)
        return ask(self, STOPPED_TIMEOUT);
    arm(self, PING_INTERVAL);
    return 0;
}

/* --- the conversation
 * ------------------------------------------------------------------------------------------------- */

static void watch(struct compartment *self);

static int send_configuration(struct compartment *self)
{
    enum { MOST = CONFIG_COUNT };
    Bulkhead__Setting settings[MOST];
    Bulkhead__Setting *pointers[MOST];
    Bulkhead__Configure configure = BULKHEAD__CONFIGURE__INIT;
    configure.settings = pointers;
    size_t cursor = 0;
    const char *name, *text;
    while (configure.n_settings < MOST &&
           config_next_for(self->definition->config, self->definition->receiver, &cursor, &name, &text)) {
        Bulkhead__Setting *setting = &settings[configure.n_settings];
        bulkhead__setting__init(setting);
        setting->name = (char *)(uintptr_t)name;
        setting->value = (char *)(uintptr_t)text;
        pointers[configure.n_settings++] = setting;
    }
    return channel_send(self->channel, MESSAGE_CONFIGURE, 0, &configure.base, -1);
}

static int on_hello(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct compartment *self = arg;
    const Bulkhead__Hello *hello = (const void *)body;
    if (!hello->has_protocol || hello->protocol != MESSAGE_PROTOCOL) {
        log_error("a helper speaks another protocol: all programs must be of one version",
                  LOG_STR("helper", name_of(self)), LOG_UINT("protocol", hello->protocol),
                  LOG_UINT("expected", MESSAGE_PROTOCOL), LOG_STR("version", hello->version));
        return -EPROTO;
    }
    int r = send_configuration(self);
    if (r < 0)
        return r;
    channel_set_phase(self->channel, PHASE_RUNNING);
    self->life = READY;
    arm(self, PING_INTERVAL);
    if (self->stopped && (r = ask(self, STOPPED_TIMEOUT)) < 0)
        return r;
    log_info("helper ready", LOG_STR("helper", name_of(self)), LOG_INT("helper_pid", self->pid),
             LOG_STR("version", hello->version));
    if (self->definition->ready != NULL)
        self->definition->ready(self->definition->self);
    return 0;
}

static int dispatch(struct compartment *self, const struct channel_message *message)
{
    static const struct message_handler greeting[] = {{MESSAGE_HELLO, on_hello}, {0}};
    log_debug("message", LOG_STR("from", name_of(self)), LOG_STR("type", message_name(message->type)),
              LOG_UINT("bytes", message->length));
    if (message->type == MESSAGE_PONG)
        return message->length == 0 ? take_pong(self, message->id) : -EPROTO;
    if (self->life == GREETING)
        return message_dispatch(greeting, self, message->type, message->id, message->body, message->length,
                                message->descriptor);
    return message_dispatch(self->definition->handlers, self->definition->self, message->type, message->id,
                            message->body, message->length, message->descriptor);
}

/* A handler may have given the helper up: then there is no channel any more. */
static int handle_messages(struct compartment *self)
{
    struct channel_message message;
    int r = 0;
    while (self->channel != NULL && (r = channel_next(self->channel, &message)) > 0) {
        r = dispatch(self, &message);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : 0;
}

static void on_ready(void *arg, int socket, short events)
{
    (void)socket;
    struct compartment *self = arg;
    if ((events & POLLOUT) != 0 && channel_flush(self->channel) < 0) {
        give_up(self, "it does not take what is sent", 0);
        return;
    }
    for (int i = 0; i < FILLS_A_TURN && (events & (POLLIN | POLLHUP | POLLERR)) != 0 && self->channel != NULL;
         i++) {
        int r = channel_fill(self->channel);
        if (r == -EAGAIN)
            break;
        if (r <= 0) {
            give_up(self, "it has closed the channel", r);
            return;
        }
        r = handle_messages(self);
        if (r < 0) {
            give_up(self, "it broke the rules of the channel", r);
            return;
        }
    }
    watch(self);
}

static void watch(struct compartment *self)
{
    if (self->channel == NULL)
        return;
    int r =
        loop_watch(self->loop, channel_socket(self->channel), channel_events(self->channel), on_ready, self);
    if (r < 0)
        give_up(self, "it cannot be listened to", r);
}

/* --- the beginning of one
 * --------------------------------------------------------------------------------------------- */

static _Noreturn void exec_helper(const struct compartment *self, int socket, pid_t supervisor)
{
    char argument[HELPER_ARGUMENT_LENGTH + 1];
    helper_argument_format(self->generation, argument);
    const char *argv[] = {name_of(self), argument, NULL};

    sigset_t none;
    sigemptyset(&none);
    for (int signal_number = 1; signal_number < NSIG; signal_number++)
        signal(signal_number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != supervisor)
        _exit(127);

    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        _exit(127);
    /* dup2 onto itself would leave close-on-exec set. */
    int kept = socket == HELPER_SOCKET ? dup(socket) : socket;
    if (kept < 0 || dup2(kept, HELPER_SOCKET) < 0)
        _exit(127);
    closefrom(HELPER_SOCKET + 1);
    execve(self->definition->program, (char *const *)(uintptr_t)argv,
           (char *const *)(uintptr_t)self->definition->environment);
    log_error("cannot execute the helper", LOG_STR("program", self->definition->program), LOG_ERRNO(errno));
    _exit(127);
}

static int open_channel(struct compartment *self, int socket)
{
    struct channel_options options = {.self = ROLE_SUPERVISOR,
                                      .peer = self->definition->role,
                                      .generation = self->generation,
                                      .high_water = self->definition->high_water};
    return channel_new(socket, &options, &self->channel);
}

static int spawn(struct compartment *self)
{
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return -errno;
    if (++self->generation == 0)
        self->generation = 1;
    pid_t supervisor = getpid();
    int r = open_channel(self, sockets[0]);
    if (r < 0)
        close(sockets[0]);
    pid_t pid = r == 0 ? fork() : -1;
    if (pid == 0)
        exec_helper(self, sockets[1], supervisor);
    if (r == 0 && pid < 0)
        r = -errno;
    close(sockets[1]);
    if (r < 0) {
        close_channel(self);
        return r;
    }
    self->pid = pid;
    self->stopped = false;
    return 0;
}

void compartment_start(struct compartment *self)
{
    self->useful = false;
    int r = spawn(self);
    if (r < 0) {
        int64_t delay = next_delay(self);
        log_error("cannot start a helper", LOG_STR("helper", name_of(self)), LOG_ERRNO(r),
                  LOG_DURATION("next_try_in", delay));
        self->life = DOWN;
        arm(self, delay);
        return;
    }
    self->life = GREETING;
    arm(self, GREETING_TIMEOUT);
    watch(self);
}

static void on_timer(void *arg)
{
    struct compartment *self = arg;
    switch (self->life) {
    case DOWN:
        compartment_start(self);
        return;
    case GREETING:
        give_up(self, "it did not greet in time", 0);
        return;
    case DYING:
        log_error("a killed helper does not end; starting another", LOG_STR("helper", name_of(self)),
                  LOG_INT("helper_pid", self->pid));
        self->pid = 0;
        compartment_start(self);
        return;
    case READY:
        break;
    }
    if (self->ping != 0)
        give_up(self, "it gave no sign of life in time", 0);
    else if (ask(self, IDLE_TIMEOUT) < 0)
        give_up(self, "it cannot be asked for a sign of life", 0);
    else
        watch(self);
}

struct compartment *compartment_new(struct loop *loop, const struct compartment_definition *definition)
{
    struct compartment *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return NULL;
    self->loop = loop;
    self->definition = definition;
    loop_timer_init(&self->timer, on_timer, self);
    return self;
}

void compartment_free(struct compartment *self)
{
    if (self == NULL)
        return;
    loop_timer_disarm(self->loop, &self->timer);
    close_channel(self);
    if (self->pid != 0)
        kill(self->pid, SIGKILL);
    free(self);
}

bool compartment_is_ready(const struct compartment *self)
{
    return self->life == READY;
}

int compartment_send(struct compartment *self, enum message_type type, const ProtobufCMessage *body,
                     int descriptor)
{
    if (self->life != READY) {
        if (descriptor >= 0)
            close(descriptor);
        return -ENOTCONN;
    }
    int r = channel_send(self->channel, type, 0, body, descriptor);
    if (r == 0)
        r = ask(self, REQUEST_TIMEOUT);
    if (r < 0)
        give_up(self, "it cannot be told what it has to know", r);
    else
        watch(self);
    return r;
}

void compartment_mark_useful(struct compartment *self)
{
    self->useful = true;
}

static void report_death(const struct compartment *self, int wait_status)
{
    if (self->life == DYING)
        return;
    if (WIFSIGNALED(wait_status))
        log_error("a helper was killed; a new one takes its place", LOG_STR("helper", name_of(self)),
                  LOG_INT("helper_pid", self->pid), LOG_INT("signal", WTERMSIG(wait_status)));
    else
        log_error("a helper has ended; a new one takes its place", LOG_STR("helper", name_of(self)),
                  LOG_INT("helper_pid", self->pid), LOG_INT("exit_code", WEXITSTATUS(wait_status)));
}

/* Somebody may only be looking at it: it has a moment to go on. */
static void take_stop(struct compartment *self)
{
    self->stopped = true;
    if (self->life == GREETING)
        arm(self, STOPPED_TIMEOUT);
    else if (self->life == READY && ask(self, STOPPED_TIMEOUT) < 0)
        give_up(self, "it has stopped", 0);
}

bool compartment_take_reaped(struct compartment *self, pid_t pid, int wait_status)
{
    if (self->pid != pid)
        return false;
    if (WIFSTOPPED(wait_status)) {
        take_stop(self);
        return true;
    }
    if (WIFCONTINUED(wait_status)) {
        self->stopped = false;
        if (self->life == GREETING)
            arm(self, GREETING_TIMEOUT);
        return true;
    }
    report_death(self, wait_status);
    if (self->life != DYING)
        end(self);
    self->pid = 0;
    self->life = DOWN;
    arm(self, next_delay(self));
    return true;
}

pid_t compartment_pid(const struct compartment *self)
{
    return self->pid;
}
