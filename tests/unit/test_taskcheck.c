/* From Mesos' health checks and checks to ours: every type, what a framework leaves out, and odd numbers. */
#include "agent-client/taskcheck.h"

#include <criterion/criterion.h>
#include <math.h>

#define SECOND INT64_C(1000000000)
#define HUNDRED_YEARS (INT64_C(3155760000) * SECOND)

#define NONE BULKHEAD__CHECK__TYPE__NONE
#define COMMAND BULKHEAD__CHECK__TYPE__COMMAND
#define HTTP BULKHEAD__CHECK__TYPE__HTTP
#define TCP BULKHEAD__CHECK__TYPE__TCP

/* A health check with any of the three, and what is made of it. */
struct stage {
    Mesos__V1__HealthCheck health;
    Mesos__V1__HealthCheck__HTTPCheckInfo http;
    Mesos__V1__HealthCheck__TCPCheckInfo tcp;
    Mesos__V1__CommandInfo command;
    Bulkhead__Check check;
    const Mesos__V1__CommandInfo *read_command;
};

static void init(struct stage *stage)
{
    mesos__v1__health_check__init(&stage->health);
    mesos__v1__health_check__httpcheck_info__init(&stage->http);
    mesos__v1__health_check__tcpcheck_info__init(&stage->tcp);
    mesos__v1__command_info__init(&stage->command);
    stage->http.has_port = stage->tcp.has_port = 1;
    stage->http.port = 80;
    stage->tcp.port = 443;
}

static void set_type(struct stage *stage, int type)
{
    stage->health.has_type = 1;
    stage->health.type = (Mesos__V1__HealthCheck__Type)type;
}

static void read_health(struct stage *stage)
{
    taskcheck_read_health(&stage->health, &stage->check, &stage->read_command);
    cr_assert(stage->check.has_type);
}

/* ---- health checks ---- */

Test(taskcheck, http)
{
    struct stage stage;
    init(&stage);
    set_type(&stage, MESOS__V1__HEALTH_CHECK__TYPE__HTTP);
    stage.health.http = &stage.http;
    stage.http.scheme = (char *)(uintptr_t) "https";
    stage.http.path = (char *)(uintptr_t) "/a%20b?c=d&e";
    read_health(&stage);
    cr_assert_eq(stage.check.type, HTTP);
    cr_assert(stage.check.has_port);
    cr_assert_eq(stage.check.port, 80);
    cr_assert_str_eq(stage.check.scheme, "https");
    cr_assert_str_eq(stage.check.path, "/a%20b?c=d&e");
    cr_assert_not(stage.check.ipv6);
    cr_assert_null(stage.read_command);
}

Test(taskcheck, http_with_nothing_said)
{
    struct stage stage;
    init(&stage);
    set_type(&stage, MESOS__V1__HEALTH_CHECK__TYPE__HTTP);
    stage.health.http = &stage.http;
    stage.http.has_port = 0;
    read_health(&stage);
    cr_assert_not(stage.check.has_port, "port 0 would be somebody's");
    cr_assert_null(stage.check.scheme);
    cr_assert_null(stage.check.path);
}

Test(taskcheck, tcp)
{
    struct stage stage;
    init(&stage);
    set_type(&stage, MESOS__V1__HEALTH_CHECK__TYPE__TCP);
    stage.health.tcp = &stage.tcp;
    read_health(&stage);
    cr_assert_eq(stage.check.type, TCP);
    cr_assert_eq(stage.check.port, 443);
    cr_assert_null(stage.check.path);
    cr_assert_null(stage.read_command);
}

Test(taskcheck, command)
{
    struct stage stage;
    init(&stage);
    set_type(&stage, MESOS__V1__HEALTH_CHECK__TYPE__COMMAND);
    stage.health.command = &stage.command;
    read_health(&stage);
    cr_assert_eq(stage.check.type, COMMAND);
    cr_assert_eq(stage.read_command, &stage.command);
    cr_assert_null(stage.check.command, "it is the caller's to fill in");
    cr_assert_not(stage.check.has_port);
}

