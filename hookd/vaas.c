/*
 * The VaaS hook: makes a healthy task a backend of its director and removes it before the task ends.
 *
 * It must never ask for a second backend where the first request may have been carried out, and undoes what
 * the records say: a backend whose id nobody has heard is looked up by its address, port and director.
 */
#include "hookd/hook.h"

#include "common/loop.h"
#include "hookd/retry.h"
#include "hookd/vaas_api.h"
#include "hookd/phrase.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBLEM_SIZE = 512 };

static const int64_t first_wait = INT64_C(200) * LOOP_MS;
static const int64_t longest_wait = 5 * LOOP_SECOND;
static const int64_t denied_wait = 2 * LOOP_SECOND;
static const int64_t task_limit = 10 * LOOP_SECOND; /* for one look at a task */

/* When a backend whose registration was cut off is looked for once more: VaaS may still be at work on it. */
static const int64_t landing_times[] = {INT64_C(50) * LOOP_MS, INT64_C(200) * LOOP_MS};

/* A registration on its way. */
struct work {
    struct hook_call *call;
    struct vaas_api api;
    struct vaas_backend backend;
    struct vaas_dc dc;
    bool may_exist; /* VaaS may have the backend already */
    char *task;     /* the path of the task that carries it out; NULL for none */
    char problem[PROBLEM_SIZE];
};

typedef enum vaas_outcome (*step_fn)(struct work *work);

/* --- registering, step by step --- */

static enum vaas_outcome find_dc(struct work *work)
{
    const char *symbol = config_string(work->call->config, CONFIG_CLOUD_DC);
    return vaas_api_find_dc(&work->api, symbol, work->call->deadline, &work->dc, work->problem, PROBLEM_SIZE);
}

static enum vaas_outcome find_director(struct work *work)
{
    return vaas_api_find_director(&work->api, work->backend.director, work->call->deadline,
                                  &work->backend.director_id, work->problem, PROBLEM_SIZE);
}

static enum vaas_outcome find_backend(struct work *work)
{
    struct vaas_ids ids = {.count = 0};
    enum vaas_outcome outcome = vaas_api_find_backends(&work->api, &work->backend, work->call->deadline, &ids,
                                                       work->problem, PROBLEM_SIZE);
    if (outcome == VAAS_OK && ids.count > 0)
        work->backend.id = ids.ids[0];
    return outcome;
}

/* 201: it is there. 202: a task will load it. Either may say the id in its body or in its Location. */
static void read_created(struct work *work, const struct http_client_answer *answer)
{
    const char *path = vaas_answer_path(answer->location);
    work->backend.id = vaas_answer_created(answer->body, answer->body_size);
    if (path != NULL && work->backend.id == 0)
        work->backend.id = vaas_answer_path_id(path, "backend");
    if (path != NULL && vaas_answer_path_id(path, "backend") == 0 && answer->status == 202)
        work->task = strdup(path);
}

/* The whole deadline: a VaaS that does not do it in the background answers when all of Varnish has been
 * loaded. */
static enum vaas_outcome post(struct work *work)
{
    struct vaas_traits traits = vaas_traits_make(work->call->task);
    struct http_client_answer answer;
    char *json = NULL;
    if (vaas_backend_json(&work->backend, &traits, &work->dc, &json) < 0) {
        phrase_set(work->problem, PROBLEM_SIZE, "out of memory");
        return VAAS_AGAIN;
    }
    enum vaas_outcome outcome = vaas_api_call(&work->api, "POST", VAAS_API "backend/", json, INT64_MAX,
                                              work->call->deadline, &answer, work->problem, PROBLEM_SIZE);
    if (outcome == VAAS_OK)
        read_created(work, &answer);
    http_client_answer_clear(&answer);
    free(json);
    return outcome == VAAS_MISSING ? VAAS_REFUSED : outcome;
}

