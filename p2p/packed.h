/* Control bodies of more than 4 KiB as one zstd frame, for nodes that read such. Pure.
 *
 *   READS                    in front of the records, by whoever reads packed bodies
 *   READS PACKED frame       the same, with all records in the frame
 *
 * Both are records (wire.def), so that a node which does not know them skips them. They stand
 * inside the seal: nobody without the key makes us undo anything. */
#ifndef P2P_PACKED_H
#define P2P_PACKED_H

#include "p2p/wire.h"

struct buf;

#define PACKED_MIN 4096 /* a body that is not longer is left as it is */

/* Adds to ret what goes over the wire for a body of at most WIRE_CONTROL_MAX bytes; `reads`: the
 * other node does. Never longer than WIRE_CONTROL_MAX. */
void packed_close(const uint8_t *body, size_t len, bool reads, struct buf *ret);
/* The records of what came, in place or in room, and whether its sender reads packed bodies. 0 or
 * ERR_SYNTAX. */
CHECKED int packed_open(const uint8_t *msg, size_t len, struct buf *room, const uint8_t **ret_body,
                        size_t *ret_len, bool *ret_reads);

#endif
