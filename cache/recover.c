/* The start of the cache: names and lengths are read, nothing is hashed, so that 2,000 blobs
 * are ready in far less than the two seconds that they may take.
 *
 *   1. read and remove DIR/clean   a crash from here on is an unclean stop
 *   2. walk blobs/                 STORED; of a blob that is there packed and as it came the former
 *   3. walk partial/               PARTIAL when map and data fit; everything else is removed
 *   4. replay the journal          ages, sources, tags, links; what has no file is ignored;
 *                                  after a clean stop a blob of the noted length is sure
 *   5. sort by age
 *
 * DIR/clean lists the blobs that were still unsure, one digest a line, and ends with "end". */
#include "cache/recover.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "cache/blob.h"
#include "cache/content.h"
#include "cache/entry.h"
#include "cache/format.h"
#include "cache/room.h"
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define CLEAN_NAME      "clean"
#define CLEAN_END       "end\n"
#define CLEAN_MAX_BYTES (16u * 1024 * 1024)
#define MAP_MAX_BYTES   (64u * 1024 * 1024)

struct recovery {
    struct cache *cache;
    bool clean;
    size_t partial_bad;
    size_t packed; /* blobs */
    size_t twice;  /* of them with their source beside them */
};

/* ---- the marker ---- */

/* Reads the marker and makes sure that it is gone: at once, or before anything is published. */
static bool
take_marker(struct cache *c, struct buf *ret_text)
{
    size_t end_len = strlen(CLEAN_END);
    bool clean = store_read_file(&c->store, CLEAN_NAME, ret_text) == 0 &&
                 ret_text->len >= end_len &&
                 memcmp(ret_text->data + ret_text->len - end_len, CLEAN_END, end_len) == 0;
    c->marked = true;
    int rc = recover_drop_marker(c);
    if (rc < 0) {
        (void)cache_disk_failed(c, "remove marker", rc);
    }
    return clean;
}

int
recover_drop_marker(struct cache *c)
{
    int rc = c->marked ? store_remove_file(&c->store, CLEAN_NAME) : 0;
    c->marked = rc < 0;
    return rc;
}

/* The marker's lines name blobs that were unsure when the daemon stopped. */
static void apply_marker(struct cache *c, const struct buf *text) NEEDS(c->lock);
static void
apply_marker(struct cache *c, const struct buf *text)
{
    const char *at = buf_text(text);
    const char *line_end;
    for (; (line_end = strchr(at, '\n')) != NULL; at = line_end + 1) {
        struct digest d;
        if (digest_parse(at, (size_t)(line_end - at), &d) == 0) {
            struct entry *e = entry_find(c, &d);
            if (e != NULL) {
                e->unsure = true;
            }
        }
    }
}

void
recover_mark_clean(struct cache *c)
{
    AUTO(buf_release) struct buf text;
    buf_init(&text, CLEAN_MAX_BYTES);
    int rc = 0;
    if (c->leftovers) { /* the map has forgotten them, so no marker could name them */
        (void)!recover_drop_marker(c);
        return;
    }
    lock_take(&c->lock);
    for (const struct entry *e = c->oldest; e != NULL && rc == 0; e = e->next) {
        if (e->unsure) {
            char digest[DIGEST_TEXT_MAX];
            struct digest d = entry_digest(e);
            digest_print(&d, digest);
            rc = buf_printf(&text, "%s\n", digest);
        }
    }
    lock_drop(&c->lock);
    if (rc == 0) {
        rc = buf_add_text(&text, CLEAN_END);
    }
    if (rc == 0) {
        rc = store_write_file(&c->store, CLEAN_NAME, &text);
    }
    if (rc < 0) {
        (void)cache_disk_failed(c, "mark clean stop", rc);
    }
}

/* ---- files ---- */

static void
add_stored(void *arg, const struct digest *d, uint64_t size, bool packed)
{
    struct recovery *r = arg;
    struct cache *c = r->cache;
    lock_take(&c->lock);
    struct entry *e = entry_take(c, d);
    bool twice = e->state == ENTRY_STORED; /* a crash between the two steps of a swap */
    if (!twice || packed) {
        entry_set(c, e, ENTRY_STORED, size);
        e->gen = c->next_gen++;
        e->unsure = true; /* until the journal tells the same length */
    }
    if (packed) {
        entry_set_packed(c, e, size, 0); /* the journal tells, or the file itself */
        r->packed++;
    }
    lock_drop(&c->lock);
    if (twice && store_remove_copy(&c->store, d, false) == 0) {
        r->twice++;
    }
}

