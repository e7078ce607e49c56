/* What leaves for whom. */
#include "cache/room.h"
#include "base/clock.h"
#include "cache/entry.h"
#include "cache/leaving.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

#define SPACE_MS 5000 /* between two looks at what others write to the file system */
/* min_free is restored with this part of it to spare. */
#define SPARE_PART 4

static uint64_t
minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* ---- what evict.h has to know ---- */

void
room_start(struct cache *c)
{
    lock_take(&c->lock);
    c->base_ms = clock_ms();
    c->base_s = (uint32_t)clock_wall_s();
    evict_init(&c->evict, c->base_s);
    lock_drop(&c->lock);
}

uint32_t
room_now_s(const struct cache *c)
{
    return c->base_s + (uint32_t)((clock_ms() - c->base_ms) / 1000);
}

void
room_not_before(struct cache *c, uint32_t wall_s)
{
    if (wall_s > room_now_s(c)) {
        c->base_s = wall_s;
        c->base_ms = clock_ms();
    }
}

uint64_t
room_name(const struct digest *d)
{
    uint64_t name;
    memcpy(&name, d->bytes, sizeof name);
    return name;
}

static struct entry *
entry_of(struct evict_blob *b)
{
    return (struct entry *)(void *)((char *)b - offsetof(struct entry, worth));
}

void
room_hold(struct cache *c, struct entry *e)
{
    if (e->state != ENTRY_ABSENT) {
        evict_hold(&c->evict, &e->worth, e->blob != NULL || e->pinned || leaving_stays(c, e),
                   room_now_s(c));
    }
}

void
room_record(const struct cache *c, const struct entry *e, struct record *ret)
{
    double requests = evict_c(&c->evict, &e->worth, room_now_s(c)) * 65536;
    *ret = (struct record){.kind = RECORD_WORTH, .digest = entry_digest(e)};
    ret->worth.requests = requests < UINT32_MAX ? (uint32_t)requests : UINT32_MAX;
    ret->worth.at_wall_s = room_now_s(c);
    ret->worth.asked_wall_s = e->worth.asked_s;
    ret->worth.pinned = e->pinned;
}

/* ---- leaving ---- */

/* What the site loses, or may lose, is counted. */
static void let_go(struct cache *c, struct entry *e, enum metric reason) NEEDS(c->lock);
static void
let_go(struct cache *c, struct entry *e, enum metric reason)
{
    if (leaving_is_last(c, e)) {
        metric_add(M_last_copy_dropped, 1);
    } else if (!leaving_may(c, e)) {
        metric_add(M_last_copy_unasked, 1);
    }
    entry_evict(c, e, reason);
}

enum evict_how {
    EVICT_ASKED,   /* those that the site was not asked about stay, and it is asked */
    EVICT_GENTLY,  /* the same, and small ones do not leave in vain: the marks are no limit */
    EVICT_UNASKED, /* whatever the site says */
};

/* Evicts idle entries, worth least first, until need_bytes are free or none is left; returns bytes
 * freed, which may be less. */
static uint64_t evict(struct cache *c, uint64_t need_bytes, enum metric reason, enum evict_how how)
    NEEDS(c->lock);
static uint64_t
evict(struct cache *c, uint64_t need_bytes, enum metric reason, enum evict_how how)
{
    struct evict_blob *chosen[EVICT_CHOOSE_MAX];
    uint64_t freed = 0, comes = 0, bytes = 1;
    evict_settle(&c->evict, room_now_s(c));
    while (freed + comes < need_bytes && bytes > 0) {
        size_t count =
            evict_choose(&c->evict, need_bytes - freed - comes, (double)INFINITY, chosen, &bytes);
        bool vain =
            how == EVICT_GENTLY && count < EVICT_CHOOSE_MAX && freed + comes + bytes < need_bytes;
        for (size_t i = 0; i < count; i++) {
            struct entry *e = entry_of(chosen[i]);
            uint64_t size = e->worth.size;
            if (vain && size < EVICT_SMALL) {
                bytes = 0; /* the large ones are in use or pinned: later */
            } else if (how == EVICT_UNASKED || leaving_may(c, e)) {
                let_go(c, e, reason);
                freed += size;
            } else if (leaving_ask(c, e)) {
                comes += size;
            } else {
                return freed;
            }
        }
    }
    return freed;
}

