/*
 * Health checks and checks from end to end: the real programs, a task of devagent's, and a small web server
 * whose answers the test changes while it runs.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/checks.h"
#include "tests/integration/stage.h"

TestSuite(health_checks, .timeout = 120);

#define HEALTH_REASON MESOS__V1__TASK_STATUS__REASON__REASON_TASK_HEALTH_CHECK_STATUS_UPDATED
#define CHECK_REASON MESOS__V1__TASK_STATUS__REASON__REASON_TASK_CHECK_STATUS_UPDATED

/* A schedule that does not make a test wait, and one with a single probe. */
#define QUICK "'delay_seconds': 0, 'interval_seconds': 0.05, 'timeout_seconds': 10"
#define ONCE "'delay_seconds': 0, 'interval_seconds': 100000"
#define NO_GRACE "'grace_period_seconds': 0"
#define NEVER_KILLS "'consecutive_failures': 1000000"

/* ---- a web server ---- */

enum { HANG = -1 };

struct words {
    volatile int answer; /* a status, or HANG until the client leaves */
    volatile unsigned requests;
    char path[256]; /* of the last request */
};

struct web {
    struct words *words;
    uint16_t port;
    pid_t pid;
};

static void answer(int connection, struct words *words)
{
    char request[4096];
    size_t used = 0;
    ssize_t n;
    request[0] = '\0';
    while (used < sizeof(request) - 1 && strstr(request, "\r\n\r\n") == NULL &&
           (n = recv(connection, request + used, sizeof(request) - 1 - used, 0)) > 0) {
        used += (size_t)n;
        request[used] = '\0';
    }
    char path[256] = "";
    if (sscanf(request, "GET %255s", path) == 1)
        memcpy(words->path, path, sizeof(path));
    int status = strcmp(path, "/elsewhere") == 0 ? 204 : words->answer;
    words->requests++;
    if (status == HANG) {
        while (recv(connection, request, sizeof(request), 0) > 0)
            continue;
        return;
    }
    char text[256];
    int length = snprintf(text, sizeof(text), "HTTP/1.1 %d X\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n",
                          status, "/elsewhere");
    send(connection, text, (size_t)length, MSG_NOSIGNAL);
}

static _Noreturn void serve(int listener, struct words *words)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            _exit(1);
        answer(connection, words);
        close(connection);
    }
}

/* A port of 127.0.0.1 that nobody else gets, and nobody listens on. */
static int bind_port(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(listener, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return listener;
}

static struct web web_start(int first_answer)
{
    struct web web;
    int listener = bind_port(&web.port);
    cr_assert_eq(listen(listener, 64), 0);
    web.words = mmap(NULL, sizeof(*web.words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)web.words, MAP_FAILED);
    web.words->answer = first_answer;
    web.pid = fork();
    if (web.pid == 0)
        serve(listener, web.words);
    cr_assert_gt(web.pid, 1);
    close(listener);
    return web;
}

static void web_stop(struct web *web)
{
    if (web->pid > 1) {
        send_signal(web->pid, SIGKILL);
        waitpid(web->pid, NULL, 0);
    }
    web->pid = 0;
}

struct wanted_requests {
    const struct web *web;
    unsigned count;
};

static bool has_requests(struct devagent *agent, void *arg)
{
    const struct wanted_requests *wanted = arg;
    (void)agent;
    return wanted->web->words->requests >= wanted->count;
}

/* Waits for the first request, which may have come already. */
static void expect_first_request(struct devagent *agent, const struct web *web)
{
    struct wanted_requests wanted = {web, 1};
    if (!wait_until(agent, has_requests, &wanted))
        fail_with_story(agent, "no request came");
}

/* Waits for so many more requests. */
static void expect_requests(struct devagent *agent, const struct web *web, unsigned more)
{
    struct wanted_requests wanted = {web, web->words->requests + more};
    if (!wait_until(agent, has_requests, &wanted))
        fail_with_story(agent, "%u requests, not %u", web->words->requests, wanted.count);
}

/* ---- tasks ---- */

static struct devagent *begin(void)
{
    struct devagent_options options = agent_options();
    options.task_killing_state = true;
    return agent_begin(&options);
}

/* A task that stays, with these fields beside its command. */
static void launch(struct devagent *agent, const char *fields)
{
    launch_json(agent, "{'task_id': {'value': 't'}, 'command': {'value': 'exec sleep 1000'}, %s}", fields);
}

/* The same with an HTTP health check; more begins with a comma. */
static void launch_http(struct devagent *agent, uint16_t port, const char *path, const char *more)
{
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'command': {'value': 'exec sleep 1000'}, 'health_check': "
                "{'type': 'HTTP', 'http': {'port': %u, 'path': '%s'}%s}}",
                (unsigned)port, path, more);
}

