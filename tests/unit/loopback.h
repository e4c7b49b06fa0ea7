#ifndef BULKHEAD_TESTS_UNIT_LOOPBACK_H
#define BULKHEAD_TESTS_UNIT_LOOPBACK_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * A small HTTP server on 127.0.0.1, in a child of the test: one connection after the other, one request on
 * each. What it heard is in memory that both share. The child dies with the test.
 */
enum { LOOPBACK_REQUESTS_MAX = 64, LOOPBACK_HEAD_MAX = 4096, LOOPBACK_BODY_MAX = 8192 };

struct loopback_request {
    char head[LOOPBACK_HEAD_MAX]; /* request line and headers */
    char body[LOOPBACK_BODY_MAX];
};

struct loopback_heard {
    volatile unsigned count;
    struct loopback_request requests[LOOPBACK_REQUESTS_MAX];
};

/*
 * Answers request number (from 0) on connection, which is closed afterwards. May block or do nothing. request
 * is NULL for a server that reads nothing by itself.
 */
typedef void (*loopback_fn)(int connection, unsigned number, const struct loopback_request *request,
                            const void *arg);

struct loopback {
    pid_t pid;
    uint16_t port;
    struct loopback_heard *heard;
};

static inline void loopback_write(int connection, const char *text)
{
    for (size_t length = strlen(text); length > 0;) {
        ssize_t n = send(connection, text, length, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        text += n;
        length -= (size_t)n;
    }
}

/* One whole answer; headers may be "", else each ends with CR and LF. */
static inline void loopback_answer(int connection, int status, const char *headers, const char *body)
{
    char head[LOOPBACK_HEAD_MAX];
    snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
             status, headers, strlen(body));
    loopback_write(connection, head);
    loopback_write(connection, body);
}

static inline size_t loopback_content_length(const char *head)
{
    const char *line = strcasestr(head, "\r\nContent-Length:");
    return line != NULL ? strtoul(line + strlen("\r\nContent-Length:"), NULL, 10) : 0;
}

static inline void loopback_read(int connection, struct loopback_request *request)
{
    size_t used = 0;
    size_t want = 0;
    char *end = NULL;
    while (end == NULL && used < sizeof(request->head) - 1) {
        ssize_t n = read(connection, request->head + used, 1);
        if (n <= 0)
            return;
        used++;
        request->head[used] = '\0';
        end = used >= 4 && strcmp(request->head + used - 4, "\r\n\r\n") == 0 ? request->head + used : NULL;
    }
    want = loopback_content_length(request->head);
    for (used = 0; used < want && used < sizeof(request->body) - 1;) {
        ssize_t n = read(connection, request->body + used, want - used);
        if (n <= 0)
            return;
        used += (size_t)n;
    }
}

static inline void loopback_serve(int listener, struct loopback_heard *heard, bool reads, loopback_fn answer,
                                  const void *arg)
{
    for (;;) {
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        unsigned number = heard->count;
        if (connection < 0 || number >= LOOPBACK_REQUESTS_MAX)
            _exit(1);
        struct loopback_request *request = &heard->requests[number];
        if (reads)
            loopback_read(connection, request);
        heard->count = number + 1;
        answer(connection, number, reads ? request : NULL, arg);
        shutdown(connection, SHUT_WR);
        char rest[512];
        while (recv(connection, rest, sizeof(rest), MSG_DONTWAIT) > 0)
            continue;
        close(connection);
    }
}

static inline struct loopback loopback_start_on(int listener, bool reads, loopback_fn answer, const void *arg)
{
    struct loopback loopback = {.pid = -1};
    loopback.heard =
        mmap(NULL, sizeof(*loopback.heard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)loopback.heard, MAP_FAILED);
    pid_t parent = getpid();
    loopback.pid = fork();
    cr_assert_geq(loopback.pid, 0);
    if (loopback.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        loopback_serve(listener, loopback.heard, reads, answer, arg);
    }
    close(listener);
    return loopback;
}

/* A socket that listens on a free port of 127.0.0.1. */
static inline int loopback_listen(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(listener, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(listener, 16), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return listener;
}

/* A server that reads each request before it answers. */
static inline struct loopback loopback_start(loopback_fn answer, const void *arg)
{
    uint16_t port = 0;
    int listener = loopback_listen(&port);
    struct loopback loopback = loopback_start_on(listener, true, answer, arg);
    loopback.port = port;
    return loopback;
}

static inline void loopback_stop(struct loopback *loopback)
{
    if (loopback->pid > 1) {
        kill(loopback->pid, SIGKILL);
        waitpid(loopback->pid, NULL, 0);
    }
    loopback->pid = -1;
    munmap(loopback->heard, sizeof(*loopback->heard));
}

/* "http://127.0.0.1:PORT" and path. A static buffer. */
static inline const char *loopback_url(const struct loopback *loopback, const char *path)
{
    static char url[1024];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", (unsigned)loopback->port, path);
    return url;
}

/* Whether request number begins with "METHOD path ". */
static inline bool loopback_heard_line(const struct loopback *loopback, unsigned number, const char *line)
{
    return number < loopback->heard->count &&
           strncmp(loopback->heard->requests[number].head, line, strlen(line)) == 0;
}

#endif
