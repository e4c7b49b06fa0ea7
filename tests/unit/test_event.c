/* The agent's events: what each becomes, what is skipped, what is refused, and what ends the stream. */
#include "agent-client/event.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/bulkhead.pb-c.h"
#include "proto/mesos_v1_executor.pb-c.h"

#define TYPE(name) MESOS__V1__EXECUTOR__EVENT__TYPE__##name

/* What was emitted: each body packed and read again, as the supervisor would. */
struct sink {
    size_t count;
    enum message_type types[8];
    ProtobufCMessage *bodies[8];
    int answer; /* what emit returns */
};

static int keep(void *arg, enum message_type type, const ProtobufCMessage *body)
{
    struct sink *sink = arg;
    if (sink->answer < 0)
        return sink->answer;
    size_t size = protobuf_c_message_get_packed_size(body);
    cr_assert_leq(size, message_find((uint16_t)type)->largest);
    uint8_t *bytes = malloc(size + 1);
    protobuf_c_message_pack(body, bytes);
    cr_assert_lt(sink->count, 8);
    cr_assert_eq(message_decode((uint16_t)type, bytes, size, &sink->bodies[sink->count]), 0);
    free(bytes);
    sink->types[sink->count++] = type;
    return 0;
}

static void clear(struct sink *sink)
{
    for (size_t i = 0; i < sink->count; i++)
        protobuf_c_message_free_unpacked(sink->bodies[i], NULL);
    *sink = (struct sink){0};
}

/* The caller clears the report. */
static int translate_bytes(const void *bytes, size_t size, struct sink *sink, struct event_report *ret_report)
{
    return event_translate(bytes, size, keep, sink, ret_report);
}

static int translate(const Mesos__V1__Executor__Event *event, struct sink *sink,
                     struct event_report *ret_report)
{
    size_t size = mesos__v1__executor__event__get_packed_size(event);
    uint8_t *bytes = malloc(size + 1);
    mesos__v1__executor__event__pack(event, bytes);
    int r = translate_bytes(bytes, size, sink, ret_report);
    free(bytes);
    return r;
}

static Mesos__V1__Executor__Event make_event(Mesos__V1__Executor__Event__Type type)
{
    Mesos__V1__Executor__Event event = MESOS__V1__EXECUTOR__EVENT__INIT;
    event.has_type = 1;
    event.type = type;
    return event;
}

static void assert_outcome(const Mesos__V1__Executor__Event *event, enum event_outcome outcome,
                           const char *name)
{
    struct sink sink = {0};
    struct event_report report;
    cr_assert_eq(translate(event, &sink, &report), 0, "%s", name);
    cr_assert_eq(report.outcome, outcome, "%s", name);
    cr_assert_str_eq(report.name, name);
    if (outcome == EVENT_SKIPPED)
        cr_assert_not_null(report.text);
    cr_assert_eq(sink.count, outcome == EVENT_PASSED ? 1 : 0, "%s", name);
    event_report_clear(&report);
    clear(&sink);
}

static ProtobufCBinaryData pack_task(const Mesos__V1__TaskInfo *task)
{
    ProtobufCBinaryData raw = {.len = mesos__v1__task_info__get_packed_size(task)};
    raw.data = malloc(raw.len + 1);
    mesos__v1__task_info__pack(task, raw.data);
    return raw;
}

/* ---- the simple ones ---- */

