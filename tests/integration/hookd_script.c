/* The scripted supervisor for hookd. See hookd_script.h. */
#include "tests/integration/hookd_script.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/config.h"
#include "common/helper.h"
#include "common/loop.h"
#include "supervisor/tree.h"
#include "tests/send_signal.h"

enum { DEADLINE_MS = 20000, GENERATION = 7 };

/* ---- hookd ---- */

static void exec_hookd(int socket, int log)
{
    char argument[HELPER_ARGUMENT_LENGTH + 1];
    helper_argument_format(GENERATION, argument);
    char *argv[] = {(char *)(uintptr_t) "hookd", argument, NULL};
    /* A crash that a test asks for is not to be caught by a sanitizer. */
    char *envp[] = {(char *)(uintptr_t) "PATH=/usr/local/bin:/usr/bin:/bin",
                    (char *)(uintptr_t) "ASAN_OPTIONS=handle_segv=0", NULL};
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    int high = fcntl(socket, F_DUPFD, 10);
    dup2(high, HELPER_SOCKET);
    closefrom(HELPER_SOCKET + 1);
    execve(TEST_BIN_DIR "/hookd", argv, envp);
    _exit(127);
}

static void start_hookd(struct hookd_script *script)
{
    int sockets[2];
    char path[128];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    snprintf(path, sizeof(path), "%s/log", script->folder);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    cr_assert_geq(log, 0);
    /* What hookd leaves behind comes to the test, and is seen. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    script->pid = fork();
    if (script->pid == 0)
        exec_hookd(sockets[1], log);
    cr_assert_gt(script->pid, 1);
    close(sockets[1]);
    close(log);
    const struct channel_options options = {
        .self = ROLE_SUPERVISOR, .peer = ROLE_HOOKD, .generation = GENERATION, .high_water = 512 << 20};
    cr_assert_eq(channel_new(sockets[0], &options, &script->channel), 0);
}

void hookd_script_send(struct hookd_script *script, enum message_type type, const ProtobufCMessage *body)
{
    int r = channel_send(script->channel, type, type == MESSAGE_PING ? 77 : 0, body, -1);
    cr_assert(r == 0 || r == -EPIPE, "cannot send %s: %s", message_name((uint16_t)type), strerror(-r));
}

static void configure(struct hookd_script *script, bool has_hooks, const char *const *extra)
{
    const char *environment[32];
    char hooks[128];
    size_t count = 0;
    for (size_t i = 0; extra != NULL && extra[i] != NULL; i++)
        environment[count++] = extra[i];
    snprintf(hooks, sizeof(hooks), "ALLEGRO_EXECUTOR_HOOKS_DIR=%s/hooks", script->folder);
    if (has_hooks)
        environment[count++] = hooks;
    Bulkhead__Setting settings[32];
    Bulkhead__Setting *pointers[32];
    Bulkhead__Configure body = BULKHEAD__CONFIGURE__INIT;
    body.settings = pointers;
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(environment[i], '=');
        bulkhead__setting__init(&settings[i]);
        settings[i].name = strndup(environment[i], (size_t)(equals - environment[i]));
        settings[i].value = strdup(equals + 1);
        pointers[body.n_settings++] = &settings[i];
    }
    hookd_script_send(script, MESSAGE_CONFIGURE, &body.base);
    channel_set_phase(script->channel, PHASE_RUNNING);
    for (size_t i = 0; i < count; i++) {
        free(settings[i].name);
        free(settings[i].value);
    }
}

/* ---- what arrives ---- */

static void answer_record(struct hookd_script *script, const Bulkhead__HookRecorded *recorded)
{
    Bulkhead__HookRecordTaken taken = BULKHEAD__HOOK_RECORD_TAKEN__INIT;
    taken.has_job = 1;
    taken.job = recorded->job;
    taken.has_sequence = 1;
    taken.sequence = recorded->sequence;
    if (!script->keeps_silent)
        hookd_script_send(script, MESSAGE_HOOK_RECORD_TAKEN, &taken.base);
}

static void keep_message(struct hookd_script *script, const struct channel_message *message)
{
    script->messages = reallocarray(script->messages, script->message_count + 1, sizeof(*script->messages));
    struct hookd_script_message *kept = &script->messages[script->message_count++];
    *kept = (struct hookd_script_message){.type = message->type, .id = message->id, .time = loop_now()};
    cr_assert_eq(message_decode(message->type, message->body, message->length, &kept->body), 0);
    if (message->type == MESSAGE_HOOK_RECORDED)
        answer_record(script, (const Bulkhead__HookRecorded *)kept->body);
}

static void receive(struct hookd_script *script)
{
    int r = channel_fill(script->channel);
    if (r == 0 || r == -ECONNRESET) {
        script->closed = true;
        return;
    }
    struct channel_message message;
    while ((r = channel_next(script->channel, &message)) > 0)
        keep_message(script, &message);
    cr_assert_eq(r, 0, "hookd broke a rule of the channel");
}

void hookd_script_pump(struct hookd_script *script, int timeout_ms)
{
    struct pollfd one = {.fd = channel_socket(script->channel), .events = channel_events(script->channel)};
    if (script->closed || poll(&one, 1, timeout_ms) <= 0)
        return;
    if ((one.revents & POLLOUT) != 0)
        channel_flush(script->channel);
    if ((one.revents & (POLLIN | POLLHUP)) != 0)
        receive(script);
}

/* ---- waiting ---- */

static uint32_t job_of(const struct hookd_script_message *message)
{
    switch (message->type) {
    case MESSAGE_HOOK_RECORDED:
        return ((const Bulkhead__HookRecorded *)message->body)->job;
    case MESSAGE_HOOK_RESULT:
        return ((const Bulkhead__HookResult *)message->body)->job;
    case MESSAGE_HOOK_DONE:
        return ((const Bulkhead__HookDone *)message->body)->job;
    case MESSAGE_PROBE_RESULT:
        return ((const Bulkhead__ProbeResult *)message->body)->job;
    default:
        return 0;
    }
}

bool hookd_script_has(const struct hookd_script *script, uint32_t job)
{
    for (size_t i = 0; i < script->message_count; i++)
        if (job_of(&script->messages[i]) == job)
            return true;
    return false;
}

static void fail(struct hookd_script *script, const char *what)
{
    char *log = hookd_script_log(script);
    fprintf(stderr, "---- hookd's log:\n%s----\n", log);
    free(log);
    cr_assert_fail("%s", what);
}

static const struct hookd_script_message *find(struct hookd_script *script, enum message_type type,
                                               uint32_t job)
{
    for (size_t i = 0; i < script->message_count; i++) {
        struct hookd_script_message *message = &script->messages[i];
        if (message->is_used || message->type != type || (job != 0 && job_of(message) != job))
            continue;
        message->is_used = true;
        return message;
    }
    return NULL;
}

static const struct hookd_script_message *expect(struct hookd_script *script, enum message_type type,
                                                 uint32_t job)
{
    int64_t deadline = loop_now() + (int64_t)DEADLINE_MS * LOOP_MS;
    const struct hookd_script_message *message;
    while ((message = find(script, type, job)) == NULL) {
        if (script->closed || loop_now() >= deadline) {
            char text[128];
            snprintf(text, sizeof(text), "%s of job %u has not come", message_name((uint16_t)type), job);
            fail(script, text);
        }
        hookd_script_pump(script, 20);
    }
    return message;
}

const Bulkhead__HookResult *hookd_script_expect_result(struct hookd_script *script, uint32_t job)
{
    return (const Bulkhead__HookResult *)expect(script, MESSAGE_HOOK_RESULT, job)->body;
}

bool hookd_script_expect_done(struct hookd_script *script, uint32_t job)
{
    return ((const Bulkhead__HookDone *)expect(script, MESSAGE_HOOK_DONE, job)->body)->success;
}

const Bulkhead__ProbeResult *hookd_script_expect_probe(struct hookd_script *script, uint32_t job)
{
    return (const Bulkhead__ProbeResult *)expect(script, MESSAGE_PROBE_RESULT, job)->body;
}

int64_t hookd_script_ping(struct hookd_script *script)
{
    int64_t begun = loop_now();
    hookd_script_send(script, MESSAGE_PING, NULL);
    const struct hookd_script_message *pong = expect(script, MESSAGE_PONG, 0);
    cr_assert_eq(pong->id, 77);
    return (loop_now() - begun) / LOOP_MS;
}

char *hookd_script_log(const struct hookd_script *script)
{
    enum { MOST = 8 << 20 };
    char path[128];
    snprintf(path, sizeof(path), "%s/log", script->folder);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    char *text = malloc(MOST);
    size_t size = fread(text, 1, MOST - 1, file);
    text[size] = '\0';
    fclose(file);
    return text;
}

void hookd_script_expect_log(struct hookd_script *script, const char *text)
{
    int64_t deadline = loop_now() + (int64_t)DEADLINE_MS * LOOP_MS;
    for (;;) {
        char *log = hookd_script_log(script);
        bool found = strstr(log, text) != NULL;
        free(log);
        if (found)
            return;
        if (loop_now() >= deadline)
            fail(script, text);
        hookd_script_pump(script, 20);
    }
}

void hookd_script_expect_children(struct hookd_script *script, size_t count)
{
    struct tree tree;
    int64_t deadline = loop_now() + (int64_t)DEADLINE_MS * LOOP_MS;
    tree_init(&tree, script->pid);
    for (;;) {
        cr_assert_eq(tree_scan_children(&tree), 0);
        if (tree.count == count)
            break;
        if (loop_now() >= deadline)
            fail(script, "hookd has another number of children");
        hookd_script_pump(script, 5);
    }
    tree_clear(&tree);
}

/* ---- what is sent ---- */

void hookd_script_add_hook(struct hookd_script *script, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/hooks/%s", script->folder, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
    cr_assert_eq(chmod(path, 0755), 0);
}

void hookd_script_run(struct hookd_script *script, uint32_t job, Bulkhead__HookRun__Event event,
                      int64_t timeout_ms)
{
    char id[] = "web.1";
    char name[] = "web";
    char key[] = "team";
    char value[] = "a \"b\" \xff";
    Bulkhead__Label label = BULKHEAD__LABEL__INIT;
    label.key = key;
    label.value = value;
    Bulkhead__Label *labels[] = {&label};
    Bulkhead__Port port = BULKHEAD__PORT__INIT;
    port.has_number = 1;
    port.number = 31000;
    Bulkhead__Port *ports[] = {&port};
    Bulkhead__Task task = BULKHEAD__TASK__INIT;
    task.task_id = id;
    task.name = name;
    task.n_labels = 1;
    task.labels = labels;
    task.n_ports = 1;
    task.ports = ports;
    Bulkhead__HookRun run = BULKHEAD__HOOK_RUN__INIT;
    run.has_job = 1;
    run.job = job;
    run.has_event = 1;
    run.event = event;
    run.task = &task;
    run.has_timeout = timeout_ms > 0;
    run.timeout = timeout_ms * LOOP_MS;
    hookd_script_send(script, MESSAGE_HOOK_RUN, &run.base);
}

void hookd_script_cancel(struct hookd_script *script, uint32_t job)
{
    Bulkhead__JobCancel cancel = BULKHEAD__JOB_CANCEL__INIT;
    cancel.has_job = 1;
    cancel.job = job;
    hookd_script_send(script, MESSAGE_JOB_CANCEL, &cancel.base);
}

void hookd_script_probe(struct hookd_script *script, uint32_t job, const char *host, uint16_t port,
                        const char *path, int64_t timeout_ms)
{
    Bulkhead__Probe probe = BULKHEAD__PROBE__INIT;
    probe.has_job = 1;
    probe.job = job;
    probe.has_type = 1;
    probe.type = path != NULL ? BULKHEAD__CHECK__TYPE__HTTP : BULKHEAD__CHECK__TYPE__TCP;
    probe.host = (char *)(uintptr_t)(host != NULL ? host : "127.0.0.1");
    probe.has_port = 1;
    probe.port = port;
    probe.path = (char *)(uintptr_t)path;
    probe.has_timeout = 1;
    probe.timeout = timeout_ms * LOOP_MS;
    hookd_script_send(script, MESSAGE_PROBE, &probe.base);
}

/* ---- life ---- */

struct hookd_script *hookd_script_start(bool has_hooks, const char *const *extra)
{
    struct hookd_script *script = calloc(1, sizeof(*script));
    cr_assert_not_null(script);
    strcpy(script->folder, "/tmp/bulkhead-test-XXXXXX");
    cr_assert_not_null(mkdtemp(script->folder));
    cr_assert_eq(chmod(script->folder, 0755), 0);
    char path[128];
    snprintf(path, sizeof(path), "%s/hooks", script->folder);
    cr_assert_eq(mkdir(path, 0755), 0);
    cr_assert_eq(chmod(path, 0755), 0);
    start_hookd(script);
    const Bulkhead__Hello *hello = (const Bulkhead__Hello *)expect(script, MESSAGE_HELLO, 0)->body;
    cr_assert_eq(hello->protocol, MESSAGE_PROTOCOL);
    configure(script, has_hooks, extra);
    return script;
}

static int wait_for_exit(struct hookd_script *script)
{
    int64_t deadline = loop_now() + (int64_t)DEADLINE_MS * LOOP_MS;
    int status = 0;
    while (waitpid(script->pid, &status, WNOHANG) == 0) {
        if (loop_now() >= deadline) {
            send_signal(script->pid, SIGKILL);
            waitpid(script->pid, &status, 0);
            fail(script, "hookd does not end");
        }
        usleep(2000);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void remove_folder(const char *folder)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

void hookd_script_end(struct hookd_script *script)
{
    channel_free(script->channel);
    script->channel = NULL;
    int code = wait_for_exit(script);
    if (code != 0)
        fail(script, "hookd ended badly");
    struct tree tree;
    tree_init(&tree, getpid());
    cr_assert_eq(tree_scan(&tree), 0);
    for (size_t i = 0; i < tree.count; i++)
        cr_assert(!tree.processes[i].alive || strncmp(tree.processes[i].comm, "test_", 5) == 0,
                  "%s outlives hookd", tree.processes[i].comm);
    tree_clear(&tree);
    for (size_t i = 0; i < script->message_count; i++)
        protobuf_c_message_free_unpacked(script->messages[i].body, NULL);
    free(script->messages);
    remove_folder(script->folder);
    free(script);
}
