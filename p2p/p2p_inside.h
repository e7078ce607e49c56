/* What the files of the p2p thread share, and nobody else: p2p.c (life and turns of the thread),
 * p2p_mail.c (notes from other threads), p2p_carry.c (plans carried out), p2p_ask.c (questions
 * that wait for the thread), p2p_look.c (pictures for people), p2p_names.c (names), p2p_meet.c (who
 * is spoken to, and how nodes get to know each other). */
#ifndef P2P_P2P_INSIDE_H
#define P2P_P2P_INSIDE_H

#include "base/mailbox.h"
#include "base/thread.h"
#include "p2p/contact.h"
#include "p2p/discover.h"
#include "p2p/net.h"
#include "p2p/p2p.h"
#include "p2p/plan.h"
#include "p2p/post.h"
#include "p2p/sealer.h"
#include "p2p/site.h"

/* More than all running requests of all swarms can end, and all pieces that they can bring,
 * between two turns of the thread. */
#define P2P_MAIL_MAX     65536
#define P2P_PROGRESS_MAX 256 /* requests whose bytes are summed up for the next turn */
#define P2P_HEARD_MAX    512 /* datagrams in one turn: mail and time come in between */
/* Hints that multicast does not carry: 200 datagrams a second, and a burst of 50 ms of them. */
#define P2P_HINT_US       5000
#define P2P_HINT_BURST_US 50000
#define P2P_MSG_MAX       (SEAL_HEAD + WIRE_CONTROL_MAX + SEAL_MAC)

/* Bytes of a request since the thread last looked. */
struct p2p_progress {
    struct digest blob;
    uint32_t get;
    uint64_t bytes;
};

struct p2p {
    /* fixed at open */
    struct p2p_ops ops;
    struct node_id self;
    bool advertise_auto, wired;
    unsigned priority, cpus; /* configured (0: lowest) and found */
    bool preseed;
    int64_t opened_ms;
    struct sealer sealer; /* any thread */
    struct mailbox mail;  /* any thread */
    struct thread thread;
    _Atomic bool closing;
    _Atomic size_t others; /* members, as the thread last saw them */

    struct lock progress_lock;
    size_t progress_count;                          /* progress_lock */
    struct p2p_progress progress[P2P_PROGRESS_MAX]; /* progress_lock */
    int64_t progress_ms;                            /* progress_lock; it woke the thread then */

    struct lock flows_lock;
    struct flows flows; /* flows_lock */

    /* the thread's own */
    int64_t now_ms; /* of this turn */
    bool noted;     /* a swarm was told something: it decides again before the thread sleeps */
    struct step *step;
    struct net *net;
    struct post *post;
    struct discover *discover;
    struct node_addr addr; /* where others reach this node */
    struct site site;
    struct contacts contacts;
    struct p2p_meet {
        uint64_t seeds_version;
        int64_t far_ms;        /* beacons to other sites, next */
        int64_t introduce_ms;  /* as tracker, next */
        int64_t remember_ms;   /* nodes of the site, for the next run */
        int64_t settings_ms;   /* interfaces, address, priority: look again */
        size_t introduce_next; /* member that is told next */
        size_t hint_next;      /* member that gets hints first */
        int64_t hints_us;      /* hints may go out from then on: one every P2P_HINT_US */
    } meet;
    enum elect_event why, lately; /* of this tracker; what happened since, ELECT_NOTHING */
    uint64_t revocations;         /* of the tracker's table, as far as they are counted */
    struct net_heard heard;
    struct p2p_naming *namings; /* questions about names that wait */
    uint32_t naming_id;         /* of the last one */
    struct p2p_ask *request;    /* whose control request the step is about */
    struct plan plan;
    uint8_t msg[P2P_MSG_MAX]; /* a message while it is sealed */
};

/* p2p_mail.c: notes that came are told to the step. */
void p2p_take_mail(struct p2p *p);
/* p2p_carry.c: does what the plan says, and empties it. */
void p2p_carry(struct p2p *p);

