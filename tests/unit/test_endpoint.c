/* Where the agent listens: every form of its environment, and that nothing else becomes a URL. */
#include "common/endpoint.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define PATH "/api/v1/executor"

struct row {
    struct endpoint_source source;
    const char *url; /* NULL: an error whose text contains problem */
    bool numeric;
    const char *problem;
};

static void assert_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct endpoint endpoint = {.url = "untouched"};
        const char *problem = NULL;
        int r = endpoint_make(&rows[i].source, &endpoint, &problem);
        if (rows[i].url != NULL) {
            cr_assert_eq(r, 0, "row %zu", i);
            cr_assert_str_eq(endpoint.url, rows[i].url, "row %zu", i);
            cr_assert_eq(endpoint.numeric_host, rows[i].numeric, "row %zu", i);
            cr_assert_eq(endpoint.domain_socket, rows[i].source.domain_socket, "row %zu", i);
        } else {
            cr_assert_eq(r, -EINVAL, "row %zu", i);
            cr_assert_not_null(strstr(problem, rows[i].problem), "row %zu: %s", i, problem);
            cr_assert_str_eq(endpoint.url, "untouched", "row %zu", i);
        }
    }
}

#define ROWS(rows) rows, sizeof(rows) / sizeof((rows)[0])

Test(endpoint, tcp)
{
    static const struct row rows[] = {
        {{"10.0.0.1:5051", NULL, PATH, false, false}, "http://10.0.0.1:5051/api/v1/executor", true, NULL},
        {{"10.0.0.1:5051", NULL, PATH, false, true}, "https://10.0.0.1:5051/api/v1/executor", true, NULL},
        {{"10.0.0.1:5051", "slave(1)@10.0.0.2:1", PATH, false, false},
         "http://10.0.0.1:5051/api/v1/executor",
         true,
         NULL},
        {{NULL, "slave(1)@10.0.0.2:5052", PATH, false, false},
         "http://10.0.0.2:5052/api/v1/executor",
         true,
         NULL},
        {{"[::1]:5051", NULL, PATH, false, false}, "http://[::1]:5051/api/v1/executor", true, NULL},
        {{"fe80::1:5051", NULL, PATH, false, false}, "http://[fe80::1]:5051/api/v1/executor", true, NULL},
        {{NULL, "slave(1)@[2001:db8::7]:5051", PATH, false, false},
         "http://[2001:db8::7]:5051/api/v1/executor",
         true,
         NULL},
        {{"agent-1.example.com:5051", NULL, PATH, false, false},
         "http://agent-1.example.com:5051/api/v1/executor",
         false,
         NULL},
        {{"10.0.0.1:65535", NULL, "/other/path", false, false},
         "http://10.0.0.1:65535/other/path",
         true,
         NULL},
    };
    assert_rows(ROWS(rows));
}

Test(endpoint, domain_socket_takes_the_agents_name_and_no_tls)
{
    static const struct row rows[] = {
        {{"10.0.0.1:5051", "slave(1)@10.0.0.1:5051", PATH, true, true},
         "http://127.0.0.1:80/slave(1)/api/v1/executor",
         true,
         NULL},
        {{NULL, "slave(12)@whatever", PATH, true, false},
         "http://127.0.0.1:80/slave(12)/api/v1/executor",
         true,
         NULL},
        {{NULL, NULL, PATH, true, false}, NULL, false, "MESOS_SLAVE_PID"},
        {{NULL, "10.0.0.1:5051", PATH, true, false}, NULL, false, "MESOS_SLAVE_PID"},
        {{NULL, "@10.0.0.1:5051", PATH, true, false}, NULL, false, "MESOS_SLAVE_PID"},
        {{NULL, "a/../b@10.0.0.1:5051", PATH, true, false}, NULL, false, "MESOS_SLAVE_PID"},
        {{NULL, "a?b@10.0.0.1:5051", PATH, true, false}, NULL, false, "MESOS_SLAVE_PID"},
    };
    assert_rows(ROWS(rows));
}

