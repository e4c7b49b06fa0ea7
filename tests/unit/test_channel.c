/* The channel over a real socketpair: each return value, and no descriptor lost on any way. */
#include "common/channel.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/frame.h"
#include "proto/bulkhead.pb-c.h"
#include "support.h"

enum { GENERATION = 7, HIGH_WATER = 80 * 1024 * 1024 };

/* Both ends as channels; in a half pair the helper's end is a bare socket. */
struct pair {
    size_t before; /* descriptors */
    struct channel *supervisor;
    struct channel *helper;
    int raw;
};

static struct channel *open_end(int socket, enum message_role self, enum message_role peer, size_t high_water)
{
    struct channel *channel;
    struct channel_options options = {
        .self = self, .peer = peer, .generation = GENERATION, .high_water = high_water};
    cr_assert_eq(channel_new(socket, &options, &channel), 0);
    return channel;
}

static void set_phase(struct pair *pair, enum message_phase phase)
{
    channel_set_phase(pair->supervisor, phase);
    if (pair->helper != NULL)
        channel_set_phase(pair->helper, phase);
}

static void open_half(struct pair *pair, enum message_role self)
{
    int sockets[2];
    pair->before = support_count_descriptors(getpid());
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    enum message_role peer = self == ROLE_SUPERVISOR ? ROLE_AGENT_CLIENT : ROLE_SUPERVISOR;
    pair->supervisor = open_end(sockets[0], self, peer, HIGH_WATER);
    pair->helper = NULL;
    pair->raw = sockets[1];
    set_phase(pair, PHASE_RUNNING);
}

static void open_pair(struct pair *pair, size_t high_water)
{
    int sockets[2];
    pair->before = support_count_descriptors(getpid());
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    pair->supervisor = open_end(sockets[0], ROLE_SUPERVISOR, ROLE_AGENT_CLIENT, high_water);
    pair->helper = open_end(sockets[1], ROLE_AGENT_CLIENT, ROLE_SUPERVISOR, high_water);
    pair->raw = -1;
    set_phase(pair, PHASE_RUNNING);
}

/* Closes all; leaves must be what the test itself still holds. */
static void close_pair(struct pair *pair, size_t leaves)
{
    channel_free(pair->supervisor);
    channel_free(pair->helper);
    if (pair->raw >= 0)
        close(pair->raw);
    cr_assert_eq(support_count_descriptors(getpid()), pair->before + leaves, "a descriptor was lost");
}

static size_t pack_frame(unsigned char *out, const struct frame_header *header, const void *body)
{
    frame_pack_header(header, out);
    if (body != NULL)
        memcpy(out + FRAME_HEADER_SIZE, body, header->length);
    return FRAME_HEADER_SIZE + (body != NULL ? header->length : 0);
}

