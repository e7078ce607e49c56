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
#include "cache/format.h"
#include "cache/frames.h"
#include "cache/store_inside.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* People look at the newest failures; more would only eat the disk. */
#define QUARANTINE_MAX 8
#define FOLDERS_MAX    10

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

int
store_open_sub(const struct store *s, const char *below, bool create, int *ret_fd)
{
    AUTO(mem_free_text) char *path = sub_path(s, below);
    return fs_open_dir(path, create, ret_fd);
}

void
store_name_partial(const struct digest *d, uint64_t gen, const char *suffix,
                   char ret[STORE_NAME_MAX])
{
    char hex[129];
    digest_hex(d, hex);
    int rc = text_printf(ret, STORE_NAME_MAX, "%s-%s.%llu%s", digest_alg_name(d), hex,
                         (unsigned long long)gen, suffix);
    must(rc == 0);
}

/* One file in partial/ that gets its name. */
struct naming {
    int fd;
    char from[STORE_NAME_MAX], to[STORE_NAME_MAX];
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

/* A folder that somebody made where a file belongs is kept beside it, under the first name where
 * nothing is. */
static int
put_aside(int dir_fd, const char *name)
{
    int rc = -EEXIST;
    for (int i = 0; i < FOLDERS_MAX && (rc == -EEXIST || rc == -ENOTEMPTY || rc == -ENOTDIR); i++) {
        AUTO(mem_free_text) char *aside = mem_printf("%s.folder%d", name, i);
        rc = fs_rename_at(dir_fd, name, dir_fd, aside);
    }
    return rc;
}

static int
rename_one(int from_dir, const struct naming *n)
{
    AUTO(fd_close) int to_dir = -1;
    int rc = fs_open_dir(n->to_dir, true, &to_dir);
    if (rc < 0) {
        return rc;
    }
    rc = fs_rename_at(from_dir, n->from, to_dir, n->to);
    if (rc == -EISDIR) {
        rc = put_aside(to_dir, n->to);
        if (rc == 0) {
            rc = fs_rename_at(from_dir, n->from, to_dir, n->to);
        }
    }
    return rc;
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

static int
open_lock(struct store *s, int dir_fd, int flags)
{
    AUTO(fd_close) int fd = -1;
    int rc = fs_open_at(dir_fd, "LOCK", flags, &fd);
    if (rc == 0) {
        rc = fs_lock(fd);
    }
    if (rc == 0) {
        s->lock_fd = fd;
        fd = -1;
    }
    return rc;
}

static int
take_lock(struct store *s, int dir_fd, struct err *e)
{
    int rc = open_lock(s, dir_fd, O_RDWR | O_CREAT);
    if (fs_is_trouble(rc)) {
        s->trouble = rc;
        rc = open_lock(s, dir_fd, O_RDONLY);
        if (rc == -ENOENT || fs_is_trouble(rc)) {
            return 0; /* another daemon cannot write either; store_lock when we can */
        }
    }
    if (rc == -EWOULDBLOCK) {
        return err_set(e, rc, "%s: in use by another daemon", s->dir);
    }
    return rc < 0 ? err_set(e, rc, "%s/LOCK: %s", s->dir, err_text(rc)) : 0;
}

int
store_lock(struct store *s)
{
    if (s->lock_fd >= 0) {
        return 0;
    }
    AUTO(fd_close) int dir_fd = -1;
    int rc = store_open_sub(s, ".", true, &dir_fd);
    return rc < 0 ? rc : open_lock(s, dir_fd, O_RDWR | O_CREAT);
}

int
store_open(struct store *s, const char *dir, struct err *e)
{
    *s = (struct store){.dir = mem_strdup(dir), .lock_fd = -1, .reserves = true};
    AUTO(fd_close) int dir_fd = -1, partial_fd = -1;
    int rc = fs_open_dir(dir, true, &dir_fd);
    if (fs_is_trouble(rc) && rc != -EIO) {
        s->trouble = rc; /* it is not there and could not be made */
        return 0;
    }
    if (rc < 0) {
        return err_set(e, rc, "%s: %s", dir, err_text(rc));
    }
    rc = take_lock(s, dir_fd, e);
    if (rc == 0) {
        rc = format_check(s, e);
    }
    if (rc < 0) {
        return rc;
    }
    rc = store_open_sub(s, "partial", true, &partial_fd);
    if (fs_is_trouble(rc)) {
        s->trouble = rc;
    } else if (rc < 0) {
        return err_set(e, rc, "%s/partial: %s", dir, err_text(rc));
    }
    rc = fs_reserve(s->lock_fd, 1, &s->reserves);
    (void)rc; /* full, or broken: the first blob tells of it */
    return 0;
}

void
store_close(struct store *s)
{
    fd_close(&s->lock_fd);
    mem_free_text(&s->dir);
}

/* Of a complete blob, in its shard. */
static char *
blob_name(const struct digest *d, bool packed)
{
    char hex[129];
    digest_hex(d, hex);
    return mem_printf("%s%s", hex, packed ? STORE_PACKED : "");
}

void
stored_close(struct stored *b)
{
    fd_close(&b->fd);
    frames_free(b->frames);
    b->frames = NULL;
}

int
store_open_blob(const struct store *s, const struct digest *d, bool packed, struct stored *ret)
{
    AUTO(mem_free_text) char *shard = shard_path(s, d);
    AUTO(mem_free_text) char *name = blob_name(d, packed);
    AUTO(mem_free_text) char *path = mem_printf("%s/%s", shard, name);
    struct stored b = {.fd = -1};
    int rc = fs_open_at(AT_FDCWD, path, O_RDONLY, &b.fd);
    if (rc == 0) {
        struct fs_id id;
        rc = fs_id(b.fd, &id);
        b.size = id.size;
        b.mtime_ns = id.mtime_ns;
    }
    if (rc == 0 && packed) {
        rc = frames_open(b.fd, &b.frames);
    }
    if (rc < 0) {
        stored_close(&b);
        return rc;
    }
    if (packed) {
        b.size = frames_plain_bytes(b.frames);
    }
    *ret = b;
    return 0;
}

char *
store_words_path(const struct store *s, const struct digest *d)
{
    char hex[129];
    digest_hex(d, hex);
    AUTO(mem_free_text) char *shard = shard_path(s, d);
    return mem_printf("%s/%s" STORE_WORDS, shard, hex);
}

int
store_remove_copy(const struct store *s, const struct digest *d, bool packed)
{
    AUTO(mem_free_text) char *shard = shard_path(s, d);
    AUTO(mem_free_text) char *name = blob_name(d, packed);
    AUTO(mem_free_text) char *path = mem_printf("%s/%s", shard, name);
    return fs_unlink_at(AT_FDCWD, path);
}

int
store_remove_blob(const struct store *s, const struct digest *d)
{
    int packed = store_remove_copy(s, d, true);
    int plain = store_remove_copy(s, d, false);
    if (plain == -ENOENT || (packed < 0 && packed != -ENOENT)) {
        return packed;
    }
    return plain;
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
store_quarantine_blob(const struct store *s, const struct digest *d, bool packed,
                      uint64_t max_bytes)
{
    AUTO(fd_close) int shard_fd = -1, quarantine_fd = -1;
    AUTO(mem_free_text) char *shard = shard_path(s, d);
    int rc = fs_open_dir(shard, false, &shard_fd);
    if (rc < 0) {
        return rc;
    }
    AUTO(mem_free_text) char *from = blob_name(d, packed);
    AUTO(mem_free_text) char *name = mem_printf("%s-%s", digest_alg_name(d), from);

    rc = store_open_sub(s, "quarantine", true, &quarantine_fd);
    if (rc == 0 && has_room(quarantine_fd, shard_fd, from, max_bytes)) {
        rc = fs_rename_at(shard_fd, from, quarantine_fd, name);
        if (rc == 0) {
            return 0;
        }
    }
    return fs_unlink_at(shard_fd, from);
}

static int
create(const struct store *s, const struct digest *d, uint64_t gen, const char *suffix, int *ret_fd)
{
    char name[STORE_NAME_MAX];
    store_name_partial(d, gen, suffix, name);
    AUTO(fd_close) int dir_fd = -1;
    int rc = store_open_sub(s, "partial", true, &dir_fd);
    return rc < 0 ? rc : fs_open_at(dir_fd, name, O_RDWR | O_CREAT | O_EXCL, ret_fd);
}

int
store_create_partial(const struct store *s, const struct digest *d, uint64_t gen, int *ret_fd)
{
    return create(s, d, gen, "", ret_fd);
}

int
store_create_packed(const struct store *s, const struct digest *d, uint64_t gen, int *ret_fd)
{
    return create(s, d, gen, STORE_PACKED, ret_fd);
}

int
store_drop_packed(const struct store *s, const struct digest *d, uint64_t gen)
{
    char name[STORE_NAME_MAX];
    store_name_partial(d, gen, STORE_PACKED, name);
    AUTO(fd_close) int dir_fd = -1;
    int rc = store_open_sub(s, "partial", false, &dir_fd);
    return rc < 0 ? rc : fs_unlink_at(dir_fd, name);
}

int
store_open_partial(const struct store *s, const struct digest *d, uint64_t gen, int *ret_fd,
                   uint64_t *ret_size)
{
    char name[STORE_NAME_MAX];
    store_name_partial(d, gen, "", name);
    AUTO(fd_close) int dir_fd = -1, fd = -1;
    int rc = store_open_sub(s, "partial", false, &dir_fd);
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
    char data[STORE_NAME_MAX], map[STORE_NAME_MAX];
    store_name_partial(d, gen, "", data);
    store_name_partial(d, gen, ".map", map);
    AUTO(fd_close) int dir_fd = -1;
    int rc = store_open_sub(s, "partial", false, &dir_fd);
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
    int rc = store_open_sub(s, "partial", true, &dir_fd);
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
    char tmp[STORE_NAME_MAX], name[STORE_NAME_MAX];
    store_name_partial(d, gen, ".map.tmp", tmp);
    store_name_partial(d, gen, ".map", name);
    AUTO(mem_free_text) char *partial = sub_path(s, "partial");
    return write_whole(s, map, tmp, partial, name);
}

int
store_load_map(const struct store *s, const struct digest *d, uint64_t gen, struct buf *ret)
{
    char name[STORE_NAME_MAX];
    store_name_partial(d, gen, ".map", name);
    AUTO(fd_close) int dir_fd = -1;
    int rc = store_open_sub(s, "partial", false, &dir_fd);
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
    rc = store_open_sub(s, alg, false, &parent_fd);
    for (const char *const *p = parents; rc == 0; p++) {
        rc = fs_sync(parent_fd);
        fd_close(&parent_fd);
        if (rc < 0 || *p == NULL) {
            break;
        }
        rc = store_open_sub(s, *p, false, &parent_fd);
    }
    return rc;
}

static void
name_blob(const struct store *s, const struct publishing *p, struct naming *ret)
{
    store_name_partial(&p->digest, p->gen, "", ret->from);
    digest_hex(&p->digest, ret->to);
    ret->to_dir = shard_path(s, &p->digest);
    ret->fd = p->fd;
    ret->rc = make_shard(s, &p->digest);
}

void
store_publish_blobs(const struct store *s, struct publishing *list, size_t count)
{
    AUTO(fd_close) int from_fd = -1;
    int rc = store_open_sub(s, "partial", false, &from_fd);
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
            char map[STORE_NAME_MAX];
            store_name_partial(&list[i].digest, list[i].gen, ".map", map);
            int gone = fs_unlink_at(from_fd, map);
            (void)gone; /* an old map is an orphan that the next start removes */
        }
    }
    namings_free(names, count);
}

int
store_publish_packed(const struct store *s, const struct digest *d, uint64_t gen, int fd)
{
    AUTO(fd_close) int from_fd = -1;
    int rc = store_open_sub(s, "partial", false, &from_fd);
    if (rc < 0) {
        return rc;
    }
    AUTO(mem_free_text) char *name = blob_name(d, true);
    AUTO(mem_free_text) char *shard = shard_path(s, d);
    struct naming n = {.fd = fd, .to_dir = shard};
    store_name_partial(d, gen, STORE_PACKED, n.from);
    rc = text_copy(n.to, sizeof n.to, name);
    must(rc == 0);
    publish(from_fd, &n, 1);
    return n.rc;
}

int
store_write_file(const struct store *s, const char *name, const struct buf *bytes)
{
    char tmp[STORE_NAME_MAX];
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
store_rename_file(const struct store *s, const char *name, const char *to)
{
    AUTO(fd_close) int dir_fd = -1;
    int rc = fs_open_dir(s->dir, false, &dir_fd);
    return rc < 0 ? rc : fs_rename_at(dir_fd, name, dir_fd, to);
}

int
store_open_file(const struct store *s, const char *name, int flags, int *ret_fd)
{
    AUTO(fd_close) int dir_fd = -1;
    int rc = fs_open_dir(s->dir, false, &dir_fd);
    return rc < 0 ? rc : fs_open_at(dir_fd, name, flags, ret_fd);
}

int
store_space(const struct store *s, struct fs_space *ret)
{
    AUTO(fd_close) int dir_fd = -1;
    int rc = fs_open_dir(s->dir, true, &dir_fd);
    return rc < 0 ? rc : fs_space(dir_fd, ret);
}
