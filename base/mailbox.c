/* Messages to an owning thread. Invariant: whoever adds the first message or wakes writes the
 * eventfd afterwards, and the owner clears it before it takes, so none is slept over: what is
 * added to others is taken with them. */
#include "base/mailbox.h"
#include "base/err.h"
#include "base/fs.h"
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int
mailbox_init(struct mailbox *m, size_t mail_max)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return -errno;
    *m = (struct mailbox){.event_fd = fd, .mail_max = mail_max};
    m->last = &m->first;
    lock_init(&m->lock, LOCK_MAILBOX);
    return 0;
}

void
mailbox_release(struct mailbox *m)
{
    must(m->first == NULL);
    lock_release(&m->lock);
    fd_close(&m->event_fd);
}

static int
append(struct mailbox *m, struct mail *mail, bool *ret_first)
{
    int rc = 0;

    lock_take(&m->lock);
    if (m->closed) {
        rc = ERR_CLOSED;
    } else if (m->count == m->mail_max) {
        rc = ERR_LIMIT;
    } else {
        *ret_first = m->count == 0;
        mail->next = NULL;
        *m->last = mail;
        m->last = &mail->next;
        m->count++;
    }
    lock_drop(&m->lock);
    return rc;
}

int
mailbox_post(struct mailbox *m, struct mail *mail)
{
    bool first = false;
    int rc = append(m, mail, &first);

    if (rc == 0 && first)
        mailbox_wake(m);
    return rc;
}

void
mailbox_wake(struct mailbox *m)
{
    uint64_t one = 1;

    while (write(m->event_fd, &one, sizeof(one)) < 0) {
        if (errno == EAGAIN) /* the counter is full: the owner is awake anyway */
            return;
        must(errno == EINTR);
    }
}

struct mail *
mailbox_take_all(struct mailbox *m)
{
    uint64_t count;

    while (read(m->event_fd, &count, sizeof(count)) < 0 && errno == EINTR)
        continue;
    lock_take(&m->lock);
    struct mail *all = m->first;
    m->first = NULL;
    m->last = &m->first;
    m->count = 0;
    lock_drop(&m->lock);
    return all;
}

void
mailbox_close(struct mailbox *m)
{
    lock_take(&m->lock);
    m->closed = true;
    lock_drop(&m->lock);
}

int
mailbox_fd(const struct mailbox *m)
{
    return m->event_fd;
}
