/*
 * A helper's life as the supervisor sees it, with tests/helpers/fake_helper.c in the helper's part. The clock
 * stands still and is moved by hand: deadlines of many seconds are met exactly, and none by accident.
 */
#include "supervisor/compartment.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#include "proto/bulkhead.pb-c.h"
#include "support.h"

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)

static int64_t moved = 1000 * SECOND;

/* The C library's, for this program alone: time is what the test says. */
int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    if (clock != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, clock, ret_time);
    ret_time->tv_sec = moved / SECOND;
    ret_time->tv_nsec = moved % SECOND;
    return 0;
}

struct stage {
    struct loop *loop;
    struct config *config;
    struct compartment *compartment;
    struct compartment_definition definition;
    struct loop_timer tick;
    size_t descriptors;
    char program[PATH_MAX];
    char mode[64];
    char file[64];
    char file_variable[96];
    const char *environment[4];
    int ready, lost, attempts;
    int answer; /* of the handler of AGENT_ATTEMPT */
    bool mark_useful;
    pid_t seen; /* the helper to be waited for */
    const char *word;
    int answers; /* to PING, so many are waited for */
};

static void on_ready(void *self)
{
    struct stage *stage = self;
    stage->ready++;
    if (stage->mark_useful)
        compartment_mark_useful(stage->compartment);
}

static void on_lost(void *self)
{
    ((struct stage *)self)->lost++;
}

static int on_attempt(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)body;
    (void)descriptor;
    struct stage *stage = self;
    stage->attempts++;
    return stage->answer;
}

static const struct message_handler handlers[] = {{MESSAGE_AGENT_ATTEMPT, on_attempt}, {0}};

static void on_tick(void *arg)
{
    (void)arg;
}

