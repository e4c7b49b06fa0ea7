/*
 * Which HTTP status a call deserves, and in which words: the order and the rules of a Mesos agent's executor
 * endpoint (src/slave/http.cpp, Http::executor; src/common/validation.cpp, executor::call::validate). Changes
 * nothing.
 */
#include "tests/devagent/agent.h"

#include <stdlib.h>
#include <string.h>

#define REFUSE(code, text) ((struct judgement){.status = (code), .mistake = true, .words = (text)})
#define REFUSE_INNOCENT(code, text) ((struct judgement){.status = (code), .words = (text)})

static const char own_path[] = "/slave(1)/api/v1/executor";
static const char plain_path[] = "/api/v1/executor";

const char *judge_call_name(int type)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&mesos__v1__executor__call__type__descriptor, type);
    return value ? value->name : "?";
}

/* ---- required fields ---- */

/* Each returns NULL or what is wrong. proto/ declares every field optional; Mesos does not. */

static const char *check_id(bool present, const char *value, const char *words)
{
    return present && value ? NULL : words;
}

static const char *check_check_status(const Mesos__V1__CheckStatusInfo *check)
{
    if (!check->has_type)
        return "CheckStatusInfo must specify 'type'";
    if (check->type == MESOS__V1__CHECK_INFO__TYPE__COMMAND && !check->command)
        return "Expecting 'command' to be set for COMMAND check's status";
    if (check->type == MESOS__V1__CHECK_INFO__TYPE__HTTP && !check->http)
        return "Expecting 'http' to be set for HTTP check's status";
    if (check->type == MESOS__V1__CHECK_INFO__TYPE__TCP && !check->tcp)
        return "Expecting 'tcp' to be set for TCP check's status";
    if (check->type == MESOS__V1__CHECK_INFO__TYPE__UNKNOWN)
        return "UNKNOWN is not a valid check's status type";
    return NULL;
}

/* What the .proto files of Mesos require of a status, wherever it stands. */
static const char *check_status_fields(const Mesos__V1__TaskStatus *status)
{
    if (!status)
        return "missing required field: status";
    const char *wrong = check_id(status->task_id, status->task_id ? status->task_id->value : NULL,
                                 "missing required field: status.task_id");
    if (!wrong && !status->has_state)
        wrong = "missing required field: status.state";
    if (!wrong && status->agent_id && !status->agent_id->value)
        wrong = "missing required field: status.agent_id.value";
    if (!wrong && status->executor_id && !status->executor_id->value)
        wrong = "missing required field: status.executor_id.value";
    for (size_t i = 0; !wrong && status->labels && i < status->labels->n_labels; i++)
        wrong = status->labels->labels[i]->key ? NULL : "missing required field: status.labels.labels.key";
    return wrong;
}

/* 3rdparty/stout/include/stout/uuid.hpp: sixteen bytes whose version is one that RFC 4122 knows. */
static const char *check_uuid(const Mesos__V1__TaskStatus *status)
{
    if (!status->has_uuid)
        return "Expecting 'uuid' to be present";
    if (status->uuid.len != 16)
        return "Not a valid UUID: not 16 bytes";
    unsigned version = status->uuid.data[6] >> 4;
    return version >= 1 && version <= 5 ? NULL : "Not a valid UUID: unknown version";
}

static const char *check_update(const Mesos__V1__Executor__Call *call)
{
    if (!call->update)
        return "Expecting 'update' to be present";
    const Mesos__V1__TaskStatus *status = call->update->status;
    const char *wrong = check_status_fields(status);
    if (!wrong)
        wrong = check_uuid(status);
    if (wrong)
        return wrong;
    if (status->executor_id && strcmp(status->executor_id->value, call->executor_id->value) != 0)
        return "ExecutorID in Call does not match ExecutorID in TaskStatus";
    if (!status->has_source || status->source != MESOS__V1__TASK_STATUS__SOURCE__SOURCE_EXECUTOR)
        return "Received Call from executor with source other than SOURCE_EXECUTOR";
    if (status->state == MESOS__V1__TASK_STATE__TASK_STAGING)
        return "Received TASK_STAGING from executor which is not allowed";
    return status->check_status ? check_check_status(status->check_status) : NULL;
}

