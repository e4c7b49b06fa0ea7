/*
 * The lives of workers, seen from hookd.
 *
 * A worker is not trusted: it has a deadline, limits, a bound on what it may say, and a process group of its
 * own. It is a child subreaper, so all that it has started is below it while it lives, and hookd's own
 * unknown child once it is dead: the first is stopped, rescanned and killed with it, the second killed
 * wherever it is met. Must never wait for a worker.
 */
#include "hookd/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bsd/unistd.h>

#include "common/buffer.h"
#include "common/helper.h"
#include "common/log.h"
#include "hookd/words.h"
#include "supervisor/strays.h"
#include "supervisor/tree.h"

enum {
    READ_SIZE = 16 * 1024,
    READS_A_TURN = 8,      /* a flood must not keep the loop from the channel */
    SAYS_MAX = 768 * 1024, /* bytes, so that a HOOK_RESULT with all of it is within its limit */
    RECORDS_MAX = 4096,    /* of one call: a service with that many ports does not exist */
    SHOWN_TEXT_SIZE = 4096,
};
#define LINGER (LOOP_SECOND / 2) /* from its last word to its exit */
#define SWEEP_SHORTEST (5 * (int64_t)LOOP_MS)
#define SWEEP_LONGEST                                                                                        \
    LOOP_SECOND /* what cannot be killed must not cost a turn of the loop each few milliseconds */
#define FAREWELL (2 * LOOP_SECOND)

struct workers {
    struct loop *loop;
    const struct process_title *title;
    struct worker *first;
    struct loop_timer sweep_timer;
    int64_t sweep_delay;
};

struct worker {
    struct worker *next;
    struct workers *workers;
    pid_t pid;  /* 0 once it is reaped */
    int socket; /* -1 once it has said what must not be said, or all */
    struct buffer input;
    size_t said;
    size_t records;
    bool awaits; /* a record's being taken */
    struct worker_plan plan;
    char late_text[64];
    bool is_over; /* reported or dropped: nothing more is said of it */
    bool has_last_word;
    bool success;
    unsigned status;
    char text[SHOWN_TEXT_SIZE];
    Bulkhead__Variable **variables;
    size_t variable_count;
    struct loop_timer timer; /* the deadline, or the end of LINGER */
};

/* ---- the end of one ---- */

static void close_socket(struct worker *worker)
{
    if (worker->socket < 0)
        return;
    loop_unwatch(worker->workers->loop, worker->socket);
    close(worker->socket);
    worker->socket = -1;
}

static void free_worker(struct worker *worker)
{
    close_socket(worker);
    loop_timer_disarm(worker->workers->loop, &worker->timer);
    buffer_clear(&worker->input);
    for (size_t i = 0; i < worker->variable_count; i++) {
        free(worker->variables[i]->name);
        free(worker->variables[i]->value);
        free(worker->variables[i]);
    }
    free(worker->variables);
    free(worker);
}

/* While it is our child and not reaped the pid is its own. Stopped first, it starts nothing while its tree is
 * read. */
static void kill_tree(const struct worker *worker)
{
    if (worker->pid <= 1)
        return;
    struct tree below;
    kill(worker->pid, SIGSTOP);
    tree_init(&below, worker->pid);
    tree_kill(&below);
    tree_clear(&below);
    kill(worker->pid, SIGKILL);
}

/* After this the worker may be used, but for its text and variables, as one that is over. */
static void report(struct worker *worker)
{
    if (worker->is_over)
        return;
    worker->is_over = true;
    loop_timer_disarm(worker->workers->loop, &worker->timer);
    const struct worker_outcome outcome = {
        .success = worker->success,
        .status = worker->status,
        .text = worker->text,
        .variables = worker->success ? worker->variables : NULL,
        .variable_count = worker->success ? worker->variable_count : 0,
    };
    worker->plan.ended(worker->plan.self, &outcome);
}

static void set_text(struct worker *worker, const char *text, size_t length)
{
    log_escape(worker->text, sizeof(worker->text), text, length);
}

static void report_failure(struct worker *worker, const char *text)
{
    worker->success = false;
    worker->status = 0;
    set_text(worker, text, strlen(text));
    report(worker);
}

