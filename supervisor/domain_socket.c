/*
 * Connections to the agent's domain socket, made by the supervisor because its user may open the socket and a
 * helper's may not. Nothing is read from them here: they are handed on as descriptors.
 */
#include "supervisor/domain_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A path that does not fit (unix(7): 108 bytes) is reached through a descriptor of its folder. */
static int set_path(struct sockaddr_un *address, const char *path, int *ret_folder)
{
    *ret_folder = -1;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] == '\0') /* unix(7) would take it for an abstract name, which anybody may have bound */
        return -ENOENT;
    int n = snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
    if (n >= 0 && (size_t)n < sizeof(address->sun_path))
        return 0;

    const char *slash = strrchr(path, '/');
    char folder[4096];
    if (slash == NULL || (size_t)(slash - path) >= sizeof(folder))
        return -ENAMETOOLONG;
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    int descriptor = open(folder[0] != '\0' ? folder : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return -errno;
    n = snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", descriptor, slash + 1);
    if (n < 0 || (size_t)n >= sizeof(address->sun_path)) {
        close(descriptor);
        return -ENAMETOOLONG;
    }
    *ret_folder = descriptor;
    return 0;
}

int domain_socket_connect(const char *path)
{
    struct sockaddr_un address;
    int folder;
    int r = set_path(&address, path, &folder);
    if (r < 0)
        return r;
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0 || connect(descriptor, (const struct sockaddr *)&address, sizeof(address)) < 0)
        r = -errno;
    if (folder >= 0)
        close(folder);
    if (r < 0 && descriptor >= 0)
        close(descriptor);
    return r < 0 ? r : descriptor;
}
