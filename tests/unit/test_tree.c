/* The process tree, on real processes: what is found, what is signalled, and what must not be. */
#include "supervisor/tree.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "support.h"

enum { LIFETIME = 100 }; /* seconds after which a forgotten process ends by itself */

static int folders_left = -1; /* so many can still be opened, negative for any number */

/* The C library's, for this program alone: at some moment the system has no more descriptors to give. */
DIR *opendir(const char *path)
{
    if (folders_left == 0) {
        errno = ENFILE;
        return NULL;
    }
    folders_left -= folders_left > 0;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder < 0 ? NULL : fdopendir(folder);
}

/* Memory that all processes of a test share: who is who, and what they have seen. */
struct board {
    atomic_int pids[16];
    atomic_int count;
};

static struct board *board_new(void)
{
    struct board *board =
        mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(board, MAP_FAILED);
    support_become_subreaper();
    return board;
}

static _Noreturn void rest(void)
{
    for (;;)
        pause();
}

/* Forks a process that runs role(board), enters itself at slot and then rests. */
static pid_t start(struct board *board, int slot, void (*role)(struct board *board))
{
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid > 0)
        return pid;
    alarm(LIFETIME);
    if (role != NULL)
        role(board);
    board->pids[slot] = getpid();
    rest();
}

static bool is_entered(void *arg)
{
    return *(atomic_int *)arg != 0;
}

static pid_t entered(struct board *board, int slot)
{
    cr_assert(support_wait_for(is_entered, &board->pids[slot]));
    return board->pids[slot];
}

static const struct tree_process *find(const struct tree *tree, pid_t pid)
{
    const struct tree_process *found = NULL;
    for (size_t i = 0; i < tree->count; i++)
        if (tree->processes[i].pid == pid) {
            cr_assert_null(found, "listed twice");
            found = &tree->processes[i];
        }
    return found;
}

/* Kills and reaps until nothing is left, as the keeper does. */
static void sweep(void)
{
    struct tree tree;
    tree_init(&tree, getpid());
    double end = support_seconds() + SUPPORT_DEADLINE_SECONDS;
    do {
        cr_assert_geq(tree_kill(&tree), 0);
        cr_assert_lt(support_seconds(), end, "not empty in time");
    } while (!support_reaped_all(NULL));
    tree_clear(&tree);
}

/* --- what is found --- */

static void fork_two(struct board *board)
{
    for (int i = 1; i <= 2; i++)
        if (fork() == 0) {
            alarm(LIFETIME);
            board->pids[i] = getpid();
            rest();
        }
}

Test(tree, children_and_their_children, .timeout = 60)
{
    struct board *board = board_new();
    struct tree tree;
    tree_init(&tree, getpid());
    cr_assert_eq(tree_scan(&tree), 0);
    cr_assert_eq(tree.count, 0);
    pid_t child = start(board, 0, fork_two);
    pid_t other = start(board, 3, NULL);
    for (int i = 0; i < 4; i++)
        entered(board, i);

    cr_assert_eq(tree_scan(&tree), 0);
    cr_assert_eq(tree.count, 4);
    cr_assert_eq(find(&tree, child)->parent, getpid());
    cr_assert(find(&tree, child)->alive);
    cr_assert_eq(find(&tree, other)->parent, getpid());
    for (int i = 1; i <= 2; i++) {
        cr_assert_eq(find(&tree, board->pids[i])->parent, child);
        cr_assert_gt(find(&tree, board->pids[i]), find(&tree, child), "parents come first");
    }
    cr_assert_null(find(&tree, getpid()));

    cr_assert_eq(tree_scan_children(&tree), 0);
    cr_assert_eq(tree.count, 2);
    struct tree below;
    tree_init(&below, child);
    cr_assert_eq(tree_scan(&below), 0);
    cr_assert_eq(below.count, 2);
    cr_assert_eq(tree_kill(&below), 2);
    tree_clear(&below);
    tree_clear(&tree);
    sweep();
}

