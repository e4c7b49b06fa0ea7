/*
 * How we behave in HTTP, as libcurl's options: one list, the same for every call.
 *
 * It must never let a call take another way than straight to the agent (redirect, proxy, .netrc, other
 * protocols), ask for an answer in another form than protobuf, or trust an authority that was not named.
 */
#include "agent-client/http_options.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A dead machine is noticed after 30 + 3 * 10 seconds: the stream's heartbeats are half an hour apart. */
enum { KEEPALIVE_IDLE = 30, KEEPALIVE_INTERVAL = 10, KEEPALIVE_PROBES = 3 };

/* What libcurl reads at once. Small, because each page that it has touched stays ours while the stream is
 * idle. */
enum { RECEIVE_SIZE = 8 * 1024, SEND_SIZE = 16 * 1024 };

void http_options_free_headers(struct curl_slist *headers)
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
int http_options_make_headers(const struct http_settings *settings, struct curl_slist **ret_headers)
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
        http_options_free_headers(headers);
        return r;
    }
    *ret_headers = headers;
    return 0;
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

static CURLcode set_blob(CURL *easy, CURLoption option, const struct credential *credential)
{
    struct curl_blob blob = {.data = credential->data, .len = credential->size, .flags = CURL_BLOB_NOCOPY};
    return credential->data != NULL ? curl_easy_setopt(easy, option, &blob) : CURLE_OK;
}

/* Where authorities are named they alone count: libcurl's own are set to none. */
static CURLcode set_authorities(CURL *easy, const struct http_settings *settings)
{
    if (settings->credentials.authorities.data == NULL && settings->authorities_folder == NULL)
        return CURLE_OK;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_CAINFO, NULL);
    SET(CURLOPT_CAPATH, settings->authorities_folder);
    return code != CURLE_OK ? code : set_blob(easy, CURLOPT_CAINFO_BLOB, &settings->credentials.authorities);
}

static CURLcode set_tls(CURL *easy, const struct http_settings *settings)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, settings->verify ? 1L : 0L);
    SET(CURLOPT_SSL_VERIFYHOST, settings->verify && settings->verify_host ? 2L : 0L);
    code = code != CURLE_OK ? code : set_blob(easy, CURLOPT_SSLCERT_BLOB, &settings->credentials.certificate);
    code = code != CURLE_OK ? code : set_blob(easy, CURLOPT_SSLKEY_BLOB, &settings->credentials.key);
    return code != CURLE_OK ? code : set_authorities(easy, settings);
}

CURLcode http_options_set(CURL *easy, const struct http_settings *settings)
{
    CURLcode code = set_manners(easy);
    if (!settings->endpoint.domain_socket)
        SET(CURLOPT_SOCKOPTFUNCTION, tune_socket);
    SET(CURLOPT_URL, settings->endpoint.url);
    if (code == CURLE_OK && settings->endpoint.tls)
        code = set_tls(easy, settings);
    return code;
}
