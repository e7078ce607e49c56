/* Who is spoken to, and how nodes get to know each other.
 *
 *   beacon     by multicast; by unicast to members of the site that multicast does not reach, and
 *              to contacts; the tracker, the deputy and a node without tracker speak to members of
 *              other sites, too, once a second
 *   others     by multicast, and by unicast to members of the site that it does not reach; hints
 *              only as many as P2P_HINT_US lets through
 *
 * So that one seed is enough: a node that follows no tracker yet is told by who hears it who else
 * is there; the tracker repeats that to one member after the other. A node of another site is
 * shown to the tracker, and the tracker to it; a tracker shows sites to each other. */
#include "base/clock.h"
#include "base/log.h"
#include "p2p/p2p_inside.h"

#define FAR_MS 1000 /* between two beacons to other sites: two may be lost */
#define INTRODUCE_MS                                                            \
    1000 /* a member that heard less than all others hears of them in N seconds \
          */
#define REMEMBER_MS 10000
#define SETTINGS_MS NET_REJOIN_MS
/* While there is no network yet: the daemon starts before it, perhaps. */
#define SETTINGS_SOON_MS 2000
/* Of one datagram: a contact record takes 45 bytes. */
#define TOLD_MAX     24
#define TOLD_FAR_MAX 64 /* of a newcomer; others hear of it in their turn */
/* In a larger site a newcomer gets a sample, and the rest from those. */
#define TOLD_ALL_MAX 96

/* ---- out ---- */

/* The body of the only action in the plan, sealed into p->msg; the plan is empty again. */
static size_t
seal_plan(struct p2p *p)
{
    const struct plan_action *a = &p->plan.actions[0];
    must(p->plan.count == 1);
    memcpy(p->msg + SEAL_HEAD, p->plan.bytes + a->at, a->len);
    size_t len = sealer_close(&p->sealer, SEAL_DATAGRAM, p->msg, a->len);
    plan_clear(&p->plan);
    return len;
}

static bool
speaks_far(const struct p2p *p)
{
    const struct elect *e = step_elect(p->step);
    return e->role == ELECT_TRACKER || e->role == ELECT_DEPUTY || e->tracker.epoch == 0;
}

static void
shout_far(struct p2p *p, const uint8_t *msg, size_t len)
{
    const struct members *m = step_members(p->step);
    if (p->now_ms < p->meet.far_ms || !speaks_far(p))
        return;
    p->meet.far_ms = p->now_ms + FAR_MS;
    for (size_t i = 0; i < m->count; i++)
        if (m->list[i].site != p->site.id)
            net_send(p->net, &m->list[i].addr, msg, len);
}

/* What is told again before long, whoever missed it. */
static bool
is_hint(enum wire_type type)
{
    return type == WIRE_HAVE || type == WIRE_WINDOW;
}

/* One more hint may go out now. */
static bool
hint_passes(struct p2p *p)
{
    int64_t now_us = clock_us();
    if (p->meet.hints_us < now_us - P2P_HINT_BURST_US)
        p->meet.hints_us = now_us - P2P_HINT_BURST_US;
    if (p->meet.hints_us > now_us)
        return false;
    p->meet.hints_us += P2P_HINT_US;
    return true;
}

void
p2p_meet_shout(struct p2p *p, enum wire_type type, const uint8_t *msg, size_t len)
{
    const struct members *m = step_members(p->step);
    size_t at = is_hint(type) ? p->meet.hint_next : 0;
    net_shout(p->net, msg, len);
    for (size_t i = 0; i < m->count; i++) {
        const struct member *to = &m->list[(at + i) % m->count];
        if (to->site != p->site.id || member_by_group(to, p->now_ms))
            continue;
        if (is_hint(type) && !hint_passes(p)) {
            p->meet.hint_next = (at + i) % m->count;
            return;
        }
        net_send(p->net, &to->addr, msg, len);
    }
    if (type == WIRE_BEACON)
        shout_far(p, msg, len);
}

static void
greet_contacts(struct p2p *p)
{
    const struct members *m = step_members(p->step);
    struct node_addr to;
    size_t len = 0;
    while (contact_next(&p->contacts, m, p->site.id, p->now_ms, &to)) {
        if (addr_equal(&to, &p->addr))
            continue;
        if (len == 0) {
            step_beacon(p->step, p->now_ms, &p->plan);
            len = seal_plan(p);
        }
        net_send(p->net, &to, p->msg, len);
    }
}

