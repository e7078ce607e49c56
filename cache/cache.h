/*
 * The front door of cache/: blobs on disk and in flight, tags and links.
 *
 * Life of a blob in memory (the phase only moves down this list):
 *
 *   ASKED     somebody wants it; size not known yet      cache_acquire -> LEAD
 *   FILLING   size known, space reserved, bytes arrive   blob_begin, blob_write
 *   VERIFIED  all bytes here and the digest is right     (hash threads) tail released
 *   WHOLE     durable under its name                     (disk thread)
 *   FAILED    no more bytes will come; see blob_state    blob_fail, bad digest, disk
 *
 * A blob in phase WHOLE or FAILED stays readable as far as it got while somebody
 * holds it (not when an fsync failed: then what it holds cannot be trusted). The map holds
 * ASKED .. WHOLE; a FAILED blob has left the map, so that the next cache_acquire starts
 * clean: it continues the partial file unless the bytes or the disk were bad.
 *
 * Hold-back: the last min(64 KiB, piece) bytes are readable only from VERIFIED on. They do
 * not wait for WHOLE: what a client gets must be right, not durable.
 *
 * Stored, shared in memory, or passing: a blob from cache_acquire has a file on the disk. When
 * there is no room or the disk fails in blob_begin, a blob that may (blob_set_shared) gets a window
 * in memory instead: the same calls and readers, never WHOLE, and bytes behind the slowest reader
 * go. A reader that it has left behind (blob_state.behind) goes on by itself with a blob from
 * cache_pass_through: same calls, a small ring of memory for one reader, same digest check and
 * hold-back. When the disk fails later the blob FAILS (ERR_FULL, ERR_STORE); its readers go on with
 * a window (cache_take_over), or each by itself when there is no memory for one.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include "base/digest.h"
#include "base/err.h"

struct cache;
struct blob;
struct buf;

#define CACHE_NAME_MAX     320 /* "registry/repository", terminated */
#define CACHE_TYPE_MAX     128 /* media type, terminated */
#define CACHE_SIZE_UNKNOWN UINT64_MAX

struct cache_config {
    const char *dir;         /* created when missing; copied */
    uint64_t size_bytes;     /* cap; 0: size_percent of the file system */
    unsigned size_percent;   /* 1..95, used when size_bytes is 0 */
    uint64_t min_free_bytes; /* kept free for others on the file system */
    unsigned cpus;           /* that may be used; 0: one */
    uint64_t hash_bytes_s;   /* what SHA-256 does on one of them (digest_rate); 0: not known */
    uint64_t memory_bytes;   /* for blobs that the disk cannot take, together; 0: none is shared */
    uint64_t pass_bytes;     /* memory of one pass-through blob; 0: default 512 KiB */
    unsigned passes_max;     /* pass-through blobs at a time; 0: default 32 */
    int64_t scrub_ms;        /* one background pass over all that is stored; 0: a week */
    /* Stored blobs that shrink are packed (frames.h) once nobody has asked for them so long; both
     * 0: default a minute, 1 MiB. */
    bool compress;
    int64_t pack_idle_ms;
    uint64_t pack_bytes_min; /* shorter ones stay as they came; >= 64 KiB */
    /* A content store of containerd to read from (the folder of blobs/ and ingest/), NULL: none.
     * What lies there complete is found as if it were stored here, and is on no account. */
    const char *content_dir;
    bool content_owns;       /* of what lies there, checked, no copy is kept here, */
    int64_t content_owns_ms; /* when it was there for so long; before, it leaves first */
    bool leave_asks; /* cache_on_leave will be called: until then nothing leaves at the marks */
};

/* Opens, repairs what a crash left, and starts the disk and hash threads. Never fails
 * because of what is in the cache, only because of the folder itself (-errno, or
 * -EWOULDBLOCK when another daemon has it). */
