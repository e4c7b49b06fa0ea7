/* The client against servers that behave, that hang at each step, and that lie. */
#include "hookd/http_client.h"

#include "common/loop.h"
#include "tests/unit/loopback.h"

#include <criterion/criterion.h>
#include <fcntl.h>

enum { SHORT_MS = 200, LONG_MS = 60000 };

static struct http_client_request get(const char *url, int64_t milliseconds)
{
    return (struct http_client_request){
        .method = "GET", .url = url, .deadline = loop_now() + milliseconds * LOOP_MS};
}

/* What the server writes, without having looked at the request; "HANG" in front of nothing more keeps it
 * open. */
struct script {
    const char *text;
    bool hangs;
};

static void play(int connection, unsigned number, const struct loopback_request *request, const void *arg)
{
    const struct script *script = arg;
    (void)number;
    (void)request;
    loopback_write(connection, script->text);
    while (script->hangs)
        pause();
}

/* The result of one GET from a server with this script; answer is to be cleared. */
static int ask(const struct script *script, int64_t milliseconds, struct http_client_answer *answer)
{
    struct loopback server = loopback_start(play, script);
    struct http_client_request request = get(loopback_url(&server, "/"), milliseconds);
    cr_assert_eq(http_client_init(), 0);
    int64_t begun = loop_now();
    int r = http_client_perform(&request, answer);
    cr_assert_lt(loop_now() - begun, (LONG_MS + SHORT_MS) * (int64_t)LOOP_MS);
    loopback_stop(&server);
    return r;
}

static void echo(int connection, unsigned number, const struct loopback_request *request, const void *arg)
{
    (void)number;
    (void)request;
    (void)arg;
    loopback_answer(connection, 201, "Location:  /api/v0.1/backend/7/ \r\n", "made");
}

Test(http_client, sends_what_it_is_given_and_hands_back_the_answer)
{
    static const char *const headers[] = {"X-Consul-Token: abc", "Content-Type: application/json", NULL};
    struct loopback server = loopback_start(echo, NULL);
    struct http_client_request request = get(loopback_url(&server, "/a%2Fb/../c?x=1"), LONG_MS);
    struct http_client_answer answer;
    request.method = "PUT";
    request.headers = headers;
    request.body = "{\"a\":1}";
    request.body_size = 7;
    request.user_password = "user:pass";
    cr_assert_eq(http_client_init(), 0);
    cr_assert_eq(http_client_perform(&request, &answer), 0, "%s", answer.error);
    cr_assert_eq(answer.status, 201);
    cr_assert_eq(answer.body_size, 4);
    cr_assert_str_eq(answer.body, "made");
    cr_assert_str_eq(answer.location, "/api/v0.1/backend/7/");
    const struct loopback_request *heard = &server.heard->requests[0];
    cr_assert(loopback_heard_line(&server, 0, "PUT /a%2Fb/../c?x=1 HTTP/1.1\r\n"), "%s", heard->head);
    cr_assert_not_null(strstr(heard->head, "\r\nX-Consul-Token: abc\r\n"));
    cr_assert_not_null(strstr(heard->head, "\r\nContent-Type: application/json\r\n"));
    cr_assert_not_null(strstr(heard->head, "\r\nAuthorization: Basic dXNlcjpwYXNz\r\n"));
    cr_assert_null(strcasestr(heard->head, "\r\nExpect:"));
    cr_assert_str_eq(heard->body, "{\"a\":1}");
    http_client_answer_clear(&answer);
    loopback_stop(&server);
}

Test(http_client, an_error_status_is_an_answer)
{
    static const struct script script = {"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", false};
    struct http_client_answer answer;
    cr_assert_eq(ask(&script, LONG_MS, &answer), 0);
    cr_assert_eq(answer.status, 500);
    cr_assert_str_eq(answer.body, "oops");
    http_client_answer_clear(&answer);
}

Test(http_client, follows_no_redirect)
{
    struct loopback server = loopback_start(echo, NULL);
    char text[1200];
    snprintf(text, sizeof(text), "HTTP/1.1 301 Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
             loopback_url(&server, "/elsewhere"));
    const struct script script = {text, false};
    struct http_client_answer answer;
    cr_assert_eq(ask(&script, LONG_MS, &answer), 0);
    cr_assert_eq(answer.status, 301);
    cr_assert_eq(server.heard->count, 0);
    http_client_answer_clear(&answer);
    loopback_stop(&server);
}

