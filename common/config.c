/*
 * The settings: one table (config.def), read from the environment once, handed to helpers as text.
 *
 * Environment values come from whoever launches the task. Each is checked for type and range before anything
 * is started; one that is not accepted is reported in one line. Must never print a secret or keep one after
 * config_free, and must never guess: a value is accepted as a whole or not at all.
 *
 * The table's texts stand in one structure of arrays and rows refer to them by offset. So the table needs no
 * relocation and stays in read-only pages that all processes of all executors on a machine share.
 */
#include "common/config.h"

#include "common/duration.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* What config.def's rows are written with. */
#define ALSO "\0"
#define CONFIG_TEXT_MAX 131072 /* Linux passes no longer string to a program: execve(2), MAX_ARG_STRLEN */
#define CONFIG_LONGEST (36500 * DURATION_DAY) /* any sum with a clock's time still fits int64_t */
enum flag {
    SECRET = 1 << 0,
    REQUIRED = 1 << 1,
    TELEMETRY = 1 << 2,
};
enum type {
    BOOL,
    GO_DURATION,
    MESOS_DURATION,
    INTEGER,
    SIZE,
    STRING,
    CHOICE,
    LIST,
    TYPE_COUNT,
};

/* One byte more for names: their list ends with an empty one. */
struct texts {
#define SETTING(id, type, names, fallback, choices, minimum, maximum, flags, receivers, help)                \
    char id##_names[sizeof(names) + 1];                                                                      \
    char id##_fallback[sizeof(fallback)];                                                                    \
    char id##_choices[sizeof(choices)];                                                                      \
    char id##_help[sizeof(help)];
#include "common/config.def"
#undef SETTING
};

static const struct texts texts = {
#define SETTING(id, type, names, fallback, choices, minimum, maximum, flags, receivers, help)                \
    .id##_names = names, .id##_fallback = fallback, .id##_choices = choices, .id##_help = help,
#include "common/config.def"
#undef SETTING
};

_Static_assert(sizeof(struct texts) <= UINT16_MAX, "offsets of texts must fit");

struct row {
    int64_t minimum, maximum;
    uint16_t names, fallback, choices, help;
    uint8_t type, flags, receivers;
};