CHECKED int cache_open(const struct cache_config *config, struct cache **ret, struct err *e);
/* Stops the threads, saves piece maps of partial blobs, marks a clean stop. All blobs
 * must be released and no fetch may run. NULL is fine. */
void cache_close(struct cache *c);
/* Ends a running cache_verify soon and all later ones at once, so that its caller can be
 * waited for before cache_close. Any thread. */
void cache_stop_checks(struct cache *c);
/* New limits (reload); evicts as needed. Any thread. */
void cache_set_limits(struct cache *c, uint64_t size_bytes, unsigned size_percent,
                      uint64_t min_free_bytes);
void cache_set_memory(struct cache *c, uint64_t bytes); /* for blobs that begin from now on */

/* ---- blobs: any thread ---- */

/* Half-open run of bytes. */
struct gap {
    uint64_t start, end;
};

enum blob_phase { BLOB_ASKED, BLOB_FILLING, BLOB_VERIFIED, BLOB_WHOLE, BLOB_FAILED };

enum cache_got {
    CACHE_HIT,  /* WHOLE */
    CACHE_JOIN, /* somebody leads it */
    CACHE_LEAD, /* the caller leads: it must get blob_begin or blob_fail called */
};

/* A client asks: it counts for what the blob is worth. Never NULL; the caller owns one reference.
 * Takes no I/O under a lock; a HIT may open a file. A stored blob that was not verified since an
 * unclean stop is a JOIN in phase FILLING that holds all its bytes; its tail is released when the
 * hash threads have passed over it. A JOIN may have FAILED already (out of descriptors). */
struct blob *cache_acquire(struct cache *c, const struct digest *d, enum cache_got *ret_got);
/* As cache_acquire, but NULL instead of LEAD, and it counts for nothing. */
struct blob *cache_find(struct cache *c, const struct digest *d);
/* Leads a blob that no client asked for; NULL when it is here or on its way. Counts for nothing. */
struct blob *cache_lead(struct cache *c, const struct digest *d);
/* A private blob that passes through memory for one reader, from `from` to the end. What the bytes
 * before hash to is `sent`, when the reader got them (the digest proves them then, too), else what
 * `prefix` knows: a blob of the same digest that FAILED or left this reader behind; both may be
 * NULL. Where it is not known they come again and are skipped. Only the reader's calls hash, so
 * VERIFIED comes when it waits or reads. The caller leads it. ERR_FULL when passes_max run. It
 * FAILS with ERR_CLOSED when only one reference is left before all bytes have come. */
CHECKED int cache_pass_through(struct cache *c, const struct digest *d, uint64_t from,
                               const struct digester *sent, struct blob *prefix, struct blob **ret);
/* The same of `want` alone: nothing proves it, nothing of it is held back, it is never VERIFIED.
 * The caller answers for where it comes from, and for what a client makes of it. spare_only: it can
 * be had another way, ERR_FULL already when half of passes_max run. */
CHECKED int cache_pass_part(struct cache *c, const struct digest *d, const struct gap *want,
                            bool spare_only, struct blob **ret);
uint64_t blob_tail_start(uint64_t size); /* where the held-back tail begins; pure */
struct blob *blob_ref(struct blob *b);
void blob_release(struct blob **b); /* sets NULL; NULL inside is fine */

struct blob_state {
    enum blob_phase phase;
    uint64_t size;       /* bytes, CACHE_SIZE_UNKNOWN before FILLING */
    uint64_t readable;   /* end of the bytes that may be read from `pos` on (>= pos), or pos */
    uint64_t have_bytes; /* arrived so far, anywhere */
    int error;           /* FAILED: ERR_* or -errno */
    bool sick;           /* mend.h */
    bool behind;         /* in memory only, and what is at pos is gone, or far off */
};

const struct digest *blob_digest(const struct blob *b);
void blob_look(struct blob *b, uint64_t pos, struct blob_state *ret);
/* Waits until a byte at pos is readable, the phase is final (WHOLE, FAILED), pos is the
 * end of a VERIFIED blob, or the deadline (clock_ms) passes. While it waits, pos is a
 * cursor: the fetcher prefers its gap. Waits for ASKED to end when pos is UINT64_MAX. */
