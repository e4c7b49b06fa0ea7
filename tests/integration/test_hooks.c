/*
 * Hooks around a task's life, over the real programs: the order of the events, what a hook that fails, hangs
 * or is cut off does to the task, and the clock of the end.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/hooked.h"

TestSuite(hooks, .init = hooked_begin, .fini = hooked_end, .timeout = 120);

#define HOOK_TIMEOUT "ALLEGRO_EXECUTOR_HOOK_TIMEOUT="
#define END_TIMEOUT "ALLEGRO_EXECUTOR_TERMINATE_HOOKS_TIMEOUT="
#define WITHOUT_CHECK "ALLEGRO_EXECUTOR_HEALTHY_WITHOUT_CHECK=true"

/* A hook that is in the journal and then hangs, at this event and no other. */
#define HANG_AT(event) NOTE "[ \"$1\" != " event " ] || exec sleep 1000\n"
#define HANG_FOR_T_AT(event) NOTE "[ \"$1 $BULKHEAD_TASK_ID\" != '" event " t' ] || exec sleep 1000\n"
#define FAIL_AT(event) NOTE "[ \"$1\" != " event " ] || exit 7\n"

/* A task with a health check that passes at once and is repeated. */
#define HEALTHY_TASK                                                                                         \
    "{'task_id': {'value': 't'}, 'command': {'value': 'exec %s t >>journal'}, 'health_check': "              \
    "{'type': 'COMMAND', 'command': {'value': 'true'}, 'delay_seconds': 0, 'interval_seconds': 0.05, "       \
    "'timeout_seconds': 20, 'grace_period_seconds': 0}}"

static void kill_and_end(struct devagent *agent, const char *task_id)
{
    devagent_kill(agent, task_id, -1);
    expect_state(agent, task_id, KILLED);
    agent_end_in_time(agent, 0);
}

/* ---- order ---- */

Test(hooks, all_events_in_order)
{
    hooked_set(WITHOUT_CHECK);
    hooked_add("10-note", NOTE);
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "");
    expect_journal(agent, "BeforeTaskStart t", "t ready", NULL);
    expect_journal(agent, "BeforeTaskStart t", "AfterTaskStart t", NULL);
    expect_journal(agent, "BeforeTaskStart t", "AfterTaskHealthy t", NULL);
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_journal(agent, "t ready", "BeforeTerminate t", "t heard TERM", NULL);
    static const char *const events[] = {"BeforeTaskStart", "AfterTaskStart", "AfterTaskHealthy",
                                         "BeforeTerminate"};
    for (size_t i = 0; i < 4; i++)
        cr_expect_eq(journal_count(agent, events[i]), 1, "%s", events[i]);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    agent_end_in_time(agent, 0);
}

Test(hooks, by_name)
{
    hooked_add("20-second", "echo \"second $1\" >>journal\n");
    hooked_add("10-first", "sleep 0.2\necho \"first $1\" >>journal\n");
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "");
    expect_journal(agent, "first BeforeTaskStart", "second BeforeTaskStart", "t ready",
                   "first AfterTaskStart", "second AfterTaskStart", NULL);
    kill_and_end(agent, "t");
}

Test(hooks, the_task_as_json)
{
    hooked_add("10-read", "[ \"$1\" = BeforeTaskStart ] && cat >told\nexit 0\n");
    struct devagent *agent = hooked_agent();
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'command': {'value': 'exec %s t >>journal'}, "
                "'labels': {'labels': [{'key': 'colour', 'value': 'green'}]}}",
                HELPER("hear"));
    expect_state(agent, "t", RUNNING);
    expect_file(agent, "told", "\"id\":\"t\"");
    expect_file(agent, "told", "green");
    kill_and_end(agent, "t");
}

/* ---- BeforeTaskStart ---- */

