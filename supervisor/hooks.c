/*
 * The dialogue with hookd.
 *
 * A job is kept here from the moment it is asked for until it has ended, so that hookd may be lost at any
 * time: what it was doing is given to its successor, or, where doing it twice could do harm, reported as
 * failed. Every job has a deadline of its own on this side: a hookd that answers pings and no questions holds
 * nothing up.
 */
#include "supervisor/hooks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hooks.h"
#include "common/log.h"
#include "supervisor/compartment.h"

/* hookd ends a job by itself at its timeout and says what happened; this much later it is not waited for any
 * more. */
#define SLACK (500 * (int64_t)LOOP_MS)
#define HIGH_WATER ((size_t)128 * 1024 * 1024)

enum { TEXT_SIZE = 1024, RECORDS_MAX = 1000 };

struct job {
    struct job *next;
    struct hooks *hooks;
    uint32_t number;
    bool sent;
    bool spoilt;      /* to be failed: hookd was lost with it */
    int64_t deadline; /* of a job of hooks from its beginning, of a probe from its sending */
    struct loop_timer timer;
    void *arg;
    /* A job of hooks. */
    hooks_done_fn done;
    Bulkhead__HookRun__Event event;
    const Bulkhead__Task *task;
    struct hook_records *records;
    unsigned results;
    char text[TEXT_SIZE]; /* what has failed so far */
    Bulkhead__Variable **variables;
    size_t variable_count;
    /* A probe. */
    hooks_probed_fn probed;
    Bulkhead__Probe *probe;
};

struct hooks {
    struct hooks_options options;
    struct compartment_definition definition;
    struct compartment *compartment;
    bool started;
    struct job *jobs;
    uint32_t last_number;
};

/* --- records
 * ----------------------------------------------------------------------------------------------------------
 */

static void free_record(Bulkhead__HookRecord *record)
{
    bulkhead__hook_record__free_unpacked(record, NULL);
}

void hook_records_clear(struct hook_records *records)
{
    for (size_t i = 0; i < records->count; i++)
        free_record(records->items[i]);
    free(records->items);
    *records = (struct hook_records){.items = NULL};
}

/* A deep copy by way of the wire form: the generated code has no other. */
static Bulkhead__HookRecord *copy_record(const Bulkhead__HookRecord *record)
{
    size_t size = bulkhead__hook_record__get_packed_size(record);
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    if (bytes == NULL)
        return NULL;
    bulkhead__hook_record__pack(record, bytes);
    Bulkhead__HookRecord *copy = bulkhead__hook_record__unpack(NULL, size, bytes);
    free(bytes);
    return copy;
}

static Bulkhead__HookRecord *find_record(const struct hook_records *records,
                                         const Bulkhead__HookRecord *wanted)
{
    for (size_t i = 0; i < records->count; i++)
        if (strcmp(records->items[i]->hook, wanted->hook) == 0 &&
            strcmp(records->items[i]->key, wanted->key) == 0)
            return records->items[i];
    return NULL;
}

static int keep_record(struct hook_records *records, const Bulkhead__HookRecord *record)
{
    Bulkhead__HookRecord *known = find_record(records, record);
    if (known != NULL) {
        known->state = record->state;
        return 0;
    }
    if (records->count == RECORDS_MAX)
        return -ENOBUFS;
    Bulkhead__HookRecord **items = reallocarray(records->items, records->count + 1, sizeof(*items));
    if (items == NULL)
        return -ENOMEM;
    records->items = items;
    Bulkhead__HookRecord *copy = copy_record(record);
    if (copy == NULL)
        return -ENOMEM;
    items[records->count++] = copy;
    return 0;
}

/* --- jobs
 * -------------------------------------------------------------------------------------------------------------
 */

static struct job *find_job(struct hooks *hooks, uint32_t number)
{
    struct job *job = hooks->jobs;
    while (job != NULL && job->number != number)
        job = job->next;
    return job;
}

static void free_job(struct job *job)
{
    for (size_t i = 0; i < job->variable_count; i++)
        bulkhead__variable__free_unpacked(job->variables[i], NULL);
    free(job->variables);
    bulkhead__probe__free_unpacked(job->probe, NULL);
    loop_timer_disarm(job->hooks->options.loop, &job->timer);
    free(job);
}

static void take_out(struct job *job)
{
    struct job **link = &job->hooks->jobs;
    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
}

