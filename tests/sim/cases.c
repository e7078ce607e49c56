/* The pulls that are looked at, and what each must reach: docs/swarm.md 1.3, as far as the model
 * goes. A case without max-ratio is only told: its bound does not say what is possible. One with
 * misses=1 does not reach its target yet. */
#include "tests/sim/pulls.h"
#include "tests/sim/world.h"
#include <stdio.h>
#include <string.h>

/* Where a case says nothing else. */
#define USUAL "sites=1 nodes=16 size=256M wan=100M lan=1G rtt=20"

static const struct {
    const char *name, *words;
} cases[] = {
    {"sixteen", "max-ratio=1100 max-wan=1020"},
    {"eight", "nodes=8 max-ratio=1100 max-wan=1020"},
    {"crippled", "crippled=4 max-ratio=1150 max-wan=1020 max-first=2500"},
    {"thin-first", "nodes=8 crippled=4 size=48M,16M,16M max-ratio=1150 max-wan=1020 "
                   "max-first=2000"},
    {"slower-pair", "nodes=5 crippled=2 thinner=20 size=128M max-ratio=1100 max-wan=1020"},
    {"thin-pair", "nodes=5 crippled=2 thinner=100 size=128M max-ratio=1100 max-wan=1020"},
    {"mostly-thin", "crippled=12 size=64M max-ratio=1400 max-wan=1020 max-first=3500"},
    {"one-thin", "nodes=2 crippled=1 wan=4M rtt=100 size=725K max-ratio=2000 max-wan=1050"},
    {"one-thin-far", "nodes=2 crippled=1 rtt=200 size=10M max-ratio=6000 max-wan=1050"},
    {"lossy", "loss=20 max-ratio=1100 max-wan=1020"},
    {"varying", "wan@8000=200 wan@16000=1000 max-ratio=1150 max-wan=1020"},
    {"rates", "nodes=15 size=512M wan=200M varies=100 varies-within=20000 queue=100 unfair=1 "
              "max-ratio=1150 max-wan=1020"},
    {"congested", "nodes=15 size=512M wan=200M varies=200 varies-within=20000 queue=100 unfair=1 "
                  "max-ratio=1150 max-wan=1020"},
    {"spread", "spread=20000 max-ratio=1150 max-wan=1020"},
    {"joins-late", "late=19300 max-ratio=1150 max-wan=1020"},
    {"tracker-dies", "tracker@8000 max-ratio=1150 max-wan=1010"},
    {"pair-dies", "pair@8000 max-ratio=1150 max-wan=1020"},
    {"third-dies", "some@8000=30 max-ratio=1300 max-wan=1050"},
    {"wan-out", "wan@8000=0 wan@18000=1000 max-ratio=1150 max-wan=1030"},
    {"lan-parts", "parts@5000=0xff meets@12000 max-wan=2000"},
    {"no-tracker-yet", "cold=1 max-ratio=1150 max-wan=1020"},
    {"liars", "nodes=8 liars=2 max-ratio=1150 max-wan=1050"},
    {"garbage", "nodes=8 garbage=2 max-ratio=1150 max-wan=1020 max-first=3000"},
    {"flips", "nodes=8 flips=2 max-ratio=1150 max-wan=1100 max-stall=5000"},
    {"forged", "nodes=8 forged=1 max-ratio=1500 max-wan=1450"},
    {"withhold", "nodes=8 withhold=2 size=32M,8M max-ratio=1150 max-wan=1100"},
    {"closed", "nodes=8 closed=1 size=64M max-ratio=1150 max-wan=1050"},
    {"slow-ports", "nodes=8 slow=2 size=48M,16M,16M max-ratio=1150 max-wan=1020"},
    {"slow-holders",
     "nodes=8 slow=2 port=5M spread=820 size=48M,16M,16M max-wan=1020 max-first=3500"},
    {"hung", "hung=2 max-ratio=1150 max-wan=1050"},
    {"disk-full", "full@5000=3 full@9000=4 max-ratio=1150 max-wan=1050"},
    {"disk-full-early", "wan=50M size=4M,4M,4M,4M,4M,4M full@500=2 max-ratio=1150 max-wan=1050"},
    {"mute-tracker", "nodes=8 wan=50M size=64M mute@1000 max-ratio=1050 max-wan=1020"},
    {"mute-of-three", "nodes=3 wan=50M size=64M mute@1000 max-ratio=1050 max-wan=1020"},
    {"deaf-tracker", "deaf@3000 max-ratio=1300 max-wan=1050"},
    {"stops", "stops@5000=2,4000 stops@8000=5,900 max-ratio=1150 max-wan=1050"},
    {"layers", "size=3M,40M,900K,120M,64K,60M,32M max-ratio=1100 max-wan=1020"},
    {"thin-wan", "wan=10M size=64M max-ratio=1100 max-wan=1020 max-first=5000"},
    {"thin-layers", "wan=10M size=3M,20M,10M,30M max-ratio=1100 max-wan=1020 max-first=5000"},
    {"thin-many", "wan=2M rtt=40 size=12M,6M,6M max-ratio=1100 max-wan=1020 max-first=4000"},
    {"small-thin", "wan=1M size=100K,60K,30K max-ratio=1100 max-wan=1020 max-first=4000"},
    {"sips", "wan=1M size=1M max-ratio=1100 max-wan=1050 max-first=4000"},
    {"sips-long", "wan=1M size=4M max-ratio=1100 max-wan=1050 max-first=4000"},
    {"sips-one", "wan=500K size=300K max-ratio=1150 max-wan=1100 max-first=4000"},
    {"sips-late", "wan=500K size=1M max-ratio=1100 max-wan=1050 max-first=4000"},
    {"small-far", "nodes=12 wan=1M rtt=80 size=4M,2M,2M max-ratio=1100 max-wan=1020 "
                  "max-first=4000"},
    {"warm", "warm=1 max-ratio=1150 max-wan=20 misses=1"},
    {"three-sites", "sites=3 nodes=4 between=10 size=64M max-ratio=1100 max-wan=1020 misses=1"},
    {"far-warm", "sites=3 nodes=4 warm=4 warm-sites=1 registry=20M between=10 size=64M "
                 "max-ratio=2000 max-wan=1050"},
    {"many-sites", "sites=8 nodes=12 between=10 size=32M max-ratio=1100 max-wan=1020"},
    {"many-warm", "sites=3 nodes=24 warm=24 warm-sites=1 between=10 size=32M rtt=60 max-ratio=1150 "
                  "max-wan=1050"},
    {"small", "size=16M max-ratio=1250 max-wan=1050"},
    {"fast-wan", "nodes=32 wan=1G max-ratio=1100 max-wan=1050 misses=1"},
    {"alone", "nodes=1 wan=1600M lan=10G max-ratio=1150 max-wan=1010"},
};

