/* The table of a tracker: what was announced. */
#include "base/mem.h"
#include "p2p/duty.h"
#include "p2p/tracker_inside.h"

struct tracker *
tracker_new(void)
{
    struct tracker *t = mem_zalloc(sizeof *t);
    climb_init(&t->climb);
    t->replicas = replicas_new();
    t->preseed = preseed_new();
    t->sources_count = 1;
    return t;
}

static void
free_entry(struct tracker_entry *e)
{
    mem_free(e->near);
    mem_free(e);
}

static void
blob_free(struct tracker_blob *b)
{
    for (size_t i = 0; i < b->entries_count; i++)
        free_entry(b->entries[i]);
    mem_free(b->entries);
    mem_free(b->hashes);
    mem_free(b->of);
    mem_free(b->holders);
    mem_free(b);
}

void
tracker_free(struct tracker *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->blobs_count; i++)
        blob_free(t->blobs[i]);
    replicas_free(t->replicas);
    preseed_free(t->preseed);
    mem_free(t);
}

void
tracker_office(struct tracker *t, uint32_t epoch)
{
    t->epoch = epoch;
    t->lease_ids = 0;
    if (epoch == 0)
        climb_init(&t->climb); /* the WAN of now is nothing to a later office */
    for (size_t i = 0; i < t->blobs_count; i++)
        t->blobs[i]->race.losers_count = 0;
    replicas_office(t->replicas);
}

void
tracker_company(struct tracker *t, bool company)
{
    t->company = company;
}

/* ---- what is known ---- */

struct tracker_blob *
tracker_find(const struct tracker *t, const struct digest *digest)
{
    for (size_t i = 0; i < t->blobs_count; i++)
        if (digest_equal(&t->blobs[i]->digest, digest))
            return t->blobs[i];
    return NULL;
}

/* Forgets the blob that nobody wants and that was announced least lately; false: all are wanted. */
static bool
make_room(struct tracker *t)
{
    size_t oldest = TRACKER_BLOBS_MAX;
    for (size_t i = 0; i < t->blobs_count; i++)
        if (t->blobs[i]->wanting == 0 &&
            (oldest == TRACKER_BLOBS_MAX || t->blobs[i]->touched_ms < t->blobs[oldest]->touched_ms))
            oldest = i;
    if (oldest == TRACKER_BLOBS_MAX)
        return false;
    blob_free(t->blobs[oldest]);
    t->blobs[oldest] = t->blobs[--t->blobs_count];
    return true;
}

static struct tracker_blob *
make_blob(struct tracker *t, const struct digest *digest, uint64_t size)
{
    if (size == 0 || size > PIECE_BLOB_MAX)
        return NULL;
    if (t->blobs_count == TRACKER_BLOBS_MAX && !make_room(t))
        return NULL;
    uint32_t count = piece_count(size);
    struct tracker_blob *b = mem_zalloc(sizeof *b);
    b->digest = *digest;
    b->lost_ms = INT64_MIN / 2;
    b->of = mem_zalloc(count);
    b->holders = mem_zalloc(count * sizeof *b->holders);
    lease_init(&b->book, size, piece_bytes(size), count, b->of);
    t->blobs[t->blobs_count++] = b;
    return b;
}

/* Index of a node, or -1. Ids are hashes: most stand where their first bits say. */
int
tracker_node(const struct tracker *t, const struct node_id *id)
{
    size_t i = t->last_node_at[tracker_hint(id)];
    if (i < t->nodes_count && t->nodes[i].used && node_equal(&t->nodes[i].id, id))
        return (int)i;
    for (i = 0; i < t->nodes_count; i++)
        if (t->nodes[i].used && node_equal(&t->nodes[i].id, id))
            return (int)i;
    return -1;
}

static int
make_node(struct tracker *t, const struct node_id *id)
{
    int at = tracker_node(t, id);
    if (at >= 0)
        return at;
    size_t i = 0;
    while (i < t->nodes_count && t->nodes[i].used)
        i++;
    if (i == TRACKER_NODES_MAX)
        return -1;
    if (i == t->nodes_count)
        t->nodes_count++;
    t->nodes[i] = (struct tracker_node){.id = *id, .used = true};
    t->last_node_at[tracker_hint(id)] = (uint16_t)i;
    return (int)i;
}

