/*
 * One attempt after another to be subscribed with the agent, and what happens while we are.
 *
 *     WAITING -> ASKING -> SUBSCRIBING -> SUBSCRIBED
 *        ^          |           |             |
 *        +----------+-----------+-------------+   disconnect()
 *
 * Asking is the supervisor's list for this attempt; subscribing is the call until the agent's SUBSCRIBED.
 * Whatever goes wrong ends both connections at once, is told to the supervisor with its cause, and is
 * followed by a wait and the next attempt. This file must never decide to stop trying, and must keep nothing
 * from one attempt for the next.
 */
#include "agent-client/subscription.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent-client/answer.h"
#include "agent-client/backoff.h"
#include "agent-client/event.h"
#include "agent-client/listing.h"
#include "agent-client/recordio.h"
#include "agent-client/updates.h"
#include "common/log.h"

enum { TEXT_SIZE = 1024, SOCKETS_MAX = 2 };

/* A subscription that ends sooner has not held: its end must not make the next wait a short one again. */
static const int64_t held_after = LOOP_SECOND;

/* When nothing has happened for so long, memory that is not used is given back. */
static const int64_t tidy_after = LOOP_SECOND;

enum state { STATE_WAITING, STATE_ASKING, STATE_SUBSCRIBING, STATE_SUBSCRIBED };

struct subscription {
    struct loop *loop;
    struct link *link;
    const struct settings *settings;
    const struct title *title;
    enum state state;
    struct backoff backoff;
    struct loop_timer retry;
    struct loop_timer tidy;
    unsigned attempts;                        /* since the last subscription */
    Bulkhead__Disconnected__Cause last_cause; /* 0 when that is how the last subscription began */
    int64_t subscribed_at;

    /* Of the attempt or subscription that is going on. */
    struct listing listing;
    struct http_sockets sockets;
    struct http *http;
    struct call call;
    struct recordio recordio;
    struct updates *updates;
    long status;        /* of the answer to SUBSCRIBE, 0 before */
    bool accepted;      /* that answer is the event stream */
    const char *broken; /* what is wrong with the stream, a constant */
};

static const char *state_name(enum state state)
{
    static const char *const names[] = {"waiting", "asking", "subscribing", "subscribed"};
    return names[state];
}

static const char *cause_name(Bulkhead__Disconnected__Cause cause)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&bulkhead__disconnected__cause__descriptor, (int)cause);
    return value != NULL ? value->name : "?";
}

static void set_state(struct subscription *subscription, enum state state)
{
    if (subscription->state != state)
        log_debug("subscription", LOG_STR("from", state_name(subscription->state)),
                  LOG_STR("to", state_name(state)));
    subscription->state = state;
    title_set(subscription->title, state_name(state));
}

/* ---- housekeeping ---- */

static void tidy(void *arg)
{
    (void)arg;
    malloc_trim(0);
}

static void note_activity(struct subscription *subscription)
{
    loop_timer_arm(subscription->loop, &subscription->tidy, loop_now() + tidy_after);
}

static uint32_t random_number(void)
{
    uint32_t number;
    if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
        number = (uint32_t)loop_now();
    return number;
}

static void close_sockets(struct subscription *subscription)
{
    for (size_t i = 0; i < subscription->sockets.count; i++)
        close(subscription->sockets.descriptors[i]);
    subscription->sockets.count = 0;
}

/* Both connections, and all that belonged to them. */
static void tear_down(struct subscription *subscription)
{
    http_free(subscription->http);
    subscription->http = NULL;
    updates_free(subscription->updates);
    subscription->updates = NULL;
    call_clear(&subscription->call);
    recordio_clear(&subscription->recordio);
    listing_clear(&subscription->listing);
    close_sockets(subscription);
    subscription->status = 0;
    subscription->accepted = false;
    subscription->broken = NULL;
}

/* ---- the end of an attempt or a subscription ---- */