/* Killed for what it says. */
static void condemn(struct worker *worker, const char *text)
{
    kill_tree(worker);
    close_socket(worker);
    report_failure(worker, text);
}

static void on_timer(void *arg)
{
    struct worker *worker = arg;
    kill_tree(worker);
    close_socket(worker);
    if (worker->has_last_word)
        report(worker);
    else
        report_failure(worker, worker->late_text);
}

void worker_drop(struct worker *worker)
{
    worker->is_over = true;
    loop_timer_disarm(worker->workers->loop, &worker->timer);
    kill_tree(worker);
    close_socket(worker);
}

/* ---- what it says ---- */

static int take_record(struct worker *worker, const struct worker_frame *frame)
{
    if (worker->awaits || ++worker->records > RECORDS_MAX)
        return -EPROTO;
    char key[WORKER_KEY_MAX + 1];
    memcpy(key, frame->text, frame->text_length);
    key[frame->text_length] = '\0';
    worker->awaits = true;
    worker->plan.record(worker->plan.self, key, frame->state);
    return 0;
}

static int take_variable(struct worker *worker, const struct worker_frame *frame)
{
    if (worker->variable_count == WORKER_VARIABLES_MAX)
        return -EPROTO;
    Bulkhead__Variable **variables =
        reallocarray(worker->variables, worker->variable_count + 1, sizeof(*variables));
    if (variables == NULL)
        return -ENOMEM;
    worker->variables = variables;
    Bulkhead__Variable *variable = calloc(1, sizeof(*variable));
    if (variable == NULL)
        return -ENOMEM;
    bulkhead__variable__init(variable);
    variable->name = strndup(frame->name, frame->name_length);
    variable->value = strndup(frame->text, frame->text_length);
    variables[worker->variable_count++] = variable;
    return variable->name != NULL && variable->value != NULL ? 0 : -ENOMEM;
}

static int take_last_word(struct worker *worker, const struct worker_frame *frame)
{
    worker->has_last_word = true;
    worker->success = frame->success;
    worker->status = frame->status;
    set_text(worker, frame->text, frame->text_length);
    int64_t end = loop_now() + LINGER;
    if (worker->timer.at == LOOP_NEVER || worker->timer.at > end)
        loop_timer_arm(worker->workers->loop, &worker->timer, end);
    return 0;
}

static int take_frame(struct worker *worker, const struct worker_frame *frame)
{
    if (worker->has_last_word)
        return -EPROTO;
    if (frame->type == worker->plan.last_word)
        return take_last_word(worker, frame);
    if (worker->plan.last_word != WORKER_HOOK_DONE)
        return -EPROTO;
    switch (frame->type) {
    case WORKER_RECORD:
        return take_record(worker, frame);
    case WORKER_VARIABLE:
        return take_variable(worker, frame);
    case WORKER_HOOK_DONE:
    case WORKER_PROBED:
        break;
    }
    return -EPROTO;
}

/* A function of the plan may have dropped the worker meanwhile. */
static int take_frames(struct worker *worker)
{
    struct worker_frame frame;
    int r = 0;
    while (!worker->is_over && (r = worker_frame_parse(buffer_bytes(&worker->input),
                                                       buffer_length(&worker->input), &frame)) > 0) {
        size_t size = (size_t)r;
        r = take_frame(worker, &frame);
        if (r < 0)
            return r;
        buffer_consume(&worker->input, size);
    }
    return r;
}

/* Returns 1 when something has come, 0 when nothing waits or nothing more will come, or a negative errno. */
static int read_some(struct worker *worker)
{
    unsigned char *space;
    int r = buffer_reserve(&worker->input, READ_SIZE, &space);
    if (r < 0)
        return r;
    ssize_t n = recv(worker->socket, space, READ_SIZE, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        close_socket(worker); /* what it does now without a word ends with its deadline */
        return 0;
    }
    buffer_commit(&worker->input, (size_t)n);
    worker->said += (size_t)n;
    return worker->said > SAYS_MAX ? -ENOBUFS : 1;
}

