#define PIECES 8u
#define PIECE  ((uint64_t)PIECE_BYTES_MIN)
#define WANTS  (WIRE_WANTS | WIRE_MAY_FETCH | WIRE_SERVES)

#include "tests/unit/p2p/swarm_unit.h"

#include <stdlib.h>

/* It says, too, what they hash to. */
static void
peer_has(struct swarm *s, uint8_t node, uint32_t first, uint32_t count)
{
    struct node_id id = unit_node(node);
    uint8_t words[PIECES * ATTEST_BYTES];
    struct wire_bits said = {words, (uint16_t)(count * ATTEST_BYTES)};
    for (uint32_t i = 0; i < count; i++)
        memset(words + (size_t)i * ATTEST_BYTES, (int)(first + i), ATTEST_BYTES);
    swarm_words(s, &id, true, first, &said, 0);
    has(s, node, first, count);
}

static void
nothing_is_asked_for_that_nobody_has(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    assert_false(next(s, 0, 0, &g));
    peer_has(s, 2, 3, 1);
    assert_true(next(s, 0, 0, &g));
    assert_int_equal(g.source, SWARM_LAN);
    assert_int_equal(g.node.bytes[0], 2);
    assert_int_equal(g.first, 3);
    assert_false(next(s, 0, 0, &g)); /* asked for once */
    swarm_free(s);
}

static void
a_piece_that_came_is_held_and_told(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    struct wire_have have;
    bool to_all;
    peer_has(s, 2, 3, 1);
    assert_true(next(s, 0, 0, &g));
    swarm_piece(s, g.id, 3, 10);
    swarm_end(s, g.id, SWARM_DONE, 5000, 0, 10);
    assert_true(swarm_holds(s, 3));
    assert_false(swarm_take_have(s, 10, &have, &to_all)); /* others may join it */
    assert_true(swarm_take_have(s, 10 + SWARM_HAVE_MS, &have, &to_all));
    assert_int_equal(have.first, 3);
    assert_int_equal(have.count, 1);
    assert_false(swarm_take_have(s, 10 + SWARM_HAVE_MS, &have, &to_all));
    swarm_free(s);
}

/* The site has so many other nodes. */
static void
crowd(unsigned others)
{
    member_init(&members, 0);
    for (unsigned i = 0; i < others; i++) {
        struct member m = {.id = {{(uint8_t)i, (uint8_t)(i >> 8), 9}}, .seq = 1};
        assert_true(member_heard(&members, &m, 0));
    }
}

/* What a peer gives is told seldom in a large site, then all at once, to neighbours. */
static void
many_nodes_tell_in_turns(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    struct wire_have have;
    bool to_all, held;
    size_t at = 0;
    crowd(500);
    peer_has(s, 2, 0, 4);
    peer_has(s, 3, 0, 4);
    peer_has(s, 4, 0, PIECES);
    for (unsigned i = 0, hints = 0; i < 3; i++) {
        assert_true(next(s, 0, (int64_t)i, &g));
        swarm_piece(s, g.id, g.first, 10 + i);
        swarm_end(s, g.id, SWARM_DONE, 5000, 0, 10 + i);
        hints += swarm_take_have(s, 10 + i + SWARM_HAVE_MS, &have, &to_all);
        assert_int_equal(hints, 1); /* the first one at once */
    }
    int64_t turn_ms = SWARM_PEERS_MAX * 1000 / SWARM_HINTS_S;
    assert_false(swarm_take_have(s, turn_ms - 1, &have, &to_all));
    assert_true(swarm_take_have(s, 20 + turn_ms, &have, &to_all));
    assert_false(to_all);
    unsigned told = 0;
    for (uint32_t i = 0; wire_hint(&have, i, &held); i++) {
        assert_true(!held || swarm_holds(s, have.first + i));
        told += held;
    }
    assert_int_equal(told, 2);
    assert_false(swarm_take_have(s, 1000, &have, &to_all));
    const struct node_id *to;
    unsigned lacking = 0, found = 0;
    peer_has(s, 2, 0, PIECES - 1);
    peer_has(s, 5, 0, 1);
    for (; (to = swarm_lacking(s, &at)) != NULL; lacking++) {
        assert_int_not_equal(to->bytes[0], 4); /* who has them need not hear it */
        found += to->bytes[0] == 5;
    }
    assert_int_equal(found, 1);
    assert_in_range(lacking, 1, 3);
    swarm_free(s);
    crowd(0);
}

/* Takes what is asked for next at that time; a hint of it is due at *ret_due_ms. */
static void
take_and_tell(struct swarm *s, int64_t now_ms, int64_t *ret_due_ms)
{
    struct swarm_get g;
    struct wire_have have;
    bool to_all;
    assert_true(next(s, 0, now_ms, &g));
    swarm_piece(s, g.id, g.first, now_ms);
    swarm_end(s, g.id, SWARM_DONE, 5000, 0, now_ms);
    *ret_due_ms = now_ms;
    while (!swarm_take_have(s, *ret_due_ms, &have, &to_all))
        ++*ret_due_ms;
}

/* Where a node finds little to ask for, the WAN is what the site waits for. */
static void
what_peers_give_is_told_together_where_the_wan_is_slow(void **state)
{
    (void)state;
    struct digest d = unit_blob(1);
    struct swarm *s = swarm();
    swarm_free(s);
    s = swarm_new(&d, 3 * SWARM_FIRSTS * PIECE, WANTS, 0);
    for (uint32_t i = 0; i < 3 * SWARM_FIRSTS; i += PIECES)
        peer_has(s, 2, i, PIECES);
    int64_t due_ms = 0;
    for (int64_t i = 0; i < 2 * SWARM_FIRSTS; i++) {
        int64_t now_ms = i * 1000;
        take_and_tell(s, now_ms, &due_ms);
        assert_int_equal(due_ms - now_ms, i < SWARM_FIRSTS ? SWARM_HAVE_MS : SWARM_HAVE_IDLE_MS);
    }
    for (uint8_t node = 20; node < 20 + SWARM_CROWD; node++) /* all wait for the one who has all */
        peer_has(s, node, 0, 1);
    take_and_tell(s, 32000, &due_ms);
    assert_int_equal(due_ms, 32000 + SWARM_HAVE_MS);
    for (uint8_t node = 3; node < 8; node++)
        for (uint32_t i = 0; i < 3 * SWARM_FIRSTS; i += PIECES)
            peer_has(s, node, i, PIECES);
    struct swarm_get g;
    for (unsigned i = 0; i < SWARM_LAN_GETS / 2; i++) /* it finds enough */
        assert_true(next(s, 0, 100000, &g));
    take_and_tell(s, 100000, &due_ms);
    assert_int_equal(due_ms, 100000 + SWARM_HAVE_MS);
    swarm_free(s);
}

