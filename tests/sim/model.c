/* Requests, bodies and readers of a simulated pull.
 *
 * Checked with each order of the core: it asks for a piece that is neither held nor asked for by
 * another request, at a peer or upstream as it may, with a bounded number of requests. */
#include "tests/sim/model.h"
#include "base/mem.h"
#include <stdio.h>

#define BLOCK        (128u * 1024)
#define FIRST_STEP   (16u * 1024) /* of a WAN request, until the first block is there */
#define UPLOADS      14           /* as the daemon has, SLOTS_NEAR of them for its own site */
#define CRIPPLED_F   500
#define CLIENT_BLOBS 3 /* a runtime pulls so many layers at once */
#define SWEEP_US     500000
#define WEIGHTS_US   1500000
#define WEIGHT_LEAST 8 /* shares of a WAN: 8 to 8 * 2^5, and 1 of who begins */
#define WEIGHTS      6
#define BUSY_US      200000           /* a connection that is idle for longer begins anew */
#define NOBODY       (UINT64_MAX - 1) /* owners of what comes in vain: in the site, */
#define FAR_NOBODY   UINT64_MAX       /* from another site */
/* More nodes share links by the coarser rule of flows.h. */
#define EXACT_NODES_MAX 64
#define FULL_FLAGS      (WIRE_WANTS | WIRE_CLIENT)
#define FLAGS           (FULL_FLAGS | WIRE_MAY_FETCH | WIRE_SERVES)

unsigned
model_total(const struct pulls_case *c)
{
    return c->sites * c->nodes;
}

uint32_t
model_wan(unsigned site)
{
    return 2 * site;
}

static uint32_t
registry_link(const struct pulls_case *c)
{
    return 2 * c->sites + 3 * model_total(c);
}

/* Link of a node: 0 its way to the WAN, 1 its port out, 2 its port in. */
static uint32_t
port(const struct model *d, unsigned node, unsigned which)
{
    return 2 * d->c->sites + 3 * node + which;
}

static struct swarm *
swarm_of(struct world *w, const struct model *d, unsigned node, unsigned blob)
{
    struct step *s = w->nodes[node].step;
    return s != NULL ? step_swarm(s, &d->digests[blob]) : NULL;
}

static uint32_t
pieces_of(const struct model *d, unsigned blob)
{
    return piece_count(d->c->sizes[blob]);
}

/* ---- orders of the core ---- */

static bool
good_get(struct world *w, struct model *d, unsigned node, unsigned blob, const struct swarm_get *g)
{
    const struct swarm *s = swarm_of(w, d, node, blob);
    const struct model_node *n = &d->nodes[node];
    bool wan = g->source == SWARM_WAN;
    if (s == NULL || g->count == 0 || g->first >= pieces_of(d, blob) ||
        g->count > pieces_of(d, blob) - g->first)
        return world_break(w, "n%u asks for pieces that blob %u does not have", node, blob);
    if (wan && (n->full || n->wan_gets[blob] >= DUTY_WAN_GETS))
        return world_break(w, "n%u must not fetch, or not so much", node);
    if (!wan && (g->count != 1 || !g->has_word))
        return world_break(w, "n%u asks a node for %u pieces, or without a word", node, g->count);
    for (uint32_t p = g->first; p < g->first + g->count; p++) {
        if (!wan && swarm_holds(s, p))
            return world_break(w, "n%u asks for piece %u, which it has", node, p);
        if (!wan && n->asked[blob][p] > 0)
            return world_break(w, "n%u asks twice for piece %u", node, p);
    }
    return true;
}

static void
set_end(struct model *d, struct model_get *g, uint32_t end)
{
    for (; g->end > end && g->end > g->first; g->end--)
        if (g->sip == 0)
            d->nodes[g->node].asked[g->blob][g->end - 1]--;
}

static void
cut(struct world *w, struct model *d, size_t i, uint32_t end)
{
    struct model_get *g = &d->gets[i];
    set_end(d, g, end);
    if (g->wan && d->nodes[g->node].hung && g->end <= g->first)
        world_post_at(w, g->node, w->now_us, MODEL_ENDED, (uint64_t)i, SWARM_FAILED);
    if (d->cut_count == d->cut_cap) {
        d->cut_cap = d->cut_cap > 0 ? 2 * d->cut_cap : 64;
        d->cut = mem_realloc(d->cut, d->cut_cap * sizeof *d->cut);
    }
    d->cut[d->cut_count++] = i;
}

static void
stop(struct world *w, struct model *d, unsigned node, unsigned blob, const struct swarm_get *s)
{
    for (int64_t i = d->nodes[node].gets; i >= 0; i = d->gets[i].next)
        if (d->gets[i].blob == blob && d->gets[i].id == s->id)
            cut(w, d, (size_t)i, s->first);
}

