/* The command line of `devagent`: one table of options and one of faults, which are read, checked and
 * explained from the same rows. Starts nothing. */
#include "tests/devagent/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"

struct parser {
    struct settings *settings;
    char *error;
};

__attribute__((format(printf, 2, 3))) static int fail(struct parser *parser, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vasprintf(&parser->error, format, args) < 0)
        abort();
    va_end(args);
    return -EINVAL;
}

static int read_span(struct parser *parser, const char *option, const char *text, int64_t *ret_ms)
{
    int64_t ns;
    if (duration_parse_go(text, &ns) < 0 || ns < 0)
        return fail(parser, "%s: \"%s\" is not a duration; write 500ms, 3s or 1m30s", option, text);
    *ret_ms = ns / DURATION_MILLISECOND;
    return 0;
}

static int read_count(struct parser *parser, const char *option, const char *text, long max, long *ret_number)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (!*text || *end || errno || number < 0 || number > max)
        return fail(parser, "%s: \"%s\" is not a number from 0 to %ld", option, text, max);
    *ret_number = number;
    return 0;
}

static int full(struct parser *parser, const char *option)
{
    return fail(parser, "%s: more than %d of these", option, SETTINGS_MAX);
}

static int add_action(struct parser *parser, const char *option, enum action_kind kind, int64_t after_ms)
{
    struct settings *settings = parser->settings;
    if (settings->action_count == SETTINGS_MAX)
        return full(parser, option);
    settings->actions[settings->action_count++] = (struct action){.kind = kind, .after_ms = after_ms};
    return 0;
}

/* ---- faults ---- */

/* What stands behind the name's '='. */
enum fault_argument {
    FAULT_TIMES,  /* [=COUNT]: how many calls, 1 unless said, 0 for every one */
    FAULT_STATUS, /* =STATUS[:COUNT] */
    FAULT_DELAY,  /* =DURATION[:COUNT] */
    FAULT_AFTER,  /* [=DURATION]: how long after TASK_RUNNING, 1s unless said */
    FAULT_BYTES,  /* [=BYTES] */
    FAULT_NONE,
};

struct fault_row {
    const char *name, *shape, *help;
    enum fault_argument argument;
    int kind; /* enum devagent_fault_kind, or enum action_kind for FAULT_AFTER */
    enum devagent_call_type calls;
};

static const struct fault_row faults[] = {
    {"subscribe-status", "=STATUS[:COUNT]", "SUBSCRIBE is answered with this status", FAULT_STATUS,
     DEVAGENT_FAULT_STATUS, DEVAGENT_CALL_SUBSCRIBE},
    {"update-status", "=STATUS[:COUNT]", "UPDATE is answered with this status, and not taken", FAULT_STATUS,
     DEVAGENT_FAULT_STATUS, DEVAGENT_CALL_UPDATE},
    {"status", "=STATUS[:COUNT]", "any call is answered with this status", FAULT_STATUS,
     DEVAGENT_FAULT_STATUS, DEVAGENT_CALL_ANY},
    {"subscribe-no-answer", "[=COUNT]", "SUBSCRIBE is read and never answered", FAULT_TIMES,
     DEVAGENT_FAULT_NO_ANSWER, DEVAGENT_CALL_SUBSCRIBE},
    {"update-no-answer", "[=COUNT]", "UPDATE is read and never answered", FAULT_TIMES,
     DEVAGENT_FAULT_NO_ANSWER, DEVAGENT_CALL_UPDATE},
    {"update-slow", "=DURATION[:COUNT]", "UPDATE is answered that much later", FAULT_DELAY,
     DEVAGENT_FAULT_SLOW, DEVAGENT_CALL_UPDATE},
    {"subscribe-slow", "=DURATION[:COUNT]", "SUBSCRIBE is answered that much later", FAULT_DELAY,
     DEVAGENT_FAULT_SLOW, DEVAGENT_CALL_SUBSCRIBE},
    {"close-early", "[=COUNT]", "the connection is closed before a call is read", FAULT_TIMES,
     DEVAGENT_FAULT_CLOSE_BEFORE_BODY, DEVAGENT_CALL_ANY},
    {"update-close", "[=COUNT]", "the connection is closed, the update is not taken", FAULT_TIMES,
     DEVAGENT_FAULT_CLOSE_AFTER_BODY, DEVAGENT_CALL_UPDATE},
    {"update-taken-close", "[=COUNT]", "the update is taken, the connection closed without an answer",
     FAULT_TIMES, DEVAGENT_FAULT_CLOSE_HANDLED, DEVAGENT_CALL_UPDATE},
    {"subscribe-html", "[=COUNT]", "SUBSCRIBE is answered with a web page", FAULT_TIMES,
     DEVAGENT_FAULT_WRONG_TYPE, DEVAGENT_CALL_SUBSCRIBE},
    {"subscribe-silent", "[=COUNT]", "SUBSCRIBE is answered with 200 and no event", FAULT_TIMES,
     DEVAGENT_FAULT_SILENT, DEVAGENT_CALL_SUBSCRIBE},
    {"subscribe-end", "[=COUNT]", "SUBSCRIBE is answered with 200 and the stream's end", FAULT_TIMES,
     DEVAGENT_FAULT_END_AFTER_HEAD, DEVAGENT_CALL_SUBSCRIBE},
    {"subscribe-shutdown", "", "SUBSCRIBE is answered with SHUTDOWN alone", FAULT_NONE,
     DEVAGENT_FAULT_SHUTDOWN, DEVAGENT_CALL_SUBSCRIBE},
    {"drop-stream", "[=DURATION]", "the event stream is cut that long after TASK_RUNNING (1s)", FAULT_AFTER,
     ACTION_DROP, DEVAGENT_CALL_ANY},
    {"reset-stream", "[=DURATION]", "the same with a TCP reset", FAULT_AFTER, ACTION_RESET,
     DEVAGENT_CALL_ANY},
    {"garbage", "[=DURATION]", "garbage is written into the event stream", FAULT_AFTER, ACTION_GARBAGE,
     DEVAGENT_CALL_ANY},
    {"bad-length", "[=DURATION]", "a record's length is written that no record can have", FAULT_AFTER,
     ACTION_BAD_LENGTH, DEVAGENT_CALL_ANY},
    {"unknown-event", "[=DURATION]", "an event of a type that no version has is sent", FAULT_AFTER,
     ACTION_UNKNOWN_EVENT, DEVAGENT_CALL_ANY},
    {"unknown-fields", "", "every event carries fields that no version has", FAULT_NONE, -1,
     DEVAGENT_CALL_ANY},
    {"split", "[=BYTES]", "the stream comes in pieces of so many bytes (1)", FAULT_BYTES, -1,
     DEVAGENT_CALL_ANY},
};

