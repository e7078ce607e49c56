/* What names a node: an id that it keeps for life and the address that it says it has.
 * The one order of ids is that of their bytes. */
#ifndef P2P_NODE_H
#define P2P_NODE_H

#include "base/must.h"
#include <string.h>

struct node_id {
    uint8_t bytes[16]; /* all zero: no node */
};

/* IPv6, or IPv4 mapped into it. */
struct node_addr {
    uint8_t ip[16];
    uint16_t port; /* TCP and UDP */
};

static const struct node_id node_none = {{0}};

static inline int
node_compare(const struct node_id *a, const struct node_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

static inline bool
node_equal(const struct node_id *a, const struct node_id *b)
{
    return node_compare(a, b) == 0;
}

static inline bool
node_is_none(const struct node_id *a)
{
    return node_equal(a, &node_none);
}

#endif
