/* The exchange of pieces on one node: its blobs, and the tracker's table while it is tracker or
 * deputy. Joins swarm.h and tracker.h to a plan. Pure. */
#ifndef P2P_SWARMS_H
#define P2P_SWARMS_H

#include "p2p/bans.h"
#include "p2p/plan.h"
#include "p2p/tracker.h"

#define SWARMS_MAX       256
#define SWARMS_SEED_MS   60000 /* that long a stored blob that nobody asks for is offered */
#define SWARMS_LEARN_MS  300 /* a tracker of others that was not deputy listens before it grants */
#define SWARMS_GAVE_MS   30000 /* who gave a piece since is there, whatever a connection says */
#define SWARMS_JITTER_MS 5     /* times members: spread of announcements to a new tracker */

struct swarms;

/* What the node is while it decides. */
struct swarms_at {
    int64_t now_ms;
    const struct node_id *self;
    const struct node_addr *addr;
    const struct elect *elect;
    const struct members *members;
    /* Size of a blob that is stored whole here, or 0; looks into memory. NULL: none is. */
    uint64_t (*stored)(void *arg, const struct digest *digest);
    /* Another node of the site looks for that blob. NULL: nobody wants to know. */
    void (*heard)(void *arg, const struct digest *digest);
    /* Would a copy of that blob fit here, one of so many in the site, without anything of more
     * value leaving for it? NULL: no. */
    bool (*room)(void *arg, const struct digest *digest, uint64_t size, unsigned copies);
    void *stored_arg;  /* of all three */
    uint32_t free_mib; /* in the cache */
    bool preseed;      /* what most other sites pull is taken from them before it is asked for */
};

struct swarms *swarms_new(uint64_t seed);
void swarms_free(struct swarms *x); /* NULL is fine */
struct swarm *swarms_find(struct swarms *x, const struct digest *digest);
/* NULL when there are too many. */
struct swarm *swarms_open(struct swarms *x, const struct digest *digest, uint64_t size,
                          uint8_t flags, int64_t now_ms);
/* Nobody here wants it any more: what is whole is served for a while, the rest is given up. */
void swarms_leave(struct swarms *x, const struct digest *digest, int64_t now_ms);

/* Another tracker, perhaps this node. */
void swarms_elected(struct swarms *x, const struct swarms_at *at, bool was_deputy);
void swarms_gone(struct swarms *x, const struct node_id *node);
bool swarms_banned(const struct swarms *x, const struct node_id *node, int64_t now_ms);
/* What it says it holds is not believed until then. */
void swarms_ban(struct swarms *x, const struct node_id *node, int64_t until_ms);
/* Its peer port took no connection. What it says it holds is not believed for a while, and the
 * tracker hears of it at once, unless it gave a piece lately. */
void swarms_unmet(struct swarms *x, const struct node_id *node, int64_t now_ms);
/* One record of a datagram. */
void swarms_hear(struct swarms *x, const struct swarms_at *at, const struct node_id *from,
                 const struct wire_msg *m, struct plan *p);
CHECKED int swarms_request(struct swarms *x, const struct swarms_at *at, const struct node_id *from,
                           const struct node_addr *addr, struct cursor *body, struct plan *p);
CHECKED int swarms_reply(struct swarms *x, const struct swarms_at *at, struct cursor *body);
/* Whatever is due now: announcements, hints, requests, revocations. */
void swarms_settle(struct swarms *x, const struct swarms_at *at, struct plan *p);
int64_t swarms_wake_ms(const struct swarms *x, int64_t now_ms);
struct tracker_sum swarms_sum(const struct swarms *x);
const struct replicas *swarms_replicas(const struct swarms *x); /* of the tracker that it may be */
/* Whole copies of it that the site wants; 0: this node is not in office, and cannot tell. */
unsigned swarms_wanted(const struct swarms *x, const struct swarms_at *at,
                       const struct digest *digest);
/* The i-th that is open; NULL: there are no more. */
const struct swarm *swarms_each(const struct swarms *x, size_t i);

#endif
