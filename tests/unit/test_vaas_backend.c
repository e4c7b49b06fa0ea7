/* What a task is in VaaS: director, port, weight, tags; the body byte for byte; the keys of records. */
#include "hookd/vaas_backend.h"

#include "tests/unit/hook_stage.h"

static struct config *config_with_address(void)
{
    return stage_config("CLOUD_PUBLIC_IP", "10.1.2.3", NULL);
}

static Bulkhead__Task *with_director(const char *director)
{
    Bulkhead__Task *task = stage_task("t.1");
    stage_label(task, "director", director);
    return task;
}

/* The port that is chosen; frees task. */
static uint32_t port_of(Bulkhead__Task *task)
{
    struct config *config = config_with_address();
    struct vaas_backend backend = {0};
    const char *problem = NULL;
    cr_assert_eq(vaas_backend_make(config, task, &backend, &problem), 0, "%s", problem);
    cr_assert_str_eq(backend.director, "d1");
    cr_assert_str_eq(backend.address, "10.1.2.3");
    config_free(config);
    bulkhead__task__free_unpacked(task, NULL);
    return backend.port;
}

Test(vaas_backend, the_port_that_the_label_names_or_the_first)
{
    Bulkhead__Task *task = with_director("d1");
    stage_port(task, 8080, NULL, NULL);
    stage_port(task, 8081, NULL, "frontend-sync:d1", "tag", NULL);
    stage_port(task, 8082, NULL, "frontend-sync:d1", NULL, NULL);
    cr_expect_eq(port_of(task), 8081);
    task = with_director("d1");
    stage_port(task, 8080, NULL, NULL);
    stage_port(task, 8081, NULL, "frontend-sync:d2", "tag", NULL);
    cr_expect_eq(port_of(task), 8080);
}

/* config and task are freed. */
static void expect_problem(struct config *config, Bulkhead__Task *task, const char *words)
{
    struct vaas_backend backend = {0};
    const char *problem = "";
    cr_expect_eq(vaas_backend_make(config, task, &backend, &problem), -EINVAL);
    cr_expect_not_null(strstr(problem, words), "%s", problem);
    config_free(config);
    bulkhead__task__free_unpacked(task, NULL);
}

Test(vaas_backend, what_is_missing_is_said)
{
    char longest[VAAS_NAME_MAX + 2];
    expect_problem(config_with_address(), with_director("d1"), "no ports");
    Bulkhead__Task *task = with_director("d1");
    stage_port(task, 1, NULL, NULL);
    expect_problem(stage_config(NULL, NULL), task, "CLOUD_PUBLIC_IP");
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    task = with_director(longest);
    stage_port(task, 1, NULL, NULL);
    expect_problem(config_with_address(), task, "director");
}

/* --- traits --- */

static void set_variable(Bulkhead__Command **command, const char *name, const char *value)
{
    Bulkhead__Variable *variable = malloc(sizeof(*variable));
    if (*command == NULL) {
        *command = malloc(sizeof(**command));
        bulkhead__command__init(*command);
    }
    bulkhead__variable__init(variable);
    variable->name = strdup(name);
    variable->value = strdup(value);
    (*command)->environment = realloc((*command)->environment, sizeof(*(*command)->environment));
    (*command)->environment[0] = variable;
    (*command)->n_environment = 1;
}

/* INT64_MIN for none; frees task. */
static int64_t weight_of(Bulkhead__Task *task)
{
    struct vaas_traits traits = vaas_traits_make(task);
    bulkhead__task__free_unpacked(task, NULL);
    return traits.has_weight ? traits.weight : INT64_MIN;
}

Test(vaas_backend, weight_of_a_label)
{
    static const struct {
        const char *key, *value;
        int64_t weight;
    } rows[] = {
        {"weight:50", "tag", 50},        {"weight:0", "tag", 0},
        {"weight:-1", "tag", -1},        {"weight:50", "tags", INT64_MIN},
        {"weight:", "tag", INT64_MIN},   {"weight: 5", "tag", INT64_MIN},
        {"weight:5x", "tag", INT64_MIN}, {"weight:99999999999", "tag", INT64_MIN},
        {"weight:50", NULL, INT64_MIN},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Bulkhead__Task *task = stage_task("t");
        stage_label(task, rows[i].key, rows[i].value);
        cr_expect_eq(weight_of(task), rows[i].weight, "row %zu", i);
    }
    Bulkhead__Task *task = stage_task("t");
    stage_label(task, "weight:x", "tag");
    stage_label(task, "weight:5", "tag");
    cr_expect_eq(weight_of(task), INT64_MIN, "only the first counts");
}

Test(vaas_backend, weight_of_the_environment_wins)
{
    Bulkhead__Task *task = stage_task("t");
    stage_label(task, "weight:50", "tag");
    set_variable(&task->command, "VAAS_INITIAL_WEIGHT", "15");
    cr_expect_eq(weight_of(task), 15);
    task = stage_task("t");
    stage_label(task, "weight:50", "tag");
    set_variable(&task->command, "VAAS_INITIAL_WEIGHT", "many");
    cr_expect_eq(weight_of(task), 50);
    task = stage_task("t");
    set_variable(&task->executor_command, "VAAS_INITIAL_WEIGHT", "15");
    cr_expect_eq(weight_of(task), 15, "the task's environment where it has no command");
    task = stage_task("t");
    set_variable(&task->command, "OTHER", "1");
    set_variable(&task->executor_command, "VAAS_INITIAL_WEIGHT", "15");
    cr_expect_eq(weight_of(task), INT64_MIN, "the executor's variables are not the task's");
}

