/* A pool of packets of the usual size, and the arithmetic of segmentation: lengths, sequence
 * numbers, flags and checksums of a part of a train. */
#include "tests/netlab/packet.h"
#include "base/mem.h"
#include <netinet/in.h>
#include <string.h>

#define POOL_GROWTH 256
#define POOL_STEP   ((sizeof(struct packet) + PACKET_BYTES + 63) / 64 * 64)

/* Offsets in the headers. */
enum { IP_LEN = 2, IP_ID = 4, IP_SUM = 10, IP_FROM = 12, IP_TO = 16, IP_BYTES_MIN = 20 };
enum { TCP_SEQ = 4, TCP_DATA = 12, TCP_FLAGS = 13, TCP_SUM = 16, TCP_BYTES_MIN = 20 };
enum { FLAG_FIN = 0x01, FLAG_PSH = 0x08, FLAG_CWR = 0x80 };

static struct packet *pool;

static void
grow_pool(void)
{
    char *room = mem_alloc(POOL_GROWTH * POOL_STEP);
    for (size_t i = 0; i < POOL_GROWTH; i++) {
        struct packet *p = (struct packet *)(void *)(room + i * POOL_STEP);
        p->next = pool;
        pool = p;
    }
}

struct packet *
packet_new(size_t len)
{
    if (len > PACKET_BYTES)
        return mem_alloc(sizeof(struct packet) + len);
    if (!pool)
        grow_pool();
    struct packet *p = pool;
    pool = p->next;
    return p;
}

void
packet_free(struct packet *p)
{
    if (p->len > PACKET_BYTES) {
        mem_free(p);
        return;
    }
    p->next = pool;
    pool = p;
}

static uint32_t
sum16(const uint8_t *d, size_t len, uint32_t sum)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)(d[i] << 8 | d[i + 1]);
    return sum;
}

static uint16_t
fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)(sum + (sum >> 16));
}

static void
put_be(uint8_t *d, uint32_t value, int bytes)
{
    for (int i = bytes; i-- > 0; value >>= 8)
        d[i] = (uint8_t)value;
}

static uint32_t
get_be(const uint8_t *d, int bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | d[i];
    return value;
}

static uint32_t
ip_head(const struct packet *p)
{
    return (p->data[0] & 15u) * 4;
}

uint32_t
packet_source(const struct packet *p)
{
    return get_be(p->data + IP_FROM, 4);
}

uint32_t
packet_target(const struct packet *p)
{
    return get_be(p->data + IP_TO, 4);
}

bool
packet_inspect(struct packet *p)
{
    if (p->len < IP_BYTES_MIN || p->data[0] >> 4 != 4)
        return false;
    uint32_t ip = ip_head(p);
    p->segments = 1;
    p->wire_bytes = p->len;
    p->mss = p->head = 0;
    if (p->vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE)
        return true;
    if (p->vnet.gso_type != VIRTIO_NET_HDR_GSO_TCPV4 || p->vnet.gso_size == 0 ||
        p->len < ip + TCP_BYTES_MIN)
        return false;
    p->mss = p->vnet.gso_size;
    p->head = (uint16_t)(ip + (p->data[ip + TCP_DATA] >> 4) * 4u);
    if (p->len <= p->head)
        return false;
    p->segments = (uint16_t)((p->len - p->head + p->mss - 1) / p->mss);
    p->wire_bytes = p->len + (p->segments - 1u) * p->head;
    return true;
}

struct packet *
packet_cut(const struct packet *p, uint32_t first, uint32_t end)
{
    uint32_t ip = ip_head(p), skip = first * p->mss;
    uint32_t body = (end == p->segments ? p->len - p->head : end * p->mss) - skip;
    struct packet *part = packet_new(p->head + body);
    *part = *p;
    memcpy(part->data, p->data, p->head);
    memcpy(part->data + p->head, p->data + p->head + skip, body);
    part->len = p->head + body;
    part->segments = (uint16_t)(end - first);
    part->wire_bytes = part->len + (part->segments - 1u) * part->head;
    if (part->segments == 1) {
        part->vnet.gso_type = VIRTIO_NET_HDR_GSO_NONE;
        part->vnet.gso_size = 0;
    }
    uint8_t *d = part->data, *tcp = part->data + ip;
    put_be(d + IP_LEN, part->len, 2);
    put_be(d + IP_ID, get_be(d + IP_ID, 2) + first, 2);
    put_be(d + IP_SUM, 0, 2);
    put_be(d + IP_SUM, (uint16_t)~fold(sum16(d, ip, 0)), 2);
    put_be(tcp + TCP_SEQ, get_be(tcp + TCP_SEQ, 4) + skip, 4);
    if (first > 0)
        tcp[TCP_FLAGS] &= (uint8_t)~FLAG_CWR; /* on the first only */
    if (end < p->segments)
        tcp[TCP_FLAGS] &= (uint8_t) ~(FLAG_PSH | FLAG_FIN); /* on the last only */
    /* The kernel completes the checksum; it wants the sum of the pseudo header here. */
    put_be(tcp + TCP_SUM, fold(sum16(d + IP_FROM, 8, IPPROTO_TCP + part->len - ip)), 2);
    return part;
}

void
packet_push(struct packet_queue *q, struct packet *p)
{
    p->next = NULL;
    if (q->head)
        q->tail->next = p;
    else
        q->head = p;
    q->tail = p;
}

struct packet *
packet_pop(struct packet_queue *q)
{
    struct packet *p = q->head;
    q->head = p->next;
    return p;
}
