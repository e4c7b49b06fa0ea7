#ifndef BULKHEAD_HOOKD_CONSUL_API_H
#define BULKHEAD_HOOKD_CONSUL_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"

/* One call to Consul's agent at a time, and what its answer means (verified with Consul 1.8.7). */
enum consul_outcome {
    CONSUL_DONE,
    CONSUL_AGAIN,  /* worth another attempt */
    CONSUL_DENIED, /* the token: another attempt is worth it after a while only, since tokens take time to get
                      about */
    CONSUL_REFUSED, /* no attempt will be better */
};

enum consul_call {
    CONSUL_REGISTER,
    CONSUL_DEREGISTER,
};

/* Where Consul is and how it wants to be spoken to, from the settings. The fields belong to consul_api.c. */
struct consul_api {
    const struct config *config;
    char *base;        /* scheme, host and prefix, without a slash at the end */
    char *unix_socket; /* or NULL */
    char *token;       /* or NULL */
    char *namespace;   /* escaped; "" for none */
};

/* What an answer means. status is HTTP's, body need not end with a NUL. Pure. */
enum consul_outcome consul_classify(enum consul_call call, long status, const char *body, size_t body_size);

/*
 * Reads CONSUL_HTTP_ADDR as Consul's own clients do: HOST:PORT, http://, https://, unix://PATH, a path after
 * the host as a prefix of all paths. tls: CONSUL_HTTP_SSL, which http:// does not undo. Both results are
 * malloc'd, the socket perhaps NULL. Returns 0, -EINVAL for another scheme or no host, -ENOMEM. Pure.
 */
int consul_address_read(const char *address, bool tls, char **ret_base, char **ret_unix_socket);

/*
 * Takes the settings together, the token's file read. Returns 0, or a negative errno with words in text. api
 * is to be closed in both cases. May block on the file.
 */
int consul_api_open(const struct config *config, struct consul_api *api, char *text, size_t size);
void consul_api_close(struct consul_api *api);

/*
 * One attempt, of a few seconds and until the deadline at most. escaped_namespace is "" for none. When the
 * outcome is not CONSUL_DONE, text says why; never with a secret in it. Block.
 */
enum consul_outcome consul_api_register(const struct consul_api *api, const char *json, int64_t deadline,
                                        char *text, size_t size);
enum consul_outcome consul_api_deregister(const struct consul_api *api, const char *escaped_namespace,
                                          const char *id, int64_t deadline, char *text, size_t size);

#endif
