/* The value rule, the heap of values, and what is remembered of blobs that are gone. */
#include "cache/evict.h"
#include "base/mem.h"
#include <math.h>
#include <string.h>

#define NEVER      (-1e6f) /* log2 of a counter that is 0 */
#define LEARN_FROM 20.0    /* bursts before what was learned counts for half */
#define LEARN_MAX  1000.0  /* bursts; then older ones fade */
#define LAG_UNIT   256.0
#define AHEAD_OF   500.0 /* requests that `ahead` is a mean of */
#define AHEAD_MIN  0.16  /* before values are made of them; they stay so above the half */
#define RARE       1.0   /* requests a day; of what is rarer fast counters know nothing */

/* ---- counters ---- */

static double
halves(const struct evict *x, uint32_t now_s)
{
    return ((double)now_s - (double)x->epoch_s) / EVICT_HALF_S;
}

/* log2 at the epoch of the counter that values are made of; all of these halve alike, too. */
static double
heat_of(const struct evict *x, const struct evict_blob *b)
{
    if (!x->fast || b->asked_s == 0)
        return (double)b->heat;
    return (double)b->heat - (double)b->lag / LAG_UNIT + (EVICT_FAST - 1) * halves(x, b->asked_s);
}

static double
halves_of_values(const struct evict *x, uint32_t now_s)
{
    return halves(x, now_s) * (x->fast ? EVICT_FAST : 1);
}

/* Both counters at now_s. */
struct counters {
    double slow, fast;
};

static struct counters
counters_of(const struct evict *x, const struct evict_ghost *g, uint32_t now_s)
{
    double at = halves(x, now_s), since = g->asked_s == 0 ? 0 : at - halves(x, g->asked_s);
    double slow = (double)g->heat - at;
    return (struct counters){exp2(slow),
                             exp2(slow - (double)g->lag / LAG_UNIT - since * (EVICT_FAST - 1))};
}

/* One more request, which came so long after the one before (0: there was none). */
static void
warm(const struct evict *x, struct evict_ghost *g, uint32_t now_s)
{
    struct counters c = counters_of(x, g, now_s);
    double since_s = now_s > g->asked_s ? (double)(now_s - g->asked_s) : 0;
    double weight = g->asked_s == 0 || since_s >= EVICT_BURST_S ? 1 : since_s / EVICT_BURST_S;
    double slow = c.slow + weight, fast = c.fast + weight;
    g->heat = slow > 0 ? (float)(halves(x, now_s) + log2(slow)) : NEVER;
    g->lag = fast > 0 ? (uint16_t)fmin(fmax(log2(slow / fast), 0) * LAG_UNIT, UINT16_MAX) : 0;
}

/* A day's requests that a counter makes expect; it is new at the epoch. */
static double
rate(const struct evict *x, double c, double fast, uint32_t now_s)
{
    double full = 1 - exp2(-halves(x, now_s) * fast);
    return full > 0 ? c * M_LN2 * fast / full : 0;
}

/* Which of the counters foretold this request of this node better? (Of others only those are heard
 * who lack the blob, which come in swarms.) The sum of all rates is the same for both, so the mean
 * logarithm of the rate of what came tells (the likelihood of a Poisson process). */
static void
compare(struct evict *x, const struct counters *c, uint32_t now_s)
{
    double slow = rate(x, c->slow, 1, now_s), fast = rate(x, c->fast, EVICT_FAST, now_s);
    x->ahead += (log2((fast + RARE) / (slow + RARE)) - x->ahead) / AHEAD_OF;
}

/* Learns how often others follow who asks first, beyond what c lets expect. Returns `again` as it
 * is with the request that came now. */
