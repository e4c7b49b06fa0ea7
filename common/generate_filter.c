/*
 * A program of the build, not of the executor: writes the system call filters of the helpers as a C header.
 *
 * libseccomp knows each call's number and how to compile comparisons of arguments; the filters never change
 * after the build, so it is linked here and by no process that runs on a host. Filters are made for the
 * machine that builds: the other ABIs of the same kernel (x32, i386) are killed by number or architecture.
 *
 * What a list does not name fails with EPERM, so that a library's odd call costs the library an error and not
 * the helper its life. Calls that no library of ours makes, and that are the very thing to be prevented, end
 * the process instead: whoever tries them has taken it over, and the supervisor reports the SIGSYS.
 *
 * Must never allow what names another process, makes one, or makes memory executable.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>
#include <seccomp.h>

/* Where system calls take their arguments in another order (clone(2), "C library/kernel differences"). */
#if !defined(__x86_64__) && !defined(__aarch64__)
#error "the rules below were checked for x86_64 and aarch64 only"
#endif

/* A rule allows its call when all its comparisons hold; a call may have several rules. */
struct rule {
    int call;
    unsigned count;
    struct scmp_arg_cmp comparisons[3];
};

/* clang-format off */
#define CALL(name) {SCMP_SYS(name), 0, {{0, 0, 0, 0}}}
#define WHERE1(name, a) {SCMP_SYS(name), 1, {a}}
#define WHERE2(name, a, b) {SCMP_SYS(name), 2, {a, b}}
#define WHERE3(name, a, b, c) {SCMP_SYS(name), 3, {a, b, c}}
#define SOCKET(family, type, protocol)                                                                       \
    WHERE3(socket, INT(0, family), INT_BITS(1, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), type), INT(2, protocol))
#define OPTION(level, name) WHERE2(setsockopt, INT(1, level), INT(2, name))
/* clang-format on */

/*
 * BITS: the bits of mask are those of value. INT is for what the kernel takes as an int, whose upper half it
 * ignores, so the filter must too; LONG for longs and pointers.
 */
#define INT_BITS(index, mask, value)                                                                         \
    SCMP_A##index##_64(SCMP_CMP_MASKED_EQ, (uint32_t)(mask), (uint32_t)(value))
#define LONG_BITS(index, mask, value)                                                                        \
    SCMP_A##index##_64(SCMP_CMP_MASKED_EQ, (uint64_t)(mask), (uint64_t)(value))
#define INT(index, value) INT_BITS(index, UINT32_MAX, value)
#define LONG(index, value) LONG_BITS(index, UINT64_MAX, value)

/* ---- what the C library needs, whatever the program does ---- */

/* What makes a clone a thread, and what none asks for. */
enum {
    THREAD = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD,
    NO_THREAD = CLONE_VFORK | CLONE_PTRACE | CLONE_UNTRACED | CLONE_PIDFD | CLONE_NEWNS | CLONE_NEWCGROUP |
                CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET,
};

static const struct rule library_rules[] = {
    CALL(brk),
    CALL(munmap),
    CALL(mremap),
    CALL(madvise),
    /* No new code: what is to be executed was mapped before. A name service's module can then not be loaded
     * any more; the C library goes on with those that are built into it, files and dns. */
    WHERE1(mmap, LONG_BITS(2, PROT_EXEC, 0)),
    WHERE1(mprotect, LONG_BITS(2, PROT_EXEC, 0)),

    CALL(futex),
    CALL(set_robust_list),
    CALL(rseq),
    CALL(sched_yield),
    WHERE1(sched_getaffinity, INT(0, 0)),
    /* Threads yes, processes no. */
    WHERE1(clone, LONG_BITS(0, THREAD | NO_THREAD, THREAD)),
    CALL(exit),
    CALL(exit_group),

    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(sigaltstack),
    CALL(restart_syscall), /* a poll that was interrupted by SIGSTOP and SIGCONT */

    CALL(clock_gettime),
    CALL(clock_getres),
    CALL(clock_nanosleep),
    CALL(nanosleep),
    CALL(gettimeofday),
    CALL(time),
    CALL(getrandom),
    CALL(uname),
    CALL(sysinfo),

    CALL(getpid),
    CALL(getppid),
    CALL(gettid),
    CALL(getuid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getegid),
    /* Limits: to read, and the own ones. */
    WHERE2(prlimit64, INT(0, 0), LONG(2, 0)),
    CALL(getrlimit),
};