void blob_wait(struct blob *b, uint64_t pos, int64_t deadline_ms, struct blob_state *ret);
/* A reader that a window in memory waits for: it is at pos from now on. blob_enter gives it a
 * place, -1: there is none (it may be left behind). */
int blob_enter(struct blob *b, uint64_t pos);
void blob_reader_at(struct blob *b, int place, uint64_t pos); /* place -1 is fine */
void blob_leave(struct blob *b, int place);
unsigned blob_readers(struct blob *b); /* that have a place and were not left behind */
/* Up to len readable bytes at pos: count, 0 when none is readable, or a negative code.
 * On a pass-through blob reading frees the window, so positions only rise. */
CHECKED int64_t blob_read(struct blob *b, uint64_t pos, void *ret, size_t len);
/* Adds [start, end) of the file to d once more, for a reader that has got it there: also of a blob
 * that FAILED. 0 or a negative code; it cannot be had of one in memory. */
CHECKED int blob_hash_again(const struct blob *b, uint64_t start, uint64_t end, struct digester *d);
/* Both have begun, and fill or are the same file: what was read of one is in the other. */
bool blob_same_file(const struct blob *a, const struct blob *b);
/* WHOLE, not packed and not containerd's (which others may alter while it is sent) only: a new
 * read-only descriptor of the file for sendfile; caller closes. */
CHECKED int blob_open_fd(struct blob *b, int *ret_fd);
/* A client that was sent such a file got no further than about pos: reads on from there, and
 * a file that cannot be read any more leaves the cache, as blob_read sees to by itself. */
void blob_doubt(struct blob *b, uint64_t pos);

/* ---- filling: the fetch thread ---- */

/* Called (any thread, under no lock) when the fetcher should look again: a cursor waits
 * in a gap nobody fetches, a window has room, or a pass-through blob ended. Set before
 * blob_begin; `arg` must live as long as anybody holds the blob. */
void blob_set_waker(struct blob *b, void (*wake)(void *arg), void *arg);
/* Without room on the disk it may be shared in memory: somebody reads it. */
void blob_set_shared(struct blob *b, bool may);
/* In memory: the bytes that are kept, or may come now; both ends where a piece begins or the blob
 * ends. False: it is not. */
bool blob_window(struct blob *b, struct gap *ret);
/* Size known: reserves space (evicting if needed), continues a partial file of an earlier
 * run (one of another size is dropped). 0, ERR_FULL, ERR_STORE (both FAIL the blob), ERR_SIZE
 * when an earlier begin of this blob had another size, the code of a blob that FAILED.
 * Idempotent. */
CHECKED int blob_begin(struct blob *b, uint64_t size);
/* The same, but ERR_AGAIN, and then the blob is as it was, while the site is asked about what has
 * to leave for it (leave.h): call again soon. CACHE_ROOM_WAIT_MS at most. */
CHECKED int blob_begin_patiently(struct blob *b, uint64_t size);
/* Next run to fetch, at most max_bytes long, claimed for the caller: first the gap under
 * the lowest waiting cursor, else the lowest gap. False when all is held or claimed. */
bool blob_claim(struct blob *b, uint64_t max_bytes, struct gap *ret);
/* The same for a fetcher that is told what to fetch: the first run of [start, end) that lacks and
 * nobody fetches; `start` lies where a piece begins (cut as in p2p/piece.h) or the blob ends. False
 * also for a pass-through blob. */
bool blob_claim_in(struct blob *b, uint64_t start, uint64_t end, struct gap *ret);
/* A claim ends before `end`, where a piece begins, from now on; blob_claim_limit tells. */
void blob_claim_cut(struct blob *b, const struct gap *g, uint64_t end);
/* Gives back what is left of a claim (g as blob_claim returned it); the bytes written stay. */
void blob_unclaim(struct blob *b, const struct gap *g);
/* End of the run that blob_claim returned as g, which may have moved down since: a claim is
 * shortened when a reader waits far behind it, so that another run can begin there. Ask
 * before each write and stop the transfer there; g->start when nothing is left to do. */
