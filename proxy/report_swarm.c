/* The swarm in words and JSON. */
#include "proxy/report_swarm.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/text.h"
#include <string.h>
#include <unistd.h>

const char *
report_swarm_alone(const struct settings *s, char ret_room[REPORT_SWARM_ALONE_MAX])
{
    if (!s->p2p_enabled)
        return "p2p.enabled is false";
    if (access(s->p2p_key_file, F_OK) == 0)
        return "the swarm is not open; see the log";
    if (text_printf(ret_room, REPORT_SWARM_ALONE_MAX, "no cluster key at %s", s->p2p_key_file))
        return "no cluster key";
    return ret_room;
}

static void
add_id(cJSON *to, const struct node_id *id)
{
    char text[IDENTITY_TEXT_MAX];
    identity_print(id, text);
    report_add_text(to, "id", text);
}

static void
add_address(cJSON *to, const struct node_addr *addr)
{
    char text[ADDR_TEXT_MAX];
    addr_print(addr, text);
    report_add_text(to, "address", text);
}

/* Why the one that holds the office holds it. */
static const char *
why_text(enum elect_event why)
{
    switch (why) {
    case ELECT_SUSPECTS:
        return "the tracker before it fell silent";
    case ELECT_LOST:
        return "the tracker before it gave up its office";
    case ELECT_SHUNS:
        return "the tracker before it gave wrong bytes";
    case ELECT_RESIGNS:
    case ELECT_DOUBTS:
    case ELECT_STAYS:
        return "this node stepped down";
    case ELECT_YIELDS:
        return "two trackers met, and it had the larger claim";
    case ELECT_NOTHING:
    case ELECT_RUNS:
    case ELECT_STOPS:
    case ELECT_WON:
        return "no tracker was heard, and it is the best node";
    case ELECT_FOLLOWS:
    case ELECT_REFUSES:
        return "it was tracker when this node came";
    case ELECT_EVENTS:
        break;
    }
    never("event of an election");
}

/* The address of a node that has an office; none when it was not heard itself. */
static const struct node_addr *
address_of(const struct p2p_state *s, const struct node_id *id)
{
    if (node_equal(id, &s->self))
        return &s->addr;
    for (size_t i = 0; i < s->peers_count; i++) {
        if (node_equal(id, &s->peers[i].id))
            return &s->peers[i].addr;
    }
    return NULL;
}

/* NULL in the document when nobody has the office. */
static cJSON *
add_office(const struct p2p_state *s, cJSON *to, const char *key, const struct node_id *id)
{
    if (node_is_none(id)) {
        cJSON_AddNullToObject(to, key);
        return NULL;
    }
    cJSON *one = cJSON_AddObjectToObject(to, key);
    const struct node_addr *addr = address_of(s, id);
    add_id(one, id);
    if (addr)
        add_address(one, addr);
    else
        report_add_text(one, "address", "");
    cJSON_AddBoolToObject(one, "self", node_equal(id, &s->self));
    return one;
}

static void
add_tracker(const struct p2p_state *s, cJSON *to)
{
    cJSON *tracker = add_office(s, to, "tracker", &s->tracker);
    if (!tracker)
        return;
    json_add_u64(tracker, "epoch", s->epoch);
    report_add_time(tracker, "since", clock_wall_s() - s->tracker_since_ms / 1000);
    json_add_u64(tracker, "since_ms_ago", (uint64_t)s->tracker_since_ms);
    report_add_text(tracker, "why", why_text(s->tracker_why));
}

static void
add_sum(const struct p2p_state *s, cJSON *to)
{
    if (s->role != ELECT_TRACKER)
        return;
    cJSON *office = cJSON_AddObjectToObject(to, "office");
    json_add_u64(office, "blobs", s->tracker_sum.blobs);
    json_add_u64(office, "fetchers", s->tracker_sum.fetchers);
    json_add_u64(office, "grants", s->tracker_sum.grants);
    json_add_u64(office, "revocations", s->tracker_sum.revocations);
    json_add_u64(office, "expiries", s->tracker_sum.expiries);
    json_add_u64(office, "trims", s->tracker_sum.trims);
}

