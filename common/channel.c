/*
 * The channel: frames over a socketpair, the highest of the three layers (buffer, frame, channel).
 *
 * Sending only queues, and writes what fits without waiting. Receiving believes nothing: type, direction,
 * phase, length and descriptor are judged from the header, before a body is collected. A descriptor travels
 * with the first byte of its frame, and the kernel does not merge what follows into the same read, so the
 * order of descriptors is that of the frames which announce them.
 */
#include "common/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/frame.h"

enum {
    READ_SIZE = 8192,
    DESCRIPTORS_WAITING = 4, /* received and not yet claimed by their frames */
    INPUT_LIMIT =
        64 * 1024 * 1024 + 65536 /* the largest body of the list, its header, and a read's worth behind it */
};

struct outgoing {
    struct outgoing *next;
    int descriptor;
    size_t length;
    size_t sent;
    unsigned char bytes[];
};

struct channel {
    int socket;
    struct channel_options options;
    enum message_phase phase;
    struct buffer input;
    size_t taken; /* bytes of the frame that was handed out last and is still at the front of input */
    int descriptors[DESCRIPTORS_WAITING];
    size_t descriptor_count;
    struct outgoing *queue;
    struct outgoing **queue_end;
    size_t queued;
};

int channel_new(int socket, const struct channel_options *options, struct channel **ret_channel)
{
    struct channel *channel = calloc(1, sizeof(*channel));
    if (channel == NULL)
        return -ENOMEM;
    channel->socket = socket;
    channel->options = *options;
    channel->phase = PHASE_SETUP;
    buffer_init(&channel->input, INPUT_LIMIT);
    channel->queue_end = &channel->queue;
    fcntl(socket, F_SETFD, FD_CLOEXEC);
    *ret_channel = channel;
    return 0;
}

static void close_descriptor(int descriptor)
{
    if (descriptor >= 0)
        close(descriptor);
}

/* What is sent may hold a secret: it does not stay in freed memory. */
static void free_outgoing(struct outgoing *outgoing)
{
    close_descriptor(outgoing->descriptor);
    explicit_bzero(outgoing->bytes, outgoing->length);
    free(outgoing);
}

void channel_free(struct channel *channel)
{
    if (channel == NULL)
        return;
    while (channel->queue != NULL) {
        struct outgoing *first = channel->queue;
        channel->queue = first->next;
        free_outgoing(first);
    }
    for (size_t i = 0; i < channel->descriptor_count; i++)
        close(channel->descriptors[i]);
    buffer_clear(&channel->input);
    close(channel->socket);
    free(channel);
}

int channel_socket(const struct channel *channel)
{
    return channel->socket;
}

short channel_events(const struct channel *channel)
{
    return channel->queue != NULL ? POLLIN | POLLOUT : POLLIN;
}

void channel_set_phase(struct channel *channel, enum message_phase phase)
{
    channel->phase = phase;
}

enum message_phase channel_phase(const struct channel *channel)
{
    return channel->phase;
}

static struct outgoing *pack(const struct channel *channel, uint16_t type, uint32_t id,
                             const ProtobufCMessage *body, size_t length, int descriptor)
{
    struct outgoing *outgoing = malloc(sizeof(*outgoing) + FRAME_HEADER_SIZE + length);
    if (outgoing == NULL)
        return NULL;
    *outgoing = (struct outgoing){.descriptor = descriptor, .length = FRAME_HEADER_SIZE + length};
    struct frame_header header = {
        .length = (uint32_t)length,
        .type = type,
        .flags = descriptor >= 0 ? FRAME_HAS_DESCRIPTOR : 0,
        .id = id,
        .generation = channel->options.generation,
    };
    frame_pack_header(&header, outgoing->bytes);
    if (length > 0)
        protobuf_c_message_pack(body, outgoing->bytes + FRAME_HEADER_SIZE);
    return outgoing;
}

static int check_sending(const struct channel *channel, uint16_t type, const ProtobufCMessage *body,
                         size_t length, int descriptor)
{
    const struct message_definition *definition = message_find(type);
    if (definition != NULL && length > definition->largest)
        return -EMSGSIZE;
    if (definition != NULL && body != NULL && body->descriptor != definition->body)
        return -EPROTO;
    int r = message_check(type, channel->options.self, channel->options.peer, channel->phase, length,
                          descriptor >= 0);
    if (r < 0)
        return r;
    if (channel->queued > channel->options.high_water ||
        length + FRAME_HEADER_SIZE > channel->options.high_water - channel->queued)
        return -ENOBUFS;
    return 0;
}

