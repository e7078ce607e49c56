/* The table of containerd's files, and how they meet the map of the cache.
 *
 * Invariants, whenever the lock is free:
 *  1. UNCHECKED files are on the list `unchecked`, GOOD ones on `good`, others on none.
 *  2. count and bytes sum up the files by their check. */
#include "cache/content.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/content_inside.h"
#include "cache/disk.h"
#include "cache/entry.h"
#include "cache/room.h"
#include <errno.h>
#include <fcntl.h>

/* A file that is still being touched is not worth hashing: containerd sets times and mode of one
 * right after it has its name. */
#define SETTLE_MS 500
/* A pull that takes longer than so many times owns_ms is none that is tried again. */
#define OWNS_MOST 6

/* ---- life ---- */

struct content *
content_new(struct cache *c, const char *dir, bool owns, int64_t owns_ms)
{
    struct content *x = mem_zalloc(sizeof *x);
    x->cache = c;
    x->folder = mem_printf("%s/blobs/sha256", dir);
    x->owns = owns;
    x->owns_ms = owns_ms;
    x->state = CONTENT_MISSING;
    lock_init(&x->lock, LOCK_LEAF);
    return x;
}

/* ---- the table ---- */

static struct content_file *find(struct content *x, const struct digest *d) NEEDS(x->lock);
static struct content_file *
find(struct content *x, const struct digest *d)
{
    struct content_file *f;
    lock_must_hold(&x->lock);
    HASH_FIND(hh, x->map, d, sizeof *d, f);
    return f;
}

static void count(struct content *x, const struct content_file *f, uint64_t sign) NEEDS(x->lock);
static void
count(struct content *x, const struct content_file *f, uint64_t sign)
{
    lock_must_hold(&x->lock);
    x->count[f->check] += sign;
    x->bytes[f->check] += sign * f->id.size;
    metric_set(M_containerd_blobs, x->count[CONTENT_UNCHECKED] + x->count[CONTENT_GOOD]);
    metric_set(M_containerd_bytes, x->bytes[CONTENT_UNCHECKED] + x->bytes[CONTENT_GOOD]);
}

static void enlist(struct content *x, struct content_file *f, enum content_check check)
    NEEDS(x->lock);
static void
enlist(struct content *x, struct content_file *f, enum content_check check)
{
    f->check = check;
    f->since_ms = clock_ms();
    count(x, f, 1);
    if (check == CONTENT_UNCHECKED) {
        DL_APPEND(x->unchecked, f);
    } else if (check == CONTENT_GOOD) {
        DL_APPEND(x->good, f);
    }
}

static void delist(struct content *x, struct content_file *f) NEEDS(x->lock);
static void
delist(struct content *x, struct content_file *f)
{
    count(x, f, (uint64_t)-1);
    if (f->check == CONTENT_UNCHECKED) {
        DL_DELETE(x->unchecked, f);
    } else if (f->check == CONTENT_GOOD) {
        DL_DELETE(x->good, f);
    }
}

/* Was it good when an earlier run hashed it? The number of a device may be another one now. */
static bool was_good(struct content *x, const struct digest *d, const struct fs_id *id)
    NEEDS(x->lock);
static bool
was_good(struct content *x, const struct digest *d, const struct fs_id *id)
{
    struct content_known *k;
    lock_must_hold(&x->lock);
    HASH_FIND(hh, x->known, d, sizeof *d, k);
    return k != NULL && k->was.ino == id->ino && k->was.size == id->size &&
           k->was.mtime_ns == id->mtime_ns && k->was.ctime_ns == id->ctime_ns;
}

void
content_forget_known(struct content *x)
{
    struct content_known *k, *next;
    lock_take(&x->lock);
    HASH_ITER(hh, x->known, k, next)
    {
        HASH_DELETE(hh, x->known, k);
        mem_free(k);
    }
    lock_drop(&x->lock);
}

