/*
 * One want put to one source, through all the exchanges that it takes.
 *
 *   IDLE --start--> PARKED --prepared--> OPEN --+--> ENDED
 *                     ^                         |
 *                     +-- AGAIN (redirect, token)
 *
 * Fetch thread only.
 */
#ifndef PROXY_CALL_H
#define PROXY_CALL_H

#include "proxy/upstream/source.h"

struct call;
struct call_ops {
    /* The source's head is good and body follows. 0, or a negative code that ends the call. */
    int (*go)(struct call *c);
    /* Body from the first wanted byte on. 0; 1: enough; ERR_AGAIN: none taken, call_resume() will
     * be called; other negative: ends the call. */
    int (*body)(struct call *c, const char *bytes, size_t len);
};

enum call_phase { CALL_IDLE, CALL_PARKED, CALL_OPEN, CALL_ENDED };

struct call {
    /* set by the owner before the start */
    const struct call_ops *ops;
    void *owner;
    struct source *source; /* held by the owner */
    struct want want;
    int64_t head_wait_ms;  /* for each exchange */
    int64_t heard_wait_ms; /* the same of one that is connected, if longer */
    int64_t stall_ms;      /* for each exchange; 0: STALL_MS */

    enum call_phase phase;
    struct verdict verdict; /* of the last head */
    bool judged;            /* verdict is of the running exchange */
    int code;               /* ENDED: 0 or why */
    bool final;             /* ENDED: this source will say the same again */
    struct err err;         /* ENDED with a code */
    struct exchange exchange;

    /* private */
    struct wire *wire;
    uint64_t to_skip;
};

void call_start(struct call *c, struct wire *w, int64_t now_ms);
/* Every turn while it is PARKED or OPEN. */
void call_step(struct call *c, int64_t now_ms);
void call_resume(struct call *c);
/* The source took the request and has not answered. */
bool call_awaits_head(const struct call *c);
/* Ends it at once, without a callback; afterwards IDLE. Also for one that never started. */
void call_stop(struct call *c);

#endif
