/*
 * The fetch thread and its door. Other threads only post messages, wait for an inquiry, or
 * read the two tables that have a lock (health, list).
 *
 * One turn: take messages; let curl move; step asks, then blobs that clients wait for, then
 * background blobs; sleep until curl, a message or the nearest deadline.
 */
#include "proxy/upstream/fetch.h"
#include "base/clock.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "base/thread.h"
#include "proxy/upstream/fill.h"
#include "proxy/upstream/history.h"
#include "proxy/upstream/inquiry.h"
#include "proxy/upstream/mend.h"
#include "proxy/upstream/peer.h"
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define MAIL_MAX     4096 /* more waiting requests than connections may exist */
#define LISTED_MAX   256  /* transfers that /api/v1/transfers can show */
#define LIST_MS      250  /* how old the list may be */
#define SLEEP_MS_MAX 1000
/* Bodies of which a turn brings so little are let gather for so long: a turn for every few packets
 * costs more than what they bring, and nobody waits for them. */
#define GATHER_BYTES (128u * 1024)
#define GATHER_MS    4

enum note_kind { NOTE_BLOB, NOTE_HURRY, NOTE_GET, NOTE_STOP, NOTE_BAN };

/* On its way to the thread. */
struct note {
    struct mail mail; /* first member */
    enum note_kind kind;
    struct origin origin;   /* BLOB, HURRY; a copy may have none */
    struct blob *blob;      /* BLOB, HURRY */
    uint64_t size;          /* BLOB */
    enum fill_for for_whom; /* BLOB */
    struct digest digest;   /* GET, STOP */
    struct swarm_get get;   /* GET; STOP: id, and first: where it ends; BAN: node */
};

struct fill_node {
    struct fill *fill;
    struct fill_node *next;
};

struct inquiry_node {
    struct inquiry *inquiry;
    struct inquiry_node *next;
};

struct fetch {
    struct mailbox asks, notes;
    struct thread thread;
    atomic_bool stopping;
    atomic_bool woken; /* a blob asked to be looked at */
    _Atomic(struct p2p *) p2p;
    _Atomic(uint64_t) wan_rate;
    struct health health;
    struct history history;

    /* fetch thread only */
    struct wire wire;
    struct fill_world world;
    struct inquiry_node *inquiries;
    struct fill_node *fills; /* newest first */
    int64_t listed_ms;

    struct lock list_lock;
    struct transfer_info *list; /* list_lock */
    size_t list_count;          /* list_lock */
};

/* ---- origin, answer ---- */

void
origin_copy(struct origin *ret, const struct origin *from)
{
    *ret = *from;
    ret->settings = settings_ref(from->settings);
    ret->authorization = from->authorization != NULL ? mem_strdup(from->authorization) : NULL;
}

void
origin_release(struct origin *o)
{
    settings_release(&o->settings);
    mem_free_text(&o->authorization);
    o->registry = NULL;
}

bool
origin_find(struct settings *settings, const char *key, struct origin *ret)
{
    const char *slash = strchr(key, '/');
    if (slash == NULL || text_copy(ret->repository, sizeof ret->repository, slash + 1) < 0 ||
        text_printf(ret->host, sizeof ret->host, "%.*s", (int)(slash - key), key) < 0)
        return false;
    ret->registry = settings_registry(settings, ret->host);
    if (ret->registry == NULL)
        return false;
    ret->settings = settings_ref(settings);
    return true;
}

void
answer_release(struct answer *a)
{
    buf_release(&a->body);
}

/* ---- messages in ---- */

static void
free_note(struct note *n)
{
    blob_release(&n->blob);
    origin_release(&n->origin);
    mem_free(n);
}

static void
start_fill(struct fetch *f, const struct note *o, int64_t now_ms)
{
    struct fill_node *n = mem_zalloc(sizeof *n);
    n->fill = fill_new(&f->world, o->origin.registry != NULL ? &o->origin : NULL, o->blob, o->size,
                       o->for_whom, now_ms);
    n->next = f->fills;
    f->fills = n;
    f->listed_ms = 0;
}

