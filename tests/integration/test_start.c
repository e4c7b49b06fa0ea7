/*
 * How the executor is started: whose its arguments are, which command a task gets from the executor's own
 * command line, that no second executor runs by mistake, and that secrets do not stay readable.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stage.h"

#define SUPERVISOR TEST_BIN_DIR "/supervisor"
#define MARATHON(path, tail) "chmod ug+rx '" path "' && exec '" path "' " tail

static void runs(const char *line, const char *output)
{
    struct devagent *agent = agent_begin_line(NULL, "t", line);
    expect_state(agent, "t", FINISHED);
    expect_file(agent, "stdout", output);
    agent_end(agent, 0);
}

/* ---- Marathon ---- */

Test(start, marathons_tail_is_the_task)
{
    Mesos__V1__TaskInfo *task = parse_task("{'task_id': {'value': 'app.1'}, 'command': {'value': "
                                           "'echo $MARATHON_APP_ID $GREETING', 'environment': {'variables': "
                                           "[{'name': 'GREETING', 'value': 'hello'}]}}}");
    struct devagent_marathon *marathon;
    cr_assert_eq(devagent_marathon_new(task, SUPERVISOR, &marathon), 0);
    struct devagent_options options = agent_options();
    options.executor_argv = NULL;
    options.executor_command = marathon->command;
    options.executor_id = marathon->executor_id;
    options.command_environment = marathon->environment;
    struct devagent *agent = agent_begin(&options);
    cr_assert_eq(devagent_launch(agent, marathon->task), 0);
    expect_state(agent, "app.1", FINISHED);
    expect_states(agent, "app.1", "STARTING RUNNING FINISHED");
    expect_file(agent, "stdout", "/devagent hello\n");
    agent_end(agent, 0);
    devagent_marathon_free(marathon);
    mesos__v1__task_info__free_unpacked(task, NULL);
}

Test(start, marathons_tail_has_quotes)
{
    runs(MARATHON(SUPERVISOR, "printf '%s|' \"a  b\" 'c\"d' e\\ f; echo"), "a  b|c\"d|e f|\n");
}

/* The shell that starts the executor takes what is behind ; for itself: it never comes to that. */
Test(start, marathons_tail_has_a_list)
{
    runs(MARATHON(SUPERVISOR, "echo one; echo two && echo three"), "one\ntwo\nthree\n");
}

/* Here that shell runs both sides: the executor writes into its pipe, and its words come out once more. */
Test(start, marathons_tail_has_a_pipe)
{
    runs(MARATHON(SUPERVISOR, "echo words | tr w W"), "Words\n");
}

Test(start, marathons_tail_has_a_redirection)
{
    struct devagent *agent = agent_begin_line(NULL, "t", MARATHON(SUPERVISOR, "echo words >there"));
    expect_state(agent, "t", FINISHED);
    expect_file(agent, "there", "words\n");
    agent_end(agent, 0);
}

Test(start, a_path_with_blanks_and_signs)
{
    struct devagent_options options = agent_options();
    const char *line = MARATHON("./a (long) folder; of $HOME & co/supervisor", "echo found");
    options.executor_argv = NULL;
    options.executor_command = line;
    struct devagent *agent;
    cr_assert_eq(devagent_create(&options, &agent), 0);
    stage_link(agent, TEST_BIN_DIR, "a (long) folder; of $HOME & co");
    cr_assert_eq(devagent_start_executor(agent), 0);
    launch_executor_line(agent, "t", line);
    expect_state(agent, "t", FINISHED);
    expect_file(agent, "stdout", "found\n");
    agent_end(agent, 0);
}

/* The pattern is recognised, not the name: a copy under another name is this program too. */
Test(start, a_copy_finds_its_helper_beside_itself)
{
    struct devagent_options options = agent_options();
    const char *line = MARATHON("./my-executor", "echo copied");
    options.executor_argv = NULL;
    options.executor_command = line;
    struct devagent *agent;
    cr_assert_eq(devagent_create(&options, &agent), 0);
    stage_file(agent, SUPERVISOR, "my-executor", 0755);
    stage_file(agent, TEST_BIN_DIR "/agent-client", "agent-client", 0755);
    cr_assert_eq(devagent_start_executor(agent), 0);
    launch_executor_line(agent, "t", line);
    expect_state(agent, "t", FINISHED);
    expect_file(agent, "stdout", "copied\n");
    agent_end(agent, 0);
}

Test(start, a_line_without_chmod)
{
    runs("exec " SUPERVISOR " echo tail", "tail\n");
}

Test(start, a_line_without_exec)
{
    runs(SUPERVISOR " echo tail", "tail\n");
}

Test(start, the_word_debug_is_ours)
{
    struct devagent *agent =
        agent_begin_line(NULL, "t", MARATHON(SUPERVISOR, "-debug echo -debug is \"$0\""));
    expect_state(agent, "t", FINISHED);
    expect_file(agent, "stdout", "-debug is sh\n");
    expect_file(agent, "stderr", "level=debug");
    agent_end(agent, 0);
}

/* Options are for a person's shell: under an agent they are the first words of the task's command. */
static void is_the_tasks_word(const char *line)
{
    struct devagent *agent = agent_begin_line(NULL, "t", line);
    expect_state(agent, "t", FAILED);
    expect_states(agent, "t", "STARTING RUNNING FAILED");
    if (output_has(agent, "Settings") || output_has(agent, "supervisor "))
        fail_with_story(agent, "the executor took the task's word for its own");
    agent_end(agent, 0);
}

Test(start, help_is_the_tasks_word)
{
    is_the_tasks_word(MARATHON(SUPERVISOR, "--help"));
}

Test(start, version_is_the_tasks_word)
{
    is_the_tasks_word(MARATHON(SUPERVISOR, "--version"));
}

