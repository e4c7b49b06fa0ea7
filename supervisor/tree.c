/*
 * A process tree, read from /proc, and the signals that go to it.
 *
 * The kernel lists the children of each thread in /proc/PID/task/TID/children
 * (proc_pid_task_tid_children(5)); below a child subreaper nothing escapes that list but by dying. A pid read
 * there may be gone, or another's, a moment later: a process is opened by pidfd, then looked at again through
 * /proc, and only if its parent is still one of the tree's is it signalled, through the pidfd.
 */
#include "supervisor/tree.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    STOP_ROUNDS = 8,  /* a fork storm is met by the next call, with its dead reaped meanwhile */
    STAT_SIZE = 1024, /* the fields up to num_threads take less than 400 bytes */
};

#define SKIP_5_FIELDS " %*s %*s %*s %*s %*s"
#define SKIP_15_FIELDS SKIP_5_FIELDS SKIP_5_FIELDS SKIP_5_FIELDS

void tree_init(struct tree *tree, pid_t root)
{
    *tree = (struct tree){.root = root};
}

void tree_clear(struct tree *tree)
{
    free(tree->processes);
    free(tree->slots);
    tree_init(tree, tree->root);
}

static ssize_t read_file(const char *path, char *bytes, size_t size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    ssize_t n;
    do
        n = read(file, bytes, size);
    while (n < 0 && errno == EINTR);
    int error = errno;
    close(file);
    return n < 0 ? -error : n;
}

/*
 * "pid (comm) state ppid …": comm may hold anything, also brackets and newlines, so its end is the last
 * bracket. The state is that of the first thread: 'Z' as soon as that has ended, while the others run on.
 * Only when no other is counted (num_threads, 15 fields after ppid) is the process dead.
 */
static int read_process(pid_t pid, struct tree_process *ret_process)
{
    char path[64];
    char stat[STAT_SIZE];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    ssize_t n = read_file(path, stat, sizeof(stat) - 1);
    if (n < 0)
        return (int)n;
    stat[n] = '\0';

    char *open_bracket = memchr(stat, '(', (size_t)n);
    char *close_bracket = memrchr(stat, ')', (size_t)n);
    struct tree_process process = {.pid = pid};
    int parent;
    long threads;
    if (open_bracket == NULL || close_bracket == NULL || close_bracket < open_bracket ||
        sscanf(close_bracket + 1, " %c %d" SKIP_15_FIELDS " %ld", &process.state, &parent, &threads) != 3)
        return -ESRCH;
    process.parent = parent;
    process.alive = (process.state != 'Z' && process.state != 'X') || threads > 1;
    size_t length = (size_t)(close_bracket - open_bracket - 1);
    if (length >= sizeof(process.comm))
        length = sizeof(process.comm) - 1;
    memcpy(process.comm, open_bracket + 1, length);
    *ret_process = process;
    return 0;
}

/*
 * The pids of the tree, hashed into slots, of which at least half are empty: a fork storm has ten thousands
 * of processes, each of which is looked for several times.
 */
static size_t find_slot(const pid_t *slots, size_t slot_count, pid_t pid)
{
    size_t i = (size_t)((uint32_t)pid * UINT32_C(2654435761)) & (slot_count - 1);
    while (slots[i] != 0 && slots[i] != pid)
        i = (i + 1) & (slot_count - 1);
    return i;
}

/* Pid 0, the parent of those that have none, is nobody's and marks an empty slot. */
static bool contains(const struct tree *tree, pid_t pid)
{
    if (pid <= 0)
        return false;
    return pid == tree->root ||
           (tree->slot_count > 0 && tree->slots[find_slot(tree->slots, tree->slot_count, pid)] == pid);
}

static int make_room(struct tree *tree)
{
    if (tree->count < tree->capacity)
        return 0;
    size_t capacity = tree->capacity > 0 ? tree->capacity * 2 : 32;
    struct tree_process *processes = reallocarray(tree->processes, capacity, sizeof(*processes));
    if (processes == NULL)
        return -ENOMEM;
    tree->processes = processes;
    pid_t *slots = calloc(capacity * 2, sizeof(*slots));
    if (slots == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < tree->count; i++)
        slots[find_slot(slots, capacity * 2, processes[i].pid)] = processes[i].pid;
    free(tree->slots);
    tree->slots = slots;
    tree->slot_count = capacity * 2;
    tree->capacity = capacity;
    return 0;
}

static int add_process(struct tree *tree, pid_t pid)
{
    struct tree_process process;
    if (contains(tree, pid) || read_process(pid, &process) < 0)
        return 0;
    int r = make_room(tree);
    if (r < 0)
        return r;
    tree->processes[tree->count++] = process;
    tree->slots[find_slot(tree->slots, tree->slot_count, pid)] = pid;
    return 0;
}

/* Reads pids separated by blanks, of any number, through a small buffer. */
static int add_children_of_thread(struct tree *tree, int file)
{
    char bytes[1024];
    pid_t pid = 0;
    for (;;) {
        ssize_t n = read(file, bytes, sizeof(bytes));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        for (ssize_t i = 0; i < n; i++) {
            if (isdigit((unsigned char)bytes[i])) {
                pid = pid * 10 + (bytes[i] - '0');
                continue;
            }
            int r = pid > 0 ? add_process(tree, pid) : 0;
            if (r < 0)
                return r;
            pid = 0;
        }
    }
}

static int add_children(struct tree *tree, pid_t parent)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)parent);
    DIR *threads = opendir(path);
    if (threads == NULL)
        return -errno;
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(threads)) != NULL;) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        char name[sizeof(entry->d_name) + sizeof("/children")];
        snprintf(name, sizeof(name), "%s/children", entry->d_name);
        int file = openat(dirfd(threads), name, O_RDONLY | O_CLOEXEC);
        if (file < 0)
            continue;
        result = add_children_of_thread(tree, file);
        close(file);
    }
    closedir(threads);
    return result;
}

