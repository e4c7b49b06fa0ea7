/*
 * A small Mesos agent for one executor, on loopback: the agent's side of the v1 executor API, the agent's
 * environment and sandbox for the executor that it starts, its judgement of each call, and faults on demand.
 * The integration tests and the benchmarks drive it as a library, `devagent` is the same for people.
 *
 * One thread, no signal handlers, no hidden work: things happen inside devagent_pump() and the functions that
 * wait, and nowhere else. Every pointer that a query returns belongs to the agent and is good until
 * devagent_destroy().
 *
 *     struct devagent_options options;
 *     devagent_options_init(&options);
 *     options.executor_command = "exec /path/to/supervisor";
 *     struct devagent *agent;
 *     devagent_create(&options, &agent);
 *     devagent_launch_command(agent, "t1", "sleep 60");
 *     devagent_start_executor(agent);
 *     devagent_wait_state(agent, "t1", MESOS__V1__TASK_STATE__TASK_RUNNING, 5000);
 *     devagent_kill(agent, "t1", 1000);
 *     devagent_wait_state(agent, "t1", MESOS__V1__TASK_STATE__TASK_KILLED, 5000);
 *     devagent_wait_exit(agent, 5000);
 *     assert(devagent_mistake_count(agent) == 0 && devagent_left_behind(agent) == 0);
 *     devagent_destroy(agent);
 *
 * The executor's working directory is the sandbox. Once created the agent listens; a task that is launched
 * before the executor has subscribed waits in the agent. devagent_destroy() kills what is left and removes
 * the sandbox.
 *
 * Moments are int64_t nanoseconds on CLOCK_MONOTONIC and end in _ns; spans of time are int64_t milliseconds
 * and end in _ms. Functions return 0 or a negative errno unless said otherwise.
 */
#ifndef BULKHEAD_TESTS_DEVAGENT_H
#define BULKHEAD_TESTS_DEVAGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "proto/mesos_v1.pb-c.h"
#include "proto/mesos_v1_executor.pb-c.h"

struct devagent;

/* ---- notices ---- */

enum devagent_notice_kind {
    DEVAGENT_NOTICE_EVENT,   /* an event was written to the executor; `event` is set */
    DEVAGENT_NOTICE_UPDATE,  /* a status update was taken; `update` is set */
    DEVAGENT_NOTICE_CALL,    /* any other call, or one that was refused or met a fault; `call` is set */
    DEVAGENT_NOTICE_MISTAKE, /* the executor broke a rule; `text` says which */
    /* something that the agent did or saw: started, exited, restart, fault; `text` says what */
    DEVAGENT_NOTICE_AGENT,
};

struct devagent_event;
struct devagent_update;
struct devagent_call;

struct devagent_notice {
    enum devagent_notice_kind kind;
    int64_t time_ns;
    const struct devagent_event *event;
    const struct devagent_update *update;
    const struct devagent_call *call;
    const char *text;
};

/* Called from inside devagent_pump() and the actions. It may query the agent and must not act on it. */
typedef void devagent_notice_fn(const struct devagent_notice *notice, void *arg);

/* ---- options ---- */

enum devagent_jwt {
    DEVAGENT_JWT_NONE,     /* no MESOS_EXECUTOR_AUTHENTICATION_TOKEN */
    DEVAGENT_JWT_GIVEN,    /* a token is given and not asked for: no --authenticate_http_executors */
    DEVAGENT_JWT_REQUIRED, /* a call without the token is answered with 401 */
};

struct devagent_options {
    /*
     * The executor. One of executor_command (run as `sh -c COMMAND`, as an agent does) and executor_argv
     * (NULL-terminated; quoted and joined to `exec 'A' 'B'…` and then run the same way); or neither: then
     * nothing can be started and somebody else connects (the environment that he needs:
     * devagent_environment()).
     */
    const char *executor_command;
    const char *const *executor_argv;
    /* NAME=VALUE, NULL-terminated: the agent's --executor_environment_variables */
    const char *const *environment;
    /* NAME=VALUE, NULL-terminated: ExecutorInfo.command.environment, which wins over everything, the
     * agent's own variables included */
    const char *const *command_environment;
    const char *user; /* run the executor as this user (needs root); NULL: as the caller */

    const char *framework_id; /* NULL: a default */
    const char *executor_id;  /* NULL: a default */
    bool task_killing_state;  /* the framework has the capability TASK_KILLING_STATE */

