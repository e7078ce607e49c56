/* Who is tracker of a site. Notes go in, plans come out; pure.
 *
 * A claim is (epoch, priority, id); the larger one wins every conflict. A tracker that lives is
 * not displaced by a better newcomer. Who stood because all was silent may just not hear: its claim
 * is lone, less than any other, until it hears somebody follow it. So a node whose port is full
 * takes no office from a tracker that others hear, and needs no votes where it is alone. Uniqueness
 * is not needed for safety: blobs are addressed by digest, so a second tracker costs bytes and
 * never a wrong byte.
 *
 *   MEMBER    --named in the tracker's beacon-->          DEPUTY
 *   MEMBER, DEPUTY --tracker silent ELECT_SILENT_MS, and it did not answer a probe--> CANDIDATE
 *   CANDIDATE --rank * ELECT_STEP_MS over-->              TRACKER, epoch + 1
 *   CANDIDATE --a tracker or a better candidate heard, or somebody hears the tracker--> MEMBER
 *   DEPUTY    --the tracker resigned in its favour-->     TRACKER, epoch + 1
 *   DEPUTY    --this node finds the tracker to be a liar--> TRACKER, epoch + 1
 *   DEPUTY    --the tracker answers no requests, most say--> TRACKER, epoch + 1
 *   MEMBER    --this node finds the tracker to be a liar--> MEMBER, without a tracker
 *   TRACKER   --it finds most nodes to be liars: it is broken itself--> MEMBER, stands back
 *   TRACKER   --a larger claim heard from its owner-->    MEMBER
 *   TRACKER, lone --somebody follows it-->                TRACKER, not lone
 *
 * Every beacon says how long ago its sender itself heard the tracker. A node that lost beacons
 * believes the freshest of these, so that loss alone starts no election, and a tracker that is
 * dead is dead for all ELECT_SILENT_MS after its last word.
 *
 * A liar (member.h: shunned) is no tracker: what it fetches under leases of its own, others do not
 * take. The larger epoch of its successor moves those who have not found out themselves. */
#ifndef P2P_ELECT_H
#define P2P_ELECT_H

#include "base/rng.h"
#include "p2p/member.h"
#include "p2p/wire.h"

#define ELECT_TRACKER_BEACON_MS 300
#define ELECT_JITTER_PERCENT    20 /* of beacons of members (member_beacon_ms) */
#define ELECT_HASTE_MS          3000
#define ELECT_SILENT_MS         900 /* three beacons of the tracker */
#define ELECT_PROBE_MS          100
#define ELECT_STEP_MS           50
#define ELECT_YIELD_MS          300  /* for the next tracker to be heard before standing again */
#define ELECT_HOLD_MS           3000 /* who resigned does not stand again meanwhile */
/* A node says what it sees of the tracker's answers; two at least, and more than have answers, vote
 * a tracker out. Its port may be thin, or its processors busy: it is the last choice for a while.
 * The deputy heeds the vote only while requests reach it, the copies of those to the tracker: where
 * a wall lets no request through it would be no better. */
#define ELECT_UNSERVED_MS 3000   /* without any answer: three requests */
#define ELECT_ASKS_MS     2000   /* without a request: nothing is known of answers */
#define ELECT_UNFIT_MS    600000 /* of who was voted out */
#define ELECT_SPARE_MS    60000  /* no vote after a vote; twice as long after the next one, up to */
/* ELECT_UNFIT_MS, until nobody is voted out for so long: whom no tracker can answer must not move
 * the office for ever. */
#define ELECT_REPLIES 32 /* to a lone tracker from a large site, about */
/* Epochs rise by one with each election; more is a broken or hostile node. */
#define ELECT_EPOCH_JUMP 1024

enum elect_role { ELECT_MEMBER, ELECT_DEPUTY, ELECT_CANDIDATE, ELECT_TRACKER, ELECT_ROLES };

