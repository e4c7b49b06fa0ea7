#ifndef BULKHEAD_TESTS_UNIT_HOOK_STAGE_H
#define BULKHEAD_TESTS_UNIT_HOOK_STAGE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/loop.h"
#include "hookd/hook.h"

/*
 * What tests of hooks share: settings and tasks in short forms, a call as a worker would get it, and, in
 * place of the worker's, the functions by which a hook speaks to the supervisor. To be included by one file
 * of a program.
 */

/* Settings by pairs of name and value, ended by NULL; freed by config_free(). */
static inline struct config *stage_config(const char *name, ...)
{
    struct config *config = NULL;
    va_list pairs;
    cr_assert_eq(config_new(&config), 0);
    va_start(pairs, name);
    for (; name != NULL; name = va_arg(pairs, const char *))
        cr_assert_eq(config_set_text(config, name, va_arg(pairs, const char *), NULL), 0, "%s", name);
    va_end(pairs);
    return config;
}

/* Freed by bulkhead__task__free_unpacked(task, NULL), with all that is added. */
static inline Bulkhead__Task *stage_task(const char *task_id)
{
    Bulkhead__Task *task = malloc(sizeof(*task));
    bulkhead__task__init(task);
    task->task_id = strdup(task_id);
    return task;
}

static inline void stage_add_label(Bulkhead__Label ***labels, size_t *count, const char *key,
                                   const char *value)
{
    Bulkhead__Label *label = malloc(sizeof(*label));
    bulkhead__label__init(label);
    label->key = strdup(key);
    label->value = value != NULL ? strdup(value) : NULL;
    *labels = realloc(*labels, (*count + 1) * sizeof(**labels));
    (*labels)[(*count)++] = label;
}

static inline void stage_label(Bulkhead__Task *task, const char *key, const char *value)
{
    stage_add_label(&task->labels, &task->n_labels, key, value);
}

/* The port's labels as pairs of key and value, ended by NULL. */
static inline Bulkhead__Port *stage_port(Bulkhead__Task *task, uint32_t number, const char *name,
                                         const char *key, ...)
{
    Bulkhead__Port *port = malloc(sizeof(*port));
    va_list pairs;
    bulkhead__port__init(port);
    port->has_number = 1;
    port->number = number;
    port->name = name != NULL ? strdup(name) : NULL;
    va_start(pairs, key);
    for (; key != NULL; key = va_arg(pairs, const char *))
        stage_add_label(&port->labels, &port->n_labels, key, va_arg(pairs, const char *));
    va_end(pairs);
    task->ports = realloc(task->ports, (task->n_ports + 1) * sizeof(*task->ports));
    task->ports[task->n_ports++] = port;
    return port;
}

static inline Bulkhead__Check *stage_check(Bulkhead__Task *task, Bulkhead__Check__Type type, int64_t interval,
                                           int64_t timeout)
{
    Bulkhead__Check *check = malloc(sizeof(*check));
    bulkhead__check__init(check);
    check->has_type = check->has_interval = check->has_timeout = 1;
    check->type = type;
    check->interval = interval;
    check->timeout = timeout;
    task->health_check = check;
    return check;
}

/* --- the supervisor's side --- */

enum { STAGE_RECORDS_MAX = 64, STAGE_TEXT_SIZE = 2048 };

struct stage_record {
    char *key;
    Bulkhead__HookRecord__State state;
};

/* All that was recorded, in order. */
struct stage_records {
    struct stage_record items[STAGE_RECORDS_MAX];
    size_t count;
    int error; /* what hook_record() is to return; nothing is kept then */
};

static struct stage_records stage_records;

int hook_record(struct hook_call *call, const char *key, Bulkhead__HookRecord__State state)
{
    (void)call;
    if (stage_records.error < 0)
        return stage_records.error;
    cr_assert_lt(stage_records.count, (size_t)STAGE_RECORDS_MAX);
    stage_records.items[stage_records.count++] = (struct stage_record){strdup(key), state};
    return 0;
}

int hook_add_variable(struct hook_call *call, const char *name, const char *value)
{
    (void)call;
    (void)name;
    (void)value;
    return -EINVAL;
}

static inline void stage_forget(void)
{
    for (size_t i = 0; i < stage_records.count; i++)
        free(stage_records.items[i].key);
    stage_records = (struct stage_records){0};
}

/* The records as text, one "state key" a line: "intended", "done", "undone". A static buffer. */
static inline const char *stage_story(void)
{
    static const char *const names[] = {"?", "intended", "done", "undone"};
    static char story[STAGE_RECORDS_MAX * 256];
    size_t used = 0;
    story[0] = '\0';
    for (size_t i = 0; i < stage_records.count && used < sizeof(story) - 1; i++)
        used += (size_t)snprintf(story + used, sizeof(story) - used, "%s %s\n",
                                 names[stage_records.items[i].state], stage_records.items[i].key);
    return story;
}

/* The last state of each key that is not UNDONE, as the supervisor would hand it to the next worker. */
static inline size_t stage_kept(Bulkhead__HookRecord kept[STAGE_RECORDS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < stage_records.count; i++) {
        size_t at = 0;
        while (at < count && strcmp(kept[at].key, stage_records.items[i].key) != 0)
            at++;
        if (at == count)
            bulkhead__hook_record__init(&kept[count++]);
        kept[at].key = stage_records.items[i].key;
        kept[at].has_state = 1;
        kept[at].state = stage_records.items[i].state;
    }
    size_t left = 0;
    for (size_t i = 0; i < count; i++)
        if (kept[i].state != BULKHEAD__HOOK_RECORD__STATE__UNDONE)
            kept[left++] = kept[i];
    return left;
}

/* What the hook said in the last call. */
static char stage_text[STAGE_TEXT_SIZE];

/* Runs the hook for the event with what the records say by now, within so many milliseconds. */
static inline int stage_run(const struct hook *hook, const struct config *config, const Bulkhead__Task *task,
                            Bulkhead__HookRun__Event event, int64_t milliseconds)
{
    Bulkhead__HookRecord kept[STAGE_RECORDS_MAX];
    const Bulkhead__HookRecord *pointers[STAGE_RECORDS_MAX];
    size_t count = stage_kept(kept);
    for (size_t i = 0; i < count; i++)
        pointers[i] = &kept[i];
    struct hook_call call = {
        .config = config,
        .task = task,
        .event = event,
        .records = pointers,
        .record_count = count,
        .deadline = loop_now() + milliseconds * LOOP_MS,
        .text = stage_text,
        .text_size = sizeof(stage_text),
    };
    stage_text[0] = '\0';
    return hook->run(&call);
}

#define STAGE_HEALTHY BULKHEAD__HOOK_RUN__EVENT__AFTER_TASK_HEALTHY
#define STAGE_TERMINATE BULKHEAD__HOOK_RUN__EVENT__BEFORE_TERMINATE

#endif
