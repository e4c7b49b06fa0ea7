/*
 * Durations as text, from the environment and from an agent. Beyond not crashing: what a parser accepts, the
 * matching formatter writes and the parser reads back to the same number of nanoseconds.
 */
#include "common/duration.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_go(const char *text)
{
    int64_t ns = 0, back = 0;

    if (duration_parse_go(text, &ns) == 0) {
        char written[DURATION_TEXT_SIZE];
        if (duration_parse_go(duration_format(ns, written, sizeof(written)), &back) != 0 || back != ns)
            abort();
    }
}

static void check_mesos(const char *text)
{
    int64_t ns = 0, back = 0;

    if (duration_parse_mesos(text, &ns) == 0) {
        char written[DURATION_TEXT_SIZE];
        if (ns < 0)
            abort();
        if (duration_parse_mesos(duration_format_mesos(ns, written, sizeof(written)), &back) != 0 ||
            back != ns)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_go(text);
    check_mesos(text);
    free(text);
    return 0;
}