/* ---- updates ---- */

struct wanted_update {
    size_t from;
    bool is_health;
    bool healthy;
    const char *text; /* of a health update; PORT stands for nothing here */
    const struct devagent_update *found;
};

static bool is_wanted(const struct devagent_update *update, const struct wanted_update *wanted)
{
    if (!update->has_reason || update->reason != (wanted->is_health ? HEALTH_REASON : CHECK_REASON))
        return false;
    return !wanted->is_health || (update->has_healthy && update->healthy == wanted->healthy &&
                                  update->message != NULL && strstr(update->message, wanted->text) != NULL);
}

static bool has_update(struct devagent *agent, void *arg)
{
    struct wanted_update *wanted = arg;
    for (size_t i = wanted->from; i < devagent_update_count(agent) && wanted->found == NULL; i++)
        if (is_wanted(devagent_update_at(agent, i), wanted))
            wanted->found = devagent_update_at(agent, i);
    return wanted->found != NULL;
}

/* The first health update from this number on that says so. */
static const struct devagent_update *expect_health(struct devagent *agent, size_t from, bool healthy,
                                                   const char *text)
{
    struct wanted_update wanted = {.from = from, .is_health = true, .healthy = healthy, .text = text};
    if (!wait_until(agent, has_update, &wanted))
        fail_with_story(agent, "no update healthy=%d '%s' came", healthy, text);
    if (wanted.found->state != RUNNING)
        fail_with_story(agent, "it is not RUNNING");
    return wanted.found;
}

static const struct devagent_update *expect_checked(struct devagent *agent, size_t from)
{
    struct wanted_update wanted = {.from = from};
    if (!wait_until(agent, has_update, &wanted))
        fail_with_story(agent, "no check's update came");
    if (wanted.found->state != RUNNING)
        fail_with_story(agent, "it is not RUNNING");
    return wanted.found;
}

static size_t count_verdicts(const struct devagent *agent, bool healthy)
{
    size_t count = 0;
    for (size_t i = 0; i < devagent_update_count(agent); i++) {
        const struct devagent_update *update = devagent_update_at(agent, i);
        count += update->has_reason && update->reason == HEALTH_REASON && update->healthy == healthy;
    }
    return count;
}

/* With "PORT" replaced. A static buffer. */
static const char *with_port(const char *format, uint16_t port)
{
    static char text[256];
    const char *mark = strstr(format, "PORT");
    cr_assert_not_null(mark);
    snprintf(text, sizeof(text), "%.*s%u%s", (int)(mark - format), format, (unsigned)port, mark + 4);
    return text;
}

/* Kills the task, and ends the agent. */
static void end(struct devagent *agent)
{
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    agent_end(agent, 0);
}

/* ---- HTTP ---- */

Test(health_checks, a_healthy_task)
{
    struct web web = web_start(200);
    struct devagent *agent = begin();
    launch_http(agent, web.port, "/ping", ", " QUICK);
    const struct devagent_update *update =
        expect_health(agent, 0, true, with_port("HTTP 200 from 127.0.0.1:PORT/ping", web.port));
    cr_assert_null(update->status->check_status);
    expect_requests(agent, &web, 3);
    devagent_kill(agent, "t", -1);
    update = expect_state(agent, "t", KILLED);
    cr_assert(update->has_healthy && update->healthy, "the verdict is not carried on");
    update = devagent_wait_state(agent, "t", KILLING, 0);
    cr_assert(update != NULL && update->has_healthy && update->healthy);
    expect_states(agent, "t", "STARTING RUNNING RUNNING KILLING KILLED");
    agent_end(agent, 0);
    web_stop(&web);
}

