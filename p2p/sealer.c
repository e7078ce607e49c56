/* One count of messages out, one guard over those that come in. */
#include "p2p/sealer.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/rng.h"
#include "base/text.h"
#include <openssl/crypto.h>
#include <stdatomic.h>

void
sealer_init(struct sealer *s, const struct seal_keys *keys, const struct node_id *self,
            uint32_t starts)
{
    uint64_t random;
    must(keys->count > 0 && keys->count <= SEAL_KEYS_MAX);
    s->keys = *keys;
    s->self = *self;
    rng_secret(&random, sizeof random);
    s->boot = seal_boot(starts, random);
    atomic_init(&s->seq, 0);
    lock_init(&s->lock, LOCK_LEAF);
    seal_guard_init(&s->guard);
    s->refused = (struct refused){0};
    s->told_count = 0;
    s->told_ms = INT64_MIN / 2;
    s->left_out = 0;
}

void
sealer_release(struct sealer *s)
{
    lock_release(&s->lock);
    OPENSSL_cleanse(&s->keys, sizeof s->keys);
}

void
sealer_rekey(struct sealer *s, const struct seal_keys *keys)
{
    must(keys->count > 0 && keys->count <= SEAL_KEYS_MAX);
    lock_take(&s->lock);
    s->keys = *keys;
    lock_drop(&s->lock);
}

/* A copy on the caller's stack, so that nothing is computed under the lock. */
static struct seal_keys
keys_now(struct sealer *s)
{
    lock_take(&s->lock);
    struct seal_keys keys = s->keys;
    lock_drop(&s->lock);
    return keys;
}

static struct seal_head
next_head(struct sealer *s, enum seal_kind kind, size_t len)
{
    return (struct seal_head){.kind = kind,
                              .len = (uint32_t)len,
                              .sender = s->self,
                              .stamp_ms = (uint64_t)clock_wall_ms(),
                              .boot = s->boot,
                              .seq = atomic_fetch_add(&s->seq, 1) + 1};
}

size_t
sealer_close(struct sealer *s, enum seal_kind kind, uint8_t *msg, size_t body_len)
{
    struct seal_head h = next_head(s, kind, body_len);
    struct seal_keys keys = keys_now(s);
    return seal_close(&keys.all[0], &h, msg);
}

int
sealer_sign(struct sealer *s, const char *what, char ret_text[SEAL_TEXT_MAX])
{
    struct seal_head h = next_head(s, SEAL_HEADER, 0);
    struct seal_keys keys = keys_now(s);
    return seal_sign(&keys.all[0], &h, what, ret_text);
}

/* Was that address's fault not told yet, and no other just now? What is left out is told when it
 * comes again; its number at once. */
static bool
is_news(struct sealer *s, int why, const char *from, uint64_t *ret_left_out)
{
    bool news = true;
    int64_t now_ms = clock_ms();
    lock_take(&s->lock);
    size_t known = s->told_count < SEALER_TOLD_MAX ? s->told_count : SEALER_TOLD_MAX;
    for (size_t i = 0; i < known && news; i++)
        news = s->told[i].why != why || strcmp(s->told[i].from, from) != 0;
    bool soon = now_ms - s->told_ms < SEALER_TELL_MS;
    s->left_out += news && soon;
    if (news && !soon) {
        size_t at = s->told_count++ % SEALER_TOLD_MAX;
        s->told[at].why = why;
        if (text_copy(s->told[at].from, sizeof s->told[at].from, from) < 0)
            s->told[at].from[0] = '\0';
        s->told_ms = now_ms;
        *ret_left_out = s->left_out;
        s->left_out = 0;
    }
    lock_drop(&s->lock);
    return news && !soon;
}

static void
tell(struct sealer *s, int why, const char *from, const char *reason)
{
    uint64_t left_out = 0;
    if (from != NULL && reason != NULL && is_news(s, why, from, &left_out))
        LOG(p2p_refused, LOG_S("from", from), LOG_S("reason", reason), LOG_U("left_out", left_out));
}

