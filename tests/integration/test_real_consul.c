/*
 * The Consul hook against a real Consul (1.8.7, as tests/consul.sh gets it): what it accepts, how services
 * appear and go, tokens, TLS, a Consul that is stopped, killed and started. Each test has an agent of its own
 * on free ports of 127.0.0.1, in memory only, which dies with the test.
 *
 * Without a Consul these tests fail, unless BULKHEAD_WITHOUT_CONSUL=1 says that there is to be none.
 */
#include "hookd/http_client.h"
#include "tests/devagent/agent.h"
#include "tests/send_signal.h"
#include "tests/unit/hook_stage.h"
#include "tests/unit/loopback.h"

#include <fcntl.h>

enum { SHORT_MS = 1000, LONG_MS = 60000, PATH_SIZE = 512 };

#define MASTER "00000000-0000-0000-0000-00000000aaaa"

/* --- Consul --- */

struct consul {
    pid_t pid;
    uint16_t port, tls_port;
    char program[PATH_SIZE];
    char folder[32];
    char settings[2048]; /* HCL */
    const char *token;   /* to look with, or NULL */
};

static uint16_t free_port(void)
{
    uint16_t port = 0;
    close(loopback_listen(&port));
    return port;
}

/* The path of Consul's program; skips the test where it is said that there is none to be. */
static void find_program(struct consul *consul)
{
    if (getenv("BULKHEAD_WITHOUT_CONSUL") != NULL && getenv("CI") == NULL) {
        fprintf(stderr, "BULKHEAD_WITHOUT_CONSUL is set: NOTHING IS TESTED AGAINST A REAL CONSUL\n");
        cr_skip_test("there is to be no Consul");
    }
    int words[2];
    cr_assert_eq(pipe2(words, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(words[1], STDOUT_FILENO);
        execl(TEST_SOURCE_DIR "/tests/consul.sh", "consul.sh", (char *)NULL);
        _exit(127);
    }
    close(words[1]);
    FILE *output = fdopen(words[0], "r");
    bool got = output != NULL && fgets(consul->program, sizeof(consul->program), output) != NULL;
    int status = -1;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(got && status == 0,
              "tests/consul.sh has found no Consul; BULKHEAD_WITHOUT_CONSUL=1 does without");
    fclose(output);
    consul->program[strcspn(consul->program, "\n")] = '\0';
}

static void write_file(const struct consul *consul, const char *name, const char *text)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%s/%s", consul->folder, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

/* It listens for HTTP, for HTTPS, and on a Unix socket. more: settings beyond those that every agent here
 * has. */
static void consul_init(struct consul *consul, const char *more)
{
    *consul = (struct consul){.folder = "/tmp/bulkhead-consul.XXXXXX"};
    find_program(consul);
    cr_assert_not_null(mkdtemp(consul->folder));
    consul->port = free_port();
    consul->tls_port = free_port();
    snprintf(consul->settings, sizeof(consul->settings),
             "bind_addr = \"127.0.0.1\" client_addr = \"127.0.0.1\" node_name = \"test\" "
             "disable_update_check = true\n"
             "disable_remote_exec = true\n"
             "addresses { http = \"127.0.0.1 unix://%s/socket\" }\n"
             "ports { dns = -1 grpc = -1 serf_wan = -1 serf_lan = %u server = %u http = %u https = %u }\n"
             "cert_file = \"cert.pem\" key_file = \"key.pem\" ca_file = \"cert.pem\"\n%s\n",
             consul->folder, (unsigned)free_port(), (unsigned)free_port(), (unsigned)consul->port,
             (unsigned)consul->tls_port, more);
    write_file(consul, "settings.hcl", consul->settings);
    write_file(consul, "cert.pem", tls_material_certificate);
    write_file(consul, "key.pem", tls_material_key);
}

/* Begins to start it and does not wait. */
static void consul_launch(struct consul *consul)
{
    pid_t parent = getpid();
    consul->pid = fork();
    cr_assert_geq(consul->pid, 0);
    if (consul->pid > 0)
        return;
    int nowhere = open("/dev/null", O_RDWR);
    dup2(nowhere, STDIN_FILENO);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && chdir(consul->folder) == 0)
        execl(consul->program, "consul", "agent", "-dev", "-config-file=settings.hcl", (char *)NULL);
    _exit(127);
}

static void consul_kill(struct consul *consul)
{
    if (consul->pid > 1) {
        send_signal(consul->pid, SIGKILL);
        waitpid(consul->pid, NULL, 0);
    }
    consul->pid = -1;
}

