/*
 * The keeper of one task.
 *
 * Everything the task forks is the keeper's descendant until it is dead: daemonised, in another session, or
 * orphaned. That is what makes "the tree is empty" a fact (waitpid says ECHILD) and not a guess. The keeper
 * never judges why a task ends: it reports, and acts on two orders. It parses nothing but /proc, holds no
 * secret, and outlives its tree by no step.
 *
 * When its socket closes the supervisor is dead: nobody reads reports any more, and the tree is killed.
 */
#include "supervisor/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bsd/unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "supervisor/tree.h"

/* SIGKILL is repeated, for what was missed in a fork storm, at growing intervals. */
#define FIRST_REPEAT (5 * (int64_t)LOOP_MS)
#define LONGEST_REPEAT (250 * (int64_t)LOOP_MS)
/* What is left is reported from the third repetition on: some 35 ms after the first SIGKILL. */
#define FIRST_REPORT (8 * FIRST_REPEAT)
enum { PASSES_A_SWEEP = 8 };
/* How often the tree is looked at for processes that are left alone with excluded names. */
#define LOOK_INTERVAL (100 * (int64_t)LOOP_MS)
/* Excluded processes that are alone get SIGKILL so long after their SIGTERM. */
#define EXCLUDED_GRACE LOOP_SECOND
/* Without a supervisor, what cannot be killed is left after this. */
#define ORPHAN_LIMIT (10 * LOOP_SECOND)

enum phase { WATCHING, TERMINATING, KILLING };

struct keeping {
    const struct keeper_terms *terms;
    int socket; /* to the supervisor, -1 when it is gone */
    int signals;
    int failure; /* the exec report of the main process, -1 when it is over */
    pid_t main_pid;
    int64_t repeat;
    enum phase phase;
    struct tree tree;
    int64_t wake_at; /* the next look or repetition, LOOP_NEVER for none */
    int64_t kill_excluded_at;
    int64_t leave_at;
};

/* The supervisor's queue is never full for long; if it does not read, it is dead or about to be. */
static void report(const struct keeping *self, const struct keeper_report *news)
{
    if (self->socket < 0)
        return;
    while (send(self->socket, news, sizeof(*news), MSG_NOSIGNAL) < 0 && errno == EINTR)
        continue;
}

/* --- becoming a keeper
 * ------------------------------------------------------------------------------------------------ */

static int open_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    return signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Standard input, output and error, and the socket moved down beside them, are all that stays open. */
static int keep_socket_only(int socket)
{
    int kept = STDERR_FILENO + 1;
    if (socket != kept && dup2(socket, kept) < 0)
        return -errno;
    fcntl(kept, F_SETFD, FD_CLOEXEC);
    closefrom(kept + 1);
    return kept;
}

static int become_keeper(struct keeping *self, pid_t supervisor)
{
    self->terms->forget_secrets(self->terms->arg);
    setproctitle("-keeper: %.100s", self->terms->task_id);
    prctl(PR_SET_NAME, "keeper");
    log_set_component("keeper");
    self->socket = keep_socket_only(self->socket);
    if (self->socket < 0)
        return self->socket;
    self->signals = open_signals();
    if (self->signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -errno;
    /* The closed socket tells of the supervisor's death; the signal wakes a keeper that somebody has stopped
     * to read it. */
    prctl(PR_SET_PDEATHSIG, SIGCONT);
    return getppid() == supervisor ? 0 : -ESRCH;
}

static int start_main(struct keeping *self)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return -errno;
    pid_t keeper = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        close(self->socket);
        close(self->signals);
        close(pipes[0]);
        launch_exec(self->terms->launch, keeper, pipes[1]);
    }
    close(pipes[1]);
    if (pid < 0) {
        int error = errno;
        close(pipes[0]);
        return -error;
    }
    self->main_pid = pid;
    self->failure = pipes[0];
    return 0;
}

static void report_start_failure(const struct keeping *self, const struct launch_failure *failure)
{
    struct keeper_report news = {.news = KEEPER_START_FAILED, .failure = *failure};
    launch_describe(self->terms->launch, failure, news.text, sizeof(news.text));
    report(self, &news);
}

/* The end of file means that the pipe was closed by a successful exec (or by a death that waitpid will tell
 * of). */
