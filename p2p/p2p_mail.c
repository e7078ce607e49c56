/* Notes from other threads, and how the p2p thread tells them to the step. A note about a blob
 * whose swarm is not open any more is old news and is dropped. */
#include "base/clock.h"
#include "base/mem.h"
#include "p2p/bits.h"
#include "p2p/p2p_inside.h"
#include <stdatomic.h>

/* Bytes alone may wait: pieces and ends have notes of their own, and the next lease is asked for
 * with 250 ms of data left. */
#define PROGRESS_WAKE_MS 50

/* ---- any thread ---- */

struct p2p_mail *
p2p_new_mail(enum p2p_note note, const struct digest *blob, size_t more)
{
    struct p2p_mail *m = mem_zalloc(sizeof *m + more);
    m->note = note;
    if (blob != NULL)
        m->blob = *blob;
    return m;
}

int
p2p_post(struct p2p *p, struct p2p_mail *m)
{
    int rc = mailbox_post(&p->mail, &m->mail);
    if (rc < 0)
        mem_free(m);
    return rc;
}

/* A swarm that ends needs no more notes, and a thread behind by so much is not coming back. */
static void
note(struct p2p *p, struct p2p_mail *m)
{
    if (p2p_post(p, m) < 0)
        return;
}

void
p2p_want(struct p2p *p, const struct digest *blob, uint64_t size, uint8_t flags,
         const uint8_t *held)
{
    if (size == 0 || size > PIECE_BLOB_MAX)
        return;
    size_t len = held != NULL ? BITS_BYTES(piece_count(size)) : 0;
    struct p2p_mail *m = p2p_new_mail(P2P_WANT, blob, len);
    m->want.size = size;
    m->want.flags = flags | WIRE_WANTS;
    m->want.held = held != NULL;
    if (held != NULL)
        memcpy(m->more, held, len);
    note(p, m);
}

void
p2p_leave(struct p2p *p, const struct digest *blob)
{
    note(p, p2p_new_mail(P2P_LEAVE, blob, 0));
}

void
p2p_cursors(struct p2p *p, const struct digest *blob, const uint64_t *pos, size_t count)
{
    if (count > PICK_CURSORS_MAX)
        count = PICK_CURSORS_MAX;
    struct p2p_mail *m = p2p_new_mail(P2P_CURSORS, blob, count * sizeof *pos);
    m->cursors.count = count;
    if (count > 0)
        memcpy(m->more, pos, count * sizeof *pos);
    note(p, m);
}

void
p2p_progress(struct p2p *p, const struct digest *blob, uint32_t get, uint64_t bytes)
{
    int64_t now_ms = clock_ms();
    lock_take(&p->progress_lock);
    bool due = now_ms - p->progress_ms >= PROGRESS_WAKE_MS;
    if (due)
        p->progress_ms = now_ms;
    size_t i = 0;
    while (i < p->progress_count &&
           (p->progress[i].get != get || !digest_equal(&p->progress[i].blob, blob)))
        i++;
    if (i < p->progress_count) {
        p->progress[i].bytes += bytes;
    } else if (i < P2P_PROGRESS_MAX) {
        p->progress[p->progress_count++] = (struct p2p_progress){*blob, get, bytes};
    }
    lock_drop(&p->progress_lock);
    if (due)
        mailbox_wake(&p->mail);
}

void
p2p_piece(struct p2p *p, const struct digest *blob, uint32_t get, uint32_t piece)
{
    struct p2p_mail *m = p2p_new_mail(P2P_PIECE, blob, 0);
    m->piece.get = get;
    m->piece.piece = piece;
    note(p, m);
}

void
p2p_end(struct p2p *p, const struct digest *blob, uint32_t get, enum swarm_end how, int64_t took_us,
        unsigned busy_ms)
{
    struct p2p_mail *m = p2p_new_mail(P2P_END, blob, 0);
    m->end.get = get;
    m->end.how = how;
    m->end.took_us = took_us;
    m->end.busy_ms = busy_ms;
    note(p, m);
}

