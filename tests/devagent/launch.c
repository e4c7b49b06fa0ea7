/* The executor's surroundings as an agent makes them: sandbox, token, environment (Slave::executorEnvironment
 * in src/slave/slave.cpp and what the containerizer adds), its start, and the end of its container. */
#include "tests/devagent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- sandbox ---- */

static int make_folders(char *path, size_t from)
{
    for (char *slash = path + from; slash; slash = strchr(slash + 1, '/')) {
        char was = *slash;
        *slash = '\0';
        int r = mkdir(path, 0755);
        *slash = was;
        if (r < 0 && errno != EEXIST)
            return -errno;
    }
    return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int give_to_user(const struct devagent *agent)
{
    if (!agent->options.user)
        return 0;
    const struct passwd *entry = getpwnam(agent->options.user);
    if (!entry)
        return -ENOENT;
    return chown(agent->sandbox, entry->pw_uid, entry->pw_gid) < 0 ? -errno : 0;
}

static int make_sandbox(struct devagent *agent)
{
    const char *temporary = getenv("TMPDIR");
    agent->root = agent_format("%s/devagent-XXXXXX", temporary && temporary[0] ? temporary : "/tmp");
    if (!mkdtemp(agent->root)) {
        int error = -errno;
        free(agent->root);
        agent->root = NULL;
        return error;
    }
    if (chmod(agent->root, 0755) < 0)
        return -errno;
    /* Real agents' paths are as long as this: no unix socket's address has room for one. */
    agent->sandbox =
        agent->options.long_sandbox
            ? agent_format("%s/slaves/%s/frameworks/%s/executors/%s/runs/%s", agent->root, agent->agent_id,
                           agent->framework_id, agent->executor_id, agent->container_id)
            : agent_format("%s/sandbox", agent->root);
    int r = make_folders(agent->sandbox, strlen(agent->root) + 1);
    return r < 0 ? r : give_to_user(agent);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)where;
    (void)(kind == FTW_DP ? rmdir(path) : unlink(path));
    return 0;
}

