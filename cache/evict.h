/* Which blobs leave when room is needed: those whose bytes are worth least to the site. Pure: time
 * is an argument, memory is what the callers' blobs hold and one table.
 *
 *   value of a byte  V = c * (LAN + (1 + A / size) * GONE^(copies - 1))      docs: cache value
 *
 *   c       requests of the site, halving every EVICT_HALF_S, or EVICT_FAST times as often while
 *           such counters foretell better what is asked for (popularity drifts fast). What comes
 *           within EVICT_BURST_S of another request counts for that part of it only: a roll-out to
 *           all nodes is one event.
 *   copies  whole in the site, this one included, as last known: two when it came from a peer, else
 *           one, until somebody says more. A copy too many saves LAN bytes only; the round trip A
 *           and the WAN are paid by who loses the last one.
 *
 * All counters halve alike, so the order of two blobs stays while nobody asks for them: values are
 * compared as log2 V at the epoch, and a heap keeps them.
 *
 * Small blobs (manifests, configurations) go only for the part beyond EVICT_SMALL_PART of the
 * cache, or when nothing else is left: a round trip each for next to no room.
 *
 * A twin, of which this node has the bytes outside of the cache, too, is worth nothing.
 *
 * Probation: of what was asked for once, some is asked for again at once (a roll-out), most is
 * not. How much is learned; a newcomer is worth that much more until EVICT_BURST_S after its last
 * request, as long as such blobs hold no more than EVICT_PROBATION of the cache. A node that asks
 * itself for what it asked for last (ranges, a prefetch and its client) teaches nothing. */
#ifndef CACHE_EVICT_H
#define CACHE_EVICT_H

#include "base/must.h"

#define EVICT_HALF_S     86400 /* of the slow counters */
#define EVICT_FAST       4     /* the fast ones halve so many times as often */
#define EVICT_MIND_S     3600  /* between two changes of mind which counters are better */
#define EVICT_BURST_S    600
#define EVICT_SAME_S     10 /* what comes so soon is no other request: ranges, a HEAD, shouts again */
#define EVICT_A          200e3 /* bytes that a round trip over the WAN costs */
#define EVICT_LAN        1e-5  /* cost of a LAN byte against one of the WAN */
#define EVICT_GONE       1e-5  /* chance that another copy is gone when it is needed */
#define EVICT_PROBATION  30    /* percent of the cache */
#define EVICT_WELCOME    1.25  /* a newcomer may push out what is worth so much more */
#define EVICT_SMALL      (1u << 20)
#define EVICT_SMALL_PART 5    /* percent of the cache */
#define EVICT_YOUNG_MAX  1024 /* blobs on probation */
#define EVICT_CHOOSE_MAX 512  /* of one choice */

/* What is known of one blob; lives in the caller's. */
struct evict_blob {
    uint64_t size;
    float heat;       /* log2 of c at the epoch */
    float key;        /* log2 V at the epoch, while it is in a heap */
    uint32_t order;   /* of requests: of two that are worth the same the older one leaves */
    uint32_t asked_s; /* last request of the site; 0: none is known */
    uint32_t slot;    /* in its heap, 1 .. count; 0: not there */
    uint16_t lag;     /* how far the fast counter is behind, at asked_s: log2, in 1/256 */
    uint8_t copies;   /* >= 1 */
    bool young : 1;   /* on probation */
    bool again : 1;   /* others asked, too, in the burst of its last request */
    bool own : 1;     /* its last request was this node's */
    bool held : 1;    /* must not leave: in use, pinned, or the site needs it */
    bool told : 1;    /* copies is no guess */
    bool spare : 1;   /* counted in spare_bytes */
    bool twin : 1;    /* this node has it outside of the cache, too: it is worth nothing here */
};

/* What is remembered of a blob that is not here. */
struct evict_ghost {
    uint32_t mark; /* of its name */
    float heat;
    uint32_t asked_s; /* 0: free */
    uint16_t lag;
    bool again, own;
};
#define EVICT_GHOST_SETS 512
#define EVICT_GHOST_WAYS 8