static const char *check_task(const ProtobufCBinaryData *bytes)
{
    Mesos__V1__TaskInfo *task = mesos__v1__task_info__unpack(NULL, bytes->len, bytes->data);
    if (!task)
        return "unacknowledged_tasks: not a TaskInfo";
    const char *wrong = NULL;
    if (!task->name || !task->task_id || !task->task_id->value || !task->agent_id || !task->agent_id->value)
        wrong = "missing required field: unacknowledged_tasks.{name, task_id, agent_id}";
    mesos__v1__task_info__free_unpacked(task, NULL);
    return wrong;
}

static const char *check_subscribe(const Mesos__V1__Executor__Call *call)
{
    const char *wrong = call->subscribe ? NULL : "Expecting 'subscribe' to be present";
    for (size_t i = 0; !wrong && i < call->subscribe->n_unacknowledged_tasks; i++)
        wrong = check_task(&call->subscribe->unacknowledged_tasks[i]);
    for (size_t i = 0; !wrong && i < call->subscribe->n_unacknowledged_updates; i++)
        wrong = check_status_fields(call->subscribe->unacknowledged_updates[i]->status);
    return wrong;
}

static const char *check_call(const Mesos__V1__Executor__Call *call)
{
    if (!call)
        return "the body is not a Call";
    if (!call->has_type)
        return "Expecting 'type' to be present";
    if (!call->executor_id || !call->executor_id->value)
        return "Expecting 'executor_id' to be present";
    if (!call->framework_id || !call->framework_id->value)
        return "Expecting 'framework_id' to be present";
    switch (call->type) {
    case MESOS__V1__EXECUTOR__CALL__TYPE__SUBSCRIBE:
        return check_subscribe(call);
    case MESOS__V1__EXECUTOR__CALL__TYPE__UPDATE:
        return check_update(call);
    case MESOS__V1__EXECUTOR__CALL__TYPE__MESSAGE:
        return call->message && call->message->has_data ? NULL
                                                        : "Expecting 'message' with 'data' to be present";
    default:
        return NULL;
    }
}

/* ---- step by step ---- */

/* Each step answers { .status = 0 } when it has nothing against the call. The order is the agent's. */

static struct judgement judge_path(const struct call_head *head)
{
    bool own = strcmp(head->url, own_path) == 0;
    if (head->domain_socket && !own)
        return REFUSE(403, "Over the domain socket only the executor endpoint below slave(1) answers.");
    if (!own && strcmp(head->url, plain_path) != 0)
        return REFUSE(404, "");
    return (struct judgement){0};
}

static struct judgement judge_token(struct devagent *agent, const struct call_head *head)
{
    static const char scheme[] = "Bearer ";
    if (agent->options.jwt != DEVAGENT_JWT_REQUIRED)
        return (struct judgement){0};
    if (!head->authorization)
        return REFUSE(401, "Missing 'Authorization' header");
    if (strncmp(head->authorization, scheme, strlen(scheme)) != 0)
        return REFUSE(401, "Malformed 'Authorization' header");
    if (strcmp(head->authorization + strlen(scheme), agent->token) != 0)
        return REFUSE(401, "Invalid JWT: token signature does not match");
    return (struct judgement){0};
}

