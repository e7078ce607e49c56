/* What another node asks for, read from the first lines of its request. Pure.
 *
 *   GET  /p2p/v1/blob/DIGEST       one range of at most PARCEL_BYTES_MAX, or all of a blob so small
 *   GET  /p2p/v1/manifest/DIGEST   all of a small stored blob
 *   POST /p2p/v1/control           a sealed message */
#ifndef PROXY_PARCEL_H
#define PROXY_PARCEL_H

#include "base/digest.h"
#include "p2p/p2p.h"

#define PARCEL_BYTES_MAX  ((uint64_t)PIECE_BYTES_MAX)
#define PARCEL_BODY_MAX   ((size_t)SEAL_HEAD + WIRE_CONTROL_MAX + SEAL_MAC)
#define PARCEL_TARGET_MAX 256

enum parcel_kind { PARCEL_BLOB, PARCEL_MANIFEST, PARCEL_CONTROL };

struct parcel {
    enum parcel_kind kind;
    struct digest digest; /* not of CONTROL */
    enum slots_class class;
    bool ranged;         /* BLOB: with a Range */
    uint64_t start, end; /* ranged: start < end */
};

/* range and class are NULL when the request has none. 0, or the HTTP status of its refusal: 404,
 * 405, 416. */
CHECKED unsigned parcel_parse(const char *method, const char *target, const char *range,
                              const char *class, struct parcel *ret);
/* Where it lies in a blob of `size` bytes: 0 or 416; 0 bytes are fine. */
CHECKED unsigned parcel_place(const struct parcel *p, uint64_t size, uint64_t *ret_start,
                              uint64_t *ret_end);

#endif
