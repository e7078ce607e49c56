/* peersync status: the node in one screen. */
#include "base/mem.h"
#include "base/text.h"
#include "proxy/cli/cli.h"
#include <stdio.h>
#include <string.h>

#define SHORT_HEX 19 /* "sha256:" and twelve digits tell blobs apart */

struct size_text {
    char text[TEXT_SIZE_MAX];
};

static struct size_text
size_of(const cJSON *doc, const char *key)
{
    struct size_text t = {""};
    text_print_size(cli_number(doc, key), t.text);
    return t;
}

static void
print_cache(const cJSON *c, FILE *to)
{
    (void)fprintf(to, "cache       %s of %s in %llu %s", size_of(c, "used_bytes").text,
                  size_of(c, "limit_bytes").text, (unsigned long long)cli_number(c, "blobs"),
                  text_plural(cli_number(c, "blobs"), "blob", "blobs"));
    if (cli_number(c, "partial_blobs"))
        (void)fprintf(to, ", %llu partial", (unsigned long long)cli_number(c, "partial_blobs"));
    if (cli_number(c, "packed_blobs"))
        (void)fprintf(to, ", %llu packed (%s saved)",
                      (unsigned long long)cli_number(c, "packed_blobs"),
                      size_of(c, "saved_bytes").text);
    (void)fprintf(to, "; %s free on disk; %s\n", size_of(c, "disk_free_bytes").text,
                  cli_text(c, "dir"));
    (void)fprintf(to, "digests     SHA-256 at %s/s a core, %llu %s\n",
                  size_of(c, "hash_bytes_s").text,
                  (unsigned long long)cli_number(c, "hash_threads"),
                  text_plural(cli_number(c, "hash_threads"), "thread", "threads"));
    if (cli_true(c, "degraded"))
        (void)fprintf(to, "            THE CACHE CANNOT STORE; blobs pass through (see the log)\n");
    if (cli_number(c, "not_kept"))
        (void)fprintf(to,
                      "            no room for %llu %s since start: passed through, not kept; see "
                      "peersync doctor\n",
                      (unsigned long long)cli_number(c, "not_kept"),
                      text_plural(cli_number(c, "not_kept"), "blob", "blobs"));
}

static void
print_bytes(const cJSON *doc, FILE *to)
{
    const cJSON *b = json_object(doc, "bytes");
    uint64_t served = cli_number(b, "served");
    (void)fprintf(to, "served      %s to clients; %s came from upstream", size_of(b, "served").text,
                  size_of(b, "upstream").text);
    if (cli_number(b, "peer") || cli_number(b, "remote_peer"))
        (void)fprintf(to, ", %s from peers, %s from other sites", size_of(b, "peer").text,
                      size_of(b, "remote_peer").text);
    if (cli_number(b, "peer_upload"))
        (void)fprintf(to, "; %s went to peers", size_of(b, "peer_upload").text);
    (void)fprintf(to, "\nsaved       %s of WAN", size_of(b, "saved_wan").text);
    if (served)
        (void)fprintf(to, " (%.0f %%)",
                      100.0 * (double)cli_number(b, "saved_wan") / (double)served);
    const cJSON *all = json_object(doc, "totals");
    if (cli_number(all, "served") > served)
        (void)fprintf(to, " since start; %s since %.10s", size_of(all, "saved_wan").text,
                      *cli_text(all, "since") ? cli_text(all, "since") : "the first start");
    const cJSON *p = json_object(doc, "pulls");
    (void)fprintf(
        to,
        "\nblobs       %llu from cache, %llu joined, %llu fetched, %llu passed through, "
        "%llu missed, %llu cut\n",
        (unsigned long long)cli_number(p, "hit"), (unsigned long long)cli_number(p, "joined"),
        (unsigned long long)cli_number(p, "fetched"), (unsigned long long)cli_number(p, "streamed"),
        (unsigned long long)cli_number(p, "missed"), (unsigned long long)cli_number(p, "cut"));
}

static void
print_registries(const cJSON *doc, FILE *to)
{
    const cJSON *one;
    const char *title = "registries";
    cJSON_ArrayForEach(one, json_array(doc, "registries"))
    {
        (void)fprintf(to, "%-11s %s %s%s%s%s\n", title, cli_text(one, "state"),
                      cli_text(one, "host"), *cli_text(one, "url") ? " (" : "",
                      cli_text(one, "url"), *cli_text(one, "url") ? ")" : "");
        title = "";
    }
}

static void
print_source(const char *name, const cJSON *from, const char *key, const char **sep, FILE *to)
{
    if (!cli_number(from, key))
        return;
    (void)fprintf(to, "%s%s from %s", *sep, size_of(from, key).text, name);
    *sep = ", ";
}