/* Who brings all of these pieces does not wait for what is sipped of them. */
static void
end_sips(struct world *w, struct model *d, unsigned node, unsigned blob, uint32_t first,
         uint32_t count)
{
    for (int64_t i = d->nodes[node].gets; i >= 0; i = d->gets[i].next) {
        const struct model_get *g = &d->gets[i];
        if (g->sip > 0 && g->blob == blob && g->first - first < count)
            cut(w, d, (size_t)i, g->first);
    }
}

static bool
is_far(const struct world *w, unsigned node, int peer)
{
    return peer >= 0 && w->nodes[peer].site != w->nodes[node].site;
}

static void
fetch(struct world *w, unsigned node, const struct plan_action *a)
{
    struct model *d = w->hooks.cookie;
    unsigned blob = 0;
    while (blob < d->blobs && !digest_equal(&d->digests[blob], &a->blob))
        blob++;
    must(blob < d->blobs);
    if (a->kind == PLAN_WORDS) {
        world_post_at(w, node, w->now_us + MODEL_DISK_US, MODEL_WORDS, node, blob);
        return;
    }
    if (a->kind == PLAN_STOP) {
        stop(w, d, node, blob, &a->get);
        return;
    }
    if (w->broken[0] != '\0' || !good_get(w, d, node, blob, &a->get))
        return;
    if (d->gets_count == d->gets_cap) {
        d->gets_cap = d->gets_cap > 0 ? 2 * d->gets_cap : 1024;
        d->gets = mem_realloc(d->gets, d->gets_cap * sizeof *d->gets);
    }
    bool lan = a->get.source == SWARM_LAN;
    uint64_t sipped = a->get.sip > 0 ? a->get.sip - SWARM_SIP_BYTES : 0;
    int peer = node_is_none(&a->get.node) ? -1 : world_node_of(w, &a->get.node);
    struct model_node *n = &d->nodes[node];
    for (uint32_t p = a->get.first; p < a->get.first + a->get.count && a->get.sip == 0; p++)
        n->asked[blob][p]++;
    if (!a->get.has_word)
        end_sips(w, d, node, blob, a->get.first, a->get.count);
    n->wan_gets[blob] += !lan;
    d->far += is_far(w, node, peer);
    d->gets[d->gets_count] = (struct model_get){.node = node,
                                                .blob = blob,
                                                .peer = peer,
                                                .wan = !lan,
                                                .id = a->get.id,
                                                .sip = a->get.sip,
                                                .at = sipped,
                                                .first = a->get.first,
                                                .end = a->get.first + a->get.count,
                                                .asked_end = a->get.first + a->get.count,
                                                .flow = -1,
                                                .began_us = w->now_us,
                                                .moved_us = w->now_us,
                                                .has_word = a->get.has_word,
                                                .next = n->gets};
    n->gets = (int64_t)d->gets_count;
    memcpy(d->gets[d->gets_count].word, a->get.word, ATTEST_BYTES);
    int64_t delay_us =
        peer >= 0 ? world_delay_us(w, node, (unsigned)peer) : d->c->rtt_ms * WORLD_US;
    if (lan || !n->hung)
        world_post_at(w, peer >= 0 ? (unsigned)peer : node, w->now_us + delay_us,
                      peer >= 0 ? MODEL_BEGIN : MODEL_WAN_BEGIN, d->gets_count, 0);
    d->gets_count++;
}

/* ---- what bytes are ---- */

/* What a piece hashes to: with the registry's bytes (liar 0), or as a liar has it. */
static void
word_of(const struct model *d, unsigned blob, uint32_t piece, uint8_t liar,
        uint8_t ret[ATTEST_BYTES])
{
    memcpy(ret, d->digests[blob].bytes, ATTEST_BYTES);
    memcpy(ret, &piece, sizeof piece);
    ret[ATTEST_BYTES - 1] = liar;
}

/* Whose bytes a node gives. */
static uint8_t
gives(const struct model *d, unsigned node, unsigned blob, uint32_t piece)
{
    const struct model_node *n = &d->nodes[node];
    return n->flips ? (uint8_t)(node + 1) : n->lies[blob][piece];
}

/* What was stored with a blob; who gives garbage has nothing to say. */
static void
recall(struct world *w, const struct model *d, unsigned node, unsigned blob)
{
    uint8_t word[ATTEST_BYTES];
    struct swarm *s = swarm_of(w, d, node, blob);
    const struct model_node *n = &d->nodes[node];
    for (uint32_t p = 0; s != NULL && p < swarm_pieces(s) && !(n->liar && n->flips); p++) {
        word_of(d, blob, p, 0, word);
        swarm_attest(s, true, p, word, world_node_ms(w, node));
    }
    if (s != NULL)
        swarm_recalled(s);
    world_touch(w, node);
}

