/*
 * Looks and waits that the tests of the conversation and of the settings share; see checks.h.
 */
#include "tests/integration/checks.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void make_file(struct devagent *agent, const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", devagent_sandbox(agent), name);
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    cr_assert_geq(file, 0, "cannot make %s", path);
    close(file);
}

/* ---- calls ---- */

size_t count_calls(const struct devagent *agent, int type, unsigned status)
{
    size_t count = 0;
    for (size_t i = 0; i < devagent_call_count(agent); i++) {
        const struct devagent_call *call = devagent_call_at(agent, i);
        count += (type == 0 || call->type == type) && (status == 0 || call->status == status);
    }
    return count;
}

struct wanted_calls {
    int type;
    unsigned status;
    size_t count;
};

static bool calls_came(struct devagent *agent, void *arg)
{
    const struct wanted_calls *wanted = arg;
    return count_calls(agent, wanted->type, wanted->status) >= wanted->count;
}

void await_calls(struct devagent *agent, int type, unsigned status, size_t count)
{
    struct wanted_calls wanted = {type, status, count};
    if (devagent_run_until(agent, calls_came, &wanted, DEADLINE_MS) < 0)
        fail_with_story(agent, "%zu calls of type %d with status %u, not %zu",
                        count_calls(agent, type, status), type, status, count);
}

static bool is_subscribed_again(struct devagent *agent, void *arg)
{
    return devagent_is_subscribed(agent) && devagent_subscribe_count(agent) >= *(const size_t *)arg;
}

void await_subscribed(struct devagent *agent, size_t count)
{
    if (devagent_run_until(agent, is_subscribed_again, &count, DEADLINE_MS) < 0)
        fail_with_story(agent, "not subscribed for the %zuth time; the agent took %zu", count,
                        devagent_subscribe_count(agent));
}

/* ---- updates ---- */

static bool is_new(const struct devagent_update *update)
{
    return update->fate == DEVAGENT_FATE_STORED || update->fate == DEVAGENT_FATE_UNKNOWN;
}

static bool all_acknowledged(struct devagent *agent, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < devagent_update_count(agent); i++) {
        const struct devagent_update *update = devagent_update_at(agent, i);
        if (is_new(update) && update->acks_sent == 0)
            return false;
    }
    return true;
}

void await_all_acknowledged(struct devagent *agent)
{
    if (devagent_run_until(agent, all_acknowledged, NULL, DEADLINE_MS) < 0)
        fail_with_story(agent, "not every update was acknowledged");
}

size_t settle(struct devagent *agent)
{
    static unsigned number;
    char id[40];
    snprintf(id, sizeof(id), "settle-%u", ++number);
    await_all_acknowledged(agent);
    size_t before = devagent_update_count(agent);
    cr_assert_eq(devagent_launch_command(agent, id, "exit 0"), 0);
    expect_state(agent, id, STARTING);
    return before;
}

static const struct devagent_update *first_with_uuid(struct devagent *agent,
                                                     const struct devagent_update *update)
{
    for (size_t i = 0; i < devagent_update_count(agent); i++) {
        const struct devagent_update *other = devagent_update_at(agent, i);
        if (memcmp(other->uuid, update->uuid, sizeof(update->uuid)) == 0)
            return other;
    }
    return update;
}

void expect_never_again(struct devagent *agent, size_t before)
{
    for (size_t i = before; i < devagent_update_count(agent); i++) {
        const struct devagent_update *update = devagent_update_at(agent, i);
        if (first_with_uuid(agent, update)->number < before)
            fail_with_story(agent, "%s of %s came again after its acknowledgement",
                            devagent_state_name(update->state), update->task_id);
    }
}