static void
hurry_fill(struct fetch *f, const struct note *n, int64_t now_ms)
{
    for (struct fill_node *at = f->fills; at != NULL; at = at->next)
        if (fill_blob(at->fill) == n->blob)
            fill_hurry(at->fill, &n->origin, now_ms);
}

static struct fill *
find_fill(const struct fetch *f, const struct digest *d)
{
    for (struct fill_node *at = f->fills; at != NULL; at = at->next)
        if (fill_is_ordered(at->fill) && digest_equal(blob_digest(fill_blob(at->fill)), d))
            return at->fill;
    return NULL;
}

/* The swarm may speak of a blob that is over here; it must hear of the end of its request. */
static void
take_get(struct fetch *f, const struct note *n)
{
    struct fill *fill = find_fill(f, &n->digest);
    if (fill != NULL)
        fill_get(fill, &n->get);
    else
        p2p_end(f->world.p2p, &n->digest, n->get.id, SWARM_BUSY, 0, 0);
}

static void
take_stop(struct fetch *f, const struct note *n)
{
    struct fill *fill = find_fill(f, &n->digest);
    if (fill != NULL)
        fill_cut(fill, n->get.id, n->get.first);
}

static void
take_note(struct fetch *f, const struct note *n, int64_t now_ms)
{
    switch (n->kind) {
    case NOTE_BLOB:
        start_fill(f, n, now_ms);
        return;
    case NOTE_HURRY:
        hurry_fill(f, n, now_ms);
        return;
    case NOTE_GET:
        take_get(f, n);
        return;
    case NOTE_STOP:
        take_stop(f, n);
        return;
    case NOTE_BAN:
        mend_ban(&f->world, &n->get.node, now_ms);
        return;
    }
    never("kind of a note");
}

static void
take_notes(struct fetch *f, int64_t now_ms)
{
    struct mail *next = NULL;
    for (struct mail *m = mailbox_take_all(&f->notes); m != NULL; m = next) {
        next = m->next;
        struct note *n = (struct note *)(void *)m;
        take_note(f, n, now_ms);
        free_note(n);
    }
}

static void
take_asks(struct fetch *f)
{
    struct mail *next = NULL;
    for (struct mail *m = mailbox_take_all(&f->asks); m != NULL; m = next) {
        next = m->next;
        struct inquiry_node *n = mem_zalloc(sizeof *n);
        n->inquiry = inquiry_of(m);
        n->next = f->inquiries;
        f->inquiries = n;
    }
}

/* ---- steps ---- */

static void
step_asks(struct fetch *f, int64_t now_ms)
{
    for (struct inquiry_node **at = &f->inquiries; *at != NULL;) {
        struct inquiry_node *n = *at;
        if (!inquiry_step(n->inquiry, &f->wire, f->world.upstreams, &f->world.rng, now_ms)) {
            at = &n->next;
            continue;
        }
        *at = n->next;
        inquiry_unref(&n->inquiry);
        mem_free(n);
    }
}

static void
step_fills(struct fetch *f, int64_t now_ms, bool woken, bool background)
{
    for (struct fill_node **at = &f->fills; *at != NULL;) {
        struct fill_node *n = *at;
        if (fill_is_background(n->fill) != background || !fill_step(n->fill, now_ms, woken)) {
            at = &n->next;
            continue;
        }
        *at = n->next;
        struct fetched_info done;
        fill_told(n->fill, now_ms, &done);
        history_add(&f->history, &done);
        fill_free(n->fill, 0);
        mem_free(n);
        f->listed_ms = 0;
    }
}

static size_t
collect(struct fetch *f, struct transfer_info *ret, size_t max, int64_t now_ms)
{
    size_t n = 0;
    for (struct fill_node *at = f->fills; at != NULL && n < max; at = at->next)
        fill_info(at->fill, now_ms, &ret[n++]);
    return n;
}

