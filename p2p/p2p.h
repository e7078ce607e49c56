/* The front door of p2p/: the swarm of a site, and what it wants fetched.
 *
 *   p2p_open   one thread owns membership, election, leases, choice of pieces, the UDP socket and
 *              the control requests to other nodes; all below only posts to it or asks it
 *   slots.h    who may take bytes from this node now, for the peer port
 *   seal.h     cluster keys
 *   addr.h identity.h   addresses and ids as people read them
 *
 * Without a key, or with p2p.enabled false, there is no struct p2p: the node runs alone. */
#ifndef P2P_P2P_H
#define P2P_P2P_H

#include "base/buf.h"
#include "base/err.h"
#include "p2p/addr.h"
#include "p2p/bans.h"
#include "p2p/bits.h"
#include "p2p/flow.h"
#include "p2p/identity.h"
#include "p2p/names.h"
#include "p2p/piece.h"
#include "p2p/rank.h"
#include "p2p/refused.h"
#include "p2p/seal.h"
#include "p2p/slots.h"
#include "p2p/step.h"

struct p2p;

/* Texts need to live only until p2p_open returns. */
struct p2p_config {
    const char *listen;    /* host:port of the UDP socket; the peer port has the same number */
    const char *advertise; /* host or host:port that others reach this node at, or "auto" */
    const char *site;      /* a name, or "auto" */
    const char *dir;       /* keeps node.id and peers between starts; the cache's folder */
    const struct seal_keys *keys;
    bool multicast;
    char *const *seeds; /* HOST:PORT or dns:NAME:PORT */
    size_t seeds_count;
    int priority; /* configured weight, -100 .. 100 */
    bool preseed; /* as tracker: take what most other sites pull before it is asked for */
};

/* Called on the p2p thread. They post a message or look into memory, and return. */
struct p2p_ops {
    void *arg;
    /* Ask a source for pieces of a blob that p2p_want named; ends with p2p_end. */
    void (*get)(void *arg, const struct digest *blob, const struct swarm_get *get);
    /* The request with that id must end before piece `end`; 0: at once. It still gets p2p_end.
     * Request 0: there is no place for the blob in the swarm, its fetch goes on alone. */
    void (*stop)(void *arg, const struct digest *blob, uint32_t get, uint32_t end);
    /* Size of a blob that is stored whole here, 0 when it is not. */
    uint64_t (*stored)(void *arg, const struct digest *blob);
    /* Another node of the site looks for that blob. */
    void (*heard)(void *arg, const struct digest *blob);
    /* Would a copy of that blob, one of so many in the site, fit here without anything of more
     * value leaving for it? */
    bool (*room)(void *arg, const struct digest *blob, uint64_t size, unsigned copies);
    /* Take that copy from other nodes, in the background: p2p_want follows with WIRE_FOR_COPY. */
    void (*keep)(void *arg, const struct digest *blob, uint64_t size);
    /* That node said wrong words about pieces, and is banned by the swarm. */
    void (*liar)(void *arg, const struct node_id *node);
    /* keeper.h: is it whole in this node's own cache; what another node that takes it over has to
     * know; take another one's last copy over. */
    bool (*holds)(void *arg, const struct digest *blob);
    bool (*offer)(void *arg, const struct digest *blob, struct parting_offer *ret);
    enum parting_taken (*take)(void *arg, const struct parting_offer *offer);
    /* Answers p2p_part. */
    void (*parting)(void *arg, const struct parting *said);
    /* What do the pieces of this blob, which is stored here, hash to? Answered by p2p_attest. */
    void (*words)(void *arg, const struct digest *blob);
};

/* Opens the socket and starts the thread. ops is copied. 0 or -errno or ERR_CONFIG with e set. */
CHECKED int p2p_open(const struct p2p_config *config, const struct p2p_ops *ops, struct p2p **ret,
                     struct err *e);
/* Says good-bye to the site and stops the thread. NULL is fine. */
void p2p_close(struct p2p *p);

/* ---- notes about blobs: any thread, never block; a full mailbox drops progress only ---- */

/* A blob of PIECE_BLOB_MAX bytes at most is wanted (again), with these flags (WIRE_MAY_FETCH,
 * WIRE_CLIENT, WIRE_SERVES, WIRE_FOR_COPY; WIRE_WANTS is added) and these pieces held, no others
 * (BITS_BYTES of piece_count(size), copied; NULL: as before). */
