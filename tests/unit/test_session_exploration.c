/*
 * Walks every reachable state of supervisor/session.c together with one and with two tasks
 * (supervisor/life.c), joined as supervisor/executor.c joins them, to a fixed point. Any armed deadline may
 * fire at any moment; the agent and its client come, go and refuse as they like; tasks are launched, killed,
 * end, or cannot be killed.
 *
 * The last test proves that each rule can be broken: it walks faulty sessions and expects to find them out.
 */
#include "supervisor/session.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/life.h"

#define SECOND INT64_C(1000000000)
#define NOW (1000 * SECOND)
#define SOON (NOW + SECOND)

enum { TASKS_MAX = 2, REFUSALS_BELIEVED = 5 };

typedef unsigned (*step_function)(struct session *session, const struct session_event *event);

struct setting {
    struct session_terms terms;
    unsigned tasks;
    step_function step;
};

/* --- the executor: what executor.c does, without the system */

struct executor {
    const struct setting *setting;
    struct session session;
    struct life tasks[TASKS_MAX];
    bool known[TASKS_MAX];
    unsigned refusals; /* in a row, by the world's own count */
    unsigned actions;  /* of this step */
    unsigned leaves;   /* how often in this step */
};

static const struct life_terms task_terms = {
    .grace = 2 * SECOND, .start_timeout = SECOND, .max_completion_time = -1};

static void session_event(struct executor *executor, struct session_event event);

static void count_tasks(const struct executor *executor, struct session_event *event)
{
    *event = (struct session_event){.type = SESSION_TASKS};
    for (unsigned i = 0; i < executor->setting->tasks; i++) {
        const struct life *life = &executor->tasks[i];
        event->living += executor->known[i] && life->state < LIFE_ENDED;
        event->unacknowledged += life->state == LIFE_ENDED;
        event->unclean |= life->state >= LIFE_ENDED && life->tree == LIFE_TREE_ABANDONED;
    }
}

static void task_event(struct executor *executor, unsigned i, struct life_event event)
{
    struct life *life = &executor->tasks[i];
    enum life_state before = life->state;
    event.now = NOW;
    executor->known[i] = true;
    life_step(life, &event);
    if (life->state == before)
        return;
    struct session_event tasks;
    count_tasks(executor, &tasks);
    session_event(executor, tasks);
}

static void end_tasks(struct executor *executor)
{
    for (unsigned i = 0; i < executor->setting->tasks; i++)
        if (executor->known[i])
            task_event(executor, i,
                       (struct life_event){.type = LIFE_KILL,
                                           .cause = CAUSE_KILLED,
                                           .grace = -1,
                                           .end = executor->session.end,
                                           .give_up_by = executor->session.give_up_by});
}

static void session_event(struct executor *executor, struct session_event event)
{
    event.now = NOW;
    unsigned actions = executor->setting->step(&executor->session, &event);
    executor->actions |= actions;
    executor->leaves += (actions & SESSION_DO_LEAVE) != 0;
    if ((actions & SESSION_DO_END_TASKS) != 0)
        end_tasks(executor);
}

/* --- what can happen: an event of the session, or one of a task */

struct choice {
    int task; /* -1 for the session */
    struct session_event session;
    struct life_event life;
};

struct choices {
    struct choice list[64];
    size_t count;
};

static void offer_session(struct choices *choices, struct session_event event)
{
    choices->list[choices->count++] = (struct choice){.task = -1, .session = event};
}

static void offer_task(struct choices *choices, unsigned task, struct life_event event)
{
    choices->list[choices->count++] = (struct choice){.task = (int)task, .life = event};
}

/* What a task's processes can do. Each word is given at most once by nature; the life ignores it otherwise.
 */
static void offer_processes(struct choices *choices, const struct life *life, unsigned task)
{
    if (life->tree != LIFE_TREE_ALIVE || life->state >= LIFE_ENDED)
        return;
    if (life->state == LIFE_STARTING)
        offer_task(choices, task, (struct life_event){.type = LIFE_STARTED});
    if (life->state == LIFE_RUNNING)
        offer_task(choices, task, (struct life_event){.type = LIFE_MAIN_EXITED, .success = true});
    offer_task(choices, task, (struct life_event){.type = LIFE_TREE_EMPTY});
    for (int i = 0; i < LIFE_TIMERS; i++)
        if (life->deadlines[i] != 0)
            offer_task(choices, task, (struct life_event){.type = LIFE_DUE, .timer = (enum life_timer)i});
}

