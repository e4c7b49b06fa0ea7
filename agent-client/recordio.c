/*
 * The records of the agent's event stream, put together from the pieces in which the network delivers them.
 *
 * This is the first code that sees the agent's bytes. It must never believe a length: it allocates for what
 * has arrived, stops at its limit, and reports whatever is not a decimal number as the end of the stream's
 * good sense. What is inside a record is none of its business.
 */
#include "agent-client/recordio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST_ALLOCATION = 512 };

void recordio_init(struct recordio *recordio, size_t limit)
{
    *recordio = (struct recordio){.limit = limit};
}

static void release(struct recordio *recordio)
{
    free(recordio->data);
    recordio->data = NULL;
    recordio->size = 0;
    recordio->capacity = 0;
}

void recordio_clear(struct recordio *recordio)
{
    if (recordio == NULL)
        return;
    release(recordio);
    recordio_init(recordio, recordio->limit);
}

static void begin_header(struct recordio *recordio)
{
    recordio->length = 0;
    recordio->digits = 0;
    recordio->in_body = 0;
}

/* One byte of a length. Returns 1 at its end, 0 before, or an error. */
static int take_header_byte(struct recordio *recordio, unsigned char byte)
{
    if (byte == '\n')
        return recordio->digits > 0 ? 1 : -EBADMSG;
    if (byte < '0' || byte > '9' || recordio->digits == RECORDIO_DIGITS)
        return -EBADMSG;
    size_t digit = (size_t)(byte - '0');
    recordio->digits++;
    if (digit > recordio->limit || recordio->length > (recordio->limit - digit) / 10)
        return -EMSGSIZE;
    recordio->length = recordio->length * 10 + digit;
    return 0;
}

static int read_header(struct recordio *recordio, const unsigned char **input, size_t *size)
{
    while (*size > 0) {
        int r = take_header_byte(recordio, **input);
        (*input)++;
        (*size)--;
        if (r != 0)
            return r;
    }
    return 0;
}

/* Doubles as bytes come, so that a stream cut into single bytes costs no more than one copy a byte on
 * average. */
static int reserve(struct recordio *recordio, size_t more)
{
    if (more <= recordio->capacity - recordio->size)
        return 0;
    size_t wanted = recordio->size + more; /* at most the record's length, which is below the limit */
    size_t capacity = recordio->capacity < SMALLEST_ALLOCATION ? SMALLEST_ALLOCATION : recordio->capacity * 2;
    if (capacity < wanted)
        capacity = wanted;
    if (capacity > recordio->length)
        capacity = recordio->length;
    unsigned char *data = realloc(recordio->data, capacity);
    if (data == NULL)
        return -ENOMEM;
    recordio->data = data;
    recordio->capacity = capacity;
    return 0;
}

static int append(struct recordio *recordio, const unsigned char *input, size_t size)
{
    if (size == 0)
        return 0;
    int r = reserve(recordio, size);
    if (r < 0)
        return r;
    memcpy(recordio->data + recordio->size, input, size);
    recordio->size += size;
    return 0;
}

/* What is complete is given out; its memory goes at the next call, not with the stream. */
static int read_body(struct recordio *recordio, const unsigned char **input, size_t *size,
                     struct recordio_record *ret_record)
{
    size_t missing = recordio->length - recordio->size;
    size_t part = *size < missing ? *size : missing;
    if (part == recordio->length) {
        *ret_record = (struct recordio_record){*input, part};
    } else {
        int r = append(recordio, *input, part);
        if (r < 0)
            return r;
        *ret_record = (struct recordio_record){recordio->data, recordio->size};
    }
    *input += part;
    *size -= part;
    return part == missing;
}

int recordio_next(struct recordio *recordio, const unsigned char **input, size_t *size,
                  struct recordio_record *ret_record)
{
    if (!recordio->in_body) {
        release(recordio);
        int r = read_header(recordio, input, size);
        if (r <= 0)
            return r;
        recordio->in_body = 1;
    }
    struct recordio_record record;
    int r = read_body(recordio, input, size, &record);
    if (r <= 0)
        return r;
    begin_header(recordio);
    *ret_record = record;
    return 1;
}
