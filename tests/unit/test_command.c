/* Which command a task runs: its own, or what an executor's command carries behind the executor. */
#include "supervisor/command.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SELF "/opt/bulkhead/supervisor"
#define PREFIX "chmod ug+rx '/x/e' && exec '/x/e' "
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_self(const char *word, const void *arg)
{
    return strcmp(word, arg) == 0;
}

static Bulkhead__Command shell_command(char *value)
{
    Bulkhead__Command command = BULKHEAD__COMMAND__INIT;
    command.value = value;
    return command;
}

static Bulkhead__Command exec_command(char *value, char **arguments, size_t count)
{
    Bulkhead__Command command = shell_command(value);
    command.has_shell = 1;
    command.shell = 0;
    command.arguments = arguments;
    command.n_arguments = count;
    return command;
}

static int resolve(Bulkhead__Command *own, Bulkhead__Command *executors, struct command *command,
                   char why[300])
{
    Bulkhead__Task task = BULKHEAD__TASK__INIT;
    task.command = own;
    task.executor_command = executors;
    why[0] = '\0';
    return command_resolve(&task, is_self, SELF, command, why, 300);
}

static void assert_command(const struct command *command, const char *file, const char *const *argv,
                           size_t count)
{
    cr_assert_str_eq(command->file, file);
    for (size_t i = 0; i < count; i++) {
        cr_assert_not_null(command->argv[i], "word %zu is missing", i);
        cr_assert_str_eq(command->argv[i], argv[i]);
    }
    cr_assert_null(command->argv[count]);
}

static void assert_runs(Bulkhead__Command *own, Bulkhead__Command *executors, const char *file,
                        const char *const *argv, size_t count)
{
    struct command command;
    char why[300];
    cr_assert_eq(resolve(own, executors, &command, why), 0, "%s", why);
    assert_command(&command, file, argv, count);
    cr_assert_eq(command.source, own != NULL ? own : executors);
    command_clear(&command);
    cr_assert(command.file == NULL && command.argv == NULL && command.source == NULL);
}

static void assert_shell_runs(Bulkhead__Command *own, Bulkhead__Command *executors, const char *line)
{
    assert_runs(own, executors, "/bin/sh", (const char *const[]){"sh", "-c", line}, 3);
}

static void assert_refused(Bulkhead__Command *own, Bulkhead__Command *executors, const char *sentence)
{
    struct command command = {.file = (char *)(uintptr_t) "untouched"};
    char why[300];
    cr_assert_eq(resolve(own, executors, &command, why), -EINVAL);
    cr_assert_str_eq(why, sentence);
    cr_assert_str_eq(command.file, "untouched");
}

#define NO_COMMAND "The task has no command: set the task's command.value to a shell command"
#define EMPTY_COMMAND "The task's command is empty: set command.value to a shell command"
#define BOTH_FORMS                                                                                           \
    "The task's command has arguments and shell=true: put all of it into command.value, or set "             \
    "command.shell to false"
#define NO_PROGRAM "The task's command has shell=false and no value: set command.value to the program's path"
#define NOTHING_BEHIND                                                                                       \
    "The task has no command, and the executor's command carries none behind the executor: set the task's "  \
    "command.value, or append the command as in chmod ug+rx '<executor>' && exec '<executor>' <command>"

/* --- the executor's line and what is behind it */

struct line {
    const char *line, *tail; /* a tail of NULL: not of a known form */
};

static void assert_lines(const struct line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *tail = command_strip_executor(lines[i].line, is_self, SELF);
        if (lines[i].tail == NULL) {
            cr_assert_null(tail, "%s\nleaves: %s", lines[i].line, tail);
            continue;
        }
        cr_assert_not_null(tail, "%s", lines[i].line);
        cr_assert_str_eq(tail, lines[i].tail, "%s\nleaves: %s", lines[i].line, tail);
        cr_assert(tail >= lines[i].line && tail <= lines[i].line + strlen(lines[i].line));
    }
}

Test(command, marathons_prefix_with_any_path)
{
    static const struct line lines[] = {
        {"chmod ug+rx '/x/executor' && exec '/x/executor' sleep 100", "sleep 100"},
        {"chmod ug+rx '" SELF "' && exec '" SELF "' sleep 100", "sleep 100"},
        {"chmod ug+rx './a b/c' && exec './a b/c' sleep 100", "sleep 100"},
        {"chmod ug+rx './it\"s' && exec './it\"s' true", "true"},
        {"chmod ug+rx \"/x/e\" && exec \"/x/e\" true", "true"},
        {"chmod ug+rx '/x/e' && exec \"/x/e\" true", "true"},
        {"chmod ug+rx /x/e && exec /x/e true", "true"},
        {"  chmod ug+rx  '/x/e'  &&\texec \t'/x/e' \t true", "true"},
        {"chmod ug+rx '/x/e'&&exec '/x/e' true", "true"},
        {"chmod ug+rx '/x/e' && exec '/x/e'", ""},
        {"chmod ug+rx '/x/e' && exec '/x/e'   ", ""},
        {"chmod ug+rx '/x/e' && exec '/x/e'\ntrue", "\ntrue"},
    };
    assert_lines(lines, COUNT(lines));
}

