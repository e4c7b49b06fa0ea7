/*
 * Measures what hooks and probes cost: the way of a KILL and of a SHUTDOWN with and without hooks that hang,
 * the CPU of a probe, the memory of an idle executor with hookd. Judges nothing: it prints medians, the
 * spread, and beside them what is aimed at.
 *
 *     bench_hooks [RUNS [SECONDS]]     runs a latency (default 20), seconds of probing (default 20)
 *
 * devagent is the clock, as in bench_executor; SIGTERM's arrival is what the task itself has read from the
 * same clock. Reading the memory of other processes needs root.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/figures.h"

enum { AT_ONCE = 20, MOST_PROCESSES = 64, STUBBORN_RUNS = 3 };

/* --- the folder of hooks --- */

static char folder[] = "/tmp/bulkhead-bench-XXXXXX";
static char folder_setting[128];

static void remove_folder(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/10-hang", folder);
    unlink(path);
    rmdir(folder);
}

/* Two ways for a hook to hang are one: it does not end. The task starts all the same. */
static void make_folder(void)
{
    char path[128];
    if (mkdtemp(folder) == NULL || chmod(folder, 0755) < 0)
        bench_die(NULL, "cannot make a folder for hooks");
    atexit(remove_folder);
    snprintf(folder_setting, sizeof(folder_setting), "ALLEGRO_EXECUTOR_HOOKS_DIR=%s", folder);
    snprintf(path, sizeof(path), "%s/10-hang", folder);
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        bench_die(NULL, "cannot write a hook");
        return;
    }
    fputs("#!/bin/sh\ntrap '' TERM\n[ \"$1\" = BeforeTaskStart ] || exec sleep 1000\n", file);
    if (fchmod(fileno(file), 0755) < 0 || fclose(file) != 0)
        bench_die(NULL, "cannot write a hook");
}

static struct devagent *begin_hanging(const char *end_timeout)
{
    const char *environment[] = {folder_setting, "ALLEGRO_EXECUTOR_HOOK_TIMEOUT=60s",
                                 "ALLEGRO_EXECUTOR_HEALTHY_WITHOUT_CHECK=true", end_timeout, NULL};
    struct devagent_options options = bench_options();
    options.environment = environment;
    return bench_begin(&options);
}

/* --- latencies --- */

static void await_text(struct devagent *agent, const char *text)
{
    if (devagent_wait_file(agent, "stdout", text, BENCH_DEADLINE_MS) < 0)
        bench_die(agent, "the task did not say what it should");
}

static void launch(struct devagent *agent, const char *command)
{
    devagent_launch_command(agent, "t", command);
    bench_await(agent, MESOS__V1__TASK_STATE__TASK_RUNNING);
    await_text(agent, "ready");
}

static int64_t killed_at(struct devagent *agent)
{
    return devagent_last_event(agent, MESOS__V1__EXECUTOR__EVENT__TYPE__KILL)->sent_ns;
}

static void end(struct devagent *agent)
{
    if (devagent_wait_exit(agent, BENCH_DEADLINE_MS) < 0)
        bench_die(agent, "the executor did not leave");
    devagent_destroy(agent);
}

static void measure_signal(int runs)
{
    struct series series = {NULL, 0};
    for (int i = 0; i < runs; i++) {
        struct devagent *agent = bench_begin(NULL);
        launch(agent, "exec " TEST_HELPER_DIR "/when_heard");
        devagent_kill(agent, "t", -1);
        bench_await(agent, MESOS__V1__TASK_STATE__TASK_KILLED);
        char *output = devagent_read_file(agent, "stdout");
        double heard = number_after(output, "heard at ");
        free(output);
        series_add(&series, (heard - (double)killed_at(agent)) / 1e6);
        end(agent);
    }
    series_print("KILL sent -> SIGTERM received by the task, no hooks", &series, 2, "ms");
}

