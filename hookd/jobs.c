/*
 * The job table: which worker runs for whom, and what the supervisor is told of it.
 *
 * The hooks of an event run one after another, each in a worker of its own; jobs run beside each other.
 * Whatever a worker does, each hook that was begun has one HOOK_RESULT, each event one HOOK_DONE and each
 * probe one PROBE_RESULT, unless the supervisor has cancelled the job. Must never wait.
 */
#include "hookd/jobs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hookd/hooks.h"
#include "hookd/http_client.h"
#include "hookd/privileges.h"
#include "hookd/probe.h"
#include "hookd/words.h"

enum {
    JOBS_MAX = 128,
    PROBE_OPEN_FILES = 64,
    HOOK_OPEN_FILES = 256,  /* inherited by executables, whose interpreters open many */
    PROBE_SHOWN_MAX = 1000, /* bytes of text; the message takes 4 KiB in all */
};

/*
 * What a worker may have in data, hookd's own share (a task is at most 64 MiB, here twice) included. A probe
 * keeps one head of 64 KiB, libcurl and TLS; a hook an answer of 4 MiB and its JSON; an executable is limited
 * by the same number, which lets an interpreter live.
 */
#define PROBE_MEMORY ((rlim_t)256 << 20)
#define HOOK_MEMORY ((rlim_t)512 << 20)

/* What a worker has less than its deadline says, to end with words of its own. */
#define FAREWELL_MOST (100 * (int64_t)LOOP_MS)
/* A probe's own words come at its timeout; hookd's, should it have none, a little later. */
#define PROBE_LATENESS (250 * (int64_t)LOOP_MS)

struct job {
    struct job *next;
    struct jobs *jobs;
    uint32_t id;
    struct worker *worker;  /* NULL between two */
    Bulkhead__HookRun *run; /* or NULL: */
    Bulkhead__Probe *probe;

    /* Of an event. */
    enum hook_id hook;
    int64_t deadline; /* of the job, LOOP_NEVER for none */
    int64_t begun;    /* when the hook was */
    uint32_t record;  /* the sequence of the one that the worker waits for, 0 for none */
    bool has_failed;
};

struct jobs {
    const struct config *config;
    struct loop *loop;
    struct helper_link *link;
    struct workers *workers;
    struct job *first;
    size_t count;
    uint32_t last_record;
    bool has_libcurl;
    bool has_confined; /* a worker has: what cannot be done was said */
};

/* ---- the table ---- */

static struct job **find_link(struct jobs *jobs, uint32_t id)
{
    struct job **link = &jobs->first;
    while (*link != NULL && (*link)->id != id)
        link = &(*link)->next;
    return link;
}

static void free_job(struct job *job)
{
    if (job->run != NULL)
        protobuf_c_message_free_unpacked(&job->run->base, NULL);
    if (job->probe != NULL)
        protobuf_c_message_free_unpacked(&job->probe->base, NULL);
    free(job);
}

static void remove_job(struct job *job)
{
    struct jobs *jobs = job->jobs;
    *find_link(jobs, job->id) = job->next;
    jobs->count--;
    free_job(job);
}

static struct job *add_job(struct jobs *jobs, uint32_t id)
{
    struct job *job = calloc(1, sizeof(*job));
    if (job == NULL)
        return NULL;
    *job = (struct job){.jobs = jobs, .id = id};
    *find_link(jobs, id) = job;
    jobs->count++;
    return job;
}

static ProtobufCMessage *copy_message(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        return NULL;
    protobuf_c_message_pack(message, bytes);
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, NULL, size, bytes);
    free(bytes);
    return copy;
}

/* ---- what the supervisor is told ---- */

static void tell_result(const struct job *job, int64_t duration, const struct worker_outcome *outcome)
{
    Bulkhead__HookResult result = BULKHEAD__HOOK_RESULT__INIT;
    result.has_job = 1;
    result.job = job->id;
    result.hook = (char *)(uintptr_t)hook_name(job->hook);
    result.has_success = 1;
    result.success = outcome->success;
    result.text = (char *)(uintptr_t)outcome->text;
    result.has_duration = 1;
    result.duration = duration;
    if (job->run->event == BULKHEAD__HOOK_RUN__EVENT__BEFORE_TASK_START) {
        result.n_environment = outcome->variable_count;
        result.environment = outcome->variables;
    }
    helper_link_send(job->jobs->link, MESSAGE_HOOK_RESULT, 0, &result.base);
}

