/* From the configuration to what the conversation with the agent needs. */
#include "agent-client/settings.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "common/duration.h"

static struct config *make_config(void)
{
    struct config *config;
    cr_assert_eq(config_new(&config), 0);
    cr_assert_eq(config_set_text(config, "MESOS_FRAMEWORK_ID", "framework-1", NULL), 0);
    cr_assert_eq(config_set_text(config, "MESOS_EXECUTOR_ID", "executor-1", NULL), 0);
    cr_assert_eq(config_set_text(config, "MESOS_AGENT_ENDPOINT", "127.0.0.1:5051", NULL), 0);
    cr_assert_eq(config_set_text(config, "MESOS_SLAVE_PID", "slave(1)@127.0.0.1:5051", NULL), 0);
    return config;
}

static void set(struct config *config, const char *name, const char *value)
{
    cr_assert_eq(config_set_text(config, name, value, NULL), 0);
}

Test(settings, defaults)
{
    struct config *config = make_config();
    struct settings settings;
    const char *problem;
    cr_assert_eq(settings_make(config, &settings, &problem), 0);
    cr_assert_str_eq(settings.http.endpoint.url, "http://127.0.0.1:5051/api/v1/executor");
    cr_assert_null(settings.http.token);
    cr_assert_eq(settings.http.timeout, 10 * DURATION_SECOND);
    cr_assert_not(settings.http.verify);
    cr_assert_str_eq(settings.identity.framework_id, "framework-1");
    cr_assert_str_eq(settings.identity.executor_id, "executor-1");
    cr_assert_eq(settings.window, 2 * DURATION_SECOND);
    config_free(config);
}

Test(settings, everything_else)
{
    struct config *config = make_config();
    set(config, "MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "aaa.bbb-_.ccc=");
    set(config, "ALLEGRO_EXECUTOR_HTTPT_IMEOUT", "1500ms");
    set(config, "ALLEGRO_EXECUTOR_APIP_ATH", "/other");
    set(config, "MESOS_SUBSCRIPTION_BACKOFF_MAX", "15secs");
    set(config, "LIBPROCESS_SSL_ENABLED", "1");
    set(config, "LIBPROCESS_SSL_VERIFY_CERT", "true");
    set(config, "LIBPROCESS_SSL_CA_DIR", "/authorities");
    struct settings settings;
    const char *problem;
    cr_assert_eq(settings_make(config, &settings, &problem), 0);
    cr_assert_str_eq(settings.http.endpoint.url, "https://127.0.0.1:5051/other");
    cr_assert_str_eq(settings.http.token, "aaa.bbb-_.ccc=");
    cr_assert_eq(settings.http.timeout, 1500 * DURATION_MILLISECOND);
    cr_assert_eq(settings.window, 15 * DURATION_SECOND);
    cr_assert(settings.http.verify);
    cr_assert_not(settings.http.verify_host, "an address is not looked for in a certificate");
    cr_assert_str_eq(settings.http.authorities_folder, "/authorities");

    set(config, "MESOS_AGENT_ENDPOINT", "agent.example:5051");
    cr_assert_eq(settings_make(config, &settings, &problem), 0);
    cr_assert(settings.http.verify_host, "a name is");

    set(config, "MESOS_DOMAIN_SOCKET", "/run/agent.sock");
    cr_assert_eq(settings_make(config, &settings, &problem), 0);
    cr_assert(settings.http.endpoint.domain_socket);
    cr_assert_not(settings.http.endpoint.tls);
    config_free(config);
}

static void assert_problem(struct config *config, const char *words, const char *secret)
{
    struct settings settings = {.window = 4711};
    const char *problem = NULL;
    cr_assert_eq(settings_make(config, &settings, &problem), -EINVAL);
    cr_assert_not_null(strstr(problem, words), "%s", problem);
    if (secret != NULL)
        cr_assert_null(strstr(problem, secret));
    cr_assert_eq(settings.window, 4711, "untouched on failure");
    config_free(config);
}

Test(settings, a_token_that_would_make_another_header_is_refused)
{
    static const char *const tokens[] = {"a\r\nX-Other: b", "a b", "a\tb", "t\xC3\xB6ken", "a\x7F"};
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        struct config *config = make_config();
        set(config, "MESOS_EXECUTOR_AUTHENTICATION_TOKEN", tokens[i]);
        assert_problem(config, "MESOS_EXECUTOR_AUTHENTICATION_TOKEN", tokens[i]);
    }
}

Test(settings, what_is_missing_is_named)
{
    struct config *config;
    cr_assert_eq(config_new(&config), 0);
    assert_problem(config, "MESOS_FRAMEWORK_ID", NULL);
    config = make_config();
    set(config, "MESOS_AGENT_ENDPOINT", "nonsense");
    assert_problem(config, "MESOS_AGENT_ENDPOINT", NULL);
}
