#ifndef BULKHEAD_HOOKD_WORDS_H
#define BULKHEAD_HOOKD_WORDS_H

#include <stddef.h>
#include <stdint.h>

/*
 * What has become of a process, from its wait status: "exited with code 3", "killed by signal 11
 * (Segmentation fault)". Cut at size bytes with the NUL. Returns text. Pure.
 */
const char *words_for_end(int wait_status, char *text, size_t size);

/* "timed out after 30s": span in nanoseconds, shown in whole milliseconds. Returns text. Pure. */
const char *words_for_timeout(const char *what, int64_t span, char *text, size_t size);

#endif
