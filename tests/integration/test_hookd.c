/*
 * The real hookd with a scripted supervisor: executable hooks that do everything wrong, and what must hold
 * all the while.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/loop.h"
#include "tests/integration/hookd_script.h"
#include "tests/send_signal.h"

#define EVENT(name) BULKHEAD__HOOK_RUN__EVENT__##name

TestSuite(hookd, .timeout = 90);

static struct hookd_script *start(void)
{
    return hookd_script_start(true, NULL);
}

/* Runs one event to its end and checks that it fails with text. */
static void expect_failure(struct hookd_script *script, uint32_t job, Bulkhead__HookRun__Event event,
                           int64_t timeout_ms, const char *text)
{
    hookd_script_run(script, job, event, timeout_ms);
    const Bulkhead__HookResult *result = hookd_script_expect_result(script, job);
    cr_assert_not(result->success, "%s", result->text);
    cr_assert_not_null(strstr(result->text, text), "\"%s\" instead of \"%s\"", result->text, text);
    cr_assert_str_eq(result->hook, "executables");
    cr_assert_eq(result->n_environment, 0);
    cr_assert_not(hookd_script_expect_done(script, job));
}

static void expect_success(struct hookd_script *script, uint32_t job, Bulkhead__HookRun__Event event)
{
    hookd_script_run(script, job, event, 15000);
    const Bulkhead__HookResult *result = hookd_script_expect_result(script, job);
    cr_assert(result->success, "%s", result->text);
    cr_assert(hookd_script_expect_done(script, job));
}

/* What must hold after every misbehaviour: nobody is left, and the next job works. */
static void expect_well(struct hookd_script *script)
{
    hookd_script_expect_children(script, 0);
    cr_assert_lt(hookd_script_ping(script), 1000);
    char command[256];
    snprintf(command, sizeof(command), "rm -f %s/hooks/*", script->folder);
    cr_assert_eq(system(command), 0);
    hookd_script_add_hook(script, "good", "#!/bin/sh\nexit 0\n");
    expect_success(script, 9000, EVENT(AFTER_TASK_START));
}

static void expect_misbehaviour(const char *hook, int64_t timeout_ms, const char *text)
{
    struct hookd_script *script = start();
    hookd_script_add_hook(script, "bad", hook);
    expect_failure(script, 1, EVENT(BEFORE_TERMINATE), timeout_ms, text);
    expect_well(script);
    hookd_script_end(script);
}

/* ---- when all is well ---- */

Test(hookd, runs_the_executables_in_the_order_of_their_names_and_takes_their_variables)
{
    struct hookd_script *script = start();
    hookd_script_add_hook(script, "20-second",
                          "#!/bin/sh\necho \"B=$1 $BULKHEAD_EVENT $BULKHEAD_PORTS\"\n"
                          "echo \"D=$BULKHEAD_TASK_ID $BULKHEAD_TASK_NAME $BULKHEAD_HOOK\"\n");
    hookd_script_add_hook(script, "10-first",
                          "#!/bin/sh\nread -r task\necho \"A=$task\"\n\necho C=\necho told >&2\n");
    hookd_script_add_hook(script, ".hidden", "none");
    hookd_script_run(script, 5, EVENT(BEFORE_TASK_START), 10000);
    const Bulkhead__HookResult *result = hookd_script_expect_result(script, 5);
    cr_assert(result->success, "%s", result->text);
    cr_assert_gt(result->duration, 0);
    cr_assert_eq(result->n_environment, 4);
    cr_assert_str_eq(result->environment[0]->name, "A");
    cr_assert_str_eq(result->environment[0]->value,
                     "{\"id\":\"web.1\",\"name\":\"web\",\"labels\":{\"team\":\"a "
                     "\\\"b\\\" ?\"},\"ports\":[{\"number\":31000,\"labels\":{}}]}");
    cr_assert_str_eq(result->environment[1]->name, "C");
    cr_assert_str_eq(result->environment[1]->value, "");
    cr_assert_str_eq(result->environment[2]->value, "BeforeTaskStart BeforeTaskStart 31000");
    cr_assert_str_eq(result->environment[3]->value, "web.1 web 20-second");
    cr_assert(hookd_script_expect_done(script, 5));
    hookd_script_expect_log(script, "10-first: told\n");
    hookd_script_end(script);
}

