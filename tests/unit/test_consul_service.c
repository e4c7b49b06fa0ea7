/* What a task is in Consul: names, ids, ports and tags for every form of labels, and the keys of records. */
#include "hookd/consul_service.h"

#include "tests/unit/hook_stage.h"

/* All services as text: "name id port [tag tag]" a line. A static buffer. */
static const char *story(const struct config *config, const Bulkhead__Task *task)
{
    static char text[8192];
    struct consul_services services;
    size_t used = 0;
    cr_assert_eq(consul_services_make(config, task, &services), 0);
    text[0] = '\0';
    if (services.count == 0)
        snprintf(text, sizeof(text), "none: %s", services.skipped);
    for (size_t i = 0; i < services.count; i++) {
        const struct consul_service *service = &services.items[i];
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s %s %u [", service->name, service->id,
                                 (unsigned)service->port);
        for (size_t k = 0; k < service->tag_count; k++)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", k > 0 ? "|" : "",
                                     service->tags[k]);
        used += (size_t)snprintf(text + used, sizeof(text) - used, "]\n");
    }
    consul_services_clear(&services);
    return text;
}

static void expect(Bulkhead__Task *task, const char *expected)
{
    struct config *config = stage_config(NULL, NULL);
    cr_expect_str_eq(story(config, task), expected, "%s", story(config, task));
    config_free(config);
    bulkhead__task__free_unpacked(task, NULL);
}

static Bulkhead__Task *labelled(const char *task_id, const char *consul)
{
    Bulkhead__Task *task = stage_task(task_id);
    stage_label(task, "consul", consul);
    return task;
}

Test(consul_service, the_first_port_where_none_is_labelled)
{
    Bulkhead__Task *task = labelled("taskID", "web");
    stage_label(task, "metrics", "tag");
    stage_label(task, "other", "tags");
    stage_label(task, "extras", "tag");
    stage_port(task, 666, NULL, "x", "tag", NULL);
    stage_port(task, 997, NULL, NULL);
    expect(task, "web taskID_web_666 666 [metrics|extras|marathon|marathon-task:taskID]\n");
}

Test(consul_service, only_labelled_ports_where_one_is)
{
    Bulkhead__Task *task = labelled("taskID", "web");
    stage_port(task, 998, NULL, "consul", "web-secured", NULL);
    stage_port(task, 666, NULL, NULL);
    stage_port(task, 997, NULL, "consul", "web", NULL);
    expect(task, "web-secured taskID_web-secured_998 998 [marathon|marathon-task:taskID]\n"
                 "web taskID_web_997 997 [marathon|marathon-task:taskID]\n");
}

Test(consul_service, several_names_and_selectors)
{
    Bulkhead__Task *task = labelled("taskID", "ignored");
    stage_label(task, "metrics", "tag");
    stage_port(task, 998, NULL, "consul", "web,web-secured", "secure", "tag:web-secured", "insecure",
               "tag:web", "common", "tag", "colon", "tag:web:more", "nobody", "tag:", "no", "tagged", "none",
               NULL, NULL);
    expect(task,
           "web taskID_web_998 998 [insecure|common|colon|metrics|marathon|marathon-task:taskID]\n"
           "web-secured taskID_web-secured_998 998 [secure|common|metrics|marathon|marathon-task:taskID]\n");
}

Test(consul_service, the_order_of_tags)
{
    Bulkhead__Task *task = stage_task("t.1");
    stage_label(task, "z", "tag");
    stage_label(task, "consul", "web");
    stage_label(task, "a", "tag");
    stage_port(task, 1, NULL, "y", "tag", "consul", "web", "b", "tag", NULL);
    struct config *config = stage_config("CONSUL_GLOBAL_TAG", "prod", NULL);
    cr_expect_str_eq(story(config, task), "web t.1_web_1 1 [y|b|z|a|prod|marathon-task:t.1]\n");
    config_free(config);
    bulkhead__task__free_unpacked(task, NULL);
}

