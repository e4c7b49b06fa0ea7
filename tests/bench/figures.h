#ifndef BULKHEAD_TESTS_BENCH_FIGURES_H
#define BULKHEAD_TESTS_BENCH_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tests/devagent/devagent.h"

/* What the benchmarks share: an agent with the real supervisor, series of figures, and their table. */

enum { BENCH_DEADLINE_MS = 20000 };

/* Says what went wrong and what the agent saw (NULL: nothing), and exits with 1. */
_Noreturn void bench_die(struct devagent *agent, const char *what);

/* An executor that has subscribed; options with checkpoint and executor_argv set. NULL for these alone. */
struct devagent *bench_begin(const struct devagent_options *options);
struct devagent_options bench_options(void);

/* Waits for an update of the task "t"; ends the program when it does not come. */
const struct devagent_update *bench_await(struct devagent *agent, Mesos__V1__TaskState state);

double bench_milliseconds(int64_t from_ns, int64_t to_ns);

struct series {
    double *values;
    size_t count;
};

void series_add(struct series *series, double value);

/* Prints a row: median, least, most, and what is aimed at. Frees the values. */
void series_print(const char *what, struct series *series, double limit, const char *unit);

/* The machine, and the table's head. */
void figures_print_head(void);

/* A file of /proc/PID as text; false when there is none or it is empty. */
bool proc_read(pid_t pid, const char *name, char *text, size_t size);

/* The number behind a key, 0 when the key is not there. */
double number_after(const char *text, const char *key);

int number_argument(int argc, char *const argv[], int index, int fallback);

#endif
