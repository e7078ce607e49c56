/* Asks another node for a run of a piece.
 *
 * status                     meaning
 * 206, the range as asked    GO, with one checksum for each block; packed when it says so
 * 503 with PIECE_BUSY        WAIT
 * 404 403 416                GONE for this piece
 * anything else              BROKEN */
#include "proxy/upstream/peer.h"
#include "base/hash.h"
#include "base/metric.h"
#include "base/text.h"
#include <arpa/inet.h>

struct peer_key {
    struct node_id id;
    struct node_addr addr;
    enum blob_source body_source;
};

struct peer {
    struct source source; /* first member */
    struct peer_key key;
    struct p2p *p2p;
    struct url url;           /* of the request at work */
    char auth[SEAL_TEXT_MAX]; /* the same */
    struct peers *all;
    UT_hash_handle hh;
};

struct peers {
    struct peer *map;
};

static struct peer *
of(struct source *s)
{
    return (struct peer *)(void *)s;
}

/* ---- one request ---- */

void
peer_name(const struct node_addr *addr, char ret[SOURCE_NAME_MAX])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char host[INET6_ADDRSTRLEN];
    bool v4 = memcmp(addr->ip, mapped, sizeof mapped) == 0;
    must(inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? addr->ip + 12 : addr->ip, host, sizeof host));
    must(text_printf(ret, SOURCE_NAME_MAX, v4 ? "%s:%u" : "[%s]:%u", host, addr->port) == 0);
}

static struct gap
asked_range(const struct want *w)
{
    return (struct gap){w->gap.start, w->gap.end == CACHE_SIZE_UNKNOWN ? w->size : w->gap.end};
}

static int
sign(struct peer *p, const struct want *w, const struct gap *range)
{
    char what[SEAL_SIGNED_MAX];
    int code = text_printf(what, sizeof what, "GET %s bytes=%llu-%llu", w->path,
                           (unsigned long long)range->start, (unsigned long long)range->end - 1);
    return code != 0 ? code : p2p_sign(p->p2p, what, p->auth);
}

/* Of another site: bytes are dearer than a processor there. */
static bool
far(const struct source *s)
{
    return s->body_source == BLOB_FROM_REMOTE_PEER;
}

static int
prepare(struct source *s, struct want *w, int64_t now_ms, struct errand *ret, struct err *e)
{
    struct peer *p = of(s);
    char text[SOURCE_NAME_MAX + sizeof w->path];
    struct gap range = asked_range(w);
    (void)now_ms;
    url_release(&p->url);
    int code = text_printf(text, sizeof text, "http://%s%s", s->name, w->path);
    if (code == 0)
        code = url_parse(text, &p->url);
    if (code == 0)
        code = sign(p, w, &range);
    if (code != 0)
        return err_set(e, code, "request to peer %s: %s", s->name, err_text(code));
    *ret = (struct errand){.url = &p->url,
                           .range = range,
                           .rule = ADDRESS_RULE_ANY,
                           .to_peer = true,
                           .connect_wait_ms = PEER_CONNECT_MS,
                           .more = {{PIECE_AUTH, p->auth}, {PIECE_CLASS, w->class}}};
    size_t lines = 2;
    if (far(s))
        ret->more[lines++] = (struct errand_line){PIECE_ACCEPT, PIECE_ZSTD};
    if (w->vouched)
        ret->more[lines] = (struct errand_line){PIECE_CRC, PIECE_CRC_NONE};
    return 0;
}

static struct verdict
broken(const char *reason)
{
    return (struct verdict){.kind = VERDICT_BROKEN, .code = ERR_UPSTREAM, .reason = reason};
}

/* A packed one has no length of its own; what is longer than its range is refused as it comes. */
static bool
right_length(const struct head *h, uint64_t len)
{
    return h->content_length == len || (h->zstd && h->content_length == CACHE_SIZE_UNKNOWN);
}

static struct verdict
judge_partial(const struct head *h, const struct want *w, bool may_pack)
{
    struct gap asked = asked_range(w);
    uint64_t len = asked.end - asked.start;
    struct verdict v = {.kind = VERDICT_GO,
                        .size = h->range_size,
                        .packed_max = h->zstd ? piece_packed_max(len) : 0};
    if (!h->has_range || h->range.start != asked.start || h->range.end != asked.end ||
        h->range_size != w->size)
        return broken("another range than asked");
    if (!right_length(h, len) || h->encoded || (h->zstd && !may_pack))
        return broken("body that is not its range");
    if (!w->vouched && blocksum_parse(h->crcs, len, &v.sums) != 0)
        return broken("without a checksum for each block");
    return v;
}

static struct verdict
judge(struct source *s, struct want *w, const struct exchange *x, int64_t now_ms)
{
    const struct head *h = &x->head;
    (void)now_ms;
    if (h->status == 206)
        return judge_partial(h, w, far(s));
    if (h->status == 503 && h->busy_ms >= 0)
        return (struct verdict){.kind = VERDICT_WAIT,
                                .code = ERR_BUSY,
                                .busy_ms = (unsigned)h->busy_ms,
                                .reason = "busy"};
    if (h->status == 404 || h->status == 403 || h->status == 416)
        return (struct verdict){
            .kind = VERDICT_GONE, .code = ERR_NOT_FOUND, .reason = "does not give it"};
    return broken("unexpected status");
}

static void
ended(struct source *s, struct want *w, const struct exchange *x, int64_t now_ms)
{
    (void)s;
    (void)w;
    (void)x;
    (void)now_ms;
}

static void
forget(struct source *s, struct want *w)
{
    (void)s;
    (void)w;
}

static const struct source_ops ops = {prepare, judge, ended, forget};

/* ---- the table ---- */

struct peers *
peers_new(void)
{
    return mem_zalloc(sizeof(struct peers));
}

void
peers_free(struct peers *p)
{
    if (p == NULL)
        return;
    must(p->map == NULL);
    mem_free(p);
}

struct source *
peer_take(struct peers *all, struct p2p *p2p, const struct node_id *id,
          const struct node_addr *addr, enum blob_source body_source)
{
    struct peer_key key;
    struct peer *p = NULL;
    memset(&key, 0, sizeof key);
    key.id = *id;
    key.addr = *addr;
    key.body_source = body_source;
    HASH_FIND(hh, all->map, &key, sizeof key, p);
    if (p == NULL) {
        p = mem_zalloc(sizeof *p);
        p->key = key;
        p->p2p = p2p;
        p->all = all;
        p->source.ops = &ops;
        p->source.body_source = body_source;
        p->source.node = *id;
        p->source.head_wait_ms = PEER_HEAD_MS;
        peer_name(addr, p->source.name);
        HASH_ADD(hh, all->map, key, sizeof p->key, p);
    }
    p->source.refs++;
    return &p->source;
}

void
peer_drop(struct source **s)
{
    struct peer *p = *s == NULL ? NULL : of(*s);
    *s = NULL;
    if (p == NULL)
        return;
    must(p->source.refs > 0);
    if (--p->source.refs > 0)
        return;
    HASH_DEL(p->all->map, p);
    url_release(&p->url);
    mem_free(p);
}

void
peer_count(enum swarm_end how)
{
    switch (how) {
    case SWARM_DONE:
        metric_add(M_peer_gets_ok, 1);
        return;
    case SWARM_BUSY:
        metric_add(M_peer_gets_busy, 1);
        return;
    case SWARM_FAILED:
    case SWARM_DENIED:
    case SWARM_LIED:
        metric_add(M_peer_gets_failed, 1);
        return;
    }
    never("end of a request");
}
