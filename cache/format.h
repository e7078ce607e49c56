/* The version of the folder, in DIR/FORMAT: a program refuses one that is later than what it knows.
 */
#ifndef CACHE_FORMAT_H
#define CACHE_FORMAT_H

#include "cache/store.h"

#define FORMAT_PLAIN  1 /* a folder without a number, too */
#define FORMAT_PACKED 2 /* there may be packed blobs (frames.h) */

/* ERR_VERSION: a later version was here; then nothing was changed. A new folder gets the number of
 * the oldest program that knows all that is in it. */
CHECKED int format_check(const struct store *s, struct err *e);
/* What may be there from now on; durable when it returns 0. */
CHECKED int format_set(const struct store *s, unsigned version);

#endif
