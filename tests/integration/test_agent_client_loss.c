/*
 * agent-client is killed, stopped and crashed, at every moment and over and over: the task never notices,
 * every update arrives, in order, and none again once it is acknowledged. Losing agent-client is not losing
 * the agent, with checkpointing and without.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/checks.h"

TestSuite(agent_client_loss, .timeout = 120);

static struct devagent_options loss_options(bool checkpoint)
{
    struct devagent_options options = agent_options();
    options.checkpoint = checkpoint;
    options.reregistration_timeout_ms = 10000; /* attempts to kill agent-client may be many in a row */
#ifdef BULKHEAD_SANITIZE /* a crash that is asked for is not to be reported in the log */
    static const char *const environment[] = {"ASAN_OPTIONS=handle_segv=0", NULL};
    options.environment = environment;
#endif
    return options;
}

/* The same on every run of a test, another for every test. */
static unsigned next_random(unsigned *state)
{
    *state = *state * 1103515245u + 12345u;
    return *state >> 16;
}

static void hurt(struct devagent *agent, int signal_number)
{
    pid_t pid = wait_child(agent, "agent-client");
    /* It may just have been replaced: then there is nothing to hurt. */
    send_signal(pid, signal_number);
}

/* Hurts agent-client, and is back when another is subscribed. */
static void hurt_and_await(struct devagent *agent, int signal_number)
{
    size_t before = devagent_subscribe_count(agent);
    hurt(agent, signal_number);
    await_subscribed(agent, before + 1);
}

static void expect_started_once(struct devagent *agent, const char *file)
{
    char *starts = devagent_read_file(agent, file);
    if (strcmp(starts, "started\n") != 0)
        fail_with_story(agent, "the task started this often: %s", starts);
    free(starts);
}

/* ---- one by one ---- */

static void survives(bool checkpoint, int signal_number)
{
    struct devagent_options options = loss_options(checkpoint);
    struct devagent *agent = agent_begin_task(
        &options, "t", "echo started >> starts; while [ ! -e go ]; do sleep 0.01; done; exit 6");
    size_t settled = settle(agent);
    await_all_acknowledged(agent);
    hurt_and_await(agent, signal_number);
    make_file(agent, "go");
    expect_message(agent, expect_state(agent, "t", FAILED), "6");
    expect_states(agent, "t", "STARTING RUNNING FAILED");
    expect_started_once(agent, "starts");
    expect_never_again(agent, settled);
    conversation_end(agent, 0);
}

Test(agent_client_loss, killed)
{
    survives(true, SIGKILL);
}

Test(agent_client_loss, killed_without_checkpoint)
{
    survives(false, SIGKILL);
}

Test(agent_client_loss, crashed)
{
    survives(true, SIGSEGV);
}

Test(agent_client_loss, crashed_without_checkpoint)
{
    survives(false, SIGSEGV);
}

Test(agent_client_loss, stopped)
{
    survives(true, SIGSTOP);
}

Test(agent_client_loss, stopped_without_checkpoint)
{
    survives(false, SIGSTOP);
}

Test(agent_client_loss, told_to_end)
{
    survives(true, SIGTERM);
}

/* A debugger stops a process, too: one that goes on at once is left alone. */
Test(agent_client_loss, stopped_for_a_moment_only)
{
    struct devagent *agent = agent_begin_task(NULL, "t", "exec sleep 100");
    await_all_acknowledged(agent);
    pid_t pid = wait_child(agent, "agent-client");
    send_signal(pid, SIGSTOP);
    devagent_run_for(agent, 50);
    send_signal(pid, SIGCONT);
    settle(agent);
    cr_assert_eq(wait_child(agent, "agent-client"), pid);
    cr_assert_eq(devagent_subscribe_count(agent), 1);
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    conversation_end(agent, 0);
}

/* ---- what is not acknowledged ---- */

