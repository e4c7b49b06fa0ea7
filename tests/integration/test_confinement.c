/*
 * The real agent-client, subscribed: it must have confined itself by then, as far as this machine lets it.
 * What the confinement is worth is the unit tests' matter.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/script.h"

TestSuite(confinement, .timeout = 60);

static struct script *start_subscribed(bool tls)
{
    struct devagent_options options;
    devagent_options_init(&options);
    options.checkpoint = true;
    options.never_destroy = true;
    options.tls = tls;
    struct script *script = script_start(&options, NULL);
    script_expect(script, MESSAGE_AGENT_SUBSCRIBED);
    return script;
}

/* The first number of a line of /proc/PID/status, in hexadecimal where base is 16. */
static unsigned long long read_status(const struct script *script, const char *key, int base)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)script->pid);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    unsigned long long value = 0;
    bool is_found = false;
    size_t length = strlen(key);
    while (!is_found && fgets(line, sizeof(line), file) != NULL) {
        is_found = strncmp(line, key, length) == 0 && line[length] == ':';
        if (is_found)
            is_found = sscanf(line + length + 1, base == 16 ? "%llx" : "%llu", &value) == 1;
    }
    fclose(file);
    cr_assert(is_found, "no %s in the status", key);
    return value;
}

static void expect_confined(const struct script *script)
{
    cr_expect_eq(read_status(script, "NoNewPrivs", 10), 1);
    cr_expect_eq(read_status(script, "CapPrm", 16), 0);
    cr_expect_eq(read_status(script, "CapEff", 16), 0);
    if (geteuid() == 0) {
        cr_expect_neq(read_status(script, "Uid", 10), 0);
        cr_expect_neq(read_status(script, "Gid", 10), 0);
    }
#ifndef BULKHEAD_SANITIZE /* such a build cannot have these */
    struct stat status;
    char path[64];
    cr_expect_eq(read_status(script, "Seccomp", 10), 2, "no filter of system calls");
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)script->pid);
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_uid, 0, "dumpable: its memory is open to its user");
#endif
}

Test(confinement, agent_client_has_confined_itself)
{
    struct script *script = start_subscribed(false);
    expect_confined(script);
    script_end(script);
}

Test(confinement, with_tls_too)
{
    struct script *script = start_subscribed(true);
    expect_confined(script);
    script_end(script);
}
