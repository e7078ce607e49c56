/* What this node asks its site about names, and what it tells and answers. Joins names.h with the
 * election to a plan; pure.
 *
 *   ASKING  --tracker (or this node in office): KNOWN-->                      PLAN_NAME
 *   ASKING  --WAIT--> ASKING again after NAMES_WAIT_MS
 *   ASKING  --YOURS, FAILED, NONE, or no answer to NAMING_TRIES-->            PLAN_NAME, or, for a
 *           question with shout_ms while there are other nodes:
 *   SHOUTED --a node holds it (WHONAMES), or shout_ms over-->                 PLAN_NAME
 *   any     --deadline-->                                                     PLAN_NAME
 *
 * Questions are datagrams, repeated to tracker and deputy, and so is what was learned; a new
 * tracker or deputy is told what was used last. */
#ifndef P2P_NAMING_H
#define P2P_NAMING_H

#include "p2p/swarms.h"

#define NAMING_ASKS_MAX  256 /* more questions at a time are answered with NONE */
#define NAMING_TELLS_MAX 256 /* waiting to be sent; the oldest goes first */
#define NAMING_BATCH     256 /* names for a new tracker: 22 KiB, a third of a request */
#define NAMING_RETRY_MS  40
#define NAMING_TRIES     3

struct naming_question {
    uint32_t id; /* the caller's; its answer carries it */
    struct digest key;
    uint64_t max_age_ms;
    int64_t deadline_ms;
    int64_t shout_ms; /* how long the whole site is asked when the tracker does not know; 0: no */
    bool may_resolve;
    bool any_will_do; /* what it stands for cannot change: the first holder's word is enough */
};

struct naming;

struct naming *naming_new(const struct node_id *self, const struct node_addr *addr, uint64_t seed);
void naming_free(struct naming *n); /* NULL is fine */

/* Exactly one PLAN_NAME answers it, now or later, at its deadline at the latest. What a shout
 * brings may be of any age. The plan must have room for an action. */
void naming_ask(struct naming *n, const struct swarms_at *at, const struct naming_question *q,
                struct plan *p);
/* This node learned it upstream or from a holder (NAMES_KNOWN, value set, and the manifest is in
 * its cache), or could not (NAMES_FAILED, NAMES_GONE). */
void naming_tell(struct naming *n, const struct digest *key, enum names_state state,
                 const struct names_value *value, int64_t now_ms);
/* This node holds it since an earlier run; nobody need be told now. */
void naming_hold(struct naming *n, const struct names_own *own, int64_t now_ms);

/* One record of a datagram; of a request. */
void naming_hear(struct naming *n, const struct swarms_at *at, const struct node_id *from,
                 const struct wire_msg *m, struct plan *p);
void naming_told(struct naming *n, const struct node_id *from, const struct node_addr *addr,
                 const struct wire_name_tell *m, int64_t now_ms);
void naming_elected(struct naming *n, const struct swarms_at *at, bool was_deputy);
void naming_gone(struct naming *n, const struct node_id *node);
/* Whatever is due now. */
void naming_settle(struct naming *n, const struct swarms_at *at, struct plan *p);
int64_t naming_wake_ms(const struct naming *n, int64_t now_ms);
size_t naming_count(const struct naming *n); /* names known */

#endif