    bool checkpoint;             /* MESOS_CHECKPOINT, and with it the two variables that only then exist */
    int64_t recovery_timeout_ms; /* MESOS_RECOVERY_TIMEOUT; default 15 minutes */
    /* MESOS_SUBSCRIPTION_BACKOFF_MAX, and how long a restarted agent waits for the executor before it
     * destroys the container; default 2000 */
    int64_t reregistration_timeout_ms;
    /* an executor that has not subscribed so long after its start has its container destroyed; default
     * 60000 */
    int64_t registration_timeout_ms;
    /* MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD, and when the container is destroyed after SHUTDOWN;
     * default 5000 */
    int64_t shutdown_grace_ms;
    bool never_destroy; /* do not destroy the container when one of these three is over */

    enum devagent_jwt jwt;
    bool jwt_claims_differ; /* the token is good but of another executor: 403 */
    /* also listen on a unix socket, MESOS_DOMAIN_SOCKET: over it only /slave(1)/api/v1/executor
     * answers, everything else is 403 */
    bool domain_socket;
    /* TCP speaks TLS with a built-in certificate for 127.0.0.1; LIBPROCESS_SSL_ENABLED, _CA_FILE and
     * _VERIFY_SERVER_CERT are set */
    bool tls;
    /* text of another certificate; the CA file stays the built-in one, so that this is how to try a
     * certificate that must not be trusted */
    const char *tls_cert_pem, *tls_key_pem;

    bool not_listening; /* start as an agent that is not up yet: see devagent_listen() */
    /* at SUBSCRIBE, acknowledge the repeated updates before SUBSCRIBED instead of after it */
    bool ack_before_subscribed;
    bool long_sandbox; /* a sandbox whose path is longer than a unix socket's address may be */
    bool keep_sandbox; /* leave the sandbox behind */

    devagent_notice_fn *notice; /* may be NULL */
    void *notice_arg;
};

/* Fills in the defaults that are named above; everything else is zero. */
void devagent_options_init(struct devagent_options *options);

/* ---- life and loop ---- */

/* Makes the sandbox and, unless not_listening, listens on an ephemeral port of 127.0.0.1. `options` may be
 * NULL; what it points to is copied. Does not start the executor. */
int devagent_create(const struct devagent_options *options, struct devagent **ret_agent);

/* Kills whatever the executor and its descendants (daemonised ones too) left running, closes every socket,
 * removes the sandbox. Blocks until the last process is gone. NULL is fine. */
void devagent_destroy(struct devagent *agent);

/*
 * Starts the executor: `sh -c COMMAND`, leader of a new session, stdin /dev/null, stdout and stderr the
 * sandbox's files of these names, working directory the sandbox, environment exactly devagent_environment().
 * Once; -EALREADY after that, -EINVAL when the options name no executor.
 */
int devagent_start_executor(struct devagent *agent);

/* The environment that the executor is started with, NAME=VALUE, NULL-terminated, sorted as they were set. */
const char *const *devagent_environment(const struct devagent *agent);

/* Waits at most timeout_ms (negative: for ever) for something to do, does it, returns. 0 does what is due. */
int devagent_pump(struct devagent *agent, int64_t timeout_ms);

typedef bool devagent_predicate(struct devagent *agent, void *arg);

/* Pumps until the predicate is true (looked at first before anything is done): 0; -ETIMEDOUT when that has
 * not come within timeout_ms. The predicate may act on the agent. */
int devagent_run_until(struct devagent *agent, devagent_predicate *predicate, void *arg, int64_t timeout_ms);

/* Pumps for this long, whatever happens: to show that something does NOT happen. */
void devagent_run_for(struct devagent *agent, int64_t span_ms);

/* One more descriptor to poll for reading, for the caller's own purposes (signals, a task's output). One per
 * agent; fd -1 takes it away. The callback runs inside devagent_pump() and may act on the agent. */
void devagent_watch(struct devagent *agent, int fd, void (*callback)(struct devagent *agent, void *arg),
                    void *arg);

/*
 * Waits in short. Each pumps; 0 or -ETIMEDOUT. All count from the agent's creation: so many SUBSCRIBEs
 * accepted; SUBSCRIBED written; so many of devagent_update_count() and of devagent_call_count(); the exit;
 * the sandbox's file `name` contains `text`.
 */
