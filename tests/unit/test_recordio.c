/* RecordIO: every way to cut a stream, and every way for one to be wrong. */
#include "agent-client/recordio.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What a decoder made of a stream: the records one after another, each followed by '|', and how it ended. */
struct transcript {
    char text[4096];
    size_t length;
    int result;
};

static void note_record(struct transcript *transcript, const struct recordio_record *record)
{
    cr_assert(record->size + 1 < sizeof(transcript->text) - transcript->length);
    if (record->size > 0)
        memcpy(transcript->text + transcript->length, record->data, record->size);
    transcript->length += record->size;
    transcript->text[transcript->length++] = '|';
    transcript->text[transcript->length] = '\0';
}

/* Each piece is a heap block of its own size, freed before the next: a decoder that keeps a pointer is found
 * out. */
static void feed(struct recordio *recordio, const char *bytes, size_t size, struct transcript *transcript)
{
    unsigned char *piece = malloc(size > 0 ? size : 1);
    memcpy(piece, bytes, size);
    const unsigned char *input = piece;
    size_t left = size;
    struct recordio_record record;
    int r;
    while ((r = recordio_next(recordio, &input, &left, &record)) > 0)
        note_record(transcript, &record);
    cr_assert(r < 0 || left == 0);
    transcript->result = r;
    free(piece);
}

static struct transcript decode(const char *stream, size_t size, const size_t *cuts, size_t cut_count,
                                size_t limit)
{
    struct transcript transcript = {0};
    struct recordio recordio;
    recordio_init(&recordio, limit);
    size_t begin = 0;
    for (size_t i = 0; i <= cut_count && transcript.result == 0; i++) {
        size_t end = i < cut_count ? cuts[i] : size;
        feed(&recordio, stream + begin, end - begin, &transcript);
        begin = end;
    }
    recordio_clear(&recordio);
    return transcript;
}

static const char mixed[] = "5\nhello0\n11\nhello world3\n\n\n\n1\n7002\nab";
static const char mixed_records[] = "hello||hello world|\n\n\n|7|ab|";

Test(recordio, whole_stream)
{
    struct transcript t = decode(mixed, sizeof(mixed) - 1, NULL, 0, 100);
    cr_assert_eq(t.result, 0);
    cr_assert_str_eq(t.text, mixed_records);
}

Test(recordio, every_pair_of_cuts)
{
    size_t size = sizeof(mixed) - 1;
    for (size_t first = 0; first <= size; first++) {
        for (size_t second = first; second <= size; second++) {
            size_t cuts[] = {first, second};
            struct transcript t = decode(mixed, size, cuts, 2, 100);
            cr_assert_eq(t.result, 0, "cut at %zu and %zu", first, second);
            cr_assert_str_eq(t.text, mixed_records, "cut at %zu and %zu", first, second);
        }
    }
}

Test(recordio, one_byte_at_a_time)
{
    size_t size = sizeof(mixed) - 1;
    size_t cuts[sizeof(mixed)];
    for (size_t i = 0; i < size; i++)
        cuts[i] = i;
    struct transcript t = decode(mixed, size, cuts, size, 100);
    cr_assert_eq(t.result, 0);
    cr_assert_str_eq(t.text, mixed_records);
}

struct wrong {
    const char *stream;
    size_t limit;
    int error;
    const char *records; /* what was whole before */
};

