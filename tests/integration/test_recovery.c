/*
 * Agents that are not there: not up yet, restarting, refusing, forgetful, gone for good; and the agents that
 * can only be reached in a certain way: with a token, over TLS, over a domain socket. With checkpointing the
 * task outlives the agent as long as the recovery timeout says; without, it ends with the agent's end of the
 * stream.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/checks.h"

TestSuite(recovery, .timeout = 120);

static struct devagent_options without_checkpoint(void)
{
    struct devagent_options options = agent_options();
    options.checkpoint = false;
    return options;
}

static struct devagent *create(const struct devagent_options *options)
{
    struct devagent *agent;
    cr_assert_eq(devagent_create(options, &agent), 0);
    return agent;
}

/* Kills the task t, which must have been running undisturbed, and ends the test. */
static void kill_and_end(struct devagent *agent)
{
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    conversation_end(agent, 0);
}

/* Tasks that note what they hear: `ready` is in stdout as soon as they listen. */
#define NOTES_TERM(then)                                                                                     \
    "exec 2>/dev/null; trap 'touch heard; " then "' TERM; echo ready; while :; do sleep 0.01; done"
#define IGNORES_TERM "exec 2>/dev/null; trap '' TERM; echo ready; while :; do sleep 0.01; done"

static struct devagent *begin_listening_task(const struct devagent_options *options, const char *command)
{
    struct devagent *agent = agent_begin_task(options, "t", command);
    expect_file(agent, "stdout", "ready");
    await_all_acknowledged(agent);
    return agent;
}

static bool has_heard(struct devagent *agent, void *arg)
{
    (void)arg;
    char path[4096];
    snprintf(path, sizeof(path), "%s/heard", devagent_sandbox(agent));
    return access(path, F_OK) == 0;
}

/* ---- an agent that is not up yet ---- */

static void waits_for_an_agent(bool checkpoint, bool domain_socket, int64_t recovering_ms)
{
    struct devagent_options options = agent_options();
    options.checkpoint = checkpoint;
    options.domain_socket = domain_socket;
    options.not_listening = true;
    struct devagent *agent = agent_begin(&options);
    devagent_launch_command(agent, "t", "exec sleep 100");
    expect_log(agent, "cannot subscribe");
    cr_assert_eq(devagent_listen(agent, recovering_ms), 0);
    expect_state(agent, "t", RUNNING);
    if (recovering_ms > 0)
        cr_assert_gt(count_calls(agent, DEVAGENT_CALL_SUBSCRIBE, 503), 0);
    kill_and_end(agent);
}

Test(recovery, an_agent_that_is_not_up_yet)
{
    waits_for_an_agent(true, false, 0);
}

Test(recovery, an_agent_that_is_not_up_yet_without_checkpoint)
{
    waits_for_an_agent(false, false, 0);
}

Test(recovery, an_agent_that_is_not_up_yet_and_has_to_recover)
{
    waits_for_an_agent(true, false, 1000);
}

Test(recovery, an_agent_whose_domain_socket_is_not_there_yet)
{
    waits_for_an_agent(true, true, 0);
}

/* ---- refusals of SUBSCRIBE ---- */

