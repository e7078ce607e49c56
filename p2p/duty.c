/* What one node fetches over the WAN. */
#include "p2p/duty.h"

#define MS_PER_S 1000
#define WEIGHT   4 /* of the old rate and the new one, 3 : 1 */

void
duty_init(struct duties *r, uint64_t size, uint32_t piece_bytes)
{
    memset(r, 0, sizeof *r);
    r->size = size;
    r->piece_bytes = piece_bytes;
}

static uint64_t
bytes_of(const struct duties *r, const struct duty *a)
{
    uint64_t from = (uint64_t)a->first * r->piece_bytes, to = (uint64_t)a->end * r->piece_bytes;
    uint64_t all = (to < r->size ? to : r->size) - from;
    return a->sip > 0 && a->sip < all ? a->sip : all;
}

struct duty *
duty_add(struct duties *r, const struct wire_grant *g)
{
    for (size_t i = 0; i < DUTIES_MAX; i++) {
        struct duty *a = &r->list[i];
        if (a->phase != DUTY_NONE)
            continue;
        *a = (struct duty){.phase = DUTY_READY,
                           .lease = g->lease,
                           .epoch = g->epoch,
                           .first = g->first,
                           .end = g->first + g->count};
        if (g->source == WIRE_REMOTE_SITE) {
            a->node = g->node;
            a->addr = g->addr;
            r->any_remote = true;
        }
        return a;
    }
    return NULL;
}

static struct duty *
take(struct duties *r, uint32_t first, uint32_t count, bool quiet)
{
    uint32_t id = r->own_ids % DUTY_OWN_IDS + 1;
    struct wire_grant g = {.lease = id, .first = first, .count = count};
    struct duty *a = duty_add(r, &g);
    if (a == NULL)
        return NULL;
    a->quiet = quiet;
    r->own_ids = id;
    return a;
}

bool
duty_take(struct duties *r, uint32_t first, uint32_t count, bool quiet)
{
    return take(r, first, count, quiet) != NULL;
}

bool
duty_sip(struct duties *r, uint32_t piece, uint32_t bytes)
{
    struct duty *a = take(r, piece, 1, true);
    if (a != NULL)
        a->sip = bytes;
    return a != NULL;
}

/* Is it of the one connection upstream? */
static bool
is_upstream_lease(const struct duty *a)
{
    return node_is_none(&a->node) && a->sip == 0;
}

static bool
goes_before(const struct duty *a, const struct duty *b)
{
    bool own = a->lease <= DUTY_OWN_IDS, other_own = b->lease <= DUTY_OWN_IDS;
    return own != other_own ? own : a->first < b->first;
}

struct duty *
duty_ready(struct duties *r)
{
    bool upstream = false;
    for (size_t i = 0; i < DUTIES_MAX; i++)
        upstream = upstream || (r->list[i].phase == DUTY_RUNS && is_upstream_lease(&r->list[i]));
    struct duty *first = NULL;
    for (size_t i = 0; i < DUTIES_MAX; i++) {
        struct duty *a = &r->list[i];
        if (a->phase != DUTY_READY || (upstream && is_upstream_lease(a)))
            continue;
        if (first == NULL || goes_before(a, first))
            first = a;
    }
    return first;
}

struct duty *
duty_running(struct duties *r, uint32_t get)
{
    for (size_t i = 0; i < DUTIES_MAX; i++)
        if (r->list[i].phase == DUTY_RUNS && r->list[i].get == get)
            return &r->list[i];
    return NULL;
}

static bool
is_working(const struct duty *a)
{
    return a->phase == DUTY_READY || a->phase == DUTY_RUNS;
}

unsigned
duty_working(const struct duties *r)
{
    unsigned n = 0;
    for (size_t i = 0; i < DUTIES_MAX; i++)
        n += is_working(&r->list[i]) && r->list[i].sip == 0;
    return n;
}

bool
duty_wants_more(const struct duties *r)
{
    unsigned n = 0;
    bool more = true;
    for (size_t i = 0; i < DUTIES_MAX; i++) {
        const struct duty *a = &r->list[i];
        if (!is_working(a) || a->sip > 0)
            continue;
        n++;
        more = a->ends_soon || r->any_remote;
    }
    return n == 0 || (n == 1 && more);
}

bool
duty_sips(const struct duties *r)
{
    for (size_t i = 0; i < DUTIES_MAX; i++)
        if (is_working(&r->list[i]) && r->list[i].sip > 0)
            return true;
    return false;
}