/* An interim answer's headers are not those of the answer. */
Test(http_client, a_location_of_an_interim_answer_does_not_count)
{
    static const struct script script = {"HTTP/1.1 103 Early\r\nLocation: /wrong\r\n\r\n"
                                         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                                         false};
    struct http_client_answer answer;
    cr_assert_eq(ask(&script, LONG_MS, &answer), 0);
    cr_assert_eq(answer.status, 200);
    cr_assert_null(answer.location);
    http_client_answer_clear(&answer);
}

Test(http_client, what_hangs_is_ended_at_the_deadline)
{
    static const struct script scripts[] = {
        {"", true},
        {"HTTP/1.1 200 OK\r\nContent-", true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", true},
        {"HTTP/1.1 100 Continue\r\n\r\n", true},
    };
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        struct http_client_answer answer;
        cr_assert_eq(ask(&scripts[i], SHORT_MS, &answer), -ETIMEDOUT, "%zu", i);
        cr_assert_str_eq(answer.error, "no answer in time");
        http_client_answer_clear(&answer);
    }
}

/* It listens and never accepts: the kernel makes the connection. */
Test(http_client, a_server_that_does_not_accept_is_ended_at_the_deadline)
{
    uint16_t port = 0;
    int listener = loopback_listen(&port);
    char url[64];
    struct http_client_answer answer;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", (unsigned)port);
    struct http_client_request request = get(url, SHORT_MS);
    cr_assert_eq(http_client_init(), 0);
    cr_assert_eq(http_client_perform(&request, &answer), -ETIMEDOUT);
    http_client_answer_clear(&answer);
    close(listener);
}

Test(http_client, nobody_listens)
{
    uint16_t port = 0;
    int listener = loopback_listen(&port);
    char url[64];
    struct http_client_answer answer;
    close(listener);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", (unsigned)port);
    struct http_client_request request = get(url, LONG_MS);
    cr_assert_eq(http_client_init(), 0);
    cr_assert_eq(http_client_perform(&request, &answer), -ECONNREFUSED);
    cr_assert_str_eq(answer.error, "cannot connect: Connection refused");
    http_client_answer_clear(&answer);
}

Test(http_client, an_answer_that_is_none)
{
    static const struct script scripts[] = {
        {"", false},
        {"hello?\r\n\r\n", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n", false},
        {"HTTP/9.9 200 OK\r\n\r\n", false},
    };
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        struct http_client_answer answer;
        cr_assert_lt(ask(&scripts[i], LONG_MS, &answer), 0, "%zu", i);
        cr_assert_neq(answer.error[0], '\0', "%zu", i);
        http_client_answer_clear(&answer);
    }
}

