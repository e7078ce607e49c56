/* The runs of pieces that one node fetches over the WAN: its leases, and what it took without a
 * tracker. Pure.
 *
 *   NONE --granted or taken--> READY --request made--> RUNS --ended--> OVER --told--> TOLD --> NONE
 *                              READY --revoked--> NONE
 *                              READY --may not fetch any more--> OVER
 *                              READY, RUNS --nobody wants it any more--> OVER
 *                              RUNS, quiet --ended--> NONE */
#ifndef P2P_DUTY_H
#define P2P_DUTY_H

#include "p2p/wire.h"

#define DUTY_WAN_GETS 2 /* at once: of another site's pieces, which come one by one */
#define DUTIES_MAX    (DUTY_WAN_GETS + 3)
/* Of data left when the next lease is asked for: a round trip of a WAN whose queue is full. */
#define DUTY_NEXT_LEASE_MS 250
#define DUTY_OWN_IDS       65535 /* ids of what was taken without a tracker; leases are above */

enum duty_phase { DUTY_NONE, DUTY_READY, DUTY_RUNS, DUTY_OVER, DUTY_TOLD };

struct duty {
    enum duty_phase phase;
    uint32_t lease, epoch, first, end, get; /* get: the request, while it runs */
    uint32_t sip; /* only so many bytes of its one piece, which another node fetches; 0: all */
    uint64_t done_bytes;
    int64_t began_ms;
    uint8_t state;       /* enum wire_fetch_state when over */
    bool ends_soon;      /* time to ask for the next */
    bool quiet;          /* the tracker, for which others hold its pieces, hears nothing of it */
    struct node_id node; /* a holder in another site; none: upstream */
    struct node_addr addr;
};

struct duties {
    uint64_t size;        /* of the blob */
    uint32_t piece_bytes; /* fixed at init */
    uint32_t own_ids;
    bool any_remote;   /* other sites have given, too */
    uint64_t wan_rate; /* bytes/s that this node measured, 0: not yet */
    struct duty list[DUTIES_MAX];
};

void duty_init(struct duties *r, uint64_t size, uint32_t piece_bytes);
/* NULL when there is no place. */
struct duty *duty_add(struct duties *r, const struct wire_grant *g);
bool duty_take(struct duties *r, uint32_t first, uint32_t count, bool quiet); /* without a lease */
/* The first bytes of a piece that another node fetches; quietly, and beside a lease. */
bool duty_sip(struct duties *r, uint32_t piece, uint32_t bytes);
bool duty_sips(const struct duties *r); /* one is ready or runs */
/* One whose request can be made now: what was taken without a lease goes first, as readers stand at
 * it, then the lowest: a piece that another node lost may be granted after later ones, and all wait
 * for it. Upstream one goes after the other: the next request then takes the same connection, which
 * is up to speed, while a second one would begin slowly beside the full queue of the WAN, each
 * time. A sip waits for none of them, and they not for it. */
struct duty *duty_ready(struct duties *r);
struct duty *duty_running(struct duties *r, uint32_t get); /* the one of that request */
unsigned duty_working(const struct duties *r);             /* ready or running, but for sips */
/* Nothing is at work, or one alone that ends soon. A lease that was asked for earlier would only
 * wait here, and be missed by others at the end; but where other sites give, too, one of theirs
 * runs beside one of the registry. */
bool duty_wants_more(const struct duties *r);
void duty_run(struct duty *a, uint32_t get, int64_t now_ms);
/* All its pieces came by another way: it is done, and says nothing of the WAN. */
void duty_needless(struct duty *a);
/* A shorter lease, or none: true when the request a->get must stop before piece ret_end. */
bool duty_trim(struct duties *r, const struct wire_trim *t, struct duty **ret, uint32_t *ret_end);
/* More bytes; true when it is time to ask for the next lease. */
bool duty_progress(struct duties *r, struct duty *a, uint64_t bytes, int64_t now_ms);
void duty_end(struct duties *r, struct duty *a, bool busy, int64_t now_ms);
/* The node gives up, through no fault of its WAN: what was not yet asked for upstream, or all. */
void duty_refuse(struct duties *r);
void duty_rest(struct duties *r); /* what was not yet asked for, anywhere */
void duty_leave(struct duties *r);
/* What the tracker should know, one by one from *at on; digest is left alone. */
bool duty_report(const struct duties *r, size_t *at, struct wire_fetching *ret);
void duty_told(struct duties *r);  /* all was sent */
void duty_taken(struct duties *r); /* and read */

#endif
