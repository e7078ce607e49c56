/* Immutable snapshots of sources. The stand's own reference keeps the newest alive. */
#include "p2p/view.h"

#include "base/mem.h"

#include <string.h>

static struct view *
view_new(uint64_t version, const struct view_entry *entries, size_t count)
{
    struct view *v = mem_zalloc(sizeof *v + count * sizeof *entries);
    v->version = version;
    v->refs = 1;
    v->count = count;
    if (count > 0)
        memcpy(v->entries, entries, count * sizeof *entries);
    return v;
}

void
view_stand_init(struct view_stand *s)
{
    lock_init(&s->lock, LOCK_VIEW);
    s->newest = view_new(0, NULL, 0);
}

void
view_stand_release(struct view_stand *s)
{
    view_release(&s->newest);
    lock_release(&s->lock);
}

void
view_publish(struct view_stand *s, const struct view_entry *entries, size_t count)
{
    struct view *next = view_new(0, entries, count);
    lock_take(&s->lock);
    struct view *old = s->newest;
    next->version = old->version + 1;
    s->newest = next;
    lock_drop(&s->lock);
    view_release(&old);
}

struct view *
view_take(struct view_stand *s)
{
    lock_take(&s->lock);
    struct view *v = s->newest;
    (void)__atomic_add_fetch(&v->refs, 1, __ATOMIC_RELAXED);
    lock_drop(&s->lock);
    return v;
}

void
view_release(struct view **v)
{
    if (*v != NULL && __atomic_sub_fetch(&(*v)->refs, 1, __ATOMIC_ACQ_REL) == 0)
        mem_free(*v);
    *v = NULL;
}
