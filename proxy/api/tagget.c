/*
 * What a tag names: revalidated upstream by HEAD, and for a while stale when upstream fails.
 *
 *   known, younger than tags.revalidate      serve
 *   another node of the site knows it so     its manifest, from that node
 *   HEAD: the digest that we know            serve, and it is young again
 *   HEAD: another digest                     its manifest, by digest
 *   HEAD without a digest, or of one that    GET by tag
 *     upstream does not have
 *   HEAD refused                             GET by tag: the registry may know no HEAD
 *   404                                      forget the tag
 *   no answer                                stale, up to tags.stale_if_error: what this node knows
 *                                            or what another one does, whichever is younger
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
#include "proxy/api/shared.h"
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

/* Of a request's time, so that the site can still be asked when the registry says nothing. */
#define SITE_MS 1250

struct lookup {
    char key[CACHE_TAG_KEY_MAX];
    bool known;
    struct tag tag; /* known */
    int64_t age_ms; /* known; since upstream confirmed it, negative after a clock jump */
    enum tag_plan plan;
    struct shared_word site; /* what other nodes said, all zero before they were asked */
};

static void
look(struct request *r, struct lookup *ret)
{
    must(text_printf(ret->key, sizeof ret->key, "%s:%s", r->repository_key, r->route.ref.tag) == 0);
    ret->known = cache_tag_get(r->rooms->cache, ret->key, &ret->tag);
    ret->age_ms = ret->known ? (clock_wall_s() - ret->tag.checked_wall_s) * 1000 : 0;
    ret->plan = tagget_judge(ret->known, ret->age_ms, r->settings->tags_revalidate_ms,
                             r->settings->tags_stale_if_error_ms);
}

static enum reason
head_tag(struct request *r, const struct lookup *l, struct answer *ret)
{
    char path[ASK_PATH_MAX];
    ask_path("manifests", &r->route.ref, path);
    bool has_answer = l->plan == TAG_ASK_ELSE_STALE || l->site.stale;
    int64_t wait_ms_max = ask_wait_ms(r, has_answer);
    int64_t left_ms = request_deadline_ms(r) - clock_ms() - SITE_MS;
    if (shared_has_others(r) && (wait_ms_max == 0 || left_ms < wait_ms_max))
        wait_ms_max = left_ms > 1 ? left_ms : 1;
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

static void
put(struct request *r, const struct lookup *l, const struct page *page, int64_t checked_wall_s)
{
    struct tag tag = {.digest = page->digest, .checked_wall_s = checked_wall_s, .size = page->len};
    must(text_copy(tag.media_type, sizeof tag.media_type, page->type) == 0);
    cache_tag_put(r->rooms->cache, l->key, &tag);
}

static enum reason
ask(struct request *r, const struct lookup *l, struct page **ret)
{
    struct answer a = {0};
    enum reason why = head_tag(r, l, &a);
    if (why == REASON_NONE) {
        why = follow_head(r, &a, ret);
        answer_release(&a);
    } else if (why != REASON_challenge && ask_head_only(&a)) {
        why = manifestget_upstream(r, &r->route.ref, ret);
    }
    if (why == REASON_manifest_unknown)
        cache_tag_drop(r->rooms->cache, l->key);
    if (why == REASON_denied && l->known)
        manifestget_close(r, &l->tag.digest);
    if (why)
        return why;
    manifestget_renew(r, *ret);
    put(r, l, *ret, clock_wall_s());
    return REASON_NONE;
}

/* What another node says that the tag names. */
static bool
take_from_site(struct request *r, const struct lookup *l, struct page **ret)
{
    struct page *page = shared_take(r, &l->site);
    if (!page)
        return false;
    uint64_t age_ms = l->site.answer.value.age_ms;
    put(r, l, page, clock_wall_s() - (int64_t)((age_ms + 999) / 1000));
    shared_tell(r, l->key, page, age_ms);
    *ret = page;
    return true;
}

static enum reason
ask_through_site(struct request *r, struct lookup *l, struct page **ret)
{
    shared_ask_tag(r, l->key, &l->site);
    if (l->site.fresh && take_from_site(r, l, ret))
        return REASON_NONE;
    enum reason why = ask(r, l, ret);
    if (why)
        shared_failed(r, l->key, why);
    else
        shared_tell(r, l->key, *ret, 0);
    return why;
}

static void
tell_stale(struct request *r, const struct lookup *l, uint64_t age_ms)
{
    metric_add(M_manifest_stale, 1);
    LOG(tag_stale, LOG_U("request", r->id), LOG_S("tag", l->key), LOG_U("age_s", age_ms / 1000));
    r->source = "stale";
}

static bool
serve_stale_of_site(struct request *r, struct lookup *l, struct page **ret)
{
    if (!l->site.answer.known)
        shared_ask_anybody(r, l->key, &l->site);
    r->mute_count = 0; /* nobody else is left: once more, perhaps only a packet was lost */
    uint64_t age_ms = l->site.answer.value.age_ms;
    bool younger = l->plan != TAG_ASK_ELSE_STALE || l->age_ms < 0 || age_ms < (uint64_t)l->age_ms;
    if (!l->site.stale || !younger || !take_from_site(r, l, ret))
        return false;
    tell_stale(r, l, age_ms);
    return true;
}

static enum reason
serve_stale(struct request *r, const struct lookup *l, struct page **ret)
{
    enum reason why = manifestget_digest(r, &l->tag.digest, ret);
    if (why)
        return why;
    tell_stale(r, l, l->age_ms > 0 ? (uint64_t)l->age_ms : 0);
    return REASON_NONE;
}

static enum reason
renew(struct request *r, struct lookup *l, struct page **ret)
{
    if (r->origin.registry->auth == AUTH_PASS)
        return ask(r, l, ret);
    enum reason why;
    if (flight_start(r->rooms->flight, l->key, request_deadline_ms(r), &why)) {
        why = ask_through_site(r, l, ret);
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
    struct lookup l = {.known = false};
    look(r, &l);
    if (l.plan == TAG_SERVE && manifestget_digest(r, &l.tag.digest, ret) == REASON_NONE)
        return REASON_NONE;
    enum reason why = renew(r, &l, ret);
    bool failed = why == REASON_upstream || why == REASON_manifest_refused;
    if (failed && serve_stale_of_site(r, &l, ret))
        return REASON_NONE;
    if (failed && l.plan == TAG_ASK_ELSE_STALE)
        return serve_stale(r, &l, ret);
    return why;
}
