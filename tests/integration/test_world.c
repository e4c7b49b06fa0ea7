/*
 * The world that a task's program finds: its environment to the last entry, its user, signals, descriptors
 * and limits. No trace of the executor in any of it.
 */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/stage.h"

#define SUPERVISOR TEST_BIN_DIR "/supervisor"

/* What a shell adds by itself would blur the comparison: env takes it away again. */
#define EXACT "exec env -u PWD -u OLDPWD -u SHLVL -u _ " SUPERVISOR

static struct devagent_options line_options(const char *line)
{
    struct devagent_options options = agent_options();
    options.executor_argv = NULL;
    options.executor_command = line;
    return options;
}

/* The output of show_world, once it is complete. The caller frees it. */
static char *expect_world(struct devagent *agent)
{
    expect_file(agent, "stdout", "end of world\n");
    return devagent_read_file(agent, "stdout");
}

static bool has_line(const char *world, const char *line)
{
    size_t length = strlen(line);
    for (const char *at = world; (at = strstr(at, line)) != NULL; at++)
        if ((at == world || at[-1] == '\n') && at[length] == '\n')
            return true;
    return false;
}

static void expect_line(struct devagent *agent, const char *world, const char *line)
{
    if (!has_line(world, line))
        fail_with_story(agent, "'%s' is not in this world:\n%s", line, world);
}

static size_t count_lines(const char *world, const char *prefix)
{
    size_t count = strncmp(world, prefix, strlen(prefix)) == 0;
    for (const char *at = world; (at = strchr(at, '\n')) != NULL; at++)
        count += strncmp(at + 1, prefix, strlen(prefix)) == 0;
    return count;
}

/* A task that shows its world in the exec form, with more of the command and of the task in JSON. */
static char *show_world(struct devagent *agent, const char *more_of_command, const char *more_of_task)
{
    launch_json(agent, "{'task_id': {'value': 't'}, 'command': {'shell': false, 'value': '%s'%s}%s}",
                HELPER("show_world"), more_of_command, more_of_task);
    char *world = expect_world(agent);
    expect_state(agent, "t", FINISHED);
    return world;
}

/* ---- environment ---- */