int devagent_wait_subscribes(struct devagent *agent, size_t count, int64_t timeout_ms);
int devagent_wait_subscribed(struct devagent *agent, int64_t timeout_ms);
int devagent_wait_updates(struct devagent *agent, size_t count, int64_t timeout_ms);
int devagent_wait_calls(struct devagent *agent, size_t count, int64_t timeout_ms);
int devagent_wait_exit(struct devagent *agent, int64_t timeout_ms);
int devagent_wait_file(struct devagent *agent, const char *name, const char *text, int64_t timeout_ms);

/* Waits for the first update of this task with this state (stored, or of a task unknown to the agent) and
 * returns it, at once when it is there already; NULL when it did not come. */
const struct devagent_update *devagent_wait_state(struct devagent *agent, const char *task_id,
                                                  Mesos__V1__TaskState state, int64_t timeout_ms);

/* ---- events to the executor ---- */

/*
 * LAUNCH. With no executor subscribed for the first time yet, the task waits in the agent, as with a real
 * one, and follows SUBSCRIBED; when it was subscribed and is gone: -ENOTCONN, nothing is sent. What a master
 * would have filled in is filled in when absent: task_id ("task-N"), name, agent_id, resources.
 */
int devagent_launch(struct devagent *agent, const Mesos__V1__TaskInfo *task);
int devagent_launch_command(struct devagent *agent, const char *task_id, const char *shell_command);
/* A TaskInfo in Mesos' v1 JSON. -EINVAL: *ret_error (malloc'd, may be NULL as a pointer) says where and what
 * is accepted. */
int devagent_launch_json(struct devagent *agent, const char *json, char **ret_error);
/* These bytes as the TaskInfo, untouched. task_id may be NULL: then the agent keeps no books for the task. */
int devagent_launch_bytes(struct devagent *agent, const char *task_id, const uint8_t *bytes, size_t len);
/* LAUNCH_GROUP; the tasks are completed as by devagent_launch(). */
int devagent_launch_group(struct devagent *agent, const Mesos__V1__TaskInfo *const *tasks, size_t count);

/*
 * KILL, with a kill policy when grace_ms is not negative. A task that still waits in the agent is taken out
 * of the queue instead (if none remains, the first SUBSCRIBE is answered with SHUTDOWN alone). A task never
 * launched is sent as is.
 */
int devagent_kill(struct devagent *agent, const char *task_id, int64_t grace_ms);

/* SHUTDOWN. From here on a SUBSCRIBE is answered with SHUTDOWN and the end of the stream, and the container
 * is destroyed after shutdown_grace_ms. Without a stream only these two hold. */
int devagent_shutdown(struct devagent *agent);

/* The others: MESSAGE, ERROR, HEARTBEAT, a type that no version has, this event, these bytes as one record,
 * these bytes without a record's head. -ENOTCONN without a stream. */
int devagent_send_message(struct devagent *agent, const void *data, size_t len);
int devagent_send_error(struct devagent *agent, const char *message);
int devagent_send_heartbeat(struct devagent *agent);
int devagent_send_unknown(struct devagent *agent);
int devagent_send_event(struct devagent *agent, const Mesos__V1__Executor__Event *event);
int devagent_send_record(struct devagent *agent, const void *data, size_t len);
int devagent_send_bytes(struct devagent *agent, const void *data, size_t len);

/* From now on each event carries fields that no version has (a number, a string and a message). */
void devagent_set_unknown_fields(struct devagent *agent, bool on);

/* From now on each HTTP chunk of the stream, sent by itself, has at most this many bytes; 0: no limit. */
void devagent_set_split(struct devagent *agent, size_t bytes);

enum devagent_drop {
    DEVAGENT_DROP_END,   /* the end of the chunked body; the connection stays open for another call */
    DEVAGENT_DROP_CUT,   /* FIN in the middle of the chunked body */
    DEVAGENT_DROP_RESET, /* RST */
};

/* Ends the event stream, after what was already queued has been written (END) or at once. -ENOTCONN without
 * one. */
int devagent_drop_stream(struct devagent *agent, enum devagent_drop how);

/* The agent's end of every connection but the stream's is closed. Returns how many. */
size_t devagent_drop_calls(struct devagent *agent);

/* ---- acknowledgements ---- */

enum devagent_ack {
    DEVAGENT_ACK_NOW,
    DEVAGENT_ACK_DELAY,             /* after delay_ms */
    DEVAGENT_ACK_WITHHOLD,          /* until devagent_release_acks() */
    DEVAGENT_ACK_WITHHOLD_TERMINAL, /* the same for terminal updates, the others at once */
    DEVAGENT_ACK_TWICE,             /* at once, and once more */
};

