/*
 * Walks every reachable state of supervisor/life.c, to a fixed point, in a small world of its own: hooks that
 * answer, fail, stay silent or answer after they were cancelled; a keeper that starts the program or cannot,
 * dies or reports; a framework that kills when it likes. After each step the rules of a task's life are
 * asked.
 *
 * Two walks. In the timed one a second is a step of its own, a deadline fires when it is due and time does
 * not pass it: what the clock promises is checked there. In the untimed one any armed deadline may fire at
 * any moment, as if the supervisor had been stopped for any length of time: the order of events is checked
 * there. What only differs by name (one cause from another that goes the same way) is told apart in the
 * untimed one.
 *
 * The last test proves that the rules can be broken: it walks faulty lives and expects each to be found out.
 */
#include "supervisor/life.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
#define HALF (SECOND / 2)
/* The present, always: when time passes, what is to come moves towards it. */
#define NOW (1000 * SECOND)

#define HOOKS_TIMEOUT (2 * SECOND)
#define DRAIN_DELAY (2 * SECOND)
#define START_TIMEOUT (1 * SECOND)
#define COMPLETION (2 * SECOND)
#define GRACE (2 * SECOND)
#define GIVE_UP_AFTER (5 * SECOND)

/* A second passes. Not an event of a life: it takes no step. */
enum { TICK = LIFE_EVENTS };

typedef unsigned (*step_function)(struct life *life, const struct life_event *event);

/* --- what has happened so far: the world's side, and what the life has asked for */

enum hooks { HOOKS_NONE, HOOKS_RUNNING, HOOKS_CANCELLED, HOOKS_OVER };
enum world_tree { WORLD_NONE, WORLD_ALIVE, WORLD_EMPTY };
enum told { TOLD_NOTHING, TOLD_STARTED, TOLD_FAILED };

/* Bytes only: compared and hashed as memory. Moments are half seconds from now, NEVER for none. */
#define NEVER INT8_MIN

struct track {
    uint8_t launched, acknowledged;
    uint8_t starting, running, killing, terminal; /* updates sent */
    uint8_t start_hooks, end_hooks;               /* enum hooks */
    uint8_t end_hooks_asked, starts, terminates, sweeps, groups, forgets;
    uint8_t tree, keeper_gone, told, main_exited, gave_up;
    uint8_t cause;       /* the first, by this file's own reading of the rules */
    int8_t terminate_by; /* the task's share of the time up to an end begins */
    int8_t end, give_up_by, swept_at;
};

/* A life without its terms, small. */
struct node {
    int8_t deadlines[LIFE_TIMERS];
    int8_t grace, end, give_up_by, terminate_by, terminated_at;
    uint8_t state, cause, tree, swept;
    struct track track;
};

static int8_t pack_moment(int64_t moment)
{
    if (moment == 0)
        return NEVER;
    int64_t halves = (moment - NOW) / HALF;
    cr_assert(NOW + halves * HALF == moment && halves > NEVER && halves <= INT8_MAX, "an odd moment: %lld",
              (long long)moment);
    return (int8_t)halves;
}

static int64_t unpack_moment(int8_t halves)
{
    return halves == NEVER ? 0 : NOW + halves * HALF;
}

static void pack(const struct life *life, struct node *node)
{
    for (int i = 0; i < LIFE_TIMERS; i++)
        node->deadlines[i] = pack_moment(life->deadlines[i]);
    node->grace = (int8_t)(life->grace / HALF);
    node->end = pack_moment(life->end);
    node->give_up_by = pack_moment(life->give_up_by);
    node->terminate_by = pack_moment(life->terminate_by);
    node->terminated_at = pack_moment(life->terminated_at);
    node->state = (uint8_t)life->state;
    node->cause = (uint8_t)life->cause;
    node->tree = (uint8_t)life->tree;
    node->swept = life->swept;
}

static struct life unpack(const struct node *node, const struct life_terms *terms)
{
    struct life life = {.terms = *terms,
                        .state = (enum life_state)node->state,
                        .cause = (enum life_cause)node->cause,
                        .tree = (enum life_tree)node->tree,
                        .swept = node->swept,
                        .grace = node->grace * HALF,
                        .end = unpack_moment(node->end),
                        .give_up_by = unpack_moment(node->give_up_by),
                        .terminate_by = unpack_moment(node->terminate_by),
                        .terminated_at = unpack_moment(node->terminated_at)};
    for (int i = 0; i < LIFE_TIMERS; i++)
        life.deadlines[i] = unpack_moment(node->deadlines[i]);
    return life;
}

/* --- one step, with all that a rule may ask about */

struct setting {
    struct life_terms terms;
    bool timed;
    step_function step;
};

struct taken {
    const struct setting *setting;
    struct life_event event;
    unsigned actions;
    struct life before, after;
    struct track track, then; /* before and after */
};

static bool did(const struct taken *taken, enum life_action action)
{
    return (taken->actions & (unsigned)action) != 0;
}

static bool is(const struct taken *taken, enum life_event_type type)
{
    return taken->event.type == type;
}

static bool fired(const struct taken *taken, enum life_timer timer)
{
    return is(taken, LIFE_DUE) && taken->event.timer == timer && taken->before.deadlines[timer] != 0;
}

static bool is_graceful(int cause)
{
    return cause == CAUSE_KILLED || cause == CAUSE_UNHEALTHY || cause == CAUSE_EXPIRED ||
           cause == CAUSE_TIMED_OUT || cause == CAUSE_HOOK_FAILED;
}

static bool decides(const struct taken *taken)
{
    return taken->track.cause == CAUSE_NONE && taken->then.cause != CAUSE_NONE;
}

