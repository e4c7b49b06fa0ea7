/*
 * daemonise NAME COUNT exit|stay: starts COUNT daemons called NAME, each orphaned, in a session of its own,
 * deaf to all signals but SIGKILL and with standard output open; says "NAME ready PID" when all are there,
 * and then exits with 0 or stays to be killed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void be_daemon(const char *name, int ready)
{
    static const int numbers[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        signal(numbers[i], SIG_IGN);
    prctl(PR_SET_NAME, name);
    if (write(ready, "", 1) != 1)
        _exit(1);
    close(ready);
    for (;;)
        pause();
}

static void start_daemon(const char *name, int ready)
{
    pid_t middle = fork();
    if (middle == 0) {
        setsid();
        if (fork() == 0)
            be_daemon(name, ready);
        _exit(0);
    }
    waitpid(middle, NULL, 0);
}

int main(int argc, char *argv[])
{
    int pipes[2];
    if (argc != 4 || pipe(pipes) < 0)
        return 1;
    int count = atoi(argv[2]);
    for (int i = 0; i < count; i++)
        start_daemon(argv[1], pipes[1]);
    char byte;
    for (int i = 0; i < count; i++)
        if (read(pipes[0], &byte, 1) != 1)
            return 1;
    printf("%s ready %d\n", argv[1], (int)getpid());
    fflush(stdout);
    if (strcmp(argv[3], "stay") == 0)
        pause();
    return 0;
}