/* Who should know of whom: the nodes of one site of each other, and sites of third ones. */
static bool
concerns(const struct p2p *p, const struct member *to, const struct member *o)
{
    if (to->site == p->site.id)
        return o != to && o->site == p->site.id;
    return o->site != p->site.id && o->site != to->site;
}

/* Tells `to` of members that concern it, from the given one on. */
static void
introduce(struct p2p *p, const struct member *to, size_t from)
{
    const struct members *all = step_members(p->step);
    struct wire_msg m = {.type = WIRE_CONTACT};
    struct scribe out;
    unsigned told = 0;
    plan_write(&p->plan, WIRE_DATAGRAM_MAX, &out);
    for (size_t i = 0; i < all->count && told < TOLD_MAX; i++) {
        const struct member *o = &all->list[(from + i) % all->count];
        if (!concerns(p, to, o))
            continue;
        m.contact = (struct wire_contact){o->id, o->addr, o->site};
        wire_put(&out, &m);
        told++;
    }
    if (told == 0)
        return;
    plan_wrote(&p->plan, plan_to(&p->plan, PLAN_DATAGRAM, to), &out);
    net_send(p->net, &to->addr, p->msg, seal_plan(p));
}

static void
introduce_one(struct p2p *p, const struct member *to, const struct node_id *id,
              const struct node_addr *addr, uint64_t site)
{
    struct wire_msg m = {.type = WIRE_CONTACT, .contact = {*id, *addr, site}};
    plan_record(&p->plan, PLAN_DATAGRAM, to, &m);
    net_send(p->net, &to->addr, p->msg, seal_plan(p));
}

/* ---- in ---- */

bool
p2p_meet_knows(const struct p2p *p, const struct node_id *node)
{
    return member_find(step_members(p->step), node) != NULL;
}

/* A node of another site and our tracker, which is another node, should hear each other. */
static void
show_tracker(struct p2p *p, const struct member *who)
{
    const struct elect *e = step_elect(p->step);
    const struct member *tracker = member_find(step_members(p->step), &e->tracker.id);
    if (e->tracker.epoch == 0 || tracker == NULL)
        return;
    introduce_one(p, who, &tracker->id, &tracker->addr, p->site.id);
    introduce_one(p, tracker, &who->id, &who->addr, who->site);
}

static void
meet_far(struct p2p *p, const struct member *who)
{
    const struct members *all = step_members(p->step);
    if (step_elect(p->step)->role != ELECT_TRACKER) {
        show_tracker(p, who);
        return;
    }
    introduce(p, who, 0);
    for (size_t i = 0, told = 0; i < all->count && told < TOLD_FAR_MAX; i++) {
        if (concerns(p, &all->list[i], who)) {
            introduce_one(p, &all->list[i], &who->id, &who->addr, who->site);
            told++;
        }
    }
}

/* A newcomer of the site that multicast did not bring. */
static void
meet_near(struct p2p *p, const struct member *who, const struct wire_beacon *said)
{
    const struct elect *e = step_elect(p->step);
    const struct members *all = step_members(p->step);
    /* A tracker that was not heard before may know nobody else: it is told like any newcomer. */
    bool follows = said->epoch > 0 && e->tracker.epoch > 0 &&
                   node_equal(&said->tracker, &e->tracker.id) &&
                   !node_equal(&who->id, &e->tracker.id);
    contact_add(&p->contacts, &who->addr, CONTACT_LAST, p->now_ms);
    if (follows || member_by_group(who, p->now_ms))
        return;
    size_t end = all->count < TOLD_ALL_MAX ? all->count : TOLD_ALL_MAX;
    for (size_t from = 0; from < end; from += TOLD_MAX)
        introduce(p, who, from);
}

/* The site is another one now. */
static void
enter_site(struct p2p *p)
{
    LOG(site_changed, LOG_S("site", p->site.name), LOG_S("from", p->site.from));
    step_site(p->step, p->site.id, p->now_ms);
}

static void
hear_beacon(struct p2p *p, const struct node_id *from, bool knew, const struct wire_beacon *said)
{
    const struct member *who = member_find(step_members(p->step), from);
    if (who == NULL)
        return;
    if (member_by_group(who, p->now_ms) && site_heard(&p->site, who->site))
        enter_site(p);
    if (knew)
        return;
    if (who->site == p->site.id)
        meet_near(p, who, said);
    else
        meet_far(p, who);
}

