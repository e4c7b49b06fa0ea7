/* UTF-8: what is valid stays, what is not becomes '?', byte for byte. */
#include "agent-client/text.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct row {
    const char *text;
    const char *repaired; /* NULL: valid as it is */
};

Test(text, utf8)
{
    static const struct row rows[] = {
        {"", NULL},
        {"plain", NULL},
        {"gr\xC3\xBC\xC3\x9F"
         "e",
         NULL},
        {"\xE2\x82\xAC", NULL},
        {"\xF0\x9F\x98\x80", NULL},
        {"\xF4\x8F\xBF\xBF", NULL},
        {"\xED\x9F\xBF\xEE\x80\x80", NULL},
        {"\xFF", "?"},
        {"a\x80"
         "b",
         "a?b"},
        {"\xC3", "?"},
        {"\xC3"
         "x",
         "?x"},
        {"\xC0\xAF", "??"},
        {"\xC1\xBF", "??"},
        {"\xE0\x9F\xBF", "???"},
        {"\xE2\x82", "??"},
        {"\xE2\x82"
         "x",
         "??x"},
        {"\xED\xA0\x80", "???"},
        {"\xF0\x8F\xBF\xBF", "????"},
        {"\xF4\x90\x80\x80", "????"},
        {"\xF5\x80\x80\x80", "????"},
        {"\xF0\x9F\x98", "???"},
        {"ok \xE2\x82\xAC \xFE \xC3\xBC", "ok \xE2\x82\xAC ? \xC3\xBC"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *expected = rows[i].repaired != NULL ? rows[i].repaired : rows[i].text;
        cr_assert_eq(text_is_utf8(rows[i].text), rows[i].repaired == NULL, "row %zu", i);
        char *copy = text_to_utf8(rows[i].text);
        cr_assert_str_eq(copy, expected, "row %zu", i);
        cr_assert(text_is_utf8(copy), "row %zu", i);
        free(copy);
    }
}
