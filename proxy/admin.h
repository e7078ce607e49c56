/*
 * The admin listener: health, metrics and the API of the command line.
 *
 *   GET  /                                the page (page.html)
 *   GET  /livez /readyz /healthz /metrics
 *   GET  /api/v1/status /api/v1/peers /api/v1/transfers
 *   GET  /api/v1/site /api/v1/pulls /api/v1/events
 *   GET  /api/v1/blobs[/DIGEST[?holders=1]]
 *   GET  /api/v1/images?registry=&repository=&reference=[&holders=1]
 *   POST /api/v1/gc[?to=BYTES][&dry_run=1]   /api/v1/verify   /api/v1/tracker/step-down
 *   POST /api/v1/reach
 * Orders (POST) are taken from this machine only, wherever the address listens.
 *
 * It answers from admin_open on, so that the state can be seen while the node starts. One
 * thread (main) calls these.
 */
#ifndef PROXY_ADMIN_H
#define PROXY_ADMIN_H

#include "base/err.h"

struct admin;
struct cache;
struct fetch;
struct p2p;
struct pulls;
struct report;
struct settings;
struct totals;

/* Takes listen_fd, also on failure. State: starting. */
CHECKED int admin_open(struct settings *settings, int listen_fd, struct admin **ret, struct err *e);
/* What it asks; they outlive the admin. */
struct admin_parts {
    struct cache *cache;
    struct fetch *fetch;
    struct pulls *pulls;
    const struct totals *before; /* of earlier runs */
};
/* The registry API answers. `listen`: where it is. */
void admin_serving(struct admin *a, const struct admin_parts *parts, const char *listen);
/* The swarm is there; it outlives the admin. */
void admin_swarm(struct admin *a, struct p2p *p2p);
void admin_draining(struct admin *a);
void admin_reload(struct admin *a, struct settings *settings);
/* For status lines and dumps outside of HTTP: fills what admin knows. Release afterwards. */
void admin_look(struct admin *a, struct report *ret);
void admin_forget(struct report *r);
/* NULL is fine. Waits for running answers: call cache_stop_checks before. */
void admin_close(struct admin *a);

#endif
