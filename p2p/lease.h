/* The leases of one blob, as its tracker keeps them: the right and duty of one node to fetch a run
 * of pieces over the WAN. Pure.
 *
 *   FREE --grant--> GRANTED --first bytes--> ACTIVE --all fetched--> DONE
 *                   GRANTED, ACTIVE --slow or silent--> REVOKED
 *                   GRANTED, ACTIVE --hard limit, holder dead or gave up--> EXPIRED
 *   DONE, REVOKED, EXPIRED --noted--> FREE
 *
 * A trim moves the tail of a lease to somebody idle: the tail is free only when the holder has said
 * that it stops before it, so that a trim never makes two nodes fetch one piece. */
#ifndef P2P_LEASE_H
#define P2P_LEASE_H

#include "base/must.h"

/* Twice FETCHERS_MAX: each fetcher has the lease that it works on and the next. */
#define LEASES_MAX        64
#define LEASE_MS          2000 /* of work at the holder's rate */
#define LEASE_SHARES      2    /* of what is left each fetcher gets one in so many */
#define LEASE_BYTES_MAX   (8u * 1024 * 1024)
#define LEASE_FIRST_BYTES (1024u * 1024) /* of the only node that wants the blob, in company */
#define LEASE_LAG_MS      200            /* since a holder reported: it is further meanwhile */
#define LEASE_REVOKE_MS   500            /* two reports */
/* Beside a full WAN: a new connection takes five long round trips to bring its first piece. */
#define LEASE_REVOKE_FULL_MS 1000
/* A lease that its holder ends by then is not split: cutting a request wastes what is on the way.
 */
#define LEASE_SPLIT_MS       1000
#define LEASE_REVOKE_PERCENT 150 /* of the lower quartile of piece times */
#define LEASE_REVOKE_SLOW    4   /* times slower than the median of the others */
#define LEASE_DONE_PERCENT   50  /* a piece that far is not taken away */
#define LEASE_SILENT_MS      2000
#define LEASE_TRIM_MS        100 /* a trim that was not answered is said again */
#define LEASE_EXPIRY_MS      5000
#define LEASE_EXPIRY_F       4
#define LEASE_RATE_GUESS     32768 /* bytes/s of a node that was never measured, on a thin WAN */
#define LEASE_TIMES          16
#define LEASE_TIMES_MIN      4

enum lease_phase {
    LEASE_FREE,
    LEASE_GRANTED,
    LEASE_ACTIVE,
    LEASE_DONE,
    LEASE_REVOKED,
    LEASE_EXPIRED,
    LEASE_PHASES
};
enum lease_verdict { LEASE_KEEP, LEASE_SLOW, LEASE_SILENT, LEASE_OVERDUE };

struct lease {
    enum lease_phase phase;
    uint32_t id;          /* epoch and count: no two trackers give the same */
    unsigned node;        /* index of the holder in the tracker's table */
    unsigned source;      /* where it fetches, index in the tracker's table; 0: upstream */
    uint32_t first, end;  /* pieces; first < end */
    uint32_t end_wanted;  /* a trim waits for the holder's word; == end otherwise */
    uint64_t done_bytes;  /* from the start of `first` */
    uint64_t begun_bytes; /* of these, when it was granted */
    int64_t granted_ms, reported_ms, piece_ms, expiry_ms;
    uint64_t rate;      /* of its holder when it was granted, bytes/s, 0: not known */
    uint32_t order;     /* a holder works on its leases one by one, in this order */
    bool waited;        /* when it was judged last its turn had not come */
    int64_t trimmed_ms; /* when its holder was told of end_wanted last */
};

struct lease_book {
    uint64_t size;        /* fixed at init: of the blob */
    uint32_t piece_bytes; /* fixed at init */
    uint32_t pieces;      /* fixed at init */
    unsigned used;        /* all behind the first so many are free */
    struct lease list[LEASES_MAX];
    uint32_t times_ms[LEASE_TIMES]; /* what the last pieces took */
    unsigned times_next, times_count;
    uint32_t orders; /* of the last lease */
    uint8_t *of;     /* per piece: 1 + its lease's index, 0: none; the owner's memory, zeroed */
};

void lease_init(struct lease_book *b, uint64_t size, uint32_t piece_bytes, uint32_t pieces,
                uint8_t *of);
uint64_t lease_piece_len(const struct lease_book *b, uint32_t piece);
uint64_t lease_bytes(const struct lease_book *b, const struct lease *l);
bool lease_running(const struct lease *l);
/* Its holder still fetches an earlier one upstream: the time of this one has not begun. */
bool lease_waits(const struct lease_book *b, const struct lease *l);
uint64_t lease_rate(const struct lease *l, int64_t now_ms); /* bytes/s, as reported last */

/* A lease over free pieces; NULL when the book is full. rate: bytes/s of the node, 0 unknown. The
 * caller sets its id. */
struct lease *lease_grant(struct lease_book *b, unsigned node, uint32_t first, uint32_t count,
                          uint64_t rate, int64_t now_ms);
/* It was begun before it was granted: so much is done, in a time that nobody knows. */
void lease_begun(const struct lease_book *b, struct lease *l, uint64_t done_bytes);
/* The running lease with that id of that node, or NULL. */
struct lease *lease_find(struct lease_book *b, unsigned node, uint32_t id);
/* The holder's report: how far it is, and where it will stop. True when all is fetched: then the
 * lease is DONE. */
bool lease_progress(struct lease_book *b, struct lease *l, uint32_t end, uint64_t done_bytes,
                    int64_t now_ms);
/* REVOKED, EXPIRED or DONE, and its pieces are free. */
void lease_end(struct lease_book *b, struct lease *l, enum lease_phase phase);
/* What is to be done about a running lease now. No piece is too slow before it is patience_ms old,
 * at least LEASE_REVOKE_MS. */
enum lease_verdict lease_judge(const struct lease_book *b, struct lease *l, int64_t patience_ms,
                               int64_t now_ms);
/* The lease whose tail an idle node of that rate should take over, and where it is cut. NULL when
 * none has two pieces that are not begun and LEASE_SPLIT_MS of work left. */
struct lease *lease_longest(struct lease_book *b, unsigned idle_node, int64_t now_ms,
                            uint32_t *ret_end);
uint32_t lease_quartile_ms(const struct lease_book *b); /* lower one; 0: too few samples */
bool lease_may_go(enum lease_phase from, enum lease_phase to);

#endif
