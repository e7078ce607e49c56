/* N nodes in virtual time: the product's own step.c behind a network and a clock that are numbers.
 * One seed decides everything; the same seed gives the same trace, bit for bit.
 *
 *   event heap --> deliver / tick / fault --> step_*() --> plan --> network --> event heap
 *
 * The sites of a large world exchange nothing but messages, which take between_us at least. So
 * world_split gives each a heap of its own, and one runs ahead of the others as far as nothing can
 * reach it from them: its nodes stay in the processor's caches. While the hook `apart` says that
 * sites share more, the earliest event of all comes first.
 *
 * A check looks at the world after every event. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "base/buf.h"
#include "base/rng.h"
#include "p2p/step.h"

#define WORLD_NODES_MAX 16384
#define WORLD_US        1000 /* in a millisecond */
#define WORLD_RECORDS   256  /* types on the wire (wire.def) */
/* A multicast in a larger world reaches all of its site at one moment. */
#define WORLD_SMALL 128

struct world;

/* What the world cannot know itself: files are the pull's business (swarm runs), none in elections.
 */
struct world_hooks {
    void *cookie;
    /* After every event; false: an invariant broke and world->broken says which. */
    bool (*check)(struct world *w);
    void (*elected)(struct world *w, unsigned node, const struct plan_action *a);
    void (*event)(struct world *w, unsigned kind, uint64_t a, uint64_t b);
    /* PLAN_GET and PLAN_STOP. */
    void (*fetch)(struct world *w, unsigned node, const struct plan_action *a);
    void (*named)(struct world *w, unsigned node, const struct plan_action *a); /* PLAN_NAME */
    /* Size of a blob that the node stores whole, or 0; NULL: none is. */
    uint64_t (*stored)(struct world *w, unsigned node, const struct digest *blob);
    /* Is there room for a copy, NULL: none; PLAN_KEEP. */
    bool (*room)(struct world *w, unsigned node, const struct digest *blob, uint64_t size);
    void (*keep)(struct world *w, unsigned node, const struct plan_action *a);
    /* Last copies, as keeper_ops has them; NULL: nobody lets go of blobs. PLAN_PARTING. */
    bool (*holds)(struct world *w, unsigned node, const struct digest *blob);
    bool (*offer)(struct world *w, unsigned node, const struct digest *blob,
                  struct parting_offer *ret);
    enum parting_taken (*take)(struct world *w, unsigned node, const struct parting_offer *offer);
    void (*parting)(struct world *w, unsigned node, const struct parting *said);
    /* Do sites exchange nothing but messages now? Asked in a world that was split. */
    bool (*apart)(const struct world *w);
};

struct world_node {
    struct step *step; /* NULL: dead */
    struct world *world;
    struct node_id id;
    unsigned site;
    uint32_t priority;
    uint64_t boot, seq;
    uint64_t *boot_at; /* of a later start than the first: the latest one that each node heard */
    int64_t offset_ms; /* its clock: offset, and so many ppm too fast */
    int64_t drift_ppm;
    int64_t paused_until_us;          /* stopped: hears and says nothing */
    bool mute;                        /* no request to it is answered */
    int64_t late_us;                  /* what comes waits so long at its port */
    int64_t tick_at_us;               /* when the next tick is due, */
    int64_t tick_posted_us;           /* and its event, which may come before that */
    uint64_t said_bytes, heard_bytes; /* of messages, sealed; a multicast is said once */
    bool has_started;
    int64_t tracker_ns; /* processor time of its decisions as tracker, in a timed world */
};

struct world_event {
    int64_t at_us;
    uint64_t order; /* of creation: events of one instant keep it */
    unsigned kind;  /* WORLD_DELIVER, WORLD_TICK, or a hook's own */
    unsigned from, to;
    uint64_t a, b; /* boot, seq of a message; a hook's own */
    uint8_t *bytes;
    size_t len;
};
enum {
    WORLD_DELIVER,
    WORLD_DELIVER_SITE,
    WORLD_TICK,
    WORLD_REQUEST,
    WORLD_COPY,
    WORLD_REPLY,
    WORLD_OWN
};

struct world_heap {
    struct world_event *list;
    size_t count, cap;
};