static const struct devagent_fault refusals[] = {
    {.kind = DEVAGENT_FAULT_STATUS, .calls = DEVAGENT_CALL_SUBSCRIBE, .status = 503},
    {.kind = DEVAGENT_FAULT_STATUS, .calls = DEVAGENT_CALL_SUBSCRIBE, .status = 404},
    {.kind = DEVAGENT_FAULT_STATUS, .calls = DEVAGENT_CALL_SUBSCRIBE, .status = 401},
    {.kind = DEVAGENT_FAULT_STATUS, .calls = DEVAGENT_CALL_SUBSCRIBE, .status = 403},
    {.kind = DEVAGENT_FAULT_STATUS, .calls = DEVAGENT_CALL_SUBSCRIBE, .status = 400},
    {.kind = DEVAGENT_FAULT_STATUS,
     .calls = DEVAGENT_CALL_SUBSCRIBE,
     .status = 400,
     .body = "Framework cannot be found"},
    {.kind = DEVAGENT_FAULT_STATUS, .calls = DEVAGENT_CALL_SUBSCRIBE, .status = 500},
    {.kind = DEVAGENT_FAULT_STATUS, .calls = DEVAGENT_CALL_SUBSCRIBE, .status = 501},
    {.kind = DEVAGENT_FAULT_STATUS, .calls = DEVAGENT_CALL_SUBSCRIBE, .status = 307},
    {.kind = DEVAGENT_FAULT_WRONG_TYPE},
    {.kind = DEVAGENT_FAULT_CLOSE_AFTER_BODY, .calls = DEVAGENT_CALL_SUBSCRIBE},
    {.kind = DEVAGENT_FAULT_END_AFTER_HEAD},
    {.kind = DEVAGENT_FAULT_NO_ANSWER, .calls = DEVAGENT_CALL_SUBSCRIBE},
};
enum { REFUSALS = sizeof(refusals) / sizeof(refusals[0]) };

static const char *const short_timeout[] = {"ALLEGRO_EXECUTOR_HTTP_TIMEOUT=400ms", NULL};

/* One of each, one after the other: before the first subscription they are all waits. */
static void refused_at_first(bool checkpoint)
{
    struct devagent_options options = agent_options();
    options.checkpoint = checkpoint;
    options.environment = short_timeout;
    /* Attempts come at most half of this apart: thirteen of them shall not take long. */
    options.reregistration_timeout_ms = 400;
    options.never_destroy = true;
    struct devagent *agent = create(&options);
    for (size_t i = 0; i < REFUSALS; i++)
        if (checkpoint || refusals[i].kind != DEVAGENT_FAULT_END_AFTER_HEAD)
            devagent_add_fault(agent, &refusals[i]);
    devagent_launch_command(agent, "t", "exec sleep 100");
    cr_assert_eq(devagent_start_executor(agent), 0);
    expect_state(agent, "t", RUNNING);
    cr_assert_eq(devagent_faults_left(agent), 0);
    kill_and_end(agent);
}

Test(recovery, refused_in_every_way_before_the_first_subscription)
{
    refused_at_first(true);
}

Test(recovery, refused_in_every_way_before_the_first_subscription_without_checkpoint)
{
    refused_at_first(false);
}

Test(recovery, refused_in_every_way_after_the_agent_was_lost)
{
    struct devagent_options options = agent_options();
    options.environment = short_timeout;
    options.reregistration_timeout_ms = 400;
    options.never_destroy = true;
    struct devagent *agent = agent_begin_task(&options, "t", UNTIL_GO(0));
    size_t settled = settle(agent);
    await_all_acknowledged(agent);
    for (size_t i = 0; i < REFUSALS; i++)
        devagent_add_fault(agent, &refusals[i]);
    devagent_drop_stream(agent, DEVAGENT_DROP_RESET);
    await_calls(agent, DEVAGENT_CALL_SUBSCRIBE, 0, 4);
    make_file(agent, "go");
    expect_state(agent, "t", FINISHED);
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    cr_assert_eq(devagent_faults_left(agent), 0);
    expect_never_again(agent, settled);
    conversation_end(agent, 0);
}

/* Without checkpointing a refusal, like the end of the stream, is the agent's last word. */
Test(recovery, the_end_of_the_stream_is_the_end_without_checkpoint)
{
    static const enum devagent_drop hows[] = {DEVAGENT_DROP_END, DEVAGENT_DROP_CUT, DEVAGENT_DROP_RESET};
    for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
        struct devagent_options options = without_checkpoint();
        struct devagent *agent = begin_listening_task(&options, NOTES_TERM("exit 0"));
        await_all_acknowledged(agent);
        devagent_drop_stream(agent, hows[i]);
        expect_file(agent, "stderr", "does not checkpoint");
        cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
        cr_assert(has_heard(agent, NULL), "the task was not asked to end");
        conversation_end(agent, 1);
    }
}

