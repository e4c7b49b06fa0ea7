/*
 * Becomes root altogether, real and saved ids too, when its file is setuid root: nobody but root can signal
 * it then. Says "root ready PID", hears nothing, and ends after two minutes.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) {
        perror("become_root");
        return 1;
    }
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    printf("root ready %d\n", (int)getpid());
    fflush(stdout);
    sleep(120);
    return 0;
}
