/*
 * hear NAME [WAY]: says "NAME ready PID" and then, in one write each, which signal it hears. SIGTERM ends it
 * with exit code 0, unless WAY says otherwise:
 *   ignore  it stays;
 *   later   it says "NAME says goodbye" 300 ms afterwards, and ends then;
 *   stop    it stops itself (SIGSTOP) as soon as it is ready.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (write(STDOUT_FILENO, line, (size_t)n) < 0)
        _exit(1);
}

int main(int argc, char *argv[])
{
    const char *name = argc > 1 ? argv[1] : "hear";
    const char *way = argc > 2 ? argv[2] : "";
    sigset_t heard;
    sigemptyset(&heard);
    sigaddset(&heard, SIGTERM);
    sigaddset(&heard, SIGINT);
    sigaddset(&heard, SIGHUP);
    sigprocmask(SIG_BLOCK, &heard, NULL);
    say("%s ready %d\n", name, (int)getpid());
    if (strcmp(way, "stop") == 0)
        raise(SIGSTOP);
    for (int number; sigwait(&heard, &number) == 0;) {
        say("%s heard %s\n", name, sigabbrev_np(number));
        if (number != SIGTERM || strcmp(way, "ignore") == 0)
            continue;
        if (strcmp(way, "later") == 0) {
            nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
            say("%s says goodbye\n", name);
        }
        return 0;
    }
    return 1;
}
