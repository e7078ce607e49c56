/* What a node tells of a blob: announcements to the tracker, hints to all. */
#include "p2p/swarm_inside.h"
#include <string.h>

/* Twice, because datagrams are lost; then only where no tracker knows who has what. */
bool
swarm_shout_due(struct swarm *s, const struct swarm_moment *at)
{
    int64_t since_ms = at->now_ms - s->shout_ms;
    bool due = s->shouts == 0 || (s->shouts == 1 && since_ms >= SWARM_WHOHAS_MS / 2) ||
               (at->orphan_ms > 0 && since_ms >= SWARM_SHOUT_MS);
    if (!due || (s->flags & WIRE_WANTS) == 0 || swarm_sated(s) ||
        member_count(at->members, at->site) == 0)
        return false;
    bool answered = s->shouts == 1 && s->ask_ms <= at->now_ms;
    if (s->shouts++ == 0)
        s->ask_ms = at->now_ms + SWARM_WHOHAS_MS;
    s->shout_ms = at->now_ms;
    return !answered;
}

bool
swarm_tell_held(const struct swarm *s, bool partly, struct wire_ihave *ret)
{
    size_t bytes = BITS_BYTES(s->pieces);
    bool whole = swarm_whole(s);
    if ((s->flags & WIRE_SERVES) == 0 || (!whole && (!partly || bytes > SWARM_IHAVE_BYTES)))
        return false;
    *ret = (struct wire_ihave){.digest = s->digest, .size = s->size};
    if (!whole)
        ret->held = (struct wire_bits){s->held, (uint16_t)bytes};
    return s->held_count > 0;
}

/* Could a lease be of use: is there a piece that no peer has? */
static bool
lacks_holder(const struct swarm *s)
{
    for (uint32_t p = s->first; p < s->end; p++)
        if (!bits_get(s->held, p) && s->avail[p] == 0)
            return true;
    return false;
}

static unsigned
idle_leases(const struct swarm *s)
{
    unsigned running = duty_working(&s->duties);
    if (!lacks_holder(s))
        return 0;
    if (running == 0)
        return 1;
    return running == 1 && s->urgent ? 1 : 0;
}

static int64_t
announce_every_ms(const struct swarm *s)
{
    bool wants = (s->flags & WIRE_WANTS) != 0 && !swarm_sated(s);
    return wants ? SWARM_ANNOUNCE_MS : SWARM_REFRESH_MS;
}

int64_t
swarm_wake_ms(const struct swarm *s)
{
    int64_t due_ms = s->announced_ms + (s->urgent ? SWARM_SPACING_MS : announce_every_ms(s));
    if (s->shouts == 1 && s->shout_ms + SWARM_WHOHAS_MS / 2 < due_ms)
        return s->shout_ms + SWARM_WHOHAS_MS / 2;
    if (due_ms < s->ask_ms)
        due_ms = s->ask_ms;
    if (s->news_count > 0 && s->news_ms + SWARM_HAVE_MS < due_ms)
        due_ms = s->news_ms + SWARM_HAVE_MS;
    if (s->moved && s->window_ms + SWARM_WINDOW_MS < due_ms)
        due_ms = s->window_ms + SWARM_WINDOW_MS;
    if (s->lacks_words && s->words_ms + SWARM_WORDS_MS < due_ms)
        due_ms = s->words_ms + SWARM_WORDS_MS;
    return due_ms;
}

bool
swarm_announce_due(const struct swarm *s, int64_t now_ms)
{
    int64_t since_ms = now_ms - s->announced_ms;
    return now_ms >= s->ask_ms && since_ms >= (s->urgent ? SWARM_SPACING_MS : announce_every_ms(s));
}

bool
swarm_announce_near(const struct swarm *s, int64_t now_ms)
{
    return now_ms >= s->ask_ms && now_ms - s->announced_ms >= announce_every_ms(s) / 2;
}

void
swarm_announce(struct swarm *s, int64_t now_ms, struct wire_blob *ret)
{
    bool wants = (s->flags & WIRE_WANTS) != 0 && !swarm_sated(s);
    uint64_t cursor = UINT64_MAX;
    for (size_t i = 0; i < PICK_CURSORS_MAX; i++)
        if (s->cursors[i].used && s->cursors[i].pos < cursor)
            cursor = s->cursors[i].pos;
    *ret =
        (struct wire_blob){.digest = s->digest,
                           .size = s->size,
                           .flags = (uint8_t)((s->flags & ~WIRE_WANTS) | (wants ? WIRE_WANTS : 0)),
                           .cursor = cursor,
                           .wan_rate = s->duties.wan_rate,
                           .idle_leases = (uint16_t)(wants ? idle_leases(s) : 0),
                           .held = {s->held, (uint16_t)BITS_BYTES(s->pieces)}};
    if ((s->flags & (WIRE_WANTS | WIRE_SERVES)) == 0)
        ret->held.len = 0;
    s->announced_ms = now_ms;
    s->urgent = false;
}

bool
swarm_tell_window(const struct swarm *s, struct wire_window *ret)
{
    *ret = (struct wire_window){s->digest, s->first, s->end};
    return s->windowed;
}

bool
swarm_take_window(struct swarm *s, int64_t now_ms, struct wire_window *ret)
{
    if (!s->moved || now_ms - s->window_ms < SWARM_WINDOW_MS)
        return false;
    s->moved = false;
    s->window_ms = now_ms;
    return swarm_tell_window(s, ret);
}

bool
swarm_report(const struct swarm *s, size_t *at, struct wire_fetching *ret)
{
    ret->digest = s->digest;
    return duty_report(&s->duties, at, ret);
}

bool
swarm_doubt(const struct swarm *s, size_t *at, struct wire_doubt *ret)
{
    while (*at < s->peers_count) {
        const struct swarm_link *p = &s->peers[(*at)++];
        if (p->doubts == 0)
            continue;
        *ret = (struct wire_doubt){s->digest, p->id};
        return true;
    }
    return false;
}

void
swarm_told(struct swarm *s)
{
    duty_told(&s->duties);
}

void
swarm_taken(struct swarm *s, int64_t now_ms)
{
    s->taken_ms = now_ms;
    duty_taken(&s->duties);
}

void
swarm_announce_now(struct swarm *s)
{
    s->urgent = true;
}

bool
swarm_take_have(struct swarm *s, int64_t now_ms, struct wire_have *ret)
{
    bool due = s->news_count >= SWARM_HAVE_PIECES || now_ms - s->news_ms >= SWARM_HAVE_MS ||
               swarm_sated(s);
    if (s->news_count == 0 || !due)
        return false;
    uint32_t first = s->news[0], count = 1;
    unsigned used = 1;
    while (used < s->news_count && s->news[used] == first + count) {
        used++;
        count++;
    }
    s->news_count -= used;
    memmove(s->news, s->news + used, s->news_count * sizeof s->news[0]);
    *ret = (struct wire_have){s->digest, first, count};
    return true;
}
