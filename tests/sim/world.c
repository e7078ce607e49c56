/* The virtual world: heap of events, clocks, network. */
#include "tests/sim/world.h"
#include "base/err.h"
#include "base/mem.h"
#include "p2p/seal.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define TRACE_MAX ((size_t)16 * 1024 * 1024)

struct world *
world_new(unsigned nodes, uint64_t seed, const struct world_hooks *hooks)
{
    must(nodes <= WORLD_NODES_MAX);
    struct world *w = mem_zalloc(sizeof *w);
    rng_init(&w->rng, seed);
    w->count = nodes;
    w->nodes = mem_zalloc(nodes * sizeof *w->nodes);
    w->hears = mem_zalloc(nodes);
    w->hooks = *hooks;
    w->delay_us = 200;
    w->jitter_us = 300;
    w->hash = 0xcbf29ce484222325u;
    w->heaps_count = 1;
    w->heaps = mem_zalloc(sizeof *w->heaps);
    buf_init(&w->trace, TRACE_MAX);
    for (unsigned i = 0; i < nodes; i++) {
        struct world_node *n = &w->nodes[i];
        n->world = w;
        n->id.bytes[0] = (uint8_t)(i + 1);
        n->id.bytes[1] = (uint8_t)((i + 1) >> 8);
        n->offset_ms = (int64_t)rng_below(&w->rng, 1000000);
        n->drift_ppm = (int64_t)rng_below(&w->rng, 20001) - 10000;
    }
    return w;
}

void
world_free(struct world *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        step_free(w->nodes[i].step);
        mem_free(w->nodes[i].boot_at);
    }
    mem_free(w->nodes);
    mem_free(w->cuts);
    mem_free(w->hears);
    for (unsigned h = 0; h < w->heaps_count; h++) {
        for (size_t i = 0; i < w->heaps[h].count; i++)
            mem_free(w->heaps[h].list[i].bytes);
        mem_free(w->heaps[h].list);
    }
    mem_free(w->heaps);
    buf_release(&w->trace);
    mem_free(w);
}

void
world_split(struct world *w)
{
    must(w->heaps[0].count == 0);
    mem_free(w->heaps);
    w->heaps_count = w->nodes[w->count - 1].site + 2;
    w->heaps = mem_zalloc(w->heaps_count * sizeof *w->heaps);
}

/* Of events of a node. */
static unsigned
heap_of(const struct world *w, unsigned node)
{
    return w->heaps_count > 1 ? w->nodes[node].site : 0;
}