uint64_t
room_gc(struct cache *c, uint64_t need_bytes, bool dry_run,
        void (*each)(void *arg, const struct entry *e), void *arg)
{
    evict_settle(&c->evict, room_now_s(c));
    struct evict_blob **order;
    size_t count = evict_list(&c->evict, need_bytes, &order);
    uint64_t freed = 0;
    for (size_t i = 0; i < count; i++) {
        struct entry *e = entry_of(order[i]);
        if (!dry_run && !leaving_may(c, e)) {
            (void)leaving_ask(c, e);
            continue;
        }
        freed += e->worth.size;
        each(arg, e);
        if (!dry_run) {
            let_go(c, e, M_evict_gc);
        }
    }
    mem_free(order);
    return freed;
}

/* On a disk that is read-only nothing leaves in vain. */
static bool
is_stuck(const struct cache *c)
{
    return clock_ms() < atomic_load(&c->stuck_ms);
}

/* ---- a blob that begins ---- */

/* So much more cannot be written, when the file system has free_bytes. */
static uint64_t scarce(const struct cache *c, uint64_t bytes, uint64_t free_bytes) NEEDS(c->lock);
static uint64_t
scarce(const struct cache *c, uint64_t bytes, uint64_t free_bytes)
{
    uint64_t promised = atomic_load(&c->promised_bytes);
    return minus(bytes + promised + c->min_free_bytes, free_bytes + c->dooming_bytes);
}

/* Bytes that have to leave before `size` more may come, when so many may be used and the file
 * system has free_bytes. */
static uint64_t lacking(const struct cache *c, uint64_t size, uint64_t limit_bytes,
                        uint64_t free_bytes) NEEDS(c->lock);
static uint64_t
lacking(const struct cache *c, uint64_t size, uint64_t limit_bytes, uint64_t free_bytes)
{
    uint64_t over = minus(c->used_bytes + c->packing_bytes + size, limit_bytes);
    uint64_t lacks = scarce(c, size, free_bytes);
    return over > lacks ? over : lacks;
}

/* What has to leave for it is worth less than it, and may go: 0. Else ERR_FULL; ERR_AGAIN: the site
 * is asked about it. spare_only: last copies do not leave for it. */
static int admits(struct cache *c, const struct digest *d, uint64_t size, uint64_t need_bytes,
                  bool spare_only) NEEDS(c->lock);
static int
admits(struct cache *c, const struct digest *d, uint64_t size, uint64_t need_bytes, bool spare_only)
{
    struct evict_blob *chosen[EVICT_CHOOSE_MAX];
    uint64_t bytes, idle = c->used_bytes - c->open_bytes;
    uint32_t now_s = room_now_s(c);
    int rc = 0;
    lock_must_hold(&c->lock);
    if (size > c->limit_bytes || need_bytes > idle || is_stuck(c)) {
        return ERR_FULL;
    }
    (void)leaving_expire(c);
    evict_settle(&c->evict, now_s);
    double value = evict_value_absent(&c->evict, room_name(d), size, 1, now_s);
    size_t count = evict_choose(&c->evict, need_bytes, value, chosen, &bytes);
    if (bytes < need_bytes && count < EVICT_CHOOSE_MAX) {
        return c->leaving_count > 0 ? ERR_AGAIN : ERR_FULL;
    }
    for (size_t i = 0; i < count && rc != ERR_FULL; i++) {
        struct entry *e = entry_of(chosen[i]);
        if (spare_only && e->state == ENTRY_STORED && e->worth.copies == 1 && !e->worth.twin) {
            rc = ERR_FULL;
        } else if (!leaving_may(c, e)) {
            rc = leaving_ask(c, e) ? ERR_AGAIN : ERR_FULL;
        } else if (leaving_is_last(c, e) && leaving_bytes(c) > 0) {
            rc = ERR_AGAIN; /* what others have comes first */
        }
    }
    return rc;
}

