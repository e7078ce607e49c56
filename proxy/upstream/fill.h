/*
 * Fills one blob: claims gaps of it, puts each to a source, writes what comes, and gives back
 * what a failed source left, until the blob is whole or no source is left.
 *
 *   blob_claim -> run: call -> buffer -> blob_write -> ... -> gap done | gap given back
 *
 * Fetch thread only.
 */
#ifndef PROXY_FILL_H
#define PROXY_FILL_H

#include "base/rng.h"
#include "proxy/upstream/call.h"
#include "proxy/upstream/reach.h"
#include "proxy/upstream/upstream.h"

#define BLOB_CALLS_MAX       64 /* open requests for blobs in all */
#define REGISTRY_CALLS_MAX   16 /* of those to one registry, but see fill_has_place */
#define BACKGROUND_CALLS_MAX 8  /* of those for blobs that no client asked for */
#define PEER_CALLS_MAX       64 /* open requests at other nodes */
/* Of what is compared as a whole piece before it is written. What a blob asks for at once may be
 * more; the last 4 MiB are for the first request of one that has none. */
#define BUFFER_BYTES_MAX (28u * 1024 * 1024)
#define BUFFER_DUE_BYTES (4u * 1024 * 1024)

/* What all fills share. */
struct fill_world {
    struct wire *wire;
    struct upstreams *upstreams;
    struct rng rng;
    struct peers *peers;
    struct bans bans;
    struct p2p *p2p;         /* NULL: this node is alone */
    struct reach reach;      /* of the other nodes of the site */
    unsigned blob_calls;     /* open now, at registries */
    unsigned peer_calls;     /* open now, at other nodes */
    uint64_t buffer_bytes;   /* that all of them hold at most */
    void (*wake)(void *arg); /* any thread: the loop shall look at all blobs */
    void *wake_arg;
};

struct fill;

/* Whom it is for. PART: a client that wants this part, which a registry may not send with all that
 * is before it. COPY: nobody asks for it, and it comes from other nodes of the site only. */
enum fill_for { FILL_CLIENT, FILL_PART, FILL_BACKGROUND, FILL_COPY };

/* Takes a reference of the blob and a copy of the origin; NULL: a copy that the swarm ordered.
 * Never fails: a refusal fails the blob at the first step. */
struct fill *fill_new(struct fill_world *world, const struct origin *o, struct blob *b,
                      uint64_t size, enum fill_for for_whom, int64_t now_ms);
/* Moves on; true when there is nothing more to do: then fill_free. `woken`: a cursor waits or a
 * window has room. */
bool fill_step(struct fill *f, int64_t now_ms, bool woken);
/* A fill that is not over fails its blob with `code`. */
void fill_free(struct fill *f, int code);
bool fill_is_background(const struct fill *f);
bool fill_is_ordered(const struct fill *f); /* by the swarm */
/* A client waits for it now: no background work any more, and its first byte is due. What was a
 * copy for the site is a pull from `o`. */
void fill_hurry(struct fill *f, const struct origin *o, int64_t now_ms);
/* What the swarm orders (struct p2p_ops). */
void fill_get(struct fill *f, const struct swarm_get *get);
void fill_cut(struct fill *f, uint32_t get, uint32_t end);
struct blob *fill_blob(const struct fill *f);
void fill_info(const struct fill *f, int64_t now_ms, struct transfer_info *ret);
/* Of one that is over. */
void fill_told(const struct fill *f, int64_t now_ms, struct fetched_info *ret);

#endif
