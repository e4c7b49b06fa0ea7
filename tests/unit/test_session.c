/*
 * The executor's standing with its agent, cell by cell: each state with each event, against a table that was
 * read line by line beside the rules; then the arithmetic of its deadlines. What no line names has no effect,
 * and that is checked too. When a cell is changed on purpose, the failing test prints the table as it is now.
 */
#include "supervisor/session.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
#define MS INT64_C(1000000)
#define NOW (1000 * SECOND)
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* --- the table */

struct named_event {
    const char *name;
    struct session_event event;
};

static const struct named_event events[] = {
    {"begin", {.type = SESSION_BEGIN, .now = NOW}},
    {"subscribed", {.type = SESSION_TAKEN, .now = NOW}},
    {"agent lost", {.type = SESSION_AGENT_LOST, .now = NOW}},
    {"client lost", {.type = SESSION_CLIENT_LOST, .now = NOW}},
    {"unknown id", {.type = SESSION_UNKNOWN_ID, .now = NOW}},
    {"task lives", {.type = SESSION_TASKS, .now = NOW, .living = 1}},
    {"task ended", {.type = SESSION_TASKS, .now = NOW, .unacknowledged = 1}},
    {"acknowledged", {.type = SESSION_TASKS, .now = NOW}},
    {"acknowledged, unclean", {.type = SESSION_TASKS, .now = NOW, .unclean = true}},
    {"shutdown", {.type = SESSION_SHUTDOWN, .now = NOW}},
    {"register due", {.type = SESSION_DUE, .now = NOW, .timer = SESSION_TIMER_REGISTER}},
    {"first task due", {.type = SESSION_DUE, .now = NOW, .timer = SESSION_TIMER_FIRST_TASK}},
    {"recovery due", {.type = SESSION_DUE, .now = NOW, .timer = SESSION_TIMER_RECOVERY}},
    {"successor due", {.type = SESSION_DUE, .now = NOW, .timer = SESSION_TIMER_SUCCESSOR}},
    {"acknowledge due", {.type = SESSION_DUE, .now = NOW, .timer = SESSION_TIMER_ACKNOWLEDGE}},
    {"leave due", {.type = SESSION_DUE, .now = NOW, .timer = SESSION_TIMER_LEAVE}},
};

enum { FIRST_EVENT = 1 }; /* "begin" comes once, before all others */

struct named_state {
    const char *name;
    bool checkpoint;
    const char *way[8];
};

static const struct named_state states[] = {
    {"connecting", true, {"begin"}},
    {"idle", true, {"begin", "subscribed"}},
    {"running", true, {"begin", "subscribed", "task lives"}},
    {"owing", true, {"begin", "subscribed", "task lives", "task ended"}},
    {"ending", true, {"begin", "subscribed", "task lives", "shutdown"}},
    {"ending, owing", true, {"begin", "subscribed", "task lives", "shutdown", "task ended"}},
    {"away", true, {"begin", "subscribed", "task lives", "agent lost"}},
    {"away, owing", true, {"begin", "subscribed", "task lives", "agent lost", "task ended"}},
    {"away, refused 4 times",
     true,
     {"begin", "subscribed", "task lives", "unknown id", "unknown id", "unknown id", "unknown id"}},
    {"forsaken", true, {"begin", "subscribed", "task lives", "agent lost", "recovery due"}},
    {"no checkpoint, running", false, {"begin", "subscribed", "task lives"}},
    {"no checkpoint, idle", false, {"begin", "subscribed"}},
    {"no checkpoint, client lost", false, {"begin", "subscribed", "task lives", "client lost"}},
    {"no checkpoint, forsaken", false, {"begin", "subscribed", "task lives", "agent lost"}},
    {"left", true, {"begin", "shutdown"}},
};

