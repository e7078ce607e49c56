/* The realm rule; registrable domains come from the public suffix list. */
#include "proxy/upstream/realm.h"
#include "base/text.h"
#include <libpsl.h>
#include <string.h>

bool
realm_listed(const char *list, const char *host)
{
    while (*list != '\0') {
        list += strspn(list, ", ");
        size_t len = strcspn(list, ", ");
        if (len > 0 && len == strlen(host) && strncasecmp(list, host, len) == 0)
            return true;
        list += len;
    }
    return false;
}

static bool
same_domain(const char *a, const char *b)
{
    const psl_ctx_t *psl = psl_builtin();
    if (psl == NULL)
        return false;
    const char *domain_a = psl_registrable_domain(psl, a);
    const char *domain_b = psl_registrable_domain(psl, b);
    return domain_a != NULL && domain_b != NULL && strcmp(domain_a, domain_b) == 0;
}

bool
realm_allowed(const struct url *registry, const struct url *realm, const char *allowed)
{
    if (!realm->tls && registry->tls)
        return false;
    if (strcmp(registry->host, realm->host) == 0 || realm_listed(allowed, realm->host))
        return true;
    if (url_is_literal(registry) || url_is_literal(realm))
        return false;
    return same_domain(registry->host, realm->host);
}