static bool
next_unmeasured(struct cache *c, uint64_t *at, struct digest *ret)
{
    const struct entry *e;
    lock_take(&c->lock);
    do {
        e = index_next(&c->map, at);
    } while (e != NULL && (!e->packed || e->plain_bytes != 0));
    if (e != NULL) {
        *ret = entry_digest(e);
    }
    lock_drop(&c->lock);
    return e != NULL;
}

/* The length of packed blobs that the journal did not tell. What cannot be read leaves. */
static void
measure_packed(struct cache *c)
{
    struct digest d;
    for (uint64_t at = 0; next_unmeasured(c, &at, &d);) {
        AUTO(stored_close) struct stored file = {.fd = -1};
        int rc = store_open_blob(&c->store, &d, true, &file);
        lock_take(&c->lock);
        struct entry *e = entry_find(c, &d);
        if (rc < 0) {
            entry_doom(c, e, DOOM_QUARANTINE, M_evict_corrupt);
        } else {
            entry_set_packed(c, e, e->worth.size, file.size);
        }
        lock_drop(&c->lock);
    }
}

/* The map of a partial file when it is good and the data is as long as it says. */
static struct pieces *
load_partial(struct cache *c, const struct digest *d, uint64_t gen)
{
    AUTO(buf_release) struct buf map;
    AUTO(fd_close) int fd = -1;
    struct pieces *p = NULL;
    uint64_t size;
    buf_init(&map, MAP_MAX_BYTES);
    if (store_load_map(&c->store, d, gen, &map) < 0 ||
        record_map_decode(map.data, map.len, d, &p) < 0) {
        return NULL;
    }
    if (store_open_partial(&c->store, d, gen, &fd, &size) < 0 || size != p->size) {
        pieces_free(p);
        return NULL;
    }
    return p;
}

static void
add_partial(void *arg, const struct digest *d, uint64_t gen)
{
    struct recovery *r = arg;
    struct cache *c = r->cache;
    struct pieces *p = load_partial(c, d, gen);
    lock_take(&c->lock);
    if (gen >= c->next_gen && gen < UINT64_MAX) {
        c->next_gen = gen + 1;
    }
    struct entry *e = entry_find(c, d);
    if (p == NULL || e != NULL) {
        /* Bad, or there is a complete file or another attempt already. */
        entry_doom_partial(c, d, gen, 0);
        pieces_free(p);
        r->partial_bad++;
    } else {
        e = entry_take(c, d);
        e->gen = gen;
        e->parked = p;
        entry_set(c, e, ENTRY_PARTIAL, entry_parked_bytes(c, p));
    }
    lock_drop(&c->lock);
}

/* ---- journal ---- */

static void
replay_worth(struct cache *c, const struct record *rec)
{
    const struct worth *w = &rec->worth;
    lock_take(&c->lock);
    struct entry *e = entry_find(c, &rec->digest);
    if (e != NULL && e->state == ENTRY_STORED) {
        room_not_before(c, w->at_wall_s);
        entry_pin(c, e, w->pinned);
        evict_restore(&c->evict, &e->worth, w->requests / 65536.0, w->asked_wall_s, w->at_wall_s);
        room_hold(c, e);
    }
    lock_drop(&c->lock);
}

static void
replay(void *arg, const struct record *rec)
{
    struct recovery *r = arg;
    struct cache *c = r->cache;
    lock_take(&c->facts_lock);
    tags_replay(c->tags, rec);
    lock_drop(&c->facts_lock);
    if (rec->kind == RECORD_CHECKED) {
        content_remember(c->content, &rec->digest, &rec->checked);
    }
    if (rec->kind == RECORD_WORTH) {
        replay_worth(c, rec);
    }
    if (rec->kind != RECORD_FACT) {
        return;
    }
    lock_take(&c->lock);
    struct entry *e = entry_find(c, &rec->digest);
    if (e != NULL && e->packed && e->plain_bytes == 0) {
        entry_set_packed(c, e, e->worth.size, rec->fact.size);
    }
    if (e != NULL && e->state == ENTRY_STORED && entry_size(e) == rec->fact.size) {
        e->unsure = !r->clean;
        e->stored_wall_s = (uint32_t)rec->fact.stored_wall_s;
        uint32_t used_s = (uint32_t)rec->fact.used_wall_s;
        room_not_before(c, used_s);
        evict_restore(&c->evict, &e->worth, 1, used_s, used_s);
        for (int i = 0; i < BLOB_SOURCES; i++) {
            e->from_bytes[i] = rec->fact.from_bytes[i];
        }
    }
    lock_drop(&c->lock);
}