static bool
learn(struct evict *x, const struct evict_ghost *before, bool own, uint32_t now_s)
{
    bool begins = before->asked_s == 0 || now_s - before->asked_s > EVICT_BURST_S;
    bool again = before->again;
    if (!begins && (now_s - before->asked_s < EVICT_SAME_S || (own && before->own)))
        return again;
    if (begins) {
        struct counters c = counters_of(x, before, now_s);
        if (own)
            compare(x, &c, now_s);
        x->bursts++;
        x->expected += 1 - exp(-c.slow * M_LN2 * EVICT_BURST_S / EVICT_HALF_S);
    } else if (!again) {
        x->followed++;
    }
    if (x->bursts > LEARN_MAX) {
        x->bursts /= 2;
        x->expected /= 2;
        x->followed /= 2;
    }
    return !begins;
}

/* What probation adds to c: the requests that a newcomer's next minutes promise, at their rate. */
static double
promise(const struct evict *x)
{
    double more = x->followed - x->expected;
    double chance = more > 0 ? more / (x->bursts + LEARN_FROM) : 0;
    return chance * EVICT_HALF_S / (x->fast ? EVICT_FAST : 1) / EVICT_BURST_S / M_LN2;
}

static double
worth(const struct evict *x, const struct evict_blob *b, uint32_t now_s)
{
    double heat = heat_of(x, b);
    if (b->twin)
        return (double)NEVER;
    if (b->young && b->copies == 1) {
        double at = halves_of_values(x, now_s);
        double c = exp2(heat - at) + promise(x);
        heat = c > 0 ? at + log2(c) : (double)NEVER;
    }
    double size = b->size > 0 ? (double)b->size : 1;
    return heat + log2(EVICT_LAN + (1 + EVICT_A / size) * pow(EVICT_GONE, b->copies - 1));
}

/* ---- the heaps ---- */

/* Does a leave before b? */
static bool
before(const struct evict_blob *a, const struct evict_blob *b)
{
    return a->key != b->key ? a->key < b->key : (int32_t)(a->order - b->order) < 0;
}

static struct evict_heap *
heap_of(struct evict *x, const struct evict_blob *b)
{
    return b->size < EVICT_SMALL ? &x->small : &x->large;
}

static void
put(struct evict_heap *h, size_t slot, struct evict_blob *b)
{
    h->list[slot] = b;
    b->slot = (uint32_t)slot;
}

static void
sift(struct evict_heap *h, struct evict_blob *b)
{
    size_t at = b->slot;
    for (; at > 1 && before(b, h->list[at / 2]); at /= 2)
        put(h, at, h->list[at / 2]);
    for (size_t child; (child = 2 * at) <= h->count; at = child) {
        if (child < h->count && before(h->list[child + 1], h->list[child]))
            child++;
        if (!before(h->list[child], b))
            break;
        put(h, at, h->list[child]);
    }
    put(h, at, b);
}

/* In or out of what others have, too. */
static void
count_spare(struct evict *x, struct evict_blob *b, bool spare)
{
    x->spare_bytes += spare ? b->size : 0;
    x->spare_bytes -= b->spare ? b->size : 0;
    b->spare = spare;
}

static void
heap_remove(struct evict_heap *h, struct evict_blob *b)
{
    if (b->slot == 0)
        return;
    struct evict_blob *last = h->list[h->count--];
    if (last != b) {
        last->slot = b->slot;
        sift(h, last);
    }
    b->slot = 0;
}

/* Its value, or whether it may leave, has changed. */
static void
place(struct evict *x, struct evict_blob *b, uint32_t now_s)
{
    struct evict_heap *h = heap_of(x, b);
    count_spare(x, b, !b->held && (b->twin || (b->told && b->copies > 1)));
    if (b->held) {
        heap_remove(h, b);
        return;
    }
    if (b->slot == 0) {
        if (h->count + 1 >= h->cap) {
            h->cap = h->cap + h->cap / 8 + 64;
            h->list = mem_realloc(h->list, h->cap * sizeof(struct evict_blob *));
        }
        b->slot = (uint32_t)++h->count;
    }
    b->key = (float)worth(x, b, now_s);
    sift(h, b);
}

