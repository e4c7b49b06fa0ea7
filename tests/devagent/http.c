/* One HTTP request from its head to its answer: read by libmicrohttpd, judged by judge.c, met by a fault or
 * handled. Nothing in here decides what a call means for a task. */
#include "tests/devagent/agent.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BODY_MAX = 256 * 1024 * 1024 };

struct request {
    char *url, *method;
    uint8_t *body;
    size_t len, room;
    bool read;                     /* the whole of it, and looked at */
    struct MHD_Response *response; /* to be sent when the connection goes on */
    unsigned status;
};

/* ---- connections and requests ---- */

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void connection_opened(struct devagent *agent, struct MHD_Connection *mhd, void **context)
{
    struct connection *connection = agent_alloc(sizeof(*connection));
    connection->agent = agent;
    connection->mhd = mhd;
    connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    connection->number = ++agent->connection_count;
    connection->domain_socket = agent->accepting_domain_socket;
    list_add(&agent->connections, connection);
    *context = connection;
}

static void connection_closed(struct devagent *agent, struct connection *connection)
{
    for (size_t i = 0; i < agent->connections.count; i++) {
        if (agent->connections.items[i] == connection) {
            list_remove(&agent->connections, i);
            break;
        }
    }
    if (connection->stream) {
        stream_lost(connection->stream);
        connection->stream->connection = NULL;
    }
    free(connection);
}

void http_connection(void *cls, struct MHD_Connection *mhd, void **context,
                     enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        connection_opened(cls, mhd, context);
    else if (*context)
        connection_closed(cls, *context);
}

void http_completed(void *cls, struct MHD_Connection *mhd, void **context,
                    enum MHD_RequestTerminationCode why)
{
    struct request *request = *context;
    (void)cls, (void)mhd, (void)why;
    if (!request)
        return;
    if (request->response)
        MHD_destroy_response(request->response);
    free(request->url);
    free(request->method);
    free(request->body);
    free(request);
    *context = NULL;
}

static enum MHD_Result request_begin(struct connection *connection, const char *url, const char *method,
                                     void **context)
{
    struct request *request = agent_alloc(sizeof(*request));
    request->url = agent_copy(url);
    request->method = agent_copy(method);
    *context = request;
    if (!fault_take(connection->agent, DEVAGENT_CALL_ANY, true))
        return MHD_YES;
    agent_say(connection->agent, "fault: a connection is closed before its call is read");
    shutdown(connection->fd, SHUT_RDWR);
    return MHD_NO;
}

static bool request_append(struct request *request, const char *data, size_t len)
{
    if (len > BODY_MAX - request->len)
        return false;
    if (len > request->room - request->len) {
        request->room = (request->len + len) * 2;
        request->body = realloc(request->body, request->room);
        if (!request->body)
            abort();
    }
    memcpy(request->body + request->len, data, len);
    request->len += len;
    return true;
}

/* ---- answers ---- */