Test(health_checks, before_the_first_verdict_nothing_is_said_of_health)
{
    struct web web = web_start(HANG);
    struct devagent *agent = begin();
    launch_http(agent, web.port, "/", ", " QUICK);
    cr_assert_not(expect_state(agent, "t", RUNNING)->has_healthy);
    expect_first_request(agent, &web);
    devagent_kill(agent, "t", -1);
    cr_assert_not(expect_state(agent, "t", KILLED)->has_healthy);
    expect_states(agent, "t", "STARTING RUNNING KILLING KILLED");
    agent_end(agent, 0);
    web_stop(&web);
}

Test(health_checks, an_unhealthy_task_is_ended)
{
    struct web web = web_start(500);
    struct devagent *agent = begin();
    launch_http(agent, web.port, "/path", ", " QUICK ", " NO_GRACE ", 'consecutive_failures': 3");
    const struct devagent_update *update =
        expect_health(agent, 0, false, with_port("HTTP 500 from 127.0.0.1:PORT/path, 1 of 3", web.port));
    update = expect_health(agent, update->number + 1, false, ", 2 of 3");
    update = expect_health(agent, update->number + 1, false, ", 3 of 3");
    update = expect_state(agent, "t", KILLING);
    cr_assert(update->has_healthy && !update->healthy);
    update = expect_state(agent, "t", FAILED);
    cr_assert(update->has_healthy && !update->healthy);
    expect_message(agent, update,
                   with_port("Killed as unhealthy: HTTP 500 from 127.0.0.1:PORT/path, 3 of 3", web.port));
    expect_states(agent, "t", "STARTING RUNNING RUNNING RUNNING RUNNING KILLING FAILED");
    cr_assert_eq(web.words->requests, 3, "probes went on after the kill");
    agent_end(agent, 0);
    web_stop(&web);
}

Test(health_checks, no_failures_allowed_ends_at_the_first)
{
    struct web web = web_start(404);
    struct devagent *agent = begin();
    launch_http(agent, web.port, "/", ", " QUICK ", " NO_GRACE ", 'consecutive_failures': 0");
    expect_message(agent, expect_state(agent, "t", FAILED), ", 1 of 1");
    expect_states(agent, "t", "STARTING RUNNING RUNNING KILLING FAILED");
    agent_end(agent, 0);
    web_stop(&web);
}

Test(health_checks, an_unhealthy_task_without_the_framework_knowing_KILLING)
{
    struct web web = web_start(503);
    struct devagent *agent = agent_begin(NULL);
    launch_http(agent, web.port, "/", ", " QUICK ", " NO_GRACE ", 'consecutive_failures': 1");
    expect_state(agent, "t", FAILED);
    expect_states(agent, "t", "STARTING RUNNING RUNNING FAILED");
    agent_end(agent, 0);
    web_stop(&web);
}

Test(health_checks, a_task_recovers)
{
    struct web web = web_start(200);
    struct devagent *agent = begin();
    launch_http(agent, web.port, "/", ", " QUICK ", " NEVER_KILLS);
    const struct devagent_update *update = expect_health(agent, 0, true, "HTTP 200");
    web.words->answer = 500;
    update = expect_health(agent, update->number + 1, false, "HTTP 500");
    expect_message(agent, update, ", 1 of 1000000");
    web.words->answer = 200;
    update = expect_health(agent, update->number + 1, true, "HTTP 200");
    web.words->answer = 500;
    expect_message(agent, expect_health(agent, update->number + 1, false, "HTTP 500"), ", 1 of 1000000");
    end(agent);
    web_stop(&web);
}

Test(health_checks, failures_within_the_grace_are_not_told)
{
    struct web web = web_start(500);
    struct devagent *agent = begin();
    launch_http(agent, web.port, "/",
                ", " QUICK ", 'grace_period_seconds': 10000, 'consecutive_failures': 1");
    expect_requests(agent, &web, 4);
    web.words->answer = 200;
    expect_health(agent, 0, true, "HTTP 200");
    web.words->answer = 500;
    expect_state(agent, "t", FAILED);
    expect_states(agent, "t", "STARTING RUNNING RUNNING RUNNING KILLING FAILED");
    agent_end(agent, 0);
    web_stop(&web);
}

