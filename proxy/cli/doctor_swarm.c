/* peersync doctor: key, other nodes, and what keeps them apart. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "p2p/p2p.h"
#include "proxy/cli/doctor.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEER_MS          1000L  /* a LAN answers in a few */
#define PEERS_MAX        16     /* asked one by one; they stand for the rest */
#define SEEDS_MAX        4      /* as above */
#define SENDERS_TEXT_MAX 100    /* of the line that they stand in */
#define REFUSED_OVER_MS  180000 /* without a refusal: it is over */

/* 0: what is there is no key. */
static size_t
count_keys(int fd)
{
    char text[SEAL_KEYS_TEXT];
    struct seal_keys keys = {0};
    ssize_t n = read(fd, text, sizeof text);
    size_t count = n < 0 || seal_keys_parse(text, (size_t)n, &keys) ? 0 : keys.count;
    OPENSSL_cleanse(text, sizeof text);
    OPENSSL_cleanse(&keys, sizeof keys);
    return count;
}

/* What the key file holds; nothing that is told names a digit of it. */
static void
judge_key(struct doctor *d, const char *path, const struct stat *st, int fd)
{
    size_t count = count_keys(fd);
    if (count == 0)
        doctor_tell(d, DOCTOR_BAD, "key", "%s holds no cluster key; see peersync cluster --help",
                    path);
    else if (doctor_denied(d, st, S_IROTH))
        doctor_tell(d, DOCTOR_BAD, "key", "the service's user may not read %s: chown peersync %s",
                    path, path);
    else if (st->st_mode & (doctor_has_group(st->st_gid) ? S_IRWXO : S_IRWXO | S_IRWXG))
        doctor_tell(d, DOCTOR_WARNING, "key", "others can read %s: chmod 600 %s", path, path);
    else
        doctor_tell(d, DOCTOR_GOOD, "key", "%s, mode %03o%s", path, (unsigned)st->st_mode & 0777,
                    count > 1 ? ", several: the first signs, all are believed" : "");
}

/* True when this node should be in a swarm. */
static bool
check_key(struct doctor *d)
{
    const char *path = d->settings->p2p_key_file;
    struct stat st = {0};
    if (!d->settings->p2p_enabled) {
        doctor_tell(d, DOCTOR_GOOD, "swarm", "p2p.enabled is false: this node runs alone");
        return false;
    }
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        doctor_tell(d, DOCTOR_GOOD, "swarm",
                    "no key at %s: this node runs alone; for a swarm see peersync cluster --help",
                    path);
        return false;
    }
    if (fd < 0 || fstat(fd, &st) != 0)
        doctor_tell(d, errno == EACCES && geteuid() != 0 ? DOCTOR_GOOD : DOCTOR_BAD, "key",
                    "%s: %s", path, err_text(-errno));
    else
        judge_key(d, path, &st, fd);
    return true;
}

/* Messages of one kind, as refused_lately has them. */
struct lately {
    uint64_t count, last_ms_ago;
    char last[TEXT_SIZE_MAX], from[SENDERS_TEXT_MAX]; /* for people; from: "" or " of A, B" */
};

/* False: there were none in the last hour. */
static bool
lately_of(const cJSON *p, const char *kind, struct lately *ret)
{
    const cJSON *one = cli_refused(p, kind), *from;
    size_t len = 0;
    *ret = (struct lately){cli_number(one, "messages"), cli_number(one, "last_ms_ago"), "", ""};
    text_print_duration((int64_t)(ret->last_ms_ago / 1000 * 1000), ret->last);
    cJSON_ArrayForEach(from, json_array(one, "from"))
    {
        if (text_printf(ret->from + len, sizeof ret->from - len, "%s%s", len ? ", " : " of ",
                        from->valuestring))
            ret->from[len] = 0; /* enough of them */
        len = strlen(ret->from);
    }
    return ret->count > 0;
}

/* It goes on: a node that is not believed is heard every few seconds. */
static bool
goes_on(const cJSON *p, const char *kind, struct lately *ret)
{
    return lately_of(p, kind, ret) && ret->last_ms_ago < REFUSED_OVER_MS;
}

static void
check_refused(struct doctor *d, const cJSON *p)
{
    static const struct {
        const char *key, *name, *text;
    } kinds[] = {
        {"clock", "swarm clock",
         "a clock, ours or theirs, is more than a minute off: compare timedatectl on both"},
        {"key", "swarm key",
         "they have another cluster key: install the same on all nodes, then systemctl reload "
         "peersync"},
        {"version", "swarm version",
         "they have another version of the protocol: upgrade the older ones"},
        {"id", "swarm id",
         "two nodes have one id, which a copied disk brings: stop peersync on the copy, delete "
         "node.id in its cache.dir, start it"},
    };
    bool any = false;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct lately l;
        if (goes_on(p, kinds[i].key, &l))
            doctor_tell(d, DOCTOR_WARNING, kinds[i].name,
                        "%llu messages%s were refused in the last hour, the last one %s ago: %s",
                        (unsigned long long)l.count, l.from, l.last, kinds[i].text);
        else if (l.count)
            doctor_tell(
                d, DOCTOR_GOOD, kinds[i].name,
                "%llu messages%s were refused for their %s, the last one %s ago: it is over",
                (unsigned long long)l.count, l.from, kinds[i].key, l.last);
        any = any || l.count;
    }
    if (!any && json_array(p, "refused_lately")) /* an older daemon has no such list */
        doctor_tell(d, DOCTOR_GOOD, "swarm clock",
                    "no message was refused for its clock, key, version or id in the last hour");
}

