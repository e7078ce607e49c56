/* Answers of token endpoints, and what tells tokens apart. */
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "proxy/upstream/token.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int
parse(const char *json, char **ret, int64_t *ret_good_ms)
{
    return token_parse(json, strlen(json), ret, ret_good_ms);
}

static void
both_names_of_the_token_are_read(void **state)
{
    (void)state;
    static const char *const answers[] = {"{\"token\":\"abc\"}", "{\"access_token\":\"abc\"}",
                                          "{\"token\":\"\",\"access_token\":\"abc\"}",
                                          "{\"token\":\"abc\",\"access_token\":\"x\"}"};
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        AUTO(mem_free_text) char *text = NULL;
        int64_t good_ms = 0;
        assert_int_equal(parse(answers[i], &text, &good_ms), 0);
        assert_string_equal(text, "abc");
        assert_int_equal(good_ms, 54000); /* a minute, less a tenth */
    }
}

static void
a_token_is_good_for_nine_tenths_of_what_was_promised(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int64_t good_ms;
    } cases[] = {
        {"{\"token\":\"a\",\"expires_in\":300}", 270000},
        {"{\"token\":\"a\",\"expires_in\":0}", 54000},
        {"{\"token\":\"a\",\"expires_in\":-1}", 54000},
        {"{\"token\":\"a\",\"expires_in\":99999999999}", 86400 * 900},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(mem_free_text) char *text = NULL;
        int64_t good_ms = 0;
        assert_int_equal(parse(cases[i].json, &text, &good_ms), 0);
        assert_int_equal(good_ms, cases[i].good_ms);
    }
}

static void
answers_without_a_usable_token_are_errors(void **state)
{
    (void)state;
    static const char *const answers[] = {"",
                                          "{}",
                                          "[]",
                                          "{\"token\":5}",
                                          "{\"token\":\"\"}",
                                          "{\"token\":\"a\\r\\nX: y\"}",
                                          "{\"token\":\"a\"} x"};
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        char *text = NULL;
        int64_t good_ms = 0;
        assert_int_equal(parse(answers[i], &text, &good_ms), ERR_SYNTAX);
        assert_null(text);
    }
}

static void
keys_differ_by_registry_and_by_every_part_of_the_challenge(void **state)
{
    (void)state;
    struct challenge c = {.realm = "r", .service = "s", .scope = "p"};
    char keys[5][TOKEN_KEY_MAX];
    token_key("a", &c, keys[0], TOKEN_KEY_MAX);
    token_key("b", &c, keys[1], TOKEN_KEY_MAX);
    c.realm[0] = 'x';
    token_key("a", &c, keys[2], TOKEN_KEY_MAX);
    c.service[0] = 'x';
    token_key("a", &c, keys[3], TOKEN_KEY_MAX);
    c.scope[0] = 'x';
    token_key("a", &c, keys[4], TOKEN_KEY_MAX);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(keys[i], keys[j]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_names_of_the_token_are_read),
        cmocka_unit_test(a_token_is_good_for_nine_tenths_of_what_was_promised),
        cmocka_unit_test(answers_without_a_usable_token_are_errors),
        cmocka_unit_test(keys_differ_by_registry_and_by_every_part_of_the_challenge),
    };
    json_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
