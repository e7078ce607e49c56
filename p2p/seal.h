/* The seal around everything that nodes send each other: who sent it, when, for the first time,
 * and nobody without the cluster's key. Pure but for the table of a struct seal_guard and what each
 * thread keeps of the key it used last.
 *
 *   "ps" 2 | version 1 | kind 1 | length 4 | sender 16 | stamp_ms 8 | boot 8 | seq 8   SEAL_HEAD
 *   body                                                                             length bytes
 *   mac 16: HMAC-SHA-256 of all before it, cut to 128 bits                           SEAL_MAC
 *
 * stamp_ms is wall time; a message older or newer than SEAL_SKEW_MS is refused. boot is drawn at
 * each start behind the number of starts (seal_boot), seq rises with each message; a guard keeps a
 * window of SEAL_WINDOW per sender. A piece request carries its seal as text in one header instead
 * (seal_sign). */
#ifndef P2P_SEAL_H
#define P2P_SEAL_H

#include "p2p/node.h"

#define SEAL_HEAD    48
#define SEAL_MAC     16
#define SEAL_KEY     32
#define SEAL_SKEW_MS 60000
/* Datagrams and requests share one count, and a request may wait in an accept queue meanwhile. */
#define SEAL_WINDOW 1024
/* Every node that is heard takes one place; the one heard longest ago gives up its place. */
#define SEAL_SENDERS_MAX 1024
#define SEAL_TEXT_MAX    (2 * (SEAL_HEAD + SEAL_MAC) + 1)
#define SEAL_KEY_TEXT    (7 + 2 * SEAL_KEY + 1)
#define SEAL_SIGNED_MAX  1024 /* bytes of "method path range" */
#define SEAL_KEYS_MAX    4    /* of one cluster, while they are changed */
#define SEAL_KEYS_TEXT   1024 /* bytes of a key file: so many keys, white space */

struct seal_key {
    uint8_t bytes[SEAL_KEY];
};

/* The keys of a cluster: the first signs, each is believed. One, but while keys are changed. */
struct seal_keys {
    size_t count;
    struct seal_key all[SEAL_KEYS_MAX];
};

enum seal_kind { SEAL_DATAGRAM = 1, SEAL_REQUEST, SEAL_REPLY, SEAL_HEADER };

struct seal_head {
    enum seal_kind kind;
    uint32_t len; /* of the body */
    struct node_id sender;
    uint64_t stamp_ms;
    uint64_t boot, seq;
};

/* What a key file holds: a line for each key, 1 to SEAL_KEYS_MAX, all different, as `peersync
 * cluster key` prints them: "psk-v1:" and 64 hex digits. White space at the ends of lines and
 * empty lines are allowed. 0 or ERR_SYNTAX. */
CHECKED int seal_keys_parse(const char *text, size_t len, struct seal_keys *ret);
void seal_key_print(const struct seal_key *k, char ret_text[SEAL_KEY_TEXT]);

/* Puts head and mac around the body that lies at msg + SEAL_HEAD already; msg has room for
 * SEAL_HEAD + head->len + SEAL_MAC bytes. Returns the length of all. */
size_t seal_close(const struct seal_key *k, const struct seal_head *head, uint8_t *msg);
/* 0; ERR_SYNTAX: not ours; ERR_VERSION: another version of the protocol; ERR_DENIED: another key;
 * ERR_TIMEOUT: its clock or ours is wrong. The body lies at msg + SEAL_HEAD. */
CHECKED int seal_open(const struct seal_key *k, const uint8_t *msg, size_t len, uint64_t now_ms,
                      struct seal_head *ret);

/* The same for a request without a body: hex text for one header, over `what`. head->len and
 * head->kind are set here. 0 or ERR_LIMIT. */
CHECKED int seal_sign(const struct seal_key *k, const struct seal_head *head, const char *what,
                      char ret_text[SEAL_TEXT_MAX]);
CHECKED int seal_verify(const struct seal_key *k, const char *text, const char *what,
                        uint64_t now_ms, struct seal_head *ret);

/* boot of the start of that number: 16 bits 0, 24 the number, 24 random. starts 0, not counted: all
 * is random. */
#define SEAL_STARTS_MAX 0xffffffu
uint64_t seal_boot(uint32_t starts, uint64_t random);

/* Refuses what was seen before. A sender that was never heard is believed, and one that started
 * again only when that is a later start of it, also with a clock that was set back; or, where
 * starts are not counted, when its stamp is newer than all before. Who lost count is believed again
 * when all that it sent before is out of time. What it sent before cannot come back. */
struct seal_guard {
    size_t count;
    struct seal_sender {
        struct node_id id;
        uint64_t boot, seq;              /* newest */
        uint64_t stamp_ms;               /* newest */
        uint64_t used;                   /* order of last use */
        uint64_t seen[SEAL_WINDOW / 64]; /* a ring of bits: seq % SEAL_WINDOW */
    } senders[SEAL_SENDERS_MAX];
    uint64_t uses;
};

void seal_guard_init(struct seal_guard *g);
/* Of a message that seal_open found right: 0; ERR_REFUSED: it was seen; ERR_LATER: of a start that
 * is not known to be the last one. */
CHECKED int seal_guard_pass(struct seal_guard *g, const struct seal_head *h);

#endif