/* The bytes of a piece are here. */
static void
keep(struct world *w, struct model *d, const struct model_get *g, uint32_t piece)
{
    uint8_t word[ATTEST_BYTES], liar = 0;
    struct swarm *s = swarm_of(w, d, g->node, g->blob);
    struct model_node *n = &d->nodes[g->node];
    if (g->peer >= 0)
        liar = gives(d, (unsigned)g->peer, g->blob, piece);
    else if (n->forges)
        liar = (uint8_t)(g->node + 1);
    if (liar != 0 && !d->nodes[liar - 1].forges)
        (void)world_break(w, "n%u keeps wrong bytes of piece %u", g->node, piece);
    n->lies[g->blob][piece] = liar;
    n->read[g->blob][piece] = g->wan;
    word_of(d, g->blob, piece, liar, word);
    if (g->wan)
        swarm_attest(s, g->peer < 0, piece, word, world_node_ms(w, g->node));
    swarm_piece(s, g->id, piece, world_node_ms(w, g->node));
}

/* Is what a peer gave as its word says? */
static bool
is_as_said(const struct model *d, const struct model_get *g)
{
    uint8_t word[ATTEST_BYTES];
    word_of(d, g->blob, g->first, gives(d, (unsigned)g->peer, g->blob, g->first), word);
    return memcmp(word, g->word, ATTEST_BYTES) == 0;
}

/* ---- requests ---- */

static uint64_t
bytes_until(const struct model *d, const struct model_get *g, uint32_t end)
{
    uint64_t size = d->c->sizes[g->blob], piece = piece_bytes(size);
    uint64_t to = end * piece;
    if (g->sip > 0)
        return g->sip;
    return (to < size ? to : size) - g->first * piece;
}

static uint64_t
get_bytes(const struct model *d, const struct model_get *g)
{
    return bytes_until(d, g, g->end);
}

static void
unlink_get(struct model *d, size_t i)
{
    int64_t *at = &d->nodes[d->gets[i].node].gets;
    while (*at != (int64_t)i)
        at = &d->gets[*at].next;
    *at = d->gets[i].next;
}

static void
end_get(struct world *w, struct model *d, size_t i, enum swarm_end how, unsigned busy_ms)
{
    struct model_get *g = &d->gets[i];
    struct model_node *n = &d->nodes[g->node];
    if (g->over)
        return;
    g->over = true;
    set_end(d, g, g->first);
    n->wan_gets[g->blob] -= g->wan;
    d->far -= is_far(w, g->node, g->peer);
    unlink_get(d, i);
    struct swarm *s = swarm_of(w, d, g->node, g->blob);
    if (s == NULL)
        return;
    swarm_end(s, g->id, how, w->now_us - g->began_us, busy_ms, world_node_ms(w, g->node));
    world_touch(w, g->node);
}

/* Bytes of a WAN request until its node hears of the next. */
static uint64_t
next_step(const struct model_get *g, uint64_t all)
{
    uint64_t step = g->at < BLOCK ? FIRST_STEP : BLOCK;
    return all - g->at < step ? all - g->at : step;
}

/* A connection that was idle begins with next to nothing beside others; one that goes from request
 * to request keeps its share. */
static uint32_t
weight_of(const struct world *w, const struct model_node *n)
{
    return n->wan_weight > 0 && w->now_us - n->wan_us <= BUSY_US ? n->wan_weight : 1;
}

static void
start_flow(struct world *w, struct model *d, size_t i)
{
    struct model_get *g = &d->gets[i];
    unsigned site = w->nodes[g->node].site, from = g->peer < 0 ? 0 : (unsigned)g->peer;
    uint32_t links[FLOWS_PER_FLOW] = {port(d, g->node, 2), FLOWS_NO_LINK, FLOWS_NO_LINK,
                                      FLOWS_NO_LINK, FLOWS_NO_LINK};
    if (g->peer >= 0)
        links[1] = port(d, from, 1);
    else if (d->c->registry > 0)
        links[1] = registry_link(d->c);
    if (g->peer < 0 || w->nodes[from].site != site) {
        links[2] = model_wan(site);
        links[3] = port(d, g->node, 0);
    }
    if (g->peer >= 0 && w->nodes[from].site != site)
        links[4] = model_wan(w->nodes[from].site) + 1;
    uint64_t all = get_bytes(d, g);
    g->began_us = g->moved_us = w->now_us;
    g->flow = (int)flows_add(&d->flows, d->sites > 1 ? site : 0, links,
                             g->wan ? next_step(g, all) : all, i);
    if (g->wan && d->c->unfair)
        flows_weigh(&d->flows, (unsigned)g->flow, weight_of(w, &d->nodes[g->node]));
}

static void
answer(struct world *w, struct model *d, size_t i, enum swarm_end how, unsigned wait_ms)
{
    const struct model_get *g = &d->gets[i];
    int64_t delay_us = world_delay_us(w, (unsigned)g->peer, g->node);
    world_post_at(w, g->node, w->now_us + delay_us, MODEL_ENDED, i, how | (uint64_t)wait_ms << 8);
}

