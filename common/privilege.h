#ifndef BULKHEAD_COMMON_PRIVILEGE_H
#define BULKHEAD_COMMON_PRIVILEGE_H

#include <sys/types.h>

/* Giving up what a process was started with: root's ids and capabilities. */
struct privilege_user {
    uid_t uid;
    gid_t gid;
};

/* Who one becomes when the name leads nowhere: the kernel's "overflow" ids, which own nothing. */
enum { PRIVILEGE_NOBODY = 65534 };

/*
 * Looks a user up by name. May block, as name services may. Returns 0; -ENOENT, or another negative errno of
 * getpwnam(3), when there is no such user: *ret_user is PRIVILEGE_NOBODY then.
 */
int privilege_find_user(const char *name, struct privilege_user *ret_user);

/*
 * Becomes that user for good: no group but its own. Returns 0; 1 where there is nothing to give up, since
 * this process is not root's; or a negative errno, -EPERM also when root could be got back afterwards.
 * Clears the death signal (PR_SET_PDEATHSIG(2const)) and may make the process dumpable again
 * (PR_SET_DUMPABLE(2const)): set both again.
 */
int privilege_drop(const struct privilege_user *user);

/* Gives up all capabilities. Returns 0 or a negative errno. */
int privilege_drop_capabilities(void);

#endif
