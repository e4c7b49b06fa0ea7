/*
 * The dialogue with agent-client.
 *
 * agent-client remembers nothing that matters: before every SUBSCRIBE it asks for the list of what the agent
 * has not acknowledged, and the list is made here, from the ledger. So it can be lost between any two bytes.
 * Each message has one handler below; the table at the end is what agent-client may say.
 */
#include "supervisor/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "supervisor/compartment.h"
#include "supervisor/domain_socket.h"

/* The largest list is one task of the largest size and everything else that a launch may bring; twice that is
 * a hang. */
#define HIGH_WATER ((size_t)192 * 1024 * 1024)

/* SUBSCRIBE has one connection and the other calls have one (the agent's API wants two). */
enum { CONNECTIONS = 2 };

struct agent {
    struct agent_options options;
    struct compartment_definition definition;
    struct compartment *compartment;
    bool subscribed;
};

static void disconnected(struct agent *agent, enum agent_loss loss)
{
    agent->subscribed = false;
    ledger_mark_unsent(agent->options.ledger);
    agent->options.listener.disconnected(agent->options.listener.arg, loss);
}

static void on_lost(void *arg)
{
    disconnected(arg, AGENT_CLIENT_LOST);
}

/* --- what is sent
 * ----------------------------------------------------------------------------------------------------- */

static int send_update(struct agent *agent, enum message_type type, struct update *update)
{
    Bulkhead__Update body = BULKHEAD__UPDATE__INIT;
    body.has_uuid = 1;
    body.uuid.data = update->uuid;
    body.uuid.len = sizeof(update->uuid);
    body.task_id = update->task_id;
    body.has_state = 1;
    body.state = update->state;
    body.has_reason = update->reason >= 0;
    body.reason = update->reason;
    body.message = update->message;
    body.has_timestamp = 1;
    body.timestamp = update->timestamp;
    body.has_healthy = update->healthy >= 0;
    body.healthy = update->healthy > 0;
    Bulkhead__CheckStatus check = BULKHEAD__CHECK_STATUS__INIT;
    check.has_type = 1;
    check.type = (Bulkhead__Check__Type)update->check.type;
    check.has_value = update->check.known;
    check.value = update->check.value;
    body.check_status = update->check.type != 0 ? &check : NULL;
    int r = compartment_send(agent->compartment, type, &body.base, -1);
    if (r < 0)
        return r;
    update->sent = true;
    update->given = true;
    return 0;
}

void agent_send_updates(struct agent *agent)
{
    struct update *update;
    while (agent->subscribed && (update = ledger_next_unsent(agent->options.ledger)) != NULL)
        if (send_update(agent, MESSAGE_AGENT_UPDATE, update) < 0)
            return;
}

/* A socket that cannot be connected is not sent: agent-client finds that it has none, and tries again later.
 */
static int send_sockets(struct agent *agent)
{
    const char *path = config_string(agent->options.config, CONFIG_DOMAIN_SOCKET);
    for (int i = 0; path != NULL && i < CONNECTIONS; i++) {
        int socket = domain_socket_connect(path);
        if (socket < 0) {
            log_warning("cannot connect to the agent's domain socket; agent-client will ask again",
                        LOG_STR("path", path), LOG_ERRNO(socket));
            return 0;
        }
        int r = compartment_send(agent->compartment, MESSAGE_AGENT_SOCKET, NULL, socket);
        if (r < 0)
            return r;
    }
    return 0;
}

static int send_list_of_tasks(struct agent *agent, uint32_t *ret_count)
{
    const struct agent_listener *listener = &agent->options.listener;
    const ProtobufCBinaryData *raw;
    for (size_t i = 0; (raw = listener->unacknowledged_task(listener->arg, i)) != NULL; i++) {
        Bulkhead__ListTask body = BULKHEAD__LIST_TASK__INIT;
        body.has_raw = 1;
        body.raw = *raw;
        int r = compartment_send(agent->compartment, MESSAGE_AGENT_LIST_TASK, &body.base, -1);
        if (r < 0)
            return r;
        ++*ret_count;
    }
    return 0;
}

