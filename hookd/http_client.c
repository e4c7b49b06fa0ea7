/*
 * One HTTP request with libcurl, for a worker that may block; see http_client.h.
 *
 * It must never go anywhere but to the address it was given (no redirect, no proxy, no .netrc, no other
 * protocol), keep more of an answer than its bound, outlast its deadline, or say what was sent when it tells
 * of an error: that may be a secret.
 */
#include "hookd/http_client.h"

#include "common/buffer.h"
#include "common/loop.h"
#include "hookd/phrase.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    HEADERS_MAX = 256 * 1024, /* libcurl bounds one line of them, not their number */
    LOCATION_MAX = 4096,
    LONGEST_MS = 24 * 3600 * 1000, /* a deadline that never comes is too large a number for libcurl */
};

/* What is received, while it comes. */
struct exchange {
    struct http_client_answer *answer;
    struct buffer body;
    size_t header_bytes;
    bool too_large;
    char words[CURL_ERROR_SIZE];
};

int http_client_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;
}

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = arg;
    if (buffer_append(&exchange->body, data, size * count) == 0)
        return size * count;
    exchange->too_large = true;
    return 0;
}

static bool is_location(const char *line, size_t size)
{
    static const char name[] = "location:";
    return size > sizeof(name) - 1 && strncasecmp(line, name, sizeof(name) - 1) == 0;
}

/* The text between the blanks around it, as a new string; NULL without memory. */
static char *trim(const char *text, size_t size)
{
    while (size > 0 && isspace((unsigned char)text[0])) {
        text++;
        size--;
    }
    while (size > 0 && isspace((unsigned char)text[size - 1]))
        size--;
    return strndup(text, size);
}

/* One line, its end included. A status line begins anew: an interim answer (100) has headers of its own. */
static size_t take_header(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = arg;
    size_t length = size * count;
    exchange->header_bytes += length;
    if (exchange->header_bytes > HEADERS_MAX) {
        exchange->too_large = true;
        return 0;
    }
    bool is_status = length > 5 && memcmp(data, "HTTP/", 5) == 0;
    if (!is_status && (!is_location(data, length) || length > LOCATION_MAX))
        return length;
    free(exchange->answer->location);
    exchange->answer->location =
        is_status ? NULL : trim(data + strlen("location:"), length - strlen("location:"));
    return length;
}

static void free_headers(struct curl_slist *headers)
{
    for (struct curl_slist *header = headers; header != NULL; header = header->next)
        explicit_bzero(header->data, strlen(header->data));
    curl_slist_free_all(headers);
}

/* "Expect:" keeps libcurl from asking before it sends a body, which a small server may never answer. */
static int make_headers(const char *const *texts, struct curl_slist **ret_headers)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; headers != NULL && texts != NULL && texts[i] != NULL; i++) {
        struct curl_slist *longer = curl_slist_append(headers, texts[i]);
        if (longer == NULL) {
            free_headers(headers);
            return -ENOMEM;
        }
        headers = longer;
    }
    *ret_headers = headers;
    return headers != NULL ? 0 : -ENOMEM;
}

/* Goes on only while all has been well: one of these that fails must not be passed over. */
#define SET(option, value) code = code != CURLE_OK ? code : curl_easy_setopt(easy, option, value)

static CURLcode set_manners(CURL *easy, struct exchange *exchange)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_ERRORBUFFER, exchange->words);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a name server that does not answer must not be waited for at the end */
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_USERAGENT, "bulkhead/" BULKHEAD_VERSION);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, exchange);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, exchange);
    return code;
}

/* The authorities that are named replace libcurl's own, the folder too. */
static CURLcode set_tls(CURL *easy, const struct http_client_request *request)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, request->insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, request->insecure ? 0L : 2L);
    if (request->ca_file != NULL || request->ca_path != NULL) {
        SET(CURLOPT_CAINFO, request->ca_file);
        SET(CURLOPT_CAPATH, request->ca_path);
    }
    if (request->client_cert != NULL)
        SET(CURLOPT_SSLCERT, request->client_cert);
    if (request->client_key != NULL)
        SET(CURLOPT_SSLKEY, request->client_key);
    return code;
}

