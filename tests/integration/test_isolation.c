/*
 * The isolation table: whatever hookd, a hook's worker or a probe's worker does, the task writes on, a KILL
 * comes in time, there is exactly one terminal update, and the next job works. Every cell is a test.
 *
 * Rows are subjects, columns what they do; the lists below generate the tests. These cells are left out:
 *
 *  - a probe's worker that is busy, hogs memory or descriptors, or forks: it runs none but our own code,
 * under a filter of system calls, so that only its server can make it do anything. The servers here that send
 *    heads and bodies without end are what comes nearest to a hog of memory and to a flood;
 *  - a probe's worker that ignores SIGTERM: nobody sends it one, it is killed with SIGKILL. One that hangs is
 *    the same, and here.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/hooked.h"

enum {
    LONGEST_GAP_MS = 3000, /* in what the task writes every 10 ms; less than what a hang here lasts */
    END_TIMEOUT_MS = 1000, /* of all BeforeTerminate hooks */
    KILL_MARGIN_MS = 5000, /* a loaded machine; a kill that waits for what hangs takes DEADLINE_MS and more */
    LONGEST_LOG = 4 << 20,
    NOT_ALLOWED = 77, /* helpers/misbehave.c */
};

static char bin_folder[64];
static pid_t server_pid;

/* ---- what must hold ---- */

static void launch_ticking(struct devagent *agent, const char *more_of_task)
{
    launch_json(agent, "{'task_id': {'value': 't'}, 'command': {'value': 'exec %s'}%s}", HELPER("tick"),
                more_of_task);
    expect_state(agent, "t", RUNNING);
    expect_file(agent, "stdout", "tick ");
}

static size_t size_of_output(struct devagent *agent)
{
    char *output = devagent_read_file(agent, "stdout");
    size_t size = strlen(output);
    free(output);
    return size;
}

static bool has_grown(struct devagent *agent, void *arg)
{
    const size_t *before = arg;
    return size_of_output(agent) > *before + 64; /* two whole lines */
}

/* It still writes, it has always been the same process, and it was never held up. */
static void expect_untouched(struct devagent *agent)
{
    size_t before = size_of_output(agent);
    if (!wait_until(agent, has_grown, &before))
        fail_with_story(agent, "the task does not write any more");
    char *output = devagent_read_file(agent, "stdout");
    int first = 0, pid;
    long long last = 0, now;
    for (const char *line = output; strchr(line, '\n') != NULL; line = strchr(line, '\n') + 1) {
        if (sscanf(line, "tick %d %lld", &pid, &now) != 2)
            fail_with_story(agent, "a line that the task did not write");
        if (first == 0)
            first = pid;
        if (pid != first)
            fail_with_story(agent, "the task is another process now");
        if (last > 0 && now - last > LONGEST_GAP_MS)
            fail_with_story(agent, "the task was held up for %lld ms", now - last);
        last = now;
    }
    free(output);
    if (strstr(devagent_states(agent, "t"), "RUNNING") == NULL ||
        devagent_state_is_terminal(devagent_last_update(agent, "t")->state))
        fail_with_story(agent, "the task is %s", devagent_states(agent, "t"));
}

static void expect_killed_in_time(struct devagent *agent)
{
    expect_untouched(agent);
    devagent_kill(agent, "t", -1);
    const struct devagent_update *update = expect_state(agent, "t", KILLED);
    if (SINCE_KILL(agent, update) > END_TIMEOUT_MS + KILL_MARGIN_MS)
        fail_with_story(agent, "the kill took %lld ms", (long long)SINCE_KILL(agent, update));
}

/* What floods shows up to 1 MiB of a hook's output at each of the two events; no other log grows like that.
 */
static void expect_bounded_log(struct devagent *agent)
{
    char *log = devagent_read_file(agent, "stderr");
    size_t size = strlen(log);
    free(log);
    if (size > LONGEST_LOG) {
        devagent_destroy(agent);
        cr_assert_fail("the log has grown to %zu bytes", size);
    }
}

/* devagent counts every update after a terminal one as a mistake, which agent_end() fails for. */
static void expect_one_terminal(struct devagent *agent)
{
    size_t terminal = 0;
    for (size_t i = 0; i < devagent_update_count(agent); i++) {
        const struct devagent_update *update = devagent_update_at(agent, i);
        terminal += strcmp(update->task_id, "t") == 0 && devagent_state_is_terminal(update->state) &&
                    update->fate == DEVAGENT_FATE_STORED;
    }
    cr_assert_eq(terminal, 1);
    expect_bounded_log(agent);
    agent_end_in_time(agent, 0);
}

