/*
 * Frames as a channel takes them. The first byte says who listens and in which phase, the second into pieces
 * of which size the rest is cut. Beyond not crashing: however the bytes are cut, and whether they come
 * through a buffer or through a real channel over a socketpair, the same frames come out and the same end.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/channel.h"
#include "common/frame.h"
#include "common/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GENERATION = 1 };

struct listener {
    enum message_role self;
    enum message_role peer;
    enum message_phase phase;
};

/* A number that stands for all frames so far, their order and how it ended. */
struct digest {
    uint64_t value;
    size_t frames;
    int end;
};

static void mix(struct digest *digest, uint16_t type, uint32_t id, const unsigned char *body, size_t length)
{
    const uint64_t numbers[] = {type, id, length};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        digest->value = (digest->value ^ numbers[i]) * UINT64_C(1099511628211);
    for (size_t i = 0; i < length; i++)
        digest->value = (digest->value ^ body[i]) * UINT64_C(1099511628211);
    digest->frames++;
}

static int judge(const struct frame_header *header, const void *arg)
{
    const struct listener *listener = arg;
    return message_check(header->type, listener->peer, listener->self, listener->phase, header->length,
                         (header->flags & FRAME_HAS_DESCRIPTOR) != 0);
}

/* What is packed again is what was parsed: no field is lost, none is mixed with another. */
static void check_header(const struct frame_header *header, const unsigned char *bytes)
{
    unsigned char again[FRAME_HEADER_SIZE];
    frame_pack_header(header, again);
    if (memcmp(again, bytes, sizeof(again)) != 0)
        abort();
}

/* Takes the frames at the front of the buffer as a channel does that never gets a descriptor. */
static int take_frames(const struct listener *listener, struct buffer *buffer, struct digest *digest)
{
    for (;;) {
        struct frame_header header;
        const unsigned char *body;
        const unsigned char *bytes = buffer_bytes(buffer);
        int r = frame_parse(bytes, buffer_length(buffer), judge, listener, &header, &body);
        if (r <= 0)
            return r;
        if (body != bytes + FRAME_HEADER_SIZE || header.length > buffer_length(buffer) - FRAME_HEADER_SIZE)
            abort();
        check_header(&header, bytes);
        if ((header.flags & FRAME_HAS_DESCRIPTOR) != 0)
            return -EPROTO;
        if (header.generation == GENERATION)
            mix(digest, header.type, header.id, body, header.length);
        buffer_consume(buffer, FRAME_HEADER_SIZE + (size_t)header.length);
    }
}

static struct digest parse(const struct listener *listener, const uint8_t *data, size_t size, size_t piece)
{
    struct digest digest = {0};
    struct buffer buffer;
    buffer_init(&buffer, size);
    while (digest.end == 0 && size > 0) {
        size_t length = size < piece ? size : piece;
        if (buffer_append(&buffer, data, length) < 0)
            abort();
        digest.end = take_frames(listener, &buffer, &digest);
        data += length;
        size -= length;
    }
    buffer_clear(&buffer);
    return digest;
}

static struct channel *open_channel(const struct listener *listener, int socket)
{
    struct channel *channel;
    const struct channel_options options = {
        .self = listener->self, .peer = listener->peer, .generation = GENERATION};
    if (channel_new(socket, &options, &channel) < 0)
        abort();
    channel_set_phase(channel, listener->phase);
    return channel;
}

static int take_messages(struct channel *channel, struct digest *digest)
{
    struct channel_message message;
    int r;
    while ((r = channel_next(channel, &message)) > 0) {
        if (message.descriptor >= 0)
            abort();
        mix(digest, message.type, message.id, message.body, message.length);
    }
    return r;
}

static struct digest receive(const struct listener *listener, const uint8_t *data, size_t size, size_t piece)
{
    struct digest digest = {0};
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        abort();
    struct channel *channel = open_channel(listener, sockets[0]);
    while (digest.end == 0 && size > 0) {
        size_t length = size < piece ? size : piece;
        if (send(sockets[1], data, length, MSG_NOSIGNAL) != (ssize_t)length)
            abort();
        /* A piece is smaller than a read: one fill takes it whole. */
        if (channel_fill(channel) != 1)
            abort();
        digest.end = take_messages(channel, &digest);
        data += length;
        size -= length;
    }
    close(sockets[1]);
    channel_free(channel);
    return digest;
}

static struct listener choose_listener(uint8_t choice)
{
    static const enum message_role helpers[] = {ROLE_AGENT_CLIENT, ROLE_HOOKD, ROLE_LOGSHIPPER};
    enum message_role helper = helpers[choice / 2 % 3];
    bool is_supervisor = choice % 2 == 0;
    return (struct listener){.self = is_supervisor ? ROLE_SUPERVISOR : helper,
                             .peer = is_supervisor ? helper : ROLE_SUPERVISOR,
                             .phase = 1u << (choice / 6 % 3)};
}

static void check_same(const struct digest *one, const struct digest *other)
{
    if (one->value != other->value || one->frames != other->frames || one->end != other->end)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct listener listener = choose_listener(data[0]);
    size_t piece = (size_t)data[1] + 1;
    data += 2;
    size -= 2;
    struct digest whole = parse(&listener, data, size, size);
    struct digest cut = parse(&listener, data, size, piece);
    struct digest received = receive(&listener, data, size, piece);
    check_same(&whole, &cut);
    check_same(&whole, &received);
    return 0;
}
