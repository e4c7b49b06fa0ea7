#ifndef BULKHEAD_SUPERVISOR_LAUNCH_H
#define BULKHEAD_SUPERVISOR_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What is to be executed as a task's main process. All memory is the caller's and must live through
 * launch_exec(). */
struct launch {
    const char *file;      /* as execvp(3) takes it; looked for in envp's PATH when it has no slash */
    char *const *argv;     /* ends with NULL */
    char **envp;           /* ends with NULL */
    bool output_to_errors; /* standard output goes where standard error goes */
    const char *user;      /* to change to, NULL to stay; only root can change */
    size_t core_limit;     /* RLIMIT_CORE as this process found it, given back to the task */
    size_t core_maximum;   /* its hard limit */
};

/* Where a start has failed; sent as it is over a pipe between two processes of one program. */
enum launch_stage {
    LAUNCH_SESSION = 1, /* setsid, descriptors, limits */
    LAUNCH_NO_USER,     /* the user is not known */
    LAUNCH_USER,        /* the user could not be taken on */
    LAUNCH_EXEC,        /* execve */
};
struct launch_failure {
    int stage; /* enum launch_stage */
    int error; /* errno, 0 where there is none */
};

/*
 * Turns the calling process, a fresh fork of parent, into the task: a session of its own, default signals,
 * empty mask, the user, /dev/null as standard input, no other descriptor but standard output and error, a
 * death signal tied to parent, and then the program. On failure writes a struct launch_failure to report
 * (close-on-exec, closed by success) and exits. May block in name services: whoever waits for report needs a
 * deadline.
 */
_Noreturn void launch_exec(const struct launch *launch, pid_t parent, int report);

/* A sentence for a failure: "cannot execute 'x': No such file or directory". Pure; text gets size bytes with
 * the NUL. */
void launch_describe(const struct launch *launch, const struct launch_failure *failure, char *text,
                     size_t size);

#endif
