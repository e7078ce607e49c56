/* What was saved goes on over restarts. */
#include "tests/unit/base/unit.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/metric.h"
#include "base/recent.h"
#include "cache/cache.h"
#include "proxy/totals.h"
#include "tests/unit/cache/room.h"

#define SINCE INT64_C(1700000000)

static const struct totals some = {
    SINCE, {[TOTAL_served] = 1000, [TOTAL_upstream] = 300, [TOTAL_remote_peer] = 50}};

static void
encode(const struct totals *t, struct buf *ret)
{
    buf_init(ret, TOTALS_RECORD_MAX);
    assert_int_equal(totals_encode(t, ret), 0);
}

/* Its checksum is made right again, so that only what was changed is judged. */
static void
change(struct buf *record, size_t at, uint8_t byte)
{
    record->data[at] = (char)byte;
    uint32_t sum = hash_crc32c(record->data, record->len - 4);
    for (size_t i = 0; i < 4; i++)
        record->data[record->len - 4 + i] = (char)(uint8_t)(sum >> 8 * i);
}

static void
a_record_comes_back_and_no_bit_of_it_may_be_wrong(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf record;
    struct totals back;
    encode(&some, &record);
    assert_int_equal(totals_decode(record.data, record.len, &back), 0);
    assert_memory_equal(&back, &some, sizeof some);
    for (size_t len = 0; len < record.len; len++)
        assert_int_equal(totals_decode(record.data, len, &back), ERR_SYNTAX);
    for (size_t bit = 0; bit < 8 * record.len; bit++) {
        record.data[bit / 8] = (char)(record.data[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(totals_decode(record.data, record.len, &back), ERR_SYNTAX);
        record.data[bit / 8] = (char)(record.data[bit / 8] ^ 1 << bit % 8);
    }
}

static void
what_crossed_the_wan_was_not_saved(void **state)
{
    (void)state;
    struct totals all_over_the_wan = {0, {[TOTAL_served] = 10, [TOTAL_upstream] = 20}};
    assert_int_equal(totals_saved(&some), 650);
    assert_int_equal(totals_saved(&all_over_the_wan), 0);
}

static uint64_t
served(const struct totals_kept *k)
{
    struct totals now;
    totals_now(&k->before, &now);
    return now.bytes[TOTAL_served];
}

/* The first of all tests: no counter of this process has moved yet. */
static void
what_moves_first_is_noted_at_once_and_nothing_before(void **state)
{
    (void)state;
    struct room r;
    struct totals_kept k;
    AUTO(buf_release) struct buf record;
    buf_init(&record, CACHE_NOTE_MAX);
    room_init(&r, 64 * MIB);
    totals_load(&k, r.cache);
    totals_keep(&k, r.cache, false);
    totals_keep(&k, r.cache, true);
    room_reopen(&r);
    assert_int_equal(cache_note_get(r.cache, &record), -ENOENT);
    totals_load(&k, r.cache);
    totals_keep(&k, r.cache, false);
    metric_add(M_served_bytes, 3);
    totals_keep(&k, r.cache, false);
    room_reopen(&r);
    totals_load(&k, r.cache);
    assert_int_equal(k.before.bytes[TOTAL_served], 3);
    room_release(&r);
}

static void
sums_that_began_without_a_clock_have_no_start(void **state)
{
    (void)state;
    struct room r;
    struct totals_kept k;
    AUTO(buf_release) struct buf record;
    struct totals without_clock = some;
    without_clock.since_wall_s = 0;
    encode(&without_clock, &record);
    room_init(&r, 64 * MIB);
    cache_note_put(r.cache, record.data, record.len);
    room_reopen(&r);
    totals_load(&k, r.cache);
    assert_int_equal(k.before.bytes[TOTAL_served], 1000);
    assert_int_equal(k.before.since_wall_s, 0);
    room_release(&r);
}

/* The counters of this process only rise: what a "run" had before is in `before`. */
static void
a_start_goes_on_where_the_last_run_ended(void **state)
{
    (void)state;
    struct room r;
    struct totals_kept k;
    room_init(&r, 64 * MIB);
    totals_load(&k, r.cache);
    assert_true(k.before.since_wall_s > SINCE); /* now */
    int64_t since = k.before.since_wall_s;
    metric_add(M_served_bytes, 100);
    totals_keep(&k, r.cache, false); /* the first change is noted at once */
    uint64_t before = served(&k);
    room_reopen(&r);
    totals_load(&k, r.cache);
    assert_int_equal(k.before.since_wall_s, since);
    assert_int_equal(k.before.bytes[TOTAL_served], before);
    metric_add(M_served_bytes, 7);
    assert_int_equal(served(&k), 2 * before + 7);
    totals_keep(&k, r.cache, true);
    metric_add(M_served_bytes, 1);
    totals_keep(&k, r.cache, false); /* too soon for another */
    room_reopen(&r);
    totals_load(&k, r.cache);
    assert_int_equal(k.before.bytes[TOTAL_served], 2 * before + 7);
    room_release(&r);
}

static bool
was_told(const char *how)
{
    struct recent *all = mem_alloc(RECENT_MAX * sizeof *all);
    size_t count = recent_list(all, RECENT_MAX);
    bool told = false;
    for (size_t i = 0; i < count && !told; i++)
        told = all[i].event == LOG_EV_totals_unread &&
               strstr(all[i].values + all[i].fields[1].at, how);
    mem_free(all);
    return told;
}

static void
what_cannot_be_read_begins_anew_and_is_told(void **state)
{
    (void)state;
    struct room r;
    struct totals_kept k;
    room_init(&r, 64 * MIB);
    cache_note_put(r.cache, "nonsense", 8);
    room_reopen(&r);
    totals_load(&k, r.cache);
    assert_true(was_told("begun anew"));
    assert_int_equal(k.before.bytes[TOTAL_served], 0);
    totals_keep(&k, r.cache, true);
    room_reopen(&r);
    totals_load(&k, r.cache);
    assert_true(k.before.bytes[TOTAL_served] > 0);
    room_release(&r);
}

static void
is_left_as_it_is(const struct buf *record)
{
    struct room r;
    struct totals_kept k;
    AUTO(buf_release) struct buf back;
    room_init(&r, 64 * MIB);
    cache_note_put(r.cache, record->data, record->len);
    room_reopen(&r);
    totals_load(&k, r.cache);
    assert_true(was_told("left as it is"));
    metric_add(M_served_bytes, 1);
    totals_keep(&k, r.cache, true);
    room_reopen(&r);
    buf_init(&back, CACHE_NOTE_MAX);
    assert_int_equal(cache_note_get(r.cache, &back), 0);
    assert_int_equal(back.len, record->len);
    assert_memory_equal(back.data, record->data, record->len);
    room_release(&r);
}

static void
a_later_programs_record_is_left_as_it_is(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf record;
    encode(&some, &record);
    change(&record, 4, 2);
    is_left_as_it_is(&record);
}

static void
a_record_with_more_totals_is_left_as_it_is(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf record;
    encode(&some, &record);
    buf_cut(&record, record.len - 4);
    assert_int_equal(buf_add(&record, "one more and sum", 8 + 4), 0);
    change(&record, 16, TOTALS + 1);
    is_left_as_it_is(&record);
}

static void
the_record_of_an_earlier_program_lacks_what_came_later(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf record;
    struct totals back;
    encode(&some, &record);
    buf_cut(&record, record.len - 8); /* the last total is not there yet */
    change(&record, 16, TOTALS - 1);
    assert_int_equal(totals_decode(record.data, record.len, &back), 0);
    assert_int_equal(back.bytes[TOTAL_served], 1000);
    assert_int_equal(back.bytes[TOTALS - 1], 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_moves_first_is_noted_at_once_and_nothing_before),
        cmocka_unit_test(a_record_comes_back_and_no_bit_of_it_may_be_wrong),
        cmocka_unit_test(what_crossed_the_wan_was_not_saved),
        cmocka_unit_test(a_start_goes_on_where_the_last_run_ended),
        cmocka_unit_test(sums_that_began_without_a_clock_have_no_start),
        cmocka_unit_test(what_cannot_be_read_begins_anew_and_is_told),
        cmocka_unit_test(a_later_programs_record_is_left_as_it_is),
        cmocka_unit_test(a_record_with_more_totals_is_left_as_it_is),
        cmocka_unit_test(the_record_of_an_earlier_program_lacks_what_came_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
