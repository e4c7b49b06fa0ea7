/* How devagent reads and dresses tasks: JSON by descriptor, with errors that name the place; Marathon's
 * command; durations as an agent prints them. */
#include "tests/devagent/agent.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

Test(devagent_task, reads_every_kind_of_field)
{
    static const char json[] =
        "{\"name\": \"n\", \"task_id\": {\"value\": \"t\"}, \"data\": \"aGVsbG8=\","
        " \"command\": {\"shell\": false, \"value\": \"/bin/echo\", \"arguments\": [\"echo\", \"a b\"]},"
        " \"kill_policy\": {\"grace_period\": {\"nanoseconds\": \"2500000000\"}},"
        " \"resources\": [{\"name\": \"ports\", \"type\": \"RANGES\", \"ranges\": {\"range\": [{\"begin\": "
        "1, \"end\": 2}]}}],"
        " \"health_check\": {\"type\": \"HTTP\", \"http\": {\"port\": 80}, \"interval_seconds\": 0.5, "
        "\"timeout_seconds\": 3},"
        " \"labels\": null}";
    Mesos__V1__TaskInfo *task;
    char *error = NULL;
    cr_assert_eq(devagent_parse_task(json, &task, &error), 0, "%s", error);
    cr_expect_str_eq(task->name, "n");
    cr_expect_str_eq(task->task_id->value, "t");
    cr_assert_eq(task->data.len, 5);
    cr_expect_arr_eq(task->data.data, "hello", 5);
    cr_expect(task->command->has_shell && !task->command->shell);
    cr_assert_eq(task->command->n_arguments, 2);
    cr_expect_str_eq(task->command->arguments[1], "a b");
    cr_expect_eq(task->kill_policy->grace_period->nanoseconds, 2500000000);
    cr_expect_eq(task->resources[0]->type, MESOS__V1__VALUE__TYPE__RANGES);
    cr_expect_eq(task->resources[0]->ranges->range[0]->end, 2);
    cr_expect_eq(task->health_check->interval_seconds, 0.5);
    cr_expect_eq(task->health_check->timeout_seconds, 3);
    cr_expect_eq(task->health_check->http->port, 80);
    cr_expect_null(task->labels);
    mesos__v1__task_info__free_unpacked(task, NULL);
}

Test(devagent_task, names_the_place_and_what_is_accepted)
{
    static const struct {
        const char *json, *words[2];
    } cases[] = {
        {"{\"nam\": 1}", {"TaskInfo: ", "task_id"}},
        {"{\"command\": {\"vlue\": \"x\"}}", {"TaskInfo.command: there is no field \"vlue\"", "arguments"}},
        {"{\"command\": \"x\"}", {"TaskInfo.command: ", "an object"}},
        {"{\"resources\": [{\"name\": \"a\"}, {\"name\": 1}]}", {"TaskInfo.resources[1].name", "a string"}},
        {"{\"resources\": {}}", {"TaskInfo.resources: ", "a list"}},
        {"{\"health_check\": {\"type\": \"HTP\"}}", {"TaskInfo.health_check.type", "\"TCP\""}},
        {"{\"data\": \"a?b=\"}", {"TaskInfo.data", "base64"}},
        {"{\"command\": {\"shell\": \"yes\"}}", {"TaskInfo.command.shell", "true or false"}},
        {"{\"health_check\": {\"http\": {\"port\": -1}}}",
         {"TaskInfo.health_check.http.port", "not negative"}},
        {"{\n\"name\": \"a\",\n}", {"line 3", ""}},
        {"{} x", {"line 1", ""}},
        {"", {"line 1", ""}},
        {"[]", {"TaskInfo: ", "an object"}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Mesos__V1__TaskInfo *task;
        char *error = NULL;
        cr_assert_eq(devagent_parse_task(cases[i].json, &task, &error), -EINVAL, "%s", cases[i].json);
        for (size_t k = 0; k < 2; k++)
            cr_expect_not_null(strstr(error, cases[i].words[k]), "\"%s\" is not in: %s", cases[i].words[k],
                               error);
        free(error);
    }
}

Test(devagent_task, dresses_a_task_as_marathon_does)
{
    static const char json[] = "{\"task_id\": {\"value\": \"app.1\"}, \"command\": {\"value\": \"sleep 5\","
                               " \"environment\": {\"variables\": [{\"name\": \"A\", \"value\": \"b\"}]}}}";
    Mesos__V1__TaskInfo *task;
    struct devagent_marathon *marathon;
    cr_assert_eq(devagent_parse_task(json, &task, NULL), 0);
    cr_assert_eq(devagent_marathon_new(task, "/opt/x", &marathon), 0);
    cr_expect_str_eq(marathon->command, "chmod ug+rx '/opt/x' && exec '/opt/x' sleep 5");
    cr_expect_str_eq(marathon->executor_id, "marathon-app.1");
    cr_expect_str_eq(marathon->environment[0], "A=b");
    cr_expect_str_eq(marathon->environment[1], "MESOS_TASK_ID=app.1");
    cr_expect_null(marathon->task->command);
    cr_expect_str_eq(marathon->task->executor->command->value, marathon->command);
    cr_expect_str_eq(task->command->value, "sleep 5", "the given task is untouched");
    devagent_marathon_free(marathon);
    free(task->command->value);
    task->command->value = strdup("");
    mesos__v1__command_info__free_unpacked(task->command, NULL);
    task->command = NULL;
    cr_expect_eq(devagent_marathon_new(task, "/opt/x", &marathon), -EINVAL);
    mesos__v1__task_info__free_unpacked(task, NULL);
}

Test(devagent_task, prints_durations_as_an_agent)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0ms"},
                 {500, "500ms"},
                 {1500, "1500ms"},
                 {5000, "5secs"},
                 {90000, "90secs"},
                 {900000, "15mins"},
                 {5400000, "90mins"},
                 {7200000, "2hrs"},
                 {86400000, "1days"},
                 {604800000, "1weeks"},
                 {90500, "1.50833333333333mins"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = duration_print(cases[i].ms);
        cr_expect_str_eq(text, cases[i].text);
        free(text);
    }
}

Test(devagent_task, encodes_and_decodes_base64)
{
    static const char *const words[] = {"", "a", "ab", "abc", "abcd", "\xff\xfe\xfd~"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        char *text = base64url_encode(words[i], strlen(words[i]));
        uint8_t *data;
        size_t len;
        cr_assert_eq(base64_decode(text, &data, &len), 0);
        cr_assert_eq(len, strlen(words[i]));
        cr_expect(memcmp(data, words[i], len) == 0);
        free(data);
        free(text);
    }
    uint8_t *data;
    size_t len;
    cr_expect_eq(base64_decode("abcde", &data, &len), -EINVAL);
    cr_expect_eq(base64_decode("ab=c", &data, &len), -EINVAL);
    cr_expect_eq(base64_decode("a b=", &data, &len), -EINVAL);
}
