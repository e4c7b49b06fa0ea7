/*
 * Writes into the file that its first argument names, as "word=value" lines, the world in which it was
 * started: arguments, signals, descriptors, session, limits, user, environment.
 */
#include <dirent.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* As the kernel has them: the masks of blocked and ignored signals, in hexadecimal. */
static void write_signals(FILE *out)
{
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        if (strncmp(line, "SigBlk:\t", 8) == 0)
            fprintf(out, "blocked=%s", line + 8);
        else if (strncmp(line, "SigIgn:\t", 8) == 0)
            fprintf(out, "ignored=%s", line + 8);
    if (status != NULL)
        fclose(status);
}

/* Called before any file is opened here: the one for looking is left out. */
static void collect_descriptors(char *text, size_t size)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t used = 0;
    text[0] = '\0';
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(folder) && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s ", entry->d_name);
    closedir(folder);
}

static void write_input(FILE *out)
{
    char path[256];
    ssize_t n = readlink("/proc/self/fd/0", path, sizeof(path) - 1);
    path[n < 0 ? 0 : n] = '\0';
    fprintf(out, "input=%s\n", path);
}

static void write_limits(FILE *out)
{
    struct rlimit core = {0};
    int death_signal = 0;
    getrlimit(RLIMIT_CORE, &core);
    prctl(PR_GET_PDEATHSIG, &death_signal);
    fprintf(out, "core=%llu\ndeath_signal=%d\n", (unsigned long long)core.rlim_cur, death_signal);
    fprintf(out, "dumpable=%d\nno_new_privileges=%d\n", prctl(PR_GET_DUMPABLE),
            prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

int main(int argc, char **argv, char **envp)
{
    char descriptors[256];
    collect_descriptors(descriptors, sizeof(descriptors));
    FILE *out = argc < 2 ? NULL : fopen(argv[1], "we");
    if (out == NULL)
        return 1;
    fprintf(out, "descriptors=%s\n", descriptors);
    for (int i = 2; i < argc; i++)
        fprintf(out, "argument=%s\n", argv[i]);
    write_signals(out);
    write_input(out);
    write_limits(out);
    fprintf(out, "own_session=%d\nown_group=%d\n", getsid(0) == getpid(), getpgrp() == getpid());
    fprintf(out, "user=%d\ngroup=%d\ngroups=%d\n", (int)getuid(), (int)getgid(), getgroups(0, NULL));
    for (; *envp != NULL; envp++)
        fprintf(out, "environment=%s\n", *envp);
    fprintf(out, "end=\n");
    return fclose(out) == 0 ? 0 : 1;
}
