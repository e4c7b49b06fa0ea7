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
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* A dead machine is noticed after 30 + 3 * 10 seconds: the stream's heartbeats are half an hour apart. */
enum { KEEPALIVE_IDLE = 30, KEEPALIVE_INTERVAL = 10, KEEPALIVE_PROBES = 3 };

/* What libcurl reads at once. Small, because each page that it has touched stays ours while the stream is
 * idle. */
enum { RECEIVE_SIZE = 8 * 1024, SEND_SIZE = 16 * 1024 };

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
    struct request *requests;
    bool busy;   /* inside libcurl, or inside a request's done(): this must not be freed now */
    bool doomed; /* http_free() was called meanwhile */
};

int http_global_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;
}

/* ---- headers ---- */

static void free_headers(struct curl_slist *headers)
{
    for (struct curl_slist *header = headers; header != NULL; header = header->next)
        explicit_bzero(header->data, strlen(header->data)); /* one of them has the token */
    curl_slist_free_all(headers);
}

static int add_header(struct curl_slist **headers, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*headers, text);
    if (longer == NULL)
        return -ENOMEM;
    *headers = longer;
    return 0;
}

static int add_token(struct curl_slist **headers, const char *token)
{
    static const char prefix[] = "Authorization: Bearer ";
    size_t size = sizeof(prefix) + strlen(token);
    char *text = malloc(size);
    if (text == NULL)
        return -ENOMEM;
    memcpy(text, prefix, sizeof(prefix) - 1);
    memcpy(text + sizeof(prefix) - 1, token, strlen(token) + 1);
    int r = add_header(headers, text);
    explicit_bzero(text, size);
    free(text);
    return r;
}

/* Accept names protobuf alone: an agent that may answer in JSON does (Mesos: http.cpp, Http::executor). */
static int make_headers(const struct http_settings *settings, struct curl_slist **ret_headers)
{
    static const char *const fixed[] = {
        "Accept: application/x-protobuf", "Content-Type: application/x-protobuf",
        "Expect:", /* no header: an agent does not answer 100, and we would wait */
    };
    struct curl_slist *headers = NULL;
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(fixed) / sizeof(fixed[0]); i++)
        r = add_header(&headers, fixed[i]);
    if (r == 0 && settings->endpoint.domain_socket)
        r = add_header(&headers, "Host: localhost");
    if (r == 0 && settings->token != NULL)
        r = add_token(&headers, settings->token);
    if (r < 0) {
        free_headers(headers);
        return r;
    }
    *ret_headers = headers;
    return 0;
}

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
    curl_multi_cleanup(http->multi);
    loop_timer_disarm(http->loop, &http->timer);
    free_headers(http->headers);
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

/* ---- libcurl and the loop ---- */

static void act(struct http *http, curl_socket_t socket, int events)
{
    int running;
    http->busy = true;
    curl_multi_socket_action(http->multi, socket, events, &running);
    collect(http);
    http->busy = false;
    if (http->doomed)
        destroy(http);
}

static void on_timer(void *arg)
{
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void on_descriptor(void *arg, int descriptor, short events)
{
    int flags = 0;
    if ((events & (POLLIN | POLLHUP)) != 0)
        flags |= CURL_CSELECT_IN;
    if ((events & POLLOUT) != 0)
        flags |= CURL_CSELECT_OUT;
    if ((events & (POLLERR | POLLNVAL)) != 0)
        flags |= CURL_CSELECT_ERR;
    act(arg, descriptor, flags);
}

static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *unused)
{
    (void)easy;
    (void)unused;
    struct http *http = arg;
    if (what == CURL_POLL_REMOVE) {
        loop_unwatch(http->loop, socket);
        return 0;
    }
    short events = 0;
    if ((what & CURL_POLL_IN) != 0)
        events |= POLLIN;
    if ((what & CURL_POLL_OUT) != 0)
        events |= POLLOUT;
    return loop_watch(http->loop, socket, events, on_descriptor, http) < 0 ? -1 : 0;
}

static int set_timer(CURLM *multi, long milliseconds, void *arg)
{
    (void)multi;
    struct http *http = arg;
    if (milliseconds < 0)
        loop_timer_disarm(http->loop, &http->timer);
    else
        loop_timer_arm(http->loop, &http->timer, loop_now() + (int64_t)milliseconds * LOOP_MS);
    return 0;
}

