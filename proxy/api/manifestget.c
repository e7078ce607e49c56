/*
 * Finds, checks and keeps manifests.
 *
 * 1. Bytes are served only under the type that upstream gave them and that they agree with.
 * 2. A manifest that was checked opens what it names: links for all its children.
 * 3. Of many clients that miss the same manifest, one asks upstream.
 */
#include "proxy/api/manifestget.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/text.h"
#include "proxy/api/access.h"
#include "proxy/api/ask.h"
#include "proxy/api/flight.h"
#include "proxy/api/shared.h"
#include "proxy/api/shelf.h"
#include <string.h>

static void
explain_refusal(const struct request *r, const char *why)
{
    LOG(request_failed, LOG_U("request", r->id), LOG_S("repository", r->repository_key),
        LOG_S("error", why));
}

/* What is in use stays on disk, too: each use counts there, and it may have left since. */
static void
store_again(struct request *r, const struct page *page)
{
    cache_asked(r->rooms->cache, &page->digest);
    if (cache_stored(r->rooms->cache, &page->digest) > 0)
        return;
    /* Memory does not know whose it was; the site had it from upstream. */
    int rc = cache_put(r->rooms->cache, &page->digest, page->bytes, page->len, BLOB_FROM_UPSTREAM);
    (void)rc; /* no room or no disk: memory has it */
}

struct page *
manifestget_on_hand(struct request *r, const struct digest *d, const char *media_type)
{
    const char *type = manifest_type(media_type);
    if (!type[0])
        return NULL;
    struct page *page = shelf_get(r->rooms->shelf, d, type);
    if (page) {
        store_again(r, page);
        return page;
    }
    AUTO(buf_release) struct buf body;
    buf_init(&body, MANIFEST_BYTES_MAX);
    if (cache_get(r->rooms->cache, d, &body) < 0 ||
        page_new(d, type, body.data, body.len, &page) < 0)
        return NULL;
    cache_asked(r->rooms->cache, d);
    shelf_put(r->rooms->shelf, page);
    return page;
}

static bool
is_stored(struct request *r, const struct digest *d)
{
    struct blob *b = cache_find(r->rooms->cache, d);
    if (!b)
        return false;
    struct blob_state state;
    blob_look(b, 0, &state);
    blob_release(&b);
    return state.phase == BLOB_VERIFIED || state.phase == BLOB_WHOLE;
}

void
manifestget_open_up(struct request *r, const struct page *p)
{
    access_grant(r->rooms->access, &r->origin, &p->digest, p->len, p->type);
    access_grant_children(r->rooms->access, &r->origin, &p->manifest);
}

void
manifestget_renew(struct request *r, const struct page *p)
{
    if (r->origin.registry->auth != AUTH_PUBLIC)
        access_grant_children(r->rooms->access, &r->origin, &p->manifest);
}

void
manifestget_close(struct request *r, const struct digest *d)
{
    struct link link;
    (void)access_look(r->rooms->access, &r->origin, d, &link);
    struct page *page = manifestget_on_hand(r, d, link.media_type);
    if (page)
        access_revoke_children(r->rooms->access, &r->origin, &page->manifest);
    page_release(&page);
    access_revoke(r->rooms->access, &r->origin, d);
}

enum reason
manifestget_keep(struct request *r, const struct digest *d, const char *type,
                 const struct buf *body, enum blob_source source, struct page **ret)
{
    if (page_new(d, type, body->data, body->len, ret) < 0) {
        explain_refusal(r, "not a manifest, or its content disagrees with its type");
        return REASON_manifest_refused;
    }
    /* Without room on disk it is served all the same; the cache tells why it did not fit. */
    int err = cache_put(r->rooms->cache, d, body->data, body->len, source);
    if (err < 0 && err != ERR_FULL && err != ERR_STORE)
        explain_refusal(r, err_text(err));
    shelf_put(r->rooms->shelf, *ret);
    return REASON_NONE;
}

