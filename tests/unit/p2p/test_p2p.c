#include "tests/unit/p2p/unit.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "p2p/p2p.h"
#include <stdlib.h>
#include <unistd.h>

static const struct seal_key key = {{1}};

static void
get(void *arg, const struct digest *blob, const struct swarm_get *g)
{
    (void)arg, (void)blob, (void)g;
}

static void
stop(void *arg, const struct digest *blob, uint32_t g, uint32_t end)
{
    (void)arg, (void)blob, (void)g, (void)end;
}

static uint64_t
stored(void *arg, const struct digest *blob)
{
    (void)arg, (void)blob;
    return 0;
}

static const struct p2p_ops ops = {NULL, get, stop, stored};

static struct p2p *
node(const char *dir)
{
    struct p2p_config c = {
        .listen = "127.0.0.1:0", .advertise = "auto", .site = "here", .dir = dir, .key = &key};
    struct p2p *p = NULL;
    struct err e;
    assert_int_equal(p2p_open(&c, &ops, &p, &e), 0);
    return p;
}

static void
a_node_alone_becomes_tracker(void **state)
{
    (void)state;
    char dir[] = "/tmp/p2p-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct p2p *p = node(dir);
    struct p2p_state s = {.role = ELECT_MEMBER};
    int64_t until_ms = clock_ms() + 5000;
    while (s.role != ELECT_TRACKER && clock_ms() < until_ms) {
        p2p_state_release(&s);
        assert_int_equal(p2p_look(p, &s), 0);
    }
    assert_int_equal(s.role, ELECT_TRACKER);
    p2p_state_release(&s);
    p2p_close(p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_alone_becomes_tracker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