/* Those of its peer that it needs: of its own site, or of others. */
static struct slots *
slots_for(const struct world *w, struct model *d, const struct model_get *g)
{
    return &d->nodes[g->peer].slots[w->nodes[g->node].site != w->nodes[g->peer].site];
}

/* Who asks, where its node gets slots like the others. */
static uint64_t
slots_from(const struct world *w, const struct model_get *g)
{
    return is_far(w, g->node, g->peer) ? 0 : g->node + 1;
}

static void
begin_lan(struct world *w, struct model *d, size_t i)
{
    struct model_get *g = &d->gets[i];
    unsigned peer = (unsigned)g->peer, wait_ms;
    struct model_node *n = &d->nodes[peer];
    if (!world_alive(w, g->node) || g->over)
        return;
    if (!world_alive(w, peer) || world_is_cut(w, g->node, peer) || world_is_cut(w, peer, g->node)) {
        world_post_at(w, g->node, w->now_us + MODEL_STALL_US, MODEL_ENDED, i, SWARM_FAILED);
        return;
    }
    if (n->closed) {
        world_post_at(w, g->node, w->now_us + MODEL_CONNECT_US, MODEL_ENDED, i, SWARM_DENIED);
        return;
    }
    struct swarm *s = swarm_of(w, d, peer, g->blob);
    if (s == NULL || (n->liar && !n->flips) || n->withholds || n->full ||
        !swarm_holds(s, g->first)) {
        answer(w, d, i, SWARM_DENIED, 0);
        return;
    }
    switch (slots_ask(slots_for(w, d, g), i, slots_from(w, g), SLOTS_FILL, &wait_ms)) {
    case SLOTS_START:
        start_flow(w, d, i);
        break;
    case SLOTS_WAIT:
        break;
    case SLOTS_BUSY:
        answer(w, d, i, SWARM_BUSY, wait_ms);
        break;
    }
}

static void
upload_ended(struct world *w, struct model *d, const struct model_get *ended, int64_t took_us)
{
    struct slots *slots = slots_for(w, d, ended);
    unsigned peer = (unsigned)ended->peer;
    uint64_t next, from = slots_from(w, ended);
    while (slots_done(slots, from, (uint64_t)took_us, &next)) {
        const struct model_get *g = &d->gets[next];
        from = slots_from(w, g);
        if (w->nodes[g->node].step != NULL && !g->over && world_alive(w, peer)) {
            start_flow(w, d, (size_t)next);
            return;
        }
    }
}

/* What is on the way of a request that was cut comes, and nobody takes it; until then it lies on
 * the links of both sites. */
static void
leave(const struct world *w, struct model *d, const struct model_get *g, uint64_t rest)
{
    struct flow *x = &d->flows.list[g->flow];
    uint64_t way = x->rate * (uint64_t)(d->c->queue_ms + d->c->rtt_ms) / 1000;
    bool far = is_far(w, g->node, g->peer);
    d->far += far;
    x->owner = far ? FAR_NOBODY : NOBODY;
    flows_mark(&d->flows, (unsigned)g->flow, (way < rest ? way : rest) + 1);
}

static void
drop_flow(struct world *w, struct model *d, size_t i)
{
    struct model_get *g = &d->gets[i];
    uint64_t rest = g->wan ? bytes_until(d, g, g->asked_end) - g->at : 0;
    if (g->flow < 0)
        return;
    if (g->wan)
        d->nodes[g->node].wan_us = rest == 0 ? w->now_us : INT64_MIN / 2;
    if (rest > 0 && d->c->queue_ms > 0 && w->nodes[g->node].step != NULL)
        leave(w, d, g, rest);
    else
        flows_drop(&d->flows, (unsigned)g->flow);
    g->flow = -1; /* another one may get that place */
    if (g->peer >= 0)
        upload_ended(w, d, g, w->now_us - g->began_us);
}

/* ---- readers ---- */

static void
open_blobs(struct world *w, struct model *d, unsigned node)
{
    struct model_node *n = &d->nodes[node];
    while (n->opened < d->blobs && n->opened - n->done < CLIENT_BLOBS) {
        unsigned b = n->opened++;
        n->readers[b] = (struct model_reader){.asked_us = w->now_us, .moved_us = w->now_us};
        struct swarm *s = step_open(w->nodes[node].step, world_node_ms(w, node), &d->digests[b],
                                    d->c->sizes[b], n->full ? FULL_FLAGS : FLAGS);
        must(s != NULL);
        swarm_cursor(s, 0, 0, world_node_ms(w, node));
    }
    world_touch(w, node);
}

static void
blob_done(struct world *w, struct model *d, unsigned node, unsigned blob)
{
    struct model_node *n = &d->nodes[node];
    n->readers[blob].done = true;
    n->done++;
    step_leave(w->nodes[node].step, world_node_ms(w, node), &d->digests[blob]);
    if (n->done == d->blobs) {
        n->done_us = w->now_us;
        d->left -= n->counts;
        world_say(w, "n%u has all", node);
    } else {
        open_blobs(w, d, node);
    }
}

