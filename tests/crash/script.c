#include "tests/crash/script.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cache/inside.h"
#include "tests/crash/oplog.h"
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KIB        1024u
#define STEP_BYTES (64u * KIB)
#define SOON_MS    10000
#define TAGS       100 /* records of several pages */

struct body bodies[BODIES];

void
script_make_bodies(void)
{
    static const size_t lengths[BODY_TINY] = {100 * KIB, 120 * KIB, 140 * KIB, 300 * KIB,
                                              270 * KIB};
    struct rng rng;
    for (size_t i = 0; i < BODIES; i++) {
        struct body *b = &bodies[i];
        b->len = i < BODY_TINY ? lengths[i] : 900 + 700 * i;
        b->bytes = mem_alloc(b->len + 8);
        rng_init(&rng, 77 + i);
        for (size_t at = 0; at < b->len; at += 8) {
            uint64_t x = rng_next(&rng) | 1; /* no zeros, which a hole would match */
            x = i == BODY_TEXT ? (x & 0x0f0f0f0f0f0f0f0f) + 0x6161616161616161 : x;
            memcpy(b->bytes + at, &x, 8);
        }
        digest_of(DIGEST_SHA256, b->bytes, b->len, &b->digest);
    }
}

/* ---- words ---- */

static struct {
    uint8_t words[BODY_PIECES_MAX * CACHE_WORD_BYTES];
    _Atomic uint32_t count; /* UINT32_MAX: not told yet */
} told;

static void
tell_words(void *arg, const struct digest *d, const uint8_t *words, uint32_t count)
{
    (void)arg;
    (void)d;
    must(count <= BODY_PIECES_MAX);
    if (count > 0) {
        memcpy(told.words, words, (size_t)count * CACHE_WORD_BYTES);
    }
    atomic_store(&told.count, count);
}

static void
word_of(const struct body *of, size_t at, struct digest *ret)
{
    size_t piece = pieces_piece_bytes(of->len);
    size_t left = of->len - at;
    digest_of(DIGEST_SHA256, of->bytes + at, left < piece ? left : piece, ret);
}

static void
say_words(struct blob *b, const struct body *of)
{
    for (size_t at = 0; at < of->len; at += pieces_piece_bytes(of->len)) {
        struct digest word;
        word_of(of, at, &word);
        blob_word(b, at, word.bytes);
    }
}

const char *
script_ask_words(struct cache *c, int body)
{
    const struct body *want = &bodies[body];
    int64_t end_ms = clock_ms() + SOON_MS;
    size_t piece = pieces_piece_bytes(want->len);
    atomic_store(&told.count, UINT32_MAX);
    if (!cache_ask_words(c, &want->digest)) {
        return "no place for a question";
    }
    while (atomic_load(&told.count) == UINT32_MAX && clock_ms() < end_ms) {
        (void)sched_yield();
    }
    if (atomic_load(&told.count) != (want->len + piece - 1) / piece) {
        return "no words of a blob that is stored";
    }
    for (size_t at = 0, i = 0; at < want->len; at += piece, i++) {
        struct digest word;
        word_of(want, at, &word);
        if (memcmp(told.words + i * CACHE_WORD_BYTES, word.bytes, CACHE_WORD_BYTES) != 0) {
            return "wrong words";
        }
    }
    return NULL;
}

struct cache *
script_open(const struct cache_config *config)
{
    struct cache *c;
    struct err e;
    if (cache_open(config, &c, &e) < 0) {
        (void)printf("failed start: %s\n", e.text);
        exit(1);
    }
    cache_on_words(c, tell_words, NULL);
    return c;
}

static struct cache *
open_marked(const struct cache_config *config)
{
    struct cache *c = script_open(config);
    oplog_mark(MARK_OPENED, 0);
    return c;
}

static void
close_marked(struct cache *c)
{
    oplog_mark(MARK_CLOSING, 0);
    cache_close(c);
}

/* ---- blobs ---- */

static int
fill(struct blob *b, const struct body *from, uint64_t upto)
{
    struct gap gap;
    int rc = blob_begin(b, from->len);
    if (rc == 0) {
        say_words(b, from);
    }
    while (rc == 0 && blob_claim(b, UINT64_MAX, &gap)) {
        uint64_t end = gap.end < upto ? gap.end : upto;
        while (rc == 0 && gap.start < end) {
            uint64_t n = end - gap.start < STEP_BYTES ? end - gap.start : STEP_BYTES;
            rc = blob_write(b, gap.start, from->bytes + gap.start, (size_t)n, BLOB_FROM_UPSTREAM);
            gap.start += n;
        }
        if (rc == 0 && end < from->len) {
            rc = ERR_UPSTREAM;
        }
    }
    return rc;
}

