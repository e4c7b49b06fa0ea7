/*
 * The hook that runs the operator's programs: each file of ALLEGRO_EXECUTOR_HOOKS_DIR, in the order of their
 * names.
 *
 * A program gets the event's name as its argument, the task as JSON on its standard input and a few
 * variables; for BeforeTaskStart it prints the task's variables. It runs in a worker of hookd's with all of a
 * worker's limits, as the executor's user or as ALLEGRO_EXECUTOR_HOOKS_USER. Nothing that it starts outlives
 * it. Must never run what somebody else may have written, nor pass on what it prints unlabelled.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/loop.h"
#include "common/privilege.h"
#include "hookd/hook.h"
#include "hookd/hook_folder.h"
#include "hookd/hooks.h"
#include "hookd/lines.h"
#include "hookd/task_json.h"
#include "hookd/words.h"
#include "hookd/worker_end.h"
#include "supervisor/tree.h"

enum {
    VARIABLE_LINE_MAX = 60 * 1024, /* with its name it has to fit into a worker's frame */
    SHOWN_LINE_MAX = 1024,
    SHOWN_MAX = 1024 * 1024, /* bytes of one program's lines as written; the rest is read and not shown */
    PRINTED_MAX = 16 * 1024 * 1024, /* it is killed then */
    VARIABLES_PRINTED_MAX = 1024 * 1024,
    PROBLEM_SIZE = 256,
};
#define SWEEP_MOST LOOP_SECOND /* for what it has left behind; the rest is hookd's */

/* One program's run. */
struct execution {
    struct hook_call *call;
    const char *name;
    pid_t pid;
    int input, output, errors; /* our ends; -1 once closed */
    int children;              /* a signalfd for SIGCHLD */
    const char *json;
    size_t json_left;
    struct lines output_lines;
    struct lines error_lines;
    size_t printed;
    size_t shown;
    size_t line_number;
    char **variables; /* lines NAME=value */
    size_t variable_count;
    char problem[PROBLEM_SIZE]; /* of a line, or of the start */
    bool has_ended;
    bool is_late;
    bool is_chatty;
    int wait_status;
};

/* ---- what it prints ---- */

static void write_whole(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(STDERR_FILENO, bytes, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        bytes += n;
        length -= (size_t)n;
    }
}

static void show_line(void *arg, const char *line, size_t length, bool is_cut)
{
    (void)is_cut;
    struct execution *self = arg;
    static const char rest[] = "what else it prints is not shown";
    char shown[SHOWN_LINE_MAX * 4 + 512];
    if (self->shown > SHOWN_MAX)
        return;
    size_t size = lines_format(shown, sizeof(shown), self->name, line, length);
    write_whole(shown, size);
    self->shown += size; /* with the name: of short lines that is most */
    if (self->shown > SHOWN_MAX)
        write_whole(shown, lines_format(shown, sizeof(shown), self->name, rest, sizeof(rest) - 1));
}

static void note_problem(struct execution *self, const char *line, size_t length, const char *problem)
{
    enum { QUOTED = 80 };
    if (self->problem[0] != '\0')
        return;
    /* Values may be secrets: of a line with '=' only what is before it is repeated. */
    const char *equals = memchr(line, '=', length);
    size_t quoted = equals != NULL ? (size_t)(equals - line) + 1 : length;
    if (quoted > QUOTED)
        quoted = QUOTED;
    snprintf(self->problem, sizeof(self->problem), "line %zu (%.*s%s) %s", self->line_number, (int)quoted,
             line, quoted < length ? "..." : "", problem);
}

static int keep_variable(struct execution *self, const char *line, size_t length)
{
    char **variables = reallocarray(self->variables, self->variable_count + 1, sizeof(*variables));
    if (variables == NULL)
        return -ENOMEM;
    self->variables = variables;
    variables[self->variable_count] = strndup(line, length);
    if (variables[self->variable_count] == NULL)
        return -ENOMEM;
    self->variable_count++;
    return 0;
}

static void take_variable_line(void *arg, const char *line, size_t length, bool is_cut)
{
    struct execution *self = arg;
    size_t name_length;
    self->line_number++;
    if (length == 0)
        return;
    const char *problem = is_cut ? "is longer than 60 KiB" : lines_check_variable(line, length, &name_length);
    if (problem == NULL && self->variable_count == WORKER_VARIABLES_MAX)
        problem = "is one variable too many";
    if (problem == NULL && keep_variable(self, line, length) < 0)
        problem = "does not fit into memory";
    if (problem != NULL)
        note_problem(self, line, length, problem);
}

