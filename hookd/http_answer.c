/*
 * The parser of what a probed task answers. Pure.
 *
 * The task may be hostile, and it chooses every byte: each line is bounded, each number is checked before it
 * grows, and the whole head is bounded too, however many interim answers it consists of.
 */
#include "hookd/http_answer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum chunk_step { CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER };

void http_answer_init(struct http_answer *answer)
{
    memset(answer, 0, sizeof(*answer));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 OK": version, a blank, three digits, then the end or a blank. */
static int take_status_line(struct http_answer *answer, const char *line, size_t length)
{
    if (length < 12 || memcmp(line, "HTTP/1.", 7) != 0 || !is_digit(line[7]) || line[8] != ' ')
        return -EPROTO;
    if (!is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11]) || (length > 12 && line[12] != ' '))
        return -EPROTO;
    answer->status = (unsigned)((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
    answer->has_status = true;
    return answer->status >= 100 ? 0 : -EPROTO;
}

static int take_location(struct http_answer *answer, const char *value, size_t length)
{
    if (answer->has_location)
        return 0; /* the first counts */
    if (length >= sizeof(answer->location))
        return -EMSGSIZE;
    if (memchr(value, '\0', length) != NULL)
        return -EPROTO;
    memcpy(answer->location, value, length);
    answer->location[length] = '\0';
    answer->has_location = true;
    return 0;
}

static int take_length(struct http_answer *answer, const char *value, size_t length)
{
    uint64_t number = 0;
    if (length == 0)
        return -EPROTO;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(value[i]) || number > (UINT64_MAX - 9) / 10)
            return -EPROTO;
        number = number * 10 + (uint64_t)(value[i] - '0');
    }
    if (answer->has_length && answer->left != number)
        return -EPROTO;
    answer->has_length = true;
    answer->left = number;
    return 0;
}

/* Only the last coding says where the body ends (RFC 9112, 6.3). */
static int take_coding(struct http_answer *answer, const char *value, size_t length)
{
    answer->is_chunked = length >= 7 && strncasecmp(value + length - 7, "chunked", 7) == 0 &&
                         (length == 7 || strchr(" \t,", value[length - 8]) != NULL);
    return 0;
}

static int take_header(struct http_answer *answer, const char *line, size_t length)
{
    static const struct {
        const char *name;
        int (*take)(struct http_answer *answer, const char *value, size_t length);
    } headers[] = {
        {"location", take_location}, {"content-length", take_length}, {"transfer-encoding", take_coding}};
    if (line[0] == ' ' || line[0] == '\t')
        return 0; /* a folded line: obsolete, and of none of the headers that count */
    const char *colon = memchr(line, ':', length);
    if (colon == NULL)
        return -EPROTO;
    const char *value = colon + 1;
    const char *end = line + length;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t name_length = (size_t)(colon - line);
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        if (strlen(headers[i].name) == name_length && strncasecmp(headers[i].name, line, name_length) == 0)
            return headers[i].take(answer, value, (size_t)(end - value));
    return 0;
}

/* An interim answer is followed by another; 101 is a final one, in words that nobody here speaks. */
static void end_head(struct http_answer *answer)
{
    if (answer->status < 200 && answer->status != 101) {
        answer->has_status = false;
        answer->has_location = answer->has_length = answer->is_chunked = false;
        return;
    }
    bool has_none = answer->status < 200 || answer->status == 204 || answer->status == 304;
    bool is_empty = !answer->is_chunked && answer->has_length && answer->left == 0;
    answer->state = has_none || is_empty ? HTTP_ANSWER_COMPLETE : HTTP_ANSWER_BODY;
    answer->chunk_step = CHUNK_SIZE;
}

static int take_head_line(struct http_answer *answer, const char *line, size_t length)
{
    if (!answer->has_status)
        return take_status_line(answer, line, length);
    if (length > 0)
        return take_header(answer, line, length);
    end_head(answer);
    return 0;
}