static void
who_is_busy_again_is_left_alone_for_longer(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    int64_t now_ms = 0;
    peer_has(s, 2, 0, 1);
    for (unsigned i = 0; i < 6; i++) {
        int64_t wait_ms = 30 << (i < SWARM_BUSY_DOUBLINGS ? i : SWARM_BUSY_DOUBLINGS);
        assert_true(next(s, 0, now_ms, &g));
        swarm_end(s, g.id, SWARM_BUSY, 0, 30, now_ms);
        assert_false(next(s, 0, now_ms + wait_ms - 1, &g));
        now_ms += wait_ms;
    }
    swarm_free(s);
}

static void
only_pieces_of_the_window_are_wanted(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    struct wire_window told;
    struct wire_blob said;
    assert_false(swarm_tell_window(s, &told));
    swarm_hold(s, 0);
    swarm_hold(s, 1);
    swarm_window(s, 1, 4);
    assert_false(swarm_holds(s, 0)); /* gone, */
    assert_true(swarm_holds(s, 1));
    swarm_hold(s, 0); /* whatever a word of before says */
    assert_false(swarm_holds(s, 0));
    peer_has(s, 2, 0, PIECES);
    bool asked[PIECES] = {false};
    while (next(s, 0, 0, &g)) {
        asked[g.first] = true;
        swarm_end(s, g.id, SWARM_FAILED, 0, 0, 0);
    }
    for (uint32_t p = 0; p < PIECES; p++)
        assert_int_equal(asked[p], p == 2 || p == 3);
    assert_true(swarm_take_window(s, 1000, &told));
    assert_int_equal(told.first, 1);
    assert_int_equal(told.end, 4);
    assert_false(swarm_take_window(s, 2000, &told)); /* once */
    assert_true(swarm_tell_window(s, &told));
    assert_false(swarm_sated(s));
    swarm_window(s, PIECES - 1, PIECES);
    swarm_hold(s, PIECES - 1);
    assert_true(swarm_sated(s));
    assert_false(swarm_whole(s));
    swarm_announce(s, 3000, &said);
    assert_int_equal(said.flags & WIRE_WANTS, 0);
    swarm_free(s);
}

static void
what_left_the_window_of_a_peer_is_not_asked_of_it(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    struct node_id id = unit_node(2);
    struct node_addr addr = {.port = 2};
    const uint8_t all[1] = {0xff};
    peer_has(s, 2, 0, PIECES);
    swarm_peer_window(s, &id, PIECES - 2);
    /* An older list of the tracker does not bring it back. */
    struct wire_peer said = {id, addr, *swarm_digest(s), {all, 1}};
    swarm_peer(s, &said);
    unsigned count = 0;
    for (; next(s, 0, 0, &g); count++) {
        assert_true(g.first >= PIECES - 2);
        swarm_end(s, g.id, SWARM_FAILED, 0, 0, 0); /* lost meanwhile: no reason for doubts */
    }
    assert_int_equal(count, 2);
    size_t at = 0;
    struct wire_doubt doubt;
    assert_false(swarm_doubt(s, 0, &at, &doubt));
    swarm_free(s);
}

static void
one_who_has_all_is_spared_by_many_who_share(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    peer_has(s, 2, 0, PIECES);
    for (uint8_t n = 3; n < 3 + SWARM_CROWD; n++)
        peer_has(s, n, 0, 1);
    assert_true(next(s, 0, 0, &g));
    while (next(s, 0, 0, &g))
        assert_true(g.first == 0 ? g.node.bytes[0] != 2 : g.node.bytes[0] == 2);
    swarm_free(s);
}

/* A swarm where node 2 has all, and these share: of the last pieces that only node 2 has, so
 * many. */
static struct swarm *
scarce(uint32_t pieces, uint32_t only, uint8_t sharers)
{
    struct digest d = unit_blob(1);
    struct swarm *s = swarm();
    swarm_free(s);
    s = swarm_new(&d, pieces * PIECE, WANTS, 0);
    for (uint32_t i = 0; i < pieces; i += PIECES)
        peer_has(s, 2, i, PIECES);
    for (uint8_t n = 3; n < 3 + sharers; n++) {
        peer_has(s, n, 0, 1);
        for (uint32_t i = 0; i < pieces - only; i += PIECES)
            peer_has(s, n, i, i + PIECES < pieces - only ? PIECES : pieces - only - i);
    }
    return s;
}

static void
take(struct swarm *s, const struct swarm_get *g, int64_t at_ms, int64_t took_us)
{
    swarm_piece(s, g->id, g->first, at_ms);
    swarm_end(s, g->id, SWARM_DONE, took_us, 0, at_ms);
}

/* Takes all that it can get from then on: how much of it came from node 2. One request to another
 * node runs all the time, because who is idle takes what is left to others in any case. */
static unsigned
taken_of_the_one(struct swarm *s, int64_t at_ms, int64_t took_us)
{
    struct swarm_get g, runs;
    unsigned taken = 1;
    assert_true(next(s, 0, at_ms, &g));
    assert_int_equal(g.node.bytes[0], 2);
    assert_true(next(s, 0, at_ms, &runs));
    assert_int_not_equal(runs.node.bytes[0], 2);
    take(s, &g, at_ms, took_us);
    while (next(s, 0, ++at_ms, &g)) {
        taken += g.node.bytes[0] == 2;
        take(s, &g, at_ms, took_us);
    }
    return taken;
}

static void
in_the_end_who_has_none_of_its_own_takes_what_is_left(void **state)
{
    (void)state;
    const uint32_t pieces = 8 * PIECES, last = SWARM_CROWD + 1, many = 4 * PIECES;
    struct swarm *s = scarce(pieces, last, SWARM_CROWD);
    assert_int_equal(taken_of_the_one(s, 0, 5000), last);
    swarm_free(s);
    s = scarce(pieces, many, SWARM_CROWD); /* the others shall take most of so many */
    assert_in_range(taken_of_the_one(s, 0, 5000), 1, many / 2);
    swarm_free(s);
}

/* Which of the last `only` pieces, 32 at most, node 2 gives to that node first, while the other of
 * nodes 1 and 3 shares: bits. */
static uint32_t
first_of_the_one(uint8_t node, unsigned count)
{
    const uint32_t pieces = 8 * PIECES, only = 4 * PIECES, from = pieces - only;
    struct swarm *s = scarce(pieces, only, node == 1);
    struct swarm_get g;
    uint32_t taken = 0;
    for (uint32_t i = 0; node == 3 && i < from; i += PIECES)
        peer_has(s, 1, i, PIECES);
    self = unit_node(node);
    while (count > 0) {
        assert_true(next(s, 0, 0, &g));
        if (g.first < from)
            continue; /* it runs */
        taken |= 1u << (g.first - from);
        count--;
        take(s, &g, 0, 5000);
    }
    swarm_free(s);
    return taken;
}

/* Two that share spare the only one that has all: each begins with other pieces. Who has taken its
 * own takes all, as the other may be slow. */