/* Another task, whose hooks all run. */
static void expect_next_job(struct devagent *agent)
{
    hooked_launch(agent, "next", "");
    expect_state(agent, "next", RUNNING);
    expect_journal(agent, "BeforeTaskStart next", "next ready", NULL);
    devagent_kill(agent, "next", -1);
    expect_state(agent, "next", KILLED);
    expect_journal(agent, "BeforeTerminate next", "next heard TERM", NULL);
    expect_states(agent, "next", "STARTING RUNNING KILLED");
}

static void clean_up(void)
{
    static const char *const files[] = {"supervisor", "agent-client", "hookd",
                                        "real-hookd", "fork_storm",   "play"};
    hooked_end();
    if (server_pid > 1) {
        send_signal(server_pid, SIGKILL);
        waitpid(server_pid, NULL, 0);
    }
    if (bin_folder[0] == '\0')
        return;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", bin_folder, files[i]);
        unlink(path);
    }
    rmdir(bin_folder);
}

TestSuite(isolation, .fini = clean_up, .timeout = 120);

/* ---- hookd ---- */

static void copy_program(const char *from, const char *name)
{
    char path[128];
    static char bytes[1 << 16];
    ssize_t n;
    snprintf(path, sizeof(path), "%s/%s", bin_folder, name);
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    cr_assert(in >= 0 && out >= 0, "%s", from);
    while ((n = read(in, bytes, sizeof(bytes))) > 0)
        cr_assert_eq(write(out, bytes, (size_t)n), n);
    close(in);
    close(out);
}

static struct devagent *begin_with_fake(const char *way, int event, int incarnations)
{
    static char supervisor[128];
    static const char *const argv[] = {supervisor, NULL};
    char path[128];
    strcpy(bin_folder, "/tmp/bulkhead-bin-XXXXXX");
    cr_assert_not_null(mkdtemp(bin_folder));
    cr_assert_eq(chmod(bin_folder, 0755), 0);
    copy_program(TEST_BIN_DIR "/supervisor", "supervisor");
    copy_program(TEST_BIN_DIR "/agent-client", "agent-client");
    copy_program(TEST_BIN_DIR "/hookd", "real-hookd");
    copy_program(HELPER("fake_hookd"), "hookd");
    copy_program(HELPER("fork_storm"), "fork_storm");
    snprintf(path, sizeof(path), "%s/play", bin_folder);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fprintf(file, "%s %d %d\n", way, event, incarnations);
    cr_assert_eq(fclose(file), 0);

    snprintf(supervisor, sizeof(supervisor), "%s/supervisor", bin_folder);
    struct devagent_options options = hooked_options();
    options.executor_argv = argv;
    return agent_begin(&options);
}

enum { AFTER_TASK_START = 2, BEFORE_TERMINATE = 4, FOR_EVER = 1000000 };

static void set_patient_hooks(void)
{
    hooked_begin();
    hooked_set("ALLEGRO_EXECUTOR_HOOK_TIMEOUT=60s");
    hooked_set("ALLEGRO_EXECUTOR_TERMINATE_HOOKS_TIMEOUT=1s");
}

/* The second incarnation gives way to the real hookd, which runs what the first two have left undone. */
static void fake_hookd_and_next_job(const char *way)
{
    set_patient_hooks();
    hooked_add("10-note", NOTE);
    struct devagent *agent = begin_with_fake(way, AFTER_TASK_START, 2);
    launch_ticking(agent, "");
    expect_journal(agent, "AfterTaskStart t", NULL);
    expect_untouched(agent);
    expect_next_job(agent);
    expect_killed_in_time(agent);
    expect_journal(agent, "BeforeTerminate t", NULL);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    expect_one_terminal(agent);
}

/* It never gets better. */
static void fake_hookd_and_kill(const char *way)
{
    set_patient_hooks();
    hooked_add("10-note", NOTE);
    struct devagent *agent = begin_with_fake(way, BEFORE_TERMINATE, FOR_EVER);
    launch_ticking(agent, "");
    expect_killed_in_time(agent);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    expect_one_terminal(agent);
}

/* A kill during what it does for an earlier event. */
static void fake_hookd_and_early_kill(const char *way)
{
    set_patient_hooks();
    hooked_add("10-note", NOTE);
    struct devagent *agent = begin_with_fake(way, AFTER_TASK_START, FOR_EVER);
    launch_ticking(agent, "");
    expect_killed_in_time(agent);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    expect_one_terminal(agent);
}

