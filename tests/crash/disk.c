/* A file system in memory: inodes, and names in folders. */
#include "tests/crash/disk.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES   4096u
#define SECTOR_BYTES 512

struct inode {
    ino_t number;
    bool folder;
    uint64_t size;
    uint8_t *bytes;
};

struct name {
    ino_t folder, inode; /* inode 0: no more */
    const char *text;    /* of the log */
};

struct disk {
    ino_t root;
    struct inode *inodes;
    struct name *names;
    size_t inodes_count, names_count;
};

const char *
cut_name(enum cut how)
{
    static const char *const names[CUTS] = {"nothing",  "all",       "metadata", "data",
                                            "torn-512", "torn-4096", "shuffled"};
    return names[how];
}

/* ---- what is kept ---- */

static bool
keeps(const struct op *sync, const struct op *op)
{
    switch (op->kind) {
    case OP_WRITE:
    case OP_SIZE:
    case OP_GROW:
        return sync->inode == op->inode;
    case OP_MAKE:
    case OP_FOLDER:
    case OP_UNLINK:
        return sync->kind == OP_SYNC && sync->inode == op->from;
    case OP_RENAME:
        return sync->kind == OP_SYNC && sync->inode == op->to;
    case OP_SYNC:
    case OP_SYNC_DATA:
    case OP_MARK:
        return false;
    }
    never("an unknown call");
}

size_t *
disk_kept_by(const struct oplog *log)
{
    size_t *kept_by = mem_alloc((log->count + 1) * sizeof *kept_by);
    for (size_t i = 0; i < log->count; i++) {
        kept_by[i] = SIZE_MAX;
        for (size_t s = i + 1; s < log->count && kept_by[i] == SIZE_MAX; s++) {
            bool sync = log->ops[s].kind == OP_SYNC || log->ops[s].kind == OP_SYNC_DATA;
            if (sync && keeps(&log->ops[s], &log->ops[i])) {
                kept_by[i] = s;
            }
        }
    }
    return kept_by;
}

/* ---- doing a call ---- */

static struct inode *
inode_of(struct disk *d, ino_t number)
{
    for (size_t i = 0; i < d->inodes_count; i++) {
        if (d->inodes[i].number == number) {
            return &d->inodes[i];
        }
    }
    d->inodes[d->inodes_count] = (struct inode){.number = number};
    return &d->inodes[d->inodes_count++];
}

static struct name *
name_of(struct disk *d, ino_t folder, const char *text)
{
    for (size_t i = 0; i < d->names_count; i++) {
        if (d->names[i].folder == folder && strcmp(d->names[i].text, text) == 0) {
            return &d->names[i];
        }
    }
    d->names[d->names_count] = (struct name){.folder = folder, .text = text};
    return &d->names[d->names_count++];
}

static void
set_size(struct inode *n, uint64_t size)
{
    if (size > n->size) {
        n->bytes = mem_realloc(n->bytes, (size_t)size);
        memset(n->bytes + n->size, 0, (size_t)(size - n->size));
    }
    n->size = size;
}

static void
put_bytes(struct inode *n, uint64_t at, const uint8_t *bytes, uint64_t len)
{
    if (at + len > n->size) {
        set_size(n, at + len);
    }
    memcpy(n->bytes + at, bytes, (size_t)len);
}

static void
do_names(struct disk *d, const struct op *op)
{
    switch (op->kind) {
    case OP_FOLDER:
        inode_of(d, op->inode)->folder = true;
        name_of(d, op->from, op->name)->inode = op->inode;
        break;
    case OP_MAKE:
        name_of(d, op->from, op->name)->inode = op->inode;
        break;
    case OP_UNLINK:
        name_of(d, op->from, op->name)->inode = 0;
        break;
    case OP_RENAME:
        if (name_of(d, op->from, op->name)->inode == op->inode) {
            name_of(d, op->from, op->name)->inode = 0;
        }
        name_of(d, op->to, op->to_name)->inode = op->inode;
        break;
    case OP_WRITE:
    case OP_SIZE:
    case OP_GROW:
    case OP_SYNC:
    case OP_SYNC_DATA:
    case OP_MARK:
        break;
    }
}

static void
do_size(struct disk *d, const struct op *op)
{
    struct inode *n = inode_of(d, op->inode);
    uint64_t grown = op->kind == OP_WRITE ? op->at + op->len : op->len;
    if (op->kind == OP_SIZE) {
        set_size(n, op->len);
    } else if (grown > n->size) {
        set_size(n, grown);
    }
}

static bool
is_of_bytes(const struct op *op)
{
    return op->kind == OP_WRITE || op->kind == OP_SIZE || op->kind == OP_GROW;
}

static void
do_all(struct disk *d, const struct op *op)
{
    if (op->kind == OP_WRITE) {
        put_bytes(inode_of(d, op->inode), op->at, op->bytes, op->len);
    } else if (is_of_bytes(op)) {
        do_size(d, op);
    } else {
        do_names(d, op);
    }
}

/* ---- doing a part of one ---- */

static void
do_data(struct disk *d, const struct op *op)
{
    struct inode *n = inode_of(d, op->inode);
    if (op->kind == OP_WRITE && op->at < n->size) {
        uint64_t len = n->size - op->at < op->len ? n->size - op->at : op->len;
        memcpy(n->bytes + op->at, op->bytes, (size_t)len);
    }
}

