/* Heads of upstream answers, line by line: texts stay inside their bounds and clean, a range is
 * never empty or beyond its size. */
#include "proxy/upstream/head.h"
#include "proxy/upstream/url.h"
#include "tests/fuzz/fuzz.h"

static void
check(const struct head *h)
{
    const char *const texts[] = {h->etag,    h->content_type, h->docker_digest, h->link,
                                 h->filters, h->challenge,    h->location};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        must(url_is_clean(texts[i]));
    must(!h->has_range || h->bad || (h->range.start < h->range.end));
    must(!h->has_range || h->bad || h->range.end <= h->range_size);
    must(h->retry_after_ms >= -1);
    must(h->etag[0] == '\0' || h->etag[0] == '"');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct head h;
    head_clear(&h);
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end == NULL ? size : (size_t)(end - data) + 1;
        /* A block of its own, as wide as the line. */
        char *line = mem_alloc(len);
        memcpy(line, data, len);
        head_line(&h, line, len, 1700000000);
        mem_free(line);
        check(&h);
        data += len;
        size -= len;
    }
    return 0;
}