void
content_remember(struct content *x, const struct digest *d, const struct checked *was)
{
    struct content_known *k;
    if (x == NULL) {
        return;
    }
    lock_take(&x->lock);
    HASH_FIND(hh, x->known, d, sizeof *d, k);
    if (k == NULL) {
        k = mem_zalloc(sizeof *k);
        k->digest = *d;
        HASH_ADD(hh, x->known, digest, sizeof k->digest, k);
    }
    k->was = *was;
    lock_drop(&x->lock);
}

static int
encode(const struct digest *d, const struct checked *c, struct buf *ret)
{
    struct record r = {.kind = RECORD_CHECKED, .digest = *d, .checked = *c};
    return record_encode(&r, ret);
}

static struct checked
checked_of(const struct fs_id *id)
{
    return (struct checked){id->ino, id->size, id->mtime_ns, id->ctime_ns};
}

void
content_dump(struct content *x, struct buf *ret)
{
    int rc = 0;
    if (x == NULL) {
        return;
    }
    lock_take(&x->lock);
    for (const struct content_file *f = x->good; f != NULL && rc == 0; f = f->next) {
        struct checked c = checked_of(&f->id);
        rc = f->recorded ? encode(&f->digest, &c, ret) : 0;
    }
    for (const struct content_known *k = x->known; k != NULL && rc == 0; k = k->hh.next) {
        rc = encode(&k->digest, &k->was, ret);
    }
    lock_drop(&x->lock);
}

static void forget(struct content *x, struct content_file *f) NEEDS(x->lock);
static void
forget(struct content *x, struct content_file *f)
{
    delist(x, f);
    HASH_DELETE(hh, x->map, f);
    mem_free(f);
}

void
content_free(struct content *x)
{
    if (x == NULL) {
        return;
    }
    lock_take(&x->lock);
    while (x->map != NULL) {
        forget(x, x->map);
    }
    lock_drop(&x->lock);
    content_forget_known(x);
    lock_release(&x->lock);
    mem_free_text(&x->folder);
    mem_free(x);
}

/* ---- the map of the cache ---- */

bool
content_same(const struct blob *b)
{
    struct fs_id now;
    return fs_id(b->fd, &now) == 0 && fs_id_equal(&now, &b->file);
}

bool
content_unaltered(const struct blob *b)
{
    struct fs_id now;
    int rc = fs_id(b->fd, &now);
    if (rc == -ENOENT) {
        now.ctime_ns = b->file.ctime_ns; /* when it lost its name: its bytes are what they were */
        rc = 0;
    }
    bool unaltered = rc == 0 && fs_id_equal(&now, &b->file);
    if (!unaltered) {
        content_see(b->cache->content, &b->digest, rc, rc == 0 ? &now : &b->file, 0);
    }
    return unaltered;
}

/* b: NULL for whichever is foreign. */
void
content_retire(struct cache *c, const struct digest *d, const struct blob *b)
{
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    if (e != NULL && e->blob != NULL && e->blob->foreign && (b == NULL || e->blob == b)) {
        entry_detach(c, e);
        entry_forget(c, e);
    }
    lock_drop(&c->lock);
}

/* Our copy, if there is one, is worth what it was. */
static void
forget_twin(struct cache *c, const struct digest *d)
{
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    if (e != NULL && e->worth.twin) {
        evict_twin(&c->evict, &e->worth, false, room_now_s(c));
    }
    lock_drop(&c->lock);
}

/* What was known of it is not true any more. */
static void
withdraw(struct content *x, const struct digest *d)
{
    content_retire(x->cache, d, NULL);
    forget_twin(x->cache, d);
    lock_take(&x->cache->lock);
    cache_note_gone(x->cache, d);
    lock_drop(&x->cache->lock);
}

static bool usable(struct content *x, const struct digest *d, struct content_file *ret);

static bool
is_good(struct content *x, const struct digest *d, const struct fs_id *id)
{
    struct content_file f;
    return usable(x, d, &f) && f.check == CONTENT_GOOD && fs_id_equal(&f.id, id);
}

