/* The ledger of updates: their order, which are merged, what is forgotten and when. */
#include "supervisor/ledger.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static struct update *add(struct ledger *ledger, const char *task, int state, bool mergeable, bool terminal)
{
    struct update *update = NULL;
    const struct update_content content = {.task_id = task,
                                           .state = state,
                                           .reason = -1,
                                           .healthy = -1,
                                           .terminal = terminal,
                                           .mergeable = mergeable};
    cr_assert_eq(ledger_add(ledger, &content, &update), 0);
    cr_assert_not_null(update);
    return update;
}

/* The tasks and states of all updates, in order, as "a1 a2 b1". */
static void assert_order(const struct ledger *ledger, const char *expected)
{
    char text[256] = "";
    size_t length = 0, count = 0;
    for (const struct update *update = ledger->first; update != NULL; update = update->next, count++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s%d", length > 0 ? " " : "",
                                   update->task_id, update->state);
    cr_assert_str_eq(text, expected);
    cr_assert_eq(ledger->count, count);
}

static int remove_update(struct ledger *ledger, const struct update *update, bool *ret_terminal)
{
    return ledger_remove(ledger, update->task_id, update->uuid, UPDATE_UUID_SIZE, ret_terminal);
}

Test(ledger, keeps_what_an_update_says)
{
    struct ledger ledger;
    struct update *update;
    char task[] = "web", message[] = "exited with code 3";
    ledger_init(&ledger);
    int r = ledger_add(
        &ledger,
        &(struct update_content){
            .task_id = task, .state = 3, .reason = 33, .healthy = 0, .message = message, .terminal = true},
        &update);
    cr_assert_eq(r, 0);
    memset(task, 'x', sizeof(task) - 1); /* it has copies of its own */
    memset(message, 'x', sizeof(message) - 1);
    cr_assert_str_eq(update->task_id, "web");
    cr_assert_str_eq(update->message, "exited with code 3");
    cr_assert_eq(update->state, 3);
    cr_assert_eq(update->reason, 33);
    cr_assert_eq(update->healthy, 0);
    cr_assert(update->terminal && !update->mergeable && !update->given && !update->sent);
    ledger_clear(&ledger);
}

Test(ledger, stamps_with_the_time_and_its_fraction)
{
    struct ledger ledger;
    ledger_init(&ledger);
    time_t before = time(NULL);
    bool fraction = false;
    for (int i = 0; i < 20; i++) {
        double timestamp = add(&ledger, "a", i, false, false)->timestamp;
        cr_assert_geq(timestamp, (double)before - 1);
        cr_assert_leq(timestamp, (double)time(NULL) + 2);
        fraction |= timestamp != (double)(time_t)timestamp;
    }
    cr_assert(fraction, "twenty stamps on whole seconds");
    ledger_clear(&ledger);
}

/* RFC 4122, 4.1.1 and 4.1.3: variant 10 in the highest bits of byte 8, version 4 in those of byte 6. */
Test(ledger, makes_random_uuids)
{
    enum { COUNT = 500 };
    struct ledger ledger;
    uint8_t ones[UPDATE_UUID_SIZE] = {0}, zeros[UPDATE_UUID_SIZE] = {0};
    ledger_init(&ledger);
    for (int i = 0; i < COUNT; i++) {
        const uint8_t *uuid = add(&ledger, "a", i, false, false)->uuid;
        cr_assert_eq(uuid[6] >> 4, 4);
        cr_assert_eq(uuid[8] >> 6, 2);
        for (int byte = 0; byte < UPDATE_UUID_SIZE; byte++) {
            ones[byte] |= uuid[byte];
            zeros[byte] |= (uint8_t)~uuid[byte];
        }
    }
    for (int byte = 0; byte < UPDATE_UUID_SIZE; byte++) {
        uint8_t fixed = byte == 6 ? 0xf0 : byte == 8 ? 0xc0 : 0;
        cr_assert_eq(ones[byte] | fixed, 0xff, "byte %d has a bit that is never set", byte);
        cr_assert_eq(zeros[byte] | fixed, 0xff, "byte %d has a bit that is always set", byte);
    }
    for (const struct update *a = ledger.first; a != NULL; a = a->next)
        for (const struct update *b = a->next; b != NULL; b = b->next)
            cr_assert_neq(memcmp(a->uuid, b->uuid, UPDATE_UUID_SIZE), 0);
    ledger_clear(&ledger);
}

Test(ledger, gives_updates_in_the_order_they_were_made)
{
    struct ledger ledger;
    ledger_init(&ledger);
    cr_assert_null(ledger_next_unsent(&ledger));
    add(&ledger, "a", 1, false, false);
    add(&ledger, "b", 1, false, false);
    add(&ledger, "a", 2, false, true);
    static const char *const tasks[] = {"a", "b", "a"};
    for (int i = 0; i < 3; i++) {
        struct update *update = ledger_next_unsent(&ledger);
        cr_assert_str_eq(update->task_id, tasks[i]);
        update->sent = update->given = true;
    }
    cr_assert_null(ledger_next_unsent(&ledger));
    assert_order(&ledger, "a1 b1 a2");

    ledger_mark_unsent(&ledger);
    cr_assert_eq(ledger_next_unsent(&ledger), ledger.first);
    for (const struct update *update = ledger.first; update != NULL; update = update->next)
        cr_assert(!update->sent && update->given);
    ledger_clear(&ledger);
}

