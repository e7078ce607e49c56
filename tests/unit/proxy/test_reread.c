/* Files that are read again when they change. */
#include "proxy/upstream/reread.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void
put(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    (void)fputs(text, out);
    (void)fclose(out);
}

static void
a_file_is_read_once_until_it_changes(void **state)
{
    (void)state;
    char dir[] = "/tmp/test_reread.XXXXXX";
    assert_non_null(mkdtemp(dir));
    char path[64];
    char other[64];
    (void)snprintf(path, sizeof path, "%s/a", dir);
    (void)snprintf(other, sizeof other, "%s/b", dir);
    struct reread r;
    struct err e = {0};
    bool changed = false;
    reread_init(&r, path);
    assert_int_equal(reread_look(&r, &changed, &e), -ENOENT);
    put(path, "one");
    assert_int_equal(reread_look(&r, &changed, &e), 0);
    assert_true(changed);
    assert_string_equal(buf_text(&r.text), "one");
    assert_int_equal(reread_look(&r, &changed, &e), 0);
    assert_false(changed);
    put(other, "two"); /* same size, moved over it */
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(reread_look(&r, &changed, &e), 0);
    assert_true(changed);
    assert_string_equal(buf_text(&r.text), "two");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(reread_look(&r, &changed, &e), -ENOENT);
    assert_string_equal(buf_text(&r.text), "");
    put(path, "two");
    assert_int_equal(reread_look(&r, &changed, &e), 0);
    assert_true(changed);
    reread_release(&r);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_once_until_it_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
