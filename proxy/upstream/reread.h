/* A small file of the administrator that is read again when it changes. Owned by one thread. */
#ifndef PROXY_REREAD_H
#define PROXY_REREAD_H

#include "base/buf.h"
#include "base/err.h"
#include <sys/stat.h>

#define REREAD_MAX (1024 * 1024) /* a CA bundle or a credentials file is far smaller */

struct reread {
    char *path;
    struct buf text; /* what the file held; empty when it could not be read */
    struct stat seen;
    bool tried;
};

void reread_init(struct reread *r, const char *path);
void reread_release(struct reread *r);
/* Looks whether the file changed: sets *ret_changed. 0, or why it cannot be read: then text is
 * empty, and the next look tries again. */
CHECKED int reread_look(struct reread *r, bool *ret_changed, struct err *e);

#endif
