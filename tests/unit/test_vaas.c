/* The VaaS hook as a whole, against a small VaaS: what is recorded when, what is tried again, what is found
 * and removed. */
#include "hookd/http_client.h"
#include "tests/unit/hook_stage.h"
#include "tests/unit/loopback.h"

enum { SHORT_MS = 400, LONG_MS = 60000 };

/* How this VaaS behaves. Its backends are 101, 102, … in the order in which they were made. */
struct manner {
    bool async;           /* 202 and a task */
    int task_polls;       /* how often the task is still running */
    const char *task_end; /* its last state */
    bool location_only;   /* the id is not in the body */
    int post_status;      /* instead of the usual, for the first POST; the backend is made all the same */
    int post_refused;     /* instead of the usual, for every POST; nothing is made */
    bool post_dropped;    /* the first POST's connection is closed; the backend is made all the same */
    int late_looks;       /* how many look-ups do not see the backend that the first POST has made */
    int delete_status;    /* instead of the usual, for the first DELETE */
    int all_status;       /* for everything */
    bool paged;           /* one object a page */
    int existing;         /* how many backends are there from the start */
};

/* The server's state; it lives in the server's process. */
static struct {
    int posts, deletes, looks, polls, count;
    bool removed[16];
} vaas;

static bool has(const struct loopback_request *request, const char *line)
{
    return strncmp(request->head, line, strlen(line)) == 0;
}

static void send_json(int connection, int status, const char *headers, const char *json)
{
    loopback_answer(connection, status, headers, json);
}

static void list_dcs(int connection, const struct loopback_request *request, const struct manner *manner)
{
    if (manner->paged && has(request, "GET /api/v0.1/dc/ "))
        send_json(
            connection, 200, "",
            "{\"meta\":{\"next\":\"/api/v0.1/dc/?offset=1\"},\"objects\":[{\"id\":1,\"symbol\":\"dc1\"}]}");
    else
        send_json(connection, 200, "",
                  "{\"meta\":{\"next\":null},\"objects\":[{\"id\":6,\"name\":\"Six\",\"symbol\":\"dc6\","
                  "\"resource_uri\":\"/api/v0.1/dc/6/\"}]}");
}

static void list_backends(int connection, const struct manner *manner)
{
    char json[4096] = "{\"meta\":{\"next\":null},\"objects\":[";
    bool blind = vaas.looks++ < manner->late_looks;
    bool first = true;
    for (int i = 0; i < vaas.count && !blind; i++) {
        size_t used = strlen(json);
        if (vaas.removed[i])
            continue;
        snprintf(
            json + used, sizeof(json) - used,
            "%s{\"id\":%d,\"address\":\"10.1.2.3\",\"port\":8080,\"director\":\"/api/v0.1/director/4/\"}",
            first ? "" : ",", 101 + i);
        first = false;
    }
    strcat(json, "]}");
    send_json(connection, 200, "", json);
}

static void create(int connection, const struct manner *manner)
{
    char body[256];
    char headers[256];
    bool first = vaas.posts++ == 0;
    if (manner->post_refused != 0) {
        send_json(connection, manner->post_refused, "", "{\"error\":\"hunter2 is no key\"}");
        return;
    }
    int id = 101 + vaas.count++;
    if (first && manner->post_dropped)
        return;
    if (first && manner->post_status != 0) {
        send_json(connection, manner->post_status, "", "oops");
        return;
    }
    snprintf(body, sizeof(body), "{\"id\":%d,\"resource_uri\":\"/api/v0.1/backend/%d/\"}", id, id);
    snprintf(headers, sizeof(headers), "Location: http://10.9.9.9%s%d/\r\n",
             manner->async ? "/api/v0.1/task/" : "/api/v0.1/backend/", id);
    send_json(connection, manner->async ? 202 : 201, headers, manner->location_only ? "" : body);
}

static void look_at_task(int connection, const struct manner *manner)
{
    char body[256];
    bool running = vaas.polls++ < manner->task_polls;
    snprintf(body, sizeof(body), "{\"status\":\"%s\",\"info\":\"varnish\"}",
             running ? "PENDING" : manner->task_end);
    send_json(connection, 200, "", body);
}