/* TLS is spoken with the name that the certificate must have; the connection is made to the URL's host all
 * the same. */
static CURLcode set_server_name(CURL *easy, CURLU *url, const struct http_client_request *request,
                                struct curl_slist **ret_to)
{
    char *host = NULL;
    char *port = NULL;
    CURLcode code = CURLE_URL_MALFORMAT;
    if (curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
        curl_url_set(url, CURLUPART_HOST, request->tls_server_name, 0) == CURLUE_OK) {
        char to[1024];
        code = snprintf(to, sizeof(to), "::%s:%s", host, port) < (int)sizeof(to) ? CURLE_OK
                                                                                 : CURLE_URL_MALFORMAT;
        *ret_to = code == CURLE_OK ? curl_slist_append(NULL, to) : NULL;
        SET(CURLOPT_CONNECT_TO, *ret_to);
    }
    curl_free(host);
    curl_free(port);
    return code;
}

static CURLcode set_url(CURL *easy, CURLU *url, const struct http_client_request *request,
                        struct curl_slist **ret_to)
{
    if (curl_url_set(url, CURLUPART_URL, request->url, CURLU_PATH_AS_IS) != CURLUE_OK)
        return CURLE_URL_MALFORMAT;
    CURLcode code = CURLE_OK;
    if (request->tls_server_name != NULL)
        code = set_server_name(easy, url, request, ret_to);
    SET(CURLOPT_CURLU, url);
    if (request->unix_socket != NULL)
        SET(CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
    return code;
}

/* libcurl takes 0 milliseconds for no limit, so the shortest is one. */
static CURLcode set_request(CURL *easy, const struct http_client_request *request)
{
    int64_t left = (request->deadline - loop_now()) / LOOP_MS;
    CURLcode code = CURLE_OK;
    left = left < 1 ? 1 : left;
    SET(CURLOPT_TIMEOUT_MS, (long)(left < LONGEST_MS ? left : LONGEST_MS));
    SET(CURLOPT_CUSTOMREQUEST, request->method);
    if (request->body != NULL) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
        SET(CURLOPT_POSTFIELDS, request->body);
    }
    if (request->user_password != NULL) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(CURLOPT_USERPWD, request->user_password);
    }
    return code;
}

/* What the caller can act on, and our words for it; libcurl's own words serve for all else. */
static const struct failure {
    CURLcode code;
    int error;
    const char *words;
} failures[] = {
    {CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT, "no answer in time"},
    {CURLE_COULDNT_CONNECT, -ECONNREFUSED, "cannot connect"},
    {CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH, "the host's name cannot be resolved"},
    {CURLE_GOT_NOTHING, -EIO, "the connection was closed without an answer"},
    {CURLE_RECV_ERROR, -EIO, "the connection broke while the answer came"},
    {CURLE_SEND_ERROR, -EIO, "the connection broke while the request left"},
    {CURLE_PARTIAL_FILE, -EIO, "the connection was closed in the middle of the answer"},
    {CURLE_UNSUPPORTED_PROTOCOL, -EINVAL,
     "no http:// or https:// address, or what answers does not speak HTTP"},
    {CURLE_URL_MALFORMAT, -EINVAL, "the address is malformed"},
    {CURLE_SSL_CERTPROBLEM, -EINVAL, "the client certificate or its key cannot be used"},
    {CURLE_SSL_CACERT_BADFILE, -EINVAL, "the authorities' certificates cannot be read"},
    {CURLE_OUT_OF_MEMORY, -ENOMEM, "out of memory"},
};

static const struct failure *find_failure(CURLcode code)
{
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
        if (failures[i].code == code)
            return &failures[i];
    return NULL;
}