/* A refusal, too, may mean that the backend is there: then the words of the refusal do not matter. */
static enum vaas_outcome create(struct work *work)
{
    char refusal[PROBLEM_SIZE];
    enum vaas_outcome outcome = work->may_exist ? find_backend(work) : VAAS_OK;
    if (outcome != VAAS_OK || work->backend.id != 0)
        return outcome;
    work->may_exist = true;
    outcome = post(work);
    if (outcome != VAAS_REFUSED)
        return outcome;
    phrase_set(refusal, sizeof(refusal), "%s", work->problem);
    if (find_backend(work) == VAAS_OK && work->backend.id != 0)
        return VAAS_OK;
    phrase_set(work->problem, PROBLEM_SIZE, "%s", refusal);
    return VAAS_REFUSED;
}

/* A task that VaaS has forgotten was carried out some time ago. */
static enum vaas_outcome look_at_task(struct work *work)
{
    struct http_client_answer answer;
    enum vaas_task_state state = VAAS_TASK_RUNNING;
    char words[VAAS_WORDS_MAX] = "";
    enum vaas_outcome outcome = vaas_api_call(&work->api, "GET", work->task, NULL, task_limit,
                                              work->call->deadline, &answer, work->problem, PROBLEM_SIZE);
    if (outcome == VAAS_OK && vaas_answer_task(answer.body, answer.body_size, &state, words) < 0) {
        phrase_set(work->problem, PROBLEM_SIZE, "VaaS answers with what is no task");
        outcome = VAAS_AGAIN;
    } else if (outcome == VAAS_OK && state == VAAS_TASK_RUNNING) {
        phrase_set(work->problem, PROBLEM_SIZE, "VaaS has not finished in time%s", words);
        outcome = VAAS_AGAIN;
    } else if (outcome == VAAS_OK && state == VAAS_TASK_FAILED) {
        phrase_set(work->problem, PROBLEM_SIZE, "VaaS has failed to load the backend%s", words);
        outcome = VAAS_REFUSED;
    }
    http_client_answer_clear(&answer);
    return outcome == VAAS_MISSING ? VAAS_OK : outcome;
}

/* Until it is done, or there is no point or no time. Returns 0 or a negative errno, with work->problem in
 * words. */
static int until_done(struct work *work, step_fn step)
{
    struct retry retry;
    retry_init(&retry, first_wait, longest_wait);
    for (;;) {
        enum vaas_outcome outcome = step(work);
        if (outcome == VAAS_OK)
            return 0;
        if (outcome == VAAS_MISSING)
            return -ENOENT;
        if (outcome == VAAS_REFUSED)
            return -EBADMSG;
        if (!retry_wait(&retry, outcome == VAAS_DENIED ? denied_wait : 0, work->call->deadline))
            return outcome == VAAS_DENIED ? -EACCES : -ETIMEDOUT;
    }
}

/* --- records --- */

static int record(struct hook_call *call, const struct vaas_backend *backend,
                  Bulkhead__HookRecord__State state)
{
    char key[VAAS_KEY_MAX];
    int r = vaas_key_write(backend, key);
    return r < 0 ? r : hook_record(call, key, state);
}

/* With the id the backend has a record of its own, and the one without it has served. */
static int record_id(struct work *work)
{
    struct vaas_backend unknown = work->backend;
    unknown.id = 0;
    if (work->backend.id == 0)
        return record(work->call, &unknown, BULKHEAD__HOOK_RECORD__STATE__DONE);
    int r = record(work->call, &work->backend, BULKHEAD__HOOK_RECORD__STATE__DONE);
    return r < 0 ? r : record(work->call, &unknown, BULKHEAD__HOOK_RECORD__STATE__UNDONE);
}

/* --- registering --- */

/* Waits for the task, if there is one; the id is recorded before that as far as it is known, and looked up
 * after. */
static int see_through(struct work *work)
{
    int r = work->backend.id != 0 ? record_id(work) : 0;
    if (r == 0 && work->task != NULL)
        r = until_done(work, look_at_task);
    if (work->backend.id != 0 || (r < 0 && loop_now() >= work->call->deadline))
        return r;
    char problem[PROBLEM_SIZE];
    phrase_set(problem, sizeof(problem), "%s", work->problem);
    find_backend(work); /* what cannot be found now is looked for again at the end of the task */
    phrase_set(work->problem, PROBLEM_SIZE, "%s", problem);
    int recorded = record_id(work);
    return r < 0 ? r : recorded;
}

