/*
 * Reads what a manifest names: Docker schema 2, OCI images, indexes and artifacts.
 * The bytes are never changed or written again. Pure.
 */
#ifndef PROXY_MANIFEST_H
#define PROXY_MANIFEST_H

#include "base/digest.h"

#define MANIFEST_BYTES_MAX    (4u * 1024 * 1024) /* as the distribution spec recommends */
#define MANIFEST_CHILDREN_MAX 4096               /* a descriptor has at least 100 bytes */
#define MANIFEST_TYPE_MAX     128

enum manifest_kind { MANIFEST_IMAGE, MANIFEST_INDEX, MANIFEST_ARTIFACT };

struct manifest_child {
    struct digest digest;
    uint64_t size;
    bool foreign;           /* has urls: not distributable */
    bool platform;          /* INDEX: made for this machine (linux and its architecture) */
    const char *media_type; /* INDEX: of the child manifest, as manifest_type; else "" */
};

struct manifest {
    enum manifest_kind kind;
    struct manifest_child *children; /* config first, in the order of the document */
    size_t child_count;
};

/* The Accept value that asks for every type that manifest_parse knows. */
extern const char manifest_accept[];

/* The name of a manifest type that is served from here (static text), without parameters;
 * "" for any other. */
const char *manifest_type(const char *content_type);
/* A type as nodes tell it each other: 1 and up, 0 for ""; and back, "" for no type of ours. */
uint8_t manifest_type_number(const char *type);
const char *manifest_type_of(unsigned number);
/* `type` as from manifest_type. 0; ERR_SYNTAX: not a manifest, or its content disagrees with
 * the type (both manifests and layers, another mediaType); ERR_LIMIT. */
CHECKED int manifest_parse(const char *bytes, size_t len, const char *type, struct manifest *ret);
void manifest_release(struct manifest *m); /* also for AUTO; half-built ones too */

#endif
