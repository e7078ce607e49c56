/* Names below the cache folder, for the files of the store. */
#ifndef CACHE_STORE_INSIDE_H
#define CACHE_STORE_INSIDE_H

#include "cache/store.h"

/* "sha512-" and 128 digits, ".", 20 digits, ".map.tmp" */
#define STORE_NAME_MAX 192
#define STORE_WORDS    ".words"
#define STORE_PACKED   ".zst"

CHECKED int store_open_sub(const struct store *s, const char *below, bool create, int *ret_fd);
/* In partial/. */
void store_name_partial(const struct digest *d, uint64_t gen, const char *suffix,
                        char ret[STORE_NAME_MAX]);

#endif