/* Bytes and name are on the disk: containerd syncs the bytes only. */
static bool
is_durable(const struct content *x, int fd)
{
    AUTO(fd_close) int dir_fd = -1;
    return fs_sync(fd) == 0 && fs_open_dir(x->folder, false, &dir_fd) == 0 && fs_sync(dir_fd) == 0;
}

/* A copy of ours that is to leave, now or before others. */
static bool
is_surplus(const struct entry *e, bool now)
{
    return e != NULL && e->state == ENTRY_STORED && !e->pinned && (now || !e->worth.twin);
}

static bool
has_surplus(struct cache *c, const struct digest *d, bool now)
{
    lock_take(&c->lock);
    bool has = is_surplus(entry_find(c, d), now);
    lock_drop(&c->lock);
    return has;
}

bool
content_settled(int64_t good_ms, int64_t quiet_ms, int64_t owns_ms)
{
    return good_ms >= owns_ms && (quiet_ms >= owns_ms || good_ms >= OWNS_MOST * owns_ms);
}

static bool
is_settled(struct content *x, const struct content_file *f)
{
    int64_t now_ms = clock_ms();
    lock_take(&x->lock);
    int64_t quiet_ms = now_ms - x->came_ms;
    lock_drop(&x->lock);
    return content_settled(now_ms - f->since_ms, quiet_ms, x->owns_ms);
}

/* Our copy of a file that is good is worth nothing from now on, and leaves when that is settled.
 * Not where somebody waits. */
static void
own(struct content *x, const struct digest *d)
{
    struct cache *c = x->cache;
    AUTO(fd_close) int fd = -1;
    struct content_file f;
    struct fs_id id, again;
    bool good, doomed = false;
    bool now = usable(x, d, &f) && is_settled(x, &f);
    if (!has_surplus(c, d, now) || content_open(x, d, &fd, &id, &good) < 0 || !good ||
        !is_durable(x, fd) || fs_id(fd, &again) < 0 || !fs_id_equal(&again, &id)) {
        return;
    }
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    if (is_surplus(e, now) && entry_size(e) == id.size && is_good(x, d, &id)) {
        doomed = now;
        if (now) {
            entry_doom(c, e, DOOM_BLOB, M_evict_containerd);
        } else {
            evict_twin(&c->evict, &e->worth, true, room_now_s(c));
        }
    }
    lock_drop(&c->lock);
    if (doomed) {
        disk_wake(c);
    }
}

void
content_own_all(struct content *x)
{
    size_t n = 0;
    if (!x->owns) {
        return;
    }
    lock_take(&x->lock);
    struct digest *list = mem_alloc((size_t)(x->count[CONTENT_GOOD] + 1) * sizeof *list);
    for (const struct content_file *f = x->good; f != NULL; f = f->next) {
        list[n++] = f->digest;
    }
    lock_drop(&x->lock);
    for (size_t i = 0; i < n; i++) {
        own(x, &list[i]);
    }
    mem_free(list);
}

/* ---- what the thread sees ---- */

/* True when what was known before does not hold any more. */
static bool note(struct content *x, const struct digest *d, int rc, const struct fs_id *id,
                 uint64_t round) NEEDS(x->lock);
static bool
note(struct content *x, const struct digest *d, int rc, const struct fs_id *id, uint64_t round)
{
    struct content_file *f = find(x, d);
    bool known = f != NULL;
    if (rc < 0 && rc != -EACCES) {
        if (known) {
            forget(x, f);
        }
        return known;
    }
    if (known) {
        f->round = round > f->round ? round : f->round;
        if (fs_id_equal(&f->id, id) && (rc < 0) == (f->check == CONTENT_CLOSED)) {
            return false;
        }
        delist(x, f);
    } else {
        f = mem_zalloc(sizeof *f);
        f->digest = *d;
        f->round = round;
        HASH_ADD(hh, x->map, digest, sizeof f->digest, f);
    }
    x->came_ms = clock_ms();
    f->id = *id;
    f->recorded = rc == 0 && was_good(x, d, id);
    enlist(x, f, rc < 0 ? CONTENT_CLOSED : f->recorded ? CONTENT_GOOD : CONTENT_UNCHECKED);
    return known;
}