int
room_make(struct cache *c, const struct digest *d, uint64_t size, uint64_t free_bytes)
{
    uint64_t need = lacking(c, size, c->limit_bytes, free_bytes);
    if (need == 0 && size <= c->limit_bytes) {
        return 0;
    }
    int rc = admits(c, d, size, need, false);
    if (rc < 0) {
        return rc;
    }
    /* What was chosen is chosen again, and may go. */
    uint64_t over = minus(c->used_bytes + size, c->limit_bytes);
    uint64_t freed = evict(c, over, M_evict_size, EVICT_ASKED);
    (void)evict(c, minus(need, freed), M_evict_min_free, EVICT_ASKED);
    return 0;
}

int
room_go_on(struct cache *c, const struct digest *d, uint64_t size, uint64_t held_bytes,
           uint64_t free_bytes)
{
    uint64_t rest = size - held_bytes, promised = atomic_load(&c->promised_bytes);
    uint64_t need = lacking(c, rest, c->limit_bytes, free_bytes);
    uint64_t over = minus(c->used_bytes + rest, c->limit_bytes);
    int rc = need > 0 ? admits(c, d, size, need, false) : 0;
    if (rc == 0) {
        uint64_t freed = evict(c, over, M_evict_size, EVICT_ASKED);
        (void)evict(c, minus(need, freed), M_evict_min_free, EVICT_ASKED);
    }
    /* What is here is not fetched again to spare cache.min_free. */
    return over == 0 && rest + promised <= free_bytes + c->dooming_bytes ? 0 : rc;
}

int
room_invite(struct cache *c, const struct digest *d, uint64_t size)
{
    uint64_t need = minus(c->used_bytes + size, c->limit_bytes / 100 * ROOM_LOW_PERCENT);
    int rc = need > 0 || size > c->limit_bytes ? admits(c, d, size, need, true) : 0;
    if (rc == 0) {
        (void)evict(c, need, M_evict_size, EVICT_ASKED);
    }
    return rc;
}

bool
room_for_copy(struct cache *c, const struct digest *d, uint64_t size, unsigned copies,
              uint64_t free_bytes)
{
    struct evict_blob *chosen[EVICT_CHOOSE_MAX];
    uint64_t bytes, high = c->limit_bytes / 100 * ROOM_HIGH_PERCENT;
    uint64_t need = size <= high ? lacking(c, size, high, free_bytes) : UINT64_MAX;
    if (need == 0 || need > c->used_bytes) {
        return need == 0;
    }
    double value = evict_value_absent(&c->evict, room_name(d), size, copies, room_now_s(c));
    size_t count = evict_choose(&c->evict, need, value, chosen, &bytes);
    for (size_t i = 0; i < count; i++) {
        if (chosen[i]->copies == 1 && !chosen[i]->twin) {
            return false;
        }
    }
    return bytes >= need;
}

/* ---- the marks ---- */

/* Files of a blob: what has more than one piece has words, too, if they are kept. */
static uint64_t files_of(const struct cache *c, const struct entry *e) NEEDS(c->lock);
static uint64_t
files_of(const struct cache *c, const struct entry *e)
{
    lock_must_hold(&c->lock);
    return c->tell_words != NULL && entry_size(e) > PIECE_MIN_BYTES ? 2 : 1;
}

/* As leaving_bytes. */
static uint64_t leaving_files(const struct cache *c) NEEDS(c->lock);
static uint64_t
leaving_files(const struct cache *c)
{
    uint64_t files = 0;
    lock_must_hold(&c->lock);
    for (size_t i = 0; i < c->leaving_count; i++) {
        files += c->leaving[i].comes ? files_of(c, c->leaving[i].entry) : 0;
    }
    return files;
}

/* Evicts until so many more files are free, those blobs first that the site misses least. What
 * leaves anyway counts. */
