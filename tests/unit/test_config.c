/*
 * Settings: every type good and bad, spellings and their order, defaults, what problems say and do not say,
 * secrets.
 */
#include "common/config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/duration.h"

#define IDS "MESOS_FRAMEWORK_ID=f", "MESOS_EXECUTOR_ID=e"
#define S DURATION_SECOND

static struct config *config;
static struct config_problems problems;

static void clear(void)
{
    config_free(config);
    config = NULL;
    config_problems_clear(&problems);
}

static int load(const char *const *envp)
{
    clear();
    return config_load((char *const *)(uintptr_t)envp, &config, &problems);
}

/* String literals stand in for the environment: config_load must not write to it. */
#define LOAD(...) load((const char *const[]){__VA_ARGS__, NULL})

static void cr_assert_loaded(int r)
{
    cr_assert_eq(r, 0, "%s", problems.count > 0 ? problems.items[0].text : "");
    cr_assert_not_null(config);
}

TestSuite(config, .fini = clear);

Test(config, defaults)
{
    cr_assert_loaded(LOAD(IDS));
    cr_assert_eq(problems.count, 0);
    cr_expect_str_eq(config_string(config, CONFIG_FRAMEWORK_ID), "f");
    cr_expect_str_eq(config_string(config, CONFIG_EXECUTOR_ID), "e");
    cr_expect_eq(config_bool(config, CONFIG_DEBUG), false);
    cr_expect_str_eq(config_string(config, CONFIG_API_PATH), "/api/v1/executor");
    cr_expect_eq(config_duration(config, CONFIG_HTTP_TIMEOUT), 10 * S);
    cr_expect_eq(config_duration(config, CONFIG_KILL_POLICY_GRACE_PERIOD), 5 * S);
    cr_expect_eq(config_integer(config, CONFIG_STATE_UPDATE_BUFFER_SIZE), 1024);
    cr_expect_eq(config_duration(config, CONFIG_STATE_UPDATE_WAIT_TIMEOUT), 60 * S);
    cr_expect_eq(config_duration(config, CONFIG_RANDOM_EXPIRATION_RANGE), 3 * DURATION_HOUR);
    cr_expect_eq(config_list_count(config, CONFIG_SIGTERM_EXCLUDE_PROCESSES), 0);
    cr_expect_null(config_list_item(config, CONFIG_SIGTERM_EXCLUDE_PROCESSES, 0));
    cr_expect_str_eq(config_string(config, CONFIG_HELPER_USER), "nobody");
    cr_expect_eq(config_bool(config, CONFIG_CHECKPOINT), false);
    cr_expect_eq(config_duration(config, CONFIG_RECOVERY_TIMEOUT), 15 * DURATION_MINUTE);
    cr_expect_eq(config_duration(config, CONFIG_SUBSCRIPTION_BACKOFF_MAX), 2 * S);
    cr_expect_eq(config_duration(config, CONFIG_EXECUTOR_SHUTDOWN_GRACE_PERIOD), 5 * S);
    cr_expect_null(config_string(config, CONFIG_DOMAIN_SOCKET));
    cr_expect_null(config_string(config, CONFIG_EXECUTOR_AUTHENTICATION_TOKEN));
    cr_expect_eq(config_bool(config, CONFIG_SSL_ENABLED), false);
    cr_expect_eq(config_bool(config, CONFIG_CONSUL_HOOK_ENABLED), true);
    cr_expect_str_eq(config_string(config, CONFIG_CONSUL_GLOBAL_TAG), "marathon");
    cr_expect_str_eq(config_string(config, CONFIG_INITIAL_HEALTH_CHECK_STATUS), "passing");
    cr_expect_eq(config_bool(config, CONFIG_VAAS_HOOK_ENABLED), true);
    cr_expect_eq(config_duration(config, CONFIG_VAAS_ASYNC_TIMEOUT), 90 * S);
    cr_expect_eq(config_integer(config, CONFIG_SERVICELOG_BUFFER_SIZE), 2000);
    cr_expect_str_eq(config_string(config, CONFIG_LOGSTASH_PROTOCOL), "tcp");
    cr_expect_eq(config_duration(config, CONFIG_LOGSTASH_DISCOVERY_REFRESH_INTERVAL), S);
    cr_expect_eq(config_duration(config, CONFIG_LOGSTASH_TCP_KEEP_ALIVE), 5 * S);
    cr_expect_eq(config_duration(config, CONFIG_LOGSTASH_TCP_TIMEOUT), 2 * S);
    cr_expect_eq(config_integer(config, CONFIG_GRAPHITE_PORT), 2003);
    cr_expect_str_eq(config_string(config, CONFIG_GRAPHITE_PREFIX), "allegro.executor");
    for (int id = 0; id < CONFIG_COUNT; id++)
        cr_expect_eq(config_is_set(config, id), id == CONFIG_FRAMEWORK_ID || id == CONFIG_EXECUTOR_ID);
}

