#ifndef BULKHEAD_COMMON_CONFINE_H
#define BULKHEAD_COMMON_CONFINE_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/message.h"

/*
 * How a helper takes from itself, for good, what it does not need, so that whoever takes the helper over has
 * little in hand:
 *
 *     confine_begin(&result);             first thing in main: before there is a secret or a descriptor
 *     ... configuration, files that only root may read ...
 *     confine_apply(&options, &result);   before the first byte from a network
 *
 * Every step is tried whatever became of those before it. Nothing is logged here: the caller says once what
 * confine_missing() lists.
 */
enum confine_step {
    /* confine_begin() */
    CONFINE_DESCRIPTORS, /* all above the channel closed */
    CONFINE_OOM_SCORE,   /* the kernel prefers this process to the task when memory is short */
    CONFINE_CORE,        /* no core dumps */
    CONFINE_MEMORY,      /* not dumpable: no other process of this user reads its memory */

    /* confine_apply() */
    CONFINE_OPEN_FILES,   /* few descriptors at once */
    CONFINE_USER_NAME,    /* the user to become is known; else it is PRIVILEGE_NOBODY */
    CONFINE_USER,         /* that user, where this process is root's */
    CONFINE_CAPABILITIES, /* none */
    CONFINE_MEMORY_AGAIN, /* a change of user undoes it */
    CONFINE_PARENT,       /* this process ends with its parent: a change of user undoes that too */
    CONFINE_NO_NEW_PRIVILEGES,
    CONFINE_FILES, /* Landlock: no file written, few read, no TCP port bound */
    CONFINE_SCOPE, /* Landlock: no signal to a process outside, no connection to its abstract sockets */
    CONFINE_CALLS, /* seccomp: the role's list of system calls */

    CONFINE_STEP_COUNT
};

struct confine_options {
    enum message_role role;
    const char *user;            /* whom to become where this process is root's; NULL: nobody else */
    pid_t parent;                /* getppid() as it was at the start */
    bool names;                  /* host names will be looked up */
    bool authorities;            /* the system's TLS authorities will be read */
    const char *const *readable; /* other files and folders that will be read, up to a NULL; or NULL */
};

/* Start with {0}. A step may be neither taken nor missing: there was nothing to do. */
struct confine_result {
    unsigned taken;                 /* 1 << step */
    int errors[CONFINE_STEP_COUNT]; /* why a step could not be taken: a negative errno */
    int landlock_abi;               /* or a negative errno */
};

/* Both may be called once. The first blocks never; the second may while a name service looks a user up. */
void confine_begin(struct confine_result *result);

/* Returns 0, or -ESRCH when the parent is gone: then this process has nothing left to do. */
int confine_apply(const struct confine_options *options, struct confine_result *result);

bool confine_has_taken(const struct confine_result *result, enum confine_step step);

/* What there is to say of a step that could not be taken. */
struct confine_gap {
    const char *step;    /* what was tried */
    const char *leaves;  /* what remains possible without it */
    int error;           /* a negative errno */
    bool is_not_offered; /* this kernel or build has no such thing; else it failed */
};

/* Goes through the steps that could not be taken. Start with *cursor = 0; returns false at the end. */
bool confine_missing(const struct confine_result *result, size_t *cursor, struct confine_gap *ret_gap);

#endif
