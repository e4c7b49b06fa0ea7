#ifndef BULKHEAD_HOOKD_PHRASE_H
#define BULKHEAD_HOOKD_PHRASE_H

#include <stddef.h>

/*
 * Texts for people in a buffer of fixed size: always ended by a NUL; what does not fit is cut, and the last
 * three bytes are then "..." so that nobody takes the rest for the whole.
 */
void phrase_set(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
void phrase_add(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Adds ": " and the beginning of something that a stranger sent, on one line: bytes that are no printable
 * ASCII become '?', runs of blanks one blank. Wherever secret stands in it (NULL for none) "***" is put.
 * Nothing is added when there is nothing to show.
 */
void phrase_add_excerpt(char *text, size_t size, const char *data, size_t data_size, const char *secret);

#endif
