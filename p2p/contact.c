/* The table of addresses that may be nodes. */
#include "p2p/contact.h"
#include "p2p/addr.h"

void
contact_init(struct contacts *c)
{
    c->count = 0;
}

static struct contact *
find(struct contacts *c, const struct node_addr *addr)
{
    for (size_t i = 0; i < c->count; i++)
        if (addr_equal(&c->list[i].addr, addr))
            return &c->list[i];
    return NULL;
}

/* A free place, or that of the TOLD one that was spoken to most; NULL: all are seeds. */
static struct contact *
place(struct contacts *c)
{
    struct contact *worst = NULL;
    if (c->count < CONTACTS_MAX)
        return &c->list[c->count++];
    for (size_t i = 0; i < c->count; i++) {
        struct contact *o = &c->list[i];
        if (o->from == CONTACT_TOLD && (worst == NULL || o->says > worst->says))
            worst = o;
    }
    return worst;
}

void
contact_add(struct contacts *c, const struct node_addr *addr, enum contact_from from,
            int64_t now_ms)
{
    struct contact *at = find(c, addr);
    if (!addr_is_usable(addr))
        return;
    if (at != NULL) {
        at->from = from < at->from ? from : at->from;
        return;
    }
    at = place(c);
    if (at != NULL)
        *at = (struct contact){.addr = *addr, .from = from, .due_ms = now_ms};
}

static bool
is_in(const struct node_addr *list, size_t count, const struct node_addr *a)
{
    for (size_t i = 0; i < count; i++)
        if (addr_equal(&list[i], a))
            return true;
    return false;
}

void
contact_seeds(struct contacts *c, const struct node_addr *now, size_t count, int64_t now_ms)
{
    for (size_t i = 0; i < c->count;) {
        if (c->list[i].from == CONTACT_SEED && !is_in(now, count, &c->list[i].addr))
            c->list[i] = c->list[--c->count];
        else
            i++;
    }
    for (size_t i = 0; i < count; i++)
        contact_add(c, &now[i], CONTACT_SEED, now_ms);
}

static bool
is_heard(const struct members *m, const struct node_addr *addr)
{
    for (size_t i = 0; i < m->count; i++)
        if (addr_equal(&m->list[i].addr, addr))
            return true;
    return false;
}

static bool
is_over(const struct contact *at, bool heard, bool alone)
{
    switch (at->from) {
    case CONTACT_SEED:
        return false;
    case CONTACT_LAST:
        return !alone && at->says >= CONTACT_LAST_SAYS;
    case CONTACT_TOLD:
        return heard || at->says >= CONTACT_TOLD_SAYS;
    }
    never("kind of contact");
}

bool
contact_next(struct contacts *c, const struct members *m, uint64_t site, int64_t now_ms,
             struct node_addr *ret)
{
    bool alone = member_best(m, site) == NULL;
    for (size_t i = 0; i < c->count;) {
        struct contact *at = &c->list[i];
        if (at->due_ms > now_ms) {
            i++;
            continue;
        }
        bool heard = is_heard(m, &at->addr);
        if (is_over(at, heard, alone)) {
            *at = c->list[--c->count];
            continue;
        }
        bool often = alone || at->from == CONTACT_TOLD;
        at->due_ms = now_ms + (often ? CONTACT_EVERY_MS : CONTACT_SLOW_MS);
        at->says = heard ? 0 : at->says + 1;
        i++;
        if (heard)
            continue;
        *ret = at->addr;
        return true;
    }
    return false;
}

int64_t
contact_wake_ms(const struct contacts *c)
{
    int64_t wake_ms = INT64_MAX;
    for (size_t i = 0; i < c->count; i++)
        if (c->list[i].due_ms < wake_ms)
            wake_ms = c->list[i].due_ms;
    return wake_ms;
}
