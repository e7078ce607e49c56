/*
 * peersync doctor: looks at everything that a pull through this node needs, in the order in
 * which it would be needed, and says what to do about what is wrong.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "p2p/p2p.h"
#include "proxy/cli/cli.h"
#include "proxy/cli/setup.h"
#include "proxy/settings.h"
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define REGISTRY_MS      5000L
#define SKEW_WARN_S      60 /* TLS and tokens begin to suffer */
#define SKEW_FAIL_S      600
#define GIGABIT_BYTES_S  125000000u /* a LAN that is common */
#define TEXT_MAX         256
#define PEER_MS          1000L  /* a LAN answers in a few */
#define PEERS_MAX        16     /* asked one by one; they stand for the rest */
#define SENDERS_TEXT_MAX 100    /* of the line that they stand in */
#define REFUSED_OVER_MS  180000 /* without a refusal: it is over */

enum verdict { GOOD, WARNING, BAD };

struct doctor {
    const struct cli *cli;
    struct settings *settings;
    cJSON *list; /* of -o json */
    unsigned bad, warnings;
};

/* One line: what was looked at, how it is, and what to do about it. */
PRINTF(4, 5)
static void
tell(struct doctor *d, enum verdict v, const char *what, const char *fmt, ...)
{
    static const char *const words[] = {"ok", "warn", "FAIL"};
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    d->bad += v == BAD;
    d->warnings += v == WARNING;
    if (!d->cli->json) {
        if (v == GOOD && d->cli->quiet)
            return;
        (void)printf("%-4s  %-11s %s\n", words[v], what, text);
        (void)fflush(stdout);
        return;
    }
    cJSON *one = cJSON_CreateObject();
    cJSON_AddStringToObject(one, "check", what);
    cJSON_AddStringToObject(one, "result", words[v]);
    cJSON_AddStringToObject(one, "text", text);
    cJSON_AddItemToArray(d->list, one);
}

/* ---- the daemon ---- */

struct seen {
    long status;
    CURLcode code;
    int64_t date_s; /* of the answer's Date, or -1 */
    char body[TEXT_MAX];
};

static size_t
take(char *bytes, size_t one, size_t len, void *arg)
{
    struct seen *s = arg;
    size_t used = strlen(s->body);
    size_t n = one * len < TEXT_MAX - 1 - used ? one * len : TEXT_MAX - 1 - used;
    memcpy(s->body + used, bytes, n);
    s->body[used + n] = 0;
    return one * len;
}

static size_t
take_header(char *bytes, size_t one, size_t len, void *arg)
{
    struct seen *s = arg;
    AUTO(mem_free_text) char *line = mem_strndup(bytes, one * len);
    if (strncasecmp(line, "date:", 5) == 0 && text_http_date(line + 5, &s->date_s) < 0)
        s->date_s = -1;
    return one * len;
}

/* Proxies of the environment hold for registries, never for ourselves. */
static struct seen
look(const char *url, const char *ca, bool own, long wait_ms)
{
    struct seen s = {.code = CURLE_FAILED_INIT, .date_s = -1};
    CURL *curl = curl_easy_init();
    if (!curl)
        return s;
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_SOCKS5_AUTH, CURLAUTH_BASIC); /* as the daemon does */
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, wait_ms);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "peersync/" PEERSYNC_VERSION);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &s);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, &s);
    if (own)
        (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (*ca)
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
    s.code = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &s.status);
    curl_easy_cleanup(curl);
    s.body[strcspn(s.body, "\r\n")] = 0;
    return s;
}

