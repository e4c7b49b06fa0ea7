/* What a framework may ask for as a check: each refusal with the sentence that says what to mend. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "supervisor/checks.h"

#define COMMAND BULKHEAD__CHECK__TYPE__COMMAND
#define HTTP BULKHEAD__CHECK__TYPE__HTTP
#define TCP BULKHEAD__CHECK__TYPE__TCP

static Bulkhead__Check check_of(Bulkhead__Check__Type type, uint32_t port)
{
    Bulkhead__Check check = BULKHEAD__CHECK__INIT;
    check.has_type = check.has_port = 1;
    check.type = type;
    check.port = port;
    return check;
}

static Bulkhead__Check http_of(const char *scheme, const char *path)
{
    Bulkhead__Check check = check_of(HTTP, 80);
    check.scheme = (char *)(uintptr_t)scheme;
    check.path = (char *)(uintptr_t)path;
    return check;
}

/* Both kinds are judged alike. */
static void expect_good(Bulkhead__Check check)
{
    char why[256] = "untouched";
    Bulkhead__Task task = BULKHEAD__TASK__INIT;
    task.health_check = &check;
    cr_assert_eq(checks_validate(&task, why, sizeof(why)), 0, "%s", why);
    task.check = &check;
    cr_assert_eq(checks_validate(&task, why, sizeof(why)), 0, "%s", why);
    cr_assert_str_eq(why, "untouched");
}

static void expect_sentence(const Bulkhead__Task *task, const char *field, const char *rest)
{
    char why[256] = "";
    char sentence[256];
    snprintf(sentence, sizeof(sentence), "The task's %s %s", field, rest);
    cr_assert_eq(checks_validate(task, why, sizeof(why)), -EINVAL);
    cr_assert_str_eq(why, sentence);
}

static void expect_refused(Bulkhead__Check check, const char *rest)
{
    Bulkhead__Task task = BULKHEAD__TASK__INIT;
    task.health_check = &check;
    expect_sentence(&task, "health_check", rest);
    Bulkhead__Check good = check_of(TCP, 1);
    task.health_check = &good;
    task.check = &check;
    expect_sentence(&task, "check", rest);
}

Test(checks_validate, a_task_without_checks)
{
    char why[8] = "";
    Bulkhead__Task task = BULKHEAD__TASK__INIT;
    cr_assert_eq(checks_validate(&task, why, sizeof(why)), 0);
}

Test(checks_validate, a_missing_type)
{
    Bulkhead__Check nothing = BULKHEAD__CHECK__INIT;
    expect_refused(nothing, "has no type: set it to COMMAND, HTTP or TCP");
    expect_refused(check_of((Bulkhead__Check__Type)9, 80), "has no type: set it to COMMAND, HTTP or TCP");
}

Test(checks_validate, ports)
{
    static const uint32_t bad[] = {0, 65536, UINT32_MAX};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_refused(check_of(HTTP, bad[i]), "has no port from 1 to 65535");
        expect_refused(check_of(TCP, bad[i]), "has no port from 1 to 65535");
    }
    Bulkhead__Check missing = check_of(TCP, 80);
    missing.has_port = 0;
    expect_refused(missing, "has no port from 1 to 65535");
    expect_good(check_of(HTTP, 1));
    expect_good(check_of(TCP, 65535));
}

Test(checks_validate, times)
{
    enum { DELAY, INTERVAL, TIMEOUT, GRACE, TIMES };
    for (int i = 0; i < TIMES; i++) {
        Bulkhead__Check check = check_of(TCP, 80);
        int64_t *times[TIMES] = {&check.delay, &check.interval, &check.timeout, &check.grace};
        *times[i] = -1;
        expect_refused(check, "has a negative delay, interval, timeout or grace period: set it to 0 or more");
        *times[i] = INT64_MAX;
        expect_good(check);
        *times[i] = 0;
        expect_good(check);
    }
}

Test(checks_validate, schemes)
{
    static const char *const bad[] = {"ftp", "", "HTTP", "httpss", "http ", "file"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_refused(http_of(bad[i], "/"), "has a scheme that is neither http nor https");
    expect_good(http_of(NULL, "/"));
    expect_good(http_of("http", "/"));
    expect_good(http_of("https", "/"));
}

Test(checks_validate, paths)
{
    static const char *const relative[] = {"ping", "?x", " /", "http://other/"};
    for (size_t i = 0; i < sizeof(relative) / sizeof(relative[0]); i++)
        expect_refused(http_of(NULL, relative[i]), "has a path that does not begin with a slash");
    static const char *const blank[] = {"/a b", "/a\r\nHost: b", "/\t", "/\x7f", "/ "};
    for (size_t i = 0; i < sizeof(blank) / sizeof(blank[0]); i++)
        expect_refused(http_of(NULL, blank[i]),
                       "has a path with a blank or a control character: escape it as %20 and the like");
    static const char *const good[] = {NULL, "", "/", "/ping?a=b&c=%20", "//x", "/\xc3\xa9"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        expect_good(http_of(NULL, good[i]));
}

Test(checks_validate, commands)
{
    Bulkhead__Check check = check_of(COMMAND, 0);
    Bulkhead__Command command = BULKHEAD__COMMAND__INIT;
    expect_refused(check, "is of type COMMAND and has no command");
    check.command = &command;
    expect_refused(check, "is of type COMMAND and has no command");
    command.value = (char *)(uintptr_t) "";
    expect_refused(check, "is of type COMMAND and has no command");
    command.value = (char *)(uintptr_t) "true";
    expect_good(check);
}

Test(checks_validate, what_updates_carry_before_anything_was_seen)
{
    Bulkhead__Task task = BULKHEAD__TASK__INIT;
    Bulkhead__Check check = check_of(HTTP, 80);
    task.health_check = &check;
    struct check_value value = checks_initial_value(&task);
    cr_assert_eq(value.type, 0, "a health check is no check");
    cr_assert_not(value.known);
    task.check = &check;
    value = checks_initial_value(&task);
    cr_assert_eq(value.type, (int)HTTP);
    cr_assert_not(value.known);
}
