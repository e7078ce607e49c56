/* Figures, lists, eviction by hand and verification: a part of the front door, include cache.h. Any
 * thread. */
#ifndef CACHE_LOOK_H
#define CACHE_LOOK_H

#include "base/fs.h"
#include "cache/cache.h"
#include "cache/leave.h"

enum content_state {
    CONTENT_OFF,     /* not configured */
    CONTENT_MISSING, /* there is no such folder yet */
    CONTENT_DENIED,  /* this process may not read it */
    CONTENT_POLLED,  /* listed every few seconds: no inotify is to be had */
    CONTENT_WATCHED
};

struct cache_stats {
    uint64_t used_bytes, pinned_bytes, limit_bytes, min_free_bytes, disk_free_bytes;
    uint64_t disk_free_files; /* inodes; UINT64_MAX: not counted, or not known */
    uint64_t blobs, partial_blobs, filling, tags, links;
    uint64_t packed_blobs, saved_bytes; /* packed at rest, and what they take less for it */
    bool degraded;                      /* the disk failed; cleared by the next success */
    unsigned hash_threads;
    uint64_t hash_bytes_s; /* of one of them, as cache_open was told */
    /* containerd's store. Not in the counts above. */
    enum content_state content_state;
    uint64_t content_blobs, content_bytes; /* that can be read */
    uint64_t content_unchecked;            /* of them, not hashed yet */
    uint64_t content_denied, content_bad;  /* that may not be read; whose bytes are wrong */
};
void cache_get_stats(struct cache *c, struct cache_stats *ret);
/* Files (inodes) that have to go before the file system has as many left as the cache keeps free
 * there: 1,024, or a sixteenth of a small one's. Pure. */
uint64_t cache_files_lacking(const struct fs_space *space);

struct blob_info {
    struct digest digest;
    enum blob_phase phase; /* FILLING also for a partial file that nobody fills now */
    uint64_t size, have_bytes;
    uint64_t disk_bytes;               /* what its file takes: less than size when it is packed */
    uint64_t from_bytes[BLOB_SOURCES]; /* where its bytes came from */
    uint64_t served_bytes;             /* read by clients since start */
    int64_t stored_wall_s, used_wall_s;
    unsigned readers; /* references besides the cache's own */
    bool foreign;     /* it lies in containerd's store only */
    /* What keeps it here: */
    double requests; /* of the site, halving every day */
    double value;    /* of a byte of it: larger stays longer */
    unsigned copies; /* in the site as last heard, this one included */
    bool probation, pinned;
    enum cache_leave leave;            /* what the site said of it when it was to leave */
    int64_t leave_age_ms;              /* how long ago, once it said something */
    char leave_to[CACHE_LEAVE_TO_MAX]; /* CACHE_LEAVE_MOVES: to that node */
};
/* Size of a blob that is stored whole, here or in containerd's store, 0 when it is not; looks into
 * memory only. */
uint64_t cache_stored(struct cache *c, const struct digest *d);
CHECKED int cache_info(struct cache *c, const struct digest *d,
                       struct blob_info *ret); /* ERR_NOT_FOUND */
/* Copies at most `max` infos (blobs in flight first) and returns how many. */
size_t cache_list(struct cache *c, struct blob_info *ret, size_t max);
/* Blobs that have left since the last call, at most `max`, the oldest first: how many. They may be
 * back meanwhile. Only the last CACHE_GONE_MAX are kept. */
#define CACHE_GONE_MAX 256
size_t cache_take_gone(struct cache *c, struct digest *ret, size_t max);
/* Counts bytes a client was given by sendfile (blob_read counts by itself). */
void cache_served(struct cache *c, const struct digest *d, uint64_t bytes);
/* A client was sent all of a stored blob, whose bytes nobody looked at. Who asks for it in the next
 * ten minutes has perhaps refused it: then it is hashed before its tail is sent, unless it was
 * hashed in the last hour, or found by a start in it. Whoever asks while another client still reads
 * it gets it as it is. */
void cache_sent(struct cache *c, const struct digest *d);

/* A client was given a blob that memory had: a request like any other. */
void cache_asked(struct cache *c, const struct digest *d);
/* Another node of the site asks for this blob: it counts for its value here, or when it comes. */
void cache_heard(struct cache *c, const struct digest *d);
/* Would one more copy of a blob fit, one of so many in the site, without anything leaving that is
 * worth more? Looks at the file system's free space. */
bool cache_has_room(struct cache *c, const struct digest *d, uint64_t size, unsigned copies);
/* A blob that is here, or on its way to the disk, never leaves for room while it is pinned;
 * persistent once it is whole. ERR_NOT_FOUND.
 */
CHECKED int cache_pin(struct cache *c, const struct digest *d, bool pinned);

/* All names, those put longest ago first: tags, and manifests that a link opens to all as
 * "registry/repository@digest". `each` is called under a lock: it looks and copies. */
void cache_each_name(struct cache *c,
                     void (*each)(void *arg, const char *name, const struct tag *t), void *arg);

/* Evicts down to target_bytes (what is worth least first, never what is open or pinned), or only
 * tells. Waits CACHE_GC_ASK_MS at most for what the site says; what it needs stays. `report` (may
 * be NULL) is called for each that goes. Returns bytes freed. */
#define CACHE_GC_ASK_MS 3000
uint64_t cache_gc(struct cache *c, uint64_t target_bytes, bool dry_run,
                  void (*report)(void *arg, const struct blob_info *info), void *arg);
/* Calls `lost` when a stored blob turned out bad and left, if it was used in the last week:
 * somebody who knows where to get it may fetch it again. From the disk thread, under no lock. With
 * NULL it waits until no call runs any more. */
void cache_on_loss(struct cache *c, void (*lost)(void *arg, const struct digest *d, uint64_t size),
                   void *arg);
struct cache_verdict {
    uint64_t checked, checked_bytes, bad;
};
/* Re-hashes every blob that is here now; bad ones go to quarantine, those of containerd's store
 * stay where they are and are used no more. Blocks; ends early after cache_stop_checks. */
void cache_verify(struct cache *c, struct cache_verdict *ret,
                  void (*report)(void *arg, const struct digest *bad), void *arg);

#endif
