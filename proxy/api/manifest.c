/*
 * Judges manifests and lists the digests that they name.
 *
 * Type confusion is refused here: a document is served only as what it says it is,
 *
 *   type                                     must have      must not have
 *   docker manifest v2, OCI image manifest   layers         manifests
 *   docker manifest list, OCI index          manifests      layers, config
 *   OCI artifact manifest                    -              manifests, layers
 *
 * and a mediaType inside must be the one of the Content-Type.
 */
#include "proxy/api/manifest.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include <string.h>
#include <strings.h>

#define DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_LIST     "application/vnd.docker.distribution.manifest.list.v2+json"
#define OCI_MANIFEST    "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX       "application/vnd.oci.image.index.v1+json"
#define OCI_ARTIFACT    "application/vnd.oci.artifact.manifest.v1+json"

/* Nodes name a type by its place here, counted from 1: a new one comes last. */
static const struct {
    const char *type;
    enum manifest_kind kind;
    bool must_say; /* mediaType is required inside */
} types[] = {
    {DOCKER_MANIFEST, MANIFEST_IMAGE, true}, {DOCKER_LIST, MANIFEST_INDEX, true},
    {OCI_MANIFEST, MANIFEST_IMAGE, false},   {OCI_INDEX, MANIFEST_INDEX, false},
    {OCI_ARTIFACT, MANIFEST_ARTIFACT, true},
};

const char manifest_accept[] =
    DOCKER_MANIFEST ", " DOCKER_LIST ", " OCI_MANIFEST ", " OCI_INDEX ", " OCI_ARTIFACT;

#if defined(__aarch64__)
#define OWN_ARCHITECTURE "arm64"
#else
#define OWN_ARCHITECTURE "amd64"
#endif

const char *
manifest_type(const char *content_type)
{
    size_t len = strcspn(content_type, "; \t");
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strlen(types[i].type) == len && strncasecmp(content_type, types[i].type, len) == 0)
            return types[i].type;
    return "";
}

uint8_t
manifest_type_number(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(types[i].type, type) == 0)
            return (uint8_t)(i + 1);
    return 0;
}

const char *
manifest_type_of(unsigned number)
{
    return number >= 1 && number <= ARRAY_LEN(types) ? types[number - 1].type : "";
}

/* The content agrees with the type: see the table above. cJSON_HasObjectItem ignores case,
 * as Go's decoder does in the clients. */
static int
check_shape(const cJSON *doc, const char *type, enum manifest_kind *ret)
{
    size_t i = 0;
    while (i < ARRAY_LEN(types) && strcmp(types[i].type, type) != 0)
        i++;
    if (i == ARRAY_LEN(types))
        return ERR_SYNTAX;
    const char *inside = json_text(doc, "mediaType");
    if (!inside && (types[i].must_say || cJSON_HasObjectItem(doc, "mediaType")))
        return ERR_SYNTAX;
    if (inside && strcmp(inside, type) != 0)
        return ERR_SYNTAX;
    bool manifests = cJSON_HasObjectItem(doc, "manifests");
    bool layers = cJSON_HasObjectItem(doc, "layers");
    bool config = cJSON_HasObjectItem(doc, "config");
    switch (types[i].kind) {
    case MANIFEST_IMAGE:
        if (manifests || !json_array(doc, "layers") || !json_object(doc, "config"))
            return ERR_SYNTAX;
        break;
    case MANIFEST_INDEX:
        if (layers || config || !json_array(doc, "manifests"))
            return ERR_SYNTAX;
        break;
    case MANIFEST_ARTIFACT:
        if (manifests || layers)
            return ERR_SYNTAX;
        break;
    }
    *ret = types[i].kind;
    return 0;
}

static bool
is_own_platform(const cJSON *descriptor)
{
    const cJSON *platform = json_object(descriptor, "platform");
    const char *os = json_text(platform, "os");
    const char *architecture = json_text(platform, "architecture");
    return os && architecture && strcmp(os, "linux") == 0 &&
           strcmp(architecture, OWN_ARCHITECTURE) == 0;
}

static int
add_child(struct manifest *m, const cJSON *descriptor)
{
    struct manifest_child c = {.media_type = ""};
    const char *digest = json_text(descriptor, "digest");
    if (!digest || digest_parse(digest, strlen(digest), &c.digest) < 0 ||
        json_u64(descriptor, "size", &c.size) < 0)
        return ERR_SYNTAX;
    c.foreign = cJSON_GetArraySize(json_array(descriptor, "urls")) > 0;
    if (m->kind == MANIFEST_INDEX) {
        const char *type = json_text(descriptor, "mediaType");
        c.media_type = manifest_type(type ? type : "");
        c.platform = is_own_platform(descriptor);
    }
    m->children[m->child_count++] = c;
    return 0;
}

static int
add_children(struct manifest *m, const cJSON *doc)
{
    static const char *const keys[] = {
        [MANIFEST_IMAGE] = "layers", [MANIFEST_INDEX] = "manifests", [MANIFEST_ARTIFACT] = "blobs"};
    const cJSON *list = json_array(doc, keys[m->kind]);
    size_t count = (size_t)cJSON_GetArraySize(list) + 1;
    if (count > MANIFEST_CHILDREN_MAX)
        return ERR_LIMIT;
    m->children = mem_zalloc(count * sizeof *m->children);
    int err = 0;
    if (m->kind == MANIFEST_IMAGE)
        err = add_child(m, json_object(doc, "config"));
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, list)
    {
        if (err == 0)
            err = add_child(m, item);
    }
    return err;
}

int
manifest_parse(const char *bytes, size_t len, const char *type, struct manifest *ret)
{
    if (len > MANIFEST_BYTES_MAX)
        return ERR_LIMIT;
    AUTO(json_free) cJSON *doc = NULL;
    int err = json_parse(bytes, len, &doc);
    if (err < 0)
        return err;
    AUTO(manifest_release) struct manifest m = {0};
    err = check_shape(doc, type, &m.kind);
    if (err == 0)
        err = add_children(&m, doc);
    if (err < 0)
        return err;
    *ret = m;
    m.children = NULL;
    return 0;
}

void
manifest_release(struct manifest *m)
{
    mem_free(m->children);
    m->children = NULL;
    m->child_count = 0;
}
