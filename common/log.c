/*
 * Log records as logfmt, one line each, on the descriptor that log_open was given.
 *
 * Every process of an executor writes to the same standard error as the task, and mostly nobody checks that
 * somebody reads it. So a line is one write that is whole or not at all, and is dropped and counted where it
 * would wait: must never block, allocate, fail the caller, or print a byte of foreign text as it came. Must
 * never make the descriptor non-blocking either: the task shares its file description.
 *
 * This module's state is the one exception to "no globals": where to write is the same for every line of a
 * process.
 */
#include "common/log.h"

#include "common/duration.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define VALUE_MAX 1000
#define CUT_MARK "..."
#define CUT_FIELD " cut=true"

static struct {
    int fd;
    enum log_level level;
    char component[24];
    pid_t pid;
    mode_t file_type;
    uint64_t lost;
} state = {.fd = -1};

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

/*
 * Length of the UTF-8 sequence at text that may be shown as it is, or 0: for control characters, C1
 * (terminals obey them) and whatever RFC 3629 forbids: overlong forms, surrogates, values above U+10FFFF.
 */
static size_t printable_length(const unsigned char *text, size_t available)
{
    unsigned char first = text[0];
    unsigned low = 0x80, high = 0xbf; /* bounds of the second byte */
    size_t length;

    if (first < 0x80)
        return first >= 0x20 && first != 0x7f ? 1 : 0;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first == 0xc2 || first == 0xe0)
        low = 0xa0;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf4)
        high = 0x8f;
    if (length > available || text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if (text[i] < 0x80 || text[i] > 0xbf)
            return 0;
    }
    return length;
}

/* One character, escaped or not, into out (6 bytes suffice). Returns its length; *ret_taken in text. */
static size_t escape_one(char *out, const char *text, size_t available, size_t *ret_taken)
{
    static const char hex[] = "0123456789abcdef";
    static const char special[] = "\n\r\t\"\\";
    unsigned char c = (unsigned char)text[0];
    const char *found = memchr(special, c, sizeof(special) - 1);

    *ret_taken = 1;
    if (found != NULL) {
        out[0] = '\\';
        out[1] = "nrt\"\\"[found - special];
        return 2;
    }
    size_t length = printable_length((const unsigned char *)text, available);
    if (length > 0) {
        memcpy(out, text, length);
        *ret_taken = length;
        return length;
    }
    memcpy(out, "\\u00", 4);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

size_t log_escape(char *buffer, size_t size, const char *text, size_t length)
{
    size_t used = 0, mark = 0; /* mark: the last end of a character that leaves room for CUT_MARK */
    size_t room = size - 1, mark_length = sizeof(CUT_MARK) - 1;

    while (length > 0) {
        char piece[6];
        size_t taken, piece_length = escape_one(piece, text, length, &taken);
        if (piece_length > room - used) {
            memcpy(buffer + mark, CUT_MARK, mark_length);
            used = mark + mark_length;
            break;
        }
        memcpy(buffer + used, piece, piece_length);
        used += piece_length;
        if (used <= room - mark_length)
            mark = used;
        text += taken;
        length -= taken;
    }
    buffer[used] = '\0';
    return used;
}

/* Bare values may hold all but blanks, '=' and quotes; other odd ones are quoted for every reader's sake. */
static bool needs_quotes(const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c <= ' ' || c >= 0x7f || c == '=' || c == '"' || c == '\'' || c == '\\')
            return true;
    }
    return length == 0;
}

/* Text of a field, quoted and escaped where it must be. out has VALUE_MAX + 3 bytes. */
static size_t format_text(char *out, const char *text, size_t length)
{
    if (!needs_quotes(text, length) && length <= VALUE_MAX) {
        memcpy(out, text, length);
        return length;
    }
    out[0] = '"';
    size_t used = 1 + log_escape(out + 1, VALUE_MAX + 1, text, length);
    out[used] = '"';
    return used + 1;
}

static size_t format_errno(char *out, int64_t error)
{
    const char *text = strerrordesc_np((int)(error < 0 ? -error : error));
    char unknown[40];

    if (text == NULL) {
        snprintf(unknown, sizeof(unknown), "error %" PRId64, error);
        text = unknown;
    }
    return format_text(out, text, strlen(text));
}

static size_t format_word(char *out, const char *word)
{
    size_t length = strlen(word);

    memcpy(out, word, length);
    return length;
}

static size_t format_value(char *out, const struct log_field *field)
{
    const char *text = field->value.text;

    switch (field->kind) {
    case LOG_KIND_STRING:
        return text != NULL ? format_text(out, text, strlen(text)) : format_word(out, "null");
    case LOG_KIND_BYTES:
        return text != NULL ? format_text(out, text, field->length) : format_word(out, "null");
    case LOG_KIND_SIGNED:
        return (size_t)snprintf(out, VALUE_MAX, "%" PRId64, field->value.number);
    case LOG_KIND_UNSIGNED:
        return (size_t)snprintf(out, VALUE_MAX, "%" PRIu64, field->value.natural);
    case LOG_KIND_BOOL:
        return format_word(out, field->value.number != 0 ? "true" : "false");
    case LOG_KIND_DURATION:
        return strlen(duration_format(field->value.number, out, VALUE_MAX));
    case LOG_KIND_ERRNO:
        return format_errno(out, field->value.number);
    case LOG_KIND_SECRET:
        return format_word(out, "<redacted>");
    case LOG_KIND_END:
        break;
    }
    return 0;
}

