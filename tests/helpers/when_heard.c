/*
 * Says "ready", and when SIGTERM comes "heard at NANOSECONDS", by CLOCK_MONOTONIC; then it ends.
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>

int main(void)
{
    sigset_t heard;
    int number;
    struct timespec now;
    sigemptyset(&heard);
    sigaddset(&heard, SIGTERM);
    sigprocmask(SIG_BLOCK, &heard, NULL);
    puts("ready");
    fflush(stdout);
    if (sigwait(&heard, &number) != 0 || clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        return 1;
    printf("heard at %lld\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec);
    return 0;
}