Test(consul_service, placeholders)
{
    Bulkhead__Task *task = labelled("taskId", "web");
    stage_label(task, "service-port:{port:service}", "tag");
    stage_port(task, 655, "admin", "consul", "web-admin", "admin", "tag", NULL);
    stage_port(task, 766, NULL, "consul", "web", "{port:admin}-{port:service}{port:admin}", "tag",
               "{port:unknown} is not replaced", "tag", "{port:}", "tag", "{port:admin", "tag", NULL);
    stage_port(task, 877, "service", NULL);
    stage_port(task, 654, "twice", NULL);
    expect(task, "web-admin taskId_web-admin_655 655 [admin|service-port:877|marathon|marathon-task:taskId]\n"
                 "web taskId_web_766 766 [655-877655|{port:unknown} is not replaced|{port:}|{port:admin|"
                 "service-port:877|marathon|marathon-task:taskId]\n");
}

Test(consul_service, a_port_name_that_is_there_twice_means_the_last)
{
    Bulkhead__Task *task = labelled("t", "web");
    stage_label(task, "{port:p}", "tag");
    stage_port(task, 4294967295U, "p", NULL);
    stage_port(task, 2, "p", NULL);
    stage_port(task, 3, "pp", NULL);
    expect(task, "web t_web_4294967295 4294967295 [2|marathon|marathon-task:t]\n");
}