static void remove_backend(int connection, const struct loopback_request *request,
                           const struct manner *manner)
{
    int id = atoi(request->head + strlen("DELETE /api/v0.1/backend/")) - 101;
    if (vaas.deletes++ == 0 && manner->delete_status != 0) {
        send_json(connection, manner->delete_status, "", "later");
        return;
    }
    bool there = id >= 0 && id < vaas.count && !vaas.removed[id];
    if (there)
        vaas.removed[id] = true;
    send_json(connection, there ? 202 : 404, "", "");
}

static void serve(int connection, unsigned number, const struct loopback_request *request, const void *arg)
{
    const struct manner *manner = arg;
    if (number == 0)
        vaas.count = manner->existing;
    if (manner->all_status != 0)
        send_json(connection, manner->all_status, "", "");
    else if (has(request, "GET /api/v0.1/dc/"))
        list_dcs(connection, request, manner);
    else if (has(request, "GET /api/v0.1/director/?name=d%2F1 "))
        send_json(connection, 200, "",
                  "{\"meta\":{\"next\":null},\"objects\":[{\"id\":4,\"name\":\"d/1\"}]}");
    else if (has(request, "GET /api/v0.1/director/"))
        send_json(connection, 200, "", "{\"meta\":{\"next\":null},\"objects\":[]}");
    else if (has(request, "GET /api/v0.1/backend/?address=10.1.2.3&port=8080&director__name=d%2F1 "))
        list_backends(connection, manner);
    else if (has(request, "GET /api/v0.1/task/"))
        look_at_task(connection, manner);
    else if (has(request, "POST /api/v0.1/backend/ "))
        create(connection, manner);
    else if (has(request, "DELETE /api/v0.1/backend/"))
        remove_backend(connection, request, manner);
    else
        send_json(connection, 405, "", "");
}

/* --- the stage --- */

struct stage {
    struct loopback server;
    struct config *config;
    Bulkhead__Task *task;
};

static void begin_for(struct stage *stage, const struct manner *manner, const char *director, const char *dc)
{
    stage->server = loopback_start(serve, manner);
    stage->config =
        stage_config("VAAS_HOST", loopback_url(&stage->server, "/"), "VAAS_USERNAME", "admin", "VAAS_TOKEN",
                     "hunter2", "CLOUD_PUBLIC_IP", "10.1.2.3", dc != NULL ? "CLOUD_DC" : NULL, dc, NULL);
    stage->task = stage_task("t.1");
    stage_label(stage->task, "director", director);
    stage_label(stage->task, "weight:50", "tag");
    stage_port(stage->task, 8080, NULL, NULL);
    cr_assert_eq(http_client_init(), 0);
}

static void begin(struct stage *stage, const struct manner *manner)
{
    begin_for(stage, manner, "d/1", "dc6");
}

static void end(struct stage *stage)
{
    loopback_stop(&stage->server);
    config_free(stage->config);
    bulkhead__task__free_unpacked(stage->task, NULL);
    stage_forget();
}

static int run(struct stage *stage, Bulkhead__HookRun__Event event, int64_t milliseconds)
{
    return stage_run(&hook_vaas, stage->config, stage->task, event, milliseconds);
}

/* How many requests began with this. */
static unsigned heard(const struct stage *stage, const char *line)
{
    unsigned count = 0;
    for (unsigned i = 0; i < stage->server.heard->count; i++)
        count += loopback_heard_line(&stage->server, i, line);
    return count;
}

static const struct loopback_request *find_request(const struct stage *stage, const char *line)
{
    for (unsigned i = 0; i < stage->server.heard->count; i++)
        if (loopback_heard_line(&stage->server, i, line))
            return &stage->server.heard->requests[i];
    cr_assert_fail("no request %s", line);
    return NULL;
}

#define REST " director=4 port=8080 address=10.1.2.3 name=d%2F1\n"
#define NO_ID "1 backend=0" REST
#define ID "1 backend=101" REST
#define POST "POST /api/v0.1/backend/ "
#define DELETE "DELETE /api/v0.1/backend/"
#define LOOK "GET /api/v0.1/backend/?"

/* --- registering --- */