struct tracker_entry *
tracker_entry(const struct tracker_blob *b, unsigned node)
{
    uint16_t at = b->entry_at[node];
    return at < b->entries_count && b->entries[at]->node == node ? b->entries[at] : NULL;
}

static struct tracker_entry *
make_entry(const struct tracker *t, struct tracker_blob *b, unsigned node, int64_t now_ms)
{
    struct tracker_entry *e = tracker_entry(b, node);
    if (e != NULL)
        return e;
    if (b->entries_count == b->entries_cap) {
        b->entries_cap = b->entries_cap > 0 ? 2 * b->entries_cap : 16;
        b->entries = mem_realloc(b->entries, b->entries_cap * sizeof(struct tracker_entry *));
        b->hashes = mem_realloc(b->hashes, b->entries_cap * sizeof *b->hashes);
    }
    e = mem_zalloc(sizeof *e + BITS_BYTES(b->book.pieces));
    e->node = node;
    e->since_ms = now_ms;
    e->peers_ms = e->nudged_ms = INT64_MIN / 2;
    b->entry_at[node] = (uint16_t)b->entries_count;
    b->hashes[b->entries_count] = pick_hash(&t->nodes[node].id);
    b->entries[b->entries_count++] = e;
    b->moves++;
    return e;
}

static void
set_bit(struct tracker_blob *b, struct tracker_entry *e, uint32_t piece, bool held)
{
    if (bits_get(e->bits, piece) == held)
        return;
    if (held) {
        bits_set(e->bits, piece);
        b->holders[piece] = (uint16_t)(b->holders[piece] + e->counts);
    } else {
        bits_clear(e->bits, piece);
        b->holders[piece] = (uint16_t)(b->holders[piece] - e->counts);
    }
}

/* It holds just these from now on. */
static void
set_bits(struct tracker_blob *b, struct tracker_entry *e, const struct wire_bits *held)
{
    for (uint32_t at = 0; at < BITS_BYTES(b->book.pieces); at++) {
        unsigned news = (unsigned)e->bits[at] ^ (at < held->len ? held->bytes[at] : 0u);
        for (; news != 0; news &= news - 1) {
            uint32_t p = 8 * at + (uint32_t)__builtin_ctz(news);
            if (p < b->book.pieces)
                set_bit(b, e, p, !bits_get(e->bits, p));
        }
    }
}

/* Do half of those that want the blob say that it gives nothing of what it says it has? */
static bool
is_doubted(const struct tracker_blob *b, const struct tracker_entry *e, int64_t now_ms)
{
    unsigned doubters = 0;
    for (size_t i = 0; i < TRACKER_DOUBTERS_MAX; i++)
        doubters += now_ms < e->doubters[i].until_ms;
    if (doubters == 0)
        return false;
    unsigned others = b->wanting - tracker_wants(e->flags);
    return doubters == TRACKER_DOUBTERS_MAX || 2 * doubters >= others;
}

bool
tracker_is_barren(const struct tracker_blob *b, const struct tracker_entry *e, int64_t now_ms)
{
    return now_ms < e->barren_ms || is_doubted(b, e, now_ms);
}

/* Does the entry count now? Adapts holders[]. */
static void
recount(struct tracker_blob *b, struct tracker_entry *e, int64_t now_ms)
{
    bool doubted = is_doubted(b, e, now_ms), counts = (e->flags & WIRE_SERVES) && !doubted;
    if (doubted)
        e->barren_ms = now_ms + TRACKER_BARREN_MS;
    if (counts == e->counts)
        return;
    e->counts = counts;
    for (uint32_t p = 0; p < b->book.pieces; p++)
        if (bits_get(e->bits, p))
            b->holders[p] = (uint16_t)(counts ? b->holders[p] + 1 : b->holders[p] - 1);
}

