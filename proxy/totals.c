/* Counters that go on over restarts.
 *
 *   record   u32 magic, u32 version, u64 since (s since 1970), u32 count, count x u64,
 *            u32 CRC32C of all before; little-endian */
#include "proxy/totals.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/metric.h"
#include "cache/cache.h"
#include <errno.h>
#include <string.h>

#define MAGIC     0x4c545350u /* "PSTL" */
#define VERSION   1u
#define HEAD      20
#define SUM_BYTES 4
/* No clock is believed before 2020: a board without a battery boots in 1970. */
#define CLOCK_MIN_S INT64_C(1577836800)

static const struct {
    const char *name;
    enum metric metric;
} table[] = {
#define X(name, metric) {#name, metric},
#include "proxy/totals.def"
#undef X
};

const char *
totals_name(enum total which)
{
    return table[which].name;
}

uint64_t
totals_saved(const struct totals *t)
{
    uint64_t wan = t->bytes[TOTAL_upstream] + t->bytes[TOTAL_remote_peer];
    return t->bytes[TOTAL_served] > wan ? t->bytes[TOTAL_served] - wan : 0;
}

int
totals_encode(const struct totals *t, struct buf *ret)
{
    uint8_t room[TOTALS_RECORD_MAX];
    struct scribe s;
    scribe_init(&s, room, sizeof room);
    scribe_u32(&s, MAGIC);
    scribe_u32(&s, VERSION);
    scribe_u64(&s, (uint64_t)t->since_wall_s);
    scribe_u32(&s, TOTALS);
    for (size_t i = 0; i < TOTALS; i++)
        scribe_u64(&s, t->bytes[i]);
    scribe_u32(&s, hash_crc32c(room, scribe_len(&s)));
    must(!s.bad);
    return buf_add(ret, room, scribe_len(&s));
}

int
totals_decode(const void *record, size_t len, struct totals *ret)
{
    struct totals t = {0};
    struct cursor c;
    if (len < HEAD + SUM_BYTES)
        return ERR_SYNTAX;
    cursor_init(&c, (const uint8_t *)record + len - SUM_BYTES, SUM_BYTES);
    uint32_t sum = cursor_u32(&c);
    cursor_init(&c, record, len - SUM_BYTES);
    if (cursor_u32(&c) != MAGIC || sum != hash_crc32c(record, len - SUM_BYTES))
        return ERR_SYNTAX;
    if (cursor_u32(&c) > VERSION)
        return ERR_VERSION;
    t.since_wall_s = (int64_t)cursor_u64(&c);
    uint32_t count = cursor_u32(&c);
    if (count > TOTALS)
        return ERR_VERSION;
    for (size_t i = 0; i < count; i++)
        t.bytes[i] = cursor_u64(&c);
    if (!cursor_done(&c))
        return ERR_SYNTAX;
    *ret = t;
    return 0;
}

void
totals_of_run(struct totals *ret)
{
    *ret = (struct totals){0};
    for (size_t i = 0; i < TOTALS; i++)
        ret->bytes[i] = metric_get(table[i].metric);
}

void
totals_now(const struct totals *before, struct totals *ret)
{
    totals_of_run(ret);
    ret->since_wall_s = before->since_wall_s;
    for (size_t i = 0; i < TOTALS; i++)
        ret->bytes[i] += before->bytes[i];
}

static bool
is_empty(const struct totals *t)
{
    uint64_t any = 0;
    for (size_t i = 0; i < TOTALS; i++)
        any |= t->bytes[i];
    return any == 0;
}

void
totals_load(struct totals_kept *k, struct cache *c)
{
    AUTO(buf_release) struct buf record;
    buf_init(&record, CACHE_NOTE_MAX);
    /* What moves first is noted at once. */
    *k = (struct totals_kept){.noted_ms = clock_ms() - TOTALS_EVERY_MS};
    int bad = cache_note_get(c, &record);
    if (!bad)
        bad = totals_decode(record.data, record.len, &k->before);
    k->foreign = bad == ERR_VERSION;
    if (bad && bad != -ENOENT)
        LOG(totals_unread, LOG_S("error", err_text(bad)),
            LOG_S("record", k->foreign ? "left as it is; nothing is added to it" : "begun anew"));
    k->noted = k->before;
    /* Sums that a run without a clock began are older than this one. */
    if (is_empty(&k->before))
        k->before.since_wall_s = clock_wall_s() < CLOCK_MIN_S ? 0 : clock_wall_s();
}

void
totals_keep(struct totals_kept *k, struct cache *c, bool closing)
{
    struct totals now;
    AUTO(buf_release) struct buf record;
    buf_init(&record, TOTALS_RECORD_MAX);
    if (k->foreign || (!closing && clock_ms() - k->noted_ms < TOTALS_EVERY_MS))
        return;
    totals_now(&k->before, &now);
    if (is_empty(&now) || memcmp(&now, &k->noted, sizeof now) == 0)
        return;
    k->noted_ms = clock_ms();
    int bad = totals_encode(&now, &record);
    must(bad == 0);
    cache_note_put(c, record.data, record.len);
    k->noted = now;
}
