/* The keeper with real programs: what it reports, what an order does, and that its tree never outlives it. */
#include "supervisor/keeper.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <bsd/unistd.h>

#include "support.h"

/* In the place of libbsd's: here the words would be the test runner's, which has made no room for them. */
void setproctitle(const char *format, ...)
{
    (void)format;
}

/* A keeper, its program, and a file that the program writes to. */
struct stage {
    struct keeper keeper;
    char program[PATH_MAX];
    char folder[64];
    char file[96];
    const char *argv[16];
    const char *envp[8];
    struct launch launch;
    struct keeper_terms terms;
    struct keeper_report news;
};

static void forget_nothing(void *arg)
{
    (void)arg;
}

static void stage_open(struct stage *stage)
{
    struct rlimit core;
    support_become_subreaper();
    memset(stage, 0, sizeof(*stage));
    getrlimit(RLIMIT_CORE, &core);
    strcpy(stage->folder, "/tmp/bulkhead-keeper-XXXXXX");
    cr_assert_not_null(mkdtemp(stage->folder));
    chmod(stage->folder, 0777); /* a task of another user writes there */
    snprintf(stage->file, sizeof(stage->file), "%s/file", stage->folder);
    stage->envp[0] = "PATH=/usr/bin:/bin";
    stage->launch = (struct launch){.argv = (char *const *)(uintptr_t)stage->argv,
                                    .envp = (char **)(uintptr_t)stage->envp,
                                    .core_limit = core.rlim_cur,
                                    .core_maximum = core.rlim_max};
    stage->terms =
        (struct keeper_terms){.task_id = "web.1", .launch = &stage->launch, .forget_secrets = forget_nothing};
}

/* Nobody may be left: neither the keeper nor anything of its task. */
static void stage_close(struct stage *stage)
{
    if (stage->keeper.socket > 0)
        close(stage->keeper.socket);
    cr_assert(support_no_children_left(), "somebody is left");
    unlink(stage->file);
    cr_assert_eq(rmdir(stage->folder), 0);
}

static void start(struct stage *stage)
{
    stage->launch.file = stage->argv[0];
    cr_assert_eq(keeper_start(&stage->terms, &stage->keeper), 0);
    cr_assert_gt(stage->keeper.pid, 0);
    cr_assert_neq(fcntl(stage->keeper.socket, F_GETFD) & FD_CLOEXEC, 0);
}

/* "sh -c script file" */
static void start_script(struct stage *stage, const char *script)
{
    const char *const argv[] = {"/bin/sh", "-c", script, stage->file, NULL};
    memcpy(stage->argv, argv, sizeof(argv));
    start(stage);
}

/* The next report into stage->news; 0 when the keeper is gone. */
static enum keeper_news next(struct stage *stage)
{
    double end = support_seconds() + SUPPORT_DEADLINE_SECONDS;
    for (;;) {
        int r = keeper_receive(&stage->keeper, &stage->news);
        if (r >= 0)
            return r == 0 ? 0 : stage->news.news;
        cr_assert_eq(r, -EAGAIN);
        struct pollfd ready = {.fd = stage->keeper.socket, .events = POLLIN};
        poll(&ready, 1, 1000);
        cr_assert_lt(support_seconds(), end, "no report");
    }
}

/* As next(), for a tree that dies slowly: what remains for the time being is no news. */
static enum keeper_news next_but_remaining(struct stage *stage)
{
    enum keeper_news news;
    while ((news = next(stage)) == KEEPER_REMAINING)
        continue;
    return news;
}

static void expect_end(struct stage *stage)
{
    cr_assert_eq(next_but_remaining(stage), KEEPER_TREE_EMPTY);
    cr_assert_eq(next(stage), 0);
    int wait_status;
    cr_assert_eq(waitpid(stage->keeper.pid, &wait_status, 0), stage->keeper.pid);
    cr_assert(WIFEXITED(wait_status));
    cr_assert_eq(WEXITSTATUS(wait_status), 0);
}

