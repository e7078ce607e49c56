/* Orders are a table of words; settings are a table of keys with their units. */
#include "tests/netlab/order.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/netlab/report.h"
#include "tests/netlab/tun.h"
#include "tests/netlab/wan.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WORDS_MAX  32
#define UNIT_MAX   6
#define NUMBER_MAX 1e15 /* larger settings are mistakes */

/* To be run later. */
struct later {
    struct event event;
    struct later *next;
    char line[ORDER_BYTES_MAX];
};

struct unit {
    char name[UNIT_MAX];
    double factor;
};

static const struct unit rate_units[] = {
    {"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {"", 0}};
static const struct unit time_units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"", 0}};
static const struct unit size_units[] = {{"b", 1},           {"k", 1024},         {"kb", 1024},
                                         {"m", 1024 * 1024}, {"mb", 1024 * 1024}, {"", 0}};
static const struct unit part_units[] = {{"%", 0.01}, {"", 0}};

static struct later *laters;
static bool trains = true, quit;
static void (*on_site)(int fd, size_t site);

void
order_without_trains(void)
{
    trains = false;
}

bool
order_quit(void)
{
    return quit;
}

void
order_on_site(void (*added)(int fd, size_t site))
{
    on_site = added;
}

/* Room in an answer is no reason to fail an order: what does not fit is left out. */
static bool
refuse(struct buf *out, const char *why, const char *what)
{
    (void)!buf_printf(out, "error: %s%s\n", why, what);
    return false;
}

/* A number and one of the units, which end with an empty one; 0 needs none. */
static bool
parse(const char *text, const struct unit *units, double *ret)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || errno || !(value >= 0) || value > NUMBER_MAX)
        return false;
    for (const struct unit *u = units; *u->name; u++)
        if (strcasecmp(u->name, end) == 0) {
            *ret = value * u->factor;
            return true;
        }
    if (value > 0 || *end)
        return false;
    *ret = 0;
    return true;
}

static bool
parse_ns(const char *text, uint64_t *ret)
{
    double value;
    if (!parse(text, time_units, &value))
        return false;
    *ret = (uint64_t)value;
    return true;
}

static bool
parse_loss(const char *text, double *ret)
{
    double value;
    if (!parse(text, part_units, &value) || value > 1)
        return false;
    *ret = value;
    return true;
}

static bool
parse_state(const char *text, bool *ret_is_down)
{
    *ret_is_down = strcmp(text, "down") == 0;
    return *ret_is_down || strcmp(text, "up") == 0;
}

static bool
set_rate(struct wan_link *l, const char *value)
{
    double rate_bps = 0;
    if (strcmp(value, "unlimited") != 0 && !parse(value, rate_units, &rate_bps))
        return false;
    wan_set_rate(l, (uint64_t)rate_bps);
    return true;
}

static bool
set_queue(struct wan_link *l, const char *value)
{
    double bytes;
    if (parse_ns(value, &l->room_ns)) {
        l->room_bytes = 0;
        return true;
    }
    if (!parse(value, size_units, &bytes))
        return false;
    l->room_bytes = bytes < PACKET_BYTES ? PACKET_BYTES : (uint64_t)bytes;
    return true;
}

static bool
set_link(struct wan_link *l, const char *key, const char *value)
{
    bool is_down;
    if (strcmp(key, "rate") == 0)
        return set_rate(l, value);
    if (strcmp(key, "delay") == 0)
        return parse_ns(value, &l->delay_ns);
    if (strcmp(key, "jitter") == 0)
        return parse_ns(value, &l->jitter_ns);
    if (strcmp(key, "loss") == 0)
        return parse_loss(value, &l->loss);
    if (strcmp(key, "queue") == 0)
        return set_queue(l, value);
    if (strcmp(key, "state") != 0 || !parse_state(value, &is_down))
        return false;
    wan_set_down(l, is_down);
    return true;
}

static bool
set_path(struct wan_path *p, const char *key, const char *value)
{
    if (strcmp(key, "delay") == 0)
        return parse_ns(value, &p->delay_ns);
    if (strcmp(key, "loss") == 0)
        return parse_loss(value, &p->loss);
    return strcmp(key, "state") == 0 && parse_state(value, &p->is_down);
}