/* Of a task that was launched: one that was killed before has nothing to end. */
static bool begins_end(const struct taken *taken)
{
    return decides(taken) && taken->then.launched;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* --- the world's own account */

static enum life_cause cause_of_deadline(const struct taken *taken)
{
    if (fired(taken, LIFE_TIMER_START))
        return CAUSE_NOT_STARTED;
    if (fired(taken, LIFE_TIMER_HOOKS))
        return CAUSE_HOOK_FAILED;
    return fired(taken, LIFE_TIMER_COMPLETION) ? CAUSE_TIMED_OUT : CAUSE_NONE;
}

/* What the event would be the cause of, if it came first. */
static enum life_cause cause_of(const struct taken *taken)
{
    const struct life_event *event = &taken->event;
    switch ((int)event->type) {
    case LIFE_LAUNCH:
        return event->valid || taken->track.launched ? CAUSE_NONE : CAUSE_INVALID;
    case LIFE_HOOKS_FAILED:
        return event->at_end ? CAUSE_NONE : CAUSE_HOOK_FAILED;
    case LIFE_START_FAILED:
        return event->valid ? CAUSE_NOT_STARTED : CAUSE_INVALID;
    case LIFE_MAIN_EXITED:
        return event->success ? CAUSE_EXIT_SUCCESS : CAUSE_EXIT_FAILURE;
    case LIFE_TREE_EMPTY:
    case LIFE_KEEPER_GONE:
        return CAUSE_KEEPER_LOST;
    case LIFE_KILL:
        return event->cause;
    case LIFE_DUE:
        return cause_of_deadline(taken);
    default:
        return CAUSE_NONE;
    }
}

static void note_hooks(const struct taken *taken, struct track *then)
{
    if (is(taken, LIFE_HOOKS_DONE) || is(taken, LIFE_HOOKS_FAILED)) {
        if (taken->event.at_end)
            then->end_hooks = HOOKS_OVER;
        else
            then->start_hooks = HOOKS_OVER;
    }
    if (did(taken, LIFE_DO_CANCEL_HOOKS)) {
        if (then->start_hooks == HOOKS_RUNNING)
            then->start_hooks = HOOKS_CANCELLED;
        if (then->end_hooks == HOOKS_RUNNING)
            then->end_hooks = HOOKS_CANCELLED;
    }
    if (did(taken, LIFE_DO_START_HOOKS))
        then->start_hooks = HOOKS_RUNNING;
    if (did(taken, LIFE_DO_END_HOOKS))
        then->end_hooks = HOOKS_RUNNING;
}

static void note_event(const struct taken *taken, struct track *then)
{
    switch ((int)taken->event.type) {
    case LIFE_LAUNCH:
        then->launched |= then->cause == CAUSE_NONE;
        return;
    case LIFE_STARTED:
        then->told = TOLD_STARTED;
        return;
    case LIFE_START_FAILED:
        then->told = TOLD_FAILED;
        return;
    case LIFE_MAIN_EXITED:
        then->main_exited = 1;
        return;
    case LIFE_TREE_EMPTY:
        then->tree = WORLD_EMPTY;
        return;
    case LIFE_KEEPER_GONE:
        then->keeper_gone = 1;
        return;
    case LIFE_ACKNOWLEDGED:
        then->acknowledged = 1;
        return;
    case LIFE_DUE:
        then->gave_up |= fired(taken, LIFE_TIMER_GIVE_UP);
        return;
    default:
        return;
    }
}

static void count(uint8_t *counter, bool happened)
{
    if (happened && *counter < 3)
        (*counter)++;
}

static void note_actions(const struct taken *taken, struct track *then)
{
    count(&then->starting, did(taken, LIFE_DO_SEND_STARTING));
    count(&then->running, did(taken, LIFE_DO_SEND_RUNNING));
    count(&then->killing, did(taken, LIFE_DO_SEND_KILLING));
    count(&then->terminal, did(taken, LIFE_DO_SEND_TERMINAL));
    count(&then->end_hooks_asked, did(taken, LIFE_DO_END_HOOKS));
    count(&then->starts, did(taken, LIFE_DO_START));
    count(&then->terminates, did(taken, LIFE_DO_TERMINATE));
    count(&then->groups, did(taken, LIFE_DO_END_GROUP));
    count(&then->forgets, did(taken, LIFE_DO_FORGET));
    if (did(taken, LIFE_DO_START))
        then->tree = WORLD_ALIVE;
    if (did(taken, LIFE_DO_SWEEP) && !then->sweeps) {
        then->sweeps = 1;
        then->swept_at = 0;
    }
}

static int8_t sooner(int8_t a, int8_t b)
{
    if (a == NEVER || b == NEVER)
        return a == NEVER ? b : a;
    return a < b ? a : b;
}

/* The end of a kill, and which part of the time up to it is the task's own: the smaller of its grace and half
 * of it. */
static void note_end(const struct taken *taken, struct track *then)
{
    const struct life_event *event = &taken->event;
    if (!is(taken, LIFE_KILL) || event->end == 0 || taken->track.terminal)
        return;
    int64_t grace = taken->after.grace;
    int64_t by = event->end - least(grace, (event->end - NOW) / 2);
    then->end = sooner(then->end, pack_moment(event->end));
    then->give_up_by = sooner(then->give_up_by, pack_moment(event->give_up_by));
    then->terminate_by = sooner(then->terminate_by, pack_moment(by));
}

static void note(const struct taken *taken, struct track *then)
{
    *then = taken->track;
    if (then->cause == CAUSE_NONE && (then->launched || is(taken, LIFE_LAUNCH) || is(taken, LIFE_KILL)))
        then->cause = (uint8_t)cause_of(taken);
    if (is(taken, LIFE_LAUNCH) && taken->track.cause == CAUSE_NONE)
        then->launched = 1;
    note_event(taken, then);
    note_hooks(taken, then);
    note_actions(taken, then);
    note_end(taken, then);
}

/* --- what can happen next */

struct choices {
    struct life_event events[48];
    size_t count;
};

static void offer(struct choices *choices, struct life_event event)
{
    event.now = NOW;
    choices->events[choices->count++] = event;
}

static void offer_kills(struct choices *choices, const struct track *track, bool timed)
{
    static const int64_t graces[] = {-1, 0, 1 * SECOND};
    static const int64_t ends[] = {0, 4 * SECOND, 2 * SECOND};
    static const enum life_cause others[] = {CAUSE_UNHEALTHY, CAUSE_EXPIRED, CAUSE_HOOK_FAILED};
    for (int i = 0; i < 9; i++) {
        int64_t end = ends[i % 3];
        if (!timed && i % 3 == 2)
            continue;
        offer(choices, (struct life_event){.type = LIFE_KILL,
                                           .cause = CAUSE_KILLED,
                                           .grace = graces[i / 3],
                                           .end = end != 0 ? NOW + end : 0,
                                           .give_up_by = end != 0 ? NOW + end + SECOND : 0});
    }
    for (int i = 0; !timed && track->launched && i < 3; i++)
        offer(choices, (struct life_event){.type = LIFE_KILL, .cause = others[i], .grace = -1});
}

/* Hooks answer once, also after they were cancelled: that crosses on the way. */
static void offer_hooks(struct choices *choices, uint8_t hooks, bool at_end, bool timed)
{
    if (hooks != HOOKS_RUNNING && (timed || hooks != HOOKS_CANCELLED))
        return;
    offer(choices, (struct life_event){.type = LIFE_HOOKS_DONE, .at_end = at_end});
    if (!timed || !at_end)
        offer(choices, (struct life_event){.type = LIFE_HOOKS_FAILED, .at_end = at_end});
}

static void offer_keeper(struct choices *choices, const struct track *track, bool timed)
{
    if (track->tree != WORLD_ALIVE)
        return;
    offer(choices, (struct life_event){.type = LIFE_TREE_EMPTY});
    if (track->keeper_gone)
        return;
    offer(choices, (struct life_event){.type = LIFE_KEEPER_GONE});
    if (timed && track->cause != CAUSE_NONE)
        return;
    for (int i = timed; i < 2 && track->told == TOLD_NOTHING && !track->main_exited; i++)
        offer(choices, (struct life_event){.type = LIFE_START_FAILED, .valid = i != 0});
    if (track->told == TOLD_NOTHING)
        offer(choices, (struct life_event){.type = LIFE_STARTED});
    for (int i = timed; i < 2 && track->told != TOLD_FAILED && !track->main_exited; i++)
        offer(choices, (struct life_event){.type = LIFE_MAIN_EXITED, .success = i != 0});
}

static void offer_time(struct choices *choices, const struct life *life, bool timed)
{
    enum life_timer timer = LIFE_TIMER_START;
    int64_t next = life_next_deadline(life, &timer);
    if (timed && next != 0 && next > NOW)
        offer(choices, (struct life_event){.type = (enum life_event_type)TICK});
    else if (timed && next != 0)
        offer(choices, (struct life_event){.type = LIFE_DUE, .timer = timer});
    for (int i = 0; !timed && i < LIFE_TIMERS; i++)
        if (life->deadlines[i] != 0)
            offer(choices, (struct life_event){.type = LIFE_DUE, .timer = (enum life_timer)i});
}

static void list_choices(const struct setting *setting, const struct life *life, const struct track *track,
                         struct choices *choices)
{
    choices->count = 0;
    offer(choices, (struct life_event){.type = LIFE_LAUNCH, .valid = true});
    offer(choices, (struct life_event){.type = LIFE_LAUNCH, .valid = false});
    offer_kills(choices, track, setting->timed);
    offer_hooks(choices, track->start_hooks, false, setting->timed);
    offer_hooks(choices, track->end_hooks, true, setting->timed);
    offer_keeper(choices, track, setting->timed);
    if (track->terminal && !track->acknowledged)
        offer(choices, (struct life_event){.type = LIFE_ACKNOWLEDGED});
    offer_time(choices, life, setting->timed);
}

/* --- if only deadlines fire from here on: when the life is over, 0 when it never is */

enum { DEADLINES_TO_THE_END = 8 };

static int64_t predict_end(step_function step, struct life life)
{
    int64_t now = NOW;
    for (int i = 0; i <= DEADLINES_TO_THE_END; i++) {
        if (life_is_over(&life))
            return now;
        struct life_event event = {.type = LIFE_DUE};
        int64_t next = life_next_deadline(&life, &event.timer);
        if (next == 0)
            return 0;
        event.now = now = next > now ? next : now;
        step(&life, &event);
    }
    return 0;
}

/* --- the rules: each says whether a step keeps it */

static bool one_terminal_update(const struct taken *taken)
{
    bool over = taken->after.state >= LIFE_ENDED;
    return taken->then.terminal == (over ? 1 : 0) && (over || !did(taken, LIFE_DO_FORGET));
}

static bool nothing_after_the_terminal_update(const struct taken *taken)
{
    if (taken->before.state < LIFE_ENDED)
        return true;
    return (taken->actions & ~(unsigned)LIFE_DO_FORGET) == 0 && taken->after.state >= taken->before.state;
}

static bool starting_comes_first(const struct taken *taken)
{
    bool begins = is(taken, LIFE_LAUNCH) && !taken->track.launched && taken->track.cause == CAUSE_NONE;
    if (did(taken, LIFE_DO_SEND_STARTING) != begins)
        return false;
    return taken->then.starting == taken->then.launched;
}

static bool running_once_and_in_time(const struct taken *taken)
{
    if (!did(taken, LIFE_DO_SEND_RUNNING))
        return !(is(taken, LIFE_STARTED) && taken->track.cause == CAUSE_NONE);
    return taken->then.running == 1 && taken->then.cause == CAUSE_NONE && taken->then.told == TOLD_STARTED;
}

static bool killing_update_as_it_should_be(const struct taken *taken)
{
    int cause = taken->then.cause;
    bool wanted = begins_end(taken) && taken->setting->terms.killing_update &&
                  (cause == CAUSE_KILLED || cause == CAUSE_UNHEALTHY || cause == CAUSE_EXPIRED);
    return did(taken, LIFE_DO_SEND_KILLING) == wanted;
}

static bool the_first_cause_decides(const struct taken *taken)
{
    return (int)taken->after.cause == taken->then.cause;
}

static bool end_hooks_exactly_once(const struct taken *taken)
{
    return did(taken, LIFE_DO_END_HOOKS) == (begins_end(taken) && taken->setting->terms.end_hooks);
}

static bool hooks_before_sigterm(const struct taken *taken)
{
    return !did(taken, LIFE_DO_TERMINATE) ||
           (taken->then.end_hooks != HOOKS_RUNNING && taken->then.start_hooks != HOOKS_RUNNING);
}

static bool hooks_are_cancelled(const struct taken *taken)
{
    bool start_hooks = begins_end(taken) && taken->track.start_hooks == HOOKS_RUNNING;
    bool end_hooks = taken->track.end_hooks == HOOKS_RUNNING && taken->then.end_hooks != HOOKS_OVER &&
                     taken->after.state != LIFE_DEREGISTERING;
    return did(taken, LIFE_DO_CANCEL_HOOKS) == (start_hooks || end_hooks);
}

static bool sigterm_only_where_it_belongs(const struct taken *taken)
{
    if (!did(taken, LIFE_DO_TERMINATE))
        return true;
    return taken->then.terminates == 1 && is_graceful(taken->then.cause) && taken->then.tree == WORLD_ALIVE &&
           taken->track.sweeps == 0;
}

/* SIGTERM first, but for a task without its keeper and one that ended by itself. */
static bool sigkill_only_where_it_belongs(const struct taken *taken)
{
    if (!did(taken, LIFE_DO_SWEEP))
        return true;
    if (taken->track.tree != WORLD_ALIVE || taken->then.cause == CAUSE_NONE)
        return false;
    bool in_turn = taken->then.terminates == 1 && taken->after.state == LIFE_KILLING;
    return !is_graceful(taken->then.cause) || in_turn || taken->then.keeper_gone;
}

static bool leftovers_are_swept_at_once(const struct taken *taken)
{
    bool wanted = begins_end(taken) && !is_graceful(taken->then.cause) && taken->then.tree == WORLD_ALIVE;
    return !wanted || did(taken, LIFE_DO_SWEEP);
}

/* Who was to sweep is dead: the order goes out again, to whoever takes its place. */
static bool a_lost_keeper_means_sigkill(const struct taken *taken)
{
    bool wanted = is(taken, LIFE_KEEPER_GONE) && taken->before.tree == LIFE_TREE_ALIVE &&
                  taken->before.state < LIFE_ENDED;
    return !wanted || did(taken, LIFE_DO_SWEEP);
}

static bool no_grace_means_at_once(const struct taken *taken)
{
    enum life_state state = taken->after.state;
    return taken->after.grace > 0 || (state != LIFE_DRAINING && state != LIFE_TERMINATING);
}

static bool terminal_only_when_all_is_over(const struct taken *taken)
{
    if (!did(taken, LIFE_DO_SEND_TERMINAL))
        return true;
    bool hooks_over = taken->then.end_hooks != HOOKS_RUNNING && taken->then.start_hooks != HOOKS_RUNNING;
    return hooks_over && (taken->then.tree != WORLD_ALIVE || taken->then.gave_up);
}

/* Given up is said only of what is really left. */
static bool what_is_told_of_the_tree_is_true(const struct taken *taken)
{
    if (!did(taken, LIFE_DO_SEND_TERMINAL))
        return true;
    return (taken->after.tree == LIFE_TREE_ABANDONED) == (taken->then.tree == WORLD_ALIVE);
}

static unsigned armed(const struct life *life)
{
    unsigned timers = 0;
    for (unsigned i = 0; i < LIFE_TIMERS; i++)
        if (life->deadlines[i] != 0)
            timers |= 1U << i;
    return timers;
}

/* Exactly these deadlines run: what is waited for has one, and none is left over. */
static bool each_wait_has_its_deadline(const struct taken *taken)
{
    static const unsigned wanted[LIFE_STATES] = {
        [LIFE_PREPARING] = 1U << LIFE_TIMER_HOOKS,     [LIFE_STARTING] = 1U << LIFE_TIMER_START,
        [LIFE_DEREGISTERING] = 1U << LIFE_TIMER_HOOKS, [LIFE_DRAINING] = 1U << LIFE_TIMER_DRAIN,
        [LIFE_TERMINATING] = 1U << LIFE_TIMER_GRACE,   [LIFE_KILLING] = 1U << LIFE_TIMER_GIVE_UP,
    };
    const struct life *life = &taken->after;
    unsigned timers = wanted[life->state];
    if ((life->state == LIFE_STARTING || life->state == LIFE_RUNNING) &&
        taken->setting->terms.max_completion_time >= 0)
        timers |= 1U << LIFE_TIMER_COMPLETION;
    if (life->state == LIFE_DEREGISTERING && taken->then.sweeps && life->tree == LIFE_TREE_ALIVE)
        timers |= 1U << LIFE_TIMER_GIVE_UP;
    return armed(life) == timers;
}

static bool giving_up_is_bounded(const struct taken *taken)
{
    int64_t deadline = taken->after.deadlines[LIFE_TIMER_GIVE_UP];
    if (deadline == 0)
        return true;
    int64_t latest = unpack_moment(taken->then.swept_at) + GIVE_UP_AFTER;
    if (taken->then.give_up_by != NEVER)
        latest = least(latest, unpack_moment(taken->then.give_up_by));
    return deadline <= latest;
}

static bool no_deadline_is_put_off(const struct taken *taken)
{
    for (int i = 0; i < LIFE_TIMERS; i++) {
        int64_t before = taken->before.deadlines[i], after = taken->after.deadlines[i];
        bool same = taken->before.state == taken->after.state || i == LIFE_TIMER_GIVE_UP;
        if (same && before != 0 && after > before)
            return false;
    }
    return true;
}

static bool a_later_kill_only_hastens(const struct taken *taken)
{
    if (!is(taken, LIFE_KILL) || taken->track.cause == CAUSE_NONE)
        return true;
    int64_t before = predict_end(taken->setting->step, taken->before);
    return taken->after.grace <= taken->before.grace &&
           predict_end(taken->setting->step, taken->after) <= before;
}

static bool deadlines_alone_end_it(const struct taken *taken)
{
    if (taken->after.state == LIFE_NEW)
        return armed(&taken->after) == 0;
    bool unbounded = taken->after.state == LIFE_RUNNING && taken->setting->terms.max_completion_time < 0;
    return unbounded == (predict_end(taken->setting->step, taken->after) == 0);
}

static bool starts_once_and_only_if_wanted(const struct taken *taken)
{
    bool hooks = taken->setting->terms.start_hooks;
    bool wanted =
        taken->then.cause == CAUSE_NONE && ((is(taken, LIFE_LAUNCH) && !taken->track.launched && !hooks) ||
                                            (is(taken, LIFE_HOOKS_DONE) && !taken->event.at_end));
    return did(taken, LIFE_DO_START) == wanted && taken->then.starts <= 1;
}

static bool a_group_ends_with_its_first(const struct taken *taken)
{
    return did(taken, LIFE_DO_END_GROUP) == (begins_end(taken) && taken->then.cause != CAUSE_EXIT_SUCCESS);
}

static bool forgotten_when_acknowledged(const struct taken *taken)
{
    return did(taken, LIFE_DO_FORGET) == is(taken, LIFE_ACKNOWLEDGED) && taken->then.forgets <= 1 &&
           (taken->after.state == LIFE_GONE) == taken->then.acknowledged;
}

static bool a_kill_before_the_launch_ends_it(const struct taken *taken)
{
    if (taken->track.launched || taken->track.cause != CAUSE_NONE || !is(taken, LIFE_KILL))
        return true;
    return taken->actions == LIFE_DO_SEND_TERMINAL && taken->after.state == LIFE_ENDED;
}

static bool has_passed(int8_t moment)
{
    return moment != NEVER && moment <= 0;
}

/* Time goes on only while everything that was due by now is done. */
static bool the_clock_is_kept(const struct taken *taken)
{
    if (taken->event.type != (enum life_event_type)TICK || !taken->then.launched || taken->track.terminal)
        return true;
    const struct life *life = &taken->before;
    bool task_waits = life->tree == LIFE_TREE_ALIVE && !life->swept;
    bool early = life->state == LIFE_DEREGISTERING || life->state == LIFE_DRAINING;
    if (task_waits && early && has_passed(taken->track.terminate_by))
        return false;
    if (task_waits && has_passed(taken->track.end))
        return false;
    return !has_passed(taken->track.give_up_by);
}

struct rule {
    const char *name;
    bool (*keeps)(const struct taken *taken);
    bool of_state; /* asks only about the state that was reached: once is enough */
};

#define RULE_OF_STATE(f)                                                                                     \
    {                                                                                                        \
#f, f, true                                                                                          \
    }
#define RULE(f)                                                                                              \
    {                                                                                                        \
#f, f, false                                                                                         \
    }

static const struct rule rules[] = {
    RULE(one_terminal_update),
    RULE(nothing_after_the_terminal_update),
    RULE(starting_comes_first),
    RULE(running_once_and_in_time),
    RULE(killing_update_as_it_should_be),
    RULE(the_first_cause_decides),
    RULE(end_hooks_exactly_once),
    RULE(hooks_before_sigterm),
    RULE(hooks_are_cancelled),
    RULE(sigterm_only_where_it_belongs),
    RULE(sigkill_only_where_it_belongs),
    RULE(leftovers_are_swept_at_once),
    RULE(a_lost_keeper_means_sigkill),
    RULE_OF_STATE(no_grace_means_at_once),
    RULE(terminal_only_when_all_is_over),
    RULE(what_is_told_of_the_tree_is_true),
    RULE_OF_STATE(each_wait_has_its_deadline),
    RULE_OF_STATE(giving_up_is_bounded),
    RULE(no_deadline_is_put_off),
    RULE(a_later_kill_only_hastens),
    RULE_OF_STATE(deadlines_alone_end_it),
    RULE(starts_once_and_only_if_wanted),
    RULE(a_group_ends_with_its_first),
    RULE(forgotten_when_acknowledged),
    RULE(a_kill_before_the_launch_ends_it),
    RULE(the_clock_is_kept),
};

static const char *broken_rule(const struct taken *taken, bool is_new)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if ((is_new || !rules[i].of_state) && !rules[i].keeps(taken))
            return rules[i].name;
    return NULL;
}