/* An agent that stays away for an hour is one warning, not thousands. */
static void log_disconnect(struct subscription *subscription, Bulkhead__Disconnected__Cause cause,
                           const char *text, int64_t wait)
{
    bool is_news = cause != subscription->last_cause;
    const char *message = subscription->state == STATE_SUBSCRIBED ? "subscription ended, subscribing again"
                                                                  : "cannot subscribe, trying again";
    log_write(is_news ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, message, LOG_STR("cause", cause_name(cause)),
              LOG_STR("why", text), LOG_DURATION("wait", wait), LOG_UINT("attempt", subscription->attempts));
    subscription->last_cause = cause;
}

static void disconnect(struct subscription *subscription, Bulkhead__Disconnected__Cause cause,
                       const char *text)
{
    if (subscription->state == STATE_SUBSCRIBED && loop_now() - subscription->subscribed_at >= held_after)
        backoff_reset(&subscription->backoff);
    int64_t wait = backoff_next(&subscription->backoff, random_number());
    log_disconnect(subscription, cause, text, wait);
    tear_down(subscription);
    set_state(subscription, STATE_WAITING);
    loop_timer_arm(subscription->loop, &subscription->retry, loop_now() + wait);
    note_activity(subscription);

    Bulkhead__Disconnected body = BULKHEAD__DISCONNECTED__INIT;
    body.has_cause = 1;
    body.cause = cause;
    body.text = (char *)(uintptr_t)text;
    link_send(subscription->link, MESSAGE_AGENT_DISCONNECTED, 0, &body.base);
}

/* ---- the stream of events ---- */

static void enter_subscribed(struct subscription *subscription)
{
    subscription->subscribed_at = loop_now();
    set_state(subscription, STATE_SUBSCRIBED);
    log_info("subscribed", LOG_UINT("attempts", subscription->attempts));
    subscription->attempts = 0;
    subscription->last_cause = 0;
}

static int emit_event(void *arg, enum message_type type, const ProtobufCMessage *body)
{
    struct subscription *subscription = arg;
    if (type == MESSAGE_AGENT_SUBSCRIBED) {
        if (subscription->state == STATE_SUBSCRIBED)
            return 0; /* said twice on one stream: the supervisor knows */
        enter_subscribed(subscription);
    }
    link_send(subscription->link, type, 0, body);
    return 0;
}

static void log_event(const struct event_report *report)
{
    switch (report->outcome) {
    case EVENT_PASSED:
    case EVENT_IGNORED:
        log_debug("event from the agent", LOG_STR("event", report->name),
                  LOG_UINT("secret_variables", report->secrets));
        break;
    case EVENT_SKIPPED:
        log_warning("event from the agent skipped", LOG_STR("event", report->name),
                    LOG_UINT("type", report->type), LOG_STR("why", report->text),
                    LOG_STR("words", report->agent_words));
        break;
    case EVENT_REFUSED:
        log_warning("task refused", LOG_STR("event", report->name), LOG_STR("why", report->text));
        break;
    }
}

static int take_record(struct subscription *subscription, const struct recordio_record *record)
{
    struct event_report report;
    int r = event_translate(record->data, record->size, emit_event, subscription, &report);
    if (r < 0) {
        subscription->broken =
            r == -EBADMSG ? "an event, or a task in one, does not decode" : "no memory for an event";
        return r;
    }
    log_event(&report);
    event_report_clear(&report);
    return 0;
}

static const char *describe_record_error(int error)
{
    switch (error) {
    case -EBADMSG:
        return "a record's length is not a number";
    case -EMSGSIZE:
        return "a record is longer than 128 MiB";
    default:
        return "no memory for a record";
    }
}

static int on_stream_data(void *arg, const unsigned char *data, size_t size)
{
    struct subscription *subscription = arg;
    struct recordio_record record;
    int r;
    note_activity(subscription);
    while ((r = recordio_next(&subscription->recordio, &data, &size, &record)) > 0) {
        r = take_record(subscription, &record);
        if (r < 0)
            return r;
    }
    if (r < 0)
        subscription->broken = describe_record_error(r);
    return r;
}

