/* What the program `devagent` shows of an agent's notices, one line each. */
#ifndef BULKHEAD_TESTS_DEVAGENT_PRINT_H
#define BULKHEAD_TESTS_DEVAGENT_PRINT_H

#include "tests/devagent/devagent.h"

struct print {
    FILE *stream;
    bool colour;
    int64_t start_ns; /* times are counted from here */
};

/* A notice as one line. `arg` is a struct print; fits struct devagent_options.notice. */
void print_notice(const struct devagent_notice *notice, void *arg);

/* Lines of words in the same layout, for the program's own announcements. */
void print_words(const struct print *print, const char *words);

/* Output of the executor or its tasks, each line behind a prefix ("stdout"). Control characters other than
 * newline and tab are shown as '?'. Only whole lines are printed; returns how many bytes were. */
size_t print_output(const struct print *print, const char *prefix, const char *text, size_t len, bool all);

#endif
