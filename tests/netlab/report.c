#include "tests/netlab/report.h"
#include "tests/netlab/wan.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <sys/resource.h>

static uint64_t passes;

void
report_pass(void)
{
    passes++;
}

/* A report is as long as its buffer at most: nothing depends on its last lines. */
#define ADD(...) ((void)!buf_printf(__VA_ARGS__))

static void
add_link(struct buf *ret, const struct wan_site *s, const struct wan_link *l, const char *side)
{
    ADD(ret,
        "link %s.%s state=%s rate=%" PRIu64 " delay_us=%" PRIu64 " jitter_us=%" PRIu64 " loss=%g",
        s->name, side, l->is_down ? "down" : "up", l->rate_bps, l->delay_ns / 1000,
        l->jitter_ns / 1000, l->loss);
    ADD(ret,
        " queue=%" PRIu64 " pkts=%" PRIu64 " bytes=%" PRIu64 " lost=%" PRIu64 " qdrop=%" PRIu64
        " downdrop=%" PRIu64 " qlen=%" PRIu64 " qmax=%" PRIu64 "\n",
        wan_room(l), l->packets, l->bytes, l->lost, l->overflowed, l->refused, l->queued_bytes,
        l->queued_bytes_max);
}

static void
add_path(struct buf *ret, size_t from, size_t to)
{
    const struct wan_path *p = wan_path(from, to);
    if (p->packets || p->delay_ns || p->loss > 0 || p->is_down)
        ADD(ret,
            "path %s %s state=%s delay_us=%" PRIu64 " loss=%g pkts=%" PRIu64 " bytes=%" PRIu64 "\n",
            wan_site(from)->name, wan_site(to)->name, p->is_down ? "down" : "up",
            p->delay_ns / 1000, p->loss, p->packets, p->bytes);
}

static void
add_hosts(struct buf *ret, const struct wan_site *s)
{
    for (uint32_t i = 0; i < WAN_HOSTS_MAX; i++) {
        const struct wan_host *h = &s->hosts[i];
        struct in_addr a = {htonl(s->net | i)};
        char text[INET_ADDRSTRLEN];
        if ((h->up_bytes || h->down_bytes) && inet_ntop(AF_INET, &a, text, sizeof text))
            ADD(ret, "host %s site=%s up=%" PRIu64 " down=%" PRIu64 "\n", text, s->name,
                h->up_bytes, h->down_bytes);
    }
}

static int64_t
time_ms(struct timeval t)
{
    return (int64_t)t.tv_sec * 1000 + t.tv_usec / 1000;
}

static void
add_loop(struct buf *ret)
{
    uint64_t unroutable = 0, unwritable = 0;
    for (size_t i = 0; i < wan_count(); i++) {
        unroutable += wan_site(i)->unroutable;
        unwritable += wan_site(i)->unwritable;
    }
    struct rusage use;
    must(getrusage(RUSAGE_SELF, &use) == 0);
    struct wan_lateness late = wan_lateness();
    ADD(ret,
        "loop cpu_ms=%" PRId64 " passes=%" PRIu64 " lag_max_us=%" PRIu64 " late_1ms=%" PRIu64
        " late_10ms=%" PRIu64 " noroute=%" PRIu64 " wrfail=%" PRIu64 "\n",
        time_ms(use.ru_utime) + time_ms(use.ru_stime), passes, late.max_ns / 1000, late.over_1ms,
        late.over_10ms, unroutable, unwritable);
}

void
report_stats(struct buf *ret)
{
    for (size_t i = 0; i < wan_count(); i++) {
        add_link(ret, wan_site(i), &wan_site(i)->up, "up");
        add_link(ret, wan_site(i), &wan_site(i)->down, "down");
    }
    for (size_t i = 0; i < wan_count(); i++)
        for (size_t j = 0; j < wan_count(); j++)
            add_path(ret, i, j);
    for (size_t i = 0; i < wan_count(); i++)
        add_hosts(ret, wan_site(i));
    add_loop(ret);
}
