/* Asks upstream for a list and keeps it for the answer; nothing of it is cached. */
#include "proxy/api/passget.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/api/ask.h"

#define LIST_BYTES_MAX (4u * 1024 * 1024) /* as a manifest: referrers are an index */

enum reason
passget_acquire(struct request *r)
{
    char path[ASK_PATH_MAX] = "tags/list";
    if (r->route.kind == ROUTE_REFERRERS)
        ask_path("referrers", &r->route.ref, path);
    char *target = mem_printf("%s%s%s", path, r->route.query[0] ? "?" : "", r->route.query);
    bool tags = r->route.kind == ROUTE_TAGS;
    struct question q = {
        .path = target,
        .accept = tags ? "application/json" : "application/vnd.oci.image.index.v1+json",
        .body_max = LIST_BYTES_MAX,
        .unknown = tags ? REASON_name_unknown : REASON_manifest_unknown,
    };
    struct answer a;
    enum reason why = ask_upstream(r, &q, &a);
    mem_free(target);
    if (why)
        return why;
    r->passed = mem_alloc(sizeof *r->passed);
    *r->passed = a;
    r->source = "upstream";
    return REASON_NONE;
}
