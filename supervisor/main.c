/*
 * supervisor: the executor that a Mesos agent launches, and the privileged compartment.
 *
 * main() is the list of steps from a fresh process to the loop. Under an agent (any MESOS_* variable is set)
 * the command line belongs to the task and is not looked at, but for -debug as its first word; options are
 * for a person at a shell.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/unistd.h>

#include "common/config.h"
#include "common/endpoint.h"
#include "common/log.h"
#include "supervisor/environment.h"
#include "supervisor/executor.h"

enum { EXIT_BAD_SETTING = 2 };

static int print_help(void)
{
    printf("supervisor %s: runs tasks for an Apache Mesos agent, which launches it as a custom executor.\n"
           "\n"
           "It is not started by hand: an agent sets MESOS_FRAMEWORK_ID, MESOS_EXECUTOR_ID and the rest. To "
           "see it at\n"
           "work on this machine, start it under the small agent that comes with it:\n"
           "\n"
           "    devagent -- supervisor -- 'echo hello; sleep 3'\n"
           "\n"
           "Options:\n"
           "    --help               this text\n"
           "    --version            the version\n"
           "    --settings-markdown  the settings below as a Markdown table\n"
           "\n"
           "Settings, all of them environment variables:\n"
           "\n",
           BULKHEAD_VERSION);
    config_write_help(stdout);
    return EXIT_SUCCESS;
}

static int print_version(void)
{
    puts("supervisor " BULKHEAD_VERSION);
    return EXIT_SUCCESS;
}

static int print_markdown(void)
{
    config_write_markdown(stdout);
    return EXIT_SUCCESS;
}

static int serve_person(int argc, char *const argv[])
{
    static const struct {
        const char *word;
        int (*serve)(void);
    } options[] = {
        {"--help", print_help}, {"--version", print_version}, {"--settings-markdown", print_markdown}};
    for (size_t i = 0; argc == 2 && i < sizeof(options) / sizeof(options[0]); i++)
        if (strcmp(argv[1], options[i].word) == 0)
            return options[i].serve();
    fputs("supervisor: a Mesos agent starts this program; none has (no MESOS_* variable is set).\n"
          "To try it here:  devagent -- supervisor -- 'echo hello; sleep 3'\n"
          "More:            supervisor --help\n",
          stderr);
    return EXIT_BAD_SETTING;
}

static void report_problems(const struct config_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        if (problems->items[i].is_error)
            log_error(problems->items[i].text);
        else
            log_warning(problems->items[i].text);
    }
}

static bool knows_agent(const struct config *config)
{
    struct endpoint endpoint;
    const char *problem;
    if (endpoint_from_config(config, &endpoint, &problem) == 0)
        return true;
    log_error(problem, LOG_STR("endpoint", config_string(config, CONFIG_AGENT_ENDPOINT)),
              LOG_STR("agent_pid", config_string(config, CONFIG_SLAVE_PID)),
              LOG_STR("api_path", config_string(config, CONFIG_API_PATH)));
    return false;
}

static struct config *read_settings(char **environment)
{
    struct config *config = NULL;
    struct config_problems problems = {.items = NULL};
    int r = config_load(environment, &config, &problems);
    report_problems(&problems);
    config_problems_clear(&problems);
    if (r == 0 && knows_agent(config))
        return config;
    if (r == -ENOMEM)
        log_error("no memory to read the settings; leaving", LOG_ERRNO(r));
    config_free(config);
    return NULL;
}

/*
 * A command that starts the executor again, instead of the task, would take over this one's subscription. The
 * lock on the sandbox lets only one in; it goes with the process. A file system without locks is no reason
 * not to run.
 */
static bool lock_sandbox(const struct config *config)
{
    const char *sandbox = config_string(config, CONFIG_SANDBOX);
    if (sandbox == NULL || access(sandbox, F_OK) < 0)
        sandbox = ".";
    int folder = open(sandbox, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || flock(folder, LOCK_EX | LOCK_NB) == 0)
        return true; /* the descriptor stays open, and with it the lock */
    int error = errno;
    close(folder);
    if (error != EWOULDBLOCK)
        return true;
    log_error("an executor is running in this sandbox already: the task's command starts the executor again; "
              "leaving",
              LOG_STR("sandbox", sandbox), LOG_STR("executor", config_string(config, CONFIG_EXECUTOR_ID)));
    return false;
}

static struct stat own_file;

static bool is_own_program(const char *word, const void *arg)
{
    (void)arg;
    struct stat file;
    if (strchr(word, '/') == NULL)
        return strcmp(word, "supervisor") == 0;
    return stat(word, &file) == 0 && file.st_dev == own_file.st_dev && file.st_ino == own_file.st_ino;
}