/* The rows themselves: the default of each is accepted, no name stands twice, and the help has a sentence for
 * each. */
Test(config, rows_are_sound)
{
    static const struct {
        const char *names, *fallback, *help;
    } rows[] = {
#define ALSO "\n"
#define SETTING(id, type, names, fallback, choices, minimum, maximum, flags, receivers, help)                \
    {names, fallback, help},
#include "common/config.def"
#undef SETTING
#undef ALSO
    };
    char all[16384] = "\n";

    cr_assert_eq(config_new(&config), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char names[512], *rest = names, *name, line[128];
        snprintf(names, sizeof(names), "%s", rows[i].names);
        cr_expect_eq(strncmp(config_name((enum config_id)i), names, strcspn(names, "\n")), 0);
        while ((name = strsep(&rest, "\n")) != NULL) {
            cr_expect_eq(config_set_text(config, name, rows[i].fallback, &problems), 0, "default of %s",
                         name);
            snprintf(line, sizeof(line), "\n%s\n", name);
            cr_expect_null(strstr(all, line), "%s stands twice", name);
            cr_assert_lt(strlen(all) + strlen(line), sizeof(all));
            strcat(all, line + 1);
        }
        cr_expect_gt(strlen(rows[i].help), 10);
        cr_expect_eq(rows[i].help[strlen(rows[i].help) - 1], '.', "%s", rows[i].help);
        cr_expect_null(strchr(rows[i].help, '|'), "would break the Markdown table: %s", rows[i].help);
    }
    cr_expect_eq(problems.count, 0);
}

Test(config, bool_words)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    static const char *const bad[] = {"yes", "no", "on", "tRUE", "2", " 1", "1 ", "truefalse", "tr", "-1"};

    cr_assert_eq(config_new(&config), 0);
    for (size_t i = 0; i < 6; i++) {
        cr_expect_eq(config_set_text(config, "MESOS_CHECKPOINT", yes[i], &problems), 0);
        cr_expect(config_bool(config, CONFIG_CHECKPOINT), "%s", yes[i]);
        cr_expect_eq(config_set_text(config, "MESOS_CHECKPOINT", no[i], &problems), 0);
        cr_expect(!config_bool(config, CONFIG_CHECKPOINT), "%s", no[i]);
    }
    cr_expect_eq(config_set_text(config, "MESOS_CHECKPOINT", "1", &problems), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_expect_eq(config_set_text(config, "MESOS_CHECKPOINT", bad[i], &problems), -EINVAL, "%s", bad[i]);
        cr_expect(config_bool(config, CONFIG_CHECKPOINT), "the old value stays");
    }
    cr_expect_eq(problems.count, sizeof(bad) / sizeof(bad[0]));
}

static const char *only_problem(bool is_error)
{
    cr_assert_eq(problems.count, 1);
    cr_assert_eq(problems.items[0].is_error, is_error);
    return problems.items[0].text;
}

