/* The seals of this node and its judgement of others': one count for datagrams, requests and
 * headers, one guard against replay, one account of what was refused. Any thread. */
#ifndef P2P_SEALER_H
#define P2P_SEALER_H

#include "base/lock.h"
#include "p2p/refused.h"
#include "p2p/seal.h"

#define SEALER_TOLD_MAX 64   /* addresses whose refusal was logged; the oldest is forgotten */
#define SEALER_TELL_MS  1000 /* between two such lines: anybody can send from any address */

struct sealer {
    struct node_id self; /* fixed at init, like the next one */
    uint64_t boot;
    _Atomic uint64_t seq;
    struct lock lock;
    struct seal_keys keys;   /* lock */
    struct seal_guard guard; /* lock */
    struct refused refused;  /* lock */
    size_t told_count;       /* lock */
    int64_t told_ms;         /* lock: when the last line was logged */
    uint64_t left_out;       /* lock: lines that were not, since */
    struct {
        char from[64];
        int why;
    } told[SEALER_TOLD_MAX]; /* lock */
};

/* starts: identity_count_start. */
void sealer_init(struct sealer *s, const struct seal_keys *keys, const struct node_id *self,
                 uint32_t starts);
/* From now on the first of these signs, and a message of any of them is believed. */
void sealer_rekey(struct sealer *s, const struct seal_keys *keys);
void sealer_release(struct sealer *s);

/* Seals the body that lies at msg + SEAL_HEAD; msg has room for the rest. Returns all of it. */
size_t sealer_close(struct sealer *s, enum seal_kind kind, uint8_t *msg, size_t body_len);
/* A message from the address `from` (for people; NULL: not known). 0; ERR_SYNTAX, ERR_DENIED,
 * ERR_TIMEOUT (a clock is wrong), ERR_REFUSED (seen before), ERR_LATER (of a start before):
 * counted, and told once for each address, at most one in SEALER_TELL_MS. ERR_AGAIN: our own. */
CHECKED int sealer_open(struct sealer *s, enum seal_kind kind, const uint8_t *msg, size_t len,
                        const char *from, struct seal_head *ret);
/* The same for a request that has its seal in a header, seal_sign. */
CHECKED int sealer_sign(struct sealer *s, const char *what, char ret_text[SEAL_TEXT_MAX]);
CHECKED int sealer_verify(struct sealer *s, const char *text, const char *what,
                          struct node_id *ret_from);
/* What was refused in the last hour. */
void sealer_refused(struct sealer *s, struct refused_lately ret[REFUSED_KINDS]);

#endif
