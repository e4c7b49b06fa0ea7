#ifndef BULKHEAD_SUPERVISOR_AGENT_H
#define BULKHEAD_SUPERVISOR_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/loop.h"
#include "proto/bulkhead.pb-c.h"
#include "supervisor/ledger.h"

/* The supervisor's side of the dialogue with agent-client: what the agent says, handed on, and the updates,
 * handed over. */
struct agent;

enum agent_loss {
    AGENT_LOST,       /* the agent ended the stream, or refuses */
    AGENT_FORGOTTEN,  /* it does not know this executor */
    AGENT_CLIENT_LOST /* it is ours that is gone, or that gave up */
};

/* Who is told. The functions borrow what they are given. */
struct agent_listener {
    void *arg;
    void (*subscribed)(void *arg, bool task_killing_state);
    void (*disconnected)(void *arg, enum agent_loss loss);
    void (*launch)(void *arg, const Bulkhead__Launch *launch);
    void (*launch_refused)(void *arg, const char *task_id, const char *reason);
    void (*kill)(void *arg, const char *task_id, int64_t grace); /* grace negative for none given */
    void (*acknowledged)(void *arg, const char *task_id, bool terminal, bool rejected);
    void (*shutdown)(void *arg);
    /* The index-th task that SUBSCRIBE must list, or NULL when there is none. */
    const ProtobufCBinaryData *(*unacknowledged_task)(void *arg, size_t index);
};

struct agent_options {
    struct loop *loop;
    const struct config *config;
    const char *program; /* agent-client's path */
    const char *const *environment;
    struct ledger *ledger;
    struct agent_listener listener;
};

/* Starts agent-client. Returns 0 or -ENOMEM. options are copied. */
int agent_start(const struct agent_options *options, struct agent **ret_agent);

/* Ends agent-client. NULL is accepted. */
void agent_free(struct agent *agent);

/* Hands over what the ledger has not sent, if there is a subscription. */
void agent_send_updates(struct agent *agent);

/* As compartment_take_reaped() and compartment_pid(). */
bool agent_take_reaped(struct agent *agent, pid_t pid, int wait_status);
pid_t agent_pid(const struct agent *agent);

#endif
