#ifndef BULKHEAD_HOOKD_HTTP_CLIENT_H
#define BULKHEAD_HOOKD_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One HTTP request at a time, for workers: blocking, with an absolute deadline, a bounded answer and no
 * redirects. A worker is killed soon after its deadline in any case; this lets it end in order, with words.
 */
enum { HTTP_CLIENT_BODY_MAX = 4 * 1024 * 1024 };

struct http_client_request {
    const char *method; /* "GET", "PUT", … */
    const char *url;
    const char *unix_socket;    /* path, or NULL */
    const char *const *headers; /* "Name: value", ends with NULL; may be NULL */
    const char *body;           /* NULL for none */
    size_t body_size;
    int64_t deadline; /* on loop_now()'s clock */
    /* TLS; NULL where not set. */
    const char *ca_file, *ca_path, *client_cert, *client_key, *tls_server_name;
    bool insecure;             /* do not verify the server */
    const char *user_password; /* "user:password" for Basic, or NULL */
};

struct http_client_answer {
    long status;
    char *body; /* NUL-terminated, at most HTTP_CLIENT_BODY_MAX bytes; more is an error */
    size_t body_size;
    char *location;  /* the Location header, or NULL */
    char error[256]; /* what went wrong when the call failed; never contains a header or a body that was sent
                      */
};

/* Once a process, before the first request (and before a fork whose children make requests). Returns 0 or
 * -ENOMEM. */
int http_client_init(void);

/*
 * Makes the request. Returns 0 when an answer has come, whatever its status; -ETIMEDOUT, -ECONNREFUSED,
 * -EMSGSIZE (the answer is too large), -EIO or another negative errno otherwise, with answer->error in words.
 * Blocks until the deadline at most. answer is to be cleared in both cases.
 */
int http_client_perform(const struct http_client_request *request, struct http_client_answer *answer);
void http_client_answer_clear(struct http_client_answer *answer);

/* text as one segment of a URL's path (RFC 3986: everything but unreserved characters escaped), malloc'd;
 * NULL without memory. */
char *http_client_escape(const char *text);

#endif
