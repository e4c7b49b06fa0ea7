/*
 * The agent's HTTP answers, judged.
 *
 * The rule behind the two functions: what repeating the same bytes can never mend is REJECTED, and an update
 * that is rejected is not sent again; everything else ends the subscription and begins a new one, which
 * carries all that is unacknowledged, so that nothing is lost. It must never take an answer that it does not
 * know for a yes.
 */
#include "agent-client/answer.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define MEDIA_TYPE "application/x-protobuf"

enum {
    HTTP_OK = 200,
    HTTP_BAD_REQUEST = 400,
    HTTP_UNAUTHORIZED = 401,
    HTTP_FORBIDDEN = 403,
    HTTP_NOT_FOUND = 404,
    HTTP_REQUEST_TIMEOUT = 408,
    HTTP_TOO_MANY_REQUESTS = 429,
    HTTP_NOT_IMPLEMENTED = 501,
};

static struct answer ends(Bulkhead__Disconnected__Cause cause)
{
    return (struct answer){ANSWER_ENDS, cause};
}

/* "Framework cannot be found", "Executor cannot be found": the words of http.cpp, the only sign that there
 * is. */
static bool names_unknown_id(long status, const char *body)
{
    return status == HTTP_BAD_REQUEST && body != NULL && strstr(body, "cannot be found") != NULL;
}

static bool is_temporary(long status)
{
    return status == HTTP_NOT_FOUND || status == HTTP_REQUEST_TIMEOUT || status == HTTP_TOO_MANY_REQUESTS ||
           (status >= 500 && status <= 599 && status != HTTP_NOT_IMPLEMENTED);
}

/* Parameters after ';' do not change what it is (RFC 9110, 8.3.1). */
static bool is_our_media_type(const char *content_type)
{
    if (content_type == NULL || strncasecmp(content_type, MEDIA_TYPE, sizeof(MEDIA_TYPE) - 1) != 0)
        return false;
    const char *rest = content_type + sizeof(MEDIA_TYPE) - 1;
    rest += strspn(rest, " \t");
    return *rest == '\0' || *rest == ';';
}

struct answer answer_to_subscribe(long status, const char *content_type, const char *body)
{
    if (status == HTTP_OK && is_our_media_type(content_type))
        return (struct answer){.verdict = ANSWER_ACCEPTED};
    if (status < 300)
        return ends(BULKHEAD__DISCONNECTED__CAUSE__BROKEN);
    if (status == HTTP_UNAUTHORIZED || status == HTTP_FORBIDDEN)
        return ends(BULKHEAD__DISCONNECTED__CAUSE__UNAUTHORIZED);
    if (names_unknown_id(status, body))
        return ends(BULKHEAD__DISCONNECTED__CAUSE__UNKNOWN_ID);
    if (is_temporary(status))
        return ends(BULKHEAD__DISCONNECTED__CAUSE__UNAVAILABLE);
    return ends(BULKHEAD__DISCONNECTED__CAUSE__REJECTED);
}

struct answer answer_to_update(long status, const char *body)
{
    if (status >= 200 && status < 300)
        return (struct answer){.verdict = ANSWER_ACCEPTED};
    if (status < 200)
        return ends(BULKHEAD__DISCONNECTED__CAUSE__BROKEN);
    /*
     * Whatever the agent has against this call, its stream is still open: whether we are still welcome is for
     * the next SUBSCRIBE to say. A redirect is followed by nobody.
     */
    if (status < 400 || is_temporary(status) || status == HTTP_UNAUTHORIZED || status == HTTP_FORBIDDEN ||
        names_unknown_id(status, body))
        return ends(BULKHEAD__DISCONNECTED__CAUSE__RESUBSCRIBE);
    return (struct answer){.verdict = ANSWER_REJECTED};
}
