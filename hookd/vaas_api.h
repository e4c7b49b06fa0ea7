#ifndef BULKHEAD_HOOKD_VAAS_API_H
#define BULKHEAD_HOOKD_VAAS_API_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "hookd/http_client.h"
#include "hookd/vaas_answer.h"

/* Calls to VaaS, and what their answers mean. */
enum vaas_outcome {
    VAAS_OK,
    VAAS_MISSING, /* what was asked for is not there */
    VAAS_AGAIN,   /* worth another attempt */
    VAAS_DENIED,  /* user or key */
    VAAS_REFUSED, /* no attempt will be better */
};

/* Where VaaS is and who we are there. The fields belong to vaas_api.c. */
struct vaas_api {
    const char *host;    /* as it was given; its trailing slashes do not count */
    char *authorization; /* the whole header, or NULL */
    const char *key;
};

/* What an HTTP status means. Pure. */
enum vaas_outcome vaas_classify(long status);

/* Returns 0, or a negative errno with words in text. api is to be closed in both cases. */
int vaas_api_open(const struct config *config, struct vaas_api *api, char *text, size_t size);
void vaas_api_close(struct vaas_api *api);

/*
 * One request for a path from VAAS_API on; body NULL for none; limit: how long it may take, within the
 * deadline. When the outcome is not VAAS_OK, text says why; never with a secret in it. answer is to be
 * cleared in all cases. Blocks.
 */
enum vaas_outcome vaas_api_call(const struct vaas_api *api, const char *method, const char *path,
                                const char *body, int64_t limit, int64_t deadline,
                                struct http_client_answer *answer, char *text, size_t size);

/* Look-ups, page after page. VAAS_MISSING when no page has it. ret_dc is to be cleared after VAAS_OK. Block.
 */
enum vaas_outcome vaas_api_find_dc(const struct vaas_api *api, const char *symbol, int64_t deadline,
                                   struct vaas_dc *ret_dc, char *text, size_t size);
enum vaas_outcome vaas_api_find_director(const struct vaas_api *api, const char *name, int64_t deadline,
                                         int64_t *ret_id, char *text, size_t size);

/* All backends with this one's address, port and director; VAAS_OK when there are none, too. */
enum vaas_outcome vaas_api_find_backends(const struct vaas_api *api, const struct vaas_backend *wanted,
                                         int64_t deadline, struct vaas_ids *ret_ids, char *text, size_t size);

/* Asks once for the backend's removal; one that is not there is removed. */
enum vaas_outcome vaas_api_delete(const struct vaas_api *api, int64_t id, int64_t deadline, char *text,
                                  size_t size);

#endif
