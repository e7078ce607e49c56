/* A blob whose disk failed under its readers goes on in memory. Its digest is of the bytes that the
 * file held when it was taken over: who reads on from the one to the other compares at its end what
 * it read. */
#include "base/log.h"
#include "cache/blob.h"
#include "cache/entry.h"
#include "cache/window.h"

bool
cache_may_take_over(struct blob *b)
{
    lock_take(&b->lock);
    bool may = b->phase == BLOB_FAILED && (b->error == ERR_FULL || b->error == ERR_STORE) &&
               b->may_window && b->gen != 0 && b->pieces != NULL &&
               b->pieces->size <= WINDOW_BLOB_MAX &&
               pieces_run_end(b->pieces, 0) <= TAKE_OVER_MAX && b->window == NULL && !b->stored &&
               !b->sick && !b->distrusted;
    lock_drop(&b->lock);
    return may;
}

/* The blob of who came first, or a new one that hangs on the map but has no window yet. */
static struct blob *
find_or_add(struct cache *c, struct blob *failed, bool *ret_lead)
{
    struct blob *b = NULL;
    lock_take(&c->lock);
    struct entry *e = entry_take(c, &failed->digest);
    *ret_lead = e->blob == NULL && e->state == ENTRY_ABSENT;
    if (*ret_lead) {
        b = blob_new(c, &failed->digest);
        b->gen = failed->gen;
        b->may_window = true;
        b->told_size = failed->size;
        entry_attach(c, e, b);
    } else if (e->blob != NULL && e->blob->gen == failed->gen) {
        b = e->blob;
        b->refs++;
    }
    lock_drop(&c->lock);
    return b;
}

struct blob *
cache_take_over(struct cache *c, struct blob *failed, bool *ret_lead)
{
    char text[DIGEST_TEXT_MAX];
    *ret_lead = false;
    if (!cache_may_take_over(failed)) {
        return NULL;
    }
    struct blob *b = find_or_add(c, failed, ret_lead);
    if (!*ret_lead) {
        return b;
    }
    int rc = window_take_over(b, failed);
    if (rc < 0) {
        blob_end(b, ERR_FULL, FATE_DROP);
        blob_release(&b);
        *ret_lead = false;
        return NULL;
    }
    digest_print(&b->digest, text);
    metric_add(M_windows_opened, 1);
    LOG(store_window, LOG_S("digest", text), LOG_U("bytes", failed->size),
        LOG_S("why", err_text(failed->error)));
    blob_hash(b);
    return b;
}
