/* A host that did not answer may have moved: its name is looked up again, whatever curl remembers.
 * Pure. */
#ifndef PROXY_MOVED_H
#define PROXY_MOVED_H

#include "proxy/upstream/url.h"
#include <stdbool.h>
#include <stdint.h>

#define MOVED_LOOK_MS 1000 /* between two look-ups: a name server that is silent holds a thread */

/* Of one registry and the hosts it leads to. All zero: all of them answer. */
struct moved {
    char host[URL_HOST_MAX]; /* the last one that did not answer, and not since; or "" */
    int64_t looked_ms;       /* its name was looked up again; 0: not yet */
};

void moved_note(struct moved *m, const char *host, bool answered);
/* A request to `host` begins: is its name to be looked up again? */
bool moved_look(struct moved *m, const char *host, int64_t now_ms);

#endif
