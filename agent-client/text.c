/*
 * UTF-8, as far as we need it to keep what leaves for the agent readable.
 *
 * Strings in protobuf are UTF-8 by definition, and programs behind the agent stumble over what is not. It
 * must never change text that is valid.
 */
#include "agent-client/text.h"

#include <stddef.h>
#include <string.h>

/* The second byte of a character has a narrower range after some first bytes (RFC 3629, section 4). */
static bool is_second(unsigned char first, unsigned char second)
{
    unsigned char lowest = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char highest = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    return second >= lowest && second <= highest;
}

static size_t length_by_first(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return 2;
    if (first >= 0xE0 && first <= 0xEF)
        return 3;
    return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

/* The length of the character that begins here, 0 when there is none. The NUL at the end stops it like any
 * wrong byte. */
static size_t character_length(const unsigned char *text)
{
    size_t length = length_by_first(text[0]);
    if (length <= 1)
        return length;
    if (!is_second(text[0], text[1]))
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

bool text_is_utf8(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    while (*c != '\0') {
        size_t length = character_length(c);
        if (length == 0)
            return false;
        c += length;
    }
    return true;
}

char *text_to_utf8(const char *text)
{
    char *copy = strdup(text);
    for (unsigned char *c = (unsigned char *)copy; c != NULL && *c != '\0';) {
        size_t length = character_length(c);
        if (length == 0)
            *c = '?';
        c += length > 0 ? length : 1;
    }
    return copy;
}
