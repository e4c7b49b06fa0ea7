#ifndef BULKHEAD_COMMON_LOG_H
#define BULKHEAD_COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/*
 *     log_open("supervisor", STDERR_FILENO, LOG_LEVEL_INFO);
 *     log_info("task launched", LOG_STR("task", id), LOG_INT("pid", pid));
 *     log_error("cannot open the sandbox; leaving", LOG_STR("path", path), LOG_ERRNO(error));
 *
 * Each call makes one line. The arguments are evaluated only when the level is enabled.
 */

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

enum log_kind {
    LOG_KIND_END,
    LOG_KIND_STRING,
    LOG_KIND_BYTES,
    LOG_KIND_SIGNED,
    LOG_KIND_UNSIGNED,
    LOG_KIND_BOOL,
    LOG_KIND_DURATION,
    LOG_KIND_ERRNO,
    LOG_KIND_SECRET,
};

/* Made by the macros below only. Borrows what it points to for the length of the call. */
struct log_field {
    const char *key;
    enum log_kind kind;
    size_t length;
    union {
        const char *text;
        int64_t number;
        uint64_t natural;
    } value;
};

/* Keys are literals ("" key "" refuses all else) of letters, digits and '_': they are written as they are. */
#define LOG_STR(k, v) ((struct log_field){.key = "" k "", .kind = LOG_KIND_STRING, .value.text = (v)})
#define LOG_BYTES(k, v, n)                                                                                   \
    ((struct log_field){                                                                                     \
        .key = "" k "", .kind = LOG_KIND_BYTES, .length = (n), .value.text = (const char *)(v)})
#define LOG_INT(k, v) ((struct log_field){.key = "" k "", .kind = LOG_KIND_SIGNED, .value.number = (v)})
#define LOG_UINT(k, v) ((struct log_field){.key = "" k "", .kind = LOG_KIND_UNSIGNED, .value.natural = (v)})
#define LOG_BOOL(k, v) ((struct log_field){.key = "" k "", .kind = LOG_KIND_BOOL, .value.number = (v)})
/* Nanoseconds, printed as "1m30s". */
#define LOG_DURATION(k, v)                                                                                   \
    ((struct log_field){.key = "" k "", .kind = LOG_KIND_DURATION, .value.number = (v)})
/* error="No such file or directory", from an errno or its negative; 0, where there was none, leaves it out.
 */
#define LOG_ERRNO(v) ((struct log_field){.key = "error", .kind = LOG_KIND_ERRNO, .value.number = (v)})
/* k=<redacted>: says that there was a value without ever having it in hand. */
#define LOG_SECRET(k) ((struct log_field){.key = "" k "", .kind = LOG_KIND_SECRET})
#define LOG_END ((struct log_field){.kind = LOG_KIND_END})

/* A NULL text prints as key=null. The message is the first field; later ones follow in order. */
#define LOG_FIELDS(message, ...)                                                                             \
    (const struct log_field[])                                                                               \
    {                                                                                                        \
        LOG_STR("msg", message), ##__VA_ARGS__, LOG_END                                                      \
    }
#define log_write(level, ...)                                                                                \
    (log_enabled(level) ? log_write_fields(level, LOG_FIELDS(__VA_ARGS__)) : (void)0)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* No line is longer, newline included: to a pipe that is written whole or not at all (pipe(7), PIPE_BUF). */
#define LOG_LINE_MAX 4096

/*
 * Sets where this process logs, and as whom. fd is borrowed and stays as it is (its file description is
 * shared with the task, so O_NONBLOCK is never set on it); component is copied and cut at 23 bytes. Call it
 * once at start; before it, nothing is written. May be called again: the count of lost lines is kept.
 */
void log_open(const char *component, int fd, enum log_level level);

/* A forked child that goes on without exec names itself and gets its own pid and a loss count of 0. */
void log_set_component(const char *component);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/*
 * The function behind the macros; fields end with LOG_END. One write, never waits for a reader: a line that
 * cannot be written now is dropped and counted, and the next that can be is preceded by one that tells how
 * many were lost. Keeps errno. Allocates nothing, takes no lock: safe after fork and in a signal handler that
 * interrupts no log call. SIGPIPE is avoided, not excluded: a process that must survive it ignores it.
 */
void log_write_fields(enum log_level level, const struct log_field *fields);

struct log_origin {
    const char *component;
    pid_t pid;
    struct timespec time; /* CLOCK_REALTIME */
};

/*
 * The pure part: writes one line, newline included and without a NUL, into line, which has room for
 * LOG_LINE_MAX bytes. A value is cut at 1000 bytes of output and marked with "..."; fields that do not fit
 * are left out and the line ends with cut=true. Returns the length.
 */
size_t log_format_line(char *line, const struct log_origin *origin, enum log_level level,
                       const struct log_field *fields);

/*
 * Writes text as one harmless piece of a line: control characters (C1 included), quotes, backslashes and
 * bytes that are not UTF-8 become \n, \t, \", \\ or \u00NN. What does not fit is cut before a whole character
 * and marked with "...". buffer gets a NUL; size must be at least 4. Returns the length without it.
 */
size_t log_escape(char *buffer, size_t size, const char *text, size_t length);

#endif