Test(health_checks, connection_refused)
{
    uint16_t port;
    int unused = bind_port(&port);
    struct devagent *agent = begin();
    launch_http(agent, port, "/", ", " ONCE ", " NO_GRACE);
    expect_health(agent, 0, false, with_port("connection refused by 127.0.0.1:PORT, 1 of 3", port));
    end(agent);
    close(unused);
}

Test(health_checks, no_answer)
{
    struct web web = web_start(HANG);
    struct devagent *agent = begin();
    launch_http(agent, web.port, "/",
                ", 'delay_seconds': 0, 'interval_seconds': 0, 'timeout_seconds': 0.3, " NO_GRACE);
    expect_health(agent, 0, false, "no answer in 300ms, 1 of 3");
    expect_message(agent, expect_state(agent, "t", FAILED), "no answer in 300ms, 3 of 3");
    agent_end(agent, 0);
    web_stop(&web);
}

Test(health_checks, redirects_are_followed)
{
    struct web web = web_start(302);
    struct devagent *agent = begin();
    launch_http(agent, web.port, "/from", ", " ONCE);
    expect_health(agent, 0, true, with_port("HTTP 204 from 127.0.0.1:PORT/elsewhere", web.port));
    cr_assert_str_eq(web.words->path, "/elsewhere");
    end(agent);
    web_stop(&web);
}

Test(health_checks, the_query_stays_as_it_is)
{
    struct web web = web_start(399);
    struct devagent *agent = begin();
    launch_http(agent, web.port, "/a%20b?c=d&e=%2f?", ", " ONCE);
    expect_health(agent, 0, true, "/elsewhere"); /* 399 with a Location is a redirect */
    end(agent);
    web.words->answer = 200;
    agent = begin();
    launch_http(agent, web.port, "/a%20b?c=d&e=%2f?", ", " ONCE);
    expect_health(agent, 0, true, "/a%20b?c=d&e=%2f?");
    cr_assert_str_eq(web.words->path, "/a%20b?c=d&e=%2f?");
    end(agent);
    web_stop(&web);
}

Test(health_checks, a_missing_type_is_told_from_the_rest)
{
    struct web web = web_start(200);
    struct devagent *agent = begin();
    char fields[256];
    snprintf(fields, sizeof(fields), "'health_check': {'http': {'port': %u}, %s}", (unsigned)web.port, ONCE);
    launch(agent, fields);
    expect_health(agent, 0, true, "HTTP 200");
    end(agent);
    web_stop(&web);
}

/* An agent with TLS is a server with a certificate that nobody trusts; it has no such page. */
static bool pump_other(struct devagent *agent, void *arg)
{
    struct devagent *other = arg;
    devagent_pump(other, 0);
    return count_verdicts(agent, false) > 0;
}

Test(health_checks, a_certificate_that_nobody_knows)
{
    struct devagent_options options = agent_options();
    options.tls = true;
    struct devagent *other;
    cr_assert_eq(devagent_create(&options, &other), 0);
    struct devagent *agent = begin();
    char fields[256];
    snprintf(
        fields, sizeof(fields),
        "'health_check': {'type': 'HTTP', 'http': {'scheme': 'https', 'port': %u, 'path': '/none'}, " ONCE
        ", " NO_GRACE "}",
        (unsigned)devagent_port(other));
    launch(agent, fields);
    if (!wait_until(agent, pump_other, other))
        fail_with_story(agent, "no verdict came");
    expect_health(agent, 0, false, "HTTP 4");
    end(agent);
    devagent_destroy(other);
}

/* ---- TCP ---- */

Test(health_checks, tcp)
{
    struct web web = web_start(200);
    struct devagent *agent = begin();
    char fields[256];
    snprintf(fields, sizeof(fields),
             "'health_check': {'type': 'TCP', 'tcp': {'port': %u}, " QUICK ", " NEVER_KILLS "}",
             (unsigned)web.port);
    launch(agent, fields);
    const struct devagent_update *update =
        expect_health(agent, 0, true, with_port("connected to 127.0.0.1:PORT", web.port));
    web_stop(&web);
    expect_health(agent, update->number + 1, false, "connection re"); /* refused; reset, if in the midst */
    end(agent);
}

