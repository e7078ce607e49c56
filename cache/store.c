/* Names and durable publishing below the cache folder.
 *
 * A crash leaves, of one blob:
 *   during filling      data, perhaps a map of an earlier moment   -> continued, or removed
 *   before the rename   data and map                               -> continued at 100 %
 *   after the rename    the blob, perhaps its old map              -> the blob; the map is removed
 * Names are built from digests that were parsed, never from text of the network. */
#include "cache/store.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "sha512-" and 128 digits, ".", 20 digits, ".map.tmp" */
#define NAME_MAX_BYTES   192
#define FORMAT_NAME      "FORMAT"
#define FORMAT_BYTES_MAX 32
#define WORDS_SUFFIX     ".words"
/* People look at the newest failures; more would only eat the disk. */
#define QUARANTINE_MAX 8

static char *
sub_path(const struct store *s, const char *below)
{
    return mem_printf("%s/%s", s->dir, below);
}

static char *
shard_path(const struct store *s, const struct digest *d)
{
    char hex[129];
    digest_hex(d, hex);
    return mem_printf("%s/blobs/%s/%.2s", s->dir, digest_alg_name(d), hex);
}

static int
open_sub(const struct store *s, const char *below, bool create, int *ret_fd)
{
    AUTO(mem_free_text) char *path = sub_path(s, below);
    return fs_open_dir(path, create, ret_fd);
}

static void
name_partial(const struct digest *d, uint64_t gen, const char *suffix, char ret[NAME_MAX_BYTES])
{
    char hex[129];
    digest_hex(d, hex);
    int rc = text_printf(ret, NAME_MAX_BYTES, "%s-%s.%llu%s", digest_alg_name(d), hex,
                         (unsigned long long)gen, suffix);
    must(rc == 0);
}

/* One file in partial/ that gets its name. */
struct naming {
    int fd;
    char from[NAME_MAX_BYTES], to[NAME_MAX_BYTES];
    char *to_dir; /* path; freed by namings_free */
    int rc;       /* an error: it takes no further part */
};

static struct naming *
namings_new(size_t count)
{
    return mem_zalloc(count * sizeof(struct naming));
}

static void
namings_free(struct naming *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_free(list[i].to_dir);
    }
    mem_free(list);
}

static int
rename_one(int from_dir, const struct naming *n)
{
    AUTO(fd_close) int to_dir = -1;
    int rc = fs_open_dir(n->to_dir, true, &to_dir);
    return rc < 0 ? rc : fs_rename_at(from_dir, n->from, to_dir, n->to);
}

static bool
is_named_in(const struct naming *n, const char *to_dir)
{
    return n->rc == 0 && strcmp(n->to_dir, to_dir) == 0;
}

/* Syncs each folder once, for all that were named in it. */
static void
sync_folders(struct naming *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool done = list[i].rc < 0;
        for (size_t k = 0; k < i && !done; k++) {
            done = is_named_in(&list[k], list[i].to_dir);
        }
        if (done) {
            continue;
        }
        AUTO(fd_close) int to_dir = -1;
        int rc = fs_open_dir(list[i].to_dir, false, &to_dir);
        if (rc == 0) {
            rc = fs_sync(to_dir);
        }
        for (size_t k = i; k < count && rc < 0; k++) {
            if (is_named_in(&list[k], list[i].to_dir) || k == i) {
                list[k].rc = rc;
            }
        }
    }
}

/* Makes each file appear under its name so that a crash at any point leaves either the old state
 * or all of the new file. Order matters: data, then name, then folder. A name that is there is
 * replaced: the new file is synced and, for a blob, its digest was just checked, which is more
 * than is known of an old one. */
