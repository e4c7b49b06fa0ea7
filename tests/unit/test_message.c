/* The message list and what is built on it: who may say what, decoding, dispatch. */
#include "common/message.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/bulkhead.pb-c.h"

#define ANY_PHASE (PHASE_SETUP | PHASE_RUNNING | PHASE_STOPPING)

static bool is_single_bit(unsigned bits)
{
    return bits != 0 && (bits & (bits - 1)) == 0;
}

static size_t count_definitions(void)
{
    size_t count = 0;
    while (message_at(count) != NULL)
        count++;
    return count;
}

Test(message, numbers_and_names_are_unique)
{
    size_t count = count_definitions();
    cr_assert_gt(count, 10);
    cr_assert_null(message_at(count + 1));
    cr_assert_null(message_at(SIZE_MAX));
    for (size_t i = 0; i < count; i++) {
        const struct message_definition *one = message_at(i);
        cr_assert_neq(one->type, 0);
        cr_assert_eq(message_find((uint16_t)one->type), one);
        cr_assert_str_eq(message_name((uint16_t)one->type), one->name);
        for (size_t j = 0; j < i; j++) {
            cr_assert_neq(one->type, message_at(j)->type, "%s", one->name);
            cr_assert_str_neq(one->name, message_at(j)->name);
        }
    }
}

Test(message, a_number_is_found_only_when_it_is_listed)
{
    size_t found = 0;
    for (unsigned type = 0; type <= UINT16_MAX; type++) {
        if (message_find((uint16_t)type) != NULL)
            found++;
        else
            cr_assert_str_eq(message_name((uint16_t)type), "unknown");
    }
    cr_assert_eq(found, count_definitions());
}

/* A star: the supervisor is at one end of each message, helpers at the other, and never on both sides. */
Test(message, every_row_makes_sense)
{
    for (size_t i = 0; message_at(i) != NULL; i++) {
        const struct message_definition *one = message_at(i);
        bool to_helper = one->senders == ROLE_SUPERVISOR;
        unsigned helpers = to_helper ? one->receivers : one->senders;
        cr_assert(to_helper || one->receivers == ROLE_SUPERVISOR, "%s", one->name);
        cr_assert_neq(helpers, 0, "%s", one->name);
        cr_assert_eq(helpers & ~(unsigned)ROLE_HELPER, 0, "%s", one->name);
        cr_assert_neq(one->phases, 0, "%s", one->name);
        cr_assert_eq(one->phases & ~(unsigned)ANY_PHASE, 0, "%s", one->name);
        cr_assert_leq(one->largest, 64u * 1024 * 1024, "%s: a channel holds no more", one->name);
        cr_assert_not_null(one->body, "%s", one->name);
        cr_assert(one->body->n_fields > 0 || one->largest == 0, "%s: nothing can be in it", one->name);
        cr_assert_neq(one->purpose[0], '\0', "%s", one->name);
    }
}

