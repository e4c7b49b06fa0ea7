/*
 * The agent's events, translated.
 *
 * One row and one function an event. What Mesos may add (types, fields) is passed over; what Mesos requires
 * and is not there makes an event that is skipped with a warning; bytes that are no protobuf end the stream.
 * It must hand on a group whole or not at all, and must never emit a body above the message list's limit:
 * that would end this process instead of the task.
 */
#include "agent-client/event.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent-client/taskinfo.h"
#include "proto/bulkhead.pb-c.h"
#include "proto/mesos_v1_executor.pb-c.h"

/* What a translation needs. */
struct translation {
    const Mesos__V1__Executor__Event *event;
    event_emit emit;
    void *arg;
    struct event_report *report;
};

static int conclude(struct translation *t, enum event_outcome outcome, const char *text)
{
    t->report->outcome = outcome;
    t->report->text = text;
    return 0;
}

static size_t largest_body(enum message_type type)
{
    return message_find((uint16_t)type)->largest;
}

/* Emits what fits; the rest is skipped with the given words. */
static int emit_or_skip(struct translation *t, enum message_type type, const ProtobufCMessage *body,
                        const char *too_large)
{
    if (protobuf_c_message_get_packed_size(body) > largest_body(type))
        return conclude(t, EVENT_SKIPPED, too_large);
    int r = t->emit(t->arg, type, body);
    return r < 0 ? r : conclude(t, EVENT_PASSED, NULL);
}

static const char *task_id_of(const Mesos__V1__TaskID *id)
{
    return id != NULL && id->value != NULL && id->value[0] != '\0' ? id->value : NULL;
}

static bool kills_are_announced(const Mesos__V1__FrameworkInfo *framework)
{
    for (size_t i = 0; framework != NULL && i < framework->n_capabilities; i++)
        if (framework->capabilities[i]->has_type &&
            framework->capabilities[i]->type ==
                MESOS__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__TASK_KILLING_STATE)
            return true;
    return false;
}

static int translate_subscribed(struct translation *t)
{
    const Mesos__V1__Executor__Event__Subscribed *subscribed = t->event->subscribed;
    if (subscribed == NULL)
        return conclude(t, EVENT_SKIPPED, "it carries nothing");
    Bulkhead__Subscribed body = BULKHEAD__SUBSCRIBED__INIT;
    if (subscribed->agent_info != NULL && subscribed->agent_info->id != NULL)
        body.agent_id = subscribed->agent_info->id->value;
    body.has_task_killing_state = 1;
    body.task_killing_state = kills_are_announced(subscribed->framework_info);
    return emit_or_skip(t, MESSAGE_AGENT_SUBSCRIBED, &body.base,
                        "the agent's id is longer than a message may be");
}

static int translate_kill(struct translation *t)
{
    const Mesos__V1__Executor__Event__Kill *kill = t->event->kill;
    const char *task_id = kill != NULL ? task_id_of(kill->task_id) : NULL;
    if (task_id == NULL)
        return conclude(t, EVENT_SKIPPED, "it names no task");
    Bulkhead__Kill body = BULKHEAD__KILL__INIT;
    body.task_id = kill->task_id->value;
    const Mesos__V1__DurationInfo *grace = kill->kill_policy != NULL ? kill->kill_policy->grace_period : NULL;
    if (grace != NULL && grace->has_nanoseconds) {
        body.has_grace = 1;
        body.grace = grace->nanoseconds;
    }
    return emit_or_skip(t, MESSAGE_AGENT_KILL, &body.base, "the task's id is longer than a message may be");
}

static int translate_acknowledged(struct translation *t)
{
    const Mesos__V1__Executor__Event__Acknowledged *acknowledged = t->event->acknowledged;
    if (acknowledged == NULL || !acknowledged->has_uuid || task_id_of(acknowledged->task_id) == NULL)
        return conclude(t, EVENT_SKIPPED, "it names no update");
    Bulkhead__Acknowledged body = BULKHEAD__ACKNOWLEDGED__INIT;
    body.task_id = acknowledged->task_id->value;
    body.has_uuid = 1;
    body.uuid = acknowledged->uuid;
    return emit_or_skip(t, MESSAGE_AGENT_ACKNOWLEDGED, &body.base, "it is longer than a message may be");
}

static int translate_shutdown(struct translation *t)
{
    Bulkhead__Empty body = BULKHEAD__EMPTY__INIT;
    return emit_or_skip(t, MESSAGE_AGENT_SHUTDOWN, &body.base, "");
}

/* Tells the supervisor of one task that it cannot have. */
static int refuse(struct translation *t, const struct taskinfo *const *tasks, size_t count, size_t size)
{
    char reason[160];
    snprintf(reason, sizeof(reason),
             "the task%s %zu bytes in the executor's own form; %zu bytes is the most it takes",
             count > 1 ? " group has" : " has", size, largest_body(MESSAGE_AGENT_LAUNCH));
    conclude(t, EVENT_REFUSED, "it is larger than a message may be");
    for (size_t i = 0; i < count; i++) {
        Bulkhead__LaunchRefused body = BULKHEAD__LAUNCH_REFUSED__INIT;
        body.task_id = taskinfo_message((struct taskinfo *)(uintptr_t)tasks[i])->task_id;
        body.reason = reason;
        if (protobuf_c_message_get_packed_size(&body.base) > largest_body(MESSAGE_AGENT_LAUNCH_REFUSED))
            continue;
        int r = t->emit(t->arg, MESSAGE_AGENT_LAUNCH_REFUSED, &body.base);
        if (r < 0)
            return r;
    }
    return 0;
}

