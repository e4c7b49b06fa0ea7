/*
 * devagent's own behaviour, seen by a hand-made client: bytes over a socket, pumped in this process. What is
 * checked here is what the tests of the real programs rely on: that a wrong call is refused as an agent
 * refuses it.
 */
#include "tests/devagent/devagent.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support.h"

typedef Mesos__V1__Executor__Call Call;
typedef Mesos__V1__Executor__Event Event;

enum { SOON = 10000 };

#define PROTOBUF "Content-Type: application/x-protobuf\r\n"
#define ACCEPT "Accept: application/x-protobuf\r\n"
#define OWN_PATH "/slave(1)/api/v1/executor"

/* ---- the client ---- */

struct client {
    int fd;
    bool closed;
    uint8_t bytes[256 * 1024]; /* as they came */
    size_t len;
    uint8_t body[256 * 1024]; /* the answer's, chunks taken apart */
    size_t body_len, read;    /* how much of the body was given to the test */
    bool body_ended;
    unsigned status;
};

static struct client *client_new(int fd)
{
    struct client *client = calloc(1, sizeof(*client));
    cr_assert_not_null(client);
    client->fd = fd;
    return client;
}

static struct client *client_open(struct devagent *agent)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(devagent_port(agent)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return client_new(fd);
}

static struct client *client_open_unix(struct devagent *agent)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", devagent_socket_path(agent));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return client_new(fd);
}

static void client_close(struct client *client)
{
    close(client->fd);
    free(client);
}

/* Takes the body apart as far as it has come. Returns false when the head is not complete. */
static bool client_parse(struct client *client)
{
    client->body_len = 0;
    const char *text = (const char *)client->bytes, *end = memmem(text, client->len, "\r\n\r\n", 4);
    if (!end)
        return false;
    client->status = (unsigned)strtoul(text + strlen("HTTP/1.1 "), NULL, 10);
    const uint8_t *at = (const uint8_t *)end + 4, *stop = client->bytes + client->len;
    const char *length = memmem(text, (size_t)(end - text), "Content-Length: ", 16);
    if (length) {
        client->body_len = (size_t)(stop - at);
        memcpy(client->body, at, client->body_len);
        client->body_ended = client->body_len >= strtoul(length + 16, NULL, 10);
        return true;
    }
    for (;;) {
        const uint8_t *line = memmem(at, (size_t)(stop - at), "\r\n", 2);
        size_t size = line ? strtoul((const char *)at, NULL, 16) : 0;
        if (!line || (size_t)(stop - line) < size + 4)
            return true;
        memcpy(client->body + client->body_len, line + 2, size);
        client->body_len += size;
        client->body_ended = size == 0;
        at = line + 2 + size + 2;
        if (size == 0)
            return true;
    }
}