Test(hooks, variables_for_the_task)
{
    hooked_add("10-say", "[ \"$1\" = BeforeTaskStart ] || exit 0\n"
                         "echo NEW='one two'\necho OWN=hook\necho MESOS_ALLOCATION_ROLE=hook\necho EMPTY=\n");
    hooked_add("20-again", "[ \"$1\" = BeforeTaskStart ] && echo LATER=second\nexit 0\n");
    struct devagent *agent = hooked_agent();
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'command': {'value': 'exec %s', 'environment': "
                "{'variables': [{'name': 'OWN', 'value': 'task'}, {'name': 'KEPT', 'value': 'task'}]}}, "
                "'resources': [{'name': 'cpus', 'type': 'SCALAR', 'scalar': {'value': 1}, "
                "'allocation_info': {'role': 'theirs'}}]}",
                HELPER("show_world"));
    expect_state(agent, "t", FINISHED);
    static const char *const wanted[] = {"env NEW=one two\n",  "env OWN=hook\n",
                                         "env KEPT=task\n",    "env EMPTY=\n",
                                         "env LATER=second\n", "env MESOS_ALLOCATION_ROLE=theirs\n"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        cr_expect(output_has(agent, wanted[i]), "no %s", wanted[i]);
    cr_expect(!output_has(agent, "env OWN=task"));
    agent_end_in_time(agent, 0);
}

static void expect_not_started(const char *words)
{
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "");
    const struct devagent_update *update = expect_state(agent, "t", FAILED);
    expect_message(agent, update, words);
    expect_message(agent, update, "BeforeTaskStart");
    expect_states(agent, "t", "STARTING FAILED");
    expect_journal(agent, "BeforeTaskStart t", "BeforeTerminate t", NULL);
    cr_expect_eq(journal_count(agent, "BeforeTerminate"), 1);
    cr_expect_eq(journal_count(agent, "ready"), 0, "the program was started");
    agent_end_in_time(agent, 0);
}

Test(hooks, a_start_hook_that_fails)
{
    hooked_add("10-no", FAIL_AT("BeforeTaskStart"));
    expect_not_started("10-no");
}

Test(hooks, a_start_hook_that_hangs)
{
    hooked_set(HOOK_TIMEOUT "1s");
    hooked_add("10-slow", HANG_AT("BeforeTaskStart"));
    expect_not_started("10-slow");
}

Test(hooks, a_line_that_is_no_variable)
{
    hooked_add("10-line", NOTE "[ \"$1\" != BeforeTaskStart ] || printf 'A=1\\nnonsense\\n'\n");
    expect_not_started("line 2 (nonsense)");
}

Test(hooks, a_name_that_is_none)
{
    hooked_add("10-line", NOTE "[ \"$1\" != BeforeTaskStart ] || echo 2X=secret\n");
    expect_not_started("line 1 (2X=");
}

Test(hooks, start_hooks_stop_at_the_first_failure)
{
    hooked_add("10-no", FAIL_AT("BeforeTaskStart"));
    hooked_add("20-never", "[ \"$1\" != BeforeTaskStart ] || echo unwanted >>journal\n");
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "");
    expect_state(agent, "t", FAILED);
    cr_expect_eq(journal_count(agent, "unwanted"), 0);
    agent_end_in_time(agent, 0);
}

/* ---- AfterTaskStart, AfterTaskHealthy ---- */

static void expect_ended_by(const char *hook, const char *event)
{
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "");
    const struct devagent_update *update = expect_state(agent, "t", FAILED);
    expect_message(agent, update, hook);
    expect_message(agent, update, event);
    expect_states(agent, "t", "STARTING RUNNING FAILED");
    cr_expect_eq(journal_count(agent, "BeforeTerminate"), 1);
    agent_end_in_time(agent, 0);
}

Test(hooks, AfterTaskStart_fails_the_task)
{
    hooked_add("10-no", FAIL_AT("AfterTaskStart"));
    expect_ended_by("10-no", "AfterTaskStart");
}

Test(hooks, AfterTaskHealthy_fails_the_task)
{
    hooked_set(WITHOUT_CHECK);
    hooked_add("10-no", FAIL_AT("AfterTaskHealthy"));
    expect_ended_by("10-no", "AfterTaskHealthy");
}

Test(hooks, a_hanging_AfterTaskStart_fails_the_task)
{
    hooked_set(HOOK_TIMEOUT "1s");
    hooked_add("10-slow", HANG_AT("AfterTaskStart"));
    expect_ended_by("10-slow", "AfterTaskStart");
}