Test(taskcheck, ipv6)
{
    struct stage stage;
    init(&stage);
    stage.http.protocol = stage.tcp.protocol = MESOS__V1__NETWORK_INFO__PROTOCOL__IPv6;
    stage.http.has_protocol = stage.tcp.has_protocol = 1;
    stage.health.http = &stage.http;
    read_health(&stage);
    cr_assert(stage.check.has_ipv6);
    cr_assert(stage.check.ipv6);
    stage.health.http = NULL;
    stage.health.tcp = &stage.tcp;
    read_health(&stage);
    cr_assert_eq(stage.check.type, TCP);
    cr_assert(stage.check.ipv6);
    stage.tcp.protocol = MESOS__V1__NETWORK_INFO__PROTOCOL__IPv4;
    read_health(&stage);
    cr_assert_not(stage.check.ipv6);
}

Test(taskcheck, a_missing_type_is_told_from_the_one_that_is_there)
{
    static const struct {
        bool command, http, tcp;
        Bulkhead__Check__Type type;
    } cases[] = {
        {true, false, false, COMMAND}, {false, true, false, HTTP}, {false, false, true, TCP},
        {false, false, false, NONE},   {true, true, false, NONE},  {false, true, true, NONE},
        {true, false, true, NONE},     {true, true, true, NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stage stage;
        init(&stage);
        stage.health.command = cases[i].command ? &stage.command : NULL;
        stage.health.http = cases[i].http ? &stage.http : NULL;
        stage.health.tcp = cases[i].tcp ? &stage.tcp : NULL;
        read_health(&stage);
        cr_assert_eq(stage.check.type, cases[i].type, "case %zu", i);
        cr_assert_eq(stage.read_command, cases[i].type == COMMAND ? &stage.command : NULL, "case %zu", i);
        cr_assert_eq(stage.check.has_port, cases[i].type == HTTP || cases[i].type == TCP, "case %zu", i);
    }
}

Test(taskcheck, a_type_that_is_said_wins)
{
    struct stage stage;
    init(&stage);
    set_type(&stage, MESOS__V1__HEALTH_CHECK__TYPE__TCP);
    stage.health.http = &stage.http;
    stage.health.tcp = &stage.tcp;
    read_health(&stage);
    cr_assert_eq(stage.check.type, TCP);
    cr_assert_eq(stage.check.port, 443);
    stage.health.tcp = NULL;
    read_health(&stage);
    cr_assert_eq(stage.check.type, TCP);
    cr_assert_not(stage.check.has_port, "taken from another type's part");
    set_type(&stage, MESOS__V1__HEALTH_CHECK__TYPE__COMMAND);
    read_health(&stage);
    cr_assert_eq(stage.check.type, COMMAND);
    cr_assert_null(stage.read_command);
}

Test(taskcheck, types_that_no_version_has)
{
    static const int types[] = {-1, 0, 4, 1000000};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct stage stage;
        init(&stage);
        set_type(&stage, types[i]);
        stage.health.http = &stage.http;
        read_health(&stage);
        cr_assert_eq(stage.check.type, NONE, "%d", types[i]);
    }
}

Test(taskcheck, defaults_are_those_of_mesos)
{
    struct stage stage;
    init(&stage);
    read_health(&stage);
    cr_assert_eq(stage.check.delay, 15 * SECOND);
    cr_assert_eq(stage.check.interval, 10 * SECOND);
    cr_assert_eq(stage.check.timeout, 20 * SECOND);
    cr_assert_eq(stage.check.grace, 10 * SECOND);
    cr_assert_eq(stage.check.consecutive_failures, 3);
    cr_assert(stage.check.has_delay && stage.check.has_interval && stage.check.has_timeout &&
              stage.check.has_grace && stage.check.has_consecutive_failures);
}

