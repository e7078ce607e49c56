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
    if (!due || !swarm_wants(s) || member_count(at->members, at->site) == 0)
        return false;
    bool answered = s->shouts == 1 && s->ask_ms <= at->now_ms;
    if (s->shouts++ == 0)
        s->ask_ms = at->now_ms + SWARM_WHOHAS_MS;
    s->shout_ms = at->now_ms;
    return !answered;
}

bool
swarm_tell_held(const struct swarm *s, enum swarm_tell how, struct wire_ihave *ret)
{
    size_t bytes = BITS_BYTES(s->pieces);
    bool whole = swarm_whole(s), by_pieces = !whole || how == SWARM_TELL_BY_PIECES;
    if ((s->flags & WIRE_SERVES) == 0 || (!whole && how == SWARM_TELL_WHOLE) ||
        (by_pieces && bytes > SWARM_IHAVE_BYTES))
        return false;
    *ret = (struct wire_ihave){.digest = s->digest, .size = s->size};
    if (by_pieces)
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

/* In a large site more seldom, but for those that fetch: a tracker can read so many a second. */
int64_t
swarm_announce_every_ms(const struct swarm *s)
{
    int64_t turn_ms = (int64_t)s->others * 1000 / SWARM_ANNOUNCES_S;
    if (!swarm_wants(s))
        return SWARM_REFRESH_MS;
    return duty_working(&s->duties) > 0 || turn_ms < SWARM_ANNOUNCE_MS ? SWARM_ANNOUNCE_MS
                                                                       : turn_ms;
}

/* Does this node find so little to ask for that the site waits for its WAN? Where few have all of
 * it and many share, they are what all wait for, and each hint counts. */
static bool
is_idle(const struct swarm *s)
{
    return s->lan_gets < SWARM_IDLE_GETS && s->held_count > SWARM_FIRSTS && s->scarce == 0 &&
           !swarm_sated(s);
}

/* Pieces that came over the WAN are news for all. What a peer gave may wait, the longer the more
 * nodes tell, so that nobody hears more than SWARM_HINTS_S hints a second. */
static int64_t
hint_due_ms(const struct swarm *s)
{
    size_t tell = s->others < SWARM_PEERS_MAX ? s->others : SWARM_PEERS_MAX;
    int64_t turn_ms = s->hint_ms + (int64_t)tell * 1000 / SWARM_HINTS_S;
    bool may_wait = is_idle(s) && !s->news_from_wan;
    int64_t due_ms = s->news_ms + (may_wait ? SWARM_HAVE_IDLE_MS : SWARM_HAVE_MS);
    return due_ms > turn_ms || s->news_from_wan || swarm_sated(s) ? due_ms : turn_ms;
}

int64_t
swarm_wake_ms(const struct swarm *s)
{
    int64_t due_ms = s->announced_ms + (s->urgent ? SWARM_SPACING_MS : swarm_announce_every_ms(s));
    if (s->shouts == 1 && s->shout_ms + SWARM_WHOHAS_MS / 2 < due_ms)
        return s->shout_ms + SWARM_WHOHAS_MS / 2;
    if (due_ms < s->ask_ms)
        due_ms = s->ask_ms;
    if (s->news_count > 0 && hint_due_ms(s) < due_ms)
        due_ms = hint_due_ms(s);
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
    return now_ms >= s->ask_ms &&
           since_ms >= (s->urgent ? SWARM_SPACING_MS : swarm_announce_every_ms(s));
}

bool
swarm_announce_near(const struct swarm *s, int64_t now_ms)
{
    return now_ms >= s->ask_ms && now_ms - s->announced_ms >= swarm_announce_every_ms(s) / 2;
}

void
swarm_announce(struct swarm *s, int64_t now_ms, struct wire_blob *ret)
{
    bool wants = swarm_wants(s);
    uint64_t cursor = UINT64_MAX;
    for (size_t i = 0; i < PICK_CURSORS_MAX; i++)
        if (s->cursors[i].used && s->cursors[i].pos < cursor)
            cursor = s->cursors[i].pos;
    *ret = (struct wire_blob){
        .digest = s->digest,
        .size = s->size,
        .flags = (uint8_t)((s->flags & ~WIRE_WANTS) | (wants ? WIRE_WANTS : 0)),
        .cursor = cursor,
        .wan_rate = s->duties.wan_rate,
        .idle_leases = wants && !s->rests && lacks_holder(s) && duty_wants_more(&s->duties),
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
swarm_doubt(const struct swarm *s, int64_t now_ms, size_t *at, struct wire_doubt *ret)
{
    while (*at < s->peers_count) {
        const struct swarm_link *p = &s->peers[(*at)++];
        if (now_ms >= p->doubt_ms)
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
swarm_take_have(struct swarm *s, int64_t now_ms, struct wire_have *ret, bool *ret_to_all)
{
    uint32_t first = 0, end;
    if (s->news_count == 0 || now_ms < hint_due_ms(s))
        return false;
    while (!bits_get(s->news, first))
        first++;
    *ret = (struct wire_have){.digest = s->digest, .first = first};
    first -= first % 8; /* whole bytes: the bits are sent as they stand */
    memset(s->telling, 0, BITS_BYTES(s->pieces));
    for (uint32_t p = end = ret->first; p < s->pieces && p < first + SWARM_IHAVE_BYTES * 8; p++) {
        if (!bits_get(s->news, p))
            continue;
        bits_clear(s->news, p);
        bits_set(s->telling, p);
        s->news_count--;
        end = p + 1;
    }
    /* A run says itself; it is what versions without bits read, too. */
    while (ret->first + ret->count < end && bits_get(s->telling, ret->first + ret->count))
        ret->count++;
    if (ret->first + ret->count < end)
        *ret =
            (struct wire_have){.digest = s->digest,
                               .first = first,
                               .held = {s->telling + first / 8, (uint16_t)BITS_BYTES(end - first)}};
    *ret_to_all = s->others <= PICK_NEAR;
    s->news_from_wan = s->news_from_wan && s->news_count > 0;
    s->hint_ms = now_ms;
    return true;
}

static bool
lacks_told(const struct swarm *s, const struct swarm_link *p)
{
    for (size_t i = 0; i < BITS_BYTES(s->pieces); i++)
        if ((s->telling[i] & ~p->bits[i]) != 0)
            return true;
    return false;
}

const struct node_id *
swarm_lacking(const struct swarm *s, size_t *at)
{
    while (*at < s->peers_count) {
        const struct swarm_link *p = &s->peers[(*at)++];
        if (lacks_told(s, p))
            return &p->id;
    }
    return NULL;
}
