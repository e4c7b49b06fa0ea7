/*
 * What a confined helper can still do, and what it cannot do any more, asked of the kernel itself.
 *
 * Each attempt runs in a process of its own that confines itself first; its exit status says how it went. The
 * usual case is what is tested: the victim is of the same user. Beforehand the same attempts are made by an
 * unconfined process, so that none of them is "denied" for being wrong. What this kernel does not offer is
 * printed and not asserted.
 */
#include "common/confine.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/perf_event.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <resolv.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/helper.h"
#include "common/landlock.h"
#include "common/privilege.h"
#include "tests/send_signal.h"

enum { SECONDS_MAX = 20, EXIT_UNCONFINED = 120, EXIT_SIGNALLED = 256 };

/* ---- processes ---- */

struct world {
    pid_t parent;
    pid_t victim;
    uint16_t tcp_port;
    uint16_t udp_port;
};

/* 0 or an errno. */
typedef int (*attempt_fn)(const struct world *world);

static void become_plain_user(void)
{
    const struct privilege_user nobody = {PRIVILEGE_NOBODY, PRIVILEGE_NOBODY};
    if (privilege_drop(&nobody) < 0)
        _exit(EXIT_UNCONFINED);
}

/* As a helper does it, but that the test's pipe on stderr is all that stays open beside the channel's place.
 */
static int confine(const struct world *world, struct confine_result *result)
{
    const struct confine_options options = {
        .role = ROLE_AGENT_CLIENT, .user = "nobody", .parent = world->parent, .names = true};
    confine_begin(result);
    return confine_apply(&options, result);
}

/* Returns the exit status, or EXIT_SIGNALLED + the signal. */
static int collect(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        cr_assert_eq(errno, EINTR);
    return WIFSIGNALED(status) ? EXIT_SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static pid_t start_attempt(const struct world *world, attempt_fn attempt, bool is_confined)
{
    fflush(NULL);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid != 0)
        return pid;
    alarm(SECONDS_MAX);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    struct confine_result result = {0};
    if (!is_confined)
        become_plain_user();
    else if (confine(world, &result) < 0)
        _exit(EXIT_UNCONFINED);
    _exit(attempt(world));
}

static int run_attempt(const struct world *world, attempt_fn attempt, bool is_confined)
{
    return collect(start_attempt(world, attempt, is_confined));
}

static pid_t start_victim(void)
{
    int ready[2];
    cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        become_plain_user();
        prctl(PR_SET_DUMPABLE, 1); /* nothing but the confinement is to protect it */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ready[1]);
        for (;;)
            pause();
    }
    char byte;
    close(ready[1]);
    cr_assert_eq(read(ready[0], &byte, 1), 0); /* its end is closed when it is a plain user */
    close(ready[0]);
    return pid;
}

static void end_victim(pid_t pid)
{
    send_signal(pid, SIGKILL);
    collect(pid);
}

/* What this kernel and this build give: filled in a process that confines itself. */
static struct confine_result learn_result(void)
{
    int ends[2];
    struct confine_result result = {0};
    cr_assert_eq(pipe(ends), 0);
    pid_t parent = getpid();
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        const struct world world = {.parent = parent};
        dup2(ends[1], HELPER_SOCKET);
        confine(&world, &result);
        _exit(write(HELPER_SOCKET, &result, sizeof(result)) == sizeof(result) ? 0 : 1);
    }
    close(ends[1]);
    cr_assert_eq(read(ends[0], &result, sizeof(result)), sizeof(result));
    close(ends[0]);
    cr_assert_eq(collect(pid), 0);
    return result;
}

static void print_gaps(const struct confine_result *result)
{
    struct confine_gap gap;
    size_t cursor = 0;
    printf("confinement here: steps %04x, Landlock ABI %d\n", result->taken, result->landlock_abi);
    while (confine_missing(result, &cursor, &gap))
        printf("  %s: %s: %s (%s)\n", gap.is_not_offered ? "not offered" : "FAILED", gap.step, gap.leaves,
               strerrordesc_np(-gap.error));
}

