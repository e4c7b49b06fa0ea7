/*
 * Which program a task becomes: the shell and the exec form, what cannot be started and what cannot be run,
 * and in which words the framework is told.
 */
#include <stdio.h>

#include "tests/integration/stage.h"

/* ---- forms ---- */

Test(launch, the_shell_form)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", HELPER("show_world") " 'a  b' \"$0\" ''; exit 0");
    expect_state(agent, "t", FINISHED);
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    expect_file(agent, "stdout", "argv 0 " HELPER("show_world") "\nargv 1 a  b\nargv 2 sh\nargv 3 \nenv ");
    agent_end(agent, 0);
}

/* The words reach the program as they are: no shell sees them, and the first is its argv[0]. */
Test(launch, the_exec_form)
{
    struct devagent *agent = agent_begin(NULL);
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'command': {'shell': false, 'value': '%s', 'arguments': "
                "['another name', 'a  b', '', '$HOME;`x`|*', '-debug', '--help']}}",
                HELPER("show_world"));
    expect_state(agent, "t", FINISHED);
    expect_file(agent, "stdout",
                "argv 0 another name\nargv 1 a  b\nargv 2 \nargv 3 $HOME;`x`|*\nargv 4 -debug\n"
                "argv 5 --help\nenv ");
    agent_end(agent, 0);
}

Test(launch, the_exec_form_without_arguments)
{
    struct devagent *agent = agent_begin(NULL);
    launch_json(agent, "{'task_id': {'value': 't'}, 'command': {'shell': false, 'value': '%s'}}",
                HELPER("show_world"));
    expect_state(agent, "t", FINISHED);
    expect_file(agent, "stdout", "argv 0 " HELPER("show_world") "\nenv ");
    agent_end(agent, 0);
}

/* The program is looked for along the PATH that the task will have, not along the executor's. */
Test(launch, the_exec_form_uses_the_tasks_path)
{
    struct devagent *agent = agent_begin(NULL);
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'command': {'shell': false, 'value': 'show_world', "
                "'environment': {'variables': [{'name': 'PATH', 'value': '/nowhere:%s'}]}}}",
                TEST_HELPER_DIR);
    expect_state(agent, "t", FINISHED);
    expect_file(agent, "stdout", "argv 0 show_world\nenv ");
    agent_end(agent, 0);
}

/* ---- programs that cannot be started ---- */

static void cannot_start(struct devagent *agent, const char *file, const char *reason)
{
    launch_json(agent, "{'task_id': {'value': 't'}, 'command': {'shell': false, 'value': '%s'}}", file);
    const struct devagent_update *update = expect_state(agent, "t", FAILED);
    expect_message(agent, update, file);
    expect_message(agent, update, reason);
    cr_assert(!update->has_reason, "the task's description is not to blame");
    expect_states(agent, "t", "STARTING FAILED");
    agent_end(agent, 0);
}

Test(launch, a_missing_file)
{
    cannot_start(agent_begin(NULL), "/nowhere/program", "No such file or directory");
}

Test(launch, a_missing_program)
{
    cannot_start(agent_begin(NULL), "no-such-program", "No such file or directory");
}

Test(launch, a_file_that_is_not_executable)
{
    struct devagent *agent = agent_begin(NULL);
    stage_file(agent, "/etc/passwd", "plain", 0644);
    cannot_start(agent, "./plain", "Permission denied");
}

Test(launch, a_folder)
{
    cannot_start(agent_begin(NULL), "/tmp", "Permission denied");
}

Test(launch, a_path_through_a_file)
{
    cannot_start(agent_begin(NULL), "/etc/passwd/program", "Not a directory");
}

/* What a shell cannot start is the shell's exit: 127. */
Test(launch, a_missing_program_in_a_shell)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "no-such-program");
    expect_message(agent, expect_state(agent, "t", FAILED), "code 127");
    agent_end(agent, 0);
}

/* ---- descriptions that cannot be run ---- */

static void is_invalid(const char *json_rest, const char *words)
{
    struct devagent *agent = agent_begin(NULL);
    launch_json(agent, "{'task_id': {'value': 't'}%s}", json_rest);
    const struct devagent_update *update = expect_state(agent, "t", FAILED);
    expect_message(agent, update, words);
    if (!update->has_reason || update->reason != MESOS__V1__TASK_STATUS__REASON__REASON_TASK_INVALID)
        fail_with_story(agent, "the reason is not REASON_TASK_INVALID");
    expect_states(agent, "t", "STARTING FAILED");
    agent_end(agent, 0);
}