Test(tree, a_root_that_is_gone, .timeout = 60)
{
    support_become_subreaper();
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0)
        _exit(0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    struct tree tree;
    tree_init(&tree, child);
    cr_assert_lt(tree_scan(&tree), 0);
    cr_assert_lt(tree_kill(&tree), 0);
    cr_assert_eq(tree.count, 0);
    tree_clear(&tree);
}

static void daemonise(struct board *board)
{
    (void)board;
    if (fork() != 0)
        _exit(0);
    setsid();
    if (fork() != 0)
        _exit(0);
    signal(SIGTERM, SIG_IGN);
    alarm(LIFETIME);
}

Test(tree, a_daemonised_process_is_still_in_it, .timeout = 60)
{
    struct board *board = board_new();
    start(board, 0, daemonise);
    pid_t daemon = entered(board, 0);
    struct tree tree;
    tree_init(&tree, getpid());
    cr_assert_eq(tree_scan(&tree), 0);
    cr_assert_not_null(find(&tree, daemon));
    cr_assert_neq(getsid(daemon), getsid(0));
    cr_assert_eq(tree_signal(&tree, find(&tree, daemon), SIGKILL), 0);
    cr_assert(support_no_children_left());
    tree_clear(&tree);
}

static void *fork_in_thread(void *arg)
{
    struct board *board = arg;
    if (fork() == 0) {
        alarm(LIFETIME);
        board->pids[1] = getpid();
    }
    rest();
}

static void start_thread(struct board *board)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, fork_in_thread, board) != 0)
        _exit(1);
}

Test(tree, the_children_of_a_thread, .timeout = 60)
{
    struct board *board = board_new();
    pid_t child = start(board, 0, start_thread);
    pid_t grandchild = entered(board, 1);
    struct tree tree;
    tree_init(&tree, getpid());
    cr_assert_eq(tree_scan(&tree), 0);
    cr_assert_eq(tree.count, 2);
    cr_assert_eq(find(&tree, grandchild)->parent, child);
    tree_clear(&tree);
    sweep();
}

static void *outlive_first_thread(void *arg)
{
    struct board *board = arg;
    while (support_state(getpid()) != 'Z')
        sched_yield();
    board->pids[0] = getpid();
    rest();
}

static void leave_to_thread(struct board *board)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, outlive_first_thread, board) != 0)
        _exit(1);
    pthread_exit(NULL);
}

/* Its state reads 'Z', yet it runs: a task could hide so. */
Test(tree, a_process_whose_first_thread_has_ended, .timeout = 60)
{
    struct board *board = board_new();
    pid_t child = start(board, 0, leave_to_thread);
    entered(board, 0);
    struct tree tree;
    char text[200];
    tree_init(&tree, getpid());
    cr_assert_eq(tree_scan(&tree), 0);
    cr_assert_eq(find(&tree, child)->state, 'Z');
    cr_assert(find(&tree, child)->alive);
    cr_assert_eq(tree_describe(&tree, text, sizeof(text)), 1);
    cr_assert_eq(tree_signal(&tree, find(&tree, child), 0), 0);
    cr_assert_eq(tree_kill(&tree), 1);
    cr_assert(support_no_children_left());
    tree_clear(&tree);
}

static const char *const odd_names[] = {"a) R 1 (b",
                                        ")",
                                        "(",
                                        ") ) ) )",
                                        "two words",
                                        "line\nfeed",
                                        "\n",
                                        "\xff\x01\x7f",
                                        "",
                                        "123456789012345",
                                        ") Z 1 1 1 1 1"};

static int odd_name;

static void take_odd_name(struct board *board)
{
    (void)board;
    prctl(PR_SET_NAME, odd_names[odd_name]);
}

Test(tree, odd_names_do_not_confuse, .timeout = 60)
{
    struct board *board = board_new();
    struct tree tree;
    tree_init(&tree, getpid());
    for (odd_name = 0; odd_name < (int)(sizeof(odd_names) / sizeof(odd_names[0])); odd_name++) {
        board->pids[0] = 0;
        pid_t child = start(board, 0, take_odd_name);
        entered(board, 0);
        cr_assert_eq(tree_scan(&tree), 0);
        cr_assert_eq(tree.count, 1);
        const struct tree_process *found = find(&tree, child);
        cr_assert_str_eq(found->comm, odd_names[odd_name]);
        cr_assert_eq(found->parent, getpid());
        cr_assert(found->alive);
        cr_assert_eq(tree_signal(&tree, found, SIGKILL), 0);
        cr_assert(support_no_children_left());
    }
    tree_clear(&tree);
}

