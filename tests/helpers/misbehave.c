/*
 * misbehave memory|descriptors|busy: takes all that it gets of one thing.
 * misbehave speak PID garbage|probed|record: says this to hookd in the place of its worker PID, through a
 * copy of the worker's own socket. Exits with 77 where the system does not allow that.
 *
 * Whatever it does it ends by itself after half a minute.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WORKER_SOCKET = 3, LIFETIME_S = 30, NOT_ALLOWED = 77 };

static int hog_memory(void)
{
    enum { BLOCK = 64 << 20, BLOCKS = 64 };
    for (int i = 0; i < BLOCKS; i++) {
        char *volatile block = malloc(BLOCK);
        if (block == NULL)
            return 9;
        block[0] = 1;
    }
    return 8;
}

static int hog_descriptors(void)
{
    enum { MOST = 100000 };
    int count = 0;
    while (count < MOST && open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
        count++;
    sleep(LIFETIME_S);
    return 9;
}

static int be_busy(void)
{
    time_t end = time(NULL) + LIFETIME_S;
    while (time(NULL) < end)
        continue;
    return 9;
}

/* As hookd/worker_frame.h has them. */
static const struct {
    const char *name;
    unsigned char bytes[16];
    size_t length;
} words[] = {
    {"garbage", {0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee}, 8},
    {"probed", {3, 0, 0, 0, 4, 1, 200, 0}, 8}, /* for a probe's worker only */
    {"record", {2, 0, 0, 0, 1, 1, 'x'}, 7},    /* for a hook's worker only */
};

static int speak(pid_t worker, const char *name)
{
    if (worker <= 1)
        return 2;
    int pidfd = (int)syscall(SYS_pidfd_open, worker, 0);
    int socket = pidfd >= 0 ? (int)syscall(SYS_pidfd_getfd, pidfd, WORKER_SOCKET, 0) : -1;
    if (socket < 0) {
        fprintf(stderr, "cannot copy the worker's socket: %s\n", strerror(errno));
        return errno == EPERM || errno == ENOSYS ? NOT_ALLOWED : 3;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i].name, name) == 0)
            return send(socket, words[i].bytes, words[i].length, MSG_NOSIGNAL) > 0 ? 0 : 4;
    return 2;
}

int main(int argc, char *argv[])
{
    const char *way = argc > 1 ? argv[1] : "";
    if (strcmp(way, "memory") == 0)
        return hog_memory();
    if (strcmp(way, "descriptors") == 0)
        return hog_descriptors();
    if (strcmp(way, "busy") == 0)
        return be_busy();
    return strcmp(way, "speak") == 0 && argc == 4 ? speak((pid_t)atoi(argv[2]), argv[3]) : 2;
}