static bool on_stream_head(void *arg, long status, const char *content_type)
{
    struct subscription *subscription = arg;
    subscription->status = status;
    subscription->accepted = answer_to_subscribe(status, content_type, NULL).verdict == ANSWER_ACCEPTED;
    if (subscription->accepted)
        call_clear(&subscription->call);
    return subscription->accepted;
}

/* A stream that had begun. */
static void on_stream_end(struct subscription *subscription, const struct http_result *result)
{
    switch (result->end) {
    case HTTP_STOPPED:
        disconnect(subscription, BULKHEAD__DISCONNECTED__CAUSE__BROKEN, subscription->broken);
        break;
    case HTTP_MALFORMED:
        disconnect(subscription, BULKHEAD__DISCONNECTED__CAUSE__BROKEN, result->error);
        break;
    case HTTP_TIMED_OUT:
        disconnect(subscription, BULKHEAD__DISCONNECTED__CAUSE__TIMEOUT, result->error);
        break;
    default:
        disconnect(subscription, BULKHEAD__DISCONNECTED__CAUSE__CLOSED,
                   "the agent ended the stream of events");
        break;
    }
}

/* An answer that is no stream. */
static void on_refusal(struct subscription *subscription, const struct http_result *result)
{
    struct answer answer = answer_to_subscribe(result->status, NULL, result->excerpt);
    char text[TEXT_SIZE];
    snprintf(text, sizeof(text), "SUBSCRIBE was answered with %ld%s%s%s", result->status,
             result->status == 200 ? " and no application/x-protobuf" : "",
             result->excerpt[0] != '\0' ? ": " : "", result->excerpt);
    disconnect(subscription, answer.cause, text);
}

static Bulkhead__Disconnected__Cause cause_of_no_answer(enum http_end end)
{
    switch (end) {
    case HTTP_REFUSED:
        return BULKHEAD__DISCONNECTED__CAUSE__REFUSED;
    case HTTP_TIMED_OUT:
        return BULKHEAD__DISCONNECTED__CAUSE__TIMEOUT;
    case HTTP_MALFORMED:
        return BULKHEAD__DISCONNECTED__CAUSE__BROKEN;
    default:
        return BULKHEAD__DISCONNECTED__CAUSE__UNAVAILABLE; /* it took the connection, then left us alone */
    }
}

static void on_stream_done(void *arg, const struct http_result *result)
{
    struct subscription *subscription = arg;
    if (subscription->accepted)
        on_stream_end(subscription, result);
    else if (result->end == HTTP_ANSWERED)
        on_refusal(subscription, result);
    else
        disconnect(subscription, cause_of_no_answer(result->end), result->error);
}

/* ---- what the updates say ---- */

static void on_rejected(void *arg, const ProtobufCBinaryData *uuid, const char *text)
{
    struct subscription *subscription = arg;
    log_debug("the agent calls an update invalid", LOG_STR("why", text)); /* the supervisor reports it */
    Bulkhead__Rejected body = BULKHEAD__REJECTED__INIT;
    body.has_uuid = 1;
    body.uuid = *uuid;
    body.text = (char *)(uintptr_t)text;
    link_send(subscription->link, MESSAGE_AGENT_REJECTED, 0, &body.base);
}

static void on_updates_ended(void *arg, Bulkhead__Disconnected__Cause cause, const char *text)
{
    disconnect(arg, cause, text);
}

/* ---- an attempt ---- */

static void start_attempt(void *arg)
{
    struct subscription *subscription = arg;
    subscription->attempts++;
    set_state(subscription, STATE_ASKING);
    link_send(subscription->link, MESSAGE_AGENT_ATTEMPT, 0, NULL);
}

