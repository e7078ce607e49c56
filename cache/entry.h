/* The map from digests to entries, the age list and the byte accounts. Everything NEEDS
 * cache->lock and does no I/O. */
#ifndef CACHE_ENTRY_H
#define CACHE_ENTRY_H

#include "cache/inside.h"

/* A file that is already forgotten and waits for the disk thread to remove it. */
enum doom_kind { DOOM_PARTIAL, DOOM_BLOB, DOOM_QUARANTINE };
struct doom {
    struct doom *prev, *next;
    enum doom_kind kind;
    struct digest digest;
    uint64_t gen, size;
    enum metric reason;   /* evict_*, or METRIC_COUNT when it is no eviction */
    bool wanted;          /* it was used lately */
    bool packed;          /* as the entry's */
    uint64_t plain_bytes; /* packed: of the blob itself */
};

struct digest entry_digest(const struct entry *e);
struct entry *entry_find(struct cache *c, const struct digest *d) NEEDS(c->lock);
/* Finds or adds one that is ABSENT. */
struct entry *entry_take(struct cache *c, const struct digest *d) NEEDS(c->lock);
/* Changes state and size and keeps the accounts; ABSENT leaves the age list. */
void entry_set(struct cache *c, struct entry *e, enum entry_state state, uint64_t size)
    NEEDS(c->lock);
/* Of the blob itself, whatever its file takes. */
uint64_t entry_size(const struct entry *e);
/* What a parked file takes: where the file system cannot keep room for the rest, others may have
 * that. */
uint64_t entry_parked_bytes(const struct cache *c, const struct pieces *parked);
/* STORED, and from now on packed, in a file of so many bytes. */
void entry_set_packed(struct cache *c, struct entry *e, uint64_t file_bytes, uint64_t plain_bytes)
    NEEDS(c->lock);
void entry_pin(struct cache *c, struct entry *e, bool pinned) NEEDS(c->lock);
/* Ties or unties the blob in memory. */
void entry_attach(struct cache *c, struct entry *e, struct blob *b) NEEDS(c->lock);
void entry_detach(struct cache *c, struct entry *e) NEEDS(c->lock);
/* Of a blob without a file of ours: the entry stays for a parked one only. */
void entry_untie(struct cache *c, struct entry *e) NEEDS(c->lock);
/* The blob's counts of where its bytes came from join the entry's. */
void entry_add_sources(struct cache *c, struct entry *e, const struct blob *b) NEEDS(c->lock);
/* The last write to its file, for comparison; never 0. */
uint32_t entry_mark(int64_t mtime_ns);
/* Its file was last written to then: it is unsure if that was after it was published. */
void entry_opened(struct entry *e, int64_t mtime_ns);
/* Its bytes were hashed. */
void entry_sure(struct entry *e);
/* A client was sent all of it. */
void entry_sent(struct entry *e);
/* A client asks for it: if one was sent all of it a moment ago it has perhaps refused wrong bytes,
 * so it is unsure; at most once an hour. */
void entry_doubt(struct entry *e);
/* A client of this node asks for it. */
void entry_asked(struct cache *c, struct entry *e) NEEDS(c->lock);
/* The journal has to hear of it soon. */
void entry_note(struct cache *c, struct entry *e) NEEDS(c->lock);
/* Must the journal hear of it? */
void entry_set_touched(struct cache *c, struct entry *e, bool touched) NEEDS(c->lock);
/* Frees it; it must have no blob. */
void entry_forget(struct cache *c, struct entry *e) NEEDS(c->lock);
/* Forgets it and leaves its file to the disk thread; a blob in memory is untied and goes
 * on with its open file. The caller wakes the disk thread after the lock. */
void entry_doom(struct cache *c, struct entry *e, enum doom_kind kind, enum metric reason)
    NEEDS(c->lock);
/* Leaves a partial file that has no entry any more to the disk thread. */
void entry_doom_partial(struct cache *c, const struct digest *d, uint64_t gen, uint64_t size)
    NEEDS(c->lock);
/* The same for room; `reason` is counted when the file has gone. */
void entry_evict(struct cache *c, struct entry *e, enum metric reason) NEEDS(c->lock);

#endif