/* The other direction: what others can ask of this node. */
static void
check_reach(struct doctor *d, const cJSON *p)
{
    AUTO(json_free) cJSON *doc = NULL;
    if (cli_post(d->cli, "/api/v1/reach", &doc))
        return;
    if (cli_true(doc, "reached"))
        doctor_tell(d, DOCTOR_GOOD, "p2p port", "another node reaches %s by TCP",
                    cli_text(p, "address"));
    else if (cli_number(doc, "asked"))
        doctor_tell(d, DOCTOR_BAD, "p2p port",
                    "no other node reaches %s by TCP; a firewall? another address (p2p.advertise)?",
                    cli_text(p, "address"));
}

/* Peers that cannot be reached from here cannot give us anything. */
static void
check_ports(struct doctor *d, const cJSON *p)
{
    const cJSON *one;
    unsigned asked = 0, fine = 0;
    cJSON_ArrayForEach(one, json_array(p, "peers"))
    {
        if (asked == PEERS_MAX)
            break;
        AUTO(mem_free_text) char *url = mem_printf("http://%s/p2p/v1/", cli_text(one, "address"));
        struct doctor_seen s = doctor_look(url, "", true, PEER_MS);
        asked++;
        fine += s.code == CURLE_OK;
        if (s.code != CURLE_OK)
            doctor_tell(d, DOCTOR_WARNING, "p2p port", "%s: %s; is TCP to that port open?",
                        cli_text(one, "address"), s.error);
    }
    if (fine)
        doctor_tell(d, DOCTOR_GOOD, "p2p port", "%u of %u %s on TCP", fine, asked,
                    text_plural(asked, "node answers", "nodes answer"));
    if (asked)
        check_reach(d, p);
}

/* Nobody was heard by UDP: do the seeds answer by TCP, at the same port? This node may be one: all
 * may have the same list. */
static void
check_seeds(struct doctor *d, const char *own)
{
    for (size_t i = 0; i < d->settings->p2p_seed_count && i < SEEDS_MAX; i++) {
        const char *seed = d->settings->p2p_seeds[i];
        if (text_starts(seed, "dns:"))
            continue;
        if (doctor_is_own(seed, own)) {
            doctor_tell(d, DOCTOR_GOOD, "seed", "%s is this node", seed);
            continue;
        }
        AUTO(mem_free_text) char *url = mem_printf("http://%s/p2p/v1/", seed);
        struct doctor_seen s = doctor_look(url, "", true, PEER_MS);
        if (s.code == CURLE_OK)
            doctor_tell(
                d, DOCTOR_WARNING, "seed",
                "%s answers by TCP and was not heard by UDP: open UDP at that port, on both "
                "nodes and between them",
                seed);
        else
            doctor_tell(d, DOCTOR_WARNING, "seed",
                        "%s: %s; is that node up, is TCP and UDP to that port open?", seed,
                        s.error);
    }
}

static void
check_nodes(struct doctor *d, const cJSON *p, uint64_t here, uint64_t elsewhere)
{
    struct lately l;
    if (here || elsewhere) {
        doctor_tell(d, DOCTOR_GOOD, "nodes",
                    "%llu heard in this site, %llu elsewhere; the tracker is %s",
                    (unsigned long long)here, (unsigned long long)elsewhere,
                    json_object(p, "tracker") ? cli_text(json_object(p, "tracker"), "address")
                                              : "not known now");
    } else if (goes_on(p, "key", &l) || goes_on(p, "clock", &l) || goes_on(p, "version", &l) ||
               goes_on(p, "id", &l)) {
        doctor_tell(d, DOCTOR_WARNING, "nodes",
                    "there are others, and none is believed; below is why");
    } else {
        doctor_tell(d, DOCTOR_WARNING, "nodes",
                    "none was heard; the same key everywhere? UDP and TCP open at p2p.listen? %s",
                    d->settings->p2p_seed_count ? "what the seeds say follows"
                                                : "a LAN without multicast needs p2p.seeds");
        check_seeds(d, cli_text(p, "address"));
    }
}

static void
check_found(struct doctor *d, const cJSON *p)
{
    const cJSON *nodes = json_object(p, "nodes");
    uint64_t here = cli_number(nodes, "site");
    bool works = cli_true(p, "multicast");
    doctor_tell(d, DOCTOR_GOOD, "site", "%s, from %s; this node is %s", cli_text(p, "site"),
                cli_text(p, "site_from"), cli_text(p, "address"));
    check_nodes(d, p, here, cli_number(nodes, "elsewhere"));
    if (!d->settings->p2p_multicast)
        doctor_tell(d, DOCTOR_GOOD, "multicast", "off by configuration");
    else if (here && !works)
        doctor_tell(d, DOCTOR_WARNING, "multicast",
                    "the LAN does not carry it; nodes are found by seeds and by each other only");
    else if (works)
        doctor_tell(d, DOCTOR_GOOD, "multicast", "works");
}

void
doctor_swarm(struct doctor *d)
{
    AUTO(json_free) cJSON *p = NULL;
    if (!check_key(d) || !d->answers || cli_get(d->cli, "/api/v1/peers", &p))
        return;
    if (cli_true(p, "alone")) {
        doctor_tell(d, DOCTOR_BAD, "swarm",
                    "the daemon runs alone: %s; restart it when the key is new",
                    cli_text(p, "reason"));
        return;
    }
    check_found(d, p);
    check_refused(d, p);
    check_ports(d, p);
}
