#ifndef BULKHEAD_COMMON_MESSAGE_H
#define BULKHEAD_COMMON_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

/* The compartments, as bits: a row of proto/messages.def may name several. */
enum message_role {
    ROLE_SUPERVISOR = 1 << 0,
    ROLE_AGENT_CLIENT = 1 << 1,
    ROLE_HOOKD = 1 << 2,
    ROLE_LOGSHIPPER = 1 << 3,
    ROLE_HELPER = ROLE_AGENT_CLIENT | ROLE_HOOKD | ROLE_LOGSHIPPER,
};

/* How far the conversation with a helper has come, as bits. */
enum message_phase {
    PHASE_SETUP = 1 << 0,
    PHASE_RUNNING = 1 << 1,
    PHASE_STOPPING = 1 << 2,
};

/* The numbers of proto/messages.def: MESSAGE_HELLO and so on. */
enum message_type {
#define MESSAGE(name, number, sender, receiver, phases, largest, descriptors, body, purpose)                 \
    MESSAGE_##name = number,
#include "proto/messages.def"
#undef MESSAGE
};

enum { MESSAGE_PROTOCOL = 1 }; /* what HELLO carries; it changes whenever messages.def does */

/* One row of proto/messages.def. */
struct message_definition {
    const char *name;
    enum message_type type;
    unsigned senders;   /* enum message_role bits */
    unsigned receivers; /* enum message_role bits */
    unsigned phases;    /* enum message_phase bits */
    uint32_t largest;   /* bytes of body */
    bool has_descriptor;
    const ProtobufCMessageDescriptor *body;
    const char *purpose;
};

/* The row of a type, or NULL when there is none. Pure. */
const struct message_definition *message_find(uint16_t type);

/* The rows in the order of the list: the first for index 0, NULL past the last. Pure. */
const struct message_definition *message_at(size_t index);

/* The name of a type for a log line, "unknown" when there is none. Pure. */
const char *message_name(uint16_t type);

/* The name of a single role: "supervisor", "agent-client", "hookd", "logshipper". Pure. */
const char *message_role_name(enum message_role role);

/*
 * Whether sender may say type to receiver in this phase with a body of length bytes, and with a descriptor or
 * not: 0 or -EPROTO. Pure.
 */
int message_check(uint16_t type, enum message_role sender, enum message_role receiver,
                  enum message_phase phase, size_t length, bool has_descriptor);

/*
 * Decodes a body. Returns 0 and stores a message of the type's body, to be freed with
 * protobuf_c_message_free_unpacked(message, NULL); -EPROTO when it does not decode or carries a field, at any
 * depth, that the type does not have: both sides are of one version, so such a field is a mistake or an
 * attack.
 */
int message_decode(uint16_t type, const unsigned char *body, size_t length, ProtobufCMessage **ret_message);

/*
 * What a component does with one kind of message. body is of the type's body and is freed after the call;
 * descriptor is -1 or now belongs to the handler. A negative errno ends the peer.
 */
struct message_handler {
    enum message_type type;
    int (*handle)(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor);
};

/*
 * Decodes a body and calls the handler of its type; a table ends with a row without handle. Returns what the
 * handler returned, or -EPROTO when the body is bad or nobody handles the type. The descriptor (or -1) is
 * taken in every case.
 */
int message_dispatch(const struct message_handler *table, void *self, uint16_t type, uint32_t id,
                     const unsigned char *body, size_t length, int descriptor);

#endif
