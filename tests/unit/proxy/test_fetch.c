/* Fetching against a registry that misbehaves (fakereg.h), through the real cache. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cache/cache.h"
#include "proxy/upstream/fetch.h"
#include "proxy/upstream/patience.h"
#include "tests/unit/proxy/fakereg.h"
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#define ASK_MS 20000 /* never reached: a thread may have to read all certificates first */

struct bench {
    struct fake fake;
    struct settings *settings;
    struct cache *cache;
    struct fetch *fetch;
    char dir[64];
};

static void
write_file(const char *dir, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *out = fopen(path, "w");
    must(out != NULL);
    (void)fputs(text, out);
    (void)fclose(out);
}

static int
set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    must(b != NULL);
    struct err e = {0};
    char text[2048];
    fake_start(&b->fake);
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/test_fetch.XXXXXX");
    must(mkdtemp(b->dir) != NULL);
    write_file(b->dir, "creds.json", "{\"auths\":{\"node.test\":{\"auth\":\"bWU6cGFzcw==\"}}}");
    (void)snprintf(text, sizeof text,
                   "registries:\n"
                   "  - {host: reg.test, url: \"http://127.0.0.1:%u\"}\n"
                   "  - {host: node.test, url: \"http://127.0.0.1:%u\", auth: node, "
                   "credentials: \"%s/creds.json\"}\n"
                   "  - {host: pass.test, url: \"http://127.0.0.1:%u\", auth: pass}\n"
                   "  - {host: dead.test, url: \"http://127.0.0.1:1\"}\n"
                   "  - {host: far.test, url: \"http://far.invalid\"}\n"
                   "  - {host: \"*\"}\n",
                   b->fake.port, b->fake.port, b->dir, b->fake.port);
    int code = settings_parse(text, strlen(text), "test", &b->settings, &e);
    if (code != 0)
        fail_msg("%s", e.text);
    char dir[96];
    (void)snprintf(dir, sizeof dir, "%s/cache", b->dir);
    struct cache_config config = {
        .dir = dir, .size_bytes = 64 * 1024 * 1024, .size_percent = 50, .cpus = 1};
    if (cache_open(&config, &b->cache, &e) != 0 || fetch_open(&b->fetch, &e) != 0)
        fail_msg("%s", e.text);
    *state = b;
    return 0;
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static int
tear_down(void **state)
{
    struct bench *b = *state;
    fetch_close(b->fetch);
    cache_close(b->cache);
    settings_release(&b->settings);
    fake_stop(&b->fake);
    (void)nftw(b->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(b);
    return 0;
}

static struct origin
origin_at(struct bench *b, const char *host, const char *repository)
{
    struct origin o = {.settings = b->settings, .registry = settings_registry(b->settings, host)};
    assert_non_null(o.registry);
    (void)snprintf(o.host, sizeof o.host, "%s", host);
    (void)snprintf(o.repository, sizeof o.repository, "%s", repository);
    return o;
}

/* Reads a blob to its end: 0 when all bytes were right, else the blob's error. */
static int
read_all(struct bench *b, struct blob *blob)
{
    unsigned char room[65536];
    uint64_t pos = 0;
    int64_t deadline_ms = clock_ms() + 30000;
    while (pos < FAKE_BYTES) {
        struct blob_state st;
        blob_wait(blob, pos, deadline_ms, &st);
        int64_t n = blob_read(blob, pos, room, sizeof room);
        if (n > 0) {
            assert_memory_equal(room, b->fake.bytes + pos, (size_t)n);
            pos += (uint64_t)n;
            continue;
        }
        if (st.phase == BLOB_FAILED)
            return st.error;
        assert_true(clock_ms() < deadline_ms);
    }
    return 0;
}

static int
pull_from(struct bench *b, const char *host, const char *repository, uint64_t size)
{
    struct origin o = origin_at(b, host, repository);
    enum cache_got got;
    struct blob *blob = cache_acquire(b->cache, &b->fake.digest, &got);
    if (got == CACHE_LEAD)
        fetch_blob(b->fetch, &o, blob, size, false);
    int code = read_all(b, blob);
    blob_release(&blob);
    return code;
}

static int
pull(struct bench *b, const char *repository)
{
    return pull_from(b, "reg.test", repository, FAKE_BYTES);
}

static int
ask(struct bench *b, const char *host, const char *repository, int64_t wait_ms, struct answer *ret)
{
    struct origin o = origin_at(b, host, repository);
    struct err e = {0};
    struct ask a = {.path = "manifests/latest",
                    .accept = "application/x",
                    .deadline_ms = clock_ms() + wait_ms,
                    .body_max = 1024};
    return fetch_ask(b->fetch, &o, &a, ret, &e);
}

/* ---- blobs ---- */

static void
a_cold_blob_is_one_plain_get(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    uint64_t before = metric_get(M_body_upstream);
    assert_int_equal(pull(b, "plain"), 0);
    assert_int_equal(fake_asked(&b->fake, "/plain/", seen, 4), 1);
    assert_string_equal(seen[0].range, "");
    assert_string_equal(seen[0].encoding, "identity");
    assert_string_equal(seen[0].authorization, "");
    assert_int_equal(metric_get(M_body_upstream) - before, FAKE_BYTES);
}

static void
an_unknown_size_is_learnt_from_the_answer(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    assert_int_equal(pull_from(b, "reg.test", "plain", CACHE_SIZE_UNKNOWN), 0);
    assert_int_equal(fake_asked(&b->fake, "/plain/", seen, 4), 1);
}

static void
a_cut_transfer_continues_at_the_same_byte(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    char range[64];
    uint64_t before = metric_get(M_body_upstream);
    (void)snprintf(range, sizeof range, "bytes=%u-%u", FAKE_CUT, FAKE_BYTES - 1);
    assert_int_equal(pull(b, "cut"), 0);
    assert_int_equal(fake_asked(&b->fake, "/cut/", seen, 4), 2);
    assert_string_equal(seen[1].range, range);
    assert_string_equal(seen[1].if_range, "\"tag\"");
    assert_int_equal(metric_get(M_body_upstream) - before, FAKE_BYTES);
}

static void
a_server_that_ignores_range_is_read_from_its_start_again(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    assert_int_equal(pull(b, "norange"), 0);
    assert_int_equal(fake_asked(&b->fake, "/norange/", seen, 4), 2);
    assert_string_not_equal(seen[1].range, "");
}

static void
another_range_than_asked_is_never_written(void **state)
{
    struct bench *b = *state;
    assert_int_equal(pull(b, "otherrange"), ERR_UPSTREAM);
}

static void
a_silent_body_is_left_after_two_seconds(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    uint64_t before = metric_get(M_upstream_stalls);
    int64_t start_ms = clock_ms();
    assert_int_equal(pull(b, "stall"), 0);
    assert_in_range(clock_ms() - start_ms, STALL_MS, SILENCE_MS);
    assert_int_equal(metric_get(M_upstream_stalls) - before, 1);
    assert_int_equal(fake_asked(&b->fake, "/stall/", seen, 4), 2);
}

static void
a_silent_head_is_tried_once_more_in_time_for_the_first_byte(void **state)
{
    struct bench *b = *state;
    int64_t start_ms = clock_ms();
    assert_int_equal(pull(b, "mute1"), 0);
    assert_true(clock_ms() - start_ms < FIRST_BYTE_MS);
}

static void
a_registry_without_any_answer_fails_before_the_first_byte_is_due(void **state)
{
    struct bench *b = *state;
    struct answer a;
    assert_int_equal(ask(b, "reg.test", "plain", ASK_MS, &a), 0); /* the thread is ready */
    answer_release(&a);
    int64_t start_ms = clock_ms();
    assert_int_equal(pull(b, "mute"), ERR_UPSTREAM);
    assert_in_range(clock_ms() - start_ms, 4000, FIRST_BYTE_MS);
}

/* Who asked first was told in time that nothing came; that it was late is heard all the same. */
static void
a_registry_that_answers_late_is_waited_for_from_then_on(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    struct answer a;
    for (int i = 0; i < 20 && fetch_late_ms(b->fetch, "reg.test") == 0; i++) {
        if (ask(b, "reg.test", "late", 500, &a) == 0) /* where this process stood still */
            answer_release(&a);
        int64_t end_ms = clock_ms() + 2 * FAKE_LATE_MS;
        while (fetch_late_ms(b->fetch, "reg.test") == 0 && clock_ms() < end_ms)
            (void)usleep(10000);
    }
    assert_true(fetch_late_ms(b->fetch, "reg.test") >= 2000);
    assert_int_equal(pull(b, "late"), 0);
    assert_int_equal(fake_asked(&b->fake, "/late/blobs/", seen, 4), 1);
}

static void
final_answers_are_told_apart_and_not_repeated(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    assert_int_equal(pull(b, "gone"), ERR_NOT_FOUND);
    assert_int_equal(fake_asked(&b->fake, "/gone/", seen, 4), 1);
    assert_int_equal(pull(b, "forbidden"), ERR_DENIED);
    assert_int_equal(fake_asked(&b->fake, "/forbidden/", seen, 4), 1);
}

static void
server_errors_are_repeated_within_bounds(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[8];
    assert_int_equal(pull(b, "flaky"), 0);
    assert_int_equal(fake_asked(&b->fake, "/flaky/", seen, 8), 3);
}

static void
a_registry_that_only_fails_is_given_up(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[8];
    assert_int_equal(pull(b, "broken"), ERR_UPSTREAM);
    assert_int_equal(fake_asked(&b->fake, "/broken/", seen, 8), 4);
}

static void
a_dead_registry_fails_at_once(void **state)
{
    struct bench *b = *state;
    struct answer a;
    assert_int_equal(ask(b, "reg.test", "plain", ASK_MS, &a), 0); /* the thread is ready */
    answer_release(&a);
    int64_t start_ms = clock_ms();
    assert_int_equal(pull_from(b, "dead.test", "plain", FAKE_BYTES), ERR_UPSTREAM);
    assert_true(clock_ms() - start_ms < HEAD_WAIT_MS);
    assert_true(fetch_is_failing(b->fetch, "dead.test"));
    assert_false(fetch_is_failing(b->fetch, "reg.test"));
}

static void
a_wrong_length_is_never_begun(void **state)
{
    struct bench *b = *state;
    assert_int_equal(pull_from(b, "reg.test", "plain", FAKE_BYTES + 1), ERR_SIZE);
    assert_int_equal(pull_from(b, "reg.test", "nolength", CACHE_SIZE_UNKNOWN), ERR_SIZE);
}

static void
a_missing_length_is_fine_when_the_size_is_known(void **state)
{
    struct bench *b = *state;
    assert_int_equal(pull(b, "nolength"), 0);
}

static void
an_encoded_body_is_refused(void **state)
{
    struct bench *b = *state;
    assert_int_equal(pull(b, "gzip"), ERR_UPSTREAM);
}

static void
a_short_wait_is_waited(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    int64_t start_ms = clock_ms();
    assert_int_equal(pull(b, "busy"), 0);
    assert_true(clock_ms() - start_ms >= 1000);
    assert_int_equal(fake_asked(&b->fake, "/busy/", seen, 4), 2);
}

static void
a_long_wait_fails_at_once(void **state)
{
    struct bench *b = *state;
    int64_t start_ms = clock_ms();
    assert_int_equal(pull_from(b, "node.test", "verybusy", FAKE_BYTES), ERR_BUSY);
    assert_true(clock_ms() - start_ms < FIRST_BYTE_MS);
    assert_true(fetch_is_failing(b->fetch, "node.test"));
}

/* ---- proof and redirects ---- */

static void
a_token_is_asked_for_once_and_kept(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    struct answer a;
    assert_int_equal(pull(b, "token"), 0);
    assert_int_equal(ask(b, "reg.test", "token", ASK_MS, &a), 0);
    assert_int_equal(a.status, 200);
    answer_release(&a);
    assert_int_equal(fake_asked(&b->fake, "/token?", seen, 4), 1);
    assert_non_null(strstr(seen[0].path, "service=fake"));
    assert_non_null(strstr(seen[0].path, "scope=repository%3Atoken%3Apull"));
    assert_string_equal(seen[0].authorization, "");
    assert_int_equal(fake_asked(&b->fake, "/token/blobs/", seen, 4), 2);
    assert_int_equal(fake_asked(&b->fake, "/token/manifests/", seen, 4), 1);
    assert_string_equal(seen[0].authorization, "Bearer good");
}

static void
the_nodes_credentials_go_to_the_realm_only(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    assert_int_equal(pull_from(b, "node.test", "token", FAKE_BYTES), 0);
    assert_int_equal(fake_asked(&b->fake, "/token?", seen, 4), 1);
    assert_string_equal(seen[0].authorization, "Basic bWU6cGFzcw==");
    assert_int_equal(fake_asked(&b->fake, "/token/blobs/", seen, 4), 2);
    assert_string_equal(seen[0].authorization, "");
    assert_string_equal(seen[1].authorization, "Bearer good");
}

/* The request may have been lost: the blob's second try asks anew. */
static void
a_token_that_does_not_come_is_asked_for_again_in_time(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    assert_int_equal(pull(b, "tokenmute"), 0);
    assert_int_equal(fake_asked(&b->fake, "/token?", seen, 4), 2);
}

static void
a_token_that_expires_mid_layer_is_renewed(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[8];
    char range[64];
    (void)snprintf(range, sizeof range, "bytes=%u-%u", FAKE_CUT, FAKE_BYTES - 1);
    assert_int_equal(pull(b, "expire"), 0);
    assert_int_equal(fake_asked(&b->fake, "/expire/", seen, 8), 4);
    assert_string_equal(seen[3].range, range);
    assert_string_equal(seen[3].authorization, "Bearer good");
    assert_int_equal(fake_asked(&b->fake, "/token", seen, 8), 2);
}

static void
basic_credentials_answer_a_basic_challenge_of_the_registry(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    struct answer a;
    assert_int_equal(pull_from(b, "node.test", "basic", FAKE_BYTES), 0);
    assert_int_equal(fake_asked(&b->fake, "/basic/", seen, 4), 2);
    assert_string_equal(seen[0].authorization, "");
    assert_int_equal(ask(b, "node.test", "plain", ASK_MS, &a), 0);
    answer_release(&a);
    assert_int_equal(fake_asked(&b->fake, "/plain/", seen, 4), 1);
    assert_string_equal(seen[0].authorization, "Basic bWU6cGFzcw==");
}

static void
a_public_registry_gets_no_credentials(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    assert_int_equal(pull(b, "basic"), ERR_DENIED);
    assert_int_equal(fake_asked(&b->fake, "/basic/", seen, 4), 1);
}

static void
changed_credentials_are_read_again(void **state)
{
    struct bench *b = *state;
    write_file(b->dir, "creds.json", "{\"auths\":{}}");
    assert_int_equal(pull_from(b, "node.test", "basic", FAKE_BYTES), ERR_DENIED);
    write_file(b->dir, "creds.json", "{\"auths\":{\"node.test\":{\"auth\":\"bWU6cGFzcw==\"}}}");
    assert_int_equal(pull_from(b, "node.test", "basic", FAKE_BYTES), 0);
}

static void
unreadable_credentials_mean_anonymous(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    char path[96];
    (void)snprintf(path, sizeof path, "%s/creds.json", b->dir);
    assert_int_equal(remove(path), 0);
    assert_int_equal(pull_from(b, "node.test", "token", FAKE_BYTES), 0);
    assert_int_equal(fake_asked(&b->fake, "/token?", seen, 4), 1);
    assert_string_equal(seen[0].authorization, "");
}

static void
an_identity_token_is_posted_to_the_realm(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    write_file(b->dir, "creds.json", "{\"auths\":{\"node.test\":{\"identitytoken\":\"id\"}}}");
    assert_int_equal(pull_from(b, "node.test", "token", FAKE_BYTES), 0);
    assert_int_equal(fake_asked(&b->fake, "/token", seen, 4), 3);
    assert_string_equal(seen[1].method, "POST");
    assert_string_equal(seen[1].path, "/token");
    assert_string_equal(seen[1].authorization, "");
}

static void
a_denied_token_is_a_denied_blob(void **state)
{
    struct bench *b = *state;
    assert_int_equal(pull(b, "tokendenied"), ERR_DENIED);
}

static void
a_redirect_carries_no_proof_to_another_host(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    struct origin o = origin_at(b, "pass.test", "moved");
    char proof[] = "Bearer client";
    o.authorization = proof;
    enum cache_got got;
    struct blob *blob = cache_acquire(b->cache, &b->fake.digest, &got);
    fetch_blob(b->fetch, &o, blob, FAKE_BYTES, false);
    assert_int_equal(read_all(b, blob), 0);
    blob_release(&blob);
    assert_int_equal(fake_asked(&b->fake, "/moved/", seen, 4), 1);
    assert_string_equal(seen[0].authorization, "Bearer client");
    assert_int_equal(fake_asked(&b->fake, "/store/", seen, 4), 1);
    assert_string_equal(seen[0].authorization, "");
    assert_memory_equal(seen[0].host, "localhost:", 10);
}

static void
redirect_loops_and_hidden_addresses_are_refused(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[8];
    assert_int_equal(pull(b, "loop"), ERR_REFUSED);
    assert_true(fake_asked(&b->fake, "/loop/", seen, 8) <= 4);
    assert_int_equal(pull(b, "metadata"), ERR_REFUSED);
    assert_int_equal(pull(b, "evilrealm"), ERR_REFUSED);
}

static void
the_wildcard_reaches_no_private_address(void **state)
{
    struct bench *b = *state;
    assert_int_equal(pull_from(b, "localhost", "plain", FAKE_BYTES), ERR_REFUSED);
    assert_int_equal(pull_from(b, "127.0.0.1", "plain", FAKE_BYTES), ERR_REFUSED);
}

/* ---- asks ---- */

static void
an_ask_brings_body_type_and_digest(void **state)
{
    struct bench *b = *state;
    struct answer a;
    assert_int_equal(ask(b, "reg.test", "plain", ASK_MS, &a), 0);
    assert_int_equal(a.status, 200);
    assert_string_equal(buf_text(&a.body), "{\"manifest\"!}");
    assert_string_equal(a.content_type, "application/x");
    assert_string_equal(a.docker_digest, b->fake.digest_text);
    assert_int_equal(a.content_length, 13);
    answer_release(&a);
}

static void
a_head_has_a_length_and_no_body(void **state)
{
    struct bench *b = *state;
    struct origin o = origin_at(b, "reg.test", "plain");
    struct err e = {0};
    struct answer a;
    struct ask what = {.head = true,
                       .path = "manifests/latest",
                       .deadline_ms = clock_ms() + ASK_MS,
                       .body_max = 10};
    assert_int_equal(fetch_ask(b->fetch, &o, &what, &a, &e), 0);
    assert_int_equal(a.content_length, 13);
    assert_int_equal(a.body.len, 0);
    answer_release(&a);
}

static void
statuses_below_500_are_answers(void **state)
{
    struct bench *b = *state;
    struct answer a;
    assert_int_equal(ask(b, "reg.test", "gone", ASK_MS, &a), 0);
    assert_int_equal(a.status, 404);
    answer_release(&a);
    assert_int_equal(ask(b, "pass.test", "denied", ASK_MS, &a), 0);
    assert_int_equal(a.status, 401);
    assert_string_equal(a.challenge, "Basic realm=\"x\"");
    answer_release(&a);
}

static void
an_ask_is_repeated_after_a_server_error(void **state)
{
    struct bench *b = *state;
    struct answer a;
    assert_int_equal(ask(b, "reg.test", "flaky", ASK_MS, &a), 0);
    assert_int_equal(a.status, 200);
    answer_release(&a);
    assert_int_equal(ask(b, "reg.test", "broken", ASK_MS, &a), ERR_UPSTREAM);
}

static void
a_silent_registry_times_out_at_the_deadline(void **state)
{
    struct bench *b = *state;
    struct answer a;
    int64_t start_ms = clock_ms();
    assert_int_equal(ask(b, "reg.test", "mute", 500, &a), ERR_TIMEOUT);
    assert_in_range(clock_ms() - start_ms, 450, HEAD_WAIT_MS);
}

static void
a_busy_registry_is_left_alone(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    struct answer a;
    assert_int_equal(ask(b, "reg.test", "busyask", ASK_MS, &a), ERR_BUSY);
    assert_int_equal(ask(b, "reg.test", "busyask", ASK_MS, &a), ERR_BUSY);
    assert_int_equal(fake_asked(&b->fake, "/busyask/", seen, 4), 1);
}

static void
a_body_over_its_bound_is_an_error(void **state)
{
    struct bench *b = *state;
    struct origin o = origin_at(b, "reg.test", "plain");
    struct err e = {0};
    struct answer a;
    struct ask what = {
        .path = "manifests/latest", .deadline_ms = clock_ms() + ASK_MS, .body_max = 10};
    assert_int_equal(fetch_ask(b->fetch, &o, &what, &a, &e), ERR_LIMIT);
}

static void
unclean_paths_are_not_asked(void **state)
{
    struct bench *b = *state;
    static const char *const paths[] = {"manifests/a\r\nX: y", "../x", "/abs", "a b", "a#b"};
    struct origin o = origin_at(b, "reg.test", "plain");
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct err e = {0};
        struct answer a;
        struct ask what = {.path = paths[i], .deadline_ms = clock_ms() + ASK_MS, .body_max = 10};
        assert_int_equal(fetch_ask(b->fetch, &o, &what, &a, &e), ERR_REFUSED);
    }
}

