#ifndef BULKHEAD_HOOKD_HOOK_FOLDER_H
#define BULKHEAD_HOOKD_HOOK_FOLDER_H

#include <stddef.h>
#include <sys/stat.h>

/* The folder of executable hooks: which are in it, and whether each may be run. */
enum { HOOK_FOLDER_MOST = 256 };

struct hook_folder {
    int descriptor;
    char **names; /* in the order of their bytes; names that begin with '.' are left out */
    size_t count;
};

/*
 * Opens and lists it. Returns 0; a negative errno with *ret_problem saying what is wrong as the end of a
 * sentence ("is writable by others"): a folder that somebody else may change is refused as a file is.
 */
int hook_folder_open(const char *path, struct hook_folder *ret_folder, const char **ret_problem);
void hook_folder_clear(struct hook_folder *folder);

/* Why the file must not be run, as the end of a sentence; NULL when it may be. */
const char *hook_folder_judge(const struct hook_folder *folder, const char *name);

/*
 * Why something with this status must not be trusted: "belongs to somebody else than root and the executor's
 * user", "is writable by its group", "is writable by others". NULL when it may be. Pure.
 */
const char *hook_folder_judge_owner(const struct stat *status, uid_t executor);

#endif