/* What an agent can say of a task: only to an executor that is subscribed. */
static void offer_orders(struct choices *choices, const struct life *life, unsigned task)
{
    offer_task(choices, task, (struct life_event){.type = LIFE_LAUNCH, .valid = true});
    offer_task(choices, task, (struct life_event){.type = LIFE_LAUNCH, .valid = false});
    offer_task(choices, task, (struct life_event){.type = LIFE_KILL, .cause = CAUSE_KILLED, .grace = -1});
    if (life->state == LIFE_ENDED)
        offer_task(choices, task, (struct life_event){.type = LIFE_ACKNOWLEDGED});
}

static void list_choices(const struct executor *executor, struct choices *choices)
{
    static const enum session_event_type always[] = {SESSION_AGENT_LOST, SESSION_CLIENT_LOST,
                                                     SESSION_UNKNOWN_ID, SESSION_SHUTDOWN};
    choices->count = 0;
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
        offer_session(choices, (struct session_event){.type = always[i]});
    if (executor->session.state != SESSION_SUBSCRIBED)
        offer_session(choices, (struct session_event){.type = SESSION_TAKEN});
    for (int i = 0; i < SESSION_TIMERS; i++)
        if (executor->session.deadlines[i] != 0)
            offer_session(choices,
                          (struct session_event){.type = SESSION_DUE, .timer = (enum session_timer)i});
    for (unsigned i = 0; i < executor->setting->tasks; i++) {
        offer_processes(choices, &executor->tasks[i], i);
        if (executor->session.state == SESSION_SUBSCRIBED)
            offer_orders(choices, &executor->tasks[i], i);
    }
}

/* As executor.c does: a launch that comes while the tasks end is answered by a kill. */
static void apply(struct executor *executor, const struct choice *choice)
{
    executor->actions = executor->leaves = 0;
    if (choice->task >= 0) {
        struct life_event event = choice->life;
        if (event.type == LIFE_LAUNCH && executor->session.ending)
            event = (struct life_event){.type = LIFE_KILL, .cause = CAUSE_KILLED, .grace = -1};
        task_event(executor, (unsigned)choice->task, event);
        return;
    }
    if (choice->session.type == SESSION_UNKNOWN_ID)
        executor->refusals += executor->refusals < REFUSALS_BELIEVED;
    else if (choice->session.type == SESSION_TAKEN || choice->session.type == SESSION_AGENT_LOST)
        executor->refusals = 0;
    session_event(executor, choice->session);
}

/* --- the rules */

struct taken {
    struct executor before, after;
    struct choice choice;
};

static bool is(const struct taken *taken, enum session_event_type type)
{
    return taken->choice.task < 0 && taken->choice.session.type == type;
}

static bool fired(const struct taken *taken, enum session_timer timer)
{
    return is(taken, SESSION_DUE) && taken->choice.session.timer == timer;
}

static bool leaves(const struct taken *taken)
{
    return taken->after.session.state == SESSION_LEFT;
}

static bool leaves_once(const struct taken *taken)
{
    return taken->after.leaves == (leaves(taken) ? 1 : 0);
}

static bool the_numbers_are_right(const struct taken *taken)
{
    struct session_event tasks;
    const struct session *session = &taken->after.session;
    count_tasks(&taken->after, &tasks);
    return session->living == tasks.living && session->unacknowledged == tasks.unacknowledged;
}

static bool never_leaves_a_living_task(const struct taken *taken)
{
    return !leaves(taken) || taken->after.session.living == 0 || fired(taken, SESSION_TIMER_LEAVE);
}

static bool leaves_updates_only_when_it_must(const struct taken *taken)
{
    return !leaves(taken) || taken->after.session.unacknowledged == 0 || taken->after.session.forsaken ||
           fired(taken, SESSION_TIMER_ACKNOWLEDGE) || fired(taken, SESSION_TIMER_LEAVE);
}

