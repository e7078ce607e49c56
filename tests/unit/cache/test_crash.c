/* The cache is stopped at every file-system call, killed at random, and refused by the disk at
 * every call; after each it must open, serve no wrong byte, and work again. */
#include "base/fault.h"
#include "cache/cache.h"
#include "cache/inside.h"
#include "tests/unit/cache/room.h"
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define CAP_BYTES (1000u * KIB)
#define STOPPED   77 /* exit code of a child that met its fault point */

/* Every call in the plain build; a sample of them under a sanitizer or an emulator, which is
 * slower. */
#if defined(__SANITIZE_THREAD__)
#define CALL_STEP 31
#elif defined(__SANITIZE_ADDRESS__) || defined(EMULATED)
#define CALL_STEP 7
#else
#define CALL_STEP 1
#endif

/* What the script stores; the cap holds all but `late`, which makes the oldest leave. */
enum { EARLY, SMALL, PARTIAL, LATE, AFTER, BODIES };
static const size_t body_size[BODIES] = {380 * KIB, 900, 310 * KIB, 450 * KIB, 80 * KIB};

struct world {
    char dir[64];
    struct cache_config config;
    struct digest digest[BODIES];
    uint8_t *body[BODIES];
    _Atomic bool *durable; /* shared with the child: told WHOLE and not evicted since */
};

static void
world_init(struct world *w)
{
    log_configure(LOG_ERROR, true);
    *w = (struct world){.config = {.size_bytes = CAP_BYTES, .cpus = 1}};
    make_folder(w->dir);
    w->config.dir = w->dir;
    for (int i = 0; i < BODIES; i++) {
        w->body[i] = make_body(1000 + (uint64_t)i, body_size[i], &w->digest[i]);
    }
    w->durable = mmap(NULL, BODIES * sizeof w->durable[0], PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(w->durable != MAP_FAILED);
}

static void
empty_dir(const struct world *w)
{
    (void)nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    (void)mkdir(w->dir, 0700);
    for (int i = 0; i < BODIES; i++) {
        atomic_store(&w->durable[i], false);
    }
}

static void
world_release(struct world *w)
{
    (void)nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    for (int i = 0; i < BODIES; i++) {
        mem_free(w->body[i]);
    }
    (void)munmap((void *)(uintptr_t)w->durable, BODIES * sizeof w->durable[0]);
}

/* Fetches a blob as far as `upto` and reads what is there; true when it became WHOLE. Every
 * byte that can be read must be right, whatever fails. */
static bool
pull(struct world *w, struct cache *c, int i, uint64_t upto)
{
    enum cache_got got;
    struct blob *b = cache_acquire(c, &w->digest[i], &got);
    struct gap gap;
    int rc = got == CACHE_LEAD ? blob_begin(b, body_size[i]) : 0;
    while (rc == 0 && got == CACHE_LEAD && blob_claim(b, UINT64_MAX, &gap)) {
        uint64_t end = gap.end < upto ? gap.end : upto;
        while (rc == 0 && gap.start < end) {
            uint64_t n = end - gap.start < 256 * KIB ? end - gap.start : 256 * KIB;
            rc = blob_write(b, gap.start, w->body[i] + gap.start, (size_t)n, BLOB_FROM_UPSTREAM);
            gap.start += n;
        }
        if (end < body_size[i]) {
            rc = ERR_UPSTREAM;
        }
    }
    if (rc < 0) {
        blob_fail(b, rc);
    }
    bool whole = wait_for_end(b) == BLOB_WHOLE;
    uint64_t read = read_and_compare(b, w->body[i], 0, body_size[i]);
    if (whole && read == body_size[i]) {
        atomic_store(&w->durable[i], true);
    }
    blob_release(&b);
    return whole;
}

static struct tag
some_tag(const struct world *w)
{
    return (struct tag){.digest = w->digest[SMALL], .checked_wall_s = 9, .size = body_size[SMALL]};
}

/* Store, continue, evict, tag: everything that touches the disk. */
static void
script(struct world *w, struct cache *c)
{
    struct tag tag = some_tag(w);
    struct link link = {.size = body_size[EARLY], .seen_wall_s = 9};
    (void)pull(w, c, EARLY, UINT64_MAX);
    int rc = put_whole(c, &w->digest[SMALL], w->body[SMALL], body_size[SMALL]);
    if (rc == 0) {
        atomic_store(&w->durable[SMALL], true);
    }
    cache_tag_put(c, "host/name:tag", &tag);
    cache_tag_put(c, "host/name:gone", &tag);
    cache_tag_drop(c, "host/name:gone");
    cache_link_put(c, "host/name", 0, &w->digest[EARLY], &link);
    (void)pull(w, c, PARTIAL, 100 * KIB);
    atomic_store(&w->durable[EARLY], false);
    (void)pull(w, c, LATE, UINT64_MAX);
    (void)pull(w, c, PARTIAL, 290 * KIB);
    for (int i = 0; i < BODIES; i++) {
        atomic_store(&w->durable[i], false);
    }
    (void)cache_gc(c, CAP_BYTES / 2, false, NULL, NULL);
}

/* Nothing in partial/ but files that belong together. */
static void
check_no_orphans(const struct world *w)
{
    struct room r;
    (void)snprintf(r.dir, sizeof r.dir, "%s", w->dir);
    assert_int_equal(count_files(&r, "partial", ".tmp"), 0);
    unsigned maps = count_files(&r, "partial", ".map");
    assert_int_equal(count_files(&r, "partial", ""), 2 * maps);
}

static bool
is_known(struct cache *c, const struct digest *d)
{
    struct blob_info info;
    return cache_info(c, d, &info) == 0 && info.phase == BLOB_WHOLE;
}

/* Opens what is left, finds what was promised, and uses it once more. */
static void
check_after(struct world *w)
{
    struct cache *c;
    struct err e;
    struct tag tag, want = some_tag(w);
    if (cache_open(&w->config, &c, &e) < 0) {
        fail_msg("%s", e.text);
    }
    cache_check(c);
    for (int i = 0; i < BODIES; i++) {
        if (atomic_load(&w->durable[i]) && !is_known(c, &w->digest[i])) {
            fail_msg("body %d was WHOLE and is lost", i);
        }
    }
    assert_false(cache_tag_get(c, "host/name:gone", &tag) &&
                 !digest_equal(&tag.digest, &want.digest));
    if (cache_tag_get(c, "host/name:tag", &tag)) {
        assert_true(digest_equal(&tag.digest, &want.digest));
    }
    for (int i = 0; i < BODIES; i++) {
        assert_true(pull(w, c, i, UINT64_MAX));
    }
    cache_check(c);
    cache_close(c);
    check_no_orphans(w);
}

static void
stop_here(const char *name)
{
    (void)name;
    _exit(STOPPED);
}

static void
child_runs_script(struct world *w, uint64_t stop_at)
{
    struct cache *c;
    struct err e;
    fault_arm(stop_at, 0, false, stop_here);
    if (cache_open(&w->config, &c, &e) < 0) {
        _exit(1);
    }
    script(w, c);
    cache_close(c);
    _exit(0);
}

static void
a_stop_at_every_file_system_call_is_survived(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    uint64_t n = 1;
    for (;; n += CALL_STEP) {
        empty_dir(&w);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            child_runs_script(&w, n);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFEXITED(status) || (WEXITSTATUS(status) != STOPPED && WEXITSTATUS(status) != 0)) {
            fail_msg("stop at call %llu: child ended with %x", (unsigned long long)n, status);
        }
        check_after(&w);
        if (WEXITSTATUS(status) == 0) {
            break;
        }
    }
    print_message("stopped at every %dth of %llu calls\n", CALL_STEP, (unsigned long long)n - 1);
    assert_true(n > 60);
    world_release(&w);
}