Test(recovery, the_agents_death_is_the_end_without_checkpoint)
{
    struct devagent_options options = without_checkpoint();
    struct devagent *agent = agent_begin_task(&options, "t", "exec sleep 100");
    devagent_stop(agent);
    conversation_end(agent, 1);
}

/* ---- restarts within the window ---- */

static void expect_attempts_within(struct devagent *agent, size_t first, int64_t window_ms)
{
    int64_t previous = 0;
    size_t seen = 0;
    for (size_t i = first; i < devagent_call_count(agent); i++) {
        const struct devagent_call *call = devagent_call_at(agent, i);
        if (call->type != DEVAGENT_CALL_SUBSCRIBE)
            continue;
        if (previous != 0 && call->received_ns - previous >= window_ms * INT64_C(1000000))
            fail_with_story(agent, "%lld ms passed between two attempts",
                            (long long)((call->received_ns - previous) / 1000000));
        previous = call->received_ns;
        seen++;
    }
    cr_assert_geq(seen, 2);
}

static void tries_within(int64_t window_ms, size_t attempts)
{
    struct devagent_options options = agent_options();
    options.reregistration_timeout_ms = window_ms;
    options.never_destroy = true;
    struct devagent *agent = agent_begin_task(&options, "t", "exec sleep 100");
    size_t first = devagent_call_count(agent);
    devagent_add_fault(agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_STATUS,
                                                       .calls = DEVAGENT_CALL_SUBSCRIBE,
                                                       .status = 503,
                                                       .count = -1});
    devagent_drop_stream(agent, DEVAGENT_DROP_END);
    await_calls(agent, DEVAGENT_CALL_SUBSCRIBE, 503, attempts);
    /* An agent that comes back in the worst moment must still find the next attempt within its window. */
    expect_attempts_within(agent, first, window_ms);
    devagent_clear_faults(agent);
    await_subscribed(agent, 2);
    kill_and_end(agent);
}

Test(recovery, attempts_come_well_within_two_seconds)
{
    tries_within(2000, 7);
}

Test(recovery, attempts_come_well_within_a_short_window)
{
    tries_within(600, 12);
}

/* Nobody is asked without pause either. */
Test(recovery, an_agent_that_refuses_at_once_is_not_hammered)
{
    struct devagent_options options = agent_options();
    struct devagent *agent = create(&options);
    devagent_add_fault(agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_STATUS,
                                                       .calls = DEVAGENT_CALL_SUBSCRIBE,
                                                       .status = 503,
                                                       .count = -1});
    cr_assert_eq(devagent_start_executor(agent), 0);
    await_calls(agent, DEVAGENT_CALL_SUBSCRIBE, 503, 1);
    size_t before = devagent_call_count(agent);
    devagent_run_for(agent, 300);
    cr_assert_leq(devagent_call_count(agent) - before, 30);
    devagent_clear_faults(agent);
    cr_assert_eq(devagent_wait_subscribed(agent, DEADLINE_MS), 0);
    devagent_shutdown(agent);
    conversation_end(agent, 0);
}

/* The agent destroys the container of an executor that does not come back in time: it never has to. */
Test(recovery, back_within_the_window_every_time)
{
    struct devagent *agent = agent_begin_task(NULL, "t", "exec sleep 100");
    for (size_t i = 0; i < 4; i++) {
        size_t settled = settle(agent);
        await_all_acknowledged(agent);
        devagent_restart(agent, (int64_t)i * 150, (int64_t)(3 - i) * 150);
        await_subscribed(agent, i + 2);
        expect_never_again(agent, settled);
    }
    cr_assert_null(devagent_destroyed(agent));
    cr_assert_not(devagent_task_lost(agent, "t"));
    kill_and_end(agent);
}

Test(recovery, a_restart_without_checkpoint_is_the_end)
{
    struct devagent_options options = without_checkpoint();
    struct devagent *agent = agent_begin_task(&options, "t", "exec sleep 100");
    devagent_restart(agent, 100, 0);
    conversation_end(agent, 1);
}

/* ---- an agent that does not come back ---- */