/* ---- descriptors and files ---- */

/* O_ASYNC sends signals to whoever F_SETOWN once named. */
enum { WRITING = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | O_ASYNC };

static const struct rule file_rules[] = {
    CALL(read),
    CALL(readv),
    CALL(pread64),
    CALL(write),
    CALL(writev),
    CALL(close),
    CALL(lseek),
    CALL(poll),
    CALL(ppoll),
    CALL(pipe2),
    CALL(eventfd2),

    CALL(fstat),
    CALL(stat),
    CALL(lstat),
    CALL(newfstatat),
    CALL(statx),
    CALL(access),
    CALL(faccessat),
    CALL(faccessat2),
    WHERE1(open, INT_BITS(1, WRITING, O_RDONLY)),
    WHERE1(openat, INT_BITS(2, WRITING, O_RDONLY)),

    /* F_SETOWN and F_SETSIG, like their ioctls, would send any signal to any process of the same user. */
    WHERE1(fcntl, INT(1, F_GETFD)),
    WHERE1(fcntl, INT(1, F_SETFD)),
    WHERE1(fcntl, INT(1, F_GETFL)),
    WHERE2(fcntl, INT(1, F_SETFL), INT_BITS(2, O_ASYNC, 0)),
    WHERE1(fcntl, INT(1, F_DUPFD)),
    WHERE1(fcntl, INT(1, F_DUPFD_CLOEXEC)),
    WHERE1(ioctl, INT(1, FIONREAD)),
    WHERE1(ioctl, INT(1, FIONBIO)),
};

/* ---- a client of TCP and DNS ---- */

static const struct rule network_rules[] = {
    /* No Unix sockets: on their other ends are programs that act for whoever asks. */
    SOCKET(AF_INET, SOCK_STREAM, 0),
    SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
    SOCKET(AF_INET, SOCK_DGRAM, 0),
    SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
    SOCKET(AF_INET6, SOCK_STREAM, 0),
    SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
    SOCKET(AF_INET6, SOCK_DGRAM, 0),
    SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
    /* A pair of streams can reach nobody else; one of a pair of datagram sockets can be connected anew. */
    WHERE2(socketpair, INT(0, AF_UNIX), INT_BITS(1, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_STREAM)),

    CALL(connect),
    CALL(shutdown),
    CALL(sendto),
    CALL(sendmsg),
    CALL(sendmmsg), /* the C library's DNS: both questions at once */
    CALL(recvfrom),
    CALL(recvmsg),
    CALL(getsockname),
    CALL(getpeername),
    CALL(getsockopt),
    OPTION(SOL_SOCKET, SO_KEEPALIVE),
    OPTION(SOL_SOCKET, SO_RCVBUF),
    OPTION(SOL_SOCKET, SO_SNDBUF),
    OPTION(IPPROTO_TCP, TCP_NODELAY),
    OPTION(IPPROTO_TCP, TCP_KEEPIDLE),
    OPTION(IPPROTO_TCP, TCP_KEEPINTVL),
    OPTION(IPPROTO_TCP, TCP_KEEPCNT),
    OPTION(IPPROTO_IP, IP_RECVERR), /* DNS again: a refused port is noticed at once */
    OPTION(IPPROTO_IPV6, IPV6_RECVERR),
};

/* ---- a client of Consul ---- */

