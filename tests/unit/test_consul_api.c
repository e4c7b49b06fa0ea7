/* What Consul's answers mean, where it is, and what is sent to it. */
#include "hookd/consul_api.h"

#include "hookd/http_client.h"
#include "tests/unit/hook_stage.h"
#include "tests/unit/loopback.h"

enum { LONG_MS = 60000 };

Test(consul_api, what_answers_mean)
{
    static const struct {
        enum consul_call call;
        long status;
        const char *body;
        enum consul_outcome outcome;
    } rows[] = {
        {CONSUL_REGISTER, 200, "", CONSUL_DONE},
        {CONSUL_REGISTER, 204, "", CONSUL_REFUSED},
        {CONSUL_REGISTER, 301, "", CONSUL_REFUSED},
        {CONSUL_REGISTER, 400, "Request decode failed", CONSUL_REFUSED},
        {CONSUL_REGISTER, 401, "", CONSUL_DENIED},
        {CONSUL_REGISTER, 403, "ACL not found", CONSUL_DENIED},
        {CONSUL_REGISTER, 404, "", CONSUL_REFUSED},
        {CONSUL_REGISTER, 408, "", CONSUL_AGAIN},
        {CONSUL_REGISTER, 429, "", CONSUL_AGAIN},
        {CONSUL_REGISTER, 500, "Unknown service \"x\"", CONSUL_AGAIN},
        {CONSUL_REGISTER, 503, "", CONSUL_AGAIN},
        {CONSUL_REGISTER, 0, "", CONSUL_REFUSED},
        {CONSUL_DEREGISTER, 200, "", CONSUL_DONE},
        {CONSUL_DEREGISTER, 404, "", CONSUL_DONE},
        {CONSUL_DEREGISTER, 500, "Unknown service {\"x\" {}}", CONSUL_DONE},
        {CONSUL_DEREGISTER, 500, "Unknown servic", CONSUL_AGAIN},
        {CONSUL_DEREGISTER, 500, "No leader: Unknown service", CONSUL_AGAIN},
        {CONSUL_DEREGISTER, 502, "Unknown service", CONSUL_AGAIN},
        {CONSUL_DEREGISTER, 403, "Permission denied", CONSUL_DENIED},
        {CONSUL_DEREGISTER, 400, "", CONSUL_REFUSED},
        {CONSUL_DEREGISTER, 307, "", CONSUL_REFUSED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(consul_classify(rows[i].call, rows[i].status, rows[i].body, strlen(rows[i].body)),
                     rows[i].outcome, "row %zu", i);
}

Test(consul_api, addresses)
{
    static const struct {
        const char *address;
        bool tls;
        const char *base, *unix_socket; /* base NULL: refused */
    } rows[] = {
        {"127.0.0.1:8500", false, "http://127.0.0.1:8500", NULL},
        {"127.0.0.1:8500", true, "https://127.0.0.1:8500", NULL},
        {"http://consul:8500/", false, "http://consul:8500", NULL},
        {"http://consul:8500", true, "https://consul:8500", NULL},
        {"https://[::1]:8501", false, "https://[::1]:8501", NULL},
        {"https://proxy/consul//", false, "https://proxy/consul", NULL},
        {"unix:///run/consul.sock", false, "http://localhost", "/run/consul.sock"},
        {"unix:///run/consul.sock", true, "https://localhost", "/run/consul.sock"},
        {"ftp://consul", false, NULL, NULL},
        {"http://", false, NULL, NULL},
        {"unix://", false, NULL, NULL},
        {"/", false, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *base = NULL;
        char *unix_socket = NULL;
        int r = consul_address_read(rows[i].address, rows[i].tls, &base, &unix_socket);
        cr_expect_eq(r, rows[i].base != NULL ? 0 : -EINVAL, "row %zu", i);
        if (rows[i].base != NULL)
            cr_expect_str_eq(base, rows[i].base, "row %zu: %s", i, base);
        cr_expect_eq(unix_socket == NULL, rows[i].unix_socket == NULL, "row %zu", i);
        if (unix_socket != NULL)
            cr_expect_str_eq(unix_socket, rows[i].unix_socket);
        free(base);
        free(unix_socket);
    }
}

/* --- tokens --- */

static char token_path[] = "/tmp/consul_api.XXXXXX";

static void write_token(const char *text)
{
    int file = mkstemp(token_path);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
}

static void remove_token(void)
{
    unlink(token_path);
}

/* config is freed. */
static void expect_token(struct config *config, const char *token)
{
    struct consul_api api;
    char text[256] = "";
    cr_assert_eq(consul_api_open(config, &api, text, sizeof(text)), 0, "%s", text);
    if (token == NULL)
        cr_expect_null(api.token);
    else
        cr_expect_str_eq(api.token, token);
    consul_api_close(&api);
    config_free(config);
}

Test(consul_api, which_token_counts, .fini = remove_token)
{
    write_token(" \n from-file \n");
    expect_token(stage_config(NULL, NULL), NULL);
    expect_token(stage_config("CONSUL_HTTP_TOKEN", "plain", NULL), "plain");
    expect_token(stage_config("CONSUL_HTTP_TOKEN", "plain", "CONSUL_HTTP_TOKEN_FILE", token_path, NULL),
                 "from-file");
    expect_token(stage_config("CONSUL_HTTP_TOKEN", "plain", "CONSUL_HTTP_TOKEN_FILE", token_path,
                              "CONSUL_TOKEN", "ours", NULL),
                 "ours");
    expect_token(stage_config("CONSUL_HTTP_TOKEN_FILE", "/nonexistent", "CONSUL_TOKEN", "ours", NULL),
                 "ours");
}

Test(consul_api, an_empty_token_file_leaves_the_choice_to_the_next, .fini = remove_token)
{
    write_token("\n");
    expect_token(stage_config("CONSUL_HTTP_TOKEN_FILE", token_path, NULL), NULL);
    expect_token(stage_config("CONSUL_HTTP_TOKEN", "plain", "CONSUL_HTTP_TOKEN_FILE", token_path, NULL),
                 "plain");
}

/* config is freed. */
static void expect_refused(struct config *config, int error, const char *words)
{
    struct consul_api api;
    char text[256] = "";
    cr_expect_eq(consul_api_open(config, &api, text, sizeof(text)), error);
    cr_expect_not_null(strstr(text, words), "%s", text);
    consul_api_close(&api);
    config_free(config);
}

Test(consul_api, settings_that_cannot_be_used, .fini = remove_token)
{
    write_token("one\r\nX-Other: two");
    expect_refused(stage_config("CONSUL_HTTP_TOKEN_FILE", "/nonexistent", NULL), -EACCES, "/nonexistent");
    expect_refused(stage_config("CONSUL_HTTP_TOKEN_FILE", token_path, NULL), -EINVAL, "characters");
    expect_refused(stage_config("CONSUL_HTTP_TOKEN", "a\nb", NULL), -EINVAL, "characters");
    expect_refused(stage_config("CONSUL_HTTP_ADDR", "gopher://x", NULL), -EINVAL, "CONSUL_HTTP_ADDR");
}

/* --- requests --- */

struct reply {
    int status;
    const char *body;
};

static void answer(int connection, unsigned number, const struct loopback_request *request, const void *arg)
{
    const struct reply *reply = arg;
    (void)number;
    (void)request;
    loopback_answer(connection, reply->status, "", reply->body);
}

struct stage {
    struct loopback server;
    struct config *config;
    struct consul_api api;
    char text[512];
};

/* prefix: behind the server's address. */
static void begin(struct stage *stage, const struct reply *reply, const char *prefix)
{
    stage->server = loopback_start(answer, reply);
    stage->config =
        stage_config("CONSUL_HTTP_ADDR", loopback_url(&stage->server, prefix), "CONSUL_TOKEN", "s3cret-t0ken",
                     "CONSUL_NAMESPACE", "team a", "CONSUL_HTTP_AUTH", "user:pass", NULL);
    cr_assert_eq(http_client_init(), 0);
    cr_assert_eq(consul_api_open(stage->config, &stage->api, stage->text, sizeof(stage->text)), 0);
}

static void end(struct stage *stage)
{
    consul_api_close(&stage->api);
    config_free(stage->config);
    loopback_stop(&stage->server);
}

Test(consul_api, register_request)
{
    static const struct reply reply = {200, ""};
    struct stage stage;
    begin(&stage, &reply, "/prefix");
    cr_assert_eq(consul_api_register(&stage.api, "{}", loop_now() + LONG_MS * (int64_t)LOOP_MS, stage.text,
                                     sizeof(stage.text)),
                 CONSUL_DONE);
    const struct loopback_request *heard = &stage.server.heard->requests[0];
    cr_expect(loopback_heard_line(&stage.server, 0,
                                  "PUT /prefix/v1/agent/service/register?ns=team%20a HTTP/1.1\r\n"),
              "%s", heard->head);
    cr_expect_not_null(strstr(heard->head, "\r\nX-Consul-Token: s3cret-t0ken\r\n"));
    cr_expect_not_null(strstr(heard->head, "\r\nContent-Type: application/json\r\n"));
    cr_expect_not_null(strstr(heard->head, "\r\nAuthorization: Basic dXNlcjpwYXNz\r\n"));
    cr_expect_str_eq(heard->body, "{}");
    end(&stage);
}

Test(consul_api, deregister_request)
{
    static const struct reply reply = {200, ""};
    struct stage stage;
    begin(&stage, &reply, "");
    int64_t deadline = loop_now() + LONG_MS * (int64_t)LOOP_MS;
    cr_assert_eq(
        consul_api_deregister(&stage.api, "", "a/b c?%_80", deadline, stage.text, sizeof(stage.text)),
        CONSUL_DONE);
    cr_assert_eq(consul_api_deregister(&stage.api, "old%20ns", "x", deadline, stage.text, sizeof(stage.text)),
                 CONSUL_DONE);
    cr_expect(loopback_heard_line(&stage.server, 0,
                                  "PUT /v1/agent/service/deregister/a%2Fb%20c%3F%25_80 HTTP/1.1\r\n"));
    cr_expect(
        loopback_heard_line(&stage.server, 1, "PUT /v1/agent/service/deregister/x?ns=old%20ns HTTP/1.1\r\n"));
    end(&stage);
}

Test(consul_api, a_refusal_is_told_without_the_token)
{
    static const struct {
        struct reply reply;
        enum consul_outcome outcome;
        const char *text;
    } rows[] = {
        {{400, "Invalid check:\n TTL"}, CONSUL_REFUSED, "Consul answers 400: Invalid check: TTL"},
        {{403, "no s3cret-t0ken here"},
         CONSUL_DENIED,
         "Consul answers 403: no *** here (the token is not accepted)"},
        {{302, ""}, CONSUL_REFUSED, "Consul answers 302 (a redirect, which is not followed)"},
        {{500, "No cluster leader"}, CONSUL_AGAIN, "Consul answers 500: No cluster leader"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stage stage;
        begin(&stage, &rows[i].reply, "");
        cr_expect_eq(consul_api_register(&stage.api, "{}", loop_now() + LONG_MS * (int64_t)LOOP_MS,
                                         stage.text, sizeof(stage.text)),
                     rows[i].outcome);
        cr_expect_str_eq(stage.text, rows[i].text, "%s", stage.text);
        end(&stage);
    }
}
