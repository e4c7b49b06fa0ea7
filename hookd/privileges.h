#ifndef BULKHEAD_HOOKD_PRIVILEGES_H
#define BULKHEAD_HOOKD_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/config.h"

/*
 * What hookd and its workers give up. Without a folder of executable hooks hookd becomes the helpers' user at
 * once. With one it stays who it is, since those hooks run as the executor's user; then each other worker
 * gives it up for itself.
 */

/* Before the first job. supervisor is getppid() as it was at the start. Returns 0, or -ESRCH when it is gone.
 */
int privileges_drop_in_daemon(const struct config *config, pid_t supervisor);

/* What a confined worker will do: what it must be able to read. */
enum privileges_use {
    PRIVILEGES_FOR_PROBE,
    PRIVILEGES_FOR_CONSUL,
    PRIVILEGES_FOR_VAAS,
};

/*
 * In a worker that talks to a network and starts nothing: the helpers' user, and all of common/confine.h.
 * Says in the log what could not be done if told to. Returns 0, or -ESRCH when hookd is gone.
 */
int privileges_confine_worker(const struct config *config, enum privileges_use use, bool says_gaps);

#endif
