/* The product's rule. What a node knows is what the daemon would: its own requests, those of nodes
 * that ask the site for what they lack, whom it gave a blob and from whom it came; copies are asked
 * for before anything leaves. Last copies are moved to who gives up least for them, or, as the
 * daemon does, to who has most room. */
#include "base/mem.h"
#include "cache/evict.h"
#include "tests/sim/caches.h"
#include <math.h>

#define ROUNDS 8

struct value {
    bool to_room; /* last copies move to the node with most room only, and push out none there */
    uint32_t now_s;
    struct evict *nodes;
    struct evict_blob **blobs; /* [node][blob] */
};

/* 64 bits that stand for the digest. */
static uint64_t
name_of(unsigned blob)
{
    return (blob + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint32_t
seconds(double at_s)
{
    return (uint32_t)at_s + 1;
}

static void *
begin(struct site *s)
{
    const struct demand_config *c = &s->demand->config;
    struct value *v = mem_zalloc(sizeof *v);
    v->nodes = mem_zalloc(c->nodes * sizeof v->nodes[0]);
    v->blobs = mem_zalloc(c->nodes * sizeof(struct evict_blob *));
    for (unsigned n = 0; n < c->nodes; n++) {
        v->blobs[n] = mem_zalloc(c->blobs * sizeof v->blobs[0][0]);
        evict_init(&v->nodes[n], 1);
        evict_limit(&v->nodes[n], s->node_bytes);
    }
    return v;
}

static void *
begin_to_room(struct site *s)
{
    struct value *v = begin(s);
    v->to_room = true;
    return v;
}

static void
end(void *state, struct site *s)
{
    struct value *v = state;
    for (unsigned n = 0; n < s->demand->config.nodes; n++) {
        evict_release(&v->nodes[n]);
        mem_free(v->blobs[n]);
    }
    mem_free(v->nodes);
    mem_free(v->blobs);
    mem_free(v);
}

static void
add(struct value *v, struct site *s, unsigned node, unsigned blob, uint32_t now_s)
{
    struct evict_blob *b = &v->blobs[node][blob];
    *b = (struct evict_blob){.size = s->demand->sizes[blob], .copies = 1};
    if (s->copies[blob] > 0)
        b->copies = 2; /* it came from one of them */
    evict_add(&v->nodes[node], b, name_of(blob), now_s);
    site_add(s, node, blob);
}

static void
drop(struct value *v, struct site *s, unsigned node, unsigned blob)
{
    evict_remove(&v->nodes[node], &v->blobs[node][blob], name_of(blob));
    site_drop(s, node, blob);
}

/* The least valuable blobs of a node, of whose copies it has just asked. */
static size_t
choose(struct value *v, const struct site *s, unsigned node, uint64_t need,
       struct evict_blob *ret[EVICT_CHOOSE_MAX], uint64_t *ret_bytes)
{
    struct evict *x = &v->nodes[node];
    size_t count = 0;
    evict_settle(x, v->now_s);
    for (int i = 0; i < ROUNDS; i++) {
        bool news = false;
        count = evict_choose(x, need, (double)INFINITY, ret, ret_bytes);
        for (size_t k = 0; k < count; k++) {
            unsigned copies = s->copies[ret[k] - v->blobs[node]];
            news = news || ret[k]->copies != copies;
            if (ret[k]->copies != copies)
                evict_copies(x, ret[k], copies, v->now_s);
        }
        if (!news)
            break;
    }
    return count;
}

/* Nodes may count with different halves: what their blobs are worth now compares. */
static double
value_now(struct value *v, unsigned node, const struct evict_blob *b)
{
    return log2(evict_value_now(&v->nodes[node], b, v->now_s));
}

/* What leaves a node so that `size` bytes come in; false: that is not possible. */
struct leaving {
    size_t count;
    struct evict_blob *list[EVICT_CHOOSE_MAX];
    double most; /* the highest of their values */
};

static bool
plan(struct value *v, const struct site *s, unsigned node, uint64_t size, struct leaving *ret)
{
    uint64_t after = s->used[node] + size, bytes = 0;
    *ret = (struct leaving){.most = -(double)INFINITY};
    if (after <= s->node_bytes)
        return true;
    ret->count = choose(v, s, node, after - s->node_bytes, ret->list, &bytes);
    for (size_t i = 0; i < ret->count; i++)
        ret->most = fmax(ret->most, value_now(v, node, ret->list[i]));
    return after - bytes <= s->node_bytes;
}

static void
drop_all(struct value *v, struct site *s, unsigned node, const struct leaving *out)
{
    for (size_t i = 0; i < out->count; i++)
        drop(v, s, node, (unsigned)(out->list[i] - v->blobs[node]));
}

static bool
has_last_copy(const struct value *v, const struct site *s, unsigned node, const struct leaving *out)
{
    for (size_t i = 0; i < out->count; i++)
        if (s->copies[out->list[i] - v->blobs[node]] == 1)
            return true;
    return false;
}

/* The node with most room for a blob: free, or held by what others have, too; or `but`. */
static unsigned
roomiest(struct value *v, const struct site *s, unsigned but, unsigned blob, struct leaving *ret)
{
    unsigned best = but;
    uint64_t most = 0;
    for (unsigned n = 0; n < s->demand->config.nodes; n++) {
        uint64_t room = s->node_bytes - s->used[n] + v->nodes[n].spare_bytes;
        if (n == but || s->has[n][blob] || room < s->demand->sizes[blob] || room <= most)
            continue;
        best = n;
        most = room;
    }
    if (best != but &&
        (!plan(v, s, best, s->demand->sizes[blob], ret) || has_last_copy(v, s, best, ret)))
        best = but;
    return best;
}

/* The node that takes a blob for the least, and less than it is worth; or `but`. */
static unsigned
taker(struct value *v, const struct site *s, unsigned but, unsigned blob, double worth,
      struct leaving *ret)
{
    unsigned best = but;
    struct leaving out;
    if (v->to_room)
        return roomiest(v, s, but, blob, ret);
    for (unsigned n = 0; n < s->demand->config.nodes; n++) {
        if (n == but || s->has[n][blob] || s->demand->sizes[blob] > s->node_bytes ||
            !plan(v, s, n, s->demand->sizes[blob], &out) || out.most >= worth)
            continue;
        best = n;
        worth = out.most;
        *ret = out;
        if (out.count == 0)
            break;
    }
    return best;
}

/* The last copy goes to another node; false: it is worth no place there. */
static bool
move(struct value *v, struct site *s, unsigned node, unsigned blob, uint32_t now_s)
{
    const struct evict_blob *b = &v->blobs[node][blob];
    struct leaving out;
    unsigned to = taker(v, s, node, blob, value_now(v, node, b), &out);
    if (to == node)
        return false;
    drop_all(v, s, to, &out);
    add(v, s, to, blob, now_s);
    evict_restore(&v->nodes[to], &v->blobs[to][blob], evict_c(&v->nodes[node], b, now_s),
                  b->asked_s, now_s);
    return true;
}

/* Room for a newcomer. What is worth more than it must find a place elsewhere, or stays. */
static bool
admit(struct value *v, struct site *s, unsigned node, unsigned blob, double worth, uint32_t now_s)
{
    struct leaving out, there;
    struct evict *x = &v->nodes[node];
    if (!plan(v, s, node, s->demand->sizes[blob], &out))
        return false;
    for (size_t i = 0; i < out.count; i++) {
        double value = evict_value(x, out.list[i], now_s);
        unsigned old = (unsigned)(out.list[i] - v->blobs[node]);
        double now = value_now(v, node, out.list[i]);
        if (value >= worth && (s->copies[old] > 1 || taker(v, s, node, old, now, &there) == node))
            return false;
    }
    for (size_t i = 0; i < out.count; i++)
        if (out.list[i]->copies == 1)
            (void)move(v, s, node, (unsigned)(out.list[i] - v->blobs[node]), now_s);
    drop_all(v, s, node, &out);
    return true;
}

static void
hear(struct value *v, const struct site *s, unsigned node, unsigned blob, enum evict_who who,
     uint32_t now_s)
{
    if (s->has[node][blob])
        evict_asked(&v->nodes[node], &v->blobs[node][blob], who, now_s);
    else
        evict_asked_absent(&v->nodes[node], name_of(blob), who, now_s);
}

static void
asked(void *state, struct site *s, const struct demand_event *e, bool hit, int from)
{
    struct value *v = state;
    uint32_t now_s = v->now_s = seconds(e->at_s);
    hear(v, s, e->node, e->blob, EVICT_SELF, now_s);
    if (hit)
        return;
    for (unsigned n = 0; n < s->demand->config.nodes; n++)
        if (n != e->node)
            hear(v, s, n, e->blob, EVICT_OTHER, now_s);
    if (from >= 0 && v->blobs[from][e->blob].copies == 1)
        evict_copies(&v->nodes[from], &v->blobs[from][e->blob], 2, now_s);
    double worth = evict_value_absent(&v->nodes[e->node], name_of(e->blob),
                                      s->demand->sizes[e->blob], s->copies[e->blob] + 1, now_s);
    if (s->demand->sizes[e->blob] <= s->node_bytes && admit(v, s, e->node, e->blob, worth, now_s))
        add(v, s, e->node, e->blob, now_s);
}

const struct rule rule_value_room = {"value, moved to room", begin_to_room, asked, end};
const struct rule rule_value = {"value (ours)", begin, asked, end};
