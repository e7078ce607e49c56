/* The table of nodes heard lately. */
#include "p2p/member.h"
#include <string.h>

#define CONFIGURED_MAX 255
#define CPUS_MAX       255

uint32_t
member_priority(unsigned configured, bool wired, int64_t up_ms, unsigned cpus)
{
    uint32_t p = configured < CONFIGURED_MAX ? configured : CONFIGURED_MAX;
    p = p << 1 | (wired ? 1u : 0u);
    p = p << 1 | (up_ms >= MEMBER_STABLE_MS ? 1u : 0u);
    return p << 8 | (cpus < CPUS_MAX ? cpus : CPUS_MAX);
}

bool
member_better(uint32_t a_priority, const struct node_id *a, uint32_t b_priority,
              const struct node_id *b)
{
    return a_priority != b_priority ? a_priority > b_priority : node_compare(a, b) > 0;
}

bool
member_doubts_itself(const struct members *m, uint64_t site)
{
    size_t banned = 0;
    for (size_t i = 0; i < m->count && m->banned > 0; i++)
        banned += m->list[i].site == site && m->list[i].banned;
    return 2 * banned > member_count(m, site) + 1;
}

static bool
shunned(const struct members *m, const struct member *o)
{
    return o->banned && !member_doubts_itself(m, o->site);
}

bool
member_shunned(const struct members *m, const struct node_id *id)
{
    const struct member *o = member_find(m, id);
    return o != NULL && shunned(m, o);
}

static bool
is_better(const struct member *a, const struct member *b)
{
    return member_better(a->priority, &a->id, b->priority, &b->id);
}

/* Where the best node of a site stands that is not shunned; MEMBERS_MAX: there is none. */
static size_t
best_of(const struct members *m, uint64_t site)
{
    size_t best = MEMBERS_MAX;
    for (size_t i = 0; i < m->count; i++)
        if (m->list[i].site == site && !shunned(m, &m->list[i]) &&
            (best == MEMBERS_MAX || is_better(&m->list[i], &m->list[best])))
            best = i;
    return best;
}

void
member_init(struct members *m, uint64_t home)
{
    m->count = m->banned = m->home_count = 0;
    m->best = MEMBERS_MAX;
    m->home = home;
    m->bury_ms = INT64_MAX;
    memset(m->first, 0, sizeof m->first);
}

void
member_move(struct members *m, uint64_t home)
{
    m->home = home;
    m->home_count = 0;
    for (size_t i = 0; i < m->count; i++)
        m->home_count += m->list[i].site == home;
    m->best = best_of(m, home);
}

/* The one at i is new, or says something else of itself. Who is shunned depends on all. */
static void
compare(struct members *m, size_t i)
{
    if (m->banned > 0 || i == m->best)
        m->best = best_of(m, m->home);
    else if (m->list[i].site == m->home &&
             (m->best == MEMBERS_MAX || is_better(&m->list[i], &m->list[m->best])))
        m->best = i;
}

/* Ids are hashes. */
static unsigned
bucket(const struct node_id *id)
{
    return (id->bytes[0] | (unsigned)id->bytes[1] << 8) % MEMBER_BUCKETS;
}

static void
link_in(struct members *m, size_t i)
{
    uint16_t *first = &m->first[bucket(&m->list[i].id)];
    m->next[i] = *first;
    *first = (uint16_t)(i + 1);
}

static void
unlink_at(struct members *m, size_t i)
{
    uint16_t *at = &m->first[bucket(&m->list[i].id)];
    while (*at != i + 1)
        at = &m->next[*at - 1];
    *at = m->next[i];
}

static void
drop(struct members *m, size_t i)
{
    size_t last = m->count - 1;
    m->banned -= m->list[i].banned;
    m->home_count -= m->list[i].site == m->home;
    unlink_at(m, i);
    if (i != last) {
        unlink_at(m, last);
        m->list[i] = m->list[last];
        link_in(m, i);
    }
    m->count = last;
    if (m->banned > 0 || i == m->best)
        m->best = best_of(m, m->home);
    else if (m->best == last)
        m->best = i;
}

