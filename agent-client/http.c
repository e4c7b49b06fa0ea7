/*
 * HTTP towards the agent: libcurl's multi interface inside our loop.
 *
 * One struct http is one subscription's pair of connections; freeing it is how both are torn down at once, so
 * that nothing of an old stream can reach a new one. It must never follow a redirect, use a proxy, wait for
 * "100 Continue", or let an answer grow in memory. libcurl's callbacks run inside libcurl: nothing may be
 * freed from there.
 */
#include "agent-client/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

#include "agent-client/http_options.h"

/* Two connections, and a few more where a name is looked up. */
enum { WATCHED_MAX = 16 };

/* How often we look when a descriptor cannot be watched for want of memory. */
enum { BLIND_MS = 10 };

/* What libcurl waits for. */
struct wanted {
    fd_set readable;
    fd_set writable;
    int highest;
};

struct request {
    struct request *next;
    struct http *http;
    struct http_request user;
    CURL *easy;
    struct loop_timer deadline;
    long status;
    bool has_head; /* the last one: not that of an interim answer */
    bool to_user;  /* the body goes to data() */
    bool stopped;
    size_t body_size;
    size_t excerpt_size;
    char excerpt[HTTP_EXCERPT_MAX];
    char error[CURL_ERROR_SIZE];
};

struct http {
    struct loop *loop;
    const struct http_settings *settings;
    struct http_sockets sockets;
    CURLM *multi;
    struct curl_slist *headers;
    struct loop_timer timer;
    int watched[WATCHED_MAX]; /* descriptors of libcurl's that the loop watches for us */
    size_t watched_count;
    struct request *requests;
    bool busy;   /* inside libcurl, or inside a request's done(): this must not be freed now */
    bool doomed; /* http_free() was called meanwhile */
};

/* ---- the end of a request ---- */

static void forget_request(struct request *request)
{
    struct http *http = request->http;
    struct request **link = &http->requests;
    while (*link != request)
        link = &(*link)->next;
    *link = request->next;
    loop_timer_disarm(http->loop, &request->deadline);
    curl_multi_remove_handle(http->multi, request->easy);
    curl_easy_cleanup(request->easy);
    free(request);
}

static void destroy(struct http *http)
{
    for (size_t i = 0; i < http->watched_count; i++)
        loop_unwatch(http->loop, http->watched[i]);
    curl_multi_cleanup(http->multi);
    loop_timer_disarm(http->loop, &http->timer);
    http_options_free_headers(http->headers);
    for (size_t i = 0; i < http->sockets.count; i++)
        close(http->sockets.descriptors[i]);
    free(http);
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    while (http->requests != NULL)
        forget_request(http->requests);
    if (http->busy)
        http->doomed = true;
    else
        destroy(http);
}

static void end_request(struct request *request, enum http_end end)
{
    struct http_result result = {
        .end = end,
        .status = request->status,
        .excerpt = request->excerpt,
        .error = request->error,
    };
    void (*done)(void *arg, const struct http_result *result) = request->user.done;
    void *arg = request->user.arg;
    char excerpt[HTTP_EXCERPT_MAX];
    char error[CURL_ERROR_SIZE];
    memcpy(excerpt, request->excerpt, sizeof(excerpt));
    memcpy(error, request->error, sizeof(error));
    result.excerpt = excerpt;
    result.error = error;
    forget_request(request);
    done(arg, &result);
}

static bool is_silence(int error)
{
    return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH;
}

/*
 * A broken chunk and a broken connection are one code to libcurl; only the latter comes with an errno. Under
 * TLS an error of the connection may come without one, so there it is always taken for that.
 */
static enum http_end judge_receive_error(const struct request *request)
{
    long error = 0;
    curl_easy_getinfo(request->easy, CURLINFO_OS_ERRNO, &error);
    if (is_silence((int)error))
        return HTTP_TIMED_OUT;
    return error == 0 && !request->http->settings->endpoint.tls ? HTTP_MALFORMED : HTTP_LOST;
}

static enum http_end judge_end(const struct request *request, CURLcode code)
{
    if (request->stopped)
        return HTTP_STOPPED;
    switch (code) {
    case CURLE_OK:
        return HTTP_ANSWERED;
    case CURLE_RECV_ERROR:
        return judge_receive_error(request);
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return HTTP_LOST;
    case CURLE_OPERATION_TIMEDOUT:
        return HTTP_TIMED_OUT;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 */
    case CURLE_WRITE_ERROR:
    case CURLE_BAD_CONTENT_ENCODING:
        return HTTP_MALFORMED;
    default:
        return request->status != 0 ? HTTP_LOST : HTTP_REFUSED;
    }
}

static void explain(struct request *request, CURLcode code)
{
    if (code != CURLE_OK && request->error[0] == '\0')
        strncpy(request->error, curl_easy_strerror(code), sizeof(request->error) - 1);
}