Test(hookd, shows_what_other_events_print_with_the_hook_before_each_line)
{
    struct hookd_script *script = start();
    hookd_script_add_hook(script, "talk", "#!/bin/sh\nprintf 'one\\033[31m\\ntwo'\nprintf 'three\\n' >&2\n");
    expect_success(script, 1, EVENT(AFTER_TASK_HEALTHY));
    hookd_script_expect_log(script, "talk: one\\x1b[31m\n");
    hookd_script_expect_log(script, "talk: two\n");
    hookd_script_expect_log(script, "talk: three\n");
    hookd_script_end(script);
}

Test(hookd, is_done_at_once_where_no_hook_applies)
{
    struct hookd_script *script = hookd_script_start(false, NULL);
    hookd_script_run(script, 1, EVENT(BEFORE_TERMINATE), 1000);
    cr_assert(hookd_script_expect_done(script, 1));
    hookd_script_end(script);
}

/* ---- how executables fail ---- */

Test(hookd, tells_an_exit_code)
{
    expect_misbehaviour("#!/bin/sh\nexit 3\n", 10000, "bad exited with code 3");
}

Test(hookd, tells_a_signal)
{
    expect_misbehaviour("#!/bin/sh\nkill -SEGV $$\n", 10000, "bad killed by signal 11 (Segmentation fault)");
}

Test(hookd, ends_one_that_hangs)
{
    expect_misbehaviour("#!/bin/sh\nsleep 1000\n", 700, "bad timed out after 700ms");
}

Test(hookd, ends_one_that_ignores_sigterm_and_is_busy)
{
    expect_misbehaviour("#!/bin/sh\ntrap '' TERM HUP INT\nwhile :; do :; done\n", 500,
                        "bad timed out after 500ms");
}

Test(hookd, limits_memory)
{
#ifndef BULKHEAD_SANITIZE
    expect_misbehaviour("#!/bin/sh\nhead -c 800000000 /dev/zero | tail -n 2 >/dev/null || exit 1\n"
                        "exit 9\n",
                        20000, "bad exited with code 1");
#endif
}

Test(hookd, limits_descriptors)
{
    expect_misbehaviour(
        "#!/bin/bash\nfor i in $(seq 3 300); do eval \"exec $i</dev/null\" || exit 7; done\nexit 0\n", 20000,
        "bad exited with code");
}

Test(hookd, ends_a_flood_of_output)
{
    expect_misbehaviour("#!/bin/sh\nexec yes flood\n", 20000, "bad printed more than it may; killed");
}

Test(hookd, kills_what_is_left_in_the_background)
{
    expect_misbehaviour("#!/bin/sh\nsetsid sleep 1000 &\n(setsid sleep 1001 &)\nexit 4\n", 10000,
                        "bad exited with code 4");
}

Test(hookd, kills_what_a_good_one_has_left_behind_too)
{
    struct hookd_script *script = start();
    hookd_script_add_hook(script, "daemon",
                          "#!/bin/sh\n(setsid sleep 1000 </dev/null >/dev/null 2>&1 &)\nexit 0\n");
    expect_success(script, 1, EVENT(AFTER_TASK_START));
    expect_well(script);
    hookd_script_end(script);
}

Test(hookd, ends_a_fork_storm)
{
    /* Four chains whose processes live a millisecond each; they end by themselves after half a minute. */
    expect_misbehaviour("#!/bin/sh\nexec " TEST_HELPER_DIR "/fork_storm 4\n", 700,
                        "bad timed out after 700ms");
}

Test(hookd, names_a_line_that_is_no_variable)
{
    struct hookd_script *script = start();
    hookd_script_add_hook(script, "lines", "#!/bin/sh\necho GOOD=1\necho nothing here\n");
    expect_failure(script, 1, EVENT(BEFORE_TASK_START), 10000, "lines line 2 (nothing here) has no '='");
    hookd_script_add_hook(script, "lines", "#!/bin/sh\necho 1A=secret\n");
    expect_failure(script, 2, EVENT(BEFORE_TASK_START), 10000, "line 1 (1A=...) has no name of a variable");
    hookd_script_add_hook(script, "lines", "#!/bin/sh\nyes A=1\n");
    expect_failure(script, 3, EVENT(BEFORE_TASK_START), 10000, "printed more than it may");
    expect_well(script);
    hookd_script_end(script);
}

