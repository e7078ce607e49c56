/* Change is seen by inode, size and mtime, so that a rename over the file counts as well. */
#include "proxy/upstream/reread.h"
#include "base/fs.h"
#include "base/mem.h"
#include <fcntl.h>

void
reread_init(struct reread *r, const char *path)
{
    *r = (struct reread){.path = mem_strdup(path)};
    buf_init(&r->text, REREAD_MAX);
}

void
reread_release(struct reread *r)
{
    mem_free_text(&r->path);
    buf_release(&r->text);
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int
reread_look(struct reread *r, bool *ret_changed, struct err *e)
{
    struct stat now;
    if (stat(r->path, &now) != 0) {
        r->tried = false;
        buf_clear(&r->text);
        return err_errno(e, "%s", r->path);
    }
    *ret_changed = !r->tried || !same_file(&now, &r->seen);
    if (!*ret_changed)
        return 0;
    buf_clear(&r->text);
    r->tried = false;
    int code = fs_read_file(AT_FDCWD, r->path, &r->text);
    if (code != 0)
        return err_set(e, code, "%s: %s", r->path, err_text(code));
    r->seen = now;
    r->tried = true;
    return 0;
}
