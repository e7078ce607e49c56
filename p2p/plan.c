/* A bounded list of actions and one arena for what they send. */
#include "p2p/plan.h"

void
plan_clear(struct plan *p)
{
    p->count = 0;
    p->bytes_used = 0;
}

size_t
plan_room(const struct plan *p)
{
    return PLAN_BYTES_MAX - p->bytes_used;
}

bool
plan_full(const struct plan *p)
{
    return p->count == PLAN_ACTIONS_MAX || plan_room(p) < WIRE_DATAGRAM_MAX;
}

struct plan_action *
plan_add(struct plan *p, enum plan_kind kind)
{
    must(p->count < PLAN_ACTIONS_MAX);
    struct plan_action *a = &p->actions[p->count++];
    memset(a, 0, sizeof *a);
    a->kind = kind;
    return a;
}

void
plan_write(struct plan *p, size_t max, struct scribe *ret)
{
    size_t room = PLAN_BYTES_MAX - p->bytes_used;
    scribe_init(ret, p->bytes + p->bytes_used, max < room ? max : room);
}

void
plan_wrote(struct plan *p, struct plan_action *a, const struct scribe *s)
{
    must(!s->bad && s->start == p->bytes + p->bytes_used);
    a->at = (uint32_t)p->bytes_used;
    a->len = (uint32_t)scribe_len(s);
    p->bytes_used += scribe_len(s);
}

struct plan_action *
plan_to(struct plan *p, enum plan_kind kind, const struct member *to)
{
    struct plan_action *a = plan_add(p, kind);
    a->node = to->id;
    a->addr = to->addr;
    return a;
}

void
plan_record(struct plan *p, enum plan_kind kind, const struct member *to, const struct wire_msg *m)
{
    struct scribe out;
    plan_write(p, WIRE_DATAGRAM_MAX, &out);
    wire_put(&out, m);
    plan_wrote(p, to != NULL ? plan_to(p, kind, to) : plan_add(p, kind), &out);
}
