/* What the files of the keeper share: keeper.c (what this node wants, says and takes over) and
 * keeper_round.c (what is decided for others, or for itself). */
#ifndef P2P_KEEPER_INSIDE_H
#define P2P_KEEPER_INSIDE_H

#include "p2p/keeper.h"

enum keeper_state { KEEPER_ASKING, KEEPER_GONE, KEEPER_MOVING };

/* A blob that this node wants to let go. */
struct keeper_want {
    struct digest digest;
    uint64_t size;
    enum keeper_state state;
    uint32_t ask;
    bool alone;             /* ASKING: it decides for itself; else `decider` does */
    bool intends;           /* ASKING alone: others heard that it holds the blob */
    struct node_id decider; /* the tracker that was asked, perhaps this node */
    unsigned asks, moves;
    int64_t first_ms; /* of this question; MOVING: of the move */
    int64_t next_ms;  /* asks again; MOVING: too; GONE: is over */
    int64_t heard_ms; /* MOVING: last word of `to` */
    bool late;        /* MOVING: this node stood still before it asked `to` last */
    struct node_id to;
    struct node_addr to_addr;
};

struct keeper_promise {
    struct digest digest;
    int64_t until_ms;
};

struct keeper_who {
    struct node_id node;
    struct node_addr addr;
    bool here;  /* said so since the site was asked last */
    bool wants; /* to let it go; `ask` is its number of that question */
    uint32_t ask;
    int64_t leaves_ms; /* it was allowed to, or moves it: no copy of the site until then */
    bool answered;
    struct parting answer; /* repeated when the question comes again */
    struct node_addr to_addr;
};

/* What is decided on one blob. */
struct keeper_round {
    struct digest digest;
    uint64_t size;
    bool alone;                 /* for this node itself, without a tracker */
    uint32_t ask;               /* number of the question to the site */
    int64_t asked_ms, again_ms; /* the site was asked; is asked once more, or never */
    bool decided;
    size_t count, refused_count;
    struct keeper_who who[KEEPER_WHO_MAX];
    struct node_id refused[KEEPER_MOVES]; /* were named to take it over */
};

/* Room that a move will take, which beacons do not tell yet. */
#define KEEPER_BOOKED_MAX 64
struct keeper_booked {
    struct node_id node;
    uint64_t bytes; /* 0: none */
    int64_t at_ms;
};

struct keeper {
    struct keeper_ops ops;
    uint64_t room; /* of this node */
    uint32_t last_ask;
    size_t wants_count, promises_count, rounds_count;
    struct keeper_want wants[KEEPER_WANTS_MAX];
    struct keeper_promise promises[KEEPER_PROMISES_MAX];
    struct keeper_round *rounds[KEEPER_ROUNDS_MAX];
    size_t booked_next;
    struct keeper_booked booked[KEEPER_BOOKED_MAX];
};

static inline bool
keeper_has_room(const struct plan *p)
{
    return p->count + 4 <= PLAN_ACTIONS_MAX && plan_room(p) >= WIRE_DATAGRAM_MAX;
}

/* keeper.c: a decision on what this node wants; what it says of a blob when it is asked. */
void keeper_answered(struct keeper *k, const struct swarms_at *at, const struct parting *said,
                     uint32_t ask, const struct node_addr *to_addr, struct plan *p);
bool keeper_says(struct keeper *k, const struct swarms_at *at, const struct node_id *decider,
                 const struct wire_copies_ask *asked, struct plan *p, enum wire_copy *ret);

/* keeper_round.c: a node's wish; what another one said; what is due. `alone`: for itself. */
void keeper_round_want(struct keeper *k, const struct swarms_at *at, const struct member *who,
                       const struct wire_evict_intent *said, bool alone, struct plan *p);
void keeper_round_hear(struct keeper *k, const struct swarms_at *at, const struct member *who,
                       const struct wire_copies *said);
void keeper_round_settle(struct keeper *k, const struct swarms_at *at, struct plan *p);
int64_t keeper_round_wake_ms(const struct keeper *k, int64_t now_ms);

#endif
