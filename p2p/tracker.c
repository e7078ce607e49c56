/* The tracker's table of blobs, of who holds them, and of leases.
 *
 *   tracker -- blob -- book of leases, of[] per piece
 *           |       `- entries: node, bits held, cursor, what it may and wants
 *           `- nodes: address, WAN rate, quarantine
 *
 * Invariants:
 *  1. holders[p] is the number of entries whose bit p is set.
 *  2. A piece is granted only while holders[p] and of[p] are 0, so never twice at a time.
 *  3. A node in quarantine gets no lease. */
#include "p2p/tracker.h"
#include "base/mem.h"
#include "p2p/bits.h"
#include "p2p/piece.h"

struct tracker_node {
    struct node_id id;
    struct node_addr addr;
    uint64_t wan_rate; /* bytes/s, 0: not known */
    unsigned strikes;  /* revocations in a row */
    int64_t free_ms;   /* end of its quarantine */
    bool used;
};

struct entry {
    unsigned node;
    uint8_t flags;
    uint16_t idle;
    uint64_t cursor;
    int64_t announced_ms, peers_ms;
    uint8_t bits[];
};

struct blob {
    struct digest digest;
    struct lease_book book;
    struct popular popular;
    size_t entries_count, entries_cap;
    struct entry **entries;
    uint8_t *of;       /* per piece, for the book */
    uint16_t *holders; /* per piece */
    int64_t touched_ms;
};

struct tracker {
    uint32_t epoch; /* 0: out of office */
    uint32_t lease_ids;
    size_t blobs_count;
    struct blob *blobs[TRACKER_BLOBS_MAX];
    size_t nodes_count;
    struct tracker_node nodes[TRACKER_NODES_MAX];
    struct hill {
        unsigned fetchers; /* n_f */
        bool trying;       /* the last move is not judged yet */
        int step;          /* +1 or -1 */
        int64_t at_ms;
        uint64_t bytes, best_rate;
    } hill;
    struct tracker_sum sum;
};

struct tracker *
tracker_new(void)
{
    struct tracker *t = mem_zalloc(sizeof *t);
    t->hill = (struct hill){.fetchers = TRACKER_FETCHERS, .step = 1};
    return t;
}

static void
blob_free(struct blob *b)
{
    for (size_t i = 0; i < b->entries_count; i++)
        mem_free(b->entries[i]);
    mem_free(b->entries);
    mem_free(b->of);
    mem_free(b->holders);
    mem_free(b);
}

void
tracker_free(struct tracker *t)
{
    for (size_t i = 0; t != NULL && i < t->blobs_count; i++)
        blob_free(t->blobs[i]);
    mem_free(t);
}

void
tracker_office(struct tracker *t, uint32_t epoch)
{
    t->epoch = epoch;
    t->lease_ids = 0;
}

/* ---- what is known ---- */

static struct blob *
find_blob(const struct tracker *t, const struct digest *digest)
{
    for (size_t i = 0; i < t->blobs_count; i++)
        if (digest_equal(&t->blobs[i]->digest, digest))
            return t->blobs[i];
    return NULL;
}

static struct blob *
make_blob(struct tracker *t, const struct digest *digest, uint64_t size)
{
    if (size == 0 || size > PIECE_BLOB_MAX || t->blobs_count == TRACKER_BLOBS_MAX)
        return NULL;
    uint32_t count = piece_count(size);
    struct blob *b = mem_zalloc(sizeof *b);
    b->digest = *digest;
    b->of = mem_zalloc(count);
    b->holders = mem_zalloc(count * sizeof *b->holders);
    lease_init(&b->book, size, piece_bytes(size), count, b->of);
    t->blobs[t->blobs_count++] = b;
    return b;
}

/* Index of a node, or -1. */
static int
find_node(const struct tracker *t, const struct node_id *id)
{
    for (size_t i = 0; i < t->nodes_count; i++)
        if (t->nodes[i].used && node_equal(&t->nodes[i].id, id))
            return (int)i;
    return -1;
}

static int
make_node(struct tracker *t, const struct node_id *id)
{
    int at = find_node(t, id);
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
    return (int)i;
}

