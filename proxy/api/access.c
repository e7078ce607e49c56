/* Links on disk for what this node may read, grants in memory for what one client may. */
#include "proxy/api/access.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/rng.h"
#include "base/text.h"
#include "proxy/api/manifest.h"
#include "proxy/upstream/fetch.h"
#include <openssl/hmac.h>
#include <string.h>

#define SECRET_BYTES 32

/* HMAC over authorization, repository and digest: a grant tells nothing about either. */
struct grant {
    UT_hash_handle hh; /* oldest first */
    uint8_t key[32];
    int64_t end_ms;
    struct link link;
};

struct access {
    struct cache *cache;          /* fixed at new */
    uint8_t secret[SECRET_BYTES]; /* fixed at new; lives and dies with the process */
    struct lock lock;
    struct grant *grants; /* lock */
};

enum access_verdict
access_judge(enum registry_auth auth, bool linked, int64_t age_s, int64_t stale_s)
{
    if (!linked)
        return ACCESS_ASK;
    switch (auth) {
    case AUTH_PUBLIC:
        return ACCESS_YES;
    case AUTH_NODE:
        if (age_s >= 0 && age_s <= ACCESS_FRESH_S)
            return ACCESS_YES;
        return age_s <= stale_s ? ACCESS_ASK_ELSE_YES : ACCESS_ASK;
    case AUTH_PASS:
        return age_s >= 0 && age_s <= ACCESS_FRESH_S ? ACCESS_YES : ACCESS_ASK;
    }
    never("an auth mode that is not in the enum");
}

struct access *
access_new(struct cache *c)
{
    struct access *a = mem_zalloc(sizeof *a);
    a->cache = c;
    rng_secret(a->secret, sizeof a->secret);
    lock_init(&a->lock, LOCK_ACCESS);
    return a;
}

static void
drop(struct access *a, struct grant *g)
{
    HASH_DEL(a->grants, g);
    mem_free(g);
}

void
access_free(struct access *a)
{
    if (!a)
        return;
    while (a->grants)
        drop(a, a->grants);
    lock_release(&a->lock);
    mem_free(a);
}

/* host/repository: the configuration bounds the one, the route the other. */
static void
repository_key(const struct origin *o, char ret_key[CACHE_NAME_MAX])
{
    must(text_printf(ret_key, CACHE_NAME_MAX, "%s/%s", o->host, o->repository) == 0);
}

static void
grant_key(const struct access *a, const struct origin *o, const struct digest *d,
          uint8_t ret_key[32])
{
    const char *authorization = o->authorization ? o->authorization : "";
    char digest[DIGEST_TEXT_MAX];
    digest_print(d, digest);
    char *text = mem_printf("%s\n%s/%s\n%s", authorization, o->host, o->repository, digest);
    unsigned len = 32;
    must(HMAC(EVP_sha256(), a->secret, sizeof a->secret, (const unsigned char *)text, strlen(text),
              ret_key, &len) != NULL);
    OPENSSL_cleanse(text, strlen(text));
    mem_free(text);
}

static enum access_verdict
look_for_grant(struct access *a, const struct origin *o, const struct digest *d, struct link *ret)
{
    uint8_t key[32];
    grant_key(a, o, d, key);
    int64_t now_ms = clock_ms();
    struct grant *g = NULL;
    lock_take(&a->lock);
    HASH_FIND(hh, a->grants, key, sizeof key, g);
    bool open = g && g->end_ms > now_ms;
    if (open)
        *ret = g->link;
    lock_drop(&a->lock);
    return access_judge(AUTH_PASS, open, 0, 0);
}

enum access_verdict
access_look(struct access *a, const struct origin *o, const struct digest *d, struct link *ret)
{
    *ret = (struct link){.size = CACHE_SIZE_UNKNOWN};
    if (o->registry->auth == AUTH_PASS)
        return look_for_grant(a, o, d, ret);
    char repository[CACHE_NAME_MAX];
    repository_key(o, repository);
    struct link link;
    bool linked = cache_link_get(a->cache, repository, 0, d, &link);
    if (linked)
        *ret = link;
    return access_judge(o->registry->auth, linked, linked ? clock_wall_s() - link.seen_wall_s : 0,
                        o->settings->tags_stale_if_error_ms / 1000);
}

static void
add_grant(struct access *a, const struct origin *o, const struct digest *d, const struct link *link)
{
    struct grant *fresh = mem_zalloc(sizeof *fresh);
    grant_key(a, o, d, fresh->key);
    int64_t now_ms = clock_ms();
    fresh->end_ms = now_ms + ACCESS_FRESH_S * 1000;
    fresh->link = *link;
    struct grant *old = NULL;
    lock_take(&a->lock);
    HASH_FIND(hh, a->grants, fresh->key, sizeof fresh->key, old);
    if (old)
        drop(a, old);
    while (a->grants && (a->grants->end_ms <= now_ms || HASH_COUNT(a->grants) >= ACCESS_GRANTS_MAX))
        drop(a, a->grants);
    HASH_ADD(hh, a->grants, key, sizeof fresh->key, fresh);
    lock_drop(&a->lock);
}

void
access_grant(struct access *a, const struct origin *o, const struct digest *d, uint64_t size,
             const char *type)
{
    struct link link = {.size = size, .seen_wall_s = clock_wall_s()};
    must(text_copy(link.media_type, sizeof link.media_type, type) == 0);
    if (o->registry->auth == AUTH_PASS) {
        add_grant(a, o, d, &link);
        return;
    }
    char repository[CACHE_NAME_MAX];
    repository_key(o, repository);
    cache_link_put(a->cache, repository, 0, d, &link);
}

void
access_grant_children(struct access *a, const struct origin *o, const struct manifest *m)
{
    for (size_t i = 0; i < m->child_count; i++) {
        const struct manifest_child *c = &m->children[i];
        access_grant(a, o, &c->digest, c->size, c->media_type);
    }
}

void
access_revoke(struct access *a, const struct origin *o, const struct digest *d)
{
    char repository[CACHE_NAME_MAX];
    struct link link;
    if (o->registry->auth != AUTH_NODE)
        return;
    repository_key(o, repository);
    if (!cache_link_get(a->cache, repository, 0, d, &link))
        return;
    link.seen_wall_s = 0; /* older than any outage */
    cache_link_put(a->cache, repository, 0, d, &link);
}

void
access_revoke_children(struct access *a, const struct origin *o, const struct manifest *m)
{
    for (size_t i = 0; i < m->child_count; i++)
        access_revoke(a, o, &m->children[i].digest);
}
