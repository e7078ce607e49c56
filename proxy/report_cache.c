/* What is in the cache, and why each thing is still there. */
#include "base/mem.h"
#include "base/text.h"
#include "proxy/report.h"
#include <stdlib.h>
#include <string.h>

/* A blob with its place in the order of eviction, as the cache itself would choose now. */
struct kept {
    struct digest digest;
    uint64_t goes; /* 1: first */
    char *name;    /* a tag that names it, or NULL */
};

struct kept_list {
    size_t count, room;
    struct kept *list; /* by digest, once sorted */
};

static int
by_digest(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    if (x->digest.alg != y->digest.alg)
        return x->digest.alg < y->digest.alg ? -1 : 1;
    return memcmp(x->digest.bytes, y->digest.bytes, digest_len(&x->digest));
}

static void
note_order(void *arg, const struct blob_info *info)
{
    struct kept_list *l = arg;
    if (l->count == l->room)
        return;
    l->list[l->count] = (struct kept){.digest = info->digest, .goes = l->count + 1};
    l->count++;
}

static struct kept *
find(const struct kept_list *l, const struct digest *d)
{
    struct kept key = {.digest = *d};
    return l->count == 0 ? NULL : bsearch(&key, l->list, l->count, sizeof *l->list, by_digest);
}

static void
note_name(void *arg, const char *name, const struct tag *t)
{
    struct kept *k = find(arg, &t->digest);
    if (k && !k->name && !strchr(name, '@'))
        k->name = mem_strdup(name);
}

static const char *
because(const struct blob_info *info, const struct kept *k, bool roomy, char ret_room[160])
{
    int bad = 0;
    if (info->foreign)
        return "it lies in containerd's own store, for as long as containerd keeps it";
    if (info->phase < BLOB_VERIFIED && info->have_bytes < info->size)
        return info->readers ? "it is arriving now"
                             : "a part of it: a later pull goes on from here";
    if (info->readers > 0)
        bad = text_printf(ret_room, 160, "in use: %u %s it open", info->readers,
                          text_plural(info->readers, "request has", "requests have"));
    else if (roomy && k)
        bad = text_printf(ret_room, 160, "there is room; when there is none it goes as number %llu",
                          (unsigned long long)k->goes);
    else if (k)
        bad = text_printf(ret_room, 160,
                          "worth more than what goes before it; it goes as number %llu",
                          (unsigned long long)k->goes);
    else
        return "in use";
    must(bad == 0);
    return ret_room;
}

static int
last_used(const void *a, const void *b)
{
    const struct blob_info *x = a, *y = b;
    if (x->used_wall_s != y->used_wall_s)
        return x->used_wall_s < y->used_wall_s ? 1 : -1;
    return memcmp(x->digest.bytes, y->digest.bytes, sizeof x->digest.bytes);
}

static void
add_one(const struct report *r, const struct blob_info *info, const struct kept_list *order,
        bool roomy, cJSON *to)
{
    char room[160];
    const struct kept *k = find(order, &info->digest);
    cJSON *one = report_blob_info(r, info);
    if (k && k->name)
        report_add_text(one, "tag", k->name);
    if (k)
        json_add_u64(one, "goes", k->goes);
    report_add_text(one, "kept", because(info, k, roomy, room));
    cJSON_AddItemToArray(to, one);
}

cJSON *
report_blobs(const struct report *r, size_t limit)
{
    struct cache_stats stats;
    cache_get_stats(r->cache, &stats);
    uint64_t want = stats.blobs + stats.partial_blobs + stats.filling + stats.content_blobs + 1;
    size_t max = want < REPORT_BLOBS_MAX ? (size_t)want : REPORT_BLOBS_MAX;
    struct blob_info *infos = mem_alloc(max * sizeof *infos);
    struct kept_list order = {.room = max, .list = mem_alloc(max * sizeof *order.list)};
    size_t count = cache_list(r->cache, infos, max);
    (void)cache_gc(r->cache, 0, true, note_order, &order);
    qsort(order.list, order.count, sizeof *order.list, by_digest);
    cache_each_name(r->cache, note_name, &order);
    qsort(infos, count, sizeof *infos, last_used);
    bool roomy = stats.used_bytes < stats.limit_bytes / 10 * 9 &&
                 stats.disk_free_bytes > stats.min_free_bytes;
    cJSON *doc = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(doc, "blobs");
    for (size_t i = 0; i < count && i < limit; i++)
        add_one(r, &infos[i], &order, roomy, list);
    cJSON_AddBoolToObject(doc, "cut", count > limit || want > REPORT_BLOBS_MAX);
    json_add_u64(doc, "count", want - 1);
    for (size_t i = 0; i < order.count; i++)
        mem_free(order.list[i].name);
    mem_free(order.list);
    mem_free(infos);
    return doc;
}
