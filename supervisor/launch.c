/*
 * The last steps before a task's program runs, in the process that becomes it.
 *
 * The task must find a world in which no executor ever was: no signal blocked or ignored, no descriptor, no
 * limit, no privilege of ours. And it must not outlive its keeper: the death signal is set after the change
 * of user, which clears it (PR_SET_PDEATHSIG(2const)), and then the parent is looked at, since it may have
 * died before.
 */
#include "supervisor/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static _Noreturn void fail(int report, enum launch_stage stage, int error)
{
    struct launch_failure failure = {.stage = stage, .error = error};
    /* Nobody is left to tell when this fails; the keeper sees the exit status. */
    ssize_t n = write(report, &failure, sizeof(failure));
    (void)n;
    _exit(127);
}

static void reset_signals(void)
{
    for (int signal_number = 1; signal_number < NSIG; signal_number++)
        signal(signal_number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int use_null_input(void)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0)
        return -errno;
    int r = dup2(null, STDIN_FILENO) < 0 ? -errno : 0;
    close(null);
    return r;
}

static void restore_limits(const struct launch *launch)
{
    struct rlimit core = {.rlim_cur = launch->core_limit, .rlim_max = launch->core_maximum};
    setrlimit(RLIMIT_CORE, &core);
}

static void change_user(const struct launch *launch, int report)
{
    if (launch->user == NULL)
        return;
    errno = 0;
    struct passwd *user = getpwnam(launch->user);
    if (user == NULL)
        fail(report, LAUNCH_NO_USER, errno);
    if (geteuid() != 0 && user->pw_uid == geteuid())
        return;
    if (initgroups(launch->user, user->pw_gid) < 0 ||
        setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
        fail(report, LAUNCH_USER, errno);
    /* Getting it back must fail, or it was never given up. */
    if (user->pw_uid != 0 && setresuid((uid_t)-1, 0, (uid_t)-1) == 0)
        fail(report, LAUNCH_USER, EPERM);
}

_Noreturn void launch_exec(const struct launch *launch, pid_t parent, int report)
{
    reset_signals();
    if (setsid() < 0)
        fail(report, LAUNCH_SESSION, errno);
    int r = use_null_input();
    if (r < 0)
        fail(report, LAUNCH_SESSION, -r);
    if (launch->output_to_errors && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        fail(report, LAUNCH_SESSION, errno);
    restore_limits(launch);
    change_user(launch, report);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        fail(report, LAUNCH_SESSION, errno);
    if (getppid() != parent)
        _exit(127);

    environ = launch->envp; /* execvp looks for PATH there */
    execvp(launch->file, launch->argv);
    fail(report, LAUNCH_EXEC, errno);
}

void launch_describe(const struct launch *launch, const struct launch_failure *failure, char *text,
                     size_t size)
{
    const char *reason = failure->error != 0 ? strerror(failure->error) : "no such user";
    const char *user = launch->user != NULL ? launch->user : "";
    switch (failure->stage) {
    case LAUNCH_NO_USER:
        snprintf(text, size, "The user '%s' of the task's command is not known on this host (%s)", user,
                 reason);
        return;
    case LAUNCH_USER:
        snprintf(text, size, "Cannot become the user '%s' of the task's command: %s", user, reason);
        return;
    case LAUNCH_EXEC:
        snprintf(text, size, "Cannot execute '%s': %s", launch->file, reason);
        return;
    default:
        snprintf(text, size, "Cannot set up the task's process: %s", reason);
    }
}