static int add_fault(struct parser *parser, const struct fault_row *row, struct devagent_fault fault)
{
    struct settings *settings = parser->settings;
    if (settings->fault_count == SETTINGS_MAX)
        return full(parser, "--fault");
    fault.kind = (enum devagent_fault_kind)row->kind;
    fault.calls = row->calls;
    settings->faults[settings->fault_count++] = fault;
    return 0;
}

/* COUNT: 0 is for ever, which the library writes as a negative number. */
static int read_times(struct parser *parser, const struct fault_row *row, const char *text, int *ret_count)
{
    long count = 1;
    int r = text ? read_count(parser, row->name, text, 1000000, &count) : 0;
    if (r >= 0)
        *ret_count = count == 0 ? -1 : (int)count;
    return r;
}

/* "A[:COUNT]": *ret_first is the caller's to free. */
static int read_first_and_count(struct parser *parser, const struct fault_row *row, const char *text,
                                char **ret_first, int *ret_count)
{
    if (!text)
        return fail(parser, "--fault %s needs an argument: %s%s", row->name, row->name, row->shape);
    const char *colon = strchr(text, ':');
    int r = read_times(parser, row, colon ? colon + 1 : NULL, ret_count);
    if (r < 0)
        return r;
    *ret_first = strndup(text, colon ? (size_t)(colon - text) : strlen(text));
    return *ret_first ? 0 : -ENOMEM;
}

static int read_status_fault(struct parser *parser, const struct fault_row *row, const char *text)
{
    struct devagent_fault fault = {0};
    char *first;
    long status = 0;
    int r = read_first_and_count(parser, row, text, &first, &fault.count);
    if (r < 0)
        return r;
    r = read_count(parser, row->name, first, 599, &status);
    free(first);
    if (r >= 0 && status < 200)
        return fail(parser, "--fault %s: %ld is no status of an answer; write 200 to 599", row->name, status);
    fault.status = (unsigned)status;
    return r < 0 ? r : add_fault(parser, row, fault);
}

static int read_delay_fault(struct parser *parser, const struct fault_row *row, const char *text)
{
    struct devagent_fault fault = {0};
    char *first;
    int r = read_first_and_count(parser, row, text, &first, &fault.count);
    if (r < 0)
        return r;
    r = read_span(parser, row->name, first, &fault.delay_ms);
    free(first);
    return r < 0 ? r : add_fault(parser, row, fault);
}

