/* Encoding and decoding of what the cache writes to disk; layouts stand in the header. */
#include "cache/record.h"
#include "base/buf.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "cache/pieces.h"
#include <string.h>

#define FRAME_BYTES  8
#define MAP_MAGIC    0x314d5350u /* "PSM1" */
#define WORDS_MAGIC  0x31575350u /* "PSW1": the digit is their version */
#define MAP_HEAD_MAX (4 + 1 + 64 + 8 + 4)

static void
put_digest(struct scribe *s, const struct digest *d)
{
    scribe_u8(s, (uint8_t)d->alg);
    scribe_bytes(s, d->bytes, digest_len(d));
}

static void
get_digest(struct cursor *c, struct digest *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->alg = cursor_u8(c);
    if (ret->alg != DIGEST_SHA256 && ret->alg != DIGEST_SHA512) {
        c->bad = true;
        return;
    }
    size_t len = digest_len(ret);
    const uint8_t *bytes = cursor_bytes(c, len);
    if (bytes != NULL) {
        memcpy(ret->bytes, bytes, len);
    }
}

static void
put_payload(struct scribe *s, const struct record *r)
{
    scribe_u8(s, (uint8_t)r->kind);
    switch (r->kind) {
    case RECORD_TAG:
        scribe_text(s, r->key);
        put_digest(s, &r->tag.digest);
        scribe_u64(s, (uint64_t)r->tag.checked_wall_s);
        scribe_text(s, r->tag.media_type);
        scribe_u64(s, r->tag.size);
        break;
    case RECORD_TAG_DROP:
        scribe_text(s, r->key);
        break;
    case RECORD_LINK:
        scribe_text(s, r->key);
        scribe_u64(s, r->principal);
        put_digest(s, &r->digest);
        scribe_u64(s, r->link.size);
        scribe_u64(s, (uint64_t)r->link.seen_wall_s);
        scribe_text(s, r->link.media_type);
        break;
    case RECORD_FACT:
        put_digest(s, &r->digest);
        scribe_u64(s, r->fact.size);
        scribe_u64(s, (uint64_t)r->fact.stored_wall_s);
        scribe_u64(s, (uint64_t)r->fact.used_wall_s);
        for (int i = 0; i < BLOB_SOURCES; i++) {
            scribe_u64(s, r->fact.from_bytes[i]);
        }
        break;
    case RECORD_FORMAT:
        scribe_u32(s, r->version);
        break;
    case RECORD_WORTH:
        put_digest(s, &r->digest);
        scribe_u32(s, r->worth.requests);
        scribe_u32(s, r->worth.at_wall_s);
        scribe_u32(s, r->worth.asked_wall_s);
        scribe_u8(s, r->worth.pinned);
        break;
    case RECORD_CHECKED:
        put_digest(s, &r->digest);
        scribe_u64(s, r->checked.ino);
        scribe_u64(s, r->checked.size);
        scribe_u64(s, (uint64_t)r->checked.mtime_ns);
        scribe_u64(s, (uint64_t)r->checked.ctime_ns);
        break;
    case RECORD_OTHER:
        break;
    }
}

int
record_encode(const struct record *r, struct buf *ret)
{
    uint8_t payload[RECORD_MAX_BYTES - FRAME_BYTES];
    struct scribe s;
    scribe_init(&s, payload, sizeof payload);
    put_payload(&s, r);
    must(!s.bad);
    size_t len = scribe_len(&s);

    uint8_t whole[RECORD_MAX_BYTES];
    scribe_init(&s, whole, sizeof whole);
    scribe_u32(&s, (uint32_t)len);
    scribe_u32(&s, hash_crc32c(payload, len));
    scribe_bytes(&s, payload, len);
    must(!s.bad);
    return buf_add(ret, whole, scribe_len(&s));
}

static void
get_payload(struct cursor *c, struct record *r)
{
    uint8_t kind = cursor_u8(c);
    switch (kind) {
    case RECORD_TAG:
        cursor_text(c, r->key, sizeof r->key);
        get_digest(c, &r->tag.digest);
        r->tag.checked_wall_s = (int64_t)cursor_u64(c);
        cursor_text(c, r->tag.media_type, sizeof r->tag.media_type);
        r->tag.size = cursor_u64(c);
        break;
    case RECORD_TAG_DROP:
        cursor_text(c, r->key, sizeof r->key);
        break;
    case RECORD_LINK:
        cursor_text(c, r->key, CACHE_NAME_MAX);
        r->principal = cursor_u64(c);
        get_digest(c, &r->digest);
        r->link.size = cursor_u64(c);
        r->link.seen_wall_s = (int64_t)cursor_u64(c);
        cursor_text(c, r->link.media_type, sizeof r->link.media_type);
        break;
    case RECORD_FACT:
        get_digest(c, &r->digest);
        r->fact.size = cursor_u64(c);
        r->fact.stored_wall_s = (int64_t)cursor_u64(c);
        r->fact.used_wall_s = (int64_t)cursor_u64(c);
        for (int i = 0; i < BLOB_SOURCES; i++) {
            r->fact.from_bytes[i] = cursor_u64(c);
        }
        break;
    case RECORD_FORMAT:
        r->version = cursor_u32(c);
        break;
    case RECORD_WORTH:
        get_digest(c, &r->digest);
        r->worth.requests = cursor_u32(c);
        r->worth.at_wall_s = cursor_u32(c);
        r->worth.asked_wall_s = cursor_u32(c);
        r->worth.pinned = cursor_u8(c) != 0;
        break;
    case RECORD_CHECKED:
        get_digest(c, &r->digest);
        r->checked.ino = cursor_u64(c);
        r->checked.size = cursor_u64(c);
        r->checked.mtime_ns = (int64_t)cursor_u64(c);
        r->checked.ctime_ns = (int64_t)cursor_u64(c);
        break;
    default: /* a number from disk, not an enum: a later version wrote it */
        return;
    }
    r->kind = (enum record_kind)kind;
    c->bad = c->bad || !cursor_done(c);
}

