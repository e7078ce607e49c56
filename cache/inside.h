/* What the files of cache/ share: the map of blobs, the blob in memory, the cache itself.
 *
 * Locks: cache->lock (CACHE) before cache->facts_lock (JOURNAL) before blob->lock (BLOB) before
 * the hasher's (HASHER) before the disk thread's mailbox (MAILBOX). None is held during I/O.
 *
 * Whenever cache->lock is free:
 *  1. used_bytes is the sum of size (packed: of its file; parked: entry_parked_bytes) over entries
 *     that are PARTIAL or STORED.
 *  2. open_bytes is the same sum over those with a blob in memory, pinned_bytes over pinned ones.
 *  3. an entry is on the age list iff it is PARTIAL or STORED.
 *  4. entry->blob and blob->entry point to each other, or are NULL.
 *  5. an entry that is ABSENT has a blob (in phase ASKED, foreign, or in memory).
 *  6. entry->parked is there iff the entry is PARTIAL and no blob fills it.
 *  7. filling_count and touched_count are what their comments say.
 *  8. an entry is in evict iff it is PARTIAL or STORED; held there iff it has a blob, is pinned,
 *     or leaving_stays.
 * cache_check() walks them all; tests call it. */
#ifndef CACHE_INSIDE_H
#define CACHE_INSIDE_H

#include "base/buf.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/mailbox.h"
#include "base/metric.h"
#include "base/thread.h"
#include "cache/cache.h"
#include "cache/evict.h"
#include "cache/frames.h"
#include "cache/hasher.h"
#include "cache/index.h"
#include "cache/journal.h"
#include "cache/leave.h"
#include "cache/pieces.h"
#include "cache/store.h"
#include "cache/tags.h"
#include "cache/words_queue.h"
#include <stdatomic.h>

/* Hold-back: docs of the swarm, integrity; a piece is never shorter. */
#define HOLDBACK_BYTES   (64u * 1024)
#define CURSORS_MAX      64 /* readers that tell the fetcher where they wait; more wait all the same */
#define BLOB_READERS_MAX 64 /* readers that a window waits for; more may fall behind it */

enum entry_state {
    ENTRY_ABSENT,  /* no file yet */
    ENTRY_PARTIAL, /* DIR/partial */
    ENTRY_STORED,  /* DIR/blobs */
};

/* What the cache knows of one digest; a full disk has 100,000 of them, so bytes count. All
 * fields: cache->lock. */
struct entry {
    struct entry *chain; /* index.c */
    uint64_t gen;        /* which file: no two of a digest have the same in a run of the daemon */
    struct evict_blob worth; /* also its size, and when it was asked for */
    uint32_t stored_wall_s;
    uint32_t sure_s;  /* clock_ms / 1000: hashed, or found by the start */
    uint32_t sent_s;  /* the same: a client was sent all of it; 0: not since then */
    uint32_t mark;    /* STORED, not packed: entry_mark; 0: an earlier run published it */
    uint8_t state;    /* enum entry_state */
    bool unsure : 1;  /* STORED, not re-hashed since an unclean stop, or in doubt */
    bool touched : 1; /* used since its last fact in the journal */
    bool pinned : 1;  /* by hand */
    bool leaving : 1; /* has a place in cache->leaving */
    bool last : 1;    /* the site was full of last copies when it was asked about it before */
    bool packed : 1;  /* STORED as frames (frames.h): worth.size is what the file takes */
    bool plain : 1;   /* STORED, and stays as it came: it was seen not to shrink */
    uint8_t alg;      /* entry_digest: 32 or 64 bytes follow */
    uint64_t from_bytes[BLOB_SOURCES];
    uint64_t served_bytes;
    union {
        struct pieces *parked; /* unless it is STORED */
        uint64_t plain_bytes;  /* packed: of the blob itself */
    };
    struct blob *blob;
    struct entry *prev, *next; /* age list, used longest ago first */
    uint8_t key[];
};