/* A byte now and then: no single read is late. */
static void drip(int connection, unsigned number, const struct loopback_request *request, const void *arg)
{
    (void)number;
    (void)request;
    (void)arg;
    loopback_write(connection, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    for (;;) {
        loopback_write(connection, "x");
        usleep(10000);
    }
}

static void flood_body(int connection, unsigned number, const struct loopback_request *request,
                       const void *arg)
{
    static char block[65536];
    (void)number;
    (void)request;
    (void)arg;
    memset(block, 'x', sizeof(block));
    loopback_write(connection, "HTTP/1.1 200 OK\r\n\r\n");
    while (send(connection, block, sizeof(block), MSG_NOSIGNAL) > 0)
        continue;
}

static void flood_headers(int connection, unsigned number, const struct loopback_request *request,
                          const void *arg)
{
    (void)number;
    (void)request;
    (void)arg;
    loopback_write(connection, "HTTP/1.1 200 OK\r\n");
    while (send(connection, "X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 39, MSG_NOSIGNAL) > 0)
        continue;
}

static void assert_ends(loopback_fn serve, int64_t milliseconds, int error, const char *words)
{
    struct loopback server = loopback_start(serve, NULL);
    struct http_client_request request = get(loopback_url(&server, "/"), milliseconds);
    struct http_client_answer answer;
    cr_assert_eq(http_client_init(), 0);
    cr_assert_eq(http_client_perform(&request, &answer), error, "%s", answer.error);
    cr_assert_str_eq(answer.error, words);
    cr_assert_null(answer.body);
    http_client_answer_clear(&answer);
    loopback_stop(&server);
}

Test(http_client, a_slow_loris_is_ended_at_the_deadline)
{
    assert_ends(drip, SHORT_MS, -ETIMEDOUT, "no answer in time");
}

Test(http_client, an_endless_answer_is_cut)
{
    assert_ends(flood_body, LONG_MS, -EMSGSIZE, "the answer is too large");
    assert_ends(flood_headers, LONG_MS, -EMSGSIZE, "the answer is too large");
}

Test(http_client, no_time_left)
{
    struct http_client_request request = get("http://127.0.0.1:1/", 0);
    struct http_client_answer answer;
    cr_assert_eq(http_client_init(), 0);
    cr_assert_eq(http_client_perform(&request, &answer), -ETIMEDOUT);
    http_client_answer_clear(&answer);
}

Test(http_client, only_http_and_https)
{
    static const char *const urls[] = {"file:///etc/passwd", "gopher://127.0.0.1:1/", "http://", "no address",
                                       "http://127.0.0.1:99999/"};
    cr_assert_eq(http_client_init(), 0);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct http_client_request request = get(urls[i], LONG_MS);
        struct http_client_answer answer;
        cr_assert_eq(http_client_perform(&request, &answer), -EINVAL, "%s: %s", urls[i], answer.error);
        http_client_answer_clear(&answer);
    }
}

/* Neither a proxy of the environment nor a .netrc has a say. */
Test(http_client, takes_no_proxy_and_no_netrc)
{
    struct loopback server = loopback_start(echo, NULL);
    char home[] = "/tmp/http_client.XXXXXX";
    char path[64];
    cr_assert_not_null(mkdtemp(home));
    snprintf(path, sizeof(path), "%s/.netrc", home);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs("default login someone password something\n", file);
    fclose(file);
    setenv("HOME", home, 1);
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    struct http_client_request request = get(loopback_url(&server, "/"), LONG_MS);
    struct http_client_answer answer;
    cr_assert_eq(http_client_init(), 0);
    cr_assert_eq(http_client_perform(&request, &answer), 0, "%s", answer.error);
    cr_assert_null(strcasestr(server.heard->requests[0].head, "Authorization"));
    http_client_answer_clear(&answer);
    loopback_stop(&server);
    unlink(path);
    rmdir(home);
}

Test(http_client, unix_socket)
{
    char folder[] = "/tmp/http_client.XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cr_assert_not_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", folder);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(listener, 4), 0);
    struct loopback server = loopback_start_on(listener, true, echo, NULL);
    struct http_client_request request = get("http://localhost/v1/agent/self", LONG_MS);
    struct http_client_answer answer;
    request.unix_socket = address.sun_path;
    cr_assert_eq(http_client_init(), 0);
    cr_assert_eq(http_client_perform(&request, &answer), 0, "%s", answer.error);
    cr_assert(loopback_heard_line(&server, 0, "GET /v1/agent/self HTTP/1.1\r\n"));
    cr_assert_not_null(strstr(server.heard->requests[0].head, "\r\nHost: localhost\r\n"));
    http_client_answer_clear(&answer);
    loopback_stop(&server);
    unlink(address.sun_path);
    rmdir(folder);
}

/* What answers speaks no TLS. */
Test(http_client, tls_with_a_server_that_has_none)
{
    struct loopback server = loopback_start(echo, NULL);
    char url[64];
    snprintf(url, sizeof(url), "https://127.0.0.1:%u/", (unsigned)server.port);
    struct http_client_request request = get(url, SHORT_MS);
    struct http_client_answer answer;
    cr_assert_eq(http_client_init(), 0);
    cr_assert_lt(http_client_perform(&request, &answer), 0);
    cr_assert_neq(answer.error[0], '\0');
    http_client_answer_clear(&answer);
    loopback_stop(&server);
}

Test(http_client, escapes_all_but_unreserved_characters)
{
    static const struct {
        const char *text, *escaped;
    } rows[] = {
        {"", ""},
        {"AZaz09-._~", "AZaz09-._~"},
        {"a/b c?d#e%f&g+h", "a%2Fb%20c%3Fd%23e%25f%26g%2Bh"},
        {"\xc3\xbc\t\"<>\\", "%C3%BC%09%22%3C%3E%5C"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *escaped = http_client_escape(rows[i].text);
        cr_assert_str_eq(escaped, rows[i].escaped);
        free(escaped);
    }
}
