#ifndef BULKHEAD_COMMON_HELPER_LINK_H
#define BULKHEAD_COMMON_HELPER_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "common/loop.h"
#include "common/message.h"

/* A helper's end of the conversation with the supervisor, in the loop. */
struct helper_link;

enum helper_link_end {
    HELPER_LINK_OPEN,
    HELPER_LINK_CLOSED, /* the supervisor has closed its end, or is gone */
    HELPER_LINK_BROKEN, /* it said what it must not, or no longer reads, or memory is short */
};

struct helper_link_options {
    enum message_role role; /* the helper's own */
    int socket;             /* HELPER_SOCKET */
    uint32_t generation;
    size_t high_water; /* bytes that may wait to be sent: a supervisor with more is not alive */
    const struct message_handler *handlers; /* must outlive the link; they are called with self */
    void *self;
};

/*
 * Takes the socket, in PHASE_SETUP. When the conversation ends the loop is stopped. Returns 0 or -ENOMEM (the
 * socket is then still the caller's).
 */
int helper_link_new(struct loop *loop, const struct helper_link_options *options,
                    struct helper_link **ret_link);

/* Closes the socket. NULL is accepted. */
void helper_link_free(struct helper_link *link);

/* From now on the messages of PHASE_RUNNING are allowed, in both directions. */
void helper_link_set_running(struct helper_link *link);

/*
 * Queues a message; body may be NULL where it has no fields. Failure ends the conversation, as
 * helper_link_end() then says: nothing is left to be done by the caller. Once it has ended, messages are
 * dropped.
 */
void helper_link_send(struct helper_link *link, enum message_type type, uint32_t id,
                      const ProtobufCMessage *body);

enum helper_link_end helper_link_end(const struct helper_link *link);

/* The negative errno that broke the conversation, and the message during which it did, 0 when none. */
int helper_link_error(const struct helper_link *link);
uint16_t helper_link_error_message(const struct helper_link *link);

#endif