static void expect_list_in_order(struct devagent *agent, const struct devagent_subscribe *subscribe)
{
    for (size_t i = 1; i < subscribe->update_count; i++) {
        const struct devagent_update *update = subscribe->updates[i];
        if (update->timestamp < subscribe->updates[i - 1]->timestamp)
            fail_with_story(agent, "a SUBSCRIBE lists %s of %s too late", devagent_state_name(update->state),
                            update->task_id);
        for (size_t j = 0; j < i; j++)
            if (memcmp(update->uuid, subscribe->updates[j]->uuid, sizeof(update->uuid)) == 0)
                fail_with_story(agent, "a SUBSCRIBE lists %s of %s twice", devagent_state_name(update->state),
                                update->task_id);
    }
}

void expect_in_order(struct devagent *agent)
{
    double newest = 0;
    for (size_t i = 0; i < devagent_update_count(agent); i++) {
        const struct devagent_update *update = devagent_update_at(agent, i);
        if (!is_new(update))
            continue;
        if (update->timestamp < newest)
            fail_with_story(agent, "%s of %s came too late", devagent_state_name(update->state),
                            update->task_id);
        newest = update->timestamp;
    }
    for (size_t i = 0; i < devagent_subscribe_count(agent); i++)
        expect_list_in_order(agent, devagent_subscribe_at(agent, i));
}

/* ---- the log ---- */

size_t count_log(const struct devagent *agent, const char *words)
{
    char *text = devagent_read_file(agent, "stderr");
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at += strlen(words))
        count++;
    free(text);
    return count;
}

void expect_log(struct devagent *agent, const char *words)
{
    expect_file(agent, "stderr", words);
}

/* The end of a quoted value, behind its closing quote; NULL when it has none. */
static const char *skip_quoted(const char *at)
{
    static const char escaped[] = "nrtu\"\\";
    for (at++; *at != '\0' && *at != '"'; at++)
        if (*at == '\\' && (*++at == '\0' || strchr(escaped, *at) == NULL))
            return NULL;
    return *at == '"' ? at + 1 : NULL;
}

static const char *skip_value(const char *at)
{
    if (*at == '"')
        return skip_quoted(at);
    size_t length = strcspn(at, " =\"'\\");
    return length > 0 ? at + length : NULL;
}

/* Behind " key=value"; NULL when that is not what stands there. `key` may be NULL for any. */
static const char *skip_pair(const char *at, const char *key)
{
    size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (length == 0 || at[length] != '=' ||
        (key != NULL && (strlen(key) != length || strncmp(at, key, length) != 0)))
        return NULL;
    return skip_value(at + length + 1);
}

static bool is_log_line(const char *line)
{
    static const char *const first[] = {"time", "level", "component", "pid", "msg"};
    for (const unsigned char *at = (const unsigned char *)line; *at != '\0'; at++)
        if (*at < ' ' || *at == 0x7f)
            return false;
    for (size_t i = 0; *line != '\0'; i++) {
        const char *end = skip_pair(line, i < sizeof(first) / sizeof(first[0]) ? first[i] : NULL);
        if (end == NULL || (*end != ' ' && *end != '\0') || (*end == ' ' && end[1] == '\0'))
            return false;
        line = *end == ' ' ? end + 1 : end;
        if (*line == '\0')
            return i >= sizeof(first) / sizeof(first[0]) - 1;
    }
    return false;
}

const char *first_bad_log_line(const char *text)
{
    static char line[64 * 1024];
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        snprintf(line, sizeof(line), "%.*s", (int)length, text);
        if (text[length] != '\n' || !is_log_line(line))
            return line;
        text += length + 1;
    }
    return NULL;
}

void expect_logfmt(struct devagent *agent)
{
    char *text = devagent_read_file(agent, "stderr");
    const char *bad = first_bad_log_line(text);
    bool any = text[0] != '\0';
    free(text);
    if (bad != NULL)
        fail_with_story(agent, "not a log line: %s", bad);
    if (!any)
        fail_with_story(agent, "nothing was logged");
}

static bool has_left(struct devagent *agent, void *arg)
{
    (void)arg;
    return devagent_has_exited(agent) && devagent_left_behind(agent) == 0;
}

