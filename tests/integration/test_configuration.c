/*
 * The settings as an operator meets them: a person's shell, values that cannot be read, both spellings, whose
 * words the arguments are, and where the secrets are afterwards.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/checks.h"

TestSuite(configuration, .timeout = 120);

enum { EXIT_BAD_SETTING = 2 };

/* ---- by hand ---- */

static const char *const nothing[] = {"PATH=/usr/bin:/bin", NULL};

Test(configuration, a_person_is_told_what_this_is)
{
    static struct by_hand result;
    run_by_hand((const char *const[]){"supervisor", NULL}, nothing, &result);
    cr_assert_eq(result.exit_code, EXIT_BAD_SETTING);
    cr_assert_str_empty(result.out);
    cr_assert_not_null(strstr(result.err, "Mesos agent"), "%s", result.err);
    cr_assert_not_null(strstr(result.err, "devagent"), "it does not say how to try it: %s", result.err);
}

Test(configuration, a_person_gets_help)
{
    static struct by_hand result;
    run_by_hand((const char *const[]){"supervisor", "--help", NULL}, nothing, &result);
    cr_assert_eq(result.exit_code, 0);
    cr_assert_str_empty(result.err);
    cr_assert_not_null(strstr(result.out, "ALLEGRO_EXECUTOR_HTTP_TIMEOUT, ALLEGRO_EXECUTOR_HTTPT_IMEOUT"));
    cr_assert_not_null(strstr(result.out, "MESOS_RECOVERY_TIMEOUT"));
    run_by_hand((const char *const[]){"supervisor", "--version", NULL}, nothing, &result);
    cr_assert_eq(result.exit_code, 0);
    cr_assert_eq(strncmp(result.out, "supervisor ", 11), 0);
}

/* One error, as a log line, with these words; the rest of what an agent sets is good. */
static void expect_refused_by_hand(const char *const environment[], const char *const words[])
{
    static struct by_hand result;
    run_by_hand((const char *const[]){"supervisor", "sleep", "100", NULL}, environment, &result);
    cr_assert_eq(result.exit_code, EXIT_BAD_SETTING, "exit code %d: %s", result.exit_code, result.err);
    cr_assert_str_empty(result.out);
    const char *bad = first_bad_log_line(result.err);
    cr_assert_null(bad, "not a log line: %s", bad);
    const char *error = strstr(result.err, "level=error");
    cr_assert_not_null(error, "%s", result.err);
    cr_assert_null(strstr(error + 1, "level=error"), "more than one error: %s", result.err);
    for (size_t i = 0; words[i] != NULL; i++)
        cr_assert_not_null(strstr(error, words[i]), "'%s' is not in: %s", words[i], result.err);
}

Test(configuration, ids_are_needed)
{
    expect_refused_by_hand(
        (const char *const[]){"MESOS_FRAMEWORK_ID=f", "MESOS_AGENT_ENDPOINT=127.0.0.1:1", NULL},
        (const char *const[]){"MESOS_EXECUTOR_ID", "missing", NULL});
    expect_refused_by_hand(
        (const char *const[]){"MESOS_EXECUTOR_ID=e", "MESOS_AGENT_ENDPOINT=127.0.0.1:1", NULL},
        (const char *const[]){"MESOS_FRAMEWORK_ID", "missing", NULL});
    expect_refused_by_hand((const char *const[]){"MESOS_EXECUTOR_ID=e", "MESOS_FRAMEWORK_ID=",
                                                 "MESOS_AGENT_ENDPOINT=127.0.0.1:1", NULL},
                           (const char *const[]){"MESOS_FRAMEWORK_ID", "missing", NULL});
}

Test(configuration, an_address_is_needed)
{
    expect_refused_by_hand((const char *const[]){"MESOS_EXECUTOR_ID=e", "MESOS_FRAMEWORK_ID=f", NULL},
                           (const char *const[]){"MESOS_AGENT_ENDPOINT", NULL});
}

/* ---- values that cannot be read ---- */