Test(ledger, removes_wherever_it_stands_and_appends_after_it)
{
    static const char *const left[] = {"a2 a3 a4", "a1 a3 a4", "a1 a2 a4"};
    for (int gone = 0; gone < 3; gone++) {
        struct ledger ledger;
        bool terminal = true;
        struct update *updates[3];
        ledger_init(&ledger);
        for (int i = 0; i < 3; i++)
            updates[i] = add(&ledger, "a", i + 1, false, false);
        cr_assert_eq(remove_update(&ledger, updates[gone], &terminal), 1);
        cr_assert(!terminal);
        add(&ledger, "a", 4, false, false);
        assert_order(&ledger, left[gone]);
        ledger_clear(&ledger);
    }
}

Test(ledger, an_acknowledgement_counts_once_and_for_its_task_only)
{
    struct ledger ledger;
    bool terminal = false;
    uint8_t uuid[UPDATE_UUID_SIZE];
    ledger_init(&ledger);
    struct update *update = add(&ledger, "a", 1, false, true);
    memcpy(uuid, update->uuid, sizeof(uuid));

    cr_assert_eq(ledger_remove(&ledger, "b", uuid, sizeof(uuid), &terminal), 0);
    cr_assert_eq(ledger_remove(&ledger, "a", uuid, sizeof(uuid) - 1, &terminal), 0);
    cr_assert_eq(ledger_remove(&ledger, "a", uuid, 0, &terminal), 0);
    uuid[15] ^= 1;
    cr_assert_eq(ledger_remove(&ledger, "a", uuid, sizeof(uuid), &terminal), 0);
    cr_assert_null(ledger_find(&ledger, uuid, sizeof(uuid)));
    uuid[15] ^= 1;
    cr_assert(!terminal, "untouched");
    cr_assert_eq(ledger_find(&ledger, uuid, sizeof(uuid)), update);
    cr_assert_null(ledger_find(&ledger, uuid, sizeof(uuid) - 1));

    cr_assert_eq(ledger_remove(&ledger, "a", uuid, sizeof(uuid), &terminal), 1);
    cr_assert(terminal);
    terminal = false;
    cr_assert_eq(ledger_remove(&ledger, "a", uuid, sizeof(uuid), &terminal), 0);
    cr_assert(!terminal, "untouched");
    assert_order(&ledger, "");
    cr_assert_null(ledger_next_unsent(&ledger));
    add(&ledger, "a", 2, false, false);
    assert_order(&ledger, "a2");
    ledger_clear(&ledger);
}

Test(ledger, only_mergeable_updates_that_nobody_has_had_are_merged)
{
    struct ledger ledger;
    ledger_init(&ledger);
    add(&ledger, "a", 1, false, false); /* STARTING */
    add(&ledger, "a", 2, false, false); /* the first RUNNING */
    add(&ledger, "b", 3, true, false);
    add(&ledger, "a", 4, true, false);
    assert_order(&ledger, "a1 a2 b3 a4");
    add(&ledger, "a", 5, true, false); /* takes the place of a4, not of b3 */
    assert_order(&ledger, "a1 a2 b3 a5");
    struct update *given = add(&ledger, "a", 6, true, false);
    assert_order(&ledger, "a1 a2 b3 a6");

    given->given = true; /* and not sent: that connection is gone, but the agent may have it */
    add(&ledger, "a", 7, true, false);
    assert_order(&ledger, "a1 a2 b3 a6 a7");
    add(&ledger, "a", 8, true, false);
    assert_order(&ledger, "a1 a2 b3 a6 a8");
    add(&ledger, "a", 9, false, true); /* a terminal one merges nothing */
    assert_order(&ledger, "a1 a2 b3 a6 a8 a9");
    ledger_clear(&ledger);
}

/* Flapping health through a long outage. */
Test(ledger, does_not_grow_without_bound)
{
    struct ledger ledger;
    ledger_init(&ledger);
    add(&ledger, "a", 0, false, false);
    for (int i = 1; i <= 100000; i++)
        add(&ledger, "a", i, true, false);
    assert_order(&ledger, "a0 a100000");
    ledger_clear(&ledger);
}

Test(ledger, can_be_cleared_and_used_again)
{
    struct ledger ledger;
    ledger_init(&ledger);
    ledger_clear(&ledger);
    add(&ledger, "a", 1, false, false);
    add(&ledger, "a", 2, false, false);
    ledger_clear(&ledger);
    assert_order(&ledger, "");
    ledger_clear(&ledger);
    add(&ledger, "a", 3, false, false);
    assert_order(&ledger, "a3");
    ledger_clear(&ledger);
}
