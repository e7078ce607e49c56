/* The door for names: an asker waits for the thread's answer, the others leave a note. */
#include "base/clock.h"
#include "base/mem.h"
#include "p2p/p2p_inside.h"
#include <stdatomic.h>

#define GRACE_MS 100 /* the thread ends a question at its deadline; this is the belt */

/* The asker and the thread hold it; who leaves last frees it. */
struct p2p_naming {
    struct p2p_naming *next;  /* the thread's own, like the id of the question */
    struct naming_question q; /* else fixed before it is posted */
    atomic_int refs;
    struct lock lock;
    struct cond answered;
    bool done;                  /* lock */
    struct names_answer answer; /* lock */
};

static void
leave(struct p2p_naming *n)
{
    if (atomic_fetch_sub(&n->refs, 1) != 1)
        return;
    cond_release(&n->answered);
    lock_release(&n->lock);
    mem_free(n);
}

static void
finish(struct p2p_naming *n, const struct names_answer *answer)
{
    lock_take(&n->lock);
    n->answer = *answer;
    n->done = true;
    cond_wake(&n->answered);
    lock_drop(&n->lock);
    leave(n);
}

/* ---- the thread ---- */

void
p2p_drop_naming(struct p2p_naming *n)
{
    finish(n, &(struct names_answer){.state = NAMES_NONE});
}

void
p2p_drop_namings(struct p2p *p)
{
    while (p->namings != NULL) {
        struct p2p_naming *n = p->namings;
        p->namings = n->next;
        p2p_drop_naming(n);
    }
}

void
p2p_named(struct p2p *p, uint32_t ask, const struct names_answer *answer)
{
    struct p2p_naming **at = &p->namings;
    while (*at != NULL && (*at)->q.id != ask)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    struct p2p_naming *n = *at;
    *at = n->next;
    finish(n, answer);
}

static void
take_ask(struct p2p *p, struct p2p_naming *n)
{
    n->q.id = ++p->naming_id;
    n->next = p->namings;
    p->namings = n;
    step_name_ask(p->step, p->now_ms, &n->q, &p->plan);
    p2p_carry(p);
}

void
p2p_take_name(struct p2p *p, struct p2p_mail *m)
{
    const struct names_own *own = (const struct names_own *)(const void *)m->more;
    if (m->note == P2P_NAME_ASK) {
        take_ask(p, m->naming);
    } else if (m->note == P2P_NAME_TELL) {
        step_name_tell(p->step, p->now_ms, &m->blob, m->told.state, &m->told.value);
        p->noted = true;
    } else {
        for (size_t i = 0; i < m->hold.count; i++)
            step_name_hold(p->step, p->now_ms, &own[i]);
    }
}

/* ---- any thread ---- */

void
p2p_name_key(const char *text, struct digest *ret)
{
    digest_of(DIGEST_SHA256, text, strlen(text), ret);
}

static struct p2p_naming *
new_naming(const char *text, const struct p2p_name_want *want)
{
    struct p2p_naming *n = mem_zalloc(sizeof *n);
    n->q = (struct naming_question){.max_age_ms = want->max_age_ms,
                                    .deadline_ms = want->deadline_ms,
                                    .shout_ms = want->shout_ms,
                                    .may_resolve = want->may_resolve,
                                    .any_will_do = want->any_will_do};
    p2p_name_key(text, &n->q.key);
    atomic_init(&n->refs, 2);
    lock_init(&n->lock, LOCK_LEAF);
    cond_init(&n->answered);
    return n;
}

void
p2p_name_ask(struct p2p *p, const char *text, const struct p2p_name_want *want,
             struct names_answer *ret)
{
    *ret = (struct names_answer){.state = NAMES_NONE};
    if (p2p_others(p) == 0)
        return;
    struct p2p_naming *n = new_naming(text, want);
    struct p2p_mail *m = p2p_new_mail(P2P_NAME_ASK, NULL, 0);
    m->naming = n;
    if (p2p_post(p, m) < 0) {
        leave(n); /* the thread's part */
    } else {
        lock_take(&n->lock);
        while (!n->done && cond_wait(&n->answered, &n->lock, want->deadline_ms + GRACE_MS))
            continue;
        if (n->done)
            *ret = n->answer;
        lock_drop(&n->lock);
    }
    leave(n);
}

/* What is not told is found by a shout, or asked for upstream once more. */
static void
note(struct p2p *p, struct p2p_mail *m)
{
    if (p2p_post(p, m) < 0)
        return;
}

void
p2p_name_tell(struct p2p *p, const char *text, enum names_state state,
              const struct names_value *value)
{
    struct digest key;
    p2p_name_key(text, &key);
    struct p2p_mail *m = p2p_new_mail(P2P_NAME_TELL, &key, 0);
    m->told.state = state;
    if (value != NULL)
        m->told.value = *value;
    note(p, m);
}

void
p2p_name_hold(struct p2p *p, const struct names_own *own, size_t count)
{
    struct p2p_mail *m = p2p_new_mail(P2P_NAME_HOLD, NULL, count * sizeof *own);
    m->hold.count = count;
    if (count > 0)
        memcpy(m->more, own, count * sizeof *own);
    note(p, m);
}
