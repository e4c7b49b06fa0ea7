/*
 * The Consul hook: registers the services of a task that is healthy and takes them out before it ends.
 *
 * It must never register what has not been recorded before, and undoes what the records say, not what the
 * task's labels say now: the worker that registered may have died in the middle of a request that lands
 * later.
 */
#include "hookd/hook.h"

#include "common/loop.h"
#include "hookd/consul_api.h"
#include "hookd/consul_registration.h"
#include "hookd/consul_service.h"
#include "hookd/retry.h"
#include "hookd/phrase.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PROBLEM_SIZE = 512 };

static const int64_t first_wait = INT64_C(100) * LOOP_MS;
static const int64_t longest_wait = 3 * LOOP_SECOND;
static const int64_t denied_wait = 2 * LOOP_SECOND; /* a token does not become valid within milliseconds */

/*
 * After this time a registration that was cut off is deregistered once more: Consul may have carried out the
 * two requests in the other order. It registers within a millisecond.
 */
static const int64_t landing_time = INT64_C(20) * LOOP_MS;

/* --- registering --- */

/* Until it is done or there is no point or no time; problem says what went wrong. */
static int register_until_done(const struct consul_api *api, const char *json, int64_t deadline,
                               char *problem)
{
    struct retry retry;
    retry_init(&retry, first_wait, longest_wait);
    for (;;) {
        enum consul_outcome outcome = consul_api_register(api, json, deadline, problem, PROBLEM_SIZE);
        if (outcome == CONSUL_DONE)
            return 0;
        if (outcome == CONSUL_REFUSED)
            return -EBADMSG;
        if (!retry_wait(&retry, outcome == CONSUL_DENIED ? denied_wait : 0, deadline))
            return outcome == CONSUL_DENIED ? -EACCES : -ETIMEDOUT;
    }
}

static int register_service(struct hook_call *call, const struct consul_api *api,
                            const struct consul_service *service)
{
    char key[CONSUL_KEY_MAX];
    char problem[PROBLEM_SIZE] = "";
    char *json = NULL;
    const char *namespace = config_string(call->config, CONFIG_CONSUL_NAMESPACE);
    int r = consul_key_write(namespace, service->id, key);
    if (r == 0)
        r = consul_registration_make(call->config, call->task, service, &json);
    if (r == 0)
        r = hook_record(call, key, BULKHEAD__HOOK_RECORD__STATE__INTENDED);
    if (r == 0) {
        r = register_until_done(api, json, call->deadline, problem);
        if (r == 0)
            r = hook_record(call, key, BULKHEAD__HOOK_RECORD__STATE__DONE);
    }
    free(json);
    if (r < 0)
        phrase_set(call->text, call->text_size, "cannot register %s: %s", service->id,
                   problem[0] != '\0' ? problem : strerror(-r));
    return r;
}

static int register_services(struct hook_call *call, const struct consul_services *services)
{
    struct consul_api api;
    int r = consul_api_open(call->config, &api, call->text, call->text_size);
    for (size_t i = 0; r == 0 && i < services->count; i++)
        r = register_service(call, &api, &services->items[i]);
    consul_api_close(&api);
    if (r < 0)
        return r;
    phrase_set(call->text, call->text_size, "registered");
    for (size_t i = 0; i < services->count; i++)
        phrase_add(call->text, call->text_size, " %s", services->items[i].id);
    return 0;
}

static int register_task(struct hook_call *call)
{
    struct consul_services services;
    int r = consul_services_make(call->config, call->task, &services);
    if (r < 0) {
        phrase_set(call->text, call->text_size, "%s",
                   r == -EINVAL ? "a service's id would be too long" : "out of memory");
        return r;
    }
    if (services.count == 0)
        phrase_set(call->text, call->text_size, "nothing to register: %s", services.skipped);
    else
        r = register_services(call, &services);
    consul_services_clear(&services);
    return r;
}

/* --- deregistering --- */

/* One record to be undone. */
struct leftover {
    const Bulkhead__HookRecord *record;
    char namespace[3 * 255 + 1];
    const char *id; /* NULL for a record that cannot be read, or that is undone */
    bool may_land;  /* its registration was cut off and may still be on its way */
};

struct round {
    size_t left;
    bool denied;
    bool hopeless;              /* nothing of what is left would be better for another attempt */
    char problem[PROBLEM_SIZE]; /* the first one */
};

/* Returns the outcome; after CONSUL_DONE the record is undone, unless the supervisor cannot be told. */
static enum consul_outcome deregister_one(struct hook_call *call, const struct consul_api *api,
                                          struct leftover *leftover, char *problem)
{
    enum consul_outcome outcome =
        consul_api_deregister(api, leftover->namespace, leftover->id, call->deadline, problem, PROBLEM_SIZE);
    if (outcome == CONSUL_DONE &&
        hook_record(call, leftover->record->key, BULKHEAD__HOOK_RECORD__STATE__UNDONE) == 0)
        leftover->id = NULL;
    return outcome;
}

