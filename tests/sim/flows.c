/* Max-min fair sharing by progressive filling. */
#include "tests/sim/flows.h"
#include <string.h>

#define MILLION 1000000u

unsigned
flows_add(struct flows *f, const uint32_t links[FLOWS_PER_FLOW], uint64_t bytes, uint64_t owner)
{
    unsigned i = 0;
    while (i < FLOWS_MAX && f->list[i].used)
        i++;
    must(i < FLOWS_MAX);
    struct flow *x = &f->list[i];
    *x = (struct flow){.used = true, .left = bytes * MILLION, .owner = owner};
    memcpy(x->links, links, sizeof x->links);
    if (i >= f->count)
        f->count = i + 1;
    f->stale = true;
    return i;
}

void
flows_mark(struct flows *f, unsigned flow, uint64_t bytes)
{
    f->list[flow].left = bytes * MILLION;
}

void
flows_drop(struct flows *f, unsigned flow)
{
    f->list[flow].used = false;
    f->stale = true;
    while (f->count > 0 && !f->list[f->count - 1].used)
        f->count--;
}

void
flows_rate(struct flows *f, unsigned link, uint64_t bytes_s)
{
    f->rate[link] = bytes_s;
    if (link >= f->links)
        f->links = link + 1;
    f->stale = true;
}

void
flows_advance(struct flows *f, int64_t now_us)
{
    uint64_t dt = (uint64_t)(now_us - f->now_us);
    f->now_us = now_us;
    for (size_t i = 0; i < f->count && dt > 0; i++) {
        struct flow *x = &f->list[i];
        if (!x->used)
            continue;
        uint64_t moved = x->rate * dt < x->left ? x->rate * dt : x->left;
        x->left -= moved;
        for (size_t l = 0; l < FLOWS_PER_FLOW; l++)
            if (x->links[l] != FLOWS_NO_LINK)
                f->moved[x->links[l]] += moved;
    }
}

static void
use(uint64_t *room, unsigned *open, const struct flow *x, uint64_t rate)
{
    for (size_t l = 0; l < FLOWS_PER_FLOW; l++) {
        if (x->links[l] == FLOWS_NO_LINK)
            continue;
        room[x->links[l]] -= rate;
        open[x->links[l]]--;
    }
}

/* Counts the flows of each link; returns how many flows there are. */
static size_t
count_open(struct flows *f, unsigned *open)
{
    size_t left = 0;
    for (size_t i = 0; i < f->count; i++) {
        struct flow *x = &f->list[i];
        x->frozen = !x->used;
        left += x->used;
        for (size_t l = 0; l < FLOWS_PER_FLOW && x->used; l++)
            if (x->links[l] != FLOWS_NO_LINK)
                open[x->links[l]]++;
    }
    return left;
}

static bool
runs_over(const struct flow *x, size_t link)
{
    bool over = false;
    for (size_t l = 0; l < FLOWS_PER_FLOW; l++)
        over |= x->links[l] == link;
    return over;
}

static void
compute(struct flows *f)
{
    static uint64_t room[FLOWS_LINKS];
    static unsigned open[FLOWS_LINKS];
    memcpy(room, f->rate, f->links * sizeof *room);
    memset(open, 0, f->links * sizeof *open);
    size_t left = count_open(f, open);
    while (left > 0) {
        /* The tightest link fixes the rate of all its flows. */
        uint64_t least = UINT64_MAX;
        size_t tight = 0;
        for (size_t l = 0; l < f->links; l++)
            if (open[l] > 0 && room[l] / open[l] < least) {
                least = room[l] / open[l];
                tight = l;
            }
        must(least != UINT64_MAX);
        for (size_t i = 0; i < f->count; i++) {
            struct flow *x = &f->list[i];
            if (x->frozen || !runs_over(x, tight))
                continue;
            x->rate = least;
            x->frozen = true;
            left--;
            use(room, open, x, least);
        }
    }
    f->stale = false;
}

int64_t
flows_next_us(struct flows *f)
{
    if (f->stale)
        compute(f);
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < f->count; i++) {
        const struct flow *x = &f->list[i];
        if (!x->used || (x->rate == 0 && x->left > 0))
            continue;
        uint64_t us = x->left == 0 ? 0 : (x->left + x->rate - 1) / x->rate;
        if (us < least)
            least = us;
    }
    return least == UINT64_MAX ? INT64_MAX : f->now_us + (int64_t)least;
}

int
flows_reached(const struct flows *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->list[i].used && f->list[i].left == 0)
            return (int)i;
    return -1;
}