/* ---- probation ---- */

static void
forget_young(struct evict *x, size_t i)
{
    struct evict_blob *b = x->young[i];
    b->young = false;
    x->young_bytes -= b->size;
    x->young_count--;
    memmove(&x->young[i], &x->young[i + 1], (x->young_count - i) * sizeof(struct evict_blob *));
}

static void
leave_probation(struct evict *x, const struct evict_blob *b)
{
    for (size_t i = 0; b->young && i < x->young_count; i++)
        if (x->young[i] == b)
            forget_young(x, i);
}

static bool
is_proven(const struct evict *x, const struct evict_blob *b, uint32_t now_s)
{
    return now_s - b->asked_s > EVICT_BURST_S ||
           x->young_bytes > x->limit_bytes / 100 * EVICT_PROBATION;
}

static void
rebuild(struct evict *x, struct evict_heap *h, uint32_t now_s)
{
    size_t count = h->count;
    for (h->count = 0; h->count < count;) {
        struct evict_blob *b = h->list[h->count + 1];
        b->key = (float)worth(x, b, now_s);
        put(h, ++h->count, b);
        sift(h, b);
    }
}

/* Values are made of the counters that foretold better. */
static void
adapt(struct evict *x, uint32_t now_s)
{
    bool fast = x->ahead > (x->fast ? AHEAD_MIN / 2 : AHEAD_MIN);
    if (fast == x->fast || now_s - x->since_s < EVICT_MIND_S)
        return;
    x->fast = fast;
    x->since_s = now_s;
    rebuild(x, &x->large, now_s);
    rebuild(x, &x->small, now_s);
}

void
evict_settle(struct evict *x, uint32_t now_s)
{
    adapt(x, now_s);
    for (size_t i = 0; i < x->young_count;) {
        struct evict_blob *b = x->young[i];
        if (!is_proven(x, b, now_s)) {
            i++;
            continue;
        }
        forget_young(x, i);
        place(x, b, now_s);
    }
}

/* ---- what is gone ---- */

/* The memory of that name; without one NULL, or the place of what is coldest. */
static struct evict_ghost *
ghost_of(const struct evict *x, uint64_t name, bool or_coldest)
{
    struct evict_ghost *set = &x->ghosts[name % EVICT_GHOST_SETS * EVICT_GHOST_WAYS];
    uint32_t mark = (uint32_t)(name >> 32);
    struct evict_ghost *coldest = set;
    for (size_t i = 0; i < EVICT_GHOST_WAYS; i++) {
        if (set[i].asked_s != 0 && set[i].mark == mark)
            return &set[i];
        if (coldest->asked_s != 0 && (set[i].asked_s == 0 || set[i].heat < coldest->heat))
            coldest = &set[i];
    }
    return or_coldest ? coldest : NULL;
}

static void
remember(struct evict *x, uint64_t name, const struct evict_ghost *what)
{
    struct evict_ghost *g = ghost_of(x, name, true);
    *g = *what;
    g->mark = (uint32_t)(name >> 32);
}

static void
recall(const struct evict *x, uint64_t name, struct evict_ghost *ret)
{
    const struct evict_ghost *g = ghost_of(x, name, false);
    *ret = g != NULL ? *g : (struct evict_ghost){.heat = NEVER};
}

static struct evict_ghost
known(const struct evict_blob *b)
{
    return (struct evict_ghost){0, b->heat, b->asked_s, b->lag, b->again, b->own};
}

/* ---- the front ---- */

void
evict_init(struct evict *x, uint32_t now_s)
{
    *x = (struct evict){.epoch_s = now_s, .since_s = now_s};
    x->ghosts = mem_zalloc(sizeof *x->ghosts * EVICT_GHOST_SETS * EVICT_GHOST_WAYS);
}

void
evict_release(struct evict *x)
{
    mem_free(x->large.list);
    mem_free(x->small.list);
    mem_free(x->ghosts);
    *x = (struct evict){0};
}

