/* The whole of the swarm's decisions on one node: a note goes in, a plan comes out. Pure: time is
 * an argument, randomness is seeded, all memory is taken by step_new. The daemon's p2p thread and
 * the simulator run the same code.
 *
 * Messages arrive here opened: the seal was right and they were never seen before. */
#ifndef P2P_STEP_H
#define P2P_STEP_H

#include "p2p/keeper.h"
#include "p2p/locate.h"
#include "p2p/naming.h"
#include "p2p/traffic.h"

struct step;

struct step_config {
    struct node_id self;
    struct node_addr addr;
    uint64_t site;
    uint32_t priority;
    bool preseed; /* as tracker: take what most other sites pull before it is asked for */
    uint64_t seed;
    /* Size of a blob that is stored whole here, or 0; looks into memory. NULL: none is. */
    uint64_t (*stored)(void *arg, const struct digest *digest);
    /* Another node of the site looks for that blob. NULL: nobody wants to know. */
    void (*heard)(void *arg, const struct digest *digest);
    /* Would a copy of that blob fit here, one of so many in the site, without anything of more
     * value leaving for it? NULL: no. */
    bool (*room)(void *arg, const struct digest *digest, uint64_t size, unsigned copies);
    void *stored_arg; /* of all three */
    /* What this node carries; looks into memory. NULL: it says nothing. */
    void (*carried)(void *arg, struct traffic *ret);
    void *carried_arg;
    struct keeper_ops keeper; /* copies that leave and come; all NULL: none */
};

/* From the seal and the socket. */
struct step_from {
    struct node_id node;
    uint64_t boot, seq;
    bool by_multicast;
};

struct step *step_new(const struct step_config *c, int64_t now_ms);
void step_free(struct step *s); /* NULL is fine */

void step_tick(struct step *s, int64_t now_ms, struct plan *p);
int64_t step_wake_ms(const struct step *s); /* when step_tick has something to do */
/* A datagram's body. 0, or ERR_SYNTAX: what came before the fault was taken. */
CHECKED int step_datagram(struct step *s, int64_t now_ms, const struct step_from *from,
                          const uint8_t *body, size_t len, struct plan *p);
/* Steps down as tracker; `leaves`: the node stops. */
void step_resign(struct step *s, int64_t now_ms, bool leaves, struct plan *p);

/* A control request's body, answered by the plan's PLAN_REPLY; the answer to one of ours. */
CHECKED int step_request(struct step *s, int64_t now_ms, const struct step_from *from,
                         const uint8_t *body, size_t len, struct plan *p);
CHECKED int step_reply(struct step *s, int64_t now_ms, const uint8_t *body, size_t len,
                       struct plan *p);

/* A blob that this node has or wants (flags: enum wire_blob_flag); NULL when there are too many.
 * What the caller does to the swarm takes effect with the next step_tick. */
struct swarm *step_open(struct step *s, int64_t now_ms, const struct digest *digest, uint64_t size,
                        uint8_t flags);
/* Nobody here wants it any more. What is held whole is served for a while, the rest is given up;
 * requests for it that run still end, unnoticed. */
void step_leave(struct step *s, int64_t now_ms, const struct digest *digest);
struct swarm *step_swarm(struct step *s, const struct digest *digest); /* NULL: not open */
const struct swarm *step_each(const struct step *s, size_t i);         /* NULL: no more */

/* Who has these blobs, and how many copies the site wants, for people: asks all. One question at a
 * time; what is known and answered until then is taken, and freed, by the caller of step_located
 * (NULL: nothing was asked). ERR_BUSY: another one is running for less than STEP_LOCATE_MS. */
#define STEP_LOCATE_MS 2000
CHECKED int step_locate(struct step *s, int64_t now_ms, const struct digest *blobs, size_t count,
                        struct plan *p);
struct locate *step_located(struct step *s);

/* Somebody looks at the traffic of the site: asks its nodes now and then, and tells what is known
 * of one of them (NULL: nothing). */
void step_look_traffic(struct step *s, int64_t now_ms, struct plan *p);
const struct traffic *step_traffic(const struct step *s, const struct node_id *node, int64_t now_ms,
                                   int64_t *ret_age_ms);
/* The next other site whose tracker said what it carries; as traffic_site_next. */
const struct traffic_site *step_traffic_site(const struct step *s, size_t *at, int64_t now_ms);

/* What that node says it holds is not believed for that long; INT64_MAX: for ever. */
void step_ban(struct step *s, int64_t now_ms, const struct node_id *node, int64_t wait_ms);
/* Its peer port took no connection. */
void step_unmet(struct step *s, int64_t now_ms, const struct node_id *node);

/* Can others reach this node's port? Asks a few of them for a control request, those of the site
 * first; returns how many. Then, and whenever one comes, step_reached_ms is when the last did
 * (INT64_MIN: never). */
#define STEP_KNOCKS   4
#define STEP_KNOCK_MS 100 /* between two answers: nobody makes this node a source of requests */
unsigned step_knock(struct step *s, int64_t now_ms, struct plan *p);
int64_t step_reached_ms(const struct step *s);

/* This node wants to let that blob go; one or more PLAN_PARTING answer, in less than a second. */
void step_part(struct step *s, int64_t now_ms, const struct digest *digest, uint64_t size,
               struct plan *p);

/* Load of this node, for its beacons; free_bytes: room for blobs that others have to let go. */
void step_load(struct step *s, unsigned queue_ms, uint64_t free_bytes);

/* Names (naming.h). An ask is answered by one PLAN_NAME; a tell goes out with the next tick. */
void step_name_ask(struct step *s, int64_t now_ms, const struct naming_question *q, struct plan *p);
void step_name_tell(struct step *s, int64_t now_ms, const struct digest *key,
                    enum names_state state, const struct names_value *value);
void step_name_hold(struct step *s, int64_t now_ms, const struct names_own *own);
size_t step_names(const struct step *s); /* how many are known */

/* A beacon as it would go out now, to say hello with; appended to the plan's bytes as a PLAN_SHOUT.
 */
void step_beacon(const struct step *s, int64_t now_ms, struct plan *p);

/* What this node is may change while it runs: where it is reached; its site, in which it is a
 * newcomer then; its priority, which has to wait (false) while it is tracker or stands. */
void step_moved(struct step *s, const struct node_addr *addr);
void step_site(struct step *s, uint64_t site, int64_t now_ms);
bool step_priority(struct step *s, uint32_t priority);

struct tracker_sum step_tracker_sum(const struct step *s);
const struct replicas *step_replicas(const struct step *s); /* while it is tracker */
const struct elect *step_elect(const struct step *s);
const struct members *step_members(const struct step *s);

#endif
