/*
 * `devagent` as a program: one executor from start to end, printed as it goes, with what the command line
 * asked for at its time and Ctrl-C answered by KILL, then SHUTDOWN, then the end. Leaves nothing running,
 * whatever happens.
 */
#include "tests/devagent/program.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "tests/devagent/agent.h"
#include "tests/devagent/print.h"

struct tail {
    const char *name;
    size_t shown;
};

struct program {
    struct settings *settings;
    struct devagent *agent;
    struct print print;
    struct list tasks; /* of Mesos__V1__TaskInfo, as given */
    struct devagent_marathon *marathon;
    int64_t running_ns; /* the first TASK_RUNNING; 0: not yet */
    bool done[SETTINGS_MAX];
    bool kill_owed[SETTINGS_MAX + 1]; /* by task: KILL is to be sent as soon as the executor is connected */
    unsigned interrupts;
    bool given_up;
    int signals;
    struct tail out, err;
};

static void say(const struct program *program, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const struct program *program, const char *format, ...)
{
    va_list args;
    char *text;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    print_words(&program->print, text);
    free(text);
}

/* ---- tasks ---- */

static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text;
    size_t len;
    int c;
    if (!file)
        return NULL;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        abort();
    while ((c = fgetc(file)) != EOF)
        fputc(c, out);
    fclose(out);
    fclose(file);
    return text;
}

static void name_task(struct program *program, Mesos__V1__TaskInfo *task)
{
    if (!task->task_id) {
        task->task_id = agent_alloc(sizeof(*task->task_id));
        mesos__v1__task_id__init(task->task_id);
    }
    if (!task->task_id->value)
        task->task_id->value =
            task->name ? agent_copy(task->name) : agent_format("task-%zu", program->tasks.count + 1);
}

static int add_file(struct program *program, const char *path)
{
    Mesos__V1__TaskInfo *task;
    char *text = read_whole(path), *error = NULL;
    if (!text) {
        fprintf(stderr, "devagent: %s: %s\n", path, strerror(errno));
        return -EINVAL;
    }
    int r = devagent_parse_task(text, &task, &error);
    free(text);
    if (r < 0) {
        fprintf(stderr, "devagent: %s: %s\n", path, error);
        free(error);
        return r;
    }
    name_task(program, task);
    list_add(&program->tasks, task);
    return 0;
}

static void add_command(struct program *program, const char *command)
{
    Mesos__V1__TaskInfo *task = agent_alloc(sizeof(*task));
    mesos__v1__task_info__init(task);
    task->command = agent_alloc(sizeof(*task->command));
    mesos__v1__command_info__init(task->command);
    task->command->value = agent_copy(command);
    name_task(program, task);
    list_add(&program->tasks, task);
}

static int load_tasks(struct program *program)
{
    for (size_t i = 0; i < program->settings->task_count; i++) {
        int r = add_file(program, program->settings->task_files[i]);
        if (r < 0)
            return r;
    }
    if (program->settings->task_command)
        add_command(program, program->settings->task_command);
    return 0;
}

/* The executor is started with the command that the task carries, in its environment. */
static int dress_for_marathon(struct program *program)
{
    struct devagent_options *options = &program->settings->agent;
    const Mesos__V1__TaskInfo *task = program->tasks.items[0];
    char *path = realpath(options->executor_argv[0], NULL);
    int r = path ? devagent_marathon_new(task, path, &program->marathon) : -errno;
    if (r < 0) {
        fprintf(stderr, "devagent: --marathon: %s: %s\n", options->executor_argv[0],
                path ? "the task needs a command" : strerror(errno));
        free(path);
        return r;
    }
    free(path);
    options->executor_command = program->marathon->command;
    options->executor_id = program->marathon->executor_id;
    options->command_environment = program->marathon->environment;
    return 0;
}

static int launch(struct program *program)
{
    const Mesos__V1__TaskInfo *const *tasks = (const Mesos__V1__TaskInfo *const *)program->tasks.items;
    if (program->marathon)
        return devagent_launch(program->agent, program->marathon->task);
    if (program->settings->group)
        return devagent_launch_group(program->agent, tasks, program->tasks.count);
    int r = 0;
    for (size_t i = 0; r >= 0 && i < program->tasks.count; i++)
        r = devagent_launch(program->agent, tasks[i]);
    return r;
}

static const char *task_id(const struct program *program, size_t index)
{
    return ((const Mesos__V1__TaskInfo *)program->tasks.items[index])->task_id->value;
}

