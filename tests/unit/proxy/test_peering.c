#include "tests/unit/base/unit.h"

#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/cache.h"
#include "p2p/p2p.h"
#include "proxy/api/server.h"
#include "proxy/peering.h"
#include "proxy/settings.h"
#include "proxy/upstream/fetch.h"
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/peering-XXXXXX";
static const char good_key[] =
    "psk-v1:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";

static struct settings *
settings(const char *more)
{
    struct settings *s = NULL;
    struct err e;
    char *text = mem_printf("cache: {dir: %s/cache, size: 64MiB, min_free: 0}\n"
                            "p2p: {listen: '127.0.0.1:0', key_file: %s/key, multicast: false%s}\n",
                            dir, dir, more);
    if (settings_parse(text, strlen(text), "test", &s, &e))
        fail_msg("%s", e.text);
    mem_free(text);
    return s;
}

static void
write_key(const char *text)
{
    char path[64];
    assert_int_equal(text_printf(path, sizeof path, "%s/key", dir), 0);
    (void)unlink(path);
    if (text == NULL)
        return;
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(chmod(path, 0600), 0);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void
without_a_key_or_when_it_is_off_the_node_is_alone(void **state)
{
    (void)state;
    struct peering *p = NULL;
    struct err e;
    write_key(NULL);
    struct settings *s = settings("");
    assert_int_equal(peering_listen(s, &p, &e), 0);
    assert_null(p);
    assert_int_equal(peering_prepare(NULL, s, &e), 0);
    write_key(good_key);
    assert_int_equal(peering_prepare(NULL, s, &e), ERR_CONFIG);
    assert_non_null(strstr(e.text, "is new: needs a restart"));
    settings_release(&s);
    write_key("broken, and nobody looks at it");
    s = settings(", enabled: false");
    assert_int_equal(peering_listen(s, &p, &e), 0);
    assert_null(p);
    assert_null(peering_p2p(p));
    settings_release(&s);
}

static void
a_broken_key_says_what_was_expected(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "psk-v1:00", "psk-v2:0011", "\n", "rubbish"};
    struct settings *s = settings("");
    char wanted[256];
    assert_int_equal(
        text_printf(wanted, sizeof wanted,
                    "p2p.key_file: %s/key: expected a line for each of 1 to 4 different "
                    "keys, psk-v1: and 64 hex digits, as `peersync cluster key` "
                    "prints it",
                    dir),
        0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct peering *p = NULL;
        struct err e = {0};
        write_key(bad[i]);
        assert_int_equal(peering_listen(s, &p, &e), ERR_CONFIG);
        assert_string_equal(e.text, wanted);
        assert_null(p);
    }
    settings_release(&s);
}

static void
a_port_that_is_taken_ends_the_start(void **state)
{
    (void)state;
    AUTO(fd_close) int fd = -1;
    struct peering *p = NULL;
    struct err e = {0};
    char taken[SERVER_ADDRESS_MAX];
    write_key(good_key);
    struct settings *s = settings("");
    assert_int_equal(server_listen("127.0.0.1:0", &fd, &e), 0);
    assert_int_equal(server_address(fd, taken), 0);
    mem_free(s->p2p_listen);
    s->p2p_listen = mem_strdup(taken);
    assert_true(peering_listen(s, &p, &e) < 0);
    assert_null(p);
    assert_non_null(strstr(e.text, taken));
    settings_release(&s);
}

static void
with_a_key_the_swarm_opens_and_closes(void **state)
{
    (void)state;
    struct peering *p = NULL;
    struct cache *cache = NULL;
    struct fetch *fetch = NULL;
    struct err e;
    struct p2p_state seen;
    write_key(good_key);
    struct settings *s = settings("");
    struct cache_config config = {
        .dir = s->cache_dir, .size_bytes = s->cache_size_bytes, .cpus = 1};
    assert_int_equal(cache_open(&config, &cache, &e), 0);
    assert_int_equal(fetch_open(&fetch, &e), 0);
    assert_int_equal(peering_listen(s, &p, &e), 0);
    assert_null(peering_p2p(p));
    if (peering_open(p, s, cache, fetch, &e))
        fail_msg("%s", e.text);
    assert_int_equal(p2p_look(peering_p2p(p), &seen), 0);
    assert_true(seen.addr.port != 0);
    p2p_state_release(&seen);
    assert_int_equal(peering_prepare(p, s, &e), 0);
    peering_reload(p, s);
    write_key("rubbish");
    assert_int_equal(peering_prepare(p, s, &e), ERR_CONFIG);
    write_key(NULL);
    assert_int_equal(peering_prepare(p, s, &e), ERR_CONFIG);
    assert_non_null(strstr(e.text, "is gone"));
    fetch_stop(fetch);
    peering_close(p);
    fetch_close(fetch);
    cache_close(cache);
    settings_release(&s);
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_key_or_when_it_is_off_the_node_is_alone),
        cmocka_unit_test(a_broken_key_says_what_was_expected),
        cmocka_unit_test(a_port_that_is_taken_ends_the_start),
        cmocka_unit_test(with_a_key_the_swarm_opens_and_closes),
    };
    if (mkdtemp(dir) == NULL)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0 ? failed : 1;
}
