/*
 * Log lines: golden ones for escaping and cutting, and what happens where nobody reads.
 */
#include "common/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct log_origin origin = {
    .component = "supervisor", .pid = 123, .time = {.tv_sec = 1795487400, .tv_nsec = 123456789}};

#define START "time=2026-11-24T02:30:00.123456Z level=info component=supervisor pid=123 "

/* The line as a C string. */
static const char *format(const struct log_field *fields)
{
    static char line[LOG_LINE_MAX + 1];

    memset(line, 'x', sizeof(line));
    size_t length = log_format_line(line, &origin, LOG_LEVEL_INFO, fields);
    cr_assert_leq(length, LOG_LINE_MAX);
    cr_assert_eq(line[LOG_LINE_MAX], 'x', "written past the end");
    line[length] = '\0';
    cr_assert_eq(strlen(line), length, "a NUL in the line");
    cr_assert_eq(strchr(line, '\n'), line + length - 1, "not one line");
    return line;
}

#define FORMAT(...) format(LOG_FIELDS(__VA_ARGS__))

Test(log, fields_of_every_kind)
{
    cr_assert_str_eq(FORMAT("ready"), START "msg=ready\n");
    cr_assert_str_eq(
        FORMAT("task launched", LOG_STR("task", "web.1"), LOG_INT("code", -3), LOG_UINT("bytes", UINT64_MAX),
               LOG_BOOL("healthy", true), LOG_BOOL("late", false),
               LOG_DURATION("grace", INT64_C(90000000000)), LOG_ERRNO(-ENOENT), LOG_SECRET("token"),
               LOG_STR("none", NULL), LOG_STR("empty", ""), LOG_BYTES("raw", "a\0b", 3),
               LOG_INT("least", INT64_MIN)),
        START "msg=\"task launched\" task=web.1 code=-3 bytes=18446744073709551615 healthy=true late=false "
              "grace=1m30s error=\"No such file or directory\" token=<redacted> none=null empty=\"\" "
              "raw=\"a\\u0000b\" least=-9223372036854775808\n");
    cr_assert_str_eq(FORMAT("x", LOG_ERRNO(EPIPE)), START "msg=x error=\"Broken pipe\"\n");
    cr_assert_str_eq(FORMAT("x", LOG_ERRNO(99999)), START "msg=x error=\"error 99999\"\n");
    cr_assert_str_eq(FORMAT("x", LOG_ERRNO(0), LOG_INT("n", 1)), START "msg=x n=1\n");
}

Test(log, values_are_quoted_and_escaped)
{
    static const struct {
        const char *value;
        const char *expected;
    } cases[] = {
        {"plain-value_1.2:/x,[y]", "plain-value_1.2:/x,[y]"},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"no\"", "\"say \\\"no\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"it's", "\"it's\""},
        {"line\nfeed\r\ttab", "\"line\\nfeed\\r\\ttab\""},
        {"\x1b[31mred", "\"\\u001b[31mred\""},
        {"\x7f", "\"\\u007f\""},
        {"\x01\x1f", "\"\\u0001\\u001f\""},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\xa2",
         "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\xa2\""},
        {"c1 \xc2\x9b", "\"c1 \\u00c2\\u009b\""},
        {"nbsp\xc2\xa0", "\"nbsp\xc2\xa0\""},
        {"lone \x80", "\"lone \\u0080\""},
        {"short \xe2\x82", "\"short \\u00e2\\u0082\""},
        {"overlong \xc0\xaf", "\"overlong \\u00c0\\u00af\""},
        {"overlong \xe0\x80\xaf", "\"overlong \\u00e0\\u0080\\u00af\""},
        {"overlong \xf0\x80\x80\xaf", "\"overlong \\u00f0\\u0080\\u0080\\u00af\""},
        {"surrogate \xed\xa0\x80", "\"surrogate \\u00ed\\u00a0\\u0080\""},
        {"too far \xf4\x90\x80\x80", "\"too far \\u00f4\\u0090\\u0080\\u0080\""},
        {"\xff\xfe", "\"\\u00ff\\u00fe\""},
    };
    char expected[256];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(expected, sizeof(expected), START "msg=%s\n", cases[i].expected);
        cr_expect_str_eq(FORMAT(cases[i].value), expected);
    }
}

