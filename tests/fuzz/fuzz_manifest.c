/* Manifests of each type (the first byte picks it): only digests in their one spelling come out,
 * and no document is two kinds at once. */
#include "base/err.h"
#include "base/json.h"
#include "proxy/api/manifest.h"
#include "tests/fuzz/fuzz.h"

static const char *const types[] = {
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.artifact.manifest.v1+json",
    "text/html",
};

static void
check_children(const struct manifest *m)
{
    must(m->child_count <= MANIFEST_CHILDREN_MAX);
    for (size_t i = 0; i < m->child_count; i++) {
        const struct manifest_child *c = &m->children[i];
        char text[DIGEST_TEXT_MAX];
        struct digest d;
        digest_print(&c->digest, text);
        must(digest_parse(text, strlen(text), &d) == 0 && digest_equal(&d, &c->digest));
        must(c->size <= (uint64_t)1 << 53);
        must(m->kind == MANIFEST_INDEX || c->media_type[0] == '\0');
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t pick = data[0] % ARRAY_LEN(types);
    const char *bytes = (const char *)data + 1;
    const char *type = manifest_type(types[pick]);
    AUTO(manifest_release) struct manifest m = {.child_count = 0};
    if (manifest_parse(bytes, size - 1, type, &m) != 0)
        return 0;
    must(strcmp(type, types[pick]) == 0);
    must((m.kind == MANIFEST_INDEX) == (pick == 1 || pick == 3));
    check_children(&m);
    /* The same bytes are never a good document of the other kind. */
    struct manifest other = {.child_count = 0};
    int code = manifest_parse(bytes, size - 1, types[pick == 3 ? 2 : 3], &other);
    must(code != 0 || m.kind == other.kind);
    manifest_release(&other);
    return 0;
}