static void client_read(struct client *client)
{
    while (!client->closed) {
        ssize_t n = recv(client->fd, client->bytes + client->len, sizeof(client->bytes) - 1 - client->len,
                         MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        client->closed = n <= 0;
        client->len += n > 0 ? (size_t)n : 0;
        client->bytes[client->len] = '\0';
    }
}

static bool has_head(struct devagent *agent, void *arg)
{
    (void)agent;
    struct client *client = arg;
    client_read(client);
    return client_parse(client) || client->closed;
}

static bool has_answer(struct devagent *agent, void *arg)
{
    struct client *client = arg;
    return has_head(agent, client) && (client->body_ended || client->closed);
}

static bool is_closed(struct devagent *agent, void *arg)
{
    (void)agent;
    client_read(arg);
    return ((struct client *)arg)->closed;
}

/* Pumping may wait for the agent's descriptors only, so the client's side is looked at every few
 * milliseconds. */
static int run(struct devagent *agent, devagent_predicate *predicate, void *arg)
{
    int64_t deadline = devagent_now_ns() + SOON * INT64_C(1000000);
    while (!predicate(agent, arg)) {
        if (devagent_now_ns() > deadline)
            return -ETIMEDOUT;
        devagent_pump(agent, 1);
    }
    return 0;
}

static void client_send(struct client *client, const char *method, const char *path, const char *headers,
                        const void *body, size_t len)
{
    char *head;
    int n = asprintf(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n", method,
                     path, headers, len);
    cr_assert(send(client->fd, head, (size_t)n, MSG_NOSIGNAL) == n);
    if (len > 0)
        cr_assert(send(client->fd, body, len, MSG_NOSIGNAL) == (ssize_t)len);
    free(head);
    client->len = client->body_len = client->read = 0;
    client->status = 0;
    client->body_ended = false;
}

static void send_call(struct client *client, const char *headers, const Call *call)
{
    uint8_t bytes[4096];
    size_t len = mesos__v1__executor__call__pack(call, bytes);
    client_send(client, "POST", OWN_PATH, headers, bytes, len);
}

/* One request on a connection of its own: its status, and its words in `words` when that is not NULL. */
static unsigned ask(struct devagent *agent, const char *method, const char *path, const char *headers,
                    const Call *call, char words[256])
{
    uint8_t bytes[4096];
    size_t len = call ? mesos__v1__executor__call__pack(call, bytes) : 0;
    struct client *client = client_open(agent);
    client_send(client, method, path, headers, bytes, len);
    cr_assert(run(agent, has_head, client) == 0);
    unsigned status = client->status;
    if (words) {
        run(agent, has_answer, client);
        snprintf(words, 256, "%.*s", (int)client->body_len, (const char *)client->body);
    }
    client_close(client);
    return status;
}

static struct devagent *agent_new(const struct devagent_options *options)
{
    struct devagent *agent;
    cr_assert(devagent_create(options, &agent) == 0);
    return agent;
}

/* ---- messages ---- */

struct sample {
    Call call;
    Mesos__V1__ExecutorID executor;
    Mesos__V1__FrameworkID framework;
    Mesos__V1__Executor__Call__Subscribe subscribe;
    Mesos__V1__Executor__Call__Update update, *updates[4];
    Mesos__V1__TaskStatus status;
    Mesos__V1__TaskID task;
    Mesos__V1__AgentID agent;
    uint8_t uuid[16];
};

static void sample_init(struct sample *sample, struct devagent *agent, int type)
{
    memset(sample, 0, sizeof(*sample));
    mesos__v1__executor__call__init(&sample->call);
    mesos__v1__executor_id__init(&sample->executor);
    mesos__v1__framework_id__init(&sample->framework);
    mesos__v1__executor__call__subscribe__init(&sample->subscribe);
    mesos__v1__executor__call__update__init(&sample->update);
    mesos__v1__task_status__init(&sample->status);
    mesos__v1__task_id__init(&sample->task);
    mesos__v1__agent_id__init(&sample->agent);
    sample->executor.value = (char *)(uintptr_t)devagent_executor_id(agent);
    sample->framework.value = (char *)(uintptr_t)devagent_framework_id(agent);
    sample->call.executor_id = &sample->executor;
    sample->call.framework_id = &sample->framework;
    sample->call.has_type = true;
    sample->call.type = (Mesos__V1__Executor__Call__Type)type;
    if (type == DEVAGENT_CALL_SUBSCRIBE)
        sample->call.subscribe = &sample->subscribe;
    if (type == DEVAGENT_CALL_UPDATE)
        sample->call.update = &sample->update;
    sample->update.status = &sample->status;
    sample->task.value = (char *)(uintptr_t) "t1";
    sample->status.task_id = &sample->task;
    sample->status.has_state = sample->status.has_source = sample->status.has_uuid = true;
    sample->status.state = MESOS__V1__TASK_STATE__TASK_RUNNING;
    sample->status.source = MESOS__V1__TASK_STATUS__SOURCE__SOURCE_EXECUTOR;
    memset(sample->uuid, 0x11, sizeof(sample->uuid));
    sample->uuid[6] = 0x41;
    sample->status.uuid = (ProtobufCBinaryData){.len = 16, .data = sample->uuid};
}

/* The next event of the stream; NULL when none has come completely. */
static Event *next_event(struct client *client)
{
    const uint8_t *at = client->body + client->read;
    size_t left = client->body_len - client->read;
    const uint8_t *newline = memchr(at, '\n', left);
    if (!newline)
        return NULL;
    size_t len = strtoul((const char *)at, NULL, 10), head = (size_t)(newline - at) + 1;
    if (left - head < len)
        return NULL;
    client->read += head + len;
    Event *event = mesos__v1__executor__event__unpack(NULL, len, newline + 1);
    cr_assert_not_null(event);
    return event;
}

struct expected_event {
    struct client *client;
    Event *event;
};

static bool has_event(struct devagent *agent, void *arg)
{
    struct expected_event *expected = arg;
    has_head(agent, expected->client);
    expected->event = next_event(expected->client);
    return expected->event != NULL;
}

/* Waits for the next event and says what it is. *ret_event may be NULL. */
static int event_type(struct devagent *agent, struct client *client, Event **ret_event)
{
    struct expected_event expected = {.client = client};
    cr_assert(run(agent, has_event, &expected) == 0, "no event came");
    int type = (int)expected.event->type;
    if (ret_event)
        *ret_event = expected.event;
    else
        mesos__v1__executor__event__free_unpacked(expected.event, NULL);
    return type;
}

static struct client *subscribe(struct devagent *agent)
{
    struct sample sample;
    sample_init(&sample, agent, DEVAGENT_CALL_SUBSCRIBE);
    struct client *client = client_open(agent);
    send_call(client, PROTOBUF ACCEPT, &sample.call);
    cr_assert(event_type(agent, client, NULL) == MESOS__V1__EXECUTOR__EVENT__TYPE__SUBSCRIBED);
    return client;
}

static unsigned update(struct devagent *agent, const char *task, Mesos__V1__TaskState state, uint8_t number)
{
    struct sample sample;
    sample_init(&sample, agent, DEVAGENT_CALL_UPDATE);
    sample.task.value = (char *)(uintptr_t)task;
    sample.status.state = state;
    sample.uuid[0] = number;
    return ask(agent, "POST", OWN_PATH, PROTOBUF, &sample.call, NULL);
}

/* ---- what is refused how ---- */

Test(devagent, refuses_what_is_no_call_of_an_executor)
{
    struct devagent *agent = agent_new(NULL);
    struct sample sample;
    sample_init(&sample, agent, DEVAGENT_CALL_SUBSCRIBE);
    const Call *call = &sample.call;
    cr_expect_eq(ask(agent, "POST", "/other", PROTOBUF ACCEPT, call, NULL), 404);
    cr_expect_eq(ask(agent, "GET", OWN_PATH, PROTOBUF ACCEPT, NULL, NULL), 405);
    cr_expect_eq(ask(agent, "POST", OWN_PATH, ACCEPT, call, NULL), 400);
    cr_expect_eq(ask(agent, "POST", OWN_PATH, "Content-Type: text/plain\r\n" ACCEPT, call, NULL), 415);
    cr_expect_eq(ask(agent, "POST", OWN_PATH, PROTOBUF, call, NULL), 406);
    cr_expect_eq(ask(agent, "POST", OWN_PATH, PROTOBUF "Accept: text/html\r\n", call, NULL), 406);
    cr_expect_eq(ask(agent, "POST", OWN_PATH, PROTOBUF "Accept: application/json\r\n", call, NULL), 406);
    cr_expect_eq(devagent_mistake_count(agent), 7);
    cr_expect_eq(devagent_subscribe_count(agent), 0);
    sample.framework.value = (char *)(uintptr_t) "other";
    cr_expect_eq(ask(agent, "POST", "/api/v1/executor", PROTOBUF ACCEPT, call, NULL), 400);
    sample_init(&sample, agent, DEVAGENT_CALL_UPDATE);
    cr_expect_eq(ask(agent, "POST", OWN_PATH, PROTOBUF, call, NULL), 403, "not subscribed");
    sample_init(&sample, agent, DEVAGENT_CALL_HEARTBEAT);
    cr_expect_eq(ask(agent, "POST", OWN_PATH, PROTOBUF, call, NULL), 202);
    devagent_destroy(agent);
}

struct refusal {
    const char *words;
    void (*spoil)(struct sample *sample);
};

static void no_type(struct sample *sample)
{
    sample->call.has_type = false;
}

static void no_executor_id(struct sample *sample)
{
    sample->call.executor_id = NULL;
}

static void no_framework_id(struct sample *sample)
{
    sample->framework.value = NULL;
}

static void no_update(struct sample *sample)
{
    sample->call.update = NULL;
}

static void no_task_id(struct sample *sample)
{
    sample->status.task_id = NULL;
}

static void no_state(struct sample *sample)
{
    sample->status.has_state = false;
}

static void no_uuid(struct sample *sample)
{
    sample->status.has_uuid = false;
}

static void short_uuid(struct sample *sample)
{
    sample->status.uuid.len = 15;
}

static void random_uuid(struct sample *sample)
{
    sample->uuid[6] = 0xf1;
}

static void other_executor(struct sample *sample)
{
    static Mesos__V1__ExecutorID id = MESOS__V1__EXECUTOR_ID__INIT;
    id.value = (char *)(uintptr_t) "other";
    sample->status.executor_id = &id;
}

static void no_source(struct sample *sample)
{
    sample->status.has_source = false;
}

static void staging(struct sample *sample)
{
    sample->status.state = MESOS__V1__TASK_STATE__TASK_STAGING;
}

static void empty_check(struct sample *sample)
{
    static Mesos__V1__CheckStatusInfo check = MESOS__V1__CHECK_STATUS_INFO__INIT;
    check.has_type = true;
    check.type = MESOS__V1__CHECK_INFO__TYPE__TCP;
    sample->status.check_status = &check;
}

Test(devagent, refuses_invalid_updates_with_400_and_words)
{
    static const struct refusal refusals[] = {
        {"'type'", no_type},
        {"'executor_id'", no_executor_id},
        {"'framework_id'", no_framework_id},
        {"'update'", no_update},
        {"status.task_id", no_task_id},
        {"status.state", no_state},
        {"'uuid'", no_uuid},
        {"not 16 bytes", short_uuid},
        {"unknown version", random_uuid},
        {"ExecutorID", other_executor},
        {"SOURCE_EXECUTOR", no_source},
        {"TASK_STAGING", staging},
        {"'tcp'", empty_check},
    };
    struct devagent *agent = agent_new(NULL);
    struct client *stream = subscribe(agent);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct sample sample;
        char words[256];
        sample_init(&sample, agent, DEVAGENT_CALL_UPDATE);
        refusals[i].spoil(&sample);
        cr_expect_eq(ask(agent, "POST", OWN_PATH, PROTOBUF, &sample.call, words), 400, "%s",
                     refusals[i].words);
        cr_expect_not_null(strstr(words, refusals[i].words), "%s is not in: %s", refusals[i].words, words);
        cr_expect_eq(devagent_mistake_count(agent), i + 1);
    }
    cr_expect_eq(devagent_update_count(agent), 0);
    client_close(stream);
    devagent_destroy(agent);
}

