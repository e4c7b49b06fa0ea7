/*
 * The life of a task, cell by cell: each state with each event, against a table that was read line by line
 * beside the rules; then the arithmetic of its deadlines. What no line names has no effect, and that is
 * checked too. When a cell is changed on purpose, the failing test prints the table as it is now.
 */
#include "supervisor/life.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/mesos_v1.pb-c.h"

#define SECOND INT64_C(1000000000)
#define NOW (1000 * SECOND)
#define CENTURIES INT64_MAX

/* --- the table */

static const struct life_terms all_terms = {
    .grace = 5 * SECOND,
    .hooks_timeout = 10 * SECOND,
    .start_hooks_timeout = 10 * SECOND,
    .drain_delay = 2 * SECOND,
    .start_timeout = 30 * SECOND,
    .max_completion_time = 60 * SECOND,
    .start_hooks = true,
    .end_hooks = true,
    .killing_update = true,
};

struct named_event {
    const char *name;
    struct life_event event;
};

#define KILL(c, g, e)                                                                                        \
    {                                                                                                        \
        .type = LIFE_KILL, .now = NOW, .cause = c, .grace = g, .end = (e) != 0 ? NOW + (e) : 0,              \
        .give_up_by = (e) != 0 ? NOW + (e) + SECOND : 0                                                      \
    }
#define DUE(t)                                                                                               \
    {                                                                                                        \
        .type = LIFE_DUE, .now = NOW, .timer = t                                                             \
    }

static const struct named_event events[] = {
    {"launch", {.type = LIFE_LAUNCH, .now = NOW, .valid = true}},
    {"launch, invalid", {.type = LIFE_LAUNCH, .now = NOW}},
    {"start hooks done", {.type = LIFE_HOOKS_DONE, .now = NOW}},
    {"start hooks failed", {.type = LIFE_HOOKS_FAILED, .now = NOW}},
    {"end hooks done", {.type = LIFE_HOOKS_DONE, .now = NOW, .at_end = true}},
    {"end hooks failed", {.type = LIFE_HOOKS_FAILED, .now = NOW, .at_end = true}},
    {"started", {.type = LIFE_STARTED, .now = NOW}},
    {"start failed", {.type = LIFE_START_FAILED, .now = NOW, .valid = true}},
    {"start failed, invalid", {.type = LIFE_START_FAILED, .now = NOW}},
    {"exit 0", {.type = LIFE_MAIN_EXITED, .now = NOW, .success = true}},
    {"exit 1", {.type = LIFE_MAIN_EXITED, .now = NOW}},
    {"tree empty", {.type = LIFE_TREE_EMPTY, .now = NOW}},
    {"keeper gone", {.type = LIFE_KEEPER_GONE, .now = NOW}},
    {"kill", KILL(CAUSE_KILLED, -1, 0)},
    {"kill, grace 0", KILL(CAUSE_KILLED, 0, 0)},
    {"kill, end 4", KILL(CAUSE_KILLED, -1, 4 * SECOND)},
    {"unhealthy", KILL(CAUSE_UNHEALTHY, -1, 0)},
    {"expired", KILL(CAUSE_EXPIRED, -1, 0)},
    {"hook failed", KILL(CAUSE_HOOK_FAILED, -1, 0)},
    {"start due", DUE(LIFE_TIMER_START)},
    {"hooks due", DUE(LIFE_TIMER_HOOKS)},
    {"drain due", DUE(LIFE_TIMER_DRAIN)},
    {"grace due", DUE(LIFE_TIMER_GRACE)},
    {"give up due", DUE(LIFE_TIMER_GIVE_UP)},
    {"completion due", DUE(LIFE_TIMER_COMPLETION)},
    {"acknowledged", {.type = LIFE_ACKNOWLEDGED, .now = NOW}},
};
enum { EVENTS = sizeof(events) / sizeof(events[0]) };

static const struct life_event *event_named(const char *name)
{
    for (int i = 0; i < EVENTS; i++)
        if (strcmp(events[i].name, name) == 0)
            return &events[i].event;
    cr_assert_fail("no event is named %s", name);
    return NULL;
}

