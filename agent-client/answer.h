#ifndef BULKHEAD_AGENT_CLIENT_ANSWER_H
#define BULKHEAD_AGENT_CLIENT_ANSWER_H

#include "proto/bulkhead.pb-c.h"

/*
 * What an HTTP status of the agent means for us. The agent's side is Http::executor in Mesos'
 * src/slave/http.cpp: 503 while it recovers, 404 before its routes exist, 400 for a call it finds wrong and
 * for ids it does not know, 401 and 403 for a token that is missing or not ours, 403 also for a call from an
 * executor that is not subscribed. Pure.
 */
enum answer_verdict {
    ANSWER_ACCEPTED,
    ANSWER_REJECTED, /* this update is wrong, the conversation goes on */
    ANSWER_ENDS,     /* the subscription or the attempt is over; cause says why */
};

struct answer {
    enum answer_verdict verdict;
    Bulkhead__Disconnected__Cause cause; /* of ANSWER_ENDS */
};

/*
 * The answer to SUBSCRIBE. content_type is the header's value, body the beginning of the answer's body; both
 * may be NULL. Never ANSWER_REJECTED: without a subscription there is nothing to go on with.
 */
struct answer answer_to_subscribe(long status, const char *content_type, const char *body);

/* The answer to UPDATE; body as above. */
struct answer answer_to_update(long status, const char *body);

#endif
