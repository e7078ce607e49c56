/* The simulator's command line: what to run, how many seeds, and what to say when one breaks.
 *
 *   sim elect [--seeds N] [--seed N [--keep MASK]] [-v]
 *   sim pull[/NAME] [--seeds N] [--seed N]       the table of cases (cases.c), or one of them
 *   sim pull [--seed N] [--shrink] [--without RULE] nodes=16 size=256M ...   any other pull
 * (words.c) sim kraken|dragonfly [--seed N] WORDS        models of other systems' policies
 * (policy.c) sim names, copies or partings [--seeds N] [--seed N] sim caches [--seeds N] [--seed N]
 * [nodes=10 zipf=0.9
 * ...]   rules of eviction (caches.c) sim traces */
#include "p2p/tuning.h"
#include "tests/sim/caches.h"
#include "tests/sim/copies.h"
#include "tests/sim/elections.h"
#include "tests/sim/namings.h"
#include "tests/sim/partings.h"
#include "tests/sim/policy.h"
#include "tests/sim/pulls.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLICY_LIMIT_MS 2000000

struct options {
    const char *what;
    uint64_t seeds, seed, keep;
    bool one, shrinks;
    char words[4096];
};

static struct elections_sum sum;

/* Leaves faults out while the seed still breaks: what is left is the shortest way found. */
static uint64_t
shrink(uint64_t seed)
{
    uint64_t keep = UINT64_MAX, hash;
    char broken[160];
    static struct elections_sum ignored;
    unsigned count = elections_faults(seed);
    for (bool smaller = true; smaller;) {
        smaller = false;
        for (unsigned i = 0; i < count; i++) {
            uint64_t less = keep & ~((uint64_t)1 << i);
            if (less != keep && elections_run(seed, less, false, &ignored, broken, &hash) < 0) {
                keep = less;
                smaller = true;
            }
        }
    }
    return keep & (((uint64_t)1 << count) - 1);
}

static int
explain(uint64_t seed)
{
    uint64_t keep = shrink(seed), hash;
    char broken[160];
    static struct elections_sum ignored;
    (void)elections_run(seed, keep, true, &ignored, broken, &hash);
    (void)printf("seed %llu: %s\nagain: make sim SIM=elect SEED=%llu KEEP=%llx\n",
                 (unsigned long long)seed, broken, (unsigned long long)seed,
                 (unsigned long long)keep);
    return 1;
}

static unsigned
takeover_ms(unsigned permille)
{
    uint64_t left = (uint64_t)sum.takeovers * permille / 1000;
    for (unsigned ms = 0; ms < ARRAY_LEN(sum.takeovers_ms_count); ms++) {
        if (left < sum.takeovers_ms_count[ms])
            return ms;
        left -= sum.takeovers_ms_count[ms];
    }
    return 0;
}

static unsigned
takeover_ms_max(void)
{
    unsigned most = 0;
    for (unsigned ms = 0; ms < ARRAY_LEN(sum.takeovers_ms_count); ms++)
        if (sum.takeovers_ms_count[ms] > 0)
            most = ms;
    return most;
}

static int
elect(const struct options *o)
{
    char broken[160];
    uint64_t hash, again;
    if (o->one)
        return elections_run(o->seed, o->keep, true, &sum, broken, &hash) < 0;
    for (uint64_t i = 0; i < o->seeds; i++) {
        uint64_t seed = o->seed + i;
        if (elections_run(seed, UINT64_MAX, false, &sum, broken, &hash) < 0)
            return explain(seed);
        /* Every hundredth twice: the same seed must do the same. */
        static struct elections_sum ignored;
        if (i % 100 == 0 && (elections_run(seed, UINT64_MAX, false, &ignored, broken, &again) < 0 ||
                             again != hash)) {
            (void)printf("seed %llu does not repeat itself\n", (unsigned long long)seed);
            return 1;
        }
    }
    (void)printf("%u seeds, %llu events, %llu elections; %u trackers died in a calm network: "
                 "successor after %u ms (median), %u ms (p99), %u ms (max); %u elections without "
                 "need in %llu s with up to 10 %% loss\n",
                 sum.seeds, (unsigned long long)sum.events, (unsigned long long)sum.elections,
                 sum.takeovers, takeover_ms(500), takeover_ms(990), takeover_ms_max(),
                 sum.lossy_elections, (unsigned long long)sum.lossy_ms / 1000);
    return 0;
}

