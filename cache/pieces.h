/* The piece map of one blob: which bytes are held and which runs are claimed.
 * Pure: no lock, clock or I/O; the owner (blob.c) brings the lock. */
#ifndef CACHE_PIECES_H
#define CACHE_PIECES_H

#include "cache/cache.h"

#define PIECE_MIN_BYTES (256u * 1024)
#define PIECE_MAX_BYTES (4u * 1024 * 1024)
/* Runs at a time: more than any fetcher has requests for one blob. */
#define PIECES_CLAIMS_MAX 64

/* A run that somebody fetches; bytes land in order. */
struct claim {
    uint64_t start, at, end; /* start <= at < end; `at` is the next byte to land */
};

struct pieces {
    uint64_t size;
    uint64_t have_bytes;
    uint32_t piece_bytes; /* of all pieces but perhaps the last */
    uint32_t count;
    uint32_t prefix;       /* pieces below this one are held whole */
    uint32_t claims_count; /* unordered */
    struct claim claims[PIECES_CLAIMS_MAX];
    uint32_t filled[]; /* held bytes at the start of each piece */
};

/* clamp(pow2ceil(size / 256), PIECE_MIN_BYTES, PIECE_MAX_BYTES) */
uint32_t pieces_piece_bytes(uint64_t size);
struct pieces *pieces_new(uint64_t size);
struct pieces *pieces_new_held(uint64_t size);      /* all bytes held */
struct pieces *pieces_copy(const struct pieces *p); /* what is held, without the claims */
void pieces_free(struct pieces *p);                 /* NULL is fine */

uint32_t pieces_piece_len(const struct pieces *p, uint32_t piece);
/* End of the held run that begins at pos; pos itself when that byte is not held. */
uint64_t pieces_run_end(const struct pieces *p, uint64_t pos);
bool pieces_whole(const struct pieces *p);

/* Claims the first gap at or behind the piece of `near`, at most max_bytes (> 0) long. False
 * when there is none, or PIECES_CLAIMS_MAX run. A piece has at most one claim. */
bool pieces_claim(struct pieces *p, uint64_t near, uint64_t max_bytes, struct gap *ret);
/* The same for the first gap of [start, end); `start` is where a piece begins or the blob ends. A
 * gap begins behind what is held of its piece. */
bool pieces_claim_in(struct pieces *p, uint64_t start, uint64_t end, struct gap *ret);
/* What is left of the claim that began at `start` can be claimed again. */
void pieces_unclaim(struct pieces *p, uint64_t start);
/* End of the claim that began at `start`; `start` when it is done or was given back. */
uint64_t pieces_claim_end(const struct pieces *p, uint64_t start);
/* End of the claim whose next byte is pos, or pos when there is none: nothing may land. */
uint64_t pieces_room_end(const struct pieces *p, uint64_t pos);
/* [pos, pos + len) has landed; it must lie inside the room. Drops a claim that is done. */
void pieces_fill(struct pieces *p, uint64_t pos, uint64_t len);

/* A piece that is held whole is not held any more. */
void pieces_drop(struct pieces *p, uint32_t piece);

/* Does pos lie in a hole to which no running claim comes soon? Soon: its next byte is in
 * the same piece or in one of the two before. */
bool pieces_stuck(const struct pieces *p, uint64_t pos);
/* Shortens the claim that covers the piece of pos so that it ends before that piece. */
void pieces_cut(struct pieces *p, uint64_t pos);

/* The claim that began at `start` ends at `end`, where a piece begins, or earlier. */
void pieces_cut_claim(struct pieces *p, uint64_t start, uint64_t end);
/* Sets bit i % 8 of bits[i / 8] for each piece i that is held whole. */
void pieces_held_bits(const struct pieces *p, uint8_t *bits);

/* For a map that was read from disk: takes `filled` (count of them) after checking each
 * against its piece. 0 or ERR_SYNTAX, then p is unchanged. */
CHECKED int pieces_restore(struct pieces *p, const uint32_t *filled, uint32_t count);

#endif