Test(command, the_tail_is_left_as_it_is)
{
    static const struct line lines[] = {
        {PREFIX "a; b", "a; b"},
        {PREFIX "a | b && c || d &", "a | b && c || d &"},
        {PREFIX "echo \"$HOME\"  'two  blanks' $(date) `id` \\",
         "echo \"$HOME\"  'two  blanks' $(date) `id` \\"},
        {PREFIX "; true", "; true"},
        {PREFIX "'/x/e' again", "'/x/e' again"},
        {PREFIX "exec ./a \t ", "exec ./a \t "},
        {PREFIX "a\nb", "a\nb"},
        {PREFIX "-x --help", "-x --help"},
    };
    assert_lines(lines, COUNT(lines));
}

Test(command, a_first_debug_is_the_executors)
{
    static const struct line lines[] = {
        {PREFIX "-debug sleep 1", "sleep 1"},     {PREFIX "-debug", ""},
        {PREFIX "  -debug\t sleep 1", "sleep 1"}, {PREFIX "-debug -debug", "-debug"},
        {PREFIX "-debugger", "-debugger"},        {PREFIX "-debug; true", "-debug; true"},
        {PREFIX "--debug a", "--debug a"},        {PREFIX "a -debug", "a -debug"},
        {PREFIX "'-debug' a", "'-debug' a"},      {SELF " -debug a", "a"},
        {"exec " SELF " -debug -x", "-x"},
    };
    assert_lines(lines, COUNT(lines));
}

Test(command, the_running_program_itself)
{
    static const struct line lines[] = {
        {SELF " sleep 1", "sleep 1"},
        {"'" SELF "' sleep 1", "sleep 1"},
        {"\"" SELF "\" sleep 1", "sleep 1"},
        {"exec " SELF " sleep 1", "sleep 1"},
        {" exec  '" SELF "'\tsleep 1", "sleep 1"},
        {SELF, ""},
        {"exec " SELF, ""},
        {SELF " a | b; c", "a | b; c"},
    };
    assert_lines(lines, COUNT(lines));
}

Test(command, anything_else_is_not_taken_apart)
{
    static const struct line lines[] = {
        {"", NULL},
        {"   ", NULL},
        {"sleep 1", NULL},
        {"exec", NULL},
        {"exec ", NULL},
        {"/x/other " SELF, NULL},
        {"chmod ug+rx '/x/e' && exec '/x/f' true", NULL}, /* two paths */
        {"chmod ug+rx '/x/ee' && exec '/x/e' true", NULL},
        {"chmod ug+rx '/x/e' && exec '/x/ee' true", NULL}, /* one begins with the other */
        {"chmod ug+rx '/x/e' && exec '/x/e'true", NULL},   /* no end of the word */
        {"chmod ug+rx '/x/e' && exec '/x/e'; true", NULL}, /* the shell would start two things */
        {"chmod ug+rx '/x/e' ; exec '/x/e' true", NULL},   /* not Marathon's */
        {"chmod ug+rx '/x/e' && '/x/e' true", NULL},       /* no exec */
        {"chmod ug+rx '/x/e && exec '/x/e' true", NULL},   /* a quote too few */
        {"chmod u+rx '/x/e' && exec '/x/e' true", NULL},
        {"chmod ug+rx '/x/e'", NULL},
        {"chmod ug+rx '/x/e' && exec '", NULL},
        {"chmod ug+rx  && exec ", NULL},
        {SELF "2 true", NULL},
        {SELF ";true", NULL},
        {SELF "|cat", NULL},
        {SELF "'' true", NULL},
        {"'" SELF " true", NULL},
        {"\\" SELF " true", NULL},
        {"env " SELF " true", NULL},
    };
    assert_lines(lines, COUNT(lines));
}

/* --- the whole resolution */

Test(command, a_shell_command_goes_to_the_shell)
{
    Bulkhead__Command own = shell_command((char[]){"echo 'a  b'; sleep 1 | cat"});
    assert_shell_runs(&own, NULL, "echo 'a  b'; sleep 1 | cat");
    own.has_shell = 1;
    own.shell = 1;
    assert_shell_runs(&own, NULL, "echo 'a  b'; sleep 1 | cat");
}