/* p2p_meet.c */
void p2p_meet_open(struct p2p *p);
/* A datagram that came, before and after the step took it. */
bool p2p_meet_knows(const struct p2p *p, const struct node_id *node);
void p2p_meet_heard(struct p2p *p, const struct node_id *from, bool knew, const uint8_t *body,
                    size_t len);
/* A datagram for everybody: sealed already; `type` is that of its first record. */
void p2p_meet_shout(struct p2p *p, enum wire_type type, const uint8_t *msg, size_t len);
/* What is due now. */
void p2p_meet_turn(struct p2p *p);
int64_t p2p_meet_wake_ms(const struct p2p *p);

/* p2p_ask.c: a question of another thread. The asker and the thread hold it; who leaves last
 * frees it. */
enum p2p_ask_kind {
    P2P_ASK_CONTROL,
    P2P_ASK_LOOK,
    P2P_ASK_WATCH,
    P2P_ASK_RESIGN,
    P2P_ASK_LOCATE,
    P2P_ASK_LOCATED,
    P2P_ASK_KNOCK
};
struct p2p_ask;
void p2p_answer_ask(struct p2p *p, struct p2p_ask *a);
/* p2p_look.c: the picture that people get; the caller owns it. */
struct p2p_state *p2p_draw(struct p2p *p);
/* For struct step_config: what this node carries. */
void p2p_draw_traffic(void *p2p, struct traffic *ret);
/* The body that answers the request the step is about. */
void p2p_reply(struct p2p *p, const uint8_t *body, size_t len);
void p2p_drop_ask(struct p2p_ask *a, int code); /* the thread ends */

/* p2p_names.c: questions about names, and notes of them. */
struct p2p_naming;
struct p2p_mail;
void p2p_take_name(struct p2p *p, struct p2p_mail *m);
void p2p_named(struct p2p *p, uint32_t ask, const struct names_answer *answer);
void p2p_drop_naming(struct p2p_naming *n); /* one that is still in the mailbox */
void p2p_drop_namings(struct p2p *p);       /* the thread has ended */

/* What is in the mailbox. */
enum p2p_note {
    P2P_WANT,
    P2P_LEAVE,
    P2P_CURSORS,
    P2P_PIECE,
    P2P_END,
    P2P_DROPPED, /* first, count */
    P2P_WINDOW,  /* first, count */
    P2P_DOUBT,
    P2P_LOAD,
    P2P_BAN,
    P2P_UNMET,
    P2P_ATTEST,
    P2P_NAME_ASK,
    P2P_NAME_TELL,
    P2P_NAME_HOLD,
    P2P_PART,
    P2P_ASK
};
struct p2p_mail {
    struct mail mail;
    enum p2p_note note;
    struct digest blob;
    union {
        struct {
            uint64_t size;
            uint8_t flags;
            bool held; /* bits follow */
        } want;
        struct {
            size_t count;
        } cursors; /* positions follow */
        struct {
            uint32_t get, piece;
        } piece;
        struct {
            uint32_t get;
            enum swarm_end how;
            int64_t took_us;
            unsigned busy_ms;
        } end;
        struct {
            uint32_t first, count;
        } dropped;
        struct {
            unsigned queue_ms;
            uint64_t free_bytes;
        } load;
        struct {
            uint64_t size;
        } part;
        struct {
            struct node_id node;
            int64_t wait_ms;
        } ban;
        struct {
            struct node_id node;
        } unmet;
        struct {
            uint32_t first, count; /* the words stand in `more` */
            bool read;
        } attest;
        struct p2p_ask *ask;
        struct p2p_naming *naming;
        struct {
            enum names_state state;
            struct names_value value;
        } told; /* `blob` is the key */
        struct {
            size_t count;
        } hold; /* struct names_own follow */
    };
    uint8_t more[]; /* aligned for uint64_t */
};
CHECKED int p2p_post(struct p2p *p, struct p2p_mail *m);
struct p2p_mail *p2p_new_mail(enum p2p_note note, const struct digest *blob, size_t more);

#endif