/* All is here. When it is wrong what others gave is dropped, and the client, which is cut, begins
 * anew. */
static bool
verify(struct world *w, struct model *d, unsigned node, unsigned blob)
{
    struct model_node *n = &d->nodes[node];
    struct swarm *s = swarm_of(w, d, node, blob);
    bool right = true;
    for (uint32_t p = 0; p < swarm_pieces(s); p++)
        right = right && (n->lies[blob][p] == 0 || n->forges);
    if (right)
        return true;
    world_say(w, "n%u: the digest of blob %u is wrong", node, blob);
    for (uint32_t p = 0; p < swarm_pieces(s); p++)
        if (n->read[blob][p] == 0)
            swarm_drop(s, p);
    swarm_doubt_words(s, world_node_ms(w, node));
    n->readers[blob].at = 0;
    return false;
}

static void
first_byte(const struct world *w, struct model_reader *r)
{
    if (r->first_us == 0)
        r->first_us = w->now_us;
}

static void
read_on(struct world *w, struct model *d, unsigned node, unsigned blob)
{
    struct model_node *n = &d->nodes[node];
    struct model_reader *r = &n->readers[blob];
    struct swarm *s = swarm_of(w, d, node, blob);
    uint64_t size = d->c->sizes[blob], piece = piece_bytes(size);
    uint32_t before = r->at;
    if (s == NULL || r->done)
        return;
    bool whole = swarm_whole(s) && verify(w, d, node, blob);
    for (; r->at < swarm_pieces(s) && swarm_holds(s, r->at); r->at++)
        d->prefix_area += (uint64_t)(w->now_us - n->arrived_us) *
                          (r->at * piece + piece < size ? piece : size - r->at * piece) / 1024;
    if (r->at > before) {
        if (r->first_us != 0 && !n->slow && w->now_us - r->moved_us > d->stall_us)
            d->stall_us = w->now_us - r->moved_us;
        first_byte(w, r);
        r->moved_us = w->now_us;
    }
    uint64_t pos = r->at * piece > r->sipped ? r->at * piece : r->sipped;
    swarm_cursor(s, 0, pos, world_node_ms(w, node));
    if (whole)
        blob_done(w, d, node, blob);
}

/* ---- what comes ---- */

/* Was a WAN request cut at or before what it has? */
static bool
cut_off(const struct model *d, const struct model_get *g)
{
    return g->wan && (g->end <= g->first || g->at >= get_bytes(d, g));
}

static void
give_up(struct world *w, struct model *d, size_t i)
{
    bool done = d->gets[i].sip > 0 && cut_off(d, &d->gets[i]);
    drop_flow(w, d, i);
    end_get(w, d, i, done ? SWARM_DONE : SWARM_FAILED, 0);
}

/* A WAN request reached a mark. */
static void
wan_mark(struct world *w, struct model *d, size_t i)
{
    struct model_get *g = &d->gets[i];
    unsigned node = g->node, blob = g->blob;
    struct swarm *s = swarm_of(w, d, node, blob);
    if (s == NULL || cut_off(d, g)) {
        give_up(w, d, i);
        return;
    }
    uint64_t piece = piece_bytes(d->c->sizes[blob]), all = get_bytes(d, g);
    uint64_t step = next_step(g, all);
    int64_t now_ms = world_node_ms(w, node);
    g->at += step;
    g->moved_us = w->now_us;
    swarm_progress(s, g->id, step, now_ms);
    if (g->first + (g->at - 1) / piece == d->nodes[node].readers[blob].at)
        first_byte(w, &d->nodes[node].readers[blob]); /* a client reads what arrives */
    if (g->sip > 0) {
        d->nodes[node].readers[blob].sipped = g->first * piece + g->at;
        read_on(w, d, node, blob);
        g = &d->gets[i];
    } else if (g->at % piece == 0 || g->at == all) {
        keep(w, d, g, g->first + (uint32_t)((g->at - 1) / piece));
        read_on(w, d, node, blob);
        g = &d->gets[i]; /* the list may have grown */
    }
    if (g->over)
        return;
    if (g->at >= get_bytes(d, g)) {
        drop_flow(w, d, i);
        end_get(w, d, i, SWARM_DONE, 0);
        return;
    }
    flows_mark(&d->flows, (unsigned)g->flow, next_step(g, all));
    world_touch(w, node);
}

static void
reached(struct world *w, struct model *d, unsigned flow)
{
    uint64_t owner = d->flows.list[flow].owner;
    if (owner >= NOBODY) {
        d->far -= owner == FAR_NOBODY;
        flows_drop(&d->flows, flow);
        return;
    }
    size_t i = (size_t)owner;
    struct model_get *g = &d->gets[i];
    if (g->wan) {
        wan_mark(w, d, i);
        return;
    }
    unsigned node = g->node, peer = (unsigned)g->peer;
    int64_t took_us = w->now_us - g->began_us;
    int64_t at_us = w->now_us + world_delay_us(w, peer, g->node);
    flows_drop(&d->flows, flow);
    g->flow = -1;
    upload_ended(w, d, g, took_us);
    world_post_at(w, node, at_us, MODEL_LANDED, i, 0);
}

