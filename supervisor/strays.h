#ifndef BULKHEAD_SUPERVISOR_STRAYS_H
#define BULKHEAD_SUPERVISOR_STRAYS_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Kills every child of the caller that known() does not know, with all it has started: what a dead helper or
 * a dead keeper has left to us, the caller being a child subreaper. Returns how many such children there
 * still are; they are to be reaped, and their orphans then met by another call. A negative errno when /proc
 * cannot be read.
 */
int strays_kill(bool (*known)(void *arg, pid_t pid), void *arg);

#endif