/* --- the walk */

struct origin {
    uint32_t from;
    struct life_event event;
};

struct walk {
    const struct setting *setting;
    struct node *nodes;
    struct origin *origins; /* how each node was first reached */
    uint32_t *slots;        /* index + 1 of a node, 0 for empty */
    size_t count, capacity, slot_count;
    uint64_t transitions;
    unsigned states_seen; /* bits of enum life_state */
    const char *broken;   /* the first rule that did not hold */
};

static uint64_t hash(const struct node *node)
{
    const uint8_t *bytes = (const uint8_t *)node;
    uint64_t h = 0, word;
    size_t i = 0;
    for (; i + sizeof(word) <= sizeof(*node); i += sizeof(word)) {
        memcpy(&word, bytes + i, sizeof(word));
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 32;
    }
    for (; i < sizeof(*node); i++)
        h = (h ^ bytes[i]) * UINT64_C(1099511628211);
    return h ^ (h >> 29);
}

static uint32_t *find_slot(const struct walk *walk, const struct node *node)
{
    size_t at = hash(node) & (walk->slot_count - 1);
    while (walk->slots[at] != 0 && memcmp(&walk->nodes[walk->slots[at] - 1], node, sizeof(*node)) != 0)
        at = (at + 1) & (walk->slot_count - 1);
    return &walk->slots[at];
}