static void
a_reader_far_ahead_gets_a_request_of_its_own(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[8];
    struct origin o = origin_at(b, "reg.test", "stall");
    enum cache_got got;
    struct blob_state st;
    int64_t start_ms = clock_ms();
    struct blob *blob = cache_acquire(b->cache, &b->fake.digest, &got);
    fetch_blob(b->fetch, &o, blob, FAKE_BYTES, false);
    blob_wait(blob, 0, clock_ms() + 5000, &st);
    blob_wait(blob, 2 * FAKE_CUT, clock_ms() + 5000, &st); /* behind the stalled one */
    assert_true(st.readable > 2 * FAKE_CUT);
    assert_true(clock_ms() - start_ms < STALL_MS);
    assert_int_equal(read_all(b, blob), 0);
    assert_in_range(fake_asked(&b->fake, "/stall/", seen, 8), 2, 4);
    blob_release(&blob);
}

static void
a_slow_reader_of_a_passing_blob_holds_it_up_without_loss(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    struct origin o = origin_at(b, "reg.test", "plain");
    struct blob *blob = NULL;
    struct blob_state st;
    assert_int_equal(cache_pass_through(b->cache, &b->fake.digest, 0, NULL, NULL, &blob), 0);
    fetch_blob(b->fetch, &o, blob, FAKE_BYTES, false);
    blob_wait(blob, 0, clock_ms() + 5000, &st);
    clock_sleep_ms(STALL_MS + 500); /* the slow reader: longer than a source may be silent */
    blob_look(blob, 0, &st);
    assert_true(st.have_bytes < FAKE_BYTES);
    assert_int_equal(read_all(b, blob), 0);
    assert_int_equal(fake_asked(&b->fake, "/plain/", seen, 4), 1);
    blob_release(&blob);
}

