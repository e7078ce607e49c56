/* Names through p2p/p2p.h, manifests from their holders. */
#include "proxy/api/shared.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/api/manifestget.h"
#include "proxy/api/shelf.h"
#include "proxy/upstream/peerfile.h"
#include <string.h>

#define WAIT_MS       (NAMES_RESOLVE_MS + 300) /* for another node that resolves it */
#define KEEP_MS       2000 /* of the request's time, for asking upstream after that */
#define SHOUT_MS      20   /* what the site has in its caches, before upstream is asked */
#define SHOUT_DOWN_MS 100  /* when nobody else is left to ask */
#define HOLDER_MS     1000 /* for one holder */
#define SEND_MS       100  /* of the request's time, for our own answer */
/* More than have a place: most links are of manifests that nobody asked for. */
#define REMEMBERED_MAX 65536

static bool
shares(const struct request *r)
{
    return r->rooms->p2p != NULL && r->origin.registry->auth == AUTH_PUBLIC;
}

bool
shared_has_others(const struct request *r)
{
    return r->rooms->p2p != NULL && p2p_others(r->rooms->p2p) > 0;
}

void
shared_manifest_key(const struct request *r, const struct digest *d, char ret_key[SHARED_KEY_MAX])
{
    char digest[DIGEST_TEXT_MAX];
    digest_print(d, digest);
    must(text_printf(ret_key, SHARED_KEY_MAX, "%s@%s", r->repository_key, digest) == 0);
}

/* ---- asking ---- */

static int64_t
deadline_ms(const struct request *r, int64_t wait_ms, int64_t keep_ms)
{
    int64_t until_ms = clock_ms() + wait_ms;
    int64_t last_ms = request_deadline_ms(r) - keep_ms;
    return until_ms < last_ms ? until_ms : last_ms;
}

static void
ask(const struct request *r, const char *key, const struct p2p_name_want *want,
    struct shared_word *ret)
{
    *ret = (struct shared_word){.fresh = false};
    if (!shares(r))
        return;
    p2p_name_ask(r->rooms->p2p, key, want, &ret->answer);
    const struct names_answer *a = &ret->answer;
    ret->fresh = a->state == NAMES_KNOWN;
    ret->stale = a->known && a->value.age_ms <= (uint64_t)r->settings->tags_stale_if_error_ms;
}

void
shared_ask_tag(struct request *r, const char *key, struct shared_word *ret)
{
    bool down = fetch_is_down(r->rooms->fetch, r->origin.host);
    uint64_t young_ms = (uint64_t)r->settings->tags_revalidate_ms;
    ask(r, key,
        &(struct p2p_name_want){.max_age_ms = young_ms,
                                .deadline_ms = deadline_ms(r, WAIT_MS, KEEP_MS),
                                .shout_ms = down ? SHOUT_DOWN_MS : 0,
                                .may_resolve = !down},
        ret);
    /* A shout brings what is old, too. */
    if (down && ret->answer.value.age_ms >= young_ms)
        ret->fresh = false;
}

void
shared_ask_manifest(struct request *r, const char *key, struct shared_word *ret)
{
    bool down = fetch_is_down(r->rooms->fetch, r->origin.host);
    ask(r, key,
        &(struct p2p_name_want){.max_age_ms = UINT64_MAX,
                                .deadline_ms = deadline_ms(r, WAIT_MS, KEEP_MS),
                                .shout_ms = down ? SHOUT_DOWN_MS : SHOUT_MS,
                                .may_resolve = !down,
                                .any_will_do = true},
        ret);
}

void
shared_ask_anybody(struct request *r, const char *key, struct shared_word *ret)
{
    ask(r, key,
        &(struct p2p_name_want){.max_age_ms = UINT64_MAX,
                                .deadline_ms = deadline_ms(r, WAIT_MS, SEND_MS),
                                .shout_ms = SHOUT_DOWN_MS},
        ret);
    ret->fresh = false;
}

static bool
is_mute(const struct request *r, const struct node_id *node)
{
    for (size_t i = 0; i < r->mute_count; i++)
        if (node_equal(&r->mute[i], node))
            return true;
    return false;
}

