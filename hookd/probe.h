#ifndef BULKHEAD_HOOKD_PROBE_H
#define BULKHEAD_HOOKD_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/bulkhead.pb-c.h"

enum { PROBE_REDIRECTS_MAX = 10, PROBE_TEXT_SIZE = 1024 };

struct probe_outcome {
    bool success;    /* HTTP: a whole answer came, whatever its status; TCP: connected */
    unsigned status; /* HTTP: of the answer that no redirect followed */
    char text[PROBE_TEXT_SIZE];
};

/* Whether the message says enough to be tried. Pure. */
bool probe_is_valid(const Bulkhead__Probe *probe);

/* Whether libcurl is certain to be needed: a redirect may need it later, too. Pure. */
bool probe_needs_http_client(const Bulkhead__Probe *probe);

/*
 * Looks once, in a worker: blocks until the deadline (loop_now()'s clock, INT64_MAX for none) at most, but
 * for a name service that a redirect may lead to.
 */
void probe_perform(const Bulkhead__Probe *probe, int64_t deadline, struct probe_outcome *ret_outcome);

#endif
