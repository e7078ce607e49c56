/* The proxies that the environment names: http_proxy, https_proxy, all_proxy and no_proxy,
 * in both spellings (a daemon has no CGI requests to fear, so HTTP_PROXY counts too). Pure
 * but for proxyenv_read. */
#ifndef PROXY_PROXYENV_H
#define PROXY_PROXYENV_H

#include "proxy/upstream/url.h"

struct proxyenv {
    char *http, *https; /* proxy URL or "" */
    char *none;         /* hosts that are reached without it */
};

/* Once, before other threads start: reads the environment. */
void proxyenv_read(struct proxyenv *ret);
void proxyenv_release(struct proxyenv *p);
/* The proxy for that URL, "" for none. Valid as long as p. */
const char *proxyenv_for(const struct proxyenv *p, const struct url *u);

#endif
