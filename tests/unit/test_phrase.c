/* Texts in bounded buffers: cutting, foreign bytes, secrets. */
#include "hookd/phrase.h"

#include <criterion/criterion.h>
#include <string.h>

Test(phrase, sets_and_adds)
{
    char text[32] = "old";
    phrase_set(text, sizeof(text), "%s %d", "port", 80);
    phrase_add(text, sizeof(text), ", %s", "open");
    cr_assert_str_eq(text, "port 80, open");
}

Test(phrase, what_does_not_fit_is_cut_and_says_so)
{
    char text[12];
    phrase_set(text, sizeof(text), "%s", "12345678901");
    cr_assert_str_eq(text, "12345678901");
    phrase_set(text, sizeof(text), "%s", "123456789012");
    cr_assert_str_eq(text, "12345678...");
    phrase_add(text, sizeof(text), "%s", "more");
    cr_assert_str_eq(text, "12345678...");
    phrase_set(text, 0, "%s", "nothing");
    cr_assert_str_eq(text, "12345678...");
}

Test(phrase, an_excerpt_is_one_line_of_printable_ascii)
{
    static const char data[] = "\r\n  <h1>\xc3\xa4 \t\n no\0\x1b[31m</h1> \n";
    char text[64] = "500";
    phrase_add_excerpt(text, sizeof(text), data, sizeof(data) - 1, NULL);
    cr_assert_str_eq(text, "500: <h1>?? no??[31m</h1>");
}

Test(phrase, an_excerpt_without_text_adds_nothing)
{
    char text[64] = "500";
    phrase_add_excerpt(text, sizeof(text), " \r\n", 3, NULL);
    phrase_add_excerpt(text, sizeof(text), NULL, 0, NULL);
    cr_assert_str_eq(text, "500");
}

Test(phrase, an_excerpt_has_no_secret_wherever_it_is_cut)
{
    char data[400];
    for (size_t at = 0; at < 300; at++) {
        char text[512] = "x";
        memset(data, 'a', sizeof(data));
        memcpy(data + at, "hunter2hunter2", 14);
        phrase_add_excerpt(text, sizeof(text), data, sizeof(data), "hunter2hunter2");
        cr_assert_null(strstr(text, "hun"), "%zu: %s", at, text);
        cr_assert_eq(strstr(text, "***") != NULL, at < 160, "%zu: %s", at, text);
    }
}
