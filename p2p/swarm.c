/* One blob on one node.
 *
 * Invariants:
 *  1. asked bit p is set exactly while one running request covers p and p is not held.
 *  2. avail[p] is the number of peers whose bit p is set.
 *  3. A WAN request stands for one lease, granted or (id below 65,536) taken without a tracker. */
#include "p2p/swarm.h"
#include "base/mem.h"
#include "p2p/bits.h"
#include "p2p/piece.h"

#define NEWS_MAX 64 /* pieces not told yet; more are told by the next announcement */

struct peer {
    struct node_id id;
    struct node_addr addr;
    struct rank rank;
    unsigned requests;
    uint8_t *bits;
};

struct get {
    uint32_t id; /* 0: free */
    int peer;    /* -1: WAN */
    uint32_t first, end;
    uint64_t bytes;
};

struct swarm {
    struct digest digest;
    uint64_t size;
    uint32_t piece_bytes, pieces, held_count;
    uint8_t flags;
    uint8_t *held, *asked, *offered;
    uint16_t *avail;
    size_t peers_count;
    struct peer peers[SWARM_PEERS_MAX];
    struct cursor_at {
        bool used;
        uint64_t pos;
        int64_t moved_ms;
    } cursors[PICK_CURSORS_MAX];
    struct duties duties;
    struct get gets[SWARM_GETS_MAX];
    uint32_t get_ids;
    unsigned lan_gets, wan_gets;
    int64_t announced_ms;
    bool urgent;         /* a lease could be used now */
    unsigned news_count; /* pieces not told yet, the first since news_ms */
    int64_t news_ms;
    uint32_t news[NEWS_MAX];
};

struct swarm *
swarm_new(const struct digest *digest, uint64_t size, uint8_t flags, int64_t now_ms)
{
    must(size > 0 && size <= PIECE_BLOB_MAX);
    struct swarm *s = mem_zalloc(sizeof *s);
    s->digest = *digest;
    s->size = size;
    s->piece_bytes = piece_bytes(size);
    s->pieces = piece_count(size);
    s->flags = flags;
    duty_init(&s->duties, size, s->piece_bytes);
    s->held = mem_zalloc(BITS_BYTES(s->pieces));
    s->asked = mem_zalloc(BITS_BYTES(s->pieces));
    s->offered = mem_zalloc(BITS_BYTES(s->pieces));
    s->avail = mem_zalloc(s->pieces * sizeof *s->avail);
    s->announced_ms = now_ms - SWARM_REFRESH_MS;
    s->urgent = true;
    return s;
}

void
swarm_free(struct swarm *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->peers_count; i++)
        mem_free(s->peers[i].bits);
    mem_free(s->held);
    mem_free(s->asked);
    mem_free(s->offered);
    mem_free(s->avail);
    mem_free(s);
}

const struct digest *
swarm_digest(const struct swarm *s)
{
    return &s->digest;
}

uint64_t
swarm_size(const struct swarm *s)
{
    return s->size;
}

bool
swarm_whole(const struct swarm *s)
{
    return s->held_count == s->pieces;
}

bool
swarm_holds(const struct swarm *s, uint32_t piece)
{
    return bits_get(s->held, piece);
}

uint32_t
swarm_pieces(const struct swarm *s)
{
    return s->pieces;
}

static uint64_t
piece_len(const struct swarm *s, uint32_t piece)
{
    uint64_t rest = s->size - (uint64_t)piece * s->piece_bytes;
    return rest < s->piece_bytes ? rest : s->piece_bytes;
}

/* ---- this node's own side ---- */

void
swarm_flags(struct swarm *s, uint8_t flags)
{
    s->flags = flags;
}

void
swarm_hold(struct swarm *s, uint32_t piece)
{
    must(piece < s->pieces);
    if (bits_get(s->held, piece))
        return;
    bits_set(s->held, piece);
    bits_clear(s->asked, piece);
    s->held_count++;
}

void
swarm_drop(struct swarm *s, uint32_t piece)
{
    must(piece < s->pieces);
    if (!bits_get(s->held, piece))
        return;
    bits_clear(s->held, piece);
    s->held_count--;
    s->urgent = true;
}

