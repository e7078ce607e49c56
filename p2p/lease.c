/* The book of leases of one blob.
 *
 * Invariants:
 *  1. of[] names a running lease exactly for the pieces first .. end-1 of it: no piece has two.
 *  2. phase moves along the table only.
 *  3. end_wanted <= end; it is smaller only while a trim waits for its holder. */
#include "p2p/lease.h"
#include "p2p/tuning.h"
#include <string.h>

#define TO(phase) (1u << LEASE_##phase)
static const unsigned may_go[LEASE_PHASES] = {
    [LEASE_FREE] = TO(GRANTED),
    [LEASE_GRANTED] = TO(ACTIVE) | TO(DONE) | TO(REVOKED) | TO(EXPIRED),
    [LEASE_ACTIVE] = TO(DONE) | TO(REVOKED) | TO(EXPIRED),
    [LEASE_DONE] = TO(FREE),
    [LEASE_REVOKED] = TO(FREE),
    [LEASE_EXPIRED] = TO(FREE),
};

bool
lease_may_go(enum lease_phase from, enum lease_phase to)
{
    must((unsigned)from < LEASE_PHASES && (unsigned)to < LEASE_PHASES);
    return (may_go[from] >> (unsigned)to & 1) != 0;
}

static void
go(struct lease *l, enum lease_phase to)
{
    must(lease_may_go(l->phase, to));
    l->phase = to;
}

void
lease_init(struct lease_book *b, uint64_t size, uint32_t piece_bytes, uint32_t pieces, uint8_t *of)
{
    memset(b, 0, sizeof *b);
    b->size = size;
    b->piece_bytes = piece_bytes;
    b->pieces = pieces;
    b->of = of;
}

uint64_t
lease_piece_len(const struct lease_book *b, uint32_t piece)
{
    must(piece < b->pieces);
    uint64_t rest = b->size - (uint64_t)piece * b->piece_bytes;
    return rest < b->piece_bytes ? rest : b->piece_bytes;
}

uint64_t
lease_bytes(const struct lease_book *b, const struct lease *l)
{
    return (uint64_t)(l->end - l->first - 1) * b->piece_bytes + lease_piece_len(b, l->end - 1);
}

bool
lease_running(const struct lease *l)
{
    return l->phase == LEASE_GRANTED || l->phase == LEASE_ACTIVE;
}

static void
set_expiry(const struct lease_book *b, struct lease *l, int64_t now_ms)
{
    uint64_t rate = l->rate > 0 ? l->rate : LEASE_RATE_GUESS;
    int64_t limit_ms = (int64_t)(lease_bytes(b, l) * 1000 * LEASE_EXPIRY_F / rate);
    l->expiry_ms = now_ms + (limit_ms > LEASE_EXPIRY_MS ? limit_ms : LEASE_EXPIRY_MS);
}

struct lease *
lease_grant(struct lease_book *b, unsigned node, uint32_t first, uint32_t count, uint64_t rate,
            int64_t now_ms)
{
    must(count > 0 && first < b->pieces && count <= b->pieces - first);
    unsigned i = 0;
    while (i < LEASES_MAX && b->list[i].phase != LEASE_FREE)
        i++;
    if (i == LEASES_MAX)
        return NULL;
    struct lease *l = &b->list[i];
    *l = (struct lease){.phase = LEASE_FREE,
                        .node = node,
                        .first = first,
                        .end = first + count,
                        .end_wanted = first + count,
                        .granted_ms = now_ms,
                        .reported_ms = now_ms,
                        .piece_ms = now_ms,
                        .rate = rate,
                        .order = ++b->orders};
    set_expiry(b, l, now_ms);
    go(l, LEASE_GRANTED);
    b->used = i < b->used ? b->used : i + 1;
    for (uint32_t p = first; p < first + count; p++) {
        must(b->of[p] == 0);
        b->of[p] = (uint8_t)(i + 1);
    }
    return l;
}