static bool zero_means_clean(const struct taken *taken)
{
    struct session_event tasks;
    const struct session *session = &taken->after.session;
    if (!leaves(taken))
        return true;
    count_tasks(&taken->after, &tasks);
    bool clean = tasks.living == 0 && tasks.unacknowledged == 0 && !tasks.unclean;
    bool in_vain = session->forsaken && !session->had_task;
    return session->exit_code == (clean && !in_vain ? 0 : 1);
}

static bool leaves_when_nothing_is_owed(const struct taken *taken)
{
    const struct session *session = &taken->after.session;
    if (leaves(taken) || session->living > 0)
        return true;
    return session->unacknowledged > 0 ? !session->forsaken : !session->had_task && !session->ending;
}

static bool is_armed(const struct session *session, enum session_timer timer)
{
    return session->deadlines[timer] != 0;
}

static bool waits_with_the_right_deadlines(const struct taken *taken)
{
    const struct session *session = &taken->after.session;
    bool here = session->state == SESSION_SUBSCRIBED;
    bool owed = session->living == 0 && session->unacknowledged > 0;
    return is_armed(session, SESSION_TIMER_REGISTER) == (session->state == SESSION_CONNECTING) &&
           is_armed(session, SESSION_TIMER_FIRST_TASK) == (here && !session->had_task) &&
           is_armed(session, SESSION_TIMER_ACKNOWLEDGE) == (here && owed) &&
           is_armed(session, SESSION_TIMER_LEAVE) == (session->ending && !leaves(taken));
}

/* The timer of a disconnection, by checkpointing; once the tasks end, the last moment rules. */
static bool a_disconnection_has_its_deadline(const struct taken *taken)
{
    const struct session *session = &taken->after.session;
    bool away = session->state == SESSION_DISCONNECTED;
    bool recovery = is_armed(session, SESSION_TIMER_RECOVERY);
    bool successor = is_armed(session, SESSION_TIMER_SUCCESSOR);
    if (!away)
        return !recovery && !successor;
    if (session->terms.checkpoint ? successor : recovery)
        return false;
    return session->ending || recovery || successor;
}

/* Whether the step is one of those that end the tasks. */
static bool is_an_end(const struct taken *taken)
{
    const struct session *before = &taken->before.session;
    bool refused = is(taken, SESSION_AGENT_LOST) || is(taken, SESSION_UNKNOWN_ID);
    bool gone = refused && !before->terms.checkpoint && before->state != SESSION_CONNECTING;
    bool unknown = is(taken, SESSION_UNKNOWN_ID) && taken->after.refusals == REFUSALS_BELIEVED &&
                   before->state != SESSION_CONNECTING;
    return is(taken, SESSION_SHUTDOWN) || gone || unknown || fired(taken, SESSION_TIMER_REGISTER) ||
           fired(taken, SESSION_TIMER_RECOVERY) || fired(taken, SESSION_TIMER_SUCCESSOR);
}

static bool tasks_end_when_they_must_and_only_then(const struct taken *taken)
{
    if (taken->before.session.ending)
        return taken->after.session.ending;
    return taken->after.session.ending == is_an_end(taken);
}

static bool every_task_is_told(const struct taken *taken)
{
    for (unsigned i = 0; i < taken->after.setting->tasks; i++) {
        const struct executor *after = &taken->after;
        if (after->session.ending && after->known[i] && after->tasks[i].cause == CAUSE_NONE)
            return false;
    }
    return true;
}

static bool a_shutdown_without_tasks_leaves_at_once(const struct taken *taken)
{
    const struct session *before = &taken->before.session;
    if (!is(taken, SESSION_SHUTDOWN) || before->living > 0 || before->unacknowledged > 0)
        return true;
    return leaves(taken) && taken->after.session.exit_code == 0;
}

