/* The id of this node: random, drawn at the first start and kept for life in DIR/node.id. */
#ifndef P2P_IDENTITY_H
#define P2P_IDENTITY_H

#include "base/err.h"
#include "p2p/node.h"

#define IDENTITY_TEXT_MAX  33
#define IDENTITY_SHORT_MAX 17

/* A file that holds no id is replaced: the node is a new one then, for as long as it runs if the
 * disk cannot keep it. 0 or -errno with e set. */
CHECKED int identity_open(const char *dir, struct node_id *ret, struct err *e);
/* How often the node has started, this time included, kept in DIR/node.starts: so others know which
 * of its starts is the later one, whatever its clock says. 0: it could not be kept, or is too much.
 */
uint32_t identity_count_start(const char *dir);
void identity_print(const struct node_id *id, char ret_text[IDENTITY_TEXT_MAX]);
/* Its first half, for lists and labels. */
void identity_print_short(const struct node_id *id, char ret_text[IDENTITY_SHORT_MAX]);

#endif
