/* peersync setup containerd|docker|crio|k3s */
#include "proxy/cli/setup.h"
#include <stdio.h>
#include <string.h>

static int
find_runtime(const char *name, enum setup_runtime *ret)
{
    for (int r = 0; r < SETUP_RUNTIMES; r++) {
        if (strcmp(setup_runtime_name((enum setup_runtime)r), name) == 0) {
            *ret = (enum setup_runtime)r;
            return 0;
        }
    }
    return cli_fail(CLI_USAGE, "expected containerd, docker, crio or k3s, not \"%s\"", name);
}

static int
carry_out(const struct cli *cli, const struct setup_plan *p)
{
    struct err e = {0};
    setup_files_show(p);
    (void)fputs(p->notes, stdout);
    if (p->count == 0) {
        (void)puts(cli->undo ? "nothing to undo" : "nothing to do: it is set up");
        return CLI_OK;
    }
    if (cli->dry_run) {
        (void)puts("dry run: nothing was written");
        return CLI_OK;
    }
    int bad = cli->undo ? setup_files_undo(p, &e) : setup_files_apply(p, &e);
    if (bad)
        return cli_fail(CLI_FAILED, "%s", e.text);
    (void)printf("done; now: %s\n", p->restart);
    return CLI_OK;
}

int
cli_setup(const struct cli *cli)
{
    enum setup_runtime r = SETUP_RUNTIMES;
    AUTO(settings_release) struct settings *s = NULL;
    struct err e = {0};
    int bad = find_runtime(cli->args[0], &r);
    if (bad)
        return bad;
    if (settings_load(cli->config, &s, &e))
        return cli_fail(CLI_CONFIG, "%s", e.text);
    char node[CLI_ADDRESS_MAX];
    if (cli_reachable(s->listen, node))
        return cli_fail(CLI_CONFIG, "listen: too long");
    AUTO(setup_plan_release)
    struct setup_plan p = {
        .root = cli->root, .settings = s, .node = node, .fresh_tags = cli->fresh_tags};
    bad = cli->undo ? setup_plan_undo(r, &p, &e) : setup_plan_make(r, &p, &e);
    return bad ? cli_fail(CLI_FAILED, "%s", e.text) : carry_out(cli, &p);
}