int tree_scan_children(struct tree *tree)
{
    tree->count = 0;
    if (tree->slot_count > 0)
        memset(tree->slots, 0, tree->slot_count * sizeof(*tree->slots));
    return add_children(tree, tree->root);
}

int tree_scan(struct tree *tree)
{
    int r = tree_scan_children(tree);
    if (r < 0)
        return r;
    /* The list grows while it is walked. A process that is gone by now has left its children to the root. */
    for (size_t i = 0; i < tree->count; i++)
        if (add_children(tree, tree->processes[i].pid) == -ENOMEM)
            return -ENOMEM;
    return 0;
}

static int open_process(pid_t pid)
{
    int descriptor = (int)syscall(SYS_pidfd_open, pid, 0);
    return descriptor < 0 ? -errno : descriptor;
}

static bool is_still_meant(const struct tree *tree, pid_t pid)
{
    struct tree_process now;
    return read_process(pid, &now) == 0 && now.alive && contains(tree, now.parent);
}

int tree_signal(const struct tree *tree, const struct tree_process *process, int signal)
{
    int descriptor = open_process(process->pid);
    if (descriptor < 0 && descriptor != -ENOSYS)
        return descriptor;
    int r = -ESRCH;
    if (is_still_meant(tree, process->pid)) {
        /* Before Linux 5.3 there is no pidfd; what is left then is the moment between the look and the
         * signal. */
        long sent = descriptor >= 0 ? syscall(SYS_pidfd_send_signal, descriptor, signal, NULL, 0)
                                    : kill(process->pid, signal);
        r = sent < 0 ? -errno : 0;
    }
    if (descriptor >= 0)
        close(descriptor);
    return r;
}

static bool argv0_is_named(const struct tree_process *process, const char *name)
{
    char path[64];
    char line[4096];
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)process->pid);
    ssize_t n = read_file(path, line, sizeof(line) - 1);
    if (n <= 0)
        return false;
    line[n] = '\0';
    const char *slash = strrchr(line, '/');
    const char *base = slash != NULL ? slash + 1 : line;
    return strncmp(base, process->comm, TREE_COMM_SIZE - 1) == 0 && strcasecmp(base, name) == 0;
}

bool tree_is_named(const struct tree_process *process, const char *const *names, size_t name_count)
{
    bool cut = strlen(process->comm) == TREE_COMM_SIZE - 1;
    for (size_t i = 0; i < name_count; i++)
        if (strcasecmp(process->comm, names[i]) == 0 || (cut && argv0_is_named(process, names[i])))
            return true;
    return false;
}

/* Stops those that an earlier scan has not seen, so that each is stopped once. Returns how many. */
static size_t stop_new_ones(const struct tree *tree, const struct tree *before)
{
    size_t stopped = 0;
    for (size_t i = 0; i < tree->count; i++) {
        if (contains(before, tree->processes[i].pid))
            continue;
        if (tree_signal(tree, &tree->processes[i], SIGSTOP) == 0)
            stopped++;
    }
    return stopped;
}

/* A stopped process cannot fork: when a scan finds nobody new, nobody escapes. before is the scan before the
 * last one. */
static int stop_all(struct tree *tree, struct tree *before)
{
    int r = 0;
    for (int round = 0; round < STOP_ROUNDS; round++) {
        r = tree_scan(tree);
        if (r < 0 || stop_new_ones(tree, before) == 0)
            break;
        struct tree seen = *tree;
        *tree = *before;
        *before = seen;
    }
    return r;
}

static int kill_all(const struct tree *tree)
{
    int killed = 0;
    for (size_t i = 0; i < tree->count; i++)
        if (tree_signal(tree, &tree->processes[i], SIGKILL) == 0)
            killed++;
    return killed;
}

int tree_kill(struct tree *tree)
{
    struct tree before;
    tree_init(&before, tree->root);
    int r = stop_all(tree, &before);
    if (r < 0) /* the last scan is not complete, and whom the one before it has found is stopped */
        kill_all(&before);
    int killed = kill_all(tree);
    tree_clear(&before);
    return r < 0 ? r : killed;
}

static size_t append(char *text, size_t size, size_t used, const char *addition)
{
    int n = snprintf(text + used, size - used, "%s", addition);
    return used + (size_t)n < size ? used + (size_t)n : size - 1;
}

static void describe_one(const struct tree *tree, const struct tree_process *process, char *text, size_t size)
{
    char comm[TREE_COMM_SIZE];
    size_t i = 0;
    for (; process->comm[i] != '\0'; i++) {
        unsigned char c = (unsigned char)process->comm[i];
        comm[i] = (char)(c < ' ' || c >= 0x7f ? '?' : c);
    }
    comm[i] = '\0';
    if (tree_signal(tree, process, 0) == -EPERM)
        snprintf(text, size, "%d (%s) not permitted to kill", (int)process->pid, comm);
    else
        snprintf(text, size, "%d (%s) in state %c", (int)process->pid, comm, process->state);
}

size_t tree_describe(const struct tree *tree, char *text, size_t size)
{
    enum { NAMED = 8 };
    size_t count = 0;
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < tree->count; i++) {
        if (!tree->processes[i].alive)
            continue;
        if (++count > NAMED)
            continue;
        char one[96];
        describe_one(tree, &tree->processes[i], one, sizeof(one));
        used = append(text, size, used, count > 1 ? ", " : "");
        used = append(text, size, used, one);
    }
    if (count > NAMED) {
        char rest[48];
        snprintf(rest, sizeof(rest), " and %zu more", count - NAMED);
        append(text, size, used, rest);
    }
    return count;
}
