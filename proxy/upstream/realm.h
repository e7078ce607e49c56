/* Who may be asked for a token, and so see this node's credentials. Pure. */
#ifndef PROXY_REALM_H
#define PROXY_REALM_H

#include "proxy/upstream/url.h"

/* A realm is good when it is https (http only for an http registry) and its host is the
 * registry's own, or of the same registrable domain, or in `allowed` (comma separated hosts
 * of the configuration, "" for none). */
bool realm_allowed(const struct url *registry, const struct url *realm, const char *allowed);
/* Is `host` an item of the comma separated list? */
bool realm_listed(const char *list, const char *host);

#endif
