#ifndef BULKHEAD_TESTS_UNIT_SUPPORT_H
#define BULKHEAD_TESTS_UNIT_SUPPORT_H

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/send_signal.h"

/* What tests of processes and descriptors share: waiting for a condition, and the counts that show a leak. */

enum { SUPPORT_DEADLINE_SECONDS = 30 };

/* Seconds on the kernel's monotonic clock, past any stand-in that a test has for it. */
static inline double support_seconds(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Waits until condition(arg) holds; false when it has not within the deadline. */
static inline bool support_wait_for(bool (*condition)(void *arg), void *arg)
{
    double end = support_seconds() + SUPPORT_DEADLINE_SECONDS;
    while (!condition(arg)) {
        if (support_seconds() > end)
            return false;
        const struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
    }
    return true;
}

/* How many descriptors a process has open, the one for looking left out when it is the caller. */
static inline size_t support_count_descriptors(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    size_t count = 0;
    if (folder == NULL)
        return SIZE_MAX;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return pid == getpid() ? count - 1 : count;
}

/* The state letter of a process, as in proc_pid_stat(5); 0 when it is gone. */
static inline char support_state(pid_t pid)
{
    char path[64];
    char stat[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    size_t n = fread(stat, 1, sizeof(stat) - 1, file);
    fclose(file);
    stat[n] = '\0';
    const char *end = strrchr(stat, ')');
    return end != NULL && end[1] == ' ' ? end[2] : 0;
}

static inline void support_become_subreaper(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static inline bool support_reaped_all(void *arg)
{
    (void)arg;
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        continue;
    return pid < 0 && errno == ECHILD;
}

/* Reaps until there is no child left; false when one stays. */
static inline bool support_no_children_left(void)
{
    return support_wait_for(support_reaped_all, NULL);
}

/* The path of a program of tests/helpers, found beside the folder of this one. */
static inline const char *support_helper(const char *name, char out[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n < 0 ? 0 : n] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(self, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    int length = snprintf(out, PATH_MAX, "%.4000s/helpers/%s", self, name);
    return length > 0 && length < PATH_MAX ? out : NULL;
}

#endif