/* Where it stands; count: nowhere. */
static size_t
find(const struct members *m, const struct node_id *id)
{
    uint16_t at = m->first[bucket(id)];
    while (at != 0 && !node_equal(&m->list[at - 1].id, id))
        at = m->next[at - 1];
    return at != 0 ? at - 1u : m->count;
}

const struct member *
member_find(const struct members *m, const struct node_id *id)
{
    size_t i = find(m, id);
    return i < m->count ? &m->list[i] : NULL;
}

/* A while, or so many of its beacons. */
static int64_t
patience_ms(const struct member *m, int64_t least_ms)
{
    int64_t ms = (int64_t)m->every_ms * MEMBER_MISSES;
    return ms > least_ms ? ms : least_ms;
}

static int64_t
dead_ms(const struct member *m)
{
    return m->heard_ms + patience_ms(m, MEMBER_DEAD_MS);
}

bool
member_heard(struct members *m, const struct member *said, int64_t now_ms)
{
    size_t i = find(m, &said->id);
    struct member *at = &m->list[i];
    if (i < m->count && at->boot == said->boot && said->seq <= at->seq)
        return false;
    if (i == MEMBERS_MAX)
        return false;
    m->banned += said->banned;
    m->home_count += said->site == m->home;
    if (i < m->count) {
        m->banned -= at->banned;
        m->home_count -= at->site == m->home;
    }
    *at = *said;
    if (i == m->count) {
        m->count++;
        link_in(m, i);
    }
    compare(m, i);
    at->heard_ms = now_ms;
    if (dead_ms(at) < m->bury_ms)
        m->bury_ms = dead_ms(at);
    return true;
}

void
member_forget(struct members *m, const struct node_id *id)
{
    size_t i = find(m, id);
    if (i < m->count)
        drop(m, i);
}

bool
member_by_group(const struct member *m, int64_t now_ms)
{
    return now_ms - m->group_ms < patience_ms(m, MEMBER_GROUP_MS);
}

unsigned
member_beacon_ms(const struct members *m)
{
    size_t ms = m->home_count * 1000 / MEMBER_BEACONS_S;
    return ms > MEMBER_BEACON_MS ? (unsigned)ms : MEMBER_BEACON_MS;
}

bool
member_bury(struct members *m, int64_t now_ms, struct node_id *ret_dead)
{
    if (now_ms < m->bury_ms)
        return false;
    m->bury_ms = INT64_MAX;
    for (size_t i = 0; i < m->count; i++) {
        int64_t ms = dead_ms(&m->list[i]);
        if (now_ms >= ms) {
            *ret_dead = m->list[i].id;
            m->bury_ms = now_ms;
            drop(m, i);
            return true;
        }
        m->bury_ms = ms < m->bury_ms ? ms : m->bury_ms;
    }
    return false;
}

unsigned
member_rank(const struct members *m, uint64_t site, uint32_t priority, const struct node_id *id,
            const struct node_id *except)
{
    unsigned rank = 1;
    for (size_t i = 0; i < m->count; i++) {
        const struct member *o = &m->list[i];
        if (o->site == site && !node_equal(&o->id, except) &&
            member_better(o->priority, &o->id, priority, id) && !shunned(m, o))
            rank++;
    }
    return rank;
}

size_t
member_count(const struct members *m, uint64_t site)
{
    size_t n = 0;
    if (site == m->home)
        return m->home_count;
    for (size_t i = 0; i < m->count; i++)
        n += m->list[i].site == site;
    return n;
}

const struct member *
member_best(const struct members *m, uint64_t site)
{
    size_t i = site == m->home ? m->best : best_of(m, site);
    return i < MEMBERS_MAX ? &m->list[i] : NULL;
}
