/*
 * What hooks say, in bounded buffers; see phrase.h.
 *
 * A phrase goes to the log and into a task's status update. It must never carry a line break, a control
 * character or a secret that the other side has sent back to us.
 */
#include "hookd/phrase.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { EXCERPT_MAX = 160 };

/* wanted: how long the text would be if there were room, or negative. */
static void mark_cut(char *text, size_t size, long wanted)
{
    if (wanted >= (long)size && size > 3)
        memcpy(text + size - 4, "...", 4);
}

void phrase_set(char *text, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    mark_cut(text, size, vsnprintf(text, size, format, arguments));
    va_end(arguments);
}

void phrase_add(char *text, size_t size, const char *format, ...)
{
    va_list arguments;
    size_t used = strnlen(text, size);
    va_start(arguments, format);
    mark_cut(text, size, (long)used + vsnprintf(text + used, size - used, format, arguments));
    va_end(arguments);
}

/* A secret of a byte or two would be found everywhere and is none. */
static bool is_secret(const char *data, size_t size, const char *secret, size_t secret_size)
{
    return secret_size > 2 && secret_size <= size && memcmp(data, secret, secret_size) == 0;
}

/* Puts one byte, or none for a blank after a blank or at the beginning; returns how many are there now. */
static size_t put(char *out, size_t n, char c)
{
    bool blank = isspace((unsigned char)c);
    if (blank && (n == 0 || out[n - 1] == ' '))
        return n;
    if (blank)
        out[n] = ' ';
    else
        out[n] = (char)(c < ' ' || c > '~' ? '?' : c);
    return n + 1;
}

void phrase_add_excerpt(char *text, size_t size, const char *data, size_t data_size, const char *secret)
{
    char out[EXCERPT_MAX + 8];
    size_t n = 0;
    size_t i = 0;
    size_t secret_size = secret != NULL ? strlen(secret) : 0;
    while (i < data_size && n < EXCERPT_MAX) {
        if (is_secret(data + i, data_size - i, secret, secret_size)) {
            memcpy(out + n, "***", 3);
            n += 3;
            i += secret_size;
        } else {
            n = put(out, n, data[i++]);
        }
    }
    while (n > 0 && out[n - 1] == ' ')
        n--;
    if (n > 0)
        phrase_add(text, size, ": %.*s%s", (int)n, out, i < data_size ? "..." : "");
}