void
evict_limit(struct evict *x, uint64_t bytes)
{
    x->limit_bytes = bytes;
}

void
evict_add(struct evict *x, struct evict_blob *b, uint64_t name, uint32_t now_s)
{
    struct evict_ghost g;
    must(b->slot == 0 && !b->young && b->copies >= 1);
    recall(x, name, &g);
    b->own = g.own;
    b->heat = g.heat;
    b->lag = g.lag;
    b->order = x->next_order++;
    b->asked_s = g.asked_s;
    b->again = g.again;
    x->small_bytes += b->size < EVICT_SMALL ? b->size : 0;
    if (x->young_count == EVICT_YOUNG_MAX) {
        struct evict_blob *oldest = x->young[0];
        forget_young(x, 0);
        place(x, oldest, now_s);
    }
    if (b->asked_s != 0 && now_s - b->asked_s <= EVICT_BURST_S &&
        b->size <= x->limit_bytes / 100 * EVICT_PROBATION) {
        b->young = true;
        x->young[x->young_count++] = b;
        x->young_bytes += b->size;
    }
    place(x, b, now_s);
}

void
evict_remove(struct evict *x, struct evict_blob *b, uint64_t name)
{
    leave_probation(x, b);
    heap_remove(heap_of(x, b), b);
    count_spare(x, b, false);
    x->small_bytes -= b->size < EVICT_SMALL ? b->size : 0;
    struct evict_ghost g = known(b);
    remember(x, name, &g);
}

/* One request more. */
static void
count(struct evict *x, struct evict_ghost *g, enum evict_who who, uint32_t now_s)
{
    bool own = who == EVICT_SELF;
    g->again = learn(x, g, own, now_s);
    warm(x, g, now_s);
    g->asked_s = now_s;
    g->own = own;
}

void
evict_asked(struct evict *x, struct evict_blob *b, enum evict_who who, uint32_t now_s)
{
    struct evict_ghost g = known(b);
    count(x, &g, who, now_s);
    b->heat = g.heat;
    b->lag = g.lag;
    b->asked_s = g.asked_s;
    b->again = g.again;
    b->own = g.own;
    b->order = x->next_order++;
    place(x, b, now_s);
}

void
evict_asked_absent(struct evict *x, uint64_t name, enum evict_who who, uint32_t now_s)
{
    struct evict_ghost g;
    recall(x, name, &g);
    count(x, &g, who, now_s);
    remember(x, name, &g);
}

void
evict_copies(struct evict *x, struct evict_blob *b, unsigned copies, uint32_t now_s)
{
    b->told = true;
    b->copies = copies < 1 ? 1 : copies < UINT8_MAX ? (uint8_t)copies : UINT8_MAX;
    place(x, b, now_s);
}

void
evict_hold(struct evict *x, struct evict_blob *b, bool held, uint32_t now_s)
{
    b->held = held;
    place(x, b, now_s);
}

void
evict_twin(struct evict *x, struct evict_blob *b, bool twin, uint32_t now_s)
{
    b->twin = twin;
    if (twin)
        leave_probation(x, b);
    place(x, b, now_s);
}

void
evict_restore(struct evict *x, struct evict_blob *b, double c, uint32_t asked_s, uint32_t now_s)
{
    double at = halves(x, now_s);
    if (c > 0 && at + log2(c) > (double)b->heat)
        b->heat = (float)(at + log2(c));
    if (asked_s > b->asked_s)
        b->asked_s = asked_s;
    place(x, b, now_s);
}

void
evict_restore_absent(struct evict *x, uint64_t name, double c, uint32_t asked_s, uint32_t now_s)
{
    struct evict_ghost g;
    recall(x, name, &g);
    double at = halves(x, now_s);
    if (c > 0 && at + log2(c) > (double)g.heat)
        g.heat = (float)(at + log2(c));
    if (asked_s > g.asked_s)
        g.asked_s = asked_s;
    if (g.asked_s == 0) /* not known: not lately */
        g.asked_s = now_s > EVICT_BURST_S ? now_s - EVICT_BURST_S : 1;
    remember(x, name, &g);
}

