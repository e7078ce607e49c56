/* Keeps the id of this node between starts. */
#include "p2p/identity.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/rng.h"
#include "base/text.h"
#include "p2p/seal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME          "node.id"
#define FRESH         "node.id.new"
#define STARTS        "node.starts"
#define STARTS_FRESH  "node.starts.new"
#define STARTS_DIGITS 16 /* a number, its end of line and more than that */

void
identity_print(const struct node_id *id, char ret_text[IDENTITY_TEXT_MAX])
{
    text_hex(ret_text, id->bytes, sizeof id->bytes);
}

void
identity_print_short(const struct node_id *id, char ret_text[IDENTITY_SHORT_MAX])
{
    text_hex(ret_text, id->bytes, sizeof id->bytes / 2);
}

/* False when the file is not there or holds no id. */
static bool
kept(int dir_fd, struct node_id *ret)
{
    AUTO(buf_release) struct buf text;
    struct node_id id;
    size_t digits = 2 * sizeof id.bytes;
    buf_init(&text, digits + 2);
    if (fs_read_file(dir_fd, NAME, &text) < 0 || text.len < digits ||
        text_unhex(id.bytes, text.data, digits) < 0 || node_is_none(&id))
        return false;
    *ret = id;
    return true;
}

static int
replace(int dir_fd, const char *name, const char *fresh, const char *text, size_t len)
{
    AUTO(fd_close) int fd = -1;
    int rc = fs_open_at(dir_fd, fresh, O_WRONLY | O_CREAT | O_TRUNC, &fd);
    rc = rc < 0 ? rc : fs_write_at(fd, 0, text, len);
    rc = rc < 0 ? rc : fs_sync(fd);
    rc = rc < 0 ? rc : fs_rename_at(dir_fd, fresh, dir_fd, name);
    return rc < 0 ? rc : fs_sync(dir_fd);
}

static int
write_fresh(int dir_fd, const struct node_id *id)
{
    char text[IDENTITY_TEXT_MAX];
    identity_print(id, text);
    text[IDENTITY_TEXT_MAX - 1] = '\n';
    return replace(dir_fd, NAME, FRESH, text, sizeof text);
}

uint32_t
identity_count_start(const char *dir)
{
    AUTO(fd_close) int dir_fd = -1;
    AUTO(buf_release) struct buf text;
    uint64_t starts;
    buf_init(&text, STARTS_DIGITS);
    if (fs_open_dir(dir, true, &dir_fd) < 0)
        return 0;
    int rc = fs_read_file(dir_fd, STARTS, &text);
    if (rc < 0 && rc != -ENOENT && rc != ERR_LIMIT)
        return 0; /* the file keeps its count for the next start */
    starts = rc == 0 ? strtoull(buf_text(&text), NULL, 10) : 0;
    starts = starts < SEAL_STARTS_MAX ? starts + 1 : 0;
    char line[STARTS_DIGITS];
    int len = snprintf(line, sizeof line, "%llu\n", (unsigned long long)starts);
    bool written = replace(dir_fd, STARTS, STARTS_FRESH, line, (size_t)len) == 0;
    return written ? (uint32_t)starts : 0;
}

int
identity_open(const char *dir, struct node_id *ret, struct err *e)
{
    AUTO(fd_close) int dir_fd = -1;
    struct node_id id;
    int rc = fs_open_dir(dir, true, &dir_fd);
    if (rc == 0 && kept(dir_fd, ret))
        return 0;
    rng_secret(id.bytes, sizeof id.bytes);
    rc = rc < 0 ? rc : write_fresh(dir_fd, &id);
    if (rc < 0 && !fs_is_trouble(rc)) /* else it is of this start only */
        return err_set(e, rc, "p2p: %s/" NAME ": %s", dir, err_text(rc));
    *ret = id;
    return 0;
}