void p2p_want(struct p2p *p, const struct digest *blob, uint64_t size, uint8_t flags,
              const uint8_t *held);
/* Nobody here wants it any more. What is held whole is still served, the rest is not. */
void p2p_leave(struct p2p *p, const struct digest *blob);
/* Readers stand at these bytes, at most PICK_CURSORS_MAX of them; replaces what was said before. */
void p2p_cursors(struct p2p *p, const struct digest *blob, const uint64_t *pos, size_t count);
/* Of a request: bytes since the last note, a piece that is whole and was not refused, its end. */
void p2p_progress(struct p2p *p, const struct digest *blob, uint32_t get, uint64_t bytes);
void p2p_piece(struct p2p *p, const struct digest *blob, uint32_t get, uint32_t piece);
void p2p_end(struct p2p *p, const struct digest *blob, uint32_t get, enum swarm_end how,
             int64_t took_us, unsigned busy_ms);
/* Pieces [first, first + count) are gone: evicted, or their bytes were wrong. */
void p2p_dropped(struct p2p *p, const struct digest *blob, uint32_t first, uint32_t count);
/* The blob is in memory only: pieces [first, end) are kept or wanted now. */
void p2p_window(struct p2p *p, const struct digest *blob, uint32_t first, uint32_t end);
/* The digest of the blob is wrong although its pieces are as words say: some have lied. */
void p2p_doubt(struct p2p *p, const struct digest *blob);
/* Pieces from `first` on, which are here, hash to these words (SHA-256, one behind the other,
 * copied). read: they came from the registry, or the digest of the blob is right. No words: the
 * answer to ops.words is complete. */
void p2p_attest(struct p2p *p, const struct digest *blob, bool read, uint32_t first,
                const uint8_t *words, uint32_t count);
/* What that node says it holds is not believed for that long (INT64_MAX: for ever). */
void p2p_ban(struct p2p *p, const struct node_id *node, int64_t wait_ms);
/* The same for a while, and the tracker hears of it: its peer port took no connection. */
void p2p_unmet(struct p2p *p, const struct node_id *node);
/* Bytes of a blob that came from that node (none: a registry), or went to it. */
void p2p_carried(struct p2p *p, const struct node_id *node, enum flow_way way, uint64_t bytes);
/* Other nodes that are heard now; never waits. 0: what upstream refuses nobody else can bring. */
size_t p2p_others(struct p2p *p);
/* This node wants to let that blob go for room: may it? `parting` answers, perhaps more than once,
 * for the first time in less than a second unless the mailbox is full. */
void p2p_part(struct p2p *p, const struct digest *blob, uint64_t size);

/* ---- names: any thread; what tags and manifests stand for (names.h) ---- */

/* A name is a text: "registry/repository:tag" or "registry/repository@digest", of registries that
 * anybody may read. Only its digest leaves this call. */
struct p2p_name_want {
    uint64_t max_age_ms; /* an older answer is asked for again upstream */
    int64_t deadline_ms; /* clock_ms; a name that somebody resolves now is waited for */
    int64_t shout_ms;    /* when the tracker does not know, all nodes are asked; 0: no. What they
                          * answer may be of any age. */
    bool may_resolve;    /* this node would ask upstream if nobody else does */
    bool any_will_do;    /* the name is of a digest: what it stands for cannot change */
};
/* Takes what the network takes, 3 * NAMING_RETRY_MS and shout_ms at most, unless somebody resolves
 * it: then until the deadline. NAMES_NONE when nobody helps, at once when this node is alone.
 * After NAMES_YOURS p2p_name_tell must be called. */
void p2p_name_ask(struct p2p *p, const char *text, const struct p2p_name_want *want,
                  struct names_answer *ret);
/* What this node found: NAMES_KNOWN with a value whose manifest is in its cache now, NAMES_FAILED,
 * or NAMES_GONE when upstream has no such name. Never blocks. */
void p2p_name_tell(struct p2p *p, const char *text, enum names_state state,
                   const struct names_value *value);
/* Names that are in the cache since earlier runs; copied. */
void p2p_name_hold(struct p2p *p, const struct names_own *own, size_t count);
void p2p_name_key(const char *text, struct digest *ret); /* pure */

/* ---- the node ---- */

/* Other cluster keys from now on: the first signs, each is believed. */
void p2p_rekey(struct p2p *p, const struct seal_keys *keys);
/* Load of this node, for its beacons; free_bytes: room for blobs that others have to let go. */
void p2p_load(struct p2p *p, unsigned queue_ms, uint64_t free_bytes);

