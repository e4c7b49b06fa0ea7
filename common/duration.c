/*
 * Durations as text: Go's words (the settings of this executor), Mesos' words (what the agent passes), and
 * people's.
 *
 * Hand-written because strtod and printf("%f") follow the locale, lose digits and accept forms (exponents,
 * hex, "inf") that neither grammar has. The Go parser follows the arithmetic of time.ParseDuration, which
 * uses a double for the fraction alone, so that a setting means what it meant to the predecessor to the
 * nanosecond; the Mesos parser is exact.
 *
 * Must never accept a value that does not fit int64_t nanoseconds.
 */
#include "common/duration.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
    char name[6];
    uint8_t length;
    uint64_t ns;
};

/* Both micro signs are accepted by Go: U+00B5 and the Greek letter U+03BC. */
static const struct unit go_units[] = {
    {"ns", 2, 1},
    {"us", 2, DURATION_MICROSECOND},
    {"\xc2\xb5s", 3, DURATION_MICROSECOND},
    {"\xce\xbcs", 3, DURATION_MICROSECOND},
    {"ms", 2, DURATION_MILLISECOND},
    {"s", 1, DURATION_SECOND},
    {"m", 1, DURATION_MINUTE},
    {"h", 1, DURATION_HOUR},
};

static const struct unit mesos_units[] = {
    {"weeks", 5, DURATION_WEEK},     {"days", 4, DURATION_DAY},
    {"hrs", 3, DURATION_HOUR},       {"mins", 4, DURATION_MINUTE},
    {"secs", 4, DURATION_SECOND},    {"ms", 2, DURATION_MILLISECOND},
    {"us", 2, DURATION_MICROSECOND}, {"ns", 2, 1},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LIMIT (UINT64_C(1) << 63) /* one more than INT64_MAX: the magnitude of INT64_MIN */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const struct unit *find_unit(const struct unit *units, size_t count, const char *name, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (units[i].length == length && memcmp(units[i].name, name, length) == 0)
            return &units[i];
    }
    return NULL;
}

/* A digit string that does not exceed LIMIT; moves *text past it, too large or not. */
static int read_whole(const char **text, uint64_t *ret_value)
{
    uint64_t value = 0;
    int r = 0;

    for (; is_digit(**text); (*text)++) {
        uint64_t digit = (uint64_t)(**text - '0');
        if (value > (LIMIT - digit) / 10)
            r = -ERANGE;
        else
            value = value * 10 + digit;
    }
    *ret_value = value;
    return r;
}

/* Go's leadingFraction: digits that no longer fit are skipped, since they weigh less than a nanosecond. */
static const char *read_go_fraction(const char *text, uint64_t *ret_value, double *ret_scale)
{
    uint64_t value = 0;
    double scale = 1;
    bool full = false;

    for (; is_digit(*text); text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (full || value > (LIMIT - digit) / 10) {
            full = true;
            continue;
        }
        value = value * 10 + digit;
        scale *= 10;
    }
    *ret_value = value;
    *ret_scale = scale;
    return text;
}

/* The unit runs up to the next number. */
static const struct unit *read_go_unit(const char **text)
{
    const char *name = *text;

    while (**text != '\0' && **text != '.' && !is_digit(**text))
        (*text)++;
    return find_unit(go_units, COUNT(go_units), name, (size_t)(*text - name));
}

/* One number and its unit: "1.5h". A wrong form outweighs a wrong size. *ret_ns may exceed LIMIT a little. */
static int read_go_part(const char **text, uint64_t *ret_ns)
{
    const char *start = *text;
    uint64_t whole, fraction = 0;
    double scale = 1;
    int r = read_whole(text, &whole);
    bool has_digits = *text != start;

    if (**text == '.') {
        const char *point = ++*text;
        *text = read_go_fraction(point, &fraction, &scale);
        has_digits = has_digits || *text != point;
    }
    const struct unit *unit = read_go_unit(text);
    if (!has_digits || unit == NULL)
        return -EINVAL;
    if (r < 0 || whole > LIMIT / unit->ns)
        return -ERANGE;
    /* The fraction is less than one unit: this cannot wrap. */
    *ret_ns = whole * unit->ns + (uint64_t)((double)fraction * ((double)unit->ns / scale));
    return 0;
}

