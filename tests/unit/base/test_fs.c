#include "base/buf.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/text.h"
#include "tests/unit/base/unit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A folder for one test. */
struct place {
    char path[64];
    int dir_fd;
};

static int
set_up(void **state)
{
    static struct place p;
    must(text_copy(p.path, sizeof(p.path), "/tmp/peersync-test-fs-XXXXXX") == 0);
    must(mkdtemp(p.path) != NULL);
    must(fs_open_dir(p.path, false, &p.dir_fd) == 0);
    *state = &p;
    return 0;
}

static int
remove_one(void *arg, const char *name)
{
    int dir_fd = *(int *)arg;
    return unlinkat(dir_fd, name, 0) == 0 || unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 ? 0 : -errno;
}

static int
tear_down(void **state)
{
    struct place *p = *state;
    fault_disarm();
    must(fs_each(p->dir_fd, remove_one, &p->dir_fd) == 0);
    fd_close(&p->dir_fd);
    must(rmdir(p->path) == 0);
    return 0;
}

/* An open file with that content. */
static int
make_file(int dir_fd, const char *name, const char *content)
{
    int fd = -1;
    must(fs_open_at(dir_fd, name, O_RDWR | O_CREAT | O_EXCL, &fd) == 0);
    must(fs_write_at(fd, 0, content, strlen(content)) == 0);
    return fd;
}

static void
fd_close_marks_it_closed_and_keeps_errno(void **state)
{
    const struct place *p = *state;
    int fd = make_file(p->dir_fd, "a", "");
    int number = fd;
    errno = EXDEV;
    fd_close(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(fcntl(number, F_GETFD), -1);
    errno = EXDEV;
    fd_close(&fd);
    assert_int_equal(errno, EXDEV);
}

static void
open_dir_makes_all_missing_parents(void **state)
{
    const struct place *p = *state;
    char path[128];
    int fd = -1;
    struct stat st;
    must(text_printf(path, sizeof(path), "%s/a", p->path) == 0);
    assert_int_equal(fs_open_dir(path, false, &fd), -ENOENT);
    assert_int_equal(fd, -1);
    must(text_printf(path, sizeof(path), "%s/a//b/c/", p->path) == 0);
    assert_int_equal(fs_open_dir(path, true, &fd), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0700);
    fd_close(&fd);
    assert_int_equal(fs_open_dir(path, true, &fd), 0);
    fd_close(&fd);
    assert_int_equal(unlinkat(p->dir_fd, "a/b/c", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(p->dir_fd, "a/b", AT_REMOVEDIR), 0);
}

static void
open_dir_refuses_what_is_no_folder(void **state)
{
    const struct place *p = *state;
    char path[128];
    int fd = -1;
    int file = make_file(p->dir_fd, "file", "");
    fd_close(&file);
    must(text_printf(path, sizeof(path), "%s/file", p->path) == 0);
    assert_int_equal(fs_open_dir(path, true, &fd), -ENOTDIR);
    must(text_printf(path, sizeof(path), "%s/file/sub", p->path) == 0);
    assert_int_equal(fs_open_dir(path, true, &fd), -ENOTDIR);
    assert_int_equal(fs_open_dir("", true, &fd), -ENOENT);
}

static void
making_a_folder_that_exists_is_fine(void **state)
{
    const struct place *p = *state;
    assert_int_equal(fs_make_dir_at(p->dir_fd, "sub"), 0);
    assert_int_equal(fs_make_dir_at(p->dir_fd, "sub"), 0);
    assert_int_equal(fs_make_dir_at(p->dir_fd, "no/sub"), -ENOENT);
}

static void
open_of_a_fifo_does_not_wait_for_a_writer(void **state)
{
    const struct place *p = *state;
    int fd = -1;
    assert_int_equal(mkfifoat(p->dir_fd, "fifo", 0600), 0);
    assert_int_equal(fs_open_at(p->dir_fd, "fifo", O_RDONLY, &fd), 0);
    fd_close(&fd);
    assert_int_equal(fs_open_at(p->dir_fd, "fifo", O_WRONLY, &fd), -ENXIO);
}

static void
open_follows_no_link_and_leaks_no_descriptor(void **state)
{
    const struct place *p = *state;
    int fd = make_file(p->dir_fd, "a", "");
    struct stat st;
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fd_close(&fd);
    assert_int_equal(symlinkat("a", p->dir_fd, "link"), 0);
    assert_int_equal(fs_open_at(p->dir_fd, "link", O_RDONLY, &fd), -ELOOP);
    assert_int_equal(fs_open_at(p->dir_fd, "none", O_RDONLY, &fd), -ENOENT);
    assert_int_equal(fd, -1);
    uint64_t size;
    assert_int_equal(fs_size_at(p->dir_fd, "link", &size), -EINVAL);
    assert_int_equal(fs_size_at(p->dir_fd, ".", &size), -EINVAL);
    assert_int_equal(fs_size_at(p->dir_fd, "none", &size), -ENOENT);
}

static void
bytes_are_read_back_from_where_they_were_written(void **state)
{
    const struct place *p = *state;
    char got[6] = "";
    uint64_t size = 0;
    AUTO(fd_close) int fd = make_file(p->dir_fd, "a", "");
    assert_int_equal(fs_write_at(fd, 100, "hello", 5), 0);
    assert_int_equal(fs_size(fd, &size), 0);
    assert_int_equal(size, 105);
    size = 0;
    assert_int_equal(fs_size_at(p->dir_fd, "a", &size), 0);
    assert_int_equal(size, 105);
    assert_int_equal(fs_read_at(fd, 100, got, 5), 0);
    assert_string_equal(got, "hello");
    assert_int_equal(fs_read_at(fd, 101, got, 5), -EIO);
    assert_int_equal(fs_read_at(fd, 105, got, 0), 0);
}

static void
read_file_gives_the_whole_or_nothing(void **state)
{
    const struct place *p = *state;
    AUTO(buf_release) struct buf b;
    char big[20000];
    memset(big, 'x', sizeof(big));
    AUTO(fd_close) int fd = make_file(p->dir_fd, "a", "");
    assert_int_equal(fs_write_at(fd, 0, big, sizeof(big)), 0);
    buf_init(&b, sizeof(big) + 3);
    assert_int_equal(buf_add_text(&b, "old"), 0);
    assert_int_equal(fs_read_file(p->dir_fd, "a", &b), 0);
    assert_int_equal(b.len, sizeof(big) + 3);
    assert_memory_equal(b.data + 3, big, sizeof(big));
    buf_cut(&b, 3);
    assert_int_equal(fs_write_at(fd, sizeof(big), "y", 1), 0);
    assert_int_equal(fs_read_file(p->dir_fd, "a", &b), ERR_LIMIT);
    assert_string_equal(buf_text(&b), "old");
    assert_int_equal(fs_read_file(p->dir_fd, "none", &b), -ENOENT);
    fault_arm(2, EIO, false, NULL); /* the read behind the open */
    assert_int_equal(fs_read_file(p->dir_fd, "a", &b), -EIO);
    assert_string_equal(buf_text(&b), "old");
}

static void
reserve_lengthens_and_never_shortens(void **state)
{
    const struct place *p = *state;
    uint64_t size = 0;
    struct stat st;
    char got[6] = "";
    AUTO(fd_close) int fd = make_file(p->dir_fd, "a", "hello");
    assert_int_equal(fs_reserve(fd, 1 << 20, NULL), 0);
    assert_int_equal(fs_size(fd, &size), 0);
    assert_int_equal(size, 1 << 20);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_blocks * 512 >= 1 << 20);
    assert_int_equal(fs_reserve(fd, 10, NULL), 0);
    assert_int_equal(fs_reserve(fd, 0, NULL), 0);
    assert_int_equal(fs_size(fd, &size), 0);
    assert_int_equal(size, 1 << 20);
    assert_int_equal(fs_read_at(fd, 0, got, 5), 0);
    assert_string_equal(got, "hello");
    assert_int_equal(fs_truncate(fd, 2), 0);
    assert_int_equal(fs_size(fd, &size), 0);
    assert_int_equal(size, 2);
}

static void
reserve_writes_nothing_to_a_file_in_memory(void **state)
{
    (void)state;
    struct stat st;
    bool reserved = true;
    AUTO(fd_close) int fd = -1;
    assert_int_equal(fs_open_memory(10, &fd), 0);
    assert_int_equal(fs_reserve(fd, (uint64_t)1 << 30, &reserved), 0);
    assert_false(reserved);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, (uint64_t)1 << 30);
    assert_int_equal(st.st_blocks, 0);
}