static int open_connections(struct subscription *subscription)
{
    int r = http_new(subscription->loop, &subscription->settings->http, &subscription->sockets,
                     &subscription->http);
    if (r < 0)
        return r;
    subscription->sockets.count = 0; /* they are http's now */
    const struct updates_listener listener = {
        .arg = subscription, .rejected = on_rejected, .ended = on_updates_ended};
    return updates_new(&subscription->settings->identity, subscription->http, &listener,
                       &subscription->updates);
}

static int call_agent(struct subscription *subscription)
{
    const struct call_list list = listing_view(&subscription->listing);
    int r = call_make_subscribe(&subscription->settings->identity, &list, &subscription->call);
    listing_clear(&subscription->listing);
    if (r == 0)
        r = open_connections(subscription);
    if (r < 0)
        return r;
    const struct http_request request = {
        .body = subscription->call.data,
        .size = subscription->call.size,
        .stream = true,
        .arg = subscription,
        .head = on_stream_head,
        .data = on_stream_data,
        .done = on_stream_done,
    };
    return http_post(subscription->http, &request);
}

int subscription_take_subscribe(struct subscription *subscription, const Bulkhead__Subscribe *subscribe)
{
    if (subscription->state != STATE_ASKING || subscribe->tasks != subscription->listing.task_count ||
        subscribe->updates != subscription->listing.update_count)
        return -EPROTO;
    if (subscription->settings->http.endpoint.domain_socket && subscription->sockets.count == 0) {
        disconnect(subscription, BULKHEAD__DISCONNECTED__CAUSE__REFUSED,
                   "there is no connection to the agent's domain socket");
        return 0;
    }
    set_state(subscription, STATE_SUBSCRIBING);
    note_activity(subscription);
    return call_agent(subscription);
}

int subscription_take_list_task(struct subscription *subscription, const Bulkhead__ListTask *task)
{
    if (subscription->state != STATE_ASKING || !task->has_raw)
        return -EPROTO;
    return listing_add_task(&subscription->listing, &task->raw);
}

int subscription_take_list_update(struct subscription *subscription, const Bulkhead__Update *update)
{
    if (subscription->state != STATE_ASKING)
        return -EPROTO;
    return listing_add_update(&subscription->listing, update);
}

int subscription_take_socket(struct subscription *subscription, int descriptor)
{
    if (subscription->state != STATE_ASKING || subscription->sockets.count == SOCKETS_MAX ||
        !subscription->settings->http.endpoint.domain_socket) {
        close(descriptor);
        return -EPROTO;
    }
    subscription->sockets.descriptors[subscription->sockets.count++] = descriptor;
    return 0;
}

/* Without a subscription an update has nowhere to go; it will be in the list of the next attempt. */
int subscription_take_update(struct subscription *subscription, const Bulkhead__Update *update)
{
    if (subscription->state != STATE_SUBSCRIBED)
        return 0;
    note_activity(subscription);
    return updates_add(subscription->updates, update);
}

/* ---- life ---- */

int subscription_new(struct loop *loop, struct link *link, const struct settings *settings,
                     const struct title *title, struct subscription **ret_subscription)
{
    struct subscription *subscription = calloc(1, sizeof(*subscription));
    if (subscription == NULL)
        return -ENOMEM;
    subscription->loop = loop;
    subscription->link = link;
    subscription->settings = settings;
    subscription->title = title;
    backoff_init(&subscription->backoff, settings->window);
    recordio_init(&subscription->recordio, RECORDIO_LIMIT);
    loop_timer_init(&subscription->retry, start_attempt, subscription);
    loop_timer_init(&subscription->tidy, tidy, subscription);
    *ret_subscription = subscription;
    return 0;
}

void subscription_free(struct subscription *subscription)
{
    if (subscription == NULL)
        return;
    tear_down(subscription);
    loop_timer_disarm(subscription->loop, &subscription->retry);
    loop_timer_disarm(subscription->loop, &subscription->tidy);
    free(subscription);
}

void subscription_start(struct subscription *subscription)
{
    start_attempt(subscription);
}