static void stage_open(struct stage *stage, const char *mode)
{
    memset(stage, 0, sizeof(*stage));
    support_become_subreaper();
    stage->descriptors = support_count_descriptors(getpid());
    cr_assert_eq(loop_new(&stage->loop), 0);
    cr_assert_eq(config_new(&stage->config), 0);
    cr_assert_eq(config_set_text(stage->config, "MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "agent-token", NULL),
                 0);
    cr_assert_eq(config_set_text(stage->config, "CONSUL_TOKEN", "hook-token", NULL), 0);
    loop_timer_init(&stage->tick, on_tick, NULL);
    snprintf(stage->mode, sizeof(stage->mode), "FAKE_MODE=%s", mode);
    stage->environment[0] = stage->mode;
    stage->definition = (struct compartment_definition){
        .role = ROLE_AGENT_CLIENT,
        .program = support_helper("fake_helper", stage->program),
        .config = stage->config,
        .receiver = CONFIG_FOR_AGENT_CLIENT,
        .high_water = 1 << 20,
        .handlers = handlers,
        .environment = stage->environment,
        .self = stage,
        .ready = on_ready,
        .lost = on_lost,
    };
    stage->compartment = compartment_new(stage->loop, &stage->definition);
    cr_assert_not_null(stage->compartment);
    cr_assert_eq(compartment_pid(stage->compartment), 0);
}

/* The helper is gone with its compartment, and so is everything that was opened for it. */
static void stage_close(struct stage *stage)
{
    compartment_free(stage->compartment);
    compartment_free(NULL);
    config_free(stage->config);
    loop_timer_disarm(stage->loop, &stage->tick);
    loop_free(stage->loop);
    cr_assert(support_no_children_left(), "a helper was left");
    cr_assert_eq(support_count_descriptors(getpid()), stage->descriptors, "a descriptor was lost");
    if (stage->file[0] != '\0')
        unlink(stage->file);
}

static void reap(struct stage *stage)
{
    int wait_status;
    pid_t pid;
    while ((pid = waitpid(-1, &wait_status, WNOHANG | WUNTRACED | WCONTINUED)) > 0)
        compartment_take_reaped(stage->compartment, pid, wait_status);
}

/* One turn of the loop, which waits a few real milliseconds at most: the tick comes due on a clock that
 * stands. */
static void turn(struct stage *stage)
{
    loop_timer_arm(stage->loop, &stage->tick, loop_now() + 3 * MS);
    cr_assert_eq(loop_once(stage->loop), 0);
    reap(stage);
}

/* Turns until the condition holds, while the clock stands. */
static void turn_until(struct stage *stage, bool (*condition)(const struct stage *stage), const char *what)
{
    double end = support_seconds() + SUPPORT_DEADLINE_SECONDS;
    while (!condition(stage)) {
        cr_assert_lt(support_seconds(), end, "waited for: %s", what);
        turn(stage);
    }
}

/* Moves the clock and lets what is due happen. */
static void pass(struct stage *stage, int64_t span)
{
    moved += span;
    for (int i = 0; i < 3; i++)
        turn(stage);
}

static bool is_ready(const struct stage *stage)
{
    return compartment_is_ready(stage->compartment);
}

static bool is_lost(const struct stage *stage)
{
    return stage->lost > 0;
}

static bool is_down(const struct stage *stage)
{
    return compartment_pid(stage->compartment) == 0;
}

static bool is_another(const struct stage *stage)
{
    return !is_down(stage) && compartment_pid(stage->compartment) != stage->seen;
}

static bool has_attempts(const struct stage *stage)
{
    return stage->attempts > 0;
}

static void start(struct stage *stage)
{
    compartment_start(stage->compartment);
    cr_assert_gt(compartment_pid(stage->compartment), 0);
    cr_assert_not(compartment_is_ready(stage->compartment));
    stage->seen = compartment_pid(stage->compartment);
}

static void start_until_ready(struct stage *stage)
{
    start(stage);
    turn_until(stage, is_ready, "ready");
    cr_assert_eq(stage->ready, 1);
    cr_assert_eq(stage->lost, 0);
}

static int kill_helper(const struct stage *stage, int signal_number)
{
    return send_signal(stage->seen, signal_number);
}

static void use_file(struct stage *stage)
{
    strcpy(stage->file, "/tmp/bulkhead-helper-XXXXXX");
    close(mkstemp(stage->file));
    snprintf(stage->file_variable, sizeof(stage->file_variable), "FAKE_FILE=%s", stage->file);
    stage->environment[1] = stage->file_variable;
}

static void read_file(const struct stage *stage, char *text, size_t size)
{
    FILE *file = fopen(stage->file, "r");
    size_t n = file != NULL ? fread(text, 1, size - 1, file) : 0;
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    text[n] = '\0';
    if (file != NULL)
        fclose(file);
}

static bool has_word(const struct stage *stage)
{
    char text[8192];
    read_file(stage, text, sizeof(text));
    return strstr(text, stage->word) != NULL;
}

static void await_word(struct stage *stage, const char *word)
{
    stage->word = word;
    turn_until(stage, has_word, word);
}

static bool has_answers(const struct stage *stage)
{
    char text[8192];
    read_file(stage, text, sizeof(text));
    int count = 0;
    for (const char *found = text; (found = strstr(found, "answered:")) != NULL; found++)
        count++;
    return count >= stage->answers;
}

/* A successor comes after span, no sooner and no later. */
static void expect_start(struct stage *stage, int64_t span)
{
    int lost = stage->lost;
    pass(stage, span - MS);
    cr_assert(is_down(stage), "it came too soon");
    moved += MS;
    turn(stage);
    cr_assert(is_another(stage) || stage->lost > lost /* and is dead already */, "it is late");
}

/* --- a good one --- */

Test(compartment, greeted_and_configured, .timeout = 60)
{
    struct stage stage;
    char text[8192], argument[16];
    stage_open(&stage, "good");
    use_file(&stage);
    for (int i = 0; i < 5; i++)
        cr_assert_geq(dup(STDERR_FILENO), 0); /* not the helper's */
    stage.descriptors += 5;
    start_until_ready(&stage);
    await_word(&stage, "type 2:"); /* CONFIGURE */
    read_file(&stage, text, sizeof(text));
    cr_assert_not_null(strstr(text, "agent-token"));
    cr_assert_null(strstr(text, "hook-token"), "what it does not need");
    cr_assert_not_null(strstr(text, "descriptors:0 1 2 3 \n"), "%s", text);
    snprintf(argument, sizeof(argument), "argument:%d ", 1);
    cr_assert_not_null(strstr(text, argument), "%s", text);
    stage_close(&stage);
}

Test(compartment, nothing_is_sent_to_one_that_is_not_ready, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "good");
    cr_assert_eq(compartment_send(stage.compartment, MESSAGE_AGENT_SOCKET, NULL, dup(STDERR_FILENO)),
                 -ENOTCONN);
    start(&stage);
    cr_assert_eq(compartment_send(stage.compartment, MESSAGE_AGENT_SOCKET, NULL, dup(STDERR_FILENO)),
                 -ENOTCONN);
    stage_close(&stage);
}

