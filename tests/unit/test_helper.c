/* A helper's command line: what the supervisor writes is what the helper reads, and nothing else is taken for
 * it. */
#include "common/helper.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static int parse(const char *argument, uint32_t *ret_generation)
{
    char *argv[] = {(char *)(uintptr_t) "agent-client", (char *)(uintptr_t)argument, NULL};
    return helper_argument_parse(2, argv, ret_generation);
}

Test(helper, argument_survives_the_way)
{
    static const uint32_t generations[] = {1, 9, 10, 4095, 1000000000, UINT32_MAX - 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof(generations) / sizeof(generations[0]); i++) {
        char out[HELPER_ARGUMENT_LENGTH + 2];
        uint32_t generation = 0;
        memset(out, 'x', sizeof(out));
        helper_argument_format(generations[i], out);
        cr_assert_eq(out[HELPER_ARGUMENT_LENGTH], '\0');
        cr_assert_eq(out[HELPER_ARGUMENT_LENGTH + 1], 'x', "written past the end");
        cr_assert_eq(strlen(out), HELPER_ARGUMENT_LENGTH, "room for the title");
        cr_assert_eq(parse(out, &generation), 0);
        cr_assert_eq(generation, generations[i]);
    }
}

Test(helper, everything_else_was_typed_by_a_person)
{
    static const char *const arguments[] = {
        "",     " ",    "0",   "0   ",       "-1",          "+1",
        " 1",   "1x",   "1 x", "4294967296", "42949672950", "1.0",
        "0x10", "help", "1\n", "1\t",        "--help",      "99999999999999999999999999",
    };
    for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
        uint32_t generation = 7;
        cr_assert_eq(parse(arguments[i], &generation), -EINVAL, "\"%s\"", arguments[i]);
        cr_assert_eq(generation, 7, "touched");
    }
    char one[] = "1";
    char *argv[] = {one, one, one, NULL};
    uint32_t generation = 7;
    cr_assert_eq(helper_argument_parse(0, argv, &generation), -EINVAL);
    cr_assert_eq(helper_argument_parse(1, argv, &generation), -EINVAL);
    cr_assert_eq(helper_argument_parse(3, argv, &generation), -EINVAL);
    cr_assert_eq(helper_argument_parse(2, argv, &generation), 0);
}
