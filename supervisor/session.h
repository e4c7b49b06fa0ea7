#ifndef BULKHEAD_SUPERVISOR_SESSION_H
#define BULKHEAD_SUPERVISOR_SESSION_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The executor's standing with its agent as a pure function: when it waits, when it ends its tasks, when it
 * leaves and with which exit code. Like life.h, nothing here calls the system.
 */

enum session_state {
    SESSION_CONNECTING,   /* never subscribed so far */
    SESSION_SUBSCRIBED,   /* the agent has taken the subscription */
    SESSION_DISCONNECTED, /* it was subscribed, and is not now */
    SESSION_LEFT,         /* the executor is to exit */
};

enum session_timer {
    SESSION_TIMER_REGISTER,    /* the first subscription must have come */
    SESSION_TIMER_FIRST_TASK,  /* the first task must have come */
    SESSION_TIMER_RECOVERY,    /* checkpointing: the agent must be back */
    SESSION_TIMER_SUCCESSOR,   /* no checkpointing: a new agent-client must be subscribed */
    SESSION_TIMER_ACKNOWLEDGE, /* the terminal updates must be acknowledged */
    SESSION_TIMER_LEAVE,       /* a SHUTDOWN's last moment */
};
enum { SESSION_TIMERS = SESSION_TIMER_LEAVE + 1 };

enum session_action {
    SESSION_DO_END_TASKS = 1 << 0, /* kill every task, with session.end and session.give_up_by */
    SESSION_DO_LEAVE = 1 << 1,     /* exit with session.exit_code */
};

/* Durations in nanoseconds. */
struct session_terms {
    bool checkpoint;             /* MESOS_CHECKPOINT */
    int64_t recovery_timeout;    /* MESOS_RECOVERY_TIMEOUT */
    int64_t shutdown_grace;      /* MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD */
    int64_t acknowledge_timeout; /* ALLEGRO_EXECUTOR_STATE_UPDATE_WAIT_TIMEOUT */
};

enum session_event_type {
    SESSION_BEGIN,       /* the executor has started */
    SESSION_TAKEN,       /* SUBSCRIBED has come */
    SESSION_AGENT_LOST,  /* the agent ended the stream, or refused */
    SESSION_CLIENT_LOST, /* agent-client died, hung or gave the stream up itself */
    SESSION_UNKNOWN_ID,  /* the agent does not know this executor or its framework */
    SESSION_TASKS,       /* the number of tasks or of unacknowledged terminal updates has changed */
    SESSION_SHUTDOWN,    /* the agent's SHUTDOWN, or a signal to the supervisor */
    SESSION_DUE,
};
enum { SESSION_EVENTS = SESSION_DUE + 1 };

struct session_event {
    enum session_event_type type;
    int64_t now;
    unsigned living;          /* TASKS: launched and without a terminal update */
    unsigned unacknowledged;  /* TASKS: with a terminal update that is not acknowledged */
    bool unclean;             /* TASKS: something could not be killed, or an update was rejected */
    enum session_timer timer; /* DUE */
};

struct session {
    struct session_terms terms;
    enum session_state state;
    bool had_task;
    bool ending;   /* the tasks were told to end */
    bool forsaken; /* the agent is not waited for any more */
    bool unclean;
    unsigned living;
    unsigned unacknowledged;
    unsigned refusals;  /* in a row, by an agent that does not know us */
    int64_t end;        /* with ending: SIGKILL is due */
    int64_t give_up_by; /* with ending: what cannot be killed is reported */
    int exit_code;      /* with SESSION_DO_LEAVE */
    int64_t deadlines[SESSION_TIMERS];
};

struct session session_begin(const struct session_terms *terms);

/* Takes one step; returns an or of enum session_action. Pure but for *session. */
unsigned session_step(struct session *session, const struct session_event *event);

/* The earliest deadline, or 0 when none runs; *ret_timer says which. Pure. */
int64_t session_next_deadline(const struct session *session, enum session_timer *ret_timer);

const char *session_state_name(enum session_state state);
const char *session_timer_name(enum session_timer timer);
const char *session_event_name(enum session_event_type type);

#endif
