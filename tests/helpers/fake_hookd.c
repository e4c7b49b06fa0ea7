/*
 * A hookd that misbehaves when it gets the hooks of one event, and gives way to the real one after some
 * incarnations. The file "play" beside it says how: WAY EVENT INCARNATIONS, the ways being those of ways[]
 * below and the event HookRun's number. Hooks of other events "succeed" at once. The real one is beside it as
 * "real-hookd", and "fork_storm" for the way of that name.
 *
 * It packs its frames by hand, from docs/protocol.md, and ends by itself after half a minute.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SOCKET = 3,
    HEADER = 16,
    LIFETIME_S = 30,
    HELLO = 1,
    CONFIGURE = 2,
    PING = 3,
    PONG = 4,
    HOOK_RUN = 32,
    HOOK_RESULT = 36,
    HOOK_DONE = 37,
    PROBE = 38,
};

static uint32_t generation;
static uint32_t job; /* the one that it misbehaves at, below 128 */
static char folder[PATH_MAX];

static void write_all(const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = send(SOCKET, bytes, length, MSG_NOSIGNAL);
        if (n <= 0)
            _exit(4);
        bytes += n;
        length -= (size_t)n;
    }
}

static void say(uint16_t type, uint32_t id, const void *body, uint32_t length)
{
    unsigned char frame[HEADER + 64];
    const uint32_t words[] = {htonl(length), htonl((uint32_t)type << 16), htonl(id), htonl(generation)};
    memcpy(frame, words, HEADER);
    if (length > 0)
        memcpy(frame + HEADER, body, length);
    write_all(frame, HEADER + length);
}

static int read_all(unsigned char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = read(SOCKET, bytes, length);
        if (n <= 0)
            return 0;
        bytes += n;
        length -= (size_t)n;
    }
    return 1;
}

/* Never answers again. */
static void rest(void)
{
    for (;;)
        pause();
}

/* ---- the ways ---- */

static void be_busy(void)
{
    for (volatile unsigned long n = 0;; n++)
        continue;
}

static void hog_memory(void)
{
    enum { BLOCK = 16 << 20, BLOCKS = 16 };
    for (int i = 0; i < BLOCKS; i++) {
        char *volatile block = malloc(BLOCK);
        if (block != NULL)
            memset(block, 1, BLOCK);
    }
    rest();
}

static void hog_descriptors(void)
{
    enum { MOST = 100000 };
    for (int i = 0; i < MOST && open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0; i++)
        continue;
    rest();
}

static void storm(void)
{
    char program[PATH_MAX + 16];
    char *argv[] = {program, (char *)(uintptr_t) "15", NULL};
    snprintf(program, sizeof(program), "%s/fork_storm", folder);
    if (fork() == 0) {
        execv(program, argv);
        _exit(127);
    }
    rest();
}

static void send_result(uint32_t of)
{
    const unsigned char body[] = {0x08, (unsigned char)of, 0x12, 1, 'x', 0x18, 1};
    say(HOOK_RESULT, 0, body, sizeof(body));
}

/* Never reads either. */
static void flood(void)
{
    for (;;)
        send_result(127);
}

static void flood_with_results(void)
{
    for (;;)
        send_result(job);
}

static void send_garbage(void)
{
    unsigned char bytes[100];
    memset(bytes, 0xee, sizeof(bytes));
    write_all(bytes, sizeof(bytes));
    rest();
}

static void send_a_bad_body(void)
{
    static const unsigned char body[] = {0x0a, 100, 'x'};
    say(HOOK_RESULT, 0, body, sizeof(body));
    rest();
}

static void say_what_only_the_supervisor_says(void)
{
    static const unsigned char body[] = {0x08, 1};
    say(PROBE, 0, body, sizeof(body));
    rest();
}

/* AGENT_SHUTDOWN: it would end the executor. */
static void say_what_only_agent_client_says(void)
{
    enum { AGENT_SHUTDOWN = 27 };
    say(AGENT_SHUTDOWN, 0, NULL, 0);
    rest();
}

static void ignore_SIGTERM(void)
{
    signal(SIGTERM, SIG_IGN);
    rest();
}

static void leave(void)
{
    _exit(3);
}

/* It is alive and says nothing of its jobs. */
static void answer_pings_only(void);

static const struct {
    const char *name;
    void (*play)(void);
} ways[] = {
    {"busy", be_busy},
    {"memory", hog_memory},
    {"descriptors", hog_descriptors},
    {"storm", storm},
    {"flood", flood},
    {"results", flood_with_results},
    {"garbage", send_garbage},
    {"bad-body", send_a_bad_body},
    {"supervisors-word", say_what_only_the_supervisor_says},
    {"agents-word", say_what_only_agent_client_says},
    {"ignore-term", ignore_SIGTERM},
    {"exit", leave},
    {"idle", answer_pings_only},
};

static void play(const char *name)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        if (strcmp(ways[i].name, name) == 0)
            ways[i].play();
    _exit(2);
}

/* ---- the conversation ---- */

/* Its two first fields are job and event, one byte each. */
static void take_hook_run(const unsigned char *body, const char *way, unsigned event)
{
    if (body[0] != 0x08 || body[2] != 0x10)
        _exit(5);
    job = body[1];
    if (body[3] == event)
        play(way);
    const unsigned char done[] = {0x08, body[1], 0x10, 1};
    say(HOOK_DONE, 0, done, sizeof(done));
}

/* An event of 0 is none. */
static void serve(const char *way, unsigned event)
{
    static unsigned char body[1 << 20];
    uint32_t words[4];
    while (read_all((unsigned char *)words, HEADER) && ntohl(words[0]) <= sizeof(body) &&
           read_all(body, ntohl(words[0]))) {
        unsigned type = ntohl(words[1]) >> 16;
        if (type == PING)
            say(PONG, ntohl(words[2]), NULL, 0);
        else if (type == HOOK_RUN && event != 0)
            take_hook_run(body, way, event);
    }
    _exit(0);
}

static void answer_pings_only(void)
{
    serve("", 0);
}

static void find_folder(void)
{
    ssize_t n = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
    char *slash = n > 0 ? strrchr(folder, '/') : NULL;
    if (slash == NULL)
        _exit(2);
    *slash = '\0';
}

int main(int argc, char **argv)
{
    static const unsigned char hello[] = {0x08, 1, 0x12, 4, 'f', 'a', 'k', 'e'};
    char path[PATH_MAX + 16], way[32];
    unsigned event, incarnations;
    if (argc != 2)
        return 2;
    alarm(LIFETIME_S);
    generation = (uint32_t)strtoul(argv[1], NULL, 10);
    find_folder();
    snprintf(path, sizeof(path), "%s/play", folder);
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%31s %u %u", way, &event, &incarnations) != 3)
        return 2;
    fclose(file);
    if (generation > incarnations) {
        alarm(0);
        snprintf(path, sizeof(path), "%s/real-hookd", folder);
        execv(path, argv);
        return 127;
    }
    say(HELLO, 0, hello, sizeof(hello));
    serve(way, event);
}
