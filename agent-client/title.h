#ifndef BULKHEAD_AGENT_CLIENT_TITLE_H
#define BULKHEAD_AGENT_CLIENT_TITLE_H

#include <stddef.h>

/* What ps shows of this process in place of its arguments. */
struct title {
    char *text; /* the memory of the arguments */
    size_t size;
};

/* Takes the memory of the arguments, as far as it is in one piece. They must not be read any more after
 * title_set(). */
struct title title_init(int argc, char *const argv[]);

/* Shows "agent-client: " and what; cut when it does not fit. */
void title_set(const struct title *title, const char *what);

#endif
