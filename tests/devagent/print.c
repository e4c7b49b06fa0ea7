/*
 * One line for each notice: when, which way, what, whose, and the details; coloured by meaning where that is
 * wanted. What came from the executor is printed with its control characters replaced. And the dump for a
 * failed test, which is the same lines.
 */
#include "tests/devagent/print.h"

#include <stdlib.h>
#include <string.h>

#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define BLUE "\033[34m"
#define CYAN "\033[36m"
#define DIM "\033[2m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

static void put_text(const struct print *print, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        fputc((c < 0x20 && c != '\t') || c == 0x7f ? '?' : c, print->stream);
    }
}

static void put(const struct print *print, const char *text)
{
    put_text(print, text, strlen(text));
}

static void colour(const struct print *print, const char *code)
{
    if (print->colour)
        fputs(code, print->stream);
}

static void begin(const struct print *print, int64_t time_ns, const char *arrow, const char *code,
                  const char *name)
{
    colour(print, DIM);
    fprintf(print->stream, "%9.3f ", (double)(time_ns - print->start_ns) / 1e9);
    colour(print, PLAIN);
    fprintf(print->stream, "%s ", arrow);
    colour(print, code);
    fprintf(print->stream, "%-14s", name);
    colour(print, PLAIN);
}

static void end(const struct print *print)
{
    fputc('\n', print->stream);
    fflush(print->stream);
}

static void put_field(const struct print *print, const char *name, const char *value)
{
    colour(print, DIM);
    fprintf(print->stream, "  %s=", name);
    colour(print, PLAIN);
    put(print, value);
}

static void print_event(const struct print *print, const struct devagent_event *event)
{
    begin(print, event->sent_ns ? event->sent_ns : event->queued_ns, "→", event->sent_ns ? BLUE : DIM,
          event->name);
    if (event->task_id) {
        fputc(' ', print->stream);
        put(print, event->task_id);
    }
    if (event->type == MESOS__V1__EXECUTOR__EVENT__TYPE__ACKNOWLEDGED) {
        char uuid[9];
        snprintf(uuid, sizeof(uuid), "%02x%02x%02x%02x", event->uuid[0], event->uuid[1], event->uuid[2],
                 event->uuid[3]);
        put_field(print, "uuid", uuid);
    }
    if (event->grace_ms >= 0) {
        char grace[32];
        snprintf(grace, sizeof(grace), "%lldms", (long long)event->grace_ms);
        put_field(print, "grace", grace);
    }
    if (!event->sent_ns)
        fputs("  (never written)", print->stream);
    end(print);
}

static const char *state_colour(Mesos__V1__TaskState state)
{
    switch (state) {
    case MESOS__V1__TASK_STATE__TASK_STARTING:
        return CYAN;
    case MESOS__V1__TASK_STATE__TASK_RUNNING:
    case MESOS__V1__TASK_STATE__TASK_FINISHED:
        return GREEN;
    case MESOS__V1__TASK_STATE__TASK_KILLING:
    case MESOS__V1__TASK_STATE__TASK_KILLED:
        return YELLOW;
    default:
        return RED;
    }
}

static const char *fate_words(enum devagent_fate fate)
{
    switch (fate) {
    case DEVAGENT_FATE_DUPLICATE:
        return "  (sent again)";
    case DEVAGENT_FATE_SWALLOWED:
        return "  (after the task's end: swallowed)";
    case DEVAGENT_FATE_UNKNOWN:
        return "  (a task that was never launched)";
    case DEVAGENT_FATE_DROPPED:
        return "  (another agent's: dropped)";
    default:
        return "";
    }
}

static void print_update(const struct print *print, const struct devagent_update *update)
{
    begin(print, update->received_ns, "←", state_colour(update->state), devagent_state_name(update->state));
    fputc(' ', print->stream);
    put(print, update->task_id);
    if (update->has_healthy)
        put_field(print, "healthy", update->healthy ? "true" : "false");
    if (update->has_reason)
        put_field(print, "reason", devagent_reason_name(update->reason));
    if (update->message) {
        fputs("  \"", print->stream);
        put(print, update->message);
        fputc('"', print->stream);
    }
    if (update->by_subscribe)
        fputs("  (with SUBSCRIBE)", print->stream);
    fputs(fate_words(update->fate), print->stream);
    end(print);
}