double
evict_c(const struct evict *x, const struct evict_blob *b, uint32_t now_s)
{
    return exp2((double)b->heat - halves(x, now_s));
}

double
evict_value(const struct evict *x, const struct evict_blob *b, uint32_t now_s)
{
    return worth(x, b, now_s);
}

double
evict_value_now(const struct evict *x, const struct evict_blob *b, uint32_t now_s)
{
    return exp2(worth(x, b, now_s) - halves_of_values(x, now_s)) * (x->fast ? EVICT_FAST : 1);
}

double
evict_value_absent(const struct evict *x, uint64_t name, uint64_t size, unsigned copies,
                   uint32_t now_s)
{
    struct evict_ghost g;
    recall(x, name, &g);
    struct evict_blob b = {.size = size,
                           .heat = g.heat,
                           .lag = g.lag,
                           .asked_s = g.asked_s,
                           .copies = (uint8_t)copies};
    b.young = size <= x->limit_bytes / 100 * EVICT_PROBATION;
    return worth(x, &b, now_s) + log2(EVICT_WELCOME);
}

/* ---- the choice ---- */

/* Slots whose parents were taken, a heap of its own: the next one is among them. */
struct frontier {
    const struct evict_heap *heap;
    size_t count;
    uint32_t *slots;
};

static const struct evict_blob *
blob_at(const struct frontier *f, size_t i)
{
    return f->heap->list[f->slots[i]];
}

static void
frontier_push(struct frontier *f, size_t slot)
{
    if (slot > f->heap->count)
        return;
    size_t at = f->count++;
    f->slots[at] = (uint32_t)slot;
    for (; at > 0 && before(blob_at(f, at), blob_at(f, (at - 1) / 2)); at = (at - 1) / 2) {
        uint32_t up = f->slots[at];
        f->slots[at] = f->slots[(at - 1) / 2];
        f->slots[(at - 1) / 2] = up;
    }
}

static struct evict_blob *
frontier_pop(struct frontier *f)
{
    struct evict_blob *least = f->heap->list[f->slots[0]];
    f->slots[0] = f->slots[--f->count];
    for (size_t at = 0, child; (child = 2 * at + 1) < f->count; at = child) {
        if (child + 1 < f->count && before(blob_at(f, child + 1), blob_at(f, child)))
            child++;
        if (!before(blob_at(f, child), blob_at(f, at)))
            break;
        uint32_t down = f->slots[at];
        f->slots[at] = f->slots[child];
        f->slots[child] = down;
    }
    frontier_push(f, (size_t)least->slot * 2);
    frontier_push(f, (size_t)least->slot * 2 + 1);
    return least;
}

/* What the site loses with it, in units of what a byte of value 2^base costs. */
static double
loss(const struct evict_blob *b, double base)
{
    return exp2((double)b->key - base) * (double)b->size;
}

/* Moves the base of two losses up to `key` before 2^(key - base) would be infinite: what was never
 * asked for, or not for a year, is worth nothing beside it. */
#define BASE_SPAN 500
static void
raise_base(double key, double *base, double *lost, double *best)
{
    if (key - *base < BASE_SPAN)
        return;
    double scale = exp2(*base - key);
    *base = key;
    *lost *= scale;
    if (isfinite(*best))
        *best *= scale;
}

/* The least loss that frees enough is a knapsack's; this takes at most twice that: least value
 * first, but whatever would free more than is needed only ends a set, and the cheapest set counts
 * (Csirik et al., Heuristics for the 0-1 min-knapsack problem, 1991). */