static void listen_to(struct worker *worker)
{
    int r = 1;
    for (int i = 0; i < READS_A_TURN && r > 0 && worker->socket >= 0 && !worker->is_over; i++) {
        r = read_some(worker);
        int taken = r > 0 ? take_frames(worker) : 0;
        if (taken < 0)
            r = taken;
    }
    if (r >= 0 || worker->is_over)
        return;
    if (r == -ENOMEM)
        condemn(worker, "what it says does not fit into memory; killed");
    else if (r == -ENOBUFS)
        condemn(worker, "its worker says more than it may; killed");
    else
        condemn(worker, "its worker says what it must not; killed");
}

static void on_socket(void *arg, int descriptor, short events)
{
    (void)descriptor;
    (void)events;
    listen_to(arg);
}

void worker_take_record(struct worker *worker)
{
    if (!worker->awaits || worker->socket < 0)
        return;
    worker->awaits = false;
    unsigned char taken = WORKER_RECORD_TAKEN;
    /* One byte at a time, and only to a worker that waits for it: there is room. */
    send(worker->socket, &taken, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- in the worker ---- */

static int set_limit(__rlimit_resource_t resource, rlim_t most)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) < 0)
        return -errno;
    rlim_t value = limit.rlim_max < most ? limit.rlim_max : most;
    limit = (struct rlimit){.rlim_cur = value, .rlim_max = value};
    return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    signal(SIGPIPE, SIG_IGN); /* a server that closes is an error to a library, not its end */
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int take_limits(const struct worker_plan *plan)
{
    int r = set_limit(RLIMIT_CORE, 0);
    if (r == 0)
        r = set_limit(RLIMIT_NOFILE, plan->open_files);
#ifndef BULKHEAD_SANITIZE /* whose own memory is far beyond any limit */
    if (r == 0)
        r = set_limit(RLIMIT_DATA, plan->memory);
#endif
    return r;
}

static _Noreturn void be_worker(const struct workers *workers, const struct worker_plan *plan, int socket,
                                pid_t hookd)
{
    setpgid(0, 0);
    reset_signals();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (getppid() != hookd)
        _exit(127);
    struct worker_end end = {.socket = HELPER_SOCKET};
    /* In the channel's place, which is closed by that. */
    if (dup3(socket, HELPER_SOCKET, O_CLOEXEC) < 0)
        _exit(127);
    closefrom(HELPER_SOCKET + 1);
    process_title_set(workers->title, plan->title);
    log_set_component("hookd worker");
    if (take_limits(plan) < 0)
        _exit(127);
    plan->run(plan->arg, &end);
    _exit(0);
}

/* ---- the beginning of one ---- */

static int fork_worker(struct worker *worker)
{
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return -errno;
    pid_t hookd = getpid();
    pid_t pid = fork();
    if (pid == 0)
        be_worker(worker->workers, &worker->plan, sockets[1], hookd);
    int r = pid < 0 ? -errno : 0;
    close(sockets[1]);
    if (r < 0) {
        close(sockets[0]);
        return r;
    }
    setpgid(pid, pid); /* whoever of the two is first */
    worker->pid = pid;
    worker->socket = sockets[0];
    return 0;
}

static struct worker *new_worker(struct workers *workers, const struct worker_plan *plan)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL)
        return NULL;
    worker->workers = workers;
    worker->socket = -1;
    worker->plan = *plan;
    snprintf(worker->late_text, sizeof(worker->late_text), "%s", plan->late_text);
    worker->plan.late_text = worker->late_text;
    buffer_init(&worker->input, SAYS_MAX + READ_SIZE);
    loop_timer_init(&worker->timer, on_timer, worker);
    return worker;
}

int workers_start(struct workers *workers, const struct worker_plan *plan, struct worker **ret_worker)
{
    struct worker *worker = new_worker(workers, plan);
    if (worker == NULL)
        return -ENOMEM;
    int r = fork_worker(worker);
    if (r < 0) {
        free_worker(worker);
        return r;
    }
    worker->next = workers->first;
    workers->first = worker;
    if (plan->deadline != LOOP_NEVER)
        loop_timer_arm(workers->loop, &worker->timer, plan->deadline);
    *ret_worker = worker;
    r = loop_watch(workers->loop, worker->socket, POLLIN, on_socket, worker);
    if (r < 0)
        worker_drop(worker);
    return r;
}

