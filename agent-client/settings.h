#ifndef BULKHEAD_AGENT_CLIENT_SETTINGS_H
#define BULKHEAD_AGENT_CLIENT_SETTINGS_H

#include <stdint.h>

#include "agent-client/call.h"
#include "agent-client/http.h"
#include "common/config.h"

/* What the conversation with the agent needs to know. Strings belong to the configuration, which must outlive
 * this. */
struct settings {
    struct http_settings http; /* without the credentials: those are read by themselves */
    struct call_identity identity;
    int64_t window; /* MESOS_SUBSCRIPTION_BACKOFF_MAX, nanoseconds */
};

/*
 * Picks and checks. Returns 0, or -EINVAL and in *ret_problem a constant text that names the setting at fault
 * and never a value.
 */
int settings_make(const struct config *config, struct settings *ret_settings, const char **ret_problem);

#endif
