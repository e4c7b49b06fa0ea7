#ifndef BULKHEAD_SUPERVISOR_LEDGER_H
#define BULKHEAD_SUPERVISOR_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a check has last seen; type is a Bulkhead__Check__Type, 0 when the task has no check. */
struct check_value {
    int type;
    bool known;
    int64_t value;
};

/* The status updates that the agent has not acknowledged, in the order in which they were made. */

enum { UPDATE_UUID_SIZE = 16 };

struct update {
    struct update *next;
    uint8_t uuid[UPDATE_UUID_SIZE]; /* RFC 4122, version 4 */
    char *task_id;
    int state;   /* Mesos' TaskState */
    int reason;  /* Mesos' TaskStatus.Reason, -1 for none */
    int healthy; /* 0, 1, -1 for not known */
    struct check_value check;
    char *message;    /* NULL for none */
    double timestamp; /* seconds since the epoch, with a fraction */
    bool terminal;
    bool given;     /* agent-client has had it, over whichever connection */
    bool sent;      /* agent-client has it over the present connection */
    bool mergeable; /* a later one of its kind may take its place while it was never given */
};

struct ledger {
    struct update *first;
    struct update **end;
    size_t count;
};

/* What an update says. Strings are copied. reason and healthy are -1 for none, message may be NULL. */
struct update_content {
    const char *task_id;
    int state;
    int reason;
    int healthy;
    struct check_value check;
    const char *message;
    bool terminal;
    bool mergeable; /* a RUNNING after the first */
};

void ledger_init(struct ledger *ledger);
void ledger_clear(struct ledger *ledger);

/*
 * Adds an update at the end, with a fresh uuid and the present time, and stores it; it belongs to the ledger.
 * A mergeable one takes the place of the task's earlier mergeable one that no agent-client has had: a long
 * outage with flapping health must not grow without bound. Returns 0 or -ENOMEM.
 */
int ledger_add(struct ledger *ledger, const struct update_content *content, struct update **ret_update);

/*
 * Takes out the update with this uuid, if it is of that task. Returns 1 and stores whether it was a terminal
 * one, 0 when there is none: an acknowledgement that comes twice or is not ours.
 */
int ledger_remove(struct ledger *ledger, const char *task_id, const uint8_t *uuid, size_t uuid_size,
                  bool *ret_terminal);

/* The update with this uuid, or NULL. */
struct update *ledger_find(const struct ledger *ledger, const uint8_t *uuid, size_t uuid_size);

/* The oldest update that is not sent over the present connection, or NULL. */
struct update *ledger_next_unsent(const struct ledger *ledger);

/* The connection is gone: everything is to be sent again. */
void ledger_mark_unsent(struct ledger *ledger);

#endif
