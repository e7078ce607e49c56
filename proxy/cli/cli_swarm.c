/* peersync peers | tracker step-down | cluster key */
#include "base/mem.h"
#include "base/rng.h"
#include "base/text.h"
#include "p2p/p2p.h"
#include "proxy/cli/cli.h"
#include <stdio.h>
#include <string.h>

#define COPIES_SHOWN 10
#define NAME_DIGITS  16 /* of an id: enough to tell nodes apart, as in metrics and logs */

struct text {
    char is[TEXT_SIZE_MAX];
};

/* Whole seconds from ten seconds on: nobody reads the rest. */
static struct text
duration_of(const cJSON *doc, const char *key)
{
    struct text t = {""};
    uint64_t wait_ms = cli_number(doc, key);
    text_print_duration((int64_t)(wait_ms < 10000 ? wait_ms : wait_ms / 1000 * 1000), t.is);
    return t;
}

static void
print_office(const char *title, const cJSON *o, FILE *to)
{
    (void)fprintf(to, "%-11s %.*s  %s%s", title, NAME_DIGITS, cli_text(o, "id"),
                  *cli_text(o, "address") ? cli_text(o, "address") : "address not heard",
                  cli_true(o, "self") ? " (this node)" : "");
}

static void
print_tracker(const cJSON *p, FILE *to)
{
    const cJSON *tracker = json_object(p, "tracker"), *deputy = json_object(p, "deputy");
    if (!tracker) {
        (void)fputs("tracker     none now: pulls go on; an election takes about a second\n", to);
        return;
    }
    print_office("tracker", tracker, to);
    (void)fprintf(to, "\n            since %s (%s), epoch %llu: %s\n", cli_text(tracker, "since"),
                  duration_of(tracker, "since_ms_ago").is,
                  (unsigned long long)cli_number(tracker, "epoch"), cli_text(tracker, "why"));
    if (deputy)
        print_office("deputy", deputy, to);
    (void)fprintf(to, "%s", deputy ? "\n" : "deputy      none: there is no other node\n");
}

const cJSON *
cli_refused(const cJSON *p, const char *reason)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, json_array(p, "refused_lately"))
    {
        if (strcmp(cli_text(one, "reason"), reason) == 0)
            return one;
    }
    return NULL;
}

/* What keeps nodes apart that hear each other. */
static void
print_refused(const cJSON *p, FILE *to)
{
    static const char *const why[][2] = {{"key", "another cluster key"},
                                         {"clock", "a clock more than a minute off"},
                                         {"version", "another version of the protocol"},
                                         {"id", "the id of this node"}};
    for (size_t i = 0; i < ARRAY_LEN(why); i++) {
        const cJSON *one = cli_refused(p, why[i][0]);
        if (cli_number(one, "messages"))
            (void)fprintf(to,
                          "refused     %llu %s in the last hour, the last one %s ago, for %s; "
                          "see peersync doctor\n",
                          (unsigned long long)cli_number(one, "messages"),
                          text_plural(cli_number(one, "messages"), "message", "messages"),
                          duration_of(one, "last_ms_ago").is, why[i][1]);
    }
}

void
cli_swarm_print(const cJSON *p, FILE *to)
{
    if (cli_true(p, "alone")) {
        (void)fprintf(to, "swarm       this node runs alone: %s\n", cli_text(p, "reason"));
        return;
    }
    const cJSON *nodes = json_object(p, "nodes");
    (void)fprintf(to,
                  "swarm       site %s (from %s); nodes: %llu more here, %llu in other sites; "
                  "blobs exchanged now: %llu\n",
                  *cli_text(p, "site") ? cli_text(p, "site") : "without a name",
                  *cli_text(p, "site_from") ? cli_text(p, "site_from") : "nothing yet",
                  (unsigned long long)cli_number(nodes, "site"),
                  (unsigned long long)cli_number(nodes, "elsewhere"),
                  (unsigned long long)cli_number(p, "swarms"));
    (void)fprintf(to, "this node   %.*s  %s, %s, priority %llu; multicast %s\n", NAME_DIGITS,
                  cli_text(p, "id"), cli_text(p, "address"), cli_text(p, "role"),
                  (unsigned long long)cli_number(p, "priority"),
                  cli_true(p, "multicast") ? "works" : "was not heard");
    print_tracker(p, to);
    print_refused(p, to);
}

/* ---- peers ---- */

static void
print_peer(const cJSON *one, bool with_site)
{
    char room[TEXT_SIZE_MAX] = "not said";
    if (cli_number(one, "free_bytes"))
        text_print_size(cli_number(one, "free_bytes"), room);
    (void)printf("%-17.*s %-24s %-8s %7s ago %5llu ms %10s", NAME_DIGITS, cli_text(one, "id"),
                 cli_text(one, "address"), cli_text(one, "role"),
                 duration_of(one, "heard_ms_ago").is,
                 (unsigned long long)cli_number(one, "queue_ms"), room);
    (void)printf("%s%s\n", with_site ? "  " : "", with_site ? cli_text(one, "site") : "");
}

