/* Request targets, behind the guard as in the daemon: what is accepted names one registry and
 * one clean repository, and says the same when it is written down again. */
#include "base/text.h"
#include "proxy/api/route.h"
#include "proxy/http/guard.h"
#include "tests/fuzz/fuzz.h"

static bool
known(void *arg, const char *host, bool exact)
{
    (void)arg;
    must(host[0] != '\0' && strpbrk(host, "/%?&= \r\n\\") == NULL);
    return !exact || strcmp(host, "docker.io") == 0 || strcmp(host, "localhost:5000") == 0;
}

static void
check_place(const struct route *r)
{
    struct place p = {.repository = NULL};
    if (route_place(r, "docker.io", known, NULL, &p) != REASON_NONE)
        return;
    must(p.host[0] != '\0');
    must(p.repository >= r->name && p.repository < r->name + sizeof r->name);
    must(ref_is_name(p.repository, strlen(p.repository)));
    must(strstr(p.repository, "..") == NULL && p.repository[0] != '/');
}

/* The canonical target of a route reads as the same route. */
static void
check_again(const struct route *r)
{
    static const char *const words[] = {[ROUTE_MANIFEST] = "manifests",
                                        [ROUTE_BLOB] = "blobs",
                                        [ROUTE_TAGS] = "tags",
                                        [ROUTE_REFERRERS] = "referrers"};
    char reference[REF_TEXT_MAX] = "list";
    if (r->kind != ROUTE_TAGS)
        ref_print(&r->ref, reference);
    char target[GUARD_TARGET_MAX * 2];
    must(text_printf(target, sizeof target, "/v2/%s/%s/%s%s%s%s%s", r->name, words[r->kind],
                     reference, r->ns[0] ? "?ns=" : "", r->ns,
                     r->query[0] == '\0' ? "" : (r->ns[0] ? "&" : "?"), r->query) == 0);
    struct route again;
    must(route_parse(target, &again) == REASON_NONE);
    must(again.kind == r->kind && strcmp(again.name, r->name) == 0);
    must(strcmp(again.ns, r->ns) == 0 && strcmp(again.query, r->query) == 0);
    char printed[REF_TEXT_MAX] = "list";
    if (r->kind != ROUTE_TAGS)
        ref_print(&again.ref, printed);
    must(strcmp(printed, reference) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(mem_free_text) char *target = fuzz_text(data, size);
    if (target == NULL || size > GUARD_TARGET_MAX || guard_target(target) != NULL)
        return 0;
    struct route r;
    if (route_parse(target, &r) != REASON_NONE)
        return 0;
    must(strstr(r.name, "..") == NULL && strchr(r.name, '%') == NULL);
    if (r.kind == ROUTE_PING)
        return 0;
    check_again(&r);
    check_place(&r);
    return 0;
}
