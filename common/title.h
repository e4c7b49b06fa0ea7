#ifndef BULKHEAD_COMMON_TITLE_H
#define BULKHEAD_COMMON_TITLE_H

#include <stddef.h>

/* What ps shows of a helper in place of its arguments. */
struct process_title {
    char *text; /* the memory of the arguments */
    size_t size;
};

/*
 * Takes the memory of the arguments, as far as it is in one piece. They must not be read any more after
 * process_title_set().
 */
struct process_title process_title_init(int argc, char *const argv[]);

/* Shows text; cut when it does not fit. */
void process_title_set(const struct process_title *title, const char *text);

#endif
