/*
 * The fetch thread: everything that this node asks of registries (and, with the
 * swarm, of peers) goes through its one curl multi handle.
 *
 *   http threads --ask / blob--> mailbox --> fetch thread --> curl --> sources
 *
 * It owns curl handles, running ranges, tokens, back-off and source measurements.
 */
#ifndef PROXY_FETCH_H
#define PROXY_FETCH_H

#include "base/buf.h"
#include "cache/cache.h"
#include "p2p/p2p.h"
#include "proxy/settings.h"
#include "proxy/upstream/cells.h"
#include <stdatomic.h>

struct fetch;

#define REPOSITORY_MAX 256
#define FIRST_BYTE_MS  5000 /* DESIGN promise 1: first byte or error */
/* The same of a registry that took the request and is known to answer late. Below the 30 s after
 * which containerd leaves a silent mirror. */
#define SLOW_FIRST_BYTE_MS 25000
#define STALL_MS           2000 /* a silent source is left after this */

/* Where something lives upstream. */
struct origin {
    struct settings *settings;       /* reference held */
    const struct registry *registry; /* inside settings */
    char host[256];                  /* as the client named it: docker.io */
    char repository[REPOSITORY_MAX]; /* library/busybox */
    char *authorization;             /* AUTH_PASS: the client's header value, or NULL */
    bool patient;                    /* who asks waits SLOW_FIRST_BYTE_MS, not FIRST_BYTE_MS */
};
void origin_copy(struct origin *ret, const struct origin *from);
void origin_release(struct origin *o);
/* Where a key of the cache ("registry/repository") leads; false when there is no such registry. */
CHECKED bool origin_find(struct settings *settings, const char *key, struct origin *ret);

CHECKED int fetch_open(struct fetch **ret, struct err *e);
/* Blobs that begin from now on go through the swarm; p lives until fetch_stop returns. */
void fetch_join(struct fetch *f, struct p2p *p);
/* Bytes/s that blobs may bring from registries and other sites together, from now on; 0, as at
 * first: no limit. Any thread. */
void fetch_set_wan_rate(struct fetch *f, uint64_t bytes_s);
/* Fails all running work with ERR_CLOSED and stops the thread; what is posted later is refused.
 * For one who has to close something between this and fetch_close. */
void fetch_stop(struct fetch *f);
void fetch_close(struct fetch *f); /* stops, too; NULL is fine */

/* For struct p2p_ops; they only post. */
void fetch_order_get(struct fetch *f, const struct digest *blob, const struct swarm_get *get);
void fetch_order_stop(struct fetch *f, const struct digest *blob, uint32_t get, uint32_t end);
void fetch_order_ban(struct fetch *f, const struct node_id *node);

/* One small request, e.g. HEAD manifests/latest. */
struct ask {
    bool head;
    const char *path;          /* behind /v2/REPOSITORY/, e.g. "tags/list?n=5" */
    const char *accept;        /* Accept value, or NULL */
    int64_t deadline_ms;       /* clock_ms() when the answer must be there */
    int64_t heard_deadline_ms; /* the same when the registry has taken the request, if later */
    size_t body_max;
    const atomic_bool *stop; /* when true the asker waits no longer; NULL: it always waits */
};
struct answer {
    int status; /* upstream's final status, after token and redirects */
    struct buf body;
    char content_type[CACHE_TYPE_MAX];
    char docker_digest[DIGEST_TEXT_MAX]; /* "" when absent */
    char link[512], filters[64];         /* Link, OCI-Filters-Applied, "" when absent */
    char challenge[512];                 /* WWW-Authenticate of a final 401 */
    uint64_t content_length;             /* CACHE_SIZE_UNKNOWN when absent */
};
/* Blocks the caller. 0 when upstream gave 501 or any status below 500 other than 429, after retries
 * within the deadline; else ERR_TIMEOUT, ERR_UPSTREAM (network, 5xx), ERR_BUSY (429 or back-off),
 * ERR_REFUSED (policy), ERR_LIMIT (body_max), ERR_CLOSED. ret must be released on success. */
CHECKED int fetch_ask(struct fetch *f, const struct origin *o, const struct ask *a,
                      struct answer *ret, struct err *e);
void answer_release(struct answer *a);

