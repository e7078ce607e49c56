/* The way of one want to a registry: tokens, redirects, waits. What makes a registry a source. */
#ifndef PROXY_WAY_H
#define PROXY_WAY_H

#include "proxy/upstream/source.h"

extern const struct source_ops way_ops;

#endif
