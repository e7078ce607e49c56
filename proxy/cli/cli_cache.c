/* peersync gc | verify */
#include "base/mem.h"
#include "base/text.h"
#include "proxy/cli/cli.h"
#include <stdio.h>
#include <string.h>

static void
print_gc(const cJSON *doc)
{
    char size[TEXT_SIZE_MAX];
    const cJSON *one;
    const cJSON *list = json_array(doc, "evicted");
    const char *verb = cli_true(doc, "dry_run") ? "would evict" : "evicted";
    cJSON_ArrayForEach(one, list)
    {
        text_print_size(cli_number(one, "size_bytes"), size);
        (void)printf("%s %s %s %s\n", verb, cli_text(one, "digest"), size,
                     cli_text(one, "repository"));
    }
    text_print_size(cli_number(doc, "freed_bytes"), size);
    (void)printf("%s %d blobs, %s\n", verb, cJSON_GetArraySize(list), size);
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
    (void)printf("checked %llu blobs, %s: %llu bad\n",
                 (unsigned long long)cli_number(doc, "checked"), size,
                 (unsigned long long)cli_number(doc, "bad"));
    return result;
}