void
content_see(struct content *x, const struct digest *d, int rc, const struct fs_id *id,
            uint64_t round)
{
    lock_take(&x->lock);
    bool changed = note(x, d, rc, id, round);
    lock_drop(&x->lock);
    if (changed && rc < 0) {
        withdraw(x, d);
    } else if (changed) {
        content_retire(x->cache, d, NULL); /* to be checked again */
        forget_twin(x->cache, d);
    }
}

static bool
forget_one_before(struct content *x, uint64_t round, struct digest *ret)
{
    struct content_file *f, *next;
    bool found = false;
    lock_take(&x->lock);
    HASH_ITER(hh, x->map, f, next)
    {
        if (f->round < round) {
            *ret = f->digest;
            forget(x, f);
            found = true;
            break;
        }
    }
    lock_drop(&x->lock);
    return found;
}

void
content_forget_before(struct content *x, uint64_t round)
{
    struct digest d;
    while (forget_one_before(x, round, &d)) {
        withdraw(x, &d);
    }
}

bool
content_next(struct content *x, int64_t now_ms, struct digest *ret, struct fs_id *ret_id,
             int64_t *ret_wait_ms)
{
    lock_take(&x->lock);
    const struct content_file *f = x->unchecked != NULL ? x->unchecked : x->good;
    int64_t after_ms = x->unchecked != NULL ? SETTLE_MS : x->cache->scrub_ms;
    *ret_wait_ms = f == NULL ? INT64_MAX : f->since_ms + after_ms - now_ms;
    bool due = f != NULL && *ret_wait_ms <= 0;
    if (due) {
        *ret = f->digest;
        *ret_id = f->id;
    }
    lock_drop(&x->lock);
    return due;
}

void
content_judge(struct content *x, const struct digest *d, const struct fs_id *id, bool good)
{
    lock_take(&x->lock);
    struct content_file *f = find(x, d);
    bool same = f != NULL && f->check != CONTENT_CLOSED && fs_id_equal(&f->id, id);
    bool news = same && !good && f->check != CONTENT_BAD;
    if (same) {
        delist(x, f);
        enlist(x, f, good ? CONTENT_GOOD : CONTENT_BAD);
    }
    lock_drop(&x->lock);
    if (news) {
        char text[DIGEST_TEXT_MAX];
        digest_print(d, text);
        LOG(containerd_corrupt, LOG_S("digest", text), LOG_U("bytes", id->size),
            LOG_S("folder", x->folder));
        withdraw(x, d);
    }
}

void
content_record(struct content *x, const struct digest *d, const struct fs_id *id, int fd)
{
    AUTO(buf_release) struct buf record;
    struct checked c = checked_of(id);
    if (fs_sync(fd) < 0) {
        return; /* what was read may not be on the disk */
    }
    lock_take(&x->lock);
    struct content_file *f = find(x, d);
    bool news = f != NULL && f->check == CONTENT_GOOD && !f->recorded && fs_id_equal(&f->id, id);
    if (news) {
        f->recorded = true;
    }
    lock_drop(&x->lock);
    buf_init(&record, RECORD_MAX_BYTES);
    if (news && encode(d, &c, &record) == 0) {
        cache_add_facts(x->cache, &record);
    }
    if (x->owns) {
        own(x, d);
    }
}

void
content_set_state(struct content *x, enum content_state state)
{
    static const char *const names[] = {"off", "missing", "denied", "polled", "watched"};
    lock_take(&x->lock);
    bool news = x->state != state;
    x->state = state;
    uint64_t blobs = HASH_COUNT(x->map), denied = x->count[CONTENT_CLOSED];
    lock_drop(&x->lock);
    if (news) {
        LOG(containerd_store, LOG_S("folder", x->folder), LOG_S("state", names[state]),
            LOG_U("blobs", blobs), LOG_U("denied", denied));
    }
}