static void take_exec_report(struct keeping *self)
{
    struct launch_failure failure;
    ssize_t n = read(self->failure, &failure, sizeof(failure));
    if (n < 0 && errno == EINTR)
        return;
    close(self->failure);
    self->failure = -1;
    if (n == (ssize_t)sizeof(failure)) {
        report_start_failure(self, &failure);
        self->main_pid = 0; /* its exit is no news any more */
        return;
    }
    struct keeper_report news = {.news = KEEPER_STARTED, .pid = self->main_pid};
    report(self, &news);
}

/* --- the orders
 * ------------------------------------------------------------------------------------------------------- */

static bool is_excluded(const struct keeping *self, const struct tree_process *process)
{
    return tree_is_named(process, self->terms->excluded, self->terms->excluded_count);
}

/* A stopped process hears SIGTERM only when it is continued. */
static void terminate_one(const struct keeping *self, const struct tree_process *process)
{
    if (tree_signal(&self->tree, process, SIGTERM) == 0)
        tree_signal(&self->tree, process, SIGCONT);
}

static void order_terminate(struct keeping *self)
{
    if (self->phase != WATCHING)
        return;
    self->phase = TERMINATING;
    if (tree_scan(&self->tree) < 0)
        return;
    for (size_t i = 0; i < self->tree.count; i++)
        if (!is_excluded(self, &self->tree.processes[i]))
            terminate_one(self, &self->tree.processes[i]);
    if (self->terms->excluded_count > 0)
        self->wake_at = loop_now() + LOOK_INTERVAL;
}

static void report_remaining(struct keeping *self)
{
    struct keeper_report news = {.news = KEEPER_REMAINING};
    news.count = (uint32_t)tree_describe(&self->tree, news.text, sizeof(news.text));
    report(self, &news);
}

static bool reap(struct keeping *self);

/*
 * The dead are reaped between two passes: a storm that forks while it is killed would otherwise fill the
 * host's table of processes with them.
 */
static void kill_and_reap(struct keeping *self)
{
    for (int pass = 0; pass < PASSES_A_SWEEP; pass++) {
        int killed = tree_kill(&self->tree);
        if (killed < 0) /* who was found before the error is killed all the same */
            log_warning("cannot read the task's process tree; trying again",
                        LOG_STR("task", self->terms->task_id), LOG_ERRNO(killed));
        if (killed <= 0 || !reap(self))
            return;
    }
}

static void sweep(struct keeping *self)
{
    kill_and_reap(self);
    self->wake_at = loop_now() + self->repeat;
    /* What several SIGKILLs have not ended may stay: the supervisor has to be able to say what it is, and
     * under a SHUTDOWN it may give up soon. */
    if (self->repeat >= FIRST_REPORT)
        report_remaining(self);
    self->repeat = self->repeat * 2 < LONGEST_REPEAT ? self->repeat * 2 : LONGEST_REPEAT;
}

static void order_kill(struct keeping *self)
{
    if (self->phase == KILLING)
        return;
    self->phase = KILLING;
    self->repeat = FIRST_REPEAT;
    /* Where it is allowed: many that fork without end must not get more of the processor than the one that
     * kills them. */
    setpriority(PRIO_PROCESS, 0, -20);
    sweep(self);
}

static void supervisor_is_gone(struct keeping *self)
{
    close(self->socket);
    self->socket = -1;
    self->leave_at = loop_now() + ORPHAN_LIMIT;
    log_warning("the supervisor is gone; killing the task", LOG_STR("task", self->terms->task_id));
    order_kill(self);
}

static void take_order(struct keeping *self)
{
    char order;
    ssize_t n = recv(self->socket, &order, sizeof(order), MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0)
        supervisor_is_gone(self);
    else if (order == KEEPER_TERMINATE)
        order_terminate(self);
    else if (order == KEEPER_KILL)
        order_kill(self);
}

/* --- what happens by itself
 * ------------------------------------------------------------------------------------------- */

/*
 * Only excluded processes are left: now they get SIGTERM too, and a second to heed it. The supervisor's own
 * deadline may come before that.
 */
static void look_for_excluded(struct keeping *self)
{
    int64_t now = loop_now();
    self->wake_at = now + LOOK_INTERVAL;
    if (self->kill_excluded_at != LOOP_NEVER) {
        if (now >= self->kill_excluded_at)
            order_kill(self);
        return;
    }
    if (tree_scan(&self->tree) < 0)
        return;
    for (size_t i = 0; i < self->tree.count; i++)
        if (self->tree.processes[i].alive && !is_excluded(self, &self->tree.processes[i]))
            return;
    for (size_t i = 0; i < self->tree.count; i++)
        terminate_one(self, &self->tree.processes[i]);
    self->kill_excluded_at = now + EXCLUDED_GRACE;
}

