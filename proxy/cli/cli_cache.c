/* peersync gc | pin | unpin | verify */
#include "base/mem.h"
#include "base/text.h"
#include "proxy/cli/cli.h"
#include "proxy/cli/image.h"
#include <stdio.h>
#include <string.h>

static double
real(const cJSON *doc, const char *key)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(doc, key);
    return cJSON_IsNumber(x) ? x->valuedouble : 0;
}

/* " (said 12s ago)" */
static void
print_ago(uint64_t ms, char *ret, size_t cap)
{
    char age[TEXT_SIZE_MAX];
    text_print_duration((int64_t)(ms / 1000 * 1000), age);
    int bad = text_printf(ret, cap, " (said %s ago)", age);
    must(bad == 0);
}

/* One blob and why it goes or stays. */
static void
print_worth(const char *verb, const cJSON *one)
{
    char size[TEXT_SIZE_MAX];
    const cJSON *worth = cJSON_GetObjectItemCaseSensitive(one, "worth");
    uint64_t on_disk = cli_number(one, "disk_bytes"); /* of a packed blob less than its own */
    text_print_size(on_disk > 0 ? on_disk : cli_number(one, "size_bytes"), size);
    const char *site = cli_text(worth, "site");
    bool said = site[0] != '\0' && strcmp(site, "not asked") != 0;
    char ago[TEXT_SIZE_MAX + 16] = "";
    if (cJSON_HasObjectItem(worth, "site_age_ms"))
        print_ago(cli_number(worth, "site_age_ms"), ago, sizeof ago);
    (void)printf("%s %s %s %s: value %.3g, requests %.2f, copies %llu%s%s%s%s%s%s%s\n", verb,
                 cli_text(one, "digest"), size, cli_text(one, "repository"), real(worth, "value"),
                 real(worth, "requests"), (unsigned long long)cli_number(worth, "copies"),
                 cli_true(worth, "probation") ? ", on probation" : "",
                 cli_true(worth, "pinned") ? ", pinned" : "", said ? ", " : "", said ? site : "",
                 ago, cli_number(one, "readers") > 0 ? ", in use" : "",
                 strcmp(cli_text(one, "phase"), "whole") == 0 ? "" : ", partial");
}

static void
print_gc(const cJSON *doc)
{
    char size[TEXT_SIZE_MAX];
    const cJSON *one;
    const cJSON *list = json_array(doc, "evicted");
    const char *verb = cli_true(doc, "dry_run") ? "would evict" : "evicted";
    cJSON_ArrayForEach(one, list)
    {
        print_worth(verb, one);
    }
    cJSON_ArrayForEach(one, json_array(doc, "kept"))
    {
        print_worth("kept", one);
    }
    int gone = cJSON_GetArraySize(list);
    text_print_size(cli_number(doc, "freed_bytes"), size);
    (void)printf("%s %d %s, %s\n", verb, gone, text_plural(gone, "blob", "blobs"), size);
    if (cli_true(doc, "dry_run") && gone > 0)
        (void)puts(
            "The site is asked before anything leaves, and last copies may stay then or move; a "
            "dry run does not ask: it tells what the site said lately, and when.");
}

int
cli_gc(const struct cli *cli)
{
    uint64_t to = 0;
    if (cli->to && text_size(cli->to, &to))
        return cli_fail(CLI_USAGE, "--to: expected a size such as 5GiB, not \"%s\"", cli->to);
    AUTO(mem_free_text)
    char *target = cli->to ? mem_printf("&to=%llu", (unsigned long long)to) : mem_strdup("");
    AUTO(mem_free_text)
    char *path = mem_printf("/api/v1/gc?dry_run=%d%s", cli->dry_run ? 1 : 0, target);
    AUTO(json_free) cJSON *doc = NULL;
    int bad = cli_post(cli, path, &doc);
    if (bad)
        return bad;
    if (cli->json)
        return cli_print_json(doc);
    if (!cli->quiet)
        print_gc(doc);
    return CLI_OK;
}

/* What follows /api/v1/pin?pin=1&, or NULL. */
static char *
pin_query(const char *what)
{
    struct image image;
    if (text_starts(what, "sha256:") || text_starts(what, "sha512:"))
        return mem_printf("digest=%s", what);
    if (image_parse(what, &image))
        return NULL;
    return mem_printf("registry=%s&repository=%s&reference=%s", image.host, image.repository,
                      image.reference);
}

int
cli_pin(const struct cli *cli)
{
    bool pin = strcmp(cli->command, "pin") == 0;
    AUTO(mem_free_text) char *query = pin_query(cli->args[0]);
    if (query == NULL)
        return cli_fail(
            CLI_USAGE,
            "%s: expected an image such as docker.io/library/busybox:1.36, or its digest",
            cli->args[0]);
    AUTO(mem_free_text) char *path = mem_printf("/api/v1/pin?pin=%d&%s", pin ? 1 : 0, query);
    AUTO(json_free) cJSON *doc = NULL;
    int bad = cli_post(cli, path, &doc);
    if (bad)
        return bad;
    if (cli->json)
        return cli_print_json(doc);
    char size[TEXT_SIZE_MAX];
    text_print_size(cli_number(doc, "bytes"), size);
    if (!cli->quiet)
        (void)printf("%s %llu %s, %s\n", pin ? "pinned" : "unpinned",
                     (unsigned long long)cli_number(doc, "blobs"),
                     text_plural(cli_number(doc, "blobs"), "blob", "blobs"), size);
    return CLI_OK;
}

int
cli_verify(const struct cli *cli)
{
    AUTO(json_free) cJSON *doc = NULL;
    int bad = cli_post(cli, "/api/v1/verify", &doc);
    if (bad)
        return bad;
    int result = cli_number(doc, "bad") ? CLI_FAILED : CLI_OK;
    if (cli->json) {
        (void)cli_print_json(doc);
        return result;
    }
    if (cli->quiet && result == CLI_OK)
        return result;
    const cJSON *one;
    cJSON_ArrayForEach(one, json_array(doc, "bad_digests"))
    {
        (void)printf("bad, moved to quarantine: %s\n", one->valuestring);
    }
    char size[TEXT_SIZE_MAX];
    text_print_size(cli_number(doc, "checked_bytes"), size);
    (void)printf("checked %llu %s, %s: %llu bad\n", (unsigned long long)cli_number(doc, "checked"),
                 text_plural(cli_number(doc, "checked"), "blob", "blobs"), size,
                 (unsigned long long)cli_number(doc, "bad"));
    return result;
}