void
swarm_cursor(struct swarm *s, unsigned slot, uint64_t pos, int64_t now_ms)
{
    must(slot < PICK_CURSORS_MAX);
    struct cursor_at *c = &s->cursors[slot];
    if (pos == UINT64_MAX) {
        c->used = false;
    } else if (!c->used || c->pos != pos) {
        *c = (struct cursor_at){true, pos, now_ms};
    }
}

/* ---- peers ---- */

static struct peer *
find_peer(struct swarm *s, const struct node_id *id)
{
    for (size_t i = 0; i < s->peers_count; i++)
        if (node_equal(&s->peers[i].id, id))
            return &s->peers[i];
    return NULL;
}

static struct peer *
make_peer(struct swarm *s, const struct node_id *id, const struct node_addr *addr)
{
    struct peer *p = find_peer(s, id);
    if (p == NULL && s->peers_count < SWARM_PEERS_MAX) {
        p = &s->peers[s->peers_count++];
        memset(p, 0, sizeof *p);
        p->id = *id;
        rank_init(&p->rank);
        p->bits = mem_zalloc(BITS_BYTES(s->pieces));
    }
    if (p != NULL)
        p->addr = *addr;
    return p;
}

static void
peer_bit(struct swarm *s, struct peer *p, uint32_t piece, bool held)
{
    if (bits_get(p->bits, piece) == held)
        return;
    if (held) {
        bits_set(p->bits, piece);
        s->avail[piece]++;
    } else {
        bits_clear(p->bits, piece);
        s->avail[piece]--;
    }
}

void
swarm_peer(struct swarm *s, const struct wire_peer *said)
{
    struct peer *p = make_peer(s, &said->node, &said->addr);
    /* The list is older than hints that came meanwhile: it only adds. What is gone is found by
     * asking. */
    for (uint32_t i = 0; p != NULL && i < s->pieces; i++)
        if (wire_bit(&said->held, i))
            peer_bit(s, p, i, true);
}

void
swarm_have(struct swarm *s, const struct node_id *node, const struct node_addr *addr,
           const struct wire_have *said)
{
    struct peer *p = make_peer(s, node, addr);
    for (uint32_t i = 0; p != NULL && i < said->count && i < s->pieces; i++)
        if ((uint64_t)said->first + i < s->pieces)
            peer_bit(s, p, said->first + i, true);
}

void
swarm_gone(struct swarm *s, const struct node_id *node)
{
    struct peer *p = find_peer(s, node);
    for (uint32_t i = 0; p != NULL && i < s->pieces; i++)
        peer_bit(s, p, i, false);
}

/* ---- leases ---- */

void
swarm_granted(struct swarm *s, const struct wire_grant *g)
{
    /* What has no place here the tracker takes back, when no progress comes. */
    if (g->count > 0 && g->first < s->pieces && g->count <= s->pieces - g->first)
        (void)duty_add(&s->duties, g->lease, g->epoch, g->first, g->count);
    s->urgent = false;
}

static struct get *
find_get(struct swarm *s, uint32_t id)
{
    for (size_t i = 0; i < SWARM_GETS_MAX; i++)
        if (id != 0 && s->gets[i].id == id)
            return &s->gets[i];
    return NULL;
}

/* The request stops before piece `end`: others may ask for what is behind. */
static void
cut_get(struct swarm *s, uint32_t id, uint32_t end)
{
    struct get *g = find_get(s, id);
    must(g != NULL);
    for (; g->end > end; g->end--)
        bits_clear(s->asked, g->end - 1);
}

bool
swarm_trimmed(struct swarm *s, const struct wire_trim *t, uint32_t *ret_get, uint32_t *ret_end)
{
    struct duty *a;
    if (!duty_trim(&s->duties, t, &a, ret_end))
        return false;
    cut_get(s, a->get, *ret_end);
    s->announced_ms -= SWARM_ANNOUNCE_MS; /* the tracker waits for our word */
    *ret_get = a->get;
    return true;
}

/* ---- what to ask for ---- */

static struct get *
free_get(struct swarm *s)
{
    for (size_t i = 0; i < SWARM_GETS_MAX; i++)
        if (s->gets[i].id == 0)
            return &s->gets[i];
    return NULL;
}

