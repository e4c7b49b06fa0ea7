/*
 * Probes: does a task's port answer, and what.
 *
 * Plain TCP and HTTP are spoken by hand, in a few system calls and without libcurl, since probes are what
 * hookd does all day; HTTPS is http_client's. As with Mesos' own checker, which calls curl: redirects are
 * followed, certificates are not verified, and the whole answer has to come within the timeout, though
 * nothing of its body is kept. Runs in workers that hold no secret. Must never judge a status: that is the
 * supervisor's.
 */
#include "hookd/probe.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/loop.h"
#include "hookd/http_answer.h"
#include "hookd/http_client.h"
#include "hookd/url.h"
#include "hookd/words.h"

struct visit {
    const Bulkhead__Probe *probe;
    int64_t deadline;
    struct url url;
    struct http_answer answer; /* of plain HTTP; in HTTPS its status and location are filled in */
    struct probe_outcome *outcome;
};

bool probe_is_valid(const Bulkhead__Probe *probe)
{
    return (probe->type == BULKHEAD__CHECK__TYPE__HTTP || probe->type == BULKHEAD__CHECK__TYPE__TCP) &&
           probe->host != NULL && probe->port > 0 && probe->port <= UINT16_MAX;
}

bool probe_needs_http_client(const Bulkhead__Probe *probe)
{
    return probe->type == BULKHEAD__CHECK__TYPE__HTTP && probe->scheme != NULL &&
           strcasecmp(probe->scheme, "https") == 0;
}

/* ---- words ---- */

/* The host stands between the two texts. Returns -1, for its callers to return. */
static int fail(struct visit *visit, const char *before, const char *after)
{
    char host[URL_HOST_SIZE + 16];
    url_format_host(&visit->url, host);
    snprintf(visit->outcome->text, sizeof(visit->outcome->text), "%s%s%s", before, host, after);
    return -1;
}

static int fail_by_errno(struct visit *visit, int error)
{
    char host[URL_HOST_SIZE + 16];
    switch (error) {
    case ETIMEDOUT:
        words_for_timeout("no answer in", visit->probe->timeout, visit->outcome->text,
                          sizeof(visit->outcome->text));
        return -1;
    case ECONNREFUSED:
        return fail(visit, "connection refused by ", "");
    case ECONNRESET:
    case EPIPE:
        return fail(visit, "connection reset by ", "");
    default:
        url_format_host(&visit->url, host);
        snprintf(visit->outcome->text, sizeof(visit->outcome->text), "cannot reach %s: %s", host,
                 strerror(error));
        return -1;
    }
}

/* ---- a connection ---- */

/* Returns 0 when the socket is ready, or an errno. */
static int await(int socket, short events, int64_t deadline)
{
    for (;;) {
        struct timespec left = {0};
        if (deadline != INT64_MAX) {
            int64_t span = deadline - loop_now();
            if (span <= 0)
                return ETIMEDOUT;
            left = (struct timespec){.tv_sec = span / LOOP_SECOND, .tv_nsec = span % LOOP_SECOND};
        }
        struct pollfd one = {.fd = socket, .events = events};
        int n = ppoll(&one, 1, deadline != INT64_MAX ? &left : NULL, NULL);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return errno;
    }
}

/*
 * A port that nobody listens on may be chosen as the near end of the very connection that looks for it, which
 * then reaches itself (tcp simultaneous open, RFC 9293, 3.5).
 */
static bool is_connected_to_itself(int socket)
{
    struct sockaddr_storage near, far;
    socklen_t near_size = sizeof(near);
    socklen_t far_size = sizeof(far);
    memset(&near, 0, sizeof(near));
    memset(&far, 0, sizeof(far));
    return getsockname(socket, (struct sockaddr *)&near, &near_size) == 0 &&
           getpeername(socket, (struct sockaddr *)&far, &far_size) == 0 && near_size == far_size &&
           memcmp(&near, &far, near_size) == 0;
}

