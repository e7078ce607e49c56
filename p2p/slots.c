/* Upload slots and their queue. */
#include "p2p/slots.h"
#include <string.h>

#define FIRST_GUESS_US 10000 /* a piece of 1 MiB at 1 Gbit/s */
#define WEIGHT         8     /* of the old mean against one new upload */

void
slots_init(struct slots *s, unsigned running_max)
{
    must(running_max > 0 && running_max <= SLOTS_MAX);
    memset(s, 0, sizeof *s);
    s->running_max = running_max;
    s->service_us = FIRST_GUESS_US;
}

unsigned
slots_wait_ms(const struct slots *s)
{
    if (s->running < s->running_max)
        return 0;
    uint64_t wait_ms = s->service_us * (s->waiting_count + 1) / s->running_max / 1000 + 1;
    return wait_ms < UINT16_MAX ? (unsigned)wait_ms : UINT16_MAX;
}

/* The last third of the slots is for nodes that have fewer. */
static bool
has_enough(const struct slots *s, uint64_t from)
{
    unsigned held = 0;
    for (unsigned i = 0; i < s->running && from != 0; i++)
        held += s->from[i] == from;
    return held >= SLOTS_ENOUGH && 3 * s->running >= 2 * s->running_max;
}

enum slots_answer
slots_ask(struct slots *s, uint64_t who, uint64_t from, enum slots_class class,
          unsigned *ret_wait_ms)
{
    *ret_wait_ms = slots_wait_ms(s);
    if (has_enough(s, from)) {
        *ret_wait_ms += SLOTS_BUSY_MS;
        return SLOTS_BUSY;
    }
    if (s->running < s->running_max) {
        s->from[s->running++] = from;
        return SLOTS_START;
    }
    if (*ret_wait_ms > SLOTS_BUSY_MS || s->waiting_count == SLOTS_WAITING_MAX)
        return SLOTS_BUSY;
    s->waiting[s->waiting_count++] = (struct slots_waiting){who, from, class, s->orders++};
    return SLOTS_WAIT;
}

static bool
sooner(const struct slots_waiting *a, const struct slots_waiting *b)
{
    return a->class != b->class ? a->class < b->class : a->order < b->order;
}

bool
slots_done(struct slots *s, uint64_t from, uint64_t took_us, uint64_t *ret_next)
{
    unsigned at = 0;
    while (at < s->running && s->from[at] != from)
        at++;
    must(at < s->running);
    s->ends++;
    s->service_us = (s->service_us * (WEIGHT - 1) + took_us) / WEIGHT;
    if (s->waiting_count == 0 || s->running > s->running_max) {
        s->from[at] = s->from[--s->running];
        return false;
    }
    size_t best = 0;
    for (size_t i = 1; i < s->waiting_count; i++)
        if (sooner(&s->waiting[i], &s->waiting[best]))
            best = i;
    *ret_next = s->waiting[best].who;
    s->from[at] = s->waiting[best].from;
    s->waiting[best] = s->waiting[--s->waiting_count];
    return true;
}

void
slots_leave(struct slots *s, uint64_t who)
{
    for (size_t i = 0; i < s->waiting_count; i++) {
        if (s->waiting[i].who == who) {
            s->waiting[i] = s->waiting[--s->waiting_count];
            return;
        }
    }
}