static int register_backend(struct work *work)
{
    int r = until_done(work, find_dc);
    if (r == 0)
        r = until_done(work, find_director);
    if (r == 0)
        r = record(work->call, &work->backend, BULKHEAD__HOOK_RECORD__STATE__INTENDED);
    if (r == 0)
        r = until_done(work, create);
    return r < 0 ? r : see_through(work);
}

static void describe(char *text, size_t size, const struct vaas_backend *backend)
{
    bool brackets = strchr(backend->address, ':') != NULL;
    phrase_add(text, size, " backend ");
    if (backend->id != 0)
        phrase_add(text, size, "%" PRId64 " ", backend->id);
    phrase_add(text, size, "%s%s%s:%" PRIu32 " of director %s", brackets ? "[" : "", backend->address,
               brackets ? "]" : "", backend->port, backend->director);
}

static int run_work(struct work *work)
{
    struct hook_call *call = work->call;
    int r = vaas_api_open(call->config, &work->api, work->problem, PROBLEM_SIZE);
    if (r == 0)
        r = register_backend(work);
    phrase_set(call->text, call->text_size, r < 0 ? "cannot register" : "registered");
    describe(call->text, call->text_size, &work->backend);
    if (r < 0)
        phrase_add(call->text, call->text_size, ": %s",
                   work->problem[0] != '\0' ? work->problem : strerror(-r));
    vaas_api_close(&work->api);
    vaas_dc_clear(&work->dc);
    free(work->task);
    return r;
}

static int register_task(struct hook_call *call)
{
    struct work work = {.call = call, .may_exist = call->record_count > 0};
    const char *director = task_label(call->task, "director");
    const char *problem = NULL;
    if (director == NULL || director[0] == '\0') {
        phrase_set(call->text, call->text_size, "nothing to register: the label director is empty");
        return 0;
    }
    int r = vaas_backend_make(call->config, call->task, &work.backend, &problem);
    if (r == 0 && config_string(call->config, CONFIG_CLOUD_DC) == NULL) {
        problem = "CLOUD_DC is not set: VaaS cannot be told where the task is";
        r = -EINVAL;
    }
    if (r < 0) {
        phrase_set(call->text, call->text_size, "cannot register: %s", problem);
        return r;
    }
    return run_work(&work);
}

/* --- removing --- */

/* One record to be undone. */
struct leftover {
    const Bulkhead__HookRecord *record;
    struct vaas_backend backend;
    bool readable;
    bool done;
};

struct removal {
    struct hook_call *call;
    struct vaas_api api;
    char problem[PROBLEM_SIZE];
};

static enum vaas_outcome remove_ids(struct removal *removal, const struct vaas_ids *ids)
{
    enum vaas_outcome outcome = VAAS_OK;
    for (size_t i = 0; i < ids->count && outcome == VAAS_OK; i++)
        outcome = vaas_api_delete(&removal->api, ids->ids[i], removal->call->deadline, removal->problem,
                                  PROBLEM_SIZE);
    return outcome;
}

/* Nothing to be found is an answer only after VaaS has had time for a request that was cut off. */
static enum vaas_outcome find_and_remove(struct removal *removal, const struct leftover *leftover)
{
    bool may_land = leftover->record->state == BULKHEAD__HOOK_RECORD__STATE__INTENDED;
    for (size_t looks = 0;; looks++) {
        struct vaas_ids ids = {.count = 0};
        enum vaas_outcome outcome = vaas_api_find_backends(
            &removal->api, &leftover->backend, removal->call->deadline, &ids, removal->problem, PROBLEM_SIZE);
        if (outcome != VAAS_OK || ids.count > 0)
            return outcome == VAAS_OK ? remove_ids(removal, &ids) : outcome;
        if (!may_land || looks == sizeof(landing_times) / sizeof(landing_times[0]) ||
            removal->call->deadline - loop_now() <= landing_times[looks])
            return VAAS_OK;
        retry_sleep(landing_times[looks]);
    }
}

/* What there is no time for keeps the words of what took it. */
static enum vaas_outcome remove_one(struct removal *removal, struct leftover *leftover)
{
    if (loop_now() >= removal->call->deadline)
        return VAAS_AGAIN;
    const struct vaas_ids known = {.ids = {leftover->backend.id}, .count = 1};
    enum vaas_outcome outcome =
        leftover->backend.id != 0 ? remove_ids(removal, &known) : find_and_remove(removal, leftover);
    if (outcome == VAAS_OK &&
        hook_record(removal->call, leftover->record->key, BULKHEAD__HOOK_RECORD__STATE__UNDONE) == 0)
        leftover->done = true;
    return outcome;
}