/* A blob that is to leave, and what the site said of it. */
struct leaving {
    struct entry *entry;
    enum cache_leave state;
    bool sent;        /* ASKED: it was */
    bool comes;       /* it may leave soon: room is waited for */
    int64_t until_ms; /* then it is as if nobody had been asked */
    int64_t said_ms;  /* when; 0: nothing was said yet */
    char to[CACHE_LEAVE_TO_MAX];
};
#define LEAVING_MAX    128
#define LEAVING_ASK_MS 2000
/* Who has the last copy asks twice before it lets it go: others may make room meanwhile. */
#define LEAVING_LAST_MS 1500

/* Work for the disk thread on one blob. */
enum blob_job { JOB_FLUSH = 1, JOB_SAVE = 2, JOB_PUBLISH = 4, JOB_RECORD = 8 };

struct blob {
    struct mail mail; /* first: the disk thread's message is the blob */

    /* fixed at birth */
    struct cache *cache;
    struct digest digest;
    struct pass *pass; /* NULL: it has a file, perhaps in memory */
    bool foreign;      /* its file is containerd's; its entry, if it has one, is ABSENT */
    struct fs_id file; /* foreign: which */

    /* cache->lock */
    unsigned refs;
    struct entry *entry; /* NULL once it has left the map */

    /* lock */
    struct lock lock;
    struct cond grew;
    enum blob_phase phase;
    int error;
    bool stored;           /* the file stands in DIR/blobs (HIT, or being re-hashed) */
    bool verified;         /* the digest is right: the tail may be read */
    bool distrusted;       /* the disk lost bytes: nothing may be read */
    bool doomed;           /* its partial file is to be removed */
    bool hashing;          /* in the hasher's queue or hands, which hold a reference */
    bool mailed;           /* in the disk thread's mailbox, which holds a reference */
    unsigned jobs;         /* enum blob_job */
    unsigned writing;      /* blob_write calls that are at the disk now */
    int64_t room_ms;       /* ASKED: waits for room until then; 0: it does not */
    int fd;                /* set once */
    struct frames *frames; /* with fd; NULL: the file is the blob itself */
    uint64_t size, gen, told_size;
    struct window *window;   /* its file is in memory; NULL: on disk */
    bool may_window;         /* without room on the disk it gets one */
    uint64_t promised_bytes; /* FILLING: to be written, not reserved by the file system */
    struct pieces *pieces;   /* FILLING and FAILED; with a window as long as it lives */
    uint64_t from_bytes[BLOB_SOURCES];
    uint64_t saved_bytes, flushed_bytes; /* have_bytes at the last such job */
    uint64_t cursors[CURSORS_MAX];
    unsigned cursors_count;
    uint64_t readers[BLOB_READERS_MAX]; /* where they are, or window.h */
    void (*wake)(void *arg);
    void *wake_arg;
    bool mendable;       /* a wrong digest makes it sick first */
    bool sick;           /* all held, and the digest is wrong */
    unsigned repairs;    /* calls of blob_drop */
    uint8_t *spoilt;     /* per piece: the last repair that dropped it; NULL before the first */
    struct digest *sums; /* of the pieces, when it fell sick last */
    struct words *words; /* set before FILLING; NULL: none are kept, or it has one piece */

    /* the hash thread that has it in hands */
    struct digester *digester;
    uint64_t hashed_bytes;
    struct blob *hash_next; /* hasher's lock */

    /* any thread */
    _Atomic uint64_t served_bytes;
};

struct cache {
    /* fixed at open */
    struct store store;
    size_t pass_bytes;
    unsigned passes_max;
    int64_t scrub_ms, pack_idle_ms;
    uint64_t pack_bytes_min;

