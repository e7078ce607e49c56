/* What the unit tests of this floor include: cmocka with the headers that it wants before itself,
 * and short ways to name nodes and blobs. */
#ifndef TESTS_UNIT_P2P_UNIT_H
#define TESTS_UNIT_P2P_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/err.h"
#include "p2p/node.h"

static inline struct node_id
unit_node(uint8_t n)
{
    struct node_id id = {{n}};
    return id;
}

static inline struct digest
unit_blob(uint8_t n)
{
    struct digest d;
    digest_of(DIGEST_SHA256, &n, 1, &d);
    return d;
}

#endif
