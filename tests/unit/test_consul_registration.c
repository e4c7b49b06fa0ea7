/* The body of a registration, byte for byte: it has nothing that Consul 1.8 does not know. */
#include "hookd/consul_registration.h"

#include "common/duration.h"
#include "tests/unit/hook_stage.h"

/* The JSON of a task with the one port 31000 and this check; frees config and task. A static buffer. */
static const char *json_of(struct config *config, Bulkhead__Task *task)
{
    static char text[4096];
    struct consul_services services;
    char *json = NULL;
    stage_label(task, "consul", "web");
    stage_port(task, 31000, NULL, NULL);
    cr_assert_eq(consul_services_make(config, task, &services), 0);
    cr_assert_eq(consul_registration_make(config, task, &services.items[0], &json), 0);
    snprintf(text, sizeof(text), "%s", json);
    free(json);
    consul_services_clear(&services);
    config_free(config);
    bulkhead__task__free_unpacked(task, NULL);
    return text;
}

#define BEGIN                                                                                                \
    "{\"ID\":\"t.1_web_31000\",\"Name\":\"web\",\"Tags\":[\"marathon\",\"marathon-task:t.1\"],\"Port\":"     \
    "31000,"
#define ADDRESS "\"Address\":\"10.1.2.3\","
#define OVERRIDE "\"EnableTagOverride\":false"
#define expect(config, task, expected)                                                                       \
    do {                                                                                                     \
        const char *json = json_of(config, task);                                                            \
        cr_expect_str_eq(json, expected, "%s", json);                                                        \
    } while (0)

Test(consul_registration, without_a_check_and_without_an_address)
{
    expect(stage_config(NULL, NULL), stage_task("t.1"), BEGIN OVERRIDE "}");
}

