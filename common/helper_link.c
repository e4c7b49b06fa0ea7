/*
 * A helper's channel to the supervisor, wired into the loop.
 *
 * What arrives goes to a table of handlers; what is sent is queued and leaves when the socket takes it. A
 * helper has no use without its supervisor: whatever ends the conversation stops the loop, and with it the
 * process. It must not know what the messages mean.
 */
#include "common/helper_link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "common/channel.h"

struct helper_link {
    struct loop *loop;
    struct channel *channel;
    const struct message_handler *handlers;
    void *self;
    enum helper_link_end end;
    int error;
    uint16_t error_message;
};

static void finish(struct helper_link *link, enum helper_link_end end, int error, uint16_t message)
{
    if (link->end != HELPER_LINK_OPEN)
        return;
    link->end = end;
    link->error = error;
    link->error_message = message;
    loop_unwatch(link->loop, channel_socket(link->channel));
    loop_stop(link->loop);
}

/* A supervisor that has died shows as an error or an end of file, whichever is seen first: both mean the
 * same. */
static void finish_by_errno(struct helper_link *link, int error, uint16_t message)
{
    bool gone = error == -EPIPE || error == -ECONNRESET;
    finish(link, gone ? HELPER_LINK_CLOSED : HELPER_LINK_BROKEN, error, message);
}

static void on_socket(void *arg, int descriptor, short events);

static void watch(struct helper_link *link)
{
    if (link->end != HELPER_LINK_OPEN)
        return;
    int r =
        loop_watch(link->loop, channel_socket(link->channel), channel_events(link->channel), on_socket, link);
    if (r < 0)
        finish_by_errno(link, r, 0);
}

static void handle_messages(struct helper_link *link)
{
    struct channel_message message;
    int r;
    while (link->end == HELPER_LINK_OPEN && (r = channel_next(link->channel, &message)) != 0) {
        if (r > 0)
            r = message_dispatch(link->handlers, link->self, message.type, message.id, message.body,
                                 message.length, message.descriptor);
        else
            message.type = 0;
        if (r < 0)
            finish_by_errno(link, r, message.type);
    }
}

static void receive(struct helper_link *link)
{
    int r = channel_fill(link->channel);
    if (r == 0)
        finish(link, HELPER_LINK_CLOSED, 0, 0);
    else if (r > 0)
        handle_messages(link);
    else if (r != -EAGAIN)
        finish_by_errno(link, r, 0);
}

static void on_socket(void *arg, int descriptor, short events)
{
    (void)descriptor;
    struct helper_link *link = arg;
    if ((events & POLLOUT) != 0) {
        int r = channel_flush(link->channel);
        if (r < 0)
            finish_by_errno(link, r, 0);
    }
    if (link->end == HELPER_LINK_OPEN && (events & (POLLIN | POLLHUP | POLLERR)) != 0)
        receive(link);
    watch(link);
}

int helper_link_new(struct loop *loop, const struct helper_link_options *options,
                    struct helper_link **ret_link)
{
    struct helper_link *link = calloc(1, sizeof(*link));
    if (link == NULL)
        return -ENOMEM;
    const struct channel_options channel = {
        .self = options->role,
        .peer = ROLE_SUPERVISOR,
        .generation = options->generation,
        .high_water = options->high_water,
    };
    *link = (struct helper_link){.loop = loop, .handlers = options->handlers, .self = options->self};
    int r = channel_new(options->socket, &channel, &link->channel);
    if (r < 0) {
        free(link);
        return r;
    }
    watch(link);
    *ret_link = link;
    return 0;
}

void helper_link_free(struct helper_link *link)
{
    if (link == NULL)
        return;
    loop_unwatch(link->loop, channel_socket(link->channel));
    channel_free(link->channel);
    free(link);
}

void helper_link_set_running(struct helper_link *link)
{
    channel_set_phase(link->channel, PHASE_RUNNING);
}

void helper_link_send(struct helper_link *link, enum message_type type, uint32_t id,
                      const ProtobufCMessage *body)
{
    if (link->end != HELPER_LINK_OPEN)
        return;
    int r = channel_send(link->channel, type, id, body, -1);
    if (r < 0)
        finish_by_errno(link, r, type);
    watch(link);
}

enum helper_link_end helper_link_end(const struct helper_link *link)
{
    return link->end;
}

int helper_link_error(const struct helper_link *link)
{
    return link->error;
}

uint16_t helper_link_error_message(const struct helper_link *link)
{
    return link->error_message;
}
