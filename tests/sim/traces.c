/* Elections whose whole trace is known beforehand: the trace is the test. */
#include "base/mem.h"
#include "tests/sim/elections.h"
#include "tests/sim/world.h"
#include <stdio.h>

#define FIRST                                               \
    "[0] n0 starts\n"                                       \
    "[0] n1 starts\n"                                       \
    "[0] n2 starts\n"                                       \
    "[900] n2 no tracker: standing for election, epoch 0\n" \
    "[900] n0 no tracker: standing for election, epoch 0\n" \
    "[900] n1 no tracker: standing for election, epoch 0\n" \
    "[900] n1 a better candidate stands, epoch 0\n"         \
    "[900] n2 a better candidate stands, epoch 0\n"         \
    "[950] n0 is tracker, epoch 1\n"                        \
    "[950] n1 follows a tracker, epoch 1\n"                 \
    "[950] n2 follows a tracker, epoch 1\n"

#define DEAD                                                 \
    "[3000] n0 dies\n"                                       \
    "[3651] n1 tracker silent: asking it, epoch 1\n"         \
    "[3651] n2 tracker silent: asking it, epoch 1\n"         \
    "[3751] n1 no tracker: standing for election, epoch 1\n" \
    "[3751] n2 no tracker: standing for election, epoch 1\n" \
    "[3751] n1 a better candidate stands, epoch 1\n"         \
    "[3801] n2 is tracker, epoch 2\n"                        \
    "[3801] n1 follows a tracker, epoch 2\n"

#define NEWCOMER                                             \
    "[2000] n0 dies\n"                                       \
    "[2750] n1 tracker silent: asking it, epoch 1\n"         \
    "[2750] n2 tracker silent: asking it, epoch 1\n"         \
    "[2850] n1 no tracker: standing for election, epoch 1\n" \
    "[2850] n2 no tracker: standing for election, epoch 1\n" \
    "[2850] n1 a better candidate stands, epoch 1\n"         \
    "[2900] n2 is tracker, epoch 2\n"                        \
    "[2900] n1 follows a tracker, epoch 2\n"                 \
    "[5000] n0 starts\n"                                     \
    "[5000] n0 follows a tracker, epoch 2\n"

#define HALVES                                               \
    "[2750] n2 tracker silent: asking it, epoch 1\n"         \
    "[2751] n3 tracker silent: asking it, epoch 1\n"         \
    "[2850] n2 no tracker: standing for election, epoch 1\n" \
    "[2851] n3 no tracker: standing for election, epoch 1\n" \
    "[2851] n2 a better candidate stands, epoch 1\n"         \
    "[2901] n3 is tracker, epoch 2\n"                        \
    "[2901] n2 follows a tracker, epoch 2\n"                 \
    "[6000] heals\n"                                         \
    "[6050] n0 a larger claim: no longer tracker, epoch 2\n" \
    "[6202] n1 follows a tracker, epoch 2\n"

#define RESIGNED                                          \
    "[2000] n0 steps down, epoch 1\n"                     \
    "[2000] n1 the tracker gave up its office, epoch 1\n" \
    "[2000] n2 is tracker, epoch 2\n"                     \
    "[2000] n0 follows a tracker, epoch 2\n"              \
    "[2000] n1 follows a tracker, epoch 2\n"

#define STOPPED                                              \
    "[2000] n0 stops for 2500 ms\n"                          \
    "[2750] n1 tracker silent: asking it, epoch 1\n"         \
    "[2750] n2 tracker silent: asking it, epoch 1\n"         \
    "[2850] n1 no tracker: standing for election, epoch 1\n" \
    "[2850] n2 no tracker: standing for election, epoch 1\n" \
    "[2850] n1 a better candidate stands, epoch 1\n"         \
    "[2900] n2 is tracker, epoch 2\n"                        \
    "[2900] n1 follows a tracker, epoch 2\n"                 \
    "[4500] n0 a larger claim: no longer tracker, epoch 2\n"

#define PAIR                                                 \
    "[3000] n0 dies\n"                                       \
    "[3000] n3 dies\n"                                       \
    "[3650] n2 tracker silent: asking it, epoch 1\n"         \
    "[3650] n1 tracker silent: asking it, epoch 1\n"         \
    "[3750] n2 no tracker: standing for election, epoch 1\n" \
    "[3750] n1 no tracker: standing for election, epoch 1\n" \
    "[3750] n1 a better candidate stands, epoch 1\n"         \
    "[3850] n2 is tracker, epoch 2\n"                        \
    "[3850] n1 follows a tracker, epoch 2\n"

#define HELD                                                 \
    "[2200] n2 dies\n"                                       \
    "[2900] n1 tracker silent: asking it, epoch 2\n"         \
    "[3000] n1 no tracker: standing for election, epoch 2\n" \
    "[3100] n1 is tracker, epoch 3\n"                        \
    "[3100] n0 follows a tracker, epoch 3\n"

#define NOT_BACK                                             \
    "[3000] n2 steps down, epoch 2\n"                        \
    "[3000] n0 the tracker gave up its office, epoch 2\n"    \
    "[3000] n1 the tracker gave up its office, epoch 2\n"    \
    "[3300] n1 no tracker: standing for election, epoch 2\n" \
    "[3450] n1 is tracker, epoch 3\n"                        \
    "[3450] n0 follows a tracker, epoch 3\n"                 \
    "[3450] n2 follows a tracker, epoch 3\n"

