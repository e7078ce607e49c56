/*
 * Manifests that were asked for lately, in memory: bytes, type and what they name. Bounded;
 * the one unused for longest goes first. Any thread.
 */
#ifndef PROXY_SHELF_H
#define PROXY_SHELF_H

#include "proxy/api/manifest.h"

#define SHELF_PAGES_MAX 256
#define SHELF_BYTES_MAX (8u * 1024 * 1024)

/* Never changes but for `seen_ms`; shared by references. */
struct page {
    struct digest digest;
    const char *type; /* static text of manifest_type */
    char *bytes;
    size_t len;
    struct manifest manifest;
    _Atomic int64_t seen_ms; /* when its children were last looked after */
    _Atomic int refs;
};

/* Takes a copy of the bytes, which have this digest. ERR_SYNTAX, ERR_LIMIT: see
 * manifest_parse. The caller owns a reference. */
CHECKED int page_new(const struct digest *d, const char *type, const void *bytes, size_t len,
                     struct page **ret);
struct page *page_ref(struct page *p);
void page_release(struct page **p); /* sets NULL; NULL inside is fine */

struct shelf;
struct shelf *shelf_new(void);
void shelf_free(struct shelf *s);
/* NULL when it is not there; else a reference for the caller. */
struct page *shelf_get(struct shelf *s, const struct digest *d, const char *type);
void shelf_put(struct shelf *s, struct page *p); /* takes a reference of its own */

#endif
