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
#include <netdb.h>
#include <stdatomic.h>
#include <unistd.h>

#define SLEEP_MS_MAX  1000
#define PRIORITY_ZERO 100 /* what is configured as 0: below are -100 .. -1 */

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
        bool knew = p2p_meet_knows(p, &head.sender);
        struct step_from who = {head.sender, head.boot, head.seq, p->heard.by_multicast};
        int rc =
            step_datagram(p->step, p->now_ms, &who, p->heard.bytes + SEAL_HEAD, head.len, &p->plan);
        (void)rc; /* a record that was cut: what came before it was taken */
        p2p_carry(p);
        p2p_meet_heard(p, &head.sender, knew, p->heard.bytes + SEAL_HEAD, head.len);
    }
}

static void
read_answers(struct p2p *p)
{
    const uint8_t *body;
    size_t len;
    bool any;
    do {
        any = false;
        post_turn(p->post);
        while (post_next(p->post, &body, &len)) {
            int rc = step_reply(p->step, p->now_ms, body, len, &p->plan);
            (void)rc; /* as above */
            p2p_carry(p);
            any = true;
        }
    } while (any); /* their lines are free for what waits */
}

static void
sleep_until_news(struct p2p *p)
{
    int fds[NET_FDS_MAX];
    struct curl_waitfd polls[NET_FDS_MAX + 1];
    size_t count = net_fds(p->net, fds);
    for (size_t i = 0; i < count; i++)
        polls[i] = (struct curl_waitfd){.fd = fds[i], .events = CURL_WAIT_POLLIN};
    polls[count] = (struct curl_waitfd){.fd = mailbox_fd(&p->mail), .events = CURL_WAIT_POLLIN};
    int64_t wake_ms = step_wake_ms(p->step);
    int64_t meet_ms = p2p_meet_wake_ms(p);
    int64_t wait_ms = (meet_ms < wake_ms ? meet_ms : wake_ms) - clock_ms();
    wait_ms = wait_ms < 0 ? 0 : wait_ms > SLEEP_MS_MAX ? SLEEP_MS_MAX : wait_ms;
    (void)curl_multi_poll(post_multi(p->post), polls, (unsigned)count + 1, (int)wait_ms, NULL);
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
        read_answers(p);
        count_revocations(p);
        atomic_store(&p->others, step_members(p->step)->count);
        if (p->noted || p->now_ms >= step_wake_ms(p->step)) {
            p->noted = false;
            step_tick(p->step, p->now_ms, &p->plan);
            p2p_carry(p);
        }
        p2p_meet_turn(p);
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
    discover_close(p->discover);
    post_close(p->post);
    net_close(p->net);
    lock_release(&p->progress_lock);
    lock_release(&p->flows_lock);
    mailbox_release(&p->mail);
    sealer_release(&p->sealer);
    mem_free(p);
}

static struct step *
new_step(struct p2p *p)
{
    struct step_config c = {.self = p->self,
                            .addr = p->addr,
                            .site = p->site.id,
                            .priority = member_priority(p->priority, p->wired, 0, p->cpus),
                            .preseed = p->preseed,
                            .stored = p->ops.stored,
                            .heard = p->ops.heard,
                            .room = p->ops.room,
                            .stored_arg = p->ops.arg,
                            .carried = p2p_draw_traffic,
                            .carried_arg = p,
                            .keeper = {p->ops.holds, p->ops.offer, p->ops.take, p->ops.arg}};
    rng_secret(&c.seed, sizeof c.seed);
    return step_new(&c, p->opened_ms);
}

/* Where others reach this node: "auto", host or host:port. */
static int
read_advertise(struct p2p *p, const char *text, struct err *e)
{
    char host[ADDR_HOST_MAX];
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    struct node_addr a = net_source(p->net);
    uint16_t port = a.port;
    p->advertise_auto = strcmp(text, "auto") == 0;
    p->addr = a;
    if (p->advertise_auto)
        return 0;
    if ((addr_split(text, host, &port) < 0 && text_copy(host, sizeof host, text) < 0) ||
        getaddrinfo(host, NULL, &hints, &found) != 0 || found == NULL)
        return err_set(e, ERR_CONFIG,
                       "p2p.advertise: \"%s\": expected auto, or an address or a name that has "
                       "one, with or without :PORT",
                       text);
    bool good = addr_of(found->ai_addr, &a);
    freeaddrinfo(found);
    a.port = port != 0 ? port : p->addr.port;
    if (!good || !addr_is_usable(&a))
        return err_set(e, ERR_CONFIG, "p2p.advertise: \"%s\": no node can be reached there", text);
    p->addr = a;
    return 0;
}

static void
tell_opened(const struct p2p *p)
{
    char addr[ADDR_TEXT_MAX], id[IDENTITY_TEXT_MAX];
    addr_print(&p->addr, addr);
    identity_print(&p->self, id);
    LOG(p2p_opened, LOG_S("node", id), LOG_S("address", addr), LOG_S("site", p->site.name),
        LOG_S("site_from", p->site.from));
}

static int
open_parts(struct p2p *p, const struct p2p_config *config, struct err *e)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (config->site[0] == '\0' || strlen(config->site) >= SITE_NAME_MAX)
        return err_set(e, ERR_CONFIG, "p2p.site: expected auto, or a name of 1 to %d bytes",
                       SITE_NAME_MAX - 1);
    int rc = net_open(config->listen, config->multicast, &p->net, e);
    rc = rc < 0 ? rc : read_advertise(p, config->advertise, e);
    rc = rc < 0 ? rc : post_open(&p->sealer, &p->post, e);
    rc = rc < 0 ? rc
                : discover_open(config->dir, config->seeds, config->seeds_count, &p->discover, e);
    if (rc < 0)
        return rc;
    site_open(config->site, &p->addr, &p->site);
    p->opened_ms = clock_ms();
    p->priority = (unsigned)(config->priority + PRIORITY_ZERO);
    p->preseed = config->preseed;
    p->cpus = cpus > 0 ? (unsigned)cpus : 1;
    p->wired = net_is_wired(&p->addr);
    p->step = new_step(p);
    p2p_meet_open(p);
    tell_opened(p);
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
    sealer_init(&p->sealer, config->keys, &self, identity_count_start(config->dir));
    lock_init(&p->progress_lock, LOCK_LEAF);
    lock_init(&p->flows_lock, LOCK_LEAF);
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
