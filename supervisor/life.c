/*
 * The life of one task: a pure function, state x event -> state and actions.
 *
 * The order of an end is always the same: the cause is decided, the BeforeTerminate hooks run, the drain
 * delay passes, SIGTERM, the grace, SIGKILL until the tree is empty, the terminal update. A task that ended
 * by itself goes the same way with its leftovers killed at once. No step waits without a deadline; every
 * deadline is absolute; a later kill can only bring them nearer. The reader finds the events at the end of
 * the file, each a small function over the steps above it.
 */
#include "supervisor/life.h"

#include <stddef.h>

#include "proto/mesos_v1.pb-c.h"

#define SECOND INT64_C(1000000000)

/* From the first SIGKILL to the conclusion that what is left cannot be killed. */
#define GIVE_UP_AFTER (5 * SECOND)

struct life life_begin(const struct life_terms *terms)
{
    return (struct life){.terms = *terms, .grace = terms->grace};
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* now + span without overflow: a grace of centuries is legal. */
static int64_t after(int64_t now, int64_t span)
{
    return span > INT64_MAX - now ? INT64_MAX : now + span;
}

static void stop_timers(struct life *life)
{
    for (int i = 0; i < LIFE_TIMERS; i++)
        life->deadlines[i] = 0;
}

static bool is_ending(const struct life *life)
{
    return life->state >= LIFE_DEREGISTERING && life->state <= LIFE_KILLING;
}

/* --- the steps of an end, last one first
 * ------------------------------------------------------------------------------ */

static unsigned finish(struct life *life)
{
    stop_timers(life);
    life->state = LIFE_ENDED;
    return LIFE_DO_SEND_TERMINAL;
}

/* Orders SIGKILL for whatever is alive and sets the time at which waiting for it ends. */
static unsigned order_sweep(struct life *life, int64_t now)
{
    if (life->swept || life->tree != LIFE_TREE_ALIVE)
        return 0;
    life->swept = true;
    life->deadlines[LIFE_TIMER_GIVE_UP] = after(now, GIVE_UP_AFTER);
    if (life->give_up_by != 0)
        life->deadlines[LIFE_TIMER_GIVE_UP] = earlier(life->deadlines[LIFE_TIMER_GIVE_UP], life->give_up_by);
    return LIFE_DO_SWEEP;
}

static unsigned kill_tree(struct life *life, int64_t now)
{
    life->deadlines[LIFE_TIMER_DRAIN] = 0;
    life->deadlines[LIFE_TIMER_GRACE] = 0;
    life->state = LIFE_KILLING;
    return order_sweep(life, now);
}

/* The grace counts from SIGTERM and ends, whatever the kill policy says, at the end of a SHUTDOWN. */
static int64_t kill_time(const struct life *life)
{
    int64_t at = after(life->terminated_at, life->grace);
    return life->end != 0 ? earlier(at, life->end) : at;
}

static unsigned terminate_tree(struct life *life, int64_t now)
{
    life->deadlines[LIFE_TIMER_DRAIN] = 0;
    life->state = LIFE_TERMINATING;
    life->terminated_at = now;
    int64_t kill_at = kill_time(life);
    if (kill_at <= now)
        return LIFE_DO_TERMINATE | kill_tree(life, now);
    life->deadlines[LIFE_TIMER_GRACE] = kill_at;
    return LIFE_DO_TERMINATE;
}

static int64_t cap(int64_t deadline, int64_t limit)
{
    return limit != 0 ? earlier(deadline, limit) : deadline;
}

static unsigned after_hooks(struct life *life, int64_t now)
{
    life->deadlines[LIFE_TIMER_HOOKS] = 0;
    if (life->tree != LIFE_TREE_ALIVE)
        return finish(life);
    if (life->swept) {
        life->state = LIFE_KILLING;
        return 0;
    }
    if (life->terms.drain_delay > 0 && life->grace > 0) {
        life->state = LIFE_DRAINING;
        life->deadlines[LIFE_TIMER_DRAIN] = cap(after(now, life->terms.drain_delay), life->terminate_by);
        return 0;
    }
    return terminate_tree(life, now);
}

static unsigned run_end_hooks(struct life *life, int64_t now)
{
    life->state = LIFE_DEREGISTERING;
    if (!life->terms.end_hooks)
        return after_hooks(life, now);
    life->deadlines[LIFE_TIMER_HOOKS] = cap(after(now, life->terms.hooks_timeout), life->terminate_by);
    return LIFE_DO_END_HOOKS;
}

static bool says_killing(const struct life *life)
{
    return life->terms.killing_update &&
           (life->cause == CAUSE_KILLED || life->cause == CAUSE_UNHEALTHY || life->cause == CAUSE_EXPIRED);
}

/* Whether the main process is left to SIGTERM and a grace; if not, only leftovers remain, which are killed at
 * once. */
static bool ends_gracefully(enum life_cause cause)
{
    return cause == CAUSE_KILLED || cause == CAUSE_UNHEALTHY || cause == CAUSE_TIMED_OUT ||
           cause == CAUSE_EXPIRED || cause == CAUSE_HOOK_FAILED;
}

/* The one place where a cause is set. The caller has seen that there was none. */
static unsigned begin_end(struct life *life, enum life_cause cause, int64_t now)
{
    unsigned actions = life->state == LIFE_PREPARING ? LIFE_DO_CANCEL_HOOKS : 0;
    stop_timers(life);
    life->cause = cause;
    if (cause != CAUSE_EXIT_SUCCESS)
        actions |= LIFE_DO_END_GROUP;
    if (says_killing(life))
        actions |= LIFE_DO_SEND_KILLING;
    if (!ends_gracefully(cause))
        actions |= order_sweep(life, now);
    return actions | run_end_hooks(life, now);
}

/* --- the events
 * ------------------------------------------------------------------------------------------------------- */

static unsigned start(struct life *life, int64_t now)
{
    life->state = LIFE_STARTING;
    life->tree = LIFE_TREE_ALIVE;
    life->deadlines[LIFE_TIMER_HOOKS] = 0;
    life->deadlines[LIFE_TIMER_START] = after(now, life->terms.start_timeout);
    if (life->terms.max_completion_time >= 0)
        life->deadlines[LIFE_TIMER_COMPLETION] = after(now, life->terms.max_completion_time);
    return LIFE_DO_START;
}

static unsigned on_launch(struct life *life, const struct life_event *event)
{
    if (life->state != LIFE_NEW)
        return 0;
    if (!event->valid)
        return LIFE_DO_SEND_STARTING | begin_end(life, CAUSE_INVALID, event->now);
    if (!life->terms.start_hooks)
        return LIFE_DO_SEND_STARTING | start(life, event->now);
    life->state = LIFE_PREPARING;
    life->deadlines[LIFE_TIMER_HOOKS] = after(event->now, life->terms.start_hooks_timeout);
    return LIFE_DO_SEND_STARTING | LIFE_DO_START_HOOKS;
}

/* Whether these are the hooks that are waited for: cancelled ones may still answer, into a later state. */
static bool is_awaited(const struct life *life, const struct life_event *event)
{
    return life->state == (event->at_end ? LIFE_DEREGISTERING : LIFE_PREPARING);
}

static unsigned on_hooks_done(struct life *life, const struct life_event *event)
{
    if (!is_awaited(life, event))
        return 0;
    return event->at_end ? after_hooks(life, event->now) : start(life, event->now);
}

/* A hook that fails while the task ends is reported by whoever ran it; the end goes on. */
static unsigned on_hooks_failed(struct life *life, const struct life_event *event)
{
    if (!is_awaited(life, event))
        return 0;
    return event->at_end ? after_hooks(life, event->now) : begin_end(life, CAUSE_HOOK_FAILED, event->now);
}

static unsigned on_started(struct life *life, const struct life_event *event)
{
    (void)event;
    if (life->state != LIFE_STARTING)
        return 0;
    life->state = LIFE_RUNNING;
    life->deadlines[LIFE_TIMER_START] = 0;
    return LIFE_DO_SEND_RUNNING;
}

static unsigned on_start_failed(struct life *life, const struct life_event *event)
{
    if (life->state != LIFE_STARTING)
        return 0;
    return begin_end(life, event->valid ? CAUSE_NOT_STARTED : CAUSE_INVALID, event->now);
}

/* During a kill the exit of the main process is no event: what it left may still be saying goodbye. */
static unsigned on_main_exited(struct life *life, const struct life_event *event)
{
    if (life->state != LIFE_STARTING && life->state != LIFE_RUNNING)
        return 0;
    return begin_end(life, event->success ? CAUSE_EXIT_SUCCESS : CAUSE_EXIT_FAILURE, event->now);
}

/* A tree that was given up may still become empty while the hooks run: then nothing is left to report. */
static unsigned on_tree_empty(struct life *life, const struct life_event *event)
{
    if (life->tree == LIFE_TREE_NONE || life_is_over(life))
        return 0;
    life->tree = LIFE_TREE_EMPTIED;
    life->deadlines[LIFE_TIMER_GIVE_UP] = 0;
    /* Nothing is left and nobody said how the main process ended. */
    if (life->state == LIFE_STARTING || life->state == LIFE_RUNNING)
        return begin_end(life, CAUSE_KEEPER_LOST, event->now);
    return is_ending(life) && life->state != LIFE_DEREGISTERING ? finish(life) : 0;
}

/* With its keeper a task has lost what could end it gracefully: all that is left of it is killed. The order
 * goes out even if it did before: the one who was to carry it out is dead. */
static unsigned on_keeper_gone(struct life *life, const struct life_event *event)
{
    if (life->tree != LIFE_TREE_ALIVE)
        return 0;
    if (life->state == LIFE_STARTING || life->state == LIFE_RUNNING)
        return begin_end(life, CAUSE_KEEPER_LOST, event->now);
    if (life->state == LIFE_DEREGISTERING)
        return LIFE_DO_SWEEP | order_sweep(life, event->now);
    return is_ending(life) ? LIFE_DO_SWEEP | kill_tree(life, event->now) : 0;
}

static void tighten(int64_t *deadline, int64_t limit)
{
    if (*deadline != 0 && limit != 0)
        *deadline = earlier(*deadline, limit);
}

/*
 * Under an end the task keeps the smaller of its grace and half of what is left; hooks and then the drain
 * delay have the rest. Returns when the task's share begins. It is fixed once: asked again later, the drain
 * delay would have half of the share too.
 */
static int64_t task_share(int64_t end, int64_t grace, int64_t now)
{
    int64_t left = end > now ? end - now : 0;
    return end - earlier(grace, left / 2);
}

static void take_terms_of_kill(struct life *life, const struct life_event *event, bool first)
{
    int64_t grace = event->grace >= 0 ? event->grace : life->terms.grace;
    life->grace = first ? grace : earlier(life->grace, event->grace >= 0 ? event->grace : life->grace);
    if (event->end == 0)
        return;
    life->end = cap(event->end, life->end);
    life->terminate_by = cap(task_share(event->end, life->grace, event->now), life->terminate_by);
    life->give_up_by = cap(event->give_up_by, life->give_up_by);
}

static unsigned kill_sooner(struct life *life, const struct life_event *event)
{
    take_terms_of_kill(life, event, false);
    tighten(&life->deadlines[LIFE_TIMER_HOOKS], life->terminate_by);
    tighten(&life->deadlines[LIFE_TIMER_DRAIN], life->terminate_by);
    tighten(&life->deadlines[LIFE_TIMER_GIVE_UP], life->give_up_by);
    if (life->state == LIFE_DRAINING && life->grace == 0)
        return terminate_tree(life, event->now);
    if (life->state != LIFE_TERMINATING)
        return 0;
    tighten(&life->deadlines[LIFE_TIMER_GRACE], kill_time(life));
    return life->deadlines[LIFE_TIMER_GRACE] <= event->now ? kill_tree(life, event->now) : 0;
}

static unsigned on_kill(struct life *life, const struct life_event *event)
{
    if (life->state >= LIFE_ENDED)
        return 0;
    if (is_ending(life))
        return kill_sooner(life, event);
    take_terms_of_kill(life, event, true);
    if (life->state != LIFE_NEW)
        return begin_end(life, event->cause, event->now);
    /* Never launched: there is nothing to undo, and a launch that comes late finds the task ended. */
    life->cause = event->cause;
    return finish(life);
}

static unsigned due_start(struct life *life, int64_t now)
{
    return life->state == LIFE_STARTING ? begin_end(life, CAUSE_NOT_STARTED, now) : 0;
}

static unsigned due_hooks(struct life *life, int64_t now)
{
    if (life->state == LIFE_PREPARING)
        return begin_end(life, CAUSE_HOOK_FAILED, now);
    return life->state == LIFE_DEREGISTERING ? LIFE_DO_CANCEL_HOOKS | after_hooks(life, now) : 0;
}

static unsigned due_drain(struct life *life, int64_t now)
{
    return life->state == LIFE_DRAINING ? terminate_tree(life, now) : 0;
}

static unsigned due_grace(struct life *life, int64_t now)
{
    return life->state == LIFE_TERMINATING ? kill_tree(life, now) : 0;
}

static unsigned due_give_up(struct life *life, int64_t now)
{
    (void)now;
    if (life->tree != LIFE_TREE_ALIVE)
        return 0;
    life->tree = LIFE_TREE_ABANDONED;
    return life->state == LIFE_KILLING ? finish(life) : 0;
}

static unsigned due_completion(struct life *life, int64_t now)
{
    if (life->state != LIFE_STARTING && life->state != LIFE_RUNNING)
        return 0;
    life->grace = 0;
    return begin_end(life, CAUSE_TIMED_OUT, now);
}

static unsigned on_due(struct life *life, const struct life_event *event)
{
    static unsigned (*const due[LIFE_TIMERS])(struct life *, int64_t) = {
        [LIFE_TIMER_START] = due_start,     [LIFE_TIMER_HOOKS] = due_hooks,
        [LIFE_TIMER_DRAIN] = due_drain,     [LIFE_TIMER_GRACE] = due_grace,
        [LIFE_TIMER_GIVE_UP] = due_give_up, [LIFE_TIMER_COMPLETION] = due_completion,
    };
    if (life->deadlines[event->timer] == 0)
        return 0;
    life->deadlines[event->timer] = 0;
    return due[event->timer](life, event->now);
}

static unsigned on_acknowledged(struct life *life, const struct life_event *event)
{
    (void)event;
    if (life->state != LIFE_ENDED)
        return 0;
    life->state = LIFE_GONE;
    return LIFE_DO_FORGET;
}

unsigned life_step(struct life *life, const struct life_event *event)
{
    static unsigned (*const handlers[LIFE_EVENTS])(struct life *, const struct life_event *) = {
        [LIFE_LAUNCH] = on_launch,
        [LIFE_HOOKS_DONE] = on_hooks_done,
        [LIFE_HOOKS_FAILED] = on_hooks_failed,
        [LIFE_STARTED] = on_started,
        [LIFE_START_FAILED] = on_start_failed,
        [LIFE_MAIN_EXITED] = on_main_exited,
        [LIFE_TREE_EMPTY] = on_tree_empty,
        [LIFE_KEEPER_GONE] = on_keeper_gone,
        [LIFE_KILL] = on_kill,
        [LIFE_DUE] = on_due,
        [LIFE_ACKNOWLEDGED] = on_acknowledged,
    };
    return handlers[event->type](life, event);
}

int64_t life_next_deadline(const struct life *life, enum life_timer *ret_timer)
{
    int64_t next = 0;
    for (int i = 0; i < LIFE_TIMERS; i++) {
        if (life->deadlines[i] == 0 || (next != 0 && life->deadlines[i] >= next))
            continue;
        next = life->deadlines[i];
        *ret_timer = (enum life_timer)i;
    }
    return next;
}

bool life_is_over(const struct life *life)
{
    return life->state >= LIFE_ENDED;
}

struct life_verdict life_verdict(enum life_cause cause)
{
    static const struct life_verdict verdicts[LIFE_CAUSES] = {
        [CAUSE_NONE] = {MESOS__V1__TASK_STATE__TASK_FAILED, -1, -1},
        [CAUSE_EXIT_SUCCESS] = {MESOS__V1__TASK_STATE__TASK_FINISHED, -1, -1},
        [CAUSE_EXIT_FAILURE] = {MESOS__V1__TASK_STATE__TASK_FAILED, -1, -1},
        [CAUSE_NOT_STARTED] = {MESOS__V1__TASK_STATE__TASK_FAILED, -1, -1},
        [CAUSE_INVALID] = {MESOS__V1__TASK_STATE__TASK_FAILED,
                           MESOS__V1__TASK_STATUS__REASON__REASON_TASK_INVALID, -1},
        [CAUSE_KILLED] = {MESOS__V1__TASK_STATE__TASK_KILLED, -1, -1},
        [CAUSE_UNHEALTHY] = {MESOS__V1__TASK_STATE__TASK_FAILED, -1, 0},
        [CAUSE_TIMED_OUT] = {MESOS__V1__TASK_STATE__TASK_FAILED,
                             MESOS__V1__TASK_STATUS__REASON__REASON_MAX_COMPLETION_TIME_REACHED, -1},
        [CAUSE_EXPIRED] = {MESOS__V1__TASK_STATE__TASK_KILLED, -1, 0},
        [CAUSE_HOOK_FAILED] = {MESOS__V1__TASK_STATE__TASK_FAILED, -1, -1},
        [CAUSE_KEEPER_LOST] = {MESOS__V1__TASK_STATE__TASK_FAILED, -1, -1},
    };
    return verdicts[cause];
}

const char *life_state_name(enum life_state state)
{
    static const char *const names[LIFE_STATES] = {"NEW",           "PREPARING", "STARTING",    "RUNNING",
                                                   "DEREGISTERING", "DRAINING",  "TERMINATING", "KILLING",
                                                   "ENDED",         "GONE"};
    return names[state];
}

const char *life_cause_name(enum life_cause cause)
{
    static const char *const names[LIFE_CAUSES] = {
        "none",      "exit with 0", "exit with a failure", "not started", "invalid", "killed", "unhealthy",
        "timed out", "expired",     "hook failed",         "keeper lost",
    };
    return names[cause];
}

const char *life_timer_name(enum life_timer timer)
{
    static const char *const names[LIFE_TIMERS] = {"start", "hooks",   "drain",
                                                   "grace", "give up", "completion"};
    return names[timer];
}

const char *life_event_name(enum life_event_type type)
{
    static const char *const names[LIFE_EVENTS] = {
        "launch",     "hooks done",  "hooks failed", "started", "start failed", "main exited",
        "tree empty", "keeper gone", "kill",         "due",     "acknowledged",
    };
    return names[type];
}