static struct session session_in(const struct named_state *state)
{
    struct session session = session_begin(&(struct session_terms){.checkpoint = state->checkpoint,
                                                                   .recovery_timeout = 900 * SECOND,
                                                                   .shutdown_grace = 5 * SECOND,
                                                                   .acknowledge_timeout = 30 * SECOND});
    for (int i = 0; state->way[i] != NULL; i++) {
        int at = 0;
        while (at < COUNT(events) && strcmp(events[at].name, state->way[i]) != 0)
            at++;
        cr_assert_lt(at, COUNT(events), "no event is named %s", state->way[i]);
        session_step(&session, &events[at].event);
    }
    return session;
}

static void describe_deadlines(const struct session *session, char *text, size_t size)
{
    text[0] = '\0';
    for (int i = 0; i < SESSION_TIMERS; i++) {
        size_t length = strlen(text);
        if (session->deadlines[i] != 0)
            snprintf(text + length, size - length, "%s%s %g", length > 0 ? ", " : "",
                     session_timer_name((enum session_timer)i), (double)(session->deadlines[i] - NOW) / 1e9);
    }
}

/* Returns false when the event has no effect at all. */
static bool describe_cell(const struct named_state *state, const struct named_event *event, char *line,
                          size_t size)
{
    struct session before = session_in(state);
    struct session session;
    memcpy(&session, &before, sizeof(session)); /* the padding too, for the comparison below */
    unsigned actions = session_step(&session, &event->event);
    char waits[160], left[32] = "";
    describe_deadlines(&session, waits, sizeof(waits));
    if ((actions & SESSION_DO_LEAVE) != 0)
        snprintf(left, sizeof(left), " with %d", session.exit_code);
    snprintf(line, size, "%s + %s -> %s%s%s%s:%s %s", state->name, event->name,
             session_state_name(session.state), left, session.ending ? ", ending" : "",
             session.forsaken ? ", forsaken" : "", (actions & SESSION_DO_END_TASKS) != 0 ? " end tasks;" : "",
             waits);
    /* Byte by byte, so that no member that is added later can be forgotten here. What a step might do to the
     * padding would show as an effect that the table does not have, and hide none.
     * NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c) */
    return actions != 0 || memcmp(&before, &session, sizeof(session)) != 0;
}