static int send_list_of_updates(struct agent *agent, uint32_t *ret_count)
{
    for (struct update *update = agent->options.ledger->first; update != NULL; update = update->next) {
        int r = send_update(agent, MESSAGE_AGENT_LIST_UPDATE, update);
        if (r < 0)
            return r;
        ++*ret_count;
    }
    return 0;
}

/* --- what is said
 * ----------------------------------------------------------------------------------------------------- */

/* An error of sending has given agent-client up already; it must not be reported as its offence. */
static int on_attempt(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)body;
    (void)descriptor;
    struct agent *agent = arg;
    if (agent->subscribed)
        return -EPROTO;
    ledger_mark_unsent(agent->options.ledger);
    Bulkhead__Subscribe subscribe = BULKHEAD__SUBSCRIBE__INIT;
    subscribe.has_tasks = subscribe.has_updates = 1;
    if (send_sockets(agent) == 0 && send_list_of_tasks(agent, &subscribe.tasks) == 0 &&
        send_list_of_updates(agent, &subscribe.updates) == 0)
        compartment_send(agent->compartment, MESSAGE_AGENT_SUBSCRIBE, &subscribe.base, -1);
    return 0;
}

static int on_subscribed(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct agent *agent = arg;
    const Bulkhead__Subscribed *subscribed = (const void *)body;
    if (agent->subscribed)
        return -EPROTO;
    agent->subscribed = true;
    compartment_mark_useful(agent->compartment);
    log_info("subscribed", LOG_STR("agent", subscribed->agent_id));
    agent->options.listener.subscribed(agent->options.listener.arg, subscribed->task_killing_state != 0);
    agent_send_updates(agent);
    return 0;
}

static enum agent_loss loss_of(Bulkhead__Disconnected__Cause cause)
{
    switch (cause) {
    case BULKHEAD__DISCONNECTED__CAUSE__CLOSED:
    case BULKHEAD__DISCONNECTED__CAUSE__REFUSED:
    case BULKHEAD__DISCONNECTED__CAUSE__UNAVAILABLE:
    case BULKHEAD__DISCONNECTED__CAUSE__UNAUTHORIZED:
    case BULKHEAD__DISCONNECTED__CAUSE__REJECTED:
        return AGENT_LOST;
    case BULKHEAD__DISCONNECTED__CAUSE__UNKNOWN_ID:
        return AGENT_FORGOTTEN;
    default:
        return AGENT_CLIENT_LOST;
    }
}

static int on_disconnected(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    const Bulkhead__Disconnected *message = (const void *)body;
    if (!message->has_cause)
        return -EPROTO;
    disconnected(arg, loss_of(message->cause));
    return 0;
}

static bool tasks_are_named(const Bulkhead__Launch *launch)
{
    for (size_t i = 0; i < launch->n_tasks; i++)
        if (launch->tasks[i]->task_id == NULL || launch->tasks[i]->task_id[0] == '\0')
            return false;
    return launch->n_tasks > 0;
}

static int on_launch(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct agent *agent = arg;
    const Bulkhead__Launch *launch = (const void *)body;
    if (!tasks_are_named(launch))
        return -EPROTO;
    agent->options.listener.launch(agent->options.listener.arg, launch);
    return 0;
}

static int on_launch_refused(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct agent *agent = arg;
    const Bulkhead__LaunchRefused *refused = (const void *)body;
    if (refused->task_id == NULL || refused->task_id[0] == '\0' || refused->reason == NULL)
        return -EPROTO;
    agent->options.listener.launch_refused(agent->options.listener.arg, refused->task_id, refused->reason);
    return 0;
}

static int on_kill(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct agent *agent = arg;
    const Bulkhead__Kill *kill_message = (const void *)body;
    if (kill_message->task_id == NULL || kill_message->task_id[0] == '\0')
        return -EPROTO;
    int64_t grace = kill_message->has_grace ? kill_message->grace : -1;
    if (kill_message->has_grace && grace < 0)
        log_warning("the kill policy has a negative grace period; using the task's",
                    LOG_STR("task", kill_message->task_id), LOG_INT("grace", grace));
    agent->options.listener.kill(agent->options.listener.arg, kill_message->task_id, grace);
    return 0;
}

