/*
 * A helper that behaves as FAKE_MODE says, well or badly; modes[] below is the list. It packs its frames by
 * hand, from docs/protocol.md, so that it shares no mistake with what it talks to. When FAKE_FILE is set, it
 * writes there what it has found: its descriptors, then every body that it gets with its type.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
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
    LIFETIME = 100, /* seconds */
    HELLO = 1,
    CONFIGURE = 2,
    PING = 3,
    PONG = 4,
    ATTEMPT = 16,
    LIST_TASK = 17,
};

static uint32_t generation;

static void write_all(const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = send(SOCKET, bytes, length, MSG_NOSIGNAL);
        if (n <= 0)
            exit(4);
        bytes += n;
        length -= (size_t)n;
    }
}

static void say(uint16_t type, uint32_t id, const void *body, uint32_t length)
{
    unsigned char frame[HEADER + 256];
    const uint32_t words[] = {htonl(length), htonl((uint32_t)type << 16), htonl(id), htonl(generation)};
    memcpy(frame, words, HEADER);
    if (length > 0)
        memcpy(frame + HEADER, body, length);
    write_all(frame, HEADER + length);
}

static void greet(unsigned char protocol)
{
    const unsigned char body[] = {0x08, protocol, 0x12, 4, 'f', 'a', 'k', 'e'};
    say(HELLO, 0, body, sizeof(body));
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

static void note(const char *word, const void *bytes, size_t length)
{
    const char *path = getenv("FAKE_FILE");
    FILE *file = path != NULL ? fopen(path, "ae") : NULL;
    if (file == NULL)
        return;
    fprintf(file, "%s:", word);
    fwrite(bytes, 1, length, file);
    fputc('\n', file);
    fclose(file);
}

static void note_descriptors(void)
{
    char text[256] = "";
    size_t used = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(folder) && used < sizeof(text))
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s ", entry->d_name);
    closedir(folder);
    note("descriptors", text, strlen(text));
}

/* Takes one frame: its type, or 0 when the supervisor is gone. */
static unsigned take(uint32_t *ret_id)
{
    static unsigned char body[1 << 20];
    uint32_t words[4];
    if (!read_all((unsigned char *)words, HEADER) || ntohl(words[0]) > sizeof(body) ||
        !read_all(body, ntohl(words[0])))
        return 0;
    unsigned type = ntohl(words[1]) >> 16;
    *ret_id = ntohl(words[2]);
    char word[32];
    snprintf(word, sizeof(word), "type %u", type);
    note(word, body, ntohl(words[0]));
    return type;
}

/* Serves until the supervisor is gone; on_configured, if there is one, is called when it has its settings. */
static void serve(void (*on_configured)(void), int answers_pings)
{
    unsigned type;
    uint32_t id;
    while ((type = take(&id)) != 0) {
        if (type == PING && answers_pings) {
            say(PONG, id, NULL, 0);
            note("answered", "", 0);
        }
        if (type == CONFIGURE && on_configured != NULL)
            on_configured();
    }
}

static void be_good(void)
{
    greet(1);
    serve(NULL, 1);
}

static void rest(void)
{
    for (;;)
        pause();
}

static void greet_with_another_protocol(void)
{
    greet(99);
    serve(NULL, 1);
}

static void send_garbage(void)
{
    unsigned char bytes[100];
    memset(bytes, 0xee, sizeof(bytes));
    write_all(bytes, sizeof(bytes));
    rest();
}

static void say_what_is_not_its_to_say(void)
{
    greet(1);
    say(CONFIGURE, 0, NULL, 0);
    rest();
}

static void speak_before_greeting(void)
{
    say(ATTEMPT, 0, NULL, 0);
    rest();
}

static void greet_twice(void)
{
    greet(1);
    greet(1);
    rest();
}

static void send_a_bad_body(void)
{
    static const unsigned char body[] = {0x0a, 100, 'x'};
    say(HELLO, 0, body, sizeof(body));
    rest();
}

static void answer_what_was_not_asked(void)
{
    say(PONG, 1, NULL, 0);
    rest();
}

static void pong_when_configured(void)
{
    greet(1);
    serve(answer_what_was_not_asked, 1);
}

static void never_answer(void)
{
    greet(1);
    serve(NULL, 0);
}

static void stop_itself(void)
{
    raise(SIGSTOP);
}

static void stop_when_configured(void)
{
    greet(1);
    serve(stop_itself, 1);
}

static void leave(void)
{
    exit(3);
}

static void leave_when_configured(void)
{
    greet(1);
    serve(leave, 1);
}

static void die(void)
{
    raise(SIGTERM);
}

static void die_when_configured(void)
{
    greet(1);
    serve(die, 1);
}

/* Speaks without end and never reads. */
static void flood(void)
{
    greet(1);
    uint32_t id;
    take(&id);
    for (;;)
        say(ATTEMPT, 0, NULL, 0);
}

static void never_read(void)
{
    greet(1);
    rest();
}

static void close_channel(void)
{
    greet(1);
    close(SOCKET);
    rest();
}

static const struct {
    const char *name;
    void (*play)(void);
} modes[] = {
    {"good", be_good},
    {"mute", rest},
    {"other-protocol", greet_with_another_protocol},
    {"garbage", send_garbage},
    {"forbidden", say_what_is_not_its_to_say},
    {"early", speak_before_greeting},
    {"twice", greet_twice},
    {"bad-body", send_a_bad_body},
    {"pong", pong_when_configured},
    {"silent", never_answer},
    {"stop", stop_when_configured},
    {"exit", leave},
    {"leave", leave_when_configured},
    {"die", die_when_configured},
    {"flood", flood},
    {"deaf", never_read},
    {"close", close_channel},
};

int main(int argc, char **argv)
{
    const char *mode = getenv("FAKE_MODE");
    if (argc != 2 || mode == NULL)
        return 2;
    alarm(LIFETIME);
    generation = (uint32_t)strtoul(argv[1], NULL, 10);
    note_descriptors();
    note("argument", argv[1], strlen(argv[1]));
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(modes[i].name, mode) == 0)
            modes[i].play();
    return 2;
}