Test(launch, no_command)
{
    is_invalid("", "command");
}

Test(launch, an_empty_command)
{
    is_invalid(", 'command': {'value': ''}", "command.value");
}

Test(launch, a_command_without_a_value)
{
    is_invalid(", 'command': {'shell': true}", "command.value");
}

Test(launch, an_exec_form_without_a_value)
{
    is_invalid(", 'command': {'shell': false, 'arguments': ['echo']}", "command.value");
}

Test(launch, a_shell_with_arguments)
{
    is_invalid(", 'command': {'value': 'echo', 'arguments': ['a']}", "shell");
}

Test(launch, a_negative_grace)
{
    is_invalid(", 'command': {'value': 'true'}, 'kill_policy': {'grace_period': {'nanoseconds': -1}}",
               "kill_policy.grace_period is negative");
}

Test(launch, a_negative_max_completion_time)
{
    is_invalid(", 'command': {'value': 'true'}, 'max_completion_time': {'nanoseconds': -5000}",
               "max_completion_time is negative");
}

Test(launch, a_variable_with_an_equals_sign)
{
    is_invalid(
        ", 'command': {'value': 'true', 'environment': {'variables': [{'name': 'A=B', 'value': 'c'}]}}",
        "A=B");
}

Test(launch, a_variable_without_a_name)
{
    is_invalid(", 'command': {'value': 'true', 'environment': {'variables': [{'name': '', 'value': 'c'}]}}",
               "name");
}

/* ---- several launches ---- */

Test(launch, a_second_launch_of_one_id_changes_nothing)
{
    struct devagent *agent = agent_begin_task(NULL, "t", HELPER("hear") " first");
    expect_pid(agent, "first ready");
    devagent_launch_command(agent, "t", HELPER("hear") " second");
    devagent_launch_command(agent, "other", "echo other");
    expect_state(agent, "other", FINISHED); /* so the second launch of t was seen */
    expect_states(agent, "t", "STARTING RUNNING");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_file(agent, "stdout", "first heard TERM");
    cr_assert_not(output_has(agent, "second"));
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    agent_end(agent, 0);
}

/* The executor stays as long as one task lives; an id that has ended does not start again. */
Test(launch, an_ended_id_does_not_start_again)
{
    struct devagent *agent = agent_begin_task(NULL, "long", "exec sleep 100");
    devagent_launch_command(agent, "t", "echo once");
    expect_state(agent, "t", FINISHED);
    devagent_launch_command(agent, "t", "echo twice");
    devagent_launch_command(agent, "after", "echo after");
    expect_state(agent, "after", FINISHED);
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    cr_assert_not(output_has(agent, "twice"));
    devagent_kill(agent, "long", -1);
    expect_state(agent, "long", KILLED);
    agent_end(agent, 0);
}

Test(launch, several_tasks_live_their_own_lives)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "killed", HELPER("hear") " killed");
    devagent_launch_command(agent, "finished", "mkfifo go; echo fifo made; read line <go; exit 0");
    devagent_launch_command(agent, "failed", "exit 7");
    launch_json(agent, "{'task_id': {'value': 'invalid'}}");
    expect_message(agent, expect_state(agent, "failed", FAILED), "code 7");
    expect_message(agent, expect_state(agent, "invalid", FAILED), "command");
    expect_pid(agent, "killed ready");
    expect_file(agent, "stdout", "fifo made");
    expect_state(agent, "killed", RUNNING);
    devagent_kill(agent, "killed", -1);
    expect_state(agent, "killed", KILLED);
    expect_states(agent, "killed", "STARTING RUNNING KILLED");
    cr_assert_not(devagent_has_exited(agent), "tasks are left");
    devagent_launch_command(agent, "last", "echo >go");
    expect_state(agent, "finished", FINISHED);
    expect_state(agent, "last", FINISHED);
    agent_end(agent, 0);
}

Test(launch, twenty_tasks_at_once)
{
    struct devagent *agent = agent_begin(NULL);
    char id[16], command[32];
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof(id), "t%d", i);
        snprintf(command, sizeof(command), "exit %d", i);
        devagent_launch_command(agent, id, command);
    }
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof(id), "t%d", i);
        snprintf(command, sizeof(command), "code %d", i);
        expect_message(agent, expect_state(agent, id, i == 0 ? FINISHED : FAILED), command);
        expect_states(agent, id, i == 0 ? "STARTING RUNNING FINISHED" : "STARTING RUNNING FAILED");
    }
    agent_end(agent, 0);
}
