/*
 * A source is anything that bytes of a blob can be asked of: a registry (way.c) or another node
 * (peer.c). Fetching knows this table and neither of them.
 *
 *   want --prepare--> errand --curl--> head --judge--> verdict
 *              ^                                         |
 *              +---- AGAIN: redirect or token ----------+
 *
 * Fetch thread only.
 */
#ifndef PROXY_SOURCE_H
#define PROXY_SOURCE_H

#include "proxy/upstream/backoff.h"
#include "proxy/upstream/blocksum.h"
#include "proxy/upstream/exchange.h"
#include "proxy/upstream/fetch.h"

struct source;

/* What is wanted of a source. One per call, through all its redirects and tokens. */
struct want {
    const struct origin *origin; /* of a registry */
    char path[512];              /* behind /v2/REPOSITORY/: "blobs/sha256:..."; of a peer: all */
    const char *accept;
    const char *class; /* of a peer: a value of PIECE_CLASS */
    bool vouched;      /* of a peer: the body is compared with a word, and needs no sums */
    bool ask;          /* a small answer of any status, not a blob */
    bool head;
    bool part_only; /* of a blob: a registry that sends all of it instead is refused */
    struct gap gap; /* of a blob; end CACHE_SIZE_UNKNOWN: all that there is */
    uint64_t size;  /* of a blob as we know it, or CACHE_SIZE_UNKNOWN */
    char etag[128]; /* for If-Range, or "" */
    bool uncounted; /* a retry that neither earns nor takes of the source's budget */
    bool refused;   /* out: prepare failed by what another host, a token's, answered */
    void *memo;     /* the source's own; NULL at first; `forget` ends it */
};

enum verdict_kind {
    VERDICT_GO,     /* the body is what was wanted, behind `skip` bytes */
    VERDICT_AGAIN,  /* prepare again at once: the way goes through a redirect or a token */
    VERDICT_WAIT,   /* the source asked to be left alone for now */
    VERDICT_GONE,   /* final no of this source: `code` */
    VERDICT_BROKEN, /* a failure that another try may not have: `code` */
};

struct verdict {
    enum verdict_kind kind;
    uint64_t skip;        /* GO */
    uint64_t size;        /* GO: of the whole blob as the answer says, or CACHE_SIZE_UNKNOWN */
    struct blocksum sums; /* GO: checksums of the body; count 0: none */
    uint64_t packed_max; /* GO: the body is a zstd frame of at most this many bytes; 0: it is not */
    unsigned busy_ms;    /* WAIT, of a peer */
    bool sent_all;       /* BROKEN: a registry sends all, and only a part is wanted */
    int code;            /* WAIT, GONE, BROKEN */
    const char *reason;  /* not GO: for people, static text */
};

#define SOURCE_NAME_MAX 256
#define SOURCE_PARK     1 /* prepare: not ready (a token is on its way); ask again next turn */

struct source_ops {
    /* Fills the errand, whose texts live until the next call of this source for the same want.
     * 0, SOURCE_PARK, or why this source cannot be asked now. */
    int (*prepare)(struct source *s, struct want *w, int64_t now_ms, struct errand *ret,
                   struct err *e);
    struct verdict (*judge)(struct source *s, struct want *w, const struct exchange *x,
                            int64_t now_ms);
    /* An exchange that was prepared is over, however it ended. */
    void (*ended)(struct source *s, struct want *w, const struct exchange *x, int64_t now_ms);
    void (*forget)(struct source *s, struct want *w);
};

struct source {
    const struct source_ops *ops;
    char name[SOURCE_NAME_MAX]; /* for people: host of a registry, address of a peer */
    enum blob_source body_source;
    int64_t head_wait_ms;      /* a request is left without a head after this; 0: by patience */
    struct node_id node;       /* none: a registry */
    unsigned refs;             /* fills and asks that hold it */
    unsigned blob_calls;       /* open now, for blobs */
    unsigned asks;             /* open now, small ones */
    unsigned background_calls; /* of those, for blobs that no client asked for */
    unsigned whole_answers;    /* of a registry, in a row, to requests for a part; counted to two */
    int64_t no_ranges_until_ms; /* as many: it counts as one without ranges */
    int64_t slow_until_ms;      /* of a registry: an answer began late */
    int64_t slow_ms;            /* so late; less by a quarter with each */
    unsigned listens;           /* of blob_calls and asks: nobody waits for them any more */
    struct backoff wait;        /* no calls while it is active: the source asked for it */
    struct budget retries;
};

/* Another node, of whatever site; else a registry. */
static inline bool
source_is_peer(const struct source *s)
{
    return s->body_source != BLOB_FROM_UPSTREAM;
}

/* How late it is known to answer; 0: it is not. */
static inline int64_t
source_late_ms(const struct source *s, int64_t now_ms)
{
    return now_ms < s->slow_until_ms ? s->slow_ms : 0;
}

#endif