struct bad_value {
    const char *entry;    /* NAME=VALUE */
    const char *accepted; /* words of what is accepted */
    const char *shown;    /* how the value is shown; NULL: as it is */
};

/* Under an agent: it leaves before anything is started, and the agent never hears of it. */
static void expect_refused(const struct bad_value *bad)
{
    const char *const environment[] = {bad->entry, NULL};
    char name[128];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(bad->entry, "="), bad->entry);
    struct devagent_options options = agent_options();
    options.command_environment = environment;
    struct devagent *agent = agent_begin(&options);
    devagent_launch_command(agent, "t", "touch ran");
    if (devagent_wait_exit(agent, DEADLINE_MS) < 0)
        fail_with_story(agent, "%s was accepted", bad->entry);
    if (devagent_exit_code(agent) != EXIT_BAD_SETTING)
        fail_with_story(agent, "%s: exit code %d", bad->entry, devagent_exit_code(agent));
    if (devagent_call_count(agent) != 0)
        fail_with_story(agent, "%s: the agent was called", bad->entry);
    const char *shown = bad->shown != NULL ? bad->shown : strchr(bad->entry, '=') + 1;
    if (count_log(agent, "level=error") != 1 || count_log(agent, name) != 1 || count_log(agent, shown) < 1 ||
        count_log(agent, bad->accepted) < 1)
        fail_with_story(agent, "%s: not one error that names the variable, the value and '%s'", bad->entry,
                        bad->accepted);
    expect_logfmt(agent);
    agent_end(agent, EXIT_BAD_SETTING);
}

static void expect_each_refused(const struct bad_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_refused(&values[i]);
}

#define EACH(...)                                                                                            \
    static const struct bad_value values[] = {__VA_ARGS__};                                                  \
    expect_each_refused(values, sizeof(values) / sizeof(values[0]))

Test(configuration, booleans_that_are_none)
{
    EACH({"ALLEGRO_EXECUTOR_DEBUG=maybe", "true", NULL}, {"MESOS_CHECKPOINT=yes", "true", NULL},
         {"LIBPROCESS_SSL_ENABLED=2", "false", NULL}, {"SSL_ENABLED=on", "false", NULL},
         {"ALLEGRO_EXECUTOR_CONSUL_HOOK_ENABLED=nope", "false", NULL});
}

Test(configuration, go_durations_that_are_none)
{
    EACH({"ALLEGRO_EXECUTOR_HTTP_TIMEOUT=5secs", "250ms, 5s or 1m30s", NULL},
         {"ALLEGRO_EXECUTOR_HTTPT_IMEOUT=5", "250ms, 5s or 1m30s", NULL},
         {"ALLEGRO_EXECUTOR_HTTP_TIMEOUT=0s", "from 1ms", NULL},
         {"ALLEGRO_EXECUTOR_KILL_POLICY_GRACE_PERIOD=-5s", "250ms, 5s or 1m30s", NULL},
         {"ALLEGRO_EXECUTOR_STATE_UPDATE_WAIT_TIMEOUT=99999999999999h", "250ms, 5s or 1m30s", NULL},
         {"ALLEGRO_EXECUTOR_RANDOM_EXPIRATION_RANGE=3 h", "250ms, 5s or 1m30s", NULL});
}

Test(configuration, mesos_durations_that_are_none)
{
    EACH({"MESOS_RECOVERY_TIMEOUT=15m", "5secs or 1.5mins", NULL},
         {"MESOS_SUBSCRIPTION_BACKOFF_MAX=2", "5secs or 1.5mins", NULL},
         {"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=-5secs", "5secs or 1.5mins", NULL},
         {"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=5 secs", "5secs or 1.5mins", NULL});
}

Test(configuration, numbers_and_choices_that_are_none)
{
    EACH({"ALLEGRO_EXECUTOR_STATE_UPDATE_BUFFER_SIZE=many", "whole number", NULL},
         {"ALLEGRO_EXECUTOR_STATE_UPDATE_BUFFER_SIZE=-1", "whole number", NULL},
         {"ALLEGRO_EXECUTOR_STATE_UPDATE_BUFFER_SIZE=99999999999999999999", "whole number", NULL},
         {"ALLEGRO_EXECUTOR_INITIAL_HEALTH_CHECK_STATUS=ok", "passing, warning, critical", NULL});
}