/* For updates that arrive from now on. delay_ms is for DEVAGENT_ACK_DELAY. */
void devagent_set_ack(struct devagent *agent, enum devagent_ack policy, int64_t delay_ms);

/*
 * Sends the acknowledgements that wait, oldest first or newest first. Returns how many. Like a real agent's
 * they go to the stream of this moment; without one they are lost (and the update is acknowledged when it is
 * sent again).
 */
size_t devagent_release_acks(struct devagent *agent, bool newest_first);
size_t devagent_withheld_acks(const struct devagent *agent);

/* ACKNOWLEDGED with these 16 bytes, or with an id that nobody ever used when uuid is NULL. */
int devagent_send_ack(struct devagent *agent, const char *task_id, const uint8_t *uuid);

/* ---- the agent's life ---- */

/* Starts listening, in the agent's own time: for recovering_ms everything is answered with 503 ("Agent has
 * not finished recovery"); 0: at once ready. -EALREADY when it listens. */
int devagent_listen(struct devagent *agent, int64_t recovering_ms);

/* The agent dies: listening sockets and every connection are closed, waiting acknowledgements are forgotten.
 * The port is kept: connecting to it is refused and nobody else gets it. */
void devagent_stop(struct devagent *agent);

/*
 * Stop, and down_ms later listen again as an agent that recovers: for recovering_ms 503 to everything; then
 * for reregistration_timeout_ms only SUBSCRIBE is taken and other calls are still 503; an executor that has
 * not come by then has its container destroyed. Without checkpoint the executor is forgotten (400 "Framework
 * cannot be found"). Returns at once; the rest happens while pumping.
 */
void devagent_restart(struct devagent *agent, int64_t down_ms, int64_t recovering_ms);

enum devagent_known { DEVAGENT_KNOWN, DEVAGENT_FRAMEWORK_UNKNOWN, DEVAGENT_EXECUTOR_UNKNOWN };

/* Unknown: calls are answered with 400 "Framework cannot be found" or "Executor cannot be found". */
void devagent_set_known(struct devagent *agent, enum devagent_known known);

/* ---- faults ---- */

enum devagent_fault_kind {
    DEVAGENT_FAULT_STATUS,    /* answer with `status` and `body`; the call is not looked at */
    DEVAGENT_FAULT_NO_ANSWER, /* read the call, then say nothing for ever */
    DEVAGENT_FAULT_SLOW,      /* handle the call, and answer delay_ms after it came */
    /* close as soon as the head is read (any call: its type is not known yet) */
    DEVAGENT_FAULT_CLOSE_BEFORE_BODY,
    DEVAGENT_FAULT_CLOSE_AFTER_BODY, /* close when all is read; the call is not looked at */
    /* handle the call (an update is stored and acknowledged), close without an answer */
    DEVAGENT_FAULT_CLOSE_HANDLED,
    DEVAGENT_FAULT_WRONG_TYPE,     /* SUBSCRIBE: 200 with Content-Type text/html and some HTML */
    DEVAGENT_FAULT_SILENT,         /* SUBSCRIBE: 200 and not one event, ever */
    DEVAGENT_FAULT_SHUTDOWN,       /* SUBSCRIBE: 200, SHUTDOWN alone, end */
    DEVAGENT_FAULT_END_AFTER_HEAD, /* SUBSCRIBE: 200 and the end of the stream */
};

/* Which calls a fault is for. */
enum devagent_call_type {
    DEVAGENT_CALL_ANY = 0,
    DEVAGENT_CALL_SUBSCRIBE = MESOS__V1__EXECUTOR__CALL__TYPE__SUBSCRIBE,
    DEVAGENT_CALL_UPDATE = MESOS__V1__EXECUTOR__CALL__TYPE__UPDATE,
    DEVAGENT_CALL_MESSAGE = MESOS__V1__EXECUTOR__CALL__TYPE__MESSAGE,
    DEVAGENT_CALL_HEARTBEAT = MESOS__V1__EXECUTOR__CALL__TYPE__HEARTBEAT,
};

struct devagent_fault {
    enum devagent_fault_kind kind;
    enum devagent_call_type calls;
    int skip;  /* let so many matching calls pass first */
    int count; /* how many calls it is for; 0 is 1, negative: every call until devagent_clear_faults() */
    unsigned status;  /* FAULT_STATUS */
    const char *body; /* FAULT_STATUS; NULL: some words */
    int64_t delay_ms; /* FAULT_SLOW */
};

