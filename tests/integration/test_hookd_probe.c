/*
 * The real hookd's probes against small servers that answer well, badly, never, or without end.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/loop.h"
#include "tests/integration/hookd_script.h"
#include "tests/send_signal.h"

TestSuite(hookd_probe, .timeout = 60);

/* ---- servers: each a child of the test, one connection at a time ---- */

struct server {
    pid_t pid;
    uint16_t port;
};

typedef void (*serve_fn)(int connection, const char *request, uint16_t port);

static void say(int connection, const char *text)
{
    size_t length = strlen(text);
    while (length > 0) {
        ssize_t n = send(connection, text, length, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        text += n;
        length -= (size_t)n;
    }
}

static void read_request(int connection, char *request, size_t size)
{
    size_t used = 0;
    request[0] = '\0';
    while (used < size - 1 && strstr(request, "\r\n\r\n") == NULL) {
        ssize_t n = recv(connection, request + used, size - 1 - used, 0);
        if (n <= 0)
            return;
        used += (size_t)n;
        request[used] = '\0';
    }
}

static _Noreturn void be_server(int listener, serve_fn serve, uint16_t port)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    listener =
        dup2(listener, STDERR_FILENO + 1); /* the test's end of hookd's channel is not to be kept open here */
    closefrom(STDERR_FILENO + 2);
    for (;;) {
        char request[4096];
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            _exit(1);
        read_request(connection, request, sizeof(request));
        serve(connection, request, port);
        shutdown(connection, SHUT_WR);
        close(connection);
    }
}

static int open_listener(int family, uint16_t *ret_port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool is_v6 = family == AF_INET6;
    struct sockaddr *address = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t size = is_v6 ? sizeof(v6) : sizeof(v4);
    int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, address, size) < 0 || listen(listener, 16) < 0 ||
        getsockname(listener, address, &size) < 0)
        return -1;
    *ret_port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
    return listener;
}

static struct server start_server_on(int family, serve_fn serve)
{
    struct server server = {0};
    int listener = open_listener(family, &server.port);
    if (listener < 0 && family == AF_INET6)
        return server;
    cr_assert_geq(listener, 0);
    server.pid = fork();
    if (server.pid == 0)
        be_server(listener, serve, server.port);
    cr_assert_gt(server.pid, 1);
    close(listener);
    return server;
}

static struct server start_server(serve_fn serve)
{
    return start_server_on(AF_INET, serve);
}

