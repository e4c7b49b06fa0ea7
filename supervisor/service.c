/*
 * A task's hooks and checks.
 *
 * The life of the task (life.c) asks for the hooks that it waits for; the others run beside it and only
 * matter when they fail. The one rule that ties health and hooks: a first "healthy" is told only when
 * AfterTaskHealthy has succeeded, since a framework that hears it stops the old instances, and the new one
 * must be registered by then. What the checks say meanwhile is held, and the newest of it told afterwards.
 */
#include "supervisor/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hooks.h"
#include "common/log.h"

#define EVENT(name) BULKHEAD__HOOK_RUN__EVENT__##name

enum { TEXT_SIZE = 512 };

enum announcement { NOT_ANNOUNCED, ANNOUNCING, ANNOUNCED };

struct service {
    const struct checks_context *context;
    struct service_listener listener;
    Bulkhead__Task *task;
    struct hook_records records;
    struct checks *checks;
    uint32_t life_job;    /* BeforeTaskStart or BeforeTerminate */
    uint32_t start_job;   /* AfterTaskStart */
    uint32_t healthy_job; /* AfterTaskHealthy */
    enum announcement announcement;
    bool held; /* a verdict waits for the announcement */
    bool held_healthy;
    char held_text[TEXT_SIZE];
};

/* --- the description
 * -------------------------------------------------------------------------------------------------- */

static bool needs_service(const struct config *config, const Bulkhead__Task *task)
{
    return task->health_check != NULL || task->check != NULL ||
           hooks_apply(config, task, EVENT(BEFORE_TASK_START)) ||
           hooks_apply(config, task, EVENT(AFTER_TASK_START)) ||
           hooks_apply(config, task, EVENT(AFTER_TASK_HEALTHY)) ||
           hooks_apply(config, task, EVENT(BEFORE_TERMINATE));
}

/* A deep copy by way of the wire form, without the agent's own bytes: nobody here reads those. */
static Bulkhead__Task *copy_task(const Bulkhead__Task *task)
{
    Bulkhead__Task slim = *task;
    slim.has_raw = 0;
    slim.raw = (ProtobufCBinaryData){.data = NULL};
    size_t size = bulkhead__task__get_packed_size(&slim);
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    if (bytes == NULL)
        return NULL;
    bulkhead__task__pack(&slim, bytes);
    Bulkhead__Task *copy = bulkhead__task__unpack(NULL, size, bytes);
    free(bytes);
    return copy;
}

struct service *service_new(const struct checks_context *context, const struct service_listener *listener,
                            const Bulkhead__Task *description)
{
    if (!needs_service(context->config, description))
        return NULL;
    struct service *service = calloc(1, sizeof(*service));
    if (service != NULL)
        service->task = copy_task(description);
    if (service == NULL || service->task == NULL) {
        log_error("no memory for the task's hooks and checks; it goes on without them",
                  LOG_STR("task", description->task_id));
        free(service);
        return NULL;
    }
    service->context = context;
    service->listener = *listener;
    return service;
}

void service_free(struct service *service)
{
    if (service == NULL)
        return;
    service_stop(service);
    service_cancel_hooks(service);
    checks_free(service->checks);
    hook_records_clear(&service->records);
    bulkhead__task__free_unpacked(service->task, NULL);
    free(service);
}

/* --- hooks
 * ------------------------------------------------------------------------------------------------------------
 */

bool service_has_hooks(const struct service *service, Bulkhead__HookRun__Event event)
{
    return service != NULL && hooks_apply(service->context->config, service->task, event);
}

static uint32_t run_hooks(struct service *service, Bulkhead__HookRun__Event event, int64_t timeout,
                          hooks_done_fn done)
{
    return hooks_run(service->context->hooks, event, service->task, &service->records, timeout, done,
                     service);
}

static void on_start_hooks_done(void *arg, bool success, const char *text,
                                Bulkhead__Variable *const *variables, size_t variable_count)
{
    struct service *service = arg;
    service->life_job = 0;
    service->listener.start_hooks_done(service->listener.arg, success, text, variables, variable_count);
}

static void on_end_hooks_done(void *arg, bool success, const char *text, Bulkhead__Variable *const *variables,
                              size_t variable_count)
{
    (void)variables;
    (void)variable_count;
    struct service *service = arg;
    service->life_job = 0;
    if (!success)
        log_error("hooks have failed at the task's end; what they should have undone may be left behind",
                  LOG_STR("task", service->task->task_id), LOG_STR("text", text));
    service->listener.end_hooks_done(service->listener.arg, success);
}

void service_run_start_hooks(struct service *service, int64_t timeout)
{
    service->life_job = run_hooks(service, EVENT(BEFORE_TASK_START), timeout, on_start_hooks_done);
}

void service_run_end_hooks(struct service *service, int64_t timeout)
{
    service->life_job = run_hooks(service, EVENT(BEFORE_TERMINATE), timeout, on_end_hooks_done);
}

void service_cancel_hooks(struct service *service)
{
    if (service == NULL)
        return;
    hooks_cancel(service->context->hooks, service->life_job);
    service->life_job = 0;
}