static void prepare_answer(struct request *request, unsigned status, const char *body,
                           const char *content_type)
{
    request->status = status;
    request->response =
        MHD_create_response_from_buffer(strlen(body), (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (!request->response)
        abort();
    MHD_add_response_header(request->response, "Content-Type", content_type);
    if (status == 401)
        MHD_add_response_header(request->response, "WWW-Authenticate",
                                "Bearer realm=\"mesos-agent-executor\"");
    if (status == 405)
        MHD_add_response_header(request->response, "Allow", "POST");
}

static void prepare_stream(struct connection *connection, struct request *request)
{
    request->status = 200;
    request->response = stream_open(connection->agent, connection);
    MHD_add_response_header(request->response, "Content-Type", "application/x-protobuf");
}

static enum MHD_Result send_answer(struct connection *connection, struct request *request)
{
    enum MHD_Result result = MHD_queue_response(connection->mhd, request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return result;
}

static enum MHD_Result close_connection(struct connection *connection)
{
    shutdown(connection->fd, SHUT_RDWR);
    return MHD_NO;
}

/* ---- the call ---- */

static void handle_message(struct devagent *agent, const Mesos__V1__Executor__Call__Message *message)
{
    ProtobufCBinaryData *copy = agent_alloc(sizeof(*copy));
    copy->len = message->data.len;
    copy->data = agent_copy_bytes(message->data.data, message->data.len);
    list_add(&agent->messages, copy);
}

/* A call that was judged good, or its refusal: the answer is prepared, nothing is sent yet. */
static void handle(struct connection *connection, struct request *request, const struct judgement *judgement,
                   const Mesos__V1__Executor__Call *call)
{
    struct devagent *agent = connection->agent;
    if (judgement->status >= 300) {
        prepare_answer(request, judgement->status, judgement->words, "text/plain; charset=utf-8");
        return;
    }
    if (call->type == MESOS__V1__EXECUTOR__CALL__TYPE__SUBSCRIBE) {
        if (agent->stream) {
            agent_say(agent, "the earlier event stream is closed: a new SUBSCRIBE came");
            stream_end(agent, DEVAGENT_DROP_END);
        }
        prepare_stream(connection, request);
        subscribe_handle(agent, call->subscribe);
        return;
    }
    if (call->type == MESOS__V1__EXECUTOR__CALL__TYPE__UPDATE)
        (void)update_handle(agent, call->update->status, false);
    else if (call->type == MESOS__V1__EXECUTOR__CALL__TYPE__MESSAGE)
        handle_message(agent, call->message);
    prepare_answer(request, 202, "", "text/plain; charset=utf-8");
}

/* SUBSCRIBE answered with 200 and a stream that no executor expects. */
static void prepare_odd_stream(struct connection *connection, struct request *request,
                               enum devagent_fault_kind kind)
{
    struct devagent *agent = connection->agent;
    prepare_stream(connection, request);
    if (kind == DEVAGENT_FAULT_SHUTDOWN)
        (void)devagent_shutdown(agent);
    /* it stays open; nobody will write to it */
    if (kind == DEVAGENT_FAULT_SILENT)
        agent->stream = NULL;
    else
        stream_end(agent, DEVAGENT_DROP_END);
}

static void go_on(struct devagent *agent, void *number)
{
    for (size_t i = 0; i < agent->connections.count; i++) {
        struct connection *connection = agent->connections.items[i];
        if (connection->number == (size_t)(uintptr_t)number)
            connection_resume(connection);
    }
}

/* What a fault does to a call that has been read. `judgement` and `call` are for those that handle it all the
 * same. */
static enum MHD_Result meet_fault(struct connection *connection, struct request *request,
                                  const struct devagent_fault *fault, const struct judgement *judgement,
                                  const Mesos__V1__Executor__Call *call)
{
    switch (fault->kind) {
    case DEVAGENT_FAULT_STATUS:
        prepare_answer(request, fault->status, fault->body ? fault->body : "A fault that was asked for.",
                       "text/plain; charset=utf-8");
        return MHD_YES;
    case DEVAGENT_FAULT_WRONG_TYPE:
        prepare_answer(request, 200, "<html><body>Hello from some other server.</body></html>\n",
                       "text/html");
        return MHD_YES;
    case DEVAGENT_FAULT_NO_ANSWER:
        connection_suspend(connection);
        return MHD_YES;
    case DEVAGENT_FAULT_SLOW:
        handle(connection, request, judgement, call);
        connection_suspend(connection);
        agent_after(connection->agent, fault->delay_ms, go_on, (void *)(uintptr_t)connection->number);
        return MHD_YES;
    case DEVAGENT_FAULT_CLOSE_HANDLED:
        handle(connection, request, judgement, call);
        return MHD_NO;
    case DEVAGENT_FAULT_SILENT:
    case DEVAGENT_FAULT_SHUTDOWN:
    case DEVAGENT_FAULT_END_AFTER_HEAD:
        prepare_odd_stream(connection, request, fault->kind);
        return MHD_YES;
    default:
        return MHD_NO;
    }
}

static const char *first_header(struct MHD_Connection *mhd, const char *name)
{
    return MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, name);
}

static struct judgement judge(struct connection *connection, const struct request *request,
                              const Mesos__V1__Executor__Call *call)
{
    struct call_head head = {
        .url = request->url,
        .method = request->method,
        .content_type = first_header(connection->mhd, "Content-Type"),
        .accept = first_header(connection->mhd, "Accept"),
        .authorization = first_header(connection->mhd, "Authorization"),
        .domain_socket = connection->domain_socket,
    };
    return judge_call(connection->agent, &head, call);
}

static struct devagent_call *record_call(struct connection *connection, int type)
{
    struct devagent *agent = connection->agent;
    struct devagent_call *record = agent_alloc(sizeof(*record));
    *record = (struct devagent_call){
        .number = agent->calls.count,
        .type = type,
        .name = judge_call_name(type),
        .body = "",
        .by_domain_socket = connection->domain_socket,
        .connection = connection->number,
        .received_ns = devagent_now_ns(),
    };
    list_add(&agent->calls, record);
    return record;
}

static void tell_call(struct devagent *agent, const struct devagent_call *record,
                      const struct judgement *judgement)
{
    bool refused_by_us = !record->faulted && judgement->status >= 300;
    bool plain_update = record->type == DEVAGENT_CALL_UPDATE && record->status == 202 && !record->faulted;
    if (!plain_update)
        agent_notice(agent, (struct devagent_notice){.kind = DEVAGENT_NOTICE_CALL,
                                                     .time_ns = record->received_ns,
                                                     .call = record});
    if (refused_by_us && judgement->mistake)
        agent_mistake(agent, "%s answered with %u: %s", record->name, judgement->status, judgement->words);
}

static void finish_record(struct devagent *agent, struct devagent_call *record, const struct request *request,
                          const struct devagent_fault *fault, const struct judgement *judgement)
{
    record->faulted = fault != NULL;
    record->status = request->response ? request->status : 0;
    if (fault && fault->kind == DEVAGENT_FAULT_STATUS)
        record->body = agent_keep(agent, agent_copy(fault->body ? fault->body : ""));
    else if (!fault && judgement->words)
        record->body = judgement->words;
    tell_call(agent, record, judgement);
}

static enum MHD_Result look_at(struct connection *connection, struct request *request)
{
    struct devagent *agent = connection->agent;
    Mesos__V1__Executor__Call *call = mesos__v1__executor__call__unpack(NULL, request->len, request->body);
    int type = call && call->has_type ? (int)call->type : 0;
    struct devagent_call *record = record_call(connection, type);
    struct judgement judgement = judge(connection, request, call);
    const struct devagent_fault *fault = fault_take(agent, type, false);
    enum MHD_Result result = MHD_YES;
    if (fault)
        result = meet_fault(connection, request, fault, &judgement, call);
    else
        handle(connection, request, &judgement, call);
    bool closing = result == MHD_NO;
    if (closing && request->response) {
        MHD_destroy_response(request->response);
        request->response = NULL;
    }
    finish_record(agent, record, request, fault, &judgement);
    mesos__v1__executor__call__free_unpacked(call, NULL);
    return result;
}

enum MHD_Result http_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                            const char *version, const char *upload, size_t *upload_len, void **context)
{
    struct connection *connection = connection_of(mhd);
    struct request *request = *context;
    (void)cls, (void)version;
    if (!connection || connection->gone)
        return MHD_NO;
    if (!request)
        return request_begin(connection, url, method, context);
    if (*upload_len > 0) {
        bool fits = request_append(request, upload, *upload_len);
        *upload_len = 0;
        return fits ? MHD_YES : close_connection(connection);
    }
    if (!request->read) {
        request->read = true;
        if (look_at(connection, request) == MHD_NO)
            return close_connection(connection);
    }
    /* Suspended: comes here again when it goes on. */
    if (connection->suspended || !request->response)
        return MHD_YES;
    return send_answer(connection, request);
}
