/* Copies that leave this node, and those that come. */
#include "proxy/keeping.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "proxy/settings.h"
#include "proxy/upstream/fetch.h"
#include <string.h>

#define TAKEN_MAX 32 /* copies of others that were begun last */
#define TRIES_MAX 3  /* of one of them; then it is refused */
/* A word is used up here before the site counts this copy again. */
#define MARGIN_MS 1000

struct keeping {
    struct cache *cache; /* fixed at new */
    struct fetch *fetch; /* fixed at new */
    struct p2p *p2p;     /* set once, before anybody asks */
    struct lock lock;
    struct settings *settings; /* lock */

    /* p2p thread only */
    size_t taken_next;
    struct taken {
        struct digest digest;
        unsigned tries;
        bool told; /* it is stored, and that was counted */
    } taken[TAKEN_MAX];
};

struct keeping *
keeping_new(struct cache *cache, struct fetch *fetch, struct settings *settings)
{
    struct keeping *k = mem_zalloc(sizeof *k);
    k->cache = cache;
    k->fetch = fetch;
    k->settings = settings_ref(settings);
    lock_init(&k->lock, LOCK_SETTINGS);
    return k;
}

void
keeping_free(struct keeping *k)
{
    if (k == NULL)
        return;
    settings_release(&k->settings);
    lock_release(&k->lock);
    mem_free(k);
}

void
keeping_reload(struct keeping *k, struct settings *settings)
{
    struct settings *fresh = settings_ref(settings);
    lock_take(&k->lock);
    struct settings *old = k->settings;
    k->settings = fresh;
    lock_drop(&k->lock);
    settings_release(&old);
}

/* ---- what leaves ---- */

static void
ask(void *arg, const struct leave_ask *list, size_t count)
{
    struct keeping *k = arg;
    for (size_t i = 0; i < count; i++)
        p2p_part(k->p2p, &list[i].digest, list[i].size);
}

void
keeping_start(struct keeping *k, struct p2p *p2p)
{
    k->p2p = p2p;
    cache_on_leave(k->cache, ask, k);
}

void
keeping_stop(struct keeping *k)
{
    cache_on_leave(k->cache, NULL, NULL);
}

bool
keeping_holds(struct keeping *k, const struct digest *blob)
{
    return cache_holds(k->cache, blob);
}

bool
keeping_offer(struct keeping *k, const struct digest *blob, struct parting_offer *ret)
{
    char place[CACHE_NAME_MAX];
    struct link link;
    struct blob_info info;
    if (!cache_holds(k->cache, blob) || cache_info(k->cache, blob, &info) < 0 ||
        !cache_link_any(k->cache, blob, place) ||
        !cache_link_get(k->cache, place, 0, blob, &link) || strlen(place) >= PARTING_PLACE_MAX)
        return false;
    int64_t now_s = clock_wall_s();
    *ret = (struct parting_offer){.digest = *blob, .size = info.size, .asked_s = UINT32_MAX};
    ret->requests = info.requests < 65535 ? (uint32_t)(info.requests * 65536) : UINT32_MAX;
    if (info.used_wall_s > 0 && info.used_wall_s <= now_s)
        ret->asked_s = (uint32_t)(now_s - info.used_wall_s);
    ret->place_len = (uint16_t)strlen(place);
    memcpy(ret->place, place, ret->place_len);
    return true;
}

static enum cache_leave
leave_of(enum parting_what what)
{
    switch (what) {
    case PARTING_GO:
        return CACHE_LEAVE_MAY;
    case PARTING_MOVES:
        return CACHE_LEAVE_MOVES;
    case PARTING_LAST:
        return CACHE_LEAVE_LAST;
    case PARTING_KEEP:
        return CACHE_LEAVE_KEEP;
    }
    never("a word of the keeper");
}

void
keeping_said(struct keeping *k, const struct parting *said)
{
    struct leave_word word = {.digest = said->digest,
                              .what = leave_of(said->what),
                              .copies = said->copies,
                              .for_ms = said->for_ms};
    char digest[DIGEST_TEXT_MAX];
    bool moves = said->what == PARTING_MOVES;
    _Static_assert(IDENTITY_TEXT_MAX <= CACHE_LEAVE_TO_MAX, "names of nodes fit");
    if (word.what == CACHE_LEAVE_MAY || word.what == CACHE_LEAVE_LAST)
        word.for_ms -= MARGIN_MS;
    if (!node_is_none(&said->to))
        identity_print(&said->to, word.to);
    if (said->what == PARTING_GO && word.to[0] != '\0')
        metric_add(M_last_copy_moved, 1);
    if (word.to[0] != '\0') {
        digest_print(&said->digest, digest);
        LOG(last_copy, LOG_S("digest", digest), LOG_S("node", word.to),
            LOG_S("what", moves ? "moves" : "moved"));
    }
    cache_leave_said(k->cache, &word);
}

/* ---- what comes ---- */

static struct taken *
taken_of(struct keeping *k, const struct digest *blob)
{
    for (size_t i = 0; i < TAKEN_MAX; i++)
        if (digest_equal(&k->taken[i].digest, blob))
            return &k->taken[i];
    struct taken *t = &k->taken[k->taken_next++ % TAKEN_MAX];
    *t = (struct taken){.digest = *blob};
    return t;
}

static bool
find_place(struct keeping *k, const struct parting_offer *offer, struct origin *ret)
{
    char key[PARTING_PLACE_MAX];
    memcpy(key, offer->place, offer->place_len);
    key[offer->place_len] = '\0';
    lock_take(&k->lock);
    struct settings *settings = settings_ref(k->settings);
    lock_drop(&k->lock);
    bool found = strlen(key) == offer->place_len && origin_find(settings, key, ret);
    settings_release(&settings);
    return found;
}

/* There is room for it now. */
static void
begin(struct keeping *k, const struct origin *o, const struct parting_offer *offer)
{
    struct blob *b = cache_lead(k->cache, &offer->digest);
    if (b) {
        taken_of(k, &offer->digest)->tries++;
        fetch_copy(k->fetch, o, b, offer->size);
    }
    blob_release(&b);
}

static void
note_stored(struct keeping *k, const struct digest *blob)
{
    struct taken *t = taken_of(k, blob);
    if (t->tries > 0 && !t->told)
        metric_add(M_last_copy_taken, 1);
    t->told = true;
}

/* Somebody fills it here. */
static bool
is_coming(struct keeping *k, const struct digest *blob)
{
    struct blob_info info;
    return cache_info(k->cache, blob, &info) == 0 && info.readers > 0;
}

enum parting_taken
keeping_take(struct keeping *k, const struct parting_offer *offer)
{
    struct origin o = {0};
    bool stored = cache_stored(k->cache, &offer->digest) > 0;
    if (cache_holds(k->cache, &offer->digest)) {
        note_stored(k, &offer->digest);
        return PARTING_STORED;
    }
    if (stored) /* in containerd's store: containerd may delete it at any time */
        return PARTING_REFUSED;
    if (is_coming(k, &offer->digest))
        return PARTING_COMING;
    if (taken_of(k, &offer->digest)->tries >= TRIES_MAX || !find_place(k, offer, &o))
        return PARTING_REFUSED;
    int64_t asked_s = offer->asked_s == UINT32_MAX ? 0 : clock_wall_s() - offer->asked_s;
    int rc =
        cache_invite(k->cache, &offer->digest, offer->size, offer->requests / 65536.0, asked_s);
    if (rc == 0)
        begin(k, &o, offer);
    origin_release(&o);
    return rc == ERR_FULL ? PARTING_REFUSED : PARTING_COMING;
}
