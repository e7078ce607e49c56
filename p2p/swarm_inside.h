/* What the files of a swarm share: swarm.c (what is held and heard), swarm_next.c (what to ask
 * for), swarm_tell.c (what others are told) and swarm_words.c (what pieces hash to).
 *
 * Invariants:
 *  1. asked bit p is set exactly while a running request covers p and p is not held (two: a lease
 *     and a request to a peer that began before it). A sip covers none: others may ask for all of
 *     it, or do so already.
 *  2. avail[p] is the number of peers whose bit p is set; somewhere has the p of which it is > 0.
 *  3. lan_ms is set to 0 whenever a piece may have become one that can be asked of a peer.
 *  4. A WAN request stands for one lease, granted or (id below 65,536) taken without a tracker. */
#ifndef P2P_SWARM_INSIDE_H
#define P2P_SWARM_INSIDE_H

#include "p2p/bits.h"
#include "p2p/piece.h"
#include "p2p/swarm.h"

#define SWARM_HINTS 256 /* one for each first byte of an id */

struct swarm_link {
    struct node_id id;
    struct node_addr addr;
    struct rank rank;
    unsigned requests;
    unsigned words_asks;   /* questions since it last said words */
    unsigned right, wrong; /* pieces that were compared with words */
    unsigned busies;       /* refusals in a row because it had no room */
    unsigned refused;      /* requests in a row that gave nothing */
    unsigned doubts;       /* how often that became too many since it last gave a piece */
    int64_t doubt_ms;      /* until then nothing that it says is believed */
    int64_t refused_ms;    /* when those requests in a row began */
    int64_t gave_ms;       /* when it last gave a piece */
    int64_t grew_ms;       /* when it last told of one more that it has */
    bool suspect;          /* the other blobs of this node were not told of the doubt yet */
    bool windowed;         /* it keeps some pieces only, */
    uint32_t first;        /* none before this one */
    uint32_t held;         /* bits that are set */
    uint8_t *bits;
};

struct swarm_run {
    uint32_t id; /* 0: free */
    int peer;    /* -1: WAN */
    bool is_sip;
    bool has_word;
    uint32_t first, end;
    uint64_t bytes;
};

struct swarm {
    struct digest digest;
    uint64_t size;
    uint32_t piece_bytes, pieces, held_count;
    uint32_t first, end;  /* pieces that are kept or wanted; all, unless it is windowed */
    bool windowed, moved; /* moved: the others were not told yet */
    int64_t window_ms;    /* when they were last */
    uint8_t flags;
    uint8_t *held, *asked, *offered;
    uint8_t *left; /* as pick.h has it */
    struct attest *attest;
    uint8_t *worded;   /* what they hash to is known */
    uint8_t *disputed; /* nodes say different words of them */
    uint8_t *lied;     /* a peer gave other bytes */
    uint8_t *unsaid;   /* own words that nobody was told */
    bool lacks_words;
    enum {
        RECALL_NOT_YET,
        RECALL_RUNS,
        RECALL_TOLD,
        RECALL_OVER
    } recall;                                          /* of words, from the disk */
    unsigned disputes, lies, unsaid_count, words_asks; /* asks: since words came */
    unsigned wrong;                                    /* pieces that peers gave */
    int64_t disputed_ms, words_ms; /* when one last changed; when words were last asked for */
    uint8_t *owned;                /* pieces that this node shall take when there is one holder */
    unsigned crowd;                /* nodes that share, this one too */
    bool suspects;                 /* some peer is suspect */
    bool crowd_stale;              /* owned, crowd and scarce are to be found anew */
    int64_t crowd_ms;              /* when they were last */
    unsigned
        scarce; /* pieces that so many peers have, only those have who have all; 0: spare none */
    uint16_t *avail;
    uint8_t *somewhere; /* bits: a peer has it */
    size_t peers_count;
    uint8_t peer_at[SWARM_HINTS]; /* by id: index where it may stand, or anything */
    struct swarm_link peers[SWARM_PEERS_MAX];
    struct cursor_at {
        bool used, fresh; /* fresh: its reader had no byte yet */
        uint64_t pos;
        int64_t moved_ms;
        int64_t lacked_ms; /* while it waited: when last no peer had its piece */
        bool lacks;        /* none had at the last decision */
    } cursors[PICK_CURSORS_MAX];
    struct duties duties;
    struct swarm_run gets[SWARM_GETS_MAX];
    uint32_t get_ids;
    unsigned lan_gets, wan_gets, sips; /* that run; wan_gets: but for sips */
    uint64_t lan_took_us;              /* a piece of a peer, by a slow average; 0: none came */
    int64_t lan_ms;   /* peers have nothing to be asked for before, unless something changes; 0 */
    unsigned shouts;  /* how often all were asked who has it */
    int64_t shout_ms; /* when they were last */
    int64_t ask_ms;   /* no lease is asked for before */
    int64_t now_ms;   /* of the last decision */
    int64_t announced_ms;
    int64_t taken_ms;      /* when the tracker answered last */
    int64_t rescue_ms;     /* when something was last taken without a lease for a reader */
    int64_t lan_failed_ms; /* when a peer last could not give a piece, and which */
    uint32_t lan_failed;
    bool urgent;              /* a lease could be used now */
    bool rests;               /* none could: clients go before */
    size_t others;            /* nodes of the site */
    unsigned news_count;      /* pieces not told yet, the first since news_ms */
    bool news_from_wan;       /* one of them */
    int64_t news_ms, hint_ms; /* hint: the last one */
    uint8_t *news, *telling;  /* telling: scratch, of the last hint */
};

/* Is it held, or gone and not wanted again? */
bool swarm_done(const struct swarm *s, uint32_t piece);
bool swarm_in_window(const struct swarm *s, uint32_t piece);
bool swarm_lacks_at(const struct swarm *s, uint64_t pos); /* has no peer the piece of that byte? */
int64_t swarm_announce_every_ms(const struct swarm *s);
uint64_t swarm_piece_len(const struct swarm *s, uint32_t piece);
/* A peer gave other bytes of the piece than its word says. */
void swarm_lied(struct swarm *s, uint32_t piece, int64_t now_ms);
struct swarm_link *swarm_find_peer(struct swarm *s, const struct node_id *id); /* or NULL */
/* As one that holds nothing, for a while: others, or the WAN, must give what it seemed to have. */
void swarm_disbelieve(struct swarm *s, struct swarm_link *p, int64_t now_ms);
/* Must it come from upstream, because of words? */
bool swarm_is_disputed(const struct swarm *s, uint32_t piece);

#endif
