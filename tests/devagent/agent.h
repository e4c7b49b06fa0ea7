/*
 * What the files of devagent share: the agent's whole state, and who offers what to whom. devagent.h is the
 * face for everybody else.
 *
 *     devagent.c   create, destroy, the loop, timers, waits
 *     listen.c     sockets, the HTTP server, the agent's restarts
 *     http.c       one request from its head to its answer
 *     judge.c      which status a call deserves
 *     faults.c     the list of faults
 *     subscribe.c  what happens at SUBSCRIBE
 *     updates.c    what happens to a status update, acknowledgements
 *     stream.c     the event stream, byte by byte
 *     events.c     what the caller has sent to the executor
 *     launch.c     environment, sandbox, start
 *     container.c  the process that holds the executor's tree
 *     queries.c    answers to the caller
 */
#ifndef BULKHEAD_TESTS_DEVAGENT_AGENT_H
#define BULKHEAD_TESTS_DEVAGENT_AGENT_H

#include <microhttpd.h>

#include "tests/devagent/devagent.h"

/* ---- small things ---- */

struct list {
    void **items;
    size_t count, room;
};

/* Memory for a test tool: these abort when there is none. */
void *agent_alloc(size_t size);
char *agent_copy(const char *text); /* NULL stays NULL */
void *agent_copy_bytes(const void *data, size_t len);
__attribute__((format(printf, 1, 2))) char *agent_format(const char *format, ...);
void list_add(struct list *list, void *item);
void list_remove(struct list *list, size_t index);
void list_clear(struct list *list, void (*free_item)(void *item)); /* free_item may be NULL */

/* A string of the list for good: freed with the agent. */
const char *agent_keep(struct devagent *agent, char *text);

/* Base64 as in RFC 4648: section 5 without padding for tokens, section 4 for JSON. */
char *base64url_encode(const void *data, size_t len);
int base64_decode(const char *text, uint8_t **ret_data, size_t *ret_len); /* -EINVAL */

/* A duration as an agent prints it (5secs, 1500ms, 15mins). The caller frees it. */
char *duration_print(int64_t span_ms);

/* ---- the books ---- */

/* Events, calls and updates are the public structures with what only the agent needs around them. */
struct event {
    struct devagent_event public;
    struct update *acknowledges; /* ACKNOWLEDGED: told when it is written */
};

struct update {
    struct devagent_update public;
    bool terminal;
};

struct task {
    char *id;
    bool launched; /* false: only updates were seen, the agent knows no such task */
    bool delivered;
    bool ended, lost;
    uint8_t *bytes; /* as LAUNCH carried it */
    size_t len;
    char *states;
};

struct subscribe {
    struct devagent_subscribe public;
};

/* A LAUNCH or LAUNCH_GROUP that waits for the executor. */
struct queued_launch {
    uint8_t *record;
    size_t len;
    int type;
    struct list tasks; /* of struct task */
};

struct fault {
    struct devagent_fault public;
    char *body;
    int skip, left; /* left < 0: endless */
};

struct timer {
    int64_t due_ns;
    void (*run)(struct devagent *agent, void *arg);
    void *arg;
};

/* ---- connection, stream ---- */

struct stream;
struct request;

struct connection {
    struct devagent *agent;
    struct MHD_Connection *mhd;
    int fd;
    size_t number;
    bool domain_socket;
    bool suspended; /* MHD does not look at it: the agent does, for the peer's end */
    bool gone;      /* to be ended by whoever is asked next */
    struct request *request;
    struct stream *stream;
};

/* Where the bytes of an event end in the stream. */
struct mark {
    size_t end;
    struct event *event; /* NULL: raw bytes */
};

struct stream {
    struct devagent *agent; /* NULL: detached, nothing is told to the agent any more */
    struct connection *connection;
    uint8_t *bytes;
    size_t len, room, sent;
    size_t held; /* total bytes forgotten from the front: marks count from the beginning of time */
    struct list marks;
    bool ending; /* END once everything is written */
    bool broken; /* end without the last chunk */
};

enum agent_state {
    AGENT_DOWN,
    AGENT_RECOVERING,   /* 503 to everything */
    AGENT_RECONNECTING, /* SUBSCRIBE only */
    AGENT_RUNNING,
};

/* The process that holds the executor's tree: see container.c. */
struct container {
    pid_t pid;
    int fd;         /* -1: none */
    pid_t executor; /* 0: not started */
    int64_t started_ns, exited_ns;
    int wait_status; /* -1: not exited */
    bool swept;      /* the answer to the last sweep came */
    size_t swept_count;
};

struct devagent {
    struct devagent_options options; /* strings are copies, in `strings` */
    struct list strings;

    /* listen.c */
    int holder_fd, tcp_fd, unix_fd;
    uint16_t port;
    char *socket_path;
    struct MHD_Daemon *plain, *secure;
    struct list connections; /* of struct connection */
    size_t connection_count;
    bool accepting_domain_socket;
    enum agent_state state;
    int64_t recovering_ms; /* after a restart */
    unsigned life;         /* grows with each stop: timers of an earlier life do nothing */
    bool registered;       /* subscribed in this life of the agent */
    bool ever_registered;
    bool terminating;
    enum devagent_known known;

    /* launch.c */
    char *root, *sandbox, *token;
    struct list environment; /* of strings, NULL-terminated */
    struct container container;
    const char *destroyed;

    /* ids */
    const char *framework_id, *executor_id, *agent_id, *container_id;

    /* stream.c, events.c */
    struct stream *stream;
    bool subscribed;
    bool unknown_fields;
    size_t split;
    size_t next_task;
    struct list queue; /* of struct queued_launch */

