/* What the fuzz targets share. A target is one file, fuzz_NAME.c, that defines
 * LLVMFuzzerTestOneInput: libFuzzer calls it, and replay.c with the files of corpus/NAME. A
 * broken property is a must(). */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/must.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input as text in a block of its own, so that the sanitizer sees a read behind its end.
 * NULL when it holds a 0 byte: then it is no text. */
static inline char *
fuzz_text(const uint8_t *data, size_t size)
{
    if (memchr(data, 0, size) != NULL)
        return NULL;
    char *text = mem_alloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* Takes the first bytes of the input as a number; 0 when it is too short. */
static inline uint64_t
fuzz_number(const uint8_t **data, size_t *size)
{
    uint64_t n = 0;
    if (*size < sizeof n)
        return 0;
    memcpy(&n, *data, sizeof n);
    *data += sizeof n;
    *size -= sizeof n;
    return n;
}

#endif
