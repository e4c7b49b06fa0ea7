/*
 * Giving up root's ids and all capabilities.
 *
 * Runs in helpers only: the supervisor keeps what it has, and looking a user up may hang in a name service.
 * Must never report success while root can be got back.
 */
#include "common/privilege.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int privilege_find_user(const char *name, struct privilege_user *ret_user)
{
    errno = 0;
    const struct passwd *entry = getpwnam(name);
    if (entry == NULL) {
        int r = errno != 0 ? -errno : -ENOENT;
        *ret_user = (struct privilege_user){.uid = PRIVILEGE_NOBODY, .gid = PRIVILEGE_NOBODY};
        return r;
    }
    *ret_user = (struct privilege_user){.uid = entry->pw_uid, .gid = entry->pw_gid};
    return 0;
}

int privilege_drop(const struct privilege_user *user)
{
    if (geteuid() != 0 || user->uid == 0)
        return 1;
    /* Groups first: without root's uid they cannot be changed any more. */
    if (setgroups(1, &user->gid) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
        setresuid(user->uid, user->uid, user->uid) < 0)
        return -errno;
    bool is_back = setresuid((uid_t)-1, 0, (uid_t)-1) == 0;
    if (user->gid != 0)
        is_back |= setresgid((gid_t)-1, 0, (gid_t)-1) == 0;
    return is_back ? -EPERM : 0;
}

int privilege_drop_capabilities(void)
{
    /* The bounding set counts at an exec only, where no_new_privs leaves nothing to be gained. */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);

    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}