/*
 * Adds a fault; the first in the list that matches a call is used. A refusal by a fault is no mistake of the
 * executor's. The last four kinds are for SUBSCRIBE whatever `calls` says. -EINVAL: CLOSE_BEFORE_BODY for one
 * type of call.
 */
int devagent_add_fault(struct devagent *agent, const struct devagent_fault *fault);
void devagent_clear_faults(struct devagent *agent);
/* Faults that have still to happen (an endless one counts as one). */
size_t devagent_faults_left(const struct devagent *agent);

/* ---- queries ---- */

enum devagent_fate {
    DEVAGENT_FATE_STORED,    /* taken */
    DEVAGENT_FATE_DUPLICATE, /* its uuid was stored before: acknowledged again, nothing else */
    DEVAGENT_FATE_SWALLOWED, /* the task has ended: acknowledged and thrown away; a mistake */
    DEVAGENT_FATE_UNKNOWN,   /* a task that the agent never launched: acknowledged and thrown away */
    DEVAGENT_FATE_DROPPED,   /* wrong agent_id: neither stored nor acknowledged; a mistake */
};

/* A status update that was answered with 202, or came with SUBSCRIBE. */
struct devagent_update {
    size_t number; /* 0, 1, 2… in order of arrival */
    const char *task_id;
    Mesos__V1__TaskState state;
    const char *message; /* NULL: not set */
    bool has_reason, has_healthy, healthy;
    Mesos__V1__TaskStatus__Reason reason;
    uint8_t uuid[16];
    double timestamp;    /* seconds since 1970; 0: not set */
    bool by_subscribe;   /* came in unacknowledged_updates */
    size_t subscription; /* how many SUBSCRIBEs had been accepted when it came */
    enum devagent_fate fate;
    int64_t received_ns;
    size_t acks_sent;                    /* grows as they are sent */
    int64_t acked_ns;                    /* when the first one was written; 0: not yet */
    const Mesos__V1__TaskStatus *status; /* everything */
};

struct devagent_event {
    size_t number;
    int type;            /* Mesos__V1__Executor__Event__Type, or -1 for raw bytes */
    const char *name;    /* "LAUNCH"… */
    const char *task_id; /* NULL: none */
    uint8_t uuid[16];    /* ACKNOWLEDGED */
    int64_t grace_ms;    /* KILL; negative: no kill policy */
    int64_t queued_ns;   /* when it was asked for */
    int64_t sent_ns;     /* when its last byte was handed to the socket; 0: not yet */
    size_t len;          /* of the record, without its head */
};

struct devagent_call {
    size_t number;
    int type;         /* enum devagent_call_type; 0: could not be told */
    const char *name; /* "SUBSCRIBE"…, "?" when it could not be told */
    unsigned status;  /* the answer; 0: none was given */
    const char *body; /* the answer's words; "" when none */
    bool faulted;     /* by devagent_add_fault */
    bool by_domain_socket;
    size_t connection;   /* 1, 2…: connections in order of their coming */
    int64_t received_ns; /* when its last byte had been read */
};

/* A SUBSCRIBE that was accepted. */
struct devagent_subscribe {
    size_t task_count;
    const ProtobufCBinaryData *tasks; /* unacknowledged_tasks as they came */
    const char *const *task_ids;      /* their ids; NULL where the bytes are no TaskInfo */
    const bool *tasks_same;           /* byte for byte what LAUNCH brought */
    size_t update_count;
    const struct devagent_update *const *updates; /* unacknowledged_updates, in their order */
    int64_t received_ns;
};

bool devagent_is_subscribed(const struct devagent *agent); /* a stream is open and SUBSCRIBED is on it */
size_t devagent_subscribe_count(const struct devagent *agent);
const struct devagent_subscribe *devagent_subscribe_at(const struct devagent *agent, size_t index);

size_t devagent_update_count(const struct devagent *agent);
const struct devagent_update *devagent_update_at(const struct devagent *agent, size_t index);
/* A task's states in order, as "STARTING RUNNING FINISHED": what was stored, or what came for a task that the
 * agent never launched; no duplicates, nothing swallowed. "" when there was none. What most tests compare. */
const char *devagent_states(const struct devagent *agent, const char *task_id);
/* The last update stored for a task; NULL: none. */
const struct devagent_update *devagent_last_update(const struct devagent *agent, const char *task_id);
/* Stored terminal updates whose acknowledgement has not been written. */
size_t devagent_unacked_terminal(const struct devagent *agent);

