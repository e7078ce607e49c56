/* Journal records: what decodes encodes to a record that decodes to the same. The checksum is
 * put right for the fuzzer unless the first byte says not to, so that it gets past it. */
#include "base/cursor.h"
#include "base/err.h"
#include "base/hash.h"
#include "cache/record.h"
#include "tests/fuzz/fuzz.h"

#define FRAME_BYTES 8 /* length and checksum */

static void
check_texts(const struct record *r)
{
    must(memchr(r->key, '\0', sizeof r->key) != NULL);
    must(memchr(r->tag.media_type, '\0', sizeof r->tag.media_type) != NULL);
    must(memchr(r->link.media_type, '\0', sizeof r->link.media_type) != NULL);
}

static void
check_again(const struct record *r)
{
    AUTO(buf_release) struct buf first;
    AUTO(buf_release) struct buf second;
    buf_init(&first, RECORD_MAX_BYTES);
    buf_init(&second, RECORD_MAX_BYTES);
    must(record_encode(r, &first) == 0);
    struct record again;
    size_t used = 0;
    must(record_decode(first.data, first.len, &again, &used) == 0 && used == first.len);
    must(again.kind == r->kind && strcmp(again.key, r->key) == 0);
    must(record_encode(&again, &second) == 0);
    must(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    /* A torn record is told from a damaged one. */
    must(record_decode(first.data, first.len - 1, &again, &used) == ERR_AGAIN);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    bool honest = data[0] == 'h';
    size_t len = size - 1;
    uint8_t *bytes = mem_alloc(len + (len == 0));
    memcpy(bytes, data + 1, len);
    if (!honest && len > FRAME_BYTES) {
        struct scribe s;
        scribe_init(&s, bytes, FRAME_BYTES);
        scribe_u32(&s, (uint32_t)(len - FRAME_BYTES));
        scribe_u32(&s, hash_crc32c(bytes + FRAME_BYTES, len - FRAME_BYTES));
    }
    struct record r;
    size_t used = 0;
    if (record_decode(bytes, len, &r, &used) == 0) {
        must(used > FRAME_BYTES && used <= len);
        check_texts(&r);
        if (r.kind != RECORD_OTHER)
            check_again(&r);
    }
    mem_free(bytes);
    return 0;
}