/* Upstream's body, whose digest has been checked. */
static enum reason
keep(struct request *r, const struct digest *d, const struct answer *a, struct page **ret)
{
    enum reason why =
        manifestget_keep(r, d, manifest_type(a->content_type), &a->body, BLOB_FROM_UPSTREAM, ret);
    if (why)
        return why;
    manifestget_open_up(r, *ret);
    r->source = "upstream";
    return REASON_NONE;
}

static enum reason
refuse_digest(const struct request *r)
{
    metric_add(M_digest_failures, 1);
    LOG(digest_mismatch, LOG_U("request", r->id), LOG_S("repository", r->repository_key));
    return REASON_manifest_refused;
}

static enum reason
fetch_manifest(struct request *r, const struct ref *ref, struct page **ret)
{
    char path[ASK_PATH_MAX];
    ask_path("manifests", ref, path);
    struct answer a;
    enum reason why = ask_upstream(r,
                                   &(struct question){.path = path,
                                                      .accept = manifest_accept,
                                                      .body_max = MANIFEST_BYTES_MAX,
                                                      .unknown = REASON_manifest_unknown},
                                   &a);
    if (why)
        return why;
    /* What the body must be: the digest that was asked for, or the one that upstream names. */
    struct digest want;
    bool promised = a.docker_digest[0] != 0 &&
                    digest_parse(a.docker_digest, strlen(a.docker_digest), &want) == 0;
    if (ref->by_digest)
        want = ref->digest;
    struct digest have;
    bool checked = ref->by_digest || promised;
    enum digest_alg alg = checked ? (enum digest_alg)want.alg : DIGEST_SHA256;
    digest_of(alg, a.body.data, a.body.len, &have);
    why = checked && !digest_equal(&want, &have) ? refuse_digest(r) : keep(r, &have, &a, ret);
    answer_release(&a);
    return why;
}

enum reason
manifestget_upstream(struct request *r, const struct ref *tag, struct page **ret)
{
    must(!tag->by_digest);
    return fetch_manifest(r, tag, ret);
}

/* The bytes are here; only upstream's word is missing, and with it the type.
 * REASON_manifest_refused: HEAD does not tell. */
static enum reason
confirm(struct request *r, const struct ref *ref, bool has_answer, struct page **ret)
{
    char path[ASK_PATH_MAX];
    ask_path("manifests", ref, path);
    struct answer a = {0};
    enum reason why = ask_upstream(r,
                                   &(struct question){.head = true,
                                                      .path = path,
                                                      .accept = manifest_accept,
                                                      .wait_ms_max = ask_wait_ms(r, has_answer),
                                                      .unknown = REASON_manifest_unknown},
                                   &a);
    if (why)
        return why != REASON_challenge && ask_head_only(&a) ? REASON_manifest_refused : why;
    *ret = manifestget_on_hand(r, &ref->digest, a.content_type);
    answer_release(&a);
    if (!*ret)
        return REASON_manifest_refused;
    manifestget_open_up(r, *ret);
    r->source = "cache";
    return REASON_NONE;
}

/* Upstream decides. */
static enum reason
obtain(struct request *r, const struct digest *d, enum access_verdict verdict,
       const struct link *link, struct page **ret)
{
    struct ref ref = {.by_digest = true, .digest = *d};
    enum reason why = REASON_manifest_refused;
    if (verdict != ACCESS_YES && is_stored(r, d))
        why = confirm(r, &ref, verdict == ACCESS_ASK_ELSE_YES, ret);
    if (why == REASON_manifest_refused)
        why = fetch_manifest(r, &ref, ret);
    if (why == REASON_denied || why == REASON_manifest_unknown)
        manifestget_close(r, d);
    if (why == REASON_upstream && verdict == ACCESS_ASK_ELSE_YES) {
        *ret = manifestget_on_hand(r, d, link->media_type);
        if (*ret) {
            r->source = "cache";
            return REASON_NONE;
        }
    }
    return why;
}