Test(devagent, asks_for_the_token_when_told_to)
{
    struct devagent_options options;
    devagent_options_init(&options);
    options.jwt = DEVAGENT_JWT_REQUIRED;
    struct devagent *agent = agent_new(&options);
    struct sample sample;
    char header[1024];
    sample_init(&sample, agent, DEVAGENT_CALL_HEARTBEAT);
    cr_expect_eq(ask(agent, "POST", OWN_PATH, PROTOBUF, &sample.call, NULL), 401);
    cr_expect_eq(ask(agent, "POST", OWN_PATH, PROTOBUF "Authorization: Bearer a.b.c\r\n", &sample.call, NULL),
                 401);
    snprintf(header, sizeof(header), PROTOBUF "Authorization: Bearer %s\r\n", devagent_token(agent));
    cr_expect_eq(ask(agent, "POST", OWN_PATH, header, &sample.call, NULL), 202);
    cr_expect_eq(devagent_mistake_count(agent), 2);
    devagent_destroy(agent);
}

static unsigned ask_unix(struct devagent *agent, const char *path, const Call *call)
{
    uint8_t bytes[4096];
    size_t len = mesos__v1__executor__call__pack(call, bytes);
    struct client *client = client_open_unix(agent);
    client_send(client, "POST", path, PROTOBUF, bytes, len);
    cr_assert(run(agent, has_head, client) == 0);
    unsigned status = client->status;
    client_close(client);
    return status;
}

