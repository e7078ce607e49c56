/* Reads what another node asks for. */
#include "proxy/peer/parcel.h"
#include "base/text.h"
#include <microhttpd.h>

static const char control_path[] = "/p2p/v1/control";

static bool
is_blob_of(const char *target, const char *prefix, struct digest *ret)
{
    if (!text_starts(target, prefix))
        return false;
    const char *digest = target + strlen(prefix);
    return digest_parse(digest, strlen(digest), ret) == 0;
}

/* "bytes=a-b" and nothing else: other nodes are of our own kind. */
static unsigned
parse_range(const char *text, struct parcel *p)
{
    static const char unit[] = "bytes=";
    uint64_t first = 0, last = 0;
    const char *numbers = text_starts(text, unit) ? text + sizeof unit - 1 : "";
    size_t digits = strcspn(numbers, "-");
    if (numbers[digits] != '-' || text_u64(numbers, digits, &first) < 0 ||
        text_u64(numbers + digits + 1, strlen(numbers + digits + 1), &last) < 0 || last < first ||
        last - first >= PARCEL_BYTES_MAX || last == UINT64_MAX)
        return MHD_HTTP_RANGE_NOT_SATISFIABLE;
    p->ranged = true;
    p->start = first;
    p->end = last + 1;
    return 0;
}

static enum slots_class
parse_class(const char *text)
{
    if (text && strcmp(text, "cursor") == 0)
        return SLOTS_CURSOR;
    return text && strcmp(text, "background") == 0 ? SLOTS_BACKGROUND : SLOTS_FILL;
}

unsigned
parcel_parse(const char *method, const char *target, const char *range, const char *class,
             struct parcel *ret)
{
    struct parcel p = {.kind = PARCEL_CONTROL, .class = parse_class(class)};
    bool control = strcmp(target, control_path) == 0;
    if (is_blob_of(target, PIECE_PATH, &p.digest))
        p.kind = PARCEL_BLOB;
    else if (is_blob_of(target, PIECE_MANIFEST_PATH, &p.digest))
        p.kind = PARCEL_MANIFEST;
    else if (!control)
        return MHD_HTTP_NOT_FOUND;
    if (strcmp(method, control ? "POST" : "GET") != 0)
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    unsigned refused = range && p.kind == PARCEL_BLOB ? parse_range(range, &p) : 0;
    if (!refused)
        *ret = p;
    return refused;
}

unsigned
parcel_place(const struct parcel *p, uint64_t size, uint64_t *ret_start, uint64_t *ret_end)
{
    uint64_t start = p->ranged ? p->start : 0;
    uint64_t end = p->ranged ? p->end : size;
    if (end > size || end - start > PARCEL_BYTES_MAX)
        return MHD_HTTP_RANGE_NOT_SATISFIABLE;
    *ret_start = start;
    *ret_end = end;
    return 0;
}
