/*
 * The steps by which a helper gives up what it does not need, in the order in which they can be taken.
 *
 * A table: each row is one thing given up, one function, and the words for when it cannot be. The usual case
 * is one user for all, task included, so what counts most is that no call is left that reaches another
 * process: by signal, by its memory, by its limits, or by a program that acts for whoever asks. Must never
 * skip a step in silence, nor let the failure of one be the end of the others.
 */
#include "common/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bsd/unistd.h>

#include "common/helper.h"
#include "common/landlock.h"
#include "common/privilege.h"
#include "common/seccomp_filter.h"

/* A helper counts as half of the memory that it shares with the task: a task that fills the most of it is
 * still the first to go, which alone helps, and a small process of a task never goes for a helper's sake. */
enum { OOM_SCORE_RAISE = 500, OOM_SCORE_MAX = 1000 };

/* The channel, two connections, a name lookup and a file, many times over. */
enum { OPEN_FILES_MAX = 256 };

enum { NOTHING_TO_DO = 1 }; /* a step returns this, 0, or a negative errno */

struct confinement {
    const struct confine_options *options;
    struct confine_result *result;
    struct privilege_user user;
};

/* ---- at the start ---- */

static int close_descriptors(struct confinement *self)
{
    (void)self;
    closefrom(HELPER_SOCKET + 1);
    return 0;
}

/* Before the process is closed to others, when the file becomes root's (proc(5)). */
static int raise_oom_score(struct confinement *self)
{
    (void)self;
    char text[16];
    int file = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (file < 0)
        return -errno;
    ssize_t n = read(file, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    long score = strtol(text, NULL, 10) + OOM_SCORE_RAISE;
    int length = snprintf(text, sizeof(text), "%ld", score < OOM_SCORE_MAX ? score : OOM_SCORE_MAX);
    int r = n < 0 || pwrite(file, text, (size_t)length, 0) < 0 ? -errno : 0;
    close(file);
    return r;
}

static int forbid_core(struct confinement *self)
{
    (void)self;
    return setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) < 0 ? -errno : 0;
}

static int close_memory(struct confinement *self)
{
    (void)self;
#ifdef BULKHEAD_SANITIZE /* the leak check traces its own process */
    return -EOPNOTSUPP;
#else
    return prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
#endif
}

/* ---- before the first byte from a network ---- */

