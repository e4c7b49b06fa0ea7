/* Frames in memory: each return value of frame_parse(), each field, each length on the way. */
#include "common/frame.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct judged {
    int calls;
    int verdict;
    struct frame_header header;
};

static int judge(const struct frame_header *header, const void *arg)
{
    /* The judge promises not to change what it is told of; here it has to remember. */
    struct judged *judged = *(struct judged *const *)arg;
    judged->calls++;
    judged->header = *header;
    return judged->verdict;
}

static const struct frame_header example = {
    .length = 5, .type = 0x1234, .flags = FRAME_HAS_DESCRIPTOR, .id = 0x89abcdef, .generation = 0xfedcba98};
static const unsigned char golden[] = {0,    0,    0,    5,    0x12, 0x34, 0,   1,   0x89, 0xab, 0xcd,
                                       0xef, 0xfe, 0xdc, 0xba, 0x98, 'h',  'e', 'l', 'l',  'o'};

static void assert_header_eq(const struct frame_header *header, const struct frame_header *expected)
{
    cr_assert_eq(header->length, expected->length);
    cr_assert_eq(header->type, expected->type);
    cr_assert_eq(header->flags, expected->flags);
    cr_assert_eq(header->id, expected->id);
    cr_assert_eq(header->generation, expected->generation);
}

/* Parses a copy in a block of exactly that size, so that a read past it does not go unseen. */
static int parse(const unsigned char *bytes, size_t length, struct judged *judged,
                 struct frame_header *ret_header, ptrdiff_t *ret_body)
{
    unsigned char *copy = malloc(length + (length == 0));
    const unsigned char *body = copy;
    memcpy(copy, bytes, length);
    int r = frame_parse(copy, length, judge, &judged, ret_header, &body);
    *ret_body = body - copy;
    free(copy);
    return r;
}

Test(frame, header_is_packed_in_network_order)
{
    unsigned char out[FRAME_HEADER_SIZE + 1];
    memset(out, 0x55, sizeof(out));
    frame_pack_header(&example, out);
    cr_assert_arr_eq(out, golden, FRAME_HEADER_SIZE);
    cr_assert_eq(out[FRAME_HEADER_SIZE], 0x55);
}

Test(frame, one_byte_at_a_time)
{
    for (size_t length = 0; length <= sizeof(golden); length++) {
        struct judged judged = {0};
        struct frame_header header = {.length = 77};
        ptrdiff_t body;
        int r = parse(golden, length, &judged, &header, &body);
        cr_assert_eq(r, length == sizeof(golden), "%zu bytes", length);
        cr_assert_eq(judged.calls, length >= FRAME_HEADER_SIZE, "%zu bytes", length);
        if (judged.calls > 0)
            assert_header_eq(&judged.header, &example);
        if (r == 0) {
            cr_assert_eq(header.length, 77, "touched without a frame");
            cr_assert_eq(body, 0, "touched without a frame");
            continue;
        }
        assert_header_eq(&header, &example);
        cr_assert_eq(body, FRAME_HEADER_SIZE);
    }
}

Test(frame, every_bit_of_every_field_arrives)
{
    for (int bit = 0; bit < 112; bit++) {
        struct frame_header in = {0};
        if (bit < 32)
            in.length = UINT32_C(1) << bit;
        else if (bit < 48)
            in.type = (uint16_t)(1u << (bit - 32));
        else if (bit < 80)
            in.id = UINT32_C(1) << (bit - 48);
        else
            in.generation = UINT32_C(1) << (bit - 80);
        unsigned char bytes[FRAME_HEADER_SIZE];
        frame_pack_header(&in, bytes);
        struct judged judged = {0};
        struct frame_header header;
        ptrdiff_t body;
        cr_assert_eq(parse(bytes, sizeof(bytes), &judged, &header, &body), in.length == 0, "bit %d", bit);
        assert_header_eq(&judged.header, &in);
    }
}

Test(frame, unknown_flags_are_refused_before_the_judge)
{
    for (unsigned bit = 0; bit < 16; bit++) {
        struct frame_header in = {.flags = (uint16_t)(1u << bit)};
        unsigned char bytes[FRAME_HEADER_SIZE];
        frame_pack_header(&in, bytes);
        struct judged judged = {0};
        struct frame_header header;
        ptrdiff_t body;
        int expected = bit == 0 ? 1 : -EPROTO;
        cr_assert_eq(parse(bytes, sizeof(bytes), &judged, &header, &body), expected, "bit %u", bit);
        cr_assert_eq(judged.calls, bit == 0);
    }
}

Test(frame, the_judges_word_counts_before_the_body_is_there)
{
    for (size_t length = FRAME_HEADER_SIZE; length <= sizeof(golden); length++) {
        struct judged judged = {.verdict = -EMSGSIZE};
        struct frame_header header = {.length = 77};
        ptrdiff_t body;
        cr_assert_eq(parse(golden, length, &judged, &header, &body), -EMSGSIZE);
        cr_assert_eq(header.length, 77);
        cr_assert_eq(body, 0);
    }
}

Test(frame, the_largest_length_is_waited_for)
{
    struct frame_header in = {.length = UINT32_MAX};
    unsigned char bytes[FRAME_HEADER_SIZE + 100] = {0};
    frame_pack_header(&in, bytes);
    struct judged judged = {0};
    struct frame_header header;
    ptrdiff_t body;
    cr_assert_eq(parse(bytes, sizeof(bytes), &judged, &header, &body), 0);
    cr_assert_eq(judged.header.length, UINT32_MAX);
}

Test(frame, what_follows_a_frame_is_left_alone)
{
    unsigned char bytes[2 * sizeof(golden)];
    memcpy(bytes, golden, sizeof(golden));
    memset(bytes + sizeof(golden), 0xff, sizeof(golden));
    struct judged judged = {0};
    struct frame_header header;
    ptrdiff_t body;
    cr_assert_eq(parse(bytes, sizeof(bytes), &judged, &header, &body), 1);
    assert_header_eq(&header, &example);
    cr_assert_eq(body, FRAME_HEADER_SIZE);
    cr_assert_eq(judged.calls, 1);
}