Test(compartment, messages_reach_it, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "good");
    use_file(&stage);
    start_until_ready(&stage);
    Bulkhead__ListTask list = BULKHEAD__LIST_TASK__INIT;
    uint8_t raw[] = "the-raw-task";
    list.has_raw = true;
    list.raw = (ProtobufCBinaryData){.data = raw, .len = sizeof(raw) - 1};
    cr_assert_eq(compartment_send(stage.compartment, MESSAGE_AGENT_LIST_TASK, &list.base, -1), 0);
    await_word(&stage, "the-raw-task");
    cr_assert_eq(stage.lost, 0);
    stage_close(&stage);
}

/* Moves the clock to the next question, and on when the answer is there. */
static void ask_and_answer(struct stage *stage, int64_t span)
{
    moved += span;
    turn(stage);
    stage->answers++;
    turn_until(stage, has_answers, "an answer");
    turn(stage);
}

/* Asked every ten seconds, and it answers. */
Test(compartment, one_that_answers_stays, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "good");
    use_file(&stage);
    start_until_ready(&stage);
    for (int i = 0; i < 50; i++)
        ask_and_answer(&stage, 10 * SECOND);
    cr_assert_eq(stage.lost, 0);
    cr_assert_eq(compartment_pid(stage.compartment), stage.seen);
    stage_close(&stage);
}

/* --- bad ones: given up at once --- */

static const char *const broken_modes[] = {"other-protocol", "garbage",  "forbidden", "early",
                                           "twice",          "bad-body", "pong",      "close"};

Test(compartment, whoever_breaks_the_rules_is_replaced, .timeout = 100)
{
    for (size_t i = 0; i < sizeof(broken_modes) / sizeof(broken_modes[0]); i++) {
        struct stage stage;
        stage_open(&stage, broken_modes[i]);
        start(&stage);
        turn_until(&stage, is_lost, broken_modes[i]);
        cr_assert_not(compartment_is_ready(stage.compartment));
        turn_until(&stage, is_down, broken_modes[i]);
        cr_assert_eq(stage.lost, 1, "%s: told %d times", broken_modes[i], stage.lost);
        expect_start(&stage, 100 * MS);
        stage_close(&stage);
    }
}

Test(compartment, a_handler_that_refuses_ends_it, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "flood");
    stage.answer = -EPROTO;
    /* Its greeting and what is refused may come in one turn: it need not be seen ready in between. */
    start(&stage);
    turn_until(&stage, is_lost, "given up");
    cr_assert_eq(stage.ready, 1);
    cr_assert_eq(stage.attempts, 1);
    stage_close(&stage);
}

/* --- bad ones: given up at a deadline --- */

Test(compartment, one_that_never_greets_has_five_seconds, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "mute");
    start(&stage);
    pass(&stage, 5 * SECOND - MS);
    cr_assert_eq(stage.lost, 0);
    pass(&stage, MS);
    cr_assert_eq(stage.lost, 1);
    turn_until(&stage, is_down, "reaped");
    pass(&stage, 100 * MS);
    cr_assert(is_another(&stage));
    stage_close(&stage);
}

/* Idle: asked after ten seconds, given up after ten more. */
Test(compartment, one_that_never_answers, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "silent");
    start_until_ready(&stage);
    pass(&stage, 10 * SECOND);
    pass(&stage, 10 * SECOND - MS);
    cr_assert_eq(stage.lost, 0);
    pass(&stage, MS);
    cr_assert_eq(stage.lost, 1);
    stage_close(&stage);
}