static void
landed(struct world *w, struct model *d, size_t i)
{
    const struct model_get *g = &d->gets[i];
    unsigned node = g->node, blob = g->blob;
    struct swarm *s = swarm_of(w, d, node, blob);
    if (s == NULL || g->over)
        return;
    if (!is_as_said(d, g)) {
        end_get(w, d, i, SWARM_LIED, 0);
        return;
    }
    end_sips(w, d, node, blob, g->first, 1);
    keep(w, d, g, g->first);
    read_on(w, d, node, blob);
    end_get(w, d, i, SWARM_DONE, 0);
}

/* Sources that are silent are left. */
static void
sweep_node(struct world *w, struct model *d, unsigned node)
{
    for (int64_t next, i = d->nodes[node].gets; i >= 0; i = next) {
        const struct model_get *g = &d->gets[i];
        next = g->next;
        if (!g->wan || w->now_us - g->moved_us < MODEL_STALL_US ||
            (g->flow >= 0 && d->flows.list[g->flow].rate > 0))
            continue;
        give_up(w, d, (size_t)i);
    }
}

static void
sweep(struct world *w, struct model *d)
{
    world_post(w, w->now_us + SWEEP_US, MODEL_SWEEP, 0, 0);
    for (unsigned n = 0; n < model_total(d->c); n++)
        if (!d->nodes[n].hung)
            sweep_node(w, d, n);
}

/* Connections beside each other get other shares than a moment ago. */
static void
weigh(struct world *w, struct model *d)
{
    world_post(w, w->now_us + WEIGHTS_US, MODEL_WEIGHTS, 0, 0);
    for (unsigned n = 0; n < model_total(d->c); n++) {
        d->nodes[n].wan_weight = WEIGHT_LEAST << rng_below(&w->rng, WEIGHTS);
        for (int64_t i = d->nodes[n].gets; i >= 0; i = d->gets[i].next)
            if (d->gets[i].wan && d->gets[i].flow >= 0)
                flows_weigh(&d->flows, (unsigned)d->gets[i].flow, d->nodes[n].wan_weight);
    }
}

static void
wan_begin(struct world *w, struct model *d, size_t i)
{
    const struct model_get *g = &d->gets[i];
    if (!world_alive(w, g->node) || g->over)
        return;
    if (cut_off(d, g))
        give_up(w, d, i);
    else
        start_flow(w, d, i);
}

static void
arrive(struct world *w, struct model *d, unsigned node)
{
    struct model_node *n = &d->nodes[node];
    if (w->nodes[node].step == NULL)
        world_start(w, node, 0);
    n->arrived_us = w->now_us;
    world_say(w, "n%u arrives", node);
    if (!n->liar) {
        open_blobs(w, d, node);
        return;
    }
    for (unsigned b = 0; b < d->blobs; b++) {
        struct swarm *s = step_open(w->nodes[node].step, world_node_ms(w, node), &d->digests[b],
                                    d->c->sizes[b], WIRE_SERVES);
        must(s != NULL);
        for (uint32_t p = 0; p < swarm_pieces(s); p++)
            swarm_hold(s, p);
    }
    world_touch(w, node);
}

/* A stopped node takes note of nothing before it goes on. */
static bool
later(struct world *w, const struct model *d, unsigned kind, uint64_t a, uint64_t b)
{
    bool of_get = kind == MODEL_BEGIN || kind == MODEL_WAN_BEGIN || kind == MODEL_LANDED ||
                  kind == MODEL_ENDED;
    if (!of_get && kind != MODEL_ARRIVE && kind != MODEL_WORDS)
        return false;
    unsigned node = of_get ? d->gets[a].node : (unsigned)a;
    const struct world_node *n = &w->nodes[node];
    if (n->step == NULL || n->paused_until_us <= w->now_us)
        return false;
    world_post_at(w, node, n->paused_until_us, kind, a, b);
    return true;
}

static void
on_event(struct world *w, unsigned kind, uint64_t a, uint64_t b)
{
    struct model *d = w->hooks.cookie;
    flows_advance(&d->flows, w->now_us);
    if (later(w, d, kind, a, b))
        return;
    switch ((enum model_event)kind) {
    case MODEL_BEGIN:
        begin_lan(w, d, (size_t)a);
        break;
    case MODEL_WAN_BEGIN:
        wan_begin(w, d, (size_t)a);
        break;
    case MODEL_LANDED:
        landed(w, d, (size_t)a);
        break;
    case MODEL_ENDED:
        end_get(w, d, (size_t)a, (enum swarm_end)(b & 0xff), (unsigned)(b >> 8));
        break;
    case MODEL_WORDS:
        recall(w, d, (unsigned)a, (unsigned)b);
        break;
    case MODEL_ARRIVE:
        arrive(w, d, (unsigned)a);
        break;
    case MODEL_SWEEP:
        sweep(w, d);
        break;
    case MODEL_WEIGHTS:
        weigh(w, d);
        break;
    case MODEL_MISHAP:
        mishaps_happen(w, d, &d->c->mishaps[a]);
        break;
    case MODEL_FLOWS: /* only time passes */
        break;
    }
}