static void keep_files(struct cache *c, uint64_t count, bool unasked) NEEDS(c->lock);
static void
keep_files(struct cache *c, uint64_t count, bool unasked)
{
    struct evict_blob *b;
    lock_must_hold(&c->lock);
    uint64_t comes = leaving_files(c), freed = c->dooming_count;
    while (freed + comes < count && (b = evict_cheapest(&c->evict)) != NULL) {
        struct entry *e = entry_of(b);
        uint64_t files = files_of(c, e);
        if (unasked || leaving_may(c, e)) {
            let_go(c, e, M_evict_min_free);
            freed += files;
        } else if (leaving_ask(c, e)) {
            comes += files;
        } else {
            return;
        }
    }
}

/* Bytes that others miss below min_free. */
static uint64_t bytes_lacking(const struct cache *c, uint64_t free_bytes) NEEDS(c->lock);
static uint64_t
bytes_lacking(const struct cache *c, uint64_t free_bytes)
{
    uint64_t have = free_bytes + c->dooming_bytes;
    lock_must_hold(&c->lock);
    return have < c->min_free_bytes ? c->min_free_bytes - have + c->min_free_bytes / SPARE_PART : 0;
}

static void keep_bytes(struct cache *c, uint64_t free_bytes, bool unasked) NEEDS(c->lock);
static void
keep_bytes(struct cache *c, uint64_t free_bytes, bool unasked)
{
    uint64_t high = c->limit_bytes / 100 * ROOM_HIGH_PERCENT;
    uint64_t low = c->limit_bytes / 100 * ROOM_LOW_PERCENT;
    uint64_t over = c->used_bytes > high ? c->used_bytes - low : 0;
    uint64_t lacks = bytes_lacking(c, free_bytes);
    uint64_t need = over >= lacks ? over : lacks;
    bool marks_only = lacks == 0 && c->used_bytes <= c->limit_bytes;
    (void)evict(c, unasked ? need : minus(need, leaving_bytes(c)),
                over >= lacks ? M_evict_size : M_evict_min_free,
                unasked      ? EVICT_UNASKED
                : marks_only ? EVICT_GENTLY
                             : EVICT_ASKED);
}

/* Has it been scarce for so long that nobody is asked any more? Else *next_ms is that time at the
 * latest. */
static bool
is_pressed(int64_t *since_ms, bool scarce, int64_t *next_ms)
{
    int64_t now_ms = clock_ms();
    if (!scarce) {
        *since_ms = 0;
        return false;
    }
    if (*since_ms == 0) {
        *since_ms = now_ms;
    }
    int64_t pressed_ms = *since_ms + CACHE_PRESSURE_MS;
    if (pressed_ms > now_ms && pressed_ms < *next_ms) {
        *next_ms = pressed_ms;
    }
    return pressed_ms <= now_ms;
}

int64_t
room_keep(struct cache *c, const struct fs_space *space)
{
    int64_t next_ms = clock_ms() + SPACE_MS;
    uint64_t files = cache_files_lacking(space);
    lock_take(&c->lock);
    int64_t expires_ms = leaving_expire(c);
    bool scarce = bytes_lacking(c, space->free_bytes) > 0 || c->used_bytes > c->limit_bytes;
    bool bytes_unasked = is_pressed(&c->pressed_ms, scarce, &next_ms);
    bool files_unasked = is_pressed(&c->files_pressed_ms, files > 0, &next_ms);
    if (bytes_unasked || files_unasked) {
        leaving_release(c);
    }
    if (!is_stuck(c)) {
        keep_files(c, files, files_unasked);
        keep_bytes(c, space->free_bytes, bytes_unasked);
    }
    lock_drop(&c->lock);
    leaving_send(c);
    return expires_ms < next_ms ? expires_ms : next_ms;
}

int64_t
room_turn(struct cache *c)
{
    struct fs_space space;
    int rc = store_space(&c->store, &space);
    if (rc < 0) {
        (void)cache_disk_failed(c, "statvfs", rc);
        return clock_ms() + SPACE_MS;
    }
    return room_keep(c, &space);
}
