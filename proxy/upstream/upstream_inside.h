/* What upstream.c and way.c share; nobody else includes it. */
#ifndef PROXY_UPSTREAM_INSIDE_H
#define PROXY_UPSTREAM_INSIDE_H

#include "base/hash.h"
#include "proxy/upstream/moved.h"
#include "proxy/upstream/reread.h"
#include "proxy/upstream/upstream.h"

#define UPSTREAM_KEY_MAX 600

/* What a registry asked for when a repository was read: the next request brings it at once. */
struct grant {
    char *repository;
    struct challenge challenge;
    UT_hash_handle hh;
};

struct upstream {
    struct source source; /* first member */
    char *key;
    char *host, *realms;
    struct url base;
    enum registry_auth auth;
    bool wildcard;
    bool wants_basic; /* it sent a Basic challenge */
    bool is_near;     /* last seen at a private address */
    struct reread credentials, ca;
    struct creds creds;
    struct moved moved;
    bool creds_good, creds_unreadable;
    unsigned creds_version;
    bool ca_bad;          /* told once */
    unsigned ca_version;  /* of the system's trust in ca_store */
    X509_STORE *ca_store; /* default authorities and the extra file, or NULL */
    struct grant *grants;
    int64_t used_ms;
    struct upstreams *all;
    UT_hash_handle hh;
};

struct upstreams {
    struct wire *wire;
    struct tokens *tokens;
    struct health *health;
    struct rng *rng;
    struct upstream *map;
};

/* This node's credentials for the registry, read again when their file changed; NULL for none.
 * creds_version rises with each change. */
const struct creds *upstream_credentials(struct upstream *u);
/* The default authorities with the registry's own CA file, read again when it changed. */
struct trust_more upstream_trust(struct upstream *u);
/* The challenge that reading a repository met, so that the next request brings a token at once. */
void upstream_remember(struct upstream *u, const char *repository, const struct challenge *c);
const struct challenge *upstream_recall(struct upstream *u, const char *repository);

#endif
