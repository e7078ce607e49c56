/* The copies that a site keeps. */
#include "p2p/replicas.h"
#include "base/mem.h"
#include "p2p/pick.h"

enum phase { RESTS, COUNTS, TAKES };

struct refusal {
    struct node_id node;
    int64_t until_ms; /* in the past: free */
};

struct blob {
    struct digest digest;
    uint64_t size;
    struct popular popular;
    int64_t seed_ms; /* until then the site wants one, though nobody here asked for it */
    enum phase phase;
    int64_t due_ms;   /* RESTS: the next look */
    int64_t wait_ms;  /* until the one after it */
    int64_t since_ms; /* of the phase */
    unsigned asks;    /* COUNTS: questions so far */
    bool counted;
    unsigned holders_count; /* as last counted */
    struct node_id holders[REPLICAS_HOLDERS_MAX];
    struct node_id taker; /* TAKES */
    int64_t ordered_ms, said_ms, grew_ms;
    uint64_t held_bytes;
    struct refusal refused[REPLICAS_REFUSED_MAX];
};

struct replicas {
    size_t count;
    struct blob *list[REPLICAS_MAX];
    int64_t now_ms; /* as last told */
    int64_t looked_ms;
    int64_t busy_ms;  /* last time when clients waited for bytes */
    int64_t asked_ms; /* last question */
    uint64_t orders;
};

struct replicas *
replicas_new(void)
{
    struct replicas *r = mem_zalloc(sizeof *r);
    r->busy_ms = r->asked_ms = INT64_MIN / 2;
    return r;
}

void
replicas_free(struct replicas *r)
{
    for (size_t i = 0; r != NULL && i < r->count; i++)
        mem_free(r->list[i]);
    mem_free(r);
}

static struct blob *
find(const struct replicas *r, const struct digest *digest)
{
    for (size_t i = 0; i < r->count; i++)
        if (digest_equal(&r->list[i]->digest, digest))
            return r->list[i];
    return NULL;
}

static unsigned
wanted(const struct blob *b, int64_t now_ms, unsigned nodes)
{
    unsigned most = nodes < REPLICAS_HOLDERS_MAX ? nodes : REPLICAS_HOLDERS_MAX;
    return popular_replicas(&b->popular, now_ms, b->size, REPLICAS_UPLOAD, most);
}

/* Has it to come from another site, when nobody here has it? */
static bool
is_seed(const struct blob *b, int64_t now_ms)
{
    return now_ms < b->seed_ms;
}

/* What is under way is not given up for its time. */
static void
go_on_seeding(struct blob *b, int64_t now_ms)
{
    int64_t least_ms = now_ms + 2 * REPLICAS_STUCK_MS;
    if (is_seed(b, now_ms) && b->seed_ms < least_ms)
        b->seed_ms = least_ms;
}

static void
rest(struct blob *b, int64_t due_ms)
{
    b->phase = RESTS;
    b->due_ms = due_ms;
}

/* Something changed: look soon, and often again. */
static void
look_soon(struct blob *b, int64_t now_ms)
{
    b->wait_ms = REPLICAS_LOOK_MS;
    if (b->phase == RESTS && b->due_ms > now_ms + REPLICAS_SETTLE_MS)
        b->due_ms = now_ms + REPLICAS_SETTLE_MS;
}

/* ---- what is heard ---- */

static struct blob *
least_popular(const struct replicas *r, int64_t now_ms)
{
    struct blob *b = r->list[0];
    for (size_t i = 1; i < r->count; i++)
        if (popular_base(&r->list[i]->popular, now_ms) < popular_base(&b->popular, now_ms))
            b = r->list[i];
    return b;
}

/* For one that nobody here asked for. */
static bool
has_place(const struct replicas *r, int64_t now_ms)
{
    if (r->count < REPLICAS_MAX)
        return true;
    const struct blob *b = least_popular(r, now_ms);
    return b->phase == RESTS && !is_seed(b, now_ms) &&
           popular_base(&b->popular, now_ms) < POPULAR_TWO_AT;
}

static struct blob *
add(struct replicas *r, const struct digest *digest, uint64_t size, int64_t now_ms)
{
    struct blob *b;
    if (r->count < REPLICAS_MAX)
        b = r->list[r->count++] = mem_alloc(sizeof *b);
    else
        b = least_popular(r, now_ms);
    *b = (struct blob){.digest = *digest,
                       .size = size,
                       .due_ms = now_ms + REPLICAS_SETTLE_MS,
                       .wait_ms = REPLICAS_LOOK_MS};
    return b;
}

