/*
 * The ledger of status updates: each is kept, in order, from the moment it is made until the agent says that
 * it is stored.
 *
 * Order matters: an agent drops what comes after a terminal update. "Sent" is no reason to forget: a 202
 * means that the agent has read the call, not that it has stored the update.
 */
#include "supervisor/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

void ledger_init(struct ledger *ledger)
{
    *ledger = (struct ledger){.first = NULL};
    ledger->end = &ledger->first;
}

static void free_update(struct update *update)
{
    if (update == NULL)
        return;
    free(update->task_id);
    free(update->message);
    free(update);
}

void ledger_clear(struct ledger *ledger)
{
    while (ledger->first != NULL) {
        struct update *update = ledger->first;
        ledger->first = update->next;
        free_update(update);
    }
    ledger_init(ledger);
}

/* RFC 4122, 4.4: random but for the version and the variant. An agent refuses an uuid without them. */
static void make_uuid(uint8_t uuid[UPDATE_UUID_SIZE])
{
    /* 16 bytes come at once and whole once the kernel's generator has been seeded (getrandom(2)), long before
     * any agent. */
    while (getrandom(uuid, UPDATE_UUID_SIZE, 0) != UPDATE_UUID_SIZE)
        continue;
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct update *make_update(const struct update_content *content)
{
    struct update *update = calloc(1, sizeof(*update));
    if (update == NULL)
        return NULL;
    update->task_id = strdup(content->task_id);
    update->message = content->message != NULL ? strdup(content->message) : NULL;
    if (update->task_id == NULL || (content->message != NULL && update->message == NULL)) {
        free_update(update);
        return NULL;
    }
    make_uuid(update->uuid);
    update->state = content->state;
    update->reason = content->reason;
    update->healthy = content->healthy;
    update->check = content->check;
    update->timestamp = seconds_now();
    update->terminal = content->terminal;
    update->mergeable = content->mergeable;
    return update;
}

static void unlink_update(struct ledger *ledger, struct update **link)
{
    struct update *update = *link;
    *link = update->next;
    if (ledger->end == &update->next)
        ledger->end = link;
    ledger->count--;
    free_update(update);
}

static void drop_merged(struct ledger *ledger, const char *task_id)
{
    for (struct update **link = &ledger->first; *link != NULL; link = &(*link)->next) {
        if (!(*link)->mergeable || (*link)->given || strcmp((*link)->task_id, task_id) != 0)
            continue;
        unlink_update(ledger, link);
        return;
    }
}

int ledger_add(struct ledger *ledger, const struct update_content *content, struct update **ret_update)
{
    struct update *update = make_update(content);
    if (update == NULL)
        return -ENOMEM;
    if (content->mergeable)
        drop_merged(ledger, content->task_id);
    *ledger->end = update;
    ledger->end = &update->next;
    ledger->count++;
    *ret_update = update;
    return 0;
}

static bool has_uuid(const struct update *update, const uint8_t *uuid, size_t uuid_size)
{
    return uuid_size == UPDATE_UUID_SIZE && memcmp(update->uuid, uuid, UPDATE_UUID_SIZE) == 0;
}

struct update *ledger_find(const struct ledger *ledger, const uint8_t *uuid, size_t uuid_size)
{
    struct update *update = ledger->first;
    while (update != NULL && !has_uuid(update, uuid, uuid_size))
        update = update->next;
    return update;
}

int ledger_remove(struct ledger *ledger, const char *task_id, const uint8_t *uuid, size_t uuid_size,
                  bool *ret_terminal)
{
    for (struct update **link = &ledger->first; *link != NULL; link = &(*link)->next) {
        if (!has_uuid(*link, uuid, uuid_size) || strcmp((*link)->task_id, task_id) != 0)
            continue;
        *ret_terminal = (*link)->terminal;
        unlink_update(ledger, link);
        return 1;
    }
    return 0;
}

struct update *ledger_next_unsent(const struct ledger *ledger)
{
    struct update *update = ledger->first;
    while (update != NULL && update->sent)
        update = update->next;
    return update;
}

void ledger_mark_unsent(struct ledger *ledger)
{
    for (struct update *update = ledger->first; update != NULL; update = update->next)
        update->sent = false;
}