Test(event, subscribed)
{
    char agent[] = "agent-7";
    Mesos__V1__AgentID agent_id = MESOS__V1__AGENT_ID__INIT;
    agent_id.value = agent;
    Mesos__V1__AgentInfo agent_info = MESOS__V1__AGENT_INFO__INIT;
    agent_info.id = &agent_id;
    Mesos__V1__FrameworkInfo__Capability aware = MESOS__V1__FRAMEWORK_INFO__CAPABILITY__INIT;
    aware.has_type = 1;
    aware.type = MESOS__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__PARTITION_AWARE;
    Mesos__V1__FrameworkInfo__Capability killing = aware;
    killing.type = MESOS__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__TASK_KILLING_STATE;
    Mesos__V1__FrameworkInfo__Capability *capabilities[] = {&aware, &killing};
    Mesos__V1__FrameworkInfo framework = MESOS__V1__FRAMEWORK_INFO__INIT;
    framework.capabilities = capabilities;
    Mesos__V1__Executor__Event__Subscribed subscribed = MESOS__V1__EXECUTOR__EVENT__SUBSCRIBED__INIT;
    subscribed.agent_info = &agent_info;
    subscribed.framework_info = &framework;
    Mesos__V1__Executor__Event event = make_event(TYPE(SUBSCRIBED));
    event.subscribed = &subscribed;

    for (size_t count = 0; count <= 2; count++) {
        framework.n_capabilities = count;
        struct sink sink = {0};
        struct event_report report;
        cr_assert_eq(translate(&event, &sink, &report), 0);
        cr_assert_eq(report.outcome, EVENT_PASSED);
        cr_assert_eq(sink.types[0], MESSAGE_AGENT_SUBSCRIBED);
        const Bulkhead__Subscribed *body = (const Bulkhead__Subscribed *)sink.bodies[0];
        cr_assert_str_eq(body->agent_id, "agent-7");
        cr_assert(body->has_task_killing_state);
        cr_assert_eq(body->task_killing_state, count == 2);
        clear(&sink);
    }
    subscribed.agent_info = NULL;
    subscribed.framework_info = NULL;
    assert_outcome(&event, EVENT_PASSED, "SUBSCRIBED");
}

Test(event, kill_with_and_without_grace)
{
    char id[] = "task-1";
    Mesos__V1__TaskID task_id = MESOS__V1__TASK_ID__INIT;
    task_id.value = id;
    Mesos__V1__DurationInfo duration = MESOS__V1__DURATION_INFO__INIT;
    Mesos__V1__KillPolicy policy = MESOS__V1__KILL_POLICY__INIT;
    Mesos__V1__Executor__Event__Kill kill = MESOS__V1__EXECUTOR__EVENT__KILL__INIT;
    kill.task_id = &task_id;
    Mesos__V1__Executor__Event event = make_event(TYPE(KILL));
    event.kill = &kill;

    for (int step = 0; step < 4; step++) {
        kill.kill_policy = step > 0 ? &policy : NULL;
        policy.grace_period = step > 1 ? &duration : NULL;
        duration.has_nanoseconds = step > 2;
        duration.nanoseconds = 0;
        struct sink sink = {0};
        struct event_report report;
        cr_assert_eq(translate(&event, &sink, &report), 0);
        const Bulkhead__Kill *body = (const Bulkhead__Kill *)sink.bodies[0];
        cr_assert_eq(sink.types[0], MESSAGE_AGENT_KILL);
        cr_assert_str_eq(body->task_id, "task-1");
        cr_assert_eq(body->has_grace, step == 3, "a grace of 0 is not no grace");
        cr_assert_eq(body->grace, 0);
        clear(&sink);
    }
}

Test(event, acknowledged)
{
    char id[] = "task-1";
    uint8_t uuid[16] = {9, 8, 7};
    Mesos__V1__TaskID task_id = MESOS__V1__TASK_ID__INIT;
    task_id.value = id;
    Mesos__V1__Executor__Event__Acknowledged acknowledged = MESOS__V1__EXECUTOR__EVENT__ACKNOWLEDGED__INIT;
    acknowledged.task_id = &task_id;
    acknowledged.has_uuid = 1;
    acknowledged.uuid = (ProtobufCBinaryData){.len = sizeof(uuid), .data = uuid};
    Mesos__V1__Executor__Event event = make_event(TYPE(ACKNOWLEDGED));
    event.acknowledged = &acknowledged;
    struct sink sink = {0};
    struct event_report report;
    cr_assert_eq(translate(&event, &sink, &report), 0);
    const Bulkhead__Acknowledged *body = (const Bulkhead__Acknowledged *)sink.bodies[0];
    cr_assert_eq(sink.types[0], MESSAGE_AGENT_ACKNOWLEDGED);
    cr_assert_str_eq(body->task_id, "task-1");
    cr_assert_eq(body->uuid.len, 16);
    cr_assert_eq(memcmp(body->uuid.data, uuid, 16), 0);
    clear(&sink);
}

