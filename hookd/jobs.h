#ifndef BULKHEAD_HOOKD_JOBS_H
#define BULKHEAD_HOOKD_JOBS_H

#include "common/config.h"
#include "common/helper_link.h"
#include "common/loop.h"
#include "hookd/worker.h"
#include "proto/bulkhead.pb-c.h"

/* The jobs that the supervisor has given and that have not ended: a hook's event or a probe each, beside each
 * other. */
struct jobs;

/* config, loop, link and workers must outlive it. Returns 0 or -ENOMEM. */
int jobs_new(const struct config *config, struct loop *loop, struct helper_link *link,
             struct workers *workers, struct jobs **ret_jobs);

/* The workers are not killed: workers_free() does that, first. NULL is accepted. */
void jobs_free(struct jobs *jobs);

/* The supervisor's messages. Each returns 0, or a negative errno that ends the conversation. */
int jobs_take_run(struct jobs *jobs, const Bulkhead__HookRun *run);
int jobs_take_probe(struct jobs *jobs, const Bulkhead__Probe *probe);
int jobs_take_cancel(struct jobs *jobs, const Bulkhead__JobCancel *cancel);
int jobs_take_record_taken(struct jobs *jobs, const Bulkhead__HookRecordTaken *taken);

#endif
