/* Nodes that gave wrong bytes: nothing is asked of them for a while, the second time until this
 * node starts again. Pure. */
#ifndef P2P_BANS_H
#define P2P_BANS_H

#include "p2p/node.h"

#define BANS_MAX 64 /* the one that ends first gives up its place */
#define BAN_MS   600000

struct bans {
    size_t count;
    struct ban {
        struct node_id node;
        int64_t until_ms; /* INT64_MAX: for ever */
    } list[BANS_MAX];
};

/* Until when; false: it is banned already. */
bool bans_add(struct bans *b, const struct node_id *node, int64_t now_ms, int64_t *ret_until_ms);
/* Until then, whatever was before. */
void bans_set(struct bans *b, const struct node_id *node, int64_t until_ms);
CHECKED bool bans_hold(const struct bans *b, const struct node_id *node, int64_t now_ms);

#endif