int
record_decode(const void *bytes, size_t len, struct record *ret, size_t *ret_used)
{
    struct cursor c;
    cursor_init(&c, bytes, len);
    uint32_t payload_len = cursor_u32(&c);
    uint32_t crc = cursor_u32(&c);
    if (c.bad) {
        return ERR_AGAIN;
    }
    if (payload_len == 0 || payload_len > RECORD_MAX_BYTES - FRAME_BYTES) {
        return ERR_SYNTAX;
    }
    const uint8_t *payload = cursor_bytes(&c, payload_len);
    if (payload == NULL) {
        return ERR_AGAIN;
    }
    if (hash_crc32c(payload, payload_len) != crc) {
        return ERR_SYNTAX;
    }

    struct record r = {.kind = RECORD_OTHER};
    cursor_init(&c, payload, payload_len);
    get_payload(&c, &r);
    if (c.bad) {
        return ERR_SYNTAX;
    }
    *ret = r;
    *ret_used = FRAME_BYTES + payload_len;
    return 0;
}

int
record_map_encode(const struct digest *d, const struct pieces *p, struct buf *ret)
{
    size_t cap = MAP_HEAD_MAX + p->count * sizeof(uint32_t) + 4;
    uint8_t *room = mem_alloc(cap);
    struct scribe s;
    scribe_init(&s, room, cap);
    scribe_u32(&s, MAP_MAGIC);
    put_digest(&s, d);
    scribe_u64(&s, p->size);
    scribe_u32(&s, p->count);
    for (uint32_t i = 0; i < p->count; i++) {
        scribe_u32(&s, p->filled[i]);
    }
    scribe_u32(&s, hash_crc32c(room, scribe_len(&s)));
    must(!s.bad);
    int rc = buf_add(ret, room, scribe_len(&s));
    mem_free(room);
    return rc;
}

/* `len` is the true length of the file, so it bounds what is allocated for the pieces. */
static int
read_map(struct cursor *c, const struct digest *d, struct pieces **ret)
{
    struct digest got;
    uint32_t magic = cursor_u32(c);
    get_digest(c, &got);
    uint64_t size = cursor_u64(c);
    uint32_t count = cursor_u32(c);
    if (c->bad || magic != MAP_MAGIC || !digest_equal(&got, d) ||
        (size_t)(c->end - c->at) != (uint64_t)count * 4) {
        return ERR_SYNTAX;
    }
    uint32_t piece_bytes = pieces_piece_bytes(size);
    if (size / piece_bytes + (size % piece_bytes != 0) != count) {
        return ERR_SYNTAX;
    }

    struct pieces *p = pieces_new(size);
    uint32_t *filled = mem_alloc(((size_t)count + 1) * sizeof *filled);
    for (uint32_t i = 0; i < count; i++) {
        filled[i] = cursor_u32(c);
    }
    int rc = pieces_restore(p, filled, count);
    mem_free(filled);
    if (rc < 0) {
        pieces_free(p);
        return rc;
    }
    *ret = p;
    return 0;
}

/* The checksum at the end; *ret stands on what is before it. */
static int
open_summed(const void *bytes, size_t len, struct cursor *ret)
{
    if (len < 4) {
        return ERR_SYNTAX;
    }
    cursor_init(ret, (const uint8_t *)bytes + len - 4, 4);
    if (cursor_u32(ret) != hash_crc32c(bytes, len - 4)) {
        return ERR_SYNTAX;
    }
    cursor_init(ret, bytes, len - 4);
    return 0;
}

int
record_map_decode(const void *bytes, size_t len, const struct digest *d, struct pieces **ret)
{
    struct cursor c;
    int rc = open_summed(bytes, len, &c);
    return rc < 0 ? rc : read_map(&c, d, ret);
}

/* ---- words ---- */

size_t
record_words_bytes(uint32_t count)
{
    return MAP_HEAD_MAX + (size_t)count * CACHE_WORD_BYTES + 4;
}

int
record_words_encode(const struct digest *d, uint64_t size, const uint8_t *words, uint32_t count,
                    struct buf *ret)
{
    size_t cap = record_words_bytes(count);
    uint8_t *room = mem_alloc(cap);
    struct scribe s;
    scribe_init(&s, room, cap);
    scribe_u32(&s, WORDS_MAGIC);
    put_digest(&s, d);
    scribe_u64(&s, size);
    scribe_u32(&s, count);
    scribe_bytes(&s, words, (size_t)count * CACHE_WORD_BYTES);
    scribe_u32(&s, hash_crc32c(room, scribe_len(&s)));
    must(!s.bad);
    int rc = buf_add(ret, room, scribe_len(&s));
    mem_free(room);
    return rc;
}

int
record_words_decode(const void *bytes, size_t len, const struct digest *d, uint64_t size,
                    uint32_t count, const uint8_t **ret_words)
{
    struct cursor c;
    struct digest got;
    int rc = open_summed(bytes, len, &c);
    if (rc < 0) {
        return rc;
    }
    bool known = cursor_u32(&c) == WORDS_MAGIC;
    get_digest(&c, &got);
    bool same = cursor_u64(&c) == size && cursor_u32(&c) == count;
    const uint8_t *words = cursor_bytes(&c, (size_t)count * CACHE_WORD_BYTES);
    if (c.bad || !known || !same || !digest_equal(&got, d) || c.at != c.end) {
        return ERR_SYNTAX;
    }
    *ret_words = words;
    return 0;
}
