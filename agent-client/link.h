#ifndef BULKHEAD_AGENT_CLIENT_LINK_H
#define BULKHEAD_AGENT_CLIENT_LINK_H

#include <stdint.h>

#include "common/loop.h"
#include "common/message.h"

/* Our end of the conversation with the supervisor, in the loop. */
struct link;

enum link_end {
    LINK_OPEN,
    LINK_CLOSED, /* the supervisor has closed its end, or is gone */
    LINK_BROKEN, /* it said what it must not, or no longer reads, or memory is short: see link_error() */
};

/*
 * Takes the socket, in PHASE_SETUP, and calls the handlers of the table (it must outlive the link) with self.
 * When the conversation ends the loop is stopped. Returns 0 or -ENOMEM (the socket is then still the
 * caller's).
 */
int link_new(struct loop *loop, int socket, uint32_t generation, const struct message_handler *handlers,
             void *self, struct link **ret_link);

/* Closes the socket. NULL is accepted. */
void link_free(struct link *link);

/* From now on the messages of PHASE_RUNNING are allowed, in both directions. */
void link_set_running(struct link *link);

/*
 * Queues a message; body may be NULL where it has no fields. Failure ends the conversation, as link_end()
 * then says: nothing is left to be done by the caller. Once it has ended, messages are dropped.
 */
void link_send(struct link *link, enum message_type type, uint32_t id, const ProtobufCMessage *body);

enum link_end link_end(const struct link *link);

/* The negative errno that broke the conversation, and the message during which it did, 0 when none. */
int link_error(const struct link *link);
uint16_t link_error_message(const struct link *link);

#endif
