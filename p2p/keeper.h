/* Which copies of a blob may leave the site: never the last one while another node has room.
 *
 * A node that wants to let a blob go (EVICT_INTENT) asks the tracker, which asks the site who holds
 * it (COPIES_ASK, COPIES), and tells all that want to let it go but one that they may. Without an
 * answer of the tracker the node asks the site itself and may go only if a holder comes before it
 * in the order of pick_weight: the first one is the keeper.
 *
 *   ASKING  --others hold it, and one of them stays-->  GONE, PARTING_GO: it may go within GO_MS
 *   ASKING  --nobody else, a node has room-->           MOVING, PARTING_MOVES
 *   ASKING  --nobody else, no room-->                   GONE, PARTING_LAST: its value decides
 *   ASKING  --it is the keeper, or said HOLDS-->        PARTING_KEEP
 *   MOVING  --TOOK says STORED-->                       GONE, PARTING_GO
 *   MOVING  --refused-->                                ASKING   (the tracker remembers who
 * refused) MOVING  --no word for KEEPER_SILENT_MS-->           PARTING_KEEP
 *
 * Why two nodes cannot both let go of the last two copies, whoever is tracker, and with any
 * datagram lost: who says HOLDS keeps the blob for KEEPER_PROMISE_MS and takes its own wish back; a
 * word GO rests on one of those, is younger than KEEPER_FRESH_MS, and is not believed
 * KEEPER_LATE_MS after the question. Who wants to let go himself says INTENDS to the one that he
 * asked, who decides for both; without a tracker the order decides. Who is GONE or MOVING says
 * nothing, and only an answer counts as a copy: the wish itself may have waited for a decider that
 * stood still. A lost answer makes copies look fewer: a blob stays that could have gone.
 *
 * Pure. */
#ifndef P2P_KEEPER_H
#define P2P_KEEPER_H

#include "p2p/parting.h"
#include "p2p/swarms.h"

#define KEEPER_WANTS_MAX 128 /* blobs that one node wants to let go; more get PARTING_KEEP */
#define KEEPER_PROMISES_MAX \
    512                       /* more are not given: then this node counts as none that holds it */
#define KEEPER_ROUNDS_MAX 512 /* blobs that one tracker decides on; more get no answer */
#define KEEPER_WHO_MAX    32  /* nodes that count for one blob */
#define KEEPER_AGAIN_MS   20  /* the site is asked twice, as datagrams get lost */
#define KEEPER_ROUND_MS   60  /* for the answers of the site */
#define KEEPER_ASK_MS     200 /* no answer of the tracker: again */
#define KEEPER_ASKS       2   /* then the node asks the site itself */
#define KEEPER_FRESH_MS   300
#define KEEPER_LATE_MS    500
#define KEEPER_PROMISE_MS 1000  /* > KEEPER_FRESH_MS + KEEPER_LATE_MS */
#define KEEPER_LONG_MS    10000 /* the keeper without a tracker asks again so late */
#define KEEPER_GO_MS      10000 /* so long a word GO or LAST holds */
#define KEEPER_FAILED_MS  5000  /* after a move that failed */
#define KEEPER_STEP_MS    200   /* between two questions to who takes a blob over */
#define KEEPER_SILENT_MS  3000
#define KEEPER_MOVE_MS    600000
#define KEEPER_MOVES      8 /* nodes that are tried in turn */
/* So long at least room is booked, and until the node was heard KEEPER_STEP_MS after that: large
 * sites beacon seldom. Less than the time after which a cache asks again about its last copy. */
#define KEEPER_BOOKED_MS 1200

/* They look into memory, or post, and return. */
struct keeper_ops {
    /* Is it whole in this node's own cache? NULL: nothing is. */
    bool (*holds)(void *arg, const struct digest *digest);
    /* False: it must stay here or go, another node may not have it. */
    bool (*offer)(void *arg, const struct digest *digest, struct parting_offer *ret);
    /* Another node's last copy: take it over, or say how far it is; asked again and again. */
    enum parting_taken (*take)(void *arg, const struct parting_offer *offer);
    void *arg;
};

struct keeper;

struct keeper *keeper_new(const struct keeper_ops *ops);
void keeper_free(struct keeper *k); /* NULL is fine */

/* This node wants to let it go; PLAN_PARTING answers, at least once, in KEEPER_ASKS * KEEPER_ASK_MS
 * + KEEPER_ROUND_MS. The plan must have room for an action. */
void keeper_want(struct keeper *k, const struct swarms_at *at, const struct digest *digest,
                 uint64_t size, struct plan *p);
/* Room of this node for others' blobs. */
void keeper_room(struct keeper *k, uint64_t bytes);
/* One record of a datagram of a node of the site. */
void keeper_hear(struct keeper *k, const struct swarms_at *at, const struct member *who,
                 const struct wire_msg *m, struct plan *p);
/* Another tracker, perhaps this node: what the last one was asked is asked anew. */
void keeper_elected(struct keeper *k, const struct swarms_at *at);
void keeper_settle(struct keeper *k, const struct swarms_at *at, struct plan *p);
int64_t keeper_wake_ms(const struct keeper *k, int64_t now_ms);

#endif
