/* The scripts whose every moment may be the last: one for each protocol of the store. */
#ifndef TESTS_CRASH_SCRIPT_H
#define TESTS_CRASH_SCRIPT_H

#include "cache/cache.h"

enum { BODY_A, BODY_B, BODY_C, BODY_LONG, BODY_TEXT, BODY_TINY, BODIES = BODY_TINY + 6 };

struct body {
    uint8_t *bytes;
    size_t len;
    struct digest digest;
};
#define BODY_PIECES_MAX 2
extern struct body bodies[BODIES];

/* What a script says of a moment (oplog_mark). */
enum mark {
    MARK_WHOLE,    /* the cache said that body `value` is durable */
    MARK_GOING,    /* it may go from here on */
    MARK_TAG,      /* the tag is about to have this value */
    MARK_TAG_KEPT, /* a clean stop has kept it */
    MARK_DROPPED,  /* a clean stop has kept that the other tag was dropped */
    MARK_CLOSING,  /* cache_close was called: blobs may be sure after the next start */
    MARK_OPENED,   /* cache_open has returned: they may not */
    MARK_PINNING,  /* body `value` is about to be pinned, or not to be any more */
    MARK_PINNED,   /* a clean stop has kept that it is pinned, */
    MARK_UNPINNED, /* or that it is not */
};
#define TAG_KEY   "host/name:tag"
#define TAG_OTHER "host/name:other"
struct tag script_tag(uint64_t value);

struct script {
    const char *name;
    uint64_t cap_bytes;
    unsigned bodies; /* bit i: body i occurs; TEXT shrinks */
    void (*run)(struct cache_config *config);
    bool containerd; /* its store is DIR/containerd, and of what it has no copy is kept */
};
#define SCRIPT_CONTENT "containerd"
extern const struct script scripts[];
extern const size_t scripts_count;

void script_make_bodies(void);
/* Opens; fails the program when it cannot. */
struct cache *script_open(const struct cache_config *config);
/* Fetches as far as `upto` and reads what is there. What did not come, or came wrong, or NULL;
 * with `upto` below its length it is left as a partial file. */
const char *script_pull(struct cache *c, int body, uint64_t upto);
/* What the cache says that the pieces of a stored body hash to: what is wrong with it, or NULL. */
const char *script_ask_words(struct cache *c, int body);

#endif
