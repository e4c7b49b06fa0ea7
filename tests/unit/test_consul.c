/* The Consul hook as a whole, against a server that answers as told: what is recorded when, what is tried
 * again, what is said. */
#include "hookd/http_client.h"
#include "tests/unit/hook_stage.h"
#include "tests/unit/loopback.h"

enum { SHORT_MS = 400, LONG_MS = 60000 };

struct reply {
    int status;
    const char *body;
};

/* What each request is answered with; after the last, status 0: 200. Status -1: no answer at all. */
static void answer(int connection, unsigned number, const struct loopback_request *request, const void *arg)
{
    const struct reply *reply = arg;
    (void)request;
    for (unsigned i = 0; i < number && reply->status != 0; i++)
        reply++;
    while (reply->status < 0)
        pause();
    loopback_answer(connection, reply->status != 0 ? reply->status : 200, "",
                    reply->status != 0 ? reply->body : "");
}

struct stage {
    struct loopback server;
    struct config *config;
    Bulkhead__Task *task;
};

/* A task t.1 with the services a and b on port 80. */
static void begin(struct stage *stage, const struct reply *replies)
{
    stage->server = loopback_start(answer, replies);
    stage->config = stage_config("CONSUL_HTTP_ADDR", loopback_url(&stage->server, ""), NULL);
    stage->task = stage_task("t.1");
    stage_label(stage->task, "consul", "true");
    stage_port(stage->task, 80, NULL, "consul", "a,b", NULL);
    cr_assert_eq(http_client_init(), 0);
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
    return stage_run(&hook_consul, stage->config, stage->task, event, milliseconds);
}

#define REGISTER "PUT /v1/agent/service/register HTTP/1.1\r\n"
#define DEREGISTER(id) "PUT /v1/agent/service/deregister/" id " HTTP/1.1\r\n"

Test(consul, registers_and_deregisters)
{
    static const struct reply replies[] = {{0, NULL}};
    struct stage stage;
    begin(&stage, replies);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%s", stage_text);
    cr_expect_str_eq(stage_text, "registered t.1_a_80 t.1_b_80");
    cr_expect_str_eq(stage_story(), "intended 1 ns= t.1_a_80\ndone 1 ns= t.1_a_80\n"
                                    "intended 1 ns= t.1_b_80\ndone 1 ns= t.1_b_80\n");
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%s", stage_text);
    cr_expect_str_eq(stage_text, "deregistered t.1_a_80 t.1_b_80");
    cr_expect_str_eq(stage_records.items[4].key, "1 ns= t.1_a_80");
    cr_expect_eq(stage_records.items[5].state, BULKHEAD__HOOK_RECORD__STATE__UNDONE);
    cr_expect_eq(stage.server.heard->count, 4);
    cr_expect(loopback_heard_line(&stage.server, 1, REGISTER));
    cr_expect(loopback_heard_line(&stage.server, 2, DEREGISTER("t.1_a_80")));
    cr_expect(loopback_heard_line(&stage.server, 3, DEREGISTER("t.1_b_80")));
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0);
    cr_expect_str_eq(stage_text, "nothing to deregister");
    cr_expect_eq(stage.server.heard->count, 4);
    end(&stage);
}

Test(consul, nothing_leaves_that_is_not_recorded)
{
    static const struct reply replies[] = {{0, NULL}};
    struct stage stage;
    begin(&stage, replies);
    stage_records.error = -EPIPE;
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), -EPIPE);
    cr_expect_eq(stage.server.heard->count, 0);
    end(&stage);
}

Test(consul, tries_again_what_is_worth_it)
{
    static const struct reply replies[] = {{500, "No cluster leader"}, {429, ""}, {0, NULL}};
    struct stage stage;
    begin(&stage, replies);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), 0, "%s", stage_text);
    cr_expect_eq(stage.server.heard->count, 4);
    end(&stage);
}

Test(consul, gives_up_at_once_where_no_attempt_would_be_better)
{
    static const struct reply replies[] = {{200, ""}, {400, "Invalid check"}, {0, NULL}};
    struct stage stage;
    begin(&stage, replies);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, LONG_MS), -EBADMSG);
    cr_expect_str_eq(stage_text, "cannot register t.1_b_80: Consul answers 400: Invalid check");
    cr_expect_eq(stage.server.heard->count, 2);
    cr_expect_str_eq(stage_story(),
                     "intended 1 ns= t.1_a_80\ndone 1 ns= t.1_a_80\nintended 1 ns= t.1_b_80\n");
    end(&stage);
}

Test(consul, gives_up_at_the_deadline)
{
    static const struct reply replies[] = {{-1, NULL}};
    struct stage stage;
    begin(&stage, replies);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, SHORT_MS), -ETIMEDOUT);
    cr_expect_str_eq(stage_text, "cannot register t.1_a_80: Consul: no answer in time");
    cr_expect_str_eq(stage_story(), "intended 1 ns= t.1_a_80\n");
    end(&stage);
}

/* 403 is not asked again within the shortest wait for a token, which is longer than this deadline. */
Test(consul, a_token_that_is_not_accepted_is_not_tried_in_haste)
{
    static const struct reply replies[] = {{403, "ACL not found"}, {403, "ACL not found"}, {0, NULL}};
    struct stage stage;
    begin(&stage, replies);
    cr_assert_eq(run(&stage, STAGE_HEALTHY, 1500), -EACCES);
    cr_expect_str_eq(stage_text,
                     "cannot register t.1_a_80: Consul answers 403: ACL not found (no token is set)");
    cr_expect_eq(stage.server.heard->count, 1);
    end(&stage);
}

