/* Packed bodies of other sites, in two cuts with a pause between them: no more comes out than is
 * taken, no more goes in than was said, and where the cut lies changes nothing. */
#include "base/err.h"
#include "proxy/upstream/unpack.h"
#include "tests/fuzz/fuzz.h"

#define MOST (1u << 20)

struct taker {
    size_t len, pause_at;
    uint32_t sum;
};

static int
give(void *arg, const char *bytes, size_t len)
{
    struct taker *t = arg;
    if (t->pause_at > 0 && t->len >= t->pause_at) {
        t->pause_at = 0;
        return ERR_AGAIN;
    }
    if (t->len + len > MOST)
        return 1;
    for (size_t i = 0; i < len; i++)
        t->sum = t->sum * 31 + (uint8_t)bytes[i];
    t->len += len;
    return 0;
}

static int
feed(const uint8_t *data, size_t size, size_t cut, struct taker *t)
{
    struct unpack *u = unpack_new(size);
    const char *bytes = (const char *)data;
    size_t news, all = 0;
    int code = unpack_body(u, bytes, cut, give, t, &news);
    all += news;
    if (code == ERR_AGAIN) {
        code = unpack_body(u, bytes, size, give, t, &news);
        all += news;
    } else if (code == 0) {
        code = unpack_body(u, bytes + cut, size - cut, give, t, &news);
        all += news;
    }
    must(all <= size);
    unpack_free(u);
    return code;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t n = fuzz_number(&data, &size);
    struct taker whole = {0}, cut = {.pause_at = (size_t)(n >> 32) % MOST};
    int code = feed(data, size, size, &whole);
    int other = feed(data, size, size > 0 ? (size_t)(n % size) : 0, &cut);
    must(code != ERR_AGAIN);
    if (code == 0 && other == 0)
        must(whole.len == cut.len && whole.sum == cut.sum);
    return 0;
}