/* A task whose hook has failed for good is ended or kept, as the site wants it. Returns whether it is kept.
 */
static bool keep_after_failure(struct service *service, const char *event, const char *text)
{
    bool keep = strcmp(config_string(service->context->config, CONFIG_HOOK_FAILURE), "keep") == 0;
    log_error(keep ? "hooks have failed; keeping the task" : "hooks have failed; ending the task",
              LOG_STR("task", service->task->task_id), LOG_STR("event", event), LOG_STR("text", text));
    if (keep)
        return true;
    char why[TEXT_SIZE];
    snprintf(why, sizeof(why), "The %s hooks have failed: %s", event, text);
    service->listener.end(service->listener.arg, CAUSE_HOOK_FAILED, why);
    return false;
}

static void on_after_start_done(void *arg, bool success, const char *text,
                                Bulkhead__Variable *const *variables, size_t variable_count)
{
    (void)variables;
    (void)variable_count;
    struct service *service = arg;
    service->start_job = 0;
    if (!success)
        keep_after_failure(service, "AfterTaskStart", text);
}

/* --- health
 * -----------------------------------------------------------------------------------------------------------
 */

static void tell_held(struct service *service)
{
    if (!service->held || service->task->health_check == NULL)
        return;
    service->held = false;
    service->listener.health(service->listener.arg, true, "healthy");
    if (!service->held_healthy)
        service->listener.health(service->listener.arg, false, service->held_text);
}

static void on_after_healthy_done(void *arg, bool success, const char *text,
                                  Bulkhead__Variable *const *variables, size_t variable_count)
{
    (void)variables;
    (void)variable_count;
    struct service *service = arg;
    service->healthy_job = 0;
    service->announcement = ANNOUNCED;
    if (success || keep_after_failure(service, "AfterTaskHealthy", text))
        tell_held(service);
}

/* Registering may take as long as VaaS takes to reload its caches; Consul and the executables come after it.
 */
static int64_t announcement_timeout(const struct config *config)
{
    return config_duration(config, CONFIG_VAAS_ASYNC_TIMEOUT) +
           2 * config_duration(config, CONFIG_HOOK_TIMEOUT);
}

static void announce(struct service *service)
{
    service->announcement = ANNOUNCING;
    service->healthy_job = run_hooks(service, EVENT(AFTER_TASK_HEALTHY),
                                     announcement_timeout(service->context->config), on_after_healthy_done);
}

static void hold(struct service *service, bool healthy, const char *text)
{
    service->held = true;
    service->held_healthy = healthy;
    snprintf(service->held_text, sizeof(service->held_text), "%s", text);
}

static void on_health(void *arg, bool healthy, bool kill, const char *text)
{
    struct service *service = arg;
    if (healthy && service->announcement == NOT_ANNOUNCED) {
        if (service_has_hooks(service, EVENT(AFTER_TASK_HEALTHY))) {
            hold(service, true, text);
            announce(service);
            return;
        }
        service->announcement = ANNOUNCED;
    }
    if (service->announcement == ANNOUNCING)
        hold(service, healthy, text);
    else
        service->listener.health(service->listener.arg, healthy, text);
    if (!kill)
        return;
    char why[TEXT_SIZE];
    snprintf(why, sizeof(why), "Killed as unhealthy: %s", text);
    service->listener.end(service->listener.arg, CAUSE_UNHEALTHY, why);
}

static void on_value(void *arg, struct check_value value)
{
    struct service *service = arg;
    service->listener.check(service->listener.arg, value);
}

void service_begin_checks(struct service *service, char *const *environment, const char *user)
{
    if (service == NULL)
        return;
    struct checks_listener listener = {.arg = service, .health = on_health, .value = on_value};
    service->checks = checks_begin(service->context, &listener, service->task, environment, user);
}

void service_running(struct service *service)
{
    if (service == NULL)
        return;
    const struct config *config = service->context->config;
    if (service_has_hooks(service, EVENT(AFTER_TASK_START)))
        service->start_job = run_hooks(service, EVENT(AFTER_TASK_START),
                                       config_duration(config, CONFIG_HOOK_TIMEOUT), on_after_start_done);
    if (service->task->health_check == NULL && config_bool(config, CONFIG_HEALTHY_WITHOUT_CHECK) &&
        service_has_hooks(service, EVENT(AFTER_TASK_HEALTHY)))
        announce(service);
}

void service_stop(struct service *service)
{
    if (service == NULL)
        return;
    if (service->checks != NULL)
        checks_stop(service->checks);
    hooks_cancel(service->context->hooks, service->start_job);
    hooks_cancel(service->context->hooks, service->healthy_job);
    service->start_job = 0;
    service->healthy_job = 0;
}

bool service_take_reaped(struct service *service, pid_t pid)
{
    return service != NULL && checks_take_reaped(service->checks, pid);
}

bool service_owns(const struct service *service, pid_t pid)
{
    return service != NULL && checks_own(service->checks, pid);
}
