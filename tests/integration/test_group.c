/*
 * LAUNCH_GROUP: a member that fails or is killed has the others killed, one that finishes does not.
 */
#include <stdio.h>

#include "tests/integration/stage.h"

/* Launches the commands as one group of the tasks a, b and c. */
static void launch_group(struct devagent *agent, const char *a, const char *b, const char *c)
{
    const char *const commands[] = {a, b, c};
    const char *const ids[] = {"a", "b", "c"};
    Mesos__V1__TaskInfo *tasks[3];
    for (size_t i = 0; i < 3; i++)
        tasks[i] = parse_task("{'task_id': {'value': '%s'}, 'command': {%s}}", ids[i], commands[i]);
    cr_assert_eq(devagent_launch_group(agent, (const Mesos__V1__TaskInfo *const *)tasks, 3), 0);
    for (size_t i = 0; i < 3; i++)
        mesos__v1__task_info__free_unpacked(tasks[i], NULL);
}

#define SLEEP "'value': 'exec sleep 100'"
#define FIFO(code) "'value': 'mkfifo go; echo waits; read line <go; exit " #code "'"

Test(group, all_run_and_finish)
{
    struct devagent *agent = agent_begin(NULL);
    launch_group(agent, "'value': 'echo a'", "'value': 'echo b'", "'value': 'echo c'");
    for (const char *id = "a\0b\0c\0"; *id != '\0'; id += 2) {
        expect_state(agent, id, FINISHED);
        expect_states(agent, id, "STARTING RUNNING FINISHED");
    }
    agent_end(agent, 0);
}

Test(group, one_fails)
{
    struct devagent *agent = agent_begin(NULL);
    launch_group(agent, SLEEP, FIFO(6), SLEEP);
    expect_state(agent, "a", RUNNING);
    expect_state(agent, "c", RUNNING);
    expect_file(agent, "stdout", "waits");
    devagent_launch_command(agent, "push", "echo >go");
    expect_message(agent, expect_state(agent, "b", FAILED), "code 6");
    expect_message(agent, expect_state(agent, "a", KILLED), "b did not finish");
    expect_message(agent, expect_state(agent, "c", KILLED), "b did not finish");
    agent_end(agent, 0);
}

Test(group, one_finishes)
{
    struct devagent *agent = agent_begin(NULL);
    launch_group(agent, SLEEP, "'value': 'exit 0'", SLEEP);
    expect_state(agent, "b", FINISHED);
    devagent_run_for(agent, 200);
    expect_states(agent, "a", "STARTING RUNNING");
    expect_states(agent, "c", "STARTING RUNNING");
    devagent_kill(agent, "a", -1);
    expect_message(agent, expect_state(agent, "a", KILLED), "framework");
    expect_message(agent, expect_state(agent, "c", KILLED), "group");
    expect_states(agent, "b", "STARTING RUNNING FINISHED");
    agent_end(agent, 0);
}

Test(group, one_is_killed)
{
    struct devagent *agent = agent_begin(NULL);
    launch_group(agent, SLEEP, SLEEP, SLEEP);
    for (const char *id = "a\0b\0c\0"; *id != '\0'; id += 2)
        expect_state(agent, id, RUNNING);
    devagent_kill(agent, "b", -1);
    for (const char *id = "a\0b\0c\0"; *id != '\0'; id += 2) {
        expect_state(agent, id, KILLED);
        expect_states(agent, id, "STARTING RUNNING KILLED");
    }
    agent_end(agent, 0);
}

/* The grace is each member's own. */
Test(group, the_others_have_their_grace)
{
    struct devagent *agent = agent_begin(NULL);
    launch_group(agent, "'value': 'exec " HELPER("hear") " a later'", SLEEP,
                 "'value': 'exec " HELPER("hear") " c'");
    expect_pid(agent, "a ready");
    expect_pid(agent, "c ready");
    devagent_kill(agent, "b", 0);
    for (const char *id = "a\0b\0c\0"; *id != '\0'; id += 2)
        expect_state(agent, id, KILLED);
    expect_file(agent, "stdout", "a says goodbye");
    agent_end(agent, 0);
}

Test(group, one_cannot_be_started)
{
    struct devagent *agent = agent_begin(NULL);
    launch_group(agent, SLEEP, "'shell': false, 'value': '/nowhere/program'", SLEEP);
    expect_message(agent, expect_state(agent, "b", FAILED), "/nowhere/program");
    expect_state(agent, "a", KILLED);
    expect_state(agent, "c", KILLED);
    agent_end(agent, 0);
}

/* What is wrong with one is wrong with the group: the members after it are not left running either. */
Test(group, one_is_invalid)
{
    struct devagent *agent = agent_begin(NULL);
    launch_group(agent, SLEEP, "'value': ''", SLEEP);
    const struct devagent_update *update = expect_state(agent, "b", FAILED);
    cr_assert_eq(update->reason, MESOS__V1__TASK_STATUS__REASON__REASON_TASK_INVALID);
    expect_state(agent, "a", KILLED);
    expect_state(agent, "c", KILLED);
    agent_end(agent, 0);
}

Test(group, another_group_is_untouched)
{
    struct devagent *agent = agent_begin_task(NULL, "alone", "exec sleep 100");
    launch_group(agent, SLEEP, "'value': 'exit 1'", SLEEP);
    expect_state(agent, "a", KILLED);
    expect_state(agent, "c", KILLED);
    expect_states(agent, "alone", "STARTING RUNNING");
    devagent_kill(agent, "alone", -1);
    expect_state(agent, "alone", KILLED);
    agent_end(agent, 0);
}
