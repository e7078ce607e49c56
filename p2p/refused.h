/* What was not believed in the last hour (59 to 60 minutes): of each kind how many messages, when
 * the last one, and of whom. Counters only rise; this tells whether it still goes on. Pure; times
 * are clock_ms. */
#ifndef P2P_REFUSED_H
#define P2P_REFUSED_H

#include "base/must.h"

#define REFUSED_SPAN_MS   (INT64_C(3600) * 1000)
#define REFUSED_BUCKETS   60 /* of that span: what leaves, leaves a minute at a time */
#define REFUSED_FROM_MAX  4  /* addresses kept of each kind; the one heard longest ago gives way */
#define REFUSED_FROM_TEXT 64 /* an address is shorter */

enum refused_kind {
    REFUSED_KEY,
    REFUSED_CLOCK,
    REFUSED_REPLAY,
    REFUSED_VERSION,
    REFUSED_SYNTAX,
    REFUSED_ID, /* this node's own, which it did not send: a copy of its node.id */
    REFUSED_KINDS
};

struct refused {
    struct refused_of {
        int64_t last_ms; /* 0: never */
        struct {
            int64_t number; /* now_ms / its width; a count of an older one is void */
            uint64_t count;
        } buckets[REFUSED_BUCKETS];
        struct {
            int64_t last_ms; /* 0: free */
            char text[REFUSED_FROM_TEXT];
        } from[REFUSED_FROM_MAX];
    } of[REFUSED_KINDS];
};

/* Of one kind, for people. */
struct refused_lately {
    uint64_t count;      /* in the last hour */
    int64_t last_ms_ago; /* -1: none in it */
    size_t from_count;
    char from[REFUSED_FROM_MAX][REFUSED_FROM_TEXT]; /* in it, the newest first */
};

const char *refused_name(enum refused_kind kind); /* static: key, clock ... */
/* from: NULL when not known. */
void refused_note(struct refused *r, enum refused_kind kind, const char *from, int64_t now_ms);
void refused_look(const struct refused *r, enum refused_kind kind, int64_t now_ms,
                  struct refused_lately *ret);

#endif
