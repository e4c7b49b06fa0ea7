/*
 * Durations: the Go table follows the cases of Go's own time package, the Mesos table the rules of stout's
 * duration.hpp; both at the edges of int64_t, and both back from what our formatters write.
 */
#include "common/duration.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

struct parse_case {
    const char *text;
    int result;
    int64_t ns;
};

typedef int parse_function(const char *text, int64_t *ret_ns);

#define UNTOUCHED INT64_C(-4242424242)

static void check_cases(parse_function *parse, const struct parse_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t ns = UNTOUCHED;
        int r = parse(cases[i].text, &ns);
        cr_expect_eq(r, cases[i].result, "\"%s\": result %d, not %d", cases[i].text, r, cases[i].result);
        int64_t expected = cases[i].result == 0 ? cases[i].ns : UNTOUCHED;
        cr_expect_eq(ns, expected, "\"%s\": %lld, not %lld", cases[i].text, (long long)ns,
                     (long long)expected);
    }
}

#define CHECK(parse, cases) check_cases(parse, cases, sizeof(cases) / sizeof((cases)[0]))
#define US DURATION_MICROSECOND
#define MS DURATION_MILLISECOND
#define S DURATION_SECOND
#define M DURATION_MINUTE
#define H DURATION_HOUR

Test(duration, go_accepts)
{
    static const struct parse_case cases[] = {
        {"0", 0, 0},
        {"+0", 0, 0},
        {"-0", 0, 0},
        {"5s", 0, 5 * S},
        {"30s", 0, 30 * S},
        {"1478s", 0, 1478 * S},
        {"-5s", 0, -5 * S},
        {"+5s", 0, 5 * S},
        {"5.0s", 0, 5 * S},
        {"5.6s", 0, 5 * S + 600 * MS},
        {"5.s", 0, 5 * S},
        {".5s", 0, 500 * MS},
        {"1.0s", 0, S},
        {"1.004s", 0, S + 4 * MS},
        {"1.0040s", 0, S + 4 * MS},
        {"100.00100s", 0, 100 * S + MS},
        {"10ns", 0, 10},
        {"11us", 0, 11 * US},
        {"12\xc2\xb5s", 0, 12 * US},
        {"12\xce\xbcs", 0, 12 * US},
        {"13ms", 0, 13 * MS},
        {"14s", 0, 14 * S},
        {"15m", 0, 15 * M},
        {"16h", 0, 16 * H},
        {"3h30m", 0, 3 * H + 30 * M},
        {"10.5s4m", 0, 4 * M + 10 * S + 500 * MS},
        {"-2m3.4s", 0, -(2 * M + 3 * S + 400 * MS)},
        {"1h2m3s4ms5us6ns", 0, H + 2 * M + 3 * S + 4 * MS + 5 * US + 6},
        {"39h9m14.425s", 0, 39 * H + 9 * M + 14 * S + 425 * MS},
        {"52763797000ns", 0, INT64_C(52763797000)},
        {"0.3333333333333333333h", 0, 20 * M},
        {"9007199254740993ns", 0, (INT64_C(1) << 53) + 1},
        {"0.100000000000000000000h", 0, 6 * M},
        {"0.830103483285477580700h", 0, 49 * M + 48 * S + 372539827},
        {"0.9ns", 0, 0},
        {"1m30s", 0, 90 * S},
        {"250ms", 0, 250 * MS},
        {"00005s", 0, 5 * S},
    };
    CHECK(duration_parse_go, cases);
}

Test(duration, go_edges)
{
    static const struct parse_case cases[] = {
        {"9223372036854775807ns", 0, INT64_MAX},
        {"9223372036854775.807us", 0, INT64_MAX},
        {"9223372036s854ms775us807ns", 0, INT64_MAX},
        {"-9223372036854775807ns", 0, -INT64_MAX},
        {"-9223372036854775808ns", 0, INT64_MIN},
        {"-9223372036854775.808us", 0, INT64_MIN},
        {"-9223372036s854ms775us808ns", 0, INT64_MIN},
        {"-2562047h47m16.854775808s", 0, INT64_MIN},
        {"2562047h47m16.854775807s", 0, INT64_MAX},
        {"9223372036854775808ns", -ERANGE, 0},
        {"9223372036854775.808us", -ERANGE, 0},
        {"9223372036854ms775us808ns", -ERANGE, 0},
        {"-9223372036854775809ns", -ERANGE, 0},
        {"3000000h", -ERANGE, 0},
        {"5124096h", -ERANGE, 0}, /* would wrap to 25 minutes */
        {"99999999999999999999999999999999h", -ERANGE, 0},
        {"18446744073709551616ns", -ERANGE, 0},
        {"18446744073709551621s", -ERANGE, 0},
        {"2562047h2562047h", -ERANGE, 0},
        {"9223372036854775807ns1ns", -ERANGE, 0},
    };
    CHECK(duration_parse_go, cases);
}