Test(vaas, registers_and_removes)
{
    static const struct manner manner = {.existing = 0};
    struct stage stage;
    begin(&stage, &manner);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%s", stage_text);
    cr_expect_str_eq(stage_text, "registered backend 101 10.1.2.3:8080 of director d/1");
    cr_expect_str_eq(stage_story(), "intended " NO_ID "done " ID "undone " NO_ID);
    const struct loopback_request *post = find_request(&stage, POST);
    cr_expect_str_eq(
        post->body, "{\"address\":\"10.1.2.3\",\"director\":\"/api/v0.1/director/4/\",\"dc\":{\"id\":6,"
                    "\"name\":\"Six\",\"resource_uri\":\"/api/v0.1/dc/6/\",\"symbol\":\"dc6\"},\"port\":8080,"
                    "\"inherit_time_profile\":true,\"weight\":50}");
    cr_expect_not_null(strstr(post->head, "\r\nAuthorization: ApiKey admin:hunter2\r\n"));
    cr_expect_not_null(strstr(post->head, "\r\nPrefer: respond-async\r\n"));
    cr_expect_not_null(strstr(post->head, "\r\nContent-Type: application/json\r\n"));
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%s", stage_text);
    cr_expect_str_eq(stage_text, "removed backend 101 10.1.2.3:8080 of director d/1");
    cr_expect_eq(heard(&stage, DELETE), 1);
    cr_expect(loopback_heard_line(&stage.server, stage.server.heard->count - 1, DELETE "101/ HTTP/1.1\r\n"));
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0);
    cr_expect_str_eq(stage_text, "nothing to remove");
    end(&stage);
}

/* The key stands in no request line and in no text. */
Test(vaas, the_key_stays_in_its_header)
{
    static const struct manner manner = {.post_refused = 400};
    struct stage stage;
    begin(&stage, &manner);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), -EBADMSG);
    cr_expect_not_null(strstr(stage_text, "VaaS answers 400 to POST: {\"error\":\"*** is no key\"}"), "%s",
                       stage_text);
    for (unsigned i = 0; i < stage.server.heard->count; i++) {
        char *line_end = strstr(stage.server.heard->requests[i].head, "\r\n");
        cr_assert_not_null(line_end);
        *line_end = '\0';
        cr_expect_null(strstr(stage.server.heard->requests[i].head, "hunter2"));
    }
    end(&stage);
}

Test(vaas, follows_pages)
{
    static const struct manner manner = {.paged = true};
    struct stage stage;
    begin(&stage, &manner);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%s", stage_text);
    cr_expect_eq(heard(&stage, "GET /api/v0.1/dc/?offset=1 "), 1);
    end(&stage);
}

Test(vaas, the_id_may_be_in_the_location_alone)
{
    static const struct manner manner = {.location_only = true};
    struct stage stage;
    begin(&stage, &manner);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%s", stage_text);
    cr_expect_str_eq(stage_story(), "intended " NO_ID "done " ID "undone " NO_ID);
    cr_expect_eq(heard(&stage, LOOK), 0);
    end(&stage);
}

Test(vaas, a_task_is_looked_at_until_it_is_done)
{
    static const struct manner manner = {.async = true, .task_polls = 2, .task_end = "SUCCESS"};
    struct stage stage;
    begin(&stage, &manner);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%s", stage_text);
    cr_expect_eq(heard(&stage, "GET /api/v0.1/task/101/ "), 3);
    cr_expect_eq(heard(&stage, LOOK), 0);
    cr_expect_str_eq(stage_story(), "intended " NO_ID "done " ID "undone " NO_ID);
    end(&stage);
}

Test(vaas, an_id_that_only_the_list_tells_is_looked_up_after_the_task)
{
    static const struct manner manner = {.async = true, .location_only = true, .task_end = "SUCCESS"};
    struct stage stage;
    begin(&stage, &manner);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%s", stage_text);
    cr_expect_eq(heard(&stage, LOOK), 1);
    cr_expect_str_eq(stage_story(), "intended " NO_ID "done " ID "undone " NO_ID);
    end(&stage);
}

Test(vaas, a_task_that_fails_is_told_and_its_backend_is_known)
{
    static const struct manner manner = {.async = true, .location_only = true, .task_end = "FAILURE"};
    struct stage stage;
    begin(&stage, &manner);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), -EBADMSG);
    cr_expect_str_eq(stage_text,
                     "cannot register backend 101 10.1.2.3:8080 of director d/1: VaaS has failed to load the "
                     "backend: varnish");
    cr_expect_str_eq(stage_story(), "intended " NO_ID "done " ID "undone " NO_ID);
    end(&stage);
}

