/* docker config.json files: what is found is usable, and a failure leaves nothing behind. */
#include "base/text.h"
#include "proxy/upstream/creds.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const hosts[][2] = {{"docker.io", "registry-1.docker.io"},
                                           {"r.test:5000", "r.test:5000"}};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        AUTO(creds_release) struct creds c = {.user = NULL};
        struct err e = {.code = 0};
        int code = creds_find((const char *)data, size, hosts[i][0], hosts[i][1], &c, &e);
        if (code == 0) {
            must(c.identity != NULL || (c.user != NULL && c.password != NULL));
        } else {
            must(c.user == NULL && c.password == NULL && c.identity == NULL);
        }
    }
    return 0;
}