static void
start(struct swarm *s, struct get *g, int peer, uint32_t first, uint32_t end, struct swarm_get *ret)
{
    *g = (struct get){.id = ++s->get_ids, .peer = peer, .first = first, .end = end};
    for (uint32_t p = first; p < end; p++)
        if (!bits_get(s->held, p))
            bits_set(s->asked, p);
    *ret = (struct swarm_get){.id = g->id,
                              .source = peer < 0 ? SWARM_WAN : SWARM_LAN,
                              .first = first,
                              .count = end - first};
    if (peer < 0) {
        s->wan_gets++;
        return;
    }
    struct peer *p = &s->peers[peer];
    p->requests++;
    p->rank.inflight_bytes += piece_len(s, first);
    s->lan_gets++;
    ret->node = p->id;
    ret->addr = p->addr;
}

static bool
next_wan(struct swarm *s, int64_t now_ms, struct swarm_get *ret)
{
    struct duty *a;
    while (s->wan_gets < DUTY_WAN_GETS && (a = duty_ready(&s->duties)) != NULL) {
        struct get *g = free_get(s);
        if (g == NULL)
            return false;
        /* Pieces that came by another way meanwhile are not fetched again. */
        while (a->first + 1 < a->end && bits_get(s->held, a->first))
            a->first++;
        if (bits_get(s->held, a->first)) {
            duty_spare(&s->duties, a);
            s->announced_ms -= SWARM_ANNOUNCE_MS;
            continue;
        }
        start(s, g, -1, a->first, a->end, ret);
        duty_run(a, g->id, now_ms);
        return true;
    }
    return false;
}

static int
source_of(struct swarm *s, uint32_t piece, int64_t now_ms, struct rng *r)
{
    struct pick_source sources[SWARM_PEERS_MAX];
    int index[SWARM_PEERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < s->peers_count; i++) {
        struct peer *p = &s->peers[i];
        if (!bits_get(p->bits, piece))
            continue;
        index[count] = (int)i;
        sources[count++] = (struct pick_source){&p->rank, p->requests, 0};
    }
    int at = pick_source(sources, count, now_ms, piece_len(s, piece), r);
    return at < 0 ? -1 : index[at];
}

static void
fill_pick(const struct swarm *s, int64_t now_ms, struct pick_pieces *ret)
{
    ret->pieces = s->pieces;
    ret->held = s->held;
    ret->asked = s->asked;
    ret->offered = s->offered;
    ret->avail = s->avail;
    ret->cursors_count = 0;
    for (size_t i = 0; i < PICK_CURSORS_MAX; i++) {
        const struct cursor_at *c = &s->cursors[i];
        if (c->used && c->pos < s->size)
            ret->cursors[ret->cursors_count++] = (struct pick_cursor){
                (uint32_t)(c->pos / s->piece_bytes), now_ms - c->moved_ms >= SWARM_STALL_MS};
    }
}

/* What can be asked for now: pieces of peers that have room. */
static void
fill_offered(struct swarm *s, int64_t now_ms)
{
    size_t bytes = BITS_BYTES(s->pieces);
    memset(s->offered, 0, bytes);
    for (size_t i = 0; i < s->peers_count; i++) {
        const struct peer *p = &s->peers[i];
        const struct pick_source as = {&p->rank, p->requests, 0};
        for (size_t k = 0; k < bytes && pick_room(&as, now_ms); k++)
            s->offered[k] |= p->bits[k];
    }
}

static bool
next_lan(struct swarm *s, int64_t now_ms, struct rng *r, struct swarm_get *ret)
{
    struct get *g = free_get(s);
    if (g == NULL || s->lan_gets >= SWARM_LAN_GETS)
        return false;
    struct pick_pieces p;
    fill_offered(s, now_ms);
    fill_pick(s, now_ms, &p);
    int64_t piece = pick_piece(&p, r);
    int peer = piece < 0 ? -1 : source_of(s, (uint32_t)piece, now_ms, r);
    if (peer < 0)
        return false;
    start(s, g, peer, (uint32_t)piece, (uint32_t)piece + 1, ret);
    return true;
}