/* Who does not answer is asked once, whatever the request looks for. */
static int
ask_holder(struct request *r, const struct names_holder *h, const struct digest *d, struct buf *ret)
{
    enum peerfile_met met;
    if (is_mute(r, &h->node))
        return ERR_TIMEOUT;
    int rc =
        peerfile_get(r->rooms->p2p, &h->addr, d, deadline_ms(r, HOLDER_MS, SEND_MS), ret, &met);
    if (met != PEERFILE_MET && r->mute_count < REQUEST_MUTE_MAX)
        r->mute[r->mute_count++] = h->node;
    if (met == PEERFILE_ABSENT)
        p2p_unmet(r->rooms->p2p, &h->node);
    return rc;
}

struct page *
shared_take(struct request *r, const struct shared_word *w)
{
    const struct names_value *v = &w->answer.value;
    const char *type = manifest_type_of(v->type);
    if (!shares(r) || !w->answer.known || !type[0])
        return NULL;
    struct page *page = manifestget_on_hand(r, &v->digest, type);
    for (size_t i = 0; page == NULL && i < w->answer.holders_count; i++) {
        AUTO(buf_release) struct buf body;
        buf_init(&body, MANIFEST_BYTES_MAX);
        int rc = ask_holder(r, &w->answer.holders[i], &v->digest, &body);
        if (rc == 0 && manifestget_keep(r, &v->digest, type, &body, BLOB_FROM_PEER, &page))
            page = NULL; /* another holder may know its type */
    }
    if (page == NULL)
        return NULL;
    manifestget_open_up(r, page);
    r->source = "peer";
    return page;
}

/* ---- telling ---- */

void
shared_tell(struct request *r, const char *key, const struct page *p, uint64_t age_ms)
{
    char own[SHARED_KEY_MAX];
    struct names_value v = {p->digest, p->len, manifest_type_number(p->type), age_ms};
    if (!shares(r))
        return;
    shared_manifest_key(r, &p->digest, own);
    p2p_name_tell(r->rooms->p2p, own, NAMES_KNOWN, &v);
    if (strcmp(own, key) != 0)
        p2p_name_tell(r->rooms->p2p, key, NAMES_KNOWN, &v);
}

void
shared_failed(struct request *r, const char *key, enum reason why)
{
    if (shares(r))
        p2p_name_tell(r->rooms->p2p, key,
                      why == REASON_manifest_unknown ? NAMES_GONE : NAMES_FAILED, NULL);
}

/* ---- what is there at start ---- */

struct memory {
    const struct settings *settings;
    int64_t now_wall_s;
    size_t count, at; /* of a ring: those put last are kept */
    struct names_own list[REMEMBERED_MAX];
};

static void
remember(void *arg, const char *name, const struct tag *tag)
{
    struct memory *m = arg;
    char host[CACHE_NAME_MAX];
    size_t len = strcspn(name, "/");
    uint8_t type = manifest_type_number(tag->media_type);
    if (type == 0 || len >= sizeof host)
        return;
    memcpy(host, name, len);
    host[len] = 0;
    const struct registry *registry = settings_registry(m->settings, host);
    if (registry == NULL || registry->auth != AUTH_PUBLIC)
        return;
    int64_t age_s = m->now_wall_s - tag->checked_wall_s;
    struct names_own *own = &m->list[m->at];
    own->value =
        (struct names_value){tag->digest, tag->size, type, age_s > 0 ? (uint64_t)age_s * 1000 : 0};
    p2p_name_key(name, &own->key);
    m->at = (m->at + 1) % REMEMBERED_MAX;
    m->count += m->count < REMEMBERED_MAX;
}

/* An index links manifests that were never asked for, and some have been evicted. */
static bool
is_stored(struct cache *c, const struct digest *d)
{
    struct blob_info info;
    return cache_info(c, d, &info) == 0 && info.phase == BLOB_WHOLE;
}

void
shared_remember(struct p2p *p, struct cache *c, const struct settings *s)
{
    if (p == NULL)
        return;
    struct memory *m = mem_zalloc(sizeof *m);
    m->settings = s;
    m->now_wall_s = clock_wall_s();
    cache_each_name(c, remember, m);
    size_t kept = 0;
    for (size_t i = 0; i < m->count; i++)
        if (is_stored(c, &m->list[i].value.digest))
            m->list[kept++] = m->list[i];
    p2p_name_hold(p, m->list, kept);
    mem_free(m);
}
