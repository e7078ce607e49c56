/*
 * A stored blob that turned out bad has left the cache: when it was used lately, it is fetched
 * again at once, in the background, through a repository that names it. What is not known to be
 * readable by all, and manifests, come when they are asked for.
 */
#ifndef PROXY_HEAL_H
#define PROXY_HEAL_H

#include "base/digest.h"

struct rooms;
struct settings;

/* Any thread; never blocks. */
void heal_blob(struct rooms *rooms, struct settings *settings, const struct digest *d,
               uint64_t size);

#endif
