/* containerd's content store as a further place of blobs, read only:
 *
 *   DIR/blobs/sha256/HEX   complete blobs                 DIR/ingest/   arriving ones: not ours to
 * see
 *
 * A table of what lies there, apart from the cache's map: these files are on no account, never
 * evicted and never in the journal. Such a blob in memory is `foreign`; its entry is ABSENT.
 *
 * A file is used as it was seen: inode, size and times. UNCHECKED: it is served as an unsure blob
 * is, its tail held back until the hash threads have passed over it; the thread of content_watch.c
 * hashes the rest in the background, GOOD ones again after scrub_ms. BAD: left alone until it
 * changes. The journal keeps which files were GOOD.
 *
 * All of it may be called with NULL in the place of a struct content: there is none. */
#ifndef CACHE_CONTENT_H
#define CACHE_CONTENT_H

#include "cache/inside.h"
#include "cache/record.h"

struct content *content_new(struct cache *c, const char *dir, bool owns, int64_t owns_ms);
void content_free(struct content *x);
/* The thread. */
CHECKED int content_start(struct content *x);
void content_stop(struct content *x);

/* Opens it: 0 and whether its bytes are known to be right; ERR_NOT_FOUND; -EMFILE, -ENFILE,
 * -ENOMEM. The caller owns *ret_fd. */
CHECKED int content_open(struct content *x, const struct digest *d, int *ret_fd, struct fs_id *ret,
                         bool *ret_good);
/* Somebody has hashed, or could not read, all of the file `id` of d. */
void content_judge(struct content *x, const struct digest *d, const struct fs_id *id, bool good);
/* The same of one that is good, from its descriptor: synced, so that the next start believes it as
 * long as the file is the same, whatever happens in between; and our copy is to leave, if it is
 * owned. Not where somebody waits. */
void content_record(struct content *x, const struct digest *d, const struct fs_id *id, int fd);
/* What an earlier run has recorded (at the start), and what the journal shall keep of this one. */
void content_remember(struct content *x, const struct digest *d, const struct checked *was);
void content_dump(struct content *x, struct buf *ret);
/* Is the file of a foreign blob still the one that was opened, and under its name? */
bool content_same(const struct blob *b);
/* Are the bytes of its file still those that were opened, also when it was deleted? If not, it is
 * withdrawn and checked anew. */
bool content_unaltered(const struct blob *b);
/* No reader gets b any more; those that have it go on. */
void content_retire(struct cache *c, const struct digest *d, const struct blob *b);

/* False when it has none that can be read. */
bool content_info(struct content *x, const struct digest *d, struct blob_info *ret);
/* All that can be read; how many. Free *ret. */
size_t content_digests(struct content *x, struct digest **ret);
size_t content_list(struct content *x, struct blob_info *ret, size_t max);
void content_get_stats(struct content *x, struct cache_stats *ret);

#endif