Test(taskcheck, times)
{
    static const struct {
        double seconds;
        int64_t nanoseconds;
    } cases[] = {
        {0, 0},
        {-0.0, 0},
        {1e-9, 1},
        {0.25, SECOND / 4},
        {1.5, 3 * SECOND / 2},
        {86400, 86400 * SECOND},
        {3155760000.0, HUNDRED_YEARS},
        {3155760001.0, HUNDRED_YEARS},
        {1e300, HUNDRED_YEARS},
        {INFINITY, HUNDRED_YEARS},
        {-1e-300, -1},
        {-1, -1},
        {-1e300, -1},
        {-INFINITY, -1},
        {NAN, -1},
        {-NAN, -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stage stage;
        init(&stage);
        stage.health.delay_seconds = cases[i].seconds;
        read_health(&stage);
        cr_assert_eq(stage.check.delay, cases[i].nanoseconds, "%g: %lld", cases[i].seconds,
                     (long long)stage.check.delay);
        stage.health.interval_seconds = stage.health.timeout_seconds = cases[i].seconds;
        stage.health.grace_period_seconds = cases[i].seconds;
        read_health(&stage);
        cr_assert_eq(stage.check.interval, cases[i].nanoseconds);
        cr_assert_eq(stage.check.timeout, cases[i].nanoseconds);
        cr_assert_eq(stage.check.grace, cases[i].nanoseconds);
    }
}

Test(taskcheck, failures_in_a_row_as_they_come)
{
    static const uint32_t counts[] = {0, 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct stage stage;
        init(&stage);
        stage.health.has_consecutive_failures = 1;
        stage.health.consecutive_failures = counts[i];
        read_health(&stage);
        cr_assert_eq(stage.check.consecutive_failures, counts[i]);
    }
}

/* ---- checks ---- */

struct check_stage {
    Mesos__V1__CheckInfo info;
    Mesos__V1__CheckInfo__Http http;
    Mesos__V1__CheckInfo__Tcp tcp;
    Mesos__V1__CheckInfo__Command command;
    Mesos__V1__CommandInfo inner;
    Bulkhead__Check check;
    const Mesos__V1__CommandInfo *read_command;
};

static void init_check(struct check_stage *stage)
{
    mesos__v1__check_info__init(&stage->info);
    mesos__v1__check_info__http__init(&stage->http);
    mesos__v1__check_info__tcp__init(&stage->tcp);
    mesos__v1__check_info__command__init(&stage->command);
    mesos__v1__command_info__init(&stage->inner);
    stage->command.command = &stage->inner;
    stage->http.has_port = stage->tcp.has_port = 1;
    stage->http.port = 80;
    stage->tcp.port = 443;
}

static void read_check(struct check_stage *stage)
{
    taskcheck_read(&stage->info, &stage->check, &stage->read_command);
    cr_assert(stage->check.has_type);
    cr_assert_eq(stage->check.grace, 0, "a check has no grace");
}

Test(taskcheck, checks_of_each_type)
{
    struct check_stage stage;
    init_check(&stage);
    stage.http.path = (char *)(uintptr_t) "/ping?x";
    stage.info.http = &stage.http;
    read_check(&stage);
    cr_assert_eq(stage.check.type, HTTP);
    cr_assert_eq(stage.check.port, 80);
    cr_assert_str_eq(stage.check.path, "/ping?x");
    cr_assert_null(stage.check.scheme);
    cr_assert_null(stage.read_command);

    stage.info.http = NULL;
    stage.info.tcp = &stage.tcp;
    read_check(&stage);
    cr_assert_eq(stage.check.type, TCP);
    cr_assert_eq(stage.check.port, 443);

    stage.info.tcp = NULL;
    stage.info.command = &stage.command;
    read_check(&stage);
    cr_assert_eq(stage.check.type, COMMAND);
    cr_assert_eq(stage.read_command, &stage.inner);
}

Test(taskcheck, a_check_that_is_not_whole)
{
    struct check_stage stage;
    init_check(&stage);
    read_check(&stage);
    cr_assert_eq(stage.check.type, NONE);
    cr_assert_eq(stage.check.delay, 15 * SECOND);
    cr_assert_eq(stage.check.interval, 10 * SECOND);
    cr_assert_eq(stage.check.timeout, 20 * SECOND);

    stage.info.has_type = 1;
    stage.info.type = MESOS__V1__CHECK_INFO__TYPE__COMMAND;
    read_check(&stage);
    cr_assert_eq(stage.check.type, COMMAND);
    cr_assert_null(stage.read_command);
    stage.command.command = NULL;
    stage.info.command = &stage.command;
    read_check(&stage);
    cr_assert_null(stage.read_command);

    stage.info.type = MESOS__V1__CHECK_INFO__TYPE__HTTP;
    stage.info.tcp = &stage.tcp;
    read_check(&stage);
    cr_assert_eq(stage.check.type, HTTP);
    cr_assert_not(stage.check.has_port, "taken from another type's part");
    stage.info.type = (Mesos__V1__CheckInfo__Type)77;
    read_check(&stage);
    cr_assert_eq(stage.check.type, NONE);
}
