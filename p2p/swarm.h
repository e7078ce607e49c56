/* One blob on one node: what is held, who else holds it, what is asked for and where. Pure; its
 * memory is taken by swarm_new and by each new peer, up to SWARM_PEERS_MAX.
 *
 *   piece  MISSING --swarm_next chose it--> ASKED --swarm_piece--> HELD
 *          ASKED --swarm_end, not all came--> MISSING
 *          HELD --swarm_drop: evicted, or its bytes were wrong--> MISSING
 *
 * Of a blob that the disk cannot take a node keeps a window of pieces: what is before it is gone
 * and not wanted again, what is behind it is not wanted yet. */
#ifndef P2P_SWARM_H
#define P2P_SWARM_H

#include "p2p/attest.h"
#include "p2p/duty.h"
#include "p2p/member.h"
#include "p2p/pick.h"
#include "p2p/wire.h"

#define SWARM_PEERS_MAX      64 /* everybody in a small site; a sample of a large one */
#define SWARM_GETS_MAX       16
#define SWARM_LAN_GETS       8    /* at once, of all peers */
#define SWARM_LAN_BESIDE     6    /* the same beside a request to the WAN (simulated) */
#define SWARM_COPY_GETS      1    /* the same of a copy that no client waits for */
#define SWARM_CROWD          4    /* times as many share a blob as have all of it: spare these */
#define SWARM_CROWD_LONE     2    /* the same where one has all of it */
#define SWARM_SHARES_MS      5000 /* who got no piece for so long shares no more, */
#define SWARM_SHARES_PIECES  4   /* or for the time of so many pieces of peers, if that is longer */
#define SWARM_ANNOUNCE_MS    200 /* while something is fetched */
#define SWARM_ANNOUNCES_S    1000 /* that a tracker hears of a blob at most, about */
#define SWARM_SPACING_MS     20   /* between two announcements at least */
#define SWARM_HAVE_MS        5    /* a hint waits for others that long */
#define SWARM_HAVE_IDLE_MS   50   /* the same where the WAN is what all wait for */
#define SWARM_IDLE_GETS      3    /* who asks peers for less waits for it */
#define SWARM_FIRSTS         16   /* pieces that spread at once: readers wait for them */
#define SWARM_HINTS_S        1000 /* that a node hears at most, but for pieces from the WAN */
#define SWARM_WINDOW_MS      50   /* between two words about a window to all */
#define SWARM_REFRESH_MS     5000 /* else */
#define SWARM_ORPHAN_MS      300  /* without tracker, until pieces go to owners by hash */
#define SWARM_WHOHAS_MS      10   /* for answers, before a lease is asked for */
#define SWARM_SHOUT_MS       1000 /* between two questions to all, without a tracker */
#define SWARM_IHAVE_BYTES    1024 /* of bits in a datagram; who holds part of more says nothing */
#define SWARM_BUSY_DOUBLINGS 3    /* of the wait that a peer asks for each time it is busy */
#define SWARM_REFUSED_MAX    3 /* requests in a row that gave nothing: it has not what it says; */
/* one that denies is enough of who has not given any piece of the blob yet. */
#define SWARM_DOUBT_MS       2000 /* it is not believed for so long, doubled each time */
#define SWARM_DOUBTS_MAX     5    /* doublings */
#define SWARM_WORDS_MS       100  /* between two questions for words, when no answer comes */
#define SWARM_WORDS_ASKS     5    /* questions in vain: who was asked has not what it says */
#define SWARM_WORDS_MAX      240  /* pieces in one question */
#define SWARM_LIES_MIN       2    /* wrong pieces: one may be an accident of its disk */
#define SWARM_LIES_SHARE     3    /* wrong pieces for each right one */
#define SWARM_RUN            8    /* pieces with one such owner */
#define SWARM_STALL_MS       250
#define SWARM_STALL_PIECES   4    /* or the time of so many pieces of peers, where that is longer */
#define SWARM_RESCUE_MS      2000 /* a reader stands still: one piece straight from upstream */
#define SWARM_FIRST_MS       3000 /* the same for a reader without any byte, which is due 1.5 s later */
#define SWARM_SPREAD_MS      1000 /* it sips up to so much earlier, by node: not all at once */
#define SWARM_SIP_BYTES      1024 /* of it, while the tracker has it fetched; of a piece so small */
#define SWARM_SIP_PIECE      131072 /* all: its client may get no part before the rest */
#define SWARM_SIPS_MAX       2      /* of a piece; then all of it, whatever the tracker says */
#define SWARM_RESCUE_TURN_MS 250    /* times the rank of the node for that piece */
#define SWARM_RESCUE_LAST_MS 2000   /* the last one tries that much later, in a large site too */
/* While the tracker answers, a piece that nobody has is on its way, however thin the WAN is. */
#define SWARM_TRUST_MS   1000
#define SWARM_PATIENT_MS 15000

