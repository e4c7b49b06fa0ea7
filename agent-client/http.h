#ifndef BULKHEAD_AGENT_CLIENT_HTTP_H
#define BULKHEAD_AGENT_CLIENT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent-client/credentials.h"
#include "common/endpoint.h"
#include "common/loop.h"

/* How the agent is reached. What it points to must outlive every struct http made with it. */
struct http_settings {
    struct endpoint endpoint;
    const char *token; /* sent as "Authorization: Bearer"; printable ASCII only; NULL for none */
    int64_t timeout; /* nanoseconds until the head of a stream's answer, or the whole of another answer, must
                        be there */

    /* Of an endpoint with TLS. */
    struct credentials credentials; /* borrowed */
    const char *authorities_folder; /* read whenever a connection is made; NULL for none */
    bool verify;                    /* the agent's certificate must come from one of the authorities */
    bool verify_host;               /* and must name the host or address of the URL */
};

/*
 * The connections of one subscription, with nothing left over from an earlier one. Works inside the loop:
 * nothing here blocks, except that a host name (agents give addresses) is looked up by a thread of libcurl's.
 */
struct http;

/*
 * Connections to use in place of making our own, where the endpoint is a domain socket. They belong to the
 * struct http once http_new() has returned 0.
 */
struct http_sockets {
    int descriptors[2];
    size_t count;
};

int http_new(struct loop *loop, const struct http_settings *settings, const struct http_sockets *sockets,
             struct http **ret_http);

/*
 * Ends every request without calling anybody, and closes every connection. May be called from a request's
 * done(), never from its head() or data(). NULL is accepted.
 */
void http_free(struct http *http);

enum http_end {
    HTTP_ANSWERED,  /* the whole answer has come; status and excerpt say which */
    HTTP_STOPPED,   /* head() or data() wanted no more */
    HTTP_REFUSED,   /* no connection, the TLS handshake included */
    HTTP_LOST,      /* the connection ended before the answer did */
    HTTP_TIMED_OUT, /* no answer in time, or the peer's machine has fallen silent */
    HTTP_MALFORMED, /* what came is no HTTP */
};

struct http_result {
    enum http_end end;
    long status;         /* 0 when no head has come */
    const char *excerpt; /* the beginning of the answer's body, unless it went to data() */
    const char *error;   /* what libcurl says of an end that is not HTTP_ANSWERED */
};

enum { HTTP_EXCERPT_MAX = 512, HTTP_BODY_MAX = 64 * 1024 };

/* A POST of a Mesos call. */
struct http_request {
    const unsigned char
        *body; /* must stay until done() is called, head() returns true or the struct http is freed */
    size_t size;
    bool stream; /* a fresh connection that no other request uses, and no time limit once the head has come */
    void *arg;
    /* Of a stream, when the answer's head has come: true if the body is to go to data(). */
    bool (*head)(void *arg, long status, const char *content_type);
    /* A piece of a stream's body. Anything but 0 ends the request. */
    int (*data)(void *arg, const unsigned char *data, size_t size);
    /* The end of it, called once; the request is forgotten. result lives for the call. */
    void (*done)(void *arg, const struct http_result *result);
};

/* Begins a request; its functions are called from the loop. Returns 0 or -ENOMEM. */
int http_post(struct http *http, const struct http_request *request);

#endif