static int finish_connecting(int socket, int64_t deadline)
{
    int error = await(socket, POLLOUT, deadline);
    if (error != 0)
        return error;
    socklen_t size = sizeof(error);
    return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

static int connect_to(const struct addrinfo *address, int64_t deadline, int *ret_socket)
{
    int socket_fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (socket_fd < 0)
        return errno;
    int error = connect(socket_fd, address->ai_addr, address->ai_addrlen) < 0 ? errno : 0;
    if (error == EINPROGRESS)
        error = finish_connecting(socket_fd, deadline);
    if (error == 0 && is_connected_to_itself(socket_fd))
        error = ECONNREFUSED;
    if (error != 0) {
        close(socket_fd);
        return error;
    }
    *ret_socket = socket_fd;
    return 0;
}

/* Tries one address after another. The first is always numeric; a redirect may lead to a name. */
static int open_connection(struct visit *visit, int *ret_socket)
{
    char port[8];
    snprintf(port, sizeof(port), "%u", (unsigned)visit->url.port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST};
    struct addrinfo *addresses = NULL;
    int r = getaddrinfo(visit->url.host, port, &hints, &addresses);
    if (r == EAI_NONAME) {
        hints.ai_flags = AI_NUMERICSERV;
        r = getaddrinfo(visit->url.host, port, &hints, &addresses);
    }
    if (r != 0)
        return fail(visit, "there is no address for ", "");
    int error = EADDRNOTAVAIL;
    for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next) {
        error = connect_to(address, visit->deadline, ret_socket);
        if (error == 0 || error == ETIMEDOUT)
            break;
    }
    freeaddrinfo(addresses);
    return error == 0 ? 0 : fail_by_errno(visit, error);
}

/* ---- plain HTTP ---- */

