#ifndef BULKHEAD_SUPERVISOR_LIFE_H
#define BULKHEAD_SUPERVISOR_LIFE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The life of one task as a pure function: state and event in, next state and actions out. Nothing here calls
 * the system, keeps time or logs; docs/architecture.md has the picture, tests/unit/test_life_exploration.c
 * walks every reachable state.
 */

enum life_state {
    LIFE_NEW,           /* known by its id only */
    LIFE_PREPARING,     /* the BeforeTaskStart hooks run */
    LIFE_STARTING,      /* the keeper is started, the program not yet executed */
    LIFE_RUNNING,       /* the program runs */
    LIFE_DEREGISTERING, /* the end is decided; the BeforeTerminate hooks run */
    LIFE_DRAINING,      /* between the hooks and SIGTERM */
    LIFE_TERMINATING,   /* SIGTERM was sent; the grace runs */
    LIFE_KILLING,       /* SIGKILL is sent until the tree is empty */
    LIFE_ENDED,         /* the terminal update was made and is not acknowledged */
    LIFE_GONE,          /* it is acknowledged */
};
enum { LIFE_STATES = LIFE_GONE + 1 };

/* Why a task ends. The first one decides, whatever comes later. */
enum life_cause {
    CAUSE_NONE,
    CAUSE_EXIT_SUCCESS, /* the main process exited with 0 */
    CAUSE_EXIT_FAILURE, /* another exit code, or a signal that was not ours */
    CAUSE_NOT_STARTED,  /* the program could not be executed */
    CAUSE_INVALID,      /* the task's description cannot be run */
    CAUSE_KILLED,       /* KILL, SHUTDOWN, a signal to the supervisor, or an agent that did not come back */
    CAUSE_UNHEALTHY,    /* the health check has failed too often */
    CAUSE_TIMED_OUT,    /* max_completion_time */
    CAUSE_EXPIRED,      /* the task's certificate */
    CAUSE_HOOK_FAILED,  /* a hook that had to succeed */
    CAUSE_KEEPER_LOST,  /* the keeper is dead: how the main process ended is not known */
};
enum { LIFE_CAUSES = CAUSE_KEEPER_LOST + 1 };

/* The deadlines of a life. Each is absolute, on one monotonic clock, 0 when it does not run. */
enum life_timer {
    LIFE_TIMER_START,      /* the program must have been executed */
    LIFE_TIMER_HOOKS,      /* the running hooks must have finished */
    LIFE_TIMER_DRAIN,      /* SIGTERM is due */
    LIFE_TIMER_GRACE,      /* SIGKILL is due */
    LIFE_TIMER_GIVE_UP,    /* what is still alive cannot be killed */
    LIFE_TIMER_COMPLETION, /* max_completion_time */
};
enum { LIFE_TIMERS = LIFE_TIMER_COMPLETION + 1 };

/* What is to be done, in the order of the bits. */
enum life_action {
    LIFE_DO_SEND_STARTING = 1 << 0,
    LIFE_DO_CANCEL_HOOKS = 1 << 1,
    LIFE_DO_START_HOOKS = 1 << 2, /* BeforeTaskStart */
    LIFE_DO_START = 1 << 3,       /* fork the keeper */
    LIFE_DO_SEND_RUNNING = 1 << 4,
    LIFE_DO_SEND_KILLING = 1 << 5,
    LIFE_DO_END_GROUP = 1 << 6, /* the other members of the task's group are to be killed */
    LIFE_DO_END_HOOKS = 1 << 7, /* BeforeTerminate */
    LIFE_DO_TERMINATE = 1 << 8, /* SIGTERM to the tree */
    LIFE_DO_SWEEP = 1 << 9,     /* SIGKILL to the tree until it is empty */
    LIFE_DO_SEND_TERMINAL = 1 << 10,
    LIFE_DO_FORGET = 1 << 11,
};
enum { LIFE_ACTIONS = 12 };

