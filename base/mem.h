/* Heap memory. Aborts when memory is out; a size that comes from input is
 * checked against its limit before it gets here. Any thread. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/must.h"

CHECKED void *mem_alloc(size_t bytes);  /* uninitialised, never NULL */
CHECKED void *mem_zalloc(size_t bytes); /* zeroed, never NULL */
CHECKED void *mem_realloc(void *p, size_t bytes);
CHECKED char *mem_strdup(const char *s);                /* s must not be NULL */
CHECKED char *mem_strndup(const char *s, size_t bytes); /* always terminated */
PRINTF(1, 2) CHECKED char *mem_printf(const char *fmt, ...);
void mem_free(void *p);       /* NULL is fine */
void mem_free_text(char **p); /* for AUTO(mem_free_text) char *p; sets NULL */

#endif