struct world {
    struct rng rng;
    int64_t now_us;
    unsigned count;
    struct world_node *nodes;
    bool *cuts;             /* world_cut; NULL: nobody is cut off */
    bool queues;            /* what comes for a node that stands still waits, else it is lost */
    bool deaf;              /* no request arrives, as behind a wall that lets only UDP through */
    bool *hears;            /* scratch: who gets a shout */
    unsigned loss_permille; /* of datagrams */
    int64_t delay_us, jitter_us; /* one way */
    int64_t between_us;          /* one way more to another site */
    struct world_hooks hooks;
    struct world_heap *heaps;      /* one; split: of each site, and of what is no single node's */
    unsigned heaps_count, current; /* current: the one whose event is handled */
    bool apart;                    /* the current one may be ahead of others, but not */
    int64_t apart_until_us;        /* beyond that, and nothing reaches others before */
    uint64_t orders;
    uint64_t hash; /* of all that happened */
    uint64_t events, datagrams;
    int64_t counted_us;               /* since then, as bytes and times of nodes: */
    uint64_t heard_by[WORLD_RECORDS]; /* bytes, by the type of records; a seal is of its first */
    bool timed;                       /* tracker_ns is wanted */
    bool traced;
    struct buf trace; /* lines "[ms] node what" */
    char broken[160]; /* "" while all invariants hold */
    struct plan plan; /* scratch */
};

struct world *world_new(unsigned nodes, uint64_t seed, const struct world_hooks *hooks);
void world_free(struct world *w);
/* When all nodes have their sites, before the first event. */
void world_split(struct world *w);
void world_start(struct world *w, unsigned node, uint32_t priority); /* also after a kill */
void world_kill(struct world *w, unsigned node);
void world_pause(struct world *w, unsigned node, int64_t for_ms);
void world_resign(struct world *w, unsigned node);
void world_late(struct world *w, unsigned node, int64_t late_ms); /* it hears all that much later */
void world_cut(struct world *w, unsigned from, unsigned to, bool cut); /* true: nothing arrives */
void world_mend(struct world *w); /* nobody is cut off or hears late */
bool world_is_cut(const struct world *w, unsigned from, unsigned to);
/* One datagram of one record, sent by a node that does what no step would. */
void world_record(struct world *w, unsigned from, unsigned to, const struct wire_msg *m);
/* A hook's own event: of all nodes, or of one, and those of its site. */
void world_post(struct world *w, int64_t at_us, unsigned kind, uint64_t a, uint64_t b);
void world_later(struct world *w, int64_t in_ms, unsigned kind, uint64_t a, uint64_t b);
void world_post_at(struct world *w, unsigned node, int64_t at_us, unsigned kind, uint64_t a,
                   uint64_t b);
/* What messages and the tracker cost is counted from now on. */
void world_count_anew(struct world *w);
/* Until that time, or until an invariant breaks: then false. */
bool world_run(struct world *w, int64_t until_ms);

/* Something happened to a node's swarms: its step looks at them. */
void world_touch(struct world *w, unsigned node);
/* A node asks its site; the hook `named` hears the answer, perhaps before this returns. */
void world_ask_name(struct world *w, unsigned node, const struct naming_question *q);
/* A node wants to let a blob go; the hook `parting` hears the answers. */
void world_part(struct world *w, unsigned node, const struct digest *blob, uint64_t size);
int64_t world_node_ms(const struct world *w, unsigned node); /* its own clock */
/* Of one message, drawn. */
int64_t world_delay_us(struct world *w, unsigned from, unsigned to);
int64_t world_ms(const struct world *w);
bool world_alive(const struct world *w, unsigned node); /* and not paused */
bool world_is_tracker(const struct world *w, unsigned node);
int world_tracker(const struct world *w); /* the first, or -1 */
int world_node_of(const struct world *w, const struct node_id *id);
PRINTF(2, 3) void world_say(struct world *w, const char *fmt, ...);
PRINTF(2, 3) bool world_break(struct world *w, const char *fmt, ...); /* always false */
/* Prints the trace, if there is one, and what broke with the command that repeats it; whether
 * something did. */
bool world_tell(const struct world *w, const char *sim, uint64_t seed);

#endif
