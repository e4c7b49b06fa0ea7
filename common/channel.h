#ifndef BULKHEAD_COMMON_CHANNEL_H
#define BULKHEAD_COMMON_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "common/message.h"

/*
 * One end of the conversation between the supervisor and a helper: frames in both directions over a stream
 * socketpair, each checked against the message list when it is sent and when it arrives. No call here blocks.
 */
struct channel;

/* What an end is: who speaks, to whom, as which incarnation of the helper, and how much may wait to be sent.
 */
struct channel_options {
    enum message_role self;
    enum message_role peer;
    uint32_t generation; /* a helper finds its own in its first argument */
    size_t high_water;   /* bytes */
};

/* A frame that has arrived. body is valid until the next call on the channel; descriptor is -1 or the taker's
 * to close. */
struct channel_message {
    uint16_t type;
    uint32_t id;
    const unsigned char *body;
    size_t length;
    int descriptor;
};

/*
 * Makes a channel over a socket, which it owns from then on and sets to close-on-exec; it starts in
 * PHASE_SETUP. Returns 0 or -ENOMEM (the socket is then still the caller's).
 */
int channel_new(int socket, const struct channel_options *options, struct channel **ret_channel);

/* Closes the socket and every descriptor that waits in either direction. NULL is accepted. */
void channel_free(struct channel *channel);

int channel_socket(const struct channel *channel);

/* The poll(2) events to wait for: POLLIN, and POLLOUT while something waits to be sent. */
short channel_events(const struct channel *channel);

/* Says how far the conversation is; from then on that phase's messages are allowed, in both directions. */
void channel_set_phase(struct channel *channel, enum message_phase phase);
enum message_phase channel_phase(const struct channel *channel);

/*
 * Queues a message and sends what the socket takes at once. body may be NULL where the type's body has no
 * fields. The descriptor (-1 for none) belongs to the channel from the call on, also when it fails. Returns
 * 0; -EPROTO when the list does not allow the message now; -EMSGSIZE when the body is larger than the list
 * allows; -ENOBUFS when more than the high water would wait: the peer does not read; -ENOMEM; -EPIPE or
 * -ECONNRESET when the peer is gone. On an error nothing was queued, but for the last two, after which
 * nothing is ever sent.
 */
int channel_send(struct channel *channel, enum message_type type, uint32_t id, const ProtobufCMessage *body,
                 int descriptor);

/* Sends what the socket takes. Returns 0, also when some still waits, or a negative errno as channel_send().
 */
int channel_flush(struct channel *channel);

/*
 * Reads what has arrived, once. Returns 1 when something did, 0 at end of file, -EAGAIN when nothing waits,
 * or another negative errno of recvmsg(2).
 */
int channel_fill(struct channel *channel);

/*
 * Takes the next whole frame. Returns 1 and stores it, 0 when there is none yet, or -EPROTO when what came
 * breaks a rule of the list: the peer is not to be listened to any more. Frames of another generation are
 * passed over.
 */
int channel_next(struct channel *channel, struct channel_message *ret_message);

#endif
