#ifndef BULKHEAD_SUPERVISOR_ENVIRONMENT_H
#define BULKHEAD_SUPERVISOR_ENVIRONMENT_H

#include "proto/bulkhead.pb-c.h"

/*
 * Makes a task's environment: the executor's own less what is the executor's alone (ALLEGRO_EXECUTOR_*,
 * CONSUL_TOKEN, VAAS_HOST, VAAS_USERNAME, VAAS_TOKEN, MESOS_EXECUTOR_AUTHENTICATION_TOKEN), then the
 * variables of the command, then MESOS_ALLOCATION_ROLE where role is not NULL. One entry a name, the later
 * wins. command may be NULL. Returns a block for execve(2) that ends with NULL, to be freed with
 * environment_free(), or NULL when there is no memory. Pure.
 */
char **environment_for_task(char *const *own, const Bulkhead__Command *command, const char *role);

/*
 * The same block with variables added, the later of two equal names winning, and then MESOS_ALLOCATION_ROLE
 * as above. The old block is freed, also when NULL is returned for want of memory.
 */
char **environment_add(char **environment, Bulkhead__Variable *const *variables, size_t count,
                       const char *role);

void environment_free(char **environment);

#endif