Test(devagent, answers_one_path_only_over_the_domain_socket)
{
    struct devagent_options options;
    devagent_options_init(&options);
    options.domain_socket = true;
    struct devagent *agent = agent_new(&options);
    struct sample sample;
    sample_init(&sample, agent, DEVAGENT_CALL_HEARTBEAT);
    cr_expect_eq(ask_unix(agent, OWN_PATH, &sample.call), 202);
    cr_expect_eq(ask_unix(agent, "/api/v1/executor", &sample.call), 403);
    cr_expect(devagent_call_at(agent, 0)->by_domain_socket);
    cr_expect_eq(ask(agent, "POST", "/api/v1/executor", PROTOBUF, &sample.call, NULL), 202);
    cr_expect_eq(ask(agent, "POST", "/slave%281%29/api/v1/executor", PROTOBUF, &sample.call, NULL), 202);
    devagent_destroy(agent);
}

/* ---- the life of a task ---- */

static void expect_ack(struct devagent *agent, struct client *stream, uint8_t number)
{
    Event *event;
    cr_assert_eq(event_type(agent, stream, &event), MESOS__V1__EXECUTOR__EVENT__TYPE__ACKNOWLEDGED);
    cr_expect_eq(event->acknowledged->uuid.data[0], number);
    mesos__v1__executor__event__free_unpacked(event, NULL);
}

Test(devagent, launches_acknowledges_and_keeps_the_books)
{
    struct devagent *agent = agent_new(NULL);
    cr_assert(devagent_launch_command(agent, "t1", "sleep 1") == 0);
    struct client *stream = subscribe(agent);
    Event *event;
    cr_assert_eq(event_type(agent, stream, &event), MESOS__V1__EXECUTOR__EVENT__TYPE__LAUNCH);
    Mesos__V1__TaskInfo *task =
        mesos__v1__task_info__unpack(NULL, event->launch->task.len, event->launch->task.data);
    cr_assert_not_null(task);
    cr_expect_str_eq(task->task_id->value, "t1");
    cr_expect_str_eq(task->command->value, "sleep 1");
    cr_expect_str_eq(task->agent_id->value, devagent_agent_id(agent));
    cr_expect_eq(task->n_resources, 2);
    mesos__v1__task_info__free_unpacked(task, NULL);
    mesos__v1__executor__event__free_unpacked(event, NULL);

    cr_expect_eq(update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, 1), 202);
    expect_ack(agent, stream, 1);
    cr_expect_eq(update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, 1), 202);
    expect_ack(agent, stream, 1);
    cr_assert(devagent_kill(agent, "t1", 1500) == 0);
    cr_assert_eq(event_type(agent, stream, &event), MESOS__V1__EXECUTOR__EVENT__TYPE__KILL);
    cr_expect_eq(event->kill->kill_policy->grace_period->nanoseconds, 1500000000);
    mesos__v1__executor__event__free_unpacked(event, NULL);
    cr_expect_eq(update(agent, "t1", MESOS__V1__TASK_STATE__TASK_KILLED, 2), 202);
    expect_ack(agent, stream, 2);
    cr_expect_eq(devagent_mistake_count(agent), 0);
    cr_expect_eq(devagent_unacked_terminal(agent), 0);
    cr_expect_eq(update(agent, "t1", MESOS__V1__TASK_STATE__TASK_FAILED, 3), 202);
    expect_ack(agent, stream, 3);
    cr_expect_eq(devagent_mistake_count(agent), 1, "an update after the end");

    static const enum devagent_fate fates[] = {DEVAGENT_FATE_STORED, DEVAGENT_FATE_DUPLICATE,
                                               DEVAGENT_FATE_STORED, DEVAGENT_FATE_SWALLOWED};
    cr_assert_eq(devagent_update_count(agent), 4);
    for (size_t i = 0; i < 4; i++)
        cr_expect_eq(devagent_update_at(agent, i)->fate, fates[i]);
    cr_expect_str_eq(devagent_states(agent, "t1"), "RUNNING KILLED");
    client_close(stream);
    devagent_destroy(agent);
}

Test(devagent, drops_updates_of_another_agent_without_an_acknowledgement)
{
    struct devagent *agent = agent_new(NULL);
    struct client *stream = subscribe(agent);
    struct sample sample;
    sample_init(&sample, agent, DEVAGENT_CALL_UPDATE);
    sample.agent.value = (char *)(uintptr_t) "another";
    sample.status.agent_id = &sample.agent;
    cr_expect_eq(ask(agent, "POST", OWN_PATH, PROTOBUF, &sample.call, NULL), 202);
    cr_expect_eq(devagent_update_at(agent, 0)->fate, DEVAGENT_FATE_DROPPED);
    cr_expect_eq(devagent_mistake_count(agent), 1);
    devagent_send_heartbeat(agent);
    cr_expect_eq(event_type(agent, stream, NULL), MESOS__V1__EXECUTOR__EVENT__TYPE__HEARTBEAT,
                 "nothing came before");
    client_close(stream);
    devagent_destroy(agent);
}