enum swarm_source { SWARM_LAN, SWARM_WAN };

/* A request to be made: pieces [first, first + count) of the blob. LAN: one piece of a node of this
 * site. WAN: a lease, of upstream, or with a node of that one, which is in another site; the pieces
 * are asked for in order, one by one or in runs, and a refusal ends it (SWARM_BUSY, SWARM_FAILED).
 */
struct swarm_get {
    uint32_t id;
    enum swarm_source source;
    struct node_id node; /* none: upstream */
    struct node_addr addr;
    uint32_t first, count;
    uint32_t sip;   /* WAN: only so many bytes of the one piece, until it is asked for; 0: all */
    uint32_t lease; /* WAN: its id, or what duty_take gave; for people */
    bool has_word;  /* LAN: what the piece must hash to is known */
    uint8_t word[ATTEST_BYTES];
};

struct swarm;

struct swarm *swarm_new(const struct digest *digest, uint64_t size, uint8_t flags, int64_t now_ms);
void swarm_free(struct swarm *s); /* NULL is fine */
const struct digest *swarm_digest(const struct swarm *s);
uint64_t swarm_size(const struct swarm *s);
uint8_t swarm_has_flags(const struct swarm *s);
int64_t swarm_announced_ms(const struct swarm *s); /* when last */
bool swarm_whole(const struct swarm *s);
bool swarm_sated(const struct swarm *s); /* holds all that it wants or will want */
bool swarm_wants(const struct swarm *s); /* some of it */
bool swarm_holds(const struct swarm *s, uint32_t piece);
uint32_t swarm_pieces(const struct swarm *s);

/* The node's own side. */
void swarm_leave(struct swarm *s); /* nothing is wanted, held or fetched any more: one last word */
void swarm_flags(struct swarm *s, uint8_t flags); /* enum wire_blob_flag, but for WIRE_WANTS */
void swarm_hold(struct swarm *s, uint32_t piece); /* was in the cache already */
void swarm_drop(struct swarm *s, uint32_t piece);
/* Only pieces [first, end) are kept or wanted now. */
void swarm_window(struct swarm *s, uint32_t first, uint32_t end);
/* A reader stands at that byte; slot < PICK_CURSORS_MAX; UINT64_MAX: it is gone. */
void swarm_cursor(struct swarm *s, unsigned slot, uint64_t pos, int64_t now_ms);

/* What others say. */
void swarm_peer(struct swarm *s, const struct wire_peer *said);
void swarm_have(struct swarm *s, const struct node_id *node, const struct node_addr *addr,
                const struct wire_have *said);
void swarm_gone(struct swarm *s, const struct node_id *node);
/* What it has is heard anew. */
void swarm_forget(struct swarm *s, const struct node_id *node);
/* That node has nothing before piece `first` any more. */
void swarm_peer_window(struct swarm *s, const struct node_id *node, uint32_t first);
/* For people. */
struct swarm_sum {
    uint32_t pieces, held;
    unsigned peers;              /* other nodes that were heard of */
    unsigned lan_gets, wan_gets; /* requests that run now */
};
struct swarm_sum swarm_sum(const struct swarm *s);
/* The i-th other node that was heard of and how many pieces it has; false: there are no more. */
bool swarm_other(const struct swarm *s, size_t i, struct node_id *ret_node,
                 struct node_addr *ret_addr, uint32_t *ret_held);
/* The answer to a WHOHAS of this node. */
void swarm_ihave(struct swarm *s, const struct node_id *node, const struct node_addr *addr,
                 const struct wire_ihave *said, int64_t now_ms);
void swarm_granted(struct swarm *s, const struct wire_grant *g);
/* Whether it has to wait: it asks for no lease then, and those that were not yet begun go back. */
void swarm_rest(struct swarm *s, bool rests);
/* A lease became shorter, or ended: true when a running request must stop before ret_end. */
bool swarm_trimmed(struct swarm *s, const struct wire_trim *t, uint32_t *ret_get,
                   uint32_t *ret_end);

/* Around a decision. */
struct swarm_moment {
    int64_t now_ms;
    int64_t orphan_ms; /* how long there is no tracker, 0: there is one */
    const struct members *members;
    const struct node_id *self;
    uint64_t site;
    struct rng *rng;
};
/* What to ask for next; false: nothing now. */
bool swarm_next(struct swarm *s, const struct swarm_moment *at, struct swarm_get *ret);
/* Bytes of a request that came since; whole pieces are told by swarm_piece. */
void swarm_progress(struct swarm *s, uint32_t get, uint64_t bytes, int64_t now_ms);
/* A piece of a request is whole and right. */
void swarm_piece(struct swarm *s, uint32_t get, uint32_t piece, int64_t now_ms);
/* The request is over; took_us: its service time. busy_ms > 0: the peer asked to wait. */
enum swarm_end {
    SWARM_DONE,
    SWARM_BUSY,
    SWARM_FAILED, /* no answer in time */
    SWARM_DENIED, /* it answered without the piece, or without all of it; or its port is closed */
    SWARM_LIED,   /* not as its word says */
};
void swarm_end(struct swarm *s, uint32_t get, enum swarm_end how, int64_t took_us, unsigned busy_ms,
               int64_t now_ms);