Test(consul_service, names_of_task_ids)
{
    static const struct {
        const char *task_id, *name;
    } rows[] = {
        {"taskID", "taskID"},
        {"/rootGroup/subGroup/subSubGroup/name", "rootGroup-subGroup-subSubGroup-name"},
        {"com.examle_examle-app.4646218e-a9b7-11e7-938f-02c89eb9127", "com.examle.examle-app"},
        {" \t//a/b.c// \n", "a-b"},
        {"a_b", "a"},
        {"/ a /", " a "},
        {".x", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *name = consul_name_from_task_id(rows[i].task_id);
        cr_expect_str_eq(name, rows[i].name, "%s: %s", rows[i].task_id, name);
        free(name);
    }
}

Test(consul_service, true_and_nothing_stand_for_the_task_id)
{
    static const char *const values[] = {"true", "", NULL};
    for (size_t i = 0; i < 3; i++) {
        Bulkhead__Task *task = labelled("app_web.instance-1", values[i]);
        stage_port(task, 80, NULL, NULL);
        expect(task,
               "app.web app_web.instance-1_app.web_80 80 [marathon|marathon-task:app_web.instance-1]\n");
    }
    Bulkhead__Task *task = labelled("a.1", "True");
    stage_port(task, 80, NULL, NULL);
    expect(task, "True a.1_True_80 80 [marathon|marathon-task:a.1]\n");
}

Test(consul_service, nothing_to_register_is_said)
{
    expect(labelled("t.1", "web"), "none: the task has no ports");
    Bulkhead__Task *task = labelled(".1", "true");
    stage_port(task, 80, NULL, NULL);
    expect(task, "none: no service name can be made of the task's id");
}

Test(consul_service, empty_names_of_ports_are_passed_over)
{
    Bulkhead__Task *task = labelled("t.1", "web");
    stage_port(task, 80, NULL, "consul", ",a,,b,", NULL);
    stage_port(task, 81, NULL, "consul", "", NULL);
    expect(task, "a t.1_a_80 80 [marathon|marathon-task:t.1]\nb t.1_b_80 80 [marathon|marathon-task:t.1]\n");
    task = labelled("t.1", "web");
    stage_port(task, 80, NULL, "consul", "", NULL);
    expect(task, "web t.1_web_80 80 [marathon|marathon-task:t.1]\n");
}

/* Each of these, registered with Consul 1.8.7 as it is, cannot be deregistered. */
Test(consul_service, ids_that_could_not_be_found_again_are_changed)
{
    static const struct {
        const char *id, *mended; /* NULL: stays */
    } rows[] = {
        {"plain_web_80", NULL},
        {"a/b_web/c_80", NULL},
        {"a b?c#d%25+&\"<>\\_80", NULL},
        {"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80_80", NULL},
        {"a..b/.c/d./..e_80", NULL},
        {"/a_80", "_a_80"},
        {"//a_80", "_/a_80"},
        {"a//b///c_80", "a/_b/_/c_80"},
        {"a/./b/../c_80", "a/_/b/__/c_80"},
        {"./a", "_/a"},
        {"a/..", "a/__"},
        {"/../a", "_../a"},
        {".", "_"},
        {"a\tb\nc\x7f\x01_80", "a_b_c___80"},
        {"\xc3", "_"},
        {"a\xff\xc0\xaf\xed\xa0\x80z", "a______z"},
        {"\xf4\x90\x80\x80", "____"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char id[64];
        snprintf(id, sizeof(id), "%s", rows[i].id);
        cr_expect_eq(consul_id_mend(id), rows[i].mended != NULL, "%zu", i);
        cr_expect_str_eq(id, rows[i].mended != NULL ? rows[i].mended : rows[i].id, "%zu: %s", i, id);
        cr_expect_not(consul_id_mend(id), "%zu: once is enough", i);
    }
}

Test(consul_service, a_changed_id_leaves_name_and_tags_alone)
{
    Bulkhead__Task *task = labelled("/group/app", "a//b");
    stage_port(task, 80, NULL, NULL);
    expect(task, "a//b _group/app_a/_b_80 80 [marathon|marathon-task:/group/app]\n");
}

Test(consul_service, an_id_that_is_too_long_is_refused)
{
    char id[CONSUL_ID_MAX + 1];
    struct consul_services services;
    struct config *config = stage_config(NULL, NULL);
    memset(id, 'a', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    Bulkhead__Task *task = labelled(id, "web");
    stage_port(task, 80, NULL, NULL);
    cr_assert_eq(consul_services_make(config, task, &services), -EINVAL);
    bulkhead__task__free_unpacked(task, NULL);
    config_free(config);
}

Test(consul_service, keys_come_back)
{
    static const struct {
        const char *name_space, *id, *key, *escaped;
    } rows[] = {
        {NULL, "t_web_80", "1 ns= t_web_80", ""},
        {"", "t_web_80", "1 ns= t_web_80", ""},
        {"team a/b", " id with  blanks", "1 ns=team%20a%2Fb  id with  blanks", "team%20a%2Fb"},
        {"prod", "\xc3\xbc", "1 ns=prod \xc3\xbc", "prod"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char key[CONSUL_KEY_MAX];
        char escaped[3 * 255 + 1];
        const char *id = NULL;
        cr_assert_eq(consul_key_write(rows[i].name_space, rows[i].id, key), 0);
        cr_expect_str_eq(key, rows[i].key);
        cr_assert_eq(consul_key_read(key, escaped, &id), 0);
        cr_expect_str_eq(id, rows[i].id);
        cr_expect_str_eq(escaped, rows[i].escaped);
    }
}

Test(consul_service, keys_of_another_form_are_refused)
{
    static const char *const keys[] = {
        "", "1", "1 ", "1 ns=", "1 ns= ", "2 ns= id", "1 ns=a/b id", "1 ns=a?b id", "ns= id"};
    char *longest = malloc(CONSUL_KEY_MAX + 1);
    char escaped[3 * 255 + 1];
    const char *id = NULL;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        cr_expect_eq(consul_key_read(keys[i], escaped, &id), -EINVAL, "%s", keys[i]);
    memset(longest, 'a', CONSUL_KEY_MAX);
    longest[CONSUL_KEY_MAX] = '\0';
    memcpy(longest, "1 ns= ", 6);
    cr_expect_eq(consul_key_read(longest, escaped, &id), -EINVAL);
    longest[900] = ' ';
    memcpy(longest, "1 ns=", 5);
    longest[5] = 'a';
    cr_expect_eq(consul_key_read(longest, escaped, &id), -EINVAL);
    free(longest);
}

Test(consul_service, a_key_that_is_too_long_is_not_written)
{
    char key[CONSUL_KEY_MAX];
    char *id = malloc(CONSUL_ID_MAX + 2);
    memset(id, 'a', CONSUL_ID_MAX + 1);
    id[CONSUL_ID_MAX + 1] = '\0';
    cr_expect_eq(consul_key_write(NULL, id, key), -ENAMETOOLONG);
    id[CONSUL_ID_MAX] = '\0';
    cr_expect_eq(consul_key_write(NULL, id, key), 0);
    free(id);
}
