#ifndef BULKHEAD_TESTS_SEND_SIGNAL_H
#define BULKHEAD_TESTS_SEND_SIGNAL_H

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/types.h>

/*
 * kill(2) for tests. A pid that was not found is 0 or -1, which the kernel takes for everybody of this group
 * or everybody at all: that fails the test and is not sent.
 */
static inline int send_signal(pid_t pid, int number)
{
    cr_assert_gt(pid, 1, "signal %d is not sent to pid %d", number, (int)pid);
    return kill(pid, number);
}

#endif