    /* lock */
    struct lock lock;
    struct cond doomed; /* the disk thread has removed something, or told of it */
    struct cond pace;   /* checks_end was set */
    struct index map;
    struct entry *oldest; /* the age list */
    struct doom *dooms;   /* waiting, then the ones in the disk thread's hands */
    uint64_t dooming_bytes, dooming_count;
    void (*lost)(void *arg, const struct digest *d, uint64_t size);
    void *lost_arg;
    bool telling; /* `lost` runs */
    uint64_t used_bytes, open_bytes, pinned_bytes, stored_count, partial_count, packed_count;
    uint64_t filling_count; /* entries with a blob that is not stored yet, nor foreign */
    uint64_t touched_count; /* STORED entries that the journal has to hear of */
    uint64_t limit_bytes, min_free_bytes;
    uint64_t next_gen;
    struct evict evict;
    void (*ask_leave)(void *arg, const struct leave_ask *list, size_t count);
    void *ask_leave_arg;
    bool asking_leave; /* ask_leave runs */
    bool leave_asks;   /* fixed at open: without ask_leave, too, nothing leaves unasked */
    size_t leaving_count;
    struct leaving leaving[LEAVING_MAX];
    int64_t pressed_ms, files_pressed_ms; /* bytes, files have been lacking since; 0: they do not */
    int64_t base_ms;                      /* clock_ms of second base_s of evict's clock */
    uint32_t base_s;
    unsigned passes;
    uint64_t windows_bytes, windows_max_bytes; /* of all windows: now, at most */
    struct digest gone[CACHE_GONE_MAX];        /* for cache_take_gone, a ring */
    unsigned gone_first, gone_count;
    struct words_queue words_asked; /* questions */
    struct words_queue words_due;   /* stored without words: made when no blob is filled */
    struct cond asked_words;        /* one came, or one was told */
    void (*tell_words)(void *arg, const struct digest *d, const uint8_t *words, uint32_t count);
    void *tell_words_arg;
    bool telling_words;      /* it runs */
    bool checks_end;         /* no more re-hashing by scrub, verify and for words, no packing */
    struct packing *packing; /* the one that waits for the disk thread */
    uint64_t packing_bytes;  /* reserved for its file */
    struct cond packed;      /* it was done, or checks_end was set */
    uint64_t saved_bytes;    /* what the packed blobs take less than as they came */
    bool stopping;           /* the disk thread ends when it has done its mail */

    /* facts_lock */
    struct lock facts_lock;
    struct tags *tags;
    struct buf pending;       /* records for the journal */
    int64_t pending_since_ms; /* when the first of them came */
    struct buf note;          /* to be written; empty: nothing is */
    bool rewrite;             /* records were lost: write everything anew */

    /* disk thread only */
    struct journal journal;
    int64_t journal_retry_ms, note_retry_ms, tick_ms, room_ms;
    bool marked;    /* DIR/clean may still be there: nothing is published before it has gone */
    bool leftovers; /* a file that should be gone is there; the next start must not trust it */

    /* have their own locks */
    struct hasher hasher;
    struct mailbox mailbox;
    _Atomic bool degraded;
    _Atomic int64_t stuck_ms; /* it is read-only: until then, or until it works, nothing leaves */
    _Atomic uint64_t promised_bytes; /* of blobs that begin, and of those that fill: theirs */
    struct content *content;         /* NULL: containerd's store is not used */
    /* opener only */
    struct thread disk_thread, scrub_thread, pack_thread, words_thread, words_due_thread;
    bool mailbox_open;
};

/* ---- cache.c ---- */

/* The disk said no (rc: -errno): counts, and shows the cache as degraded until the next
 * success. Returns ERR_FULL when there is no space, else ERR_STORE. */
int cache_disk_failed(struct cache *c, const char *what, int rc);
void cache_disk_worked(struct cache *c);
/* Proves the invariants at the top; for tests. */
void cache_check(struct cache *c);
/* Leaves the digest of what has just left to cache_take_gone. */
void cache_note_gone(struct cache *c, const struct digest *d) NEEDS(c->lock);

/* ---- cache_facts.c ---- */
/* Leaves encoded records to the disk thread for the journal. */
void cache_add_facts(struct cache *c, const struct buf *records);

#endif
