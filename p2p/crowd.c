/* Questions that were heard lately. */
#include "p2p/crowd.h"

static bool
lives(const struct crowd_blob *b, const struct digest *digest, int64_t now_ms)
{
    return b->count > 0 && now_ms - b->since_ms < CROWD_MS && digest_equal(&b->digest, digest);
}

void
crowd_heard(struct crowd *c, const struct digest *digest, int64_t now_ms)
{
    struct crowd_blob *place = &c->list[0];
    for (size_t i = 0; i < CROWD_BLOBS; i++) {
        struct crowd_blob *b = &c->list[i];
        if (lives(b, digest, now_ms)) {
            b->count++;
            return;
        }
        if (place->count > 0 && (b->count == 0 || b->since_ms < place->since_ms))
            place = b;
    }
    *place = (struct crowd_blob){*digest, now_ms, 1};
}

bool
crowd_suffices(const struct crowd *c, const struct digest *digest, int64_t now_ms)
{
    for (size_t i = 0; i < CROWD_BLOBS; i++)
        if (lives(&c->list[i], digest, now_ms))
            return c->list[i].count >= CROWD_ENOUGH;
    return false;
}
