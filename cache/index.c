/* Chained buckets, doubled when they hold one entry each on average. */
#include "cache/index.h"
#include "base/hash.h"
#include "cache/inside.h"
#include <string.h>

#define BITS_MIN 8

static uint64_t
hash_of(uint8_t alg, const uint8_t *key)
{
    return hash_bytes(key, alg == DIGEST_SHA256 ? 32 : 64);
}

static uint64_t
hash_entry(const struct entry *e)
{
    return hash_of(e->alg, e->key);
}

static struct entry **
head_of(const struct index *x, uint64_t hash)
{
    return &x->heads[hash >> (64 - x->bits)];
}

static bool
is_of(const struct entry *e, const struct digest *d)
{
    return e->alg == d->alg && memcmp(e->key, d->bytes, digest_len(d)) == 0;
}

struct entry *
index_find(const struct index *x, const struct digest *d)
{
    if (x->heads == NULL) {
        return NULL;
    }
    struct entry *e = *head_of(x, hash_of((uint8_t)d->alg, d->bytes));
    while (e != NULL && !is_of(e, d)) {
        e = e->chain;
    }
    return e;
}

static void
push(struct index *x, struct entry *e)
{
    struct entry **head = head_of(x, hash_entry(e));
    e->chain = *head;
    *head = e;
}

static void
grow(struct index *x)
{
    struct index old = *x;
    x->bits = old.heads == NULL ? BITS_MIN : old.bits + 1;
    x->heads = mem_zalloc(sizeof(struct entry *) << x->bits);
    for (size_t i = 0; old.heads != NULL && i < (size_t)1 << old.bits; i++) {
        for (struct entry *e = old.heads[i], *next; e != NULL; e = next) {
            next = e->chain;
            push(x, e);
        }
    }
    mem_free(old.heads);
}

void
index_add(struct index *x, struct entry *e)
{
    if (x->heads == NULL || x->count >> x->bits > 0) {
        grow(x);
    }
    push(x, e);
    x->count++;
}

void
index_remove(struct index *x, struct entry *e)
{
    struct entry **at = head_of(x, hash_entry(e));
    while (*at != e) {
        must(*at != NULL);
        at = &(*at)->chain;
    }
    *at = e->chain;
    x->count--;
}

struct entry *
index_next(const struct index *x, uint64_t *at)
{
    struct entry *best = NULL;
    uint64_t best_hash = 0;
    size_t bucket = x->count == 0 || *at == UINT64_MAX ? SIZE_MAX : (size_t)(*at >> (64 - x->bits));
    for (; best == NULL && bucket < (size_t)1 << x->bits; bucket++) {
        for (struct entry *e = x->heads[bucket]; e != NULL; e = e->chain) {
            uint64_t hash = hash_entry(e);
            if (hash >= *at && (best == NULL || hash < best_hash)) {
                best = e;
                best_hash = hash;
            }
        }
    }
    /* Two entries of one 64-bit hash do not happen; the second would be passed over. */
    *at = best == NULL || best_hash == UINT64_MAX ? UINT64_MAX : best_hash + 1;
    return best;
}

void
index_release(struct index *x)
{
    mem_free(x->heads);
    *x = (struct index){0};
}