Test(event, shutdown_needs_nothing)
{
    Mesos__V1__Executor__Event event = make_event(TYPE(SHUTDOWN));
    assert_outcome(&event, EVENT_PASSED, "SHUTDOWN");
}

Test(event, message_and_heartbeat_ask_nothing)
{
    Mesos__V1__Executor__Event event = make_event(TYPE(HEARTBEAT));
    assert_outcome(&event, EVENT_IGNORED, "HEARTBEAT");
    event = make_event(TYPE(MESSAGE));
    assert_outcome(&event, EVENT_IGNORED, "MESSAGE");
}

Test(event, error_hands_its_words_to_the_log)
{
    char words[] = "something is wrong";
    Mesos__V1__Executor__Event__Error error = MESOS__V1__EXECUTOR__EVENT__ERROR__INIT;
    error.message = words;
    Mesos__V1__Executor__Event event = make_event(TYPE(ERROR));
    event.error = &error;
    struct sink sink = {0};
    struct event_report report;
    cr_assert_eq(translate(&event, &sink, &report), 0);
    cr_assert_eq(report.outcome, EVENT_SKIPPED);
    cr_assert_str_eq(report.agent_words, "something is wrong");
    cr_assert_eq(sink.count, 0);
    event_report_clear(&report);
    event.error = NULL;
    assert_outcome(&event, EVENT_SKIPPED, "ERROR");
}

Test(event, what_is_incomplete_or_unknown_is_skipped)
{
    static const struct {
        Mesos__V1__Executor__Event__Type type;
        const char *name;
    } rows[] = {{TYPE(SUBSCRIBED), "SUBSCRIBED"},
                {TYPE(LAUNCH), "LAUNCH"},
                {TYPE(LAUNCH_GROUP), "LAUNCH_GROUP"},
                {TYPE(KILL), "KILL"},
                {TYPE(ACKNOWLEDGED), "ACKNOWLEDGED"},
                {TYPE(UNKNOWN), "UNKNOWN"},
                {(Mesos__V1__Executor__Event__Type)77, "UNKNOWN"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Mesos__V1__Executor__Event event = make_event(rows[i].type);
        assert_outcome(&event, EVENT_SKIPPED, rows[i].name);
    }
    Mesos__V1__Executor__Event no_type = MESOS__V1__EXECUTOR__EVENT__INIT;
    assert_outcome(&no_type, EVENT_SKIPPED, "UNKNOWN");

    char nothing[] = "";
    Mesos__V1__TaskID empty = MESOS__V1__TASK_ID__INIT;
    empty.value = nothing;
    Mesos__V1__Executor__Event__Kill kill = MESOS__V1__EXECUTOR__EVENT__KILL__INIT;
    Mesos__V1__Executor__Event event = make_event(TYPE(KILL));
    event.kill = &kill;
    assert_outcome(&event, EVENT_SKIPPED, "KILL");
    kill.task_id = &empty;
    assert_outcome(&event, EVENT_SKIPPED, "KILL");

    Mesos__V1__TaskInfo task = MESOS__V1__TASK_INFO__INIT;
    task.task_id = &empty;
    Mesos__V1__Executor__Event__Launch launch = MESOS__V1__EXECUTOR__EVENT__LAUNCH__INIT;
    launch.has_task = 1;
    launch.task = pack_task(&task);
    event = make_event(TYPE(LAUNCH));
    event.launch = &launch;
    assert_outcome(&event, EVENT_SKIPPED, "LAUNCH");
    free(launch.task.data);
}

Test(event, an_id_above_the_limit_of_a_message_is_skipped)
{
    size_t size = 70 * 1024;
    char *id = malloc(size);
    memset(id, 'x', size - 1);
    id[size - 1] = '\0';
    Mesos__V1__TaskID task_id = MESOS__V1__TASK_ID__INIT;
    task_id.value = id;
    Mesos__V1__Executor__Event__Kill kill = MESOS__V1__EXECUTOR__EVENT__KILL__INIT;
    kill.task_id = &task_id;
    Mesos__V1__Executor__Event event = make_event(TYPE(KILL));
    event.kill = &kill;
    assert_outcome(&event, EVENT_SKIPPED, "KILL");
    free(id);
}

Test(event, garbage_ends_the_stream)
{
    static const char *const garbage[] = {"\xFF\xFF\xFF\xFF", "\x08", "\x12\x7F", "\x0A\x05\x61\x62"};
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        struct sink sink = {0};
        struct event_report report;
        cr_assert_eq(translate_bytes(garbage[i], strlen(garbage[i]), &sink, &report), -EBADMSG, "row %zu", i);
    }
}