Test(health_checks, tcp_over_ipv6)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0)
        cr_skip_test("no IPv6 here: nothing was tested");
    cr_assert_eq(listen(listener, 64), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    struct devagent *agent = begin();
    char fields[256];
    snprintf(fields, sizeof(fields),
             "'health_check': {'type': 'TCP', 'tcp': {'port': %u, 'protocol': 'IPv6'}, " ONCE "}",
             (unsigned)ntohs(address.sin6_port));
    launch(agent, fields);
    expect_health(agent, 0, true, with_port("connected to [::1]:PORT", ntohs(address.sin6_port)));
    end(agent);
    close(listener);
}

/* ---- COMMAND ---- */

/* words is a shell command; more begins with a comma. */
static void launch_probe_command(struct devagent *agent, const char *words, const char *more)
{
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'command': {'value': 'exec sleep 1000', 'environment': "
                "{'variables': [{'name': 'FRUIT', 'value': 'apple'}]}}, 'health_check': {'type': 'COMMAND', "
                "'command': {'value': '%s', 'environment': {'variables': [{'name': 'TREE', 'value': 'elm'}]}}"
                "%s}}",
                words, more);
}

Test(health_checks, a_command_that_succeeds_and_then_fails)
{
    struct devagent *agent = begin();
    launch_probe_command(agent, "test ! -e bad || exit 7", ", " QUICK ", 'consecutive_failures': 2");
    const struct devagent_update *update = expect_health(agent, 0, true, "the command exited with code 0");
    make_file(agent, "bad");
    expect_health(agent, update->number + 1, false, "the command exited with code 7, 1 of 2");
    expect_message(agent, expect_state(agent, "t", FAILED), "the command exited with code 7, 2 of 2");
    agent_end(agent, 0);
}

Test(health_checks, a_command_that_is_killed)
{
    struct devagent *agent = begin();
    launch_probe_command(agent, "kill -9 $$", ", " ONCE ", " NO_GRACE);
    expect_health(agent, 0, false, "the command was killed by signal 9");
    end(agent);
}

Test(health_checks, a_command_has_the_tasks_world_and_its_own_variables)
{
    struct devagent *agent = begin();
    launch_probe_command(agent, "echo $FRUIT-$TREE-to-errors; pwd; cat; echo input-ended", ", " ONCE);
    expect_health(agent, 0, true, "code 0");
    expect_file(agent, "stderr", "apple-elm-to-errors");
    expect_file(agent, "stderr", "input-ended");
    expect_file(agent, "stderr", devagent_sandbox(agent));
    cr_assert_not(output_has(agent, "to-errors"), "the task's output has it");
    end(agent);
}

Test(health_checks, a_command_runs_as_the_tasks_user)
{
    const struct passwd *nobody = getpwnam("nobody");
    if (geteuid() != 0 || nobody == NULL)
        cr_skip_test("only root can change the user: nothing was tested");
    struct devagent *agent = begin();
    launch(agent,
           "'health_check': {'type': 'COMMAND', 'command': {'value': 'echo uid-$(id -u)-$(id -g)'}, " ONCE
           "}");
    expect_health(agent, 0, true, "code 0");
    expect_file(agent, "stderr", "uid-0-");
    end(agent);
    agent = begin();
    launch_json(
        agent,
        "{'task_id': {'value': 't'}, 'command': {'value': 'exec sleep 1000', 'user': 'nobody'}, "
        "'health_check': {'type': 'COMMAND', 'command': {'value': 'echo uid-$(id -u)-$(id -g)'}, " ONCE "}}");
    expect_health(agent, 0, true, "code 0");
    char words[64];
    snprintf(words, sizeof(words), "uid-%u-%u\n", (unsigned)nobody->pw_uid, (unsigned)nobody->pw_gid);
    expect_file(agent, "stderr", words);
    end(agent);
}

Test(health_checks, at_its_timeout_a_commands_whole_tree_dies)
{
    struct devagent *agent = begin();
    launch_probe_command(agent, HELPER("daemonise") " lurker 2 stay",
                         ", " ONCE ", " NO_GRACE ", 'timeout_seconds': 1");
    expect_named(agent, "lurker", 2);
    expect_health(agent, 0, false, "no answer in 1s, 1 of 3");
    expect_named(agent, "lurker", 0);
    expect_states(agent, "t", "STARTING RUNNING RUNNING");
    end(agent);
}