/* If only the session's deadlines fire. A task that runs and an agent that listens may stay for ever. */
static bool deadlines_alone_end_it(const struct taken *taken)
{
    struct executor executor = taken->after;
    for (int i = 0; i < 4 && executor.session.state != SESSION_LEFT; i++) {
        struct session_event event = {.type = SESSION_DUE};
        if (session_next_deadline(&executor.session, &event.timer) == 0)
            break;
        session_event(&executor, event);
    }
    bool stays = taken->after.session.state == SESSION_SUBSCRIBED && taken->after.session.living > 0 &&
                 !taken->after.session.ending;
    return (executor.session.state == SESSION_LEFT) != stays;
}

struct rule {
    const char *name;
    bool (*keeps)(const struct taken *taken);
};

#define RULE(f)                                                                                              \
    {                                                                                                        \
#f, f                                                                                                \
    }

static const struct rule rules[] = {
    RULE(leaves_once),
    RULE(never_leaves_a_living_task),
    RULE(leaves_updates_only_when_it_must),
    RULE(zero_means_clean),
    RULE(the_numbers_are_right),
    RULE(leaves_when_nothing_is_owed),
    RULE(waits_with_the_right_deadlines),
    RULE(a_shutdown_without_tasks_leaves_at_once),
    RULE(tasks_end_when_they_must_and_only_then),
    RULE(a_disconnection_has_its_deadline),
    RULE(every_task_is_told),
    RULE(deadlines_alone_end_it),
};
enum { RULES = sizeof(rules) / sizeof(rules[0]) };

static const char *broken_rule(const struct taken *taken)
{
    for (size_t i = 0; i < RULES; i++)
        if (!rules[i].keeps(taken))
            return rules[i].name;
    return NULL;
}

/* --- states, small: which deadlines run counts, not when they are due */

struct small_task {
    uint8_t known, state, cause, tree, swept, timers, end;
};

struct node {
    uint8_t state, had_task, ending, forsaken, unclean, living, unacknowledged, refusals, counted, timers;
    struct small_task tasks[TASKS_MAX];
};

static uint8_t pack_timers(const int64_t *deadlines, int count)
{
    uint8_t timers = 0;
    for (int i = 0; i < count; i++)
        timers |= (uint8_t)(deadlines[i] != 0 ? 1U << i : 0);
    return timers;
}

static void unpack_timers(uint8_t timers, int64_t *deadlines, int count)
{
    for (int i = 0; i < count; i++)
        deadlines[i] = (timers & 1U << i) != 0 ? SOON : 0;
}

static void pack_task(const struct life *life, bool known, struct small_task *task)
{
    *task = (struct small_task){.known = known,
                                .state = (uint8_t)life->state,
                                .cause = (uint8_t)life->cause,
                                .tree = (uint8_t)life->tree,
                                .swept = life->swept,
                                .end = life->end != 0,
                                .timers = pack_timers(life->deadlines, LIFE_TIMERS)};
}

static struct life unpack_task(const struct small_task *task)
{
    struct life life = life_begin(&task_terms);
    life.state = (enum life_state)task->state;
    life.cause = (enum life_cause)task->cause;
    life.tree = (enum life_tree)task->tree;
    life.swept = task->swept;
    life.end = life.give_up_by = life.terminate_by = task->end ? SOON : 0;
    life.terminated_at = life.state == LIFE_TERMINATING ? NOW : 0;
    unpack_timers(task->timers, life.deadlines, LIFE_TIMERS);
    return life;
}

static void pack(const struct executor *executor, struct node *node)
{
    const struct session *session = &executor->session;
    memset(node, 0, sizeof(*node));
    node->state = (uint8_t)session->state;
    node->had_task = session->had_task;
    node->ending = session->ending;
    node->forsaken = session->forsaken;
    node->unclean = session->unclean;
    node->living = (uint8_t)session->living;
    node->unacknowledged = (uint8_t)session->unacknowledged;
    node->refusals = (uint8_t)(session->refusals < REFUSALS_BELIEVED ? session->refusals : REFUSALS_BELIEVED);
    node->counted = (uint8_t)executor->refusals;
    node->timers = pack_timers(session->deadlines, SESSION_TIMERS);
    for (unsigned i = 0; i < executor->setting->tasks; i++)
        pack_task(&executor->tasks[i], executor->known[i], &node->tasks[i]);
}

