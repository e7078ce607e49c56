/* What content.c (the table) and content_watch.c (its thread) share. */
#ifndef CACHE_CONTENT_INSIDE_H
#define CACHE_CONTENT_INSIDE_H

#include "cache/content.h"

enum content_check { CONTENT_UNCHECKED, CONTENT_GOOD, CONTENT_BAD, CONTENT_CLOSED, CONTENT_CHECKS };

struct content_file {
    UT_hash_handle hh;
    struct digest digest;
    struct fs_id id;
    enum content_check check; /* CLOSED: it may not be read */
    bool recorded;            /* GOOD, and the next start shall know */
    int64_t since_ms;         /* clock_ms of the last change of id, or check */
    uint64_t round;           /* of the listing that saw it last */
    struct content_file *prev, *next;
};

/* What an earlier run knew, until the first listing is done. */
struct content_known {
    UT_hash_handle hh;
    struct digest digest;
    struct checked was;
};

struct content {
    /* fixed at birth */
    struct cache *cache;
    char *folder; /* DIR/blobs/sha256 */
    bool owns;
    int64_t owns_ms;

    struct lock lock;                                      /* LEAF */
    int64_t came_ms;                                       /* lock; when a file came or changed */
    struct content_file *map;                              /* lock */
    struct content_known *known;                           /* lock */
    struct content_file *unchecked, *good;                 /* lock; changed longest ago first */
    uint64_t count[CONTENT_CHECKS], bytes[CONTENT_CHECKS]; /* lock */
    enum content_state state;                              /* lock */

    struct mailbox wake; /* only to wake the thread */
    _Atomic bool stopping;
    _Atomic bool
        missed; /* a file was not as known when it was wanted: perhaps no event tells why */
    struct thread thread;
    bool opened; /* wake is */
};

/* What lies under that name now: rc as fs_id_at says. */
void content_see(struct content *x, const struct digest *d, int rc, const struct fs_id *id,
                 uint64_t round);
/* The first listing is done. */
void content_forget_known(struct content *x);
/* Forgets all files that no listing has seen since `round`. */
void content_forget_before(struct content *x, uint64_t round);
/* The file to be hashed next, and which; false: wait that long and ask again. */
bool content_next(struct content *x, int64_t now_ms, struct digest *ret, struct fs_id *ret_id,
                  int64_t *ret_wait_ms);
/* Is the pull over that brought a file which has been good for good_ms: has nothing come for
 * owns_ms, or has it been good for long? Until then containerd's GC may take the layers of a pull
 * that is given up, and the next try finds our copies. Pure. */
bool content_settled(int64_t good_ms, int64_t quiet_ms, int64_t owns_ms);
/* Owner of what it has: our copies of good files are worth nothing, and leave in time. */
void content_own_all(struct content *x);
/* The folder is watched, or why not; tells people when that changes. */
void content_set_state(struct content *x, enum content_state state);

#endif