size_t devagent_event_count(const struct devagent *agent);
const struct devagent_event *devagent_event_at(const struct devagent *agent, size_t index);
/* The last event of this type written; NULL: none. */
const struct devagent_event *devagent_last_event(const struct devagent *agent, int type);

/* every HTTP request, refused and faulted ones too */
size_t devagent_call_count(const struct devagent *agent);
const struct devagent_call *devagent_call_at(const struct devagent *agent, size_t index);

/* What the executor did wrong: each call that the agent itself answered with 4xx (faults and states that a
 * test asked for do not count), updates after a terminal one, a wrong agent_id. */
size_t devagent_mistake_count(const struct devagent *agent);
const char *devagent_mistake_at(const struct devagent *agent, size_t index);

/* Tasks that the agent gave up as TASK_LOST because a SUBSCRIBE did not name them. */
bool devagent_task_lost(const struct devagent *agent, const char *task_id);

size_t devagent_message_count(const struct devagent *agent); /* MESSAGE calls */
const ProtobufCBinaryData *devagent_message_at(const struct devagent *agent, size_t index);

pid_t devagent_executor_pid(const struct devagent *agent); /* 0: not started. It stays after the exit. */
int64_t devagent_started_ns(const struct devagent *agent); /* the moment of its fork */
bool devagent_has_exited(const struct devagent *agent);
int devagent_wait_status(const struct devagent *agent); /* as waitpid(2) has it; -1: not exited */
/* 0..255, 128+N for signal N as in a shell; -1: not exited */
int devagent_exit_code(const struct devagent *agent);
int64_t devagent_exited_ns(const struct devagent *agent);
/* Why the agent destroyed the container; NULL: it did not. */
const char *devagent_destroyed(const struct devagent *agent);
/* Live processes that descend from the executor, wherever they have gone; after its exit: what it left
 * behind. The executor counts while it lives. Fills at most `max` pids when `pids` is not NULL. */
size_t devagent_processes(const struct devagent *agent, pid_t *pids, size_t max);
/* The same without the executor itself. */
size_t devagent_left_behind(const struct devagent *agent);
/* SIGKILL to all of them, and wait until they are gone. Returns how many there were. */
size_t devagent_kill_processes(struct devagent *agent);

uint16_t devagent_port(const struct devagent *agent);
const char *devagent_socket_path(const struct devagent *agent); /* NULL: no domain socket */
const char *devagent_token(const struct devagent *agent);       /* NULL: none */
const char *devagent_agent_id(const struct devagent *agent);
const char *devagent_framework_id(const struct devagent *agent);
const char *devagent_executor_id(const struct devagent *agent);
const char *devagent_sandbox(const struct devagent *agent);

/* A file of the sandbox ("stdout", "stderr"…) as text, "" when there is none. The caller frees it. */
char *devagent_read_file(const struct devagent *agent, const char *name);

/* For a failed test: every event, call, update and mistake, and the executor's stderr. */
void devagent_dump(const struct devagent *agent, FILE *stream);

/* ---- Marathon ---- */

/*
 * A task as Marathon hands it over when an app says `"executor": "/path"`: no TaskInfo.command;
 * TaskInfo.executor with the id marathon-<task id> and the command `chmod ug+rx '<path>' && exec '<path>'
 * <the task's command>`, which carries the task's environment too. An agent starts the executor with exactly
 * that command, so `command`, `executor_id` and `environment` belong into the options' executor_command,
 * executor_id and command_environment. (TaskBuilder.scala)
 */
struct devagent_marathon {
    Mesos__V1__TaskInfo *task;
    const char *command, *executor_id;
    const char *const *environment;
};

/* -EINVAL when the task has no task_id or no command. */
int devagent_marathon_new(const Mesos__V1__TaskInfo *task, const char *executor_path,
                          struct devagent_marathon **ret_marathon);
void devagent_marathon_free(struct devagent_marathon *marathon);

/* A TaskInfo from Mesos' v1 JSON; errors as devagent_launch_json(). Free it with
 * mesos__v1__task_info__free_unpacked(). */
int devagent_parse_task(const char *json, Mesos__V1__TaskInfo **ret_task, char **ret_error);

int64_t devagent_now_ns(void);
/* "TASK_RUNNING"; "?" for a number that has no name */
const char *devagent_state_name(Mesos__V1__TaskState state);
const char *devagent_reason_name(Mesos__V1__TaskStatus__Reason reason);
bool devagent_state_is_terminal(Mesos__V1__TaskState state);

#endif
