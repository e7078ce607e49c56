/* Every state that a power cut may leave: each prefix of what a script did to the disk, combined
 * with what may become of the calls that were not synced (disk.h). In each state the cache starts,
 * serves no wrong byte, has lost nothing that it called durable, and works on.
 *
 *   explore [SCRIPT...] [--shuffles N] [--seed N]
 *
 * A state that fails is named with the calls that led to it. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/inside.h"
#include "tests/crash/disk.h"
#include "tests/crash/script.h"
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAILURES_MAX  5
#define STATE_LIMIT_S 30
#define VERDICT_MAX   256
#define SOON_MS       10000

struct options {
    const char *only[8];
    size_t only_count;
    uint64_t shuffles, seed;
};

/* What the script's marks promise at a moment. */
struct promises {
    bool whole[BODIES];
    enum { PIN_ANY, PIN_YES, PIN_NO } pins[BODIES];
    bool maybe_sure;  /* a marker of a clean stop may be there */
    bool dropped;     /* the other tag is gone for good */
    int64_t tag_kept; /* -1: none */
    int64_t tag_last; /* the highest value that was put */
};

struct sum {
    uint64_t states, same, failures;
};

static char dir[64];
static char content_dir[80];
static char *verdict; /* shared with the child that judges */

static struct cache_config
config_of(const struct script *s, uint64_t size_bytes)
{
    return (struct cache_config){.dir = dir,
                                 .size_bytes = size_bytes,
                                 .cpus = 1,
                                 .content_dir = s->containerd ? content_dir : NULL,
                                 .content_owns = s->containerd};
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    return at->level == 0 ? 0 : remove(path);
}

