/*
 * Prints the world that a program finds itself in, one fact a line: arguments, environment, ids, signals,
 * descriptors, limits, death signal. "end of world" is the last line.
 */
#include <dirent.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void show_words(int argc, char *argv[])
{
    for (int i = 0; i < argc; i++)
        printf("argv %d %s\n", i, argv[i]);
    for (char **entry = environ; *entry != NULL; entry++)
        printf("env %s\n", *entry);
}

static void show_ids(void)
{
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;
    if (getresuid(&real, &effective, &saved) < 0 ||
        getresgid(&real_group, &effective_group, &saved_group) < 0)
        exit(1);
    printf("uid %u %u %u\n", real, effective, saved);
    printf("gid %u %u %u\n", real_group, effective_group, saved_group);
    gid_t groups[256];
    int count = getgroups(256, groups);
    for (int i = 0; i < count; i++)
        printf("group %u\n", groups[i]);
    printf("leads its session: %s\n", getsid(0) == getpid() && getpgrp() == getpid() ? "yes" : "no");
}

/* What signals and privileges are like, as the kernel tells it. Handlers do not survive an exec. */
static void show_status(void)
{
    static const char *const wanted[] = {"SigBlk:", "SigIgn:", "NoNewPrivs:", "Seccomp:"};
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
            if (strncmp(line, wanted[i], strlen(wanted[i])) == 0)
                fputs(line, stdout);
    if (file != NULL)
        fclose(file);
    struct rlimit core;
    if (getrlimit(RLIMIT_CORE, &core) == 0)
        printf("core %llu %llu\n", (unsigned long long)core.rlim_cur, (unsigned long long)core.rlim_max);
    int death_signal = 0;
    prctl(PR_GET_PDEATHSIG, &death_signal);
    printf("death signal %d\ndumpable %d\n", death_signal, prctl(PR_GET_DUMPABLE));
}

static void show_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        exit(1);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char target[PATH_MAX];
        int descriptor = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || descriptor == dirfd(folder))
            continue;
        ssize_t n = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        printf("fd %d %s\n", descriptor, target);
    }
    closedir(folder);
}

int main(int argc, char *argv[])
{
    show_words(argc, argv);
    show_ids();
    show_status();
    show_descriptors();
    char folder[PATH_MAX];
    printf("cwd %s\n", getcwd(folder, sizeof(folder)) != NULL ? folder : "?");
    puts("end of world");
    return 0;
}
