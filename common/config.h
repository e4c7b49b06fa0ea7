#ifndef BULKHEAD_COMMON_CONFIG_H
#define BULKHEAD_COMMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The settings, read from the environment once at start. config.def is the one list of them: CONFIG_<ID>
 * below, names, types, defaults, ranges, who gets each, and the help come from its rows.
 */
enum config_id {
#define SETTING(id, type, names, fallback, choices, minimum, maximum, flags, receivers, help) CONFIG_##id,
#include "common/config.def"
#undef SETTING
    CONFIG_COUNT
};

/* Who gets a setting: a mask. The supervisor reads all; a helper is sent its own. */
enum config_receiver {
    CONFIG_FOR_SUPERVISOR = 1 << 0,
    CONFIG_FOR_AGENT_CLIENT = 1 << 1,
    CONFIG_FOR_HOOKD = 1 << 2,
    CONFIG_FOR_LOGSHIPPER = 1 << 3,
    CONFIG_FOR_ALL = (1 << 4) - 1,
};

struct config;

struct config_problem {
    bool is_error; /* else a warning: the default is used */
    char *text;    /* one line for people, no newline, never a secret */
};

struct config_problems {
    struct config_problem *items;
    size_t count;
};

/* Frees the texts and makes the list empty. NULL is fine. Start with {0}. */
void config_problems_clear(struct config_problems *problems);

/* A configuration of defaults alone, for a helper that is sent the rest. 0 or -ENOMEM. Free with config_free.
 */
int config_new(struct config **ret_config);

/*
 * Reads the whole environment block. An empty value counts as unset; of a setting's spellings the first in
 * its row that has a value counts; of two entries with one name, the first. Every problem is added to
 * problems, in the order of the rows; a name with our prefix that no row has is a warning. Returns 0 (perhaps
 * with warnings), -EINVAL when there was at least one error, -ENOMEM.
 */
int config_load(char *const *envp, struct config **ret_config, struct config_problems *problems);

/*
 * Sets one value by any of its names, as it came over a channel. problems may be NULL.
 * Returns 0 (also when a telemetry setting's bad value became a warning, and for an empty value, which
 * unsets), -ENOENT for an unknown name, -EINVAL for a value that is not accepted (the old one stays),
 * -ENOMEM.
 */
int config_set_text(struct config *config, const char *name, const char *value,
                    struct config_problems *problems);

/* Zeroes every secret, then frees. NULL is fine. */
void config_free(struct config *config);

/* Whether a value was given, as opposed to the default being used. */
bool config_is_set(const struct config *config, enum config_id id);

/* The getters abort on an id of another type: that is a bug of the caller. They never fail and never block.
 */
bool config_bool(const struct config *config, enum config_id id);
/* Nanoseconds; Go and Mesos durations alike. */
int64_t config_duration(const struct config *config, enum config_id id);
/* Integers and sizes in bytes. */
int64_t config_integer(const struct config *config, enum config_id id);
/*
 * Strings and choices. NULL when unset and without a default. Belongs to config; valid until it is set again
 * or freed.
 */
const char *config_string(const struct config *config, enum config_id id);
/* Comma lists: blanks around items are cut off, empty items left out. config_list_item: NULL past the end. */
size_t config_list_count(const struct config *config, enum config_id id);
const char *config_list_item(const struct config *config, enum config_id id, size_t index);

/* The first name of a setting, for messages. A constant. */
const char *config_name(enum config_id id);

/*
 * Goes through the settings that were given a value and that any of receivers gets. Start with *cursor = 0;
 * returns false at the end. The name is the first spelling; the text is as it was given and belongs to
 * config.
 */
bool config_next_for(const struct config *config, unsigned receivers, size_t *cursor, const char **ret_name,
                     const char **ret_text);

/* Goes through every spelling of every secret setting. Start with *cursor = 0; returns false at the end. */
bool config_next_secret_name(size_t *cursor, const char **ret_name);

/*
 * Zeroes the values of secret settings where they stand, so that /proc/PID/environ no longer shows them. The
 * names stay. Must come after config_load and before anything moves or copies the block (setproctitle_init).
 */
void config_wipe_environment(char **envp);

/* Whether any variable begins with MESOS_: an agent has started us, not a person at a shell. */
bool config_is_under_agent(char *const *envp);

/* The table for --help, as plain text, and for the README, as Markdown. */
void config_write_help(FILE *stream);
void config_write_markdown(FILE *stream);

#endif
