/* The uploads of this node under one lock: slots with their queues (p2p/slots.h), SLOTS_NEAR for
 * the own site and what is left for others, which are slower (none left: they share), and the rate
 * that all of them share. Any thread. */
#ifndef PROXY_UPLOADS_H
#define PROXY_UPLOADS_H

#include "p2p/p2p.h"

struct uploads;

#define UPLOADS_OFF_MS 60000 /* busy time of a node that serves nobody */

enum uploads_room { UPLOADS_NEAR, UPLOADS_FAR, UPLOADS_ROOMS };

struct uploads_limits {
    unsigned running; /* 0: none are served; above SLOTS_MAX: SLOTS_MAX */
    uint64_t rate;    /* bytes/s, 0: no limit */
};

struct uploads *uploads_new(const struct uploads_limits *limits);
void uploads_free(struct uploads *u); /* nobody is inside; NULL is fine */
void uploads_set_limits(struct uploads *u, const struct uploads_limits *limits);
/* Waits end, and nothing starts any more. */
void uploads_close(struct uploads *u);

/* For whom an upload is. */
struct uploads_for {
    enum slots_class class;
    bool far;      /* another site */
    uint64_t from; /* a number of the node, for slots_ask */
};

/* Waits for a turn; `gone` is asked now and then whether anybody still wants it. Its room, and
 * uploads_end of it follows; ERR_BUSY and how long to stay away; ERR_CLOSED. */
CHECKED int uploads_start(struct uploads *u, const struct uploads_for *whom,
                          bool (*gone)(void *arg), void *arg, unsigned *ret_busy_ms);
void uploads_end(struct uploads *u, enum uploads_room room, uint64_t from, int64_t took_us);
/* Must bytes go through uploads_take. */
bool uploads_paced(struct uploads *u);
/* Waits until some of `wanted` bytes may go: how many; 0: closed. */
size_t uploads_take(struct uploads *u, size_t wanted);
/* What a new upload to the own site would wait now. */
unsigned uploads_queue_ms(struct uploads *u);

#endif
