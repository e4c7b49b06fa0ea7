/* The bounded buffer: order, the limit, and what it does with memory. */
#include "common/buffer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

Test(buffer, starts_empty_and_allocates_nothing)
{
    struct buffer buffer;
    buffer_init(&buffer, 100);
    cr_assert_eq(buffer_length(&buffer), 0);
    cr_assert_null(buffer.data);
    (void)buffer_bytes(&buffer);
    buffer_consume(&buffer, 10);
    cr_assert_eq(buffer_append(&buffer, NULL, 0), 0);
    cr_assert_eq(buffer_length(&buffer), 0);
    buffer_clear(&buffer);
    buffer_clear(NULL);
}

Test(buffer, keeps_the_order_of_bytes)
{
    struct buffer buffer;
    buffer_init(&buffer, 3000);
    uint32_t chance = 1;
    unsigned char in = 0, out = 0;
    size_t held = 0;
    for (int i = 0; i < 20000; i++) {
        chance = chance * 1664525u + 1013904223u;
        unsigned char bytes[700];
        size_t length = (chance >> 8) % sizeof(bytes);
        if ((chance >> 31) != 0 && held + length <= 3000) {
            for (size_t j = 0; j < length; j++)
                bytes[j] = in++;
            cr_assert_eq(buffer_append(&buffer, bytes, length), 0);
            held += length;
        } else {
            length = length < held ? length : held;
            for (size_t j = 0; j < length; j++)
                cr_assert_eq(buffer_bytes(&buffer)[j], out++);
            buffer_consume(&buffer, length);
            held -= length;
        }
        cr_assert_eq(buffer_length(&buffer), held);
    }
    buffer_clear(&buffer);
}

Test(buffer, never_holds_more_than_its_limit)
{
    static const size_t limits[] = {0, 1, 10, 511, 512, 513, 1000, 100000};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct buffer buffer;
        buffer_init(&buffer, limits[i]);
        for (size_t n = 0; n < limits[i]; n++)
            cr_assert_eq(buffer_append(&buffer, "x", 1), 0, "limit %zu, byte %zu", limits[i], n);
        unsigned char *untouched = (unsigned char *)&buffer;
        cr_assert_eq(buffer_append(&buffer, "y", 1), -ENOBUFS);
        cr_assert_eq(buffer_reserve(&buffer, 1, &untouched), -ENOBUFS);
        cr_assert_eq(buffer_reserve(&buffer, SIZE_MAX, &untouched), -ENOBUFS);
        cr_assert_eq(untouched, (unsigned char *)&buffer);
        cr_assert_eq(buffer_length(&buffer), limits[i]);
        cr_assert_eq(buffer_append(&buffer, "", 0), 0);
        if (limits[i] > 0) {
            buffer_consume(&buffer, 1);
            cr_assert_eq(buffer_append(&buffer, "z", 1), 0, "room again");
            cr_assert_eq(buffer_bytes(&buffer)[limits[i] - 1], 'z');
        }
        buffer_clear(&buffer);
    }
}

Test(buffer, what_is_reserved_counts_only_when_committed)
{
    struct buffer buffer;
    unsigned char *space;
    buffer_init(&buffer, 4096);
    cr_assert_eq(buffer_append(&buffer, "ab", 2), 0);
    cr_assert_eq(buffer_reserve(&buffer, 1000, &space), 0);
    memset(space, 'c', 1000);
    cr_assert_eq(buffer_length(&buffer), 2);
    buffer_commit(&buffer, 3);
    cr_assert_eq(buffer_length(&buffer), 5);
    cr_assert_arr_eq(buffer_bytes(&buffer), "abccc", 5);
    buffer_clear(&buffer);
}

Test(buffer, consuming_too_much_drops_all)
{
    struct buffer buffer;
    buffer_init(&buffer, 100);
    cr_assert_eq(buffer_append(&buffer, "abc", 3), 0);
    buffer_consume(&buffer, SIZE_MAX);
    cr_assert_eq(buffer_length(&buffer), 0);
    cr_assert_eq(buffer_append(&buffer, "d", 1), 0);
    cr_assert_eq(buffer_bytes(&buffer)[0], 'd');
    buffer_clear(&buffer);
    cr_assert_eq(buffer_append(&buffer, "e", 1), 0, "usable after it was cleared");
    buffer_clear(&buffer);
}

Test(buffer, gives_memory_back_when_it_has_grown_large)
{
    struct buffer buffer;
    unsigned char *space;
    buffer_init(&buffer, 1 << 20);
    cr_assert_eq(buffer_append(&buffer, "x", 1), 0);
    buffer_consume(&buffer, 1);
    cr_assert_not_null(buffer.data, "a small block is kept");
    cr_assert_eq(buffer_reserve(&buffer, 1 << 20, &space), 0);
    buffer_commit(&buffer, 1 << 20);
    buffer_consume(&buffer, (1 << 20) - 1);
    cr_assert_not_null(buffer.data);
    buffer_consume(&buffer, 1);
    cr_assert_null(buffer.data);
    cr_assert_eq(buffer.capacity, 0);
    cr_assert_eq(buffer_append(&buffer, "y", 1), 0);
    buffer_clear(&buffer);
}

/* A stream that is never empty: memory stays in proportion to what is held, and bytes are seldom moved. */
Test(buffer, steady_flow_neither_grows_nor_moves_at_each_byte)
{
    struct buffer buffer;
    unsigned char block[1000] = {0};
    buffer_init(&buffer, 1 << 20);
    cr_assert_eq(buffer_append(&buffer, block, sizeof(block)), 0);
    size_t moves = 0;
    for (int i = 0; i < 100000; i++) {
        size_t end = buffer.end;
        cr_assert_eq(buffer_append(&buffer, "x", 1), 0);
        moves += buffer.end < end;
        buffer_consume(&buffer, 1);
    }
    cr_assert_leq(buffer.capacity, 4 * sizeof(block));
    cr_assert_gt(moves, 0);
    cr_assert_lt(moves, 200);
    buffer_clear(&buffer);
}
