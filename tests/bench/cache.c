/* What a full cache costs: `make bench-cache`. All of it on a real folder with real files.
 *
 *   cache DIR [--blobs N] [--check]
 *
 * Two indexes are compared, N blobs and N / 10: what does not depend on their number costs the
 * same. --check: the exit code says whether that and the memory hold; times are only shown. Each
 * part runs in a process of its own, so that its memory is its own. */
#include "cache/cache.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOKS       200000u
#define ACQUIRES    20000u
#define DECISIONS   1000u
#define SMALL_BLOBS 2000u
#define SMALL_BYTES 2048u
#define LANES       8u
/* The cap of the index is what its files need and this. */
#define SLACK_BYTES (64u << 20)
#define NOISE_BYTES (256u << 10) /* between two starts of one size: heaps of threads */

/* What one index costs. Shared by the processes. */
struct cost {
    double start_ms, again_ms; /* after a clean stop, and after a kill */
    double resident_bytes;     /* that the start added */
    double look_ns, acquire_us, gone_ns;
    double evict_p50_us, evict_p99_us;
};

struct bench {
    char dir[256];
    unsigned blobs;
    struct cost *cost;
    double *small_a_second;
};

static struct digest
digest_no(uint64_t n, uint8_t ret_bytes[16])
{
    struct digest d;
    (void)snprintf((char *)ret_bytes, 16, "%015llx", (unsigned long long)n);
    digest_of(DIGEST_SHA256, ret_bytes, 16, &d);
    return d;
}

/* Without pages of programs and libraries: when those come is chance, and they are megabytes. */
static uint64_t
resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long all = 0, resident = 0, of_files = 0;
    must(f != NULL && fscanf(f, "%lu %lu %lu", &all, &resident, &of_files) == 3);
    (void)fclose(f);
    return (resident - of_files) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double
ms_since(int64_t begun_us)
{
    return (double)(clock_us() - begun_us) / 1000;
}

/* ---- parts ---- */

/* The files as the cache would have stored them; syncing each would take an hour. */
static void
make_files(struct bench *b)
{
    for (unsigned i = 0; i < b->blobs; i++) {
        uint8_t bytes[16];
        char hex[129];
        struct digest d = digest_no(i, bytes);
        digest_hex(&d, hex);
        AUTO(mem_free_text) char *shard = mem_printf("%s/blobs/sha256/%.2s", b->dir, hex);
        AUTO(fd_close) int dir_fd = -1, fd = -1;
        must(fs_open_dir(shard, true, &dir_fd) == 0);
        must(fs_open_at(dir_fd, hex, O_WRONLY | O_CREAT, &fd) == 0);
        must(fs_write_at(fd, 0, bytes, sizeof bytes) == 0);
    }
}

