/* The event loop: what is called, in which order, and what a call may do to the loop itself. */
#include "common/loop.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 64 };

/* Who was called, as letters. */
struct scene {
    struct loop *loop;
    char calls[MOST + 1];
    size_t count;
    struct loop_timer timers[8];
    int pipes[8][2];
};

/* One watch or timer of a scene. */
struct actor {
    struct scene *scene;
    char name;
    int other; /* whom it acts upon */
    short events;
};

static void note(struct scene *scene, char name)
{
    if (scene->count < MOST)
        scene->calls[scene->count++] = name;
}

static void scene_open(struct scene *scene)
{
    memset(scene, 0, sizeof(*scene));
    cr_assert_eq(loop_new(&scene->loop), 0);
    for (size_t i = 0; i < sizeof(scene->pipes) / sizeof(scene->pipes[0]); i++)
        cr_assert_eq(pipe2(scene->pipes[i], O_CLOEXEC), 0);
}

static void scene_close(struct scene *scene)
{
    loop_free(scene->loop);
}

static void say(struct scene *scene, int pipe)
{
    cr_assert_eq(write(scene->pipes[pipe][1], "x", 1), 1);
}

static void hear(void *arg, int descriptor, short events)
{
    struct actor *actor = arg;
    char byte;
    actor->events = events;
    cr_assert_eq(read(descriptor, &byte, 1), 1);
    note(actor->scene, actor->name);
}

static void fire(void *arg)
{
    struct actor *actor = arg;
    note(actor->scene, actor->name);
}

static void fire_and_stop(void *arg)
{
    fire(arg);
    loop_stop(((struct actor *)arg)->scene->loop);
}

Test(loop, now_goes_on_and_is_never_zero, .timeout = 10)
{
    int64_t first = loop_now();
    cr_assert_gt(first, 0);
    while (loop_now() == first)
        continue;
    cr_assert_gt(loop_now(), first);
}

Test(loop, timers_fire_in_order_and_ties_as_armed, .timeout = 10)
{
    struct scene scene;
    scene_open(&scene);
    static const struct {
        char name;
        int64_t at;
    } rows[] = {{'d', 40}, {'a', 10}, {'c', 30}, {'b', 10}, {'e', INT64_MIN}, {'f', -5}};
    struct actor actors[6];
    for (size_t i = 0; i < 6; i++) {
        actors[i] = (struct actor){.scene = &scene, .name = rows[i].name};
        loop_timer_init(&scene.timers[i], fire, &actors[i]);
        cr_assert_eq(scene.timers[i].at, LOOP_NEVER);
        loop_timer_arm(scene.loop, &scene.timers[i], rows[i].at);
        cr_assert_neq(scene.timers[i].at, LOOP_NEVER);
    }
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "efabcd");
    for (size_t i = 0; i < 6; i++)
        cr_assert_eq(scene.timers[i].at, LOOP_NEVER, "fires once");
    scene_close(&scene);
}

Test(loop, a_timer_does_not_fire_before_its_time, .timeout = 10)
{
    struct scene scene;
    scene_open(&scene);
    struct actor actor = {.scene = &scene, .name = 'a'};
    loop_timer_init(&scene.timers[0], fire, &actor);
    for (int i = 0; i < 20; i++) {
        int64_t at = loop_now() + 2 * LOOP_MS;
        loop_timer_arm(scene.loop, &scene.timers[0], at);
        size_t before = scene.count;
        while (scene.count == before)
            cr_assert_eq(loop_once(scene.loop), 0);
        cr_assert_geq(loop_now(), at);
    }
    scene_close(&scene);
}

Test(loop, a_timer_is_moved_and_disarmed, .timeout = 10)
{
    struct scene scene;
    scene_open(&scene);
    struct actor actors[] = {
        {.scene = &scene, .name = 'a'}, {.scene = &scene, .name = 'b'}, {.scene = &scene, .name = 'c'}};
    for (size_t i = 0; i < 3; i++) {
        loop_timer_init(&scene.timers[i], fire, &actors[i]);
        loop_timer_arm(scene.loop, &scene.timers[i], (int64_t)i + 1);
    }
    loop_timer_arm(scene.loop, &scene.timers[0], 10);
    loop_timer_disarm(scene.loop, &scene.timers[1]);
    loop_timer_disarm(scene.loop, &scene.timers[1]);
    cr_assert_eq(scene.timers[1].at, LOOP_NEVER);
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "ca");
    scene_close(&scene);
}

static void fire_and_rearm(void *arg)
{
    struct actor *actor = arg;
    fire(arg);
    loop_timer_arm(actor->scene->loop, &actor->scene->timers[actor->other], 1);
}