/* Fills a blob that the caller leads. Takes a reference of its own. `size` from the
 * manifest's descriptor or CACHE_SIZE_UNKNOWN (then upstream's Content-Length). Never blocks; on
 * any refusal the blob fails. `background` (prefetch) yields to blobs that clients read. */
void fetch_blob(struct fetch *f, const struct origin *o, struct blob *b, uint64_t size,
                bool background);

/* The same for a part that a client can have another way, too (cache_pass_part): a registry that
 * would send what is before it as well fails it. */
void fetch_part(struct fetch *f, const struct origin *o, struct blob *b, uint64_t size);

/* As fetch_blob, in the background and from other nodes of the site only: never over the WAN.
 * Without another node that gives bytes it fails. o NULL: a copy that the swarm asked for, which
 * rests while clients of the site wait. */
void fetch_copy(struct fetch *f, const struct origin *o, struct blob *b, uint64_t size);

/* A client waits for a blob that may be on its way in the background: it yields no more, and a copy
 * may come from `o`, too. Never blocks; no effect on a blob that is not being filled here. */
void fetch_hurry(struct fetch *f, const struct origin *o, struct blob *b);

/* What a blob that is being fetched waits for, by the requests that are open for it. */
enum fetch_wait {
    FETCH_WAIT_TURN,     /* none: for a lease, for a place, or for a source that asked to wait */
    FETCH_WAIT_UPSTREAM, /* at the registry */
    FETCH_WAIT_PEERS,    /* at other nodes */
    FETCH_WAIT_BOTH,
    FETCH_WAIT_CHECK, /* all is here; its digest, and what the swarm still asks of it */
    FETCH_WAITS
};
const char *fetch_wait_name(enum fetch_wait wait);

/* What was asked in vain, for people. */
struct fetch_trouble {
    unsigned upstream, peers; /* requests that failed */
    char last[120];           /* the last one at the registry: why; "" when there was none */
};

/* A request that is open now. */
#define TRANSFER_ASKED_MAX 16
struct transfer_asked {
    struct node_id node; /* none: the registry */
    uint64_t at, end;    /* next byte, and behind the last one */
};

/* What is running, for /api/v1/transfers. */
struct transfer_info {
    struct digest digest;
    char host[256], repository[REPOSITORY_MAX];
    uint64_t size, have_bytes, rate_bytes_s;
    unsigned requests; /* open now */
    unsigned attempts; /* so far, at the registry */
    unsigned peer_attempts;
    uint64_t from_bytes[BLOB_SOURCES]; /* of those that this transfer brought */
    bool background;
    bool copy;                    /* for the site: no client asked for it, and it has no origin */
    bool swarm;                   /* the swarm orders its requests */
    int64_t since_ms;             /* how long it has been running */
    int64_t wait_ms[FETCH_WAITS]; /* of that, by what it waited for */
    struct fetch_trouble trouble;
    struct cells cells;
    size_t asked_count;
    struct transfer_asked asked[TRANSFER_ASKED_MAX];
};
size_t fetch_list(struct fetch *f, struct transfer_info *ret, size_t max);

/* Blobs whose fetch is over. */
#define FETCHED_MAX 256
struct fetched_info {
    struct digest digest;
    char host[256], repository[REPOSITORY_MAX];
    int64_t ended_ms; /* clock_ms() */
    int64_t took_ms, wait_ms[FETCH_WAITS];
    uint64_t size, from_bytes[BLOB_SOURCES];
    unsigned attempts, peer_attempts;
    struct fetch_trouble trouble;
    bool background, copy; /* as above */
    int code;              /* 0, or why it failed */
};
/* The newest first: how many, `max` at most. */
size_t fetch_finished(struct fetch *f, struct fetched_info *ret, size_t max);

/* Of a registry's host, not "*", which stands for many. Any thread.
 * It failed a moment ago (1 s after the first failure, 16 s at most after more) or is in back-off:
 * nothing that needs it should be promised. */
bool fetch_is_down(struct fetch *f, const char *host);
/* Not known to send all of a blob when it is asked for a part. */
bool fetch_sends_ranges(struct fetch *f, const char *host);
/* How late it is known to answer (SLOW_FIRST_BYTE_MS); 0: it is not. */
int64_t fetch_late_ms(struct fetch *f, const char *host);
/* The last contact within the last minute failed, or it is down: to be asked, but not waited for.
 */
bool fetch_is_failing(struct fetch *f, const char *host);

#endif
