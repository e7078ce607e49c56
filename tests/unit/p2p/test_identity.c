#include "tests/unit/p2p/unit.h"

#include "base/fault.h"
#include "p2p/identity.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/identity-XXXXXX";

static void
write_file(const char *text, size_t len)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/node.id", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    assert_int_equal(close(fd), 0);
}

static void
an_id_is_kept_for_life(void **state)
{
    (void)state;
    struct node_id a, b;
    struct err e;
    assert_int_equal(identity_open(dir, &a, &e), 0);
    assert_false(node_is_none(&a));
    assert_int_equal(identity_open(dir, &b, &e), 0);
    assert_true(node_equal(&a, &b));
}

static void
a_file_that_holds_no_id_is_replaced(void **state)
{
    (void)state;
    struct node_id a, b;
    struct err e;
    write_file("no id", 5);
    assert_int_equal(identity_open(dir, &a, &e), 0);
    assert_false(node_is_none(&a));
    write_file("00000000000000000000000000000000\n", 33);
    assert_int_equal(identity_open(dir, &b, &e), 0);
    assert_false(node_is_none(&b));
    assert_false(node_equal(&a, &b));
}

static void
starts_are_counted(void **state)
{
    (void)state;
    assert_int_equal(identity_count_start(dir), 1);
    assert_int_equal(identity_count_start(dir), 2);
    fault_arm(2, EIO, false, NULL); /* its file cannot be opened */
    assert_int_equal(identity_count_start(dir), 0);
    fault_disarm();
    assert_int_equal(identity_count_start(dir), 3);
    assert_int_equal(identity_count_start("/proc/nowhere/x"), 0);
}

static void
a_folder_that_cannot_be_is_an_error_in_words(void **state)
{
    (void)state;
    struct node_id a;
    struct err e = {0};
    assert_true(identity_open("/proc/nowhere/x", &a, &e) < 0);
    assert_non_null(strstr(e.text, "/proc/nowhere/x"));
}

static void
a_disk_in_trouble_stops_no_start(void **state)
{
    (void)state;
    struct node_id before, a, after;
    struct err e;
    assert_int_equal(identity_open(dir, &before, &e), 0);
    fault_arm(1, EROFS, true, NULL);
    assert_int_equal(identity_open(dir, &a, &e), 0);
    fault_disarm();
    assert_false(node_is_none(&a));
    assert_int_equal(identity_open(dir, &after, &e), 0);
    assert_true(node_equal(&after, &before));
}

static void
ids_are_printed_whole_and_short(void **state)
{
    (void)state;
    struct node_id id = {{0xab, 1, [8] = 0xff, [15] = 2}};
    char text[IDENTITY_TEXT_MAX], brief[IDENTITY_SHORT_MAX];
    identity_print(&id, text);
    identity_print_short(&id, brief);
    assert_string_equal(text, "ab01000000000000ff00000000000002");
    assert_string_equal(brief, "ab01000000000000");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_kept_for_life),
        cmocka_unit_test(a_file_that_holds_no_id_is_replaced),
        cmocka_unit_test(starts_are_counted),
        cmocka_unit_test(a_folder_that_cannot_be_is_an_error_in_words),
        cmocka_unit_test(a_disk_in_trouble_stops_no_start),
        cmocka_unit_test(ids_are_printed_whole_and_short),
    };
    if (mkdtemp(dir) == NULL)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char path[64];
    (void)snprintf(path, sizeof path, "%s/node.id", dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/node.starts", dir);
    (void)unlink(path);
    return rmdir(dir) == 0 ? failed : 1;
}