void
replicas_hit(struct replicas *r, const struct digest *digest, uint64_t size, int64_t now_ms)
{
    struct blob *b = find(r, digest);
    r->now_ms = now_ms;
    if (b == NULL)
        b = add(r, digest, size, now_ms);
    b->size = size; /* of a seed it was another site's word */
    popular_hit(&b->popular, now_ms);
    look_soon(b, now_ms);
}

void
replicas_seed(struct replicas *r, const struct digest *digest, uint64_t size, int64_t now_ms)
{
    struct blob *b = find(r, digest);
    r->now_ms = now_ms;
    if (b == NULL && !has_place(r, now_ms))
        return; /* what is popular here goes before */
    if (b == NULL)
        b = add(r, digest, size, now_ms);
    b->seed_ms = now_ms + REPLICAS_SEED_MS;
    look_soon(b, now_ms);
}

bool
replicas_seeds(const struct replicas *r, const struct digest *digest, int64_t now_ms)
{
    const struct blob *b = find(r, digest);
    return b != NULL && is_seed(b, now_ms);
}

static bool
holds(const struct blob *b, const struct node_id *node)
{
    for (unsigned i = 0; i < b->holders_count; i++)
        if (node_equal(&b->holders[i], node))
            return true;
    return false;
}

void
replicas_held(struct replicas *r, const struct digest *digest, const struct node_id *node)
{
    struct blob *b = find(r, digest);
    if (b != NULL && !holds(b, node) && b->holders_count < REPLICAS_HOLDERS_MAX)
        b->holders[b->holders_count++] = *node;
}

/* The place of the node, else the one that is free first. */
static void
refuse(struct blob *b, const struct node_id *node, int64_t until_ms)
{
    struct refusal *place = &b->refused[0];
    for (size_t i = 0; i < REPLICAS_REFUSED_MAX; i++) {
        if (node_equal(&b->refused[i].node, node)) {
            place = &b->refused[i];
            break;
        }
        if (b->refused[i].until_ms < place->until_ms)
            place = &b->refused[i];
    }
    *place = (struct refusal){*node, until_ms};
}

static bool
refuses(const struct blob *b, const struct node_id *node, int64_t now_ms)
{
    for (size_t i = 0; i < REPLICAS_REFUSED_MAX; i++)
        if (now_ms < b->refused[i].until_ms && node_equal(&b->refused[i].node, node))
            return true;
    return false;
}

void
replicas_said(struct replicas *r, const struct node_id *node, const struct wire_copy_say *said,
              int64_t now_ms)
{
    struct blob *b = find(r, &said->digest);
    if (b == NULL || b->phase != TAKES || !node_equal(&b->taker, node))
        return;
    b->said_ms = now_ms;
    if (said->state == WIRE_COPY_RUNS) {
        if (said->held_bytes <= b->held_bytes)
            return; /* a copy that begins anew says 0 first */
        b->held_bytes = said->held_bytes;
        b->grew_ms = now_ms;
        go_on_seeding(b, now_ms);
        return;
    }
    if (said->state == WIRE_COPY_HELD)
        b->seed_ms = 0; /* should it leave, nobody here asked for it */
    else
        refuse(b, node,
               now_ms + (said->state == WIRE_COPY_BUSY ? REPLICAS_BUSY_MS : REPLICAS_REFUSED_MS));
    rest(b, now_ms); /* counts again: one more may be wanted, or another has to take it */
}

void
replicas_gone(struct replicas *r, const struct node_id *node)
{
    for (size_t i = 0; i < r->count; i++) {
        struct blob *b = r->list[i];
        if (b->phase == TAKES && node_equal(&b->taker, node))
            rest(b, r->now_ms + REPLICAS_SETTLE_MS);
        else if (holds(b, node))
            look_soon(b, r->now_ms);
    }
}

void
replicas_office(struct replicas *r)
{
    for (size_t i = 0; i < r->count; i++) {
        rest(r->list[i], r->now_ms + REPLICAS_SETTLE_MS);
        r->list[i]->wait_ms = REPLICAS_LOOK_MS;
        r->list[i]->counted = false;
        r->list[i]->holders_count = 0;
    }
}

/* ---- who takes one ---- */

static bool
is_taking(const struct replicas *r, const struct node_id *node)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->list[i]->phase == TAKES && node_equal(&r->list[i]->taker, node))
            return true;
    return false;
}

