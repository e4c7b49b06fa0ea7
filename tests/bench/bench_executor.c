/*
 * Measures one executor under devagent: latencies of its life, memory and wake-ups while idle. Judges
 * nothing: it prints medians, the spread, and beside them what is aimed at.
 *
 *     bench_executor [RUNS [SECONDS]]     runs a latency (default 40), seconds of idling (default 20)
 *
 * devagent is the clock: moments are taken where bytes leave and arrive on the agent's side, so the figures
 * hold the agent's own work too. Reading the memory of other processes needs root.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tests/devagent/devagent.h"

enum { DEADLINE_MS = 20000, AT_ONCE = 20, MOST_PROCESSES = 64 };

static const char *const supervisor[] = {TEST_BIN_DIR "/supervisor", NULL};

static _Noreturn void die(struct devagent *agent, const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    if (agent != NULL)
        devagent_dump(agent, stderr);
    devagent_destroy(agent);
    exit(1);
}

/* --- figures
 * ----------------------------------------------------------------------------------------------------------
 */

struct series {
    double *values;
    size_t count;
};

static void add(struct series *series, double value)
{
    series->values = reallocarray(series->values, series->count + 1, sizeof(double));
    if (series->values == NULL)
        die(NULL, "no memory");
    series->values[series->count++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_series(const char *what, struct series *series, double limit, const char *unit)
{
    qsort(series->values, series->count, sizeof(double), compare);
    double median = series->values[series->count / 2];
    printf("| %-58s | %9.2f | %9.2f | %9.2f | %6.1f %-4s | %4.2f |\n", what, median, series->values[0],
           series->values[series->count - 1], limit, unit, median / limit);
    free(series->values);
}

/* --- latencies
 * -------------------------------------------------------------------------------------------------------- */

enum { TO_SUBSCRIBE, TO_RUNNING, TO_KILLED, TO_GONE, LATENCIES };

static double milliseconds(int64_t from_ns, int64_t to_ns)
{
    return (double)(to_ns - from_ns) / 1e6;
}

static struct devagent *begin(void)
{
    struct devagent_options options;
    devagent_options_init(&options);
    options.executor_argv = supervisor;
    options.checkpoint = true;
    struct devagent *agent;
    if (devagent_create(&options, &agent) < 0 || devagent_start_executor(agent) < 0)
        die(NULL, "cannot start devagent");
    if (devagent_wait_subscribed(agent, DEADLINE_MS) < 0)
        die(agent, "no subscription");
    return agent;
}

static const struct devagent_update *await(struct devagent *agent, Mesos__V1__TaskState state)
{
    const struct devagent_update *update = devagent_wait_state(agent, "t", state, DEADLINE_MS);
    if (update == NULL)
        die(agent, "an update did not come");
    return update;
}

static void measure_one_life(struct series series[LATENCIES])
{
    struct devagent *agent = begin();
    add(&series[TO_SUBSCRIBE],
        milliseconds(devagent_started_ns(agent), devagent_subscribe_at(agent, 0)->received_ns));

    devagent_launch_command(agent, "t", "exec sleep 1000");
    const struct devagent_update *running = await(agent, MESOS__V1__TASK_STATE__TASK_RUNNING);
    const struct devagent_event *launch =
        devagent_last_event(agent, MESOS__V1__EXECUTOR__EVENT__TYPE__LAUNCH);
    add(&series[TO_RUNNING], milliseconds(launch->sent_ns, running->received_ns));

    devagent_kill(agent, "t", -1);
    const struct devagent_update *killed = await(agent, MESOS__V1__TASK_STATE__TASK_KILLED);
    const struct devagent_event *kill = devagent_last_event(agent, MESOS__V1__EXECUTOR__EVENT__TYPE__KILL);
    add(&series[TO_KILLED], milliseconds(kill->sent_ns, killed->received_ns));

    if (devagent_wait_exit(agent, DEADLINE_MS) < 0)
        die(agent, "the executor did not leave");
    add(&series[TO_GONE], milliseconds(killed->acked_ns, devagent_exited_ns(agent)));
    devagent_destroy(agent);
}

static void measure_latencies(int runs)
{
    struct series series[LATENCIES] = {{NULL, 0}};
    for (int i = 0; i < runs; i++)
        measure_one_life(series);
    print_series("start of the process -> SUBSCRIBE received", &series[TO_SUBSCRIBE], 11, "ms");
    print_series("LAUNCH sent -> TASK_RUNNING received", &series[TO_RUNNING], 1.5, "ms");
    print_series("KILL sent -> TASK_KILLED received, dies of SIGTERM at once", &series[TO_KILLED], 5, "ms");
    print_series("terminal update acknowledged -> process gone", &series[TO_GONE], 20, "ms");
}

/* --- idling
 * -----------------------------------------------------------------------------------------------------------
 */

static bool read_process_file(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    size_t n = fread(text, 1, size - 1, file);
    fclose(file);
    text[n] = '\0';
    return n > 0;
}

static double number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at != NULL ? strtod(at + strlen(key), NULL) : 0;
}

static bool is_task(pid_t pid)
{
    char comm[64];
    return read_process_file(pid, "comm", comm, sizeof(comm)) && strcmp(comm, "sleep\n") == 0;
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
    if (!read_process_file(pid, "smaps_rollup", text, sizeof(text)))
        die(NULL, "cannot read another process's memory: the bench of memory needs root");
    idle->pss_kb += number_after(text, "\nPss:");
    if (!read_process_file(pid, "status", text, sizeof(text)))
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
        agents[i] = begin();
        devagent_launch_command(agents[i], "t", "exec sleep 1000");
        await(agents[i], MESOS__V1__TASK_STATE__TASK_RUNNING);
    }
    pump_all(agents, 2000);
    struct idle before = look_at(agents);
    int64_t from = devagent_now_ns();
    pump_all(agents, seconds * INT64_C(1000));
    struct idle after = look_at(agents);
    double span = (double)(devagent_now_ns() - from) / 1e9;

    struct series memory = {NULL, 0}, wakes = {NULL, 0};
    add(&memory, after.pss_kb / AT_ONCE / 1024);
    add(&wakes, (after.switches - before.switches) / span / AT_ONCE);
    print_series("memory of all processes, mean of 20 at once (PSS, no task)", &memory, 2.0, "MB");
    print_series("wake-ups of an idle executor", &wakes, 1, "/s");
    printf("\n%d executors, %.1f processes each, idle for %.0f s\n", AT_ONCE,
           (double)after.processes / AT_ONCE, span);
    for (int i = 0; i < AT_ONCE; i++)
        devagent_destroy(agents[i]);
}

