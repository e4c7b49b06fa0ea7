/*
 * The executor's standing with its agent: a pure function, state x event -> state and actions.
 *
 * It rules when the tasks are told to end for a reason that is not theirs (SHUTDOWN, a signal, an agent that
 * is gone) and when the executor leaves: as soon as every terminal update is acknowledged, or when there is
 * nobody left to wait for. The loss of agent-client is not the loss of the agent: only the agent's own end of
 * the stream counts as that.
 */
#include "supervisor/session.h"

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)

/* An agent destroys the container of an executor that has not subscribed after a minute
 * (EXECUTOR_REGISTRATION_TIMEOUT). */
#define REGISTER_TIMEOUT (60 * SECOND)
#define FIRST_TASK_TIMEOUT (60 * SECOND)
#define SUCCESSOR_TIMEOUT (10 * SECOND)

/* An agent may not know us for a moment while it recovers; this often in a row is an answer. */
enum { REFUSALS_BELIEVED = 5 };

struct session session_begin(const struct session_terms *terms)
{
    return (struct session){.terms = *terms};
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t after(int64_t now, int64_t span)
{
    return span > INT64_MAX - now ? INT64_MAX : now + span;
}

static void arm(struct session *session, enum session_timer timer, int64_t at)
{
    if (session->deadlines[timer] == 0)
        session->deadlines[timer] = at;
}

static void disarm(struct session *session, enum session_timer timer)
{
    session->deadlines[timer] = 0;
}

static unsigned leave(struct session *session, int exit_code)
{
    for (int i = 0; i < SESSION_TIMERS; i++)
        disarm(session, (enum session_timer)i);
    session->state = SESSION_LEFT;
    session->exit_code = exit_code != 0 || session->unclean ? 1 : 0;
    return SESSION_DO_LEAVE;
}

/*
 * What follows from the numbers: leave when nothing is owed any more, or when what is owed has nobody to be
 * paid to. The wait for an acknowledgement runs only while subscribed; otherwise the recovery timer rules.
 */
static unsigned settle(struct session *session, int64_t now)
{
    if (session->state == SESSION_LEFT)
        return 0;
    if (session->living > 0) {
        disarm(session, SESSION_TIMER_ACKNOWLEDGE);
        return 0;
    }
    if (session->unacknowledged == 0 && (session->had_task || session->ending))
        return leave(session, session->forsaken && !session->had_task ? 1 : 0);
    if (session->unacknowledged > 0 && session->forsaken)
        return leave(session, 1);
    if (session->unacknowledged > 0 && session->state == SESSION_SUBSCRIBED)
        arm(session, SESSION_TIMER_ACKNOWLEDGE, after(now, session->terms.acknowledge_timeout));
    return 0;
}

/*
 * The agent destroys the container a grace period after its SHUTDOWN. A fifth of it, and no more than a
 * second, is kept for what comes after SIGKILL: half of that for the kill to take effect, a quarter for the
 * acknowledgement.
 */
static unsigned end_tasks(struct session *session, int64_t now)
{
    int64_t grace = session->terms.shutdown_grace;
    int64_t margin = earlier(SECOND, grace / 5);
    int64_t end = after(now, grace - margin);
    int64_t give_up_by = after(end, later(margin / 2, 50 * MILLISECOND));
    int64_t leave_by = after(give_up_by, later(margin / 4, 50 * MILLISECOND));

    if (!session->ending || end < session->end) {
        session->end = end;
        session->give_up_by = give_up_by;
        session->deadlines[SESSION_TIMER_LEAVE] = leave_by;
    }
    session->ending = true;
    unsigned actions = settle(session, now);
    return session->state == SESSION_LEFT ? actions : actions | SESSION_DO_END_TASKS;
}

/* The agent will not be back, or we will not wait: end the tasks and leave without acknowledgements. */
static unsigned forsake(struct session *session, int64_t now)
{
    session->forsaken = true;
    return end_tasks(session, now);
}

static void disconnect(struct session *session)
{
    if (session->state == SESSION_SUBSCRIBED)
        session->state = SESSION_DISCONNECTED;
    disarm(session, SESSION_TIMER_ACKNOWLEDGE);
    disarm(session, SESSION_TIMER_FIRST_TASK);
}

static unsigned on_begin(struct session *session, const struct session_event *event)
{
    arm(session, SESSION_TIMER_REGISTER, after(event->now, REGISTER_TIMEOUT));
    return 0;
}

static unsigned on_taken(struct session *session, const struct session_event *event)
{
    session->state = SESSION_SUBSCRIBED;
    session->refusals = 0;
    session->forsaken = false;
    disarm(session, SESSION_TIMER_REGISTER);
    disarm(session, SESSION_TIMER_RECOVERY);
    disarm(session, SESSION_TIMER_SUCCESSOR);
    if (!session->had_task)
        arm(session, SESSION_TIMER_FIRST_TASK, after(event->now, FIRST_TASK_TIMEOUT));
    return settle(session, event->now);
}

/* Before the first subscription an agent that is not there is an agent that is not up yet. */
static unsigned on_agent_lost(struct session *session, const struct session_event *event)
{
    session->refusals = 0;
    disconnect(session);
    if (session->state == SESSION_CONNECTING)
        return 0;
    if (!session->terms.checkpoint)
        return session->forsaken ? 0 : forsake(session, event->now);
    arm(session, SESSION_TIMER_RECOVERY, after(event->now, session->terms.recovery_timeout));
    return 0;
}

static unsigned on_client_lost(struct session *session, const struct session_event *event)
{
    disconnect(session);
    if (session->state == SESSION_CONNECTING)
        return 0;
    if (session->terms.checkpoint)
        arm(session, SESSION_TIMER_RECOVERY, after(event->now, session->terms.recovery_timeout));
    else if (!session->forsaken)
        arm(session, SESSION_TIMER_SUCCESSOR, after(event->now, SUCCESSOR_TIMEOUT));
    return 0;
}

static unsigned on_unknown_id(struct session *session, const struct session_event *event)
{
    unsigned refusals = session->refusals + 1;
    unsigned actions = on_agent_lost(session, event);
    session->refusals = refusals;
    if (actions != 0 || session->state == SESSION_CONNECTING || refusals < REFUSALS_BELIEVED ||
        session->forsaken)
        return actions;
    disarm(session, SESSION_TIMER_RECOVERY);
    return forsake(session, event->now);
}

static unsigned on_tasks(struct session *session, const struct session_event *event)
{
    session->living = event->living;
    session->unacknowledged = event->unacknowledged;
    session->unclean |= event->unclean;
    if (event->living + event->unacknowledged > 0) {
        session->had_task = true;
        disarm(session, SESSION_TIMER_FIRST_TASK);
    }
    return settle(session, event->now);
}

static unsigned on_shutdown(struct session *session, const struct session_event *event)
{
    return end_tasks(session, event->now);
}

static unsigned on_due(struct session *session, const struct session_event *event)
{
    if (session->deadlines[event->timer] == 0)
        return 0;
    disarm(session, event->timer);
    switch (event->timer) {
    case SESSION_TIMER_REGISTER:
    case SESSION_TIMER_RECOVERY:
    case SESSION_TIMER_SUCCESSOR:
        return forsake(session, event->now);
    case SESSION_TIMER_FIRST_TASK:
        return leave(session, 0);
    case SESSION_TIMER_ACKNOWLEDGE:
    case SESSION_TIMER_LEAVE:
        break;
    }
    return leave(session, 1);
}

unsigned session_step(struct session *session, const struct session_event *event)
{
    static unsigned (*const handlers[SESSION_EVENTS])(struct session *, const struct session_event *) = {
        [SESSION_BEGIN] = on_begin,           [SESSION_TAKEN] = on_taken,
        [SESSION_AGENT_LOST] = on_agent_lost, [SESSION_CLIENT_LOST] = on_client_lost,
        [SESSION_UNKNOWN_ID] = on_unknown_id, [SESSION_TASKS] = on_tasks,
        [SESSION_SHUTDOWN] = on_shutdown,     [SESSION_DUE] = on_due,
    };
    return session->state == SESSION_LEFT ? 0 : handlers[event->type](session, event);
}

int64_t session_next_deadline(const struct session *session, enum session_timer *ret_timer)
{
    int64_t next = 0;
    for (int i = 0; i < SESSION_TIMERS; i++) {
        if (session->deadlines[i] == 0 || (next != 0 && session->deadlines[i] >= next))
            continue;
        next = session->deadlines[i];
        *ret_timer = (enum session_timer)i;
    }
    return next;
}

const char *session_state_name(enum session_state state)
{
    static const char *const names[] = {"CONNECTING", "SUBSCRIBED", "DISCONNECTED", "LEFT"};
    return names[state];
}

const char *session_timer_name(enum session_timer timer)
{
    static const char *const names[SESSION_TIMERS] = {"register",  "first task",  "recovery",
                                                      "successor", "acknowledge", "leave"};
    return names[timer];
}

const char *session_event_name(enum session_event_type type)
{
    static const char *const names[SESSION_EVENTS] = {
        "begin", "subscribed", "agent lost", "agent-client lost", "unknown id", "tasks", "shutdown", "due",
    };
    return names[type];
}
