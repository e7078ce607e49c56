/* Who may take bytes from this node now: upload slots with an honest answer. Pure.
 *
 * A request either starts, waits its turn, or is told how long it would have to wait and goes
 * elsewhere. Turns go by class, then by arrival. The last third of the slots is for nodes that have
 * fewer than SLOTS_ENOUGH: who has a slow port holds each for long, of all nodes at once, and two
 * of them with three blobs held all slots of their site. */
#ifndef P2P_SLOTS_H
#define P2P_SLOTS_H

#include "base/must.h"

#define SLOTS_MAX 64 /* config may ask for fewer, not for more */
/* Of these for nodes of the same site: what is passed on by many at a time is whole late, and only
 * then may be passed on again (simulated). */
#define SLOTS_NEAR        6
#define SLOTS_WAITING_MAX 64
#define SLOTS_BUSY_MS     10 /* a longer wait is answered with busy */
#define SLOTS_ENOUGH      2  /* of a node: the last third is for others */

enum slots_class { SLOTS_CURSOR, SLOTS_FILL, SLOTS_BACKGROUND };
enum slots_answer { SLOTS_START, SLOTS_WAIT, SLOTS_BUSY };

struct slots {
    unsigned running, running_max;
    uint64_t from[SLOTS_MAX]; /* whose uploads run, in no order */
    uint64_t ends;            /* finished uploads */
    uint64_t service_us;      /* mean time of one upload, by a slow average */
    size_t waiting_count;
    struct slots_waiting {
        uint64_t who, from;
        enum slots_class class;
        uint64_t order;
    } waiting[SLOTS_WAITING_MAX];
    uint64_t orders;
};

void slots_init(struct slots *s, unsigned running_max);
/* `who` names the request until it ends, `from` the node (0: it may have all slots); ret_wait_ms is
 * what a new one would wait. */
enum slots_answer slots_ask(struct slots *s, uint64_t who, uint64_t from, enum slots_class class,
                            unsigned *ret_wait_ms);
/* An upload of that node ended after that time: true and the one that starts now. */
bool slots_done(struct slots *s, uint64_t from, uint64_t took_us, uint64_t *ret_next);
/* A waiting request went away. */
void slots_leave(struct slots *s, uint64_t who);
unsigned slots_wait_ms(const struct slots *s); /* what a new request would wait now */

#endif