/* What holds for a task from its launch to its end. Durations are nanoseconds. */
struct life_terms {
    int64_t grace;               /* from SIGTERM to SIGKILL */
    int64_t start_hooks_timeout; /* for all BeforeTaskStart hooks together */
    int64_t hooks_timeout;       /* for all BeforeTerminate hooks together */
    int64_t drain_delay;         /* from the end of the hooks to SIGTERM; 0 for none */
    int64_t start_timeout;       /* from the fork to the executed program */
    int64_t max_completion_time; /* from the fork; negative for none */
    bool start_hooks;            /* BeforeTaskStart hooks apply */
    bool end_hooks;              /* BeforeTerminate hooks apply */
    bool killing_update;         /* the framework knows TASK_KILLING */
};

enum life_event_type {
    LIFE_LAUNCH,
    LIFE_HOOKS_DONE,
    LIFE_HOOKS_FAILED,
    LIFE_STARTED,
    LIFE_START_FAILED,
    LIFE_MAIN_EXITED,
    LIFE_TREE_EMPTY,
    LIFE_KEEPER_GONE,
    LIFE_KILL,
    LIFE_DUE,
    LIFE_ACKNOWLEDGED,
};
enum { LIFE_EVENTS = LIFE_ACKNOWLEDGED + 1 };

struct life_event {
    enum life_event_type type;
    int64_t now;
    bool valid;   /* LAUNCH: the task can be run. START_FAILED: the task's description is not to blame */
    bool success; /* MAIN_EXITED: exit code 0 */
    bool at_end;  /* HOOKS_DONE, HOOKS_FAILED: of the BeforeTerminate hooks, not of BeforeTaskStart */
    enum life_cause cause; /* KILL */
    int64_t grace;         /* KILL: negative for the task's own */
    int64_t end;           /* KILL: SIGKILL is due by then; 0 for no such end */
    int64_t give_up_by;    /* KILL: with end, when to stop waiting for what cannot be killed */
    enum life_timer timer; /* DUE */
};

enum life_tree { LIFE_TREE_NONE, LIFE_TREE_ALIVE, LIFE_TREE_EMPTIED, LIFE_TREE_ABANDONED };

struct life {
    struct life_terms terms;
    enum life_state state;
    enum life_cause cause;
    enum life_tree tree;
    bool swept;            /* SIGKILL has been ordered */
    int64_t grace;         /* of the kill in progress */
    int64_t end;           /* of the kill in progress, 0 for none */
    int64_t give_up_by;    /* goes with end */
    int64_t terminate_by;  /* goes with end: the task's own share of the time begins */
    int64_t terminated_at; /* when SIGTERM was ordered: the grace counts from here */
    int64_t deadlines[LIFE_TIMERS];
};

/* A life at its beginning. Pure. */
struct life life_begin(const struct life_terms *terms);

/*
 * Takes one step. Returns the actions, an or of enum life_action, and stores the next state in *life. An
 * event that has no meaning in a state changes nothing: what comes late is not an error. Pure but for *life.
 */
unsigned life_step(struct life *life, const struct life_event *event);

/* The earliest deadline, or 0 when none runs; *ret_timer says which. Pure. */
int64_t life_next_deadline(const struct life *life, enum life_timer *ret_timer);

/* Whether the task still needs anything done before its terminal update. Pure. */
bool life_is_over(const struct life *life);

/* How a cause is told to Mesos; reason and healthy are -1 for none. Pure. */
struct life_verdict {
    int state;   /* Mesos' TaskState */
    int reason;  /* Mesos' TaskStatus.Reason */
    int healthy; /* 0 or 1 */
};
struct life_verdict life_verdict(enum life_cause cause);

/* Names for logs, titles and tests: "RUNNING", "killed", "grace", … Pure. */
const char *life_state_name(enum life_state state);
const char *life_cause_name(enum life_cause cause);
const char *life_timer_name(enum life_timer timer);
const char *life_event_name(enum life_event_type type);

#endif
