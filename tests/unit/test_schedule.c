/* When a task is probed: every sentence of supervisor/schedule.h, on a clock that is only a number. */
#include "supervisor/schedule.h"

#include <criterion/criterion.h>

#define SECOND INT64_C(1000000000)
#define LAUNCH (1000 * SECOND)

Test(schedule, first_probe_comes_a_delay_after_the_launch)
{
    struct schedule schedule = schedule_begin(15 * SECOND, 10 * SECOND, LAUNCH);
    cr_assert_eq(schedule.next_at, LAUNCH + 15 * SECOND);
    cr_assert_not(schedule_take_due(&schedule, LAUNCH));
    cr_assert_not(schedule_take_due(&schedule, LAUNCH + 15 * SECOND - 1));
    cr_assert_eq(schedule.next_at, LAUNCH + 15 * SECOND, "looking has moved it");
    cr_assert(schedule_take_due(&schedule, LAUNCH + 15 * SECOND));
}

Test(schedule, without_a_delay_it_comes_at_once)
{
    struct schedule schedule = schedule_begin(0, 10 * SECOND, LAUNCH);
    cr_assert(schedule_take_due(&schedule, LAUNCH));
}

Test(schedule, next_probe_comes_an_interval_after_the_end_of_the_last)
{
    struct schedule schedule = schedule_begin(0, 10 * SECOND, LAUNCH);
    cr_assert(schedule_take_due(&schedule, LAUNCH));
    cr_assert(schedule_finish(&schedule, LAUNCH + 7 * SECOND));
    cr_assert_eq(schedule.next_at, LAUNCH + 17 * SECOND);
    cr_assert_not(schedule_take_due(&schedule, LAUNCH + 17 * SECOND - 1));
    /* It was late: the one after it is counted from its end all the same. */
    cr_assert(schedule_take_due(&schedule, LAUNCH + 20 * SECOND));
    cr_assert(schedule_finish(&schedule, LAUNCH + 21 * SECOND));
    cr_assert_eq(schedule.next_at, LAUNCH + 31 * SECOND);
}

Test(schedule, probes_never_overlap)
{
    struct schedule schedule = schedule_begin(0, SECOND, LAUNCH);
    cr_assert(schedule_take_due(&schedule, LAUNCH));
    cr_assert_eq(schedule.next_at, 0, "nothing to wait for while it runs");
    cr_assert_not(schedule_take_due(&schedule, LAUNCH));
    cr_assert_not(schedule_take_due(&schedule, LAUNCH + 3600 * SECOND));
}

Test(schedule, an_interval_of_nothing_is_legal)
{
    struct schedule schedule = schedule_begin(0, 0, LAUNCH);
    for (int64_t now = LAUNCH; now < LAUNCH + 5; now++) {
        cr_assert(schedule_take_due(&schedule, now));
        cr_assert_not(schedule_take_due(&schedule, now));
        cr_assert(schedule_finish(&schedule, now));
        cr_assert_eq(schedule.next_at, now);
    }
}

Test(schedule, after_the_end_no_probe_begins)
{
    struct schedule schedule = schedule_begin(SECOND, SECOND, LAUNCH);
    schedule_stop(&schedule);
    cr_assert_eq(schedule.next_at, 0);
    cr_assert_not(schedule_take_due(&schedule, LAUNCH + 3600 * SECOND));
}

Test(schedule, after_the_end_a_result_does_not_count)
{
    struct schedule schedule = schedule_begin(0, SECOND, LAUNCH);
    cr_assert(schedule_take_due(&schedule, LAUNCH));
    schedule_stop(&schedule);
    cr_assert_not(schedule_finish(&schedule, LAUNCH + 1));
    cr_assert_eq(schedule.next_at, 0);
    cr_assert_not(schedule_take_due(&schedule, LAUNCH + 3600 * SECOND));
}

Test(schedule, spans_beyond_all_time_do_not_wrap)
{
    struct schedule schedule = schedule_begin(INT64_MAX, INT64_MAX, LAUNCH);
    cr_assert_eq(schedule.next_at, INT64_MAX);
    schedule = schedule_begin(0, INT64_MAX, LAUNCH);
    cr_assert(schedule_take_due(&schedule, LAUNCH));
    cr_assert(schedule_finish(&schedule, LAUNCH));
    cr_assert_eq(schedule.next_at, INT64_MAX);
}
