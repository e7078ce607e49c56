/* Writers and readers of the records that wire.def declares. */
#include "p2p/wire.h"
#include "base/err.h"

static void
put_node(struct scribe *s, const struct node_id *id)
{
    scribe_bytes(s, id->bytes, sizeof id->bytes);
}

static void
put_addr(struct scribe *s, const struct node_addr *a)
{
    scribe_bytes(s, a->ip, sizeof a->ip);
    scribe_u16(s, a->port);
}

static void
put_digest(struct scribe *s, const struct digest *d)
{
    scribe_u8(s, (uint8_t)d->alg);
    scribe_bytes(s, d->bytes, digest_len(d));
}

static void
put_bits(struct scribe *s, const struct wire_bits *b)
{
    must(b->len <= WIRE_BITS_MAX);
    scribe_u16(s, b->len);
    scribe_bytes(s, b->bytes, b->len);
}

static void
get_bytes(struct cursor *c, void *ret, size_t len)
{
    const uint8_t *bytes = cursor_bytes(c, len);
    if (bytes != NULL)
        memcpy(ret, bytes, len);
}

static void
get_node(struct cursor *c, struct node_id *ret)
{
    get_bytes(c, ret->bytes, sizeof ret->bytes);
}

static void
get_addr(struct cursor *c, struct node_addr *ret)
{
    get_bytes(c, ret->ip, sizeof ret->ip);
    ret->port = cursor_u16(c);
}

static void
get_digest(struct cursor *c, struct digest *ret)
{
    ret->alg = cursor_u8(c);
    if (ret->alg > DIGEST_SHA512)
        c->bad = true;
    else
        get_bytes(c, ret->bytes, digest_len(ret));
}

static void
get_bits(struct cursor *c, struct wire_bits *ret)
{
    ret->len = cursor_u16(c);
    if (ret->len > WIRE_BITS_MAX)
        c->bad = true;
    ret->bytes = cursor_bytes(c, ret->len);
}

/* One writer and one reader for each record. */
#define RECORD(name, NAME, number)                                        \
    static void put_##name(struct scribe *s, const struct wire_##name *m) \
    {
#define END(name)  }
#define U8(f)      scribe_u8(s, m->f);
#define U16(f)     scribe_u16(s, m->f);
#define U32(f)     scribe_u32(s, m->f);
#define U64(f)     scribe_u64(s, m->f);
#define NODE(f)    put_node(s, &m->f);
#define ADDR(f)    put_addr(s, &m->f);
#define DIGEST(f)  put_digest(s, &m->f);
#define BITS(f)    put_bits(s, &m->f);
#define LATER_U16  U16
#define LATER_BITS BITS
#include "p2p/wire.def"

#define RECORD(name, NAME, number)                                    \
    static void get_##name(struct cursor *c, struct wire_##name *ret) \
    {
#define END(name) }
#define U8(f)     ret->f = cursor_u8(c);
#define U16(f)    ret->f = cursor_u16(c);
#define U32(f)    ret->f = cursor_u32(c);
#define U64(f)    ret->f = cursor_u64(c);
#define NODE(f)   get_node(c, &ret->f);
#define ADDR(f)   get_addr(c, &ret->f);
#define DIGEST(f) get_digest(c, &ret->f);
#define BITS(f)   get_bits(c, &ret->f);
#define LATER_U16(f)     \
    if (c->at != c->end) \
    U16(f)
#define LATER_BITS(f)    \
    if (c->at != c->end) \
    BITS(f)
#include "p2p/wire.def"

static void
put_fields(struct scribe *s, const struct wire_msg *m)
{
    switch (m->type) {
#define RECORD(name, NAME, number) \
    case WIRE_##NAME:              \
        put_##name(s, &m->name);   \
        break;
#define END(name)
#include "p2p/wire.def"
    }
}

/* False when the type is of a later version. */
static bool
get_fields(struct cursor *c, unsigned type, struct wire_msg *ret)
{
    switch (type) {
#define RECORD(name, NAME, number) \
    case WIRE_##NAME:              \
        ret->type = WIRE_##NAME;   \
        get_##name(c, &ret->name); \
        return true;
#define END(name)
#include "p2p/wire.def"
    default:
        return false;
    }
}

void
wire_put(struct scribe *s, const struct wire_msg *m)
{
    scribe_u8(s, (uint8_t)m->type);
    uint8_t *len_at = s->at;
    scribe_u16(s, 0);
    put_fields(s, m);
    if (s->bad)
        return;
    size_t len = (size_t)(s->at - len_at) - sizeof(uint16_t);
    must(len <= UINT16_MAX);
    struct scribe back;
    scribe_init(&back, len_at, sizeof(uint16_t));
    scribe_u16(&back, (uint16_t)len);
}

int
wire_next(struct cursor *c, struct wire_msg *ret)
{
    while (!c->bad && c->at != c->end) {
        unsigned type = cursor_u8(c);
        size_t len = cursor_u16(c);
        const uint8_t *fields = cursor_bytes(c, len);
        if (fields == NULL)
            return ERR_SYNTAX;
        struct cursor inside;
        cursor_init(&inside, fields, len);
        struct wire_msg m;
        memset(&m, 0, sizeof m);
        if (!get_fields(&inside, type, &m))
            continue;
        if (inside.bad)
            return ERR_SYNTAX;
        *ret = m;
        return 1;
    }
    return c->bad ? ERR_SYNTAX : 0;
}

bool
wire_hint(const struct wire_have *h, uint32_t i, bool *ret_held)
{
    *ret_held = i < h->count || wire_bit(&h->held, i);
    return i < h->count || i / 8 < h->held.len;
}

const char *
wire_trim_text(uint8_t why)
{
    static const char *const texts[WIRE_TRIM_WHYS] = {
        [WIRE_SPLIT] = "split",     [WIRE_SLOW] = "slow", [WIRE_SILENT] = "silent",
        [WIRE_EXPIRED] = "expired", [WIRE_HELD] = "held", [WIRE_DOUBLE] = "double",
        [WIRE_DOUBTED] = "doubted"};
    return why < WIRE_TRIM_WHYS ? texts[why] : "unknown";
}

bool
wire_bit(const struct wire_bits *b, uint32_t i)
{
    return i / 8 < b->len && (b->bytes[i / 8] >> (i % 8) & 1) != 0;
}