/* With room to spare and idle; the blob's own order of nodes, so that copies spread. */
static bool
could_take(const struct replicas *r, const struct blob *b, const struct node_id *node,
           uint32_t free_mib, unsigned queue_ms, int64_t now_ms)
{
    return free_mib > b->size >> 20 && queue_ms == 0 && !holds(b, node) &&
           !refuses(b, node, now_ms) && !is_taking(r, node);
}

static bool
choose(const struct replicas *r, const struct blob *b, const struct replicas_site *at,
       struct node_id *ret)
{
    size_t len = digest_len(&b->digest);
    uint64_t best = 0;
    bool any = could_take(r, b, at->self, at->free_mib, 0, at->now_ms);
    if (any) {
        *ret = *at->self;
        best = pick_weight(b->digest.bytes, len, 0, ret->bytes, sizeof ret->bytes);
    }
    for (size_t i = 0; i < at->members->count; i++) {
        const struct member *m = &at->members->list[i];
        if (m->site != at->site || !could_take(r, b, &m->id, m->free_mib, m->queue_ms, at->now_ms))
            continue;
        uint64_t weight = pick_weight(b->digest.bytes, len, 0, m->id.bytes, sizeof m->id.bytes);
        if (any && weight <= best)
            continue;
        any = true;
        best = weight;
        *ret = m->id;
    }
    return any;
}

/* ---- what is due ---- */

static unsigned
count_in(const struct replicas *r, enum phase phase)
{
    unsigned n = 0;
    for (size_t i = 0; i < r->count; i++)
        n += r->list[i]->phase == phase;
    return n;
}

static bool
ask(struct replicas *r, struct blob *b, int64_t now_ms, struct replicas_act *ret)
{
    b->asks++;
    r->asked_ms = now_ms;
    *ret = (struct replicas_act){.what = REPLICAS_ASK, .digest = b->digest, .size = b->size};
    return true;
}

static bool
order(struct replicas *r, struct blob *b, int64_t now_ms, struct replicas_act *ret)
{
    b->ordered_ms = now_ms;
    r->orders++;
    *ret = (struct replicas_act){.what = REPLICAS_TAKE,
                                 .digest = b->digest,
                                 .size = b->size,
                                 .node = b->taker,
                                 .copies = b->holders_count + 1};
    return true;
}

/* One at a time, so that copies of what is in the site always have a place. */
static bool
seed_is_taken(const struct replicas *r, int64_t now_ms)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->list[i]->phase == TAKES && is_seed(r->list[i], now_ms))
            return true;
    return false;
}

static bool
step_rests(struct replicas *r, struct blob *b, const struct replicas_site *at, unsigned nodes,
           struct replicas_act *ret)
{
    if (at->now_ms < b->due_ms)
        return false;
    if (wanted(b, at->now_ms, nodes) < 2 && !is_seed(b, at->now_ms)) {
        b->due_ms = at->now_ms + REPLICAS_LOOK_MS;
        return false;
    }
    if (at->now_ms - r->asked_ms < REPLICAS_ASK_MS || count_in(r, COUNTS) > 0 ||
        (is_seed(b, at->now_ms) && seed_is_taken(r, at->now_ms)))
        return false;
    b->phase = COUNTS;
    b->since_ms = at->now_ms;
    b->asks = b->holders_count = 0;
    return ask(r, b, at->now_ms, ret);
}

static bool
step_counts(struct replicas *r, struct blob *b, const struct replicas_site *at, unsigned nodes,
            struct replicas_act *ret)
{
    int64_t age_ms = at->now_ms - b->since_ms;
    if (b->asks == 1 && age_ms >= REPLICAS_AGAIN_MS)
        return ask(r, b, at->now_ms, ret);
    if (age_ms < REPLICAS_COUNT_MS)
        return false;
    b->counted = true;
    if (b->holders_count > 0)
        b->seed_ms = 0;
    bool comes = b->holders_count > 0 || is_seed(b, at->now_ms);
    bool lacks = comes && b->holders_count < wanted(b, at->now_ms, nodes);
    if (lacks && count_in(r, TAKES) < REPLICAS_AT_ONCE && choose(r, b, at, &b->taker)) {
        b->phase = TAKES;
        b->since_ms = b->said_ms = b->grew_ms = at->now_ms;
        b->held_bytes = 0;
        b->wait_ms = REPLICAS_LOOK_MS;
        return order(r, b, at->now_ms, ret);
    }
    rest(b, at->now_ms + b->wait_ms);
    b->wait_ms = 2 * b->wait_ms < REPLICAS_LOOK_MS_MAX ? 2 * b->wait_ms : REPLICAS_LOOK_MS_MAX;
    return false;
}

