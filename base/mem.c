/* malloc that cannot fail: a daemon without memory is restarted, not limped along. */
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* malloc(0) may be NULL; one byte keeps "never NULL" true. */
static size_t
at_least_one(size_t bytes)
{
    return bytes != 0 ? bytes : 1;
}

static void *
checked(void *p)
{
    if (p == NULL)
        never("out of memory");
    return p;
}

void *
mem_alloc(size_t bytes)
{
    return checked(malloc(at_least_one(bytes)));
}

void *
mem_zalloc(size_t bytes)
{
    return checked(calloc(1, at_least_one(bytes)));
}

void *
mem_realloc(void *p, size_t bytes)
{
    return checked(realloc(p, at_least_one(bytes)));
}

char *
mem_strdup(const char *s)
{
    must(s != NULL);
    return mem_strndup(s, strlen(s));
}

char *
mem_strndup(const char *s, size_t bytes)
{
    size_t len = strnlen(s, bytes);
    char *copy = mem_alloc(len + 1);

    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *
mem_printf(const char *fmt, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    return checked(len >= 0 ? text : NULL);
}

void
mem_free(void *p)
{
    free(p);
}

void
mem_free_text(char **p)
{
    free(*p);
    *p = NULL;
}
