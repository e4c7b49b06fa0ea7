#ifndef BULKHEAD_COMMON_DURATION_H
#define BULKHEAD_COMMON_DURATION_H

#include <stddef.h>
#include <stdint.h>

#define DURATION_MICROSECOND INT64_C(1000)
#define DURATION_MILLISECOND INT64_C(1000000)
#define DURATION_SECOND INT64_C(1000000000)
#define DURATION_MINUTE (60 * DURATION_SECOND)
#define DURATION_HOUR (60 * DURATION_MINUTE)
#define DURATION_DAY (24 * DURATION_HOUR)
#define DURATION_WEEK (7 * DURATION_DAY)

/* Room for any text that the two functions below that format can make, its NUL included. */
#define DURATION_TEXT_SIZE 32

/*
 * Reads a duration as Go's time.ParseDuration does: an optional sign, then one or more numbers, each with an
 * optional fraction and a unit of ns, us (also with a micro sign), ms, s, m, h. "0" alone needs no unit.
 * Fractions of a nanosecond are cut off. Callers check the range, negative values included.
 * Returns 0; -EINVAL for text of another form (NULL and the empty string too); -ERANGE outside int64_t
 * nanoseconds.
 */
int duration_parse_go(const char *text, int64_t *ret_ns);

/*
 * Reads a duration as a Mesos agent prints it (stout/duration.hpp): one number of digits and at most one
 * point, then exactly one unit of ns, us, ms, secs, mins, hrs, days, weeks. No sign, no space, no exponent.
 * Computed in whole numbers and truncated toward zero, so it does not lose digits to a double.
 * Returns 0, -EINVAL or -ERANGE as above.
 */
int duration_parse_mesos(const char *text, int64_t *ret_ns);

/*
 * Writes a duration for people: "0s", "250ms", "1.5s", "1m30s", "2h". duration_parse_go reads it back
 * exactly. The text is cut when it does not fit; DURATION_TEXT_SIZE always suffices. Returns buffer.
 */
const char *duration_format(int64_t ns, char *buffer, size_t size);

/*
 * The same in Mesos' words, in the largest unit that makes it a whole number: "5secs", "90secs", "250ms",
 * "2weeks". duration_parse_mesos reads it back exactly, unless it is negative, which Mesos cannot read.
 * Returns buffer.
 */
const char *duration_format_mesos(int64_t ns, char *buffer, size_t size);

#endif