static int send_request(struct visit *visit, int socket)
{
    char host[URL_HOST_SIZE + 16];
    char request[URL_PATH_SIZE + URL_HOST_SIZE + 256];
    url_format_host(&visit->url, host);
    int length = snprintf(request, sizeof(request),
                          "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bulkhead/" BULKHEAD_VERSION
                          "\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                          visit->url.path, host);
    for (int sent = 0; sent < length;) {
        ssize_t n = send(socket, request + sent, (size_t)(length - sent), MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (int)n;
            continue;
        }
        int error = errno == EAGAIN ? await(socket, POLLOUT, visit->deadline) : errno;
        /* Who answers before it has read all, and closes, has answered all the same. */
        if (error == EPIPE || error == ECONNRESET)
            return 0;
        if (error != 0 && error != EINTR)
            return fail_by_errno(visit, error);
    }
    return 0;
}

static bool is_redirect(const struct http_answer *answer)
{
    return answer->status >= 300 && answer->status < 400 && answer->has_location;
}

/* The body of a redirect is nobody's concern. */
static bool is_enough(const struct http_answer *answer)
{
    return answer->state == HTTP_ANSWER_COMPLETE ||
           (answer->state == HTTP_ANSWER_BODY && is_redirect(answer));
}

static int judge_parsing(struct visit *visit, int r)
{
    return r == -EMSGSIZE ? fail(visit, "the headers from ", " are too long")
                          : fail(visit, "the answer from ", " is no HTTP");
}

static int judge_closing(struct visit *visit)
{
    struct http_answer *answer = &visit->answer;
    if (http_answer_end(answer) == 0)
        return 0;
    if (answer->state == HTTP_ANSWER_BODY)
        return fail(visit, "the answer from ", " was cut off");
    return fail(visit, "the connection was closed by ", " before an answer");
}

static int judge_receiving(struct visit *visit, int error)
{
    if (error == ETIMEDOUT && visit->answer.state == HTTP_ANSWER_BODY) {
        words_for_timeout("the answer did not end in", visit->probe->timeout, visit->outcome->text,
                          sizeof(visit->outcome->text));
        return -1;
    }
    return fail_by_errno(visit, error);
}

static int receive_answer(struct visit *visit, int socket)
{
    char bytes[16 * 1024];
    http_answer_init(&visit->answer);
    while (!is_enough(&visit->answer)) {
        /* Looked at each time: who never stops sending never makes us wait. */
        int error = loop_now() < visit->deadline ? 0 : ETIMEDOUT;
        ssize_t n = error == 0 ? recv(socket, bytes, sizeof(bytes), 0) : -1;
        if (n > 0) {
            int r = http_answer_feed(&visit->answer, bytes, (size_t)n);
            if (r < 0)
                return judge_parsing(visit, r);
            continue;
        }
        if (n == 0)
            return judge_closing(visit);
        if (error == 0)
            error = errno == EAGAIN ? await(socket, POLLIN, visit->deadline) : errno;
        if (error != 0 && error != EINTR)
            return judge_receiving(visit, error);
    }
    return 0;
}

static int ask_plainly(struct visit *visit)
{
    int socket = -1;
    if (open_connection(visit, &socket) < 0)
        return -1;
    int r = send_request(visit, socket);
    if (r == 0)
        r = receive_answer(visit, socket);
    close(socket);
    return r;
}

/* ---- HTTPS ---- */

static int fail_over_tls(struct visit *visit, int r, const struct http_client_answer *answer)
{
    if (r == -ETIMEDOUT || r == -ECONNREFUSED || answer->error[0] == '\0')
        return fail_by_errno(visit, -r);
    snprintf(visit->outcome->text, sizeof(visit->outcome->text), "%s", answer->error);
    return -1;
}

static int ask_over_tls(struct visit *visit)
{
    char url[URL_SIZE];
    url_format(&visit->url, url);
    int64_t longest = loop_now() + INT64_C(24) * 3600 * LOOP_SECOND; /* stands for none */
    const struct http_client_request request = {.method = "GET",
                                                .url = url,
                                                .deadline =
                                                    visit->deadline < longest ? visit->deadline : longest,
                                                .insecure = true};
    struct http_client_answer answer = {0};
    /* A second time where hookd has done it already, which costs nothing: a redirect may have led here. */
    int r = http_client_init();
    if (r == 0)
        r = http_client_perform(&request, &answer);
    if (r == -EMSGSIZE && answer.status != 0)
        r = 0; /* a page of megabytes is an answer */
    http_answer_init(&visit->answer);
    if (r == 0) {
        visit->answer.status = (unsigned)answer.status;
        visit->answer.has_location =
            answer.location != NULL && strlen(answer.location) < HTTP_ANSWER_LOCATION_SIZE;
        if (visit->answer.has_location)
            snprintf(visit->answer.location, sizeof(visit->answer.location), "%s", answer.location);
    } else {
        fail_over_tls(visit, r, &answer);
    }
    http_client_answer_clear(&answer);
    return r == 0 ? 0 : -1;
}

/* ---- the whole of it ---- */

/* Goes where the answer leads. Returns 1 when there is something to be asked again, 0, or -1. */
static int follow(struct visit *visit)
{
    if (!is_redirect(&visit->answer))
        return 0;
    int r = url_follow(&visit->url, visit->answer.location, &visit->url);
    if (r == 0)
        return 1;
    return r == -EPROTONOSUPPORT ? fail(visit, "redirected by ", " to what is neither http nor https")
                                 : fail(visit, "redirected by ", " to what is no address");
}

static void report_status(struct visit *visit)
{
    enum { SHOWN_PATH = 256 };
    char host[URL_HOST_SIZE + 16];
    bool is_cut = strlen(visit->url.path) > SHOWN_PATH;
    url_format_host(&visit->url, host);
    visit->outcome->success = true;
    visit->outcome->status = visit->answer.status;
    snprintf(visit->outcome->text, sizeof(visit->outcome->text), "HTTP %u from %s%.*s%s",
             visit->answer.status, host, SHOWN_PATH, visit->url.path, is_cut ? "..." : "");
}

static void probe_http(struct visit *visit)
{
    for (int redirects = 0; redirects <= PROBE_REDIRECTS_MAX; redirects++) {
        int r = visit->url.is_tls ? ask_over_tls(visit) : ask_plainly(visit);
        if (r < 0)
            return;
        r = follow(visit);
        if (r < 0)
            return;
        if (r == 0) {
            report_status(visit);
            return;
        }
    }
    fail(visit, "redirected too often, to ", " at last");
}

static void probe_tcp(struct visit *visit)
{
    int socket = -1;
    if (open_connection(visit, &socket) < 0)
        return;
    close(socket);
    visit->outcome->success = true;
    fail(visit, "connected to ", "");
}

void probe_perform(const Bulkhead__Probe *probe, int64_t deadline, struct probe_outcome *ret_outcome)
{
    *ret_outcome = (struct probe_outcome){0};
    struct visit *visit = calloc(1, sizeof(*visit));
    if (visit == NULL) {
        snprintf(ret_outcome->text, sizeof(ret_outcome->text), "ran out of memory");
        return;
    }
    *visit = (struct visit){.probe = probe, .deadline = deadline, .outcome = ret_outcome};
    bool is_tcp = probe->type == BULKHEAD__CHECK__TYPE__TCP;
    int r = url_make(is_tcp ? NULL : probe->scheme, probe->host, probe->port, is_tcp ? NULL : probe->path,
                     &visit->url);
    if (r < 0)
        snprintf(ret_outcome->text, sizeof(ret_outcome->text),
                 "the check's scheme, address or path makes no URL");
    else if (is_tcp)
        probe_tcp(visit);
    else
        probe_http(visit);
    free(visit);
}
