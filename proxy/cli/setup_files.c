/*
 * The files of a plan: atomic writes, backups, undo.
 *
 * FILE.peersync-backup holds what was there before we came; an empty one says that there
 * was nothing. It is made once and stays until --undo, so that it never holds our own lines.
 */
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/cli/setup.h"
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE   0644 /* runtimes and rootless tools read it; there are no secrets in it */
#define FOLDER_MODE 0755
#define CACHE_MODE  0750

int
setup_files_read(const char *path, char **ret, struct err *e)
{
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        *ret = NULL;
        return 0;
    }
    uint64_t size = 0;
    int bad = fd < 0 ? -errno : fs_size(fd, &size);
    if (!bad && size > SETUP_BYTES_MAX)
        return err_set(e, ERR_LIMIT, "%s: larger than %u bytes", path, SETUP_BYTES_MAX);
    char *text = mem_zalloc((size_t)size + 1);
    bad = bad ? bad : fs_read_at(fd, 0, text, (size_t)size);
    if (!bad && strlen(text) != size)
        bad = ERR_SYNTAX;
    if (bad) {
        mem_free(text);
        return err_set(e, bad, "%s: %s", path, err_text(bad));
    }
    *ret = text;
    return 0;
}

static int
make_folders(const char *path, struct err *e)
{
    AUTO(mem_free_text) char *part = mem_strdup(path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(part, FOLDER_MODE) != 0 && errno != EEXIST)
            return err_errno(e, "%s", part);
        *slash = '/';
    }
    return 0;
}

int
setup_files_folder(const char *path, const char *user, struct err *e)
{
    AUTO(mem_free_text) char *inside = mem_printf("%s/", path);
    const struct passwd *pw = getpwnam(user);
    if (!pw)
        return err_set(e, ERR_NOT_FOUND, "there is no user %s on this machine", user);
    int bad = make_folders(inside, e);
    if (bad)
        return bad;
    struct stat st;
    if (stat(path, &st) != 0)
        return err_errno(e, "%s", path);
    if (chmod(path, CACHE_MODE) != 0)
        return err_errno(e, "%s", path);
    if (st.st_uid != pw->pw_uid && chown(path, pw->pw_uid, pw->pw_gid) != 0)
        return err_errno(e, "%s", path);
    return 0;
}

static int
write_fd(int fd, const char *text, mode_t mode)
{
    int bad = fs_write_at(fd, 0, text, strlen(text));
    if (!bad && fchmod(fd, mode) != 0)
        bad = -errno;
    return bad ? bad : fs_sync(fd);
}

/* Whole or not at all. A link is followed, so that it stays one. */
static int
write_file(const char *path, const char *text, struct err *e)
{
    char *real = realpath(path, NULL);
    AUTO(mem_free_text) char *to = mem_strdup(real ? real : path);
    free(real);
    AUTO(mem_free_text) char *draft = mem_printf("%s.peersync-new", to);
    struct stat st;
    mode_t mode = stat(to, &st) == 0 ? st.st_mode & 07777 : FILE_MODE;
    int bad = make_folders(to, e);
    if (bad)
        return bad;
    AUTO(fd_close)
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bad = fd < 0 ? -errno : write_fd(fd, text, mode);
    if (!bad && rename(draft, to) != 0)
        bad = -errno;
    if (!bad)
        return 0;
    (void)unlink(draft);
    return err_set(e, bad, "%s: %s", path, err_text(bad));
}

static char *
backup_path(const char *path)
{
    return mem_printf("%s%s", path, SETUP_BACKUP);
}

static int
back_up(const struct setup_edit *edit, struct err *e)
{
    AUTO(mem_free_text) char *backup = backup_path(edit->path);
    if (access(backup, F_OK) == 0)
        return 0;
    return write_file(backup, edit->before ? edit->before : "", e);
}

static int
remove_file(const char *path, struct err *e)
{
    return unlink(path) == 0 || errno == ENOENT ? 0 : err_errno(e, "%s", path);
}