static void order(struct stage *stage, enum keeper_order what)
{
    cr_assert_eq(keeper_order(&stage->keeper, what), 0);
}

static void read_file(const struct stage *stage, char *text, size_t size)
{
    FILE *file = fopen(stage->file, "r");
    size_t n = file != NULL ? fread(text, 1, size - 1, file) : 0;
    text[n] = '\0';
    if (file != NULL)
        fclose(file);
}

struct wanted {
    const struct stage *stage;
    const char *word;
};

static bool has_word(void *arg)
{
    struct wanted *wanted = arg;
    char text[4096];
    read_file(wanted->stage, text, sizeof(text));
    return strstr(text, wanted->word) != NULL;
}

static void await_word(struct stage *stage, const char *word)
{
    struct wanted wanted = {stage, word};
    cr_assert(support_wait_for(has_word, &wanted), "no \"%s\"", word);
}

/* Plays tests/helpers/actor.c with a family and waits until all are there. */
static void start_actors(struct stage *stage, const char *const *names)
{
    stage->argv[0] = support_helper("actor", stage->program);
    stage->argv[1] = stage->file;
    for (size_t i = 0; names[i] != NULL; i++)
        stage->argv[2 + i] = names[i];
    start(stage);
    cr_assert_eq(next(stage), KEEPER_STARTED);
    await_word(stage, "ready\n");
}

/* --- the start --- */

Test(keeper, exit_code_is_reported, .timeout = 60)
{
    static const char *const scripts[] = {"exit 0", "exit 1", "exit 255"};
    static const int codes[] = {0, 1, 255};
    for (int i = 0; i < 3; i++) {
        struct stage stage;
        stage_open(&stage);
        start_script(&stage, scripts[i]);
        cr_assert_eq(next(&stage), KEEPER_STARTED);
        cr_assert_gt(stage.news.pid, 0);
        cr_assert_neq(stage.news.pid, stage.keeper.pid);
        cr_assert_eq(next(&stage), KEEPER_MAIN_EXITED);
        cr_assert(WIFEXITED(stage.news.wait_status));
        cr_assert_eq(WEXITSTATUS(stage.news.wait_status), codes[i]);
        expect_end(&stage);
        stage_close(&stage);
    }
}

Test(keeper, signal_is_reported, .timeout = 60)
{
    static const int signals[] = {SIGKILL, SIGTERM, SIGUSR1};
    for (int i = 0; i < 3; i++) {
        struct stage stage;
        char script[64];
        stage_open(&stage);
        snprintf(script, sizeof(script), "kill -%d $$; sleep 100", signals[i]);
        start_script(&stage, script);
        cr_assert_eq(next(&stage), KEEPER_STARTED);
        cr_assert_eq(next(&stage), KEEPER_MAIN_EXITED);
        cr_assert(WIFSIGNALED(stage.news.wait_status));
        cr_assert_eq(WTERMSIG(stage.news.wait_status), signals[i]);
        expect_end(&stage);
        stage_close(&stage);
    }
}

static void expect_start_failure(struct stage *stage, enum launch_stage where, int error, const char *words)
{
    start(stage);
    cr_assert_eq(next(stage), KEEPER_START_FAILED);
    cr_assert_eq(stage->news.failure.stage, (int)where);
    if (error >= 0)
        cr_assert_eq(stage->news.failure.error, error);
    cr_assert_not_null(strstr(stage->news.text, words), "%s", stage->news.text);
    expect_end(stage); /* the exit of what never ran is no news */
    stage_close(stage);
}

Test(keeper, a_missing_program_is_named, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage);
    stage.argv[0] = "/nonexistent/program";
    expect_start_failure(&stage, LAUNCH_EXEC, ENOENT,
                         "Cannot execute '/nonexistent/program': No such file or directory");
}

Test(keeper, a_program_that_is_not_in_path, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage);
    stage.argv[0] = "sh";
    stage.envp[0] = "PATH=/nonexistent";
    expect_start_failure(&stage, LAUNCH_EXEC, ENOENT, "Cannot execute 'sh': No such file or directory");
}

