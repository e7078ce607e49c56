/* Image names as people write them, read as docker reads them. Pure. */
#ifndef PROXY_IMAGE_H
#define PROXY_IMAGE_H

#include "base/must.h"

#define IMAGE_PART_MAX 256

/* busybox -> docker.io, library/busybox, latest. */
struct image {
    char host[IMAGE_PART_MAX];
    char repository[IMAGE_PART_MAX];
    char reference[IMAGE_PART_MAX]; /* a tag or a digest; with both, the digest */
};

/* 0 or ERR_SYNTAX. */
CHECKED int image_parse(const char *text, struct image *ret);

/* OS/ARCH[/VARIANT] as --platform and image indexes name it. */
struct platform {
    char os[32], architecture[32], variant[32]; /* variant "": any */
};
CHECKED int platform_parse(const char *text, struct platform *ret);
void platform_here(struct platform *ret);
bool platform_fits(const struct platform *wanted, const struct platform *offered);

#endif