/* The layout is for people. */
static void strip_blanks(char *text)
{
    char *out = text;
    for (; *text != '\0'; text++)
        if (*text != ' ' && *text != '\n')
            *out++ = *text;
    *out = '\0';
}

/* The body of a GET without its blanks, "" when it was not answered with 200. A static buffer. */
static const char *look(const struct consul *consul, const char *path)
{
    static char body[65536];
    char url[PATH_SIZE];
    char header[128];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", (unsigned)consul->port, path);
    snprintf(header, sizeof(header), "X-Consul-Token: %s", consul->token != NULL ? consul->token : "");
    const char *const headers[] = {header, NULL};
    struct http_client_request request = {
        .method = "GET", .url = url, .headers = headers, .deadline = loop_now() + LONG_MS * (int64_t)LOOP_MS};
    struct http_client_answer answer;
    int r = http_client_perform(&request, &answer);
    snprintf(body, sizeof(body), "%s", r == 0 && answer.status == 200 ? answer.body : "");
    http_client_answer_clear(&answer);
    strip_blanks(body);
    return body;
}

/* Waits until the GET's body has the text, or has it no more. */
static bool wait_for(const struct consul *consul, const char *path, const char *text, bool present)
{
    int64_t deadline = loop_now() + LONG_MS * (int64_t)LOOP_MS;
    while ((strstr(look(consul, path), text) != NULL) != present) {
        if (loop_now() > deadline)
            return false;
        usleep(10000);
    }
    return true;
}

/* It has elected itself and, with ACLs, knows its tokens. */
static void consul_wait(const struct consul *consul)
{
    cr_assert_eq(http_client_init(), 0);
    cr_assert(wait_for(consul, "/v1/status/leader", "127.0.0.1", true), "Consul has not started");
    cr_assert(wait_for(consul, "/v1/catalog/nodes", "\"test\"", true), "Consul has not registered itself");
    if (consul->token != NULL)
        cr_assert(wait_for(consul, "/v1/acl/token/self", consul->token, true), "Consul's ACLs are not ready");
}

static void consul_start(struct consul *consul)
{
    consul_launch(consul);
    consul_wait(consul);
}

static void consul_end(struct consul *consul)
{
    static const char *const names[] = {"settings.hcl", "cert.pem", "key.pem", "socket"};
    consul_kill(consul);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof(path), "%s/%s", consul->folder, names[i]);
        unlink(path);
    }
    rmdir(consul->folder);
}

/* --- the hook --- */

static struct config *config_for(const struct consul *consul)
{
    char address[64];
    snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)consul->port);
    return stage_config("CONSUL_HTTP_ADDR", address, NULL);
}

static void set(struct config *config, const char *name, const char *value)
{
    cr_assert_eq(config_set_text(config, name, value, NULL), 0, "%s", name);
}

/* A task with a check that never passes, so that what is passing is so by its initial status. */
static Bulkhead__Task *web_task(const char *task_id)
{
    Bulkhead__Task *task = stage_task(task_id);
    stage_label(task, "consul", "web");
    stage_label(task, "z", "tag");
    stage_label(task, "a", "tag");
    stage_port(task, free_port(), NULL, NULL);
    stage_check(task, BULKHEAD__CHECK__TYPE__HTTP, 3600 * LOOP_SECOND, LOOP_SECOND);
    return task;
}

struct stage {
    struct consul consul;
    struct config *config;
    Bulkhead__Task *task;
};

/* Consul is not started. */
static void prepare(struct stage *stage, const char *task_id, const char *more)
{
    consul_init(&stage->consul, more);
    stage->config = config_for(&stage->consul);
    stage->task = web_task(task_id);
    cr_assert_eq(http_client_init(), 0);
}

static void begin(struct stage *stage, const char *task_id, const char *more)
{
    prepare(stage, task_id, more);
    consul_start(&stage->consul);
}

static void end(struct stage *stage)
{
    config_free(stage->config);
    bulkhead__task__free_unpacked(stage->task, NULL);
    stage_forget();
    consul_end(&stage->consul);
}

static int run(const struct stage *stage, Bulkhead__HookRun__Event event, int64_t milliseconds)
{
    return stage_run(&hook_consul, stage->config, stage->task, event, milliseconds);
}

#define AGENT_SERVICES "/v1/agent/services"
#define PASSING "/v1/health/service/web?passing=1"