void
p2p_dropped(struct p2p *p, const struct digest *blob, uint32_t first, uint32_t count)
{
    struct p2p_mail *m = p2p_new_mail(P2P_DROPPED, blob, 0);
    m->dropped.first = first;
    m->dropped.count = count;
    note(p, m);
}

void
p2p_window(struct p2p *p, const struct digest *blob, uint32_t first, uint32_t end)
{
    struct p2p_mail *m = p2p_new_mail(P2P_WINDOW, blob, 0);
    m->dropped.first = first;
    m->dropped.count = end - first;
    note(p, m);
}

void
p2p_doubt(struct p2p *p, const struct digest *blob)
{
    note(p, p2p_new_mail(P2P_DOUBT, blob, 0));
}

void
p2p_carried(struct p2p *p, const struct node_id *node, enum flow_way way, uint64_t bytes)
{
    int64_t now_ms = clock_ms();
    lock_take(&p->flows_lock);
    flow_note(&p->flows, node, way, bytes, now_ms);
    lock_drop(&p->flows_lock);
}

size_t
p2p_others(struct p2p *p)
{
    return atomic_load(&p->others);
}

void
p2p_load(struct p2p *p, unsigned queue_ms, uint64_t free_bytes)
{
    struct p2p_mail *m = p2p_new_mail(P2P_LOAD, NULL, 0);
    m->load.queue_ms = queue_ms;
    m->load.free_bytes = free_bytes;
    note(p, m);
}

void
p2p_part(struct p2p *p, const struct digest *blob, uint64_t size)
{
    struct p2p_mail *m = p2p_new_mail(P2P_PART, blob, 0);
    m->part.size = size;
    note(p, m);
}

void
p2p_ban(struct p2p *p, const struct node_id *node, int64_t wait_ms)
{
    struct p2p_mail *m = p2p_new_mail(P2P_BAN, NULL, 0);
    m->ban.node = *node;
    m->ban.wait_ms = wait_ms;
    note(p, m);
}

void
p2p_unmet(struct p2p *p, const struct node_id *node)
{
    struct p2p_mail *m = p2p_new_mail(P2P_UNMET, NULL, 0);
    m->unmet.node = *node;
    note(p, m);
}

void
p2p_attest(struct p2p *p, const struct digest *blob, bool read, uint32_t first,
           const uint8_t *words, uint32_t count)
{
    struct p2p_mail *m = p2p_new_mail(P2P_ATTEST, blob, (size_t)count * ATTEST_BYTES);
    m->attest.first = first;
    m->attest.count = count;
    m->attest.read = read;
    if (count > 0)
        memcpy(m->more, words, (size_t)count * ATTEST_BYTES);
    note(p, m);
}

/* ---- p2p thread ---- */

static void
take_want(struct p2p *p, const struct p2p_mail *m)
{
    struct swarm *s = step_open(p->step, p->now_ms, &m->blob, m->want.size, m->want.flags);
    if (s == NULL)
        p->ops.stop(p->ops.arg, &m->blob, 0, 0);
    if (s == NULL || swarm_size(s) != m->want.size || !m->want.held)
        return;
    /* No less and no more: the swarm may be that of a blob which was here, and was lost. */
    for (uint32_t i = 0; i < swarm_pieces(s); i++)
        if (bits_get(m->more, i))
            swarm_hold(s, i);
        else
            swarm_drop(s, i);
}

static void
take_cursors(const struct p2p *p, struct swarm *s, const struct p2p_mail *m)
{
    for (unsigned i = 0; i < PICK_CURSORS_MAX; i++) {
        uint64_t pos = UINT64_MAX;
        if (i < m->cursors.count)
            memcpy(&pos, m->more + i * sizeof pos, sizeof pos);
        swarm_cursor(s, i, pos, p->now_ms);
    }
}

static void
take_dropped(struct swarm *s, const struct p2p_mail *m)
{
    uint32_t end = m->dropped.first + m->dropped.count;
    if (end < m->dropped.first || end > swarm_pieces(s))
        end = swarm_pieces(s);
    for (uint32_t i = m->dropped.first; i < end; i++)
        swarm_drop(s, i);
}