static int take_chunk_size(struct http_answer *answer, const char *line, size_t length)
{
    uint64_t size = 0;
    size_t i = 0;
    for (; i < length; i++) {
        int digit = is_digit(line[i])                  ? line[i] - '0'
                    : line[i] >= 'a' && line[i] <= 'f' ? line[i] - 'a' + 10
                    : line[i] >= 'A' && line[i] <= 'F' ? line[i] - 'A' + 10
                                                       : -1;
        if (digit < 0)
            break;
        if (size > UINT64_MAX >> 4)
            return -EPROTO;
        size = size << 4 | (uint64_t)digit;
    }
    if (i == 0 || (i < length && strchr("; \t", line[i]) == NULL))
        return -EPROTO;
    answer->left = size;
    answer->chunk_step = size > 0 ? CHUNK_DATA : CHUNK_TRAILER;
    return 0;
}

static int take_chunk_line(struct http_answer *answer, const char *line, size_t length)
{
    if (answer->chunk_step == CHUNK_SIZE)
        return take_chunk_size(answer, line, length);
    if (answer->chunk_step == CHUNK_DATA_END) {
        answer->chunk_step = CHUNK_SIZE;
        return length == 0 ? 0 : -EPROTO;
    }
    if (length == 0)
        answer->state = HTTP_ANSWER_COMPLETE; /* else a trailer */
    return 0;
}

/* What cannot become a status line is refused at once: who sends it may never send a newline. */
static bool can_be_http(const struct http_answer *answer)
{
    static const char start[] = "HTTP/1.";
    size_t length = answer->line_used < sizeof(start) - 1 ? answer->line_used : sizeof(start) - 1;
    return answer->has_status || answer->state != HTTP_ANSWER_HEAD ||
           memcmp(answer->line, start, length) == 0;
}

static int take_line(struct http_answer *answer)
{
    size_t length = answer->line_used;
    answer->line_used = 0;
    if (length > 0 && answer->line[length - 1] == '\r')
        length--;
    return answer->state == HTTP_ANSWER_HEAD ? take_head_line(answer, answer->line, length)
                                             : take_chunk_line(answer, answer->line, length);
}

/* Takes bytes up to the end of a line. Returns how many, or a negative errno. */
static int64_t feed_line(struct http_answer *answer, const char *bytes, size_t length)
{
    const char *newline = memchr(bytes, '\n', length);
    size_t taken = newline != NULL ? (size_t)(newline - bytes) : length;
    size_t consumed = newline != NULL ? taken + 1 : taken;
    if (answer->state == HTTP_ANSWER_HEAD) {
        if (consumed > HTTP_ANSWER_HEAD_MAX - answer->head_size)
            return -EMSGSIZE;
        answer->head_size += consumed;
    }
    if (taken > sizeof(answer->line) - answer->line_used)
        return -EMSGSIZE;
    memcpy(answer->line + answer->line_used, bytes, taken);
    answer->line_used += taken;
    if (!can_be_http(answer))
        return -EPROTO;
    int r = newline != NULL ? take_line(answer) : 0;
    return r < 0 ? r : (int64_t)consumed;
}

static size_t feed_data(struct http_answer *answer, size_t length)
{
    if (!answer->is_chunked && !answer->has_length)
        return length; /* it ends when the connection does */
    size_t taken = length < answer->left ? length : (size_t)answer->left;
    answer->left -= taken;
    if (answer->left == 0 && answer->is_chunked)
        answer->chunk_step = CHUNK_DATA_END;
    else if (answer->left == 0)
        answer->state = HTTP_ANSWER_COMPLETE;
    return taken;
}

int http_answer_feed(struct http_answer *answer, const char *bytes, size_t length)
{
    while (length > 0 && answer->state != HTTP_ANSWER_COMPLETE) {
        bool is_data =
            answer->state == HTTP_ANSWER_BODY && (!answer->is_chunked || answer->chunk_step == CHUNK_DATA);
        int64_t taken = is_data ? (int64_t)feed_data(answer, length) : feed_line(answer, bytes, length);
        if (taken < 0)
            return (int)taken;
        bytes += taken;
        length -= (size_t)taken;
    }
    return 0;
}

int http_answer_end(struct http_answer *answer)
{
    if (answer->state == HTTP_ANSWER_BODY && !answer->is_chunked && !answer->has_length)
        answer->state = HTTP_ANSWER_COMPLETE;
    return answer->state == HTTP_ANSWER_COMPLETE ? 0 : -EPROTO;
}