static bool has_ended(const struct program *program, const char *id)
{
    const struct devagent_update *last = devagent_last_update(program->agent, id);
    return last && devagent_state_is_terminal(last->state);
}

/* ---- what happens at its time ---- */

static void send_owed_kills(struct program *program)
{
    for (size_t i = 0; i < program->tasks.count; i++) {
        const char *id = task_id(program, i);
        if (program->kill_owed[i])
            program->kill_owed[i] =
                !has_ended(program, id) &&
                devagent_kill(program->agent, id, program->settings->grace_ms) == -ENOTCONN;
    }
}

static void kill_tasks(struct program *program)
{
    for (size_t i = 0; i < program->tasks.count; i++)
        program->kill_owed[i] = true;
    send_owed_kills(program);
    for (size_t i = 0; i < program->tasks.count; i++)
        if (program->kill_owed[i])
            say(program, "the executor is not connected: KILL of %s waits until it is", task_id(program, i));
}

static void act(struct program *program, enum action_kind kind)
{
    struct devagent *agent = program->agent;
    switch (kind) {
    case ACTION_KILL:
        kill_tasks(program);
        break;
    case ACTION_SHUTDOWN:
        (void)devagent_shutdown(agent);
        break;
    case ACTION_RESTART:
        devagent_restart(agent, 200, 300);
        break;
    case ACTION_DROP:
        (void)devagent_drop_stream(agent, DEVAGENT_DROP_CUT);
        break;
    case ACTION_RESET:
        (void)devagent_drop_stream(agent, DEVAGENT_DROP_RESET);
        break;
    case ACTION_GARBAGE:
        (void)devagent_send_bytes(agent, "5\n\xff\xff\xff\xff\xff", 7);
        break;
    case ACTION_BAD_LENGTH:
        (void)devagent_send_bytes(agent, "many\n", 5);
        break;
    case ACTION_UNKNOWN_EVENT:
        (void)devagent_send_unknown(agent);
        break;
    case ACTION_RELEASE_ACKS:
        (void)devagent_release_acks(agent, false);
        break;
    }
}

static void notice(const struct devagent_notice *notice, void *arg)
{
    struct program *program = arg;
    print_notice(notice, &program->print);
    bool running = notice->update && notice->update->state == MESOS__V1__TASK_STATE__TASK_RUNNING;
    if (running && program->running_ns == 0)
        program->running_ns = notice->time_ns;
}

/* Does what is due and says how long until the next, in milliseconds; negative: nothing is left. */
static int64_t do_actions(struct program *program)
{
    const struct settings *settings = program->settings;
    int64_t next = -1;
    for (size_t i = 0; program->running_ns && i < settings->action_count; i++) {
        int64_t left = settings->actions[i].after_ms - (devagent_now_ns() - program->running_ns) / 1000000;
        if (program->done[i])
            continue;
        if (left <= 0) {
            program->done[i] = true;
            act(program, settings->actions[i].kind);
        } else if (next < 0 || left < next) {
            next = left;
        }
    }
    return next;
}

static void interrupted(struct devagent *agent, void *arg)
{
    struct program *program = arg;
    struct signalfd_siginfo info;
    if (read(program->signals, &info, sizeof(info)) != sizeof(info))
        return;
    program->interrupts++;
    if (program->interrupts == 1)
        kill_tasks(program);
    else if (program->interrupts == 2)
        (void)devagent_shutdown(agent);
    else
        program->given_up = true;
}

static void watch_signals(struct program *program)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    program->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    devagent_watch(program->agent, program->signals, interrupted, program);
}

static void show(struct program *program, struct tail *tail, bool all)
{
    if (!program->settings->output)
        return;
    char *text = devagent_read_file(program->agent, tail->name);
    size_t len = strlen(text);
    if (len > tail->shown)
        tail->shown += print_output(&program->print, tail->name, text + tail->shown, len - tail->shown, all);
    free(text);
}

/* ---- the whole of it ---- */

static bool is_empty(struct devagent *agent, void *arg)
{
    (void)arg;
    return devagent_left_behind(agent) == 0;
}

static void watch_until_end(struct program *program)
{
    while (!devagent_has_exited(program->agent) && !program->given_up) {
        int64_t next = do_actions(program);
        /* the files do not wake us */
        if (program->settings->output && (next < 0 || next > 100))
            next = 100;
        if (!devagent_has_exited(program->agent))
            (void)devagent_pump(program->agent, next);
        if (devagent_is_subscribed(program->agent))
            send_owed_kills(program);
        show(program, &program->out, false);
        show(program, &program->err, false);
    }
    /* What ends together with the executor may need a moment more than it. */
    if (!program->given_up) {
        int64_t deadline = devagent_now_ns() + INT64_C(500000000);
        while (!is_empty(program->agent, NULL) && devagent_now_ns() < deadline)
            (void)devagent_pump(program->agent, 5);
    }
    show(program, &program->out, true);
    show(program, &program->err, true);
}

