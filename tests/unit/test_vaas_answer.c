/* Reading what VaaS answers: lists and their pages, one object, tasks, paths; and what is none of these. */
#include "hookd/vaas_answer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(text) text, strlen(text)

static const char dcs[] =
    "{\"meta\":{\"limit\":20,\"next\":\"/api/v0.1/dc/?limit=20&offset=20\",\"offset\":0,\"previous\":null,"
    "\"total_count\":21},\"objects\":[7,{\"symbol\":5},{\"id\":0,\"symbol\":\"dc6\"},"
    "{\"id\":1,\"name\":\"First\",\"resource_uri\":\"/api/v0.1/dc/1/\",\"symbol\":\"dc1\"},"
    "{\"id\":6,\"name\":\"Sixth\",\"resource_uri\":\"/api/v0.1/dc/6/\",\"symbol\":\"dc6\"}]}";

Test(vaas_answer, data_centres)
{
    struct vaas_dc dc = {0};
    char *next = NULL;
    cr_assert_eq(vaas_answer_dc(TEXT(dcs), "dc6", &dc, &next), 1);
    cr_expect_eq(dc.id, 6);
    cr_expect_str_eq(dc.name, "Sixth");
    cr_expect_str_eq(dc.symbol, "dc6");
    cr_expect_str_eq(dc.resource_uri, "/api/v0.1/dc/6/");
    cr_expect_null(next);
    vaas_dc_clear(&dc);
    cr_assert_eq(vaas_answer_dc(TEXT(dcs), "DC6", &dc, &next), 0);
    cr_expect_str_eq(next, "/api/v0.1/dc/?limit=20&offset=20");
    free(next);
}

Test(vaas_answer, directors)
{
    static const char body[] =
        " {\"objects\":[{\"id\":4,\"name\":\"other\"},{\"id\":5,\"name\":\"d1\",\"backends\":[]}]}\n";
    int64_t id = 0;
    char *next = NULL;
    cr_assert_eq(vaas_answer_director(TEXT(body), "d1", &id, &next), 1);
    cr_expect_eq(id, 5);
    cr_assert_eq(vaas_answer_director(TEXT(body), "d", &id, &next), 0);
    cr_expect_null(next);
}

#define BACKEND(id, address, port, director)                                                                 \
    "{\"id\":" id ",\"address\":" address ",\"port\":" port ",\"director\":" director "}"

/* The server's filter is not believed: each object is looked at. */
Test(vaas_answer, backends)
{
    static const char body[] =
        "{\"meta\":{\"next\":null},\"objects\":[" BACKEND("1", "\"10.1.2.3\"", "80", "\"/api/v0.1/director/4/\"") "," BACKEND(
            "2", "\"10.1.2.4\"", "80",
            "\"/api/v0.1/director/4/\"") "," BACKEND("3", "\"10.1.2.3\"", "81",
                                                     "\"/api/v0.1/director/4/\"") "," BACKEND("4",
                                                                                              "\"10.1.2.3\"", "80", "\"/api/v0.1/director/44/\"") "," BACKEND("5",
                                                                                                                                                              "\"10.1.2.3\"", "\"80\"", "\"/api/v0.1/director/4/\"") "," BACKEND("\"6\"", "\"10.1.2.3\"", "80", "\"/api/v0.1/director/4/\"") "," BACKEND("7", "null", "80", "\"/api/v0.1/director/4/\"") "," BACKEND("-8",
                                                                                                                                                                                                                                                                                                                                                                     "\"10.1.2.3\"", "80", "\"/api/v0.1/director/4/\"") "," BACKEND("9",
                                                                                                                                                                                                                                                                                                                                                                                                                                    "\"10.1.2.3\"", "80", "\"http://vaas/api/v0.1/director/4/\"") "," BACKEND("10",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "\"10.1.2.3\\u0000\"", "80", "\"/api/v0.1/director/4/\"") "," BACKEND("11",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    "\"10.1.2.3\"",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    "80", "{\"id\":4}") ",null,[]]}";
    const struct vaas_backend wanted = {.director_id = 4, .port = 80, .address = "10.1.2.3"};
    struct vaas_ids ids = {.count = 0};
    char *next = NULL;
    cr_assert_eq(vaas_answer_backends(TEXT(body), &wanted, &ids, &next), 0);
    cr_assert_eq(ids.count, 2);
    cr_expect_eq(ids.ids[0], 1);
    cr_expect_eq(ids.ids[1], 9);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(vaas_answer_backends(TEXT(body), &wanted, &ids, &next), 0);
    cr_expect_eq(ids.count, (size_t)VAAS_IDS_MAX);
}

Test(vaas_answer, what_is_no_list)
{
    static const char *const bodies[] = {
        "",
        " ",
        "null",
        "[]",
        "5",
        "{}",
        "{\"objects\":{}}",
        "{\"objects\":[]",
        "{\"objects\":[]}x",
        "<html></html>",
        "{\"objects\":[],\"meta\":{\"next\":\"http://elsewhere/\"}}",
        "{\"objects\":[],\"meta\":{\"next\":\"/api/v0.1/a b\"}}",
        "{\"objects\":[\"\xff\"]}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        char *next = NULL;
        int64_t id = 0;
        cr_expect_eq(vaas_answer_director(TEXT(bodies[i]), "d", &id, &next), -EBADMSG, "%s", bodies[i]);
        cr_expect_null(next);
    }
}

