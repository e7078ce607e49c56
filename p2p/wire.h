/* Messages between nodes: a run of records (wire.def), each
 *
 *   type 1 | length 2 | fields, little endian
 *
 * A datagram and a control body are such runs inside a seal (seal.h). Pure. */
#ifndef P2P_WIRE_H
#define P2P_WIRE_H

#include "base/cursor.h"
#include "base/digest.h"
#include "p2p/node.h"

#define WIRE_DATAGRAM_MAX 1200 /* fits the smallest MTU of IPv6 with all headers */
#define WIRE_CONTROL_MAX  65536
#define WIRE_PIECES_MAX   16384 /* 64 GiB in pieces of 4 MiB */
#define WIRE_BITS_MAX     (WIRE_PIECES_MAX / 8)
#define WIRE_AGE_NEVER    UINT16_MAX

enum wire_beacon_flag {
    WIRE_RESIGNS = 1,
    WIRE_LEAVES = 2,
    WIRE_LONE = 4,      /* of a tracker: it heard nobody follow it yet */
    WIRE_SERVED = 8,    /* the tracker answered the sender lately */
    WIRE_UNSERVED = 16, /* it answers none of the sender's requests */
    WIRE_VOTED = 32     /* of a tracker: it took over just now from one that answered nobody */
};
enum wire_blob_flag {
    WIRE_WANTS = 1,     /* some of it is missing and wanted */
    WIRE_MAY_FETCH = 2, /* the sender may read it upstream */
    WIRE_CLIENT = 4,    /* a client waits for it */
    WIRE_SERVES = 8,    /* its pieces may be asked for */
    WIRE_FOR_COPY = 16  /* WIRE_WANTS only because the site should have one copy more */
};
/* Has a client asked for it, or will one? Copies and moves within the site are no requests. */
static inline bool
wire_is_request(uint8_t flags)
{
    return (flags & WIRE_FOR_COPY) == 0 && (flags & (WIRE_MAY_FETCH | WIRE_CLIENT)) != 0;
}
enum wire_fetch_state {
    WIRE_RUNS,
    WIRE_DONE,
    WIRE_FAILED,
    WIRE_LEFT, /* nobody wants it any more */
    WIRE_BUSY  /* the source has no place now */
};
enum wire_copy_state {
    WIRE_COPY_REFUSED, /* no room for it, or nothing that may give way */
    WIRE_COPY_BUSY,    /* with something else, for a while */
    WIRE_COPY_RUNS,
    WIRE_COPY_HELD
};
enum wire_source { WIRE_UPSTREAM, WIRE_REMOTE_SITE };
enum wire_copy {
    WIRE_HOLDS,  /* and keeps it for KEEPER_PROMISE_MS */
    WIRE_INTENDS /* and asked the receiver whether it may let it go, or decides for itself */
};
enum wire_trim_why {
    WIRE_SPLIT,
    WIRE_SLOW,
    WIRE_SILENT,
    WIRE_EXPIRED,
    WIRE_HELD,
    WIRE_DOUBLE,
    WIRE_DOUBTED,
    WIRE_TRIM_WHYS
};

/* Lives as long as the bytes that it was read from. */
struct wire_bits {
    const uint8_t *bytes;
    uint16_t len;
};

#define RECORD(name, NAME, number) struct wire_##name {
#define END(name) \
    }             \
    ;
#define U8(f)      uint8_t f;
#define U16(f)     uint16_t f;
#define U32(f)     uint32_t f;
#define U64(f)     uint64_t f;
#define NODE(f)    struct node_id f;
#define ADDR(f)    struct node_addr f;
#define DIGEST(f)  struct digest f;
#define BITS(f)    struct wire_bits f;
#define LATER_U16  U16
#define LATER_BITS BITS
#include "p2p/wire.def"

/* No record without BITS takes more: a struct is no smaller than its bytes. */
#define WIRE_ROOM(name) (3 + sizeof(struct wire_##name))

enum wire_type {
#define RECORD(name, NAME, number) WIRE_##NAME = number,
#define END(name)
#include "p2p/wire.def"
};

struct wire_msg {
    enum wire_type type;
    union {
#define RECORD(name, NAME, number) struct wire_##name name;
#define END(name)
#include "p2p/wire.def"
    };
};

/* Appends one record; s->bad when it does not fit. */
void wire_put(struct scribe *s, const struct wire_msg *m);
/* The next record of a kind that this version knows: 1; 0 at the end; or ERR_SYNTAX. */
CHECKED int wire_next(struct cursor *c, struct wire_msg *ret);

const char *wire_trim_text(uint8_t why);              /* for people */
bool wire_bit(const struct wire_bits *b, uint32_t i); /* false behind the end */
/* The i-th piece of which the hint could tell, from 0 on: false when there are no more; *ret_held:
 * does it tell of that one? */
bool wire_hint(const struct wire_have *h, uint32_t i, bool *ret_held);

#endif