static bool
earlier(const struct world_event *a, const struct world_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void
push(struct world *w, unsigned heap, struct world_event e)
{
    struct world_heap *h = &w->heaps[heap];
    must(e.at_us >= w->now_us);
    must(!w->apart || heap == w->current || e.at_us >= w->apart_until_us);
    if (h->count == h->cap) {
        h->cap = h->cap ? 2 * h->cap : 256;
        h->list = mem_realloc(h->list, h->cap * sizeof *h->list);
    }
    e.order = w->orders++;
    size_t i = h->count++;
    for (; i > 0 && earlier(&e, &h->list[(i - 1) / 2]); i = (i - 1) / 2)
        h->list[i] = h->list[(i - 1) / 2];
    h->list[i] = e;
}

static struct world_event
pop(struct world_heap *h)
{
    struct world_event top = h->list[0], last = h->list[--h->count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < h->count; i = child) {
        if (child + 1 < h->count && earlier(&h->list[child + 1], &h->list[child]))
            child++;
        if (!earlier(&h->list[child], &last))
            break;
        h->list[i] = h->list[child];
    }
    h->list[i] = last;
    return top;
}

static void
mix(struct world *w, uint64_t v)
{
    w->hash = (w->hash ^ v) * 0x100000001b3u;
}

int64_t
world_ms(const struct world *w)
{
    return w->now_us / WORLD_US;
}

static int64_t
node_ms(const struct world_node *n, int64_t now_us)
{
    return n->offset_ms + (now_us + now_us * n->drift_ppm / 1000000) / WORLD_US;
}

/* When the clock of a node shows `ms`, not before now. */
static int64_t
node_us(const struct world *w, const struct world_node *n, int64_t ms)
{
    int64_t wait_ms = ms - node_ms(n, w->now_us);
    return w->now_us + (wait_ms > 0 ? wait_ms * WORLD_US : 0);
}

bool
world_alive(const struct world *w, unsigned node)
{
    return w->nodes[node].step != NULL && w->nodes[node].paused_until_us <= w->now_us;
}

bool
world_is_tracker(const struct world *w, unsigned node)
{
    return w->nodes[node].step != NULL && step_elect(w->nodes[node].step)->role == ELECT_TRACKER;
}

int
world_tracker(const struct world *w)
{
    for (unsigned i = 0; i < w->count; i++)
        if (world_is_tracker(w, i))
            return (int)i;
    return -1;
}

int
world_node_of(const struct world *w, const struct node_id *id)
{
    unsigned i = (id->bytes[0] | (unsigned)id->bytes[1] << 8) - 1;
    return i < w->count && node_equal(&w->nodes[i].id, id) ? (int)i : -1;
}

void
world_cut(struct world *w, unsigned from, unsigned to, bool cut)
{
    if (w->cuts == NULL)
        w->cuts = mem_zalloc((size_t)w->count * w->count);
    w->cuts[(size_t)from * w->count + to] = cut;
}

void
world_mend(struct world *w)
{
    mem_free(w->cuts);
    w->cuts = NULL;
    for (unsigned i = 0; i < w->count; i++)
        w->nodes[i].late_us = 0;
}

bool
world_is_cut(const struct world *w, unsigned from, unsigned to)
{
    return w->cuts != NULL && w->cuts[(size_t)from * w->count + to];
}

void
world_say(struct world *w, const char *fmt, ...)
{
    char line[200];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    for (const char *c = line; *c != '\0'; c++)
        mix(w, (uint8_t)*c);
    if (w->traced)
        must(buf_printf(&w->trace, "[%lld] %s\n", (long long)world_ms(w), line) == 0);
}

bool
world_tell(const struct world *w, const char *sim, uint64_t seed)
{
    if (w->traced)
        (void)printf("%s", buf_text(&w->trace));
    if (w->broken[0] == '\0')
        return false;
    (void)printf("seed %llu: %s\nagain: make sim SIM=%s SEED=%llu\n", (unsigned long long)seed,
                 w->broken, sim, (unsigned long long)seed);
    return true;
}

bool
world_break(struct world *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(w->broken, sizeof w->broken, fmt, ap);
    va_end(ap);
    return false;
}

void
world_post(struct world *w, int64_t at_us, unsigned kind, uint64_t a, uint64_t b)
{
    push(w, w->heaps_count - 1, (struct world_event){.at_us = at_us, .kind = kind, .a = a, .b = b});
}

void
world_later(struct world *w, int64_t in_ms, unsigned kind, uint64_t a, uint64_t b)
{
    world_post(w, w->now_us + in_ms * WORLD_US, kind, a, b);
}

void
world_post_at(struct world *w, unsigned node, int64_t at_us, unsigned kind, uint64_t a, uint64_t b)
{
    push(w, heap_of(w, node), (struct world_event){.at_us = at_us, .kind = kind, .a = a, .b = b});
}

int64_t
world_delay_us(struct world *w, unsigned from, unsigned to)
{
    int64_t more_us = w->nodes[from].site != w->nodes[to].site ? w->between_us : 0;
    more_us += w->nodes[to].late_us;
    return w->delay_us + more_us + (int64_t)rng_below(&w->rng, (uint64_t)w->jitter_us + 1);
}

/* What it takes on the wire, without headers of IP. */
static uint64_t
sealed(size_t len)
{
    return len + SEAL_HEAD + SEAL_MAC;
}

static void
send_one(struct world *w, unsigned from, unsigned to, const struct plan_action *a)
{
    struct world_node *n = &w->nodes[from];
    uint64_t seq = ++n->seq;
    n->said_bytes += a->kind == PLAN_SHOUT ? 0 : sealed(a->len);
    int64_t delay_us = world_delay_us(w, from, to);
    bool lost = rng_below(&w->rng, 1000) < w->loss_permille;
    w->datagrams++;
    if (lost || world_is_cut(w, from, to))
        return;
    struct world_event e = {.at_us = w->now_us + delay_us,
                            .kind = WORLD_DELIVER,
                            .from = from,
                            .to = to,
                            .a = n->boot,
                            .b = seq,
                            .bytes = mem_alloc(a->len + 1),
                            .len = a->len};
    memcpy(e.bytes, w->plan.bytes + a->at, a->len);
    push(w, heap_of(w, to), e);
}

void
world_record(struct world *w, unsigned from, unsigned to, const struct wire_msg *m)
{
    plan_clear(&w->plan);
    plan_record(&w->plan, PLAN_SHOUT, NULL, m);
    send_one(w, from, to, &w->plan.actions[0]);
}

/* Over a connection: nothing is lost, unless there is no way at all. */
static void
call(struct world *w, unsigned from, unsigned to, unsigned kind, const struct plan_action *a)
{
    w->nodes[from].said_bytes += sealed(a->len);
    if (w->deaf || (kind == WORLD_REQUEST && w->nodes[to].mute))
        return;
    struct world_event e = {.at_us = w->now_us + world_delay_us(w, from, to),
                            .kind = kind,
                            .from = from,
                            .to = to,
                            .a = w->nodes[from].boot,
                            .b = ++w->nodes[from].seq,
                            .bytes = mem_alloc(a->len + 1),
                            .len = a->len};
    memcpy(e.bytes, w->plan.bytes + a->at, a->len);
    push(w, heap_of(w, to), e);
}

static void
call_node(struct world *w, unsigned from, unsigned kind, const struct plan_action *a)
{
    int to = world_node_of(w, &a->node);
    must(to >= 0);
    call(w, from, (unsigned)to, kind, a);
}

static bool
is_seed(const struct world *w, unsigned node)
{
    return node == 0 || w->nodes[node - 1].site != w->nodes[node].site;
}

/* As the daemon does it: the tracker, the deputy, and a seed that has no tracker. */
static bool
speaks_far(const struct world *w, unsigned node)
{
    const struct elect *e = step_elect(w->nodes[node].step);
    return e->role == ELECT_TRACKER || e->role == ELECT_DEPUTY ||
           (e->tracker.epoch == 0 && is_seed(w, node));
}

/* Also to the seed of each other site, its first node, to who was heard, and to trackers, to which
 * seeds show each other. */
static void
shout_far(struct world *w, unsigned from, const struct plan_action *a)
{
    const struct members *m = step_members(w->nodes[from].step);
    bool is_tracker = world_is_tracker(w, from);
    for (unsigned i = 0; i < w->count; i++)
        w->hears[i] = w->nodes[i].site == w->nodes[from].site || is_seed(w, i) ||
                      (is_tracker && world_is_tracker(w, i));
    for (size_t i = 0; i < m->count; i++) {
        int to = world_node_of(w, &m->list[i].id);
        if (to >= 0)
            w->hears[to] = true;
    }
    for (unsigned to = 0; to < w->count; to++)
        if (to != from && w->hears[to])
            send_one(w, from, to, a);
}

/* Nodes of a site have numbers in a row: the first, and the one behind the last. */
static unsigned
site_of(const struct world *w, unsigned node, unsigned *ret_end)
{
    unsigned first = node, end = node + 1, site = w->nodes[node].site;
    while (first > 0 && w->nodes[first - 1].site == site)
        first--;
    while (end < w->count && w->nodes[end].site == site)
        end++;
    *ret_end = end;
    return first;
}

/* Multicast in the site. */
static void
shout(struct world *w, unsigned from, const struct plan_action *a)
{
    if (speaks_far(w, from)) {
        shout_far(w, from, a);
        return;
    }
    if (w->count > WORLD_SMALL) {
        call(w, from, from, WORLD_DELIVER_SITE, a);
        return;
    }
    w->nodes[from].said_bytes += sealed(a->len);
    unsigned end, first = site_of(w, from, &end);
    for (unsigned to = first; to < end; to++)
        if (to != from)
            send_one(w, from, to, a);
}

static uint64_t
stored(void *arg, const struct digest *blob)
{
    struct world_node *n = arg;
    struct world *w = n->world;
    return w->hooks.stored != NULL ? w->hooks.stored(w, (unsigned)(n - w->nodes), blob) : 0;
}

static bool
room(void *arg, const struct digest *blob, uint64_t size, unsigned copies)
{
    struct world_node *n = arg;
    struct world *w = n->world;
    (void)copies;
    return w->hooks.room != NULL && w->hooks.room(w, (unsigned)(n - w->nodes), blob, size);
}

static bool
holds(void *arg, const struct digest *blob)
{
    struct world_node *n = arg;
    struct world *w = n->world;
    return w->hooks.holds != NULL && w->hooks.holds(w, (unsigned)(n - w->nodes), blob);
}

static bool
offer(void *arg, const struct digest *blob, struct parting_offer *ret)
{
    struct world_node *n = arg;
    struct world *w = n->world;
    return w->hooks.offer != NULL && w->hooks.offer(w, (unsigned)(n - w->nodes), blob, ret);
}

static enum parting_taken
take(void *arg, const struct parting_offer *o)
{
    struct world_node *n = arg;
    struct world *w = n->world;
    return w->hooks.take != NULL ? w->hooks.take(w, (unsigned)(n - w->nodes), o) : PARTING_REFUSED;
}

/* Most ticks are put off again and again: a posted one that comes too early is posted anew. */
static void
post_tick(struct world *w, unsigned node, int64_t at_us)
{
    struct world_node *n = &w->nodes[node];
    n->tick_at_us = at_us;
    if (n->tick_posted_us > w->now_us && n->tick_posted_us <= at_us)
        return;
    n->tick_posted_us = at_us;
    push(w, heap_of(w, node),
         (struct world_event){.at_us = at_us, .kind = WORLD_TICK, .to = node, .a = n->boot});
}

static void
carry_out(struct world *w, unsigned node, unsigned asker)
{
    for (size_t i = 0; i < w->plan.count; i++) {
        const struct plan_action *a = &w->plan.actions[i];
        switch (a->kind) {
        case PLAN_SHOUT:
            shout(w, node, a);
            break;
        case PLAN_DATAGRAM: {
            int to = world_node_of(w, &a->node);
            must(to >= 0);
            send_one(w, node, (unsigned)to, a);
            break;
        }
        case PLAN_ELECTED:
            world_say(w, "n%u %s, epoch %u", node, elect_event_text(a->event),
                      step_elect(w->nodes[node].step)->epoch_max);
            if (w->hooks.elected != NULL)
                w->hooks.elected(w, node, a);
            break;
        case PLAN_POST:
            call_node(w, node, WORLD_REQUEST, a);
            break;
        case PLAN_COPY:
            call_node(w, node, WORLD_COPY, a);
            break;
        case PLAN_REPLY:
            if (asker != node)
                call(w, node, asker, WORLD_REPLY, a);
            break;
        case PLAN_GET:
        case PLAN_STOP:
        case PLAN_WORDS:
            w->hooks.fetch(w, node, a);
            break;
        case PLAN_KEEP:
            if (w->hooks.keep != NULL)
                w->hooks.keep(w, node, a);
            break;
        case PLAN_LIAR:
            break;
        case PLAN_NAME:
            if (w->hooks.named != NULL)
                w->hooks.named(w, node, a);
            break;
        case PLAN_PARTING:
            if (w->hooks.parting != NULL)
                w->hooks.parting(w, node, &a->parting);
            break;
        }
    }
    int64_t at_us = node_us(w, &w->nodes[node], step_wake_ms(w->nodes[node].step));
    post_tick(w, node, at_us > w->now_us ? at_us : w->now_us + WORLD_US);
}

/* Which start of each node was heard, as a seal's guard knows it: by a node that starts, none. */
static void
guard_anew(struct world *w, unsigned node)
{
    struct world_node *n = &w->nodes[node];
    if (n->has_started && n->boot_at == NULL)
        n->boot_at = mem_zalloc(w->count * sizeof *n->boot_at);
    for (unsigned i = 0; n->has_started && i < w->count; i++)
        if (w->nodes[i].boot_at != NULL)
            w->nodes[i].boot_at[node] = 0;
    n->has_started = true;
}

/* Is it of no earlier start than what was heard before? */
static bool
guards(const struct world *w, const struct world_event *e)
{
    uint64_t *boot_at = w->nodes[e->from].boot_at;
    if (boot_at == NULL)
        return true;
    bool good = e->a >= boot_at[e->to];
    boot_at[e->to] = good ? e->a : boot_at[e->to];
    return good;
}

void
world_start(struct world *w, unsigned node, uint32_t priority)
{
    struct world_node *n = &w->nodes[node];
    must(n->step == NULL);
    struct step_config c = {.self = n->id,
                            .site = 1 + n->site,
                            .priority = priority,
                            .seed = rng_next(&w->rng),
                            .stored = stored,
                            .room = room,
                            .stored_arg = n,
                            .keeper = {holds, offer, take, n}};
    c.addr.port = (uint16_t)(node + 1);
    n->priority = priority;
    n->boot = (uint64_t)w->now_us + 1;
    n->seq = 0;
    n->paused_until_us = 0;
    n->tick_posted_us = -1;
    guard_anew(w, node);
    n->step = step_new(&c, node_ms(n, w->now_us));
    world_say(w, "n%u starts", node);
    plan_clear(&w->plan);
    step_tick(n->step, node_ms(n, w->now_us), &w->plan);
    carry_out(w, node, node);
}

void
world_kill(struct world *w, unsigned node)
{
    world_say(w, "n%u dies", node);
    step_free(w->nodes[node].step);
    w->nodes[node].step = NULL;
}

void
world_pause(struct world *w, unsigned node, int64_t for_ms)
{
    world_say(w, "n%u stops for %lld ms", node, (long long)for_ms);
    w->nodes[node].paused_until_us = w->now_us + for_ms * WORLD_US;
}

void
world_late(struct world *w, unsigned node, int64_t late_ms)
{
    world_say(w, "n%u hears %lld ms late", node, (long long)late_ms);
    w->nodes[node].late_us = late_ms * WORLD_US;
}

void
world_resign(struct world *w, unsigned node)
{
    struct world_node *n = &w->nodes[node];
    plan_clear(&w->plan);
    step_resign(n->step, node_ms(n, w->now_us), false, &w->plan);
    carry_out(w, node, node);
}

void
world_touch(struct world *w, unsigned node)
{
    struct world_node *n = &w->nodes[node];
    plan_clear(&w->plan);
    step_tick(n->step, node_ms(n, w->now_us), &w->plan);
    carry_out(w, node, node);
}

void
world_ask_name(struct world *w, unsigned node, const struct naming_question *q)
{
    struct world_node *n = &w->nodes[node];
    plan_clear(&w->plan);
    step_name_ask(n->step, node_ms(n, w->now_us), q, &w->plan);
    carry_out(w, node, node);
}

void
world_part(struct world *w, unsigned node, const struct digest *blob, uint64_t size)
{
    struct world_node *n = &w->nodes[node];
    plan_clear(&w->plan);
    step_part(n->step, node_ms(n, w->now_us), blob, size, &w->plan);
    carry_out(w, node, node);
}

int64_t
world_node_ms(const struct world *w, unsigned node)
{
    return node_ms(&w->nodes[node], w->now_us);
}

/* For what the tracker's decisions cost; all other nodes count nothing, which costs time, too. */
static int64_t
cpu_ns(const struct world *w, unsigned node)
{
    struct timespec t = {0};
    if (w->timed && world_is_tracker(w, node))
        must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
count_ns(struct world *w, unsigned node, int64_t begun_ns)
{
    int64_t now_ns = begun_ns > 0 ? cpu_ns(w, node) : 0;
    w->nodes[node].tracker_ns += now_ns > 0 ? now_ns - begun_ns : 0;
}

static void
tick(struct world *w, const struct world_event *e)
{
    struct world_node *n = &w->nodes[e->to];
    if (n->step == NULL || e->a != n->boot || e->at_us != n->tick_posted_us)
        return;
    int64_t at_us = n->tick_at_us > n->paused_until_us ? n->tick_at_us : n->paused_until_us;
    if (at_us > w->now_us) {
        post_tick(w, e->to, at_us);
        return;
    }
    plan_clear(&w->plan);
    int64_t begun_ns = cpu_ns(w, e->to);
    step_tick(n->step, node_ms(n, w->now_us), &w->plan);
    count_ns(w, e->to, begun_ns);
    carry_out(w, e->to, e->kind == WORLD_REQUEST ? e->from : e->to);
}

/* An answer may be empty: then its seal is of no record. */
static void
count_heard(struct world *w, const struct world_event *e)
{
    w->nodes[e->to].heard_bytes += sealed(e->len);
    w->heard_by[e->len > 0 ? e->bytes[0] : 0] += sealed(0);
    for (size_t at = 0, len; at + 3 <= e->len; at += len) {
        len = 3 + (e->bytes[at + 1] | (size_t)e->bytes[at + 2] << 8);
        w->heard_by[e->bytes[at]] += len;
    }
}

static void
deliver(struct world *w, const struct world_event *e)
{
    struct world_node *n = &w->nodes[e->to];
    if (!world_alive(w, e->to) || world_is_cut(w, e->from, e->to) || !guards(w, e))
        return;
    struct step_from from = {w->nodes[e->from].id, e->a, e->b, false};
    int64_t now_ms = node_ms(n, w->now_us);
    int rc = 0;
    count_heard(w, e);
    plan_clear(&w->plan);
    int64_t begun_ns = cpu_ns(w, e->to);
    if (e->kind == WORLD_DELIVER)
        rc = step_datagram(n->step, now_ms, &from, e->bytes, e->len, &w->plan);
    else if (e->kind == WORLD_REPLY)
        rc = step_reply(n->step, now_ms, e->bytes, e->len, &w->plan);
    else
        rc = step_request(n->step, now_ms, &from, e->bytes, e->len, &w->plan);
    count_ns(w, e->to, begun_ns);
    must(rc == 0 || rc == ERR_NOT_FOUND);
    carry_out(w, e->to, e->kind == WORLD_REQUEST ? e->from : e->to);
}

static void
deliver_site(struct world *w, struct world_event e)
{
    unsigned end, first = site_of(w, e.from, &end);
    e.kind = WORLD_DELIVER;
    for (e.to = first; e.to < end; e.to++)
        if (e.to != e.from && rng_below(&w->rng, 1000) >= w->loss_permille)
            deliver(w, &e);
    w->datagrams += end - first - 1;
}

/* The socket of a node that stands still keeps what comes. */
static bool
waits(const struct world *w, const struct world_event *e)
{
    return w->queues && e->kind == WORLD_DELIVER && w->nodes[e->to].step != NULL &&
           w->nodes[e->to].paused_until_us > e->at_us;
}

static bool
run_one(struct world *w, unsigned heap)
{
    struct world_event e = pop(&w->heaps[heap]);
    w->current = heap;
    w->now_us = e.at_us;
    w->events++;
    mix(w, (uint64_t)e.at_us);
    mix(w, (uint64_t)e.kind << 16 | e.from << 8 | e.to);
    if (waits(w, &e)) {
        e.at_us = w->nodes[e.to].paused_until_us;
        push(w, heap, e);
        return true;
    }
    if (e.kind == WORLD_TICK)
        tick(w, &e);
    else if (e.kind == WORLD_DELIVER_SITE)
        deliver_site(w, e);
    else if (e.kind < WORLD_OWN)
        deliver(w, &e);
    else
        w->hooks.event(w, e.kind, e.a, e.b);
    mem_free(e.bytes);
    return w->hooks.check == NULL || w->hooks.check(w);
}

/* The earliest event; of all nodes before one of a site. -1: there is none. */
static int
first_heap(const struct world *w)
{
    int first = -1;
    for (unsigned h = w->heaps_count; h-- > 0;) {
        const struct world_heap *x = &w->heaps[h];
        if (x->count > 0 && (first < 0 || earlier(&x->list[0], &w->heaps[first].list[0])))
            first = (int)h;
    }
    return first;
}

/* Each site from there on, as far as nothing reaches it from another. */
static bool
run_apart(struct world *w, int64_t from_us, int64_t until_us)
{
    const struct world_heap *all = &w->heaps[w->heaps_count - 1];
    int64_t end_us = from_us + w->delay_us + w->between_us;
    end_us = end_us <= until_us ? end_us : until_us + 1;
    end_us = all->count > 0 && all->list[0].at_us < end_us ? all->list[0].at_us : end_us;
    w->apart = true;
    w->apart_until_us = end_us;
    for (unsigned s = 0; s < w->heaps_count - 1; s++) {
        w->now_us = from_us;
        while (w->heaps[s].count > 0 && w->heaps[s].list[0].at_us < end_us)
            if (!run_one(w, s))
                return false;
    }
    w->apart = false;
    return true;
}

void
world_count_anew(struct world *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        struct world_node *n = &w->nodes[i];
        n->said_bytes = n->heard_bytes = 0;
        n->tracker_ns = 0;
    }
    memset(w->heard_by, 0, sizeof w->heard_by);
    w->counted_us = w->now_us;
}

bool
world_run(struct world *w, int64_t until_ms)
{
    int64_t until_us = until_ms * WORLD_US, at_us;
    for (int heap;
         (heap = first_heap(w)) >= 0 && (at_us = w->heaps[heap].list[0].at_us) <= until_us;) {
        bool apart = heap + 1u < w->heaps_count && w->hooks.apart(w) &&
                     (w->heaps[w->heaps_count - 1].count == 0 ||
                      w->heaps[w->heaps_count - 1].list[0].at_us > at_us);
        if (!(apart ? run_apart(w, at_us, until_us) : run_one(w, (unsigned)heap)))
            return false;
    }
    w->now_us = until_us;
    return true;
}