struct evict {
    uint32_t epoch_s; /* the time of evict_init */
    uint64_t limit_bytes;
    struct evict_heap {
        struct evict_blob **list; /* [1 .. count] */
        size_t count, cap;
    } large, small;
    uint32_t next_order;
    uint64_t small_bytes; /* also of those that are held */
    uint64_t
        spare_bytes; /* of which others are known to have copies, or twins, and that may leave */
    struct evict_blob *young[EVICT_YOUNG_MAX]; /* oldest first */
    size_t young_count;
    uint64_t young_bytes;
    double bursts, expected, followed; /* bursts that began; that were to go on anyway; that did */
    double ahead; /* how much better the fast counters foretold the last requests: log2 of a rate */
    bool fast;    /* values are those of the fast counters, or not, */
    uint32_t since_s;
    struct evict_ghost *ghosts; /* EVICT_GHOST_SETS * EVICT_GHOST_WAYS */
};

/* now_s: seconds of any clock that never goes back, > 0. */
void evict_init(struct evict *x, uint32_t now_s);
void evict_release(struct evict *x);
/* Bytes of the whole cache. */
void evict_limit(struct evict *x, uint64_t bytes);

/* A blob comes in (b->size and b->copies are set) or leaves. `name` is 64 bits of its digest; what
 * is known of it is kept a while after it has left. */
void evict_add(struct evict *x, struct evict_blob *b, uint64_t name, uint32_t now_s);
void evict_remove(struct evict *x, struct evict_blob *b, uint64_t name);
/* A node of the site asks for it; of a blob that is not here by its name. */
enum evict_who { EVICT_OTHER, EVICT_SELF };
void evict_asked(struct evict *x, struct evict_blob *b, enum evict_who who, uint32_t now_s);
void evict_asked_absent(struct evict *x, uint64_t name, enum evict_who who, uint32_t now_s);
void evict_copies(struct evict *x, struct evict_blob *b, unsigned copies, uint32_t now_s);
void evict_hold(struct evict *x, struct evict_blob *b, bool held, uint32_t now_s);
void evict_twin(struct evict *x, struct evict_blob *b, bool twin, uint32_t now_s);
/* What another run of the daemon, or another node, knew of it: c at now_s. */
void evict_restore(struct evict *x, struct evict_blob *b, double c, uint32_t asked_s,
                   uint32_t now_s);
/* The same of a blob that is not here. */
void evict_restore_absent(struct evict *x, uint64_t name, double c, uint32_t asked_s,
                          uint32_t now_s);
double evict_c(const struct evict *x, const struct evict_blob *b, uint32_t now_s);

/* log2 V at the epoch; of a blob that is not here as if it were, with so many copies. */
double evict_value(const struct evict *x, const struct evict_blob *b, uint32_t now_s);
/* V itself, now. */
double evict_value_now(const struct evict *x, const struct evict_blob *b, uint32_t now_s);
double evict_value_absent(const struct evict *x, uint64_t name, uint64_t size, unsigned copies,
                          uint32_t now_s);
/* Takes blobs off probation whose time is over; before evict_choose. */
void evict_settle(struct evict *x, uint32_t now_s);
/* The blobs worth least, in that order, until their sizes reach need_bytes, those worth `below` or
 * more (INFINITY: none) excepted. Returns how many, EVICT_CHOOSE_MAX at most; they stay. */
size_t evict_choose(const struct evict *x, uint64_t need_bytes, double below,
                    struct evict_blob *ret[EVICT_CHOOSE_MAX], uint64_t *ret_bytes);

/* Of the large ones, or when none of them may leave of the small ones, that whose loss costs the
 * site least; NULL: none may leave. A manifest costs next to nothing, but all layers behind it are
 * of no use without it. */
struct evict_blob *evict_cheapest(const struct evict *x);

/* Strictly in order of value, large ones first: the first that free need_bytes, or all that may
 * leave. Returns how many; free *ret with mem_free. */
size_t evict_list(const struct evict *x, uint64_t need_bytes, struct evict_blob ***ret);

#endif