/* ---- what is left behind ---- */

static bool is_known(void *arg, pid_t pid)
{
    const struct workers *workers = arg;
    const struct worker *worker = workers->first;
    while (worker != NULL && worker->pid != pid)
        worker = worker->next;
    return worker != NULL;
}

/* Unknown children are nobody's. Until none is left they are looked for again, less and less often. */
static void sweep(struct workers *workers)
{
    int left = strays_kill(is_known, workers);
    if (left <= 0) {
        workers->sweep_delay = 0;
        loop_timer_disarm(workers->loop, &workers->sweep_timer);
        return;
    }
    int64_t delay = workers->sweep_delay == 0 ? SWEEP_SHORTEST : workers->sweep_delay * 2;
    workers->sweep_delay = delay < SWEEP_LONGEST ? delay : SWEEP_LONGEST;
    loop_timer_arm(workers->loop, &workers->sweep_timer, loop_now() + workers->sweep_delay);
}

static void on_sweep_timer(void *arg)
{
    sweep(arg);
}

static void judge_end(struct worker *worker, int wait_status)
{
    /* Its last words may still lie in the socket, but no more than that holds. */
    for (int i = 0; i < SAYS_MAX / READ_SIZE && worker->socket >= 0 && !worker->is_over; i++) {
        size_t before = worker->said;
        listen_to(worker);
        if (worker->said == before)
            break;
    }
    close_socket(worker);
    char text[128];
    if (worker->has_last_word)
        report(worker);
    else if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0)
        report_failure(worker, "ended without a word");
    else
        report_failure(worker, words_for_end(wait_status, text, sizeof(text)));
}

static void take_exit(struct workers *workers, pid_t pid, int wait_status)
{
    struct worker **link = &workers->first;
    while (*link != NULL && (*link)->pid != pid)
        link = &(*link)->next;
    struct worker *worker = *link;
    if (worker == NULL)
        return; /* a stray */
    *link = worker->next;
    worker->pid = 0;
    judge_end(worker, wait_status);
    free_worker(worker);
}

void workers_reap(struct workers *workers)
{
    for (;;) {
        int wait_status;
        pid_t pid = waitpid(-1, &wait_status, WNOHANG);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid <= 0)
            break;
        take_exit(workers, pid, wait_status);
    }
    sweep(workers);
}

/* ---- all of them ---- */

int workers_new(struct loop *loop, const struct process_title *title, struct workers **ret_workers)
{
    struct workers *workers = calloc(1, sizeof(*workers));
    if (workers == NULL)
        return -ENOMEM;
    *workers = (struct workers){.loop = loop, .title = title};
    loop_timer_init(&workers->sweep_timer, on_sweep_timer, workers);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        log_error("cannot become a child subreaper: what workers leave behind will not be found",
                  LOG_ERRNO(errno));
    *ret_workers = workers;
    return 0;
}

static bool has_children(void)
{
    pid_t pid;
    do
        pid = waitpid(-1, NULL, WNOHANG);
    while (pid > 0 || (pid < 0 && errno == EINTR));
    return pid == 0;
}

static bool nobody_is_known(void *arg, pid_t pid)
{
    (void)arg;
    (void)pid;
    return false;
}

void workers_free(struct workers *workers)
{
    if (workers == NULL)
        return;
    for (struct worker *worker = workers->first; worker != NULL; worker = worker->next)
        worker_drop(worker);
    int64_t end = loop_now() + FAREWELL;
    while (has_children() && loop_now() < end) {
        strays_kill(nobody_is_known, NULL);
        nanosleep(&(struct timespec){.tv_nsec = LOOP_MS}, NULL);
    }
    while (workers->first != NULL) {
        struct worker *next = workers->first->next;
        free_worker(workers->first);
        workers->first = next;
    }
    loop_timer_disarm(workers->loop, &workers->sweep_timer);
    free(workers);
}