/* As a client reads, to the end or as far as it comes. */
static const char *
read_all(struct blob *b, const struct body *want, uint64_t *ret_bytes)
{
    uint8_t room[32 * KIB];
    int64_t deadline_ms = clock_ms() + SOON_MS;
    uint64_t at = 0;
    while (at < want->len) {
        struct blob_state s;
        blob_wait(b, at, deadline_ms, &s);
        int64_t n = blob_read(b, at, room, sizeof room);
        if (n <= 0) {
            break;
        }
        if (at + (uint64_t)n > want->len || memcmp(room, want->bytes + at, (size_t)n) != 0) {
            return "wrong bytes were served";
        }
        at += (uint64_t)n;
    }
    *ret_bytes = at;
    return NULL;
}

static enum blob_phase
wait_for_end(struct blob *b)
{
    int64_t deadline_ms = clock_ms() + SOON_MS;
    lock_take(&b->lock);
    while (b->phase < BLOB_WHOLE && cond_wait(&b->grew, &b->lock, deadline_ms)) {
    }
    enum blob_phase phase = b->phase;
    lock_drop(&b->lock);
    return phase;
}

const char *
script_pull(struct cache *c, int body, uint64_t upto)
{
    const struct body *want = &bodies[body];
    enum cache_got got;
    uint64_t bytes = 0;
    struct blob *b = cache_acquire(c, &want->digest, &got);
    int rc = got == CACHE_LEAD ? fill(b, want, upto) : 0;
    if (rc < 0) {
        blob_fail(b, rc);
    }
    const char *wrong = read_all(b, want, &bytes);
    bool whole = wait_for_end(b) == BLOB_WHOLE;
    blob_release(&b);
    if (wrong != NULL || upto < want->len) {
        return wrong;
    }
    return whole && bytes == want->len ? NULL : "a blob did not become whole";
}

static void
pull(struct cache *c, int body)
{
    const char *wrong = script_pull(c, body, UINT64_MAX);
    if (wrong != NULL) {
        (void)printf("body %d: %s\n", body, wrong);
        exit(1);
    }
    oplog_mark(MARK_WHOLE, (uint64_t)body);
}

static void
going(int body)
{
    oplog_mark(MARK_GOING, (uint64_t)body);
}

/* ---- the protocols ---- */

static void
publish(struct cache_config *config)
{
    struct cache *c = open_marked(config);
    pull(c, BODY_A);
    pull(c, BODY_TINY);
    pull(c, BODY_LONG);
    close_marked(c);
}

/* Six blobs are published in one go: all are filled before the first is waited for. */
static void
batch(struct cache_config *config)
{
    struct cache *c = open_marked(config);
    struct blob *filled[BODIES];
    for (int i = BODY_TINY; i < BODIES; i++) {
        enum cache_got got;
        filled[i] = cache_acquire(c, &bodies[i].digest, &got);
        must(got == CACHE_LEAD && fill(filled[i], &bodies[i], UINT64_MAX) == 0);
    }
    for (int i = BODY_TINY; i < BODIES; i++) {
        must(wait_for_end(filled[i]) == BLOB_WHOLE);
        oplog_mark(MARK_WHOLE, (uint64_t)i);
        blob_release(&filled[i]);
    }
    close_marked(c);
}

/* C does not fit beside A and B; then all go, and A comes again. */
static void
evict(struct cache_config *config)
{
    struct cache *c = open_marked(config);
    pull(c, BODY_A);
    pull(c, BODY_B);
    going(BODY_A);
    going(BODY_B);
    pull(c, BODY_C);
    going(BODY_C);
    (void)cache_gc(c, 0, false, NULL, NULL);
    pull(c, BODY_A);
    close_marked(c);
}

/* The disk thread saves the map behind the back of the one who failed the blob. */
static void
wait_for_map(const struct cache_config *config, int body)
{
    char hex[129], path[512];
    digest_hex(&bodies[body].digest, hex);
    struct stat st;
    int64_t deadline_ms = clock_ms() + SOON_MS;
    (void)snprintf(path, sizeof path, "%s/partial/sha256-%s.0.map", config->dir, hex);
    while (stat(path, &st) < 0 && clock_ms() < deadline_ms) {
        clock_sleep_ms(1);
    }
}

