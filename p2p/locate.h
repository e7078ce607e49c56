/* Who has some blobs: what a person asked of all nodes, and what they answer. Pure. */
#ifndef P2P_LOCATE_H
#define P2P_LOCATE_H

#include "p2p/node.h"
#include "p2p/wire.h"

#define LOCATE_BLOBS_MAX   32 /* of one question: an image has about ten */
#define LOCATE_HOLDERS_MAX 64 /* as many as a node exchanges a blob with */

struct locate_holder {
    struct node_id node;
    struct node_addr addr;
    bool same_site; /* as the asker */
    uint32_t held, pieces;
};

struct locate_blob {
    struct digest digest;
    unsigned wanted; /* whole copies in the site, as its tracker says; 0: it did not */
    size_t count;
    struct locate_holder holders[LOCATE_HOLDERS_MAX];
};

struct locate {
    int64_t since_ms;
    size_t count;
    struct locate_blob blobs[];
};

struct locate *locate_new(const struct digest *blobs, size_t count, int64_t now_ms);
void locate_free(struct locate *l); /* NULL is fine */
struct locate_blob *locate_find(struct locate *l, const struct digest *blob);
/* A node has that many pieces of it. The last word counts; 0 of them: it is no holder. */
void locate_note(struct locate_blob *b, const struct locate_holder *is);
/* The answer of a node, of which only the pieces are not known yet. */
void locate_hear(struct locate *l, struct locate_holder who, const struct wire_ihave *said);
/* The answer of the site's tracker. */
void locate_hear_wanted(struct locate *l, const struct wire_copies_wanted *said);

#endif