static void
publish(int from_dir, struct naming *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fs_start_writeback(list[i].fd, 0, 0); /* of all, before the first is waited for */
    }
    for (size_t i = 0; i < count; i++) {
        if (list[i].rc == 0) {
            list[i].rc = fs_sync(list[i].fd);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (list[i].rc == 0) {
            list[i].rc = rename_one(from_dir, &list[i]);
        }
    }
    sync_folders(list, count);
}

/* Best effort: a folder without a number is of version 1. */
static void
write_version(const struct store *s)
{
    AUTO(buf_release) struct buf text;
    buf_init(&text, FORMAT_BYTES_MAX);
    if (buf_printf(&text, "%d\n", STORE_VERSION) < 0 ||
        store_write_file(s, FORMAT_NAME, &text) < 0) {
        return;
    }
}

/* A disk that cannot be read is told by what is read next. */
static int
check_version(const struct store *s, struct err *e)
{
    AUTO(buf_release) struct buf text;
    buf_init(&text, FORMAT_BYTES_MAX);
    uint64_t version = UINT64_MAX; /* what is no number is not ours */
    int rc = store_read_file(s, FORMAT_NAME, &text);
    if (rc == -ENOENT || (rc == 0 && text.len == 0)) {
        write_version(s);
        return 0;
    }
    if (rc < 0 && rc != ERR_LIMIT) {
        return 0;
    }
    size_t digits = rc == 0 ? text.len - (text.data[text.len - 1] == '\n') : 0;
    if (text_u64(buf_text(&text), digits, &version) == 0 && version <= STORE_VERSION) {
        return 0;
    }
    return err_set(e, ERR_VERSION,
                   "%s/" FORMAT_NAME
                   ": a later version of peersync wrote this folder (we know %d); "
                   "install that one again or give another cache.dir. Nothing was changed",
                   s->dir, STORE_VERSION);
}

int
store_open(struct store *s, const char *dir, struct err *e)
{
    *s = (struct store){.dir = mem_strdup(dir), .lock_fd = -1};
    AUTO(fd_close) int dir_fd = -1;
    int rc = fs_open_dir(dir, true, &dir_fd);
    if (rc < 0) {
        return err_set(e, rc, "%s: %s", dir, err_text(rc));
    }
    rc = fs_open_at(dir_fd, "LOCK", O_RDWR | O_CREAT, &s->lock_fd);
    if (rc < 0) {
        return err_set(e, rc, "%s/LOCK: %s", dir, err_text(rc));
    }
    rc = fs_lock(s->lock_fd);
    if (rc < 0) {
        return err_set(e, rc, "%s: %s", dir,
                       rc == -EWOULDBLOCK ? "in use by another daemon" : err_text(rc));
    }
    rc = check_version(s, e);
    if (rc < 0) {
        return rc;
    }
    AUTO(fd_close) int partial_fd = -1;
    rc = open_sub(s, "partial", true, &partial_fd);
    return rc < 0 ? err_set(e, rc, "%s/partial: %s", dir, err_text(rc)) : 0;
}

void
store_close(struct store *s)
{
    fd_close(&s->lock_fd);
    mem_free_text(&s->dir);
}

