/* Joins the rooms: reads messages, lets the rooms decide, writes their decisions as actions. */
#include "p2p/step.h"
#include "base/err.h"
#include "base/mem.h"

struct step {
    struct step_config config; /* fixed at new */
    struct elect elect;
    struct members members;
};

struct step *
step_new(const struct step_config *c, int64_t now_ms)
{
    struct step *s = mem_zalloc(sizeof *s);
    s->config = *c;
    elect_init(&s->elect, &c->self, c->site, c->priority, c->seed, now_ms);
    member_init(&s->members);
    return s;
}

void
step_free(struct step *s)
{
    mem_free(s);
}

const struct elect *
step_elect(const struct step *s)
{
    return &s->elect;
}

const struct members *
step_members(const struct step *s)
{
    return &s->members;
}

/* One record as the whole body of a datagram. */
static void
write_record(struct plan *p, struct plan_action *a, const struct wire_msg *m)
{
    struct scribe out;
    plan_write(p, WIRE_DATAGRAM_MAX, &out);
    wire_put(&out, m);
    plan_wrote(p, a, &out);
}

static void
beacon_of(const struct step *s, uint8_t flags, int64_t now_ms, struct wire_msg *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->type = WIRE_BEACON;
    elect_beacon(&s->elect, &s->members, flags, now_ms, &ret->beacon);
    ret->beacon.addr = s->config.addr;
}

static void
write_beacon(const struct step *s, struct plan *p, struct plan_action *a, uint8_t flags,
             int64_t now_ms)
{
    struct wire_msg m;
    beacon_of(s, flags, now_ms, &m);
    write_record(p, a, &m);
}

/* A datagram to a member, or NULL when its address is not known. */
static struct plan_action *
to_member(const struct step *s, struct plan *p, const struct node_id *id)
{
    const struct member *m = member_find(&s->members, id);
    if (m == NULL)
        return NULL;
    struct plan_action *a = plan_add(p, PLAN_DATAGRAM);
    a->node = m->id;
    a->addr = m->addr;
    return a;
}

static void
carry_out(const struct step *s, const struct elect_plan *e, const struct node_id *from,
          int64_t now_ms, struct plan *p)
{
    struct plan_action *a;
    if (e->event != ELECT_NOTHING)
        plan_add(p, PLAN_ELECTED)->event = e->event;
    if (e->beacon)
        write_beacon(s, p, plan_add(p, PLAN_SHOUT), e->beacon_flags, now_ms);
    if (e->reply && (a = to_member(s, p, from)) != NULL)
        write_beacon(s, p, a, 0, now_ms);
    if (e->probe && (a = to_member(s, p, &e->probe_id)) != NULL) {
        struct wire_msg m;
        memset(&m, 0, sizeof m);
        m.type = WIRE_PROBE;
        m.probe.echo = (uint64_t)now_ms;
        write_record(p, a, &m);
    }
}

void
step_tick(struct step *s, int64_t now_ms, struct plan *p)
{
    struct node_id dead;
    while (member_bury(&s->members, now_ms, &dead))
        continue;
    struct elect_plan e = elect_tick(&s->elect, &s->members, now_ms);
    carry_out(s, &e, &node_none, now_ms, p);
}

int64_t
step_wake_ms(const struct step *s)
{
    return elect_wake_ms(&s->elect);
}

static void
hear_beacon(struct step *s, int64_t now_ms, const struct step_from *from,
            const struct wire_beacon *b, struct plan *p)
{
    struct member said = {.id = from->node,
                          .addr = b->addr,
                          .site = b->site,
                          .boot = from->boot,
                          .seq = from->seq,
                          .priority = b->priority,
                          .queue_ms = b->queue_ms,
                          .free_mib = b->free_mib};
    if (!member_heard(&s->members, &said, now_ms))
        return;
    struct elect_plan e = elect_hear(&s->elect, &from->node, b, now_ms);
    carry_out(s, &e, &from->node, now_ms, p);
    if ((b->flags & WIRE_LEAVES) != 0)
        member_forget(&s->members, &from->node);
}

static void
hear_probe(struct step *s, int64_t now_ms, const struct step_from *from, uint64_t echo,
           struct plan *p)
{
    struct plan_action *a = to_member(s, p, &from->node);
    if (a == NULL)
        return;
    struct wire_msg ack, beacon;
    memset(&ack, 0, sizeof ack);
    ack.type = WIRE_PROBE_ACK;
    ack.probe_ack.echo = echo;
    beacon_of(s, 0, now_ms, &beacon);
    struct scribe out;
    plan_write(p, WIRE_DATAGRAM_MAX, &out);
    wire_put(&out, &ack);
    wire_put(&out, &beacon);
    plan_wrote(p, a, &out);
}

int
step_datagram(struct step *s, int64_t now_ms, const struct step_from *from, const uint8_t *body,
              size_t len, struct plan *p)
{
    struct cursor c;
    struct wire_msg m;
    int rc;
    cursor_init(&c, body, len);
    if (node_equal(&from->node, &s->config.self))
        return 0; /* our own multicast */
    while ((rc = wire_next(&c, &m)) == 1 && p->count + 4 <= PLAN_ACTIONS_MAX) {
        if (m.type == WIRE_BEACON)
            hear_beacon(s, now_ms, from, &m.beacon, p);
        else if (m.type == WIRE_PROBE)
            hear_probe(s, now_ms, from, m.probe.echo, p);
    }
    return rc < 0 ? rc : 0;
}

void
step_resign(struct step *s, int64_t now_ms, bool leaves, struct plan *p)
{
    struct elect_plan e = elect_resign(&s->elect, &s->members, leaves, now_ms);
    carry_out(s, &e, &node_none, now_ms, p);
}