/* The job is out of the table before its owner is told: he may begin others, or end everything. */
static void end_hooks_job(struct job *job, bool success)
{
    take_out(job);
    job->done(job->arg, success, job->text, job->variables, job->variable_count);
    free_job(job);
}

static void end_probe(struct job *job, enum hooks_probe_end end, uint32_t status_code, const char *text)
{
    take_out(job);
    job->probed(job->arg, end, status_code, text);
    free_job(job);
}

static void add_text(struct job *job, const char *hook, const char *text)
{
    size_t used = strlen(job->text);
    snprintf(job->text + used, sizeof(job->text) - used, "%s%s%s%s", used > 0 ? "; " : "", hook,
             hook[0] != '\0' ? ": " : "", text);
}

static void fail(struct job *job, const char *why)
{
    if (job->probe != NULL) {
        end_probe(job, HOOKS_PROBE_UNKNOWN, 0, why);
        return;
    }
    add_text(job, "", why);
    end_hooks_job(job, false);
}

/* --- what is sent
 * ----------------------------------------------------------------------------------------------------- */

static int64_t time_left(const struct job *job)
{
    int64_t left = job->deadline - SLACK - loop_now();
    return left > LOOP_MS ? left : LOOP_MS;
}

static int send_hooks_job(struct job *job)
{
    Bulkhead__HookRun body = BULKHEAD__HOOK_RUN__INIT;
    job->results = 0; /* of a predecessor's run nothing counts any more */
    job->text[0] = '\0';
    body.has_job = body.has_event = body.has_timeout = 1;
    body.job = job->number;
    body.event = job->event;
    body.timeout = time_left(job);
    body.task = (Bulkhead__Task *)(uintptr_t)job->task;
    body.n_records = job->records->count;
    body.records = job->records->items;
    return compartment_send(job->hooks->compartment, MESSAGE_HOOK_RUN, &body.base, -1);
}

static void arm_deadline(struct job *job, int64_t timeout)
{
    int64_t now = loop_now();
    job->deadline = timeout > INT64_MAX - now - SLACK ? INT64_MAX : now + timeout + SLACK;
    loop_timer_arm(job->hooks->options.loop, &job->timer, job->deadline);
}

static int send_job(struct job *job)
{
    int r = job->probe != NULL
                ? compartment_send(job->hooks->compartment, MESSAGE_PROBE, &job->probe->base, -1)
                : send_hooks_job(job);
    if (r < 0)
        return r;
    job->sent = true;
    if (job->probe != NULL && job->probe->timeout > 0)
        arm_deadline(job, job->probe->timeout);
    return 0;
}

static struct job *find_unsent(const struct hooks *hooks)
{
    struct job *job = hooks->jobs;
    while (job != NULL && job->sent)
        job = job->next;
    return job;
}

/* Looked for anew each time: hookd may be lost while it is told, and jobs end then. */
static void on_ready(void *arg)
{
    struct hooks *hooks = arg;
    struct job *job;
    while (compartment_is_ready(hooks->compartment) && (job = find_unsent(hooks)) != NULL)
        if (send_job(job) < 0)
            return;
}

static struct job *find_spoilt(const struct hooks *hooks)
{
    struct job *job = hooks->jobs;
    while (job != NULL && !job->spoilt)
        job = job->next;
    return job;
}

/* What was begun before the program of the task runs may not be harmless to repeat: nobody knows what it did.
 * The owner of one failed job may cancel others, so that these are looked for anew each time. */
static void on_lost(void *arg)
{
    struct hooks *hooks = arg;
    struct job *job;
    for (job = hooks->jobs; job != NULL; job = job->next) {
        job->spoilt =
            job->sent && job->probe == NULL && job->event == BULKHEAD__HOOK_RUN__EVENT__BEFORE_TASK_START;
        job->sent = false;
        if (job->probe != NULL)
            loop_timer_disarm(hooks->options.loop, &job->timer);
    }
    while ((job = find_spoilt(hooks)) != NULL)
        fail(job, "hookd was lost while the hooks ran");
}

/* --- what is said
 * ----------------------------------------------------------------------------------------------------- */