/* A state, and one way to it. */
struct named_state {
    const char *name;
    const char *way[8];
};

static const struct named_state states[] = {
    {"NEW", {NULL}},
    {"PREPARING", {"launch"}},
    {"STARTING", {"launch", "start hooks done"}},
    {"RUNNING", {"launch", "start hooks done", "started"}},
    {"DEREGISTERING, killed", {"launch", "start hooks done", "started", "kill"}},
    {"DEREGISTERING, killed in PREPARING", {"launch", "kill"}},
    {"DEREGISTERING, exited", {"launch", "start hooks done", "started", "exit 0"}},
    {"DEREGISTERING, given up", {"launch", "start hooks done", "started", "exit 0", "give up due"}},
    {"DRAINING", {"launch", "start hooks done", "started", "kill", "end hooks done"}},
    {"TERMINATING", {"launch", "start hooks done", "started", "kill", "end hooks done", "drain due"}},
    {"KILLING, killed", {"launch", "start hooks done", "started", "kill, grace 0", "end hooks done"}},
    {"KILLING, exited", {"launch", "start hooks done", "started", "exit 1", "end hooks done"}},
    {"ENDED", {"kill"}},
    {"GONE", {"kill", "acknowledged"}},
};
enum { STATES = sizeof(states) / sizeof(states[0]) };

static struct life life_in(const struct named_state *state)
{
    struct life life = life_begin(&all_terms);
    for (int i = 0; state->way[i] != NULL; i++)
        life_step(&life, event_named(state->way[i]));
    cr_assert_eq(strncmp(state->name, life_state_name(life.state), strlen(life_state_name(life.state))), 0,
                 "%s is reached in place of %s", life_state_name(life.state), state->name);
    return life;
}

static void append(char *text, size_t size, const char *separator, const char *word)
{
    size_t length = strlen(text);
    snprintf(text + length, size - length, "%s%s", length > 0 && text[length - 1] != ' ' ? separator : "",
             word);
}

static void describe_actions(unsigned actions, char *text, size_t size)
{
    static const char *const names[LIFE_ACTIONS] = {
        "STARTING",  "cancel hooks", "start hooks", "start", "RUNNING",  "KILLING",
        "end group", "end hooks",    "terminate",   "sweep", "terminal", "forget",
    };
    text[0] = '\0';
    for (int i = 0; i < LIFE_ACTIONS; i++)
        if ((actions & 1U << i) != 0)
            append(text, size, ", ", names[i]);
}

static void describe_deadlines(const struct life *life, char *text, size_t size)
{
    text[0] = '\0';
    for (int i = 0; i < LIFE_TIMERS; i++) {
        char deadline[48];
        if (life->deadlines[i] == 0)
            continue;
        snprintf(deadline, sizeof(deadline), "%s %g", life_timer_name((enum life_timer)i),
                 (double)(life->deadlines[i] - NOW) / 1e9);
        append(text, size, ", ", deadline);
    }
}

/* Returns false when the event has no effect at all. */
static bool describe_cell(const struct named_state *state, const struct named_event *event, char *line,
                          size_t size)
{
    struct life before = life_in(state);
    struct life life;
    memcpy(&life, &before, sizeof(life)); /* the padding too, for the comparison below */
    unsigned actions = life_step(&life, &event->event);
    char did[160], waits[96];
    describe_actions(actions, did, sizeof(did));
    describe_deadlines(&life, waits, sizeof(waits));
    snprintf(line, size, "%s + %s -> %s (%s): %s; %s", state->name, event->name, life_state_name(life.state),
             life_cause_name(life.cause), did, waits);
    /* Byte by byte, so that no member that is added later can be forgotten here. What a step might do to the
     * padding would show as an effect that the table does not have, and hide none.
     * NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c) */
    return actions != 0 || memcmp(&before, &life, sizeof(life)) != 0;
}

