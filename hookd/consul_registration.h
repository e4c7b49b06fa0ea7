#ifndef BULKHEAD_HOOKD_CONSUL_REGISTRATION_H
#define BULKHEAD_HOOKD_CONSUL_REGISTRATION_H

#include "common/config.h"
#include "hookd/consul_service.h"
#include "proto/bulkhead.pb-c.h"

/*
 * The body of PUT /v1/agent/service/register for one service of a task, its check included; malloc'd. Only
 * fields that Consul 1.8 knows: an unknown one is an error there. Returns 0 or -ENOMEM. Pure.
 */
int consul_registration_make(const struct config *config, const Bulkhead__Task *task,
                             const struct consul_service *service, char **ret_json);

#endif
