/* A small least-recently-used cache of parsed manifests. */
#include "proxy/api/shelf.h"
#include "base/hash.h"
#include "base/lock.h"
#include <stdatomic.h>
#include <string.h>

int
page_new(const struct digest *d, const char *type, const void *bytes, size_t len, struct page **ret)
{
    struct manifest m;
    int err = manifest_parse(bytes, len, type, &m);
    if (err < 0)
        return err;
    struct page *p = mem_zalloc(sizeof *p);
    p->digest = *d;
    p->type = type;
    p->bytes = mem_alloc(len + 1);
    memcpy(p->bytes, bytes, len);
    p->bytes[len] = 0;
    p->len = len;
    p->manifest = m;
    p->refs = 1;
    *ret = p;
    return 0;
}

struct page *
page_ref(struct page *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void
page_release(struct page **pp)
{
    struct page *p = *pp;
    *pp = NULL;
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    manifest_release(&p->manifest);
    mem_free(p->bytes);
    mem_free(p);
}

/* The type is part of the key: a document without mediaType may have two. */
struct key {
    struct digest digest;
    uint32_t type_hash;
};

struct slot {
    UT_hash_handle hh; /* in the order of use */
    struct key key;
    size_t weight_bytes;
    struct page *page;
};

struct shelf {
    struct lock lock;
    struct slot *slots; /* lock */
    size_t used_bytes;  /* lock */
};

struct shelf *
shelf_new(void)
{
    struct shelf *s = mem_zalloc(sizeof *s);
    lock_init(&s->lock, LOCK_SHELF);
    return s;
}

static void
drop(struct shelf *s, struct slot *slot)
{
    HASH_DEL(s->slots, slot);
    s->used_bytes -= slot->weight_bytes;
    page_release(&slot->page);
    mem_free(slot);
}

void
shelf_free(struct shelf *s)
{
    if (!s)
        return;
    while (s->slots)
        drop(s, s->slots);
    lock_release(&s->lock);
    mem_free(s);
}

static struct key
make_key(const struct digest *d, const char *type)
{
    return (struct key){*d, (uint32_t)hash_bytes(type, strlen(type))};
}

struct page *
shelf_get(struct shelf *s, const struct digest *d, const char *type)
{
    struct key key = make_key(d, type);
    struct slot *slot = NULL;
    struct page *page = NULL;
    lock_take(&s->lock);
    HASH_FIND(hh, s->slots, &key, sizeof key, slot);
    if (slot) {
        HASH_DEL(s->slots, slot); /* and to the end again: it was used */
        HASH_ADD(hh, s->slots, key, sizeof slot->key, slot);
        page = page_ref(slot->page);
    }
    lock_drop(&s->lock);
    return page;
}

void
shelf_put(struct shelf *s, struct page *p)
{
    struct slot *fresh = mem_zalloc(sizeof *fresh);
    fresh->key = make_key(&p->digest, p->type);
    fresh->weight_bytes =
        sizeof *p + p->len + p->manifest.child_count * sizeof(struct manifest_child);
    fresh->page = page_ref(p);

    lock_take(&s->lock);
    struct slot *old = NULL;
    HASH_FIND(hh, s->slots, &fresh->key, sizeof fresh->key, old);
    if (old)
        drop(s, old);
    HASH_ADD(hh, s->slots, key, sizeof fresh->key, fresh);
    s->used_bytes += fresh->weight_bytes;
    while (s->used_bytes > SHELF_BYTES_MAX || HASH_COUNT(s->slots) > SHELF_PAGES_MAX)
        drop(s, s->slots);
    lock_drop(&s->lock);
}