/* Hands out what has ended. done() may begin other requests, or free the whole. */
static void collect(struct http *http)
{
    int left;
    CURLMsg *message;
    while (!http->doomed && (message = curl_multi_info_read(http->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct request *request = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request);
        CURLcode code = message->data.result; /* message dies with the handle */
        explain(request, code);
        end_request(request, judge_end(request, code));
    }
}

/*
 * ---- libcurl and the loop ----
 *
 * Of libcurl's two ways into a foreign loop this is the simple one: ask after every call what to wait for.
 * The other, curl_multi_socket_action(), has a table for a thousand connections, of which we have two; it
 * costs 29 KiB.
 */

static void on_descriptor(void *arg, int descriptor, short events);

static short wanted_events(int descriptor, const struct wanted *wanted)
{
    short events = 0;
    if (FD_ISSET(descriptor, &wanted->readable))
        events |= POLLIN;
    if (FD_ISSET(descriptor, &wanted->writable))
        events |= POLLOUT;
    return events;
}

/* What libcurl no longer waits for it may have closed. */
static void unwatch_old(struct http *http, const struct wanted *wanted)
{
    size_t kept = 0;
    for (size_t i = 0; i < http->watched_count; i++) {
        if (wanted_events(http->watched[i], wanted) != 0)
            http->watched[kept++] = http->watched[i];
        else
            loop_unwatch(http->loop, http->watched[i]);
    }
    http->watched_count = kept;
}

static int watch(struct http *http, int descriptor, short events)
{
    size_t i = 0;
    while (i < http->watched_count && http->watched[i] != descriptor)
        i++;
    if (i == WATCHED_MAX)
        return -ENOBUFS;
    int r = loop_watch(http->loop, descriptor, events, on_descriptor, http);
    if (r < 0)
        return r;
    http->watched[i] = descriptor;
    if (i == http->watched_count)
        http->watched_count++;
    return 0;
}

static int watch_wanted(struct http *http, const struct wanted *wanted)
{
    int result = 0;
    for (int descriptor = 0; descriptor <= wanted->highest; descriptor++) {
        short events = wanted_events(descriptor, wanted);
        int r = events != 0 ? watch(http, descriptor, events) : 0;
        if (r < 0)
            result = r;
    }
    return result;
}

/* Makes the loop wait for what libcurl waits for. Where a descriptor cannot be watched, time has to do. */
static void wait_for_libcurl(struct http *http)
{
    struct wanted wanted = {.highest = -1};
    fd_set exceptional;
    long milliseconds = -1;
    FD_ZERO(&wanted.readable);
    FD_ZERO(&wanted.writable);
    FD_ZERO(&exceptional);
    curl_multi_fdset(http->multi, &wanted.readable, &wanted.writable, &exceptional, &wanted.highest);
    curl_multi_timeout(http->multi, &milliseconds);
    unwatch_old(http, &wanted);
    if (watch_wanted(http, &wanted) < 0 && (milliseconds < 0 || milliseconds > BLIND_MS))
        milliseconds = BLIND_MS;
    if (milliseconds < 0)
        loop_timer_disarm(http->loop, &http->timer);
    else
        loop_timer_arm(http->loop, &http->timer, loop_now() + (int64_t)milliseconds * LOOP_MS);
}

/* Either frees what was to be freed meanwhile, or waits for the next turn. */
static void end_turn(struct http *http)
{
    http->busy = false;
    if (http->doomed)
        destroy(http);
    else
        wait_for_libcurl(http);
}

static void act(void *arg)
{
    struct http *http = arg;
    int running;
    http->busy = true;
    curl_multi_perform(http->multi, &running);
    collect(http);
    end_turn(http);
}

static void on_descriptor(void *arg, int descriptor, short events)
{
    (void)descriptor;
    (void)events;
    act(arg);
}

static void on_deadline(void *arg)
{
    struct request *request = arg;
    struct http *http = request->http;
    strncpy(request->error, "no answer in time", sizeof(request->error) - 1);
    http->busy = true;
    end_request(request, HTTP_TIMED_OUT);
    end_turn(http);
}

/* ---- what libcurl calls during a request ---- */

static bool head_is_complete(const char *line, size_t size)
{
    return size == 2 && line[0] == '\r' && line[1] == '\n';
}

/* From here on the body of the call may be freed: an answer that outruns it would have libcurl go on reading
 * it. */
static bool is_sent(const struct request *request)
{
    curl_off_t sent = 0;
    curl_easy_getinfo(request->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return sent >= 0 && (size_t)sent >= request->user.size;
}

static bool take_head(struct request *request)
{
    const char *type = NULL;
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &request->status);
    curl_easy_getinfo(request->easy, CURLINFO_CONTENT_TYPE, &type);
    if (request->status < 200 || request->has_head || !request->user.stream)
        return true;
    request->has_head = true;
    if (request->status < 300 && !is_sent(request)) {
        strncpy(request->error, "the answer came before the call was sent", sizeof(request->error) - 1);
        return false;
    }
    request->to_user = request->user.head(request->user.arg, request->status, type);
    if (request->to_user)
        loop_timer_disarm(request->http->loop, &request->deadline);
    return true;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    if (head_is_complete(line, size * count) && !take_head(arg))
        return 0;
    return size * count;
}

static bool keep_excerpt(struct request *request, const char *data, size_t size)
{
    request->body_size += size;
    if (request->body_size > HTTP_BODY_MAX)
        return false;
    size_t room = sizeof(request->excerpt) - 1 - request->excerpt_size;
    size_t part = size < room ? size : room;
    memcpy(request->excerpt + request->excerpt_size, data, part);
    request->excerpt_size += part;
    return true;
}

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
    struct request *request = arg;
    size_t length = size * count;
    if (!request->to_user)
        return keep_excerpt(request, data, length) ? length : 0;
    if (request->user.data(request->user.arg, (const unsigned char *)data, length) == 0)
        return length;
    request->stopped = true;
    return 0;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    (void)address;
    struct http *http = arg;
    if (http->sockets.count == 0)
        return CURL_SOCKET_BAD;
    int descriptor = http->sockets.descriptors[0];
    http->sockets.descriptors[0] = http->sockets.descriptors[1];
    http->sockets.count--;
    return descriptor;
}