void
tracker_doubt(struct tracker *t, const struct node_id *node, const struct wire_doubt *said,
              int64_t now_ms)
{
    struct tracker_blob *b = tracker_find(t, &said->digest);
    int from = tracker_node(t, node), about = tracker_node(t, &said->node);
    struct tracker_entry *e = b != NULL && about >= 0 ? tracker_entry(b, (unsigned)about) : NULL;
    if (e == NULL || from < 0 || from == about || tracker_entry(b, (unsigned)from) == NULL)
        return;
    struct tracker_doubter *place = NULL;
    for (size_t i = 0; i < TRACKER_DOUBTERS_MAX; i++) {
        struct tracker_doubter *d = &e->doubters[i];
        bool runs = now_ms < d->until_ms;
        if (runs && d->node == (unsigned)from) {
            place = d;
            break;
        }
        if (!runs)
            place = d;
    }
    if (place != NULL)
        *place = (struct tracker_doubter){(unsigned)from, now_ms + TRACKER_DOUBT_MS};
    b->doubts_ms = now_ms + TRACKER_DOUBT_MS;
    recount(b, e, now_ms);
}

static void
drop_entry(struct tracker_blob *b, size_t at)
{
    struct tracker_entry *e = b->entries[at];
    set_bits(b, e, &(struct wire_bits){0});
    for (unsigned i = 0; i < b->book.used; i++)
        if (lease_running(&b->book.list[i]) && b->book.list[i].node == e->node)
            lease_end(&b->book, &b->book.list[i], LEASE_EXPIRED);
    tracker_race_forget(b, e->node);
    b->wanting -= tracker_wants(e->flags);
    b->seeding -= e->seeds;
    b->entries[at] = b->entries[--b->entries_count];
    b->hashes[at] = b->hashes[b->entries_count];
    b->entry_at[b->entries[at]->node] = (uint16_t)at;
    b->moves++;
    free_entry(e);
}

void
tracker_gone(struct tracker *t, const struct node_id *node)
{
    int at = tracker_node(t, node);
    replicas_gone(t->replicas, node);
    if (at < 0)
        return;
    for (size_t i = 0; i < t->blobs_count; i++)
        for (size_t j = 0; j < t->blobs[i]->entries_count; j++)
            if (t->blobs[i]->entries[j]->node == (unsigned)at) {
                drop_entry(t->blobs[i], j);
                break;
            }
    t->nodes[at].used = false;
}

/* ---- orders ---- */

void
tracker_order(const struct tracker *t, const struct tracker_blob *b, const struct lease *l,
              uint32_t end, enum wire_trim_why why, struct tracker_orders *orders)
{
    if (orders->count == TRACKER_ORDERS_MAX)
        return;
    orders->list[orders->count++] = (struct tracker_order){
        t->nodes[l->node].id, false, {b->digest, t->epoch, l->id, end, (uint8_t)why}};
}

void
tracker_trim(const struct tracker *t, const struct tracker_blob *b, struct lease *l, uint32_t end,
             int64_t now_ms, struct tracker_orders *orders)
{
    l->end_wanted = end;
    l->trimmed_ms = now_ms;
    tracker_order(t, b, l, end, WIRE_SPLIT, orders);
}

/* The leases of a blob that one node wanted alone are long; now others want it too. As much as may
 * be on the way already is left to it: it would come anyway. */
void
tracker_shorten(struct tracker *t, struct tracker_blob *b, int64_t now_ms,
                struct tracker_orders *orders)
{
    uint32_t keeps = LEASE_FIRST_BYTES / b->book.piece_bytes;
    keeps = keeps > 2 ? keeps : 2;
    for (unsigned i = 0; i < b->book.used; i++) {
        struct lease *l = &b->book.list[i];
        uint32_t kept = (uint32_t)(l->done_bytes / b->book.piece_bytes) + keeps;
        if (!lease_running(l) || l->end - l->first <= kept || l->end_wanted < l->end)
            continue;
        t->sum.trims++;
        tracker_trim(t, b, l, l->first + kept, now_ms, orders);
    }
}

/* ---- announcements ---- */

static void
forget_blob(struct tracker *t, struct tracker_blob *b)
{
    size_t i = 0;
    while (t->blobs[i] != b)
        i++;
    blob_free(b);
    t->blobs[i] = t->blobs[--t->blobs_count];
}

