/*
 * What the other nodes of the site know of tags and manifests, and what this one tells them.
 * Only names of registries that anybody may read are shared; all calls do nothing for others, and
 * without a swarm.
 *
 *   name                       key
 *   a tag                      registry/repository:tag
 *   a manifest by its digest   registry/repository@digest: somebody here read it through that
 *                              repository, so that it opens for all what reading it opens
 */
#ifndef PROXY_SHARED_H
#define PROXY_SHARED_H

#include "p2p/p2p.h"
#include "proxy/api/request.h"

#define SHARED_KEY_MAX (CACHE_NAME_MAX + DIGEST_TEXT_MAX)

struct shared_word {
    struct names_answer answer;
    bool fresh; /* it need not be asked for upstream */
    bool stale; /* else: it stands in when upstream fails */
};

/* Whether anybody else could help with what upstream refuses. */
bool shared_has_others(const struct request *r);
/* Asks what a tag stands for. Waits while another node resolves it. After one that was not fresh
 * the caller asks upstream and calls shared_tell or shared_failed. */
void shared_ask_tag(struct request *r, const char *key, struct shared_word *ret);
/* The same for a manifest by digest. */
void shared_ask_manifest(struct request *r, const char *key, struct shared_word *ret);
/* Upstream has failed: what does anybody here know of it? */
void shared_ask_anybody(struct request *r, const char *key, struct shared_word *ret);
/* The manifest, from this node's cache or from a holder; it opens what it names. NULL when it is
 * not to be had. The caller owns a reference. */
struct page *shared_take(struct request *r, const struct shared_word *w);

/* This node has it, as upstream said age_ms ago, under this key and under its digest. */
void shared_tell(struct request *r, const char *key, const struct page *p, uint64_t age_ms);
/* Upstream gave this instead. */
void shared_failed(struct request *r, const char *key, enum reason why);
void shared_manifest_key(const struct request *r, const struct digest *d,
                         char ret_key[SHARED_KEY_MAX]);

/* At start: the site may ask for all that the cache has from earlier runs. */
void shared_remember(struct p2p *p, struct cache *c, const struct settings *s);

#endif