static int take_connected_socket(void *arg, curl_socket_t socket, curlsocktype purpose)
{
    (void)arg;
    (void)socket;
    (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

/* ---- setting a request up ---- */

static CURLcode set_sockets(CURL *easy, struct http *http)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, http);
    SET(CURLOPT_SOCKOPTFUNCTION, take_connected_socket);
    SET(CURLOPT_TCP_NODELAY, 0L);
    return code;
}

static CURLcode set_call(CURL *easy, struct request *request)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_HTTPHEADER, request->http->headers);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->user.size);
    SET(CURLOPT_POSTFIELDS, request->user.body);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, request);
    SET(CURLOPT_WRITEFUNCTION, on_data);
    SET(CURLOPT_WRITEDATA, request);
    SET(CURLOPT_ERRORBUFFER, request->error);
    SET(CURLOPT_PRIVATE, request);
    SET(CURLOPT_FRESH_CONNECT, request->user.stream ? 1L : 0L);
    SET(CURLOPT_FORBID_REUSE, request->user.stream ? 1L : 0L);
    return code;
}

static int set_options(struct request *request)
{
    const struct http_settings *settings = request->http->settings;
    CURLcode code = http_options_set(request->easy, settings);
    if (code == CURLE_OK && settings->endpoint.domain_socket)
        code = set_sockets(request->easy, request->http);
    if (code == CURLE_OK)
        code = set_call(request->easy, request);
    if (code == CURLE_OK)
        return 0;
    return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -ENOTSUP;
}

static int begin(struct request *request)
{
    struct http *http = request->http;
    request->easy = curl_easy_init();
    if (request->easy == NULL)
        return -ENOMEM;
    int r = set_options(request);
    if (r == 0 && curl_multi_add_handle(http->multi, request->easy) != CURLM_OK)
        r = -ENOMEM;
    if (r < 0)
        curl_easy_cleanup(request->easy);
    return r;
}

int http_post(struct http *http, const struct http_request *user)
{
    struct request *request = calloc(1, sizeof(*request));
    if (request == NULL)
        return -ENOMEM;
    request->http = http;
    request->user = *user;
    loop_timer_init(&request->deadline, on_deadline, request);
    int r = begin(request);
    if (r < 0) {
        free(request);
        return r;
    }
    request->next = http->requests;
    http->requests = request;
    loop_timer_arm(http->loop, &request->deadline, loop_now() + http->settings->timeout);
    loop_timer_arm(http->loop, &http->timer, loop_now());
    return 0;
}

static int set_up_multi(struct http *http)
{
    http->multi = curl_multi_init();
    if (http->multi == NULL)
        return -ENOMEM;
    CURLM *multi = http->multi;
    bool ok = curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 2L) == CURLM_OK &&
              curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK;
    if (ok)
        return 0;
    curl_multi_cleanup(multi);
    return -ENOMEM;
}

int http_new(struct loop *loop, const struct http_settings *settings, const struct http_sockets *sockets,
             struct http **ret_http)
{
    struct http *http = calloc(1, sizeof(*http));
    if (http == NULL)
        return -ENOMEM;
    http->loop = loop;
    http->settings = settings;
    loop_timer_init(&http->timer, act, http);
    int r = http_options_make_headers(settings, &http->headers);
    if (r == 0)
        r = set_up_multi(http);
    if (r < 0) {
        http_options_free_headers(http->headers);
        free(http);
        return r;
    }
    if (sockets != NULL)
        http->sockets = *sockets;
    *ret_http = http;
    return 0;
}