Test(recovery, the_recovery_timeout_ends_the_task_gracefully)
{
    struct devagent_options options = agent_options();
    options.recovery_timeout_ms = 500;
    struct devagent *agent = begin_listening_task(&options, NOTES_TERM("exit 0"));
    await_all_acknowledged(agent);
    int64_t stopped = devagent_now_ns();
    devagent_stop(agent);
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
    cr_assert_geq(devagent_exited_ns(agent) - stopped, INT64_C(450000000), "it did not wait for the agent");
    cr_assert(has_heard(agent, NULL), "the task was not asked to end");
    conversation_end(agent, 1);
}

Test(recovery, the_recovery_timeout_ends_a_task_that_hears_nothing)
{
    struct devagent_options options = agent_options();
    options.recovery_timeout_ms = 200;
    options.shutdown_grace_ms = 1000;
    struct devagent *agent = begin_listening_task(&options, IGNORES_TERM);
    devagent_stop(agent);
    conversation_end(agent, 1);
}

Test(recovery, the_recovery_timeout_is_cancelled_when_the_agent_is_back)
{
    struct devagent_options options = agent_options();
    options.recovery_timeout_ms = 3000;
    options.never_destroy = true;
    struct devagent *agent = agent_begin_task(&options, "t", "exec sleep 100");
    int64_t begin = devagent_now_ns();
    /* Together the outages last longer than the timeout; each is an outage of its own. */
    for (size_t i = 0; devagent_now_ns() - begin < INT64_C(3500000000); i++) {
        devagent_restart(agent, 300, 200);
        await_subscribed(agent, i + 2);
    }
    kill_and_end(agent);
}

/* Failed attempts do not start it anew. */
Test(recovery, the_recovery_timeout_counts_from_the_loss)
{
    struct devagent_options options = agent_options();
    options.recovery_timeout_ms = 600;
    options.never_destroy = true;
    struct devagent *agent = agent_begin_task(&options, "t", "exec sleep 100");
    await_all_acknowledged(agent);
    devagent_add_fault(agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_STATUS,
                                                       .calls = DEVAGENT_CALL_SUBSCRIBE,
                                                       .status = 401,
                                                       .count = -1});
    devagent_drop_stream(agent, DEVAGENT_DROP_END);
    conversation_end(agent, 1);
}

Test(recovery, an_agent_that_comes_back_while_the_tasks_are_ended_hears_of_it)
{
    struct devagent_options options = agent_options();
    options.recovery_timeout_ms = 100;
    options.never_destroy = true;
    struct devagent *agent = begin_listening_task(&options, NOTES_TERM("sleep 1.5; exit 0"));
    await_all_acknowledged(agent);
    devagent_stop(agent);
    cr_assert(wait_until(agent, has_heard, NULL));
    cr_assert_eq(devagent_listen(agent, 0), 0);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    conversation_end(agent, 0);
}

/* The task ends while nobody is there, and nobody comes. */
Test(recovery, a_terminal_update_that_nobody_takes)
{
    struct devagent_options options = agent_options();
    options.recovery_timeout_ms = 700;
    struct devagent *agent = agent_begin_task(&options, "t", UNTIL_GO(0));
    await_all_acknowledged(agent);
    devagent_stop(agent);
    make_file(agent, "go");
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
    expect_states(agent, "t", "STARTING RUNNING");
    conversation_end(agent, 1);
}

/* ---- an agent that has forgotten the executor ---- */

static void outlives_its_metadata(enum devagent_known known)
{
    struct devagent_options options = agent_options();
    options.never_destroy = true;
    struct devagent *agent = agent_begin_task(&options, "t", "exec sleep 100");
    await_all_acknowledged(agent);
    devagent_set_known(agent, known);
    devagent_drop_stream(agent, DEVAGENT_DROP_END);
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
    cr_assert_geq(count_calls(agent, DEVAGENT_CALL_SUBSCRIBE, 400), 3, "it believed too soon");
    cr_assert_leq(count_calls(agent, DEVAGENT_CALL_SUBSCRIBE, 400), 20);
    conversation_end(agent, 1);
}

