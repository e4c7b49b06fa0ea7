/*
 * URLs of probes: made from a check, and followed where an answer redirects. Pure.
 *
 * A Location is the task's own text. Must never let a control character or a blank through: it would end the
 * request line and begin a header.
 */
#include "hookd/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_sendable(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
        if (*c <= ' ' || *c == 0x7f)
            return false;
    return true;
}

static int set_scheme(const char *scheme, size_t length, struct url *url)
{
    if (length == 4 && strncasecmp(scheme, "http", 4) == 0)
        url->is_tls = false;
    else if (length == 5 && strncasecmp(scheme, "https", 5) == 0)
        url->is_tls = true;
    else
        return -EPROTONOSUPPORT;
    return 0;
}

/* Nothing that would end the authority or confuse whoever reads it. */
static int set_host(const char *host, size_t length, struct url *url)
{
    if (length == 0)
        return -EINVAL;
    if (length >= sizeof(url->host))
        return -ENAMETOOLONG;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)host[i]) && strchr("-._~:%", host[i]) == NULL)
            return -EINVAL;
    memcpy(url->host, host, length);
    url->host[length] = '\0';
    return 0;
}

/* prefix is "" or what stands before path; a blank is escaped where the text is the server's own. */
static int set_path(const char *prefix, size_t prefix_length, const char *path, bool escapes, struct url *url)
{
    char made[URL_PATH_SIZE];
    size_t used = 0;
    if (prefix_length == 0 && path[0] != '/')
        made[used++] = '/';
    if (prefix_length > sizeof(made) - 4)
        return -ENAMETOOLONG;
    memcpy(made + used, prefix, prefix_length);
    used += prefix_length;
    for (const char *c = path; *c != '\0' && *c != '#'; c++) {
        if (used > sizeof(made) - 4)
            return -ENAMETOOLONG;
        if (*c == ' ' && escapes) {
            memcpy(made + used, "%20", 3);
            used += 3;
        } else {
            made[used++] = *c;
        }
    }
    made[used] = '\0';
    if (!is_sendable(made))
        return -EINVAL;
    memcpy(url->path, made, used + 1);
    return 0;
}

int url_make(const char *scheme, const char *host, uint32_t port, const char *path, struct url *ret_url)
{
    struct url url;
    if (port == 0 || port > UINT16_MAX || host == NULL)
        return -EINVAL;
    url.port = (uint16_t)port;
    const char *known = scheme != NULL && scheme[0] != '\0' ? scheme : "http";
    if (set_scheme(known, strlen(known), &url) < 0)
        return -EINVAL;
    int r = set_host(host, strlen(host), &url);
    if (r == 0)
        r = set_path("", 0, path != NULL ? path : "", false, &url);
    if (r == 0)
        *ret_url = url;
    return r;
}

static int set_port(const char *digits, size_t length, struct url *url)
{
    if (length == 0) {
        url->port = url->is_tls ? 443 : 80;
        return 0;
    }
    unsigned port = 0;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return -EINVAL;
        port = port * 10 + (unsigned)(digits[i] - '0');
        if (port > UINT16_MAX)
            return -EINVAL;
    }
    if (port == 0)
        return -EINVAL;
    url->port = (uint16_t)port;
    return 0;
}

/* [user[:password]@]host[:port]; who asks for a health check has no user. */
static int set_authority(const char *text, size_t length, struct url *url)
{
    const char *at = memrchr(text, '@', length);
    if (at != NULL) {
        length -= (size_t)(at + 1 - text);
        text = at + 1;
    }
    const char *end = text + length;
    const char *host_end;
    if (length > 0 && text[0] == '[') {
        text++;
        host_end = memchr(text, ']', length - 1);
        if (host_end == NULL)
            return -EINVAL;
        int r = set_host(text, (size_t)(host_end - text), url);
        if (r < 0)
            return r;
        host_end++;
    } else {
        host_end = memchr(text, ':', length);
        if (host_end == NULL)
            host_end = end;
        int r = set_host(text, (size_t)(host_end - text), url);
        if (r < 0)
            return r;
    }
    if (host_end == end)
        return set_port("", 0, url);
    return *host_end == ':' ? set_port(host_end + 1, (size_t)(end - host_end - 1), url) : -EINVAL;
}

/* location is behind "//". */
static int follow_absolute(const char *location, struct url *url)
{
    size_t length = strcspn(location, "/?#");
    int r = set_authority(location, length, url);
    return r == 0 ? set_path("", 0, location + length, true, url) : r;
}

/* Dots are left to the server, which sees them as we do. */
static int follow_relative(const char *location, struct url *url)
{
    if (location[0] == '/')
        return set_path("", 0, location, true, url);
    size_t kept = strcspn(url->path, "?");
    if (location[0] != '?' && location[0] != '#' && location[0] != '\0')
        while (kept > 0 && url->path[kept - 1] != '/')
            kept--;
    char prefix[URL_PATH_SIZE];
    memcpy(prefix, url->path, kept);
    return set_path(prefix, kept, location, true, url);
}

/* The length of a scheme with its colon, 0 when there is none (RFC 3986, 3.1). */
static size_t scheme_length(const char *text)
{
    size_t length = 0;
    while (isalnum((unsigned char)text[length]) ||
           (length > 0 && strchr("+-.", text[length]) != NULL && text[length] != '\0'))
        length++;
    return length > 0 && isalpha((unsigned char)text[0]) && text[length] == ':' ? length : 0;
}

int url_follow(const struct url *base, const char *location, struct url *ret_url)
{
    struct url url = *base;
    int r = 0;
    size_t scheme = scheme_length(location);
    if (scheme > 0) {
        r = set_scheme(location, scheme, &url);
        if (r == 0 && strncmp(location + scheme, "://", 3) != 0)
            r = -EINVAL;
        if (r == 0)
            r = follow_absolute(location + scheme + 3, &url);
    } else if (strncmp(location, "//", 2) == 0) {
        r = follow_absolute(location + 2, &url);
    } else {
        r = follow_relative(location, &url);
    }
    if (r == 0)
        *ret_url = url;
    return r;
}

void url_format_host(const struct url *url, char *text)
{
    bool is_ipv6 = strchr(url->host, ':') != NULL;
    snprintf(text, URL_HOST_SIZE + 16, "%s%s%s:%u", is_ipv6 ? "[" : "", url->host, is_ipv6 ? "]" : "",
             (unsigned)url->port);
}

void url_format(const struct url *url, char *text)
{
    char host[URL_HOST_SIZE + 16];
    url_format_host(url, host);
    snprintf(text, URL_SIZE, "%s://%s%s", url->is_tls ? "https" : "http", host, url->path);
}
