#ifndef BULKHEAD_HOOKD_URL_H
#define BULKHEAD_HOOKD_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a probe asks: as much of RFC 3986 as that takes. All pure. */
enum { URL_HOST_SIZE = 256, URL_PATH_SIZE = 8192, URL_SIZE = URL_HOST_SIZE + URL_PATH_SIZE + 32 };

struct url {
    bool is_tls;
    char host[URL_HOST_SIZE]; /* a name or an address, without brackets */
    uint16_t port;
    char path[URL_PATH_SIZE]; /* with its query, without a fragment; begins with '/' */
};

/*
 * What a health check asks for. path as the framework wrote it: it is not touched, but that "" becomes "/", a
 * '/' is put before one that has none, and a fragment is cut off. scheme NULL is http. Returns 0;
 * -ENAMETOOLONG; -EINVAL for a scheme, a port, a host or a path (blanks, control characters) that no request
 * can be made of.
 */
int url_make(const char *scheme, const char *host, uint32_t port, const char *path, struct url *ret_url);

/*
 * Where a Location (RFC 9110, 10.2.2) leads from base: absolute, "//host…", "/path", "path" or "?query";
 * blanks in it are escaped. Returns 0; -EPROTONOSUPPORT for neither http nor https; -ENAMETOOLONG; -EINVAL.
 */
int url_follow(const struct url *base, const char *location, struct url *ret_url);

/* "http://[::1]:80/path"; text has room for URL_SIZE bytes. */
void url_format(const struct url *url, char *text);

/* "127.0.0.1:80", "[::1]:80": for a Host header and for people; text has room for URL_HOST_SIZE + 16 bytes.
 */
void url_format_host(const struct url *url, char *text);

#endif
