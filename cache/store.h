/* The folder of the cache: names, and how a file becomes durable. Any thread, no state but
 * the path, so a folder that was removed under us is made again by the next write.
 *
 *   DIR/LOCK                       flock of the running daemon
 *   DIR/FORMAT                     version of this layout, a number; none means 1
 *   DIR/blobs/sha256/ab/HEX        complete blobs; ab are the first two digits
 *   DIR/blobs/sha256/ab/HEX.zst    one that takes less room so (frames.h), instead of HEX
 *   DIR/blobs/sha256/ab/HEX.words  what its pieces hash to; not synced, and no loss (words.h)
 *   DIR/partial/sha256-HEX.GEN     arriving bytes; GEN tells attempts apart
 *   DIR/partial/sha256-HEX.GEN.map what of it is held
 *   DIR/partial/sha256-HEX.GEN.zst a complete blob that is being packed; deleted at start
 *   DIR/partial/...tmp             a file being written; deleted at start
 *   DIR/quarantine/sha256-HEX      stored bytes that did not match, for people
 *   DIR/journal                    soft facts
 *   DIR/journal.unread             those that the disk did not give, for people
 *   DIR/note                       what the floor above wants to find again
 *   DIR/clean                      there after a clean stop: the blobs not yet re-hashed
 *
 * Errors are -errno and what the header of base/fs.h says. */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H

#include "base/digest.h"
#include "base/err.h"
#include "base/fs.h"

struct buf;
struct frames;

struct store {
    char *dir;     /* fixed at open */
    int lock_fd;   /* -1: the disk could not take one yet */
    int trouble;   /* 0, or why the disk could not be written to at open */
    bool reserves; /* the file system can keep room for a file; fixed at open */
};

/* ERR_VERSION: a later version was here; then nothing was changed. A disk that is full, read-only
 * or broken is no error but `trouble`: what can be read is served, and writing is tried later. Only
 * -EIO of the folder itself is one: what it holds is not known, and must not be replaced. */
CHECKED int store_open(struct store *s, const char *dir, struct err *e);
void store_close(struct store *s); /* also half-built ones */
/* Takes the lock if the disk could not at open; -EWOULDBLOCK: another daemon has it. One thread. */
CHECKED int store_lock(struct store *s);

/* Of the words of a blob; mem_free. */
char *store_words_path(const struct store *s, const struct digest *d);

/* A complete blob that was opened. frames_read reads it. */
struct stored {
    int fd;                /* read only */
    struct frames *frames; /* NULL: the file is the blob itself */
    uint64_t size;         /* of the blob */
    int64_t mtime_ns;      /* of the file, since 1970 */
};
void stored_close(struct stored *b); /* for AUTO(stored_close); -1 and NULL are fine */
CHECKED int store_open_blob(const struct store *s, const struct digest *d, bool packed,
                            struct stored *ret);
/* Packed or as it came; or both. */
CHECKED int store_remove_copy(const struct store *s, const struct digest *d, bool packed);
CHECKED int store_remove_blob(const struct store *s, const struct digest *d);
/* Moves it out of the way, or removes it when the quarantine is full: of files, or of bytes, which
 * max_bytes bounds. */
CHECKED int store_quarantine_blob(const struct store *s, const struct digest *d, bool packed,
                                  uint64_t max_bytes);

/* A blob that is being packed, and the end of that: it stands under its name beside the one that it
 * is made of when this returns 0, for good. */
CHECKED int store_create_packed(const struct store *s, const struct digest *d, uint64_t gen,
                                int *ret_fd);
CHECKED int store_drop_packed(const struct store *s, const struct digest *d, uint64_t gen);
CHECKED int store_publish_packed(const struct store *s, const struct digest *d, uint64_t gen,
                                 int fd);

CHECKED int store_create_partial(const struct store *s, const struct digest *d, uint64_t gen,
                                 int *ret_fd);
CHECKED int store_open_partial(const struct store *s, const struct digest *d, uint64_t gen,
                               int *ret_fd, uint64_t *ret_size);
/* Map first: a map without data means nothing, data without a map is an orphan. */
CHECKED int store_remove_partial(const struct store *s, const struct digest *d, uint64_t gen);
/* The bytes that the map tells of must be synced already. */
CHECKED int store_save_map(const struct store *s, const struct digest *d, uint64_t gen,
                           const struct buf *map);
CHECKED int store_load_map(const struct store *s, const struct digest *d, uint64_t gen,
                           struct buf *ret);
/* Partial files that become blobs together: what one sync of the disk costs is paid once. `rc`
 * tells how each went. */
struct publishing {
    struct digest digest;
    uint64_t gen;
    int fd;
    int64_t mtime_ns; /* the caller's: of the file before that */
    int rc;
};
void store_publish_blobs(const struct store *s, struct publishing *list, size_t count);

#define STORE_NOTE "note"
/* Small files in DIR, written whole and replaced in one step. */
CHECKED int store_write_file(const struct store *s, const char *name, const struct buf *bytes);
CHECKED int store_read_file(const struct store *s, const char *name, struct buf *ret);
/* Gone for good when this returns 0; also when it was not there. */
CHECKED int store_remove_file(const struct store *s, const char *name);
CHECKED int store_rename_file(const struct store *s, const char *name, const char *to);
CHECKED int store_open_file(const struct store *s, const char *name, int flags, int *ret_fd);

CHECKED int store_space(const struct store *s, struct fs_space *ret);

/* Calls fn for every complete blob (one of which the packed file and its source are there twice),
 * and removes words without one; names that are not ours are left alone. size: of the file. */
CHECKED int store_each_blob(const struct store *s,
                            void (*fn)(void *arg, const struct digest *d, uint64_t size,
                                       bool packed),
                            void *arg);
/* Calls fn for every partial file with a map, and removes everything else in partial/ that
 * is not the data of one. */
CHECKED int store_each_partial(const struct store *s,
                               void (*fn)(void *arg, const struct digest *d, uint64_t gen),
                               void *arg, size_t *ret_removed);

#endif