/* Of libcurl's own words only those about certificates are shown: nothing of a request is in them. */
static int tell_failure(CURL *easy, CURLcode code, struct exchange *exchange)
{
    struct http_client_answer *answer = exchange->answer;
    const struct failure *failure = find_failure(code);
    long system_error = 0;
    if (exchange->too_large) {
        phrase_set(answer->error, sizeof(answer->error), "the answer is too large");
        return -EMSGSIZE;
    }
    phrase_set(answer->error, sizeof(answer->error), "%s",
               failure != NULL ? failure->words : curl_easy_strerror(code));
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &system_error);
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR)
        phrase_add_excerpt(answer->error, sizeof(answer->error), exchange->words, strlen(exchange->words),
                           NULL);
    else if (code == CURLE_COULDNT_CONNECT && system_error > 0)
        phrase_add(answer->error, sizeof(answer->error), ": %s", strerror((int)system_error));
    return failure != NULL ? failure->error : -EIO;
}

static int finish(CURL *easy, struct exchange *exchange)
{
    struct http_client_answer *answer = exchange->answer;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer->status);
    answer->body_size = buffer_length(&exchange->body);
    answer->body = malloc(answer->body_size + 1);
    if (answer->body == NULL) {
        answer->body_size = 0;
        phrase_set(answer->error, sizeof(answer->error), "out of memory");
        return -ENOMEM;
    }
    if (answer->body_size > 0)
        memcpy(answer->body, buffer_bytes(&exchange->body), answer->body_size);
    answer->body[answer->body_size] = '\0';
    return 0;
}

static int perform(CURL *easy, CURLU *url, const struct http_client_request *request,
                   struct exchange *exchange)
{
    struct curl_slist *headers = NULL;
    struct curl_slist *to = NULL;
    CURLcode code = set_manners(easy, exchange);
    code = code != CURLE_OK ? code : set_tls(easy, request);
    code = code != CURLE_OK ? code : set_url(easy, url, request, &to);
    code = code != CURLE_OK ? code : set_request(easy, request);
    if (code == CURLE_OK && make_headers(request->headers, &headers) < 0)
        code = CURLE_OUT_OF_MEMORY;
    SET(CURLOPT_HTTPHEADER, headers);
    code = code != CURLE_OK ? code : curl_easy_perform(easy);
    int r = code == CURLE_OK ? finish(easy, exchange) : tell_failure(easy, code, exchange);
    free_headers(headers);
    curl_slist_free_all(to);
    return r;
}

int http_client_perform(const struct http_client_request *request, struct http_client_answer *answer)
{
    struct exchange exchange = {.answer = answer};
    *answer = (struct http_client_answer){0};
    if (loop_now() >= request->deadline) {
        phrase_set(answer->error, sizeof(answer->error), "no time left to ask");
        return -ETIMEDOUT;
    }
    CURL *easy = curl_easy_init();
    CURLU *url = curl_url();
    buffer_init(&exchange.body, HTTP_CLIENT_BODY_MAX);
    int r = -ENOMEM;
    if (easy != NULL && url != NULL)
        r = perform(easy, url, request, &exchange);
    else
        phrase_set(answer->error, sizeof(answer->error), "out of memory");
    curl_easy_cleanup(easy);
    curl_url_cleanup(url);
    buffer_clear(&exchange.body);
    return r;
}

void http_client_answer_clear(struct http_client_answer *answer)
{
    if (answer == NULL)
        return;
    free(answer->body);
    free(answer->location);
    *answer = (struct http_client_answer){0};
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~", c) != NULL);
}

char *http_client_escape(const char *text)
{
    size_t length = strlen(text);
    char *escaped = malloc(3 * length + 1);
    char *out = escaped;
    if (escaped == NULL)
        return NULL;
    for (const char *c = text; *c != '\0'; c++) {
        if (is_unreserved(*c))
            *out++ = *c;
        else
            out += snprintf(out, 4, "%%%02X", (unsigned char)*c);
    }
    *out = '\0';
    return escaped;
}
