#ifndef BULKHEAD_SUPERVISOR_EXECUTOR_H
#define BULKHEAD_SUPERVISOR_EXECUTOR_H

#include <stdint.h>

#include "common/config.h"
#include "supervisor/command.h"

/* The executor as a whole: its tasks, its agent, its signals. All pointers are borrowed for the length of the
 * run. */
struct executor_options {
    struct config *config;    /* freed, with its secrets, in processes forked from this one */
    char *const *environment; /* what tasks start from */
    const char *agent_client; /* path of the program */
    const char *hookd;
    const char *const *helper_environment;
    uint64_t core_limit; /* RLIMIT_CORE as it was found */
    uint64_t core_maximum;
    command_is_self is_self;
};

/*
 * Runs until the executor has nothing left to do. Returns its exit code: 0 when every terminal update was
 * acknowledged, 1 when not, or when something could not be killed or set up.
 */
int executor_run(const struct executor_options *options);

#endif
