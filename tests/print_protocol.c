/*
 * Prints the message list as the Markdown table of docs/protocol.md, so that the page cannot say anything but
 * the list. `./dev test` compares the two, `./dev format` rewrites the page. It must never hold a fact about
 * a message itself.
 */
#include <stdint.h>
#include <stdio.h>

#include "common/message.h"

struct bit_name {
    unsigned bit;
    const char *name;
};

static void print_bits(unsigned bits, const struct bit_name *names, size_t count)
{
    const char *separator = "";
    for (size_t i = 0; i < count; i++) {
        if ((bits & names[i].bit) == 0)
            continue;
        printf("%s%s", separator, names[i].name);
        separator = ", ";
    }
}

static void print_roles(unsigned roles)
{
    const struct bit_name names[] = {
        {ROLE_SUPERVISOR, message_role_name(ROLE_SUPERVISOR)},
        {ROLE_AGENT_CLIENT, message_role_name(ROLE_AGENT_CLIENT)},
        {ROLE_HOOKD, message_role_name(ROLE_HOOKD)},
        {ROLE_LOGSHIPPER, message_role_name(ROLE_LOGSHIPPER)},
    };
    if (roles == ROLE_HELPER)
        printf("any helper");
    else
        print_bits(roles, names, sizeof(names) / sizeof(names[0]));
}

static void print_phases(unsigned phases)
{
    static const struct bit_name names[] = {
        {PHASE_SETUP, "setup"}, {PHASE_RUNNING, "running"}, {PHASE_STOPPING, "stopping"}};
    print_bits(phases, names, sizeof(names) / sizeof(names[0]));
}

static void print_size(uint32_t bytes)
{
    enum { KIB = 1024, MIB = 1024 * 1024 };
    if (bytes >= MIB && bytes % MIB == 0)
        printf("%u MiB", (unsigned)(bytes / MIB));
    else if (bytes >= KIB && bytes % KIB == 0)
        printf("%u KiB", (unsigned)(bytes / KIB));
    else
        printf("%u", (unsigned)bytes);
}

static void print_row(const struct message_definition *row)
{
    printf("| %u | `%s` | ", (unsigned)row->type, row->name);
    print_roles(row->senders);
    printf(" | ");
    print_roles(row->receivers);
    printf(" | ");
    print_phases(row->phases);
    printf(" | `%s` | ", row->body->short_name);
    print_size(row->largest);
    printf(" | %s | %s |\n", row->has_descriptor ? "yes" : "", row->purpose);
}

int main(void)
{
    puts("| number | message | from | to | phases | body | at most | descriptor | purpose |\n"
         "| ---: | --- | --- | --- | --- | --- | ---: | --- | --- |");
    const struct message_definition *row;
    for (size_t i = 0; (row = message_at(i)) != NULL; i++)
        print_row(row);
    return fflush(stdout) == 0 ? 0 : 1;
}