static int on_recorded(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct hooks *hooks = arg;
    const Bulkhead__HookRecorded *recorded = (const void *)body;
    const Bulkhead__HookRecord *record = recorded->record;
    if (record == NULL || record->hook == NULL || record->key == NULL || !record->has_state)
        return -EPROTO;
    struct job *job = find_job(hooks, recorded->job);
    if (job == NULL)
        return 0; /* cancelled meanwhile: without an answer the hook does not go on */
    if (job->probe != NULL)
        return -EPROTO;
    int r = keep_record(job->records, record);
    if (r < 0) {
        log_error("what a hook does cannot be kept; it does not go on", LOG_STR("hook", record->hook),
                  LOG_ERRNO(r));
        return 0;
    }
    log_debug("hook record", LOG_STR("hook", record->hook), LOG_STR("key", record->key),
              LOG_INT("state", record->state));
    Bulkhead__HookRecordTaken taken = BULKHEAD__HOOK_RECORD_TAKEN__INIT;
    taken.has_job = taken.has_sequence = 1;
    taken.job = recorded->job;
    taken.sequence = recorded->sequence;
    compartment_send(hooks->compartment, MESSAGE_HOOK_RECORD_TAKEN, &taken.base, -1);
    return 0;
}

static int take_variables(struct job *job, const Bulkhead__HookResult *result)
{
    for (size_t i = 0; i < result->n_environment; i++) {
        const Bulkhead__Variable *variable = result->environment[i];
        if (variable->name == NULL || variable->name[0] == '\0' || strchr(variable->name, '=') != NULL)
            return -EPROTO;
        Bulkhead__Variable **variables =
            reallocarray(job->variables, job->variable_count + 1, sizeof(*variables));
        if (variables == NULL)
            return -ENOMEM;
        job->variables = variables;
        size_t size = bulkhead__variable__get_packed_size(variable);
        uint8_t *bytes = malloc(size);
        if (bytes == NULL)
            return -ENOMEM;
        bulkhead__variable__pack(variable, bytes);
        variables[job->variable_count] = bulkhead__variable__unpack(NULL, size, bytes);
        free(bytes);
        if (variables[job->variable_count] == NULL)
            return -ENOMEM;
        job->variable_count++;
    }
    return 0;
}

static int on_result(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct hooks *hooks = arg;
    const Bulkhead__HookResult *result = (const void *)body;
    if (result->hook == NULL || !result->has_success)
        return -EPROTO;
    compartment_mark_useful(hooks->compartment);
    struct job *job = find_job(hooks, result->job);
    if (job == NULL)
        return 0;
    if (job->probe != NULL ||
        (result->n_environment > 0 && job->event != BULKHEAD__HOOK_RUN__EVENT__BEFORE_TASK_START))
        return -EPROTO;
    if (++job->results > HOOK_COUNT)
        return -EPROTO; /* one for each hook: neither the log nor the memory grows with what hookd says */
    log_write(result->success ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
              result->success ? "hook has run" : "hook has failed", LOG_STR("hook", result->hook),
              LOG_STR("task", job->task->task_id), LOG_STR("text", result->text),
              LOG_DURATION("took", result->duration));
    if (!result->success)
        add_text(job, result->hook, result->text != NULL ? result->text : "failed");
    return take_variables(job, result);
}

static int on_done(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct hooks *hooks = arg;
    const Bulkhead__HookDone *done = (const void *)body;
    struct job *job = find_job(hooks, done->job);
    if (job == NULL)
        return 0;
    if (job->probe != NULL || !done->has_success)
        return -EPROTO;
    end_hooks_job(job, done->success);
    return 0;
}

static int on_probe_result(void *arg, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct hooks *hooks = arg;
    const Bulkhead__ProbeResult *result = (const void *)body;
    if (!result->has_success)
        return -EPROTO;
    compartment_mark_useful(hooks->compartment);
    struct job *job = find_job(hooks, result->job);
    if (job == NULL)
        return 0;
    if (job->probe == NULL)
        return -EPROTO;
    end_probe(job, result->success ? HOOKS_PROBE_ANSWERED : HOOKS_PROBE_FAILED,
              result->has_status_code ? result->status_code : 0, result->text != NULL ? result->text : "");
    return 0;
}

static const struct message_handler handlers[] = {
    {MESSAGE_HOOK_RECORDED, on_recorded},
    {MESSAGE_HOOK_RESULT, on_result},
    {MESSAGE_HOOK_DONE, on_done},
    {MESSAGE_PROBE_RESULT, on_probe_result},
    {0},
};

/* --- from outside
 * ----------------------------------------------------------------------------------------------------- */

static void send_cancel(struct hooks *hooks, uint32_t number)
{
    Bulkhead__JobCancel body = BULKHEAD__JOB_CANCEL__INIT;
    body.has_job = 1;
    body.job = number;
    compartment_send(hooks->compartment, MESSAGE_JOB_CANCEL, &body.base, -1);
}