static void
one_alone_is_spared_by_two_while_both_get_on(void **state)
{
    (void)state;
    const uint32_t pieces = 8 * PIECES, only = 4 * PIECES;
    assert_int_equal(first_of_the_one(1, only / 4) & first_of_the_one(3, only / 4), 0);
    struct swarm *s = scarce(pieces, only, 1);
    assert_int_equal(taken_of_the_one(s, 0, 5000), only);
    swarm_free(s);
    s = scarce(pieces, only, 1);
    assert_in_range(taken_of_the_one(s, SWARM_SHARES_MS, 5000), only, pieces);
    swarm_free(s);
}

/* Of the pieces that only node 2 has, is one left to node 3 at that time, where pieces take so
 * long? */
static bool
is_spared_for_the_other(int64_t begun_ms, int64_t at_ms, int64_t took_us)
{
    const uint32_t pieces = 8 * PIECES, only = 4 * PIECES, from = pieces - only;
    struct digest d = unit_blob(1);
    struct swarm *s = swarm();
    struct swarm_get g, runs;
    uint32_t taken = 0, other = first_of_the_one(3, only / 4);
    swarm_free(s);
    s = swarm_new(&d, pieces * PIECE, WANTS, begun_ms);
    for (uint32_t i = 0; i < pieces; i += PIECES)
        peer_has(s, 2, i, PIECES);
    for (uint32_t i = 0; i < from; i += PIECES)
        peer_has(s, 3, i, PIECES);
    self = unit_node(1);
    assert_true(next(s, 0, begun_ms, &g));
    take(s, &g, begun_ms, took_us);
    assert_true(next(s, 0, at_ms, &g));
    assert_true(next(s, 0, at_ms, &runs));
    for (unsigned i = 0; i < only / 4; i++) {
        struct swarm_get *of = g.node.bytes[0] == 2 ? &g : &runs;
        if (of->first >= from)
            taken |= 1u << (of->first - from);
        take(s, of, at_ms, took_us);
        assert_true(next(s, 0, at_ms, of));
    }
    swarm_free(s);
    return (taken & other) == 0;
}

static void
where_pieces_take_long_who_gets_one_seldom_shares_too(void **state)
{
    (void)state;
    const int64_t late_ms = SWARM_SHARES_MS + 1000;
    assert_false(is_spared_for_the_other(0, late_ms, 5000));
    assert_true(is_spared_for_the_other(0, late_ms, 10000000));
    assert_true(is_spared_for_the_other(3 * late_ms, 3 * late_ms + 1, 5000)); /* time began there */
}

/* Of so many pieces that only node 2 has: for how many a reader who waits for them for 3 *
 * SWARM_STALL_MS has them asked for at once, where pieces take so long. */
static unsigned
asked_for_a_reader(uint32_t only, int64_t took_us)
{
    const uint32_t pieces = 8 * PIECES;
    unsigned asked = 0;
    for (uint32_t at = pieces - only; at < pieces; at++) {
        struct swarm *s = scarce(pieces, only, 1);
        struct swarm_get g, runs;
        swarm_cursor(s, 0, at * PIECE, 0);
        assert_true(next(s, 0, 0, &g)); /* of node 2, */
        assert_true(next(s, 0, 0, &runs));
        take(s, &g, 0, took_us);
        assert_true(next(s, 0, 3 * SWARM_STALL_MS, &runs));
        asked += g.first == at || runs.first == at;
        swarm_free(s);
    }
    return asked;
}

static void
a_reader_stands_still_when_it_waits_for_longer_than_pieces_take(void **state)
{
    (void)state;
    const uint32_t only = 4 * PIECES;
    assert_int_equal(asked_for_a_reader(only, 5000), only);
    assert_in_range(asked_for_a_reader(only, SWARM_STALL_MS * 1000), 1, only * 3 / 4);
}

static void
beside_a_request_to_the_wan_less_is_asked_of_peers(void **state)
{
    (void)state;
    const struct digest d = unit_blob(1);
    for (unsigned leases = 0; leases < 2; leases++) {
        struct swarm *s = swarm_new(&d, 2 * PIECES * PIECE, WANTS, 0);
        struct wire_grant grant = {
            .digest = d, .lease = 70000, .first = 2 * PIECES - 1, .count = 1};
        struct swarm_get g;
        unsigned lan = 0, wan = 0;
        for (uint8_t n = 2; n < 2 + SWARM_LAN_GETS; n++) {
            peer_has(s, n, 0, PIECES);
            peer_has(s, n, PIECES, PIECES - 1);
        }
        if (leases > 0)
            swarm_granted(s, &grant);
        while (next(s, 0, 0, &g)) {
            wan += g.source == SWARM_WAN;
            lan += g.source == SWARM_LAN;
        }
        assert_int_equal(wan, leases);
        assert_int_equal(lan, leases > 0 ? SWARM_LAN_BESIDE : SWARM_LAN_GETS);
        swarm_free(s);
    }
}

static void
who_leaves_and_comes_back_at_once_asks_anew(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    unsigned before = 0, again = 0;
    uint32_t old = 0;
    peer_has(s, 2, 0, PIECES);
    peer_has(s, 3, 0, PIECES);
    for (; next(s, 0, 0, &g); before++)
        old = g.id;
    assert_true(before > 0);
    swarm_leave(s); /* its requests are ended, and nobody says so */
    assert_int_equal(swarm_sum(s).lan_gets, 0);
    swarm_flags(s, WANTS);
    for (; next(s, 0, 1, &g); again++)
        assert_int_not_equal(g.id, old);
    assert_int_equal(again, before);
    swarm_end(s, old, SWARM_DONE, 5000, 0, 2); /* or late */
    assert_int_equal(swarm_sum(s).lan_gets, before);
    swarm_free(s);
}

static void
a_failed_request_goes_to_another_peer(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    peer_has(s, 2, 0, 1);
    assert_true(next(s, 0, 0, &g));
    peer_has(s, 3, 0, 1);
    swarm_end(s, g.id, SWARM_FAILED, 0, 0, 1);
    assert_true(next(s, 0, 1, &g));
    assert_int_equal(g.first, 0);
    assert_int_equal(g.node.bytes[0], 3);
    swarm_free(s);
}

static void
a_peer_that_gives_nothing_is_not_believed_for_a_while(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    struct wire_doubt d;
    size_t at = 0;
    peer_has(s, 2, 0, PIECES);
    for (unsigned i = 0; i < SWARM_REFUSED_MAX; i++) {
        assert_false(swarm_doubt(s, 0, &at, &d));
        at = 0;
        assert_true(next(s, 0, 0, &g));
        swarm_end(s, g.id, SWARM_FAILED, 0, 0, 0);
    }
    assert_true(swarm_doubt(s, 0, &at, &d));
    assert_int_equal(d.node.bytes[0], 2);
    assert_false(swarm_doubt(s, 0, &at, &d));
    at = 0;
    assert_true(swarm_doubt(s, SWARM_DOUBT_MS - 1, &at, &d));
    at = 0;
    assert_false(swarm_doubt(s, SWARM_DOUBT_MS, &at, &d)); /* it may be asked again */
    const int64_t rested_ms = RANK_QUARANTINE_MS_MAX;
    (void)next(s, 0, SWARM_DOUBT_MS - 1, &g);
    peer_has(s, 2, 0, PIECES);
    assert_false(next(s, 0, SWARM_DOUBT_MS + rested_ms, &g));
    peer_has(s, 2, 0, PIECES);
    assert_true(next(s, 0, SWARM_DOUBT_MS + rested_ms, &g));
    swarm_piece(s, g.id, g.first, SWARM_DOUBT_MS);
    swarm_end(s, g.id, SWARM_DONE, 1000, 0, SWARM_DOUBT_MS);
    struct node_id two = unit_node(2);
    assert_true(swarm_gave(s, &two, SWARM_DOUBT_MS));
    assert_false(swarm_gave(s, &two, SWARM_DOUBT_MS + 1));
    swarm_free(s);
}

