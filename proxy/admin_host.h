/* Does a request really mean this node? A web page elsewhere can make a browser ask here under a
 * name of its own that it points at this address (DNS rebinding); then it could read the answers.
 * Pure but for the machine's name. */
#ifndef PROXY_ADMIN_HOST_H
#define PROXY_ADMIN_HOST_H

#include "base/must.h"

/* `host`: the Host header, or NULL; `configured`: HOST:PORT of the setting. Ours are addresses,
 * localhost and names below it, the machine's name with or without its domain, and the configured
 * one: names that nobody else can give away. */
CHECKED bool admin_host_is_ours(const char *host, const char *configured);

#endif