static void
publish_list(struct fetch *f, int64_t now_ms)
{
    if (f->listed_ms != 0 && (f->fills == NULL || now_ms - f->listed_ms < LIST_MS))
        return;
    size_t count = 0;
    for (struct fill_node *at = f->fills; at != NULL; at = at->next)
        count++;
    metric_set(M_transfers, count);
    f->listed_ms = now_ms;
    if (count > LISTED_MAX)
        count = LISTED_MAX;
    struct transfer_info *fresh = count > 0 ? mem_alloc(count * sizeof *fresh) : NULL;
    count = collect(f, fresh, count, now_ms);
    lock_take(&f->list_lock);
    struct transfer_info *old = f->list;
    f->list = fresh;
    f->list_count = count;
    lock_drop(&f->list_lock);
    mem_free(old);
}

/* Messages end it. */
static void
let_gather(struct fetch *f, int64_t wait_ms)
{
    struct pollfd fds[] = {{.fd = mailbox_fd(&f->asks), .events = POLLIN},
                           {.fd = mailbox_fd(&f->notes), .events = POLLIN}};
    bool trickles = f->wire.came_bytes > 0 && f->wire.came_bytes < GATHER_BYTES;
    if (trickles && wait_ms > 0)
        (void)poll(fds, ARRAY_LEN(fds), (int)(wait_ms < GATHER_MS ? wait_ms : GATHER_MS));
}

static void
sleep_until_news(struct fetch *f, int64_t now_ms)
{
    struct curl_waitfd fds[2] = {
        {.fd = mailbox_fd(&f->asks), .events = CURL_WAIT_POLLIN},
        {.fd = mailbox_fd(&f->notes), .events = CURL_WAIT_POLLIN},
    };
    int64_t wait_ms = f->wire.wake_ms - now_ms;
    if (wait_ms > SLEEP_MS_MAX)
        wait_ms = SLEEP_MS_MAX;
    if (wait_ms < 0)
        wait_ms = 0;
    let_gather(f, wait_ms);
    (void)curl_multi_poll(f->wire.multi, fds, ARRAY_LEN(fds), (int)wait_ms, NULL);
}

static void
turn(struct fetch *f)
{
    int64_t now_ms = clock_ms();
    uint64_t wan_rate = atomic_load(&f->wan_rate);
    f->world.p2p = atomic_load(&f->p2p);
    if (wan_rate != f->wire.throttle.rate)
        throttle_set(&f->wire.throttle, wan_rate, clock_us());
    take_asks(f);
    take_notes(f, now_ms);
    wire_perform(&f->wire);
    now_ms = clock_ms();
    f->wire.wake_ms = INT64_MAX;
    bool woken = atomic_exchange(&f->woken, false);
    upstreams_step(f->world.upstreams, now_ms);
    step_asks(f, now_ms);
    step_fills(f, now_ms, woken, false);
    step_fills(f, now_ms, woken, true);
    publish_list(f, now_ms);
    sleep_until_news(f, now_ms);
}

static void
end_all(struct fetch *f)
{
    take_asks(f);
    take_notes(f, clock_ms());
    while (f->inquiries != NULL) {
        struct inquiry_node *n = f->inquiries;
        f->inquiries = n->next;
        inquiry_fail(n->inquiry, ERR_CLOSED);
        inquiry_unref(&n->inquiry);
        mem_free(n);
    }
    while (f->fills != NULL) {
        struct fill_node *n = f->fills;
        f->fills = n->next;
        fill_free(n->fill, ERR_CLOSED);
        mem_free(n);
    }
}

static void
run_thread(void *arg)
{
    struct fetch *f = arg;
    trust_look(&f->wire.trust); /* parsing takes a while: not when a client waits */
    while (!atomic_load(&f->stopping))
        turn(f);
    end_all(f);
}

