/* A ring of pulls; the newest one that fits takes a request. */
#include "proxy/api/pulls.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/text.h"
#include <string.h>

struct pulls {
    struct lock lock;
    uint64_t last_id;             /* lock */
    struct pull ring[PULLS_KEPT]; /* lock; id 0: free; place of an id: id % PULLS_KEPT */
};

struct pulls *
pulls_new(void)
{
    struct pulls *p = mem_zalloc(sizeof *p);
    lock_init(&p->lock, LOCK_LEAF);
    return p;
}

void
pull_release(struct pull *p)
{
    mem_free(p->steps);
    p->steps = NULL;
}

void
pulls_free(struct pulls *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < PULLS_KEPT; i++)
        pull_release(&p->ring[i]);
    lock_release(&p->lock);
    mem_free(p);
}

static struct pull *
find(struct pulls *p, uint64_t id)
{
    struct pull *one = &p->ring[id % PULLS_KEPT];
    return id != 0 && one->id == id ? one : NULL;
}

/* Another tag is another pull, once blobs of the first were asked for. */
static bool
fits(const struct pull *one, const char *client, const char *repository, const char *tag)
{
    if (one->id == 0 || one->over || strcmp(one->client, client) != 0 ||
        strcmp(one->repository, repository) != 0)
        return false;
    return !tag || !one->reference[0] || strcmp(one->reference, tag) == 0;
}

static struct pull *
start(struct pulls *p, const char *client, const char *agent, const char *repository,
      int64_t now_ms)
{
    struct pull *one = &p->ring[++p->last_id % PULLS_KEPT];
    pull_release(one);
    *one = (struct pull){
        .id = p->last_id, .begun_ms = now_ms, .last_ms = now_ms, .begun_wall_ms = clock_wall_ms()};
    (void)!text_copy(one->client, sizeof one->client, client);
    (void)!text_copy(one->agent, sizeof one->agent, agent);
    (void)!text_copy(one->repository, sizeof one->repository, repository);
    return one;
}

/* The newest that fits. */
static struct pull *
choose(struct pulls *p, const char *client, const char *repository, const char *tag)
{
    for (uint64_t i = 0; i < PULLS_KEPT && i < p->last_id; i++) {
        struct pull *one = &p->ring[(p->last_id - i) % PULLS_KEPT];
        if (fits(one, client, repository, tag))
            return one;
    }
    return NULL;
}

uint64_t
pulls_begin(struct pulls *p, const char *client, const char *agent, const char *repository,
            const struct ref *ref, int64_t now_ms)
{
    char text[REF_TEXT_MAX] = "";
    if (ref)
        ref_print(ref, text);
    lock_take(&p->lock);
    struct pull *one = choose(p, client, repository, ref && !ref->by_digest ? text : NULL);
    if (!one)
        one = start(p, client, agent, repository, now_ms);
    if (!one->reference[0])
        (void)!text_copy(one->reference, sizeof one->reference, text);
    one->running++;
    one->last_ms = now_ms;
    uint64_t id = one->id;
    lock_drop(&p->lock);
    return id;
}

static void
keep_step(struct pull *one, const struct pull_step *step)
{
    if (one->steps_count == PULLS_STEPS_MAX) {
        one->omitted++;
        return;
    }
    if ((one->steps_count & (one->steps_count - 1)) == 0) {
        size_t room = one->steps_count == 0 ? 1 : 2 * one->steps_count;
        one->steps = mem_realloc(one->steps, room * sizeof *one->steps);
    }
    one->steps[one->steps_count++] = *step;
}

void
pulls_end(struct pulls *p, uint64_t id, struct pull_step *step, int64_t now_ms)
{
    lock_take(&p->lock);
    struct pull *one = find(p, id);
    if (one) {
        step->at_ms = now_ms - step->took_ms - one->begun_ms;
        if (step->at_ms < 0)
            step->at_ms = 0;
        keep_step(one, step);
        one->running--;
        one->last_ms = now_ms;
        one->refused += step->status >= 400;
        one->bytes += step->bytes;
        one->from_cache += step->from_cache;
        for (int i = 0; i < BLOB_SOURCES; i++)
            one->from_bytes[i] += step->from_bytes[i];
    }
    lock_drop(&p->lock);
}

static void
copy(const struct pull *one, struct pull *ret)
{
    *ret = *one;
    ret->steps = mem_alloc((one->steps_count + 1) * sizeof *ret->steps);
    if (one->steps_count > 0)
        memcpy(ret->steps, one->steps, one->steps_count * sizeof *ret->steps);
}

size_t
pulls_list(struct pulls *p, struct pull *ret, size_t max)
{
    size_t count = 0;
    lock_take(&p->lock);
    for (uint64_t i = 0; i < PULLS_KEPT && i < p->last_id && count < max; i++)
        copy(&p->ring[(p->last_id - i) % PULLS_KEPT], &ret[count++]);
    lock_drop(&p->lock);
    return count;
}

bool
pulls_next_over(struct pulls *p, int64_t now_ms, bool closing, struct pull *ret)
{
    bool any = false;
    lock_take(&p->lock);
    for (size_t i = 0; i < PULLS_KEPT && !any; i++) {
        struct pull *one = &p->ring[i];
        bool idle = one->running == 0 && now_ms - one->last_ms >= PULLS_IDLE_MS;
        any = one->id != 0 && !one->over && (closing || idle);
        if (any) {
            one->over = true;
            copy(one, ret);
        }
    }
    lock_drop(&p->lock);
    return any;
}
