/* The agent's HTTP answers: every status of the contract, to both calls. */
#include "agent-client/answer.h"

#include <criterion/criterion.h>

#define CAUSE(name) BULKHEAD__DISCONNECTED__CAUSE__##name
#define PROTOBUF "application/x-protobuf"

struct row {
    long status;
    const char *type;
    const char *body;
    enum answer_verdict verdict;
    Bulkhead__Disconnected__Cause cause;
};

Test(answer, to_subscribe)
{
    static const struct row rows[] = {
        {200, PROTOBUF, NULL, ANSWER_ACCEPTED, 0},
        {200, "Application/X-Protobuf ; charset=x", NULL, ANSWER_ACCEPTED, 0},
        {200, "application/x-protobuf2", NULL, ANSWER_ENDS, CAUSE(BROKEN)},
        {200, "application/json", NULL, ANSWER_ENDS, CAUSE(BROKEN)},
        {200, NULL, NULL, ANSWER_ENDS, CAUSE(BROKEN)},
        {202, PROTOBUF, NULL, ANSWER_ENDS, CAUSE(BROKEN)},
        {204, PROTOBUF, NULL, ANSWER_ENDS, CAUSE(BROKEN)},
        {0, PROTOBUF, NULL, ANSWER_ENDS, CAUSE(BROKEN)},
        {301, PROTOBUF, NULL, ANSWER_ENDS, CAUSE(REJECTED)},
        {307, NULL, NULL, ANSWER_ENDS, CAUSE(REJECTED)},
        {400, NULL, "Framework cannot be found", ANSWER_ENDS, CAUSE(UNKNOWN_ID)},
        {400, NULL, "Executor cannot be found", ANSWER_ENDS, CAUSE(UNKNOWN_ID)},
        {400, NULL, "Failed to validate Executor::Call: x", ANSWER_ENDS, CAUSE(REJECTED)},
        {400, NULL, NULL, ANSWER_ENDS, CAUSE(REJECTED)},
        {401, NULL, "", ANSWER_ENDS, CAUSE(UNAUTHORIZED)},
        {403, NULL, "", ANSWER_ENDS, CAUSE(UNAUTHORIZED)},
        {404, NULL, "cannot be found", ANSWER_ENDS, CAUSE(UNAVAILABLE)},
        {405, NULL, "", ANSWER_ENDS, CAUSE(REJECTED)},
        {406, NULL, "", ANSWER_ENDS, CAUSE(REJECTED)},
        {408, NULL, "", ANSWER_ENDS, CAUSE(UNAVAILABLE)},
        {415, NULL, "", ANSWER_ENDS, CAUSE(REJECTED)},
        {429, NULL, "", ANSWER_ENDS, CAUSE(UNAVAILABLE)},
        {500, NULL, "", ANSWER_ENDS, CAUSE(UNAVAILABLE)},
        {501, NULL, "", ANSWER_ENDS, CAUSE(REJECTED)},
        {502, NULL, "", ANSWER_ENDS, CAUSE(UNAVAILABLE)},
        {503, NULL, "Agent has not finished recovery", ANSWER_ENDS, CAUSE(UNAVAILABLE)},
        {599, NULL, "", ANSWER_ENDS, CAUSE(UNAVAILABLE)},
        {600, NULL, "", ANSWER_ENDS, CAUSE(REJECTED)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct answer answer = answer_to_subscribe(rows[i].status, rows[i].type, rows[i].body);
        cr_assert_eq(answer.verdict, rows[i].verdict, "row %zu", i);
        cr_assert_eq(answer.cause, rows[i].cause, "row %zu", i);
    }
}

Test(answer, to_update)
{
    static const struct row rows[] = {
        {202, NULL, NULL, ANSWER_ACCEPTED, 0},
        {200, NULL, NULL, ANSWER_ACCEPTED, 0},
        {0, NULL, NULL, ANSWER_ENDS, CAUSE(BROKEN)},
        {307, NULL, NULL, ANSWER_ENDS, CAUSE(RESUBSCRIBE)},
        {400, NULL, "Executor cannot be found", ANSWER_ENDS, CAUSE(RESUBSCRIBE)},
        {400, NULL, "Framework cannot be found", ANSWER_ENDS, CAUSE(RESUBSCRIBE)},
        {400, NULL, "Failed to validate Executor::Call: x", ANSWER_REJECTED, 0},
        {400, NULL, NULL, ANSWER_REJECTED, 0},
        {401, NULL, NULL, ANSWER_ENDS, CAUSE(RESUBSCRIBE)},
        {403, NULL, "Executor is not subscribed", ANSWER_ENDS, CAUSE(RESUBSCRIBE)},
        {404, NULL, NULL, ANSWER_ENDS, CAUSE(RESUBSCRIBE)},
        {405, NULL, NULL, ANSWER_REJECTED, 0},
        {406, NULL, NULL, ANSWER_REJECTED, 0},
        {408, NULL, NULL, ANSWER_ENDS, CAUSE(RESUBSCRIBE)},
        {413, NULL, NULL, ANSWER_REJECTED, 0},
        {415, NULL, NULL, ANSWER_REJECTED, 0},
        {429, NULL, NULL, ANSWER_ENDS, CAUSE(RESUBSCRIBE)},
        {500, NULL, NULL, ANSWER_ENDS, CAUSE(RESUBSCRIBE)},
        {501, NULL, NULL, ANSWER_REJECTED, 0},
        {503, NULL, NULL, ANSWER_ENDS, CAUSE(RESUBSCRIBE)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct answer answer = answer_to_update(rows[i].status, rows[i].body);
        cr_assert_eq(answer.verdict, rows[i].verdict, "row %zu", i);
        cr_assert_eq(answer.cause, rows[i].cause, "row %zu", i);
    }
}
