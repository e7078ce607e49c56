/* What other sites pull. */
#include "p2p/preseed.h"
#include "base/mem.h"
#include "p2p/piece.h"

struct blob {
    struct digest digest;
    uint64_t size;
    int64_t heard_ms; /* the last word of anybody */
    int64_t here_ms;  /* a client of the own site wanted it */
    int64_t said_ms;  /* of that, to other sites */
    int64_t given_ms; /* by preseed_due */
    size_t sites_count;
    struct {
        uint64_t site;
        int64_t at_ms;
    } sites[PRESEED_SITES_MAX];
};

struct preseed {
    size_t count;
    struct blob list[PRESEED_BLOBS_MAX];
};

struct preseed *
preseed_new(void)
{
    return mem_zalloc(sizeof(struct preseed));
}

void
preseed_free(struct preseed *p)
{
    mem_free(p);
}

/* In the last PRESEED_MS? */
static bool
lately(int64_t at_ms, int64_t now_ms)
{
    return now_ms - at_ms < PRESEED_MS;
}

static struct blob *
blob_of(struct preseed *p, const struct digest *digest, uint64_t size, int64_t now_ms)
{
    struct blob *b = &p->list[0];
    for (size_t i = 0; i < p->count; i++) {
        if (p->list[i].size == size && digest_equal(&p->list[i].digest, digest)) {
            p->list[i].heard_ms = now_ms;
            return &p->list[i];
        }
        if (p->list[i].heard_ms < b->heard_ms)
            b = &p->list[i];
    }
    if (p->count < PRESEED_BLOBS_MAX)
        b = &p->list[p->count++];
    const int64_t never_ms = INT64_MIN / 2;
    *b = (struct blob){.digest = *digest,
                       .size = size,
                       .heard_ms = now_ms,
                       .here_ms = never_ms,
                       .said_ms = never_ms,
                       .given_ms = never_ms};
    return b;
}

void
preseed_pulled(struct preseed *p, const struct digest *digest, uint64_t size, int64_t now_ms)
{
    blob_of(p, digest, size, now_ms)->here_ms = now_ms;
}

void
preseed_heard(struct preseed *p, const struct digest *digest, uint64_t size, uint64_t site,
              int64_t now_ms)
{
    if (size == 0 || size > PIECE_BLOB_MAX)
        return;
    struct blob *b = blob_of(p, digest, size, now_ms);
    size_t at = 0;
    for (size_t i = 0; i < b->sites_count; i++) {
        if (b->sites[i].site == site) {
            b->sites[i].at_ms = now_ms;
            return;
        }
        if (b->sites[i].at_ms < b->sites[at].at_ms)
            at = i;
    }
    if (b->sites_count < PRESEED_SITES_MAX)
        at = b->sites_count++;
    b->sites[at].site = site;
    b->sites[at].at_ms = now_ms;
}

bool
preseed_tell(struct preseed *p, int64_t now_ms, struct digest *ret_digest, uint64_t *ret_size)
{
    for (size_t i = 0; i < p->count; i++) {
        struct blob *b = &p->list[i];
        if (!lately(b->here_ms, now_ms) || now_ms - b->said_ms < PRESEED_SAY_MS)
            continue;
        b->said_ms = now_ms;
        *ret_digest = b->digest;
        *ret_size = b->size;
        return true;
    }
    return false;
}

/* Sites that say that they pulled it lately. */
static size_t
count_sites(const struct blob *b, int64_t now_ms)
{
    size_t n = 0;
    for (size_t i = 0; i < b->sites_count; i++)
        n += now_ms - b->sites[i].at_ms < PRESEED_HEARD_MS;
    return n;
}

static size_t
enough_of(size_t sites)
{
    size_t part = (sites + PRESEED_PART - 1) / PRESEED_PART;
    if (part < PRESEED_SITES_MIN)
        return PRESEED_SITES_MIN;
    return part < PRESEED_SITES_MAX ? part : PRESEED_SITES_MAX;
}

bool
preseed_due(struct preseed *p, size_t other_sites, int64_t now_ms, struct digest *ret_digest,
            uint64_t *ret_size)
{
    for (size_t i = 0; i < p->count; i++) {
        struct blob *b = &p->list[i];
        if (lately(b->here_ms, now_ms) || lately(b->given_ms, now_ms) ||
            count_sites(b, now_ms) < enough_of(other_sites + 1))
            continue;
        b->given_ms = now_ms;
        *ret_digest = b->digest;
        *ret_size = b->size;
        return true;
    }
    return false;
}