/* Does another node want it or have some of it? */
static bool
is_in_use(const struct tracker_blob *b, unsigned but)
{
    for (size_t i = 0; i < b->entries_count; i++)
        if (b->entries[i]->node != but && (b->entries[i]->flags & (WIRE_WANTS | WIRE_SERVES)) != 0)
            return true;
    return false;
}

/* The blob in the size that the node says; NULL: no place, or others go by another size. Nobody
 * knows who is right before it is read whole, so the first whom it concerns is. */
static struct tracker_blob *
blob_of_size(struct tracker *t, unsigned node, const struct wire_blob *said)
{
    struct tracker_blob *b = tracker_find(t, &said->digest);
    if (b != NULL && b->book.size == said->size)
        return b;
    if (b != NULL && is_in_use(b, node))
        return NULL;
    if (b != NULL)
        forget_blob(t, b);
    return make_blob(t, &said->digest, said->size);
}

void
tracker_blob(struct tracker *t, const struct node_id *node, const struct node_addr *addr,
             const struct wire_blob *said, int64_t now_ms, struct tracker_orders *orders)
{
    int at = make_node(t, node);
    struct tracker_blob *b = at >= 0 ? blob_of_size(t, (unsigned)at, said) : NULL;
    if (b == NULL)
        return;
    struct tracker_node *n = &t->nodes[at];
    n->addr = *addr;
    if (said->wan_rate > 0)
        n->wan_rate = said->wan_rate;
    struct tracker_entry *e = make_entry(t, b, (unsigned)at, now_ms);
    bool newly = tracker_wants(said->flags) && !tracker_wants(e->flags);
    b->wanting += tracker_wants(said->flags) - tracker_wants(e->flags);
    e->flags = said->flags;
    b->seeding -= e->seeds;
    e->seeds = (said->flags & WIRE_FOR_COPY) != 0 && (said->flags & WIRE_WANTS) != 0 &&
               replicas_seeds(t->replicas, &b->digest, now_ms);
    b->seeding += e->seeds;
    e->idle = said->idle_leases;
    e->cursor = said->cursor;
    e->first = e->end = 0;
    e->announced_ms = now_ms;
    b->touched_ms = now_ms;
    recount(b, e, now_ms);
    set_bits(b, e, &said->held);
    if (!newly)
        return;
    if (wire_is_request(said->flags)) {
        replicas_hit(t->replicas, &b->digest, b->book.size, now_ms);
        preseed_pulled(t->preseed, &b->digest, b->book.size, now_ms);
    }
    if (b->wanting == 2)
        tracker_shorten(t, b, now_ms, orders);
}

void
tracker_have(struct tracker *t, const struct node_id *node, const struct wire_have *said)
{
    struct tracker_blob *b = tracker_find(t, &said->digest);
    int at = tracker_node(t, node);
    struct tracker_entry *e = b != NULL && at >= 0 ? tracker_entry(b, (unsigned)at) : NULL;
    bool held;
    for (uint32_t i = 0; e != NULL && i < b->book.pieces && wire_hint(said, i, &held); i++)
        if (held && (uint64_t)said->first + i < b->book.pieces)
            set_bit(b, e, said->first + i, true);
}

void
tracker_window(struct tracker *t, const struct node_id *node, const struct wire_window *said)
{
    struct tracker_blob *b = tracker_find(t, &said->digest);
    int at = tracker_node(t, node);
    struct tracker_entry *e = b != NULL && at >= 0 ? tracker_entry(b, (unsigned)at) : NULL;
    if (e == NULL || said->end == 0 || said->end > b->book.pieces || said->first > said->end)
        return;
    e->first = said->first;
    e->end = said->end;
    for (uint32_t p = 0; p < e->first; p++)
        set_bit(b, e, p, false);
}

