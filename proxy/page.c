/* page.html in the program's read-only data. */
#include "proxy/page.h"
#include "base/digest.h"
#include "base/text.h"
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#define HASH_MAX   48 /* a SHA-256 in base64, terminated */
#define POLICY_MAX 400

__asm__(".section .rodata\n"
        "page_html:\n"
        ".incbin \"proxy/page.html\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char page_html[] __attribute__((visibility("hidden")));

static pthread_once_t written = PTHREAD_ONCE_INIT;
static char policy[POLICY_MAX];

const char *
page_text(void)
{
    return page_html;
}

/* Of what stands between the first `begin` and the `end` behind it. */
static void
hash_of(const char *begin, const char *end, char ret[HASH_MAX])
{
    const char *from = strstr(page_html, begin);
    must(from != NULL);
    from += strlen(begin);
    const char *to = strstr(from, end);
    must(to != NULL);
    struct digest d;
    digest_of(DIGEST_SHA256, from, (size_t)(to - from), &d);
    (void)EVP_EncodeBlock((unsigned char *)ret, d.bytes, (int)digest_len(&d));
}

static void
write_policy(void)
{
    char style[HASH_MAX], script[HASH_MAX];
    hash_of("<style>", "</style>", style);
    hash_of("<script>", "</script>", script);
    must(text_printf(policy, sizeof policy,
                     "default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; "
                     "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                     "frame-ancestors 'none'",
                     script, style) == 0);
}

const char *
page_policy(void)
{
    must(pthread_once(&written, write_policy) == 0);
    return policy;
}
