/* Manifests in memory. */
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "proxy/api/shelf.h"
#include "tests/unit/base/unit.h"
#include <stdio.h>
#include <string.h>

#define OCI "application/vnd.oci.image.index.v1+json"

static struct page *
make(unsigned number, size_t padding)
{
    size_t len = padding + 100;
    char *text = mem_alloc(len);
    int head = snprintf(text, len, "{\"manifests\":[],\"n\":%u", number);
    memset(text + head, ' ', padding);
    text[(size_t)head + padding] = '}';
    struct digest d;
    struct page *p = NULL;
    digest_of(DIGEST_SHA256, text, (size_t)head + padding + 1, &d);
    assert_int_equal(page_new(&d, manifest_type(OCI), text, (size_t)head + padding + 1, &p), 0);
    mem_free(text);
    return p;
}

static void
a_page_is_found_by_digest_and_type(void **state)
{
    (void)state;
    struct shelf *s = shelf_new();
    struct page *p = make(1, 0);
    shelf_put(s, p);
    struct page *found = shelf_get(s, &p->digest, p->type);
    assert_ptr_equal(found, p);
    page_release(&found);
    assert_null(found);
    assert_null(shelf_get(s, &p->digest, "application/vnd.oci.image.manifest.v1+json"));
    page_release(&p);
    shelf_free(s);
}

static void
the_page_unused_for_longest_goes_first(void **state)
{
    (void)state;
    struct shelf *s = shelf_new();
    struct digest digests[SHELF_PAGES_MAX + 1];
    for (unsigned i = 0; i <= SHELF_PAGES_MAX; i++) {
        struct page *p = make(i, 0);
        digests[i] = p->digest;
        shelf_put(s, p);
        page_release(&p);
        if (i == SHELF_PAGES_MAX - 1) {
            p = shelf_get(s, &digests[0], manifest_type(OCI));
            assert_non_null(p);
            page_release(&p);
        }
    }
    struct page *first = shelf_get(s, &digests[0], manifest_type(OCI));
    assert_non_null(first);
    assert_null(shelf_get(s, &digests[1], manifest_type(OCI)));
    page_release(&first);
    shelf_free(s);
}

static void
bytes_are_bounded_and_a_held_page_lives_on(void **state)
{
    (void)state;
    struct shelf *s = shelf_new();
    struct page *held = make(1000, 3u << 20);
    shelf_put(s, held);
    for (unsigned i = 0; i < 3; i++) {
        struct page *p = make(i, 3u << 20);
        shelf_put(s, p);
        page_release(&p);
    }
    assert_null(shelf_get(s, &held->digest, held->type));
    assert_memory_equal(held->bytes, "{\"manifests\"", 12);
    page_release(&held);
    shelf_free(s);
}

static void
what_is_not_a_manifest_makes_no_page(void **state)
{
    (void)state;
    struct digest d = {0};
    struct page *p = NULL;
    assert_int_equal(page_new(&d, manifest_type(OCI), "{}", 2, &p), ERR_SYNTAX);
    assert_null(p);
}

int
main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_found_by_digest_and_type),
        cmocka_unit_test(the_page_unused_for_longest_goes_first),
        cmocka_unit_test(bytes_are_bounded_and_a_held_page_lives_on),
        cmocka_unit_test(what_is_not_a_manifest_makes_no_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