static const char *const table[] = {
    /* clang-format off */
    "NEW + launch -> PREPARING (none): STARTING, start hooks; hooks 10",
    "NEW + launch, invalid -> DEREGISTERING (invalid): STARTING, end group, end hooks; hooks 10",
    "NEW + kill -> ENDED (killed): terminal; ",
    "NEW + kill, grace 0 -> ENDED (killed): terminal; ",
    "NEW + kill, end 4 -> ENDED (killed): terminal; ",
    "NEW + unhealthy -> ENDED (unhealthy): terminal; ",
    "NEW + expired -> ENDED (expired): terminal; ",
    "NEW + hook failed -> ENDED (hook failed): terminal; ",
    "PREPARING + start hooks done -> STARTING (none): start; start 30, completion 60",
    "PREPARING + start hooks failed -> DEREGISTERING (hook failed): cancel hooks, end group, end hooks; hooks 10",
    "PREPARING + kill -> DEREGISTERING (killed): cancel hooks, KILLING, end group, end hooks; hooks 10",
    "PREPARING + kill, grace 0 -> DEREGISTERING (killed): cancel hooks, KILLING, end group, end hooks; hooks 10",
    "PREPARING + kill, end 4 -> DEREGISTERING (killed): cancel hooks, KILLING, end group, end hooks; hooks 2",
    "PREPARING + unhealthy -> DEREGISTERING (unhealthy): cancel hooks, KILLING, end group, end hooks; hooks 10",
    "PREPARING + expired -> DEREGISTERING (expired): cancel hooks, KILLING, end group, end hooks; hooks 10",
    "PREPARING + hook failed -> DEREGISTERING (hook failed): cancel hooks, end group, end hooks; hooks 10",
    "PREPARING + hooks due -> DEREGISTERING (hook failed): cancel hooks, end group, end hooks; hooks 10",
    "STARTING + started -> RUNNING (none): RUNNING; completion 60",
    "STARTING + start failed -> DEREGISTERING (not started): end group, end hooks, sweep; hooks 10, give up 5",
    "STARTING + start failed, invalid -> DEREGISTERING (invalid): end group, end hooks, sweep; hooks 10, give up 5",
    "STARTING + exit 0 -> DEREGISTERING (exit with 0): end hooks, sweep; hooks 10, give up 5",
    "STARTING + exit 1 -> DEREGISTERING (exit with a failure): end group, end hooks, sweep; hooks 10, give up 5",
    "STARTING + tree empty -> DEREGISTERING (keeper lost): end group, end hooks; hooks 10",
    "STARTING + keeper gone -> DEREGISTERING (keeper lost): end group, end hooks, sweep; hooks 10, give up 5",
    "STARTING + kill -> DEREGISTERING (killed): KILLING, end group, end hooks; hooks 10",
    "STARTING + kill, grace 0 -> DEREGISTERING (killed): KILLING, end group, end hooks; hooks 10",
    "STARTING + kill, end 4 -> DEREGISTERING (killed): KILLING, end group, end hooks; hooks 2",
    "STARTING + unhealthy -> DEREGISTERING (unhealthy): KILLING, end group, end hooks; hooks 10",
    "STARTING + expired -> DEREGISTERING (expired): KILLING, end group, end hooks; hooks 10",
    "STARTING + hook failed -> DEREGISTERING (hook failed): end group, end hooks; hooks 10",
    "STARTING + start due -> DEREGISTERING (not started): end group, end hooks, sweep; hooks 10, give up 5",
    "STARTING + completion due -> DEREGISTERING (timed out): end group, end hooks; hooks 10",
    "RUNNING + exit 0 -> DEREGISTERING (exit with 0): end hooks, sweep; hooks 10, give up 5",
    "RUNNING + exit 1 -> DEREGISTERING (exit with a failure): end group, end hooks, sweep; hooks 10, give up 5",
    "RUNNING + tree empty -> DEREGISTERING (keeper lost): end group, end hooks; hooks 10",
    "RUNNING + keeper gone -> DEREGISTERING (keeper lost): end group, end hooks, sweep; hooks 10, give up 5",
    "RUNNING + kill -> DEREGISTERING (killed): KILLING, end group, end hooks; hooks 10",
    "RUNNING + kill, grace 0 -> DEREGISTERING (killed): KILLING, end group, end hooks; hooks 10",
    "RUNNING + kill, end 4 -> DEREGISTERING (killed): KILLING, end group, end hooks; hooks 2",
    "RUNNING + unhealthy -> DEREGISTERING (unhealthy): KILLING, end group, end hooks; hooks 10",
    "RUNNING + expired -> DEREGISTERING (expired): KILLING, end group, end hooks; hooks 10",
    "RUNNING + hook failed -> DEREGISTERING (hook failed): end group, end hooks; hooks 10",
    "RUNNING + completion due -> DEREGISTERING (timed out): end group, end hooks; hooks 10",
    "DEREGISTERING, killed + end hooks done -> DRAINING (killed): ; drain 2",
    "DEREGISTERING, killed + end hooks failed -> DRAINING (killed): ; drain 2",
    "DEREGISTERING, killed + tree empty -> DEREGISTERING (killed): ; hooks 10",
    "DEREGISTERING, killed + keeper gone -> DEREGISTERING (killed): sweep; hooks 10, give up 5",
    "DEREGISTERING, killed + kill, grace 0 -> DEREGISTERING (killed): ; hooks 10",
    "DEREGISTERING, killed + kill, end 4 -> DEREGISTERING (killed): ; hooks 2",
    "DEREGISTERING, killed + hooks due -> DRAINING (killed): cancel hooks; drain 2",
    "DEREGISTERING, killed in PREPARING + end hooks done -> ENDED (killed): terminal; ",
    "DEREGISTERING, killed in PREPARING + end hooks failed -> ENDED (killed): terminal; ",
    "DEREGISTERING, killed in PREPARING + kill, grace 0 -> DEREGISTERING (killed): ; hooks 10",
    "DEREGISTERING, killed in PREPARING + kill, end 4 -> DEREGISTERING (killed): ; hooks 2",
    "DEREGISTERING, killed in PREPARING + hooks due -> ENDED (killed): cancel hooks, terminal; ",
    "DEREGISTERING, exited + end hooks done -> KILLING (exit with 0): ; give up 5",
    "DEREGISTERING, exited + end hooks failed -> KILLING (exit with 0): ; give up 5",
    "DEREGISTERING, exited + tree empty -> DEREGISTERING (exit with 0): ; hooks 10",
    "DEREGISTERING, exited + keeper gone -> DEREGISTERING (exit with 0): sweep; hooks 10, give up 5",
    "DEREGISTERING, exited + kill, grace 0 -> DEREGISTERING (exit with 0): ; hooks 10, give up 5",
    "DEREGISTERING, exited + kill, end 4 -> DEREGISTERING (exit with 0): ; hooks 2, give up 5",
    "DEREGISTERING, exited + hooks due -> KILLING (exit with 0): cancel hooks; give up 5",
    "DEREGISTERING, exited + give up due -> DEREGISTERING (exit with 0): ; hooks 10",
    "DEREGISTERING, given up + end hooks done -> ENDED (exit with 0): terminal; ",
    "DEREGISTERING, given up + end hooks failed -> ENDED (exit with 0): terminal; ",
    "DEREGISTERING, given up + tree empty -> DEREGISTERING (exit with 0): ; hooks 10",
    "DEREGISTERING, given up + kill, grace 0 -> DEREGISTERING (exit with 0): ; hooks 10",
    "DEREGISTERING, given up + kill, end 4 -> DEREGISTERING (exit with 0): ; hooks 2",
    "DEREGISTERING, given up + hooks due -> ENDED (exit with 0): cancel hooks, terminal; ",
    "DRAINING + tree empty -> ENDED (killed): terminal; ",
    "DRAINING + keeper gone -> KILLING (killed): sweep; give up 5",
    "DRAINING + kill, grace 0 -> KILLING (killed): terminate, sweep; give up 5",
    "DRAINING + kill, end 4 -> DRAINING (killed): ; drain 2",
    "DRAINING + drain due -> TERMINATING (killed): terminate; grace 5",
    "TERMINATING + tree empty -> ENDED (killed): terminal; ",
    "TERMINATING + keeper gone -> KILLING (killed): sweep; give up 5",
    "TERMINATING + kill, grace 0 -> KILLING (killed): sweep; give up 5",
    "TERMINATING + kill, end 4 -> TERMINATING (killed): ; grace 4",
    "TERMINATING + grace due -> KILLING (killed): sweep; give up 5",
    "KILLING, killed + tree empty -> ENDED (killed): terminal; ",
    "KILLING, killed + keeper gone -> KILLING (killed): sweep; give up 5",
    "KILLING, killed + kill, end 4 -> KILLING (killed): ; give up 5",
    "KILLING, killed + give up due -> ENDED (killed): terminal; ",
    "KILLING, exited + tree empty -> ENDED (exit with a failure): terminal; ",
    "KILLING, exited + keeper gone -> KILLING (exit with a failure): sweep; give up 5",
    "KILLING, exited + kill, grace 0 -> KILLING (exit with a failure): ; give up 5",
    "KILLING, exited + kill, end 4 -> KILLING (exit with a failure): ; give up 5",
    "KILLING, exited + give up due -> ENDED (exit with a failure): terminal; ",
    "ENDED + acknowledged -> GONE (killed): forget; ",
    /* clang-format on */
};
enum { LINES = sizeof(table) / sizeof(table[0]) };