static enum refused_kind
kind_of(int why)
{
    return why == ERR_DENIED                        ? REFUSED_KEY
           : why == ERR_TIMEOUT                     ? REFUSED_CLOCK
           : why == ERR_REFUSED || why == ERR_LATER ? REFUSED_REPLAY
           : why == ERR_VERSION                     ? REFUSED_VERSION
                                                    : REFUSED_SYNTAX;
}

static void
count_refusal(struct sealer *s, enum refused_kind kind, const char *from)
{
    static const enum metric metrics[REFUSED_KINDS] = {
        [REFUSED_KEY] = M_p2p_refused_key,       [REFUSED_CLOCK] = M_p2p_refused_clock,
        [REFUSED_REPLAY] = M_p2p_refused_replay, [REFUSED_VERSION] = M_p2p_refused_version,
        [REFUSED_SYNTAX] = M_p2p_refused_syntax, [REFUSED_ID] = M_p2p_refused_id};
    metric_add(metrics[kind], 1);
    lock_take(&s->lock);
    refused_note(&s->refused, kind, from, clock_ms());
    lock_drop(&s->lock);
}

void
sealer_refused(struct sealer *s, struct refused_lately ret[REFUSED_KINDS])
{
    int64_t now_ms = clock_ms();
    lock_take(&s->lock);
    for (int kind = 0; kind < REFUSED_KINDS; kind++)
        refused_look(&s->refused, (enum refused_kind)kind, now_ms, &ret[kind]);
    lock_drop(&s->lock);
}

/* What an operator can do something about; else NULL. */
static const char *
reason_of(int why)
{
    return why == ERR_DENIED    ? "it has another cluster key"
           : why == ERR_TIMEOUT ? "its clock and ours are more than a minute apart"
           : why == ERR_LATER   ? "it started again with a clock or a folder from before: it is "
                                  "heard again within two minutes"
           : why == ERR_VERSION ? "it speaks another version of the protocol: upgrade the older one"
                                : NULL;
}

/* Our own message that came back is no replay; one with our id that we did not send is another
 * node's, made from a copy of our folder. */
static int
judge(struct sealer *s, const struct seal_head *h, const char *from)
{
    if (node_equal(&h->sender, &s->self)) {
        if (h->boot == s->boot)
            return ERR_AGAIN;
        count_refusal(s, REFUSED_ID, from);
        tell(s, ERR_AGAIN, from, "it has the id of this node: a copy of its node.id");
        return ERR_AGAIN;
    }
    lock_take(&s->lock);
    int rc = seal_guard_pass(&s->guard, h);
    lock_drop(&s->lock);
    return rc;
}

/* How a message is taken whose seal was looked at: only once, and refusals are counted and told. */
static int
settle(struct sealer *s, int rc, bool older_key, const struct seal_head *h, const char *from)
{
    rc = rc == 0 ? judge(s, h, from) : rc;
    if (rc == 0) {
        metric_add(M_p2p_older_key, older_key);
    } else if (rc != ERR_AGAIN) {
        count_refusal(s, kind_of(rc), from);
        tell(s, rc, from, reason_of(rc));
    }
    return rc;
}

int
sealer_open(struct sealer *s, enum seal_kind kind, const uint8_t *msg, size_t len, const char *from,
            struct seal_head *ret)
{
    struct seal_keys keys = keys_now(s);
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    struct seal_head h;
    int rc = ERR_DENIED;
    size_t which = 0;
    for (; which < keys.count && rc == ERR_DENIED; which++)
        rc = seal_open(&keys.all[which], msg, len, now_ms, &h);
    if (rc == 0 && h.kind != kind)
        rc = ERR_SYNTAX;
    rc = settle(s, rc, which > 1, &h, from);
    if (rc == 0)
        *ret = h;
    return rc;
}

int
sealer_verify(struct sealer *s, const char *text, const char *what, struct node_id *ret_from)
{
    struct seal_keys keys = keys_now(s);
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    struct seal_head h;
    int rc = ERR_DENIED;
    size_t which = 0;
    for (; which < keys.count && rc == ERR_DENIED; which++)
        rc = seal_verify(&keys.all[which], text, what, now_ms, &h);
    rc = settle(s, rc, which > 1, &h, NULL);
    if (rc == 0)
        *ret_from = h.sender;
    return rc;
}