/* Whether it still goes on: counters only rise. */
static void
add_refused_lately(const struct p2p_state *s, cJSON *to)
{
    cJSON *list = cJSON_AddArrayToObject(to, "refused_lately");
    for (int kind = 0; kind < REFUSED_KINDS; kind++) {
        const struct refused_lately *l = &s->refused[kind];
        if (l->count == 0)
            continue;
        cJSON *one = cJSON_CreateObject();
        report_add_text(one, "reason", refused_name((enum refused_kind)kind));
        json_add_u64(one, "messages", l->count);
        json_add_u64(one, "last_ms_ago", (uint64_t)l->last_ms_ago);
        cJSON *from = cJSON_AddArrayToObject(one, "from");
        for (size_t i = 0; i < l->from_count; i++)
            cJSON_AddItemToArray(from, cJSON_CreateString(l->from[i]));
        cJSON_AddItemToArray(list, one);
    }
}

static void
add_refused(cJSON *to)
{
    cJSON *refused = cJSON_AddObjectToObject(to, "refused");
    json_add_u64(refused, "key", metric_get(M_p2p_refused_key));
    json_add_u64(refused, "clock", metric_get(M_p2p_refused_clock));
    json_add_u64(refused, "replay", metric_get(M_p2p_refused_replay));
    json_add_u64(refused, "version", metric_get(M_p2p_refused_version));
    json_add_u64(refused, "syntax", metric_get(M_p2p_refused_syntax));
    json_add_u64(refused, "id", metric_get(M_p2p_refused_id));
}

static void
add_asked(cJSON *to)
{
    cJSON *asked = cJSON_AddObjectToObject(to, "asked");
    json_add_u64(asked, "sent", metric_get(M_peer_requests_sent));
    json_add_u64(asked, "busy", metric_get(M_peer_requests_busy));
    json_add_u64(asked, "not_held", metric_get(M_peer_requests_not_held));
    json_add_u64(asked, "refused", metric_get(M_peer_requests_refused));
}

static void
add_nodes(const struct p2p_state *s, cJSON *to)
{
    uint64_t here = 0;
    for (size_t i = 0; i < s->peers_count; i++)
        here += s->peers[i].same_site;
    cJSON *nodes = cJSON_AddObjectToObject(to, "nodes");
    json_add_u64(nodes, "site", here);
    json_add_u64(nodes, "elsewhere", s->peers_count - here);
}

static void
add_state(const struct p2p_state *s, cJSON *to)
{
    cJSON_AddBoolToObject(to, "alone", false);
    report_add_text(to, "reason", "");
    add_id(to, &s->self);
    add_address(to, &s->addr);
    report_add_text(to, "site", s->site);
    report_add_text(to, "site_from", s->site_from);
    report_add_text(to, "role", elect_role_name(s->role));
    json_add_u64(to, "priority", s->priority);
    cJSON_AddBoolToObject(to, "multicast", s->multicast_works);
    json_add_u64(to, "swarms", s->blobs_count);
    json_add_u64(to, "names", s->names);
    add_refused(to);
    add_refused_lately(s, to);
    json_add_u64(to, "older_key", metric_get(M_p2p_older_key));
    add_asked(to);
    add_tracker(s, to);
    (void)add_office(s, to, "deputy", &s->deputy);
    add_sum(s, to);
    add_nodes(s, to);
}

/* False when there is no swarm; then `to` says why. */
static bool
look(const struct report *r, cJSON *to, struct p2p_state *ret)
{
    char room[REPORT_SWARM_ALONE_MAX];
    const char *reason = NULL;
    if (r->p2p && !p2p_look(r->p2p, ret))
        return true;
    if (r->p2p)
        reason = "the swarm's thread does not answer";
    else if (r->state == REPORT_STARTING)
        reason = "the node is starting";
    else
        reason = report_swarm_alone(r->settings, room);
    cJSON_AddBoolToObject(to, "alone", true);
    report_add_text(to, "reason", reason);
    return false;
}

void
report_swarm_add(const struct report *r, cJSON *to)
{
    AUTO(p2p_state_release) struct p2p_state s = {0};
    if (look(r, to, &s))
        add_state(&s, to);
}