static void unpack(const struct node *node, const struct setting *setting, struct executor *executor)
{
    *executor = (struct executor){.setting = setting, .session = session_begin(&setting->terms)};
    struct session *session = &executor->session;
    session->state = (enum session_state)node->state;
    session->had_task = node->had_task;
    session->ending = node->ending;
    session->forsaken = node->forsaken;
    session->unclean = node->unclean;
    session->living = node->living;
    session->unacknowledged = node->unacknowledged;
    session->refusals = node->refusals;
    session->end = session->give_up_by = node->ending ? SOON : 0;
    unpack_timers(node->timers, session->deadlines, SESSION_TIMERS);
    executor->refusals = node->counted;
    for (unsigned i = 0; i < setting->tasks; i++) {
        executor->tasks[i] = unpack_task(&node->tasks[i]);
        executor->known[i] = node->tasks[i].known;
    }
}

/* --- the walk */

struct origin {
    uint32_t from;
    struct choice choice;
};

struct walk {
    const struct setting *setting;
    struct node *nodes;
    struct origin *origins;
    uint32_t *slots; /* index + 1 of a node, 0 for empty */
    size_t count, capacity;
    uint64_t transitions;
    unsigned states_seen;
    const char *broken;
};

static uint32_t *find_slot(const struct walk *walk, const struct node *node)
{
    const uint8_t *bytes = (const uint8_t *)node;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < sizeof(*node); i++)
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    size_t mask = walk->capacity * 2 - 1, at = (hash ^ hash >> 29) & mask;
    while (walk->slots[at] != 0 && memcmp(&walk->nodes[walk->slots[at] - 1], node, sizeof(*node)) != 0)
        at = (at + 1) & mask;
    return &walk->slots[at];
}

static void grow(struct walk *walk)
{
    walk->capacity = walk->capacity == 0 ? 1024 : walk->capacity * 2;
    walk->nodes = reallocarray(walk->nodes, walk->capacity, sizeof(*walk->nodes));
    walk->origins = reallocarray(walk->origins, walk->capacity, sizeof(*walk->origins));
    free(walk->slots);
    walk->slots = calloc(walk->capacity * 2, sizeof(*walk->slots));
    cr_assert(walk->nodes != NULL && walk->origins != NULL && walk->slots != NULL, "no memory");
    for (size_t i = 0; i < walk->count; i++)
        *find_slot(walk, &walk->nodes[i]) = (uint32_t)i + 1;
}

static void add(struct walk *walk, const struct node *node, uint32_t from, const struct choice *choice)
{
    if (walk->count == walk->capacity)
        grow(walk);
    uint32_t *slot = find_slot(walk, node);
    if (*slot != 0)
        return;
    walk->nodes[walk->count] = *node;
    walk->origins[walk->count] = (struct origin){.from = from, .choice = *choice};
    walk->states_seen |= 1U << node->state;
    *slot = (uint32_t)++walk->count;
}

static void print_choice(const struct choice *choice)
{
    if (choice->task >= 0)
        fprintf(stderr, "  task %d: %s %s\n", choice->task, life_event_name(choice->life.type),
                choice->life.type == LIFE_DUE ? life_timer_name(choice->life.timer) : "");
    else
        fprintf(stderr, "  %s %s\n", session_event_name(choice->session.type),
                choice->session.type == SESSION_DUE ? session_timer_name(choice->session.timer) : "");
}

static void print_way(const struct walk *walk, uint32_t at)
{
    if (at == 0)
        return;
    print_way(walk, walk->origins[at].from);
    print_choice(&walk->origins[at].choice);
}

static void take(struct walk *walk, uint32_t at, const struct choice *choice)
{
    struct taken taken = {.choice = *choice};
    unpack(&walk->nodes[at], walk->setting, &taken.before);
    taken.after = taken.before;
    apply(&taken.after, choice);
    walk->transitions++;
    walk->broken = broken_rule(&taken);
    if (walk->broken == NULL) {
        struct node node;
        pack(&taken.after, &node);
        add(walk, &node, at, choice);
        return;
    }
    if (walk->setting->step != session_step)
        return;
    fprintf(stderr, "broken: %s, checkpoint %d:\n", walk->broken, walk->setting->terms.checkpoint);
    print_way(walk, at);
    print_choice(choice);
    fprintf(stderr, "  -> %s, exit code %d\n", session_state_name(taken.after.session.state),
            taken.after.session.exit_code);
}