/* One that is always due must keep neither the other timers nor the descriptors from their turn. */
Test(loop, a_timer_that_rearms_itself_in_the_past_starves_nobody, .timeout = 10)
{
    struct scene scene;
    scene_open(&scene);
    struct actor greedy = {.scene = &scene, .name = 'g', .other = 0};
    struct actor modest = {.scene = &scene, .name = 'm'};
    struct actor heard = {.scene = &scene, .name = 'h'};
    loop_timer_init(&scene.timers[0], fire_and_rearm, &greedy);
    loop_timer_init(&scene.timers[1], fire, &modest);
    loop_timer_arm(scene.loop, &scene.timers[0], 1);
    loop_timer_arm(scene.loop, &scene.timers[1], 2);
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "gm");
    cr_assert_eq(loop_watch(scene.loop, scene.pipes[0][0], POLLIN, hear, &heard), 0);
    say(&scene, 0);
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "gmhg");
    scene_close(&scene);
}

static void fire_and_disarm(void *arg)
{
    struct actor *actor = arg;
    fire(arg);
    loop_timer_disarm(actor->scene->loop, &actor->scene->timers[actor->other]);
}

Test(loop, a_due_timer_can_be_disarmed_by_another, .timeout = 10)
{
    struct scene scene;
    scene_open(&scene);
    struct actor first = {.scene = &scene, .name = 'a', .other = 1};
    struct actor second = {.scene = &scene, .name = 'b'};
    loop_timer_init(&scene.timers[0], fire_and_disarm, &first);
    loop_timer_init(&scene.timers[1], fire, &second);
    loop_timer_arm(scene.loop, &scene.timers[0], 1);
    loop_timer_arm(scene.loop, &scene.timers[1], 2);
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "a");
    scene_close(&scene);
}

Test(loop, every_ready_descriptor_is_called, .timeout = 10)
{
    struct scene scene;
    scene_open(&scene);
    struct actor actors[8];
    for (int i = 0; i < 8; i++) {
        actors[i] = (struct actor){.scene = &scene, .name = (char)('a' + i)};
        cr_assert_eq(loop_watch(scene.loop, scene.pipes[i][0], POLLIN, hear, &actors[i]), 0);
        if (i % 2 == 0)
            say(&scene, i);
    }
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "aceg");
    cr_assert_eq(actors[0].events, POLLIN);
    for (int i = 0; i < 8; i++)
        say(&scene, i);
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "acegabcdefgh");
    scene_close(&scene);
}

Test(loop, watching_again_changes_events_and_function, .timeout = 10)
{
    struct scene scene;
    scene_open(&scene);
    struct actor first = {.scene = &scene, .name = 'a'}, second = {.scene = &scene, .name = 'b'};
    struct actor timer = {.scene = &scene, .name = 't'};
    loop_timer_init(&scene.timers[0], fire, &timer);
    cr_assert_eq(loop_watch(scene.loop, scene.pipes[0][0], POLLIN, hear, &first), 0);
    cr_assert_eq(loop_watch(scene.loop, scene.pipes[0][0], POLLIN, hear, &second), 0);
    say(&scene, 0);
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "b");

    cr_assert_eq(loop_watch(scene.loop, scene.pipes[0][0], 0, hear, &second), 0);
    say(&scene, 0);
    loop_timer_arm(scene.loop, &scene.timers[0], 1);
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "bt", "no events are wanted, and nothing has hung up");
    close(scene.pipes[0][1]);
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "btb");
    cr_assert_neq(second.events & POLLHUP, 0);
    scene_close(&scene);
}

static void hear_and_unwatch(void *arg, int descriptor, short events)
{
    struct actor *actor = arg;
    hear(arg, descriptor, events);
    loop_unwatch(actor->scene->loop, actor->scene->pipes[actor->other][0]);
}

Test(loop, what_is_unwatched_from_within_is_not_called, .timeout = 10)
{
    for (int other = 0; other < 3; other++) { /* itself, the next, the last */
        struct scene scene;
        scene_open(&scene);
        struct actor actors[] = {{.scene = &scene, .name = 'a', .other = other},
                                 {.scene = &scene, .name = 'b'},
                                 {.scene = &scene, .name = 'c'}};
        for (int i = 0; i < 3; i++) {
            loop_descriptor_fn ready = i == 0 ? hear_and_unwatch : hear;
            cr_assert_eq(loop_watch(scene.loop, scene.pipes[i][0], POLLIN, ready, &actors[i]), 0);
            say(&scene, i);
            say(&scene, i);
        }
        cr_assert_eq(loop_once(scene.loop), 0);
        cr_assert_eq(loop_once(scene.loop), 0);
        static const char *const expected[] = {"abcbc", "acac", "abab"};
        cr_assert_str_eq(scene.calls, expected[other]);
        loop_unwatch(scene.loop, 9999);
        scene_close(&scene);
    }
}

static struct actor reopened;

/* Closes another descriptor and opens one that gets its number: the events of the old are not the new one's.
 */