void conversation_end(struct devagent *agent, int exit_code)
{
    if (!wait_until(agent, has_left, NULL))
        fail_with_story(agent, "the executor or something of it has not left");
    expect_in_order(agent);
    expect_logfmt(agent);
    agent_end(agent, exit_code);
}

/* ---- by hand ---- */

static size_t read_some(int descriptor, char *buffer, size_t size, size_t used)
{
    ssize_t n = read(descriptor, buffer + used, size - 1 - used);
    return n > 0 ? (size_t)n : 0;
}

static void read_both(int out, int err, struct by_hand *ret)
{
    size_t out_used = 0, err_used = 0;
    struct pollfd polled[2] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
    while (polled[0].fd >= 0 || polled[1].fd >= 0) {
        cr_assert_gt(poll(polled, 2, DEADLINE_MS), 0, "the supervisor neither writes nor ends");
        for (int i = 0; i < 2; i++) {
            if (polled[i].fd < 0 || polled[i].revents == 0)
                continue;
            size_t n = i == 0 ? read_some(out, ret->out, sizeof(ret->out), out_used)
                              : read_some(err, ret->err, sizeof(ret->err), err_used);
            *(i == 0 ? &out_used : &err_used) += n;
            if (n == 0)
                polled[i].fd = -1;
        }
    }
    ret->out[out_used] = ret->err[err_used] = '\0';
}

void run_by_hand(const char *const argv[], const char *const environment[], struct by_hand *ret)
{
    int out[2], err[2];
    cr_assert(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        execve(TEST_BIN_DIR "/supervisor", (char *const *)(uintptr_t)argv,
               (char *const *)(uintptr_t)environment);
        _exit(127);
    }
    cr_assert_gt(pid, 0);
    close(out[1]);
    close(err[1]);
    read_both(out[0], err[0], ret);
    close(out[0]);
    close(err[0]);
    int wait_status = 0;
    cr_assert_eq(waitpid(pid, &wait_status, 0), pid);
    ret->exit_code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

/* ---- a stranger ---- */

const char stranger_certificate[] = "-----BEGIN CERTIFICATE-----\n"
                                    "MIIBZjCCAQugAwIBAgIBATAKBggqhkjOPQQDAjATMREwDwYDVQQDDAhzdHJhbmdl\n"
                                    "cjAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowEzERMA8GA1UEAwwI\n"
                                    "c3RyYW5nZXIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQQS775kTCFx8syMAm/\n"
                                    "N9jn8aY3f7nMBO+2h4BPvKFcmZ6pTC+R6ktqXC7VUPVPoz8sc38SL9s4c3zXfard\n"
                                    "iqWJo04wTDAaBgNVHREEEzARhwR/AAABgglsb2NhbGhvc3QwDwYDVR0TAQH/BAUw\n"
                                    "AwEB/zAdBgNVHQ4EFgQU3BJ6LBdoUuOLMD2qLe2SREqFRNAwCgYIKoZIzj0EAwID\n"
                                    "SQAwRgIhALxEmFmR9iWEnS/NnEBa1JOmuS8sp1VDzGMNKqxADubnAiEAuX6F+RGR\n"
                                    "PwOiMTpsXst2knYF39w+NfBIBUaPuWJU5zA=\n"
                                    "-----END CERTIFICATE-----\n";

const char stranger_key[] = "-----BEGIN PRIVATE KEY-----\n"
                            "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg4ABIjTFJxFRIl2pQ\n"
                            "/5NiaVusUZ3o4xE5vgWboG6D4BOhRANCAAQQS775kTCFx8syMAm/N9jn8aY3f7nM\n"
                            "BO+2h4BPvKFcmZ6pTC+R6ktqXC7VUPVPoz8sc38SL9s4c3zXfardiqWJ\n"
                            "-----END PRIVATE KEY-----\n";