Test(vaas, a_task_that_does_not_end)
{
    static const struct manner manner = {.async = true, .task_polls = 1000, .task_end = "SUCCESS"};
    struct stage stage;
    begin(&stage, &manner);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, SHORT_MS), -ETIMEDOUT);
    cr_expect_not_null(strstr(stage_text, "VaaS has not finished in time"), "%s", stage_text);
    cr_expect_str_eq(stage_story(), "intended " NO_ID "done " ID "undone " NO_ID);
    end(&stage);
}

/* The first POST has made the backend and was answered with an error, or not at all: no second one is made.
 */
Test(vaas, no_second_backend)
{
    static const struct manner manners[] = {
        {.post_status = 500}, {.post_dropped = true}, {.post_status = 400}};
    for (size_t i = 0; i < 3; i++) {
        struct stage stage;
        begin(&stage, &manners[i]);
        cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%s", stage_text);
        cr_expect_eq(heard(&stage, POST), 1);
        cr_expect_str_eq(stage_story(), "intended " NO_ID "done " ID "undone " NO_ID);
        end(&stage);
    }
}

Test(vaas, a_worker_that_follows_another_looks_first)
{
    static const struct manner manner = {.existing = 1};
    struct stage stage;
    begin(&stage, &manner);
    stage_records.items[stage_records.count++] =
        (struct stage_record){strdup("1 backend=0 director=4 port=8080 address=10.1.2.3 name=d%2F1"),
                              BULKHEAD__HOOK_RECORD__STATE__INTENDED};
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%s", stage_text);
    cr_expect_eq(heard(&stage, POST), 0);
    cr_expect_str_eq(stage_text, "registered backend 101 10.1.2.3:8080 of director d/1");
    end(&stage);
}

Test(vaas, what_is_missing_is_said)
{
    static const struct manner manner = {.existing = 0};
    static const struct {
        const char *director, *dc, *words;
        int r;
    } rows[] = {
        {"unknown", "dc6", "VaaS has no director unknown", -ENOENT},
        {"d/1", "dc7", "VaaS has no data centre dc7", -ENOENT},
        {"d/1", NULL, "CLOUD_DC is not set", -EINVAL},
        {"", "dc6", "nothing to register", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stage stage;
        begin_for(&stage, &manner, rows[i].director, rows[i].dc);
        cr_expect_eq(run(&stage, STAGE_HEALTHY, LONG_MS), rows[i].r);
        cr_expect_not_null(strstr(stage_text, rows[i].words), "%s", stage_text);
        cr_expect_eq(heard(&stage, POST), 0);
        cr_expect_eq(stage_records.count, 0);
        end(&stage);
    }
}

Test(vaas, answers_that_no_attempt_betters)
{
    static const struct {
        struct manner manner;
        int r;
        const char *words;
    } rows[] = {
        {{.all_status = 302}, -EBADMSG, "VaaS answers 302 to GET (a redirect, which is not followed)"},
        {{.all_status = 404}, -EBADMSG, "VaaS answers 404 to GET"},
        {{.all_status = 401}, -EACCES, "VaaS answers 401 to GET (user or key are not accepted)"},
        {{.all_status = 503}, -ETIMEDOUT, "VaaS answers 503 to GET"},
        {{.all_status = 200}, -ETIMEDOUT, "VaaS answers with what is no list"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stage stage;
        begin(&stage, &rows[i].manner);
        cr_expect_eq(run(&stage, STAGE_HEALTHY, SHORT_MS), rows[i].r, "row %zu", i);
        cr_expect_not_null(strstr(stage_text, rows[i].words), "%s", stage_text);
        end(&stage);
    }
}

Test(vaas, nothing_leaves_that_is_not_recorded)
{
    static const struct manner manner = {.existing = 0};
    struct stage stage;
    begin(&stage, &manner);
    stage_records.error = -EPIPE;
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), -EPIPE);
    cr_expect_eq(heard(&stage, POST), 0);
    end(&stage);
}