uint64_t blob_claim_limit(struct blob *b, const struct gap *g);
/* Bytes of a claimed run, in order within the run: pos is where the last write of this run
 * ended. Bytes at and behind the claim's limit are dropped. At most BLOB_WRITE_MAX at a time
 * on a pass-through blob. 0; ERR_AGAIN: no room in memory, nothing was taken, the waker tells when;
 * ERR_STORE, ERR_FULL: the disk failed, the blob is FAILED now; another code: somebody failed
 * the blob. `source` is for explain: which counter the bytes belong to. */
#define BLOB_WRITE_MAX (256u * 1024)
enum blob_source { BLOB_FROM_UPSTREAM, BLOB_FROM_PEER, BLOB_FROM_REMOTE_PEER, BLOB_SOURCES };
CHECKED int blob_write(struct blob *b, uint64_t pos, const void *bytes, size_t len,
                       enum blob_source source);
/* Where readers wait now, the lowest first, each place once: how many, `max` at most. */
size_t blob_cursors(struct blob *b, uint64_t *ret, size_t max);
bool blob_passes(const struct blob *b); /* has no file */
bool blob_in_memory(struct blob *b);    /* passes, or has a window: what was read goes */
/* No source is left: waiters get `code`. No effect from VERIFIED on. */
void blob_fail(struct blob *b, int code);
/* Small bodies (manifests): checks the digest, makes it VERIFIED, and WHOLE when the disk is so
 * far. 0, ERR_DIGEST, ERR_FULL, ERR_STORE. Waits for a hash thread: never on the fetch thread. */
CHECKED int cache_put(struct cache *c, const struct digest *d, const void *bytes, size_t len,
                      enum blob_source source);
/* Content of a small blob, counted as nothing; ERR_NOT_FOUND, ERR_LIMIT (of ret), ERR_DIGEST. */
CHECKED int cache_get(struct cache *c, const struct digest *d, struct buf *ret);

/* ---- tags and links: any thread; persistent, best effort ---- */

/* What a tag pointed to when it was last checked. Key: "registry/repository:tag". */
struct tag {
    struct digest digest;
    int64_t checked_wall_s; /* when upstream last confirmed it */
    char media_type[CACHE_TYPE_MAX];
    uint64_t size; /* of the manifest */
};
#define CACHE_TAG_KEY_MAX (CACHE_NAME_MAX + 130)
bool cache_tag_get(struct cache *c, const char *key, struct tag *ret);
void cache_tag_put(struct cache *c, const char *key, const struct tag *t);
void cache_tag_drop(struct cache *c, const char *key);

/* A link says that a repository names a digest: it gives access (docs: a blob is reached
 * only through a repository whose manifest names it). Key: "registry/repository" and, for
 * content read with a secret, a principal (0: anonymous or the node's own). */
struct link {
    uint64_t size; /* as the manifest's descriptor says; CACHE_SIZE_UNKNOWN */
    int64_t seen_wall_s;
    char media_type[CACHE_TYPE_MAX]; /* of manifests; "" for blobs */
};
bool cache_link_get(struct cache *c, const char *repository, uint64_t principal,
                    const struct digest *d, struct link *ret);
void cache_link_put(struct cache *c, const char *repository, uint64_t principal,
                    const struct digest *d, const struct link *l);
/* Some repository that names d, for explain and for healing: false when none. */
bool cache_link_any(struct cache *c, const struct digest *d, char ret_repository[CACHE_NAME_MAX]);

#include "cache/leave.h"
#include "cache/look.h"
#include "cache/mend.h"
#include "cache/note.h"
#include "cache/words.h"

#endif
