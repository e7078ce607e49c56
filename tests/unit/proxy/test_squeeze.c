/* When pieces are packed for another site. What is sent is tested with the port. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/zstd.h"
#include "proxy/peer/squeeze.h"
#include "tests/unit/cache/room.h"
#include <microhttpd.h>

static const struct squeeze_facts good = {
    .len = 1024 * 1024, .permille = 500, .running = 0, .running_max = 1};

static void
it_is_packed_when_it_pays(void **state)
{
    (void)state;
    struct squeeze_facts f = good;
    assert_true(squeeze_pays(&f));
    f.permille = ZSTD_WORTH;
    assert_true(squeeze_may(&f) && !squeeze_pays(&f)); /* compressed already */
    f = good;
    f.len = SQUEEZE_BYTES_MIN - 1;
    assert_false(squeeze_may(&f));
    f = good;
    f.running = 1; /* the processors have enough of it */
    assert_false(squeeze_may(&f));
    f = good;
    f.running_max = 0;
    assert_false(squeeze_may(&f));
}

static void
a_fast_link_is_not_held_up(void **state)
{
    (void)state;
    struct squeeze_facts f = good;
    f.link_rate = 125000000; /* nobody has packed yet: try */
    assert_true(squeeze_pays(&f));
    f.pack_rate = 300000000;
    assert_true(squeeze_pays(&f));
    f.link_rate = 300000000;
    assert_false(squeeze_may(&f));
    f.link_rate = 0;
    assert_true(squeeze_pays(&f));
}

/* A file of noise or of text is looked at for a moment only. */
static void
a_sample_tells_noise_from_text(void **state)
{
    (void)state;
    struct digest d;
    char dir[64], path[96];
    make_folder(dir);
    (void)snprintf(path, sizeof path, "%s/f", dir);
    uint8_t *noise = make_body(1, MIB, &d);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(fs_write_at(fd, 0, noise, MIB), 0);
    struct squeeze *s = squeeze_new(1);
    assert_false(squeeze_start(s, fd, 0, MIB, 0));
    memset(noise, 'x', MIB);
    assert_int_equal(fs_write_at(fd, 0, noise, MIB), 0);
    assert_true(squeeze_start(s, fd, 0, MIB, 0));
    assert_false(squeeze_start(s, fd, 0, MIB, 0)); /* one at a time */
    uint64_t sent = 0;
    struct MHD_Response *m = squeeze_body(s, NULL, fd, 0, MIB, &sent);
    MHD_destroy_response(m); /* never asked for */
    squeeze_free(s);
    mem_free(noise);
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_packed_when_it_pays),
        cmocka_unit_test(a_fast_link_is_not_held_up),
        cmocka_unit_test(a_sample_tells_noise_from_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
