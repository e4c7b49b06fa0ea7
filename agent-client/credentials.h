#ifndef BULKHEAD_AGENT_CLIENT_CREDENTIALS_H
#define BULKHEAD_AGENT_CLIENT_CREDENTIALS_H

#include <stddef.h>

#include "common/config.h"

/*
 * The files of TLS, in memory: they are often root's alone, and this process does not stay root's. As with
 * Mesos, a file that is replaced is seen by the next process only.
 */
struct credential {
    unsigned char *data; /* PEM; NULL where there is none */
    size_t size;
};

struct credentials {
    struct credential certificate;
    struct credential key;
    struct credential authorities;
};

enum { CREDENTIAL_MAX = 1024 * 1024 };

/*
 * Reads the files that the settings name, those that will be needed. Returns 0; -EFBIG for one larger than
 * CREDENTIAL_MAX, -ENODATA for an empty one, another negative errno when it cannot be read, and then in
 * *ret_setting which setting named it; -ENOMEM. Blocks as long as the file system does.
 */
int credentials_read(const struct config *config, struct credentials *ret_credentials,
                     enum config_id *ret_setting);

/* Zeroes and frees. NULL is accepted. */
void credentials_clear(struct credentials *credentials);

#endif
