/* Tags and links in memory.
 *
 *   tags:    key -> tag                         in order of their last put
 *   linked:  digest -> links                    each link: repository, principal, size, type
 *   links:   all links in order of their last put (a list through all digests)
 *   words:   repository names and media types, counted
 *
 * Invariants:
 *  1. links_count is the sum of linked->count, and at most LINKS_MAX.
 *  2. A `linked` without links is not in the table.
 *  3. A word's refs are the link fields that point to it. */
#include "cache/tags.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/text.h"
#include <string.h>

/* A confirmation this young is not worth another record. */
#define NEWS_S 60

struct word {
    UT_hash_handle hh;
    unsigned refs;
    char text[];
};

struct tag_node {
    UT_hash_handle hh;
    struct tag tag;
    int64_t recorded_wall_s;
    char key[];
};

struct linked;

struct link_node {
    struct link_node *prev, *next;           /* of all links */
    struct link_node *same_prev, *same_next; /* of this digest */
    struct linked *linked;
    struct word *repository, *media_type;
    uint64_t principal, size;
    int64_t seen_wall_s, recorded_wall_s;
};

struct linked {
    UT_hash_handle hh;
    struct digest digest;
    struct link_node *first;
    unsigned count;
};

struct tags {
    struct tag_node *tags;
    struct linked *linked;
    struct link_node *links; /* put longest ago first */
    struct word *words;
    size_t links_count;
};

struct tags *
tags_new(void)
{
    return mem_zalloc(sizeof(struct tags));
}

static struct word *
word_take(struct tags *t, const char *text)
{
    struct word *w;
    size_t len = strlen(text);
    HASH_FIND(hh, t->words, text, len, w);
    if (w == NULL) {
        w = mem_zalloc(sizeof *w + len + 1);
        memcpy(w->text, text, len + 1);
        HASH_ADD_KEYPTR(hh, t->words, w->text, len, w);
    }
    w->refs++;
    return w;
}

static void
word_drop(struct tags *t, struct word *w)
{
    must(w->refs > 0);
    if (--w->refs == 0) {
        HASH_DELETE(hh, t->words, w);
        mem_free(w);
    }
}

static void
drop_tag(struct tags *t, struct tag_node *n)
{
    HASH_DELETE(hh, t->tags, n);
    mem_free(n);
}

static void
drop_link(struct tags *t, struct link_node *n)
{
    struct linked *l = n->linked;
    DL_DELETE(t->links, n);
    DL_DELETE2(l->first, n, same_prev, same_next);
    word_drop(t, n->repository);
    word_drop(t, n->media_type);
    mem_free(n);
    t->links_count--;
    if (--l->count == 0) {
        HASH_DELETE(hh, t->linked, l);
        mem_free(l);
    }
}

void
tags_free(struct tags *t)
{
    if (t == NULL) {
        return;
    }
    while (t->tags != NULL) {
        drop_tag(t, t->tags);
    }
    while (t->links != NULL) {
        drop_link(t, t->links);
    }
    must(t->words == NULL && t->linked == NULL);
    mem_free(t);
}

static struct tag_node *
find_tag(const struct tags *t, const char *key)
{
    struct tag_node *n;
    HASH_FIND(hh, t->tags, key, strlen(key), n);
    return n;
}

bool
tags_get(const struct tags *t, const char *key, struct tag *ret)
{
    const struct tag_node *n = find_tag(t, key);
    if (n != NULL) {
        *ret = n->tag;
    }
    return n != NULL;
}

static bool
news(int64_t recorded_wall_s, int64_t now_wall_s)
{
    return now_wall_s < recorded_wall_s || now_wall_s >= recorded_wall_s + NEWS_S;
}

bool
tags_put(struct tags *t, const char *key, const struct tag *tag)
{
    struct tag_node *old = find_tag(t, key);
    bool same = old != NULL && digest_equal(&old->tag.digest, &tag->digest) &&
                old->tag.size == tag->size && strcmp(old->tag.media_type, tag->media_type) == 0;
    int64_t recorded_wall_s = old == NULL ? 0 : old->recorded_wall_s;
    if (old != NULL) {
        drop_tag(t, old);
    } else if (HASH_COUNT(t->tags) >= TAGS_MAX) {
        drop_tag(t, t->tags);
    }

    size_t len = strlen(key);
    struct tag_node *n = mem_zalloc(sizeof *n + len + 1);
    n->tag = *tag;
    memcpy(n->key, key, len + 1);
    HASH_ADD_KEYPTR(hh, t->tags, n->key, len, n);
    bool is_news = !same || news(recorded_wall_s, tag->checked_wall_s);
    n->recorded_wall_s = is_news ? tag->checked_wall_s : recorded_wall_s;
    return is_news;
}

bool
tags_drop(struct tags *t, const char *key)
{
    struct tag_node *n = find_tag(t, key);
    if (n != NULL) {
        drop_tag(t, n);
    }
    return n != NULL;
}

static struct linked *
find_linked(const struct tags *t, const struct digest *d)
{
    struct linked *l;
    HASH_FIND(hh, t->linked, d, sizeof *d, l);
    return l;
}

static struct link_node *
find_link(const struct tags *t, const char *repository, uint64_t principal, const struct digest *d)
{
    const struct linked *l = find_linked(t, d);
    struct link_node *n = l == NULL ? NULL : l->first;
    while (n != NULL &&
           (n->principal != principal || strcmp(n->repository->text, repository) != 0)) {
        n = n->same_next;
    }
    return n;
}