/* The next mark becomes an event. */
static void
post_mark(struct world *w, struct model *d, unsigned site)
{
    int64_t *mark_us = &d->mark_us[site], next_us = flows_next_us(&d->flows, site);
    if (*mark_us <= w->now_us)
        *mark_us = INT64_MAX;
    if (next_us >= *mark_us)
        return;
    *mark_us = next_us > w->now_us ? next_us : w->now_us + 1;
    world_post_at(w, site * d->c->nodes, *mark_us, MODEL_FLOWS, 0, 0);
}

/* After every event: what reached its mark is handled. */
static bool
pump(struct world *w)
{
    struct model *d = w->hooks.cookie;
    int flow;
    unsigned first = w->apart ? w->current : 0, end = w->apart ? first + 1 : d->sites;
    flows_advance(&d->flows, w->now_us);
    for (unsigned s = first; s < end; s++)
        while ((flow = flows_reached(&d->flows, s)) >= 0)
            reached(w, d, (unsigned)flow);
    /* A request that was cut behind what it has. */
    for (size_t i = 0; i < d->cut_count; i++) {
        const struct model_get *g = &d->gets[d->cut[i]];
        if (!g->over && g->flow >= 0 && cut_off(d, g))
            give_up(w, d, d->cut[i]);
    }
    d->cut_count = 0;
    for (unsigned s = first; s < end; s++)
        post_mark(w, d, s);
    return w->broken[0] == '\0';
}

static uint64_t
stored(struct world *w, unsigned node, const struct digest *blob)
{
    const struct model *d = w->hooks.cookie;
    for (unsigned b = 0; b < d->blobs && d->nodes[node].warm; b++)
        if (digest_equal(&d->digests[b], blob))
            return d->c->sizes[b];
    return 0;
}

/* Do no bytes run from one site to another? */
static bool
apart(const struct world *w)
{
    const struct model *d = w->hooks.cookie;
    return d->far == 0;
}

struct world_hooks
model_hooks(struct model *d)
{
    return (struct world_hooks){.cookie = d,
                                .check = pump,
                                .event = on_event,
                                .fetch = fetch,
                                .stored = stored,
                                .apart = apart};
}

/* ---- mishaps ---- */

void
model_excuse(struct model *d, unsigned node)
{
    struct model_node *n = &d->nodes[node];
    d->left -= n->counts && n->done_us == 0;
    n->counts = false;
}

void
model_cut(struct world *w, struct model *d, unsigned node, int64_t own_us, int64_t others_us)
{
    for (size_t i = 0; i < d->gets_count; i++) {
        const struct model_get *g = &d->gets[i];
        if (g->over || (g->node != node && g->peer != (int)node))
            continue;
        drop_flow(w, d, i);
        if (g->node == node && w->nodes[node].step == NULL)
            end_get(w, d, i, SWARM_FAILED, 0);
        else
            world_post_at(w, g->node, w->now_us + (g->node == node ? own_us : others_us),
                          MODEL_ENDED, i, SWARM_FAILED);
    }
}

void
model_part(struct world *w, struct model *d)
{
    for (size_t i = 0; i < d->gets_count; i++) {
        const struct model_get *g = &d->gets[i];
        if (g->over || g->peer < 0 || !world_is_cut(w, g->peer, g->node))
            continue;
        drop_flow(w, d, i);
        world_post_at(w, g->node, w->now_us + MODEL_STALL_US, MODEL_ENDED, i, SWARM_FAILED);
    }
}

/* ---- beginning and end ---- */

void
model_init(struct model *d, const struct pulls_case *c, uint64_t keep)
{
    memset(d, 0, sizeof *d);
    d->c = c;
    d->keep = keep;
    d->nodes = mem_zalloc(model_total(c) * sizeof *d->nodes);
    for (unsigned i = 0; i < model_total(c); i++)
        d->nodes[i].gets = -1;
    bool large = model_total(c) > EXACT_NODES_MAX;
    d->sites = large && c->registry == 0 ? c->sites : 1;
    d->mark_us = mem_alloc(d->sites * sizeof *d->mark_us);
    for (unsigned s = 0; s < d->sites; s++)
        d->mark_us[s] = INT64_MAX;
    flows_init(&d->flows, registry_link(c) + 1, d->sites, large);
    while (d->blobs < PULLS_BLOBS && c->sizes[d->blobs] > 0) {
        char name[16];
        int len = snprintf(name, sizeof name, "blob %u", d->blobs);
        digest_of(DIGEST_SHA256, name, (size_t)len, &d->digests[d->blobs++]);
    }
}

