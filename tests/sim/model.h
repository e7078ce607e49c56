/* What moves bytes in a simulated pull: requests take a way's delay, bodies are flows that share
 * links fairly, uploads wait for slots as in the daemon, clients read from the start.
 *
 *   links: per site its WAN in and out, then per node its own way to the WAN, its port out and in,
 *          then the registry
 */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include "p2p/piece.h"
#include "p2p/slots.h"
#include "tests/sim/flows.h"
#include "tests/sim/pulls.h"
#include "tests/sim/world.h"

#define MODEL_START_MS   3000
#define MODEL_DISK_US    5000    /* until words come from the disk */
#define MODEL_CONNECT_US 500000  /* a peer that does not answer until then is left */
#define MODEL_STALL_US   2000000 /* the daemon leaves a source that is silent for so long */

enum model_event {
    MODEL_BEGIN = WORLD_OWN,
    MODEL_WAN_BEGIN,
    MODEL_FLOWS,
    MODEL_LANDED,
    MODEL_ENDED,
    MODEL_WORDS,
    MODEL_ARRIVE,
    MODEL_SWEEP,
    MODEL_WEIGHTS,
    MODEL_MISHAP
};

struct model_get {
    unsigned node, blob;
    int peer;                           /* -1: upstream */
    bool wan;                           /* a lease: upstream, or a peer in another site */
    uint32_t id, first, end, asked_end; /* asked_end: of the request as it was sent */
    uint32_t sip;                       /* only so many bytes of the one piece; 0: all */
    uint64_t at;                        /* bytes so far */
    int flow;                           /* -1: none, or none any more */
    int64_t began_us, moved_us;
    bool over;
    bool has_word; /* as the core said */
    uint8_t word[ATTEST_BYTES];
    int64_t next; /* running one of the same node, -1: none */
};

struct model {
    const struct pulls_case *c;
    uint64_t keep; /* mishaps that happen */
    struct flows flows;
    unsigned blobs;
    struct digest digests[PULLS_BLOBS];
    struct model_node {
        struct slots slots[2];       /* for its site, for others */
        bool warm, liar, hung, full; /* full: its disk */
        bool flips;                  /* gives wrong bytes of what it has */
        bool forges;                 /* has wrong bytes of what it reads upstream, and says so */
        bool withholds;              /* gives nothing of what it has */
        bool closed;                 /* nor does its peer port answer */
        bool counts;                 /* must finish */
        bool slow;                   /* its port is: when it finishes is not judged */
        int64_t arrived_us, done_us;
        unsigned opened, done; /* blobs */
        struct model_reader {
            int64_t asked_us, first_us, moved_us;
            uint32_t at;     /* pieces that it has read */
            uint64_t sipped; /* bytes of the blob until where it sipped */
            bool done;
        } readers[PULLS_BLOBS];
        uint8_t *asked[PULLS_BLOBS]; /* per piece: requests that run for it */
        uint8_t *lies[PULLS_BLOBS];  /* per piece: whose bytes it has, 0: the registry's */
        uint8_t *read[PULLS_BLOBS];  /* per piece: it came from upstream */
        unsigned wan_gets[PULLS_BLOBS];
        int64_t gets;        /* the newest one that runs, -1: none */
        uint32_t wan_weight; /* of its connection, 0: none was given yet */
        int64_t wan_us;      /* when it last ended a request in full */
    } * nodes;
    uint64_t prefix_area; /* sum over nodes and bytes of the time until readable, us * MiB */
    int64_t stall_us;
    size_t gets_count, gets_cap;
    struct model_get *gets;
    size_t cut_count, cut_cap;
    size_t *cut;      /* WAN requests that were told to stop earlier since the last event */
    unsigned sites;   /* of flows: one of each in a world that is split, else one */
    int64_t *mark_us; /* of each: the earliest MODEL_FLOWS event that is posted */
    unsigned far;     /* requests to other sites, and what still comes of those that were cut */
    unsigned left;    /* nodes that must still finish */
};

unsigned model_total(const struct pulls_case *c); /* nodes */
uint32_t model_wan(unsigned site);                /* link */

void model_init(struct model *d, const struct pulls_case *c, uint64_t keep);
void model_release(struct model *d);
void model_set_up(struct world *w, struct model *d);
struct world_hooks model_hooks(struct model *d);

/* All bytes from and to a node stop where they are; it and others notice so much later. */
void model_cut(struct world *w, struct model *d, unsigned node, int64_t own_us, int64_t others_us);
/* Bytes between nodes that hear each other no more stop. */
void model_part(struct world *w, struct model *d);
void model_excuse(struct model *d, unsigned node); /* it need not finish */

/* mishaps.c */
void mishaps_happen(struct world *w, struct model *d, const struct pulls_mishap *m);
const char *mishaps_name(enum pulls_mishap_kind kind);

#endif
