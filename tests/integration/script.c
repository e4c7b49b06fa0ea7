/* The scripted supervisor. See script.h. */
#include "tests/integration/script.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/config.h"
#include "common/helper.h"
#include "common/loop.h"
#include "tests/send_signal.h"

enum { DEADLINE_MS = 15000, GENERATION = 7 };

/* ---- agent-client ---- */

static void exec_agent_client(int socket, int log)
{
    char argument[HELPER_ARGUMENT_LENGTH + 1];
    helper_argument_format(GENERATION, argument);
    char *argv[] = {(char *)(uintptr_t) "agent-client", argument, NULL};
    dup2(log, STDERR_FILENO);
    int high = fcntl(socket, F_DUPFD, 10);
    dup2(high, HELPER_SOCKET);
    closefrom(HELPER_SOCKET + 1);
    execve(TEST_BIN_DIR "/agent-client", argv, environ);
    _exit(127);
}

static void start_agent_client(struct script *script)
{
    int sockets[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    strcpy(script->log_path, "/tmp/bulkhead-test-XXXXXX");
    int log = mkstemp(script->log_path);
    cr_assert_geq(log, 0);
    script->pid = fork();
    if (script->pid == 0)
        exec_agent_client(sockets[1], log);
    cr_assert_gt(script->pid, 0);
    close(sockets[1]);
    close(log);
    const struct channel_options options = {.self = ROLE_SUPERVISOR,
                                            .peer = ROLE_AGENT_CLIENT,
                                            .generation = GENERATION,
                                            .high_water = 512 << 20};
    cr_assert_eq(channel_new(sockets[0], &options, &script->channel), 0);
}

/* ---- what the supervisor does by itself ---- */

void script_send(struct script *script, enum message_type type, uint32_t id, const ProtobufCMessage *body)
{
    int r = channel_send(script->channel, type, id, body, -1);
    cr_assert(r == 0 || r == -EPIPE, "cannot send %s: %s", message_name((uint16_t)type), strerror(-r));
}

/* The environment of the agent and of the test, as the supervisor would read it. */
static void load_config(const struct script *script, const char *const *extra, struct config **ret_config)
{
    const char *environment[256];
    size_t count = 0;
    for (size_t i = 0; extra != NULL && extra[i] != NULL; i++)
        environment[count++] = extra[i];
    const char *const *agent = devagent_environment(script->agent);
    for (size_t i = 0; agent[i] != NULL && count < 255; i++)
        environment[count++] = agent[i];
    environment[count] = NULL;
    struct config_problems problems = {0};
    int r = config_load((char *const *)(uintptr_t)environment, ret_config, &problems);
    cr_assert_eq(r, 0, "%s", problems.count > 0 ? problems.items[0].text : "no memory");
    config_problems_clear(&problems);
}

static void configure(struct script *script, const char *const *extra)
{
    struct config *config;
    load_config(script, extra, &config);
    Bulkhead__Setting settings[64];
    Bulkhead__Setting *pointers[64];
    Bulkhead__Configure body = BULKHEAD__CONFIGURE__INIT;
    body.settings = pointers;
    size_t cursor = 0;
    const char *name, *text;
    while (config_next_for(config, CONFIG_FOR_AGENT_CLIENT, &cursor, &name, &text)) {
        cr_assert_lt(body.n_settings, 64);
        Bulkhead__Setting *setting = &settings[body.n_settings];
        bulkhead__setting__init(setting);
        setting->name = (char *)(uintptr_t)name;
        setting->value = (char *)(uintptr_t)text;
        pointers[body.n_settings++] = setting;
    }
    script_send(script, MESSAGE_CONFIGURE, 0, &body.base);
    channel_set_phase(script->channel, PHASE_RUNNING);
    config_free(config);
}

static int connect_domain_socket(const struct script *script)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = devagent_socket_path(script->agent);
    cr_assert_lt(strlen(path), sizeof(address.sun_path));
    strcpy(address.sun_path, path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert_eq(connect(descriptor, (struct sockaddr *)&address, sizeof(address)), 0);
    return descriptor;
}

static void answer_attempt(struct script *script)
{
    script->attempts++;
    if (script->hold)
        return;
    for (size_t i = 0; i < script->socket_count; i++)
        cr_assert_eq(
            channel_send(script->channel, MESSAGE_AGENT_SOCKET, 0, NULL, connect_domain_socket(script)), 0);
    for (size_t i = 0; i < script->task_count; i++) {
        Bulkhead__ListTask task = BULKHEAD__LIST_TASK__INIT;
        task.has_raw = 1;
        task.raw = script->tasks[i];
        script_send(script, MESSAGE_AGENT_LIST_TASK, 0, &task.base);
    }
    for (size_t i = 0; i < script->update_count; i++)
        script_send(script, MESSAGE_AGENT_LIST_UPDATE, 0, &script->updates[i].base);
    Bulkhead__Subscribe subscribe = BULKHEAD__SUBSCRIBE__INIT;
    subscribe.has_tasks = 1;
    subscribe.tasks = (uint32_t)script->task_count;
    subscribe.has_updates = 1;
    subscribe.updates = (uint32_t)script->update_count;
    script_send(script, MESSAGE_AGENT_SUBSCRIBE, 0, &subscribe.base);
}

/* ---- what arrives ---- */

static void keep_message(struct script *script, const struct channel_message *message)
{
    script->messages = reallocarray(script->messages, script->message_count + 1, sizeof(*script->messages));
    struct script_message *kept = &script->messages[script->message_count++];
    *kept = (struct script_message){.type = message->type, .id = message->id, .time = loop_now()};
    cr_assert_eq(message_decode(message->type, message->body, message->length, &kept->body), 0);
}

static void receive(struct script *script)
{
    int r = channel_fill(script->channel);
    if (r == 0 || r == -ECONNRESET) {
        script->closed = true;
        devagent_watch(script->agent, -1, NULL, NULL);
        return;
    }
    struct channel_message message;
    while ((r = channel_next(script->channel, &message)) > 0) {
        keep_message(script, &message);
        if (message.type == MESSAGE_AGENT_ATTEMPT)
            answer_attempt(script);
    }
    cr_assert_eq(r, 0, "agent-client broke a rule of the channel");
}

static void on_channel(struct devagent *agent, void *arg)
{
    (void)agent;
    receive(arg);
}

void script_pump(struct script *script, int64_t timeout_ms)
{
    /* The agent waits for what is to be read; what is to be written is tried again in a moment. */
    bool writing = !script->closed && (channel_events(script->channel) & POLLOUT) != 0;
    if (writing)
        channel_flush(script->channel);
    devagent_pump(script->agent, writing ? 0 : timeout_ms);
}

/* ---- waiting ---- */

static const struct script_message *find(struct script *script, enum message_type type)
{
    for (size_t i = script->cursor; i < script->message_count; i++)
        if (script->messages[i].type == type) {
            script->cursor = i + 1;
            return &script->messages[i];
        }
    return NULL;
}

bool script_has(const struct script *script, enum message_type type)
{
    for (size_t i = script->cursor; i < script->message_count; i++)
        if (script->messages[i].type == type)
            return true;
    return false;
}

static void fail(struct script *script, const char *what)
{
    char *log = script_log(script);
    fprintf(stderr, "---- agent-client's log:\n%s---- the agent:\n", log);
    free(log);
    devagent_dump(script->agent, stderr);
    cr_assert_fail("%s", what);
}

const struct script_message *script_expect(struct script *script, enum message_type type)
{
    int64_t deadline = loop_now() + (int64_t)DEADLINE_MS * LOOP_MS;
    const struct script_message *message;
    while ((message = find(script, type)) == NULL) {
        if (script->closed || loop_now() >= deadline) {
            char text[128];
            snprintf(text, sizeof(text), "%s has not come", message_name((uint16_t)type));
            fail(script, text);
        }
        script_pump(script, 20);
    }
    return message;
}

const char *script_expect_disconnect(struct script *script, Bulkhead__Disconnected__Cause cause)
{
    const struct script_message *message = script_expect(script, MESSAGE_AGENT_DISCONNECTED);
    const Bulkhead__Disconnected *body = (const Bulkhead__Disconnected *)message->body;
    if (body->cause != cause)
        fprintf(stderr, "cause %d instead of %d: %s\n", (int)body->cause, (int)cause, body->text);
    if (body->cause != cause)
        fail(script, "a wrong cause");
    return body->text;
}

char *script_log(const struct script *script)
{
    FILE *file = fopen(script->log_path, "r");
    cr_assert_not_null(file);
    char *text = calloc(1, 1 << 20);
    size_t size = fread(text, 1, (1 << 20) - 1, file);
    text[size] = '\0';
    fclose(file);
    return text;
}

void script_expect_log(struct script *script, const char *text)
{
    int64_t deadline = loop_now() + (int64_t)DEADLINE_MS * LOOP_MS;
    for (;;) {
        char *log = script_log(script);
        bool found = strstr(log, text) != NULL;
        free(log);
        if (found)
            return;
        if (loop_now() >= deadline)
            fail(script, text);
        script_pump(script, 20);
    }
}

/* ---- life ---- */

struct script *script_start(const struct devagent_options *options, const char *const *extra)
{
    struct script *script = calloc(1, sizeof(*script));
    cr_assert_not_null(script);
    cr_assert_eq(devagent_create(options, &script->agent), 0);
    script->socket_count = devagent_socket_path(script->agent) != NULL ? 2 : 0;
    start_agent_client(script);
    devagent_watch(script->agent, channel_socket(script->channel), on_channel, script);
    const struct script_message *hello = script_expect(script, MESSAGE_HELLO);
    cr_assert_eq(((const Bulkhead__Hello *)hello->body)->protocol, MESSAGE_PROTOCOL);
    configure(script, extra);
    return script;
}

static int wait_for_exit(struct script *script)
{
    int64_t deadline = loop_now() + (int64_t)DEADLINE_MS * LOOP_MS;
    int status = 0;
    while (waitpid(script->pid, &status, WNOHANG) == 0) {
        if (loop_now() >= deadline) {
            send_signal(script->pid, SIGKILL);
            waitpid(script->pid, &status, 0);
            fail(script, "agent-client does not end");
        }
        devagent_pump(script->agent, 5);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void free_script(struct script *script)
{
    channel_free(script->channel);
    devagent_destroy(script->agent);
    for (size_t i = 0; i < script->message_count; i++)
        protobuf_c_message_free_unpacked(script->messages[i].body, NULL);
    free(script->messages);
    for (size_t i = 0; i < script->owned_count; i++)
        free(script->owned[i]);
    free(script->owned);
    unlink(script->log_path);
    free(script);
}

void script_end(struct script *script)
{
    if (devagent_mistake_count(script->agent) > 0)
        fail(script, "the agent has found mistakes");
    devagent_watch(script->agent, -1, NULL, NULL);
    channel_free(script->channel);
    script->channel = NULL;
    int code = wait_for_exit(script);
    if (code != 0)
        fail(script, "agent-client ended badly");
    free_script(script);
}

int script_end_failed(struct script *script)
{
    int code = wait_for_exit(script);
    devagent_watch(script->agent, -1, NULL, NULL);
    free_script(script);
    return code;
}

void script_send_bytes(struct script *script, const void *bytes, size_t size)
{
    cr_assert_eq(write(channel_socket(script->channel), bytes, size), (ssize_t)size);
}

static void *own(struct script *script, void *memory)
{
    script->owned = reallocarray(script->owned, script->owned_count + 1, sizeof(void *));
    script->owned[script->owned_count++] = memory;
    return memory;
}

Bulkhead__Update script_update(struct script *script, const char *task_id, int state, unsigned number)
{
    uint8_t *uuid = own(script, calloc(1, 16));
    memcpy(uuid, &number, sizeof(number));
    uuid[6] = 0x40; /* RFC 4122: version 4, variant 1. The agent refuses others. */
    uuid[8] = 0x80;
    Bulkhead__Update update = BULKHEAD__UPDATE__INIT;
    update.has_uuid = 1;
    update.uuid = (ProtobufCBinaryData){.len = 16, .data = uuid};
    update.task_id = own(script, strdup(task_id));
    update.has_state = 1;
    update.state = state;
    update.has_timestamp = 1;
    update.timestamp = 1700000000.5 + number;
    return update;
}

void script_send_update(struct script *script, const Bulkhead__Update *update)
{
    script_send(script, MESSAGE_AGENT_UPDATE, 0, &update->base);
}