Test(vaas, settings_that_cannot_be_used)
{
    static const struct {
        const char *name, *value, *words;
    } rows[] = {
        {"VAAS_HOST", "vaas.example.com", "VAAS_HOST"},
        {"VAAS_USERNAME", "", "VAAS_USERNAME and VAAS_TOKEN"},
        {"VAAS_TOKEN", "a\nb", "VAAS_USERNAME and VAAS_TOKEN"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        static const struct manner manner = {.existing = 0};
        struct stage stage;
        begin(&stage, &manner);
        cr_assert_eq(config_set_text(stage.config, rows[i].name, rows[i].value, NULL), 0);
        cr_expect_eq(run(&stage, STAGE_HEALTHY, LONG_MS), -EINVAL);
        cr_expect_not_null(strstr(stage_text, rows[i].words), "%s", stage_text);
        end(&stage);
    }
}

/* --- removing what another worker did --- */

static void keep(const char *key, Bulkhead__HookRecord__State state)
{
    size_t length = strcspn(key, "\n");
    stage_records.items[stage_records.count++] = (struct stage_record){strndup(key, length), state};
}

#define INTENDED BULKHEAD__HOOK_RECORD__STATE__INTENDED
#define DONE BULKHEAD__HOOK_RECORD__STATE__DONE

Test(vaas, a_backend_without_an_id_is_looked_up)
{
    static const struct manner manner = {.existing = 2};
    struct stage stage;
    begin(&stage, &manner);
    keep(NO_ID, INTENDED);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%s", stage_text);
    cr_expect_eq(heard(&stage, DELETE "101/ "), 1);
    cr_expect_eq(heard(&stage, DELETE "102/ "), 1);
    cr_expect_str_eq(stage_story(), "intended " NO_ID "undone " NO_ID);
    end(&stage);
}

Test(vaas, a_registration_that_was_cut_off_may_land_late)
{
    static const struct manner manner = {.existing = 1, .late_looks = 2};
    struct stage stage;
    begin(&stage, &manner);
    keep(NO_ID, INTENDED);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%s", stage_text);
    cr_expect_eq(heard(&stage, LOOK), 3);
    cr_expect_eq(heard(&stage, DELETE "101/ "), 1);
    end(&stage);
}

Test(vaas, one_that_never_came_is_removed_after_a_few_looks)
{
    static const struct manner manner = {.existing = 0};
    struct stage stage;
    begin(&stage, &manner);
    keep(NO_ID, INTENDED);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%s", stage_text);
    cr_expect_eq(heard(&stage, LOOK), 3);
    cr_expect_eq(heard(&stage, DELETE), 0);
    end(&stage);
}

Test(vaas, one_that_is_gone_is_removed_and_asked_for_once)
{
    static const struct manner manner = {.existing = 0};
    struct stage stage;
    begin(&stage, &manner);
    keep(ID, DONE);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%s", stage_text);
    cr_expect_eq(stage.server.heard->count, 1);
    end(&stage);
}

Test(vaas, tries_again_to_remove)
{
    static const struct manner manner = {.existing = 1, .delete_status = 503};
    struct stage stage;
    begin(&stage, &manner);
    keep(ID, DONE);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%s", stage_text);
    cr_expect_eq(heard(&stage, DELETE "101/ "), 2);
    end(&stage);
}

Test(vaas, what_is_left_behind_is_named)
{
    static const struct manner manner = {.all_status = 503};
    struct stage stage;
    begin(&stage, &manner);
    keep(ID, DONE);
    keep("1 backend=0 director=5 port=9 address=2001:db8::7 name=other", INTENDED);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, SHORT_MS), -ETIMEDOUT);
    cr_expect_not_null(strstr(stage_text,
                              "left behind in VaaS: backend 101 10.1.2.3:8080 of director d/1 backend "
                              "[2001:db8::7]:9 of director other: VaaS answers 503 to "),
                       "%s", stage_text);
    end(&stage);
}

Test(vaas, a_record_that_cannot_be_read_is_told_and_the_others_are_undone)
{
    static const struct manner manner = {.existing = 1};
    struct stage stage;
    begin(&stage, &manner);
    keep("nonsense", DONE);
    keep(ID, DONE);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), -EBADMSG);
    cr_expect_str_eq(stage_text, "1 records cannot be read: backends may be left behind in VaaS");
    cr_expect_eq(heard(&stage, DELETE "101/ "), 1);
    end(&stage);
}

Test(vaas, how_long_it_may_take)
{
    struct config *config =
        stage_config("VAAS_ASYNC_TIMEOUT", "80s", "ALLEGRO_EXECUTOR_HOOK_TIMEOUT", "7s", NULL);
    struct hook_call call = {.config = config, .event = STAGE_HEALTHY};
    cr_expect_eq(hook_vaas.timeout(&call), 80 * LOOP_SECOND);
    call.event = STAGE_TERMINATE;
    cr_expect_eq(hook_vaas.timeout(&call), 7 * LOOP_SECOND);
    config_free(config);
}
