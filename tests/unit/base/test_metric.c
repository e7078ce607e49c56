#include "base/buf.h"
#include "base/err.h"
#include "base/metric.h"
#include "base/thread.h"
#include "tests/unit/base/unit.h"
#include <string.h>

static const char *
print(struct buf *b)
{
    buf_clear(b);
    assert_int_equal(metric_print(b), 0);
    return buf_text(b);
}

static void
counters_rise_and_gauges_are_set(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf b;
    buf_init(&b, 1 << 20);
    metric_add(M_body_upstream, 5);
    metric_add(M_body_upstream, 7);
    metric_set(M_cache_bytes, 100);
    metric_set(M_cache_bytes, 60);
    assert_int_equal(metric_get(M_body_upstream), 12);
    assert_int_equal(metric_get(M_cache_bytes), 60);
    assert_non_null(strstr(print(&b), "\npeersync_body_bytes_total{source=\"upstream\"} 12\n"));
    assert_non_null(strstr(buf_text(&b), "\npeersync_cache_bytes 60\n"));
    assert_non_null(
        strstr(buf_text(&b), "\npeersync_build_info{version=\"" PEERSYNC_VERSION "\"} 0\n"));
}

/* Every line is a comment or `name[{labels}] number`. */
static void
check_sample(const char *line, size_t len)
{
    const char *space = memrchr(line, ' ', len);
    assert_non_null(space);
    size_t name_len = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_");
    assert_true(line[name_len] == ' ' || line[name_len] == '{');
    size_t number_len = strspn(space + 1, "0123456789.");
    assert_int_equal(number_len, len - (size_t)(space + 1 - line));
    assert_true(number_len > 0);
}

static void
each_name_is_explained_once_before_its_samples(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf b;
    buf_init(&b, 1 << 20);
    size_t helps = 0;
    const char *at = print(&b);
    while (*at != '\0') {
        size_t len = strcspn(at, "\n");
        if (strncmp(at, "# HELP ", 7) == 0) {
            char head[128];
            size_t name_len = strcspn(at + 7, " ");
            must(name_len + 9 < sizeof(head));
            memcpy(head, at, 7 + name_len + 1);
            head[7 + name_len + 1] = '\0';
            assert_null(strstr(at + len, head)); /* never again */
            assert_true(len > 7 + name_len + 1); /* says something */
            assert_int_equal(strncmp(at + len, "\n# TYPE ", 8), 0);
            helps++;
        } else if (*at != '#') {
            check_sample(at, len);
        }
        assert_int_equal(at[len], '\n');
        at += len + 1;
    }
    assert_true(helps > 20);
}

static void
a_histogram_counts_up_to_each_bound(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf b;
    buf_init(&b, 1 << 20);
    metric_observe_us(M_first_byte, 1000); /* a bound belongs to its own bucket */
    metric_observe_us(M_first_byte, 1001);
    metric_observe_us(M_first_byte, 60000000);
    metric_observe_us(M_first_byte, -5); /* a clock that was read twice */
    const char *text = print(&b);
    assert_int_equal(metric_get(M_first_byte), 4);
    assert_non_null(strstr(text, "# TYPE peersync_first_byte_seconds histogram\n"));
    assert_non_null(strstr(text, "\npeersync_first_byte_seconds_bucket{le=\"0.001\"} 2\n"));
    assert_non_null(strstr(text, "\npeersync_first_byte_seconds_bucket{le=\"0.0025\"} 3\n"));
    assert_non_null(strstr(text, "\npeersync_first_byte_seconds_bucket{le=\"10\"} 3\n"));
    assert_non_null(strstr(text, "\npeersync_first_byte_seconds_bucket{le=\"+Inf\"} 4\n"));
    assert_non_null(strstr(text, "\npeersync_first_byte_seconds_sum 60.002001\n"));
    assert_non_null(strstr(text, "\npeersync_first_byte_seconds_count 4\n"));
}

static void
printing_into_too_little_room_is_an_error(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf b;
    buf_init(&b, 100);
    assert_int_equal(metric_print(&b), ERR_LIMIT);
}

#define ADDITIONS 10000

static void
add_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < ADDITIONS; i++)
        metric_add(M_served_bytes, 1);
}

static void
additions_of_all_threads_count(void **state)
{
    (void)state;
    struct thread other;
    uint64_t before = metric_get(M_served_bytes);
    assert_int_equal(thread_start(&other, "other", add_many, NULL), 0);
    add_many(NULL);
    thread_join(&other);
    assert_int_equal(metric_get(M_served_bytes) - before, 2 * ADDITIONS);
}

static void
set_a_counter(void *arg)
{
    (void)arg;
    metric_set(M_served_bytes, 0);
}

static void
add_to_a_gauge(void *arg)
{
    (void)arg;
    metric_add(M_cache_bytes, 1);
}

static void
using_another_kind_is_a_programmers_mistake(void **state)
{
    (void)state;
    assert_true(unit_aborts(set_a_counter, NULL));
    assert_true(unit_aborts(add_to_a_gauge, NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_rise_and_gauges_are_set),
        cmocka_unit_test(each_name_is_explained_once_before_its_samples),
        cmocka_unit_test(a_histogram_counts_up_to_each_bound),
        cmocka_unit_test(printing_into_too_little_room_is_an_error),
        cmocka_unit_test(additions_of_all_threads_count),
        cmocka_unit_test(using_another_kind_is_a_programmers_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