Test(keeper, a_file_that_is_no_program, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage);
    stage.argv[0] = "/etc/passwd";
    expect_start_failure(&stage, LAUNCH_EXEC, EACCES, "Cannot execute '/etc/passwd': Permission denied");
}

Test(keeper, an_unknown_user_is_named, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage);
    stage.argv[0] = "/bin/true";
    stage.launch.user = "no-such-user-here";
    expect_start_failure(&stage, LAUNCH_NO_USER, -1, "'no-such-user-here'");
}

Test(keeper, a_user_that_cannot_be_taken_on, .timeout = 60)
{
    if (geteuid() == 0)
        cr_skip_test("root can become anybody");
    struct stage stage;
    stage_open(&stage);
    stage.argv[0] = "/bin/true";
    stage.launch.user = "root";
    expect_start_failure(&stage, LAUNCH_USER, EPERM, "Cannot become the user 'root'");
}

Test(keeper, failures_in_words)
{
    static const struct {
        struct launch_failure failure;
        const char *words;
    } rows[] = {
        {{LAUNCH_NO_USER, 0},
         "The user 'web' of the task's command is not known on this host (no such user)"},
        {{LAUNCH_USER, EPERM}, "Cannot become the user 'web' of the task's command: Operation not permitted"},
        {{LAUNCH_EXEC, ENOENT}, "Cannot execute 'run': No such file or directory"},
        {{LAUNCH_SESSION, EMFILE}, "Cannot set up the task's process: Too many open files"},
    };
    const struct launch launch = {.file = "run", .user = "web"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[200], small[12];
        memset(small, 'x', sizeof(small));
        launch_describe(&launch, &rows[i].failure, text, sizeof(text));
        cr_assert_str_eq(text, rows[i].words);
        launch_describe(&launch, &rows[i].failure, small, sizeof(small) - 1);
        cr_assert_eq(small[10], '\0');
        cr_assert_eq(small[11], 'x');
    }
}

/* --- the world of the task --- */

static void expect_line(const char *text, const char *line)
{
    char wanted[PATH_MAX + 64];
    snprintf(wanted, sizeof(wanted), "%s\n", line);
    const char *found = strstr(text, wanted);
    cr_assert(found != NULL && (found == text || found[-1] == '\n'), "no line \"%s\" in:\n%s", line, text);
}

static size_t count_lines(const char *text, const char *start)
{
    size_t count = 0;
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        count += strncmp(line, start, strlen(start)) == 0;
    }
    return count;
}