Test(devagent, withholds_and_releases_acknowledgements)
{
    struct devagent *agent = agent_new(NULL);
    struct client *stream = subscribe(agent);
    devagent_set_ack(agent, DEVAGENT_ACK_WITHHOLD, 0);
    for (uint8_t i = 1; i <= 3; i++)
        update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, i);
    update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, 2);
    cr_expect_eq(devagent_withheld_acks(agent), 3);
    cr_expect_eq(devagent_release_acks(agent, true), 3);
    expect_ack(agent, stream, 2); /* sent again last, so it is the newest */
    expect_ack(agent, stream, 3);
    expect_ack(agent, stream, 1);
    devagent_set_ack(agent, DEVAGENT_ACK_TWICE, 0);
    update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, 4);
    expect_ack(agent, stream, 4);
    expect_ack(agent, stream, 4);
    devagent_set_ack(agent, DEVAGENT_ACK_DELAY, 30);
    update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, 5);
    expect_ack(agent, stream, 5);
    const struct devagent_update *last = devagent_last_update(agent, "t1");
    cr_expect_geq(last->acked_ns - last->received_ns, 30000000);
    client_close(stream);
    devagent_destroy(agent);
}

/* ---- subscribing ---- */

static void repeat_updates(struct sample *sample, struct devagent *agent, struct sample *first,
                           struct sample *second)
{
    sample_init(sample, agent, DEVAGENT_CALL_SUBSCRIBE);
    sample_init(first, agent, DEVAGENT_CALL_UPDATE);
    sample_init(second, agent, DEVAGENT_CALL_UPDATE);
    first->uuid[0] = 1;
    second->uuid[0] = 2;
    second->status.state = MESOS__V1__TASK_STATE__TASK_FINISHED;
    sample->updates[0] = &first->update;
    sample->updates[1] = &second->update;
    sample->subscribe.unacknowledged_updates = sample->updates;
    sample->subscribe.n_unacknowledged_updates = 2;
}

static void expect_order(bool before)
{
    struct devagent_options options;
    devagent_options_init(&options);
    options.ack_before_subscribed = before;
    struct devagent *agent = agent_new(&options);
    struct sample sample, first, second;
    repeat_updates(&sample, agent, &first, &second);
    struct client *stream = client_open(agent);
    send_call(stream, PROTOBUF ACCEPT, &sample.call);
    if (!before)
        cr_expect_eq(event_type(agent, stream, NULL), MESOS__V1__EXECUTOR__EVENT__TYPE__SUBSCRIBED);
    expect_ack(agent, stream, 1);
    expect_ack(agent, stream, 2);
    if (before)
        cr_expect_eq(event_type(agent, stream, NULL), MESOS__V1__EXECUTOR__EVENT__TYPE__SUBSCRIBED);
    const struct devagent_subscribe *record = devagent_subscribe_at(agent, 0);
    cr_assert_eq(record->update_count, 2);
    cr_expect_eq(record->updates[1]->state, MESOS__V1__TASK_STATE__TASK_FINISHED);
    cr_expect(record->updates[1]->by_subscribe);
    client_close(stream);
    devagent_destroy(agent);
}

Test(devagent, works_off_repeated_updates_before_subscribed)
{
    expect_order(false);
    expect_order(true);
}

Test(devagent, a_new_subscribe_closes_the_earlier_stream)
{
    struct devagent *agent = agent_new(NULL);
    struct client *first = subscribe(agent), *second = subscribe(agent);
    cr_expect_eq(run(agent, has_answer, first), 0, "the first stream has not ended");
    devagent_send_heartbeat(agent);
    cr_expect_eq(event_type(agent, second, NULL), MESOS__V1__EXECUTOR__EVENT__TYPE__HEARTBEAT);
    cr_expect_eq(devagent_subscribe_count(agent), 2);
    client_close(first);
    devagent_run_for(agent, 5);
    cr_expect(devagent_is_subscribed(agent), "the end of the first stream is not the end of the second");
    client_close(second);
    devagent_destroy(agent);
}

static bool is_not_subscribed(struct devagent *agent, void *arg)
{
    (void)arg;
    return !devagent_is_subscribed(agent);
}

Test(devagent, notices_that_the_executor_closed_the_stream)
{
    struct devagent *agent = agent_new(NULL);
    client_close(subscribe(agent));
    cr_expect_eq(run(agent, is_not_subscribed, NULL), 0);
    cr_expect_eq(devagent_send_heartbeat(agent), -ENOTCONN);
    devagent_destroy(agent);
}

