#ifndef BULKHEAD_TESTS_SCRIPT_H
#define BULKHEAD_TESTS_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/message.h"
#include "proto/bulkhead.pb-c.h"
#include "tests/devagent/devagent.h"

/*
 * The real agent-client between a small agent and a supervisor that does what the test says. Everything
 * happens inside the functions that wait. What goes wrong in here fails the test.
 */
struct script {
    struct devagent *agent;
    struct channel *channel; /* NULL once closed */
    pid_t pid;
    char log_path[64]; /* agent-client's stderr */

    /* The list for each attempt, as the supervisor would have it. The test fills it. */
    ProtobufCBinaryData tasks[64];
    size_t task_count;
    Bulkhead__Update updates[64];
    size_t update_count;
    bool hold;           /* leave attempts unanswered */
    size_t socket_count; /* how many domain sockets to hand out with a list */
    unsigned attempts;

    void **owned;
    size_t owned_count;

    struct script_message *messages;
    size_t message_count;
    size_t cursor; /* messages before it were waited for already */
    bool closed;   /* agent-client has closed its end */
};

/* What agent-client has said. */
struct script_message {
    enum message_type type;
    uint32_t id;
    ProtobufCMessage *body;
    int64_t time; /* loop_now()'s */
};

/*
 * Makes the agent and starts agent-client with the agent's environment and extra (NAME=VALUE,
 * NULL-terminated, may be NULL; these win). options->executor_* are not used.
 */
struct script *script_start(const struct devagent_options *options, const char *const *extra);

/* Closes the channel, waits for agent-client to go and checks that it went well (exit code 0 on a closed
 * channel). */
void script_end(struct script *script);

/* The same for an agent-client that has ended by itself: returns its exit code. */
int script_end_failed(struct script *script);

void script_send(struct script *script, enum message_type type, uint32_t id, const ProtobufCMessage *body);

/* Bytes that are no frame. */
void script_send_bytes(struct script *script, const void *bytes, size_t size);

/* Does what there is to do, for at most this long. */
void script_pump(struct script *script, int64_t timeout_ms);

/*
 * The next message of this type after the one that was waited for last; others on the way are passed over.
 * Fails the test when it does not come within a few seconds.
 */
const struct script_message *script_expect(struct script *script, enum message_type type);

/* Waits for the end of an attempt or a subscription and checks its cause. Returns its text. */
const char *script_expect_disconnect(struct script *script, Bulkhead__Disconnected__Cause cause);

/* Whether a message of this type has come since the one that was waited for last. */
bool script_has(const struct script *script, enum message_type type);

/* An update with a uuid made from number; what it points to lives as long as the script. */
Bulkhead__Update script_update(struct script *script, const char *task_id, int state, unsigned number);

/* Sends it, as a supervisor does while subscribed. */
void script_send_update(struct script *script, const Bulkhead__Update *update);

/* What agent-client has logged. The caller frees it. */
char *script_log(const struct script *script);

/* Waits until agent-client's log contains text; fails the test when it does not. */
void script_expect_log(struct script *script, const char *text);

#endif
