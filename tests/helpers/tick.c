/*
 * tick: says "tick PID MILLISECONDS" every 10 ms, until it is killed. Whoever reads it sees whether it was
 * ever held up.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    for (;;) {
        struct timespec now;
        char line[64];
        clock_gettime(CLOCK_MONOTONIC, &now);
        int n = snprintf(line, sizeof(line), "tick %d %lld\n", (int)getpid(),
                         (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
        if (write(STDOUT_FILENO, line, (size_t)n) != n)
            return 1;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}
