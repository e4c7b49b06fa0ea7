#ifndef BULKHEAD_SUPERVISOR_KEEPER_H
#define BULKHEAD_SUPERVISOR_KEEPER_H

#include <stdint.h>
#include <sys/types.h>

#include "supervisor/launch.h"

/*
 * A keeper is a small process, forked without exec, one a task: child subreaper for everything that the task
 * ever starts. It starts the main process, reaps, signals the tree when told to, and says what it saw. When
 * the supervisor is gone, for whatever reason, it kills the tree and leaves.
 */

struct keeper_terms {
    const char *task_id; /* for the title and the log */
    const struct launch *launch;
    const char *const *excluded; /* names that get no SIGTERM while others are alive */
    size_t excluded_count;
    void (*forget_secrets)(
        void *arg); /* called first in the keeper: wipes what it has inherited and must not hold */
    void *arg;
};

struct keeper {
    pid_t pid; /* a child of the caller, to be reaped by it; 0 when not started */
    int socket;
};

/* What the supervisor may order. Sent over the keeper's socket, one datagram each. */
enum keeper_order {
    KEEPER_TERMINATE = 'T', /* SIGTERM, then SIGCONT, to the tree */
    KEEPER_KILL = 'K',      /* SIGKILL until the tree is empty */
};

/* What the keeper says. A datagram is one struct keeper_report: both sides are one program and one build. */
enum keeper_news {
    KEEPER_STARTED = 1,  /* pid: the main process runs its program */
    KEEPER_START_FAILED, /* failure */
    KEEPER_MAIN_EXITED,  /* wait_status */
    KEEPER_REMAINING,    /* count and text: what is alive after SIGKILL */
    KEEPER_TREE_EMPTY,   /* the last child is reaped; the keeper exits */
};
enum { KEEPER_TEXT_SIZE = 512 };
struct keeper_report {
    enum keeper_news news;
    pid_t pid;
    int wait_status; /* as of waitpid(2) */
    struct launch_failure failure;
    uint32_t count;
    char text[KEEPER_TEXT_SIZE];
};

/*
 * Forks the keeper, which starts the program at once. Returns 0, or a negative errno of socketpair(2) or
 * fork(2). terms are copied by the fork. Does not block. The socket is close-on-exec and belongs to the
 * caller.
 */
int keeper_start(const struct keeper_terms *terms, struct keeper *ret_keeper);

/* Gives an order. Returns 0 or a negative errno (-EPIPE when the keeper is gone). Does not block. */
int keeper_order(const struct keeper *keeper, enum keeper_order order);

/* Takes the next report. Returns 1, 0 when the keeper is gone, -EAGAIN when there is none now, or another
 * negative errno. */
int keeper_receive(const struct keeper *keeper, struct keeper_report *ret_report);

#endif