#define LATE                                                 \
    "[2000] n1 hears 1200 ms late\n"                         \
    "[2750] n1 tracker silent: asking it, epoch 1\n"         \
    "[2850] n1 no tracker: standing for election, epoch 1\n" \
    "[2950] n1 is tracker, epoch 2\n"                        \
    "[3350] n1 a larger claim: no longer tracker, epoch 2\n" \
    "[6000] heals\n"

static struct world *
calm_world(unsigned nodes)
{
    static const struct world_hooks none = {0};
    struct world *w = world_new(nodes, 1, &none);
    w->traced = true;
    w->jitter_us = 0;
    for (unsigned i = 0; i < nodes; i++) {
        w->nodes[i].offset_ms = 0;
        w->nodes[i].drift_ppm = 0;
        world_start(w, i, i == 0 ? 2 : 1);
    }
    return w;
}

static int
expect(struct world *w, const char *name, const char *trace)
{
    int rc = strcmp(buf_text(&w->trace), trace);
    (void)printf("%s %s\n", rc == 0 ? "ok" : "FAIL", name);
    if (rc != 0)
        (void)printf("--- expected\n%s--- got\n%s", trace, buf_text(&w->trace));
    world_free(w);
    return rc == 0 ? 0 : 1;
}

/* Forgets what was traced so far: a test is about what follows. */
static void
from_here(struct world *w)
{
    buf_clear(&w->trace);
}

static int
the_best_of_the_first_three_becomes_tracker(void)
{
    struct world *w = calm_world(3);
    (void)world_run(w, 3000);
    return expect(w, __func__, FIRST);
}

static int
a_dead_tracker_has_a_successor_within_a_second(void)
{
    struct world *w = calm_world(3);
    (void)world_run(w, 3000);
    from_here(w);
    world_kill(w, 0);
    (void)world_run(w, 6000);
    return expect(w, __func__, DEAD);
}

static int
a_better_newcomer_does_not_displace_the_tracker(void)
{
    struct world *w = calm_world(3);
    (void)world_run(w, 2000);
    from_here(w);
    world_kill(w, 0);
    (void)world_run(w, 5000);
    world_start(w, 0, 99);
    (void)world_run(w, 9000);
    return expect(w, __func__, NEWCOMER);
}

static int
two_halves_elect_each_and_agree_when_they_meet(void)
{
    struct world *w = calm_world(4);
    (void)world_run(w, 2000);
    from_here(w);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < 4; j++)
            world_cut(w, i, j, i / 2 != j / 2);
    (void)world_run(w, 6000);
    world_say(w, "heals");
    world_mend(w);
    (void)world_run(w, 9000);
    return expect(w, __func__, HALVES);
}

static int
who_steps_down_hands_over_to_the_deputy(void)
{
    struct world *w = calm_world(3);
    (void)world_run(w, 2000);
    from_here(w);
    world_resign(w, 0);
    (void)world_run(w, 7000);
    return expect(w, __func__, RESIGNED);
}

static int
a_stopped_tracker_yields_when_it_goes_on(void)
{
    struct world *w = calm_world(3);
    (void)world_run(w, 2000);
    from_here(w);
    world_pause(w, 0, 2500);
    (void)world_run(w, 7000);
    return expect(w, __func__, STOPPED);
}

static int
who_hears_late_takes_nobody_with_it(void)
{
    struct world *w = calm_world(3);
    (void)world_run(w, 2000);
    from_here(w);
    world_late(w, 1, 1200);
    (void)world_run(w, 6000);
    world_say(w, "heals");
    world_mend(w);
    (void)world_run(w, 9000);
    return expect(w, __func__, LATE);
}

static int
the_third_follows_when_tracker_and_deputy_die_together(void)
{
    struct world *w = calm_world(4);
    (void)world_run(w, 3000);
    from_here(w);
    world_kill(w, 0);
    world_kill(w, 3);
    (void)world_run(w, 6000);
    return expect(w, __func__, PAIR);
}

static int
who_stepped_down_does_not_stand_when_its_successor_dies(void)
{
    struct world *w = calm_world(3);
    (void)world_run(w, 2000);
    world_resign(w, 0);
    (void)world_run(w, 2200);
    from_here(w);
    world_kill(w, 2);
    (void)world_run(w, 7000);
    return expect(w, __func__, HELD);
}

static int
who_stepped_down_does_not_take_the_office_back_at_once(void)
{
    struct world *w = calm_world(3);
    (void)world_run(w, 2000);
    world_resign(w, 0);
    (void)world_run(w, 3000);
    from_here(w);
    world_resign(w, 2);
    (void)world_run(w, 7000);
    return expect(w, __func__, NOT_BACK);
}

int
elections_traces(void)
{
    return the_best_of_the_first_three_becomes_tracker() +
           a_dead_tracker_has_a_successor_within_a_second() +
           a_better_newcomer_does_not_displace_the_tracker() +
           two_halves_elect_each_and_agree_when_they_meet() +
           who_steps_down_hands_over_to_the_deputy() + who_hears_late_takes_nobody_with_it() +
           the_third_follows_when_tracker_and_deputy_die_together() +
           who_stepped_down_does_not_stand_when_its_successor_dies() +
           who_stepped_down_does_not_take_the_office_back_at_once() +
           a_stopped_tracker_yields_when_it_goes_on();
}
