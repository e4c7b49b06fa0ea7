/* The waits between attempts: their bounds, for every window, and that they spread. */
#include "agent-client/backoff.h"

#include <criterion/criterion.h>

#define MS INT64_C(1000000)

/* The cap of the n-th wait is what the largest random number gives, its shortest what the smallest gives. */
static void assert_caps(int64_t window, const int64_t *caps, size_t count)
{
    struct backoff longest, shortest;
    backoff_init(&longest, window);
    backoff_init(&shortest, window);
    for (size_t i = 0; i < count; i++) {
        int64_t high = backoff_next(&longest, UINT32_MAX);
        int64_t low = backoff_next(&shortest, 0);
        cr_assert_eq(high, caps[i] * MS, "wait %zu: %ld", i, (long)high);
        cr_assert_eq(low, caps[i] * MS / 4, "wait %zu: %ld", i, (long)low);
    }
}

Test(backoff, default_window_doubles_to_half_of_it)
{
    assert_caps(2000 * MS, (const int64_t[]){100, 200, 400, 800, 1000, 1000, 1000}, 7);
}

Test(backoff, long_window)
{
    assert_caps(15000 * MS, (const int64_t[]){100, 200, 400, 800, 1600, 3200, 6400, 7500, 7500}, 9);
}

Test(backoff, small_windows_do_not_spin)
{
    const int64_t windows[] = {0, 1, 10 * MS, 40 * MS, 80 * MS};
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++)
        assert_caps(windows[i], (const int64_t[]){40, 40, 40}, 3);
    assert_caps(150 * MS, (const int64_t[]){75, 75, 75}, 3);
}

Test(backoff, reset_makes_the_next_wait_short)
{
    struct backoff backoff;
    backoff_init(&backoff, 2000 * MS);
    for (int i = 0; i < 20; i++)
        backoff_next(&backoff, UINT32_MAX);
    backoff_reset(&backoff);
    cr_assert_eq(backoff_next(&backoff, UINT32_MAX), 100 * MS);
    cr_assert_eq(backoff_next(&backoff, UINT32_MAX), 200 * MS);
}

Test(backoff, longest_window_does_not_overflow)
{
    struct backoff backoff;
    backoff_init(&backoff, INT64_MAX);
    for (int i = 0; i < 200; i++) {
        int64_t wait = backoff_next(&backoff, UINT32_MAX);
        cr_assert_gt(wait, 0);
        cr_assert_leq(wait, INT64_MAX / 2);
    }
}

Test(backoff, chance_is_spread_evenly)
{
    struct backoff backoff;
    for (uint32_t i = 0; i <= 16; i++) {
        backoff_init(&backoff, 2000 * MS);
        int64_t wait = backoff_next(&backoff, i == 16 ? UINT32_MAX : i << 28);
        int64_t expected = 25 * MS + 75 * MS / 16 * i;
        cr_assert_leq(wait > expected ? wait - expected : expected - wait, MS / 100, "at %u sixteenths", i);
    }
}