static const char *const table[] = {
    /* clang-format off */
    "connecting + subscribed -> SUBSCRIBED: first task 60",
    "connecting + unknown id -> CONNECTING: register 60",
    "connecting + task lives -> CONNECTING: register 60",
    "connecting + task ended -> CONNECTING: register 60",
    "connecting + acknowledged, unclean -> CONNECTING: register 60",
    "connecting + shutdown -> LEFT with 0, ending: ",
    "connecting + register due -> LEFT with 1, ending, forsaken: ",
    "idle + agent lost -> DISCONNECTED: recovery 900",
    "idle + client lost -> DISCONNECTED: recovery 900",
    "idle + unknown id -> DISCONNECTED: recovery 900",
    "idle + task lives -> SUBSCRIBED: ",
    "idle + task ended -> SUBSCRIBED: acknowledge 30",
    "idle + acknowledged, unclean -> SUBSCRIBED: first task 60",
    "idle + shutdown -> LEFT with 0, ending: ",
    "idle + first task due -> LEFT with 0: ",
    "running + agent lost -> DISCONNECTED: recovery 900",
    "running + client lost -> DISCONNECTED: recovery 900",
    "running + unknown id -> DISCONNECTED: recovery 900",
    "running + task ended -> SUBSCRIBED: acknowledge 30",
    "running + acknowledged -> LEFT with 0: ",
    "running + acknowledged, unclean -> LEFT with 1: ",
    "running + shutdown -> SUBSCRIBED, ending: end tasks; leave 4.75",
    "owing + agent lost -> DISCONNECTED: recovery 900",
    "owing + client lost -> DISCONNECTED: recovery 900",
    "owing + unknown id -> DISCONNECTED: recovery 900",
    "owing + task lives -> SUBSCRIBED: ",
    "owing + acknowledged -> LEFT with 0: ",
    "owing + acknowledged, unclean -> LEFT with 1: ",
    "owing + shutdown -> SUBSCRIBED, ending: end tasks; acknowledge 30, leave 4.75",
    "owing + acknowledge due -> LEFT with 1: ",
    "ending + agent lost -> DISCONNECTED, ending: recovery 900, leave 4.75",
    "ending + client lost -> DISCONNECTED, ending: recovery 900, leave 4.75",
    "ending + unknown id -> DISCONNECTED, ending: recovery 900, leave 4.75",
    "ending + task ended -> SUBSCRIBED, ending: acknowledge 30, leave 4.75",
    "ending + acknowledged -> LEFT with 0, ending: ",
    "ending + acknowledged, unclean -> LEFT with 1, ending: ",
    "ending + shutdown -> SUBSCRIBED, ending: end tasks; leave 4.75",
    "ending + leave due -> LEFT with 1, ending: ",
    "ending, owing + agent lost -> DISCONNECTED, ending: recovery 900, leave 4.75",
    "ending, owing + client lost -> DISCONNECTED, ending: recovery 900, leave 4.75",
    "ending, owing + unknown id -> DISCONNECTED, ending: recovery 900, leave 4.75",
    "ending, owing + task lives -> SUBSCRIBED, ending: leave 4.75",
    "ending, owing + acknowledged -> LEFT with 0, ending: ",
    "ending, owing + acknowledged, unclean -> LEFT with 1, ending: ",
    "ending, owing + shutdown -> SUBSCRIBED, ending: end tasks; acknowledge 30, leave 4.75",
    "ending, owing + acknowledge due -> LEFT with 1, ending: ",
    "ending, owing + leave due -> LEFT with 1, ending: ",
    "away + subscribed -> SUBSCRIBED: ",
    "away + unknown id -> DISCONNECTED: recovery 900",
    "away + task ended -> DISCONNECTED: recovery 900",
    "away + acknowledged -> LEFT with 0: ",
    "away + acknowledged, unclean -> LEFT with 1: ",
    "away + shutdown -> DISCONNECTED, ending: end tasks; recovery 900, leave 4.75",
    "away + recovery due -> DISCONNECTED, ending, forsaken: end tasks; leave 4.75",
    "away, owing + subscribed -> SUBSCRIBED: acknowledge 30",
    "away, owing + unknown id -> DISCONNECTED: recovery 900",
    "away, owing + task lives -> DISCONNECTED: recovery 900",
    "away, owing + acknowledged -> LEFT with 0: ",
    "away, owing + acknowledged, unclean -> LEFT with 1: ",
    "away, owing + shutdown -> DISCONNECTED, ending: end tasks; recovery 900, leave 4.75",
    "away, owing + recovery due -> LEFT with 1, ending, forsaken: ",
    "away, refused 4 times + subscribed -> SUBSCRIBED: ",
    "away, refused 4 times + agent lost -> DISCONNECTED: recovery 900",
    "away, refused 4 times + unknown id -> DISCONNECTED, ending, forsaken: end tasks; leave 4.75",
    "away, refused 4 times + task ended -> DISCONNECTED: recovery 900",
    "away, refused 4 times + acknowledged -> LEFT with 0: ",
    "away, refused 4 times + acknowledged, unclean -> LEFT with 1: ",
    "away, refused 4 times + shutdown -> DISCONNECTED, ending: end tasks; recovery 900, leave 4.75",
    "away, refused 4 times + recovery due -> DISCONNECTED, ending, forsaken: end tasks; leave 4.75",
    "forsaken + subscribed -> SUBSCRIBED, ending: leave 4.75",
    "forsaken + agent lost -> DISCONNECTED, ending, forsaken: recovery 900, leave 4.75",
    "forsaken + client lost -> DISCONNECTED, ending, forsaken: recovery 900, leave 4.75",
    "forsaken + unknown id -> DISCONNECTED, ending, forsaken: recovery 900, leave 4.75",
    "forsaken + task ended -> LEFT with 1, ending, forsaken: ",
    "forsaken + acknowledged -> LEFT with 0, ending, forsaken: ",
    "forsaken + acknowledged, unclean -> LEFT with 1, ending, forsaken: ",
    "forsaken + shutdown -> DISCONNECTED, ending, forsaken: end tasks; leave 4.75",
    "forsaken + leave due -> LEFT with 1, ending, forsaken: ",
    "no checkpoint, running + agent lost -> DISCONNECTED, ending, forsaken: end tasks; leave 4.75",
    "no checkpoint, running + client lost -> DISCONNECTED: successor 10",
    "no checkpoint, running + unknown id -> DISCONNECTED, ending, forsaken: end tasks; leave 4.75",
    "no checkpoint, running + task ended -> SUBSCRIBED: acknowledge 30",
    "no checkpoint, running + acknowledged -> LEFT with 0: ",
    "no checkpoint, running + acknowledged, unclean -> LEFT with 1: ",
    "no checkpoint, running + shutdown -> SUBSCRIBED, ending: end tasks; leave 4.75",
    "no checkpoint, idle + agent lost -> LEFT with 1, ending, forsaken: ",
    "no checkpoint, idle + client lost -> DISCONNECTED: successor 10",
    "no checkpoint, idle + unknown id -> LEFT with 1, ending, forsaken: ",
    "no checkpoint, idle + task lives -> SUBSCRIBED: ",
    "no checkpoint, idle + task ended -> SUBSCRIBED: acknowledge 30",
    "no checkpoint, idle + acknowledged, unclean -> SUBSCRIBED: first task 60",
    "no checkpoint, idle + shutdown -> LEFT with 0, ending: ",
    "no checkpoint, idle + first task due -> LEFT with 0: ",
    "no checkpoint, client lost + subscribed -> SUBSCRIBED: ",
    "no checkpoint, client lost + agent lost -> DISCONNECTED, ending, forsaken: end tasks; successor 10, leave 4.75",
    "no checkpoint, client lost + unknown id -> DISCONNECTED, ending, forsaken: end tasks; successor 10, leave 4.75",
    "no checkpoint, client lost + task ended -> DISCONNECTED: successor 10",
    "no checkpoint, client lost + acknowledged -> LEFT with 0: ",
    "no checkpoint, client lost + acknowledged, unclean -> LEFT with 1: ",
    "no checkpoint, client lost + shutdown -> DISCONNECTED, ending: end tasks; successor 10, leave 4.75",
    "no checkpoint, client lost + successor due -> DISCONNECTED, ending, forsaken: end tasks; leave 4.75",
    "no checkpoint, forsaken + subscribed -> SUBSCRIBED, ending: leave 4.75",
    "no checkpoint, forsaken + unknown id -> DISCONNECTED, ending, forsaken: leave 4.75",
    "no checkpoint, forsaken + task ended -> LEFT with 1, ending, forsaken: ",
    "no checkpoint, forsaken + acknowledged -> LEFT with 0, ending, forsaken: ",
    "no checkpoint, forsaken + acknowledged, unclean -> LEFT with 1, ending, forsaken: ",
    "no checkpoint, forsaken + shutdown -> DISCONNECTED, ending, forsaken: end tasks; leave 4.75",
    "no checkpoint, forsaken + leave due -> LEFT with 1, ending, forsaken: ",
    /* clang-format on */
};

