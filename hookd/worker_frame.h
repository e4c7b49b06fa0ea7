#ifndef BULKHEAD_HOOKD_WORKER_FRAME_H
#define BULKHEAD_HOOKD_WORKER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hookd/hook.h"

/*
 * What a worker says to hookd, over a socketpair of their own: a length (four bytes, least significant
 * first), a type (one byte) and a body of that length. hookd says one thing only, a byte WORKER_RECORD_TAKEN
 * for each record. A worker may have been taken over by what it talked to: nothing of this is believed.
 */
enum worker_frame_type {
    WORKER_RECORD = 1,    /* state (1), key */
    WORKER_VARIABLE = 2,  /* name, NUL, value */
    WORKER_HOOK_DONE = 3, /* success (1), text */
    WORKER_PROBED = 4,    /* success (1), HTTP status (2), text */
};

enum {
    WORKER_FRAME_HEADER = 5,
    WORKER_FRAME_BODY_MAX = 64 * 1024,
    WORKER_KEY_MAX = 4096,
    WORKER_TEXT_MAX = 2048, /* bytes of a text, its NUL not counted */
    WORKER_RECORD_TAKEN = '+',
};

/* A frame in memory; the texts point into it and are not NUL-terminated. */
struct worker_frame {
    enum worker_frame_type type;
    bool success;
    unsigned status;
    Bulkhead__HookRecord__State state;
    const char *name; /* WORKER_VARIABLE */
    size_t name_length;
    const char *text; /* the key, the value or the text */
    size_t text_length;
};

/*
 * Reads the frame at the front of bytes. Returns its size; 0 when it is not whole yet; -EPROTO when it is
 * none, or not one that a worker may send: a text that is too long or has a NUL, a variable whose name is
 * none. Pure.
 */
int worker_frame_parse(const unsigned char *bytes, size_t length, struct worker_frame *ret_frame);

/*
 * Writes a frame; bytes has room for WORKER_FRAME_HEADER + WORKER_FRAME_BODY_MAX. Returns its size, or
 * -EMSGSIZE when it would be larger. Pure.
 */
int worker_frame_pack(const struct worker_frame *frame, unsigned char *bytes);

#endif
