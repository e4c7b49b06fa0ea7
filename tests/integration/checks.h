#ifndef BULKHEAD_TESTS_INTEGRATION_CHECKS_H
#define BULKHEAD_TESTS_INTEGRATION_CHECKS_H

#include "tests/integration/support.h"

/*
 * What the tests of the conversation and of the settings look at: calls by kind, the order of updates, the
 * log as logfmt, a task that waits for a word, and the supervisor run by hand.
 */

/* A shell command that ends with this exit code as soon as the sandbox has the file `go`. */
#define UNTIL_GO(code) "while [ ! -e go ]; do sleep 0.01; done; exit " #code

/* Makes an empty file in the sandbox. */
void make_file(struct devagent *agent, const char *name);

/* Calls so far of this type (0: every type) and this status (0: every status). */
size_t count_calls(const struct devagent *agent, int type, unsigned status);

/* Waits until there are so many. */
void await_calls(struct devagent *agent, int type, unsigned status, size_t count);

/* Waits until the executor is subscribed and has subscribed so many times, and fails the test when it does
 * not. */
void await_subscribed(struct devagent *agent, size_t count);

/* Waits until an acknowledgement of every stored update has been written. */
void await_all_acknowledged(struct devagent *agent);

/*
 * Shows that everything that was sent to the executor so far has been taken: a small task that is launched
 * now has STARTING. Returns the number of updates that had come before it.
 */
size_t settle(struct devagent *agent);

/* No update of the first `before` ones, all of which the executor knows to be acknowledged, came again. */
void expect_never_again(struct devagent *agent, size_t before);

/*
 * New updates came in the order in which they were made, within each SUBSCRIBE all of them did, and no
 * SUBSCRIBE names one twice.
 */
void expect_in_order(struct devagent *agent);

/* How often the words are in the executor's stderr so far. */
size_t count_log(const struct devagent *agent, const char *words);

/* Waits for the words in the executor's stderr. */
void expect_log(struct devagent *agent, const char *words);

/*
 * NULL when every line of the text is a log line: logfmt that begins with time, level, component, pid and
 * msg, in printable characters. Else the first line that is not; good until the next call.
 */
const char *first_bad_log_line(const char *text);

/* The same of the executor's stderr so far; fails the test. */
void expect_logfmt(struct devagent *agent);

/* expect_in_order(), agent_end() and expect_logfmt() in one. */
void conversation_end(struct devagent *agent, int exit_code);

/* The supervisor run by hand to its end, with exactly this environment: what it wrote, and its exit code. */
struct by_hand {
    int exit_code; /* 128 and more: a signal */
    char out[128 * 1024];
    char err[16 * 1024];
};
void run_by_hand(const char *const argv[], const char *const environment[], struct by_hand *ret);

/* A certificate for 127.0.0.1 that signs itself, and its key: nobody has a reason to trust it. */
extern const char stranger_certificate[], stranger_key[];

#endif
