/*
 * Which command a task runs.
 *
 * A framework may give the task its own command, or, as Marathon does, none: then the executor's command line
 * carries the task's as its tail. That line was parsed by a shell when the executor was started; here only
 * its head is recognised and taken off, and the tail goes to a shell as it is.
 */
#include "supervisor/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHELL "/bin/sh"

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

/* Returns what follows the literal word and its blanks, or NULL when text does not begin with it. */
static const char *skip_literal(const char *text, const char *literal)
{
    size_t length = strlen(literal);
    return strncmp(text, literal, length) == 0 ? skip_blanks(text + length) : NULL;
}

/* One word as sh reads it in the forms that occur here: in single quotes, in double quotes, or bare. Returns
 * its end. */
static const char *take_word(const char *text, const char **ret_word, size_t *ret_length)
{
    const char *end;
    if (*text == '\'' || *text == '"') {
        end = strchr(text + 1, *text);
        if (end == NULL)
            return NULL;
        *ret_word = text + 1;
        *ret_length = (size_t)(end - text - 1);
        return end + 1;
    }
    *ret_word = text;
    *ret_length = strcspn(text, " \t\n'\"\\$`;&|<>()");
    return *ret_length > 0 ? text + *ret_length : NULL;
}

/* A word must end where the shell would end it. */
static bool ends_word(char c)
{
    return c == '\0' || c == ' ' || c == '\t' || c == '\n';
}

static const char *pass_debug(const char *tail)
{
    const char *rest = skip_literal(tail, "-debug");
    return rest != NULL && ends_word(tail[strlen("-debug")]) ? rest : tail;
}

/* chmod ug+rx '<path>' && exec '<path>' <tail>, the same path twice. */
static const char *strip_marathon(const char *line)
{
    const char *chmod_path, *exec_path;
    size_t chmod_length, exec_length;
    const char *at = skip_literal(line, "chmod ug+rx ");
    at = at != NULL ? take_word(at, &chmod_path, &chmod_length) : NULL;
    at = at != NULL ? skip_literal(skip_blanks(at), "&&") : NULL;
    at = at != NULL ? skip_literal(at, "exec ") : NULL;
    at = at != NULL ? take_word(at, &exec_path, &exec_length) : NULL;
    if (at == NULL || !ends_word(*at) || chmod_length != exec_length ||
        memcmp(chmod_path, exec_path, exec_length) != 0)
        return NULL;
    return skip_blanks(at);
}

/* [exec] <this very program> <tail> */
static const char *strip_self(const char *line, command_is_self is_self, const void *arg)
{
    const char *word;
    size_t length;
    const char *after_exec = skip_literal(line, "exec ");
    const char *at = take_word(after_exec != NULL ? after_exec : line, &word, &length);
    if (at == NULL || !ends_word(*at))
        return NULL;
    char *copy = strndup(word, length);
    bool self = copy != NULL && is_self(copy, arg);
    free(copy);
    return self ? skip_blanks(at) : NULL;
}

const char *command_strip_executor(const char *line, command_is_self is_self, const void *arg)
{
    line = skip_blanks(line);
    const char *tail = strip_marathon(line);
    if (tail == NULL)
        tail = strip_self(line, is_self, arg);
    return tail != NULL ? pass_debug(tail) : NULL;
}

static int refuse(char *why, size_t why_size, const char *sentence)
{
    snprintf(why, why_size, "%s", sentence);
    return -EINVAL;
}

void command_clear(struct command *command)
{
    if (command == NULL)
        return;
    for (char **word = command->argv; word != NULL && *word != NULL; word++)
        free(*word);
    free(command->argv);
    free(command->file);
    *command = (struct command){.file = NULL};
}

static int set_words(struct command *command, const char *file, char *const *words, size_t count)
{
    command->file = strdup(file);
    command->argv = calloc(count + 1, sizeof(*command->argv));
    if (command->file == NULL || command->argv == NULL)
        goto no_memory;
    for (size_t i = 0; i < count; i++) {
        command->argv[i] = strdup(words[i]);
        if (command->argv[i] == NULL)
            goto no_memory;
    }
    return 0;
no_memory:
    command_clear(command);
    return -ENOMEM;
}

static int use_shell(struct command *command, const char *line)
{
    const char *words[] = {"sh", "-c", line};
    return set_words(command, SHELL, (char *const *)(uintptr_t)words, 3);
}

/* CommandInfo: with shell=false, arguments is the whole argv, argv[0] included; value is the file. */
static int use_exec(struct command *command, const char *file, char *const *arguments, size_t count)
{
    if (count > 0)
        return set_words(command, file, arguments, count);
    const char *words[] = {file};
    return set_words(command, file, (char *const *)(uintptr_t)words, 1);
}

static bool is_shell(const Bulkhead__Command *source)
{
    return !source->has_shell || source->shell;
}

static bool has_value(const Bulkhead__Command *source)
{
    return source->value != NULL && source->value[0] != '\0';
}

static int resolve_own(const Bulkhead__Command *source, struct command *command, char *why, size_t why_size)
{
    if (is_shell(source)) {
        if (!has_value(source))
            return refuse(why, why_size, "The task's command is empty: set command.value to a shell command");
        if (source->n_arguments > 0)
            return refuse(
                why, why_size,
                "The task's command has arguments and shell=true: put all of it into command.value, or set "
                "command.shell to false");
        return use_shell(command, source->value);
    }
    if (!has_value(source))
        return refuse(
            why, why_size,
            "The task's command has shell=false and no value: set command.value to the program's path");
    return use_exec(command, source->value, source->arguments, source->n_arguments);
}

static int resolve_exec_tail(const Bulkhead__Command *source, command_is_self is_self, const void *arg,
                             struct command *command)
{
    if (!has_value(source) || !is_self(source->value, arg))
        return -EINVAL;
    size_t first = 1; /* arguments[0] is the executor's own argv[0] */
    if (source->n_arguments > first && strcmp(source->arguments[first], "-debug") == 0)
        first++;
    if (source->n_arguments <= first)
        return -EINVAL;
    return use_exec(command, source->arguments[first], source->arguments + first,
                    source->n_arguments - first);
}

static int resolve_executors(const Bulkhead__Command *source, command_is_self is_self, const void *arg,
                             struct command *command, char *why, size_t why_size)
{
    int r = -EINVAL;
    if (!is_shell(source)) {
        r = resolve_exec_tail(source, is_self, arg, command);
    } else if (has_value(source)) {
        const char *tail = command_strip_executor(source->value, is_self, arg);
        if (tail != NULL && tail[0] != '\0')
            r = use_shell(command, tail);
    }
    if (r != -EINVAL)
        return r;
    return refuse(
        why, why_size,
        "The task has no command, and the executor's command carries none behind the executor: set the "
        "task's "
        "command.value, or append the command as in chmod ug+rx '<executor>' && exec '<executor>' <command>");
}

int command_resolve(const Bulkhead__Task *task, command_is_self is_self, const void *arg,
                    struct command *ret_command, char *why, size_t why_size)
{
    struct command command = {.file = NULL};
    int r;
    if (task->command != NULL)
        r = resolve_own(task->command, &command, why, why_size);
    else if (task->executor_command != NULL)
        r = resolve_executors(task->executor_command, is_self, arg, &command, why, why_size);
    else
        r = refuse(why, why_size, "The task has no command: set the task's command.value to a shell command");
    if (r < 0)
        return r;
    command.source = task->command != NULL ? task->command : task->executor_command;
    *ret_command = command;
    return 0;
}
