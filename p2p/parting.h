/* Words between who owns the bytes and the swarm, about blobs that are to leave this node. */
#ifndef P2P_PARTING_H
#define P2P_PARTING_H

#include "base/digest.h"
#include "p2p/node.h"

enum parting_what {
    PARTING_GO,    /* the blob may go now: `copies` others are here, and one of them stays; or there
                    * is no other node */
    PARTING_KEEP,  /* it must not go for for_ms; then ask again */
    PARTING_MOVES, /* the last copy here: it is on its way to node `to`; another word follows */
    PARTING_LAST   /* the last copy here, and no other node has room for it */
};

struct parting {
    struct digest digest;
    enum parting_what what;
    unsigned copies; /* other nodes of the site that hold it whole, as they said just now */
    int64_t for_ms;  /* how long the word holds */
    struct node_id to;
};

#define PARTING_PLACE_MAX 320 /* bytes of "registry/repository" */

/* What a node tells of a blob that another one shall take over. */
struct parting_offer {
    struct digest digest;
    uint64_t size;     /* bytes */
    uint32_t requests; /* of the site, halving every day, in 1/65536 */
    uint32_t asked_s;  /* how long ago the last one was; UINT32_MAX: not known */
    uint16_t place_len;
    char place[PARTING_PLACE_MAX]; /* where it may be read: "registry/repository", no 0 */
};

enum parting_taken {
    PARTING_REFUSED, /* no room, or nothing that this node may hold */
    PARTING_COMING,
    PARTING_STORED /* whole and durable here */
};

#endif