/* False when nothing more can be asked of it. */
static bool
check_daemon(struct doctor *d)
{
    char admin[CLI_ADDRESS_MAX], listen[CLI_ADDRESS_MAX];
    if (cli_admin_address(d->cli, admin) || cli_reachable(d->settings->listen, listen))
        return false;
    AUTO(mem_free_text) char *ready = mem_printf("http://%s/readyz", admin);
    struct seen s = look(ready, "", true, REGISTRY_MS);
    if (s.code != CURLE_OK) {
        tell(d, BAD, "daemon", "no answer at %s: %s; start it: systemctl start peersync", admin,
             curl_easy_strerror(s.code));
        return false;
    }
    bool degraded = strstr(s.body, "degraded") != NULL;
    tell(d,
         s.status != 200 ? BAD
         : degraded      ? WARNING
                         : GOOD,
         "daemon", "%s says: %s%s", ready, s.body,
         degraded ? "; see the log and the cache lines below" : "");
    AUTO(mem_free_text) char *ping = mem_printf("http://%s/v2/", listen);
    s = look(ping, "", true, REGISTRY_MS);
    if (s.code == CURLE_OK && s.status == 200)
        tell(d, GOOD, "registry", "%s answers", ping);
    else
        tell(d, BAD, "registry", "%s: %s; is listen the same in the daemon's configuration?", ping,
             s.code == CURLE_OK ? "another server is there" : curl_easy_strerror(s.code));
    return true;
}

/* ---- the swarm ---- */

/* What the key file holds; nothing that is told names a digit of it. */
static void
judge_key(struct doctor *d, const char *path, const struct stat *st, int fd)
{
    char text[SEAL_KEYS_TEXT];
    struct seal_keys keys;
    ssize_t n = read(fd, text, sizeof text);
    if (n < 0 || seal_keys_parse(text, (size_t)n, &keys))
        tell(d, BAD, "key", "%s holds no cluster key; see peersync cluster --help", path);
    else if (st->st_mode & 077)
        tell(d, WARNING, "key", "others can read %s: chmod 600 %s", path, path);
    else
        tell(d, GOOD, "key", "%s, mode %03o%s", path, (unsigned)st->st_mode & 0777,
             keys.count > 1 ? ", several: the first signs, all are believed" : "");
}

/* True when this node should be in a swarm. */
static bool
check_key(struct doctor *d)
{
    const char *path = d->settings->p2p_key_file;
    struct stat st = {0};
    if (!d->settings->p2p_enabled) {
        tell(d, GOOD, "swarm", "p2p.enabled is false: this node runs alone");
        return false;
    }
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        tell(d, GOOD, "swarm",
             "no key at %s: this node runs alone; for a swarm see peersync cluster --help", path);
        return false;
    }
    if (fd < 0 || fstat(fd, &st) != 0)
        tell(d, errno == EACCES && geteuid() != 0 ? GOOD : BAD, "key", "%s: %s", path,
             err_text(-errno));
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
    };
    bool any = false;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct lately l;
        if (goes_on(p, kinds[i].key, &l))
            tell(d, WARNING, kinds[i].name,
                 "%llu messages in the last hour, the last one %s ago,%s refused: %s",
                 (unsigned long long)l.count, l.last, l.from, kinds[i].text);
        else if (l.count)
            tell(d, GOOD, kinds[i].name,
                 "%llu messages%s were refused for their %s, the last one %s ago: it is over",
                 (unsigned long long)l.count, l.from, kinds[i].key, l.last);
        any = any || l.count;
    }
    if (!any && json_array(p, "refused_lately")) /* an older daemon has no such list */
        tell(d, GOOD, "swarm clock",
             "no message was refused for its clock, key or version in the last hour");
}

/* The other direction: what others can ask of this node. */
static void
check_reach(struct doctor *d, const cJSON *p)
{
    AUTO(json_free) cJSON *doc = NULL;
    if (cli_post(d->cli, "/api/v1/reach", &doc))
        return;
    if (cli_true(doc, "reached"))
        tell(d, GOOD, "p2p port", "another node reaches %s by TCP", cli_text(p, "address"));
    else if (cli_number(doc, "asked"))
        tell(d, BAD, "p2p port",
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
        struct seen s = look(url, "", true, PEER_MS);
        asked++;
        fine += s.code == CURLE_OK;
        if (s.code != CURLE_OK)
            tell(d, WARNING, "p2p port", "%s: %s; is TCP to that port open?",
                 cli_text(one, "address"), curl_easy_strerror(s.code));
    }
    if (fine)
        tell(d, GOOD, "p2p port", "%u of %u %s on TCP", fine, asked,
             text_plural(asked, "node answers", "nodes answer"));
    if (asked)
        check_reach(d, p);
}