static void stop_server(const struct server *server)
{
    cr_assert_gt(server->pid, 1);
    send_signal(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
}

/* ---- one probe ---- */

static void expect(const Bulkhead__ProbeResult *result, bool success, unsigned status, const char *format,
                   uint16_t port)
{
    char text[256];
    const char *mark = strstr(format, "PORT");
    if (mark != NULL)
        snprintf(text, sizeof(text), "%.*s%u%s", (int)(mark - format), format, port, mark + 4);
    else
        snprintf(text, sizeof(text), "%s", format);
    cr_assert_str_eq(result->text, text);
    cr_assert_eq(result->success, success);
    cr_assert_eq(result->has_status_code, status != 0);
    cr_assert_eq(result->status_code, status);
}

static void expect_http(serve_fn serve, const char *path, int64_t timeout_ms, unsigned status,
                        const char *format)
{
    struct hookd_script *script = hookd_script_start(false, NULL);
    struct server server = start_server(serve);
    hookd_script_probe(script, 1, NULL, server.port, path, timeout_ms);
    expect(hookd_script_expect_probe(script, 1), status != 0, status, format, server.port);
    cr_assert_lt(hookd_script_ping(script), 1000);
    hookd_script_expect_children(script, 0);
    stop_server(&server);
    hookd_script_end(script);
}

/* ---- answers ---- */

static void serve_echo(int connection, const char *request, uint16_t port)
{
    char expected[256];
    snprintf(expected, sizeof(expected),
             "GET /a%%20b?c=d&e=\"f HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: bulkhead/" BULKHEAD_VERSION
             "\r\nAccept: */*\r\nConnection: close\r\n\r\n",
             (unsigned)port);
    say(connection,
        strcmp(request, expected) == 0 ? "HTTP/1.1 204 No Content\r\n\r\n" : "HTTP/1.1 400 Bad\r\n\r\n");
}

Test(hookd_probe, sends_the_path_untouched)
{
    expect_http(serve_echo, "/a%20b?c=d&e=\"f", 10000, 204, "HTTP 204 from 127.0.0.1:PORT/a%20b?c=d&e=\\\"f");
}

static void serve_500(int connection, const char *request, uint16_t port)
{
    (void)request;
    (void)port;
    say(connection, "HTTP/1.1 500 Oh no\r\nContent-Length: 3\r\n\r\nabc");
}

Test(hookd_probe, tells_the_status_whatever_it_is)
{
    expect_http(serve_500, "/ping", 10000, 500, "HTTP 500 from 127.0.0.1:PORT/ping");
    expect_http(serve_500, "", 10000, 500, "HTTP 500 from 127.0.0.1:PORT/");
}

static void serve_interim(int connection, const char *request, uint16_t port)
{
    (void)request;
    (void)port;
    say(connection, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.0 200 "
                    "OK\r\n\r\nbody");
}

Test(hookd_probe, passes_over_interim_answers)
{
    expect_http(serve_interim, "/", 10000, 200, "HTTP 200 from 127.0.0.1:PORT/");
}

static void serve_redirects(int connection, const char *request, uint16_t port)
{
    char text[256];
    if (strncmp(request, "GET /1 ", 7) == 0)
        say(connection, "HTTP/1.1 302 Found\r\nLocation: 2?x=y\r\nContent-Length: 1000\r\n\r\n");
    else if (strncmp(request, "GET /2?x=y ", 11) == 0) {
        snprintf(text, sizeof(text), "HTTP/1.1 307 T\r\nlocation:  http://LOCALHOST:%u/3#part\r\n\r\n",
                 (unsigned)port);
        say(connection, text);
    } else if (strncmp(request, "GET /3 ", 7) == 0)
        say(connection, "HTTP/1.1 200 OK\r\n\r\n");
    else if (strncmp(request, "GET /ftp ", 9) == 0)
        say(connection, "HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/\r\n\r\n");
    else if (strncmp(request, "GET /none ", 10) == 0)
        say(connection, "HTTP/1.1 304 Not Modified\r\n\r\n");
    else
        say(connection, "HTTP/1.1 301 Moved\r\nLocation: /loop\r\n\r\n");
}

Test(hookd_probe, follows_redirects)
{
    expect_http(serve_redirects, "/1", 10000, 200, "HTTP 200 from LOCALHOST:PORT/3");
    expect_http(serve_redirects, "/none", 10000, 304, "HTTP 304 from 127.0.0.1:PORT/none");
    expect_http(serve_redirects, "/loop", 10000, 0, "redirected too often, to 127.0.0.1:PORT at last");
    expect_http(serve_redirects, "/ftp", 10000, 0,
                "redirected by 127.0.0.1:PORT to what is neither http nor https");
}

/* ---- misbehaviour ---- */

static void serve_garbage(int connection, const char *request, uint16_t port)
{
    (void)request;
    (void)port;
    say(connection, "220 mail.example ESMTP");
    sleep(30);
}

static void serve_nothing(int connection, const char *request, uint16_t port)
{
    (void)connection;
    (void)request;
    (void)port;
}

static void serve_silence(int connection, const char *request, uint16_t port)
{
    (void)connection;
    (void)request;
    (void)port;
    sleep(30);
}

static void serve_half_a_head(int connection, const char *request, uint16_t port)
{
    (void)request;
    (void)port;
    say(connection, "HTTP/1.1 200 OK\r\nContent-Le");
    sleep(30);
}

static void serve_half_a_body(int connection, const char *request, uint16_t port)
{
    (void)request;
    (void)port;
    say(connection, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
}

static void serve_slow_body(int connection, const char *request, uint16_t port)
{
    (void)request;
    (void)port;
    say(connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    sleep(30);
}

static void serve_endless_head(int connection, const char *request, uint16_t port)
{
    (void)request;
    (void)port;
    say(connection, "HTTP/1.1 200 OK\r\n");
    while (send(connection, "Name: value\r\n", 13, MSG_NOSIGNAL) > 0)
        continue;
}

static void serve_endless_body(int connection, const char *request, uint16_t port)
{
    (void)request;
    (void)port;
    char block[4096];
    memset(block, 'x', sizeof(block));
    say(connection, "HTTP/1.1 200 OK\r\n\r\n");
    while (send(connection, block, sizeof(block), MSG_NOSIGNAL) > 0)
        continue;
}

static void serve_drops(int connection, const char *request, uint16_t port)
{
    (void)request;
    (void)port;
    say(connection, "HTTP/1.1 200 OK\r\n");
    while (send(connection, "N", 1, MSG_NOSIGNAL) > 0)
        usleep(20000);
}

Test(hookd_probe, is_no_victim_of_what_it_asks)
{
    expect_http(serve_garbage, "/", 10000, 0, "the answer from 127.0.0.1:PORT is no HTTP");
    expect_http(serve_nothing, "/", 10000, 0, "the connection was closed by 127.0.0.1:PORT before an answer");
    expect_http(serve_half_a_body, "/", 10000, 0, "the answer from 127.0.0.1:PORT was cut off");
    expect_http(serve_endless_head, "/", 10000, 0, "the headers from 127.0.0.1:PORT are too long");
}

Test(hookd_probe, has_a_timeout_at_every_step)
{
    expect_http(serve_silence, "/", 300, 0, "no answer in 300ms");
    expect_http(serve_half_a_head, "/", 300, 0, "no answer in 300ms");
    expect_http(serve_drops, "/", 300, 0, "no answer in 300ms");
    expect_http(serve_slow_body, "/", 300, 0, "the answer did not end in 300ms");
    expect_http(serve_endless_body, "/", 300, 0, "the answer did not end in 300ms");
}

static uint16_t find_free_port(void)
{
    uint16_t port = 0;
    int listener = open_listener(AF_INET, &port);
    cr_assert_geq(listener, 0);
    close(listener);
    return port;
}

Test(hookd_probe, tells_a_refusal)
{
    struct hookd_script *script = hookd_script_start(false, NULL);
    uint16_t port = find_free_port();
    hookd_script_probe(script, 1, NULL, port, "/", 10000);
    hookd_script_probe(script, 2, NULL, port, NULL, 10000);
    expect(hookd_script_expect_probe(script, 1), false, 0, "connection refused by 127.0.0.1:PORT", port);
    expect(hookd_script_expect_probe(script, 2), false, 0, "connection refused by 127.0.0.1:PORT", port);
    hookd_script_probe(script, 3, NULL, port, "/a b\r\nX: y", 10000);
    expect(hookd_script_expect_probe(script, 3), false, 0, "the check's scheme, address or path makes no URL",
           port);
    hookd_script_end(script);
}

/* ---- TCP, IPv6 ---- */

Test(hookd_probe, connects)
{
    struct hookd_script *script = hookd_script_start(false, NULL);
    struct server server = start_server(serve_silence);
    hookd_script_probe(script, 1, NULL, server.port, NULL, 10000);
    expect(hookd_script_expect_probe(script, 1), true, 0, "connected to 127.0.0.1:PORT", server.port);
    stop_server(&server);
    hookd_script_end(script);
}

Test(hookd_probe, speaks_ipv6)
{
    struct server server = start_server_on(AF_INET6, serve_500);
    if (server.pid == 0)
        cr_skip_test("no IPv6 here");
    struct hookd_script *script = hookd_script_start(false, NULL);
    hookd_script_probe(script, 1, "::1", server.port, "/", 10000);
    hookd_script_probe(script, 2, "::1", server.port, NULL, 10000);
    expect(hookd_script_expect_probe(script, 1), true, 500, "HTTP 500 from [::1]:PORT/", server.port);
    expect(hookd_script_expect_probe(script, 2), true, 0, "connected to [::1]:PORT", server.port);
    stop_server(&server);
    hookd_script_end(script);
}

/* ---- TLS ---- */

Test(hookd_probe, takes_a_certificate_that_nobody_has_signed)
{
    struct hookd_script *script = hookd_script_start(false, NULL);
    uint16_t port = find_free_port();
    char command[1024];
    snprintf(command, sizeof(command),
             "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key "
             "-out cert "
             "-days 1 -subj /CN=nobody >/dev/null 2>&1",
             script->folder);
    if (system(command) != 0)
        cr_skip_test("no openssl program here");
    snprintf(command, sizeof(command), "%s/key", script->folder);
    pid_t pid = fork();
    if (pid == 0) {
        char number[8];
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        snprintf(number, sizeof(number), "%u", (unsigned)port);
        if (chdir(script->folder) == 0 && freopen("/dev/null", "w", stderr) != NULL &&
            freopen("/dev/null", "w", stdout))
            execlp("openssl", "openssl", "s_server", "-accept", number, "-key", "key", "-cert", "cert",
                   "-www", (char *)NULL);
        _exit(127);
    }
    cr_assert_gt(pid, 1);
    Bulkhead__Probe probe = BULKHEAD__PROBE__INIT;
    char host[] = "127.0.0.1", path[] = "/", scheme[] = "HTTPS";
    probe.has_job = probe.has_type = probe.has_port = probe.has_timeout = 1;
    probe.type = BULKHEAD__CHECK__TYPE__HTTP;
    probe.host = host;
    probe.port = port;
    probe.path = path;
    probe.scheme = scheme;
    probe.timeout = 10 * LOOP_SECOND;
    const Bulkhead__ProbeResult *result;
    int64_t deadline = loop_now() + 10 * LOOP_SECOND;
    do { /* until it listens */
        probe.job++;
        hookd_script_send(script, MESSAGE_PROBE, &probe.base);
        result = hookd_script_expect_probe(script, probe.job);
    } while (!result->success && loop_now() < deadline);
    send_signal(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    expect(result, true, 200, "HTTP 200 from 127.0.0.1:PORT/", port);
    hookd_script_end(script);
}

/* ---- workers and cost ---- */

Test(hookd_probe, is_cancelled_and_says_nothing_more)
{
    struct hookd_script *script = hookd_script_start(false, NULL);
    struct server server = start_server(serve_silence);
    hookd_script_probe(script, 1, NULL, server.port, "/", 0); /* no timeout */
    hookd_script_expect_children(script, 1);
    hookd_script_cancel(script, 1);
    hookd_script_expect_children(script, 0);
    uint16_t port = find_free_port();
    hookd_script_probe(script, 2, NULL, port, NULL, 1000);
    hookd_script_expect_probe(script, 2);
    cr_assert_not(hookd_script_has(script, 1));
    stop_server(&server);
    hookd_script_end(script);
}

static void stop_child(struct hookd_script *script, int signal)
{
    char path[64];
    int pid = 0;
    hookd_script_expect_children(script, 1);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)script->pid, (int)script->pid);
    FILE *file = fopen(path, "r");
    cr_assert_eq(fscanf(file, "%d", &pid), 1);
    fclose(file);
    cr_assert_gt(pid, 1);
    send_signal(pid, signal);
}

Test(hookd_probe, survives_whatever_happens_to_a_worker)
{
    struct hookd_script *script = hookd_script_start(false, NULL);
    struct server server = start_server(serve_silence);
    hookd_script_probe(script, 1, NULL, server.port, "/", 60000);
    stop_child(script, SIGSEGV);
    expect(hookd_script_expect_probe(script, 1), false, 0, "killed by signal 11 (Segmentation fault)", 0);
    hookd_script_probe(script, 2, NULL, server.port, "/", 1000);
    stop_child(script, SIGSTOP);
    expect(hookd_script_expect_probe(script, 2), false, 0, "no answer in 1s", 0);
    hookd_script_expect_children(script, 0);
    stop_server(&server);
    hookd_script_end(script);
}

static double child_cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* hookd and its workers become the test's reaped children when it ends: the sum is theirs. Only shown; ./dev
 * bench judges. */
Test(hookd_probe, shows_what_a_probe_costs)
{
    enum { PROBES = 200 };
    struct hookd_script *script = hookd_script_start(false, NULL);
    struct server server = start_server(serve_500);
    double before = child_cpu_seconds();
    for (uint32_t i = 1; i <= PROBES; i++) {
        hookd_script_probe(script, i, NULL, server.port, "/", 10000);
        cr_assert(hookd_script_expect_probe(script, i)->success);
    }
    hookd_script_end(script);
    printf("CPU of a plain HTTP probe: %.2f ms\n", (child_cpu_seconds() - before) * 1000 / PROBES);
    fflush(stdout);
    stop_server(&server);
}