/* --- names --- */

static struct tree_process process_with_comm(const char *comm)
{
    struct tree_process process = {.pid = 0x7ffffff0 /* nobody's */, .state = 'S', .alive = true};
    snprintf(process.comm, sizeof(process.comm), "%s", comm);
    return process;
}

static bool is_named(const char *comm, const char *name)
{
    struct tree_process process = process_with_comm(comm);
    return tree_is_named(&process, &name, 1);
}

Test(tree, names_are_compared_without_case)
{
    cr_assert(is_named("haproxy", "haproxy"));
    cr_assert(is_named("HAProxy", "haproxy"));
    cr_assert(is_named("haproxy", "HAPROXY"));
    cr_assert(is_named("123456789012345", "123456789012345"));
    cr_assert_not(is_named("haproxy", "haprox"));
    cr_assert_not(is_named("haprox", "haproxy"));
    cr_assert_not(is_named("haproxy", "proxy"));
    cr_assert_not(is_named("haproxy", ""));
    cr_assert_not(is_named("123456789012345", "1234567890123456"), "nobody's argv[0] says so");

    static const char *const names[] = {"a", "b", "c"};
    struct tree_process process = process_with_comm("B");
    cr_assert(tree_is_named(&process, names, 3));
    cr_assert_not(tree_is_named(&process, names, 1));
    cr_assert_not(tree_is_named(&process, NULL, 0));
}

/* argv[0] is the second row's word where comm is cut; the third says whether the name is the process's. */
Test(tree, a_cut_name_is_completed_from_argv0, .timeout = 60)
{
    static const struct {
        const char *argv0, *comm, *name;
        bool expected;
    } rows[] = {
        {"/opt/bin/longer-than-fifteen", "longer-than-fif", "longer-than-fifteen", true},
        {"/opt/bin/longer-than-fifteen", "longer-than-fif", "Longer-Than-Fifteen", true},
        {"longer-than-fifteen", "longer-than-fif", "longer-than-fifteen", true},
        {"/opt/bin/longer-than-fifteen", "longer-than-fif", "longer-than-fif", true},
        {"/opt/bin/longer-than-fifteen", "longer-than-fif", "longer-than-fifty", false},
        {"/opt/bin/longer-than-fifteen", "longer-than-fif", "longer-than-fift", false},
        {"/opt/bin/something-else-of-size", "longer-than-fif", "something-else-of-size", false},
        {"/opt/bin/longer-than-fifteen", "short", "longer-than-fifteen", false},
    };
    support_become_subreaper();
    struct tree tree;
    tree_init(&tree, getpid());
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int ready[2];
        cr_assert_eq(pipe(ready), 0);
        pid_t child = fork();
        cr_assert_geq(child, 0);
        if (child == 0) {
            dup2(ready[1], STDOUT_FILENO);
            execl("/bin/sh", rows[i].argv0, "-c", "printf %s \"$0\" >/proc/$$/comm; echo; kill -STOP $$",
                  rows[i].comm, NULL);
            _exit(1);
        }
        char byte;
        cr_assert_eq(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        close(ready[1]);
        cr_assert_eq(tree_scan(&tree), 0);
        const struct tree_process *found = find(&tree, child);
        cr_assert_str_eq(found->comm, rows[i].comm);
        cr_assert_eq(tree_is_named(found, &rows[i].name, 1), rows[i].expected, "row %zu", i);
        sweep();
    }
    tree_clear(&tree);
}

/* --- signals --- */