static int read_switch(struct parser *parser, const struct fault_row *row, const char *text)
{
    if (text)
        return fail(parser, "--fault %s takes no argument", row->name);
    if (row->kind >= 0)
        return add_fault(parser, row, (struct devagent_fault){0});
    parser->settings->unknown_fields = true;
    return 0;
}

static int read_fault(struct parser *parser, const struct fault_row *row, const char *text)
{
    struct devagent_fault fault = {0};
    int64_t after_ms = 1000;
    long bytes = 1;
    int r;
    switch (row->argument) {
    case FAULT_STATUS:
        return read_status_fault(parser, row, text);
    case FAULT_DELAY:
        return read_delay_fault(parser, row, text);
    case FAULT_TIMES:
        r = read_times(parser, row, text, &fault.count);
        return r < 0 ? r : add_fault(parser, row, fault);
    case FAULT_AFTER:
        r = text ? read_span(parser, row->name, text, &after_ms) : 0;
        return r < 0 ? r : add_action(parser, row->name, (enum action_kind)row->kind, after_ms);
    case FAULT_BYTES:
        r = text ? read_count(parser, row->name, text, 1 << 20, &bytes) : 0;
        parser->settings->split = (size_t)bytes;
        return r;
    default:
        return read_switch(parser, row, text);
    }
}

static int set_fault(struct parser *parser, const char *value)
{
    size_t len = strcspn(value, "=");
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (strlen(faults[i].name) == len && strncmp(faults[i].name, value, len) == 0)
            return read_fault(parser, &faults[i], value[len] ? value + len + 1 : NULL);
    }
    return fail(parser, "--fault: there is no fault \"%.*s\"; devagent --help lists them", (int)len, value);
}

/* ---- options ---- */

static int set_task(struct parser *parser, const char *value)
{
    if (parser->settings->task_count == SETTINGS_MAX)
        return full(parser, "--task");
    parser->settings->task_files[parser->settings->task_count++] = value;
    return 0;
}

static int set_env(struct parser *parser, const char *value)
{
    if (parser->settings->environment_count == SETTINGS_MAX)
        return full(parser, "--env");
    if (!strchr(value, '=') || value[0] == '=')
        return fail(parser, "--env: \"%s\" is not NAME=VALUE", value);
    parser->settings->environment[parser->settings->environment_count++] = value;
    return 0;
}

static int set_ack(struct parser *parser, const char *value)
{
    struct settings *settings = parser->settings;
    settings->ack_delay_ms = 0;
    if (strcmp(value, "now") == 0)
        settings->ack = DEVAGENT_ACK_NOW;
    else if (strcmp(value, "twice") == 0)
        settings->ack = DEVAGENT_ACK_TWICE;
    else if (strcmp(value, "withhold") == 0)
        settings->ack = DEVAGENT_ACK_WITHHOLD;
    else if (strcmp(value, "withhold-terminal") == 0)
        settings->ack = DEVAGENT_ACK_WITHHOLD_TERMINAL;
    else if (strncmp(value, "delay=", 6) == 0)
        settings->ack = DEVAGENT_ACK_DELAY;
    else
        return fail(parser, "--ack: \"%s\" is not now, twice, withhold, withhold-terminal or delay=DURATION",
                    value);
    return settings->ack == DEVAGENT_ACK_DELAY
               ? read_span(parser, "--ack", value + 6, &settings->ack_delay_ms)
               : 0;
}

#define SET_ACTION(name, option, kind)                                                                       \
    static int name(struct parser *parser, const char *value)                                                \
    {                                                                                                        \
        int64_t after_ms = 0;                                                                                \
        int r = read_span(parser, option, value, &after_ms);                                                 \
        return r < 0 ? r : add_action(parser, option, kind, after_ms);                                       \
    }
SET_ACTION(set_kill_after, "--kill-after", ACTION_KILL)
SET_ACTION(set_shutdown_after, "--shutdown-after", ACTION_SHUTDOWN)
SET_ACTION(set_restart_after, "--restart-after", ACTION_RESTART)
SET_ACTION(set_release_after, "--release-acks-after", ACTION_RELEASE_ACKS)

#define SET_SPAN(name, option, member)                                                                       \
    static int name(struct parser *parser, const char *value)                                                \
    {                                                                                                        \
        return read_span(parser, option, value, &parser->settings->member);                                  \
    }
SET_SPAN(set_grace, "--grace", grace_ms)
SET_SPAN(set_shutdown_grace, "--shutdown-grace", agent.shutdown_grace_ms)
SET_SPAN(set_recovery, "--recovery-timeout", agent.recovery_timeout_ms)
SET_SPAN(set_reregistration, "--reregistration-timeout", agent.reregistration_timeout_ms)

