#ifndef BULKHEAD_AGENT_CLIENT_TASKINFO_H
#define BULKHEAD_AGENT_CLIENT_TASKINFO_H

#include <stddef.h>

#include "proto/bulkhead.pb-c.h"

/* A task in the supervisor's words. It borrows from the Mesos message that it was made from, and keeps that
 * alive. */
struct taskinfo;

/*
 * Reads a TaskInfo. raw must stay as it is until taskinfo_free(): the task's raw field points to it. Returns
 * 0, -EBADMSG when it is no TaskInfo, or -ENOMEM. Whether the task makes sense is the supervisor's to judge;
 * only an id it has for certain, -ENODATA without.
 */
int taskinfo_read(const unsigned char *raw, size_t size, struct taskinfo **ret_task);

/* NULL is accepted. */
void taskinfo_free(struct taskinfo *task);

/* The message that goes to the supervisor; lives as long as the task. */
Bulkhead__Task *taskinfo_message(struct taskinfo *task);

/* Variables that were left out because their value is a reference to a secret store. */
size_t taskinfo_secret_count(const struct taskinfo *task);

#endif