static cJSON *
peer(const struct p2p_peer *p)
{
    cJSON *one = cJSON_CreateObject();
    add_id(one, &p->id);
    add_address(one, &p->addr);
    report_add_text(one, "site", p->site);
    cJSON_AddBoolToObject(one, "same_site", p->same_site);
    report_add_text(one, "role", p->is_tracker ? "tracker" : p->is_deputy ? "deputy" : "member");
    json_add_u64(one, "priority", p->priority);
    json_add_u64(one, "heard_ms_ago", (uint64_t)p->heard_ms_ago);
    json_add_u64(one, "queue_ms", p->queue_ms);
    json_add_u64(one, "free_bytes", p->free_bytes);
    return one;
}

static void
add_exchange(const struct p2p_blob *b, cJSON *to)
{
    json_add_u64(to, "pieces", b->sum.pieces);
    json_add_u64(to, "held", b->sum.held);
    json_add_u64(to, "peers", b->sum.peers);
    json_add_u64(to, "lan_requests", b->sum.lan_gets);
    json_add_u64(to, "wan_requests", b->sum.wan_gets);
}

static cJSON *
blob(const struct p2p_blob *b)
{
    cJSON *one = cJSON_CreateObject();
    char digest[DIGEST_TEXT_MAX];
    digest_print(&b->digest, digest);
    report_add_text(one, "digest", digest);
    json_add_u64(one, "size_bytes", b->size);
    cJSON_AddBoolToObject(one, "wants", b->wants);
    add_exchange(b, one);
    return one;
}

static cJSON *
copies(const struct p2p_copies *c)
{
    cJSON *one = cJSON_CreateObject();
    char digest[DIGEST_TEXT_MAX];
    digest_print(&c->digest, digest);
    report_add_text(one, "digest", digest);
    json_add_u64(one, "wanted", c->are.wanted);
    if (c->are.known)
        json_add_u64(one, "counted", c->are.counted);
    else
        cJSON_AddNullToObject(one, "counted");
    return one;
}

void
report_swarm_transfers(const struct report *r, cJSON *list)
{
    AUTO(p2p_state_release) struct p2p_state s = {0};
    cJSON *one;
    if (!r->p2p || p2p_look(r->p2p, &s))
        return;
    cJSON_ArrayForEach(one, list)
    {
        char digest[DIGEST_TEXT_MAX];
        for (size_t i = 0; i < s.blobs_count; i++) {
            digest_print(&s.blobs[i].digest, digest);
            if (strcmp(digest, json_text(one, "digest")) == 0)
                add_exchange(&s.blobs[i], cJSON_AddObjectToObject(one, "swarm"));
        }
    }
}

cJSON *
report_swarm_peers(const struct report *r)
{
    AUTO(p2p_state_release) struct p2p_state s = {0};
    cJSON *doc = cJSON_CreateObject();
    if (look(r, doc, &s))
        add_state(&s, doc);
    cJSON *list = cJSON_AddArrayToObject(doc, "peers");
    for (size_t i = 0; i < s.peers_count; i++)
        cJSON_AddItemToArray(list, peer(&s.peers[i]));
    cJSON *blobs = cJSON_AddArrayToObject(doc, "blobs");
    for (size_t i = 0; i < s.blobs_count; i++)
        cJSON_AddItemToArray(blobs, blob(&s.blobs[i]));
    cJSON *list_of_copies = cJSON_AddArrayToObject(doc, "copies");
    for (size_t i = 0; i < s.copies_count; i++)
        cJSON_AddItemToArray(list_of_copies, copies(&s.copies[i]));
    return doc;
}

cJSON *
report_swarm_reach(const struct report *r)
{
    unsigned asked;
    bool reached;
    if (!r->p2p || p2p_reach(r->p2p, &asked, &reached))
        return NULL;
    cJSON *doc = cJSON_CreateObject();
    json_add_u64(doc, "asked", asked);
    cJSON_AddBoolToObject(doc, "reached", reached);
    return doc;
}

/* ---- who has it ---- */

struct named {
    size_t count;
    struct digest digests[LOCATE_BLOBS_MAX];
    cJSON *docs[LOCATE_BLOBS_MAX];
};

