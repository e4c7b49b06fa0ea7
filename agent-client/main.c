/*
 * agent-client: the compartment that talks to the Mesos agent.
 *
 * It subscribes, hands on what the agent says and sends what the supervisor wants said, in Mesos' form. It
 * owns nothing: it may be killed between any two bytes, and its successor is given everything again. It holds
 * the agent's token and TLS key. It must never start a process, see a hook's secret or the task's output, or
 * put the token into a log.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "agent-client/credentials.h"
#include "agent-client/libcurl.h"
#include "agent-client/link.h"
#include "agent-client/settings.h"
#include "agent-client/subscription.h"
#include "agent-client/title.h"
#include "common/config.h"
#include "common/confine.h"
#include "common/helper.h"
#include "common/log.h"
#include "common/loop.h"
#include "proto/bulkhead.pb-c.h"

struct client {
    int argc;
    char **argv;
    uint32_t generation;
    struct loop *loop;
    struct link *link;
    struct config *config; /* NULL until CONFIGURE has come */
    struct settings settings;
    pid_t supervisor;
    struct confine_result confinement;
    struct title title;
    struct subscription *subscription;
};

/* ---- what the supervisor says ---- */

static int add_setting(struct config *config, const Bulkhead__Setting *setting)
{
    if (setting->name == NULL || setting->value == NULL)
        return -EPROTO;
    int r = config_set_text(config, setting->name, setting->value, NULL);
    explicit_bzero(setting->value, strlen(setting->value)); /* one of them is the token */
    return r;
}

static int handle_configure(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct client *client = self;
    const Bulkhead__Configure *configure = (const Bulkhead__Configure *)body;
    if (client->config != NULL)
        return -EPROTO;
    int r = config_new(&client->config);
    for (size_t i = 0; r == 0 && i < configure->n_settings; i++)
        r = add_setting(client->config, configure->settings[i]);
    if (r == 0)
        link_set_running(client->link);
    return r;
}

static int handle_ping(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)body;
    (void)descriptor;
    struct client *client = self;
    link_send(client->link, MESSAGE_PONG, id, NULL);
    return 0;
}

static int handle_list_task(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct client *client = self;
    if (client->subscription == NULL)
        return -EPROTO;
    return subscription_take_list_task(client->subscription, (const Bulkhead__ListTask *)body);
}

static int handle_list_update(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct client *client = self;
    if (client->subscription == NULL)
        return -EPROTO;
    return subscription_take_list_update(client->subscription, (const Bulkhead__Update *)body);
}

static int handle_socket(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)body;
    struct client *client = self;
    if (client->subscription == NULL) {
        close(descriptor);
        return -EPROTO;
    }
    return subscription_take_socket(client->subscription, descriptor);
}

static int handle_subscribe(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct client *client = self;
    if (client->subscription == NULL)
        return -EPROTO;
    return subscription_take_subscribe(client->subscription, (const Bulkhead__Subscribe *)body);
}

static int handle_update(void *self, uint32_t id, const ProtobufCMessage *body, int descriptor)
{
    (void)id;
    (void)descriptor;
    struct client *client = self;
    if (client->subscription == NULL)
        return -EPROTO;
    return subscription_take_update(client->subscription, (const Bulkhead__Update *)body);
}

static const struct message_handler handlers[] = {
    {MESSAGE_CONFIGURE, handle_configure},       {MESSAGE_PING, handle_ping},
    {MESSAGE_AGENT_LIST_TASK, handle_list_task}, {MESSAGE_AGENT_LIST_UPDATE, handle_list_update},
    {MESSAGE_AGENT_SOCKET, handle_socket},       {MESSAGE_AGENT_SUBSCRIBE, handle_subscribe},
    {MESSAGE_AGENT_UPDATE, handle_update},       {0, NULL},
};

/* ---- the steps ---- */

enum { EXIT_USAGE = 2, STEP_DONE = -1 }; /* a step returns STEP_DONE, or the process's exit code */

static int check_start(struct client *client)
{
    if (helper_argument_parse(client->argc, client->argv, &client->generation) == 0) {
        client->title = title_init(client->argc, client->argv);
        title_set(&client->title, "starting");
        return STEP_DONE;
    }
    fputs("agent-client is a part of Bulkhead's executor: supervisor starts it. There is nothing to run by "
          "hand.\n",
          stderr);
    return EXIT_USAGE;
}

static int open_log(struct client *client)
{
    (void)client;
    log_open("agent-client", STDERR_FILENO, LOG_LEVEL_INFO);
    return STEP_DONE;
}

/* Before there is a token to be read out of this process's memory or core. */
static int begin_confinement(struct client *client)
{
    client->supervisor = getppid();
    confine_begin(&client->confinement);
    return STEP_DONE;
}

/*
 * Memory that is not used must be seen not to be used: one executor among hundreds pays for what each keeps.
 * Large blocks are mapped, and so given back when they are freed, whatever lies above them.
 */
static int set_allocator(struct client *client)
{
    (void)client;
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 64 * 1024);
    mallopt(M_TRIM_THRESHOLD, 64 * 1024);
    return STEP_DONE;
}

