/* How long a blob may take before it is given up, and what a failed try means. Pure. */
#ifndef PROXY_PATIENCE_H
#define PROXY_PATIENCE_H

#include "proxy/upstream/backoff.h"
#include "proxy/upstream/fetch.h"

#define FIRST_BYTE_MARGIN_MS 500  /* for the answer to reach the client within FIRST_BYTE_MS */
#define HEAD_WAIT_MS         2200 /* a silent connect or head is left after this, if there is time */
#define HEAD_WAIT_LATER_MS   5000  /* for tries after a silent one */
#define STALL_LATER_MS       5000  /* a body that is silent, after a try without progress */
#define SILENCE_MS           20000 /* no byte for so long in spite of retries */
#define AWAY_MS              10000 /* tries to reach a registry end then */
#define AWAY_PAUSE_MS        500   /* at least, between two tries to reach it */
#define AWAY_PAUSE_MAX_MS    1500
#define BUSY_WAIT_MS         10000 /* longest wait for a registry that says "later" */
#define TRIES_MAX            4     /* in a row without progress, but see patience_retry_ms */
#define PROGRESS_BYTES       65536 /* as many bytes make a try a success */

struct patience {
    int64_t started_ms;   /* of the first try or, when a client waits, of the request */
    int64_t last_byte_ms; /* or started_ms */
    bool any_byte;        /* also of an earlier fill */
    bool amid;            /* the registry gave bytes to this fill */
    bool heard;           /* at the last look a registry had taken a request and not answered it */
    int64_t heard_ms;     /* when that was so the last time; 0: never */
    unsigned idle_tries;  /* failed in a row without progress */
    unsigned counted_tries;  /* of those, the ones that TRIES_MAX bounds */
    bool away;               /* the last one that failed found it away */
    int64_t unread_ms;       /* since when it has no room because nobody reads; 0: it has */
    uint64_t progress_bytes; /* below PROGRESS_BYTES: what does not count as progress yet */
    bool progressed;         /* since the last failed try */
};

void patience_start(struct patience *p, int64_t now_ms, bool any_byte);
void patience_bytes(struct patience *p, int64_t now_ms, uint64_t bytes);
/* Of the bytes of this fill some are the registry's. */
void patience_amid(struct patience *p);
/* This node itself stood still (SIGSTOP, a suspended machine) for so long: nobody else was late. */
void patience_stood_still(struct patience *p, int64_t ms);
/* A registry has taken a request and not answered it; every turn. */
void patience_heard(struct patience *p, int64_t now_ms, bool heard);
/* Every turn: has it no room because nobody reads? True when that has lasted for most_ms. */
bool patience_unread(struct patience *p, int64_t now_ms, bool unread, int64_t most_ms);
/* No first byte, and whoever is told within FIRST_BYTE_MS has to be told now. */
bool patience_is_late(const struct patience *p, int64_t now_ms);
/* Whoever waited is told now that nothing came, for no more is known of a registry that took the
 * request and is silent. May this request stay, to hear whether it is slow or dead? One at each
 * registry: `listening` of them stay already. */
bool patience_may_listen(bool awaits_head, unsigned listening);
/* The time when it is given up if no further byte comes. */
int64_t patience_end_ms(const struct patience *p);
/* How long the next try may take to its head. */
int64_t patience_head_wait_ms(const struct patience *p, int64_t now_ms);
/* The same once it is connected; late_ms: how late the registry is known to answer, 0: it is not.
 * Any request may be lost: time for another one is left, also in the middle of a blob. */
int64_t patience_heard_wait_ms(const struct patience *p, int64_t now_ms, int64_t late_ms);
/* How long its body may then say nothing. A registry that stalls in each answer for longer than the
 * first try waited would never be read to the end. */
int64_t patience_stall_ms(const struct patience *p);
/* Nobody answered (0), or what stands before a registry says that nobody is behind it: it restarts,
 * its name or the way to it is gone. refused: a token server answered instead. */
bool patience_is_away(int status, bool refused);
/* A try failed: the time of the next one, or -1 to give up. `away`: as above, and somebody reads.
 * Such tries are not counted when this fill is amid what the registry gives: a body that ends there
 * costs its reader more than AWAY_MS of silence. Without a byte of it the reader goes there by
 * itself. */
int64_t patience_retry_ms(struct patience *p, struct budget *b, struct rng *r, bool away,
                          int64_t now_ms);
/* Such a try is next. Without end they would earn retries for when the registry is back. */
bool patience_is_uncounted(const struct patience *p);
/* The source asked to be left alone until then: is it worth waiting? */
bool patience_waits(const struct patience *p, int64_t now_ms, int64_t until_ms);

/* When a small question must be answered, and who was how late with it. */
struct ask_limits {
    int64_t deadline_ms;       /* by whoever answers */
    int64_t heard_deadline_ms; /* by a registry that has taken the request; not earlier */
    int64_t heard_ms;          /* when one had last taken a request and not answered it; 0: never */
};
/* The time when it is given up; awaits_head: a registry has taken the request that is open. What
 * follows a late answer, a redirect or a token, has as much time as the first request had. */
int64_t patience_ask_end_ms(const struct ask_limits *l, bool awaits_head);
/* How long request number `tries`, from 0, may take to its head once it is connected: 0, no longer
 * than others. late_ms: how late the registry is known to answer. */
int64_t patience_ask_heard_wait_ms(const struct ask_limits *l, unsigned tries, int64_t late_ms,
                                   int64_t now_ms);

#endif
