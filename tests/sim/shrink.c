/* The smallest pull found that a seed still breaks: mishaps, nodes, blobs and faults are left out
 * one by one while it breaks. Sizes stay: limits are shares of them. */
#include "tests/sim/pulls.h"
#include <string.h>

/* The same sentence, whatever the numbers in it. */
static bool
same_break(const char *a, const char *b)
{
    while (*a != '\0' || *b != '\0') {
        a += strspn(a, "0123456789");
        b += strspn(b, "0123456789");
        if (*a != *b)
            return false;
        a += *a != '\0';
        b += *b != '\0';
    }
    return true;
}

static bool
breaks(const struct pulls_case *c, uint64_t seed, uint64_t keep, const char *how)
{
    struct pulls_result r;
    char broken[160];
    return pulls_run(c, seed, keep, false, false, &r, broken) < 0 && same_break(how, broken);
}

static unsigned
special(const struct pulls_case *c)
{
    return c->warm + c->crippled + c->liars + c->garbage + c->flips + c->forged + c->withhold +
           c->closed + c->hung + c->slow;
}

static bool
fewer(unsigned *n, unsigned by, unsigned least)
{
    if (by == 0 || *n < least + by)
        return false;
    *n -= by;
    return true;
}

static bool
clear(int64_t *ms)
{
    bool some = *ms != 0;
    *ms = 0;
    return some;
}

static bool
drop_blob(struct pulls_case *c)
{
    unsigned b = 0;
    while (b < PULLS_BLOBS && c->sizes[b] > 0)
        b++;
    if (b < 2)
        return false;
    c->sizes[b - 1] = 0;
    return true;
}

#define STEPS 17
/* One step towards a smaller pull; false: there is none that way. */
static bool
step(struct pulls_case *c, unsigned which)
{
    unsigned *counts[] = {&c->crippled, &c->liars,  &c->garbage, &c->flips, &c->forged,
                          &c->withhold, &c->closed, &c->hung,    &c->slow,  &c->warm};
    switch (which) {
    case 0:
        return fewer(&c->nodes, c->nodes / 2, special(c) + 1);
    case 1:
        return fewer(&c->nodes, 1, special(c) + 1);
    case 2:
        return fewer(&c->sites, 1, c->warm_sites + 1);
    case 3:
        return drop_blob(c);
    case 4:
        return fewer(&c->loss_permille, c->loss_permille, 0);
    case 5:
        return clear(&c->spread_ms);
    case 6:
        return clear(&c->late_ms);
    case 7:
        return clear(&c->between_ms);
    default:
        return fewer(counts[which - 8], 1, 0);
    }
}

void
pulls_shrink(struct pulls_case *c, uint64_t seed, const char *how, uint64_t *keep)
{
    for (bool again = true; again;) {
        again = false;
        for (unsigned i = 0; i < STEPS; i++) {
            struct pulls_case less = *c;
            if (!step(&less, i) || !breaks(&less, seed, *keep, how))
                continue;
            *c = less;
            again = true;
        }
        for (unsigned i = 0; i < PULLS_MISHAPS; i++) {
            uint64_t less = *keep & ~((uint64_t)1 << i);
            if (c->mishaps[i].kind == PULLS_NONE || less == *keep || !breaks(c, seed, less, how))
                continue;
            *keep = less;
            again = true;
        }
    }
}