Test(hookd, refuses_files_that_are_not_to_be_trusted)
{
    struct hookd_script *script = start();
    char path[256];
    hookd_script_add_hook(script, "file", "#!/bin/sh\n");
    snprintf(path, sizeof(path), "%s/hooks/file", script->folder);
    static const struct {
        mode_t mode;
        const char *text;
    } modes[] = {{0644, "file refused: it is not executable"},
                 {0775, "file refused: it is writable by its group"},
                 {0757, "file refused: it is writable by others"}};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        cr_assert_eq(chmod(path, modes[i].mode), 0);
        expect_failure(script, 1, EVENT(AFTER_TASK_START), 10000, modes[i].text);
    }
    unlink(path);
    cr_assert_eq(symlink("/bin/true", path), 0);
    expect_failure(script, 1, EVENT(AFTER_TASK_START), 10000, "it is not a regular file");
    unlink(path);
    if (geteuid() == 0) {
        hookd_script_add_hook(script, "file", "#!/bin/sh\n");
        cr_assert_eq(chown(path, 12345, 0), 0);
        expect_failure(script, 1, EVENT(AFTER_TASK_START), 10000, "belongs to somebody else");
        unlink(path);
    }
    hookd_script_add_hook(script, "file", "#!/nowhere/at/all\n");
    expect_failure(script, 1, EVENT(AFTER_TASK_START), 10000, "file cannot be started: No such file");
    snprintf(path, sizeof(path), "%s/hooks", script->folder);
    cr_assert_eq(chmod(path, 0777), 0);
    expect_failure(script, 1, EVENT(AFTER_TASK_START), 10000, "hooks is writable by others");
    cr_assert_eq(chmod(path, 0755), 0);
    expect_well(script);
    hookd_script_end(script);
}

Test(hookd, goes_on_after_a_failure_before_the_end_only)
{
    struct hookd_script *script = start();
    hookd_script_add_hook(script, "1", "#!/bin/sh\nexit 1\n");
    hookd_script_add_hook(script, "2", "#!/bin/sh\necho ran for $1\n");
    expect_failure(script, 1, EVENT(AFTER_TASK_START), 10000, "1 exited with code 1");
    expect_failure(script, 2, EVENT(BEFORE_TERMINATE), 10000, "1 exited with code 1");
    hookd_script_expect_log(script, "2: ran for BeforeTerminate");
    char *log = hookd_script_log(script);
    cr_assert_null(strstr(log, "ran for AfterTaskStart"));
    free(log);
    hookd_script_end(script);
}

Test(hookd, runs_hooks_as_another_user_when_told_to)
{
    if (geteuid() != 0)
        cr_skip_test("only root can become somebody else");
    const char *const extra[] = {"ALLEGRO_EXECUTOR_HOOKS_USER=nobody", NULL};
    struct hookd_script *script = hookd_script_start(true, extra);
    hookd_script_add_hook(script, "who", "#!/bin/sh\necho \"WHO=$(id -u) $(id -G)\"\n");
    hookd_script_run(script, 1, EVENT(BEFORE_TASK_START), 10000);
    const Bulkhead__HookResult *result = hookd_script_expect_result(script, 1);
    cr_assert(result->success, "%s", result->text);
    cr_assert_str_eq(result->environment[0]->value, "65534 65534");
    hookd_script_end(script);
}

Test(hookd, gives_executables_no_descriptor_and_no_secret)
{
    const char *const extra[] = {"CONSUL_TOKEN=not-for-hooks", NULL};
    struct hookd_script *script = hookd_script_start(true, extra);
    hookd_script_add_hook(
        script, "look",
        "#!/bin/sh\nfor i in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$i ] && echo \"OPEN_$i=1\"; done\n"
        "echo \"E=$(env | cut -d= -f1 | sort | tr '\\n' ' ')\"\n");
    hookd_script_run(script, 1, EVENT(BEFORE_TASK_START), 10000);
    const Bulkhead__HookResult *result = hookd_script_expect_result(script, 1);
    cr_assert(result->success, "%s", result->text);
    cr_assert_str_eq(result->environment[0]->name, "E");
    cr_assert_str_eq(result->environment[0]->value,
                     "BULKHEAD_EVENT BULKHEAD_HOOK BULKHEAD_PORTS BULKHEAD_TASK_ID "
                     "BULKHEAD_TASK_NAME PATH PWD ");
    hookd_script_end(script);
}

/* ---- jobs ---- */