static void print_call(const struct print *print, const struct devagent_call *call)
{
    bool refused = call->status == 0 || call->status >= 300;
    begin(print, call->received_ns, "←", refused ? RED : BLUE, call->name);
    if (call->status == 0)
        fputs(" no answer", print->stream);
    else if (refused || call->faulted)
        fprintf(print->stream, " answered with %u", call->status);
    if (call->body[0]) {
        fputs(": ", print->stream);
        put(print, call->body);
    }
    if (call->faulted)
        fputs("  (a fault that was asked for)", print->stream);
    end(print);
}

void print_words(const struct print *print, const char *words)
{
    begin(print, devagent_now_ns(), "·", DIM, "agent");
    fputc(' ', print->stream);
    put(print, words);
    end(print);
}

static void print_mistake(const struct print *print, int64_t time_ns, const char *words)
{
    begin(print, time_ns, "✗", RED, "mistake");
    fputc(' ', print->stream);
    put(print, words);
    end(print);
}

void print_notice(const struct devagent_notice *notice, void *arg)
{
    const struct print *print = arg;
    switch (notice->kind) {
    case DEVAGENT_NOTICE_EVENT:
        print_event(print, notice->event);
        break;
    case DEVAGENT_NOTICE_UPDATE:
        print_update(print, notice->update);
        break;
    case DEVAGENT_NOTICE_CALL:
        print_call(print, notice->call);
        break;
    case DEVAGENT_NOTICE_MISTAKE:
        print_mistake(print, notice->time_ns, notice->text);
        break;
    case DEVAGENT_NOTICE_AGENT:
        print_words(print, notice->text);
        break;
    }
}

size_t print_output(const struct print *print, const char *prefix, const char *text, size_t len, bool all)
{
    size_t done = 0;
    while (done < len) {
        const char *newline = memchr(text + done, '\n', len - done);
        if (!newline && !all)
            break;
        size_t line = newline ? (size_t)(newline - text) - done : len - done;
        colour(print, DIM);
        fprintf(print->stream, "%9s │ ", prefix);
        colour(print, PLAIN);
        put_text(print, text + done, line);
        end(print);
        done += line + (newline ? 1 : 0);
    }
    return done;
}

/* Everything in the order of its time: the three books are each in order, so the earliest head comes next. */
void devagent_dump(const struct devagent *agent, FILE *stream)
{
    struct print print = {.stream = stream, .start_ns = devagent_started_ns(agent)};
    size_t event = 0, update = 0, call = 0;
    for (;;) {
        const struct devagent_event *e = devagent_event_at(agent, event);
        const struct devagent_update *u = devagent_update_at(agent, update);
        const struct devagent_call *c = devagent_call_at(agent, call);
        int64_t te = e ? (e->sent_ns ? e->sent_ns : e->queued_ns) : INT64_MAX;
        int64_t tu = u ? u->received_ns : INT64_MAX, tc = c ? c->received_ns : INT64_MAX;
        if (!e && !u && !c)
            break;
        if (tc <= te && tc <= tu) {
            print_call(&print, c);
            call++;
        } else if (tu <= te) {
            print_update(&print, u);
            update++;
        } else {
            print_event(&print, e);
            event++;
        }
    }
    for (size_t i = 0; i < devagent_mistake_count(agent); i++)
        print_mistake(&print, print.start_ns, devagent_mistake_at(agent, i));
    if (devagent_has_exited(agent))
        fprintf(stream, "the executor left after %.3f s: wait status 0x%x, %zu processes left behind\n",
                (double)(devagent_exited_ns(agent) - print.start_ns) / 1e9,
                (unsigned)devagent_wait_status(agent), devagent_left_behind(agent));
    else
        fprintf(stream, "the executor has not left\n");
    char *errors = devagent_read_file(agent, "stderr");
    print_output(&print, "stderr", errors, strlen(errors), true);
    free(errors);
}
