/* What results of a health check mean: every sentence of supervisor/health.h, without a task or a clock. */
#include "supervisor/health.h"

#include <criterion/criterion.h>

#define SECOND INT64_C(1000000000)
#define LAUNCH (1000 * SECOND)

enum { NOTHING = 0, TELL = HEALTH_TELL, TELL_AND_KILL = HEALTH_TELL | HEALTH_KILL };

/* A result so long after the launch. */
static unsigned take(struct health *health, bool success, int64_t after)
{
    return health_take(health, success, LAUNCH + after);
}

static unsigned pass(struct health *health, int64_t after)
{
    return take(health, true, after);
}

static unsigned fail(struct health *health, int64_t after)
{
    return take(health, false, after);
}

/* ---- grace ---- */

Test(health, a_failure_within_the_grace_does_not_count)
{
    struct health health = health_begin(10 * SECOND, 1, LAUNCH);
    cr_assert_eq(fail(&health, 0), NOTHING);
    cr_assert_eq(fail(&health, 10 * SECOND - 1), NOTHING);
    cr_assert_eq(health.failures, 0);
}

Test(health, the_grace_has_its_last_moment)
{
    struct health health = health_begin(10 * SECOND, 3, LAUNCH);
    cr_assert_eq(fail(&health, 10 * SECOND), NOTHING);
    cr_assert_eq(fail(&health, 10 * SECOND + 1), TELL);
    cr_assert_eq(health.failures, 1, "those within the grace were counted");
}

Test(health, without_a_grace_the_first_failure_counts)
{
    struct health health = health_begin(0, 1, LAUNCH);
    cr_assert_eq(fail(&health, 0), TELL_AND_KILL);
}

Test(health, the_grace_is_over_with_the_first_success)
{
    struct health health = health_begin(10 * SECOND, 2, LAUNCH);
    cr_assert_eq(fail(&health, SECOND), NOTHING);
    cr_assert_eq(pass(&health, 2 * SECOND), TELL);
    cr_assert_eq(fail(&health, 3 * SECOND), TELL);
    cr_assert_eq(fail(&health, 4 * SECOND), TELL_AND_KILL);
}

Test(health, a_grace_beyond_all_time_does_not_wrap)
{
    struct health health = health_begin(INT64_MAX, 1, LAUNCH);
    cr_assert_eq(health_take(&health, false, INT64_MAX - 1), NOTHING);
}

/* ---- failures in a row ---- */

Test(health, every_counted_failure_is_told_and_the_last_one_kills)
{
    struct health health = health_begin(0, 3, LAUNCH);
    cr_assert_eq(fail(&health, 1), TELL);
    cr_assert_eq(health.failures, 1);
    cr_assert_eq(fail(&health, 2), TELL);
    cr_assert_eq(health.failures, 2);
    cr_assert_eq(fail(&health, 3), TELL_AND_KILL);
    cr_assert_eq(health.failures, 3);
}

Test(health, none_and_one_allowed_kill_at_the_first)
{
    for (uint32_t allowed = 0; allowed <= 1; allowed++) {
        struct health health = health_begin(SECOND, allowed, LAUNCH);
        cr_assert_eq(fail(&health, SECOND), NOTHING, "not a counted one: %u", (unsigned)allowed);
        cr_assert_eq(fail(&health, SECOND + 1), TELL_AND_KILL, "%u", (unsigned)allowed);
        cr_assert_eq(health.allowed, 1);
    }
}

Test(health, a_success_between_begins_the_count_again)
{
    struct health health = health_begin(0, 2, LAUNCH);
    for (int64_t i = 0; i < 10; i += 2) {
        cr_assert_eq(fail(&health, i), TELL);
        cr_assert_eq(pass(&health, i + 1), TELL);
        cr_assert_eq(health.failures, 0);
    }
    cr_assert_eq(fail(&health, 20), TELL);
    cr_assert_eq(fail(&health, 21), TELL_AND_KILL);
}

Test(health, the_count_has_an_end)
{
    struct health health = health_begin(0, UINT32_MAX, LAUNCH);
    health.failures = UINT32_MAX - 1;
    cr_assert_eq(fail(&health, 1), TELL_AND_KILL);
    cr_assert_eq(fail(&health, 2), TELL_AND_KILL);
    cr_assert_eq(health.failures, UINT32_MAX);
}

/* ---- successes ---- */

Test(health, the_first_success_is_told_and_no_later_one)
{
    struct health health = health_begin(10 * SECOND, 3, LAUNCH);
    cr_assert_eq(pass(&health, 1), TELL);
    cr_assert_eq(pass(&health, 2), NOTHING);
    cr_assert_eq(pass(&health, 20 * SECOND), NOTHING);
}

Test(health, the_first_success_after_a_failure_is_told)
{
    struct health health = health_begin(0, 3, LAUNCH);
    cr_assert_eq(pass(&health, 1), TELL);
    cr_assert_eq(fail(&health, 2), TELL);
    cr_assert_eq(fail(&health, 3), TELL);
    cr_assert_eq(pass(&health, 4), TELL);
    cr_assert_eq(pass(&health, 5), NOTHING);
}