static void
empty_dir(void)
{
    must(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static void
keep(struct promises *p, const struct op *op)
{
    if (op->kind != OP_MARK) {
        return;
    }
    switch ((enum mark)op->at) {
    case MARK_WHOLE:
        p->whole[op->len] = true;
        break;
    case MARK_GOING:
        p->whole[op->len] = false;
        break;
    case MARK_TAG:
        p->tag_last = (int64_t)op->len;
        break;
    case MARK_TAG_KEPT:
        p->tag_kept = (int64_t)op->len;
        break;
    case MARK_DROPPED:
        p->dropped = true;
        break;
    case MARK_CLOSING:
        p->maybe_sure = true;
        break;
    case MARK_OPENED:
        p->maybe_sure = p->dropped = false; /* the script puts the other tag again */
        break;
    case MARK_PINNING:
        p->pins[op->len] = PIN_ANY;
        break;
    case MARK_PINNED:
        p->pins[op->len] = PIN_YES;
        break;
    case MARK_UNPINNED:
        p->pins[op->len] = PIN_NO;
        break;
    }
}

/* ---- judging one state, in a child ---- */

/* What a child that dies or hangs was at. */
static void
at_work(const char *what, int body)
{
    (void)snprintf(verdict, VERDICT_MAX, "it died or hung: %s %d", what, body);
}

static const char *
judge_tags(struct cache *c, const struct promises *p)
{
    struct tag got;
    if (p->dropped && cache_tag_get(c, TAG_OTHER, &got)) {
        return "a tag that was dropped is back";
    }
    if (!cache_tag_get(c, TAG_KEY, &got)) {
        return p->tag_kept >= 0 ? "a tag that was kept is lost" : NULL;
    }
    struct tag want = script_tag(got.size);
    if ((int64_t)got.size > p->tag_last || !digest_equal(&got.digest, &want.digest) ||
        got.checked_wall_s != want.checked_wall_s) {
        return "a tag has a value that it never had";
    }
    return (int64_t)got.size < p->tag_kept ? "a tag has an old value" : NULL;
}

/* Here, or in containerd's store, which is listed behind the start. */
static bool
is_stored(struct cache *c, const struct script *s, int body)
{
    int64_t deadline_ms = clock_ms() + SOON_MS;
    bool stored;
    while (!(stored = cache_stored(c, &bodies[body].digest) == bodies[body].len) && s->containerd &&
           clock_ms() < deadline_ms) {
        clock_sleep_ms(1);
    }
    return stored;
}

static const char *
judge_blob(struct cache *c, const struct script *s, int body, const struct promises *p)
{
    struct blob_info info;
    if (p->whole[body] && !is_stored(c, s, body)) {
        return "a durable blob is lost";
    }
    if (p->whole[body] && p->pins[body] != PIN_ANY &&
        (cache_info(c, &bodies[body].digest, &info) < 0 ||
         info.pinned != (p->pins[body] == PIN_YES))) {
        return "a pin is lost, or back";
    }
    at_work("pulling body", body);
    const char *wrong = script_pull(c, body, UINT64_MAX);
    return wrong == NULL && body == BODY_LONG ? script_ask_words(c, body) : wrong;
}

static bool
has_file(const char *name)
{
    AUTO(mem_free_text) char *path = mem_printf("%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

/* Nothing in partial/ but files that belong together. */
static const char *
judge_orphans(void)
{
    AUTO(mem_free_text) char *path = mem_printf("%s/partial", dir);
    unsigned maps = 0, files = 0;
    DIR *list = opendir(path);
    const struct dirent *e;
    while (list != NULL && (e = readdir(list)) != NULL) {
        files += e->d_name[0] != '.';
        maps += strstr(e->d_name, ".map") != NULL;
    }
    if (list != NULL) {
        (void)closedir(list);
    }
    return files == 2 * maps ? NULL : "an orphan in partial/";
}

static const char *
judge_again(const struct cache_config *config, const struct script *s)
{
    at_work("opening", 2);
    struct cache *c = script_open(config);
    struct tag got;
    const char *wrong =
        cache_tag_get(c, "host/after:tag", &got) ? NULL : "a tag of the second run is lost";
    for (int i = 0; i < BODIES && wrong == NULL; i++) {
        if ((s->bodies >> i & 1) != 0 && !is_stored(c, s, i)) {
            wrong = "a blob of the second run is lost";
        }
    }
    cache_check(c);
    cache_close(c);
    return wrong;
}

static const char *
judge(const struct script *s, const struct promises *p)
{
    struct cache_config config = config_of(s, 64u << 20);
    if (has_file("clean") && !p->maybe_sure) {
        return "the marker of a clean stop outlived the next start";
    }
    at_work("opening", 1);
    struct cache *c = script_open(&config);
    cache_check(c);
    const char *wrong = judge_tags(c, p);
    for (int i = 0; i < BODIES && wrong == NULL; i++) {
        if ((s->bodies >> i & 1) != 0) {
            wrong = judge_blob(c, s, i, p);
        }
    }
    cache_check(c);
    struct tag tag = script_tag(7);
    cache_tag_put(c, "host/after:tag", &tag);
    at_work("closing", 1);
    cache_close(c);
    if (wrong == NULL) {
        wrong = judge_orphans();
    }
    return wrong == NULL ? judge_again(&config, s) : wrong;
}

/* Also a child that dies or hangs is a verdict. */
static bool
state_is_right(const struct script *s, const struct promises *p)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        (void)alarm(STATE_LIMIT_S);
        const char *wrong = judge(s, p);
        (void)snprintf(verdict, VERDICT_MAX, "%s", wrong == NULL ? "" : wrong);
        _exit(wrong == NULL ? 0 : 1);
    }
    int status;
    must(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- all states ---- */

static void
tell_failure(const struct script *s, const struct oplog *log, size_t count, enum cut how,
             uint64_t seed)
{
    (void)printf("%s: after %zu calls, %s (seed %llu): %s\n", s->name, count, cut_name(how),
                 (unsigned long long)seed, verdict);
    for (size_t i = count < 6 ? 0 : count - 6; i < count; i++) {
        const struct op *op = &log->ops[i];
        (void)printf("    %4zu %-9s inode %llu at %llu len %llu %s %s\n", i, oplog_kind(op->kind),
                     (unsigned long long)op->inode, (unsigned long long)op->at,
                     (unsigned long long)op->len, op->name, op->to_name);
    }
}

static bool
is_new(uint64_t hash, uint64_t **seen, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        if ((*seen)[i] == hash) {
            return false;
        }
    }
    *seen = mem_realloc(*seen, (*count + 1) * sizeof **seen);
    (*seen)[(*count)++] = hash;
    return true;
}

/* One prefix in all its cuts. What is the same as the state of the prefix before, with the same
 * promises, was judged already. */
static void
explore_prefix(const struct script *s, const struct oplog *log, const size_t *kept_by, size_t count,
               const struct promises *p, const struct options *o, struct sum *sum, uint64_t **seen,
               size_t *seen_count)
{
    uint64_t cuts = CUT_SHUFFLED + o->shuffles;
    for (uint64_t i = 0; i < cuts && sum->failures < FAILURES_MAX; i++) {
        enum cut how = i < CUT_SHUFFLED ? (enum cut)i : CUT_SHUFFLED;
        uint64_t seed = o->seed + count * 1000 + i;
        struct disk *d = disk_after(log, kept_by, count, how, seed);
        uint64_t parts[2] = {disk_hash(d), hash_bytes(p, sizeof *p)};
        if (!is_new(hash_bytes(parts, sizeof parts), seen, seen_count)) {
            sum->same++;
        } else {
            empty_dir();
            disk_make(d, dir);
            sum->states++;
            if (!state_is_right(s, p)) {
                tell_failure(s, log, count, how, seed);
                sum->failures++;
            }
        }
        disk_free(d);
    }
}

static void
explore(const struct script *s, const struct options *o, struct sum *all)
{
    struct cache_config config = config_of(s, s->cap_bytes);
    int64_t begun_ms = clock_ms();
    empty_dir();
    oplog_begin(dir);
    s->run(&config);
    const struct oplog *log = oplog_end();

    struct promises p;
    memset(&p, 0, sizeof p); /* it is hashed with its padding */
    p.tag_kept = p.tag_last = -1;
    struct sum sum = {0};
    uint64_t *seen = NULL;
    size_t seen_count = 0;
    size_t *kept_by = disk_kept_by(log);
    for (size_t count = 0; count <= log->count && sum.failures < FAILURES_MAX; count++) {
        explore_prefix(s, log, kept_by, count, &p, o, &sum, &seen, &seen_count);
        if (count < log->count) {
            keep(&p, &log->ops[count]);
        }
    }
    mem_free(kept_by);
    mem_free(seen);
    (void)printf("%-8s %4zu calls, %5llu states (%llu more are the same), %llu wrong, %.1f s\n",
                 s->name, log->count, (unsigned long long)sum.states, (unsigned long long)sum.same,
                 (unsigned long long)sum.failures, (double)(clock_ms() - begun_ms) / 1000);
    all->states += sum.states;
    all->failures += sum.failures;
}

static bool
picked(const struct options *o, const char *name)
{
    for (size_t i = 0; i < o->only_count; i++) {
        if (strcmp(o->only[i], name) == 0) {
            return true;
        }
    }
    return o->only_count == 0;
}

static struct options
read_options(int argc, char **argv)
{
    struct options o = {.shuffles = 64, .seed = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--shuffles") == 0 && i + 1 < argc) {
            o.shuffles = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            o.seed = strtoull(argv[++i], NULL, 10);
        } else if (o.only_count < ARRAY_LEN(o.only)) {
            o.only[o.only_count++] = argv[i];
        }
    }
    return o;
}

int
main(int argc, char **argv)
{
    struct options o = read_options(argc, argv);
    struct sum all = {0};
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(dir, sizeof dir, "%s/peersync-crash-XXXXXX", base);
    must(mkdtemp(dir) != NULL);
    (void)snprintf(content_dir, sizeof content_dir, "%s/" SCRIPT_CONTENT, dir);
    verdict = mmap(NULL, VERDICT_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(verdict != MAP_FAILED);
    log_configure(LOG_ERROR, false);
    script_make_bodies();
    for (size_t i = 0; i < scripts_count; i++) {
        if (picked(&o, scripts[i].name)) {
            explore(&scripts[i], &o, &all);
        }
    }
    empty_dir();
    must(rmdir(dir) == 0);
    (void)printf("%llu states, %llu wrong\n", (unsigned long long)all.states,
                 (unsigned long long)all.failures);
    return all.failures == 0 && all.states > 0 ? 0 : 1;
}
