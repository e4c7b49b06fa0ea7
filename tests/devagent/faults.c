/* The list of faults that a test asked for: which one meets which call, and how often. What a fault does to a
 * call is http.c's. */
#include "tests/devagent/agent.h"

#include <errno.h>
#include <stdlib.h>

static bool is_for_subscribe(enum devagent_fault_kind kind)
{
    return kind == DEVAGENT_FAULT_WRONG_TYPE || kind == DEVAGENT_FAULT_SILENT ||
           kind == DEVAGENT_FAULT_SHUTDOWN || kind == DEVAGENT_FAULT_END_AFTER_HEAD;
}

int devagent_add_fault(struct devagent *agent, const struct devagent_fault *given)
{
    if (given->kind == DEVAGENT_FAULT_CLOSE_BEFORE_BODY && given->calls != DEVAGENT_CALL_ANY)
        return -EINVAL;
    struct fault *fault = agent_alloc(sizeof(*fault));
    fault->public = *given;
    fault->skip = given->skip;
    fault->left = given->count == 0 ? 1 : given->count;
    fault->body = agent_copy(given->body);
    fault->public.body = fault->body;
    if (is_for_subscribe(given->kind))
        fault->public.calls = DEVAGENT_CALL_SUBSCRIBE;
    list_add(&agent->faults, fault);
    return 0;
}

void fault_free(void *arg)
{
    struct fault *fault = arg;
    free(fault->body);
    free(fault);
}

void devagent_clear_faults(struct devagent *agent)
{
    for (size_t i = 0; i < agent->faults.count; i++)
        ((struct fault *)agent->faults.items[i])->left = 0;
}

size_t devagent_faults_left(const struct devagent *agent)
{
    size_t left = 0;
    for (size_t i = 0; i < agent->faults.count; i++) {
        const struct fault *fault = agent->faults.items[i];
        left += fault->left < 0 ? 1 : (size_t)fault->left;
    }
    return left;
}

const struct devagent_fault *fault_take(struct devagent *agent, int call_type, bool before_body)
{
    for (size_t i = 0; i < agent->faults.count; i++) {
        struct fault *fault = agent->faults.items[i];
        bool early = fault->public.kind == DEVAGENT_FAULT_CLOSE_BEFORE_BODY;
        bool matches = fault->public.calls == DEVAGENT_CALL_ANY || (int)fault->public.calls == call_type;
        if (fault->left == 0 || early != before_body || !matches)
            continue;
        if (fault->skip > 0) {
            fault->skip--;
            continue;
        }
        if (fault->left > 0)
            fault->left--;
        return &fault->public;
    }
    return NULL;
}