static void print_table(void)
{
    char line[400];
    for (int s = 0; s < STATES; s++)
        for (int e = 0; e < EVENTS; e++)
            if (describe_cell(&states[s], &events[e], line, sizeof(line)))
                fprintf(stderr, "    \"%s\",\n", line);
}

Test(life, each_cell)
{
    char line[400];
    int at = 0;
    for (int s = 0; s < STATES; s++) {
        for (int e = 0; e < EVENTS; e++) {
            if (!describe_cell(&states[s], &events[e], line, sizeof(line)))
                continue;
            if (at < LINES && strcmp(line, table[at]) == 0) {
                at++;
                continue;
            }
            print_table();
            cr_assert_fail("is:       %s\nexpected: %s", line, at < LINES ? table[at] : "no effect");
        }
    }
    cr_assert_eq(at, LINES, "has no effect any more: %s", at < LINES ? table[at] : "");
}

/* --- the arithmetic of deadlines. In each case the terms that do not matter are none. */

static unsigned step(struct life *life, int64_t now, struct life_event event)
{
    event.now = now;
    return life_step(life, &event);
}

static struct life running(const struct life_terms *terms)
{
    struct life life = life_begin(terms);
    step(&life, NOW, (struct life_event){.type = LIFE_LAUNCH, .valid = true});
    step(&life, NOW, (struct life_event){.type = LIFE_STARTED});
    cr_assert_eq(life.state, LIFE_RUNNING);
    return life;
}