Test(agent_client_loss, its_successor_is_handed_the_updates_and_the_tasks)
{
    struct devagent_options options = loss_options(false);
    struct devagent *agent = agent_begin(&options);
    devagent_set_ack(agent, DEVAGENT_ACK_WITHHOLD, 0);
    devagent_launch_command(agent, "ended", "exit 0");
    expect_state(agent, "ended", FINISHED);
    devagent_launch_command(agent, "runs", "exec sleep 100");
    expect_state(agent, "runs", RUNNING);
    for (size_t i = 1; i <= 3; i++) {
        hurt_and_await(agent, SIGKILL);
        const struct devagent_subscribe *subscribe = devagent_subscribe_at(agent, i);
        cr_assert_eq(subscribe->update_count, 5);
        cr_assert_eq(subscribe->task_count, 2);
        cr_assert(subscribe->tasks_same[0] && subscribe->tasks_same[1]);
    }
    cr_assert_eq(count_calls(agent, DEVAGENT_CALL_UPDATE, 0), 5, "an update came as a call again");
    devagent_set_ack(agent, DEVAGENT_ACK_NOW, 0);
    hurt_and_await(agent, SIGKILL);
    size_t settled = settle(agent);
    await_all_acknowledged(agent);
    hurt_and_await(agent, SIGKILL);
    expect_never_again(agent, settled);
    devagent_kill(agent, "runs", -1);
    expect_state(agent, "runs", KILLED);
    expect_states(agent, "runs", "STARTING RUNNING KILLED");
    expect_states(agent, "ended", "STARTING RUNNING FINISHED");
    conversation_end(agent, 0);
}

/* The task ends while there is no agent-client at all. */
Test(agent_client_loss, the_end_of_a_task_while_agent_client_is_stopped)
{
    struct devagent_options options = loss_options(false);
    struct devagent *agent = agent_begin_task(&options, "t", UNTIL_GO(0));
    size_t settled = settle(agent);
    await_all_acknowledged(agent);
    hurt(agent, SIGSTOP);
    make_file(agent, "go");
    expect_state(agent, "t", FINISHED);
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    expect_never_again(agent, settled);
    conversation_end(agent, 0);
}

Test(agent_client_loss, at_the_very_start)
{
    struct devagent_options options = loss_options(false);
    struct devagent *agent = agent_begin(&options);
    devagent_launch_command(agent, "t", "exec sleep 100");
    for (int i = 0; i < 3; i++)
        hurt(agent, SIGKILL);
    expect_state(agent, "t", RUNNING);
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    conversation_end(agent, 0);
}

/* A successor that never comes to be subscribed: the agent itself is gone, though nobody saw it go. */
Test(agent_client_loss, and_the_agent_too_without_checkpoint)
{
    struct devagent_options options = loss_options(false);
    options.never_destroy = true;
    struct devagent *agent = agent_begin_task(&options, "t", "exec sleep 100");
    await_all_acknowledged(agent);
    pid_t pid = wait_child(agent, "agent-client");
    send_signal(pid, SIGSTOP); /* it cannot tell of the agent's end of the stream */
    devagent_stop(agent);
    conversation_end(agent, 1);
}

/* ---- over and over ---- */

struct storm {
    unsigned random;
    int hurts;
    int stops; /* each costs the second that a stopped one is given */
};

static void hurt_at_random(struct devagent *agent, struct storm *storm)
{
    static const int signals[] = {SIGKILL, SIGSEGV, SIGKILL, SIGTERM};
    int signal_number = signals[next_random(&storm->random) % 4];
    if (storm->stops > 0 && next_random(&storm->random) % 8 == 0) {
        storm->stops--;
        signal_number = SIGSTOP;
    }
    /* From the moment of its birth to well after its subscription. */
    int64_t moment = next_random(&storm->random) % 40;
    wait_child(agent, "agent-client");
    devagent_run_for(agent, moment);
    hurt(agent, signal_number);
    storm->hurts--;
}

/*
 * LAUNCH and KILL are sent once: what was under way to an agent-client that dies is lost, as on any network.
 * The agent finds out by itself that a LAUNCH was lost, a framework repeats a KILL that has no effect.
 */
static void launch_anyhow(struct devagent *agent, const char *id, const char *command)
{
    await_subscribed(agent, 1);
    while (devagent_launch_command(agent, id, command) < 0)
        await_subscribed(agent, 1);
}

struct wanted_state {
    const char *id, *state;
};

static bool state_or_loss(struct devagent *agent, void *arg)
{
    const struct wanted_state *wanted = arg;
    return strstr(devagent_states(agent, wanted->id), wanted->state) != NULL ||
           devagent_task_lost(agent, wanted->id);
}

static void await_state_or_loss(struct devagent *agent, const char *id, const char *state)
{
    struct wanted_state wanted = {id, state};
    if (devagent_run_until(agent, state_or_loss, &wanted, DEADLINE_MS) < 0)
        fail_with_story(agent, "%s is neither %s nor lost, but: %s", id, state, devagent_states(agent, id));
}

