/* Whole pulls: the nodes of some sites want one image, each site over a thin WAN of its own. */
#ifndef TESTS_SIM_PULLS_H
#define TESTS_SIM_PULLS_H

#include "base/must.h"

#define PULLS_BLOBS   12
#define PULLS_MISHAPS 64         /* bits of a mask say which happen */
#define PULLS_ALL     UINT32_MAX /* sites */

enum pulls_mishap_kind {
    PULLS_NONE,
    PULLS_DIES,         /* node a */
    PULLS_TRACKER_DIES, /* of site a */
    PULLS_PAIR_DIES,    /* tracker and deputy of site a */
    PULLS_SHARE_DIES,   /* a percent of all nodes */
    PULLS_WAN,          /* site a (PULLS_ALL): b thousandths of its rate; 0: cut off */
    PULLS_PARTS,        /* nodes whose bit in a is set hear only each other */
    PULLS_MEETS,        /* all hear all */
    PULLS_DISK_FULL,    /* node a: fetches and serves nothing from then on */
    PULLS_STOPS,        /* node a: hears and says nothing for b ms, then goes on */
    PULLS_DEAF,         /* no request to a tracker arrives any more, datagrams do */
    PULLS_MUTE,         /* the tracker of site a answers no request any more; beacons it does */
    PULLS_KINDS
};
struct pulls_mishap {
    int64_t at_ms; /* after the first arrival */
    enum pulls_mishap_kind kind;
    uint32_t a, b;
};

struct pulls_case {
    const char *name;
    unsigned sites, nodes;       /* nodes of each site */
    uint64_t sizes[PULLS_BLOBS]; /* of the image's blobs, in their order; 0 ends */
    uint64_t wan, lan;           /* bytes/s of a site's WAN, of each node's port */
    uint64_t registry;           /* bytes/s that it gives to all sites together; 0: no limit */
    int64_t rtt_ms;              /* to the registry */
    int64_t between_ms;          /* one way between two sites */
    unsigned loss_permille;      /* of datagrams */
    /* The first nodes of each site, none of them the same: */
    unsigned warm;       /* hold the image before, and want nothing */
    unsigned warm_sites; /* only in so many sites; 0: in all */
    unsigned crippled;   /* their way to the WAN is so many times slower: */
    unsigned thinner;    /* 0: 500 */
    unsigned liars;      /* say that they hold all, and have nothing */
    unsigned garbage;    /* say that they hold all, and give wrong bytes */
    unsigned flips;      /* pull as all do, and give wrong bytes of what they got right */
    unsigned forged;     /* pull as all do; of what they read upstream words and bytes are wrong */
    unsigned withhold;   /* pull as all do, and give nothing of what they have */
    unsigned closed;     /* the same, as nobody reaches their peer port */
    unsigned hung;       /* accept leases, and no byte comes */
    unsigned slow;       /* their LAN port is slow, which is all that they have */
    uint64_t port;       /* bytes/s of it; 0: a thousandth of the others' */
    int64_t spread_ms;   /* arrivals are spread over it */
    int64_t late_ms;     /* the last node of the first site arrives then; 0: with the others */
    unsigned varies, varies_most; /* thousandths: the WAN's rate is drawn anew between these */
    int64_t varies_ms;            /* after a tenth of that time to all of it */
    int64_t queue_ms; /* of a full WAN: what is on the way when a request is cut is lost */
    bool unfair; /* connections get unequal shares of a WAN, and next to nothing as they begin */
    bool cold;   /* nodes start and pull at once, before there is a tracker */
    struct pulls_mishap mishaps[PULLS_MISHAPS];
    /* What must hold; 0: only told. */
    unsigned ratio_max_permille, wan_max_permille;
    int64_t first_max_ms, stall_max_ms;
    bool misses; /* it is known that it does not hold yet: only told */
};

struct pulls_result {
    unsigned ratio_permille;  /* the worst node against its bound */
    int64_t bound_ms;         /* T* of the image */
    unsigned wan_permille;    /* the worst site's WAN bytes against the image */
    unsigned prefix_permille; /* mean time until a reader gets a byte, against T* */
    int64_t last_ms;
    int64_t first_ms;     /* the longest wait for the first byte of a blob */
    int64_t stall_ms;     /* the longest time that a reader stood still, first byte aside */
    unsigned revocations; /* by all trackers together */
    unsigned failed;      /* living nodes that did not finish */
    uint64_t wan_bytes, lan_bytes;
    uint64_t events, datagrams, hash;
    /* Bytes/s of messages of a mean node, and of the busiest tracker's time in 100,000 (in large
     * worlds only). */
    uint64_t said_bytes_s, heard_bytes_s, tracker_ppht;
};

/* 0, or -1 and a sentence. keep: the mishaps that happen. told: prints each node's times. */
int pulls_run(const struct pulls_case *c, uint64_t seed, uint64_t keep, bool traced, bool told,
              struct pulls_result *ret, char ret_broken[160]);
void pulls_tell(const struct pulls_case *c,
                const struct pulls_result *r); /* one line for programs */
/* How long the slowest cut of a site's network takes for the image, us. */
uint64_t pulls_bound_us(const struct pulls_case *c, unsigned site);
uint64_t pulls_image(const struct pulls_case *c); /* bytes */
/* Bytes/s of a slow node's port. */
uint64_t pulls_slow_port(const struct pulls_case *c);

/* Leaves out of a pull what it breaks without, in the same way: how is what pulls_run said
 * (shrink.c). */
void pulls_shrink(struct pulls_case *c, uint64_t seed, const char *how, uint64_t *keep);

/* The changes of the WAN's rate that a case wants, as mishaps. */
void pulls_draw(struct pulls_case *c, uint64_t seed);

/* The table of cases. */
int pulls_all(uint64_t seed, uint64_t seeds, const char *only, bool traced);
/* One pull described by words (words.c); prints when each node was done. */
int pulls_words(const char *words, uint64_t seed, bool shrinks);

/* words.c: cases as text, and back. */
bool words_read(const char *words, struct pulls_case *c); /* false: stderr says why */
void words_print(const struct pulls_case *c, uint64_t keep);

#endif
