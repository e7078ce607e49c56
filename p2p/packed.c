/* Packs and unpacks control bodies. */
#include "p2p/packed.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/zstd.h"

#define READS_BYTES  4 /* type, length 2, formats */
#define PACKED_BYTES 7 /* type, length 2, size 4 */
#define READS_ZSTD   1

static void
add_record(struct buf *ret, const struct wire_msg *m)
{
    uint8_t room[16];
    struct scribe s;
    scribe_init(&s, room, sizeof room);
    wire_put(&s, m);
    must(!s.bad);
    int rc = buf_add(ret, room, (size_t)(s.at - room));
    must(rc == 0);
}

/* True when the frame was added: it is shorter. Its record is as long as the frame and its size. */
static bool
add_packed(const uint8_t *body, size_t len, struct buf *ret)
{
    size_t start = ret->len;
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_PACKED;
    m.packed.size = (uint32_t)len;
    add_record(ret, &m);
    if (zstd_pack(body, len, ret) < 0 || ret->len - start >= len ||
        ret->len - start - 3 > UINT16_MAX) {
        buf_cut(ret, start);
        return false;
    }
    struct scribe back;
    scribe_init(&back, (uint8_t *)ret->data + start + 1, sizeof(uint16_t));
    scribe_u16(&back, (uint16_t)(ret->len - start - 3));
    return true;
}

void
packed_close(const uint8_t *body, size_t len, bool reads, struct buf *ret)
{
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_READS;
    m.reads.formats = READS_ZSTD;
    if (len + READS_BYTES <= WIRE_CONTROL_MAX)
        add_record(ret, &m);
    if (reads && len > PACKED_MIN && add_packed(body, len, ret))
        return;
    int rc = buf_add(ret, body, len);
    must(rc == 0);
}

/* The first record when it is of that type: its fields, and *at behind it. */
static bool
take_record(struct cursor *c, enum wire_type type, struct cursor *ret)
{
    if (c->at == c->end || *c->at != type)
        return false;
    (void)cursor_u8(c);
    size_t len = cursor_u16(c);
    const uint8_t *fields = cursor_bytes(c, len);
    if (fields == NULL)
        return false;
    cursor_init(ret, fields, len);
    return true;
}

int
packed_open(const uint8_t *msg, size_t len, struct buf *room, const uint8_t **ret_body,
            size_t *ret_len, bool *ret_reads)
{
    struct cursor c, fields;
    cursor_init(&c, msg, len);
    *ret_reads = take_record(&c, WIRE_READS, &fields) && (cursor_u8(&fields) & READS_ZSTD) != 0;
    if (!c.bad && take_record(&c, WIRE_PACKED, &fields)) {
        uint32_t size = cursor_u32(&fields);
        buf_clear(room);
        if (fields.bad || size > WIRE_CONTROL_MAX ||
            zstd_unpack(fields.at, (size_t)(fields.end - fields.at), size, room) < 0)
            return ERR_SYNTAX;
        *ret_body = (const uint8_t *)buf_text(room);
        *ret_len = room->len;
        return 0;
    }
    *ret_body = c.at;
    *ret_len = (size_t)(c.end - c.at);
    return c.bad ? ERR_SYNTAX : 0;
}