static bool prints_variables(const struct hook_call *call)
{
    return call->event == BULKHEAD__HOOK_RUN__EVENT__BEFORE_TASK_START;
}

static int init_lines(struct execution *self)
{
    bool variables = prints_variables(self->call);
    int r = lines_init(&self->error_lines, SHOWN_LINE_MAX, show_line, self);
    if (r == 0)
        r = lines_init(&self->output_lines, variables ? VARIABLE_LINE_MAX : SHOWN_LINE_MAX,
                       variables ? take_variable_line : show_line, self);
    return r;
}

/* ---- its start ---- */

enum { VARIABLE_COUNT = 6, VARIABLE_SIZE = 4096 };

/* The environment of a program: these and nothing else. */
struct program_environment {
    char texts[VARIABLE_COUNT][VARIABLE_SIZE];
    char *entries[VARIABLE_COUNT + 2];
};

static void list_ports(const Bulkhead__Task *task, char *text, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < task->n_ports && used < size - 16; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%u", i > 0 ? " " : "", task->ports[i]->number);
}

static void fill_environment(const struct execution *self, struct program_environment *environment)
{
    const Bulkhead__Task *task = self->call->task;
    const char *path = getenv("PATH");
    char ports[VARIABLE_SIZE / 2] = "";
    list_ports(task, ports, sizeof(ports));
    const struct {
        const char *name, *value;
    } variables[VARIABLE_COUNT] = {
        {"PATH", path != NULL ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        {"BULKHEAD_EVENT", hooks_event_name(self->call->event)},
        {"BULKHEAD_HOOK", self->name},
        {"BULKHEAD_TASK_ID", task->task_id != NULL ? task->task_id : ""},
        {"BULKHEAD_TASK_NAME", task->name != NULL ? task->name : ""},
        {"BULKHEAD_PORTS", ports},
    };
    memset(environment, 0, sizeof(*environment));
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        snprintf(environment->texts[i], VARIABLE_SIZE, "%s=%s", variables[i].name, variables[i].value);
        environment->entries[i] = environment->texts[i];
    }
}

struct pipes {
    int input[2], output[2], errors[2], failure[2];
};

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

static int open_pipes(struct pipes *pipes)
{
    *pipes = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    if (pipe2(pipes->input, O_CLOEXEC) == 0 && pipe2(pipes->output, O_CLOEXEC) == 0 &&
        pipe2(pipes->errors, O_CLOEXEC) == 0 && pipe2(pipes->failure, O_CLOEXEC) == 0)
        return 0;
    int r = -errno;
    close_pair(pipes->input);
    close_pair(pipes->output);
    close_pair(pipes->errors);
    close_pair(pipes->failure);
    return r;
}

/* In the child: whom to be. Returns 0 or a negative errno. */
static int become(const struct privilege_user *user)
{
    if (user == NULL)
        return 0;
    int r = privilege_drop(user);
    return r > 0 ? 0 : r;
}

static _Noreturn void exec_program(const struct execution *self, const struct pipes *pipes,
                                   const struct privilege_user *user, pid_t worker)
{
    struct program_environment environment;
    char path[8192];
    char *argv[] = {path, (char *)(uintptr_t)hooks_event_name(self->call->event), NULL};
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    fill_environment(self, &environment);
    snprintf(path, sizeof(path), "%s/%s", config_string(self->call->config, CONFIG_HOOKS_DIR), self->name);

    int r = become(user);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != worker)
        _exit(127);
    if (r == 0 && (dup2(pipes->input[0], STDIN_FILENO) < 0 || dup2(pipes->output[1], STDOUT_FILENO) < 0 ||
                   dup2(pipes->errors[1], STDERR_FILENO) < 0))
        r = -errno;
    if (r == 0) {
        execve(path, argv, environment.entries);
        r = -errno;
    }
    ssize_t n = write(pipes->failure[1], &r, sizeof(r));
    _exit(n == (ssize_t)sizeof(r) ? 127 : 126);
}

/* Returns 0 once the program runs, or why it does not. Blocks while the file is opened and no longer. */
static int await_exec(int failure)
{
    int r = 0;
    ssize_t n;
    do
        n = read(failure, &r, sizeof(r));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(r) && r < 0 ? r : 0;
}