/* A value with a line break and colours must not make lines, or colours, of its own. */
Test(configuration, values_are_shown_harmless)
{
    EACH({"ALLEGRO_EXECUTOR_DEBUG=x\nlevel=warning y\033[31m\"", "true", "u001b[31m"});
}

Test(configuration, addresses_and_paths_that_are_none)
{
    EACH({"MESOS_AGENT_ENDPOINT=10.0.0.1", "10.0.0.1:5051", NULL},
         {"MESOS_AGENT_ENDPOINT=10.0.0.1:99999", "10.0.0.1:5051", NULL},
         {"ALLEGRO_EXECUTOR_API_PATH=api", "slash", NULL}, {"ALLEGRO_EXECUTOR_APIP_ATH=api", "slash", NULL});
}

/* A secret is named, and not shown. */
Test(configuration, a_token_that_is_none)
{
    static const char *const environment[] = {"MESOS_EXECUTOR_AUTHENTICATION_TOKEN=swordfish\r\nX-Evil: 1",
                                              NULL};
    struct devagent_options options = agent_options();
    options.jwt = DEVAGENT_JWT_GIVEN;
    options.command_environment = environment;
    struct devagent *agent = agent_begin(&options);
    if (devagent_wait_exit(agent, 3000) < 0)
        fail_with_story(agent, "a token with a line break was accepted");
    cr_assert_eq(devagent_call_count(agent), 0);
    cr_assert_geq(count_log(agent, "MESOS_EXECUTOR_AUTHENTICATION_TOKEN"), 1);
    cr_assert_eq(count_log(agent, "swordfish"), 0);
    expect_logfmt(agent);
    agent_end(agent, EXIT_BAD_SETTING);
}

/* What hangs on telemetry alone is not worth a task. */
Test(configuration, telemetry_that_cannot_be_read_is_a_warning)
{
    static const char *const environment[] = {"ALLEGRO_EXECUTOR_GRAPHITE_PORT=http",
                                              "ALLEGRO_EXECUTOR_SERVICELOG_LOGSTASH_PROTOCOL=carrier-pigeon",
                                              "ALLEGRO_EXECUTOR_SERVICELOG_LOGSTASH_TCP_TIMEOUT=2", NULL};
    struct devagent_options options = agent_options();
    options.environment = environment;
    struct devagent *agent = agent_begin(&options);
    devagent_launch_command(agent, "t", "exit 0");
    expect_state(agent, "t", FINISHED);
    cr_assert_eq(count_log(agent, "level=warning"), 3);
    cr_assert_eq(count_log(agent, "ALLEGRO_EXECUTOR_GRAPHITE_PORT="), 1);
    cr_assert_eq(count_log(agent, "carrier-pigeon"), 1);
    cr_assert_eq(count_log(agent, "ALLEGRO_EXECUTOR_SERVICELOG_LOGSTASH_TCP_TIMEOUT="), 1);
    conversation_end(agent, 0);
}

Test(configuration, a_name_that_is_none_is_a_warning)
{
    static const char *const environment[] = {"ALLEGRO_EXECUTOR_HTTP_TIMEOUTS=5s", NULL};
    struct devagent_options options = agent_options();
    options.environment = environment;
    struct devagent *agent = agent_begin(&options);
    devagent_launch_command(agent, "t", "exit 0");
    expect_state(agent, "t", FINISHED);
    cr_assert_eq(count_log(agent, "ALLEGRO_EXECUTOR_HTTP_TIMEOUTS"), 1);
    conversation_end(agent, 0);
}

