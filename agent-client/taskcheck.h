#ifndef BULKHEAD_AGENT_CLIENT_TASKCHECK_H
#define BULKHEAD_AGENT_CLIENT_TASKCHECK_H

#include "proto/bulkhead.pb-c.h"
#include "proto/mesos_v1.pb-c.h"

/*
 * Mesos' health checks and checks in the supervisor's words. What the framework left out carries Mesos'
 * default; a type that it left out is told from the one sub-message that is there (Mesos before 1.2 had no
 * types). Whether the result makes sense is the supervisor's to judge. The message borrows from what it was
 * made of; *ret_command is the command to be read into it, or NULL. Pure.
 */
void taskcheck_read_health(const Mesos__V1__HealthCheck *from, Bulkhead__Check *ret_check,
                           const Mesos__V1__CommandInfo **ret_command);
void taskcheck_read(const Mesos__V1__CheckInfo *from, Bulkhead__Check *ret_check,
                    const Mesos__V1__CommandInfo **ret_command);

#endif
