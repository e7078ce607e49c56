/* Carries plans out, in their order. */
#include "base/log.h"
#include "base/metric.h"
#include "p2p/identity.h"
#include "p2p/p2p_inside.h"

/* Seals what an action says into p->msg. */
static size_t
seal(struct p2p *p, enum seal_kind kind, const struct plan_action *a)
{
    memcpy(p->msg + SEAL_HEAD, p->plan.bytes + a->at, a->len);
    return sealer_close(&p->sealer, kind, p->msg, a->len);
}

static void
shout(struct p2p *p, const struct plan_action *a)
{
    must(a->len > 0);
    size_t len = seal(p, SEAL_DATAGRAM, a);
    p2p_meet_shout(p, (enum wire_type)p->plan.bytes[a->at], p->msg, len);
}

static void
tell_election(struct p2p *p, enum elect_event event)
{
    const struct elect *e = step_elect(p->step);
    char tracker[IDENTITY_TEXT_MAX] = "none";
    if (e->tracker.epoch > 0)
        identity_print(&e->tracker.id, tracker);
    LOG(elected, LOG_S("what", elect_event_text(event)), LOG_S("tracker", tracker),
        LOG_U("epoch", e->tracker.epoch), LOG_S("role", elect_role_name(e->role)));
    if (event == ELECT_WON || event == ELECT_FOLLOWS || event == ELECT_YIELDS) {
        metric_add(M_elections, 1);
        p->why = event == ELECT_YIELDS || p->lately == ELECT_NOTHING ? event : p->lately;
        p->lately = ELECT_NOTHING;
    } else if (event == ELECT_SUSPECTS || event == ELECT_LOST || event == ELECT_SHUNS ||
               event == ELECT_RESIGNS || event == ELECT_DOUBTS) {
        p->lately = event;
    }
}

static void
tell_wan(const struct plan_action *a)
{
    char digest[DIGEST_TEXT_MAX];
    digest_print(&a->blob, digest);
    const struct swarm_get *g = &a->get;
    if (a->kind == PLAN_GET)
        LOG(wan_get, LOG_S("digest", digest), LOG_U("get", g->id), LOG_U("lease", g->lease),
            LOG_U("first", g->first), LOG_U("count", g->count), LOG_U("sip_bytes", g->sip));
    else
        LOG(wan_cut, LOG_S("digest", digest), LOG_U("get", g->id), LOG_U("lease", g->lease),
            LOG_U("end", g->first), LOG_S("why", wire_trim_text(a->why)));
}

static void
act(struct p2p *p, const struct plan_action *a)
{
    switch (a->kind) {
    case PLAN_SHOUT:
        shout(p, a);
        break;
    case PLAN_DATAGRAM:
        net_send(p->net, &a->addr, p->msg, seal(p, SEAL_DATAGRAM, a));
        break;
    case PLAN_ELECTED:
        tell_election(p, a->event);
        break;
    case PLAN_POST:
    case PLAN_COPY:
        post_send(p->post, &a->node, &a->addr, p->plan.bytes + a->at, a->len, a->kind == PLAN_POST);
        break;
    case PLAN_REPLY:
        p2p_reply(p, p->plan.bytes + a->at, a->len);
        break;
    case PLAN_GET:
        if (a->get.source == SWARM_WAN)
            tell_wan(a);
        p->ops.get(p->ops.arg, &a->blob, &a->get);
        break;
    case PLAN_STOP:
        tell_wan(a);
        p->ops.stop(p->ops.arg, &a->blob, a->get.id, a->get.first);
        break;
    case PLAN_KEEP:
        p->ops.keep(p->ops.arg, &a->blob, a->size);
        break;
    case PLAN_LIAR:
        p->ops.liar(p->ops.arg, &a->node);
        break;
    case PLAN_WORDS:
        p->ops.words(p->ops.arg, &a->blob);
        break;
    case PLAN_NAME:
        p2p_named(p, a->ask, &a->name);
        break;
    case PLAN_PARTING:
        p->ops.parting(p->ops.arg, &a->parting);
        break;
    }
}

void
p2p_carry(struct p2p *p)
{
    for (size_t i = 0; i < p->plan.count; i++)
        act(p, &p->plan.actions[i]);
    plan_clear(&p->plan);
}