Test(duration, go_refuses)
{
    static const struct parse_case cases[] = {
        {NULL, -EINVAL, 0},        {"", -EINVAL, 0},          {"3", -EINVAL, 0},
        {"-", -EINVAL, 0},         {"+", -EINVAL, 0},         {"s", -EINVAL, 0},
        {".", -EINVAL, 0},         {"-.", -EINVAL, 0},        {".s", -EINVAL, 0},
        {"+.s", -EINVAL, 0},       {"1d", -EINVAL, 0},        {"\x85\x85", -EINVAL, 0},
        {"5 s", -EINVAL, 0},       {" 5s", -EINVAL, 0},       {"5s ", -EINVAL, 0},
        {"--5s", -EINVAL, 0},      {"1e3s", -EINVAL, 0},      {"0x5s", -EINVAL, 0},
        {"5S", -EINVAL, 0},        {"1.2.3s", -EINVAL, 0},    {"5s3", -EINVAL, 0},
        {"5secs", -EINVAL, 0},     {"15mins", -EINVAL, 0},    {"1,5s", -EINVAL, 0},
        {"inf", -EINVAL, 0},       {"nans", -EINVAL, 0},      {"00", -EINVAL, 0},
        {"0.0", -EINVAL, 0},       {"1s-1s", -EINVAL, 0},     {"99999999999999999999999x", -EINVAL, 0},
        {"3000000hx", -EINVAL, 0}, {"bogus", -EINVAL, 0},     {"10", -EINVAL, 0},
        {"5\nS", -EINVAL, 0},      {"3000000h1", -EINVAL, 0},
    };
    CHECK(duration_parse_go, cases);
}

Test(duration, mesos_accepts)
{
    static const struct parse_case cases[] = {
        {"0ns", 0, 0},
        {"5ns", 0, 5},
        {"5us", 0, 5 * US},
        {"500ms", 0, 500 * MS},
        {"5secs", 0, 5 * S},
        {"15mins", 0, 15 * M},
        {"2hrs", 0, 2 * H},
        {"1days", 0, 24 * H},
        {"3weeks", 0, 3 * 7 * 24 * H},
        {"1.5mins", 0, 90 * S},
        {".5secs", 0, 500 * MS},
        {"5.secs", 0, 5 * S},
        {"1.50833333333333mins", 0, INT64_C(90499999999)}, /* 90.4999999999998 s, truncated */
        {"0.1secs", 0, 100 * MS},
        {"0.29secs", 0, 290 * MS},
        {"0.9ns", 0, 0},
        {"1.9ns", 0, 1},
        {"0.000000000000000000000000001weeks", 0, 0},
        {"0.3333333333333333333333333333333333333333hrs", 0, 20 * M - 1},
        {"007secs", 0, 7 * S},
        {"9007199254740993ns", 0, (INT64_C(1) << 53) + 1},
    };
    CHECK(duration_parse_mesos, cases);
}

Test(duration, mesos_edges)
{
    static const struct parse_case cases[] = {
        {"9223372036854775807ns", 0, INT64_MAX},        {"9223372036854775807.9ns", 0, INT64_MAX},
        {"9223372036.854775807secs", 0, INT64_MAX},     {"9223372036.8547758079secs", 0, INT64_MAX},
        {"9223372036854775808ns", -ERANGE, 0},          {"9223372036.854775808secs", -ERANGE, 0},
        {"15250weeks", 0, 15250 * DURATION_WEEK},       {"15251weeks", -ERANGE, 0},
        {"99999999999999999999999999secs", -ERANGE, 0}, {"18446744073709551617ns", -ERANGE, 0},
    };
    CHECK(duration_parse_mesos, cases);
}