static void print_table(void)
{
    char line[400];
    for (int s = 0; s < COUNT(states); s++)
        for (int e = FIRST_EVENT; e < COUNT(events); e++)
            if (describe_cell(&states[s], &events[e], line, sizeof(line)))
                fprintf(stderr, "    \"%s\",\n", line);
}

Test(session, each_cell)
{
    char line[400];
    int at = 0;
    for (int s = 0; s < COUNT(states); s++) {
        for (int e = FIRST_EVENT; e < COUNT(events); e++) {
            if (!describe_cell(&states[s], &events[e], line, sizeof(line)))
                continue;
            if (at < COUNT(table) && strcmp(line, table[at]) == 0) {
                at++;
                continue;
            }
            print_table();
            cr_assert_fail("is:       %s\nexpected: %s", line, at < COUNT(table) ? table[at] : "no effect");
        }
    }
    cr_assert_eq(at, COUNT(table), "has no effect any more: %s", at < COUNT(table) ? table[at] : "");
}

/* --- the arithmetic of deadlines */

static struct session subscribed(const struct session_terms *terms)
{
    struct session session = session_begin(terms);
    session_step(&session, &(struct session_event){.type = SESSION_BEGIN, .now = NOW});
    session_step(&session, &(struct session_event){.type = SESSION_TAKEN, .now = NOW});
    session_step(&session, &(struct session_event){.type = SESSION_TASKS, .now = NOW, .living = 1});
    return session;
}