static void
rename_replaces_and_unlink_removes(void **state)
{
    const struct place *p = *state;
    AUTO(buf_release) struct buf b;
    int fd = make_file(p->dir_fd, "a", "new");
    fd_close(&fd);
    fd = make_file(p->dir_fd, "b", "old");
    fd_close(&fd);
    buf_init(&b, 10);
    assert_int_equal(fs_rename_at(p->dir_fd, "a", p->dir_fd, "b"), 0);
    assert_int_equal(fs_read_file(p->dir_fd, "b", &b), 0);
    assert_string_equal(buf_text(&b), "new");
    assert_int_equal(fs_unlink_at(p->dir_fd, "b"), 0);
    assert_int_equal(fs_unlink_at(p->dir_fd, "b"), -ENOENT);
    assert_int_equal(fs_rename_at(p->dir_fd, "a", p->dir_fd, "b"), -ENOENT);
}

static void
free_space_is_within_the_total(void **state)
{
    const struct place *p = *state;
    struct fs_space s;
    assert_int_equal(fs_space(p->dir_fd, &s), 0);
    assert_true(s.total_bytes > 0);
    assert_true(s.free_bytes <= s.total_bytes);
    assert_true(s.total_files == 0 ? s.free_files == UINT64_MAX : s.free_files <= s.total_files);
}

struct visit {
    int count;
    int stop_at;
};

static int
count_one(void *arg, const char *name)
{
    struct visit *v = arg;
    must(name[0] != '.');
    return ++v->count == v->stop_at ? ERR_FULL : 0;
}

