/* The p2p thread: it sleeps until a datagram, a note or a time, lets the step decide, and carries
 * the plan out. It never waits for a disk, a name or another node. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rng.h"
#include "base/text.h"
#include "p2p/identity.h"
#include "p2p/p2p_inside.h"
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#define SLEEP_MS_MAX 1000

/* ---- turns ---- */

static void
hear(struct p2p *p)
{
    struct seal_head head;
    char from[ADDR_TEXT_MAX];
    for (unsigned i = 0; i < P2P_HEARD_MAX && net_next(p->net, &p->heard); i++) {
        addr_print_host(&p->heard.from, from);
        if (sealer_open(&p->sealer, SEAL_DATAGRAM, p->heard.bytes, p->heard.len, from, &head) < 0)
            continue;
        struct step_from who = {head.sender, head.boot, head.seq};
        int rc =
            step_datagram(p->step, p->now_ms, &who, p->heard.bytes + SEAL_HEAD, head.len, &p->plan);
        (void)rc; /* a record that was cut: what came before it was taken */
        p2p_carry(p);
    }
}

static void
sleep_until_news(struct p2p *p)
{
    int fds[NET_FDS_MAX];
    struct pollfd polls[NET_FDS_MAX + 1];
    size_t count = net_fds(p->net, fds);
    for (size_t i = 0; i < count; i++)
        polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    polls[count] = (struct pollfd){.fd = mailbox_fd(&p->mail), .events = POLLIN};
    int64_t wait_ms = step_wake_ms(p->step) - clock_ms();
    wait_ms = wait_ms < 0 ? 0 : wait_ms > SLEEP_MS_MAX ? SLEEP_MS_MAX : wait_ms;
    (void)poll(polls, count + 1, (int)wait_ms);
}

static void
count_revocations(struct p2p *p)
{
    uint64_t sum = step_tracker_sum(p->step).revocations;
    metric_add(M_lease_revocations, sum - p->revocations);
    p->revocations = sum;
}

static void
run(void *arg)
{
    struct p2p *p = arg;
    while (!atomic_load(&p->closing)) {
        p->now_ms = clock_ms();
        p2p_take_mail(p);
        hear(p);
        count_revocations(p);
        atomic_store(&p->others, step_members(p->step)->count);
        if (p->noted || p->now_ms >= step_wake_ms(p->step)) {
            p->noted = false;
            step_tick(p->step, p->now_ms, &p->plan);
            p2p_carry(p);
        }
        sleep_until_news(p);
    }
    step_resign(p->step, clock_ms(), true, &p->plan);
    p2p_carry(p);
}

/* ---- life ---- */

static void
release(struct p2p *p)
{
    step_free(p->step);
    net_close(p->net);
    lock_release(&p->progress_lock);
    mailbox_release(&p->mail);
    sealer_release(&p->sealer);
    mem_free(p);
}

static struct step *
new_step(const struct p2p *p, const struct p2p_config *config)
{
    struct step_config c = {.self = p->self,
                            .addr = p->addr,
                            .site = 1,
                            .stored = p->ops.stored,
                            .stored_arg = p->ops.arg};
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    c.priority =
        member_priority((unsigned)(config->priority + 100), true, 0, cpus > 0 ? (unsigned)cpus : 1);
    rng_secret(&c.seed, sizeof c.seed);
    return step_new(&c, clock_ms());
}

static int
open_parts(struct p2p *p, const struct p2p_config *config, struct err *e)
{
    int rc = net_open(config->listen, config->multicast, &p->net, e);
    if (rc < 0)
        return rc;
    p->addr = net_source(p->net);
    p->step = new_step(p, config);
    rc = thread_start(&p->thread, "p2p", run, p);
    return rc < 0 ? err_set(e, rc, "p2p thread: %s", err_text(rc)) : 0;
}

int
p2p_open(const struct p2p_config *config, const struct p2p_ops *ops, struct p2p **ret,
         struct err *e)
{
    struct node_id self;
    int rc = identity_open(config->dir, &self, e);
    if (rc < 0)
        return rc;
    struct p2p *p = mem_zalloc(sizeof *p);
    rc = mailbox_init(&p->mail, P2P_MAIL_MAX);
    if (rc < 0) {
        mem_free(p);
        return err_set(e, rc, "p2p mailbox: %s", err_text(rc));
    }
    p->ops = *ops;
    p->self = self;
    sealer_init(&p->sealer, config->key, &self);
    lock_init(&p->progress_lock, LOCK_LEAF);
    rc = open_parts(p, config, e);
    if (rc < 0) {
        release(p);
        return rc;
    }
    *ret = p;
    return 0;
}

void
p2p_close(struct p2p *p)
{
    if (p == NULL)
        return;
    atomic_store(&p->closing, true);
    mailbox_wake(&p->mail);
    thread_join(&p->thread);
    mailbox_close(&p->mail);
    p2p_drop_namings(p);
    for (struct mail *all = mailbox_take_all(&p->mail); all != NULL;) {
        struct p2p_mail *m = (struct p2p_mail *)all;
        all = all->next;
        if (m->note == P2P_ASK)
            p2p_drop_ask(m->ask, ERR_CLOSED);
        if (m->note == P2P_NAME_ASK)
            p2p_drop_naming(m->naming);
        mem_free(m);
    }
    release(p);
}
