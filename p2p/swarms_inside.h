/* What the files of swarms share: swarms.c (which blobs there are, and what is due), swarms_hear.c
 * (datagrams and orders), swarms_talk.c (announcements and their answers) and swarms_copy.c (copies
 * of what is popular). */
#ifndef P2P_SWARMS_INSIDE_H
#define P2P_SWARMS_INSIDE_H

#include "p2p/piece.h"
#include "p2p/questions.h"
#include "p2p/sites.h"
#include "p2p/suspects.h"
#include "p2p/swarms.h"

struct swarms_one {
    struct swarm *swarm;
    int64_t used_ms; /* last time when it was wanted here, or others asked for it or got some */
    bool leaves;     /* closed after one last announcement */
};

/* The copy that this node takes, or took last. */
struct swarms_copy {
    struct digest digest;
    int64_t until_ms;  /* it goes on only when it is ordered again */
    int64_t begins_ms; /* by then its blob is in the swarm */
    int64_t rest_ms;   /* until then others are not disturbed */
    int64_t settle_ms; /* as tracker: when copies are looked at next */
};

struct swarms {
    struct bans bans;
    struct suspects suspects;
    struct questions questions;
    size_t count;
    struct swarms_one list[SWARMS_MAX];
    struct tracker *tracker;
    int64_t learn_ms;   /* no grants before */
    int64_t rejoin_ms;  /* when all blobs are announced to a new tracker; 0: done */
    int64_t tracked_ms; /* last tick of the tracker's table */
    int64_t settled_ms; /* last time when there was a tracker */
    struct sites sites;
    struct swarms_copy copy;
    struct rng rng;
};

/* Is there a tracker that need not be doubted? Is it this node? */
static inline bool
swarms_tracked(const struct elect *e)
{
    return e->tracker.epoch > 0 && e->role != ELECT_CANDIDATE && !e->probed;
}

static inline bool
swarms_in_office(const struct swarms_at *at)
{
    return at->elect->role == ELECT_TRACKER;
}

/* Is what that node says it holds believed? */
static inline bool
swarms_believes(const struct swarms *x, const struct node_id *node, int64_t now_ms)
{
    return !bans_hold(&x->bans, node, now_ms) && !suspects_hold(&x->suspects, node, now_ms);
}

struct swarms_one *swarms_one(struct swarms *x, const struct digest *digest); /* or NULL */
/* Orders of this node's own tracker, also to itself. */
void swarms_give_orders(struct swarms *x, const struct swarms_at *at,
                        const struct tracker_orders *orders, struct plan *p);
/* What is stored here whole, and was not in use, is served from now on; NULL: it is not. */
struct swarms_one *swarms_open_seed(struct swarms *x, const struct swarms_at *at,
                                    const struct digest *digest);
/* Is it wanted for a copy only, which has to wait now? */
bool swarms_copy_rests(const struct swarms *x, const struct swarm *s, int64_t now_ms);
/* A node of the site has opened a blob: its client goes first. */
void swarms_copy_disturb(struct swarms *x, int64_t now_ms);
/* As tracker: counts copies, and orders what lacks. */
void swarms_copy_settle(struct swarms *x, const struct swarms_at *at, struct plan *p);
/* False when the record is none of these. */
bool swarms_copy_hear(struct swarms *x, const struct swarms_at *at, const struct member *who,
                      const struct wire_msg *m, struct plan *p);
/* Asks the trackers of other sites for what nobody here has. */
void swarms_ask_sites(struct swarms *x, const struct swarms_at *at, struct plan *p);
/* As tracker: tells them what is pulled here, and has a copy taken of what most of them pull. */
void swarms_preseed(struct swarms *x, const struct swarms_at *at, struct plan *p);
/* Asks a node that has pieces what they hash to. */
void swarms_ask_words(const struct swarms_at *at, struct swarm *s, struct plan *p);
/* Announces what is due, and what is nearly, in one request. */
void swarms_post(struct swarms *x, const struct swarms_at *at, struct plan *p);
/* The same of one blob to this node itself, which is tracker. */
void swarms_take_own(struct swarms *x, const struct swarms_at *at, struct swarm *s, struct plan *p);

#endif
