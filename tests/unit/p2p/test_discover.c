#include "tests/unit/p2p/unit.h"

#include "base/clock.h"
#include "p2p/discover.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_MS 10000

static char dir[] = "/tmp/discover-XXXXXX";

static struct discover *
discover(const char *const *seeds, size_t count)
{
    char *copies[DISCOVER_SEEDS_MAX] = {NULL};
    struct discover *d = NULL;
    struct err e;
    for (size_t i = 0; i < count; i++)
        assert_non_null(copies[i] = strdup(seeds[i]));
    if (discover_open(dir, copies, count, &d, &e) < 0)
        fail_msg("%s", e.text);
    for (size_t i = 0; i < count; i++)
        free(copies[i]);
    return d;
}

static struct node_addr
at(const char *text)
{
    struct node_addr a;
    assert_int_equal(addr_parse(text, &a), 0);
    return a;
}

static bool
has(const struct node_addr *all, size_t count, const char *text)
{
    struct node_addr a = at(text);
    for (size_t i = 0; i < count; i++)
        if (addr_equal(&all[i], &a))
            return true;
    return false;
}

static void
seeds_are_resolved_soon(void **state)
{
    (void)state;
    static const char *const seeds[] = {"127.0.0.1:5002", "127.0.0.1:5002", "dns:localhost:7",
                                        "[::1]:9"};
    struct discover *d = discover(seeds, ARRAY_LEN(seeds));
    struct node_addr all[DISCOVER_ADDRS_MAX];
    uint64_t version = 0;
    size_t count = 0;
    int64_t until_ms = clock_ms() + WAIT_MS;
    while (!discover_seeds(d, &version, all, &count) && clock_ms() < until_ms)
        clock_sleep_ms(2);
    assert_true(has(all, count, "127.0.0.1:5002"));
    assert_true(has(all, count, "[::1]:9"));
    assert_true(has(all, count, "127.0.0.1:7") || has(all, count, "[::1]:7"));
    assert_true(count <= 4); /* no address twice */
    assert_false(discover_seeds(d, &version, all, &count));
    discover_close(d);
}

static void
the_nodes_of_one_run_are_known_in_the_next(void **state)
{
    (void)state;
    struct node_addr peers[] = {at("10.0.0.1:5002"), at("[fd00::2]:5003")};
    struct node_addr last[DISCOVER_PEERS_MAX];
    struct discover *d = discover(NULL, 0);
    assert_int_equal(discover_last(d, last), 0);
    discover_remember(d, peers, 2);
    discover_close(d);
    d = discover(NULL, 0);
    assert_int_equal(discover_last(d, last), 2);
    assert_true(addr_equal(&last[0], &peers[0]));
    assert_true(addr_equal(&last[1], &peers[1]));
    discover_close(d); /* nobody was heard: the file stays */
    d = discover(NULL, 0);
    assert_int_equal(discover_last(d, last), 2);
    discover_close(d);
}

static void
a_node_that_is_killed_has_written_them_already(void **state)
{
    (void)state;
    struct node_addr peer = at("10.0.0.7:5002"), last[DISCOVER_PEERS_MAX];
    struct discover *d = discover(NULL, 0), *next = NULL;
    discover_remember(d, &peer, 1);
    int64_t until_ms = clock_ms() + WAIT_MS;
    bool there = false;
    while (!there && clock_ms() < until_ms) {
        next = discover(NULL, 0);
        there = discover_last(next, last) == 1 && addr_equal(&last[0], &peer);
        discover_close(next);
    }
    assert_true(there);
    discover_close(d);
}

static void
lines_that_are_no_addresses_are_passed_over(void **state)
{
    (void)state;
    char path[64];
    struct node_addr last[DISCOVER_PEERS_MAX];
    (void)snprintf(path, sizeof path, "%s/peers", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fprintf(f, "\nrubbish\n10.0.0.1:5002\n10.0.0.1\n[fd00::1]:1") > 0);
    assert_int_equal(fclose(f), 0);
    struct discover *d = discover(NULL, 0);
    assert_int_equal(discover_last(d, last), 2);
    discover_close(d);
}

static void
a_seed_that_is_none_is_said(void **state)
{
    (void)state;
    static const char *const bad[] = {"host", "dns:host", ":5002", "host:0", "dns::5", "a:b:5"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char *seed = strdup(bad[i]);
        struct discover *d = NULL;
        struct err e;
        assert_int_equal(discover_open(dir, &seed, 1, &d, &e), ERR_CONFIG);
        assert_non_null(strstr(e.text, bad[i]));
        free(seed);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_are_resolved_soon),
        cmocka_unit_test(the_nodes_of_one_run_are_known_in_the_next),
        cmocka_unit_test(a_node_that_is_killed_has_written_them_already),
        cmocka_unit_test(lines_that_are_no_addresses_are_passed_over),
        cmocka_unit_test(a_seed_that_is_none_is_said),
    };
    if (mkdtemp(dir) == NULL)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char path[64];
    (void)snprintf(path, sizeof path, "%s/peers", dir);
    (void)unlink(path);
    return rmdir(dir) == 0 ? failed : 1;
}