/* How many of those that live come before this node for the run: its owner has rank 0. */
static unsigned
rank_for(const struct swarm *s, const struct swarm_moment *at, uint32_t run)
{
    size_t len = digest_len(&s->digest);
    const struct node_id *self = at->self;
    uint64_t mine = pick_weight(s->digest.bytes, len, run, self->bytes, sizeof self->bytes);
    unsigned rank = 0;
    for (size_t i = 0; i < at->members->count; i++) {
        const struct node_id *o = &at->members->list[i].id;
        rank += pick_weight(s->digest.bytes, len, run, o->bytes, sizeof o->bytes) > mine;
    }
    return rank;
}

static bool
missing(const struct swarm *s, uint32_t piece)
{
    return s->avail[piece] == 0 && !bits_get(s->held, piece) && !bits_get(s->asked, piece);
}

/* Without a tracker: the first run of ours of which nobody has anything. */
static bool
take_own_run(struct swarm *s, const struct swarm_moment *now)
{
    for (uint32_t first = 0; first < s->pieces; first += SWARM_RUN) {
        uint32_t at = first, end;
        while (at < s->pieces && at < first + SWARM_RUN && !missing(s, at))
            at++;
        if (at == s->pieces || at == first + SWARM_RUN || rank_for(s, now, first / SWARM_RUN) != 0)
            continue;
        for (end = at; end < s->pieces && end < first + SWARM_RUN && missing(s, end);)
            end++;
        return duty_add(&s->duties, 0, 0, at, end - at);
    }
    return false;
}

/* A reader that stands still for long gets its piece straight from upstream. When all readers of
 * the site stand at one piece, one node after the other tries, not all at once. */
static bool
take_rescue(struct swarm *s, const struct swarm_moment *at)
{
    for (size_t i = 0; i < PICK_CURSORS_MAX; i++) {
        const struct cursor_at *c = &s->cursors[i];
        if (!c->used || c->pos >= s->size || at->now_ms - c->moved_ms < SWARM_RESCUE_MS)
            continue;
        uint32_t piece = (uint32_t)(c->pos / s->piece_bytes);
        if (bits_get(s->held, piece) || bits_get(s->asked, piece))
            continue;
        int64_t turn_ms = (int64_t)rank_for(s, at, piece) * SWARM_RESCUE_TURN_MS;
        turn_ms = turn_ms < SWARM_RESCUE_LAST_MS ? turn_ms : SWARM_RESCUE_LAST_MS;
        if (at->now_ms - c->moved_ms >= SWARM_RESCUE_MS + turn_ms)
            return duty_add(&s->duties, 0, 0, piece, 1);
    }
    return false;
}

bool
swarm_next(struct swarm *s, const struct swarm_moment *at, struct swarm_get *ret)
{
    if ((s->flags & WIRE_WANTS) == 0 || swarm_whole(s))
        return false;
    if (next_wan(s, at->now_ms, ret) || next_lan(s, at->now_ms, at->rng, ret))
        return true;
    if ((s->flags & WIRE_MAY_FETCH) == 0 || s->wan_gets > 0)
        return false;
    bool taken = at->orphan_ms >= SWARM_ORPHAN_MS && take_own_run(s, at);
    return (taken || take_rescue(s, at)) && next_wan(s, at->now_ms, ret);
}

/* ---- what came ---- */

void
swarm_progress(struct swarm *s, uint32_t get, uint64_t bytes, int64_t now_ms)
{
    struct get *g = find_get(s, get);
    if (g == NULL)
        return;
    g->bytes += bytes;
    struct duty *a = g->peer < 0 ? duty_running(&s->duties, g->id) : NULL;
    if (a != NULL && duty_progress(&s->duties, a, bytes, now_ms))
        s->urgent = true;
}

void
swarm_piece(struct swarm *s, uint32_t get, uint32_t piece, int64_t now_ms)
{
    must(piece < s->pieces);
    if (find_get(s, get) == NULL || bits_get(s->held, piece))
        return;
    swarm_hold(s, piece);
    if (s->news_count == 0)
        s->news_ms = now_ms;
    if (s->news_count < NEWS_MAX)
        s->news[s->news_count++] = piece;
}

static void
score(struct peer *p, enum swarm_end how, uint64_t bytes, int64_t took_us, unsigned busy_ms,
      int64_t now_ms)
{
    switch (how) {
    case SWARM_DONE:
        rank_good(&p->rank, now_ms, (uint32_t)bytes, (uint32_t)took_us);
        break;
    case SWARM_BUSY:
        rank_block(&p->rank, now_ms + busy_ms);
        break;
    case SWARM_FAILED:
        rank_bad(&p->rank, now_ms);
        break;
    }
}