static void grow(struct walk *walk)
{
    walk->capacity = walk->capacity == 0 ? 4096 : walk->capacity * 2;
    walk->slot_count = walk->capacity * 2;
    walk->nodes = reallocarray(walk->nodes, walk->capacity, sizeof(*walk->nodes));
    walk->origins = reallocarray(walk->origins, walk->capacity, sizeof(*walk->origins));
    free(walk->slots);
    walk->slots = calloc(walk->slot_count, sizeof(*walk->slots));
    cr_assert(walk->nodes != NULL && walk->origins != NULL && walk->slots != NULL, "no memory");
    for (size_t i = 0; i < walk->count; i++)
        *find_slot(walk, &walk->nodes[i]) = (uint32_t)i + 1;
}

static void add(struct walk *walk, const struct node *node, uint32_t from, const struct life_event *event)
{
    if (walk->count == walk->capacity)
        grow(walk);
    walk->nodes[walk->count] = *node;
    walk->origins[walk->count] = (struct origin){.from = from, .event = *event};
    walk->states_seen |= 1U << node->state;
    *find_slot(walk, node) = (uint32_t)walk->count + 1;
    walk->count++;
}

static void print_step(const struct life_event *event, const struct node *node)
{
    const char *timer = event->type == LIFE_DUE ? life_timer_name(event->timer) : "";
    bool tick = event->type == (enum life_event_type)TICK;
    fprintf(stderr, "  %s %s(cause %s, grace %lld, end %lld, flag %d) -> %s, %s\n",
            tick ? "a second passes" : life_event_name(event->type), timer, life_cause_name(event->cause),
            (long long)(event->grace / HALF), (long long)(event->end == 0 ? 0 : (event->end - NOW) / HALF),
            event->valid || event->success || event->at_end, life_state_name((enum life_state)node->state),
            life_cause_name((enum life_cause)node->cause));
}