enum elect_event {
#define X(NAME, text) ELECT_##NAME,
#include "p2p/elect.def"
#undef X
    ELECT_EVENTS
};

struct elect_claim {
    uint32_t epoch; /* 0: no tracker */
    uint32_t priority;
    struct node_id id;
    bool lone; /* its owner heard nobody follow it yet */
};

struct elect {
    struct node_id self; /* fixed at init */
    uint64_t site;       /* fixed at init */
    uint32_t priority;   /* of this node */
    enum elect_role role;
    struct elect_claim tracker; /* whom this node follows, perhaps itself */
    struct node_id deputy;      /* as the tracker named it */
    uint32_t epoch_max;         /* largest that was heard of */
    int64_t heard_ms;           /* the tracker, by this node itself; ELECT_NEVER */
    int64_t since_ms;           /* when the tracker became known */
    int64_t patient_ms;         /* until then nothing is done about a silent tracker */
    int64_t stand_ms;           /* candidate: when it wins */
    int64_t hold_ms;            /* does not stand before */
    int64_t beacon_ms;          /* next regular beacon */
    int64_t hearsay_ms;         /* last probe of a tracker known by hearsay */
    int64_t asked_ms;           /* the tracker, last; ELECT_NEVER */
    int64_t unanswered_ms;      /* first request of those in a row without an answer; ELECT_NEVER */
    int64_t answered_ms;        /* ELECT_NEVER */
    int64_t reached_ms;         /* a request came to this node; ELECT_NEVER */
    int64_t spare_ms;           /* no vote before; ends a pause of pause_ms */
    int64_t pause_ms;           /* 0: there was none */
    int64_t voted_ms;           /* took over by votes then; ELECT_NEVER */
    int64_t unfit_ms;           /* was voted out: of the least priority until then */
    int64_t ticked_ms;
    bool probed; /* the silent tracker was asked */
    struct rng rng;
};

#define ELECT_NEVER (INT64_MIN / 2)

/* To be carried out by the caller, in this order. */
struct elect_plan {
    enum elect_event event; /* for the log */
    bool beacon;            /* to all, with these flags: */
    uint8_t beacon_flags;   /* enum wire_beacon_flag */
    bool reply;             /* a beacon to the node that was heard */
    bool probe;             /* ask this node for a beacon: */
    struct node_id probe_id;
    bool changed; /* another tracker: announce to it, after a jitter */
};

void elect_init(struct elect *e, const struct node_id *self, uint64_t site, uint32_t priority,
                uint64_t seed, int64_t now_ms);
struct elect_plan elect_tick(struct elect *e, const struct members *m, int64_t now_ms);
/* A beacon of another node. */
struct elect_plan elect_hear(struct elect *e, const struct members *m, const struct node_id *from,
                             const struct wire_beacon *b, int64_t now_ms);
/* On purpose: `leaves` when the node stops, which it does also without a successor. */
struct elect_plan elect_resign(struct elect *e, const struct members *m, bool leaves,
                               int64_t now_ms);
/* A control request goes to the tracker; an answer came. */
void elect_asked(struct elect *e, int64_t now_ms);
void elect_answered(struct elect *e, int64_t now_ms);
void elect_reached(struct elect *e, int64_t now_ms); /* one came to this node */
/* A newcomer shall hear of this node: its next beacon comes within ELECT_HASTE_MS. */
void elect_hasten(struct elect *e, int64_t now_ms);
/* When elect_tick has something to do. */
int64_t elect_wake_ms(const struct elect *e);
/* Fills what elections need; the caller adds address and load. */
void elect_beacon(const struct elect *e, const struct members *m, uint8_t flags, int64_t now_ms,
                  struct wire_beacon *ret);

const char *elect_role_name(enum elect_role role);
const char *elect_event_text(enum elect_event event);
bool elect_may_go(enum elect_role from, enum elect_role to);
int elect_claim_compare(const struct elect_claim *a, const struct elect_claim *b);

#endif
