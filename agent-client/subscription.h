#ifndef BULKHEAD_AGENT_CLIENT_SUBSCRIPTION_H
#define BULKHEAD_AGENT_CLIENT_SUBSCRIPTION_H

#include "agent-client/link.h"
#include "agent-client/settings.h"
#include "agent-client/title.h"
#include "common/loop.h"
#include "proto/bulkhead.pb-c.h"

/*
 * The conversation with the agent: attempts, subscriptions and the waits between them, for as long as the
 * supervisor wants. How long is too long is the supervisor's affair.
 */
struct subscription;

/* Borrows everything; the title shows how it stands. Returns 0 or -ENOMEM. */
int subscription_new(struct loop *loop, struct link *link, const struct settings *settings,
                     const struct title *title, struct subscription **ret_subscription);

/* NULL is accepted. */
void subscription_free(struct subscription *subscription);

/* Begins the first attempt. */
void subscription_start(struct subscription *subscription);

/*
 * What the supervisor says. Each returns 0, -EPROTO when it was not the time for it, or -ENOMEM: both end the
 * conversation with the supervisor. The descriptor belongs to the subscription in every case.
 */
int subscription_take_list_task(struct subscription *subscription, const Bulkhead__ListTask *task);
int subscription_take_list_update(struct subscription *subscription, const Bulkhead__Update *update);
int subscription_take_socket(struct subscription *subscription, int descriptor);
int subscription_take_subscribe(struct subscription *subscription, const Bulkhead__Subscribe *subscribe);
int subscription_take_update(struct subscription *subscription, const Bulkhead__Update *update);

#endif
