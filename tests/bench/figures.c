/*
 * What the benchmarks share; see figures.h. Judges nothing.
 */
#include "tests/bench/figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

_Noreturn void bench_die(struct devagent *agent, const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    if (agent != NULL)
        devagent_dump(agent, stderr);
    devagent_destroy(agent);
    exit(1);
}

/* --- executors --- */

struct devagent_options bench_options(void)
{
    static const char *const supervisor[] = {TEST_BIN_DIR "/supervisor", NULL};
    struct devagent_options options;
    devagent_options_init(&options);
    options.executor_argv = supervisor;
    options.checkpoint = true;
    return options;
}

struct devagent *bench_begin(const struct devagent_options *options)
{
    struct devagent_options defaults = bench_options();
    struct devagent *agent;
    if (devagent_create(options != NULL ? options : &defaults, &agent) < 0 ||
        devagent_start_executor(agent) < 0)
        bench_die(NULL, "cannot start devagent");
    if (devagent_wait_subscribed(agent, BENCH_DEADLINE_MS) < 0)
        bench_die(agent, "no subscription");
    return agent;
}

const struct devagent_update *bench_await(struct devagent *agent, Mesos__V1__TaskState state)
{
    const struct devagent_update *update = devagent_wait_state(agent, "t", state, BENCH_DEADLINE_MS);
    if (update == NULL)
        bench_die(agent, "an update did not come");
    return update;
}

double bench_milliseconds(int64_t from_ns, int64_t to_ns)
{
    return (double)(to_ns - from_ns) / 1e6;
}

/* --- series --- */

void series_add(struct series *series, double value)
{
    series->values = reallocarray(series->values, series->count + 1, sizeof(double));
    if (series->values == NULL)
        bench_die(NULL, "no memory");
    series->values[series->count++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void series_print(const char *what, struct series *series, double limit, const char *unit)
{
    qsort(series->values, series->count, sizeof(double), compare);
    double median = series->values[series->count / 2];
    printf("| %-58s | %9.2f | %9.2f | %9.2f | %6.1f %-4s | %4.2f |\n", what, median, series->values[0],
           series->values[series->count - 1], limit, unit, median / limit);
    fflush(stdout);
    free(series->values);
    *series = (struct series){NULL, 0};
}

/* --- the machine --- */

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

void figures_print_head(void)
{
    static const char dashes[] = "------------------------------------------------------------";
    print_machine();
    printf("| %-58s | %9s | %9s | %9s | %-11s | %4s |\n", "what", "median", "least", "most", "at most",
           "is/of");
    printf("|%.60s|%.11s|%.11s|%.11s|%.13s|%.7s|\n", dashes,
           "-----------:", "-----------:", "-----------:", dashes, "------:");
}

/* --- processes --- */

bool proc_read(pid_t pid, const char *name, char *text, size_t size)
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

double number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at != NULL ? strtod(at + strlen(key), NULL) : 0;
}

int number_argument(int argc, char *const argv[], int index, int fallback)
{
    return argc > index ? atoi(argv[index]) : fallback;
}