static void hear_and_reopen(void *arg, int descriptor, short events)
{
    struct actor *actor = arg;
    struct scene *scene = actor->scene;
    hear(arg, descriptor, events);
    int number = scene->pipes[actor->other][0];
    loop_unwatch(scene->loop, number);
    cr_assert_eq(dup2(scene->pipes[7][0], number), number);
    cr_assert_eq(loop_watch(scene->loop, number, POLLIN, hear, &reopened), 0);
}

Test(loop, a_reused_number_is_another_descriptor, .timeout = 10)
{
    struct scene scene;
    scene_open(&scene);
    struct actor first = {.scene = &scene, .name = 'a', .other = 1}, second = {.scene = &scene, .name = 'b'};
    reopened = (struct actor){.scene = &scene, .name = 'n'};
    cr_assert_eq(loop_watch(scene.loop, scene.pipes[0][0], POLLIN, hear_and_reopen, &first), 0);
    cr_assert_eq(loop_watch(scene.loop, scene.pipes[1][0], POLLIN, hear, &second), 0);
    say(&scene, 0);
    say(&scene, 1);
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "a", "neither the old one's function nor the new one's");
    say(&scene, 7);
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "an");
    scene_close(&scene);
}

static struct actor crowd[8];

static void hear_and_watch_more(void *arg, int descriptor, short events)
{
    struct actor *actor = arg;
    hear(arg, descriptor, events);
    for (int i = 2; i < 8; i++)
        cr_assert_eq(loop_watch(actor->scene->loop, actor->scene->pipes[i][0], POLLIN, hear, &crowd[i]), 0);
    for (int i = 0; i < 40; i++) /* the table has to move */
        cr_assert_eq(loop_watch(actor->scene->loop, dup(actor->scene->pipes[7][0]), 0, hear, &crowd[7]), 0);
}

Test(loop, a_table_that_grows_from_within_loses_nothing, .timeout = 10)
{
    struct scene scene;
    scene_open(&scene);
    for (int i = 0; i < 8; i++) {
        crowd[i] = (struct actor){.scene = &scene, .name = (char)('a' + i)};
        say(&scene, i);
    }
    cr_assert_eq(loop_watch(scene.loop, scene.pipes[0][0], POLLIN, hear_and_watch_more, &crowd[0]), 0);
    cr_assert_eq(loop_watch(scene.loop, scene.pipes[1][0], POLLIN, hear, &crowd[1]), 0);
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "ab");
    cr_assert_eq(loop_once(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "abcdefgh");
    scene_close(&scene);
}

static void hear_and_stop(void *arg, int descriptor, short events)
{
    hear(arg, descriptor, events);
    loop_stop(((struct actor *)arg)->scene->loop);
}

Test(loop, stop_ends_the_run_and_loses_no_event, .timeout = 10)
{
    struct scene scene;
    scene_open(&scene);
    struct actor actors[] = {
        {.scene = &scene, .name = 'a'}, {.scene = &scene, .name = 'b'}, {.scene = &scene, .name = 't'}};
    cr_assert_eq(loop_watch(scene.loop, scene.pipes[0][0], POLLIN, hear_and_stop, &actors[0]), 0);
    cr_assert_eq(loop_watch(scene.loop, scene.pipes[1][0], POLLIN, hear, &actors[1]), 0);
    loop_timer_init(&scene.timers[0], fire_and_stop, &actors[2]);
    loop_timer_arm(scene.loop, &scene.timers[0], 1);
    say(&scene, 0);
    say(&scene, 1);
    cr_assert_eq(loop_run(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "a");
    cr_assert_eq(loop_run(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "abt");
    scene_close(&scene);
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
}

Test(loop, a_signal_is_no_error, .timeout = 10)
{
    struct scene scene;
    scene_open(&scene);
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGUSR1, &action, NULL);
    /* Pending when ppoll() begins would need its mask; here it comes while the loop waits for a child's word.
     */
    pid_t parent = getpid();
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        for (int i = 0; i < 100; i++) {
            kill(parent, SIGUSR1);
            const struct timespec pause = {.tv_nsec = 1000000};
            nanosleep(&pause, NULL);
        }
        _exit(write(scene.pipes[0][1], "x", 1) == 1 ? 0 : 1);
    }
    struct actor actor = {.scene = &scene, .name = 'a'};
    cr_assert_eq(loop_watch(scene.loop, scene.pipes[0][0], POLLIN, hear_and_stop, &actor), 0);
    cr_assert_eq(loop_run(scene.loop), 0);
    cr_assert_str_eq(scene.calls, "a");
    int wait_status;
    while (waitpid(child, &wait_status, 0) < 0 && errno == EINTR)
        continue;
    scene_close(&scene);
}

Test(loop, free_accepts_null)
{
    loop_free(NULL);
}
