/*
 * The process that holds the executor and all that it ever forks, as a container would: a child subreaper in
 * between, so that a daemonised grandchild is still found, counted and killed, and so that nothing survives a
 * test that crashed: no process, and no sandbox either, which is why it is there before the executor.
 *
 * It talks to the agent over a socketpair, orders of one byte and small fixed reports, and does four things:
 * start the executor, reap, report the executor's end with the moment of it, and kill everything when asked
 * or when the agent's end of the socketpair closes. It must never outlive its tree, nor keep a descriptor of
 * the program that it was forked from.
 */
#include "tests/devagent/agent.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum order { ORDER_START = 's', ORDER_SWEEP = 'k' };

enum report_kind { REPORT_STARTED = 1, REPORT_EXITED, REPORT_SWEPT };

struct report {
    int kind;
    int value; /* pid, wait status, how many */
    int64_t time_ns;
};

/* ---- reading the tree ---- */

static bool is_dead(pid_t pid)
{
    char path[40], text[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return true;
    text[n] = '\0';
    const char *paren = strrchr(text, ')');
    return !paren || paren[1] == '\0' || strchr("ZXx", paren[2]) != NULL;
}

struct pids {
    pid_t *items;
    size_t count, max, total;
};

static void tree_add(struct pids *pids, pid_t pid);

/* The children of one thread: "pid pid pid ". */
static void tree_add_thread(struct pids *pids, pid_t pid, const char *tid)
{
    char path[300];
    snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)pid, tid);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    int child;
    while (fscanf(file, "%d", &child) == 1)
        tree_add(pids, child);
    fclose(file);
}

static void tree_add_children(struct pids *pids, pid_t pid)
{
    char path[40];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] != '.')
            tree_add_thread(pids, pid, entry->d_name);
    }
    closedir(dir);
}

static void tree_add(struct pids *pids, pid_t pid)
{
    if (!is_dead(pid)) {
        if (pids->count < pids->max)
            pids->items[pids->count++] = pid;
        pids->total++;
    }
    tree_add_children(pids, pid);
}

size_t container_processes(const struct container *container, pid_t *pids, size_t max)
{
    if (container->pid <= 0)
        return 0;
    struct pids found = {.max = pids ? max : 0};
    found.items = pids;
    tree_add_children(&found, container->pid);
    return found.total;
}

/* ---- inside the container ---- */

struct holder {
    struct container_plan plan;
    int fd, signals;
    pid_t executor; /* 0: not started */
};

static void send_report(const struct holder *holder, int kind, int value, int64_t time_ns)
{
    struct report report = {.kind = kind, .value = value, .time_ns = time_ns};
    (void)!send(holder->fd, &report, sizeof(report), MSG_NOSIGNAL);
}

/* Reaps what has ended. Returns false when there is no child left. */
static bool reap(const struct holder *holder)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0 && pid == holder->executor)
            send_report(holder, REPORT_EXITED, status, devagent_now_ns());
        if (pid <= 0)
            return pid == 0 || errno != ECHILD;
    }
}

/* Kills and reaps until nothing is left: what forks faster than one pass is caught by a later one. */
static size_t sweep(const struct holder *holder)
{
    static pid_t pids[4096];
    size_t most = 0;
    bool left;
    do {
        struct pids found = {.items = pids, .max = sizeof(pids) / sizeof(pids[0])};
        tree_add_children(&found, getpid());
        most = found.total > most ? found.total : most;
        for (size_t i = 0; i < found.count; i++)
            kill(pids[i], SIGKILL);
        left = reap(holder);
        if (left)
            nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    } while (left);
    return most;
}

_Noreturn static void fail(const char *what)
{
    dprintf(STDERR_FILENO, "devagent: %s: %s\n", what, strerror(errno));
    _exit(127);
}

static void become_user(const char *user)
{
    const struct passwd *entry = getpwnam(user);
    if (!entry)
        errno = ENOENT;
    if (!entry || initgroups(user, entry->pw_gid) < 0 || setgid(entry->pw_gid) < 0 ||
        setuid(entry->pw_uid) < 0)
        fail(user);
}

static void default_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn static void run_executor(const struct container_plan *plan)
{
    default_signals();
    umask(022);
    if (setsid() < 0 || chdir(plan->directory) < 0)
        fail(plan->directory);
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(plan->stdout_fd, STDOUT_FILENO) < 0 ||
        dup2(plan->stderr_fd, STDERR_FILENO) < 0)
        fail("standard streams");
    close_range(3, ~0U, 0);
    if (plan->user)
        become_user(plan->user);
    char *argv[] = {agent_copy("sh"), agent_copy("-c"), agent_copy(plan->command), NULL};
    execve("/bin/sh", argv, (char *const *)(uintptr_t)plan->environment);
    fail("/bin/sh");
}