static void
take_attest(const struct p2p *p, struct swarm *s, const struct p2p_mail *m)
{
    uint32_t first = m->attest.first;
    if (m->attest.count == 0)
        swarm_recalled(s);
    for (uint32_t i = 0; i < m->attest.count && first + i < swarm_pieces(s); i++)
        swarm_attest(s, m->attest.read, first + i, m->more + (size_t)i * ATTEST_BYTES, p->now_ms);
}

static void
take_of_swarm(struct p2p *p, struct swarm *s, const struct p2p_mail *m)
{
    switch (m->note) {
    case P2P_CURSORS:
        take_cursors(p, s, m);
        break;
    case P2P_PIECE:
        if (m->piece.piece < swarm_pieces(s))
            swarm_piece(s, m->piece.get, m->piece.piece, p->now_ms);
        break;
    case P2P_END:
        swarm_end(s, m->end.get, m->end.how, m->end.took_us, m->end.busy_ms, p->now_ms);
        break;
    case P2P_DROPPED:
        take_dropped(s, m);
        break;
    case P2P_WINDOW:
        if (m->dropped.first + m->dropped.count <= swarm_pieces(s))
            swarm_window(s, m->dropped.first, m->dropped.first + m->dropped.count);
        break;
    case P2P_ATTEST:
        take_attest(p, s, m);
        break;
    case P2P_DOUBT:
        swarm_doubt_words(s, p->now_ms);
        break;
    case P2P_LEAVE:
        step_leave(p->step, p->now_ms, &m->blob);
        break;
    case P2P_WANT:
    case P2P_LOAD:
    case P2P_BAN:
    case P2P_UNMET:
    case P2P_PART:
    case P2P_NAME_ASK:
    case P2P_NAME_TELL:
    case P2P_NAME_HOLD:
    case P2P_ASK:
        break;
    }
}

static void
take(struct p2p *p, struct p2p_mail *m)
{
    struct swarm *s;
    switch (m->note) {
    case P2P_WANT:
        take_want(p, m);
        p->noted = true;
        break;
    case P2P_LOAD:
        step_load(p->step, m->load.queue_ms, m->load.free_bytes);
        break;
    case P2P_BAN:
        step_ban(p->step, p->now_ms, &m->ban.node, m->ban.wait_ms);
        p->noted = true;
        break;
    case P2P_UNMET:
        step_unmet(p->step, p->now_ms, &m->unmet.node);
        p->noted = true;
        break;
    case P2P_PART:
        step_part(p->step, p->now_ms, &m->blob, m->part.size, &p->plan);
        p2p_carry(p);
        p->noted = true;
        break;
    case P2P_NAME_ASK:
    case P2P_NAME_TELL:
    case P2P_NAME_HOLD:
        p2p_take_name(p, m);
        break;
    case P2P_ASK:
        p2p_answer_ask(p, m->ask);
        break;
    case P2P_LEAVE:
    case P2P_CURSORS:
    case P2P_PIECE:
    case P2P_END:
    case P2P_ATTEST:
    case P2P_DOUBT:
    case P2P_DROPPED:
    case P2P_WINDOW:
        s = step_swarm(p->step, &m->blob);
        if (s != NULL)
            take_of_swarm(p, s, m);
        p->noted = p->noted || s != NULL;
        break;
    }
}

static void
take_progress(struct p2p *p)
{
    struct p2p_progress all[P2P_PROGRESS_MAX];
    lock_take(&p->progress_lock);
    size_t count = p->progress_count;
    memcpy(all, p->progress, count * sizeof *all);
    p->progress_count = 0;
    lock_drop(&p->progress_lock);
    for (size_t i = 0; i < count; i++) {
        struct swarm *s = step_swarm(p->step, &all[i].blob);
        if (s != NULL)
            swarm_progress(s, all[i].get, all[i].bytes, p->now_ms);
        p->noted = p->noted || s != NULL;
    }
}

void
p2p_take_mail(struct p2p *p)
{
    struct mail *all = mailbox_take_all(&p->mail);
    take_progress(p); /* what was told before the end of a request counts before it */
    while (all != NULL) {
        struct p2p_mail *m = (struct p2p_mail *)all;
        all = all->next;
        take(p, m);
        mem_free(m);
    }
}
