/* Which host's name is looked up again, and how often. */
#include "proxy/upstream/moved.h"
#include "base/text.h"
#include <string.h>

void
moved_note(struct moved *m, const char *host, bool answered)
{
    bool known = strcmp(m->host, host) == 0;
    if (answered && known)
        *m = (struct moved){0};
    if (answered || known)
        return;
    m->looked_ms = 0;
    (void)!text_copy(m->host, sizeof m->host, host);
}

bool
moved_look(struct moved *m, const char *host, int64_t now_ms)
{
    if (strcmp(m->host, host) != 0)
        return false;
    if (m->looked_ms != 0 && now_ms - m->looked_ms < MOVED_LOOK_MS)
        return false;
    m->looked_ms = now_ms;
    return true;
}
