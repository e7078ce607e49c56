/* Digests and references: what is accepted prints as exactly the text that came. */
#include "base/digest.h"
#include "proxy/api/ref.h"
#include "tests/fuzz/fuzz.h"

static void
check_digest(const char *text, size_t len)
{
    struct digest d;
    if (digest_parse(text, len, &d) != 0)
        return;
    char printed[DIGEST_TEXT_MAX];
    digest_print(&d, printed);
    must(strlen(printed) == len && memcmp(printed, text, len) == 0);
    struct digest again;
    must(digest_parse(printed, strlen(printed), &again) == 0);
    must(digest_equal(&d, &again) && memcmp(&d, &again, sizeof d) == 0);
}

static void
check_ref(const char *text, size_t len)
{
    struct ref r;
    if (ref_parse(text, len, &r) != 0)
        return;
    char printed[REF_TEXT_MAX];
    ref_print(&r, printed);
    must(strlen(printed) == len && memcmp(printed, text, len) == 0);
    must(r.by_digest || (strpbrk(printed, "/:%@ \\") == NULL && printed[0] != '.'));
}

static void
check_name(const char *text, size_t len)
{
    if (!ref_is_name(text, len))
        return;
    must(len > 0 && text[0] != '/' && text[len - 1] != '/');
    for (size_t i = 0; i < len; i++) {
        must(strchr("abcdefghijklmnopqrstuvwxyz0123456789._-/", text[i]) != NULL);
        must(i == 0 || text[i - 1] != '.' || text[i] != '.');
        must(i == 0 || text[i - 1] != '/' || text[i] != '/');
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    check_digest(text, size);
    check_ref(text, size);
    check_name(text, size);
    return 0;
}
