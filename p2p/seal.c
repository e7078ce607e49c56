/* Signs and checks messages between nodes; the layout stands in seal.h. */
#include "p2p/seal.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>

#define FIRST_BYTES 0x7370 /* "ps" */
#define VERSION     1
#define KEY_PREFIX  "psk-v1:"

/* A line without its end; an empty one adds nothing. */
static int
add_key(struct seal_keys *keys, const char *line, size_t len)
{
    size_t prefix = sizeof KEY_PREFIX - 1;
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    if (len == 0)
        return 0;
    if (keys->count == SEAL_KEYS_MAX || len != prefix + (size_t)2 * SEAL_KEY ||
        memcmp(line, KEY_PREFIX, prefix) != 0)
        return ERR_SYNTAX;
    struct seal_key *k = &keys->all[keys->count];
    int rc = text_unhex(k->bytes, line + prefix, (size_t)2 * SEAL_KEY);
    for (size_t i = 0; i < keys->count && rc == 0; i++)
        rc = memcmp(keys->all[i].bytes, k->bytes, SEAL_KEY) == 0 ? ERR_SYNTAX : 0;
    keys->count += rc == 0;
    return rc;
}

int
seal_keys_parse(const char *text, size_t len, struct seal_keys *ret)
{
    struct seal_keys keys = {0};
    int rc = 0;
    for (size_t at = 0; at < len && rc == 0;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end != NULL ? (size_t)(end - text) - at : len - at;
        rc = add_key(&keys, text + at, line);
        at += line + 1;
    }
    if (rc == 0 && keys.count == 0)
        rc = ERR_SYNTAX;
    if (rc == 0)
        *ret = keys;
    OPENSSL_cleanse(&keys, sizeof keys);
    return rc;
}

void
seal_key_print(const struct seal_key *k, char ret_text[SEAL_KEY_TEXT])
{
    memcpy(ret_text, KEY_PREFIX, sizeof KEY_PREFIX - 1);
    text_hex(ret_text + sizeof KEY_PREFIX - 1, k->bytes, sizeof k->bytes);
}

/* One for each thread: to look up the algorithm and to begin with a key costs four times what a
 * message of 300 bytes does (2.3 instead of 0.4 us). */
struct maker {
    struct seal_key key; /* what mac begins with */
    EVP_MAC_CTX *mac;
};

static pthread_key_t makers;
static pthread_once_t makers_made = PTHREAD_ONCE_INIT;

static void
free_maker(void *arg)
{
    struct maker *m = arg;
    EVP_MAC_CTX_free(m->mac); /* cleanses what it has of the key */
    OPENSSL_cleanse(&m->key, sizeof m->key);
    mem_free(m);
}

static void
make_makers(void)
{
    must(pthread_key_create(&makers, free_maker) == 0);
}

static struct maker *
new_maker(void)
{
    struct maker *m = mem_zalloc(sizeof *m);
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    must(hmac != NULL);
    m->mac = EVP_MAC_CTX_new(hmac);
    must(m->mac != NULL && pthread_setspecific(makers, m) == 0);
    EVP_MAC_free(hmac);
    return m;
}

/* A new mac of this thread with that key. */
static EVP_MAC_CTX *
begin_mac(const struct seal_key *k)
{
    must(pthread_once(&makers_made, make_makers) == 0);
    struct maker *m = pthread_getspecific(makers);
    bool fresh = m == NULL;
    m = fresh ? new_maker() : m;
    if (!fresh && CRYPTO_memcmp(&m->key, k, sizeof *k) == 0) {
        must(EVP_MAC_init(m->mac, NULL, 0, NULL) == 1);
        return m->mac;
    }
    char sha256[] = "SHA256";
    OSSL_PARAM how[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
                        OSSL_PARAM_construct_end()};
    must(EVP_MAC_init(m->mac, k->bytes, SEAL_KEY, how) == 1);
    m->key = *k;
    return m->mac;
}

static void
mac_of(const struct seal_key *k, const uint8_t *bytes, size_t len, uint8_t ret[SEAL_MAC])
{
    uint8_t full[EVP_MAX_MD_SIZE];
    size_t full_len = 0;
    EVP_MAC_CTX *mac = begin_mac(k);
    must(EVP_MAC_update(mac, bytes, len) == 1);
    must(EVP_MAC_final(mac, full, &full_len, sizeof full) == 1 && full_len >= SEAL_MAC);
    memcpy(ret, full, SEAL_MAC);
}