/* As Mesos has it: arguments is the whole argv, its first word included. */
Test(command, an_exec_command_has_exactly_its_arguments)
{
    char *arguments[] = {(char[]){"name"}, (char[]){""}, (char[]){"a b"}, (char[]){"$HOME;*"},
                         (char[]){"-debug"}};
    Bulkhead__Command own = exec_command((char[]){"/bin/echo"}, arguments, COUNT(arguments));
    assert_runs(&own, NULL, "/bin/echo", (const char *const *)(uintptr_t)arguments, COUNT(arguments));
    own.n_arguments = 0;
    assert_runs(&own, NULL, "/bin/echo", (const char *const[]){"/bin/echo"}, 1);
}

Test(command, the_tasks_own_command_comes_first)
{
    Bulkhead__Command own = shell_command((char[]){"own"});
    Bulkhead__Command executors = shell_command((char[]){SELF " other"});
    assert_shell_runs(&own, &executors, "own");
    own.value = (char[]){SELF " nested"}; /* the task's business, whatever it is */
    assert_shell_runs(&own, &executors, SELF " nested");
    own.value = (char[]){""};
    assert_refused(&own, &executors, EMPTY_COMMAND);
}

Test(command, the_tail_of_the_executors_command)
{
    Bulkhead__Command executors = shell_command((char[]){PREFIX "-debug ./run | tee log; true"});
    assert_shell_runs(NULL, &executors, "./run | tee log; true");
    executors.value = (char[]){"exec " SELF " --help"};
    assert_shell_runs(NULL, &executors, "--help");
}

Test(command, the_executors_exec_form)
{
    char *arguments[] = {(char[]){"supervisor"}, (char[]){"-debug"}, (char[]){"prog"}, (char[]){"a b"}};
    char *plain[] = {(char[]){"supervisor"}, (char[]){"prog"}, (char[]){"-debug"}};
    Bulkhead__Command executors = exec_command((char[]){SELF}, arguments, COUNT(arguments));
    assert_runs(NULL, &executors, "prog", (const char *const[]){"prog", "a b"}, 2);
    executors = exec_command((char[]){SELF}, plain, COUNT(plain));
    assert_runs(NULL, &executors, "prog", (const char *const[]){"prog", "-debug"}, 2);
    executors.value = (char[]){"/x/another"};
    assert_refused(NULL, &executors, NOTHING_BEHIND);
    executors = exec_command((char[]){SELF}, arguments, 2); /* nothing behind -debug */
    assert_refused(NULL, &executors, NOTHING_BEHIND);
    executors.n_arguments = 1;
    assert_refused(NULL, &executors, NOTHING_BEHIND);
    executors.n_arguments = 0;
    assert_refused(NULL, &executors, NOTHING_BEHIND);
    executors.value = NULL;
    assert_refused(NULL, &executors, NOTHING_BEHIND);
}

Test(command, refusals_say_what_to_mend)
{
    char *arguments[] = {(char[]){"a"}};
    assert_refused(NULL, NULL, NO_COMMAND);

    Bulkhead__Command command = shell_command(NULL);
    assert_refused(&command, NULL, EMPTY_COMMAND);
    assert_refused(NULL, &command, NOTHING_BEHIND);
    command.value = (char[]){""};
    assert_refused(&command, NULL, EMPTY_COMMAND);
    assert_refused(NULL, &command, NOTHING_BEHIND);
    command.value = (char[]){"echo"};
    command.arguments = arguments;
    command.n_arguments = 1;
    assert_refused(&command, NULL, BOTH_FORMS);

    command = exec_command(NULL, arguments, 1);
    assert_refused(&command, NULL, NO_PROGRAM);
    command.value = (char[]){""};
    assert_refused(&command, NULL, NO_PROGRAM);
}

/* It would be a second executor with the ids of this one. */
Test(command, never_runs_the_executor_again)
{
    static const char *const lines[] = {SELF,   PREFIX,         PREFIX "-debug", "exec " SELF,
                                        "/x/e", "/x/e sleep 1", "sleep 1",       "cd /x && " SELF " sleep 1"};
    for (size_t i = 0; i < COUNT(lines); i++) {
        char line[200];
        snprintf(line, sizeof(line), "%s", lines[i]);
        Bulkhead__Command executors = shell_command(line);
        assert_refused(NULL, &executors, NOTHING_BEHIND);
    }
}

Test(command, a_long_reason_is_cut_to_its_space)
{
    Bulkhead__Task task = BULKHEAD__TASK__INIT;
    struct command command;
    char why[12];
    memset(why, 'x', sizeof(why));
    cr_assert_eq(command_resolve(&task, is_self, SELF, &command, why, sizeof(why)), -EINVAL);
    cr_assert_str_eq(why, "The task ha");
}

Test(command, clearing_nothing)
{
    struct command command = {.file = NULL};
    command_clear(&command);
    command_clear(NULL);
}
