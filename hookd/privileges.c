/*
 * hookd's and its workers' rights, taken away as early as each can do without them.
 *
 * hookd itself cannot take the filters of its workers: it forks, kills and reads /proc; but it reads nothing
 * except what the supervisor and the little parser of its workers' words let through. Must never leave a
 * worker that talks to a network with more than agent-client has, but for Unix sockets, since Consul may be
 * behind one.
 */
#include "hookd/privileges.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/confine.h"
#include "common/log.h"
#include "common/privilege.h"

static void warn(const char *step, int error)
{
    if (error < 0)
        log_warning("a step of this process's confinement cannot be taken; going on without",
                    LOG_STR("step", step), LOG_ERRNO(error));
}

static void become_helpers_user(const struct config *config)
{
    struct privilege_user user;
    if (geteuid() == 0) {
        warn("look up the helpers' user",
             privilege_find_user(config_string(config, CONFIG_HELPER_USER), &user));
        warn("become the helpers' user", privilege_drop(&user));
    }
    warn("drop capabilities", privilege_drop_capabilities());
    warn("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0);
#ifndef BULKHEAD_SANITIZE /* the leak check traces its own process */
    warn("close the memory after the change of user", prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0);
#endif
}

int privileges_drop_in_daemon(const struct config *config, pid_t supervisor)
{
    if (!config_is_set(config, CONFIG_HOOKS_DIR))
        become_helpers_user(config);
    warn("die with the supervisor", prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0);
    return getppid() == supervisor ? 0 : -ESRCH;
}

static void report_gaps(const struct confine_result *result)
{
    struct confine_gap gap;
    for (size_t cursor = 0; confine_missing(result, &cursor, &gap);)
        log_write(gap.is_not_offered ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
                  "a step of the workers' confinement cannot be taken; going on without",
                  LOG_STR("step", gap.step), LOG_STR("leaves", gap.leaves), LOG_ERRNO(gap.error));
}

/* The files that the settings name, which are read when the request is made. */
static void list_consul_files(const struct config *config, const char *files[6])
{
    static const enum config_id ids[] = {CONFIG_CONSUL_HTTP_TOKEN_FILE, CONFIG_CONSUL_CACERT,
                                         CONFIG_CONSUL_CAPATH, CONFIG_CONSUL_CLIENT_CERT,
                                         CONFIG_CONSUL_CLIENT_KEY};
    size_t count = 0;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        if (config_string(config, ids[i]) != NULL)
            files[count++] = config_string(config, ids[i]);
    files[count] = NULL;
}

int privileges_confine_worker(const struct config *config, enum privileges_use use, bool says_gaps)
{
    const char *files[6] = {NULL};
    if (use == PRIVILEGES_FOR_CONSUL)
        list_consul_files(config, files);
    const struct confine_options options = {
        .role = ROLE_HOOKD,
        .user = config_string(config, CONFIG_HELPER_USER),
        .parent =
            getppid(), /* be_worker() has compared it with hookd's pid after asking for the death signal */
        .names = true, /* a redirect may lead to a name as well */
        .authorities = use != PRIVILEGES_FOR_PROBE,
        .readable = files,
    };
    struct confine_result result = {0};
    int r = confine_apply(&options, &result);
    if (says_gaps)
        report_gaps(&result);
    return r;
}
