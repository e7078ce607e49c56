/* The table of names.
 *
 *   names -- hash by key -- name: value, holders, who resolves it
 *        `- list in the order of use, the least recent first
 *
 * Invariants:
 *  1. A name has at most one resolver, until it tells, leaves, or NAMES_RESOLVE_MS have passed.
 *  2. Holders are those who told the present digest. */
#include "p2p/names.h"
#include "base/hash.h"

struct name {
    UT_hash_handle hh;
    struct name *prev, *next; /* by use */
    struct digest key;
    bool known, mine; /* mine: this node holds the value */
    struct digest digest;
    uint64_t size;
    uint8_t type;
    int64_t said_ms; /* when upstream said so; may be far below 0 */
    size_t holders_count;
    struct names_holder holders[NAMES_HOLDERS]; /* who told last comes first */
    struct node_id resolver;                    /* none: nobody */
    int64_t resolver_ms;                        /* since when */
    int64_t failed_ms;
};

struct names {
    struct names_holder self; /* fixed at new */
    struct name *map;
    struct name *list;
};

struct names *
names_new(const struct names_holder *self)
{
    struct names *n = mem_zalloc(sizeof *n);
    n->self = *self;
    return n;
}

static void
drop(struct names *n, struct name *x)
{
    HASH_DEL(n->map, x);
    DL_DELETE(n->list, x);
    mem_free(x);
}

void
names_free(struct names *n)
{
    while (n != NULL && n->list != NULL)
        drop(n, n->list);
    mem_free(n);
}

static struct name *
find(const struct names *n, const struct digest *key)
{
    struct name *x = NULL;
    HASH_FIND(hh, n->map, key, sizeof *key, x);
    return x;
}

static void
use(struct names *n, struct name *x)
{
    DL_DELETE(n->list, x);
    DL_APPEND(n->list, x);
}

static struct name *
make(struct names *n, const struct digest *key)
{
    struct name *x = find(n, key);
    if (x != NULL) {
        use(n, x);
        return x;
    }
    if (HASH_COUNT(n->map) >= NAMES_MAX)
        drop(n, n->list);
    x = mem_zalloc(sizeof *x);
    x->key = *key;
    x->failed_ms = INT64_MIN / 2;
    HASH_ADD(hh, n->map, key, sizeof x->key, x);
    DL_APPEND(n->list, x);
    return x;
}

static void
value_of(const struct name *x, int64_t now_ms, struct names_value *ret)
{
    uint64_t age_ms = now_ms > x->said_ms ? (uint64_t)(now_ms - x->said_ms) : 0;
    *ret = (struct names_value){x->digest, x->size, x->type, age_ms};
}

/* ---- asking ---- */

static void
add_holder(struct names_answer *a, const struct names_holder *h, const struct node_id *asker)
{
    if (a->holders_count < NAMES_HOLDERS && !node_equal(&h->node, asker))
        a->holders[a->holders_count++] = *h;
}

static void
answer_of(const struct names *n, const struct name *x, const struct node_id *asker, int64_t now_ms,
          struct names_answer *ret)
{
    *ret = (struct names_answer){.state = NAMES_NONE, .known = x->known};
    if (!x->known)
        return;
    value_of(x, now_ms, &ret->value);
    bool listed = false;
    for (size_t i = 0; i < x->holders_count; i++) {
        listed = listed || node_equal(&x->holders[i].node, &n->self.node);
        add_holder(ret, &x->holders[i], asker);
    }
    if (x->mine && !listed)
        add_holder(ret, &n->self, asker);
}

/* Nobody has it young enough: who asks upstream? */
static enum names_state
assign(struct name *x, const struct node_id *asker, bool may_resolve, int64_t now_ms)
{
    bool busy = !node_is_none(&x->resolver) && now_ms - x->resolver_ms < NAMES_RESOLVE_MS;
    if (busy && !node_equal(&x->resolver, asker))
        return NAMES_WAIT;
    if (!may_resolve)
        return NAMES_NONE;
    if (now_ms - x->failed_ms < NAMES_FAILED_MS)
        return NAMES_FAILED;
    if (!busy) {
        x->resolver = *asker;
        x->resolver_ms = now_ms;
    }
    return NAMES_YOURS;
}

