/* Words of a blob: kept, told, made.
 *
 * Who fills the blob says the words that it hashed or checked anyway (blob_word). When it said all
 * of them and the digest is right, which proves them, too, they are kept; else they are made from
 * the stored blob: at once when somebody asks, or when no blob is filled and nobody else wants the
 * processor. */
#include "base/clock.h"
#include "base/fs.h"
#include "cache/blob.h"
#include "cache/record.h"
#include "cache/scrub.h"
#include "cache/words_inside.h"
#include <fcntl.h>
#include <string.h>

#define STEP_BYTES (256u * 1024)
#define WAIT_MS    2000 /* for a stored blob that is being checked */
#define LOOK_MS    1000 /* between two looks at whether blobs are still filled */

/* ---- a table ---- */

struct words *
words_new(uint64_t size)
{
    struct words *w = mem_zalloc(sizeof *w);
    w->size = size;
    w->piece_bytes = pieces_piece_bytes(size);
    w->count = (uint32_t)((size + w->piece_bytes - 1) / w->piece_bytes);
    w->sums = mem_zalloc((size_t)w->count * CACHE_WORD_BYTES + 1);
    w->known = mem_zalloc(w->count / 8 + 1);
    return w;
}

void
words_free(struct words *w)
{
    if (w == NULL) {
        return;
    }
    mem_free(w->sums);
    mem_free(w->known);
    mem_free(w);
}

bool
words_has(const struct words *w, uint32_t piece)
{
    return (w->known[piece / 8] >> piece % 8 & 1) != 0;
}

void
words_set(struct words *w, uint32_t piece, const uint8_t word[CACHE_WORD_BYTES])
{
    must(piece < w->count);
    w->known_count += !words_has(w, piece);
    w->known[piece / 8] |= (uint8_t)(1u << piece % 8);
    memcpy(w->sums + (size_t)piece * CACHE_WORD_BYTES, word, CACHE_WORD_BYTES);
}

void
words_drop(struct words *w, uint32_t piece)
{
    must(piece < w->count);
    w->known_count -= words_has(w, piece);
    w->known[piece / 8] &= (uint8_t) ~(1u << piece % 8);
}

bool
words_complete(const struct words *w)
{
    return w != NULL && w->known_count == w->count;
}

/* ---- said while a blob is filled ---- */

void
blob_word(struct blob *b, uint64_t start, const uint8_t word[CACHE_WORD_BYTES])
{
    lock_take(&b->lock);
    /* The verdict may overtake the last one. */
    bool open =
        b->phase == BLOB_FILLING || (b->phase == BLOB_VERIFIED && !words_complete(b->words));
    if (open && b->words != NULL && start < b->words->size) {
        words_set(b->words, (uint32_t)(start / b->words->piece_bytes), word);
    }
    lock_drop(&b->lock);
}

/* ---- kept ---- */

/* False: it has no place, and is not made. */
static bool
queue(struct cache *c, struct words_queue *q, const struct digest *d)
{
    lock_take(&c->lock);
    bool fits = words_queue_put(q, d);
    if (fits) {
        cond_wake(&c->asked_words);
    }
    lock_drop(&c->lock);
    return fits;
}

/* Without a sync: what a crash leaves of it has a wrong checksum, and is written again. */
static int
save(struct cache *c, const struct digest *d, const struct words *w)
{
    AUTO(buf_release) struct buf text;
    buf_init(&text, record_words_bytes(w->count));
    AUTO(mem_free_text) char *path = store_words_path(&c->store, d);
    AUTO(fd_close) int fd = -1;
    int rc = record_words_encode(d, w->size, w->sums, w->count, &text);
    if (rc == 0) {
        rc = fs_open_at(AT_FDCWD, path, O_RDWR | O_CREAT | O_TRUNC, &fd);
    }
    return rc < 0 ? rc : fs_write_at(fd, 0, text.data, text.len);
}

void
words_keep(struct blob *b)
{
    struct cache *c = b->cache;
    lock_take(&b->lock);
    bool all = words_complete(b->words); /* then nobody changes them */
    lock_drop(&b->lock);
    if (all) {
        (void)!save(c, &b->digest, b->words); /* they can be made again */
    } else if (b->words != NULL) {
        (void)!queue(c, &c->words_due, &b->digest); /* then who asks has them made */
    }
}

void
words_remove(struct cache *c, const struct digest *d)
{
    AUTO(mem_free_text) char *path = store_words_path(&c->store, d);
    (void)!fs_unlink_at(AT_FDCWD, path); /* the next start removes what is left without its blob */
}

/* NULL: there are none of that size. */
static struct words *
load(struct cache *c, const struct digest *d, uint64_t size)
{
    AUTO(fd_close) int fd = -1;
    const uint8_t *sums;
    struct words *w = words_new(size);
    uint64_t len = 0, max = record_words_bytes(w->count);
    uint8_t *text = mem_alloc((size_t)max);
    AUTO(mem_free_text) char *path = store_words_path(&c->store, d);
    if (fs_open_at(AT_FDCWD, path, O_RDONLY, &fd) == 0 && fs_size(fd, &len) == 0 && len <= max &&
        fs_read_at(fd, 0, text, (size_t)len) == 0 &&
        record_words_decode(text, (size_t)len, d, size, w->count, &sums) == 0) {
        for (uint32_t i = 0; i < w->count; i++) {
            words_set(w, i, sums + (size_t)i * CACHE_WORD_BYTES);
        }
    }
    mem_free(text);
    if (!words_complete(w)) {
        words_free(w);
        w = NULL;
    }
    return w;
}

/* ---- made again ---- */

