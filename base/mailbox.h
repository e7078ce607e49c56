/* Messages to the one thread that owns something: any thread posts, the owner
 * takes all at once. Intrusive (struct mail is the first member of a message), in
 * order, bounded. The owner may sleep on mailbox_fd(). */
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

#include "base/lock.h"

struct mail {
    struct mail *next;
};

struct mailbox {
    int event_fd;    /* fixed at init */
    size_t mail_max; /* fixed at init */
    struct lock lock;
    struct mail *first, **last; /* lock */
    size_t count;               /* lock */
    bool closed;                /* lock */
};

CHECKED int mailbox_init(struct mailbox *m, size_t mail_max);
void mailbox_release(struct mailbox *m); /* of one that was initialised; must be empty */
/* Takes ownership of the message on success. 0, ERR_LIMIT when full, ERR_CLOSED. */
CHECKED int mailbox_post(struct mailbox *m, struct mail *mail);
/* Wakes the owner without a message. Any thread, never fails. */
void mailbox_wake(struct mailbox *m);
/* Owner only: everything posted so far, oldest first, NULL when none; clears the event. */
struct mail *mailbox_take_all(struct mailbox *m);
/* Nothing can be posted afterwards; what is inside stays to be taken. */
void mailbox_close(struct mailbox *m);
int mailbox_fd(const struct mailbox *m); /* readable after post or wake */

#endif