static void
head_write(const struct seal_head *h, uint8_t ret[SEAL_HEAD])
{
    struct scribe s;
    scribe_init(&s, ret, SEAL_HEAD);
    scribe_u16(&s, FIRST_BYTES);
    scribe_u8(&s, VERSION);
    scribe_u8(&s, (uint8_t)h->kind);
    scribe_u32(&s, h->len);
    scribe_bytes(&s, h->sender.bytes, sizeof h->sender.bytes);
    scribe_u64(&s, h->stamp_ms);
    scribe_u64(&s, h->boot);
    scribe_u64(&s, h->seq);
    must(!s.bad && scribe_len(&s) == SEAL_HEAD);
}

static int
head_read(const uint8_t *bytes, size_t len, struct seal_head *ret)
{
    struct cursor c;
    cursor_init(&c, bytes, len < SEAL_HEAD ? len : SEAL_HEAD);
    unsigned first = cursor_u16(&c), version = cursor_u8(&c), kind = cursor_u8(&c);
    struct seal_head h = {.len = cursor_u32(&c)};
    const uint8_t *sender = cursor_bytes(&c, sizeof h.sender.bytes);
    h.stamp_ms = cursor_u64(&c);
    h.boot = cursor_u64(&c);
    h.seq = cursor_u64(&c);
    if (c.bad || first != FIRST_BYTES)
        return ERR_SYNTAX;
    if (version != VERSION)
        return ERR_VERSION;
    if (kind < SEAL_DATAGRAM || kind > SEAL_HEADER)
        return ERR_SYNTAX;
    h.kind = (enum seal_kind)kind;
    memcpy(h.sender.bytes, sender, sizeof h.sender.bytes);
    *ret = h;
    return 0;
}

static bool
in_time(uint64_t stamp_ms, uint64_t now_ms)
{
    uint64_t apart = stamp_ms > now_ms ? stamp_ms - now_ms : now_ms - stamp_ms;
    return apart <= SEAL_SKEW_MS;
}

/* Of a head that was read from bytes: are the mac behind `len` bytes and the stamp right? */
static int
check(const struct seal_key *k, const uint8_t *bytes, size_t len, const uint8_t mac[SEAL_MAC],
      const struct seal_head *h, uint64_t now_ms)
{
    uint8_t right[SEAL_MAC];
    mac_of(k, bytes, len, right);
    if (CRYPTO_memcmp(right, mac, SEAL_MAC) != 0)
        return ERR_DENIED;
    return in_time(h->stamp_ms, now_ms) ? 0 : ERR_TIMEOUT;
}

size_t
seal_close(const struct seal_key *k, const struct seal_head *head, uint8_t *msg)
{
    head_write(head, msg);
    size_t len = SEAL_HEAD + (size_t)head->len;
    mac_of(k, msg, len, msg + len);
    return len + SEAL_MAC;
}

int
seal_open(const struct seal_key *k, const uint8_t *msg, size_t len, uint64_t now_ms,
          struct seal_head *ret)
{
    struct seal_head h;
    int rc = head_read(msg, len, &h);
    if (rc < 0)
        return rc;
    if (h.kind == SEAL_HEADER || len < SEAL_HEAD + SEAL_MAC || h.len != len - SEAL_HEAD - SEAL_MAC)
        return ERR_SYNTAX;
    rc = check(k, msg, len - SEAL_MAC, msg + len - SEAL_MAC, &h, now_ms);
    if (rc == 0)
        *ret = h;
    return rc;
}

/* Head and text in one run of bytes: what the mac of a header covers. */
static int
signed_bytes(const uint8_t head[SEAL_HEAD], const char *what,
             uint8_t ret[SEAL_HEAD + SEAL_SIGNED_MAX], size_t *ret_len)
{
    size_t len = strnlen(what, SEAL_SIGNED_MAX + 1);
    if (len > SEAL_SIGNED_MAX)
        return ERR_LIMIT;
    memcpy(ret, head, SEAL_HEAD);
    memcpy(ret + SEAL_HEAD, what, len);
    *ret_len = SEAL_HEAD + len;
    return 0;
}

int
seal_sign(const struct seal_key *k, const struct seal_head *head, const char *what,
          char ret_text[SEAL_TEXT_MAX])
{
    uint8_t token[SEAL_HEAD + SEAL_MAC], bytes[SEAL_HEAD + SEAL_SIGNED_MAX];
    struct seal_head h = *head;
    h.kind = SEAL_HEADER;
    h.len = (uint32_t)strnlen(what, SEAL_SIGNED_MAX + 1);
    head_write(&h, token);
    size_t len;
    int rc = signed_bytes(token, what, bytes, &len);
    if (rc < 0)
        return rc;
    mac_of(k, bytes, len, token + SEAL_HEAD);
    text_hex(ret_text, token, sizeof token);
    return 0;
}