static uint64_t
number(const char *text, int base)
{
    char *end;
    unsigned long long n = strtoull(text, &end, base);
    if (*text == '\0' || *end != '\0') {
        (void)fprintf(stderr, "sim: %s is no number\n", text);
        exit(2);
    }
    return n;
}

static bool
add_word(struct options *o, const char *word)
{
    size_t used = strlen(o->words);
    int len = snprintf(o->words + used, sizeof o->words - used, "%s ", word);
    return len > 0 && (size_t)len < sizeof o->words - used;
}

/* One rule of the swarm less, as tuning.h names them. */
static bool
leave_out(const char *rule)
{
    static const struct {
        const char *name;
        bool *at;
    } rules[] = {
        {"leases", &tuning.no_leases},         {"revocation", &tuning.no_revocation},
        {"rarest-first", &tuning.in_order},    {"order", &tuning.rarest},
        {"sliding-window", &tuning.no_window}, {"deputy", &tuning.no_deputy},
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (strcmp(rule, rules[i].name) == 0) {
            *rules[i].at = true;
            return true;
        }
    (void)fprintf(stderr, "sim: --without leases, revocation, rarest-first, order, "
                          "sliding-window or deputy\n");
    return false;
}

static bool
parse(int argc, char **argv, struct options *ret)
{
    *ret = (struct options){.seeds = 1, .seed = 1, .keep = UINT64_MAX};
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--seeds") == 0 && ++i > 0)
            ret->seeds = number(next, 10);
        else if (strcmp(argv[i], "--seed") == 0 && ++i > 0) {
            ret->seed = number(next, 10);
            ret->one = true;
        } else if (strcmp(argv[i], "--without") == 0 && ++i > 0) {
            if (!leave_out(next))
                return false;
        } else if (strcmp(argv[i], "--shrink") == 0) {
            ret->shrinks = true;
        } else if (strcmp(argv[i], "--from") == 0 && ++i > 0)
            ret->seed = number(next, 10);
        else if (strcmp(argv[i], "--keep") == 0 && ++i > 0)
            ret->keep = number(next, 16);
        else if (ret->what == NULL)
            ret->what = argv[i];
        else if (!add_word(ret, argv[i]))
            return false;
    }
    return ret->what != NULL;
}

int
main(int argc, char **argv)
{
    struct options o;
    if (!parse(argc, argv, &o))
        return 2;
    if (strcmp(o.what, "elect") == 0)
        return elect(&o);
    if (strcmp(o.what, "traces") == 0)
        return elections_traces();
    if (strcmp(o.what, "names") == 0)
        return namings_all(o.seed, o.one ? 1 : o.seeds, o.one);
    if (strcmp(o.what, "copies") == 0)
        return copies_all(o.seed, o.one ? 1 : o.seeds, o.one);
    if (strcmp(o.what, "partings") == 0)
        return partings_all(o.seed, o.one ? 1 : o.seeds, o.one);
    if (strcmp(o.what, "kraken") == 0 || strcmp(o.what, "dragonfly") == 0) {
        struct pulls_case c = {.name = o.what};
        return words_read(o.words, &c) && c.nodes > 0 && c.wan > 0 && c.lan > 0
                   ? policy_run(&c, o.what[0] == 'd', o.seed, POLICY_LIMIT_MS)
                   : 2;
    }
    if (strcmp(o.what, "caches") == 0)
        return caches_all(o.words, o.seed, o.one ? 1 : o.seeds);
    if (strcmp(o.what, "pull") == 0 && o.words[0] != '\0')
        return pulls_words(o.words, o.seed, o.shrinks);
    if (strncmp(o.what, "pull", 4) == 0)
        return pulls_all(o.seed, o.one ? 1 : o.seeds, o.what[4] == '/' ? o.what + 5 : NULL, o.one);
    (void)fprintf(stderr,
                  "sim: elect, traces, names, copies, partings, caches, pull or pull/NAME?\n");
    return 2;
}
