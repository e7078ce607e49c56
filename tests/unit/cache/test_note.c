/* The note: there after a restart, in one piece or as it was before. */
#include "base/fault.h"
#include "cache/cache.h"
#include "cache/inside.h"
#include "tests/unit/cache/room.h"

static void
note_is(struct room *r, const char *want)
{
    AUTO(buf_release) struct buf got;
    buf_init(&got, CACHE_NOTE_MAX);
    assert_int_equal(cache_note_get(r->cache, &got), 0);
    assert_string_equal(buf_text(&got), want);
}

static void
the_last_note_is_there_after_a_restart(void **state)
{
    (void)state;
    struct room r;
    AUTO(buf_release) struct buf got;
    buf_init(&got, CACHE_NOTE_MAX);
    room_init(&r, 64 * MIB);
    assert_int_equal(cache_note_get(r.cache, &got), -ENOENT);
    cache_note_put(r.cache, "first", 5);
    cache_note_put(r.cache, "second", 6);
    room_reopen(&r);
    note_is(&r, "second");
    room_reopen(&r);
    note_is(&r, "second");
    room_release(&r);
}

/* The disk thread has tried, and had no room for it. */
static void
put_in_vain(struct room *r, const char *note)
{
    int64_t limit_ms = clock_ms() + SOON_MS;
    fault_arm_next("rename", ENOSPC);
    cache_note_put(r->cache, note, strlen(note));
    while (!atomic_load(&r->cache->degraded) && clock_ms() < limit_ms)
        (void)usleep(1000);
    fault_disarm();
    assert_true(atomic_load(&r->cache->degraded));
}

static void
a_note_that_cannot_be_written_leaves_the_one_before(void **state)
{
    (void)state;
    struct room r;
    room_init(&r, 64 * MIB);
    cache_note_put(r.cache, "first", 5);
    room_reopen(&r);
    put_in_vain(&r, "second");
    note_is(&r, "first");
    cache_note_put(r.cache, "third", 5);
    room_reopen(&r);
    note_is(&r, "third");
    room_release(&r);
}

static void
a_note_that_could_not_be_written_is_tried_again(void **state)
{
    (void)state;
    struct room r;
    room_init(&r, 64 * MIB);
    put_in_vain(&r, "the last word");
    room_reopen(&r);
    note_is(&r, "the last word");
    room_release(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_note_is_there_after_a_restart),
        cmocka_unit_test(a_note_that_cannot_be_written_leaves_the_one_before),
        cmocka_unit_test(a_note_that_could_not_be_written_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