static void tell_failure(const struct job *job, const char *text)
{
    const struct worker_outcome outcome = {.text = text};
    tell_result(job, 0, &outcome);
}

static void tell_done(struct jobs *jobs, uint32_t id, bool success)
{
    Bulkhead__HookDone done = BULKHEAD__HOOK_DONE__INIT;
    done.has_job = 1;
    done.job = id;
    done.has_success = 1;
    done.success = success;
    helper_link_send(jobs->link, MESSAGE_HOOK_DONE, 0, &done.base);
}

/* Before a whole character: the text is valid UTF-8 and is to stay it. */
static char *cut_text(const char *text, char out[PROBE_SHOWN_MAX + 1])
{
    size_t length = strnlen(text, PROBE_SHOWN_MAX + 1);
    if (length > PROBE_SHOWN_MAX)
        for (length = PROBE_SHOWN_MAX; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
            length--;
    memcpy(out, text, length);
    out[length] = '\0';
    return out;
}

static void tell_probed(struct jobs *jobs, uint32_t id, const struct worker_outcome *outcome)
{
    Bulkhead__ProbeResult result = BULKHEAD__PROBE_RESULT__INIT;
    result.has_job = 1;
    result.job = id;
    result.has_success = 1;
    result.success = outcome->success;
    result.has_status_code = outcome->status != 0;
    result.status_code = outcome->status;
    char text[PROBE_SHOWN_MAX + 1];
    result.text = cut_text(outcome->text, text);
    helper_link_send(jobs->link, MESSAGE_PROBE_RESULT, 0, &result.base);
}

static void tell_probe_failure(struct jobs *jobs, uint32_t id, const char *text)
{
    const struct worker_outcome outcome = {.text = text};
    tell_probed(jobs, id, &outcome);
}

static int prepare_libcurl(struct jobs *jobs)
{
    int r = jobs->has_libcurl ? 0 : http_client_init();
    jobs->has_libcurl = r == 0;
    return r;
}

static bool take_saying_of_gaps(struct jobs *jobs)
{
    bool is_first = !jobs->has_confined;
    jobs->has_confined = true;
    return is_first;
}

/* ---- hooks ---- */

/* What a worker needs for its call; made before the fork, used after it. */
struct hook_work {
    const struct hook *hook;
    struct hook_call call;
    const Bulkhead__HookRecord **records;
    int64_t span; /* from its beginning to its deadline */
    bool says_gaps;
};

static int confine_for(const struct hook_work *work)
{
    switch (work->hook->id) {
    case HOOK_CONSUL:
        return privileges_confine_worker(work->call.config, PRIVILEGES_FOR_CONSUL, work->says_gaps);
    case HOOK_VAAS:
        return privileges_confine_worker(work->call.config, PRIVILEGES_FOR_VAAS, work->says_gaps);
    case HOOK_EXECUTABLES:
    case HOOK_COUNT:
        break;
    }
    return 0; /* it runs programs of the operator's, as the executor's user */
}

/* In the worker. */
static void run_hook(void *arg, struct worker_end *end)
{
    struct hook_work *work = arg;
    char text[WORKER_TEXT_MAX + 1] = "";
    if (confine_for(work) < 0)
        return;
    work->call.text = text;
    work->call.text_size = sizeof(text);
    work->call.worker = end;
    end->span = work->span;
    int r = work->hook->run(&work->call);
    if (r < 0 && text[0] == '\0')
        snprintf(text, sizeof(text), "%s", r == -ENOMEM ? "ran out of memory" : strerror(-r));
    worker_end_tell_done(end, r >= 0, text);
}

/* Its own, from before, and still there to be undone. */
static int pick_records(const Bulkhead__HookRun *run, const char *hook, struct hook_work *work)
{
    work->records = calloc(run->n_records + 1, sizeof(*work->records));
    if (work->records == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < run->n_records; i++) {
        const Bulkhead__HookRecord *record = run->records[i];
        if (record->hook != NULL && record->key != NULL && strcmp(record->hook, hook) == 0 &&
            record->state != BULKHEAD__HOOK_RECORD__STATE__UNDONE)
            work->records[work->call.record_count++] = record;
    }
    work->call.records = work->records;
    return 0;
}

static void on_hook_record(void *self, const char *key, Bulkhead__HookRecord__State state)
{
    struct job *job = self;
    struct jobs *jobs = job->jobs;
    if (++jobs->last_record == 0)
        jobs->last_record = 1;
    job->record = jobs->last_record;
    Bulkhead__HookRecord record = BULKHEAD__HOOK_RECORD__INIT;
    record.hook = (char *)(uintptr_t)hook_name(job->hook);
    record.key = (char *)(uintptr_t)key;
    record.has_state = 1;
    record.state = state;
    Bulkhead__HookRecorded recorded = BULKHEAD__HOOK_RECORDED__INIT;
    recorded.has_job = 1;
    recorded.job = job->id;
    recorded.has_sequence = 1;
    recorded.sequence = job->record;
    recorded.record = &record;
    helper_link_send(jobs->link, MESSAGE_HOOK_RECORDED, 0, &recorded.base);
}

static void run_hooks_from(struct job *job, enum hook_id id);

static void on_hook_ended(void *self, const struct worker_outcome *outcome)
{
    struct job *job = self;
    job->worker = NULL;
    job->record = 0;
    tell_result(job, loop_now() - job->begun, outcome);
    job->has_failed |= !outcome->success;
    run_hooks_from(job, (enum hook_id)(job->hook + 1));
}

static int64_t earlier(int64_t a, int64_t b)
{
    if (a == LOOP_NEVER || b == LOOP_NEVER)
        return a == LOOP_NEVER ? b : a;
    return a < b ? a : b;
}

static unsigned hooks_to_run(const struct job *job)
{
    unsigned count = 0;
    for (int id = (int)job->hook; id < HOOK_COUNT; id++)
        count += hook_applies((enum hook_id)id, job->jobs->config, job->run->task, job->run->event);
    return count > 0 ? count : 1;
}

/*
 * At a task's end every hook has its turn, whatever the ones before it do: each gets its share of what is
 * left, and what it does not need goes to the next.
 */
static int64_t share_deadline(const struct job *job)
{
    if (job->deadline == LOOP_NEVER || job->run->event != BULKHEAD__HOOK_RUN__EVENT__BEFORE_TERMINATE)
        return job->deadline;
    return job->begun + (job->deadline - job->begun) / hooks_to_run(job);
}

static int64_t hook_deadline(const struct job *job, const struct hook_work *work)
{
    int64_t span = work->hook->timeout != NULL ? work->hook->timeout(&work->call)
                                               : config_duration(job->jobs->config, CONFIG_HOOK_TIMEOUT);
    return earlier(span < INT64_MAX - job->begun ? job->begun + span : LOOP_NEVER, share_deadline(job));
}

static int start_hook(struct job *job, struct hook_work *work)
{
    struct jobs *jobs = job->jobs;
    int r = job->hook != HOOK_EXECUTABLES ? prepare_libcurl(jobs) : 0;
    if (r < 0)
        return r;
    int64_t deadline = hook_deadline(job, work);
    work->span = deadline != LOOP_NEVER ? deadline - job->begun : 0;
    int64_t farewell = work->span / 10 < FAREWELL_MOST ? work->span / 10 : FAREWELL_MOST;
    work->call.deadline = deadline != LOOP_NEVER ? deadline - farewell : INT64_MAX;
    work->says_gaps = job->hook != HOOK_EXECUTABLES && take_saying_of_gaps(jobs);

    char title[64];
    char late[64];
    snprintf(title, sizeof(title), "hookd: %s %s", hook_name(job->hook), hooks_event_name(job->run->event));
    const struct worker_plan plan = {
        .run = run_hook,
        .arg = work,
        .title = title,
        .last_word = WORKER_HOOK_DONE,
        .memory = HOOK_MEMORY,
        .open_files = HOOK_OPEN_FILES,
        .deadline = deadline,
        .late_text = words_for_timeout("timed out after", work->span, late, sizeof(late)),
        .record = on_hook_record,
        .ended = on_hook_ended,
        .self = job,
    };
    return workers_start(jobs->workers, &plan, &job->worker);
}

/* Returns 0, or a negative errno when the hook could not be started. */
static int begin_hook(struct job *job)
{
    struct hook_work work = {
        .hook = hooks_find(job->hook),
        .call = {.config = job->jobs->config, .task = job->run->task, .event = job->run->event},
    };
    int r = pick_records(job->run, hook_name(job->hook), &work);
    if (r == 0)
        r = start_hook(job, &work);
    free(work.records);
    if (r < 0)
        job->worker = NULL;
    return r;
}

static void end_event(struct job *job)
{
    tell_done(job->jobs, job->id, !job->has_failed);
    remove_job(job);
}

/* Begins the next hook that can be begun, or ends the job. */
static void run_hooks_from(struct job *job, enum hook_id id)
{
    const struct config *config = job->jobs->config;
    const Bulkhead__HookRun *run = job->run;
    for (;; id = (enum hook_id)(job->hook + 1)) {
        bool stops = job->has_failed && !hooks_go_on_after_failure(run->event);
        job->hook = stops ? HOOK_COUNT : hooks_next(id, config, run->task, run->event);
        if (job->hook == HOOK_COUNT) {
            end_event(job);
            return;
        }
        job->begun = loop_now();
        if (job->deadline != LOOP_NEVER && job->begun >= job->deadline) {
            tell_failure(job, "not run: no time is left");
        } else {
            int r = begin_hook(job);
            if (r == 0)
                return;
            char text[128];
            snprintf(text, sizeof(text), "no worker can be started: %s", strerror(-r));
            tell_failure(job, text);
        }
        job->has_failed = true;
    }
}

static bool is_event(const Bulkhead__HookRun *run)
{
    return run->has_event && run->event >= BULKHEAD__HOOK_RUN__EVENT__BEFORE_TASK_START &&
           run->event <= BULKHEAD__HOOK_RUN__EVENT__BEFORE_TERMINATE;
}

int jobs_take_run(struct jobs *jobs, const Bulkhead__HookRun *run)
{
    if (!run->has_job || run->task == NULL || !is_event(run) || *find_link(jobs, run->job) != NULL)
        return -EPROTO;
    if (jobs->count == JOBS_MAX) {
        tell_done(jobs, run->job, false);
        return 0;
    }
    struct job *job = add_job(jobs, run->job);
    if (job == NULL)
        return -ENOMEM;
    job->run = (Bulkhead__HookRun *)copy_message(&run->base);
    if (job->run == NULL) {
        remove_job(job);
        return -ENOMEM;
    }
    int64_t now = loop_now();
    bool ends = run->has_timeout && run->timeout < INT64_MAX - now;
    job->deadline = !ends ? LOOP_NEVER : run->timeout > 0 ? now + run->timeout : now;
    run_hooks_from(job, (enum hook_id)0);
    return 0;
}

int jobs_take_record_taken(struct jobs *jobs, const Bulkhead__HookRecordTaken *taken)
{
    if (!taken->has_job || !taken->has_sequence || taken->sequence == 0)
        return -EPROTO;
    struct job *job = *find_link(jobs, taken->job);
    if (job == NULL || job->record != taken->sequence || job->worker == NULL)
        return 0; /* its hook has ended meanwhile */
    job->record = 0;
    worker_take_record(job->worker);
    return 0;
}

/* ---- probes ---- */

struct probe_work {
    struct jobs *jobs;
    const Bulkhead__Probe *probe;
    int64_t deadline;
    bool says_gaps;
};

/* In the worker: what it talks to is the task, which may be hostile, so it holds no secret. */
static void run_probe(void *arg, struct worker_end *end)
{
    struct probe_work *work = arg;
    struct probe_outcome outcome = {0};
    if (privileges_confine_worker(work->jobs->config, PRIVILEGES_FOR_PROBE, work->says_gaps) < 0)
        return;
    config_free((struct config *)(uintptr_t)work->jobs->config);
    probe_perform(work->probe, work->deadline, &outcome);
    worker_end_tell_probed(end, outcome.success, outcome.status, outcome.text);
}

static void on_probe_ended(void *self, const struct worker_outcome *outcome)
{
    struct job *job = self;
    tell_probed(job->jobs, job->id, outcome);
    remove_job(job);
}

static int start_probe(struct job *job)
{
    const Bulkhead__Probe *probe = job->probe;
    int64_t now = loop_now();
    bool ends = probe->timeout > 0 && probe->timeout < INT64_MAX - now - PROBE_LATENESS;
    int r = probe_needs_http_client(probe) ? prepare_libcurl(job->jobs) : 0;
    if (r < 0)
        return r;
    struct probe_work work = {
        .jobs = job->jobs,
        .probe = probe,
        .deadline = ends ? now + probe->timeout : INT64_MAX,
        .says_gaps = take_saying_of_gaps(job->jobs),
    };
    char late[64] = "";
    const struct worker_plan plan = {
        .run = run_probe,
        .arg = &work,
        .title = probe->type == BULKHEAD__CHECK__TYPE__TCP ? "hookd: TCP probe" : "hookd: HTTP probe",
        .last_word = WORKER_PROBED,
        .memory = PROBE_MEMORY,
        .open_files = PROBE_OPEN_FILES,
        .deadline = ends ? work.deadline + PROBE_LATENESS : LOOP_NEVER,
        .late_text = ends ? words_for_timeout("no answer in", probe->timeout, late, sizeof(late)) : late,
        .ended = on_probe_ended,
        .self = job,
    };
    return workers_start(job->jobs->workers, &plan, &job->worker);
}

int jobs_take_probe(struct jobs *jobs, const Bulkhead__Probe *probe)
{
    if (!probe->has_job || *find_link(jobs, probe->job) != NULL || !probe_is_valid(probe))
        return -EPROTO;
    if (jobs->count == JOBS_MAX) {
        tell_probe_failure(jobs, probe->job, "not probed: too much is going on");
        return 0;
    }
    struct job *job = add_job(jobs, probe->job);
    if (job == NULL)
        return -ENOMEM;
    job->probe = (Bulkhead__Probe *)copy_message(&probe->base);
    int r = job->probe != NULL ? start_probe(job) : -ENOMEM;
    if (r < 0) {
        char text[128];
        snprintf(text, sizeof(text), "not probed: no worker can be started: %s", strerror(-r));
        tell_probe_failure(jobs, probe->job, text);
        remove_job(job);
    }
    return 0;
}

/* ---- the rest ---- */

int jobs_take_cancel(struct jobs *jobs, const Bulkhead__JobCancel *cancel)
{
    if (!cancel->has_job)
        return -EPROTO;
    struct job *job = *find_link(jobs, cancel->job);
    if (job == NULL)
        return 0; /* it has ended meanwhile */
    if (job->worker != NULL)
        worker_drop(job->worker);
    remove_job(job);
    return 0;
}

int jobs_new(const struct config *config, struct loop *loop, struct helper_link *link,
             struct workers *workers, struct jobs **ret_jobs)
{
    struct jobs *jobs = calloc(1, sizeof(*jobs));
    if (jobs == NULL)
        return -ENOMEM;
    *jobs = (struct jobs){.config = config, .loop = loop, .link = link, .workers = workers};
    *ret_jobs = jobs;
    return 0;
}

void jobs_free(struct jobs *jobs)
{
    if (jobs == NULL)
        return;
    while (jobs->first != NULL) {
        struct job *job = jobs->first;
        jobs->first = job->next;
        free_job(job);
    }
    free(jobs);
}
