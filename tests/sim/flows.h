/* Bytes on the move: flows over links of a given rate. Integers only.
 *
 * Shared max-min fairly by weight, all rates anew after each change: exact, for some hundred flows.
 * Or `local`: each link gives its flows equal shares, and what one of them cannot use is lost; only
 * the flows of touched links are looked at, for tens of thousands. Flows that wait for a full WAN
 * get the same from both. */
#ifndef TESTS_SIM_FLOWS_H
#define TESTS_SIM_FLOWS_H

#include "base/must.h"

#define FLOWS_PER_FLOW 5
#define FLOWS_NO_LINK  UINT32_MAX

struct flow {
    bool used;
    uint32_t links[FLOWS_PER_FLOW]; /* FLOWS_NO_LINK: none */
    uint32_t at[FLOWS_PER_FLOW];    /* its place in each link's list */
    uint64_t left;                  /* millionths of a byte until the next mark, at settled_us */
    uint64_t rate;                  /* bytes/s since settled_us */
    int64_t settled_us, due_us;     /* due: at the mark, INT64_MAX never */
    uint32_t group, heap_at;
    uint32_t weight; /* its share of a link against others' (not if `local`) */
    uint64_t owner;  /* the caller's */
    bool frozen;     /* while rates are computed */
};

struct flows_link {
    uint64_t rate;  /* bytes/s */
    uint64_t moved; /* millionths of a byte so far; of flows that run: until they were settled */
    uint32_t *list; /* flows */
    uint32_t count, cap;
};

/* Flows of a group, the earliest due on top. */
struct flows_heap {
    uint32_t *list;
    uint32_t count, cap;
};

struct flows {
    int64_t now_us;
    bool local, stale; /* stale: rates must be computed anew */
    uint32_t count, cap, links_count, used_count, groups;
    struct flow *list;
    uint32_t *unused; /* of list; the one that was dropped last at the end */
    struct flows_heap *heaps;
    struct flows_link *links;
};

/* Marks are asked for group by group; groups without a common flow on a link may be at different
 * times. */
void flows_init(struct flows *f, unsigned links, unsigned groups, bool local);
void flows_release(struct flows *f);
/* Index of a new flow with a mark after that many bytes. */
unsigned flows_add(struct flows *f, unsigned group, const uint32_t links[FLOWS_PER_FLOW],
                   uint64_t bytes, uint64_t owner);
void flows_mark(struct flows *f, unsigned flow, uint64_t bytes); /* the next mark */
void flows_drop(struct flows *f, unsigned flow);
void flows_weigh(struct flows *f, unsigned flow, uint32_t weight); /* 1 at first */
void flows_rate(struct flows *f, unsigned link, uint64_t bytes_s);
/* Moves time; no mark of the groups that are asked about next may lie before. */
void flows_advance(struct flows *f, int64_t now_us);
/* When the next mark is reached; INT64_MAX: never. */
int64_t flows_next_us(struct flows *f, unsigned group);
/* A flow that reached its mark, or -1. */
int flows_reached(struct flows *f, unsigned group);
uint64_t flows_moved(struct flows *f, unsigned link); /* bytes until now */

#endif