/* All in milliseconds after the given moment; end 0 for none. */
static struct life_event kill_with(int64_t now, int64_t grace, int64_t end)
{
    const int64_t ms = SECOND / 1000;
    return (struct life_event){.type = LIFE_KILL,
                               .cause = CAUSE_KILLED,
                               .grace = grace < 0 ? grace : grace * ms,
                               .end = end != 0 ? now + end * ms : 0,
                               .give_up_by = end != 0 ? now + (end + 500) * ms : 0};
}

static void assert_deadline(const struct life *life, enum life_timer timer, int64_t milliseconds)
{
    int64_t is = life->deadlines[timer];
    cr_assert_eq(is, NOW + milliseconds * (SECOND / 1000), "%s is at %g s, not %g s", life_timer_name(timer),
                 (double)(is - NOW) / 1e9, (double)milliseconds / 1e3);
}

Test(life, under_an_end_hooks_and_drain_have_what_is_not_the_tasks_share)
{
    /* The end, the grace, and when SIGTERM is due at the latest. */
    static const int64_t cases[][3] = {
        {4000, 5000, 2000}, /* half of what is left */
        {4000, 1000, 3000}, /* the whole grace */
        {4000, 2000, 2000}, /* both are the same */
        {4000, 0, 4000},    /* no grace: all is for the hooks */
        {2, 5000, 1},       /* half of next to nothing */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct life life = running(&(struct life_terms){.hooks_timeout = 60 * SECOND,
                                                        .start_hooks_timeout = 60 * SECOND,
                                                        .drain_delay = 60 * SECOND,
                                                        .max_completion_time = -1,
                                                        .end_hooks = true});
        step(&life, NOW, kill_with(NOW, cases[i][1], cases[i][0]));
        assert_deadline(&life, LIFE_TIMER_HOOKS, cases[i][2]);
    }
}