static void
a_kill_at_a_random_moment_is_survived(void **state)
{
    (void)state;
    struct world w;
    struct rng rng;
    world_init(&w);
    rng_init(&rng, 20260101);
    unsigned killed = 0;
    for (int i = 0; i < 100; i += CALL_STEP) {
        empty_dir(&w);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            child_runs_script(&w, UINT64_MAX);
        }
        clock_sleep_ms((int64_t)rng_below(&rng, 12));
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        check_after(&w);
    }
    print_message("%u children killed in the middle\n", killed);
    world_release(&w);
}

/* The script against a disk that refuses the nth call (and all behind it, if `every`). Returns
 * false when there was no nth call. */
static bool
refuse(struct world *w, uint64_t n, int error_number, bool every)
{
    struct cache *c = NULL;
    struct err e;
    empty_dir(w);
    fault_arm(n, error_number, every, NULL);
    bool opened = cache_open(&w->config, &c, &e) == 0;
    if (opened) {
        script(w, c);
    }
    bool reached = fault_count() >= n;
    fault_disarm();
    if (opened) {
        /* The disk works again: so does the cache, by itself. */
        cache_check(c);
        for (int i = 0; i < BODIES; i++) {
            if (!pull(w, c, i, UINT64_MAX)) {
                fail_msg("refused call %llu: body %d cannot be stored afterwards",
                         (unsigned long long)n, i);
            }
        }
        struct cache_stats s;
        cache_get_stats(c, &s);
        assert_false(s.degraded);
        cache_check(c);
        cache_close(c);
    }
    for (int i = 0; i < BODIES; i++) {
        atomic_store(&w->durable[i], false); /* the last pulls may have evicted the first */
    }
    check_after(w);
    return reached;
}

static void
refuse_every_call(int error_number, bool every)
{
    struct world w;
    world_init(&w);
    uint64_t n = 1;
    while (refuse(&w, n, error_number, every)) {
        n += CALL_STEP;
    }
    print_message("%s at every %dth of %llu calls, %s\n", error_number == EIO ? "EIO" : "ENOSPC",
                  CALL_STEP, (unsigned long long)n - 1, every ? "from there on" : "once");
    assert_true(n > 20);
    world_release(&w);
}

static void
an_io_error_at_any_call_is_survived(void **state)
{
    (void)state;
    refuse_every_call(EIO, false);
}

static void
a_full_disk_at_any_call_is_survived(void **state)
{
    (void)state;
    refuse_every_call(ENOSPC, false);
}

static void
a_disk_that_fails_from_any_call_on_is_survived(void **state)
{
    (void)state;
    refuse_every_call(EIO, true);
}

static void
a_disk_that_is_full_from_any_call_on_is_survived(void **state)
{
    (void)state;
    refuse_every_call(ENOSPC, true);
}

/* An argument picks tests by pattern, e.g. "*kill*". */
int
main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_at_every_file_system_call_is_survived),
        cmocka_unit_test(a_kill_at_a_random_moment_is_survived),
        cmocka_unit_test(an_io_error_at_any_call_is_survived),
        cmocka_unit_test(a_full_disk_at_any_call_is_survived),
        cmocka_unit_test(a_disk_that_fails_from_any_call_on_is_survived),
        cmocka_unit_test(a_disk_that_is_full_from_any_call_on_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
