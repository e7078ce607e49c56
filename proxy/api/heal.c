#include "proxy/api/heal.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/text.h"
#include "cache/cache.h"
#include "proxy/api/prefetch.h"
#include "proxy/api/request.h"
#include "proxy/settings.h"
#include <string.h>

/* Where a repository key ("registry/repository") leads; false when no such registry is left. */
static bool
find_origin(struct settings *settings, const char *key, struct origin *ret)
{
    const char *slash = strchr(key, '/');
    if (!slash || text_copy(ret->repository, sizeof ret->repository, slash + 1) < 0 ||
        text_printf(ret->host, sizeof ret->host, "%.*s", (int)(slash - key), key) < 0)
        return false;
    ret->registry = settings_registry(settings, ret->host);
    if (!ret->registry)
        return false;
    ret->settings = settings_ref(settings);
    return true;
}

void
heal_blob(struct rooms *rooms, struct settings *settings, const struct digest *d, uint64_t size)
{
    char key[CACHE_NAME_MAX];
    char text[DIGEST_TEXT_MAX];
    struct link link;
    struct origin o = {0};
    if (!cache_link_any(rooms->cache, d, key) || !cache_link_get(rooms->cache, key, 0, d, &link) ||
        link.media_type[0] || !find_origin(settings, key, &o))
        return;
    digest_print(d, text);
    LOG(heal, LOG_S("digest", text), LOG_U("bytes", size), LOG_S("repository", key));
    metric_add(M_heals, 1);
    prefetch_blob(rooms->prefetch, &o, d, size);
    origin_release(&o);
}
