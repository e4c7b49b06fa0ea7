#ifndef BULKHEAD_AGENT_CLIENT_RECORDIO_H
#define BULKHEAD_AGENT_CLIENT_RECORDIO_H

#include <stddef.h>
#include <stdint.h>

/*
 * RecordIO as Mesos speaks it: a record is its length in decimal digits, a line feed, and that many bytes.
 * Records and the pieces in which they arrive do not align. (Mesos: docs/executor-http-api.md, 3rdparty/stout
 * recordio.hpp.)
 */
enum {
    RECORDIO_LIMIT = 128 * 1024 * 1024, /* the largest record that an agent may send us */
    RECORDIO_DIGITS = 20,               /* an unsigned 64-bit number has no more */
};

/* A decoder in the middle of a stream. The fields belong to recordio.c. */
struct recordio {
    size_t limit;
    size_t length; /* of the record being read, as far as its digits have come */
    unsigned digits;
    int in_body;
    unsigned char *data; /* the part of the record that earlier pieces brought */
    size_t size;
    size_t capacity;
};

/* A record's bytes. They are the decoder's or the caller's own input: valid until either changes. */
struct recordio_record {
    const unsigned char *data;
    size_t size;
};

/* Makes a decoder for a new stream that takes records of up to limit bytes. Allocates nothing. */
void recordio_init(struct recordio *recordio, size_t limit);

/* Frees what is held; the decoder stands at the beginning of a stream again. NULL is accepted. */
void recordio_clear(struct recordio *recordio);

/*
 * Reads up to the end of the next record. *input and *size are moved past what was used. Returns 1 and stores
 * a record, 0 when all input is used and more is needed, -EBADMSG for a length that is no number, -EMSGSIZE
 * for one above the limit, or -ENOMEM. After an error the stream is lost: only recordio_clear() may follow. A
 * record of length 0 is a record.
 *
 * Memory grows with the bytes that have come, not with the length that was claimed; a record that lies whole
 * in the input is not copied. Linear in the input, however it is cut.
 */
int recordio_next(struct recordio *recordio, const unsigned char **input, size_t *size,
                  struct recordio_record *ret_record);

#endif
