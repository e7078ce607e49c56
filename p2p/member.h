/* The nodes that were heard lately, this one not among them. Pure: time is an argument. */
#ifndef P2P_MEMBER_H
#define P2P_MEMBER_H

#include "p2p/node.h"

/* One tracker serves this many (decision 7 of the design); more are not let in. */
#define MEMBERS_MAX    1024
#define MEMBER_DEAD_MS 3000
/* Of beacons of members that a node hears: in a larger site each is said more seldom. */
#define MEMBER_BEACON_MS 1000
#define MEMBER_BEACONS_S 64
#define MEMBER_MISSES    3 /* beacons that did not come: the node is dead */
#define MEMBER_BUCKETS   4096
/* Multicast reaches a node that was heard that way so lately. */
#define MEMBER_GROUP_MS 5000
#define MEMBER_NEVER    (INT64_MIN / 2)

struct member {
    struct node_id id;
    struct node_addr addr;
    uint64_t site;
    uint64_t boot, seq; /* of the newest message: older ones are not believed */
    uint32_t priority;
    uint32_t epoch; /* of the tracker that it follows, and what it says of its answers: */
    uint8_t served; /* WIRE_SERVED, WIRE_UNSERVED or 0 */
    bool is_tracker;
    uint16_t every_ms; /* between its beacons; 0: it does not say */
    uint16_t queue_ms; /* what an upload from it waits, as it says */
    uint32_t free_mib;
    bool banned; /* it gave wrong bytes: nothing is asked of it, and it is not followed */
    int64_t heard_ms;
    int64_t group_ms; /* heard by multicast; MEMBER_NEVER */
};

struct members {
    size_t count, banned;
    uint64_t home; /* site of this node, and how many are of it */
    size_t home_count;
    size_t best; /* of them: where it stands, as member_best() says; MEMBERS_MAX: there is none */
    int64_t bury_ms;                 /* nobody is dead before */
    struct member list[MEMBERS_MAX]; /* unordered */
    /* By id: index + 1 of the first in a bucket, and of the one behind it; 0: none. */
    uint16_t first[MEMBER_BUCKETS], next[MEMBERS_MAX];
};

/* Larger is better: what an operator configured, then a wired link, then a node that has been up
 * for MEMBER_STABLE_MS, then its processors. */
#define MEMBER_STABLE_MS 600000
uint32_t member_priority(unsigned configured, bool wired, int64_t up_ms, unsigned cpus);

void member_init(struct members *m, uint64_t home);
void member_move(struct members *m, uint64_t home); /* this node is of another site now */
const struct member *member_find(const struct members *m, const struct node_id *id);
/* Takes what a node said of itself; heard_ms is set. False when it is older than what is known
 * of that node, or when there is no place. */
bool member_heard(struct members *m, const struct member *said, int64_t now_ms);
void member_forget(struct members *m, const struct node_id *id);
bool member_by_group(const struct member *m, int64_t now_ms); /* does multicast reach it? */
unsigned member_beacon_ms(const struct members *m);           /* between two beacons of this node */
/* Drops one node that was silent for MEMBER_DEAD_MS, or for MEMBER_MISSES of its beacons: true and
 * its id, until none is left. */
bool member_bury(struct members *m, int64_t now_ms, struct node_id *ret_dead);

/* Is (priority, id) of a better than that of b? */
bool member_better(uint32_t a_priority, const struct node_id *a, uint32_t b_priority,
                   const struct node_id *b);
/* Does this node find more than half of the site's nodes, itself counted, to be liars? Then it is
 * the one that is broken. */
bool member_doubts_itself(const struct members *m, uint64_t site);
/* Banned, by a node that does not doubt itself. */
bool member_shunned(const struct members *m, const struct node_id *id);
/* 1 + how many nodes of the site, `except` and the shunned not counted, are better than the given
 * one. */
unsigned member_rank(const struct members *m, uint64_t site, uint32_t priority,
                     const struct node_id *id, const struct node_id *except);
size_t member_count(const struct members *m, uint64_t site); /* nodes of that site */
/* The best node of a site that is not shunned, or NULL. */
const struct member *member_best(const struct members *m, uint64_t site);

#endif