/* Sends bytes with count copies of a descriptor. */
static void send_raw(int socket, const void *bytes, size_t length, size_t count)
{
    union {
        char space[CMSG_SPACE(8 * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (count > 0) {
        int descriptors[8];
        for (size_t i = 0; i < count; i++)
            descriptors[i] = socket;
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
    }
    cr_assert_eq(sendmsg(socket, &message, 0), (ssize_t)length);
}

static void send_header(int socket, uint16_t type, uint16_t flags, uint32_t length, size_t descriptors)
{
    unsigned char bytes[FRAME_HEADER_SIZE];
    struct frame_header header = {.length = length, .type = type, .flags = flags, .generation = GENERATION};
    send_raw(socket, bytes, pack_frame(bytes, &header, NULL), descriptors);
}

/* Waits for the socket, fills and takes until there is a frame or an error. */
static int next(struct channel *channel, struct channel_message *ret_message)
{
    for (;;) {
        int r = channel_next(channel, ret_message);
        if (r != 0)
            return r;
        struct pollfd ready = {.fd = channel_socket(channel), .events = POLLIN};
        cr_assert_eq(poll(&ready, 1, SUPPORT_DEADLINE_SECONDS * 1000), 1, "nothing came");
        r = channel_fill(channel);
        if (r <= 0)
            return r == 0 ? -EPIPE : r;
    }
}

Test(channel, starts_in_setup_and_owns_its_socket)
{
    struct pair pair;
    open_pair(&pair, HIGH_WATER);
    struct channel *channel = open_end(dup(STDERR_FILENO), ROLE_SUPERVISOR, ROLE_HOOKD, 100);
    cr_assert_eq(channel_phase(channel), PHASE_SETUP);
    cr_assert_eq(channel_events(channel), POLLIN);
    cr_assert_eq(fcntl(channel_socket(channel), F_GETFD), FD_CLOEXEC);
    struct channel_message message;
    cr_assert_eq(channel_next(channel, &message), 0);
    channel_free(channel);
    channel_free(NULL);
    close_pair(&pair, 0);
}

Test(channel, nothing_waits)
{
    struct pair pair;
    open_pair(&pair, HIGH_WATER);
    struct channel_message message;
    cr_assert_eq(channel_fill(pair.supervisor), -EAGAIN);
    cr_assert_eq(channel_next(pair.supervisor, &message), 0);
    cr_assert_eq(channel_flush(pair.supervisor), 0);
    close_pair(&pair, 0);
}

Test(channel, messages_arrive_as_they_were_sent)
{
    struct pair pair;
    open_pair(&pair, HIGH_WATER);
    Bulkhead__Kill kill = BULKHEAD__KILL__INIT;
    char id[] = "web.1";
    kill.task_id = id;
    cr_assert_eq(channel_send(pair.helper, MESSAGE_AGENT_KILL, 41, &kill.base, -1), 0);
    cr_assert_eq(channel_send(pair.helper, MESSAGE_AGENT_SHUTDOWN, UINT32_MAX, NULL, -1), 0);
    cr_assert_eq(channel_fill(pair.supervisor), 1);

    struct channel_message message;
    cr_assert_eq(channel_next(pair.supervisor, &message), 1);
    cr_assert_eq(message.type, MESSAGE_AGENT_KILL);
    cr_assert_eq(message.id, 41);
    cr_assert_eq(message.descriptor, -1);
    ProtobufCMessage *body;
    cr_assert_eq(message_decode(message.type, message.body, message.length, &body), 0);
    cr_assert_str_eq(((Bulkhead__Kill *)body)->task_id, id);
    protobuf_c_message_free_unpacked(body, NULL);
    cr_assert_eq(channel_next(pair.supervisor, &message), 1);
    cr_assert_eq(message.type, MESSAGE_AGENT_SHUTDOWN);
    cr_assert_eq(message.id, UINT32_MAX);
    cr_assert_eq(message.length, 0);
    cr_assert_eq(channel_next(pair.supervisor, &message), 0);
    cr_assert_eq(channel_next(pair.supervisor, &message), 0);
    close_pair(&pair, 0);
}

Test(channel, one_byte_at_a_time)
{
    struct pair pair;
    open_half(&pair, ROLE_SUPERVISOR);
    static const unsigned char body[] = {0x0a, 3, 'w', 'e', 'b'};
    unsigned char bytes[64];
    struct frame_header header = {
        .length = sizeof(body), .type = MESSAGE_AGENT_KILL, .id = 9, .generation = GENERATION};
    size_t length = pack_frame(bytes, &header, body);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < length; i++) {
            struct channel_message message;
            cr_assert_eq(channel_next(pair.supervisor, &message), 0);
            send_raw(pair.raw, bytes + i, 1, 0);
            cr_assert_eq(channel_fill(pair.supervisor), 1);
            cr_assert_eq(channel_next(pair.supervisor, &message), i + 1 == length, "byte %zu", i);
            if (i + 1 == length)
                cr_assert_arr_eq(message.body, body, sizeof(body));
        }
    close_pair(&pair, 0);
}

Test(channel, a_descriptor_comes_with_its_frame)
{
    struct pair pair;
    int pipes[2];
    open_pair(&pair, HIGH_WATER);
    cr_assert_eq(pipe(pipes), 0);
    cr_assert_eq(channel_send(pair.supervisor, MESSAGE_PING, 1, NULL, -1), 0);
    cr_assert_eq(channel_send(pair.supervisor, MESSAGE_AGENT_SOCKET, 2, NULL, pipes[1]), 0);
    cr_assert_eq(channel_send(pair.supervisor, MESSAGE_PING, 3, NULL, -1), 0);
    cr_assert_lt(fcntl(pipes[1], F_GETFD), 0, "sent: no longer open here");
    struct channel_message message;
    for (uint32_t id = 1; id <= 3; id++) {
        cr_assert_eq(next(pair.helper, &message), 1);
        cr_assert_eq(message.id, id);
        cr_assert_eq(message.descriptor >= 0, id == 2, "frame %u", (unsigned)id);
        if (message.descriptor < 0)
            continue;
        char byte;
        cr_assert_neq(fcntl(message.descriptor, F_GETFD) & FD_CLOEXEC, 0);
        cr_assert_eq(write(message.descriptor, "x", 1), 1);
        cr_assert_eq(read(pipes[0], &byte, 1), 1);
        close(message.descriptor);
    }
    close_pair(&pair, 1);
    close(pipes[0]);
}

Test(channel, a_descriptor_with_the_first_of_many_pieces)
{
    struct pair pair;
    open_half(&pair, ROLE_AGENT_CLIENT);
    unsigned char bytes[FRAME_HEADER_SIZE];
    struct frame_header header = {
        .type = MESSAGE_AGENT_SOCKET, .flags = FRAME_HAS_DESCRIPTOR, .generation = GENERATION};
    pack_frame(bytes, &header, NULL);
    struct channel_message message;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        send_raw(pair.raw, bytes + i, 1, i == 0);
        cr_assert_eq(channel_fill(pair.supervisor), 1);
        cr_assert_eq(channel_next(pair.supervisor, &message), i + 1 == sizeof(bytes));
    }
    cr_assert_geq(message.descriptor, 0);
    close(message.descriptor);
    close_pair(&pair, 0);
}

Test(channel, many_descriptors_one_after_the_other)
{
    struct pair pair;
    open_pair(&pair, HIGH_WATER);
    struct channel_message message;
    for (uint32_t i = 0; i < 100; i++) {
        int descriptor = open("/dev/null", O_RDONLY);
        cr_assert_eq(channel_send(pair.supervisor, MESSAGE_AGENT_SOCKET, i, NULL, descriptor), 0);
    }
    for (uint32_t i = 0; i < 100; i++) {
        cr_assert_eq(next(pair.helper, &message), 1);
        cr_assert_eq(message.id, i);
        cr_assert_geq(message.descriptor, 0);
        close(message.descriptor);
    }
    close_pair(&pair, 0);
}

Test(channel, a_descriptor_that_no_frame_announces)
{
    struct pair pair;
    open_half(&pair, ROLE_AGENT_CLIENT);
    struct channel_message message;
    send_header(pair.raw, MESSAGE_PING, 0, 0, 1);
    cr_assert_eq(channel_fill(pair.supervisor), 1);
    cr_assert_eq(channel_next(pair.supervisor, &message), 1);
    cr_assert_eq(message.descriptor, -1);
    cr_assert_eq(channel_next(pair.supervisor, &message), -EPROTO);
    close_pair(&pair, 0);
}

Test(channel, a_descriptor_that_is_announced_and_missing)
{
    struct pair pair;
    open_half(&pair, ROLE_AGENT_CLIENT);
    struct channel_message message;
    send_header(pair.raw, MESSAGE_AGENT_SOCKET, FRAME_HAS_DESCRIPTOR, 0, 0);
    cr_assert_eq(channel_fill(pair.supervisor), 1);
    cr_assert_eq(channel_next(pair.supervisor, &message), -EPROTO);
    close_pair(&pair, 0);
}

Test(channel, a_flag_that_the_list_does_not_allow)
{
    static const struct {
        uint16_t type, flags;
    } rows[] = {{MESSAGE_PING, FRAME_HAS_DESCRIPTOR}, {MESSAGE_AGENT_SOCKET, 0}, {MESSAGE_PING, 2}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair pair;
        open_half(&pair, ROLE_AGENT_CLIENT);
        struct channel_message message;
        send_header(pair.raw, rows[i].type, rows[i].flags, 0, 1);
        cr_assert_eq(channel_fill(pair.supervisor), 1);
        cr_assert_eq(channel_next(pair.supervisor, &message), -EPROTO, "row %zu", i);
        close_pair(&pair, 0);
    }
}

Test(channel, more_descriptors_than_are_allowed)
{
    for (size_t count = 2; count <= 8; count++) {
        struct pair pair;
        open_half(&pair, ROLE_AGENT_CLIENT);
        struct channel_message message = {.descriptor = -1};
        send_header(pair.raw, MESSAGE_AGENT_SOCKET, FRAME_HAS_DESCRIPTOR, 0, count);
        int r = channel_fill(pair.supervisor);
        if (r == 1 && channel_next(pair.supervisor, &message) == 1) {
            close(message.descriptor);
            r = channel_next(pair.supervisor, &message);
        }
        cr_assert_eq(r, -EPROTO, "%zu", count);
        close_pair(&pair, 0);
    }
}

/* In pieces, each with one more, and never a whole frame: the fifth has no place. */
Test(channel, descriptors_do_not_pile_up)
{
    struct pair pair;
    open_half(&pair, ROLE_AGENT_CLIENT);
    unsigned char bytes[FRAME_HEADER_SIZE];
    struct frame_header header = {
        .type = MESSAGE_AGENT_SOCKET, .flags = FRAME_HAS_DESCRIPTOR, .generation = GENERATION};
    pack_frame(bytes, &header, NULL);
    int fills = 0, r;
    do {
        send_raw(pair.raw, bytes + fills, 1, 1);
        r = channel_fill(pair.supervisor);
        fills++;
    } while (r == 1 && fills < FRAME_HEADER_SIZE - 1);
    cr_assert_eq(r, -EPROTO);
    cr_assert_leq(fills, 5);
    close_pair(&pair, 0);
}

Test(channel, freed_with_descriptors_waiting_on_both_ways)
{
    struct pair pair;
    open_pair(&pair, HIGH_WATER);
    struct channel_message message;
    while ((channel_events(pair.supervisor) & POLLOUT) == 0)
        cr_assert_eq(channel_send(pair.supervisor, MESSAGE_PING, 0, NULL, -1), 0);
    for (int i = 0; i < 3; i++) /* not sent: the socket is full */
        cr_assert_eq(channel_send(pair.supervisor, MESSAGE_AGENT_SOCKET, 0, NULL, dup(STDERR_FILENO)), 0);
    cr_assert_eq(support_count_descriptors(getpid()), pair.before + 2 + 3);
    while (channel_fill(pair.helper) == 1)
        while (channel_next(pair.helper, &message) == 1)
            cr_assert_eq(message.descriptor, -1);
    close_pair(&pair, 0);

    open_half(&pair, ROLE_AGENT_CLIENT); /* received and not yet taken */
    send_header(pair.raw, MESSAGE_AGENT_SOCKET, FRAME_HAS_DESCRIPTOR, 0, 1);
    cr_assert_eq(channel_fill(pair.supervisor), 1);
    cr_assert_eq(support_count_descriptors(getpid()), pair.before + 3);
    close_pair(&pair, 0);

    open_half(&pair, ROLE_AGENT_CLIENT); /* in the socket, never read */
    send_header(pair.raw, MESSAGE_AGENT_SOCKET, FRAME_HAS_DESCRIPTOR, 0, 1);
    close_pair(&pair, 0);
}

Test(channel, words_of_another_generation_are_passed_over)
{
    struct pair pair;
    open_half(&pair, ROLE_AGENT_CLIENT);
    unsigned char bytes[FRAME_HEADER_SIZE];
    static const uint32_t generations[] = {GENERATION - 1, GENERATION + 1, 0, UINT32_MAX, GENERATION};
    for (uint32_t i = 0; i < 5; i++) {
        struct frame_header header = {.type = MESSAGE_AGENT_SOCKET,
                                      .flags = FRAME_HAS_DESCRIPTOR,
                                      .id = i,
                                      .generation = generations[i]};
        send_raw(pair.raw, bytes, pack_frame(bytes, &header, NULL), 1);
    }
    struct channel_message message;
    cr_assert_eq(next(pair.supervisor, &message), 1);
    cr_assert_eq(message.id, 4);
    cr_assert_geq(message.descriptor, 0);
    cr_assert_eq(support_count_descriptors(getpid()), pair.before + 3, "the others' are closed");
    close(message.descriptor);
    cr_assert_eq(channel_next(pair.supervisor, &message), 0);
    close_pair(&pair, 0);
}

Test(channel, what_arrives_is_judged_by_its_header)
{
    static const struct {
        enum message_role self;
        enum message_phase phase;
        uint16_t type;
        uint32_t length;
    } rows[] = {
        {ROLE_SUPERVISOR, PHASE_RUNNING, 0, 0}, /* no such type */
        {ROLE_SUPERVISOR, PHASE_RUNNING, 999, 0},
        {ROLE_SUPERVISOR, PHASE_RUNNING, MESSAGE_PING, 0}, /* ours to say */
        {ROLE_AGENT_CLIENT, PHASE_RUNNING, MESSAGE_PONG, 0},
        {ROLE_SUPERVISOR, PHASE_SETUP, MESSAGE_AGENT_SHUTDOWN, 0}, /* too early */
        {ROLE_SUPERVISOR, PHASE_RUNNING, MESSAGE_HELLO, 0},        /* too late */
        {ROLE_SUPERVISOR, PHASE_STOPPING, MESSAGE_HELLO, 0},
        {ROLE_SUPERVISOR, PHASE_RUNNING, MESSAGE_AGENT_SHUTDOWN, 1}, /* too large */
        {ROLE_SUPERVISOR, PHASE_RUNNING, MESSAGE_AGENT_KILL, 64 * 1024 + 1},
        {ROLE_SUPERVISOR, PHASE_RUNNING, MESSAGE_AGENT_LAUNCH, 64 * 1024 * 1024 + 1},
        {ROLE_SUPERVISOR, PHASE_RUNNING, MESSAGE_AGENT_LAUNCH, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair pair;
        struct channel_message message;
        open_half(&pair, rows[i].self);
        set_phase(&pair, rows[i].phase);
        send_header(pair.raw, rows[i].type, 0, rows[i].length, 0);
        cr_assert_eq(channel_fill(pair.supervisor), 1);
        cr_assert_eq(channel_next(pair.supervisor, &message), -EPROTO, "row %zu", i);
        cr_assert_eq(channel_next(pair.supervisor, &message), -EPROTO, "row %zu, again", i);
        close_pair(&pair, 0);
    }
}

Test(channel, what_is_sent_is_judged_too)
{
    struct pair pair;
    open_pair(&pair, HIGH_WATER);
    Bulkhead__Kill kill = BULKHEAD__KILL__INIT;
    char *long_id = calloc(1, 64 * 1024 + 1);
    memset(long_id, 'x', 64 * 1024);
    kill.task_id = long_id;

    cr_assert_eq(channel_send(pair.helper, MESSAGE_AGENT_KILL, 0, &kill.base, dup(STDERR_FILENO)), -EMSGSIZE);
    kill.task_id = NULL;
    cr_assert_eq(channel_send(pair.helper, MESSAGE_AGENT_SHUTDOWN, 0, &kill.base, -1), -EPROTO, "body");
    cr_assert_eq(channel_send(pair.helper, MESSAGE_AGENT_KILL, 0, &kill.base, dup(STDERR_FILENO)), -EPROTO);
    cr_assert_eq(channel_send(pair.helper, MESSAGE_PING, 0, NULL, dup(STDERR_FILENO)), -EPROTO, "side");
    cr_assert_eq(channel_send(pair.helper, MESSAGE_HELLO, 0, NULL, -1), -EPROTO, "phase");
    cr_assert_eq(channel_send(pair.helper, (enum message_type)999, 0, NULL, dup(STDERR_FILENO)), -EPROTO);
    cr_assert_eq(channel_send(pair.supervisor, MESSAGE_AGENT_SOCKET, 0, NULL, -1), -EPROTO, "no descriptor");
    cr_assert_eq(channel_fill(pair.supervisor), -EAGAIN, "nothing of it was sent");
    cr_assert_eq(channel_fill(pair.helper), -EAGAIN, "nothing of it was sent");
    cr_assert_eq(channel_send(pair.helper, MESSAGE_AGENT_KILL, 0, &kill.base, -1), 0);
    free(long_id);
    close_pair(&pair, 0);
}

Test(channel, phases_open_and_close_messages)
{
    struct pair pair;
    struct channel_message message;
    open_pair(&pair, HIGH_WATER);
    set_phase(&pair, PHASE_SETUP);
    cr_assert_eq(channel_send(pair.helper, MESSAGE_AGENT_SHUTDOWN, 0, NULL, -1), -EPROTO);
    cr_assert_eq(channel_send(pair.helper, MESSAGE_HELLO, 0, NULL, -1), 0);
    cr_assert_eq(next(pair.supervisor, &message), 1);
    set_phase(&pair, PHASE_STOPPING);
    cr_assert_eq(channel_phase(pair.helper), PHASE_STOPPING);
    cr_assert_eq(channel_send(pair.helper, MESSAGE_AGENT_SHUTDOWN, 0, NULL, -1), 0);
    cr_assert_eq(next(pair.supervisor, &message), 1);
    close_pair(&pair, 0);
}

Test(channel, a_peer_that_does_not_read_meets_the_high_water)
{
    struct pair pair;
    open_pair(&pair, 1000);
    int r, sent = 0;
    while ((r = channel_send(pair.supervisor, MESSAGE_PING, (uint32_t)sent, NULL, -1)) == 0) {
        sent++;
        cr_assert_lt(sent, 10000000, "no bound");
    }
    cr_assert_eq(r, -ENOBUFS);
    cr_assert_eq(channel_events(pair.supervisor), POLLIN | POLLOUT);
    cr_assert_eq(channel_send(pair.supervisor, MESSAGE_AGENT_SOCKET, 0, NULL, dup(STDERR_FILENO)), -ENOBUFS);
    cr_assert_eq(channel_flush(pair.supervisor), 0, "still full");

    struct channel_message message;
    for (int i = 0; i < sent; i++) { /* refused ones left no trace */
        int taken;
        while ((taken = channel_next(pair.helper, &message)) == 0) {
            cr_assert_eq(channel_flush(pair.supervisor), 0);
            cr_assert_eq(channel_fill(pair.helper), 1);
        }
        cr_assert_eq(taken, 1);
        cr_assert_eq(message.id, (uint32_t)i);
    }
    cr_assert_eq(channel_fill(pair.helper), -EAGAIN);
    cr_assert_eq(channel_events(pair.supervisor), POLLIN);
    close_pair(&pair, 0);
}

Test(channel, one_message_above_the_high_water)
{
    struct pair pair;
    Bulkhead__Kill kill = BULKHEAD__KILL__INIT;
    char id[101];
    memset(id, 'x', 100);
    id[100] = '\0';
    kill.task_id = id;
    size_t length = protobuf_c_message_get_packed_size(&kill.base) + FRAME_HEADER_SIZE;
    open_pair(&pair, length - 1);
    cr_assert_eq(channel_send(pair.helper, MESSAGE_AGENT_KILL, 0, &kill.base, -1), -ENOBUFS);
    close_pair(&pair, 0);
    open_pair(&pair, length);
    cr_assert_eq(channel_send(pair.helper, MESSAGE_AGENT_KILL, 0, &kill.base, -1), 0);
    close_pair(&pair, 0);
}

Test(channel, the_peer_is_gone)
{
    struct pair pair;
    struct channel_message message;
    open_half(&pair, ROLE_SUPERVISOR);
    send_header(pair.raw, MESSAGE_AGENT_SHUTDOWN, 0, 0, 0);
    close(pair.raw);
    pair.raw = -1;
    cr_assert_eq(channel_send(pair.supervisor, MESSAGE_AGENT_SOCKET, 0, NULL, dup(STDERR_FILENO)), -EPIPE);
    cr_assert_eq(channel_fill(pair.supervisor), 1, "its last words are heard");
    cr_assert_eq(channel_next(pair.supervisor, &message), 1);
    cr_assert_eq(channel_next(pair.supervisor, &message), 0);
    cr_assert_eq(channel_fill(pair.supervisor), 0);
    cr_assert_eq(channel_flush(pair.supervisor), -EPIPE);
    close_pair(&pair, 0);

    open_half(&pair, ROLE_SUPERVISOR); /* gone without having read */
    cr_assert_eq(channel_send(pair.supervisor, MESSAGE_PING, 0, NULL, -1), 0);
    close(pair.raw);
    pair.raw = -1;
    cr_assert_eq(channel_fill(pair.supervisor), -ECONNRESET);
    cr_assert_eq(channel_fill(pair.supervisor), 0);
    close_pair(&pair, 0);
}

Test(channel, end_of_file_in_the_middle_of_a_frame)
{
    struct pair pair;
    struct channel_message message;
    open_half(&pair, ROLE_SUPERVISOR);
    send_header(pair.raw, MESSAGE_AGENT_KILL, 0, 10, 0);
    close(pair.raw);
    pair.raw = -1;
    cr_assert_eq(channel_fill(pair.supervisor), 1);
    cr_assert_eq(channel_next(pair.supervisor, &message), 0);
    cr_assert_eq(channel_fill(pair.supervisor), 0);
    cr_assert_eq(channel_next(pair.supervisor, &message), 0);
    close_pair(&pair, 0);
}

/* Megabytes through a socket that takes some hundred kilobytes: every write is partial, every read a piece.
 */
Test(channel, the_largest_body_arrives_whole, .timeout = 100)
{
    enum { LARGEST = 64 * 1024 * 1024, RAW = LARGEST - 5 /* its tag and length */ };
    struct pair pair;
    open_pair(&pair, HIGH_WATER);
    Bulkhead__ListTask list = BULKHEAD__LIST_TASK__INIT;
    list.has_raw = true;
    list.raw.data = malloc(RAW + 1);
    list.raw.len = RAW + 1;
    for (size_t i = 0; i <= RAW; i++)
        list.raw.data[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    cr_assert_eq(channel_send(pair.supervisor, MESSAGE_AGENT_LIST_TASK, 1, &list.base, -1), -EMSGSIZE);
    list.raw.len = RAW;
    cr_assert_eq(protobuf_c_message_get_packed_size(&list.base), LARGEST);
    cr_assert_eq(channel_send(pair.supervisor, MESSAGE_AGENT_LIST_TASK, 2, &list.base, -1), 0);
    cr_assert_eq(channel_send(pair.supervisor, MESSAGE_PING, 3, NULL, -1), 0);
    cr_assert_eq(channel_events(pair.supervisor), POLLIN | POLLOUT);

    struct channel_message message;
    int r;
    while ((r = channel_next(pair.helper, &message)) == 0) {
        cr_assert_eq(channel_flush(pair.supervisor), 0);
        cr_assert_eq(channel_fill(pair.helper), 1);
    }
    cr_assert_eq(r, 1);
    cr_assert_eq(message.id, 2);
    cr_assert_eq(message.length, LARGEST);
    cr_assert(memcmp(message.body + 5, list.raw.data, RAW) == 0);
    cr_assert_eq(channel_flush(pair.supervisor), 0);
    cr_assert_eq(next(pair.helper, &message), 1);
    cr_assert_eq(message.id, 3);
    cr_assert_eq(channel_events(pair.supervisor), POLLIN);
    free(list.raw.data);
    close_pair(&pair, 0);
}

/* Descriptors between frames that are sent in pieces stay with their own. */
Test(channel, descriptors_keep_their_place_behind_a_full_socket)
{
    struct pair pair;
    open_pair(&pair, HIGH_WATER);
    Bulkhead__ListTask list = BULKHEAD__LIST_TASK__INIT;
    list.has_raw = true;
    list.raw.len = 300000;
    list.raw.data = calloc(1, list.raw.len);
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(channel_send(pair.supervisor, MESSAGE_AGENT_LIST_TASK, i, &list.base, -1), 0);
        cr_assert_eq(channel_send(pair.supervisor, MESSAGE_AGENT_SOCKET, i, NULL, dup(STDERR_FILENO)), 0);
    }
    struct channel_message message;
    for (uint32_t i = 0; i < 40; i++) {
        int r;
        while ((r = channel_next(pair.helper, &message)) == 0) {
            cr_assert_eq(channel_flush(pair.supervisor), 0);
            cr_assert_eq(channel_fill(pair.helper), 1);
        }
        cr_assert_eq(r, 1);
        cr_assert_eq(message.id, i / 2);
        cr_assert_eq(message.descriptor >= 0, i % 2 == 1);
        if (message.descriptor >= 0)
            close(message.descriptor);
    }
    free(list.raw.data);
    close_pair(&pair, 0);
}