bool
tags_link_get(const struct tags *t, const char *repository, uint64_t principal,
              const struct digest *d, struct link *ret)
{
    const struct link_node *n = find_link(t, repository, principal, d);
    if (n == NULL) {
        return false;
    }
    *ret = (struct link){.size = n->size, .seen_wall_s = n->seen_wall_s};
    int rc = text_copy(ret->media_type, sizeof ret->media_type, n->media_type->text);
    must(rc == 0);
    return true;
}

/* The manifest that a link opens, as if a tag named it. */
static void
each_manifest(const struct link_node *n,
              void (*each)(void *arg, const char *name, const struct tag *t), void *arg)
{
    char digest[DIGEST_TEXT_MAX];
    char name[CACHE_NAME_MAX + DIGEST_TEXT_MAX];
    struct tag tag = {
        .digest = n->linked->digest, .checked_wall_s = n->seen_wall_s, .size = n->size};
    digest_print(&tag.digest, digest);
    must(text_copy(tag.media_type, sizeof tag.media_type, n->media_type->text) == 0);
    if (text_printf(name, sizeof name, "%s@%s", n->repository->text, digest) == 0)
        each(arg, name, &tag);
}

void
tags_each(const struct tags *t, void (*each)(void *arg, const char *name, const struct tag *t),
          void *arg)
{
    for (const struct tag_node *n = t->tags; n != NULL; n = n->hh.next)
        each(arg, n->key, &n->tag);
    for (const struct link_node *n = t->links; n != NULL; n = n->next)
        if (n->principal == 0 && n->media_type->text[0])
            each_manifest(n, each, arg);
}

/* Makes room for one more link of this digest. */
static void
make_room(struct tags *t, const struct digest *d)
{
    if (t->links_count >= LINKS_MAX) {
        drop_link(t, t->links);
    }
    struct linked *l = find_linked(t, d);
    if (l != NULL && l->count >= LINKS_OF_DIGEST_MAX) {
        drop_link(t, l->first);
    }
}

static struct linked *
take_linked(struct tags *t, const struct digest *d)
{
    struct linked *l = find_linked(t, d);
    if (l == NULL) {
        l = mem_zalloc(sizeof *l);
        l->digest = *d;
        HASH_ADD(hh, t->linked, digest, sizeof l->digest, l);
    }
    return l;
}

bool
tags_link_put(struct tags *t, const char *repository, uint64_t principal, const struct digest *d,
              const struct link *link)
{
    struct link_node *old = find_link(t, repository, principal, d);
    bool same = old != NULL && old->size == link->size &&
                strcmp(old->media_type->text, link->media_type) == 0;
    int64_t recorded_wall_s = old == NULL ? 0 : old->recorded_wall_s;
    if (old != NULL) {
        drop_link(t, old);
    } else {
        make_room(t, d);
    }

    struct link_node *n = mem_zalloc(sizeof *n);
    n->linked = take_linked(t, d);
    n->repository = word_take(t, repository);
    n->media_type = word_take(t, link->media_type);
    n->principal = principal;
    n->size = link->size;
    n->seen_wall_s = link->seen_wall_s;
    DL_APPEND(t->links, n);
    DL_APPEND2(n->linked->first, n, same_prev, same_next);
    n->linked->count++;
    t->links_count++;
    bool is_news = !same || news(recorded_wall_s, link->seen_wall_s);
    n->recorded_wall_s = is_news ? link->seen_wall_s : recorded_wall_s;
    return is_news;
}

bool
tags_link_any(const struct tags *t, const struct digest *d, char ret_repository[CACHE_NAME_MAX])
{
    const struct linked *l = find_linked(t, d);
    if (l == NULL) {
        return false;
    }
    int rc = text_copy(ret_repository, CACHE_NAME_MAX, l->first->repository->text);
    must(rc == 0);
    return true;
}

void
tags_count(const struct tags *t, size_t *ret_tags, size_t *ret_links)
{
    *ret_tags = HASH_COUNT(t->tags);
    *ret_links = t->links_count;
}

void
tags_replay(struct tags *t, const struct record *r)
{
    switch (r->kind) {
    case RECORD_TAG:
        (void)tags_put(t, r->key, &r->tag);
        break;
    case RECORD_TAG_DROP:
        (void)tags_drop(t, r->key);
        break;
    case RECORD_LINK:
        (void)tags_link_put(t, r->key, r->principal, &r->digest, &r->link);
        break;
    case RECORD_FACT:
    case RECORD_FORMAT:
    case RECORD_CHECKED:
    case RECORD_WORTH:
    case RECORD_OTHER:
        break;
    }
}

void
tags_dump(const struct tags *t, struct buf *ret)
{
    struct record r = {.kind = RECORD_TAG};
    for (const struct tag_node *n = t->tags; n != NULL; n = n->hh.next) {
        r.tag = n->tag;
        if (text_copy(r.key, sizeof r.key, n->key) < 0 || record_encode(&r, ret) < 0) {
            return;
        }
    }
    r = (struct record){.kind = RECORD_LINK};
    for (const struct link_node *n = t->links; n != NULL; n = n->next) {
        r.principal = n->principal;
        r.digest = n->linked->digest;
        r.link.size = n->size;
        r.link.seen_wall_s = n->seen_wall_s;
        if (text_copy(r.key, sizeof r.key, n->repository->text) < 0 ||
            text_copy(r.link.media_type, sizeof r.link.media_type, n->media_type->text) < 0 ||
            record_encode(&r, ret) < 0) {
            return;
        }
    }
}
