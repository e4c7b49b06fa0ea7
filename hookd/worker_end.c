/*
 * What a worker says to hookd, and the one answer that it waits for; also what hooks are given for it,
 * hook_record() and hook_add_variable().
 *
 * Runs in workers only. Must never return from hook_record() with success before the supervisor has the
 * record.
 */
#include "hookd/worker_end.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "hookd/hook.h"
#include "hookd/worker_frame.h"

static int send_all(int socket, const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = send(socket, bytes, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        length -= (size_t)n;
    }
    return 0;
}

static int tell(struct worker_end *end, const struct worker_frame *frame)
{
    unsigned char *bytes = malloc(WORKER_FRAME_HEADER + WORKER_FRAME_BODY_MAX);
    if (bytes == NULL)
        return -ENOMEM;
    int r = worker_frame_pack(frame, bytes);
    if (r >= 0)
        r = send_all(end->socket, bytes, (size_t)r);
    free(bytes);
    return r;
}

/* What must be said even when memory has run out. */
static int tell_end(struct worker_end *end, struct worker_frame *frame, const char *text)
{
    unsigned char bytes[WORKER_FRAME_HEADER + 3 + WORKER_TEXT_MAX];
    frame->text = text;
    frame->text_length = strnlen(text, WORKER_TEXT_MAX);
    int r = worker_frame_pack(frame, bytes);
    return r >= 0 ? send_all(end->socket, bytes, (size_t)r) : r;
}

int worker_end_tell_done(struct worker_end *end, bool success, const char *text)
{
    struct worker_frame frame = {.type = WORKER_HOOK_DONE, .success = success};
    return tell_end(end, &frame, text);
}

int worker_end_tell_probed(struct worker_end *end, bool success, unsigned status, const char *text)
{
    struct worker_frame frame = {.type = WORKER_PROBED, .success = success, .status = status};
    return tell_end(end, &frame, text);
}

static int await_taken(const struct worker_end *end)
{
    unsigned char answer;
    ssize_t n;
    do
        n = recv(end->socket, &answer, 1, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return n == 1 && answer == WORKER_RECORD_TAKEN ? 0 : -EPIPE;
}

int hook_record(struct hook_call *call, const char *key, Bulkhead__HookRecord__State state)
{
    struct worker_end *end = call->worker;
    struct worker_frame frame = {
        .type = WORKER_RECORD, .state = state, .text = key, .text_length = strlen(key)};
    if (frame.text_length == 0 || frame.text_length > WORKER_KEY_MAX)
        return -EMSGSIZE;
    int r = tell(end, &frame);
    return r == 0 ? await_taken(end) : r;
}

int hook_add_variable(struct hook_call *call, const char *name, const char *value)
{
    struct worker_end *end = call->worker;
    struct worker_frame frame = {.type = WORKER_VARIABLE,
                                 .name = name,
                                 .name_length = strlen(name),
                                 .text = value,
                                 .text_length = strlen(value)};
    size_t size = frame.name_length + frame.text_length;
    if (end->variables == WORKER_VARIABLES_MAX || size > WORKER_VARIABLE_BYTES_MAX - end->variable_bytes)
        return -ENOBUFS;
    int r = tell(end, &frame);
    if (r < 0)
        return r == -EMSGSIZE ? -ENOBUFS : r;
    end->variables++;
    end->variable_bytes += size;
    return 0;
}
