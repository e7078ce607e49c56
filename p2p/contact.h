/* Addresses where a node may be, and when each gets a beacon: seeds, the nodes of last time, and
 * what others tell. Pure.
 *
 *   SEED   always a contact: every second while this node hears nobody of its site, else every
 *          five
 *   LAST   was heard once, in this run or one before: the same, but forgotten after ten minutes in
 *          vain; so the halves of a LAN that was split find each other without multicast
 *   TOLD   three beacons, then it is forgotten
 *
 * Nobody speaks to a contact while a member is heard at its address. */
#ifndef P2P_CONTACT_H
#define P2P_CONTACT_H

#include "p2p/member.h"

#define CONTACTS_MAX      256 /* the newest takes the place of the oldest TOLD one */
#define CONTACT_EVERY_MS  1000
#define CONTACT_SLOW_MS   5000 /* while the site is known */
#define CONTACT_TOLD_SAYS 3
#define CONTACT_LAST_SAYS 120

enum contact_from { CONTACT_SEED, CONTACT_LAST, CONTACT_TOLD };

struct contacts {
    size_t count;
    struct contact {
        struct node_addr addr;
        enum contact_from from;
        unsigned says; /* beacons sent there in vain */
        int64_t due_ms;
    } list[CONTACTS_MAX];
};

void contact_init(struct contacts *c);
/* A beacon is due there at once, if it was not known. */
void contact_add(struct contacts *c, const struct node_addr *addr, enum contact_from from,
                 int64_t now_ms);
/* All seeds as they are now; others are seeds no longer. */
void contact_seeds(struct contacts *c, const struct node_addr *now, size_t count, int64_t now_ms);
/* An address that is due; false: none is any more. */
bool contact_next(struct contacts *c, const struct members *m, uint64_t site, int64_t now_ms,
                  struct node_addr *ret);
int64_t contact_wake_ms(const struct contacts *c);

#endif
