#include "tests/unit/p2p/unit.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "p2p/addr.h"
#include "p2p/p2p.h"
#include "p2p/sealer.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 10000

static const struct seal_keys key = {1, {{{1}}}};
static const struct seal_keys other_key = {1, {{{2}}}};

/* What ops were called with. */
struct seen {
    _Atomic unsigned gets, stops;
    _Atomic uint32_t first, count, id;
    _Atomic int source;
};

static void
get(void *arg, const struct digest *blob, const struct swarm_get *g)
{
    struct seen *s = arg;
    (void)blob;
    s->id = g->id;
    s->first = g->first;
    s->count = g->count;
    s->source = (int)g->source;
    s->gets++;
}

static void
stop(void *arg, const struct digest *blob, uint32_t g, uint32_t end)
{
    struct seen *s = arg;
    (void)blob, (void)g, (void)end;
    s->stops++;
}

static uint64_t
stored(void *arg, const struct digest *blob)
{
    (void)arg, (void)blob;
    return 0;
}

struct node {
    char dir[32];
    struct seen seen;
    struct p2p *p;
};

static char *
new_dir(struct node *n)
{
    assert_int_equal(text_copy(n->dir, sizeof n->dir, "/tmp/p2p-XXXXXX"), 0);
    assert_non_null(mkdtemp(n->dir));
    return n->dir;
}

static void
remove_dir(const struct node *n)
{
    static const char *const names[] = {"node.id", "node.starts", "peers"};
    char path[64];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(text_printf(path, sizeof path, "%s/%s", n->dir, names[i]), 0);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(n->dir), 0);
}

/* `seed`: HOST:PORT or NULL. */
static void
node_open(struct node *n, const struct seal_keys *k, char *seed)
{
    struct p2p_ops ops = {.arg = &n->seen, .get = get, .stop = stop, .stored = stored};
    struct p2p_config c = {.listen = "127.0.0.1:0",
                           .advertise = "auto",
                           .site = "here",
                           .dir = n->dir[0] ? n->dir : new_dir(n),
                           .keys = k,
                           .seeds = &seed,
                           .seeds_count = seed != NULL};
    struct err e;
    if (p2p_open(&c, &ops, &n->p, &e) < 0)
        fail_msg("%s", e.text);
}

static void
node_close(struct node *n)
{
    p2p_close(n->p);
    remove_dir(n);
}

static struct p2p_state
look(const struct node *n)
{
    struct p2p_state s;
    assert_int_equal(p2p_look(n->p, &s), 0);
    return s;
}

static void
address_of(const struct node *n, char ret_text[ADDR_TEXT_MAX])
{
    struct p2p_state s = look(n);
    addr_print(&s.addr, ret_text);
    p2p_state_release(&s);
}

/* Until all nodes follow one tracker of at least that epoch and hear `others` nodes. */
static struct node_id
wait_for_one_tracker(struct node *const nodes[], size_t count, size_t others, uint32_t epoch)
{
    int64_t until_ms = clock_ms() + WAIT_MS;
    while (clock_ms() < until_ms) {
        struct node_id first = node_none;
        bool agree = true;
        for (size_t i = 0; i < count && agree; i++) {
            struct p2p_state s = look(nodes[i]);
            agree = !node_is_none(&s.tracker) && s.epoch >= epoch && s.peers_count == others &&
                    (i == 0 || node_equal(&s.tracker, &first));
            first = s.tracker;
            p2p_state_release(&s);
        }
        if (agree)
            return first;
        clock_sleep_ms(5);
    }
    fail_msg("no tracker that all follow");
    return node_none;
}

/* ---- in another process, to be killed ---- */

struct child {
    pid_t pid;
    char addr[ADDR_TEXT_MAX];
    struct node node; /* its folder */
};

static void
child_start(struct child *c, char *seed)
{
    int ends[2];
    (void)new_dir(&c->node);
    assert_int_equal(pipe(ends), 0);
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (c->pid == 0) {
        char addr[ADDR_TEXT_MAX] = "";
        node_open(&c->node, &key, seed);
        address_of(&c->node, addr);
        if (write(ends[1], addr, sizeof addr) != sizeof addr)
            _exit(1);
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(ends[0], c->addr, sizeof c->addr), sizeof c->addr);
}

static void
child_kill(struct child *c)
{
    assert_int_equal(kill(c->pid, SIGKILL), 0);
    assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
    remove_dir(&c->node);
}

/* ---- tests; the one that forks comes first ---- */

