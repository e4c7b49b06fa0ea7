#ifndef BULKHEAD_COMMON_HELPER_H
#define BULKHEAD_COMMON_HELPER_H

#include <stdint.h>

/*
 * How a helper is started: descriptor HELPER_SOCKET is its end of the channel, and its only argument is its
 * generation in decimal, followed by blanks that give the process title room.
 */
enum {
    HELPER_SOCKET = 3,
    HELPER_ARGUMENT_LENGTH = 160,
};

/* Writes a helper's argument into out, which has room for HELPER_ARGUMENT_LENGTH + 1 bytes. Pure. */
void helper_argument_format(uint32_t generation, char *out);

/*
 * Reads a helper's generation from its arguments. Returns 0, or -EINVAL when this is no helper's command
 * line: a person typed it. Pure.
 */
int helper_argument_parse(int argc, char *const argv[], uint32_t *ret_generation);

#endif