static void print_way(const struct walk *walk, uint32_t at)
{
    if (at == 0)
        return;
    print_way(walk, walk->origins[at].from);
    print_step(&walk->origins[at].event, &walk->nodes[at]);
}

static void print_broken(const struct walk *walk, uint32_t at, const struct taken *taken)
{
    const struct life_terms *terms = &walk->setting->terms;
    struct node node = {.track = taken->then};
    pack(&taken->after, &node);
    fprintf(stderr,
            "broken: %s; %s, start hooks %d, end hooks %d, drain %d, killing %d, completion %d, grace %d\n",
            walk->broken, walk->setting->timed ? "timed" : "untimed", terms->start_hooks, terms->end_hooks,
            terms->drain_delay > 0, terms->killing_update, (int)(terms->max_completion_time / SECOND),
            (int)(terms->grace / SECOND));
    print_way(walk, at);
    print_step(&taken->event, &node);
    fprintf(stderr, "  actions %#x\n", taken->actions);
}

/* Drops what can make no difference any more, so that states that are alike count as one. */
static void simplify(const struct life *life, struct track *track, bool timed)
{
    if (track->tree == WORLD_EMPTY)
        track->keeper_gone = 0;
    if (track->tree == WORLD_EMPTY || (timed && track->cause != CAUSE_NONE))
        track->told = track->main_exited = 0;
    if (timed && track->start_hooks == HOOKS_CANCELLED)
        track->start_hooks = HOOKS_OVER;
    if (life->deadlines[LIFE_TIMER_GIVE_UP] == 0)
        track->swept_at = NEVER;
    if (life_is_over(life))
        track->end = track->give_up_by = track->terminate_by = NEVER;
}