Test(config, go_duration)
{
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_KILL_POLICY_GRACE_PERIOD=1m30s"));
    cr_assert_eq(config_duration(config, CONFIG_KILL_POLICY_GRACE_PERIOD), 90 * S);
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_KILL_POLICY_GRACE_PERIOD=0"));
    cr_assert_eq(config_duration(config, CONFIG_KILL_POLICY_GRACE_PERIOD), 0);
    cr_assert(config_is_set(config, CONFIG_KILL_POLICY_GRACE_PERIOD));
    cr_assert_eq(LOAD(IDS, "ALLEGRO_EXECUTOR_KILL_POLICY_GRACE_PERIOD=5secs"), -EINVAL);
    cr_assert_str_eq(
        only_problem(true),
        "ALLEGRO_EXECUTOR_KILL_POLICY_GRACE_PERIOD=\"5secs\" is not accepted: must be a duration such as "
        "250ms, 5s or 1m30s, from 0s to 876000h");
    cr_assert_eq(LOAD(IDS, "ALLEGRO_EXECUTOR_KILL_POLICY_GRACE_PERIOD=-1ns"), -EINVAL);
    cr_assert_eq(LOAD(IDS, "ALLEGRO_EXECUTOR_KILL_POLICY_GRACE_PERIOD=876000h1ns"), -EINVAL);
    cr_assert_eq(LOAD(IDS, "ALLEGRO_EXECUTOR_KILL_POLICY_GRACE_PERIOD=99999999h"), -EINVAL);
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_KILL_POLICY_GRACE_PERIOD=876000h"));
    cr_assert_eq(LOAD(IDS, "ALLEGRO_EXECUTOR_HTTP_TIMEOUT=999us"), -EINVAL);
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_HTTP_TIMEOUT=1ms"));
}

Test(config, mesos_duration)
{
    cr_assert_loaded(LOAD(IDS, "MESOS_RECOVERY_TIMEOUT=1.5mins"));
    cr_assert_eq(config_duration(config, CONFIG_RECOVERY_TIMEOUT), 90 * S);
    cr_assert_eq(LOAD(IDS, "MESOS_RECOVERY_TIMEOUT=15m"), -EINVAL);
    cr_assert_str_eq(
        only_problem(true),
        "MESOS_RECOVERY_TIMEOUT=\"15m\" is not accepted: must be a Mesos duration such as 250ms, 5secs or "
        "1.5mins, from 0ns to 36500days");
}

Test(config, integer)
{
    static const char *const bad[] = {"0",
                                      "65536",
                                      "x",
                                      "80x",
                                      " 80",
                                      "80 ",
                                      "+",
                                      "-",
                                      "0x50",
                                      "1e3",
                                      "80.0",
                                      "99999999999999999999999",
                                      "-99999999999999999999999"};

    cr_assert_eq(config_new(&config), 0);
    cr_assert_eq(config_set_text(config, "ALLEGRO_EXECUTOR_GRAPHITE_PORT", "65535", NULL), 0);
    cr_assert_eq(config_integer(config, CONFIG_GRAPHITE_PORT), 65535);
    cr_assert_eq(config_set_text(config, "ALLEGRO_EXECUTOR_GRAPHITE_PORT", "+1", NULL), 0);
    cr_assert_eq(config_integer(config, CONFIG_GRAPHITE_PORT), 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_expect_eq(config_set_text(config, "ALLEGRO_EXECUTOR_GRAPHITE_PORT", bad[i], &problems), 0);
        cr_expect_eq(config_integer(config, CONFIG_GRAPHITE_PORT), 2003, "%s: the default", bad[i]);
        cr_expect(!config_is_set(config, CONFIG_GRAPHITE_PORT));
        cr_expect_eq(problems.count, i + 1);
        cr_expect(!problems.items[i].is_error);
    }
    config_problems_clear(&problems);
    cr_assert_eq(config_set_text(config, "ALLEGRO_EXECUTOR_STATE_UPDATE_BUFFER_SIZE", "-1", &problems),
                 -EINVAL);
    cr_assert_str_eq(only_problem(true),
                     "ALLEGRO_EXECUTOR_STATE_UPDATE_BUFFER_SIZE=\"-1\" is not accepted: must be a "
                     "whole number from 0 to 2147483647");
}

Test(config, size)
{
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_SERVICELOG_LOGSTASH_SIZE_LIMIT=8192"));
    cr_assert_eq(config_integer(config, CONFIG_LOGSTASH_SIZE_LIMIT), 8192);
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_SERVICELOG_LOGSTASH_SIZE_LIMIT=8k"));
    cr_assert_eq(config_integer(config, CONFIG_LOGSTASH_SIZE_LIMIT), 0);
    cr_assert_str_eq(only_problem(false),
                     "ALLEGRO_EXECUTOR_SERVICELOG_LOGSTASH_SIZE_LIMIT=\"8k\" is not accepted: must "
                     "be a number of bytes from 0 to 2147483647; the default is used: 0");
}