Test(recovery, an_agent_that_does_not_know_the_executor_any_more)
{
    outlives_its_metadata(DEVAGENT_EXECUTOR_UNKNOWN);
}

Test(recovery, an_agent_that_does_not_know_the_framework_any_more)
{
    outlives_its_metadata(DEVAGENT_FRAMEWORK_UNKNOWN);
}

Test(recovery, an_agent_that_does_not_know_the_executor_for_a_moment)
{
    struct devagent_options options = agent_options();
    options.never_destroy = true;
    struct devagent *agent = agent_begin_task(&options, "t", "exec sleep 100");
    await_all_acknowledged(agent);
    devagent_set_known(agent, DEVAGENT_EXECUTOR_UNKNOWN);
    devagent_drop_stream(agent, DEVAGENT_DROP_END);
    await_calls(agent, DEVAGENT_CALL_SUBSCRIBE, 400, 2);
    devagent_set_known(agent, DEVAGENT_KNOWN);
    await_subscribed(agent, 2);
    kill_and_end(agent);
}

/* Before the first subscription it is waited for, however often it says so. */
Test(recovery, an_agent_that_does_not_know_the_executor_yet)
{
    struct devagent_options options = agent_options();
    options.reregistration_timeout_ms = 500;
    struct devagent *agent = create(&options);
    devagent_set_known(agent, DEVAGENT_EXECUTOR_UNKNOWN);
    cr_assert_eq(devagent_start_executor(agent), 0);
    await_calls(agent, DEVAGENT_CALL_SUBSCRIBE, 400, 8);
    devagent_set_known(agent, DEVAGENT_KNOWN);
    devagent_launch_command(agent, "t", "exec sleep 100");
    expect_state(agent, "t", RUNNING);
    kill_and_end(agent);
}

/* ---- tokens, TLS, domain sockets ---- */

static void tell_a_story(const struct devagent_options *options)
{
    struct devagent *agent = agent_begin_task(options, "t", UNTIL_GO(0));
    devagent_restart(agent, 100, 0);
    await_subscribed(agent, 2);
    make_file(agent, "go");
    expect_state(agent, "t", FINISHED);
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    for (size_t i = 0; i < devagent_call_count(agent); i++)
        cr_assert_eq(devagent_call_at(agent, i)->by_domain_socket, options->domain_socket);
    if (devagent_token(agent) != NULL)
        cr_assert_eq(count_log(agent, devagent_token(agent)), 0, "the token is in the log");
    conversation_end(agent, 0);
}

Test(recovery, a_token_that_is_given)
{
    struct devagent_options options = agent_options();
    options.jwt = DEVAGENT_JWT_GIVEN;
    tell_a_story(&options);
}

Test(recovery, a_token_that_is_asked_for)
{
    struct devagent_options options = agent_options();
    options.jwt = DEVAGENT_JWT_REQUIRED;
    tell_a_story(&options);
}

static void tries_again_and_again(const struct devagent_options *options, unsigned status)
{
    struct devagent *agent = agent_begin(options);
    await_calls(agent, DEVAGENT_CALL_SUBSCRIBE, status, 6);
    cr_assert_not(devagent_has_exited(agent));
    cr_assert_eq(devagent_subscribe_count(agent), 0);
    cr_assert_leq(count_log(agent, "level=warning"), 2, "each attempt was a warning");
    cr_assert_eq(count_log(agent, devagent_token(agent)), 0, "the token is in the log");
    expect_logfmt(agent);
    cr_assert_eq(send_signal(devagent_executor_pid(agent), SIGTERM), 0);
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
    cr_assert_eq(devagent_left_behind(agent), 0);
    agent_drop(agent);
}

Test(recovery, a_token_that_is_of_another_executor)
{
    struct devagent_options options = agent_options();
    options.jwt = DEVAGENT_JWT_REQUIRED;
    options.jwt_claims_differ = true;
    options.reregistration_timeout_ms = 500;
    tries_again_and_again(&options, 403);
}

