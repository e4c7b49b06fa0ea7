#ifndef BULKHEAD_TESTS_HOOKD_SCRIPT_H
#define BULKHEAD_TESTS_HOOKD_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/message.h"
#include "proto/bulkhead.pb-c.h"

/*
 * The real hookd with a supervisor that does what the test says, and a folder for executable hooks.
 * Everything happens inside the functions that wait. What goes wrong in here fails the test.
 */
struct hookd_script_message {
    enum message_type type;
    uint32_t id;
    ProtobufCMessage *body;
    int64_t time; /* loop_now()'s, when it was read */
    bool is_used; /* it was waited for already */
};

struct hookd_script {
    struct channel *channel; /* NULL once closed */
    pid_t pid;
    char folder[64]; /* of this script alone; holds "hooks", which hookd knows when it is to, and "log" */
    struct hookd_script_message *messages;
    size_t message_count;
    bool closed;       /* hookd has closed its end */
    bool keeps_silent; /* records are not answered */
};

/* Starts hookd; extra as NAME=VALUE up to a NULL, or NULL. */
struct hookd_script *hookd_script_start(bool has_hooks, const char *const *extra);

/* Closes the channel, waits until hookd has gone, exit code 0, and checks that it has left no process behind.
 */
void hookd_script_end(struct hookd_script *script);

/* A shell script, or any file, in the folder of hooks. */
void hookd_script_add_hook(struct hookd_script *script, const char *name, const char *text);

void hookd_script_send(struct hookd_script *script, enum message_type type, const ProtobufCMessage *body);
void hookd_script_run(struct hookd_script *script, uint32_t job, Bulkhead__HookRun__Event event,
                      int64_t timeout_ms);
void hookd_script_cancel(struct hookd_script *script, uint32_t job);

/* path NULL: a TCP probe. host NULL: 127.0.0.1. */
void hookd_script_probe(struct hookd_script *script, uint32_t job, const char *host, uint16_t port,
                        const char *path, int64_t timeout_ms);

/* The message of a job, or the first of its type for job 0; fails the test when it does not come. */
const Bulkhead__HookResult *hookd_script_expect_result(struct hookd_script *script, uint32_t job);
bool hookd_script_expect_done(struct hookd_script *script, uint32_t job);
const Bulkhead__ProbeResult *hookd_script_expect_probe(struct hookd_script *script, uint32_t job);

/* Asks for a sign of life; returns how long that took, in milliseconds. */
int64_t hookd_script_ping(struct hookd_script *script);

/* Whether anything of the job has come. */
bool hookd_script_has(const struct hookd_script *script, uint32_t job);

/* Does what there is to do, for at most this long. */
void hookd_script_pump(struct hookd_script *script, int timeout_ms);

/* What hookd and its workers have written to their standard error. The caller frees it. */
char *hookd_script_log(const struct hookd_script *script);
void hookd_script_expect_log(struct hookd_script *script, const char *text);

/* Waits until hookd has no child, or exactly one. */
void hookd_script_expect_children(struct hookd_script *script, size_t count);

#endif