static void
partial(struct cache_config *config)
{
    struct cache *c = open_marked(config);
    must(script_pull(c, BODY_LONG, 100 * KIB) == NULL);
    wait_for_map(config, BODY_LONG);
    must(script_pull(c, BODY_LONG, 280 * KIB) == NULL);
    close_marked(c);
    c = open_marked(config);
    must(script_pull(c, BODY_LONG, 290 * KIB) == NULL);
    pull(c, BODY_LONG);
    must(script_pull(c, BODY_C, 70 * KIB) == NULL);
    close_marked(c);
}

struct tag
script_tag(uint64_t value)
{
    return (struct tag){.digest = bodies[value % BODIES].digest,
                        .checked_wall_s = 1000 + (int64_t)value,
                        .size = value};
}

static void
put_tag(struct cache *c, uint64_t value)
{
    struct tag tag = script_tag(value);
    oplog_mark(MARK_TAG, value);
    cache_tag_put(c, TAG_KEY, &tag);
}

/* One run of the daemon that moves the tag from `first` to `last`. */
static void
move_tag(struct cache_config *config, uint64_t first, uint64_t last, bool rewrite)
{
    struct cache *c = open_marked(config);
    struct link link = {.size = bodies[BODY_TINY].len, .seen_wall_s = 9};
    struct tag other = script_tag(first);
    cache_tag_put(c, TAG_OTHER, &other);
    cache_link_put(c, "host/name", first, &bodies[BODY_TINY].digest, &link);
    for (uint64_t v = first; v <= last; v++) {
        put_tag(c, v);
    }
    cache_tag_drop(c, TAG_OTHER);
    if (rewrite) {
        lock_take(&c->facts_lock);
        c->rewrite = true;
        lock_drop(&c->facts_lock);
    }
    close_marked(c);
    oplog_mark(MARK_TAG_KEPT, last);
    oplog_mark(MARK_DROPPED, 0);
}

/* Written for the first time, appended to, written anew, appended to. */
static void
journal(struct cache_config *config)
{
    move_tag(config, 0, 2, false);
    move_tag(config, 3, 3 + TAGS, false);
    move_tag(config, 200, 205, true);
    move_tag(config, 210, 250, false);
}

/* What a clean stop says must not be believed after a start. */
static void
clean(struct cache_config *config)
{
    struct cache *c = open_marked(config);
    pull(c, BODY_A);
    close_marked(c);
    c = open_marked(config);
    pull(c, BODY_B);
    close_marked(c);
    c = open_marked(config);
    going(BODY_A);
    going(BODY_B);
    (void)cache_gc(c, bodies[BODY_B].len, false, NULL, NULL);
    pull(c, BODY_TINY);
    close_marked(c);
}

static void
wait_for_packed(struct cache *c)
{
    int64_t deadline_ms = clock_ms() + SOON_MS;
    struct cache_stats s;
    do {
        cache_get_stats(c, &s);
    } while (s.packed_blobs == 0 && clock_ms() < deadline_ms && sched_yield() == 0);
    must(s.packed_blobs == 1);
}

/* A text is packed, is there after a start, and goes. */
static void
packing(struct cache_config *config)
{
    struct cache_config packs = *config;
    packs.compress = true;
    packs.pack_idle_ms = 1;
    packs.pack_bytes_min = 64 * KIB;
    struct cache *c = open_marked(&packs);
    pull(c, BODY_TEXT);
    wait_for_packed(c);
    close_marked(c);
    c = open_marked(&packs);
    going(BODY_TEXT);
    (void)cache_gc(c, 0, false, NULL, NULL);
    close_marked(c);
}

static void
pin(struct cache *c, int body, bool pinned)
{
    oplog_mark(MARK_PINNING, (uint64_t)body);
    must(cache_pin(c, &bodies[body].digest, pinned) == 0);
}

static void
close_pinned(struct cache *c, int pinned, int unpinned)
{
    close_marked(c);
    oplog_mark(MARK_PINNED, (uint64_t)pinned);
    oplog_mark(MARK_UNPINNED, (uint64_t)unpinned);
}

/* A is pinned, then B instead; C does not fit beside both, and A leaves for it. */
static void
pins(struct cache_config *config)
{
    struct cache *c = open_marked(config);
    pull(c, BODY_A);
    pull(c, BODY_B);
    pin(c, BODY_A, true);
    close_pinned(c, BODY_A, BODY_B);
    c = open_marked(config);
    pin(c, BODY_B, true);
    pin(c, BODY_A, false);
    close_pinned(c, BODY_B, BODY_A);
    c = open_marked(config);
    going(BODY_A);
    pull(c, BODY_C);
    must(cache_stored(c, &bodies[BODY_B].digest) > 0);
    close_pinned(c, BODY_B, BODY_C);
}