Test(health_checks, what_a_command_leaves_behind_goes_with_it)
{
    struct devagent *agent = begin();
    launch_probe_command(agent, HELPER("daemonise") " lurker 2 exit", ", " ONCE ", " NO_GRACE);
    expect_health(agent, 0, true, "code 0");
    expect_named(agent, "lurker", 0);
    end(agent);
}

Test(health_checks, without_a_timeout_a_command_may_take_its_time)
{
    struct devagent *agent = begin();
    launch_probe_command(agent, "echo begun; while [ ! -e go ]; do sleep 0.01; done",
                         ", " ONCE ", " NO_GRACE ", 'timeout_seconds': 0");
    expect_file(agent, "stderr", "begun");
    make_file(agent, "go");
    expect_health(agent, 0, true, "code 0");
    end(agent);
}

Test(health_checks, a_command_dies_with_the_task)
{
    struct devagent *agent = begin();
    launch_probe_command(agent, HELPER("daemonise") " lurker 1 stay", ", " ONCE ", 'timeout_seconds': 0");
    expect_named(agent, "lurker", 1);
    end(agent);
}

/* ---- checks ---- */

static void expect_http_status(struct devagent *agent, const struct devagent_update *update, int status)
{
    const Mesos__V1__CheckStatusInfo *info = update->status->check_status;
    if (info == NULL || info->type != MESOS__V1__CHECK_INFO__TYPE__HTTP || info->http == NULL)
        fail_with_story(agent, "update %zu has no status of an HTTP check", update->number);
    cr_assert(info->command == NULL && info->tcp == NULL);
    if (info->http->has_status_code != (status != 0) ||
        (status != 0 && info->http->status_code != (uint32_t)status))
        fail_with_story(agent, "update %zu: status %u, not %d", update->number, info->http->status_code,
                        status);
}

static void launch_http_check(struct devagent *agent, const struct web *web, const char *times)
{
    char fields[256];
    snprintf(fields, sizeof(fields), "'check': {'type': 'HTTP', 'http': {'port': %u, 'path': '/check'}, %s}",
             (unsigned)web->port, times);
    launch(agent, fields);
}

Test(health_checks, a_check_tells_what_has_changed_and_never_kills)
{
    struct web web = web_start(200);
    struct devagent *agent = begin();
    launch_http_check(agent, &web, QUICK);
    const struct devagent_update *update = expect_checked(agent, 0);
    expect_http_status(agent, update, 200);
    expect_requests(agent, &web, 3);
    web.words->answer = 500;
    update = expect_checked(agent, update->number + 1);
    expect_http_status(agent, update, 500);
    cr_assert_not(update->has_healthy, "a check says nothing of health");
    expect_requests(agent, &web, 3);
    web_stop(&web);
    update = expect_checked(agent, update->number + 1);
    expect_http_status(agent, update, 0);
    devagent_kill(agent, "t", -1);
    expect_http_status(agent, expect_state(agent, "t", KILLED), 0);
    expect_http_status(agent, expect_state(agent, "t", STARTING), 0);
    expect_http_status(agent, expect_state(agent, "t", RUNNING), 0);
    expect_states(agent, "t", "STARTING RUNNING RUNNING RUNNING RUNNING KILLING KILLED");
    agent_end(agent, 0);
}

Test(health_checks, the_last_value_is_carried_on)
{
    struct web web = web_start(418);
    struct devagent *agent = begin();
    launch_http_check(agent, &web, QUICK);
    expect_http_status(agent, expect_checked(agent, 0), 418);
    devagent_kill(agent, "t", -1);
    expect_http_status(agent, expect_state(agent, "t", KILLED), 418);
    expect_http_status(agent, expect_state(agent, "t", KILLING), 418);
    agent_end(agent, 0);
    web_stop(&web);
}

Test(health_checks, a_check_that_sees_nothing_at_first_says_nothing)
{
    struct web web = web_start(HANG);
    struct devagent *agent = begin();
    launch_http_check(agent, &web, "'delay_seconds': 0, 'interval_seconds': 0.01, 'timeout_seconds': 0.1");
    expect_requests(agent, &web, 3);
    web.words->answer = 200;
    expect_http_status(agent, expect_checked(agent, 0), 200);
    expect_states(agent, "t", "STARTING RUNNING RUNNING");
    end(agent);
    web_stop(&web);
}

