/* A blob as a row of CELLS equal parts, for people who watch it fill: each part says where the byte
 * in its middle came from. Pure. */
#ifndef PROXY_CELLS_H
#define PROXY_CELLS_H

#include "base/must.h"

#define CELLS 96

/* '.' not here, 'd' was here before (disk), 'p' peer, 'r' peer of a remote site, 'u' upstream. */
struct cells {
    uint64_t size; /* of the blob; 0: not known, all is '.' */
    char of[CELLS + 1];
};

void cells_init(struct cells *c, uint64_t size);
void cells_mark(struct cells *c, uint64_t start, uint64_t end, char from);

#endif