/*
 * Year, month and day of a day count since 1970. In place of gmtime_r, which reads the time zone's files and
 * takes a lock that a forked child may inherit locked. Years are counted from March, so that the leap day is
 * the last one.
 */
static void civil_date(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    int64_t era, day_of_era, year, day_of_year, month;

    days += 719468;                                    /* from 0000-03-01 to 1970-01-01 */
    era = (days >= 0 ? days : days - 146096) / 146097; /* 400 years */
    day_of_era = days - era * 146097;
    year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    month = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = (int)(year + era * 400 + (*ret_month <= 2 ? 1 : 0));
}

static size_t format_start(char *line, size_t size, const struct log_origin *origin, enum log_level level)
{
    int64_t seconds = (int64_t)origin->time.tv_sec;
    int64_t second_of_day = ((seconds % 86400) + 86400) % 86400;
    int year, month, day;

    civil_date((seconds - second_of_day) / 86400, &year, &month, &day);
    int length = snprintf(
        line, size, "time=%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ level=%s component=%.23s pid=%ld", year, month,
        day, (int)(second_of_day / 3600), (int)(second_of_day / 60 % 60), (int)(second_of_day % 60),
        origin->time.tv_nsec / 1000, level_names[level], origin->component, (long)origin->pid);
    return (size_t)length;
}

/* Appends " key=value" if it and the closing mark fit. */
static bool append_field(char *line, size_t *used, const struct log_field *field)
{
    char value[VALUE_MAX + 3];
    size_t key_length = strlen(field->key), value_length = format_value(value, field);

    /* sizeof counts a NUL, which stands for the newline here. */
    if (1 + key_length + 1 + value_length > LOG_LINE_MAX - sizeof(CUT_FIELD) - *used)
        return false;
    line[(*used)++] = ' ';
    memcpy(line + *used, field->key, key_length);
    *used += key_length;
    line[(*used)++] = '=';
    memcpy(line + *used, value, value_length);
    *used += value_length;
    return true;
}

size_t log_format_line(char *line, const struct log_origin *origin, enum log_level level,
                       const struct log_field *fields)
{
    size_t used = format_start(line, LOG_LINE_MAX, origin, level);
    bool cut = false;

    for (; fields->kind != LOG_KIND_END; fields++)
        if (fields->kind != LOG_KIND_ERRNO || fields->value.number != 0)
            cut = !append_field(line, &used, fields) || cut;
    if (cut) {
        memcpy(line + used, CUT_FIELD, sizeof(CUT_FIELD) - 1);
        used += sizeof(CUT_FIELD) - 1;
    }
    line[used++] = '\n';
    return used;
}

/*
 * A pipe may have been filled by somebody else since it was asked: RWF_NOWAIT closes that gap where the
 * kernel has it for pipes (6.4). Elsewhere, or where a filter forbids the call, a plain write takes the small
 * risk.
 */
static ssize_t write_pipe(const char *line, size_t length)
{
    struct iovec piece = {.iov_base = (void *)(uintptr_t)line, .iov_len = length};
    ssize_t n = pwritev2(state.fd, &piece, 1, -1, RWF_NOWAIT);

    if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == EPERM))
        n = write(state.fd, line, length);
    return n;
}

static bool may_write_now(void)
{
    struct pollfd p = {.fd = state.fd, .events = POLLOUT};

    if (state.file_type == S_IFREG)
        return true;
    /* POLLERR, POLLHUP: nobody will ever read; a write would only raise SIGPIPE. */
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLOUT | POLLERR | POLLHUP | POLLNVAL)) == POLLOUT;
}

static bool write_line(const char *line, size_t length)
{
    ssize_t n;

    do {
        if (!may_write_now())
            return false;
        if (state.file_type == S_IFSOCK)
            n = send(state.fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        else if (state.file_type == S_IFIFO)
            n = write_pipe(line, length);
        else
            n = write(state.fd, line, length);
    } while (n < 0 && errno == EINTR);
    return n >= 0 && (size_t)n == length;
}

static struct log_origin current_origin(void)
{
    struct log_origin origin = {.component = state.component, .pid = state.pid};

    clock_gettime(CLOCK_REALTIME, &origin.time);
    return origin;
}

/* Whether nothing is owed any more: no line was lost, or it has been said. */
static bool report_loss(char *line, const struct log_origin *origin)
{
    if (state.lost == 0)
        return true;
    const struct log_field fields[] = {LOG_STR("msg", "log lines lost"), LOG_UINT("lost", state.lost),
                                       LOG_END};
    if (!write_line(line, log_format_line(line, origin, LOG_LEVEL_WARNING, fields)))
        return false;
    state.lost = 0;
    return true;
}

void log_write_fields(enum log_level level, const struct log_field *fields)
{
    int saved_errno = errno;

    if (log_enabled(level)) {
        char line[LOG_LINE_MAX];
        struct log_origin origin = current_origin();
        if (!report_loss(line, &origin) || !write_line(line, log_format_line(line, &origin, level, fields)))
            state.lost++;
    }
    errno = saved_errno;
}

bool log_enabled(enum log_level level)
{
    return state.fd >= 0 && level <= state.level;
}

void log_set_level(enum log_level level)
{
    state.level = level;
}

static void set_component(const char *component)
{
    snprintf(state.component, sizeof(state.component), "%s", component);
    state.pid = getpid();
}

void log_set_component(const char *component)
{
    set_component(component);
    state.lost = 0;
}

void log_open(const char *component, int fd, enum log_level level)
{
    struct stat status;

    set_component(component);
    state.file_type = fstat(fd, &status) == 0 ? status.st_mode & S_IFMT : 0;
    state.level = level;
    state.fd = fd;
}