/* Of who gave a piece once it takes more. */
static void
one_denial_is_enough_of_who_never_gave_a_piece(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    struct wire_doubt d;
    size_t at = 0;
    peer_has(s, 2, 0, PIECES);
    assert_true(next(s, 0, 0, &g));
    swarm_piece(s, g.id, g.first, 0);
    swarm_end(s, g.id, SWARM_DONE, 1000, 0, 0);
    assert_true(next(s, 0, 0, &g));
    swarm_end(s, g.id, SWARM_DENIED, 0, 0, 0);
    assert_false(swarm_doubt(s, 0, &at, &d));
    peer_has(s, 3, 0, PIECES);
    for (unsigned i = 0; i < 2; i++) { /* one of each */
        assert_true(next(s, 0, 0, &g));
        if (g.node.bytes[0] == 3)
            swarm_end(s, g.id, SWARM_DENIED, 0, 0, 0);
    }
    at = 0;
    assert_true(swarm_doubt(s, 0, &at, &d));
    assert_int_equal(d.node.bytes[0], 3);
    assert_false(swarm_doubt(s, 0, &at, &d));
    swarm_free(s);
}

static void
who_gives_nothing_is_told_once_to_those_who_share_other_blobs(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    struct node_id who, two = unit_node(2);
    int64_t since_ms;
    size_t at = 0;
    peer_has(s, 2, 0, PIECES);
    for (unsigned i = 0; i < SWARM_REFUSED_MAX; i++) {
        assert_false(swarm_suspect(s, &at, &who, &since_ms));
        at = 0;
        assert_true(next(s, 0, 10, &g));
        swarm_end(s, g.id, SWARM_FAILED, 0, 0, 10 + i);
    }
    assert_true(swarm_suspect(s, &at, &who, &since_ms));
    assert_true(node_equal(&who, &two));
    assert_int_equal(since_ms, 10);
    at = 0;
    assert_false(swarm_suspect(s, &at, &who, &since_ms));
    assert_false(swarm_gave(s, &two, 0));
    swarm_free(s);
}

static void
a_busy_peer_is_left_alone_as_long_as_it_said(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    peer_has(s, 2, 0, 1);
    assert_true(next(s, 0, 0, &g));
    swarm_end(s, g.id, SWARM_BUSY, 0, 30, 1);
    assert_false(next(s, 0, 30, &g));
    assert_true(next(s, 0, 31, &g));
    swarm_free(s);
}

static void
what_a_busy_peer_got_meanwhile_is_asked_for_once_it_is_not(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    peer_has(s, 2, 0, 1);
    assert_true(next(s, 0, 0, &g));
    swarm_end(s, g.id, SWARM_BUSY, 0, 30, 1);
    peer_has(s, 3, 0, 1);
    assert_true(next(s, 0, 2, &g));
    swarm_piece(s, g.id, 0, 3);
    swarm_end(s, g.id, SWARM_DONE, 1000, 0, 3);
    assert_false(next(s, 0, 4, &g)); /* nobody has anything else */
    peer_has(s, 2, 1, 1);
    assert_false(next(s, 0, 30, &g));
    assert_true(next(s, 0, 31, &g));
    assert_int_equal(g.first, 1);
    swarm_free(s);
}

static void
a_granted_lease_becomes_one_request_without_what_is_held(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    struct wire_grant grant = {.digest = *swarm_digest(s), .lease = 70000, .first = 2, .count = 3};
    swarm_hold(s, 2);
    swarm_granted(s, &grant);
    assert_true(next(s, 0, 0, &g));
    assert_int_equal(g.source, SWARM_WAN);
    assert_int_equal(g.first, 3);
    assert_int_equal(g.count, 2);
    peer_has(s, 2, 0, PIECES);
    while (next(s, 0, 0, &g))
        assert_true(g.first < 2 || g.first > 4); /* what comes over the WAN is not asked twice */
    swarm_free(s);
}

static void
what_a_lease_covers_is_not_asked_for_when_a_peer_fails(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get peer, wan, g;
    struct wire_grant grant = {.digest = *swarm_digest(s), .lease = 70000, .count = 4};
    peer_has(s, 2, 1, 1);
    assert_true(next(s, 0, 0, &peer));
    assert_int_equal(peer.source, SWARM_LAN);
    swarm_granted(s, &grant);
    assert_true(next(s, 0, 0, &wan));
    assert_int_equal(wan.source, SWARM_WAN);
    assert_int_equal(wan.count, 4);
    swarm_end(s, peer.id, SWARM_FAILED, 5000, 0, 10);
    peer_has(s, 3, 1, 1);
    assert_false(next(s, 0, 20, &g)); /* it comes from upstream */
    swarm_end(s, wan.id, SWARM_FAILED, 5000, 0, 30);
    assert_true(next(s, 0, 40, &g));
    assert_int_equal(g.source, SWARM_LAN);
    assert_int_equal(g.first, 1);
    swarm_free(s);
}

static void
what_a_trim_takes_away_may_come_from_a_peer(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g, lan;
    struct wire_grant grant = {.digest = *swarm_digest(s), .lease = 70000, .first = 0, .count = 4};
    struct wire_trim trim = {.digest = *swarm_digest(s), .lease = 70000, .end = 2};
    uint32_t get, end;
    swarm_granted(s, &grant);
    assert_true(next(s, 0, 0, &g));
    assert_true(swarm_trimmed(s, &trim, &get, &end));
    assert_int_equal(get, g.id);
    assert_int_equal(end, 2);
    peer_has(s, 2, 3, 1);
    assert_true(next(s, 0, 0, &lan));
    assert_int_equal(lan.first, 3);
    swarm_free(s);
}

static void
without_a_tracker_a_node_fetches_the_runs_that_are_its_own(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    assert_false(next(s, SWARM_ORPHAN_MS - 1, 0, &g));
    assert_true(next(s, SWARM_ORPHAN_MS, 0, &g)); /* alone it owns everything */
    assert_int_equal(g.source, SWARM_WAN);
    assert_int_equal(g.first, 0);
    assert_int_equal(g.count, SWARM_RUN);
    struct wire_fetching f;
    size_t at = 0;
    assert_true(swarm_report(s, &at, &f));
    assert_in_range(f.lease, 1, DUTY_OWN_IDS);
    swarm_free(s);
}