Test(recovery, a_token_that_is_wrong)
{
    static const char *const environment[] = {"MESOS_EXECUTOR_AUTHENTICATION_TOKEN=not.the.token", NULL};
    struct devagent_options options = agent_options();
    options.jwt = DEVAGENT_JWT_REQUIRED;
    options.command_environment = environment;
    options.reregistration_timeout_ms = 500;
    tries_again_and_again(&options, 401);
}

Test(recovery, a_domain_socket_with_a_token)
{
    struct devagent_options options = agent_options();
    options.domain_socket = true;
    options.jwt = DEVAGENT_JWT_REQUIRED;
    tell_a_story(&options);
}

Test(recovery, a_domain_socket_whose_path_is_long)
{
    struct devagent_options options = agent_options();
    options.domain_socket = true;
    options.long_sandbox = true;
    tell_a_story(&options);
}

Test(recovery, tls_with_a_trusted_certificate)
{
    struct devagent_options options = agent_options();
    options.tls = true;
    options.jwt = DEVAGENT_JWT_REQUIRED;
    tell_a_story(&options);
}

Test(recovery, tls_under_the_older_names)
{
    static const char *const environment[] = {"LIBPROCESS_SSL_ENABLED=", "SSL_ENABLED=1",
                                              "LIBPROCESS_SSL_VERIFY_SERVER_CERT=", "SSL_VERIFY_CERT=true",
                                              NULL};
    struct devagent_options options = agent_options();
    options.tls = true;
    options.command_environment = environment;
    tell_a_story(&options);
}

/* Cut with RST in the middle of a TLS stream. */
Test(recovery, tls_that_is_cut)
{
    struct devagent_options options = agent_options();
    options.tls = true;
    struct devagent *agent = agent_begin_task(&options, "t", "exec sleep 100");
    devagent_drop_stream(agent, DEVAGENT_DROP_RESET);
    await_subscribed(agent, 2);
    devagent_drop_stream(agent, DEVAGENT_DROP_CUT);
    await_subscribed(agent, 3);
    kill_and_end(agent);
}

Test(recovery, tls_with_a_certificate_that_nobody_trusts)
{
    struct devagent_options options = agent_options();
    options.tls = true;
    options.tls_cert_pem = stranger_certificate;
    options.tls_key_pem = stranger_key;
    options.jwt = DEVAGENT_JWT_GIVEN;
    struct devagent *agent = agent_begin(&options);
    expect_log(agent, "cannot subscribe");
    expect_log(agent, "certificate");
    devagent_run_for(agent, 300);
    cr_assert_eq(devagent_call_count(agent), 0, "a call, and the token with it, went to a stranger");
    expect_logfmt(agent);
    cr_assert_eq(send_signal(devagent_executor_pid(agent), SIGTERM), 0);
    conversation_end(agent, 0);
}

Test(recovery, tls_with_a_certificate_that_nobody_asks_for)
{
    static const char *const environment[] = {"LIBPROCESS_SSL_VERIFY_SERVER_CERT=false", NULL};
    struct devagent_options options = agent_options();
    options.tls = true;
    options.tls_cert_pem = stranger_certificate;
    options.tls_key_pem = stranger_key;
    options.command_environment = environment;
    tell_a_story(&options);
}

/* ---- streams that are none ---- */

/* An agent may take its time until SUBSCRIBED; its end of the stream says when it does not mean it. */
Test(recovery, a_stream_on_which_nothing_comes)
{
    struct devagent_options options = agent_options();
    options.environment = short_timeout;
    struct devagent *agent = create(&options);
    devagent_add_fault(agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_SILENT});
    devagent_launch_command(agent, "t", "exec sleep 100");
    cr_assert_eq(devagent_start_executor(agent), 0);
    await_calls(agent, DEVAGENT_CALL_SUBSCRIBE, 200, 1);
    devagent_run_for(agent, 200);
    cr_assert_not(devagent_has_exited(agent));
    devagent_restart(agent, 0, 0);
    expect_state(agent, "t", RUNNING);
    kill_and_end(agent);
}