/* Blobs that nobody reads: each keeps its request open. */
static void
open_blobs(struct bench *b, unsigned count, bool background, struct blob **ret)
{
    struct origin o = origin_at(b, "reg.test", "plain");
    for (unsigned i = 0; i < count; i++) {
        struct blob_state st;
        assert_int_equal(cache_pass_through(b->cache, &b->fake.digest, 0, NULL, NULL, &ret[i]), 0);
        fetch_blob(b->fetch, &o, ret[i], FAKE_BYTES, background);
        blob_wait(ret[i], 0, clock_ms() + 10000, &st);
        assert_true(st.readable > 0);
    }
}

static void
close_blobs(struct blob **blobs, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        blob_release(&blobs[i]);
}

static void
a_blob_that_a_client_waits_for_does_not_queue_behind_others(void **state)
{
    struct blob *blobs[20];
    open_blobs(*state, ARRAY_LEN(blobs), false, blobs);
    close_blobs(blobs, ARRAY_LEN(blobs));
}

static void
a_background_blob_that_a_client_joins_waits_no_longer(void **state)
{
    struct bench *b = *state;
    struct transfer_info info[9];
    struct blob *blobs[8];
    struct blob *late = NULL;
    struct blob_state st;
    struct origin o = origin_at(b, "reg.test", "plain");
    open_blobs(b, ARRAY_LEN(blobs), true, blobs);
    assert_int_equal(cache_pass_through(b->cache, &b->fake.digest, 0, NULL, NULL, &late), 0);
    fetch_blob(b->fetch, &o, late, FAKE_BYTES, true);
    while (fetch_list(b->fetch, info, ARRAY_LEN(info)) < ARRAY_LEN(info))
        clock_sleep_ms(1); /* the newest comes first */
    assert_true(info[0].background);
    assert_int_equal(info[0].requests, 0);
    fetch_hurry(b->fetch, &o, late);
    blob_wait(late, 0, clock_ms() + 10000, &st);
    assert_true(st.readable > 0);
    close_blobs(blobs, ARRAY_LEN(blobs));
    blob_release(&late);
}