static bool
step_takes(struct replicas *r, struct blob *b, const struct replicas_site *at,
           struct replicas_act *ret)
{
    int64_t now_ms = at->now_ms;
    if (now_ms - b->said_ms >= REPLICAS_SILENT_MS || now_ms - b->grew_ms >= REPLICAS_STUCK_MS) {
        refuse(b, &b->taker, now_ms + REPLICAS_REFUSED_MS);
        rest(b, now_ms);
        return false;
    }
    return now_ms - b->ordered_ms >= REPLICAS_ORDER_MS && order(r, b, now_ms, ret);
}

/* While clients wait nobody is told to go on, so nobody can be late. */
static void
hold_clocks(struct replicas *r, int64_t now_ms, int64_t passed_ms)
{
    r->busy_ms = now_ms;
    for (size_t i = 0; i < r->count; i++) {
        struct blob *b = r->list[i];
        b->said_ms = now_ms;
        b->grew_ms += passed_ms;
        if (b->phase == COUNTS)
            rest(b, now_ms + REPLICAS_SETTLE_MS);
        else if (b->phase == TAKES && is_seed(b, now_ms))
            b->seed_ms += passed_ms;
    }
}

bool
replicas_next(struct replicas *r, const struct replicas_site *at, struct replicas_act *ret)
{
    unsigned nodes = (unsigned)member_count(at->members, at->site) + 1;
    int64_t passed_ms = at->now_ms - r->looked_ms;
    r->now_ms = r->looked_ms = at->now_ms;
    if (!at->quiet)
        hold_clocks(r, at->now_ms, passed_ms);
    if (at->now_ms - r->busy_ms < REPLICAS_QUIET_MS)
        return false;
    for (size_t i = 0; i < r->count; i++) {
        struct blob *b = r->list[i];
        if ((b->phase == RESTS && step_rests(r, b, at, nodes, ret)) ||
            (b->phase == COUNTS && step_counts(r, b, at, nodes, ret)) ||
            (b->phase == TAKES && step_takes(r, b, at, ret)))
            return true;
    }
    return false;
}

int64_t
replicas_wake_ms(const struct replicas *r)
{
    int64_t least_ms = INT64_MAX;
    for (size_t i = 0; i < r->count; i++) {
        const struct blob *b = r->list[i];
        int64_t due_ms = b->due_ms;
        if (b->phase == COUNTS)
            due_ms = b->since_ms + (b->asks == 1 ? REPLICAS_AGAIN_MS : REPLICAS_COUNT_MS);
        else if (b->phase == TAKES)
            due_ms = b->ordered_ms + REPLICAS_ORDER_MS;
        least_ms = due_ms < least_ms ? due_ms : least_ms;
    }
    return least_ms;
}

/* ---- for people ---- */

unsigned
replicas_wanted(const struct replicas *r, const struct digest *digest, int64_t now_ms,
                unsigned nodes)
{
    const struct blob *b = find(r, digest);
    return b != NULL ? wanted(b, now_ms, nodes) : 1;
}

bool
replicas_each(const struct replicas *r, size_t i, int64_t now_ms, unsigned nodes,
              struct digest *ret_digest, struct replicas_of *ret)
{
    if (i >= r->count)
        return false;
    const struct blob *b = r->list[i];
    *ret_digest = b->digest;
    *ret = (struct replicas_of){wanted(b, now_ms, nodes), b->holders_count, b->counted};
    return true;
}

int
replicas_compare(const struct replicas_of *a, const struct replicas_of *b)
{
    if (a->known != b->known)
        return a->known ? -1 : 1;
    int lacks_a = (int)a->wanted - (int)a->counted, lacks_b = (int)b->wanted - (int)b->counted;
    return a->known ? lacks_b - lacks_a : 0;
}

struct replicas_sum
replicas_sum(const struct replicas *r, int64_t now_ms, unsigned nodes)
{
    struct replicas_sum s = {.orders = r->orders, .taking = count_in(r, TAKES)};
    for (size_t i = 0; i < r->count; i++) {
        const struct blob *b = r->list[i];
        unsigned copies = wanted(b, now_ms, nodes);
        s.blobs += copies > 1;
        s.lacking += copies > 1 && b->counted && b->holders_count < copies;
    }
    return s;
}
