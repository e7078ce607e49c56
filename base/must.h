/* Words that every file may use: assertions that stay in release builds, and
 * attributes. must() marks a programmer's mistake, never bad input: network,
 * disk, configuration, clock and peers are errors (base/err.h). */
#ifndef BASE_MUST_H
#define BASE_MUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECKED        __attribute__((warn_unused_result))
#define PRINTF(fmt, n) __attribute__((format(printf, fmt, n)))
#define AUTO(release)  __attribute__((cleanup(release)))

#define must(x)     ((x) ? (void)0 : must_fail(#x, __FILE__, __LINE__))
#define never(text) must_fail(text, __FILE__, __LINE__)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Prints place and text to stderr and aborts. Any thread. */
_Noreturn void must_fail(const char *what, const char *file, int line);

#endif