Test(event, unknown_fields_are_passed_over)
{
    /* SHUTDOWN with field 100 (a number), 101 (bytes) and 102 (a fixed64). */
    static const unsigned char bytes[] = {0x08, 7,    0xA0, 0x06, 0x2A, 0xAA, 0x06, 3, 'a', 'b', 'c',
                                          0xB1, 0x06, 1,    2,    3,    4,    5,    6, 7,   8};
    struct sink sink = {0};
    struct event_report report;
    cr_assert_eq(translate_bytes(bytes, sizeof(bytes), &sink, &report), 0);
    cr_assert_eq(report.outcome, EVENT_PASSED);
    cr_assert_eq(sink.types[0], MESSAGE_AGENT_SHUTDOWN);
    clear(&sink);
}

Test(event, empty_record_is_skipped)
{
    struct sink sink = {0};
    struct event_report report;
    cr_assert_eq(translate_bytes("", 0, &sink, &report), 0);
    cr_assert_eq(report.outcome, EVENT_SKIPPED);
}

Test(event, what_emit_says_is_handed_on)
{
    Mesos__V1__Executor__Event event = make_event(TYPE(SHUTDOWN));
    struct sink sink = {.answer = -EPIPE};
    struct event_report report;
    cr_assert_eq(translate(&event, &sink, &report), -EPIPE);
}

/* ---- tasks ---- */

/* A TaskInfo with everything in it that the supervisor is told of. */
struct sample {
    Mesos__V1__TaskInfo task;
    Mesos__V1__TaskID id;
    Mesos__V1__CommandInfo command, executor_command;
    Mesos__V1__ExecutorInfo executor;
    Mesos__V1__Environment environment;
    Mesos__V1__Environment__Variable variables[5];
    Mesos__V1__Environment__Variable *variable_pointers[5];
    Mesos__V1__KillPolicy kill_policy;
    Mesos__V1__DurationInfo grace, completion;
    Mesos__V1__Resource resources[2];
    Mesos__V1__Resource *resource_pointers[2];
    Mesos__V1__Resource__AllocationInfo allocations[2];
    char *arguments[2];
};

static char text_a[] = "A", text_b[] = "B", text_c[] = "C", text_d[] = "D", text_value[] = "a value",
            text_empty[] = "";
static char text_role[] = "role/one", text_other[] = "role/two", text_user[] = "somebody",
            text_shell[] = "echo hello";
static char text_program[] = "/bin/program", text_argument[] = "an argument";

static void fill_environment(struct sample *s)
{
    mesos__v1__environment__init(&s->environment);
    for (int i = 0; i < 5; i++) {
        mesos__v1__environment__variable__init(&s->variables[i]);
        s->variable_pointers[i] = &s->variables[i];
    }
    s->variables[0].name = text_a; /* a type that is not said is VALUE */
    s->variables[0].value = text_value;
    s->variables[1].name = text_b;
    s->variables[1].value = text_value;
    s->variables[1].has_type = 1;
    s->variables[1].type = MESOS__V1__ENVIRONMENT__VARIABLE__TYPE__SECRET;
    s->variables[2].name = text_c;
    s->variables[2].value = text_empty;
    s->variables[2].has_type = 1;
    s->variables[2].type = MESOS__V1__ENVIRONMENT__VARIABLE__TYPE__VALUE;
    s->variables[3].name = text_d;      /* no value */
    s->variables[4].value = text_value; /* no name */
    s->environment.n_variables = 5;
    s->environment.variables = s->variable_pointers;
}

