/*
 * The event stream: bytes that wait for the executor, handed to the HTTP server as it asks for them, and the
 * moment at which the last byte of each event left. Knows nothing of what the bytes mean. Never blocks; an
 * executor that does not read makes the queue grow, which is the test's business.
 */
#include "tests/devagent/agent.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BLOCK_SIZE = 64 * 1024 };

static void stream_free(void *cls)
{
    struct stream *stream = cls;
    stream_lost(stream);
    if (stream->connection)
        stream->connection->stream = NULL;
    list_clear(&stream->marks, free);
    free(stream->bytes);
    free(stream);
}

static void tell_written(struct stream *stream, struct event *event)
{
    event->public.sent_ns = devagent_now_ns();
    if (event->acknowledges) {
        struct devagent_update *update = &event->acknowledges->public;
        update->acked_ns = update->acked_ns ? update->acked_ns : event->public.sent_ns;
        update->acks_sent++;
    }
    if (event->public.type == MESOS__V1__EXECUTOR__EVENT__TYPE__SUBSCRIBED)
        stream->agent->subscribed = true;
    agent_notice(stream->agent, (struct devagent_notice){.kind = DEVAGENT_NOTICE_EVENT,
                                                         .time_ns = event->public.sent_ns,
                                                         .event = &event->public});
}

/* Tells the agent of every event whose last byte is among those handed out. */
static void pass_marks(struct stream *stream)
{
    while (stream->marks.count > 0) {
        struct mark *mark = stream->marks.items[0];
        if (mark->end > stream->held + stream->sent)
            return;
        if (mark->event && stream->agent)
            tell_written(stream, mark->event);
        free(mark);
        list_remove(&stream->marks, 0);
    }
}

static void forget_sent(struct stream *stream)
{
    if (stream->sent < stream->len && stream->sent < BLOCK_SIZE)
        return;
    memmove(stream->bytes, stream->bytes + stream->sent, stream->len - stream->sent);
    stream->len -= stream->sent;
    stream->held += stream->sent;
    stream->sent = 0;
}

static ssize_t stream_read(void *cls, uint64_t position, char *buffer, size_t max)
{
    struct stream *stream = cls;
    (void)position;
    if (stream->broken || !stream->connection || stream->connection->gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t len = stream->len - stream->sent;
    if (len == 0) {
        if (stream->ending)
            return MHD_CONTENT_READER_END_OF_STREAM;
        connection_suspend(stream->connection);
        return 0;
    }
    if (stream->agent && stream->agent->split > 0 && len > stream->agent->split)
        len = stream->agent->split;
    len = len > max ? max : len;
    memcpy(buffer, stream->bytes + stream->sent, len);
    stream->sent += len;
    pass_marks(stream);
    forget_sent(stream);
    return (ssize_t)len;
}

struct MHD_Response *stream_open(struct devagent *agent, struct connection *connection)
{
    struct stream *stream = agent_alloc(sizeof(*stream));
    stream->agent = agent;
    stream->connection = connection;
    connection->stream = stream;
    agent->stream = stream;
    agent->subscribed = false;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, stream_read, stream, stream_free);
    if (!response)
        abort();
    return response;
}

void stream_write(struct stream *stream, const void *data, size_t len, struct event *event)
{
    if (stream->room - stream->len < len) {
        stream->room = stream->len + len + BLOCK_SIZE;
        stream->bytes = realloc(stream->bytes, stream->room);
        if (!stream->bytes)
            abort();
    }
    memcpy(stream->bytes + stream->len, data, len);
    stream->len += len;
    struct mark *mark = agent_alloc(sizeof(*mark));
    *mark = (struct mark){.end = stream->held + stream->len, .event = event};
    list_add(&stream->marks, mark);
    stream_wake(stream);
}

void stream_wake(struct stream *stream)
{
    if (stream->connection)
        connection_resume(stream->connection);
}

static void detach(struct stream *stream)
{
    if (stream->agent && stream->agent->stream == stream) {
        stream->agent->stream = NULL;
        stream->agent->subscribed = false;
    }
}

void stream_end(struct devagent *agent, enum devagent_drop how)
{
    struct stream *stream = agent->stream;
    detach(stream);
    stream->ending = how == DEVAGENT_DROP_END;
    stream->broken = how != DEVAGENT_DROP_END;
    if (how == DEVAGENT_DROP_RESET) {
        struct linger at_once = {.l_onoff = 1};
        setsockopt(stream->connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
    if (stream->broken)
        stream->connection->gone = true;
    stream_wake(stream);
}

void stream_lost(struct stream *stream)
{
    if (stream->agent && stream->agent->stream == stream)
        agent_say(stream->agent, "the executor's end of the event stream has closed");
    detach(stream);
    stream->agent = NULL;
}