Test(tree, only_what_is_in_the_tree_is_signalled, .timeout = 60)
{
    struct board *board = board_new();
    struct tree tree;
    pid_t parent = start(board, 0, fork_two);
    pid_t stranger = start(board, 3, NULL);
    for (int i = 0; i < 4; i++)
        entered(board, i);
    tree_init(&tree, parent);
    cr_assert_eq(tree_scan(&tree), 0);

    const pid_t strangers[] = {stranger, parent, getpid(), getppid(), 1};
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        struct tree_process process = {.pid = strangers[i], .parent = parent, .state = 'S', .alive = true};
        cr_assert_eq(tree_signal(&tree, &process, SIGCONT), -ESRCH, "pid %d", (int)strangers[i]);
    }
    struct tree_process forged = {.pid = stranger, .parent = parent, .state = 'S', .alive = true};
    cr_assert_eq(tree_signal(&tree, &forged, SIGKILL), -ESRCH);
    cr_assert_eq(waitpid(stranger, NULL, WNOHANG), 0, "killed a stranger");
    cr_assert_eq(tree_signal(&tree, find(&tree, board->pids[1]), SIGKILL), 0);
    tree_clear(&tree);
    sweep();
}

Test(tree, zombies_and_the_gone_are_not_signalled, .timeout = 60)
{
    support_become_subreaper();
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0)
        _exit(0);
    siginfo_t info;
    cr_assert_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    struct tree tree;
    char text[100];
    tree_init(&tree, getpid());
    cr_assert_eq(tree_scan(&tree), 0);
    cr_assert_eq(find(&tree, child)->state, 'Z');
    cr_assert_not(find(&tree, child)->alive);
    cr_assert_eq(tree_signal(&tree, find(&tree, child), SIGKILL), -ESRCH);
    cr_assert_eq(tree_kill(&tree), 0);
    cr_assert_eq(tree_describe(&tree, text, sizeof(text)), 0);
    cr_assert_str_eq(text, "");
    struct tree_process gone = *find(&tree, child);
    cr_assert(support_no_children_left());
    cr_assert_eq(tree_signal(&tree, &gone, SIGKILL), -ESRCH);
    tree_clear(&tree);
}

enum { OTHER_USER = 65534 };

/* Becomes another user, whose child is still root's, and writes what it then sees of it. */
static void lose_rights(struct board *board)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t child = start(board, 1, NULL);
    entered(board, 1);
    if (setgroups(0, NULL) < 0 || setresuid(OTHER_USER, OTHER_USER, OTHER_USER) < 0)
        _exit(1);
    struct tree tree;
    char text[100], expected[100];
    tree_init(&tree, getpid());
    bool right = tree_scan(&tree) == 0 && tree.count == 1 && tree.processes[0].pid == child;
    right = right && tree_signal(&tree, &tree.processes[0], SIGTERM) == -EPERM;
    right = right && tree_kill(&tree) == 0 && tree_describe(&tree, text, sizeof(text)) == 1;
    snprintf(expected, sizeof(expected), "%d (%s) not permitted to kill", (int)child, tree.processes[0].comm);
    board->count = right && strcmp(text, expected) == 0 ? 1 : 2;
    tree_clear(&tree);
}

Test(tree, what_may_not_be_killed_is_named, .timeout = 60)
{
    if (geteuid() != 0)
        cr_skip_test("only root can become somebody else");
    struct board *board = board_new();
    start(board, 0, lose_rights);
    entered(board, 0);
    cr_assert_eq(board->count, 1);
    sweep();
}

/* --- the kill --- */

Test(tree, kill_reaches_the_stopped_and_the_deaf, .timeout = 60)
{
    struct board *board = board_new();
    pid_t stopped = start(board, 0, fork_two);
    start(board, 3, daemonise);
    for (int i = 0; i < 4; i++)
        entered(board, i);
    for (int i = 0; i < 2; i++) /* those between us and the daemon, which may still be about to end */
        cr_assert_gt(waitpid(-1, NULL, 0), 0);
    send_signal(stopped, SIGSTOP);
    struct tree tree;
    tree_init(&tree, getpid());
    cr_assert_eq(tree_kill(&tree), 4);
    cr_assert(support_no_children_left());
    cr_assert_eq(tree_scan(&tree), 0);
    cr_assert_eq(tree.count, 0);
    tree_clear(&tree);
}

