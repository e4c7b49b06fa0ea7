#ifndef BULKHEAD_COMMON_ENDPOINT_H
#define BULKHEAD_COMMON_ENDPOINT_H

#include <stdbool.h>

#include "common/config.h"

/* What the agent has told about where it listens. Strings may be NULL. */
struct endpoint_source {
    const char *agent_endpoint; /* MESOS_AGENT_ENDPOINT: host:port */
    const char *agent_pid;      /* MESOS_SLAVE_PID: slave(1)@host:port */
    const char *api_path;       /* begins with a slash */
    bool domain_socket; /* MESOS_DOMAIN_SOCKET is set; the connections themselves come from elsewhere */
    bool tls;
};

enum {
    ENDPOINT_HOST_MAX = 256,
    ENDPOINT_PATH_MAX = 512,
    ENDPOINT_URL_MAX = ENDPOINT_HOST_MAX + ENDPOINT_PATH_MAX + 32,
};

struct endpoint {
    char url[ENDPOINT_URL_MAX];
    bool tls;
    bool domain_socket;
    bool numeric_host; /* an address, not a name that has to be resolved */
};

/*
 * Makes the URL of the executor API.
 *
 * Over TCP it is host and port of agent_endpoint, or else those behind the '@' of agent_pid, and api_path. An
 * IPv6 address may stand with or without brackets: the port begins after the last ':'. Over the domain socket
 * the agent answers only below its own name, /slave(N) from agent_pid, and never with TLS (Mesos:
 * src/executor/executor.cpp, slave.cpp).
 *
 * Returns 0, or -EINVAL and in *ret_problem a constant text that names the setting at fault. Pure.
 */
int endpoint_make(const struct endpoint_source *source, struct endpoint *ret_endpoint,
                  const char **ret_problem);

/*
 * The same from the settings; the token, which goes into the head of each call, is judged too. The supervisor
 * asks before it starts anything, agent-client to know where to call. Returns and problem as endpoint_make();
 * the problem never holds a value. Pure.
 */
int endpoint_from_config(const struct config *config, struct endpoint *ret_endpoint,
                         const char **ret_problem);

#endif
