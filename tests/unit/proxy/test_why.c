#include "tests/unit/base/unit.h"

#include "proxy/why.h"
#include <string.h>

#define MIB (1024u * 1024)

static struct digest
blob(char name)
{
    struct digest d;
    digest_of(DIGEST_SHA256, &name, 1, &d);
    return d;
}

static void
assert_says(const struct pull *p, const struct fetched_info *done, size_t count, const char *part)
{
    struct why_parts w;
    char text[WHY_TEXT_MAX];
    why_parts(p, done, count, &w);
    why_text(p, &w, text);
    if (!strstr(text, part))
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

/* A pull of one blob that took ten seconds, of which the client waited for `ours_ms`. */
static struct pull
pull_of(struct pull_step *s, const char *source, int64_t ours_ms)
{
    *s = (struct pull_step){.digest = blob('a'),
                            .first_byte_ms = ours_ms / 2,
                            .starved_ms = ours_ms / 2,
                            .took_ms = 10000,
                            .bytes = 20 * MIB,
                            .source = source};
    return (struct pull){
        .begun_ms = 5000, .last_ms = 15000, .steps_count = 1, .steps = s, .bytes = 20 * MIB};
}

static void
the_longest_wait_of_the_fetch_is_named(void **state)
{
    (void)state;
    static const struct {
        enum fetch_wait wait;
        const char *says;
    } rows[] = {
        {FETCH_WAIT_UPSTREAM, "the registry was slow: 20 MiB came over the WAN at 2 MiB/s"},
        {FETCH_WAIT_PEERS, "waited for other nodes: 0 B came from them"},
        {FETCH_WAIT_BOTH, "the registry and other nodes together"},
        {FETCH_WAIT_TURN, "waited for a turn"},
        {FETCH_WAIT_CHECK, "the check of the digest"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pull_step s;
        struct pull p = pull_of(&s, "upstream", 9000);
        struct fetched_info f = {.digest = blob('a'), .ended_ms = 15000, .took_ms = 9900};
        p.from_bytes[BLOB_FROM_UPSTREAM] = 20 * MIB;
        f.wait_ms[rows[i].wait] = 9000;
        f.wait_ms[(rows[i].wait + 1) % FETCH_WAITS] = 100;
        assert_says(&p, &f, 1, rows[i].says);
    }
}

static void
a_slow_client_is_told_from_a_slow_source(void **state)
{
    (void)state;
    struct pull_step s;
    struct pull p = pull_of(&s, "cache", 10);
    p.from_cache = 20 * MIB;
    assert_says(&p, NULL, 0, "the client was slow to take what was ready: all of it was in the");
}

static void
a_client_that_pauses_and_a_slow_manifest_are_told(void **state)
{
    (void)state;
    struct pull_step s[2];
    struct pull p = pull_of(&s[0], "cache", 10);
    s[0].took_ms = 100;
    s[1] = s[0];
    s[1].at_ms = 9900;
    p.steps_count = 2;
    assert_says(&p, NULL, 0, "the client paused between its requests");
    s[0].manifest = true;
    s[0].took_ms = 9900;
    assert_says(&p, NULL, 0, "waited for the manifest");
    p.last_ms = p.begun_ms + 300;
    assert_says(&p, NULL, 0, "quick: 300ms");
    p.running = 1;
    assert_says(&p, NULL, 0, "still running");
}

static void
failures_are_added_whatever_their_length(void **state)
{
    (void)state;
    struct pull_step s;
    struct pull p = pull_of(&s, "upstream", 9000);
    struct fetched_info f = {.digest = blob('a'), .ended_ms = 15000, .took_ms = 9900};
    f.wait_ms[FETCH_WAIT_TURN] = 9000;
    f.trouble.upstream = 4000000000u;
    memset(f.trouble.last, 'x', sizeof f.trouble.last - 1);
    assert_says(&p, &f, 1, "the registry failed 4000000000 times: xxx");
    f.trouble.upstream = 0;
    f.trouble.peers = 3;
    assert_says(&p, &f, 1, "other nodes failed 3 times");
}

/* The pauses between its tries are not what the pull was slow for. */
static void
a_pull_that_got_nothing_here_says_why(void **state)
{
    (void)state;
    struct pull_step s[3] = {
        {.manifest = true, .status = 401, .why = "asked for a password"},
        {.manifest = true, .at_ms = 8000, .took_ms = 1000, .status = 200, .why = ""},
        {.at_ms = 9000,
         .took_ms = 1000,
         .status = 404,
         .source = "upstream",
         .why = "the registry does not answer"},
    };
    struct pull p = {
        .begun_ms = 5000, .last_ms = 15000, .steps_count = 3, .steps = s, .refused = 2};
    assert_says(&p, NULL, 0, "nothing of it came from here: the registry does not answer");
    s[2].status = 200;
    assert_says(&p, NULL, 0, "the client paused");
    p.steps_count = 2;
    assert_says(&p, NULL, 0, "the client paused");
}

/* A fetch of the same blob that was over before, or began later, is another one. */
static void
only_the_fetch_of_that_time_counts(void **state)
{
    (void)state;
    struct pull_step s;
    struct pull p = pull_of(&s, "joined", 9000);
    struct fetched_info f[] = {
        {.digest = blob('a'), .ended_ms = 40000, .took_ms = 100},
        {.digest = blob('b'), .ended_ms = 15000, .took_ms = 9900},
        {.digest = blob('a'), .ended_ms = 4000, .took_ms = 100},
        {.digest = blob('a'), .ended_ms = 14000, .took_ms = 12000},
    };
    assert_ptr_equal(why_fetch(&p, &s, f, 3), NULL);
    assert_ptr_equal(why_fetch(&p, &s, f, 4), &f[3]);
    s.source = "cache";
    assert_ptr_equal(why_fetch(&p, &s, f, 4), NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_wait_of_the_fetch_is_named),
        cmocka_unit_test(a_slow_client_is_told_from_a_slow_source),
        cmocka_unit_test(a_client_that_pauses_and_a_slow_manifest_are_told),
        cmocka_unit_test(failures_are_added_whatever_their_length),
        cmocka_unit_test(a_pull_that_got_nothing_here_says_why),
        cmocka_unit_test(only_the_fetch_of_that_time_counts),
    };
    return cmocka_run_group_tests_name("why", tests, NULL, NULL);
}
