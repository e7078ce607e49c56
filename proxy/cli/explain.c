/* peersync explain IMAGE|DIGEST: what this node knows and its peers have; no registry is asked. */
#include "base/digest.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/cli/cli.h"
#include "proxy/cli/image.h"
#include <stdio.h>
#include <string.h>

static void
print_amount(const char *what, uint64_t bytes, const char **sep)
{
    char size[TEXT_SIZE_MAX];
    if (bytes == 0)
        return;
    text_print_size(bytes, size);
    (void)printf("%s%s from %s", *sep, size, what);
    *sep = ", ";
}

/* Whole copies in the site; an older daemon does not tell. */
static void
print_copies(const cJSON *copies)
{
    uint64_t counted = cli_number(copies, "counted"), wanted = cli_number(copies, "wanted");
    if (copies)
        (void)printf("; %llu %s in this site", (unsigned long long)counted,
                     text_plural(counted, "copy", "copies"));
    if (wanted > 0)
        (void)printf(", %llu wanted", (unsigned long long)wanted);
}

/* Other nodes that have it, by the address that leads to them. */
static void
print_holders(const cJSON *b, const char *margin)
{
    const cJSON *list = json_array(b, "holders"), *one;
    const char *sep = "";
    if (!list)
        return;
    (void)printf("%s    other nodes: ", margin);
    cJSON_ArrayForEach(one, list)
    {
        uint64_t held = cli_number(one, "held_pieces"), pieces = cli_number(one, "pieces");
        (void)printf("%s%s", sep, cli_text(one, "address"));
        if (held < pieces)
            (void)printf(" (%llu of %llu pieces)", (unsigned long long)held,
                         (unsigned long long)pieces);
        sep = ", ";
    }
    (void)fputs(*sep ? "" : "none has it", stdout);
    print_copies(json_object(b, "copies"));
    (void)putchar('\n');
}

static const char *
phase_words(const char *phase)
{
    return strcmp(phase, "verified") == 0 ? "verified, not on the disk (yet)" : phase;
}

/* "whole, 1.5 MiB" and, on the next line, where the bytes came from and when. */
static void
print_blob(const cJSON *b, const char *margin)
{
    char size[TEXT_SIZE_MAX];
    text_print_size(cli_number(b, "size_bytes"), size);
    (void)printf("%s%s  %s, %s", margin, cli_text(b, "digest"), phase_words(cli_text(b, "phase")),
                 cli_number(b, "size_bytes") ? size : "size not known here");
    const char *kind = cli_text(b, "kind");
    (void)printf("%s%s\n", *kind ? ", " : "", kind);
    if (strcmp(cli_text(b, "phase"), "absent") == 0) {
        print_holders(b, margin);
        return;
    }
    const cJSON *from = json_object(b, "from_bytes");
    const char *sep = "";
    (void)printf("%s    ", margin);
    print_amount("upstream", cli_number(from, "upstream"), &sep);
    print_amount("peers", cli_number(from, "peer"), &sep);
    print_amount("other sites", cli_number(from, "remote_peer"), &sep);
    text_print_size(cli_number(b, "served_bytes"), size);
    (void)printf("%sserved %s since start", *sep ? "; " : "", size);
    if (*cli_text(b, "stored"))
        (void)printf("; stored %s", cli_text(b, "stored"));
    if (*cli_text(b, "used"))
        (void)printf("; used %s", cli_text(b, "used"));
    (void)putchar('\n');
    print_holders(b, margin);
}

static void
print_manifest(const cJSON *m)
{
    const cJSON *child;
    print_blob(m, "");
    cJSON_ArrayForEach(child, json_array(m, "content"))
    {
        const cJSON *grandchild;
        print_blob(child, "  ");
        cJSON_ArrayForEach(grandchild, json_array(child, "content"))
        {
            print_blob(grandchild, "    ");
        }
    }
}

static int
explain_digest(const struct cli *cli, const char *digest)
{
    AUTO(mem_free_text) char *path = mem_printf("/api/v1/blobs/%s?holders=1", digest);
    AUTO(json_free) cJSON *doc = NULL;
    int bad = cli_find(cli, path, &doc);
    if (bad)
        return bad;
    if (!doc)
        return cli_fail(CLI_FAILED,
                        "%s is not in this cache, and no other node that answers has it", digest);
    if (cli->json)
        return cli_print_json(doc);
    if (cli->quiet)
        return CLI_OK;
    print_blob(doc, "");
    if (*cli_text(doc, "repository"))
        (void)printf("    reached through %s\n", cli_text(doc, "repository"));
    return CLI_OK;
}

/* How the last pulls of the repository went. */
static int
print_pulls(const struct cli *cli, const char *repository)
{
    AUTO(json_free) cJSON *doc = NULL;
    const cJSON *one;
    bool any = false;
    int bad = cli_find(cli, "/api/v1/pulls", &doc);
    if (bad)
        return bad;
    cJSON_ArrayForEach(one, json_array(doc, "pulls"))
    {
        if (strcmp(cli_text(one, "repository"), repository) != 0)
            continue;
        if (!any)
            (void)puts("pulls by clients of this node, the last first:");
        any = true;
        cli_pull_print(one, stdout);
    }
    return CLI_OK;
}

static int
explain_image(const struct cli *cli, const struct image *image)
{
    AUTO(mem_free_text)
    char *path = mem_printf("/api/v1/images?registry=%s&repository=%s&reference=%s&holders=1",
                            image->host, image->repository, image->reference);
    AUTO(json_free) cJSON *doc = NULL;
    int bad = cli_find(cli, path, &doc);
    if (bad)
        return bad;
    if (!doc)
        return cli_fail(CLI_FAILED, "%s/%s %s: this node has not seen it", image->host,
                        image->repository, image->reference);
    if (cli->json)
        return cli_print_json(doc);
    if (cli->quiet)
        return CLI_OK;
    (void)printf("%s %s", cli_text(doc, "repository"), image->reference);
    if (*cli_text(doc, "tag_checked"))
        (void)printf(", tag checked upstream %s", cli_text(doc, "tag_checked"));
    (void)putchar('\n');
    print_manifest(json_object(doc, "manifest"));
    return print_pulls(cli, cli_text(doc, "repository"));
}

int
cli_explain(const struct cli *cli)
{
    const char *what = cli->args[0];
    struct digest d;
    struct image image;
    if (!digest_parse(what, strlen(what), &d))
        return explain_digest(cli, what);
    if (text_starts(what, "sha256:") || text_starts(what, "sha512:"))
        return cli_fail(CLI_USAGE, "%s: expected all %s hex digits of the digest", what,
                        text_starts(what, "sha256:") ? "64" : "128");
    if (image_parse(what, &image))
        return cli_fail(
            CLI_USAGE,
            "%s: expected an image such as docker.io/library/busybox:1.36, or its digest", what);
    return explain_image(cli, &image);
}