/* Where the bytes of a transfer came from, and what its swarm does for it now. */
static void
print_sources(const cJSON *t, FILE *to)
{
    const cJSON *from = json_object(t, "from_bytes"), *swarm = json_object(t, "swarm");
    const char *margin = "            ", *sep = margin;
    print_source("cache", from, "cache", &sep, to);
    print_source("peers", from, "peer", &sep, to);
    print_source("other sites", from, "remote_peer", &sep, to);
    print_source("upstream", from, "upstream", &sep, to);
    bool any = sep != margin;
    if (swarm)
        (void)fprintf(to,
                      "%s%llu of %llu pieces, %llu %s; asked now: %llu x peers, %llu x upstream",
                      any ? "; " : margin, (unsigned long long)cli_number(swarm, "held"),
                      (unsigned long long)cli_number(swarm, "pieces"),
                      (unsigned long long)cli_number(swarm, "peers"),
                      text_plural(cli_number(swarm, "peers"), "peer", "peers"),
                      (unsigned long long)cli_number(swarm, "lan_requests"),
                      (unsigned long long)cli_number(swarm, "wan_requests"));
    if (swarm || any)
        (void)fputc('\n', to);
}

void
cli_transfer_print(const cJSON *one, FILE *to)
{
    if (cli_true(one, "copy"))
        (void)fputs("a copy for the site", to);
    else
        (void)fprintf(to, "%s/%s", cli_text(one, "registry"), cli_text(one, "repository"));
}

static void
print_transfers(const cJSON *doc, FILE *to)
{
    const cJSON *one;
    const cJSON *list = json_array(doc, "transfers");
    if (cJSON_GetArraySize(list) == 0)
        (void)fputs("transfers   none\n", to);
    const char *title = "transfers";
    cJSON_ArrayForEach(one, list)
    {
        uint64_t size = cli_number(one, "size_bytes"), have = cli_number(one, "have_bytes");
        (void)fprintf(to, "%-11s %.*s %3u %% of %s, %s/s  ", title, SHORT_HEX,
                      cli_text(one, "digest"),
                      size ? (unsigned)((double)have * 100.0 / (double)size) : 0,
                      size_of(one, "size_bytes").text, size_of(one, "rate_bytes_s").text);
        cli_transfer_print(one, to);
        (void)fputs(cli_true(one, "background") && !cli_true(one, "copy") ? " (prefetch)\n" : "\n",
                    to);
        print_sources(one, to);
        title = "";
    }
}

void
cli_status_print(const cJSON *doc, FILE *to)
{
    char uptime[TEXT_SIZE_MAX];
    text_print_duration((int64_t)(cli_number(doc, "uptime_ms") / 1000 * 1000), uptime);
    (void)fprintf(to, "peersync    %s, %s, up %s\n", cli_text(doc, "version"),
                  cli_text(doc, "state"), uptime);
    (void)fprintf(to, "listens     %s (registry), %s (admin); %llu %s\n", cli_text(doc, "listen"),
                  cli_text(doc, "admin"), (unsigned long long)cli_number(doc, "connections"),
                  text_plural(cli_number(doc, "connections"), "connection", "connections"));
    print_cache(json_object(doc, "cache"), to);
    print_bytes(doc, to);
    print_registries(doc, to);
    cli_swarm_print(json_object(doc, "p2p"), to);
}

int
cli_status(const struct cli *cli)
{
    AUTO(json_free) cJSON *doc = NULL;
    int bad = cli_get(cli, "/api/v1/status", &doc);
    if (bad)
        return bad;
    if (cli->json)
        return cli_print_json(doc);
    if (!cli->quiet) {
        cli_status_print(doc, stdout);
        print_transfers(doc, stdout);
    }
    return strcmp(cli_text(doc, "state"), "serving") == 0 ? CLI_OK : CLI_FAILED;
}

void
cli_pull_print(const cJSON *one, FILE *to)
{
    const char *reference = cli_text(one, "reference");
    char took[TEXT_SIZE_MAX];
    const char *begun = cli_text(one, "begun"); /* RFC 3339: the time of day begins at 11 */
    text_print_duration((int64_t)cli_number(one, "took_ms"), took);
    (void)fprintf(to, "  %.5s  %s%s%.20s  %s, %s: %s\n", strlen(begun) > 11 ? begun + 11 : "",
                  cli_text(one, "repository"),
                  !*reference              ? ""
                  : strchr(reference, ':') ? "@"
                                           : ":",
                  reference, size_of(one, "bytes").text, took, cli_text(one, "why"));
}