void
names_ask(struct names *n, const struct digest *key, const struct node_id *asker,
          const struct names_question *q, int64_t now_ms, struct names_answer *ret)
{
    struct name *x = q->may_resolve ? make(n, key) : find(n, key);
    *ret = (struct names_answer){.state = NAMES_NONE};
    if (x == NULL)
        return;
    use(n, x);
    answer_of(n, x, asker, now_ms, ret);
    bool young =
        ret->known && (ret->value.age_ms < q->max_age_ms || ret->value.age_ms <= q->since_ms);
    ret->state = young ? NAMES_KNOWN : assign(x, asker, q->may_resolve, now_ms);
}

/* ---- telling ---- */

static void
forget_holder(struct name *x, const struct node_id *node)
{
    for (size_t i = 0; i < x->holders_count; i++) {
        if (!node_equal(&x->holders[i].node, node))
            continue;
        x->holders_count--;
        memmove(&x->holders[i], &x->holders[i + 1], (x->holders_count - i) * sizeof x->holders[0]);
        return;
    }
}

static void
note_holder(const struct names *n, struct name *x, const struct names_holder *h)
{
    if (node_equal(&h->node, &n->self.node))
        x->mine = true;
    forget_holder(x, &h->node);
    if (x->holders_count == NAMES_HOLDERS)
        x->holders_count--;
    memmove(&x->holders[1], &x->holders[0], x->holders_count * sizeof x->holders[0]);
    x->holders[0] = *h;
    x->holders_count++;
}

static uint64_t
age_of(const struct names_value *v)
{
    return v->age_ms < NAMES_AGE_MAX_MS ? v->age_ms : NAMES_AGE_MAX_MS;
}

static void
learn(const struct names *n, struct name *x, const struct names_holder *from,
      const struct names_value *v, int64_t now_ms)
{
    int64_t said_ms = now_ms - (int64_t)age_of(v);
    bool same = x->known && digest_equal(&x->digest, &v->digest);
    if (x->known && !same && said_ms < x->said_ms)
        return;
    if (!same) {
        x->holders_count = 0;
        x->mine = false;
        x->said_ms = said_ms;
    }
    if (said_ms > x->said_ms)
        x->said_ms = said_ms;
    x->known = true;
    x->digest = v->digest;
    x->size = v->size;
    x->type = v->type;
    note_holder(n, x, from);
}

void
names_tell(struct names *n, const struct digest *key, const struct names_holder *from,
           enum names_state state, const struct names_value *value, int64_t now_ms)
{
    struct name *x = state == NAMES_KNOWN ? make(n, key) : find(n, key);
    if (x == NULL)
        return;
    bool resolver = node_equal(&x->resolver, &from->node);
    if (state == NAMES_KNOWN) {
        learn(n, x, from, value, now_ms);
        /* Not by what it had heard before, and says once more. */
        resolver = resolver && now_ms - x->resolver_ms >= (int64_t)age_of(value);
    } else if (!resolver || (state != NAMES_FAILED && state != NAMES_GONE)) {
        return;
    } else {
        x->failed_ms = now_ms;
    }
    if (resolver)
        x->resolver = node_none;
    if (state == NAMES_GONE)
        x->known = x->mine = false;
}

void
names_gone(struct names *n, const struct node_id *node)
{
    for (struct name *x = n->list; x != NULL; x = x->next) {
        forget_holder(x, node);
        if (node_equal(&x->resolver, node))
            x->resolver = node_none;
    }
}

/* ---- what this node holds ---- */

bool
names_mine(const struct names *n, const struct digest *key, int64_t now_ms,
           struct names_answer *ret)
{
    const struct name *x = find(n, key);
    if (x == NULL || !x->known || !x->mine)
        return false;
    *ret = (struct names_answer){
        .state = NAMES_KNOWN, .known = true, .holders_count = 1, .holders = {n->self}};
    value_of(x, now_ms, &ret->value);
    return true;
}

size_t
names_lately(const struct names *n, int64_t now_ms, struct names_own *ret, size_t max)
{
    size_t count = 0;
    const struct name *x = n->list != NULL ? n->list->prev : NULL; /* of the head: the last one */
    while (x != NULL && count < max) {
        if (x->known && x->mine) {
            ret[count].key = x->key;
            value_of(x, now_ms, &ret[count++].value);
        }
        x = x != n->list ? x->prev : NULL;
    }
    return count;
}

size_t
names_count(const struct names *n)
{
    return HASH_COUNT(n->map);
}