static void expect_kept(const char *event)
{
    hooked_set("ALLEGRO_EXECUTOR_HOOK_FAILURE=keep");
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "");
    expect_state(agent, "t", RUNNING);
    expect_file(agent, "stderr", "keeping the task");
    cr_expect(file_has(agent, "stderr", event));
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    agent_end_in_time(agent, 0);
}

Test(hooks, AfterTaskStart_fails_and_the_task_is_kept)
{
    hooked_add("10-no", FAIL_AT("AfterTaskStart"));
    expect_kept("AfterTaskStart");
}

Test(hooks, AfterTaskHealthy_fails_and_the_task_is_kept)
{
    hooked_set(WITHOUT_CHECK);
    hooked_add("10-no", FAIL_AT("AfterTaskHealthy"));
    expect_kept("AfterTaskHealthy");
}

static bool is_told_healthy(struct devagent *agent, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < devagent_update_count(agent); i++) {
        const struct devagent_update *update = devagent_update_at(agent, i);
        if (update->has_healthy && update->healthy)
            return true;
    }
    return false;
}

/* The hook waits for a file; before it is there nothing may be said, however often the check passes. */
Test(hooks, healthy_is_told_after_AfterTaskHealthy)
{
    hooked_add("10-wait", NOTE "[ \"$1\" = AfterTaskHealthy ] || exit 0\n"
                               "until [ -e go ]; do sleep 0.02; done\necho ended >>journal\n");
    struct devagent *agent = hooked_agent();
    launch_json(agent, HEALTHY_TASK, HELPER("hear"));
    expect_state(agent, "t", RUNNING);
    expect_journal(agent, "AfterTaskHealthy t", NULL);
    devagent_run_for(agent, 500); /* several results of the check */
    if (is_told_healthy(agent, NULL))
        fail_with_story(agent, "healthy before the hook had ended");
    stage_file(agent, "/dev/null", "go", 0644);
    cr_assert(wait_until(agent, is_told_healthy, NULL), "healthy was not told");
    cr_expect_eq(journal_count(agent, "ended"), 1);
    cr_expect_eq(journal_count(agent, "AfterTaskHealthy"), 1);
    expect_states(agent, "t", "STARTING RUNNING RUNNING");
    kill_and_end(agent, "t");
}

Test(hooks, nobody_is_told_healthy_when_its_hook_fails)
{
    hooked_add("10-no", FAIL_AT("AfterTaskHealthy"));
    struct devagent *agent = hooked_agent();
    launch_json(agent, HEALTHY_TASK, HELPER("hear"));
    expect_message(agent, expect_state(agent, "t", FAILED), "10-no");
    cr_expect(!is_told_healthy(agent, NULL));
    agent_end_in_time(agent, 0);
}

Test(hooks, no_AfterTaskHealthy_without_a_check)
{
    hooked_add("10-note", NOTE);
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "");
    expect_journal(agent, "AfterTaskStart t", NULL);
    kill_and_end(agent, "t"); /* its hooks come later than one of the start would */
}

/* ---- BeforeTerminate ---- */

static void expect_one_end(const char *command, Mesos__V1__TaskState state, const char *states)
{
    hooked_add("10-note", NOTE);
    struct devagent *agent = hooked_agent();
    devagent_launch_command(agent, "t", command);
    expect_state(agent, "t", state);
    expect_states(agent, "t", states);
    cr_expect_eq(journal_count(agent, "BeforeTerminate t"), 1);
    agent_end_in_time(agent, 0);
}

Test(hooks, end_hooks_of_a_task_that_finished)
{
    expect_one_end("exit 0", FINISHED, "STARTING RUNNING FINISHED");
}

Test(hooks, end_hooks_of_a_task_that_failed)
{
    expect_one_end("exit 3", FAILED, "STARTING RUNNING FAILED");
}

Test(hooks, end_hooks_of_a_task_that_could_not_start)
{
    hooked_add("10-note", NOTE);
    struct devagent *agent = hooked_agent();
    launch_json(agent, "{'task_id': {'value': 't'}, 'command': {'shell': false, 'value': '/nonexistent/x'}}");
    expect_state(agent, "t", FAILED);
    expect_states(agent, "t", "STARTING FAILED");
    cr_expect_eq(journal_count(agent, "BeforeTerminate t"), 1);
    agent_end_in_time(agent, 0);
}

