/* The waits between attempts: how they grow, and that none passes the deadline. */
#include "hookd/retry.h"

#include "common/loop.h"

#include <criterion/criterion.h>

Test(retry, waits_double_up_to_the_longest)
{
    static const int64_t whole[] = {100, 200, 400, 800, 1000, 1000};
    struct retry shortest;
    struct retry longest;
    retry_init(&shortest, 100, 1000);
    retry_init(&longest, 100, 1000);
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        cr_assert_eq(retry_next(&shortest, 0), whole[i] / 2, "%zu", i);
        cr_assert_eq(retry_next(&longest, UINT32_MAX), whole[i], "%zu", i);
    }
}

Test(retry, a_wait_that_would_pass_the_deadline_is_not_begun)
{
    struct retry retry;
    int64_t begun = loop_now();
    retry_init(&retry, 3600 * LOOP_SECOND, 3600 * LOOP_SECOND);
    cr_assert_not(retry_wait(&retry, 0, begun + 60 * LOOP_SECOND));
    retry_init(&retry, 1, 1);
    cr_assert_not(retry_wait(&retry, 3600 * LOOP_SECOND, begun + 60 * LOOP_SECOND));
    cr_assert_lt(loop_now() - begun, 60 * LOOP_SECOND);
}

Test(retry, waits_at_least_as_long_as_asked)
{
    struct retry retry;
    int64_t begun = loop_now();
    retry_init(&retry, 1, 1);
    cr_assert(retry_wait(&retry, 20 * LOOP_MS, begun + 3600 * LOOP_SECOND));
    cr_assert_geq(loop_now() - begun, 20 * LOOP_MS);
}