/* Numbers are the protocol: one that has been used stays what it was. */
Test(message, numbers_stay)
{
    static const struct {
        unsigned number;
        const char *name;
    } rows[] = {
        {1, "HELLO"},
        {2, "CONFIGURE"},
        {3, "PING"},
        {4, "PONG"},
        {16, "AGENT_ATTEMPT"},
        {17, "AGENT_LIST_TASK"},
        {18, "AGENT_LIST_UPDATE"},
        {19, "AGENT_SUBSCRIBE"},
        {20, "AGENT_SOCKET"},
        {21, "AGENT_SUBSCRIBED"},
        {22, "AGENT_DISCONNECTED"},
        {23, "AGENT_LAUNCH"},
        {24, "AGENT_LAUNCH_REFUSED"},
        {25, "AGENT_KILL"},
        {26, "AGENT_ACKNOWLEDGED"},
        {27, "AGENT_SHUTDOWN"},
        {28, "AGENT_UPDATE"},
        {29, "AGENT_REJECTED"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_assert_str_eq(message_name((uint16_t)rows[i].number), rows[i].name);
}

Test(message, roles_have_names)
{
    cr_assert_str_eq(message_role_name(ROLE_SUPERVISOR), "supervisor");
    cr_assert_str_eq(message_role_name(ROLE_AGENT_CLIENT), "agent-client");
    cr_assert_str_eq(message_role_name(ROLE_HOOKD), "hookd");
    cr_assert_str_eq(message_role_name(ROLE_LOGSHIPPER), "logshipper");
    cr_assert_str_eq(message_role_name(ROLE_HELPER), "helper");
}

Test(message, check_golden)
{
    enum { S = ROLE_SUPERVISOR, A = ROLE_AGENT_CLIENT, H = ROLE_HOOKD, L = ROLE_LOGSHIPPER };
    static const struct {
        unsigned type, sender, receiver, phase;
        size_t length;
        bool has_descriptor;
        int expected;
    } rows[] = {
        {MESSAGE_HELLO, A, S, PHASE_SETUP, 4096, false, 0},
        {MESSAGE_HELLO, L, S, PHASE_SETUP, 0, false, 0},
        {MESSAGE_HELLO, A, S, PHASE_SETUP, 4097, false, -EPROTO},
        {MESSAGE_HELLO, A, S, PHASE_SETUP, SIZE_MAX, false, -EPROTO},
        {MESSAGE_HELLO, A, S, PHASE_RUNNING, 4, false, -EPROTO},
        {MESSAGE_HELLO, A, S, PHASE_STOPPING, 4, false, -EPROTO},
        {MESSAGE_HELLO, S, A, PHASE_SETUP, 4, false, -EPROTO},
        {MESSAGE_HELLO, A, H, PHASE_SETUP, 4, false, -EPROTO},
        {MESSAGE_HELLO, A, S, PHASE_SETUP, 4, true, -EPROTO},
        {MESSAGE_AGENT_SOCKET, S, A, PHASE_RUNNING, 0, true, 0},
        {MESSAGE_AGENT_SOCKET, S, A, PHASE_RUNNING, 0, false, -EPROTO},
        {MESSAGE_AGENT_SOCKET, S, H, PHASE_RUNNING, 0, true, -EPROTO},
        {MESSAGE_AGENT_KILL, A, S, PHASE_STOPPING, 10, false, 0},
        {MESSAGE_AGENT_KILL, H, S, PHASE_STOPPING, 10, false, -EPROTO},
        {MESSAGE_AGENT_LAUNCH, A, S, PHASE_RUNNING, 64 * 1024 * 1024, false, 0},
        {MESSAGE_AGENT_LAUNCH, A, S, PHASE_RUNNING, 64 * 1024 * 1024 + 1, false, -EPROTO},
        {MESSAGE_PONG, H, S, PHASE_RUNNING, 0, false, 0},
        {MESSAGE_PONG, H, S, PHASE_RUNNING, 1, false, -EPROTO},
        {0, A, S, PHASE_SETUP, 0, false, -EPROTO},
        {5, A, S, PHASE_SETUP, 0, false, -EPROTO},
        {65535, A, S, PHASE_SETUP, 0, false, -EPROTO},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_assert_eq(message_check((uint16_t)rows[i].type, rows[i].sender, rows[i].receiver, rows[i].phase,
                                   rows[i].length, rows[i].has_descriptor),
                     rows[i].expected, "row %zu", i);
}

/* Whatever passes the check agrees with its row in each respect; counted, so that it is not always refused.
 */
Test(message, check_of_every_combination)
{
    static const enum message_role roles[] = {ROLE_SUPERVISOR, ROLE_AGENT_CLIENT, ROLE_HOOKD,
                                              ROLE_LOGSHIPPER};
    size_t allowed = 0, expected = 0;
    for (size_t i = 0; message_at(i) != NULL; i++) {
        const struct message_definition *one = message_at(i);
        for (unsigned bits = 0; bits < 4 * 4 * 3 * 2 * 2; bits++) {
            enum message_role sender = roles[bits % 4], receiver = roles[bits / 4 % 4];
            enum message_phase phase = 1u << (bits / 16 % 3);
            size_t length = one->largest + (size_t)(bits / 48 % 2);
            bool has_descriptor = bits / 96 != 0;
            if (message_check((uint16_t)one->type, sender, receiver, phase, length, has_descriptor) != 0)
                continue;
            allowed++;
            cr_assert((one->senders & sender) != 0 && (one->receivers & receiver) != 0 &&
                          (one->phases & phase) != 0 && length <= one->largest &&
                          has_descriptor == one->has_descriptor,
                      "%s", one->name);
            cr_assert(is_single_bit(phase) && sender != receiver);
        }
        expected += (size_t)__builtin_popcount(one->senders) * (size_t)__builtin_popcount(one->receivers) *
                    (size_t)__builtin_popcount(one->phases);
    }
    cr_assert_eq(allowed, expected);
}

Test(message, every_body_decodes_its_own_empty_encoding)
{
    for (size_t i = 0; message_at(i) != NULL; i++) {
        const struct message_definition *one = message_at(i);
        ProtobufCMessage *empty = calloc(1, one->body->sizeof_message);
        one->body->message_init(empty);
        cr_assert_eq(protobuf_c_message_get_packed_size(empty), 0, "%s", one->name);
        free(empty);

        ProtobufCMessage *message = NULL;
        cr_assert_eq(message_decode((uint16_t)one->type, NULL, 0, &message), 0, "%s", one->name);
        cr_assert_eq(message->descriptor, one->body);
        protobuf_c_message_free_unpacked(message, NULL);
    }
}

/* A field that no message has, as varint, 64 bits, bytes and 32 bits. */
static const struct {
    size_t length;
    unsigned char bytes[12];
} strange_fields[] = {
    {3, {0xf8, 0x3f, 1}},          {10, {0xf9, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8}},
    {3, {0xfa, 0x3f, 0}},          {4, {0xfa, 0x3f, 1, 'x'}},
    {6, {0xfd, 0x3f, 1, 2, 3, 4}},
};

Test(message, unknown_fields_are_refused)
{
    for (size_t i = 0; message_at(i) != NULL; i++)
        for (size_t j = 0; j < sizeof(strange_fields) / sizeof(strange_fields[0]); j++) {
            ProtobufCMessage *message = NULL;
            cr_assert_eq(message_decode((uint16_t)message_at(i)->type, strange_fields[j].bytes,
                                        strange_fields[j].length, &message),
                         -EPROTO, "%s, field %zu", message_at(i)->name, j);
            cr_assert_null(message, "touched");
        }
}

static size_t wrap(unsigned field, const unsigned char *inner, size_t length, unsigned char *out)
{
    out[0] = (unsigned char)(field << 3 | 2);
    out[1] = (unsigned char)length;
    memcpy(out + 2, inner, length);
    return length + 2;
}

/* The fields on the way down to the strange one; 0 ends. Each path is tried without it too, and is good then.
 */
Test(message, unknown_fields_are_refused_at_every_depth)
{
    static const struct {
        enum message_type type;
        unsigned path[4];
    } rows[] = {
        {MESSAGE_CONFIGURE, {1}},       {MESSAGE_AGENT_LAUNCH, {1}},       {MESSAGE_AGENT_LAUNCH, {1, 3}},
        {MESSAGE_AGENT_LAUNCH, {1, 4}}, {MESSAGE_AGENT_LAUNCH, {1, 3, 5}}, {MESSAGE_AGENT_LAUNCH, {1, 4, 5}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (int strange = 0; strange < 2; strange++) {
            unsigned char bytes[64], outer[64];
            size_t length = strange != 0 ? strange_fields[0].length : 0;
            memcpy(bytes, strange_fields[0].bytes, length);
            size_t depth = 0;
            while (rows[i].path[depth] != 0)
                depth++;
            while (depth-- > 0) {
                length = wrap(rows[i].path[depth], bytes, length, outer);
                memcpy(bytes, outer, length);
            }
            /* A good one before it, so that it is not always the first of a repeated field. */
            unsigned char both[128] = {(unsigned char)(rows[i].path[0] << 3 | 2), 0};
            memcpy(both + 2, bytes, length);
            ProtobufCMessage *message = NULL;
            int r = message_decode((uint16_t)rows[i].type, both, length + 2, &message);
            cr_assert_eq(r, strange != 0 ? -EPROTO : 0, "row %zu", i);
            if (r == 0)
                protobuf_c_message_free_unpacked(message, NULL);
        }
}

Test(message, bodies_that_do_not_decode)
{
    static const struct {
        enum message_type type;
        size_t length;
        unsigned char bytes[12];
    } rows[] = {
        {MESSAGE_HELLO, 1, {0x08}},                 /* a tag and no value */
        {MESSAGE_HELLO, 2, {0x08, 0x80}},           /* a number without its end */
        {MESSAGE_HELLO, 3, {0x12, 5, 'x'}},         /* shorter than it says */
        {MESSAGE_HELLO, 2, {0x10, 1}},              /* a number where a text belongs */
        {MESSAGE_HELLO, 2, {0x0f, 1}},              /* wire type 7 */
        {MESSAGE_HELLO, 2, {0x00, 1}},              /* field 0 */
        {MESSAGE_AGENT_LAUNCH, 3, {0x0a, 1, 0x0a}}, /* a broken message in a whole one */
        {MESSAGE_AGENT_SHUTDOWN, 1, {0}},
        {(enum message_type)999, 0, {0}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ProtobufCMessage *message = NULL;
        cr_assert_eq(message_decode((uint16_t)rows[i].type, rows[i].bytes, rows[i].length, &message), -EPROTO,
                     "row %zu", i);
        cr_assert_null(message);
    }
}

struct seen {
    int calls;
    uint32_t id;
    int descriptor;
    bool descriptor_was_open;
    int answer;
    char text[32];
};

static bool is_open(int descriptor)
{
    return fcntl(descriptor, F_GETFD) >= 0;
}

static int see(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    struct seen *seen = self;
    seen->calls++;
    seen->id = id;
    seen->descriptor = descriptor;
    seen->descriptor_was_open = is_open(descriptor);
    if (body->descriptor == &bulkhead__kill__descriptor) {
        const Bulkhead__Kill *kill = (const void *)body;
        strncpy(seen->text, kill->task_id, sizeof(seen->text) - 1);
    }
    return seen->answer;
}

static int do_not_call(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)body;
    (void)descriptor;
    ((struct seen *)self)->calls += 100;
    return 0;
}

static const struct message_handler table[] = {
    {MESSAGE_AGENT_SHUTDOWN, do_not_call},
    {MESSAGE_AGENT_KILL, see},
    {MESSAGE_AGENT_SOCKET, see},
    {0},
};

static const struct message_handler empty_table[] = {{0}};

Test(message, dispatch_calls_the_handler_of_the_type)
{
    static const unsigned char body[] = {0x0a, 3, 'w', 'e', 'b'};
    struct seen seen = {.answer = 5};
    cr_assert_eq(message_dispatch(table, &seen, MESSAGE_AGENT_KILL, 77, body, sizeof(body), -1), 5);
    cr_assert_eq(seen.calls, 1);
    cr_assert_eq(seen.id, 77);
    cr_assert_eq(seen.descriptor, -1);
    cr_assert_str_eq(seen.text, "web");
    seen.answer = -EBUSY;
    cr_assert_eq(message_dispatch(table, &seen, MESSAGE_AGENT_KILL, 78, body, sizeof(body), -1), -EBUSY);
    cr_assert_eq(seen.calls, 2);
}

Test(message, dispatch_hands_the_descriptor_to_the_handler)
{
    for (int answer = 0; answer >= -EPROTO; answer -= EPROTO) {
        struct seen seen = {.answer = answer};
        int descriptor = dup(STDERR_FILENO);
        cr_assert_eq(message_dispatch(table, &seen, MESSAGE_AGENT_SOCKET, 0, NULL, 0, descriptor), answer);
        cr_assert_eq(seen.descriptor, descriptor);
        cr_assert(seen.descriptor_was_open);
        cr_assert(is_open(descriptor), "it is the handler's, whatever the handler says");
        close(descriptor);
    }
}

Test(message, dispatch_closes_what_no_handler_gets)
{
    static const struct {
        const struct message_handler *table;
        unsigned type;
        size_t length;
    } rows[] = {
        {table, MESSAGE_AGENT_ATTEMPT, 0}, /* nobody handles it */
        {table, 999, 0},                   /* there is no such type */
        {table, 0, 0},                     /* the number of the row that ends a table */
        {table, MESSAGE_AGENT_SOCKET, 1},  /* the body is bad */
        {empty_table, MESSAGE_AGENT_SOCKET, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        static const unsigned char body[] = {0xff};
        struct seen seen = {0};
        int descriptor = dup(STDERR_FILENO);
        cr_assert_eq(message_dispatch(rows[i].table, &seen, (uint16_t)rows[i].type, 0, body, rows[i].length,
                                      descriptor),
                     -EPROTO, "row %zu", i);
        cr_assert_eq(seen.calls, 0);
        cr_assert(!is_open(descriptor), "row %zu", i);
        cr_assert_eq(
            message_dispatch(rows[i].table, &seen, (uint16_t)rows[i].type, 0, body, rows[i].length, -1),
            -EPROTO, "row %zu without a descriptor", i);
    }
}
