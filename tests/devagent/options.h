/* The command line of `devagent`. */
#ifndef BULKHEAD_TESTS_DEVAGENT_OPTIONS_H
#define BULKHEAD_TESTS_DEVAGENT_OPTIONS_H

#include "tests/devagent/devagent.h"

enum { SETTINGS_MAX = 64 };

/* Something to do a while after the first TASK_RUNNING. */
enum action_kind {
    ACTION_KILL,
    ACTION_SHUTDOWN,
    ACTION_RESTART,
    ACTION_DROP,
    ACTION_RESET,
    ACTION_GARBAGE,
    ACTION_BAD_LENGTH,
    ACTION_UNKNOWN_EVENT,
    ACTION_RELEASE_ACKS,
};

struct action {
    enum action_kind kind;
    int64_t after_ms;
};

struct settings {
    /* executor_argv, environment and so on point into this structure and argv */
    struct devagent_options agent;
    const char *executor[SETTINGS_MAX + 1];
    const char *environment[SETTINGS_MAX + 1];
    const char *task_files[SETTINGS_MAX];
    size_t executor_count, environment_count, task_count;
    char *task_command; /* the words after the second "--"; NULL: none */
    bool group, marathon, output, quiet;
    int64_t grace_ms; /* of KILLs; negative: none */
    enum devagent_ack ack;
    int64_t ack_delay_ms;
    size_t split;
    bool unknown_fields;
    struct devagent_fault faults[SETTINGS_MAX];
    struct action actions[SETTINGS_MAX];
    size_t fault_count, action_count;
    bool help;
};

/* Reads the command line. 0; -EINVAL with *ret_error (malloc'd) set to what is wrong and what is accepted. */
int settings_parse(struct settings *settings, int argc, char **argv, char **ret_error);
void settings_clear(struct settings *settings);
void settings_help(FILE *stream);

#endif
