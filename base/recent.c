/* A small ring for each event. The lock is the last one of all: log lines are written anywhere. */
#include "base/recent.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/text.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct lock lock;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static struct {
    uint64_t count;
    struct recent last[RECENT_KEPT];
} rings[LOG_EVENTS]; /* lock */

static void
prepare(void)
{
    lock_init(&lock, LOCK_RECENT);
}

static void
write_field(struct recent *r, size_t *at, const struct log_field *f)
{
    char number[24];
    const char *text = f->text;
    size_t room = RECENT_BYTES - *at;
    if (text == NULL) {
        (void)!text_printf(number, sizeof number, "%" PRIu64, f->number);
        text = number;
    }
    if (room < 2 || r->count == RECENT_FIELDS)
        return;
    r->fields[r->count++] = (struct recent_field){f->key, (uint16_t)*at};
    size_t len = strnlen(text, room - 1);
    memcpy(r->values + *at, text, len);
    r->values[*at + len] = 0;
    *at += len + 1;
}

void
recent_note(enum log_event event, const struct log_field *fields, size_t count)
{
    size_t at = 0;
    if (!log_event_kept(event))
        return;
    must(pthread_once(&prepared, prepare) == 0);
    int64_t wall_ms = clock_wall_ms();
    lock_take(&lock);
    struct recent *r = &rings[event].last[rings[event].count % RECENT_KEPT];
    *r = (struct recent){.event = event, .wall_ms = wall_ms, .number = ++rings[event].count};
    for (size_t i = 0; i < count; i++)
        write_field(r, &at, &fields[i]);
    lock_drop(&lock);
}

static int
newer(const void *a, const void *b)
{
    const struct recent *x = a, *y = b;
    if (x->wall_ms != y->wall_ms)
        return x->wall_ms < y->wall_ms ? 1 : -1;
    return (x->number < y->number) - (x->number > y->number);
}

size_t
recent_list(struct recent *ret, size_t max)
{
    size_t count = 0;
    must(pthread_once(&prepared, prepare) == 0);
    lock_take(&lock);
    for (size_t i = 0; i < LOG_EVENTS; i++) {
        uint64_t kept = rings[i].count < RECENT_KEPT ? rings[i].count : RECENT_KEPT;
        for (uint64_t j = 0; j < kept && count < max; j++)
            ret[count++] = rings[i].last[j];
    }
    lock_drop(&lock);
    qsort(ret, count, sizeof *ret, newer);
    return count;
}
