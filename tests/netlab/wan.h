/* The WAN between the sites:
 *
 *    router A --TUN--> [A.up] ==path A,B==> [B.down] --TUN--> router B
 *
 * A link is a drop-tail queue, a transmitter of a given rate, random loss and a one-way delay with
 * optional jitter; packets are never reordered. A path adds delay and loss between two sites. All
 * of it can change while packets flow. One thread. */
#ifndef TESTS_NETLAB_WAN_H
#define TESTS_NETLAB_WAN_H

#include "tests/netlab/event.h"
#include "tests/netlab/packet.h"

#define WAN_SITES_MAX 64
#define WAN_HOSTS_MAX 256 /* counters of hosts, by the last octet of the address */
#define WAN_NAME_MAX  32

/* Packets in flight, in order of arrival. */
struct wan_wire {
    struct event event; /* the first one arrives */
    struct packet_queue queue;
    uint64_t last_ns; /* arrival of the latest packet: keeps the order */
    bool is_final;    /* leads to a TUN, not to a down link */
};

struct wan_link {
    struct event event; /* the head of the queue has been transmitted */
    struct packet_queue queue;
    uint64_t queued_bytes; /* the packet in transmission included */
    /* settings */
    uint64_t rate_bps; /* bit/s, 0: unlimited */
    uint64_t delay_ns, jitter_ns;
    uint64_t room_bytes, room_ns; /* of the queue: bytes, or time at the current rate */
    double loss;
    bool is_down;
    /* counters; of packets by chance, for a full queue, for a cut link */
    uint64_t packets, bytes; /* transmitted, lost ones included */
    uint64_t lost, overflowed, refused;
    uint64_t queued_bytes_max;
};

struct wan_path {
    uint64_t delay_ns;
    double loss;
    bool is_down;
    uint64_t packets, bytes; /* delivered into the TUN of the far site */
};

struct wan_host {
    uint64_t up_bytes, down_bytes; /* sent into the up link, delivered */
    struct wan_link *thin;         /* its own link behind the site's, NULL: none */
};

struct wan_site {
    char name[WAN_NAME_MAX];
    uint32_t net, mask; /* host order */
    int fd;             /* the TUN, -1 when it is gone */
    struct wan_link up, down;
    struct wan_wire last_mile;
    struct wan_host hosts[WAN_HOSTS_MAX];
    uint64_t unroutable, unwritable;
};

/* How late packets were delivered: more than zero at 10 ms says that the machine stalled. */
struct wan_lateness {
    uint64_t max_ns, over_1ms, over_10ms;
};

/* Takes the fd when it succeeds. Returns the number of the site; -1 when there are too many. */
CHECKED int wan_add(const char *name, uint32_t net, uint32_t mask, int fd);
size_t wan_count(void);
struct wan_site *wan_site(size_t i);
struct wan_path *wan_path(size_t from, size_t to);
struct wan_lateness wan_lateness(void);

void wan_seed(uint64_t seed);
/* All that is due until now, with one time for the whole pass. */
void wan_run(uint64_t now_ns);
/* A packet came out of the TUN of that site: takes it. */
void wan_send(size_t from, struct packet *p, uint64_t now_ns);
void wan_lose_tun(struct wan_site *s);

/* Bytes that the queue of a link holds; 0: no bound. */
uint64_t wan_room(const struct wan_link *l);
void wan_set_rate(struct wan_link *l, uint64_t rate_bps);
void wan_set_down(struct wan_link *l, bool is_down);
/* The own link of a host, made at the first call, without a limit. */
struct wan_link *wan_thin(struct wan_site *s, uint32_t host);
void wan_reset_counters(void);

#endif
