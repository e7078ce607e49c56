#include "base/hash.h"
#include "tests/unit/base/unit.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

/* OpenSSL's SipHash with the same rounds, as the other implementation. */
static uint64_t
openssl_siphash13(const uint8_t *key, const uint8_t *bytes, size_t len)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    unsigned c = 1;
    unsigned d = 3;
    size_t size = 8;
    uint8_t out[8];
    uint64_t v = 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &c),
        OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &d),
        OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
        OSSL_PARAM_construct_end(),
    };
    assert_int_equal(EVP_MAC_init(ctx, key, 16, params), 1);
    assert_int_equal(EVP_MAC_update(ctx, bytes, len), 1);
    assert_int_equal(EVP_MAC_final(ctx, out, &size, sizeof(out)), 1);
    assert_int_equal(size, 8);
    for (size_t i = 8; i > 0; i--)
        v = v << 8 | out[i - 1];
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return v;
}

static void
hash_keyed_is_siphash_1_3(void **state)
{
    (void)state;
    uint8_t key[HASH_KEY_BYTES];
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t len = 0; len <= sizeof(bytes); len++)
        assert_true(hash_keyed(key, bytes, len) == openssl_siphash13(key, bytes, len));
    key[3] ^= 1;
    assert_true(hash_keyed(key, bytes, 64) == openssl_siphash13(key, bytes, 64));
}

static void
hash_bytes_is_stable_within_a_process(void **state)
{
    (void)state;
    assert_true(hash_bytes("abc", 3) == hash_bytes("abc", 3));
    assert_true(hash_bytes("abc", 3) != hash_bytes("abd", 3));
}

/* The first use draws the key, so it has to lie in a child: two children, two keys. */
static uint64_t
hash_in_a_child(void)
{
    int ends[2];
    uint64_t v = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        v = hash_bytes("abc", 3);
        _exit(write(ends[1], &v, sizeof(v)) == (ssize_t)sizeof(v) ? 0 : 1);
    }
    assert_int_equal(read(ends[0], &v, sizeof(v)), sizeof(v));
    assert_int_equal(waitpid(child, NULL, 0), child);
    return v;
}

static void
each_process_has_a_key_of_its_own(void **state)
{
    (void)state;
    assert_true(hash_in_a_child() != hash_in_a_child());
}

static void
crc32c_gives_the_vectors_of_rfc_3720(void **state)
{
    (void)state;
    uint8_t b[32];
    memset(b, 0, sizeof(b));
    assert_int_equal(hash_crc32c(b, sizeof(b)), 0x8a9136aa);
    memset(b, 0xff, sizeof(b));
    assert_int_equal(hash_crc32c(b, sizeof(b)), 0x62a8ab43);
    for (size_t i = 0; i < sizeof(b); i++)
        b[i] = (uint8_t)i;
    assert_int_equal(hash_crc32c(b, sizeof(b)), 0x46dd794e);
    assert_int_equal(hash_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(hash_crc32c(NULL, 0), 0);
}

static void
crc32c_goes_on_where_it_was_and_needs_no_instruction(void **state)
{
    (void)state;
    uint8_t b[1031];
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)(i * 31 + (i >> 8));
    uint32_t all = hash_crc32c(b, sizeof b);
    for (size_t cut = 0; cut <= sizeof b; cut += 13) {
        uint32_t crc = hash_crc32c_add(hash_crc32c(b, cut), b + cut, sizeof b - cut);
        assert_int_equal(crc, all);
        crc = hash_crc32c_plain(hash_crc32c_plain(0, b, cut), b + cut, sizeof b - cut);
        assert_int_equal(crc, all);
    }
    assert_int_equal(hash_crc32c_plain(0, "123456789", 9), 0xe3069283);
}

/* Three lanes side by side, and what is left of them. */
static void
crc32c_of_much_is_that_of_the_tables(void **state)
{
    (void)state;
    static uint8_t b[2 * 3 * 4096 + 4099];
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)(i * 167 + (i >> 7));
    for (size_t len = sizeof b; len > 2048; len -= 1021) {
        const uint8_t *from = b + sizeof b - len;
        assert_int_equal(hash_crc32c_add(7, from, len), hash_crc32c_plain(7, from, len));
    }
}

struct word {
    char text[8];
    int number;
    UT_hash_handle hh;
};

static void
uthash_runs_on_the_keyed_hash_and_our_memory(void **state)
{
    (void)state;
    struct word *table = NULL;
    struct word *w;
    struct word *next;
    for (int i = 0; i < 1000; i++) {
        w = mem_zalloc(sizeof(*w));
        w->number = i;
        for (int j = 0, rest = i; j < 4; j++, rest /= 10)
            w->text[j] = (char)('0' + rest % 10);
        HASH_ADD_STR(table, text, w);
    }
    HASH_FIND_STR(table, "abcd", w);
    assert_null(w);
    HASH_FIND_STR(table, "3220", w);
    must(w != NULL);
    assert_int_equal(w->number, 223);
    assert_int_equal(w->hh.hashv, (unsigned)hash_bytes("3220", 4));
    HASH_ITER(hh, table, w, next)
    {
        HASH_DEL(table, w);
        mem_free(w);
    }
    assert_null(table);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_process_has_a_key_of_its_own), /* first: before any hash_bytes */
        cmocka_unit_test(hash_keyed_is_siphash_1_3),
        cmocka_unit_test(hash_bytes_is_stable_within_a_process),
        cmocka_unit_test(crc32c_gives_the_vectors_of_rfc_3720),
        cmocka_unit_test(crc32c_goes_on_where_it_was_and_needs_no_instruction),
        cmocka_unit_test(crc32c_of_much_is_that_of_the_tables),
        cmocka_unit_test(uthash_runs_on_the_keyed_hash_and_our_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
