/* Connections to a Unix socket: paths of every length, and each way to fail without losing a descriptor. */
#include "supervisor/domain_socket.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support.h"

/* Listens at a name in the current folder, which has to be short; the path to it need not be. */
static int listen_at(const char *name, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strncpy(address.sun_path, name, sizeof(address.sun_path) - 1);
    cr_assert_eq(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(listener, backlog), 0);
    return listener;
}

static void enter_new_folder(char *path, size_t size)
{
    char name[] = "/tmp/bulkhead-socket-XXXXXX";
    cr_assert_not_null(mkdtemp(name));
    cr_assert_eq(chdir(name), 0);
    snprintf(path, size, "%s", name);
}

static void leave_folder(const char *path)
{
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(rmdir(path), 0);
}

static void expect_connection(const char *path, int listener)
{
    size_t before = support_count_descriptors(getpid());
    int descriptor = domain_socket_connect(path);
    cr_assert_geq(descriptor, 0, "%s: %d", path, descriptor);
    cr_assert_eq(support_count_descriptors(getpid()), before + 1);
    cr_assert_neq(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, 0);
    int accepted = accept(listener, NULL, NULL);
    char byte;
    cr_assert_eq(write(descriptor, "x", 1), 1);
    cr_assert_eq(read(accepted, &byte, 1), 1);
    close(accepted);
    close(descriptor);
}

static void expect_failure(const char *path, int error)
{
    size_t before = support_count_descriptors(getpid());
    cr_assert_eq(domain_socket_connect(path), -error, "%.200s", path);
    cr_assert_eq(support_count_descriptors(getpid()), before, "a descriptor was lost");
}

Test(domain_socket, paths_of_every_length, .timeout = 60)
{
    char folder[PATH_MAX], path[PATH_MAX];
    enter_new_folder(folder, sizeof(folder));
    int listener = listen_at("s", 8);
    /* "." is a folder too: a path can be made as long as one likes. */
    for (size_t slashes = 0; slashes < 160; slashes++) {
        size_t used = (size_t)snprintf(path, sizeof(path), "%s/", folder);
        memset(path + used, '/', slashes);
        strcpy(path + used + slashes, "s");
        expect_connection(path, listener);
    }
    size_t used = (size_t)snprintf(path, sizeof(path), "%s/", folder);
    while (used < 3000)
        used += (size_t)snprintf(path + used, sizeof(path) - used, "./");
    strcpy(path + used, "s");
    expect_connection(path, listener);
    close(listener);
    expect_failure(path, ECONNREFUSED);
    unlink("s");
    expect_failure(path, ENOENT);
    leave_folder(folder);
}

Test(domain_socket, a_relative_path, .timeout = 60)
{
    char folder[PATH_MAX];
    enter_new_folder(folder, sizeof(folder));
    int listener = listen_at("s", 8);
    expect_connection("s", listener);
    close(listener);
    unlink("s");
    leave_folder(folder);
}

Test(domain_socket, ways_to_fail, .timeout = 60)
{
    char folder[PATH_MAX], path[3 * PATH_MAX];
    enter_new_folder(folder, sizeof(folder));
    expect_failure("", ENOENT);
    expect_failure("/nonexistent/socket", ENOENT);
    expect_failure("/etc/passwd", ECONNREFUSED);

    snprintf(path, sizeof(path), "%s/nonexistent-%0100d/s", folder, 1);
    expect_failure(path, ENOENT);
    snprintf(path, sizeof(path), "%s/%0120d", folder, 1); /* the last part alone does not fit */
    expect_failure(path, ENAMETOOLONG);
    snprintf(path, sizeof(path), "%0120d", 1);
    expect_failure(path, ENAMETOOLONG);
    snprintf(path, sizeof(path), "%s/%05000d/s", folder, 1);
    expect_failure(path, ENAMETOOLONG);
    leave_folder(folder);
}

/* Nobody accepts: it must not wait. */
Test(domain_socket, a_full_queue_does_not_block, .timeout = 60)
{
    char folder[PATH_MAX];
    enter_new_folder(folder, sizeof(folder));
    int listener = listen_at("s", 1), connections[64], count = 0, r;
    while ((r = domain_socket_connect("s")) >= 0 && count < 64)
        connections[count++] = r;
    cr_assert_eq(r, -EAGAIN);
    while (count > 0)
        close(connections[--count]);
    close(listener);
    unlink("s");
    leave_folder(folder);
}
