/* The way of a packet: wan_send -> up link -> wire of the path -> down link -> last mile -> TUN; to
 * some hosts over a thin link of their own before the TUN.
 * Each arrow is an event at its exact time. A train is cut so that no part of it takes a link for
 * longer than TRAIN_NS (or one packet); a part arrives as a whole. */
#include "tests/netlab/wan.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/text.h"
#include <sys/uio.h>

#define TRAIN_NS       UINT64_C(1000000)
#define ROOM_NS        UINT64_C(100000000) /* of a queue for which none was given */
#define ROOM_BYTES_MIN UINT64_C(16384)     /* a queue by time: at least a train's burst */
#define ROOM_NONE      UINT64_MAX

static struct wan_site *sites[WAN_SITES_MAX];
static size_t sites_count;
static struct wan_path paths[WAN_SITES_MAX][WAN_SITES_MAX];
static struct wan_wire wires[WAN_SITES_MAX][WAN_SITES_MAX];
static struct wan_lateness lateness;
static uint64_t pass_ns; /* the time of the current pass */
static struct rng chance = {{1, 2, 3, 4}};

static void link_fire(struct event *e, uint64_t due_ns);
static void wire_fire(struct event *e, uint64_t due_ns);

int
wan_add(const char *name, uint32_t net, uint32_t mask, int fd)
{
    if (sites_count == WAN_SITES_MAX)
        return -1;
    struct wan_site *s = mem_zalloc(sizeof *s);
    must(text_copy(s->name, sizeof s->name, name) == 0);
    s->net = net;
    s->mask = mask;
    s->fd = fd;
    event_init(&s->up.event, link_fire);
    event_init(&s->down.event, link_fire);
    event_init(&s->last_mile.event, wire_fire);
    s->last_mile.is_final = true;
    sites[sites_count++] = s;
    for (size_t i = 0; i < sites_count; i++) {
        event_init(&wires[i][sites_count - 1].event, wire_fire);
        event_init(&wires[sites_count - 1][i].event, wire_fire);
    }
    return (int)sites_count - 1;
}

size_t
wan_count(void)
{
    return sites_count;
}

struct wan_site *
wan_site(size_t i)
{
    must(i < sites_count);
    return sites[i];
}

struct wan_path *
wan_path(size_t from, size_t to)
{
    must(from < sites_count && to < sites_count);
    return &paths[from][to];
}

struct wan_lateness
wan_lateness(void)
{
    return lateness;
}

void
wan_seed(uint64_t seed)
{
    rng_init(&chance, seed);
}

void
wan_run(uint64_t now_ns)
{
    pass_ns = now_ns;
    event_run(now_ns);
}

static double
random_unit(void) /* uniform in [0, 1) */
{
    return (double)(rng_next(&chance) >> 11) * 0x1p-53;
}

/* ---- links ---- */

static uint64_t
transmit_ns(const struct wan_link *l, uint64_t bytes)
{
    return l->rate_bps ? bytes * 8 * NSEC / l->rate_bps : 0;
}

static uint64_t
room_of(const struct wan_link *l)
{
    if (l->room_bytes)
        return l->room_bytes;
    if (!l->rate_bps)
        return ROOM_NONE;
    double time_ns = (double)(l->room_ns ? l->room_ns : ROOM_NS);
    uint64_t bytes = (uint64_t)((double)l->rate_bps / 8 * time_ns / (double)NSEC);
    return bytes < ROOM_BYTES_MIN ? ROOM_BYTES_MIN : bytes;
}

uint64_t
wan_room(const struct wan_link *l)
{
    uint64_t room = room_of(l);
    return room == ROOM_NONE ? 0 : room;
}

static void
link_push(struct wan_link *l, struct packet *p, uint64_t now_ns)
{
    bool was_idle = !l->queue.head;
    l->queued_bytes += p->wire_bytes;
    if (l->queued_bytes > l->queued_bytes_max)
        l->queued_bytes_max = l->queued_bytes;
    packet_push(&l->queue, p);
    if (was_idle)
        event_set(&l->event, now_ns + transmit_ns(l, p->wire_bytes));
}