static bool
is_ending(struct cache *c)
{
    lock_take(&c->lock);
    bool is = c->checks_end;
    lock_drop(&c->lock);
    return is;
}

/* Of the file of b, and what all of it hashes to. 0, ERR_CLOSED when time is up, or what the disk
 * said. */
static int
read_through(struct blob *b, struct words *w, struct digest *ret)
{
    struct digester *all = digester_new((enum digest_alg)b->digest.alg);
    uint8_t *room = mem_alloc(STEP_BYTES);
    int rc = 0;
    for (uint32_t piece = 0; piece < w->count && rc == 0; piece++) {
        struct digester *one = digester_new(DIGEST_SHA256);
        struct digest sum;
        uint64_t at = (uint64_t)piece * w->piece_bytes;
        uint64_t end = w->size - at < w->piece_bytes ? w->size : at + w->piece_bytes;
        for (size_t n; at < end && rc == 0; at += n) {
            n = end - at < STEP_BYTES ? (size_t)(end - at) : STEP_BYTES;
            rc = is_ending(b->cache) ? ERR_CLOSED : frames_read(b->frames, b->fd, at, room, n);
            if (rc == 0) {
                digester_add(all, room, n);
                digester_add(one, room, n);
            }
        }
        digester_finish(one, &sum);
        digester_free(one);
        words_set(w, piece, sum.bytes);
    }
    digester_finish(all, ret);
    digester_free(all);
    mem_free(room);
    return rc;
}

/* From the bytes of a stored blob; NULL when they are not right. */
static struct words *
make(struct cache *c, const struct digest *d)
{
    AUTO(blob_release) struct blob *b = cache_find(c, d);
    struct blob_state st;
    struct digest got;
    if (b == NULL) {
        return NULL;
    }
    blob_look(b, 0, &st);
    if (st.phase == BLOB_FILLING) {
        blob_wait(b, st.size - 1, clock_ms() + WAIT_MS, &st); /* its tail: then it is checked */
    }
    if (st.phase != BLOB_WHOLE) {
        return NULL;
    }
    struct words *w = words_new(st.size);
    int rc = read_through(b, w, &got);
    if (rc == 0 && digest_equal(&got, d)) {
        (void)!save(c, d, w);
        return w;
    }
    words_free(w);
    if (rc < 0 && rc != ERR_CLOSED) {
        (void)cache_disk_failed(c, "read", rc);
    }
    if (rc != ERR_CLOSED) {
        scrub_read_bad(b); /* a client whom sendfile serves would get it as it is */
    }
    return NULL;
}

static struct words *
load_or_make(struct cache *c, const struct digest *d)
{
    uint64_t size = cache_stored(c, d);
    struct words *w = size > 0 ? load(c, d, size) : NULL;
    return w != NULL || size == 0 ? w : make(c, d);
}

/* ---- told ---- */

static void
answer(struct cache *c, const struct digest *d)
{
    struct words *w = load_or_make(c, d);
    lock_take(&c->lock);
    void (*tell)(void *, const struct digest *, const uint8_t *, uint32_t) = c->tell_words;
    void *arg = c->tell_words_arg;
    c->telling_words = tell != NULL;
    lock_drop(&c->lock);
    if (tell != NULL) {
        tell(arg, d, w != NULL ? w->sums : NULL, w != NULL ? w->count : 0);
    }
    lock_take(&c->lock);
    c->telling_words = false;
    cond_wake(&c->asked_words);
    lock_drop(&c->lock);
    words_free(w);
}

/* ---- the threads ---- */

static bool is_ready(const struct cache *c, const struct words_queue *q) NEEDS(c->lock);
static bool
is_ready(const struct cache *c, const struct words_queue *q)
{
    bool may = q == &c->words_due ? c->filling_count == 0 : c->tell_words != NULL;
    return may && q->count > 0;
}

/* False: the cache closes. */
static bool
wait_next(struct cache *c, struct words_queue *q, struct digest *ret)
{
    lock_take(&c->lock);
    while (!c->checks_end && !is_ready(c, q)) {
        int64_t until_ms = q == &c->words_due && q->count > 0 ? clock_ms() + LOOK_MS : INT64_MAX;
        (void)cond_wait(&c->asked_words, &c->lock, until_ms);
    }
    bool any = !c->checks_end;
    if (any) {
        *ret = words_queue_take(q);
    }
    lock_drop(&c->lock);
    return any;
}

static void
run_asked(void *arg)
{
    struct cache *c = arg;
    struct digest d;
    while (wait_next(c, &c->words_asked, &d)) {
        answer(c, &d);
    }
}

static void
run_due(void *arg)
{
    struct cache *c = arg;
    struct digest d;
    thread_lower();
    while (wait_next(c, &c->words_due, &d)) {
        words_free(load_or_make(c, &d));
    }
}

int
words_start(struct cache *c)
{
    int rc = thread_start(&c->words_thread, "ps-words", run_asked, c);
    return rc < 0 ? rc : thread_start(&c->words_due_thread, "ps-words-due", run_due, c);
}

bool
cache_ask_words(struct cache *c, const struct digest *d)
{
    return queue(c, &c->words_asked, d);
}

void
cache_on_words(struct cache *c,
               void (*tell)(void *arg, const struct digest *d, const uint8_t *words,
                            uint32_t count),
               void *arg)
{
    lock_take(&c->lock);
    c->tell_words = tell;
    c->tell_words_arg = arg;
    cond_wake(&c->asked_words);
    while (tell == NULL && c->telling_words) {
        (void)cond_wait(&c->asked_words, &c->lock, INT64_MAX);
    }
    lock_drop(&c->lock);
}
