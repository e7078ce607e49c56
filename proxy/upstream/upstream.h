/* Registries as sources: where they live, what proves our right to read, how redirects are
 * followed, and when they want to be left alone. Fetch thread only. */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "base/rng.h"
#include "proxy/upstream/health.h"
#include "proxy/upstream/source.h"
#include "proxy/upstream/token.h"

#define REDIRECTS_MAX 3

struct upstreams;

struct upstreams *upstreams_new(struct wire *w, struct health *h, struct rng *r);
void upstreams_free(struct upstreams *u); /* NULL is fine; nothing may be held */
void upstreams_step(struct upstreams *u, int64_t now_ms);

/* The source for an origin; a changed registry setting gives another one. The caller holds it
 * until upstream_drop. ERR_REFUSED: no host that may be contacted; ERR_CONFIG: a bad url. */
CHECKED int upstream_take(struct upstreams *u, const struct origin *o, struct source **ret,
                          struct err *e);
void upstream_drop(struct source **s);

/* Pure: the URL of something at an origin. ERR_REFUSED for "*" with a host that is no plain DNS
 * name, ERR_CONFIG for a bad registry url. */
CHECKED int upstream_base(const struct origin *o, struct url *ret);

#endif