void
model_release(struct model *d)
{
    for (unsigned i = 0; i < model_total(d->c); i++)
        for (unsigned b = 0; b < PULLS_BLOBS; b++) {
            mem_free(d->nodes[i].asked[b]);
            mem_free(d->nodes[i].lies[b]);
            mem_free(d->nodes[i].read[b]);
        }
    mem_free(d->nodes);
    mem_free(d->mark_us);
    mem_free(d->gets);
    mem_free(d->cut);
    flows_release(&d->flows);
}

static int64_t
arrival_ms(struct world *w, const struct pulls_case *c, unsigned node)
{
    if (c->late_ms > 0 && node == c->nodes - 1)
        return MODEL_START_MS + c->late_ms;
    int64_t spread_ms = c->spread_ms > 0 ? c->spread_ms : 20;
    return MODEL_START_MS + (int64_t)rng_below(&w->rng, (uint64_t)spread_ms);
}

static void
set_up_node(struct world *w, struct model *d, unsigned node)
{
    const struct pulls_case *c = d->c;
    struct model_node *n = &d->nodes[node];
    unsigned warm = c->warm_sites == 0 || node / c->nodes < c->warm_sites ? c->warm : 0;
    unsigned in_site = node % c->nodes, liars = warm + c->liars + c->garbage,
             flips = liars + c->flips;
    unsigned forged = flips + c->forged, withhold = forged + c->withhold;
    unsigned closed = withhold + c->closed, hung = closed + c->hung;
    n->warm = in_site < warm;
    n->liar = !n->warm && in_site < liars;
    n->flips = in_site >= warm + c->liars && in_site < flips;
    n->forges = in_site >= flips && in_site < forged;
    n->withholds = in_site >= forged && in_site < withhold;
    n->closed = in_site >= withhold && in_site < closed;
    n->hung = in_site >= closed && in_site < hung;
    unsigned crippled = hung + c->crippled;
    unsigned thinner = c->thinner > 0 ? c->thinner : CRIPPLED_F;
    bool is_crippled = in_site >= hung && in_site < crippled;
    n->slow = in_site >= crippled && in_site < crippled + c->slow;
    uint64_t lan = n->slow ? pulls_slow_port(c) : c->lan;
    n->counts = !n->warm && !n->liar && !n->flips && !n->forges && !n->withholds && !n->closed;
    d->left += n->counts;
    for (unsigned b = 0; b < d->blobs; b++) {
        n->asked[b] = mem_zalloc(pieces_of(d, b));
        n->lies[b] = mem_zalloc(pieces_of(d, b));
        n->read[b] = mem_zalloc(pieces_of(d, b));
    }
    flows_rate(&d->flows, port(d, node, 0), is_crippled ? c->wan / thinner : lan);
    flows_rate(&d->flows, port(d, node, 1), lan);
    flows_rate(&d->flows, port(d, node, 2), lan);
    slots_init(&n->slots[0], SLOTS_NEAR);
    slots_init(&n->slots[1], UPLOADS - SLOTS_NEAR);
    w->nodes[node].site = node / c->nodes;
}

void
model_set_up(struct world *w, struct model *d)
{
    const struct pulls_case *c = d->c;
    w->loss_permille = c->loss_permille;
    w->between_us = c->between_ms * WORLD_US;
    flows_rate(&d->flows, registry_link(c), c->registry);
    for (unsigned s = 0; s < c->sites; s++) {
        flows_rate(&d->flows, model_wan(s), c->wan);
        flows_rate(&d->flows, model_wan(s) + 1, c->wan);
    }
    for (unsigned i = 0; i < model_total(c); i++)
        set_up_node(w, d, i);
    if (d->sites > 1)
        world_split(w);
    for (unsigned i = 0; i < model_total(c); i++) {
        if (!c->cold || d->nodes[i].warm)
            world_start(w, i, (uint32_t)rng_below(&w->rng, 2));
        if (!d->nodes[i].warm)
            world_post_at(w, i, arrival_ms(w, c, i) * WORLD_US, MODEL_ARRIVE, i, 0);
    }
    for (unsigned i = 0; i < PULLS_MISHAPS; i++)
        if (c->mishaps[i].kind != PULLS_NONE && (d->keep >> i & 1) != 0)
            world_post(w, (MODEL_START_MS + c->mishaps[i].at_ms) * WORLD_US, MODEL_MISHAP, i, 0);
    world_post(w, MODEL_START_MS * WORLD_US, MODEL_SWEEP, 0, 0);
    if (c->unfair)
        world_post(w, MODEL_START_MS * WORLD_US, MODEL_WEIGHTS, 0, 0);
}
