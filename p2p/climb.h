/* How many nodes of a site should fetch a blob over the WAN at a time. Pure.
 *
 *   limit = min(CLIMB_MAX, max(1, plenty, min(useful, W * 4 s / P)) + more + extra + poor)
 *   plenty = max(min(CLIMB_PLENTY, W * 1 s / P), min(CLIMB_PLENTY_FAST, W / CLIMB_FAST_RATE))
 *
 * W       goodput of the site's WAN as measured, P the blob's piece size: on a thin WAN the first
 *         piece, which readers wait for, must not take longer because many share the link
 * useful  so many carry what the WAN gives: two, doubled while that brings CLIMB_RAMP_PERCENT more,
 *         for where one connection cannot fill the link; where it does, each further one begins
 *         behind a full queue and only slows down the pieces of all
 * extra   one more after CLIMB_STALL_MS without a whole piece and then every CLIMB_STALLED_MS:
 *         those who fetch may be the slow ones
 * poor    CLIMB_POOR_STEP more for each window in which those who fetch brought next to nothing,
 *         for the same reason, until somebody brings more. While few nodes were tried it is
 *         little already what takes CLIMB_PROVE_MS for a piece: all of them may be slow ones
 * more    CLIMB_STEP more are tried every CLIMB_MS, and kept where the WAN then carries
 * CLIMB_PERCENT more; less again where it carries the same without them. Far from a registry, or
 * where packets are lost, each connection has its own bound, which comes and goes */
#ifndef P2P_CLIMB_H
#define P2P_CLIMB_H

#include "base/must.h"

#define CLIMB_UNKNOWN        2       /* fetchers while W is not known */
#define CLIMB_PLENTY         4       /* more only where they bring more, */
#define CLIMB_PLENTY_FAST    8       /* or where each has CLIMB_FAST_RATE all the same */
#define CLIMB_FAST_RATE      8388608 /* bytes/s */
#define CLIMB_MAX            16
#define CLIMB_WINDOW_MS      500
#define CLIMB_RAMP_PERCENT   25
#define CLIMB_STEADY_PERCENT 10 /* less more than half a second ago: it does not grow by itself */
#define CLIMB_FULL_PERCENT   80
#define CLIMB_STALL_MS       1500
#define CLIMB_STALLED_MS     5000
#define CLIMB_POOR_RATE      32768 /* bytes/s of each: a new connection beside a full WAN has more */
#define CLIMB_PROVE_MS       1000
#define CLIMB_POOR_STEP      2
#define CLIMB_POOR_MAX       4
#define CLIMB_IDLE_MS        10000 /* the WAN may have changed meanwhile */
#define CLIMB_MS             2000
#define CLIMB_REST_MS        6000 /* after a move that was bad */
#define CLIMB_STEP           2
#define CLIMB_PERCENT        5
#define CLIMB_LESS_PERCENT   90 /* of the most that it carried: then more may help */

struct climb {
    uint64_t wan; /* bytes/s, 0: not known */
    unsigned useful, more, poor;
    bool ramps, doubled;                           /* doubled: it is not judged yet */
    uint64_t window_bytes, before_rate, last_rate; /* last: of the window before this one */
    int64_t window_ms;
    int64_t busy_ms, idle_ms; /* since when somebody, nobody fetches */
    int64_t piece_ms;         /* when the last piece was whole */
    unsigned active;
    bool unproven; /* the owner says so: nodes that were not tried may be faster */
    bool trying;   /* the last move of `more` is not judged yet */
    bool fewer;    /* the direction of this or the next move */
    bool rests;
    int64_t hill_ms;
    uint64_t hill_bytes, hill_rate, best_rate; /* hill_rate: before the move */
};

void climb_init(struct climb *c);
void climb_bytes(struct climb *c, uint64_t bytes); /* came over the WAN */
/* One more is whole; rate: bytes/s of who fetched it, the WAN gives at least that. */
void climb_piece(struct climb *c, uint64_t rate, int64_t now_ms);
/* active: nodes that fetch now; piece_bytes: the largest of their blobs. */
void climb_tick(struct climb *c, int64_t now_ms, unsigned active, uint32_t piece_bytes);
/* Does the WAN carry about as much as it can? Then who is slow takes nothing from others. */
bool climb_full(const struct climb *c);
unsigned climb_limit(const struct climb *c, uint32_t piece_bytes, int64_t now_ms);

#endif
