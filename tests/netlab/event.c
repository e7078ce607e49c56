/* A binary heap of events, the earliest on top. Every event knows its place, so that it can be
 * moved and taken out from the middle. */
#include "tests/netlab/event.h"
#include "base/mem.h"
#include <time.h>

static struct event **heap;
static int heap_count, heap_room;

uint64_t
event_now_ns(void)
{
    struct timespec ts;
    must(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
}

void
event_init(struct event *e, void (*fire)(struct event *, uint64_t due_ns))
{
    *e = (struct event){.pos = -1, .fire = fire};
}

static void
place(int i, struct event *e)
{
    heap[i] = e;
    e->pos = i;
}

/* Moves the event at place i to where its time belongs. */
static void
sift(int i)
{
    struct event *e = heap[i];
    for (int up; i > 0 && heap[up = (i - 1) / 2]->due_ns > e->due_ns; i = up)
        place(i, heap[up]);
    for (int down; (down = 2 * i + 1) < heap_count; i = down) {
        if (down + 1 < heap_count && heap[down + 1]->due_ns < heap[down]->due_ns)
            down++;
        if (heap[down]->due_ns >= e->due_ns)
            break;
        place(i, heap[down]);
    }
    place(i, e);
}

void
event_set(struct event *e, uint64_t due_ns)
{
    e->due_ns = due_ns;
    if (e->pos < 0) {
        if (heap_count == heap_room) {
            heap_room = heap_room ? 2 * heap_room : 256;
            heap = mem_realloc(heap, (size_t)heap_room * sizeof(struct event *));
        }
        place(heap_count++, e);
    }
    sift(e->pos);
}

void
event_clear(struct event *e)
{
    int i = e->pos;
    if (i < 0)
        return;
    e->pos = -1;
    struct event *last = heap[--heap_count];
    if (last != e) {
        place(i, last);
        sift(i);
    }
}

void
event_run(uint64_t now_ns)
{
    while (heap_count > 0 && heap[0]->due_ns <= now_ns)
        heap[0]->fire(heap[0], heap[0]->due_ns);
}

bool
event_next(uint64_t *ret_due_ns)
{
    if (heap_count == 0)
        return false;
    *ret_due_ns = heap[0]->due_ns;
    return true;
}