void
lease_begun(const struct lease_book *b, struct lease *l, uint64_t done_bytes)
{
    must(l->phase == LEASE_GRANTED && l->done_bytes == 0);
    uint64_t most = lease_bytes(b, l) - 1; /* the last byte is what ends it */
    l->done_bytes = l->begun_bytes = done_bytes < most ? done_bytes : most;
}

struct lease *
lease_find(struct lease_book *b, unsigned node, uint32_t id)
{
    for (unsigned i = 0; i < b->used; i++) {
        struct lease *l = &b->list[i];
        if (lease_running(l) && l->node == node && l->id == id)
            return l;
    }
    return NULL;
}

static void
free_pieces(struct lease_book *b, uint32_t first, uint32_t end)
{
    for (uint32_t p = first; p < end; p++)
        b->of[p] = 0;
}

bool
lease_waits(const struct lease_book *b, const struct lease *l)
{
    for (unsigned i = 0; i < b->used && l->source == 0; i++) {
        const struct lease *o = &b->list[i];
        if (o != l && lease_running(o) && o->node == l->node && o->source == 0 &&
            (int32_t)(o->order - l->order) < 0)
            return true;
    }
    return false;
}

void
lease_end(struct lease_book *b, struct lease *l, enum lease_phase phase)
{
    free_pieces(b, l->first, l->end);
    go(l, phase);
    go(l, LEASE_FREE);
    while (b->used > 0 && b->list[b->used - 1].phase == LEASE_FREE)
        b->used--;
}

static void
note_time(struct lease_book *b, int64_t took_ms)
{
    b->times_ms[b->times_next] = (uint32_t)(took_ms > 0 ? took_ms : 1);
    b->times_next = (b->times_next + 1) % LEASE_TIMES;
    if (b->times_count < LEASE_TIMES)
        b->times_count++;
}

bool
lease_progress(struct lease_book *b, struct lease *l, uint32_t end, uint64_t done_bytes,
               int64_t now_ms)
{
    must(lease_running(l));
    if (end > l->first && end < l->end) {
        free_pieces(b, end, l->end);
        l->end = end;
        if (l->end_wanted > end)
            l->end_wanted = end;
    }
    l->reported_ms = now_ms;
    uint64_t all = lease_bytes(b, l);
    if (done_bytes > all)
        done_bytes = all;
    if (done_bytes <= l->done_bytes)
        return false;
    if (l->phase == LEASE_GRANTED)
        go(l, LEASE_ACTIVE);
    uint64_t pieces = done_bytes / b->piece_bytes - l->done_bytes / b->piece_bytes;
    if (done_bytes == all && all % b->piece_bytes != 0)
        pieces++;
    for (uint64_t i = 0; i < pieces && i < LEASE_TIMES; i++)
        note_time(b, (now_ms - l->piece_ms) / (int64_t)pieces);
    if (pieces > 0)
        l->piece_ms = now_ms;
    l->done_bytes = done_bytes;
    if (done_bytes < all)
        return false;
    lease_end(b, l, LEASE_DONE);
    return true;
}

