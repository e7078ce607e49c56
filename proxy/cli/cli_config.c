/* peersync config check | show | reference */
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/cli/cli.h"
#include "proxy/settings.h"
#include <stdio.h>
#include <string.h>

#define PRINTED_BYTES_MAX (1024u * 1024)

static int
print(int bad, const struct buf *text)
{
    if (bad)
        return cli_fail(CLI_FAILED, "too long to print");
    (void)fputs(buf_text(text), stdout);
    return CLI_OK;
}

static int
reference(const struct cli *cli)
{
    AUTO(buf_release) struct buf text;
    struct cli_text t;
    buf_init(&text, PRINTED_BYTES_MAX);
    cli_text_begin(cli, &t);
    int result = print(settings_reference(&text), &text);
    return cli_text_end(cli, &t, "text", result);
}

static int
show(const struct cli *cli, const struct config *c)
{
    if (cli->json) {
        AUTO(json_free) cJSON *doc = config_print_json(c);
        return cli_print_json(doc);
    }
    if (cli->quiet)
        return CLI_OK;
    AUTO(buf_release) struct buf text;
    buf_init(&text, PRINTED_BYTES_MAX);
    return print(config_print(c, &text), &text);
}

static int
tell_checked(const struct cli *cli, const struct config *c)
{
    size_t registries = config_items(c, "registries");
    if (cli->json) {
        AUTO(json_free) cJSON *doc = cJSON_CreateObject();
        cJSON_AddBoolToObject(doc, "ok", true);
        json_add_u64(doc, "registries", registries);
        return cli_print_json(doc);
    }
    if (!cli->quiet)
        (void)printf("ok: %zu %s\n", registries, text_plural(registries, "registry", "registries"));
    return CLI_OK;
}

int
cli_config(const struct cli *cli)
{
    const char *what = cli->args[0];
    if (strcmp(what, "reference") == 0)
        return reference(cli);
    bool check = strcmp(what, "check") == 0;
    if (!check && strcmp(what, "show") != 0)
        return cli_fail(CLI_USAGE, "expected check, show or reference, not \"%s\"", what);
    AUTO(config_close) struct config *c = NULL;
    struct err e = {0};
    if (settings_config(cli->config, &c, &e))
        return cli_fail(CLI_CONFIG, "%s", e.text);
    return check ? tell_checked(cli, c) : show(cli, c);
}