static struct entry *
find_entry(const struct blob *b, unsigned node)
{
    for (size_t i = 0; i < b->entries_count; i++)
        if (b->entries[i]->node == node)
            return b->entries[i];
    return NULL;
}

static struct entry *
make_entry(struct blob *b, unsigned node)
{
    struct entry *e = find_entry(b, node);
    if (e != NULL)
        return e;
    if (b->entries_count == b->entries_cap) {
        b->entries_cap = b->entries_cap > 0 ? 2 * b->entries_cap : 16;
        b->entries = mem_realloc(b->entries, b->entries_cap * sizeof(struct entry *));
    }
    e = mem_zalloc(sizeof *e + BITS_BYTES(b->book.pieces));
    e->node = node;
    e->peers_ms = INT64_MIN / 2;
    b->entries[b->entries_count++] = e;
    return e;
}

static void
set_bit(struct blob *b, struct entry *e, uint32_t piece, bool held)
{
    if (bits_get(e->bits, piece) == held)
        return;
    if (held) {
        bits_set(e->bits, piece);
        b->holders[piece]++;
    } else {
        bits_clear(e->bits, piece);
        b->holders[piece]--;
    }
}

static void
drop_entry(struct blob *b, size_t at)
{
    struct entry *e = b->entries[at];
    for (uint32_t p = 0; p < b->book.pieces; p++)
        set_bit(b, e, p, false);
    for (unsigned i = 0; i < LEASES_MAX; i++)
        if (lease_running(&b->book.list[i]) && b->book.list[i].node == e->node)
            lease_end(&b->book, &b->book.list[i], LEASE_EXPIRED);
    b->entries[at] = b->entries[--b->entries_count];
    mem_free(e);
}

