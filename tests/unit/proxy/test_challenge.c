/* WWW-Authenticate as registries and attackers send it. */
#include "base/err.h"
#include "proxy/upstream/challenge.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void
bearer_parameters_are_read_with_quotes_and_without(void **state)
{
    (void)state;
    struct challenge c;
    assert_int_equal(challenge_parse("Bearer realm=\"https://auth.docker.io/token\","
                                     "service=\"registry.docker.io\","
                                     "scope=\"repository:a/b:pull,push\"",
                                     &c),
                     0);
    assert_int_equal(c.kind, CHALLENGE_BEARER);
    assert_string_equal(c.realm, "https://auth.docker.io/token");
    assert_string_equal(c.service, "registry.docker.io");
    assert_string_equal(c.scope, "repository:a/b:pull,push");
    assert_int_equal(challenge_parse("bearer service=x , realm = \"r\", error=invalid_token", &c),
                     0);
    assert_string_equal(c.realm, "r");
    assert_string_equal(c.service, "x");
    assert_string_equal(c.error, "invalid_token");
}

static void
quoted_pairs_lose_their_backslash(void **state)
{
    (void)state;
    struct challenge c;
    assert_int_equal(challenge_parse("Bearer realm=\"a\\\"b\\\\c\"", &c), 0);
    assert_string_equal(c.realm, "a\"b\\c");
}

static void
bearer_is_taken_among_several_challenges_wherever_it_stands(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "Basic realm=\"b\", Bearer realm=\"r\",service=\"s\"",
        "Bearer realm=\"r\",service=\"s\", Basic realm=\"b\"",
        "Negotiate, Bearer realm=\"r\",service=\"s\"",
        "Negotiate YWJj==, Bearer realm=\"r\",service=\"s\", Digest nonce=\"x\"",
        "Basic, ,Bearer service=\"s\" ,, realm=r",
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct challenge c;
        assert_int_equal(challenge_parse(lists[i], &c), 0);
        assert_int_equal(c.kind, CHALLENGE_BEARER);
        assert_string_equal(c.realm, "r");
        assert_string_equal(c.service, "s");
    }
}

static void
basic_is_taken_when_there_is_no_usable_bearer(void **state)
{
    (void)state;
    struct challenge c;
    assert_int_equal(challenge_parse("Bearer service=\"s\", Basic realm=\"b\"", &c), 0);
    assert_int_equal(c.kind, CHALLENGE_BASIC);
    assert_string_equal(c.realm, "b");
    assert_int_equal(challenge_parse("Negotiate", &c), 0);
    assert_int_equal(c.kind, CHALLENGE_NONE);
}

static void
broken_lists_are_syntax_errors(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "",
        ",",
        "realm=\"no scheme\"",
        "Bearer realm=\"open",
        "Bearer realm=\"open\\",
        "Bearer realm=, x=",
        "Bearer realm=\"a\",realm=\"b\"",
        "Bearer realm=\"a\nb\"",
        "\"quoted\"",
        "Bearer =x",
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct challenge c = {.kind = CHALLENGE_BASIC};
        assert_int_equal(challenge_parse(lists[i], &c), ERR_SYNTAX);
        assert_int_equal(c.kind, CHALLENGE_BASIC);
    }
}

static void
values_over_their_bound_are_refused_not_cut(void **state)
{
    (void)state;
    struct challenge c;
    char text[CHALLENGE_TEXT_MAX + 64];
    memset(text, 'a', sizeof text);
    memcpy(text, "Bearer realm=\"", 14);
    memcpy(text + 14 + 600, "\"", 2);
    assert_int_equal(challenge_parse(text, &c), ERR_SYNTAX);
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(challenge_parse(text, &c), ERR_SYNTAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bearer_parameters_are_read_with_quotes_and_without),
        cmocka_unit_test(quoted_pairs_lose_their_backslash),
        cmocka_unit_test(bearer_is_taken_among_several_challenges_wherever_it_stands),
        cmocka_unit_test(basic_is_taken_when_there_is_no_usable_bearer),
        cmocka_unit_test(broken_lists_are_syntax_errors),
        cmocka_unit_test(values_over_their_bound_are_refused_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