static void
note_named(cJSON *doc, struct named *n)
{
    const char *text = json_text(doc, "digest");
    struct digest *d = &n->digests[n->count];
    if (text && !digest_parse(text, strlen(text), d))
        n->docs[n->count++] = doc;
}

/* A document of an image is three deep: index, manifest, its blobs. */
static void
find_named(cJSON *doc, unsigned depth, struct named *n)
{
    if (n->count < LOCATE_BLOBS_MAX)
        note_named(doc, n);
    cJSON *manifest = cJSON_GetObjectItemCaseSensitive(doc, "manifest");
    cJSON *list = cJSON_GetObjectItemCaseSensitive(doc, "content");
    cJSON *child;
    if (manifest && depth > 0)
        find_named(manifest, depth - 1, n);
    cJSON_ArrayForEach(child, list)
    {
        if (n->count < LOCATE_BLOBS_MAX && depth > 0)
            find_named(child, depth - 1, n);
    }
}

static void
add_holders(const struct locate_blob *b, cJSON *to)
{
    cJSON *list = cJSON_AddArrayToObject(to, "holders");
    for (size_t i = 0; i < b->count; i++) {
        cJSON *one = cJSON_CreateObject();
        add_id(one, &b->holders[i].node);
        add_address(one, &b->holders[i].addr);
        json_add_u64(one, "held_pieces", b->holders[i].held);
        json_add_u64(one, "pieces", b->holders[i].pieces);
        cJSON_AddItemToArray(list, one);
    }
}

/* Whole copies in the site: what its tracker wants, and what there is. */
static void
add_copies(const struct locate_blob *b, cJSON *to)
{
    const char *phase = json_text(to, "phase");
    unsigned counted = strcmp(phase, "whole") == 0 || strcmp(phase, "verified") == 0;
    for (size_t i = 0; i < b->count; i++)
        counted += b->holders[i].same_site && b->holders[i].held == b->holders[i].pieces;
    cJSON *copies = cJSON_AddObjectToObject(to, "copies");
    if (b->wanted > 0)
        json_add_u64(copies, "wanted", b->wanted);
    else
        cJSON_AddNullToObject(copies, "wanted");
    json_add_u64(copies, "counted", counted);
}

void
report_swarm_holders(const struct report *r, cJSON *doc)
{
    struct named n = {0};
    struct locate *l = NULL;
    if (r->p2p)
        find_named(doc, 3, &n);
    if (n.count == 0 || p2p_locate(r->p2p, n.digests, n.count, &l))
        return;
    for (size_t i = 0; i < n.count; i++) {
        const struct locate_blob *b = locate_find(l, &n.digests[i]);
        must(b);
        add_holders(b, n.docs[i]);
        add_copies(b, n.docs[i]);
    }
    locate_free(l);
}

/* ---- metrics ---- */

static int
add_tracker_metric(const struct p2p_state *s, struct buf *to)
{
    char id[IDENTITY_SHORT_MAX], text[256];
    if (node_is_none(&s->tracker))
        return 0;
    identity_print_short(&s->tracker, id);
    must(!text_printf(text, sizeof text,
                      "# HELP peersync_tracker 1 for the node that this one sees as tracker\n"
                      "# TYPE peersync_tracker gauge\n"
                      "peersync_tracker{node=\"%s\"} 1\n",
                      id));
    return buf_add_text(to, text);
}

int
report_swarm_metrics(const struct report *r, struct buf *to)
{
    AUTO(p2p_state_release) struct p2p_state s = {0};
    char text[320];
    unsigned long long here = 0;
    if (!r->p2p || p2p_look(r->p2p, &s))
        return 0;
    for (size_t i = 0; i < s.peers_count; i++)
        here += s.peers[i].same_site;
    must(!text_printf(text, sizeof text,
                      "# HELP peersync_nodes Other nodes that are heard; not there on a node that "
                      "runs alone\n"
                      "# TYPE peersync_nodes gauge\n"
                      "peersync_nodes{where=\"site\"} %llu\n"
                      "peersync_nodes{where=\"elsewhere\"} %llu\n",
                      here, (unsigned long long)s.peers_count - here));
    int rc = buf_add_text(to, text);
    return rc < 0 ? rc : add_tracker_metric(&s, to);
}