static void
hear_contact(struct p2p *p, const struct wire_contact *said)
{
    if (node_equal(&said->node, &p->self) || p2p_meet_knows(p, &said->node) ||
        (said->site != p->site.id && !speaks_far(p)))
        return;
    contact_add(&p->contacts, &said->addr, CONTACT_TOLD, p->now_ms);
}

void
p2p_meet_heard(struct p2p *p, const struct node_id *from, bool knew, const uint8_t *body,
               size_t len)
{
    struct cursor c;
    struct wire_msg m;
    cursor_init(&c, body, len);
    while (wire_next(&c, &m) == 1) {
        if (m.type == WIRE_BEACON)
            hear_beacon(p, from, knew, &m.beacon);
        else if (m.type == WIRE_CONTACT)
            hear_contact(p, &m.contact);
    }
}

/* ---- what is due ---- */

static void
take_seeds(struct p2p *p)
{
    struct node_addr seeds[DISCOVER_ADDRS_MAX];
    size_t count = 0;
    if (discover_seeds(p->discover, &p->meet.seeds_version, seeds, &count))
        contact_seeds(&p->contacts, seeds, count, p->now_ms);
}

/* One member after the other, since datagrams get lost and trackers change: the tracker tells it
 * of the others, another node brings those of other sites together with the tracker. */
static void
introduce_next(struct p2p *p)
{
    const struct members *all = step_members(p->step);
    bool office = step_elect(p->step)->role == ELECT_TRACKER;
    p->meet.introduce_ms = p->now_ms + INTRODUCE_MS;
    for (size_t i = 0; i < all->count; i++) {
        const struct member *to = &all->list[p->meet.introduce_next++ % all->count];
        bool far = to->site != p->site.id;
        if (far && !office) {
            show_tracker(p, to);
            return;
        }
        if (office && (far || !member_by_group(to, p->now_ms))) {
            introduce(p, to, p->meet.introduce_next * TOLD_MAX % all->count);
            return;
        }
    }
}

static void
remember(struct p2p *p)
{
    const struct members *all = step_members(p->step);
    struct node_addr peers[DISCOVER_PEERS_MAX];
    size_t count = 0;
    p->meet.remember_ms = p->now_ms + REMEMBER_MS;
    for (size_t i = 0; i < all->count && count < DISCOVER_PEERS_MAX; i++)
        if (all->list[i].site == p->site.id)
            peers[count++] = all->list[i].addr;
    if (count > 0)
        discover_remember(p->discover, peers, count);
}

static void
look_around(struct p2p *p)
{
    net_rejoin(p->net);
    if (p->advertise_auto) {
        p->addr = net_source(p->net);
        step_moved(p->step, &p->addr);
    }
    if (site_again(&p->site, &p->addr))
        enter_site(p);
    bool any = addr_is_any(net_bound(p->net));
    bool waits = any && (addr_is_loopback(&p->addr) || p->site.tries > 0);
    p->meet.settings_ms = p->now_ms + (waits ? SETTINGS_SOON_MS : SETTINGS_MS);
    uint32_t priority = member_priority(p->priority, p->wired, p->now_ms - p->opened_ms, p->cpus);
    if (priority != step_elect(p->step)->priority)
        (void)step_priority(p->step, priority); /* in office: perhaps next time */
}

void
p2p_meet_open(struct p2p *p)
{
    struct node_addr last[DISCOVER_PEERS_MAX];
    contact_init(&p->contacts);
    size_t count = discover_last(p->discover, last);
    for (size_t i = 0; i < count; i++)
        contact_add(&p->contacts, &last[i], CONTACT_LAST, clock_ms());
    p->meet.settings_ms = clock_ms() + SETTINGS_SOON_MS;
    p->meet.remember_ms = clock_ms() + REMEMBER_MS;
}

void
p2p_meet_turn(struct p2p *p)
{
    take_seeds(p);
    greet_contacts(p);
    if (p->now_ms >= p->meet.introduce_ms)
        introduce_next(p);
    if (p->now_ms >= p->meet.remember_ms)
        remember(p);
    if (p->now_ms >= p->meet.settings_ms)
        look_around(p);
}

int64_t
p2p_meet_wake_ms(const struct p2p *p)
{
    return contact_wake_ms(&p->contacts);
}