int
store_open_blob(const struct store *s, const struct digest *d, int *ret_fd, uint64_t *ret_size)
{
    char hex[129];
    digest_hex(d, hex);
    AUTO(mem_free_text) char *shard = shard_path(s, d);
    AUTO(mem_free_text) char *path = mem_printf("%s/%s", shard, hex);
    AUTO(fd_close) int fd = -1;
    int rc = fs_open_at(AT_FDCWD, path, O_RDONLY, &fd);
    if (rc == 0) {
        rc = fs_size(fd, ret_size);
    }
    if (rc < 0) {
        return rc;
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

char *
store_words_path(const struct store *s, const struct digest *d)
{
    char hex[129];
    digest_hex(d, hex);
    AUTO(mem_free_text) char *shard = shard_path(s, d);
    return mem_printf("%s/%s" WORDS_SUFFIX, shard, hex);
}

int
store_remove_blob(const struct store *s, const struct digest *d)
{
    char hex[129];
    digest_hex(d, hex);
    AUTO(mem_free_text) char *shard = shard_path(s, d);
    AUTO(mem_free_text) char *path = mem_printf("%s/%s", shard, hex);
    return fs_unlink_at(AT_FDCWD, path);
}

/* What is in a folder. */
struct content {
    int dir_fd;
    unsigned files;
    uint64_t bytes;
};

static int
add_content(void *arg, const char *name)
{
    struct content *in = arg;
    uint64_t size;
    in->files++;
    if (fs_size_at(in->dir_fd, name, &size) == 0) {
        in->bytes += size;
    }
    return 0;
}

/* Is there room for one more file of that folder? */
static bool
has_room(int quarantine_fd, int shard_fd, const char *name, uint64_t max_bytes)
{
    struct content in = {.dir_fd = quarantine_fd};
    uint64_t size;
    return fs_each(quarantine_fd, add_content, &in) == 0 && in.files < QUARANTINE_MAX &&
           fs_size_at(shard_fd, name, &size) == 0 && in.bytes <= max_bytes &&
           size <= max_bytes - in.bytes;
}

int
store_quarantine_blob(const struct store *s, const struct digest *d, uint64_t max_bytes)
{
    AUTO(fd_close) int shard_fd = -1, quarantine_fd = -1;
    AUTO(mem_free_text) char *shard = shard_path(s, d);
    int rc = fs_open_dir(shard, false, &shard_fd);
    if (rc < 0) {
        return rc;
    }
    char hex[129], name[NAME_MAX_BYTES];
    digest_hex(d, hex);
    rc = text_printf(name, sizeof name, "%s-%s", digest_alg_name(d), hex);
    must(rc == 0);

    rc = open_sub(s, "quarantine", true, &quarantine_fd);
    if (rc == 0 && has_room(quarantine_fd, shard_fd, hex, max_bytes)) {
        rc = fs_rename_at(shard_fd, hex, quarantine_fd, name);
        if (rc == 0) {
            return 0;
        }
    }
    return fs_unlink_at(shard_fd, hex);
}

int
store_create_partial(const struct store *s, const struct digest *d, uint64_t gen, int *ret_fd)
{
    char name[NAME_MAX_BYTES];
    name_partial(d, gen, "", name);
    AUTO(fd_close) int dir_fd = -1;
    int rc = open_sub(s, "partial", true, &dir_fd);
    return rc < 0 ? rc : fs_open_at(dir_fd, name, O_RDWR | O_CREAT | O_EXCL, ret_fd);
}

int
store_open_partial(const struct store *s, const struct digest *d, uint64_t gen, int *ret_fd,
                   uint64_t *ret_size)
{
    char name[NAME_MAX_BYTES];
    name_partial(d, gen, "", name);
    AUTO(fd_close) int dir_fd = -1, fd = -1;
    int rc = open_sub(s, "partial", false, &dir_fd);
    if (rc == 0) {
        rc = fs_open_at(dir_fd, name, O_RDWR, &fd);
    }
    if (rc == 0) {
        rc = fs_size(fd, ret_size);
    }
    if (rc < 0) {
        return rc;
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int
store_remove_partial(const struct store *s, const struct digest *d, uint64_t gen)
{
    char data[NAME_MAX_BYTES], map[NAME_MAX_BYTES];
    name_partial(d, gen, "", data);
    name_partial(d, gen, ".map", map);
    AUTO(fd_close) int dir_fd = -1;
    int rc = open_sub(s, "partial", false, &dir_fd);
    if (rc < 0) {
        return rc;
    }
    int map_rc = fs_unlink_at(dir_fd, map);
    rc = fs_unlink_at(dir_fd, data);
    return rc < 0 || map_rc == -ENOENT ? rc : map_rc;
}

/* Writes bytes to a new file in partial/ and publishes it as to_dir/name. */
static int
write_whole(const struct store *s, const struct buf *bytes, const char *tmp, const char *to_dir,
            const char *name)
{
    AUTO(fd_close) int dir_fd = -1, fd = -1;
    int rc = open_sub(s, "partial", true, &dir_fd);
    if (rc == 0) {
        rc = fs_open_at(dir_fd, tmp, O_RDWR | O_CREAT | O_TRUNC, &fd);
    }
    if (rc < 0) {
        return rc;
    }
    if (bytes->len > 0) {
        rc = fs_write_at(fd, 0, bytes->data, bytes->len);
    }
    if (rc == 0) {
        struct naming n = {.fd = fd, .to_dir = mem_strdup(to_dir)};
        rc = text_copy(n.from, sizeof n.from, tmp);
        must(rc == 0);
        rc = text_copy(n.to, sizeof n.to, name);
        must(rc == 0);
        publish(dir_fd, &n, 1);
        mem_free(n.to_dir);
        rc = n.rc;
    }
    if (rc < 0) {
        int gone = fs_unlink_at(dir_fd, tmp);
        (void)gone; /* the next start removes it */
    }
    return rc;
}

int
store_save_map(const struct store *s, const struct digest *d, uint64_t gen, const struct buf *map)
{
    char tmp[NAME_MAX_BYTES], name[NAME_MAX_BYTES];
    name_partial(d, gen, ".map.tmp", tmp);
    name_partial(d, gen, ".map", name);
    AUTO(mem_free_text) char *partial = sub_path(s, "partial");
    return write_whole(s, map, tmp, partial, name);
}

int
store_load_map(const struct store *s, const struct digest *d, uint64_t gen, struct buf *ret)
{
    char name[NAME_MAX_BYTES];
    name_partial(d, gen, ".map", name);
    AUTO(fd_close) int dir_fd = -1;
    int rc = open_sub(s, "partial", false, &dir_fd);
    return rc < 0 ? rc : fs_read_file(dir_fd, name, ret);
}

/* Makes the shard's folder; a new one is synced into its parent before anything is put there. */
static int
make_shard(const struct store *s, const struct digest *d)
{
    AUTO(mem_free_text) char *shard = shard_path(s, d);
    AUTO(fd_close) int shard_fd = -1, parent_fd = -1;
    int rc = fs_open_dir(shard, false, &shard_fd);
    if (rc != -ENOENT) {
        return rc;
    }
    rc = fs_open_dir(shard, true, &shard_fd);
    if (rc < 0) {
        return rc;
    }
    /* Three levels may be new: DIR/blobs, its sha256, the shard. */
    const char *const parents[] = {"blobs", ".", NULL};
    AUTO(mem_free_text) char *alg = mem_printf("blobs/%s", digest_alg_name(d));
    rc = open_sub(s, alg, false, &parent_fd);
    for (const char *const *p = parents; rc == 0; p++) {
        rc = fs_sync(parent_fd);
        fd_close(&parent_fd);
        if (rc < 0 || *p == NULL) {
            break;
        }
        rc = open_sub(s, *p, false, &parent_fd);
    }
    return rc;
}

static void
name_blob(const struct store *s, const struct publishing *p, struct naming *ret)
{
    name_partial(&p->digest, p->gen, "", ret->from);
    digest_hex(&p->digest, ret->to);
    ret->to_dir = shard_path(s, &p->digest);
    ret->fd = p->fd;
    ret->rc = make_shard(s, &p->digest);
}

void
store_publish_blobs(const struct store *s, struct publishing *list, size_t count)
{
    AUTO(fd_close) int from_fd = -1;
    int rc = open_sub(s, "partial", false, &from_fd);
    struct naming *names = namings_new(count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        name_blob(s, &list[i], &names[i]);
    }
    if (rc == 0) {
        publish(from_fd, names, count);
    }
    for (size_t i = 0; i < count; i++) {
        list[i].rc = rc < 0 ? rc : names[i].rc;
        if (list[i].rc == 0) {
            char map[NAME_MAX_BYTES];
            name_partial(&list[i].digest, list[i].gen, ".map", map);
            int gone = fs_unlink_at(from_fd, map);
            (void)gone; /* an old map is an orphan that the next start removes */
        }
    }
    namings_free(names, count);
}

int
store_write_file(const struct store *s, const char *name, const struct buf *bytes)
{
    char tmp[NAME_MAX_BYTES];
    int rc = text_printf(tmp, sizeof tmp, "%s.tmp", name);
    must(rc == 0);
    return write_whole(s, bytes, tmp, s->dir, name);
}

int
store_read_file(const struct store *s, const char *name, struct buf *ret)
{
    AUTO(fd_close) int dir_fd = -1;
    int rc = fs_open_dir(s->dir, false, &dir_fd);
    return rc < 0 ? rc : fs_read_file(dir_fd, name, ret);
}

int
store_remove_file(const struct store *s, const char *name)
{
    AUTO(fd_close) int dir_fd = -1;
    int rc = fs_open_dir(s->dir, false, &dir_fd);
    if (rc == 0) {
        rc = fs_unlink_at(dir_fd, name);
    }
    if (rc == -ENOENT) {
        return 0;
    }
    return rc < 0 ? rc : fs_sync(dir_fd);
}

int
store_open_file(const struct store *s, const char *name, int flags, int *ret_fd)
{
    AUTO(fd_close) int dir_fd = -1;
    int rc = fs_open_dir(s->dir, false, &dir_fd);
    return rc < 0 ? rc : fs_open_at(dir_fd, name, flags, ret_fd);
}

int
store_free_bytes(const struct store *s, uint64_t *ret_free, uint64_t *ret_total)
{
    AUTO(fd_close) int dir_fd = -1;
    int rc = fs_open_dir(s->dir, true, &dir_fd);
    return rc < 0 ? rc : fs_free_bytes(dir_fd, ret_free, ret_total);
}

/* ---- walks at start ---- */

struct blob_walk {
    int dir_fd; /* of the shard */
    const char *alg;
    void (*fn)(void *arg, const struct digest *d, uint64_t size);
    void *arg;
};

/* True when it is a file of words; it goes when its blob is not there. */
static bool
walk_words(int dir_fd, const char *name)
{
    const char *end = strstr(name, WORDS_SUFFIX);
    uint64_t size;
    if (end == NULL) {
        return false;
    }
    AUTO(mem_free_text) char *blob = mem_printf("%.*s", (int)(end - name), name);
    if (fs_size_at(dir_fd, blob, &size) == -ENOENT) {
        (void)!fs_unlink_at(dir_fd, name);
    }
    return true;
}

static int
walk_blob(void *arg, const char *name)
{
    struct blob_walk *w = arg;
    char text[DIGEST_TEXT_MAX];
    struct digest d;
    if (walk_words(w->dir_fd, name) || text_printf(text, sizeof text, "%s:%s", w->alg, name) < 0 ||
        digest_parse(text, strlen(text), &d) < 0) {
        return 0;
    }
    uint64_t size;
    if (fs_size_at(w->dir_fd, name, &size) == 0) {
        w->fn(w->arg, &d, size);
    }
    return 0;
}

static int
walk_shard(void *arg, const char *name)
{
    struct blob_walk *w = arg;
    int alg_fd = w->dir_fd;
    AUTO(fd_close) int shard_fd = -1;
    if (strlen(name) == 2 && fs_open_at(alg_fd, name, O_RDONLY | O_DIRECTORY, &shard_fd) == 0) {
        w->dir_fd = shard_fd;
        int rc = fs_each(shard_fd, walk_blob, w);
        w->dir_fd = alg_fd;
        return rc == 0 || rc == -ENOENT ? 0 : rc;
    }
    return 0;
}

int
store_each_blob(const struct store *s, void (*fn)(void *arg, const struct digest *d, uint64_t size),
                void *arg)
{
    static const char *const algs[] = {"sha256", "sha512"};
    int worst = 0;
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        AUTO(mem_free_text) char *below = mem_printf("blobs/%s", algs[i]);
        AUTO(fd_close) int alg_fd = -1;
        int rc = open_sub(s, below, false, &alg_fd);
        if (rc == 0) {
            struct blob_walk w = {alg_fd, algs[i], fn, arg};
            rc = fs_each(alg_fd, walk_shard, &w);
        }
        if (rc < 0 && rc != -ENOENT) {
            worst = rc;
        }
    }
    return worst;
}

struct names {
    char **list;
    size_t count, cap;
};

static int
collect_name(void *arg, const char *name)
{
    struct names *n = arg;
    if (n->count == n->cap) {
        n->cap = n->cap * 2 + 16;
        n->list = mem_realloc(n->list, n->cap * sizeof n->list[0]);
    }
    n->list[n->count++] = mem_strdup(name);
    return 0;
}

static void
names_release(struct names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        mem_free(n->list[i]);
    }
    mem_free(n->list);
}

/* "sha256-HEX.GEN" or "sha256-HEX.GEN.map" */
static bool
parse_partial(const char *name, struct digest *ret_d, uint64_t *ret_gen, bool *ret_map)
{
    const char *dash = strchr(name, '-');
    const char *dot = strchr(name, '.');
    if (dash == NULL || dot == NULL || dot < dash) {
        return false;
    }
    char text[DIGEST_TEXT_MAX];
    if (text_printf(text, sizeof text, "%.*s:%.*s", (int)(dash - name), name, (int)(dot - dash - 1),
                    dash + 1) < 0 ||
        digest_parse(text, strlen(text), ret_d) < 0) {
        return false;
    }
    const char *end = strchr(dot + 1, '.');
    size_t digits = end == NULL ? strlen(dot + 1) : (size_t)(end - dot - 1);
    *ret_map = end != NULL;
    return (end == NULL || strcmp(end, ".map") == 0) && text_u64(dot + 1, digits, ret_gen) == 0;
}

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In names that are sorted. */
static bool
has_name(const struct names *n, const char *name)
{
    return n->count > 0 && bsearch(&name, n->list, n->count, sizeof n->list[0], by_text) != NULL;
}

/* Is it the data or the map of a partial blob that has both? */
static bool
has_partner(const struct names *n, const char *name, struct digest *ret_d, uint64_t *ret_gen,
            bool *ret_map)
{
    char partner[NAME_MAX_BYTES];
    if (!parse_partial(name, ret_d, ret_gen, ret_map)) {
        return false;
    }
    name_partial(ret_d, *ret_gen, *ret_map ? "" : ".map", partner);
    return has_name(n, partner);
}

int
store_each_partial(const struct store *s,
                   void (*fn)(void *arg, const struct digest *d, uint64_t gen), void *arg,
                   size_t *ret_removed)
{
    AUTO(fd_close) int dir_fd = -1;
    AUTO(names_release) struct names names = {NULL, 0, 0};
    int rc = open_sub(s, "partial", true, &dir_fd);
    if (rc == 0) {
        rc = fs_each(dir_fd, collect_name, &names);
    }
    if (names.count > 0) {
        qsort(names.list, names.count, sizeof names.list[0], by_text);
    }
    size_t removed = 0;
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        struct digest d;
        uint64_t gen;
        bool map;
        if (!has_partner(&names, names.list[i], &d, &gen, &map)) {
            removed += fs_unlink_at(dir_fd, names.list[i]) == 0;
        } else if (map) {
            fn(arg, &d, gen);
        }
    }
    *ret_removed = removed;
    return rc;
}