Test(log, a_long_value_is_cut)
{
    char value[5000], expected[1300];

    memset(value, 'a', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    snprintf(expected, sizeof(expected), START "msg=\"%.997s...\" n=1\n", value);
    cr_assert_str_eq(FORMAT(value, LOG_INT("n", 1)), expected);
    value[1000] = '\0';
    snprintf(expected, sizeof(expected), START "msg=%.1000s n=1\n", value);
    cr_assert_str_eq(FORMAT(value, LOG_INT("n", 1)), expected);
}

Test(log, escape_cuts_before_a_whole_character)
{
    char out[16];

    memset(out, 'x', sizeof(out));
    cr_assert_eq(log_escape(out, 9, "12345678", 8), 8);
    cr_assert_str_eq(out, "12345678");
    cr_assert_eq(log_escape(out, 9, "123456789", 9), 8);
    cr_assert_str_eq(out, "12345...");
    cr_assert_eq(log_escape(out, 9,
                            "1234\xe2\x82\xac"
                            "56",
                            9),
                 7);
    cr_assert_str_eq(out, "1234...");
    cr_assert_eq(log_escape(out, 9, "\x01\x02", 2), 3);
    cr_assert_str_eq(out, "...");
    cr_assert_eq(log_escape(out, 9, "\x01", 1), 6);
    cr_assert_eq(log_escape(out, 4, "1234", 4), 3);
    cr_assert_str_eq(out, "...");
    cr_assert_eq(log_escape(out, 4, "", 0), 0);
    cr_assert_str_eq(out, "");
    cr_assert_eq(out[9], 'x');
}

Test(log, a_long_line_leaves_fields_out_and_says_so)
{
    char value[1001];

    memset(value, 'v', sizeof(value) - 1);
    value[1000] = '\0';
    const char *line = FORMAT("m", LOG_STR("a", value), LOG_STR("b", value), LOG_STR("c", value),
                              LOG_STR("d", value), LOG_INT("last", 7));
    cr_assert_not_null(strstr(line, " c=vvv"));
    cr_assert_null(strstr(line, " d="));
    cr_assert_not_null(strstr(line, " last=7 cut=true\n"), "what still fits is kept");
}

/* Every length of a last field around the edge: no byte past LOG_LINE_MAX, and either whole or said to be
 * cut. */
Test(log, the_edge_of_a_line)
{
    char value[1001], last[1001];
    size_t longest = 0;
    bool seen_cut = false;

    memset(value, 'v', sizeof(value));
    value[1000] = '\0';
    for (size_t length = 900; length <= 1000; length++) {
        memset(last, 'l', length);
        last[length] = '\0';
        const char *line =
            FORMAT("m", LOG_STR("a", value), LOG_STR("b", value), LOG_STR("c", value), LOG_STR("d", last));
        bool whole = strstr(line, " d=l") != NULL;
        cr_assert_neq(whole, strstr(line, " cut=true\n") != NULL);
        if (whole) {
            cr_assert_not_null(strstr(line, last));
            longest = strlen(line);
        }
        seen_cut = seen_cut || !whole;
    }
    cr_assert(seen_cut, "the lengths tried do not reach the edge");
    cr_assert_eq(longest, LOG_LINE_MAX - strlen(" cut=true"));
}

Test(log, dates)
{
    static const struct {
        time_t seconds;
        const char *expected;
    } cases[] = {
        {0, "time=1970-01-01T00:00:00.000000Z "},          {-1, "time=1969-12-31T23:59:59.000000Z "},
        {951782399, "time=2000-02-28T23:59:59.000000Z "},  {951782400, "time=2000-02-29T00:00:00.000000Z "},
        {951868800, "time=2000-03-01T00:00:00.000000Z "},  {1709251199, "time=2024-02-29T23:59:59.000000Z "},
        {1735689599, "time=2024-12-31T23:59:59.000000Z "}, {2147483648, "time=2038-01-19T03:14:08.000000Z "},
        {4107542400, "time=2100-03-01T00:00:00.000000Z "},
    };
    char line[LOG_LINE_MAX];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct log_origin at = {.component = "x", .pid = 1, .time = {.tv_sec = cases[i].seconds}};
        log_format_line(line, &at, LOG_LEVEL_DEBUG, LOG_FIELDS("m"));
        cr_expect_eq(strncmp(line, cases[i].expected, strlen(cases[i].expected)), 0, "%.40s", line);
    }
    /* Against the C library, a day and a bit apart, for 300 years. */
    for (time_t t = -2208988800; t < 7258118400; t += 100003) {
        struct log_origin at = {.component = "x", .pid = 1, .time = {.tv_sec = t}};
        struct tm tm;
        char expected[64];
        strftime(expected, sizeof(expected), "time=%Y-%m-%dT%H:%M:%S.000000Z ", gmtime_r(&t, &tm));
        log_format_line(line, &at, LOG_LEVEL_DEBUG, LOG_FIELDS("m"));
        cr_assert_eq(strncmp(line, expected, strlen(expected)), 0, "%.40s is not %s", line, expected);
    }
}

/* What can be read now, as a string; never waits. */
static const char *read_now(int fd)
{
    static char text[1 << 20];
    size_t used = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};

    while (used < sizeof(text) - 1 && poll(&p, 1, 0) == 1 && (p.revents & POLLIN) != 0) {
        ssize_t n = read(fd, text + used, sizeof(text) - 1 - used);
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    return text;
}

