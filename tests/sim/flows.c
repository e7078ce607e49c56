/* Max-min fair sharing by progressive filling, or equal shares of each link. A flow is looked at
 * when its rate changes, not when time passes. */
#include "tests/sim/flows.h"
#include "base/mem.h"
#include <string.h>

#define MILLION 1000000u

void
flows_init(struct flows *f, unsigned links, unsigned groups, bool local)
{
    *f = (struct flows){.local = local, .links_count = links, .groups = groups};
    f->links = mem_zalloc(links * sizeof *f->links);
    f->heaps = mem_zalloc(groups * sizeof *f->heaps);
}

void
flows_release(struct flows *f)
{
    for (unsigned l = 0; l < f->links_count; l++)
        mem_free(f->links[l].list);
    for (unsigned g = 0; g < f->groups; g++)
        mem_free(f->heaps[g].list);
    mem_free(f->links);
    mem_free(f->heaps);
    mem_free(f->list);
    mem_free(f->unused);
}

/* ---- the heap of marks ---- */

static bool
earlier(const struct flows *f, uint32_t a, uint32_t b)
{
    int64_t x = f->list[a].due_us, y = f->list[b].due_us;
    return x != y ? x < y : a < b;
}

static void
place(struct flows *f, struct flows_heap *h, uint32_t at, uint32_t flow)
{
    h->list[at] = flow;
    f->list[flow].heap_at = at;
}

/* The flow may have become earlier or later. */
static void
sift(struct flows *f, uint32_t flow)
{
    struct flows_heap *h = &f->heaps[f->list[flow].group];
    uint32_t at = f->list[flow].heap_at;
    for (; at > 0 && earlier(f, flow, h->list[(at - 1) / 2]); at = (at - 1) / 2)
        place(f, h, at, h->list[(at - 1) / 2]);
    for (uint32_t child; (child = 2 * at + 1) < h->count; at = child) {
        if (child + 1 < h->count && earlier(f, h->list[child + 1], h->list[child]))
            child++;
        if (!earlier(f, h->list[child], flow))
            break;
        place(f, h, at, h->list[child]);
    }
    place(f, h, at, flow);
}

static void
heap_add(struct flows *f, uint32_t flow)
{
    struct flows_heap *h = &f->heaps[f->list[flow].group];
    if (h->count == h->cap) {
        h->cap = h->cap > 0 ? 2 * h->cap : 64;
        h->list = mem_realloc(h->list, h->cap * sizeof *h->list);
    }
    place(f, h, h->count++, flow);
    sift(f, flow);
}

static void
heap_remove(struct flows *f, uint32_t flow)
{
    struct flows_heap *h = &f->heaps[f->list[flow].group];
    uint32_t at = f->list[flow].heap_at, last = h->list[--h->count];
    if (last == flow)
        return;
    place(f, h, at, last);
    sift(f, last);
}

/* ---- one flow ---- */

static void
set_due(struct flows *f, uint32_t flow)
{
    struct flow *x = &f->list[flow];
    x->due_us = x->left == 0   ? x->settled_us
                : x->rate == 0 ? INT64_MAX
                               : x->settled_us + (int64_t)((x->left + x->rate - 1) / x->rate);
    sift(f, flow);
}

/* What it moved since it was looked at last. */
static void
settle(struct flows *f, struct flow *x)
{
    if (f->now_us <= x->settled_us)
        return;
    uint64_t dt = (uint64_t)(f->now_us - x->settled_us);
    uint64_t moved = x->rate * dt < x->left ? x->rate * dt : x->left;
    x->settled_us = f->now_us;
    x->left -= moved;
    for (size_t l = 0; l < FLOWS_PER_FLOW; l++)
        if (x->links[l] != FLOWS_NO_LINK)
            f->links[x->links[l]].moved += moved;
}

static void
set_rate(struct flows *f, uint32_t flow, uint64_t rate)
{
    struct flow *x = &f->list[flow];
    if (x->rate == rate)
        return;
    settle(f, x);
    x->rate = rate;
    set_due(f, flow);
}

/* Its equal share of its tightest link. */
static void
share(struct flows *f, uint32_t flow)
{
    const struct flow *x = &f->list[flow];
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < FLOWS_PER_FLOW; i++) {
        if (x->links[i] == FLOWS_NO_LINK)
            continue;
        const struct flows_link *l = &f->links[x->links[i]];
        uint64_t rate = l->rate / l->count;
        least = rate < least ? rate : least;
    }
    set_rate(f, flow, least);
}

static void
share_link(struct flows *f, const struct flows_link *l)
{
    for (uint32_t i = 0; f->local && i < l->count; i++)
        share(f, l->list[i]);
}

static void
share_links_of(struct flows *f, const struct flow *x)
{
    f->stale = true;
    for (size_t i = 0; i < FLOWS_PER_FLOW; i++)
        if (x->links[i] != FLOWS_NO_LINK)
            share_link(f, &f->links[x->links[i]]);
}

static uint32_t
unused(struct flows *f)
{
    uint32_t i = 0;
    /* The lowest, so that a run repeats itself; a large one takes what was left last. */
    if (f->local && f->used_count < f->count)
        return f->unused[f->count - f->used_count - 1];
    while (i < f->count && f->list[i].used)
        i++;
    if (i < f->count)
        return i;
    if (f->count == f->cap) {
        f->cap = f->cap > 0 ? 2 * f->cap : 256;
        f->list = mem_realloc(f->list, f->cap * sizeof *f->list);
        f->unused = mem_realloc(f->unused, f->cap * sizeof *f->unused);
    }
    return f->count++;
}