static unsigned step(struct session *session, int64_t now, enum session_event_type type)
{
    return session_step(session, &(struct session_event){.type = type, .now = now});
}

/* The agent destroys the container a grace after its SHUTDOWN: all must have happened by then. */
Test(session, a_shutdown_keeps_a_margin_of_the_grace)
{
    /* In milliseconds: the grace, SIGKILL, what cannot be killed is reported, the executor leaves. */
    static const int64_t cases[][4] = {
        {5000, 4000, 4500, 4750}, /* the default */
        {60000, 59000, 59500, 59750},
        {2000, 1600, 1800, 1900},
        {1000, 800, 900, 950},
        {250, 200, 250, 300}, /* here the steps after SIGKILL have their least length */
        {0, 0, 50, 100},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        struct session session = subscribed(&(struct session_terms){.shutdown_grace = cases[i][0] * MS});
        cr_assert_eq(step(&session, NOW, SESSION_SHUTDOWN), SESSION_DO_END_TASKS);
        cr_assert_eq(session.end, NOW + cases[i][1] * MS, "case %d", i);
        cr_assert_eq(session.give_up_by, NOW + cases[i][2] * MS, "case %d", i);
        cr_assert_eq(session.deadlines[SESSION_TIMER_LEAVE], NOW + cases[i][3] * MS, "case %d", i);
    }
}

Test(session, a_later_end_does_not_move_the_first)
{
    struct session session = subscribed(&(struct session_terms){.shutdown_grace = 5 * SECOND});
    step(&session, NOW, SESSION_SHUTDOWN);
    step(&session, NOW + 2 * SECOND, SESSION_SHUTDOWN);
    step(&session, NOW + 3 * SECOND, SESSION_AGENT_LOST);
    cr_assert(session.forsaken);
    cr_assert_eq(session.end, NOW + 4 * SECOND);
    cr_assert_eq(session.give_up_by, NOW + 4500 * MS);
    cr_assert_eq(session.deadlines[SESSION_TIMER_LEAVE], NOW + 4750 * MS);
}

Test(session, the_recovery_timer_starts_once_a_disconnection)
{
    struct session session =
        subscribed(&(struct session_terms){.checkpoint = true, .recovery_timeout = 900 * SECOND});
    step(&session, NOW + SECOND, SESSION_CLIENT_LOST);
    step(&session, NOW + 2 * SECOND, SESSION_AGENT_LOST);
    step(&session, NOW + 3 * SECOND, SESSION_CLIENT_LOST);
    cr_assert_eq(session.deadlines[SESSION_TIMER_RECOVERY], NOW + 901 * SECOND);
    step(&session, NOW + 4 * SECOND, SESSION_TAKEN);
    cr_assert_eq(session.deadlines[SESSION_TIMER_RECOVERY], 0);
    step(&session, NOW + 5 * SECOND, SESSION_AGENT_LOST);
    cr_assert_eq(session.deadlines[SESSION_TIMER_RECOVERY], NOW + 905 * SECOND);
}