/* ---- limits.wan_rate ---- */

/* Two blobs at once, one through the cache and one past it: how long both took, in ms. */
static int64_t
pull_two(struct bench *b)
{
    struct origin o = origin_at(b, "reg.test", "plain");
    struct blob *past = NULL;
    enum cache_got got;
    int64_t start_ms = clock_ms();
    struct blob *kept = cache_acquire(b->cache, &b->fake.digest, &got);
    if (got == CACHE_LEAD)
        fetch_blob(b->fetch, &o, kept, FAKE_BYTES, false);
    assert_int_equal(cache_pass_through(b->cache, &b->fake.digest, 0, NULL, NULL, &past), 0);
    fetch_blob(b->fetch, &o, past, FAKE_BYTES, false);
    assert_int_equal(read_all(b, past), 0);
    assert_int_equal(read_all(b, kept), 0);
    assert_int_equal(got, CACHE_LEAD);
    blob_release(&past);
    blob_release(&kept);
    return clock_ms() - start_ms;
}

static void
all_pulls_together_keep_the_wan_rate(void **state)
{
    enum { RATE = 3 * 1024 * 1024 };
    struct bench *b = *state;
    int64_t due_ms = (int64_t)2 * FAKE_BYTES * 1000 / RATE;
    fetch_set_wan_rate(b->fetch, RATE);
    assert_in_range(pull_two(b), due_ms * 95 / 100, due_ms * 4);
}