/* Runs tests/helpers/show_world.c, with the stage's file as its standard output. */
static void run_show_world(struct stage *stage, char *text, size_t size)
{
    stage->argv[0] = support_helper("show_world", stage->program);
    int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    int file = open(stage->file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    cr_assert_eq(dup2(file, STDOUT_FILENO), STDOUT_FILENO);
    start(stage);
    cr_assert_eq(dup2(out, STDOUT_FILENO), STDOUT_FILENO);
    close(out);
    close(file);
    cr_assert_eq(next(stage), KEEPER_STARTED);
    cr_assert_eq(next(stage), KEEPER_MAIN_EXITED);
    cr_assert_eq(stage->news.wait_status, 0);
    expect_end(stage);
    read_file(stage, text, size);
    expect_line(text, "end of world");
}

/* Whatever the supervisor has blocked, ignored, opened or limited. */
static void spoil_own_world(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    for (int signal_number = 1; signal_number < NSIG; signal_number++)
        signal(signal_number, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    for (int i = 0; i < 10; i++)
        cr_assert_geq(dup(STDERR_FILENO), 0); /* without close-on-exec */
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    core.rlim_cur = 0;
    setrlimit(RLIMIT_CORE, &core);
}

Test(keeper, the_task_inherits_nothing_of_ours, .timeout = 60)
{
    static const char *const expected[] = {
        "SigBlk:\t0000000000000000",
        "SigIgn:\t0000000000000000",
        "fd 0 /dev/null",
        "leads its session: yes",
        "death signal 9",
        "dumpable 1",
        "NoNewPrivs:\t0",
        "argv 1 --help",
        "argv 2 two words",
        "argv 3 ",
        "env A=1",
        "env PATH=/usr/bin:/bin",
    };
    struct stage stage;
    char text[8192], line[64];
    stage_open(&stage);
    unsigned long long limit = stage.launch.core_maximum > 8192 ? 8192 : stage.launch.core_maximum;
    stage.launch.core_limit = limit;
    const char *const arguments[] = {"--help", "two words", ""};
    memcpy(stage.argv + 1, arguments, sizeof(arguments));
    stage.envp[1] = "A=1";
    stage.envp[2] = "ASAN_OPTIONS=disable_coredump=0"; /* a sanitizer in the program would lower its limit */
    spoil_own_world();
    run_show_world(&stage, text, sizeof(text));
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        expect_line(text, expected[i]);
    snprintf(line, sizeof(line), "core %llu %llu", limit, (unsigned long long)stage.launch.core_maximum);
    expect_line(text, line);
    cr_assert_eq(count_lines(text, "fd "), 3, "%s", text);
    cr_assert_eq(count_lines(text, "env "), 3, "the environment is the launch's alone: %s", text);
    stage_close(&stage);
}

Test(keeper, the_task_becomes_its_user, .timeout = 60)
{
    if (geteuid() != 0)
        cr_skip_test("only root can become somebody else");
    struct stage stage;
    char text[8192];
    stage_open(&stage);
    stage.launch.user = "nobody";
    run_show_world(&stage, text, sizeof(text));
    expect_line(text, "uid 65534 65534 65534");
    expect_line(text, "gid 65534 65534 65534");
    expect_line(text, "group 65534");
    cr_assert_eq(count_lines(text, "group "), 1, "%s", text);
    expect_line(text, "death signal 9");
    stage_close(&stage);
}

static void note_own_pid(void *arg)
{
    *(volatile pid_t *)arg = getpid();
}

Test(keeper, keeps_no_secret_and_no_descriptor, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage);
    pid_t *forgetful =
        mmap(NULL, sizeof(*forgetful), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    stage.terms.forget_secrets = note_own_pid;
    stage.terms.arg = forgetful;
    for (int i = 0; i < 10; i++)
        cr_assert_geq(dup(STDERR_FILENO), 0);
    start_actors(&stage, (const char *const[]){NULL});
    cr_assert_eq(*forgetful, stage.keeper.pid);
    /* Standard three, the socket and the signals. */
    cr_assert_eq(support_count_descriptors(stage.keeper.pid), 5);
    order(&stage, KEEPER_KILL);
    cr_assert_eq(next_but_remaining(&stage), KEEPER_MAIN_EXITED);
    expect_end(&stage);
    stage_close(&stage);
}

Test(keeper, a_file_without_slash_is_looked_for_in_the_tasks_path, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage);
    setenv("PATH", "/nonexistent", 1);
    stage.argv[0] = "true";
    start(&stage);
    cr_assert_eq(next(&stage), KEEPER_STARTED);
    cr_assert_eq(next(&stage), KEEPER_MAIN_EXITED);
    cr_assert_eq(stage.news.wait_status, 0);
    expect_end(&stage);
    stage_close(&stage);
}

/* --- the orders --- */

Test(keeper, terminate_reaches_the_whole_tree, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage);
    start_actors(&stage, (const char *const[]){"worker", "&daemon", NULL});
    order(&stage, KEEPER_TERMINATE);
    cr_assert_eq(next(&stage), KEEPER_MAIN_EXITED);
    cr_assert_eq(stage.news.wait_status, 0);
    expect_end(&stage);
    await_word(&stage, "\nmain\n");
    await_word(&stage, "\nworker\n");
    await_word(&stage, "\ndaemon\n");
    stage_close(&stage);
}

static bool is_stopped(void *arg)
{
    return support_state(*(pid_t *)arg) == 'T';
}

