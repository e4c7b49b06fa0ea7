#ifndef BULKHEAD_HOOKD_LINES_H
#define BULKHEAD_HOOKD_LINES_H

#include <stdbool.h>
#include <stddef.h>

/* What an executable prints, cut into lines, and what a line may be. */

/* Called for each line, without its newline; is_cut: it is longer than the limit, and goes on in the next
 * call. */
typedef void (*lines_fn)(void *arg, const char *line, size_t length, bool is_cut);

struct lines {
    char *bytes;
    size_t used;
    size_t limit; /* of a line, in bytes */
    lines_fn emit;
    void *arg;
};

/* Returns 0 or -ENOMEM. */
int lines_init(struct lines *lines, size_t limit, lines_fn emit, void *arg);
void lines_clear(struct lines *lines);

void lines_feed(struct lines *lines, const char *bytes, size_t length);

/* Says that nothing more comes: what is left is a line too. */
void lines_finish(struct lines *lines);

/* Whether this is a name for an environment variable: letters, digits and '_', no digit first. Pure. */
bool lines_is_variable_name(const char *name, size_t length);

/*
 * Judges a line NAME=value. Returns NULL and stores the length of the name when it is one; otherwise what is
 * wrong with it, as the end of a sentence: "has no '='". Pure.
 */
const char *lines_check_variable(const char *line, size_t length, size_t *ret_name_length);

/*
 * Writes a line for other people's terminals: prefix, ": ", the line with control characters (C1 too) as
 * \xNN, and a newline, cut where out is full. Returns the length; no NUL is written. size must be at
 * least 16. Pure.
 */
size_t lines_format(char *out, size_t size, const char *prefix, const char *line, size_t length);

#endif
