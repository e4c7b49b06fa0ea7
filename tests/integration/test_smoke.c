/*
 * The shortest stories: a task that ends by itself, one that is killed, one that cannot be started.
 */
#include "tests/integration/support.h"

Test(smoke, finished)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "echo hello");
    expect_state(agent, "t", FINISHED);
    expect_states(agent, "t", "STARTING RUNNING FINISHED");
    expect_file(agent, "stdout", "hello");
    agent_end(agent, 0);
}

Test(smoke, failed)
{
    struct devagent *agent = agent_begin(NULL);
    devagent_launch_command(agent, "t", "exit 3");
    expect_message(agent, expect_state(agent, "t", FAILED), "code 3");
    agent_end(agent, 0);
}

Test(smoke, killed)
{
    struct devagent *agent = agent_begin_task(NULL, "t", "exec sleep 100");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_states(agent, "t", "STARTING RUNNING KILLED");
    agent_end(agent, 0);
}
