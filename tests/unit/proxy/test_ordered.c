/* A blob whose requests the swarm orders. The swarm is this test: it has the functions of
 * p2p/p2p.h that the fetch side calls, and orders by hand. Registry and peers are fakereg.h. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cache/cache.h"
#include "proxy/upstream/fetch.h"
#include "proxy/upstream/fill_inside.h"
#include "proxy/upstream/peer.h"
#include "tests/unit/proxy/fakereg.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#define PIECE   (256u * 1024)
#define PIECES  13u
#define SOON_MS 20000 /* a deadline that only a broken fetch meets */
#define PEERS   2

/* ---- the swarm ---- */

struct p2p {
    size_t others; /* fixed before the fetch begins */
    pthread_mutex_t lock;
    pthread_cond_t news;
    /* lock */
    unsigned wants, leaves, cursors, drops, doubts, bans;
    uint64_t carried[2]; /* bytes: from the registry, from nodes */
    unsigned across;     /* writes that go over an edge, when all is from the registry, in order */
    uint32_t dropped;    /* bits */
    uint32_t attested;   /* bits */
    uint32_t compared;   /* bits: words of pieces that were not read from the registry */
    uint8_t words[PIECES][ATTEST_BYTES];
    struct node_id banned;
    int64_t ban_ms;
    uint8_t flags;
    uint8_t held[BITS_BYTES(PIECES)];
    uint64_t cursor;
    uint64_t progress_bytes[64]; /* by request */
    uint32_t pieces[64];         /* bits by request */
    bool ended[64];
    enum swarm_end how[64];
    int64_t took_us[64];
    unsigned busy_ms[64];
    char signature[300];
};

static struct p2p swarm;

static void
swarm_lock(void)
{
    pthread_mutex_lock(&swarm.lock);
}

static void
swarm_unlock(void)
{
    pthread_cond_broadcast(&swarm.news);
    pthread_mutex_unlock(&swarm.lock);
}

void
p2p_want(struct p2p *p, const struct digest *blob, uint64_t size, uint8_t flags,
         const uint8_t *held)
{
    (void)blob;
    swarm_lock();
    must(size == FAKE_BYTES);
    p->wants++;
    p->flags = flags;
    memcpy(p->held, held, sizeof p->held);
    swarm_unlock();
}

void
p2p_leave(struct p2p *p, const struct digest *blob)
{
    (void)blob;
    swarm_lock();
    p->leaves++;
    swarm_unlock();
}

void
p2p_cursors(struct p2p *p, const struct digest *blob, const uint64_t *pos, size_t count)
{
    (void)blob;
    swarm_lock();
    must(count > 0);
    p->cursors++;
    p->cursor = pos[0];
    swarm_unlock();
}

void
p2p_progress(struct p2p *p, const struct digest *blob, uint32_t get, uint64_t bytes)
{
    (void)blob;
    swarm_lock();
    must(!p->ended[get]);
    p->progress_bytes[get] += bytes;
    swarm_unlock();
}

void
p2p_piece(struct p2p *p, const struct digest *blob, uint32_t get, uint32_t piece)
{
    (void)blob;
    swarm_lock();
    must(!p->ended[get] && piece < PIECES);
    p->pieces[get] |= 1u << piece;
    swarm_unlock();
}

void
p2p_end(struct p2p *p, const struct digest *blob, uint32_t get, enum swarm_end how, int64_t took_us,
        unsigned busy_ms)
{
    (void)blob;
    swarm_lock();
    must(!p->ended[get]);
    p->ended[get] = true;
    p->how[get] = how;
    p->took_us[get] = took_us;
    p->busy_ms[get] = busy_ms;
    swarm_unlock();
}

void
p2p_window(struct p2p *p, const struct digest *blob, uint32_t first, uint32_t end)
{
    (void)p;
    (void)blob;
    (void)first;
    (void)end;
}

void
p2p_dropped(struct p2p *p, const struct digest *blob, uint32_t first, uint32_t count)
{
    (void)blob;
    swarm_lock();
    must(first < PIECES && count <= PIECES - first);
    p->drops++;
    for (uint32_t i = first; i < first + count; i++)
        p->dropped |= 1u << i;
    swarm_unlock();
}

void
p2p_ban(struct p2p *p, const struct node_id *node, int64_t wait_ms)
{
    swarm_lock();
    p->bans++;
    p->banned = *node;
    p->ban_ms = wait_ms;
    swarm_unlock();
}

void
p2p_doubt(struct p2p *p, const struct digest *blob)
{
    (void)blob;
    swarm_lock();
    p->doubts++;
    swarm_unlock();
}

void
p2p_attest(struct p2p *p, const struct digest *blob, bool read, uint32_t first,
           const uint8_t *words, uint32_t count)
{
    (void)blob;
    swarm_lock();
    must(first < PIECES && count == 1);
    if (read) {
        p->attested |= 1u << first;
        memcpy(p->words[first], words, ATTEST_BYTES);
    } else {
        p->compared |= 1u << first;
    }
    swarm_unlock();
}

void
p2p_carried(struct p2p *p, const struct node_id *node, enum flow_way way, uint64_t bytes)
{
    swarm_lock();
    must(way == FLOW_IN);
    uint64_t at = p->carried[0];
    if (at / RUN_EDGE_BYTES != (at + bytes - 1) / RUN_EDGE_BYTES)
        p->across++;
    p->carried[!node_is_none(node)] += bytes;
    swarm_unlock();
}

size_t
p2p_others(struct p2p *p)
{
    return p->others;
}

int
p2p_sign(struct p2p *p, const char *what, char ret_text[SEAL_TEXT_MAX])
{
    swarm_lock();
    (void)snprintf(p->signature, sizeof p->signature, "%s", what);
    (void)snprintf(ret_text, SEAL_TEXT_MAX, "5ea1");
    swarm_unlock();
    return 0;
}

/* Waits until `ready` says so of what the fetch side told; the lock is held then. */
static void
swarm_wait(bool (*ready)(uint32_t get), uint32_t get)
{
    struct timespec until;
    must(clock_gettime(CLOCK_REALTIME, &until) == 0);
    until.tv_sec += SOON_MS / 1000;
    pthread_mutex_lock(&swarm.lock);
    while (!ready(get))
        if (pthread_cond_timedwait(&swarm.news, &swarm.lock, &until) != 0) {
            pthread_mutex_unlock(&swarm.lock);
            fail_msg("the fetch side told nothing of request %u", get);
        }
    pthread_mutex_unlock(&swarm.lock);
}

static bool
is_wanted(uint32_t times)
{
    return swarm.wants >= times;
}

static bool
is_left(uint32_t times)
{
    return swarm.leaves >= times;
}

static bool
has_progress(uint32_t get)
{
    return swarm.progress_bytes[get] > 0;
}

static bool
has_ended(uint32_t get)
{
    return swarm.ended[get];
}

/* ---- a node ---- */

struct bench {
    struct fake fake, peers[PEERS];
    struct settings *settings;
    struct cache *cache;
    struct fetch *fetch;
    char dir[64];
};

