#ifndef BULKHEAD_SUPERVISOR_TASK_H
#define BULKHEAD_SUPERVISOR_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/loop.h"
#include "proto/bulkhead.pb-c.h"
#include "supervisor/checks.h"
#include "supervisor/command.h"
#include "supervisor/ledger.h"
#include "supervisor/life.h"

/* One task: its life (life.h), its keeper, and what it has to say to the agent. */
struct task;

/* What tasks share, and whom they tell. All of it must outlive them. */
struct task_context {
    struct loop *loop;
    const struct config *config;
    struct ledger *ledger;
    char *const *environment; /* the executor's own, secrets gone */
    const char *const *excluded;
    size_t excluded_count;
    uint64_t core_limit; /* RLIMIT_CORE as the executor found it */
    uint64_t core_maximum;
    bool killing_update; /* the framework knows TASK_KILLING */
    command_is_self is_self;
    const struct checks_context *checks; /* for hooks and checks */
    void *arg;                           /* for the functions below */
    void (*forget_secrets)(void *arg);   /* called in a keeper after the fork */
    void (*updated)(void *arg);          /* the ledger has something to send */
    void (*changed)(void *arg);          /* a task has another state */
    void (*sweep_strays)(void *arg);     /* a keeper is gone: kill what it has left to us */
    void (*end_group)(void *arg, unsigned group, const struct task *); /* kill the other members */
};

/* Why a task is killed, and by when. why is a clause for the terminal update: "killed at the framework's
 * request". */
struct task_kill {
    enum life_cause cause;
    const char *why;
    int64_t grace;      /* nanoseconds, negative for the task's own */
    int64_t end;        /* absolute, 0 for none */
    int64_t give_up_by; /* goes with end */
};

/* group is 0 for none. Nothing has happened to the task yet. Returns NULL when there is no memory. */
struct task *task_new(const struct task_context *context, const char *id, unsigned group);

/* Kills nothing: a task that still has a keeper loses it by its socket being closed, and with it its whole
 * tree. */
void task_free(struct task *task);

/* Launches what description says: STARTING, and then everything else of its life. */
void task_launch(struct task *task, const Bulkhead__Task *description);

/* The same for a task that cannot be handed on: STARTING, then FAILED with the reason. */
void task_refuse(struct task *task, const char *reason);

void task_kill(struct task *task, const struct task_kill *kill);

/* An update of it has been acknowledged, or was rejected for good. */
void task_acknowledge(struct task *task, bool terminal);

/* A child of ours was reaped: returns whether it was this task's keeper, or one of its checks'. */
bool task_take_reaped(struct task *task, pid_t pid, int wait_status);

/* No process that a lost keeper could have left to us is alive any more. */
void task_strays_gone(struct task *task);

const char *task_id(const struct task *task);
const struct life *task_life(const struct task *task);
unsigned task_group(const struct task *task);
/* The keeper's pid, 0 when there is none. */
pid_t task_keeper_pid(const struct task *task);
/* Whether the process is the task's keeper, or one of its checks'. */
bool task_owns(const struct task *task, pid_t pid);
/* Something of it could not be killed. */
bool task_is_unclean(const struct task *task);
/* The agent's TaskInfo as long as no update of the task is acknowledged, else NULL: what SUBSCRIBE lists. */
const ProtobufCBinaryData *task_unacknowledged(const struct task *task);

#endif
