#include "proxy/api/heal.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/text.h"
#include "cache/cache.h"
#include "proxy/api/prefetch.h"
#include "proxy/api/request.h"
#include "proxy/settings.h"
#include <string.h>

void
heal_blob(struct rooms *rooms, struct settings *settings, const struct digest *d, uint64_t size)
{
    char key[CACHE_NAME_MAX];
    char text[DIGEST_TEXT_MAX];
    struct link link;
    struct origin o = {0};
    if (!cache_link_any(rooms->cache, d, key) || !cache_link_get(rooms->cache, key, 0, d, &link) ||
        link.media_type[0] || !origin_find(settings, key, &o))
        return;
    digest_print(d, text);
    LOG(heal, LOG_S("digest", text), LOG_U("bytes", size), LOG_S("repository", key));
    metric_add(M_heals, 1);
    prefetch_blob(rooms->prefetch, &o, d, size);
    origin_release(&o);
}