static int emit_launch(struct translation *t, struct taskinfo *const *tasks, size_t count, bool group)
{
    Bulkhead__Task **messages = calloc(count, sizeof(Bulkhead__Task *));
    if (messages == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        messages[i] = taskinfo_message(tasks[i]);
        t->report->secrets += taskinfo_secret_count(tasks[i]);
    }
    Bulkhead__Launch body = BULKHEAD__LAUNCH__INIT;
    body.n_tasks = count;
    body.tasks = messages;
    body.has_group = group;
    body.group = group;
    size_t size = protobuf_c_message_get_packed_size(&body.base);
    int r;
    if (size > largest_body(MESSAGE_AGENT_LAUNCH)) {
        r = refuse(t, (const struct taskinfo *const *)tasks, count, size);
    } else {
        r = t->emit(t->arg, MESSAGE_AGENT_LAUNCH, &body.base);
        conclude(t, EVENT_PASSED, NULL);
    }
    free(messages);
    return r;
}

static int read_tasks(const ProtobufCBinaryData *raw, size_t count, struct taskinfo **tasks)
{
    for (size_t i = 0; i < count; i++) {
        int r = taskinfo_read(raw[i].data, raw[i].len, &tasks[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int launch(struct translation *t, const ProtobufCBinaryData *raw, size_t count, bool group)
{
    struct taskinfo **tasks = calloc(count, sizeof(struct taskinfo *));
    if (tasks == NULL)
        return -ENOMEM;
    int r = read_tasks(raw, count, tasks);
    if (r == 0)
        r = emit_launch(t, tasks, count, group);
    else if (r == -ENODATA)
        r = conclude(t, EVENT_SKIPPED, "a task without an id");
    for (size_t i = 0; i < count; i++)
        taskinfo_free(tasks[i]);
    free(tasks);
    return r;
}

static int translate_launch(struct translation *t)
{
    const Mesos__V1__Executor__Event__Launch *event = t->event->launch;
    if (event == NULL || !event->has_task)
        return conclude(t, EVENT_SKIPPED, "it carries no task");
    return launch(t, &event->task, 1, false);
}

static int translate_launch_group(struct translation *t)
{
    const Mesos__V1__Executor__Event__LaunchGroup *event = t->event->launch_group;
    if (event == NULL || event->task_group == NULL || event->task_group->n_tasks == 0)
        return conclude(t, EVENT_SKIPPED, "it carries no task");
    return launch(t, event->task_group->tasks, event->task_group->n_tasks, true);
}

static int translate_error(struct translation *t)
{
    const Mesos__V1__Executor__Event__Error *error = t->event->error;
    if (error != NULL && error->message != NULL)
        t->report->agent_words = strdup(error->message); /* without memory the log has fewer words */
    return conclude(t, EVENT_SKIPPED, "the agent reports an error");
}

static int translate_ignored(struct translation *t)
{
    return conclude(t, EVENT_IGNORED, NULL);
}

static int translate_unknown(struct translation *t)
{
    return conclude(t, EVENT_SKIPPED, "its type is not known here");
}

struct row {
    Mesos__V1__Executor__Event__Type type;
    const char *name;
    int (*translate)(struct translation *t);
};

#define TYPE(name) MESOS__V1__EXECUTOR__EVENT__TYPE__##name

static const struct row rows[] = {
    {TYPE(SUBSCRIBED), "SUBSCRIBED", translate_subscribed},
    {TYPE(LAUNCH), "LAUNCH", translate_launch},
    {TYPE(LAUNCH_GROUP), "LAUNCH_GROUP", translate_launch_group},
    {TYPE(KILL), "KILL", translate_kill},
    {TYPE(ACKNOWLEDGED), "ACKNOWLEDGED", translate_acknowledged},
    {TYPE(SHUTDOWN), "SHUTDOWN", translate_shutdown},
    {TYPE(ERROR), "ERROR", translate_error},
    {TYPE(MESSAGE), "MESSAGE", translate_ignored},
    {TYPE(HEARTBEAT), "HEARTBEAT", translate_ignored},
};

static const struct row unknown_row = {TYPE(UNKNOWN), "UNKNOWN", translate_unknown};

static const struct row *find_row(const Mesos__V1__Executor__Event *event)
{
    for (size_t i = 0; event->has_type && i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].type == event->type)
            return &rows[i];
    return &unknown_row;
}

int event_translate(const unsigned char *data, size_t size, event_emit emit, void *arg,
                    struct event_report *ret_report)
{
    Mesos__V1__Executor__Event *event = mesos__v1__executor__event__unpack(NULL, size, data);
    if (event == NULL)
        return -EBADMSG;
    const struct row *row = find_row(event);
    struct event_report report = {.type = event->has_type ? (uint32_t)event->type : 0, .name = row->name};
    struct translation translation = {.event = event, .emit = emit, .arg = arg, .report = &report};
    int r = row->translate(&translation);
    mesos__v1__executor__event__free_unpacked(event, NULL);
    if (r < 0)
        event_report_clear(&report);
    else
        *ret_report = report;
    return r;
}

void event_report_clear(struct event_report *report)
{
    if (report == NULL)
        return;
    free(report->agent_words);
    report->agent_words = NULL;
}