Test(start, an_option_is_the_tasks_word)
{
    is_the_tasks_word(MARATHON(SUPERVISOR, "-x"));
}

/* ExecutorInfo.command with shell=false: what follows the executor in the list is the task's list. */
Test(start, an_executor_command_in_the_exec_form)
{
    static const char *const argv[] = {SUPERVISOR, HELPER("show_world"), "a  b", "", "$HOME;c", NULL};
    struct devagent_options options = agent_options();
    options.executor_argv = argv;
    struct devagent *agent = agent_begin(&options);
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'executor': {'executor_id': {'value': '%s'}, 'command': "
                "{'shell': false, 'value': '%s', 'arguments': ['%s', '%s', 'a  b', '', '$HOME;c']}}}",
                devagent_executor_id(agent), argv[0], argv[0], argv[1]);
    expect_state(agent, "t", FINISHED);
    expect_file(agent, "stdout",
                "argv 0 " HELPER("show_world") "\nargv 1 a  b\nargv 2 \nargv 3 $HOME;c\nenv ");
    agent_end(agent, 0);
}

Test(start, the_tasks_own_command_wins)
{
    struct devagent *agent = agent_begin(NULL);
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'command': {'value': 'echo own'}, 'executor': {'executor_id': "
                "{'value': '%s'}, 'command': {'value': '%s echo other'}}}",
                devagent_executor_id(agent), SUPERVISOR);
    expect_state(agent, "t", FINISHED);
    expect_file(agent, "stdout", "own\n");
    cr_assert_not(output_has(agent, "other"));
    agent_end(agent, 0);
}

/* ---- never a second executor ---- */

static void is_invalid(const char *line)
{
    struct devagent *agent = agent_begin_line(NULL, "t", line);
    const struct devagent_update *update = expect_state(agent, "t", FAILED);
    cr_assert(update->has_reason);
    cr_assert_eq(update->reason, MESOS__V1__TASK_STATUS__REASON__REASON_TASK_INVALID);
    expect_message(agent, update, "command");
    expect_states(agent, "t", "STARTING FAILED");
    cr_assert_eq(devagent_subscribe_count(agent), 1);
    agent_end(agent, 0);
}

Test(start, an_executor_command_without_a_tail)
{
    is_invalid("exec " SUPERVISOR);
}

Test(start, marathons_prefix_without_a_tail)
{
    is_invalid(MARATHON(SUPERVISOR, ""));
}

Test(start, debug_is_no_tail)
{
    is_invalid(MARATHON(SUPERVISOR, "-debug"));
}

/* A line that is not understood may start an executor: it is not run. */
Test(start, an_executor_command_of_another_shape)
{
    is_invalid("cd . && exec " SUPERVISOR " echo never");
}

Test(start, a_task_that_starts_the_executor_again)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", SUPERVISOR " echo never");
    expect_message(agent, expect_state(agent, "t", FAILED), "code 2");
    expect_file(agent, "stderr", "executor is running in this sandbox already");
    cr_assert_eq(devagent_subscribe_count(agent), 1, "the subscription was taken over");
    cr_assert_not(output_has(agent, "never"));
    agent_end(agent, 0);
}

/* The lock is the executor's and goes with it: a task that it left locked out no successor. */
Test(start, the_first_executor_goes_on)
{
    struct devagent *agent = agent_begin_task(NULL, "one", "exec sleep 100");
    devagent_launch_command(agent, "two", SUPERVISOR);
    expect_message(agent, expect_state(agent, "two", FAILED), "code 2");
    cr_assert(devagent_is_subscribed(agent));
    devagent_kill(agent, "one", -1);
    expect_state(agent, "one", KILLED);
    cr_assert_eq(devagent_subscribe_count(agent), 1);
    agent_end(agent, 0);
}

/* ---- secrets ---- */

static size_t read_environment(pid_t pid, char *bytes, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    FILE *file = fopen(path, "r");
    size_t n = file != NULL ? fread(bytes, 1, size, file) : 0;
    if (file != NULL)
        fclose(file);
    return n;
}

Test(start, secrets_are_in_no_environment)
{
    static const char *const secrets[] = {"ALLEGRO_EXECUTOR_CONSUL_TOKEN=hush-1",
                                          "CONSUL_TOKEN=hush-2",
                                          "VAAS_TOKEN=hush-3",
                                          "ALLEGRO_EXECUTOR_VAAS_TOKEN=hush-4",
                                          "ALLEGRO_EXECUTOR_SENTRY_DSN=https://hush-5@localhost/1",
                                          NULL};
    struct devagent_options options = agent_options();
    options.environment = secrets;
    options.jwt = DEVAGENT_JWT_REQUIRED;
    struct devagent *agent = agent_begin_task(&options, "t", "exec sleep 100");
    wait_child(agent, "keeper: t");
    static char bytes[1 << 20];
    pid_t pids[64];
    size_t count = devagent_processes(agent, pids, 64), readable = 0;
    cr_assert_geq(count, 4, "supervisor, keeper, agent-client and the task");
    for (size_t i = 0; i < count; i++) {
        size_t n = read_environment(pids[i], bytes, sizeof(bytes));
        readable += n > 0;
        cr_assert_null(memmem(bytes, n, "hush", 4), "a secret is in the environment of %d", (int)pids[i]);
        const char *token = devagent_token(agent);
        cr_assert_null(memmem(bytes, n, token, strlen(token)), "the token is in that of %d", (int)pids[i]);
    }
    cr_assert_geq(readable, 1, "no environment at all could be read");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    char *log = devagent_read_file(agent, "stderr");
    cr_assert_null(strstr(log, "hush"));
    free(log);
    agent_end(agent, 0);
}