Test(real_consul, a_service_appears_with_its_tags_and_goes)
{
    struct stage stage;
    begin(&stage, "web.1", "");
    set(stage.config, "CLOUD_PUBLIC_IP", "127.0.0.1");
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%s", stage_text);
    cr_expect(wait_for(&stage.consul, PASSING, "\"ID\":\"web.1_web_", true), "%s",
              look(&stage.consul, AGENT_SERVICES));
    const char *found = look(&stage.consul, PASSING);
    cr_expect_not_null(strstr(found, "\"Tags\":[\"z\",\"a\",\"marathon\",\"marathon-task:web.1\"]"), "%s",
                       found);
    cr_expect_not_null(strstr(found, "\"Address\":\"127.0.0.1\""), "%s", found);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "registering again: %s", stage_text);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%s", stage_text);
    cr_expect_str_eq(look(&stage.consul, AGENT_SERVICES), "{}");
    cr_expect(wait_for(&stage.consul, PASSING, "web.1", false));
    end(&stage);
}

Test(real_consul, every_field_of_a_registration_is_known_to_it)
{
    static const Bulkhead__Check__Type types[] = {BULKHEAD__CHECK__TYPE__HTTP, BULKHEAD__CHECK__TYPE__TCP,
                                                  BULKHEAD__CHECK__TYPE__COMMAND,
                                                  BULKHEAD__CHECK__TYPE__NONE};
    struct stage stage;
    begin(&stage, "web.1", "");
    set(stage.config, "ALLEGRO_EXECUTOR_CONSUL_DEREGISTER_CRITICAL_SERVICE_AFTER", "10m");
    set(stage.config, "CLOUD_PUBLIC_IP", "::1");
    stage.task->health_check->scheme = strdup("https");
    stage.task->health_check->path = strdup("/ping?a=\"b\"");
    stage.task->health_check->interval = 0;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        stage.task->health_check->type = types[i];
        cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%zu: %s", i, stage_text);
        cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%zu: %s", i, stage_text);
        cr_expect_str_eq(look(&stage.consul, AGENT_SERVICES), "{}");
    }
    end(&stage);
}

/* Whatever a task's id and labels have in them can be taken out again. */
Test(real_consul, odd_ids_come_and_go)
{
    static const char *const ids[] = {
        "/group/app",       "a//b",     "../x", "a/./b/../c", "tab\there\x01\x7f",
        "50%/ü ?#&+\"<>\\", "\xff\xc0", "..",   "/"};
    struct stage stage;
    begin(&stage, "web.1", "");
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        free(stage.task->task_id);
        stage.task->task_id = strdup(ids[i]);
        cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%zu: %s", i, stage_text);
        cr_expect_str_neq(look(&stage.consul, AGENT_SERVICES), "{}");
        cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%zu: %s", i, stage_text);
        cr_expect_str_eq(look(&stage.consul, AGENT_SERVICES), "{}", "%zu: %s", i,
                         look(&stage.consul, AGENT_SERVICES));
    }
    end(&stage);
}

static void keep(const char *key, Bulkhead__HookRecord__State state)
{
    stage_records.items[stage_records.count++] = (struct stage_record){strdup(key), state};
}

Test(real_consul, an_id_that_is_not_there_is_deregistered)
{
    struct stage stage;
    begin(&stage, "web.1", "");
    keep("1 ns= nobody_knows_80", BULKHEAD__HOOK_RECORD__STATE__DONE);
    keep("1 ns= never_landed_80", BULKHEAD__HOOK_RECORD__STATE__INTENDED);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%s", stage_text);
    end(&stage);
}

#define ACLS                                                                                                 \
    "acl { enabled = true default_policy = \"deny\" tokens { master = \"" MASTER "\" agent = \"" MASTER      \
    "\" } }"