Test(configuration, empty_values_count_as_unset)
{
    static const char *const environment[] = {"ALLEGRO_EXECUTOR_DEBUG=",
                                              "ALLEGRO_EXECUTOR_HTTP_TIMEOUT=",
                                              "ALLEGRO_EXECUTOR_STATE_UPDATE_BUFFER_SIZE=",
                                              "ALLEGRO_EXECUTOR_INITIAL_HEALTH_CHECK_STATUS=",
                                              "ALLEGRO_EXECUTOR_GRAPHITE_PORT=",
                                              "MESOS_RECOVERY_TIMEOUT=",
                                              "MESOS_EXECUTOR_AUTHENTICATION_TOKEN=",
                                              "LIBPROCESS_SSL_ENABLED=",
                                              NULL};
    struct devagent_options options = agent_options();
    options.command_environment = environment;
    struct devagent *agent = agent_begin(&options);
    devagent_launch_command(agent, "t", "exit 0");
    expect_state(agent, "t", FINISHED);
    cr_assert_eq(count_log(agent, "level=warning"), 0);
    cr_assert_eq(count_log(agent, "level=debug"), 0);
    conversation_end(agent, 0);
}

/* ---- both spellings ---- */

/* A timeout of this setting's is what makes an unanswered update come again. */
static void takes_effect(const char *const environment[])
{
    struct devagent_options options = agent_options();
    options.environment = environment;
    struct devagent *agent = agent_begin_task(&options, "t", UNTIL_GO(0));
    await_all_acknowledged(agent);
    devagent_add_fault(
        agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_NO_ANSWER, .calls = DEVAGENT_CALL_UPDATE});
    make_file(agent, "go");
    await_calls(agent, DEVAGENT_CALL_UPDATE, 0, 3);
    int64_t begin = devagent_now_ns();
    expect_state(agent, "t", FINISHED);
    /* The default is ten seconds. */
    if (devagent_now_ns() - begin > INT64_C(8000000000))
        fail_with_story(agent, "the timeout was not the one that was set");
    conversation_end(agent, 0);
}

Test(configuration, http_timeout_as_it_is_documented)
{
    takes_effect((const char *const[]){"ALLEGRO_EXECUTOR_HTTP_TIMEOUT=300ms", NULL});
}

Test(configuration, http_timeout_as_the_predecessor_read_it)
{
    takes_effect((const char *const[]){"ALLEGRO_EXECUTOR_HTTPT_IMEOUT=300ms", NULL});
}

Test(configuration, an_empty_spelling_does_not_hide_the_other)
{
    takes_effect(
        (const char *const[]){"ALLEGRO_EXECUTOR_HTTP_TIMEOUT=", "ALLEGRO_EXECUTOR_HTTPT_IMEOUT=300ms", NULL});
}

static void finds_the_api_at(const char *entry)
{
    const char *const environment[] = {entry, NULL};
    struct devagent_options options = agent_options();
    options.environment = environment;
    struct devagent *agent = agent_begin(&options);
    devagent_launch_command(agent, "t", "exit 0");
    expect_state(agent, "t", FINISHED);
    conversation_end(agent, 0);
}

Test(configuration, api_path_in_both_spellings)
{
    finds_the_api_at("ALLEGRO_EXECUTOR_API_PATH=/slave(1)/api/v1/executor");
    finds_the_api_at("ALLEGRO_EXECUTOR_APIP_ATH=/slave(1)/api/v1/executor");
}

Test(configuration, api_path_that_leads_nowhere)
{
    static const char *const environment[] = {"ALLEGRO_EXECUTOR_APIP_ATH=/nowhere", NULL};
    struct devagent_options options = agent_options();
    options.environment = environment;
    struct devagent *agent = agent_begin(&options);
    await_calls(agent, 0, 404, 2);
    cr_assert_eq(devagent_subscribe_count(agent), 0);
    agent_drop(agent);
}

/* ---- arguments ---- */

static void starts_with_arguments(const char *const argv[], bool debug)
{
    struct devagent_options options = agent_options();
    options.executor_argv = argv;
    struct devagent *agent = agent_begin(&options);
    devagent_launch_command(agent, "t", "exit 0");
    expect_state(agent, "t", FINISHED);
    cr_assert_eq(count_log(agent, "level=debug") > 0, debug);
    char *out = devagent_read_file(agent, "stdout");
    cr_assert_str_empty(out);
    free(out);
    conversation_end(agent, 0);
}