static void on_deadline(void *arg)
{
    struct job *job = arg;
    struct hooks *hooks = job->hooks;
    if (job->sent)
        send_cancel(hooks, job->number);
    fail(job, job->probe != NULL ? "the probe did not end in time" : "the hooks did not end in time");
}

static struct job *add_job(struct hooks *hooks, void *arg)
{
    struct job *job = calloc(1, sizeof(*job));
    if (job == NULL)
        return NULL;
    if (++hooks->last_number == 0)
        hooks->last_number = 1;
    job->hooks = hooks;
    job->number = hooks->last_number;
    job->arg = arg;
    loop_timer_init(&job->timer, on_deadline, job);
    struct job **link = &hooks->jobs;
    while (*link != NULL)
        link = &(*link)->next;
    *link = job;
    return job;
}

static uint32_t begin_job(struct job *job)
{
    struct hooks *hooks = job->hooks;
    uint32_t number = job->number;
    if (!hooks->started) {
        hooks->started = true;
        compartment_start(hooks->compartment);
    } else if (compartment_is_ready(hooks->compartment)) {
        send_job(job);
    }
    return number;
}

uint32_t hooks_run(struct hooks *hooks, Bulkhead__HookRun__Event event, const Bulkhead__Task *task,
                   struct hook_records *records, int64_t timeout, hooks_done_fn done, void *arg)
{
    struct job *job = add_job(hooks, arg);
    if (job == NULL)
        return 0;
    arm_deadline(job, timeout > 0 ? timeout : 1);
    job->done = done;
    job->event = event;
    job->task = task;
    job->records = records;
    return begin_job(job);
}

static Bulkhead__Probe *copy_probe(const Bulkhead__Probe *probe, uint32_t number)
{
    Bulkhead__Probe numbered = *probe;
    numbered.has_job = 1;
    numbered.job = number;
    size_t size = bulkhead__probe__get_packed_size(&numbered);
    uint8_t *bytes = malloc(size);
    if (bytes == NULL)
        return NULL;
    bulkhead__probe__pack(&numbered, bytes);
    Bulkhead__Probe *copy = bulkhead__probe__unpack(NULL, size, bytes);
    free(bytes);
    return copy;
}

uint32_t hooks_probe(struct hooks *hooks, const Bulkhead__Probe *probe, hooks_probed_fn probed, void *arg)
{
    struct job *job = add_job(hooks, arg);
    if (job == NULL)
        return 0;
    job->probed = probed;
    job->probe = copy_probe(probe, job->number);
    if (job->probe == NULL) {
        take_out(job);
        free_job(job);
        return 0;
    }
    return begin_job(job);
}

void hooks_cancel(struct hooks *hooks, uint32_t number)
{
    struct job *job = find_job(hooks, number);
    if (number == 0 || job == NULL)
        return;
    take_out(job);
    bool sent = job->sent;
    free_job(job);
    if (sent)
        send_cancel(hooks, number);
}

struct hooks *hooks_new(const struct hooks_options *options)
{
    struct hooks *hooks = calloc(1, sizeof(*hooks));
    if (hooks == NULL)
        return NULL;
    hooks->options = *options;
    hooks->definition = (struct compartment_definition){
        .role = ROLE_HOOKD,
        .program = options->program,
        .config = options->config,
        .receiver = CONFIG_FOR_HOOKD,
        .high_water = HIGH_WATER,
        .handlers = handlers,
        .environment = options->environment,
        .self = hooks,
        .ready = on_ready,
        .lost = on_lost,
    };
    hooks->compartment = compartment_new(options->loop, &hooks->definition);
    if (hooks->compartment == NULL) {
        free(hooks);
        return NULL;
    }
    return hooks;
}

void hooks_free(struct hooks *hooks)
{
    if (hooks == NULL)
        return;
    while (hooks->jobs != NULL) {
        struct job *job = hooks->jobs;
        hooks->jobs = job->next;
        free_job(job);
    }
    compartment_free(hooks->compartment);
    free(hooks);
}

bool hooks_take_reaped(struct hooks *hooks, pid_t pid, int wait_status)
{
    return compartment_take_reaped(hooks->compartment, pid, wait_status);
}

pid_t hooks_pid(const struct hooks *hooks)
{
    return compartment_pid(hooks->compartment);
}