static const struct row rows[CONFIG_COUNT] = {
#define SETTING(id, type_, names_, fallback_, choices_, minimum_, maximum_, flags_, receivers_, help_)       \
    [CONFIG_##id] = {.minimum = (minimum_),                                                                  \
                     .maximum = (maximum_),                                                                  \
                     .names = offsetof(struct texts, id##_names),                                            \
                     .fallback = offsetof(struct texts, id##_fallback),                                      \
                     .choices = offsetof(struct texts, id##_choices),                                        \
                     .help = offsetof(struct texts, id##_help),                                              \
                     .type = (type_),                                                                        \
                     .flags = (flags_),                                                                      \
                     .receivers = (receivers_)},
#include "common/config.def"
#undef SETTING
};

/* text: as it was given; of a list, its items follow, each with its NUL. NULL while the default holds. */
struct value {
    int64_t number; /* of a list: how many items */
    char *text;
    size_t size;
};

struct config {
    struct value values[CONFIG_COUNT];
};

static const char *text_at(uint16_t offset)
{
    return (const char *)&texts + offset;
}

static const char *next_name(const char *name)
{
    return name + strlen(name) + 1;
}

const char *config_name(enum config_id id)
{
    return text_at(rows[id].names);
}

/* ---- reading one value ---- */

static int read_bool(const struct row *row, const char *text, int64_t *ret_number)
{
    /* The words of Go's strconv.ParseBool. */
    static const char words[2][6][6] = {
        {"0", "f", "F", "false", "FALSE", "False"},
        {"1", "t", "T", "true", "TRUE", "True"},
    };

    (void)row;
    for (int value = 0; value < 2; value++) {
        for (size_t i = 0; i < 6; i++) {
            if (strcmp(text, words[value][i]) == 0) {
                *ret_number = value;
                return 0;
            }
        }
    }
    return -EINVAL;
}

static int check_range(const struct row *row, int64_t number)
{
    return number < row->minimum || number > row->maximum ? -ERANGE : 0;
}

static int read_go_duration(const struct row *row, const char *text, int64_t *ret_number)
{
    int r = duration_parse_go(text, ret_number);
    return r < 0 ? r : check_range(row, *ret_number);
}

static int read_mesos_duration(const struct row *row, const char *text, int64_t *ret_number)
{
    int r = duration_parse_mesos(text, ret_number);
    return r < 0 ? r : check_range(row, *ret_number);
}

/* Decimal digits with an optional sign, nothing else: strtoll would skip blanks. */
static int read_integer(const struct row *row, const char *text, int64_t *ret_number)
{
    const char *digits = text + (*text == '-' || *text == '+' ? 1 : 0);
    size_t length = strspn(digits, "0123456789");

    if (length == 0 || digits[length] != '\0')
        return -EINVAL;
    errno = 0;
    long long number = strtoll(text, NULL, 10);
    if (errno == ERANGE)
        return -ERANGE;
    *ret_number = number;
    return check_range(row, number);
}

static int read_string(const struct row *row, const char *text, int64_t *ret_number)
{
    *ret_number = 0;
    return check_range(row, (int64_t)strlen(text));
}

/* The choices stand as "one, two, three". */
static int read_choice(const struct row *row, const char *text, int64_t *ret_number)
{
    const char *word = text_at(row->choices);
    size_t length = strlen(text);

    *ret_number = 0;
    for (;;) {
        size_t word_length = strcspn(word, ",");
        if (word_length == length && memcmp(word, text, length) == 0)
            return 0;
        if (word[word_length] == '\0')
            return -EINVAL;
        word += word_length + 2;
    }
}

struct type_functions {
    int (*read)(const struct row *row, const char *text, int64_t *ret_number);
    char name[16];
};

/* A list's items are counted when they are split. */
static const struct type_functions types[TYPE_COUNT] = {
    [BOOL] = {read_bool, "boolean"},
    [GO_DURATION] = {read_go_duration, "duration"},
    [MESOS_DURATION] = {read_mesos_duration, "Mesos duration"},
    [INTEGER] = {read_integer, "number"},
    [SIZE] = {read_integer, "bytes"},
    [STRING] = {read_string, "text"},
    [CHOICE] = {read_choice, "word"},
    [LIST] = {read_string, "comma list"},
};

/* ---- keeping it ---- */

/* Copies the items of a comma list to out, each with a NUL, and counts them. out may be NULL to measure. */
static size_t split_list(const char *text, char *out, size_t *ret_size)
{
    size_t count = 0, size = 0;

    for (;;) {
        size_t length = strcspn(text, ","), start = 0, end = length;
        while (start < end && strchr(" \t", text[start]) != NULL)
            start++;
        while (end > start && strchr(" \t", text[end - 1]) != NULL)
            end--;
        if (end > start) {
            if (out != NULL) {
                memcpy(out + size, text + start, end - start);
                out[size + end - start] = '\0';
            }
            size += end - start + 1;
            count++;
        }
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    *ret_size = size;
    return count;
}

static void forget(struct value *value, bool is_secret)
{
    if (value->text != NULL && is_secret)
        explicit_bzero(value->text, value->size);
    free(value->text);
    value->text = NULL;
}

static int keep(struct value *value, const struct row *row, int64_t number, const char *text)
{
    size_t length = strlen(text), items_size = 0;
    char *copy;

    if (row->type == LIST)
        number = (int64_t)split_list(text, NULL, &items_size);
    copy = malloc(length + 1 + items_size);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, text, length + 1);
    if (row->type == LIST)
        split_list(text, copy + length + 1, &items_size);
    forget(value, (row->flags & SECRET) != 0);
    *value = (struct value){.number = number, .text = copy, .size = length + 1 + items_size};
    return 0;
}

/* Takes a value back to its default. The defaults are known to be readable: a test reads every one. */
static void use_fallback(struct value *value, const struct row *row)
{
    const char *text = text_at(row->fallback);

    forget(value, (row->flags & SECRET) != 0);
    value->number = 0;
    if (*text != '\0')
        types[row->type].read(row, text, &value->number);
}

int config_new(struct config **ret_config)
{
    struct config *config = calloc(1, sizeof(*config));

    if (config == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < CONFIG_COUNT; i++)
        use_fallback(&config->values[i], &rows[i]);
    *ret_config = config;
    return 0;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < CONFIG_COUNT; i++)
        forget(&config->values[i], (rows[i].flags & SECRET) != 0);
    free(config);
}

/* ---- saying what is wrong ---- */

void config_problems_clear(struct config_problems *problems)
{
    if (problems == NULL)
        return;
    for (size_t i = 0; i < problems->count; i++)
        free(problems->items[i].text);
    free(problems->items);
    *problems = (struct config_problems){0};
}

__attribute__((format(printf, 3, 4))) static int add_problem(struct config_problems *problems, bool is_error,
                                                             const char *format, ...)
{
    struct config_problem *items;
    char *text;
    va_list arguments;
    int length;

    if (problems == NULL)
        return 0;
    va_start(arguments, format);
    length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return -ENOMEM;
    items = reallocarray(problems->items, problems->count + 1, sizeof(*items));
    if (items == NULL) {
        free(text);
        return -ENOMEM;
    }
    problems->items = items;
    problems->items[problems->count++] = (struct config_problem){.is_error = is_error, .text = text};
    return 0;
}

#define ACCEPTED_SIZE 256

/* "duration from 1ms to 876000h" and the like: what a value must be, for messages and the help. */
static void describe_accepted(const struct row *row, char *out)
{
    char low[DURATION_TEXT_SIZE], high[DURATION_TEXT_SIZE];

    switch ((enum type)row->type) {
    case BOOL:
        snprintf(out, ACCEPTED_SIZE, "true, t, 1, false, f, 0 (also TRUE, True, T, FALSE, False, F)");
        break;
    case GO_DURATION:
        snprintf(out, ACCEPTED_SIZE, "a duration such as 250ms, 5s or 1m30s, from %s to %s",
                 duration_format(row->minimum, low, sizeof(low)),
                 duration_format(row->maximum, high, sizeof(high)));
        break;
    case MESOS_DURATION:
        snprintf(out, ACCEPTED_SIZE, "a Mesos duration such as 250ms, 5secs or 1.5mins, from %s to %s",
                 duration_format_mesos(row->minimum, low, sizeof(low)),
                 duration_format_mesos(row->maximum, high, sizeof(high)));
        break;
    case INTEGER:
        snprintf(out, ACCEPTED_SIZE, "a whole number from %" PRId64 " to %" PRId64, row->minimum,
                 row->maximum);
        break;
    case SIZE:
        snprintf(out, ACCEPTED_SIZE, "a number of bytes from %" PRId64 " to %" PRId64, row->minimum,
                 row->maximum);
        break;
    case CHOICE:
        snprintf(out, ACCEPTED_SIZE, "one of: %s", text_at(row->choices));
        break;
    case LIST:
        snprintf(out, ACCEPTED_SIZE, "a list separated by commas, at most %" PRId64 " bytes", row->maximum);
        break;
    case STRING:
    case TYPE_COUNT:
        snprintf(out, ACCEPTED_SIZE, "text of at most %" PRId64 " bytes", row->maximum);
        break;
    }
}

static int report_value(struct config_problems *problems, const struct row *row, const char *name,
                        const char *text)
{
    char accepted[ACCEPTED_SIZE], shown[100] = "(a secret, not shown)";
    const char *fallback = text_at(row->fallback);
    bool is_secret = (row->flags & SECRET) != 0;
    bool is_error = (row->flags & TELEMETRY) == 0;
    const char *quote = is_secret ? "" : "\"", *after = "";

    describe_accepted(row, accepted);
    if (!is_secret)
        log_escape(shown, sizeof(shown), text, strlen(text));
    if (!is_error && *fallback == '\0') {
        after = "; it is left unset";
    } else if (!is_error) {
        after = "; the default is used: ";
    }
    return add_problem(problems, is_error, "%s=%s%s%s is not accepted: must be %s%s%s", name, quote, shown,
                       quote, accepted, after, is_error ? "" : fallback);
}

/* ---- setting ---- */

/* Empty counts as unset. -EINVAL, once reported, for a value that is an error. */
static int set_value(struct config *config, enum config_id id, const char *name, const char *text,
                     struct config_problems *problems)
{
    const struct row *row = &rows[id];
    struct value *value = &config->values[id];
    int64_t number = 0;
    int r;

    if (*text == '\0') {
        use_fallback(value, row);
        return 0;
    }
    if (types[row->type].read(row, text, &number) == 0)
        return keep(value, row, number, text);
    r = report_value(problems, row, name, text);
    if (r < 0)
        return r;
    if ((row->flags & TELEMETRY) == 0)
        return -EINVAL;
    use_fallback(value, row);
    return 0;
}

static bool is_any_name(const struct row *row, const char *name)
{
    for (const char *known = text_at(row->names); *known != '\0'; known = next_name(known)) {
        if (strcmp(known, name) == 0)
            return true;
    }
    return false;
}

int config_set_text(struct config *config, const char *name, const char *value,
                    struct config_problems *problems)
{
    for (size_t i = 0; i < CONFIG_COUNT; i++) {
        if (is_any_name(&rows[i], name))
            return set_value(config, (enum config_id)i, name, value, problems);
    }
    return -ENOENT;
}

/* The value in "NAME=value" if the entry is of that name, else NULL. */
static char *entry_value(char *entry, const char *name)
{
    size_t length = strlen(name);

    return strncmp(entry, name, length) == 0 && entry[length] == '=' ? entry + length + 1 : NULL;
}

static const char *find_value(char *const *envp, const char *name)
{
    for (; *envp != NULL; envp++) {
        const char *value = entry_value(*envp, name);
        if (value != NULL)
            return value;
    }
    return NULL;
}

static int load_row(struct config *config, enum config_id id, char *const *envp,
                    struct config_problems *problems)
{
    const struct row *row = &rows[id];
    int r;

    for (const char *name = text_at(row->names); *name != '\0'; name = next_name(name)) {
        const char *value = find_value(envp, name);
        if (value != NULL && *value != '\0')
            return set_value(config, id, name, value, problems);
    }
    if ((row->flags & REQUIRED) == 0)
        return 0;
    r = add_problem(problems, true, "%s is missing: %s An agent sets it.", config_name(id),
                    text_at(row->help));
    return r < 0 ? r : -EINVAL;
}

/* A warning for each name with our prefix that no row has: a slip of the pen would otherwise go unnoticed. */
static int report_unknown(char *const *envp, struct config_problems *problems)
{
    static const char prefix[] = "ALLEGRO_EXECUTOR_";

    for (; *envp != NULL; envp++) {
        char name[100], shown[100];
        size_t length = strcspn(*envp, "=");
        bool is_known = false;
        if (strncmp(*envp, prefix, sizeof(prefix) - 1) != 0)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)length, *envp);
        for (size_t i = 0; i < CONFIG_COUNT && !is_known; i++)
            is_known = is_any_name(&rows[i], name);
        log_escape(shown, sizeof(shown), name, strlen(name));
        if (!is_known &&
            add_problem(problems, false, "%s is not a setting of this executor: ignored", shown) < 0)
            return -ENOMEM;
    }
    return 0;
}

int config_load(char *const *envp, struct config **ret_config, struct config_problems *problems)
{
    struct config *config;
    int result = config_new(&config);

    if (result < 0)
        return result;
    for (size_t i = 0; i < CONFIG_COUNT && result != -ENOMEM; i++) {
        int r = load_row(config, (enum config_id)i, envp, problems);
        if (r < 0)
            result = r;
    }
    if (report_unknown(envp, problems) < 0)
        result = -ENOMEM;
    if (result < 0)
        config_free(config);
    else
        *ret_config = config;
    return result;
}

/* ---- getting ---- */

static const struct value *typed_value(const struct config *config, enum config_id id, enum type type,
                                       enum type or_type)
{
    if (id >= CONFIG_COUNT || (rows[id].type != type && rows[id].type != or_type))
        abort();
    return &config->values[id];
}

bool config_is_set(const struct config *config, enum config_id id)
{
    return config->values[id].text != NULL;
}

bool config_bool(const struct config *config, enum config_id id)
{
    return typed_value(config, id, BOOL, BOOL)->number != 0;
}

int64_t config_duration(const struct config *config, enum config_id id)
{
    return typed_value(config, id, GO_DURATION, MESOS_DURATION)->number;
}

int64_t config_integer(const struct config *config, enum config_id id)
{
    return typed_value(config, id, INTEGER, SIZE)->number;
}

const char *config_string(const struct config *config, enum config_id id)
{
    const struct value *value = typed_value(config, id, STRING, CHOICE);
    const char *fallback = text_at(rows[id].fallback);

    if (value->text != NULL)
        return value->text;
    return *fallback != '\0' ? fallback : NULL;
}

size_t config_list_count(const struct config *config, enum config_id id)
{
    return (size_t)typed_value(config, id, LIST, LIST)->number;
}

const char *config_list_item(const struct config *config, enum config_id id, size_t index)
{
    if (index >= config_list_count(config, id))
        return NULL;
    const char *item = next_name(config->values[id].text);
    while (index-- > 0)
        item = next_name(item);
    return item;
}

bool config_next_for(const struct config *config, unsigned receivers, size_t *cursor, const char **ret_name,
                     const char **ret_text)
{
    while (*cursor < CONFIG_COUNT) {
        size_t i = (*cursor)++;
        if ((rows[i].receivers & receivers) != 0 && config->values[i].text != NULL) {
            *ret_name = config_name((enum config_id)i);
            *ret_text = config->values[i].text;
            return true;
        }
    }
    return false;
}

/* ---- secrets in the environment ---- */

/* The cursor is the offset in texts of the name to look at next; 0, the first row's names, is the start. */
bool config_next_secret_name(size_t *cursor, const char **ret_name)
{
    for (size_t i = 0; i < CONFIG_COUNT; i++) {
        if ((rows[i].flags & SECRET) == 0 || rows[i].fallback <= *cursor)
            continue;
        const char *name =
            *cursor > rows[i].names ? (const char *)&texts + *cursor : config_name((enum config_id)i);
        if (*name == '\0')
            continue;
        *ret_name = name;
        *cursor = (size_t)(next_name(name) - (const char *)&texts);
        return true;
    }
    return false;
}

void config_wipe_environment(char **envp)
{
    for (; *envp != NULL; envp++) {
        size_t cursor = 0;
        const char *name;
        while (config_next_secret_name(&cursor, &name)) {
            char *value = entry_value(*envp, name);
            if (value != NULL)
                explicit_bzero(value, strlen(value));
        }
    }
}

bool config_is_under_agent(char *const *envp)
{
    for (; *envp != NULL; envp++) {
        if (strncmp(*envp, "MESOS_", 6) == 0)
            return true;
    }
    return false;
}

/* ---- the table for people ---- */

static void write_names(FILE *stream, const struct row *row, const char *before, const char *after,
                        const char *between)
{
    const char *name = text_at(row->names);

    while (*name != '\0') {
        fprintf(stream, "%s%s%s", before, name, after);
        name = next_name(name);
        if (*name != '\0')
            fputs(between, stream);
    }
}

static const char *describe_fallback(const struct row *row)
{
    const char *text = text_at(row->fallback);

    if (*text != '\0')
        return text;
    return (row->flags & REQUIRED) != 0 ? "required" : "none";
}

void config_write_help(FILE *stream)
{
    char accepted[ACCEPTED_SIZE];

    for (const struct row *row = rows; row < rows + CONFIG_COUNT; row++) {
        describe_accepted(row, accepted);
        write_names(stream, row, "", "", ", ");
        fprintf(stream, "\n    %s\n    Default: %s. Accepted: %s.%s\n", text_at(row->help),
                describe_fallback(row), accepted, (row->flags & SECRET) != 0 ? " Secret." : "");
    }
}

static void write_receivers(FILE *stream, unsigned receivers)
{
    static const char names[][16] = {"supervisor", "agent-client", "hookd", "logshipper"};
    const char *between = "";

    if (receivers == CONFIG_FOR_ALL) {
        fputs("all", stream);
        return;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((receivers & (1U << i)) != 0) {
            fprintf(stream, "%s%s", between, names[i]);
            between = ", ";
        }
    }
}

void config_write_markdown(FILE *stream)
{
    char accepted[ACCEPTED_SIZE];

    fputs("| Name | Type | Default | Accepted | For | Meaning |\n| --- | --- | --- | --- | --- | --- |\n",
          stream);
    for (const struct row *row = rows; row < rows + CONFIG_COUNT; row++) {
        const char *fallback = describe_fallback(row), *tick = *text_at(row->fallback) != '\0' ? "`" : "";
        describe_accepted(row, accepted);
        fputs("| ", stream);
        write_names(stream, row, "`", "`", ", ");
        fprintf(stream, " | %s%s | %s%s%s | %s | ", types[row->type].name,
                (row->flags & SECRET) != 0 ? ", secret" : "", tick, fallback, tick, accepted);
        write_receivers(stream, row->receivers);
        fprintf(stream, " | %s |\n", text_at(row->help));
    }
}