static int start_program(struct execution *self, const struct privilege_user *user)
{
    struct pipes pipes;
    int r = open_pipes(&pipes);
    if (r < 0)
        return r;
    pid_t worker = getpid();
    pid_t pid = fork();
    if (pid == 0)
        exec_program(self, &pipes, user, worker);
    r = pid < 0 ? -errno : 0;
    self->pid = pid;
    self->has_ended = pid < 0;
    close(pipes.input[0]);
    close(pipes.output[1]);
    close(pipes.errors[1]);
    close(pipes.failure[1]);
    self->input = pipes.input[1];
    self->output = pipes.output[0];
    self->errors = pipes.errors[0];
    if (r == 0)
        r = await_exec(pipes.failure[0]);
    close(pipes.failure[0]);
    fcntl(self->input, F_SETFL, O_NONBLOCK);
    fcntl(self->output, F_SETFL, O_NONBLOCK);
    fcntl(self->errors, F_SETFL, O_NONBLOCK);
    return r;
}

/* ---- its life ---- */

static void close_end(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

/* A program that does not read is not at fault. */
static void feed_input(struct execution *self)
{
    ssize_t n = self->json_left > 0 ? write(self->input, self->json, self->json_left) : 0;
    if (n > 0) {
        self->json += n;
        self->json_left -= (size_t)n;
    }
    bool waits = n < 0 && (errno == EAGAIN || errno == EINTR);
    if (self->json_left == 0 || (n < 0 && !waits))
        close_end(&self->input);
}

/* Returns whether something came. */
static bool read_output(struct execution *self, int *descriptor, struct lines *lines)
{
    char bytes[16 * 1024];
    ssize_t n = *descriptor >= 0 ? read(*descriptor, bytes, sizeof(bytes)) : -1;
    if (n > 0) {
        size_t most = lines == &self->output_lines && prints_variables(self->call) ? VARIABLES_PRINTED_MAX
                                                                                   : PRINTED_MAX;
        self->printed += (size_t)n;
        if (self->printed <= most)
            lines_feed(lines, bytes, (size_t)n);
        else
            self->is_chatty = true;
        return !self->is_chatty;
    }
    if (*descriptor >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR)))
        close_end(descriptor);
    return false;
}

/* Takes the exits of the program and of what it has left to this worker, its subreaper. Returns whether there
 * are children. */
static bool reap(struct execution *self)
{
    struct signalfd_siginfo info;
    while (read(self->children, &info, sizeof(info)) == (ssize_t)sizeof(info))
        continue;
    for (;;) {
        int wait_status;
        pid_t pid = waitpid(-1, &wait_status, WNOHANG);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid <= 0)
            return pid == 0;
        if (pid == self->pid) {
            self->has_ended = true;
            self->wait_status = wait_status;
        }
    }
}

/* Everything below this worker is the program's. */
static void sweep(struct execution *self)
{
    struct tree tree;
    tree_init(&tree, getpid());
    int64_t end = loop_now() + SWEEP_MOST;
    while (reap(self) && loop_now() < end) {
        if (tree_kill(&tree) < 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = LOOP_MS / 2}, NULL);
    }
    tree_clear(&tree);
}

/* Returns false when the deadline has come. */
static bool wait_for_something(const struct execution *self)
{
    struct pollfd polls[] = {
        {.fd = self->children, .events = POLLIN},
        {.fd = self->input, .events = POLLOUT},
        {.fd = self->output, .events = POLLIN},
        {.fd = self->errors, .events = POLLIN},
    };
    struct timespec left = {0};
    bool ends = self->call->deadline != INT64_MAX;
    int64_t span = ends ? self->call->deadline - loop_now() : 0;
    if (ends && span <= 0)
        return false;
    left = (struct timespec){.tv_sec = span / LOOP_SECOND, .tv_nsec = span % LOOP_SECOND};
    ppoll(polls, sizeof(polls) / sizeof(polls[0]), ends ? &left : NULL, NULL);
    return true;
}

static void converse(struct execution *self)
{
    while (!self->has_ended && !self->is_chatty) {
        if (!wait_for_something(self)) {
            self->is_late = true;
            break;
        }
        if (self->input >= 0)
            feed_input(self);
        read_output(self, &self->output, &self->output_lines);
        read_output(self, &self->errors, &self->error_lines);
        reap(self);
    }
    close_end(&self->input);
    sweep(self);
    /* Whoever could write is dead: what is in the pipes now is all. */
    while (read_output(self, &self->output, &self->output_lines))
        continue;
    while (read_output(self, &self->errors, &self->error_lines))
        continue;
    lines_finish(&self->output_lines);
    lines_finish(&self->error_lines);
}

/* ---- its end ---- */

