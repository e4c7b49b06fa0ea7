/*
 * Where the agent can be reached, and when: the port and the domain socket, the HTTP server behind them, and
 * the agent's deaths and recoveries. Accepts connections itself and hands them to libmicrohttpd, which is
 * driven from outside by the agent's loop: no thread is ever started.
 */
#include "tests/devagent/agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- sockets ---- */

/* A socket bound to the port (0: any). Two of them may share it while neither is the other's listener: one
 * only holds the port while the agent is down, so that nobody else is given it. */
static int bind_tcp(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

int agent_bind(struct devagent *agent)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    agent->holder_fd = bind_tcp(0);
    if (agent->holder_fd < 0)
        return agent->holder_fd;
    if (getsockname(agent->holder_fd, (struct sockaddr *)&address, &len) < 0)
        return -errno;
    agent->port = ntohs(address.sin_port);
    if (agent->options.domain_socket)
        agent->socket_path = agent_format("%s/agent.sock", agent->root);
    return 0;
}

static int listen_tcp(struct devagent *agent)
{
    int fd = bind_tcp(agent->port);
    if (fd >= 0 && listen(fd, 64) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

static int listen_unix(struct devagent *agent)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(agent->socket_path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, agent->socket_path, strlen(agent->socket_path));
    unlink(agent->socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

void agent_accept(struct devagent *agent, int listen_fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    int on = 1, fd = accept4(listen_fd, (struct sockaddr *)&address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    agent->accepting_domain_socket = listen_fd == agent->unix_fd;
    if (!agent->accepting_domain_socket)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    bool secure = agent->secure && !agent->accepting_domain_socket;
    MHD_add_connection(secure ? agent->secure : agent->plain, fd, (struct sockaddr *)&address, len);
}

/* ---- server ---- */

__attribute__((format(printf, 2, 0))) static void server_log(void *cls, const char *format, va_list args)
{
    /* Its complaints are about connections that end, which is what tests do to it. */
    (void)cls, (void)format, (void)args;
}

static struct MHD_Daemon *start_server(struct devagent *agent, bool secure)
{
    const char *certificate =
        agent->options.tls_cert_pem ? agent->options.tls_cert_pem : tls_material_certificate;
    const char *key = agent->options.tls_key_pem ? agent->options.tls_key_pem : tls_material_key;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    return MHD_start_daemon(flags | (secure ? MHD_USE_TLS : 0), 0, NULL, NULL, http_access, agent,
                            MHD_OPTION_EXTERNAL_LOGGER, server_log, agent, MHD_OPTION_NOTIFY_COMPLETED,
                            http_completed, agent, MHD_OPTION_NOTIFY_CONNECTION, http_connection, agent,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(256 * 1024), MHD_OPTION_ARRAY,
                            secure ? tls : &tls[2], MHD_OPTION_END);
}

void connection_suspend(struct connection *connection)
{
    if (connection->suspended)
        return;
    connection->suspended = true;
    MHD_suspend_connection(connection->mhd);
}

void connection_resume(struct connection *connection)
{
    if (!connection->suspended)
        return;
    connection->suspended = false;
    connection->agent->resumed = true;
    MHD_resume_connection(connection->mhd);
}

static int64_t run_one(struct MHD_Daemon *daemon)
{
    MHD_UNSIGNED_LONG_LONG timeout;
    if (!daemon)
        return -1;
    MHD_run(daemon);
    return MHD_get_timeout(daemon, &timeout) == MHD_YES ? (int64_t)timeout : -1;
}

int64_t agent_run_server(struct devagent *agent)
{
    agent->resumed = false;
    int64_t plain = run_one(agent->plain), secure = run_one(agent->secure);
    /* the next run sees it; neither the server's timeout nor its descriptor tells of it */
    if (agent->resumed)
        return 0;
    if (plain < 0 || secure < 0)
        return plain < 0 ? secure : plain;
    return plain < secure ? plain : secure;
}

static void stop_server(struct MHD_Daemon **daemon)
{
    if (*daemon)
        MHD_stop_daemon(*daemon);
    *daemon = NULL;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- the agent's own life ---- */

static void close_everything(struct devagent *agent)
{
    close_fd(&agent->tcp_fd);
    close_fd(&agent->unix_fd);
    if (agent->stream)
        stream_end(agent, DEVAGENT_DROP_CUT);
    for (size_t i = 0; i < agent->connections.count; i++)
        connection_resume(agent->connections.items[i]);
    stop_server(&agent->plain);
    stop_server(&agent->secure);
}

void agent_unbind(struct devagent *agent)
{
    close_everything(agent);
    close_fd(&agent->holder_fd);
    list_clear(&agent->connections, NULL);
    if (agent->socket_path)
        unlink(agent->socket_path);
    free(agent->socket_path);
}

static int open_everything(struct devagent *agent)
{
    agent->plain = start_server(agent, false);
    if (agent->options.tls)
        agent->secure = start_server(agent, true);
    if (!agent->plain || (agent->options.tls && !agent->secure))
        return -EIO;
    agent->tcp_fd = listen_tcp(agent);
    if (agent->tcp_fd < 0)
        return agent->tcp_fd;
    if (agent->socket_path)
        agent->unix_fd = listen_unix(agent);
    return agent->socket_path && agent->unix_fd < 0 ? agent->unix_fd : 0;
}

/* A timer's argument is the life that it was set in: the timers of an earlier one do nothing. */
static bool is_of_this_life(struct devagent *agent, void *life)
{
    return (unsigned)(uintptr_t)life == agent->life && agent->state != AGENT_DOWN;
}

static void *this_life(const struct devagent *agent)
{
    return (void *)(uintptr_t)agent->life;
}

static void reregistration_over(struct devagent *agent, void *life)
{
    if (!is_of_this_life(agent, life))
        return;
    agent->state = AGENT_RUNNING;
    agent_say(agent, "the agent has finished recovery");
    if (!agent->registered && agent->ever_registered)
        launch_destroy_container(agent, "it did not come back in time after the agent's restart");
}

static void recovery_over(struct devagent *agent, void *life)
{
    if (!is_of_this_life(agent, life))
        return;
    bool expects_one = agent->ever_registered && agent->known == DEVAGENT_KNOWN;
    agent->state = expects_one ? AGENT_RECONNECTING : AGENT_RUNNING;
    if (expects_one)
        agent_after(agent, agent->options.reregistration_timeout_ms, reregistration_over, life);
}

int devagent_listen(struct devagent *agent, int64_t recovering_ms)
{
    if (agent->state != AGENT_DOWN)
        return -EALREADY;
    int r = open_everything(agent);
    if (r < 0) {
        close_everything(agent);
        return r;
    }
    agent->state = AGENT_RECOVERING;
    agent_say(agent, "the agent listens on 127.0.0.1:%u", agent->port);
    if (recovering_ms > 0)
        agent_after(agent, recovering_ms, recovery_over, this_life(agent));
    else
        recovery_over(agent, this_life(agent));
    return 0;
}

void devagent_stop(struct devagent *agent)
{
    if (agent->state == AGENT_DOWN)
        return;
    agent->state = AGENT_DOWN;
    agent->life++;
    agent->registered = false;
    list_clear(&agent->pending_acks, NULL);
    close_everything(agent);
    agent_say(agent, "the agent is down");
}

static void revive(struct devagent *agent, void *life)
{
    if (life != this_life(agent) || agent->state != AGENT_DOWN)
        return;
    int r = devagent_listen(agent, agent->recovering_ms);
    if (r < 0)
        agent_say(agent, "the agent cannot listen again: %s", strerror(-r));
}

void devagent_restart(struct devagent *agent, int64_t down_ms, int64_t recovering_ms)
{
    devagent_stop(agent);
    if (!agent->options.checkpoint)
        agent->known = DEVAGENT_FRAMEWORK_UNKNOWN;
    agent->recovering_ms = recovering_ms;
    agent_after(agent, down_ms, revive, this_life(agent));
}

void devagent_set_known(struct devagent *agent, enum devagent_known known)
{
    agent->known = known;
}
