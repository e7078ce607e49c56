/* The deadlines of a blob that arrives. */
#include "proxy/upstream/patience.h"

void
patience_start(struct patience *p, int64_t now_ms, bool any_byte)
{
    *p = (struct patience){.started_ms = now_ms, .last_byte_ms = now_ms, .any_byte = any_byte};
}

void
patience_bytes(struct patience *p, int64_t now_ms, uint64_t bytes)
{
    p->any_byte = true;
    p->last_byte_ms = now_ms;
    p->progress_bytes += bytes;
    if (p->progress_bytes >= PROGRESS_BYTES) {
        p->progress_bytes = 0;
        p->progressed = true;
        p->idle_tries = p->counted_tries = 0;
        p->away = false;
    }
}

void
patience_amid(struct patience *p)
{
    p->amid = true;
}

int64_t
patience_end_ms(const struct patience *p)
{
    if (p->any_byte)
        return p->last_byte_ms + SILENCE_MS;
    int64_t last_ms = p->started_ms + SLOW_FIRST_BYTE_MS;
    int64_t from_ms = p->heard_ms > p->started_ms ? p->heard_ms : p->started_ms;
    bool heard = p->heard || from_ms + FIRST_BYTE_MS > last_ms;
    return (heard ? last_ms : from_ms + FIRST_BYTE_MS) - FIRST_BYTE_MARGIN_MS;
}

void
patience_stood_still(struct patience *p, int64_t ms)
{
    p->started_ms += ms;
    p->last_byte_ms += ms;
    p->heard_ms += p->heard_ms > 0 ? ms : 0;
    p->unread_ms += p->unread_ms > 0 ? ms : 0;
}

bool
patience_unread(struct patience *p, int64_t now_ms, bool unread, int64_t most_ms)
{
    if (!unread)
        p->unread_ms = 0;
    else if (p->unread_ms == 0)
        p->unread_ms = now_ms;
    return unread && now_ms - p->unread_ms >= most_ms;
}

void
patience_heard(struct patience *p, int64_t now_ms, bool heard)
{
    p->heard = heard;
    if (heard)
        p->heard_ms = now_ms;
}

bool
patience_is_late(const struct patience *p, int64_t now_ms)
{
    return !p->any_byte && now_ms >= p->started_ms + FIRST_BYTE_MS - FIRST_BYTE_MARGIN_MS;
}

bool
patience_may_listen(bool awaits_head, unsigned listening)
{
    return awaits_head && listening == 0;
}

int64_t
patience_head_wait_ms(const struct patience *p, int64_t now_ms)
{
    int64_t left_ms = patience_end_ms(p) - now_ms;
    int64_t wait_ms = p->idle_tries == 0 ? HEAD_WAIT_MS : HEAD_WAIT_LATER_MS;
    return wait_ms < left_ms ? wait_ms : left_ms;
}

/* How long a request to a registry that is known to be so late may take of what is left: twice as
 * long, and at least half of it. */
static int64_t
late_wait_ms(int64_t left_ms, int64_t late_ms)
{
    int64_t wait_ms = 2 * late_ms > left_ms / 2 ? 2 * late_ms : left_ms / 2;
    return wait_ms < left_ms ? wait_ms : left_ms;
}

int64_t
patience_heard_wait_ms(const struct patience *p, int64_t now_ms, int64_t late_ms)
{
    struct patience heard = *p;
    heard.heard = true;
    /* Of a blob that has bytes two are given up soon: one of several behind a name may hang. */
    bool repeats = p->idle_tries == 0 || (p->any_byte && p->idle_tries == 1);
    int64_t left_ms = patience_end_ms(&heard) - now_ms;
    if (repeats && late_ms == 0)
        return patience_head_wait_ms(p, now_ms);
    return repeats ? late_wait_ms(left_ms, late_ms) : left_ms;
}

int64_t
patience_stall_ms(const struct patience *p)
{
    return p->idle_tries == 0 ? STALL_MS : STALL_LATER_MS;
}

bool
patience_is_away(int status, bool refused)
{
    if (refused)
        return false;
    return status == 0 || status == 502 || status == 503 || status == 504;
}

static int64_t
away_pause_ms(struct rng *r, unsigned k)
{
    int64_t ms = AWAY_PAUSE_MS + backoff_retry_ms(r, k + 2);
    return ms < AWAY_PAUSE_MAX_MS ? ms : AWAY_PAUSE_MAX_MS;
}

bool
patience_is_uncounted(const struct patience *p)
{
    return p->away && p->amid;
}

int64_t
patience_retry_ms(struct patience *p, struct budget *b, struct rng *r, bool away, int64_t now_ms)
{
    bool progressed = p->progressed;
    p->progressed = false;
    p->away = away;
    p->idle_tries++;
    if (patience_is_uncounted(p)) {
        int64_t at_ms = now_ms + away_pause_ms(r, p->idle_tries - p->counted_tries - 1);
        return at_ms < p->last_byte_ms + AWAY_MS ? at_ms : -1;
    }
    p->counted_tries++;
    if (p->counted_tries >= TRIES_MAX)
        return -1;
    if (!progressed && !budget_take(b))
        return -1;
    int64_t at_ms = now_ms + backoff_retry_ms(r, p->counted_tries - 1);
    return at_ms < patience_end_ms(p) ? at_ms : -1;
}

bool
patience_waits(const struct patience *p, int64_t now_ms, int64_t until_ms)
{
    return until_ms - now_ms <= BUSY_WAIT_MS && until_ms < patience_end_ms(p);
}

int64_t
patience_ask_end_ms(const struct ask_limits *l, bool awaits_head)
{
    if (awaits_head)
        return l->heard_deadline_ms;
    int64_t ms = l->heard_ms + FIRST_BYTE_MS - FIRST_BYTE_MARGIN_MS;
    ms = ms > l->deadline_ms ? ms : l->deadline_ms;
    return ms < l->heard_deadline_ms ? ms : l->heard_deadline_ms;
}

/* A first request may be lost: there is time for another one. */
int64_t
patience_ask_heard_wait_ms(const struct ask_limits *l, unsigned tries, int64_t late_ms,
                           int64_t now_ms)
{
    if (tries > 0)
        return SLOW_FIRST_BYTE_MS;
    return late_ms > 0 ? late_wait_ms(l->heard_deadline_ms - now_ms, late_ms) : 0;
}
