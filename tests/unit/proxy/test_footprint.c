/* Start-up code is let go: fewer mapped pages afterwards, and it runs again when called. */
#include "base/buf.h"
#include "base/fs.h"
#include "proxy/footprint.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <stdlib.h>

/* Pages of files that are mapped into this process now: third number of statm. */
static long
file_pages(void)
{
    AUTO(fd_close) int dir = -1;
    AUTO(buf_release) struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(fs_open_dir("/proc/self", false, &dir), 0);
    assert_int_equal(fs_read_file(dir, "statm", &b), 0);
    char *rest = b.data;
    (void)strtol(rest, &rest, 10);
    (void)strtol(rest, &rest, 10);
    return strtol(rest, &rest, 10);
}

static void
code_of_the_start_leaves_memory_and_still_runs(void **state)
{
    (void)state;
    assert_int_equal(curl_global_init(CURL_GLOBAL_DEFAULT), CURLE_OK);
    long before = file_pages();
    footprint_trim();
    assert_in_range(file_pages(), 1, before - 100);
    CURLU *url = curl_url();
    assert_non_null(url);
    assert_int_equal(curl_url_set(url, CURLUPART_URL, "https://a/", 0), CURLUE_OK);
    curl_url_cleanup(url);
    curl_global_cleanup();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_of_the_start_leaves_memory_and_still_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