/* ---- what must not be possible ---- */

static int result_of(long r)
{
    return r < 0 ? errno : 0;
}

static int try_kill(const struct world *world)
{
    return result_of(kill(world->victim, 0));
}

static int try_tgkill(const struct world *world)
{
    return result_of(syscall(SYS_tgkill, world->victim, world->victim, 0));
}

static int try_tkill(const struct world *world)
{
    return result_of(syscall(SYS_tkill, world->victim, 0));
}

static int try_sigqueue(const struct world *world)
{
    return result_of(sigqueue(world->victim, 0, (union sigval){.sival_int = 0}));
}

static int try_pidfd(const struct world *world)
{
    return result_of(syscall(SYS_pidfd_open, world->victim, 0));
}

/* Harmless by itself: with F_SETSIG, and O_ASYNC and a byte, it is a SIGKILL. */
static int try_set_owner(const struct world *world)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        return EXIT_UNCONFINED;
    return result_of(fcntl(ends[0], F_SETOWN, world->victim));
}

static int try_set_owner_ex(const struct world *world)
{
    const struct f_owner_ex owner = {.type = F_OWNER_PID, .pid = world->victim};
    return result_of(fcntl(STDERR_FILENO, F_SETOWN_EX, &owner));
}

static int try_set_signal(const struct world *world)
{
    (void)world;
    return result_of(fcntl(STDERR_FILENO, F_SETSIG, SIGKILL));
}

static int try_ioctl_owner(const struct world *world)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        return EXIT_UNCONFINED;
    return result_of(ioctl(ends[0], FIOSETOWN, &world->victim));
}

static int try_async(const struct world *world)
{
    int ends[2];
    (void)world;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        return EXIT_UNCONFINED;
    return result_of(fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK));
}

/* A limit of no CPU time is a SIGKILL too. */
static int try_limit_other(const struct world *world)
{
    struct rlimit limit;
    if (prlimit(0, RLIMIT_NOFILE, NULL, &limit) < 0)
        return EXIT_UNCONFINED;
    return result_of(prlimit(world->victim, RLIMIT_NOFILE, NULL, &limit));
}

static int try_limit_self(const struct world *world)
{
    (void)world;
    return result_of(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}));
}

static int try_read_memory(const struct world *world)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)&try_read_memory, 1};
    return result_of(process_vm_readv(world->victim, &here, 1, &there, 1, 0));
}

static int try_ptrace(const struct world *world)
{
    return result_of(ptrace(PTRACE_SEIZE, world->victim, NULL, NULL));
}

static int try_priority(const struct world *world)
{
    return result_of(setpriority(PRIO_PROCESS, (id_t)world->victim, 10));
}

static int try_scheduler(const struct world *world)
{
    const struct sched_param parameter = {.sched_priority = 0};
    return result_of(sched_setscheduler(world->victim, SCHED_IDLE, &parameter));
}

static int try_affinity(const struct world *world)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    return result_of(sched_setaffinity(world->victim, sizeof(set), &set));
}

static int try_io_priority(const struct world *world)
{
    return result_of(syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, world->victim, 3 << 13));
}

static int try_migrate(const struct world *world)
{
    unsigned long node = 1;
    return result_of(syscall(SYS_migrate_pages, world->victim, 8, &node, &node));
}

static int try_kcmp(const struct world *world)
{
    return result_of(syscall(SYS_kcmp, world->victim, world->victim, 1 /* KCMP_VM */, 0, 0));
}

static int try_group(const struct world *world)
{
    (void)world;
    return result_of(setpgid(0, 0));
}

static int try_session(const struct world *world)
{
    (void)world;
    return result_of(setsid());
}

static int try_exec(const struct world *world)
{
    char *argv[] = {(char[]){"true"}, NULL};
    (void)world;
    return result_of(execv("/bin/true", argv));
}

static int try_fork(const struct world *world)
{
    (void)world;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return result_of(pid);
}