Test(health_checks, a_tcp_check)
{
    struct web web = web_start(200);
    struct devagent *agent = begin();
    char fields[256];
    snprintf(fields, sizeof(fields), "'check': {'type': 'TCP', 'tcp': {'port': %u}, " QUICK "}",
             (unsigned)web.port);
    launch(agent, fields);
    const struct devagent_update *update = expect_checked(agent, 0);
    const Mesos__V1__CheckStatusInfo *info = update->status->check_status;
    cr_assert_eq(info->type, MESOS__V1__CHECK_INFO__TYPE__TCP);
    cr_assert(info->tcp != NULL && info->tcp->has_succeeded && info->tcp->succeeded);
    web_stop(&web);
    info = expect_checked(agent, update->number + 1)->status->check_status;
    cr_assert(info->tcp != NULL && info->tcp->has_succeeded && !info->tcp->succeeded);
    info = expect_state(agent, "t", STARTING)->status->check_status;
    cr_assert(info != NULL && info->tcp != NULL && !info->tcp->has_succeeded);
    end(agent);
}

Test(health_checks, a_command_check)
{
    struct devagent *agent = begin();
    launch(agent,
           "'check': {'type': 'COMMAND', 'command': {'command': {'value': 'test ! -e bad || exit 7'}}, " QUICK
           "}");
    const struct devagent_update *update = expect_checked(agent, 0);
    const Mesos__V1__CheckStatusInfo *info = update->status->check_status;
    cr_assert_eq(info->type, MESOS__V1__CHECK_INFO__TYPE__COMMAND);
    cr_assert(info->command != NULL && info->command->has_exit_code && info->command->exit_code == 0);
    make_file(agent, "bad");
    info = expect_checked(agent, update->number + 1)->status->check_status;
    cr_assert(info->command != NULL && info->command->has_exit_code && info->command->exit_code == 7);
    info = expect_state(agent, "t", STARTING)->status->check_status;
    cr_assert(info != NULL && info->command != NULL && !info->command->has_exit_code);
    end(agent);
}

Test(health_checks, both_carry_each_others_last_word)
{
    struct web web = web_start(200);
    struct devagent *agent = begin();
    char fields[512];
    snprintf(fields, sizeof(fields),
             "'check': {'type': 'HTTP', 'http': {'port': %u}, " QUICK
             "}, 'health_check': {'type': 'COMMAND', "
             "'command': {'value': 'test ! -e bad'}, " QUICK ", " NEVER_KILLS "}",
             (unsigned)web.port);
    launch(agent, fields);
    const struct devagent_update *health = expect_health(agent, 0, true, "code 0");
    const struct devagent_update *check = expect_checked(agent, 0);
    size_t both = health->number > check->number ? health->number : check->number;
    web.words->answer = 500;
    check = expect_checked(agent, both + 1);
    expect_http_status(agent, check, 500);
    cr_assert(check->has_healthy && check->healthy);
    make_file(agent, "bad");
    health = expect_health(agent, check->number + 1, false, "code 1");
    expect_http_status(agent, health, 500);
    end(agent);
    web_stop(&web);
}

/* ---- what a framework may not ask for ---- */

static void expect_invalid(const char *fields, const char *sentence)
{
    struct devagent *agent = begin();
    launch(agent, fields);
    const struct devagent_update *update = expect_state(agent, "t", FAILED);
    cr_assert(update->has_reason);
    cr_assert_eq(update->reason, MESOS__V1__TASK_STATUS__REASON__REASON_TASK_INVALID);
    expect_message(agent, update, sentence);
    expect_states(agent, "t", "STARTING FAILED");
    agent_end(agent, 0);
}