static void
each_visits_every_entry_once_and_stops_when_told(void **state)
{
    const struct place *p = *state;
    struct visit v = {0};
    for (int i = 0; i < 30; i++) {
        char name[8];
        must(text_printf(name, sizeof(name), "f%d", i) == 0);
        int fd = make_file(p->dir_fd, name, "");
        fd_close(&fd);
    }
    assert_int_equal(fs_each(p->dir_fd, count_one, &v), 0);
    assert_int_equal(v.count, 30);
    v = (struct visit){0};
    assert_int_equal(fs_each(p->dir_fd, count_one, &v), 0);
    assert_int_equal(v.count, 30); /* the position did not move */
    v = (struct visit){.stop_at = 4};
    assert_int_equal(fs_each(p->dir_fd, count_one, &v), ERR_FULL);
    assert_int_equal(v.count, 4);
}

static void
a_lock_belongs_to_one_descriptor(void **state)
{
    const struct place *p = *state;
    int first = make_file(p->dir_fd, "lock", "");
    AUTO(fd_close) int second = -1;
    assert_int_equal(fs_open_at(p->dir_fd, "lock", O_RDWR, &second), 0);
    assert_int_equal(fs_lock(first), 0);
    assert_int_equal(fs_lock(second), -EWOULDBLOCK);
    fd_close(&first);
    assert_int_equal(fs_lock(second), 0);
}

static void
syncs_succeed_on_files_and_folders(void **state)
{
    const struct place *p = *state;
    AUTO(fd_close) int fd = make_file(p->dir_fd, "a", "hello");
    fs_start_writeback(fd, 0, 5);
    assert_int_equal(fs_sync_data(fd), 0);
    assert_int_equal(fs_sync(fd), 0);
    assert_int_equal(fs_sync(p->dir_fd), 0);
    fs_start_writeback(-1, 0, 5); /* a hint has no error */
}

/* Each call once, in the order of fs.h; returns what call number `nth` said. */
static int
call(int nth, int dir_fd, int fd, const char *path)
{
    char byte = 0;
    uint64_t size = 0;
    struct fs_space space;
    int got = -1;
    struct visit v = {0};
    switch (nth) {
    case 0:
        return fs_open_dir(path, true, &got);
    case 1:
        return fs_make_dir_at(dir_fd, "sub");
    case 2:
        return fs_open_at(dir_fd, "a", O_RDWR, &got);
    case 3:
        return fs_read_at(fd, 0, &byte, 1);
    case 4:
        return fs_write_at(fd, 0, "x", 1);
    case 5:
        return fs_reserve(fd, 100, NULL);
    case 6:
        return fs_truncate(fd, 100);
    case 7:
        return fs_sync(fd);
    case 8:
        return fs_sync_data(fd);
    case 9:
        return fs_size(fd, &size);
    case 10:
        return fs_rename_at(dir_fd, "a", dir_fd, "b");
    case 11:
        return fs_unlink_at(dir_fd, "a");
    case 12:
        return fs_space(dir_fd, &space);
    case 13:
        return fs_each(dir_fd, count_one, &v);
    case 14:
        return fs_lock(fd);
    case 15:
        return fs_size_at(dir_fd, "a", &size);
    default:
        return ERR_NOT_FOUND;
    }
}

static void
a_fault_fails_each_call_and_changes_nothing(void **state)
{
    const struct place *p = *state;
    AUTO(fd_close) int fd = make_file(p->dir_fd, "a", "hello");
    AUTO(buf_release) struct buf b;
    buf_init(&b, 100);
    int nth = 0;
    for (;; nth++) {
        fault_arm(1, ENOSPC, true, NULL);
        int rc = call(nth, p->dir_fd, fd, p->path);
        if (rc == ERR_NOT_FOUND)
            break;
        assert_int_equal(rc, -ENOSPC);
        assert_int_equal(fault_count(), 1);
    }
    assert_int_equal(nth, 16);
    fault_disarm();
    assert_int_equal(fs_read_file(p->dir_fd, "a", &b), 0);
    assert_string_equal(buf_text(&b), "hello");
    struct visit v = {0};
    assert_int_equal(fs_each(p->dir_fd, count_one, &v), 0);
    assert_int_equal(v.count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fd_close_marks_it_closed_and_keeps_errno),
        TEST(open_dir_makes_all_missing_parents),
        TEST(open_dir_refuses_what_is_no_folder),
        TEST(making_a_folder_that_exists_is_fine),
        TEST(open_of_a_fifo_does_not_wait_for_a_writer),
        TEST(open_follows_no_link_and_leaks_no_descriptor),
        TEST(bytes_are_read_back_from_where_they_were_written),
        TEST(read_file_gives_the_whole_or_nothing),
        TEST(reserve_lengthens_and_never_shortens),
        TEST(reserve_writes_nothing_to_a_file_in_memory),
        TEST(rename_replaces_and_unlink_removes),
        TEST(free_space_is_within_the_total),
        TEST(each_visits_every_entry_once_and_stops_when_told),
        TEST(a_lock_belongs_to_one_descriptor),
        TEST(syncs_succeed_on_files_and_folders),
        TEST(a_fault_fails_each_call_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