/* Tells a node to stop a range that is no lease of ours, or the end of one. */
static void
stop_range(const struct tracker *t, const struct node_id *node, const struct wire_fetching *said,
           uint32_t end, struct tracker_orders *orders)
{
    if (t->epoch != 0 && orders->count < TRACKER_ORDERS_MAX)
        orders->list[orders->count++] = (struct tracker_order){
            *node, false, {said->digest, t->epoch, said->lease, end, WIRE_DOUBLE}};
}

void
tracker_stop(const struct tracker *t, const struct node_id *node, const struct wire_fetching *said,
             struct tracker_orders *orders)
{
    if (said->state == WIRE_RUNS && said->lease > DUTY_OWN_IDS)
        stop_range(t, node, said, 0, orders);
}

/* A range that somebody fetches without a lease of ours: it is one from now on, as far as nobody
 * else has it; what others have it leaves to them. */
static struct lease *
adopt(struct tracker *t, struct tracker_blob *b, unsigned node, const struct wire_fetching *said,
      int64_t now_ms, struct tracker_orders *orders)
{
    uint64_t fetched = said->done_bytes / b->book.piece_bytes;
    if (said->first >= b->book.pieces || said->count > b->book.pieces - said->first ||
        fetched >= said->count) {
        stop_range(t, &t->nodes[node].id, said, 0, orders);
        return NULL;
    }
    uint32_t at = said->first + (uint32_t)fetched, end = at;
    if (said->count == 1 && b->holders[at] == 0 && tracker_race_loser(b, at, node))
        return NULL;
    if (said->lease >> 16 == t->epoch && now_ms < t->nodes[node].free_ms) {
        /* It was taken from it just now, and the order is on its way. */
        stop_range(t, &t->nodes[node].id, said, 0, orders);
        return NULL;
    }
    while (end - said->first < said->count && b->of[end] == 0 && b->holders[end] == 0)
        end++;
    if (end == at) {
        /* One piece that its lease does not bring is a reader's rescue: it may be had twice. */
        if (said->count > 1 || b->holders[at] > 0)
            stop_range(t, &t->nodes[node].id, said, 0, orders);
        return NULL;
    }
    if (end - said->first < said->count)
        stop_range(t, &t->nodes[node].id, said, end, orders);
    for (at = said->first; at < end && b->of[at] == 0;)
        at++;
    if (at < end)
        return NULL; /* pieces that it has already are still another's */
    struct lease *l = lease_grant(&b->book, node, said->first, end - said->first,
                                  t->nodes[node].wan_rate, now_ms);
    if (l != NULL) {
        lease_begun(&b->book, l, said->done_bytes);
        l->id = said->lease;
        t->nodes[node].tried = true;
    }
    return l;
}

void
tracker_strike(struct tracker_node *n, int64_t now_ms)
{
    n->strikes++;
    int64_t wait_ms =
        n->strikes < 7 ? (int64_t)TRACKER_QUARANTINE_MS << n->strikes : TRACKER_QUARANTINE_MS_MAX;
    n->free_ms = now_ms + wait_ms;
}

/* Requests that were under way together count as one. */
static void
rest(struct tracker_blob *b, int64_t now_ms)
{
    if (now_ms < b->rest_ms)
        return;
    int64_t wait_ms = b->rests < 6 ? (int64_t)TRACKER_REST_MS << b->rests : TRACKER_REST_MS_MAX;
    b->rests++;
    b->rest_ms = now_ms + wait_ms;
}

void
tracker_lose(struct tracker_blob *b, struct lease *l, enum lease_phase phase, int64_t now_ms)
{
    b->lost_ms = now_ms;
    lease_end(&b->book, l, phase);
}

/* The holder of a lease gave it up. */
static void
ended_early(struct tracker *t, struct tracker_blob *b, struct lease *l, uint8_t state,
            int64_t now_ms)
{
    struct tracker_node *n = &t->nodes[l->node];
    t->sum.expiries++;
    if (l->source != 0 && state == WIRE_BUSY)
        rank_block(&t->sources[l->source].rank, now_ms + TRACKER_BUSY_MS);
    else if (l->source != 0 && state == WIRE_FAILED)
        tracker_remote_failed(t, b, l->source, now_ms);
    else if (state == WIRE_BUSY && tracker_has_other(t, b, l->node, now_ms))
        rest(b, now_ms);
    else if (state != WIRE_LEFT && tracker_has_other(t, b, l->node, now_ms))
        tracker_strike(n, now_ms);
    else if (state != WIRE_LEFT)
        n->pause_ms = now_ms + TRACKER_PAUSE_MS;
    tracker_lose(b, l, LEASE_EXPIRED, now_ms);
}

