/*
 * Landlock: the file system, TCP ports, and since Linux 6.12 signals and abstract sockets, taken from this
 * process by itself.
 *
 * It asks the kernel for all the rights that this file knows and the kernel does, since only what a ruleset
 * handles is denied. Must never ask for a right that is newer than the kernel: that fails, and nothing at all
 * would be denied.
 */
#include "common/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The ruleset as of ABI 6 (linux/landlock.h of Linux 6.12). */
struct ruleset {
    uint64_t files;
    uint64_t ports;
    uint64_t scopes;
};

/* linux/landlock.h; with its 13 rights of ABI 1, LANDLOCK_ACCESS_FS_EXECUTE to _MAKE_SYM. */
#define FILES_ABI_1 ((UINT64_C(1) << 13) - 1)
#define FILES_REFER (UINT64_C(1) << 13)
#define FILES_TRUNCATE (UINT64_C(1) << 14)
#define FILES_IOCTL_DEVICE (UINT64_C(1) << 15)
#define PORTS_BIND (UINT64_C(1) << 0)
#define SCOPE_ABSTRACT_SOCKETS (UINT64_C(1) << 0)
#define SCOPE_SIGNALS (UINT64_C(1) << 1)

enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_IOCTL_DEVICE = 5 };

int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi < 0 ? -errno : (int)abi;
}

/* Returns the size of what this ABI knows of the ruleset. */
static size_t choose(int abi, struct ruleset *ret_ruleset)
{
    *ret_ruleset = (struct ruleset){.files = FILES_ABI_1};
    if (abi >= ABI_REFER)
        ret_ruleset->files |= FILES_REFER;
    if (abi >= ABI_TRUNCATE)
        ret_ruleset->files |= FILES_TRUNCATE;
    if (abi >= ABI_IOCTL_DEVICE)
        ret_ruleset->files |= FILES_IOCTL_DEVICE;
    if (abi < LANDLOCK_ABI_TCP)
        return offsetof(struct ruleset, ports);
    ret_ruleset->ports = PORTS_BIND;
    if (abi < LANDLOCK_ABI_SCOPES)
        return offsetof(struct ruleset, scopes);
    ret_ruleset->scopes = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS;
    return sizeof(*ret_ruleset);
}

static int allow_reading(int ruleset, const char *path)
{
    int descriptor = open(path, O_PATH | O_CLOEXEC);
    if (descriptor < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP ? 0 : -errno;
    struct stat status;
    if (fstat(descriptor, &status) < 0)
        status.st_mode = 0;
    struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
                                              .parent_fd = descriptor};
    if (S_ISDIR(status.st_mode)) /* of a file the kernel does not accept it */
        rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_DIR;
    int r = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    r = r < 0 ? -errno : 0;
    close(descriptor);
    return r;
}

int landlock_confine(int abi, const char *const *readable)
{
    struct ruleset rights;
    size_t size = choose(abi, &rights);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rights, size, 0);
    if (ruleset < 0)
        return -errno;
    int r = 0;
    for (size_t i = 0; r == 0 && readable[i] != NULL; i++)
        r = allow_reading(ruleset, readable[i]);
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = -errno;
    close(ruleset);
    return r;
}