static void
check_found(struct doctor *d, const cJSON *p)
{
    const cJSON *nodes = json_object(p, "nodes");
    uint64_t here = cli_number(nodes, "site"), elsewhere = cli_number(nodes, "elsewhere");
    bool works = cli_true(p, "multicast");
    const char *address = cli_text(p, "address");
    tell(d, GOOD, "site", "%s, from %s; this node is %s", cli_text(p, "site"),
         cli_text(p, "site_from"), address);
    struct lately l;
    bool deaf = goes_on(p, "key", &l) || goes_on(p, "clock", &l) || goes_on(p, "version", &l);
    if (!here && !elsewhere && deaf)
        tell(d, WARNING, "nodes", "there are others, and none is believed; below is why");
    else if (!here && !elsewhere)
        tell(d, WARNING, "nodes",
             "none was heard; the same key everywhere? UDP and TCP open at p2p.listen? %s",
             d->settings->p2p_seed_count ? "do the seeds run?"
                                         : "a LAN without multicast needs p2p.seeds");
    else
        tell(d, GOOD, "nodes", "%llu heard in this site, %llu elsewhere; the tracker is %s",
             (unsigned long long)here, (unsigned long long)elsewhere,
             json_object(p, "tracker") ? cli_text(json_object(p, "tracker"), "address")
                                       : "not known now");
    if (!d->settings->p2p_multicast)
        tell(d, GOOD, "multicast", "off by configuration");
    else if (here && !works)
        tell(d, WARNING, "multicast",
             "the LAN does not carry it; nodes are found by seeds and by each other only");
    else if (works)
        tell(d, GOOD, "multicast", "works");
}

static void
check_swarm(struct doctor *d, bool has_key)
{
    AUTO(json_free) cJSON *p = NULL;
    if (!has_key || cli_get(d->cli, "/api/v1/peers", &p))
        return;
    if (cli_true(p, "alone")) {
        tell(d, BAD, "swarm", "the daemon runs alone: %s; restart it when the key is new",
             cli_text(p, "reason"));
        return;
    }
    check_found(d, p);
    check_refused(d, p);
    check_ports(d, p);
}

/* ---- runtimes ---- */

static void
check_runtime(struct doctor *d, enum setup_runtime r)
{
    const char *name = setup_runtime_name(r);
    char node[CLI_ADDRESS_MAX];
    if (!setup_plan_found(r, d->cli->root) || cli_reachable(d->settings->listen, node))
        return;
    AUTO(setup_plan_release)
    struct setup_plan p = {.root = d->cli->root, .settings = d->settings, .node = node};
    AUTO(setup_plan_release)
    struct setup_plan fresh = {
        .root = d->cli->root, .settings = d->settings, .node = node, .fresh_tags = true};
    struct err e = {0};
    if (setup_plan_make(r, &p, &e) || setup_plan_make(r, &fresh, &e))
        tell(d, WARNING, name, "cannot be set up: %s", e.text);
    else if (p.count == 0 || fresh.count == 0)
        tell(d, GOOD, name, "uses this node");
    else
        tell(d, WARNING, name, "is not set up: %s differs; run: peersync setup %s", p.edits[0].path,
             name);
}

/* ---- cache ---- */

static void
check_space(struct doctor *d, int fd)
{
    uint64_t free_bytes, total;
    char text[TEXT_SIZE_MAX], want[TEXT_SIZE_MAX];
    if (fs_free_bytes(fd, &free_bytes, &total))
        return;
    text_print_size(free_bytes, text);
    text_print_size(d->settings->cache_min_free_bytes, want);
    bool low = free_bytes < d->settings->cache_min_free_bytes;
    tell(d, low ? WARNING : GOOD, "disk", "%s free where %s is%s%s%s", text, d->settings->cache_dir,
         low ? "; less than cache.min_free " : "", low ? want : "",
         low ? ", so nothing new is stored: make room or lower it" : "");
}