static const char supervisor[] = TEST_BIN_DIR "/supervisor";

Test(configuration, arguments_under_an_agent_are_the_tasks)
{
    starts_with_arguments((const char *const[]){supervisor, "--help", NULL}, false);
    starts_with_arguments((const char *const[]){supervisor, "--version", NULL}, false);
    starts_with_arguments((const char *const[]){supervisor, "-x", "--debug", "-debug", NULL}, false);
    starts_with_arguments((const char *const[]){supervisor, "", "a b", NULL}, false);
}

Test(configuration, debug_as_the_first_word)
{
    starts_with_arguments((const char *const[]){supervisor, "-debug", NULL}, true);
    starts_with_arguments((const char *const[]){supervisor, "-debug", "sleep", "100", NULL}, true);
}

/* ---- secrets ---- */

static const char *const secrets[] = {"swordfish-consul", "swordfish-vaas", "swordfish-sentry",
                                      "swordfish-own"};
enum { SECRETS = sizeof(secrets) / sizeof(secrets[0]) };

static const char *const secret_environment[] = {
    "CONSUL_TOKEN=swordfish-consul", "ALLEGRO_EXECUTOR_VAAS_TOKEN=swordfish-vaas",
    "VAAS_TOKEN=swordfish-vaas",     "ALLEGRO_EXECUTOR_SENTRY_DSN=http://k:swordfish-sentry@127.0.0.1/1",
    "ALLEGRO_EXECUTOR_DEBUG=true",   NULL};

static bool holds(const char *text, size_t size, const char *secret)
{
    return memmem(text, size, secret, strlen(secret)) != NULL;
}

/* What can be seen of the process has none of the secrets. What may not be read is safe. */
static void expect_clean_file(struct devagent *agent, pid_t pid, const char *name, const char *token)
{
    static char text[1024 * 1024];
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    size_t size = 0;
    ssize_t n;
    while (size < sizeof(text) && (n = read(file, text + size, sizeof(text) - size)) > 0)
        size += (size_t)n;
    close(file);
    for (size_t i = 0; i < SECRETS; i++)
        if (holds(text, size, secrets[i]))
            fail_with_story(agent, "%s shows %s", path, secrets[i]);
    if (holds(text, size, token))
        fail_with_story(agent, "%s shows the agent's token", path);
}

static void expect_clean_processes(struct devagent *agent, size_t at_least)
{
    pid_t pids[64];
    size_t count = devagent_processes(agent, pids, 64);
    cr_assert_geq(count, at_least);
    cr_assert_leq(count, 64);
    for (size_t i = 0; i < count; i++) {
        expect_clean_file(agent, pids[i], "environ", devagent_token(agent));
        expect_clean_file(agent, pids[i], "cmdline", devagent_token(agent));
    }
}

static void expect_clean_text(struct devagent *agent, const char *name)
{
    char *text = devagent_read_file(agent, name);
    for (size_t i = 0; i < SECRETS; i++)
        if (strstr(text, secrets[i]) != NULL)
            fail_with_story(agent, "%s shows %s", name, secrets[i]);
    if (strstr(text, devagent_token(agent)) != NULL)
        fail_with_story(agent, "%s shows the agent's token", name);
    free(text);
}

/* A task whose own environment, and data, have a secret as well: it may see that, the log may not. */
static const char secret_task[] =
    "{\"task_id\": {\"value\": \"t\"}, \"name\": \"t\", \"data\": \"c3dvcmRmaXNoLW93bg==\","
    " \"command\": {\"value\": \"env | sed s/swordfish-own/mine/; while [ ! -e go ]; do sleep 0.01; done\","
    "  \"environment\": {\"variables\": [{\"name\": \"PASSWORD\", \"value\": \"swordfish-own\"}]}}}";

