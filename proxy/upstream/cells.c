/* Which middles lie in a run of bytes. */
#include "proxy/upstream/cells.h"
#include <string.h>

void
cells_init(struct cells *c, uint64_t size)
{
    c->size = size;
    memset(c->of, '.', CELLS);
    c->of[CELLS] = 0;
}

/* The middle of cell i; sizes stay far below 2^64 / (2 * CELLS). */
static uint64_t
middle(const struct cells *c, unsigned i)
{
    return (2 * i + 1) * c->size / (2 * CELLS);
}

void
cells_mark(struct cells *c, uint64_t start, uint64_t end, char from)
{
    if (c->size == 0 || start >= c->size)
        return;
    uint64_t at = start * CELLS / c->size;
    for (unsigned i = (unsigned)at; i < CELLS && middle(c, i) < end; i++)
        if (middle(c, i) >= start)
            c->of[i] = from;
}