static void
print_list(const cJSON *doc, bool same_site)
{
    const cJSON *one;
    bool any = false;
    cJSON_ArrayForEach(one, json_array(doc, "peers"))
    {
        if (cli_true(one, "same_site") != same_site)
            continue;
        if (!any)
            (void)printf("\n%-17s %-24s %-8s %11s %8s %10s%s\n",
                         same_site ? "NODE OF THIS SITE" : "OF OTHER SITES", "ADDRESS", "ROLE",
                         "HEARD", "QUEUE", "FREE", same_site ? "" : "  SITE");
        any = true;
        print_peer(one, !same_site);
    }
}

/* Popular blobs: how many whole copies the site wants, and has. */
static void
print_copies(const cJSON *doc)
{
    const cJSON *one, *list = json_array(doc, "copies");
    unsigned shown = 0;
    if (cJSON_GetArraySize(list) > 0)
        (void)printf("copies      of %d popular %s the site wants more than one\n",
                     cJSON_GetArraySize(list),
                     text_plural(cJSON_GetArraySize(list), "blob", "blobs"));
    cJSON_ArrayForEach(one, list)
    {
        if (shown++ == COPIES_SHOWN)
            return;
        (void)printf("            %.19s  wants %llu, ", cli_text(one, "digest"),
                     (unsigned long long)cli_number(one, "wanted"));
        if (cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(one, "counted")))
            (void)puts("not counted yet");
        else
            (void)printf("counted %llu\n", (unsigned long long)cli_number(one, "counted"));
    }
}

static int
print_peers(const struct cli *cli, const cJSON *doc)
{
    if (cli->json)
        return cli_print_json(doc);
    if (cli->quiet)
        return cli_true(doc, "alone") ? CLI_FAILED : CLI_OK;
    cli_swarm_print(doc, stdout);
    const cJSON *office = json_object(doc, "office");
    if (office)
        (void)printf("office      %llu %s known, %llu %s; %llu %s granted, "
                     "%llu revoked, %llu expired\n",
                     (unsigned long long)cli_number(office, "blobs"),
                     text_plural(cli_number(office, "blobs"), "blob", "blobs"),
                     (unsigned long long)cli_number(office, "fetchers"),
                     text_plural(cli_number(office, "fetchers"), "fetcher", "fetchers"),
                     (unsigned long long)cli_number(office, "grants"),
                     text_plural(cli_number(office, "grants"), "lease", "leases"),
                     (unsigned long long)cli_number(office, "revocations"),
                     (unsigned long long)cli_number(office, "expiries"));
    print_copies(doc);
    print_list(doc, true);
    print_list(doc, false);
    if (!cli_true(doc, "alone") && cJSON_GetArraySize(json_array(doc, "peers")) == 0)
        (void)puts("peers       none was heard; peersync doctor looks for the reason");
    return CLI_OK;
}

int
cli_peers(const struct cli *cli)
{
    AUTO(json_free) cJSON *doc = NULL;
    int bad = cli_get(cli, "/api/v1/peers", &doc);
    return bad ? bad : print_peers(cli, doc);
}

/* ---- tracker ---- */

int
cli_tracker(const struct cli *cli)
{
    AUTO(json_free) cJSON *doc = NULL;
    if (strcmp(cli->args[0], "step-down") != 0)
        return cli_fail(CLI_USAGE, "expected step-down, not \"%s\"", cli->args[0]);
    int bad = cli_post(cli, "/api/v1/tracker/step-down", &doc);
    if (bad)
        return bad;
    if (cli->json)
        return cli_print_json(doc);
    if (strcmp(cli_text(doc, "role"), "tracker") == 0)
        return cli_fail(CLI_FAILED, "there is no other node to hand over to");
    if (!cli->quiet)
        (void)puts("this node stepped down; peersync peers tells who follows");
    return CLI_OK;
}

/* ---- cluster ---- */

int
cli_cluster(const struct cli *cli)
{
    if (strcmp(cli->args[0], "key") != 0)
        return cli_fail(CLI_USAGE, "expected key, not \"%s\"", cli->args[0]);
    struct seal_key key;
    char text[SEAL_KEY_TEXT];
    rng_secret(key.bytes, sizeof key.bytes);
    seal_key_print(&key, text);
    struct cli_text t;
    cli_text_begin(cli, &t);
    (void)fputs(text, stdout);
    (void)fputs(cli->json ? "" : "\n", stdout);
    return cli_text_end(cli, &t, "key", CLI_OK);
}