Test(keeper, a_stopped_task_hears_sigterm, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage);
    start_actors(&stage, (const char *const[]){NULL});
    pid_t task = stage.news.pid;
    cr_assert_eq(send_signal(task, SIGSTOP), 0);
    cr_assert(support_wait_for(is_stopped, &task));
    order(&stage, KEEPER_TERMINATE);
    cr_assert_eq(next(&stage), KEEPER_MAIN_EXITED);
    cr_assert_eq(stage.news.wait_status, 0, "it ended by itself");
    expect_end(&stage);
    await_word(&stage, "\nmain\n");
    stage_close(&stage);
}

Test(keeper, a_second_terminate_changes_nothing, .timeout = 60)
{
    struct stage stage;
    char text[200];
    stage_open(&stage);
    start_actors(&stage, (const char *const[]){"!deaf", NULL});
    order(&stage, KEEPER_TERMINATE);
    cr_assert_eq(next(&stage), KEEPER_MAIN_EXITED);
    await_word(&stage, "deaf\n");
    order(&stage, KEEPER_TERMINATE);
    order(&stage, KEEPER_KILL);
    expect_end(&stage);
    read_file(&stage, text, sizeof(text));
    cr_assert_null(strstr(strstr(text, "deaf\n") + 1, "deaf\n"), "%s", text);
    stage_close(&stage);
}

/* Left until last, then asked, and they heed it. */
Test(keeper, excluded_names_come_last, .timeout = 60)
{
    static const char *const excluded[] = {"HAPROXY", "main"};
    struct stage stage;
    char text[200];
    stage_open(&stage);
    stage.terms.excluded = excluded;
    stage.terms.excluded_count = 1;
    start_actors(&stage, (const char *const[]){"haproxy", "!slow", NULL});
    order(&stage, KEEPER_TERMINATE);
    cr_assert_eq(next(&stage), KEEPER_MAIN_EXITED);
    await_word(&stage, "slow\n");
    /* As long as the deaf one is there, the excluded one is left alone. Three looks of the keeper. */
    struct pollfd nothing = {.fd = stage.keeper.socket, .events = POLLIN};
    cr_assert_eq(poll(&nothing, 1, 350), 0);
    read_file(&stage, text, sizeof(text));
    cr_assert_null(strstr(text, "haproxy\n"), "%s", text);

    char command[PATH_MAX];
    snprintf(command, sizeof(command), "/proc/%d/task/%d/children", (int)stage.keeper.pid,
             (int)stage.keeper.pid);
    FILE *children = fopen(command, "r");
    int pid, killed = 0;
    while (fscanf(children, "%d", &pid) == 1) {
        char comm[32] = "";
        snprintf(command, sizeof(command), "/proc/%d/comm", pid);
        FILE *file = fopen(command, "r");
        if (file != NULL && fgets(comm, sizeof(comm), file) != NULL && strcmp(comm, "slow\n") == 0)
            killed += send_signal(pid, SIGKILL) == 0;
        if (file != NULL)
            fclose(file);
    }
    fclose(children);
    cr_assert_eq(killed, 1);
    expect_end(&stage);
    await_word(&stage, "haproxy\n");
    stage_close(&stage);
}

/* They do not heed it: SIGKILL a second later, without an order. */
Test(keeper, excluded_names_are_killed_in_the_end, .timeout = 60)
{
    static const char *const excluded[] = {"haproxy"};
    struct stage stage;
    stage_open(&stage);
    stage.terms.excluded = excluded;
    stage.terms.excluded_count = 1;
    start_actors(&stage, (const char *const[]){"!HAProxy", NULL});
    double ordered = support_seconds();
    order(&stage, KEEPER_TERMINATE);
    cr_assert_eq(next(&stage), KEEPER_MAIN_EXITED);
    await_word(&stage, "HAProxy\n");
    expect_end(&stage);
    cr_assert_geq(support_seconds() - ordered, 1.0, "it had no second to heed it");
    stage_close(&stage);
}