static void
without_a_wan_rate_nothing_is_held(void **state)
{
    enum { RATE = 100 * 1024 };
    struct bench *b = *state;
    fetch_set_wan_rate(b->fetch, RATE);
    fetch_set_wan_rate(b->fetch, 0);
    assert_true(pull_two(b) < (int64_t)2 * FAKE_BYTES * 1000 / RATE / 2);
}

/* So slow that its first bytes are held for longer than STALL_MS; then the rate is lifted. */
static void
what_the_wan_rate_holds_is_no_stall_and_a_new_rate_counts_at_once(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    struct blob_state st;
    enum cache_got got;
    struct origin o = origin_at(b, "reg.test", "plain");
    uint64_t stalls = metric_get(M_upstream_stalls);
    int64_t start_ms = clock_ms();
    fetch_set_wan_rate(b->fetch, 6000);
    struct blob *blob = cache_acquire(b->cache, &b->fake.digest, &got);
    fetch_blob(b->fetch, &o, blob, FAKE_BYTES, false);
    blob_wait(blob, 0, start_ms + 20000, &st);
    assert_true(st.readable > 0);
    assert_in_range(clock_ms() - start_ms, STALL_MS, 20000);
    fetch_set_wan_rate(b->fetch, 0);
    assert_int_equal(read_all(b, blob), 0); /* at 6000 bytes/s: 9 minutes */
    assert_int_equal(metric_get(M_upstream_stalls), stalls);
    assert_int_equal(fake_asked(&b->fake, "/plain/", seen, 4), 1);
    blob_release(&blob);
}