Test(config, string)
{
    char entry[400] = "ALLEGRO_EXECUTOR_HELPER_USER=";
    size_t start = strlen(entry);

    memset(entry + start, 'u', 255);
    cr_assert_loaded(LOAD(IDS, entry));
    cr_assert_str_eq(config_string(config, CONFIG_HELPER_USER), entry + start);
    memset(entry + start, 'u', 256);
    cr_assert_eq(LOAD(IDS, entry), -EINVAL);
    const char *text = only_problem(true);
    cr_assert_not_null(strstr(text, "uuu...\" is not accepted: must be text of at most 255 bytes"), "%s",
                       text);
    cr_assert_lt(strlen(text), 250, "a long value is cut");
}

Test(config, choice)
{
    static const char *const bad[] = {
        "pass", "passing,", "passing, warning", "assing", "PASSING", "critical ", ",", " "};

    cr_assert_eq(config_new(&config), 0);
    cr_assert_eq(config_set_text(config, "INITIAL_HEALTH_CHECK_STATUS", "critical", &problems), 0);
    cr_assert_str_eq(config_string(config, CONFIG_INITIAL_HEALTH_CHECK_STATUS), "critical");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_eq(config_set_text(config, "INITIAL_HEALTH_CHECK_STATUS", bad[i], NULL), -EINVAL, "%s",
                     bad[i]);
    cr_assert_eq(config_set_text(config, "INITIAL_HEALTH_CHECK_STATUS", "bad", &problems), -EINVAL);
    cr_assert_str_eq(only_problem(true),
                     "INITIAL_HEALTH_CHECK_STATUS=\"bad\" is not accepted: must be one of: passing, "
                     "warning, critical");
}

Test(config, list)
{
    static const struct {
        const char *text;
        size_t count;
        const char *items[3];
    } cases[] = {
        {"a", 1, {"a"}},
        {"a,b,c", 3, {"a", "b", "c"}},
        {" envoy ,\tconsul agent , ", 2, {"envoy", "consul agent"}},
        {",,a,,", 1, {"a"}},
        {",", 0, {NULL}},
        {" ", 0, {NULL}},
    };

    cr_assert_eq(config_new(&config), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(
            config_set_text(config, "ALLEGRO_EXECUTOR_SIGTERM_EXCLUDE_PROCESSES", cases[i].text, NULL), 0);
        cr_assert_eq(config_list_count(config, CONFIG_SIGTERM_EXCLUDE_PROCESSES), cases[i].count, "%s",
                     cases[i].text);
        for (size_t j = 0; j < cases[i].count; j++)
            cr_assert_str_eq(config_list_item(config, CONFIG_SIGTERM_EXCLUDE_PROCESSES, j),
                             cases[i].items[j]);
        cr_assert_null(config_list_item(config, CONFIG_SIGTERM_EXCLUDE_PROCESSES, cases[i].count));
    }
}

Test(config, spellings_and_their_order)
{
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_APIP_ATH=/old"));
    cr_assert_str_eq(config_string(config, CONFIG_API_PATH), "/old");
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_API_PATH=/new"));
    cr_assert_str_eq(config_string(config, CONFIG_API_PATH), "/new");
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_APIP_ATH=/old", "ALLEGRO_EXECUTOR_API_PATH=/new"));
    cr_assert_str_eq(config_string(config, CONFIG_API_PATH), "/new");
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_API_PATH=", "ALLEGRO_EXECUTOR_APIP_ATH=/old"));
    cr_assert_str_eq(config_string(config, CONFIG_API_PATH), "/old", "an empty one counts as unset");
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_API_PATH=/1st", "ALLEGRO_EXECUTOR_API_PATH=/2nd"));
    cr_assert_str_eq(config_string(config, CONFIG_API_PATH), "/1st");
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_HTTPT_IMEOUT=3s"));
    cr_assert_eq(config_duration(config, CONFIG_HTTP_TIMEOUT), 3 * S);
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_HTTP_TIMEOUT=4s"));
    cr_assert_eq(config_duration(config, CONFIG_HTTP_TIMEOUT), 4 * S);
    cr_assert_loaded(LOAD(IDS, "CONSUL_TOKEN=bare"));
    cr_assert_str_eq(config_string(config, CONFIG_CONSUL_TOKEN), "bare");
    cr_assert_loaded(LOAD(IDS, "CONSUL_TOKEN=bare", "ALLEGRO_EXECUTOR_CONSUL_TOKEN=long"));
    cr_assert_str_eq(config_string(config, CONFIG_CONSUL_TOKEN), "long");
    cr_assert_loaded(LOAD(IDS, "SSL_VERIFY_CERT=0", "LIBPROCESS_SSL_VERIFY_CERT=1"));
    cr_assert(config_bool(config, CONFIG_SSL_VERIFY_SERVER_CERT));
    cr_assert_loaded(LOAD(IDS, "LIBPROCESS_SSL_VERIFY_CERT=1", "LIBPROCESS_SSL_VERIFY_SERVER_CERT=0"));
    cr_assert(!config_bool(config, CONFIG_SSL_VERIFY_SERVER_CERT));
    cr_assert_loaded(LOAD(IDS, "SSL_ENABLED=true", "SSL_KEY_FILE=/k"));
    cr_assert(config_bool(config, CONFIG_SSL_ENABLED));
    cr_assert_str_eq(config_string(config, CONFIG_SSL_KEY_FILE), "/k");
}

