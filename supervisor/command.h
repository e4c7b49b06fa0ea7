#ifndef BULKHEAD_SUPERVISOR_COMMAND_H
#define BULKHEAD_SUPERVISOR_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/bulkhead.pb-c.h"

/* What a task is to execute, found out from its description. */
struct command {
    char *file;                      /* for execvp(3) */
    char **argv;                     /* ends with NULL */
    const Bulkhead__Command *source; /* whose user and environment apply; borrowed from the task */
};

/* Whether a word of a command line names the program that is running: given by the caller, so that this stays
 * pure. */
typedef bool (*command_is_self)(const char *word, const void *arg);

/*
 * Finds the command: TaskInfo.command, else what follows the executor itself in the executor's command
 * (Marathon runs "chmod ug+rx '<path>' && exec '<path>' <command>"; any path). An executor's command without
 * such a tail is never run: it is what started us, and would start a second executor with the same ids.
 * Returns 0; -EINVAL with a sentence in why that says what to mend; -ENOMEM.
 */
int command_resolve(const Bulkhead__Task *task, command_is_self is_self, const void *arg,
                    struct command *ret_command, char *why, size_t why_size);

void command_clear(struct command *command);

/*
 * The words after the executor in a shell command line, or NULL when the line is not of a known form. The
 * first "-debug" is the executor's and is passed over. Points into line. Pure.
 */
const char *command_strip_executor(const char *line, command_is_self is_self, const void *arg);

#endif
