/*
 * From the configuration that the supervisor sends to what the conversation needs.
 *
 * Here ends what is text and may be wrong: behind this, addresses and token are known to be harmless. It must
 * never put a value into a problem's text: one of them is the token.
 */
#include "agent-client/settings.h"

#include <errno.h>
#include <stddef.h>

/*
 * Mesos checks names only where it connects by name: agents are known by address, and their certificates
 * seldom have one (docs/ssl.md, LIBPROCESS_SSL_VERIFY_IPADD). So an address is not looked for in the
 * certificate, a name is.
 */
static void set_tls(const struct config *config, struct http_settings *http)
{
    http->authorities_folder = config_string(config, CONFIG_SSL_CA_DIR);
    http->verify = config_bool(config, CONFIG_SSL_VERIFY_SERVER_CERT);
    http->verify_host = !http->endpoint.numeric_host || config_bool(config, CONFIG_SSL_VERIFY_IPADD);
}

static int fail(const char *problem, const char **ret_problem)
{
    *ret_problem = problem;
    return -EINVAL;
}

int settings_make(const struct config *config, struct settings *ret_settings, const char **ret_problem)
{
    struct settings settings = {
        .http = {.timeout = config_duration(config, CONFIG_HTTP_TIMEOUT),
                 .token = config_string(config, CONFIG_EXECUTOR_AUTHENTICATION_TOKEN)},
        .identity = {.framework_id = config_string(config, CONFIG_FRAMEWORK_ID),
                     .executor_id = config_string(config, CONFIG_EXECUTOR_ID)},
        .window = config_duration(config, CONFIG_SUBSCRIPTION_BACKOFF_MAX),
    };
    if (settings.identity.framework_id == NULL || settings.identity.executor_id == NULL)
        return fail("MESOS_FRAMEWORK_ID and MESOS_EXECUTOR_ID are needed", ret_problem);
    int r = endpoint_from_config(config, &settings.http.endpoint, ret_problem);
    if (r < 0)
        return r;
    set_tls(config, &settings.http);
    *ret_settings = settings;
    return 0;
}