Test(devagent, gives_up_tasks_that_subscribe_does_not_name_and_compares_those_that_it_names)
{
    struct devagent *agent = agent_new(NULL);
    devagent_launch_command(agent, "t1", "true");
    devagent_launch_command(agent, "t2", "true");
    struct client *first = subscribe(agent);
    Event *event;
    cr_assert_eq(event_type(agent, first, &event), MESOS__V1__EXECUTOR__EVENT__TYPE__LAUNCH);
    struct sample sample;
    sample_init(&sample, agent, DEVAGENT_CALL_SUBSCRIBE);
    sample.subscribe.unacknowledged_tasks = &event->launch->task;
    sample.subscribe.n_unacknowledged_tasks = 1;
    struct client *second = client_open(agent);
    send_call(second, PROTOBUF ACCEPT, &sample.call);
    cr_assert_eq(event_type(agent, second, NULL), MESOS__V1__EXECUTOR__EVENT__TYPE__SUBSCRIBED);
    const struct devagent_subscribe *record = devagent_subscribe_at(agent, 1);
    cr_assert_eq(record->task_count, 1);
    cr_expect_str_eq(record->task_ids[0], "t1");
    cr_expect(record->tasks_same[0]);
    cr_expect(devagent_task_lost(agent, "t2"));
    cr_expect_not(devagent_task_lost(agent, "t1"));
    mesos__v1__executor__event__free_unpacked(event, NULL);
    client_close(first);
    client_close(second);
    devagent_destroy(agent);
}

Test(devagent, shuts_down_at_once_when_every_task_was_killed_before_delivery)
{
    struct devagent *agent = agent_new(NULL);
    devagent_launch_command(agent, "t1", "true");
    cr_assert(devagent_kill(agent, "t1", -1) == 0);
    struct sample sample;
    sample_init(&sample, agent, DEVAGENT_CALL_SUBSCRIBE);
    struct client *stream = client_open(agent);
    send_call(stream, PROTOBUF ACCEPT, &sample.call);
    cr_expect_eq(event_type(agent, stream, NULL), MESOS__V1__EXECUTOR__EVENT__TYPE__SHUTDOWN);
    cr_expect_eq(run(agent, has_answer, stream), 0, "the stream has not ended");
    client_close(stream);
    devagent_destroy(agent);
}

Test(devagent, splits_the_stream_into_single_bytes)
{
    struct devagent *agent = agent_new(NULL);
    devagent_set_split(agent, 1);
    devagent_set_unknown_fields(agent, true);
    struct client *stream = subscribe(agent);
    devagent_send_message(agent, "hello", 5);
    devagent_send_unknown(agent);
    Event *event;
    cr_assert_eq(event_type(agent, stream, &event), MESOS__V1__EXECUTOR__EVENT__TYPE__MESSAGE);
    cr_expect_eq(event->message->data.len, 5);
    cr_expect_eq(event->base.n_unknown_fields, 3);
    mesos__v1__executor__event__free_unpacked(event, NULL);
    cr_expect_eq(event_type(agent, stream, NULL), 4711);
    size_t chunks = 0;
    for (const char *at = (const char *)stream->bytes;
         (at = memmem(at, stream->len - (size_t)(at - (const char *)stream->bytes), "\r\n1\r\n", 5)); at++)
        chunks++;
    cr_expect_geq(chunks, stream->body_len - 1, "%zu chunks for %zu bytes", chunks, stream->body_len);
    client_close(stream);
    devagent_destroy(agent);
}

Test(devagent, sends_raw_bytes_and_drops_the_stream_in_three_ways)
{
    struct devagent *agent = agent_new(NULL);
    for (int how = DEVAGENT_DROP_END; how <= DEVAGENT_DROP_RESET; how++) {
        struct client *stream = subscribe(agent);
        cr_assert(devagent_send_bytes(agent, "12x\ngarbage", 11) == 0);
        devagent_run_for(agent, 5);
        cr_assert(devagent_drop_stream(agent, (enum devagent_drop)how) == 0);
        cr_expect_not(devagent_is_subscribed(agent));
        cr_assert_eq(run(agent, how == DEVAGENT_DROP_END ? has_answer : is_closed, stream), 0, "way %d", how);
        client_parse(stream);
        cr_expect_eq(stream->body_ended, how == DEVAGENT_DROP_END, "way %d", how);
        cr_expect(how == DEVAGENT_DROP_RESET || memmem(stream->body, stream->body_len, "12x\ngarbage", 11));
        client_close(stream);
    }
    cr_expect_eq(devagent_mistake_count(agent), 0);
    devagent_destroy(agent);
}

/* ---- faults, restarts ---- */

Test(devagent, answers_as_the_faults_say_and_counts_no_mistake)
{
    struct devagent *agent = agent_new(NULL);
    struct client *stream = subscribe(agent);
    devagent_add_fault(agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_STATUS,
                                                       .calls = DEVAGENT_CALL_UPDATE,
                                                       .status = 503,
                                                       .skip = 1,
                                                       .count = 2});
    static const unsigned expected[] = {202, 503, 503, 202};
    for (uint8_t i = 0; i < 4; i++)
        cr_expect_eq(update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, i), expected[i]);
    cr_expect_eq(devagent_update_count(agent), 2);
    cr_expect_eq(devagent_faults_left(agent), 0);
    devagent_add_fault(
        agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_CLOSE_HANDLED, .calls = DEVAGENT_CALL_UPDATE});
    cr_expect_eq(update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, 9), 0, "closed without an answer");
    cr_expect_eq(devagent_update_count(agent), 3);
    devagent_add_fault(agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_CLOSE_BEFORE_BODY});
    devagent_add_fault(agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_CLOSE_AFTER_BODY});
    cr_expect_eq(update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, 10), 0);
    cr_expect_eq(update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, 10), 0);
    cr_expect_eq(devagent_update_count(agent), 3);
    devagent_add_fault(agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_SLOW, .delay_ms = 40});
    int64_t before = devagent_now_ns();
    cr_expect_eq(update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, 10), 202);
    cr_expect_geq(devagent_now_ns() - before, 40000000);
    cr_expect_eq(devagent_mistake_count(agent), 0);
    client_close(stream);
    devagent_destroy(agent);
}

