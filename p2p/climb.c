/* Measures the WAN and moves the number of fetchers. */
#include "p2p/climb.h"
#include <string.h>

#define MS_PER_S   1000
#define SAFE_S     4 /* a piece may take that long */
#define WAN_WEIGHT 4 /* of the old estimate and a lower new one, 3 : 1 */
#define HUNDRED    100

void
climb_init(struct climb *c)
{
    *c = (struct climb){.useful = CLIMB_UNKNOWN, .ramps = true};
}

void
climb_bytes(struct climb *c, uint64_t bytes)
{
    c->window_bytes += bytes;
    c->hill_bytes += bytes;
}

void
climb_piece(struct climb *c, uint64_t rate, int64_t now_ms)
{
    if (rate > c->wan)
        c->wan = rate;
    c->piece_ms = now_ms;
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool
grew(uint64_t now, uint64_t before, unsigned percent)
{
    return now * HUNDRED >= before * (HUNDRED + percent);
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Where LAN ports are no faster than the WAN, those who fetch share theirs with what peers give:
 * four do not fill the WAN. */
static uint64_t
plenty(const struct climb *c, uint32_t piece_bytes)
{
    return larger(smaller(c->wan / piece_bytes, CLIMB_PLENTY),
                  smaller(c->wan / CLIMB_FAST_RATE, CLIMB_PLENTY_FAST));
}

unsigned
climb_limit(const struct climb *c, uint32_t piece_bytes, int64_t now_ms)
{
    uint64_t limit = CLIMB_UNKNOWN;
    if (c->wan > 0) {
        uint64_t useful = smaller(c->useful, c->wan * SAFE_S / piece_bytes);
        limit = larger(plenty(c, piece_bytes), larger(useful, 1));
    }
    int64_t since_ms = now_ms - (c->piece_ms > c->busy_ms ? c->piece_ms : c->busy_ms);
    if (c->active > 0 && since_ms >= CLIMB_STALL_MS)
        limit += 1 + (uint64_t)((since_ms - CLIMB_STALL_MS) / CLIMB_STALLED_MS);
    limit += c->more + c->poor;
    return (unsigned)smaller(limit, CLIMB_MAX);
}

bool
climb_full(const struct climb *c)
{
    return c->last_rate * HUNDRED >= c->wan * CLIMB_FULL_PERCENT && c->wan > 0;
}

/* Twice as many, when that brought more last time and endangers no piece; not while connections
 * that have just begun bring more by themselves. */
static void
ramp(struct climb *c, uint64_t rate, uint32_t piece_bytes)
{
    if (!c->doubled && grew(rate, c->before_rate, CLIMB_STEADY_PERCENT)) {
        c->before_rate = rate;
        return;
    }
    if (c->doubled && !grew(rate, c->before_rate, CLIMB_RAMP_PERCENT)) {
        c->useful /= 2;
        c->ramps = false;
        return;
    }
    c->doubled = c->active >= c->useful && 2 * c->useful <= CLIMB_MAX &&
                 (uint64_t)2 * c->useful * piece_bytes <= rate * SAFE_S;
    c->before_rate = rate;
    if (c->doubled)
        c->useful *= 2;
}

/* Are more worth a try? Not where there are not even as many as may be, nor where each would take
 * too long for a piece. */
static bool
may_add(const struct climb *c, uint64_t rate, uint32_t piece_bytes, int64_t now_ms)
{
    unsigned limit = climb_limit(c, piece_bytes, now_ms);
    return rate * HUNDRED < c->best_rate * CLIMB_LESS_PERCENT && c->active >= limit &&
           limit + CLIMB_STEP <= CLIMB_MAX &&
           (uint64_t)(limit + CLIMB_STEP) * piece_bytes <= rate * SAFE_S;
}

static bool
move_was_good(const struct climb *c, uint64_t rate)
{
    return c->fewer ? !grew(c->hill_rate, rate, CLIMB_PERCENT)
                    : grew(rate, c->hill_rate, CLIMB_PERCENT);
}

static void
move(struct climb *c, bool fewer)
{
    c->more = fewer ? c->more - CLIMB_STEP : c->more + CLIMB_STEP;
}

/* A move, judged after CLIMB_MS: a good one is followed by another; after a bad one, which is taken
 * back, all stays for CLIMB_REST_MS, then the other direction is tried. */
static void
hill(struct climb *c, uint32_t piece_bytes, int64_t now_ms)
{
    if (now_ms - c->hill_ms < (c->rests ? CLIMB_REST_MS : CLIMB_MS))
        return;
    uint64_t rate = c->hill_bytes * MS_PER_S / (uint64_t)(now_ms - c->hill_ms);
    bool bad = c->trying && !move_was_good(c, rate);
    if (bad)
        move(c, !c->fewer);
    if (bad && !c->fewer)
        c->best_rate = rate; /* more brought nothing: this is what the WAN carries now */
    c->hill_ms = now_ms;
    c->hill_bytes = 0;
    c->hill_rate = rate;
    c->best_rate = larger(c->best_rate, rate);
    c->rests = bad;
    c->trying = !bad && (c->fewer ? c->more > 0 : may_add(c, rate, piece_bytes, now_ms));
    if (c->trying)
        move(c, c->fewer);
    else
        c->fewer = !c->fewer && c->more > 0;
}

/* Of each that fetches: who brings less may be slow, and others not. */
static uint64_t
poor_rate(const struct climb *c, uint32_t piece_bytes)
{
    uint64_t slow = (uint64_t)piece_bytes * MS_PER_S / CLIMB_PROVE_MS;
    return c->unproven ? larger(slow, CLIMB_POOR_RATE) : CLIMB_POOR_RATE;
}

static void
open_window(struct climb *c, int64_t now_ms)
{
    c->window_ms = now_ms;
    c->window_bytes = 0;
}

void
climb_tick(struct climb *c, int64_t now_ms, unsigned active, uint32_t piece_bytes)
{
    bool was_active = c->active > 0;
    c->active = active;
    if (active == 0) {
        if (was_active)
            c->idle_ms = now_ms;
        return;
    }
    if (!was_active) {
        if (c->trying)
            move(c, !c->fewer); /* nobody judged it */
        if (now_ms - c->idle_ms >= CLIMB_IDLE_MS) {
            c->ramps = true;
            c->more = 0;
            c->best_rate = 0;
        }
        c->doubled = c->trying = c->fewer = c->rests = false;
        c->last_rate = 0;
        c->poor = 0;
        c->busy_ms = c->hill_ms = now_ms;
        c->hill_bytes = 0;
        open_window(c, now_ms);
        return;
    }
    hill(c, piece_bytes, now_ms);
    if (now_ms - c->window_ms < CLIMB_WINDOW_MS)
        return;
    uint64_t rate = c->window_bytes * MS_PER_S / (uint64_t)(now_ms - c->window_ms);
    open_window(c, now_ms);
    c->last_rate = rate;
    if (rate >= poor_rate(c, piece_bytes) * active)
        c->poor = 0;
    else if (c->poor < CLIMB_POOR_MAX)
        c->poor += CLIMB_POOR_STEP;
    c->wan = rate > c->wan ? rate : (c->wan * (WAN_WEIGHT - 1) + rate) / WAN_WEIGHT;
    if (c->ramps && rate > 0)
        ramp(c, rate, piece_bytes);
}