static void measure_hanging_kill(int runs)
{
    enum { END_TIMEOUT_MS = 1000 };
    struct series series = {NULL, 0};
    for (int i = 0; i < runs; i++) {
        struct devagent *agent = begin_hanging("ALLEGRO_EXECUTOR_TERMINATE_HOOKS_TIMEOUT=1s");
        launch(agent, "exec " TEST_HELPER_DIR "/hear t");
        devagent_kill(agent, "t", -1);
        const struct devagent_update *killed = bench_await(agent, MESOS__V1__TASK_STATE__TASK_KILLED);
        double took = bench_milliseconds(killed_at(agent), killed->received_ns);
        series_add(&series, took - END_TIMEOUT_MS);
        end(agent);
    }
    series_print("KILL -> TASK_KILLED, hooks hang: over their timeout of 1 s", &series, 50, "ms");
}

static void measure_shutdown(void)
{
    struct series series = {NULL, 0};
    for (int i = 0; i < STUBBORN_RUNS; i++) {
        struct devagent *agent = begin_hanging("ALLEGRO_EXECUTOR_TERMINATE_HOOKS_TIMEOUT=60s");
        launch(agent, "exec " TEST_HELPER_DIR "/hear t ignore");
        int64_t from = devagent_now_ns();
        devagent_shutdown(agent);
        if (devagent_wait_exit(agent, BENCH_DEADLINE_MS) < 0)
            bench_die(agent, "the executor did not leave");
        if (devagent_destroyed(agent) != NULL)
            fprintf(stderr, "bench: the agent destroyed the container: %s\n", devagent_destroyed(agent));
        series_add(&series, bench_milliseconds(from, devagent_exited_ns(agent)) / 1000);
        end(agent);
    }
    series_print("SHUTDOWN -> gone, 5 s grace, hooks hang, deaf task", &series, 5, "s");
}

/* --- probes --- */

static pid_t server;
static atomic_int *answered;

static _Noreturn void be_server(int listener)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        char request[4096];
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            _exit(1);
        if (recv(connection, request, sizeof(request), 0) > 0 &&
            send(connection, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
            _exit(1);
        atomic_fetch_add(answered, 1);
        close(connection);
    }
}

static unsigned start_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    answered = mmap(NULL, sizeof(*answered), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (answered == MAP_FAILED)
        bench_die(NULL, "no memory");
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 64) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        bench_die(NULL, "cannot listen");
    server = fork();
    if (server == 0)
        be_server(listener);
    close(listener);
    if (server < 0)
        bench_die(NULL, "cannot fork");
    return ntohs(address.sin_port);
}

static void stop_server(void)
{
    if (server <= 1)
        return;
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

static void launch_probed(struct devagent *agent, unsigned port, const char *interval)
{
    char json[1024];
    char *error = NULL;
    snprintf(json, sizeof(json),
             "{\"task_id\": {\"value\": \"t\"}, \"command\": {\"value\": \"exec sleep 1000\"}, "
             "\"health_check\": {\"type\": \"HTTP\", \"http\": {\"port\": %u, \"path\": \"/\"}, "
             "\"delay_seconds\": 0, \"interval_seconds\": %s, \"grace_period_seconds\": 0}}",
             port, interval);
    if (devagent_launch_json(agent, json, &error) < 0)
        bench_die(agent, error);
    bench_await(agent, MESOS__V1__TASK_STATE__TASK_RUNNING);
}

static bool is_titled(pid_t pid, const char *title)
{
    char text[256];
    return proc_read(pid, "cmdline", text, sizeof(text)) && strcmp(text, title) == 0;
}

static pid_t find_hookd(struct devagent *agent)
{
    pid_t pids[MOST_PROCESSES];
    size_t count = devagent_processes(agent, pids, MOST_PROCESSES);
    for (size_t i = 0; i < count && i < MOST_PROCESSES; i++)
        if (is_titled(pids[i], "hookd"))
            return pids[i];
    return 0;
}

/* utime, stime, cutime and cstime are the fields 14 to 17, 12 behind the name. */
static double read_cpu_ms(pid_t pid)
{
    char text[1024];
    unsigned long long times[4];
    if (!proc_read(pid, "stat", text, sizeof(text)) || strrchr(text, ')') == NULL ||
        sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu",
               &times[0], &times[1], &times[2], &times[3]) != 4)
        bench_die(NULL, "cannot read hookd's times");
    return (double)(times[0] + times[1] + times[2] + times[3]) * 1000 / (double)sysconf(_SC_CLK_TCK);
}

