#ifndef BULKHEAD_AGENT_CLIENT_EVENT_H
#define BULKHEAD_AGENT_CLIENT_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/message.h"

/* What became of an event. */
enum event_outcome {
    EVENT_PASSED,  /* what it says went to the supervisor */
    EVENT_IGNORED, /* it asks nothing of an executor like ours */
    EVENT_SKIPPED, /* it lacks something, or is of a type that we do not know: worth a warning */
    EVENT_REFUSED, /* a task that could not be handed on: the supervisor was told so */
};

struct event_report {
    enum event_outcome outcome;
    uint32_t type;     /* Mesos' number */
    const char *name;  /* of the type; a constant */
    const char *text;  /* a constant, NULL when there is nothing to add */
    size_t secrets;    /* variables left out of tasks' environments */
    char *agent_words; /* of ERROR, for the log; freed by event_report_clear() */
};

/*
 * Takes a message to the supervisor: 0, or a negative errno that event_translate() hands on. body lives for
 * the call only and, packed, is never larger than the message list allows.
 */
typedef int (*event_emit)(void *arg, enum message_type type, const ProtobufCMessage *body);

/*
 * Reads one record of the event stream and says the same to the supervisor in our own messages. Returns 0 and
 * a report, -EBADMSG when the record, or a task in it, is no protobuf of its type (the stream is not to be
 * trusted further), -ENOMEM, or what emit returned. Of a group either all tasks are passed on, in one
 * message, or all are refused.
 */
int event_translate(const unsigned char *data, size_t size, event_emit emit, void *arg,
                    struct event_report *ret_report);

/* NULL is accepted. */
void event_report_clear(struct event_report *report);

#endif