Test(session, the_wait_for_an_acknowledgement_starts_again_with_each_subscription)
{
    struct session session = subscribed(&(struct session_terms){
        .checkpoint = true, .recovery_timeout = 900 * SECOND, .acknowledge_timeout = 60 * SECOND});
    struct session_event ended = {.type = SESSION_TASKS, .now = NOW + SECOND, .unacknowledged = 2};
    session_step(&session, &ended);
    ended = (struct session_event){.type = SESSION_TASKS, .now = NOW + 9 * SECOND, .unacknowledged = 1};
    session_step(&session, &ended);
    cr_assert_eq(session.deadlines[SESSION_TIMER_ACKNOWLEDGE], NOW + 61 * SECOND);
    step(&session, NOW + 50 * SECOND, SESSION_CLIENT_LOST);
    cr_assert_eq(session.deadlines[SESSION_TIMER_ACKNOWLEDGE], 0);
    step(&session, NOW + 51 * SECOND, SESSION_TAKEN);
    cr_assert_eq(session.deadlines[SESSION_TIMER_ACKNOWLEDGE], NOW + 111 * SECOND);
}

Test(session, only_refusals_in_a_row_count)
{
    struct session session =
        subscribed(&(struct session_terms){.checkpoint = true, .recovery_timeout = 900 * SECOND});
    static const enum session_event_type between[] = {SESSION_TAKEN, SESSION_AGENT_LOST};
    for (int i = 0; i < COUNT(between); i++) {
        for (int refusal = 0; refusal < 4; refusal++)
            cr_assert_eq(step(&session, NOW, SESSION_UNKNOWN_ID), 0);
        cr_assert_eq(step(&session, NOW, between[i]), 0);
    }
    for (int refusal = 0; refusal < 4; refusal++)
        cr_assert_eq(step(&session, NOW, SESSION_UNKNOWN_ID), 0);
    cr_assert_eq(step(&session, NOW, SESSION_UNKNOWN_ID), SESSION_DO_END_TASKS);
}

/* It may begin before the agent that started it can be reached again. */
Test(session, before_the_first_subscription_only_its_deadline_counts)
{
    struct session session = session_begin(&(struct session_terms){.checkpoint = false});
    step(&session, NOW, SESSION_BEGIN);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(step(&session, NOW + i * SECOND, SESSION_UNKNOWN_ID), 0);
        cr_assert_eq(step(&session, NOW + i * SECOND, SESSION_AGENT_LOST), 0);
        cr_assert_eq(step(&session, NOW + i * SECOND, SESSION_CLIENT_LOST), 0);
    }
    cr_assert_eq(session.deadlines[SESSION_TIMER_REGISTER], NOW + 60 * SECOND);
    cr_assert_eq(session.state, SESSION_CONNECTING);
}

Test(session, spans_of_centuries_do_not_overflow)
{
    struct session session = subscribed(&(struct session_terms){.checkpoint = true,
                                                                .recovery_timeout = INT64_MAX,
                                                                .shutdown_grace = INT64_MAX,
                                                                .acknowledge_timeout = INT64_MAX});
    step(&session, NOW, SESSION_SHUTDOWN);
    cr_assert_eq(session.end, INT64_MAX);
    cr_assert_eq(session.give_up_by, INT64_MAX);
    cr_assert_eq(session.deadlines[SESSION_TIMER_LEAVE], INT64_MAX);
    step(&session, NOW, SESSION_AGENT_LOST);
    cr_assert_eq(session.deadlines[SESSION_TIMER_RECOVERY], INT64_MAX);
}

Test(session, next_deadline)
{
    struct session session = session_begin(&(struct session_terms){.checkpoint = true});
    enum session_timer timer = SESSION_TIMER_SUCCESSOR;
    cr_assert_eq(session_next_deadline(&session, &timer), 0);
    cr_assert_eq(timer, SESSION_TIMER_SUCCESSOR, "untouched");
    session.deadlines[SESSION_TIMER_LEAVE] = 4;
    session.deadlines[SESSION_TIMER_ACKNOWLEDGE] = 9;
    cr_assert_eq(session_next_deadline(&session, &timer), 4);
    cr_assert_eq(timer, SESSION_TIMER_LEAVE);
}
