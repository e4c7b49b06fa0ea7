#ifndef BULKHEAD_AGENT_CLIENT_TEXT_H
#define BULKHEAD_AGENT_CLIENT_TEXT_H

#include <stdbool.h>

/* Whether text is UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. Pure.
 */
bool text_is_utf8(const char *text);

/* A copy with every byte that is no part of a valid character replaced by '?'. Freed by the caller; NULL
 * without memory. */
char *text_to_utf8(const char *text);

#endif