static struct client *subscribe_raw(struct devagent *agent, enum devagent_fault_kind kind)
{
    struct sample sample;
    sample_init(&sample, agent, DEVAGENT_CALL_SUBSCRIBE);
    cr_assert(devagent_add_fault(agent, &(struct devagent_fault){.kind = kind}) == 0);
    struct client *client = client_open(agent);
    send_call(client, PROTOBUF ACCEPT, &sample.call);
    if (kind != DEVAGENT_FAULT_NO_ANSWER)
        cr_assert_eq(run(agent, has_head, client), 0);
    return client;
}

Test(devagent, spoils_subscribe_in_every_way)
{
    struct devagent *agent = agent_new(NULL);
    struct client *client = subscribe_raw(agent, DEVAGENT_FAULT_WRONG_TYPE);
    cr_expect_eq(client->status, 200);
    cr_expect_not_null(strstr((const char *)client->bytes, "text/html"));
    client_close(client);
    client = subscribe_raw(agent, DEVAGENT_FAULT_SILENT);
    devagent_run_for(agent, 20);
    client_read(client);
    client_parse(client);
    cr_expect(client->status == 200 && client->body_len == 0 && !client->body_ended);
    client_close(client);
    client = subscribe_raw(agent, DEVAGENT_FAULT_END_AFTER_HEAD);
    cr_expect_eq(run(agent, has_answer, client), 0);
    cr_expect_eq(client->body_len, 0);
    client_close(client);
    client = subscribe_raw(agent, DEVAGENT_FAULT_NO_ANSWER);
    devagent_run_for(agent, 20);
    client_read(client);
    cr_expect_eq(client->len, 0);
    cr_expect_not(devagent_is_subscribed(agent));
    client_close(client);
    client = subscribe_raw(agent, DEVAGENT_FAULT_SHUTDOWN);
    cr_expect_eq(event_type(agent, client, NULL), MESOS__V1__EXECUTOR__EVENT__TYPE__SHUTDOWN);
    cr_expect_eq(run(agent, has_answer, client), 0);
    client_close(client);
    cr_expect_eq(devagent_mistake_count(agent), 0);
    devagent_destroy(agent);
}

static bool is_ready(struct devagent *agent, void *arg)
{
    struct sample *sample = arg;
    return ask(agent, "POST", OWN_PATH, PROTOBUF, &sample->call, NULL) == 202;
}

static bool listens(struct devagent *agent, void *arg)
{
    (void)arg;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(devagent_port(agent)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return connected;
}

Test(devagent, restarts_on_its_port_and_recovers_in_steps)
{
    struct devagent_options options;
    devagent_options_init(&options);
    options.checkpoint = true;
    options.reregistration_timeout_ms = 300;
    struct devagent *agent = agent_new(&options);
    uint16_t port = devagent_port(agent);
    struct client *stream = subscribe(agent);
    devagent_restart(agent, 50, 100);
    cr_expect_not(listens(agent, NULL));
    cr_expect_eq(run(agent, is_closed, stream), 0);
    cr_assert_eq(run(agent, listens, NULL), 0);
    cr_expect_eq(devagent_port(agent), port);
    struct sample heartbeat;
    sample_init(&heartbeat, agent, DEVAGENT_CALL_HEARTBEAT);
    cr_expect_eq(ask(agent, "POST", OWN_PATH, PROTOBUF, &heartbeat.call, NULL), 503);
    cr_assert_eq(run(agent, is_ready, &heartbeat), 0);
    cr_expect_eq(update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, 1), 503);
    client_close(stream);
    stream = subscribe(agent);
    cr_expect_eq(update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, 1), 503,
                 "others wait for recovery's end");
    devagent_run_for(agent, 300);
    cr_expect_eq(update(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, 1), 202);
    cr_expect_eq(devagent_mistake_count(agent), 0);
    client_close(stream);
    devagent_destroy(agent);
}

Test(devagent, forgets_the_executor_at_a_restart_without_checkpoint)
{
    struct devagent *agent = agent_new(NULL);
    client_close(subscribe(agent));
    devagent_restart(agent, 0, 0);
    cr_assert_eq(run(agent, listens, NULL), 0);
    struct sample sample;
    char words[256];
    sample_init(&sample, agent, DEVAGENT_CALL_SUBSCRIBE);
    cr_expect_eq(ask(agent, "POST", OWN_PATH, PROTOBUF ACCEPT, &sample.call, words), 400);
    cr_expect_str_eq(words, "Framework cannot be found");
    cr_expect_eq(devagent_mistake_count(agent), 0);
    devagent_destroy(agent);
}

/* ---- the executor ---- */

static const char *entry(struct devagent *agent, const char *name)
{
    size_t len = strlen(name);
    for (const char *const *at = devagent_environment(agent); *at; at++) {
        if (strncmp(*at, name, len) == 0 && (*at)[len] == '=')
            return *at + len + 1;
    }
    return NULL;
}