/* ---- the peer port: any thread ---- */

/* A sealed control request; its sealed answer is appended to ret. Waits for the p2p thread, a
 * second at most. 0, ERR_SYNTAX, ERR_DENIED (another key), ERR_REFUSED (replayed), ERR_TIMEOUT,
 * ERR_NOT_FOUND (a node that was not heard yet), ERR_CLOSED. */
CHECKED int p2p_control(struct p2p *p, const uint8_t *msg, size_t len, struct buf *ret);
/* Of a piece request, `what` is "METHOD PATH RANGE": who sent it, and the header for one. */
CHECKED int p2p_admit(struct p2p *p, const char *auth, const char *what, struct node_id *ret_from);
CHECKED int p2p_sign(struct p2p *p, const char *what, char ret_text[SEAL_TEXT_MAX]);

/* ---- for people: any thread ---- */

struct p2p_peer {
    struct node_id id;
    struct node_addr addr;
    char site[64];
    bool same_site, is_tracker, is_deputy;
    uint32_t priority;
    int64_t heard_ms_ago;
    unsigned queue_ms;
    uint64_t free_bytes;
    int64_t told_ms_ago;    /* -1: it said nothing of its traffic lately */
    struct traffic traffic; /* as it says */
};
/* A blob that is exchanged now. */
struct p2p_blob {
    struct digest digest;
    uint64_t size;
    struct swarm_sum sum;
    bool wants; /* false: it is only served */
};
struct p2p_state {
    struct node_id self, tracker, deputy; /* none: all zero */
    struct node_addr addr;
    char site[64];
    const char *site_from; /* "configuration", "gateway", "multicast" ... */
    enum elect_role role;
    uint32_t epoch, priority;
    int64_t tracker_since_ms;     /* how long ago it became known */
    enum elect_event tracker_why; /* what this node saw before: SUSPECTS, LOST, RESIGNS, YIELDS,
                                   * or how it came to know it: WON, FOLLOWS */
    bool multicast_works;
    int64_t reached_ms_ago; /* when a control request of another node came last; -1: never */
    struct tracker_sum tracker_sum; /* of this node's own table, while it is in office */
    size_t copies_count;
    struct p2p_copies {
        struct digest digest;
        struct replicas_of are;
    } * copies; /* of this node as tracker: blobs of which the site wants more than one, those that
                 * lack most first, those whose copies were not counted yet last */
    size_t peers_count;
    struct p2p_peer *peers; /* tracker first, then by id */
    struct refused_lately refused[REFUSED_KINDS];
    size_t names; /* tags and manifests that it knows of */
    size_t blobs_count;
    struct p2p_blob *blobs; /* those that are wanted first, then by digest */
    struct traffic traffic; /* of this node */
    size_t flows_count;
    struct flow *flows; /* whom this node exchanged bytes with */
    size_t sites_count;
    struct p2p_site {
        char name[64]; /* as in p2p_peer */
        int64_t told_ms_ago;
        struct wire_site_sums is;
    } * sites; /* other sites whose tracker said what they carry */
};
/* Asks the thread; 0, ERR_TIMEOUT or ERR_CLOSED. Release what it gave. */
CHECKED int p2p_look(struct p2p *p, struct p2p_state *ret);
void p2p_state_release(struct p2p_state *s);
/* As p2p_look, by somebody who looks at the traffic of the site: its nodes are asked what they
 * carry, and what they say is there from the next call on. */
CHECKED int p2p_watch(struct p2p *p, struct p2p_state *ret);
/* Asks all nodes who has these blobs (at most LOCATE_BLOBS_MAX) and waits for their answers, less
 * than a second; this node is not among them. Who has one offers it for a while. Free what it gave
 * with locate_free. 0, ERR_BUSY (others ask), ERR_TIMEOUT, ERR_CLOSED. */
CHECKED int p2p_locate(struct p2p *p, const struct digest *blobs, size_t count,
                       struct locate **ret);
/* Asks a few nodes to connect to this one, and waits for the first, at most two seconds: how many
 * were asked, and did one come? 0, ERR_TIMEOUT or ERR_CLOSED. */
CHECKED int p2p_reach(struct p2p *p, unsigned *ret_asked, bool *ret_reached);
/* This node hands its office over, if it has one: 0, or ERR_NOT_FOUND when it is not tracker. */
CHECKED int p2p_step_down(struct p2p *p);

#endif