static void fill_resources(struct sample *s)
{
    char *roles[] = {text_role, text_other};
    for (int i = 0; i < 2; i++) {
        mesos__v1__resource__init(&s->resources[i]);
        mesos__v1__resource__allocation_info__init(&s->allocations[i]);
        s->allocations[i].role = roles[i];
        s->resources[i].allocation_info = &s->allocations[i];
        s->resource_pointers[i] = &s->resources[i];
    }
    s->task.n_resources = 2;
    s->task.resources = s->resource_pointers;
}

static void fill(struct sample *s, char *id)
{
    mesos__v1__task_info__init(&s->task);
    mesos__v1__task_id__init(&s->id);
    mesos__v1__command_info__init(&s->command);
    mesos__v1__command_info__init(&s->executor_command);
    mesos__v1__executor_info__init(&s->executor);
    mesos__v1__kill_policy__init(&s->kill_policy);
    mesos__v1__duration_info__init(&s->grace);
    mesos__v1__duration_info__init(&s->completion);
    s->id.value = id;
    s->task.task_id = &s->id;
    fill_environment(s);
    fill_resources(s);
    s->command.value = text_shell;
    s->command.user = text_user;
    s->command.environment = &s->environment;
    s->task.command = &s->command;
    s->executor_command.value = text_program;
    s->executor_command.has_shell = 1;
    s->executor_command.shell = 0;
    s->arguments[0] = text_program;
    s->arguments[1] = text_argument;
    s->executor_command.n_arguments = 2;
    s->executor_command.arguments = s->arguments;
    s->executor.command = &s->executor_command;
    s->task.executor = &s->executor;
    s->grace.has_nanoseconds = 1;
    s->grace.nanoseconds = -5;
    s->kill_policy.grace_period = &s->grace;
    s->task.kill_policy = &s->kill_policy;
    s->completion.has_nanoseconds = 1;
    s->completion.nanoseconds = 0;
    s->task.max_completion_time = &s->completion;
}

static void assert_sample(const Bulkhead__Task *task, const char *id, const ProtobufCBinaryData *raw)
{
    cr_assert_str_eq(task->task_id, id);
    cr_assert_eq(task->raw.len, raw->len);
    cr_assert_eq(memcmp(task->raw.data, raw->data, raw->len), 0, "the agent's own bytes, every one");
    cr_assert(task->has_kill_grace);
    cr_assert_eq(task->kill_grace, -5, "whether that makes sense is the supervisor's to say");
    cr_assert(task->has_max_completion_time);
    cr_assert_eq(task->max_completion_time, 0);
    cr_assert_str_eq(task->allocation_role, "role/one");

    cr_assert_str_eq(task->command->value, "echo hello");
    cr_assert(task->command->has_shell);
    cr_assert(task->command->shell, "a command is a shell's unless it says otherwise");
    cr_assert_str_eq(task->command->user, "somebody");
    cr_assert_eq(task->command->n_arguments, 0);
    cr_assert_eq(task->command->n_environment, 3);
    cr_assert_str_eq(task->command->environment[0]->name, "A");
    cr_assert_str_eq(task->command->environment[0]->value, "a value");
    cr_assert_str_eq(task->command->environment[1]->name, "C");
    cr_assert_str_eq(task->command->environment[1]->value, "");
    cr_assert_str_eq(task->command->environment[2]->name, "D");
    cr_assert_str_eq(task->command->environment[2]->value, "");

    cr_assert_not(task->executor_command->shell);
    cr_assert_eq(task->executor_command->n_arguments, 2);
    cr_assert_str_eq(task->executor_command->arguments[1], "an argument");
    cr_assert_eq(task->executor_command->n_environment, 0);
    cr_assert_null(task->executor_command->user);
}

