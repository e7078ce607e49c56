/* Bytes on the move: flows over links of a given rate, shared max-min fairly. Integers only. */
#ifndef TESTS_SIM_FLOWS_H
#define TESTS_SIM_FLOWS_H

#include "base/must.h"

#define FLOWS_MAX      4096
#define FLOWS_LINKS    512
#define FLOWS_PER_FLOW 5
#define FLOWS_NO_LINK  UINT32_MAX

struct flow {
    bool used;
    uint32_t links[FLOWS_PER_FLOW]; /* FLOWS_NO_LINK: none */
    uint64_t left;                  /* millionths of a byte until the next mark */
    uint64_t rate;                  /* bytes/s now */
    uint64_t owner;                 /* the caller's */
    bool frozen;                    /* while rates are computed */
};

struct flows {
    int64_t now_us;
    size_t count, links; /* highest used + 1 */
    struct flow list[FLOWS_MAX];
    uint64_t rate[FLOWS_LINKS];  /* bytes/s of each link */
    uint64_t moved[FLOWS_LINKS]; /* millionths of a byte so far */
    bool stale;                  /* rates must be computed anew */
};

/* Index of a new flow with a mark after that many bytes. */
unsigned flows_add(struct flows *f, const uint32_t links[FLOWS_PER_FLOW], uint64_t bytes,
                   uint64_t owner);
void flows_mark(struct flows *f, unsigned flow, uint64_t bytes); /* the next mark */
void flows_drop(struct flows *f, unsigned flow);
void flows_rate(struct flows *f, unsigned link, uint64_t bytes_s);
/* Moves time; no mark may lie before. */
void flows_advance(struct flows *f, int64_t now_us);
/* When the next mark is reached; INT64_MAX: never. */
int64_t flows_next_us(struct flows *f);
/* A flow that reached its mark, or -1. */
int flows_reached(const struct flows *f);

#endif