static int limit_open_files(struct confinement *self)
{
    (void)self;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    rlim_t maximum = limit.rlim_max < OPEN_FILES_MAX ? limit.rlim_max : OPEN_FILES_MAX;
    limit = (struct rlimit){.rlim_cur = maximum, .rlim_max = maximum};
    return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

static int find_user(struct confinement *self)
{
    if (geteuid() != 0 || self->options->user == NULL)
        return NOTHING_TO_DO;
    return privilege_find_user(self->options->user, &self->user);
}

static int change_user(struct confinement *self)
{
    return self->options->user != NULL ? privilege_drop(&self->user) : NOTHING_TO_DO;
}

static int drop_capabilities(struct confinement *self)
{
    (void)self;
    return privilege_drop_capabilities();
}

static int die_with_parent(struct confinement *self)
{
    int r = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
    return getppid() == self->options->parent ? r : -ESRCH;
}

static int forbid_new_privileges(struct confinement *self)
{
    (void)self;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* resolv.conf and hosts are replaced by rename, and a rule for a file ends with the file: so /etc as a
 * whole. Then what resolv.conf is often a link to. */
static const char *const name_paths[] = {"/etc", "/run/systemd/resolve", "/run/resolvconf",
                                         "/run/NetworkManager"};

/* Debian's and Red Hat's places, and where the links in them lead. */
static const char *const authority_paths[] = {"/etc/ssl",
                                              "/etc/pki",
                                              "/usr/lib/ssl",
                                              "/usr/share/ca-certificates",
                                              "/usr/local/share/ca-certificates",
                                              "/usr/share/pki"};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
enum { READABLE_MAX = 16 };

static int confine_files(struct confinement *self)
{
    const struct confine_options *options = self->options;
    const char *readable[LENGTH(name_paths) + LENGTH(authority_paths) + READABLE_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; options->names && i < LENGTH(name_paths); i++)
        readable[count++] = name_paths[i];
    for (size_t i = 0; options->authorities && i < LENGTH(authority_paths); i++)
        readable[count++] = authority_paths[i];
    for (size_t i = 0; options->readable != NULL && options->readable[i] != NULL; i++) {
        if (i == READABLE_MAX)
            return -E2BIG;
        readable[count++] = options->readable[i];
    }
    readable[count] = NULL;
#ifdef BULKHEAD_SANITIZE /* a report names source lines, from files all over the system */
    (void)landlock_confine;
    self->result->landlock_abi = -EOPNOTSUPP;
#else
    self->result->landlock_abi = landlock_abi();
#endif
    if (self->result->landlock_abi < 0)
        return self->result->landlock_abi;
    return landlock_confine(self->result->landlock_abi, readable);
}

/* The scope came with the files' rights, in one ruleset. */
static int confine_scope(struct confinement *self)
{
    if (self->result->errors[CONFINE_FILES] < 0)
        return self->result->errors[CONFINE_FILES];
    return self->result->landlock_abi >= LANDLOCK_ABI_SCOPES ? 0 : -EOPNOTSUPP;
}

static int filter_calls(struct confinement *self)
{
    return seccomp_filter_install(self->options->role);
}

/* ---- the table ---- */

static const struct {
    int (*take)(struct confinement *self);
    const char *name;
    const char *leaves;
} steps[CONFINE_STEP_COUNT] = {
    [CONFINE_DESCRIPTORS] = {close_descriptors, "close what is not ours", "descriptors of others stay open"},
    [CONFINE_OOM_SCORE] = {raise_oom_score, "raise the OOM score", "it is as dear to the kernel as the task"},
    [CONFINE_CORE] = {forbid_core, "forbid core dumps", "a crash may write secrets to disk"},
    [CONFINE_MEMORY] = {close_memory, "close the memory",
                        "processes of the same user can read secrets in it"},
    [CONFINE_OPEN_FILES] = {limit_open_files, "limit open files",
                            "it may open as many as it was started with"},
    [CONFINE_USER_NAME] = {find_user, "look up the helpers' user", "user and group 65534 are used instead"},
    [CONFINE_USER] = {change_user, "become the helpers' user", "it keeps the user it was started as"},
    [CONFINE_CAPABILITIES] = {drop_capabilities, "drop capabilities", "it keeps those it was started with"},
    [CONFINE_MEMORY_AGAIN] = {close_memory, "close the memory after the change of user",
                              "processes of the same user can read secrets in it"},
    [CONFINE_PARENT] = {die_with_parent, "die with the supervisor",
                        "should the supervisor be killed, it ends when it next looks at its channel"},
    [CONFINE_NO_NEW_PRIVILEGES] = {forbid_new_privileges, "no_new_privs",
                                   "setuid programs give it privileges"},
    [CONFINE_FILES] = {confine_files, "Landlock: files", "it may read and write what its user may"},
    [CONFINE_SCOPE] = {confine_scope, "Landlock: signals and abstract sockets",
                       "the filter of system calls alone forbids both"},
    [CONFINE_CALLS] = {filter_calls, "seccomp",
                       "it may make any system call, kill of its user's processes included"},
};

static void take_steps(struct confinement *self, enum confine_step first, enum confine_step end)
{
    for (enum confine_step step = first; step < end; step++) {
        int r = steps[step].take(self);
        if (r == 0)
            self->result->taken |= 1U << step;
        self->result->errors[step] = r < 0 ? r : 0;
    }
}

void confine_begin(struct confine_result *result)
{
    struct confinement self = {.result = result};
    take_steps(&self, CONFINE_DESCRIPTORS, CONFINE_OPEN_FILES);
}

int confine_apply(const struct confine_options *options, struct confine_result *result)
{
    struct confinement self = {.options = options, .result = result};
    take_steps(&self, CONFINE_OPEN_FILES, CONFINE_STEP_COUNT);
    return result->errors[CONFINE_PARENT] == -ESRCH ? -ESRCH : 0;
}

bool confine_has_taken(const struct confine_result *result, enum confine_step step)
{
    return (result->taken >> step & 1) != 0;
}

bool confine_missing(const struct confine_result *result, size_t *cursor, struct confine_gap *ret_gap)
{
    while (*cursor < CONFINE_STEP_COUNT && result->errors[*cursor] == 0)
        (*cursor)++;
    if (*cursor == CONFINE_STEP_COUNT)
        return false;
    size_t step = (*cursor)++;
    int error = result->errors[step];
    *ret_gap = (struct confine_gap){.step = steps[step].name,
                                    .leaves = steps[step].leaves,
                                    .error = error,
                                    .is_not_offered = error == -ENOSYS || error == -EOPNOTSUPP};
    return true;
}
