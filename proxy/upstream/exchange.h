/*
 * One HTTP request and its answer on the fetch thread's curl multi handle. The only place
 * that sets curl options.
 *
 *   IDLE --exchange_start--> HEAD --final head--> BODY --> DONE
 *                             |  deadline, refusal    |  stall, owner's no
 *                             +-----------------------+----> DONE with a code
 *
 * The owner is called back from within curl for the head and the body; it looks at `phase`
 * and `code` at its own turn and never from within. Fetch thread only.
 */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/throttle.h"
#include "proxy/upstream/address.h"
#include "proxy/upstream/head.h"
#include "proxy/upstream/proxyenv.h"
#include "proxy/upstream/trust.h"
#include <curl/curl.h>

/* What all exchanges share: the multi handle and when to wake next. */
struct wire {
    CURLM *multi;
    struct proxyenv env;
    struct trust trust;
    struct throttle throttle; /* of all bodies whose errand says limited */
    int64_t wake_ms;          /* the loop sleeps no longer than until then */
    int64_t looked_ms;   /* when curl last began to look: what is silent since then is unknown */
    int64_t frozen_ms;   /* when a look last came more than FROZEN_MS after the one before */
    uint64_t came_bytes; /* of bodies, at that look */
};
CHECKED int wire_open(struct wire *w, struct err *e);
void wire_close(struct wire *w);
/* Lets the loop wake at that time at the latest. */
void wire_wake_at(struct wire *w, int64_t at_ms);
/* Moves all transfers as far as they go without waiting. */
void wire_perform(struct wire *w);

#define ERRAND_LINES_MAX 4
#define FROZEN_MS        2000 /* between two looks: this thread or the node stood still */
#define UNHEARD_MS       4500 /* a request that no kernel acknowledges: the way is gone */

/* What to send. The texts need to live only until exchange_start returns. */
struct errand {
    const struct url *url;
    bool head;
    const char *form;            /* body of a POST, or NULL */
    const char *accept;          /* or NULL */
    const char *user, *password; /* Basic, or NULL */
    const char *bearer;          /* token, or NULL */
    const char *authorization;   /* whole header value, or NULL */
    const char *if_range;        /* ETag, or NULL or "" */
    struct gap range;            /* {0, CACHE_SIZE_UNKNOWN}: no Range header */
    enum address_rule rule;
    struct trust_more trust; /* all zero: the default authorities */
    bool anew;               /* the host's name is looked up, whatever curl remembers of it */
    int64_t head_wait_ms;    /* connect to end of head */
    int64_t heard_wait_ms;   /* the same once it is connected, if that is longer */
    /* A peer: no proxy, none of the registries' counters, its own time to connect. */
    bool to_peer;
    int64_t connect_wait_ms; /* 0: as head_wait_ms */
    int64_t stall_ms;        /* without a byte of the body; 0: STALL_MS */
    bool limited;            /* the body counts for the wire's throttle */
    struct errand_line {
        const char *name, *value;
    } more[ERRAND_LINES_MAX]; /* further headers; NULL, NULL: none */
};

enum exchange_phase { EXCHANGE_IDLE, EXCHANGE_HEAD, EXCHANGE_BODY, EXCHANGE_DONE };

struct exchange;
struct exchange_ops {
    /* The head is complete. 0: give me the body; 1: read it away (it is small, the connection
     * stays usable); negative: end with that code. */
    int (*head)(struct exchange *x);
    /* Body bytes. 0, ERR_AGAIN: none taken, exchange_resume() will be called; 1: enough, end with
     * code 0; other negative: end with that code. */
    int (*body)(struct exchange *x, const char *bytes, size_t len);
};

struct exchange {
    /* set by the owner before the start */
    const struct exchange_ops *ops;
    void *owner;

    enum exchange_phase phase;
    int code;       /* DONE: 0 or why it ended */
    bool stalled;   /* DONE: left because no byte came for so long */
    struct err err; /* DONE: sentence without secrets */
    struct head head;
    char peer_ip[64]; /* "" before it is connected */
    bool proxied;     /* peer_ip is a proxy's */
    bool to_peer;
    int64_t started_us;
    int64_t answer_ms; /* from the request to its head; 0 if this node stood still meanwhile */

    /* private */
    struct wire *wire;
    CURL *easy;
    struct curl_slist *lines, *forgotten;
    X509_STORE *store; /* reference held, or NULL */
    char curl_text[CURL_ERROR_SIZE];
    int64_t stall_ms;
    int verdict; /* what an owner or the address rule said; wins over curl's code */
    bool draining, paused, enough;
    size_t drained;
    bool limited;
    size_t booked;              /* of the bytes that curl brings next */
    int64_t held_until_ms;      /* paused until the throttle lets them go; 0: not */
    uint64_t held_rate;         /* of the throttle when they were booked */
    unsigned refused, admitted; /* addresses */
    enum address_rule rule;
    int64_t sent_ms, head_deadline_ms, heard_deadline_ms, last_byte_ms;
};

/* 0, or ERR_REFUSED for a byte that must not go into a header. The exchange is IDLE or DONE. */
CHECKED int exchange_start(struct exchange *x, struct wire *w, const struct errand *what);
/* Checks deadlines; call it every turn while it runs. */
void exchange_step(struct exchange *x, int64_t now_ms);
void exchange_resume(struct exchange *x); /* after ERR_AGAIN from body */
/* It is connected, and no head came yet. */
bool exchange_awaits_head(const struct exchange *x);
/* Such a one may take until then for its head, in the place of errand.heard_wait_ms. */
void exchange_await_until(struct exchange *x, int64_t until_ms);
/* Bytes came, and the wire's throttle keeps them back. */
bool exchange_is_held(const struct exchange *x);
/* Ends it at once, without a callback; afterwards IDLE. Also for one that never started. */
void exchange_stop(struct exchange *x);

#endif