Test(config, the_spelling_that_was_used_is_blamed)
{
    cr_assert_eq(LOAD(IDS, "ALLEGRO_EXECUTOR_HTTPT_IMEOUT=soon"), -EINVAL);
    cr_assert_eq(strncmp(only_problem(true), "ALLEGRO_EXECUTOR_HTTPT_IMEOUT=\"soon\" ", 37), 0);
}

Test(config, empty_counts_as_unset)
{
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_DEBUG=", "MESOS_RECOVERY_TIMEOUT=", "MESOS_DOMAIN_SOCKET="));
    cr_assert(!config_is_set(config, CONFIG_DEBUG));
    cr_assert_eq(config_duration(config, CONFIG_RECOVERY_TIMEOUT), 15 * DURATION_MINUTE);
    cr_assert_null(config_string(config, CONFIG_DOMAIN_SOCKET));
    cr_assert_eq(LOAD("MESOS_FRAMEWORK_ID=", "MESOS_EXECUTOR_ID=e"), -EINVAL);
    cr_assert_str_eq(only_problem(true),
                     "MESOS_FRAMEWORK_ID is missing: Id of the framework. An agent sets it.");
}

Test(config, every_problem_is_reported)
{
    cr_assert_eq(LOAD("ALLEGRO_EXECUTOR_DEBUG=maybe", "ALLEGRO_EXECUTOR_GRAPHITE_PORT=x"), -EINVAL);
    cr_assert_null(config, "untouched on failure");
    cr_assert_eq(problems.count, 4);
    cr_assert_eq(strncmp(problems.items[0].text, "ALLEGRO_EXECUTOR_DEBUG=", 23), 0);
    cr_assert_eq(strncmp(problems.items[1].text, "MESOS_FRAMEWORK_ID ", 19), 0);
    cr_assert_eq(strncmp(problems.items[2].text, "MESOS_EXECUTOR_ID ", 18), 0);
    cr_assert_str_eq(problems.items[3].text,
                     "ALLEGRO_EXECUTOR_GRAPHITE_PORT=\"x\" is not accepted: must be a whole "
                     "number from 1 to 65535; the default is used: 2003");
    cr_assert(problems.items[0].is_error && !problems.items[3].is_error);
}

Test(config, unknown_names_with_our_prefix_are_warned_of)
{
    cr_assert_loaded(LOAD(IDS, "ALLEGRO_EXECUTOR_KILL_GRACE=s3cret", "OTHER=1", "ALLEGRO_EXECUTOR_DEBUG=1"));
    cr_assert_str_eq(only_problem(false),
                     "ALLEGRO_EXECUTOR_KILL_GRACE is not a setting of this executor: ignored");
}

Test(config, control_characters_do_not_reach_a_problem)
{
    cr_assert_eq(LOAD(IDS, "ALLEGRO_EXECUTOR_DEBUG=a\nb\x1b[0m\"\xff"), -EINVAL);
    const char *text = only_problem(true);
    cr_assert_not_null(strstr(text, "=\"a\\nb\\u001b[0m\\\"\\u00ff\" is"), "%s", text);
}

