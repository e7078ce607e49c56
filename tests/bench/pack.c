/* What packing at rest (cache.compress) saves and costs, for files that are given as blobs:
 *
 *   pack FOLDER FILE...
 *
 * Each is stored in a cache in FOLDER, read as clients read (64 KiB at a time), packed, read again,
 * and read in ranges of 64 KiB at random places. Bytes come from memory in all cases: what is
 * compared is the work of the processor. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cache/cache.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STEP_BYTES    (64u * 1024)
#define QUIET_MS      1000
#define SLOW_BYTES_MS 8192 /* slower than it is anywhere */
#define RANGES        2000

struct body {
    uint8_t *bytes;
    size_t len;
    struct digest digest;
};

static struct body
load(const char *path)
{
    struct body b;
    struct stat st;
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0);
    b.len = (size_t)st.st_size;
    b.bytes = mem_alloc(b.len);
    must(fs_read_at(fd, 0, b.bytes, b.len) == 0);
    digest_of(DIGEST_SHA256, b.bytes, b.len, &b.digest);
    return b;
}

/* Bytes a second, one after the other or at random places. */
static double
rate(struct cache *c, const struct body *want, bool random)
{
    static uint8_t room[STEP_BYTES];
    struct rng rng;
    rng_init(&rng, 1);
    struct blob *b = cache_find(c, &want->digest);
    must(b != NULL);
    int64_t begun_us = clock_us();
    uint64_t bytes = 0, at = 0;
    for (unsigned i = 0; random ? i < RANGES : at < want->len; i++) {
        at = random ? rng_next(&rng) % (want->len - STEP_BYTES) : at;
        int64_t n = blob_read(b, at, room, STEP_BYTES);
        must(n > 0 && memcmp(room, want->bytes + at, (size_t)n) == 0);
        at += (uint64_t)n;
        bytes += (uint64_t)n;
    }
    int64_t took_us = clock_us() - begun_us;
    blob_release(&b);
    return (double)bytes * 1e6 / (double)(took_us > 0 ? took_us : 1);
}

static struct cache *
reopen(struct cache *c, struct cache_config *config, bool compress)
{
    struct err e;
    cache_close(c);
    config->compress = compress;
    config->pack_idle_ms = 1;
    if (cache_open(config, &c, &e) < 0) {
        (void)fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    return c;
}

static uint64_t
on_disk(struct cache *c, const struct body *b)
{
    struct blob_info info;
    must(cache_info(c, &b->digest, &info) == 0);
    return info.disk_bytes;
}

/* How long it took; 0: nothing happened for a while, so it stays as it came. */
static int64_t
wait_packed(struct cache *c, const struct body *b)
{
    int64_t begun_ms = clock_ms(), most_ms = QUIET_MS + (int64_t)(b->len / SLOW_BYTES_MS);
    struct cache_stats s;
    do {
        clock_sleep_ms(5);
        cache_get_stats(c, &s);
    } while (s.packed_blobs == 0 && clock_ms() - begun_ms < most_ms);
    return s.packed_blobs > 0 ? clock_ms() - begun_ms : 0;
}

static void
measure(struct cache_config *config, const char *path)
{
    struct body b = load(path);
    struct err e;
    struct cache *c;
    must(cache_open(config, &c, &e) == 0);
    must(cache_put(c, &b.digest, b.bytes, b.len, BLOB_FROM_UPSTREAM) == 0);
    double plain = rate(c, &b, false), plain_random = rate(c, &b, true);
    c = reopen(c, config, true);
    int64_t took_ms = wait_packed(c, &b);
    c = reopen(c, config, false);
    const char *name = strrchr(path, '/');
    (void)printf("%-24s %8.1f MB  on disk %5.1f %%  packed in %6.2f s\n"
                 "    read, MB/s          %8.0f as it came %8.0f now\n"
                 "    64 KiB anywhere     %8.0f as it came %8.0f now\n",
                 name ? name + 1 : path, (double)b.len / 1e6,
                 100.0 * (double)on_disk(c, &b) / (double)b.len, (double)took_ms / 1000,
                 plain / 1e6, rate(c, &b, false) / 1e6, plain_random / 1e6,
                 rate(c, &b, true) / 1e6);
    (void)cache_gc(c, 0, false, NULL, NULL);
    cache_close(c);
    mem_free(b.bytes);
}

int
main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "pack FOLDER FILE...\n");
        return 2;
    }
    struct cache_config config = {.dir = argv[1], .size_bytes = UINT64_C(1) << 40, .cpus = 1};
    log_configure(LOG_ERROR, false);
    for (int i = 2; i < argc; i++) {
        measure(&config, argv[i]);
    }
    return 0;
}
