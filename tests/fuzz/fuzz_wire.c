/* Messages between nodes: what a datagram's bytes read as is written again to the same records, and
 * a seal around them opens. */
#include "p2p/seal.h"
#include "p2p/wire.h"
#include "tests/fuzz/fuzz.h"

static void
check_seal(const uint8_t *data, size_t size)
{
    static const struct seal_key key = {{42}};
    struct seal_head h;
    must(seal_open(&key, data, size, 0, &h) < 0);
    uint8_t *msg = mem_alloc(SEAL_HEAD + size + SEAL_MAC);
    struct seal_head head = {.kind = SEAL_REQUEST, .len = (uint32_t)size};
    memcpy(msg + SEAL_HEAD, data, size);
    must(seal_open(&key, msg, seal_close(&key, &head, msg), 0, &h) == 0 && h.len == size);
    mem_free(msg);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > WIRE_CONTROL_MAX)
        return 0;
    check_seal(data, size);
    /* A record of three bytes at least may get fields that its writer did not know (LATER_x). */
    size_t room = 3 * size + 1;
    uint8_t *again = mem_alloc(room), *third = mem_alloc(room);
    struct cursor c;
    struct scribe s;
    struct wire_msg m;
    cursor_init(&c, data, size);
    scribe_init(&s, again, room);
    while (wire_next(&c, &m) == 1)
        wire_put(&s, &m);
    must(!s.bad);

    size_t len = scribe_len(&s);
    cursor_init(&c, again, len);
    scribe_init(&s, third, room);
    while (wire_next(&c, &m) == 1)
        wire_put(&s, &m);
    must(cursor_done(&c) && scribe_len(&s) == len && memcmp(again, third, len) == 0);
    mem_free(again);
    mem_free(third);
    return 0;
}