void
swarm_end(struct swarm *s, uint32_t get, enum swarm_end how, int64_t took_us, unsigned busy_ms,
          int64_t now_ms)
{
    struct get *g = find_get(s, get);
    if (g == NULL)
        return;
    for (uint32_t p = g->first; p < g->end; p++)
        bits_clear(s->asked, p);
    if (g->peer < 0) {
        struct duty *a = duty_running(&s->duties, g->id);
        s->wan_gets--;
        s->urgent = true;
        if (a != NULL)
            duty_end(&s->duties, a, now_ms);
    } else {
        struct peer *p = &s->peers[g->peer];
        uint64_t len = piece_len(s, g->first);
        p->requests--;
        p->rank.inflight_bytes -= len;
        s->lan_gets--;
        score(p, how, len, took_us, busy_ms, now_ms);
        if (how == SWARM_FAILED)
            peer_bit(s, p, g->first, false);
    }
    g->id = 0;
}

/* ---- announcements ---- */

static unsigned
idle_leases(const struct swarm *s)
{
    unsigned running = duty_working(&s->duties);
    if (running == 0)
        return 1;
    return running == 1 && s->urgent ? 1 : 0;
}

static int64_t
announce_every_ms(const struct swarm *s)
{
    bool wants = (s->flags & WIRE_WANTS) != 0 && !swarm_whole(s);
    return wants ? SWARM_ANNOUNCE_MS : SWARM_REFRESH_MS;
}

int64_t
swarm_wake_ms(const struct swarm *s)
{
    int64_t due_ms = s->announced_ms + (s->urgent ? SWARM_SPACING_MS : announce_every_ms(s));
    if (s->news_count > 0 && s->news_ms + SWARM_HAVE_MS < due_ms)
        due_ms = s->news_ms + SWARM_HAVE_MS;
    return due_ms;
}

bool
swarm_announce_due(const struct swarm *s, int64_t now_ms)
{
    return now_ms - s->announced_ms >= (s->urgent ? SWARM_SPACING_MS : announce_every_ms(s));
}

void
swarm_announce(struct swarm *s, int64_t now_ms, struct wire_blob *ret)
{
    bool wants = (s->flags & WIRE_WANTS) != 0 && !swarm_whole(s);
    uint64_t cursor = UINT64_MAX;
    for (size_t i = 0; i < PICK_CURSORS_MAX; i++)
        if (s->cursors[i].used && s->cursors[i].pos < cursor)
            cursor = s->cursors[i].pos;
    *ret =
        (struct wire_blob){.digest = s->digest,
                           .size = s->size,
                           .flags = (uint8_t)((s->flags & ~WIRE_WANTS) | (wants ? WIRE_WANTS : 0)),
                           .cursor = cursor,
                           .wan_rate = s->duties.wan_rate,
                           .idle_leases = (uint16_t)(wants ? idle_leases(s) : 0),
                           .held = {s->held, (uint16_t)BITS_BYTES(s->pieces)}};
    s->announced_ms = now_ms;
    s->urgent = false;
}

bool
swarm_report(const struct swarm *s, size_t *at, struct wire_fetching *ret)
{
    ret->digest = s->digest;
    return duty_report(&s->duties, at, ret);
}

void
swarm_told(struct swarm *s)
{
    duty_told(&s->duties);
}

void
swarm_taken(struct swarm *s)
{
    duty_taken(&s->duties);
}

void
swarm_announce_now(struct swarm *s)
{
    s->urgent = true;
}

bool
swarm_take_have(struct swarm *s, int64_t now_ms, struct wire_have *ret)
{
    bool due = s->news_count >= SWARM_HAVE_PIECES || now_ms - s->news_ms >= SWARM_HAVE_MS;
    if (s->news_count == 0 || !due)
        return false;
    uint32_t first = s->news[0], count = 1;
    unsigned used = 1;
    while (used < s->news_count && s->news[used] == first + count) {
        used++;
        count++;
    }
    s->news_count -= used;
    memmove(s->news, s->news + used, s->news_count * sizeof s->news[0]);
    *ret = (struct wire_have){s->digest, first, count};
    return true;
}
