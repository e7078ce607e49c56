/* What other sites hold, and which source a lease is for: upstream, or a holder in another site, by
 * price and measured rate (rank.h). */
#include "p2p/tracker_inside.h"

#define PRICE_UPSTREAM 1000 /* thousandths, per MiB */
#define PRICE_REMOTE   800

/* Index of the site among the sources; -1: no place. */
static int
source_of(struct tracker *t, uint64_t site)
{
    for (unsigned i = 1; i < t->sources_count; i++)
        if (t->sources[i].site == site)
            return (int)i;
    if (t->sources_count == TRACKER_SOURCES_MAX)
        return -1;
    t->sources[t->sources_count] = (struct tracker_source){.site = site};
    return (int)t->sources_count++;
}

void
tracker_remote(struct tracker *t, const struct wire_site_have *said, uint64_t site, int64_t now_ms,
               struct tracker_orders *orders)
{
    struct tracker_blob *b = tracker_find(t, &said->digest);
    if (b == NULL || b->book.size != said->size)
        return;
    int source = source_of(t, site);
    size_t i = 0;
    while (i < b->remotes_count && b->remotes[i].source != (unsigned)source)
        i++;
    if (source < 0 || i == TRACKER_REMOTES_MAX)
        return;
    bool first = b->remotes_count == 0;
    b->remotes[i] = (struct tracker_remote){(unsigned)source, said->node, said->addr,
                                            now_ms + TRACKER_REMOTE_MS};
    if (i == b->remotes_count)
        b->remotes_count++;
    if (first)
        tracker_shorten(t, b, now_ms, orders); /* a long lease leaves nothing to choose */
}

static void
forget_remote(struct tracker_blob *b, size_t i)
{
    b->remotes[i] = b->remotes[--b->remotes_count];
}

void
tracker_remote_failed(struct tracker *t, struct tracker_blob *b, unsigned source, int64_t now_ms)
{
    rank_bad(&t->sources[source].rank, now_ms);
    for (size_t i = b->remotes_count; i-- > 0;)
        if (b->remotes[i].source == source)
            forget_remote(b, i);
    /* That site may name another holder: it is asked at once, unless none of its own gives
     * anything; where another site still has one, only when that has failed, too. */
    if (b->remotes_count == 0 && rank_usable(&t->sources[source].rank, now_ms))
        b->asks = 1;
}

void
tracker_source_gave(struct tracker *t, const struct lease *l, uint64_t bytes, int64_t now_ms)
{
    struct tracker_source *s = &t->sources[l->source];
    int64_t from_ms = s->gave_ms > l->granted_ms ? s->gave_ms : l->granted_ms;
    if (bytes == 0)
        return;
    rank_good(&s->rank, now_ms, (uint32_t)(bytes < UINT32_MAX ? bytes : UINT32_MAX),
              (uint32_t)((now_ms - from_ms) * 1000));
    s->gave_ms = now_ms;
}

bool
tracker_has_remote(const struct tracker *t, const struct tracker_blob *b, int64_t now_ms)
{
    for (size_t i = 0; i < b->remotes_count; i++)
        if (now_ms < b->remotes[i].until_ms &&
            rank_usable(&t->sources[b->remotes[i].source].rank, now_ms))
            return true;
    return false;
}

/* Bytes that are still to come from each source. */
static void
count_inflight(struct tracker *t)
{
    for (unsigned i = 0; i < t->sources_count; i++)
        t->sources[i].rank.inflight_bytes = 0;
    for (size_t i = 0; i < t->blobs_count; i++) {
        const struct lease_book *book = &t->blobs[i]->book;
        for (unsigned k = 0; k < book->used; k++)
            if (lease_running(&book->list[k]))
                t->sources[book->list[k].source].rank.inflight_bytes +=
                    lease_bytes(book, &book->list[k]) - book->list[k].done_bytes;
    }
}

int
tracker_choose(struct tracker *t, struct tracker_blob *b, bool upstream, int64_t now_ms,
               uint64_t len)
{
    const struct rank *ranks[TRACKER_REMOTES_MAX + 1];
    uint32_t prices[TRACKER_REMOTES_MAX + 1];
    size_t count = 0;
    for (size_t i = b->remotes_count; i-- > 0;)
        if (now_ms >= b->remotes[i].until_ms)
            forget_remote(b, i);
    if (b->remotes_count == 0)
        return upstream ? TRACKER_UPSTREAM : TRACKER_NOWHERE;
    count_inflight(t);
    for (size_t i = 0; i < b->remotes_count; i++) {
        ranks[count] = &t->sources[b->remotes[i].source].rank;
        prices[count++] = PRICE_REMOTE;
    }
    if (upstream) {
        ranks[count] = &t->sources[0].rank;
        prices[count++] = PRICE_UPSTREAM;
    }
    int at = rank_choose(ranks, prices, count, now_ms, len);
    if (at < 0)
        return upstream ? TRACKER_UPSTREAM : TRACKER_NOWHERE;
    return (size_t)at == b->remotes_count ? TRACKER_UPSTREAM : at;
}

/* Is something of the blob to be fetched, and is it time to ask other sites? Twice at first,
 * because datagrams are lost. */
static bool
asks(const struct tracker *t, struct tracker_blob *b, int64_t now_ms)
{
    int64_t every_ms = b->asks == 1 ? TRACKER_ASK_AGAIN_MS : TRACKER_ASK_MS;
    if (b->remotes_count > 0 || (b->asks > 0 && now_ms - b->asked_ms < every_ms) ||
        (b->wanting == 0 && (b->seeding == 0 || !tracker_quiet(t))))
        return false;
    for (uint32_t p = 0; p < b->book.pieces; p++)
        if (b->holders[p] == 0)
            return true;
    return false;
}

bool
tracker_asks(struct tracker *t, int64_t now_ms, size_t *at, struct digest *ret)
{
    while (t->epoch != 0 && *at < t->blobs_count) {
        struct tracker_blob *b = t->blobs[(*at)++];
        if (!asks(t, b, now_ms))
            continue;
        b->asks++;
        b->asked_ms = now_ms;
        *ret = b->digest;
        return true;
    }
    return false;
}

static bool
is_whole(const struct tracker_blob *b, const struct tracker_entry *e)
{
    if ((e->flags & WIRE_SERVES) == 0)
        return false;
    for (uint32_t p = 0; p < b->book.pieces; p++)
        if (!bits_get(e->bits, p))
            return false;
    return true;
}

bool
tracker_holder(struct tracker *t, const struct digest *digest, struct wire_site_have *ret)
{
    const struct tracker_blob *b = tracker_find(t, digest);
    for (size_t i = 0; b != NULL && i < b->entries_count; i++) {
        const struct tracker_entry *e = b->entries[(i + t->lent) % b->entries_count];
        if (!is_whole(b, e))
            continue;
        t->lent++; /* the next one gets another */
        *ret = (struct wire_site_have){*digest, b->book.size, t->nodes[e->node].id,
                                       t->nodes[e->node].addr};
        return true;
    }
    return false;
}