#define FAKE_HOOKD(X)                                                                                        \
    X(exits, "exit")                                                                                         \
    X(busy_loop, "busy")                                                                                     \
    X(memory_hog, "memory")                                                                                  \
    X(descriptor_hog, "descriptors")                                                                         \
    X(fork_storm, "storm")                                                                                   \
    X(floods_its_output, "flood")                                                                            \
    X(floods_with_results, "results")                                                                        \
    X(garbage_frames, "garbage")                                                                             \
    X(bad_body, "bad-body")                                                                                  \
    X(the_supervisors_word, "supervisors-word")                                                              \
    X(the_agents_word, "agents-word")                                                                        \
    X(ignores_SIGTERM, "ignore-term")

#define FAKE_HOOKD_TESTS(cell, way)                                                                          \
    Test(isolation, hookd_##cell##_and_the_next_job)                                                         \
    {                                                                                                        \
        fake_hookd_and_next_job(way);                                                                        \
    }                                                                                                        \
    Test(isolation, hookd_##cell##_and_a_kill)                                                               \
    {                                                                                                        \
        fake_hookd_and_kill(way);                                                                            \
    }                                                                                                        \
    Test(isolation, hookd_##cell##_and_an_early_kill)                                                        \
    {                                                                                                        \
        fake_hookd_and_early_kill(way);                                                                      \
    }

FAKE_HOOKD(FAKE_HOOKD_TESTS)

/* Alive, and silent of its jobs: no ping finds it out. */
Test(isolation, hookd_says_nothing_of_its_jobs_and_a_kill)
{
    fake_hookd_and_kill("idle");
}

/* The real one, in the middle of a hook: its successor runs the hook again. */
static void signalled_hookd(int number)
{
    set_patient_hooks();
    hooked_add("10-once", NOTE "[ \"$BULKHEAD_TASK_ID\" = t ] || exit 0\n"
                               "case $1 in\n"
                               "AfterTaskStart) [ -e once ] || { : >once; exec sleep 1000; };;\n"
                               "BeforeTerminate) exec sleep 1000;;\n"
                               "esac\n");
    struct devagent *agent = hooked_agent();
    launch_ticking(agent, "");
    pid_t hook = journal_pid(agent, "AfterTaskStart t");
    send_signal(wait_child(agent, "hookd"), number);
    expect_journal(agent, "AfterTaskStart t", "AfterTaskStart t", NULL);
    expect_dead(agent, hook);
    expect_untouched(agent);
    expect_next_job(agent);
    devagent_kill(agent, "t", -1);
    expect_journal(agent, "BeforeTerminate t", NULL);
    send_signal(wait_child(agent, "hookd"), number);
    const struct devagent_update *update = expect_state(agent, "t", KILLED);
    if (SINCE_KILL(agent, update) > END_TIMEOUT_MS + KILL_MARGIN_MS)
        fail_with_story(agent, "the kill took %lld ms", (long long)SINCE_KILL(agent, update));
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    expect_one_terminal(agent);
}

Test(isolation, hookd_killed)
{
    signalled_hookd(SIGKILL);
}

Test(isolation, hookd_stopped)
{
    signalled_hookd(SIGSTOP);
}

Test(isolation, hookd_segfault)
{
    signalled_hookd(SIGSEGV);
}

/* What it did to the environment is not known: the task does not start, and says so. */
Test(isolation, hookd_killed_before_the_task_starts)
{
    set_patient_hooks();
    hooked_add("10-slow",
               NOTE "[ \"$1\" != BeforeTaskStart ] || [ -e once ] || { : >once; exec sleep 1000; }\n");
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "");
    journal_pid(agent, "BeforeTaskStart t");
    send_signal(wait_child(agent, "hookd"), SIGKILL);
    expect_message(agent, expect_state(agent, "t", FAILED), "hookd was lost");
    expect_states(agent, "t", "STARTING FAILED");
    expect_journal(agent, "BeforeTerminate t", NULL);
    expect_one_terminal(agent);
}

/* ---- a hook's worker, and the program that it runs ---- */

static void check_allowed(struct devagent *agent)
{
    if (!file_has(agent, "stderr", "cannot copy the worker's socket"))
        return;
    devagent_destroy(agent);
    clean_up();
    cr_skip_test("the system does not let a hook take its worker's socket");
}

/* At two events of the task t, never for other tasks. */
static void misbehaving_hook(const char *script)
{
    static char text[1024];
    hooked_begin();
    hooked_set("ALLEGRO_EXECUTOR_HOOK_TIMEOUT=1s");
    hooked_set("ALLEGRO_EXECUTOR_TERMINATE_HOOKS_TIMEOUT=1s");
    hooked_set("ALLEGRO_EXECUTOR_HOOK_FAILURE=keep");
    snprintf(text, sizeof(text),
             NOTE "[ \"$BULKHEAD_TASK_ID\" = t ] || exit 0\n"
                  "case $1 in AfterTaskStart | BeforeTerminate) ;; *) exit 0;; esac\n"
                  "%s\n",
             script);
    hooked_add("10-wild", text);
    struct devagent *agent = hooked_agent();
    launch_ticking(agent, "");
    expect_file(agent, "stderr", "hooks have failed; keeping the task");
    check_allowed(agent);
    expect_dead(agent, journal_pid(agent, "AfterTaskStart t"));
    expect_untouched(agent);
    expect_next_job(agent);
    expect_killed_in_time(agent);
    expect_dead(agent, journal_pid(agent, "BeforeTerminate t"));
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    cr_assert_eq(count_named(agent, "fork_storm"), 0);
    expect_one_terminal(agent);
}

#define TO_WORKER(word) "[ $PPID -gt 1 ] && " word "\nexec sleep 1000"
#define SPEAK(word) TO_WORKER(HELPER("misbehave") " speak $PPID " word)

#define HOOK_WORKER(X)                                                                                       \
    X(killed, TO_WORKER("kill -KILL $PPID"))                                                                 \
    X(stopped, TO_WORKER("kill -STOP $PPID"))                                                                \
    X(segfault, TO_WORKER("kill -SEGV $PPID"))                                                               \
    X(program_killed, "kill -KILL $$")                                                                       \
    X(program_stopped, "kill -STOP $$")                                                                      \
    X(program_segfault, "kill -SEGV $$")                                                                     \
    X(busy_loop, "exec " HELPER("misbehave") " busy")                                                        \
    X(memory_hog, "exec " HELPER("misbehave") " memory")                                                     \
    X(descriptor_hog, "exec " HELPER("misbehave") " descriptors")                                            \
    X(fork_storm, "exec " HELPER("fork_storm") " 15")                                                        \
    X(leaves_a_fork_storm, HELPER("fork_storm") " 15 & sleep 0.2; exit 1")                                   \
    X(floods_its_output, "exec yes")                                                                         \
    X(floods_its_errors, "exec yes >&2")                                                                     \
    X(garbage_frames, SPEAK("garbage"))                                                                      \
    X(a_word_of_a_probes_worker, SPEAK("probed"))                                                            \
    X(ignores_SIGTERM, "trap '' TERM\nexec sleep 1000")

#define HOOK_WORKER_TEST(cell, script)                                                                       \
    Test(isolation, hook_worker_##cell)                                                                      \
    {                                                                                                        \
        misbehaving_hook(script);                                                                            \
    }

HOOK_WORKER(HOOK_WORKER_TEST)

/* ---- a probe's worker, and the server that it talks to ---- */

/* Of the connections the first and all from the fourth on are treated badly. */
enum { GOOD_FROM = 2, GOOD_TO = 3 };

static atomic_int *connections;

static bool send_text(int connection, const char *text, size_t length)
{
    return send(connection, text, length, MSG_NOSIGNAL) > 0;
}

/* Until the other side has gone. */
static void say_nothing(int connection)
{
    char byte;
    while (recv(connection, &byte, 1, 0) > 0)
        continue;
}

static void send_heads(int connection)
{
    static const char line[] =
        "X-More: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    send_text(connection, "HTTP/1.1 200 OK\r\n", 17);
    while (send_text(connection, line, sizeof(line) - 1))
        continue;
}

static void send_body(int connection)
{
    static char bytes[1 << 16];
    send_text(connection, "HTTP/1.1 500 No\r\n\r\n", 19);
    while (send_text(connection, bytes, sizeof(bytes)))
        continue;
}

static void send_garbage(int connection)
{
    static const char bytes[256] = {1, 2, 3};
    send_text(connection, bytes, sizeof(bytes));
}

static _Noreturn void be_server(int listener, void (*be_bad)(int connection))
{
    static const char good[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        char request[4096];
        int connection = accept(listener, NULL, NULL);
        if (connection < 0 || recv(connection, request, sizeof(request), 0) < 0)
            _exit(1);
        int number = atomic_fetch_add(connections, 1) + 1;
        if (number >= GOOD_FROM && number <= GOOD_TO)
            send_text(connection, good, sizeof(good) - 1);
        else
            be_bad(connection);
        close(connection);
    }
}

static unsigned start_server(void (*be_bad)(int connection))
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    connections = mmap(NULL, sizeof(*connections), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(connections != MAP_FAILED && listener >= 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(listener, 16), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    server_pid = fork();
    cr_assert_geq(server_pid, 0);
    if (server_pid == 0)
        be_server(listener, be_bad);
    close(listener);
    return ntohs(address.sin_port);
}

static bool were_so_many(struct devagent *agent, void *arg)
{
    (void)agent;
    const int *wanted = arg;
    return atomic_load(connections) >= *wanted;
}

static void await_connection(struct devagent *agent, int number)
{
    if (!wait_until(agent, were_so_many, &number))
        fail_with_story(agent, "there was no probe number %d", number);
}

static bool is_healthy(struct devagent *agent, void *arg)
{
    (void)arg;
    const struct devagent_update *update = devagent_last_update(agent, "t");
    return update != NULL && update->has_healthy && update->healthy;
}

static void misbehaving_probe(void (*be_bad)(int connection), void (*do_to_worker)(pid_t worker))
{
    char health[512];
    unsigned port = start_server(be_bad);
    snprintf(health, sizeof(health),
             ", 'health_check': {'type': 'HTTP', 'http': {'port': %u, 'path': '/'}, 'delay_seconds': 0, "
             "'interval_seconds': 0.05, 'timeout_seconds': 1, 'grace_period_seconds': 0, "
             "'consecutive_failures': 100000}",
             port);
    struct devagent *agent = agent_begin(NULL);
    launch_ticking(agent, health);
    await_connection(agent, 1);
    if (do_to_worker != NULL)
        do_to_worker(wait_child(agent, "hookd: HTTP probe"));
    await_connection(agent, GOOD_FROM);
    cr_assert(wait_until(agent, is_healthy, NULL), "the next probe did not work");
    expect_untouched(agent);
    await_connection(agent, GOOD_TO + 1);
    if (do_to_worker != NULL)
        do_to_worker(wait_child(agent, "hookd: HTTP probe"));
    expect_killed_in_time(agent);
    expect_one_terminal(agent);
}

static void kill_worker(pid_t worker)
{
    send_signal(worker, SIGKILL);
}

static void stop_worker(pid_t worker)
{
    send_signal(worker, SIGSTOP);
}

static void crash_worker(pid_t worker)
{
    send_signal(worker, SIGSEGV);
}

static void speak_for(pid_t worker, const char *word)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", (int)worker);
    static const char program[] = HELPER("misbehave");
    const char *argv[] = {program, "speak", number, word, NULL};
    pid_t pid;
    int wait_status;
    cr_assert_eq(posix_spawn(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ), 0);
    cr_assert_eq(waitpid(pid, &wait_status, 0), pid);
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == NOT_ALLOWED) {
        clean_up();
        cr_skip_test("the system does not let a test take a worker's socket");
    }
    cr_assert_eq(wait_status, 0);
}

static void speak_garbage(pid_t worker)
{
    speak_for(worker, "garbage");
}

static void speak_as_a_hook(pid_t worker)
{
    speak_for(worker, "record");
}

#define PROBE_WORKER(X)                                                                                      \
    X(killed, say_nothing, kill_worker)                                                                      \
    X(stopped, say_nothing, stop_worker)                                                                     \
    X(segfault, say_nothing, crash_worker)                                                                   \
    X(hangs, say_nothing, NULL)                                                                              \
    X(endless_head, send_heads, NULL)                                                                        \
    X(endless_body, send_body, NULL)                                                                         \
    X(garbage_answer, send_garbage, NULL)                                                                    \
    X(garbage_frames, say_nothing, speak_garbage)                                                            \
    X(a_word_of_a_hooks_worker, say_nothing, speak_as_a_hook)

#define PROBE_WORKER_TEST(cell, be_bad, do_to_worker)                                                        \
    Test(isolation, probe_worker_##cell)                                                                     \
    {                                                                                                        \
        misbehaving_probe(be_bad, do_to_worker);                                                             \
    }

PROBE_WORKER(PROBE_WORKER_TEST)
