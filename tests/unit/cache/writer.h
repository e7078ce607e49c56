/* Who fills a blob as the fetcher does: from a thread of its own, waiting for room. */
#ifndef TESTS_UNIT_CACHE_WRITER_H
#define TESTS_UNIT_CACHE_WRITER_H

#include "base/thread.h"
#include "cache/inside.h"
#include "tests/unit/cache/room.h"

struct writer {
    struct thread thread;
    struct blob *blob; /* its own reference */
    const uint8_t *body;
    struct lock lock;
    struct cond woken;
    bool room; /* lock */
    int result;
};

__attribute__((unused)) static void
note_room(void *arg)
{
    struct writer *w = arg;
    lock_take(&w->lock);
    w->room = true;
    cond_wake(&w->woken);
    lock_drop(&w->lock);
}

__attribute__((unused)) static bool
wait_for_room(struct writer *w)
{
    bool in_time = true;
    lock_take(&w->lock);
    while (!w->room && in_time) {
        in_time = cond_wait(&w->woken, &w->lock, clock_ms() + SOON_MS);
    }
    w->room = false;
    lock_drop(&w->lock);
    return in_time;
}

__attribute__((unused)) static void
write_all(void *arg)
{
    struct writer *w = arg;
    struct gap gap;
    w->result = 0;
    while (w->result == 0 && blob_claim(w->blob, UINT64_MAX, &gap)) {
        for (uint64_t at = gap.start; w->result == 0 && at < gap.end;) {
            uint64_t n = gap.end - at < 100 * KIB ? gap.end - at : 100 * KIB;
            w->result = blob_write(w->blob, at, w->body + at, (size_t)n, BLOB_FROM_UPSTREAM);
            if (w->result == ERR_AGAIN) {
                w->result = wait_for_room(w) ? 0 : ERR_TIMEOUT;
            } else {
                at += n;
            }
        }
    }
    blob_release(&w->blob);
}

__attribute__((unused)) static void
start_writer(struct writer *w, struct blob *b, const uint8_t *body, uint64_t size)
{
    *w = (struct writer){.blob = blob_ref(b), .body = body};
    lock_init(&w->lock, LOCK_LEAF);
    cond_init(&w->woken);
    blob_set_waker(b, note_room, w);
    blob_set_shared(b, true);
    assert_int_equal(blob_begin(b, size), 0);
    assert_int_equal(thread_start(&w->thread, "writer", write_all, w), 0);
}

__attribute__((unused)) static void
end_writer(struct writer *w)
{
    thread_join(&w->thread);
    cond_release(&w->woken);
    lock_release(&w->lock);
}

#endif