static void pass_moment(int8_t *halves)
{
    if (*halves != NEVER && *halves > -8)
        *halves = (int8_t)(*halves - 2);
}

static void pass_second(struct life *life, struct track *track)
{
    for (int i = 0; i < LIFE_TIMERS; i++)
        life->deadlines[i] -= life->deadlines[i] != 0 ? SECOND : 0;
    life->end -= life->end != 0 ? SECOND : 0;
    life->give_up_by -= life->give_up_by != 0 ? SECOND : 0;
    life->terminate_by -= life->terminate_by != 0 ? SECOND : 0;
    life->terminated_at -= life->terminated_at != 0 ? SECOND : 0;
    pass_moment(&track->terminate_by);
    pass_moment(&track->end);
    pass_moment(&track->give_up_by);
    if (track->swept_at != NEVER)
        track->swept_at = (int8_t)(track->swept_at - 2);
}

static void take(struct walk *walk, uint32_t at, const struct life_event *event)
{
    const struct setting *setting = walk->setting;
    struct taken taken = {.setting = setting, .event = *event, .track = walk->nodes[at].track};
    taken.before = taken.after = unpack(&walk->nodes[at], &setting->terms);
    if (event->type == (enum life_event_type)TICK) {
        taken.then = taken.track;
        pass_second(&taken.after, &taken.then);
    } else {
        taken.actions = setting->step(&taken.after, event);
        note(&taken, &taken.then);
    }
    struct node node = {.track = taken.then};
    pack(&taken.after, &node);
    simplify(&taken.after, &node.track, setting->timed);
    bool is_new = *find_slot(walk, &node) == 0;
    walk->transitions++;
    walk->broken = broken_rule(&taken, is_new);
    if (walk->broken != NULL && setting->step == life_step)
        print_broken(walk, at, &taken);
    if (walk->broken == NULL && is_new)
        add(walk, &node, at, event);
}

static void explore(struct walk *walk)
{
    struct life beginning = life_begin(&walk->setting->terms);
    struct node node = {
        .track = {.terminate_by = NEVER, .end = NEVER, .give_up_by = NEVER, .swept_at = NEVER}};
    struct life_event none = {.type = LIFE_LAUNCH};
    pack(&beginning, &node);
    add(walk, &node, 0, &none);
    for (uint32_t at = 0; at < walk->count && walk->broken == NULL; at++) {
        struct life life = unpack(&walk->nodes[at], &walk->setting->terms);
        struct choices choices;
        list_choices(walk->setting, &life, &walk->nodes[at].track, &choices);
        for (size_t i = 0; i < choices.count && walk->broken == NULL; i++)
            take(walk, at, &choices.events[i]);
    }
}

static void walk_clear(struct walk *walk)
{
    free(walk->nodes);
    free(walk->origins);
    free(walk->slots);
}

/* --- every combination of terms */

enum { COMBINATIONS = 2 * 2 * 2 * 2 * 3 * 2 };

static struct life_terms combination(int number)
{
    static const int64_t completions[] = {-1, COMPLETION, 0};
    return (struct life_terms){
        .start_hooks = number & 1,
        .end_hooks = number & 2,
        .drain_delay = number & 4 ? DRAIN_DELAY : 0,
        .killing_update = number & 8,
        .grace = number & 16 ? GRACE : 0,
        .max_completion_time = completions[number / 32],
        .hooks_timeout = HOOKS_TIMEOUT,
        .start_hooks_timeout = HOOKS_TIMEOUT,
        .start_timeout = START_TIMEOUT,
    };
}

/* Without a clock, a max_completion_time of 0 is as good as any; with one, TASK_KILLING takes no time. */
static bool says_something_new(const struct life_terms *terms, bool timed)
{
    return timed ? terms->killing_update : terms->max_completion_time != 0;
}

struct sum {
    uint64_t states, transitions;
    int combinations;
    unsigned states_seen;
    const char *broken;
};

