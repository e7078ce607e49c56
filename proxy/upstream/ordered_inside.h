/* What ordered.c and ordered_*.c share; nobody else includes it. */
#ifndef PROXY_ORDERED_INSIDE_H
#define PROXY_ORDERED_INSIDE_H

#include "proxy/upstream/ordered.h"

struct order {
    uint32_t id;           /* 0: free */
    struct source *source; /* a peer's is held */
    uint32_t piece;        /* those of the order before it are whole and told */
    uint64_t end;          /* in bytes of the blob; comes down when the order is stopped */
    bool again;            /* its request was made a second time (ordered.c: repeat) */
    bool is_sip;           /* ends within its piece */
    bool has_word;         /* of its one piece */
    uint8_t word[ATTEST_BYTES];
    struct run **run;    /* its place in the fill; NULL: it waits */
    uint64_t told_bytes; /* of the run */
    int64_t told_ms;
};

struct ordered {
    struct p2p *p2p;
    uint32_t piece_bytes;
    uint8_t flags; /* as told */
    bool any;      /* an order came */
    bool no_parts; /* the registry sends whole blobs only */
    int64_t since_ms;
    int64_t rest_until_ms; /* of the registry; 0: it does not rest */
    int refused;           /* code of its final no, or 0 */
    struct err refusal;
    int64_t refused_ms;
    int64_t peers_ms;  /* a peer was at work then */
    int64_t asked_ms;  /* anybody was */
    struct gap window; /* as told; of blobs in memory */
    int64_t cursors_ms;
    size_t cursors_count;
    uint64_t cursors[PICK_CURSORS_MAX]; /* as told */
    struct order orders[SWARM_GETS_MAX];
};

/* Of a piece; the size of the blob for those behind the last. */
static inline uint64_t
ordered_piece_start(const struct fill *f, uint32_t piece)
{
    uint64_t start = (uint64_t)piece * f->ordered->piece_bytes;
    return start < f->size ? start : f->size;
}

/* ---- ordered_tell.c: what the swarm is told ---- */

/* What this node may do, and the pieces that are here. */
void ordered_want(struct fill *f);
/* What of a blob in memory is kept, or may come. */
void ordered_tell_window(struct fill *f);
/* Pieces of the order that became whole, by whatever request. */
void ordered_tell_pieces(struct fill *f, struct order *o);
/* What its request brought since the last word: at once when a piece is complete or nothing more
 * comes, else now and then. */
void ordered_tell_progress(struct fill *f, struct order *o, int64_t now_ms, bool last);
/* Where readers wait; `woken`: one waits anew. */
void ordered_tell_cursors(struct fill *f, int64_t now_ms, bool woken);

/* ---- ordered_refused.c: the registry says no ---- */

/* A request to it failed. It rests, or is asked no more; or the fill is over. */
void ordered_refused(struct fill *f, const struct run *r, int64_t now_ms);
/* Ends its rest when that is over, or the fill when nobody else gave anything after a final no. */
void ordered_watch_registry(struct fill *f, int64_t now_ms);

#endif
