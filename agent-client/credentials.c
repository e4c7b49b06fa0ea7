/*
 * The files of TLS, read once, before this process gives up what it may read them with.
 *
 * Must never leave a copy of the key behind in freed memory, or put one into a log: so no stdio, whose
 * buffers are not ours to clean.
 */
#include "agent-client/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void clear(struct credential *credential)
{
    if (credential->data != NULL)
        explicit_bzero(credential->data, credential->size);
    free(credential->data);
    *credential = (struct credential){.data = NULL};
}

void credentials_clear(struct credentials *credentials)
{
    if (credentials == NULL)
        return;
    clear(&credentials->certificate);
    clear(&credentials->key);
    clear(&credentials->authorities);
}

/* A file that has become shorter since its size was asked is one that is just being written. */
static int fill(int file, struct credential *credential)
{
    size_t filled = 0;
    while (filled < credential->size) {
        ssize_t n = read(file, credential->data + filled, credential->size - filled);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        filled += (size_t)n;
    }
    return 0;
}

static int read_open_file(int file, struct credential *ret_credential)
{
    struct stat status;
    if (fstat(file, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    if (status.st_size > CREDENTIAL_MAX)
        return -EFBIG;
    if (status.st_size == 0)
        return -ENODATA;
    struct credential credential = {.size = (size_t)status.st_size};
    credential.data = malloc(credential.size);
    if (credential.data == NULL)
        return -ENOMEM;
    int r = fill(file, &credential);
    if (r < 0)
        clear(&credential);
    else
        *ret_credential = credential;
    return r;
}

static int read_file(const char *path, struct credential *ret_credential)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* it might be no file at all */
    if (file < 0)
        return -errno;
    int r = read_open_file(file, ret_credential);
    close(file);
    return r;
}

int credentials_read(const struct config *config, struct credentials *ret_credentials,
                     enum config_id *ret_setting)
{
    struct credentials credentials = {.key = {.data = NULL}};
    const struct {
        enum config_id setting;
        bool wanted;
        struct credential *credential;
    } files[] = {
        {CONFIG_SSL_CERT_FILE, true, &credentials.certificate},
        {CONFIG_SSL_KEY_FILE, true, &credentials.key},
        {CONFIG_SSL_CA_FILE, config_bool(config, CONFIG_SSL_VERIFY_SERVER_CERT), &credentials.authorities},
    };
    for (size_t i = 0; config_bool(config, CONFIG_SSL_ENABLED) && i < sizeof(files) / sizeof(files[0]); i++) {
        const char *path = config_string(config, files[i].setting);
        if (path == NULL || !files[i].wanted)
            continue;
        int r = read_file(path, files[i].credential);
        if (r < 0) {
            credentials_clear(&credentials);
            *ret_setting = files[i].setting;
            return r;
        }
    }
    *ret_credentials = credentials;
    return 0;
}
