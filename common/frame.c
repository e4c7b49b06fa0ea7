/*
 * The frame layer: pure functions over memory, between the buffer below and the channel above.
 *
 * It knows where a frame begins and ends and nothing else: which types there are, who may send them and how
 * large they may be is for the judge that the caller passes.
 */
#include "common/frame.h"

#include <errno.h>

static void put16(unsigned char *out, uint16_t value)
{
    out[0] = (unsigned char)(value >> 8);
    out[1] = (unsigned char)value;
}

static void put32(unsigned char *out, uint32_t value)
{
    put16(out, (uint16_t)(value >> 16));
    put16(out + 2, (uint16_t)value);
}

static uint16_t get16(const unsigned char *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t get32(const unsigned char *bytes)
{
    return (uint32_t)get16(bytes) << 16 | get16(bytes + 2);
}

void frame_pack_header(const struct frame_header *header, unsigned char out[FRAME_HEADER_SIZE])
{
    put32(out, header->length);
    put16(out + 4, header->type);
    put16(out + 6, header->flags);
    put32(out + 8, header->id);
    put32(out + 12, header->generation);
}

static void unpack_header(const unsigned char *bytes, struct frame_header *ret_header)
{
    ret_header->length = get32(bytes);
    ret_header->type = get16(bytes + 4);
    ret_header->flags = get16(bytes + 6);
    ret_header->id = get32(bytes + 8);
    ret_header->generation = get32(bytes + 12);
}

int frame_parse(const unsigned char *bytes, size_t length, frame_judge judge, const void *arg,
                struct frame_header *ret_header, const unsigned char **ret_body)
{
    if (length < FRAME_HEADER_SIZE)
        return 0;

    struct frame_header header;
    unpack_header(bytes, &header);
    if ((header.flags & ~FRAME_HAS_DESCRIPTOR) != 0)
        return -EPROTO;
    int r = judge(&header, arg);
    if (r < 0)
        return r;
    if (length - FRAME_HEADER_SIZE < header.length)
        return 0;

    *ret_header = header;
    *ret_body = bytes + FRAME_HEADER_SIZE;
    return 1;
}
