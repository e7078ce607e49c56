/* URLs and Location headers: what is accepted is http or https without a user, and normal: its
 * text reads as itself. Two lines: a base and a location. */
#include "proxy/upstream/realm.h"
#include "proxy/upstream/url.h"
#include "tests/fuzz/fuzz.h"

static void
check(const struct url *u)
{
    must(strncmp(u->text, u->tls ? "https://" : "http://", u->tls ? 8 : 7) == 0);
    must(u->port > 0 && u->port < 65536 && u->host[0] != '\0');
    must(strpbrk(u->host, "/@?# \\\r\n\t") == NULL && url_is_clean(u->text));
    must(strlen(u->text) < URL_MAX);
    AUTO(url_release) struct url again = {.text = NULL};
    must(url_parse(u->text, &again) == 0);
    must(url_same_origin(u, &again) && strcmp(u->text, again.text) == 0);
    must(realm_allowed(u, u, ""));
    must(!url_is_literal(u) || !url_is_dns_name(u->host));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(mem_free_text) char *text = fuzz_text(data, size);
    if (text == NULL)
        return 0;
    char *second = strchr(text, '\n');
    if (second != NULL)
        *second++ = '\0';
    AUTO(url_release) struct url base = {.text = NULL};
    if (url_parse(text, &base) != 0)
        return 0;
    check(&base);
    AUTO(url_release) struct url to = {.text = NULL};
    if (second == NULL || url_join(&base, second, &to) != 0)
        return 0;
    check(&to);
    must(!realm_allowed(&base, &to, "auth.example, b.test") || to.tls || !base.tls);
    return 0;
}