static void on_deadline(void *arg)
{
    struct request *request = arg;
    struct http *http = request->http;
    strncpy(request->error, "no answer in time", sizeof(request->error) - 1);
    http->busy = true;
    end_request(request, HTTP_TIMED_OUT);
    http->busy = false;
    if (http->doomed)
        destroy(http);
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

/*
 * libcurl 7.88 (Debian 12; curl bug 10626) hears CURL_SOCKOPT_ALREADY_CONNECTED and connects all the same.
 * So the connect() that it finds is this one, and connecting a Unix socket that is connected does nothing,
 * where the system's would be an error.
 */
int connect(int socket, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    struct sockaddr_un peer;
    socklen_t size = sizeof(peer);
    if (getpeername(socket, (struct sockaddr *)&peer, &size) == 0 && peer.sun_family == AF_UNIX)
        return 0;
    return (int)syscall(SYS_connect, socket, address.__sockaddr__, length);
}

/* Without these a dead peer would be noticed late; the connection works all the same. */
static int tune_socket(void *arg, curl_socket_t socket, curlsocktype purpose)
{
    (void)arg;
    (void)purpose;
    const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        setsockopt(socket, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
    return CURL_SOCKOPT_OK;
}

/* ---- setting a request up ---- */

/* Remembers the first failure, so that a list of options reads as a list. */
#define SET(option, value) (code = code != CURLE_OK ? code : curl_easy_setopt(easy, option, value))

static CURLcode set_text(CURL *easy, CURLoption option, const char *text)
{
    return text != NULL ? curl_easy_setopt(easy, option, text) : CURLE_OK;
}

static CURLcode set_manners(CURL *easy)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_USERAGENT, "bulkhead/" BULKHEAD_VERSION);
    SET(CURLOPT_BUFFERSIZE, (long)RECEIVE_SIZE);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_SIZE);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    return code;
}

static CURLcode set_sockets(CURL *easy, struct http *http)
{
    CURLcode code = CURLE_OK;
    if (http->settings->endpoint.domain_socket) {
        SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
        SET(CURLOPT_OPENSOCKETDATA, http);
        SET(CURLOPT_SOCKOPTFUNCTION, take_connected_socket);
        SET(CURLOPT_TCP_NODELAY, 0L);
    } else {
        SET(CURLOPT_SOCKOPTFUNCTION, tune_socket);
    }
    return code;
}

static CURLcode set_tls(CURL *easy, const struct http_settings *settings)
{
    CURLcode code = CURLE_OK;
    if (!settings->endpoint.tls)
        return code;
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, settings->verify ? 1L : 0L);
    SET(CURLOPT_SSL_VERIFYHOST, settings->verify && settings->verify_host ? 2L : 0L);
    code = code != CURLE_OK ? code : set_text(easy, CURLOPT_SSLCERT, settings->certificate_file);
    code = code != CURLE_OK ? code : set_text(easy, CURLOPT_SSLKEY, settings->key_file);
    code = code != CURLE_OK ? code : set_text(easy, CURLOPT_CAINFO, settings->authorities_file);
    code = code != CURLE_OK ? code : set_text(easy, CURLOPT_CAPATH, settings->authorities_folder);
    return code;
}

static CURLcode set_call(CURL *easy, struct request *request)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_URL, request->http->settings->endpoint.url);
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
    CURLcode code = set_manners(request->easy);
    if (code == CURLE_OK)
        code = set_sockets(request->easy, request->http);
    if (code == CURLE_OK)
        code = set_tls(request->easy, request->http->settings);
    if (code == CURLE_OK)
        code = set_call(request->easy, request);
    return code == CURLE_OK ? 0 : -ENOMEM;
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
    return 0;
}

static int set_up_multi(struct http *http)
{
    http->multi = curl_multi_init();
    if (http->multi == NULL)
        return -ENOMEM;
    CURLM *multi = http->multi;
    bool ok = curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket) == CURLM_OK &&
              curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK &&
              curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
              curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http) == CURLM_OK &&
              curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 2L) == CURLM_OK &&
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
    loop_timer_init(&http->timer, on_timer, http);
    int r = make_headers(settings, &http->headers);
    if (r == 0)
        r = set_up_multi(http);
    if (r < 0) {
        free_headers(http->headers);
        free(http);
        return r;
    }
    if (sockets != NULL)
        http->sockets = *sockets;
    *ret_http = http;
    return 0;
}
