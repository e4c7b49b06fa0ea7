/*
 * A task with a family: actor FILE NAME... starts one process for each NAME, and itself plays the main one.
 * Each adds its name to FILE when SIGTERM comes, and ends. A NAME may begin with '!' (does not end then) and
 * '&' (daemonised: another session, orphaned). "ready" is added when all are there.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { LIFETIME = 100 }; /* seconds: a test that fails leaves nobody behind for longer */

static int file;
static const char *own_name;
static bool is_deaf;

static void add(const char *word)
{
    char line[64];
    size_t length = strnlen(word, sizeof(line) - 1);
    memcpy(line, word, length);
    line[length] = '\n';
    if (write(file, line, length + 1) < 0)
        _exit(3);
}

static void on_term(int signal_number)
{
    (void)signal_number;
    add(own_name);
    if (!is_deaf)
        _exit(0);
}

static _Noreturn void play(const char *name, int ready)
{
    own_name = name;
    prctl(PR_SET_NAME, name);
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);
    alarm(LIFETIME);
    if (write(ready, "x", 1) != 1)
        _exit(3);
    close(ready);
    for (;;)
        pause();
}

static void start(const char *name, int ready)
{
    if (fork() != 0)
        return;
    bool is_daemon = *name == '&';
    name += is_daemon;
    is_deaf = *name == '!';
    name += is_deaf;
    if (is_daemon && (setsid() < 0 || fork() != 0))
        _exit(0);
    play(name, ready);
}

int main(int argc, char **argv)
{
    int ready[2];
    char byte;
    if (argc < 2 || pipe(ready) < 0)
        return 2;
    file = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0)
        return 2;
    for (int i = 2; i < argc; i++)
        start(argv[i], ready[1]);
    for (int i = 2; i < argc; i++)
        if (read(ready[0], &byte, 1) != 1)
            return 2;
    struct sigaction action = {.sa_handler = on_term};
    own_name = "main";
    sigaction(SIGTERM, &action, NULL);
    alarm(LIFETIME);
    add("ready");
    for (;;)
        pause();
}