static void
a_run_without_a_tracker_has_one_owner(void **state)
{
    (void)state;
    unsigned owners = 0;
    for (uint8_t me = 1; me <= 4; me++) {
        struct swarm *s = swarm();
        struct swarm_get g;
        for (uint8_t o = 1; o <= 4; o++) {
            struct member m = {.id = unit_node(o), .seq = 1};
            if (o != me)
                assert_true(member_heard(&members, &m, 0));
        }
        self = unit_node(me);
        owners += next(s, SWARM_ORPHAN_MS, 0, &g);
        swarm_free(s);
    }
    assert_int_equal(owners, 1);
}

static void
a_reader_that_stands_still_is_rescued(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    swarm_cursor(s, 0, 5 * PIECE, 0);
    assert_false(next(s, 0, SWARM_RESCUE_MS - 1, &g));
    assert_true(next(s, 0, SWARM_RESCUE_MS, &g));
    assert_int_equal(g.source, SWARM_WAN);
    assert_int_equal(g.first, 5);
    assert_int_equal(g.count, 1);
    swarm_free(s);
}

static void
while_the_tracker_answers_a_reader_waits_for_a_thin_wan(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    swarm_cursor(s, 0, 4 * PIECE, 0);
    swarm_cursor(s, 0, 5 * PIECE, 0);
    swarm_taken(s, SWARM_RESCUE_MS);
    assert_false(next(s, 0, SWARM_RESCUE_MS, &g));
    swarm_taken(s, SWARM_PATIENT_MS);
    assert_false(next(s, 0, SWARM_PATIENT_MS - 1, &g));
    assert_true(next(s, 0, SWARM_PATIENT_MS, &g));
    assert_int_equal(g.first, 5);
    assert_int_equal(g.sip, SWARM_SIP_BYTES);
    swarm_end(s, g.id, SWARM_FAILED, 0, 0, SWARM_PATIENT_MS);
    assert_false(next(s, 0, SWARM_PATIENT_MS + SWARM_RESCUE_MS - 1, &g)); /* not on and on */
    swarm_free(s);
}

/* So long a reader of the node waits for a first byte before it sips of piece 0. */
static int64_t
sips_at(uint8_t node)
{
    struct swarm *s = swarm();
    struct swarm_get g;
    int64_t now_ms = SWARM_RESCUE_MS;
    self = unit_node(node);
    swarm_cursor(s, 0, 0, 0);
    for (swarm_taken(s, now_ms); !next(s, 0, now_ms, &g); now_ms++)
        swarm_taken(s, now_ms);
    assert_int_equal(g.sip, SWARM_SIP_BYTES);
    swarm_free(s);
    return now_ms;
}