static void
a_tracker_that_is_killed_is_replaced_within_a_second_and_a_half(void **state)
{
    (void)state;
    struct child dead;
    struct node a = {.p = NULL}, b = {.p = NULL};
    child_start(&dead, NULL);
    int64_t until_ms = clock_ms() + 1200; /* it is tracker before others come */
    clock_sleep_ms(until_ms - clock_ms());
    node_open(&a, &key, dead.addr);
    node_open(&b, &key, dead.addr);
    struct node *both[] = {&a, &b};
    struct node_id was = wait_for_one_tracker(both, 2, 2, 1);
    struct p2p_state s = look(&a);
    uint32_t epoch = s.epoch;
    assert_false(node_equal(&was, &s.self));
    p2p_state_release(&s);
    child_kill(&dead);
    int64_t killed_ms = clock_ms();
    struct node_id now = was;
    while (node_equal(&now, &was) || node_is_none(&now)) {
        s = look(&b);
        now = s.epoch > epoch ? s.tracker : was;
        p2p_state_release(&s);
        assert_true(clock_ms() - killed_ms < WAIT_MS);
        clock_sleep_ms(2);
    }
    int64_t took_ms = clock_ms() - killed_ms;
    if (took_ms > 1500)
        fail_msg("it took %lld ms", (long long)took_ms);
    (void)wait_for_one_tracker(both, 2, 1, epoch + 1);
    node_close(&a);
    node_close(&b);
}

static void
nodes_that_know_one_seed_find_each_other_and_one_tracker(void **state)
{
    (void)state;
    struct node a = {.p = NULL}, b = {.p = NULL}, c = {.p = NULL};
    char seed[ADDR_TEXT_MAX];
    node_open(&a, &key, NULL);
    address_of(&a, seed);
    node_open(&b, &key, seed);
    node_open(&c, &key, seed);
    struct node *all[] = {&a, &b, &c};
    (void)wait_for_one_tracker(all, 3, 2, 1);
    node_close(&c);
    struct node *two[] = {&a, &b};
    (void)wait_for_one_tracker(two, 2, 1, 1); /* it said good-bye */
    node_close(&b);
    node_close(&a);
}

static void
a_node_finds_those_of_its_last_run_again(void **state)
{
    (void)state;
    struct node a = {.p = NULL}, b = {.p = NULL};
    char seed[ADDR_TEXT_MAX], file[64];
    node_open(&a, &key, NULL);
    address_of(&a, seed);
    (void)new_dir(&b);
    assert_int_equal(text_printf(file, sizeof file, "%s/peers", b.dir), 0);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_true(fprintf(f, "%s\n", seed) > 0);
    assert_int_equal(fclose(f), 0);
    node_open(&b, &key, NULL);
    struct node *both[] = {&a, &b};
    (void)wait_for_one_tracker(both, 2, 1, 1);
    node_close(&b);
    node_close(&a);
}

static void
a_node_with_another_key_is_refused_and_counted(void **state)
{
    (void)state;
    struct node a = {.p = NULL}, b = {.p = NULL};
    char seed[ADDR_TEXT_MAX];
    uint64_t before = metric_get(M_p2p_refused_key);
    node_open(&a, &key, NULL);
    address_of(&a, seed);
    node_open(&b, &other_key, seed);
    int64_t until_ms = clock_ms() + WAIT_MS;
    while (metric_get(M_p2p_refused_key) < before + 2 && clock_ms() < until_ms)
        clock_sleep_ms(5);
    assert_true(metric_get(M_p2p_refused_key) >= before + 2);
    struct node *one[] = {&a};
    (void)wait_for_one_tracker(one, 1, 0, 1);
    node_close(&b);
    node_close(&a);
}

static void
a_wanted_blob_is_asked_for_upstream_by_a_node_alone(void **state)
{
    (void)state;
    struct node a = {.p = NULL};
    struct digest blob = unit_blob(1);
    uint64_t size = (uint64_t)3 * PIECE_BYTES_MIN;
    node_open(&a, &key, NULL);
    p2p_want(a.p, &blob, size, WIRE_MAY_FETCH | WIRE_CLIENT, NULL);
    int64_t until_ms = clock_ms() + WAIT_MS;
    while (a.seen.gets == 0 && clock_ms() < until_ms)
        clock_sleep_ms(1);
    assert_int_equal(a.seen.gets, 1);
    assert_int_equal(a.seen.source, SWARM_WAN);
    p2p_progress(a.p, &blob, a.seen.id, 1000);
    p2p_progress(a.p, &blob, a.seen.id, 1000);
    for (uint32_t i = a.seen.first; i < a.seen.first + a.seen.count; i++)
        p2p_piece(a.p, &blob, a.seen.id, i);
    p2p_piece(a.p, &blob, a.seen.id, 1000000); /* none of it: ignored */
    p2p_end(a.p, &blob, a.seen.id, SWARM_DONE, 1000, 0);
    p2p_dropped(a.p, &blob, 0, UINT32_MAX);
    while (a.seen.gets < 2 && clock_ms() < until_ms)
        clock_sleep_ms(1);
    assert_true(a.seen.gets >= 2); /* what is gone is fetched again */
    p2p_leave(a.p, &blob);
    p2p_want(a.p, &blob, PIECE_BLOB_MAX + 1, 0, NULL); /* too large for a swarm */
    struct p2p_state s = look(&a);
    assert_int_equal(s.peers_count, 0);
    p2p_state_release(&s);
    node_close(&a);
}

