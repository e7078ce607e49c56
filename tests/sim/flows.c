/* Max-min fair sharing by progressive filling, or equal shares of each link. A flow is looked at
 * when its rate changes, not when time passes. */
#include "tests/sim/flows.h"
#include "base/mem.h"
#include <string.h>

#define MILLION 1000000u

void
flows_init(struct flows *f, unsigned links, bool local)
{
    *f = (struct flows){.local = local, .links_count = links};
    f->links = mem_zalloc(links * sizeof *f->links);
}

void
flows_release(struct flows *f)
{
    for (unsigned l = 0; l < f->links_count; l++)
        mem_free(f->links[l].list);
    mem_free(f->links);
    mem_free(f->list);
    mem_free(f->heap);
}

/* ---- the heap of marks ---- */

static bool
earlier(const struct flows *f, uint32_t a, uint32_t b)
{
    int64_t x = f->list[a].due_us, y = f->list[b].due_us;
    return x != y ? x < y : a < b;
}

static void
place(struct flows *f, uint32_t at, uint32_t flow)
{
    f->heap[at] = flow;
    f->list[flow].heap_at = at;
}

/* The flow at that place may have become earlier or later. */
static void
sift(struct flows *f, uint32_t at)
{
    uint32_t flow = f->heap[at];
    for (; at > 0 && earlier(f, flow, f->heap[(at - 1) / 2]); at = (at - 1) / 2)
        place(f, at, f->heap[(at - 1) / 2]);
    for (uint32_t child; (child = 2 * at + 1) < f->heap_count; at = child) {
        if (child + 1 < f->heap_count && earlier(f, f->heap[child + 1], f->heap[child]))
            child++;
        if (!earlier(f, f->heap[child], flow))
            break;
        place(f, at, f->heap[child]);
    }
    place(f, at, flow);
}

/* ---- one flow ---- */

static void
set_due(struct flows *f, uint32_t flow)
{
    struct flow *x = &f->list[flow];
    x->due_us = x->left == 0   ? x->settled_us
                : x->rate == 0 ? INT64_MAX
                               : x->settled_us + (int64_t)((x->left + x->rate - 1) / x->rate);
    sift(f, x->heap_at);
}

/* What it moved since it was looked at last. */
static void
settle(struct flows *f, struct flow *x)
{
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
    if (f->local && f->heap_count < f->count)
        return f->heap[f->heap_count];
    while (i < f->count && f->list[i].used)
        i++;
    if (i < f->count)
        return i;
    if (f->count == f->cap) {
        f->cap = f->cap > 0 ? 2 * f->cap : 256;
        f->list = mem_realloc(f->list, f->cap * sizeof *f->list);
        f->heap = mem_realloc(f->heap, f->cap * sizeof *f->heap);
    }
    f->heap[f->count] = f->count;
    return f->count++;
}

unsigned
flows_add(struct flows *f, const uint32_t links[FLOWS_PER_FLOW], uint64_t bytes, uint64_t owner)
{
    uint32_t i = unused(f);
    struct flow *x = &f->list[i];
    *x = (struct flow){.used = true,
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
    place(f, f->heap_count++, i);
    sift(f, x->heap_at);
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
    uint32_t at = x->heap_at, moved = f->heap[--f->heap_count];
    f->heap[f->heap_count] = flow;
    if (moved != flow) {
        place(f, at, moved);
        sift(f, at);
    }
    share_links_of(f, x);
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
fix(struct flows *f, uint32_t flow, uint64_t rate, uint64_t *room, unsigned *open)
{
    struct flow *x = &f->list[flow];
    x->frozen = true;
    for (size_t l = 0; l < FLOWS_PER_FLOW; l++) {
        if (x->links[l] == FLOWS_NO_LINK)
            continue;
        room[x->links[l]] -= rate;
        open[x->links[l]]--;
    }
    set_rate(f, flow, rate);
}

static void
compute(struct flows *f)
{
    uint64_t *room = mem_alloc(f->links_count * sizeof *room);
    unsigned *open = mem_alloc(f->links_count * sizeof *open);
    for (size_t l = 0; l < f->links_count; l++) {
        room[l] = f->links[l].rate;
        open[l] = f->links[l].count;
    }
    for (uint32_t i = 0; i < f->count; i++)
        f->list[i].frozen = !f->list[i].used;
    for (uint32_t left = f->heap_count; left > 0;) {
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
flows_next_us(struct flows *f)
{
    if (f->stale && !f->local)
        compute(f);
    if (f->heap_count == 0 || f->list[f->heap[0]].due_us == INT64_MAX)
        return INT64_MAX;
    int64_t due_us = f->list[f->heap[0]].due_us;
    return due_us > f->now_us ? due_us : f->now_us;
}

int
flows_reached(struct flows *f)
{
    if (f->heap_count == 0 || f->list[f->heap[0]].due_us > f->now_us)
        return -1;
    settle(f, &f->list[f->heap[0]]);
    return (int)f->heap[0];
}

uint64_t
flows_moved(struct flows *f, unsigned link)
{
    const struct flows_link *l = &f->links[link];
    for (uint32_t i = 0; i < l->count; i++)
        settle(f, &f->list[l->list[i]]);
    return l->moved / MILLION;
}