static struct sum explore_all(step_function step, bool timed)
{
    struct sum sum = {.states = 0};
    for (int i = 0; i < COMBINATIONS && sum.broken == NULL; i++) {
        struct setting setting = {.terms = combination(i), .timed = timed, .step = step};
        struct walk walk = {.setting = &setting};
        if (!says_something_new(&setting.terms, timed))
            continue;
        explore(&walk);
        sum.combinations++;
        sum.states += walk.count;
        sum.transitions += walk.transitions;
        sum.states_seen |= walk.states_seen;
        sum.broken = walk.broken;
        walk_clear(&walk);
    }
    return sum;
}

static void assert_walk(bool timed)
{
    struct sum sum = explore_all(life_step, timed);
    printf("life, %s: %llu states, %llu transitions, %d combinations of terms, %zu rules\n",
           timed ? "timed" : "untimed", (unsigned long long)sum.states, (unsigned long long)sum.transitions,
           sum.combinations, sizeof(rules) / sizeof(rules[0]));
    cr_assert_null(sum.broken, "broken: %s; the way there is above", sum.broken);
    cr_assert_eq(sum.states_seen, (1U << LIFE_STATES) - 1, "a state was never reached: %#x", sum.states_seen);
}

Test(life_exploration, on_the_clock)
{
    assert_walk(true);
}

Test(life_exploration, in_any_order)
{
    assert_walk(false);
}

/* --- faulty lives: each breaks the rule beside it, and would pass unseen if that rule could not fail */

static unsigned ends_twice(struct life *life, const struct life_event *event)
{
    bool over = life->state == LIFE_ENDED;
    return life_step(life, event) | (over && event->type == LIFE_KILL ? LIFE_DO_SEND_TERMINAL : 0);
}

static unsigned acts_after_the_end(struct life *life, const struct life_event *event)
{
    bool over = life->state == LIFE_ENDED;
    return life_step(life, event) | (over && event->type == LIFE_KILL ? LIFE_DO_TERMINATE : 0);
}

static unsigned hides_the_start(struct life *life, const struct life_event *event)
{
    return life_step(life, event) & ~(unsigned)LIFE_DO_SEND_STARTING;
}

static unsigned runs_while_it_ends(struct life *life, const struct life_event *event)
{
    return life_step(life, event) | (event->type == LIFE_STARTED ? LIFE_DO_SEND_RUNNING : 0);
}

static unsigned says_killing_too_often(struct life *life, const struct life_event *event)
{
    unsigned actions = life_step(life, event);
    bool expired = event->type == LIFE_DUE && event->timer == LIFE_TIMER_COMPLETION;
    return actions | (expired && life->terms.killing_update ? LIFE_DO_SEND_KILLING : 0);
}

static unsigned takes_the_last_cause(struct life *life, const struct life_event *event)
{
    unsigned actions = life_step(life, event);
    if (event->type == LIFE_KILL && life->state < LIFE_ENDED)
        life->cause = event->cause;
    return actions;
}

static unsigned forgets_the_hooks(struct life *life, const struct life_event *event)
{
    return life_step(life, event) & ~(unsigned)LIFE_DO_END_HOOKS;
}

static unsigned terminates_while_hooks_run(struct life *life, const struct life_event *event)
{
    unsigned actions = life_step(life, event);
    bool alive = life->tree == LIFE_TREE_ALIVE && !life->swept;
    return actions | (alive && (actions & LIFE_DO_END_HOOKS) != 0 ? LIFE_DO_TERMINATE : 0);
}

static unsigned lets_cancelled_hooks_run(struct life *life, const struct life_event *event)
{
    return life_step(life, event) & ~(unsigned)LIFE_DO_CANCEL_HOOKS;
}

/* The answer of cancelled BeforeTaskStart hooks, taken for one of the BeforeTerminate hooks. */
static unsigned mixes_the_hooks_up(struct life *life, const struct life_event *event)
{
    struct life_event mixed = *event;
    mixed.at_end = life->state == LIFE_DEREGISTERING;
    return life_step(life, &mixed);
}

static unsigned terminates_leftovers(struct life *life, const struct life_event *event)
{
    unsigned actions = life_step(life, event);
    return actions | (event->type == LIFE_MAIN_EXITED && life->swept ? LIFE_DO_TERMINATE : 0);
}

static unsigned kills_without_warning(struct life *life, const struct life_event *event)
{
    bool running = life->state == LIFE_RUNNING;
    return life_step(life, event) | (running && event->type == LIFE_KILL ? LIFE_DO_SWEEP : 0);
}

static unsigned leaves_leftovers(struct life *life, const struct life_event *event)
{
    unsigned actions = life_step(life, event);
    return event->type == LIFE_MAIN_EXITED ? actions & ~(unsigned)LIFE_DO_SWEEP : actions;
}

static unsigned relies_on_a_dead_keeper(struct life *life, const struct life_event *event)
{
    bool ending = life->cause != CAUSE_NONE;
    unsigned actions = life_step(life, event);
    return ending && event->type == LIFE_KEEPER_GONE ? actions & ~(unsigned)LIFE_DO_SWEEP : actions;
}

static unsigned drains_without_grace(struct life *life, const struct life_event *event)
{
    struct life before = *life;
    unsigned actions = life_step(life, event);
    if (before.state != LIFE_DRAINING || event->type != LIFE_KILL)
        return actions;
    before.grace = life->grace;
    *life = before;
    return 0;
}

static unsigned ends_with_the_hooks(struct life *life, const struct life_event *event)
{
    bool swept = life->swept;
    unsigned actions = life_step(life, event);
    if (event->type != LIFE_HOOKS_DONE || life->state != LIFE_KILLING || !swept)
        return actions;
    life->state = LIFE_ENDED;
    life->tree = LIFE_TREE_ABANDONED;
    memset(life->deadlines, 0, sizeof(life->deadlines));
    return actions | LIFE_DO_SEND_TERMINAL;
}

static unsigned lies_about_what_is_left(struct life *life, const struct life_event *event)
{
    unsigned actions = life_step(life, event);
    if ((actions & LIFE_DO_SEND_TERMINAL) != 0 && life->tree == LIFE_TREE_ABANDONED)
        life->tree = LIFE_TREE_EMPTIED;
    return actions;
}

static unsigned forgets_a_deadline(struct life *life, const struct life_event *event)
{
    unsigned actions = life_step(life, event);
    if (life->state == LIFE_DEREGISTERING)
        life->deadlines[LIFE_TIMER_HOOKS] = 0;
    return actions;
}