/* Hooks that take their whole time leave nothing for the drain delay; the task's share is not touched. */
Test(life, the_drain_delay_does_not_eat_the_tasks_share)
{
    struct life life = running(&(struct life_terms){.grace = 5 * SECOND,
                                                    .hooks_timeout = 60 * SECOND,
                                                    .start_hooks_timeout = 60 * SECOND,
                                                    .drain_delay = 60 * SECOND,
                                                    .max_completion_time = -1,
                                                    .end_hooks = true});
    step(&life, NOW, kill_with(NOW, -1, 4000));
    struct life late = life;
    step(&late, NOW + 2 * SECOND, (struct life_event){.type = LIFE_DUE, .timer = LIFE_TIMER_HOOKS});
    cr_assert_eq(late.state, LIFE_DRAINING);
    assert_deadline(&late, LIFE_TIMER_DRAIN, 2000);

    step(&life, NOW + SECOND, (struct life_event){.type = LIFE_HOOKS_DONE, .at_end = true});
    cr_assert_eq(life.state, LIFE_DRAINING);
    assert_deadline(&life, LIFE_TIMER_DRAIN, 2000);
    step(&life, NOW + 2 * SECOND, (struct life_event){.type = LIFE_DUE, .timer = LIFE_TIMER_DRAIN});
    assert_deadline(&life, LIFE_TIMER_GRACE, 4000);
}

Test(life, the_grace_counts_from_sigterm_and_stops_at_the_end)
{
    struct life life = running(&(struct life_terms){.grace = 5 * SECOND,
                                                    .hooks_timeout = 10 * SECOND,
                                                    .start_hooks_timeout = 10 * SECOND,
                                                    .max_completion_time = -1,
                                                    .end_hooks = true});
    struct life ended = life;
    step(&life, NOW, kill_with(NOW, -1, 0));
    unsigned actions =
        step(&life, NOW + 3 * SECOND, (struct life_event){.type = LIFE_HOOKS_DONE, .at_end = true});
    cr_assert_eq(actions, LIFE_DO_TERMINATE);
    assert_deadline(&life, LIFE_TIMER_GRACE, 8000);

    step(&ended, NOW, kill_with(NOW, -1, 4000));
    step(&ended, NOW + SECOND, (struct life_event){.type = LIFE_HOOKS_DONE, .at_end = true});
    assert_deadline(&ended, LIFE_TIMER_GRACE, 4000);
    step(&ended, NOW + 4 * SECOND, (struct life_event){.type = LIFE_DUE, .timer = LIFE_TIMER_GRACE});
    assert_deadline(&ended, LIFE_TIMER_GIVE_UP, 4500);
}

Test(life, an_end_that_is_past_kills_at_once)
{
    struct life life =
        running(&(struct life_terms){.grace = 5 * SECOND, .drain_delay = SECOND, .max_completion_time = -1});
    struct life_event late = kill_with(NOW - 10 * SECOND, -1, 4000);
    step(&life, NOW, late);
    cr_assert_eq(life.state, LIFE_DRAINING);
    assert_deadline(&life, LIFE_TIMER_DRAIN, -6000);
    unsigned actions = step(&life, NOW, (struct life_event){.type = LIFE_DUE, .timer = LIFE_TIMER_DRAIN});
    cr_assert_eq(actions, LIFE_DO_TERMINATE | LIFE_DO_SWEEP);
    assert_deadline(&life, LIFE_TIMER_GIVE_UP, -5500);
}

