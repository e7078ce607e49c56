/* What fill*.c, solo.c and ordered*.c share; nobody else includes it.
 *
 * A fill goes one of two ways at a time:
 *   solo      it chooses what to ask of its registry by itself
 *   ordered   it makes the requests that the swarm tells it, and reports them
 * It begins ordered when the swarm may help, and goes on solo when the swarm does not. */
#ifndef PROXY_FILL_INSIDE_H
#define PROXY_FILL_INSIDE_H

#include "proxy/upstream/fill.h"
#include "proxy/upstream/run.h"

#define FILL_RUNS_MAX SWARM_GETS_MAX

struct mend;
struct ordered;

struct fill {
    struct fill_world *world;
    struct origin origin;
    struct blob *blob;
    uint64_t size; /* as the descriptor says, later as the blob says */
    bool background;
    bool part_only;          /* for FILL_PART */
    bool lan_only;           /* a copy of what other nodes of the site have */
    bool copy;               /* such a one that the swarm ordered: no origin, no upstream */
    bool lacks_room;         /* begins when what has to leave for it has left */
    struct source *upstream; /* held; NULL before the first step, and of `copy` */
    bool started;            /* its first step was taken */
    bool begun;              /* blob_begin is done */
    bool over;
    struct patience patience;
    bool patient;            /* the clock of patience runs */
    bool listens;            /* the blob failed; only how late the registry answers is wanted */
    char etag[128];          /* strong one of the last good answer of the registry, or "" */
    struct ordered *ordered; /* NULL: solo */
    struct trail *trail;     /* once other nodes may give bytes */
    uint32_t unheard_at;     /* where the next look for pieces without a word begins */
    struct mend *mend;       /* once the digest was wrong */
    bool shared;             /* the swarm knew of it: whole, it is a seed */

    /* the requests; a place without one is NULL */
    struct run *runs[FILL_RUNS_MAX];
    unsigned attempts, peer_attempts;
    uint64_t ended_bytes[BLOB_SOURCES]; /* of requests that are over */
    uint64_t rate_bytes_s, rate_mark_bytes;
    int64_t rate_mark_ms, look_ms;
    int64_t whole_ms; /* since when it lingers; 0: it does not */

    /* for people */
    int64_t stepped_ms;          /* its last step */
    int64_t begun_ms, waited_ms; /* when it began; up to when wait_ms counts */
    enum fetch_wait waits_for;   /* since then */
    int64_t wait_ms[FETCH_WAITS];
    struct fetch_trouble trouble;
    struct cells cells;
    int code; /* over: 0, or what the blob failed with */

    /* solo */
    bool claimable;   /* there may be a gap to claim */
    bool waited;      /* a retry is due: the next run is one */
    int64_t retry_ms; /* none before */
};

/* ---- fill_runs.c: requests ---- */

/* Is there a place for one more request at that source? `due`: a client waits for this one. */
bool fill_has_place(const struct fill *f, const struct source *s, bool due);
/* What the piece that the gap of a request ends must hash to. */
struct fill_word {
    const uint8_t *bytes; /* ATTEST_BYTES */
    bool with_sums;       /* of its blocks, too: what was damaged on its way is no lie */
};

/* A request for a gap, claimed unless it has a word (or NULL), or with NULL for a blob of unknown
 * size. There must be a place. */
struct run **fill_start(struct fill *f, struct source *s, const struct gap *gap, const char *class,
                        const struct fill_word *word, int64_t now_ms);
/* Ends it in any phase and gives back what is left of its claim. *run may be NULL. */
void fill_stop(struct fill *f, struct run **run);
unsigned fill_runs(const struct fill *f);
/* Into the log, and into what people are told of this fill. */
void fill_log_failure(struct fill *f, const struct run *r);
/* Of an answer of the registry that was read, for the next request. */
void fill_keep_etag(struct fill *f, const struct run *r);

/* ---- fill_look.c: for people ---- */

/* What was here before: an earlier run left it. */
void fill_mark_held(struct fill *f);
/* The time since the last call, for what it waited for. */
void fill_count_wait(struct fill *f, int64_t now_ms);
/* What it waits for from now on; `complete`: only for the check of the digest. */
void fill_note_waits(struct fill *f, bool complete);
/* Bytes a second, once a second. */
void fill_measure(struct fill *f, int64_t now_ms);

/* ---- fill.c ---- */

void fill_start_patience(struct fill *f, int64_t now_ms);
/* A request to the registry failed: the time of the next one, or -1 to give up. */
int64_t fill_retry_ms(struct fill *f, const struct run *r, int64_t now_ms);

/* The fill is over: 0, or the code that the blob fails with; `why` for people, NULL: no word. */
void fill_end(struct fill *f, int code, const char *why);

#endif