static size_t
choose(const struct evict_heap *h, uint64_t need_bytes, double below, size_t max,
       struct evict_blob **ret, uint64_t *ret_bytes)
{
    uint32_t slots[EVICT_CHOOSE_MAX + 2];
    struct frontier f = {.heap = h, .slots = slots};
    struct evict_blob *last = NULL; /* ends the best set, behind the first last_at of ret */
    double best = (double)INFINITY, lost = 0, base = 0;
    uint64_t bytes = 0;
    size_t count = 0, last_at = 0, seen = 0;
    frontier_push(&f, 1);
    base = f.count > 0 ? (double)blob_at(&f, 0)->key : 0;
    while (f.count > 0 && seen++ < max && bytes < need_bytes) {
        double key = (double)blob_at(&f, 0)->key;
        raise_base(key, &base, &lost, &best);
        if (key >= below || lost + exp2(key - base) * (double)(need_bytes - bytes) >= best)
            break;
        struct evict_blob *b = frontier_pop(&f);
        if (b->size < need_bytes - bytes) {
            lost += loss(b, base);
            bytes += b->size;
            ret[count++] = b;
        } else if (lost + loss(b, base) < best) {
            best = lost + loss(b, base);
            last = b;
            last_at = count;
        }
    }
    if (last != NULL) {
        for (count = 0, bytes = 0; count < last_at; count++)
            bytes += ret[count]->size;
        ret[count++] = last;
        bytes += last->size;
    }
    *ret_bytes = bytes;
    return count;
}

size_t
evict_choose(const struct evict *x, uint64_t need_bytes, double below,
             struct evict_blob *ret[EVICT_CHOOSE_MAX], uint64_t *ret_bytes)
{
    uint64_t share = x->limit_bytes / 100 * EVICT_SMALL_PART;
    uint64_t over = x->small_bytes > share ? x->small_bytes - share : 0, bytes;
    if (over > need_bytes)
        over = need_bytes;
    size_t count = choose(&x->small, over, below, EVICT_CHOOSE_MAX, ret, ret_bytes);
    if (*ret_bytes >= need_bytes)
        return count;
    count += choose(&x->large, need_bytes - *ret_bytes, below, EVICT_CHOOSE_MAX - count,
                    ret + count, &bytes);
    *ret_bytes += bytes;
    if (*ret_bytes >= need_bytes || count == EVICT_CHOOSE_MAX)
        return count;
    count = choose(&x->large, need_bytes, below, EVICT_CHOOSE_MAX, ret, ret_bytes);
    count += choose(&x->small, need_bytes - *ret_bytes, below, EVICT_CHOOSE_MAX - count,
                    ret + count, &bytes);
    *ret_bytes += bytes;
    return count;
}

struct evict_blob *
evict_cheapest(const struct evict *x)
{
    struct evict_blob *chosen[EVICT_CHOOSE_MAX];
    const struct evict_heap *h = x->large.count > 0 ? &x->large : &x->small;
    uint64_t bytes;
    size_t count = choose(h, 1, (double)INFINITY, EVICT_CHOOSE_MAX, chosen, &bytes);
    return count > 0 ? chosen[0] : NULL;
}

static void
list(const struct evict_heap *h, uint64_t need_bytes, struct evict_blob **ret, size_t *count,
     uint64_t *bytes)
{
    struct frontier f = {.heap = h, .slots = mem_alloc((h->count + 2) * sizeof f.slots[0])};
    frontier_push(&f, 1);
    while (f.count > 0 && *bytes < need_bytes) {
        ret[*count] = frontier_pop(&f);
        *bytes += ret[(*count)++]->size;
    }
    mem_free(f.slots);
}

size_t
evict_list(const struct evict *x, uint64_t need_bytes, struct evict_blob ***ret)
{
    size_t count = 0;
    uint64_t bytes = 0;
    *ret = mem_alloc((x->large.count + x->small.count + 1) * sizeof(struct evict_blob *));
    list(&x->large, need_bytes, *ret, &count, &bytes);
    list(&x->small, need_bytes, *ret, &count, &bytes);
    return count;
}