Test(config, a_secret_is_not_in_a_problem)
{
    size_t length = 5000;
    char *entry = malloc(length + 100);

    cr_assert_not_null(entry);
    strcpy(entry, "ALLEGRO_EXECUTOR_SENTRY_DSN=");
    size_t start = strlen(entry);
    memset(entry + start, 's', length);
    entry[start + length] = '\0';
    cr_assert_loaded(LOAD(IDS, entry));
    cr_assert_str_eq(only_problem(false),
                     "ALLEGRO_EXECUTOR_SENTRY_DSN=(a secret, not shown) is not accepted: must be "
                     "text of at most 4096 bytes; it is left unset");
    free(entry);
}

Test(config, what_each_receiver_gets)
{
    const char *name, *text;
    size_t cursor = 0;

    cr_assert_loaded(LOAD(IDS, "CONSUL_TOKEN=c", "VAAS_TOKEN=v", "MESOS_EXECUTOR_AUTHENTICATION_TOKEN=m",
                          "ALLEGRO_EXECUTOR_HTTPT_IMEOUT=3s", "ALLEGRO_EXECUTOR_GRAPHITE_HOST=g"));
    static const char *const expected[][2] = {
        {"ALLEGRO_EXECUTOR_HTTP_TIMEOUT", "3s"},
        {"MESOS_FRAMEWORK_ID", "f"},
        {"MESOS_EXECUTOR_ID", "e"},
        {"MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "m"},
    };
    for (size_t i = 0; i < 4; i++) {
        cr_assert(config_next_for(config, CONFIG_FOR_AGENT_CLIENT, &cursor, &name, &text));
        cr_expect_str_eq(name, expected[i][0]);
        cr_expect_str_eq(text, expected[i][1]);
    }
    cr_assert(!config_next_for(config, CONFIG_FOR_AGENT_CLIENT, &cursor, &name, &text));
    cursor = 0;
    while (config_next_for(config, CONFIG_FOR_SUPERVISOR, &cursor, &name, &text))
        if (strcmp(name, "MESOS_EXECUTOR_AUTHENTICATION_TOKEN") !=
            0) /* which it judges before anything starts */
            cr_expect_null(strstr(name, "TOKEN"), "the supervisor has no use for %s", name);
    cursor = 0;
    while (config_next_for(config, CONFIG_FOR_LOGSHIPPER, &cursor, &name, &text))
        cr_expect_str_neq(text, "v");
}

Test(config, set_text)
{
    cr_assert_eq(config_new(&config), 0);
    cr_assert_eq(config_set_text(config, "NO_SUCH_SETTING", "1", &problems), -ENOENT);
    cr_assert_eq(config_set_text(config, "", "1", &problems), -ENOENT);
    cr_assert_eq(config_set_text(config, "ALLEGRO_EXECUTOR_HTTP_TIMEOUT", "7s", &problems), 0);
    cr_assert_eq(config_duration(config, CONFIG_HTTP_TIMEOUT), 7 * S);
    cr_assert_eq(config_set_text(config, "ALLEGRO_EXECUTOR_HTTP_TIMEOUT", "x", NULL), -EINVAL);
    cr_assert_eq(config_duration(config, CONFIG_HTTP_TIMEOUT), 7 * S);
    cr_assert_eq(config_set_text(config, "ALLEGRO_EXECUTOR_HTTP_TIMEOUT", "", &problems), 0);
    cr_assert_eq(config_duration(config, CONFIG_HTTP_TIMEOUT), 10 * S);
    cr_assert_eq(problems.count, 0);
}

Test(config, wiping_zeroes_secrets_and_nothing_else)
{
    static const char *const before[] = {
        "PATH=/bin",
        "CONSUL_TOKEN=abc",
        "ALLEGRO_EXECUTOR_CONSUL_TOKEN=abc",
        "VAAS_TOKEN=abc",
        "CONSUL_TOKEN=again",
        "CONSUL_TOKENS=keep",
        "ALLEGRO_EXECUTOR_VAAS_TOKEN=abc",
        "VAAS_USERNAME=keep",
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN=abc",
        "ALLEGRO_EXECUTOR_SENTRY_DSN=abc",
        "VAAS_TOKEN",
        "VAAS_TOKEN=",
    };
    enum { count = sizeof(before) / sizeof(before[0]) };
    char *envp[count + 1] = {NULL};

    for (size_t i = 0; i < count; i++)
        cr_assert_not_null(envp[i] = strdup(before[i]));
    config_wipe_environment(envp);
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(before[i]), kept = length;
        if (strstr(before[i], "=abc") != NULL || strstr(before[i], "=again") != NULL)
            kept = strcspn(before[i], "=") + 1;
        cr_expect_eq(memcmp(envp[i], before[i], kept), 0, "%s", before[i]);
        for (size_t j = kept; j < length; j++)
            cr_expect_eq(envp[i][j], '\0', "%s, byte %zu", before[i], j);
        free(envp[i]);
    }
}