static struct judgement judge_head(const struct devagent *agent, const struct call_head *head)
{
    if (agent->state == AGENT_RECOVERING)
        return REFUSE_INNOCENT(503, "Agent has not finished recovery");
    if (strcmp(head->method, "POST") != 0)
        return REFUSE(405, "Expecting one of { 'POST' }");
    if (!head->content_type)
        return REFUSE(400, "Expecting 'Content-Type' to be present");
    if (strcmp(head->content_type, "application/json") == 0)
        return REFUSE(415, "A Mesos agent takes JSON here; this one speaks application/x-protobuf only.");
    if (strcmp(head->content_type, "application/x-protobuf") != 0)
        return REFUSE(415, "Expecting 'Content-Type' of application/json or application/x-protobuf");
    return (struct judgement){0};
}

/* An agent prefers JSON wherever Accept admits it, so anything but protobuf alone would be answered with JSON
 * events. */
static struct judgement judge_accept(const struct call_head *head)
{
    const char *accept = head->accept ? head->accept : "*/*";
    if (strstr(accept, "application/json") || strstr(accept, "*/*") || strstr(accept, "application/*"))
        return REFUSE(
            406, "A Mesos agent answers this 'Accept' with JSON, which this one does not speak; send exactly "
                 "'Accept: application/x-protobuf'.");
    if (!strstr(accept, "application/x-protobuf"))
        return REFUSE(406, "Expecting 'Accept' to allow application/json or application/x-protobuf");
    return (struct judgement){0};
}

static struct judgement judge_ids(const struct devagent *agent, const Mesos__V1__Executor__Call *call)
{
    if (agent->known == DEVAGENT_FRAMEWORK_UNKNOWN)
        return REFUSE_INNOCENT(400, "Framework cannot be found");
    if (strcmp(call->framework_id->value, agent->framework_id) != 0)
        return REFUSE(400, "Framework cannot be found");
    if (agent->known == DEVAGENT_EXECUTOR_UNKNOWN)
        return REFUSE_INNOCENT(400, "Executor cannot be found");
    if (strcmp(call->executor_id->value, agent->executor_id) != 0)
        return REFUSE(400, "Executor cannot be found");
    if (agent->options.jwt_claims_differ)
        return REFUSE_INNOCENT(403, "Authenticated principal's claims do not match the executor");
    return (struct judgement){0};
}

/* A call of an executor that has not noticed the agent's restart yet is nobody's fault. */
static struct judgement judge_moment(const struct devagent *agent, const Mesos__V1__Executor__Call *call)
{
    if (call->type == MESOS__V1__EXECUTOR__CALL__TYPE__SUBSCRIBE)
        return (struct judgement){.status = 200};
    if (!agent->registered)
        return (struct judgement){
            .status = 403, .mistake = !agent->ever_registered, .words = "Executor is not subscribed"};
    if (call->type == MESOS__V1__EXECUTOR__CALL__TYPE__UPDATE ||
        call->type == MESOS__V1__EXECUTOR__CALL__TYPE__MESSAGE)
        return (struct judgement){.status = 202};
    return REFUSE(501, "");
}

struct judgement judge_call(struct devagent *agent, const struct call_head *head,
                            const Mesos__V1__Executor__Call *call)
{
    struct judgement judgement = judge_path(head);
    if (!judgement.status)
        judgement = judge_token(agent, head);
    if (!judgement.status)
        judgement = judge_head(agent, head);
    if (judgement.status)
        return judgement;
    const char *wrong = check_call(call);
    if (wrong)
        return REFUSE(400, agent_keep(agent, agent_format("Failed to validate Executor::Call: %s", wrong)));
    if (call->type == MESOS__V1__EXECUTOR__CALL__TYPE__SUBSCRIBE)
        judgement = judge_accept(head);
    else if (call->type == MESOS__V1__EXECUTOR__CALL__TYPE__HEARTBEAT)
        return (struct judgement){.status = 202};
    else if (agent->state == AGENT_RECONNECTING)
        return REFUSE_INNOCENT(503, "Agent has not finished recovery");
    if (!judgement.status)
        judgement = judge_ids(agent, call);
    return judgement.status ? judgement : judge_moment(agent, call);
}
