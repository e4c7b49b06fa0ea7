/*
 * Children that nobody of ours has started: the orphans of helpers and keepers.
 *
 * They come to the supervisor because it is a child subreaper, and none of them has any business being alive.
 */
#include "supervisor/strays.h"

#include <signal.h>
#include <unistd.h>

#include "supervisor/tree.h"

static void kill_with_descendants(pid_t pid)
{
    struct tree below;
    tree_init(&below, pid);
    tree_kill(&below);
    tree_clear(&below);
    kill(pid, SIGKILL); /* our own child, not reaped: the pid is its own */
}

int strays_kill(bool (*known)(void *arg, pid_t pid), void *arg)
{
    struct tree children;
    tree_init(&children, getpid());
    int count = tree_scan_children(&children);
    for (size_t i = 0; count >= 0 && i < children.count; i++) {
        if (known(arg, children.processes[i].pid))
            continue;
        kill_with_descendants(children.processes[i].pid);
        count++;
    }
    tree_clear(&children);
    return count;
}