enum { STORM_ALIVE = 40, STORM_UNREAPED = 500, STORM_SECONDS = 60 };

static double storm_end;

/*
 * Each forks, in a session of its own, without end; beyond so many the parent leaves and the child goes on.
 * It rests while many wait to be reaped, and ends when the test has: a machine must survive a test that
 * fails.
 */
static void storm(struct board *board)
{
    signal(SIGTERM, SIG_IGN);
    for (;;) {
        if (support_seconds() > storm_end || getppid() == 1)
            _exit(0);
        if (board->pids[2] - board->pids[3] > STORM_UNREAPED) {
            sched_yield();
            continue;
        }
        pid_t pid = fork();
        if (pid == 0) {
            alarm(LIFETIME);
            setsid();
            continue;
        }
        if (pid < 0)
            continue;
        atomic_fetch_add(&board->pids[2], 1);
        if (atomic_fetch_add(&board->count, 1) >= STORM_ALIVE) {
            atomic_fetch_sub(&board->count, 1);
            board->pids[0] = getpid();
            _exit(0);
        }
    }
}

Test(tree, a_fork_storm_ends, .timeout = 100)
{
    struct board *board = board_new();
    struct tree tree;
    tree_init(&tree, getpid());
    storm_end = support_seconds() + STORM_SECONDS;
    start(board, 1, storm);
    entered(board, 0);
    pid_t pid = 0;
    while (pid >= 0) {
        cr_assert_geq(tree_kill(&tree), 0);
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            atomic_fetch_add(&board->pids[3], 1);
        cr_assert_lt(support_seconds(), storm_end, "not empty in time");
    }
    cr_assert_eq(tree_scan(&tree), 0);
    cr_assert_eq(tree.count, 0);
    tree_clear(&tree);
}

/* The first scan finds all and stops them; the second one cannot be begun. */
Test(tree, who_is_stopped_is_killed_though_a_later_scan_fails, .timeout = 60)
{
    struct board *board = board_new();
    start(board, 0, fork_two);
    for (int i = 0; i < 3; i++)
        entered(board, i);
    struct tree tree;
    tree_init(&tree, getpid());
    folders_left = 1 + 3;
    cr_assert_eq(tree_kill(&tree), -ENFILE);
    folders_left = -1;
    cr_assert(support_no_children_left());
    tree_clear(&tree);
}

/* --- for people --- */

static size_t describe(struct tree_process *processes, size_t count, char *text, size_t size)
{
    struct tree tree = {.root = getpid(), .processes = processes, .count = count, .capacity = count};
    return tree_describe(&tree, text, size);
}

Test(tree, described_for_a_person)
{
    char text[512] = "x";
    cr_assert_eq(describe(NULL, 0, text, sizeof(text)), 0);
    cr_assert_str_eq(text, "");

    struct tree_process processes[12];
    for (int i = 0; i < 12; i++) {
        processes[i] = process_with_comm("nginx");
        processes[i].pid += i - 12; /* beyond any pid that a kernel gives */
    }
    processes[0].state = 'D';
    processes[1].alive = false;
    memcpy(processes[2].comm, "a\nb\x1bz\xff", 7);
    cr_assert_eq(describe(processes, 3, text, sizeof(text)), 2);
    cr_assert_str_eq(text, "2147483620 (nginx) in state D, 2147483622 (a?b?z?) in state S");
    cr_assert_eq(describe(processes, 12, text, sizeof(text)), 11);
    const char *end = strstr(text, " and 3 more");
    cr_assert_not_null(end, "%s", text);
    cr_assert_str_eq(end, " and 3 more");

    for (size_t size = 1; size < 300; size++) {
        memset(text, 'x', sizeof(text));
        cr_assert_eq(describe(processes, 12, text, size), 11);
        cr_assert_eq(text[size], 'x', "written past the end");
        cr_assert_lt(strnlen(text, sizeof(text)), size);
    }
}