Test(consul_registration, what_is_no_address_is_not_registered)
{
    static const char *const texts[] = {"<nil>", "0.0.0.0", "::", "example.com", "10.1.2.3:80", "10.1.2"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect(stage_config("CLOUD_PUBLIC_IP", texts[i], NULL), stage_task("t.1"), BEGIN OVERRIDE "}");
    expect(stage_config("CLOUD_PUBLIC_IP", "2001:DB8::0:7", NULL), stage_task("t.1"),
           BEGIN "\"Address\":\"2001:db8::7\"," OVERRIDE "}");
}

static Bulkhead__Task *with_http(const char *scheme, const char *path)
{
    Bulkhead__Task *task = stage_task("t.1");
    Bulkhead__Check *check =
        stage_check(task, BULKHEAD__CHECK__TYPE__HTTP, 5 * DURATION_SECOND, 1500 * DURATION_MILLISECOND);
    check->scheme = scheme != NULL ? strdup(scheme) : NULL;
    check->path = path != NULL ? strdup(path) : NULL;
    return task;
}

Test(consul_registration, http_check)
{
    expect(stage_config("CLOUD_PUBLIC_IP", "10.1.2.3", NULL), with_http(NULL, "/ping"),
           BEGIN ADDRESS OVERRIDE ",\"Check\":{\"HTTP\":\"http://10.1.2.3:31000/ping\",\"Interval\":\"5s\","
                                  "\"Timeout\":\"1.5s\",\"Status\":\"passing\"}}");
    expect(stage_config(NULL, NULL), with_http("http", NULL),
           BEGIN OVERRIDE ",\"Check\":{\"HTTP\":\"http://127.0.0.1:31000\",\"Interval\":\"5s\","
                          "\"Timeout\":\"1.5s\",\"Status\":\"passing\"}}");
}

Test(consul_registration, https_check_takes_any_certificate)
{
    expect(stage_config("INITIAL_HEALTH_CHECK_STATUS", "critical", NULL), with_http("https", "ping"),
           BEGIN OVERRIDE ",\"Check\":{\"HTTP\":\"https://127.0.0.1:31000/ping\",\"TLSSkipVerify\":true,"
                          "\"Interval\":\"5s\",\"Timeout\":\"1.5s\",\"Status\":\"critical\"}}");
}

Test(consul_registration, a_path_keeps_its_query_and_loses_what_no_url_has)
{
    expect(stage_config(NULL, NULL), with_http(NULL, "/a%20b?x=1&y=\"2\" \xc3\xbc\n"),
           BEGIN OVERRIDE ",\"Check\":{\"HTTP\":\"http://127.0.0.1:31000/a%20b?x=1&y=\\\"2\\\"%20%C3%BC%0A\","
                          "\"Interval\":\"5s\",\"Timeout\":\"1.5s\",\"Status\":\"passing\"}}");
}

Test(consul_registration, tcp_check_goes_where_the_http_check_goes)
{
    Bulkhead__Task *task = stage_task("t.1");
    stage_check(task, BULKHEAD__CHECK__TYPE__TCP, 90 * DURATION_SECOND, 20 * DURATION_SECOND);
    expect(stage_config("CLOUD_PUBLIC_IP", "10.1.2.3", NULL), task,
           BEGIN ADDRESS OVERRIDE
           ",\"Check\":{\"TCP\":\"10.1.2.3:31000\",\"Interval\":\"1m30s\",\"Timeout\":\"20s\","
           "\"Status\":\"passing\"}}");
    task = stage_task("t.1");
    stage_check(task, BULKHEAD__CHECK__TYPE__TCP, DURATION_SECOND, DURATION_SECOND)->ipv6 = 1;
    expect(stage_config(NULL, NULL), task,
           BEGIN OVERRIDE ",\"Check\":{\"TCP\":\"[::1]:31000\",\"Interval\":\"1s\",\"Timeout\":\"1s\","
                          "\"Status\":\"passing\"}}");
}

/* Consul refuses an interval of 0 and takes a timeout of 0 for ten seconds. */
Test(consul_registration, no_interval_and_no_timeout)
{
    Bulkhead__Task *task = stage_task("t.1");
    stage_check(task, BULKHEAD__CHECK__TYPE__TCP, 0, 0);
    expect(stage_config(NULL, NULL), task,
           BEGIN OVERRIDE
           ",\"Check\":{\"TCP\":\"127.0.0.1:31000\",\"Interval\":\"1s\",\"Status\":\"passing\"}}");
}

Test(consul_registration, a_command_check_is_none_in_consul)
{
    Bulkhead__Task *task = stage_task("t.1");
    stage_check(task, BULKHEAD__CHECK__TYPE__COMMAND, DURATION_SECOND, DURATION_SECOND);
    expect(stage_config(NULL, NULL), task, BEGIN OVERRIDE "}");
}

Test(consul_registration, dropping_critical_services)
{
    Bulkhead__Task *task = stage_task("t.1");
    stage_check(task, BULKHEAD__CHECK__TYPE__TCP, DURATION_SECOND, DURATION_SECOND);
    expect(stage_config("ALLEGRO_EXECUTOR_CONSUL_DEREGISTER_CRITICAL_SERVICE_AFTER", "10m", NULL), task,
           BEGIN OVERRIDE ",\"Check\":{\"TCP\":\"127.0.0.1:31000\",\"Interval\":\"1s\",\"Timeout\":\"1s\","
                          "\"Status\":\"passing\",\"DeregisterCriticalServiceAfter\":\"10m\"}}");
}

Test(consul_registration, text_is_escaped)
{
    Bulkhead__Task *task = stage_task("a\"b\\c\n");
    stage_label(task, "t\"\\\t\x01/\xc3\xbc", "tag");
    expect(stage_config("CONSUL_GLOBAL_TAG", "g\"", NULL), task,
           "{\"ID\":\"a\\\"b\\\\c__web_31000\",\"Name\":\"web\",\"Tags\":[\"t\\\"\\\\\\t\\u0001/"
           "\xc3\xbc\",\"g\\\"\","
           "\"marathon-task:a\\\"b\\\\c\\n\"],\"Port\":31000," OVERRIDE "}");
}
