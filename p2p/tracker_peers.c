/* Which peers the tracker names to a node. In a large swarm those are its neighbours by hash. They
 * are looked for once while the swarm stays as it is, so an announcement costs the same in a site
 * of a thousand nodes as in one of fifty. */
#include "base/mem.h"
#include "p2p/tracker_inside.h"
#include <string.h>

static void
find_near(const struct tracker_blob *b, struct tracker_entry *e)
{
    uint16_t found[TRACKER_NODES_MAX];
    size_t count = 0;
    uint64_t mine = b->hashes[b->entry_at[e->node]];
    for (size_t i = 0; i < b->entries_count; i++)
        if (b->entries[i] != e && pick_near(b->hashes[i], mine, b->entries_count - 1))
            found[count++] = (uint16_t)i;
    e->near = mem_realloc(e->near, count * sizeof *found);
    memcpy(e->near, found, count * sizeof *found);
    e->near_count = count;
    e->near_moves = b->moves;
}

static bool
lacks(const struct tracker_entry *e, const struct tracker_entry *holder, size_t bytes)
{
    return !bits_within(holder->bits, e->bits, bytes);
}

bool
tracker_peer(struct tracker *t, const struct node_id *node, const struct digest *digest,
             int64_t now_ms, size_t *at, struct wire_peer *ret)
{
    struct tracker_blob *b = tracker_find(t, digest);
    int asker = tracker_node(t, node);
    struct tracker_entry *e = b != NULL && asker >= 0 ? tracker_entry(b, (unsigned)asker) : NULL;
    if (e == NULL || (*at == 0 && e->peers_helped && now_ms - e->peers_ms < TRACKER_PEERS_MS))
        return false;
    size_t bytes = BITS_BYTES(b->book.pieces);
    /* A newcomer in a large swarm hears of its neighbours also while they have nothing: it will
     * tell them what it gets. */
    bool meets = b->entries_count - 1 > PICK_NEAR && now_ms - e->since_ms < TRACKER_PEERS_MS;
    if (*at == 0)
        e->peers_helped = false;
    if (e->near_moves != b->moves)
        find_near(b, e);
    e->peers_ms = now_ms;
    while (*at < e->near_count) {
        const struct tracker_entry *o = b->entries[e->near[(*at)++]];
        bool helps = o->counts && lacks(e, o, bytes);
        if (!helps && !(o->counts && meets))
            continue;
        e->peers_helped = e->peers_helped || helps;
        *ret = (struct wire_peer){
            t->nodes[o->node].id, t->nodes[o->node].addr, *digest, {o->bits, (uint16_t)bytes}};
        return true;
    }
    return false;
}