static int on_acknowledged(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct agent *agent = arg;
    const Bulkhead__Acknowledged *message = (const void *)body;
    if (message->task_id == NULL || !message->has_uuid)
        return -EPROTO;
    bool terminal;
    if (ledger_remove(agent->options.ledger, message->task_id, message->uuid.data, message->uuid.len,
                      &terminal) == 1)
        agent->options.listener.acknowledged(agent->options.listener.arg, message->task_id, terminal, false);
    else
        log_warning("acknowledgement of an update that is not known; ignoring it",
                    LOG_STR("task", message->task_id));
    return 0;
}

/* The agent calls it invalid: the same bytes would be invalid again. The fault is ours, and somebody must
 * hear of it. */
static int on_rejected(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct agent *agent = arg;
    const Bulkhead__Rejected *rejected = (const void *)body;
    if (!rejected->has_uuid)
        return -EPROTO;
    const struct update *update = ledger_find(agent->options.ledger, rejected->uuid.data, rejected->uuid.len);
    char *task_id = update != NULL ? strdup(update->task_id) : NULL;
    if (task_id == NULL)
        return 0;
    log_error("the agent rejects an update; it is not sent again", LOG_STR("task", task_id),
              LOG_INT("state", update->state), LOG_STR("answer", rejected->text));
    bool terminal;
    ledger_remove(agent->options.ledger, task_id, rejected->uuid.data, rejected->uuid.len, &terminal);
    agent->options.listener.acknowledged(agent->options.listener.arg, task_id, terminal, true);
    free(task_id);
    return 0;
}

static int on_shutdown(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)body;
    (void)descriptor;
    struct agent *agent = arg;
    agent->options.listener.shutdown(agent->options.listener.arg);
    return 0;
}

static const struct message_handler handlers[] = {
    {MESSAGE_AGENT_ATTEMPT, on_attempt},
    {MESSAGE_AGENT_SUBSCRIBED, on_subscribed},
    {MESSAGE_AGENT_DISCONNECTED, on_disconnected},
    {MESSAGE_AGENT_LAUNCH, on_launch},
    {MESSAGE_AGENT_LAUNCH_REFUSED, on_launch_refused},
    {MESSAGE_AGENT_KILL, on_kill},
    {MESSAGE_AGENT_ACKNOWLEDGED, on_acknowledged},
    {MESSAGE_AGENT_REJECTED, on_rejected},
    {MESSAGE_AGENT_SHUTDOWN, on_shutdown},
    {0},
};

int agent_start(const struct agent_options *options, struct agent **ret_agent)
{
    struct agent *agent = calloc(1, sizeof(*agent));
    if (agent == NULL)
        return -ENOMEM;
    agent->options = *options;
    agent->definition = (struct compartment_definition){
        .role = ROLE_AGENT_CLIENT,
        .program = options->program,
        .config = options->config,
        .receiver = CONFIG_FOR_AGENT_CLIENT,
        .high_water = HIGH_WATER,
        .handlers = handlers,
        .environment = options->environment,
        .self = agent,
        .lost = on_lost,
    };
    agent->compartment = compartment_new(options->loop, &agent->definition);
    if (agent->compartment == NULL) {
        free(agent);
        return -ENOMEM;
    }
    *ret_agent = agent;
    compartment_start(agent->compartment);
    return 0;
}

void agent_free(struct agent *agent)
{
    if (agent == NULL)
        return;
    compartment_free(agent->compartment);
    free(agent);
}

bool agent_take_reaped(struct agent *agent, pid_t pid, int wait_status)
{
    return compartment_take_reaped(agent->compartment, pid, wait_status);
}

pid_t agent_pid(const struct agent *agent)
{
    return compartment_pid(agent->compartment);
}