int
setup_files_apply(const struct setup_plan *p, struct err *e)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct setup_edit *edit = &p->edits[i];
        int bad = back_up(edit, e);
        bad = bad           ? bad
              : edit->after ? write_file(edit->path, edit->after, e)
                            : remove_file(edit->path, e);
        if (bad)
            return bad;
    }
    return 0;
}

/* ---- undo ---- */

/* JSON that says the same, or the same bytes. */
static bool
is_same(const char *a, const char *b)
{
    AUTO(json_free) cJSON *x = NULL;
    AUTO(json_free) cJSON *y = NULL;
    if (strcmp(a, b) == 0)
        return true;
    return !json_parse(a, strlen(a), &x) && !json_parse(b, strlen(b), &y) &&
           cJSON_Compare(x, y, true);
}

/* The backup itself when nobody has changed the file since, else the file without our
 * part; then the backup stays for its owner. */
static int
undo_one(const struct setup_edit *edit, struct err *e)
{
    AUTO(mem_free_text) char *backup = backup_path(edit->path);
    AUTO(mem_free_text) char *old = NULL;
    int bad = setup_files_read(backup, &old, e);
    if (bad)
        return bad;
    const char *left = edit->after ? edit->after : "";
    if (!old || !is_same(old, left)) {
        if (old)
            (void)fprintf(stderr, "peersync: %s was changed since; %s is kept\n", edit->path,
                          backup);
        return edit->after ? write_file(edit->path, edit->after, e) : remove_file(edit->path, e);
    }
    bad = *old ? write_file(edit->path, old, e) : remove_file(edit->path, e);
    return bad ? bad : remove_file(backup, e);
}

/* The folder of a registry in certs.d, which may be ours, says something by its files alone. */
static void
remove_empty_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || strcmp(slash, "/hosts.toml") != 0)
        return;
    AUTO(mem_free_text) char *folder = mem_strndup(path, (size_t)(slash - path));
    (void)rmdir(folder); /* it stays when something is in it */
}

int
setup_files_undo(const struct setup_plan *p, struct err *e)
{
    int bad = 0;
    for (size_t i = 0; i < p->count && !bad; i++) {
        bad = undo_one(&p->edits[i], e);
        if (!bad)
            remove_empty_folder(p->edits[i].path);
    }
    return bad;
}

/* ---- show ---- */

static void
show_lines(const char *from, const char *to, char sign)
{
    while (from < to) {
        const char *nl = memchr(from, '\n', (size_t)(to - from));
        const char *end = nl ? nl : to;
        (void)printf("  %c %.*s\n", sign, (int)(end - from), from);
        from = nl ? nl + 1 : to;
    }
}

static size_t
common_start(const char *a, const char *b)
{
    size_t at = 0, line = 0;
    for (; a[at] && a[at] == b[at]; at++) {
        if (a[at] == '\n')
            line = at + 1;
    }
    return line;
}

/* Whole lines that both texts end with, behind what they begin with. */
static size_t
common_end(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t n = 0, whole = 0;
    while (n < a_len && n < b_len && a[a_len - 1 - n] == b[b_len - 1 - n]) {
        n++;
        if (n == a_len || n == b_len || a[a_len - 1 - n] == '\n')
            whole = n;
    }
    bool a_whole = whole == a_len || a[a_len - 1 - whole] == '\n';
    bool b_whole = whole == b_len || b[b_len - 1 - whole] == '\n';
    return a_whole && b_whole ? whole : 0;
}

const char *
setup_files_change(const struct setup_edit *edit)
{
    return !edit->after ? "removes" : edit->before ? "changes" : "creates";
}

void
setup_files_show(const struct setup_plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct setup_edit *edit = &p->edits[i];
        const char *a = edit->before ? edit->before : "", *b = edit->after ? edit->after : "";
        size_t start = common_start(a, b);
        size_t a_len = strlen(a) - start, b_len = strlen(b) - start;
        size_t end = common_end(a + start, a_len, b + start, b_len);
        (void)printf("%s %s\n", setup_files_change(edit), edit->path);
        show_lines(a + start, a + start + a_len - end, '-');
        show_lines(b + start, b + start + b_len - end, '+');
    }
}
