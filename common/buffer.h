#ifndef BULKHEAD_COMMON_BUFFER_H
#define BULKHEAD_COMMON_BUFFER_H

#include <stddef.h>

/*
 * Bytes that come in at the end and leave at the front, up to a limit that is set once. The fields belong to
 * buffer.c.
 */
struct buffer {
    unsigned char *data;
    size_t start; /* first byte held */
    size_t end;   /* one past the last byte held */
    size_t capacity;
    size_t limit;
};

/* Makes an empty buffer that never holds more than limit bytes. Allocates nothing. */
void buffer_init(struct buffer *buffer, size_t limit);

/* Frees the memory and leaves the buffer empty and usable. NULL is accepted. */
void buffer_clear(struct buffer *buffer);

/* The number of bytes held. */
size_t buffer_length(const struct buffer *buffer);

/* The bytes held; valid until the next call that changes the buffer. */
const unsigned char *buffer_bytes(const struct buffer *buffer);

/*
 * Appends length bytes. Returns 0, -ENOBUFS when the limit would be passed, or -ENOMEM; on an error nothing
 * was added.
 */
int buffer_append(struct buffer *buffer, const void *bytes, size_t length);

/*
 * Makes room for at least length more bytes and stores where they go; buffer_commit() then says how many were
 * put there. Errors as buffer_append().
 */
int buffer_reserve(struct buffer *buffer, size_t length, unsigned char **ret_space);

/* Counts length bytes, written where buffer_reserve() said, as held. length must not be larger than what was
 * reserved. */
void buffer_commit(struct buffer *buffer, size_t length);

/*
 * Drops length bytes from the front and zeroes them; more than there are drops all. An empty buffer that has
 * grown large gives its memory back: one big message must not cost memory for the rest of a process's life.
 */
void buffer_consume(struct buffer *buffer, size_t length);

#endif