/* How many segments of a packet the queue takes; the tail of it is dropped. */
static uint32_t
fitting(const struct wan_link *l, const struct packet *p)
{
    uint64_t room = room_of(l);
    room = room > l->queued_bytes ? room - l->queued_bytes : 0;
    if (p->wire_bytes <= room)
        return p->segments;
    if (p->segments == 1)
        return 0;
    uint64_t fit = room / ((uint64_t)p->mss + p->head);
    return fit >= p->segments ? p->segments - 1u : (uint32_t)fit;
}

/* How many segments may travel as one on that link. */
static uint32_t
train_of(const struct wan_link *l, const struct packet *p)
{
    if (p->segments == 1 || !l->rate_bps)
        return p->segments;
    uint64_t most = l->rate_bps / 8 * TRAIN_NS / NSEC / ((uint64_t)p->mss + p->head);
    if (most < 1)
        return 1;
    return most < p->segments ? (uint32_t)most : p->segments;
}

static void
link_enqueue(struct wan_link *l, struct packet *p, uint64_t now_ns)
{
    if (l->is_down) {
        l->refused += p->segments;
        packet_free(p);
        return;
    }
    uint32_t fit = fitting(l, p), step = train_of(l, p);
    l->overflowed += p->segments - fit;
    if (fit == p->segments && step >= fit) {
        link_push(l, p, now_ns);
        return;
    }
    for (uint32_t i = 0; i < fit; i += step)
        link_push(l, packet_cut(p, i, i + step < fit ? i + step : fit), now_ns);
    packet_free(p);
}

static void
wire_put(struct wan_wire *w, struct packet *p, uint64_t due_ns)
{
    if (due_ns < w->last_ns)
        due_ns = w->last_ns;
    w->last_ns = p->due_ns = due_ns;
    bool was_idle = !w->queue.head;
    packet_push(&w->queue, p);
    if (was_idle)
        event_set(&w->event, due_ns);
}

/* Puts what was not lost of a packet on the wire; returns how many segments were. */
static uint32_t
put_survivors(struct wan_wire *w, struct packet *p, uint64_t due_ns, double loss)
{
    uint32_t run = 0, lost = 0; /* where the current run of survivors began */
    for (uint32_t i = 0; i < p->segments; i++) {
        if (random_unit() >= loss)
            continue;
        if (i > run)
            wire_put(w, packet_cut(p, run, i), due_ns);
        run = i + 1;
        lost++;
    }
    if (lost == 0) {
        wire_put(w, p, due_ns);
        return 0;
    }
    if (run < p->segments)
        wire_put(w, packet_cut(p, run, p->segments), due_ns);
    packet_free(p);
    return lost;
}

/* The head of the queue has been sent: on to the wire, unless it is lost. */
static void
link_fire(struct event *e, uint64_t due_ns)
{
    struct wan_link *l = (struct wan_link *)e;
    struct packet *p = packet_pop(&l->queue);
    l->queued_bytes -= p->wire_bytes;
    if (l->queue.head)
        event_set(e, due_ns + transmit_ns(l, l->queue.head->wire_bytes));
    else
        event_clear(e);
    struct wan_site *from = sites[p->from];
    struct wan_path *path = &paths[p->from][p->to];
    bool is_up = l == &from->up;
    double loss = l->loss;
    uint64_t at_ns = due_ns + l->delay_ns;
    l->packets += p->segments;
    l->bytes += p->wire_bytes;
    if (is_up) {
        from->hosts[packet_source(p) % WAN_HOSTS_MAX].up_bytes += p->wire_bytes;
        loss += path->loss * (1 - loss);
        at_ns += path->delay_ns;
    }
    if (is_up && path->is_down) {
        l->refused += p->segments;
        packet_free(p);
        return;
    }
    if (l->jitter_ns)
        at_ns += (uint64_t)(random_unit() * (double)l->jitter_ns);
    struct wan_wire *w = is_up ? &wires[p->from][p->to] : &sites[p->to]->last_mile;
    l->lost += put_survivors(w, p, at_ns, loss);
}

/* ---- the far end ---- */

