/*
 * The frames between a worker and hookd: pure functions over memory.
 *
 * The parser is the border between a process that reads what came from a network and one that does not. Must
 * never accept what the functions that use a frame would have to check again.
 */
#include "hookd/worker_frame.h"

#include <errno.h>
#include <string.h>

#include "hookd/lines.h"

static size_t read_number(const unsigned char *bytes, size_t size)
{
    size_t number = 0;
    for (size_t i = size; i > 0; i--)
        number = number << 8 | bytes[i - 1];
    return number;
}

static int take_text(const unsigned char *bytes, size_t length, size_t largest, struct worker_frame *frame)
{
    if (length > largest || memchr(bytes, '\0', length) != NULL)
        return -EPROTO;
    frame->text = (const char *)bytes;
    frame->text_length = length;
    return 0;
}

static int take_success(const unsigned char *body, struct worker_frame *frame)
{
    if (body[0] > 1)
        return -EPROTO;
    frame->success = body[0] == 1;
    return 0;
}

static int parse_record(const unsigned char *body, size_t length, struct worker_frame *frame)
{
    if (length < 2 || body[0] < BULKHEAD__HOOK_RECORD__STATE__INTENDED ||
        body[0] > BULKHEAD__HOOK_RECORD__STATE__UNDONE)
        return -EPROTO;
    frame->state = (Bulkhead__HookRecord__State)body[0];
    return take_text(body + 1, length - 1, WORKER_KEY_MAX, frame);
}

static int parse_variable(const unsigned char *body, size_t length, struct worker_frame *frame)
{
    const unsigned char *end = memchr(body, '\0', length);
    if (end == NULL)
        return -EPROTO;
    frame->name = (const char *)body;
    frame->name_length = (size_t)(end - body);
    if (!lines_is_variable_name(frame->name, frame->name_length))
        return -EPROTO;
    return take_text(end + 1, length - frame->name_length - 1, WORKER_FRAME_BODY_MAX, frame);
}

static int parse_hook_done(const unsigned char *body, size_t length, struct worker_frame *frame)
{
    if (length < 1 || take_success(body, frame) < 0)
        return -EPROTO;
    return take_text(body + 1, length - 1, WORKER_TEXT_MAX, frame);
}

static int parse_probed(const unsigned char *body, size_t length, struct worker_frame *frame)
{
    if (length < 3 || take_success(body, frame) < 0)
        return -EPROTO;
    frame->status = (unsigned)read_number(body + 1, 2);
    if (frame->status > 999)
        return -EPROTO;
    return take_text(body + 3, length - 3, WORKER_TEXT_MAX, frame);
}

static int (*const parsers[])(const unsigned char *body, size_t length, struct worker_frame *frame) = {
    [WORKER_RECORD] = parse_record,
    [WORKER_VARIABLE] = parse_variable,
    [WORKER_HOOK_DONE] = parse_hook_done,
    [WORKER_PROBED] = parse_probed,
};

int worker_frame_parse(const unsigned char *bytes, size_t length, struct worker_frame *ret_frame)
{
    if (length < WORKER_FRAME_HEADER)
        return 0;
    size_t body = read_number(bytes, 4);
    unsigned type = bytes[4];
    if (body > WORKER_FRAME_BODY_MAX || type >= sizeof(parsers) / sizeof(parsers[0]) || parsers[type] == NULL)
        return -EPROTO;
    if (length - WORKER_FRAME_HEADER < body)
        return 0;
    struct worker_frame frame = {.type = (enum worker_frame_type)type};
    if (parsers[type](bytes + WORKER_FRAME_HEADER, body, &frame) < 0)
        return -EPROTO;
    *ret_frame = frame;
    return (int)(WORKER_FRAME_HEADER + body);
}

/* What stands before the text. Returns its length; head has room for 3 bytes. */
static size_t pack_head(const struct worker_frame *frame, unsigned char *head)
{
    head[0] = frame->type == WORKER_RECORD ? (unsigned char)frame->state : frame->success;
    if (frame->type != WORKER_PROBED)
        return 1;
    head[1] = (unsigned char)(frame->status & 0xff);
    head[2] = (unsigned char)(frame->status >> 8 & 0xff);
    return 3;
}

int worker_frame_pack(const struct worker_frame *frame, unsigned char *bytes)
{
    unsigned char head[3];
    const void *front = head;
    size_t front_length = pack_head(frame, head);
    bool is_variable = frame->type == WORKER_VARIABLE;
    if (is_variable) {
        front = frame->name;
        front_length = frame->name_length;
    }
    size_t separator = is_variable ? 1 : 0;
    if (front_length > WORKER_FRAME_BODY_MAX - separator ||
        frame->text_length > WORKER_FRAME_BODY_MAX - separator - front_length)
        return -EMSGSIZE;
    size_t body = front_length + separator + frame->text_length;
    for (size_t i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(body >> (8 * i) & 0xff);
    bytes[4] = (unsigned char)frame->type;
    unsigned char *at = bytes + WORKER_FRAME_HEADER;
    memcpy(at, front, front_length);
    at += front_length;
    if (is_variable)
        *at++ = '\0';
    if (frame->text_length > 0)
        memcpy(at, frame->text, frame->text_length);
    return (int)(WORKER_FRAME_HEADER + body);
}
