/* peersync setup containerd|docker|crio|k3s|cache */
#include "proxy/cli/setup.h"
#include "base/mem.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define CACHE_OWNER "peersync" /* the user of the unit, of the package and of the image */

static int
find_runtime(const char *name, enum setup_runtime *ret)
{
    for (int r = 0; r < SETUP_RUNTIMES; r++) {
        if (strcmp(setup_runtime_name((enum setup_runtime)r), name) == 0) {
            *ret = (enum setup_runtime)r;
            return 0;
        }
    }
    return cli_fail(CLI_USAGE, "expected containerd, docker, crio, k3s or cache, not \"%s\"", name);
}

static int
print_document(const struct cli *cli, const struct setup_plan *p, bool written)
{
    AUTO(json_free) cJSON *doc = cJSON_CreateObject();
    cJSON_AddStringToObject(doc, "runtime", cli->args[0]);
    cJSON_AddBoolToObject(doc, "undo", cli->undo);
    cJSON_AddBoolToObject(doc, "written", written);
    cJSON *files = cJSON_AddArrayToObject(doc, "files");
    for (size_t i = 0; i < p->count; i++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "path", p->edits[i].path);
        cJSON_AddStringToObject(one, "change", setup_files_change(&p->edits[i]));
        cJSON_AddItemToObject(one, "text",
                              p->edits[i].after ? cJSON_CreateString(p->edits[i].after)
                                                : cJSON_CreateNull());
        cJSON_AddItemToArray(files, one);
    }
    cJSON_AddStringToObject(doc, "notes", p->notes);
    cJSON_AddStringToObject(doc, "next", written ? p->restart : "");
    return cli_print_json(doc);
}

static void
print_plan(const struct cli *cli, const struct setup_plan *p)
{
    setup_files_show(p);
    (void)fputs(p->notes, stdout);
    if (p->count == 0)
        (void)puts(cli->undo ? "nothing to undo" : "nothing to do: it is set up");
    else if (cli->dry_run)
        (void)puts("dry run: nothing was written");
}

static int
carry_out(const struct cli *cli, const struct setup_plan *p)
{
    struct err e = {0};
    bool writes = p->count > 0 && !cli->dry_run, people = !cli->json && !cli->quiet;
    if (people)
        print_plan(cli, p);
    int bad = !writes ? 0 : cli->undo ? setup_files_undo(p, &e) : setup_files_apply(p, &e);
    if (bad)
        return cli_fail(CLI_FAILED, "%s", e.text);
    if (cli->json)
        return print_document(cli, p, writes);
    if (people && writes)
        (void)printf("done; now: %s\n", p->restart);
    return CLI_OK;
}

static int
plan_and_carry_out(const struct cli *cli, enum setup_runtime r, const struct settings *s)
{
    struct err e = {0};
    char node[CLI_ADDRESS_MAX];
    if (cli_reachable(s->listen, node))
        return cli_fail(CLI_CONFIG, "listen: too long");
    AUTO(setup_plan_release)
    struct setup_plan p = {
        .root = cli->root, .settings = s, .node = node, .fresh_tags = cli->fresh_tags};
    int bad = cli->undo ? setup_plan_undo(r, &p, &e) : setup_plan_make(r, &p, &e);
    return bad ? cli_fail(CLI_FAILED, "%s", e.text) : carry_out(cli, &p);
}

/* The signals are kept from before the first write, so that none is lost. */
static int
hold(const struct cli *cli, enum setup_runtime r, const struct settings *s)
{
    sigset_t ends;
    int got;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &ends, NULL);
    int bad = plan_and_carry_out(cli, r, s);
    if (bad)
        return bad;
    if (!cli->json && !cli->quiet)
        (void)puts("held until SIGTERM");
    (void)fflush(stdout);
    while (sigwait(&ends, &got) != 0)
        continue;
    struct cli undo = *cli;
    undo.undo = true;
    return plan_and_carry_out(&undo, r, s);
}

static int
make_cache(const struct cli *cli, const struct settings *s)
{
    struct err e = {0};
    if (cli->undo || cli->hold || cli->fresh_tags || cli->dry_run)
        return cli_fail(CLI_USAGE, "setup cache takes no option but --config, --root, -o and -q");
    AUTO(mem_free_text) char *folder = mem_printf("%s%s", cli->root, s->cache_dir);
    if (setup_files_folder(folder, CACHE_OWNER, &e))
        return cli_fail(CLI_FAILED, "%s", e.text);
    if (cli->json) {
        AUTO(json_free) cJSON *doc = cJSON_CreateObject();
        cJSON_AddStringToObject(doc, "folder", folder);
        cJSON_AddStringToObject(doc, "owner", CACHE_OWNER);
        return cli_print_json(doc);
    }
    if (!cli->quiet)
        (void)printf("%s belongs to the user " CACHE_OWNER "\n", folder);
    return CLI_OK;
}

int
cli_setup(const struct cli *cli)
{
    enum setup_runtime r = SETUP_RUNTIMES;
    AUTO(settings_release) struct settings *s = NULL;
    struct err e = {0};
    bool cache = strcmp(cli->args[0], "cache") == 0;
    int bad = cache ? 0 : find_runtime(cli->args[0], &r);
    if (bad)
        return bad;
    if (settings_load(cli->config, &s, &e))
        return cli_fail(CLI_CONFIG, "%s", e.text);
    if (cache)
        return make_cache(cli, s);
    if (cli->hold && (cli->undo || cli->dry_run))
        return cli_fail(CLI_USAGE, "--hold goes with neither --undo nor --dry-run");
    return cli->hold ? hold(cli, r, s) : plan_and_carry_out(cli, r, s);
}