static void kill_anyhow(struct devagent *agent, const char *id)
{
    struct wanted_state wanted = {id, "KILLED"};
    for (int i = 0; i < 100 && !state_or_loss(agent, &wanted); i++) {
        devagent_kill(agent, id, -1);
        (void)devagent_run_until(agent, state_or_loss, &wanted, 200);
    }
    await_state_or_loss(agent, id, "KILLED");
}

/* One task's life, with agent-client hurt at its launch, while it runs and at its end. */
static void one_round(struct devagent *agent, struct storm *storm, int round)
{
    char id[24], starts[24], command[80];
    snprintf(id, sizeof(id), "storm-%d", round);
    snprintf(starts, sizeof(starts), "starts-%d", round);
    snprintf(command, sizeof(command), "echo started >> %s; exec sleep 100", starts);
    launch_anyhow(agent, id, command);
    hurt_at_random(agent, storm);
    await_state_or_loss(agent, id, "RUNNING");
    hurt_at_random(agent, storm);
    if (devagent_task_lost(agent, id)) {
        char *text = devagent_read_file(agent, starts);
        cr_assert_str_empty(text, "a task that the agent has given up was started");
        free(text);
        return;
    }
    await_subscribed(agent, 1);
    devagent_kill(agent, id, -1);
    hurt_at_random(agent, storm);
    kill_anyhow(agent, id);
    expect_states(agent, id, "STARTING RUNNING KILLED");
    expect_started_once(agent, starts);
}

static void weather_a_storm(const struct devagent_options *options, enum devagent_ack policy,
                            int64_t delay_ms)
{
    struct storm storm = {.random =
                              (unsigned)delay_ms * 7919u + options->checkpoint + 2u * options->domain_socket,
                          .hurts = 30,
                          .stops = 1};
    struct devagent *agent = agent_begin_task(options, "t", "echo started >> starts; exec sleep 100");
    devagent_set_ack(agent, policy, delay_ms);
    for (int round = 0; storm.hurts > 0; round++)
        one_round(agent, &storm, round);
    await_subscribed(agent, 1);
    expect_states(agent, "t", "STARTING RUNNING");
    expect_started_once(agent, "starts");
    kill_anyhow(agent, "t");
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    conversation_end(agent, 0);
}

Test(agent_client_loss, over_and_over)
{
    struct devagent_options options = loss_options(true);
    weather_a_storm(&options, DEVAGENT_ACK_DELAY, 15);
}

Test(agent_client_loss, over_and_over_without_checkpoint)
{
    struct devagent_options options = loss_options(false);
    weather_a_storm(&options, DEVAGENT_ACK_DELAY, 25);
}

Test(agent_client_loss, over_and_over_with_acknowledgements_at_once)
{
    struct devagent_options options = loss_options(false);
    weather_a_storm(&options, DEVAGENT_ACK_NOW, 0);
}

Test(agent_client_loss, over_and_over_on_a_domain_socket)
{
    struct devagent_options options = loss_options(true);
    options.domain_socket = true;
    weather_a_storm(&options, DEVAGENT_ACK_DELAY, 5);
}

/* Not even new ones that are hurt before they can be of use have an influence on the task. */
static void none_grows_old(bool checkpoint, int signal_number, int times)
{
    struct devagent_options options = loss_options(checkpoint);
    struct devagent *agent = agent_begin_task(&options, "t", "echo started >> starts; exec sleep 100");
    size_t settled = settle(agent);
    await_all_acknowledged(agent);
    pid_t last = wait_child(agent, "agent-client");
    send_signal(last, SIGKILL);
    while (times > 0) {
        pid_t pid = wait_child(agent, "agent-client");
        if (pid != last) {
            send_signal(pid, signal_number);
            last = pid;
            times--;
        }
        devagent_pump(agent, 1);
    }
    await_subscribed(agent, 2);
    expect_never_again(agent, settled);
    expect_started_once(agent, "starts");
    kill_anyhow(agent, "t");
    conversation_end(agent, 0);
}

Test(agent_client_loss, killed_as_soon_as_it_is_born)
{
    none_grows_old(true, SIGKILL, 6);
}

Test(agent_client_loss, stopped_as_soon_as_it_is_born)
{
    none_grows_old(false, SIGSTOP, 2);
}
