/* Children that nobody of ours has started: killed with all below them, those that are known left alone. */
#include "supervisor/strays.h"

#include <criterion/criterion.h>
#include <signal.h>

#include "support.h"

static pid_t start_family(void)
{
    int ready[2];
    char byte;
    cr_assert_eq(pipe(ready), 0);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid > 0) {
        cr_assert_eq(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        close(ready[1]);
        return pid;
    }
    signal(SIGTERM, SIG_IGN);
    alarm(100);
    if (fork() == 0) {
        setsid();
        alarm(100);
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
    }
    for (;;)
        pause();
}

static bool is_known(void *arg, pid_t pid)
{
    return *(pid_t *)arg == pid;
}

static bool no_strays(void *arg)
{
    int r = strays_kill(is_known, arg);
    cr_assert_geq(r, 0);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
    return r == 0;
}

Test(strays, are_killed_until_none_is_left, .timeout = 60)
{
    support_become_subreaper();
    pid_t nobody = 0;
    cr_assert_eq(strays_kill(is_known, &nobody), 0);
    pid_t known = start_family();
    start_family();
    start_family();
    cr_assert_eq(strays_kill(is_known, &known), 2);
    cr_assert(support_wait_for(no_strays, &known));
    cr_assert_eq(waitpid(known, NULL, WNOHANG), 0, "it killed one that is known");
    cr_assert(support_wait_for(no_strays, &nobody));
    cr_assert(support_no_children_left());
}

/* A zombie is still to be reaped, and counts until it is. */
Test(strays, a_zombie_counts_until_it_is_reaped, .timeout = 60)
{
    support_become_subreaper();
    pid_t nobody = 0;
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0)
        _exit(0);
    siginfo_t info;
    cr_assert_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    cr_assert_eq(strays_kill(is_known, &nobody), 1);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_eq(strays_kill(is_known, &nobody), 0);
}
