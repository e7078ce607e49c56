/* Rewrites upstream's "next page" into one that comes back to this node. */
#include "proxy/api/pagelink.h"
#include "base/err.h"
#include "base/text.h"
#include <string.h>

/* Printable ASCII that cannot leave the brackets of a Link. */
static bool
is_clean(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] <= 0x20 || s[i] >= 0x7f || strchr("<>\"\\", s[i]))
            return false;
    return true;
}

int
pagelink_rewrite(const char *link, const struct route *route, char ret_link[PAGELINK_MAX])
{
    const char *end = strchr(link, '>');
    if (link[0] != '<' || !end || !strstr(end, "next"))
        return ERR_SYNTAX;
    const char *query = memchr(link, '?', (size_t)(end - link));
    size_t len = query ? (size_t)(end - query - 1) : 0;
    if (len == 0 || !is_clean(query + 1, len))
        return ERR_SYNTAX;
    char reference[REF_TEXT_MAX] = "list";
    if (route->kind == ROUTE_REFERRERS)
        ref_print(&route->ref, reference);
    return text_printf(ret_link, PAGELINK_MAX, "</v2/%s/%s/%s?%.*s%s%s>; rel=\"next\"", route->name,
                       route->kind == ROUTE_REFERRERS ? "referrers" : "tags", reference, (int)len,
                       query + 1, route->ns[0] ? "&ns=" : "", route->ns);
}
