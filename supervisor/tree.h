#ifndef BULKHEAD_SUPERVISOR_TREE_H
#define BULKHEAD_SUPERVISOR_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * The descendants of a process as /proc shows them, and signals to them. Only descendants of the calling
 * process are ever signalled, and only while it is certain that the process is the one meant.
 */

enum { TREE_COMM_SIZE = 16 };

struct tree_process {
    pid_t pid;
    pid_t parent;
    char state;                /* as in proc_pid_stat(5): R, S, D, T, Z, …, of its first thread */
    bool alive;                /* not a zombie: one whose first thread has ended lives on in the others */
    char comm[TREE_COMM_SIZE]; /* as the kernel keeps it: cut at 15 bytes, any byte possible */
};

struct tree {
    pid_t root;
    struct tree_process *processes; /* without the root; parents before their children */
    size_t count;
    size_t capacity;
    pid_t *slots; /* tree.c's: whose pid is in processes, by hash */
    size_t slot_count;
};

/* Starts empty. What is below root is complete only when root is a child subreaper. */
void tree_init(struct tree *tree, pid_t root);
void tree_clear(struct tree *tree);

/*
 * Reads the tree anew. What forks meanwhile may be missed: rescan until nothing new is found. Returns 0,
 * -ENOMEM, or a negative errno when /proc cannot be read. Does not block, but for /proc itself.
 */
int tree_scan(struct tree *tree);

/* The same for the root's own children alone. */
int tree_scan_children(struct tree *tree);

/*
 * Sends a signal to one process of the tree. Returns 0; -ESRCH when it is gone or its pid is another's by
 * now; -EPERM when it may not be signalled (it has changed its user). A zombie counts as
 * gone.
 */
int tree_signal(const struct tree *tree, const struct tree_process *process, int signal);

/*
 * Whether one of the names is the process's: compared without case with comm, and, since the kernel cuts that
 * at 15 bytes, with the last part of argv[0] where that begins with a comm of full length.
 */
bool tree_is_named(const struct tree_process *process, const char *const *names, size_t name_count);

/*
 * Kills everything below the root, but not the root: stops all, rescans until nothing new appears, kills all.
 * Returns the number of processes killed, or a negative errno when a scan has failed: what it and the one
 * before it had found is killed all the same. Whoever forks faster than this reads is met again by the next
 * call: call it until the tree is empty.
 */
int tree_kill(struct tree *tree);

/*
 * Writes the processes into text for a person: "1234 (nginx) in state D, 1235 (su) not permitted to kill", at
 * most size bytes with the NUL, control characters replaced, the rest counted. Zombies are left out. Returns
 * how many processes there are.
 */
size_t tree_describe(const struct tree *tree, char *text, size_t size);

#endif
