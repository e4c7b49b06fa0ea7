/*
 * libcurl as Debian 12 has it, made to fit: what it costs when it is prepared, and what it gets wrong.
 *
 * Nothing here knows of agents or HTTP. Whatever is worked around is named with the reason, so that it can go
 * when the reason is gone.
 */
#include "agent-client/libcurl.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * libcurl prepares OpenSSL whether TLS will be used or not, and the names of all errors and algorithms fill a
 * tenth of this process's memory. OpenSSL takes the first word on what to load (OPENSSL_init_crypto(3)):
 * where no TLS is wanted, that is ours. With a libcurl that has another TLS library inside, the functions are
 * not found and nothing is lost.
 */
static void keep_openssl_small(void)
{
    enum {
        NO_CRYPTO_STRINGS = 0x1,
        NO_CIPHERS = 0x10,
        NO_DIGESTS = 0x20,
        NO_CONFIG = 0x80,
        NO_SSL_STRINGS = 0x100000
    };
    static const struct {
        const char *name;
        uint64_t options;
    } calls[] = {
        {"OPENSSL_init_crypto", NO_CRYPTO_STRINGS | NO_CIPHERS | NO_DIGESTS | NO_CONFIG},
        {"OPENSSL_init_ssl", NO_CRYPTO_STRINGS | NO_CIPHERS | NO_DIGESTS | NO_CONFIG | NO_SSL_STRINGS},
    };
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        int (*init)(uint64_t options, const void *settings);
        void *function = dlsym(RTLD_DEFAULT, calls[i].name);
        memcpy(&init, &function, sizeof(init));
        if (init != NULL)
            init(calls[i].options, NULL);
    }
}

int libcurl_prepare(bool tls)
{
    if (!tls)
        keep_openssl_small();
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;
}

/*
 * libcurl 7.88 (Debian 12; curl bug 10626) hears CURL_SOCKOPT_ALREADY_CONNECTED and connects all the same.
 * So the connect() that it finds is this one, and connecting a Unix socket that is connected does nothing,
 * where the system's would be an error.
 */
int connect(int socket, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    struct sockaddr_un peer = {.sun_family = AF_UNSPEC};
    socklen_t size = sizeof(peer);
    if (getpeername(socket, (struct sockaddr *)&peer, &size) == 0 && peer.sun_family == AF_UNIX)
        return 0;
    return (int)syscall(SYS_connect, socket, address.__sockaddr__, length);
}