/* The later ones run although the first has failed. */
Test(hooks, a_failing_end_hook_ends_the_task)
{
    hooked_add("10-no", FAIL_AT("BeforeTerminate"));
    hooked_add("20-yes", "echo \"second $1\" >>journal\n");
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "");
    expect_journal(agent, "t ready", NULL);
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_journal(agent, "BeforeTerminate t", "second BeforeTerminate", "t heard TERM", NULL);
    cr_expect(file_has(agent, "stderr", "10-no exited") || file_has(agent, "stderr", "10-no exit"),
              "the failure is not reported");
    agent_end_in_time(agent, 0);
}

Test(hooks, the_end_waits_so_long_and_no_longer)
{
    hooked_set(END_TIMEOUT "1s");
    hooked_add("10-slow", HANG_AT("BeforeTerminate"));
    hooked_add("20-slow", HANG_AT("BeforeTerminate"));
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "");
    expect_journal(agent, "t ready", NULL);
    devagent_kill(agent, "t", -1);
    const struct devagent_update *update = expect_state(agent, "t", KILLED);
    /* hookd gets a little less than all of it, so that it can still say which hook was too slow. */
    cr_expect_geq(SINCE_KILL(agent, update), 500, "%lld ms", (long long)SINCE_KILL(agent, update));
    expect_message(agent, update, "code 0"); /* SIGTERM was enough */
    expect_dead(agent, journal_pid(agent, "BeforeTerminate t"));
    agent_end_in_time(agent, 0);
}

/* What a hook has started ends with it, wherever it has gone; agent_end() counts what is left. */
Test(hooks, a_hanging_end_hook_leaves_nothing_behind)
{
    hooked_set(END_TIMEOUT "300ms");
    hooked_add("10-slow", NOTE "[ \"$1\" = BeforeTerminate ] || exit 0\n"
                               "setsid sleep 1000 &\n(sleep 1000 & sleep 1000) &\nsleep 1000\n");
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "");
    expect_journal(agent, "t ready", NULL);
    kill_and_end(agent, "t");
}

/* The agent's grace is so short that the executor leaves as soon as it can. */
Test(hooks, a_shutdown_leaves_nothing_of_a_hanging_hook_behind)
{
    hooked_set(END_TIMEOUT "60s");
    hooked_add("10-slow", NOTE "[ \"$1\" = BeforeTerminate ] || exit 0\n"
                               "setsid sleep 1000 &\n(sleep 1000 & sleep 1000) &\nsleep 1000\n");
    struct devagent_options options = hooked_options();
    options.shutdown_grace_ms = 1000;
    struct devagent *agent = agent_begin(&options);
    hooked_launch(agent, "t", "");
    expect_journal(agent, "t ready", NULL);
    devagent_shutdown(agent);
    expect_state(agent, "t", KILLED);
    agent_end_in_time(agent, 0);
}

Test(hooks, drain_between_the_hooks_and_SIGTERM)
{
    hooked_set("ALLEGRO_EXECUTOR_DRAIN_DELAY=500ms");
    hooked_add("10-note", "echo \"$1 at $(date +%s%N)\" >>journal\n");
    struct devagent *agent = hooked_agent();
    devagent_launch_command(
        agent, "t",
        "trap 'echo heard at $(date +%s%N) >>journal; exit 0' TERM; echo ready >>journal; "
        "while :; do sleep 0.01; done");
    expect_journal(agent, "ready", NULL);
    devagent_kill(agent, "t", 60000);
    expect_state(agent, "t", KILLED);
    expect_journal(agent, "BeforeTerminate at", "heard at", NULL);
    char *journal = devagent_read_file(agent, "journal");
    long long hook = atoll(strstr(journal, "BeforeTerminate at ") + strlen("BeforeTerminate at "));
    long long heard = atoll(strstr(journal, "heard at ") + strlen("heard at "));
    cr_expect_geq(heard - hook, 500000000, "drained for %lld ns", heard - hook);
    free(journal);
    agent_end_in_time(agent, 0);
}

/* ---- a kill while earlier hooks run ---- */