Test(hookd, runs_jobs_beside_each_other_and_answers_meanwhile)
{
    struct hookd_script *script = start();
    hookd_script_add_hook(script, "wait", "#!/bin/sh\n[ $1 = AfterTaskStart ] && sleep 1000\nexit 0\n");
    hookd_script_run(script, 1, EVENT(AFTER_TASK_START), 60000);
    hookd_script_run(script, 2, EVENT(AFTER_TASK_START), 60000);
    hookd_script_expect_children(script, 2);
    expect_success(script, 3, EVENT(AFTER_TASK_HEALTHY));
    cr_assert_lt(hookd_script_ping(script), 1000);
    cr_assert_not(hookd_script_has(script, 1));
    cr_assert_not(hookd_script_has(script, 2));
    hookd_script_cancel(script, 1);
    hookd_script_cancel(script, 2);
    hookd_script_cancel(script, 77); /* none of its jobs, any more */
    hookd_script_expect_children(script, 0);
    expect_success(script, 4, EVENT(AFTER_TASK_HEALTHY));
    cr_assert_not(hookd_script_has(script, 1), "something was said of a cancelled job");
    cr_assert_not(hookd_script_has(script, 2), "something was said of a cancelled job");
    hookd_script_end(script);
}

Test(hookd, a_hook_has_its_own_timeout)
{
    const char *const extra[] = {"ALLEGRO_EXECUTOR_HOOK_TIMEOUT=600ms", NULL};
    struct hookd_script *script = hookd_script_start(true, extra);
    hookd_script_add_hook(script, "hang", "#!/bin/sh\nsleep 1000\n");
    expect_failure(script, 1, EVENT(AFTER_TASK_START), 60000, "hang timed out after 600ms");
    expect_failure(script, 2, EVENT(AFTER_TASK_START), 0, "hang timed out after 600ms");
    hookd_script_end(script);
}

/* What the worker itself cannot tell: it is stopped, or gone. */
static pid_t find_worker(struct hookd_script *script)
{
    char path[64];
    int pid = 0;
    hookd_script_expect_children(script, 1);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)script->pid, (int)script->pid);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%d", &pid), 1);
    fclose(file);
    cr_assert_gt(pid, 1);
    return pid;
}

Test(hookd, survives_whatever_happens_to_a_worker)
{
    static const struct {
        int signal;
        const char *text;
    } cases[] = {{SIGKILL, "killed by signal 9 (Killed)"},
                 {SIGSEGV, "killed by signal 11 (Segmentation fault)"},
                 {SIGSTOP, "timed out after 1s"}};
    struct hookd_script *script = start();
    hookd_script_add_hook(script, "hang",
                          "#!/bin/sh\ntrap '' TERM\n(setsid sleep 1000 &)\nwhile :; do sleep 100; done\n");
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hookd_script_run(script, i + 1, EVENT(AFTER_TASK_START), cases[i].signal == SIGSTOP ? 1000 : 60000);
        send_signal(find_worker(script), cases[i].signal);
        const Bulkhead__HookResult *result = hookd_script_expect_result(script, i + 1);
        cr_assert_not(result->success);
        cr_assert_str_eq(result->text, cases[i].text);
        cr_assert_not(hookd_script_expect_done(script, i + 1));
        hookd_script_expect_children(script, 0);
    }
    expect_well(script);
    hookd_script_end(script);
}

Test(hookd, leaves_nothing_behind_when_its_supervisor_is_gone)
{
    struct hookd_script *script = start();
    hookd_script_add_hook(script, "hang",
                          "#!/bin/sh\ntrap '' TERM\n(setsid sleep 1000 &)\nwhile :; do sleep 100; done\n");
    hookd_script_run(script, 1, EVENT(AFTER_TASK_START), 60000);
    hookd_script_run(script, 2, EVENT(AFTER_TASK_START), 60000);
    hookd_script_expect_children(script, 2);
    hookd_script_end(script); /* which looks for what is left */
}

Test(hookd, ends_on_a_message_that_makes_no_sense)
{
    struct hookd_script *script = start();
    hookd_script_add_hook(script, "hang", "#!/bin/sh\nsleep 1000\n");
    hookd_script_run(script, 1, EVENT(AFTER_TASK_START), 60000);
    hookd_script_run(script, 1, EVENT(AFTER_TASK_START), 60000);
    while (!script->closed)
        hookd_script_pump(script, 20);
    hookd_script_expect_log(script, "HOOK_RUN");
    cr_assert_gt(script->pid, 1);
}