static void wake(struct keeping *self)
{
    self->wake_at = LOOP_NEVER;
    if (self->phase == KILLING)
        sweep(self);
    else if (self->phase == TERMINATING)
        look_for_excluded(self);
}

static void report_exit(struct keeping *self, int wait_status)
{
    /* A main process that is dead has executed or failed before: what it wrote about that comes first. */
    if (self->failure >= 0)
        take_exec_report(self);
    if (self->main_pid == 0)
        return;
    self->main_pid = 0;
    struct keeper_report news = {.news = KEEPER_MAIN_EXITED, .wait_status = wait_status};
    report(self, &news);
}

/* Returns false when no child is left. */
static bool reap(struct keeping *self)
{
    for (;;) {
        int wait_status;
        pid_t pid = waitpid(-1, &wait_status, WNOHANG);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid == 0)
            return true;
        if (pid < 0)
            return errno != ECHILD;
        if (pid == self->main_pid)
            report_exit(self, wait_status);
    }
}

static void drain_signals(const struct keeping *self)
{
    struct signalfd_siginfo info;
    while (read(self->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        continue;
}

static int milliseconds_to(int64_t at)
{
    if (at == LOOP_NEVER)
        return -1;
    int64_t left = at - loop_now();
    return left <= 0 ? 0 : (int)((left + LOOP_MS - 1) / LOOP_MS);
}

static void wait_for_something(struct keeping *self)
{
    struct pollfd polls[] = {
        {.fd = self->socket, .events = POLLIN},
        {.fd = self->signals, .events = POLLIN},
        {.fd = self->failure, .events = POLLIN},
    };
    if (poll(polls, sizeof(polls) / sizeof(polls[0]), milliseconds_to(self->wake_at)) < 0)
        return;
    if (polls[2].revents != 0)
        take_exec_report(self);
    if (polls[1].revents != 0)
        drain_signals(self);
    if (polls[0].revents != 0)
        take_order(self);
}

static void keep(struct keeping *self)
{
    while (reap(self)) {
        wait_for_something(self);
        if (self->wake_at != LOOP_NEVER && loop_now() >= self->wake_at)
            wake(self);
        if (self->leave_at != LOOP_NEVER && loop_now() >= self->leave_at)
            return;
    }
    struct keeper_report news = {.news = KEEPER_TREE_EMPTY};
    report(self, &news);
}

static _Noreturn void run_keeper(const struct keeper_terms *terms, int socket, pid_t supervisor)
{
    struct keeping self = {.terms = terms, .socket = socket, .signals = -1, .failure = -1};
    int r = become_keeper(&self, supervisor);
    if (r == 0) {
        tree_init(&self.tree, getpid());
        r = start_main(&self);
    }
    if (r < 0) {
        struct launch_failure failure = {.stage = LAUNCH_SESSION, .error = -r};
        report_start_failure(&self, &failure);
    }
    keep(&self);
    tree_clear(&self.tree);
    _exit(0);
}

/* --- the supervisor's side
 * -------------------------------------------------------------------------------------------- */

int keeper_start(const struct keeper_terms *terms, struct keeper *ret_keeper)
{
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        return -errno;
    pid_t supervisor = getpid();
    pid_t pid = fork();
    if (pid == 0)
        run_keeper(terms, sockets[1], supervisor);
    int error = errno;
    close(sockets[1]);
    if (pid < 0) {
        close(sockets[0]);
        return -error;
    }
    *ret_keeper = (struct keeper){.pid = pid, .socket = sockets[0]};
    return 0;
}

int keeper_order(const struct keeper *keeper, enum keeper_order order)
{
    char word = (char)order;
    ssize_t n;
    do
        n = send(keeper->socket, &word, sizeof(word), MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/*
 * A keeper that ends with an order unread leaves ECONNRESET behind, which the kernel hands out once and
 * before what the keeper has said: its last words are still there.
 */
int keeper_receive(const struct keeper *keeper, struct keeper_report *ret_report)
{
    struct keeper_report news;
    ssize_t n;
    do
        n = recv(keeper->socket, &news, sizeof(news), MSG_DONTWAIT);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n < 0)
        return -errno;
    if (n == 0)
        return 0;
    if (n != (ssize_t)sizeof(news))
        return -EPROTO;
    news.text[sizeof(news.text) - 1] = '\0';
    *ret_report = news;
    return 1;
}
