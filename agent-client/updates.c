/*
 * The second connection: UPDATE calls.
 *
 * The agent judges updates in the order in which they come, and drops what follows a terminal one; so the
 * next is sent only when the one before has its answer. That answer, 202, says that the agent has read it,
 * not that it has stored it: what is lost in between is the supervisor's to list again. Nothing here is ever
 * repeated.
 */
#include "agent-client/updates.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent-client/answer.h"

enum { UUID_SIZE = 16, TEXT_SIZE = 1024 };

struct entry {
    struct entry *next;
    struct call call;
    size_t uuid_size;
    unsigned char uuid[UUID_SIZE];
};

struct updates {
    const struct call_identity *identity;
    struct http *http;
    struct updates_listener listener;
    struct entry *first; /* being sent while sending is true */
    struct entry **end;
    bool sending;
};

int updates_new(const struct call_identity *identity, struct http *http,
                const struct updates_listener *listener, struct updates **ret_updates)
{
    struct updates *updates = calloc(1, sizeof(*updates));
    if (updates == NULL)
        return -ENOMEM;
    *updates = (struct updates){.identity = identity, .http = http, .listener = *listener};
    updates->end = &updates->first;
    *ret_updates = updates;
    return 0;
}

static void free_entry(struct entry *entry)
{
    call_clear(&entry->call);
    free(entry);
}

static void drop_first(struct updates *updates)
{
    struct entry *first = updates->first;
    updates->first = first->next;
    if (updates->first == NULL)
        updates->end = &updates->first;
    free_entry(first);
}

void updates_free(struct updates *updates)
{
    if (updates == NULL)
        return;
    while (updates->first != NULL)
        drop_first(updates);
    free(updates);
}

static Bulkhead__Disconnected__Cause cause_of(enum http_end end)
{
    switch (end) {
    case HTTP_TIMED_OUT:
        return BULKHEAD__DISCONNECTED__CAUSE__TIMEOUT;
    case HTTP_MALFORMED:
        return BULKHEAD__DISCONNECTED__CAUSE__BROKEN;
    default:
        return BULKHEAD__DISCONNECTED__CAUSE__RESUBSCRIBE;
    }
}

static void send_first(struct updates *updates);

static void reject_first(struct updates *updates, const char *text)
{
    struct entry *first = updates->first;
    const ProtobufCBinaryData uuid = {.len = first->uuid_size, .data = first->uuid};
    updates->listener.rejected(updates->listener.arg, &uuid, text);
}

static void take_answer(struct updates *updates, const struct http_result *result)
{
    struct answer answer = answer_to_update(result->status, result->excerpt);
    char text[TEXT_SIZE];
    snprintf(text, sizeof(text), "an update was answered with %ld%s%s", result->status,
             result->excerpt[0] != '\0' ? ": " : "", result->excerpt);
    if (answer.verdict == ANSWER_ENDS) {
        updates->listener.ended(updates->listener.arg, answer.cause, text);
        return;
    }
    if (answer.verdict == ANSWER_REJECTED)
        reject_first(updates, text);
    drop_first(updates);
    send_first(updates);
}

static void on_done(void *arg, const struct http_result *result)
{
    struct updates *updates = arg;
    updates->sending = false;
    if (result->end == HTTP_ANSWERED) {
        take_answer(updates, result);
        return;
    }
    char text[TEXT_SIZE];
    snprintf(text, sizeof(text), "an update could not be sent: %s", result->error);
    updates->listener.ended(updates->listener.arg, cause_of(result->end), text);
}

static void send_first(struct updates *updates)
{
    if (updates->sending || updates->first == NULL)
        return;
    const struct http_request request = {
        .body = updates->first->call.data,
        .size = updates->first->call.size,
        .arg = updates,
        .done = on_done,
    };
    updates->sending = http_post(updates->http, &request) == 0;
    if (!updates->sending)
        updates->listener.ended(updates->listener.arg, BULKHEAD__DISCONNECTED__CAUSE__RESUBSCRIBE,
                                "no memory to send an update");
}

int updates_add(struct updates *updates, const Bulkhead__Update *update)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return -ENOMEM;
    int r = call_make_update(updates->identity, update, &entry->call);
    if (r < 0) {
        free(entry);
        return r;
    }
    entry->uuid_size = update->uuid.len < UUID_SIZE ? update->uuid.len : UUID_SIZE;
    if (entry->uuid_size > 0)
        memcpy(entry->uuid, update->uuid.data, entry->uuid_size);
    *updates->end = entry;
    updates->end = &entry->next;
    send_first(updates);
    return 0;
}
