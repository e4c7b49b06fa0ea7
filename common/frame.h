#ifndef BULKHEAD_COMMON_FRAME_H
#define BULKHEAD_COMMON_FRAME_H

#include <stddef.h>
#include <stdint.h>

/*
 * A frame is a header of 16 bytes, every field in network byte order, and a body:
 *
 *     length (4)  type (2)  flags (2)  id (4)  generation (4)  body (length)
 *
 * length counts the body alone. id ties an answer to its question. generation says which incarnation of a
 * helper speaks or is spoken to. docs/protocol.md has the whole picture.
 */
enum {
    FRAME_HEADER_SIZE = 16,
    FRAME_HAS_DESCRIPTOR = 1, /* the only flag: a descriptor travels with the frame's first byte */
};

struct frame_header {
    uint32_t length;
    uint16_t type;
    uint16_t flags;
    uint32_t id;
    uint32_t generation;
};

/*
 * Judges a header before its body is waited for: returns 0, or a negative errno that makes the frame an
 * error. It must not keep what it is given.
 */
typedef int (*frame_judge)(const struct frame_header *header, const void *arg);

/* Writes the header into out. Pure. */
void frame_pack_header(const struct frame_header *header, unsigned char out[FRAME_HEADER_SIZE]);

/*
 * Looks for one whole frame at the beginning of length bytes. Returns 1 and stores the header and where the
 * body begins (it has ret_header->length bytes), 0 when more bytes are needed, -EPROTO for a flag that is not
 * known, or what judge returned. judge is called as soon as the header is there, so that a body that is not
 * wanted is never collected. Pure.
 */
int frame_parse(const unsigned char *bytes, size_t length, frame_judge judge, const void *arg,
                struct frame_header *ret_header, const unsigned char **ret_body);

#endif