Test(config, a_wiped_block_is_passed_on_without_secrets)
{
    static char block[65536];
    char name[] = "cat", path[] = "/proc/self/environ", *argv[] = {name, path, NULL};
    char **saved = environ;
    int fds[2], status;

    cr_assert_eq(pipe(fds), 0);
    char secret[] = "VAAS_TOKEN=hunter2", plain[] = "VAAS_HOST=vaas.example";
    char *envp[] = {secret, plain, NULL};
    environ = envp;
    config_wipe_environment(environ);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        execve("/bin/cat", argv, envp);
        _exit(127);
    }
    environ = saved;
    close(fds[1]);
    ssize_t length = 0, n;
    while ((n = read(fds[0], block + length, sizeof(block) - (size_t)length)) > 0)
        length += n;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    cr_assert_not_null(memmem(block, (size_t)length, "VAAS_HOST=vaas.example", 22));
    cr_assert_null(memmem(block, (size_t)length, "hunter2", 7));
}

Test(config, secret_names_are_listed_once_each)
{
    static const char *const expected[] = {"MESOS_EXECUTOR_AUTHENTICATION_TOKEN",
                                           "ALLEGRO_EXECUTOR_CONSUL_TOKEN",
                                           "CONSUL_TOKEN",
                                           "CONSUL_HTTP_TOKEN",
                                           "CONSUL_HTTP_AUTH",
                                           "ALLEGRO_EXECUTOR_VAAS_TOKEN",
                                           "VAAS_TOKEN",
                                           "ALLEGRO_EXECUTOR_SENTRY_DSN"};
    size_t cursor = 0;
    const char *name;

    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        cr_assert(config_next_secret_name(&cursor, &name));
        cr_expect_str_eq(name, expected[i]);
    }
    cr_assert(!config_next_secret_name(&cursor, &name));
}

Test(config, under_an_agent)
{
    char path[] = "PATH=/bin", alike[] = "XMESOS_A=1", close_by[] = "MESOSA=1", real[] = "MESOS_CHECKPOINT=0";

    cr_assert(!config_is_under_agent((char *const[]){path, alike, close_by, NULL}));
    cr_assert(config_is_under_agent((char *const[]){path, real, NULL}));
    cr_assert(!config_is_under_agent((char *const[]){NULL}));
}

static char *written(void (*write)(FILE *stream))
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    cr_assert_not_null(stream);
    write(stream);
    fclose(stream);
    return text;
}

Test(config, help_and_markdown)
{
    char *help = written(config_write_help), *table = written(config_write_markdown), *rest = table, *line;
    size_t lines = 0;

    for (int id = 0; id < CONFIG_COUNT; id++) {
        cr_expect_not_null(strstr(help, config_name((enum config_id)id)));
        cr_expect_not_null(strstr(table, config_name((enum config_id)id)));
    }
    cr_expect_not_null(strstr(help, "ALLEGRO_EXECUTOR_HTTP_TIMEOUT, ALLEGRO_EXECUTOR_HTTPT_IMEOUT\n"));
    cr_expect_not_null(
        strstr(help, "    Default: 10s. Accepted: a duration such as 250ms, 5s or 1m30s, from 1ms to"));
    cr_expect_not_null(
        strstr(table, "| `ALLEGRO_EXECUTOR_CONSUL_TOKEN`, `CONSUL_TOKEN` | text, secret | none | text of at "
                      "most 131072 bytes | hookd, logshipper | Token for Consul. |\n"));
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        size_t bars = 0;
        for (const char *c = line; *c != '\0'; c++)
            bars += *c == '|';
        cr_expect_eq(bars, 7, "%s", line);
        lines++;
    }
    cr_expect_eq(lines, CONFIG_COUNT + 2);
    free(help);
    free(table);
}
