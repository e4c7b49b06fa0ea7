/*
 * fork_storm CHAINS: processes that are never the same for long. Each forks its successor into a session of
 * its own and exits a moment later, deaf to SIGTERM; the number of chains stays what it is. After half a
 * minute they end by themselves, so that a failed test leaves no storm behind.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LIFETIME_S = 30 };

static time_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

static void be_chain(void)
{
    time_t end = now() + LIFETIME_S;
    while (now() < end) {
        pid_t successor = fork();
        if (successor > 0) {
            nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
            _exit(0);
        }
        setsid();
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    _exit(0);
}

int main(int argc, char *argv[])
{
    signal(SIGTERM, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    for (int i = argc > 1 ? atoi(argv[1]) : 4; i > 0; i--)
        if (fork() == 0)
            be_chain();
    printf("storm ready %d\n", (int)getpid());
    fflush(stdout);
    sleep(LIFETIME_S);
    return 0;
}
