/*
 * One gap of a blob on its way from a source: a call, a buffer, a place to write.
 *
 *   FREE --run_start--> CALLING --call over--> FLUSHING --all written--> OVER --run_settle--> FREE
 *   FLUSHING, with a word: nobody else writes the piece now --> it is claimed, judged and written
 *
 * Bytes are gathered up to the next multiple of RUN_EDGE_BYTES before they are written, but wait at
 * most FLUSH_MS, and the first ones of a run do not wait at all. What is written across such an
 * edge lies in small pieces of the page cache, and whoever reads it pays for that. Those of a peer
 * are written when their block is whole and its checksum right, or with a word when all of it is
 * there: only then is it claimed, so that others may bring the piece, or the beginning of it,
 * meanwhile. Fetch thread only.
 */
#ifndef PROXY_RUN_H
#define PROXY_RUN_H

#include "proxy/upstream/call.h"
#include "proxy/upstream/patience.h"
#include "proxy/upstream/trail.h"
#include "proxy/upstream/unpack.h"

#define RUN_EDGE_BYTES   (256u * 1024)                          /* the knee of write cost */
#define RUN_BUFFER_BYTES (RUN_EDGE_BYTES + CURL_MAX_WRITE_SIZE) /* what comes across an edge */
#define FLUSH_MS         10
#define JUMP_BYTES_MAX   (1024 * 1024) /* bytes read away to reach a gap rather than asked anew */

enum run_phase { RUN_FREE, RUN_CALLING, RUN_FLUSHING, RUN_OVER };

struct run {
    /* set by the owner before the start */
    struct blob *blob;
    struct patience *patience; /* of the blob */
    bool has_word;             /* the gap, not claimed, ends a piece that must hash to that */
    uint8_t word[ATTEST_BYTES];
    uint64_t piece_start; /* has_word: what is held of it before the gap counts */
    struct trail *trail;  /* of the blob; NULL: nobody asks where bytes came from */
    struct cells *cells;  /* the same, for people; or NULL */
    struct p2p *p2p;      /* counts what nodes give; NULL: this node is alone */

    enum run_phase phase;
    struct call call;
    bool claimed;     /* gap is; not before the size is known, or with a word all of it is here */
    struct gap claim; /* as blob_claim gave it */
    struct gap gap;   /* what is left of it: start is the next byte to write */
    int code;         /* OVER: 0 or why */
    bool jumped;      /* OVER: the claim began elsewhere than the answer; ask again */
    bool own_fault;   /* OVER: the blob itself refused, not the source */
    uint64_t got_bytes;
    bool vouched, lied; /* OVER: compared with the word */

    /* private */
    char *buffer;
    size_t cap;
    size_t held, good;     /* bytes in the buffer; those that were checked or need no check */
    int64_t good_since_ms; /* the first of them */
    struct unpack *unpack; /* the body is packed; else NULL */
    struct trail_hand hand;
    bool blocked; /* the blob has no room at this moment */
};

/* `gap` is claimed (but with a word), or NULL: all of a blob whose size is not known yet.
 * call.source, and of call.want origin and vouched, are set. */
void run_start(struct run *r, struct wire *w, const struct gap *gap, uint64_t size, int64_t now_ms);
void run_step(struct run *r, int64_t now_ms, bool woken);
/* Nothing from `end` on is wanted any more: where a piece begins behind what came. */
void run_cut(struct run *r, uint64_t end);
/* All is here, and somebody else writes the piece. */
bool run_is_kept_out(const struct run *r);
/* OVER with a code: the source will say the same again. */
bool run_is_final(const struct run *r);
/* OVER with a code: was the host that was asked last out of reach? */
bool run_found_away(const struct run *r);
/* Gives back what is left of the claim; afterwards FREE. In any phase. */
void run_stop(struct run *r);

#endif
