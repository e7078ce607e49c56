/* What a step wants done. The caller owns the plan, gives it empty, and carries the actions out in
 * their order before it feeds the next note. */
#ifndef P2P_PLAN_H
#define P2P_PLAN_H

#include "p2p/elect.h"
#include "p2p/names.h"
#include "p2p/parting.h"
#include "p2p/swarm.h"

#define PLAN_ACTIONS_MAX 256
/* An answer, a request, and datagrams. */
#define PLAN_BYTES_MAX (2 * WIRE_CONTROL_MAX + 65536)

enum plan_kind {
    PLAN_SHOUT,    /* datagram to all: by multicast, else to each member and seed */
    PLAN_DATAGRAM, /* to `node` at `addr` */
    PLAN_ELECTED,  /* `event` happened */
    PLAN_POST,     /* control request to `node`; its answer goes to step_reply */
    PLAN_COPY,     /* the same, and nobody reads the answer */
    PLAN_REPLY,    /* the answer to the control request that this step was about */
    PLAN_GET,      /* ask for pieces: `blob`, `get` */
    PLAN_STOP,     /* a request of `blob` with `get.id` must end before piece `get.first` */
    PLAN_KEEP,     /* take a copy of `blob`, which has `size` bytes, from other nodes */
    PLAN_LIAR,     /* `node` said wrong words about pieces */
    PLAN_WORDS,    /* what do the pieces of `blob`, which is stored here, hash to? swarm_attest,
                    * then swarm_recalled */
    PLAN_NAME,     /* `name` answers the question `ask` about a name */
    PLAN_PARTING   /* `parting` answers the wish to let a blob go */
};

struct plan_action {
    enum plan_kind kind;
    struct node_id node;
    struct node_addr addr;
    enum elect_event event;
    struct digest blob;
    uint64_t size;
    struct swarm_get get;
    uint8_t why; /* STOP: enum wire_trim_why */
    uint32_t ask;
    struct names_answer name;
    struct parting parting;
    uint32_t at, len; /* body without its seal, in plan->bytes */
};

struct plan {
    size_t count;
    struct plan_action actions[PLAN_ACTIONS_MAX];
    size_t bytes_used;
    uint8_t bytes[PLAN_BYTES_MAX];
};

void plan_clear(struct plan *p);
/* A new action, zeroed but for its kind. Must not be called on a full plan. */
struct plan_action *plan_add(struct plan *p, enum plan_kind kind);
size_t plan_room(const struct plan *p); /* bytes left */
bool plan_full(const struct plan *p);   /* no place for an action with a datagram */
/* To a member. */
struct plan_action *plan_to(struct plan *p, enum plan_kind kind, const struct member *to);
/* A datagram of one record; to NULL: PLAN_SHOUT. */
void plan_record(struct plan *p, enum plan_kind kind, const struct member *to,
                 const struct wire_msg *m);
/* Bytes behind those in use; plan_wrote ends them and hangs them to the action. */
void plan_write(struct plan *p, size_t max, struct scribe *ret);
void plan_wrote(struct plan *p, struct plan_action *a, const struct scribe *s);

#endif