/* ---- containerd's store ---- */

/* The folder in which containerd keeps its files, which was there before all this; to be closed. */
static int
content_folder(const struct cache_config *config)
{
    AUTO(fd_close) int above = -1;
    int fd = -1, below = -1, rc = fs_open_dir(config->content_dir, true, &fd);
    must(rc == 0 && fs_open_dir(config->dir, false, &above) == 0 && fs_sync(above) == 0);
    static const char *const names[] = {"blobs", "sha256"};
    for (size_t i = 0; i < ARRAY_LEN(names) && rc == 0; i++) {
        rc = fs_make_dir_at(fd, names[i]);
        rc = rc < 0 ? rc : fs_sync(fd);
        rc = rc < 0 ? rc : fs_open_at(fd, names[i], O_RDONLY | O_DIRECTORY, &below);
        fd_close(&fd);
        fd = below;
    }
    must(rc == 0);
    return fd;
}

/* As containerd does it: the bytes are synced, the name is not. */
static void
content_stores(const struct cache_config *config, int body)
{
    AUTO(fd_close) int dir_fd = content_folder(config);
    AUTO(fd_close) int fd = -1;
    char hex[129];
    digest_hex(&bodies[body].digest, hex);
    must(fs_open_at(dir_fd, "ingest", O_RDWR | O_CREAT, &fd) == 0);
    must(fs_write_at(fd, 0, bodies[body].bytes, bodies[body].len) == 0 && fs_sync(fd) == 0);
    must(fs_rename_at(dir_fd, "ingest", dir_fd, hex) == 0);
}

static void
content_removes(const struct cache_config *config, int body)
{
    AUTO(fd_close) int dir_fd = content_folder(config);
    char hex[129];
    digest_hex(&bodies[body].digest, hex);
    must(fs_unlink_at(dir_fd, hex) == 0);
}

/* Its own copies, and containerd's, as they are seen. */
static void
wait_for_blobs(struct cache *c, uint64_t own, uint64_t foreign)
{
    int64_t deadline_ms = clock_ms() + SOON_MS;
    struct cache_stats s;
    do {
        clock_sleep_ms(1);
        cache_get_stats(c, &s);
    } while ((s.blobs != own || s.content_blobs != foreign) && clock_ms() < deadline_ms);
    must(s.blobs == own && s.content_blobs == foreign);
}

/* Of A, which containerd has, our copy leaves; when containerd drops it, it is fetched again. */
static void
containerd(struct cache_config *config)
{
    struct cache *c = open_marked(config);
    pull(c, BODY_A);
    pull(c, BODY_TINY);
    content_stores(config, BODY_A);
    wait_for_blobs(c, 1, 1);
    close_marked(c);
    c = open_marked(config);
    wait_for_blobs(c, 1, 1);
    pull(c, BODY_A);
    going(BODY_A);
    content_removes(config, BODY_A);
    wait_for_blobs(c, 1, 0);
    pull(c, BODY_A);
    close_marked(c);
}

#define BIT(body) (1u << (body))
#define PLENTY    (64u * 1024 * KIB)

const struct script scripts[] = {
    {"publish", PLENTY, BIT(BODY_A) | BIT(BODY_TINY) | BIT(BODY_LONG), publish, false},
    {"batch", PLENTY, (BIT(BODIES) - 1) & ~(BIT(BODY_TINY) - 1), batch, false},
    {"evict", 300 * KIB, BIT(BODY_A) | BIT(BODY_B) | BIT(BODY_C), evict, false},
    {"partial", PLENTY, BIT(BODY_LONG) | BIT(BODY_C), partial, false},
    {"journal", PLENTY, BIT(BODY_TINY), journal, false},
    {"packing", PLENTY, BIT(BODY_TEXT), packing, false},
    {"clean", PLENTY, BIT(BODY_A) | BIT(BODY_B) | BIT(BODY_TINY), clean, false},
    {"pins", 300 * KIB, BIT(BODY_A) | BIT(BODY_B) | BIT(BODY_C), pins, false},
    {"containerd", PLENTY, BIT(BODY_A) | BIT(BODY_TINY), containerd, true},
};
const size_t scripts_count = ARRAY_LEN(scripts);
