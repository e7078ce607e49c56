/* Image names and platforms of the command line: what is accepted can stand in a request target,
 * and written out in full it is the same image. */
#include "base/text.h"
#include "proxy/api/ref.h"
#include "proxy/cli/image.h"
#include "tests/fuzz/fuzz.h"

static void
check_platform(const char *text)
{
    struct platform p;
    if (platform_parse(text, &p) != 0)
        return;
    must(p.os[0] != '\0' && p.architecture[0] != '\0' && platform_fits(&p, &p));
    must(strpbrk(p.os, "/") == NULL && strpbrk(p.architecture, "/") == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(mem_free_text) char *text = fuzz_text(data, size);
    struct image i;
    if (text != NULL)
        check_platform(text);
    if (text == NULL || image_parse(text, &i) != 0)
        return 0;
    struct ref r;
    must(i.host[0] != '\0' && strpbrk(i.host, "/?#&% \t\r\n\\\"'") == NULL);
    must(ref_is_name(i.repository, strlen(i.repository)));
    must(ref_parse(i.reference, strlen(i.reference), &r) == 0);
    char whole[sizeof i + 3];
    must(text_printf(whole, sizeof whole, "%s/%s%c%s", i.host, i.repository,
                     r.by_digest ? '@' : ':', i.reference) == 0);
    struct image again;
    must(image_parse(whole, &again) == 0);
    must(strcmp(again.host, i.host) == 0 && strcmp(again.repository, i.repository) == 0);
    must(strcmp(again.reference, i.reference) == 0);
    return 0;
}
