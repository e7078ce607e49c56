/* The end of a process that found a mistake of its own. */
#include "base/must.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void
must_fail(const char *what, const char *file, int line)
{
    (void)dprintf(STDERR_FILENO, "peersync: must be true: %s (%s:%d)\n", what, file, line);
    abort();
}