static void explore(struct walk *walk)
{
    struct executor executor = {.setting = walk->setting, .session = session_begin(&walk->setting->terms)};
    for (unsigned i = 0; i < TASKS_MAX; i++)
        executor.tasks[i] = life_begin(&task_terms);
    session_event(&executor, (struct session_event){.type = SESSION_BEGIN});
    struct node node;
    struct choice none = {.task = -1};
    pack(&executor, &node);
    add(walk, &node, 0, &none);
    for (uint32_t at = 0; at < walk->count && walk->broken == NULL; at++) {
        struct choices choices;
        if (walk->nodes[at].state == SESSION_LEFT)
            continue;
        unpack(&walk->nodes[at], walk->setting, &executor);
        list_choices(&executor, &choices);
        for (size_t i = 0; i < choices.count && walk->broken == NULL; i++)
            take(walk, at, &choices.list[i]);
    }
}

struct sum {
    uint64_t states, transitions;
    unsigned states_seen;
    const char *broken;
};

static struct sum explore_all(step_function step, unsigned tasks)
{
    struct sum sum = {.states = 0};
    for (int checkpoint = 0; checkpoint < 2 && sum.broken == NULL; checkpoint++) {
        struct setting setting = {.terms = {.checkpoint = checkpoint,
                                            .recovery_timeout = 900 * SECOND,
                                            .shutdown_grace = 5 * SECOND,
                                            .acknowledge_timeout = 60 * SECOND},
                                  .tasks = tasks,
                                  .step = step};
        struct walk walk = {.setting = &setting};
        explore(&walk);
        sum.states += walk.count;
        sum.transitions += walk.transitions;
        sum.states_seen |= walk.states_seen;
        sum.broken = walk.broken;
        free(walk.nodes);
        free(walk.origins);
        free(walk.slots);
    }
    return sum;
}

static void assert_walk(unsigned tasks)
{
    struct sum sum = explore_all(session_step, tasks);
    printf(
        "session with %u task%s: %llu states, %llu transitions, with and without checkpointing, %d rules\n",
        tasks, tasks == 1 ? "" : "s", (unsigned long long)sum.states, (unsigned long long)sum.transitions,
        RULES);
    cr_assert_null(sum.broken, "broken: %s; the way there is above", sum.broken);
    cr_assert_eq(sum.states_seen, 0xf, "a state was never reached: %#x", sum.states_seen);
}

Test(session_exploration, with_one_task)
{
    assert_walk(1);
}

Test(session_exploration, with_two_tasks)
{
    assert_walk(2);
}

/* --- faulty sessions: each breaks the rule beside it */

static unsigned depart(struct session *session, int exit_code)
{
    session->state = SESSION_LEFT;
    session->exit_code = exit_code;
    memset(session->deadlines, 0, sizeof(session->deadlines));
    return SESSION_DO_LEAVE;
}

static unsigned leaves_in_silence(struct session *session, const struct session_event *event)
{
    return session_step(session, event) & ~(unsigned)SESSION_DO_LEAVE;
}

static unsigned leaves_its_tasks(struct session *session, const struct session_event *event)
{
    bool recovery = event->type == SESSION_DUE && event->timer == SESSION_TIMER_RECOVERY;
    return recovery && session->living > 0 ? depart(session, 1) : session_step(session, event);
}

static unsigned does_not_wait_for_the_agent(struct session *session, const struct session_event *event)
{
    unsigned actions = session_step(session, event);
    bool owed = session->state != SESSION_LEFT && session->unacknowledged > 0 && session->living == 0;
    return owed ? depart(session, 1) : actions;
}

static unsigned says_all_is_well(struct session *session, const struct session_event *event)
{
    unsigned actions = session_step(session, event);
    session->exit_code = 0;
    return actions;
}