static unsigned leaves_a_deadline_behind(struct life *life, const struct life_event *event)
{
    int64_t drain = life->deadlines[LIFE_TIMER_DRAIN];
    unsigned actions = life_step(life, event);
    if (life->state == LIFE_KILLING)
        life->deadlines[LIFE_TIMER_DRAIN] = drain;
    return actions;
}

static unsigned gives_up_late(struct life *life, const struct life_event *event)
{
    unsigned actions = life_step(life, event);
    if ((actions & LIFE_DO_SWEEP) != 0 && life->deadlines[LIFE_TIMER_GIVE_UP] != 0)
        life->deadlines[LIFE_TIMER_GIVE_UP] = event->now + 6 * SECOND;
    return actions;
}

static unsigned gives_in_to_a_later_kill(struct life *life, const struct life_event *event)
{
    int64_t before = life->deadlines[LIFE_TIMER_GRACE];
    unsigned actions = life_step(life, event);
    if (event->type == LIFE_KILL && before != 0 && life->state == LIFE_TERMINATING)
        life->deadlines[LIFE_TIMER_GRACE] = before + HALF;
    return actions;
}

static unsigned lets_a_later_kill_add_grace(struct life *life, const struct life_event *event)
{
    bool later = life->state == LIFE_DEREGISTERING && event->type == LIFE_KILL;
    unsigned actions = life_step(life, event);
    life->grace += later && life->grace < GRACE ? HALF : 0;
    return actions;
}

static unsigned renews_a_deadline(struct life *life, const struct life_event *event)
{
    struct life before = *life;
    unsigned actions = life_step(life, event);
    if (before.state != LIFE_DEREGISTERING || event->type != LIFE_DUE || event->timer != LIFE_TIMER_HOOKS)
        return actions;
    *life = before;
    life->deadlines[LIFE_TIMER_HOOKS] = event->now + SECOND;
    return 0;
}

static unsigned starts_when_hooks_are_cancelled(struct life *life, const struct life_event *event)
{
    bool late = life->state != LIFE_PREPARING && event->type == LIFE_HOOKS_DONE && !event->at_end;
    return life_step(life, event) | (late && life->state < LIFE_ENDED ? LIFE_DO_START : 0);
}

static unsigned spares_the_group(struct life *life, const struct life_event *event)
{
    return life_step(life, event) & ~(unsigned)LIFE_DO_END_GROUP;
}

static unsigned never_forgets(struct life *life, const struct life_event *event)
{
    return life_step(life, event) & ~(unsigned)LIFE_DO_FORGET;
}

static unsigned ignores_a_kill_before_the_launch(struct life *life, const struct life_event *event)
{
    if (life->state != LIFE_NEW || event->type != LIFE_KILL)
        return life_step(life, event);
    life->cause = event->cause;
    return 0;
}

static unsigned drains_on_the_tasks_time(struct life *life, const struct life_event *event)
{
    bool drained = life->state == LIFE_DRAINING;
    unsigned actions = life_step(life, event);
    if (!drained && life->state == LIFE_DRAINING && life->end != 0)
        life->deadlines[LIFE_TIMER_DRAIN] += SECOND;
    return actions;
}

struct fault {
    step_function step;
    bool timed;
    const char *rule;
};

static const struct fault faults[] = {
    {ends_twice, false, "one_terminal_update"},
    {acts_after_the_end, false, "nothing_after_the_terminal_update"},
    {hides_the_start, false, "starting_comes_first"},
    {runs_while_it_ends, false, "running_once_and_in_time"},
    {says_killing_too_often, false, "killing_update_as_it_should_be"},
    {takes_the_last_cause, false, "the_first_cause_decides"},
    {forgets_the_hooks, false, "end_hooks_exactly_once"},
    {terminates_while_hooks_run, false, "hooks_before_sigterm"},
    {lets_cancelled_hooks_run, false, "hooks_are_cancelled"},
    {mixes_the_hooks_up, false, "hooks_are_cancelled"},
    {terminates_leftovers, false, "sigterm_only_where_it_belongs"},
    {kills_without_warning, false, "sigkill_only_where_it_belongs"},
    {leaves_leftovers, false, "leftovers_are_swept_at_once"},
    {relies_on_a_dead_keeper, false, "a_lost_keeper_means_sigkill"},
    {drains_without_grace, false, "no_grace_means_at_once"},
    {ends_with_the_hooks, false, "terminal_only_when_all_is_over"},
    {lies_about_what_is_left, false, "what_is_told_of_the_tree_is_true"},
    {leaves_a_deadline_behind, false, "each_wait_has_its_deadline"},
    {forgets_a_deadline, false, "deadlines_alone_end_it"},
    {gives_up_late, false, "giving_up_is_bounded"},
    {gives_in_to_a_later_kill, false, "no_deadline_is_put_off"},
    {lets_a_later_kill_add_grace, false, "a_later_kill_only_hastens"},
    {renews_a_deadline, false, "deadlines_alone_end_it"},
    {starts_when_hooks_are_cancelled, false, "starts_once_and_only_if_wanted"},
    {spares_the_group, false, "a_group_ends_with_its_first"},
    {never_forgets, false, "forgotten_when_acknowledged"},
    {ignores_a_kill_before_the_launch, false, "a_kill_before_the_launch_ends_it"},
    {drains_on_the_tasks_time, true, "the_clock_is_kept"},
};

Test(life_exploration, faulty_lives_are_found_out)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct sum sum = explore_all(faults[i].step, faults[i].timed);
        cr_assert_not_null(sum.broken, "the fault that should break %s was not found", faults[i].rule);
        cr_assert_str_eq(sum.broken, faults[i].rule, "expected %s to break, %s did", faults[i].rule,
                         sum.broken);
    }
}

Test(life_exploration, every_rule_has_a_fault_that_breaks_it)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        size_t at = 0;
        while (at < sizeof(faults) / sizeof(faults[0]) && strcmp(faults[at].rule, rules[i].name) != 0)
            at++;
        cr_assert_lt(at, sizeof(faults) / sizeof(faults[0]), "nothing shows that %s can fail", rules[i].name);
    }
}