/* The next peer that is not believed any more since it gave nothing, told once, and when its first
 * refusal was. */
bool swarm_suspect(struct swarm *s, size_t *at, struct node_id *ret, int64_t *ret_since_ms);
/* Has that peer given a piece since? */
bool swarm_gave(struct swarm *s, const struct node_id *node, int64_t since_ms);

/* Words (attest.h). What this node knows itself: pieces that it read from the registry, or has.
 * read: from the registry, or of a blob whose digest was right. */
void swarm_attest(struct swarm *s, bool read, uint32_t piece, const uint8_t word[ATTEST_BYTES],
                  int64_t now_ms);
void swarm_words(struct swarm *s, const struct node_id *from, bool read, uint32_t first,
                 const struct wire_bits *words, int64_t now_ms);
/* The next run of own words that nobody was told, from *at on; false: none. As attest_run. */
bool swarm_take_words(struct swarm *s, bool read, uint32_t *at, struct wire_attest *ret);
void swarm_told_words(struct swarm *s); /* all were */
/* Words are lacking for pieces that others have: whom to ask, for what; false: nothing now. Who
 * cannot say them is as one that has nothing. */
bool swarm_asks_words(struct swarm *s, int64_t now_ms, struct wire_ask_words *ret,
                      const struct node_id **ret_to);
/* The answer, run by run; as attest_run. */
bool swarm_tell_words(struct swarm *s, const struct wire_ask_words *asked, bool read, uint32_t *at,
                      struct wire_attest *ret);
/* The digest of the blob is wrong although its pieces are as words say (attest_doubt). */
void swarm_doubt_words(struct swarm *s, int64_t now_ms);
/* Somebody asks for words that are not known here. True: whoever stores the blob must bring them,
 * by swarm_attest, and say swarm_recalled at the end. When none came (its last bytes are not stored
 * yet), the next question counts again. */
bool swarm_recalls(struct swarm *s);
void swarm_recalled(struct swarm *s);
bool swarm_is_recalling(const struct swarm *s);
/* The next node whose words were wrong (attest_liar), or nearly all of whose pieces were. */
bool swarm_liar(const struct swarm *s, size_t *at, struct node_id *ret);
/* Nothing that it says of the blob is believed. */
void swarm_ban(struct swarm *s, const struct node_id *node);

/* Should all members be asked now who has it? Then leases wait for the answers. */
bool swarm_shout_due(struct swarm *s, const struct swarm_moment *at);
/* The answer to who asks for a blob; false: nothing that would help. PARTLY: say also what is not
 * whole; BY_PIECES: say all of it like that, so that nobody counts on a copy. */
enum swarm_tell { SWARM_TELL_WHOLE, SWARM_TELL_PARTLY, SWARM_TELL_BY_PIECES };
bool swarm_tell_held(const struct swarm *s, enum swarm_tell how, struct wire_ihave *ret);

/* Announcements. */
/* due: it must be now; near: it may as well go along with that of another blob. */
bool swarm_announce_due(const struct swarm *s, int64_t now_ms);
bool swarm_announce_near(const struct swarm *s, int64_t now_ms);
int64_t swarm_wake_ms(const struct swarm *s);
void swarm_announce(struct swarm *s, int64_t now_ms, struct wire_blob *ret);
/* What the tracker is told with it; false: the node keeps all. */
bool swarm_tell_window(const struct swarm *s, struct wire_window *ret);
/* The same for all others, when it has moved; false: not now. */
bool swarm_take_window(struct swarm *s, int64_t now_ms, struct wire_window *ret);
/* One record for each running or ended WAN range. swarm_told: all were sent; swarm_taken: the
 * tracker has read them, so that ended ones are forgotten. */
bool swarm_report(const struct swarm *s, size_t *at, struct wire_fetching *ret);
/* One record for each peer that is not believed now, since it gave nothing of what it said. */
bool swarm_doubt(const struct swarm *s, int64_t now_ms, size_t *at, struct wire_doubt *ret);
void swarm_told(struct swarm *s);
void swarm_taken(struct swarm *s, int64_t now_ms);
void swarm_announce_now(struct swarm *s); /* to a new tracker */
/* Pieces that came since the last call, when it is time to tell them; false: none yet. The bits are
 * the swarm's own. to_all: they are news for the whole site, else for swarm_lacking. */
bool swarm_take_have(struct swarm *s, int64_t now_ms, struct wire_have *ret, bool *ret_to_all);
/* The next peer that lacks some of those told last, from *at on, which moves; NULL: no more. */
const struct node_id *swarm_lacking(const struct swarm *s, size_t *at);

#endif