#define SET_SWITCH(name, member, state)                                                                      \
    static int name(struct parser *parser, const char *value)                                                \
    {                                                                                                        \
        (void)value;                                                                                         \
        parser->settings->member = state;                                                                    \
        return 0;                                                                                            \
    }
SET_SWITCH(set_group, group, true)
SET_SWITCH(set_marathon, marathon, true)
SET_SWITCH(set_output, output, true)
SET_SWITCH(set_checkpoint, agent.checkpoint, true)
SET_SWITCH(set_jwt, agent.jwt, DEVAGENT_JWT_REQUIRED)
SET_SWITCH(set_domain_socket, agent.domain_socket, true)
SET_SWITCH(set_tls, agent.tls, true)
SET_SWITCH(set_killing, agent.task_killing_state, true)
SET_SWITCH(set_long_sandbox, agent.long_sandbox, true)
SET_SWITCH(set_keep_sandbox, agent.keep_sandbox, true)
SET_SWITCH(set_help, help, true)

static int set_user(struct parser *parser, const char *value)
{
    parser->settings->agent.user = value;
    return 0;
}

struct option_row {
    const char *name, *argument; /* argument NULL: a switch */
    int (*set)(struct parser *parser, const char *value);
    const char *help;
};

static const struct option_row options[] = {
    {"--task", "FILE", set_task, "a task, as a TaskInfo in Mesos' v1 JSON; several: several LAUNCHes"},
    {"--group", NULL, set_group, "all tasks in one LAUNCH_GROUP"},
    {"--marathon", NULL, set_marathon,
     "as Marathon does it: chmod ug+rx 'EXECUTOR' && exec 'EXECUTOR' <task's command>"},
    {"--env", "NAME=VALUE", set_env,
     "a variable for the executor (the agent's --executor_environment_variables)"},
    {"--user", "NAME", set_user, "run the executor as this user (needs root)"},
    {"--output", NULL, set_output, "show the executor's stdout and stderr as they grow"},
    {"--kill-after", "DURATION", set_kill_after, "KILL every task so long after the first TASK_RUNNING"},
    {"--grace", "DURATION", set_grace, "the grace period that KILL carries (none: the task's own)"},
    {"--shutdown-after", "DURATION", set_shutdown_after, "SHUTDOWN so long after the first TASK_RUNNING"},
    {"--shutdown-grace", "DURATION", set_shutdown_grace,
     "the agent's grace before it destroys the container (5s)"},
    {"--task-killing", NULL, set_killing, "the framework has the capability TASK_KILLING_STATE"},
    {"--checkpoint", NULL, set_checkpoint,
     "the framework checkpoints: the executor may outlive the agent's restart"},
    {"--restart-after", "DURATION", set_restart_after,
     "restart the agent so long after the first TASK_RUNNING"},
    {"--recovery-timeout", "DURATION", set_recovery, "how long the executor may wait for the agent (15m)"},
    {"--reregistration-timeout", "DURATION", set_reregistration,
     "how long a restarted agent waits for it (2s)"},
    {"--ack", "HOW", set_ack, "now, twice, withhold, withhold-terminal or delay=DURATION"},
    {"--release-acks-after", "DURATION", set_release_after,
     "send the withheld ones so long after the first TASK_RUNNING"},
    {"--jwt", NULL, set_jwt, "a token is given, and asked for with each call"},
    {"--domain-socket", NULL, set_domain_socket, "MESOS_DOMAIN_SOCKET is given too"},
    {"--tls", NULL, set_tls, "TCP speaks TLS; LIBPROCESS_SSL_* is given"},
    {"--long-sandbox", NULL, set_long_sandbox, "a sandbox whose path is as long as a real agent's"},
    {"--keep-sandbox", NULL, set_keep_sandbox, "leave the sandbox behind"},
    {"--fault", "NAME[=ARGUMENT]", set_fault, "something goes wrong: see below; may be given several times"},
    {"--help", NULL, set_help, "this text"},
};

static const struct option_row *find_option(const char *word, size_t len)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (strlen(options[i].name) == len && strncmp(options[i].name, word, len) == 0)
            return &options[i];
    }
    return NULL;
}