Test(real_consul, tokens)
{
    struct stage stage;
    prepare(&stage, "web.1", ACLS);
    stage.consul.token = MASTER;
    consul_start(&stage.consul);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, SHORT_MS), -EACCES);
    cr_expect_not_null(strstr(stage_text, "403"), "%s", stage_text);
    cr_expect_not_null(strstr(stage_text, "no token is set"), "%s", stage_text);
    set(stage.config, "CONSUL_HTTP_TOKEN", "00000000-0000-0000-0000-00000000bbbb");
    cr_assert_eq(run(&stage, STAGE_HEALTHY, SHORT_MS), -EACCES);
    cr_expect_not_null(strstr(stage_text, "the token is not accepted"), "%s", stage_text);
    cr_expect_null(strstr(stage_text, "bbbb"), "%s", stage_text);
    set(stage.config, "CONSUL_TOKEN", MASTER);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%s", stage_text);
    cr_expect(wait_for(&stage.consul, PASSING, "web.1_web_", true));
    set(stage.config, "CONSUL_TOKEN", "");
    cr_assert_eq(run(&stage, STAGE_TERMINATE, SHORT_MS), -EACCES);
    cr_expect_not_null(strstr(stage_text, "left behind in Consul: web.1_web_"), "%s", stage_text);
    set(stage.config, "CONSUL_TOKEN", MASTER);
    keep("1 ns= nobody_knows_80", BULKHEAD__HOOK_RECORD__STATE__DONE);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "unknown is 500 here: %s", stage_text);
    cr_expect_str_eq(look(&stage.consul, AGENT_SERVICES), "{}");
    end(&stage);
}

/* The hook begins before there is a Consul, and again after it was killed and has forgotten everything. */
Test(real_consul, it_is_waited_for)
{
    struct stage stage;
    prepare(&stage, "web.1", "");
    consul_launch(&stage.consul);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%s", stage_text);
    consul_kill(&stage.consul);
    cr_assert_neq(run(&stage, STAGE_HEALTHY, SHORT_MS), 0);
    cr_expect_not_null(strstr(stage_text, "cannot connect: Connection refused"), "%s", stage_text);
    consul_launch(&stage.consul);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%s", stage_text);
    consul_wait(&stage.consul);
    cr_expect_str_eq(look(&stage.consul, AGENT_SERVICES), "{}");
    end(&stage);
}

/* A registration is in the socket of a Consul that is stopped; it lands when it goes on, and is undone all
 * the same. */
Test(real_consul, a_registration_that_lands_late_is_undone)
{
    struct stage stage;
    begin(&stage, "web.1", "");
    send_signal(stage.consul.pid, SIGSTOP);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, SHORT_MS), -ETIMEDOUT, "%s", stage_text);
    cr_expect_eq(stage_records.count, 1, "it is recorded that it may land");
    send_signal(stage.consul.pid, SIGCONT);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%s", stage_text);
    cr_expect_str_eq(look(&stage.consul, AGENT_SERVICES), "{}");
    end(&stage);
}

/* Registers and deregisters, or does not within a short time. */
static void expect_works(const struct stage *stage, bool works, const char *what)
{
    int r = run(stage, STAGE_HEALTHY, works ? LONG_MS : SHORT_MS);
    cr_expect_eq(r == 0, works, "%s: %s", what, stage_text);
    r = works ? run(stage, STAGE_TERMINATE, LONG_MS) : 0;
    cr_expect_eq(r, 0, "%s: %s", what, stage_text);
    stage_forget();
}

Test(real_consul, tls_and_unix_socket)
{
    struct stage stage;
    char text[PATH_SIZE];
    begin(&stage, "web.1", "verify_incoming_https = true");
    snprintf(text, sizeof(text), "https://127.0.0.1:%u", (unsigned)stage.consul.tls_port);
    set(stage.config, "CONSUL_HTTP_ADDR", text);
    snprintf(text, sizeof(text), "%s/cert.pem", stage.consul.folder);
    set(stage.config, "CONSUL_CLIENT_CERT", text);
    expect_works(&stage, false, "an unknown authority, a certificate without its key");
    set(stage.config, "CONSUL_CACERT", text);
    snprintf(text, sizeof(text), "%s/key.pem", stage.consul.folder);
    set(stage.config, "CONSUL_CLIENT_KEY", text);
    expect_works(&stage, true, "known to each other");
    set(stage.config, "CONSUL_TLS_SERVER_NAME", "localhost");
    expect_works(&stage, true, "by the other name");
    set(stage.config, "CONSUL_TLS_SERVER_NAME", "example.com");
    expect_works(&stage, false, "by a name that it does not have");
    set(stage.config, "CONSUL_HTTP_SSL_VERIFY", "false");
    expect_works(&stage, true, "whoever it is");
    set(stage.config, "CONSUL_CLIENT_CERT", "");
    set(stage.config, "CONSUL_CLIENT_KEY", "");
    expect_works(&stage, false, "without a certificate of our own");
    snprintf(text, sizeof(text), "unix://%s/socket", stage.consul.folder);
    set(stage.config, "CONSUL_HTTP_ADDR", text);
    expect_works(&stage, true, "unix socket");
    end(&stage);
}
