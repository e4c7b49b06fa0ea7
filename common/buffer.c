/*
 * The bounded byte buffer below frames and records: the lowest of the three layers (buffer, frame, channel).
 *
 * It knows neither descriptors nor formats. It grows by doubling, so that bytes which come one at a time cost
 * a constant each, and it never grows past its limit, so that a peer cannot make it.
 */
#include "common/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    SMALLEST = 512,
    KEPT_WHEN_EMPTY = 8192, /* one read of a channel fits without a new allocation */
};

void buffer_init(struct buffer *buffer, size_t limit)
{
    *buffer = (struct buffer){.limit = limit};
}

void buffer_clear(struct buffer *buffer)
{
    if (buffer == NULL)
        return;
    free(buffer->data);
    buffer_init(buffer, buffer->limit);
}

size_t buffer_length(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

/* Before anything was put in there is no block to point into. */
static unsigned char *at(const struct buffer *buffer, size_t offset)
{
    return buffer->data != NULL ? buffer->data + offset : NULL;
}

const unsigned char *buffer_bytes(const struct buffer *buffer)
{
    return at(buffer, buffer->start);
}

static void move_to_front(struct buffer *buffer)
{
    if (buffer->start == 0 || buffer->data == NULL)
        return;
    memmove(buffer->data, buffer->data + buffer->start, buffer_length(buffer));
    buffer->end -= buffer->start;
    buffer->start = 0;
}

static int grow(struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity > 0 ? buffer->capacity : SMALLEST;
    while (capacity < needed)
        capacity = capacity > buffer->limit / 2 ? buffer->limit : capacity * 2;

    unsigned char *data = realloc(buffer->data, capacity);
    if (data == NULL)
        return -ENOMEM;
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

int buffer_reserve(struct buffer *buffer, size_t length, unsigned char **ret_space)
{
    size_t held = buffer_length(buffer);
    if (length > buffer->limit || held > buffer->limit - length)
        return -ENOBUFS;

    if (buffer->capacity - buffer->end < length) {
        /* Bytes move only when the buffer is full at its end, and then at most half of them stay: a constant
         * cost a byte. */
        move_to_front(buffer);
        size_t wanted = held + length;
        if (buffer->capacity < wanted || (held > buffer->capacity / 2 && buffer->capacity < buffer->limit)) {
            int r = grow(buffer, wanted > buffer->capacity ? wanted : buffer->capacity + 1);
            if (r < 0)
                return r;
        }
    }
    *ret_space = at(buffer, buffer->end);
    return 0;
}

void buffer_commit(struct buffer *buffer, size_t length)
{
    buffer->end += length;
}

int buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    unsigned char *space;
    int r = buffer_reserve(buffer, length, &space);
    if (r < 0)
        return r;
    if (length > 0)
        memcpy(space, bytes, length);
    buffer_commit(buffer, length);
    return 0;
}

void buffer_consume(struct buffer *buffer, size_t length)
{
    size_t held = buffer_length(buffer);
    if (length > held)
        length = held;
    /* Settings with secrets pass through here: what has been taken does not stay behind in memory. */
    if (length > 0)
        explicit_bzero(buffer->data + buffer->start, length);
    buffer->start += length;
    if (length < held)
        return;
    buffer->start = 0;
    buffer->end = 0;
    if (buffer->capacity > KEPT_WHEN_EMPTY)
        buffer_clear(buffer);
}