/* Asked to do something: three seconds. */
Test(compartment, one_that_does_not_answer_a_request, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "silent");
    start_until_ready(&stage);
    cr_assert_eq(compartment_send(stage.compartment, MESSAGE_AGENT_UPDATE, NULL, -1), 0);
    pass(&stage, 2 * SECOND);
    cr_assert_eq(compartment_send(stage.compartment, MESSAGE_AGENT_UPDATE, NULL, -1), 0);
    pass(&stage, SECOND - MS);
    cr_assert_eq(stage.lost, 0);
    pass(&stage, MS);
    cr_assert_eq(stage.lost, 1, "a later request does not give it more time");
    stage_close(&stage);
}

/* Asked while idle already, then a request: the nearer deadline counts. */
Test(compartment, a_request_shortens_an_idle_question, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "silent");
    start_until_ready(&stage);
    pass(&stage, 10 * SECOND);
    cr_assert_eq(compartment_send(stage.compartment, MESSAGE_AGENT_UPDATE, NULL, -1), 0);
    pass(&stage, 3 * SECOND - MS);
    cr_assert_eq(stage.lost, 0);
    pass(&stage, MS);
    cr_assert_eq(stage.lost, 1);
    stage_close(&stage);
}

static bool is_stopped(const struct stage *stage)
{
    return support_state(stage->seen) == 'T';
}

Test(compartment, one_that_stops_has_a_second, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "stop");
    start_until_ready(&stage);
    turn_until(&stage, is_stopped, "stopped");
    pass(&stage, 0);
    pass(&stage, SECOND - MS);
    cr_assert_eq(stage.lost, 0);
    pass(&stage, MS);
    cr_assert_eq(stage.lost, 1);
    turn_until(&stage, is_down, "a stopped one dies too");
    stage_close(&stage);
}

Test(compartment, one_that_is_stopped_and_goes_on_stays, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "stop");
    use_file(&stage);
    start_until_ready(&stage);
    turn_until(&stage, is_stopped, "stopped");
    pass(&stage, 0);
    cr_assert_eq(kill_helper(&stage, SIGCONT), 0);
    ask_and_answer(&stage, 0);
    ask_and_answer(&stage, 10 * SECOND);
    cr_assert_eq(stage.lost, 0);
    stage_close(&stage);
}

/* It speaks without end: the loop's timers still have their turn, and it does not answer. */
Test(compartment, a_flood_does_not_keep_the_loop, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "flood");
    start_until_ready(&stage);
    turn_until(&stage, has_attempts, "flooded");
    cr_assert_eq(compartment_send(stage.compartment, MESSAGE_AGENT_UPDATE, NULL, -1), 0);
    pass(&stage, 3 * SECOND - MS);
    cr_assert_eq(stage.lost, 0);
    pass(&stage, MS);
    cr_assert_eq(stage.lost, 1);
    stage_close(&stage);
}

/* A request is given to it until no more fits; then it is known to hang, and is told of that only once. */
Test(compartment, one_that_does_not_read, .timeout = 60)
{
    struct stage stage;
    int r, sent = 0;
    stage_open(&stage, "deaf");
    start_until_ready(&stage);
    Bulkhead__ListTask list = BULKHEAD__LIST_TASK__INIT;
    list.has_raw = true;
    list.raw.len = 100000;
    list.raw.data = calloc(1, list.raw.len);
    while ((r = compartment_send(stage.compartment, MESSAGE_AGENT_LIST_TASK, &list.base, -1)) == 0)
        cr_assert_lt(++sent, 1000);
    cr_assert_eq(r, -ENOBUFS);
    cr_assert_gt(sent, 1);
    cr_assert_eq(stage.lost, 1);
    cr_assert_eq(compartment_send(stage.compartment, MESSAGE_AGENT_LIST_TASK, &list.base, -1), -ENOTCONN);
    turn_until(&stage, is_down, "reaped");
    cr_assert_eq(stage.lost, 1);
    free(list.raw.data);
    stage_close(&stage);
}

/* --- the end of one, and its successor --- */

Test(compartment, one_that_dies_is_replaced, .timeout = 60)
{
    static const char *const modes[] = {"leave", "die"};
    for (int i = 0; i < 2; i++) {
        struct stage stage;
        stage_open(&stage, modes[i]);
        start(&stage);
        turn_until(&stage, is_down, "dead");
        cr_assert_eq(stage.lost, 1);
        expect_start(&stage, 100 * MS);
        stage_close(&stage);
    }
}