Test(health_checks, invalid_checks)
{
    expect_invalid("'health_check': {'delay_seconds': 1}", "health_check has no type: set it to COMMAND");
    expect_invalid("'health_check': {'type': 'HTTP', 'http': {'port': 80, 'scheme': 'ftp'}}",
                   "health_check has a scheme that is neither http nor https");
    expect_invalid("'health_check': {'type': 'TCP', 'tcp': {'port': 80}, 'timeout_seconds': -1}",
                   "set it to 0 or more");
    expect_invalid("'health_check': {'type': 'COMMAND'}", "is of type COMMAND and has no command");
    expect_invalid("'check': {'type': 'TCP', 'tcp': {'port': 70000}}", "check has no port from 1 to 65535");
    expect_invalid("'check': {'type': 'HTTP', 'http': {'port': 80, 'path': 'ping'}}",
                   "check has a path that does not begin with a slash");
}

/* ---- the end ---- */

/* A task that is deaf to SIGTERM is there long enough to be probed again. */
Test(health_checks, probes_stop_at_the_kill)
{
    struct web web = web_start(200);
    struct devagent *agent = begin();
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'command': {'value': 'exec %s me ignore'}, 'health_check': "
                "{'type': 'HTTP', 'http': {'port': %u}, " QUICK ", 'consecutive_failures': 1}}",
                HELPER("hear"), (unsigned)web.port);
    expect_health(agent, 0, true, "HTTP 200");
    expect_pid(agent, "me ready");
    web.words->answer = HANG;
    expect_requests(agent, &web, 1);
    devagent_kill(agent, "t", 1000);
    expect_state(agent, "t", KILLING);
    unsigned requests = web.words->requests;
    expect_state(agent, "t", KILLED);
    cr_assert_eq(web.words->requests, requests);
    expect_states(agent, "t", "STARTING RUNNING RUNNING KILLING KILLED");
    agent_end(agent, 0);
    web_stop(&web);
}

/* ---- hookd in trouble ---- */

/* The probe that was running when hookd died is asked of its successor. */
Test(health_checks, hookd_is_killed_in_a_probe)
{
    struct web web = web_start(HANG);
    struct devagent *agent = begin();
    launch_http(agent, web.port, "/",
                ", 'delay_seconds': 0, 'interval_seconds': 0.05, 'timeout_seconds': 10000, " NO_GRACE
                ", 'consecutive_failures': 1");
    expect_requests(agent, &web, 1);
    pid_t first = wait_child(agent, "hookd");
    web.words->answer = 200;
    send_signal(first, SIGKILL);
    expect_health(agent, 0, true, "HTTP 200");
    cr_assert_neq(wait_child(agent, "hookd"), first);
    expect_requests(agent, &web, 3);
    expect_states(agent, "t", "STARTING RUNNING RUNNING");
    end(agent);
    web_stop(&web);
}

Test(health_checks, hookd_is_killed_again_and_again)
{
    struct web web = web_start(200);
    struct devagent *agent = begin();
    launch_http(agent, web.port, "/", ", " QUICK ", " NO_GRACE ", 'consecutive_failures': 1");
    expect_health(agent, 0, true, "HTTP 200");
    for (int i = 0; i < 5; i++) {
        send_signal(wait_child(agent, "hookd"), SIGKILL);
        expect_requests(agent, &web, 2);
    }
    expect_states(agent, "t", "STARTING RUNNING RUNNING");
    end(agent);
    web_stop(&web);
}

/* It is replaced later than the probe's timeout is over: that is not the task's fault. */
Test(health_checks, hookd_is_stopped)
{
    struct web web = web_start(200);
    struct devagent *agent = begin();
    launch_http(agent, web.port, "/",
                ", 'delay_seconds': 0, 'interval_seconds': 0.05, 'timeout_seconds': 0.2, " NO_GRACE
                ", 'consecutive_failures': 1");
    expect_health(agent, 0, true, "HTTP 200");
    pid_t first = wait_child(agent, "hookd");
    send_signal(first, SIGSTOP);
    expect_dead(agent, first);
    expect_requests(agent, &web, 3);
    expect_log(agent, "a probe had no result");
    expect_states(agent, "t", "STARTING RUNNING RUNNING");
    end(agent);
    web_stop(&web);
}

Test(health_checks, a_kill_while_hookd_is_stopped)
{
    struct web web = web_start(HANG);
    struct devagent *agent = begin();
    launch_http(agent, web.port, "/", ", " QUICK);
    expect_requests(agent, &web, 1);
    send_signal(wait_child(agent, "hookd"), SIGSTOP);
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLING KILLED");
    agent_end(agent, 0);
    web_stop(&web);
}