static bool
find_site(const char *name, size_t len, size_t *ret)
{
    for (size_t i = 0; i < wan_count(); i++) {
        const char *have = wan_site(i)->name;
        if (strlen(have) == len && memcmp(have, name, len) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* Splits KEY=VALUE in place. */
static bool
split(char *word, char **ret_value)
{
    char *equal = strchr(word, '=');
    if (!equal)
        return false;
    *equal = 0;
    *ret_value = equal + 1;
    return true;
}

/* set SITE[.up|.down] KEY=VALUE... */
static bool
order_set(char **word, int count, struct buf *out)
{
    size_t site;
    const char *dot = count > 2 ? strchr(word[1], '.') : NULL;
    const char *side = dot ? dot : "";
    if (count < 3 || !find_site(word[1], strlen(word[1]) - strlen(side), &site) ||
        (*side && strcmp(side, ".up") != 0 && strcmp(side, ".down") != 0))
        return refuse(out, "usage: set SITE[.up|.down] KEY=VALUE...", "");
    struct wan_site *s = wan_site(site);
    for (int i = 2; i < count; i++) {
        char *value;
        if (!split(word[i], &value) ||
            (strcmp(side, ".down") != 0 && !set_link(&s->up, word[i], value)) ||
            (strcmp(side, ".up") != 0 && !set_link(&s->down, word[i], value)))
            return refuse(out, "bad setting of ", word[i]);
    }
    return true;
}

/* path SITE SITE KEY=VALUE... */
static bool
order_path(char **word, int count, struct buf *out)
{
    size_t a, b;
    if (count < 4 || !find_site(word[1], strlen(word[1]), &a) ||
        !find_site(word[2], strlen(word[2]), &b))
        return refuse(out, "usage: path SITE SITE KEY=VALUE...", "");
    for (int i = 3; i < count; i++) {
        char *value;
        if (!split(word[i], &value) || !set_path(wan_path(a, b), word[i], value) ||
            !set_path(wan_path(b, a), word[i], value))
            return refuse(out, "bad setting of ", word[i]);
    }
    return true;
}

/* thin ADDRESS rate=RATE */
static bool
order_thin(char **word, int count, struct buf *out)
{
    struct in_addr a;
    char *value;
    if (count != 3 || !inet_aton(word[1], &a) || !split(word[2], &value) ||
        strcmp(word[2], "rate") != 0)
        return refuse(out, "usage: thin ADDRESS rate=RATE", "");
    uint32_t host = ntohl(a.s_addr);
    for (size_t i = 0; i < wan_count(); i++)
        if ((host & wan_site(i)->mask) == wan_site(i)->net)
            return set_rate(wan_thin(wan_site(i), host), value) || refuse(out, "bad rate ", value);
    return refuse(out, "no site has ", word[1]);
}

/* NET/BITS in place. */
static bool
parse_net(char *text, uint32_t *ret_net, uint32_t *ret_mask)
{
    char *slash = strchr(text, '/');
    uint64_t bits;
    struct in_addr a;
    if (!slash || text_u64(slash + 1, strlen(slash + 1), &bits) < 0 || bits < 1 || bits > 32)
        return false;
    *slash = 0;
    if (!inet_aton(text, &a))
        return false;
    *ret_mask = UINT32_MAX << (32 - bits);
    *ret_net = ntohl(a.s_addr) & *ret_mask;
    return true;
}

/* site NAME NETNS-FILE DEVICE NET/BITS */
static bool
order_site(char **word, int count, struct buf *out)
{
    uint32_t net, mask;
    size_t known;
    if (count != 5 || strlen(word[1]) >= WAN_NAME_MAX || strchr(word[1], '.') ||
        find_site(word[1], strlen(word[1]), &known) || wan_count() == WAN_SITES_MAX ||
        !parse_net(word[4], &net, &mask))
        return refuse(out, "usage: site NAME NETNS-FILE DEVICE NET/BITS, no dots, unique", "");
    AUTO(fd_close) int fd = -1;
    struct err e = {0};
    if (tun_open(word[2], word[3], trains, &fd, &e) < 0)
        return refuse(out, e.text, "");
    int site = wan_add(word[1], net, mask, fd);
    must(site >= 0);
    on_site(fd, (size_t)site);
    fd = -1;
    return true;
}

static void
later_fire(struct event *e, uint64_t due_ns)
{
    (void)due_ns;
    struct later *l = (struct later *)e, **at = &laters;
    event_clear(e);
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    AUTO(buf_release) struct buf out;
    buf_init(&out, ORDER_BYTES_MAX);
    if (!order_run(l->line, &out))
        (void)fprintf(stderr, "%s: %s", l->line, buf_text(&out));
    mem_free(l);
}

/* at TIME ORDER...: TIME counts from now */
static bool
order_at(const char *line, struct buf *out)
{
    char when[32];
    int used = 0;
    uint64_t wait_ns;
    if (sscanf(line, "%*s %31s %n", when, &used) < 1 || used == 0 || !line[used] ||
        !parse_ns(when, &wait_ns))
        return refuse(out, "usage: at TIME ORDER...", "");
    struct later *l = mem_alloc(sizeof *l);
    event_init(&l->event, later_fire);
    must(text_copy(l->line, sizeof l->line, line + used) == 0);
    l->next = laters;
    laters = l;
    event_set(&l->event, event_now_ns() + wait_ns);
    return true;
}

static void
order_cancel(void)
{
    while (laters) {
        struct later *l = laters;
        laters = l->next;
        event_clear(&l->event);
        mem_free(l);
    }
}

static bool
carry_out(char **word, int count, const char *line, struct buf *out)
{
    uint64_t seed;
    if (strcmp(word[0], "stats") == 0)
        report_stats(out);
    else if (strcmp(word[0], "site") == 0)
        return order_site(word, count, out);
    else if (strcmp(word[0], "set") == 0)
        return order_set(word, count, out);
    else if (strcmp(word[0], "path") == 0)
        return order_path(word, count, out);
    else if (strcmp(word[0], "thin") == 0)
        return order_thin(word, count, out);
    else if (strcmp(word[0], "at") == 0)
        return order_at(line, out);
    else if (strcmp(word[0], "cancel") == 0)
        order_cancel();
    else if (strcmp(word[0], "reset") == 0)
        wan_reset_counters();
    else if (strcmp(word[0], "seed") == 0 && count == 2 &&
             text_u64(word[1], strlen(word[1]), &seed) == 0)
        wan_seed(seed);
    else if (strcmp(word[0], "quit") == 0)
        quit = true;
    else
        return refuse(out, "unknown order ", word[0]);
    return true;
}

bool
order_run(const char *line, struct buf *out)
{
    char copy[ORDER_BYTES_MAX], *word[WORDS_MAX], *rest = NULL;
    int count = 0;
    if (text_copy(copy, sizeof copy, line) < 0)
        return refuse(out, "the line is too long", "");
    copy[strcspn(copy, "#\r\n")] = 0;
    for (char *w = strtok_r(copy, " \t", &rest); w && count < WORDS_MAX;
         w = strtok_r(NULL, " \t", &rest))
        word[count++] = w;
    return count == 0 || carry_out(word, count, line, out);
}
