/* One blob on one node: what is held, and what others say. */
#include "base/mem.h"
#include "p2p/swarm_inside.h"

#define SETS 12

/* Its i-th set of pieces. */
static uint8_t **
set_of(struct swarm *s, size_t i)
{
    uint8_t **sets[SETS] = {&s->held,   &s->asked,  &s->offered,  &s->left,
                            &s->owned,  &s->worded, &s->disputed, &s->lied,
                            &s->unsaid, &s->news,   &s->telling,  &s->somewhere};
    return sets[i];
}

struct swarm *
swarm_new(const struct digest *digest, uint64_t size, uint8_t flags, int64_t now_ms)
{
    must(size > 0 && size <= PIECE_BLOB_MAX);
    struct swarm *s = mem_zalloc(sizeof *s);
    s->digest = *digest;
    s->size = size;
    s->piece_bytes = piece_bytes(size);
    s->end = s->pieces = piece_count(size);
    s->flags = flags;
    duty_init(&s->duties, size, s->piece_bytes);
    for (size_t i = 0; i < SETS; i++)
        *set_of(s, i) = mem_zalloc(BITS_BYTES(s->pieces));
    s->attest = attest_new(s->pieces);
    s->crowd_stale = true;
    s->avail = mem_zalloc(s->pieces * sizeof *s->avail);
    s->now_ms = now_ms;
    s->announced_ms = now_ms - SWARM_REFRESH_MS;
    s->taken_ms = s->rescue_ms = s->lan_failed_ms = s->words_ms = s->hint_ms = INT64_MIN / 2;
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
    for (size_t i = 0; i < SETS; i++)
        mem_free(*set_of(s, i));
    attest_free(s->attest);
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

uint8_t
swarm_has_flags(const struct swarm *s)
{
    return s->flags;
}

int64_t
swarm_announced_ms(const struct swarm *s)
{
    return s->announced_ms;
}

bool
swarm_whole(const struct swarm *s)
{
    return s->held_count == s->pieces;
}

bool
swarm_sated(const struct swarm *s)
{
    return s->held_count == s->pieces - s->first;
}

bool
swarm_done(const struct swarm *s, uint32_t piece)
{
    return piece < s->first || bits_get(s->held, piece);
}

bool
swarm_in_window(const struct swarm *s, uint32_t piece)
{
    return piece >= s->first && piece < s->end;
}

bool
swarm_lacks_at(const struct swarm *s, uint64_t pos)
{
    return pos < s->size && s->avail[pos / s->piece_bytes] == 0;
}

bool
swarm_wants(const struct swarm *s)
{
    return (s->flags & WIRE_WANTS) != 0 && !swarm_sated(s);
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

uint64_t
swarm_piece_len(const struct swarm *s, uint32_t piece)
{
    uint64_t rest = s->size - (uint64_t)piece * s->piece_bytes;
    return rest < s->piece_bytes ? rest : s->piece_bytes;
}

/* ---- this node's own side ---- */

void
swarm_flags(struct swarm *s, uint8_t flags)
{
    s->urgent = s->urgent || s->flags != flags;
    s->flags = flags;
    s->lan_ms = 0;
    if ((flags & WIRE_MAY_FETCH) == 0)
        duty_refuse(&s->duties);
}

void
swarm_hold(struct swarm *s, uint32_t piece)
{
    must(piece < s->pieces);
    if (swarm_done(s, piece))
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
    s->news_count -= bits_get(s->news, piece);
    bits_clear(s->news, piece);
    s->lan_ms = 0;
    s->urgent = true;
}

void
swarm_window(struct swarm *s, uint32_t first, uint32_t end)
{
    must(first <= end && end <= s->pieces);
    for (; s->first < first; s->first++) {
        s->held_count -= bits_get(s->held, s->first);
        bits_clear(s->held, s->first);
    }
    s->end = end;
    s->lan_ms = 0;
    s->windowed = s->moved = true;
    s->urgent = s->urgent || duty_working(&s->duties) == 0;
}

void
swarm_cursor(struct swarm *s, unsigned slot, uint64_t pos, int64_t now_ms)
{
    must(slot < PICK_CURSORS_MAX);
    struct cursor_at *c = &s->cursors[slot];
    if (pos == UINT64_MAX) {
        c->used = false;
    } else if (!c->used || c->pos != pos) {
        *c = (struct cursor_at){true, !c->used, pos, now_ms, now_ms, swarm_lacks_at(s, pos)};
    }
}

/* ---- peers ---- */

struct swarm_link *
swarm_find_peer(struct swarm *s, const struct node_id *id)
{
    uint8_t *hint = &s->peer_at[id->bytes[0]];
    if (*hint < s->peers_count && node_equal(&s->peers[*hint].id, id))
        return &s->peers[*hint];
    for (size_t i = 0; i < s->peers_count; i++)
        if (node_equal(&s->peers[i].id, id)) {
            *hint = (uint8_t)i;
            return &s->peers[i];
        }
    return NULL;
}

/* NULL when there is no place, or when nothing that it says is believed. */
static struct swarm_link *
make_peer(struct swarm *s, const struct node_id *id, const struct node_addr *addr)
{
    struct swarm_link *p = swarm_find_peer(s, id);
    if (p != NULL && s->now_ms < p->doubt_ms)
        return NULL;
    if (p == NULL && s->peers_count < SWARM_PEERS_MAX) {
        p = &s->peers[s->peers_count++];
        memset(p, 0, sizeof *p);
        p->id = *id;
        p->gave_ms = INT64_MIN;
        rank_init(&p->rank);
        p->bits = mem_zalloc(BITS_BYTES(s->pieces));
    }
    if (p != NULL)
        p->addr = *addr;
    return p;
}

/* A peer has a piece that is neither here nor asked for: it can be asked once it is not busy. */
static void
look_at(struct swarm *s, const struct swarm_link *p)
{
    int64_t ms = rank_usable(&p->rank, s->now_ms) ? 0 : p->rank.blocked_until_ms;
    if (p->requests < PICK_PER_PEER && ms < s->lan_ms)
        s->lan_ms = ms;
}

static void
peer_bit(struct swarm *s, struct swarm_link *p, uint32_t piece, bool held)
{
    if (bits_get(p->bits, piece) == held)
        return;
    bool shared = p->held > 0 && p->held < s->pieces;
    if (held) {
        bits_set(p->bits, piece);
        bits_set(s->somewhere, piece);
        s->avail[piece]++;
        p->held++;
        p->grew_ms = s->now_ms;
    } else {
        bits_clear(p->bits, piece);
        if (--s->avail[piece] == 0)
            bits_clear(s->somewhere, piece);
        p->held--;
    }
    if (shared != (p->held > 0 && p->held < s->pieces))
        s->crowd_stale = true;
    if (s->crowd_stale)
        s->lan_ms = 0;
    else if (held && !swarm_done(s, piece) && !bits_get(s->asked, piece))
        look_at(s, p);
}

void
swarm_peer(struct swarm *s, const struct wire_peer *said)
{
    struct swarm_link *p = make_peer(s, &said->node, &said->addr);
    /* The list is older than hints that came meanwhile: it only adds. What is gone is found by
     * asking. */
    for (uint32_t i = p != NULL ? p->first : 0; p != NULL && i < s->pieces; i++)
        if (wire_bit(&said->held, i))
            peer_bit(s, p, i, true);
}

void
swarm_have(struct swarm *s, const struct node_id *node, const struct node_addr *addr,
           const struct wire_have *said)
{
    struct swarm_link *p = make_peer(s, node, addr);
    bool held;
    if (p != NULL && said->first < p->first)
        p->first = said->first;
    for (uint32_t i = 0; p != NULL && i < s->pieces && wire_hint(said, i, &held); i++)
        if (held && (uint64_t)said->first + i < s->pieces)
            peer_bit(s, p, said->first + i, true);
}

void
swarm_forget(struct swarm *s, const struct node_id *node)
{
    struct swarm_link *p = swarm_find_peer(s, node);
    for (uint32_t i = 0; p != NULL && i < s->pieces; i++)
        peer_bit(s, p, i, false);
}

void
swarm_gone(struct swarm *s, const struct node_id *node)
{
    struct swarm_link *p = swarm_find_peer(s, node);
    swarm_forget(s, node);
    if (p != NULL) {
        p->refused = p->doubts = p->first = 0;
        p->windowed = false;
    }
}

void
swarm_peer_window(struct swarm *s, const struct node_id *node, uint32_t first)
{
    struct swarm_link *p = swarm_find_peer(s, node);
    if (p == NULL)
        return;
    p->windowed = true;
    p->first = first < s->pieces ? first : s->pieces;
    for (uint32_t i = 0; i < p->first; i++)
        peer_bit(s, p, i, false);
}

struct swarm_sum
swarm_sum(const struct swarm *s)
{
    return (struct swarm_sum){s->pieces, s->held_count, (unsigned)s->peers_count, s->lan_gets,
                              s->wan_gets + s->sips};
}

bool
swarm_other(const struct swarm *s, size_t i, struct node_id *ret_node, struct node_addr *ret_addr,
            uint32_t *ret_held)
{
    if (i >= s->peers_count)
        return false;
    *ret_node = s->peers[i].id;
    *ret_addr = s->peers[i].addr;
    *ret_held = 0;
    for (uint32_t p = 0; p < s->pieces; p++)
        *ret_held += bits_get(s->peers[i].bits, p);
    return true;
}

void
swarm_ihave(struct swarm *s, const struct node_id *node, const struct node_addr *addr,
            const struct wire_ihave *said, int64_t now_ms)
{
    struct swarm_link *p = said->size == s->size ? make_peer(s, node, addr) : NULL;
    if (p == NULL)
        return;
    p->first = 0;
    for (uint32_t i = 0; i < s->pieces; i++)
        if (said->held.len == 0 || wire_bit(&said->held, i))
            peer_bit(s, p, i, true);
    if (said->held.len == 0 && s->ask_ms > now_ms)
        s->ask_ms = now_ms;
}

/* ---- leases ---- */

void
swarm_granted(struct swarm *s, const struct wire_grant *g)
{
    /* What has no place here the tracker takes back, when no progress comes. */
    if (g->count > 0 && g->first < s->pieces && g->count <= s->pieces - g->first)
        (void)duty_add(&s->duties, g);
    s->urgent = false;
    if ((s->flags & WIRE_MAY_FETCH) == 0) {
        duty_refuse(&s->duties);
        s->urgent = true;
    }
}

void
swarm_rest(struct swarm *s, bool rests)
{
    s->rests = rests;
    if (!rests || duty_ready(&s->duties) == NULL)
        return;
    s->urgent = true;
    duty_rest(&s->duties);
}

static struct swarm_run *
find_get(struct swarm *s, uint32_t id)
{
    for (size_t i = 0; i < SWARM_GETS_MAX; i++)
        if (id != 0 && s->gets[i].id == id)
            return &s->gets[i];
    return NULL;
}

/* The request asks for the piece no more; another one may, as a lease may begin behind what a node
 * of the site is asked for. */
static void
unask(struct swarm *s, const struct swarm_run *g, uint32_t piece)
{
    for (size_t i = 0; i < SWARM_GETS_MAX; i++) {
        const struct swarm_run *o = &s->gets[i];
        if (o != g && o->id != 0 && piece >= o->first && piece < o->end)
            return;
    }
    bits_clear(s->asked, piece);
}

/* The request stops before piece `end`: others may ask for what is behind. */
static void
cut_get(struct swarm *s, uint32_t id, uint32_t end)
{
    struct swarm_run *g = find_get(s, id);
    must(g != NULL);
    for (; g->end > end; g->end--)
        unask(s, g, g->end - 1);
    s->lan_ms = 0;
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

/* ---- what came ---- */

void
swarm_progress(struct swarm *s, uint32_t get, uint64_t bytes, int64_t now_ms)
{
    struct swarm_run *g = find_get(s, get);
    if (g == NULL)
        return;
    g->bytes += bytes;
    struct duty *a = g->peer < 0 ? duty_running(&s->duties, g->id) : NULL;
    if (a != NULL && duty_progress(&s->duties, a, bytes, now_ms))
        s->urgent = s->urgent || duty_wants_more(&s->duties);
}

void
swarm_piece(struct swarm *s, uint32_t get, uint32_t piece, int64_t now_ms)
{
    must(piece < s->pieces);
    const struct swarm_run *g = find_get(s, get);
    if (g == NULL || bits_get(s->held, piece))
        return;
    swarm_hold(s, piece);
    if (s->news_count++ == 0)
        s->news_ms = now_ms;
    s->news_from_wan = s->news_from_wan || g->peer < 0;
    bits_set(s->news, piece);
}

/* The request is over. Its peer, or NULL: it was one over the WAN. */
static struct swarm_link *
drop_get(struct swarm *s, struct swarm_run *g)
{
    for (uint32_t p = g->first; p < g->end; p++)
        unask(s, g, p);
    g->id = 0;
    s->lan_ms = 0;
    if (g->peer < 0) {
        *(g->is_sip ? &s->sips : &s->wan_gets) -= 1;
        return NULL;
    }
    struct swarm_link *peer = &s->peers[g->peer];
    peer->requests--;
    s->lan_gets--;
    return peer;
}

void
swarm_leave(struct swarm *s)
{
    s->flags = 0;
    s->urgent = true;
    s->ask_ms = s->announced_ms = 0;
    duty_leave(&s->duties);
    for (size_t i = 0; i < SWARM_GETS_MAX; i++)
        if (s->gets[i].id != 0)
            (void)drop_get(s, &s->gets[i]);
}

static void
score(struct swarm_link *p, enum swarm_end how, uint64_t bytes, int64_t took_us, unsigned busy_ms,
      int64_t now_ms)
{
    switch (how) {
    case SWARM_DONE:
        rank_good(&p->rank, now_ms, (uint32_t)bytes, (uint32_t)took_us);
        p->busies = 0;
        break;
    case SWARM_BUSY:
        rank_block(&p->rank, now_ms + ((int64_t)busy_ms << p->busies));
        p->busies += p->busies < SWARM_BUSY_DOUBLINGS;
        break;
    case SWARM_FAILED:
    case SWARM_DENIED:
    case SWARM_LIED:
        rank_bad(&p->rank, now_ms);
        break;
    }
}

void
swarm_disbelieve(struct swarm *s, struct swarm_link *p, int64_t now_ms)
{
    for (uint32_t i = 0; i < s->pieces; i++)
        peer_bit(s, p, i, false);
    unsigned doublings = p->doubts < SWARM_DOUBTS_MAX ? p->doubts : SWARM_DOUBTS_MAX;
    p->doubt_ms = now_ms + ((int64_t)SWARM_DOUBT_MS << doublings);
    p->doubts++;
    s->urgent = true;
}

/* A peer that gives nothing of what it says to hold is as one that holds nothing, for a while. One
 * that keeps a window of pieces only may have lost it since. */
static void
refused(struct swarm *s, struct swarm_link *p, bool denied, int64_t now_ms)
{
    if (p->windowed)
        return;
    if (p->refused++ == 0)
        p->refused_ms = now_ms;
    if (denied && p->gave_ms == INT64_MIN)
        p->refused = SWARM_REFUSED_MAX;
    if (p->refused < SWARM_REFUSED_MAX || now_ms < p->doubt_ms)
        return;
    swarm_disbelieve(s, p, now_ms);
    s->suspects = p->suspect = true;
}

bool
swarm_suspect(struct swarm *s, size_t *at, struct node_id *ret, int64_t *ret_since_ms)
{
    while (s->suspects && *at < s->peers_count) {
        struct swarm_link *p = &s->peers[(*at)++];
        if (!p->suspect)
            continue;
        p->suspect = false;
        *ret = p->id;
        *ret_since_ms = p->refused_ms;
        return true;
    }
    s->suspects = false;
    return false;
}

bool
swarm_gave(struct swarm *s, const struct node_id *node, int64_t since_ms)
{
    const struct swarm_link *p = swarm_find_peer(s, node);
    return p != NULL && p->gave_ms >= since_ms;
}

void
swarm_end(struct swarm *s, uint32_t get, enum swarm_end how, int64_t took_us, unsigned busy_ms,
          int64_t now_ms)
{
    struct swarm_run *g = find_get(s, get);
    if (g == NULL)
        return;
    struct swarm_link *p = drop_get(s, g);
    if (p == NULL) {
        struct duty *a = duty_running(&s->duties, get);
        s->urgent = true;
        /* Ended for a peer that has the piece: that one may be busy, and no byte is here. Not at
         * once: it would begin and end as fast as can be while the piece is under way. */
        if (g->is_sip && how == SWARM_DONE && g->bytes == 0)
            s->rescue_ms = now_ms - SWARM_RESCUE_MS + SWARM_STALL_MS;
        if (a != NULL)
            duty_end(&s->duties, a, how == SWARM_BUSY, now_ms);
    } else {
        score(p, how, swarm_piece_len(s, g->first), took_us, busy_ms, now_ms);
        if (how == SWARM_DONE) {
            s->lan_took_us = s->lan_took_us == 0 ? (uint64_t)took_us
                                                 : (s->lan_took_us * 7 + (uint64_t)took_us) / 8;
            p->refused = p->doubts = 0;
            p->gave_ms = now_ms;
        }
        p->right += g->has_word && how == SWARM_DONE;
        p->wrong += how == SWARM_LIED;
        s->wrong += how == SWARM_LIED;
        if (how == SWARM_LIED)
            swarm_lied(s, g->first, now_ms);
        if (how == SWARM_FAILED || how == SWARM_DENIED || how == SWARM_LIED) {
            peer_bit(s, p, g->first, false);
            refused(s, p, how == SWARM_DENIED, now_ms);
            s->lan_failed = g->first;
            s->lan_failed_ms = now_ms;
        }
    }
}