static struct cache *
open_cache(const struct bench *b)
{
    struct cache_config config = {
        .dir = b->dir, .size_bytes = b->blobs * 16u + SLACK_BYTES, .cpus = 1};
    struct cache *c;
    struct err e;
    if (cache_open(&config, &c, &e) < 0) {
        (void)fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    return c;
}

/* Every blob is used once: the journal has an age of each, as on a node that has run. */
static void
use_all(struct bench *b)
{
    struct cache *c = open_cache(b);
    for (unsigned i = 0; i < b->blobs; i++) {
        uint8_t bytes[16];
        struct digest d = digest_no(i, bytes);
        struct blob *blob = cache_find(c, &d);
        must(blob != NULL);
        struct blob_state s;
        do {
            blob_wait(blob, 15, clock_ms() + 10000, &s); /* its tail is held until it is sure */
        } while (s.phase == BLOB_FILLING);
        must(s.phase == BLOB_WHOLE);
        blob_release(&blob);
    }
    cache_close(c);
}

/* Memory after a clean start; then a crash. */
static void
start_clean(struct bench *b)
{
    /* What the first start of a process costs anyway is not the blobs'. */
    uint64_t before = resident_bytes();
    int64_t begun_us = clock_us();
    struct cache *c = open_cache(b);
    b->cost->start_ms = ms_since(begun_us);
    b->cost->resident_bytes = (double)resident_bytes() - (double)before;
    must(c != NULL);
}

static int
rising(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void
decide(struct bench *b, struct cache *c)
{
    static double us[DECISIONS];
    struct cache_stats s;
    cache_get_stats(c, &s);
    for (unsigned i = 0; i < DECISIONS; i++) {
        int64_t begun_us = clock_us();
        (void)cache_gc(c, s.used_bytes - 1, true, NULL, NULL);
        us[i] = (double)(clock_us() - begun_us);
    }
    qsort(us, DECISIONS, sizeof us[0], rising);
    b->cost->evict_p50_us = us[DECISIONS / 2];
    b->cost->evict_p99_us = us[DECISIONS * 99 / 100];
}

/* Also the start after a kill. */
static void
use(struct bench *b)
{
    struct rng rng;
    uint64_t found = 0;
    uint8_t bytes[16];
    rng_init(&rng, 1);
    int64_t begun_us = clock_us();
    struct cache *c = open_cache(b);
    b->cost->again_ms = ms_since(begun_us);

    struct digest *known = mem_alloc(LOOKS * sizeof *known);
    for (unsigned i = 0; i < LOOKS; i++) {
        known[i] = digest_no(rng_below(&rng, b->blobs), bytes);
    }
    begun_us = clock_us();
    for (unsigned i = 0; i < LOOKS; i++) {
        found += cache_stored(c, &known[i]);
    }
    b->cost->look_ns = ms_since(begun_us) * 1e6 / LOOKS;
    must(found == LOOKS * sizeof bytes);
    begun_us = clock_us();
    for (unsigned i = 0; i < LOOKS; i++) {
        known[i].bytes[0] ^= 0x55;
        known[i].bytes[9] ^= 0x55;
        found -= cache_stored(c, &known[i]) == 0;
    }
    b->cost->gone_ns = ms_since(begun_us) * 1e6 / LOOKS;
    begun_us = clock_us();
    for (unsigned i = 0; i < ACQUIRES; i++) {
        known[i].bytes[0] ^= 0x55;
        known[i].bytes[9] ^= 0x55;
        enum cache_got got;
        struct blob *blob = cache_acquire(c, &known[i], &got);
        must(got != CACHE_LEAD);
        blob_release(&blob);
    }
    b->cost->acquire_us = ms_since(begun_us) * 1e3 / ACQUIRES;
    mem_free(known);
    decide(b, c);
    cache_close(c);
}

/* ---- small blobs become durable ---- */

struct lane {
    pthread_t thread;
    struct cache *cache;
    unsigned first;
};

static void *
store_lane(void *arg)
{
    struct lane *l = arg;
    uint8_t bytes[SMALL_BYTES] = {0};
    struct gap gap;
    struct blob *held[SMALL_BLOBS / LANES];
    unsigned count = 0;
    for (unsigned i = l->first; i < SMALL_BLOBS; i += LANES) {
        struct digest d;
        (void)snprintf((char *)bytes, 32, "small %u", i);
        digest_of(DIGEST_SHA256, bytes, sizeof bytes, &d);
        enum cache_got got;
        struct blob *b = cache_acquire(l->cache, &d, &got);
        must(got == CACHE_LEAD && blob_begin(b, sizeof bytes) == 0);
        must(blob_claim(b, UINT64_MAX, &gap));
        must(blob_write(b, 0, bytes, sizeof bytes, BLOB_FROM_UPSTREAM) == 0);
        held[count++] = b;
    }
    for (unsigned i = 0; i < count; i++) {
        blob_release(&held[i]);
    }
    return NULL;
}

/* As fast as they come; the clock stops when the last one is durable. */
static void
store_small(struct bench *b)
{
    struct cache *c = open_cache(b);
    struct lane lanes[LANES];
    struct cache_stats s;
    int64_t begun_us = clock_us();
    cache_get_stats(c, &s);
    uint64_t want = s.blobs + SMALL_BLOBS;
    for (unsigned i = 0; i < LANES; i++) {
        lanes[i] = (struct lane){.cache = c, .first = i};
        must(pthread_create(&lanes[i].thread, NULL, store_lane, &lanes[i]) == 0);
    }
    for (unsigned i = 0; i < LANES; i++) {
        must(pthread_join(lanes[i].thread, NULL) == 0);
    }
    do {
        clock_sleep_ms(1);
        cache_get_stats(c, &s);
    } while (s.blobs < want);
    *b->small_a_second = SMALL_BLOBS * 1e3 / ms_since(begun_us);
    cache_close(c);
}

/* ---- all of it ---- */

/* A part in a process of its own; start_clean leaves the cache as a crash would. */
static void
apart(void (*part)(struct bench *b), struct bench *b)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        part(b);
        _exit(0);
    }
    int status;
    must(waitpid(pid, &status, 0) == pid);
    if (status != 0) {
        (void)fprintf(stderr, "a part of the bench ended with %d\n", status);
        exit(1);
    }
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void
measure(struct bench *b)
{
    must(mkdtemp(b->dir) != NULL);
    apart(make_files, b);
    apart(use_all, b);
    apart(start_clean, b);
    apart(use, b);
    apart(store_small, b);
    must(nftw(b->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static bool
row(const char *what, double few, double many, double goal, const char *unit)
{
    bool met = goal <= 0 || many <= goal;
    (void)printf("| %-46s | %9.2f | %9.2f | ", what, few, many);
    if (goal > 0) {
        (void)printf("%6.0f | %s |\n", goal, met ? "met" : "MISSED");
    } else {
        (void)printf("%6s | %s |\n", "", unit);
    }
    return met;
}

/* Beyond what the cache takes for any number of blobs; `noise` of it is chance. */
static double
bytes_a_blob(const struct bench *few, const struct bench *many, double noise)
{
    double more = many->cost->resident_bytes - few->cost->resident_bytes - noise;
    return more / (many->blobs - few->blobs);
}

static bool
print(const struct bench *few, const struct bench *many)
{
    const struct cost *f = few->cost, *m = many->cost;
    (void)printf("| what                                           | %9u | %9u |   goal |     |\n"
                 "|------------------------------------------------|----------:|----------:|"
                 "-------:|-----|\n",
                 few->blobs, many->blobs);
    bool met = row("start after a clean stop, ms", f->start_ms, m->start_ms, 2000, "");
    met = row("start after a kill, ms", f->again_ms, m->again_ms, 2000, "") && met;
    met = row("memory a blob, bytes (and of both, MiB)", f->resident_bytes / (1 << 20),
              bytes_a_blob(few, many, 0), 200, "") &&
          met;
    (void)row("looking up what is there, ns", f->look_ns, m->look_ns, 0, "");
    (void)row("looking up what is not, ns", f->gone_ns, m->gone_ns, 0, "");
    (void)row("acquire and release of a stored blob, us", f->acquire_us, m->acquire_us, 0, "");
    (void)row("eviction decision, median, us", f->evict_p50_us, m->evict_p50_us, 0, "");
    met = row("eviction decision, p99, us", f->evict_p99_us, m->evict_p99_us, 1000, "") && met;
    (void)row("small blobs that become durable, a second", *few->small_a_second,
              *many->small_a_second, 0, "");
    return met;
}

/* What must not depend on the number of blobs, with room for caches that grow too small. */
static bool
holds(const struct bench *few, const struct bench *many)
{
    const struct cost *f = few->cost, *m = many->cost;
    bool right = bytes_a_blob(few, many, NOISE_BYTES) <= 200 &&
                 m->look_ns <= 6 * f->look_ns + 200 && m->acquire_us <= 3 * f->acquire_us + 20 &&
                 m->evict_p50_us <= 3 * f->evict_p50_us + 100 &&
                 m->start_ms <= 10 * (10 * f->start_ms + 100);
    (void)printf("%s\n", right ? "what ten times the blobs cost is in proportion"
                               : "WRONG: ten times the blobs cost out of proportion");
    return right;
}

int
main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : "/tmp";
    unsigned blobs = 100000;
    bool check = false;
    for (int i = 2; i < argc; i++) {
        check = check || strcmp(argv[i], "--check") == 0;
        if (strcmp(argv[i], "--blobs") == 0 && i + 1 < argc) {
            blobs = (unsigned)strtoul(argv[++i], NULL, 10);
        }
    }
    log_configure(LOG_ERROR, false);
    struct {
        struct cost cost[2];
        double small[2];
    } *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shared != MAP_FAILED && blobs >= 10);
    struct bench bench[2];
    for (int i = 0; i < 2; i++) {
        bench[i] = (struct bench){.blobs = i == 0 ? blobs / 10 : blobs,
                                  .cost = &shared->cost[i],
                                  .small_a_second = &shared->small[i]};
        (void)snprintf(bench[i].dir, sizeof bench[i].dir, "%s/peersync-bench-XXXXXX", dir);
        measure(&bench[i]);
    }
    bool met = print(&bench[0], &bench[1]);
    return check ? !holds(&bench[0], &bench[1]) : !met;
}