static int add_variables(struct execution *self)
{
    for (size_t i = 0; i < self->variable_count; i++) {
        char *equals = strchr(self->variables[i], '=');
        *equals = '\0';
        int r = hook_add_variable(self->call, self->variables[i], equals + 1);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Returns 0 when all went well, else -1 with words in problem. */
static int judge(struct execution *self)
{
    const struct worker_end *end = self->call->worker;
    char *problem = self->problem;
    if (self->is_late)
        words_for_timeout("timed out after", end->span, problem, PROBLEM_SIZE);
    else if (self->is_chatty)
        snprintf(problem, PROBLEM_SIZE, "printed more than it may; killed");
    else if (!WIFEXITED(self->wait_status) || WEXITSTATUS(self->wait_status) != 0)
        words_for_end(self->wait_status, problem, PROBLEM_SIZE);
    if (problem[0] != '\0')
        return -1;
    if (add_variables(self) == 0)
        return 0;
    snprintf(problem, PROBLEM_SIZE, "prints more variables than fit");
    return -1;
}

static void clear_execution(struct execution *self)
{
    close_end(&self->input);
    close_end(&self->output);
    close_end(&self->errors);
    close_end(&self->children);
    lines_clear(&self->output_lines);
    lines_clear(&self->error_lines);
    for (size_t i = 0; i < self->variable_count; i++)
        free(self->variables[i]);
    free(self->variables);
}

/* From here on SIGCHLD waits in a descriptor; the program gets an empty mask. */
static int open_children(void)
{
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, NULL);
    return signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int execute(struct execution *self, const struct privilege_user *user)
{
    int r = init_lines(self);
    if (r == 0) {
        self->children = open_children();
        r = self->children < 0 ? -errno : start_program(self, user);
    }
    if (r < 0) {
        snprintf(self->problem, sizeof(self->problem), "cannot be started: %s", strerror(-r));
        return -1;
    }
    converse(self);
    return judge(self);
}

/* ---- the hook ---- */

__attribute__((format(printf, 2, 3))) static void say(struct hook_call *call, const char *format, ...)
{
    size_t used = strlen(call->text);
    if (used > 0 && call->text_size - used > 2)
        used += (size_t)snprintf(call->text + used, call->text_size - used, "; ");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(call->text + used, call->text_size - used, format, arguments);
    va_end(arguments);
}

/* Returns 0, or -EIO with words in the call's text. */
static int run_file(struct hook_call *call, const struct hook_folder *folder, const char *name,
                    const struct privilege_user *user)
{
    const char *refusal = hook_folder_judge(folder, name);
    if (refusal != NULL) {
        say(call, "%s refused: it %s", name, refusal);
        return -EIO;
    }
    if (loop_now() >= call->deadline) {
        say(call, "%s not run: no time is left", name);
        return -EIO;
    }
    struct execution execution = {
        .call = call, .name = name, .input = -1, .output = -1, .errors = -1, .children = -1};
    char *json = task_json_make(call->task, &execution.json_left);
    execution.json = json;
    int r = json != NULL ? execute(&execution, user) : -ENOMEM;
    if (r < 0)
        say(call, "%s %s", name, json != NULL ? execution.problem : "not run: no memory");
    clear_execution(&execution);
    free(json);
    return r < 0 ? -EIO : 0;
}

static int run_files(struct hook_call *call, const struct hook_folder *folder,
                     const struct privilege_user *user)
{
    int result = 0;
    for (size_t i = 0; i < folder->count && (result == 0 || hooks_go_on_after_failure(call->event)); i++) {
        int r = run_file(call, folder, folder->names[i], user);
        if (r < 0)
            result = r;
    }
    return result;
}

/* Only root can be somebody else. *ret_user is left NULL where there is nothing to change. */
static int choose_user(struct hook_call *call, struct privilege_user *storage,
                       const struct privilege_user **ret_user)
{
    const char *name = config_string(call->config, CONFIG_HOOKS_USER);
    if (name == NULL || geteuid() != 0)
        return 0;
    int r = privilege_find_user(name, storage);
    if (r < 0) {
        say(call, "there is no user %s to run hooks as: %s", name, strerror(-r));
        return r;
    }
    *ret_user = storage;
    return 0;
}

static int run_executables(struct hook_call *call)
{
    const char *path = config_string(call->config, CONFIG_HOOKS_DIR);
    struct privilege_user storage;
    const struct privilege_user *user = NULL;
    int r = choose_user(call, &storage, &user);
    if (r < 0)
        return r;
    struct hook_folder folder;
    const char *problem;
    r = hook_folder_open(path, &folder, &problem);
    if (r < 0) {
        say(call, "%s %s: %s", path, problem, strerror(-r));
        return r;
    }
    r = run_files(call, &folder, user);
    hook_folder_clear(&folder);
    return r;
}

const struct hook hook_executables = {.id = HOOK_EXECUTABLES, .run = run_executables};