Test(recordio, wrong_lengths_are_errors_wherever_they_are_cut)
{
    static const struct wrong wrongs[] = {
        {"\nabc", 100, -EBADMSG, ""},
        {"x5\nhello", 100, -EBADMSG, ""},
        {"5x\nhello", 100, -EBADMSG, ""},
        {"-1\n", 100, -EBADMSG, ""},
        {"+5\nhello", 100, -EBADMSG, ""},
        {" 5\nhello", 100, -EBADMSG, ""},
        {"5 \nhello", 100, -EBADMSG, ""},
        {"5\r\nhello", 100, -EBADMSG, ""},
        {"0x5\nhello", 100, -EBADMSG, ""},
        {"2\nab\n", 100, -EBADMSG, "ab|"},
        {"2\nabHTTP/1.1", 100, -EBADMSG, "ab|"},
        {"101\n", 100, -EMSGSIZE, ""},
        {"999", 100, -EMSGSIZE, ""},
        {"1\na6\nabcdef", 5, -EMSGSIZE, "a|"},
        {"18446744073709551615\n", (size_t)-1, 0, ""},
        {"18446744073709551616\n", (size_t)-1, -EMSGSIZE, ""},
        {"99999999999999999999\n", (size_t)-1, -EMSGSIZE, ""},
        {"000000000000000000000\n", 100, -EBADMSG, ""},
        {"00000000000000000002\nab", 100, 0, "ab|"},
        {"1\na", 0, -EMSGSIZE, ""},
        {"0\n0\n", 0, 0, "||"},
    };
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        size_t size = strlen(wrongs[i].stream);
        for (size_t cut = 0; cut <= size; cut++) {
            struct transcript t = decode(wrongs[i].stream, size, &cut, 1, wrongs[i].limit);
            cr_assert_eq(t.result, wrongs[i].error, "row %zu cut at %zu: %d", i, cut, t.result);
            cr_assert_str_eq(t.text, wrongs[i].records, "row %zu cut at %zu", i, cut);
        }
    }
}

Test(recordio, memory_follows_what_came_not_what_was_claimed)
{
    struct recordio recordio;
    recordio_init(&recordio, RECORDIO_LIMIT);
    static const char head[] = "134217728\nfirst bytes";
    const unsigned char *input = (const unsigned char *)head;
    size_t size = sizeof(head) - 1;
    struct recordio_record record;
    cr_assert_eq(recordio_next(&recordio, &input, &size, &record), 0);
    cr_assert_leq(recordio.capacity, 4096);
    recordio_clear(&recordio);
}

Test(recordio, big_record_is_released)
{
    enum { SIZE = 3 * 1024 * 1024 };
    struct recordio recordio;
    recordio_init(&recordio, RECORDIO_LIMIT);
    unsigned char *bytes = malloc(SIZE + 32);
    size_t head = (size_t)sprintf((char *)bytes, "%d\n", (int)SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[head + i] = (unsigned char)(i * 31);
    const unsigned char *input = bytes;
    struct recordio_record record = {0};
    int r = 0;
    for (size_t begin = 0; begin < SIZE + head; begin += 1000) {
        size_t piece = SIZE + head - begin < 1000 ? SIZE + head - begin : 1000;
        cr_assert_eq(r, 0);
        input = bytes + begin;
        r = recordio_next(&recordio, &input, &piece, &record);
    }
    cr_assert_eq(r, 1);
    cr_assert_eq(record.size, (size_t)SIZE);
    cr_assert_eq(memcmp(record.data, bytes + head, SIZE), 0);
    cr_assert_leq(recordio.capacity, (size_t)SIZE);

    size_t nothing = 0;
    cr_assert_eq(recordio_next(&recordio, &input, &nothing, &record), 0);
    cr_assert_null(recordio.data);
    free(bytes);
    recordio_clear(&recordio);
}

/* Growing by a constant would copy 8 TB here; doubling copies 8 MB. The deadline is that of the test. */
Test(recordio, single_bytes_are_not_quadratic, .timeout = 20)
{
    enum { SIZE = 4 * 1024 * 1024 };
    struct recordio recordio;
    recordio_init(&recordio, RECORDIO_LIMIT);
    static const char head[] = "4194304\n";
    struct recordio_record record = {0};
    int r = 0;
    for (size_t i = 0; i < sizeof(head) - 1 + SIZE; i++) {
        unsigned char byte = i < sizeof(head) - 1 ? (unsigned char)head[i] : (unsigned char)'x';
        const unsigned char *input = &byte;
        size_t one = 1;
        cr_assert_eq(r, 0);
        r = recordio_next(&recordio, &input, &one, &record);
    }
    cr_assert_eq(r, 1);
    cr_assert_eq(record.size, (size_t)SIZE);
    recordio_clear(&recordio);
}

Test(recordio, clear_accepts_null_and_begins_anew)
{
    recordio_clear(NULL);
    struct recordio recordio;
    recordio_init(&recordio, 100);
    struct transcript t = {0};
    feed(&recordio, "7\nabc", 5, &t);
    recordio_clear(&recordio);
    feed(&recordio, "2\nok", 4, &t);
    cr_assert_str_eq(t.text, "ok|");
    recordio_clear(&recordio);
}