int channel_send(struct channel *channel, enum message_type type, uint32_t id, const ProtobufCMessage *body,
                 int descriptor)
{
    size_t length = body != NULL ? protobuf_c_message_get_packed_size(body) : 0;
    int r = check_sending(channel, type, body, length, descriptor);
    if (r < 0) {
        close_descriptor(descriptor);
        return r;
    }
    struct outgoing *outgoing = pack(channel, type, id, body, length, descriptor);
    if (outgoing == NULL) {
        close_descriptor(descriptor);
        return -ENOMEM;
    }
    *channel->queue_end = outgoing;
    channel->queue_end = &outgoing->next;
    channel->queued += outgoing->length;
    return channel_flush(channel);
}

static ssize_t send_some(int socket, const struct outgoing *outgoing)
{
    struct iovec bytes = {.iov_base = (void *)(uintptr_t)(outgoing->bytes + outgoing->sent),
                          .iov_len = outgoing->length - outgoing->sent};
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (outgoing->descriptor >= 0) {
        memset(&control, 0, sizeof(control));
        message.msg_control = control.space;
        message.msg_controllen = sizeof(control.space);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &outgoing->descriptor, sizeof(int));
    }
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int channel_flush(struct channel *channel)
{
    while (channel->queue != NULL) {
        struct outgoing *first = channel->queue;
        ssize_t n = send_some(channel->socket, first);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
        close_descriptor(first->descriptor);
        first->descriptor = -1;
        first->sent += (size_t)n;
        channel->queued -= (size_t)n;
        if (first->sent < first->length)
            continue;
        channel->queue = first->next;
        if (channel->queue == NULL)
            channel->queue_end = &channel->queue;
        free_outgoing(first);
    }
    return 0;
}

static int keep_descriptor(struct channel *channel, int descriptor)
{
    if (channel->descriptor_count == DESCRIPTORS_WAITING) {
        close(descriptor);
        return -EPROTO;
    }
    channel->descriptors[channel->descriptor_count++] = descriptor;
    return 0;
}

/* All that came are taken before any is judged: none may leak. */
static int keep_descriptors(struct channel *channel, struct msghdr *message)
{
    int result = (message->msg_flags & MSG_CTRUNC) != 0 ? -EPROTO : 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            int r = keep_descriptor(channel, descriptor);
            if (r < 0)
                result = r;
        }
    }
    return result;
}

static void drop_taken(struct channel *channel)
{
    buffer_consume(&channel->input, channel->taken);
    channel->taken = 0;
}

int channel_fill(struct channel *channel)
{
    drop_taken(channel);
    unsigned char *space;
    int r = buffer_reserve(&channel->input, READ_SIZE, &space);
    if (r < 0)
        return r;

    struct iovec bytes = {.iov_base = space, .iov_len = READ_SIZE};
    union {
        char space[CMSG_SPACE(DESCRIPTORS_WAITING * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof(control.space)};
    ssize_t n;
    do
        n = recvmsg(channel->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;

    r = keep_descriptors(channel, &message);
    if (r < 0)
        return r;
    buffer_commit(&channel->input, (size_t)n);
    return n > 0 ? 1 : 0;
}

static int judge_header(const struct frame_header *header, const void *arg)
{
    const struct channel *channel = arg;
    return message_check(header->type, channel->options.peer, channel->options.self, channel->phase,
                         header->length, (header->flags & FRAME_HAS_DESCRIPTOR) != 0);
}

static int take_descriptor(struct channel *channel, int *ret_descriptor)
{
    if (channel->descriptor_count == 0)
        return -EPROTO;
    *ret_descriptor = channel->descriptors[0];
    channel->descriptor_count--;
    memmove(channel->descriptors, channel->descriptors + 1, channel->descriptor_count * sizeof(int));
    return 0;
}

/* A descriptor that no frame has announced would be taken for that of a later one. */
static int nothing_whole(const struct channel *channel)
{
    return buffer_length(&channel->input) == 0 && channel->descriptor_count > 0 ? -EPROTO : 0;
}

int channel_next(struct channel *channel, struct channel_message *ret_message)
{
    for (;;) {
        drop_taken(channel);
        struct frame_header header;
        const unsigned char *body;
        int r = frame_parse(buffer_bytes(&channel->input), buffer_length(&channel->input), judge_header,
                            channel, &header, &body);
        if (r < 0)
            return r;
        if (r == 0)
            return nothing_whole(channel);

        int descriptor = -1;
        if ((header.flags & FRAME_HAS_DESCRIPTOR) != 0 && take_descriptor(channel, &descriptor) < 0)
            return -EPROTO;
        channel->taken = FRAME_HEADER_SIZE + (size_t)header.length;
        if (header.generation != channel->options.generation) {
            close_descriptor(descriptor);
            continue;
        }
        *ret_message = (struct channel_message){.type = header.type,
                                                .id = header.id,
                                                .body = body,
                                                .length = header.length,
                                                .descriptor = descriptor};
        return 1;
    }
}