static void
do_torn(struct disk *d, const struct op *op, uint64_t bytes)
{
    struct op part = *op;
    part.len = op->len < bytes ? 0 : bytes;
    if (part.len > 0) {
        do_all(d, &part);
    }
}

static void
do_shuffled(struct disk *d, const struct op *op, uint64_t grain, struct rng *rng)
{
    if (op->kind != OP_WRITE) {
        if (rng_below(rng, 2) == 0) {
            do_all(d, op);
        }
        return;
    }
    if (rng_below(rng, 2) == 0) {
        do_size(d, op);
    }
    for (uint64_t at = 0, len; at < op->len; at += len) {
        uint64_t left = op->len - at, to_edge = grain - (op->at + at) % grain;
        len = left < to_edge ? left : to_edge;
        if (rng_below(rng, 2) == 0) {
            put_bytes(inode_of(d, op->inode), op->at + at, op->bytes + at, len);
        }
    }
}

static void
do_unsynced(struct disk *d, const struct op *op, enum cut how, bool last_write, uint64_t grain,
            struct rng *rng)
{
    switch (how) {
    case CUT_NOTHING:
    case CUTS:
        break;
    case CUT_ALL:
        do_all(d, op);
        break;
    case CUT_METADATA:
        if (is_of_bytes(op)) {
            do_size(d, op);
        } else {
            do_names(d, op);
        }
        break;
    case CUT_DATA:
        do_data(d, op);
        break;
    case CUT_TORN_512:
    case CUT_TORN_4096:
        if (last_write) {
            do_torn(d, op, how == CUT_TORN_512 ? 512 : 4096);
        } else {
            do_all(d, op);
        }
        break;
    case CUT_SHUFFLED:
        do_shuffled(d, op, grain, rng);
        break;
    }
}

struct disk *
disk_after(const struct oplog *log, const size_t *kept_by, size_t count, enum cut how,
           uint64_t seed)
{
    struct disk *d = mem_zalloc(sizeof *d);
    struct rng rng;
    size_t last_write = SIZE_MAX;
    uint64_t grain = seed % 2 == 0 ? PAGE_BYTES : SECTOR_BYTES;
    rng_init(&rng, seed);
    d->root = log->root;
    d->inodes = mem_alloc((count + 1) * sizeof d->inodes[0]);
    d->names = mem_alloc((2 * count + 1) * sizeof d->names[0]);
    for (size_t i = 0; i < count; i++) {
        if (log->ops[i].kind == OP_WRITE && kept_by[i] >= count) {
            last_write = i;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (kept_by[i] < count) {
            do_all(d, &log->ops[i]);
        } else {
            do_unsynced(d, &log->ops[i], how, i == last_write, grain, &rng);
        }
    }
    return d;
}

/* ---- what came of it ---- */

static void
hash_folder(const struct disk *d, ino_t folder, uint64_t *hash)
{
    for (size_t i = 0; i < d->names_count; i++) {
        const struct name *n = &d->names[i];
        if (n->folder != folder || n->inode == 0) {
            continue;
        }
        const struct inode *of = NULL;
        for (size_t k = 0; k < d->inodes_count && of == NULL; k++) {
            of = d->inodes[k].number == n->inode ? &d->inodes[k] : NULL;
        }
        uint64_t parts[4] = {*hash, hash_bytes(n->text, strlen(n->text)), of == NULL ? 0 : of->size,
                             of == NULL ? 0 : hash_bytes(of->bytes, (size_t)of->size)};
        *hash = hash_bytes(parts, sizeof parts);
        if (of != NULL && of->folder) {
            hash_folder(d, n->inode, hash);
        }
    }
}

uint64_t
disk_hash(const struct disk *d)
{
    uint64_t hash = 1;
    hash_folder(d, d->root, &hash);
    return hash;
}

static void
make_file(const struct inode *n, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    must(fd >= 0);
    for (uint64_t at = 0; at < n->size;) {
        ssize_t done = write(fd, n->bytes + at, (size_t)(n->size - at));
        must(done > 0);
        at += (uint64_t)done;
    }
    must(close(fd) == 0);
}

static void
make_folder_of(const struct disk *d, ino_t folder, const char *path)
{
    static const struct inode empty;
    for (size_t i = 0; i < d->names_count; i++) {
        const struct name *n = &d->names[i];
        if (n->folder != folder || n->inode == 0) {
            continue;
        }
        const struct inode *of = &empty;
        for (size_t k = 0; k < d->inodes_count; k++) {
            of = d->inodes[k].number == n->inode ? &d->inodes[k] : of;
        }
        AUTO(mem_free_text) char *below = mem_printf("%s/%s", path, n->text);
        if (of->folder) {
            must(mkdir(below, 0700) == 0);
            make_folder_of(d, n->inode, below);
        } else {
            make_file(of, below);
        }
    }
}

void
disk_make(const struct disk *d, const char *folder)
{
    make_folder_of(d, d->root, folder);
}

void
disk_free(struct disk *d)
{
    for (size_t i = 0; i < d->inodes_count; i++) {
        mem_free(d->inodes[i].bytes);
    }
    mem_free(d->inodes);
    mem_free(d->names);
    mem_free(d);
}
