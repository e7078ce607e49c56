/* Link headers of upstream: what is made of them stays on this node, in the same list. */
#include "proxy/api/pagelink.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(mem_free_text) char *link = fuzz_text(data, size);
    struct route r;
    must(route_parse("/v2/a/b/tags/list?n=5&ns=docker.io", &r) == REASON_NONE);
    char made[PAGELINK_MAX];
    if (link == NULL || pagelink_rewrite(link, &r, made) != 0)
        return 0;
    must(strncmp(made, "</v2/a/b/tags/list?", 19) == 0);
    char *end = strchr(made, '>');
    must(end != NULL && strcmp(end, ">; rel=\"next\"") == 0);
    *end = '\0';
    must(strpbrk(made + 1, "<> \"\r\n\t") == NULL);
    struct route next;
    if (strstr(link, "ns=") != NULL || route_parse(made + 1, &next) != REASON_NONE)
        return 0;
    must(next.kind == ROUTE_TAGS && strcmp(next.name, "a/b") == 0);
    must(strcmp(next.ns, "docker.io") == 0);
    return 0;
}
