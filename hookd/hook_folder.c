/*
 * The folder of executable hooks, and who might have written what is in it.
 *
 * Hooks run as the executor's user, often root: a file that somebody else can change is a way to become that
 * user. Must never leave out in silence what the operator has put there: what may not be run is an error that
 * names the file.
 */
#include "hookd/hook_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *hook_folder_judge_owner(const struct stat *status, uid_t executor)
{
    if (status->st_uid != 0 && status->st_uid != executor)
        return "belongs to somebody else than root and the executor's user";
    if ((status->st_mode & S_IWOTH) != 0)
        return "is writable by others";
    if ((status->st_mode & S_IWGRP) != 0)
        return "is writable by its group";
    return NULL;
}

const char *hook_folder_judge(const struct hook_folder *folder, const char *name)
{
    struct stat status;
    if (fstatat(folder->descriptor, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return "cannot be looked at";
    if (!S_ISREG(status.st_mode))
        return "is not a regular file";
    const char *problem = hook_folder_judge_owner(&status, geteuid());
    if (problem == NULL && (status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0)
        problem = "is not executable";
    return problem;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(struct hook_folder *folder, const char *name)
{
    if (folder->count == HOOK_FOLDER_MOST)
        return -E2BIG;
    folder->names[folder->count] = strdup(name);
    if (folder->names[folder->count] == NULL)
        return -ENOMEM;
    folder->count++;
    return 0;
}

static int list(struct hook_folder *folder)
{
    int copy = dup(folder->descriptor);
    DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
    if (entries == NULL) {
        int r = -errno;
        if (copy >= 0)
            close(copy);
        return r;
    }
    int r = 0;
    errno = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(entries)) != NULL;)
        if (entry->d_name[0] != '.')
            r = add_name(folder, entry->d_name);
    if (r == 0 && errno != 0)
        r = -errno;
    closedir(entries);
    return r;
}

static int open_and_list(const char *path, struct hook_folder *folder, const char **ret_problem)
{
    struct stat status;
    *ret_problem = "cannot be opened";
    folder->descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->descriptor < 0 || fstat(folder->descriptor, &status) < 0)
        return -errno;
    const char *problem = hook_folder_judge_owner(&status, geteuid());
    if (problem != NULL) {
        *ret_problem = problem;
        return -EPERM;
    }
    folder->names = calloc(HOOK_FOLDER_MOST, sizeof(*folder->names));
    int r = folder->names != NULL ? list(folder) : -ENOMEM;
    *ret_problem = r == -E2BIG ? "has more than 256 files" : "cannot be read";
    return r;
}

int hook_folder_open(const char *path, struct hook_folder *ret_folder, const char **ret_problem)
{
    struct hook_folder folder = {.descriptor = -1};
    int r = open_and_list(path, &folder, ret_problem);
    if (r < 0) {
        hook_folder_clear(&folder);
        return r;
    }
    if (folder.count > 1) /* an empty folder has no list at all */
        qsort(folder.names, folder.count, sizeof(*folder.names), compare_names);
    *ret_folder = folder;
    return 0;
}

void hook_folder_clear(struct hook_folder *folder)
{
    if (folder->descriptor >= 0)
        close(folder->descriptor);
    for (size_t i = 0; i < folder->count; i++)
        free(folder->names[i]);
    free(folder->names);
    *folder = (struct hook_folder){.descriptor = -1};
}