uint32_t
lease_quartile_ms(const struct lease_book *b)
{
    if (b->times_count < LEASE_TIMES_MIN)
        return 0;
    uint32_t sorted[LEASE_TIMES];
    for (unsigned i = 0; i < b->times_count; i++) {
        unsigned at = i;
        for (; at > 0 && sorted[at - 1] > b->times_ms[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = b->times_ms[i];
    }
    return sorted[b->times_count / 4];
}

uint64_t
lease_rate(const struct lease *l, int64_t now_ms)
{
    int64_t lag_ms = now_ms - l->reported_ms;
    int64_t age_ms = now_ms - (lag_ms < LEASE_LAG_MS ? lag_ms : LEASE_LAG_MS) - l->granted_ms;
    return (l->done_bytes - l->begun_bytes) * 1000 / (uint64_t)(age_ms > 0 ? age_ms : 1);
}

/* Do half of the other running leases go LEASE_REVOKE_SLOW times faster? When the WAN itself
 * slows down, all do, and nothing is gained by taking pieces away. */
static bool
slower_than_others(const struct lease_book *b, const struct lease *l, int64_t now_ms)
{
    uint64_t mine = lease_rate(l, now_ms) * LEASE_REVOKE_SLOW;
    unsigned others = 0, faster = 0;
    for (unsigned i = 0; i < b->used; i++) {
        const struct lease *o = &b->list[i];
        if (o == l || !lease_running(o) || now_ms - o->granted_ms < LEASE_REVOKE_MS ||
            lease_waits(b, o))
            continue;
        others++;
        if (lease_rate(o, now_ms) > mine)
            faster++;
    }
    return others == 0 ? l->done_bytes == 0 : faster * 2 >= others;
}

/* How long the holder needs for that many more bytes, as it went so far. */
static int64_t
time_for_ms(const struct lease *l, uint64_t bytes, int64_t now_ms)
{
    uint64_t rate = lease_rate(l, now_ms);
    return (int64_t)(bytes * 1000 / (rate > 0 ? rate : 1));
}

/* The clock of a lease starts when its holder is done with the one before. */
static bool
its_time(const struct lease_book *b, struct lease *l, int64_t now_ms)
{
    bool waits = lease_waits(b, l);
    if (!waits && l->waited) {
        l->granted_ms = l->piece_ms = now_ms;
        set_expiry(b, l, now_ms);
    }
    l->waited = waits;
    return !waits;
}

enum lease_verdict
lease_judge(const struct lease_book *b, struct lease *l, int64_t patience_ms, int64_t now_ms)
{
    must(lease_running(l));
    if (now_ms - l->reported_ms >= LEASE_SILENT_MS)
        return LEASE_SILENT;
    if (!its_time(b, l, now_ms) || tuning.no_revocation)
        return LEASE_KEEP;
    /* A WAN that became slow for all is no reason, for a while. */
    int64_t over_ms = now_ms - l->expiry_ms, granted_for_ms = l->expiry_ms - l->granted_ms;
    if (over_ms >= 0 &&
        (over_ms >= LEASE_EXPIRY_F * granted_for_ms || slower_than_others(b, l, now_ms)))
        return LEASE_OVERDUE;
    int64_t limit_ms = (int64_t)lease_quartile_ms(b) * LEASE_REVOKE_PERCENT / 100;
    if (limit_ms == 0 || now_ms - l->piece_ms <= limit_ms || now_ms - l->piece_ms <= patience_ms)
        return LEASE_KEEP;
    uint32_t piece = l->first + (uint32_t)(l->done_bytes / b->piece_bytes);
    uint64_t begun = l->done_bytes % b->piece_bytes;
    if (piece < l->end && begun * 100 >= lease_piece_len(b, piece) * LEASE_DONE_PERCENT)
        return LEASE_KEEP;
    return slower_than_others(b, l, now_ms) ? LEASE_SLOW : LEASE_KEEP;
}

struct lease *
lease_longest(struct lease_book *b, unsigned idle_node, int64_t now_ms, uint32_t *ret_end)
{
    struct lease *longest = NULL;
    uint32_t most = 1; /* a single piece is not worth the talk */
    for (unsigned i = 0; i < b->used; i++) {
        struct lease *l = &b->list[i];
        if (!lease_running(l) || l->node == idle_node || l->end_wanted < l->end)
            continue;
        uint32_t begun = l->first + (uint32_t)(l->done_bytes / b->piece_bytes) + 1;
        uint32_t left = begun < l->end ? l->end - begun : 0;
        uint64_t left_bytes = lease_bytes(b, l) - l->done_bytes;
        if (left > most && time_for_ms(l, left_bytes, now_ms) >= LEASE_SPLIT_MS) {
            most = left;
            longest = l;
            *ret_end = l->end - left / 2;
        }
    }
    return longest;
}
