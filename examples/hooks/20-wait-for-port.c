/*
 * A hook in C: a task with the label wait-for-port=true counts as started only when something listens on its
 * first port.
 *
 *     cc -O2 -Wall -o 20-wait-for-port 20-wait-for-port.c -ljson-c
 *
 * It shows what a hook is given: the event as argument, the task as JSON on standard input. It tries until it
 * is killed, ALLEGRO_EXECUTOR_HOOK_TIMEOUT after its start: there is no need for a limit of its own.
 */
#include <arpa/inet.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The value of a member, or NULL where it is missing. */
static struct json_object *member(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;
    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, key, &value))
        return NULL;
    return value;
}

static bool is_wanted(struct json_object *task)
{
    struct json_object *label = member(member(task, "labels"), "wait-for-port");
    return label != NULL && strcmp(json_object_get_string(label), "true") == 0;
}

/* 0 for a task without ports. */
static int first_port(struct json_object *task)
{
    struct json_object *ports = member(task, "ports");
    if (!json_object_is_type(ports, json_type_array) || json_object_array_length(ports) == 0)
        return 0;
    return json_object_get_int(member(json_object_array_get_idx(ports, 0), "number"));
}

static bool listens(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected =
        connection >= 0 && connect(connection, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (connection >= 0)
        close(connection);
    return connected;
}

int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "AfterTaskStart") != 0)
        return EXIT_SUCCESS; /* not our event */
    struct json_object *task = json_object_from_fd(STDIN_FILENO);
    if (task == NULL) {
        fprintf(stderr, "the task on standard input is no JSON\n");
        return EXIT_FAILURE;
    }
    int port = is_wanted(task) ? first_port(task) : 0;
    json_object_put(task);
    if (port == 0)
        return EXIT_SUCCESS;
    while (!listens(port))
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    printf("port %d is open\n", port);
    return EXIT_SUCCESS;
}