/* --- the machine
 * ------------------------------------------------------------------------------------------------------ */

static void print_machine(void)
{
    struct utsname name;
    uname(&name);
    char model[256] = "unknown processor";
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[512];
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "model name : %255[^\n]", model) == 1)
            break;
    if (file != NULL)
        fclose(file);
    printf("%s %s, %ld cores, %s\n\n", name.sysname, name.release, sysconf(_SC_NPROCESSORS_ONLN), model);
}

static int number_argument(int argc, char *const argv[], int index, int fallback)
{
    return argc > index ? atoi(argv[index]) : fallback;
}

int main(int argc, char *argv[])
{
    int runs = number_argument(argc, argv, 1, 40);
    int seconds = number_argument(argc, argv, 2, 20);
    if (runs < 1 || seconds < 1) {
        fprintf(stderr, "usage: bench_executor [RUNS [SECONDS]], both at least 1\n");
        return 2;
    }
    print_machine();
    printf("| %-58s | %9s | %9s | %9s | %-11s | %4s |\n", "what", "median", "least", "most", "at most",
           "is/of");
    printf("|%.60s|%.11s|%.11s|%.11s|%.13s|%.7s|\n",
           "------------------------------------------------------------",
           "-----------:", "-----------:", "-----------:", "-------------", "------:");
    measure_latencies(runs);
    measure_idling(seconds);
    return 0;
}