/* ---- who wants a blob ---- */

static bool
usable(struct content *x, const struct digest *d, struct content_file *ret)
{
    lock_take(&x->lock);
    const struct content_file *f = find(x, d);
    bool is = f != NULL && (f->check == CONTENT_GOOD || f->check == CONTENT_UNCHECKED);
    if (is) {
        *ret = *f;
    }
    lock_drop(&x->lock);
    return is;
}

int
content_open(struct content *x, const struct digest *d, int *ret_fd, struct fs_id *ret,
             bool *ret_good)
{
    struct content_file known;
    if (x == NULL || !usable(x, d, &known)) {
        return ERR_NOT_FOUND;
    }
    char hex[129];
    digest_hex(d, hex);
    AUTO(mem_free_text) char *path = mem_printf("%s/%s", x->folder, hex);
    AUTO(fd_close) int fd = -1;
    int rc = fs_open_at(AT_FDCWD, path, O_RDONLY, &fd);
    if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM) {
        return rc;
    }
    rc = rc < 0 ? rc : fs_id(fd, ret);
    if (rc < 0 || !fs_id_equal(ret, &known.id)) {
        if (rc == 0 || rc == -ENOENT) { /* so it looks under a mount that covers the store */
            atomic_store(&x->missed, true);
        }
        content_see(x, d, rc, rc == 0 ? ret : &known.id, 0);
    }
    if (rc < 0) {
        return ERR_NOT_FOUND;
    }
    *ret_good = known.check == CONTENT_GOOD && fs_id_equal(ret, &known.id);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

/* ---- for people ---- */

static struct blob_info
describe(const struct content_file *f)
{
    return (struct blob_info){.digest = f->digest,
                              .phase = BLOB_WHOLE,
                              .size = f->id.size,
                              .have_bytes = f->id.size,
                              .stored_wall_s = f->id.mtime_ns / 1000000000,
                              .foreign = true};
}

bool
content_info(struct content *x, const struct digest *d, struct blob_info *ret)
{
    struct content_file f;
    if (x == NULL || !usable(x, d, &f)) {
        return false;
    }
    *ret = describe(&f);
    return true;
}

size_t
content_digests(struct content *x, struct digest **ret)
{
    size_t n = 0;
    *ret = NULL;
    if (x == NULL) {
        return 0;
    }
    lock_take(&x->lock);
    *ret = mem_alloc((HASH_COUNT(x->map) + 1) * sizeof **ret);
    for (const struct content_file *f = x->map; f != NULL; f = f->hh.next) {
        if (f->check == CONTENT_GOOD || f->check == CONTENT_UNCHECKED) {
            (*ret)[n++] = f->digest;
        }
    }
    lock_drop(&x->lock);
    return n;
}

size_t
content_list(struct content *x, struct blob_info *ret, size_t max)
{
    size_t n = 0;
    if (x == NULL) {
        return 0;
    }
    lock_take(&x->lock);
    for (const struct content_file *f = x->map; f != NULL && n < max; f = f->hh.next) {
        if (f->check == CONTENT_GOOD || f->check == CONTENT_UNCHECKED) {
            ret[n++] = describe(f);
        }
    }
    lock_drop(&x->lock);
    return n;
}

void
content_get_stats(struct content *x, struct cache_stats *ret)
{
    if (x == NULL) {
        return;
    }
    lock_take(&x->lock);
    ret->content_state = x->state;
    ret->content_blobs = x->count[CONTENT_UNCHECKED] + x->count[CONTENT_GOOD];
    ret->content_bytes = x->bytes[CONTENT_UNCHECKED] + x->bytes[CONTENT_GOOD];
    ret->content_unchecked = x->count[CONTENT_UNCHECKED];
    ret->content_denied = x->count[CONTENT_CLOSED];
    ret->content_bad = x->count[CONTENT_BAD];
    lock_drop(&x->lock);
}