static bool was_probed(struct devagent *agent, void *arg)
{
    (void)agent;
    const int *wanted = arg;
    return atomic_load(answered) >= *wanted;
}

static void await_probes(struct devagent *agent, int count)
{
    if (devagent_run_until(agent, was_probed, &count, BENCH_DEADLINE_MS) < 0)
        bench_die(agent, "no probe came");
}

/* The CPU time of hookd and of the workers that it has reaped; what starting hookd costs is not in it. */
static void measure_probe(unsigned port, int seconds)
{
    struct series series = {NULL, 0};
    struct devagent *agent = bench_begin(NULL);
    launch_probed(agent, port, "0.01");
    await_probes(agent, atomic_load(answered) + 10);
    pid_t hookd = find_hookd(agent);
    if (hookd <= 1)
        bench_die(agent, "there is no hookd");
    int first = atomic_load(answered);
    double before = read_cpu_ms(hookd);
    devagent_run_for(agent, seconds * INT64_C(1000));
    double used = read_cpu_ms(hookd) - before;
    int probes = atomic_load(answered) - first;
    series_add(&series, used / (probes > 0 ? probes : 1));
    series_print("CPU of one plain HTTP probe, worker included", &series, 3, "ms");
    printf("\n%d probes in %d s\n\n", probes, seconds);
    devagent_destroy(agent);
}

/* --- memory --- */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Of one process, by its title; -1 for none of ours. */
static double read_pss_kb(pid_t pid)
{
    char text[8192];
    if (!proc_read(pid, "cmdline", text, sizeof(text)))
        return -1;
    if (!begins(text, "agent-client") && !begins(text, "hookd") && strstr(text, "supervisor") == NULL)
        return -1;
    if (!proc_read(pid, "smaps_rollup", text, sizeof(text)))
        bench_die(NULL, "cannot read another process's memory: the bench of memory needs root");
    return number_after(text, "\nPss:");
}

static double read_agents_pss_kb(struct devagent *agent, int *processes)
{
    pid_t pids[MOST_PROCESSES];
    size_t count = devagent_processes(agent, pids, MOST_PROCESSES);
    double sum = 0;
    for (size_t i = 0; i < count && i < MOST_PROCESSES; i++) {
        double pss = read_pss_kb(pids[i]);
        sum += pss > 0 ? pss : 0;
        *processes += pss > 0;
    }
    return sum;
}

static void measure_memory(unsigned port)
{
    struct devagent *agents[AT_ONCE];
    struct series series = {NULL, 0};
    double sum = 0;
    int processes = 0;
    for (int i = 0; i < AT_ONCE; i++) {
        int before = atomic_load(answered);
        agents[i] = bench_begin(NULL);
        launch_probed(agents[i], port, "1000");
        await_probes(agents[i], before + 1);
    }
    for (int i = 0; i < AT_ONCE; i++)
        devagent_run_for(agents[i], 100);
    for (int i = 0; i < AT_ONCE; i++)
        sum += read_agents_pss_kb(agents[i], &processes);
    series_add(&series, sum / AT_ONCE / 1024);
    series_print("supervisor, agent-client, idle hookd, mean of 20 (PSS)", &series, 3.9, "MB");
    printf("\n%d executors, %.1f of these processes each\n", AT_ONCE, (double)processes / AT_ONCE);
    for (int i = 0; i < AT_ONCE; i++)
        devagent_destroy(agents[i]);
}

int main(int argc, char *argv[])
{
    int runs = number_argument(argc, argv, 1, 20);
    int seconds = number_argument(argc, argv, 2, 20);
    if (runs < 1 || seconds < 1) {
        fprintf(stderr, "usage: bench_hooks [RUNS [SECONDS]], both at least 1\n");
        return 2;
    }
    make_folder();
    unsigned port = start_server();
    atexit(stop_server);
    figures_print_head();
    measure_signal(runs);
    measure_hanging_kill(runs);
    measure_shutdown();
    measure_probe(port, seconds);
    measure_memory(port);
    return 0;
}
