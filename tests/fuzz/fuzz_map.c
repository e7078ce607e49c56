/* Piece maps of partial blobs: what decodes holds no more than there is and encodes to the same
 * bytes. The checksum at the end is put right for the fuzzer unless the first byte says not to. */
#include "base/cursor.h"
#include "base/hash.h"
#include "cache/pieces.h"
#include "cache/record.h"
#include "tests/fuzz/fuzz.h"

#define SUM_BYTES 4

static void
free_pieces(struct pieces **p)
{
    pieces_free(*p);
}

static void
check_held(const struct pieces *p)
{
    uint64_t held = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        must(p->filled[i] <= pieces_piece_len(p, i));
        held += p->filled[i];
    }
    must(held == p->have_bytes && held <= p->size);
    must(pieces_whole(p) == (held == p->size));
    must(pieces_run_end(p, 0) <= p->size);
}

/* Claims walk over every gap once and end. */
static void
check_claims(struct pieces *p)
{
    uint64_t wanted = p->size - p->have_bytes;
    struct gap g;
    while (pieces_claim(p, 0, UINT64_MAX, &g)) {
        must(g.start < g.end && g.end <= p->size && g.end - g.start <= wanted);
        wanted -= g.end - g.start;
        pieces_fill(p, g.start, g.end - g.start);
    }
    must(wanted == 0 && pieces_whole(p));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + SUM_BYTES)
        return 0;
    struct digest d;
    memset(&d, 0, sizeof d);
    d.alg = DIGEST_SHA256;
    size_t len = size - 1;
    AUTO(buf_release) struct buf bytes;
    AUTO(buf_release) struct buf again;
    buf_init(&bytes, len);
    buf_init(&again, len);
    must(buf_add(&bytes, data + 1, len) == 0);
    if (data[0] != 'h') {
        struct scribe s;
        scribe_init(&s, bytes.data + len - SUM_BYTES, SUM_BYTES);
        scribe_u32(&s, hash_crc32c(bytes.data, len - SUM_BYTES));
    }
    AUTO(free_pieces) struct pieces *p = NULL;
    if (record_map_decode(bytes.data, len, &d, &p) != 0)
        return 0;
    check_held(p);
    must(record_map_encode(&d, p, &again) == 0);
    must(again.len == len && memcmp(again.data, bytes.data, len) == 0);
    check_claims(p);
    return 0;
}