Test(life, no_grace_kills_at_once_and_does_not_drain)
{
    struct life life = running(&(struct life_terms){.grace = 5 * SECOND,
                                                    .hooks_timeout = SECOND,
                                                    .start_hooks_timeout = SECOND,
                                                    .drain_delay = SECOND,
                                                    .max_completion_time = -1,
                                                    .end_hooks = true});
    step(&life, NOW, kill_with(NOW, 0, 0));
    unsigned actions = step(&life, NOW, (struct life_event){.type = LIFE_HOOKS_DONE, .at_end = true});
    cr_assert_eq(actions, LIFE_DO_TERMINATE | LIFE_DO_SWEEP);
    cr_assert_eq(life.state, LIFE_KILLING);
    assert_deadline(&life, LIFE_TIMER_GIVE_UP, 5000);
}

Test(life, max_completion_time_counts_from_the_fork_and_has_no_grace)
{
    struct life life = life_begin(&(struct life_terms){.grace = 5 * SECOND,
                                                       .hooks_timeout = SECOND,
                                                       .start_hooks_timeout = SECOND,
                                                       .max_completion_time = 60 * SECOND,
                                                       .start_hooks = true});
    step(&life, NOW, (struct life_event){.type = LIFE_LAUNCH, .valid = true});
    cr_assert_eq(life.deadlines[LIFE_TIMER_COMPLETION], 0);
    step(&life, NOW + SECOND, (struct life_event){.type = LIFE_HOOKS_DONE});
    assert_deadline(&life, LIFE_TIMER_COMPLETION, 61000);
    step(&life, NOW + 2 * SECOND, (struct life_event){.type = LIFE_STARTED});
    assert_deadline(&life, LIFE_TIMER_COMPLETION, 61000);
    unsigned actions =
        step(&life, NOW + 61 * SECOND, (struct life_event){.type = LIFE_DUE, .timer = LIFE_TIMER_COMPLETION});
    cr_assert_eq(actions, LIFE_DO_END_GROUP | LIFE_DO_TERMINATE | LIFE_DO_SWEEP);
}

Test(life, a_later_kill_only_hastens)
{
    struct life life = running(&(struct life_terms){.grace = 5 * SECOND, .max_completion_time = -1});
    step(&life, NOW, kill_with(NOW, 10000, 0));
    assert_deadline(&life, LIFE_TIMER_GRACE, 10000);
    step(&life, NOW + SECOND, kill_with(NOW, 20000, 0));
    assert_deadline(&life, LIFE_TIMER_GRACE, 10000);
    step(&life, NOW + SECOND, kill_with(NOW, -1, 0)); /* says nothing of the grace, so it changes nothing */
    assert_deadline(&life, LIFE_TIMER_GRACE, 10000);
    step(&life, NOW + SECOND, kill_with(NOW, 8000, 0)); /* counts from SIGTERM, not from this kill */
    assert_deadline(&life, LIFE_TIMER_GRACE, 8000);
    step(&life, NOW + SECOND, kill_with(NOW, -1, 6000));
    assert_deadline(&life, LIFE_TIMER_GRACE, 6000);
    step(&life, NOW + SECOND, kill_with(NOW, -1, 7000));
    assert_deadline(&life, LIFE_TIMER_GRACE, 6000);
    unsigned actions = step(&life, NOW + 3 * SECOND, kill_with(NOW, 2000, 0));
    cr_assert_eq(actions, LIFE_DO_SWEEP);
    cr_assert_eq(life.state, LIFE_KILLING);
    assert_deadline(&life, LIFE_TIMER_GIVE_UP, 6500); /* the end's, which is sooner than five seconds */
}

Test(life, a_later_end_shortens_the_wait_for_what_cannot_be_killed)
{
    struct life life = running(&(struct life_terms){.max_completion_time = -1});
    step(&life, NOW, kill_with(NOW, 0, 0));
    assert_deadline(&life, LIFE_TIMER_GIVE_UP, 5000);
    step(&life, NOW + SECOND, kill_with(NOW, -1, 2000));
    assert_deadline(&life, LIFE_TIMER_GIVE_UP, 2500);
    step(&life, NOW + SECOND, kill_with(NOW, -1, 3000));
    assert_deadline(&life, LIFE_TIMER_GIVE_UP, 2500);
}