/* ---- control requests ---- */

/* A request of a node that does not run. */
static size_t
request_of(struct sealer *s, uint8_t *msg)
{
    struct wire_msg m = {.type = WIRE_TAKEN, .taken = {unit_blob(1)}};
    struct scribe out;
    scribe_init(&out, msg + SEAL_HEAD, 256);
    wire_put(&out, &m);
    return sealer_close(s, SEAL_REQUEST, msg, scribe_len(&out));
}

static void
a_request_of_a_stranger_or_one_that_was_seen_is_refused(void **state)
{
    (void)state;
    struct node a = {.p = NULL};
    static struct sealer stranger, enemy;
    struct node_id id = unit_node(9);
    uint8_t msg[512];
    AUTO(buf_release) struct buf answer;
    buf_init(&answer, 1024);
    sealer_init(&stranger, &key, &id, 0);
    sealer_init(&enemy, &other_key, &id, 0);
    node_open(&a, &key, NULL);
    size_t len = request_of(&stranger, msg);
    assert_int_equal(p2p_control(a.p, msg, len, &answer), ERR_NOT_FOUND);
    assert_int_equal(p2p_control(a.p, msg, len, &answer), ERR_REFUSED);
    len = request_of(&enemy, msg);
    assert_int_equal(p2p_control(a.p, msg, len, &answer), ERR_DENIED);
    assert_int_equal(p2p_control(a.p, msg, 10, &answer), ERR_SYNTAX);
    assert_int_equal(answer.len, 0);
    node_close(&a);
    sealer_release(&enemy);
    sealer_release(&stranger);
}

static void
a_tracker_hands_its_office_over(void **state)
{
    (void)state;
    struct node a = {.p = NULL}, b = {.p = NULL};
    char seed[ADDR_TEXT_MAX];
    node_open(&a, &key, NULL);
    address_of(&a, seed);
    node_open(&b, &key, seed);
    struct node *both[] = {&a, &b};
    struct node_id was = wait_for_one_tracker(both, 2, 1, 1);
    struct p2p_state s = look(&a);
    bool mine = node_equal(&was, &s.self);
    uint32_t epoch = s.epoch;
    p2p_state_release(&s);
    assert_int_equal(p2p_step_down(mine ? b.p : a.p), ERR_NOT_FOUND);
    assert_int_equal(p2p_step_down(mine ? a.p : b.p), 0);
    struct node_id now = wait_for_one_tracker(both, 2, 1, epoch + 1);
    assert_false(node_equal(&was, &now));
    node_close(&b);
    node_close(&a);
}

static void
what_cannot_be_opened_is_said_in_a_sentence(void **state)
{
    (void)state;
    struct node n = {.p = NULL};
    struct p2p_ops ops = {.arg = &n.seen, .get = get, .stop = stop, .stored = stored};
    char nowhere[] = "nowhere";
    char *bad = nowhere;
    struct p2p_config good = {.listen = "127.0.0.1:0",
                              .advertise = "auto",
                              .site = "auto",
                              .dir = new_dir(&n),
                              .keys = &key};
    struct p2p_config c = good;
    struct err e;
    c.seeds = &bad;
    c.seeds_count = 1;
    assert_int_equal(p2p_open(&c, &ops, &n.p, &e), ERR_CONFIG);
    assert_string_equal(e.text, "p2p.seeds: \"nowhere\": expected HOST:PORT or dns:NAME:PORT");
    c = good;
    c.advertise = "224.0.0.1";
    assert_int_equal(p2p_open(&c, &ops, &n.p, &e), ERR_CONFIG);
    assert_string_equal(e.text, "p2p.advertise: \"224.0.0.1\": no node can be reached there");
    c = good;
    c.listen = "no port";
    assert_int_equal(p2p_open(&c, &ops, &n.p, &e), ERR_CONFIG);
    remove_dir(&n);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tracker_that_is_killed_is_replaced_within_a_second_and_a_half),
        cmocka_unit_test(nodes_that_know_one_seed_find_each_other_and_one_tracker),
        cmocka_unit_test(a_node_finds_those_of_its_last_run_again),
        cmocka_unit_test(a_node_with_another_key_is_refused_and_counted),
        cmocka_unit_test(a_wanted_blob_is_asked_for_upstream_by_a_node_alone),
        cmocka_unit_test(a_request_of_a_stranger_or_one_that_was_seen_is_refused),
        cmocka_unit_test(a_tracker_hands_its_office_over),
        cmocka_unit_test(what_cannot_be_opened_is_said_in_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