/* The helpers are beside this program's own file, wherever that is. */
static bool find_helper(const char *name, char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    if (n < 0 || stat("/proc/self/exe", &own_file) < 0) {
        log_error("cannot find this program's own file; leaving", LOG_ERRNO(errno));
        return false;
    }
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    size_t folder = slash != NULL ? (size_t)(slash + 1 - path) : 0;
    if ((size_t)snprintf(path + folder, size - folder, "%s", name) >= size - folder) {
        log_error("the path of this program's folder is too long; leaving", LOG_STR("path", path));
        return false;
    }
    return true;
}

/* Without agent-client there is no executor; without hookd there is one for tasks that have no hooks and no
 * network checks. */
static bool find_helpers(char agent_client[PATH_MAX], char hookd[PATH_MAX])
{
    if (!find_helper("agent-client", agent_client, PATH_MAX) || !find_helper("hookd", hookd, PATH_MAX))
        return false;
    if (access(agent_client, X_OK) < 0) {
        log_error("a helper is missing beside this program; leaving", LOG_STR("path", agent_client),
                  LOG_ERRNO(errno));
        return false;
    }
    if (access(hookd, X_OK) < 0)
        log_warning("a helper is missing beside this program; hooks, HTTP and TCP checks will fail",
                    LOG_STR("path", hookd), LOG_ERRNO(errno));
    return true;
}

/*
 * Nothing of this process may be read by the task, which usually has the same user: no core, no
 * /proc/PID/mem. The sanitizers need to trace their own process.
 */
static void harden(struct rlimit *ret_core)
{
    *ret_core = (struct rlimit){.rlim_cur = 0, .rlim_max = RLIM_INFINITY};
    getrlimit(RLIMIT_CORE, ret_core);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = ret_core->rlim_max};
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        log_warning("cannot forbid core dumps", LOG_ERRNO(errno));
#ifndef BULKHEAD_SANITIZE
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        log_warning("cannot keep other processes of this user from reading this one", LOG_ERRNO(errno));
#endif
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        log_error("cannot become a child subreaper: what helpers leave behind will not be found",
                  LOG_ERRNO(errno));
}

/*
 * What a helper gets of the environment; the rest comes over its channel. GnuTLS is loaded with libcurl and
 * never used: what it does when it is loaded is memory for nothing. The sanitizers are told what to do by
 * theirs.
 */
static const char *const *helper_environment(void)
{
    static const char *environment[4] = {"PATH=/usr/local/bin:/usr/bin:/bin", "GNUTLS_NO_IMPLICIT_INIT=1",
                                         NULL, NULL};
#ifdef BULKHEAD_SANITIZE
    for (char **entry = environ; *entry != NULL; entry++)
        if (strncmp(*entry, "ASAN_OPTIONS=", strlen("ASAN_OPTIONS=")) == 0)
            environment[2] = *entry;
#endif
    return environment;
}

int main(int argc, char *argv[])
{
    if (!config_is_under_agent(environ))
        return serve_person(argc, argv);

    bool debug = argc > 1 && strcmp(argv[1], "-debug") == 0;
    log_open("supervisor", STDERR_FILENO, debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    struct config *config = read_settings(environ);
    if (config == NULL)
        return EXIT_BAD_SETTING;
    if (debug)
        config_set_text(config, config_name(CONFIG_DEBUG), "true", NULL);
    else if (config_bool(config, CONFIG_DEBUG))
        log_set_level(LOG_LEVEL_DEBUG);

    char agent_client[PATH_MAX], hookd[PATH_MAX];
    if (!lock_sandbox(config) || !find_helpers(agent_client, hookd)) {
        config_free(config);
        return EXIT_BAD_SETTING;
    }

    /* A task may be given names that are secrets to us and its own to it: the copy comes before the wiping.
     */
    char **task_environment = environment_for_task(environ, NULL, NULL);
    if (task_environment == NULL) {
        log_error("no memory for the task's environment; leaving");
        config_free(config);
        return EXIT_FAILURE;
    }
    /* The secrets leave the block before libbsd moves it: afterwards they would stay readable in
     * /proc/PID/environ. */
    config_wipe_environment(environ);
    setproctitle_init(argc, argv, environ);
    setproctitle("-supervisor: starting");
    struct rlimit core;
    harden(&core);
    log_info("starting", LOG_STR("version", BULKHEAD_VERSION),
             LOG_STR("executor", config_string(config, CONFIG_EXECUTOR_ID)),
             LOG_STR("framework", config_string(config, CONFIG_FRAMEWORK_ID)));

    struct executor_options options = {
        .config = config,
        .environment = task_environment,
        .agent_client = agent_client,
        .hookd = hookd,
        .helper_environment = helper_environment(),
        .core_limit = core.rlim_cur,
        .core_maximum = core.rlim_max,
        .is_self = is_own_program,
    };
    int exit_code = executor_run(&options);
    environment_free(task_environment);
    config_free(config);
    return exit_code;
}
