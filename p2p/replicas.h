/* How many whole copies the site keeps of what is popular: the tracker counts requests, asks who
 * has a blob whole, and has nodes with room take a copy from the others while the site is quiet.
 * Pure. A copy is never taken away by this: what is too much leaves by its value (cache).
 *
 *   RESTS --due, wanted more than once--> COUNTS --enough, nobody has it or has room--> RESTS
 *                                         COUNTS --too few--> TAKES by one node --HELD--> RESTS,
 * due TAKES --refused, silent, stuck--> RESTS
 *
 * Invariants: one question at a time, and one each REPLICAS_ASK_MS; at most REPLICAS_AT_ONCE nodes
 * take copies, each of one blob; nothing is begun or repeated before the site was quiet for
 * REPLICAS_QUIET_MS. */
#ifndef P2P_REPLICAS_H
#define P2P_REPLICAS_H

#include "p2p/member.h"
#include "p2p/popular.h"
#include "p2p/wire.h"

#define REPLICAS_MAX         512 /* blobs; the least popular ones are forgotten first */
#define REPLICAS_HOLDERS_MAX 16  /* so many copies are enough in any site */
#define REPLICAS_REFUSED_MAX 16  /* nodes that cannot take one, by blob */
#define REPLICAS_AT_ONCE     2
#define REPLICAS_QUIET_MS    2000
#define REPLICAS_ASK_MS      1000
#define REPLICAS_AGAIN_MS    250  /* the second question: datagrams are lost */
#define REPLICAS_COUNT_MS    500  /* for answers */
#define REPLICAS_SETTLE_MS   5000 /* after a request, or a node that left: it may be back */
#define REPLICAS_LOOK_MS     60000
#define REPLICAS_LOOK_MS_MAX 600000    /* doubled while there is nothing to do */
#define REPLICAS_ORDER_MS    1000      /* an order is repeated */
#define REPLICAS_SILENT_MS   5000      /* no answer: an older version, or gone */
#define REPLICAS_STUCK_MS    60000     /* no bytes */
#define REPLICAS_BUSY_MS     30000     /* a busy node is left alone */
#define REPLICAS_REFUSED_MS  600000    /* the others */
#define REPLICAS_SEED_MS     600000    /* one that other sites want is tried for */
#define REPLICAS_UPLOAD      125000000 /* bytes/s of a node: a gigabit port */

struct replicas;

/* What the site is while this decides. */
struct replicas_site {
    int64_t now_ms;
    bool quiet; /* no client of the site waits for bytes */
    uint64_t site;
    const struct members *members;
    const struct node_id *self;
    uint32_t free_mib; /* room in the own cache */
};
enum replicas_what { REPLICAS_ASK, REPLICAS_TAKE };
struct replicas_act {
    enum replicas_what what; /* ask all who has it; order `node` to take a copy */
    struct digest digest;
    uint64_t size;
    struct node_id node;
    unsigned copies; /* with that one */
};
struct replicas_sum {
    unsigned blobs;   /* that are wanted more than once */
    unsigned lacking; /* of them, with fewer copies than wanted when last counted */
    unsigned taking;  /* nodes that take one now */
    uint64_t orders;
};
/* Of one blob, for people. */
struct replicas_of {
    unsigned wanted, counted;
    bool known; /* counted is */
};

struct replicas *replicas_new(void);
void replicas_free(struct replicas *r); /* NULL is fine */
/* This node becomes tracker: what copies there are is counted anew. */
void replicas_office(struct replicas *r);
/* A node wants it for a client. */
void replicas_hit(struct replicas *r, const struct digest *digest, uint64_t size, int64_t now_ms);
/* Other sites want it: one copy is taken from there, when nobody here has it. */
void replicas_seed(struct replicas *r, const struct digest *digest, uint64_t size, int64_t now_ms);
bool replicas_seeds(const struct replicas *r, const struct digest *digest, int64_t now_ms);
/* A node has it whole. */
void replicas_held(struct replicas *r, const struct digest *digest, const struct node_id *node);
void replicas_said(struct replicas *r, const struct node_id *node, const struct wire_copy_say *said,
                   int64_t now_ms);
void replicas_gone(struct replicas *r, const struct node_id *node);
/* What to do next; false: nothing now. */
bool replicas_next(struct replicas *r, const struct replicas_site *at, struct replicas_act *ret);
/* When replicas_next has something to do at the earliest, perhaps long ago while the site is not
 * quiet; INT64_MAX: never. */
int64_t replicas_wake_ms(const struct replicas *r);

struct replicas_sum replicas_sum(const struct replicas *r, int64_t now_ms, unsigned nodes);
/* Copies of it that a site of so many nodes wants; one of what nobody asked for lately. */
unsigned replicas_wanted(const struct replicas *r, const struct digest *digest, int64_t now_ms,
                         unsigned nodes);
/* The i-th that it knows of, in no order; false: there are no more. */
bool replicas_each(const struct replicas *r, size_t i, int64_t now_ms, unsigned nodes,
                   struct digest *ret_digest, struct replicas_of *ret);
/* Who lacks most comes first (< 0: a), whose copies are not known last. */
int replicas_compare(const struct replicas_of *a, const struct replicas_of *b);

#endif