static bool is_kept_from_tasks(const char *entry)
{
    static const char *const prefixes[] = {
        "ALLEGRO_EXECUTOR_", "CONSUL_TOKEN=", "VAAS_HOST=",
        "VAAS_USERNAME=",    "VAAS_TOKEN=",   "MESOS_EXECUTOR_AUTHENTICATION_TOKEN="};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static const char *const agent_variables[] = {
    "ALLEGRO_EXECUTOR_CONSUL_TOKEN=secret",
    "ALLEGRO_EXECUTOR_DEBUG=false",
    "ALLEGRO_EXECUTOR_UNKNOWN=x",
    "ALLEGRO_EXECUTOR_VAAS_TOKEN=secret",
    "CONSUL_TOKEN=secret",
    "VAAS_HOST=http://vaas",
    "VAAS_USERNAME=user",
    "VAAS_TOKEN=secret",
    "CONSUL_TOKENS=kept",
    "XVAAS_HOST=kept",
    "EMPTY=",
    "WITH_SIGNS=a=b c\td",
    "FROM_AGENT=agent",
    NULL,
};

/* Everything of the executor's environment but the strip list, in any order, and nothing else but `more`. */
static void compare_environment(struct devagent *agent, const char *world, const char *const *more,
                                const char *const *overridden)
{
    size_t expected = 0;
    char line[4096];
    for (const char *const *entry = devagent_environment(agent); *entry != NULL; entry++) {
        bool dropped = is_kept_from_tasks(*entry);
        for (size_t i = 0; overridden[i] != NULL; i++)
            dropped |= strncmp(*entry, overridden[i], strlen(overridden[i])) == 0;
        if (dropped)
            continue;
        snprintf(line, sizeof(line), "env %s", *entry);
        expect_line(agent, world, line);
        expected++;
    }
    for (; *more != NULL; more++, expected++) {
        snprintf(line, sizeof(line), "env %s", *more);
        expect_line(agent, world, line);
    }
    if (count_lines(world, "env ") != expected)
        fail_with_story(agent, "%zu variables, not %zu:\n%s", count_lines(world, "env "), expected, world);
}

Test(world, the_whole_environment)
{
    struct devagent_options options = line_options(EXACT);
    options.environment = agent_variables;
    options.jwt = DEVAGENT_JWT_REQUIRED;
    struct devagent *agent = agent_begin(&options);
    char *world = show_world(agent, "", "");
    static const char *const nothing[] = {NULL};
    compare_environment(agent, world, nothing, nothing);
    cr_assert(has_line(world, "env CONSUL_TOKENS=kept"));
    cr_assert_not(has_line(world, "env VAAS_HOST=http://vaas"));
    free(world);
    agent_end(agent, 0);
}

/* The task's own variables win over the executor's, also for names that would be kept from it; the role wins
 * over all. Of two variables of one name the last one counts. A SECRET has no value here and is left out. */
Test(world, the_tasks_own_variables)
{
    struct devagent_options options = line_options(EXACT);
    options.environment = agent_variables;
    struct devagent *agent = agent_begin(&options);
    char *world = show_world(
        agent,
        ", 'environment': {'variables': [{'name': 'FROM_AGENT', 'value': 'task'}, {'name': 'CONSUL_TOKEN', "
        "'value': 'own'}, {'name': 'ALLEGRO_EXECUTOR_DEBUG', 'value': 'own'}, {'name': 'TWICE', 'value': "
        "'1'}, "
        "{'name': 'TWICE', 'value': '2'}, {'name': 'NO_VALUE', 'value': ''}, {'name': 'HIDDEN', 'type': "
        "'SECRET'}, {'name': 'MESOS_ALLOCATION_ROLE', 'value': 'wrong'}]}",
        ", 'resources': [{'name': 'cpus', 'type': 'SCALAR', 'scalar': {'value': 0.1}, 'allocation_info': "
        "{'role': 'web'}}, {'name': 'mem', 'type': 'SCALAR', 'scalar': {'value': 32}, 'allocation_info': "
        "{'role': 'other'}}]");
    static const char *const more[] = {"FROM_AGENT=task",
                                       "CONSUL_TOKEN=own",
                                       "ALLEGRO_EXECUTOR_DEBUG=own",
                                       "TWICE=2",
                                       "NO_VALUE=",
                                       "MESOS_ALLOCATION_ROLE=web",
                                       NULL};
    static const char *const overridden[] = {"FROM_AGENT=", NULL};
    compare_environment(agent, world, more, overridden);
    free(world);
    agent_end(agent, 0);
}

/* An executor's command.environment is in the executor's own already: the agent put it there. */
Test(world, the_executors_variables_are_the_agents_to_set)
{
    static const char *const variables[] = {"FROM_EXECUTOR=agent", NULL};
    struct devagent_options options = line_options(EXACT " " HELPER("show_world"));
    options.command_environment = variables;
    struct devagent *agent = agent_begin(&options);
    launch_json(
        agent,
        "{'task_id': {'value': 't'}, 'executor': {'executor_id': {'value': '%s'}, 'command': {'value': "
        "'%s %s', 'environment': {'variables': [{'name': 'FROM_EXECUTOR', 'value': 'stale'}, {'name': "
        "'ONLY_HERE', 'value': 'x'}]}}}}",
        devagent_executor_id(agent), SUPERVISOR, HELPER("show_world"));
    char *world = expect_world(agent);
    expect_line(agent, world, "env FROM_EXECUTOR=agent");
    cr_assert_eq(count_lines(world, "env ONLY_HERE"), 0);
    expect_state(agent, "t", FINISHED);
    free(world);
    agent_end(agent, 0);
}

/* ---- user ---- */

static void skip_unless_root(void)
{
    if (geteuid() != 0)
        cr_skip_test("only root can change the user: nothing was tested");
}

static void expect_ids(struct devagent *agent, const char *world, const struct passwd *user)
{
    char line[128];
    unsigned uid = user->pw_uid, gid = user->pw_gid;
    snprintf(line, sizeof(line), "uid %u %u %u", uid, uid, uid);
    expect_line(agent, world, line);
    snprintf(line, sizeof(line), "gid %u %u %u", gid, gid, gid);
    expect_line(agent, world, line);
    gid_t groups[256];
    int count = 256;
    cr_assert_geq(getgrouplist(user->pw_name, user->pw_gid, groups, &count), 0);
    for (int i = 0; i < count; i++) {
        snprintf(line, sizeof(line), "group %u", groups[i]);
        expect_line(agent, world, line);
    }
    cr_assert_eq(count_lines(world, "group "), (size_t)count, "groups of somebody else:\n%s", world);
}

Test(world, the_tasks_user)
{
    skip_unless_root();
    struct devagent *agent = agent_begin(NULL);
    char *world = show_world(agent, ", 'user': 'nobody'", "");
    expect_ids(agent, world, getpwnam("nobody"));
    free(world);
    agent_end(agent, 0);
}

Test(world, without_a_user_the_executors)
{
    struct devagent *agent = agent_begin(NULL);
    char *world = show_world(agent, "", "");
    char line[64];
    snprintf(line, sizeof(line), "uid %u %u %u", getuid(), geteuid(), getuid());
    expect_line(agent, world, line);
    free(world);
    agent_end(agent, 0);
}

/* The task of another user can use what it finds open, read the sandbox, and be killed. */
Test(world, another_users_task_in_the_sandbox)
{
    skip_unless_root();
    struct devagent *agent = agent_begin(NULL);
    stage_file(agent, "/etc/hostname", "given", 0644);
    launch_json(agent,
                "{'task_id': {'value': 't'}, 'command': {'user': 'nobody', 'value': "
                "'cat given >/dev/null && id -un && echo error >&2 && exec %s me'}}",
                HELPER("hear"));
    expect_pid(agent, "me ready");
    expect_file(agent, "stdout", "nobody\n");
    expect_file(agent, "stderr", "error\n");
    devagent_kill(agent, "t", -1);
    expect_state(agent, "t", KILLED);
    expect_file(agent, "stdout", "me heard TERM");
    agent_end(agent, 0);
}

Test(world, an_unknown_user)
{
    skip_unless_root();
    struct devagent *agent = agent_begin(NULL);
    launch_json(agent, "{'task_id': {'value': 't'}, 'command': {'value': 'true', 'user': 'no-such-user'}}");
    const struct devagent_update *update = expect_state(agent, "t", FAILED);
    expect_message(agent, update, "no-such-user");
    cr_assert(update->has_reason);
    cr_assert_eq(update->reason, MESOS__V1__TASK_STATUS__REASON__REASON_TASK_INVALID);
    expect_states(agent, "t", "STARTING FAILED");
    agent_end(agent, 0);
}

/* Without root the agent has chosen the user when it started the executor. */
Test(world, an_unprivileged_executor_keeps_its_user)
{
    skip_unless_root();
    struct devagent_options options = agent_options();
    options.user = "nobody";
    struct devagent *agent = agent_begin(&options);
    char *world = show_world(agent, ", 'user': 'root'", "");
    expect_ids(agent, world, getpwnam("nobody"));
    free(world);
    agent_end(agent, 0);
}

/* ---- signals, descriptors, limits ---- */

static void expect_clean(struct devagent *agent, const char *world)
{
    expect_line(agent, world, "SigBlk:\t0000000000000000");
    expect_line(agent, world, "SigIgn:\t0000000000000000");
    expect_line(agent, world, "leads its session: yes");
    expect_line(agent, world, "fd 0 /dev/null");
    if (count_lines(world, "fd ") != 3 || count_lines(world, "fd 1 ") != 1 ||
        count_lines(world, "fd 2 ") != 1)
        fail_with_story(agent, "not the descriptors 0, 1 and 2:\n%s", world);
    expect_line(agent, world, "NoNewPrivs:\t0");
    expect_line(agent, world, "Seccomp:\t0");
    expect_line(agent, world, "dumpable 1");
}

Test(world, nothing_of_the_executors)
{
    struct devagent *agent = agent_begin(NULL);
    char *world = show_world(agent, "", "");
    expect_clean(agent, world);
    char line[4200];
    snprintf(line, sizeof(line), "cwd %s", devagent_sandbox(agent));
    expect_line(agent, world, line);
    snprintf(line, sizeof(line), "fd 1 %s/stdout", devagent_sandbox(agent));
    expect_line(agent, world, line);
    snprintf(line, sizeof(line), "fd 2 %s/stderr", devagent_sandbox(agent));
    expect_line(agent, world, line);
    free(world);
    agent_end(agent, 0);
}

/* Whoever starts the executor may have ignored signals and left files open: it is not passed on. */
Test(world, nothing_of_whoever_started_the_executor)
{
    struct devagent_options options = line_options("ulimit -c 0; exec 5</dev/null 7</etc/passwd; "
                                                   "exec env --ignore-signal --block-signal " SUPERVISOR);
    struct devagent *agent = agent_begin(&options);
    char *world = show_world(agent, "", "");
    expect_clean(agent, world);
    expect_line(agent, world, "core 0 0");
    free(world);
    agent_end(agent, 0);
}

/* An exit code reaches the agent even where whoever started the executor lets children go unseen. */
Test(world, an_exit_code_with_ignored_SIGCHLD)
{
    struct devagent_options options = line_options("exec env --ignore-signal=CHLD " SUPERVISOR);
    struct devagent *agent = agent_begin(&options);
    devagent_launch_command(agent, "t", "exit 5");
    expect_message(agent, expect_state(agent, "t", FAILED), "code 5");
    agent_end(agent, 0);
}

/* In blocks of 512 bytes, as sh counts them. The sanitizers take the soft limit away from who runs them. */
Test(world, the_core_limit_is_as_it_was)
{
    struct devagent_options options = line_options("ulimit -S -c 4; ulimit -H -c 8; exec " SUPERVISOR);
    struct devagent *agent = agent_begin(&options);
    devagent_launch_command(agent, "t", "echo limits $(ulimit -H -c) $(ulimit -S -c)");
    expect_state(agent, "t", FINISHED);
#ifdef BULKHEAD_SANITIZE
    expect_file(agent, "stdout", "limits 8 ");
#else
    expect_file(agent, "stdout", "limits 8 4\n");
#endif
    agent_end(agent, 0);
}

/* A task in its own session cannot take the executor along, nor its sibling. */
Test(world, a_task_that_kills_its_group)
{
    struct devagent *agent = agent_begin_task(NULL, "one", "exec sleep 100");
    devagent_launch_command(agent, "two", "kill -KILL 0");
    expect_message(agent, expect_state(agent, "two", FAILED), "signal 9");
    expect_states(agent, "one", "STARTING RUNNING");
    devagent_kill(agent, "one", -1);
    expect_state(agent, "one", KILLED);
    agent_end(agent, 0);
}
