/* Range headers against any length: a part lies inside the blob, and asking for exactly that
 * part gives it again. The first 8 bytes are the length, the next one says whether it is whole. */
#include "base/text.h"
#include "proxy/api/range.h"
#include "tests/fuzz/fuzz.h"

static void
check_again(const struct span *part, uint64_t size)
{
    char text[64];
    must(text_printf(text, sizeof text, "bytes=%llu-%llu", (unsigned long long)part->start,
                     (unsigned long long)(part->end - 1)) == 0);
    struct range r;
    struct span again;
    range_parse(text, &r);
    must(range_apply(&r, size, true, &again) == RANGE_PART);
    must(again.start == part->start && again.end == part->end);
}

static void
check(const struct range *r, uint64_t size, bool whole)
{
    struct span s;
    switch (range_apply(r, size, whole, &s)) {
    case RANGE_FULL:
        must(s.start == 0 && s.end == size);
        break;
    case RANGE_PART:
        must(s.start < s.end && s.end <= size);
        check_again(&s, size);
        break;
    case RANGE_BAD:
        must(r->kind != RANGE_NONE);
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t length = fuzz_number(&data, &size);
    bool whole = size > 0 && data[0] == 'w';
    if (size > 0) {
        data++;
        size--;
    }
    AUTO(mem_free_text) char *text = fuzz_text(data, size);
    struct range r;
    range_parse(text, &r); /* NULL is no header */
    must(text != NULL || r.kind == RANGE_NONE);
    check(&r, length, whole);
    return 0;
}