Test(consul, without_ports_there_is_nothing_to_do)
{
    struct config *config = stage_config("CONSUL_HTTP_ADDR", "127.0.0.1:1", NULL);
    Bulkhead__Task *task = stage_task("t.1");
    stage_label(task, "consul", "web");
    cr_assert_eq(stage_run(&hook_consul, config, task, STAGE_HEALTHY, LONG_MS), 0);
    cr_expect_str_eq(stage_text, "nothing to register: the task has no ports");
    cr_assert_eq(stage_run(&hook_consul, config, task, STAGE_TERMINATE, LONG_MS), 0);
    config_free(config);
    bulkhead__task__free_unpacked(task, NULL);
}

/* --- undoing what another worker did --- */

static void keep(const char *key, Bulkhead__HookRecord__State state)
{
    stage_records.items[stage_records.count++] = (struct stage_record){strdup(key), state};
}

#define INTENDED BULKHEAD__HOOK_RECORD__STATE__INTENDED
#define DONE BULKHEAD__HOOK_RECORD__STATE__DONE

Test(consul, a_registration_that_was_cut_off_is_undone_twice)
{
    static const struct reply replies[] = {{0, NULL}};
    struct stage stage;
    begin(&stage, replies);
    keep("1 ns= t.1_a_80", INTENDED);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0);
    cr_expect_eq(stage.server.heard->count, 2);
    cr_expect(loopback_heard_line(&stage.server, 0, DEREGISTER("t.1_a_80")));
    cr_expect(loopback_heard_line(&stage.server, 1, DEREGISTER("t.1_a_80")));
    cr_expect_str_eq(stage_story(), "intended 1 ns= t.1_a_80\nundone 1 ns= t.1_a_80\n");
    end(&stage);
}

/* Not what the task's labels would make now. */
Test(consul, the_records_count)
{
    static const struct reply replies[] = {{404, ""}, {500, "Unknown service {\"x\" {}}"}, {0, NULL}};
    struct stage stage;
    begin(&stage, replies);
    keep("1 ns=team%20a old/id", DONE);
    keep("1 ns= other", DONE);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0);
    cr_expect_str_eq(stage_text, "deregistered old/id other");
    cr_expect(loopback_heard_line(&stage.server, 0,
                                  "PUT /v1/agent/service/deregister/old%2Fid?ns=team%20a HTTP/1.1\r\n"));
    cr_expect(loopback_heard_line(&stage.server, 1, DEREGISTER("other")));
    end(&stage);
}

Test(consul, one_that_fails_keeps_no_other_registered)
{
    static const struct reply replies[] = {{500, "boom"}, {200, ""}, {500, "boom"}, {0, NULL}};
    struct stage stage;
    begin(&stage, replies);
    keep("1 ns= a", DONE);
    keep("1 ns= b", DONE);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), 0, "%s", stage_text);
    cr_expect_eq(stage.server.heard->count, 4);
    cr_expect(loopback_heard_line(&stage.server, 1, DEREGISTER("b")));
    cr_expect(loopback_heard_line(&stage.server, 2, DEREGISTER("a")));
    cr_expect(loopback_heard_line(&stage.server, 3, DEREGISTER("a")));
    end(&stage);
}

Test(consul, what_is_left_behind_is_named)
{
    static const struct reply replies[] = {{200, ""}, {-1, NULL}};
    struct stage stage;
    begin(&stage, replies);
    keep("1 ns= a", DONE);
    keep("1 ns= b", DONE);
    keep("1 ns= c", DONE);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, SHORT_MS), -ETIMEDOUT);
    cr_expect_str_eq(stage_text, "left behind in Consul: b c: Consul: no answer in time", "%s", stage_text);
    cr_expect_str_eq(stage_story(), "done 1 ns= a\ndone 1 ns= b\ndone 1 ns= c\nundone 1 ns= a\n");
    end(&stage);
}

Test(consul, what_is_left_behind_is_named_when_consul_cannot_even_be_asked)
{
    struct config *config = stage_config("CONSUL_HTTP_TOKEN_FILE", "/nonexistent", NULL);
    Bulkhead__Task *task = stage_task("t.1");
    keep("1 ns= a", DONE);
    cr_assert_eq(stage_run(&hook_consul, config, task, STAGE_TERMINATE, LONG_MS), -EACCES);
    cr_expect_eq(strncmp(stage_text, "left behind in Consul: a: the token file", 40), 0, "%s", stage_text);
    config_free(config);
    bulkhead__task__free_unpacked(task, NULL);
    stage_forget();
}

Test(consul, refused_for_good_is_not_tried_again)
{
    static const struct reply replies[] = {{400, "no"}, {0, NULL}};
    struct stage stage;
    begin(&stage, replies);
    keep("1 ns= a", DONE);
    cr_assert_lt(run(&stage, STAGE_TERMINATE, LONG_MS), 0);
    cr_expect_str_eq(stage_text, "left behind in Consul: a: Consul answers 400: no");
    cr_expect_eq(stage.server.heard->count, 1);
    end(&stage);
}

Test(consul, a_record_that_cannot_be_read_is_told_and_the_others_are_undone)
{
    static const struct reply replies[] = {{0, NULL}};
    struct stage stage;
    begin(&stage, replies);
    keep("nonsense", DONE);
    keep("1 ns= b", DONE);
    cr_assert_eq(run(&stage, STAGE_TERMINATE, LONG_MS), -EBADMSG);
    cr_expect_str_eq(stage_text, "1 records cannot be read: services may be left behind in Consul");
    cr_expect(loopback_heard_line(&stage.server, 0, DEREGISTER("b")));
    end(&stage);
}