static bool complain(const struct program *program, bool wrong, const char *words)
{
    if (wrong)
        say(program, "not clean: %s", words);
    return wrong;
}

static bool all_reported(const struct program *program)
{
    for (size_t i = 0; i < program->tasks.count; i++) {
        if (!has_ended(program, task_id(program, i)))
            return false;
    }
    return true;
}

enum { TAIL_LINES = 10 };

/* The end of the executor's stderr, for one that failed and was not shown as it went. */
static void show_last_errors(const struct program *program)
{
    if (program->settings->output)
        return;
    char *text = devagent_read_file(program->agent, "stderr");
    size_t len = strlen(text), from = len, lines = 0;
    while (from > 0 && (text[from - 1] != '\n' || from == len || ++lines < TAIL_LINES))
        from--;
    (void)print_output(&program->print, "stderr", text + from, len - from, true);
    free(text);
}

/* The last lines, and the exit code. */
static int sum_up(const struct program *program)
{
    struct devagent *agent = program->agent;
    size_t left = devagent_left_behind(agent), mistakes = devagent_mistake_count(agent);
    bool wrong = complain(program, program->given_up, "the executor was still there when it was given up");
    wrong |= complain(program, !program->given_up && devagent_exit_code(agent) != 0,
                      "the executor did not leave with 0");
    wrong |= complain(program, devagent_destroyed(agent) != NULL, "its container had to be destroyed");
    wrong |= complain(program, !all_reported(program), "the end of a task was not reported");
    wrong |=
        complain(program, devagent_unacked_terminal(agent) > 0, "a terminal update was never acknowledged");
    wrong |= complain(program, mistakes > 0, "the executor broke a rule of the protocol");
    wrong |= complain(program, !program->given_up && left > 0, "processes were left behind");
    if (wrong)
        show_last_errors(program);
    say(program, "left behind: %zu processes%s", left, left ? ", killed now" : "");
    if (program->settings->agent.keep_sandbox)
        say(program, "the sandbox is kept: %s", devagent_sandbox(agent));
    return wrong ? 1 : 0;
}

static void prepare_agent(struct program *program)
{
    const struct settings *settings = program->settings;
    devagent_set_ack(program->agent, settings->ack, settings->ack_delay_ms);
    devagent_set_split(program->agent, settings->split);
    devagent_set_unknown_fields(program->agent, settings->unknown_fields);
    for (size_t i = 0; i < settings->fault_count; i++)
        (void)devagent_add_fault(program->agent, &settings->faults[i]);
}

static int run_agent(struct program *program)
{
    program->settings->agent.notice = notice;
    program->settings->agent.notice_arg = program;
    int r = devagent_create(&program->settings->agent, &program->agent);
    if (r < 0) {
        fprintf(stderr, "devagent: cannot start: %s\n", strerror(-r));
        return 1;
    }
    watch_signals(program);
    prepare_agent(program);
    r = launch(program);
    if (r >= 0)
        r = devagent_start_executor(program->agent);
    if (r < 0) {
        fprintf(stderr, "devagent: cannot start the executor: %s\n", strerror(-r));
        return 1;
    }
    watch_until_end(program);
    return sum_up(program);
}

static void free_task(void *task)
{
    mesos__v1__task_info__free_unpacked(task, NULL);
}

int program_run(struct settings *settings)
{
    const char *no_colour = getenv("NO_COLOR");
    struct program program = {
        .settings = settings,
        .print = {.stream = stdout,
                  .colour = isatty(STDOUT_FILENO) && !(no_colour && no_colour[0]),
                  .start_ns = devagent_now_ns()},
        .signals = -1,
        .out = {.name = "stdout"},
        .err = {.name = "stderr"},
    };
    int code = 2;
    if (load_tasks(&program) >= 0 && (!settings->marathon || dress_for_marathon(&program) >= 0))
        code = run_agent(&program);
    devagent_destroy(program.agent);
    if (program.signals >= 0)
        close(program.signals);
    devagent_marathon_free(program.marathon);
    list_clear(&program.tasks, free_task);
    return code;
}