static int no_memory(void)
{
    log_error("no memory; leaving");
    return EXIT_FAILURE;
}

static int open_link(struct client *client)
{
    if (loop_new(&client->loop) < 0 ||
        link_new(client->loop, HELPER_SOCKET, client->generation, handlers, client, &client->link) < 0)
        return no_memory();
    return STEP_DONE;
}

static int greet(struct client *client)
{
    char version[] = BULKHEAD_VERSION;
    Bulkhead__Hello hello = BULKHEAD__HELLO__INIT;
    hello.has_protocol = 1;
    hello.protocol = MESSAGE_PROTOCOL;
    hello.version = version;
    link_send(client->link, MESSAGE_HELLO, 0, &hello.base);
    return STEP_DONE;
}

/* How the conversation with the supervisor ended, or STEP_DONE while it has not. */
static int judge_link(const struct client *client)
{
    switch (link_end(client->link)) {
    case LINK_OPEN:
        return STEP_DONE;
    case LINK_CLOSED:
        return EXIT_SUCCESS;
    case LINK_BROKEN:
        break;
    }
    log_error("the conversation with the supervisor broke; leaving",
              LOG_STR("message", message_name(link_error_message(client->link))),
              LOG_ERRNO(link_error(client->link)));
    return EXIT_FAILURE;
}

static int await_configuration(struct client *client)
{
    while (link_end(client->link) == LINK_OPEN && client->config == NULL)
        if (loop_once(client->loop) < 0)
            return no_memory();
    return judge_link(client);
}

static int apply_configuration(struct client *client)
{
    const char *problem = NULL;
    log_set_level(config_bool(client->config, CONFIG_DEBUG) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    if (settings_make(client->config, &client->settings, &problem) == 0)
        return STEP_DONE;
    log_error("a setting is wrong; leaving", LOG_STR("problem", problem));
    return EXIT_USAGE;
}

static int read_credentials(struct client *client)
{
    if (!client->settings.http.endpoint.tls)
        return STEP_DONE;
    enum config_id setting = 0;
    int r = credentials_read(client->config, &client->settings.http.credentials, &setting);
    if (r == 0)
        return STEP_DONE;
    if (r == -ENOMEM)
        return no_memory();
    log_error("a file for TLS cannot be read; leaving", LOG_STR("setting", config_name(setting)),
              LOG_ERRNO(r));
    return EXIT_USAGE;
}

static int prepare_libcurl(struct client *client)
{
    return libcurl_prepare(client->settings.http.endpoint.tls) == 0 ? STEP_DONE : no_memory();
}

static void report_gaps(const struct confine_result *confinement)
{
    struct confine_gap gap;
    for (size_t cursor = 0; confine_missing(confinement, &cursor, &gap);)
        log_write(gap.is_not_offered ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
                  "a step of this process's confinement cannot be taken; going on without",
                  LOG_STR("step", gap.step), LOG_STR("leaves", gap.leaves), LOG_ERRNO(gap.error));
}

/* What only root may read is in memory, and nothing has come from a network. */
static int confine(struct client *client)
{
    const struct http_settings *http = &client->settings.http;
    const char *const readable[] = {http->authorities_folder, NULL};
    const struct confine_options options = {
        .role = ROLE_AGENT_CLIENT,
        .user = config_string(client->config, CONFIG_HELPER_USER),
        .parent = client->supervisor,
        .names = !http->endpoint.numeric_host,
        .authorities = http->endpoint.tls,
        .readable = readable,
    };
    int r = confine_apply(&options, &client->confinement);
    report_gaps(&client->confinement);
    if (r == 0)
        return STEP_DONE;
    log_error("the supervisor is gone; leaving");
    return EXIT_FAILURE;
}

static int converse(struct client *client)
{
    if (subscription_new(client->loop, client->link, &client->settings, &client->title,
                         &client->subscription) < 0)
        return no_memory();
    subscription_start(client->subscription);
    int r = link_end(client->link) == LINK_OPEN ? loop_run(client->loop) : 0;
    if (r < 0) {
        log_error("cannot wait for events; leaving", LOG_ERRNO(r));
        return EXIT_FAILURE;
    }
    return judge_link(client);
}

static int (*const steps[])(struct client *client) = {
    check_start,
    open_log,
    begin_confinement,
    set_allocator,
    open_link,
    greet,
    await_configuration,
    apply_configuration,
    read_credentials,
    prepare_libcurl,
    confine,
    converse,
};

static void clean_up(struct client *client)
{
    subscription_free(client->subscription);
    link_free(client->link);
    loop_free(client->loop);
    credentials_clear(&client->settings.http.credentials);
    config_free(client->config);
}

int main(int argc, char **argv)
{
    struct client client = {.argc = argc, .argv = argv};
    int result = STEP_DONE;
    for (size_t i = 0; result == STEP_DONE && i < sizeof(steps) / sizeof(steps[0]); i++)
        result = steps[i](&client);
    clean_up(&client);
    return result == STEP_DONE ? EXIT_FAILURE : result;
}
