/* A snapshot of the sources that a fetch may use now: immutable, counted, replaced
 * whole. The owner publishes, any thread takes. */
#ifndef P2P_VIEW_H
#define P2P_VIEW_H

#include "base/lock.h"

enum view_kind { VIEW_UPSTREAM, VIEW_PEER, VIEW_REMOTE_PEER };

struct view_entry {
    uint64_t id; /* stable over snapshots: what ranks and bans are kept by */
    enum view_kind kind;
    uint32_t price_milli; /* per MiB in thousandths: registry 1000, remote peer 800, LAN peer 0 */
    char name[96];        /* for people: registry host or node name */
};

struct view {
    uint64_t version;
    int refs; /* atomic; view.c only */
    size_t count;
    struct view_entry entries[];
};

/* The place where the newest view hangs. */
struct view_stand {
    struct lock lock;
    struct view *newest; /* lock; never NULL, empty before the first publish */
};

void view_stand_init(struct view_stand *s);
void view_stand_release(struct view_stand *s);
/* Copies the entries into a new snapshot, version one higher. */
void view_publish(struct view_stand *s, const struct view_entry *entries, size_t count);
/* A reference to the newest; never NULL (an empty one before the first). */
struct view *view_take(struct view_stand *s);
void view_release(struct view **v);

#endif