int
seal_verify(const struct seal_key *k, const char *text, const char *what, uint64_t now_ms,
            struct seal_head *ret)
{
    uint8_t token[SEAL_HEAD + SEAL_MAC], bytes[SEAL_HEAD + SEAL_SIGNED_MAX];
    struct seal_head h;
    size_t len;
    if (strnlen(text, SEAL_TEXT_MAX) != SEAL_TEXT_MAX - 1 ||
        text_unhex(token, text, SEAL_TEXT_MAX - 1) < 0)
        return ERR_SYNTAX;
    int rc = head_read(token, sizeof token, &h);
    if (rc < 0)
        return rc;
    if (h.kind != SEAL_HEADER || signed_bytes(token, what, bytes, &len) < 0)
        return ERR_SYNTAX;
    rc = check(k, bytes, len, token + SEAL_HEAD, &h, now_ms);
    if (rc == 0)
        *ret = h;
    return rc;
}

void
seal_guard_init(struct seal_guard *g)
{
    memset(g, 0, sizeof *g);
}

static struct seal_sender *
sender_find(struct seal_guard *g, const struct node_id *id)
{
    for (size_t i = 0; i < g->count; i++)
        if (node_equal(&g->senders[i].id, id))
            return &g->senders[i];
    return NULL;
}

/* A free place, or that of the sender heard longest ago. */
static struct seal_sender *
sender_place(struct seal_guard *g)
{
    if (g->count < SEAL_SENDERS_MAX)
        return &g->senders[g->count++];
    struct seal_sender *oldest = &g->senders[0];
    for (size_t i = 1; i < g->count; i++)
        if (g->senders[i].used < oldest->used)
            oldest = &g->senders[i];
    return oldest;
}

static uint64_t *
window_word(struct seal_sender *s, uint64_t seq)
{
    return &s->seen[seq % SEAL_WINDOW / 64];
}

/* Marks seq in the window; false when it was there or lies before the window. */
static bool
window_pass(struct seal_sender *s, uint64_t seq)
{
    uint64_t bit = (uint64_t)1 << seq % 64;
    if (seq > s->seq) {
        uint64_t by = seq - s->seq;
        for (uint64_t i = 1; i <= by && i <= SEAL_WINDOW; i++)
            *window_word(s, s->seq + i) &= ~((uint64_t)1 << (s->seq + i) % 64);
        s->seq = seq;
    } else if (s->seq - seq >= SEAL_WINDOW || (*window_word(s, seq) & bit) != 0) {
        return false;
    }
    *window_word(s, seq) |= bit;
    return true;
}

#define STARTS_BITS 24

uint64_t
seal_boot(uint32_t starts, uint64_t random)
{
    must(starts <= SEAL_STARTS_MAX);
    return starts == 0 ? random : (uint64_t)starts << STARTS_BITS | random >> (64 - STARTS_BITS);
}

/* 0: not counted. */
static uint64_t
starts_of(uint64_t boot)
{
    return boot >> (2 * STARTS_BITS) == 0 ? boot >> STARTS_BITS : 0;
}

static bool
is_later_start(const struct seal_sender *s, const struct seal_head *h)
{
    uint64_t before = starts_of(s->boot), now = starts_of(h->boot);
    if (before == 0 || now == 0 || before == now)
        return h->stamp_ms > s->stamp_ms;
    return now > before || h->stamp_ms > s->stamp_ms + (uint64_t)2 * SEAL_SKEW_MS;
}

int
seal_guard_pass(struct seal_guard *g, const struct seal_head *h)
{
    struct seal_sender *s = sender_find(g, &h->sender);
    if (s == NULL || s->boot != h->boot) {
        if (s != NULL && !is_later_start(s, h))
            return ERR_LATER;
        if (s == NULL)
            s = sender_place(g);
        *s = (struct seal_sender){.id = h->sender, .boot = h->boot, .seq = h->seq};
    }
    if (!window_pass(s, h->seq))
        return ERR_REFUSED;
    if (h->stamp_ms > s->stamp_ms)
        s->stamp_ms = h->stamp_ms;
    s->used = ++g->uses;
    return 0;
}