void
tracker_gone(struct tracker *t, const struct node_id *node)
{
    int at = find_node(t, node);
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

static void
order(const struct tracker *t, const struct blob *b, const struct lease *l, uint32_t end,
      enum wire_trim_why why, struct tracker_orders *orders)
{
    if (orders->count == TRACKER_ORDERS_MAX)
        return;
    orders->list[orders->count++] = (struct tracker_order){
        t->nodes[l->node].id, {b->digest, t->epoch, l->id, end, (uint8_t)why}};
}

/* The leases of a blob that one node wanted alone are long; now others want it too. */
static void
shorten_solo(struct tracker *t, struct blob *b, struct tracker_orders *orders)
{
    for (unsigned i = 0; i < LEASES_MAX; i++) {
        struct lease *l = &b->book.list[i];
        uint32_t begun = (uint32_t)(l->done_bytes / b->book.piece_bytes);
        if (!lease_running(l) || l->end - l->first <= begun + 2 || l->end_wanted < l->end)
            continue;
        l->end_wanted = l->first + begun + 2;
        t->sum.trims++;
        order(t, b, l, l->end_wanted, WIRE_SPLIT, orders);
    }
}

static unsigned
wanting(const struct blob *b)
{
    unsigned n = 0;
    for (size_t i = 0; i < b->entries_count; i++)
        n += (b->entries[i]->flags & WIRE_WANTS) != 0;
    return n;
}

/* ---- announcements ---- */

void
tracker_blob(struct tracker *t, const struct node_id *node, const struct node_addr *addr,
             const struct wire_blob *said, int64_t now_ms, struct tracker_orders *orders)
{
    struct blob *b = find_blob(t, &said->digest);
    if (b == NULL)
        b = make_blob(t, &said->digest, said->size);
    int at = make_node(t, node);
    if (b == NULL || at < 0 || b->book.size != said->size)
        return;
    struct tracker_node *n = &t->nodes[at];
    n->addr = *addr;
    if (said->wan_rate > 0)
        n->wan_rate = said->wan_rate;
    struct entry *e = make_entry(b, (unsigned)at);
    bool newly = (said->flags & WIRE_WANTS) != 0 && (e->flags & WIRE_WANTS) == 0;
    e->flags = said->flags;
    e->idle = said->idle_leases;
    e->cursor = said->cursor;
    e->announced_ms = now_ms;
    b->touched_ms = now_ms;
    for (uint32_t p = 0; p < b->book.pieces; p++)
        set_bit(b, e, p, wire_bit(&said->held, p));
    if (!newly)
        return;
    popular_hit(&b->popular, now_ms);
    if (wanting(b) == 2)
        shorten_solo(t, b, orders);
}

void
tracker_have(struct tracker *t, const struct node_id *node, const struct wire_have *said)
{
    struct blob *b = find_blob(t, &said->digest);
    int at = find_node(t, node);
    struct entry *e = b != NULL && at >= 0 ? find_entry(b, (unsigned)at) : NULL;
    for (uint32_t i = 0; e != NULL && i < said->count && said->first + i < b->book.pieces; i++)
        set_bit(b, e, said->first + i, true);
}

/* Tells a node to stop a range that is no lease of ours, or the end of one. */
static void
stop_range(const struct tracker *t, const struct node_id *node, const struct wire_fetching *said,
           uint32_t end, struct tracker_orders *orders)
{
    if (t->epoch != 0 && orders->count < TRACKER_ORDERS_MAX)
        orders->list[orders->count++] =
            (struct tracker_order){*node, {said->digest, t->epoch, said->lease, end, WIRE_DOUBLE}};
}

/* A range that somebody fetches without a lease of ours: it is one from now on, as far as nobody
 * else has it; what others have it leaves to them. */
static struct lease *
adopt(struct tracker *t, struct blob *b, unsigned node, const struct wire_fetching *said,
      int64_t now_ms, struct tracker_orders *orders)
{
    uint32_t at = said->first + (uint32_t)(said->done_bytes / b->book.piece_bytes), end = at;
    while (end < b->book.pieces && end - said->first < said->count && b->of[end] == 0 &&
           b->holders[end] == 0)
        end++;
    if (end == at) {
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
    if (l != NULL)
        l->id = said->lease;
    return l;
}

static void
strike(struct tracker_node *n, int64_t now_ms)
{
    n->strikes++;
    int64_t wait_ms =
        n->strikes < 7 ? (int64_t)TRACKER_QUARANTINE_MS << n->strikes : TRACKER_QUARANTINE_MS_MAX;
    n->free_ms = now_ms + wait_ms;
}

void
tracker_fetching(struct tracker *t, const struct node_id *node, const struct wire_fetching *said,
                 int64_t now_ms, struct tracker_orders *orders)
{
    struct blob *b = find_blob(t, &said->digest);
    int at = find_node(t, node);
    if (b == NULL || at < 0)
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
    t->hill.bytes += l->done_bytes - before;
    if (done || said->state == WIRE_DONE) {
        n->strikes = 0;
        if (!done)
            lease_end(&b->book, l, LEASE_DONE);
    } else if (said->state == WIRE_FAILED) {
        t->sum.expiries++;
        lease_end(&b->book, l, LEASE_EXPIRED);
        strike(n, now_ms);
    }
}

/* ---- grants ---- */

static unsigned
leases_of(const struct blob *b, unsigned node)
{
    unsigned n = 0;
    for (unsigned i = 0; i < LEASES_MAX; i++)
        n += lease_running(&b->book.list[i]) && b->book.list[i].node == node;
    return n;
}

/* Does a come before b among those who would fetch? */
static bool
fetches_before(const struct tracker *t, unsigned a, unsigned b)
{
    uint64_t ra = t->nodes[a].wan_rate, rb = t->nodes[b].wan_rate;
    return ra != rb ? ra > rb : a < b;
}

static bool
could_fetch(const struct tracker *t, const struct entry *e, int64_t now_ms)
{
    const uint8_t both = WIRE_WANTS | WIRE_MAY_FETCH;
    return (e->flags & both) == both && now_ms >= t->nodes[e->node].free_ms;
}

/* Is the node one of the n_f that fetch this blob, and not one unknown too many? */
static bool
may_fetch(const struct tracker *t, const struct blob *b, const struct entry *e, int64_t now_ms)
{
    if (!could_fetch(t, e, now_ms))
        return false;
    unsigned before = 0, known = 0, unknown = 0;
    for (size_t i = 0; i < b->entries_count; i++) {
        const struct entry *o = b->entries[i];
        if (o == e || !could_fetch(t, o, now_ms))
            continue;
        unsigned running = leases_of(b, o->node);
        if (running == 0 && o->idle == 0)
            continue;
        before += fetches_before(t, o->node, e->node);
        if (running > 0)
            *(t->nodes[o->node].wan_rate > 0 ? &known : &unknown) += 1;
    }
    if (t->nodes[e->node].wan_rate == 0 && known >= 2 && unknown >= 1)
        return false;
    return before < t->hill.fetchers;
}

static bool
piece_free(const struct blob *b, uint32_t p)
{
    return b->of[p] == 0 && b->holders[p] == 0;
}

/* The lowest free piece at or behind the lowest cursor, else before it; `pieces` when none. */
static uint32_t
lowest_free(const struct blob *b)
{
    uint64_t cursor = UINT64_MAX;
    for (size_t i = 0; i < b->entries_count; i++)
        if ((b->entries[i]->flags & WIRE_WANTS) != 0 && b->entries[i]->cursor < cursor)
            cursor = b->entries[i]->cursor;
    uint32_t from = cursor < b->book.size ? (uint32_t)(cursor / b->book.piece_bytes) : 0;
    for (uint32_t i = 0; i < b->book.pieces; i++) {
        uint32_t p = (from + i) % b->book.pieces;
        if (piece_free(b, p))
            return p;
    }
    return b->book.pieces;
}

static uint32_t
run_length(const struct tracker *t, const struct blob *b, unsigned node, uint32_t first)
{
    uint64_t bytes = t->nodes[node].wan_rate * LEASE_MS / 1000;
    bytes = bytes < LEASE_BYTES_MAX ? bytes : LEASE_BYTES_MAX;
    if (wanting(b) == 1)
        bytes = LEASE_SOLO_BYTES;
    uint32_t most = (uint32_t)(bytes / b->book.piece_bytes), count = 1;
    while (count < most && first + count < b->book.pieces && piece_free(b, first + count))
        count++;
    return count;
}

/* Nothing is free: the longest lease gives its tail away, once its holder has agreed. */
static void
split_longest(struct tracker *t, struct blob *b, unsigned node, struct tracker_orders *orders)
{
    uint32_t end;
    struct lease *l = lease_longest(&b->book, node, &end);
    if (l == NULL)
        return;
    l->end_wanted = end;
    t->sum.trims++;
    order(t, b, l, end, WIRE_SPLIT, orders);
}

bool
tracker_grant(struct tracker *t, const struct node_id *node, const struct digest *digest,
              int64_t now_ms, struct wire_grant *ret, struct tracker_orders *orders)
{
    struct blob *b = find_blob(t, digest);
    int at = find_node(t, node);
    struct entry *e = b != NULL && at >= 0 ? find_entry(b, (unsigned)at) : NULL;
    if (t->epoch == 0 || e == NULL || e->idle == 0 || !may_fetch(t, b, e, now_ms))
        return false;
    uint32_t first = lowest_free(b);
    if (first == b->book.pieces) {
        split_longest(t, b, (unsigned)at, orders);
        return false;
    }
    uint32_t count = run_length(t, b, (unsigned)at, first);
    uint64_t rate = t->nodes[at].wan_rate;
    struct lease *l = lease_grant(&b->book, (unsigned)at, first, count, rate, now_ms);
    if (l == NULL)
        return false;
    l->id = t->epoch << 16 | (++t->lease_ids & 0xffff);
    e->idle--;
    t->sum.grants++;
    *ret = (struct wire_grant){.digest = *digest,
                               .epoch = t->epoch,
                               .lease = l->id,
                               .first = first,
                               .count = count,
                               .source = WIRE_UPSTREAM,
                               .expiry_ms = (uint32_t)(l->expiry_ms - now_ms)};
    return true;
}

bool
tracker_peer(struct tracker *t, const struct node_id *node, const struct digest *digest,
             int64_t now_ms, size_t *at, struct wire_peer *ret)
{
    struct blob *b = find_blob(t, digest);
    int asker = find_node(t, node);
    struct entry *e = b != NULL && asker >= 0 ? find_entry(b, (unsigned)asker) : NULL;
    if (e == NULL || (*at == 0 && now_ms - e->peers_ms < TRACKER_PEERS_MS))
        return false;
    e->peers_ms = now_ms;
    while (*at < b->entries_count) {
        const struct entry *o = b->entries[(*at)++];
        if (o == e || (o->flags & WIRE_SERVES) == 0)
            continue;
        *ret = (struct wire_peer){t->nodes[o->node].id,
                                  t->nodes[o->node].addr,
                                  *digest,
                                  {o->bits, (uint16_t)BITS_BYTES(b->book.pieces)}};
        return true;
    }
    return false;
}

/* ---- time ---- */

static void
judge_leases(struct tracker *t, struct blob *b, int64_t now_ms, struct tracker_orders *orders)
{
    static const uint8_t why[] = {
        [LEASE_SLOW] = WIRE_SLOW, [LEASE_SILENT] = WIRE_SILENT, [LEASE_OVERDUE] = WIRE_EXPIRED};
    for (unsigned i = 0; i < LEASES_MAX; i++) {
        struct lease *l = &b->book.list[i];
        if (!lease_running(l))
            continue;
        enum lease_verdict v = lease_judge(&b->book, l, now_ms);
        if (v == LEASE_KEEP)
            continue;
        order(t, b, l, 0, (enum wire_trim_why)why[v], orders);
        if (v == LEASE_OVERDUE) {
            t->sum.expiries++;
        } else {
            t->sum.revocations++;
        }
        strike(&t->nodes[l->node], now_ms);
        lease_end(&b->book, l, v == LEASE_OVERDUE ? LEASE_EXPIRED : LEASE_REVOKED);
    }
}

static void
forget_old(struct tracker *t, int64_t now_ms)
{
    for (size_t i = t->blobs_count; i-- > 0;) {
        struct blob *b = t->blobs[i];
        for (size_t j = b->entries_count; j-- > 0;)
            if (now_ms - b->entries[j]->announced_ms > TRACKER_ENTRY_TTL_MS)
                drop_entry(b, j);
        if (b->entries_count == 0) {
            blob_free(b);
            t->blobs[i] = t->blobs[--t->blobs_count];
        }
    }
}

/* One more or one less fetcher, kept when the WAN then carries more. */
static void
climb(struct tracker *t, int64_t now_ms)
{
    struct hill *h = &t->hill;
    if (now_ms - h->at_ms < TRACKER_HILL_MS)
        return;
    uint64_t rate = h->bytes * 1000 / (uint64_t)(now_ms - h->at_ms);
    h->at_ms = now_ms;
    h->bytes = 0;
    if (h->trying && rate * 100 < h->best_rate * (100 + TRACKER_HILL_PERCENT)) {
        h->fetchers -= (unsigned)h->step;
        h->step = -h->step;
        h->trying = false;
        return;
    }
    h->best_rate = rate;
    h->trying = rate > 0 && h->fetchers + (unsigned)h->step >= TRACKER_FETCHERS_MIN &&
                h->fetchers + (unsigned)h->step <= TRACKER_FETCHERS_MAX;
    if (h->trying)
        h->fetchers += (unsigned)h->step;
    else
        h->step = -h->step;
}

void
tracker_tick(struct tracker *t, int64_t now_ms, struct tracker_orders *orders)
{
    if (t->epoch != 0) {
        for (size_t i = 0; i < t->blobs_count; i++)
            judge_leases(t, t->blobs[i], now_ms, orders);
        climb(t, now_ms);
    }
    forget_old(t, now_ms);
}

#define TICK_MS 50 /* a revocation may be that late */

int64_t
tracker_wake_ms(const struct tracker *t, int64_t now_ms)
{
    return t->blobs_count > 0 ? now_ms + TICK_MS : INT64_MAX;
}

const struct popular *
tracker_popular(const struct tracker *t, const struct digest *digest)
{
    const struct blob *b = find_blob(t, digest);
    return b != NULL ? &b->popular : NULL;
}

struct tracker_sum
tracker_sum(const struct tracker *t)
{
    struct tracker_sum s = t->sum;
    s.blobs = (unsigned)t->blobs_count;
    s.fetchers = t->hill.fetchers;
    return s;
}
