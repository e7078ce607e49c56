/* IPv4 packets, and trains of TCP segments that travel as one: the kernel hands over TCP data that
 * way (TSO), which saves most of the time. A train counts, and is queued, dropped and lost, as the
 * single packets that it stands for. One thread. */
#ifndef TESTS_NETLAB_PACKET_H
#define TESTS_NETLAB_PACKET_H

#include "base/must.h"
#include <linux/virtio_net.h>

#define PACKET_BYTES     1600  /* what one of the pool holds */
#define PACKET_BYTES_MAX 65536 /* what the kernel can hand over: a train */

struct packet {
    struct packet *next;
    uint64_t due_ns;              /* when it leaves the wire that it is on */
    uint32_t wire_bytes;          /* on the WAN: each segment with its own headers */
    uint32_t len;                 /* bytes in data */
    uint16_t segments, mss, head; /* a train's: how many, their payload, their headers */
    uint8_t from, to;             /* numbers of sites */
    struct virtio_net_hdr vnet;
    uint8_t data[];
};

struct packet_queue {
    struct packet *head, *tail;
};

struct packet *packet_new(size_t len);
void packet_free(struct packet *p);
/* Reads off a fresh packet what it stands for; false when it makes no sense. */
CHECKED bool packet_inspect(struct packet *p);
/* A new packet of the segments [first, end) of a train. */
struct packet *packet_cut(const struct packet *p, uint32_t first, uint32_t end);
/* Addresses, in host order. */
uint32_t packet_source(const struct packet *p);
uint32_t packet_target(const struct packet *p);

void packet_push(struct packet_queue *q, struct packet *p);
struct packet *packet_pop(struct packet_queue *q); /* not of an empty queue */

#endif
