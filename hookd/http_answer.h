#ifndef BULKHEAD_HOOKD_HTTP_ANSWER_H
#define BULKHEAD_HOOKD_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An HTTP/1 answer (RFC 9112) as far as a probe cares: its status, where it redirects, and where it ends.
 * Bytes go in as they come, in pieces of any size; nothing of the body is kept.
 */
enum {
    HTTP_ANSWER_HEAD_MAX = 64 * 1024, /* of all heads, interim ones included */
    HTTP_ANSWER_LINE_MAX = 16 * 1024,
    HTTP_ANSWER_LOCATION_SIZE = 8192,
};

enum http_answer_state {
    HTTP_ANSWER_HEAD,
    HTTP_ANSWER_BODY, /* status and location are known */
    HTTP_ANSWER_COMPLETE,
};

/* How the body ends, and within chunks where in one. The fields belong to http_answer.c but for the first
 * four. */
struct http_answer {
    enum http_answer_state state;
    unsigned status;
    bool has_location;
    char location[HTTP_ANSWER_LOCATION_SIZE];

    size_t head_size;
    bool has_status;
    bool is_chunked;
    bool has_length;
    uint64_t left; /* of the body, or of a chunk */
    unsigned chunk_step;
    size_t line_used;
    char line[HTTP_ANSWER_LINE_MAX];
};

void http_answer_init(struct http_answer *answer);

/*
 * Takes what has come. Returns 0; -EPROTO when it is no HTTP; -EMSGSIZE when the head, or a line, is too
 * long. What follows a complete answer is ignored.
 */
int http_answer_feed(struct http_answer *answer, const char *bytes, size_t length);

/* Says that the other side has closed. Returns 0 when the answer is complete with that, or -EPROTO when it is
 * cut off. */
int http_answer_end(struct http_answer *answer);

#endif