void
tracker_fetching(struct tracker *t, const struct node_id *node, const struct wire_fetching *said,
                 int64_t now_ms, struct tracker_orders *orders)
{
    struct tracker_blob *b = tracker_find(t, &said->digest);
    int at = tracker_node(t, node);
    if (b == NULL || at < 0 || tracker_entry(b, (unsigned)at) == NULL)
        return;
    struct tracker_node *n = &t->nodes[at];
    struct lease *l = lease_find(&b->book, (unsigned)at, said->lease);
    if (l == NULL && said->state == WIRE_RUNS)
        l = adopt(t, b, (unsigned)at, said, now_ms, orders);
    if (l == NULL)
        return;
    uint64_t before = l->done_bytes;
    uint32_t end = said->count < b->book.pieces ? said->first + said->count : l->end;
    bool done = lease_progress(&b->book, l, end, said->done_bytes, now_ms);
    uint64_t came = l->done_bytes - before;
    climb_bytes(&t->climb, came);
    tracker_source_gave(t, l, came, now_ms);
    if (came > 0 && l->source == 0)
        b->rests = 0;
    if (done || before / b->book.piece_bytes != l->done_bytes / b->book.piece_bytes)
        climb_piece(&t->climb, lease_rate(l, now_ms), now_ms);
    if (done || l->done_bytes >= b->book.piece_bytes)
        tracker_race_won(t, b, l, now_ms);
    if (done || said->state == WIRE_DONE)
        n->strikes = 0;
    if (!done && said->state == WIRE_DONE)
        lease_end(&b->book, l, LEASE_DONE);
    else if (!done && said->state != WIRE_RUNS)
        ended_early(t, b, l, said->state, now_ms);
}

/* What ends by itself: doubts, and entries that are not announced any more. Both have a time before
 * which there is nothing to look for. */
static void
forget_entries(struct tracker_blob *b, int64_t now_ms)
{
    bool doubts = b->doubts_ms > 0, over = now_ms - b->oldest_ms > TRACKER_ENTRY_TTL_MS;
    if (!doubts && !over)
        return;
    if (now_ms >= b->doubts_ms)
        b->doubts_ms = 0;
    b->oldest_ms = now_ms;
    for (size_t j = b->entries_count; j-- > 0;) {
        struct tracker_entry *e = b->entries[j];
        recount(b, e, now_ms);
        if (now_ms - e->announced_ms > TRACKER_ENTRY_TTL_MS)
            drop_entry(b, j);
        else if (e->announced_ms < b->oldest_ms)
            b->oldest_ms = e->announced_ms;
    }
}

void
tracker_forget_old(struct tracker *t, int64_t now_ms)
{
    for (size_t i = t->blobs_count; i-- > 0;) {
        forget_entries(t->blobs[i], now_ms);
        if (t->blobs[i]->entries_count == 0)
            forget_blob(t, t->blobs[i]);
    }
}

bool
tracker_knows(const struct tracker *t, const struct digest *digest, uint64_t size)
{
    const struct tracker_blob *b = tracker_find(t, digest);
    return b != NULL && b->book.size == size;
}

bool
tracker_quiet(const struct tracker *t)
{
    for (size_t i = 0; i < t->blobs_count; i++)
        if (t->blobs[i]->wanting > 0)
            return false;
    return true;
}

struct replicas *
tracker_replicas(struct tracker *t)
{
    return t->replicas;
}

struct preseed *
tracker_preseed(struct tracker *t)
{
    return t->preseed;
}

struct tracker_sum
tracker_sum(const struct tracker *t)
{
    struct tracker_sum s = t->sum;
    s.blobs = (unsigned)t->blobs_count;
    s.fetchers = t->climb.active;
    return s;
}