static void
deliver(struct packet *p)
{
    struct wan_site *s = sites[p->to];
    uint64_t late_ns = pass_ns - p->due_ns;
    if (late_ns > lateness.max_ns)
        lateness.max_ns = late_ns;
    lateness.over_1ms += late_ns > NSEC / 1000;
    lateness.over_10ms += late_ns > NSEC / 100;
    struct iovec io[] = {{&p->vnet, sizeof p->vnet}, {p->data, p->len}};
    if (s->fd < 0 || writev(s->fd, io, 2) < 0) {
        s->unwritable++;
    } else {
        s->hosts[packet_target(p) % WAN_HOSTS_MAX].down_bytes += p->wire_bytes;
        paths[p->from][p->to].packets += p->segments;
        paths[p->from][p->to].bytes += p->wire_bytes;
    }
    packet_free(p);
}

static void
wire_fire(struct event *e, uint64_t due_ns)
{
    struct wan_wire *w = (struct wan_wire *)e;
    struct packet *p = packet_pop(&w->queue);
    if (w->queue.head)
        event_set(e, w->queue.head->due_ns);
    else
        event_clear(e);
    struct wan_link *thin = sites[p->to]->hosts[packet_target(p) % WAN_HOSTS_MAX].thin;
    if (!w->is_final)
        link_enqueue(&sites[p->to]->down, p, due_ns);
    else if (thin)
        link_enqueue(thin, p, due_ns);
    else
        deliver(p);
}

/* Nothing but its rate is set on the own link of a host. */
static void
thin_fire(struct event *e, uint64_t due_ns)
{
    struct wan_link *l = (struct wan_link *)e;
    struct packet *p = packet_pop(&l->queue);
    l->queued_bytes -= p->wire_bytes;
    if (l->queue.head)
        event_set(e, due_ns + transmit_ns(l, l->queue.head->wire_bytes));
    else
        event_clear(e);
    p->due_ns = due_ns;
    deliver(p);
}

struct wan_link *
wan_thin(struct wan_site *s, uint32_t host)
{
    struct wan_host *h = &s->hosts[host % WAN_HOSTS_MAX];
    if (!h->thin) {
        h->thin = mem_zalloc(sizeof *h->thin);
        event_init(&h->thin->event, thin_fire);
    }
    return h->thin;
}

void
wan_send(size_t from, struct packet *p, uint64_t now_ns)
{
    uint32_t target = packet_target(p);
    for (size_t to = 0; to < sites_count; to++)
        if ((target & sites[to]->mask) == sites[to]->net && to != from) {
            p->from = (uint8_t)from;
            p->to = (uint8_t)to;
            link_enqueue(&sites[from]->up, p, now_ns);
            return;
        }
    sites[from]->unroutable++;
    packet_free(p);
}

void
wan_lose_tun(struct wan_site *s)
{
    fd_close(&s->fd);
}

/* ---- settings and counters ---- */

void
wan_set_down(struct wan_link *l, bool is_down)
{
    l->is_down = is_down;
    if (!is_down)
        return;
    event_clear(&l->event);
    while (l->queue.head) { /* what was waiting is gone */
        struct packet *p = packet_pop(&l->queue);
        l->refused += p->segments;
        packet_free(p);
    }
    l->queued_bytes = 0;
}

void
wan_set_rate(struct wan_link *l, uint64_t rate_bps)
{
    uint64_t old_bps = l->rate_bps, now_ns = event_now_ns();
    l->rate_bps = rate_bps;
    if (l->event.pos < 0)
        return;
    /* What is left of the packet in transmission goes on at the new rate. */
    uint64_t left_ns = l->event.due_ns > now_ns ? l->event.due_ns - now_ns : 0;
    if (old_bps && rate_bps)
        left_ns = (uint64_t)((double)left_ns * (double)old_bps / (double)rate_bps);
    event_set(&l->event, rate_bps ? now_ns + left_ns : now_ns);
}

static void
reset_link(struct wan_link *l)
{
    l->packets = l->bytes = l->lost = l->overflowed = l->refused = 0;
    l->queued_bytes_max = l->queued_bytes;
}

void
wan_reset_counters(void)
{
    for (size_t i = 0; i < sites_count; i++) {
        struct wan_site *s = sites[i];
        reset_link(&s->up);
        reset_link(&s->down);
        for (size_t h = 0; h < WAN_HOSTS_MAX; h++)
            s->hosts[h].up_bytes = s->hosts[h].down_bytes = 0;
        s->unroutable = s->unwritable = 0;
        for (size_t j = 0; j < sites_count; j++)
            paths[i][j].packets = paths[i][j].bytes = 0;
    }
    lateness = (struct wan_lateness){0};
}