/* Who is called and told the same is the main process itself. */
Test(keeper, an_excluded_main_process_gets_its_turn, .timeout = 60)
{
    static const char *const excluded[] = {"actor", "other"};
    struct stage stage;
    char text[200];
    stage_open(&stage);
    stage.terms.excluded = excluded;
    stage.terms.excluded_count = 2;
    start_actors(&stage, (const char *const[]){"worker", NULL});
    order(&stage, KEEPER_TERMINATE);
    cr_assert_eq(next(&stage), KEEPER_MAIN_EXITED);
    cr_assert_eq(stage.news.wait_status, 0);
    expect_end(&stage);
    read_file(&stage, text, sizeof(text));
    cr_assert_str_eq(text, "ready\nworker\nmain\n");
    stage_close(&stage);
}

Test(keeper, kill_leaves_nobody, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage);
    start_actors(&stage, (const char *const[]){"!a", "&!b", "&!c", "d", "&!e", NULL});
    order(&stage, KEEPER_TERMINATE);
    cr_assert_eq(next(&stage), KEEPER_MAIN_EXITED);
    order(&stage, KEEPER_KILL);
    order(&stage, KEEPER_KILL);
    expect_end(&stage);
    stage_close(&stage);
}

Test(keeper, kill_at_once, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage);
    start_actors(&stage, (const char *const[]){"&!b", NULL});
    order(&stage, KEEPER_KILL);
    cr_assert_eq(next_but_remaining(&stage), KEEPER_MAIN_EXITED);
    cr_assert(WIFSIGNALED(stage.news.wait_status));
    cr_assert_eq(WTERMSIG(stage.news.wait_status), SIGKILL);
    expect_end(&stage);
    stage_close(&stage);
}

/* An order may come before the program runs: the tree still ends. */
Test(keeper, kill_before_it_has_started, .timeout = 60)
{
    for (int i = 0; i < 20; i++) {
        struct stage stage;
        stage_open(&stage);
        stage.argv[0] = "/bin/sleep";
        stage.argv[1] = "100";
        start(&stage);
        order(&stage, i % 2 == 0 ? KEEPER_KILL : KEEPER_TERMINATE);
        if (i % 2 != 0)
            order(&stage, KEEPER_KILL);
        while (next(&stage) != 0)
            continue;
        stage_close(&stage);
    }
}

Test(keeper, a_fork_storm_is_ended, .timeout = 100)
{
    struct stage stage;
    stage_open(&stage);
    start_script(&stage, "trap '' TERM; i=0; echo ready >$0; while [ $i -lt 1000 ]; do i=$((i+1)); "
                         "(sleep 1 & setsid sleep 100 & wait) & sleep 0.01; done");
    cr_assert_eq(next(&stage), KEEPER_STARTED);
    await_word(&stage, "ready\n");
    order(&stage, KEEPER_TERMINATE);
    order(&stage, KEEPER_KILL);
    cr_assert_eq(next_but_remaining(&stage), KEEPER_MAIN_EXITED);
    expect_end(&stage);
    stage_close(&stage);
}

/* --- what is left behind, and the supervisor's death --- */

Test(keeper, a_main_process_that_leaves_others_behind, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage);
    start_script(&stage, "setsid sleep 100 & echo $! >$0; exit 0");
    cr_assert_eq(next(&stage), KEEPER_STARTED);
    cr_assert_eq(next(&stage), KEEPER_MAIN_EXITED);
    cr_assert_eq(stage.news.wait_status, 0);
    char text[64];
    read_file(&stage, text, sizeof(text));
    cr_assert_eq(send_signal((pid_t)atoi(text), 0), 0, "still alive, and the keeper says nothing yet");
    cr_assert_eq(keeper_receive(&stage.keeper, &stage.news), -EAGAIN);
    order(&stage, KEEPER_KILL);
    expect_end(&stage);
    stage_close(&stage);
}

Test(keeper, a_closed_socket_kills_the_tree, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage);
    start_actors(&stage, (const char *const[]){"!a", "&!b", NULL});
    close(stage.keeper.socket);
    stage.keeper.socket = -1;
    cr_assert_eq(waitpid(stage.keeper.pid, NULL, 0), stage.keeper.pid);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "the keeper left before its tree was empty");
    stage_close(&stage);
}

