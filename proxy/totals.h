/* What was saved, over all starts of the daemon: the counters of bytes go on from the record that
 * the last run left in the cache (its note). The record is made anew once they move, then every
 * TOTALS_EVERY_MS while they do, so that kill -9 costs half a minute of counting at most.
 *
 * totals_load and totals_keep: the main thread. */
#ifndef PROXY_TOTALS_H
#define PROXY_TOTALS_H

#include "base/must.h"

struct buf;
struct cache;

#define TOTALS_EVERY_MS 30000

enum total {
#define X(name, metric) TOTAL_##name,
#include "proxy/totals.def"
#undef X
    TOTALS
};

struct totals {
    int64_t since_wall_s; /* counting began; 0: no clock told */
    uint64_t bytes[TOTALS];
};

/* Bytes that clients got and that did not come over the WAN. */
uint64_t totals_saved(const struct totals *t);
const char *totals_name(enum total which); /* static */

/* The record, pure: a magic with a version, a checksum at the end. */
#define TOTALS_RECORD_MAX 256
CHECKED int totals_encode(const struct totals *t, struct buf *ret);
/* 0; ERR_VERSION: a later program wrote it, or one with more totals; ERR_SYNTAX. */
CHECKED int totals_decode(const void *record, size_t len, struct totals *ret);

/* Of this run's counters alone. */
void totals_of_run(struct totals *ret);
/* `before` and this run's counters together. */
void totals_now(const struct totals *before, struct totals *ret);

/* What a daemon keeps of them. */
struct totals_kept {
    struct totals before; /* of earlier runs; fixed by totals_load */
    struct totals noted;  /* as the cache has it */
    int64_t noted_ms;     /* clock_ms of that, or long ago */
    bool foreign;         /* a later program's record is there: it stays as it is */
};
/* A record that cannot be read is told of, and counting begins anew. */
void totals_load(struct totals_kept *k, struct cache *c);
/* Gives the cache the record when it has changed and TOTALS_EVERY_MS have passed, or `closing`. */
void totals_keep(struct totals_kept *k, struct cache *c, bool closing);

#endif