static int
older(const void *a, const void *b)
{
    const struct entry *const *x = a;
    const struct entry *const *y = b;
    return ((*x)->worth.asked_s > (*y)->worth.asked_s) -
           ((*x)->worth.asked_s < (*y)->worth.asked_s);
}

/* Puts the age list in order of the last use. Returns how many blobs are unsure. */
static size_t sort_by_age(struct cache *c) NEEDS(c->lock);
static size_t
sort_by_age(struct cache *c)
{
    lock_must_hold(&c->lock);
    size_t count = 0, unsure = 0;
    struct entry **list = mem_alloc((c->map.count + 1) * sizeof(struct entry *));
    while (c->oldest != NULL) {
        struct entry *e = c->oldest;
        DL_DELETE(c->oldest, e);
        list[count++] = e;
        unsure += e->unsure;
    }
    qsort(list, count, sizeof(struct entry *), older);
    for (size_t i = 0; i < count; i++) {
        DL_APPEND(c->oldest, list[i]);
    }
    mem_free(list);
    return unsure;
}

static void
tell(struct cache *c, const struct recovery *r, size_t unsure, size_t removed, uint64_t cut_bytes,
     int64_t started_ms)
{
    struct cache_stats s;
    cache_get_stats(c, &s);
    bool unclean = !r->clean && s.blobs + s.partial_blobs > 0; /* nothing: a new folder */
    if (unclean || removed > 0 || cut_bytes > 0 || r->partial_bad > 0) {
        LOG(cache_repaired, LOG_S("clean_stop", r->clean ? "yes" : "no"), LOG_U("orphans", removed),
            LOG_U("bad_partial_blobs", r->partial_bad), LOG_U("journal_cut_bytes", cut_bytes),
            LOG_U("to_rehash", unsure));
    }
    LOG(cache_opened, LOG_S("dir", c->store.dir), LOG_U("blobs", s.blobs),
        LOG_U("partial_blobs", s.partial_blobs), LOG_U("used_bytes", s.used_bytes),
        LOG_U("limit_bytes", s.limit_bytes), LOG_U("took_ms", clock_ms() - started_ms));
}

int
recover_start(struct cache *c, struct err *e)
{
    int64_t started_ms = clock_ms();
    struct recovery r = {.cache = c};
    if (journal_check(&c->store) < 0) {
        return err_set(
            e, ERR_VERSION,
            "%s: a later version of peersync wrote its journal; install that one again or "
            "give another cache.dir. Nothing was changed",
            c->store.dir);
    }
    AUTO(buf_release) struct buf marker;
    buf_init(&marker, CLEAN_MAX_BYTES);
    r.clean = take_marker(c, &marker);

    size_t removed = 0;
    uint64_t cut_bytes = 0;
    int rc = store_each_blob(&c->store, add_stored, &r);
    if (rc < 0) {
        (void)cache_disk_failed(c, "list blobs", rc);
    } else if (r.packed == 0) {
        (void)!format_set(&c->store,
                          FORMAT_PLAIN); /* best effort: an older program may come back */
    }
    rc = store_each_partial(&c->store, add_partial, &r, &removed);
    if (rc < 0) {
        (void)cache_disk_failed(c, "list partial blobs", rc);
    }
    journal_open(&c->journal, &c->store, replay, &r, &cut_bytes);
    measure_packed(c);
    lock_take(&c->lock);
    apply_marker(c, &marker);
    size_t unsure = sort_by_age(c);
    lock_drop(&c->lock);
    (void)malloc_trim(0); /* the start took memory that nothing takes again */
    tell(c, &r, unsure, removed, cut_bytes, started_ms);
    return 0;
}