static void
check_cache(struct doctor *d)
{
    const char *dir = d->settings->cache_dir;
    AUTO(fd_close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 && errno == ENOENT)
        tell(d, WARNING, "cache", "%s is not there yet; the daemon makes it", dir);
    else if (fd < 0 || fstat(fd, &st) != 0)
        tell(d, BAD, "cache", "%s: %s", dir, err_text(-errno));
    else if (st.st_mode & 022)
        tell(d, WARNING, "cache", "%s can be written by others: chmod go-w %s", dir, dir);
    else if (geteuid() == st.st_uid || geteuid() == 0)
        tell(d, access(dir, W_OK) ? BAD : GOOD, "cache", "%s, owner %u", dir, (unsigned)st.st_uid);
    else
        tell(d, GOOD, "cache", "%s belongs to user %u, not to who asks", dir, (unsigned)st.st_uid);
    if (fd >= 0)
        check_space(d, fd);
}

/* What the daemon, with its own rights, makes of containerd's store. */
static void
judge_containerd(struct doctor *d, const cJSON *c)
{
    const char *dir = cli_text(c, "dir"), *state = cli_text(c, "state");
    uint64_t blobs = cli_number(c, "blobs"), denied = cli_number(c, "denied");
    char size[TEXT_SIZE_MAX];
    text_print_size(cli_number(c, "bytes"), size);
    if (strcmp(state, "missing") == 0)
        tell(d, WARNING, "containerd",
             "%s/blobs/sha256 is not there; is it the folder that has blobs/ "
             "and ingest/?",
             dir);
    else if (strcmp(state, "denied") == 0 || (denied && !blobs))
        tell(d, BAD, "containerd",
             "the daemon may not read %s; mount it into the service (README, containerd's store), "
             "or "
             "let its user through: setfacl -m u:peersync:x on the folders above",
             dir);
    else
        tell(d, denied ? WARNING : GOOD, "containerd", "%llu %s, %s, served from %s%s%s",
             (unsigned long long)blobs, text_plural(blobs, "blob", "blobs"), size, dir,
             denied ? "; files that may not be read are left out" : "",
             strcmp(state, "polled") == 0
                 ? "; no inotify (fs.inotify.max_user_watches): listed every "
                   "few seconds"
                 : "");
    if (cli_number(c, "bad"))
        tell(d, WARNING, "containerd",
             "%llu of its blobs do not match their digest and are not used",
             (unsigned long long)cli_number(c, "bad"));
}

/* Of an answer of the daemon that reads containerd's store. */
static void
check_containerd(struct doctor *d, const cJSON *cache)
{
    const cJSON *c = json_object(cache, "containerd");
    if (!*d->settings->cache_containerd_content)
        return;
    if (c)
        judge_containerd(d, c);
    else
        tell(d, WARNING, "containerd", "the daemon does not use %s yet; restart it",
             d->settings->cache_containerd_content);
}

/* Each byte that nodes exchange is hashed by one thread, whatever the number of cores. */
static void
check_digests(struct doctor *d, const cJSON *cache)
{
    uint64_t rate = cli_number(cache, "hash_bytes_s");
    char text[TEXT_SIZE_MAX];
    text_print_size(rate, text);
    tell(d, GOOD, "digests", "SHA-256 at %s/s a core, %llu threads%s", text,
         (unsigned long long)cli_number(cache, "hash_threads"),
         rate < GIGABIT_BYTES_S ? "; pieces of other nodes arrive no faster: this processor has no "
                                  "instructions for it, or is throttled"
                                : "");
}

/* Of an answer of the daemon that keeps what fits. */
static void
check_room(struct doctor *d, const cJSON *cache)
{
    char limit[TEXT_SIZE_MAX], used[TEXT_SIZE_MAX], pinned[TEXT_SIZE_MAX];
    text_print_size(cli_number(cache, "limit_bytes"), limit);
    text_print_size(cli_number(cache, "used_bytes"), used);
    text_print_size(cli_number(cache, "pinned_bytes"), pinned);
    if (cli_number(cache, "not_kept"))
        tell(d, WARNING, "room",
             "%llu %s since start %s not kept: no room (%s in use, %s of it pinned, cache.size "
             "%s); a larger disk or cache.size, a smaller cache.min_free, fewer pins",
             (unsigned long long)cli_number(cache, "not_kept"),
             text_plural(cli_number(cache, "not_kept"), "blob", "blobs"),
             text_plural(cli_number(cache, "not_kept"), "was", "were"), used, pinned, limit);
}