/* One option with its argument, which may be the next word. Returns how many words it took, or an error. */
static int parse_option(struct parser *parser, char **words)
{
    size_t len = strcspn(words[0], "=");
    const struct option_row *row = find_option(words[0], len);
    const char *value = words[0][len] ? words[0] + len + 1 : NULL;
    int taken = 1;
    if (!row)
        return fail(parser, "there is no option \"%.*s\"; devagent --help lists them", (int)len, words[0]);
    if (!row->argument && value)
        return fail(parser, "%s takes no argument", row->name);
    if (row->argument && !value) {
        value = words[1];
        taken = 2;
    }
    if (row->argument && !value)
        return fail(parser, "%s needs an argument: %s %s", row->name, row->name, row->argument);
    int r = row->set(parser, value);
    return r < 0 ? r : taken;
}

static int parse_executor(struct parser *parser, char **words)
{
    struct settings *settings = parser->settings;
    for (; *words && strcmp(*words, "--") != 0; words++) {
        if (settings->executor_count == SETTINGS_MAX)
            return fail(parser, "the executor's command has more than %d words", SETTINGS_MAX);
        settings->executor[settings->executor_count++] = *words;
    }
    if (settings->executor_count == 0)
        return fail(parser, "no executor: its command stands behind \"--\"");
    if (!*words)
        return 0;
    size_t len;
    FILE *out = open_memstream(&settings->task_command, &len);
    if (!out)
        return -ENOMEM;
    for (size_t i = 1; words[i]; i++)
        fprintf(out, "%s%s", i > 1 ? " " : "", words[i]);
    fclose(out);
    return 0;
}

static int check_together(struct parser *parser)
{
    const struct settings *settings = parser->settings;
    size_t tasks = settings->task_count + (settings->task_command ? 1 : 0);
    if (tasks == 0)
        return fail(parser, "no task: give --task FILE, or a shell command behind a second \"--\"");
    if (settings->marathon && (tasks != 1 || settings->group))
        return fail(parser, "--marathon is for one task");
    if (settings->marathon && settings->executor_count != 1)
        return fail(parser, "--marathon takes the executor's path alone: the words behind it are the task's");
    return 0;
}

int settings_parse(struct settings *settings, int argc, char **argv, char **ret_error)
{
    struct parser parser = {.settings = settings};
    *settings = (struct settings){.grace_ms = -1};
    devagent_options_init(&settings->agent);
    int at = 1, r = 0;
    while (r >= 0 && !settings->help && at < argc && strcmp(argv[at], "--") != 0) {
        r = parse_option(&parser, argv + at);
        at += r;
    }
    if (r >= 0 && !settings->help)
        r = at < argc ? parse_executor(&parser, argv + at + 1)
                      : fail(&parser, "no executor: its command stands behind \"--\"");
    if (r >= 0 && !settings->help)
        r = check_together(&parser);
    settings->agent.executor_argv = settings->executor;
    settings->agent.environment = settings->environment;
    if (r < 0)
        *ret_error = parser.error;
    return r < 0 ? r : 0;
}

void settings_clear(struct settings *settings)
{
    free(settings->task_command);
}

void settings_help(FILE *stream)
{
    fputs("devagent: a small Mesos agent for one executor, on loopback. It starts the executor as an agent "
          "does, launches\n"
          "tasks, prints each event (→) and status update (←) as it comes, and can make things go wrong.\n"
          "\n"
          "  devagent [OPTION…] -- EXECUTOR [WORD…]                      with --task FILE\n"
          "  devagent [OPTION…] -- EXECUTOR [WORD…] -- 'SHELL COMMAND'   the task is this command\n"
          "\n"
          "  devagent --task examples/web.json --kill-after 5s -- build/release/bin/supervisor\n"
          "  devagent -- build/release/bin/supervisor -- 'echo hello; sleep 2'\n"
          "  devagent --checkpoint --restart-after 1s --task examples/web.json -- "
          "build/release/bin/supervisor\n"
          "  devagent --checkpoint --fault update-status=503:3 --output -- build/release/bin/supervisor -- "
          "'sleep 1'\n"
          "\n"
          "Ctrl-C kills the running tasks; a second time it shuts the executor down; a third time it gives "
          "up.\n"
          "Exit code 0: the executor left with 0, every task's end was reported and acknowledged, no rule "
          "was broken,\n"
          "nothing was left behind. 1: not so, and the last lines say what. 2: the command line.\n"
          "\nOptions:\n",
          stream);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        fprintf(stream, "  %s%s%-*s %s\n", options[i].name, options[i].argument ? " " : "",
                34 - (int)strlen(options[i].name) - (options[i].argument ? 1 : 0),
                options[i].argument ? options[i].argument : "", options[i].help);
    fputs("\nFaults (COUNT: for so many calls, 1 unless said, 0 for every one):\n", stream);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        fprintf(stream, "  %s%-*s %s\n", faults[i].name, 38 - (int)strlen(faults[i].name), faults[i].shape,
                faults[i].help);
}