Test(event, launch)
{
    struct sample sample;
    char id[] = "task-1";
    fill(&sample, id);
    ProtobufCBinaryData raw = pack_task(&sample.task);
    Mesos__V1__Executor__Event__Launch launch = MESOS__V1__EXECUTOR__EVENT__LAUNCH__INIT;
    launch.has_task = 1;
    launch.task = raw;
    Mesos__V1__Executor__Event event = make_event(TYPE(LAUNCH));
    event.launch = &launch;
    struct sink sink = {0};
    struct event_report report;
    cr_assert_eq(translate(&event, &sink, &report), 0);
    cr_assert_eq(report.outcome, EVENT_PASSED);
    cr_assert_eq(report.secrets, 2);
    cr_assert_eq(sink.types[0], MESSAGE_AGENT_LAUNCH);
    const Bulkhead__Launch *body = (const Bulkhead__Launch *)sink.bodies[0];
    cr_assert_eq(body->n_tasks, 1);
    cr_assert_not(body->group);
    assert_sample(body->tasks[0], "task-1", &raw);
    clear(&sink);
    free(raw.data);
}

Test(event, launch_of_a_task_with_nothing_but_an_id)
{
    static uint8_t raw[] = {0x12, 3, 0x0A, 1, 'x', 0xBA, 0x3E, 2, 'u', 'v'}; /* task_id and field 999 */
    Mesos__V1__Executor__Event__Launch launch = MESOS__V1__EXECUTOR__EVENT__LAUNCH__INIT;
    launch.has_task = 1;
    launch.task = (ProtobufCBinaryData){.len = sizeof(raw), .data = raw};
    Mesos__V1__Executor__Event event = make_event(TYPE(LAUNCH));
    event.launch = &launch;
    struct sink sink = {0};
    struct event_report report;
    cr_assert_eq(translate(&event, &sink, &report), 0);
    const Bulkhead__Task *task = ((const Bulkhead__Launch *)sink.bodies[0])->tasks[0];
    cr_assert_str_eq(task->task_id, "x");
    cr_assert_eq(task->raw.len, sizeof(raw));
    cr_assert_eq(memcmp(task->raw.data, raw, sizeof(raw)), 0);
    cr_assert_null(task->command);
    cr_assert_null(task->executor_command);
    cr_assert_null(task->allocation_role);
    cr_assert_not(task->has_kill_grace);
    cr_assert_not(task->has_max_completion_time);
    clear(&sink);
}

Test(event, launch_of_garbage_ends_the_stream)
{
    static uint8_t raw[] = {0x12, 0x7F, 1};
    Mesos__V1__Executor__Event__Launch launch = MESOS__V1__EXECUTOR__EVENT__LAUNCH__INIT;
    launch.has_task = 1;
    launch.task = (ProtobufCBinaryData){.len = sizeof(raw), .data = raw};
    Mesos__V1__Executor__Event event = make_event(TYPE(LAUNCH));
    event.launch = &launch;
    struct sink sink = {0};
    struct event_report report;
    cr_assert_eq(translate(&event, &sink, &report), -EBADMSG);
    cr_assert_eq(sink.count, 0);
}

/* ---- groups ---- */

static int translate_group(const ProtobufCBinaryData *tasks, size_t count, struct sink *sink,
                           struct event_report *report)
{
    Mesos__V1__TaskGroupInfo group = MESOS__V1__TASK_GROUP_INFO__INIT;
    group.n_tasks = count;
    group.tasks = (ProtobufCBinaryData *)(uintptr_t)tasks;
    Mesos__V1__Executor__Event__LaunchGroup launch = MESOS__V1__EXECUTOR__EVENT__LAUNCH_GROUP__INIT;
    launch.task_group = &group;
    Mesos__V1__Executor__Event event = make_event(TYPE(LAUNCH_GROUP));
    event.launch_group = &launch;
    return translate(&event, sink, report);
}

Test(event, launch_group_is_one_message)
{
    struct sample samples[3];
    char ids[3][8] = {"one", "two", "three"};
    ProtobufCBinaryData raws[3];
    for (int i = 0; i < 3; i++) {
        fill(&samples[i], ids[i]);
        raws[i] = pack_task(&samples[i].task);
    }
    struct sink sink = {0};
    struct event_report report;
    cr_assert_eq(translate_group(raws, 3, &sink, &report), 0);
    cr_assert_eq(sink.count, 1);
    const Bulkhead__Launch *body = (const Bulkhead__Launch *)sink.bodies[0];
    cr_assert(body->group);
    cr_assert_eq(body->n_tasks, 3);
    for (int i = 0; i < 3; i++) {
        assert_sample(body->tasks[i], ids[i], &raws[i]);
        free(raws[i].data);
    }
    clear(&sink);
}

