/*
 * The system calls that a helper may still make: the list of its role, put into force.
 *
 * The lists are data of the build, so that no process carries what compiles them. Must never be called before
 * the change of user and Landlock: both need calls that no list has.
 */
#include "common/seccomp_filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/filters.h"

static const struct {
    enum message_role role;
    unsigned short count;
    const struct sock_filter *steps;
} lists[] = {
    {ROLE_AGENT_CLIENT, sizeof(agent_client_filter) / sizeof(agent_client_filter[0]), agent_client_filter},
    {ROLE_HOOKD, sizeof(hookd_worker_filter) / sizeof(hookd_worker_filter[0]), hookd_worker_filter},
};

static int install(const struct sock_filter *steps, unsigned short count)
{
    struct sock_fprog program = {
        .len = count, .filter = (struct sock_filter *)(uintptr_t)steps, /* the kernel reads it only */
    };
    long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    if (r < 0)
        return -errno;
    return r > 0 ? -EBUSY : 0;
}

int seccomp_filter_install(enum message_role role)
{
#ifdef BULKHEAD_SANITIZE
    /* The sanitizers trace their own process when it ends, read /proc, and map what they like. */
    (void)install;
    (void)lists;
    (void)role;
    return -EOPNOTSUPP;
#else
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (lists[i].role == role)
            return install(lists[i].steps, lists[i].count);
    return -ENOENT;
#endif
}
