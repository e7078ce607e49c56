/* The uploads of this node under one lock: slots with their queue (p2p/slots.h), and the rate
 * that all of them share. Any thread. */
#ifndef PROXY_UPLOADS_H
#define PROXY_UPLOADS_H

#include "p2p/p2p.h"

struct uploads;

#define UPLOADS_OFF_MS 60000 /* busy time of a node that serves nobody */

struct uploads_limits {
    unsigned running; /* 0: none are served; above SLOTS_MAX: SLOTS_MAX */
    uint64_t rate;    /* bytes/s, 0: no limit */
};

struct uploads *uploads_new(const struct uploads_limits *limits);
void uploads_free(struct uploads *u); /* nobody is inside; NULL is fine */
void uploads_set_limits(struct uploads *u, const struct uploads_limits *limits);
/* Waits end, and nothing starts any more. */
void uploads_close(struct uploads *u);

/* Waits for a turn; `gone` is asked now and then whether anybody still wants it. 0: uploads_end
 * follows; ERR_BUSY and how long to stay away; ERR_CLOSED. */
CHECKED int uploads_start(struct uploads *u, enum slots_class class, bool (*gone)(void *arg),
                          void *arg, unsigned *ret_busy_ms);
void uploads_end(struct uploads *u, int64_t took_us);
/* Must bytes go through uploads_take. */
bool uploads_paced(struct uploads *u);
/* Waits until some of `wanted` bytes may go: how many; 0: closed. */
size_t uploads_take(struct uploads *u, size_t wanted);
/* What a new upload would wait now. */
unsigned uploads_queue_ms(struct uploads *u);

#endif