Test(event, group_with_a_bad_member_is_not_passed_at_all)
{
    static uint8_t good[] = {0x12, 3, 0x0A, 1, 'x'}, bad[] = {0x12, 0x7F}, nameless[] = {0x0A, 1, 'n'};
    ProtobufCBinaryData tasks[] = {{sizeof(good), good}, {sizeof(bad), bad}};
    struct sink sink = {0};
    struct event_report report;
    cr_assert_eq(translate_group(tasks, 2, &sink, &report), -EBADMSG);
    cr_assert_eq(sink.count, 0);
    tasks[1] = (ProtobufCBinaryData){sizeof(nameless), nameless};
    cr_assert_eq(translate_group(tasks, 2, &sink, &report), 0);
    cr_assert_eq(report.outcome, EVENT_SKIPPED);
    cr_assert_eq(sink.count, 0);
}

static ProtobufCBinaryData task_of_size(char *id, size_t data)
{
    Mesos__V1__TaskID task_id = MESOS__V1__TASK_ID__INIT;
    task_id.value = id;
    Mesos__V1__TaskInfo task = MESOS__V1__TASK_INFO__INIT;
    task.task_id = &task_id;
    task.has_data = 1;
    task.data.len = data;
    task.data.data = calloc(1, data);
    ProtobufCBinaryData raw = pack_task(&task);
    free(task.data.data);
    return raw;
}

static void assert_refused(const struct sink *sink, size_t index, const char *id)
{
    cr_assert_eq(sink->types[index], MESSAGE_AGENT_LAUNCH_REFUSED);
    const Bulkhead__LaunchRefused *body = (const Bulkhead__LaunchRefused *)sink->bodies[index];
    cr_assert_str_eq(body->task_id, id);
    cr_assert_not_null(strstr(body->reason, "67108864"), "%s", body->reason);
}

Test(event, launch_above_the_limit_is_refused_with_the_limit_named)
{
    char one[] = "one", two[] = "two";
    ProtobufCBinaryData raws[] = {task_of_size(one, 64 << 20), task_of_size(two, 10)};
    Mesos__V1__Executor__Event__Launch launch = MESOS__V1__EXECUTOR__EVENT__LAUNCH__INIT;
    launch.has_task = 1;
    launch.task = raws[0];
    Mesos__V1__Executor__Event event = make_event(TYPE(LAUNCH));
    event.launch = &launch;
    struct sink sink = {0};
    struct event_report report;
    cr_assert_eq(translate(&event, &sink, &report), 0);
    cr_assert_eq(report.outcome, EVENT_REFUSED);
    cr_assert_eq(sink.count, 1);
    assert_refused(&sink, 0, "one");
    clear(&sink);

    cr_assert_eq(translate_group(raws, 2, &sink, &report), 0);
    cr_assert_eq(report.outcome, EVENT_REFUSED);
    cr_assert_eq(sink.count, 2);
    assert_refused(&sink, 0, "one");
    assert_refused(&sink, 1, "two");
    clear(&sink);
    free(raws[0].data);
    free(raws[1].data);
}

Test(event, group_whose_sum_is_above_the_limit_is_refused)
{
    char one[] = "one", two[] = "two";
    ProtobufCBinaryData raws[] = {task_of_size(one, 40 << 20), task_of_size(two, 40 << 20)};
    struct sink sink = {0};
    struct event_report report;
    cr_assert_eq(translate_group(raws, 2, &sink, &report), 0);
    cr_assert_eq(report.outcome, EVENT_REFUSED);
    cr_assert_eq(sink.count, 2);
    clear(&sink);

    cr_assert_eq(translate_group(raws, 1, &sink, &report), 0);
    cr_assert_eq(report.outcome, EVENT_PASSED, "40 MiB is no reason to refuse");
    clear(&sink);
    free(raws[0].data);
    free(raws[1].data);
}
