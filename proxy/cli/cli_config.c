/* peersync config check | show | reference */
#include "base/buf.h"
#include "base/mem.h"
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
reference(void)
{
    AUTO(buf_release) struct buf text;
    buf_init(&text, PRINTED_BYTES_MAX);
    return print(settings_reference(&text), &text);
}

static int
show(const struct cli *cli, const struct config *c)
{
    if (cli->json) {
        AUTO(json_free) cJSON *doc = config_print_json(c);
        return cli_print_json(doc);
    }
    AUTO(buf_release) struct buf text;
    buf_init(&text, PRINTED_BYTES_MAX);
    return print(config_print(c, &text), &text);
}

int
cli_config(const struct cli *cli)
{
    const char *what = cli->args[0];
    if (strcmp(what, "reference") == 0)
        return reference();
    bool check = strcmp(what, "check") == 0;
    if (!check && strcmp(what, "show") != 0)
        return cli_fail(CLI_USAGE, "expected check, show or reference, not \"%s\"", what);
    AUTO(config_close) struct config *c = NULL;
    struct err e = {0};
    if (settings_config(cli->config, &c, &e))
        return cli_fail(CLI_CONFIG, "%s", e.text);
    if (!check)
        return show(cli, c);
    (void)printf("ok: %zu registries\n", config_items(c, "registries"));
    return CLI_OK;
}