static unsigned miscounts(struct session *session, const struct session_event *event)
{
    unsigned actions = session_step(session, event);
    if (session->living > 0)
        session->living = session->state == SESSION_DISCONNECTED ? 2 : session->living;
    return actions;
}

static unsigned stays_for_no_reason(struct session *session, const struct session_event *event)
{
    struct session before = *session;
    unsigned actions = session_step(session, event);
    if (event->type != SESSION_TASKS || (actions & SESSION_DO_LEAVE) == 0)
        return actions;
    *session = before;
    session->living = event->living;
    session->unacknowledged = event->unacknowledged;
    return 0;
}

static unsigned waits_for_an_absent_agent(struct session *session, const struct session_event *event)
{
    int64_t deadline = session->deadlines[SESSION_TIMER_ACKNOWLEDGE];
    unsigned actions = session_step(session, event);
    if (session->state == SESSION_DISCONNECTED)
        session->deadlines[SESSION_TIMER_ACKNOWLEDGE] = deadline;
    return actions;
}

static unsigned ignores_a_shutdown(struct session *session, const struct session_event *event)
{
    return event->type == SESSION_SHUTDOWN && session->living == 0 ? 0 : session_step(session, event);
}

static unsigned takes_its_client_for_the_agent(struct session *session, const struct session_event *event)
{
    struct session_event taken = *event;
    if (taken.type == SESSION_CLIENT_LOST)
        taken.type = SESSION_AGENT_LOST;
    return session_step(session, &taken);
}

static unsigned forgets_the_successor(struct session *session, const struct session_event *event)
{
    unsigned actions = session_step(session, event);
    session->deadlines[SESSION_TIMER_SUCCESSOR] = 0;
    return actions;
}

static unsigned does_not_tell_the_tasks(struct session *session, const struct session_event *event)
{
    return session_step(session, event) & ~(unsigned)SESSION_DO_END_TASKS;
}

static unsigned waits_once_more(struct session *session, const struct session_event *event)
{
    struct session before = *session;
    unsigned actions = session_step(session, event);
    if (event->type != SESSION_DUE || event->timer != SESSION_TIMER_LEAVE)
        return actions;
    *session = before;
    return 0;
}

struct fault {
    step_function step;
    const char *rule;
};

static const struct fault faults[] = {
    {leaves_in_silence, "leaves_once"},
    {leaves_its_tasks, "never_leaves_a_living_task"},
    {does_not_wait_for_the_agent, "leaves_updates_only_when_it_must"},
    {says_all_is_well, "zero_means_clean"},
    {miscounts, "the_numbers_are_right"},
    {stays_for_no_reason, "leaves_when_nothing_is_owed"},
    {waits_for_an_absent_agent, "waits_with_the_right_deadlines"},
    {ignores_a_shutdown, "a_shutdown_without_tasks_leaves_at_once"},
    {takes_its_client_for_the_agent, "tasks_end_when_they_must_and_only_then"},
    {forgets_the_successor, "a_disconnection_has_its_deadline"},
    {does_not_tell_the_tasks, "every_task_is_told"},
    {waits_once_more, "deadlines_alone_end_it"},
};
enum { FAULTS = sizeof(faults) / sizeof(faults[0]) };

Test(session_exploration, faulty_sessions_are_found_out)
{
    for (size_t i = 0; i < FAULTS; i++) {
        struct sum sum = explore_all(faults[i].step, 1);
        cr_assert_not_null(sum.broken, "the fault that should break %s was not found", faults[i].rule);
        cr_assert_str_eq(sum.broken, faults[i].rule, "expected %s to break, %s did", faults[i].rule,
                         sum.broken);
    }
}

Test(session_exploration, every_rule_has_a_fault_that_breaks_it)
{
    for (size_t i = 0; i < RULES; i++) {
        size_t at = 0;
        while (at < FAULTS && strcmp(faults[at].rule, rules[i].name) != 0)
            at++;
        cr_assert_lt(at, FAULTS, "nothing shows that %s can fail", rules[i].name);
    }
}