Test(life, spans_of_centuries_do_not_overflow)
{
    struct life life = running(&(struct life_terms){.grace = CENTURIES,
                                                    .hooks_timeout = CENTURIES,
                                                    .start_hooks_timeout = CENTURIES,
                                                    .drain_delay = CENTURIES,
                                                    .start_timeout = CENTURIES,
                                                    .max_completion_time = CENTURIES,
                                                    .end_hooks = true});
    cr_assert_eq(life.deadlines[LIFE_TIMER_COMPLETION], INT64_MAX);
    struct life capped = life;
    step(&life, NOW, kill_with(NOW, -1, 0));
    cr_assert_eq(life.deadlines[LIFE_TIMER_HOOKS], INT64_MAX);
    step(&life, NOW, (struct life_event){.type = LIFE_HOOKS_DONE, .at_end = true});
    cr_assert_eq(life.deadlines[LIFE_TIMER_DRAIN], INT64_MAX);
    step(&life, NOW, (struct life_event){.type = LIFE_DUE, .timer = LIFE_TIMER_DRAIN});
    cr_assert_eq(life.deadlines[LIFE_TIMER_GRACE], INT64_MAX);
    step(&life, NOW, kill_with(NOW, 3000, 0));
    assert_deadline(&life, LIFE_TIMER_GRACE, 3000);

    step(&capped, NOW, kill_with(NOW, -1, 4000));
    assert_deadline(&capped, LIFE_TIMER_HOOKS, 2000);
}

Test(life, next_deadline)
{
    struct life life = life_begin(&all_terms);
    enum life_timer timer = LIFE_TIMER_GRACE;
    cr_assert_eq(life_next_deadline(&life, &timer), 0);
    cr_assert_eq(timer, LIFE_TIMER_GRACE, "untouched");
    life.deadlines[LIFE_TIMER_COMPLETION] = 7;
    cr_assert_eq(life_next_deadline(&life, &timer), 7);
    cr_assert_eq(timer, LIFE_TIMER_COMPLETION);
    life.deadlines[LIFE_TIMER_START] = 9;
    life.deadlines[LIFE_TIMER_HOOKS] = 5;
    cr_assert_eq(life_next_deadline(&life, &timer), 5);
    cr_assert_eq(timer, LIFE_TIMER_HOOKS);
}

/* --- what Mesos is told */

Test(life, verdicts)
{
    enum {
        FINISHED = MESOS__V1__TASK_STATE__TASK_FINISHED,
        FAILED = MESOS__V1__TASK_STATE__TASK_FAILED,
        KILLED = MESOS__V1__TASK_STATE__TASK_KILLED
    };
    enum { INVALID = 14, COMPLETION_REACHED = 33 }; /* TaskStatus.Reason, by its numbers on the wire */
    static const struct life_verdict verdicts[LIFE_CAUSES] = {
        [CAUSE_NONE] = {FAILED, -1, -1},         [CAUSE_EXIT_SUCCESS] = {FINISHED, -1, -1},
        [CAUSE_EXIT_FAILURE] = {FAILED, -1, -1}, [CAUSE_NOT_STARTED] = {FAILED, -1, -1},
        [CAUSE_INVALID] = {FAILED, INVALID, -1}, [CAUSE_KILLED] = {KILLED, -1, -1},
        [CAUSE_UNHEALTHY] = {FAILED, -1, 0},     [CAUSE_TIMED_OUT] = {FAILED, COMPLETION_REACHED, -1},
        [CAUSE_EXPIRED] = {KILLED, -1, 0},       [CAUSE_HOOK_FAILED] = {FAILED, -1, -1},
        [CAUSE_KEEPER_LOST] = {FAILED, -1, -1},
    };
    for (int i = 0; i < LIFE_CAUSES; i++) {
        struct life_verdict is = life_verdict((enum life_cause)i);
        cr_assert_eq(is.state, verdicts[i].state, "%s", life_cause_name((enum life_cause)i));
        cr_assert_eq(is.reason, verdicts[i].reason, "%s", life_cause_name((enum life_cause)i));
        cr_assert_eq(is.healthy, verdicts[i].healthy, "%s", life_cause_name((enum life_cause)i));
    }
}