/* What a request finds after another one has asked. */
static enum reason
take_landed(struct request *r, const struct digest *d, struct page **ret)
{
    struct link link;
    if (access_look(r->rooms->access, &r->origin, d, &link) == ACCESS_ASK)
        return REASON_upstream;
    struct page *page = manifestget_on_hand(r, d, link.media_type);
    if (!page)
        return REASON_upstream;
    *ret = page;
    r->source = "joined";
    return REASON_NONE;
}

/* Of a node that has read it through the same repository. */
static bool
take_named(struct request *r, const char *key, const struct digest *d, const struct shared_word *w,
           struct page **ret)
{
    if (!w->fresh || !digest_equal(&w->answer.value.digest, d))
        return false;
    struct page *page = shared_take(r, w);
    if (!page)
        return false;
    shared_tell(r, key, page, w->answer.value.age_ms);
    *ret = page;
    return true;
}

/* Another node, else upstream. */
static enum reason
obtain_through_site(struct request *r, const struct digest *d, enum access_verdict verdict,
                    const struct link *link, struct page **ret)
{
    char key[SHARED_KEY_MAX];
    struct shared_word word;
    shared_manifest_key(r, d, key);
    shared_ask_manifest(r, key, &word);
    if (take_named(r, key, d, &word, ret))
        return REASON_NONE;
    enum reason why = obtain(r, d, verdict, link, ret);
    r->mute_count = 0; /* once more, perhaps only a packet was lost */
    if (why == REASON_upstream && take_named(r, key, d, &word, ret))
        return REASON_NONE;
    if (why)
        shared_failed(r, key, why);
    else
        shared_tell(r, key, *ret, 0);
    return why;
}

enum reason
manifestget_digest(struct request *r, const struct digest *d, struct page **ret)
{
    struct link link;
    enum access_verdict verdict = access_look(r->rooms->access, &r->origin, d, &link);
    struct page *page = verdict == ACCESS_YES ? manifestget_on_hand(r, d, link.media_type) : NULL;
    if (page) {
        r->source = "cache";
        *ret = page;
        return REASON_NONE;
    }
    /* In pass mode upstream's answer is for one client only. */
    if (r->origin.registry->auth == AUTH_PASS)
        return obtain(r, d, verdict, &link, ret);
    char key[SHARED_KEY_MAX];
    shared_manifest_key(r, d, key);
    enum reason why;
    if (flight_start(r->rooms->flight, key, request_deadline_ms(r), &why)) {
        why = obtain_through_site(r, d, verdict, &link, ret);
        flight_land(r->rooms->flight, key, why);
        return why;
    }
    return why ? why : take_landed(r, d, ret);
}

static bool
all_stored(struct request *r, const struct manifest *m)
{
    for (size_t i = 0; i < m->child_count; i++)
        if (!m->children[i].foreign && !is_stored(r, &m->children[i].digest))
            return false;
    return true;
}

/* The client will pick one manifest of an index: the one for this machine if there is one,
 * else any. */
static bool
index_stored(struct request *r, const struct manifest *m)
{
    bool own = false;
    for (size_t i = 0; i < m->child_count; i++)
        own = own || m->children[i].platform;
    for (size_t i = 0; i < m->child_count; i++) {
        const struct manifest_child *c = &m->children[i];
        if (own && !c->platform)
            continue;
        struct page *page = manifestget_on_hand(r, &c->digest, c->media_type);
        bool stored =
            page && page->manifest.kind != MANIFEST_INDEX && all_stored(r, &page->manifest);
        page_release(&page);
        if (!stored)
            return false;
    }
    return true;
}

bool
manifestget_can_deliver(struct request *r, const struct page *p)
{
    if (!fetch_is_down(r->rooms->fetch, r->origin.host) || shared_has_others(r))
        return true;
    return p->manifest.kind == MANIFEST_INDEX ? index_stored(r, &p->manifest)
                                              : all_stored(r, &p->manifest);
}