/* Its agent may listen on a Unix socket. */
static const struct rule unix_rules[] = {
    SOCKET(AF_UNIX, SOCK_STREAM, 0),
};

/* ---- what is answered otherwise than with EPERM ---- */

/* "Too old a kernel": for these the C library then makes the older call, whose arguments can be looked at. */
static const int unknown_calls[] = {SCMP_SYS(clone3), SCMP_SYS(openat2), SCMP_SYS(close_range)};

static const int deadly_calls[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(process_mrelease),
    SCMP_SYS(kill),
    SCMP_SYS(rt_sigqueueinfo),
    SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
};

/* ---- the roles ---- */

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define GROUP(rules)                                                                                         \
    {                                                                                                        \
        rules, LENGTH(rules)                                                                                 \
    }

struct group {
    const struct rule *rules;
    size_t count;
};

/* The name is that of the array in the header. */
static const struct role {
    const char *name;
    struct group groups[4];
} roles[] = {
    {"agent_client_filter", {GROUP(library_rules), GROUP(file_rules), GROUP(network_rules)}},
    {"hookd_worker_filter",
     {GROUP(library_rules), GROUP(file_rules), GROUP(network_rules), GROUP(unix_rules)}},
};

static _Noreturn void fail(const char *what, int error)
{
    fprintf(stderr, "generate_filter: %s: %s\n", what, strerror(error < 0 ? -error : error));
    exit(EXIT_FAILURE);
}

/* A call that this architecture does not have (open on aarch64) is no error to libseccomp. */
static void allow(scmp_filter_ctx filter, const struct rule *rule)
{
    int r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule->call, rule->count, rule->comparisons);
    if (r < 0)
        fail("a rule is not accepted", r);
}

static void refuse(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int r = seccomp_rule_add(filter, action, calls[i], 0);
        if (r < 0)
            fail("a refusal is not accepted", r);
    }
}

static scmp_filter_ctx make_filter(const struct role *role)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        fail("libseccomp cannot start", ENOMEM);
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree */
    if (r < 0)
        fail("libseccomp does not take an attribute", r);
    for (const struct group *group = role->groups; group < role->groups + LENGTH(role->groups); group++)
        for (size_t i = 0; i < group->count; i++)
            allow(filter, &group->rules[i]);
    refuse(filter, SCMP_ACT_ERRNO(ENOSYS), unknown_calls, LENGTH(unknown_calls));
    refuse(filter, SCMP_ACT_KILL_PROCESS, deadly_calls, LENGTH(deadly_calls));
    return filter;
}

/* libseccomp writes to a descriptor only. */
static void print_filter(FILE *out, const char *name, scmp_filter_ctx filter)
{
    FILE *program = tmpfile();
    if (program == NULL)
        fail("cannot make a temporary file", errno);
    int r = seccomp_export_bpf(filter, fileno(program));
    if (r < 0)
        fail("cannot compile a filter", r);
    rewind(program);
    fprintf(out, "static const struct sock_filter %s[] = {\n", name);
    struct sock_filter step;
    while (fread(&step, sizeof(step), 1, program) == 1)
        fprintf(out, "    {0x%02x, %u, %u, 0x%08x},\n", step.code, step.jt, step.jf, step.k);
    fputs("};\n", out);
    fclose(program);
}

int main(int argc, char *argv[])
{
    if (argc != 2) {
        fputs("usage: generate_filter HEADER\n", stderr);
        return 2;
    }
    FILE *out = fopen(argv[1], "w");
    if (out == NULL)
        fail(argv[1], errno);
    fputs("/* Made by common/generate_filter.c; not to be edited. */\n", out);
    for (size_t i = 0; i < LENGTH(roles); i++) {
        scmp_filter_ctx filter = make_filter(&roles[i]);
        print_filter(out, roles[i].name, filter);
        seccomp_release(filter);
    }
    if (ferror(out) != 0 || fclose(out) != 0)
        fail(argv[1], EIO);
    return EXIT_SUCCESS;
}
