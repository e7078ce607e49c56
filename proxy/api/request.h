/*
 * One request on the registry API, and what all requests share.
 *
 * A request belongs to the thread of its connection from its first line to
 * request_account; only the connection table of conns.h is seen by others.
 */
#ifndef PROXY_REQUEST_H
#define PROXY_REQUEST_H

#include "proxy/api/agent.h"
#include "proxy/api/range.h"
#include "proxy/api/route.h"
#include "proxy/upstream/fetch.h"
#include <stdatomic.h>

struct MHD_Connection;
struct access;
struct breaker;
struct conn;
struct flight;
struct listener_verdict;
struct p2p;
struct page;
struct prefetch;
struct pulls;
struct reading;
struct shelf;

/* All fixed at open. */
struct rooms {
    struct cache *cache;
    struct fetch *fetch;
    struct p2p *p2p; /* NULL: this node runs alone */
    struct access *access;
    struct breaker *breaker;
    struct flight *flight;
    struct prefetch *prefetch;
    struct shelf *shelf;
    struct pulls *pulls;
    atomic_bool draining; /* answers carry Connection: close */
    atomic_bool closing;  /* waits end now */
};

/* What of a blob is sent. */
struct request_blob {
    uint64_t size;
    struct span span;
    bool partial; /* 206 */
};

#define REQUEST_MAGIC    0x52455155u
#define REQUEST_MUTE_MAX 4

struct request {
    uint32_t magic;
    uint64_t id;

    /* fixed at the request line */
    struct rooms *rooms;
    struct settings *settings; /* reference held */
    struct MHD_Connection *http;
    struct conn *conn;
    int64_t start_us;
    char *target;

    /* fixed at the end of the header */
    bool head;
    const char *method;
    enum agent agent;

    /* identify */
    struct route route;
    struct origin origin;                /* released at the end; registry NULL for /v2/ */
    char repository_key[CACHE_NAME_MAX]; /* host/repository */
    char challenge[512];                 /* upstream's own, for REASON_challenge */

    /* acquire: what respond sends; at most one of them */
    struct page *page;       /* a manifest; reference held */
    struct reading *reading; /* a blob, until a response has taken it */
    struct request_blob blob;
    struct answer *passed; /* upstream's own body */
    size_t mute_count;     /* nodes that were asked for a manifest and did not answer */
    struct node_id mute[REQUEST_MUTE_MAX];

    /* account */
    enum reason why;
    unsigned status;
    const char *step;   /* the last one that ran */
    const char *source; /* where the answer came from, for people */
    uint64_t body_bytes, sent_bytes;
    bool by_file;           /* sendfile: what the client took is what the kernel says */
    uint64_t acked_bytes;   /* by_file: of the connection, before the body */
    bool counted_by_reader; /* sent_bytes rises as the body is read */
    bool cut;               /* ended by us before its end */
    int64_t first_byte_us;
    int64_t starved_us; /* after it: waited for bytes of the blob */
    uint64_t pull;      /* that it belongs to (pulls.h); 0: none */
};

/* At the request line. Never NULL. */
struct request *request_new(struct rooms *rooms, struct settings *settings,
                            struct MHD_Connection *http, struct conn *conn, const char *target);
/* The first look at its header, with what the guard found; as listener_ops.judge. */
bool request_judge(struct request *r, const char *method, const struct listener_verdict *guard,
                   bool *ret_refused);
/* Answers: queues exactly one response. False when none could be queued. */
bool request_answer(struct request *r);
/* After the last byte or the end of the connection; complete tells which. Frees it. */
void request_account(struct request *r, bool complete);

/* clock_ms() when the first byte or an error must be out. What does not come from a registry that
 * took the request is due after FIRST_BYTE_MS, also when the client is patient. */
int64_t request_deadline_ms(const struct request *r);
/* The client has closed its side, or the daemon stops: nobody waits any more. */
bool request_abandoned(const struct request *r);
/* A header of the request, NULL when absent. */
const char *request_header(const struct request *r, const char *name);

#endif