Test(vaas_answer, depth_is_bounded)
{
    char body[4096] = "{\"objects\":";
    char *next = NULL;
    int64_t id = 0;
    size_t n = strlen(body);
    memset(body + n, '[', 1000);
    memset(body + n + 1000, ']', 1000);
    memcpy(body + n + 2000, "}", 2);
    cr_expect_eq(vaas_answer_director(TEXT(body), "d", &id, &next), -EBADMSG);
}

Test(vaas_answer, created)
{
    static const struct {
        const char *body;
        int64_t id;
    } rows[] = {
        {"{\"id\":123,\"resource_uri\":\"/api/v0.1/backend/123/\"}", 123},
        {"{\"id\":123}", 123},
        {"{\"id\":7,\"resource_uri\":\"/api/v0.1/task/7/\"}", 0},
        {"{\"id\":7,\"resource_uri\":\"/api/v0.1/backend/8/\"}", 0},
        {"{\"id\":7,\"resource_uri\":\"elsewhere\"}", 0},
        {"{\"id\":1.5}", 0},
        {"{\"id\":-1}", 0},
        {"{\"id\":\"5\"}", 0},
        {"", 0},
        {"[1]", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(vaas_answer_created(TEXT(rows[i].body)), rows[i].id, "%s", rows[i].body);
}

Test(vaas_answer, tasks)
{
    static const struct {
        const char *body;
        int r;
        enum vaas_task_state state;
        const char *words;
    } rows[] = {
        {"{\"status\":\"SUCCESS\",\"info\":\"done\"}", 0, VAAS_TASK_DONE, ": done"},
        {"{\"status\":\"PENDING\",\"info\":\"\"}", 0, VAAS_TASK_RUNNING, ""},
        {"{\"status\":\"STARTED\",\"info\":null}", 0, VAAS_TASK_RUNNING, ""},
        {"{\"status\":\"RETRY\"}", 0, VAAS_TASK_RUNNING, ""},
        {"{\"status\":\"FAILURE\",\"info\":\"VCL\\nerror\"}", 0, VAAS_TASK_FAILED, ": VCL error"},
        {"{\"status\":\"REVOKED\"}", 0, VAAS_TASK_FAILED, ""},
        {"{\"status\":1}", -EBADMSG, VAAS_TASK_RUNNING, ""},
        {"{}", -EBADMSG, VAAS_TASK_RUNNING, ""},
        {"", -EBADMSG, VAAS_TASK_RUNNING, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum vaas_task_state state = VAAS_TASK_RUNNING;
        char words[VAAS_WORDS_MAX] = "old";
        cr_expect_eq(vaas_answer_task(TEXT(rows[i].body), &state, words), rows[i].r, "%s", rows[i].body);
        cr_expect_eq(state, rows[i].state, "%s", rows[i].body);
        cr_expect_str_eq(words, rows[i].words);
    }
}

/* Whatever host an answer names, its path is asked for at ours. */
Test(vaas_answer, paths)
{
    static const struct {
        const char *location, *path; /* path NULL: none */
    } rows[] = {
        {"/api/v0.1/task/7/", "/api/v0.1/task/7/"},
        {"http://elsewhere:80/prefix/api/v0.1/task/7/?a=b", "/api/v0.1/task/7/?a=b"},
        {"//elsewhere/api/v0.1/x", "/api/v0.1/x"},
        {NULL, NULL},
        {"", NULL},
        {"/api/v0.2/task/7/", NULL},
        {"/api/v0.1/a b", NULL},
        {"/api/v0.1/a\r\nX: y", NULL},
        {"/api/v0.1/../../admin/", NULL},
        {"/api/v0.1/..", NULL},
        {"/api/v0.1/x#y", NULL},
        {"/api/v0.1/\xc3\xbc", NULL},
    };
    char longest[4096];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *path = vaas_answer_path(rows[i].location);
        cr_expect_eq(path == NULL, rows[i].path == NULL, "row %zu", i);
        if (path != NULL && rows[i].path != NULL)
            cr_expect_str_eq(path, rows[i].path);
    }
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    memcpy(longest, "/api/v0.1/", 10);
    cr_expect_null(vaas_answer_path(longest));
}

Test(vaas_answer, ids_of_paths)
{
    static const struct {
        const char *path;
        int64_t id;
    } rows[] = {
        {"/api/v0.1/backend/123/", 123},
        {"/api/v0.1/backend/0/", 0},
        {"/api/v0.1/backend/123", 0},
        {"/api/v0.1/backend//", 0},
        {"/api/v0.1/backends/1/", 0},
        {"/api/v0.1/task/1/", 0},
        {"/api/v0.1/backend/1/x/", 0},
        {"/api/v0.1/backend/-1/", 0},
        {"/api/v0.1/backend/1/?a=b", 0},
        {"/api/v0.1/backend/9999999999999999999/", 0},
        {"backend/1/", 0},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(vaas_answer_path_id(rows[i].path, "backend"), rows[i].id, "%s", rows[i].path);
}
