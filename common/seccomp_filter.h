#ifndef BULKHEAD_COMMON_SECCOMP_FILTER_H
#define BULKHEAD_COMMON_SECCOMP_FILTER_H

#include "common/message.h"

/*
 * Puts the role's list of allowed system calls, made at build time by common/generate_filter.c, on every
 * thread of this process, for good. Needs no_new_privs. Returns 0; -ENOENT for a role without a list;
 * -EOPNOTSUPP in a build with sanitizers; a negative errno of seccomp(2), -EBUSY when a thread could not be
 * given it.
 */
int seccomp_filter_install(enum message_role role);

#endif