void launch_remove_tree(const char *root)
{
    nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void launch_clean(struct devagent *agent)
{
    if (agent->root && !agent->options.keep_sandbox)
        launch_remove_tree(agent->root);
    list_clear(&agent->environment, free);
    free(agent->root);
    free(agent->sandbox);
    free(agent->token);
}

/* ---- token ---- */

/* Shaped like the JWT of an agent, claims included; the signature is random and compared as it is. */
static int make_token(struct devagent *agent)
{
    uint8_t noise[32];
    if (agent->options.jwt == DEVAGENT_JWT_NONE)
        return 0;
    if (getrandom(noise, sizeof(noise), 0) != (ssize_t)sizeof(noise))
        return -EIO;
    static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    char *claims = agent_format("{\"cid\":\"%s\",\"eid\":\"%s\",\"fid\":\"%s\"}", agent->container_id,
                                agent->executor_id, agent->framework_id);
    char *first = base64url_encode(head, strlen(head)), *second = base64url_encode(claims, strlen(claims));
    char *third = base64url_encode(noise, sizeof(noise));
    agent->token = agent_format("%s.%s.%s", first, second, third);
    free(claims);
    free(first);
    free(second);
    free(third);
    return 0;
}

/* ---- environment ---- */

/* One entry a name; a later one takes the place of the earlier. */
static void set_entry(struct devagent *agent, char *entry)
{
    size_t name = strcspn(entry, "=") + 1;
    for (size_t i = 0; i < agent->environment.count; i++) {
        if (strncmp(agent->environment.items[i], entry, name) == 0) {
            free(agent->environment.items[i]);
            agent->environment.items[i] = entry;
            return;
        }
    }
    list_add(&agent->environment, entry);
}

__attribute__((format(printf, 3, 4))) static void set(struct devagent *agent, const char *name,
                                                      const char *format, ...)
{
    va_list args;
    char *value;
    va_start(args, format);
    if (vasprintf(&value, format, args) < 0)
        abort();
    va_end(args);
    set_entry(agent, agent_format("%s=%s", name, value));
    free(value);
}

static void set_list(struct devagent *agent, const char *const *entries)
{
    for (size_t i = 0; entries && entries[i]; i++)
        set_entry(agent, agent_copy(entries[i]));
}

static void set_duration(struct devagent *agent, const char *name, int64_t span_ms)
{
    char *text = duration_print(span_ms);
    set(agent, name, "%s", text);
    free(text);
}

static int set_tls(struct devagent *agent)
{
    char *path = agent_format("%s/ca.pem", agent->root);
    FILE *file = fopen(path, "we");
    bool written = file && fputs(tls_material_certificate, file) >= 0;
    if (file)
        written = fclose(file) == 0 && written;
    set(agent, "LIBPROCESS_SSL_ENABLED", "true");
    set(agent, "LIBPROCESS_SSL_VERIFY_SERVER_CERT", "true");
    set(agent, "LIBPROCESS_SSL_CA_FILE", "%s", path);
    free(path);
    return written ? 0 : -EIO;
}

static int make_environment(struct devagent *agent)
{
    const struct devagent_options *options = &agent->options;
    set(agent, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    set(agent, "LIBPROCESS_IP", "127.0.0.1");
    set_list(agent, options->environment);
    set(agent, "LIBPROCESS_PORT", "0");
    int r = options->tls ? set_tls(agent) : 0;
    set(agent, "MESOS_FRAMEWORK_ID", "%s", agent->framework_id);
    set(agent, "MESOS_EXECUTOR_ID", "%s", agent->executor_id);
    set(agent, "MESOS_DIRECTORY", "%s", agent->sandbox);
    set(agent, "MESOS_SANDBOX", "%s", agent->sandbox);
    set(agent, "MESOS_SLAVE_ID", "%s", agent->agent_id);
    set(agent, "MESOS_SLAVE_PID", "slave(1)@127.0.0.1:%u", agent->port);
    set(agent, "MESOS_AGENT_ENDPOINT", "127.0.0.1:%u", agent->port);
    set(agent, "MESOS_CHECKPOINT", "%d", options->checkpoint);
    set(agent, "MESOS_HTTP_COMMAND_EXECUTOR", "0");
    set_duration(agent, "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", options->shutdown_grace_ms);
    if (options->checkpoint) {
        set_duration(agent, "MESOS_RECOVERY_TIMEOUT", options->recovery_timeout_ms);
        set_duration(agent, "MESOS_SUBSCRIPTION_BACKOFF_MAX", options->reregistration_timeout_ms);
    }
    if (agent->socket_path)
        set(agent, "MESOS_DOMAIN_SOCKET", "%s", agent->socket_path);
    if (agent->token)
        set(agent, "MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "%s", agent->token);
    set_list(agent, options->command_environment);
    list_add(&agent->environment, NULL);
    agent->environment.count--; /* the NULL ends it, and is no entry */
    return r;
}

/* ---- start and end ---- */

static void put_quoted(FILE *out, const char *word)
{
    fputs(" '", out);
    for (; *word; word++) {
        if (*word == '\'')
            fputs("'\\''", out);
        else
            fputc(*word, out);
    }
    fputc('\'', out);
}

char *launch_line(const char *const *argv)
{
    char *absolute = argv[0] && strchr(argv[0], '/') ? realpath(argv[0], NULL) : NULL;
    char *line;
    size_t len;
    FILE *out = open_memstream(&line, &len);
    if (!out)
        abort();
    fputs("exec", out);
    for (size_t i = 0; argv[i]; i++)
        put_quoted(out, i == 0 && absolute ? absolute : argv[i]);
    fclose(out);
    free(absolute);
    return line;
}

static int open_output(const struct devagent *agent, const char *name)
{
    char *path = agent_format("%s/%s", agent->sandbox, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int error = -errno;
    free(path);
    if (fd < 0)
        return error;
    const struct passwd *entry = agent->options.user ? getpwnam(agent->options.user) : NULL;
    if (entry && fchown(fd, entry->pw_uid, entry->pw_gid) < 0) {
        close(fd);
        return -EPERM;
    }
    return fd;
}

static void registration_over(struct devagent *agent, void *arg)
{
    (void)arg;
    if (!agent->ever_registered)
        launch_destroy_container(agent, "it had not subscribed when the registration timeout was over");
}

static int open_container(struct devagent *agent)
{
    struct container_plan plan = {
        .command = agent->options.executor_command,
        .environment = devagent_environment(agent),
        .directory = agent->sandbox,
        .user = agent->options.user,
        .root = agent->options.keep_sandbox ? NULL : agent->root,
        .stdout_fd = open_output(agent, "stdout"),
        .stderr_fd = open_output(agent, "stderr"),
    };
    int r = plan.stdout_fd < 0 ? plan.stdout_fd : plan.stderr_fd;
    if (r >= 0)
        r = container_open(&agent->container, &plan);
    if (plan.stdout_fd >= 0)
        close(plan.stdout_fd);
    if (plan.stderr_fd >= 0)
        close(plan.stderr_fd);
    return r;
}

int launch_prepare(struct devagent *agent)
{
    int r = make_sandbox(agent);
    if (r >= 0)
        r = agent_bind(agent);
    if (r >= 0)
        r = make_token(agent);
    if (r >= 0)
        r = make_environment(agent);
    return r < 0 ? r : open_container(agent);
}

const char *const *devagent_environment(const struct devagent *agent)
{
    return (const char *const *)agent->environment.items;
}

int devagent_start_executor(struct devagent *agent)
{
    if (!agent->options.executor_command)
        return -EINVAL;
    if (agent->container.executor != 0)
        return -EALREADY;
    int r = container_start(&agent->container);
    if (r < 0)
        return r;
    agent_say(agent, "the executor is started, pid %d", (int)agent->container.executor);
    agent_after(agent, agent->options.registration_timeout_ms, registration_over, NULL);
    return 0;
}

void launch_destroy_container(struct devagent *agent, const char *why)
{
    bool lives = agent->container.executor > 0 && agent->container.wait_status == -1;
    if (agent->options.never_destroy || agent->destroyed || !lives)
        return;
    agent->destroyed = why;
    agent_say(agent, "the executor's container is destroyed: %s", why);
    container_sweep(&agent->container);
}