Test(duration, mesos_refuses)
{
    static const struct parse_case cases[] = {
        {NULL, -EINVAL, 0},
        {"", -EINVAL, 0},
        {"5", -EINVAL, 0},
        {"0", -EINVAL, 0},
        {"secs", -EINVAL, 0},
        {".secs", -EINVAL, 0},
        {"..5secs", -EINVAL, 0},
        {"1.2.3secs", -EINVAL, 0},
        {"-5secs", -EINVAL, 0},
        {"+5secs", -EINVAL, 0},
        {"5 secs", -EINVAL, 0},
        {" 5secs", -EINVAL, 0},
        {"5secs ", -EINVAL, 0},
        {"1e3secs", -EINVAL, 0},
        {"5s", -EINVAL, 0},
        {"5m", -EINVAL, 0},
        {"5h", -EINVAL, 0},
        {"5sec", -EINVAL, 0},
        {"5min", -EINVAL, 0},
        {"5SECS", -EINVAL, 0},
        {"1mins30secs", -EINVAL, 0},
        {"0x5secs", -EINVAL, 0},
        {"infsecs", -EINVAL, 0},
        {"1,5secs", -EINVAL, 0},
        {"99999999999999999999999999fortnights", -EINVAL, 0},
    };
    CHECK(duration_parse_mesos, cases);
}

struct format_case {
    int64_t ns;
    const char *people;
    const char *mesos;
};

static const struct format_case format_cases[] = {
    {0, "0s", "0ns"},
    {1, "1ns", "1ns"},
    {999, "999ns", "999ns"},
    {1000, "1us", "1us"},
    {1500, "1.5us", "1500ns"},
    {250 * MS, "250ms", "250ms"},
    {1100 * US, "1.1ms", "1100us"},
    {999999999, "999.999999ms", "999999999ns"},
    {S, "1s", "1secs"},
    {S + 1, "1.000000001s", "1000000001ns"},
    {5 * S, "5s", "5secs"},
    {90 * S, "1m30s", "90secs"},
    {15 * M, "15m", "15mins"},
    {90 * M, "1h30m", "90mins"},
    {2 * H, "2h", "2hrs"},
    {H + S / 2, "1h0.5s", "3600500ms"},
    {24 * H, "24h", "1days"},
    {14 * 24 * H, "336h", "2weeks"},
    {-90 * S, "-1m30s", "-90secs"},
    {INT64_MAX, "2562047h47m16.854775807s", "9223372036854775807ns"},
    {INT64_MIN, "-2562047h47m16.854775808s", "-9223372036854775808ns"},
};

Test(duration, formats_and_reads_back)
{
    for (size_t i = 0; i < sizeof(format_cases) / sizeof(format_cases[0]); i++) {
        const struct format_case *c = &format_cases[i];
        char text[DURATION_TEXT_SIZE];
        int64_t back = UNTOUCHED;

        cr_expect_str_eq(duration_format(c->ns, text, sizeof(text)), c->people);
        cr_expect_eq(duration_parse_go(text, &back), 0, "%s", text);
        cr_expect_eq(back, c->ns, "%s", text);

        cr_expect_str_eq(duration_format_mesos(c->ns, text, sizeof(text)), c->mesos);
        if (c->ns >= 0) {
            cr_expect_eq(duration_parse_mesos(text, &back), 0, "%s", text);
            cr_expect_eq(back, c->ns, "%s", text);
        }
    }
}

Test(duration, cuts_in_a_small_buffer)
{
    char text[8];

    memset(text, 'x', sizeof(text));
    cr_assert_str_eq(duration_format(90 * S, text, 3), "1m");
    cr_assert_eq(text[3], 'x');
    cr_assert_str_eq(duration_format_mesos(90 * S, text, 3), "90");
    cr_assert_eq(text[3], 'x');
}

/* A comma for a point would be read as the end of the number by strtod, and written by printf. */
Test(duration, does_not_follow_the_locale)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "pl_PL.UTF-8"};
    char text[DURATION_TEXT_SIZE];
    int64_t ns = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (setlocale(LC_ALL, names[i]) != NULL)
            break;
    }
    cr_assert_eq(duration_parse_go("1.5s", &ns), 0);
    cr_assert_eq(ns, 1500 * MS);
    cr_assert_eq(duration_parse_mesos("1.5secs", &ns), 0);
    cr_assert_eq(ns, 1500 * MS);
    cr_assert_str_eq(duration_format(1500 * MS, text, sizeof(text)), "1.5s");
}