/* Each that is left is tried once in a round. Returns 0 when nothing is left. */
static int remove_all(struct removal *removal, struct leftover *leftovers)
{
    struct retry retry;
    retry_init(&retry, first_wait, longest_wait);
    for (;;) {
        size_t left = 0;
        bool denied = false;
        bool hopeless = true;
        for (size_t i = 0; i < removal->call->record_count; i++) {
            if (!leftovers[i].readable || leftovers[i].done)
                continue;
            enum vaas_outcome outcome = remove_one(removal, &leftovers[i]);
            left += !leftovers[i].done;
            denied = denied || outcome == VAAS_DENIED;
            hopeless = hopeless && (leftovers[i].done || outcome == VAAS_REFUSED);
        }
        if (left == 0)
            return 0;
        if (hopeless || !retry_wait(&retry, denied ? denied_wait : 0, removal->call->deadline))
            return denied ? -EACCES : -ETIMEDOUT;
    }
}

static size_t read_records(const struct hook_call *call, struct leftover *leftovers)
{
    size_t unreadable = 0;
    for (size_t i = 0; i < call->record_count; i++) {
        const Bulkhead__HookRecord *kept = call->records[i];
        leftovers[i].record = kept;
        leftovers[i].done = kept->state == BULKHEAD__HOOK_RECORD__STATE__UNDONE;
        leftovers[i].readable = kept->key != NULL && vaas_key_read(kept->key, &leftovers[i].backend) == 0;
        unreadable += !leftovers[i].readable && !leftovers[i].done;
    }
    return unreadable;
}

static void tell(struct hook_call *call, const struct leftover *leftovers, bool done, const char *words)
{
    phrase_set(call->text, call->text_size, "%s", words);
    for (size_t i = 0; i < call->record_count; i++)
        if (leftovers[i].readable && leftovers[i].done == done)
            describe(call->text, call->text_size, &leftovers[i].backend);
}

static int undo(struct hook_call *call, struct leftover *leftovers)
{
    struct removal removal = {.call = call};
    size_t unreadable = read_records(call, leftovers);
    int r = vaas_api_open(call->config, &removal.api, removal.problem, PROBLEM_SIZE);
    if (r == 0)
        r = remove_all(&removal, leftovers);
    vaas_api_close(&removal.api);
    if (r < 0) {
        tell(call, leftovers, false, "left behind in VaaS:");
        phrase_add(call->text, call->text_size, ": %s", removal.problem);
    } else if (unreadable > 0) {
        phrase_set(call->text, call->text_size,
                   "%zu records cannot be read: backends may be left behind in VaaS", unreadable);
        r = -EBADMSG;
    } else {
        tell(call, leftovers, true, "removed");
    }
    return r;
}

static int remove_task(struct hook_call *call)
{
    if (call->record_count == 0) {
        phrase_set(call->text, call->text_size, "nothing to remove");
        return 0;
    }
    struct leftover *leftovers = calloc(call->record_count, sizeof(*leftovers));
    if (leftovers == NULL) {
        phrase_set(call->text, call->text_size, "out of memory: backends may be left behind in VaaS");
        return -ENOMEM;
    }
    int r = undo(call, leftovers);
    free(leftovers);
    return r;
}

static int run(struct hook_call *call)
{
    return call->event == BULKHEAD__HOOK_RUN__EVENT__BEFORE_TERMINATE ? remove_task(call)
                                                                      : register_task(call);
}

/* A registration may take as long as VaaS needs to load all of Varnish. */
static int64_t timeout(const struct hook_call *call)
{
    bool registers = call->event == BULKHEAD__HOOK_RUN__EVENT__AFTER_TASK_HEALTHY;
    return config_duration(call->config, registers ? CONFIG_VAAS_ASYNC_TIMEOUT : CONFIG_HOOK_TIMEOUT);
}

const struct hook hook_vaas = {.id = HOOK_VAAS, .run = run, .timeout = timeout};