void
duty_run(struct duty *a, uint32_t get, int64_t now_ms)
{
    must(a->phase == DUTY_READY);
    a->phase = DUTY_RUNS;
    a->get = get;
    a->began_ms = now_ms;
}

void
duty_needless(struct duty *a)
{
    must(a->phase == DUTY_READY);
    a->phase = DUTY_OVER;
    a->state = WIRE_DONE;
}

static struct duty *
find_lease(struct duties *r, uint32_t lease)
{
    for (size_t i = 0; i < DUTIES_MAX; i++) {
        struct duty *a = &r->list[i];
        if (is_working(a) && a->lease == lease)
            return a;
    }
    return NULL;
}

bool
duty_trim(struct duties *r, const struct wire_trim *t, struct duty **ret, uint32_t *ret_end)
{
    struct duty *a = find_lease(r, t->lease);
    if (a == NULL || t->end >= a->end)
        return false;
    if (t->end == 0 && a->phase == DUTY_READY) {
        a->phase = DUTY_NONE;
        return false;
    }
    /* A trim leaves the piece that is arriving; a revocation ends the request there. */
    uint32_t at = a->first + (uint32_t)(a->done_bytes / r->piece_bytes);
    uint32_t end = t->end == 0 ? at : t->end > at ? t->end : at + 1;
    if (end >= a->end)
        return false;
    if (t->end != 0)
        a->end = end;
    *ret = a;
    *ret_end = end;
    return a->phase == DUTY_RUNS;
}

static uint64_t
rate_of(const struct duty *a, int64_t now_ms)
{
    int64_t age_ms = now_ms - a->began_ms;
    return a->done_bytes * MS_PER_S / (uint64_t)(age_ms > 0 ? age_ms : 1);
}

bool
duty_progress(struct duties *r, struct duty *a, uint64_t bytes, int64_t now_ms)
{
    uint64_t all = bytes_of(r, a);
    a->done_bytes = a->done_bytes + bytes < all ? a->done_bytes + bytes : all;
    a->ends_soon = (all - a->done_bytes) * MS_PER_S <= rate_of(a, now_ms) * DUTY_NEXT_LEASE_MS;
    return a->ends_soon;
}

void
duty_end(struct duties *r, struct duty *a, bool busy, int64_t now_ms)
{
    must(a->phase == DUTY_RUNS);
    uint64_t rate = rate_of(a, now_ms);
    if (is_upstream_lease(a))
        r->wan_rate = r->wan_rate == 0 ? rate : (r->wan_rate * (WEIGHT - 1) + rate) / WEIGHT;
    a->state = a->done_bytes == bytes_of(r, a) ? WIRE_DONE : busy ? WIRE_BUSY : WIRE_FAILED;
    a->phase = a->quiet ? DUTY_NONE : DUTY_OVER;
}

static void
give_up(struct duties *r, enum duty_phase from, bool upstream_only)
{
    for (size_t i = 0; i < DUTIES_MAX; i++) {
        if (r->list[i].phase != from || (upstream_only && !node_is_none(&r->list[i].node)))
            continue;
        r->list[i].phase = DUTY_OVER;
        r->list[i].state = WIRE_LEFT;
    }
}

void
duty_refuse(struct duties *r)
{
    give_up(r, DUTY_READY, true);
}

void
duty_rest(struct duties *r)
{
    give_up(r, DUTY_READY, false);
}

void
duty_leave(struct duties *r)
{
    duty_rest(r);
    give_up(r, DUTY_RUNS, false);
}

bool
duty_report(const struct duties *r, size_t *at, struct wire_fetching *ret)
{
    while (*at < DUTIES_MAX) {
        const struct duty *a = &r->list[(*at)++];
        if (a->phase == DUTY_NONE || a->quiet)
            continue;
        ret->epoch = a->epoch;
        ret->lease = a->lease;
        ret->first = a->first;
        ret->count = a->end - a->first;
        ret->done_bytes = a->done_bytes;
        ret->state = a->phase >= DUTY_OVER ? a->state : WIRE_RUNS;
        return true;
    }
    return false;
}

static void
all_go(struct duties *r, enum duty_phase from, enum duty_phase to)
{
    for (size_t i = 0; i < DUTIES_MAX; i++)
        if (r->list[i].phase == from)
            r->list[i].phase = to;
}

void
duty_told(struct duties *r)
{
    all_go(r, DUTY_OVER, DUTY_TOLD);
}

void
duty_taken(struct duties *r)
{
    all_go(r, DUTY_TOLD, DUTY_NONE);
}
