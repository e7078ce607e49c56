/* What was undone and not taken waits in `room`; `taken` bytes of those that curl will bring again
 * are not needed any more. */
#include "proxy/upstream/unpack.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/zstd.h"

#define STEP_BYTES (16u * 1024) /* as curl gives them */

struct unpack {
    struct zstd_reader *reader;
    uint64_t packed_bytes, plain_bytes;
    size_t taken;
    size_t at, len; /* in room */
    char room[STEP_BYTES];
};

struct unpack *
unpack_new(uint64_t packed_max)
{
    struct unpack *u = mem_zalloc(sizeof *u);
    u->reader = zstd_reader_new(packed_max);
    return u;
}

void
unpack_free(struct unpack *u)
{
    if (u == NULL)
        return;
    if (u->plain_bytes > u->packed_bytes)
        metric_add(M_saved_received, u->plain_bytes - u->packed_bytes);
    zstd_reader_free(u->reader);
    mem_free(u);
}

static int
give_room(struct unpack *u, unpack_give give, void *arg)
{
    if (u->at == u->len)
        return 0;
    int code = give(arg, u->room + u->at, u->len - u->at);
    if (code != ERR_AGAIN) {
        u->plain_bytes += u->len - u->at;
        u->at = u->len;
    }
    return code;
}

/* Undoes a little. False when these bytes have no more to give. */
static bool
fill_room(struct unpack *u, const char *bytes, size_t len, int *ret_code)
{
    struct zstd_step step = {
        .from = bytes + u->taken, .from_len = len - u->taken, .to = u->room, .to_cap = STEP_BYTES};
    *ret_code = zstd_read(u->reader, &step);
    u->at = 0;
    u->len = step.put;
    u->taken += step.taken;
    u->packed_bytes += step.taken;
    return *ret_code == 0 && (u->len > 0 || (step.taken > 0 && u->taken < len));
}

int
unpack_body(struct unpack *u, const char *bytes, size_t len, unpack_give give, void *arg,
            size_t *ret_news)
{
    int code = 0;
    uint64_t before = u->packed_bytes;
    bool more = true;
    must(u->taken <= len);
    while (more && (code = give_room(u, give, arg)) == 0)
        more = fill_room(u, bytes, len, &code);
    *ret_news = (size_t)(u->packed_bytes - before);
    if (code == 0 && u->taken < len)
        code = ERR_SYNTAX; /* it takes nothing and gives nothing: bytes behind the frame */
    if (code != ERR_AGAIN)
        u->taken = 0;
    return code;
}