    /* updates.c */
    enum devagent_ack ack;
    int64_t ack_delay_ms;
    bool resumed;             /* a connection was resumed since the HTTP server ran last */
    size_t notice_count;      /* how much has happened */
    struct list pending_acks; /* of struct update */
    bool hold_acks;           /* while SUBSCRIBE is worked on */
    struct list held_acks;    /* of struct update */

    /* the books */
    struct list events, updates, calls, mistakes, tasks, subscribes, messages, faults;
    struct list timers;

    int watch_fd;
    void (*watch)(struct devagent *agent, void *arg);
    void *watch_arg;
};

/* ---- who offers what ---- */

/* devagent.c */
void agent_notice(struct devagent *agent, struct devagent_notice notice);
__attribute__((format(printf, 2, 3))) void agent_say(struct devagent *agent, const char *format, ...);
__attribute__((format(printf, 2, 3))) void agent_mistake(struct devagent *agent, const char *format, ...);
void agent_after(struct devagent *agent, int64_t span_ms, void (*run)(struct devagent *agent, void *arg),
                 void *arg);

/* listen.c */
int agent_bind(struct devagent *agent);
void agent_unbind(struct devagent *agent);
void agent_accept(struct devagent *agent, int listen_fd);
/* returns when it wants to run again, in ms; negative: not by itself */
int64_t agent_run_server(struct devagent *agent);
void connection_suspend(struct connection *connection);
void connection_resume(struct connection *connection);

/* http.c: what MHD calls */
enum MHD_Result http_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                            const char *version, const char *upload, size_t *upload_len, void **request);
void http_completed(void *cls, struct MHD_Connection *mhd, void **request,
                    enum MHD_RequestTerminationCode why);
void http_connection(void *cls, struct MHD_Connection *mhd, void **context,
                     enum MHD_ConnectionNotificationCode what);

/* judge.c */
struct judgement {
    unsigned status; /* 200 or 202: to be handled */
    bool mistake;
    const char *words; /* static, or kept by the agent */
};
struct call_head {
    const char *url, *method, *content_type, *accept, *authorization; /* NULL: absent */
    bool domain_socket;
};
/* `call` is NULL when the body is no Call. */
struct judgement judge_call(struct devagent *agent, const struct call_head *head,
                            const Mesos__V1__Executor__Call *call);
const char *judge_call_name(int type);

/*
 * faults.c
 * Takes the first fault that matches and counts it down; NULL: none. `any_type_only`: before the body is
 * read.
 */
const struct devagent_fault *fault_take(struct devagent *agent, int call_type, bool before_body);
void fault_free(void *fault);

/* subscribe.c
 * The state of things at a SUBSCRIBE that was judged good; the stream is attached when this is called. */
void subscribe_handle(struct devagent *agent, const Mesos__V1__Executor__Call__Subscribe *subscribe);
void subscribe_free(void *subscribe);

/* updates.c */
struct update *update_handle(struct devagent *agent, const Mesos__V1__TaskStatus *status, bool by_subscribe);
void update_flush_held_acks(struct devagent *agent);
void update_free(void *update);

/* stream.c */
struct MHD_Response *stream_open(struct devagent *agent, struct connection *connection);
void stream_write(struct stream *stream, const void *data, size_t len, struct event *event);
void stream_wake(struct stream *stream);
void stream_end(struct devagent *agent, enum devagent_drop how); /* detaches the agent's stream */
void stream_lost(struct stream *stream);                         /* the peer or the server ended it */

/* events.c */
struct task *task_find(const struct devagent *agent, const char *id);
struct task *task_add(struct devagent *agent, const char *id, bool launched);
void task_free(void *task);
void event_free(void *event);
void queued_launch_free(void *launch);
int event_send(struct devagent *agent, const Mesos__V1__Executor__Event *event, struct update *acknowledges);
void event_send_subscribed(struct devagent *agent);
void event_send_queue(struct devagent *agent); /* LAUNCHes that waited */

/* launch.c */
int launch_prepare(struct devagent *agent); /* sandbox, token, environment */
void launch_clean(struct devagent *agent);
void launch_remove_tree(const char *root);
void launch_destroy_container(struct devagent *agent, const char *why);
char *launch_line(const char *const *argv); /* `exec 'A' 'B'`, A made absolute; the caller frees it */

/* container.c */
struct container_plan {
    const char *command;
    const char *const *environment;
    const char *directory;
    const char *user; /* NULL: unchanged */
    const char *root; /* removed at the end; NULL: kept */
    int stdout_fd, stderr_fd;
};
int container_open(struct container *container, const struct container_plan *plan);
int container_start(struct container *container);  /* the executor; once, and it waits for the fork alone */
void container_read(struct container *container);  /* takes what it has to say; call when fd is readable */
void container_sweep(struct container *container); /* asks it to kill everything */
void container_end(struct container *container);   /* kills everything, waits */
size_t container_processes(const struct container *container, pid_t *pids, size_t max);

/*
 * json_message.c
 * A message of this kind from a JSON object, by its descriptor: fields by their proto names, enums by name,
 * bytes as base64. -EINVAL with *ret_error set (malloc'd) to words that name the place and what is accepted
 * there. Free the message with protobuf_c_message_free_unpacked().
 */
int json_message_parse(const ProtobufCMessageDescriptor *kind, const char *text,
                       ProtobufCMessage **ret_message, char **ret_error);

/* tls_material.c: a certificate for 127.0.0.1 and localhost that signs itself, and its key. Protects nothing.
 */
extern const char tls_material_certificate[];
extern const char tls_material_key[];

#endif