static void
a_proxy_of_the_environment_is_used_although_its_address_is_private(void **state)
{
    struct bench *b = *state;
    struct fake_seen seen[4];
    struct answer a;
    struct err e = {0};
    char proxy[64];
    fetch_close(b->fetch);
    (void)snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", b->fake.port);
    (void)setenv("HTTP_PROXY", proxy, 1);
    int code = fetch_open(&b->fetch, &e);
    (void)unsetenv("HTTP_PROXY");
    assert_int_equal(code, 0);
    assert_int_equal(ask(b, "far.test", "plain", ASK_MS, &a), 0);
    assert_int_equal(a.status, 200);
    answer_release(&a);
    assert_int_equal(fake_asked(&b->fake, "http://far.invalid/v2/plain/", seen, 4), 1);
}

static void
running_transfers_are_listed(void **state)
{
    struct bench *b = *state;
    struct transfer_info info[4];
    struct origin o = origin_at(b, "reg.test", "stall");
    enum cache_got got;
    struct blob_state st;
    struct blob *blob = cache_acquire(b->cache, &b->fake.digest, &got);
    fetch_blob(b->fetch, &o, blob, FAKE_BYTES, false);
    blob_wait(blob, 0, clock_ms() + 5000, &st);
    assert_int_equal(fetch_list(b->fetch, info, 4), 1);
    assert_true(digest_equal(&info[0].digest, &b->fake.digest));
    assert_string_equal(info[0].host, "reg.test");
    assert_string_equal(info[0].repository, "stall");
    assert_false(info[0].background);
    assert_int_equal(read_all(b, blob), 0);
    blob_release(&blob);
}