Test(configuration, secrets_are_seen_nowhere)
{
    struct devagent_options options = agent_options();
    options.jwt = DEVAGENT_JWT_REQUIRED;
    options.environment = secret_environment;
    struct devagent *agent = agent_begin(&options);
    cr_assert_eq(devagent_wait_subscribed(agent, DEADLINE_MS), 0);
    expect_clean_processes(agent, 2);
    devagent_launch_command(agent, "plain", "env; exec sleep 100");
    expect_state(agent, "plain", RUNNING);
    expect_file(agent, "stdout", "PATH=");
    expect_clean_processes(agent, 4);
    char *out = devagent_read_file(agent, "stdout");
    cr_assert_null(strstr(out, "TOKEN"));
    cr_assert_null(strstr(out, "ALLEGRO_EXECUTOR_"));
    free(out);
    char *error = NULL;
    cr_assert_eq(devagent_launch_json(agent, secret_task, &error), 0, "%s", error);
    expect_state(agent, "t", RUNNING);
    expect_file(agent, "stdout", "PASSWORD=mine");
    devagent_drop_stream(agent, DEVAGENT_DROP_END); /* a list with the task goes through the processes */
    await_subscribed(agent, 2);
    make_file(agent, "go");
    expect_state(agent, "t", FINISHED);
    devagent_kill(agent, "plain", -1);
    expect_state(agent, "plain", KILLED);
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
    cr_assert_gt(count_log(agent, "level=debug"), 0);
    expect_clean_text(agent, "stderr");
    expect_clean_text(agent, "stdout");
    conversation_end(agent, 0);
}

/* A successor of agent-client gets the token again, and nobody sees it. */
Test(configuration, secrets_are_still_there_for_a_new_agent_client)
{
    struct devagent_options options = agent_options();
    options.jwt = DEVAGENT_JWT_REQUIRED;
    options.environment = secret_environment;
    struct devagent *agent = agent_begin_task(&options, "t", "exec sleep 100");
    for (size_t i = 2; i <= 3; i++) {
        send_signal(wait_child(agent, "agent-client"), SIGKILL);
        await_subscribed(agent, i);
        expect_clean_processes(agent, 4);
    }
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    conversation_end(agent, 0);
}

/* ---- the log ---- */

static struct devagent *log_everything(const char *task_id)
{
    static const char *const environment[] = {"ALLEGRO_EXECUTOR_DEBUG=true", NULL};
    struct devagent_options options = agent_options();
    options.environment = environment;
    options.executor_id = "executor\n\"one\" \033[31m=\\";
    return agent_begin_task(&options, task_id, "exec 2>/dev/null; exec sleep 100");
}

Test(configuration, every_line_of_every_process_is_a_log_line)
{
    static const char id[] = "evil\ntime=now level=error \"x\" \033[31m\x9b\xff\t=\\";
    struct devagent *agent = log_everything(id);
    devagent_kill(agent, "another\r\nlevel=error", -1);
    expect_state(agent, "another\r\nlevel=error", KILLED);
    devagent_send_error(agent, "words\nlevel=error");
    send_signal(wait_child(agent, "agent-client"), SIGKILL);
    await_subscribed(agent, 2);
    devagent_add_fault(agent, &(struct devagent_fault){.kind = DEVAGENT_FAULT_STATUS,
                                                       .calls = DEVAGENT_CALL_SUBSCRIBE,
                                                       .status = 500,
                                                       .body = "broken\nlevel=error\033[0m \"and\" so on"});
    devagent_drop_stream(agent, DEVAGENT_DROP_RESET);
    await_subscribed(agent, 3);
    devagent_kill(agent, id, -1);
    expect_state(agent, id, KILLED);
    cr_assert_eq(devagent_wait_exit(agent, DEADLINE_MS), 0);
    cr_assert_gt(count_log(agent, "component=supervisor"), 0);
    cr_assert_gt(count_log(agent, "component=agent-client"), 0);
    cr_assert_gt(count_log(agent, "level=debug"), 0);
    cr_assert_eq(count_log(agent, "\033"), 0);
    cr_assert_eq(count_log(agent, "\nlevel=error"), 0);
    conversation_end(agent, 0);
}