static void
check_inside(struct doctor *d)
{
    AUTO(json_free) cJSON *doc = NULL;
    if (cli_get(d->cli, "/api/v1/status", &doc))
        return;
    const cJSON *cache = json_object(doc, "cache");
    check_room(d, cache);
    check_digests(d, cache);
    check_containerd(d, cache);
}

/* ---- registries ---- */

static void
check_clock(struct doctor *d, const char *host, int64_t date_s)
{
    if (date_s < 0)
        return;
    int64_t skew_s = llabs(clock_wall_s() - date_s);
    enum verdict v = skew_s > SKEW_FAIL_S ? BAD : skew_s > SKEW_WARN_S ? WARNING : GOOD;
    tell(d, v, "clock", "%lld s apart from %s%s", (long long)skew_s, host,
         v == GOOD ? "" : "; set the clock (timedatectl)");
}

/* 401 is how a registry says that it wants a token, so it is as good as 200. */
static void
check_registry(struct doctor *d, const struct registry *r)
{
    AUTO(mem_free_text) char *url = mem_printf("%s/v2/", r->url);
    if (strcmp(r->host, "*") == 0)
        return;
    if (*r->ca && access(r->ca, R_OK) != 0)
        tell(d, BAD, "registry", "%s: ca %s: %s", r->host, r->ca, err_text(-errno));
    if (r->auth == AUTH_NODE && access(r->credentials, R_OK) != 0)
        tell(d, BAD, "registry", "%s: credentials %s: %s", r->host, r->credentials,
             err_text(-errno));
    struct seen s = look(url, r->ca, false, REGISTRY_MS);
    if (s.code != CURLE_OK) {
        tell(d, WARNING, "registry",
             "%s: %s: %s; only what the site has can be served. Is it up? DNS, route, proxy, TLS?",
             r->host, url, curl_easy_strerror(s.code));
        return;
    }
    bool fine = s.status == 200 || s.status == 401;
    tell(d, fine ? GOOD : WARNING, "registry", "%s answers %ld at %s%s", r->host, s.status, url,
         fine ? "" : "; is the url right?");
    check_clock(d, r->host, s.date_s);
}

/* ---- all ---- */

static void
check_all(struct doctor *d)
{
    tell(d, GOOD, "config", "%zu %s, cache in %s", d->settings->registry_count,
         text_plural(d->settings->registry_count, "registry", "registries"),
         d->settings->cache_dir);
    bool answers = check_daemon(d);
    bool has_key = check_key(d);
    if (answers)
        check_swarm(d, has_key);
    for (int r = 0; r < SETUP_RUNTIMES; r++)
        check_runtime(d, (enum setup_runtime)r);
    check_cache(d);
    if (answers)
        check_inside(d);
    for (size_t i = 0; i < d->settings->registry_count; i++)
        check_registry(d, &d->settings->registries[i]);
}

int
cli_doctor(const struct cli *cli)
{
    AUTO(settings_release) struct settings *s = NULL;
    struct err e = {0};
    if (settings_load(cli->config, &s, &e))
        return cli_fail(CLI_CONFIG, "%s", e.text);
    AUTO(json_free) cJSON *doc = cJSON_CreateObject();
    struct doctor d = {.cli = cli, .settings = s, .list = cJSON_AddArrayToObject(doc, "checks")};
    check_all(&d);
    if (cli->json)
        (void)cli_print_json(doc);
    else if (!cli->quiet || d.bad || d.warnings)
        (void)printf("%u failed, %u %s\n", d.bad, d.warnings,
                     text_plural(d.warnings, "warning", "warnings"));
    return d.bad ? CLI_FAILED : CLI_OK;
}