Test(keeper, a_killed_supervisor_leaves_nothing, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage);
    pid_t supervisor = fork();
    cr_assert_geq(supervisor, 0);
    if (supervisor == 0) {
        start_actors(&stage, (const char *const[]){"!a", "&!b", "&!c", NULL});
        for (;;)
            pause();
    }
    await_word(&stage, "ready\n");
    cr_assert_eq(send_signal(supervisor, SIGKILL), 0);
    cr_assert_eq(waitpid(supervisor, NULL, 0), supervisor);
    stage_close(&stage); /* the keeper is this process's child now, and goes with its tree */
}

Test(keeper, two_keepers_do_not_hold_each_other_up, .timeout = 60)
{
    struct stage first, second;
    stage_open(&first);
    stage_open(&second);
    start_actors(&first, (const char *const[]){"&!a", NULL});
    start_actors(&second, (const char *const[]){"&!b", NULL});
    close(first.keeper.socket); /* the second has no copy of it */
    first.keeper.socket = -1;
    cr_assert_eq(waitpid(first.keeper.pid, NULL, 0), first.keeper.pid);
    cr_assert_eq(keeper_receive(&second.keeper, &second.news), -EAGAIN, "the other's task goes on");
    order(&second, KEEPER_KILL);
    cr_assert_eq(next_but_remaining(&second), KEEPER_MAIN_EXITED);
    expect_end(&second);
    stage_close(&second);
    stage_close(&first);
}

/* --- the supervisor's side of the socket --- */

/* The kernel tells of a peer that closed without reading before it hands out that peer's last words. */
Test(keeper, the_last_words_of_one_that_left_an_order_unread)
{
    int sockets[2];
    struct keeper_report news = {.news = KEEPER_MAIN_EXITED, .wait_status = 7}, got = {0};
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets), 0);
    const struct keeper keeper = {.pid = 1, .socket = sockets[0]};
    cr_assert_eq(send(sockets[1], &news, sizeof(news), 0), (ssize_t)sizeof(news));
    news.news = KEEPER_TREE_EMPTY;
    cr_assert_eq(send(sockets[1], &news, sizeof(news), 0), (ssize_t)sizeof(news));
    cr_assert_eq(keeper_order(&keeper, KEEPER_KILL), 0);
    close(sockets[1]);
    cr_assert_eq(keeper_receive(&keeper, &got), 1);
    cr_assert_eq(got.news, KEEPER_MAIN_EXITED);
    cr_assert_eq(got.wait_status, 7);
    cr_assert_eq(keeper_receive(&keeper, &got), 1);
    cr_assert_eq(got.news, KEEPER_TREE_EMPTY);
    cr_assert_eq(keeper_receive(&keeper, &got), 0);
    cr_assert_eq(keeper_receive(&keeper, &got), 0);
    cr_assert_eq(keeper_order(&keeper, KEEPER_KILL), -EPIPE);
    close(sockets[0]);
}

Test(keeper, a_report_of_another_size_is_refused)
{
    int sockets[2];
    struct keeper_report news = {.news = KEEPER_REMAINING}, got = {.count = 7};
    memset(news.text, 'x', sizeof(news.text));
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets), 0);
    const struct keeper keeper = {.pid = 1, .socket = sockets[0]};
    cr_assert_eq(keeper_receive(&keeper, &got), -EAGAIN);
    cr_assert_eq(send(sockets[1], &news, 10, 0), 10);
    cr_assert_eq(keeper_receive(&keeper, &got), -EPROTO);
    cr_assert_eq(got.count, 7);
    cr_assert_eq(send(sockets[1], &news, sizeof(news), 0), (ssize_t)sizeof(news));
    cr_assert_eq(keeper_receive(&keeper, &got), 1);
    cr_assert_eq(strnlen(got.text, sizeof(got.text)), sizeof(got.text) - 1, "ended by force");
    close(sockets[1]);
    close(sockets[0]);
}