unsigned
flows_add(struct flows *f, unsigned group, const uint32_t links[FLOWS_PER_FLOW], uint64_t bytes,
          uint64_t owner)
{
    uint32_t i = unused(f);
    struct flow *x = &f->list[i];
    *x = (struct flow){.used = true,
                       .group = group,
                       .weight = 1,
                       .left = bytes * MILLION,
                       .settled_us = f->now_us,
                       .due_us = INT64_MAX,
                       .owner = owner};
    memcpy(x->links, links, sizeof x->links);
    for (size_t n = 0; n < FLOWS_PER_FLOW; n++) {
        if (links[n] == FLOWS_NO_LINK)
            continue;
        struct flows_link *l = &f->links[links[n]];
        if (l->count == l->cap) {
            l->cap = l->cap > 0 ? 2 * l->cap : 8;
            l->list = mem_realloc(l->list, l->cap * sizeof *l->list);
        }
        x->at[n] = l->count;
        l->list[l->count++] = i;
    }
    f->used_count++;
    heap_add(f, i);
    share_links_of(f, x);
    return i;
}

void
flows_mark(struct flows *f, unsigned flow, uint64_t bytes)
{
    settle(f, &f->list[flow]);
    f->list[flow].left = bytes * MILLION;
    set_due(f, flow);
}

void
flows_drop(struct flows *f, unsigned flow)
{
    struct flow *x = &f->list[flow];
    settle(f, x);
    x->used = false;
    for (size_t n = 0; n < FLOWS_PER_FLOW; n++) {
        if (x->links[n] == FLOWS_NO_LINK)
            continue;
        struct flows_link *l = &f->links[x->links[n]];
        uint32_t last = l->list[--l->count];
        l->list[x->at[n]] = last;
        for (size_t k = 0; k < FLOWS_PER_FLOW; k++)
            if (f->list[last].links[k] == x->links[n])
                f->list[last].at[k] = x->at[n];
    }
    heap_remove(f, flow);
    f->used_count--;
    f->unused[f->count - f->used_count - 1] = flow;
    share_links_of(f, x);
}

void
flows_weigh(struct flows *f, unsigned flow, uint32_t weight)
{
    f->list[flow].weight = weight;
    f->stale = true;
}

void
flows_rate(struct flows *f, unsigned link, uint64_t bytes_s)
{
    f->links[link].rate = bytes_s;
    f->stale = true;
    share_link(f, &f->links[link]);
}

void
flows_advance(struct flows *f, int64_t now_us)
{
    f->now_us = now_us;
}

/* ---- max-min ---- */

static bool
runs_over(const struct flow *x, size_t link)
{
    bool over = false;
    for (size_t l = 0; l < FLOWS_PER_FLOW; l++)
        over |= x->links[l] == link;
    return over;
}

static void
fix(struct flows *f, uint32_t flow, uint64_t part, uint64_t *room, uint64_t *open)
{
    struct flow *x = &f->list[flow];
    uint64_t rate = part * x->weight;
    x->frozen = true;
    for (size_t l = 0; l < FLOWS_PER_FLOW; l++) {
        if (x->links[l] == FLOWS_NO_LINK)
            continue;
        room[x->links[l]] -= rate;
        open[x->links[l]] -= x->weight;
    }
    set_rate(f, flow, rate);
}

static void
compute(struct flows *f)
{
    uint64_t *room = mem_alloc(f->links_count * sizeof *room);
    uint64_t *open = mem_zalloc(f->links_count * sizeof *open); /* weights not fixed yet */
    for (size_t l = 0; l < f->links_count; l++) {
        room[l] = f->links[l].rate;
        for (uint32_t i = 0; i < f->links[l].count; i++)
            open[l] += f->list[f->links[l].list[i]].weight;
    }
    for (uint32_t i = 0; i < f->count; i++)
        f->list[i].frozen = !f->list[i].used;
    for (uint32_t left = f->used_count; left > 0;) {
        /* The tightest link fixes the rate of all its flows. */
        uint64_t least = UINT64_MAX;
        size_t tight = 0;
        for (size_t l = 0; l < f->links_count; l++)
            if (open[l] > 0 && room[l] / open[l] < least) {
                least = room[l] / open[l];
                tight = l;
            }
        must(least != UINT64_MAX);
        for (uint32_t i = 0; i < f->count; i++) {
            if (f->list[i].frozen || !runs_over(&f->list[i], tight))
                continue;
            fix(f, i, least, room, open);
            left--;
        }
    }
    mem_free(room);
    mem_free(open);
    f->stale = false;
}

/* ---- questions ---- */

int64_t
flows_next_us(struct flows *f, unsigned group)
{
    const struct flows_heap *h = &f->heaps[group];
    if (f->stale && !f->local)
        compute(f);
    if (h->count == 0 || f->list[h->list[0]].due_us == INT64_MAX)
        return INT64_MAX;
    int64_t due_us = f->list[h->list[0]].due_us;
    return due_us > f->now_us ? due_us : f->now_us;
}

int
flows_reached(struct flows *f, unsigned group)
{
    const struct flows_heap *h = &f->heaps[group];
    if (h->count == 0 || f->list[h->list[0]].due_us > f->now_us)
        return -1;
    settle(f, &f->list[h->list[0]]);
    return (int)h->list[0];
}

uint64_t
flows_moved(struct flows *f, unsigned link)
{
    const struct flows_link *l = &f->links[link];
    for (uint32_t i = 0; i < l->count; i++)
        settle(f, &f->list[l->list[i]]);
    return l->moved / MILLION;
}
