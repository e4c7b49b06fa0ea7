#ifndef BULKHEAD_HOOKD_WORKER_END_H
#define BULKHEAD_HOOKD_WORKER_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A worker's own end of the socket to hookd. Everything here runs in the worker and may block. */
struct worker_end {
    int socket;
    int64_t span;     /* from the beginning of a hook to its deadline, for words; 0 for none */
    size_t variables; /* told so far */
    size_t variable_bytes;
};

enum {
    WORKER_VARIABLES_MAX = 1024,            /* of one hook call */
    WORKER_VARIABLE_BYTES_MAX = 512 * 1024, /* of their names and values together */
};

/* Tells how the hook has ended; text is cut at WORKER_TEXT_MAX bytes. Returns 0 or a negative errno. */
int worker_end_tell_done(struct worker_end *end, bool success, const char *text);

/* Tells what a probe has seen; status is 0 or that of HTTP. */
int worker_end_tell_probed(struct worker_end *end, bool success, unsigned status, const char *text);

#endif
