/* A cache in a folder of its own for one test, and bytes to put into it. */
#ifndef TESTS_UNIT_CACHE_ROOM_H
#define TESTS_UNIT_CACHE_ROOM_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cache/cache.h"
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB 1024u
#define MIB (1024u * KIB)
/* A deadline that only a broken cache meets. An emulated core is a slow one: what nobody waits for
 * gets a tenth of it. */
#ifdef EMULATED
#define SOON_MS 200000
#else
#define SOON_MS 20000
#endif

struct room {
    char dir[64];
    struct cache_config config;
    struct cache *cache;
};

__attribute__((unused)) static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

__attribute__((unused)) static void
room_open(struct room *r)
{
    r->config.dir = r->dir;
    struct err e;
    if (cache_open(&r->config, &r->cache, &e) < 0) {
        fail_msg("%s", e.text);
    }
}

/* A fresh folder; in memory where that is to be had: the disk's speed proves nothing here. */
__attribute__((unused)) static void
make_folder(char ret[64])
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(ret, 64, "%s/peersync-test-XXXXXX", base);
    assert_non_null(mkdtemp(ret));
}

/* A fresh folder and an open cache of size_bytes. */
__attribute__((unused)) static void
room_init(struct room *r, uint64_t size_bytes)
{
    log_configure(LOG_ERROR, false);
    *r = (struct room){.config = {.size_bytes = size_bytes, .cpus = 2}};
    make_folder(r->dir);
    room_open(r);
}

__attribute__((unused)) static void
room_reopen(struct room *r)
{
    cache_close(r->cache);
    room_open(r);
}

/* As after a crash: the marker of the clean stop goes. */
__attribute__((unused)) static void
room_reopen_unclean(struct room *r)
{
    char path[128];
    cache_close(r->cache);
    (void)snprintf(path, sizeof path, "%s/clean", r->dir);
    assert_int_equal(unlink(path), 0);
    room_open(r);
}

__attribute__((unused)) static void
room_release(struct room *r)
{
    cache_close(r->cache);
    (void)nftw(r->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Bytes that differ everywhere; free with mem_free. */
__attribute__((unused)) static uint8_t *
make_body(uint64_t seed, size_t len, struct digest *ret)
{
    struct rng rng;
    rng_init(&rng, seed);
    uint8_t *bytes = mem_alloc(len + 8);
    for (size_t i = 0; i < len; i += 8) {
        uint64_t x = rng_next(&rng);
        memcpy(bytes + i, &x, 8);
    }
    digest_of(DIGEST_SHA256, bytes, len, ret);
    return bytes;
}

/* cache_put, and until the disk has it. */
__attribute__((unused)) static int
put_whole(struct cache *c, const struct digest *d, const void *bytes, size_t len)
{
    int rc = cache_put(c, d, bytes, len, BLOB_FROM_UPSTREAM);
    AUTO(blob_release) struct blob *b = rc == 0 ? cache_find(c, d) : NULL;
    if (b == NULL) {
        return rc == 0 ? ERR_NOT_FOUND : rc;
    }
    struct blob_state s;
    int64_t deadline_ms = clock_ms() + SOON_MS;
    while (blob_look(b, len, &s), s.phase < BLOB_WHOLE && clock_ms() < deadline_ms) {
        clock_sleep_ms(1);
    }
    return s.phase == BLOB_WHOLE ? 0 : s.phase == BLOB_FAILED ? s.error : ERR_TIMEOUT;
}

/* Claims and writes until nothing is left, `step` bytes at a time. */
__attribute__((unused)) static int
fill_rest(struct blob *b, const uint8_t *body, size_t step)
{
    struct gap gap;
    while (blob_claim(b, UINT64_MAX, &gap)) {
        for (uint64_t at = gap.start; at < blob_claim_limit(b, &gap);) {
            uint64_t left = gap.end - at;
            size_t n = left < step ? (size_t)left : step;
            int rc = blob_write(b, at, body + at, n, BLOB_FROM_UPSTREAM);
            if (rc < 0) {
                return rc;
            }
            at += n;
        }
    }
    return 0;
}

__attribute__((unused)) static enum blob_phase
wait_for_end(struct blob *b)
{
    struct blob_state s;
    int64_t deadline_ms = clock_ms() + SOON_MS;
    do {
        blob_wait(b, UINT64_MAX, deadline_ms, &s);
        if (s.phase == BLOB_FILLING || s.phase == BLOB_VERIFIED) {
            clock_sleep_ms(1); /* WHOLE is no byte to wait for */
        }
    } while (s.phase != BLOB_WHOLE && s.phase != BLOB_FAILED && clock_ms() < deadline_ms);
    return s.phase;
}

/* Stores a body the long way: acquire, begin, write, wait. */
__attribute__((unused)) static void
store_body(struct room *r, const struct digest *d, const uint8_t *body, size_t len)
{
    enum cache_got got;
    struct blob *b = cache_acquire(r->cache, d, &got);
    assert_int_equal(got, CACHE_LEAD);
    assert_int_equal(blob_begin(b, len), 0);
    assert_int_equal(fill_rest(b, body, 256 * KIB), 0);
    assert_int_equal(wait_for_end(b), BLOB_WHOLE);
    blob_release(&b);
}

/* Reads [from, len) as a client does; returns how many bytes came and were right. */
__attribute__((unused)) static uint64_t
read_and_compare(struct blob *b, const uint8_t *body, uint64_t from, uint64_t len)
{
    uint8_t block[32 * KIB];
    uint64_t at = from;
    int64_t deadline_ms = clock_ms() + SOON_MS;
    while (at < len && clock_ms() < deadline_ms) {
        struct blob_state s;
        blob_wait(b, at, deadline_ms, &s);
        size_t want = len - at < sizeof block ? (size_t)(len - at) : sizeof block;
        int64_t n = blob_read(b, at, block, want);
        if (n <= 0) {
            break;
        }
        assert_memory_equal(block, body + at, (size_t)n);
        at += (uint64_t)n;
    }
    return at - from;
}

/* Names in DIR/below that contain `part`. */
__attribute__((unused)) static unsigned
count_files(const struct room *r, const char *below, const char *part)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", r->dir, below);
    DIR *dir = opendir(path);
    unsigned count = 0;
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        count += e->d_name[0] != '.' && strstr(e->d_name, part) != NULL;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return count;
}

__attribute__((unused)) static void
blob_path(const struct room *r, const struct digest *d, char ret[256])
{
    char hex[129];
    digest_hex(d, hex);
    (void)snprintf(ret, 256, "%s/blobs/%s/%.2s/%s", r->dir, digest_alg_name(d), hex, hex);
}

/* Flips one bit of a stored blob, as a rotten disk does. */
__attribute__((unused)) static void
rot(const struct room *r, const struct digest *d, off_t at)
{
    char path[256];
    uint8_t byte;
    struct stat st;
    blob_path(r, d, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
    fd_close(&fd);
}

#endif