static int
in_order(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The answers to all at once are more than a thin WAN has a queue for. */
static void
the_nodes_of_a_site_do_not_all_sip_at_once(void **state)
{
    (void)state;
    int64_t at_ms[16];
    for (uint8_t i = 0; i < 16; i++)
        at_ms[i] = sips_at(i + 1);
    qsort(at_ms, 16, sizeof at_ms[0], in_order);
    assert_in_range(at_ms[0], SWARM_FIRST_MS - SWARM_SPREAD_MS, SWARM_FIRST_MS);
    assert_in_range(at_ms[15], at_ms[0] + SWARM_SPREAD_MS / 2, SWARM_FIRST_MS);
    for (unsigned i = 0; i < 12; i++) /* at most four in a tenth */
        assert_true(at_ms[i + 4] - at_ms[i] > SWARM_SPREAD_MS / 10);
}

/* Its client is given some bytes; the piece comes by a lease of another node. */
static void
a_reader_without_any_byte_sips_of_a_thin_wan(void **state)
{
    (void)state;
    int64_t sip_ms = sips_at(1);
    struct swarm *s = swarm();
    struct swarm_get g;
    struct wire_fetching f;
    size_t at = 0;
    swarm_hold(s, 3); /* of no use to it */
    swarm_cursor(s, 0, 0, 0);
    swarm_taken(s, sip_ms);
    assert_false(next(s, 0, sip_ms - 1, &g));
    assert_true(next(s, 0, sip_ms, &g));
    assert_int_equal(g.source, SWARM_WAN);
    assert_int_equal(g.first, 0);
    assert_int_equal(g.count, 1);
    assert_int_equal(g.sip, SWARM_SIP_BYTES);
    swarm_taken(s, sip_ms + SWARM_RESCUE_MS);
    assert_false(next(s, 0, sip_ms + SWARM_RESCUE_MS, &g)); /* one at a time */
    swarm_progress(s, g.id, SWARM_SIP_BYTES, sip_ms);
    swarm_end(s, g.id, SWARM_DONE, 0, 0, sip_ms);
    assert_false(swarm_report(s, &at, &f)); /* the lease stays what it is */
    swarm_free(s);
}

/* It would begin and end as fast as can be. */
static void
a_sip_that_brought_nothing_does_not_begin_again_at_once(void **state)
{
    (void)state;
    int64_t sip_ms = sips_at(1);
    struct swarm *s = swarm();
    struct swarm_get g;
    swarm_cursor(s, 0, 0, 0);
    swarm_taken(s, sip_ms);
    assert_true(next(s, 0, sip_ms, &g));
    assert_int_equal(g.sip, SWARM_SIP_BYTES);
    swarm_end(s, g.id, SWARM_DONE, 0, 0, sip_ms);
    assert_false(next(s, 0, sip_ms + SWARM_STALL_MS - 1, &g));
    assert_true(next(s, 0, sip_ms + SWARM_STALL_MS, &g));
    assert_int_equal(g.sip, SWARM_SIP_BYTES);
    swarm_free(s);
}

/* A peer that had the piece at last was asked for it instead of the registry, and is busy. */
static void
who_ended_a_sip_for_a_busy_peer_need_not_wait_for_another_turn(void **state)
{
    (void)state;
    int64_t sip_ms = sips_at(1);
    struct swarm *s = swarm();
    struct swarm_get sip, g;
    int64_t now_ms = sip_ms + 500;
    swarm_cursor(s, 0, 0, 0);
    swarm_taken(s, sip_ms);
    assert_true(next(s, 0, sip_ms, &sip));
    peer_has(s, 2, 0, 1);
    assert_true(next(s, 0, now_ms, &g));
    swarm_end(s, sip.id, SWARM_DONE, 0, 0, now_ms);
    swarm_end(s, g.id, SWARM_BUSY, 0, 10 * SWARM_RESCUE_MS, now_ms);
    swarm_taken(s, now_ms);
    assert_true(next(s, 0, now_ms + SWARM_STALL_MS, &g));
    assert_int_equal(g.source, SWARM_WAN);
    assert_int_equal(g.first, 0);
    swarm_free(s);
}

static void
a_sip_that_finds_no_place_is_taken_once_there_is_one(void **state)
{
    (void)state;
    int64_t sip_ms = sips_at(1);
    struct swarm *s = swarm();
    struct swarm_get g;
    swarm_cursor(s, 0, 0, 0);
    for (uint32_t i = 0; i < DUTIES_MAX; i++) {
        struct wire_grant grant = {
            .digest = *swarm_digest(s), .lease = 70000 + i, .first = 1 + i, .count = 1};
        swarm_granted(s, &grant);
        assert_true(next(s, 0, 0, &g));
        swarm_end(s, g.id, SWARM_FAILED, 0, 0, 0);
    }
    swarm_told(s);
    assert_false(next(s, 0, sip_ms, &g));
    swarm_taken(s, sip_ms);
    assert_true(next(s, 0, sip_ms, &g));
    assert_int_equal(g.sip, SWARM_SIP_BYTES);
    swarm_free(s);
}

static void
who_sips_fetches_what_is_its_own_beside_it(void **state)
{
    (void)state;
    int64_t sip_ms = sips_at(1);
    struct swarm *s = swarm();
    struct swarm_get g;
    struct swarm_sum sum;
    swarm_cursor(s, 0, 0, 0);
    swarm_taken(s, sip_ms);
    assert_true(next(s, 0, sip_ms, &g));
    assert_int_equal(g.sip, SWARM_SIP_BYTES);
    assert_true(next(s, SWARM_ORPHAN_MS, sip_ms, &g));
    assert_int_equal(g.source, SWARM_WAN);
    assert_int_equal(g.sip, 0);
    sum = swarm_sum(s);
    assert_int_equal(sum.wan_gets, 2);
    swarm_free(s);
}

static void
a_sip_that_was_cut_short_is_gone_on_with(void **state)
{
    (void)state;
    int64_t sip_ms = sips_at(1);
    struct swarm *s = swarm();
    struct swarm_get g;
    swarm_cursor(s, 0, 500, 0);
    swarm_taken(s, sip_ms);
    assert_true(next(s, 0, sip_ms, &g));
    assert_int_equal(g.sip, 500 + SWARM_SIP_BYTES);
    swarm_free(s);
}

/* Its own WAN may be so thin that this takes longer than all of the piece from a peer. */
static void
a_piece_that_is_sipped_may_come_from_a_peer(void **state)
{
    (void)state;
    int64_t sip_ms = sips_at(1);
    struct swarm *s = swarm();
    struct swarm_get sip, g;
    swarm_cursor(s, 0, 0, 0);
    swarm_taken(s, sip_ms);
    assert_true(next(s, 0, sip_ms, &sip));
    assert_int_equal(sip.sip, SWARM_SIP_BYTES);
    peer_has(s, 2, 0, 1);
    assert_true(next(s, 0, sip_ms, &g));
    assert_int_equal(g.source, SWARM_LAN);
    assert_int_equal(g.first, 0);
    swarm_end(s, sip.id, SWARM_DONE, 0, 0, sip_ms);
    assert_false(next(s, 0, sip_ms, &sip)); /* it is still asked for */
    swarm_piece(s, g.id, 0, sip_ms);
    swarm_end(s, g.id, SWARM_DONE, 5000, 0, sip_ms);
    assert_true(swarm_holds(s, 0));
    swarm_free(s);
}

static void
who_sipped_takes_the_piece_when_it_does_not_come(void **state)
{
    (void)state;
    int64_t sip_ms = sips_at(1);
    int64_t due_ms = sip_ms;
    struct swarm *s = swarm();
    struct swarm_get g;
    swarm_cursor(s, 0, 0, 0);
    for (uint32_t sips = 1; sips <= SWARM_SIPS_MAX; sips++) {
        swarm_taken(s, due_ms);
        assert_false(next(s, 0, due_ms - 1, &g));
        assert_true(next(s, 0, due_ms, &g));
        assert_int_equal(g.first, 0);
        assert_int_equal(g.sip, sips * SWARM_SIP_BYTES);
        swarm_end(s, g.id, SWARM_DONE, 0, 0, due_ms);
        swarm_cursor(s, 0, sips * SWARM_SIP_BYTES, due_ms);
        due_ms += SWARM_PATIENT_MS;
    }
    swarm_taken(s, due_ms);
    assert_false(next(s, 0, due_ms - 1, &g));
    assert_true(next(s, 0, due_ms, &g));
    assert_int_equal(g.source, SWARM_WAN);
    assert_int_equal(g.first, 0);
    assert_int_equal(g.sip, 0);
    swarm_free(s);
}

/* Its own lease is of other pieces. */
static void
who_fetches_sips_beside_it(void **state)
{
    (void)state;
    int64_t sip_ms = sips_at(1);
    struct swarm *s = swarm();
    struct swarm_get lease, g;
    struct wire_grant grant = {.digest = *swarm_digest(s), .lease = 70000, .first = 4, .count = 2};
    swarm_cursor(s, 0, 0, 0);
    swarm_granted(s, &grant);
    assert_true(next(s, 0, 0, &lease));
    swarm_taken(s, sip_ms);
    assert_false(next(s, 0, sip_ms - 1, &g));
    assert_true(next(s, 0, sip_ms, &g));
    assert_int_equal(g.first, 0);
    assert_int_equal(g.sip, SWARM_SIP_BYTES);
    swarm_end(s, g.id, SWARM_FAILED, 0, 0, sip_ms);
    /* The tracker is gone: all of the piece is wanted, and that is not for now. */
    assert_false(next(s, 0, sip_ms + SWARM_RESCUE_MS - 1, &g));
    assert_true(next(s, 0, sip_ms + SWARM_RESCUE_MS, &g));
    assert_int_equal(g.sip, SWARM_SIP_BYTES);
    swarm_end(s, g.id, SWARM_FAILED, 0, 0, sip_ms);
    swarm_end(s, lease.id, SWARM_DONE, 0, 0, sip_ms + 2 * SWARM_RESCUE_MS);
    assert_false(next(s, 0, sip_ms + 2 * SWARM_RESCUE_MS - 1, &g));
    assert_true(next(s, 0, sip_ms + 2 * SWARM_RESCUE_MS, &g));
    assert_int_equal(g.first, 0);
    assert_int_equal(g.sip, 0);
    swarm_free(s);
}

/* Its port may be all that is slow in the site. */
static void
a_reader_without_any_byte_does_not_wait_for_one_slow_peer(void **state)
{
    (void)state;
    int64_t sip_ms = sips_at(1);
    struct swarm *s = swarm();
    struct swarm_get lan, sip, g;
    peer_has(s, 2, 0, 1);
    swarm_cursor(s, 0, 0, 0);
    swarm_taken(s, sip_ms);
    assert_true(next(s, 0, 0, &lan));
    assert_int_equal(lan.source, SWARM_LAN);
    assert_false(next(s, 0, sip_ms - 1, &g));
    assert_true(next(s, 0, sip_ms, &sip));
    assert_int_equal(sip.source, SWARM_WAN);
    assert_int_equal(sip.first, 0);
    assert_int_equal(sip.sip, SWARM_SIP_BYTES);
    swarm_progress(s, sip.id, SWARM_SIP_BYTES, sip_ms);
    swarm_end(s, sip.id, SWARM_DONE, 0, 0, sip_ms);
    swarm_cursor(s, 0, SWARM_SIP_BYTES, sip_ms);
    swarm_taken(s, sip_ms + SWARM_PATIENT_MS);
    assert_false(next(s, 0, sip_ms + SWARM_PATIENT_MS, &g)); /* it is still asked for */
    swarm_piece(s, lan.id, 0, sip_ms);
    assert_true(swarm_holds(s, 0));
    swarm_free(s);
}

/* The registry's bytes come one after the other, a peer's when all are there. */
static void
what_is_asked_of_the_registry_is_not_sipped(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    struct wire_grant grant = {.digest = *swarm_digest(s), .lease = 70000, .first = 0, .count = 2};
    swarm_cursor(s, 0, 0, 0);
    swarm_granted(s, &grant);
    assert_true(next(s, 0, 0, &g));
    swarm_taken(s, SWARM_FIRST_MS);
    assert_false(next(s, 0, SWARM_FIRST_MS, &g));
    swarm_free(s);
}

/* The whole piece, at SWARM_FIRST_MS. */
static void
is_not_sipped(struct swarm *s, uint64_t pos)
{
    struct swarm_get g;
    swarm_cursor(s, 0, pos, 0);
    swarm_taken(s, SWARM_FIRST_MS);
    assert_true(next(s, 0, SWARM_FIRST_MS, &g));
    assert_int_equal(g.source, SWARM_WAN);
    assert_int_equal(g.first, 0);
    assert_int_equal(g.sip, 0);
    swarm_free(s);
}

static void
where_a_sip_is_no_help_the_whole_piece_is_taken(void **state)
{
    (void)state;
    struct digest d = unit_blob(1);
    is_not_sipped(swarm(), SWARM_SIPS_MAX * SWARM_SIP_BYTES);
    is_not_sipped(swarm_new(&d, SWARM_SIP_PIECE, WANTS, 0), 0);
}

/* A reader stands at piece 5 since 0, and had bytes before. */
static struct swarm *
stands_at_five(int64_t now_ms)
{
    struct swarm *s = swarm();
    swarm_cursor(s, 0, 4 * PIECE, 0);
    swarm_cursor(s, 0, 5 * PIECE, 0);
    swarm_taken(s, now_ms);
    return s;
}

/* A peer has it then, and has no place for long. */
static void
comes_to_a_busy_peer(struct swarm *s, int64_t came_ms)
{
    struct swarm_get g;
    peer_has(s, 2, 5, 1);
    assert_true(next(s, 0, came_ms, &g));
    assert_int_equal(g.source, SWARM_LAN);
    swarm_end(s, g.id, SWARM_BUSY, 0, 10 * SWARM_RESCUE_MS, came_ms);
}

/* From then on it is waited for as long as for any piece that a peer has. */
static void
is_rescued_later(struct swarm *s, int64_t came_ms, int64_t now_ms)
{
    struct swarm_get g;
    assert_false(next(s, 0, now_ms, &g));
    swarm_taken(s, came_ms + SWARM_RESCUE_MS);
    assert_false(next(s, 0, came_ms + SWARM_RESCUE_MS - 1, &g));
    assert_true(next(s, 0, came_ms + SWARM_RESCUE_MS, &g));
    assert_int_equal(g.source, SWARM_WAN);
    assert_int_equal(g.first, 5);
    swarm_free(s);
}

static void
a_piece_that_a_peer_has_at_last_is_not_rescued_at_once(void **state)
{
    (void)state;
    const int64_t came_ms = 2 * SWARM_RESCUE_MS;
    struct swarm *s = stands_at_five(came_ms);
    struct swarm_get g;
    assert_false(next(s, 0, came_ms - 1, &g));
    comes_to_a_busy_peer(s, came_ms);
    is_rescued_later(s, came_ms, came_ms + 1);
}

/* No rescue was near before. */
static void
nor_is_one_that_comes_just_before_its_rescue(void **state)
{
    (void)state;
    const int64_t came_ms = SWARM_RESCUE_MS - 100;
    struct swarm *s = stands_at_five(came_ms);
    comes_to_a_busy_peer(s, came_ms);
    is_rescued_later(s, came_ms, SWARM_RESCUE_MS);
}

/* Nor could this node rescue anything meanwhile. */
static void
nor_is_one_that_came_while_a_lease_ran(void **state)
{
    (void)state;
    const int64_t came_ms = 4 * SWARM_RESCUE_MS;
    struct swarm *s = stands_at_five(came_ms);
    struct wire_grant grant = {.digest = *swarm_digest(s), .lease = 70000, .first = 0, .count = 2};
    struct swarm_get lease;
    swarm_granted(s, &grant);
    assert_true(next(s, 0, 0, &lease));
    assert_int_equal(lease.source, SWARM_WAN);
    comes_to_a_busy_peer(s, came_ms);
    swarm_end(s, lease.id, SWARM_DONE, 0, 0, came_ms + 100);
    is_rescued_later(s, came_ms, came_ms + 100);
}

static void
a_piece_that_its_holder_does_not_give_is_rescued_soon(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    swarm_cursor(s, 0, 0, 0);
    peer_has(s, 2, 0, 1);
    assert_true(next(s, 0, 0, &g));
    swarm_end(s, g.id, SWARM_FAILED, 0, 0, 1000);
    swarm_taken(s, SWARM_RESCUE_MS);
    assert_true(next(s, 0, SWARM_RESCUE_MS, &g));
    assert_int_equal(g.source, SWARM_WAN);
    swarm_free(s);
}

static void
who_may_not_read_upstream_any_more_gives_its_lease_back(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    struct wire_fetching f;
    struct wire_grant grant = {.digest = *swarm_digest(s), .lease = 70000, .first = 2, .count = 3};
    size_t at = 0;
    swarm_flags(s, WIRE_WANTS | WIRE_SERVES);
    swarm_granted(s, &grant); /* crossed our word */
    assert_false(next(s, 0, 0, &g));
    assert_true(swarm_report(s, &at, &f));
    assert_int_equal(f.state, WIRE_LEFT);
    swarm_flags(s, WANTS);
    grant.lease++;
    swarm_granted(s, &grant);
    assert_true(next(s, 0, 0, &g));
    assert_int_equal(g.first, 2);
    swarm_free(s);
}

static void
who_rests_asks_for_no_lease_and_gives_back_what_it_has(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct wire_fetching f;
    struct wire_blob b;
    struct wire_grant grant = {.digest = *swarm_digest(s), .lease = 70000, .first = 2, .count = 3};
    size_t at = 0;
    swarm_announce(s, 0, &b);
    assert_int_equal(b.idle_leases, 1);
    swarm_granted(s, &grant);
    swarm_rest(s, true);
    assert_true(swarm_report(s, &at, &f));
    assert_int_equal(f.state, WIRE_LEFT);
    swarm_announce(s, 0, &b);
    assert_int_equal(b.idle_leases, 0);
    swarm_rest(s, false);
    swarm_announce(s, 0, &b);
    assert_int_equal(b.idle_leases, 1);
    swarm_free(s);
}

/* The last bytes of a lease ask for the next, not for the one after it. */
static void
no_third_lease_is_asked_for_while_the_second_begins(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    struct wire_blob b;
    struct wire_grant grant = {.digest = *swarm_digest(s), .lease = 70000, .first = 0, .count = 1};
    swarm_granted(s, &grant);
    assert_true(next(s, 0, 0, &g));
    swarm_progress(s, g.id, PIECE / 2, 1000);
    swarm_announce(s, 1000, &b);
    assert_int_equal(b.idle_leases, 0);
    swarm_progress(s, g.id, PIECE / 2 - 1, 2000);
    swarm_announce(s, 2000, &b);
    assert_int_equal(b.idle_leases, 1);
    grant = (struct wire_grant){.digest = *swarm_digest(s), .lease = 70001, .first = 1, .count = 3};
    swarm_granted(s, &grant);
    swarm_progress(s, g.id, 1, 2010);
    swarm_piece(s, g.id, 0, 2010);
    swarm_end(s, g.id, SWARM_DONE, 2010000, 0, 2010);
    assert_true(next(s, 2010, 2010, &g));
    swarm_announce(s, 2020, &b);
    assert_int_equal(b.idle_leases, 0);
    swarm_free(s);
}

static void
who_may_not_read_upstream_does_not_fetch_there(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    swarm_flags(s, WIRE_WANTS | WIRE_SERVES);
    swarm_cursor(s, 0, 0, 0);
    assert_false(next(s, 10000, 10000, &g));
    swarm_free(s);
}

static void
an_announcement_says_what_is_held_wanted_and_read(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct wire_blob b;
    swarm_hold(s, 1);
    swarm_cursor(s, 0, 3 * PIECE, 0);
    swarm_cursor(s, 1, 2 * PIECE, 0);
    swarm_announce(s, 0, &b);
    assert_true(wire_bit(&b.held, 1) && !wire_bit(&b.held, 0));
    assert_int_equal(b.cursor, 2 * PIECE);
    assert_int_equal(b.idle_leases, 1);
    assert_int_equal(b.flags, WANTS);
    swarm_cursor(s, 1, UINT64_MAX, 0);
    for (uint32_t p = 0; p < PIECES; p++)
        swarm_hold(s, p);
    swarm_announce(s, 0, &b);
    assert_int_equal(b.cursor, 3 * PIECE);
    assert_int_equal(b.idle_leases, 0);
    assert_int_equal(b.flags, WIRE_MAY_FETCH | WIRE_SERVES);
    assert_true(swarm_whole(s));
    swarm_free(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_asked_for_that_nobody_has),
        cmocka_unit_test(a_piece_that_came_is_held_and_told),
        cmocka_unit_test(only_pieces_of_the_window_are_wanted),
        cmocka_unit_test(what_left_the_window_of_a_peer_is_not_asked_of_it),
        cmocka_unit_test(many_nodes_tell_in_turns),
        cmocka_unit_test(what_peers_give_is_told_together_where_the_wan_is_slow),
        cmocka_unit_test(who_is_busy_again_is_left_alone_for_longer),
        cmocka_unit_test(one_who_has_all_is_spared_by_many_who_share),
        cmocka_unit_test(in_the_end_who_has_none_of_its_own_takes_what_is_left),
        cmocka_unit_test(one_alone_is_spared_by_two_while_both_get_on),
        cmocka_unit_test(where_pieces_take_long_who_gets_one_seldom_shares_too),
        cmocka_unit_test(a_reader_stands_still_when_it_waits_for_longer_than_pieces_take),
        cmocka_unit_test(beside_a_request_to_the_wan_less_is_asked_of_peers),
        cmocka_unit_test(who_leaves_and_comes_back_at_once_asks_anew),
        cmocka_unit_test(a_failed_request_goes_to_another_peer),
        cmocka_unit_test(a_peer_that_gives_nothing_is_not_believed_for_a_while),
        cmocka_unit_test(one_denial_is_enough_of_who_never_gave_a_piece),
        cmocka_unit_test(who_gives_nothing_is_told_once_to_those_who_share_other_blobs),
        cmocka_unit_test(a_busy_peer_is_left_alone_as_long_as_it_said),
        cmocka_unit_test(what_a_busy_peer_got_meanwhile_is_asked_for_once_it_is_not),
        cmocka_unit_test(a_granted_lease_becomes_one_request_without_what_is_held),
        cmocka_unit_test(what_a_lease_covers_is_not_asked_for_when_a_peer_fails),
        cmocka_unit_test(what_a_trim_takes_away_may_come_from_a_peer),
        cmocka_unit_test(without_a_tracker_a_node_fetches_the_runs_that_are_its_own),
        cmocka_unit_test(a_run_without_a_tracker_has_one_owner),
        cmocka_unit_test(a_reader_that_stands_still_is_rescued),
        cmocka_unit_test(while_the_tracker_answers_a_reader_waits_for_a_thin_wan),
        cmocka_unit_test(the_nodes_of_a_site_do_not_all_sip_at_once),
        cmocka_unit_test(a_reader_without_any_byte_sips_of_a_thin_wan),
        cmocka_unit_test(a_piece_that_is_sipped_may_come_from_a_peer),
        cmocka_unit_test(a_sip_that_brought_nothing_does_not_begin_again_at_once),
        cmocka_unit_test(a_reader_without_any_byte_does_not_wait_for_one_slow_peer),
        cmocka_unit_test(what_is_asked_of_the_registry_is_not_sipped),
        cmocka_unit_test(who_ended_a_sip_for_a_busy_peer_need_not_wait_for_another_turn),
        cmocka_unit_test(a_sip_that_finds_no_place_is_taken_once_there_is_one),
        cmocka_unit_test(who_sips_fetches_what_is_its_own_beside_it),
        cmocka_unit_test(a_sip_that_was_cut_short_is_gone_on_with),
        cmocka_unit_test(who_sipped_takes_the_piece_when_it_does_not_come),
        cmocka_unit_test(who_fetches_sips_beside_it),
        cmocka_unit_test(where_a_sip_is_no_help_the_whole_piece_is_taken),
        cmocka_unit_test(a_piece_that_a_peer_has_at_last_is_not_rescued_at_once),
        cmocka_unit_test(nor_is_one_that_comes_just_before_its_rescue),
        cmocka_unit_test(nor_is_one_that_came_while_a_lease_ran),
        cmocka_unit_test(a_piece_that_its_holder_does_not_give_is_rescued_soon),
        cmocka_unit_test(who_may_not_read_upstream_any_more_gives_its_lease_back),
        cmocka_unit_test(who_rests_asks_for_no_lease_and_gives_back_what_it_has),
        cmocka_unit_test(no_third_lease_is_asked_for_while_the_second_begins),
        cmocka_unit_test(who_may_not_read_upstream_does_not_fetch_there),
        cmocka_unit_test(an_announcement_says_what_is_held_wanted_and_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
