/*
 * What a tag names: revalidated upstream by HEAD, and for a while stale when upstream fails.
 *
 *   known, younger than tags.revalidate      serve
 *   HEAD: the digest that we know            serve, and it is young again
 *   HEAD: another digest                     its manifest, by digest
 *   HEAD without a digest, or of one that    GET by tag
 *     upstream does not have
 *   404                                      forget the tag
 *   no answer                                stale, up to tags.stale_if_error
 */
#include "proxy/api/tagget.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/text.h"
#include "proxy/api/access.h"
#include "proxy/api/ask.h"
#include "proxy/api/flight.h"
#include "proxy/api/manifestget.h"
#include "proxy/api/shelf.h"
#include <string.h>

enum tag_plan
tagget_judge(bool known, int64_t age_ms, int64_t revalidate_ms, int64_t stale_ms)
{
    if (!known)
        return TAG_ASK;
    if (age_ms >= 0 && age_ms < revalidate_ms)
        return TAG_SERVE;
    return age_ms <= stale_ms ? TAG_ASK_ELSE_STALE : TAG_ASK;
}

struct lookup {
    char key[CACHE_TAG_KEY_MAX];
    bool known;
    struct tag tag; /* known */
    enum tag_plan plan;
};

static void
look(struct request *r, struct lookup *ret)
{
    must(text_printf(ret->key, sizeof ret->key, "%s:%s", r->repository_key, r->route.ref.tag) == 0);
    ret->known = cache_tag_get(r->rooms->cache, ret->key, &ret->tag);
    int64_t age_s = ret->known ? clock_wall_s() - ret->tag.checked_wall_s : 0;
    ret->plan = tagget_judge(ret->known, age_s * 1000, r->settings->tags_revalidate_ms,
                             r->settings->tags_stale_if_error_ms);
}

static enum reason
head_tag(struct request *r, const struct lookup *l, struct answer *ret)
{
    char path[ASK_PATH_MAX];
    ask_path("manifests", &r->route.ref, path);
    int64_t wait_ms_max = ask_wait_ms(r, l->plan == TAG_ASK_ELSE_STALE);
    return ask_upstream(r,
                        &(struct question){.head = true,
                                           .path = path,
                                           .accept = manifest_accept,
                                           .wait_ms_max = wait_ms_max,
                                           .unknown = REASON_manifest_unknown},
                        ret);
}

/* What HEAD says, as a manifest; the digest may be missing or unknown upstream. */
static enum reason
follow_head(struct request *r, const struct answer *a, struct page **ret)
{
    struct digest d;
    if (digest_parse(a->docker_digest, strlen(a->docker_digest), &d) == 0) {
        const char *type = manifest_type(a->content_type);
        if (type[0])
            access_grant(r->rooms->access, &r->origin, &d, a->content_length, type);
        enum reason why = manifestget_digest(r, &d, ret);
        if (why != REASON_manifest_unknown)
            return why;
    }
    return manifestget_upstream(r, &r->route.ref, ret);
}

static enum reason
ask(struct request *r, const struct lookup *l, struct page **ret)
{
    struct answer a;
    enum reason why = head_tag(r, l, &a);
    if (why == REASON_NONE) {
        why = follow_head(r, &a, ret);
        answer_release(&a);
    }
    if (why == REASON_manifest_unknown)
        cache_tag_drop(r->rooms->cache, l->key);
    if (why == REASON_denied && l->known)
        manifestget_close(r, &l->tag.digest);
    if (why)
        return why;
    manifestget_renew(r, *ret);
    struct tag tag = {
        .digest = (*ret)->digest, .checked_wall_s = clock_wall_s(), .size = (*ret)->len};
    must(text_copy(tag.media_type, sizeof tag.media_type, (*ret)->type) == 0);
    cache_tag_put(r->rooms->cache, l->key, &tag);
    return REASON_NONE;
}

static enum reason
serve_stale(struct request *r, const struct lookup *l, struct page **ret)
{
    enum reason why = manifestget_digest(r, &l->tag.digest, ret);
    if (why)
        return why;
    metric_add(M_manifest_stale, 1);
    LOG(tag_stale, LOG_U("request", r->id), LOG_S("tag", l->key),
        LOG_U("age_s", clock_wall_s() - l->tag.checked_wall_s));
    r->source = "stale";
    return REASON_NONE;
}

static enum reason
renew(struct request *r, struct lookup *l, struct page **ret)
{
    if (r->origin.registry->auth == AUTH_PASS)
        return ask(r, l, ret);
    enum reason why;
    if (flight_start(r->rooms->flight, l->key, request_deadline_ms(r), &why)) {
        why = ask(r, l, ret);
        flight_land(r->rooms->flight, l->key, why);
        return why;
    }
    if (why)
        return why;
    look(r, l);
    return l->known ? manifestget_digest(r, &l->tag.digest, ret) : REASON_upstream;
}

enum reason
tagget_find(struct request *r, struct page **ret)
{
    struct lookup l;
    look(r, &l);
    if (l.plan == TAG_SERVE && manifestget_digest(r, &l.tag.digest, ret) == REASON_NONE)
        return REASON_NONE;
    enum reason why = renew(r, &l, ret);
    bool failed = why == REASON_upstream || why == REASON_manifest_refused;
    if (failed && l.plan == TAG_ASK_ELSE_STALE)
        return serve_stale(r, &l, ret);
    return why;
}
