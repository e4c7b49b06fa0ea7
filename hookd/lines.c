/*
 * Lines of an executable's output: split, judged, made harmless. Pure but for memory.
 *
 * What is printed may be anything, of any length. Must never pass on a control character, nor keep more than
 * one line.
 */
#include "hookd/lines.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int lines_init(struct lines *lines, size_t limit, lines_fn emit, void *arg)
{
    *lines = (struct lines){.limit = limit, .emit = emit, .arg = arg, .bytes = malloc(limit)};
    return lines->bytes != NULL ? 0 : -ENOMEM;
}

void lines_clear(struct lines *lines)
{
    free(lines->bytes);
    *lines = (struct lines){0};
}

static void emit(struct lines *lines, bool is_cut)
{
    size_t length = lines->used;
    lines->used = 0;
    lines->emit(lines->arg, lines->bytes, length, is_cut);
}

void lines_feed(struct lines *lines, const char *bytes, size_t length)
{
    while (length > 0) {
        const char *newline = memchr(bytes, '\n', length);
        size_t wanted = newline != NULL ? (size_t)(newline - bytes) : length;
        size_t room = lines->limit - lines->used;
        size_t taken = wanted < room ? wanted : room;
        memcpy(lines->bytes + lines->used, bytes, taken);
        lines->used += taken;
        bytes += taken;
        length -= taken;
        if (taken < wanted) {
            emit(lines, true);
        } else if (newline != NULL) {
            emit(lines, false);
            bytes++;
            length--;
        }
    }
}

void lines_finish(struct lines *lines)
{
    if (lines->used > 0)
        emit(lines, false);
}

bool lines_is_variable_name(const char *name, size_t length)
{
    if (length == 0 || (name[0] >= '0' && name[0] <= '9'))
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '_')
            return false;
    }
    return true;
}

const char *lines_check_variable(const char *line, size_t length, size_t *ret_name_length)
{
    const char *equals = memchr(line, '=', length);
    if (equals == NULL)
        return "has no '='";
    if (!lines_is_variable_name(line, (size_t)(equals - line)))
        return "has no name of a variable before its '='";
    if (memchr(line, '\0', length) != NULL)
        return "has a NUL in it";
    *ret_name_length = (size_t)(equals - line);
    return NULL;
}

/* The C1 controls are two bytes in UTF-8: C2 80 to C2 9F. */
static bool is_harmful(const unsigned char *line, size_t length, size_t at)
{
    unsigned char c = line[at];
    if (c == '\t')
        return false;
    if (c < 0x20 || c == 0x7f)
        return true;
    bool first = c == 0xc2 && at + 1 < length && line[at + 1] >= 0x80 && line[at + 1] <= 0x9f;
    return first || (c >= 0x80 && c <= 0x9f && at > 0 && line[at - 1] == 0xc2);
}

size_t lines_format(char *out, size_t size, const char *prefix, const char *line, size_t length)
{
    enum { ESCAPED = 4 }; /* "\xNN" */
    int n = snprintf(out, size, "%s: ", prefix);
    size_t used = n < 0 ? 0 : (size_t)n < size - 1 - ESCAPED ? (size_t)n : size - 1 - ESCAPED;
    const unsigned char *bytes = (const unsigned char *)line;
    for (size_t i = 0; i < length && used + ESCAPED < size - 1; i++) {
        if (is_harmful(bytes, length, i))
            used += (size_t)snprintf(out + used, size - used, "\\x%02x", bytes[i]);
        else
            out[used++] = line[i];
    }
    out[used++] = '\n';
    return used;
}
