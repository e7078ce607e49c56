/* What the tags and manifests of public registries stand for, as nodes of a site learned it
 * upstream: the tracker's table, its deputy's copy, and on every other node the names that it
 * holds itself. Only digests of names are kept. All of it is soft state; ages travel as durations.
 *
 *   ask --> KNOWN   young enough: digest, size, type, who holds the manifest
 *           YOURS   ask upstream and tell; until NAMES_RESOLVE_MS nobody else is told to
 *           WAIT    somebody does so now: ask again after NAMES_WAIT_MS
 *           FAILED  somebody just failed: everyone for itself, for NAMES_FAILED_MS
 *           NONE    unknown, and the asker cannot ask upstream
 *
 * A manifest's bytes are checked against its digest, but which digest a tag names is believed from
 * whoever has the cluster's key.
 *
 * Pure; memory grows with names up to NAMES_MAX, then the least recently used one leaves. */
#ifndef P2P_NAMES_H
#define P2P_NAMES_H

#include "base/digest.h"
#include "p2p/node.h"

#define NAMES_MAX        16384 /* about 400 bytes each */
#define NAMES_HOLDERS    3
#define NAMES_RESOLVE_MS 2000 /* a client's first byte is due in 5 s: two nodes may try in turn */
#define NAMES_FAILED_MS  1000
#define NAMES_WAIT_MS    20
#define NAMES_AGE_MAX_MS ((uint64_t)400 * 86400 * 1000) /* older is all the same */

enum names_state {
    NAMES_NONE,
    NAMES_KNOWN,
    NAMES_YOURS,
    NAMES_WAIT,
    NAMES_FAILED,
    NAMES_GONE, /* told only: upstream has no such name */
    NAMES_STATES
};

struct names_holder {
    struct node_id node;
    struct node_addr addr;
};

struct names_value {
    struct digest digest;
    uint64_t size;   /* bytes */
    uint8_t type;    /* of the manifest: a number of the caller's */
    uint64_t age_ms; /* since upstream said so */
};

struct names_question {
    uint64_t max_age_ms;
    uint64_t since_ms; /* what was learned since the asker began to ask will always do */
    bool may_resolve;
};

struct names_answer {
    enum names_state state;
    bool known; /* there is a value, though perhaps an old one */
    struct names_value value;
    size_t holders_count; /* the asker is not among them */
    struct names_holder holders[NAMES_HOLDERS];
};

struct names;

struct names *names_new(const struct names_holder *self);
void names_free(struct names *n); /* NULL is fine */

void names_ask(struct names *n, const struct digest *key, const struct node_id *asker,
               const struct names_question *q, int64_t now_ms, struct names_answer *ret);
/* What a node says of a name: NAMES_KNOWN with a value, which it holds; or, of one that it was to
 * resolve, NAMES_FAILED or NAMES_GONE. Of two values the younger one is believed. */
void names_tell(struct names *n, const struct digest *key, const struct names_holder *from,
                enum names_state state, const struct names_value *value, int64_t now_ms);
void names_gone(struct names *n, const struct node_id *node); /* dead or left */

/* A name that this node itself holds; false when it does not. */
bool names_mine(const struct names *n, const struct digest *key, int64_t now_ms,
                struct names_answer *ret);
/* The `max` names that this node holds and used last, the last one first; returns their count. */
struct names_own {
    struct digest key;
    struct names_value value;
};
size_t names_lately(const struct names *n, int64_t now_ms, struct names_own *ret, size_t max);
size_t names_count(const struct names *n);

#endif
