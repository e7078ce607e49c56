/* For clang-tidy only (-include): the macros of uthash and utlist as plain calls. Their expansions
 * count as nesting of the function that uses them, and send the analyzer down paths of uthash's own.
 * A call that it cannot see may find something or nothing, and keeps what it was given. */
#ifndef TESTS_TIDY_TIDY_H
#define TESTS_TIDY_TIDY_H

#include "base/hash.h"

void *tidy_find(const void *head, const void *key, size_t len);
void *tidy_keep(const void *head, const void *item, const void *key, size_t len);

#undef HASH_FIND
#undef HASH_FIND_STR
#undef HASH_FIND_INT
#undef HASH_ADD
#undef HASH_ADD_INT
#undef HASH_ADD_KEYPTR
#undef HASH_DEL
#undef HASH_DELETE
#undef HASH_CLEAR
#define HASH_FIND(hh, head, key, len, out) ((out) = tidy_find(head, key, len))
#define HASH_FIND_STR(head, key, out)      ((out) = tidy_find(head, key, 1))
#define HASH_FIND_INT(head, key, out)      ((out) = tidy_find(head, key, sizeof(int)))
#define HASH_ADD(hh, head, field, len, add) \
    ((head) = tidy_keep(head, add, &(add)->field, len))
#define HASH_ADD_INT(head, field, add) \
    ((head) = tidy_keep(head, add, &(add)->field, sizeof(int)))
#define HASH_ADD_KEYPTR(hh, head, key, len, add) ((head) = tidy_keep(head, add, key, len))
#define HASH_DEL(head, del)        ((head) = tidy_keep(head, del, NULL, 0))
#define HASH_DELETE(hh, head, del) ((head) = tidy_keep(head, del, NULL, 0))
#define HASH_CLEAR(hh, head)       ((head) = NULL)

#undef LL_APPEND
#undef LL_DELETE
#undef DL_APPEND
#undef DL_DELETE
#define LL_APPEND(head, add) ((head) = tidy_keep(head, add, NULL, 0))
#define LL_DELETE(head, del) ((head) = tidy_keep(head, del, NULL, 0))
#define DL_APPEND(head, add) ((head) = tidy_keep(head, add, NULL, 0))
#define DL_DELETE(head, del) ((head) = tidy_keep(head, del, NULL, 0))

#endif