/* ---- open, close ---- */

static void
wake_thread(void *arg)
{
    struct fetch *f = arg;
    atomic_store(&f->woken, true);
    mailbox_wake(&f->notes);
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void
init_curl(void)
{
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

void
fetch_stop(struct fetch *f)
{
    mailbox_close(&f->asks);
    mailbox_close(&f->notes);
    atomic_store(&f->stopping, true);
    mailbox_wake(&f->notes);
    thread_join(&f->thread);
    end_all(f); /* for one whose thread never started */
}

void
fetch_close(struct fetch *f)
{
    if (f == NULL)
        return;
    fetch_stop(f);
    must(f->world.buffer_bytes == 0);
    upstreams_free(f->world.upstreams);
    peers_free(f->world.peers);
    if (f->wire.multi != NULL)
        wire_close(&f->wire);
    health_release(&f->health);
    history_release(&f->history);
    mailbox_release(&f->asks);
    mailbox_release(&f->notes);
    lock_release(&f->list_lock);
    mem_free(f->list);
    mem_free(f);
}

void
fetch_join(struct fetch *f, struct p2p *p)
{
    atomic_store(&f->p2p, p);
}

void
fetch_set_wan_rate(struct fetch *f, uint64_t bytes_s)
{
    atomic_store(&f->wan_rate, bytes_s);
    mailbox_wake(&f->notes);
}

static int
open_mailboxes(struct fetch *f)
{
    int code = mailbox_init(&f->asks, MAIL_MAX);
    if (code != 0)
        return code;
    code = mailbox_init(&f->notes, MAIL_MAX);
    if (code != 0)
        mailbox_release(&f->asks);
    return code;
}

int
fetch_open(struct fetch **ret, struct err *e)
{
    (void)pthread_once(&curl_once, init_curl);
    struct fetch *f = mem_zalloc(sizeof *f);
    int code = open_mailboxes(f);
    if (code != 0) {
        mem_free(f);
        return err_set(e, code, "fetch mailbox: %s", err_text(code));
    }
    uint64_t seed = 0;
    rng_secret(&seed, sizeof seed);
    rng_init(&f->world.rng, seed);
    health_init(&f->health);
    history_init(&f->history);
    lock_init(&f->list_lock, LOCK_LEAF);
    f->world.wire = &f->wire;
    f->world.wake = wake_thread;
    f->world.wake_arg = f;
    f->world.peers = peers_new();
    code = wire_open(&f->wire, e);
    if (code == 0) {
        f->world.upstreams = upstreams_new(&f->wire, &f->health, &f->world.rng);
        code = thread_start(&f->thread, "fetch", run_thread, f);
        if (code != 0)
            (void)err_set(e, code, "fetch thread: %s", err_text(code));
    }
    if (code != 0) {
        fetch_close(f);
        return code;
    }
    *ret = f;
    return 0;
}

/* ---- the door ---- */

int
fetch_ask(struct fetch *f, const struct origin *o, const struct ask *a, struct answer *ret,
          struct err *e)
{
    struct inquiry *q = NULL;
    int code = inquiry_new(o, a, &q, e);
    if (code != 0)
        return code;
    code = mailbox_post(&f->asks, inquiry_mail(q));
    if (code == 0) {
        code = inquiry_wait(q, a->stop, ret, e);
    } else {
        (void)err_set(e, code, "fetch queue: %s", err_text(code));
        struct inquiry *unposted = q;
        inquiry_unref(&unposted); /* the reference that the thread would have had */
    }
    inquiry_unref(&q);
    return code;
}

static void
post_blob(struct fetch *f, const struct origin *o, struct blob *b, uint64_t size,
          enum fill_for for_whom)
{
    struct note *n = mem_zalloc(sizeof *n);
    n->kind = NOTE_BLOB;
    if (o != NULL)
        origin_copy(&n->origin, o);
    n->blob = blob_ref(b);
    n->size = size;
    n->for_whom = for_whom;
    int code = mailbox_post(&f->notes, &n->mail);
    if (code == 0)
        return;
    blob_fail(b, code);
    free_note(n);
}

void
fetch_blob(struct fetch *f, const struct origin *o, struct blob *b, uint64_t size, bool background)
{
    post_blob(f, o, b, size, background ? FILL_BACKGROUND : FILL_CLIENT);
}

void
fetch_part(struct fetch *f, const struct origin *o, struct blob *b, uint64_t size)
{
    post_blob(f, o, b, size, FILL_PART);
}

void
fetch_copy(struct fetch *f, const struct origin *o, struct blob *b, uint64_t size)
{
    post_blob(f, o, b, size, FILL_COPY);
}

void
fetch_hurry(struct fetch *f, const struct origin *o, struct blob *b)
{
    struct note *n = mem_zalloc(sizeof *n);
    n->kind = NOTE_HURRY;
    origin_copy(&n->origin, o);
    n->blob = blob_ref(b);
    if (mailbox_post(&f->notes, &n->mail) != 0)
        free_note(n);
}

/* A full mailbox: the swarm must not wait for a request that never was. */
void
fetch_order_get(struct fetch *f, const struct digest *blob, const struct swarm_get *get)
{
    struct note *n = mem_zalloc(sizeof *n);
    n->kind = NOTE_GET;
    n->digest = *blob;
    n->get = *get;
    if (mailbox_post(&f->notes, &n->mail) == 0)
        return;
    free_note(n);
    struct p2p *p2p = atomic_load(&f->p2p);
    if (p2p != NULL)
        p2p_end(p2p, blob, get->id, SWARM_BUSY, 0, 0);
}

void
fetch_order_stop(struct fetch *f, const struct digest *blob, uint32_t get, uint32_t end)
{
    struct note *n = mem_zalloc(sizeof *n);
    n->kind = NOTE_STOP;
    n->digest = *blob;
    n->get.id = get;
    n->get.first = end;
    if (mailbox_post(&f->notes, &n->mail) != 0)
        free_note(n);
}

void
fetch_order_ban(struct fetch *f, const struct node_id *node)
{
    struct note *n = mem_zalloc(sizeof *n);
    n->kind = NOTE_BAN;
    n->get.node = *node;
    if (mailbox_post(&f->notes, &n->mail) != 0)
        free_note(n);
}

size_t
fetch_list(struct fetch *f, struct transfer_info *ret, size_t max)
{
    lock_take(&f->list_lock);
    size_t n = f->list_count < max ? f->list_count : max;
    if (n > 0)
        memcpy(ret, f->list, n * sizeof *ret);
    lock_drop(&f->list_lock);
    return n;
}

size_t
fetch_finished(struct fetch *f, struct fetched_info *ret, size_t max)
{
    return history_list(&f->history, ret, max);
}

const char *
fetch_wait_name(enum fetch_wait wait)
{
    static const char *const names[FETCH_WAITS] = {[FETCH_WAIT_TURN] = "turn",
                                                   [FETCH_WAIT_UPSTREAM] = "upstream",
                                                   [FETCH_WAIT_PEERS] = "peers",
                                                   [FETCH_WAIT_BOTH] = "upstream_and_peers",
                                                   [FETCH_WAIT_CHECK] = "check"};
    return names[wait];
}

bool
fetch_is_down(struct fetch *f, const char *host)
{
    return health_is_down(&f->health, host, clock_ms());
}

bool
fetch_sends_ranges(struct fetch *f, const char *host)
{
    return health_sends_ranges(&f->health, host, clock_ms());
}

int64_t
fetch_late_ms(struct fetch *f, const char *host)
{
    return health_late_ms(&f->health, host, clock_ms());
}

bool
fetch_is_failing(struct fetch *f, const char *host)
{
    return health_is_failing(&f->health, host, clock_ms());
}
