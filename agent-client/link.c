/*
 * The channel to the supervisor, wired into the loop.
 *
 * What arrives goes to a table of handlers; what is sent is queued and leaves when the socket takes it. This
 * process has no use without its supervisor: whatever ends the conversation stops the loop, and with it the
 * process. It must not touch the network's side of things.
 */
#include "agent-client/link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "common/channel.h"

/* A few tasks of the largest size; a supervisor that lets more lie than this is not alive. */
enum { HIGH_WATER = 256 * 1024 * 1024 };

struct link {
    struct loop *loop;
    struct channel *channel;
    const struct message_handler *handlers;
    void *self;
    enum link_end end;
    int error;
    uint16_t error_message;
};

static void finish(struct link *link, enum link_end end, int error, uint16_t message)
{
    if (link->end != LINK_OPEN)
        return;
    link->end = end;
    link->error = error;
    link->error_message = message;
    loop_unwatch(link->loop, channel_socket(link->channel));
    loop_stop(link->loop);
}

/* A supervisor that has died shows as an error or an end of file, whichever is seen first: both mean the
 * same. */
static void finish_by_errno(struct link *link, int error, uint16_t message)
{
    enum link_end end = error == -EPIPE || error == -ECONNRESET ? LINK_CLOSED : LINK_BROKEN;
    finish(link, end, error, message);
}

static void on_socket(void *arg, int descriptor, short events);

static void watch(struct link *link)
{
    if (link->end != LINK_OPEN)
        return;
    int r =
        loop_watch(link->loop, channel_socket(link->channel), channel_events(link->channel), on_socket, link);
    if (r < 0)
        finish_by_errno(link, r, 0);
}

static void handle_messages(struct link *link)
{
    struct channel_message message;
    int r;
    while (link->end == LINK_OPEN && (r = channel_next(link->channel, &message)) != 0) {
        if (r > 0)
            r = message_dispatch(link->handlers, link->self, message.type, message.id, message.body,
                                 message.length, message.descriptor);
        else
            message.type = 0;
        if (r < 0)
            finish_by_errno(link, r, message.type);
    }
}

static void receive(struct link *link)
{
    int r = channel_fill(link->channel);
    if (r == 0)
        finish(link, LINK_CLOSED, 0, 0);
    else if (r > 0)
        handle_messages(link);
    else if (r != -EAGAIN)
        finish_by_errno(link, r, 0);
}

static void on_socket(void *arg, int descriptor, short events)
{
    (void)descriptor;
    struct link *link = arg;
    if ((events & POLLOUT) != 0) {
        int r = channel_flush(link->channel);
        if (r < 0)
            finish_by_errno(link, r, 0);
    }
    if (link->end == LINK_OPEN && (events & (POLLIN | POLLHUP | POLLERR)) != 0)
        receive(link);
    watch(link);
}

int link_new(struct loop *loop, int socket, uint32_t generation, const struct message_handler *handlers,
             void *self, struct link **ret_link)
{
    struct link *link = calloc(1, sizeof(*link));
    if (link == NULL)
        return -ENOMEM;
    const struct channel_options options = {
        .self = ROLE_AGENT_CLIENT,
        .peer = ROLE_SUPERVISOR,
        .generation = generation,
        .high_water = HIGH_WATER,
    };
    *link = (struct link){.loop = loop, .handlers = handlers, .self = self};
    int r = channel_new(socket, &options, &link->channel);
    if (r < 0) {
        free(link);
        return r;
    }
    watch(link);
    *ret_link = link;
    return 0;
}

void link_free(struct link *link)
{
    if (link == NULL)
        return;
    loop_unwatch(link->loop, channel_socket(link->channel));
    channel_free(link->channel);
    free(link);
}

void link_set_running(struct link *link)
{
    channel_set_phase(link->channel, PHASE_RUNNING);
}

void link_send(struct link *link, enum message_type type, uint32_t id, const ProtobufCMessage *body)
{
    if (link->end != LINK_OPEN)
        return;
    int r = channel_send(link->channel, type, id, body, -1);
    if (r < 0)
        finish_by_errno(link, r, type);
    watch(link);
}

enum link_end link_end(const struct link *link)
{
    return link->end;
}

int link_error(const struct link *link)
{
    return link->error;
}

uint16_t link_error_message(const struct link *link)
{
    return link->error_message;
}