static void
head(void)
{
    (void)printf("%-14s %8s %8s %6s %6s %6s %8s %8s %9s\n", "pull", "T* s", "last s", "ratio",
                 "WAN", "prefix", "first s", "stall s", "events");
}

static void
line(const char *name, const struct pulls_result *r, const char *broken)
{
    (void)printf("%-14s %8.2f %8.2f %6.3f %6.3f %6.3f %8.2f %8.2f %9llu %s\n", name,
                 (double)r->bound_ms / 1000, (double)r->last_ms / 1000,
                 (double)r->ratio_permille / 1000, (double)r->wan_permille / 1000,
                 (double)r->prefix_permille / 1000, (double)r->first_ms / 1000,
                 (double)r->stall_ms / 1000, (unsigned long long)r->events, broken);
}

/* The story of the smallest pull that still breaks, and how to see it again. */
static void
explain(struct pulls_case *c, uint64_t seed, const char *how)
{
    struct pulls_result r;
    char broken[160];
    uint64_t keep = UINT64_MAX;
    pulls_shrink(c, seed, how, &keep);
    (void)pulls_run(c, seed, keep, true, false, &r, broken);
    (void)printf("seed %llu: %s\nagain: make sim ARGS='pull --seed %llu ", (unsigned long long)seed,
                 broken, (unsigned long long)seed);
    words_print(c, keep);
    (void)printf("'\n");
}

int
pulls_all(uint64_t seed, uint64_t seeds, const char *only, bool traced)
{
    int bad = 0;
    bool any = false;
    head();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (only != NULL && strcmp(only, cases[i].name) != 0)
            continue;
        any = true;
        for (uint64_t n = 0; n < seeds; n++) {
            struct pulls_case c = {.name = cases[i].name};
            struct pulls_result r;
            char broken[160];
            must(words_read(USUAL, &c) && words_read(cases[i].words, &c));
            pulls_draw(&c, seed + n);
            int rc = pulls_run(&c, seed + n, UINT64_MAX, traced, traced, &r, broken);
            line(c.name, &r, broken);
            if (rc < 0 && !c.misses) {
                explain(&c, seed + n, broken);
                bad = 1;
            }
        }
    }
    if (!any)
        (void)fprintf(stderr, "sim: there is no pull %s\n", only);
    return any ? bad : 2;
}

int
pulls_words(const char *words, uint64_t seed, bool shrinks)
{
    struct pulls_case c = {.name = "pull"};
    struct pulls_result r;
    char broken[160];
    must(words_read(USUAL, &c));
    if (!words_read(words, &c))
        return 2;
    if (c.sites == 0 || c.nodes == 0 || c.wan == 0 || c.lan == 0 ||
        c.sites * c.nodes > WORLD_NODES_MAX) {
        (void)fprintf(stderr, "sim: 1 to %d nodes, and rates above 0\n", WORLD_NODES_MAX);
        return 2;
    }
    pulls_draw(&c, seed);
    int rc = pulls_run(&c, seed, UINT64_MAX, false, true, &r, broken);
    head();
    line(c.name, &r, broken);
    pulls_tell(&c, &r);
    if (rc < 0 && shrinks)
        explain(&c, seed, broken);
    return rc < 0;
}
