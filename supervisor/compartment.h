#ifndef BULKHEAD_SUPERVISOR_COMPARTMENT_H
#define BULKHEAD_SUPERVISOR_COMPARTMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/loop.h"
#include "common/message.h"

/* A helper process as the supervisor sees it: started, greeted, configured, asked for signs of life,
 * replaced. */
struct compartment;

/* What makes one helper different from another. All of it must outlive the compartment. */
struct compartment_definition {
    enum message_role role;
    const char *program; /* absolute path */
    const struct config *config;
    enum config_receiver receiver;
    size_t high_water;                      /* bytes that may wait to be read by the helper */
    const struct message_handler *handlers; /* what it may say once it is configured */
    const char *const *environment;         /* for its exec */
    void *self;                             /* for handlers and the functions below */
    void (*ready)(void *self);              /* it is configured and listens; may be NULL */
    void (*lost)(void *self);               /* it is gone; a successor follows by itself; may be NULL */
};

/* Returns NULL when there is no memory. Starts nothing. */
struct compartment *compartment_new(struct loop *loop, const struct compartment_definition *definition);

/* Kills the process, if there is one, without waiting for it. NULL is accepted. */
void compartment_free(struct compartment *compartment);

/* Starts the helper; from then on there is always one, or one about to be started. Does not block. */
void compartment_start(struct compartment *compartment);

/* Whether it is configured and can be spoken to. */
bool compartment_is_ready(const struct compartment *compartment);

/*
 * Sends a message, as channel_send(), and wants a sign of life soon after: what was asked of a helper that
 * hangs must go to its successor. Returns 0, -ENOTCONN when the helper is not ready, or an error of
 * channel_send(), after which the helper has been given up: lost() has been called.
 */
int compartment_send(struct compartment *compartment, enum message_type type, const ProtobufCMessage *body,
                     int descriptor);

/* It has done what it is for: should it die now, the next one is started at once. */
void compartment_mark_useful(struct compartment *compartment);

/*
 * A child of ours was reaped, or has stopped or gone on (waitpid(2) with WUNTRACED). Returns whether it was
 * this helper's process.
 */
bool compartment_take_reaped(struct compartment *compartment, pid_t pid, int wait_status);

/* The helper's pid, 0 when there is none. */
pid_t compartment_pid(const struct compartment *compartment);

#endif
