#ifndef BULKHEAD_COMMON_LANDLOCK_H
#define BULKHEAD_COMMON_LANDLOCK_H

/*
 * Landlock (landlock(7)): a process takes rights from itself, files' and others, for good. Own constants
 * where Debian 12's headers are older than the kernels that this runs on.
 */

/* The first ABIs that know a right. */
enum {
    LANDLOCK_ABI_FILES = 1,
    LANDLOCK_ABI_TCP = 4,    /* Linux 6.7 */
    LANDLOCK_ABI_SCOPES = 6, /* Linux 6.12 */
};

/* The kernel's ABI, from 1 on; or -ENOSYS, -EOPNOTSUPP where there is no Landlock. */
int landlock_abi(void);

/*
 * From here on this thread, and what it starts, may open for reading what is beneath the given paths, and
 * nothing else: no file is written, made, removed or executed; no TCP port is bound (from LANDLOCK_ABI_TCP
 * on); no process outside gets a signal from it, nor a connection to its abstract Unix sockets (from
 * LANDLOCK_ABI_SCOPES on). What is open stays open. abi is what landlock_abi() returned. readable ends with
 * NULL; a path that does not exist, or cannot be reached, is skipped. Needs no_new_privs. Returns 0 or a
 * negative errno.
 */
int landlock_confine(int abi, const char *const *readable);

#endif