static int
set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    must(b != NULL);
    struct err e = {0};
    char text[512], dir[96];
    log_configure(LOG_ERROR, false);
    memset(&swarm, 0, sizeof swarm);
    swarm.others = 1;
    (void)pthread_mutex_init(&swarm.lock, NULL);
    (void)pthread_cond_init(&swarm.news, NULL);
    fake_start(&b->fake);
    for (int i = 0; i < PEERS; i++)
        fake_start(&b->peers[i]);
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/test_ordered.XXXXXX");
    must(mkdtemp(b->dir) != NULL);
    (void)snprintf(text, sizeof text,
                   "registries:\n"
                   "  - {host: reg.test, url: \"http://127.0.0.1:%u\"}\n"
                   "  - {host: dead.test, url: \"http://127.0.0.1:1\"}\n"
                   "  - {host: pass.test, url: \"http://127.0.0.1:%u\", auth: pass}\n",
                   b->fake.port, b->fake.port);
    int code = settings_parse(text, strlen(text), "test", &b->settings, &e);
    if (code != 0)
        fail_msg("%s", e.text);
    (void)snprintf(dir, sizeof dir, "%s/cache", b->dir);
    struct cache_config config = {
        .dir = dir, .size_bytes = 64 * 1024 * 1024, .size_percent = 50, .cpus = 1};
    if (cache_open(&config, &b->cache, &e) != 0 || fetch_open(&b->fetch, &e) != 0)
        fail_msg("%s", e.text);
    fetch_join(b->fetch, &swarm);
    *state = b;
    return 0;
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static int
tear_down(void **state)
{
    struct bench *b = *state;
    fetch_stop(b->fetch);
    fetch_close(b->fetch);
    cache_close(b->cache);
    settings_release(&b->settings);
    for (int i = 0; i < PEERS; i++)
        fake_stop(&b->peers[i]);
    fake_stop(&b->fake);
    (void)nftw(b->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(b);
    return 0;
}

/* Static in each test: an assertion that fails leaves the test, and the reader goes on. */
struct pull {
    struct bench *bench;
    struct blob *blob;
    pthread_t reader;
    int code;
};

/* A client: reads to the end. */
static void *
read_all(void *arg)
{
    struct pull *p = arg;
    unsigned char room[65536];
    uint64_t pos = 0;
    int64_t deadline_ms = clock_ms() + SOON_MS;
    p->code = ERR_TIMEOUT;
    while (clock_ms() < deadline_ms) {
        struct blob_state st;
        blob_wait(p->blob, pos, deadline_ms, &st);
        int64_t n = blob_read(p->blob, pos, room, sizeof room);
        if (n > 0) {
            must(memcmp(room, p->bench->fake.bytes + pos, (size_t)n) == 0);
            pos += (uint64_t)n;
        } else if (pos == FAKE_BYTES || st.phase == BLOB_FAILED) {
            p->code = pos == FAKE_BYTES ? 0 : st.error;
            break;
        }
    }
    return NULL;
}

static void
start_pull(struct bench *b, const char *host, const char *repository, struct pull *ret)
{
    struct origin o = {.settings = b->settings, .registry = settings_registry(b->settings, host)};
    enum cache_got got;
    (void)snprintf(o.host, sizeof o.host, "%s", host);
    (void)snprintf(o.repository, sizeof o.repository, "%s", repository);
    *ret = (struct pull){.bench = b};
    ret->blob = cache_acquire(b->cache, &b->fake.digest, &got);
    assert_int_equal(got, CACHE_LEAD);
    fetch_blob(b->fetch, &o, ret->blob, FAKE_BYTES, false);
    must(pthread_create(&ret->reader, NULL, read_all, ret) == 0);
}

static int
end_pull(struct pull *p)
{
    (void)pthread_join(p->reader, NULL);
    blob_release(&p->blob);
    return p->code;
}

/* From reg.test, by a client; the swarm is told. */
static void
start_wanted(struct bench *b, const char *repository, struct pull *ret)
{
    start_pull(b, "reg.test", repository, ret);
    swarm_wait(is_wanted, 1);
}

/* ---- orders: each returns its request's id ---- */

static uint32_t
order_wan(struct bench *b, uint32_t id, uint32_t first, uint32_t count)
{
    struct swarm_get get = {.id = id, .source = SWARM_WAN, .first = first, .count = count};
    fetch_order_get(b->fetch, &b->fake.digest, &get);
    return id;
}

static uint32_t
order_get(struct bench *b, unsigned port, struct swarm_get get)
{
    static const uint8_t ip[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    memcpy(get.addr.ip, ip, sizeof ip);
    get.addr.port = (uint16_t)port;
    get.node.bytes[0] = 7;
    get.node.bytes[1] = (uint8_t)(port >> 8);
    get.node.bytes[2] = (uint8_t)port;
    fetch_order_get(b->fetch, &b->fake.digest, &get);
    return get.id;
}

static uint32_t
order_at(struct bench *b, unsigned port, uint32_t id, uint32_t piece)
{
    return order_get(b, port,
                     (struct swarm_get){.id = id, .source = SWARM_LAN, .first = piece, .count = 1});
}

static uint32_t
order_lan(struct bench *b, int peer, uint32_t id, uint32_t piece)
{
    return order_at(b, b->peers[peer].port, id, piece);
}

static enum swarm_end
outcome(uint32_t get)
{
    swarm_wait(has_ended, get);
    return swarm.how[get];
}

/* ---- what is asked and told ---- */

static void
a_lease_of_all_is_one_plain_get(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[4];
    start_wanted(b, "plain", &p);
    assert_int_equal(swarm.flags, WIRE_MAY_FETCH | WIRE_CLIENT | WIRE_SERVES);
    assert_int_equal(swarm.held[0] | swarm.held[1], 0);
    assert_int_equal(fake_asked(&b->fake, "/plain/", seen, 4), 0);
    assert_int_equal(outcome(order_wan(b, 1, 0, PIECES)), SWARM_DONE);
    assert_int_equal(end_pull(&p), 0);
    assert_int_equal(fake_asked(&b->fake, "/plain/", seen, 4), 1);
    assert_string_equal(seen[0].range, "");
    assert_int_equal(swarm.progress_bytes[1], FAKE_BYTES);
    assert_int_equal(swarm.pieces[1], (1u << PIECES) - 1);
    assert_int_equal(swarm.leaves, 0);
}

/* What is written across one lies in small pieces of the page cache. */
static void
no_write_goes_over_an_edge(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    start_wanted(b, "plain", &p);
    assert_int_equal(outcome(order_wan(b, 1, 0, PIECES)), SWARM_DONE);
    assert_int_equal(end_pull(&p), 0);
    assert_int_equal(swarm.carried[0], FAKE_BYTES);
    assert_int_equal(swarm.across, 0);
}

static void
pieces_come_from_where_they_were_ordered(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[4];
    char want[300], range[64];
    start_wanted(b, "plain", &p);
    order_lan(b, 0, 1, 12);
    order_lan(b, 1, 2, 3);
    assert_int_equal(outcome(1), SWARM_DONE);
    assert_int_equal(outcome(2), SWARM_DONE);
    assert_true(swarm.took_us[2] > 0);
    assert_int_equal(swarm.pieces[2], 1u << 3);
    assert_int_equal(swarm.progress_bytes[2], PIECE);
    order_wan(b, 3, 0, PIECES); /* two runs around piece 3, and none for piece 12 */
    assert_int_equal(outcome(3), SWARM_DONE);
    assert_int_equal(end_pull(&p), 0);
    assert_int_equal(swarm.progress_bytes[3], 11 * PIECE);

    assert_int_equal(fake_asked(&b->peers[1], "/p2p/", seen, 4), 1);
    (void)snprintf(range, sizeof range, "bytes=%u-%u", 3 * PIECE, 4 * PIECE - 1);
    (void)snprintf(want, sizeof want, "/p2p/v1/blob/%s", b->fake.digest_text);
    assert_string_equal(seen[0].method, "GET");
    assert_string_equal(seen[0].path, want);
    assert_string_equal(seen[0].range, range);
    assert_string_equal(seen[0].auth, "5ea1");
    assert_string_equal(seen[0].authorization, "");
    assert_string_equal(seen[0].class, "fill");
    assert_true(strstr(swarm.signature, want) == swarm.signature + 4);
    assert_int_equal(fake_asked(&b->fake, "/plain/", seen, 4), 2);
    assert_string_equal(seen[0].range, "bytes=0-786431");
    (void)snprintf(range, sizeof range, "bytes=%u-%u", 4 * PIECE, 12 * PIECE - 1);
    assert_string_equal(seen[1].range, range);
}

static bool
stands_at(uint32_t piece)
{
    return swarm.cursor == (uint64_t)piece * PIECE;
}

static void
a_reader_that_waits_is_told_and_its_piece_hurries(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[4];
    start_wanted(b, "plain", &p);
    assert_int_equal(outcome(order_lan(b, 0, 1, 0)), SWARM_DONE);
    swarm_wait(stands_at, 1);
    assert_int_equal(outcome(order_lan(b, 0, 2, 1)), SWARM_DONE);
    assert_int_equal(fake_asked(&b->peers[0], "/p2p/", seen, 4), 2);
    assert_string_equal(seen[1].class, "cursor");
    order_wan(b, 3, 0, PIECES);
    assert_int_equal(end_pull(&p), 0);
}

static bool
has_four_pieces(uint32_t get)
{
    return swarm.pieces[get] == 0xf;
}

static bool
has_all_until_the_cut(uint32_t get)
{
    return swarm.progress_bytes[get] == FAKE_CUT;
}

static void
a_blob_that_goes_on_tells_what_is_here(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct err e = {0};
    start_wanted(b, "stall", &p);
    order_wan(b, 1, 0, PIECES);
    swarm_wait(has_all_until_the_cut, 1);
    fetch_stop(b->fetch);
    swarm_wait(is_left, 1);
    assert_int_equal(end_pull(&p), ERR_CLOSED);
    fetch_close(b->fetch);
    assert_int_equal(fetch_open(&b->fetch, &e), 0);
    fetch_join(b->fetch, &swarm);
    start_pull(b, "reg.test", "plain", &p);
    swarm_wait(is_wanted, 2);
    assert_int_equal(swarm.held[0], 0xf);
    assert_int_equal(swarm.held[1], 0);
    assert_int_equal(outcome(order_wan(b, 2, 4, PIECES - 4)), SWARM_DONE);
    assert_int_equal(end_pull(&p), 0);
    assert_int_equal(swarm.progress_bytes[2], FAKE_BYTES - FAKE_CUT);
}

/* ---- peers that fail ---- */

/* One request to such a peer, then the registry brings what is left. */
static void
peer_fails(struct bench *b, enum fake_peer how, enum swarm_end end, uint64_t kept_bytes)
{
    static struct pull p;
    struct fake_seen seen[4];
    char range[64];
    b->peers[0].peer = how;
    start_wanted(b, "plain", &p);
    order_lan(b, 0, 1, 0);
    assert_int_equal(outcome(1), end);
    assert_int_equal(swarm.pieces[1], 0);
    assert_int_equal(swarm.progress_bytes[1], kept_bytes);
    assert_int_equal(outcome(order_wan(b, 2, 0, PIECES)), SWARM_DONE);
    assert_int_equal(end_pull(&p), 0);
    assert_int_equal(fake_asked(&b->fake, "/plain/", seen, 4), 1);
    (void)snprintf(range, sizeof range, "bytes=%llu-%u", (unsigned long long)kept_bytes,
                   FAKE_BYTES - 1);
    assert_string_equal(seen[0].range, kept_bytes > 0 ? range : "");
}

static void
a_wrong_block_is_not_kept_and_what_was_right_is(void **state)
{
    peer_fails(*state, FAKE_WRONG, SWARM_FAILED, PIECE_BLOCK_BYTES);
}

static void
a_short_piece_goes_on_elsewhere_at_the_same_block(void **state)
{
    peer_fails(*state, FAKE_SHORT, SWARM_DENIED, PIECE_BLOCK_BYTES);
}

static void
a_peer_without_the_piece_costs_nothing(void **state)
{
    peer_fails(*state, FAKE_ABSENT, SWARM_DENIED, 0);
}

static void
a_body_without_checksums_is_refused(void **state)
{
    peer_fails(*state, FAKE_BARE, SWARM_DENIED, 0);
}

static void
a_silent_peer_is_left(void **state)
{
    peer_fails(*state, FAKE_MUTE, SWARM_FAILED, 0);
}

static void
a_busy_peer_says_for_how_long(void **state)
{
    peer_fails(*state, FAKE_BUSY, SWARM_BUSY, 0);
    assert_int_equal(swarm.busy_ms[1], 70);
}

static void
a_dead_peer_is_known_at_once(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    start_wanted(b, "plain", &p);
    int64_t start_ms = clock_ms();
    assert_int_equal(outcome(order_at(b, 1, 1, 0)), SWARM_DENIED);
    assert_true(clock_ms() - start_ms < PEER_HEAD_MS); /* when a silent one is left */
    order_wan(b, 2, 0, PIECES);
    assert_int_equal(end_pull(&p), 0);
}

static void
an_order_for_pieces_that_do_not_exist_fails(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    start_wanted(b, "plain", &p);
    order_wan(b, 1, PIECES, 1);
    order_wan(b, 2, 5, UINT32_MAX);
    assert_int_equal(outcome(1), SWARM_FAILED);
    assert_int_equal(outcome(2), SWARM_FAILED);
    order_wan(b, 3, 0, PIECES);
    assert_int_equal(end_pull(&p), 0);
}

/* ---- stops ---- */

static void
a_stopped_request_ends_where_it_is(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    start_wanted(b, "stall", &p); /* 7 bytes into piece 4 */
    order_wan(b, 1, 0, PIECES);
    swarm_wait(has_four_pieces, 1);
    fetch_order_stop(b->fetch, &b->fake.digest, 1, 4);
    assert_int_equal(outcome(1), SWARM_DONE);
    for (uint32_t i = 4; i < PIECES; i++)
        order_lan(b, i % 2 != 0, i, i);
    assert_int_equal(end_pull(&p), 0);
    struct fake_seen seen[1];
    assert_int_equal(fake_asked(&b->fake, "/stall/", seen, 1), 1);
}

static void
a_request_stopped_further_on_gives_its_end_to_others(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    start_wanted(b, "stall", &p);
    order_wan(b, 1, 0, PIECES);
    swarm_wait(has_four_pieces, 1);
    fetch_order_stop(b->fetch, &b->fake.digest, 1, 6);
    for (uint32_t i = 6; i < PIECES; i++) {
        order_lan(b, 0, i, i);
        assert_int_equal(outcome(i), SWARM_DONE);
    }
    fetch_order_stop(b->fetch, &b->fake.digest, 1, 0);
    assert_int_equal(outcome(1), SWARM_DONE);
    order_wan(b, 2, 4, 2);
    assert_int_equal(end_pull(&p), 0);
}

/* ---- a registry that fails ---- */

static bool
may_not_fetch(uint32_t unused)
{
    (void)unused;
    return swarm.wants > 1 && (swarm.flags & WIRE_MAY_FETCH) == 0;
}

static bool
may_fetch_again(uint32_t before)
{
    return swarm.wants > before && (swarm.flags & WIRE_MAY_FETCH) != 0;
}

static void
peers_finish_what_the_registry_denies(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    start_wanted(b, "gone", &p);
    order_wan(b, 1, 0, PIECES);
    for (uint32_t i = 0; i < PIECES; i++)
        order_lan(b, 0, 10 + i, i);
    assert_int_equal(outcome(1), SWARM_FAILED);
    swarm_wait(may_not_fetch, 0);
    for (uint32_t i = 0; i < PIECES; i++)
        if (outcome(10 + i) != SWARM_DONE)
            order_lan(b, 1, 30 + i, i);
    assert_int_equal(end_pull(&p), 0);
}

static void
a_final_no_is_told_when_no_peer_helps(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    int64_t start_ms = clock_ms();
    start_wanted(b, "gone", &p);
    assert_int_equal(outcome(order_wan(b, 1, 0, PIECES)), SWARM_FAILED);
    assert_int_equal(end_pull(&p), ERR_NOT_FOUND);
    assert_in_range(clock_ms() - start_ms, 300, 2900); /* before the rule of three seconds */
    swarm_wait(is_left, 1);
}

static void
alone_a_final_no_is_the_end(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    swarm.others = 0;
    start_wanted(b, "forbidden", &p);
    order_wan(b, 1, 0, PIECES);
    assert_int_equal(end_pull(&p), ERR_DENIED);
    swarm_wait(is_left, 1);
}

static void
a_registry_that_breaks_rests_and_is_asked_again(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    swarm.others = 0;
    start_pull(b, "reg.test", "flaky", &p);
    for (uint32_t i = 1; i <= 2; i++) {
        swarm_wait(may_fetch_again, 2 * (i - 1));
        order_wan(b, i, 0, PIECES);
        assert_int_equal(outcome(i), SWARM_FAILED);
    }
    swarm_wait(may_fetch_again, 4);
    order_wan(b, 3, 0, PIECES);
    assert_int_equal(end_pull(&p), 0);
}

static void
a_dead_registry_fails_nothing_while_peers_bring_it(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    uint32_t id = 1;
    start_pull(b, "dead.test", "plain", &p);
    for (uint32_t i = 0; i < 6; i++) { /* more often than alone it would be tried */
        swarm_wait(may_fetch_again, 2 * i);
        order_wan(b, id, 0, PIECES);
        assert_int_equal(outcome(id++), SWARM_FAILED);
        order_lan(b, 0, id, i);
        assert_int_equal(outcome(id++), SWARM_DONE);
    }
    for (uint32_t i = 6; i < PIECES; i++)
        order_lan(b, 1, id++, i);
    assert_int_equal(end_pull(&p), 0);
}

/* ---- without the swarm ---- */

static bool
is_seed(uint32_t unused)
{
    (void)unused;
    return swarm.wants > 1 && swarm.held[0] == 0xff && swarm.held[1] == 0x1f;
}

static void
without_an_order_it_goes_alone_and_becomes_a_seed(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    int64_t start_ms = clock_ms();
    swarm.others = 0;
    start_pull(b, "reg.test", "plain", &p);
    assert_int_equal(end_pull(&p), 0);
    assert_in_range(clock_ms() - start_ms, 200, 2900); /* before the rule of three seconds */
    assert_int_equal(swarm.leaves, 1);
    swarm_wait(is_seed, 0);
    order_lan(b, 0, 1, 0); /* too late: it must end all the same */
    assert_int_equal(outcome(1), SWARM_BUSY);
}

static void
a_reader_without_a_first_byte_for_three_seconds_goes_alone(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[4];
    int64_t start_ms = clock_ms();
    start_wanted(b, "plain", &p);
    assert_int_equal(end_pull(&p), 0);
    /* The next rule that would end its wait comes at UNREAD_MS. */
    assert_in_range(clock_ms() - start_ms, 2900, 13000);
    assert_int_equal(swarm.leaves, 1);
    assert_int_equal(fake_asked(&b->fake, "/plain/", seen, 4), 1);
    assert_string_equal(seen[0].range, "");
}

static void
what_is_read_with_the_secret_of_a_client_does_not_enter_the_swarm(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    start_pull(b, "pass.test", "plain", &p);
    assert_int_equal(end_pull(&p), 0);
    assert_int_equal(swarm.wants, 0);
}

static void
where_the_swarm_has_no_place_it_goes_alone_at_once(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    int64_t start_ms = clock_ms();
    start_wanted(b, "plain", &p);
    fetch_order_stop(b->fetch, &b->fake.digest, 0, 0);
    assert_int_equal(end_pull(&p), 0);
    assert_true(clock_ms() - start_ms < 2900);
}

static bool
has_client(uint32_t unused)
{
    (void)unused;
    return (swarm.flags & WIRE_CLIENT) != 0;
}

static void
a_background_blob_hurries_when_a_client_comes(void **state)
{
    struct bench *b = *state;
    enum cache_got got;
    struct origin o = {.settings = b->settings,
                       .registry = settings_registry(b->settings, "reg.test"),
                       .host = "reg.test",
                       .repository = "plain"};
    struct pull p = {.bench = b, .blob = cache_acquire(b->cache, &b->fake.digest, &got)};
    fetch_blob(b->fetch, &o, p.blob, FAKE_BYTES, true);
    swarm_wait(is_wanted, 1);
    assert_int_equal(swarm.flags, WIRE_MAY_FETCH | WIRE_SERVES);
    fetch_hurry(b->fetch, &o, p.blob);
    swarm_wait(has_client, 0);
    must(pthread_create(&p.reader, NULL, read_all, &p) == 0);
    order_wan(b, 1, 0, PIECES);
    assert_int_equal(end_pull(&p), 0);
}

/* What the site should have once more: nobody waits for it. */
static struct blob *
start_copy(struct bench *b)
{
    struct blob *copy = cache_lead(b->cache, &b->fake.digest);
    assert_non_null(copy);
    fetch_copy(b->fetch, NULL, copy, FAKE_BYTES);
    swarm_wait(is_wanted, 1);
    assert_int_equal(swarm.flags, WIRE_SERVES | WIRE_FOR_COPY);
    return copy;
}

static void
a_copy_comes_from_nodes_and_never_from_the_registry(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    struct blob_state st;
    uint64_t kept = metric_get(M_copies_kept);
    struct blob *copy = start_copy(b);
    order_wan(b, 40, 0, 1); /* by mistake; from another site it would come */
    assert_int_equal(outcome(40), SWARM_FAILED);
    for (uint32_t p = 0; p < PIECES; p++)
        order_lan(b, 0, p + 1, p);
    int64_t deadline_ms = clock_ms() + SOON_MS;
    do
        blob_wait(copy, FAKE_BYTES, clock_ms() + 20, &st);
    while (st.phase < BLOB_WHOLE && clock_ms() < deadline_ms);
    assert_int_equal(st.phase, BLOB_WHOLE);
    while (metric_get(M_copies_kept) == kept && clock_ms() < deadline_ms)
        clock_sleep_ms(1);
    assert_int_equal(metric_get(M_copies_kept), kept + 1);
    assert_int_equal(fake_asked(&b->fake, "/", seen, 4), 0);
    assert_null(cache_lead(b->cache, &b->fake.digest));
    blob_release(&copy);
}

static void
a_copy_that_a_client_asks_for_becomes_a_pull(void **state)
{
    struct bench *b = *state;
    enum cache_got got;
    struct origin o = {.settings = b->settings,
                       .registry = settings_registry(b->settings, "reg.test"),
                       .host = "reg.test",
                       .repository = "plain"};
    struct blob *copy = start_copy(b);
    assert_int_equal(outcome(order_lan(b, 0, 1, 12)), SWARM_DONE);
    struct pull p = {.bench = b, .blob = cache_acquire(b->cache, &b->fake.digest, &got)};
    assert_int_equal(got, CACHE_JOIN);
    fetch_hurry(b->fetch, &o, p.blob);
    swarm_wait(has_client, 0);
    assert_int_equal(swarm.flags, WIRE_MAY_FETCH | WIRE_CLIENT | WIRE_SERVES);
    must(pthread_create(&p.reader, NULL, read_all, &p) == 0);
    order_wan(b, 2, 0, PIECES);
    assert_int_equal(end_pull(&p), 0);
    blob_release(&copy);
}

/* Both are heard of in one turn of the fetch thread, which waits for the swarm until then. */
static void
a_copy_that_a_client_asks_for_at_once_enters_the_swarm(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[4];
    enum cache_got got;
    struct origin o = {.settings = b->settings,
                       .registry = settings_registry(b->settings, "reg.test"),
                       .host = "reg.test",
                       .repository = "plain"};
    struct blob *copy = cache_lead(b->cache, &b->fake.digest);
    p = (struct pull){.bench = b, .blob = cache_acquire(b->cache, &b->fake.digest, &got)};
    assert_int_equal(got, CACHE_JOIN);
    swarm_lock();
    order_wan(b, 60, 0, 1); /* of a blob that nobody fetches */
    fetch_copy(b->fetch, NULL, copy, FAKE_BYTES);
    fetch_hurry(b->fetch, &o, p.blob);
    swarm_unlock();
    assert_int_equal(outcome(60), SWARM_BUSY);
    must(pthread_create(&p.reader, NULL, read_all, &p) == 0);
    swarm_wait(has_client, 0);
    for (uint32_t i = 0; i < PIECES; i++)
        order_lan(b, 0, i + 1, i);
    assert_int_equal(end_pull(&p), 0);
    assert_int_equal(fake_asked(&b->fake, "/", seen, 4), 0);
    blob_release(&copy);
}

/* That it comes from a repository does not mean that it may come from there. */
static void
a_copy_of_wrong_bytes_is_not_mended_by_the_registry(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    struct blob_state st;
    struct origin o = {.settings = b->settings,
                       .registry = settings_registry(b->settings, "reg.test"),
                       .host = "reg.test",
                       .repository = "plain"};
    struct blob *copy = cache_lead(b->cache, &b->fake.digest);
    b->peers[0].bytes[3 * PIECE + 70] ^= 1;
    fetch_copy(b->fetch, &o, copy, FAKE_BYTES);
    swarm_wait(is_wanted, 1);
    for (uint32_t p = 0; p < PIECES; p++)
        order_lan(b, 0, p + 1, p);
    blob_wait(copy, FAKE_BYTES - 1, clock_ms() + SOON_MS, &st);
    assert_int_equal(st.phase, BLOB_FAILED);
    assert_int_equal(st.error, ERR_DIGEST);
    assert_int_equal(fake_asked(&b->fake, "/", seen, 4), 0);
    blob_release(&copy);
}

/* The swarm has no place for it: the next node, or the next client, begins it anew. */
static void
a_copy_that_is_left_fails_for_now_only(void **state)
{
    struct bench *b = *state;
    enum cache_got got;
    struct blob_state st;
    struct blob *copy = start_copy(b);
    fetch_order_stop(b->fetch, &b->fake.digest, 0, 0);
    blob_wait(copy, FAKE_BYTES, clock_ms() + SOON_MS, &st);
    assert_int_equal(st.phase, BLOB_FAILED);
    assert_int_equal(st.error, ERR_LATER);
    blob_release(&copy);
    copy = cache_acquire(b->cache, &b->fake.digest, &got);
    assert_int_equal(got, CACHE_LEAD);
    blob_fail(copy, ERR_CLOSED);
    blob_release(&copy);
}

static void
transfers_tell_what_came_from_whom(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct transfer_info info = {0};
    start_wanted(b, "stall", &p);
    assert_int_equal(outcome(order_lan(b, 0, 1, 12)), SWARM_DONE);
    order_wan(b, 2, 0, 5);
    swarm_wait(has_four_pieces, 2);
    int64_t deadline_ms = clock_ms() + SOON_MS;
    while (info.from_bytes[BLOB_FROM_UPSTREAM] < 4 * PIECE && clock_ms() < deadline_ms)
        (void)fetch_list(b->fetch, &info, 1);
    assert_int_equal(info.from_bytes[BLOB_FROM_PEER], 77);
    assert_int_equal(info.peer_attempts, 1);
    assert_int_equal(info.attempts, 1);
    assert_true(info.swarm);
    assert_non_null(strchr(info.cells.of, 'u'));
    assert_int_equal(info.asked_count, 1);
    assert_true(node_is_none(&info.asked[0].node));
    swarm_lock();
    assert_int_equal(swarm.carried[1], 77);
    assert_true(swarm.carried[0] >= 4 * PIECE);
    swarm_unlock();
    fetch_order_stop(b->fetch, &b->fake.digest, 0, 0);
    assert_int_equal(end_pull(&p), 0);
}

static void
what_is_over_tells_where_its_time_went(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fetched_info done;
    start_wanted(b, "plain", &p);
    clock_sleep_ms(60); /* nothing is ordered: it waits for its turn */
    order_wan(b, 1, 0, PIECES);
    assert_int_equal(end_pull(&p), 0);
    int64_t deadline_ms = clock_ms() + SOON_MS;
    while (fetch_finished(b->fetch, &done, 1) == 0 && clock_ms() < deadline_ms)
        clock_sleep_ms(1);
    assert_true(digest_equal(&done.digest, &b->fake.digest));
    int64_t sum_ms = 0;
    for (int i = 0; i < FETCH_WAITS; i++)
        sum_ms += done.wait_ms[i];
    assert_int_equal(sum_ms, done.took_ms);
    assert_true(done.wait_ms[FETCH_WAIT_TURN] >= 50);
    assert_int_equal(done.from_bytes[BLOB_FROM_UPSTREAM], FAKE_BYTES);
    assert_int_equal(done.code, 0);
    assert_string_equal(done.repository, "plain");
}

/* ---- liars: wrong bytes with right checksums ---- */

/* A client that is careful with its own bytes only: takes what it is given. */
struct taker {
    struct bench *bench;
    struct blob *blob;
    uint64_t start;
    bool wrong; /* some of what it has */
    int code;
    pthread_t thread;
};

static void *
take_all(void *arg)
{
    struct taker *t = arg;
    unsigned char room[65536];
    unsigned repairs = blob_repairs(t->blob);
    uint64_t pos = t->start;
    int64_t deadline_ms = clock_ms() + SOON_MS;
    t->code = ERR_TIMEOUT;
    while (clock_ms() < deadline_ms) {
        struct blob_state st;
        blob_wait(t->blob, pos, clock_ms() + 100, &st);
        int64_t n = blob_read(t->blob, pos, room, sizeof room);
        if (blob_spoilt(t->blob, t->start, pos + (n > 0 ? (uint64_t)n : 0), &repairs)) {
            t->code = ERR_DIGEST;
            break;
        }
        if (n > 0) {
            t->wrong = t->wrong || memcmp(room, t->bench->fake.bytes + pos, (size_t)n) != 0;
            pos += (uint64_t)n;
        } else if (pos == FAKE_BYTES || st.phase == BLOB_FAILED) {
            t->code = pos == FAKE_BYTES ? 0 : st.error;
            break;
        }
    }
    return NULL;
}

static void
start_taker(struct pull *p, uint64_t start, struct taker *ret)
{
    *ret = (struct taker){.bench = p->bench, .blob = p->blob, .start = start};
    must(pthread_create(&ret->thread, NULL, take_all, ret) == 0);
}

static struct blob *
start_of(struct bench *b, const char *repository, const struct digest *d)
{
    struct origin o = {.settings = b->settings,
                       .registry = settings_registry(b->settings, "reg.test"),
                       .host = "reg.test"};
    enum cache_got got;
    swarm_lock();
    unsigned wants = swarm.wants;
    swarm_unlock();
    (void)snprintf(o.repository, sizeof o.repository, "%s", repository);
    struct blob *blob = cache_acquire(b->cache, d, &got);
    assert_int_equal(got, CACHE_LEAD);
    fetch_blob(b->fetch, &o, blob, FAKE_BYTES, false);
    swarm_wait(is_wanted, wants + 1);
    return blob;
}

static void
start_lies(struct bench *b, struct pull *p)
{
    *p = (struct pull){.bench = b};
    p->blob = start_of(b, "plain", &b->fake.digest);
}

static struct blob_state
last_phase(const struct pull *p)
{
    struct blob_state st;
    int64_t deadline_ms = clock_ms() + SOON_MS;
    do
        blob_wait(p->blob, FAKE_BYTES, clock_ms() + 100, &st);
    while (st.phase < BLOB_WHOLE && clock_ms() < deadline_ms);
    return st;
}

static bool
has_bans(uint32_t times)
{
    return swarm.bans >= times;
}

static bool
has_dropped(uint32_t bits)
{
    return swarm.dropped == bits;
}

static bool
has_attested(uint32_t bits)
{
    return swarm.attested == bits;
}

/* With the word that the registry's bytes have, or (lies) those of the node. */
static uint32_t
order_word(struct bench *b, int peer, uint32_t id, uint32_t piece, bool lies)
{
    const unsigned char *from = lies ? b->peers[peer].bytes : b->fake.bytes;
    struct swarm_get get = {
        .id = id, .source = SWARM_LAN, .first = piece, .count = 1, .has_word = true};
    size_t len = piece + 1 < PIECES ? PIECE : FAKE_BYTES - piece * PIECE;
    struct digest d;
    digest_of(DIGEST_SHA256, from + (size_t)piece * PIECE, len, &d);
    memcpy(get.word, d.bytes, sizeof get.word);
    return order_get(b, b->peers[peer].port, get);
}

static void
a_piece_is_compared_with_its_word_before_a_byte_of_it_is_kept(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct taker reader;
    struct blob_state st;
    b->peers[1].bytes[4 * PIECE + 9] ^= 1;
    b->peers[1].bytes[5 * PIECE + 9] ^= 1;
    start_lies(b, &p);
    start_taker(&p, 0, &reader);
    assert_int_equal(outcome(order_word(b, 0, 1, 3, false)), SWARM_DONE);
    assert_int_equal(outcome(order_word(b, 1, 2, 4, false)), SWARM_LIED);
    blob_look(p.blob, 4 * PIECE, &st);
    assert_int_equal(st.readable, 4 * PIECE);
    assert_int_equal(outcome(order_word(b, 1, 3, 5, false)), SWARM_LIED);
    assert_int_equal(outcome(order_word(b, 0, 4, 4, false)), SWARM_DONE);
    order_wan(b, 5, 0, PIECES);
    (void)pthread_join(reader.thread, NULL);
    assert_int_equal(reader.code, 0);
    assert_false(reader.wrong);
    assert_int_equal(last_phase(&p).phase, BLOB_WHOLE);
    assert_int_equal(swarm.dropped, 0);
    blob_release(&p.blob);
}

/* Before it counts as a lie it is asked for once more, with the sums of its blocks. */
static void
what_is_damaged_on_its_way_is_no_lie(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[4];
    b->peers[0].peer = FAKE_WRONG;
    b->peers[1].bytes[4 * PIECE + 9] ^= 1;
    start_lies(b, &p);
    assert_int_equal(outcome(order_word(b, 0, 1, 3, false)), SWARM_FAILED);
    assert_int_equal(fake_asked(&b->peers[0], "/p2p/", seen, 4), 2);
    assert_int_equal(outcome(order_word(b, 1, 2, 4, false)), SWARM_LIED);
    assert_int_equal(fake_asked(&b->peers[1], "/p2p/", seen, 4), 2);
    order_wan(b, 3, 0, PIECES);
    assert_int_equal(last_phase(&p).phase, BLOB_WHOLE);
    blob_release(&p.blob);
}

static void
whom_the_swarm_bans_is_asked_for_nothing(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[8];
    struct node_id liar = {{7, (uint8_t)(b->peers[1].port >> 8), (uint8_t)b->peers[1].port}};
    start_lies(b, &p);
    fetch_order_ban(b->fetch, &liar);
    assert_int_equal(outcome(order_word(b, 1, 1, 3, false)), SWARM_FAILED);
    assert_int_equal(fake_asked(&b->peers[1], "/p2p/", seen, 8), 0);
    order_wan(b, 2, 0, PIECES);
    assert_int_equal(last_phase(&p).phase, BLOB_WHOLE);
    blob_release(&p.blob);
}

static void
what_was_here_of_a_piece_counts_for_its_word(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    b->peers[1].peer = FAKE_SHORT; /* a part of it comes, without a word */
    start_lies(b, &p);
    assert_int_equal(outcome(order_lan(b, 1, 1, 4)), SWARM_DENIED);
    assert_int_equal(outcome(order_word(b, 0, 2, 4, false)), SWARM_DONE);
    order_wan(b, 3, 0, PIECES);
    assert_int_equal(last_phase(&p).phase, BLOB_WHOLE);
    blob_release(&p.blob);
}

/* Who gives the rest of a piece has not lied when what was here of it is wrong. */
static void
what_was_here_may_be_wrong(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    b->peers[1].peer = FAKE_SHORT;
    b->peers[1].bytes[4 * PIECE + 9] ^= 1;
    start_lies(b, &p);
    assert_int_equal(outcome(order_lan(b, 1, 1, 4)), SWARM_DENIED);
    assert_int_equal(outcome(order_word(b, 0, 2, 4, false)), SWARM_FAILED);
    order_wan(b, 3, 0, PIECES);
    swarm_wait(has_dropped, 1u << 4);
    order_wan(b, 4, 4, 1);
    assert_int_equal(last_phase(&p).phase, BLOB_WHOLE);
    assert_int_equal(swarm.bans, 0);
    blob_release(&p.blob);
}

static void
when_words_lied_the_swarm_doubts_them_and_brings_the_pieces_again(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[16];
    for (uint32_t i = 0; i < PIECES; i++)
        b->peers[1].bytes[i * PIECE + 70] ^= 1;
    start_lies(b, &p);
    assert_int_equal(outcome(order_word(b, 0, 1, 2, false)), SWARM_DONE);
    order_word(b, 1, 2, 3, true);
    order_word(b, 1, 3, 4, true);
    assert_int_equal(outcome(2), SWARM_DONE);
    assert_int_equal(outcome(3), SWARM_DONE);
    order_wan(b, 4, 0, PIECES);
    swarm_wait(has_dropped, 1u << 2 | 1u << 3 | 1u << 4);
    assert_int_equal(swarm.leaves, 0);
    assert_int_equal(swarm.doubts, 1);
    size_t asked = fake_asked(&b->fake, "/plain/", seen, 16);
    assert_int_equal(outcome(order_word(b, 0, 5, 2, false)), SWARM_DONE);
    assert_int_equal(outcome(order_wan(b, 6, 3, 2)), SWARM_DONE);
    assert_int_equal(last_phase(&p).phase, BLOB_WHOLE);
    swarm_wait(has_bans, 1);
    assert_int_equal(swarm.bans, 1);
    assert_int_equal(swarm.banned.bytes[2], (uint8_t)b->peers[1].port);
    assert_int_equal(fake_asked(&b->fake, "/plain/", seen, 16), asked + 1);
    blob_release(&p.blob);
}

/* The registry's pieces are told by what they hash to, also those that came in two requests. */
static void
what_the_registry_gave_is_told_to_others(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct digest d;
    start_lies(b, &p);
    assert_int_equal(outcome(order_lan(b, 0, 1, 1)), SWARM_DONE);
    order_wan(b, 2, 0, PIECES);
    assert_int_equal(last_phase(&p).phase, BLOB_WHOLE);
    swarm_wait(has_attested, ((1u << PIECES) - 1) & ~(1u << 1));
    digest_of(DIGEST_SHA256, b->fake.bytes + 12 * PIECE, 77, &d);
    assert_memory_equal(swarm.words[12], d.bytes, ATTEST_BYTES);
    blob_release(&p.blob);
}

/* It was hashed when it was compared with its word; others know that word. */
static void
what_a_node_gave_as_its_word_says_is_neither_hashed_nor_told_again(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    start_lies(b, &p);
    for (uint32_t i = 1; i <= 6; i++) {
        order_word(b, 0, i, i, false);
        assert_int_equal(outcome(i), SWARM_DONE);
    }
    order_wan(b, 7, 0, PIECES);
    assert_int_equal(last_phase(&p).phase, BLOB_WHOLE);
    assert_int_equal(swarm.compared, 0);
    blob_release(&p.blob);
}

static void
a_banned_node_is_asked_for_nothing(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[8];
    for (uint32_t i = 0; i < PIECES; i++)
        b->peers[1].bytes[i * PIECE + 70] ^= 1;
    start_lies(b, &p);
    uint64_t before = metric_get(M_peers_banned);
    assert_int_equal(outcome(order_word(b, 1, 1, 3, true)), SWARM_DONE);
    assert_int_equal(outcome(order_word(b, 1, 6, 5, true)), SWARM_DONE);
    order_wan(b, 2, 0, PIECES);
    swarm_wait(has_dropped, 1u << 3 | 1u << 5);
    order_wan(b, 7, 3, 3);
    swarm_wait(has_bans, 1);
    assert_int_equal(swarm.banned.bytes[2], (uint8_t)b->peers[1].port);
    assert_int_equal(swarm.ban_ms, 600000);
    assert_int_equal(metric_get(M_peers_banned) - before, 1);
    assert_int_equal(last_phase(&p).phase, BLOB_WHOLE);
    blob_release(&p.blob);
    while (cache_stored(b->cache, &b->fake.digest) > 0) /* as long as its fill holds it */
        (void)cache_gc(b->cache, 0, false, NULL, NULL);
    start_lies(b, &p);
    assert_int_equal(outcome(order_lan(b, 1, 3, 3)), SWARM_FAILED);
    assert_int_equal(outcome(order_lan(b, 0, 4, 3)), SWARM_DONE);
    assert_int_equal(outcome(order_wan(b, 5, 0, PIECES)), SWARM_DONE);
    assert_int_equal(fake_asked(&b->peers[1], "/p2p/", seen, 8), 2);
    assert_int_equal(swarm.bans, 1);
    blob_release(&p.blob);
}

static void
who_passed_a_few_wrong_pieces_on_is_not_banned(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    b->peers[0].bytes[4 * PIECE + 70] ^= 1;
    start_lies(b, &p);
    for (uint32_t i = 1; i <= 5; i++)
        order_lan(b, 0, i, i);
    for (uint32_t i = 1; i <= 5; i++)
        assert_int_equal(outcome(i), SWARM_DONE);
    order_wan(b, 6, 0, PIECES);
    assert_int_equal(last_phase(&p).phase, BLOB_WHOLE);
    swarm_wait(is_wanted, 2);
    assert_int_equal(swarm.bans, 0);
    blob_release(&p.blob);
}

/* ---- sips ---- */

#define SIP_BYTES 1024u

static uint32_t
order_sip(struct bench *b, uint32_t id, uint32_t piece)
{
    struct swarm_get get = {
        .id = id, .source = SWARM_WAN, .first = piece, .count = 1, .sip = SIP_BYTES};
    fetch_order_get(b->fetch, &b->fake.digest, &get);
    return id;
}

static bool
has_sipped(uint32_t unused)
{
    (void)unused;
    return swarm.cursor == SIP_BYTES;
}

static void
a_sip_is_read_once_and_a_node_gives_the_rest(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[4];
    char range[64];
    start_wanted(b, "plain", &p);
    assert_int_equal(outcome(order_sip(b, 1, 0)), SWARM_DONE);
    assert_int_equal(swarm.pieces[1], 0); /* it has no piece that others could ask for */
    assert_int_equal(swarm.progress_bytes[1], SIP_BYTES);
    swarm_wait(has_sipped, 0);
    assert_int_equal(outcome(order_sip(b, 2, 0)), SWARM_DONE);
    assert_int_equal(outcome(order_word(b, 0, 3, 0, false)), SWARM_DONE);
    assert_int_equal(swarm.pieces[3], 1);
    assert_int_equal(swarm.progress_bytes[3], PIECE - SIP_BYTES);
    order_sip(b, 4, 5); /* the registry gives the rest of this one */
    assert_int_equal(outcome(4), SWARM_DONE);
    assert_int_equal(outcome(order_wan(b, 5, 1, PIECES - 1)), SWARM_DONE);
    assert_int_equal(swarm.pieces[5], ((1u << PIECES) - 1) & ~1u);
    assert_int_equal(swarm.progress_bytes[5], FAKE_BYTES - PIECE - SIP_BYTES);
    assert_int_equal(end_pull(&p), 0);
    assert_true(fake_asked(&b->fake, "/plain/", seen, 4) >= 3);
    (void)snprintf(range, sizeof range, "bytes=0-%u", SIP_BYTES - 1);
    assert_string_equal(seen[0].range, range);
    (void)snprintf(range, sizeof range, "bytes=%u-%u", 5 * PIECE, 5 * PIECE + SIP_BYTES - 1);
    assert_string_equal(seen[1].range, range);
    assert_int_equal(fake_asked(&b->peers[0], "/p2p/", seen, 4), 1);
    (void)snprintf(range, sizeof range, "bytes=%u-%u", SIP_BYTES, PIECE - 1);
    assert_string_equal(seen[0].range, range);
}

/* A reader has its first bytes, and what the node sent until then is not lost. */
static void
a_sip_does_not_wait_for_a_node_that_is_slow(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[4];
    b->peers[0].peer = FAKE_HALF;
    start_wanted(b, "plain", &p);
    order_word(b, 0, 1, 0, false);
    fake_wait_for(&b->peers[0], "/p2p/", 1);
    assert_int_equal(outcome(order_sip(b, 2, 0)), SWARM_DONE);
    assert_int_equal(swarm.progress_bytes[2], SIP_BYTES);
    swarm_wait(has_sipped, 0);
    assert_int_equal(outcome(order_word(b, 0, 3, 1, false)), SWARM_DONE);
    assert_int_equal(outcome(1), SWARM_DONE);
    assert_int_equal(swarm.pieces[1], 1);
    assert_int_equal(swarm.progress_bytes[1], PIECE - SIP_BYTES);
    assert_int_equal(fake_asked(&b->peers[0], "/p2p/", seen, 4), 2);
    order_wan(b, 4, 2, PIECES - 2);
    assert_int_equal(end_pull(&p), 0);
}

/* Nor does the node wait for a sip that stands still, and a lost sip loses nothing else. */
static void
a_piece_with_a_word_does_not_wait_for_a_sip(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    b->peers[0].peer = FAKE_HALF;
    start_wanted(b, "mute1", &p);
    order_word(b, 0, 1, 0, false);
    fake_wait_for(&b->peers[0], "/p2p/", 1);
    order_sip(b, 2, 0);
    fake_wait_for(&b->fake, "/mute1/", 1);
    order_word(b, 0, 3, 1, false);
    assert_int_equal(outcome(1), SWARM_DONE);
    assert_int_equal(outcome(2), SWARM_DONE);
    assert_int_equal(swarm.progress_bytes[2], 0);
    assert_int_equal(swarm.progress_bytes[1], PIECE);
    order_wan(b, 4, 2, PIECES - 2);
    assert_int_equal(end_pull(&p), 0);
}

static bool
has_dripped(uint32_t get)
{
    return swarm.progress_bytes[get] > 20;
}

/* A node that is asked meanwhile may be slow, too. */
static void
a_sip_goes_on_while_a_node_is_asked_for_its_piece(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    b->peers[0].peer = FAKE_HALF;
    start_wanted(b, "drip", &p);
    order_sip(b, 1, 0);
    swarm_wait(has_progress, 1);
    order_word(b, 0, 2, 0, false);
    fake_wait_for(&b->peers[0], "/p2p/", 1);
    swarm_wait(has_dripped, 1);
    order_word(b, 0, 3, 1, false);
    assert_int_equal(outcome(2), SWARM_DONE);
    assert_int_equal(outcome(1), SWARM_DONE);
    for (uint32_t i = 2; i < PIECES; i++)
        order_lan(b, 0, 10 + i, i);
    assert_int_equal(end_pull(&p), 0);
}

/* It may be refused to this node only. */
static void
a_refused_sip_does_not_end_what_a_node_gives(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    b->peers[0].peer = FAKE_HALF;
    start_wanted(b, "forbidden", &p);
    order_word(b, 0, 1, 0, false);
    fake_wait_for(&b->peers[0], "/p2p/", 1);
    assert_int_equal(outcome(order_sip(b, 2, 0)), SWARM_FAILED);
    assert_int_equal(swarm.wants, 1);
    for (uint32_t i = 1; i < PIECES; i++)
        order_word(b, 0, 10 + i, i, false);
    assert_int_equal(outcome(1), SWARM_DONE);
    assert_int_equal(end_pull(&p), 0);
    assert_int_equal(swarm.wants, 1);
}

/* What the registry gave is not what the word is over, though all that the node sent is. */
static void
a_word_that_lies_does_not_fit_a_sip_beside_it(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct taker reader;
    b->peers[1].bytes[9] ^= 1;
    b->peers[1].peer = FAKE_HALF;
    start_lies(b, &p);
    start_taker(&p, 0, &reader);
    order_word(b, 1, 1, 0, true);
    fake_wait_for(&b->peers[1], "/p2p/", 1);
    assert_int_equal(outcome(order_sip(b, 2, 0)), SWARM_DONE);
    order_word(b, 1, 3, 1, false);
    assert_int_equal(outcome(1), SWARM_FAILED);
    assert_int_equal(swarm.pieces[1], 0);
    assert_int_equal(outcome(order_word(b, 0, 4, 0, false)), SWARM_DONE);
    order_wan(b, 5, 1, PIECES - 1);
    (void)pthread_join(reader.thread, NULL);
    assert_int_equal(reader.code, 0);
    assert_false(reader.wrong);
    assert_int_equal(last_phase(&p).phase, BLOB_WHOLE);
    assert_int_equal(swarm.dropped, 0);
    blob_release(&p.blob);
}

static void
who_brings_the_piece_does_not_wait_for_its_sip(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    start_wanted(b, "drip", &p);
    order_sip(b, 1, 0);
    swarm_wait(has_progress, 1);
    order_word(b, 0, 2, 0, false);
    assert_int_equal(outcome(1), SWARM_DONE);
    assert_int_equal(outcome(2), SWARM_DONE);
    assert_int_equal(swarm.pieces[2], 1);
    assert_true(swarm.progress_bytes[1] < SIP_BYTES);
    for (uint32_t i = 1; i < PIECES; i++)
        order_lan(b, 0, 10 + i, i);
    assert_int_equal(end_pull(&p), 0);
}

/* Its bytes are the registry's; what does not go with them is not kept. */
static void
a_word_that_lies_does_not_fit_a_sip(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct taker reader;
    b->peers[1].bytes[9] ^= 1;
    start_lies(b, &p);
    start_taker(&p, 0, &reader);
    assert_int_equal(outcome(order_sip(b, 1, 0)), SWARM_DONE);
    assert_int_equal(outcome(order_word(b, 1, 2, 0, true)), SWARM_FAILED);
    assert_int_equal(outcome(order_word(b, 0, 3, 0, false)), SWARM_DONE);
    order_wan(b, 4, 1, PIECES - 1);
    (void)pthread_join(reader.thread, NULL);
    assert_int_equal(reader.code, 0);
    assert_false(reader.wrong);
    assert_int_equal(last_phase(&p).phase, BLOB_WHOLE);
    assert_int_equal(swarm.dropped, 0);
    blob_release(&p.blob);
}

/* A slow node gives what lacked behind a sip; by then the sip is gone as well. */
static void
what_a_word_was_asked_behind_may_be_dropped_meanwhile(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    b->peers[0].peer = FAKE_HALF;
    b->peers[1].bytes[4 * PIECE + 5000] ^= 1;
    b->peers[1].bytes[6 * PIECE] ^= 1;
    start_lies(b, &p);
    assert_int_equal(outcome(order_sip(b, 1, 4)), SWARM_DONE);
    order_word(b, 0, 2, 4, false);
    fake_wait_for(&b->peers[0], "/p2p/", 1);
    assert_int_equal(outcome(order_word(b, 1, 3, 4, true)), SWARM_DONE);
    assert_int_equal(outcome(order_word(b, 1, 4, 6, true)), SWARM_DONE);
    order_wan(b, 5, 0, PIECES);
    swarm_wait(has_dropped, 1u << 4 | 1u << 6);
    assert_int_equal(outcome(order_word(b, 0, 6, 6, false)), SWARM_DONE);
    assert_int_equal(outcome(2), SWARM_DONE);
    assert_int_equal(last_phase(&p).phase, BLOB_WHOLE);
    blob_release(&p.blob);
}

/* The node may go on with its lease, and have others. */
static void
a_sip_that_fails_beside_a_lease_is_only_that(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    start_wanted(b, "drip", &p);
    order_wan(b, 1, 5, 2);
    swarm_wait(has_progress, 1);
    assert_int_equal(outcome(order_sip(b, 2, 0)), SWARM_FAILED);
    assert_int_equal(swarm.wants, 1);
    fetch_order_stop(b->fetch, &b->fake.digest, 1, 5);
    assert_int_equal(outcome(1), SWARM_DONE);
    for (uint32_t i = 0; i < PIECES; i++)
        order_lan(b, 0, 10 + i, i);
    assert_int_equal(end_pull(&p), 0);
}

static void
a_lease_that_fails_beside_a_sip_without_an_answer_is_told(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    start_wanted(b, "mute1broken", &p);
    order_sip(b, 1, 0);
    fake_wait_for(&b->fake, "/mute1broken/", 1);
    assert_int_equal(outcome(order_wan(b, 2, 5, 2)), SWARM_FAILED);
    swarm_lock();
    unsigned wants = swarm.wants;
    swarm_unlock();
    assert_true(wants > 1); /* it may not fetch, for a while */
    for (uint32_t i = 0; i < PIECES; i++)
        order_lan(b, 0, 10 + i, i);
    assert_int_equal(end_pull(&p), 0);
}

static void
a_registry_that_lies_alone_fails_the_blob(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    b->fake.bytes[5] ^= 1;
    start_lies(b, &p);
    order_wan(b, 1, 0, PIECES);
    struct blob_state st = last_phase(&p);
    assert_int_equal(st.phase, BLOB_FAILED);
    assert_int_equal(st.error, ERR_DIGEST);
    blob_release(&p.blob);
}

/* Of blobs with pieces of 4 MiB three ask for 24 of them at once; who has none gets one soon. */
static void
pieces_that_are_compared_as_a_whole_have_bounded_memory(void **state)
{
    struct fill_world world = {.peer_calls = 1};
    struct fill big = {.world = &world, .size = UINT64_C(5) << 30};
    struct fill small = {.world = &world, .size = FAKE_BYTES};
    struct source peer = {.body_source = BLOB_FROM_PEER};
    struct source registry = {.body_source = BLOB_FROM_UPSTREAM};
    uint64_t bytes = 0;
    (void)state;
    for (int i = 0; i < 24 && fill_has_place(&big, &peer, false); i++)
        bytes = world.buffer_bytes += piece_bytes(big.size);
    assert_int_equal(bytes, BUFFER_BYTES_MAX - BUFFER_DUE_BYTES);
    assert_false(fill_has_place(&small, &peer, false));
    assert_true(fill_has_place(&small, &peer, true));
    assert_true(fill_has_place(&big, &registry, false));
    assert_true(fill_has_place(&big, &peer, true));
    world.buffer_bytes += piece_bytes(big.size);
    assert_false(fill_has_place(&small, &peer, true));
    world.buffer_bytes -= piece_bytes(big.size); /* no second one comes before it */
    assert_false(fill_has_place(&big, &peer, false));
    assert_true(fill_has_place(&small, &peer, true));
    world.buffer_bytes -= piece_bytes(big.size);
    assert_true(fill_has_place(&big, &peer, false));
    assert_true(fill_has_place(&small, &peer, false));
}

/* With orders for parts each node would read nearly all of it, for each part. */
static void
a_registry_without_ranges_is_asked_for_all_by_each_node(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[4];
    start_wanted(b, "norange", &p);
    order_wan(b, 1, 5, 2);
    swarm_wait(is_left, 1);
    assert_int_equal(swarm.progress_bytes[1], 0);
    assert_int_equal(end_pull(&p), 0);
    assert_int_equal(fake_asked(&b->fake, "/norange/", seen, 4), 3);
    assert_string_equal(seen[1].range, seen[0].range);
    assert_string_equal(seen[2].range, "");
}

/* Its first answer, with all from the start, is of use, and has the blob's tag: the next one is to
 * no condition that did not hold. */
static void
a_registry_without_ranges_is_found_out_behind_a_first_lease(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    start_wanted(b, "norange", &p);
    assert_int_equal(outcome(order_wan(b, 1, 0, 2)), SWARM_DONE);
    order_wan(b, 2, 5, 2);
    swarm_wait(is_left, 1);
    assert_int_equal(swarm.progress_bytes[2], 0);
    assert_int_equal(end_pull(&p), 0);
}

/* One answer without a range is no registry without them: it is asked once more. */
static void
a_registry_that_sent_all_once_is_no_reason_to_leave(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[4];
    start_wanted(b, "norange1", &p);
    assert_int_equal(outcome(order_wan(b, 1, 5, 2)), SWARM_DONE);
    order_wan(b, 2, 0, PIECES);
    assert_int_equal(end_pull(&p), 0);
    assert_int_equal(swarm.leaves, 0);
    assert_int_equal(fake_asked(&b->fake, "/norange1/", seen, 4), 4); /* around pieces 5 and 6 */
}

/* Another blob of a registry without ranges fails with what was said of it. */
static void
that_a_registry_has_no_ranges_hides_no_other_failure(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[4];
    struct digest other = b->fake.digest;
    struct blob_state st;
    start_wanted(b, "norange", &p);
    other.bytes[0] ^= 1;
    struct blob *gone = start_of(b, "gonelater", &other);
    struct swarm_get get = {.id = 9, .source = SWARM_WAN, .first = 5, .count = 2};
    fetch_order_get(b->fetch, &other, &get);
    int64_t deadline_ms = clock_ms() + SOON_MS;
    while (fake_asked(&b->fake, "/gonelater/", seen, 4) == 0 && clock_ms() < deadline_ms)
        clock_sleep_ms(1);
    order_wan(b, 1, 5, 2);
    assert_int_equal(outcome(9), SWARM_FAILED);
    blob_wait(gone, FAKE_BYTES, clock_ms() + SOON_MS, &st);
    assert_int_equal(st.phase, BLOB_FAILED);
    assert_int_equal(st.error, ERR_NOT_FOUND);
    assert_int_equal(fake_asked(&b->fake, "/gonelater/", seen, 4), 1);
    assert_int_equal(end_pull(&p), 0);
    blob_release(&gone);
}

static bool
is_for_copy(uint32_t any)
{
    (void)any;
    return (swarm.flags & WIRE_FOR_COPY) != 0;
}

/* What it sends begins with it. */
static void
a_registry_without_ranges_gives_a_sip(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    start_wanted(b, "norange", &p);
    assert_int_equal(outcome(order_sip(b, 1, 0)), SWARM_DONE);
    assert_int_equal(swarm.progress_bytes[1], SIP_BYTES);
    order_wan(b, 2, 0, 2);
    swarm_wait(is_left, 1);
    assert_int_equal(swarm.progress_bytes[2], 0);
    assert_int_equal(end_pull(&p), 0);
}

static void
nodes_of_whom_none_answers_are_left(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    uint32_t id = 0;
    start_wanted(b, "plain", &p);
    for (bool left = false; !left && id + 2 < ARRAY_LEN(swarm.ended);) {
        struct timespec pause = {.tv_nsec = 50 * 1000000};
        order_at(b, 1, ++id, 3);
        (void)nanosleep(&pause, NULL);
        swarm_lock();
        left = is_left(1);
        swarm_unlock();
    }
    swarm_wait(is_left, 1);
    assert_true(id >= REACH_TRIES_MIN);
    assert_int_equal(end_pull(&p), 0);
    /* A copy may come from another site. */
    struct blob *copy = NULL;
    for (int64_t end_ms = clock_ms() + SOON_MS; copy == NULL && clock_ms() < end_ms;) {
        (void)cache_gc(b->cache, 0, false, NULL, NULL); /* once it is stored and nobody holds it */
        copy = cache_lead(b->cache, &b->fake.digest);
    }
    assert_non_null(copy);
    fetch_copy(b->fetch, NULL, copy, FAKE_BYTES);
    swarm_wait(is_for_copy, 0);
    assert_int_equal(outcome(order_lan(b, 0, 63, 3)), SWARM_DONE);
    blob_release(&copy);
}

/* Alone it could only be told the same once more. Its requests to others are under way together
 * for PEER_HEAD_MS after the first one failed, which keeps the blob from its end. */
static void
whom_the_registry_refused_does_not_leave_nodes_that_do_not_answer(void **state)
{
    struct bench *b = *state;
    static struct pull p;
    struct fake_seen seen[1];
    uint64_t left = metric_get(M_swarm_left);
    b->peers[0].peer = FAKE_MUTE;
    start_wanted(b, "gone", &p);
    assert_int_equal(outcome(order_at(b, 1, 1, 3)), SWARM_DENIED);
    for (uint32_t i = 2; i <= REACH_TRIES_MIN; i++)
        order_lan(b, 0, i, i);
    order_wan(b, 9, 8, 2);
    assert_int_equal(end_pull(&p), ERR_NOT_FOUND);
    assert_int_equal(fake_asked(&b->fake, "/gone/", seen, 1), 1);
    assert_int_equal(metric_get(M_swarm_left) - left, 0);
}

int
main(void)
{
#define WITH_NODE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_that_are_compared_as_a_whole_have_bounded_memory),
        WITH_NODE(a_lease_of_all_is_one_plain_get),
        WITH_NODE(no_write_goes_over_an_edge),
        WITH_NODE(pieces_come_from_where_they_were_ordered),
        WITH_NODE(a_reader_that_waits_is_told_and_its_piece_hurries),
        WITH_NODE(a_blob_that_goes_on_tells_what_is_here),
        WITH_NODE(a_wrong_block_is_not_kept_and_what_was_right_is),
        WITH_NODE(a_short_piece_goes_on_elsewhere_at_the_same_block),
        WITH_NODE(a_peer_without_the_piece_costs_nothing),
        WITH_NODE(a_body_without_checksums_is_refused),
        WITH_NODE(a_silent_peer_is_left),
        WITH_NODE(a_busy_peer_says_for_how_long),
        WITH_NODE(a_dead_peer_is_known_at_once),
        WITH_NODE(an_order_for_pieces_that_do_not_exist_fails),
        WITH_NODE(a_stopped_request_ends_where_it_is),
        WITH_NODE(a_request_stopped_further_on_gives_its_end_to_others),
        WITH_NODE(peers_finish_what_the_registry_denies),
        WITH_NODE(a_final_no_is_told_when_no_peer_helps),
        WITH_NODE(alone_a_final_no_is_the_end),
        WITH_NODE(a_registry_that_breaks_rests_and_is_asked_again),
        WITH_NODE(a_dead_registry_fails_nothing_while_peers_bring_it),
        WITH_NODE(without_an_order_it_goes_alone_and_becomes_a_seed),
        WITH_NODE(a_reader_without_a_first_byte_for_three_seconds_goes_alone),
        WITH_NODE(what_is_read_with_the_secret_of_a_client_does_not_enter_the_swarm),
        WITH_NODE(where_the_swarm_has_no_place_it_goes_alone_at_once),
        WITH_NODE(a_background_blob_hurries_when_a_client_comes),
        WITH_NODE(a_copy_comes_from_nodes_and_never_from_the_registry),
        WITH_NODE(a_copy_that_a_client_asks_for_becomes_a_pull),
        WITH_NODE(a_copy_that_a_client_asks_for_at_once_enters_the_swarm),
        WITH_NODE(a_copy_of_wrong_bytes_is_not_mended_by_the_registry),
        WITH_NODE(a_copy_that_is_left_fails_for_now_only),
        WITH_NODE(transfers_tell_what_came_from_whom),
        WITH_NODE(what_is_over_tells_where_its_time_went),
        WITH_NODE(a_piece_is_compared_with_its_word_before_a_byte_of_it_is_kept),
        WITH_NODE(what_is_damaged_on_its_way_is_no_lie),
        WITH_NODE(whom_the_swarm_bans_is_asked_for_nothing),
        WITH_NODE(what_was_here_of_a_piece_counts_for_its_word),
        WITH_NODE(what_was_here_may_be_wrong),
        WITH_NODE(when_words_lied_the_swarm_doubts_them_and_brings_the_pieces_again),
        WITH_NODE(what_the_registry_gave_is_told_to_others),
        WITH_NODE(what_a_node_gave_as_its_word_says_is_neither_hashed_nor_told_again),
        WITH_NODE(a_banned_node_is_asked_for_nothing),
        WITH_NODE(who_passed_a_few_wrong_pieces_on_is_not_banned),
        WITH_NODE(a_sip_is_read_once_and_a_node_gives_the_rest),
        WITH_NODE(a_sip_does_not_wait_for_a_node_that_is_slow),
        WITH_NODE(a_piece_with_a_word_does_not_wait_for_a_sip),
        WITH_NODE(a_sip_goes_on_while_a_node_is_asked_for_its_piece),
        WITH_NODE(a_refused_sip_does_not_end_what_a_node_gives),
        WITH_NODE(a_word_that_lies_does_not_fit_a_sip_beside_it),
        WITH_NODE(who_brings_the_piece_does_not_wait_for_its_sip),
        WITH_NODE(a_word_that_lies_does_not_fit_a_sip),
        WITH_NODE(what_a_word_was_asked_behind_may_be_dropped_meanwhile),
        WITH_NODE(a_sip_that_fails_beside_a_lease_is_only_that),
        WITH_NODE(a_lease_that_fails_beside_a_sip_without_an_answer_is_told),
        WITH_NODE(a_registry_that_lies_alone_fails_the_blob),
        WITH_NODE(a_registry_without_ranges_is_asked_for_all_by_each_node),
        WITH_NODE(a_registry_without_ranges_is_found_out_behind_a_first_lease),
        WITH_NODE(a_registry_that_sent_all_once_is_no_reason_to_leave),
        WITH_NODE(that_a_registry_has_no_ranges_hides_no_other_failure),
        WITH_NODE(a_registry_without_ranges_gives_a_sip),
        WITH_NODE(nodes_of_whom_none_answers_are_left),
        WITH_NODE(whom_the_registry_refused_does_not_leave_nodes_that_do_not_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
