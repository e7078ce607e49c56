/* Questions that were heard lately. */
#include "p2p/questions.h"

static bool
lives(const struct questions_blob *b, const struct digest *digest, int64_t now_ms)
{
    return b->count > 0 && now_ms - b->since_ms < QUESTIONS_MS && digest_equal(&b->digest, digest);
}

void
questions_heard(struct questions *q, const struct digest *digest, int64_t now_ms)
{
    struct questions_blob *place = &q->list[0];
    for (size_t i = 0; i < QUESTIONS_BLOBS; i++) {
        struct questions_blob *b = &q->list[i];
        if (lives(b, digest, now_ms)) {
            b->count++;
            return;
        }
        if (place->count > 0 && (b->count == 0 || b->since_ms < place->since_ms))
            place = b;
    }
    *place = (struct questions_blob){*digest, now_ms, 1};
}

bool
questions_suffice(const struct questions *q, const struct digest *digest, int64_t now_ms)
{
    for (size_t i = 0; i < QUESTIONS_BLOBS; i++)
        if (lives(&q->list[i], digest, now_ms))
            return q->list[i].count >= QUESTIONS_ENOUGH;
    return false;
}
