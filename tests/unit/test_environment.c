/* The environment of a task: what is kept from it, what it is given, and which of two wins. */
#include "supervisor/environment.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { VARIABLES_MAX = 8 };

struct pair {
    const char *name, *value;
};

/* Makes a task's environment of own (ends with NULL) and of pairs, as one line: entries joined by " | ". */
static void assert_environment(const char *const *own, const struct pair *pairs, size_t count,
                               const char *role, const char *expected)
{
    Bulkhead__Variable variables[VARIABLES_MAX];
    Bulkhead__Variable *pointers[VARIABLES_MAX];
    Bulkhead__Command command = BULKHEAD__COMMAND__INIT;
    cr_assert_leq(count, VARIABLES_MAX);
    for (size_t i = 0; i < count; i++) {
        bulkhead__variable__init(&variables[i]);
        variables[i].name = (char *)(uintptr_t)pairs[i].name;
        variables[i].value = (char *)(uintptr_t)pairs[i].value;
        pointers[i] = &variables[i];
    }
    command.environment = pointers;
    command.n_environment = count;

    char text[1024] = "";
    char **environment =
        environment_for_task((char *const *)(uintptr_t)own, count > 0 ? &command : NULL, role);
    cr_assert_not_null(environment);
    for (char **entry = environment; *entry != NULL; entry++) {
        size_t length = strlen(text);
        snprintf(text + length, sizeof(text) - length, "%s%s", length > 0 ? " | " : "", *entry);
    }
    cr_assert_str_eq(text, expected);
    environment_free(environment);
}

#define OWN(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NOTHING ((const char *const[]){NULL})

Test(environment, passes_on_in_order)
{
    assert_environment(NOTHING, NULL, 0, NULL, "");
    assert_environment(OWN("PATH=/bin", "A=1", "EMPTY=", "B==2=3", "C=a b"), NULL, 0, NULL,
                       "PATH=/bin | A=1 | EMPTY= | B==2=3 | C=a b");
}

Test(environment, keeps_what_is_the_executors)
{
    assert_environment(OWN("A=1", "ALLEGRO_EXECUTOR_DEBUG=true", "CONSUL_TOKEN=s", "VAAS_HOST=h",
                           "VAAS_USERNAME=u", "VAAS_TOKEN=t", "MESOS_EXECUTOR_AUTHENTICATION_TOKEN=j",
                           "ALLEGRO_EXECUTOR_=", "ALLEGRO_EXECUTOR_ANY_THING=x", "Z=2"),
                       NULL, 0, NULL, "A=1 | Z=2");
}

/* Names are names: neither their beginnings nor another case, and values do not count. */
Test(environment, keeps_nothing_else)
{
    assert_environment(OWN("CONSUL_TOKENS=1", "CONSUL=2", "CONSUL_HTTP_TOKEN=3", "VAAS=4", "VAAS_HOST_=5",
                           "consul_token=6", "ALLEGRO_EXECUTOR=7", "XALLEGRO_EXECUTOR_A=8", "MESOS_SANDBOX=9",
                           "X=CONSUL_TOKEN=10", "MESOS_EXECUTOR_AUTHENTICATION_TOKE=11"),
                       NULL, 0, NULL,
                       "CONSUL_TOKENS=1 | CONSUL=2 | CONSUL_HTTP_TOKEN=3 | VAAS=4 | VAAS_HOST_=5 | "
                       "consul_token=6 | ALLEGRO_EXECUTOR=7 | XALLEGRO_EXECUTOR_A=8 | MESOS_SANDBOX=9 | "
                       "X=CONSUL_TOKEN=10 | MESOS_EXECUTOR_AUTHENTICATION_TOKE=11");
}

Test(environment, the_command_wins_in_the_place_of_the_first)
{
    static const struct pair pairs[] = {{"B", "new"}, {"D", "4"}, {"D", "5"}, {"E", ""}};
    assert_environment(OWN("A=1", "B=2", "BB=3"), pairs, COUNT(pairs), NULL, "A=1 | B=new | BB=3 | D=5 | E=");
}

/* What the framework sets for the task is the task's, by whatever name. */
Test(environment, the_command_may_set_what_is_kept)
{
    static const struct pair pairs[] = {{"CONSUL_TOKEN", "mine"}, {"ALLEGRO_EXECUTOR_X", "y"}};
    assert_environment(OWN("CONSUL_TOKEN=secret", "A=1"), pairs, COUNT(pairs), NULL,
                       "A=1 | CONSUL_TOKEN=mine | ALLEGRO_EXECUTOR_X=y");
}

Test(environment, the_role_comes_last_and_wins)
{
    static const struct pair pairs[] = {{"MESOS_ALLOCATION_ROLE", "of the command"}, {"B", "2"}};
    assert_environment(OWN("A=1"), NULL, 0, "web", "A=1 | MESOS_ALLOCATION_ROLE=web");
    assert_environment(OWN("A=1"), NULL, 0, "*", "A=1 | MESOS_ALLOCATION_ROLE=*");
    assert_environment(OWN("MESOS_ALLOCATION_ROLE=own", "A=1"), NULL, 0, NULL,
                       "MESOS_ALLOCATION_ROLE=own | A=1");
    assert_environment(OWN("MESOS_ALLOCATION_ROLE=own", "A=1"), NULL, 0, "web",
                       "MESOS_ALLOCATION_ROLE=web | A=1");
    assert_environment(OWN("A=1"), pairs, COUNT(pairs), "web", "A=1 | MESOS_ALLOCATION_ROLE=web | B=2");
}

Test(environment, one_entry_a_name)
{
    assert_environment(OWN("A=1", "B=2", "A=3", "AB=4", "A=5"), NULL, 0, NULL, "A=5 | B=2 | AB=4");
}

/* An environment may hold anything; what is no variable is left out, and a value may be missing. */
Test(environment, odd_entries)
{
    static const struct pair pairs[] = {{"N", NULL}, {"M", "a=b"}};
    assert_environment(OWN("", "NOTHING", "A=1", "CONSUL_TOKEN", "B=line\nline"), pairs, COUNT(pairs), NULL,
                       "A=1 | B=line\nline | N= | M=a=b");
}

Test(environment, copies_what_it_is_given)
{
    char entry[] = "A=1";
    char *own[] = {entry, NULL};
    char **environment = environment_for_task(own, NULL, NULL);
    entry[2] = '2';
    cr_assert_str_eq(environment[0], "A=1");
    environment_free(environment);
    environment_free(NULL);
}

/* More than its first space holds, and all of them there. */
Test(environment, grows)
{
    enum { MANY = 1000 };
    char *own[MANY + 1];
    for (int i = 0; i < MANY; i++)
        cr_assert_gt(asprintf(&own[i], "V%d=%d", i, i), 0);
    own[MANY] = NULL;
    char **environment = environment_for_task(own, NULL, "web");
    for (int i = 0; i < MANY; i++) {
        cr_assert_str_eq(environment[i], own[i]);
        free(own[i]);
    }
    cr_assert_str_eq(environment[MANY], "MESOS_ALLOCATION_ROLE=web");
    cr_assert_null(environment[MANY + 1]);
    environment_free(environment);
}
