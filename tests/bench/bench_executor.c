/*
 * Measures one executor under devagent: latencies of its life, memory and wake-ups while idle. Judges
 * nothing: it prints medians, the spread, and beside them what is aimed at.
 *
 *     bench_executor [RUNS [SECONDS]]     runs a latency (default 40), seconds of idling (default 20)
 *
 * devagent is the clock: moments are taken where bytes leave and arrive on the agent's side, so the figures
 * hold the agent's own work too. Reading the memory of other processes needs root.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/figures.h"

enum { AT_ONCE = 20, MOST_PROCESSES = 64 };

/* --- latencies
 * -------------------------------------------------------------------------------------------------------- */

enum { TO_SUBSCRIBE, TO_RUNNING, TO_KILLED, TO_GONE, LATENCIES };

static void measure_one_life(struct series series[LATENCIES])
{
    struct devagent *agent = bench_begin(NULL);
    series_add(&series[TO_SUBSCRIBE],
               bench_milliseconds(devagent_started_ns(agent), devagent_subscribe_at(agent, 0)->received_ns));

    devagent_launch_command(agent, "t", "exec sleep 1000");
    const struct devagent_update *running = bench_await(agent, MESOS__V1__TASK_STATE__TASK_RUNNING);
    const struct devagent_event *launch =
        devagent_last_event(agent, MESOS__V1__EXECUTOR__EVENT__TYPE__LAUNCH);
    series_add(&series[TO_RUNNING], bench_milliseconds(launch->sent_ns, running->received_ns));

    devagent_kill(agent, "t", -1);
    const struct devagent_update *killed = bench_await(agent, MESOS__V1__TASK_STATE__TASK_KILLED);
    const struct devagent_event *kill = devagent_last_event(agent, MESOS__V1__EXECUTOR__EVENT__TYPE__KILL);
    series_add(&series[TO_KILLED], bench_milliseconds(kill->sent_ns, killed->received_ns));

    if (devagent_wait_exit(agent, BENCH_DEADLINE_MS) < 0)
        bench_die(agent, "the executor did not leave");
    series_add(&series[TO_GONE], bench_milliseconds(killed->acked_ns, devagent_exited_ns(agent)));
    devagent_destroy(agent);
}

static void measure_latencies(int runs)
{
    struct series series[LATENCIES] = {{NULL, 0}};
    for (int i = 0; i < runs; i++)
        measure_one_life(series);
    series_print("start of the process -> SUBSCRIBE received", &series[TO_SUBSCRIBE], 11, "ms");
    series_print("LAUNCH sent -> TASK_RUNNING received", &series[TO_RUNNING], 1.5, "ms");
    series_print("KILL sent -> TASK_KILLED received, dies of SIGTERM at once", &series[TO_KILLED], 5, "ms");
    series_print("terminal update acknowledged -> process gone", &series[TO_GONE], 20, "ms");
}

/* --- idling
 * -----------------------------------------------------------------------------------------------------------
 */

static bool is_task(pid_t pid)
{
    char comm[64];
    return proc_read(pid, "comm", comm, sizeof(comm)) && strcmp(comm, "sleep\n") == 0;
}

struct idle {
    double pss_kb;
    double switches;
    size_t processes;
};

static void look_at_process(pid_t pid, struct idle *idle)
{
    char text[8192];
    if (is_task(pid))
        return;
    if (!proc_read(pid, "smaps_rollup", text, sizeof(text)))
        bench_die(NULL, "cannot read another process's memory: the bench of memory needs root");
    idle->pss_kb += number_after(text, "\nPss:");
    if (!proc_read(pid, "status", text, sizeof(text)))
        return;
    idle->switches += number_after(text, "\nvoluntary_ctxt_switches:");
    idle->processes++;
}

static struct idle look_at(struct devagent *agents[AT_ONCE])
{
    struct idle idle = {0};
    for (int i = 0; i < AT_ONCE; i++) {
        pid_t pids[MOST_PROCESSES];
        size_t count = devagent_processes(agents[i], pids, MOST_PROCESSES);
        for (size_t k = 0; k < count && k < MOST_PROCESSES; k++)
            look_at_process(pids[k], &idle);
    }
    return idle;
}

static void pump_all(struct devagent *agents[AT_ONCE], int64_t span_ms)
{
    int64_t end = devagent_now_ns() + span_ms * 1000000;
    while (devagent_now_ns() < end) {
        for (int i = 0; i < AT_ONCE; i++)
            devagent_pump(agents[i], 0);
        usleep(20000);
    }
}

static void measure_idling(int seconds)
{
    struct devagent *agents[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++) {
        agents[i] = bench_begin(NULL);
        devagent_launch_command(agents[i], "t", "exec sleep 1000");
        bench_await(agents[i], MESOS__V1__TASK_STATE__TASK_RUNNING);
    }
    pump_all(agents, 2000);
    struct idle before = look_at(agents);
    int64_t from = devagent_now_ns();
    pump_all(agents, seconds * INT64_C(1000));
    struct idle after = look_at(agents);
    double span = (double)(devagent_now_ns() - from) / 1e9;

    struct series memory = {NULL, 0}, wakes = {NULL, 0};
    series_add(&memory, after.pss_kb / AT_ONCE / 1024);
    series_add(&wakes, (after.switches - before.switches) / span / AT_ONCE);
    series_print("memory of all processes, mean of 20 at once (PSS, no task)", &memory, 2.0, "MB");
    series_print("wake-ups of an idle executor", &wakes, 1, "/s");
    printf("\n%d executors, %.1f processes each, idle for %.0f s\n", AT_ONCE,
           (double)after.processes / AT_ONCE, span);
    for (int i = 0; i < AT_ONCE; i++)
        devagent_destroy(agents[i]);
}

int main(int argc, char *argv[])
{
    int runs = number_argument(argc, argv, 1, 40);
    int seconds = number_argument(argc, argv, 2, 20);
    if (runs < 1 || seconds < 1) {
        fprintf(stderr, "usage: bench_executor [RUNS [SECONDS]], both at least 1\n");
        return 2;
    }
    figures_print_head();
    measure_latencies(runs);
    measure_idling(seconds);
    return 0;
}