/* Another task, for which no hook hangs, keeps the executor there: its end would end the hook, too. */
static void kill_during(const char *event, const char *states)
{
    struct devagent *agent = hooked_agent();
    char words[64];
    snprintf(words, sizeof(words), "%s t ", event);
    hooked_launch(agent, "other", "");
    expect_journal(agent, "other ready", NULL);
    hooked_launch(agent, "t", "");
    pid_t pid = journal_pid(agent, words);
    if (strstr(states, "RUNNING") != NULL)
        expect_state(agent, "t", RUNNING);
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED); /* the hook has a minute */
    expect_dead(agent, pid);
    expect_states(agent, "t", states);
    cr_expect_eq(journal_count(agent, "BeforeTerminate t"), 1);
    kill_and_end(agent, "other");
}

Test(hooks, a_kill_cancels_BeforeTaskStart)
{
    hooked_set(HOOK_TIMEOUT "60s");
    hooked_add("10-slow", HANG_FOR_T_AT("BeforeTaskStart"));
    kill_during("BeforeTaskStart", "STARTING KILLED");
}

Test(hooks, a_kill_cancels_AfterTaskStart)
{
    hooked_set(HOOK_TIMEOUT "60s");
    hooked_add("10-slow", HANG_FOR_T_AT("AfterTaskStart"));
    kill_during("AfterTaskStart", "STARTING RUNNING KILLED");
}

Test(hooks, a_kill_cancels_AfterTaskHealthy)
{
    hooked_set(HOOK_TIMEOUT "60s");
    hooked_set(WITHOUT_CHECK);
    hooked_add("10-slow", HANG_FOR_T_AT("AfterTaskHealthy"));
    kill_during("AfterTaskHealthy", "STARTING RUNNING KILLED");
}

/* A task that ends by itself does not wait for them either. */
Test(hooks, an_exit_cancels_AfterTaskStart)
{
    hooked_set(HOOK_TIMEOUT "60s");
    hooked_add("10-slow", HANG_FOR_T_AT("AfterTaskStart"));
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "other", "");
    devagent_launch_command(agent, "t", "until grep -q 'AfterTaskStart t' journal; do sleep 0.02; done");
    expect_state(agent, "t", FINISHED);
    expect_dead(agent, journal_pid(agent, "AfterTaskStart t"));
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    expect_journal(agent, "other ready", NULL);
    kill_and_end(agent, "other");
}

Test(hooks, a_second_kill_shortens_the_grace_and_does_not_repeat_the_hooks)
{
    hooked_set(END_TIMEOUT "2s");
    hooked_add("10-slow", HANG_AT("BeforeTerminate"));
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "ignore");
    expect_journal(agent, "t ready", NULL);
    devagent_kill(agent, "t", 60000);
    expect_journal(agent, "BeforeTerminate t", NULL);
    devagent_kill(agent, "t", 100);
    expect_message(agent, expect_state(agent, "t", KILLED), "signal 9");
    expect_journal(agent, "BeforeTerminate t", "t heard TERM", NULL);
    cr_expect_eq(journal_count(agent, "BeforeTerminate t"), 1);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    agent_end_in_time(agent, 0);
}

/* ---- SHUTDOWN ---- */

/* Every hook hangs, each in its own way out of reach of SIGTERM. */
static void shutdown_while(const char *script, const char *event)
{
    hooked_set(HOOK_TIMEOUT "60s");
    hooked_set(END_TIMEOUT "60s");
    hooked_set(WITHOUT_CHECK);
    hooked_add("10-slow", script);
    hooked_add("20-slow", script);
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "ignore");
    expect_journal(agent, event, NULL);
    if (strcmp(event, "BeforeTaskStart t") != 0)
        expect_journal(agent, "t ready", NULL);
    int64_t before = devagent_now_ns();
    devagent_shutdown(agent);
    expect_state(agent, "t", KILLED);
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
    int64_t took = milliseconds(devagent_exited_ns(agent) - before);
    cr_expect_lt(took, 5000, "gone after %lld ms", (long long)took);
    expect_journal(agent, "BeforeTerminate t", NULL);
    agent_end_in_time(agent, 0);
}

Test(hooks, shutdown_while_every_hook_hangs)
{
    shutdown_while(NOTE "trap '' TERM\n[ \"$1\" = BeforeTaskStart ] || exec sleep 1000\n",
                   "AfterTaskHealthy t");
}