static void
closing_fails_what_runs(void **state)
{
    struct bench *b = *state;
    struct origin o = origin_at(b, "reg.test", "stall");
    enum cache_got got;
    struct blob_state st;
    struct blob *blob = cache_acquire(b->cache, &b->fake.digest, &got);
    fetch_blob(b->fetch, &o, blob, FAKE_BYTES, false);
    blob_wait(blob, 0, clock_ms() + 5000, &st); /* it runs, and will stall */
    fetch_close(b->fetch);
    b->fetch = NULL;
    blob_look(blob, 0, &st);
    assert_int_equal(st.phase, BLOB_FAILED);
    assert_int_equal(st.error, ERR_CLOSED);
    blob_release(&blob);
}

#define WITH_BENCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(a_cold_blob_is_one_plain_get),
        WITH_BENCH(an_unknown_size_is_learnt_from_the_answer),
        WITH_BENCH(a_cut_transfer_continues_at_the_same_byte),
        WITH_BENCH(a_server_that_ignores_range_is_read_from_its_start_again),
        WITH_BENCH(another_range_than_asked_is_never_written),
        WITH_BENCH(a_silent_body_is_left_after_two_seconds),
        WITH_BENCH(a_silent_head_is_tried_once_more_in_time_for_the_first_byte),
        WITH_BENCH(a_registry_without_any_answer_fails_before_the_first_byte_is_due),
        WITH_BENCH(a_registry_that_answers_late_is_waited_for_from_then_on),
        WITH_BENCH(final_answers_are_told_apart_and_not_repeated),
        WITH_BENCH(server_errors_are_repeated_within_bounds),
        WITH_BENCH(a_registry_that_only_fails_is_given_up),
        WITH_BENCH(a_dead_registry_fails_at_once),
        WITH_BENCH(a_wrong_length_is_never_begun),
        WITH_BENCH(a_missing_length_is_fine_when_the_size_is_known),
        WITH_BENCH(an_encoded_body_is_refused),
        WITH_BENCH(a_short_wait_is_waited),
        WITH_BENCH(a_long_wait_fails_at_once),
        WITH_BENCH(a_token_is_asked_for_once_and_kept),
        WITH_BENCH(the_nodes_credentials_go_to_the_realm_only),
        WITH_BENCH(a_token_that_does_not_come_is_asked_for_again_in_time),
        WITH_BENCH(a_token_that_expires_mid_layer_is_renewed),
        WITH_BENCH(basic_credentials_answer_a_basic_challenge_of_the_registry),
        WITH_BENCH(a_public_registry_gets_no_credentials),
        WITH_BENCH(changed_credentials_are_read_again),
        WITH_BENCH(unreadable_credentials_mean_anonymous),
        WITH_BENCH(an_identity_token_is_posted_to_the_realm),
        WITH_BENCH(a_denied_token_is_a_denied_blob),
        WITH_BENCH(a_redirect_carries_no_proof_to_another_host),
        WITH_BENCH(redirect_loops_and_hidden_addresses_are_refused),
        WITH_BENCH(the_wildcard_reaches_no_private_address),
        WITH_BENCH(an_ask_brings_body_type_and_digest),
        WITH_BENCH(a_head_has_a_length_and_no_body),
        WITH_BENCH(statuses_below_500_are_answers),
        WITH_BENCH(an_ask_is_repeated_after_a_server_error),
        WITH_BENCH(a_silent_registry_times_out_at_the_deadline),
        WITH_BENCH(a_busy_registry_is_left_alone),
        WITH_BENCH(a_body_over_its_bound_is_an_error),
        WITH_BENCH(unclean_paths_are_not_asked),
        WITH_BENCH(a_reader_far_ahead_gets_a_request_of_its_own),
        WITH_BENCH(a_slow_reader_of_a_passing_blob_holds_it_up_without_loss),
        WITH_BENCH(a_blob_that_a_client_waits_for_does_not_queue_behind_others),
        WITH_BENCH(a_background_blob_that_a_client_joins_waits_no_longer),
        WITH_BENCH(all_pulls_together_keep_the_wan_rate),
        WITH_BENCH(without_a_wan_rate_nothing_is_held),
        WITH_BENCH(what_the_wan_rate_holds_is_no_stall_and_a_new_rate_counts_at_once),
        WITH_BENCH(a_proxy_of_the_environment_is_used_although_its_address_is_private),
        WITH_BENCH(running_transfers_are_listed),
        WITH_BENCH(closing_fails_what_runs),
    };
    json_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
