/* Control bodies as they come out of a seal: what is undone is bounded, and packs to the same. */
#include "base/err.h"
#include "p2p/packed.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_release) struct buf room;
    AUTO(buf_release) struct buf again;
    AUTO(buf_release) struct buf back;
    const uint8_t *body, *body2;
    size_t len, len2;
    bool reads;
    buf_init(&room, WIRE_CONTROL_MAX);
    buf_init(&again, WIRE_CONTROL_MAX);
    buf_init(&back, WIRE_CONTROL_MAX);
    if (packed_open(data, size, &room, &body, &len, &reads) < 0 || len > WIRE_CONTROL_MAX)
        return 0;
    must(body == (const uint8_t *)buf_text(&room) || len <= size);
    packed_close(body, len, true, &again);
    must(again.len <= WIRE_CONTROL_MAX);
    if (len + 4 > WIRE_CONTROL_MAX ||
        (len > 0 && (body[0] == WIRE_READS || body[0] == WIRE_PACKED)))
        return 0; /* nobody writes such records, and they would be taken for ours */
    must(packed_open((const uint8_t *)buf_text(&again), again.len, &back, &body2, &len2, &reads) ==
         0);
    must(reads && len2 == len && memcmp(body, body2, len) == 0);
    return 0;
}