/* Moves the three descriptors that are still needed to 3, 4 and 5 and closes all others. */
static void keep_only(int *fd, int *out, int *err)
{
    int *wanted[] = {fd, out, err};
    for (int i = 0; i < 3; i++)
        *wanted[i] = fcntl(*wanted[i], F_DUPFD_CLOEXEC, 64);
    for (int i = 0; i < 3; i++)
        *wanted[i] = dup3(*wanted[i], 3 + i, O_CLOEXEC);
    close_range(6, ~0U, 0);
}

static void start_executor(struct holder *holder)
{
    int64_t now = devagent_now_ns();
    pid_t pid = fork();
    if (pid == 0)
        run_executor(&holder->plan);
    holder->executor = pid;
    send_report(holder, REPORT_STARTED, pid, now);
}

static void obey(struct holder *holder, char order)
{
    if (order == ORDER_START)
        start_executor(holder);
    else if (order == ORDER_SWEEP)
        send_report(holder, REPORT_SWEPT, (int)sweep(holder), devagent_now_ns());
}

static void serve(struct holder *holder)
{
    for (;;) {
        struct pollfd polls[] = {{.fd = holder->fd, .events = POLLIN},
                                 {.fd = holder->signals, .events = POLLIN}};
        if (poll(polls, 2, -1) < 0 && errno != EINTR)
            return;
        struct signalfd_siginfo info;
        (void)!read(holder->signals, &info, sizeof(info));
        (void)reap(holder);
        char order;
        ssize_t n = recv(holder->fd, &order, 1, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return;
        if (n == 1)
            obey(holder, order);
    }
}

_Noreturn static void container_main(int fd, const struct container_plan *plan)
{
    struct holder holder = {.plan = *plan, .fd = fd};
    keep_only(&holder.fd, &holder.plan.stdout_fd, &holder.plan.stderr_fd);
    default_signals();
    setsid(); /* Ctrl-C at a terminal is for the program, not for us */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "container");
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    holder.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    serve(&holder);
    (void)sweep(&holder);
    /* the agent may have crashed, and its folder would stay */
    if (holder.plan.root)
        launch_remove_tree(holder.plan.root);
    _exit(0);
}

/* ---- the agent's side ---- */

static void take(struct container *container, const struct report *report)
{
    switch (report->kind) {
    case REPORT_STARTED:
        container->executor = report->value;
        container->started_ns = report->time_ns;
        break;
    case REPORT_EXITED:
        container->wait_status = report->value;
        container->exited_ns = report->time_ns;
        break;
    case REPORT_SWEPT:
        container->swept = true;
        container->swept_count = (size_t)report->value;
        break;
    }
}

/* One report, waiting for it when asked to. Returns false when there is none. */
static bool receive(struct container *container, int flags)
{
    struct report report;
    ssize_t n;
    do {
        n = recv(container->fd, &report, sizeof(report), flags);
    } while (n < 0 && errno == EINTR);
    if (n == sizeof(report)) {
        take(container, &report);
        return true;
    }
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close(container->fd); /* it never leaves first, so it was killed: nothing more will be heard */
        container->fd = -1;
    }
    return false;
}

int container_open(struct container *container, const struct container_plan *plan)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        container_main(pair[1], plan);
    int saved = errno;
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return -saved;
    }
    *container = (struct container){.pid = pid, .fd = pair[0], .wait_status = -1};
    return 0;
}

static void give_order(const struct container *container, char order)
{
    if (container->fd >= 0)
        (void)!send(container->fd, &order, 1, MSG_NOSIGNAL);
}

int container_start(struct container *container)
{
    give_order(container, ORDER_START);
    while (container->fd >= 0 && container->executor == 0)
        (void)receive(container, 0);
    return container->executor > 0 ? 0 : -EAGAIN;
}

void container_read(struct container *container)
{
    while (container->fd >= 0 && receive(container, MSG_DONTWAIT))
        ;
}

void container_sweep(struct container *container)
{
    container->swept = false;
    give_order(container, ORDER_SWEEP);
}

void container_end(struct container *container)
{
    if (container->pid <= 0)
        return;
    if (container->fd >= 0) {
        container_sweep(container);
        while (container->fd >= 0 && !container->swept)
            (void)receive(container, 0);
    }
    if (container->fd >= 0)
        close(container->fd);
    container->fd = -1;
    while (waitpid(container->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    container->pid = 0;
}