int duration_parse_go(const char *text, int64_t *ret_ns)
{
    uint64_t sum = 0, part = 0;
    bool negative;
    int result = 0;

    if (text == NULL)
        return -EINVAL;
    negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return 0;
    }
    if (*text == '\0')
        return -EINVAL;
    while (*text != '\0') {
        int r = read_go_part(&text, &part);
        if (r == -EINVAL)
            return r;
        if (r < 0 || part > LIMIT - sum)
            result = -ERANGE;
        else
            sum += part;
    }
    if (result < 0 || (!negative && sum == LIMIT))
        return -ERANGE;
    *ret_ns = negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return 0;
}

/*
 * Nanoseconds of the fraction 0.d1d2…dn of a unit, truncated. Works from the last digit to the first:
 * dividing by ten and truncating at each step gives the same as truncating once at the end, so any number of
 * digits is exact in 64 bits.
 */
static uint64_t exact_fraction(const char *digits, size_t count, uint64_t unit)
{
    uint64_t ns = 0;

    while (count > 0)
        ns = ((uint64_t)(digits[--count] - '0') * unit + ns) / 10;
    return ns;
}

int duration_parse_mesos(const char *text, int64_t *ret_ns)
{
    const char *start = text, *digits = NULL;
    size_t digit_count = 0;
    uint64_t whole, ns;
    const struct unit *unit;
    int r;

    if (text == NULL)
        return -EINVAL;
    r = read_whole(&text, &whole);
    bool has_whole = text != start;
    if (*text == '.') {
        digits = text + 1;
        digit_count = strspn(digits, "0123456789");
        text = digits + digit_count;
    }
    unit = find_unit(mesos_units, COUNT(mesos_units), text, strlen(text));
    if ((!has_whole && digit_count == 0) || unit == NULL)
        return -EINVAL;
    if (r < 0 || whole > INT64_MAX / unit->ns)
        return -ERANGE;
    ns = exact_fraction(digits, digit_count, unit->ns);
    if (ns > INT64_MAX - whole * unit->ns)
        return -ERANGE;
    *ret_ns = (int64_t)(whole * unit->ns + ns);
    return 0;
}

static uint64_t magnitude(int64_t ns)
{
    return ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
}

/* Appends value in units, with as many decimals as it needs: "1.5s". out has DURATION_TEXT_SIZE bytes in all.
 */
static size_t append_amount(char *out, size_t used, uint64_t value, uint64_t unit, const char *name)
{
    char decimals[12] = "";
    size_t length = 0;

    if (value % unit > 0)
        decimals[length++] = '.';
    for (uint64_t place = unit / 10; place > 0 && value % (10 * place) > 0; place /= 10)
        decimals[length++] = (char)('0' + value / place % 10);
    int written =
        snprintf(out + used, DURATION_TEXT_SIZE - used, "%" PRIu64 "%s%s", value / unit, decimals, name);
    return used + (size_t)written;
}

/* Less than a second: in the largest unit that is not larger than the value. */
static void append_small(char *out, size_t used, uint64_t value)
{
    if (value < DURATION_MICROSECOND)
        append_amount(out, used, value, 1, "ns");
    else if (value < DURATION_MILLISECOND)
        append_amount(out, used, value, DURATION_MICROSECOND, "us");
    else
        append_amount(out, used, value, DURATION_MILLISECOND, "ms");
}

/* Hours, minutes and seconds, those that are zero left out, but never all of them. */
static void append_large(char *out, size_t used, uint64_t value)
{
    size_t start = used;

    if (value >= DURATION_HOUR)
        used = append_amount(out, used, value / DURATION_HOUR, 1, "h");
    value %= DURATION_HOUR;
    if (value >= DURATION_MINUTE)
        used = append_amount(out, used, value / DURATION_MINUTE, 1, "m");
    value %= DURATION_MINUTE;
    if (value > 0 || used == start)
        append_amount(out, used, value, DURATION_SECOND, "s");
}

const char *duration_format(int64_t ns, char *buffer, size_t size)
{
    char text[DURATION_TEXT_SIZE] = "-";
    size_t used = ns < 0 ? 1 : 0;
    uint64_t value = magnitude(ns);

    if (value > 0 && value < DURATION_SECOND)
        append_small(text, used, value);
    else
        append_large(text, used, value);
    snprintf(buffer, size, "%s", text);
    return buffer;
}

const char *duration_format_mesos(int64_t ns, char *buffer, size_t size)
{
    uint64_t value = magnitude(ns);
    const struct unit *unit = mesos_units;

    if (value == 0) {
        snprintf(buffer, size, "0ns");
        return buffer;
    }
    while (value % unit->ns != 0)
        unit++;
    snprintf(buffer, size, "%s%" PRIu64 "%s", ns < 0 ? "-" : "", value / unit->ns, unit->name);
    return buffer;
}