Test(devagent, gives_the_environment_of_an_agent)
{
    struct devagent_options options;
    devagent_options_init(&options);
    options.executor_command = "env; pwd; readlink /proc/self/fd/0; ps -o sid= -p $$; echo $$";
    options.environment = (const char *const[]){"SITE=1", "MESOS_CHECKPOINT=7", NULL};
    options.command_environment = (const char *const[]){"APP=2", "MESOS_EXECUTOR_ID=mine", NULL};
    options.jwt = DEVAGENT_JWT_GIVEN;
    options.shutdown_grace_ms = 90000;
    struct devagent *agent = agent_new(&options);
    cr_expect_null(entry(agent, "MESOS_RECOVERY_TIMEOUT"));
    cr_expect_str_eq(entry(agent, "MESOS_CHECKPOINT"), "0");
    cr_expect_str_eq(entry(agent, "MESOS_EXECUTOR_ID"), "mine");
    cr_expect_str_eq(entry(agent, "SITE"), "1");
    cr_expect_str_eq(entry(agent, "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"), "90secs");
    cr_expect_not_null(entry(agent, "MESOS_EXECUTOR_AUTHENTICATION_TOKEN"));
    cr_assert(devagent_start_executor(agent) == 0);
    cr_assert(devagent_wait_exit(agent, SOON) == 0);
    char *out = devagent_read_file(agent, "stdout");
    cr_expect_not_null(strstr(out, "\nAPP=2\n"));
    cr_expect_null(strstr(out, "\nHOME="));
    cr_expect_null(strstr(out, "\nUSER="));
    cr_expect_not_null(strstr(out, "\n/dev/null\n"));
    cr_expect_not_null(strstr(out, devagent_sandbox(agent)));
    cr_expect_eq(devagent_exit_code(agent), 0);
    free(out);
    devagent_destroy(agent);
}

Test(devagent, gives_the_recovery_variables_with_checkpoint)
{
    struct devagent_options options;
    devagent_options_init(&options);
    options.checkpoint = true;
    options.reregistration_timeout_ms = 1500;
    struct devagent *agent = agent_new(&options);
    cr_expect_str_eq(entry(agent, "MESOS_CHECKPOINT"), "1");
    cr_expect_str_eq(entry(agent, "MESOS_RECOVERY_TIMEOUT"), "15mins");
    cr_expect_str_eq(entry(agent, "MESOS_SUBSCRIPTION_BACKOFF_MAX"), "1500ms");
    devagent_destroy(agent);
}

static bool is_pid(const char *text, pid_t *ret_pid)
{
    *ret_pid = (pid_t)atoi(text);
    return *ret_pid > 1;
}

Test(devagent, finds_and_kills_what_the_executor_left_behind)
{
    struct devagent_options options;
    devagent_options_init(&options);
    options.executor_argv = (const char *const[]){"sh", "-c",
                                                  "(setsid sh -c 'trap \"\" TERM; sleep 1000 & echo $$ > "
                                                  "\"pid\"; wait' &) ; until [ -s pid ]; do :; done; exit 3",
                                                  NULL};
    struct devagent *agent = agent_new(&options);
    cr_assert(devagent_start_executor(agent) == 0);
    cr_assert(devagent_wait_exit(agent, SOON) == 0);
    cr_expect_eq(devagent_exit_code(agent), 3);
    cr_expect_eq(devagent_left_behind(agent), 2);
    cr_expect_gt(devagent_exited_ns(agent), devagent_started_ns(agent));
    char *text = devagent_read_file(agent, "pid"), *sandbox = strdup(devagent_sandbox(agent));
    pid_t daemonised;
    cr_assert(is_pid(text, &daemonised));
    cr_expect_eq(send_signal(daemonised, 0), 0);
    free(text);
    devagent_destroy(agent);
    cr_expect_eq(send_signal(daemonised, 0), -1);
    struct stat status;
    cr_expect_eq(stat(sandbox, &status), -1);
    free(sandbox);
}

static bool is_gone(void *path)
{
    struct stat status;
    return stat(path, &status) < 0;
}

/* As a test that fails does: it ends without devagent_destroy(), and no executor was ever started. */
Test(devagent, leaves_no_sandbox_when_its_program_ends_suddenly)
{
    int ends[2];
    char sandbox[PATH_MAX] = "";
    cr_assert(pipe(ends) == 0);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        const char *path = devagent_sandbox(agent_new(NULL));
        _exit(write(ends[1], path, strlen(path)) < 0);
    }
    cr_assert(waitpid(pid, NULL, 0) == pid);
    cr_assert_gt(read(ends[0], sandbox, sizeof(sandbox) - 1), 0);
    cr_assert(support_wait_for(is_gone, sandbox), "%s is left", sandbox);
}

Test(devagent, destroys_the_container_of_an_executor_that_does_not_leave)
{
    struct devagent_options options;
    devagent_options_init(&options);
    options.executor_command = "trap '' TERM; sleep 1000 & wait";
    options.shutdown_grace_ms = 50;
    struct devagent *agent = agent_new(&options);
    cr_assert(devagent_start_executor(agent) == 0);
    cr_expect_null(devagent_destroyed(agent));
    devagent_shutdown(agent);
    cr_assert(devagent_wait_exit(agent, SOON) == 0);
    cr_expect_not_null(devagent_destroyed(agent));
    cr_expect_eq(devagent_exit_code(agent), 128 + SIGKILL);
    devagent_destroy(agent);
}