Test(vaas_backend, canary)
{
    static const struct {
        const char *value;
        bool canary;
    } rows[] = {{"true", true}, {"tag", true}, {"", false}, {NULL, false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Bulkhead__Task *task = stage_task("t");
        stage_label(task, "canary", rows[i].value);
        cr_expect_eq(vaas_traits_make(task).canary, rows[i].canary, "row %zu", i);
        bulkhead__task__free_unpacked(task, NULL);
    }
}

/* --- JSON --- */

Test(vaas_backend, body)
{
    static char name[] = "First \"dc\"", symbol[] = "dc1", uri[] = "/api/v0.1/dc/1/";
    struct vaas_backend backend = {.director_id = 456, .port = 8080, .address = "10.1.2.3", .director = "d1"};
    struct vaas_dc dc = {.id = 1, .name = name, .symbol = symbol, .resource_uri = uri};
    struct vaas_traits traits = {.has_weight = true, .weight = 0, .canary = true};
    char *json = NULL;
    cr_assert_eq(vaas_backend_json(&backend, &traits, &dc, &json), 0);
    cr_expect_str_eq(json,
                     "{\"address\":\"10.1.2.3\",\"director\":\"/api/v0.1/director/456/\",\"dc\":{\"id\":1,"
                     "\"name\":\"First \\\"dc\\\"\",\"resource_uri\":\"/api/v0.1/dc/1/\",\"symbol\":\"dc1\"},"
                     "\"port\":8080,\"inherit_time_profile\":true,\"weight\":0,\"tags\":[\"canary\"]}");
    free(json);
    traits = (struct vaas_traits){0};
    dc.name = NULL;
    cr_assert_eq(vaas_backend_json(&backend, &traits, &dc, &json), 0);
    cr_expect_str_eq(json,
                     "{\"address\":\"10.1.2.3\",\"director\":\"/api/v0.1/director/456/\",\"dc\":{\"id\":1,"
                     "\"resource_uri\":\"/api/v0.1/dc/1/\",\"symbol\":\"dc1\"},"
                     "\"port\":8080,\"inherit_time_profile\":true}");
    free(json);
}

/* --- keys --- */

Test(vaas_backend, keys_come_back)
{
    static const struct vaas_backend backends[] = {
        {.id = 0, .director_id = 4, .port = 31000, .address = "10.1.2.3", .director = "d 1/%\xc3\xbc="},
        {.id = INT64_MAX,
         .director_id = INT64_MAX,
         .port = UINT32_MAX,
         .address = "2001:db8::7",
         .director = "x"},
    };
    static const char *const keys[] = {
        "1 backend=0 director=4 port=31000 address=10.1.2.3 name=d%201%2F%25%C3%BC%3D",
        "1 backend=9223372036854775807 director=9223372036854775807 port=4294967295 address=2001:db8::7 "
        "name=x",
    };
    for (size_t i = 0; i < 2; i++) {
        char key[VAAS_KEY_MAX];
        struct vaas_backend backend;
        cr_assert_eq(vaas_key_write(&backends[i], key), 0);
        cr_expect_str_eq(key, keys[i]);
        cr_assert_eq(vaas_key_read(key, &backend), 0);
        cr_expect_eq(backend.id, backends[i].id);
        cr_expect_eq(backend.director_id, backends[i].director_id);
        cr_expect_eq(backend.port, backends[i].port);
        cr_expect_str_eq(backend.address, backends[i].address);
        cr_expect_str_eq(backend.director, backends[i].director);
    }
}

Test(vaas_backend, the_longest_key_comes_back)
{
    struct vaas_backend backend = {.id = INT64_MAX, .director_id = INT64_MAX, .port = UINT32_MAX};
    struct vaas_backend read;
    char key[VAAS_KEY_MAX];
    memset(backend.director, ' ', VAAS_NAME_MAX);
    snprintf(backend.address, sizeof(backend.address), "%s", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255");
    cr_assert_eq(vaas_key_write(&backend, key), 0);
    cr_assert_eq(vaas_key_read(key, &read), 0);
    cr_expect_str_eq(read.director, backend.director);
}

Test(vaas_backend, keys_of_another_form_are_refused)
{
    static const char *const keys[] = {
        "",
        "1",
        "2 backend=0 director=4 port=1 address=10.1.2.3 name=d",
        "1 backend=-1 director=4 port=1 address=10.1.2.3 name=d",
        "1 backend=0 director=0 port=1 address=10.1.2.3 name=d",
        "1 backend=0 director=4 port=4294967296 address=10.1.2.3 name=d",
        "1 backend=0x1 director=4 port=1 address=10.1.2.3 name=d",
        "1 backend=99999999999999999999 director=4 port=1 address=10.1.2.3 name=d",
        "1 backend=0 director=4 port=1 address=host name=d",
        "1 backend=0 director=4 port=1 address=10.1.2.3",
        "1 backend=0 director=4 port=1 address=10.1.2.3 name=",
        "1 backend=0 director=4 port=1 address=10.1.2.3 name=d more",
        "1 backend=0 director=4 port=1 address=10.1.2.3 name=d%",
        "1 backend=0 director=4 port=1 address=10.1.2.3 name=d%2",
        "1 backend=0 director=4 port=1 address=10.1.2.3 name=d%zz",
        "1 backend=0 director=4 port=1 address=10.1.2.3 name=d%00",
        "1 director=4 backend=0 port=1 address=10.1.2.3 name=d",
    };
    struct vaas_backend backend;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        cr_expect_eq(vaas_key_read(keys[i], &backend), -EINVAL, "%s", keys[i]);
}
