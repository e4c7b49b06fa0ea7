/*
 * The agreement between the supervisor and a helper's main(): what is on the command line and where the
 * channel is.
 */
#include "common/helper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void helper_argument_format(uint32_t generation, char *out)
{
    snprintf(out, HELPER_ARGUMENT_LENGTH + 1, "%-*u", HELPER_ARGUMENT_LENGTH, (unsigned)generation);
}

int helper_argument_parse(int argc, char *const argv[], uint32_t *ret_generation)
{
    if (argc != 2)
        return -EINVAL;
    uint32_t generation = 0;
    const char *c = argv[1];
    for (; *c >= '0' && *c <= '9'; c++) {
        uint32_t digit = (uint32_t)(*c - '0');
        if (generation > (UINT32_MAX - digit) / 10)
            return -EINVAL;
        generation = generation * 10 + digit;
    }
    if (generation == 0 || c[strspn(c, " ")] != '\0')
        return -EINVAL;
    *ret_generation = generation;
    return 0;
}