Test(hooks, shutdown_while_the_start_hook_hangs)
{
    shutdown_while(NOTE "trap '' TERM\nexec sleep 1000\n", "BeforeTaskStart t");
}

Test(hooks, shutdown_during_a_kill_whose_hooks_hang)
{
    hooked_set(END_TIMEOUT "60s");
    hooked_add("10-slow", HANG_AT("BeforeTerminate"));
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "ignore");
    expect_journal(agent, "t ready", NULL);
    devagent_kill(agent, "t", 60000);
    expect_journal(agent, "BeforeTerminate t", NULL);
    devagent_shutdown(agent);
    expect_state(agent, "t", KILLED);
    cr_expect_eq(journal_count(agent, "BeforeTerminate t"), 1);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    agent_end_in_time(agent, 0);
}

/* ---- several ---- */

Test(hooks, several_tasks_at_once)
{
    hooked_set(HOOK_TIMEOUT "60s");
    hooked_add("10-note", NOTE "[ \"$1 $BULKHEAD_TASK_ID\" != 'AfterTaskStart slow' ] || exec sleep 1000\n");
    struct devagent *agent = hooked_agent();
    static const char *const ids[] = {"slow", "a", "b", "c", "d"};
    for (size_t i = 0; i < 5; i++)
        hooked_launch(agent, ids[i], "");
    for (size_t i = 0; i < 5; i++)
        expect_state(agent, ids[i], RUNNING);
    for (size_t i = 0; i < 5; i++) {
        char words[32];
        snprintf(words, sizeof(words), "%s ready", ids[i]);
        expect_journal(agent, words, NULL);
    }
    for (size_t i = 5; i-- > 0;)
        devagent_kill(agent, ids[i], -1);
    for (size_t i = 0; i < 5; i++) {
        char words[32];
        snprintf(words, sizeof(words), "BeforeTerminate %s ", ids[i]);
        expect_state(agent, ids[i], KILLED);
        expect_states(agent, ids[i], "STARTING RUNNING KILLED");
        cr_expect_eq(journal_count(agent, words), 1, "%s", ids[i]);
    }
    agent_end_in_time(agent, 0);
}

/* ---- hookd itself ---- */

Test(hooks, no_hookd_without_hooks)
{
    struct devagent *agent = agent_begin_task(NULL, "t", "exec " HELPER("hear") " t");
    expect_pid(agent, "t ready");
    cr_expect_eq(count_named(agent, "hookd"), 0);
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    cr_expect(!file_has(agent, "stderr", "helper=hookd"));
    agent_end_in_time(agent, 0);
}

Test(hooks, hookd_is_started_by_the_first_job)
{
    hooked_add("10-note", NOTE);
    struct devagent *agent = hooked_agent();
    cr_assert_eq(devagent_wait_subscribed(agent, DEADLINE_MS), 0);
    cr_expect_eq(count_named(agent, "hookd"), 0);
    hooked_launch(agent, "t", "");
    expect_journal(agent, "t ready", NULL);
    expect_named(agent, "hookd", 1);
    kill_and_end(agent, "t");
}

/* ---- refused executables ---- */

static void expect_refused(const char *script, mode_t mode, const char *words)
{
    hooked_add_with_mode("10-refused", script, mode);
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "");
    expect_message(agent, expect_state(agent, "t", FAILED), words);
    expect_file(agent, "stderr", words);
    expect_file(agent, "stderr", "10-refused");
    cr_expect_eq(journal_count(agent, "BeforeTaskStart"), 0, "it was run");
    agent_end_in_time(agent, 0);
}

Test(hooks, not_executable)
{
    expect_refused(NOTE, 0644, "is not executable");
}

Test(hooks, writable_by_others)
{
    expect_refused(NOTE, 0757, "is writable by others");
}

Test(hooks, writable_by_its_group)
{
    expect_refused(NOTE, 0775, "is writable by its group");
}

Test(hooks, what_a_hook_prints_bears_its_name)
{
    hooked_add("10-speaker", "echo \"I am at $1\" >&2\n");
    struct devagent *agent = hooked_agent();
    hooked_launch(agent, "t", "");
    expect_journal(agent, "t ready", NULL);
    expect_file(agent, "stderr", "10-speaker: I am at BeforeTaskStart\n");
    kill_and_end(agent, "t");
}