/* Each that is left is tried once, so that one that does not work does not keep the others registered. */
static struct round deregister_round(struct hook_call *call, const struct consul_api *api,
                                     struct leftover *leftovers)
{
    struct round round = {.hopeless = true};
    for (size_t i = 0; i < call->record_count; i++) {
        char problem[PROBLEM_SIZE] = "";
        if (leftovers[i].id == NULL)
            continue;
        enum consul_outcome outcome = deregister_one(call, api, &leftovers[i], problem);
        if (leftovers[i].id == NULL)
            continue;
        round.left++;
        round.denied = round.denied || outcome == CONSUL_DENIED;
        round.hopeless = round.hopeless && outcome == CONSUL_REFUSED;
        if (round.problem[0] == '\0')
            memcpy(round.problem, problem, sizeof(problem));
    }
    return round;
}

/* The first pass over registrations that were cut off, and the wait for what may still land. */
static void deregister_early(struct hook_call *call, const struct consul_api *api, struct leftover *leftovers)
{
    char problem[PROBLEM_SIZE];
    bool any = false;
    for (size_t i = 0; i < call->record_count; i++) {
        if (leftovers[i].id == NULL || !leftovers[i].may_land)
            continue;
        consul_api_deregister(api, leftovers[i].namespace, leftovers[i].id, call->deadline, problem,
                              sizeof(problem));
        leftovers[i].may_land = false;
        any = true;
    }
    if (any)
        retry_sleep(landing_time);
}

static int deregister_until_done(struct hook_call *call, const struct consul_api *api,
                                 struct leftover *leftovers, char *problem)
{
    struct retry retry;
    retry_init(&retry, first_wait, longest_wait);
    deregister_early(call, api, leftovers);
    for (;;) {
        struct round round = deregister_round(call, api, leftovers);
        if (round.left == 0)
            return 0;
        phrase_set(problem, PROBLEM_SIZE, "%s", round.problem);
        if (round.hopeless || !retry_wait(&retry, round.denied ? denied_wait : 0, call->deadline))
            return round.denied ? -EACCES : -ETIMEDOUT;
    }
}

/* Returns how many records cannot be read. */
static size_t read_records(const struct hook_call *call, struct leftover *leftovers)
{
    size_t unreadable = 0;
    for (size_t i = 0; i < call->record_count; i++) {
        const Bulkhead__HookRecord *record = call->records[i];
        leftovers[i].record = record;
        leftovers[i].may_land = record->state == BULKHEAD__HOOK_RECORD__STATE__INTENDED;
        if (record->state == BULKHEAD__HOOK_RECORD__STATE__UNDONE)
            continue;
        if (record->key == NULL || consul_key_read(record->key, leftovers[i].namespace, &leftovers[i].id) < 0)
            unreadable++;
    }
    return unreadable;
}

/* words: "deregistered" or "left behind in Consul:"; the ids of the records that are, or are not, undone. */
static void add_ids(struct hook_call *call, const struct leftover *leftovers, bool undone, const char *words)
{
    char namespace[3 * 255 + 1];
    const char *id = NULL;
    phrase_add(call->text, call->text_size, "%s", words);
    for (size_t i = 0; i < call->record_count; i++)
        if ((leftovers[i].id == NULL) == undone && leftovers[i].record->key != NULL &&
            consul_key_read(leftovers[i].record->key, namespace, &id) == 0)
            phrase_add(call->text, call->text_size, " %s", id);
}

static int deregister(struct hook_call *call, struct leftover *leftovers)
{
    struct consul_api api;
    char problem[PROBLEM_SIZE] = "";
    size_t unreadable = read_records(call, leftovers);
    int r = consul_api_open(call->config, &api, problem, sizeof(problem));
    if (r == 0)
        r = deregister_until_done(call, &api, leftovers, problem);
    consul_api_close(&api);
    if (r < 0) {
        add_ids(call, leftovers, false, "left behind in Consul:");
        phrase_add(call->text, call->text_size, ": %s", problem);
    } else if (unreadable > 0) {
        phrase_set(call->text, call->text_size,
                   "%zu records cannot be read: services may be left behind in Consul", unreadable);
        r = -EBADMSG;
    } else {
        add_ids(call, leftovers, true, "deregistered");
    }
    return r;
}

static int deregister_task(struct hook_call *call)
{
    if (call->record_count == 0) {
        phrase_set(call->text, call->text_size, "nothing to deregister");
        return 0;
    }
    struct leftover *leftovers = calloc(call->record_count, sizeof(*leftovers));
    if (leftovers == NULL) {
        phrase_set(call->text, call->text_size, "out of memory: services may be left behind in Consul");
        return -ENOMEM;
    }
    int r = deregister(call, leftovers);
    free(leftovers);
    return r;
}

static int run(struct hook_call *call)
{
    return call->event == BULKHEAD__HOOK_RUN__EVENT__BEFORE_TERMINATE ? deregister_task(call)
                                                                      : register_task(call);
}

const struct hook hook_consul = {.id = HOOK_CONSUL, .run = run};