static size_t count_lines(const char *text)
{
    size_t count = 0;

    for (; (text = strchr(text, '\n')) != NULL; text++)
        count++;
    return count;
}

static const char *evaluated(int *count)
{
    (*count)++;
    return "value";
}

Test(log, levels)
{
    int fds[2], count = 0;

    log_error("before log_open", LOG_STR("a", evaluated(&count)));
    cr_assert_eq(count, 0);
    cr_assert_eq(pipe(fds), 0);
    log_open("tester", fds[1], LOG_LEVEL_INFO);
    log_debug("hidden", LOG_STR("a", evaluated(&count)));
    cr_assert_eq(count, 0, "the arguments of a disabled level are not evaluated");
    cr_assert_str_eq(read_now(fds[0]), "");
    log_info("shown", LOG_STR("a", evaluated(&count)));
    cr_assert_eq(count, 1);
    cr_assert_not_null(strstr(read_now(fds[0]), " level=info component=tester pid="));
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("shown");
    cr_assert_not_null(strstr(read_now(fds[0]), " level=debug "));
    log_set_level(LOG_LEVEL_ERROR);
    log_warning("hidden");
    cr_assert_str_eq(read_now(fds[0]), "");
    log_error("shown");
    cr_assert_not_null(strstr(read_now(fds[0]), " level=error "));
}

Test(log, a_fork_logs_under_its_own_pid)
{
    int fds[2], status;
    char expected[64];

    cr_assert_eq(pipe(fds), 0);
    log_open("parent", fds[1], LOG_LEVEL_INFO);
    pid_t pid = fork();
    if (pid == 0) {
        log_set_component("keeper");
        log_info("hello");
        _exit(0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    snprintf(expected, sizeof(expected), " component=keeper pid=%ld msg=hello\n", (long)pid);
    cr_assert_not_null(strstr(read_now(fds[0]), expected));
}

Test(log, errno_is_kept)
{
    FILE *file = tmpfile();

    cr_assert_not_null(file);
    log_open("tester", fileno(file), LOG_LEVEL_INFO);
    fclose(file);
    errno = ENOTTY;
    log_info("x"); /* the write fails with EBADF */
    cr_assert_eq(errno, ENOTTY);
}

/* Logs until lines are lost, then that the loss is told once there is room, and told once. */
static void check_full(int reader, int writer)
{
    char padding[900];
    size_t written = 20000;

    memset(padding, 'p', sizeof(padding));
    padding[sizeof(padding) - 1] = '\0';
    log_open("tester", writer, LOG_LEVEL_INFO);
    alarm(20); /* a log call that blocks ends the test here */
    for (size_t i = 0; i < written; i++)
        log_info("filling", LOG_STR("padding", padding));
    size_t kept = count_lines(read_now(reader));
    cr_assert_lt(kept, written);
    cr_assert_gt(kept, 10);
    log_info("room again");
    const char *text = read_now(reader);
    char expected[64];
    snprintf(expected, sizeof(expected), " msg=\"log lines lost\" lost=%zu\n", written - kept);
    const char *told = strstr(text, expected);
    cr_assert_not_null(told, "%s", text);
    cr_assert_not_null(strstr(text, " level=warning "));
    cr_assert_not_null(strstr(told, "msg=\"room again\"\n"));
    cr_assert_eq(count_lines(text), 2);
    log_info("and on");
    cr_assert_eq(count_lines(read_now(reader)), 1);
}

Test(log, a_full_pipe_does_not_block, .timeout = 60)
{
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    check_full(fds[0], fds[1]);
    cr_assert_eq(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0, "the shared description is left as it was");
}

Test(log, a_full_socket_does_not_block, .timeout = 60)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    check_full(fds[0], fds[1]);
    cr_assert_eq(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
}

/* A pipe that nobody will ever read: SIGPIPE, at its default here, would end the test. */
Test(log, a_broken_pipe_is_survived)
{
    int fds[2];

    signal(SIGPIPE, SIG_DFL);
    cr_assert_eq(pipe(fds), 0);
    log_open("tester", fds[1], LOG_LEVEL_INFO);
    close(fds[0]);
    log_info("to nobody");
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    log_open("tester", fds[1], LOG_LEVEL_INFO);
    close(fds[0]);
    log_info("to nobody");
    int pair[2];
    cr_assert_eq(pipe(pair), 0);
    log_open("tester", pair[1], LOG_LEVEL_INFO);
    log_info("to somebody");
    cr_assert_not_null(strstr(read_now(pair[0]), "lost=2\n"));
}

Test(log, a_file_gets_every_line)
{
    char path[] = "/tmp/test_log.XXXXXX";
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    unlink(path);
    log_open("tester", fd, LOG_LEVEL_INFO);
    for (int i = 0; i < 1000; i++)
        log_info("line", LOG_INT("i", i));
    cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
    cr_assert_eq(count_lines(read_now(fd)), 1000);
}