Test(endpoint, errors_name_the_setting)
{
    static const struct row rows[] = {
        {{NULL, NULL, PATH, false, false}, NULL, false, "neither MESOS_AGENT_ENDPOINT nor MESOS_SLAVE_PID"},
        {{NULL, "slave(1)", PATH, false, false}, NULL, false, "MESOS_SLAVE_PID"},
        {{NULL, "slave(1)@10.0.0.1", PATH, false, false}, NULL, false, "MESOS_SLAVE_PID"},
        {{"10.0.0.1", NULL, PATH, false, false}, NULL, false, "MESOS_AGENT_ENDPOINT"},
        {{":5051", NULL, PATH, false, false}, NULL, false, "MESOS_AGENT_ENDPOINT"},
        {{"10.0.0.1:", NULL, PATH, false, false}, NULL, false, "MESOS_AGENT_ENDPOINT"},
        {{"10.0.0.1:0", NULL, PATH, false, false}, NULL, false, "MESOS_AGENT_ENDPOINT"},
        {{"10.0.0.1:65536", NULL, PATH, false, false}, NULL, false, "MESOS_AGENT_ENDPOINT"},
        {{"10.0.0.1:5051x", NULL, PATH, false, false}, NULL, false, "MESOS_AGENT_ENDPOINT"},
        {{"10.0.0.1:-1", NULL, PATH, false, false}, NULL, false, "MESOS_AGENT_ENDPOINT"},
        {{"[10.0.0.1]:5051", NULL, PATH, false, false}, NULL, false, "MESOS_AGENT_ENDPOINT"},
        {{"[]:5051", NULL, PATH, false, false}, NULL, false, "MESOS_AGENT_ENDPOINT"},
        {{"user@host:5051", NULL, PATH, false, false}, NULL, false, "MESOS_AGENT_ENDPOINT"},
        {{"host/x:5051", NULL, PATH, false, false}, NULL, false, "MESOS_AGENT_ENDPOINT"},
        {{"ho st:5051", NULL, PATH, false, false}, NULL, false, "MESOS_AGENT_ENDPOINT"},
        {{"host#:5051", NULL, PATH, false, false}, NULL, false, "MESOS_AGENT_ENDPOINT"},
        {{"10.0.0.1:5051", NULL, "api/v1", false, false}, NULL, false, "ALLEGRO_EXECUTOR_API_PATH"},
        {{"10.0.0.1:5051", NULL, "", false, false}, NULL, false, "ALLEGRO_EXECUTOR_API_PATH"},
        {{"10.0.0.1:5051", NULL, NULL, false, false}, NULL, false, "ALLEGRO_EXECUTOR_API_PATH"},
        {{"10.0.0.1:5051", NULL, "/a b", false, false}, NULL, false, "ALLEGRO_EXECUTOR_API_PATH"},
        {{"10.0.0.1:5051", NULL, "/a\r\nX: y", false, false}, NULL, false, "ALLEGRO_EXECUTOR_API_PATH"},
        {{"10.0.0.1:5051", NULL, "/a?b#c", false, false}, NULL, false, "ALLEGRO_EXECUTOR_API_PATH"},
    };
    assert_rows(ROWS(rows));
}

Test(endpoint, nothing_is_cut_to_fit)
{
    char host[400];
    memset(host, 'a', sizeof(host));
    for (size_t length = 250; length <= 260; length++) {
        memcpy(host + length, ":5051", 6);
        struct endpoint endpoint;
        const char *problem;
        struct endpoint_source source = {.agent_endpoint = host, .api_path = PATH};
        int r = endpoint_make(&source, &endpoint, &problem);
        cr_assert_eq(r, length < ENDPOINT_HOST_MAX ? 0 : -EINVAL);
        if (r == 0)
            cr_assert_not_null(strstr(endpoint.url, ":5051" PATH));
        host[length] = 'a';
        memset(host + length, 'a', 6);
    }
    char path[400];
    memset(path, 'p', sizeof(path));
    path[0] = '/';
    for (size_t length = 200; length <= 300; length++) {
        path[length] = '\0';
        char pid[300];
        memset(pid, 'n', sizeof(pid));
        memcpy(pid + 255, "@h:1", 5);
        struct endpoint endpoint;
        const char *problem;
        struct endpoint_source source = {.agent_pid = pid, .api_path = path, .domain_socket = true};
        int r = endpoint_make(&source, &endpoint, &problem);
        if (r == 0)
            cr_assert_str_eq(endpoint.url + strlen(endpoint.url) - length, path);
        else
            cr_assert_geq(length, 256);
        path[length] = 'p';
    }
}