Test(compartment, one_that_was_killed_is_replaced, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "good");
    start_until_ready(&stage);
    cr_assert_eq(kill_helper(&stage, SIGKILL), 0);
    turn_until(&stage, is_down, "dead");
    cr_assert_eq(stage.lost, 1);
    pass(&stage, 100 * MS);
    turn_until(&stage, is_ready, "its successor");
    cr_assert_eq(stage.ready, 2);
    stage_close(&stage);
}

/* Those that die young: 100 ms, twice that, and so on up to five seconds; no sooner and no later. */
Test(compartment, the_useless_are_throttled, .timeout = 60)
{
    static const int delays[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
    struct stage stage;
    stage_open(&stage, "exit");
    start(&stage);
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        turn_until(&stage, is_down, "dead");
        cr_assert_eq(stage.lost, (int)i + 1);
        stage.seen = 0;
        expect_start(&stage, delays[i] * MS);
    }
    stage_close(&stage);
}

/* Those that were of use are followed at once, and what went before is forgiven. */
Test(compartment, the_useful_are_followed_at_once, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "exit");
    start(&stage);
    for (int i = 0; i < 3; i++) {
        turn_until(&stage, is_down, "dead");
        pass(&stage, 5 * SECOND);
    }
    turn_until(&stage, is_down, "dead");
    stage.mark_useful = true;
    strcpy(stage.mode, "FAKE_MODE=good");
    pass(&stage, 5 * SECOND);
    turn_until(&stage, is_ready, "ready");

    stage.mark_useful = false;
    for (int i = 0; i < 2; i++) {
        if (i == 1)
            compartment_mark_useful(stage.compartment);
        stage.seen = compartment_pid(stage.compartment);
        cr_assert_eq(kill_helper(&stage, SIGKILL), 0);
        turn_until(&stage, is_another, "its successor, while the clock stands");
        turn_until(&stage, is_ready, "its successor is ready");
    }
    stage.seen = compartment_pid(stage.compartment);
    cr_assert_eq(kill_helper(&stage, SIGKILL), 0); /* this one was of no use */
    turn_until(&stage, is_down, "dead");
    expect_start(&stage, 100 * MS);
    stage_close(&stage);
}

Test(compartment, a_program_that_is_missing_is_tried_again, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "good");
    stage.definition.program = "/nonexistent/agent-client";
    start(&stage);
    turn_until(&stage, is_down, "dead");
    stage.definition.program = stage.program;
    pass(&stage, 100 * MS);
    turn_until(&stage, is_ready, "ready");
    stage_close(&stage);
}

/* SIGKILL has not ended it (nobody reaps here): the successor does not wait for that for ever. */
Test(compartment, one_that_does_not_die_is_not_waited_for, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "mute");
    start(&stage);
    moved += 10 * SECOND;
    loop_timer_arm(stage.loop, &stage.tick, loop_now() + 3 * MS);
    cr_assert_eq(loop_once(stage.loop), 0);
    cr_assert_eq(stage.lost, 1);
    moved += 2 * SECOND - MS;
    cr_assert_eq(loop_once(stage.loop), 0);
    cr_assert_eq(compartment_pid(stage.compartment), stage.seen);
    moved += MS;
    cr_assert_eq(loop_once(stage.loop), 0);
    cr_assert(is_another(&stage));
    cr_assert_eq(stage.lost, 1);
    int wait_status;
    cr_assert_eq(waitpid(stage.seen, &wait_status, 0), stage.seen);
    cr_assert_not(compartment_take_reaped(stage.compartment, stage.seen, wait_status), "no longer its own");
    stage_close(&stage);
}

Test(compartment, other_children_are_not_its_own, .timeout = 60)
{
    struct stage stage;
    stage_open(&stage, "good");
    cr_assert_not(compartment_take_reaped(stage.compartment, 1, 0));
    start_until_ready(&stage);
    cr_assert_not(compartment_take_reaped(stage.compartment, stage.seen + 1, 0));
    cr_assert(is_ready(&stage));
    stage_close(&stage);
}