static int try_clone3(const struct world *world)
{
    (void)world;
    return result_of(syscall(SYS_clone3, NULL, 0));
}

static int try_write_file(const struct world *world)
{
    (void)world;
    return result_of(open("/dev/null", O_WRONLY));
}

static int try_make_file(const struct world *world)
{
    (void)world;
    return result_of(open("/tmp", O_TMPFILE | O_RDWR, 0600));
}

static int try_unlink(const struct world *world)
{
    (void)world;
    int r = result_of(unlink("/tmp/bulkhead/there/is/none"));
    return r == ENOENT ? 0 : r;
}

static int try_unix_socket(const struct world *world)
{
    (void)world;
    return result_of(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int try_datagram_pair(const struct world *world)
{
    int ends[2];
    (void)world;
    return result_of(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
}

static int try_netlink(const struct world *world)
{
    (void)world;
    return result_of(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int try_listen(const struct world *world)
{
    (void)world;
    return result_of(listen(socket(AF_INET, SOCK_STREAM, 0), 1));
}

static int try_new_code(const struct world *world)
{
    (void)world;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? errno : 0;
}

static int try_code_of_data(const struct world *world)
{
    (void)world;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return EXIT_UNCONFINED;
    return result_of(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int try_be_dumpable(const struct world *world)
{
    (void)world;
    return result_of(prctl(PR_SET_DUMPABLE, 1));
}

static int try_bpf(const struct world *world)
{
    (void)world;
    syscall(SYS_bpf, 0, NULL, 0);
    return 0;
}

static int try_perf(const struct world *world)
{
    struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attributes)};
    syscall(SYS_perf_event_open, &attributes, world->victim, -1, -1, 0);
    return 0;
}

static int try_io_uring(const struct world *world)
{
    (void)world;
    syscall(SYS_io_uring_setup, 0, NULL);
    return 0;
}

static int try_user_fault(const struct world *world)
{
    (void)world;
    syscall(SYS_userfaultfd, 0);
    return 0;
}

static int try_namespace(const struct world *world)
{
    (void)world;
    syscall(SYS_unshare, 0);
    return 0;
}

static int try_keys(const struct world *world)
{
    (void)world;
    return result_of(syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3 /* the session's */, 1));
}

#ifdef __x86_64__
static int try_x32(const struct world *world)
{
    (void)world;
    syscall(0x40000000 | SYS_getpid);
    return 0;
}

static int try_i386(const struct world *world)
{
    long r = 20; /* its getpid */
    (void)world;
    __asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
    return 0;
}
#endif

enum { DEADLY = EXIT_SIGNALLED + SIGSYS, ANY = -1 };

static const struct {
    const char *name;
    attempt_fn attempt;
    int confined;   /* what comes of it */
    int unconfined; /* likewise; ANY where that depends on the machine */
} forbidden[] = {
    {"kill", try_kill, DEADLY, 0},
    {"tgkill", try_tgkill, EPERM, 0},
    {"tkill", try_tkill, EPERM, 0},
    {"sigqueue", try_sigqueue, DEADLY, 0},
    {"pidfd_open", try_pidfd, DEADLY, 0},
    {"F_SETOWN", try_set_owner, EPERM, 0},
    {"F_SETOWN_EX", try_set_owner_ex, EPERM, 0},
    {"F_SETSIG", try_set_signal, EPERM, 0},
    {"FIOSETOWN", try_ioctl_owner, EPERM, 0},
    {"O_ASYNC", try_async, EPERM, 0},
    {"prlimit of another", try_limit_other, EPERM, 0},
    {"setrlimit", try_limit_self, EPERM, 0},
    {"process_vm_readv", try_read_memory, DEADLY, ANY},
    {"ptrace", try_ptrace, DEADLY, ANY},
    {"setpriority", try_priority, EPERM, 0},
    {"sched_setscheduler", try_scheduler, EPERM, 0},
    {"sched_setaffinity", try_affinity, EPERM, 0},
    {"ioprio_set", try_io_priority, EPERM, 0},
    {"migrate_pages", try_migrate, EPERM, ANY},
    {"kcmp", try_kcmp, EPERM, ANY},
    {"setpgid", try_group, EPERM, 0},
    {"setsid", try_session, EPERM, 0},
    {"execve", try_exec, DEADLY, 0},
    {"fork", try_fork, EPERM, 0},
    {"clone3", try_clone3, ENOSYS, ANY},
    {"open for writing", try_write_file, EPERM, 0},
    {"O_TMPFILE", try_make_file, EPERM, ANY},
    {"unlink", try_unlink, EPERM, 0},
    {"Unix socket", try_unix_socket, EPERM, 0},
    {"pair of datagram sockets", try_datagram_pair, EPERM, 0},
    {"netlink", try_netlink, EPERM, 0},
    {"listen", try_listen, EPERM, 0},
    {"executable mmap", try_new_code, EPERM, 0},
    {"executable mprotect", try_code_of_data, EPERM, 0},
    {"PR_SET_DUMPABLE", try_be_dumpable, EPERM, 0},
    {"bpf", try_bpf, DEADLY, 0},
    {"perf_event_open", try_perf, DEADLY, 0},
    {"io_uring", try_io_uring, DEADLY, 0},
    {"userfaultfd", try_user_fault, DEADLY, 0},
    {"unshare", try_namespace, DEADLY, 0},
    {"keyctl", try_keys, EPERM, ANY},
#ifdef __x86_64__
    {"x32 ABI", try_x32, DEADLY, 0},
    {"i386 ABI", try_i386, DEADLY, ANY},
#endif
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

Test(confine, each_attempt_works_without_it)
{
    const struct world world = {.parent = getpid(), .victim = start_victim()};
    for (size_t i = 0; i < LENGTH(forbidden); i++) {
        int r = run_attempt(&world, forbidden[i].attempt, false);
        if (forbidden[i].unconfined != ANY)
            cr_expect_eq(r, forbidden[i].unconfined, "%s: %d", forbidden[i].name, r);
    }
    end_victim(world.victim);
}

Test(confine, other_processes_are_out_of_reach)
{
    struct confine_result result = learn_result();
    print_gaps(&result);
    if (!confine_has_taken(&result, CONFINE_CALLS))
        cr_skip_test("no filter of system calls here");
    const struct world world = {.parent = getpid(), .victim = start_victim()};
    for (size_t i = 0; i < LENGTH(forbidden); i++) {
        int r = run_attempt(&world, forbidden[i].attempt, true);
        cr_expect_eq(r, forbidden[i].confined, "%s: %d in place of %d", forbidden[i].name, r,
                     forbidden[i].confined);
    }
    cr_expect_eq(waitpid(world.victim, NULL, WNOHANG), 0, "the victim is dead");
    end_victim(world.victim);
}

/* ---- what must be possible ---- */

static int do_files(const struct world *world)
{
    static const char *const paths[] = {"/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/hosts"};
    (void)world;
    for (size_t i = 0; i < LENGTH(paths); i++) {
        FILE *file = fopen(paths[i], "re");
        if (file == NULL && errno != ENOENT)
            return errno;
        if (file != NULL && (fgetc(file) == EOF && ferror(file) != 0))
            return EIO;
        if (file != NULL)
            fclose(file);
    }
    return 0;
}

static int do_memory(const struct world *world)
{
    (void)world;
    size_t size = 1;
    char *memory = NULL;
    for (; size <= (size_t)64 << 20; size *= 4) {
        char *larger = realloc(memory, size);
        if (larger == NULL)
            return ENOMEM;
        memory = larger;
        memory[size - 1] = 1;
    }
    free(memory);
    return 0;
}

static void *add_one(void *number)
{
    free(malloc(100000));
    ++*(int *)number;
    return NULL;
}

static int do_threads(const struct world *world)
{
    (void)world;
    int number = 0;
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        int r = pthread_create(&thread, NULL, add_one, &number);
        if (r == 0)
            r = pthread_join(thread, NULL);
        if (r != 0)
            return r;
    }
    return number == 3 ? 0 : EIO;
}

static int do_hosts_file(const struct world *world)
{
    (void)world;
    struct addrinfo *list;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    if (getaddrinfo("localhost", "80", &hints, &list) != 0)
        return ENOENT;
    freeaddrinfo(list);
    return 0;
}

/* The parent answers that there is no such name, which is an answer. */
static int do_dns(const struct world *world)
{
    struct addrinfo *list;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (res_init() < 0)
        return EIO;
    _res.nscount = 1;
    _res.nsaddr_list[0] = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(world->udp_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int r = getaddrinfo("name.of.no.host.", "80", &hints, &list);
    return r == EAI_NONAME ? 0 : r == EAI_SYSTEM ? errno : EXIT_UNCONFINED;
}

static int set_option(int socket, int level, int name)
{
    int value = 1;
    return setsockopt(socket, level, name, &value, sizeof(value));
}

static int do_tcp(const struct world *world)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(world->tcp_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (socket_ < 0 || fcntl(socket_, F_SETFL, O_NONBLOCK) < 0 ||
        set_option(socket_, SOL_SOCKET, SO_KEEPALIVE) < 0 ||
        set_option(socket_, IPPROTO_TCP, TCP_NODELAY) < 0 ||
        set_option(socket_, IPPROTO_TCP, TCP_KEEPIDLE) < 0)
        return errno;
    if (connect(socket_, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
        return errno;
    struct pollfd poll_ = {.fd = socket_, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof(error);
    if (ppoll(&poll_, 1, NULL, NULL) < 0 || getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return errno;
    if (error != 0 || send(socket_, "x", 1, MSG_NOSIGNAL) != 1 || write(STDERR_FILENO, "", 0) < 0)
        return error != 0 ? error : errno;
    return result_of(close(socket_));
}

static int do_pairs(const struct world *world)
{
    int ends[2];
    (void)world;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    return 0;
}

static const struct {
    const char *name;
    attempt_fn attempt;
} needed[] = {
    {"files of name lookups", do_files},
    {"memory", do_memory},
    {"threads", do_threads},
    {"TCP", do_tcp},
    {"pairs", do_pairs},
};

static int bind_loopback(int type, uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int descriptor = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(bind(descriptor, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(getsockname(descriptor, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return descriptor;
}

Test(confine, what_a_helper_needs_still_works)
{
    struct world world = {.parent = getpid()};
    int listener = bind_loopback(SOCK_STREAM, &world.tcp_port);
    cr_assert_eq(listen(listener, 8), 0);
    for (size_t i = 0; i < LENGTH(needed); i++) {
        int r = run_attempt(&world, needed[i].attempt, true);
        cr_expect_eq(r, 0, "%s: %d %s", needed[i].name, r, strerror(r));
    }
    close(listener);
}

/* Not every system has the file, or this name in it: what can be had unconfined is what must stay. */
Test(confine, names_of_the_hosts_file_are_still_found)
{
    const struct world world = {.parent = getpid()};
    int expected = run_attempt(&world, do_hosts_file, false);
    cr_expect_eq(run_attempt(&world, do_hosts_file, true), expected);
}

/* Answers each question with "no such name" until the process that asks has ended. */
static void serve_dns(int server, pid_t pid)
{
    int asker = (int)syscall(SYS_pidfd_open, pid, 0);
    cr_assert_geq(asker, 0);
    struct pollfd polls[] = {{.fd = server, .events = POLLIN}, {.fd = asker, .events = POLLIN}};
    while (poll(polls, 2, -1) > 0 && (polls[1].revents & POLLIN) == 0) {
        unsigned char packet[512];
        struct sockaddr_in from;
        socklen_t size = sizeof(from);
        ssize_t n = recvfrom(server, packet, sizeof(packet), 0, (struct sockaddr *)&from, &size);
        cr_assert_geq(n, 12);
        packet[2] |= 0x80; /* RFC 1035, 4.1.1: a response, */
        packet[3] = 0x83;  /* recursion available, name error */
        cr_assert_eq(sendto(server, packet, (size_t)n, 0, (struct sockaddr *)&from, size), n);
    }
    close(asker);
}

Test(confine, dns_still_works)
{
    struct world world = {.parent = getpid()};
    int server = bind_loopback(SOCK_DGRAM, &world.udp_port);
    pid_t pid = start_attempt(&world, do_dns, true);
    serve_dns(server, pid);
    int r = collect(pid);
    cr_expect_eq(r, 0, "%d", r);
    close(server);
}

/* tgkill is denied to it, but it must not go on. */
static int do_abort(const struct world *world)
{
    (void)world;
    abort();
}

Test(confine, abort_still_ends_the_process)
{
    const struct world world = {.parent = getpid()};
    cr_expect_gt(run_attempt(&world, do_abort, true), EXIT_SIGNALLED);
}

/* ---- Landlock alone ---- */

/* Bound before the fork by the process that is to be out of reach. */
static struct sockaddr_un abstract_address;
static socklen_t abstract_size;

static int bind_abstract(void)
{
    abstract_address.sun_family = AF_UNIX;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&abstract_address, sizeof(sa_family_t)), 0); /* autobind */
    abstract_size = sizeof(abstract_address);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&abstract_address, &abstract_size), 0);
    cr_assert_eq(listen(listener, 64), 0); /* nobody accepts */
    return listener;
}

static int do_abstract(const struct world *world)
{
    (void)world;
    return result_of(
        connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&abstract_address, abstract_size));
}

static int do_read_hosts(const struct world *world)
{
    (void)world;
    return result_of(open("/etc/nsswitch.conf", O_RDONLY));
}

static int do_read_other(const struct world *world)
{
    (void)world;
    return result_of(open("/proc/self/status", O_RDONLY));
}

static int run_landlocked(const struct world *world, int abi, attempt_fn attempt)
{
    static const char *const readable[] = {"/etc", "/there/is/none", NULL};
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid != 0)
        return collect(pid);
    alarm(SECONDS_MAX);
    become_plain_user();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (landlock_confine(abi, readable) < 0)
        _exit(EXIT_UNCONFINED);
    _exit(attempt(world));
}

Test(confine, landlock)
{
    int abi = landlock_abi();
    printf("Landlock ABI %d\n", abi);
    if (abi < LANDLOCK_ABI_FILES)
        cr_skip_test("no Landlock here");
    const struct world world = {.parent = getpid(), .victim = start_victim()};
    int listener = bind_abstract();
    cr_expect_eq(run_attempt(&world, do_abstract, false), 0);
    cr_expect_eq(run_attempt(&world, do_read_other, false), 0);
    for (int i = LANDLOCK_ABI_FILES; i <= abi; i++) {
        int scoped = i >= LANDLOCK_ABI_SCOPES ? EPERM : 0;
        cr_expect_eq(run_landlocked(&world, i, do_read_hosts), 0, "ABI %d", i);
        cr_expect_eq(run_landlocked(&world, i, do_read_other), EACCES, "ABI %d", i);
        cr_expect_eq(run_landlocked(&world, i, try_write_file), EACCES, "ABI %d", i);
        cr_expect_eq(run_landlocked(&world, i, try_exec), EACCES, "ABI %d", i);
        cr_expect_eq(run_landlocked(&world, i, try_kill), scoped, "ABI %d", i);
        cr_expect_eq(run_landlocked(&world, i, do_abstract), scoped, "ABI %d", i);
    }
    close(listener);
    end_victim(world.victim);
}

/* ---- the change of user ---- */

static int do_regain(const struct world *world)
{
    (void)world;
    gid_t groups[8];
    if (getgroups(8, groups) != 1 || groups[0] != getgid() || getgid() == 0)
        return 2;
    if (setuid(0) == 0 || seteuid(0) == 0 || setresuid(0, 0, 0) == 0)
        return 3;
    if (setgid(0) == 0 || setgroups(0, NULL) == 0)
        return 4;
    return open("/etc/shadow", O_RDONLY) >= 0 ? 5 : 0;
}

Test(confine, root_is_not_got_back)
{
    if (geteuid() != 0)
        cr_skip_test("not root");
    const struct world world = {.parent = getpid()};
    cr_expect_eq(run_attempt(&world, do_regain, false), 0);
}

Test(confine, a_user_that_is_unknown_is_nobody)
{
    struct privilege_user user = {0, 0};
    cr_expect_eq(privilege_find_user("there is no such user", &user), -ENOENT);
    cr_expect_eq(user.uid, PRIVILEGE_NOBODY);
    cr_expect_eq(user.gid, PRIVILEGE_NOBODY);
    cr_expect_eq(privilege_find_user("root", &user), 0);
    cr_expect_eq(user.uid, 0);
}

static int do_capabilities(const struct world *world)
{
    (void)world;
    char line[256];
    unsigned long long set;
    if (privilege_drop_capabilities() < 0)
        return 2;
    FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        if ((sscanf(line, "CapPrm: %llx", &set) == 1 || sscanf(line, "CapEff: %llx", &set) == 1 ||
             sscanf(line, "CapInh: %llx", &set) == 1 || sscanf(line, "CapAmb: %llx", &set) == 1) &&
            set != 0)
            return 3;
    return status != NULL ? 0 : 4;
}

Test(confine, capabilities_are_gone)
{
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0)
        _exit(do_capabilities(NULL)); /* root's still, where the test is */
    cr_expect_eq(collect(pid), 0);
}

/* ---- the whole ---- */

static int do_state(const struct world *world)
{
    struct rlimit limit;
    int signal_number;
    struct confine_result result = {0};
    (void)world;
    int score = -1, raised = -1;
    FILE *file = fopen("/proc/self/oom_score_adj", "re");
    if (file == NULL || fscanf(file, "%d", &score) != 1)
        return 2;
    fclose(file);
    int extra = dup(STDERR_FILENO);
    confine_begin(&result);
    if (extra > HELPER_SOCKET && fcntl(extra, F_GETFD) >= 0)
        return 3;
    file = fopen("/proc/self/oom_score_adj", "re");
    if (file == NULL || fscanf(file, "%d", &raised) != 1 ||
        raised != (score + 500 < 1000 ? score + 500 : 1000))
        return 4;
    const struct confine_options options = {.role = ROLE_SUPERVISOR, .user = "nobody", .parent = getppid()};
    if (confine_apply(&options, &result) < 0 || result.errors[CONFINE_CALLS] == 0)
        return 5; /* there is no list for a supervisor: what follows can look at itself */
    if (getuid() == 0 || getuid() != geteuid())
        return 6;
    if (prctl(PR_GET_PDEATHSIG, &signal_number) < 0 || signal_number != SIGKILL)
        return 7;
    if (confine_has_taken(&result, CONFINE_MEMORY_AGAIN) && prctl(PR_GET_DUMPABLE) != 0)
        return 8;
    if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_max != 0)
        return 9;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max > 256)
        return 10;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 11;
}

Test(confine, each_step_does_what_it_says)
{
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0)
        _exit(do_state(NULL));
    int r = collect(pid);
    cr_expect_eq(r, 0, "step %d", r);
}

Test(confine, steps_fail_only_for_want_of_a_kernel)
{
    struct confine_result result = learn_result();
    struct confine_gap gap;
    for (size_t cursor = 0; confine_missing(&result, &cursor, &gap);)
        cr_expect(gap.is_not_offered, "%s: %s", gap.step, strerrordesc_np(-gap.error));
}

Test(confine, an_orphan_is_told_so)
{
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        struct confine_result result = {0};
        const struct confine_options options = {.role = ROLE_AGENT_CLIENT, .parent = getppid() + 1};
        _exit(-confine_apply(&options, &result));
    }
    cr_expect_eq(collect(pid), ESRCH);
}
